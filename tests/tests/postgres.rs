//! The whole way from a bucket into PostgreSQL, by the built binary and a real server.

use std::time::{Duration, Instant};

use gristmill_loopback_s3::{Config, Server};
use gristmill_postgres_server::{DATABASE, PostgresServer, USER};
use gristmill_tests::daemon::Bed;
use rustix::process::Signal;

const BUCKET: &str = "exports";

const INTEGRATION: &str = r#"
[integrations.acme]
connection = "main"
bucket = "exports"
destination = "warehouse"
poll_interval = "1s"
matching = { on_no_match = "create" }
identifiers = [{ column = "id", match = "crm_id" }]
fields = [
  { column = "stage", field = "stage", type = "text" },
  { column = "arr", field = "arr", type = "currency", unit = "EUR" },
]
usage = [{ product = "Core", period = "monthly", date = { column = "day" }, metrics = [
  { column = "calls", metric = "calls", aggregate = "sum" },
] }]
"#;

/// A schema of its own on the server that this file's tests share.
struct Warehouse {
    server: &'static PostgresServer,
    schema: &'static str,
}

impl Warehouse {
    fn new(schema: &'static str) -> Self {
        Self { server: PostgresServer::shared(), schema }
    }

    /// Encrypted, and the server known.
    fn destination(&self) -> String {
        format!(
            "[destinations.warehouse.postgres]\nhost = \"localhost\"\nport = {}\ndatabase = \"{DATABASE}\"\nuser = \"{USER}\"\n\
             password = {{ file = \"{}\" }}\nca_file = \"{}\"\nschema = \"{}\"\n",
            self.server.port(),
            self.server.password_file().display(),
            self.server.ca_file().display(),
            self.schema
        )
    }

    fn rows(&self, sql: &str) -> Vec<String> {
        self.server.query(self.schema, sql)
    }

    /// Everything that it says to a person.
    fn content(&self) -> Vec<String> {
        let fields = "SELECT crm_id, field, value, unit, key FROM account_field_values ORDER BY 1, 2";
        let usage = "SELECT crm_id, metric, period_start, value, objects FROM usage_records ORDER BY 1, 2, 3";
        [fields, usage].into_iter().flat_map(|query| self.rows(query)).collect()
    }
}

fn bed(server: &Server, warehouse: &Warehouse) -> Bed {
    let bed = Bed::new(&server.endpoint(), "loopback", "loopback-secret");
    bed.configure(&[&warehouse.destination(), INTEGRATION].concat());
    bed
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(60), "{what}: not in time");
        std::thread::yield_now();
    }
}

#[test]
fn a_bucket_ends_in_postgresql_once() {
    let server = Server::start(Config::with_bucket(BUCKET)).unwrap();
    let warehouse = Warehouse::new("whole_way");
    let bed = bed(&server, &warehouse);
    server
        .put(
            BUCKET,
            "a.csv",
            "id,stage,arr,day,calls\n1,won,1200.50,2024-10-01,5\n2,lost,much,2024-10-02,7\n3,won,,2024-10-03,1\n",
        )
        .unwrap();

    // Before its schema is made, nothing is lost and the next command is named.
    let ran = bed.once();
    assert_eq!((ran.code, ran.counts("acme")), (1, [1, 0, 0, 0, 0, 1]), "{ran:?}");
    let explained = bed.command(["explain", "acme", "a.csv"]);
    assert!(explained.output.contains("gristmill destination migrate"), "{explained:?}");
    let migrated = bed.command(["destination", "migrate", "warehouse"]);
    assert_eq!(
        (migrated.code, migrated.output.as_str()),
        (0, "warehouse: made the schema, version 2\n"),
        "{migrated:?}"
    );
    let again = bed.command(["destination", "migrate", "warehouse", "--json"]);
    assert_eq!(again.values, [serde_json::json!({ "destination": "warehouse", "from": 2, "to": 2 })]);

    // A dry run says what would happen and leaves nothing.
    let trial = bed.path("trial.csv");
    std::fs::write(&trial, "id,stage,arr,day,calls\n9,new,1,2024-10-01,5\n").unwrap();
    let tested = bed.command([std::ffi::OsStr::new("test"), "acme".as_ref(), trial.as_os_str()]);
    assert!(tested.code == 0 && tested.output.contains("created"), "{tested:?}");
    assert_eq!(warehouse.rows("SELECT count(*) FROM accounts"), ["0"]);

    assert_eq!(bed.command(["replay", "acme", "--key", "a.csv"]).code, 0);
    let ran = bed.once();
    assert_eq!((ran.code, ran.counts("acme")), (0, [1, 0, 0, 1, 0, 0]), "{ran:?}");
    assert_eq!(
        warehouse.content(),
        [
            "1|arr|1200.5|EUR|a.csv",
            "1|stage|won|-|a.csv",
            "3|stage|won|-|a.csv",
            "1|calls|2024-10-01|5|1",
            "3|calls|2024-10-01|1|1",
        ]
    );
    assert_eq!(warehouse.rows("SELECT key, line, column_name, value FROM rejected_rows"), ["a.csv|3|arr|much"]);

    // Taken once; a second pass and a second daemon's state bring nothing new.
    let first = warehouse.content();
    assert_eq!(bed.once().counts("acme"), [1, 1, 0, 0, 0, 0]);
    std::fs::remove_file(bed.state().join("ledger.redb")).unwrap();
    bed.once();
    assert_eq!(warehouse.content(), first);

    // A changed file and another one.
    server.put(BUCKET, "a.csv", "id,stage,arr,day,calls\n1,lost,1300,2024-10-01,6\n").unwrap();
    server.put(BUCKET, "b.csv", "id,stage,arr,day,calls\n1,lost,1300,2024-10-09,10\n4,new,7,2024-11-01,2\n").unwrap();
    let ran = bed.once();
    assert_eq!((ran.code, ran.counts("acme")[2]), (0, 2), "{ran:?}");
    let arr_and_calls = "SELECT v.value, u.value FROM account_field_values v JOIN usage_records u USING (account_id)
        WHERE v.crm_id = '1' AND v.field = 'arr'";
    assert_eq!(warehouse.rows(arr_and_calls), ["1300|10"]);
    // Taken again it replaces itself.
    let content = warehouse.content();
    assert_eq!(bed.command(["replay", "acme", "--prefix", ""]).code, 0);
    assert_eq!(bed.once().code, 0);
    assert_eq!(warehouse.content(), content);
}

/// I3
#[test]
fn a_daemon_killed_in_the_middle_of_a_merge_leaves_all_or_nothing() {
    let server = Server::start(Config::with_bucket(BUCKET)).unwrap();
    let warehouse = Warehouse::new("killed");
    let bed = bed(&server, &warehouse);
    assert_eq!(bed.command(["destination", "migrate", "warehouse"]).code, 0);
    let file = |first: usize| {
        let rows = (first..first + 500).map(|row| format!("{row},won,{row}.25,2024-10-01,{row}\n"));
        format!("id,stage,arr,day,calls\n{}", rows.collect::<String>())
    };
    server.put(BUCKET, "a.csv", file(1)).unwrap();
    // What a merge writes last cannot be written: every record stands there, and is not confirmed.
    let lock = warehouse.server.lock(warehouse.schema, "ingestion_tables");
    let mut daemon = bed.start();
    let merging = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'gristmill killed' AND wait_event_type = 'Lock'";
    until("a merge that waits", || warehouse.rows(merging) == ["1"]);
    daemon.signal(Signal::KILL);
    assert_eq!(daemon.wait_for_exit(), -1);
    assert_eq!(warehouse.rows("SELECT count(*) FROM ingestions"), ["0"]);
    drop(lock);
    let orphan = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'gristmill killed'";
    until("the server to notice", || warehouse.rows(orphan) == ["0"]);
    assert_eq!(warehouse.rows("SELECT count(*) FROM accounts"), ["0"]);

    // Once it was confirmed, the ledger alone has to be told: the kill comes before it could be.
    let ran = bed.once();
    assert_eq!((ran.code, ran.counts("acme")), (0, [1, 0, 1, 0, 0, 0]), "{ran:?}");
    let count = "SELECT (SELECT count(*) FROM accounts), (SELECT count(*) FROM usage_contributions), (SELECT sum(value) FROM usage_records)";
    assert_eq!(warehouse.rows(count), [format!("500|500|{}", 500 * 501 / 2)]);
    std::fs::remove_file(bed.state().join("ledger.redb")).unwrap();
    assert_eq!(bed.once().counts("acme"), [1, 0, 1, 0, 0, 0]);
    assert_eq!(warehouse.rows(count), [format!("500|500|{}", 500 * 501 / 2)]);
}

/// I3: wherever it is killed, the store ends as it does undisturbed.
#[test]
fn a_daemon_killed_again_and_again_leaves_what_an_undisturbed_one_leaves() {
    let server = Server::start(Config::with_bucket(BUCKET)).unwrap();
    for file in 0..24 {
        let rows = (0..20).map(|row| {
            format!(
                "A{},s{file},{file}{row}.25,2024-{:02}-01,{row}\n",
                (file * 7 + row * 3) % 50,
                1 + (file + row) % 12
            )
        });
        server
            .put(BUCKET, &format!("{file:02}.csv"), format!("id,stage,arr,day,calls\n{}", rows.collect::<String>()))
            .unwrap();
    }
    let undisturbed = Warehouse::new("undisturbed");
    let calm = bed(&server, &undisturbed);
    let disturbed = Warehouse::new("disturbed");
    let bed = bed(&server, &disturbed);
    for bed in [&calm, &bed] {
        assert_eq!(bed.command(["destination", "migrate", "warehouse"]).code, 0);
    }
    assert_eq!(calm.once().code, 0);

    let confirmed = || disturbed.rows("SELECT count(*) FROM ingestions").remove(0).parse::<usize>().unwrap();
    for goal in [1, 3, 4, 7, 11, 12, 17, 20] {
        let mut daemon = bed.launch();
        // The kill meets the next merge, or the time between this one and its record in the ledger.
        until("so many merges", || confirmed() >= goal);
        daemon.signal(Signal::KILL);
        assert_eq!(daemon.wait_for_exit(), -1);
    }
    assert_eq!(bed.once().code, 0);
    assert_eq!(confirmed(), 24);
    assert_eq!(disturbed.content(), undisturbed.content());
    let each = "SELECT key, rows_read, created + updated + unchanged FROM ingestion_history WHERE replaced_by IS NULL ORDER BY key";
    assert_eq!(disturbed.rows(each).len(), 24);
}

/// A server that goes away is the destination's fault: nothing is recorded as the file's, and the file is taken when the
/// server is back.
#[test]
fn a_server_that_is_away_costs_nothing() {
    let server = Server::start(Config::with_bucket(BUCKET)).unwrap();
    let warehouse = Warehouse::new("away");
    let bed = bed(&server, &warehouse);
    assert_eq!(bed.command(["destination", "migrate", "warehouse"]).code, 0);
    server.put(BUCKET, "a.csv", "id,stage,arr,day,calls\n1,won,1,2024-10-01,5\n").unwrap();
    let nowhere = warehouse.destination().replace(&format!("port = {}", warehouse.server.port()), "port = 1");
    bed.configure(&[&nowhere, INTEGRATION].concat());
    assert_eq!(bed.command(["check"]).code, 0, "contacts nobody");
    let ran = bed.once();
    assert_eq!(ran.code, 1, "{ran:?}");
    let entry = bed.entry("acme", "a.csv");
    assert_eq!(entry["failure"]["class"], "destination", "{entry}");
    bed.configure(&[&warehouse.destination(), INTEGRATION].concat());
    assert_eq!(bed.command(["replay", "acme", "--key", "a.csv"]).code, 0);
    assert_eq!(bed.once().code, 0);
    assert_eq!(warehouse.content(), ["1|arr|1|EUR|a.csv", "1|stage|won|-|a.csv", "1|calls|2024-10-01|5|1"]);
}
