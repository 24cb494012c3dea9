//! A backup is taken while files come, and what is put back goes on as if nothing had happened.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use gristmill_loopback_s3::{Config, Server};
use gristmill_tests::daemon::{Bed, Daemon, Ran};

const BUCKET: &str = "exports";

const INTEGRATION: &str = r#"
[integrations.acme]
connection = "main"
bucket = "exports"
poll_interval = "1s"
matching = { on_no_match = "create" }
identifiers = [{ column = "id", match = "crm_id" }]
fields = [{ column = "stage", field = "stage", type = "text" }]
"#;

struct Ground {
    server: Server,
    bed: Bed,
}

impl Ground {
    fn new() -> Self {
        let server = Server::start(Config::with_bucket(BUCKET)).unwrap();
        let bed = Bed::new(&server.endpoint(), "loopback", "loopback-secret");
        bed.configure(INTEGRATION);
        Self { server, bed }
    }

    /// Accounts of its own, and one that every file says something of.
    fn put(&self, number: usize) {
        let rows: String = (0..200).map(|row| format!("{number}-{row},won\n")).collect();
        self.server.put(BUCKET, &format!("{number:03}.csv"), format!("id,stage\nall,{number}\n{rows}")).unwrap();
    }

    fn back_up(&self) -> Ran {
        let ran = self.bed.command(["backup".as_ref(), self.backup().as_os_str()]);
        assert_eq!(ran.code, 0, "{ran:?}");
        ran
    }

    fn restore(&self, more: &[&str]) -> Ran {
        let backup = self.backup();
        self.bed.command([&["restore", backup.to_str().unwrap()], more].concat())
    }

    fn backup(&self) -> PathBuf {
        self.bed.path("backup")
    }

    fn completed(&self) -> usize {
        self.bed.ledger("acme").iter().filter(|entry| entry["state"] == "completed").count()
    }

    /// How often an object was merged that was not merged before.
    fn merges(&self) -> Vec<String> {
        self.bed.rows("SELECT count(*), count(DISTINCT dedup_key) FROM ingestions")
    }
}

fn wait_for_files(daemon: &Daemon, last: usize) {
    let object = format!("s3://{BUCKET}/{last:03}.csv");
    daemon.wait_for(&object, |line| line["event"] == "object_completed" && line["object"] == object.as_str());
}

fn modes(below: &Path) -> Vec<u32> {
    let mut found = vec![fs::metadata(below).unwrap().permissions().mode() & 0o777];
    if below.is_dir() {
        found.extend(fs::read_dir(below).unwrap().flat_map(|entry| modes(&entry.unwrap().path())));
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// R18, I3
#[test]
fn what_came_during_a_backup_is_neither_lost_nor_doubled_after_a_restore() {
    let ground = Ground::new();
    (0..20).for_each(|number| ground.put(number));
    let daemon = ground.bed.start();
    daemon.wait_for("a first file", |line| line["event"] == "object_completed");
    std::thread::scope(|scope| {
        scope.spawn(|| (20..40).for_each(|number| ground.put(number)));
        ground.back_up();
    });
    (20..40).for_each(|number| wait_for_files(&daemon, number));
    daemon.wait_for_pass("acme");
    assert_eq!(daemon.stop(), 0);
    let undisturbed = ground.bed.content();
    assert_eq!(ground.merges(), ["40|40"]);

    fs::remove_dir_all(ground.bed.state()).unwrap();
    let restored = ground.restore(&[]);
    assert_eq!(restored.code, 0, "{restored:?}");
    assert!(restored.output.starts_with("restored as of 20"), "{restored:?}");
    assert_eq!(modes(&ground.bed.state()), [0o600, 0o700]);
    assert_eq!(ground.bed.files("state"), ["ledger.redb", "store/default.db"]);
    let ran = ground.bed.once();
    assert_eq!((ran.code, ran.counts("acme")[0]), (0, 40), "{ran:?}");
    assert_eq!(ground.completed(), 40);
    assert_eq!(ground.merges(), ["40|40"]);
    assert_eq!(ground.bed.content(), undisturbed);
    assert_eq!(ground.bed.once().counts("acme"), [40, 40, 0, 0, 0, 0]);
}

/// R18
#[test]
fn a_backup_is_private_holds_no_secret_and_says_what_is_not_in_it() {
    let ground = Ground::new();
    let lake = ground.bed.path("lake");
    let destinations =
        format!("[destinations.main.sqlite]\n[destinations.lake.files]\npath = \"{}\"\n", lake.display());
    ground.bed.configure(&format!("{INTEGRATION}destination = \"main\"\n{destinations}"));
    ground.put(0);
    assert_eq!(ground.bed.once().code, 0);
    let ran = ground.back_up();
    assert!(ran.output.starts_with("ledger: "), "{ran:?}");
    assert!(ran.output.contains("\nstore of default in main: "), "{ran:?}");
    assert!(ran.output.ends_with("\nnot in it: destination lake; copy its directory, after this backup\n"), "{ran:?}");
    let files = ["backup.json", "ledger.ndjson", "stores/main/default.db"];
    assert_eq!(ground.bed.files("backup"), files);
    assert_eq!(modes(&ground.backup()), [0o600, 0o700]);
    for file in files {
        let bytes = fs::read(ground.backup().join(file)).unwrap();
        assert!(!bytes.windows(15).any(|part| part == b"loopback-secret"), "{file}");
    }
    let again = ground.bed.command(["backup".as_ref(), ground.backup().as_os_str()]);
    assert_eq!(again.code, 1, "{again:?}");
    assert!(again.errors.contains("is not empty\nhint: name a new directory for each backup"), "{again:?}");
    let manifest = ground.bed.command(["backup".as_ref(), ground.bed.path("other").as_os_str(), "--json".as_ref()]);
    assert_eq!(manifest.values[0]["files"][1]["file"], "stores/main/default.db", "{manifest:?}");
    assert_eq!(manifest.values[0]["left_out"][0], "lake", "{manifest:?}");
}

/// R18
#[test]
fn a_backup_that_is_not_whole_changes_nothing() {
    let ground = Ground::new();
    ground.put(0);
    assert_eq!(ground.bed.once().code, 0);
    ground.back_up();
    fs::remove_dir_all(ground.bed.state()).unwrap();
    let refused = |expected: &str| {
        let ran = ground.restore(&[]);
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.errors.contains(expected), "{ran:?}");
        assert!(ground.bed.files("state").is_empty(), "{expected}");
    };
    for file in ["stores/main/default.db", "ledger.ndjson"] {
        let path = ground.backup().join(file);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        refused("is not the file that was backed up");
        let mut other = whole.clone();
        *other.last_mut().unwrap() ^= 1;
        fs::write(&path, &other).unwrap();
        refused("is not the file that was backed up");
        fs::remove_file(&path).unwrap();
        refused("is not the file that was backed up");
        fs::write(&path, &whole).unwrap();
    }
    let manifest = ground.backup().join("backup.json");
    let whole = fs::read_to_string(&manifest).unwrap();
    for wrong in ["../../default.db", "stores/main/../default.db", "stores/main/x/default.db", "/etc/passwd"] {
        fs::write(&manifest, whole.replace("stores/main/default.db", wrong)).unwrap();
        refused("is no file of a backup");
    }
    fs::write(&manifest, whole.replace("\"version\": 1", "\"version\": 2")).unwrap();
    refused("hint: install the version that wrote it, or a newer one");
    fs::remove_file(&manifest).unwrap();
    refused("hint: a backup that was cut short has none; use an older one");
    fs::write(&manifest, &whole).unwrap();
    assert_eq!(ground.restore(&[]).code, 0);
}

/// R18
#[test]
fn a_restore_replaces_only_what_it_was_told_to_and_deletes_nothing() {
    let ground = Ground::new();
    ground.put(0);
    assert_eq!(ground.bed.once().code, 0);
    let before = ground.bed.content();
    ground.back_up();
    ground.put(1);
    let daemon = ground.bed.start();
    wait_for_files(&daemon, 1);
    let ran = ground.restore(&["--replace"]);
    assert!(ran.errors.contains("the daemon is running\nhint: stop it before a restore"), "{ran:?}");
    assert_eq!(daemon.stop(), 0);
    let after = ground.bed.content();

    let ran = ground.restore(&[]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.errors.contains("ledger.redb` is there already\nhint: `--replace` moves"), "{ran:?}");
    assert_eq!(ground.bed.content(), after);

    let ran = ground.restore(&["--replace", "--json"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(ground.bed.content(), before);
    assert_eq!(ground.completed(), 1);
    let moved: Vec<PathBuf> = serde_json::from_value(ran.values[0]["moved"].clone()).unwrap();
    assert!(moved[0].ends_with("ledger.redb") && moved[0].is_file(), "{moved:?}");
    fs::copy(&moved[1], ground.bed.state().join("store/default.db")).unwrap();
    assert_eq!(ground.bed.content(), after, "what was there is still there");
}
