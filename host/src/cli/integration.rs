//! `gristmill integration`: changing an integration's table, and what goes along with it.

use clap::{Args, Subcommand};

use super::{CONFIGURATION, Failed, Shared, UNWELL, load, output};
use crate::config::edit::{Edit, EditError};
use crate::control::{Client, Request};
use crate::object::IntegrationName;

/// Change an integration.
#[derive(Debug, Args)]
pub struct Integration {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Give it another name. What it has taken goes along, and nothing is taken again.
    ///
    /// The table in the configuration gets the name, everything else in the file stays as it is, and `renamed_from` is
    /// written into it. By that the ledger, the destinations and the reject files follow: now, or at the next start if this
    /// is cut off. It may stay there, and helps a ledger from an older backup to follow, too.
    #[command(after_help = "\
Where the file cannot be written, name the table `[integrations.NEW]` by hand, add `renamed_from = \"OLD\"` to it, and
reload or start the daemon: that does the same.")]
    Rename {
        /// Its name.
        from: IntegrationName,
        /// The name that it gets.
        to: IntegrationName,
    },
}

impl Integration {
    pub fn run(self, shared: &Shared) -> Result<(), Failed> {
        match self.command {
            Command::Rename { from, to } => rename(shared, &from, &to),
        }
    }
}

fn rename(shared: &Shared, from: &IntegrationName, to: &IntegrationName) -> Result<(), Failed> {
    let runtime_directory = load(&shared.config)?.config.daemon.runtime_dir;
    // What was renamed by hand and not begun yet comes first: the file has place for one former name.
    settle(shared, from)?;
    let by_hand = || format!("by hand: name the table `[integrations.{to}]` and add `renamed_from = \"{from}\"` to it");
    let edited = Edit::open(&shared.config).and_then(|mut edit| {
        let mut table = edit.table("integrations", from.as_str())?;
        table.rename(to.as_str())?;
        table.set("renamed_from", from.as_str())?;
        let file = table.file().to_owned();
        edit.write().map(|_| file)
    });
    let file = edited.map_err(|error| {
        let hint = match &error {
            EditError::Write { .. } | EditError::Unusual { .. } => Some(by_hand()),
            EditError::Missing { .. } | EditError::Taken { .. } | EditError::Refused(_) => {
                Some("gristmill check".to_owned())
            }
            EditError::Config(_)
            | EditError::Syntax { .. }
            | EditError::Elsewhere { .. }
            | EditError::Changed { .. } => None,
        };
        Failed::of(if error.is_write() { UNWELL } else { CONFIGURATION }, &error).hint(hint)
    })?;
    // A daemon takes the file first, as it would by a reload.
    if let Some(client) = Client::connect(&runtime_directory)? {
        client.ask(&Request::Reload, |_| {})?;
    }
    let settled = settle(shared, to).map_err(|failed| {
        let hint = failed.hint.clone().unwrap_or_default();
        let later = "the table has its name already; the rest is finished by itself when this is mended";
        failed.hint(Some(if hint.is_empty() { later.to_owned() } else { format!("{hint}; {later}") }))
    })?;
    match shared.json {
        true => output::print_json(&settled),
        false => output::print(format!("`{from}` is `{to}` now, in `{}` and in all that it has taken", file.display())),
    }
    Ok(())
}

fn settle(shared: &Shared, integration: &IntegrationName) -> Result<serde_json::Value, Failed> {
    super::ask(shared, Request::SettleNames { integration: integration.clone() }, |_| {})
}
