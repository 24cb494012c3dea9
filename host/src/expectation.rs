//! The file that did not come (R20): how long an integration has waited for a new one, and whether that is too long.
//!
//! It owns the decision and when it is said: once for each day of silence, and once when the silence ends. What it goes
//! by lies in the ledger, so that a restart neither forgets a silence nor says it again. It knows nothing of passes, and
//! asks its clock for the time.
//!
//! Invariant: what is said was so in the ledger, and is said before it is recorded as said: a crash may repeat it, never
//! swallow it.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::clock::Clock;
use crate::config::Integration;
use crate::events;
use crate::ledger::{Control, Ledger, LedgerError, Silence};
use crate::notify::{Kind, Notice, Outbox};

/// How long a silence lasts before it is said again.
const AGAIN: SignedDuration = SignedDuration::from_hours(24);

/// The longest time from one look to the next, for a clock that is set meanwhile and for whatever a person changes.
const LOOK: Duration = Duration::from_secs(60);

/// A file that did not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Overdue {
    /// Since when no new file was completed.
    pub since: Timestamp,
}

/// What a look found that was to be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// Nothing.
    Nothing,
    /// No file came, for the first time or for another day.
    Overdue(Overdue),
    /// One came after all.
    Arrived,
}

/// What a look found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// What was said.
    pub said: Said,
    /// When to look again, at the latest.
    pub again_in: Duration,
}

/// Whether a new file is overdue. While a person keeps the integration paused, none can come, and none is.
pub fn overdue(control: &Control, settings: &Integration, now: Timestamp) -> Option<Overdue> {
    let due = due(control, settings)?;
    control.waiting_since.filter(|_| control.paused.is_none() && due <= now).map(|since| Overdue { since })
}

/// When a new file will be overdue; none while none is waited for.
fn due(control: &Control, settings: &Integration) -> Option<Timestamp> {
    let (since, within) = (control.waiting_since?, settings.expect_file_within?);
    Some(since.saturating_add(within).unwrap_or(Timestamp::MAX))
}

/// Looks whether a new file is overdue, and says what there is to say.
pub async fn look(
    ledger: &Ledger,
    settings: &Integration,
    outbox: &Outbox,
    clock: &dyn Clock,
) -> Result<Look, LedgerError> {
    let integration = &settings.name;
    let control = ledger.control(integration).await?;
    let now = clock.now();
    let found = overdue(&control, settings, now);
    let said = match (found, control.silence) {
        (Some(overdue), None) => Said::Overdue(overdue),
        (Some(overdue), Some(silence)) if now.duration_since(silence.said) >= AGAIN => Said::Overdue(overdue),
        (None, Some(silence)) if control.waiting_since > Some(silence.since) => Said::Arrived,
        // A longer wait was allowed, or a person paused it: nothing came.
        (Some(_) | None, Some(_)) | (None, None) => Said::Nothing,
    };
    match said {
        Said::Nothing => {}
        Said::Overdue(Overdue { since }) => {
            let within = settings.expect_file_within.unwrap_or_default();
            events::FileOverdue { integration, since, within, hint: hint(settings) }.emit();
            // Each day's is another.
            let about = format!("{since} {}", now.duration_since(since).as_hours() / 24);
            let notice = Notice::new(Kind::Overdue, &settings.tenant, integration, &about, now);
            outbox.tell(&Notice { since: Some(since), ..notice });
            ledger
                .change_control(integration, move |control| control.silence = Some(Silence { since, said: now }))
                .await?;
        }
        Said::Arrived => {
            events::FileArrived { integration }.emit();
            let since = control.silence.map(|silence| silence.since);
            let notice = Notice::new(Kind::Arrived, &settings.tenant, integration, &format!("{since:?}"), now);
            outbox.tell(&Notice { since, ..notice });
            ledger.change_control(integration, |control| control.silence = None).await?;
        }
    }
    let to_go = due(&control, settings).and_then(|due| Duration::try_from(due.duration_since(now)).ok());
    Ok(Look { said, again_in: to_go.filter(|to_go| !to_go.is_zero()).map_or(LOOK, |to_go| to_go.min(LOOK)) })
}

/// What a person can do about it.
pub fn hint(settings: &Integration) -> String {
    let Integration { connection, bucket, prefix, .. } = settings;
    let target = events::ShellWord(&format!("s3://{bucket}/{prefix}")).to_string();
    format!("ask who sends it; what the bucket shows: gristmill connection test {connection} {target}")
}
