//! From WebAssembly to native code, in a worker process: compiling a hostile component can take minutes and gigabytes,
//! and no check inside a process stops it.
//!
//! The worker answers with native code or with the compiler's objection, then what it took, then which of both it is.

use std::fs::File;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::engine::{Settings, new_engine};
use super::error::MapperError;
use super::escape::escaped;
use super::limits::CompileLimits;
use crate::worker::{self, Launcher, Task};

/// The last byte of an answer that has native code.
const CODE: u8 = 1;
/// The last byte of an answer that has the compiler's objection.
const OBJECTION: u8 = 2;
/// Bytes of what follows the code or the objection.
const TAIL: usize = 17;
/// Bytes of native code.
const OUTPUT: u64 = 1 << 30;
/// Bytes of an objection.
const REASON: usize = 1 << 10;

/// A component's native code.
pub(super) struct Compiled {
    pub(super) code: Vec<u8>,
    pub(super) cost: CompileCost,
}

/// What compiling a component took, to be held against [`CompileLimits`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompileCost {
    /// Processor time.
    pub processor: Duration,
    /// Time by the clock.
    pub wall: Duration,
    /// Bytes of address space.
    pub memory: u64,
}

/// Why there is no native code.
#[derive(Debug)]
pub(super) enum CompileError {
    /// The component's fault: the same bytes fail again.
    Refused(String),
    /// Anything else.
    Ours(MapperError),
}

impl From<CompileError> for MapperError {
    fn from(error: CompileError) -> Self {
        match error {
            CompileError::Refused(reason) => Self::Compile { reason },
            CompileError::Ours(error) => error,
        }
    }
}

/// Compiles a component within limits. Blocks until it is done, at most [`CompileLimits::wall`].
pub(super) fn compile(
    launcher: &Launcher,
    bytes: &[u8],
    settings: Settings,
    limits: &CompileLimits,
) -> Result<Compiled, CompileError> {
    let input = worker::file_of(bytes).map_err(|source| {
        CompileError::Ours(MapperError::Io { what: "write", path: "the component in memory".into(), source })
    })?;
    let CompileLimits { processor: cpu, wall, memory } = *limits;
    let limits = worker::Limits { cpu, wall, memory, output: OUTPUT };
    let begun = Instant::now();
    let answer = launcher.start(Task::Compile, &settings, Some(input), limits).and_then(worker::Running::answer);
    let refused = |what: &str| CompileError::Refused(escaped(what, REASON).into_owned());
    match answer {
        Ok(mut code) => match split_tail(&mut code) {
            Some((CODE, processor, memory)) => {
                Ok(Compiled { code, cost: CompileCost { processor, wall: begun.elapsed(), memory } })
            }
            _ => Err(refused(&String::from_utf8_lossy(&code))),
        },
        Err(error) if error.is_inputs_fault() => Err(refused(&error.to_string())),
        Err(error) => Err(CompileError::Ours(MapperError::Worker(error))),
    }
}

/// Takes what stands behind the code or the objection off an answer: which it is, the processor time and the memory.
pub(super) fn split_tail(answer: &mut Vec<u8>) -> Option<(u8, Duration, u64)> {
    let body = answer.len().checked_sub(TAIL)?;
    let tail = answer.split_off(body);
    let number = |at: usize| Some(u64::from_le_bytes(tail.get(at..at + 8)?.try_into().ok()?));
    Some((*tail.last()?, Duration::from_micros(number(0)?), number(8)?))
}

/// The worker's side of compiling: reads a component, answers with native code or with the compiler's objection.
/// An error is one that says nothing of the component.
pub fn compile_child(request: &[u8], input: Option<File>, answer: &mut dyn Write) -> Result<(), String> {
    let before = worker::address_space(worker::AddressSpace::Now).unwrap_or(0);
    let settings: Settings =
        serde_json::from_slice(request).map_err(|error| format!("cannot read the request: {error}"))?;
    let mut input = input.ok_or("there is no component to compile")?;
    let mut bytes = Vec::new();
    input.read_to_end(&mut bytes).map_err(|error| format!("cannot read the component: {error}"))?;
    let engine = new_engine(settings).map_err(|error| error.to_string())?;
    let (body, kind) = match engine.precompile_component(&bytes) {
        Ok(code) => (code, CODE),
        Err(error) => (error.chain().map(ToString::to_string).collect::<Vec<_>>().join(": ").into_bytes(), OBJECTION),
    };
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let micros = time.tv_sec.unsigned_abs() * 1_000_000 + time.tv_nsec.unsigned_abs() / 1_000;
    // What cannot be measured is shown as nothing: the limits are enforced by the kernel all the same.
    let memory = worker::address_space(worker::AddressSpace::Peak).unwrap_or(0).saturating_sub(before);
    let tail = [&micros.to_le_bytes()[..], &memory.to_le_bytes()[..], &[kind]].concat();
    let written = answer.write_all(&body).and_then(|()| answer.write_all(&tail));
    written.map_err(|error| format!("cannot answer: {error}"))
}

#[cfg(test)]
mod tests {
    use super::super::{Fuel, Guards};
    use super::*;

    fn request(fuel: Fuel) -> Vec<u8> {
        serde_json::to_vec(&Settings { fuel, guards: Guards::ALL }).unwrap()
    }

    #[test]
    fn an_answer_says_what_it_took() {
        let input = worker::file_of(super::super::builtin_component::COMPONENT).unwrap();
        let mut answer = Vec::new();
        compile_child(&request(Fuel::Counted), Some(input), &mut answer).unwrap();
        let whole = answer.len();
        let (kind, processor, _) = split_tail(&mut answer).unwrap();
        assert_eq!((kind, answer.len()), (CODE, whole - TAIL));
        assert!(processor > Duration::ZERO);
        let input = worker::file_of(b"nonsense").unwrap();
        compile_child(&request(Fuel::Uncounted), Some(input), &mut answer).unwrap();
        assert_eq!(split_tail(&mut answer).unwrap().0, OBJECTION);
        assert!(split_tail(&mut vec![CODE; TAIL - 1]).is_none());
    }
}
