//! Watching a daemon take what was asked for again.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use serde_json::Value;

use super::output::{self, text};
use super::{Failed, Shared, UNWELL};
use crate::control::Request;
use crate::ledger::StateName;
use crate::object::IntegrationName;

/// Between two looks, at the least. One reads the whole index of the ledger, so that a big one is looked at less often.
const LOOK: Duration = Duration::from_millis(200);
/// How many times as long as a look the pause after it is.
const PAUSE: u32 = 9;
/// After so many looks at an integration that waits for its next pass, what is left waits for that as well.
const PATIENCE: u32 = 10;

/// Waits until the objects that were asked for again have been worked on, with a bar where there is a terminal.
///
/// # Errors
/// When the integration is not at work, its pass leaves some for the next one, or some failed.
pub(super) fn follow(
    shared: &Shared,
    integration: &IntegrationName,
    keys: u64,
    asked: Timestamp,
) -> Result<(), Failed> {
    wait(shared, integration, keys)?;
    let request = Request::LedgerList {
        integration: Some(integration.clone()),
        states: vec![StateName::Failed, StateName::Quarantined],
        prefix: String::new(),
        limit: usize::MAX,
    };
    let (mut failed, mut first) = (0, None);
    super::ask(shared, request, |entry| {
        let changed = text(&entry, "changed").parse::<Timestamp>();
        if changed.is_ok_and(|changed| changed >= asked) {
            failed += 1;
            first.get_or_insert(entry);
        }
    })?;
    let Some(first) = first else {
        if !shared.json {
            output::print(format!("{} taken again", files(keys)));
        }
        return Ok(());
    };
    let of = |outer: &str, name: &str| first.get(outer).map_or_else(String::new, |inner| text(inner, name).to_owned());
    let (key, why) = (of("object", "key"), of("failure", "message"));
    let message = format!("{} failed; `{}`: {}", files(failed), output::printable(&key), output::printable(&why));
    let hint = format!("gristmill ledger list {integration} --state failed,quarantined");
    Err(Failed::new(UNWELL, message).hint(Some(hint)))
}

fn files(count: u64) -> String {
    if count == 1 { "one file".to_owned() } else { format!("{count} files") }
}

fn wait(shared: &Shared, integration: &IntegrationName, keys: u64) -> Result<(), Failed> {
    let bar = super::draws_progress(shared).then(|| bar(keys));
    let mut looks_at_rest = 0;
    loop {
        let began = Instant::now();
        let answer = super::ask(shared, Request::Status, |_| {})?;
        let all = answer.get("integrations").and_then(Value::as_array).into_iter().flatten();
        let status = all.into_iter().find(|status| text(status, "integration") == integration.as_str());
        let Some(status) = status else {
            return Err(Failed::new(UNWELL, format!("there is no integration `{integration}` any more")));
        };
        let left = status.get("objects").and_then(|objects| objects.get("new")).and_then(Value::as_u64).unwrap_or(0);
        if let Some(bar) = &bar {
            bar.set_position(keys.saturating_sub(left));
        }
        if left == 0 {
            return Ok(());
        }
        looks_at_rest = if text(status, "activity") == "waiting" { looks_at_rest + 1 } else { 0 };
        let is_at_work = matches!(text(status, "activity"), "polling" | "waiting" | "starting");
        if !is_at_work || looks_at_rest > PATIENCE {
            let hint = format!(
                "gristmill status says what {integration} is doing; `gristmill poll {integration}` begins a pass"
            );
            return Err(Failed::new(UNWELL, format!("{left} of {keys} wait for a later pass")).hint(Some(hint)));
        }
        std::thread::sleep(LOOK.max(began.elapsed() * PAUSE));
    }
}

fn bar(keys: u64) -> ProgressBar {
    let bar = ProgressBar::new(keys).with_message("replay");
    if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {pos} of {len}, {elapsed}") {
        bar.set_style(style);
    }
    bar
}
