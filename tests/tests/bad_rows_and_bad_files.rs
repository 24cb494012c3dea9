//! What data owners get wrong: a bad row is refused alone, a bad file whole, and both are said in words that help.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;

use gristmill_loopback_s3::{Config, Server};
use gristmill_tests::daemon::Bed;
use serde_json::Value;

const BUCKET: &str = "exports";

const INTEGRATION: &str = r#"
[integrations.acme]
connection = "main"
bucket = "exports"
matching = { on_no_match = "create" }
identifiers = [{ column = "id", match = "crm_id" }]
fields = [
  { column = "arr", field = "arr", type = "currency" },
  { column = "since", field = "since", type = "date", optional = true },
]
"#;

const USAGE: &str = r#"
[[integrations.acme.usage]]
product = "Core"
period = "monthly"
date = { column = "since" }
metrics = [{ column = "calls", metric = "calls", aggregate = "sum", optional = true }]
"#;

fn ground(config: &str) -> (Server, Bed) {
    let server = Server::start(Config::with_bucket(BUCKET)).unwrap();
    let bed = Bed::new(&server.endpoint(), "loopback", "loopback-secret");
    bed.configure(config);
    (server, bed)
}

/// R10
#[test]
fn refused_rows_stand_in_a_file_that_can_be_mended() {
    let (server, bed) = ground(&[INTEGRATION, USAGE].concat());
    let content = "id,arr,since,calls,note\r\n\
                   1,10.50,2024-10-01,3,fine\r\n\
                   2,ten,2024-10-02,4,\"a note,\r\nwith a line\"\r\n\
                   3,30,soon,many,two things\r\n\
                   ,40,2024-10-03,5,nobody\r\n";
    let etag = server.put(BUCKET, "daily/a.csv", content).unwrap();
    let ran = bed.once();
    assert_eq!((ran.code, ran.counts("acme")), (0, [1, 0, 0, 1, 0, 0]), "{ran:?}");
    let completed = &ran.events("object_completed")[0];
    assert_eq!((&completed["outcome"], &completed["level"]), (&"partial".into(), &"WARN".into()), "{completed}");
    assert_eq!((&completed["rows"], &completed["rejected"]), (&4.into(), &3.into()), "{completed}");

    let name = format!("daily%2Fa.csv.{}.g0.rejects.csv", &etag[..12]);
    assert_eq!(bed.files("state/rejects"), [format!("acme/{name}")]);
    let text = fs::read_to_string(bed.state().join("rejects/acme").join(&name)).unwrap();
    let lines: Vec<&str> = text.trim_start_matches('\u{feff}').trim_end().split("\r\n").collect();
    assert!(text.starts_with('\u{feff}'), "spreadsheets need the mark");
    assert_eq!(
        lines[0],
        "id,arr,since,calls,note,_gristmill_line,_gristmill_column,_gristmill_value,_gristmill_code,\
         _gristmill_message,_gristmill_origin"
    );
    let origin = format!("acme:main/exports/daily/a.csv#etag={etag}#line=");
    assert_eq!(lines[1], "2,ten,2024-10-02,4,\"a note,");
    assert!(lines[2].starts_with("with a line\",3,arr,ten,not_a_number,"), "{}", lines[2]);
    assert!(lines[3].starts_with("3,30,soon,many,two things,5,since; calls,soon; many,"), "{}", lines[3]);
    assert!(lines[4].starts_with(",40,2024-10-03,5,nobody,6,id,,"), "{}", lines[4]);
    for (line, number) in lines[2..].iter().zip([3, 5, 6]) {
        assert!(line.ends_with(&format!("{origin}{number}")), "{text}");
    }
    assert_eq!(lines.len(), 5);

    // A row that one transform refuses brings nothing by the other either.
    assert_eq!(
        bed.rows("SELECT crm_id, field, value FROM account_field_values ORDER BY 2"),
        ["1|arr|10.5", "1|since|2024-10-01"]
    );
    assert_eq!(bed.rows("SELECT crm_id, metric, value FROM usage_records"), ["1|calls|3"]);
    assert_eq!(
        bed.rows("SELECT line, column_name, value FROM rejected_rows ORDER BY line, column_name"),
        ["3|arr|ten", "5|calls|many", "5|since|soon", "6|id|"]
    );
}

#[test]
fn files_that_are_not_what_they_should_be_fail_whole_and_say_why() {
    let (server, bed) = ground(INTEGRATION);
    let cases: [(&str, &[u8], &str); 8] = [
        (
            "error page.csv",
            b"<!DOCTYPE html>\n<html><body>Session expired</body></html>",
            "the content is an HTML page",
        ),
        (
            "twice.csv",
            b"id,arr,since,arr\n1,1,2024-01-01,2\n",
            "more than one column is called `arr`, and it is mapped",
        ),
        ("no id.csv", b"name,arr\none,1\n", "id"),
        ("no arr.csv", b"id,since\n1,2024-01-01\n", "arr"),
        ("latin.csv", b"id,arr\nM\xfcller,1\n", "the bytes at line 2, column 1 are not utf-8"),
        ("blank.csv", b"\n\n\n", "there is no header: nothing but blank rows"),
        ("quote.csv", b"id,arr\n1,\"10\n2,20\n", "the quote that opens at line 2, column 2 is never closed"),
        ("text.xlsx", b"id,arr\n1,1\n", "the content is no workbook, not what the suffix `.xlsx` says"),
    ];
    for (key, content, _) in cases {
        server.put(BUCKET, key, content).unwrap();
    }
    // What is only unusual is not refused.
    server.put(BUCKET, "header only.csv", "id,arr\n").unwrap();
    server.put(BUCKET, "extra.csv", "\u{feff}id,other,other,arr\n7,x,y,70\n").unwrap();
    let ran = bed.once();
    assert_eq!((ran.code, ran.counts("acme")), (1, [10, 0, 2, 0, 0, 8]), "{ran:?}");
    for (key, _, reason) in cases {
        let state = bed.state_of("acme", key);
        let said = state["quarantined"]["reason"].as_str().unwrap_or_else(|| panic!("{key}: {state}"));
        assert!(said.contains(reason), "{key}: {said}");
        let explained = bed.command(["explain", "acme", key]);
        assert!(explained.output.starts_with("quarantined: "), "{explained:?}");
        assert!(explained.output.contains(&format!("gristmill replay acme --key '{key}'")), "{explained:?}");
    }
    assert_eq!(bed.rows("SELECT crm_id, value FROM account_field_values"), ["7|70"]);
    assert_eq!(
        bed.rows("SELECT key, rows_read FROM ingestion_history ORDER BY key"),
        ["extra.csv|1", "header only.csv|0"]
    );

    // Quarantined is left alone, until the mapping is another (R6).
    let again = bed.once();
    assert_eq!((again.code, again.counts("acme")), (0, [10, 10, 0, 0, 0, 0]), "{again:?}");
    bed.configure(&INTEGRATION.replace("type = \"currency\" }", "type = \"currency\", optional = true }"));
    let mended = bed.once();
    assert_eq!((mended.code, mended.counts("acme")), (1, [10, 2, 1, 0, 0, 7]), "{mended:?}");
    assert_eq!(bed.state_of("acme", "no arr.csv"), Value::from("completed"));
}

/// R11
#[test]
fn too_many_rejected_rows_leave_a_file_out_whole_and_still_write_the_rejects() {
    let (server, bed) = ground(&INTEGRATION.replace("bucket =", "max_reject_ratio = 0.25\nbucket ="));
    server.put(BUCKET, "a quarter.csv", "id,arr\n1,1\n2,2\n3,3\n4,four\n").unwrap();
    server.put(BUCKET, "half.csv", "id,arr\n5,5\n6,six\n").unwrap();
    let ran = bed.once();
    assert_eq!((ran.code, ran.counts("acme")), (1, [2, 0, 0, 1, 0, 1]), "{ran:?}");
    let reason = bed.state_of("acme", "half.csv")["quarantined"]["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("1 of 2 rows were rejected, and `max_reject_ratio` is 0.25"), "{reason}");
    assert_eq!(bed.rows("SELECT crm_id FROM account_field_values ORDER BY 1"), ["1", "2", "3"]);
    let rejects = bed.files("state/rejects");
    assert!(rejects.len() == 2 && rejects.iter().any(|file| file.contains("half.csv")), "{rejects:?}");

    fs::write(bed.path("half.csv"), "id,arr\n5,5\n6,six\n").unwrap();
    let tried = bed.command(["test", "acme", bed.path("half.csv").to_str().unwrap()]);
    assert_eq!(tried.code, 1, "{tried:?}");
    assert!(tried.errors.contains("the file would fail"), "{tried:?}");
    // All or nothing.
    bed.configure(&INTEGRATION.replace("bucket =", "max_rejects = 0\nbucket ="));
    server.put(BUCKET, "one.csv", "id,arr\n7,7\n8,eight\n9,9\n").unwrap();
    server.put(BUCKET, "none.csv", "id,arr\n10,10\n").unwrap();
    bed.once();
    assert_eq!(bed.rows("SELECT crm_id FROM account_field_values ORDER BY 1"), ["1", "10", "2", "3"]);

    // A limit that was raised is tried once, and what it lets through is taken (R6).
    bed.configure(&INTEGRATION.replace("bucket =", "max_reject_ratio = 0.4\nbucket ="));
    assert_eq!(bed.once().counts("acme"), [4, 2, 0, 1, 0, 1]);
    assert_eq!(bed.once().counts("acme"), [4, 4, 0, 0, 0, 0]);
    bed.configure(&INTEGRATION.replace("bucket =", "max_reject_ratio = 0.5\nbucket ="));
    assert_eq!(bed.once().counts("acme"), [4, 3, 0, 1, 0, 0]);
    assert_eq!(bed.rows("SELECT crm_id FROM account_field_values ORDER BY 1"), ["1", "10", "2", "3", "5", "7", "9"]);
}

/// R11
#[test]
fn too_many_rows_that_match_nothing_leave_a_file_out_whole() {
    let (server, bed) = ground(INTEGRATION);
    server.put(BUCKET, "accounts.csv", "id,arr\n1,1\n2,2\n").unwrap();
    bed.once();
    let skipping = INTEGRATION.replace("\"create\"", "\"skip\"");
    bed.configure(&skipping.replace("bucket =", "max_unmatched_ratio = 0.5\nbucket ="));
    server.put(BUCKET, "half.csv", "id,arr\n1,10\n8,80\n").unwrap();
    server.put(BUCKET, "most.csv", "id,arr\n2,20\n8,80\n9,nine\n7,70\n").unwrap();
    let ran = bed.once();
    assert_eq!(ran.counts("acme"), [3, 1, 1, 1, 0, 0], "{ran:?}");
    server.put(BUCKET, "worse.csv", "id,arr\n2,200\n8,80\n7,70\n6,six\n").unwrap();
    bed.configure(&skipping.replace("bucket =", "max_unmatched_ratio = 0.4\nbucket ="));
    let ran = bed.once();
    assert_eq!(ran.counts("acme"), [4, 3, 0, 0, 0, 1], "{ran:?}");
    let reason = bed.state_of("acme", "worse.csv")["quarantined"]["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("2 of 4 rows matched no account, and `max_unmatched_ratio` is 0.4"), "{reason}");
    assert!(bed.files("state/rejects").iter().any(|file| file.contains("worse.csv")), "its rejects are written");
    assert_eq!(bed.rows("SELECT crm_id, value FROM account_field_values ORDER BY 1"), ["1|10", "2|20"]);
    fs::write(bed.path("worse.csv"), "id,arr\n2,200\n8,80\n7,70\n6,six\n").unwrap();
    let tried = bed.command(["test", "acme", bed.path("worse.csv").to_str().unwrap()]);
    assert!(tried.code == 1 && tried.errors.contains("`max_unmatched_ratio` is 0.4"), "{tried:?}");
    // The limit is raised: once more.
    bed.configure(&skipping);
    assert_eq!(bed.once().counts("acme"), [4, 3, 0, 1, 0, 0]);
    assert_eq!(bed.rows("SELECT crm_id, value FROM account_field_values ORDER BY 1"), ["1|10", "2|200"]);
}
