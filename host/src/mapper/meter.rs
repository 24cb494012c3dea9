//! What a mapper's instances take and do, for those who write it and those who run it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;

use super::CompileCost;
use super::log::Dropped;
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
    log_bytes_dropped: AtomicU64,
    cache_hits: AtomicU64,
    /// By code.
    failures: Mutex<BTreeMap<String, u64>>,
    /// What compiling it took; none when its code was in the cache.
    compiled: Mutex<Option<CompileCost>>,
    /// What this is a part of, and counts everything as well.
    whole: Option<Arc<Meter>>,
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
    /// Calls that ended at a deadline: failures with the code `mapper-deadline`.
    pub deadline_hits: u64,
    /// Calls of which what they returned was dropped whole, for its size or because it breaks the contract.
    pub outputs_dropped: u64,
    /// Lines of its log beyond what a call may write.
    pub log_lines_dropped: u64,
    /// Bytes of these lines, and of what was cut off long ones.
    pub log_bytes_dropped: u64,
    /// How often its code was there when it was loaded, in memory or in the cache.
    pub cache_hits: u64,
    /// Time by the clock that compiling took; none when its code was in the cache.
    pub compile_seconds: Option<f64>,
}

/// What the instance of a mapper did for one file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Worked {
    /// Calls into it.
    pub calls: u64,
    /// Rows that it was handed.
    pub rows: u64,
    /// Processor time, and the most memory it had.
    pub spent: Spent,
    /// Lines of its log beyond what a call may write.
    pub log_lines_dropped: u64,
    /// Bytes of these lines, and of what was cut off long ones.
    pub log_bytes_dropped: u64,
}

/// What one call was and took.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Call {
    pub(super) fuel: u64,
    pub(super) processor: Duration,
    /// Bytes of linear memory that the instance has by now.
    pub(super) memory: usize,
    pub(super) rows: usize,
    pub(super) log_dropped: Dropped,
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
    /// One that counts a part of what another counts.
    pub(super) fn part_of(whole: &Arc<Self>) -> Self {
        Self { whole: Some(Arc::clone(whole)), ..Self::default() }
    }

    /// What was counted, of one file's instance.
    pub(super) fn worked(&self) -> Worked {
        Worked {
            calls: self.calls.load(Ordering::Relaxed),
            rows: self.rows.load(Ordering::Relaxed),
            spent: self.spent(),
            log_lines_dropped: self.log_lines_dropped.load(Ordering::Relaxed),
            log_bytes_dropped: self.log_bytes_dropped.load(Ordering::Relaxed),
        }
    }

    /// Adds one call.
    pub(super) fn add(&self, call: Call) {
        self.fuel.fetch_add(call.fuel, Ordering::Relaxed);
        let nanoseconds = u64::try_from(call.processor.as_nanos()).unwrap_or(u64::MAX);
        self.processor.fetch_add(nanoseconds, Ordering::Relaxed);
        self.memory.fetch_max(call.memory, Ordering::Relaxed);
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.rows.fetch_add(call.rows as u64, Ordering::Relaxed);
        self.log_lines_dropped.fetch_add(call.log_dropped.lines, Ordering::Relaxed);
        self.log_bytes_dropped.fetch_add(call.log_dropped.bytes, Ordering::Relaxed);
        if let Some(whole) = &self.whole {
            whole.add(call);
        }
    }

    /// Adds a failure.
    pub(super) fn failed(&self, code: &str) {
        *lock(&self.failures).entry(code.to_owned()).or_default() += 1;
        if let Some(whole) = &self.whole {
            whole.failed(code);
        }
    }

    /// Says that it was loaded without being compiled.
    pub(super) fn hit_cache(&self) {
        self.cache_hits.fetch_add(1, Ordering::Relaxed);
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
        let failures = lock(&self.failures).clone();
        let times = |codes: &[&str]| codes.iter().filter_map(|code| failures.get(*code)).sum();
        Figures {
            mapper: mapper.to_owned(),
            sha256,
            calls: self.calls.load(Ordering::Relaxed),
            rows: self.rows.load(Ordering::Relaxed),
            processor_seconds: processor.as_secs_f64(),
            peak_memory: memory,
            deadline_hits: times(&["mapper-deadline"]),
            outputs_dropped: times(&["mapper-output-too-large", "mapper-bad-output"]),
            failures,
            log_lines_dropped: self.log_lines_dropped.load(Ordering::Relaxed),
            log_bytes_dropped: self.log_bytes_dropped.load(Ordering::Relaxed),
            cache_hits: self.cache_hits.load(Ordering::Relaxed),
            compile_seconds: lock(&self.compiled).map(|cost| cost.wall.as_secs_f64()),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_counts_for_the_whole_and_figures_tell_failures_apart() {
        let whole = Arc::new(Meter::default());
        let parts = [Meter::part_of(&whole), Meter::part_of(&whole)];
        for (part, (memory, rows)) in parts.iter().zip([(200, 3), (100, 5)]) {
            let log_dropped = Dropped { lines: 2, bytes: 70 };
            part.add(Call { memory, rows, log_dropped, processor: Duration::from_millis(5), ..Call::default() });
        }
        for code in
            ["mapper-deadline", "mapper-trap", "mapper-deadline", "mapper-bad-output", "mapper-output-too-large"]
        {
            parts[0].failed(code);
        }
        whole.hit_cache();
        let worked = parts[1].worked();
        assert_eq!((worked.calls, worked.rows, worked.spent.memory, worked.log_bytes_dropped), (1, 5, 100, 70));
        let figures = whole.figures("acme", ComponentDigest::from_bytes([1; 32]));
        assert_eq!((figures.calls, figures.rows, figures.peak_memory), (2, 8, 200));
        assert_eq!((figures.deadline_hits, figures.outputs_dropped, figures.failures["mapper-trap"]), (2, 2, 1));
        assert_eq!((figures.log_lines_dropped, figures.log_bytes_dropped, figures.cache_hits), (4, 140, 1));
    }
}
