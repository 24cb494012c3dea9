//! `kill -9` at a hundred moments: nothing is lost and nothing doubled (I1, I3).
//!
//! Two integrations take the same fifty files, one to SQLite and one to files in two forms. Whenever the process has been
//! killed, its crash image is looked at from a copy, so that the next start and nobody else recovers it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use gristmill_tests::process::{BUCKET, Bed, Process, command, files_below, lines_of_json};
use rusqlite::{Connection, types::Value as Cell};
use rustix::process::{Signal, kill_process};
use serde_json::Value;

const FILES: usize = 50;
const KILLS: usize = 100;
/// Every run of this test kills at the same moments, as far as clocks allow.
const SEED: u64 = 0x6772_6973_746d_696c;

const MAPPING: &str = r#"
[integrations.INTEGRATION]
connection = "acme"
bucket = "exports"
destination = DESTINATION
matching = { on_no_match = "create" }
identifiers = [{ column = "Account ID", match = "crm_id" }]
fields = [
  { column = "Name", field = "name", type = "text" },
  { column = "ARR", field = "arr", type = "currency", unit = "EUR" },
]
usage = [{ product = "Core", period = "monthly", date = { column = "Month" }, metrics = [
  { column = "MAU", metric = "mau" },
  { column = "Calls", metric = "calls", aggregate = "sum" },
] }]
"#;

fn parts() -> String {
    let integration =
        |name: &str, destination: &str| MAPPING.replace("INTEGRATION", name).replace("DESTINATION", destination);
    let destinations = "[destinations.store]\nsqlite = {}\n[destinations.lines]\nfiles = { path = \"lines\" }\n\
                        [destinations.columns]\nfiles = { path = \"columns\", format = \"parquet\" }\n";
    let to_lines = integration("to-lines", "[\"lines\", \"columns\"]");
    format!("{destinations}{}{to_lines}", integration("to-store", "\"store\""))
}

/// Files that meet in the same accounts, values and usage, so that a doubled or lost one shows; every seventh row of
/// every third file is a reject.
fn fill(bed: &Bed) {
    let day = |file: usize| SystemTime::UNIX_EPOCH + Duration::from_secs(1_760_000_000 + 3_600 * (file as u64 % 17));
    for file in 0..FILES {
        let mut text = "Account ID,Name,ARR,Month,MAU,Calls\n".to_owned();
        for row in 0..20 {
            let account = (file * 7 + row * 3) % 90;
            let revenue = if file % 3 == 0 && row % 7 == 0 { "much".to_owned() } else { format!("{file}{row}.25") };
            let month = 1 + (file + row) % 12;
            writeln!(text, "A{account},Account {account} of {file},{revenue},2025-{month:02}-03,{row},{file}").unwrap();
        }
        let key = format!("daily/{file:02} of {FILES}.csv");
        bed.server.put(BUCKET, &key, text).unwrap();
        bed.server.set_last_modified(BUCKET, &key, day(file)).unwrap();
    }
}

/// What a run leaves behind, by natural keys. Rows stand as often as they are there.
#[derive(Debug, PartialEq)]
struct Left {
    store: BTreeMap<&'static str, Vec<String>>,
    lines: Vec<(PathBuf, String)>,
    columns: Vec<(PathBuf, String)>,
    rejects: Vec<(PathBuf, String)>,
    ledger: BTreeSet<String>,
}

const QUERIES: [(&str, &str); 7] = [
    ("accounts", "SELECT crm_id, name, domains FROM account_overview"),
    ("values", "SELECT crm_id, field, value, integration, key, etag, generation, as_of FROM account_field_values"),
    (
        "usage",
        "SELECT crm_id, product, metric, period, period_start, value, objects, key, etag, generation FROM usage_records",
    ),
    (
        "contributions",
        "SELECT o.crm_id, s.metric, u.period_start, u.value, u.samples, u.last_date, u.position, u.counts, h.key
         FROM usage_contributions u JOIN account_overview o ON o.account_id = u.account
         JOIN series s ON s.id = u.series JOIN ingestion_history h USING (ingestion)",
    ),
    (
        "field contributions",
        "SELECT o.crm_id, f.key, c.value, c.clears, c.write_mode, h.key
         FROM account_contributions c JOIN account_overview o ON o.account_id = c.account
         JOIN fields f ON f.id = c.field JOIN ingestion_history h USING (ingestion)",
    ),
    ("rejects", "SELECT key, table_index, line, column_name, value, code, message FROM rejected_rows"),
    (
        "ingestions",
        "SELECT integration, key, etag, generation, effective_time, arrival, replaced_by, rows_read, rows_rejected, rejects,
         mapping, content FROM ingestion_history",
    ),
];

fn left(bed: &Bed) -> Left {
    let state = bed.state();
    let store = Connection::open(state.join("store/default.db")).unwrap();
    let checked: String = store.query_one("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(checked, "ok");
    // What is no text is told apart by its hash.
    let text = |content: Vec<u8>| match String::from_utf8(content) {
        Ok(text) => text,
        Err(other) => blake3::hash(other.as_bytes()).to_string(),
    };
    let texts = |directory: &str| {
        files_below(&state.join(directory)).into_iter().map(|(path, content)| (path, text(content))).collect::<Vec<_>>()
    };
    Left {
        store: QUERIES.map(|(what, query)| (what, rows(&store, query))).into(),
        lines: texts("lines"),
        columns: texts("columns"),
        rejects: texts("rejects"),
        ledger: states(&bed.json(&["ledger", "list"]))
            .into_iter()
            .map(|(at, state)| format!("{at:?} {state}"))
            .collect(),
    }
}

fn rows(store: &Connection, query: &str) -> Vec<String> {
    let mut statement = store.prepare(query).unwrap();
    let columns = statement.column_count();
    let cells = statement
        .query_map([], |row| (0..columns).map(|column| row.get::<_, Cell>(column)).collect::<Result<Vec<_>, _>>());
    let mut rows: Vec<String> = cells.unwrap().map(|row| format!("{:?}", row.unwrap())).collect();
    rows.sort();
    rows
}

/// Integration and key.
type Place = (String, String);

fn place(integration: &Value, key: &Value) -> Place {
    (integration.as_str().unwrap().to_owned(), key.as_str().unwrap().to_owned())
}

/// What a ledger says of each object; `new` for those without a state.
fn states(entries: &[Value]) -> BTreeMap<Place, String> {
    let state = |entry: &Value| entry["state"].as_str().unwrap_or("new").to_owned();
    entries.iter().map(|entry| (place(&entry["integration"], &entry["object"]["key"]), state(entry))).collect()
}

/// A crash image as its stores and its ledger show it.
#[derive(Default)]
struct Image {
    /// What a store has confirmed.
    confirmed: BTreeSet<Place>,
    /// What the second place of files has confirmed.
    copied: BTreeSet<Place>,
    /// What the ledger has, and in which state.
    ledger: BTreeMap<Place, String>,
}

impl Image {
    /// Looks at copies.
    fn of(bed: &Bed) -> Self {
        let copy = tempfile::tempdir().unwrap();
        let state = copy.path().join("state");
        fs::create_dir_all(state.join("store")).unwrap();
        for file in ["ledger.redb", "store/default.db", "store/default.db-wal"] {
            if bed.state().join(file).exists() {
                fs::copy(bed.state().join(file), state.join(file)).unwrap();
            }
        }
        let mut image = Self::default();
        if let Ok(store) = Connection::open(state.join("store/default.db"))
            && let Ok(mut statement) = store.prepare("SELECT integration, key FROM ingestion_history")
        {
            let places = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
            image.confirmed.extend(places.map(Result::unwrap));
        }
        image.confirmed.extend(manifests(bed, "lines"));
        image.copied.extend(manifests(bed, "columns"));
        let config = copy.path().join("gristmill.toml");
        bed.configure_in(&state, &config, "", &parts());
        let listed = command(&config, &["ledger", "list", "--json"]).output().unwrap();
        assert!(listed.status.success(), "the ledger cannot be read after a kill: {listed:?}");
        image.ledger = states(&lines_of_json(&listed.stdout));
        image
    }

    fn completed(&self) -> BTreeSet<Place> {
        self.ledger.iter().filter(|(_, state)| *state == "completed").map(|(place, _)| place.clone()).collect()
    }
}

/// What a place of files has confirmed.
fn manifests(bed: &Bed, directory: &str) -> Vec<Place> {
    let files = files_below(&bed.state().join(directory).join("default")).into_iter();
    let manifests = files.filter(|(path, _)| path.ends_with("ingestion.json"));
    let manifests = manifests.map(|(_, content)| serde_json::from_slice::<Value>(&content).unwrap());
    manifests.map(|found| place(&found["identity"]["integration"], &found["object"]["key"])).collect()
}

/// When to kill.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// As soon as so many merges were announced.
    Merged(u32),
    /// So long after so many fetches were announced: while files are decoded, mapped, staged and merged.
    Fetched(u32, Duration),
    /// So long after the start.
    After(Duration),
}

/// Where a kill found the process, from what it left and from what it had announced.
fn stage(before: &Image, after: &Image, log: &[Value]) -> &'static str {
    let unrecorded = |image: &Image| image.confirmed.difference(&image.completed()).cloned().collect::<BTreeSet<_>>();
    let fetched = log.iter().filter(|line| line["event"] == "object_fetched").count();
    let merged = log.iter().filter(|line| line["event"] == "object_merged").count();
    // Those that an earlier kill left are not this one's.
    if unrecorded(after).difference(&before.confirmed).next().is_some() {
        "between the store's merge and the ledger's commit"
    } else if fetched > merged {
        "between fetch and merge"
    } else if after.ledger.len() > before.ledger.len() && fetched == 0 {
        "between the first listing and the first fetch"
    } else if log.is_empty() {
        "before the first object"
    } else {
        "between two objects"
    }
}

/// I1, I3
#[test]
fn a_run_killed_at_a_hundred_moments_leaves_what_an_undisturbed_one_leaves() {
    let bed = Bed::new();
    fill(&bed);
    bed.configure("", &parts());
    let began = Instant::now();
    let mut undisturbed = Process::start(once(&bed));
    assert_eq!(undisturbed.ended(), 0, "{}", undisturbed.text());
    println!("undisturbed: {} ms", began.elapsed().as_millis());
    let expected = left(&bed);
    assert_eq!(expected.ledger.len(), 2 * FILES);
    assert!(expected.ledger.iter().all(|entry| entry.ends_with(" completed")), "{:?}", expected.ledger);
    assert!(expected.store.values().all(|rows| !rows.is_empty()), "every query finds something to compare");

    let mut random = Random(SEED);
    let mut kills: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut killed, mut rounds, mut first_merge) = (0, 0, Duration::from_millis(200));
    while killed < KILLS {
        // A run that was completed is begun anew; only the compiled mappers stay.
        for part in ["ledger.redb", "store", "lines", "columns", "rejects", "staging", "spool"] {
            let path = bed.state().join(part);
            if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
        }
        rounds += 1;
        let mut before = Image::default();
        loop {
            let moment = match random.below(5) {
                _ if killed >= KILLS => Moment::After(Duration::MAX),
                0 | 1 => Moment::Merged(1 + random.below(3) as u32),
                2 | 3 => Moment::Fetched(1 + random.below(4) as u32, Duration::from_micros(random.below(20_000))),
                _ => Moment::After(first_merge.mul_f64(random.below(1_500) as f64 / 1_000.0)),
            };
            let (code, log, merged_after) = killed_at(&bed, moment);
            first_merge = merged_after.unwrap_or(first_merge);
            if code == 0 {
                break;
            }
            assert_eq!(code, -9, "{log:?}");
            killed += 1;
            let after = Image::of(&bed);
            let too_early: Vec<_> = after.completed().difference(&after.confirmed).cloned().collect();
            assert!(too_early.is_empty(), "I1: completed and not confirmed: {too_early:?}");
            let completed = after.completed();
            let not_copied = completed.iter().filter(|(integration, _)| integration == "to-lines");
            let not_copied: Vec<_> = not_copied.filter(|place| !after.copied.contains(*place)).collect();
            assert!(not_copied.is_empty(), "I1: completed and not confirmed by both: {not_copied:?}");
            let ahead: Vec<_> = after.copied.difference(&after.confirmed).collect();
            assert!(ahead.is_empty(), "the deciding one comes first: {ahead:?}");
            let lost: Vec<_> = before.confirmed.difference(&after.confirmed).collect();
            assert!(lost.is_empty(), "confirmed once, and no longer: {lost:?}");
            *kills.entry(stage(&before, &after, &log)).or_default() += 1;
            before = after;
        }
        assert_same(&left(&bed), &expected);
    }
    println!("{killed} kills in {rounds} runs, {} s:", began.elapsed().as_secs());
    for (stage, count) in &kills {
        println!("{count:>4} {stage}");
    }
    let in_between = kills.get("between the store's merge and the ledger's commit").copied().unwrap_or_default();
    assert!(in_between >= 20, "{in_between} kills between the store's merge and the ledger's commit");
}

fn once(bed: &Bed) -> std::process::Command {
    let mut command = bed.command(&["run", "--once"]);
    command.env("GRISTMILL_LOG", "gristmill=debug");
    command
}

/// Runs until a moment, or to the end. Gives the exit code, the log, and how long it took to the first merge.
fn killed_at(bed: &Bed, moment: Moment) -> (i32, Vec<Value>, Option<Duration>) {
    let began = Instant::now();
    let (merge_seen, first_merge) = std::sync::mpsc::channel();
    let (mut fetches, mut merges) = (0, 0);
    let mut process = Process::start_watched(once(bed), move |pid, line| {
        fetches += u32::from(line.contains("\"object_fetched\""));
        merges += u32::from(line.contains("\"object_merged\""));
        if merges == 1 {
            let _ = merge_seen.send(began.elapsed());
        }
        match moment {
            Moment::Merged(count) if merges == count => {}
            Moment::Fetched(count, delay) if fetches == count => std::thread::sleep(delay),
            Moment::Merged(_) | Moment::Fetched(..) | Moment::After(_) => return,
        }
        // It may have ended in between.
        let _ = kill_process(pid, Signal::KILL);
    });
    if let Moment::After(delay) = moment
        && let Some(at) = began.checked_add(delay)
    {
        while Instant::now() < at && !process.has_ended() {
            std::thread::sleep(Duration::from_micros(200));
        }
        let _ = kill_process(process.pid(), Signal::KILL);
    }
    let code = process.ended();
    (code, std::mem::take(&mut process.log), first_merge.try_recv().ok())
}

#[track_caller]
fn assert_same(found: &Left, expected: &Left) {
    for (what, rows) in &expected.store {
        let found = &found.store[what];
        let (lost, extra) = differences(found, rows);
        assert!(lost.is_empty() && extra.is_empty(), "{what}: lost {lost:#?}, too many {extra:#?}");
    }
    for (found, expected) in [(&found.lines, &expected.lines), (&found.columns, &expected.columns)] {
        let (lost, extra) = differences(found, expected);
        assert!(lost.is_empty() && extra.is_empty(), "files: lost {lost:#?}, too many {extra:#?}");
    }
    assert_eq!(found.rejects, expected.rejects);
    assert_eq!(found.ledger, expected.ledger);
}

/// What is missing and what is too much, both as often as it is.
fn differences<'a, T: Ord>(found: &'a [T], expected: &'a [T]) -> (Vec<&'a T>, Vec<&'a T>) {
    let mut counts: BTreeMap<&T, i64> = BTreeMap::new();
    expected.iter().for_each(|row| *counts.entry(row).or_default() += 1);
    found.iter().for_each(|row| *counts.entry(row).or_default() -= 1);
    let of = |wrong: fn(i64) -> bool| counts.iter().filter(|(_, n)| wrong(**n)).map(|(row, _)| *row).take(3).collect();
    (of(|count| count > 0), of(|count| count < 0))
}

/// SplitMix64: small, seeded, good enough to choose moments.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}
