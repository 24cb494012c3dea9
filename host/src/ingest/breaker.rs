//! Keeps a mapper that fails on file after file from being tried on all of them: one breaker a tenant and component.
//!
//! After [`STRIKES`] files in a row it opens, and no file of an integration that uses the component is begun, so that those
//! files stay new instead of failing one by one. Then one file is let through at a time, with a pause before the next that
//! doubles; the first that the mapper does not fail on closes it. Another component has a breaker of its own.
//!
//! A breaker is in memory alone: a restart closes it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{Failure, Outcome, Recipe};
use crate::mapper::Blame;
use crate::object::{ComponentDigest, TenantName};

/// Files in a row that a mapper may fail on.
const STRIKES: u32 = 3;
/// The pause before the first file that is let through again.
const FIRST: SignedDuration = SignedDuration::from_mins(1);
/// The longest pause between two of those.
const LONGEST: SignedDuration = SignedDuration::from_hours(1);

/// The breakers of all tenants and components.
#[derive(Debug, Default)]
pub struct Breakers(Mutex<HashMap<(TenantName, ComponentDigest), Breaker>>);

impl Breakers {
    /// Those of a recipe's mappers.
    pub fn of(&self, tenant: &TenantName, recipe: &Recipe) -> RecipeBreakers {
        let mut all = lock(&self.0);
        let mut breakers: Vec<(String, Breaker)> = Vec::new();
        for transform in [&recipe.fields, &recipe.usage].into_iter().flatten() {
            let (name, digest) = (transform.mapper.name(), transform.mapper.digest());
            if breakers.iter().all(|(known, _)| known != name) {
                breakers.push((name.to_owned(), all.entry((tenant.clone(), digest)).or_default().clone()));
            }
        }
        RecipeBreakers(breakers)
    }

    /// Those that are open.
    pub fn open(&self) -> Vec<KeptBack> {
        let open = |((tenant, sha256), breaker): (&(TenantName, ComponentDigest), &Breaker)| {
            let state = lock(&breaker.0);
            let until = state.open.as_ref()?.until;
            Some(KeptBack { tenant: tenant.clone(), sha256: *sha256, files: state.strikes, until })
        };
        lock(&self.0).iter().filter_map(open).collect()
    }

    /// How those of one component stand, by tenant.
    pub fn states(&self, component: ComponentDigest) -> Vec<BreakerStatus> {
        let status = |((tenant, _), breaker): (&(TenantName, ComponentDigest), &Breaker)| {
            let state = lock(&breaker.0);
            let (tenant, files) = (tenant.clone(), state.strikes);
            let (state, until) = match &state.open {
                None => (BreakerState::Closed, None),
                Some(open) if open.is_probing => (BreakerState::HalfOpen, Some(open.until)),
                Some(open) => (BreakerState::Open, Some(open.until)),
            };
            BreakerStatus { tenant, state, files, until }
        };
        let mut states: Vec<_> =
            lock(&self.0).iter().filter(|((_, digest), _)| *digest == component).map(status).collect();
        states.sort_by(|one, other| one.tenant.cmp(&other.tenant));
        states
    }
}

/// How a breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// Files are begun.
    Closed,
    /// None is.
    Open,
    /// One is being tried.
    HalfOpen,
}

/// One tenant's breaker for a component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BreakerStatus {
    /// Whose files it is about.
    pub tenant: TenantName,
    /// How it stands.
    pub state: BreakerState,
    /// On how many files in a row the component failed.
    pub files: u32,
    /// When one is tried again; none while it is closed.
    pub until: Option<Timestamp>,
}

/// What a file's end did to the breaker of one of its mappers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BreakerChange {
    /// No more files are begun.
    Opened(Suspended),
    /// Files are begun again.
    Closed {
        /// The mapper.
        mapper: String,
    },
}

/// A component that is kept from a tenant's files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeptBack {
    /// Whose files.
    pub tenant: TenantName,
    /// The component.
    pub sha256: ComponentDigest,
    /// How many files in a row it failed on.
    pub files: u32,
    /// When one is tried again.
    pub until: Timestamp,
}

/// The breakers of the mappers that one integration uses, with the mappers' names.
#[derive(Debug, Default)]
pub struct RecipeBreakers(Vec<(String, Breaker)>);

/// Why no file is begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspended {
    /// The mapper.
    pub mapper: String,
    /// How many files in a row it failed on.
    pub files: u32,
    /// When one is tried again; past while one is being tried.
    pub until: Timestamp,
}

impl Suspended {
    /// How long there is nothing to try.
    pub fn pause(&self, now: Timestamp) -> Duration {
        Duration::try_from(self.until.duration_since(now)).unwrap_or_default()
    }
}

impl RecipeBreakers {
    /// Whether a file may be begun; what becomes of it is to be told to the turn.
    pub fn admit(&self, now: Timestamp) -> Result<Turns, Suspended> {
        let mut turns = Vec::with_capacity(self.0.len());
        for (mapper, breaker) in &self.0 {
            match breaker.admit(now) {
                Ok(turn) => turns.push((mapper.clone(), turn)),
                Err((files, until)) => return Err(Suspended { mapper: mapper.clone(), files, until }),
            }
        }
        Ok(Turns(turns))
    }

    /// Lets one file through at once.
    pub fn try_again(&self, now: Timestamp) {
        for (_, breaker) in &self.0 {
            breaker.try_again(now);
        }
    }
}

/// One file's turn with each of its mappers.
#[derive(Debug)]
pub struct Turns(Vec<(String, Turn)>);

impl Turns {
    /// Says what became of the file, and hears what follows for those after it.
    pub fn ended(self, outcome: &Outcome, now: Timestamp) -> Vec<BreakerChange> {
        let fails = match outcome {
            Outcome::Merged(_) | Outcome::Delivered(..) => None,
            Outcome::Failed(Failure::Mapper { mapper, source, .. }) if source.blame() == Blame::Mapper => Some(mapper),
            // Nothing is known of the mappers.
            Outcome::Failed(_) | Outcome::Skipped(_) => return Vec::new(),
        };
        let change = |(mapper, turn): (String, Turn)| match fails {
            None => turn.passed().then_some(BreakerChange::Closed { mapper }),
            Some(fails) if **fails == *mapper => {
                turn.failed(now).map(|(files, until)| BreakerChange::Opened(Suspended { mapper, files, until }))
            }
            Some(_) => None,
        };
        self.0.into_iter().filter_map(change).collect()
    }
}

/// One breaker. Clones share it.
#[derive(Debug, Clone, Default)]
struct Breaker(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Files in a row that the mapper failed on.
    strikes: u32,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    until: Timestamp,
    pause: SignedDuration,
    /// Whether a file was let through and has not ended.
    is_probing: bool,
}

/// One file's turn with one mapper. Dropped, it says nothing.
#[derive(Debug)]
struct Turn {
    breaker: Breaker,
    is_probe: bool,
}

impl Breaker {
    fn admit(&self, now: Timestamp) -> Result<Turn, (u32, Timestamp)> {
        let mut state = lock(&self.0);
        let strikes = state.strikes;
        let is_probe = match &mut state.open {
            None => false,
            Some(open) if open.is_probing || now < open.until => return Err((strikes, open.until)),
            Some(open) => {
                open.is_probing = true;
                true
            }
        };
        drop(state);
        Ok(Turn { breaker: self.clone(), is_probe })
    }

    fn try_again(&self, now: Timestamp) {
        if let Some(open) = &mut lock(&self.0).open {
            open.until = open.until.min(now);
        }
    }
}

impl Turn {
    /// Whether that closed the breaker.
    fn passed(self) -> bool {
        let mut state = lock(&self.breaker.0);
        let closes = self.is_probe && state.open.is_some();
        if self.is_probe || state.open.is_none() {
            *state = State::default();
        }
        closes
    }

    /// After how many files in a row and until when the breaker is open, if that opened it.
    fn failed(self, now: Timestamp) -> Option<(u32, Timestamp)> {
        let mut state = lock(&self.breaker.0);
        let pause = match &state.open {
            Some(open) if self.is_probe => (open.pause * 2).min(LONGEST),
            // It was begun before the breaker opened.
            Some(_) => return None,
            None if state.strikes + 1 < STRIKES => {
                state.strikes += 1;
                return None;
            }
            None => FIRST,
        };
        state.strikes += 1;
        let until = now.saturating_add(pause).unwrap_or(Timestamp::MAX);
        state.open = Some(Open { until, pause, is_probing: false });
        Some((state.strikes, until))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(open) = lock(&self.breaker.0).open.as_mut().filter(|_| self.is_probe) {
            open.is_probing = false;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn fail(breaker: &Breaker, seconds: i64) {
        let _ = breaker.admit(at(seconds)).unwrap().failed(at(seconds));
    }

    #[test]
    fn it_opens_after_several_files_in_a_row_and_no_sooner() {
        let breaker = Breaker::default();
        fail(&breaker, 0);
        fail(&breaker, 1);
        breaker.admit(at(2)).unwrap().passed();
        fail(&breaker, 3);
        fail(&breaker, 4);
        let late = breaker.admit(at(4)).unwrap();
        fail(&breaker, 5);
        assert_eq!(breaker.admit(at(6)).unwrap_err(), (3, at(65)));
        // What was begun before neither closes it nor keeps it open for longer.
        late.failed(at(7));
        assert_eq!(breaker.admit(at(64)).unwrap_err(), (3, at(65)));
    }

    #[test]
    fn one_file_at_a_time_is_let_through_with_growing_pauses_until_one_passes() {
        let breaker = Breaker::default();
        (0..3).for_each(|_| fail(&breaker, 0));
        let probe = breaker.admit(at(60)).unwrap();
        assert!(breaker.admit(at(61)).is_err(), "one at a time");
        probe.failed(at(62));
        assert_eq!(breaker.admit(at(63)).unwrap_err(), (4, at(62 + 120)));
        // A file that ended for another reason says nothing.
        drop(breaker.admit(at(200)).unwrap());
        breaker.admit(at(201)).unwrap().passed();
        let [a, b] = [breaker.admit(at(202)).unwrap(), breaker.admit(at(202)).unwrap()];
        a.passed();
        b.passed();

        (0..3).for_each(|_| fail(&breaker, 300));
        let mut now = 300;
        for _ in 0..10 {
            let (_, until) = breaker.admit(at(now)).unwrap_err();
            now = until.as_second();
            fail(&breaker, now);
        }
        assert_eq!(breaker.admit(at(now)).unwrap_err().1, at(now + 3_600));
    }

    #[test]
    fn it_says_when_it_opens_and_closes_and_how_it_stands() {
        let (breakers, tenant) = (Breakers::default(), "acme".parse::<TenantName>().unwrap());
        let [component, another] = [1, 2].map(|byte| ComponentDigest::from_bytes([byte; 32]));
        let breaker = lock(&breakers.0).entry((tenant.clone(), component)).or_default().clone();
        let stands = || breakers.states(component).pop().map(|status| (status.state, status.files, status.until));
        assert!(breakers.states(another).is_empty());
        let failed = |seconds| breaker.admit(at(seconds)).unwrap().failed(at(seconds));
        assert_eq!([failed(0), failed(1), failed(2)], [None, None, Some((3, at(62)))]);
        assert_eq!(stands(), Some((BreakerState::Open, 3, Some(at(62)))));
        let probe = breaker.admit(at(62)).unwrap();
        assert_eq!(stands(), Some((BreakerState::HalfOpen, 3, Some(at(62)))));
        assert!(probe.passed() && !breaker.admit(at(63)).unwrap().passed());
        assert_eq!(stands(), Some((BreakerState::Closed, 0, None)));
    }

    #[test]
    fn whoever_asks_has_one_file_tried_at_once_and_nobody_waits_for_longer_because_of_that() {
        let breaker = Breaker::default();
        (0..3).for_each(|_| fail(&breaker, 0));
        breaker.try_again(at(10));
        let probe = breaker.admit(at(11)).unwrap();
        let (files, until) = breaker.admit(at(12)).unwrap_err();
        let suspended = Suspended { mapper: "acme".into(), files, until };
        assert_eq!((suspended.until, suspended.pause(at(12))), (at(10), Duration::ZERO));
        probe.failed(at(13));
        let (files, until) = breaker.admit(at(14)).unwrap_err();
        assert_eq!(Suspended { mapper: "acme".into(), files, until }.pause(at(14)), Duration::from_secs(119));
    }
}
