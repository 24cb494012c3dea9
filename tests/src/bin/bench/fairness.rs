//! One tenant's files alone, and the same files beside another tenant's, whose mapper takes all that a mapper may: nearly a
//! second of processor time for each batch, nearly all of its memory, and all the log of a call.
//!
//! Both are in the daemon as it ships, with nothing said of either tenant. A round is one start of it: the files of the
//! first alone, then as many again with the second at work. What the second does not finish is killed with the daemon.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use arrow_array::StringArray;
use gristmill::batch::{Batch, Cells, Issues};
use gristmill::mapper::{FileBudget, Limits, MapperHost, Source};
use gristmill::worker::Launcher;
use gristmill_loopback_s3::{Backing, Server};
use gristmill_tests::guests::{Guest, TURNS};
use serde_json::Value;

use crate::bed::{self, BUCKET, Bed};
use crate::figures::{Aim, Times, say_rate, say_ratio};
use crate::{Result, Scale, data};

const FILES: u64 = 8;
const ROWS: u64 = 20_000;
const ROUNDS: u64 = 7;
/// Files of the other tenant in a round, as many as there are places. Each would take a minute.
const GREEDY_FILES: u64 = 4;
const GREEDY_BATCHES: usize = 80;
/// Processor time for one of its batches, where a second is the limit.
const NEARLY_ALL: Duration = Duration::from_millis(750);
/// Batches of it that are over before anything is measured: the first of each file, and one more.
const AT_WORK: usize = 3;
/// How long anything may take; then the figures would be worth nothing.
const DEADLINE: Duration = Duration::from_secs(300);

/// Runs the part.
pub fn run(scale: Scale) -> Result<()> {
    let (files, rows) = (FILES, scale.of(ROWS));
    let bench = Bench::new()?;
    println!("  {files} files of {rows} rows a round, beside {GREEDY_FILES} files of {GREEDY_BATCHES} batches");
    let (mut alone, mut beside) = (Times::default(), Times::default());
    for round in 0..=ROUNDS {
        let daemon = Daemon::start(&bench.config)?;
        let mut starting = vec!["modest", "greedy"];
        daemon.wait(|line| {
            starting.retain(|integration| !is_pass_of(line, integration));
            starting.is_empty()
        })?;
        let undisturbed = bench.modest_pass(&daemon, &format!("{round}-alone"), files, rows)?;
        let keys = bench.begin_greedy(&daemon, round)?;
        let disturbed = bench.modest_pass(&daemon, &format!("{round}-beside"), files, rows)?;
        if daemon.lines.try_iter().any(|line| is_pass_of(&line, "greedy")) {
            return Err("the other tenant was done too soon".into());
        }
        drop(daemon);
        for key in keys {
            bench.server.delete(BUCKET, &key)?;
        }
        // The first round makes the store.
        if round > 0 {
            alone.push(undisturbed);
            beside.push(disturbed);
        }
    }
    say_rate("alone", files, alone.median(), "files");
    say_rate("beside a tenant at its worst", files, beside.median(), "files");
    say_ratio("time of a file beside it to that alone", alone.faster_than(&beside), Aim::AtMost(1.1));
    Ok(())
}

struct Bench {
    /// Holds everything below.
    _bed: Bed,
    config: PathBuf,
    server: Server,
}

impl Bench {
    fn new() -> Result<Self> {
        let bed = Bed::new()?;
        let server = bed::serve(Backing::Memory)?;
        let greedy = greedy_mapper(&bed)?;
        let secret = bed.path("secret");
        fs::write(&secret, "loopback-secret")?;
        fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        let text = format!(
            r#"[daemon]
state_dir = "{state}"
runtime_dir = "{runtime}"
log = {{ format = "json", level = "info" }}

[connections.loopback]
region = "us-east-1"
endpoint_url = "{endpoint}"
force_path_style = true
access_key = {{ access_key_id = "loopback", secret_access_key = {{ file = "{secret}" }} }}

{mapper}
[integrations.modest]
tenant = "modest"
connection = "loopback"
bucket = "{BUCKET}"
prefix = "modest/"
poll_interval = "1h"
matching = {{ on_no_match = "create" }}
identifiers = [{{ column = "Account ID", match = "crm_id" }}]
fields = [
  {{ column = "Name", field = "name", type = "text" }},
  {{ column = "ARR", field = "arr", type = "currency" }},
  {{ column = "Renewal", field = "renewal", type = "date" }},
]

[integrations.greedy]
tenant = "greedy"
connection = "loopback"
bucket = "{BUCKET}"
prefix = "greedy/"
poll_interval = "1h"
matching = {{ on_no_match = "create" }}
mapper = {{ field_mapping = "greedy" }}
"#,
            state = bed.path("state").display(),
            runtime = bed.path("runtime").display(),
            endpoint = server.endpoint(),
            secret = secret.display(),
            mapper = greedy.table("greedy"),
        );
        let config = bed.path("gristmill.toml");
        fs::create_dir(bed.path("runtime"))?;
        fs::write(&config, text)?;
        Ok(Self { _bed: bed, config, server })
    }

    /// How long a pass over so many new files of the modest tenant takes, from the wish for it on.
    fn modest_pass(&self, daemon: &Daemon, name: &str, files: u64, rows: u64) -> Result<Duration> {
        for file in 0..files {
            let content = data::small_file(file * rows, rows)?;
            self.server.put(BUCKET, &format!("modest/{name}-{file}.csv"), content)?;
        }
        let began = Instant::now();
        daemon.poll(&self.config, "modest")?;
        let ended = daemon.wait(|line| is_pass_of(line, "modest"))?;
        let took = began.elapsed();
        match ended["succeeded"].as_u64() {
            Some(succeeded) if succeeded == files => Ok(took),
            _ => Err(format!("not every file was merged: {ended}").into()),
        }
    }

    /// Sets the greedy tenant to work, and gives its keys.
    fn begin_greedy(&self, daemon: &Daemon, round: u64) -> Result<Vec<String>> {
        let rows = (0..GREEDY_BATCHES * gristmill::decode::BATCH_ROWS).map(|row| format!("A{row}\n"));
        let content = std::iter::once("Account ID\n".to_owned()).chain(rows).collect::<String>();
        let keys: Vec<String> = (0..GREEDY_FILES).map(|file| format!("greedy/{round}-{file}.csv")).collect();
        for key in &keys {
            self.server.put(BUCKET, key, content.clone())?;
        }
        daemon.poll(&self.config, "greedy")?;
        for _ in 0..AT_WORK {
            // What a batch has too much for the log is said once it is over.
            daemon.wait(|line| line["event"] == "mapper_log")?;
        }
        Ok(keys)
    }
}

/// A mapper that needs nearly a second for each batch on this machine.
fn greedy_mapper(bed: &Bed) -> Result<Guest> {
    let directory = bed.path("");
    let tried = Guest::write("at-its-worst", &directory);
    let host = MapperHost::start(bed.path("trial"), Launcher::at(bed::gristmill()?))?;
    let mapper = host.try_out("greedy", &fs::read(&tried.path)?, Limits::default())?;
    let mut instance = mapper.fields(FileBudget { bytes: 0 }, std::sync::Arc::new(|_| ()))?;
    let header = ["Account ID".to_owned()];
    instance.open(&nothing(), &header, "{}")?;
    let before = mapper.spent();
    let text = StringArray::from(vec!["A1"]);
    let columns = vec![Some(Cells { text, typed: None })];
    instance.map_batch(&Batch { first_row: 0, lines: vec![2], columns, issues: Issues::none() })?;
    let took = mapper.spent().since(before).processor;
    let turns = f64::from(TURNS) * NEARLY_ALL.as_secs_f64() / took.as_secs_f64();
    Ok(Guest::write_turning("at-its-worst", turns.min(f64::from(u32::MAX)) as u32, &directory))
}

/// A file that is none.
fn nothing() -> Source {
    Source {
        integration: "greedy".into(),
        connection: "loopback".into(),
        bucket: BUCKET.into(),
        key: "greedy/trial.csv".into(),
        etag: "0".into(),
        size: 0,
        last_modified: 0,
        sheet: None,
        timezone: "UTC".into(),
        today: 0,
    }
}

/// A running daemon; it is killed when this is dropped.
struct Daemon {
    child: Child,
    lines: Receiver<Value>,
}

impl Daemon {
    fn start(config: &PathBuf) -> Result<Self> {
        let mut command = Command::new(bed::gristmill()?);
        command.arg("--config").arg(config).arg("run").stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = command.stderr(Stdio::piped()).spawn()?;
        let errors = child.stderr.take().ok_or("standard error is a pipe")?;
        let (tell, lines) = channel();
        std::thread::spawn(move || read_lines(BufReader::new(errors), &tell));
        Ok(Self { child, lines })
    }

    fn poll(&self, config: &PathBuf, integration: &str) -> Result<()> {
        let mut command = Command::new(bed::gristmill()?);
        let status = command.arg("--config").arg(config).args(["poll", integration]).stdout(Stdio::null()).status()?;
        if status.success() { Ok(()) } else { Err(format!("`poll` ended with {status}").into()) }
    }

    /// The next such line. Those before it are forgotten.
    fn wait(&self, mut wanted: impl FnMut(&Value) -> bool) -> Result<Value> {
        let until = Instant::now() + DEADLINE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left).map_err(|_| "the daemon did not come to it")?;
            if wanted(&line) {
                return Ok(line);
            }
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Passes on what is waited for. A mapper's own lines are many, and reading them would be part of what is measured.
fn read_lines(errors: impl BufRead, tell: &Sender<Value>) {
    for line in errors.lines().map_while(std::result::Result::ok) {
        let is_wanted = line.contains("pass_finished") || line.contains("more lines were dropped");
        if let Some(value) = Some(&line).filter(|_| is_wanted).and_then(|line| serde_json::from_str(line).ok())
            && tell.send(value).is_err()
        {
            return;
        }
    }
}

fn is_pass_of(line: &Value, integration: &str) -> bool {
    line["event"] == "pass_finished" && line["integration"] == integration
}
