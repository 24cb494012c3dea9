//! `gristmill integration list|show`: what the configuration says of integrations, and what they are doing.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::cli::output::{Paint, printable, text};
use crate::cli::{CONFIGURATION, Failed, Shared, load, output};
use crate::config::edit::Edit;
use crate::config::{Integration, Loaded};
use crate::control::{Client, Request};
use crate::object::IntegrationName;

/// All of them, those that are switched off or have a problem as well.
pub(super) fn list(shared: &Shared) -> Result<(), Failed> {
    let loaded = load(&shared.config)?;
    let doing = doing(&loaded)?;
    let names = Edit::open(&shared.config).map_err(|error| Failed::of(CONFIGURATION, &error))?.names("integrations");
    let all: Vec<Value> = names.iter().map(|name| line(&loaded, &doing, name)).collect();
    if shared.json {
        output::print_json(&json!({ "integrations": all }));
        return Ok(());
    }
    let cells =
        |one: &Value| ["name", "tenant", "connection", "place", "state"].map(|key| printable(text(one, key))).to_vec();
    let rows: Vec<Vec<String>> = all.iter().map(cells).collect();
    if rows.is_empty() {
        output::print("there is none; gristmill integration add makes one");
        return Ok(());
    }
    output::print(output::table(&["name", "tenant", "connection", "place", "state"], &rows));
    Ok(())
}

/// One of them, with everything that holds for it.
pub(super) fn show(shared: &Shared, name: &IntegrationName) -> Result<(), Failed> {
    let loaded = load(&shared.config)?;
    let mut edit = Edit::open(&shared.config).map_err(|error| Failed::of(CONFIGURATION, &error))?;
    let table = edit.table("integrations", name.as_str()).map_err(|error| Failed::of(CONFIGURATION, &error))?;
    let (file, written) = (table.file().display().to_string(), table.text());
    let mut shown = line(&loaded, &doing(&loaded)?, name.as_str());
    let settings = loaded.config.integration(name).and_then(|settings| serde_json::to_value(settings).ok());
    let commands = commands(name);
    if shared.json {
        if let Some(fields) = shown.as_object_mut() {
            fields.insert("file".to_owned(), file.into());
            fields.insert("settings".to_owned(), settings.into());
            fields.insert("commands".to_owned(), commands.iter().map(|(command, _)| command.as_str()).collect());
        }
        output::print_json(&shown);
        return Ok(());
    }
    let paint = Paint::of(&std::io::stdout());
    output::print(paint.bold(name.as_str()));
    output::print(format!("  state: {}", printable(text(&shown, "state"))));
    for (what, key) in [("why", "reason"), ("hint", "hint")] {
        if !text(&shown, key).is_empty() {
            output::print(format!("  {what}: {}", printable(text(&shown, key))));
        }
    }
    output::print(format!("  place: {} over `{}`", printable(text(&shown, "place")), text(&shown, "connection")));
    output::print(format!("  file: {}", printable(&file)));
    output::print("");
    output::print(paint.bold("as it is written"));
    output::print(written.trim_end());
    let mut effective = Vec::new();
    flatten("", settings.as_ref().unwrap_or(&Value::Null), &mut effective);
    if !effective.is_empty() {
        output::print("");
        output::print(paint.bold("what holds"));
        effective.iter().for_each(output::print);
    }
    output::print("");
    output::print(paint.bold("commands"));
    let width = commands.iter().map(|(command, _)| command.len()).max().unwrap_or_default();
    for (command, what) in &commands {
        output::print(format!("  {command:width$}  {what}"));
    }
    Ok(())
}

/// What each integration of a running daemon is doing; none without one.
fn doing(loaded: &Loaded) -> Result<Option<BTreeMap<String, Value>>, Failed> {
    let Some(client) = Client::connect(&loaded.config.daemon.runtime_dir)? else { return Ok(None) };
    let status = client.ask(&Request::Status, |_| {})?;
    let all = status.get("integrations").and_then(Value::as_array).cloned().unwrap_or_default();
    Ok(Some(all.into_iter().map(|one| (text(&one, "integration").to_owned(), one)).collect()))
}

fn line(loaded: &Loaded, doing: &Option<BTreeMap<String, Value>>, name: &str) -> Value {
    let known = |settings: &BTreeMap<IntegrationName, Integration>| {
        settings.values().find(|settings| settings.name.as_str() == name).cloned()
    };
    let (active, off) = (known(&loaded.config.integrations), known(&loaded.config.switched_off));
    let path = format!("integrations.{name}");
    let problem = loaded.problems.iter().find(|problem| {
        problem.path.strip_prefix(&path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    });
    let at_work = doing.as_ref().and_then(|all| all.get(name));
    let state = match (&active, &off, at_work) {
        (_, _, Some(at_work)) => text(at_work, "activity"),
        (Some(_), _, None) if doing.is_none() => "no daemon runs",
        (Some(_), _, None) => "not loaded yet",
        (None, Some(_), None) => "switched off",
        (None, None, None) => "has a problem",
    };
    let settings = active.as_ref().or(off.as_ref());
    let reason = at_work.and_then(|at_work| at_work.get("reason").cloned()).filter(|reason| !reason.is_null());
    let hint = at_work.and_then(|at_work| at_work.get("hint").cloned()).filter(|hint| !hint.is_null());
    json!({
        "name": name,
        "tenant": settings.map(|settings| &settings.tenant),
        "connection": settings.map(|settings| &settings.connection),
        "bucket": settings.map(|settings| &settings.bucket),
        "prefix": settings.map(|settings| &settings.prefix),
        "place": settings.map(|settings| format!("s3://{}/{}", settings.bucket, settings.prefix)),
        "enabled": off.is_none(),
        "state": state,
        "reason": reason.or_else(|| problem.map(|problem| problem.message.clone().into())),
        "hint": hint.or_else(|| problem.map(|_| "gristmill check".into())),
    })
}

/// A line for each value, under its path.
fn flatten(path: &str, value: &Value, lines: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                flatten(&if path.is_empty() { key.clone() } else { format!("{path}.{key}") }, value, lines);
            }
        }
        Value::Null => {}
        Value::String(text) => lines.push(format!("  {path}: {}", printable(text))),
        other => lines.push(format!("  {path}: {other}")),
    }
}

/// What can be done with it.
fn commands(name: &IntegrationName) -> Vec<(String, &'static str)> {
    [
        ("poll", "begin a pass now"),
        ("test", "FILE or s3://BUCKET/KEY: what a file would become"),
        ("explain", "KEY: why a file was or was not taken"),
        ("ledger list", "what became of each file"),
        ("replay", "--prefix PREFIX: take files again"),
        ("pause", "begin no more passes; `resume` ends that"),
        ("integration edit", "--set KEY=VALUE"),
        ("integration repoint", "--bucket BUCKET: its files were moved"),
        ("integration disable", "switch it off in the configuration"),
    ]
    .map(|(command, what)| (format!("gristmill {command} {name}"), what))
    .to_vec()
}
