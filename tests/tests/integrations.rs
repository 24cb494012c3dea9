//! Integrations are made, looked at, changed and taken away from the command line.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;

use gristmill_loopback_s3::{Config, Server};
use gristmill_tests::daemon::Bed;

const BUCKET: &str = "exports";

fn ground() -> (Server, Bed) {
    let server = Server::start(Config::with_bucket(BUCKET)).unwrap();
    let bed = Bed::new(&server.endpoint(), "loopback", "loopback-secret");
    (server, bed)
}

const TWO: &str = "# Everything of Acme.
[integrations.acme] # the first
connection = \"main\"
bucket = \"exports\"   # theirs
prefix = \"daily/\"
poll_interval = \"1h\"
matching.on_no_match = \"create\"
identifiers = [{ column = \"id\", match = \"crm_id\" }]
fields = [{ column = \"plan\", field = \"plan\", type = \"text\" }]

# What Globex sends.
[integrations.globex]
enabled = false   # not yet
connection = \"main\"
bucket = \"exports\"
prefix = \"globex/\"
identifiers = [{ column = \"id\", match = \"crm_id\" }]
fields = [{ column = \"plan\", field = \"plan\", type = \"text\" }]
";

#[test]
fn integrations_are_listed_and_shown_with_what_holds_for_them() {
    let (_server, bed) = ground();
    bed.configure(&(TWO.to_owned() + "[integrations.broken]\nconnection = \"nowhere\"\nbucket = \"b\"\n"));
    let listed = bed.command(["integration", "list", "--json"]);
    let all = listed.values[0]["integrations"].as_array().unwrap();
    let state = |name: &str| {
        let one = all.iter().find(|one| one["name"] == name).unwrap();
        (one["place"].as_str().unwrap_or_default().to_owned(), one["state"].as_str().unwrap().to_owned())
    };
    let texts = |place: &str, state: &str| (place.to_owned(), state.to_owned());
    assert_eq!(state("acme"), texts("s3://exports/daily/", "no daemon runs"));
    assert_eq!(state("globex"), texts("s3://exports/globex/", "switched off"));
    assert_eq!(state("broken"), texts("", "has a problem"));
    let listed = bed.command(["integration", "list"]);
    assert!(listed.code == 0 && listed.output.contains("s3://exports/globex/  switched off"), "{listed:?}");

    let shown = bed.command(["integration", "show", "acme"]);
    for expected in ["# theirs", "poll_interval: 1h", "timezone: UTC", "gristmill integration repoint acme"] {
        assert!(shown.output.contains(expected), "{expected}: {shown:?}");
    }
    let shown = bed.command(["integration", "show", "acme", "--json"]);
    assert_eq!(shown.values[0]["settings"]["poll_interval"], "1h");
    let missing = bed.command(["integration", "show", "nobody"]);
    assert!(missing.code == 78 && missing.errors.contains("no file of the configuration has a table"), "{missing:?}");

    let daemon = bed.start();
    daemon.wait_for("a pass", |line| line["event"] == "pass_finished");
    let state = bed.command(["integration", "show", "acme", "--json"]).values[0]["state"].clone();
    assert!(state == "waiting" || state == "polling", "{state}");
    assert_eq!(daemon.stop(), 0);
}

/// R15: what would be refused is not written.
#[test]
fn keys_are_changed_where_they_stand_and_only_to_what_may_stand_there() {
    let (_server, bed) = ground();
    bed.configure(TWO);
    let before = fs::read_to_string(bed.config()).unwrap();
    let edit = |arguments: &[&str]| bed.command([&["integration", "edit", "acme"], arguments].concat());
    assert_eq!(edit(&["--set", "poll_interval=30s", "--set", "max_rejects=5", "--unset", "prefix"]).code, 0);
    let after = fs::read_to_string(bed.config()).unwrap();
    let expected = before.replacen("\"1h\"", "\"30s\"", 1).replacen("prefix = \"daily/\"\n", "", 1);
    assert_eq!(after.replacen("max_rejects = 5\n", "", 1), expected);
    let moved = edit(&["--set", "prefix=weekly/"]);
    assert!(moved.output.contains("gristmill integration repoint acme"), "{moved:?}");
    let standing = fs::read_to_string(bed.config()).unwrap();
    for (wrong, words) in [
        ("poll_interval=never", "poll_interval"),
        ("max_rejects=many", "a whole number is expected"),
        ("bukket=b", "bukket"),
    ] {
        let refused = edit(&["--set", wrong]);
        assert!(refused.code == 78 && refused.errors.contains(words), "{wrong}: {refused:?}");
    }
    assert_eq!(edit(&[]).code, 64);
    assert_eq!(fs::read_to_string(bed.config()).unwrap(), standing);
}

/// R14: a running daemon follows at once.
#[test]
fn an_integration_is_switched_off_and_on_beside_a_running_daemon() {
    let (server, bed) = ground();
    bed.configure(TWO);
    server.put(BUCKET, "daily/a.csv", "id,plan\n1,basic\n").unwrap();
    let daemon = bed.start();
    daemon.wait_for("a pass", |line| line["event"] == "pass_finished" && line["integration"] == "acme");
    let before = fs::read_to_string(bed.config()).unwrap();
    assert_eq!(bed.command(["integration", "disable", "acme"]).code, 0);
    assert_eq!(bed.command(["integration", "enable", "globex", "--json"]).values[0]["enabled"], true);
    let after = fs::read_to_string(bed.config()).unwrap();
    let expected = before.replace("enabled = false   # not yet", "enabled = true   # not yet");
    assert_eq!(after.replacen("enabled = false\n", "", 1), expected);
    daemon.wait_for("a pass of the other", |line| line["event"] == "pass_finished" && line["integration"] == "globex");
    let listed = bed.command(["integration", "list", "--json"]).values[0]["integrations"].clone();
    assert_eq!(listed[0]["enabled"], false, "{listed}");
    assert_eq!(bed.command(["integration", "enable", "acme"]).code, 0);
    let pass =
        daemon.wait_for("what was taken is known", |line| line["event"] == "pass_finished" && line["known"] == 1);
    assert_eq!(pass["integration"], "acme");
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_deleted_integration_leaves_what_it_took_and_goes_on_if_it_comes_back() {
    let (server, bed) = ground();
    bed.configure(TWO);
    server.put(BUCKET, "daily/a.csv", "id,plan\n1,basic\n").unwrap();
    assert_eq!(bed.once().counts("acme"), [1, 0, 1, 0, 0, 0]);
    let whole = fs::read_to_string(bed.config()).unwrap();
    let asked = bed.command(["integration", "delete", "acme"]);
    assert!(asked.code == 64 && asked.errors.contains("--yes"), "{asked:?}");
    assert_eq!(fs::read_to_string(bed.config()).unwrap(), whole);
    let deleted = bed.command(["integration", "delete", "acme", "--yes"]);
    assert!(deleted.code == 0 && deleted.output.contains("goes on from there"), "{deleted:?}");
    let rest = fs::read_to_string(bed.config()).unwrap();
    assert!(!rest.contains("acme") && rest.contains("# What Globex sends.\n[integrations.globex]"), "{rest}");
    assert_eq!(bed.rows("SELECT crm_id FROM account_overview"), ["1"]);
    fs::write(bed.config(), whole).unwrap();
    assert_eq!(bed.once().counts("acme"), [1, 1, 0, 0, 0, 0]);
}

const FILE: &str = "Account ID;Company;ARR;Since;Month;API calls\nA-1;Acme;1.200,50 €;31.12.2023;10/2024;7\nA-2;Globex;80 €;1.2.2024;10/2024;9\n";

/// Everything that the guide asks for has a flag.
#[test]
fn an_integration_is_added_from_the_newest_file_of_its_bucket_and_takes_it() {
    let (server, bed) = ground();
    bed.configure("");
    server.put(BUCKET, "daily/old.csv", "x\n1\n").unwrap();
    server.set_last_modified(BUCKET, "daily/old.csv", std::time::SystemTime::UNIX_EPOCH).unwrap();
    server.put(BUCKET, "daily/new.csv", FILE).unwrap();
    let before = fs::read_to_string(bed.config()).unwrap();
    let flags = [
        "integration",
        "add",
        "acme",
        "--bucket",
        BUCKET,
        "--prefix",
        "daily/",
        "--sample",
        "newest",
        "--identifier",
        "Account ID=crm_id",
        "--field",
        "ARR=arr",
        "--field",
        "Since=since:date",
        "--product",
        "Core",
        "--period",
        "monthly",
        "--date",
        "Month",
        "--metric",
        "API calls=api_calls:sum",
        "--on-no-match",
        "create",
    ];
    let shown = bed.command(flags);
    assert!(shown.code == 64 && shown.errors.contains("--yes"), "{shown:?}");
    assert!(shown.output.contains("[integrations.acme]"), "{shown:?}");
    assert_eq!(fs::read_to_string(bed.config()).unwrap(), before);
    let added = bed.command(flags.into_iter().chain(["--yes", "--json"]));
    assert_eq!((added.code, &added.values[0]["test"]["rows"]["rejected"]), (0, &0.into()), "{added:?}");
    let after = fs::read_to_string(bed.config()).unwrap();
    let expected = "[integrations.acme]
connection = \"main\"
bucket = \"exports\"
prefix = \"daily/\"
matching = { on_no_match = \"create\" }
csv = { delimiter = \";\" }

[[integrations.acme.identifiers]]
column = \"Account ID\"
match = \"crm_id\"
normalize = [\"trim\"]

[[integrations.acme.fields]]
column = \"ARR\"
field = \"arr\"
type = \"currency\"
number = { decimal = \",\", group = \".\", symbols = [\"€\"] }
unit = \"EUR\"

[[integrations.acme.fields]]
column = \"Since\"
field = \"since\"
type = \"date\"
formats = [\"%d.%m.%Y\"]

[[integrations.acme.usage]]
product = \"Core\"
period = \"monthly\"
date = { column = \"Month\", formats = [\"%m/%Y\"] }
metrics = [
  { column = \"API calls\", metric = \"api_calls\", aggregate = \"sum\" },
]
";
    assert!(after.ends_with(expected) && after.starts_with(before.trim_end()), "{after}");
    server.delete(BUCKET, "daily/old.csv").unwrap();
    assert_eq!(bed.once().counts("acme"), [1, 0, 1, 0, 0, 0]);
    assert_eq!(
        bed.rows("SELECT crm_id, field, value FROM account_field_values ORDER BY 1, 2"),
        ["A-1|arr|1200.5", "A-1|since|2023-12-31", "A-2|arr|80", "A-2|since|2024-02-01"]
    );
    assert_eq!(bed.rows("SELECT value FROM usage_records ORDER BY 1"), ["7", "9"]);
    let taken = bed.command(flags.into_iter().chain(["--yes"]));
    assert!(taken.code == 78 && taken.errors.contains("has a table `[integrations.acme]` already"), "{taken:?}");
}

/// Nothing is guessed that nobody said, and nothing written that fails.
#[test]
fn what_no_flag_says_is_refused_and_a_sample_that_fails_is_not_written() {
    let (_server, bed) = ground();
    bed.configure("");
    let sample = bed.path("sample.csv");
    fs::write(&sample, FILE).unwrap();
    let before = fs::read_to_string(bed.config()).unwrap();
    let sample = sample.to_str().unwrap();
    let add =
        |more: &[&str]| bed.command([&["integration", "add", "acme", "--sample", sample, "--yes"], more].concat());
    let cases: [(&[&str], &str); 5] = [
        (&[], "--bucket"),
        (&["--bucket", BUCKET], "--identifier \"Account ID=crm_id\""),
        (&["--bucket", BUCKET, "--identifier", "Account ID=crm_id", "--product", "Core"], "--metric"),
        (
            &["--bucket", BUCKET, "--identifier", "Account ID=crm_id", "--field", "ARR=arr:money"],
            "`money` is not one of",
        ),
        (&["--bucket", BUCKET, "--identifier", "Account=crm_id", "--field", "ARR=arr"], "--no-test"),
    ];
    for (flags, words) in cases {
        let refused = add(flags);
        assert!(refused.code != 0 && refused.errors.contains(words), "{flags:?}: {refused:?}");
    }
    assert_eq!(fs::read_to_string(bed.config()).unwrap(), before);
    let flags = ["--bucket", BUCKET, "--identifier", "Account ID=crm_id", "--all-fields", "--file", "conf.d/acme.toml"];
    let added = add(&flags);
    assert_eq!(added.code, 0, "{added:?}");
    let written = fs::read_to_string(bed.path("conf.d/acme.toml")).unwrap();
    for expected in ["field = \"company\"", "field = \"api_calls\"\ntype = \"integer\"", "formats = [\"%m/%Y\"]"] {
        assert!(written.contains(expected), "{expected}: {written}");
    }
    assert_eq!(fs::read_to_string(bed.config()).unwrap(), before);
    assert_eq!(bed.command(["check"]).code, 0);
}
