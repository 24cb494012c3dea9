//! Files are copied to another place, and what was taken of them there is not taken again (R17).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::time::{Duration, SystemTime};

use gristmill_loopback_s3::{Backing, Config, Fault, Operation, Server};
use gristmill_tests::daemon::Bed;
use rustix::process::Signal;

const OLD: &str = "exports";
const NEW: &str = "archive";
const NAME: &str = "acme";
const OCTOBER: &str = "id,day,calls\n1,2024-10-01,1\n1,2024-10-02,ten\n";
const NOVEMBER: &str = "id,day,calls\n1,2024-10-03,100\n";

fn ground() -> (Server, Bed) {
    let buckets = [OLD, NEW].map(|name| (name.to_owned(), Backing::Memory)).to_vec();
    let server = Server::start(Config { buckets, ..Config::with_bucket(OLD) }).unwrap();
    let bed = Bed::new(&server.endpoint(), "loopback", "loopback-secret");
    (server, bed)
}

/// An integration that adds up what its files say, so that nothing taken twice stays unseen.
fn integration(place: &str) -> String {
    format!(
        "[integrations.{NAME}]\nconnection = \"main\"\n{place}poll_interval = \"1h\"\n\
         matching = {{ on_no_match = \"create\" }}\nidentifiers = [{{ column = \"id\", match = \"crm_id\" }}]\n\
         [[integrations.{NAME}.usage]]\nproduct = \"Core\"\nperiod = \"monthly\"\ndate = {{ column = \"day\" }}\n\
         repeat = \"add\"\nmetrics = [{{ column = \"calls\", metric = \"calls\", aggregate = \"sum\" }}]\n"
    )
}

const BEFORE: &str = "bucket = \"exports\" # for now\nprefix = \"daily/\"\n";
const AFTER: &str = "bucket = \"archive\"\nprefix = \"acme/2024/\"\n";
const MOVED: &str = "moved_from = { connection = \"main\", bucket = \"exports\", prefix = \"daily/\" }\n";

fn usage(bed: &Bed) -> Vec<String> {
    bed.rows("SELECT crm_id, value, bucket FROM usage_records ORDER BY 1")
}

/// Two files, of one of which a row is refused.
fn take_where_they_were(server: &Server, bed: &Bed, more: &str) {
    bed.configure(&(more.to_owned() + &integration(BEFORE)));
    server.put(OLD, "daily/october.csv", OCTOBER).unwrap();
    server.put(OLD, "daily/november.csv", NOVEMBER).unwrap();
    assert_eq!(bed.once().counts(NAME), [2, 0, 1, 1, 0, 0]);
    assert_eq!(usage(bed), ["1|101|exports"]);
}

/// The same bytes have the same ETags, and the time of the copy.
fn copy(server: &Server) {
    for (key, text) in [("october.csv", OCTOBER), ("november.csv", NOVEMBER)] {
        let key = format!("acme/2024/{key}");
        server.put(NEW, &key, text).unwrap();
        server.set_last_modified(NEW, &key, SystemTime::now() + Duration::from_secs(3_600)).unwrap();
    }
}

/// R17, R9, R10
#[test]
fn copied_files_are_not_taken_again_and_a_changed_one_replaces_what_it_brought() {
    let (server, bed) = ground();
    take_where_they_were(&server, &bed, "");
    let rejects = bed.files("state/rejects");
    let mended = fs::read_to_string(bed.state().join("rejects").join(&rejects[0])).unwrap().replace(",ten,", ",10,");
    let before = fs::read_to_string(bed.config()).unwrap();
    copy(&server);

    let ran = bed.command(["integration", "repoint", NAME, "--bucket", NEW, "--prefix", "acme/2024/", "--json"]);
    assert_eq!((ran.code, &ran.values[0]["place"]["bucket"]), (0, &NEW.into()), "{ran:?}");
    let after = fs::read_to_string(bed.config()).unwrap();
    let edited = before.replace("\"exports\"", "\"archive\"").replace("\"daily/\"", "\"acme/2024/\"");
    assert_eq!(after.replace(MOVED, ""), edited, "nothing else is touched");
    assert_eq!(usage(&bed), ["1|101|archive"], "the store has followed before anybody starts");
    assert_eq!(bed.files("state/rejects"), [rejects[0].replace("daily%2F", "acme%2F2024%2F")]);

    assert_eq!(bed.once().counts(NAME), [2, 2, 0, 0, 0, 0]);
    // A newer version of its key replaces what the file brought where it was.
    server.put(NEW, "acme/2024/november.csv", "id,day,calls\n1,2024-10-03,1000\n").unwrap();
    assert_eq!(bed.once().counts(NAME), [2, 1, 1, 0, 0, 0]);
    assert_eq!(usage(&bed), ["1|1001|archive"]);
    // What was refused in the former place is mended in the new one, and says the old one.
    assert!(mended.contains("acme:main/exports/daily/october.csv"), "{mended}");
    server.put(NEW, "acme/2024/mended.csv", mended).unwrap();
    assert_eq!(bed.once().counts(NAME), [3, 2, 1, 0, 0, 0]);
    assert_eq!(usage(&bed), ["1|1011|archive"]);
    assert_eq!(bed.command(["replay", NAME, "--prefix", ""]).code, 0);
    let ran = bed.once();
    assert_eq!(ran.pass(NAME)["failed"], 0, "{ran:?}");
    assert_eq!(usage(&bed), ["1|1011|archive"]);
    assert_eq!(bed.command(["ledger", "reconcile", NAME, "--dry-run"]).code, 0);
}

/// R17: nothing is taken until somebody says what it means, and one word is enough.
#[test]
fn a_place_that_was_changed_by_hand_waits_and_is_repointed_by_name() {
    let (server, bed) = ground();
    take_where_they_were(&server, &bed, "");
    copy(&server);
    bed.configure(&integration(AFTER));
    let refusal = bed.once().refusal(NAME);
    assert!(refusal.contains("its files were moved there: gristmill integration repoint acme;"), "{refusal}");
    let ran = bed.command(["integration", "repoint", NAME]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let said =
        "what `acme` took in s3://exports/daily/ over `main` is taken in s3://archive/acme/2024/ over `main` now";
    assert_eq!(ran.output.trim_end(), said);
    assert!(fs::read_to_string(bed.config()).unwrap().contains(MOVED));
    assert_eq!((bed.once().counts(NAME), usage(&bed)), ([2, 2, 0, 0, 0, 0], vec!["1|101|archive".to_owned()]));
    // However often it is said.
    let ran = bed.command(["integration", "repoint", NAME]);
    assert!(ran.code == 0 && ran.output.contains("as it did"), "{ran:?}");
    let ran = bed.command(["integration", "repoint", NAME, "--bucket", "a/b"]);
    assert_eq!(ran.code, 78, "{ran:?}");
    assert_eq!(bed.once().counts(NAME), [2, 2, 0, 0, 0, 0]);
}

/// R17: everything was put into a folder of its own, below the prefix that it had, and one file has the key of another.
#[test]
fn files_that_were_moved_into_a_folder_of_the_same_bucket_are_not_taken_again() {
    let (server, bed) = ground();
    bed.configure(&integration("bucket = \"exports\"\n"));
    let other = "id,day,calls\n1,2024-10-03,100\n1,2024-10-04,many\n";
    let put = |keys: [&str; 2]| {
        for (key, text) in keys.into_iter().zip([OCTOBER, other]) {
            server.put(OLD, key, text).unwrap();
        }
    };
    put(["a.csv", "acme/a.csv"]);
    assert_eq!(bed.once().counts(NAME), [2, 0, 0, 2, 0, 0]);
    let refused = |name: &str| {
        let found = bed.files("state/rejects").into_iter().find(|path| path.starts_with(&format!("acme/{name}.")));
        fs::read_to_string(bed.state().join("rejects").join(found.unwrap())).unwrap()
    };
    put(["acme/a.csv", "acme/acme/a.csv"]);
    server.delete(OLD, "a.csv").unwrap();
    assert_eq!(bed.command(["integration", "repoint", NAME, "--prefix", "acme/"]).code, 0);
    assert_eq!(bed.once().counts(NAME), [2, 2, 0, 0, 0, 0]);
    let keys = "SELECT DISTINCT key, bucket FROM ingestion_history ORDER BY 1";
    assert_eq!(bed.rows(keys), ["acme/a.csv|exports", "acme/acme/a.csv|exports"]);
    assert!(refused("acme%2Fa.csv").contains("ten") && refused("acme%2Facme%2Fa.csv").contains("many"));
    // And out of it again.
    put(["a.csv", "acme/a.csv"]);
    server.delete(OLD, "acme/acme/a.csv").unwrap();
    assert_eq!(bed.command(["integration", "repoint", NAME, "--prefix", ""]).code, 0);
    assert_eq!(bed.once().counts(NAME), [2, 2, 0, 0, 0, 0]);
    assert_eq!(bed.rows("SELECT crm_id, value FROM usage_records"), ["1|101"]);
    assert!(refused("a.csv").contains("ten") && refused("acme%2Fa.csv").contains("many"));
}

/// I3, R17: the process ends between the ledger and the last destination.
#[test]
fn a_move_that_was_cut_off_is_finished_by_the_next_start() {
    let (server, bed) = ground();
    let lake = "[destinations.main]\nsqlite = {}\n[destinations.lake]\nfiles.path = \"lake\"\n";
    let configure = |place: &str| {
        bed.configure(&(lake.to_owned() + &integration(&format!("destination = [\"main\", \"lake\"]\n{place}"))));
    };
    configure(BEFORE);
    server.put(OLD, "daily/october.csv", OCTOBER).unwrap();
    assert_eq!(bed.once().counts(NAME), [1, 0, 0, 1, 0, 0]);
    copy(&server);
    server.delete(NEW, "acme/2024/november.csv").unwrap();

    let (place, away) = (bed.state().join("lake"), bed.path("lake-away"));
    fs::rename(&place, &away).unwrap();
    fs::write(&place, "in the way").unwrap();
    configure(&(AFTER.to_owned() + MOVED));
    let daemon = bed.start();
    let disabled = daemon
        .wait_for("part_disabled", |line| line["event"] == "part_disabled" && line["part"] == "integrations.acme");
    let problem = disabled["problem"].as_str().unwrap();
    let expected = "destination `lake` does not follow from s3://exports/daily/ over `main` to s3://archive/acme/2024/";
    assert!(problem.starts_with(expected), "{disabled}");
    assert_eq!(usage(&bed), ["1|1|archive"], "the first has followed already");
    daemon.signal(Signal::KILL);
    drop(daemon);

    fs::remove_file(&place).unwrap();
    fs::rename(&away, &place).unwrap();
    let ran = bed.once();
    assert_eq!((ran.counts(NAME), ran.events("integration_repointed").len()), ([1, 1, 0, 0, 0, 0], 0), "{ran:?}");
    assert_eq!(usage(&bed), ["1|1|archive"]);
    let lake = bed.files("state/lake/default");
    let manifest = lake.iter().find(|path| path.ends_with("ingestion.json")).unwrap();
    let manifest = fs::read_to_string(bed.state().join("lake/default").join(manifest)).unwrap();
    assert!(manifest.contains("\"key\": \"acme/2024/october.csv\""), "{manifest}");
    assert!(!manifest.contains("daily/"), "{manifest}");
    assert_eq!(bed.command(["replay", NAME, "--prefix", ""]).code, 0);
    assert_eq!(bed.once().counts(NAME), [1, 0, 0, 1, 0, 0]);
    assert_eq!(bed.files("state/lake/default").len(), lake.len(), "a replay replaces what was moved");
}

/// R14, R17: beside a daemon, which finishes what is at work in the former place.
#[test]
fn the_command_waits_for_files_that_are_at_work_in_the_former_place() {
    let (server, bed) = ground();
    take_where_they_were(&server, &bed, "");
    server.faults().next_of(
        Operation::GetObject,
        "daily/december.csv",
        1,
        Fault::Slow { pause: Duration::from_secs(2) },
    );
    server.put(OLD, "daily/december.csv", "id,day,calls\n1,2024-10-04,1000\n").unwrap();
    let before = server.faults().seen(Operation::GetObject);
    let daemon = bed.start();
    gristmill_tests::process::until("the fetch begins", || {
        (server.faults().seen(Operation::GetObject) > before).then_some(())
    });
    copy(&server);
    server.put(NEW, "acme/2024/december.csv", "id,day,calls\n1,2024-10-04,1000\n").unwrap();
    let ran = bed.command(["integration", "repoint", NAME, "--bucket", NEW, "--prefix", "acme/2024/"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(usage(&bed), ["1|1101|archive"]);
    let is_after = |line: &serde_json::Value| line["event"] == "pass_finished" && line["known"] == 3;
    let pass = daemon.wait_for("a pass over the new place", is_after);
    assert_eq!(pass["listed"], 3, "{pass}");
    assert_eq!(usage(&bed), ["1|1101|archive"]);
    assert_eq!(daemon.stop(), 0);
}

/// R8, R17: a copy has the time of the copying, and a replay puts nothing into another period for it.
#[test]
fn a_replay_after_the_move_lands_in_the_periods_of_the_first_time() {
    let (server, bed) = ground();
    let monthly = |place: &str| integration(place).replace("date = { column = \"day\" }\n", "");
    bed.configure(&monthly("bucket = \"exports\"\n"));
    let file = "id,calls\n1,5\n";
    server.put(OLD, "usage.csv", file).unwrap();
    let spring = SystemTime::UNIX_EPOCH + Duration::from_secs(1_710_000_000);
    server.set_last_modified(OLD, "usage.csv", spring).unwrap();
    assert_eq!(bed.once().counts(NAME), [1, 0, 1, 0, 0, 0]);
    let periods = "SELECT period_start, value FROM usage_records";
    assert_eq!(bed.rows(periods), ["2024-02-01|5"]);
    server.put(NEW, "usage.csv", file).unwrap();
    assert_eq!(bed.command(["integration", "repoint", NAME, "--bucket", NEW]).code, 0);
    assert_eq!(bed.command(["replay", NAME, "--prefix", ""]).code, 0);
    assert_eq!(bed.once().counts(NAME), [1, 0, 1, 0, 0, 0]);
    assert_eq!(bed.rows(periods), ["2024-02-01|5"]);
}

/// R15, R17
#[test]
fn a_former_place_that_cannot_be_meant_disables_the_integration_and_takes_nothing() {
    let (server, bed) = ground();
    take_where_they_were(&server, &bed, "");
    copy(&server);
    bed.configure(&integration(&(AFTER.to_owned() + &MOVED.replace("daily/", "dayly/"))));
    let refusal = bed.once().refusal(NAME);
    assert!(refusal.starts_with("it looked for its files in s3://exports/daily/ on http://127.0.0.1:"), "{refusal}");
    assert!(refusal.contains("which `moved_from` does not name"), "{refusal}");
    assert_eq!(usage(&bed), ["1|101|exports"]);
    // The command puts it right.
    assert_eq!(bed.command(["integration", "repoint", NAME]).code, 0);
    assert_eq!((bed.once().counts(NAME), usage(&bed)), ([2, 2, 0, 0, 0, 0], vec!["1|101|archive".to_owned()]));
}
