//! Watching a daemon take what was asked for again.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use super::output::text;
use super::{Failed, Shared, UNWELL};
use crate::control::Request;
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
/// When the integration is not at work, or its pass leaves some for the next one.
pub(super) fn follow(shared: &Shared, integration: &IntegrationName, keys: u64) -> Result<(), Failed> {
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
