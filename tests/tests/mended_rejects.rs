//! The round of a reject file: a data owner downloads it, mends its cells and uploads it as it is (R10).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;

use gristmill_loopback_s3::{Config, Server};
use gristmill_tests::daemon::Bed;

const BUCKET: &str = "exports";

const LONG: &str = r#"
[integrations.acme]
connection = "main"
bucket = "exports"
matching = { on_no_match = "create" }
identifiers = [{ column = "id", match = "crm_id" }]
fields = [{ column = "plan", field = "plan", type = "text", allowed = ["basic", "pro"], on_invalid = "reject_row" }]

[[integrations.acme.usage]]
product = "Core"
period = "monthly"
date = { column = "day" }
long = { metric = "metric", value = "value", aggregate = "sum" }
"#;

const WIDE: &str = r#"
[integrations.acme]
connection = "main"
bucket = "exports"
matching = { on_no_match = "create" }
csv = { delimiter = ";", encoding = "windows-1252", skip_rows = 1 }
identifiers = [{ column = "id", match = "crm_id" }]

[[integrations.acme.usage]]
product = "Core"
period = "monthly"
metrics = [
  { column = "calls", metric = "calls", aggregate = "sum" },
  { column = "gb", metric = "gb", aggregate = "sum", number = { decimal = ",", group = "." } },
]
"#;

const USAGE: &str = "SELECT crm_id, metric, period_start, value FROM usage_records ORDER BY 1, 2, 3";

fn ground(config: &str) -> (Server, Bed) {
    let server = Server::start(Config::with_bucket(BUCKET)).unwrap();
    let bed = Bed::new(&server.endpoint(), "loopback", "loopback-secret");
    bed.configure(config);
    (server, bed)
}

/// The reject file of the object whose key begins so.
fn rejects_of(bed: &Bed, key: &str) -> String {
    let files = bed.files("state/rejects");
    let name = files.iter().filter(|name| name.starts_with(&format!("acme/{key}"))).max();
    let name = name.unwrap_or_else(|| panic!("no rejects of {key}: {files:?}"));
    fs::read_to_string(bed.state().join("rejects").join(name)).unwrap()
}

/// R9, R10: two rounds, in the long layout.
#[test]
fn a_mended_reject_file_ends_as_a_file_that_was_good_from_the_start() {
    let good = "id,plan,day,metric,value\n\
                1,basic,2024-10-01,calls,1\n1,basic,2024-10-02,calls,10\n1,basic,2024-10-03,calls,100\n\
                2,pro,2024-10-04,calls,1000\n2,pro,2024-10-05,calls,10000\n";
    let bad = good.replace("02,calls,10\n", "02,calls,ten\n").replace("03,calls,100\n", "03,calls,hundred\n");
    let bad = bad.replace("2,pro,2024-10-05", "2,gold,2024-10-05");
    let (server, expected) = ground(LONG);
    server.put(BUCKET, "october.csv", good).unwrap();
    expected.once();

    let (server, bed) = ground(LONG);
    server.put(BUCKET, "october.csv", bad).unwrap();
    assert_eq!(bed.once().counts("acme"), [1, 0, 0, 1, 0, 0]);
    assert_eq!(bed.rows(USAGE), ["1|calls|2024-10-01|1", "2|calls|2024-10-01|1000"]);

    // The first round mends two rows of three, one of them wrongly.
    let rejects = rejects_of(&bed, "october");
    let first = rejects.replace("02,calls,ten", "02,calls,10").replace("2,gold,", "2,silver,");
    let first: String = first.split_inclusive("\r\n").filter(|line| !line.contains("hundred")).collect();
    server.put(BUCKET, "mended/october-1.csv", first).unwrap();
    let ran = bed.once();
    assert_eq!(ran.counts("acme"), [2, 1, 0, 1, 0, 0], "{ran:?}");
    assert_eq!(bed.rows(USAGE), ["1|calls|2024-10-01|11", "2|calls|2024-10-01|1000"]);
    let warned = ran.events("mapper_log");
    assert!(warned.iter().all(|line| !line.to_string().contains("_gristmill_")), "{warned:?}");
    // What is refused again is told by the line of the mended file, and still says where it came from first.
    let again = rejects_of(&bed, "mended");
    assert!(again.contains("silver") && again.contains("october.csv#etag=") && again.contains("#line=6"), "{again}");
    assert!(!again.contains("october-1.csv#etag="), "{again}");
    assert_eq!(
        bed.rows("SELECT key, line, value FROM rejected_rows WHERE key LIKE 'mended%'"),
        ["mended/october-1.csv|3|silver"]
    );

    // The second takes what is left of both.
    let left: Vec<&str> = rejects.split_inclusive("\r\n").filter(|line| line.contains("hundred")).collect();
    let second = again.replace("silver", "pro") + &left.concat().replace("calls,hundred", "calls,100");
    server.put(BUCKET, "mended/october-2.csv", second.clone()).unwrap();
    assert_eq!(bed.once().counts("acme"), [3, 2, 1, 0, 0, 0]);
    assert_eq!(bed.rows(USAGE), expected.rows(USAGE));
    let fields = "SELECT crm_id, field, value FROM account_field_values ORDER BY 1, 2";
    assert_eq!(bed.rows(fields), expected.rows(fields));

    // The same rows under another key are the same rows.
    server.put(BUCKET, "mended/copy.csv", second).unwrap();
    bed.once();
    assert_eq!(bed.rows(USAGE), expected.rows(USAGE));
    // Neither a replay of the object nor one of everything doubles a row or loses one.
    for arguments in [["--key", "october.csv"], ["--prefix", ""]] {
        let asked = bed.command(["replay", "acme", arguments[0], arguments[1]]);
        assert_eq!(asked.code, 0, "{asked:?}");
        let ran = bed.once();
        assert_eq!(ran.pass("acme")["failed"], 0, "{ran:?}");
        assert_eq!(bed.rows(USAGE), expected.rows(USAGE));
    }
}

/// R10: the dialect is that of reject files, whatever the integration's is; a date that is not in the file is that of the
/// object that the rows come from.
#[test]
fn a_mended_reject_file_is_read_as_it_was_written() {
    let good = "Export\nid;calls;gb;note\n1;5;1.234,5;M\u{fc}ller\n2;7;2,5;a;b\n3;9;0,25;\n".replace("a;b", "a, b");
    let latin = |text: &str| text.chars().map(|character| character as u8).collect::<Vec<u8>>();
    let (server, expected) = ground(WIDE);
    server.put(BUCKET, "a.csv", latin(&good)).unwrap();
    expected.once();

    let (server, bed) = ground(WIDE);
    let bad = good.replace("1;5;", "1;five;").replace("2,5;", "two;");
    let etag = server.put(BUCKET, "a.csv", latin(&bad)).unwrap();
    assert_eq!(bed.once().counts("acme"), [1, 0, 0, 1, 0, 0]);
    let mended = rejects_of(&bed, "a").replace("1,five,", "1,5,").replace("2,7,two,", "2,7,\"2,5\",");
    server.put(BUCKET, "b.csv", mended.clone()).unwrap();
    fs::write(bed.path("b.csv"), &mended).unwrap();
    let tried = bed.command(["test", "acme", bed.path("b.csv").to_str().unwrap()]);
    assert_eq!(tried.code, 0, "{tried:?}");
    assert!(!tried.output.contains("_gristmill_"), "{tried:?}");
    let ran = bed.once();
    assert_eq!(ran.counts("acme"), [2, 1, 1, 0, 0, 0], "{ran:?}");
    assert_eq!(bed.rows(USAGE), expected.rows(USAGE));

    // Columns may stand in any order, and those that are only read may be missing. What is mended anew counts instead.
    let row = |line| format!("acme:main/exports/a.csv#etag={etag}#line={line}");
    let moved = format!(
        "_gristmill_origin,gb,_gristmill_line,id,calls\r\n{},\"1.234,5\",3,1,50\r\n{},\"2,5\",4,2,7\r\n",
        row(3),
        row(4)
    );
    server.put(BUCKET, "c.csv", moved).unwrap();
    let ran = bed.once();
    assert_eq!(ran.counts("acme"), [3, 2, 1, 0, 0, 0], "{ran:?}");
    let anew = expected.rows(USAGE).into_iter().map(|row| match row.strip_prefix("1|calls|") {
        Some(rest) => format!("1|calls|{}0", rest),
        None => row,
    });
    assert_eq!(bed.rows(USAGE), anew.collect::<Vec<_>>());

    // A spreadsheet may write it again with the integration's own delimiter.
    let again = format!("id;calls;gb;_gristmill_origin\r\n1;5;1.234,5;{}\r\n2;7;2,5;{}\r\n", row(3), row(4));
    server.put(BUCKET, "d.csv", again).unwrap();
    let ran = bed.once();
    assert_eq!(ran.counts("acme"), [4, 3, 1, 0, 0, 0], "{ran:?}");
    assert_eq!(bed.rows(USAGE), expected.rows(USAGE));
}

/// R10: whatever does not say clearly what it mends is left out whole, and says why.
#[test]
fn a_mended_file_that_belongs_nowhere_is_refused() {
    let (server, bed) = ground(LONG);
    let etag = server
        .put(BUCKET, "a.csv", "id,plan,day,metric,value\n1,basic,2024-10-01,calls,one\n2,pro,2024-10-01,calls,2\n")
        .unwrap();
    bed.once();
    let rejects = rejects_of(&bed, "a").replace("calls,one", "calls,1");
    let row = format!("a.csv#etag={etag}#line=2");
    let second = rejects.lines().nth(1).unwrap().replace("exports/a.csv", "exports/b.csv");
    let cases = [
        ("elsewhere.csv", rejects.replace("acme:main", "other:main"), "which this integration did not take"),
        ("bucket.csv", rejects.replace("main/exports/", "main/imports/"), "which this integration did not take"),
        ("unknown.csv", rejects.replace(&etag, "0123456789abcdef0123456789abcdef"), "nothing was taken of"),
        ("nowhere.csv", rejects.replace(&format!("acme:main/exports/{row}"), "Sheet1"), "does not say where"),
        ("two.csv", format!("{rejects}{second}\r\n"), "line 3 does not come from"),
        ("taken.csv", rejects.replace("#line=2", "#line=3"), "is not among the rows that were refused"),
    ];
    for (key, content, _) in &cases {
        server.put(BUCKET, key, content.clone()).unwrap();
    }
    let ran = bed.once();
    assert_eq!(ran.counts("acme"), [7, 1, 0, 0, 0, 6], "{ran:?}");
    for (key, _, reason) in &cases {
        let explained = bed.command(["explain", "acme", key]);
        assert!(explained.output.contains(reason), "{key}: {explained:?}");
    }
    assert_eq!(bed.rows(USAGE), ["2|calls|2024-10-01|2"]);
    // Without the columns it is an ordinary file.
    server.put(BUCKET, "plain.csv", "id,plan,day,metric,value\n3,basic,2024-10-01,calls,3\n").unwrap();
    bed.once();
    assert_eq!(bed.rows(USAGE), ["2|calls|2024-10-01|2", "3|calls|2024-10-01|3"]);
}
