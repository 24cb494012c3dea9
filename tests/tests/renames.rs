//! Names change, and what was taken under the old one is not taken again (R17).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::time::Duration;

use gristmill_loopback_s3::{Config, Fault, Operation, Server};
use gristmill_tests::daemon::{Bed, Ran};
use rustix::process::Signal;

const BUCKET: &str = "exports";

fn ground() -> (Server, Bed) {
    let server = Server::start(Config::with_bucket(BUCKET)).unwrap();
    let bed = Bed::new(&server.endpoint(), "loopback", "loopback-secret");
    (server, bed)
}

/// An integration that adds up what its files say, so that nothing taken twice stays unseen.
fn integration(name: &str, more: &str) -> String {
    format!(
        "[integrations.{name}]\nconnection = \"main\"\nbucket = \"{BUCKET}\"\npoll_interval = \"1h\"\n{more}\
         matching = {{ on_no_match = \"create\" }}\nidentifiers = [{{ column = \"id\", match = \"crm_id\" }}]\n\
         [[integrations.{name}.usage]]\nproduct = \"Core\"\nperiod = \"monthly\"\ndate = {{ column = \"day\" }}\n\
         repeat = \"add\"\nmetrics = [{{ column = \"calls\", metric = \"calls\", aggregate = \"sum\" }}]\n"
    )
}

const OLD: &str = "acme-old";
const NEW: &str = "acme";
const RENAMED: &str = "renamed_from = \"acme-old\"\n";

fn usage(bed: &Bed) -> Vec<String> {
    bed.rows("SELECT crm_id, value, integration FROM usage_records ORDER BY 1")
}

/// One file with a row that is refused.
fn take_under_the_old_name(server: &Server, bed: &Bed, more: &str) {
    bed.configure(&integration(OLD, more));
    server.put(BUCKET, "october.csv", "id,day,calls\n1,2024-10-01,1\n1,2024-10-02,ten\n").unwrap();
    let ran = bed.once();
    assert_eq!(ran.counts(OLD), [1, 0, 0, 1, 0, 0], "{ran:?}");
}

fn renames(ran: &Ran) -> usize {
    ran.events("integration_renamed").len()
}

/// R17, R10
#[test]
fn a_hand_edit_that_names_the_former_name_takes_nothing_again() {
    let (server, bed) = ground();
    take_under_the_old_name(&server, &bed, "");
    let rejects = bed.files("state/rejects");
    let name = rejects.first().unwrap();
    let mended = fs::read_to_string(bed.state().join("rejects").join(name)).unwrap().replace(",ten,", ",10,");

    bed.configure(&integration(NEW, RENAMED));
    let ran = bed.once();
    assert_eq!((ran.counts(NEW), renames(&ran)), ([1, 1, 0, 0, 0, 0], 1), "{ran:?}");
    assert_eq!(usage(&bed), ["1|1|acme"]);
    assert!(bed.ledger(OLD).is_empty());
    assert_eq!(bed.files("state/rejects"), [name.replace(OLD, NEW)]);
    // What was refused under the old name is mended under the new one, and says the old one.
    assert!(mended.contains("acme-old:main/exports/october.csv"), "{mended}");
    server.put(BUCKET, "mended.csv", mended).unwrap();
    let ran = bed.once();
    assert_eq!((ran.counts(NEW), renames(&ran)), ([2, 1, 1, 0, 0, 0], 0), "{ran:?}");
    assert_eq!(usage(&bed), ["1|11|acme"]);
    // A replay knows what was mended, under whichever name.
    assert_eq!(bed.command(["replay", NEW, "--prefix", ""]).code, 0);
    let ran = bed.once();
    assert_eq!(ran.pass(NEW)["failed"], 0, "{ran:?}");
    assert_eq!(usage(&bed), ["1|11|acme"]);
    // The old name is free for another integration.
    bed.configure(&(integration(NEW, "") + &integration(OLD, "prefix = \"other/\"\n")));
    let ran = bed.once();
    assert_eq!((ran.counts(NEW)[1], ran.counts(OLD)[0]), (2, 0), "{ran:?}");
}

/// I3, R17: the process ends between the ledger and the last destination.
#[test]
fn a_renaming_that_was_cut_off_is_finished_by_the_next_start() {
    let (server, bed) = ground();
    let lake = "[destinations.main]\nsqlite = {}\n[destinations.lake]\nfiles.path = \"lake\"\n";
    let both = "destination = [\"main\", \"lake\"]\n";
    let configure =
        |name: &str, more: &str| bed.configure(&(lake.to_owned() + &integration(name, &(both.to_owned() + more))));
    configure(OLD, "");
    server.put(BUCKET, "october.csv", "id,day,calls\n1,2024-10-01,1\n").unwrap();
    assert_eq!(bed.once().counts(OLD), [1, 0, 1, 0, 0, 0]);

    // Somebody's own folder stands in the lake where the new name's has to be.
    let in_the_way = bed.state().join("lake/default").join(NEW);
    fs::create_dir(&in_the_way).unwrap();
    configure(NEW, RENAMED);
    let daemon = bed.start();
    let disabled = daemon.wait_for("part_disabled", |line| line["event"] == "part_disabled");
    let problem = disabled["problem"].as_str().unwrap();
    assert!(problem.starts_with("destination `lake` does not follow from `acme-old` to `acme`"), "{disabled}");
    assert_eq!(usage(&bed), ["1|1|acme"], "the first has followed already");
    let status = bed.command(["status", "--json"]);
    assert_eq!(status.values[0]["integrations"][0]["activity"], "disabled", "{status:?}");
    daemon.signal(Signal::KILL);
    drop(daemon);

    fs::remove_dir(&in_the_way).unwrap();
    let ran = bed.once();
    assert_eq!((ran.counts(NEW), renames(&ran)), ([1, 1, 0, 0, 0, 0], 0), "{ran:?}");
    assert_eq!(usage(&bed), ["1|1|acme"]);
    let lake = bed.files("state/lake/default");
    assert!(!lake.is_empty() && lake.iter().all(|path| path.starts_with("acme/")), "{lake:?}");
    let manifest = lake.iter().find(|path| path.ends_with("ingestion.json")).unwrap();
    let manifest = fs::read_to_string(bed.state().join("lake/default").join(manifest)).unwrap();
    assert!(manifest.contains("\"integration\": \"acme\""), "{manifest}");
    assert_eq!(bed.command(["ledger", "reconcile", NEW, "--dry-run"]).code, 0);
}

/// R17: a destination that is tried again later follows all the same, and until then nothing is taken.
#[test]
fn a_destination_that_cannot_be_opened_is_waited_for() {
    let (server, bed) = ground();
    let lake = "[destinations.main]\nsqlite = {}\n[destinations.lake]\nfiles.path = \"lake\"\n";
    let both = "destination = [\"main\", \"lake\"]\n";
    let configure =
        |name: &str, more: &str| bed.configure(&(lake.to_owned() + &integration(name, &(both.to_owned() + more))));
    configure(OLD, "");
    server.put(BUCKET, "october.csv", "id,day,calls\n1,2024-10-01,1\n").unwrap();
    assert_eq!(bed.once().counts(OLD), [1, 0, 1, 0, 0, 0]);

    let (place, away) = (bed.state().join("lake"), bed.state().join("lake-away"));
    fs::rename(&place, &away).unwrap();
    fs::write(&place, "in the way").unwrap();
    configure(NEW, RENAMED);
    let ran = bed.once();
    let refusal = ran.refusal(NEW);
    assert!(
        refusal.starts_with("destination `lake` does not follow from `acme-old` to `acme`: cannot make"),
        "{ran:?}"
    );
    fs::remove_file(&place).unwrap();
    fs::rename(&away, &place).unwrap();
    let ran = bed.once();
    assert_eq!((ran.code, ran.counts(NEW)), (0, [1, 1, 0, 0, 0, 0]), "{ran:?}");
    let lake = bed.files("state/lake/default");
    assert!(!lake.is_empty() && lake.iter().all(|path| path.starts_with("acme/")), "{lake:?}");
}

/// R17: a reload waits for the files that are at work under the old name.
#[test]
fn a_reload_renames_when_the_old_name_has_finished_its_files() {
    let (server, bed) = ground();
    take_under_the_old_name(&server, &bed, "");
    server.faults().next_of(Operation::GetObject, "november.csv", 1, Fault::Slow { pause: Duration::from_secs(2) });
    server.put(BUCKET, "november.csv", "id,day,calls\n1,2024-10-03,100\n").unwrap();
    let before = server.faults().seen(Operation::GetObject);
    let daemon = bed.start();
    gristmill_tests::process::until("the fetch begins", || {
        (server.faults().seen(Operation::GetObject) > before).then_some(())
    });
    bed.configure(&integration(NEW, RENAMED));
    daemon.signal(Signal::HUP);
    let done =
        daemon.wait_for("the new name's pass", |line| line["event"] == "pass_finished" && line["integration"] == NEW);
    assert_eq!((&done["listed"], &done["known"]), (&2.into(), &2.into()), "{done}");
    assert_eq!(usage(&bed), ["1|101|acme"]);
    assert_eq!(daemon.stop(), 0);
}

/// R15, R17
#[test]
fn a_former_name_that_cannot_be_meant_disables_the_integration_and_takes_nothing() {
    let (server, bed) = ground();
    take_under_the_old_name(&server, &bed, "");
    bed.configure(&integration(NEW, "renamed_from = \"acme-odl\"\n"));
    let ran = bed.once();
    assert_eq!(
        ran.refusal(NEW),
        "the ledger has nothing of `acme-odl`, which `renamed_from` names — put the former name right; or take \
         `renamed_from` out, and it begins as a new integration"
    );
    bed.configure(&(integration(NEW, RENAMED) + &integration(OLD, "")));
    let checked = bed.command(["check"]);
    assert!(checked.output.contains("there still is an integration `acme-old`"), "{checked:?}");
    // Both have taken something by now.
    bed.configure(&integration(NEW, ""));
    bed.once();
    bed.configure(&integration(NEW, RENAMED));
    let refusal = bed.once().refusal(NEW);
    assert!(refusal.starts_with("the ledger has objects of `acme-old`, and of `acme` as well"), "{refusal}");
}

/// R17, R10: what is known by the connection's former key goes on to be known by it.
#[test]
fn rejects_from_before_a_connection_got_another_key_can_be_mended() {
    let (server, bed) = ground();
    take_under_the_old_name(&server, &bed, "");
    let rejects = bed.files("state/rejects");
    let rejects = fs::read_to_string(bed.state().join("rejects").join(rejects.first().unwrap())).unwrap();
    assert_eq!(bed.command(["connection", "rename", "main", "elsewhere"]).code, 0);
    server.put(BUCKET, "mended.csv", rejects.replace(",ten,", ",10,")).unwrap();
    let ran = bed.once();
    assert_eq!(ran.counts(OLD), [2, 1, 1, 0, 0, 0], "{ran:?}");
    assert_eq!(usage(&bed), ["1|11|acme-old"]);
    // Both at once: the integration gets another name, and its connection another key.
    let both = fs::read_to_string(bed.config()).unwrap().replace("elsewhere", "main").replace(OLD, NEW);
    let both = both.replace("renamed_from = \"main\"", "renamed_from = \"elsewhere\"");
    fs::write(bed.config(), both.replace("bucket =", &format!("{RENAMED}bucket ="))).unwrap();
    let ran = bed.once();
    assert_eq!((ran.counts(NEW), usage(&bed)), ([2, 2, 0, 0, 0, 0], vec!["1|11|acme".to_owned()]), "{ran:?}");
}

/// R17: without a daemon.
#[test]
fn the_command_changes_the_name_alone_and_everything_goes_along() {
    let (server, bed) = ground();
    take_under_the_old_name(&server, &bed, "prefix = \"\" # the whole bucket\n");
    let before = fs::read_to_string(bed.config()).unwrap();
    let ran = bed.command(["integration", "rename", OLD, NEW, "--json"]);
    assert_eq!((ran.code, &ran.values[0]["former_names"][0]), (0, &OLD.into()), "{ran:?}");
    let after = fs::read_to_string(bed.config()).unwrap();
    assert_eq!(
        after.replace(RENAMED, ""),
        before
            .replace("[integrations.acme-old", "[integrations.acme")
            .replace("[[integrations.acme-old", "[[integrations.acme")
    );
    assert_eq!(usage(&bed), ["1|1|acme"], "the store has followed before anybody starts");
    assert_eq!(bed.once().counts(NEW), [1, 1, 0, 0, 0, 0]);

    // And a second time, of which the first is no longer said in the file.
    let ran = bed.command(["integration", "rename", NEW, "acme-eu"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.output.contains("`acme` is `acme-eu` now"), "{ran:?}");
    assert_eq!((bed.once().counts("acme-eu"), usage(&bed)), ([1, 1, 0, 0, 0, 0], vec!["1|1|acme-eu".to_owned()]));

    let unknown = bed.command(["integration", "rename", NEW, "other"]);
    assert!(unknown.code != 0 && unknown.errors.contains("there is no integration `acme`"), "{unknown:?}");
    let file = fs::read_to_string(bed.config()).unwrap() + &integration("third", "");
    fs::write(bed.config(), &file).unwrap();
    let taken = bed.command(["integration", "rename", "third", "acme-eu"]);
    assert_eq!(taken.code, 78, "{taken:?}");
    assert!(taken.errors.contains("has a table `[integrations.acme-eu]` already"), "{taken:?}");
    assert_eq!(fs::read_to_string(bed.config()).unwrap(), file);
}

/// R14, R17: beside a daemon, which goes on without a restart.
#[test]
fn the_command_renames_beside_a_running_daemon() {
    let (server, bed) = ground();
    take_under_the_old_name(&server, &bed, "");
    let daemon = bed.start();
    daemon.wait_for("a pass", |line| line["event"] == "pass_finished" && line["integration"] == OLD);
    let ran = bed.command(["integration", "rename", OLD, NEW]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(usage(&bed), ["1|1|acme"]);
    let pass = daemon.wait_for("a pass", |line| line["event"] == "pass_finished" && line["integration"] == NEW);
    assert_eq!((&pass["listed"], &pass["known"]), (&1.into(), &1.into()), "{pass}");
    let status = bed.command(["status", "--json"]);
    let names: Vec<&str> = status.values[0]["integrations"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|one| one["integration"].as_str())
        .collect();
    assert_eq!(names, [NEW], "{status:?}");
    assert_eq!(daemon.stop(), 0);
}

/// R17: a connection that leads to another server shows other objects, whatever their names.
#[test]
fn an_integration_on_another_server_waits_until_it_is_adopted() {
    let (server, bed) = ground();
    take_under_the_old_name(&server, &bed, "");
    let other = Server::start(Config::with_bucket(BUCKET)).unwrap();
    other.put(BUCKET, "october.csv", "id,day,calls\n1,2024-10-01,7\n").unwrap();
    other.put(BUCKET, "november.csv", "id,day,calls\n1,2024-11-01,5\n").unwrap();
    let here = fs::read_to_string(bed.config()).unwrap();
    let there = here.replace(&server.endpoint(), &other.endpoint());

    // Another secret for the same server is no other place.
    let secret = bed.path("another-secret");
    fs::copy(bed.path("secret"), &secret).unwrap();
    fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    fs::write(bed.config(), here.replace("/secret\"", "/another-secret\"")).unwrap();
    assert_eq!(bed.once().counts(OLD), [1, 1, 0, 0, 0, 0]);

    fs::write(bed.config(), &there).unwrap();
    let refusal = bed.once().refusal(OLD);
    assert!(refusal.starts_with("it looked for its files in s3://exports/ on http://127.0.0.1:"), "{refusal}");
    assert!(refusal.contains("gristmill ledger adopt acme-old --reingest"), "{refusal}");
    let daemon = bed.start();
    daemon.wait_for("a pause", |line| line["event"] == "integration_paused");
    let status = bed.command(["status"]);
    assert!(status.output.contains("paused acme-old"), "{status:?}");
    assert!(status.output.contains("gristmill ledger adopt acme-old --reingest"), "{status:?}");
    assert_eq!(usage(&bed), ["1|1|acme-old"]);
    let adopted = bed.command(["ledger", "adopt", OLD, "--reingest", "--json"]);
    assert_eq!((adopted.code, &adopted.values[0]["again"]), (0, &1.into()), "{adopted:?}");
    let pass = daemon.wait_for("a pass", |line| line["event"] == "pass_finished");
    assert_eq!(pass["listed"], 2, "{pass}");
    assert_eq!(daemon.stop(), 0);
    let months = "SELECT period_start, value FROM usage_records ORDER BY 1";
    assert_eq!(
        bed.rows(months),
        ["2024-10-01|7", "2024-11-01|5"],
        "a newer version of its key takes the place of the old one"
    );
    assert_eq!(bed.once().counts(OLD), [2, 2, 0, 0, 0, 0]);

    // What is the same on a server that has moved stays taken.
    let moved = Server::start(Config::with_bucket(BUCKET)).unwrap();
    moved.put(BUCKET, "october.csv", "id,day,calls\n1,2024-10-01,7\n").unwrap();
    fs::write(bed.config(), here.replace(&server.endpoint(), &moved.endpoint())).unwrap();
    assert!(bed.once().refusal(OLD).starts_with("it looked"));
    assert_eq!(bed.command(["ledger", "adopt", OLD]).code, 0);
    assert_eq!(bed.once().counts(OLD), [1, 1, 0, 0, 0, 0]);
}

/// R17: a prefix that shows more or fewer of the same keys needs nobody's word.
#[test]
fn another_bucket_or_a_prefix_aside_waits_and_a_wider_prefix_does_not() {
    let (server, bed) = ground();
    server.put(BUCKET, "daily/a.csv", "id,day,calls\n1,2024-10-01,1\n").unwrap();
    server.put(BUCKET, "weekly/a.csv", "id,day,calls\n1,2024-10-01,10\n").unwrap();
    let configure = |more: &str| bed.configure(&integration(OLD, more));
    configure("prefix = \"daily/\"\n");
    assert_eq!(bed.once().counts(OLD), [1, 0, 1, 0, 0, 0]);
    configure("prefix = \"weekly/\"\n");
    let refusal = bed.once().refusal(OLD);
    assert!(refusal.contains("s3://exports/daily/") && refusal.contains("s3://exports/weekly/"), "{refusal}");
    configure("");
    assert_eq!(bed.once().counts(OLD), [2, 1, 1, 0, 0, 0], "all of them, of which one was taken");
    let elsewhere = integration(OLD, "").replace("bucket = \"exports\"", "bucket = \"imports\"");
    bed.configure(&elsewhere);
    assert!(bed.once().refusal(OLD).contains("put `main` and the bucket `exports` back"));
    let refused = bed.command(["ledger", "adopt", OLD]);
    assert!(refused.code == 1 && refused.errors.contains("nothing of s3://imports/"), "{refused:?}");
    assert_eq!(bed.command(["ledger", "adopt", OLD, "--reingest"]).code, 0);
    assert!(bed.once().refusal(OLD).starts_with("cannot list `s3://"));
}
