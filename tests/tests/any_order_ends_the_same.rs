//! However the files of a bucket come, the store ends the same.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, SystemTime};

use gristmill_loopback_s3::{Config, Server};
use gristmill_tests::daemon::Bed;

const BUCKET: &str = "exports";

const ACCOUNTS: &str = r#"
[integrations.accounts]
connection = "main"
bucket = "exports"
prefix = "accounts/"
matching = { on_no_match = "create" }
identifiers = [{ column = "id", match = "crm_id" }]
fields = [
  { column = "stage", field = "stage", type = "text" },
  { column = "arr", field = "arr", type = "currency", optional = true },
]
"#;

const USAGE: &str = r#"
[integrations.usage]
connection = "main"
bucket = "exports"
prefix = "usage/"
matching = { on_no_match = "create" }
identifiers = [{ column = "id", match = "crm_id" }]
[[integrations.usage.usage]]
product = "Core"
period = "monthly"
date = { column = "day" }
metrics = [
  { column = "calls", metric = "calls", aggregate = "sum" },
  { column = "seats", metric = "seats", aggregate = "last" },
]
"#;

/// Key, age in hours, content. Keys are in no order of time; some have one second, several speak of one account and month.
const FILES: [(&str, u64, &str); 6] = [
    ("accounts/c.csv", 30, "id,stage,arr\n1,first,10\n2,first,20\n3,first,30\n"),
    ("accounts/a.csv", 20, "id,stage,arr\n1,second,\n2,,21\n"),
    ("accounts/b.csv", 20, "id,stage\n1,third\n4,third\n"),
    ("usage/z.csv", 30, "id,day,calls,seats\n1,2024-10-01,5,1\n1,2024-10-20,7,2\n2,2024-10-03,1,1\n"),
    ("usage/y.csv", 10, "id,day,calls,seats\n1,2024-10-31,100,\n5,2024-11-01,2,9\n"),
    ("usage/x.csv", 20, "id,day,calls,seats\n1,2024-10-02,50,8\n2,2024-10-09,,4\n"),
];

fn upload(server: &Server, now: SystemTime, (key, hours, content): (&str, u64, &'static str)) {
    server.put(BUCKET, key, content).unwrap();
    server.set_last_modified(BUCKET, key, now - Duration::from_secs(hours * 3600)).unwrap();
}

fn bed(server: &Server) -> Bed {
    let bed = Bed::new(&server.endpoint(), "loopback", "loopback-secret");
    bed.configure(&[ACCOUNTS, USAGE].concat());
    bed
}

/// R2
#[test]
fn files_in_any_order_end_in_the_same_store() {
    let now = SystemTime::now();
    let all = Server::start(Config::with_bucket(BUCKET)).unwrap();
    FILES.into_iter().for_each(|file| upload(&all, now, file));
    let at_once = bed(&all);
    let ran = at_once.once();
    assert_eq!((ran.code, ran.counts("accounts"), ran.counts("usage")), (0, [3, 0, 3, 0, 0, 0], [3, 0, 3, 0, 0, 0]));
    let content = at_once.content();
    assert!(content.len() > 12, "{content:#?}");

    // Groups that come one after the other, each taken before the next is there.
    for order in
        [&[&[5, 4, 3, 2, 1, 0][..]][..], &[&[4], &[1], &[3], &[0, 5], &[2]], &[&[2], &[5], &[0, 3], &[1], &[4]]]
    {
        let server = Server::start(Config::with_bucket(BUCKET)).unwrap();
        let bed = bed(&server);
        for group in order {
            group.iter().for_each(|number| upload(&server, now, FILES[*number]));
            let ran = bed.once();
            assert_eq!(ran.code, 0, "{ran:?}");
        }
        assert_eq!(bed.content(), content, "in the order {order:?}");
        // Nor does it matter in which order they are asked for again.
        for key in ["accounts/c.csv", "usage/z.csv"] {
            let integration = key.split('/').next().unwrap();
            assert_eq!(bed.command(["replay", integration, "--key", key]).code, 0);
            assert_eq!(bed.once().code, 0);
        }
        assert_eq!(bed.content(), content, "after replays in the order {order:?}");
    }
}

/// R7: a file whose accounts another file brings later is taken once they are there.
#[test]
fn usage_that_comes_before_its_accounts_is_not_lost() {
    let server = Server::start(Config::with_bucket(BUCKET)).unwrap();
    let bed = Bed::new(&server.endpoint(), "loopback", "loopback-secret");
    let skipping = USAGE.replace("\"create\"", "\"skip\"");
    bed.configure(&[ACCOUNTS, &skipping].concat());
    server.put(BUCKET, "accounts/a.csv", "id,stage\n1,won\n").unwrap();
    let first = bed.once();
    assert_eq!(first.counts("accounts"), [1, 0, 1, 0, 0, 0]);

    server.put(BUCKET, "usage/u.csv", "id,day,calls,seats\n2,2024-10-01,5,1\n").unwrap();
    let ran = bed.once();
    assert_eq!((ran.code, ran.counts("usage")), (1, [1, 0, 0, 0, 0, 1]), "{ran:?}");
    let entry = bed.entry("usage", "usage/u.csv");
    assert_eq!(entry["failure"]["class"], "no_account_matched", "{entry}");
    assert_eq!(entry["state"]["failed"]["attempts"], 1, "{entry}");
    let explained = bed.command(["explain", "usage", "usage/u.csv"]);
    assert!(explained.output.contains("none of its 1 rows matched an account"), "{explained:?}");
    assert!(explained.output.contains("hint: see that the identifier's column and `match` are right"), "{explained:?}");

    server.put(BUCKET, "accounts/b.csv", "id,stage\n2,won\n").unwrap();
    assert_eq!(bed.once().counts("accounts"), [2, 1, 1, 0, 0, 0]);
    assert_eq!(bed.command(["replay", "usage", "--prefix", ""]).code, 0);
    let ran = bed.once();
    assert_eq!((ran.code, ran.counts("usage")), (0, [1, 0, 1, 0, 0, 0]), "{ran:?}");
    assert_eq!(bed.rows("SELECT crm_id, metric, value FROM usage_records ORDER BY 2"), ["2|calls|5", "2|seats|1"]);
}
