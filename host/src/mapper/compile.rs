//! From WebAssembly to native code, in a worker process: compiling a hostile component can take minutes and gigabytes,
//! and no check inside a process stops it.

use std::fs::File;
use std::io::{Read, Write};

use super::engine::new_engine;
use super::error::MapperError;
use super::escape::escaped;
use super::limits::CompileLimits;
use crate::worker::{self, Launcher, Task};

/// The last byte of an answer whose other bytes are native code.
const CODE: u8 = 1;
/// The last byte of an answer whose other bytes are the compiler's objection.
const OBJECTION: u8 = 2;
/// Bytes of native code.
const OUTPUT: u64 = 1 << 30;
/// Bytes of an objection.
const REASON: usize = 1 << 10;

/// Why there is no native code.
#[derive(Debug)]
pub(super) enum CompileError {
    /// The component's fault: the same bytes fail again.
    Refused(String),
    /// Anything else.
    Ours(MapperError),
}

/// Compiles a component within limits. Blocks until it is done, at most [`CompileLimits::wall`].
pub(super) fn compile(launcher: &Launcher, bytes: &[u8], limits: &CompileLimits) -> Result<Vec<u8>, CompileError> {
    let input = worker::file_of(bytes).map_err(|source| {
        CompileError::Ours(MapperError::Io { what: "write", path: "the component in memory".into(), source })
    })?;
    let CompileLimits { processor: cpu, wall, memory } = *limits;
    let limits = worker::Limits { cpu, wall, memory, output: OUTPUT };
    let answer = launcher.start(Task::Compile, &(), Some(input), limits).and_then(worker::Running::answer);
    let refused = |what: &str| CompileError::Refused(escaped(what, REASON).into_owned());
    match answer {
        Ok(mut answer) => match answer.pop() {
            Some(CODE) => Ok(answer),
            _ => Err(refused(&String::from_utf8_lossy(&answer))),
        },
        Err(error) if error.is_inputs_fault() => Err(refused(&error.to_string())),
        Err(error) => Err(CompileError::Ours(MapperError::Worker(error))),
    }
}

/// The worker's side of compiling: reads a component, answers with native code or with the compiler's objection.
/// An error is one that says nothing of the component.
pub fn compile_child(_request: &[u8], input: Option<File>, answer: &mut dyn Write) -> Result<(), String> {
    let mut input = input.ok_or("there is no component to compile")?;
    let mut bytes = Vec::new();
    input.read_to_end(&mut bytes).map_err(|error| format!("cannot read the component: {error}"))?;
    let engine = new_engine().map_err(|error| error.to_string())?;
    let (body, kind) = match engine.precompile_component(&bytes) {
        Ok(code) => (code, CODE),
        Err(error) => (error.chain().map(ToString::to_string).collect::<Vec<_>>().join(": ").into_bytes(), OBJECTION),
    };
    let written = answer.write_all(&body).and_then(|()| answer.write_all(&[kind]));
    written.map_err(|error| format!("cannot answer: {error}"))
}
