//! What goes wrong while nobody looks is said to whoever should know (R20).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};

use gristmill_loopback_s3::{Config, Fault, Operation, Server};
use gristmill_tests::daemon::Bed;

const BUCKET: &str = "exports";

fn ground() -> (Server, Bed) {
    let server = Server::start(Config::with_bucket(BUCKET)).unwrap();
    let bed = Bed::new(&server.endpoint(), "loopback", "loopback-secret");
    (server, bed)
}

fn integration(name: &str, more: &str) -> String {
    format!(
        "[integrations.{name}]\nconnection = \"main\"\nbucket = \"{BUCKET}\"\nprefix = \"{name}/\"\npoll_interval = \"1s\"\n\
         matching = {{ on_no_match = \"create\" }}\n{more}\nidentifiers = [{{ column = \"id\", match = \"crm_id\" }}]\n\
         fields = [{{ column = \"stage\", field = \"stage\", type = \"text\" }}]\n"
    )
}

/// A webhook on this machine that takes everything: its address, and the bodies it was sent.
fn webhook() -> (String, Receiver<serde_json::Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/night?token=hush-hush", listener.local_addr().unwrap());
    let (send, told) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(&stream);
            let (mut line, mut length) = (String::new(), 0);
            while reader.read_line(&mut line).unwrap() > 2 {
                let header = line.trim_end().to_ascii_lowercase();
                length = header.strip_prefix("content-length: ").map_or(length, |length| length.parse().unwrap());
                line.clear();
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            (&stream).write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
            send.send(serde_json::from_slice(&body).unwrap()).unwrap();
        }
    });
    (url, told)
}

/// R20
#[test]
fn a_webhook_is_told_of_partial_and_failed_files_and_of_the_recovery() {
    let (server, bed) = ground();
    let (url, told) = webhook();
    bed.configure(&format!("{}[notify.night]\nurl = \"{url}\"\n", integration("daily", "")));
    server.put(BUCKET, "daily/1.csv", "id,stage\n1,won\n,nobody\n").unwrap();
    let mut output = bed.once().errors;
    let partial = told.try_recv().unwrap();
    assert_eq!((&partial["kind"], &partial["integration"]), (&"partial".into(), &"daily".into()));
    assert_eq!(partial["object"]["key"], "daily/1.csv");
    assert_eq!(partial["rows"], serde_json::json!({ "read": 2, "rejected": 1 }));
    assert!(std::fs::read_to_string(partial["rejects"][0].as_str().unwrap()).unwrap().contains("nobody"));

    server.put(BUCKET, "daily/2.csv", "neither,of,them\n1,2,3\n").unwrap();
    output += &bed.once().errors;
    let failed = told.try_recv().unwrap();
    assert_eq!((&failed["kind"], &failed["failure"]["class"]), (&"failed".into(), &"content".into()), "{failed}");
    assert!(failed["state"]["quarantined"].is_object(), "{failed}");
    assert_eq!(bed.once().code, 0, "nothing is new");
    assert!(told.try_recv().is_err(), "nothing more is told");

    server.put(BUCKET, "daily/3.csv", "id,stage\n3,won\n").unwrap();
    let last = bed.once();
    assert_eq!(last.events("integration_recovered").len(), 1, "{last:?}");
    assert_eq!(told.try_recv().unwrap()["kind"], "recovered");
    assert!(!(output + &last.errors).contains("hush-hush"), "the address is nobody's business");
}

/// R20
#[test]
fn a_webhook_is_told_of_an_integration_that_takes_nothing_and_when_it_does_again() {
    let (server, bed) = ground();
    let (url, told) = webhook();
    let skips = integration("waits", "").replace("\"create\"", "\"skip\"");
    bed.configure(&[integration("denied", ""), skips, format!("[notify.night]\nurl = \"{url}\"\n")].concat());
    let of = |integration: &str, kind: &str| {
        let notice = told.recv_timeout(std::time::Duration::from_secs(30)).unwrap();
        assert_eq!((&notice["integration"], &notice["kind"]), (&integration.into(), &kind.into()), "{notice}");
        notice
    };
    server.put(BUCKET, "waits/1.csv", "id,stage\n1,won\n").unwrap();
    let daemon = bed.start();
    let is_denieds = |line: &serde_json::Value| line["event"] == "pass_finished" && line["integration"] == "denied";
    daemon.wait_for("a pass that is not refused", is_denieds);
    let waits = of("waits", "blocked");
    assert_eq!(waits["reason"], "there are no accounts yet, and rows that match none are skipped");
    assert!(waits["hint"].as_str().unwrap().contains("gristmill accounts import"), "{waits}");

    // Refused twice, it would pass by itself.
    server.faults().next(Operation::ListObjectsV2, 3, Fault::access_denied());
    let denied = of("denied", "blocked");
    assert!(denied["reason"].as_str().unwrap().starts_with("cannot list `s3://"), "{denied}");
    assert!(denied["hint"].as_str().unwrap().contains("s3:ListBucket"), "{denied}");
    let passed = of("denied", "unblocked");
    assert_eq!(passed["since"], denied["since"]);
    daemon.wait_for("its line in the log", |line| line["event"] == "integration_unblocked");

    server.put(BUCKET, "denied/1.csv", "id,stage\n1,won\n").unwrap();
    let passed = of("waits", "unblocked");
    assert_eq!(passed["since"], waits["since"], "another integration created the accounts");
    assert_eq!(daemon.stop(), 0);
    assert!(told.try_recv().is_err(), "nothing is told twice");
}

/// R20
#[test]
fn a_file_that_does_not_come_stands_first_in_the_status_until_it_comes() {
    let (server, bed) = ground();
    bed.configure(&[integration("calm", ""), integration("daily", "expect_file_within = \"1s\"")].concat());
    let daemon = bed.start();
    let overdue = daemon.wait_for("the alarm", |line| line["event"] == "file_overdue");
    assert_eq!((&overdue["integration"], &overdue["within"]), (&"daily".into(), &"1s".into()));
    let status = bed.command(["status"]);
    assert_eq!(status.code, 1, "{status:?}");
    let lines: Vec<&str> = status.output.lines().collect();
    assert_eq!(lines[1], "overdue daily: 0 completed", "{status:?}");
    assert!(lines[2].starts_with("  why: no new file was completed since 20"), "{status:?}");
    assert!(lines[2].ends_with(", and one is expected within 1s"), "{status:?}");
    assert_eq!(
        lines[3],
        "  hint: ask who sends it; what the bucket shows: gristmill connection test main 's3://exports/daily/'"
    );

    assert_eq!(bed.command(["pause", "daily"]).code, 0);
    let status = bed.command(["status"]);
    assert_eq!(status.code, 0, "a person said so: {status:?}");
    assert!(
        status.output.contains("why: paused by hand; no alarm is raised for a missing file meanwhile"),
        "{status:?}"
    );
    assert_eq!(bed.command(["resume", "daily"]).code, 0);
    let says_it_again = |line: &serde_json::Value| line["event"] == "file_overdue" && line["since"] != overdue["since"];
    daemon.wait_for("another alarm", says_it_again);

    server.put(BUCKET, "daily/a.csv", "id,stage\n1,won\n").unwrap();
    daemon.wait_for("its end", |line| line["event"] == "file_arrived");
    assert_eq!(daemon.stop(), 0);
}
