//! `gristmill connection rename`.

use clap::Args;
use serde_json::json;

use super::show::users_of;
use super::{not_edited, reload};
use crate::cli::{Failed, Shared, ask, load, output};
use crate::config::edit::{Edit, EditError};
use crate::control::Request;
use crate::object::{ConnectionKey, IntegrationName};

/// Give a connection another key. What integrations have taken over it stays taken.
///
/// The table gets the key, `renamed_from` is written into it, and every integration that names it names it by the new key,
/// in whichever file; everything else in the files stays as it is. Where this is cut off it can be done again, and until then
/// integrations that still name the former key mean this connection.
#[derive(Debug, Args)]
#[command(after_help = "\
Where the files cannot be written, name the table `[connections.NEW]` by hand, add `renamed_from = \"OLD\"` to it, and reload
or start the daemon: that does the same.")]
pub(super) struct Rename {
    /// Its key.
    from: ConnectionKey,
    /// The key that it gets.
    to: ConnectionKey,
}

impl Rename {
    pub(super) fn run(self, shared: &Shared) -> Result<(), Failed> {
        let Self { from, to } = &self;
        let config = load(&shared.config)?.config;
        let mut edit = Edit::open(&shared.config).map_err(|error| not_edited(&error))?;
        let is_begun = is_begun(&mut edit, from, to);
        let key = if is_begun { to } else { from };
        let integrations: Vec<IntegrationName> =
            users_of(shared, key)?.iter().filter_map(|user| user.integration.parse().ok()).collect();
        let in_order = || integrations.iter().filter(|name| config.integration(name).is_some());
        let has_former = config.connections.get(key).is_some_and(|connection| connection.renamed_from.is_some());
        for integration in in_order().filter(|_| has_former) {
            // What was renamed by hand and not begun yet comes first: the file has place for one former key.
            settle(shared, integration)?;
        }
        let edited = (|| {
            if !is_begun {
                // Touched first, so that it is written first: by `renamed_from` the others' references hold meanwhile.
                let mut table = edit.table("connections", from.as_str())?;
                table.rename(to.as_str())?;
                table.set("renamed_from", from.as_str())?;
            }
            edit.repoint("integrations", "connection", (from.as_str(), to.as_str()))?;
            edit.write()
        })();
        let files = edited.map_err(|error: EditError| match error {
            EditError::Write(_) | EditError::Unusual { .. } => not_edited(&error).hint(Some(format!(
                "by hand: name the table `[connections.{to}]` and add `renamed_from = \"{from}\"` to it"
            ))),
            error => not_edited(&error),
        })?;
        reload(&config)?;
        for integration in in_order() {
            settle(shared, integration).map_err(|failed| {
                let hint = failed.hint.clone().map(|hint| format!("{hint}; ")).unwrap_or_default();
                failed
                    .hint(Some(format!("{hint}the files are written; the rest is done by itself when this is mended")))
            })?;
        }
        match shared.json {
            true => output::print_json(&json!({
                "connection": to, "renamed_from": from, "files": files, "integrations": integrations,
            })),
            false => {
                let files: Vec<String> = files.iter().map(|file| format!("`{}`", file.display())).collect();
                let used = output::count(integrations.len(), "integration", "integrations");
                output::print(format!("`{from}` is `{to}` now, in {}; {used} will go on with it", files.join(", ")));
            }
        }
        Ok(())
    }
}

/// Whether the table has its new key already, by a renaming that was cut off.
fn is_begun(edit: &mut Edit, from: &ConnectionKey, to: &ConnectionKey) -> bool {
    let has_old = edit.names("connections").contains(from.as_str());
    let renamed = edit.table("connections", to.as_str()).ok();
    !has_old && renamed.is_some_and(|table| table.text_of("renamed_from") == Some(from.as_str()))
}

fn settle(shared: &Shared, integration: &IntegrationName) -> Result<(), Failed> {
    ask(shared, Request::SettleNames { integration: integration.clone() }, |_| {}).map(drop)
}
