//! The built binary as a process: a place of its own to run in, its log as it is written, signals and exit codes.
//!
//! A [`Bed`] owns a loopback S3 server with one bucket and the directories of one installation. A [`Process`] is one
//! `gristmill` at work in it; it is killed when dropped. Nothing here waits without a deadline, and every deadline that
//! passes panics with the whole log.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use gristmill_loopback_s3::{Config, Server};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// How long anything may take before the test fails. A machine may be busy with much else.
pub const DEADLINE: Duration = Duration::from_secs(60);
/// The pause between two looks at a condition that announces itself to nobody.
const LOOK: Duration = Duration::from_millis(10);

/// The bucket of a [`Bed`].
pub const BUCKET: &str = "exports";
/// The secret of its key pair.
pub const SECRET: &str = "loopback-secret";

/// The binary that cargo built beside the tests.
///
/// # Panics
/// When it is not there, with the command that builds it.
pub fn binary() -> PathBuf {
    let test = std::env::current_exe().expect("a running test has a file");
    let profile = test.parent().and_then(Path::parent).expect("tests lie in PROFILE/deps");
    let binary = profile.join("gristmill");
    assert!(
        binary.exists(),
        "`{}` is missing; build it with: cargo build --workspace --exclude gristmill-builtin --bins",
        binary.display()
    );
    binary
}

/// Looks at a condition until it holds.
///
/// # Panics
/// When it does not within [`DEADLINE`].
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let give_up = Instant::now() + DEADLINE;
    loop {
        if let Some(value) = look() {
            return value;
        }
        assert!(Instant::now() < give_up, "{what}: not within {DEADLINE:?}");
        std::thread::sleep(LOOK);
    }
}

/// A server, a configuration and the directories that it names.
pub struct Bed {
    directory: TempDir,
    /// The bucket's server.
    pub server: Server,
}

impl Bed {
    /// An empty bucket and no configuration yet.
    ///
    /// # Panics
    /// When the system refuses.
    pub fn new() -> Self {
        Self::with_secret(SECRET)
    }

    /// The same, with another secret key.
    ///
    /// # Panics
    /// When the system refuses.
    pub fn with_secret(secret: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let config = Config { secret_key: secret.to_owned(), ..Config::with_bucket(BUCKET) };
        let server = Server::start(config).expect("a server on loopback");
        let bed = Self { directory, server };
        fs::create_dir(bed.runtime()).expect("a runtime directory");
        let key = bed.path("secret-key");
        fs::write(&key, secret).expect("a file for the secret");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("a private file");
        bed
    }

    /// A path in the bed's directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The state directory of the configuration that [`Bed::configure`] writes.
    pub fn state(&self) -> PathBuf {
        self.path("state")
    }

    /// The runtime directory.
    pub fn runtime(&self) -> PathBuf {
        self.path("run")
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.path("gristmill.toml")
    }

    /// `[connections.acme]` for the bed's server.
    pub fn connection(&self) -> String {
        format!(
            "[connections.acme]\nendpoint_url = \"{}\"\naccess_key = {{ access_key_id = \"loopback\", \
             secret_access_key = {{ file = \"{}\" }} }}\n",
            self.server.endpoint(),
            self.path("secret-key").display()
        )
    }

    /// Writes a configuration: `daemon` is more of the table `[daemon]`, `parts` is what follows it.
    ///
    /// # Panics
    /// When the system refuses.
    pub fn configure(&self, daemon: &str, parts: &str) {
        self.configure_in(&self.state(), &self.config(), daemon, parts);
    }

    /// Writes a configuration for another state directory to another file.
    ///
    /// # Panics
    /// When the system refuses.
    pub fn configure_in(&self, state: &Path, file: &Path, daemon: &str, parts: &str) {
        let text = format!(
            "[daemon]\nstate_dir = \"{}\"\nruntime_dir = \"{}\"\nmin_free = \"1MiB\"\nlog = {{ format = \"json\" }}\n\
             {daemon}\n{}\n{parts}\n",
            state.display(),
            self.runtime().display(),
            self.connection()
        );
        fs::write(file, text).expect("a configuration file");
    }

    /// A command of the binary with this bed's configuration.
    pub fn command(&self, arguments: &[&str]) -> Command {
        command(&self.config(), arguments)
    }

    /// Runs a command to its end.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn gristmill(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the binary starts")
    }

    /// Runs a command that must succeed, and gives the JSON that it prints, a value a line.
    ///
    /// # Panics
    /// When it does not succeed.
    pub fn json(&self, arguments: &[&str]) -> Vec<Value> {
        let output = self.command(arguments).arg("--json").output().expect("the binary starts");
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        lines_of_json(&output.stdout)
    }

    /// Starts `gristmill run`.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn run(&self) -> Process {
        Process::start(self.command(&["run"]))
    }
}

impl Default for Bed {
    fn default() -> Self {
        Self::new()
    }
}

/// A command of the binary with a configuration, in an environment that says nothing else.
pub fn command(config: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.arg("--config").arg(config).args(arguments).env_clear().env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
    command
}

/// The JSON of an output, a value a line.
///
/// # Panics
/// When a line is something else.
pub fn lines_of_json(output: &[u8]) -> Vec<Value> {
    let text = String::from_utf8_lossy(output);
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"))).collect()
}

/// A running binary whose log is read as it is written.
pub struct Process {
    child: Child,
    lines: Receiver<Value>,
    /// The log so far, a value a line.
    pub log: Vec<Value>,
    reader: Option<JoinHandle<()>>,
}

impl Process {
    /// Starts a command with its log on standard error.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(command: Command) -> Self {
        Self::start_watched(command, |_, _| {})
    }

    /// The same; `watch` sees each line of the log as it stands, on the thread that reads it and before anyone else.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start_watched(mut command: Command, mut watch: impl FnMut(Pid, &str) + Send + 'static) -> Self {
        let spawned = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut child = spawned.expect("the binary starts");
        let pid = Pid::from_child(&child);
        let stderr = child.stderr.take().expect("standard error is a pipe");
        let (line_read, lines) = channel();
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines() {
                let Ok(line) = line else { return };
                watch(pid, &line);
                // What is not JSON is a panic or a complaint at the end; it is kept as text.
                let value = serde_json::from_str(&line).unwrap_or(Value::String(line));
                if line_read.send(value).is_err() {
                    return;
                }
            }
        });
        Self { child, lines, log: Vec::new(), reader: Some(reader) }
    }

    /// Its process id.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Waits for the next line of the log that is wanted.
    ///
    /// # Panics
    /// When none comes within [`DEADLINE`], or the process ends.
    pub fn wait_for(&mut self, what: &str, mut wanted: impl FnMut(&Value) -> bool) -> Value {
        let give_up = Instant::now() + DEADLINE;
        loop {
            match self.lines.recv_timeout(give_up.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.log.push(line.clone());
                    if wanted(&line) {
                        return line;
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("{what}: not within {DEADLINE:?}\n{}", self.text()),
                Err(RecvTimeoutError::Disconnected) => panic!("{what}: the process has ended\n{}", self.text()),
            }
        }
    }

    /// Waits for the next event of this name.
    ///
    /// # Panics
    /// As [`Process::wait_for`].
    pub fn event(&mut self, name: &str) -> Value {
        self.wait_for(name, |line| line["event"] == name)
    }

    /// Waits for the next event of this name whose `field` is `value`.
    ///
    /// # Panics
    /// As [`Process::wait_for`].
    pub fn event_of(&mut self, name: &str, field: &str, value: &str) -> Value {
        self.wait_for(name, |line| line["event"] == name && line[field] == value)
    }

    /// Whether it has ended.
    ///
    /// # Panics
    /// When the system does not say.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_some()
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// When it has ended already.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("the process is there");
    }

    /// Waits until it has ended, reads the rest of its log, and gives its exit code; minus the signal's number when one
    /// ended it.
    ///
    /// # Panics
    /// When it does not end within [`DEADLINE`].
    pub fn ended(&mut self) -> i32 {
        let give_up = Instant::now() + DEADLINE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                break status;
            }
            self.log.extend(self.lines.try_iter());
            assert!(Instant::now() < give_up, "it does not end within {DEADLINE:?}\n{}", self.text());
            std::thread::sleep(Duration::from_millis(1));
        };
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        self.log.extend(self.lines.try_iter());
        status.code().unwrap_or_else(|| -status.signal().unwrap_or_default())
    }

    /// Whether the log so far has an event of this name.
    pub fn has_logged(&mut self, name: &str) -> bool {
        self.log.extend(self.lines.try_iter());
        self.log.iter().any(|line| line["event"] == name)
    }

    /// The log so far, for a person.
    pub fn text(&self) -> String {
        self.log.iter().map(|line| format!("{line}\n")).collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only for a process that has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Every file below a directory, by its path from there.
///
/// # Panics
/// When one cannot be read.
pub fn files_below(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    fn walk(root: &Path, directory: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
        let Ok(entries) = fs::read_dir(directory) else { return };
        for entry in entries {
            let path = entry.expect("a directory can be read").path();
            if path.is_dir() {
                walk(root, &path, found);
            } else if path.is_file() {
                let mut content = Vec::new();
                fs::File::open(&path)
                    .and_then(|mut file| file.read_to_end(&mut content))
                    .unwrap_or_else(|error| panic!("cannot read `{}`: {error}", path.display()));
                found.push((path.strip_prefix(root).unwrap_or(&path).to_owned(), content));
            }
        }
    }
    let mut found = Vec::new();
    walk(directory, directory, &mut found);
    found.sort();
    found
}
