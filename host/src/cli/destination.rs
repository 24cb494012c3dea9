//! `gristmill destination`: the stores that records go to.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::{Failed, Shared, output};
use crate::control::Request;
use crate::object::DestinationName;

/// Look after destinations.
#[derive(Debug, Args)]
pub struct Destination {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a destination's schema, or bring it to this version's. The daemon never does that by itself in a database
    /// that others have tables in, too.
    Migrate {
        /// The destination.
        destination: DestinationName,
    },
}

impl Destination {
    pub fn run(self, shared: &Shared) -> Result<(), Failed> {
        let Command::Migrate { destination } = self.command;
        let request = Request::DestinationMigrate { destination: destination.clone() };
        let answer = super::ask(shared, request, |_| {})?;
        if shared.json {
            output::print_json(&answer);
            return Ok(());
        }
        let version = |key| answer.get(key).and_then(Value::as_i64);
        output::print(match (version("from"), version("to")) {
            (Some(from), Some(to)) if from == to => format!("{destination}: schema version {to}, nothing to do"),
            (Some(0), Some(to)) => format!("{destination}: made the schema, version {to}"),
            (Some(from), Some(to)) => format!("{destination}: brought the schema from version {from} to {to}"),
            _ => format!("{destination}: nothing to do, it looks after its own schema"),
        });
        Ok(())
    }
}
