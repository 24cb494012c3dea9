//! What servers, networks and other writers do between listing and reading: the right state, the right words, and taken
//! up again where it should be.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use gristmill_loopback_s3::{Config, Fault, Operation, Server};
use gristmill_tests::daemon::Bed;

const BUCKET: &str = "exports";

const INTEGRATION: &str = r#"
[integrations.acme]
connection = "main"
bucket = "exports"
poll_interval = "1s"
matching = { on_no_match = "create" }
identifiers = [{ column = "id", match = "crm_id" }]
fields = [{ column = "stage", field = "stage", type = "text" }]
"#;

struct Ground {
    server: Server,
    bed: Bed,
}

impl Ground {
    fn new() -> Self {
        let server = Server::start(Config::with_bucket(BUCKET)).unwrap();
        let bed = Bed::new(&server.endpoint(), "loopback", "loopback-secret");
        bed.configure(INTEGRATION);
        Self { server, bed }
    }

    fn put(&self, key: &str, stage: &str) {
        let rows: String = (0..2_000).map(|row| format!("{key}-{row},{stage}\n")).collect();
        self.server.put(BUCKET, key, format!("id,stage\n{rows}")).unwrap();
    }

    fn stages(&self) -> Vec<String> {
        self.bed.rows("SELECT value, count(*) FROM account_field_values GROUP BY value ORDER BY value")
    }
}

fn text(value: &serde_json::Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[test]
fn a_body_that_breaks_off_is_taken_up_where_it_ended() {
    let ground = Ground::new();
    ground.put("a.csv", "won");
    let faults = ground.server.faults();
    faults.next_of(Operation::GetObject, "a.csv", 1, Fault::Truncate { after: 1_000 });
    let ran = ground.bed.once();
    assert_eq!((ran.code, ran.counts("acme")), (0, [1, 0, 1, 0, 0, 0]), "{ran:?}");
    assert_eq!(ground.stages(), ["won|2000"]);
    assert_eq!(faults.seen(Operation::GetObject), 2);
}

#[test]
fn a_body_that_never_arrives_whole_is_tried_again_later() {
    let ground = Ground::new();
    ground.put("a.csv", "won");
    ground.put("b.csv", "won");
    // Not a byte arrives, so there is nowhere to take it up.
    ground.server.faults().always_of(Operation::GetObject, "a.csv", Fault::Truncate { after: 0 });
    let ran = ground.bed.once();
    assert_eq!((ran.code, ran.counts("acme")), (1, [2, 0, 1, 0, 0, 1]), "{ran:?}");
    assert_eq!(ground.stages(), ["won|2000"], "nothing of the broken file is merged");
    let entry = ground.bed.entry("acme", "a.csv");
    assert_eq!(entry["state"]["failed"]["attempts"], 1, "{entry}");
    assert_eq!(entry["failure"]["class"], "network", "{entry}");
    assert!(text(&entry["failure"]["message"]).contains("the body broke off"), "{entry}");
    let explained = ground.bed.command(["explain", "acme", "a.csv"]);
    assert!(explained.output.starts_with("failed once, tried again after "), "{explained:?}");

    ground.server.faults().clear();
    let daemon = ground.bed.start();
    let line = daemon.wait_for("a.csv to be taken", |line| line["event"] == "object_completed");
    assert_eq!(line["object"], "s3://exports/a.csv");
    assert_eq!(daemon.stop(), 0);
    assert_eq!(ground.stages(), ["won|4000"]);
}

#[test]
fn other_bytes_than_those_stored_are_never_merged() {
    let ground = Ground::new();
    ground.put("a.csv", "won");
    ground.server.faults().always_of(Operation::GetObject, "a.csv", Fault::Corrupt { at: 500 });
    let ran = ground.bed.once();
    assert_eq!((ran.code, ran.counts("acme")), (1, [1, 0, 0, 0, 0, 1]), "{ran:?}");
    assert_eq!(ground.stages(), [""; 0]);
    let entry = ground.bed.entry("acme", "a.csv");
    assert_eq!(entry["failure"]["class"], "corrupt", "{entry}");
    assert!(text(&entry["failure"]["message"]).contains("the bytes are not those that were stored"), "{entry}");
}

#[test]
fn a_burst_of_refusals_is_waited_out() {
    let ground = Ground::new();
    ground.put("a.csv", "won");
    // One refusal of each request is not even noticed.
    ground.server.faults().next(Operation::ListObjectsV2, 1, Fault::slow_down());
    ground.server.faults().next(Operation::GetObject, 1, Fault::slow_down());
    let ran = ground.bed.once();
    assert_eq!((ran.code, ran.counts("acme")), (0, [1, 0, 1, 0, 0, 0]), "{ran:?}");

    // A longer burst fails the pass, or the file, for now.
    ground.put("b.csv", "won");
    ground.server.faults().next(Operation::ListObjectsV2, 2, Fault::slow_down());
    let ran = ground.bed.once();
    assert!(ran.refusal("acme").contains("the server asks for fewer requests"), "{ran:?}");
    ground.server.faults().always_of(Operation::GetObject, "b.csv", Fault::slow_down());
    let ran = ground.bed.once();
    assert_eq!((ran.code, ran.counts("acme")), (1, [2, 1, 0, 0, 0, 1]), "{ran:?}");
    let entry = ground.bed.entry("acme", "b.csv");
    assert_eq!(entry["failure"]["class"], "throttled", "{entry}");
    assert!(text(&entry["failure"]["message"]).contains("the server asks for fewer requests"), "{entry}");
    ground.server.faults().clear();
    let daemon = ground.bed.start();
    daemon.wait_for("b.csv to be taken", |line| line["event"] == "object_completed");
    assert_eq!(daemon.stop(), 0);
    assert_eq!(ground.stages(), ["won|4000"]);
}

#[test]
fn a_listing_that_fails_fails_the_pass_and_nothing_else() {
    let ground = Ground::new();
    ground.put("a.csv", "won");
    ground.server.faults().next(Operation::ListObjectsV2, 1, Fault::access_denied());
    let ran = ground.bed.once();
    assert_eq!(ran.code, 1, "{ran:?}");
    let refusal = ran.refusal("acme");
    assert!(refusal.contains("cannot list `s3://exports/`: access denied"), "{refusal}");
    assert!(refusal.contains("allow `s3:ListBucket` on `arn:aws:s3:::exports`"), "{refusal}");
    assert!(ground.bed.ledger("acme").is_empty());
    let ran = ground.bed.once();
    assert_eq!((ran.code, ran.counts("acme")), (0, [1, 0, 1, 0, 0, 0]), "{ran:?}");
}

#[test]
fn an_object_deleted_before_it_was_read_is_done() {
    let ground = Ground::new();
    ground.put("a.csv", "won");
    ground.server.faults().next_of(Operation::GetObject, "a.csv", 1, Fault::Delete);
    let ran = ground.bed.once();
    assert_eq!((ran.code, ran.counts("acme")), (0, [1, 0, 0, 0, 1, 0]), "{ran:?}");
    assert_eq!(ran.events("object_skipped")[0]["reason"], "deleted since it was listed");
    assert_eq!(ground.bed.state_of("acme", "a.csv")["skipped"]["reason"], "gone");
    let explained = ground.bed.command(["explain", "acme", "a.csv"]);
    assert!(explained.output.starts_with("deleted between the listing and the fetch"), "{explained:?}");
    assert_eq!(ground.bed.once().counts("acme"), [0; 6]);
    // It comes back with the same bytes, and so with the same ETag: it was never taken, so it is now.
    ground.put("a.csv", "won");
    let ran = ground.bed.once();
    assert_eq!((ran.code, ran.counts("acme")), (0, [1, 0, 1, 0, 0, 0]), "{ran:?}");
    assert_eq!(ground.stages(), ["won|2000"]);
}

#[test]
fn an_object_changed_before_it_was_read_is_taken_in_its_new_version() {
    let ground = Ground::new();
    ground.put("a.csv", "won");
    let newer = Fault::Replace { content: "id,stage\nz,lost\n".into() };
    ground.server.faults().next_of(Operation::GetObject, "a.csv", 1, newer);
    let ran = ground.bed.once();
    assert_eq!((ran.code, ran.counts("acme")), (0, [1, 0, 0, 0, 1, 0]), "{ran:?}");
    assert_eq!(ran.events("object_skipped")[0]["reason"], "replaced since it was listed");
    assert_eq!(ground.stages(), [""; 0], "nothing of either version");
    let ran = ground.bed.once();
    assert_eq!((ran.code, ran.counts("acme")), (0, [1, 0, 1, 0, 0, 0]), "{ran:?}");
    assert_eq!(ground.stages(), ["lost|1"]);
    // The version that nobody could read any more is settled.
    let states: Vec<_> = ground.bed.ledger("acme").into_iter().map(|entry| entry["state"].clone()).collect();
    assert!(states.contains(&"completed".into()) && !states.contains(&serde_json::Value::Null), "{states:?}");
}

#[test]
fn a_denied_object_says_which_permission_is_missing() {
    let ground = Ground::new();
    ground.put("daily/a.csv", "won");
    ground.put("daily/b.csv", "won");
    ground.server.faults().always_of(Operation::GetObject, "daily/a.csv", Fault::access_denied());
    let ran = ground.bed.once();
    assert_eq!((ran.code, ran.counts("acme")), (1, [2, 0, 1, 0, 0, 1]), "{ran:?}");
    let failed = &ran.events("object_failed")[0];
    assert_eq!((text(&failed["object"]), text(&failed["class"])), ("s3://exports/daily/a.csv", "denied"));
    assert!(text(&failed["error"]).contains("cannot fetch `s3://exports/daily/a.csv`: access denied"), "{failed}");
    assert!(text(&failed["hint"]).contains("allow `s3:GetObject` on `arn:aws:s3:::exports/daily/*`"), "{failed}");
    let entry = ground.bed.entry("acme", "daily/a.csv");
    assert_eq!(entry["failure"]["class"], "denied", "{entry}");
    assert_eq!(entry["state"]["failed"]["attempts"], 1, "{entry}");

    // It is left alone until its time has come, and taken at once when a person asks.
    ground.server.faults().clear();
    assert_eq!(ground.bed.once().counts("acme"), [2, 2, 0, 0, 0, 0]);
    assert_eq!(ground.bed.command(["replay", "acme", "--key", "daily/a.csv"]).code, 0);
    assert_eq!(ground.bed.once().counts("acme"), [2, 1, 1, 0, 0, 0]);
    assert_eq!(ground.stages(), ["won|4000"]);
}

#[test]
fn wrong_credentials_stop_the_pass_and_record_nothing() {
    let ground = Ground::new();
    ground.put("a.csv", "won");
    let bed = Bed::new(&ground.server.endpoint(), "loopback", "not-the-secret");
    bed.configure(INTEGRATION);
    let ran = bed.once();
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.refusal("acme").contains("the credentials are not accepted"), "{ran:?}");
    assert!(bed.ledger("acme").is_empty());
    assert!(!format!("{ran:?}").contains("not-the-secret"));
}
