//! What a mapper's instances take and do, for those who write it and those who run it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;

use super::CompileCost;
use crate::object::ComponentDigest;

/// What the instances of one mapper took since it was made, all of them together.
#[derive(Debug, Default)]
pub(super) struct Meter {
    fuel: AtomicU64,
    processor: AtomicU64,
    memory: AtomicUsize,
    calls: AtomicU64,
    rows: AtomicU64,
    log_lines_dropped: AtomicU64,
    /// By code.
    failures: Mutex<BTreeMap<String, u64>>,
    /// What compiling it took; none when its code was in the cache.
    compiled: Mutex<Option<CompileCost>>,
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

/// One mapper's figures since the process began.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    /// Its name in the configuration.
    pub mapper: String,
    /// SHA-256 of its component.
    pub sha256: ComponentDigest,
    /// Calls into it: one a batch, and one to open and to end each table.
    pub calls: u64,
    /// Rows that it was handed.
    pub rows: u64,
    /// Processor time.
    pub processor_seconds: f64,
    /// Bytes of linear memory that its largest instance had.
    pub peak_memory: usize,
    /// Calls that failed, by code.
    pub failures: BTreeMap<String, u64>,
    /// Lines of its log beyond what a call may write.
    pub log_lines_dropped: u64,
    /// Time by the clock that compiling took; none when its code was in the cache.
    pub compile_seconds: Option<f64>,
}

/// What one call was and took.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Call {
    pub(super) fuel: u64,
    pub(super) processor: Duration,
    /// Bytes of linear memory that the instance has by now.
    pub(super) memory: usize,
    pub(super) rows: usize,
    pub(super) log_lines_dropped: u64,
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
    /// Adds one call.
    pub(super) fn add(&self, call: Call) {
        self.fuel.fetch_add(call.fuel, Ordering::Relaxed);
        let nanoseconds = u64::try_from(call.processor.as_nanos()).unwrap_or(u64::MAX);
        self.processor.fetch_add(nanoseconds, Ordering::Relaxed);
        self.memory.fetch_max(call.memory, Ordering::Relaxed);
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.rows.fetch_add(call.rows as u64, Ordering::Relaxed);
        self.log_lines_dropped.fetch_add(call.log_lines_dropped, Ordering::Relaxed);
    }

    /// Adds a failure.
    pub(super) fn failed(&self, code: &str) {
        *lock(&self.failures).entry(code.to_owned()).or_default() += 1;
    }

    /// Says what compiling took.
    pub(super) fn compiled(&self, cost: CompileCost) {
        *lock(&self.compiled) = Some(cost);
    }

    pub(super) fn spent(&self) -> Spent {
        Spent {
            fuel: self.fuel.load(Ordering::Relaxed),
            processor: Duration::from_nanos(self.processor.load(Ordering::Relaxed)),
            memory: self.memory.load(Ordering::Relaxed),
        }
    }

    pub(super) fn figures(&self, mapper: &str, sha256: ComponentDigest) -> Figures {
        let Spent { processor, memory, .. } = self.spent();
        Figures {
            mapper: mapper.to_owned(),
            sha256,
            calls: self.calls.load(Ordering::Relaxed),
            rows: self.rows.load(Ordering::Relaxed),
            processor_seconds: processor.as_secs_f64(),
            peak_memory: memory,
            failures: lock(&self.failures).clone(),
            log_lines_dropped: self.log_lines_dropped.load(Ordering::Relaxed),
            compile_seconds: lock(&self.compiled).map(|cost| cost.wall.as_secs_f64()),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
