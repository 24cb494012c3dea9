//! Secrets in the vault, through the built binary.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use gristmill_loopback_s3::{Fault, Operation};
use gristmill_tests::process::{BUCKET, Bed, Process, SECRET, binary, files_below, until};
use rustix::process::Signal;
use serde_json::json;

const OTHER: &str = "another-secret-of-loopback";

/// A bed whose configuration has a vault, and the connection `vaulted` whose key pair is in it. The vault is empty.
fn bed(parts: &str) -> Bed {
    let bed = Bed::new();
    let connection = format!(
        "[vault]\nkey = {{ file = \"{}\" }}\n[connections.vaulted]\nendpoint_url = \"{}\"\n\
         access_key = {{ access_key_id = {{ secret = \"vaulted-id\" }}, secret_access_key = {{ secret = \"vaulted-key\" }} }}\n",
        bed.path("vault.key").display(),
        bed.server.endpoint()
    );
    bed.configure("", &(connection + parts));
    let made = bed.gristmill(&["secret", "key", bed.path("vault.key").to_str().unwrap()]);
    assert!(made.status.success(), "{made:?}");
    bed
}

fn integration(name: &str, connection: &str) -> String {
    format!(
        "[integrations.{name}]\nconnection = \"{connection}\"\nbucket = \"{BUCKET}\"\nprefix = \"{name}/\"\n\
         poll_interval = \"1h\"\nmatching = {{ on_no_match = \"create\" }}\n\
         identifiers = [{{ column = \"Account\", match = \"crm_id\" }}]\n\
         fields = [{{ column = \"Name\", field = \"name\", type = \"text\" }}]\n"
    )
}

/// A command with something on its standard input.
fn with_input(bed: &Bed, arguments: &[&str], input: &str) -> Output {
    let mut command = bed.command(arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // One that refuses before it reads has closed its end.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn store(bed: &Bed, verb: &str, name: &str, value: &str) {
    let stored = with_input(bed, &["secret", verb, name], value);
    assert!(stored.status.success(), "{stored:?}");
}

fn store_keys(bed: &Bed) {
    store(bed, "set", "vaulted-id", "loopback");
    store(bed, "set", "vaulted-key", &format!("{SECRET}\n"));
}

fn put(bed: &Bed, key: &str, rows: usize) {
    let content = (0..rows).fold("Account,Name\n".to_owned(), |text, row| format!("{text}A{row},Name of {row}\n"));
    bed.server.put(BUCKET, key, content.into_bytes()).unwrap();
}

/// The exit code, and everything that was said.
fn said(output: &Output) -> (i32, String) {
    let text = [output.stdout.as_slice(), &output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

/// That a command fails, and what it says.
fn check_refused(output: &Output, code: i32, parts: &[&str]) {
    let (found, text) = said(output);
    assert_eq!(found, code, "{text}");
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

#[test]
fn a_connection_whose_keys_are_in_the_vault_takes_files() {
    let bed = bed(&integration("first", "vaulted"));
    put(&bed, "first/a.csv", 3);
    check_refused(
        &bed.gristmill(&["check"]),
        1,
        &["connections.vaulted: secret `vaulted-id` of the vault does not exist"],
    );
    store_keys(&bed);
    let checked = bed.gristmill(&["check"]);
    assert!(checked.status.success(), "{checked:?}");
    let once = bed.json(&["run", "--once"]);
    assert_eq!(once[0]["pass"]["succeeded"], 1, "{once:?}");

    let listed = bed.json(&["secret", "list"]);
    let names: Vec<_> = listed.iter().map(|it| it["secret"].as_str().unwrap()).collect();
    assert_eq!(names, ["vaulted-id", "vaulted-key"]);
    assert_eq!(listed[1]["references"], json!(["connections.vaulted.access_key.secret_access_key"]));
    assert!(listed[1]["set"].is_string());
    let vault = bed.state().join("vault.json");
    for path in [&vault, &bed.path("vault.key")] {
        assert_eq!(fs::metadata(path).unwrap().mode() & 0o777, 0o600);
    }
    for (path, content) in files_below(&bed.state()) {
        assert!(!content.windows(SECRET.len()).any(|part| part == SECRET.as_bytes()), "{}", path.display());
    }
}

#[test]
fn a_new_value_is_used_by_the_next_request_and_what_is_under_way_goes_on() {
    let bed = bed(&(integration("first", "vaulted") + &integration("second", "vaulted")));
    store_keys(&bed);
    let mut daemon = bed.run();
    in_any_order(&mut daemon, "pass_finished");
    bed.server.faults().next_of(
        Operation::GetObject,
        "first/slow.csv",
        1,
        Fault::Slow { pause: Duration::from_secs(3) },
    );
    put(&bed, "first/slow.csv", 6_000);
    bed.json(&["poll", "first"]);
    until("the fetch begins", || (bed.server.faults().seen(Operation::GetObject) > 0).then_some(()));

    // Both halves at one moment.
    bed.server.issuer().replace_keys("other", OTHER);
    let first_half = with_input(&bed, &["secret", "rotate", "vaulted-id", "--at-reload"], "other");
    assert!(first_half.status.success(), "{first_half:?}");
    store(&bed, "rotate", "vaulted-key", OTHER);
    assert!(!daemon.has_logged("object_completed"), "the download is still under way");
    put(&bed, "second/a.csv", 1);
    bed.json(&["poll", "second"]);
    in_any_order(&mut daemon, "object_completed");
    for event in ["object_failed", "pass_failed", "part_disabled", "keys_kept"] {
        assert!(!daemon.has_logged(event), "{event}: {}", daemon.text());
    }

    // A new key of the vault's own changes nothing for the daemon.
    assert!(bed.gristmill(&["secret", "rekey"]).status.success());
    store(&bed, "rotate", "vaulted-key", OTHER);
    put(&bed, "second/b.csv", 1);
    bed.json(&["poll", "second"]);
    daemon.event_of("object_completed", "integration", "second");
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.ended(), 0, "{}", daemon.text());
}

/// Waits for an event of both integrations.
fn in_any_order(daemon: &mut Process, event: &str) {
    let first = daemon.event(event)["integration"].clone();
    daemon.wait_for(event, |line| line["event"] == event && line["integration"] != first);
}

/// R15
#[test]
fn a_secret_that_was_missing_enables_what_it_had_disabled() {
    let bed = bed(&integration("first", "vaulted"));
    put(&bed, "first/a.csv", 1);
    let mut daemon = bed.run();
    let disabled = daemon.event("part_disabled");
    let problem = disabled["problem"].as_str().unwrap();
    assert!(problem.ends_with("secret `vaulted-id` of the vault does not exist"), "{problem}");
    let status = bed.gristmill(&["status"]);
    check_refused(&status, 1, &["gristmill secret set vaulted-id"]);
    store_keys(&bed);
    daemon.event("part_enabled");
    daemon.event("object_completed");
}

#[test]
fn a_reload_reads_keys_that_stand_elsewhere_anew() {
    let bed = Bed::new();
    bed.configure("", &integration("first", "acme"));
    let mut daemon = bed.run();
    daemon.event("pass_finished");
    let key = bed.path("secret-key");
    fs::remove_file(&key).unwrap();
    reload(&mut daemon);
    let kept = daemon.log.iter().find(|line| line["event"] == "keys_kept").cloned();
    let kept = kept.unwrap_or_else(|| panic!("{}", daemon.text()));
    assert!(kept["problem"].as_str().unwrap().contains("does not exist"), "{kept}");
    put(&bed, "first/a.csv", 1);
    bed.json(&["poll", "first"]);
    daemon.event("object_completed");

    bed.server.issuer().replace_keys("loopback", OTHER);
    fs::write(&key, OTHER).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    reload(&mut daemon);
    put(&bed, "first/b.csv", 1);
    bed.json(&["poll", "first"]);
    daemon.event("object_completed");
    assert!(!daemon.has_logged("pass_failed"), "{}", daemon.text());
}

fn reload(daemon: &mut Process) {
    daemon.signal(Signal::HUP);
    daemon.event("config_reloaded");
}

#[test]
fn what_would_lose_or_show_a_secret_is_refused() {
    let bed = bed(&integration("first", "vaulted"));
    let off = "[integrations.off]\nenabled = false\n[connections.off.assume_role]\n\
               access_key = { secret_access_key = { secret = \"vaulted-key\" } }\n";
    let config = fs::read_to_string(bed.config()).unwrap();
    fs::write(bed.config(), config.clone() + off).unwrap();
    check_refused(&with_input(&bed, &["secret", "rotate", "vaulted-key"], "x"), 1, &["secret set vaulted-key"]);
    store_keys(&bed);
    let again = with_input(&bed, &["secret", "set", "vaulted-key"], "cAnArY");
    check_refused(&again, 1, &["there is a secret `vaulted-key` already", "secret rotate vaulted-key"]);
    check_refused(&with_input(&bed, &["secret", "set", "empty"], "\n"), 1, &["secret `empty` of the vault is empty"]);
    check_refused(&bed.gristmill(&["secret", "set", "name", "cAnArY"]), 64, &["unexpected argument"]);
    check_refused(&bed.gristmill(&["secret", "set", "Name"]), 64, &["a secret's name has"]);

    let remove = bed.gristmill(&["secret", "remove", "vaulted-key"]);
    let places = [
        "connections.off.assume_role.access_key.secret_access_key",
        "connections.vaulted.access_key.secret_access_key",
    ];
    check_refused(&remove, 1, &places);
    assert!(bed.gristmill(&["secret", "remove", "vaulted-key", "--force"]).status.success());
    let listed = bed.json(&["secret", "list"]);
    assert_eq!(listed[1], json!({ "secret": "vaulted-key", "set": null, "references": places }));

    let key = bed.path("vault.key");
    let made = bed.gristmill(&["secret", "key", key.to_str().unwrap()]);
    check_refused(&made, 1, &["cannot make the key", "exists"]);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    let exposed = ["can be read by others than its owner (mode 640)", "chmod 600"];
    check_refused(&with_input(&bed, &["secret", "set", "more"], "x"), 1, &exposed);
    check_refused(&bed.gristmill(&["check"]), 1, &exposed[..1]);

    // Without a vault, and with one that is wrong.
    let (vault, rest) = config.split_once("[connections.vaulted]").unwrap();
    let without = vault.split_once("[vault]").unwrap().0;
    fs::write(bed.config(), format!("{without}[connections.vaulted]{rest}")).unwrap();
    check_refused(&bed.gristmill(&["secret", "list"]), 78, &["has no vault", "secret key FILE"]);
    check_refused(&bed.gristmill(&["check"]), 1, &["secret_access_key.secret: there is no vault", "[vault]"]);
    fs::write(bed.config(), format!("{without}[vault]\nkey = \"cAnArY\"\n[connections.vaulted]{rest}")).unwrap();
    let checked = bed.gristmill(&["check"]);
    check_refused(&checked, 1, &["vault.key: a table is expected here, not a string"]);
    assert!(!said(&checked).1.contains("cAnArY"));
}

#[test]
fn a_terminal_is_asked_and_shows_nothing() {
    let bed = bed("");
    let gristmill = format!("{} --config {} secret set typed", binary().display(), bed.config().display());
    let mut script = Command::new("script")
        .args(["--quiet", "--return", "--flush", "--command", &gristmill, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut shown, mut byte) = (Vec::new(), [0]);
    let mut out = script.stdout.take().unwrap();
    while !shown.ends_with(b"value of typed: ") {
        out.read_exact(&mut byte).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&shown)));
        shown.extend(byte);
    }
    let mut keys = script.stdin.take().unwrap();
    keys.write_all(b"loop\x7fpback\r").unwrap();
    out.read_to_end(&mut shown).unwrap();
    drop(keys);
    assert!(script.wait().unwrap().success());
    assert_eq!(String::from_utf8(shown).unwrap(), "value of typed: \r\n`typed` is stored\r\n");
    // What was typed is what is stored.
    let connection = bed.connection().replace("acme]", "typed]").replace("\"loopback\"", "{ secret = \"typed\" }");
    let config = fs::read_to_string(bed.config()).unwrap();
    fs::write(bed.config(), config + &connection).unwrap();
    let tested = bed.gristmill(&["connection", "test", "typed", &format!("s3://{BUCKET}/")]);
    assert!(tested.status.success(), "{tested:?}");
}

/// The system ends the process in the middle of the write: it may write no file of more than a kilobyte.
#[test]
fn a_write_that_is_cut_off_leaves_the_old_vault() {
    let bed = bed("");
    store_keys(&bed);
    store(&bed, "set", "long", &"x".repeat(2_000));
    let vault = bed.state().join("vault.json");
    let before = fs::read(&vault).unwrap();
    assert!(before.len() > 1_024, "{}", before.len());
    for arguments in ["secret rotate vaulted-key", "secret set more", "secret rekey"] {
        let gristmill = format!("{} --config {} {arguments}", binary().display(), bed.config().display());
        let mut shell = Command::new("prlimit");
        shell.args(["--fsize=1024", "--core=0", "sh", "-c", &format!("echo cAnArY | {{ exec {gristmill}; }}")]);
        let ended = shell.output().unwrap();
        assert!(!ended.status.success(), "{arguments}: {ended:?}");
        assert_eq!(fs::read(&vault).unwrap(), before, "{arguments}");
        let aside = fs::read(bed.state().join("vault.json.new")).unwrap();
        assert_eq!(aside.len(), 1_024, "it was cut off in the middle");
    }
    store(&bed, "rotate", "vaulted-key", OTHER);
    assert!(!bed.state().join("vault.json.new").exists());
}

#[test]
fn a_new_key_that_is_killed_at_any_moment_leaves_one_that_opens_the_vault() {
    let bed = bed("");
    store_keys(&bed);
    let began = Instant::now();
    assert!(bed.gristmill(&["secret", "rekey"]).status.success());
    let whole = began.elapsed();
    let mut killed = 0;
    for moment in 0..24 {
        let mut rekey = bed.command(&["secret", "rekey"]).stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(whole.mul_f64(f64::from(moment) / 20.0));
        let _ = rekey.kill();
        killed += usize::from(rekey.wait().unwrap().signal() == Some(9));
        let tested = bed.gristmill(&["connection", "test", "vaulted", &format!("s3://{BUCKET}/")]);
        assert!(tested.status.success(), "at moment {moment}: {tested:?}");
    }
    assert!(killed > 5, "{killed} were killed");
    let mut left: Vec<_> = fs::read_dir(bed.state()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.retain(|name| name.to_string_lossy().starts_with("vault"));
    assert!(left.len() <= 2, "{left:?}");
}
