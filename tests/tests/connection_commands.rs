//! Connections are added, looked at, changed, rotated, renamed and taken out by commands.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Output, Stdio};
use std::time::Duration;

use gristmill_loopback_s3::{Config, Fault, Operation, Server};
use gristmill_tests::process::{BUCKET, Bed, SECRET, until};
use serde_json::{Value, json};

fn integration(name: &str, connection: &str, more: &str) -> String {
    format!(
        "[integrations.{name}]\nconnection = \"{connection}\" # whose\nbucket = \"{BUCKET}\"\npoll_interval = \"1h\"\n{more}\n\
         matching = {{ on_no_match = \"create\" }}\nidentifiers = [{{ column = \"Account\", match = \"crm_id\" }}]\n\
         fields = [{{ column = \"Name\", field = \"name\", type = \"text\" }}]\n"
    )
}

fn with_input(bed: &Bed, arguments: &[&str], input: &str) -> Output {
    let mut command = bed.command(arguments);
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn text_of(bed: &Bed) -> String {
    fs::read_to_string(bed.config()).unwrap()
}

/// `listed` and `known` of an integration's only pass.
fn taken(bed: &Bed, name: &str) -> (Value, Value) {
    let passes = bed.json(&["run", "--once"]);
    let pass = &passes.iter().find(|line| line["integration"] == name).unwrap()["pass"];
    (pass["listed"].clone(), pass["known"].clone())
}

#[test]
fn a_connection_is_added_when_it_works_and_shown_without_its_secrets() {
    let bed = Bed::new();
    bed.server.put(BUCKET, "a.csv", "Account,Name\nA,Ann\n").unwrap();
    bed.configure("", "# The end.\n");
    let before = text_of(&bed);
    let key = format!("file:{}", bed.path("secret-key").display());
    let endpoint = bed.server.endpoint();
    let bucket = format!("s3://{BUCKET}/");
    let add = |id: &str, more: &[&str]| {
        let options = ["--endpoint-url", &endpoint, "--auth", "access_key", "--access-key-id", id];
        let secret = ["--secret-access-key", &key];
        bed.gristmill(&[&["connection", "add", "lab", &bucket], &options[..], &secret[..], more].concat())
    };
    let refused = add("another", &[]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(said(&refused).contains("list: refused:") && said(&refused).contains("--no-test"), "{refused:?}");
    assert_eq!(text_of(&bed), before, "what does not work is not written");

    let added = add("loopback", &["--name", "The lab"]);
    assert!(added.status.success(), "{added:?}");
    assert!(said(&added).contains("list: granted") && said(&added).contains("a.csv"), "{added:?}");
    assert!(text_of(&bed).starts_with(&before[..before.len() - "# The end.\n\n".len()]), "{}", text_of(&bed));
    assert!(text_of(&bed).contains("# The end.\n"));
    let again = add("loopback", &[]);
    assert_eq!(again.status.code(), Some(78), "{again:?}");

    let listed = bed.json(&["connection", "list"]);
    let names: Vec<&str> = listed.iter().filter_map(|one| one["connection"].as_str()).collect();
    assert_eq!(names, ["acme", "lab"]);
    assert_eq!(
        (&listed[1]["auth"], &listed[1]["state"], &listed[1]["integrations"]),
        (&json!("access_key"), &json!(null), &json!([]))
    );
    let shown = bed.gristmill(&["connection", "show", "lab"]);
    let shown = said(&shown);
    assert!(shown.contains("name: The lab") && shown.contains("access key id: loopback"), "{shown}");
    assert!(shown.contains(&format!("secret access key: file `{}`", bed.path("secret-key").display())), "{shown}");
    assert!(!shown.contains(SECRET), "{shown}");

    let file = bed.json(&[
        "connection",
        "add",
        "far",
        "--region",
        "eu-central-1",
        "--auth",
        "default_chain",
        "--file",
        "conf.d/far.toml",
        "--no-test",
    ]);
    assert_eq!(file[0]["tested"], json!(null));
    let far = fs::read_to_string(bed.path("conf.d/far.toml")).unwrap();
    assert_eq!(far, "[connections.far]\nregion = \"eu-central-1\"\ndefault_chain = {}\n");
    let open = bed.gristmill(&["connection", "add", "open", "--region", "eu-central-1"]);
    assert_eq!(open.status.code(), Some(64), "nobody is at a terminal to be asked: {open:?}");
}

#[test]
fn a_connection_in_use_is_not_deleted_and_everyone_who_uses_it_is_named() {
    let bed = Bed::new();
    let parts = [
        integration("one", "acme", ""),
        integration("two", "acme", "bucket_typo = 1"),
        integration("off", "acme", "enabled = false"),
    ];
    bed.configure("", &parts.concat());
    let before = text_of(&bed);
    let refused = bed.gristmill(&["connection", "delete", "acme"]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(said(&refused).contains("`acme` is used by `one`, `two`\n"), "{refused:?}");
    assert_eq!(text_of(&bed), before);

    bed.configure("", &parts[2]);
    let deleted = bed.json(&["connection", "delete", "acme"]);
    assert_eq!(deleted[0]["switched_off"], json!(["off"]));
    assert!(!text_of(&bed).contains("connections.acme"), "{}", text_of(&bed));
    let gone = bed.gristmill(&["connection", "delete", "acme"]);
    assert_eq!(gone.status.code(), Some(78), "{gone:?}");
}

#[test]
fn an_edit_beside_a_daemon_is_tried_taken_and_refused_where_it_cannot_be_meant() {
    let bed = Bed::new();
    bed.server.put(BUCKET, "a.csv", "Account,Name\nA,Ann\n").unwrap();
    bed.configure("", &integration("one", "acme", ""));
    let mut daemon = bed.run();
    daemon.event_of("pass_finished", "integration", "one");
    let refused = bed.gristmill(&["connection", "edit", "acme", "--set", "role_arn=arn:aws:iam::123456789012:role/r"]);
    assert_eq!(refused.status.code(), Some(64), "{refused:?}");
    assert!(said(&refused).contains("`role_arn` belongs to `assume_role`, and this connection has `access_key`"));
    let refused = bed.gristmill(&["connection", "edit", "acme", "--set", "endpoint_url=nowhere"]);
    assert_eq!(refused.status.code(), Some(78), "{refused:?}");
    let before = text_of(&bed);
    let dead = "endpoint_url=http://127.0.0.1:1";
    let refused = bed.gristmill(&["connection", "edit", "acme", "--set", dead]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert_eq!(text_of(&bed), before, "what does not work is not written");
    let named = bed.json(&["connection", "edit", "acme", "--set", "name=Acme"]);
    assert_eq!((&named[0]["reloaded"], &named[0]["tested"]), (&json!(true), &json!(null)), "a name needs no test");
    let listed = bed.json(&["connection", "list"]);
    assert_eq!((&listed[0]["name"], &listed[0]["integrations"]), (&json!("Acme"), &json!(["one"])));
    assert!(listed[0]["state"].is_string(), "{listed:?}");

    // R17: another server has other files, until a person says otherwise.
    let other = Server::start(Config::with_bucket(BUCKET)).unwrap();
    other.put(BUCKET, "a.csv", "Account,Name\nA,Ann\n").unwrap();
    let setting = format!("endpoint_url={}", other.endpoint());
    let moved = bed.json(&["connection", "edit", "acme", "--set", &setting]);
    assert_eq!(moved[0]["waiting"], json!(["one"]));
    assert_eq!(moved[0]["tested"][0]["list"], json!("granted"));
    daemon.event_of("integration_paused", "integration", "one");
    bed.json(&["ledger", "adopt", "one"]);
    daemon.event_of("pass_finished", "integration", "one");
}

/// The download goes on with what it was begun with, and the next request of the same pass is sent with the new pair.
#[test]
fn keys_are_rotated_while_a_download_runs_and_nothing_fails() {
    let bed = Bed::new();
    let id = bed.path("key-id");
    fs::write(&id, "loopback").unwrap();
    fs::set_permissions(&id, fs::Permissions::from_mode(0o640)).unwrap();
    let first = format!("Account,Name\n{}", "A,Ann\n".repeat(40_000));
    bed.server.put(BUCKET, "first.csv", first).unwrap();
    bed.server.put(BUCKET, "second.csv", "Account,Name\nB,Ben\n").unwrap();
    bed.configure("files_at_once = 1", &integration("one", "acme", ""));
    let file = format!("access_key_id = {{ file = \"{}\" }}", id.display());
    let config = text_of(&bed).replace("access_key_id = \"loopback\"", &file);
    fs::write(bed.config(), &config).unwrap();
    bed.server.faults().next_of(Operation::GetObject, "first.csv", 1, Fault::Slow { pause: Duration::from_secs(4) });
    let mut daemon = bed.run();
    until("the download begins", || (bed.server.faults().seen(Operation::GetObject) == 1).then_some(()));

    let half = with_input(&bed, &["connection", "rotate", "acme"], "loopback-2\n");
    assert_eq!(half.status.code(), Some(64), "both halves: {half:?}");
    let early = with_input(&bed, &["connection", "rotate", "acme"], "loopback-2\nloopback-secret-2\n");
    assert_eq!(early.status.code(), Some(1), "the server does not know the pair yet: {early:?}");
    assert_eq!(fs::read_to_string(&id).unwrap(), "loopback", "what does not work takes no place");
    bed.server.issuer().add_pair("loopback-2", "loopback-secret-2");
    let rotated = with_input(&bed, &["connection", "rotate", "acme"], "loopback-2\nloopback-secret-2\n");
    assert!(rotated.status.success(), "{rotated:?}");
    for output in [&early, &rotated] {
        assert!(!said(output).contains("loopback-secret"), "{output:?}");
    }
    bed.server.issuer().end_pair("loopback");
    assert_eq!(fs::read_to_string(&id).unwrap(), "loopback-2");
    assert_eq!(fs::read_to_string(bed.path("secret-key")).unwrap(), "loopback-secret-2");
    assert_eq!(
        [id.clone(), bed.path("secret-key")].map(|file| fs::metadata(file).unwrap().mode() & 0o777),
        [0o640, 0o600]
    );
    assert_eq!(text_of(&bed), config);

    let pass = daemon.event_of("pass_finished", "integration", "one");
    assert_eq!((&pass["succeeded"], &pass["failed"]), (&json!(2), &json!(0)), "{pass}");
    let position = |event: &str| daemon.log.iter().position(|line| line["event"] == event);
    assert!(position("keys_rotated").unwrap() < position("object_completed").unwrap(), "{}", daemon.text());
    assert!(!daemon.text().contains("loopback-secret"), "{}", daemon.text());
}

#[test]
fn a_rotation_says_where_it_cannot_be_done_from_here_and_points_to_another_place() {
    let bed = Bed::new();
    bed.server.put(BUCKET, "a.csv", "Account,Name\nA,Ann\n").unwrap();
    let twin = bed.connection().replace("connections.acme", "connections.twin");
    let odd = bed.connection().replace("connections.acme", "connections.odd").replace("\"loopback\"", "\"other\"");
    bed.configure("", &(twin.clone() + &odd));
    let refused = with_input(&bed, &["connection", "rotate", "acme"], "loopback-2\nloopback-secret-2\n");
    assert!(said(&refused).contains("is a half of the pair of `odd`, too, which is another"), "{refused:?}");
    bed.configure("", &(twin + &integration("one", "acme", "")));
    // The id stands in the configuration, and changes there, for everyone who has the pair.
    bed.server.issuer().add_pair("loopback-2", "loopback-secret-2");
    let rotated = with_input(&bed, &["connection", "rotate", "acme", "--json"], "loopback-2\nloopback-secret-2\n");
    assert!(rotated.status.success(), "{rotated:?}");
    assert_eq!(text_of(&bed).matches("access_key_id = \"loopback-2\"").count(), 2, "{}", text_of(&bed));
    assert_eq!(taken(&bed, "one"), (json!(1), json!(0)));

    let place = format!("file:{}", bed.path("next-key").display());
    fs::write(bed.path("next-key"), SECRET).unwrap();
    let point = ["connection", "rotate", "acme", "--access-key-id", "loopback", "--secret-access-key", &place];
    let half = bed.gristmill(&point[..5]);
    assert_eq!(half.status.code(), Some(64), "{half:?}");
    let pointed = bed.gristmill(&point);
    assert!(pointed.status.success(), "{pointed:?}");
    assert_eq!(text_of(&bed).matches("next-key").count(), 1, "the other stays as it was: {}", text_of(&bed));

    for (place, what) in
        [("credential = \"acme-key\"", "systemd-creds encrypt --name=acme-key"), ("env = \"ACME\"", "EnvironmentFile=")]
    {
        bed.configure("", &integration("one", "acme", ""));
        let file = format!("file = \"{}\"", bed.path("secret-key").display());
        fs::write(bed.config(), text_of(&bed).replace(&file, place)).unwrap();
        let refused = with_input(&bed, &["connection", "rotate", "acme"], "a\nb\n");
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        assert!(said(&refused).contains(what) && said(&refused).contains("systemctl restart gristmill"), "{refused:?}");
    }
}

/// R17: what was taken stays taken, in whatever file the integrations stand, and beside a running daemon.
#[test]
fn a_connection_gets_another_key_and_nothing_is_taken_again() {
    let bed = Bed::new();
    bed.server.put(BUCKET, "a.csv", "Account,Name\nA,Ann\n,Nobody\n").unwrap();
    bed.server.put(BUCKET, "b.csv", "Account,Name\nB,Ben\n").unwrap();
    bed.configure("", &integration("one", "acme", ""));
    fs::create_dir(bed.path("conf.d")).unwrap();
    fs::write(bed.path("conf.d/two.toml"), integration("two", "acme", "prefix = \"b\"")).unwrap();
    assert_eq!(taken(&bed, "one"), (json!(2), json!(0)));
    let renamed = bed.json(&["connection", "rename", "acme", "acme-eu"]);
    assert_eq!(renamed[0]["integrations"], json!(["one", "two"]));
    assert_eq!(renamed[0]["files"].as_array().unwrap().len(), 2);
    assert!(text_of(&bed).contains("[connections.acme-eu]\n") && text_of(&bed).contains("renamed_from = \"acme\"\n"));
    let two = fs::read_to_string(bed.path("conf.d/two.toml")).unwrap();
    assert!(two.contains("connection = \"acme-eu\" # whose\n"), "{two}");
    assert_eq!(taken(&bed, "one"), (json!(2), json!(2)));
    // Whoever asks for a file again gets that file, and its contribution is replaced.
    bed.json(&["replay", "one", "--key", "b.csv", "--no-wait"]);
    assert_eq!(taken(&bed, "one"), (json!(2), json!(1)));
    assert_eq!(bed.json(&["ledger", "reconcile", "one", "--dry-run"]).last().unwrap()["count"], json!(0));

    // Once more beside a daemon, and back to what it was in the beginning.
    let mut daemon = bed.run();
    daemon.event_of("pass_finished", "integration", "one");
    for (from, to) in [("acme-eu", "main"), ("main", "acme")] {
        bed.json(&["connection", "rename", from, to]);
        let pass = daemon.event_of("pass_finished", "integration", "one");
        assert_eq!((&pass["listed"], &pass["known"]), (&json!(2), &json!(2)), "{from} {to}: {pass}");
    }
    let taken = bed.gristmill(&["connection", "rename", "main", "other"]);
    assert_eq!(taken.status.code(), Some(78), "{taken:?}");
}

/// R17: by hand, with references that still name the former key; and the former key is another connection's later.
#[test]
fn a_hand_edit_that_names_the_former_key_takes_nothing_again() {
    let bed = Bed::new();
    bed.server.put(BUCKET, "a.csv", "Account,Name\nA,Ann\n").unwrap();
    bed.configure("", &integration("one", "acme", ""));
    assert_eq!(taken(&bed, "one"), (json!(1), json!(0)));
    let by_hand = text_of(&bed).replace("[connections.acme]", "[connections.main]\nrenamed_from = \"acme\"");
    fs::write(bed.config(), &by_hand).unwrap();
    assert_eq!(taken(&bed, "one"), (json!(1), json!(1)));
    // The command finishes what was begun, be it by hand.
    bed.json(&["connection", "rename", "acme", "main"]);
    assert_eq!(text_of(&bed), by_hand.replace("connection = \"acme\"", "connection = \"main\""));

    let without =
        text_of(&bed).replace("renamed_from = \"acme\"\n", "") + &bed.connection() + &integration("new", "acme", "");
    fs::write(bed.config(), without).unwrap();
    assert_eq!(taken(&bed, "one"), (json!(1), json!(1)));
    assert_eq!(taken(&bed, "new"), (json!(1), json!(1)), "an integration of its own, which the call before has run");
    let both = text_of(&bed).replace("[connections.main]\n", "[connections.main]\nrenamed_from = \"acme\"\n");
    fs::write(bed.config(), both).unwrap();
    let checked = bed.gristmill(&["check"]);
    assert!(said(&checked).contains("there still is a connection `acme`"), "{checked:?}");
}

/// R17: the way that `connection edit --help` tells of.
#[test]
fn another_way_to_credentials_is_another_connection_and_nothing_is_taken_again() {
    let bed = Bed::new();
    bed.server.put(BUCKET, "a.csv", "Account,Name\nA,Ann\n").unwrap();
    bed.configure("", &integration("one", "acme", ""));
    assert_eq!(taken(&bed, "one"), (json!(1), json!(0)));
    let role = "arn:aws:iam::123456789012:role/reader";
    bed.server.issuer().trust(role, None);
    let (endpoint, bucket) = (bed.server.endpoint(), format!("s3://{BUCKET}/"));
    let key = format!("file:{}", bed.path("secret-key").display());
    let server = ["--endpoint-url", &endpoint, "--auth-endpoint-url", &endpoint];
    let asks = ["--auth", "assume_role", "--access-key-id", "loopback", "--secret-access-key", &key];
    let add = |role: &str| {
        let own = ["connection", "add", "acme-role", &bucket, "--role-arn", role];
        bed.gristmill(&[&own[..], &server[..], &asks[..]].concat())
    };
    let refused = add(&role.replace("reader", "writer"));
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(!text_of(&bed).contains("acme-role"), "what does not work is not written");
    let added = add(role);
    assert!(added.status.success(), "{added:?}");
    bed.json(&["integration", "repoint", "one", "--connection", "acme-role"]);
    assert_eq!(taken(&bed, "one"), (json!(1), json!(1)));
    bed.json(&["connection", "delete", "acme"]);
    bed.server.put(BUCKET, "b.csv", "Account,Name\nB,Ben\n").unwrap();
    assert_eq!(taken(&bed, "one"), (json!(2), json!(1)));
    assert_eq!(taken(&bed, "one"), (json!(2), json!(2)));
}
