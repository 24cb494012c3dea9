//! Where the story plays: a temporary directory with the bucket, the configuration and the state, the S3 server and the
//! daemon. Both are children of this process and are ended by their own ids.

use std::fs::{self, File, Permissions};
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::page::Page;

const BUCKET: &str = "customer-success";
const SECRET: &str = "not-a-secret-outside-of-the-demo";

/// What was not as said, or could not be done.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The product did something else.
    #[error("not as said: {0}")]
    NotAsSaid(String),
    /// A command failed.
    #[error("`{command}` failed\n{output}")]
    Command {
        /// The command.
        command: String,
        /// What it said.
        output: String,
    },
    /// The file system refused.
    #[error("cannot {what} `{path}`: {source}")]
    Io {
        /// The step.
        what: &'static str,
        /// The file, directory or program.
        path: PathBuf,
        /// The system's own words.
        source: io::Error,
    },
    /// The store could not be read.
    #[error("cannot read the store: {0}")]
    Store(#[from] rusqlite::Error),
}

impl Trouble {
    /// The file system refused.
    pub fn io(what: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io { what, path: path.into(), source }
    }
}

/// Holds the product to what is said of it.
pub fn ensure(is_so: bool, said: &str) -> Result<(), Trouble> {
    if is_so { Ok(()) } else { Err(Trouble::NotAsSaid(said.to_owned())) }
}

/// A child that does not outlive its owner.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The stage and who is on it.
pub struct Scene {
    /// Where the story is told.
    pub page: Page,
    daemon: Option<Running>,
    server: Option<Running>,
    /// The command that serves the bucket again, for those who keep it.
    serving: String,
    programs: PathBuf,
    directory: TempDir,
}

impl Scene {
    /// Copies the bucket to a new temporary directory.
    pub fn set(page: Page) -> Result<Self, Trouble> {
        let directory = tempfile::Builder::new()
            .prefix("gristmill-demo-")
            .tempdir()
            .map_err(|error| Trouble::io("create a directory in", std::env::temp_dir(), error))?;
        let this = std::env::current_exe().map_err(|error| Trouble::io("find", "this program", error))?;
        let programs = this.parent().map(Path::to_path_buf).unwrap_or_default();
        let scene = Self { page, daemon: None, server: None, serving: String::new(), programs, directory };
        copy(&source().join("bucket"), &scene.path("bucket"))?;
        let key = scene.path("millbrook.key");
        fs::write(&key, SECRET)
            .and_then(|()| fs::set_permissions(&key, Permissions::from_mode(0o600)))
            .map_err(|error| Trouble::io("write", &key, error))?;
        Ok(scene)
    }

    fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The configuration.
    pub fn config(&self) -> PathBuf {
        self.path("gristmill.toml")
    }

    /// The store.
    pub fn store(&self) -> PathBuf {
        self.path("state/store/default.db")
    }

    /// Keys and sizes of the bucket.
    pub fn files(&self) -> Result<Vec<(String, u64)>, Trouble> {
        let root = self.path("bucket");
        let mut found = Vec::new();
        each_file(&root, &mut |path| {
            let size = fs::metadata(path).map_err(|error| Trouble::io("look at", path, error))?.len();
            found.push((path.strip_prefix(&root).unwrap_or(path).display().to_string(), size));
            Ok(())
        })?;
        found.sort();
        Ok(found)
    }

    /// Serves the bucket, and writes the configuration with the server's address in it.
    pub fn serve(&mut self) -> Result<(), Trouble> {
        let arguments = ["--directory", "bucket", "--bucket", BUCKET, "--access-key", "demo"];
        let secret = ["--secret-key-file", "millbrook.key"];
        let (endpoint, server) = self.start_server(&[&arguments[..], &secret[..]].concat())?;
        self.server = Some(server);
        let port = endpoint.rsplit(':').next().unwrap_or_default();
        self.serving =
            format!("gristmill-loopback-s3 --port {port} {} \\\n    {}", arguments.join(" "), secret.join(" "));
        let template = source().join("gristmill.toml");
        let mut config = fs::read_to_string(&template).map_err(|error| Trouble::io("read", &template, error))?;
        let here = self.directory.path().display();
        for (example, own) in [
            ("/var/lib/gristmill", format!("{here}/state")),
            ("/run/gristmill", format!("{here}/run")),
            ("http://127.0.0.1:9000", endpoint),
            ("/etc/gristmill/millbrook.key", format!("{here}/millbrook.key")),
        ] {
            ensure(config.matches(example).count() == 1, &format!("`{example}` stands in the example once"))?;
            config = config.replace(example, &own);
        }
        fs::write(self.config(), config).map_err(|error| Trouble::io("write", self.config(), error))
    }

    fn start_server(&self, arguments: &[&str]) -> Result<(String, Running), Trouble> {
        let mut command = self.program("gristmill-loopback-s3");
        let mut child = command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| Trouble::io("start", command.get_program(), error))?;
        let said = child.stdout.take();
        let running = Running(child);
        let mut endpoint = String::new();
        if let Some(said) = said {
            let read = BufReader::new(said).read_line(&mut endpoint);
            read.map_err(|error| Trouble::io("hear", command.get_program(), error))?;
        }
        ensure(endpoint.starts_with("http://127.0.0.1:"), "the S3 server says where it is")?;
        Ok((endpoint.trim().to_owned(), running))
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        command.current_dir(self.directory.path()).env("GRISTMILL_CONFIG", self.config()).env("NO_COLOR", "1");
        command
    }

    /// Runs a command, shows it and its answer, and gives the answer.
    pub fn gristmill(&self, arguments: &[&str]) -> Result<String, Trouble> {
        let command = format!("gristmill {}", arguments.join(" "));
        self.page.command(&command);
        let answer = self.ask(arguments)?;
        self.page.output(&answer);
        Ok(answer)
    }

    /// Runs a command of the shell in the same way.
    pub fn shell(&self, command: &str) -> Result<String, Trouble> {
        self.page.command(command);
        let mut shell = Command::new("sh");
        let answer = answer(shell.current_dir(self.directory.path()).args(["-c", command]), command)?;
        let answer = answer.trim_start_matches('\u{feff}').to_owned();
        self.page.output(&answer);
        Ok(answer)
    }

    fn ask(&self, arguments: &[&str]) -> Result<String, Trouble> {
        let mut command = self.program("gristmill");
        answer(command.args(arguments), &format!("gristmill {}", arguments.join(" ")))
    }

    /// Starts the daemon; its log goes to a file.
    pub fn start_daemon(&mut self) -> Result<(), Trouble> {
        self.page.command("gristmill run 2> gristmill.log &");
        let path = self.log();
        let log = File::create(&path).map_err(|error| Trouble::io("create", &path, error))?;
        let mut command = self.program("gristmill");
        let child = command.arg("run").stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        self.daemon = Some(Running(child.map_err(|error| Trouble::io("start", command.get_program(), error))?));
        Ok(())
    }

    fn log(&self) -> PathBuf {
        self.path("gristmill.log")
    }

    /// Shows the end of the daemon's log, for whoever looks into a failure.
    pub fn show_log(&self) {
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines.iter().skip(lines.len().saturating_sub(20)).for_each(|line| eprintln!("{line}"));
    }

    /// Waits until the daemon's status is as expected.
    pub fn wait(
        &mut self,
        what: &str,
        patience: Duration,
        mut is_so: impl FnMut(&Value) -> bool,
    ) -> Result<(), Trouble> {
        let until = Instant::now() + patience;
        loop {
            let ended = self.daemon.as_mut().and_then(|daemon| daemon.0.try_wait().ok().flatten());
            ensure(ended.is_none(), "the daemon runs until it is told to stop")?;
            // Before its socket is there, and while something is unhealthy, `status` fails.
            let status = self.ask(&["status", "--json"]).ok();
            let status = status.and_then(|status| serde_json::from_str::<Value>(&status).ok());
            if status.is_some_and(|status| status.get("daemon") == Some(&Value::Bool(true)) && is_so(&status)) {
                return Ok(());
            }
            ensure(Instant::now() < until, what)?;
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Sends SIGTERM and waits for the end.
    pub fn stop_daemon(&mut self) -> Result<Option<i32>, Trouble> {
        let Some(mut daemon) = self.daemon.take() else { return Ok(None) };
        let id = daemon.0.id();
        self.page.command(&format!("kill {id}"));
        let ended = kill_process(Pid::from_child(&daemon.0), Signal::TERM).map_err(io::Error::from);
        ended
            .and_then(|()| daemon.0.wait())
            .map(|status| status.code())
            .map_err(|error| Trouble::io("stop", "gristmill", error))
    }

    /// Rewrites an object of the bucket.
    pub fn replace(&self, key: &str, change: impl FnOnce(&str) -> String) -> Result<(), Trouble> {
        let path = self.path("bucket").join(key);
        let before = fs::read_to_string(&path).map_err(|error| Trouble::io("read", &path, error))?;
        let unfinished = self.path("upload");
        fs::write(&unfinished, change(&before)).map_err(|error| Trouble::io("write", &unfinished, error))?;
        self.page.command(&format!("mv upload bucket/{key}"));
        fs::rename(&unfinished, &path).map_err(|error| Trouble::io("replace", &path, error))
    }

    /// Opens the store to read.
    pub fn open_store(&self) -> Result<Connection, Trouble> {
        Ok(Connection::open_with_flags(self.store(), OpenFlags::SQLITE_OPEN_READ_ONLY)?)
    }

    /// Runs a query, shows it and its rows, and gives the rows.
    pub fn query(&self, store: &Connection, sql: &str) -> Result<Vec<Vec<String>>, Trouble> {
        self.page.query(sql);
        let mut statement = store.prepare(sql)?;
        let headings: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let mut found = statement.query([])?;
        let mut rows = Vec::new();
        while let Some(row) = found.next()? {
            let cells: Result<Vec<String>, rusqlite::Error> =
                (0..headings.len()).map(|place| row.get_ref(place).map(cell)).collect();
            rows.push(cells?);
        }
        let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
        self.page.table(&headings, &rows);
        Ok(rows)
    }

    /// Ends both processes; removes the directory or says where it is.
    pub fn end(self, keep: bool) -> Result<(), Trouble> {
        let Self { page, daemon, server, serving, programs, directory } = self;
        drop(daemon);
        drop(server);
        if keep {
            let path = directory.keep();
            page.say("Everything is kept. To go on from here:");
            page.command(&format!("cd {}", path.display()));
            page.command(&format!("export PATH={}:$PATH", programs.display()));
            page.command(&format!("export GRISTMILL_CONFIG={}", path.join("gristmill.toml").display()));
            page.command(&format!("{serving} &"));
            page.command("gristmill run");
            return Ok(());
        }
        let path = directory.path().to_path_buf();
        directory.close().map_err(|error| Trouble::io("remove", path, error))
    }
}

/// What a command says, when it succeeds.
fn answer(command: &mut Command, shown: &str) -> Result<String, Trouble> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| Trouble::io("run", command.get_program(), error))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    match output.status.success() {
        true => Ok(said),
        false => {
            let output = said + &String::from_utf8_lossy(&output.stderr);
            Err(Trouble::Command { command: shown.to_owned(), output })
        }
    }
}

/// The folder that the demo is made from.
fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("demo")
}

fn each_file(folder: &Path, visit: &mut impl FnMut(&Path) -> Result<(), Trouble>) -> Result<(), Trouble> {
    let entries = fs::read_dir(folder).map_err(|error| Trouble::io("list", folder, error))?;
    for entry in entries {
        let path = entry.map_err(|error| Trouble::io("list", folder, error))?.path();
        match path.is_dir() {
            true => each_file(&path, visit)?,
            false => visit(&path)?,
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<(), Trouble> {
    each_file(from, &mut |path| {
        let target = to.join(path.strip_prefix(from).unwrap_or(path));
        let folder = target.parent().unwrap_or(to);
        fs::create_dir_all(folder).map_err(|error| Trouble::io("create", folder, error))?;
        fs::copy(path, &target).map(drop).map_err(|error| Trouble::io("copy", path, error))
    })
}

fn cell(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => String::new(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(text) | ValueRef::Blob(text) => String::from_utf8_lossy(text).into_owned(),
    }
}
