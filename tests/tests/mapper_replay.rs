//! A call on which a mapper fails is saved where that is wanted, and can be made again without the file and the daemon.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use gristmill_loopback_s3::{Config, Server};
use gristmill_tests::daemon::{Bed, Ran};
use gristmill_tests::guests::Guest;
use serde_json::Value;

const BUCKET: &str = "exports";
/// The key that the daemon signs its requests with.
const SECRET: &str = "loopback-secret";

/// `[mappers.picky]` and an integration that uses it; `more` is said of the mapper.
fn configuration(guest: &Guest, more: &str) -> String {
    format!(
        "{}{more}\n[integrations.daily]\nconnection = \"main\"\nbucket = \"{BUCKET}\"\nprefix = \"daily/\"\n\
         poll_interval = \"1s\"\nmatching = {{ on_no_match = \"create\" }}\n\
         mapper = {{ field_mapping = \"picky\", settings = {{ depth = 3 }} }}\n",
        guest.table("picky")
    )
}

/// Rows 0 to 5999, more than a batch, of which this one is more than the mapper bears.
fn file(poison: u32) -> String {
    let row = |row: u32| if row == poison { format!("{row}!,x\n") } else { format!("{row},x\n") };
    (0..6_000).fold("Account ID,Name\n".to_owned(), |file, number| file + &row(number))
}

fn ground() -> (Server, Bed, Guest) {
    let server = Server::start(Config::with_bucket(BUCKET)).unwrap();
    let bed = Bed::new(&server.endpoint(), "loopback", SECRET);
    let picky = Guest::write("trap-on-a-row", &bed.path(""));
    (server, bed, picky)
}

fn saved(bed: &Bed) -> Vec<String> {
    bed.files("state/failed-calls")
}

fn only(ran: &Ran) -> &Value {
    assert_eq!(ran.values.len(), 1, "{ran:?}");
    &ran.values[0]
}

/// I5
#[test]
fn a_saved_call_fails_again_on_the_same_row_and_passes_through_a_mended_mapper() {
    let (server, bed, picky) = ground();
    bed.configure(&configuration(&picky, "save_failed = true"));
    server.put(BUCKET, "daily/a.csv", file(5_000)).unwrap();
    let daemon = bed.start();
    let failed = daemon.wait_for("the file to fail", |line| line["event"] == "object_failed");
    let named = failed["saved"].as_str().unwrap().to_owned();
    let told = daemon.wait_for("the mapper to fail", |line| line["event"] == "mapper_failed");
    let facts = ["tenant", "integration", "mapper", "object", "saved"].map(|name| told[name].as_str().unwrap());
    assert_eq!(facts, ["default", "daily", "picky", "s3://exports/daily/a.csv", named.as_str()], "{told}");
    let files = saved(&bed);
    assert_eq!(files.len(), 1, "{files:?}");
    let path = bed.state().join("failed-calls").join(&files[0]);
    assert_eq!(path.display().to_string(), named);
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    let bytes = fs::read(&path).unwrap();
    let has = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(has("5000!") && has("\\\"depth\\\":3"), "the rows and the settings are in it");
    assert!(!has(SECRET), "a credential is in what was saved");

    // Everybody who tells of the failure names the file.
    daemon.wait_for("the pass to end", |line| line["event"] == "pass_finished" && line["failed"] == 1);
    let hint = format!("to see it fail again: gristmill mapper replay '{named}'");
    assert_eq!(failed["hint"], hint.as_str());
    let explained = bed.command(["explain", "daily", "daily/a.csv"]);
    assert!(explained.output.contains(&hint), "{explained:?}");
    let status = bed.command(["status", "--json"]);
    let mappers = status.values[0]["mappers"].as_array().unwrap();
    let mapper = mappers.iter().find(|mapper| mapper["mapper"] == "picky").unwrap();
    assert_eq!(
        (&mapper["saved"]["files"], &mapper["saved"]["newest"]),
        (&1.into(), &named.as_str().into()),
        "{mapper}"
    );
    let shown = bed.command(["status"]);
    assert!(shown.output.contains(&format!("  saved: {named}")), "{shown:?}");

    // Beside the running daemon, and without it.
    let listed = bed.command(["mapper", "replay", "--list", "--json"]);
    assert_eq!(
        (&only(&listed)["file"], &only(&listed)["call"]),
        (&named.as_str().into(), &"map-batch".into()),
        "{listed:?}"
    );
    assert_eq!(daemon.stop(), 0);
    let again = bed.command(["mapper", "replay", "--json"]);
    let report = only(&again);
    assert_eq!((again.code, &report["outcome"]), (1, &"same_failure".into()), "{again:?}");
    let failure = &report["failure"];
    assert_eq!((&failure["code"], &failure["place"]), (&"mapper-trap".into(), &"at line 5002".into()), "{report}");
    assert_eq!(failure["cells"][0], "5000!", "{report}");
    assert!(report["seconds"].as_f64().unwrap() > 0.0 && report["memory"].as_u64().unwrap() > 0, "{report}");
    assert_eq!(report["without_earlier_rows"], true, "{report}");
    let said = bed.command(["mapper", "replay", &named]);
    assert_eq!((said.code, said.output.as_str()), (1, ""), "{said:?}");
    for words in ["at line 5002 | 5000!", "the mapper fails as it did then at line 5002: ", "what the mapper had kept"]
    {
        assert!(said.errors.contains(words), "{words}: {said:?}");
    }

    // Another component: no configuration is needed.
    let mended = Guest::write("log-flood", &bed.path(""));
    fs::remove_file(bed.config()).unwrap();
    let passed = bed.command(["mapper", "replay", &named, "--mapper", mended.path.to_str().unwrap(), "--json"]);
    let report = only(&passed);
    assert_eq!((passed.code, &report["outcome"]), (0, &"records".into()), "{passed:?}");
    assert_ne!(report["sha256"], report["failed"]["sha256"], "{report}");
    let rows = report["rows"]["read"].as_u64().unwrap();
    assert_eq!(report["records"]["accounts"], rows, "{report}");
    let lines = report["lines"].as_array().unwrap();
    let poison = "{\"line\":5002,\"account\":[{\"crm_id\":\"5000!\"}],\"fields\":{\"n\":7}}";
    assert!(lines.contains(&poison.into()), "{lines:?}");
    assert!(report["log"].as_array().unwrap().len() > 1, "{report}");
}

#[test]
fn nothing_is_saved_unless_somebody_wants_it() {
    let (server, bed, picky) = ground();
    bed.configure(&configuration(&picky, ""));
    server.put(BUCKET, "daily/a.csv", file(5_000)).unwrap();
    let ran = bed.once();
    assert_eq!(ran.counts("daily"), [1, 0, 0, 0, 0, 1], "{ran:?}");
    assert!(saved(&bed).is_empty());
    assert_eq!(ran.events("object_failed")[0]["saved"], Value::Null);
    let none = bed.command(["mapper", "replay"]);
    assert!(none.code == 1 && none.errors.contains("save_failed = true"), "{none:?}");
    assert_eq!(bed.command(["mapper", "replay", "--list"]).output, "no call is saved\n");
}

#[test]
fn no_more_calls_are_kept_than_are_wanted_and_the_oldest_go_first() {
    let (server, bed, picky) = ground();
    let more = "save_failed = true\nsave_failed_files = 2";
    bed.configure(&(configuration(&picky, more) + "on_failure = \"reject_row\"\n").replace(
        "mapper = { field_mapping = \"picky\", settings = { depth = 3 } }\n",
        "[integrations.daily.mapper]\nfield_mapping = \"picky\"\n",
    ));
    let file = "Account ID,Name\n1,x\n2!,x\n3,x\n4!,x\n5!,x\n6,x\n";
    server.put(BUCKET, "daily/a.csv", file).unwrap();
    let ran = bed.once();
    assert_eq!(ran.counts("daily"), [1, 0, 0, 1, 0, 0], "{ran:?}");
    let left_out = ran.events("mapper_row_left_out");
    let named: Vec<&str> = left_out.iter().map(|line| line["saved"].as_str().unwrap()).collect();
    assert_eq!(named.len(), 3, "{left_out:?}");
    let listed = bed.command(["mapper", "replay", "--list", "--json"]);
    let kept: Vec<&str> = listed.values.iter().map(|call| call["file"].as_str().unwrap()).collect();
    assert_eq!(kept, [named[2], named[1]], "{listed:?}");
    assert_eq!(saved(&bed).len(), 2);
    // A dry run leaves nothing behind.
    bed.command(["test", "daily", "s3://exports/daily/a.csv"]);
    assert_eq!(saved(&bed).len(), 2);
}
