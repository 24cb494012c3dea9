//! One instance in a store of its own: how it is started, called, timed and ended.
//!
//! Invariant: after any error, of whatever kind, the guest is never entered again.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::Instance as RawInstance;
use wasmtime::{Store, Trap, UpdateDeadline, WasmBacktrace};

use super::Loaded;
use super::bindings::types;
use super::engine::Ticker;
use super::error::{Bad, Fault, MapperError};
use super::escape::escaped;
use super::guards::{Guard, Guards};
use super::limits::{Deadline, Exceeded, HANDLES, INSTANCES, Limiter, Limits, MEMORIES, TABLES, output_limit};
use super::log::{Log, LogSink};
use super::meter::{Call, Meter, Worked};
use super::sandbox::Inside;

/// Bytes of a text in an error message.
const MESSAGE: usize = 1 << 10;
/// Bytes of a code.
pub(super) const CODE: usize = 64;

/// How large the file is that an instance is for: its processor time follows from that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileBudget {
    /// Bytes of the object.
    pub bytes: u64,
}

/// A component at work, with the functions `G` of one of its transforms.
pub(super) struct Instance<G> {
    store: Store<Inside>,
    guest: G,
    guards: Guards,
    limits: Limits,
    file: Duration,
    file_left: Duration,
    /// What is left of the fuel, where it is counted.
    fuel: Option<u64>,
    meter: Meter,
    state: Entry,
}

/// Whether the guest may be entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    Open,
    Closed,
}

/// How large one call's input is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct InputSize {
    pub(super) bytes: usize,
    pub(super) rows: usize,
}

impl<G> Instance<G> {
    /// Starts a component, its initialisers included, and finds its functions.
    pub(super) fn start(
        component: &Loaded,
        meter: &Arc<Meter>,
        limits: Limits,
        budget: FileBudget,
        log: LogSink,
        find: impl FnOnce(&mut Store<Inside>, &RawInstance) -> wasmtime::Result<G>,
    ) -> Result<Self, MapperError> {
        let mebibytes = u32::try_from(budget.bytes >> 20).unwrap_or(u32::MAX);
        let more = limits.file_processor_per_mebibyte.saturating_mul(mebibytes);
        let file = limits.file_processor.saturating_add(more);
        let deadline = Deadline::begin(limits.batch_processor, file, file);
        let inside = Inside::new(Log::new(log), Limiter::new(&limits), deadline);
        let mut store = Store::new(component.pre.engine(), inside);
        // Refused by an engine that does not count fuel. One that does is given more than time allows to use: time is the
        // limit, fuel a measure.
        let fuel = store.set_fuel(u64::MAX).is_ok().then_some(u64::MAX);
        let guards = component.guards;
        if guards.has(Guard::Growth) {
            store.limiter(|inside| &mut inside.limiter);
        }
        store.set_max_component_handles(HANDLES);
        store.set_hostcall_fuel(counted(output_limit(0, 0), guards));
        store.epoch_deadline_callback(|inside| {
            inside.data().deadline.check()?;
            Ok(UpdateDeadline::Continue(1))
        });
        store.set_epoch_deadline(1);
        let meter = Meter::part_of(meter);
        let ticking = guards.has(Guard::Deadlines).then(|| component.ticker.run());
        let started = component.pre.instantiate(&mut store);
        drop(ticking);
        let spent = deadline.spent();
        let fuel = metered(&meter, &mut store, fuel, spent, 0);
        let file_left = file.saturating_sub(spent);
        let guest = started
            .map_err(|error| classify(error, &limits, output_limit(0, 0)))
            .and_then(|instance| find(&mut store, &instance).map_err(|error| wrong_world(&error)));
        let guest = guest.inspect_err(|error| meter.failed(error.code()))?;
        Ok(Self { store, guest, guards, limits, file, file_left, fuel, meter, state: Entry::Open })
    }

    /// Calls the guest once and checks what it returns. An error of either ends the instance.
    pub(super) fn call<R, O>(
        &mut self,
        ticker: &Ticker,
        input: InputSize,
        call: impl FnOnce(&G, &mut Store<Inside>) -> wasmtime::Result<R>,
        check: impl FnOnce(R) -> Result<O, MapperError>,
    ) -> Result<O, MapperError> {
        if std::mem::replace(&mut self.state, Entry::Closed) == Entry::Closed {
            return Err(MapperError::Input { what: "it failed before" });
        }
        let output = output_limit(input.bytes, input.rows);
        let deadline = Deadline::begin(self.limits.batch_processor, self.file_left, self.file);
        self.store.set_hostcall_fuel(counted(output, self.guards));
        self.store.data_mut().deadline = deadline;
        self.store.set_epoch_deadline(1);
        let ticking = self.guards.has(Guard::Deadlines).then(|| ticker.run());
        let returned = call(&self.guest, &mut self.store);
        drop(ticking);
        let spent = deadline.spent();
        self.fuel = metered(&self.meter, &mut self.store, self.fuel, spent, input.rows);
        self.file_left = self.file_left.saturating_sub(spent);
        let checked = returned.map_err(|error| classify(error, &self.limits, output)).and_then(check);
        let checked = checked.inspect_err(|error| self.meter.failed(error.code()))?;
        self.state = Entry::Open;
        Ok(checked)
    }

    /// What it did so far.
    pub(super) fn worked(&self) -> Worked {
        self.meter.worked()
    }

    /// The limits it runs under.
    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }
}

/// What the engine may copy out in one call.
fn counted(output: usize, guards: Guards) -> usize {
    if guards.has(Guard::Output) { output } else { usize::MAX }
}

/// Meters a call that ended and returns the fuel that is left.
fn metered(
    meter: &Meter,
    store: &mut Store<Inside>,
    fuel: Option<u64>,
    processor: Duration,
    rows: usize,
) -> Option<u64> {
    let left = fuel.and_then(|_| store.get_fuel().ok());
    let fuel = fuel.zip(left).map_or(0, |(before, left)| before.saturating_sub(left));
    let log_dropped = store.data_mut().log.end_call();
    let memory = store.data().limiter.memory_in_use();
    meter.add(Call { fuel, processor, memory, rows, log_dropped });
    left
}

/// What a component says of itself that differs from the contract in its types.
pub(super) fn wrong_world(error: &wasmtime::Error) -> MapperError {
    MapperError::WrongWorld { what: escaped(&chain(error), MESSAGE).into_owned() }
}

/// An error and its causes on one line, without the guest's stack, which says nothing to those who read a message.
fn chain(error: &wasmtime::Error) -> String {
    let causes = error.chain().map(ToString::to_string);
    causes.filter(|cause| !cause.starts_with("error while executing at wasm")).collect::<Vec<_>>().join(": ")
}

/// Makes one of our errors from what the engine says. Some of its errors are private types and are known by their
/// words alone; they are told apart here and nowhere else, and tests pin them.
fn classify(error: wasmtime::Error, limits: &Limits, output: usize) -> MapperError {
    if let Some(exceeded) = error.downcast_ref::<Exceeded>() {
        return match *exceeded {
            Exceeded::Memory => MapperError::Memory { limit: limits.memory },
            Exceeded::Tables => MapperError::Tables { limit: limits.table_elements, what: "table elements" },
            Exceeded::Deadline { limit, span } => MapperError::Deadline { limit, span },
        };
    }
    if let Some(exit) = error.downcast_ref::<wasmtime_wasi::I32Exit>() {
        return MapperError::Trap { what: format!("it exited with status {}", exit.0) };
    }
    if let Some(trap) = error.downcast_ref::<Trap>() {
        let function = error.downcast_ref::<WasmBacktrace>().and_then(|trace| trace.frames().first()?.func_name());
        let place = function.map(|name| format!(" in `{}`", escaped(name, 200))).unwrap_or_default();
        return MapperError::Trap { what: format!("{trap}{place}") };
    }
    let words = chain(&error);
    let says = |phrase: &str| words.contains(phrase);
    if says("fuel allocated for hostcalls has been exhausted") {
        MapperError::OutputTooLarge { limit: output }
    } else if says("store handle limit exceeded") || says("resource table has no free keys") {
        MapperError::Handles { limit: HANDLES }
    } else if says("resource limit exceeded: instance count") {
        MapperError::Instances { limit: INSTANCES, what: "instances" }
    } else if says("resource limit exceeded: memory count") {
        MapperError::Instances { limit: MEMORIES, what: "memories" }
    } else if says("resource limit exceeded: table count") {
        MapperError::Tables { limit: TABLES, what: "tables" }
    } else if error.chain().any(|cause| cause.is::<std::io::Error>() || cause.is::<rustix::io::Errno>()) {
        super::engine::engine_error("run the mapper", error)
    } else {
        Bad(escaped(&words, MESSAGE).into_owned()).into()
    }
}

/// A fault as it may be shown: capped, escaped, and with a code that is one.
pub(super) fn fault(raw: types::Fault) -> Fault {
    let code: String = raw.code.chars().filter(|c| is_code(*c)).take(CODE).collect();
    Fault {
        code: if code.is_empty() { "fault".into() } else { code },
        message: escaped(&raw.message, MESSAGE).into_owned(),
        row: raw.row,
        column: raw.column,
    }
}

/// Whether a character may stand in a code.
pub(super) fn is_code(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '-' | '_')
}
