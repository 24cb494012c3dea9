//! Whether to stop, signs of life, and how far a step has come: what long work shares with whoever oversees it.
//!
//! Like `object`, it uses no other module but what measures effort.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::effort::Effort;

/// What long work is given to be overseen by.
#[derive(Debug, Clone, Default)]
pub struct Oversight {
    /// Looked at between batches and between objects.
    pub stop: Stop,
    /// Told of every step that could hang.
    pub watch: Watch,
    /// Counts rows for whoever shows them.
    pub progress: Progress,
    /// Counts the processor time that files take for whose they are.
    pub effort: Effort,
}

/// A wish to stop, shared by whoever may have it: first for no new objects, then for those at work, too.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicU8>);

impl Stop {
    /// Asks for no new objects to be begun; those at work are finished.
    pub fn ask(&self) {
        self.0.fetch_max(1, Ordering::Relaxed);
    }

    /// Asks for objects at work to be given back at the next batch.
    pub fn give_up(&self) {
        self.0.store(2, Ordering::Relaxed);
    }

    /// Whether no new object is to be begun.
    pub fn asked(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }

    /// Whether objects at work are to be given back.
    pub fn given_up(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 1
    }
}

/// How much was done.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<AtomicU64>);

impl Progress {
    /// Rows staged so far, by everyone who holds a clone.
    pub fn rows(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// More rows are staged.
    pub fn add_rows(&self, rows: u64) {
        self.0.fetch_add(rows, Ordering::Relaxed);
    }
}

/// The steps that are under way.
#[derive(Debug, Clone)]
pub struct Watch(Arc<Watched>);

#[derive(Debug)]
struct Watched {
    began: Instant,
    steps: Mutex<BTreeMap<u64, (&'static str, Arc<AtomicU64>)>>,
    next: AtomicU64,
}

/// One step under way; it ends when this is dropped.
#[derive(Debug)]
pub struct Beat {
    watch: Watch,
    step: u64,
    at: Arc<AtomicU64>,
}

impl Default for Watch {
    fn default() -> Self {
        Self(Arc::new(Watched { began: Instant::now(), steps: Mutex::new(BTreeMap::new()), next: AtomicU64::new(0) }))
    }
}

impl Watch {
    /// Begins a step, which must beat or end within the allowed time.
    pub fn begin(&self, what: &'static str) -> Beat {
        let step = self.0.next.fetch_add(1, Ordering::Relaxed);
        let at = Arc::new(AtomicU64::new(self.now()));
        self.steps().insert(step, (what, Arc::clone(&at)));
        Beat { watch: self.clone(), step, at }
    }

    /// A step that has not beaten for longer than `allowed`.
    pub fn stalled(&self, allowed: Duration) -> Option<&'static str> {
        let now = self.now();
        let late = |at: &AtomicU64| u128::from(now.saturating_sub(at.load(Ordering::Relaxed))) > allowed.as_millis();
        self.steps().values().find(|(_, at)| late(at)).map(|(what, _)| *what)
    }

    fn steps(&self) -> MutexGuard<'_, BTreeMap<u64, (&'static str, Arc<AtomicU64>)>> {
        self.0.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Milliseconds since the watch began.
    fn now(&self) -> u64 {
        self.0.began.elapsed().as_millis() as u64
    }
}

impl Beat {
    /// Says that the step makes headway.
    pub fn beat(&self) {
        self.at.store(self.watch.now(), Ordering::Relaxed);
    }
}

impl Drop for Beat {
    fn drop(&mut self) {
        self.watch.steps().remove(&self.step);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_does_not_beat_is_stalled_until_it_ends() {
        let watch = Watch::default();
        let step = watch.begin("merge");
        step.at.store(0, Ordering::Relaxed);
        while watch.now() < 2 {
            std::hint::spin_loop();
        }
        assert_eq!(watch.stalled(Duration::from_millis(1)), Some("merge"));
        assert_eq!(watch.stalled(Duration::from_secs(3600)), None);
        step.beat();
        assert_eq!(watch.stalled(Duration::from_secs(3600)), None);
        step.at.store(0, Ordering::Relaxed);
        drop(step);
        assert_eq!(watch.stalled(Duration::from_millis(1)), None);
    }
}
