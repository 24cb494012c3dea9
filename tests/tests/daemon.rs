//! `gristmill run` as a process: signals, reload, the control socket, the service manager's protocol, and its end.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::{Duration, Instant};

use gristmill_loopback_s3::{Fault, Operation};
use gristmill_tests::process::{BUCKET, Bed, DEADLINE, Process, lines_of_json, until};
use rustix::process::{Resource, Rlimit, Signal, prlimit};
use serde_json::Value;

/// An integration that takes the keys below `{name}/`; its first pass comes when it is asked for.
fn integration(name: &str, more: &str) -> String {
    format!(
        "[integrations.{name}]\nconnection = \"acme\"\nbucket = \"{BUCKET}\"\nprefix = \"{name}/\"\npoll_interval = \"1h\"\n\
         matching = {{ on_no_match = \"create\" }}\nidentifiers = [{{ column = \"Account\", match = \"crm_id\" }}]\n\
         fields = [{{ column = \"Name\", field = \"name\", type = \"text\" }}]\n{more}\n"
    )
}

fn put(bed: &Bed, key: &str, content: impl Into<Vec<u8>>) {
    bed.server.put(BUCKET, key, content.into()).unwrap();
}

fn accounts(names: &[&str]) -> String {
    names.iter().fold("Account,Name\n".to_owned(), |text, name| text + name + "," + name + "\n")
}

fn text(output: &[u8]) -> String {
    String::from_utf8_lossy(output).into_owned()
}

fn activity(status: &Value, integration: &str) -> String {
    let all = status["integrations"].as_array().unwrap();
    let found = all.iter().find(|one| one["integration"] == integration);
    found.map(|one| one["activity"].as_str().unwrap().to_owned()).unwrap_or_default()
}

/// Where the service manager would listen.
struct Manager(UnixDatagram);

impl Manager {
    fn of(bed: &Bed, command: &mut Command) -> Self {
        let path = bed.path("notify");
        command.env("NOTIFY_SOCKET", &path);
        Self(UnixDatagram::bind(path).unwrap())
    }

    /// What comes next, if anything does in this time.
    fn next_within(&self, time: Duration) -> Option<String> {
        self.0.set_read_timeout(Some(time)).unwrap();
        let mut buffer = [0; 4096];
        let received = self.0.recv(&mut buffer).ok()?;
        Some(text(&buffer[..received]))
    }

    /// Waits for a message with this line.
    #[track_caller]
    fn wait_for(&self, line: &str) -> String {
        let give_up = Instant::now() + DEADLINE;
        while let Some(message) = self.next_within(give_up.saturating_duration_since(Instant::now())) {
            if message.lines().any(|found| found == line) {
                return message;
            }
        }
        panic!("`{line}` did not come within {DEADLINE:?}")
    }
}

#[test]
fn sigterm_finishes_the_file_in_flight_begins_no_other_and_exits_0() {
    let bed = Bed::new();
    bed.configure("files_at_once = 1", &integration("first", ""));
    let many: Vec<String> = (0..20_000).map(|row| format!("A{row}")).collect();
    let content = accounts(&many.iter().map(String::as_str).collect::<Vec<_>>());
    let pieces = content.len() as u32 / 65_536 + 1;
    put(&bed, "first/1.csv", content);
    put(&bed, "first/2.csv", accounts(&["B"]));
    let now = std::time::SystemTime::now();
    bed.server.set_last_modified(BUCKET, "first/1.csv", now - Duration::from_secs(60)).unwrap();
    let pause = Duration::from_secs(1) / pieces;
    bed.server.faults().next_of(Operation::GetObject, "first/1.csv", 1, Fault::Slow { pause });
    let mut command = bed.command(&["run"]);
    let manager = Manager::of(&bed, &mut command);
    let mut daemon = Process::start(command);
    manager.wait_for("READY=1");
    bed.json(&["poll", "first"]);
    until("the fetch begins", || (bed.server.faults().seen(Operation::GetObject) > 0).then_some(()));
    daemon.signal(Signal::TERM);
    manager.wait_for("STOPPING=1");
    assert_eq!(daemon.ended(), 0, "{}", daemon.text());
    let of = |event: &str| daemon.log.iter().position(|line| line["event"] == event);
    assert!(of("daemon_stopping").unwrap() < of("object_completed").unwrap(), "{}", daemon.text());
    let states: Vec<(Value, Value)> = bed
        .json(&["ledger", "list"])
        .into_iter()
        .map(|entry| (entry["object"]["key"].clone(), entry["state"].clone()))
        .collect();
    assert_eq!(states, [("first/1.csv".into(), "completed".into()), ("first/2.csv".into(), Value::Null)]);
}

#[test]
fn sighup_starts_what_is_new_and_a_bad_configuration_changes_nothing() {
    let bed = Bed::new();
    bed.configure("", &integration("first", ""));
    let mut command = bed.command(&["run"]);
    let manager = Manager::of(&bed, &mut command);
    let mut daemon = Process::start(command);
    let ready = manager.wait_for("READY=1");
    assert!(ready.contains("STATUS=watching 1 integrations"), "{ready}");

    // A file is in flight while the configuration changes beside it.
    put(&bed, "first/a.csv", accounts(&["A"]));
    let pause = Duration::from_millis(500);
    bed.server.faults().next_of(Operation::GetObject, "first/a.csv", 1, Fault::Slow { pause });
    bed.json(&["poll", "first"]);
    until("the fetch begins", || (bed.server.faults().seen(Operation::GetObject) > 0).then_some(()));
    bed.configure("", &(integration("first", "") + &integration("second", "")));
    daemon.signal(Signal::HUP);
    manager.wait_for("RELOADING=1");
    manager.wait_for("READY=1");
    let reloaded = daemon.event("config_reloaded");
    assert_eq!((&reloaded["started"], &reloaded["stopped"], &reloaded["kept"]), (&1.into(), &0.into(), &1.into()));
    daemon.event_of("object_completed", "integration", "first");
    put(&bed, "second/b.csv", accounts(&["B"]));
    bed.json(&["poll", "second"]);
    daemon.event_of("object_completed", "integration", "second");

    // Refused as a whole: what is wrong is named, and everything goes on.
    bed.configure("poll_interval = \"soon\"", &integration("first", ""));
    daemon.signal(Signal::HUP);
    let refused = daemon.event("config_refused");
    assert!(refused["problems"].as_str().unwrap().contains("daemon.poll_interval"), "{refused}");
    manager.wait_for("READY=1");
    bed.configure("", &(integration("first", "") + &integration("second", "")));
    for name in ["first", "second"] {
        put(&bed, &format!("{name}/c.csv"), accounts(&["C"]));
        bed.json(&["poll", name]);
        daemon.event_of("object_completed", "integration", name);
    }
    let elsewhere = bed.path("elsewhere");
    bed.configure_in(&elsewhere, &bed.config(), "", &integration("first", ""));
    daemon.signal(Signal::HUP);
    let refused = daemon.event("config_refused");
    assert!(refused["problems"].as_str().unwrap().contains("daemon.state_dir"), "{refused}");
    assert!(!elsewhere.exists(), "the ledger and the stores stay together");

    // An integration that is gone stops; one that is made of something else starts anew.
    bed.configure("", &integration("second", "timezone = \"Europe/Berlin\""));
    daemon.signal(Signal::HUP);
    let reloaded = daemon.event("config_reloaded");
    assert_eq!((&reloaded["started"], &reloaded["stopped"], &reloaded["kept"]), (&1.into(), &2.into(), &0.into()));
    let status = until("the old ones have left", || {
        let status = bed.json(&["status"]).remove(0);
        (activity(&status, "first").is_empty() && !activity(&status, "second").is_empty()).then_some(status)
    });
    assert_eq!(status["integrations"].as_array().unwrap().len(), 1, "{status}");
    put(&bed, "second/d.csv", accounts(&["D"]));
    until("it takes files again", || bed.gristmill(&["poll", "second"]).status.success().then_some(()));
    daemon.event_of("object_completed", "integration", "second");
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.ended(), 0, "{}", daemon.text());
}

/// A file that takes long keeps neither signals nor the command line waiting, and is finished before its integration
/// starts anew.
#[test]
fn a_reload_does_not_wait_for_files_in_flight() {
    let bed = Bed::new();
    bed.configure("", &integration("first", ""));
    let mut daemon = bed.run();
    daemon.event("daemon_started");
    put(&bed, "first/a.csv", accounts(&["A"]));
    bed.server.faults().next_of(Operation::GetObject, "first/a.csv", 1, Fault::Slow { pause: Duration::from_secs(3) });
    bed.json(&["poll", "first"]);
    until("the fetch begins", || (bed.server.faults().seen(Operation::GetObject) > 0).then_some(()));
    bed.configure("", &integration("first", "timezone = \"Europe/Berlin\""));
    daemon.signal(Signal::HUP);
    daemon.event("config_reloaded");
    let status = bed.json(&["status"]).remove(0);
    assert_eq!(activity(&status, "first"), "polling", "the file is still in flight: {status}");
    assert!(!daemon.has_logged("object_completed"), "{}", daemon.text());
    daemon.event_of("object_completed", "integration", "first");
    until("it has started anew", || bed.gristmill(&["poll", "first"]).status.success().then_some(()));
    let pass = daemon.wait_for("the next pass", |line| line["event"] == "pass_finished" && line["known"] == 1);
    assert_eq!(pass["succeeded"], 0, "the file is known: {pass}");
}

/// R15
#[test]
fn a_mistake_in_one_part_disables_that_part_alone() {
    let bed = Bed::new();
    let parts = [
        integration("good", ""),
        integration("bad-field", "").replace("\"text\"", "\"txt\""),
        integration("bad-mapper", "mapper = { field_mapping = \"gone\" }")
            .replace("fields = [{ column = \"Name\", field = \"name\", type = \"text\" }]\n", "")
            .replace("identifiers = [{ column = \"Account\", match = \"crm_id\" }]\n", ""),
        integration("bad-connection", "").replace("\"acme\"", "\"broken\""),
        integration("bad-secret", "").replace("\"acme\"", "\"no-secret\""),
        format!("[mappers.gone]\npath = \"gone.wasm\"\nsha256 = \"{}\"\n", "0".repeat(64)),
        "[connections.broken]\nregion = 7\ndefault_chain = {}\n".to_owned(),
        format!(
            "[connections.no-secret]\nendpoint_url = \"{}\"\n\
             access_key = {{ access_key_id = \"x\", secret_access_key = {{ file = \"/nowhere\" }} }}\n",
            bed.server.endpoint()
        ),
    ];
    bed.configure("", &parts.concat());
    put(&bed, "good/a.csv", accounts(&["A"]));
    let mut daemon = bed.run();
    daemon.event("daemon_started");
    for name in ["bad-field", "bad-mapper", "bad-secret"] {
        let part = format!("integrations.{name}");
        if !daemon.log.iter().any(|line| line["event"] == "part_disabled" && line["part"] == part.as_str()) {
            daemon.event_of("part_disabled", "part", &part);
        }
    }
    let named = |what: &str| {
        daemon.log.iter().any(|line| line["event"] == "part_disabled" && line["part"].as_str().unwrap().contains(what))
    };
    assert!(named("connections.broken") && named("bad-connection"), "{}", daemon.text());
    bed.json(&["poll", "good"]);
    daemon.event_of("object_completed", "integration", "good");

    let status = bed.gristmill(&["status", "--json"]);
    assert_eq!(status.status.code(), Some(1), "someone should look");
    let status = lines_of_json(&status.stdout).remove(0);
    let order: Vec<(String, String)> = status["integrations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["activity"].as_str().unwrap().to_owned(), one["integration"].as_str().unwrap().to_owned()))
        .collect();
    let expected =
        [("disabled", "bad-field"), ("disabled", "bad-mapper"), ("disabled", "bad-secret"), ("waiting", "good")];
    assert_eq!(order, expected.map(|(activity, name)| (activity.to_owned(), name.to_owned())), "the unhealthy first");
    let problems = status["problems"].to_string();
    for part in ["connections.broken", "integrations.bad-connection"] {
        assert!(problems.contains(part), "{part}: {problems}");
    }
    let shown = text(&bed.gristmill(&["status"]).stdout);
    assert!(shown.find("bad-field").unwrap() < shown.find("good:").unwrap(), "{shown}");
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.ended(), 0, "{}", daemon.text());
}

/// R15
#[test]
fn a_destination_that_cannot_be_opened_disables_its_integrations_alone_and_is_tried_again() {
    let bed = Bed::new();
    let in_the_way = bed.path("in-the-way");
    fs::write(&in_the_way, "").unwrap();
    let to_files = "destination = \"files\"";
    let files = format!("[destinations.files]\nfiles = {{ path = \"{}/below\" }}\n", in_the_way.display());
    let store = "[destinations.store]\nsqlite = {}\n";
    let good = integration("good", "destination = \"store\"");
    bed.configure("", &(good + &integration("lost", to_files) + &integration("other", to_files) + &files + store));
    for name in ["good", "lost", "other"] {
        put(&bed, &format!("{name}/a.csv"), accounts(&["A"]));
    }
    let checked = bed.gristmill(&["check"]);
    assert_eq!(checked.status.code(), Some(1), "{checked:?}");
    assert!(text(&checked.stdout).contains("destinations.files: destination `files` cannot be opened"), "{checked:?}");
    let once = bed.gristmill(&["run", "--once", "--json"]);
    assert_eq!(once.status.code(), Some(1), "{once:?}");
    let passes = lines_of_json(&once.stdout);
    let pass = |name: &str| passes.iter().find(|line| line["integration"] == name).unwrap();
    assert_eq!(pass("good")["pass"]["succeeded"], 1, "{passes:?}");
    assert!(pass("lost")["error"].as_str().unwrap().contains("`files` cannot be opened"), "{passes:?}");

    let mut command = bed.command(&["run"]);
    let manager = Manager::of(&bed, &mut command);
    let mut daemon = Process::start(command);
    manager.wait_for("READY=1");
    for name in ["lost", "other"] {
        daemon.event_of("part_disabled", "part", &format!("integrations.{name}"));
    }
    put(&bed, "good/b.csv", accounts(&["B"]));
    bed.json(&["poll", "good"]);
    daemon.event_of("object_completed", "integration", "good");
    daemon.event_of("pass_finished", "integration", "good");
    let status = bed.gristmill(&["status", "--json"]);
    assert_eq!(status.status.code(), Some(1), "someone should look");
    let status = lines_of_json(&status.stdout).remove(0);
    assert_eq!(["good", "lost", "other"].map(|name| activity(&status, name)), ["waiting", "disabled", "disabled"]);
    assert!(status["integrations"][0]["reason"].as_str().unwrap().contains("cannot be opened"), "{status}");

    // Mended outside of the configuration: a person may ask for one, and a reload asks for all.
    fs::remove_file(&in_the_way).unwrap();
    bed.json(&["poll", "lost"]);
    daemon.event_of("part_enabled", "part", "integrations.lost");
    daemon.signal(Signal::HUP);
    daemon.event_of("part_enabled", "part", "integrations.other");
    for name in ["lost", "other"] {
        bed.json(&["poll", name]);
    }
    for _ in 0..2 {
        daemon.event("object_completed");
    }
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.ended(), 0, "{}", daemon.text());
}

/// R14
#[test]
fn the_command_line_asks_the_daemon_and_opens_the_files_itself_when_none_runs() {
    let bed = Bed::new();
    let parts = integration("first", "") + &integration("big", "backfill_limit = 2");
    bed.configure("", &parts);
    put(&bed, "first/a.csv", accounts(&["A"]));
    for file in 0..5 {
        put(&bed, &format!("big/{file}.csv"), accounts(&["A"]));
    }
    let mut daemon = bed.run();
    daemon.event("daemon_started");
    let socket = fs::metadata(bed.runtime().join("control.sock")).unwrap();
    assert_eq!(socket.permissions().mode() & 0o777, 0o660);
    assert_eq!(socket.gid(), rustix::process::getegid().as_raw());

    let paused = bed.json(&["pause", "first"]).remove(0);
    assert_eq!(paused["paused"], true);
    until("it is paused", || (activity(&bed.json(&["status"])[0], "first") == "paused").then_some(()));
    bed.json(&["poll", "first"]);
    let explained = bed.json(&["explain", "first", "first/a.csv"]).remove(0);
    assert_eq!(explained["paused"], "paused by hand", "{explained}");
    assert!(bed.json(&["ledger", "list", "first"]).is_empty(), "nothing is taken while it is paused");
    bed.json(&["resume", "first"]);
    daemon.event_of("object_completed", "integration", "first");
    let explained = bed.json(&["explain", "first", "first/a.csv"]).remove(0);
    assert!(explained["verdict"].as_str().unwrap().starts_with("taken: completed"), "{explained}");

    // R16
    bed.json(&["poll", "big"]);
    daemon.event_of("integration_paused", "integration", "big");
    let big = bed.json(&["status"]).remove(0)["integrations"].as_array().unwrap().clone();
    let big = big.iter().find(|one| one["integration"] == "big").unwrap().clone();
    assert!(big["hint"].as_str().unwrap().contains("gristmill backfill big"), "{big}");
    bed.json(&["backfill", "big", "all"]);
    assert_eq!(daemon.event_of("pass_finished", "integration", "big")["succeeded"], 5);

    let again = bed.json(&["replay", "first", "--key", "first/a.csv"]).remove(0);
    assert_eq!(again["keys"], 1, "{again}");
    daemon.event_of("object_completed", "integration", "first");
    let list = |arguments: &[&str]| bed.json(arguments).len();
    assert_eq!(list(&["ledger", "list"]), 6);
    assert_eq!(list(&["ledger", "list", "big", "--prefix", "big/3"]), 1);
    assert_eq!(bed.json(&["ledger", "show", "first", "first/a.csv"])[0]["generation"], 1);
    assert_eq!(bed.json(&["replay", "big", "--prefix", "", "--wait"])[0]["keys"], 5);
    let taken = bed.json(&["ledger", "list", "big"]);
    assert!(taken.iter().all(|entry| entry["generation"] == 1 && entry["state"] == "completed"), "{taken:?}");
    let key = taken[0]["object"]["key"].as_str().unwrap();
    bed.server.faults().always_of(Operation::GetObject, key, Fault::access_denied());
    let failed = bed.gristmill(&["replay", "big", "--key", key, "--wait"]);
    assert_eq!(failed.status.code(), Some(1), "{failed:?}");
    assert!(text(&failed.stderr).contains(&format!("one file failed; `{key}`: ")), "{failed:?}");
    bed.server.faults().clear();
    let taken = bed.gristmill(&["replay", "big", "--key", key, "--wait"]);
    assert!(text(&taken.stdout).ends_with("one file taken again\n"), "{taken:?}");
    let probed = bed.json(&["connection", "test", "acme"]);
    assert!(!probed.is_empty());
    bed.server.faults().next(Operation::ListObjectsV2, 1, Fault::access_denied());
    let denied = bed.gristmill(&["connection", "test", "acme", &format!("s3://{BUCKET}/first/")]);
    assert_eq!(denied.status.code(), Some(1), "{denied:?}");
    assert!((text(&denied.stdout) + &text(&denied.stderr)).contains("s3:ListBucket"), "{denied:?}");
    let unknown = bed.gristmill(&["poll", "nobody"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(text(&unknown.stderr).contains("configured: big, first"), "{unknown:?}");

    // The state directory has one daemon, and the socket, too.
    let second = bed.gristmill(&["run"]);
    assert_eq!(second.status.code(), Some(74), "{second:?}");
    assert!(text(&second.stderr).contains("in use by another process"), "{second:?}");
    let config = bed.path("other.toml");
    bed.configure_in(&bed.path("other"), &config, "", "");
    let third = gristmill_tests::process::command(&config, &["run"]).output().unwrap();
    assert_eq!(third.status.code(), Some(78), "{third:?}");
    assert!(text(&third.stderr).contains("another daemon answers"), "{third:?}");
    assert_eq!(bed.json(&["status"])[0]["daemon"], true, "the first daemon kept its socket");

    daemon.signal(Signal::TERM);
    assert_eq!(daemon.ended(), 0, "{}", daemon.text());
    assert_eq!(bed.json(&["status"])[0]["daemon"], false);
    assert_eq!(list(&["ledger", "list"]), 6);
    assert!(bed.json(&["explain", "first", "first/a.csv"])[0]["verdict"].as_str().unwrap().starts_with("taken"));
    let poll = bed.gristmill(&["poll", "first"]);
    assert_eq!(poll.status.code(), Some(1));
    assert!(text(&poll.stderr).contains("run --once"), "{poll:?}");
    let replayed = bed.json(&["replay", "first", "--prefix", ""]).remove(0);
    assert_eq!(replayed["keys"], 1, "{replayed}");
    assert_eq!(bed.gristmill(&["run", "--once"]).status.code(), Some(0));
    assert_eq!(bed.json(&["ledger", "show", "first", "first/a.csv"])[0]["generation"], 2);
}

/// A mapper whose file is a pipe that nobody writes to: reading it hangs, while the process itself is well.
#[test]
fn a_stalled_step_stops_the_watchdogs_feed_and_nothing_else() {
    let bed = Bed::new();
    let pipe = bed.path("mapper.wasm");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let custom = integration("stalled", "mapper = { field_mapping = \"pipe\" }")
        .replace("fields = [{ column = \"Name\", field = \"name\", type = \"text\" }]\n", "")
        .replace("identifiers = [{ column = \"Account\", match = \"crm_id\" }]\n", "");
    let mapper = format!("[mappers.pipe]\npath = \"{}\"\nsha256 = \"{}\"\n", pipe.display(), "0".repeat(64));
    bed.configure("stall_after = \"1s\"", &(integration("good", "") + &custom + &mapper));
    let mut command = bed.command(&["run"]);
    command.env("WATCHDOG_USEC", "600000");
    let manager = Manager::of(&bed, &mut command);
    let mut daemon = Process::start(command);
    // R15: ready although a mapper is not, and never will be.
    manager.wait_for("READY=1");
    manager.wait_for("WATCHDOG=1");
    let stalled = daemon.event("step_stalled");
    assert_eq!(stalled["step"], "assembly", "{stalled}");
    while manager.next_within(Duration::from_millis(1)).is_some() {}
    assert_eq!(manager.next_within(Duration::from_secs(1)), None, "five times the feed would have come");
    put(&bed, "good/a.csv", accounts(&["A"]));
    bed.json(&["poll", "good"]);
    daemon.event_of("object_completed", "integration", "good");
    assert_eq!(activity(&bed.json(&["status"])[0], "stalled"), "starting");

    // Mended by a reload, which does not wait for what hangs.
    bed.configure("stall_after = \"1s\"", &(integration("good", "") + &integration("stalled", "")));
    daemon.signal(Signal::HUP);
    manager.wait_for("WATCHDOG=1");
    put(&bed, "stalled/a.csv", accounts(&["A"]));
    until("it takes files", || bed.gristmill(&["poll", "stalled"]).status.success().then_some(()));
    daemon.event_of("object_completed", "integration", "stalled");
    // A thread of the first assembly still hangs; the daemon ends all the same.
    daemon.signal(Signal::TERM);
    manager.wait_for("STOPPING=1");
    assert_eq!(daemon.ended(), 0, "{}", daemon.text());
}

#[test]
fn a_stop_does_not_wait_for_an_assembly_that_hangs() {
    let bed = Bed::new();
    let pipe = bed.path("secret");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let hangs = format!("[mappers.pipe]\npath = \"{}\"\nsha256 = \"{}\"\n", pipe.display(), "0".repeat(64));
    let custom = integration("first", "mapper = { field_mapping = \"pipe\" }")
        .replace("fields = [{ column = \"Name\", field = \"name\", type = \"text\" }]\n", "")
        .replace("identifiers = [{ column = \"Account\", match = \"crm_id\" }]\n", "");
    bed.configure("", &(custom + &hangs));
    let mut daemon = bed.run();
    daemon.event("daemon_started");
    let asked = Instant::now();
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.ended(), 0, "{}", daemon.text());
    assert!(asked.elapsed() < Duration::from_secs(60), "less than `shutdown_grace`");
}

/// I4: the disk refuses whatever the ledger writes, here from a moment on at which only the command line writes to it.
#[test]
fn a_ledger_write_error_ends_the_process_with_exit_code_74() {
    let bed = Bed::new();
    bed.configure("", &integration("first", ""));
    put(&bed, "first/a.csv", accounts(&["A"]));
    // Beyond the limit a write is answered with an error only where its signal is ignored, which a shell can pass on.
    let direct = bed.command(&["run"]);
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"])
        .arg(direct.get_program())
        .args(direct.get_args())
        .env_clear();
    let mut daemon = Process::start(command);
    daemon.event("daemon_started");
    bed.json(&["poll", "first"]);
    daemon.event_of("object_completed", "integration", "first");
    daemon.event("pass_finished");
    let nothing = Rlimit { current: Some(0), maximum: Some(0) };
    prlimit(Some(daemon.pid()), Resource::Fsize, nothing).unwrap();
    let refused = bed.gristmill(&["pause", "first"]);
    assert_eq!(refused.status.code(), Some(1), "what may not be stored is not promised: {refused:?}");
    assert_eq!(daemon.ended(), 74, "{}", daemon.text());

    // The next start reads the truth and goes on.
    assert_eq!(bed.json(&["ledger", "list"])[0]["state"], "completed");
    put(&bed, "first/b.csv", accounts(&["B"]));
    assert_eq!(bed.gristmill(&["run", "--once"]).status.code(), Some(0));
    assert_eq!(bed.json(&["ledger", "list"]).len(), 2);
}
