//! What the commands say of an integration's objects, beside a daemon and without one.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use gristmill_loopback_s3::{Config, Fault, Operation, Server};
use gristmill_tests::daemon::{Bed, Ran};
use rustix::process::Signal;

const BUCKET: &str = "exports";

const CONFIG: &str = r#"
[integrations.acme]
connection = "main"
bucket = "exports"
prefix = "daily/"
poll_interval = "1s"
matching = { on_no_match = "create" }
identifiers = [{ column = "id", match = "crm_id" }]
fields = [{ column = "stage", field = "stage", type = "text" }]

[integrations.lines]
connection = "main"
bucket = "exports"
prefix = "daily/"
poll_interval = "1s"
destination = "records"
identifiers = [{ column = "id", match = "crm_id" }]
fields = [{ column = "stage", field = "stage", type = "text" }]

[destinations.main]
sqlite = {}
[destinations.records]
files.path = "records"
"#;

fn ground() -> (Server, Bed) {
    let server = Server::start(Config::with_bucket(BUCKET)).unwrap();
    let bed = Bed::new(&server.endpoint(), "loopback", "loopback-secret");
    bed.configure(CONFIG);
    server.put(BUCKET, "daily/good.csv", "id,stage\n1,won\n2,lost\n").unwrap();
    server.put(BUCKET, "daily/bad.csv", "<html>").unwrap();
    server.put(BUCKET, "daily/denied.csv", "id,stage\n3,won\n").unwrap();
    server.faults().always_of(Operation::GetObject, "daily/denied.csv", Fault::access_denied());
    (server, bed)
}

fn check_explanations(bed: &Bed) {
    let cases = [
        ("daily/good.csv", "taken: completed at "),
        ("daily/bad.csv", "quarantined: the content is an HTML page"),
        ("daily/denied.csv", "failed once, tried again after "),
        ("daily/unseen.csv", "not seen in a listing yet: the next pass takes it if it is there and not empty"),
        ("daily/notes.txt", "never taken: only .csv, .xlsx and .xls files are"),
        ("weekly/good.csv", "never taken: it is outside the prefix `daily/`"),
    ];
    for (key, verdict) in cases {
        let said = bed.command(["explain", "acme", key]);
        assert_eq!(said.code, 0, "{said:?}");
        assert!(said.output.starts_with(verdict), "{key}: {}", said.output);
        let said = bed.command(["explain", "acme", key, "--json"]);
        assert!(said.values[0]["verdict"].as_str().unwrap().starts_with(verdict), "{said:?}");
    }
    let denied = bed.command(["explain", "acme", "daily/denied.csv"]);
    assert!(denied.output.contains("hint: allow `s3:GetObject` on `arn:aws:s3:::exports/daily/*`"), "{denied:?}");
    let unknown = bed.command(["explain", "nobody", "daily/good.csv"]);
    assert_eq!(unknown.code, 1);
    assert!(unknown.errors.contains("there is no integration `nobody`"), "{unknown:?}");
    assert!(unknown.errors.contains("configured: acme, lines"), "{unknown:?}");
}

fn check_status(status: &Ran, daemon: bool) {
    assert_eq!(status.code, 1, "one file is quarantined: {status:?}");
    let status = &status.values[0];
    assert_eq!(status["daemon"], daemon);
    assert!(status["disk"]["ledger"].as_u64().unwrap() > 0, "{status}");
    for integration in status["integrations"].as_array().unwrap() {
        let expected = serde_json::json!({ "completed": 1, "failed": 1, "quarantined": 1 });
        assert_eq!(integration["objects"], expected, "{status}");
        let backlog = &integration["backlog"];
        assert_eq!((&backlog["objects"], backlog["oldest"].is_string()), (&1.into(), true), "{status}");
        assert_eq!(integration["last_pass"].is_object(), daemon, "{status}");
    }
}

#[test]
fn states_are_explained_without_a_daemon() {
    let (_server, bed) = ground();
    let fresh = bed.command(["status", "--json"]);
    assert_eq!(fresh.code, 0, "{fresh:?}");
    let ran = bed.once();
    assert_eq!((ran.code, ran.counts("acme")), (1, [3, 0, 1, 0, 0, 2]), "{ran:?}");
    check_explanations(&bed);
    check_status(&bed.command(["status", "--json"]), false);
    let list = bed.command(["ledger", "list", "acme", "--state", "quarantined", "--json"]);
    assert_eq!(list.values.len(), 1, "{list:?}");
    let poll = bed.command(["poll", "acme"]);
    assert_eq!(poll.code, 1);
    assert!(poll.errors.contains("no daemon is running"), "{poll:?}");
}

/// R14
#[test]
fn commands_go_to_the_daemon_that_runs() {
    let (server, bed) = ground();
    let daemon = bed.start();
    for integration in ["acme", "lines"] {
        daemon
            .wait_for("the first pass", |line| line["event"] == "pass_finished" && line["integration"] == integration);
    }
    check_explanations(&bed);
    check_status(&bed.command(["status", "--json"]), true);

    assert_eq!(bed.command(["pause", "acme"]).code, 0);
    server.put(BUCKET, "daily/later.csv", "id,stage\n9,won\n").unwrap();
    let lines =
        |line: &serde_json::Value| line["object"] == "s3://exports/daily/later.csv" && line["integration"] == "lines";
    daemon.wait_for("the other integration", lines);
    let said = bed.command(["explain", "acme", "daily/later.csv"]);
    assert!(said.output.contains("the integration is paused: paused by hand"), "{said:?}");
    assert_eq!(bed.command(["resume", "acme"]).code, 0);
    let acme =
        |line: &serde_json::Value| line["object"] == "s3://exports/daily/later.csv" && line["integration"] == "acme";
    daemon.wait_for("the resumed integration", acme);

    let replayed = bed.command(["replay", "acme", "--key", "daily/good.csv"]);
    assert!(replayed.output.contains("the daemon takes them now"), "{replayed:?}");
    daemon.wait_for("the replay", |line| {
        line["event"] == "object_completed" && line["object"] == "s3://exports/daily/good.csv" && line["unchanged"] == 2
    });

    // A configuration that cannot be used is refused, and the old one stays (R15).
    let sound = fs::read_to_string(bed.config()).unwrap();
    fs::write(bed.config(), format!("{sound}\n[[")).unwrap();
    daemon.signal(Signal::HUP);
    daemon.wait_for("the refusal", |line| line["event"] == "config_refused");
    fs::write(bed.config(), sound.replace("integrations.lines", "integrations.other")).unwrap();
    daemon.signal(Signal::HUP);
    let reloaded = daemon.wait_for("the reload", |line| line["event"] == "config_reloaded");
    let counts = ["started", "stopped", "kept"].map(|name| reloaded[name].as_u64().unwrap());
    assert_eq!(counts, [1, 1, 1]);
    daemon.wait_for("the new integration", |line| line["event"] == "pass_finished" && line["integration"] == "other");
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_ledger_comes_back_from_its_export() {
    let (_server, bed) = ground();
    bed.once();
    let export = bed.path("ledger.ndjson");
    assert_eq!(bed.command(["ledger", "export", export.to_str().unwrap()]).code, 0);
    let printed = bed.command(["ledger", "export"]);
    assert_eq!(printed.output, fs::read_to_string(&export).unwrap());
    let before = bed.command(["ledger", "list", "--json"]);
    assert_eq!(before.values.len(), 6);

    fs::remove_file(bed.state().join("ledger.redb")).unwrap();
    let imported = bed.command(["ledger", "import", export.to_str().unwrap()]);
    assert_eq!(imported.code, 0, "{imported:?}");
    assert_eq!(bed.command(["ledger", "list", "--json"]).output, before.output);
    let ran = bed.once();
    assert_eq!((ran.code, ran.counts("acme"), ran.counts("lines")), (0, [3, 3, 0, 0, 0, 0], [3, 3, 0, 0, 0, 0]));
    // Only into an empty one.
    assert_ne!(bed.command(["ledger", "import", export.to_str().unwrap()]).code, 0);
}

#[test]
fn check_says_what_listing_costs_on_aws() {
    let (_server, bed) = ground();
    let parts = r#"
        [connections.aws]
        region = "eu-central-1"
        default_chain = {}
        [integrations.often]
        connection = "aws"
        bucket = "exports"
        poll_interval = "1m"
        identifiers = [{ column = "id", match = "crm_id" }]
        fields = [{ column = "stage", field = "stage", type = "text" }]
        [integrations.elsewhere]
        connection = "main"
        bucket = "exports"
        poll_interval = "1s"
        identifiers = [{ column = "id", match = "crm_id" }]
        fields = [{ column = "stage", field = "stage", type = "text" }]
    "#;
    bed.configure(parts);
    let checked = bed.command(["check"]);
    assert_eq!(
        checked.output.lines().last().unwrap(),
        "listing: 43,200 requests a month, about US$ 0.22, and as much again for every further 1,000 keys under each prefix"
    );
    let checked = bed.command(["check", "--json"]);
    let requests = |place: usize| checked.values[place]["list_requests_a_month"].as_u64().unwrap();
    assert_eq!([requests(0), requests(1)], [2_592_000, 43_200], "{checked:?}");

    bed.configure(&parts.replace("\"1m\"", "\"1m\"\nlist_budget = 20000"));
    let checked = bed.command(["check"]);
    assert_eq!(
        checked.output.lines().last().unwrap(),
        "listing: 20,000 requests a month, about US$ 0.10, and as much again for every further 1,000 keys under each prefix, \
         up to the `list_budget` where there is one"
    );
}

#[test]
fn check_warns_of_secrets_that_others_may_see() {
    let (server, bed) = ground();
    let open = bed.state().with_file_name("open-key");
    fs::write(&open, "x").unwrap();
    fs::set_permissions(&open, PermissionsExt::from_mode(0o644)).unwrap();
    let connection = |name: &str, reference: &str| {
        format!(
            "[connections.{name}]\nendpoint_url = \"{}\"\n\
             access_key = {{ access_key_id = \"a\", secret_access_key = {{ {reference} }} }}\n",
            server.endpoint()
        )
    };
    let file = format!("file = \"{}\"", open.display());
    bed.configure(&(connection("open", &file) + &connection("variable", "env = \"PATH\"")));
    let checked = bed.command(["check"]);
    assert_eq!(checked.code, 0, "{checked:?}");
    let warns = |place: &str, of: &str| checked.output.contains(&format!("connections.{place}: warning: {of}"));
    assert!(warns("open", "file `") && warns("variable", "environment variable `PATH` is shown to"), "{checked:?}");
    let checked = bed.command(["check", "--json"]);
    let warnings = checked.values.iter().filter(|value| value["warning"].is_string());
    assert_eq!(warnings.count(), 2, "{checked:?}");
}

#[test]
fn a_compacted_ledger_is_smaller_and_says_the_same() {
    let (_server, bed) = ground();
    bed.once();
    let before = bed.command(["ledger", "list", "--json"]);
    let daemon = bed.start();
    let refused = bed.command(["ledger", "compact"]);
    assert!(refused.code != 0 && refused.errors.contains("the daemon is running"), "{refused:?}");
    assert_eq!(daemon.stop(), 0);
    let compacted = bed.command(["ledger", "compact", "--json"]);
    let size = |when: &str| compacted.values[0][when].as_u64().unwrap();
    assert!(size("after") < size("before"), "{compacted:?}");
    assert_eq!(bed.command(["ledger", "list", "--json"]).output, before.output);
}

#[test]
fn records_go_to_files_whole_and_once() {
    let (server, bed) = ground();
    bed.once();
    let files = bed.files("state/records");
    assert_eq!(files.len(), 2, "{files:?}");
    let directory = files[0].rsplit_once('/').unwrap().0;
    assert!(directory.starts_with("default/lines/good.csv."), "{directory}");
    let read = |name: &str| fs::read_to_string(bed.state().join("records").join(directory).join(name)).unwrap();
    assert_eq!(
        read("accounts.ndjson"),
        "{\"table\":0,\"row\":0,\"account\":[{\"crm_id\":\"1\"}],\"fields\":{\"stage\":\"won\"}}\n\
         {\"table\":0,\"row\":1,\"account\":[{\"crm_id\":\"2\"}],\"fields\":{\"stage\":\"lost\"}}\n"
    );
    // A replay takes the place of what was there; a new version stands beside it.
    assert_eq!(bed.command(["replay", "lines", "--key", "daily/good.csv"]).code, 0);
    assert_eq!(bed.once().counts("lines"), [3, 2, 1, 0, 0, 0]);
    assert_eq!(bed.files("state/records"), files);
    let manifest: serde_json::Value = serde_json::from_str(&read("ingestion.json")).unwrap();
    assert!(manifest.to_string().contains("\"generation\":1"), "{manifest}");
    server.put(BUCKET, "daily/good.csv", "id,stage\n1,lost\n").unwrap();
    assert_eq!(bed.once().counts("lines"), [3, 2, 1, 0, 0, 0]);
    assert_eq!(bed.files("state/records").len(), 4);
}
