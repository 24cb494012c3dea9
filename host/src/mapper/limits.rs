//! What a component may take, and how that is enforced while it runs.

use std::time::{Duration, Instant};

use wasmtime::ResourceLimiter;

use super::error::Span;
use crate::effort::thread_processor_time;

/// What one component may take. The defaults are starting limits for mappers compiled from Rust, C or Go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Limits {
    /// Bytes of the component file.
    pub component: u64,
    /// Processor time, time by the clock, and address space for compiling it.
    pub compile: CompileLimits,
    /// Bytes of linear memory, all memories of an instance together.
    pub memory: usize,
    /// Elements of all tables of an instance together.
    pub table_elements: usize,
    /// Processor time for one call: a batch, the opening or the end of a table.
    pub batch_processor: Duration,
    /// Processor time for a file, whatever its size.
    pub file_processor: Duration,
    /// Processor time for a file, more for each mebibyte of it.
    pub file_processor_per_mebibyte: Duration,
}

/// What the worker process may take that compiles a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CompileLimits {
    /// Processor time.
    pub processor: Duration,
    /// Time by the clock.
    pub wall: Duration,
    /// Bytes of address space.
    pub memory: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            component: 32 << 20,
            compile: CompileLimits::default(),
            memory: 64 << 20,
            table_elements: 100_000,
            batch_processor: Duration::from_secs(1),
            file_processor: Duration::from_secs(60),
            file_processor_per_mebibyte: Duration::from_secs(1),
        }
    }
}

impl Default for CompileLimits {
    /// An 18 MB component of CPython takes a third of it on a slow core.
    fn default() -> Self {
        Self { processor: Duration::from_secs(30), wall: Duration::from_secs(120), memory: 2 << 30 }
    }
}

/// Core instances of one component: the largest toolchains link about twenty.
pub(super) const INSTANCES: usize = 100;
/// Linear memories of one component. Each reserves 4 GiB of address space.
pub(super) const MEMORIES: usize = 8;
/// Tables of one component.
pub(super) const TABLES: usize = 100;
/// Handles to resources that a component holds at once; only the empty sandbox has any.
pub(super) const HANDLES: usize = 1000;
/// How much longer a call may take by the clock than in processor time. Nothing in a guest waits, so the clock is behind
/// the processor only where others have the processor: on a loaded machine, and beside other tenants' files once its own
/// stand back ([`crate::effort`]), where it may have a hundredth of the time for minutes.
const CLOCK_FACTOR: u32 = 600;

/// A limit that a component ran into. It crosses the engine as an error and is told apart by its type.
#[derive(Debug, Clone, Copy, thiserror::Error)]
pub(super) enum Exceeded {
    #[error("memory limit")]
    Memory,
    #[error("table limit")]
    Tables,
    #[error("deadline")]
    Deadline { limit: Duration, span: Span },
}

/// How large an output `input` bytes in `rows` rows warrant, in bytes.
pub(super) fn output_limit(input: usize, rows: usize) -> usize {
    input.saturating_mul(4).saturating_add(rows.saturating_mul(1 << 10)).saturating_add(1 << 20)
}

/// Counts memory and tables over a whole store. Growth beyond a limit ends the call instead of failing the guest's
/// allocation, so that the reason has a name.
#[derive(Debug)]
pub(super) struct Limiter {
    memory: Count,
    elements: Count,
}

/// One resource.
#[derive(Debug)]
struct Count {
    used: usize,
    limit: usize,
    /// What the last growth added; taken back if it fails after all.
    last: usize,
}

impl Count {
    fn new(limit: usize) -> Self {
        Self { used: 0, limit, last: 0 }
    }

    /// Counts a growth; false if it goes beyond the limit.
    fn grow(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> bool {
        // Growth beyond its own declared maximum is refused by the engine anyway, and the guest may live with that.
        self.last = if maximum.is_some_and(|maximum| desired > maximum) { 0 } else { desired.saturating_sub(current) };
        self.used = self.used.saturating_add(self.last);
        self.used <= self.limit
    }

    fn take_back(&mut self) {
        self.used -= std::mem::take(&mut self.last);
    }
}

impl Limiter {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { memory: Count::new(limits.memory), elements: Count::new(limits.table_elements) }
    }
}

impl Limiter {
    /// Bytes of linear memory in use. Memory never shrinks, so it is the most there was as well.
    pub(super) fn memory_in_use(&self) -> usize {
        self.memory.used
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if self.memory.grow(current, desired, maximum) { Ok(true) } else { Err(Exceeded::Memory.into()) }
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.memory.take_back();
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if self.elements.grow(current, desired, maximum) { Ok(true) } else { Err(Exceeded::Tables.into()) }
    }

    fn table_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.elements.take_back();
        Ok(())
    }

    fn instances(&self) -> usize {
        INSTANCES
    }

    fn tables(&self) -> usize {
        TABLES
    }

    fn memories(&self) -> usize {
        MEMORIES
    }
}

/// Until when a call may run. Processor time is that of the calling thread, which is the guest's; a loaded machine
/// makes no mapper late.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    begun: Duration,
    until: Duration,
    limit: Duration,
    span: Span,
    clock_until: Instant,
    clock_limit: Duration,
}

impl Deadline {
    /// For a call that begins now, on this thread.
    pub(super) fn begin(batch: Duration, file_left: Duration, file: Duration) -> Self {
        let (allowed, limit, span) = if file_left < batch {
            (file_left, file, Span::FileProcessor)
        } else {
            (batch, batch, Span::BatchProcessor)
        };
        let begun = thread_processor_time();
        let clock_limit = batch.saturating_mul(CLOCK_FACTOR);
        let until = begun.saturating_add(allowed);
        Self { begun, until, limit, span, clock_until: Instant::now() + clock_limit, clock_limit }
    }

    /// Whether the call may go on.
    pub(super) fn check(&self) -> Result<(), Exceeded> {
        if thread_processor_time() >= self.until {
            return Err(Exceeded::Deadline { limit: self.limit, span: self.span });
        }
        if Instant::now() > self.clock_until {
            return Err(Exceeded::Deadline { limit: self.clock_limit, span: Span::BatchClock });
        }
        Ok(())
    }

    /// How much processor time this thread took since the call began.
    pub(super) fn spent(&self) -> Duration {
        thread_processor_time().saturating_sub(self.begun)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_counts_over_all_memories_and_failed_growth_does_not() {
        let mut limiter = Limiter::new(&Limits { memory: 3 << 16, ..Limits::default() });
        assert!(limiter.memory_growing(0, 1 << 16, None).unwrap());
        assert!(limiter.memory_growing(0, 2 << 16, None).unwrap());
        limiter.memory_grow_failed(wasmtime::Error::msg("the system refused")).unwrap();
        assert!(limiter.memory_growing(0, 9 << 16, Some(1 << 16)).unwrap(), "the engine refuses that one itself");
        assert!(limiter.memory_growing(1 << 16, 3 << 16, None).unwrap());
        assert!(limiter.memory_growing(3 << 16, 4 << 16, None).unwrap_err().is::<Exceeded>());
    }

    #[test]
    fn the_nearer_deadline_names_itself() {
        let second = Duration::from_secs(1);
        let check = |deadline: Deadline, expected| match deadline.check() {
            Err(Exceeded::Deadline { span, .. }) => assert_eq!(Some(span), expected),
            Err(other) => panic!("{other:?}"),
            Ok(()) => assert_eq!(None, expected),
        };
        check(Deadline::begin(second, second, second), None);
        check(Deadline::begin(second, Duration::ZERO, second), Some(Span::FileProcessor));
        check(Deadline::begin(Duration::ZERO, second, second), Some(Span::BatchProcessor));
    }
}
