//! Our own binary as a limited child: resource limits, a deadline, no environment, pipes only.
//!
//! Work on bytes that may be hostile in a way no check inside a process survives (an allocation of terabytes aborts, a
//! compile takes minutes) runs here, so that the worst it can do is fail the one file or mapper it was for. This
//! module does not know who asked, nor what a task means.
//!
//! # How a worker lives
//!
//! [`Launcher::start`] runs `PROGRAM worker TASK` in `/`, with an empty environment and three descriptors: a Unix
//! socket, nothing, and a pipe for the last words. Over the socket the child gets its order (limits and request, with
//! the input file's descriptor beside it), lowers its own limits before it looks at either, and answers with plain
//! bytes until it exits. It dies with its parent.
//!
//! # Invariants
//!
//! - An answer that ends without an error is whole: the end is only reported once the child has exited with success.
//! - A child is always reaped, and never outlives its [`Running`].
//! - Time counts only while the parent waits, so a slow reader never makes a worker late.

use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::sync::mpsc::{Sender, SyncSender, channel, sync_channel};
use std::time::{Duration, Instant};
use std::{fs::File, thread};

use rustix::process::Signal;
use serde::{Deserialize, Serialize};

mod child;
mod order;

pub use child::child_entry;
pub(crate) use child::{AddressSpace, address_space};

/// The argument that makes the binary a worker.
const WORKER_ARGUMENT: &str = "worker";
/// The exit status of a child whose task returned an error; the reason stands on its standard error.
const REFUSED: u8 = 65;
/// How much of a child's standard error is kept, in bytes.
const LAST_WORDS: usize = 4096;

/// What a worker can be asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// A workbook to tables and batches.
    Decode,
    /// A component to native code.
    Compile,
}

impl Task {
    /// Every task.
    const ALL: [Self; 2] = [Self::Decode, Self::Compile];

    /// The word that stands for it on the child's command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Compile => "compile",
        }
    }
}

/// How much a worker may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Processor time of all its threads; whole seconds, rounded up.
    pub cpu: Duration,
    /// How long the parent waits for it, all waits together.
    pub wall: Duration,
    /// Bytes of address space beyond what the program itself takes.
    pub memory: u64,
    /// Bytes of answer.
    pub output: u64,
}

/// Where the binary is that can be started as a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launcher {
    program: PathBuf,
}

impl Launcher {
    /// The running program itself, even when its file has been replaced since.
    pub fn this_binary() -> Self {
        Self::at("/proc/self/exe")
    }

    /// The `gristmill` binary at this path.
    pub fn at(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into() }
    }

    /// Starts a worker on a request, which crosses as JSON, and perhaps on a file, which the worker gets as it is
    /// (its position is shared).
    pub fn start(
        &self,
        task: Task,
        request: &impl Serialize,
        input: Option<File>,
        limits: Limits,
    ) -> Result<Running, WorkerError> {
        let (ours, theirs) = UnixStream::pair().map_err(WorkerError::Order)?;
        let mut command = Command::new(&self.program);
        command.arg(WORKER_ARGUMENT).arg(task.word()).current_dir("/").env_clear();
        command.stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::null()).stderr(Stdio::piped());
        let child = spawn(command).map_err(|source| WorkerError::Start { program: self.program.clone(), source })?;
        let running = Running { child, answer: ours, limits, waited: Duration::ZERO, received: 0, ended: false };
        // From here on the child is reaped by `Running`, whatever fails.
        running.answer.set_write_timeout(Some(limits.wall)).map_err(WorkerError::Order)?;
        match order::send(&running.answer, &limits, request, input.as_ref()) {
            // A child that died before it read its order has more to say than the broken pipe.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(running.died()),
            Err(error) => Err(WorkerError::Order(error)),
            Ok(()) => Ok(running),
        }
    }
}

/// Bytes as a file that lives in memory, for inputs that are not files; positioned at 0.
pub fn file_of(bytes: &[u8]) -> io::Result<File> {
    use std::io::{Seek, Write};
    let mut file = File::from(rustix::fs::memfd_create("input", rustix::fs::MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file)
}

/// One start: the command, and where its child goes.
type Start = (Command, SyncSender<io::Result<Child>>);

/// Starts a child from a thread that never ends. The kernel sends the parent-death signal when the *thread* that
/// forked ends, and callers sit on pools whose threads come and go.
fn spawn(command: Command) -> io::Result<Child> {
    static STARTER: LazyLock<Result<Sender<Start>, io::ErrorKind>> = LazyLock::new(|| {
        let (starts, waiting) = channel::<Start>();
        let starter = thread::Builder::new().name("worker-starter".into());
        let run = move || waiting.into_iter().for_each(|(mut command, reply)| drop(reply.send(command.spawn())));
        starter.spawn(run).map(|_| starts).map_err(|error| error.kind())
    });
    let starts = STARTER.as_ref().map_err(|kind| io::Error::from(*kind))?;
    let gone = || io::Error::other("the thread that starts workers is gone");
    let (reply, started) = sync_channel(1);
    starts.send((command, reply)).map_err(|_| gone())?;
    started.recv().map_err(|_| gone())?
}

/// A worker at work. Dropped, it is killed.
#[derive(Debug)]
pub struct Running {
    child: Child,
    answer: UnixStream,
    limits: Limits,
    waited: Duration,
    received: u64,
    ended: bool,
}

impl Running {
    /// The next bytes of the answer. 0 means that the worker finished its task and that the answer is whole.
    pub fn read_some(&mut self, buffer: &mut [u8]) -> Result<usize, WorkerError> {
        if self.ended || buffer.is_empty() {
            return Ok(0);
        }
        let read = loop {
            let left = self.limits.wall.saturating_sub(self.waited);
            if left.is_zero() {
                return Err(self.stop(WorkerError::Deadline { limit: self.limits.wall }));
            }
            self.answer.set_read_timeout(Some(left)).map_err(WorkerError::Answer)?;
            let begun = Instant::now();
            let read = self.answer.read(buffer);
            self.waited += begun.elapsed();
            match read {
                Ok(read) => break read,
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => break 0,
                // A timeout: the loop's head sees that nothing is left.
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.stop(WorkerError::Answer(error))),
            }
        };
        if read == 0 {
            self.ended = true;
            return self.reap().map(|()| 0);
        }
        self.received += read as u64;
        if self.received > self.limits.output {
            return Err(self.stop(WorkerError::Output { limit: self.limits.output }));
        }
        Ok(read)
    }

    /// The whole answer.
    pub fn answer(mut self) -> Result<Vec<u8>, WorkerError> {
        let mut answer = Vec::new();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match self.read_some(&mut buffer)? {
                0 => return Ok(answer),
                read => answer.extend_from_slice(&buffer[..read]),
            }
        }
    }

    /// Ends the child and passes the reason on.
    fn stop(&mut self, reason: WorkerError) -> WorkerError {
        self.ended = true;
        self.kill();
        reason
    }

    /// Why a child ended that should not have.
    fn died(mut self) -> WorkerError {
        self.ended = true;
        self.reap().err().unwrap_or_else(|| WorkerError::Crashed { how: "it ended".into(), words: String::new() })
    }

    fn kill(&mut self) {
        // Both fail only for a child that has been reaped already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for a child whose end of the socket is closed, and says how it ended.
    fn reap(&mut self) -> Result<(), WorkerError> {
        // The child closes its socket by exiting alone: its status is decided by now and the signal changes nothing,
        // but a child that was led astray and closed it on purpose does not keep us waiting.
        let _ = self.child.kill();
        let status = self.child.wait().map_err(WorkerError::Answer)?;
        if status.success() {
            return Ok(());
        }
        let mut words = Vec::new();
        if let Some(stderr) = self.child.stderr.take() {
            // What cannot be read is missing from a message, no more.
            let _ = stderr.take(LAST_WORDS as u64).read_to_end(&mut words);
        }
        Err(classify(status, escaped(&words), &self.limits))
    }
}

impl Read for Running {
    /// As [`Running::read_some`]; the error's inner error is a [`WorkerError`].
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_some(buffer).map_err(io::Error::other)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Text from a child as it may stand in a message: no control characters, one line.
fn escaped(words: &[u8]) -> String {
    let text = String::from_utf8_lossy(words);
    let mut line = String::with_capacity(text.len());
    for character in text.trim().chars() {
        match character {
            '\n' => line.push(' '),
            control if control.is_control() => line.extend(control.escape_default()),
            plain => line.push(plain),
        }
    }
    line
}

/// What an exit status and the last words mean.
fn classify(status: ExitStatus, words: String, limits: &Limits) -> WorkerError {
    if status.code() == Some(i32::from(REFUSED)) {
        return WorkerError::Refused { reason: words };
    }
    match status.signal().and_then(Signal::from_named_raw) {
        Some(Signal::XCPU) => WorkerError::Cpu { limit: limits.cpu },
        // What the standard library says of an allocation that failed, before it aborts.
        Some(Signal::ABORT) if words.contains("memory allocation of") => WorkerError::Memory { limit: limits.memory },
        Some(signal) => WorkerError::Crashed { how: format!("it was ended by signal {}", signal.as_raw()), words },
        None => match status.code() {
            Some(code) => WorkerError::Crashed { how: format!("it exited with status {code}"), words },
            None => WorkerError::Crashed { how: "it ended".into(), words },
        },
    }
}

/// Why a worker gave no answer, or only a part of one.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The program could not be started.
    #[error("cannot start `{}` as a worker", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// The system's own words.
        #[source]
        source: io::Error,
    },
    /// The order could not be given.
    #[error("cannot give the worker its order")]
    Order(#[source] io::Error),
    /// The answer could not be read.
    #[error("cannot read the worker's answer")]
    Answer(#[source] io::Error),
    /// The task itself failed and said why.
    #[error("the worker refused: {reason}")]
    Refused {
        /// Its words, control characters escaped.
        reason: String,
    },
    /// It wanted more memory than it may have.
    #[error("the worker needed more memory than it may have ({})", Bytes(*limit))]
    Memory {
        /// Bytes.
        limit: u64,
    },
    /// It used up its processor time.
    #[error("the worker used up its processor time ({limit:?})")]
    Cpu {
        /// What it had.
        limit: Duration,
    },
    /// It was not done in time.
    #[error("the worker was not done in time ({limit:?})")]
    Deadline {
        /// What it had.
        limit: Duration,
    },
    /// It answered more than it may.
    #[error("the worker answered more than it may ({})", Bytes(*limit))]
    Output {
        /// Bytes.
        limit: u64,
    },
    /// It ended otherwise: a signal, a panic.
    #[error("the worker crashed: {how}{}{words}", if words.is_empty() { "" } else { ": " })]
    Crashed {
        /// How it ended.
        how: String,
        /// Its last words, control characters escaped; often empty.
        words: String,
    },
}

impl WorkerError {
    /// Whether what the worker was given is to blame, rather than this machine.
    pub fn is_inputs_fault(&self) -> bool {
        match self {
            Self::Start { .. } | Self::Order(_) | Self::Answer(_) | Self::Refused { .. } => false,
            Self::Memory { .. } | Self::Cpu { .. } | Self::Deadline { .. } => true,
            Self::Output { .. } | Self::Crashed { .. } => true,
        }
    }
}

/// A count of bytes in the largest binary unit that divides it.
pub(crate) struct Bytes(pub(crate) u64);

impl std::fmt::Display for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
        match units.into_iter().find(|(size, _)| self.0 >= *size && self.0.is_multiple_of(*size)) {
            Some((size, unit)) => write!(f, "{} {unit}", self.0 / size),
            None => write!(f, "{} bytes", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits { cpu: Duration::from_secs(5), wall: Duration::from_secs(30), memory: 1 << 29, output: 1 << 20 }
    }

    #[test]
    fn ends_are_told_apart() {
        let check = |raw: i32, words: &str, expected: &str| {
            assert_eq!(classify(ExitStatus::from_raw(raw), words.into(), &limits()).to_string(), expected);
        };
        check(65 << 8, "no such sheet", "the worker refused: no such sheet");
        check(101 << 8, "capacity overflow", "the worker crashed: it exited with status 101: capacity overflow");
        check(6, "memory allocation of 9 bytes failed", "the worker needed more memory than it may have (512 MiB)");
        check(6, "", "the worker crashed: it was ended by signal 6");
        check(24, "", "the worker used up its processor time (5s)");
        check(9, "", "the worker crashed: it was ended by signal 9");
    }

    #[test]
    fn last_words_cannot_drive_a_terminal() {
        assert_eq!(escaped(b"a\x1b[31mb\nc\xff\n"), "a\\u{1b}[31mb c\u{fffd}");
    }

    #[test]
    fn a_program_that_is_missing_is_an_error_of_ours() {
        let error = Launcher::at("/nonexistent/gristmill").start(Task::Decode, &(), None, limits()).unwrap_err();
        assert_eq!(error.to_string(), "cannot start `/nonexistent/gristmill` as a worker");
        assert!(!error.is_inputs_fault());
    }

    #[test]
    fn a_program_that_is_no_worker_is_reaped_and_named() {
        let error = match Launcher::at("/bin/false").start(Task::Decode, &(), None, limits()) {
            Ok(running) => running.answer().unwrap_err(),
            Err(error) => error,
        };
        assert_eq!(error.to_string(), "the worker crashed: it exited with status 1");
    }
}
