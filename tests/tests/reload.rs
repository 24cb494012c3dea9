//! A reload of `[daemon]`: what can be taken is taken at once, what cannot is said; and a stall is seen, watchdog or not.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::time::{Duration, Instant};

use gristmill_loopback_s3::{Fault, Operation};
use gristmill_tests::process::{BUCKET, Bed, Process, until};
use rustix::process::Signal;

/// An integration that takes the keys below `{name}/` when it is asked to.
fn integration(name: &str) -> String {
    format!(
        "[integrations.{name}]\nconnection = \"acme\"\nbucket = \"{BUCKET}\"\nprefix = \"{name}/\"\npoll_interval = \"1h\"\n\
         matching = {{ on_no_match = \"create\" }}\nidentifiers = [{{ column = \"Account\", match = \"crm_id\" }}]\n\
         fields = [{{ column = \"Name\", field = \"name\", type = \"text\" }}]\n"
    )
}

fn put(bed: &Bed, key: &str, rows: usize) {
    let content = (0..rows).fold("Account,Name\n".to_owned(), |text, row| format!("{text}A{row},Name of {row}\n"));
    bed.server.put(BUCKET, key, content.into_bytes()).unwrap();
}

/// Lets the next download of a key wait before each of its pieces. Asked for before there is the key: the first pass may
/// begin at any moment.
fn slow(bed: &Bed, key: &str, pause: Duration) {
    bed.server.faults().next_of(Operation::GetObject, key, 1, Fault::Slow { pause });
}

fn fetch_begins(bed: &Bed, before: u64) {
    until("the fetch begins", || (bed.server.faults().seen(Operation::GetObject) > before).then_some(()));
}

fn reload(daemon: &mut Process) {
    daemon.signal(Signal::HUP);
    daemon.event("config_reloaded");
}

#[test]
fn the_keys_of_the_daemon_are_taken_by_a_reload_or_said_to_wait() {
    let bed = Bed::new();
    let parts = integration("first") + &integration("second");
    bed.configure("files_at_once = 1", &parts);
    let mut daemon = bed.run();
    daemon.event("daemon_started");

    // A second file at once, while the first is on its way.
    slow(&bed, "first/a.csv", Duration::from_secs(6));
    put(&bed, "first/a.csv", 1);
    put(&bed, "second/a.csv", 1);
    bed.json(&["poll", "first"]);
    fetch_begins(&bed, 0);
    bed.json(&["poll", "second"]);
    bed.configure("files_at_once = 4", &parts);
    daemon.signal(Signal::HUP);
    daemon.event_of("object_completed", "integration", "second");
    daemon.event_of("object_completed", "integration", "first");

    // Less room in the spool, and more in the log, whose form stays what it is.
    bed.configure("spool_limit = \"1MiB\"", &parts);
    let text = fs::read_to_string(bed.config()).unwrap();
    let text = text.replace("log = { format = \"json\" }", "log = { format = \"text\", level = \"debug\" }");
    fs::write(bed.config(), text).unwrap();
    daemon.signal(Signal::HUP);
    assert_eq!(daemon.event("config_deferred")["key"], "daemon.log.format");
    daemon.event("config_reloaded");
    let waits = |bed: &Bed| bed.json(&["status"]).remove(0)["at_the_next_start"].clone();
    assert_eq!(waits(&bed), serde_json::json!(["daemon.log.format"]));
    put(&bed, "first/small.csv", 1);
    bed.json(&["poll", "first"]);
    daemon.event("object_fetched");
    put(&bed, "second/big.csv", 60_000);
    bed.json(&["poll", "second"]);
    assert_eq!(daemon.event("object_failed")["class"], "too_large");

    // Back again: nothing waits any more. The grace is short now, so a stop gives a slow file back.
    bed.configure("shutdown_grace = \"1s\"", &parts);
    reload(&mut daemon);
    assert_eq!(waits(&bed), serde_json::json!([]));
    let before = bed.server.faults().seen(Operation::GetObject);
    slow(&bed, "first/slow.csv", Duration::from_secs(120));
    put(&bed, "first/slow.csv", 1);
    bed.json(&["poll", "first"]);
    fetch_begins(&bed, before);
    let asked = Instant::now();
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.ended(), 0, "{}", daemon.text());
    assert!(asked.elapsed() < Duration::from_secs(60), "less than the grace that it began with");
}

#[test]
fn a_stall_is_said_without_a_watchdog_and_a_slow_download_is_none() {
    let bed = Bed::new();
    bed.configure("stall_after = \"1h\"", &integration("first"));
    let mut daemon = bed.run();
    // Mappers are compiled by then, which may take longer.
    daemon.event("pass_finished");
    bed.configure("stall_after = \"3s\"", &integration("first"));
    reload(&mut daemon);

    // Longer than allowed in all, but never without headway.
    slow(&bed, "first/moving.csv", Duration::from_secs(1));
    put(&bed, "first/moving.csv", 12_000);
    bed.json(&["poll", "first"]);
    let completed = daemon.event("object_completed");
    assert!(completed["took_ms"].as_u64().unwrap() > 3_500, "{completed}");
    assert!(!daemon.has_logged("step_stalled"), "{}", daemon.text());

    slow(&bed, "first/still.csv", Duration::from_secs(9));
    put(&bed, "first/still.csv", 1);
    bed.json(&["poll", "first"]);
    let stalled = daemon.event("step_stalled");
    assert_eq!((&stalled["step"], &stalled["watchdog"]), (&"fetch".into(), &false.into()), "{stalled}");
    daemon.event("object_completed");

    bed.server.faults().next(Operation::ListObjectsV2, 1, Fault::Slow { pause: Duration::from_secs(9) });
    bed.json(&["poll", "first"]);
    assert_eq!(daemon.event("step_stalled")["step"], "listing");
    daemon.event("pass_finished");
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.ended(), 0, "{}", daemon.text());
}

/// R14: the daemon holds the state directory before it answers, and a command may hold it when the daemon starts.
#[test]
fn commands_and_a_daemon_that_starts_wait_for_each_other() {
    let bed = Bed::new();
    bed.configure("", &integration("first"));
    let mut daemon = bed.run();
    let running =
        until("the daemon answers", || bed.json(&["status"]).remove(0)["daemon"].as_bool().filter(|runs| *runs));
    assert!(running);
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.ended(), 0, "{}", daemon.text());
}
