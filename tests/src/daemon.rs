//! The built binary on a bed of its own: a directory, a configuration, a bucket to look at, and a look at what it made.
//!
//! A test writes what matters to it in TOML and lets the commands run as an operator would. Rows of a store come as text
//! with `|` between the values, so that what is expected can be read at a glance.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// How long something that must happen may take on a loaded machine.
const DEADLINE: Duration = Duration::from_secs(120);

/// The built `gristmill`.
///
/// # Panics
/// When it has not been built.
pub fn binary() -> PathBuf {
    // Test executables stand in `deps`, below the directory of the binaries.
    let path = std::env::current_exe().ok().and_then(|test| Some(test.parent()?.parent()?.join("gristmill")));
    match path {
        Some(path) if path.exists() => path,
        path => panic!(
            "`{}` is missing; build it with: cargo build --workspace --exclude gristmill-builtin --bins",
            path.unwrap_or_default().display()
        ),
    }
}

/// A directory with a configuration, a state directory and a runtime directory.
pub struct Bed {
    directory: TempDir,
    connection: String,
}

impl Bed {
    /// For a server that accepts this key pair. The connection is called `main`.
    ///
    /// # Panics
    /// When no directory can be made.
    pub fn new(endpoint: &str, access_key: &str, secret_key: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let secret = directory.path().join("secret");
        write(&secret, secret_key);
        fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("the file is ours");
        let connection = format!(
            "endpoint_url = \"{endpoint}\"\naccess_key = {{ access_key_id = \"{access_key}\", \
             secret_access_key = {{ file = \"{}\" }} }}\n",
            secret.display()
        );
        Self { directory, connection }
    }

    /// Writes the configuration: `daemon` goes into `[daemon]`, `parts` behind the connection `main`.
    ///
    /// # Panics
    /// When the directory refuses.
    pub fn configure_daemon(&self, daemon: &str, parts: &str) {
        let (state, runtime) = (self.state(), self.path("run"));
        let text = format!(
            "[daemon]\nstate_dir = \"{}\"\nruntime_dir = \"{}\"\nmin_free = \"1MiB\"\n\
             log = {{ format = \"json\", level = \"debug\" }}\n{daemon}\n[connections.main]\n{}\n{parts}",
            state.display(),
            runtime.display(),
            self.connection
        );
        // What a test sets itself stands once.
        let text = if daemon.contains("min_free") { text.replacen("min_free = \"1MiB\"\n", "", 1) } else { text };
        fs::create_dir_all(runtime).expect("the directory is ours");
        write(&self.config(), &text);
    }

    /// Writes the configuration with `parts` behind the connection `main`.
    pub fn configure(&self, parts: &str) {
        self.configure_daemon("", parts);
    }

    /// A path below the bed's directory.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.path("gristmill.toml")
    }

    /// The state directory.
    pub fn state(&self) -> PathBuf {
        self.path("state")
    }

    /// The lines of an S3 connection's table, for a second one.
    pub fn connection(&self) -> &str {
        &self.connection
    }

    /// Runs a command to its end.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Ran {
        let output = self.prepare(arguments).output().expect("the binary can be started");
        Ran::from(output)
    }

    /// `run --once --json`.
    pub fn once(&self) -> Ran {
        self.command(["run", "--once", "--json"])
    }

    /// Starts the daemon and waits until it says that it has started.
    pub fn start(&self) -> Daemon {
        let daemon = self.launch();
        daemon.wait_for("daemon_started", |line| line["event"] == "daemon_started");
        daemon
    }

    /// Starts the daemon.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn launch(&self) -> Daemon {
        let mut child = self
            .prepare(["run"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary can be started");
        let lines = Arc::new(Lines::default());
        let errors = child.stderr.take().expect("standard error is a pipe");
        let into = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in BufReader::new(errors).lines().map_while(Result::ok) {
                into.push(line);
            }
            into.end();
        });
        Daemon { child, lines }
    }

    fn prepare<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(binary());
        command.args(arguments).env("GRISTMILL_CONFIG", self.config()).env("NO_COLOR", "1");
        // What the machine's owner set must not reach a test.
        for name in ["GRISTMILL_LOG", "STATE_DIRECTORY", "RUNTIME_DIRECTORY", "NOTIFY_SOCKET", "JOURNAL_STREAM"] {
            command.env_remove(name);
        }
        command
    }

    /// The rows of a query over the store of the tenant `default`, as text with `|` between the values.
    pub fn rows(&self, query: &str) -> Vec<String> {
        self.rows_of("default", query)
    }

    /// The same of another tenant's store; none when there is no store.
    ///
    /// # Panics
    /// When the query fails.
    pub fn rows_of(&self, tenant: &str, query: &str) -> Vec<String> {
        let path = self.state().join("store").join(format!("{tenant}.db"));
        if !path.exists() {
            return Vec::new();
        }
        let connection =
            Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_WRITE).expect("the store opens");
        let mut statement = connection.prepare(query).unwrap_or_else(|error| panic!("{query}: {error}"));
        let columns = statement.column_count();
        let row = |row: &rusqlite::Row<'_>| {
            let values: rusqlite::Result<Vec<String>> =
                (0..columns).map(|index| row.get_ref(index).map(text)).collect();
            Ok(values?.join("|"))
        };
        let rows = statement.query_map([], row).expect("the query runs");
        rows.collect::<rusqlite::Result<_>>().unwrap_or_else(|error| panic!("{query}: {error}"))
    }

    /// Everything that the store says to a person, in an order of its own: what must be the same however the files came.
    pub fn content(&self) -> Vec<String> {
        let accounts = "SELECT crm_id, name, domains FROM account_overview ORDER BY 1, 2, 3";
        let fields = "SELECT crm_id, name, domains, field, value, unit, integration, key, etag FROM account_field_values \
                      ORDER BY 1, 2, 3, 4";
        let usage = "SELECT crm_id, name, domains, user, product, metric, period, period_start, value, objects, key, etag \
                     FROM usage_records ORDER BY 1, 2, 3, 4, 5, 6, 7, 8";
        [accounts, fields, usage].into_iter().flat_map(|query| self.rows(query)).collect()
    }

    /// The ledger's entries of an integration, newest version of a key first, as `ledger list --json` shows them.
    pub fn ledger(&self, integration: &str) -> Vec<Value> {
        let listed = self.command(["ledger", "list", integration, "--json"]);
        assert_eq!(listed.code, 0, "{listed:?}");
        listed.values
    }

    /// The state of a key's newest version, with all it carries.
    pub fn state_of(&self, integration: &str, key: &str) -> Value {
        self.entry(integration, key)["state"].clone()
    }

    /// The ledger's entry of a key's newest version.
    ///
    /// # Panics
    /// When the key is not known.
    pub fn entry(&self, integration: &str, key: &str) -> Value {
        let shown = self.command(["ledger", "show", integration, key, "--json"]);
        let current = shown.values.iter().find(|entry| entry["current"] == true);
        current.cloned().unwrap_or_else(|| panic!("`{key}` is not known: {shown:?}"))
    }

    /// Files below a directory of the bed, as paths relative to it, sorted.
    pub fn files(&self, below: impl AsRef<Path>) -> Vec<String> {
        let root = self.path(below);
        let mut found = Vec::new();
        let mut directories = vec![root.clone()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(&directory).into_iter().flatten().map_while(Result::ok) {
                match entry.path() {
                    path if path.is_dir() => directories.push(path),
                    path => found.extend(path.strip_prefix(&root).ok().map(|path| path.display().to_string())),
                }
            }
        }
        found.sort();
        found
    }
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

fn text(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => String::new(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(text) | ValueRef::Blob(text) => String::from_utf8_lossy(text).into_owned(),
    }
}

/// A command that ended.
#[derive(Debug)]
pub struct Ran {
    /// The exit code; -1 when a signal ended it.
    pub code: i32,
    /// Standard output.
    pub output: String,
    /// The lines of standard output that are JSON.
    pub values: Vec<Value>,
    /// Standard error.
    pub errors: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let values = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        Self { code: output.status.code().unwrap_or(-1), output: text, values, errors }
    }
}

impl Ran {
    /// The report of an integration's pass: `PassReport` as JSON, or null when the pass ended early.
    pub fn pass(&self, integration: &str) -> &Value {
        &self.line(integration)["pass"]
    }

    /// Why an integration's pass ended early, with the hint behind it.
    pub fn refusal(&self, integration: &str) -> String {
        let line = self.line(integration);
        let text = |field: &str| line[field].as_str().unwrap_or_default().to_owned();
        format!("{} — {}", text("error"), text("hint"))
    }

    fn line(&self, integration: &str) -> &Value {
        let line = self.values.iter().find(|line| line["integration"] == integration);
        line.unwrap_or_else(|| panic!("nothing is said of `{integration}`: {self:?}"))
    }

    /// `listed known succeeded partial skipped failed` of an integration's pass, in this order.
    pub fn counts(&self, integration: &str) -> [u64; 6] {
        let pass = self.pass(integration);
        assert!(pass.is_object(), "the pass ended early: {self:?}");
        ["listed", "known", "succeeded", "partial", "skipped", "failed"]
            .map(|name| pass[name].as_u64().unwrap_or_default())
    }

    /// The log lines with this event.
    pub fn events(&self, event: &str) -> Vec<Value> {
        let lines = self.errors.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["event"] == event).collect()
    }
}

/// A running daemon; it is killed when this is dropped.
pub struct Daemon {
    child: Child,
    lines: Arc<Lines>,
}

impl Daemon {
    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a log line; also looks at those that came before.
    ///
    /// # Panics
    /// When it does not come in time, or the daemon has ended.
    pub fn wait_for(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        self.lines.wait(what, 0, wanted).0
    }

    /// Waits until a pass of this integration has ended that began after this was called.
    ///
    /// # Panics
    /// When it does not in time, or the daemon has ended.
    pub fn wait_for_pass(&self, integration: &str) -> Value {
        // The one that ends next may have listed before.
        let ended = |line: &Value| line["event"] == "pass_finished" && line["integration"] == integration;
        let (_, next) = self.lines.wait("a pass that ends", self.lines.count(), ended);
        self.lines.wait("a pass after it", next, ended).0
    }

    /// The log lines so far that are JSON.
    pub fn log(&self) -> Vec<Value> {
        self.lines.read().0.iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// When the process is gone.
    pub fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process has an id");
        kill_process(id, signal).expect("the process is there");
    }

    /// Sends SIGTERM and waits for the end; gives the exit code.
    ///
    /// # Panics
    /// When it does not end in time.
    pub fn stop(mut self) -> i32 {
        self.signal(Signal::TERM);
        self.wait_for_exit()
    }

    /// Waits for the end; gives the exit code, -1 when a signal ended it.
    ///
    /// # Panics
    /// When it does not end in time.
    pub fn wait_for_exit(&mut self) -> i32 {
        let mut text = self.lines.read();
        let began = Instant::now();
        while !text.1 {
            assert!(began.elapsed() < DEADLINE, "the daemon does not end:\n{}", text.0.join("\n"));
            text = self.lines.changed.wait_timeout(text, DEADLINE).unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(text);
        self.child.wait().ok().and_then(|status| status.code()).unwrap_or(-1)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a daemon has logged so far, and whether that is all there will be.
#[derive(Default)]
struct Lines {
    text: Mutex<(Vec<String>, bool)>,
    changed: Condvar,
}

impl Lines {
    fn read(&self) -> MutexGuard<'_, (Vec<String>, bool)> {
        self.text.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self) -> usize {
        self.read().0.len()
    }

    fn push(&self, line: String) {
        self.read().0.push(line);
        self.changed.notify_all();
    }

    fn end(&self) {
        self.read().1 = true;
        self.changed.notify_all();
    }

    /// The first wanted line at or after `from`, and the place behind it.
    fn wait(&self, what: &str, from: usize, wanted: impl Fn(&Value) -> bool) -> (Value, usize) {
        let began = Instant::now();
        let mut next = from;
        let mut text = self.read();
        loop {
            while let Some(line) = text.0.get(next) {
                next += 1;
                if let Some(line) = serde_json::from_str(line).ok().filter(&wanted) {
                    return (line, next);
                }
            }
            let ended = text.1 || began.elapsed() > DEADLINE;
            assert!(!ended, "no line for {what} came:\n{}", text.0.join("\n"));
            text = self.changed.wait_timeout(text, DEADLINE).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
