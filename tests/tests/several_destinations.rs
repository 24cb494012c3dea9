//! One integration, several destinations: each confirms for itself, and only what is missing is repeated (I1, R12).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use gristmill_loopback_s3::{Config, Server};
use gristmill_tests::daemon::Bed;

const BUCKET: &str = "exports";
const LAKE: &str = "[destinations.lake]\nfiles.path = \"lake\"\n";
/// Nobody listens there.
const UNREACHABLE: &str =
    "[destinations.lake.postgres]\nhost = \"127.0.0.1\"\nport = 1\ntls = \"off\"\nconnect_timeout = \"1s\"\n";

fn ground() -> (Server, Bed) {
    let server = Server::start(Config::with_bucket(BUCKET)).unwrap();
    let bed = Bed::new(&server.endpoint(), "loopback", "loopback-secret");
    (server, bed)
}

fn configuration(destinations: &str, lake: &str, on_no_match: &str) -> String {
    format!(
        "[destinations.main]\nsqlite = {{}}\n{lake}[integrations.daily]\nconnection = \"main\"\nbucket = \"{BUCKET}\"\n\
         destination = {destinations}\nmatching = {{ on_no_match = \"{on_no_match}\" }}\n\
         identifiers = [{{ column = \"id\", match = \"crm_id\" }}]\n\
         fields = [{{ column = \"stage\", field = \"stage\", type = \"text\" }}]\n"
    )
}

fn ingestions(bed: &Bed) -> Vec<String> {
    bed.rows("SELECT key, etag, generation FROM ingestion_history")
}

/// What the lake has, by the names of its files.
fn lake(bed: &Bed) -> Vec<String> {
    let files = bed.files(bed.state().join("lake"));
    files.into_iter().filter_map(|path| path.ends_with("ingestion.json").then_some(path)).collect()
}

/// I1, R12
#[test]
fn a_destination_that_fails_is_fed_again_alone_and_takes_nothing_back() {
    let (server, bed) = ground();
    let both = "[\"main\", \"lake\"]";
    bed.configure(&configuration(both, UNREACHABLE, "create"));
    server.put(BUCKET, "a.csv", "id,stage\n1,won\n,nobody\n").unwrap();
    bed.once();
    let entry = bed.entry("daily", "a.csv");
    assert_eq!(entry["state"]["delivered"]["attempts"], 1, "{entry}");
    assert_eq!(entry["confirmed"], serde_json::json!(["main"]), "{entry}");
    assert_eq!(entry["failure"]["class"], "destination", "{entry}");
    let message = entry["failure"]["message"].as_str().unwrap();
    assert!(message.starts_with("it is missing in `lake`: cannot connect to PostgreSQL"), "{message}");
    let before = ingestions(&bed);
    assert_eq!(before.len(), 1, "the other one has it: {before:?}");

    let explained = bed.command(["explain", "daily", "a.csv"]);
    assert!(explained.output.contains("taken by `main`, missing in `lake`; brought there again"), "{explained:?}");
    let status = bed.command(["status"]);
    assert!(status.output.contains("0 completed, 1 delivered"), "{status:?}");
    assert!(status.output.contains("not everywhere: `a.csv`: it is missing in `lake`"), "{status:?}");
    let listed = bed.command(["ledger", "list", "daily"]);
    assert!(listed.output.contains("`main` has it: it is missing in `lake`"), "{listed:?}");

    bed.configure(&configuration(both, LAKE, "create"));
    let deadline = Instant::now() + Duration::from_secs(60);
    while bed.once().code != 0 || bed.state_of("daily", "a.csv") != "completed" {
        assert!(Instant::now() < deadline, "{}", bed.entry("daily", "a.csv"));
    }
    let entry = bed.entry("daily", "a.csv");
    assert_eq!(entry["confirmed"], serde_json::json!(["main", "lake"]), "{entry}");
    assert_eq!(entry["summary"]["merged"]["created"], 1, "the counts are those of the one that decides: {entry}");
    assert_eq!(ingestions(&bed), before, "it was not taken there again");
    assert_eq!(lake(&bed).len(), 1);
}

/// The first that keeps accounts decides, so the others wait for it.
#[test]
fn no_destination_is_fed_while_the_deciding_one_cannot_be_asked() {
    let (server, bed) = ground();
    bed.configure(&configuration("[\"lake\", \"main\"]", UNREACHABLE, "create"));
    server.put(BUCKET, "a.csv", "id,stage\n1,won\n").unwrap();
    bed.once();
    let entry = bed.entry("daily", "a.csv");
    assert_eq!(entry["state"]["failed"]["attempts"], 1, "{entry}");
    assert_eq!((&entry["confirmed"], ingestions(&bed)), (&serde_json::json!([]), Vec::new()));
}

/// R15: it disables nothing but itself.
#[test]
fn a_destination_that_cannot_be_opened_is_missing_until_it_can() {
    let (server, bed) = ground();
    bed.configure(&configuration("[\"lake\", \"main\"]", LAKE, "create"));
    let in_the_way = bed.state().join("lake");
    std::fs::create_dir_all(bed.state()).unwrap();
    std::fs::write(&in_the_way, "").unwrap();
    server.put(BUCKET, "a.csv", "id,stage\n1,won\n").unwrap();
    let once = bed.once();
    assert_eq!(once.events("part_disabled")[0]["part"], "destinations.lake", "{once:?}");
    let entry = bed.entry("daily", "a.csv");
    assert_eq!((entry["state"]["delivered"].is_object(), ingestions(&bed).len()), (true, 1), "{entry}");
    std::fs::remove_file(&in_the_way).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while bed.state_of("daily", "a.csv") != "completed" {
        assert!(Instant::now() < deadline, "{}", bed.entry("daily", "a.csv"));
        bed.once();
    }
    assert_eq!((ingestions(&bed).len(), lake(&bed).len()), (1, 1));
}

/// R7, R11: what the deciding destination refuses is merged nowhere.
#[test]
fn a_file_that_fails_for_its_rows_is_merged_nowhere_whatever_the_order_of_the_list() {
    let (server, bed) = ground();
    let both = "[\"lake\", \"main\"]";
    bed.configure(&configuration(both, LAKE, "create"));
    server.put(BUCKET, "accounts.csv", "id,stage\n1,won\n").unwrap();
    assert_eq!(bed.once().code, 0);
    let before = (ingestions(&bed), lake(&bed));
    assert_eq!((before.0.len(), before.1.len()), (1, 1));
    server.put(BUCKET, "unknown.csv", "id,stage\n1,won\n2,won\n").unwrap();
    server.put(BUCKET, "rejected.csv", "id,stage\n1,won\n,nobody\n").unwrap();
    bed.configure(&(configuration(both, LAKE, "error").replace("fields =", "max_rejects = 0\nfields =")));
    bed.once();
    assert_eq!((ingestions(&bed), lake(&bed)), before);
    assert_eq!(bed.entry("daily", "unknown.csv")["failure"]["class"], "no_account_matched");
    assert!(bed.state_of("daily", "rejected.csv")["quarantined"].is_object());
}

/// A destination that came later has what came later; the rest is a person's decision.
#[test]
fn an_added_destination_gets_what_was_completed_before_by_a_replay_alone() {
    let (server, bed) = ground();
    bed.configure(&configuration("\"main\"", LAKE, "create"));
    server.put(BUCKET, "a.csv", "id,stage\n1,won\n").unwrap();
    assert!(bed.once().events("destination_added").is_empty());

    bed.configure(&configuration("[\"main\", \"lake\"]", LAKE, "create"));
    server.put(BUCKET, "b.csv", "id,stage\n2,won\n").unwrap();
    let once = bed.once();
    let added = once.events("destination_added");
    assert_eq!(added.len(), 1, "{once:?}");
    assert_eq!(added[0]["destination"], "lake");
    assert_eq!(added[0]["hint"], "to bring them there: gristmill replay daily --prefix ''");
    assert_eq!(lake(&bed).len(), 1, "{:?}", lake(&bed));
    let explained = bed.command(["explain", "daily", "a.csv"]);
    assert!(explained.output.contains("`lake` came later as a destination and does not have it"), "{explained:?}");
    assert!(explained.output.contains("gristmill replay daily --key 'a.csv'"), "{explained:?}");

    assert_eq!(bed.command(["replay", "daily", "--prefix", ""]).code, 0);
    let once = bed.once();
    assert!(once.events("destination_added").is_empty(), "said once: {once:?}");
    assert_eq!(lake(&bed).len(), 2, "{:?}", lake(&bed));
}

#[test]
fn a_dry_run_previews_each_destination_by_its_name() {
    let (_server, bed) = ground();
    bed.configure(&configuration("[\"lake\", \"main\"]", LAKE, "create"));
    let sample = bed.path("sample.csv");
    std::fs::write(&sample, "id,stage\n1,won\n").unwrap();
    let sample = sample.to_str().unwrap();
    let report = bed.command(["test", "daily", sample, "--json"]).values.remove(0);
    assert_eq!((&report["destination"], &report["preview"]["merged"]["created"]), (&"main".into(), &1.into()));
    assert_eq!(report["others"][0]["destination"], "lake");
    assert_eq!(report["others"][0]["preview"]["merged"]["delivered"], 1, "{report}");
    let shown = bed.command(["test", "daily", sample]).output;
    assert!(shown.contains("in main") && shown.contains("in lake"), "{shown}");
    assert_eq!((ingestions(&bed), lake(&bed)), (Vec::new(), Vec::new()));
}
