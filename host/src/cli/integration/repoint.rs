//! `gristmill integration repoint`.

use clap::Args;
use serde_json::{Value, json};
use toml_edit::InlineTable;

use super::{complaint, reload, settle};
use crate::cli::{CONFIGURATION, Failed, Shared, ask, load, output};
use crate::config::edit::Edit;
use crate::control::Request;
use crate::ledger::Place;
use crate::object::{BucketName, ConnectionKey, IntegrationName, Site};

#[derive(Debug, Args)]
pub(super) struct Repoint {
    /// Its name.
    integration: IntegrationName,
    /// The connection that shows the files now.
    #[arg(long, value_name = "KEY")]
    connection: Option<ConnectionKey>,
    /// The bucket that they are in.
    #[arg(long)]
    bucket: Option<BucketName>,
    /// What their keys begin with; `\"\"` for nothing.
    #[arg(long)]
    prefix: Option<String>,
}

pub(super) fn repoint(shared: &Shared, wish: Repoint) -> Result<(), Failed> {
    let integration = &wish.integration;
    let config = load(&shared.config)?.config;
    let settings = config.integration(integration).ok_or_else(|| {
        Failed::new(
            CONFIGURATION,
            format!("there is no integration `{integration}`, or a problem of its own disables it"),
        )
        .hint(Some("gristmill check".to_owned()))
    })?;
    let (connection, bucket) = (settings.connection.clone(), settings.bucket.clone());
    let written = Site { connection, bucket, prefix: settings.prefix.clone() };
    let now = Site {
        connection: wish.connection.clone().unwrap_or_else(|| written.connection.clone()),
        bucket: wish.bucket.clone().unwrap_or_else(|| written.bucket.clone()),
        prefix: wish.prefix.clone().unwrap_or_else(|| written.prefix.clone()),
    };
    let before = looked_for_files(shared, integration)?.unwrap_or_else(|| written.clone());
    if now != written || now != before && settings.moved_from.as_ref() != Some(&before) {
        let by_hand = || {
            let Site { connection, bucket, prefix } = &now;
            let moved_from = inline(&before);
            format!(
                "by hand: say `connection = \"{connection}\"`, `bucket = \"{bucket}\"`, `prefix = {prefix:?}` and \
                 `moved_from ={moved_from}`"
            )
        };
        let edited = Edit::open(&shared.config).and_then(|mut edit| {
            let mut table = edit.table("integrations", integration.as_str())?;
            for (key, written, now) in [
                ("connection", written.connection.as_str(), now.connection.as_str()),
                ("bucket", written.bucket.as_str(), now.bucket.as_str()),
                ("prefix", written.prefix.as_str(), now.prefix.as_str()),
            ] {
                if written != now {
                    table.set(key, now)?;
                }
            }
            match now == before {
                true => drop(table.unset("moved_from")?),
                false => table.set("moved_from", inline(&before))?,
            }
            edit.write()
        });
        edited.map_err(|error| complaint(&error, by_hand))?;
    }
    reload(&config.daemon.runtime_dir)?;
    let settled = settle(shared, integration).map_err(|failed| {
        failed.and("the configuration has the new place already; the rest is finished by itself when this is mended")
    })?;
    match shared.json {
        true => {
            let (from, to) = (to_value(&before), to_value(&now));
            let place = settled.get("place");
            output::print_json(&json!({ "integration": integration, "from": from, "to": to, "place": place }));
        }
        false if now == before => output::print(format!("`{integration}` looks for its files in {now}, as it did")),
        false => output::print(format!("what `{integration}` took in {before} is taken in {now} now")),
    }
    Ok(())
}

/// Where the ledger has its files; none before its first pass.
fn looked_for_files(shared: &Shared, integration: &IntegrationName) -> Result<Option<Site>, Failed> {
    let known = ask(shared, Request::Whereabouts { integration: integration.clone() }, |_| {})?;
    let place: Option<Place> = known.get("place").and_then(|place| serde_json::from_value(place.clone()).ok());
    Ok(place.map(|place| place.site()))
}

fn to_value(site: &Site) -> Value {
    json!({ "connection": site.connection, "bucket": site.bucket, "prefix": site.prefix })
}

/// `{ connection = "…", bucket = "…", prefix = "…" }`
fn inline(site: &Site) -> InlineTable {
    let keys = [("connection", site.connection.as_str()), ("bucket", site.bucket.as_str()), ("prefix", &site.prefix)];
    keys.into_iter().collect()
}
