//! A store that lacks what the ledger calls completed halts its integration, until a person has that taken again.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;

use gristmill_loopback_s3::{Config, Server};
use gristmill_tests::daemon::{Bed, Ran};

const BUCKET: &str = "exports";

const INTEGRATION: &str = r#"
[integrations.acme]
connection = "main"
bucket = "exports"
poll_interval = "1s"
matching = { on_no_match = "create" }
identifiers = [{ column = "id", match = "crm_id" }]
fields = [{ column = "stage", field = "stage", type = "text" }]

[[integrations.acme.usage]]
product = "P"
period = "daily"
date = { column = "day", formats = ["%Y-%m-%d"] }
metrics = [{ column = "n", metric = "n", aggregate = "sum" }]
repeat = "add"
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

    /// Two accounts, one of which all files say something of, and add usage to.
    fn put(&self, key: &str, stage: &str) {
        let rows = format!("id,stage,n,day\nall,{stage},1,2026-01-01\n{key},{stage},1,2026-01-01\n");
        self.server.put(BUCKET, key, rows).unwrap();
    }

    fn taken(&self) -> Ran {
        let ran = self.bed.once();
        assert_eq!(ran.code, 0, "{ran:?}");
        ran
    }

    /// Keeps the store as it is now for [`Ground::go_back`].
    fn keep(&self) {
        let ran = self.bed.command(["backup".as_ref(), self.bed.path("backup").as_os_str()]);
        assert_eq!(ran.code, 0, "{ran:?}");
    }

    /// The store alone is as old as it was then.
    fn go_back(&self) {
        self.lose();
        fs::copy(self.bed.path("backup/stores/main/default.db"), self.bed.state().join("store/default.db")).unwrap();
    }

    fn lose(&self) {
        for file in self.bed.files("state/store") {
            fs::remove_file(self.bed.state().join("store").join(file)).unwrap();
        }
    }

    fn reconcile(&self, more: &[&str]) -> Ran {
        let ran = self.bed.command([&["ledger", "reconcile", "acme"], more].concat());
        assert_eq!(ran.code, 0, "{ran:?}");
        ran
    }
}

/// R18
#[test]
fn an_older_store_halts_its_integration_until_it_is_reconciled() {
    let ground = Ground::new();
    ground.put("a.csv", "open");
    ground.put("b.csv", "open");
    ground.taken();
    ground.keep();
    ground.put("b.csv", "won");
    ground.put("c.csv", "won");
    ground.taken();
    let replayed = ground.bed.command(["replay", "acme", "--key", "a.csv"]);
    assert_eq!(replayed.code, 0, "{replayed:?}");
    assert_eq!(ground.taken().counts("acme"), [3, 2, 1, 0, 0, 0]);
    let undisturbed = ground.bed.content();
    ground.go_back();

    ground.put("d.csv", "new");
    let ran = ground.bed.once();
    assert_eq!(ran.code, 1, "{ran:?}");
    assert_eq!(
        ran.refusal("acme"),
        "3 files are completed in the ledger, and the destination never confirmed them — the store is older than the ledger, \
         or another one: gristmill ledger reconcile acme takes exactly these again, and lists them with --dry-run"
    );
    let daemon = ground.bed.start();
    let halted = daemon.wait_for("the halt", |line| line["event"] == "integration_halted");
    assert_eq!((&halted["integration"], &halted["level"]), (&"acme".into(), &"ERROR".into()), "{halted}");
    let status = ground.bed.command(["status"]);
    assert_eq!(status.code, 1, "{status:?}");
    assert!(status.output.contains("\nhalted acme: 3 completed"), "{status:?}");
    assert!(
        status.output.contains("hint: the store is older than the ledger, or another one: gristmill ledger reconcile")
    );
    assert_eq!(ground.bed.rows("SELECT count(*) FROM ingestions"), ["2"], "nothing is taken meanwhile");

    let dry = ground.reconcile(&["--dry-run"]);
    let named = "never confirmed: a.csv\nnever confirmed: b.csv\nnever confirmed: c.csv\n";
    assert_eq!(dry.output, format!("{named}nothing was written\n"));
    ground.server.delete(BUCKET, "d.csv").unwrap();
    let done = ground.reconcile(&[]);
    assert_eq!(done.output, format!("{named}taken again if the bucket still has them: 3\n"));
    daemon.wait_for_pass("acme");
    let status = ground.bed.command(["status"]);
    assert_eq!(status.code, 0, "{status:?}");
    assert_eq!(daemon.stop(), 0);
    assert_eq!(ground.bed.content(), undisturbed);
    assert_eq!(ground.bed.entry("acme", "a.csv")["generation"], 1, "asked for once");
    assert_eq!(ground.reconcile(&[]).output, "the store confirmed every object that is completed here\n");
    assert_eq!(ground.taken().counts("acme"), [3, 3, 0, 0, 0, 0]);
}

/// R18: what was left out on purpose is not missed, and bytes that came again under another ETag are found there.
#[test]
fn a_lost_store_comes_back_from_the_bucket() {
    let ground = Ground::new();
    ground.put("a.csv", "open");
    ground.put("b.csv", "open");
    ground.taken();
    let rows = "id,stage,n,day\nall,open,1,2026-01-01\nb.csv,open,1,2026-01-01\n";
    ground.server.put_parts(BUCKET, "b.csv", &[rows.into()]).unwrap();
    assert_eq!(ground.taken().counts("acme"), [2, 1, 0, 0, 1, 0]);
    let said = || {
        let fields = ground.bed.rows("SELECT crm_id, field, value, key FROM account_field_values ORDER BY 1, 2");
        [fields, ground.bed.rows("SELECT crm_id, metric, value, objects FROM usage_records ORDER BY 1")]
    };
    let undisturbed = said();
    ground.lose();

    assert!(ground.bed.once().refusal("acme").starts_with("2 files are completed in the ledger"));
    let done = ground.reconcile(&["--json"]);
    let last = done.values.last().unwrap();
    assert_eq!((&last["count"], &last["again"], &last["lost"]), (&2.into(), &2.into(), &0.into()), "{done:?}");
    assert_eq!(ground.taken().counts("acme"), [2, 0, 2, 0, 0, 0]);
    assert_eq!(said(), undisturbed);
    assert_eq!(ground.taken().counts("acme"), [2, 2, 0, 0, 0, 0]);
}

/// R18, R3
#[test]
fn versions_that_the_bucket_no_longer_has_are_said_to_be_lost() {
    let ground = Ground::new();
    ground.put("a.csv", "open");
    ground.taken();
    ground.put("a.csv", "won");
    ground.taken();
    ground.lose();
    assert!(ground.bed.once().refusal("acme").starts_with("2 files are completed in the ledger"));
    let done = ground.reconcile(&[]);
    assert!(
        done.output
            .contains("taken again if the bucket still has them: 1\nolder versions that the bucket no longer has")
    );
    assert_eq!(ground.taken().counts("acme"), [1, 0, 1, 0, 0, 0]);
    assert_eq!(ground.bed.rows("SELECT DISTINCT value FROM account_field_values"), ["won"]);
}

/// R18: whoever loads files may take them away.
#[test]
fn files_that_were_taken_away_halt_nothing() {
    let ground = Ground::new();
    let lake = ground.bed.path("lake");
    let only = INTEGRATION.replace("matching = { on_no_match = \"create\" }", "destination = \"lake\"");
    ground.bed.configure(&format!("{only}\n[destinations.lake.files]\npath = \"{}\"\n", lake.display()));
    ground.put("a.csv", "open");
    ground.taken();
    fs::remove_dir_all(lake.join("default")).unwrap();
    assert_eq!(ground.taken().counts("acme"), [1, 1, 0, 0, 0, 0]);
    let refused = ground.bed.command(["ledger", "reconcile", "acme"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(
        refused.errors.contains("what `lake` confirmed may have been taken away since\nhint: nothing can be compared")
    );
}
