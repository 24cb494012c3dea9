//! What a mapper's instances take, for those who write it.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// What the instances of one mapper took since it was made, all of them together.
#[derive(Debug, Default)]
pub(super) struct Meter {
    fuel: AtomicU64,
    processor: AtomicU64,
    memory: AtomicUsize,
}

/// What the instances of a mapper took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// Instructions executed, as the engine weighs them; 0 unless the host counts them.
    pub fuel: u64,
    /// Processor time.
    pub processor: Duration,
    /// Bytes of linear memory that the largest instance had.
    pub memory: usize,
}

impl Spent {
    /// What was taken after an earlier look; memory is the most there ever was.
    pub fn since(self, before: Self) -> Self {
        Self {
            fuel: self.fuel.saturating_sub(before.fuel),
            processor: self.processor.saturating_sub(before.processor),
            memory: self.memory,
        }
    }
}

impl Meter {
    /// Adds what one call took of an instance that has this much memory by now.
    pub(super) fn add(&self, fuel: u64, processor: Duration, memory: usize) {
        self.fuel.fetch_add(fuel, Ordering::Relaxed);
        let nanoseconds = u64::try_from(processor.as_nanos()).unwrap_or(u64::MAX);
        self.processor.fetch_add(nanoseconds, Ordering::Relaxed);
        self.memory.fetch_max(memory, Ordering::Relaxed);
    }

    pub(super) fn spent(&self) -> Spent {
        Spent {
            fuel: self.fuel.load(Ordering::Relaxed),
            processor: Duration::from_nanos(self.processor.load(Ordering::Relaxed)),
            memory: self.memory.load(Ordering::Relaxed),
        }
    }
}
