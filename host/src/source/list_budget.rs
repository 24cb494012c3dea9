//! How many LIST requests an integration makes.
//!
//! A listing is never cut short, because half of one finds half of the files. What it has spent beyond the budget is owed, and
//! the next pass waits until time has paid it back. What was not spent is not saved up, and a restart owes nothing.

use std::num::NonZeroU64;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// What a budget is for: 30 days.
pub const MONTH: Duration = Duration::from_secs(30 * 24 * 3_600);

/// The budget of one integration.
#[derive(Debug)]
pub struct ListBudget {
    /// The time that pays for a request; none where there is no limit.
    pays_for_one: Option<SignedDuration>,
    owes_until: Mutex<Timestamp>,
}

impl ListBudget {
    /// So many requests a month, where there is a limit.
    pub fn new(a_month: Option<NonZeroU64>) -> Self {
        let pays = |requests: NonZeroU64| SignedDuration::try_from(MONTH.div_f64(requests.get() as f64)).ok();
        Self { pays_for_one: a_month.and_then(pays), owes_until: Mutex::new(Timestamp::MIN) }
    }

    /// A request is sent.
    pub fn spend(&self, now: Timestamp) {
        let Some(pays_for_one) = self.pays_for_one else { return };
        let mut owes_until = self.owes_until();
        *owes_until = owes_until.max(now).saturating_add(pays_for_one).unwrap_or(Timestamp::MAX);
    }

    /// How long until everything is paid back.
    pub fn wait(&self, now: Timestamp) -> Duration {
        self.owes_until().duration_since(now).try_into().unwrap_or_default()
    }

    fn owes_until(&self) -> MutexGuard<'_, Timestamp> {
        self.owes_until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_spent_is_paid_back_and_nothing_is_saved_up() {
        let hours = |hours: i64| Timestamp::UNIX_EPOCH + SignedDuration::from_hours(hours);
        let waits = |budget: &ListBudget, now| budget.wait(hours(now)).as_secs() / 3_600;
        let hourly = ListBudget::new(NonZeroU64::new(30 * 24));
        assert_eq!(waits(&hourly, 0), 0);
        (0..3).for_each(|_| hourly.spend(hours(0)));
        assert_eq!([0, 1, 3, 4].map(|now| waits(&hourly, now)), [3, 2, 0, 0]);
        hourly.spend(hours(100));
        assert_eq!(waits(&hourly, 100), 1);
        let unlimited = ListBudget::new(None);
        (0..1_000).for_each(|_| unlimited.spend(hours(0)));
        assert_eq!(unlimited.wait(hours(0)), Duration::ZERO);
        let plenty = ListBudget::new(NonZeroU64::new(u64::MAX));
        plenty.spend(hours(0));
        assert_eq!(plenty.wait(hours(0)), Duration::ZERO);
    }
}
