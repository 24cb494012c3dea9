//! An integration that takes nothing is said to whoever should know (R20), once for each day of it, and once when it takes
//! files again.
//!
//! It is told of each thing that keeps the integration from its work, and decides what is worth waking somebody for. It
//! lives in memory: after a restart that did not help, it is said again.

use jiff::{SignedDuration, Timestamp};

use crate::config::Integration;
use crate::events;
use crate::notify::{Kind, Notice, Outbox};

/// Failures in a row before they are said: the first ones pass by themselves.
const FAILURES: u32 = 3;

/// How long a standstill lasts before it is said again.
const AGAIN: SignedDuration = SignedDuration::from_hours(24);

/// Whether an integration stands still, and what was said of it.
#[derive(Debug, Default)]
pub struct Standstill {
    /// When it began.
    since: Option<Timestamp>,
    /// When it was said for the last time.
    said: Option<Timestamp>,
}

/// What keeps an integration from its work.
pub enum Obstacle {
    /// Nothing is taken until somebody does something about it.
    Lasting,
    /// As many passes in a row failed. It is tried again by itself.
    Failures(u32),
}

impl Standstill {
    /// Nothing is taken, for this reason. The hint says what a person can do about it.
    pub fn blocked(
        &mut self,
        (outbox, settings): (&Outbox, &Integration),
        obstacle: Obstacle,
        (reason, hint): (&str, Option<&str>),
        now: Timestamp,
    ) {
        let Some(since) = self.is_to_be_said(obstacle, now) else { return };
        let day = now.duration_since(since).as_hours() / 24;
        let notice = Notice::new(Kind::Blocked, &settings.tenant, &settings.name, &format!("{since} {day}"), now);
        let (reason, hint) = (Some(reason.to_owned()), hint.map(str::to_owned));
        outbox.tell(&Notice { since: Some(since), reason, hint, ..notice });
    }

    /// Since when it stands still, if that is to be said now.
    fn is_to_be_said(&mut self, obstacle: Obstacle, now: Timestamp) -> Option<Timestamp> {
        let since = *self.since.get_or_insert(now);
        let passes_by_itself = matches!(obstacle, Obstacle::Failures(count) if count < FAILURES);
        if passes_by_itself || self.said.is_some_and(|said| now.duration_since(said) < AGAIN) {
            return None;
        }
        self.said = Some(now);
        Some(since)
    }

    /// A pass went to its end.
    pub fn is_over(&mut self, (outbox, settings): (&Outbox, &Integration), now: Timestamp) {
        let Self { since: Some(since), said: Some(_) } = std::mem::take(self) else { return };
        events::IntegrationUnblocked { integration: &settings.name, since }.emit();
        let notice = Notice::new(Kind::Unblocked, &settings.tenant, &settings.name, &since.to_string(), now);
        outbox.tell(&Notice { since: Some(since), ..notice });
    }

    /// A person keeps it paused, and knows.
    pub fn is_known(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R20
    #[test]
    fn a_standstill_is_said_once_a_day_and_failures_not_before_the_third() {
        let at = |hours: i64| Timestamp::from_second(hours * 3_600).unwrap();
        let mut standstill = Standstill::default();
        let mut failed = |count, hours| standstill.is_to_be_said(Obstacle::Failures(count), at(hours));
        assert_eq!([failed(1, 0), failed(2, 1)], [None, None]);
        assert_eq!(failed(3, 2), Some(at(0)));
        assert_eq!(failed(4, 25), None);
        assert_eq!(failed(5, 26), Some(at(0)));
        standstill.is_known();
        assert_eq!(standstill.is_to_be_said(Obstacle::Lasting, at(27)), Some(at(27)));
    }
}
