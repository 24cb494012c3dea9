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
pub struct Mark(Mutex<Option<Reached>>);

#[derive(Debug, Clone)]
struct Reached {
    key: ObjectKey,
    /// When everything was listed.
    whole_at: Timestamp,
}

impl Mark {
    /// Lets the next listing be a whole one.
    pub fn clear(&self) {
        *self.reached() = None;
    }

    /// The key behind which a listing may begin now.
    pub fn start(&self, now: Timestamp) -> Option<ObjectKey> {
        let reached = self.reached().clone();
        reached.filter(|reached| now.duration_since(reached.whole_at) < WHOLE).map(|reached| reached.key)
    }

    /// All is done with up to this key, by a listing that began then, behind the mark or at the beginning.
    pub fn reach(&self, key: ObjectKey, began: Timestamp, is_whole: bool) {
        let mut reached = self.reached();
        let whole_at = match &*reached {
            Some(before) if !is_whole => before.whole_at,
            // Cleared meanwhile.
            None if !is_whole => return,
            Some(_) | None => began,
        };
        *reached = Some(Reached { key, whole_at });
    }

    fn reached(&self) -> MutexGuard<'_, Option<Reached>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
