//! What an operator sees of mappers: whose log lines they are, what each did for a file, and figures that add up.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use gristmill_loopback_s3::{Config, Server};
use gristmill_tests::daemon::{Bed, Daemon};
use gristmill_tests::guests::Guest;
use serde_json::Value;

const BUCKET: &str = "exports";

fn configuration(guest: &Guest) -> String {
    format!(
        "{}[integrations.daily]\ntenant = \"acme\"\nconnection = \"main\"\nbucket = \"{BUCKET}\"\nprefix = \"daily/\"\n\
         poll_interval = \"1s\"\nmatching = {{ on_no_match = \"create\" }}\nmapper = {{ field_mapping = \"own\" }}\n",
        guest.table("own")
    )
}

fn wait(daemon: &Daemon, event: &str) -> Value {
    daemon.wait_for(event, |line| line["event"] == event && line["mapper"] == "own")
}

fn figures(bed: &Bed) -> Value {
    let status = bed.command(["status", "--json"]);
    let mappers = status.values[0]["mappers"].as_array().unwrap();
    mappers.iter().find(|mapper| mapper["mapper"] == "own").unwrap().clone()
}

#[test]
fn what_a_mapper_writes_and_does_is_said_with_whose_it_is() {
    let server = Server::start(Config::with_bucket(BUCKET)).unwrap();
    let bed = Bed::new(&server.endpoint(), "loopback", "loopback-secret");
    let noisy = Guest::write("log-flood", &bed.path(""));
    bed.configure(&configuration(&noisy));
    server.put(BUCKET, "daily/a.csv", "Account ID,Name\n1,one\n2,two\n").unwrap();
    let daemon = bed.start();
    daemon.wait_for("the file", |line| line["event"] == "object_completed");
    let whose = |line: &Value| {
        ["tenant", "integration", "mapper", "digest"].map(|name| line[name].as_str().unwrap_or_default().to_owned())
    };
    let expected = ["acme", "daily", "own", &noisy.sha256].map(str::to_owned);
    let [loaded, written, worked] = ["mapper_loaded", "mapper_log", "mapper_worked"].map(|event| wait(&daemon, event));
    for line in [&loaded, &written, &worked] {
        assert_eq!(whose(line), expected, "{line}");
    }
    for line in [&written, &worked] {
        assert_eq!(line["object"], "s3://exports/daily/a.csv", "{line}");
    }
    assert!(loaded["cache_hit"] == false && loaded["compile_seconds"].as_f64().unwrap() > 0.0, "{loaded}");
    assert_eq!((&worked["rows"], &worked["calls"]), (&2.into(), &4.into()), "start, open, map-batch, finish: {worked}");
    // Ten thousand lines of 5,000 bytes, of which 64 KiB are shown.
    let dropped = ["log_lines_dropped", "log_bytes_dropped"].map(|name| worked[name].as_u64().unwrap());
    assert!(dropped[0] > 9_900 && dropped[1] > 49_000_000, "{worked}");
    let seen = figures(&bed);
    for (name, dropped) in ["log_lines_dropped", "log_bytes_dropped"].into_iter().zip(dropped) {
        assert_eq!(seen[name], dropped, "{seen}");
    }
    assert_eq!(
        (&seen["cache_hits"], &seen["deadline_hits"], &seen["outputs_dropped"]),
        (&0.into(), &0.into(), &0.into())
    );
    assert_eq!(
        seen["breakers"][0],
        serde_json::json!({ "tenant": "acme", "state": "closed", "files": 0, "until": null })
    );
    assert_eq!(seen["saved"]["files"], 0, "{seen}");
    assert_eq!(daemon.stop(), 0);

    let daemon = bed.start();
    let loaded = wait(&daemon, "mapper_loaded");
    assert_eq!((&loaded["cache_hit"], &loaded["level"]), (&true.into(), &"DEBUG".into()), "{loaded}");
    assert_eq!(figures(&bed)["cache_hits"], 1);
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn deadlines_and_breakers_are_counted_and_said() {
    let server = Server::start(Config::with_bucket(BUCKET)).unwrap();
    let bed = Bed::new(&server.endpoint(), "loopback", "loopback-secret");
    let looping = Guest::write("loop-in-map-batch", &bed.path(""));
    let limits = "[mappers.own.limits]\ncpu_per_batch = \"50ms\"\n";
    bed.configure_daemon("files_at_once = 1", &(configuration(&looping) + limits));
    for file in 0..3 {
        server.put(BUCKET, &format!("daily/{file}.csv"), format!("Account ID,Name\n{file},one\n")).unwrap();
    }
    let daemon = bed.start();
    let failed = wait(&daemon, "mapper_failed");
    let facts = ["tenant", "integration", "digest", "call", "code"].map(|name| failed[name].as_str().unwrap());
    assert_eq!(facts, ["acme", "daily", looping.sha256.as_str(), "map-batch", "mapper-deadline"], "{failed}");
    let kept_back = wait(&daemon, "mapper_kept_back");
    assert_eq!((&kept_back["tenant"], &kept_back["files"]), (&"acme".into(), &3.into()), "{kept_back}");
    let seen = figures(&bed);
    assert_eq!((&seen["deadline_hits"], &seen["failures"]["mapper-deadline"]), (&3.into(), &3.into()), "{seen}");
    let breaker = &seen["breakers"][0];
    assert_eq!((&breaker["state"], &breaker["files"]), (&"open".into(), &3.into()), "{seen}");
    assert_eq!(daemon.stop(), 0);
}
