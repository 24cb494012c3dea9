//! `gristmill integration`: changing an integration's table, and what goes along with it.

use std::path::Path;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::{CONFIGURATION, Failed, Shared, UNWELL};
use crate::config::edit::EditError;
use crate::control::{Client, Request};
use crate::object::IntegrationName;

use change::Switch;

mod add;
mod change;
mod draft;
mod look;
mod questions;
mod rename;
mod repoint;
mod sample;

/// Look at integrations, and change them.
#[derive(Debug, Args)]
pub struct Integration {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make one: from a sample file to a table that was tried before it is written.
    ///
    /// At a terminal it asks for what no flag says, and the sample proposes answers. Without one nothing is guessed. The
    /// sample is tried as `gristmill test` does, the table is shown, and only then it is written.
    #[command(after_help = "\
In a script:
  gristmill integration add acme --bucket acme-exports --prefix daily/ --sample newest \\
    --identifier \"Account ID=crm_id\" --field \"ARR=arr:currency\" \\
    --product Core --period monthly --date Month --metric \"API calls=api_calls:sum\" --yes

What has no flag is written by hand afterwards: /usr/share/doc/gristmill/gristmill.toml has every key.")]
    Add(Box<add::Add>),
    /// List all integrations: where each looks, and what it is doing while a daemon runs.
    List,
    /// Show one: how it is written, what holds for it, what it is doing, and what can be done with it.
    Show {
        /// Its name.
        integration: IntegrationName,
    },
    /// Change keys of its table. Comments and order stay, and nothing is written that would be refused.
    Edit(change::Change),
    /// Switch it off: `enabled = false` in its table. `pause` does without the configuration.
    Disable {
        /// Its name.
        integration: IntegrationName,
    },
    /// Switch it on again.
    Enable {
        /// Its name.
        integration: IntegrationName,
    },
    /// Take its table out of the configuration. What it has taken is kept, in the ledger and in the destinations.
    Delete {
        /// Its name.
        integration: IntegrationName,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
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
    /// Say that its files were copied or moved to another bucket, prefix or connection, with the same names behind the
    /// prefix. What it has taken goes along, and nothing is taken again.
    ///
    /// The table in the configuration gets the new place and `moved_from`, the former one; everything else in the file stays
    /// as it is. By that the ledger, the destinations and the reject files follow: now, or at the next start if this is cut
    /// off. Where the place was changed by hand already, the name alone is enough.
    #[command(after_help = "\
Where the file cannot be written, give the table the new `connection`, `bucket` and `prefix` by hand, add
`moved_from = { connection = \"…\", bucket = \"…\", prefix = \"…\" }`, and reload or start the daemon: that does the same.")]
    Repoint(repoint::Repoint),
}

impl Integration {
    pub fn run(self, shared: &Shared) -> Result<(), Failed> {
        match self.command {
            Command::Add(wish) => add::add(shared, *wish),
            Command::List => look::list(shared),
            Command::Show { integration } => look::show(shared, &integration),
            Command::Edit(wish) => change::edit(shared, wish),
            Command::Disable { integration } => change::switch(shared, &integration, Switch::Off),
            Command::Enable { integration } => change::switch(shared, &integration, Switch::On),
            Command::Delete { integration, yes } => change::delete(shared, &integration, yes),
            Command::Rename { from, to } => rename::rename(shared, &from, &to),
            Command::Repoint(wish) => repoint::repoint(shared, wish),
        }
    }
}

/// Takes the file that was written into a daemon, as a reload would.
fn reload(runtime_directory: &Path) -> Result<(), Failed> {
    if let Some(client) = Client::connect(runtime_directory)? {
        client.ask(&Request::Reload, |_| {})?;
    }
    Ok(())
}

/// Has the ledger, the destinations and the reject files follow.
fn settle(shared: &Shared, integration: &IntegrationName) -> Result<Value, Failed> {
    super::ask(shared, Request::SettleNames { integration: integration.clone() }, |_| {})
}

/// Why the file was left as it is, and how the same is done by hand where the command cannot.
fn complaint(error: &EditError, by_hand: impl FnOnce() -> String) -> Failed {
    let hint = match error {
        EditError::Write { .. } | EditError::Unusual { .. } => Some(by_hand()),
        EditError::Missing { .. } | EditError::Taken { .. } | EditError::Refused(_) => {
            Some("gristmill check".to_owned())
        }
        EditError::Config(_) | EditError::Syntax { .. } | EditError::Elsewhere { .. } | EditError::Changed { .. } => {
            None
        }
    };
    Failed::of(if error.is_write() { UNWELL } else { CONFIGURATION }, error).hint(hint)
}
