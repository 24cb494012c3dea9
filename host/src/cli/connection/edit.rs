//! `gristmill connection edit`.

use clap::Args;
use serde_json::json;

use super::candidate::try_it;
use super::fields::Mode;
use super::show::{targets_of, users_of};
use super::{not_edited, parse_target, reload, taken};
use crate::cli::{CONFIGURATION, Failed, Shared, USAGE, load, output};
use crate::config::edit::{self, TableEdit};
use crate::config::{Config, Connection};
use crate::control::Target;
use crate::object::ConnectionKey;

/// Change fields of a connection.
///
/// Which those are follows from how it gets its credentials; a pair of keys is changed by `rotate`. Where the change concerns
/// more than its name, it is tried before it is written, at the buckets of its integrations.
///
/// How it gets its credentials stays as it is, because every other field follows from that. For another way, add another
/// connection beside it, which is tried by itself; then have each integration look there, by `gristmill integration repoint
/// NAME --connection KEY`, which takes nothing again; and delete the old one when nothing uses it any more.
#[derive(Debug, Args)]
#[command(
    after_help = "  gristmill connection edit acme --set region=eu-west-1 --set 'name=Acme in Dublin' --unset tenant"
)]
pub(super) struct Edit {
    /// The connection.
    connection: ConnectionKey,
    /// Where to try it as well, as s3://BUCKET/PREFIX.
    #[arg(value_parser = parse_target)]
    target: Option<Target>,
    /// A field and its value.
    #[arg(long, value_name = "FIELD=VALUE", value_parser = parse_setting)]
    set: Vec<(String, String)>,
    /// A field that is to have its default again.
    #[arg(long, value_name = "FIELD")]
    unset: Vec<String>,
    /// Write it without trying it.
    #[arg(long)]
    no_test: bool,
}

fn parse_setting(text: &str) -> Result<(String, String), String> {
    let (field, value) = text.split_once('=').ok_or("expected FIELD=VALUE")?;
    Ok((field.trim().to_owned(), value.to_owned()))
}

impl Edit {
    pub(super) fn run(self, shared: &Shared) -> Result<(), Failed> {
        let key = &self.connection;
        if self.set.is_empty() && self.unset.is_empty() {
            return Err(Failed::new(USAGE, "nothing is to be changed")
                .hint(Some(format!("gristmill connection edit {key} --set FIELD=VALUE"))));
        }
        let before = load(&shared.config)?.config;
        let mut edit = edit::Edit::open(&shared.config).map_err(|error| not_edited(&error))?;
        let mut table = edit.table("connections", key.as_str()).map_err(|error| not_edited(&error))?;
        self.apply(&mut table)?;
        let text = edit.alone("connections", key.as_str());
        let after = edit.checked().map_err(|error| not_edited(&error))?;
        let (was, is) = (before.connections.get(key), after.connections.get(key));
        let mut tested = None;
        if !self.no_test && was.map(access) != is.map(access) {
            let mut targets = targets_of(&after, key);
            targets.extend(self.target.filter(|target| !targets.contains(target)));
            tested = Some(try_it(shared, &before, key, text, targets)?);
        }
        let files = edit.write().map_err(|error| not_edited(&error))?;
        let reloaded = reload(&before)?;
        let waiting = waiting(shared, (&before, &after), key)?;
        if shared.json {
            output::print_json(&json!({
                "connection": key, "files": files, "tested": tested, "reloaded": reloaded, "waiting": waiting,
            }));
            return Ok(());
        }
        match files.first() {
            Some(file) => output::print(format!("`{key}` is changed in `{}`{}", file.display(), taken(reloaded))),
            None => output::print(format!("`{key}` is like that already")),
        }
        for integration in waiting {
            output::print(format!(
                "`{integration}` takes nothing until it is said whether the files there are the same:"
            ));
            output::print(format!("  gristmill ledger adopt {integration}, with --reingest where they are others"));
        }
        Ok(())
    }

    fn apply(&self, table: &mut TableEdit<'_>) -> Result<(), Failed> {
        let key = &self.connection;
        let mode = Mode::of(table).ok_or_else(|| {
            Failed::new(CONFIGURATION, format!("`{key}` does not say how it gets its credentials"))
                .hint(Some("gristmill check".to_owned()))
        })?;
        let path = |field: &str| {
            mode.path_of(field).map_err(|why| {
                Failed::new(USAGE, format!("`{key}`: {why}"))
                    .hint(Some("another way to credentials: gristmill connection edit --help".to_owned()))
            })
        };
        for (field, value) in &self.set {
            let value = match (field.as_str(), value.parse::<bool>()) {
                ("force_path_style", Ok(value)) => value.into(),
                ("force_path_style", Err(_)) => {
                    return Err(Failed::new(USAGE, "`force_path_style` is `true` or `false`"));
                }
                _ => toml_edit::Value::from(value.as_str()),
            };
            table.set(&path(field)?, value).map_err(|error| not_edited(&error))?;
        }
        for field in &self.unset {
            if !table.unset(&path(field)?).map_err(|error| not_edited(&error))? {
                return Err(Failed::new(USAGE, format!("`{key}` does not set `{field}`")));
            }
        }
        Ok(())
    }
}

/// Everything of a connection that decides what it may do.
fn access(connection: &Connection) -> Connection {
    Connection { name: String::new(), tenant: None, renamed_from: None, ..connection.clone() }
}

/// The integrations that wait for a person after it, because the connection leads to another server (R17).
fn waiting(shared: &Shared, (before, after): (&Config, &Config), key: &ConnectionKey) -> Result<Vec<String>, Failed> {
    let server = |config: &Config| config.connections.get(key).map(Connection::server);
    if server(before).is_none_or(|server_before| server(after) == Some(server_before)) {
        return Ok(Vec::new());
    }
    let users = users_of(shared, key)?;
    Ok(users.into_iter().filter(|user| user.enabled).map(|user| user.integration).collect())
}
