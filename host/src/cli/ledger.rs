//! `gristmill ledger` and `gristmill replay`: what happened to each object, and taking objects again.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use indicatif::HumanBytes;
use jiff::civil::Date;
use serde_json::Value;

use super::output::text;
use super::{Failed, LEDGER, Shared, UNWELL, load, output};
use crate::clock::{Clock, SystemClock};
use crate::control::{Adoption, Client, Reconcile, Request, Selection};
use crate::ledger::{Again, StateName};
use crate::object::{IntegrationName, ObjectKey};

/// Look into the ledger, the durable record of what happened to each object.
#[derive(Debug, Args)]
pub struct Ledger {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List objects and what happened to them.
    List {
        /// Only this integration's.
        integration: Option<IntegrationName>,
        /// Only objects in one of these states, with commas between them.
        #[arg(long = "state", value_name = "STATE", value_parser = parse_state, value_delimiter = ',')]
        states: Vec<StateName>,
        /// Only keys that begin so.
        #[arg(long, default_value = "")]
        prefix: String,
        /// Only objects that were completed under another mapping than today's. Needs the integration.
        #[arg(long, requires = "integration", conflicts_with_all = ["states", "prefix"])]
        stale: bool,
        /// At most so many.
        #[arg(long, default_value_t = 1_000)]
        limit: usize,
    },
    /// Show every version of one key.
    Show {
        /// The integration.
        integration: IntegrationName,
        /// The key.
        key: ObjectKey,
    },
    /// Take objects again at the next poll, as if they were new.
    Forget {
        /// The integration.
        integration: IntegrationName,
        #[command(flatten)]
        which: Which,
    },
    /// Take those objects again that are completed here and that the store never confirmed.
    ///
    /// That is so when a store was put back from an older backup, was lost, or is another one. The integration takes
    /// nothing until it is reconciled. Objects that the store knows stay as they are.
    Reconcile {
        /// The integration.
        integration: IntegrationName,
        /// Say which objects that would be; nothing is written.
        #[arg(long)]
        dry_run: bool,
    },
    /// Go on where an integration looks now, though it looked elsewhere before.
    ///
    /// An integration whose connection leads to another server, or that got another bucket, another connection or a prefix
    /// aside of its former one, takes nothing until this is said.
    Adopt {
        /// The integration.
        integration: IntegrationName,
        /// The objects are others: take every one anew. What was taken before stays, and a key that was taken is replaced.
        #[arg(long)]
        reingest: bool,
    },
    /// Write the whole ledger as lines of JSON.
    Export {
        /// Where to; standard output if none.
        file: Option<PathBuf>,
    },
    /// Read an export into an empty ledger. The daemon must not run.
    Import {
        /// The export.
        file: PathBuf,
    },
    /// Give room back to the file system that the ledger no longer needs. The daemon must not run.
    ///
    /// The ledger uses room again that becomes free in it, and never gives it back by itself.
    Compact,
}

/// Take objects again now, each exactly once.
///
/// What an object brought before is replaced in one transaction by what it brings now.
#[derive(Debug, Args)]
#[command(after_help = "\
After a mapping was mended, or accounts came that were missing before:
  gristmill replay acme-accounts --key daily/2026-10.csv
  gristmill replay acme-usage --unmatched")]
pub struct Replay {
    /// The integration.
    integration: IntegrationName,
    #[command(flatten)]
    which: Which,
    /// Say which objects that would be, and of the first what today's mapping would change; nothing is written.
    #[arg(long, requires = "stale")]
    dry_run: bool,
    /// Wait until a running daemon has taken them. On a terminal that is the default, with a bar.
    #[arg(long, conflicts_with = "no_wait")]
    wait: bool,
    /// Return at once, on a terminal too.
    #[arg(long)]
    no_wait: bool,
}

/// How many objects a dry run of a replay names, and of how many of them it looks up what would change.
const NAMED: usize = 100;
const COMPARED: usize = 3;

/// Which objects.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// This key.
    #[arg(long)]
    key: Option<ObjectKey>,
    /// All keys that begin so; `--prefix ''` for all there are.
    #[arg(long)]
    prefix: Option<String>,
    /// The keys last modified on this day or later, in the integration's time zone.
    #[arg(long, value_name = "DATE")]
    since: Option<Date>,
    /// The objects that were completed under another mapping than today's.
    #[arg(long)]
    stale: bool,
    /// The keys of which rows matched no account, or told of a user whom nobody knows: completed without them, or failed for
    /// them.
    #[arg(long)]
    unmatched: bool,
}

impl Which {
    fn selection(self) -> Selection {
        match self {
            Self { stale: true, .. } => Selection::Stale,
            Self { unmatched: true, .. } => Selection::Unmatched,
            Self { key: Some(key), .. } => Selection::Key(key),
            Self { since: Some(date), .. } => Selection::Since(date),
            Self { prefix, .. } => Selection::Prefix(prefix.unwrap_or_default()),
        }
    }
}

impl Ledger {
    pub fn run(self, shared: &Shared) -> Result<(), Failed> {
        match self.command {
            Command::List { integration: Some(integration), stale: true, limit, .. } => {
                let entries = collect(shared, Request::Stale { integration, limit, differences: 0 })?;
                show(&entries, shared)
            }
            Command::List { integration, states, prefix, limit, stale: _ } => {
                let entries = collect(shared, Request::LedgerList { integration, states, prefix, limit })?;
                show(&entries, shared)
            }
            Command::Show { integration, key } => {
                let named = format!("no version of `{}` is known", output::printable(key.as_str()));
                let entries = collect(shared, Request::LedgerShow { integration, key })?;
                match entries.is_empty() {
                    true => Err(Failed::new(UNWELL, named)),
                    false => show(&entries, shared),
                }
            }
            Command::Forget { integration, which } => again(shared, integration, which, Again::Every).map(drop),
            Command::Reconcile { integration, dry_run } => {
                reconcile(shared, integration, if dry_run { Reconcile::List } else { Reconcile::TakeAgain })
            }
            Command::Adopt { integration, reingest } => adopt(shared, integration, reingest),
            Command::Export { file } => export(shared, file),
            Command::Import { file } => import(shared, &file),
            Command::Compact => compact(shared),
        }
    }
}

impl Replay {
    pub fn run(self, shared: &Shared) -> Result<(), Failed> {
        if self.dry_run {
            return differences(shared, self.integration);
        }
        let waits = self.wait || super::draws_progress(shared) && !self.no_wait;
        let integration = self.integration.clone();
        let now = SystemClock.now();
        let asked = again(shared, self.integration, self.which, Again::Listed)?;
        match asked.by_daemon && waits && asked.keys > 0 {
            true => super::follow::follow(shared, &integration, asked.keys, now),
            false => Ok(()),
        }
    }
}

/// What was asked for again.
struct Asked {
    keys: u64,
    /// A daemon is running, and takes it.
    by_daemon: bool,
}

/// What a replay of stale objects would take, and change (R6).
fn differences(shared: &Shared, integration: IntegrationName) -> Result<(), Failed> {
    let mut entries = Vec::new();
    let request = Request::Stale { integration, limit: NAMED, differences: COMPARED };
    let last = super::ask(shared, request, |entry| entries.push(entry))?;
    if shared.json {
        entries.iter().for_each(output::print_json);
        output::print_json(&last);
        return Ok(());
    }
    for entry in &entries {
        match (entry.get("today"), entry.get("refused").and_then(Value::as_str)) {
            (Some(report), _) => super::test::show(report),
            (None, Some(refused)) => output::print(format!("{}: {}", key(entry), output::printable(refused))),
            (None, None) => output::print(format!("again: {}", key(entry))),
        }
    }
    let count = last.get("count").and_then(Value::as_u64).unwrap_or_default();
    output::print(match count {
        0 => "every completed object was made by today's mapping".to_owned(),
        1 => "one completed object was made by another mapping than today's; nothing was written".to_owned(),
        count => format!("{count} completed objects were made by another mapping than today's; nothing was written"),
    });
    Ok(())
}

fn again(shared: &Shared, integration: IntegrationName, which: Which, again: Again) -> Result<Asked, Failed> {
    let selection = which.selection();
    let running = Client::connect(&load(&shared.config)?.config.daemon.runtime_dir)?.is_some();
    let is_unmatched = selection == Selection::Unmatched;
    let request = Request::Again { integration, selection, again };
    let asked = super::ask(shared, request, |_| {})?;
    let keys = asked.get("keys").and_then(Value::as_u64).unwrap_or_default();
    let nothing = keys == 0;
    if nothing && !is_unmatched {
        return Err(Failed::new(UNWELL, "nothing matches: no such key has been listed yet"));
    }
    let done = Asked { keys, by_daemon: running };
    if shared.json {
        output::print_json(&asked);
        return Ok(done);
    }
    if nothing {
        output::print("no file has rows that matched no account, or an unknown user");
        return Ok(done);
    }
    let examples = asked.get("examples").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for object in examples {
        output::print(format!("again: {}", output::printable(text(object, "key"))));
    }
    output::print(match (running, again) {
        (true, Again::Listed) => "the daemon takes them now; `gristmill status` shows how far it is",
        (true, Again::Every) => "the daemon takes them at its next poll",
        (false, _) => "no daemon is running: `gristmill run --once` takes them",
    });
    Ok(done)
}

fn reconcile(shared: &Shared, integration: IntegrationName, wish: Reconcile) -> Result<(), Failed> {
    let mut named = 0;
    let last = super::ask(shared, Request::Reconcile { integration, wish }, |entry| {
        named += 1;
        match shared.json {
            true => output::print_json(&entry),
            false if named <= NAMED => output::print(format!("never confirmed: {}", key(&entry))),
            false => {}
        }
    })?;
    if shared.json {
        output::print_json(&last);
        return Ok(());
    }
    if named > NAMED {
        output::print(format!("never confirmed: {} more", named - NAMED));
    }
    let count = |what: &str| last.get(what).and_then(Value::as_u64).unwrap_or_default();
    output::print(match (count("count"), wish) {
        (0, _) => "the store confirmed every object that is completed here".to_owned(),
        (_, Reconcile::List) => "nothing was written".to_owned(),
        (_, Reconcile::TakeAgain) => format!("taken again if the bucket still has them: {}", count("again")),
    });
    if count("lost") > 0 {
        let lost = count("lost");
        output::print(format!("older versions that the bucket no longer has, and that are not in the store: {lost}"));
    }
    Ok(())
}

fn adopt(shared: &Shared, integration: IntegrationName, reingest: bool) -> Result<(), Failed> {
    let adoption = if reingest { Adoption::Reingest } else { Adoption::Keep };
    let adopted = super::ask(shared, Request::Adopt { integration, adoption }, |_| {})?;
    if shared.json {
        output::print_json(&adopted);
        return Ok(());
    }
    let again = adopted.get("again").and_then(Value::as_u64).unwrap_or_default();
    output::print(match (adoption, again) {
        (Adoption::Keep, _) => "it goes on there; what it has taken stays taken".to_owned(),
        (Adoption::Reingest, 0) => "it goes on there and takes everything".to_owned(),
        (Adoption::Reingest, again) => format!("it goes on there and takes everything; taken before: {again}"),
    });
    Ok(())
}

fn parse_state(name: &str) -> Result<StateName, String> {
    let known = StateName::ALL.into_iter().find(|state| state.as_str() == name);
    known.ok_or_else(|| format!("one of {}", StateName::ALL.map(StateName::as_str).join(", ")))
}

fn collect(shared: &Shared, request: Request) -> Result<Vec<Value>, Failed> {
    let mut items = Vec::new();
    super::ask(shared, request, |item| items.push(item))?;
    Ok(items)
}

fn show(entries: &[Value], shared: &Shared) -> Result<(), Failed> {
    if shared.json {
        entries.iter().for_each(output::print_json);
    } else if entries.is_empty() {
        output::print("no object is in the ledger that matches");
    } else {
        output::print(versions(entries));
    }
    Ok(())
}

/// Entries as a table. Generations and reasons stand in it where there are any.
pub fn versions(entries: &[Value]) -> String {
    let generation = |entry: &Value| entry.get("generation").map(Value::to_string).unwrap_or_default();
    let again = entries.iter().any(|entry| generation(entry) != "0");
    let reasons = entries.iter().any(|entry| !why(entry).is_empty());
    let mut headings = vec!["integration", "state", "last modified", "etag"];
    headings.extend(again.then_some("gen"));
    headings.push("key");
    headings.extend(reasons.then_some("why"));
    let rows: Vec<Vec<String>> = entries
        .iter()
        .map(|entry| {
            let object = entry.get("object").unwrap_or(&Value::Null);
            let mut row = vec![
                text(entry, "integration").to_owned(),
                state(entry),
                text(object, "last_modified").to_owned(),
                text(object, "etag").chars().take(8).collect(),
            ];
            row.extend(again.then(|| generation(entry)));
            row.push(key(entry));
            row.extend(reasons.then(|| why(entry)));
            row
        })
        .collect();
    output::table(&headings, &rows)
}

fn key(entry: &Value) -> String {
    output::printable(entry.get("object").map(|object| text(object, "key")).unwrap_or_default())
}

fn state(entry: &Value) -> String {
    match entry.get("state") {
        Some(Value::String(name)) => name.clone(),
        Some(Value::Object(state)) => state.keys().next().cloned().unwrap_or_default(),
        _ => "new".to_owned(),
    }
}

fn why(entry: &Value) -> String {
    let failure = entry.get("failure").map(|failure| text(failure, "message")).unwrap_or_default();
    let reason = entry.get("state").and_then(|state| state.get("skipped")).and_then(|skipped| skipped.get("reason"));
    match reason {
        Some(Value::String(reason)) => reason.clone(),
        Some(Value::Object(reason)) => reason.keys().next().cloned().unwrap_or_default(),
        _ if state(entry) == "completed" || failure.is_empty() => String::new(),
        _ => match confirmed(entry).as_str() {
            "" => output::printable(failure),
            names => format!("{names} has it: {}", output::printable(failure)),
        },
    }
}

/// The destinations that have it.
fn confirmed(entry: &Value) -> String {
    let names = entry.get("confirmed").and_then(Value::as_array).into_iter().flatten();
    names.filter_map(Value::as_str).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn export(shared: &Shared, file: Option<PathBuf>) -> Result<(), Failed> {
    let mut out: BufWriter<Box<dyn Write>> = BufWriter::new(match &file {
        Some(path) => Box::new(
            File::create_new(path)
                .map_err(|error| Failed::new(UNWELL, format!("cannot create `{}`: {error}", path.display())))?,
        ),
        None => Box::new(std::io::stdout()),
    });
    let mut written = Ok(());
    super::ask(shared, Request::LedgerExport, |line| {
        if written.is_ok() {
            written = writeln!(out, "{line}");
        }
    })?;
    written?;
    out.flush()?;
    Ok(())
}

/// The ledger's file, when no daemon has it.
fn path_without_daemon(shared: &Shared) -> Result<PathBuf, Failed> {
    let config = load(&shared.config)?.config;
    if Client::connect(&config.daemon.runtime_dir)?.is_some() {
        return Err(Failed::new(UNWELL, "the daemon is running").hint(Some("stop it first".to_owned())));
    }
    Ok(config.daemon.state_dir.join("ledger.redb"))
}

fn compact(shared: &Shared) -> Result<(), Failed> {
    let path = path_without_daemon(shared)?;
    let size = || std::fs::metadata(&path).map(|file| file.len());
    let before = size().map_err(|error| Failed::new(UNWELL, format!("cannot read `{}`: {error}", path.display())))?;
    crate::ledger::Ledger::compact(&path)
        .map_err(|error| Failed::of(LEDGER, &error).hint(error.hint().map(str::to_owned)))?;
    let after = size()?;
    if shared.json {
        output::print_json(&serde_json::json!({ "before": before, "after": after }));
    } else {
        output::print(format!("compacted: {} of {}", HumanBytes(after), HumanBytes(before)));
    }
    Ok(())
}

fn import(shared: &Shared, file: &PathBuf) -> Result<(), Failed> {
    let path = path_without_daemon(shared)?;
    let opened =
        File::open(file).map_err(|error| Failed::new(UNWELL, format!("cannot read `{}`: {error}", file.display())))?;
    let ledger = crate::ledger::Ledger::open(&path)
        .map_err(|error| Failed::of(LEDGER, &error).hint(error.hint().map(str::to_owned)))?;
    let imported = ledger.import(&mut BufReader::new(opened)).map_err(|error| Failed::of(LEDGER, &error))?;
    output::print(format!("imported: integrations {}, objects {}", imported.integrations, imported.objects));
    Ok(())
}
