//! The child's side: limits first, then the task.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::OnceLock;

use landlock::{ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetError, RulesetStatus, Scope};
use rustix::process::{Resource, Rlimit, Signal, setrlimit};

use super::order::{self, Received};
use super::{Limits, REFUSED, Task, WORKER_ARGUMENT};

/// A child's half of a task: reads the request (the JSON of what the parent passed) and the input, writes the answer.
///
/// An error is one sentence for [`WorkerError::Refused`](super::WorkerError::Refused); what the parent must tell apart
/// belongs into the answer. A panic or an abort ends the child alone.
pub type ChildTask = fn(request: &[u8], input: Option<File>, answer: &mut dyn Write) -> Result<(), String>;

/// Which function does a task.
fn child_task(task: Task) -> ChildTask {
    match task {
        Task::Decode => crate::decode::decode_child,
        Task::Compile => crate::mapper::compile_child,
    }
}

/// Runs this process as a worker if its arguments (the program's name first) say so. Call it before anything else:
/// nothing that the daemon sets up may exist in a worker.
pub fn child_entry(arguments: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut arguments = arguments.into_iter().skip(1);
    if arguments.next()? != WORKER_ARGUMENT {
        return None;
    }
    let word = arguments.next().unwrap_or_default();
    let task = Task::ALL.into_iter().find(|task| word == task.word());
    std::panic::set_hook(Box::new(|panic| eprintln!("{}", panic.payload_as_str().unwrap_or("a panic"))));
    let outcome = match task.map(child_task) {
        Some(run) => work(run),
        None => Err(format!("no worker task is called `{}`", word.display())),
    };
    Some(match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::from(REFUSED)
        }
    })
}

fn work(run: ChildTask) -> Result<(), String> {
    let not_ours = |error: io::Error| format!("a worker is started by gristmill itself: {error}");
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(|error| error.to_string())?;
    // A clone: the socket itself stays open as descriptor 0 until the process ends, so that its closing says just that.
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned().map_err(not_ours)?);
    let Received { order, request, input } = order::receive(&socket).map_err(not_ours)?;
    if rustix::process::getppid().map(|parent| parent.as_raw_nonzero().get()) != Some(order.parent) {
        return Err("the parent is gone".into());
    }
    confine(&order.limits).map_err(|error| format!("cannot limit the worker: {error}"))?;
    let mut answer = BufWriter::with_capacity(64 * 1024, socket);
    run(&request, input, &mut answer)?;
    answer.flush().map_err(|error| format!("cannot answer: {error}"))
}

/// Gives up what the task does not need, for good.
fn confine(limits: &Limits) -> io::Result<()> {
    let limit =
        |resource, soft: u64, hard: u64| setrlimit(resource, Rlimit { current: Some(soft), maximum: Some(hard) });
    let cpu = limits.cpu.as_secs() + u64::from(limits.cpu.subsec_nanos() > 0);
    // A debug build maps hundreds of megabytes of itself before its task.
    let memory = limits.memory.saturating_add(address_space(AddressSpace::Now)?);
    limit(Resource::As, memory, memory)?;
    // The soft limit's signal says what happened; the hard one ends whatever survives it.
    limit(Resource::Cpu, cpu.max(1), cpu.max(1) + 1)?;
    limit(Resource::Fsize, 0, 0)?;
    limit(Resource::Core, 0, 0)?;
    limit(Resource::Nofile, 16, 16)?;
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    rustix::thread::set_no_new_privs(true)?;
    // A kernel that knows no Landlock, or was started without it, leaves the limits above and the sandbox of the unit.
    let _ = shut_in();
    Ok(())
}

/// From here on this thread and all that it starts open no file by its name, no TCP connection and no abstract socket, and
/// signal nobody else, as far as the kernel knows how to see to it. What is open stays open.
fn shut_in() -> Result<RulesetStatus, RulesetError> {
    let abi = ABI::V6;
    let rules = Ruleset::default().handle_access(AccessFs::from_all(abi))?.handle_access(AccessNet::from_all(abi))?;
    Ok(rules.scope(Scope::from_all(abi))?.create()?.restrict_self()?.ruleset)
}

/// Which address space of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AddressSpace {
    /// What it has now.
    Now,
    /// The most that it ever had.
    Peak,
}

/// Bytes of this process's address space.
pub(crate) fn address_space(which: AddressSpace) -> io::Result<u64> {
    let field = match which {
        AddressSpace::Now => "VmSize:",
        AddressSpace::Peak => "VmPeak:",
    };
    // Kept open: once it is shut in, a worker opens nothing by its name.
    static STATUS: OnceLock<File> = OnceLock::new();
    let file = match STATUS.get() {
        Some(file) => file,
        None => STATUS.get_or_init({
            let file = File::open("/proc/self/status")?;
            || file
        }),
    };
    let mut status = [0; 8 << 10];
    let length = file.read_at(&mut status, 0)?;
    let status = String::from_utf8_lossy(status.get(..length).unwrap_or_default());
    let size = status.lines().find_map(|line| line.strip_prefix(field));
    let kibibytes = size.and_then(|size| size.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kibibytes.map(|kibibytes| kibibytes * 1024).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_worker_that_is_led_astray_reaches_no_file_and_no_server() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("open");
        std::fs::write(&path, "open").unwrap();
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        // Only the thread is shut in, and ends with the test.
        let shut = std::thread::spawn(move || {
            let mut open = File::open(&path).unwrap();
            let status = shut_in().unwrap();
            let mut read = String::new();
            io::Read::read_to_string(&mut open, &mut read).unwrap();
            let kinds = [
                File::open(&path).map(drop),
                std::fs::write(path.with_extension("new"), "").map(drop),
                std::fs::read_dir("/proc").map(drop),
                TcpStream::connect(address).map(drop),
            ];
            (status, read, kinds.map(|tried| tried.err().map(|error| error.kind())))
        });
        let (status, read, kinds) = shut.join().unwrap();
        assert_eq!(read, "open");
        let denied = Some(io::ErrorKind::PermissionDenied);
        match status {
            RulesetStatus::NotEnforced => assert_eq!(kinds, [None; 4]),
            // An older kernel knows nothing of connections.
            RulesetStatus::PartiallyEnforced => assert_eq!(kinds[..3], [denied; 3]),
            RulesetStatus::FullyEnforced => assert_eq!(kinds, [denied; 4]),
        }
    }
}
