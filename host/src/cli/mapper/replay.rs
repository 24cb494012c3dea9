//! `gristmill mapper replay`: a call that the daemon saved because a mapper failed on it, made again.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::super::output::{Paint, printable, table};
use super::super::{Failed, Shared, UNWELL, load, output};
use super::underline::underlined;
use super::{host, read, test, trial};
use crate::author::{Failing, Replayed, Replaying, replay};
use crate::events::Chain;
use crate::failed_call::{self, CallHead, FailedCall, SavedCall, Saving, Step};
use crate::mapper::{Fuel, LogLevel, Mapper};
use crate::worker::Bytes;

/// See a mapper fail again, on a call that the daemon saved (`save_failed` in `[mappers.NAME]`).
///
/// The table is opened and the call is made, with the rows, the settings and the limits of then, in a new instance: what the
/// mapper had kept of the batches before is not there. Where the mapper fails as before, that is said with the row that does
/// it; otherwise the records are printed as `mapper test` does. Exits 1 when the mapper fails or refuses the file.
#[derive(Debug, Args)]
#[command(after_help = "\
  gristmill mapper replay --list
  gristmill mapper replay
  gristmill mapper replay --mapper mended.wasm")]
pub struct Replay {
    /// The saved call; the newest one in the state directory unless it is named.
    file: Option<PathBuf>,
    /// Show what is saved, the newest first.
    #[arg(long, conflicts_with_all = ["file", "mapper"])]
    list: bool,
    /// Another component; the configured one of the same name unless it is named.
    #[arg(long, value_name = "FILE")]
    mapper: Option<PathBuf>,
}

impl Replay {
    pub fn run(self, shared: &Shared) -> Result<(), Failed> {
        if self.list {
            list(shared, &saved(shared)?);
            return Ok(());
        }
        let path = match self.file {
            Some(path) => path,
            None => newest(shared)?,
        };
        let (call, saving) = failed_call::read(&path).map_err(|error| Failed::of(UNWELL, &error))?;
        let component = match self.mapper {
            Some(component) => component,
            None => configured(shared, &call.head.mapper)?,
        };
        let (host, _scratch) = host(Fuel::Uncounted)?;
        let mut limits = call.head.limits;
        // A busy machine is no reason to give up here.
        limits.compile.wall = trial::PATIENCE;
        let mapper = host.try_out(&call.head.mapper, &read(&component)?, limits);
        let mapper = mapper.map_err(|error| trial::refused(&component, &error))?;
        if !shared.json {
            introduce(&call.head, &saving, &mapper);
        }
        let replayed = replay(&call, &mapper).map_err(|error| Failed::of(UNWELL, &error))?;
        match shared.json {
            true => output::print_json(&report(&path, &call, &saving, &mapper, &replayed)),
            false => say(&call, &mapper, &replayed),
        }
        match replayed.came {
            Replaying::Makes(_) => Ok(()),
            Replaying::Refuses(fault) => Err(Failed::new(UNWELL, format!("the mapper refuses the file: {fault}"))),
            Replaying::Fails(failing) => {
                let how =
                    if is_as_before(&call.head, &failing) { "as it did then" } else { "in another way than then" };
                let Failing { code, message, place, .. } = failing;
                let place = place.map(|place| format!(" {}", printable(&place))).unwrap_or_default();
                Err(Failed::new(UNWELL, format!("the mapper fails {how}{place}: {message} (`{code}`)")))
            }
        }
    }
}

fn saved(shared: &Shared) -> Result<Vec<SavedCall>, Failed> {
    let state = load(&shared.config)?.config.daemon.state_dir;
    let (saved, unreadable) = failed_call::saved(&failed_call::directory_of(&state)).map_err(|error| {
        Failed::of(UNWELL, &error)
            .hint(Some("the state directory belongs to the daemon's user; run this as that user or as root".to_owned()))
    })?;
    for error in unreadable {
        eprintln!("not shown: {}", printable(&Chain(&error).to_string()));
    }
    Ok(saved)
}

fn newest(shared: &Shared) -> Result<PathBuf, Failed> {
    let newest = saved(shared)?.into_iter().next().map(|call| call.path);
    newest.ok_or_else(|| {
        Failed::new(UNWELL, "no call is saved").hint(Some(
            "`save_failed = true` in `[mappers.NAME]` has the daemon save those on which the mapper fails".to_owned(),
        ))
    })
}

fn configured(shared: &Shared, mapper: &str) -> Result<PathBuf, Failed> {
    let mappers = load(&shared.config)?.config.mappers;
    let found = mappers.into_iter().find(|(name, _)| name.as_str() == mapper);
    found.map(|(_, mapper)| mapper.path).ok_or_else(|| {
        let message = format!("no mapper `{}` is configured", printable(mapper));
        Failed::new(UNWELL, message).hint(Some("--mapper names the component".to_owned()))
    })
}

fn is_as_before(head: &CallHead, failing: &Failing) -> bool {
    head.failure.code == failing.code && head.failure.place == failing.place
}

/// Whether the mapper had seen rows before, which are not here.
fn lacks_earlier(call: &FailedCall) -> bool {
    call.head.step == Step::Finish || call.batch.as_ref().is_some_and(|batch| batch.first_row > 0)
}

fn object(head: &CallHead) -> String {
    format!("s3://{}/{}", head.source.bucket, head.source.key)
}

/// How it failed, on one line.
fn failed_how(head: &CallHead) -> String {
    let place = head.failure.place.as_ref().map(|place| format!(" {place}")).unwrap_or_default();
    printable(&format!("{}{place}", head.failure.code))
}

fn list(shared: &Shared, saved: &[SavedCall]) {
    if shared.json {
        for SavedCall { path, size, saving, head } in saved {
            output::print_json(&json!({
                "file": path,
                "bytes": size,
                "saved_at": saving.at,
                "mapper": head.mapper,
                "sha256": head.sha256,
                "tenant": head.tenant,
                "integration": head.source.integration,
                "object": object(head),
                "call": head.step.to_string(),
                "failed": head.failure,
            }));
        }
        return;
    }
    let row = |SavedCall { path, saving, head, .. }: &SavedCall| {
        let facts = [format!("{:.0}", saving.at), head.mapper.clone(), object(head), failed_how(head)];
        facts.iter().map(|fact| printable(fact)).chain([path.display().to_string()]).collect()
    };
    let rows: Vec<Vec<String>> = saved.iter().map(row).collect();
    match rows.is_empty() {
        true => output::print("no call is saved"),
        false => output::print(table(&["SAVED", "MAPPER", "OBJECT", "FAILED", "FILE"], &rows)),
    }
}

/// What is about to be done again, on standard error: the records may go into a file.
fn introduce(head: &CallHead, saving: &Saving, mapper: &Mapper) {
    let (name, integration) = (printable(&head.mapper), printable(&head.source.integration));
    eprintln!(
        "{:.0}: mapper `{name}` failed in `{}` on {} of integration `{integration}`: {}",
        saving.at,
        head.step,
        printable(&object(head)),
        failed_how(head)
    );
    if mapper.digest() != head.sha256 {
        eprintln!("the component is another one than then: {}, not {}", mapper.digest(), head.sha256);
    }
    if head.contract != mapper.contract() {
        eprintln!("it was spoken to in version {} of the contract, not {}", head.contract, mapper.contract());
    }
}

fn say(call: &FailedCall, mapper: &Mapper, replayed: &Replayed) {
    let paint = Paint::of(&std::io::stderr());
    for line in &replayed.log {
        eprintln!("log, {}: {}", level(line.level), printable(&line.message));
    }
    match &replayed.came {
        Replaying::Makes(made) => {
            made.lines.iter().for_each(output::print);
            test::say_rows(made);
        }
        Replaying::Fails(Failing { cells: Some(cells), place: Some(place), .. }) => {
            let (place, [row, underline]) = (printable(place), underlined(cells, None));
            eprintln!("{place} | {row}\n{} | {}", " ".repeat(place.len()), paint.red(&underline));
        }
        Replaying::Fails(_) | Replaying::Refuses(_) => {}
    }
    let memory = (replayed.spent.memory as u64).next_multiple_of(1 << 16);
    eprintln!(
        "processor time: {:.1?}; time: {:.1?}; memory: {} of {}",
        replayed.spent.processor,
        replayed.took,
        Bytes(memory),
        Bytes(mapper.limits().memory as u64)
    );
    if lacks_earlier(call) {
        eprintln!("the rows before these are not here: what the mapper had kept of them, it did not have now");
    }
}

fn level(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warn => "warn",
        LogLevel::Error => "error",
    }
}

fn report(path: &Path, call: &FailedCall, saving: &Saving, mapper: &Mapper, replayed: &Replayed) -> Value {
    let head = &call.head;
    let (outcome, failing, fault, made) = match &replayed.came {
        Replaying::Makes(made) => ("records", None, None, Some(made)),
        Replaying::Refuses(fault) => ("refused", None, Some(fault), None),
        Replaying::Fails(failing) if is_as_before(head, failing) => ("same_failure", Some(failing), None, None),
        Replaying::Fails(failing) => ("another_failure", Some(failing), None, None),
    };
    let log = replayed.log.iter().map(|line| json!({ "level": level(line.level), "line": line.message }));
    json!({
        "file": path,
        "saved_at": saving.at,
        "mapper": head.mapper,
        "sha256": mapper.digest(),
        "tenant": head.tenant,
        "integration": head.source.integration,
        "object": object(head),
        "call": head.step.to_string(),
        "failed": { "sha256": head.sha256, "code": head.failure.code, "message": head.failure.message, "place": head.failure.place },
        "without_earlier_rows": lacks_earlier(call),
        "outcome": outcome,
        "failure": failing.map(|Failing { code, message, place, cells }| {
            json!({ "code": code, "message": message, "place": place, "cells": cells })
        }),
        "fault": fault.map(ToString::to_string),
        "rows": made.map(|made| made.rows),
        "warnings": made.map(|made| made.warnings),
        "records": made.map(|made| made.records),
        "lines": made.map(|made| made.lines.as_slice()).unwrap_or_default(),
        "processor_seconds": replayed.spent.processor.as_secs_f64(),
        "seconds": replayed.took.as_secs_f64(),
        "memory": replayed.spent.memory,
        "log": log.collect::<Vec<_>>(),
    })
}
