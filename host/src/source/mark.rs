//! Where the next listing begins, for keys that only grow.
//!
//! A listing that begins behind the last key costs one request where a whole one costs one for every 1,000 keys. It does
//! not see what came before that key, so that the mark stands where it is while anything in front of it is not done
//! with, a whole listing follows once a day, and a restart or whatever a person asks for begins with one.

use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::object::ObjectKey;

/// How often everything is listed all the same.
const WHOLE: SignedDuration = SignedDuration::from_hours(24);

/// The mark of one integration.
#[derive(Debug, Default)]
pub struct Mark(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    /// How often it was cleared.
    cleared: u64,
    /// The key, and when everything was listed.
    reached: Option<(ObjectKey, Timestamp)>,
}

/// Where one listing begins.
#[derive(Debug, Clone)]
pub struct Start {
    /// Behind this key; none for the beginning.
    pub after: Option<ObjectKey>,
    whole_at: Timestamp,
    cleared: u64,
}

impl Mark {
    /// Lets the next listing be a whole one, whatever the one that is under way finds.
    pub fn clear(&self) {
        let mut held = self.held();
        *held = Held { cleared: held.cleared + 1, reached: None };
    }

    /// Where a listing may begin now.
    pub fn start(&self, now: Timestamp) -> Start {
        let held = self.held();
        let fresh = held.reached.clone().filter(|(_, whole_at)| now.duration_since(*whole_at) < WHOLE);
        let (after, whole_at) = fresh.map_or((None, now), |(key, whole_at)| (Some(key), whole_at));
        Start { after, whole_at, cleared: held.cleared }
    }

    /// All is done with up to this key, by a listing that began there.
    pub fn reach(&self, start: Start, key: ObjectKey) {
        let mut held = self.held();
        if held.cleared == start.cleared {
            held.reached = Some((key, start.whole_at));
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
