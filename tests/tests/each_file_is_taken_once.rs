//! What a pass takes and what it leaves, on servers that were not made for it: each through the built binary.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use gristmill_loopback_s3::{Config, Server};
use gristmill_tests::daemon::Bed;
use gristmill_tests::servers::{Admin, Program, S3Server};
use serde_json::Value;

/// Keys that are ordinary to S3 and odd to programs.
const ODD: [&str; 7] =
    ["a b.csv", "a+b.csv", "a%20b.csv", "100%.csv", "12:30.csv", "Größe/日本.csv", "😀 &'\"=;#?.CSV"];

fn integration(name: &str, bucket: &str, more: &str) -> String {
    format!(
        "[integrations.{name}]\nconnection = \"main\"\nbucket = \"{bucket}\"\n{more}\n\
         matching = {{ on_no_match = \"create\" }}\n\
         identifiers = [{{ column = \"Account ID\", match = \"crm_id\" }}]\n\
         fields = [{{ column = \"ARR\", field = \"arr\", type = \"currency\", optional = true }}]\n"
    )
}

fn rows(pairs: &[(&str, &str)]) -> String {
    let lines: String = pairs.iter().map(|(id, arr)| format!("{id},{arr}\n")).collect();
    format!("Account ID,ARR\n{lines}")
}

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("decode").join(name)).unwrap()
}

/// One bed and one server; each integration has a bucket of its own.
struct Ground {
    bed: Bed,
    admin: Admin,
}

impl Ground {
    async fn new(endpoint: &str, integrations: &[String], buckets: &[&str]) -> Self {
        let bed = Bed::new(endpoint, S3Server::ACCESS_KEY, S3Server::SECRET_KEY);
        let admin = Admin::new(endpoint, S3Server::ACCESS_KEY, S3Server::SECRET_KEY);
        for bucket in buckets {
            admin.create_bucket(bucket).await;
        }
        bed.configure(&integrations.concat());
        Self { bed, admin }
    }

    fn arr(&self, account: &str) -> Vec<String> {
        let query = format!("SELECT value FROM account_field_values WHERE crm_id = '{account}' AND field = 'arr'");
        self.bed.rows(&query)
    }

    fn ingestions(&self, integration: &str) -> usize {
        let query = format!("SELECT 1 FROM ingestion_history WHERE integration = '{integration}'");
        self.bed.rows(&query).len()
    }
}

async fn check(endpoint: &str) {
    let integrations = [
        integration("all", "everything", "prefix = \"daily/\""),
        integration("again", "everything", "prefix = \"daily/\""),
        integration("odd", "odd-keys", ""),
        integration("skips", "going-back", ""),
        integration("ingests", "going-back", "on_revert = \"ingest\""),
        integration("asked", "asked-again", ""),
    ];
    let buckets = ["everything", "odd-keys", "going-back", "asked-again"];
    let ground = Ground::new(endpoint, &integrations, &buckets).await;
    let (bed, admin) = (&ground.bed, &ground.admin);

    // What the first pass finds.
    admin.put("everything", "daily/a.csv", rows(&[("a1", "10"), ("a2", "20.50")])).await;
    admin.put("everything", "daily/UPPER.CSV", rows(&[("a3", "30")])).await;
    admin.put("everything", "daily/book.XlsX", fixture("accounts.xlsx")).await;
    admin.put("everything", "daily/old.xls", fixture("accounts.xls")).await;
    admin.put("everything", "daily/folder/", "").await;
    admin.put("everything", "daily/empty.csv", "").await;
    admin.put("everything", "daily/notes.txt", "Account ID,ARR\nx,1\n").await;
    admin.put("everything", "daily/a.csv.gz", "Account ID,ARR\nx,1\n").await;
    admin.put("everything", "weekly/a.csv", rows(&[("outside", "1")])).await;
    for (number, key) in ODD.iter().enumerate() {
        admin.put("odd-keys", key, rows(&[(&format!("odd{number}"), "1")])).await;
    }
    admin.put("going-back", "a.csv", rows(&[("g", "1")])).await;
    admin.put("asked-again", "one.csv", rows(&[("q1", "1"), ("q2", "2")])).await;
    admin.put("asked-again", "two.csv", rows(&[("q3", "3")])).await;

    let first = bed.once();
    assert_eq!(first.code, 0, "{first:?}");
    // Two integrations over one bucket both get every file; what is no file of ours is counted, and not taken.
    for name in ["all", "again"] {
        assert_eq!(first.counts(name), [4, 0, 3, 1, 0, 0], "{first:?}");
        let ignored = &first.pass(name)["ignored"];
        let total: u64 = ignored.as_object().unwrap().values().filter_map(Value::as_u64).sum();
        assert_eq!(total, 4, "{ignored}");
        assert_eq!(ground.ingestions(name), 4);
    }
    assert_eq!(first.counts("odd"), [ODD.len() as u64, 0, ODD.len() as u64, 0, 0, 0]);
    let keys = bed.rows("SELECT key FROM ingestion_history WHERE integration = 'odd' ORDER BY key");
    let mut expected = ODD;
    expected.sort_unstable();
    assert_eq!(keys, expected);
    assert_eq!(ground.arr("a2"), ["20.5"]);
    assert_eq!(ground.arr("001"), ["1234.56"], "the workbooks were read");
    assert_eq!(
        bed.rows("SELECT DISTINCT key, line, column_name, value, code FROM rejected_rows"),
        ["daily/old.xls|5|ARR|#REF!|error_cell"]
    );
    assert_eq!(ground.arr("outside"), [""; 0]);

    // The second takes none.
    let second = bed.once();
    assert_eq!(second.code, 0, "{second:?}");
    for (name, count) in [("all", 4), ("again", 4), ("odd", ODD.len() as u64), ("skips", 1), ("asked", 2)] {
        assert_eq!(second.counts(name), [count, count, 0, 0, 0, 0], "{name}");
    }

    // A changed file alone is taken again; the same bytes uploaded again are not (R5: nor when they came in parts).
    admin.put("everything", "daily/a.csv", rows(&[("a1", "11"), ("a2", "20.50")])).await;
    admin.put("everything", "daily/UPPER.CSV", rows(&[("a3", "30")])).await;
    let etag = admin.put_parts("asked-again", "two.csv", &[rows(&[("q3", "3")]).as_bytes()]).await;
    assert!(etag.ends_with("-1"), "{etag}");
    admin.put("going-back", "a.csv", rows(&[("g", "2")])).await;
    let third = bed.once();
    assert_eq!(third.code, 0, "{third:?}");
    assert_eq!(third.counts("all"), [4, 3, 1, 0, 0, 0]);
    assert_eq!(third.counts("skips"), [1, 0, 1, 0, 0, 0]);
    assert_eq!(third.counts("asked"), [2, 1, 0, 0, 1, 0]);
    assert_eq!(third.events("object_skipped")[0]["reason"], "same content as the version before");
    assert!(bed.state_of("asked", "two.csv")["skipped"]["reason"]["same_content"].is_object());
    assert_eq!((ground.arr("a1"), ground.arr("g")), (vec!["11".to_owned()], vec!["2".to_owned()]));
    assert_eq!(ground.ingestions("asked"), 2);

    check_going_back(&ground).await;
    check_asking_again(&ground);
}

/// R4
async fn check_going_back(ground: &Ground) {
    let (bed, admin) = (&ground.bed, &ground.admin);
    admin.put("going-back", "a.csv", rows(&[("g", "1")])).await;
    let back = bed.once();
    assert_eq!(back.code, 0, "{back:?}");
    assert_eq!(back.counts("skips"), [1, 1, 0, 0, 0, 0]);
    assert_eq!(back.counts("ingests"), [1, 0, 1, 0, 0, 0]);
    let warned = back.events("object_reverted");
    assert_eq!(warned.len(), 1, "{back:?}");
    assert_eq!((&warned[0]["integration"], &warned[0]["level"]), (&"skips".into(), &"WARN".into()));
    assert_eq!(warned[0]["hint"], "gristmill replay skips --key 'a.csv'");
    let explained = bed.command(["explain", "skips", "a.csv"]);
    assert!(explained.output.starts_with("not taken: the bucket shows content again"), "{explained:?}");
    // The value of the integration that ingests it again is the newest.
    assert_eq!(ground.arr("g"), ["1"]);
    let history = |name: &str| {
        let order = "SELECT rows_read, arrival, generation FROM ingestion_history WHERE integration =";
        bed.rows(&format!("{order} '{name}' ORDER BY ingestion"))
    };
    assert_eq!(history("skips"), ["1|1|0", "1|2|0"]);
    assert_eq!(history("ingests").len(), 3);
    let known = bed.once();
    assert_eq!((known.counts("skips"), known.counts("ingests")), ([1, 1, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0]));
    assert!(known.events("object_reverted").is_empty(), "the warning is said once");
}

/// R1
fn check_asking_again(ground: &Ground) {
    let bed = &ground.bed;
    let before = bed.content();
    let replayed = bed.command(["replay", "asked", "--key", "one.csv"]);
    assert_eq!(replayed.code, 0, "{replayed:?}");
    let forgotten = bed.command(["ledger", "forget", "all", "--prefix", "daily/a"]);
    assert_eq!(forgotten.code, 0, "{forgotten:?}");
    let again = bed.once();
    assert_eq!(again.code, 0, "{again:?}");
    assert_eq!(again.counts("asked"), [2, 1, 1, 0, 0, 0], "it is really done again");
    assert_eq!(again.counts("all"), [4, 3, 1, 0, 0, 0]);
    assert_eq!(bed.content(), before, "and leaves no doubles");
    let generations =
        bed.rows("SELECT generation, replaced_by IS NULL FROM ingestion_history WHERE key = 'one.csv' ORDER BY 1");
    assert_eq!(generations, ["0|0", "1|1"]);
    let nothing = bed.command(["replay", "asked", "--key", "missing.csv"]);
    assert_eq!(nothing.code, 1);
    assert!(nothing.errors.contains("nothing matches"), "{nothing:?}");
}

#[tokio::test]
async fn seaweedfs_is_polled_right() {
    let server = S3Server::start(Program::Seaweed).await;
    check(&server.endpoint()).await;
}

#[tokio::test]
async fn moto_is_polled_right() {
    let server = S3Server::start(Program::Moto).await;
    check(&server.endpoint()).await;
}

#[tokio::test]
async fn the_loopback_server_is_polled_right() {
    let (access_key, secret_key) = (S3Server::ACCESS_KEY.to_owned(), S3Server::SECRET_KEY.to_owned());
    let server = Server::start(Config { access_key, secret_key, port: 0, buckets: Vec::new() }).unwrap();
    check(&server.endpoint()).await;
}
