//! What goes wrong while nobody looks is said to whoever should know (R20).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use gristmill_loopback_s3::{Config, Server};
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
