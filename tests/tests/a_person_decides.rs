//! Where going on would lose something, the daemon waits for a person and says which command ends the wait.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::SystemTime;

use gristmill_loopback_s3::{Config, Server};
use gristmill_tests::daemon::Bed;

const BUCKET: &str = "exports";

fn ground() -> (Server, Bed) {
    let server = Server::start(Config::with_bucket(BUCKET)).unwrap();
    let bed = Bed::new(&server.endpoint(), "loopback", "loopback-secret");
    (server, bed)
}

fn integration(name: &str, prefix: &str, more: &str) -> String {
    format!(
        "[integrations.{name}]\nconnection = \"main\"\nbucket = \"{BUCKET}\"\nprefix = \"{prefix}\"\npoll_interval = \"1s\"\n\
         {more}\nidentifiers = [{{ column = \"id\", match = \"crm_id\" }}]\n\
         fields = [{{ column = \"stage\", field = \"stage\", type = \"text\" }}]\n"
    )
}

const CREATE: &str = "matching = { on_no_match = \"create\" }";

fn at(time: &str) -> SystemTime {
    time.parse::<jiff::Timestamp>().unwrap().into()
}

/// R7
#[test]
fn an_empty_store_and_skip_pause_before_anything_is_recorded() {
    let (server, bed) = ground();
    bed.configure(&[integration("skips", "skips/", ""), integration("creates", "creates/", CREATE)].concat());
    server.put(BUCKET, "skips/a.csv", "id,stage\n1,won\n").unwrap();
    let ran = bed.once();
    assert_eq!((ran.code, ran.counts("creates")), (1, [0; 6]), "{ran:?}");
    let refusal = ran.refusal("skips");
    assert!(refusal.starts_with("there are no accounts yet, and rows that match none are skipped — set `on_no_match"));
    assert!(bed.ledger("skips").is_empty());
    assert!(bed.rows("SELECT * FROM ingestions").is_empty());

    // In the daemon it is a pause that says so, and ends by itself once another integration brought accounts.
    let daemon = bed.start();
    daemon.wait_for("the pause", |line| line["event"] == "integration_paused" && line["integration"] == "skips");
    let status = bed.command(["status"]);
    assert!(status.output.contains("paused skips: 0 completed"), "{status:?}");
    assert!(status.output.contains("why: there are no accounts yet"), "{status:?}");
    server.put(BUCKET, "creates/a.csv", "id,stage\n1,open\n").unwrap();
    daemon.wait_for("the file", |line| line["event"] == "object_completed" && line["integration"] == "skips");
    assert_eq!(daemon.stop(), 0);
    assert_eq!(bed.rows("SELECT count(*) FROM account_overview"), ["1"]);
}

/// R16
#[test]
fn a_big_bucket_waits_until_someone_says_what_to_take() {
    let (server, bed) = ground();
    for (key, time) in
        [("old.csv", "2024-01-01T00:00:00Z"), ("edge.csv", "2024-03-09T23:00:00Z"), ("new.csv", "2024-03-11T00:00:00Z")]
    {
        server.put(BUCKET, key, format!("id,stage\n{key},won\n")).unwrap();
        server.set_last_modified(BUCKET, key, at(time)).unwrap();
    }
    let few = format!("{CREATE}\nbackfill_limit = 2\ntimezone = \"Europe/Berlin\"");
    let names = ["all", "none", "since", "set"];
    let set = format!("{CREATE}\nbackfill_limit = 2\nbackfill = {{ since = 2024-03-10 }}");
    bed.configure(
        &[
            integration("all", "", &few),
            integration("none", "", &few),
            integration("since", "", &few),
            integration("set", "", &set),
        ]
        .concat(),
    );
    let ran = bed.once();
    assert_eq!(ran.code, 1, "{ran:?}");
    for name in ["all", "none", "since"] {
        assert_eq!(
            ran.refusal(name),
            format!(
                "the first listing shows more than 2 objects — say which to take: gristmill backfill {name} all|none|DATE"
            )
        );
        assert!(bed.ledger(name).is_empty());
    }
    // The configuration may have said it beforehand; there the day is one of UTC.
    assert_eq!(ran.counts("set"), [3, 2, 1, 0, 0, 0]);

    for (name, choice) in [("all", "all"), ("none", "none"), ("since", "2024-03-10")] {
        let decided = bed.command(["backfill", name, choice]);
        assert_eq!(decided.code, 0, "{decided:?}");
    }
    let ran = bed.once();
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(ran.counts("all"), [3, 0, 3, 0, 0, 0]);
    assert_eq!(ran.counts("none"), [3, 3, 0, 0, 0, 0]);
    // 23:00 in UTC is the tenth of March in Berlin.
    assert_eq!(ran.counts("since"), [3, 1, 2, 0, 0, 0]);
    assert_eq!(bed.state_of("none", "old.csv")["skipped"]["reason"], "backfill");
    let explained = bed.command(["explain", "none", "old.csv"]);
    assert!(explained.output.starts_with("skipped: it was there before the integration's first pass"), "{explained:?}");

    // What comes later is taken, however old it says it is; and so is what is asked for.
    server.put(BUCKET, "late.csv", "id,stage\nlate,won\n").unwrap();
    server.set_last_modified(BUCKET, "late.csv", at("2023-01-01T00:00:00Z")).unwrap();
    assert_eq!(bed.command(["replay", "none", "--key", "old.csv"]).code, 0);
    let ran = bed.once();
    for name in names {
        assert_eq!(ran.counts(name)[2], if name == "none" { 2 } else { 1 }, "{name}: {ran:?}");
    }
}

/// R8
#[test]
fn the_day_of_a_file_is_the_one_it_was_modified_on() {
    let (server, bed) = ground();
    let usage = |name: &str, zone: &str| {
        let daily = "product = \"P\"\nperiod = \"daily\"\nmetrics = [{ column = \"n\", metric = \"n\" }]\n";
        let monthly = "product = \"P\"\nperiod = \"monthly\"\nmetrics = [{ column = \"n\", metric = \"n\" }]\n";
        format!(
            "[integrations.{name}]\nconnection = \"main\"\nbucket = \"{BUCKET}\"\ntimezone = \"{zone}\"\ntenant = \"{name}\"\n\
             {CREATE}\nidentifiers = [{{ column = \"id\", match = \"crm_id\" }}]\n\
             [[integrations.{name}.usage]]\n{daily}[[integrations.{name}.usage]]\n{monthly}"
        )
    };
    bed.configure(&[usage("utc", "UTC"), usage("berlin", "Europe/Berlin")].concat());
    // A file of long ago, taken today: its values belong to the periods before it was written.
    server.put(BUCKET, "a.csv", "id,n\n1,5\n").unwrap();
    server.set_last_modified(BUCKET, "a.csv", at("2023-12-31T23:30:00Z")).unwrap();
    assert_eq!(bed.once().code, 0);
    let periods = |tenant: &str| bed.rows_of(tenant, "SELECT period, period_start FROM usage_records ORDER BY period");
    assert_eq!(periods("utc"), ["daily|2023-12-30", "monthly|2023-11-01"]);
    assert_eq!(periods("berlin"), ["daily|2023-12-31", "monthly|2023-12-01"]);
    // A replay today does not move them.
    assert_eq!(bed.command(["replay", "utc", "--key", "a.csv"]).code, 0);
    assert_eq!(bed.once().counts("utc"), [1, 0, 1, 0, 0, 0]);
    assert_eq!(periods("utc"), ["daily|2023-12-30", "monthly|2023-11-01"]);
}

/// R13
#[test]
fn tenants_have_stores_of_their_own_and_check_keeps_them_apart() {
    let (server, bed) = ground();
    let parts = [
        integration("one", "one/", &format!("tenant = \"one\"\n{CREATE}")),
        integration("two", "two/", &format!("tenant = \"two\"\n{CREATE}")),
    ];
    bed.configure(&parts.concat());
    server.put(BUCKET, "one/a.csv", "id,stage\n1,one\n").unwrap();
    server.put(BUCKET, "two/a.csv", "id,stage\n1,two\n2,two\n").unwrap();
    assert_eq!(bed.once().code, 0);
    let query = "SELECT crm_id, value FROM account_field_values ORDER BY 1";
    assert_eq!(bed.rows_of("one", query), ["1|one"]);
    assert_eq!(bed.rows_of("two", query), ["1|two", "2|two"]);
    let sound = bed.command(["check"]);
    assert_eq!(sound.code, 0, "{sound:?}");

    let foreign = format!("[connections.theirs]\ntenant = \"one\"\n{}", bed.connection());
    let taking = parts[1].replace("connection = \"main\"", "connection = \"theirs\"");
    bed.configure(&[foreign, parts[0].clone(), taking].concat());
    let checked = bed.command(["check"]);
    assert_eq!(checked.code, 1, "{checked:?}");
    assert!(checked.output.contains("integrations.two.connection"), "{checked:?}");
    // It is disabled, and the other tenant's integration is not.
    server.put(BUCKET, "one/b.csv", "id,stage\n3,one\n").unwrap();
    server.put(BUCKET, "two/b.csv", "id,stage\n3,two\n").unwrap();
    let ran = bed.once();
    assert_eq!((ran.code, ran.counts("one")), (1, [2, 1, 1, 0, 0, 0]), "{ran:?}");
    assert_eq!(bed.rows_of("two", query).len(), 2);
    // Once one integration names its tenant, all must.
    bed.configure(&[parts[0].clone(), integration("two", "two/", CREATE)].concat());
    let checked = bed.command(["check"]);
    assert_eq!(checked.code, 1, "{checked:?}");
    assert!(checked.output.contains("tenant"), "{checked:?}");
}

/// R19
#[test]
fn a_disk_without_room_pauses_work_before_it_is_full() {
    let (server, bed) = ground();
    let parts = integration("acme", "", CREATE);
    bed.configure_daemon("min_free = \"1000TiB\"", &parts);
    server.put(BUCKET, "a.csv", "id,stage\n1,won\n").unwrap();
    let ran = bed.once();
    assert_eq!(ran.code, 1, "{ran:?}");
    let refusal = ran.refusal("acme");
    assert!(refusal.starts_with("the pass was given up: the disk is full: "), "{refusal}");
    assert!(refusal.ends_with("free space on the spool's file system, or lower `min_free`"), "{refusal}");
    let entry = bed.entry("acme", "a.csv");
    assert!(entry["state"].is_null(), "nothing is held against the file: {entry}");
    bed.configure_daemon("", &parts);
    assert_eq!(bed.once().counts("acme"), [1, 0, 1, 0, 0, 0]);
}

/// R19
#[test]
fn a_file_larger_than_the_spool_waits_and_the_others_do_not() {
    let (server, bed) = ground();
    let parts = integration("acme", "", CREATE);
    bed.configure_daemon("spool_limit = \"1MiB\"", &parts);
    server.put(BUCKET, "a.csv", format!("id,stage\n{}", "1,won\n".repeat(200_000))).unwrap();
    server.put(BUCKET, "b.csv", "id,stage\n2,won\n").unwrap();
    let ran = bed.once();
    assert_eq!((ran.code, ran.counts("acme")), (1, [2, 0, 1, 0, 0, 1]), "{ran:?}");
    let entry = bed.entry("acme", "a.csv");
    assert_eq!(entry["failure"]["class"], "too_large", "{entry}");
    assert!(entry["state"]["failed"].is_object(), "{entry}");
    let explained = bed.command(["explain", "acme", "a.csv"]);
    assert!(explained.output.contains("are more than the whole spool may hold (1048576)"), "{explained:?}");
    assert!(explained.output.contains("hint: raise `spool_limit`"), "{explained:?}");
    bed.configure_daemon("", &parts);
    assert_eq!(bed.command(["replay", "acme", "--key", "a.csv"]).code, 0);
    assert_eq!(bed.once().counts("acme"), [2, 1, 1, 0, 0, 0]);
}

/// R16: what is not wanted does not count as backfill either.
#[test]
fn only_wanted_files_are_taken_and_a_change_of_mind_takes_the_others() {
    let (server, bed) = ground();
    let now = jiff::Timestamp::now().to_string();
    for (key, time, rows) in [
        ("in/a.csv", "2026-02-01T00:00:00Z", 1),
        ("in/deep/b.csv", "2026-02-01T00:00:00Z", 1),
        ("in/old.csv", "2026-01-30T22:59:59Z", 1),
        ("in/large.csv", "2026-02-01T00:00:00Z", 50),
        ("in/young.csv", now.as_str(), 1),
        ("in/a-draft.csv", "2026-02-01T00:00:00Z", 1),
        ("in/tmp/c.csv", "2026-02-01T00:00:00Z", 1),
        ("in/notes.xlsx", "2026-02-01T00:00:00Z", 1),
    ] {
        let rows: String = (0..rows).map(|row| format!("{key} {row},won\n")).collect();
        server.put(BUCKET, key, format!("id,stage\n{rows}")).unwrap();
        server.set_last_modified(BUCKET, key, at(time)).unwrap();
    }
    let keys = || bed.ledger("daily").iter().map(|entry| entry["object"]["key"].clone()).collect::<Vec<_>>();
    let patterns =
        "include = [\"in/**/*.csv\"]\nexclude = [\"*-draft.*\", \"**/tmp/**\"]\ntimezone = \"Europe/Berlin\"\n";
    let limits = "min_age = \"1h\"\nmodified_since = 2026-01-31\nmax_size = \"100B\"\nbackfill_limit = 2\n";
    bed.configure(&integration("daily", "in/", &[patterns, limits, CREATE].concat()));
    let ran = bed.once();
    assert_eq!(ran.code, 0, "{ran:?}");
    let ignored = &ran.pass("daily")["ignored"];
    let expected = serde_json::json!({
        "other_suffix": 0, "folder_markers": 0, "empty": 0, "unusable": 0, "not_included": 3, "too_old": 1, "too_young": 1,
        "too_large": 1,
    });
    assert_eq!(*ignored, expected, "{ran:?}");
    assert_eq!(keys(), ["in/a.csv", "in/deep/b.csv"]);
    let verdict = |key: &str| bed.command(["explain", "daily", key]).output.lines().next().unwrap().to_owned();
    assert_eq!(verdict("in/tmp/c.csv"), "never taken: `exclude` names it");
    assert_eq!(verdict("in/notes.xlsx"), "never taken: `include` does not name it");
    assert_eq!(
        verdict("in/large.csv"),
        "not seen in a listing yet: the next pass takes it if it is there, not empty, and within `min_age`, `modified_since` \
         and `max_size`"
    );

    bed.configure(&integration("daily", "in/", &[patterns, CREATE].concat()));
    assert_eq!(bed.once().code, 0);
    assert_eq!(keys(), ["in/a.csv", "in/deep/b.csv", "in/large.csv", "in/old.csv", "in/young.csv"]);
}
