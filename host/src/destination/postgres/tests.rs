//! What a PostgreSQL store does beside what all destinations do: connections, secrets, versions.

use gristmill_postgres_server::{DATABASE, PASSWORD, PostgresServer, USER};

use super::*;
use crate::batch::{Aggregate, MatchKey, Repeat};
use crate::destination::RowCounts;
use crate::destination::conformance::storing::stages;
use crate::destination::conformance::{Accounts, Bed, File, Kind, Usage, plain, postgres_settings, series, text};
use crate::events::Chain;

fn destination(settings: PostgresSettings) -> PostgresDestination {
    PostgresDestination::new(settings, Secrets::new(None)).unwrap()
}

fn file() -> File {
    File::new("a.csv").accounts(stages(&[("1", text("won"))]))
}

fn confirmed(destination: &dyn Destination) -> Result<Option<Summary>, DestinationError> {
    destination.confirmed(&TenantName::default(), &file().delivery().identity)
}

/// Ends every connection that works in the bed's schema, as a restart of the server would.
fn end_connections(bed: &Bed) {
    let ended = bed.rows(
        "SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity
         WHERE application_name = 'gristmill ' || current_schema()",
    );
    assert_ne!(ended, ["0"]);
}

fn address() -> (String, u16) {
    ("localhost".to_owned(), PostgresServer::shared().port())
}

#[test]
fn nothing_is_contacted_before_it_is_needed() {
    let (host, _) = address();
    let nobody = Address::Parts { host, port: 1, database: "x".into(), user: "x".into(), password: None };
    let destination = destination(PostgresSettings { address: nobody, ..postgres_settings("nowhere") });
    let error = confirmed(&destination).unwrap_err();
    assert_eq!(error.to_string(), "cannot connect to PostgreSQL at `localhost:1/x`");
    assert!(!error.is_files_fault());
}

/// R18
#[test]
fn a_schema_of_an_older_version_is_migrated() {
    let bed = Bed::new(Kind::Postgres);
    bed.rows(&format!(
        "CREATE SCHEMA of_old; SET search_path TO of_old;
         CREATE TABLE schema_versions (version bigint PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());
         INSERT INTO schema_versions (version) VALUES (1);
         {} INSERT INTO tenants (name) VALUES ('default');
         INSERT INTO users (tenant, kind, value) VALUES (1, 'email', 'ann@acme.example')",
        include_str!("schema.sql")
    ));
    let store = destination(postgres_settings("of_old"));
    let error = confirmed(&store).unwrap_err();
    assert!(matches!(error, DestinationError::Unmigrated { found: 1, known: 2, .. }), "{error}");
    assert_eq!(store.migrate().unwrap(), Migrated { from: 1, to: 2 });
    assert_eq!(confirmed(&store).unwrap(), None);
    assert_eq!(
        bed.rows("SELECT value, (SELECT count(*) FROM of_old.users) FROM of_old.usage_users"),
        ["ann@acme.example|0"]
    );
}

#[test]
fn a_schema_is_made_by_the_migration_alone() {
    let bed = Bed::new(Kind::Postgres);
    let settings = postgres_settings("made_by_migration");
    let store = destination(settings.clone());
    let error = confirmed(&store).unwrap_err();
    assert!(matches!(error, DestinationError::Unmigrated { found: 0, known: 2, .. }), "{error}");
    assert!(error.hint().unwrap().contains("gristmill destination migrate"));
    assert_eq!(bed.rows("SELECT to_regnamespace('made_by_migration')"), ["-"]);
    assert_eq!(store.migrate().unwrap(), Migrated { from: 0, to: 2 });
    assert_eq!(store.migrate().unwrap(), Migrated { from: 2, to: 2 });
    assert_eq!(confirmed(&store).unwrap(), None);
    let uncommented = "SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'made_by_migration'::regnamespace
        AND c.relkind = 'v' AND obj_description(c.oid) IS NULL";
    assert!(bed.rows(uncommented).is_empty());

    bed.rows("UPDATE made_by_migration.schema_versions SET version = 99 WHERE version = 2");
    let newer = destination(settings);
    for error in [confirmed(&newer).unwrap_err(), newer.migrate().unwrap_err()] {
        assert!(matches!(error, DestinationError::Schema { found: 99, known: 2, .. }), "{error}");
    }
}

#[test]
fn a_schema_of_somebody_elses_is_left_alone() {
    let bed = Bed::new(Kind::Postgres);
    bed.rows("CREATE SCHEMA occupied; CREATE TABLE occupied.orders (id integer)");
    let error = destination(postgres_settings("occupied")).migrate().unwrap_err();
    assert!(matches!(&error, DestinationError::Occupied { schema, .. } if schema == "occupied"), "{error}");
    assert_eq!(bed.rows("SELECT count(*) FROM pg_class WHERE relnamespace = 'occupied'::regnamespace"), ["1"]);
}

#[test]
fn several_migrations_at_once_make_one_schema() {
    let migrated = std::thread::scope(|scope| {
        let migrate = || destination(postgres_settings("made_by_many")).migrate().unwrap().from;
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(migrate)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(migrated.iter().filter(|from| **from == 0).count(), 1);
}

#[test]
fn a_connection_is_encrypted_with_a_server_that_is_known() {
    let server = PostgresServer::shared();
    let bed = Bed::new(Kind::Postgres);
    let schema = bed.schema.clone();
    let trusting =
        PostgresSettings { tls: Tls::VerifyFull, ca_file: Some(server.ca_file()), ..postgres_settings(&schema) };
    let encrypted = "SELECT DISTINCT s.ssl FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid)
        WHERE a.application_name = 'gristmill ' || current_schema()";
    let store = destination(trusting.clone());
    assert_eq!(confirmed(&store).unwrap(), None);
    assert_eq!(bed.rows(encrypted), ["t"]);
    drop(store);

    // By an address that the certificate does not name.
    let Address::Parts { port, database, user, password, .. } = trusting.address.clone() else { unreachable!() };
    let host = "127.0.0.1".to_owned();
    let by_address = Address::Parts { host, port, database, user, password };
    let other_name = PostgresSettings { address: by_address, ..trusting.clone() };
    let error = confirmed(&destination(other_name.clone())).unwrap_err();
    assert!(Chain(&error).to_string().contains("not valid for name"), "{}", Chain(&error));
    // By an authority that nobody here knows.
    let error = confirmed(&destination(PostgresSettings { ca_file: None, ..trusting })).unwrap_err();
    assert!(
        Chain(&error).to_string().contains("UnknownIssuer") || matches!(error, DestinationError::Tls(_)),
        "{}",
        Chain(&error)
    );
    // Whoever it is.
    let anyone = PostgresSettings { tls: Tls::Require, ca_file: None, ..other_name };
    assert_eq!(confirmed(&destination(anyone)).unwrap(), None);
}

#[test]
fn a_file_that_holds_no_authority_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ca.pem");
    let with = |path: &std::path::Path| PostgresSettings {
        tls: Tls::VerifyFull,
        ca_file: Some(path.to_owned()),
        ..postgres_settings("x")
    };
    let error = confirmed(&destination(with(&path))).unwrap_err();
    assert!(matches!(error, DestinationError::Tls(TlsError::Read { .. })), "{error}");
    std::fs::write(&path, "not a certificate").unwrap();
    let error = confirmed(&destination(with(&path))).unwrap_err();
    assert!(matches!(error, DestinationError::Tls(TlsError::NotCertificates { .. })), "{error}");
}

#[test]
fn a_url_or_a_socket_leads_to_the_same_store() {
    let server = PostgresServer::shared();
    let bed = Bed::new(Kind::Postgres);
    let schema = bed.schema.clone();
    bed.merge(&file()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("url");
    std::fs::write(&path, server.url()).unwrap();
    let url = Address::Url(SecretReference::File(path.clone()));
    let by_url = PostgresSettings { address: url, ..postgres_settings(&schema) };
    assert!(confirmed(&destination(by_url.clone())).unwrap().is_some());
    let Address::Parts { port, database, user, password, .. } = postgres_settings(&schema).address else {
        unreachable!()
    };
    let host = server.socket_directory().display().to_string();
    let socket = Address::Parts { host, port, database, user, password };
    let by_socket = PostgresSettings { address: socket, tls: Tls::VerifyFull, ..postgres_settings(&schema) };
    assert!(confirmed(&destination(by_socket)).unwrap().is_some());
    // What is wrong with a URL may be a part of a password.
    for wrong in ["postgresql://u:p?ss@h/d?hunter2=1", "hunter2", "postgresql:///d?sslmode=hunter2"] {
        std::fs::write(&path, wrong).unwrap();
        let error = confirmed(&destination(by_url.clone())).unwrap_err();
        assert!(matches!(error, DestinationError::PostgresUrl), "{error}");
        assert!(!format!("{} {error:?}", Chain(&error)).contains("hunter2"));
    }
}

#[test]
fn a_password_stands_in_no_error_and_no_debug_text() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("password");
    std::fs::write(&path, "hunter2").unwrap();
    let (host, port) = address();
    let password = Some(SecretReference::File(path.clone()));
    let address = Address::Parts { host, port, database: DATABASE.into(), user: USER.into(), password };
    let settings = PostgresSettings { address, ..postgres_settings("x") };
    let store = destination(settings.clone());
    let error = confirmed(&store).unwrap_err();
    let shown = format!("{} {error:?} {settings:?}", Chain(&error));
    assert!(shown.contains("password authentication failed"), "{shown}");
    assert!(!shown.contains("hunter2") && !shown.contains(PASSWORD));
    // The next connection reads it anew.
    std::fs::write(&path, PASSWORD).unwrap();
    assert!(matches!(confirmed(&store).unwrap_err(), DestinationError::Unmigrated { .. }));
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(confirmed(&store).unwrap_err(), DestinationError::Secret(_)));
}

/// I3
#[test]
fn a_broken_connection_is_made_anew_and_a_broken_staging_begins_again() {
    let bed = Bed::new(Kind::Postgres);
    bed.merge(&file()).unwrap();
    end_connections(&bed);
    assert!(confirmed(&*bed.destination).unwrap().is_some());
    let next = File::new("b.csv").at(2_000).accounts(stages(&[("2", text("won"))]));
    let staging = bed.stage(&next);
    end_connections(&bed);
    let error = staging.merge(RowCounts::default()).unwrap_err();
    assert!(matches!(error, DestinationError::Postgres { .. }) && !error.is_files_fault(), "{error}");
    assert_eq!(bed.merge(&next).unwrap().created, 1);
    assert_eq!(bed.fields(), ["1|stage|won", "2|stage|won"]);
}

#[test]
fn a_role_that_may_make_no_tables_is_enough_after_the_migration() {
    let bed = Bed::new(Kind::Postgres);
    let schema = bed.schema.clone();
    let role = format!("{schema}_writer");
    bed.rows(&format!(
        "CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'; GRANT USAGE ON SCHEMA {schema} TO {role};
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role};
         GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {role}"
    ));
    let (host, port) = address();
    let password = Some(SecretReference::File(PostgresServer::shared().password_file()));
    let address = Address::Parts { host, port, database: DATABASE.into(), user: role, password };
    let store = destination(PostgresSettings { address, ..postgres_settings(&schema) });
    let usage = Usage::of(vec![series("mau", Aggregate::Sum, Repeat::Replace)]).row("1", 0, 0, vec![Some(5)]);
    let bed = Bed { destination: Box::new(store), ..bed };
    bed.merge(&file().usage(usage)).unwrap();
    bed.merge(&file().generation(1)).unwrap();
    assert_eq!(bed.fields(), ["1|stage|won"]);
    assert!(bed.usage().is_empty());
}

/// I3: two daemons over one schema.
#[test]
fn an_identity_that_two_bring_at_once_is_confirmed_once() {
    let bed = Bed::new(Kind::Postgres);
    let usage = || Usage::of(vec![series("calls", Aggregate::Sum, Repeat::Add)]).row("1", 0, 0, vec![Some(5)]);
    let summaries: Vec<_> = std::thread::scope(|scope| {
        let merge = || {
            let bed = &bed;
            let staging = bed.stage(&File::new("a.csv").usage(usage()));
            staging.merge(RowCounts::default()).unwrap()
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(merge)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(summaries.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(bed.usage(), ["1|-|calls|1970-01-01|5"]);
    assert_eq!(bed.rows("SELECT count(*) FROM ingestions"), ["1"]);
}

/// What the server gives up in favour of another's transaction is tried again at once.
#[test]
fn a_merge_that_meets_a_deadlock_is_tried_again() {
    let bed = Bed::new(Kind::Postgres);
    bed.merge(&file()).unwrap();
    let schema = bed.schema.clone();
    let mut other = PostgresServer::shared().lock(&schema, "ingestion_tables");
    // The other one is patient, so that the merge is the one given up.
    other.then("SET deadlock_timeout TO '10min';");
    let merged = std::thread::scope(|scope| {
        let merging = scope.spawn(|| bed.merge(&File::new("b.csv").at(2_000).accounts(stages(&[("2", text("won"))]))));
        let waiting = "SELECT count(*) FROM pg_stat_activity
            WHERE application_name = 'gristmill ' || current_schema() AND wait_event_type = 'Lock'";
        while bed.rows(waiting) == ["0"] {
            std::thread::yield_now();
        }
        other.then("SELECT 1 FROM tenants FOR UPDATE; COMMIT;");
        merging.join().unwrap().unwrap()
    });
    assert_eq!(merged.created, 1);
    assert_eq!(bed.fields(), ["1|stage|won", "2|stage|won"]);
    assert_eq!(bed.rows("SELECT deadlocks > 0 FROM pg_stat_database WHERE datname = current_database()"), ["t"]);
}

#[test]
fn whoever_finds_all_connections_in_use_waits_for_one() {
    let bed = Bed::new(Kind::Postgres);
    let schema = bed.schema.clone();
    let store = destination(PostgresSettings { connections: 1, ..postgres_settings(&schema) });
    std::thread::scope(|scope| {
        for number in 0..4 {
            let store = &store;
            scope.spawn(move || {
                let file = File::new(&format!("{number}.csv"));
                let mut staging = store.stage(file.delivery()).unwrap();
                let accounts = stages(&[("1", text("x"))]);
                staging.open_table(Some(&accounts.layout()), None).unwrap();
                staging.accounts(&accounts.batch(), &[]).unwrap();
                staging.merge(RowCounts::default()).unwrap();
            });
        }
    });
    assert_eq!(bed.rows("SELECT count(*) FROM ingestions"), ["4"]);
}

#[test]
fn what_postgresql_cannot_hold_is_replaced_or_refused_for_good() {
    let bed = Bed::new(Kind::Postgres);
    let accounts = Accounts::by_crm_id(vec![plain("no\0te")]).row(&["a\0b"], vec![text("x\0y")]);
    let file = File::new("nul\0.csv").accounts(accounts);
    let summary = bed.stage(&file).merge(RowCounts::default()).unwrap();
    assert_eq!(bed.fields(), ["a\u{fffd}b|no\u{fffd}te|x\u{fffd}y"]);
    assert_eq!(bed.destination.confirmed(&TenantName::default(), &file.delivery().identity).unwrap(), Some(summary));
    assert_eq!(bed.rows("SELECT key FROM ingestion_history"), ["nul\u{fffd}.csv"]);
    // A long value is a value, a long key cannot be looked up.
    let digests = (0..200_u32).map(|number| blake3::hash(&number.to_le_bytes()).to_hex().to_string());
    let pseudo_random: String = digests.collect();
    let long = Accounts::by_crm_id(vec![plain("note")]).row(&["1"], vec![text(&pseudo_random)]);
    assert_eq!(bed.merge(&File::new("long.csv").at(2_000).accounts(long)).unwrap().created, 1);
    let key = Accounts::by(vec![vec![MatchKey::Name]], vec![plain("note")]).row(&[&pseudo_random], vec![text("x")]);
    let error = bed.merge(&File::new("key.csv").at(3_000).accounts(key)).unwrap_err();
    assert!(matches!(error, DestinationError::KeyTooLong { .. }) && error.is_files_fault(), "{error}");
}
