//! The engine: one configuration for the process that runs components and for the one that compiles them, and the
//! clock that interrupts guests.

use std::hash::{Hash, Hasher};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use wasmtime::{Config, Engine, OptLevel, WasmFeatures};

use super::error::MapperError;
use super::guards::{Guard, Guards};

/// How often a running guest is asked for its time.
const TICK: Duration = Duration::from_millis(10);
/// Bytes of native stack for guests. The threads that call them have 2 MiB.
const STACK: usize = 512 << 10;

/// Whether the instructions that guests execute are counted: the same work costs the same on every machine. Counting
/// makes guests slower, so the daemon, whose limits are in time, does without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fuel {
    /// They are.
    Counted,
    /// They are not.
    Uncounted,
}

/// What an engine is made with. Code only loads in an engine of the settings that it was compiled with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Settings {
    pub(super) fuel: Fuel,
    pub(super) guards: Guards,
}

/// The engine that both processes use. Code compiled by one only loads in the other because it is the same.
#[expect(clippy::disallowed_methods, reason = "this is the engine")]
pub(super) fn new_engine(settings: Settings) -> Result<Engine, MapperError> {
    let mut config = Config::new();
    config
        .epoch_interruption(settings.guards.has(Guard::Deadlines))
        .consume_fuel(settings.fuel == Fuel::Counted)
        .max_wasm_stack(STACK)
        .cranelift_opt_level(OptLevel::Speed)
        // Every compiler thread has a stack and an arena of its own, which on a machine of many cores would use up the
        // address space that the worker may take.
        .parallel_compilation(false)
        // A whole 32-bit memory is reserved (not used), so that no access needs a bounds check. Nothing can sit before it.
        .memory_reservation(4 << 30)
        .guard_before_linear_memory(false)
        // Line tables are for debuggers; functions keep their names in traps without them.
        .generate_address_map(false)
        .wasm_features(WasmFeatures::THREADS, false)
        .wasm_features(WasmFeatures::MEMORY64, false)
        // Its results differ from machine to machine, and a file mapped again must give the same records.
        .wasm_features(WasmFeatures::RELAXED_SIMD, false);
    Engine::new(&config).map_err(|error| engine_error("start the WebAssembly engine", error))
}

/// An error of the engine that says nothing of a component.
pub(super) fn engine_error(what: &'static str, error: wasmtime::Error) -> MapperError {
    MapperError::Engine { what, source: error.into_boxed_dyn_error() }
}

/// What code must have been compiled with to load in this engine: version, settings, processor features.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Compatibility(blake3::Hash);

impl Compatibility {
    pub(super) fn of(engine: &Engine) -> Self {
        let mut hasher = Blake3Hasher(blake3::Hasher::new());
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Self(hasher.0.finalize())
    }

    pub(super) fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// For file names.
    pub(super) fn short(&self) -> String {
        self.0.to_hex().chars().take(16).collect()
    }
}

/// Hashes more than the 64 bits that `Hasher` asks for.
struct Blake3Hasher(blake3::Hasher);

impl Hasher for Blake3Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = *self.0.finalize().as_bytes();
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }
}

/// Moves the engine's epoch on while guests run, on a thread of its own; rests once none has run for a whole tick, so
/// that a guest which is called batch after batch does not have to wake it for each. The thread ends when the last of
/// those who share the ticker lets go of it.
pub(super) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    running: usize,
    /// A guest ran since the last tick.
    ran: bool,
    /// The thread waits for a guest, not for the next tick.
    resting: bool,
    stopping: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Plain values: whoever panicked left them whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticker {
    pub(super) fn start(engine: &Engine) -> Result<Self, MapperError> {
        let shared = Arc::new(Shared::default());
        let (engine, seen) = (engine.clone(), Arc::clone(&shared));
        let thread = std::thread::Builder::new().name("mapper-ticker".into()).spawn(move || tick(&engine, &seen));
        let thread = thread.map_err(|error| MapperError::Engine { what: "start a thread", source: error.into() })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Ticks until the guard is dropped.
    pub(super) fn run(&self) -> TickGuard<'_> {
        let mut state = self.shared.state();
        state.running += 1;
        state.ran = true;
        if state.resting {
            self.shared.changed.notify_one();
        }
        TickGuard(&self.shared)
    }
}

fn tick(engine: &Engine, shared: &Shared) {
    let mut state = shared.state();
    while !state.stopping {
        let ran = std::mem::take(&mut state.ran);
        state.resting = state.running == 0 && !ran;
        state = if state.resting {
            shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
        } else {
            let waited = shared.changed.wait_timeout(state, TICK).unwrap_or_else(PoisonError::into_inner);
            engine.increment_epoch();
            waited.0
        };
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.state().stopping = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // It only fails if the thread panicked, and then it is gone as well.
            let _ = thread.join();
        }
    }
}

/// A guest is running.
pub(super) struct TickGuard<'a>(&'a Shared);

impl Drop for TickGuard<'_> {
    fn drop(&mut self) {
        self.0.state().running -= 1;
    }
}
