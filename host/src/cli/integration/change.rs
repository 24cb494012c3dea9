//! `gristmill integration edit|enable|disable|delete`: changes of an integration's table, and nothing else.

use std::io::IsTerminal;

use clap::Args;
use serde_json::json;
use toml_edit::Value;

use super::questions::Questions;
use super::{complaint, reload};
use crate::cli::{Failed, Shared, USAGE, load, output};
use crate::config::edit::{Edit, EditError, TableEdit};
use crate::object::IntegrationName;

/// Keys that say where files are: another place is another matter for what was taken.
const PLACE: [&str; 3] = ["connection", "bucket", "prefix"];

#[derive(Debug, Args)]
pub(super) struct Change {
    /// Its name.
    integration: IntegrationName,
    /// A key of its table and the value that it gets, as TOML; a text needs no quotes unless it would be read as
    /// something else: `poll_interval=15m`, `max_rejects=10`, `csv.delimiter=\";\"`. Any number of times.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = parse_setting)]
    settings: Vec<(String, Value)>,
    /// A key that is taken out, so that its default holds. Any number of times.
    #[arg(long = "unset", value_name = "KEY")]
    unset: Vec<String>,
}

/// `KEY=VALUE`, the value as TOML or else as the text that it is.
fn parse_setting(text: &str) -> Result<(String, Value), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    let value = value.trim();
    Ok((key.trim().to_owned(), value.parse().unwrap_or_else(|_| value.into())))
}

pub(super) fn edit(shared: &Shared, wish: Change) -> Result<(), Failed> {
    let Change { integration, settings, unset } = wish;
    if settings.is_empty() && unset.is_empty() {
        return Err(Failed::new(USAGE, "nothing to change").hint(Some(
            "say what: --set KEY=VALUE, or --unset KEY; `gristmill integration show` has the keys".to_owned(),
        )));
    }
    let moved = settings.iter().any(|(key, _)| PLACE.contains(&key.as_str()));
    let keys: Vec<String> = settings.iter().map(|(key, _)| key.clone()).chain(unset.iter().cloned()).collect();
    change(shared, &integration, |table| {
        for (key, value) in &settings {
            table.set(key, value.clone())?;
        }
        unset.iter().try_for_each(|key| table.unset(key).map(drop))
    })?;
    match shared.json {
        true => output::print_json(&json!({ "integration": integration, "changed": keys })),
        false => {
            output::print(format!("{integration}: {} changed", keys.join(", ")));
            if moved {
                output::print(format!(
                    "hint: where its files were moved there: gristmill integration repoint {integration}"
                ));
            }
        }
    }
    Ok(())
}

/// Switched on or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Switch {
    On,
    Off,
}

pub(super) fn switch(shared: &Shared, integration: &IntegrationName, to: Switch) -> Result<(), Failed> {
    change(shared, integration, |table| match to {
        Switch::Off => table.set("enabled", false),
        // The default needs no line, and a line that is there keeps its remark.
        Switch::On if table.contains("enabled") => table.set("enabled", true),
        Switch::On => Ok(()),
    })?;
    match (shared.json, to) {
        (true, _) => output::print_json(&json!({ "integration": integration, "enabled": to == Switch::On })),
        (false, Switch::On) => output::print(format!("{integration}: switched on")),
        (false, Switch::Off) => output::print(format!(
            "{integration}: switched off; files that it has begun are finished, and what it has taken is kept"
        )),
    }
    Ok(())
}

pub(super) fn delete(shared: &Shared, integration: &IntegrationName, yes: bool) -> Result<(), Failed> {
    let runtime_directory = load(&shared.config)?.config.daemon.runtime_dir;
    let by_hand = || format!("by hand: take `[integrations.{integration}]` out of its file, and reload the daemon");
    let mut edit = Edit::open(&shared.config).map_err(|error| complaint(&error, by_hand))?;
    let table = edit.table("integrations", integration.as_str()).map_err(|error| complaint(&error, by_hand))?;
    let file = table.file().display().to_string();
    let kept = "What the ledger and the destinations have of it is kept: an integration of this name that is added later \
                goes on from there.";
    if !yes {
        if !std::io::stdin().is_terminal() {
            let hint = format!("{kept} To do it without being asked: --yes");
            return Err(Failed::new(USAGE, "deleting wants a word from a person").hint(Some(hint)));
        }
        let mut person = Questions::on_terminal();
        person.say(&format!(
            "`[integrations.{integration}]` and all tables in it are taken out of `{file}`, with the comments in them."
        ));
        person.say(kept);
        if !person.agree("Delete it?", false)? {
            return Err(Failed::new(USAGE, "nothing was changed"));
        }
    }
    table.delete().and_then(|()| edit.write()).map_err(|error| complaint(&error, by_hand))?;
    reload(&runtime_directory)?;
    match shared.json {
        true => output::print_json(&json!({ "integration": integration, "deleted_from": file })),
        false => output::print(format!("{integration}: taken out of `{file}`. {kept}")),
    }
    Ok(())
}

/// Makes a change, if the configuration has no problem by it, and has a daemon take it.
fn change(
    shared: &Shared,
    integration: &IntegrationName,
    make: impl FnOnce(&mut TableEdit<'_>) -> Result<(), EditError>,
) -> Result<(), Failed> {
    let runtime_directory = load(&shared.config)?.config.daemon.runtime_dir;
    let edited = Edit::open(&shared.config).and_then(|mut edit| {
        make(&mut edit.table("integrations", integration.as_str())?)?;
        edit.write()
    });
    let by_hand = || format!("by hand: change `[integrations.{integration}]`, and reload the daemon");
    edited.map_err(|error| complaint(&error, by_hand))?;
    reload(&runtime_directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_toml_or_else_the_text_that_it_is() {
        let cases = [
            ("poll_interval=15m", "poll_interval", "\"15m\""),
            ("max_rejects = 10", "max_rejects", "10"),
            ("csv.delimiter=\";\"", "csv.delimiter", "\";\""),
            ("csv.delimiter=;", "csv.delimiter", "\";\""),
            ("include=[\"*.csv\"]", "include", "[\"*.csv\"]"),
            ("prefix=a=b/", "prefix", "\"a=b/\""),
            ("prefix=", "prefix", "\"\""),
        ];
        for (text, key, expected) in cases {
            let (found, value) = parse_setting(text).unwrap();
            assert_eq!((found.as_str(), value.to_string().as_str()), (key, expected), "{text}");
        }
        assert!(parse_setting("poll_interval").is_err());
    }
}
