//! What a SQLite store does beside what all destinations do: its files.

use std::os::unix::fs::PermissionsExt;

use rusqlite::Connection;

use super::*;
use crate::destination::conformance::storing::stages;
use crate::destination::conformance::{Bed, File, Kind, text};

/// I3
#[test]
fn staging_without_a_merge_leaves_no_file() {
    let bed = Bed::new(Kind::Sqlite);
    let file = File::new("a.csv").accounts(stages(&[("1", text("won"))]));
    let files = |bed: &Bed| bed.directory.path().join("staging").read_dir().unwrap().count();
    let staging = bed.stage(&file);
    assert_eq!(files(&bed), 2);
    drop(staging);
    assert_eq!(files(&bed), 1);

    // A crash cannot delete its file; opening does, unless someone stages there.
    std::mem::forget(bed.stage(&file));
    let other = bed.open_again().unwrap();
    assert_eq!(files(&bed), 2);
    let Bed { directory, destination, .. } = bed;
    drop((other, destination));
    let open = || SqliteDestination::open(directory.path().join("stores"), directory.path().join("staging")).unwrap();
    drop(open());
    assert_eq!(directory.path().join("staging").read_dir().unwrap().count(), 1);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a store of another version")]
fn a_store_of_a_newer_version_is_refused() {
    let bed = Bed::new(Kind::Sqlite);
    let file = File::new("a.csv").accounts(stages(&[("1", text("won"))]));
    bed.merge(&file).unwrap();
    Connection::open(bed.database()).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
    let destination = bed.open_again().unwrap();
    let error = destination.confirmed(&TenantName::default(), &file.delivery().identity).unwrap_err();
    assert!(matches!(error, DestinationError::Schema { found: 99, known: 2, .. }), "{error}");
    assert!(!error.is_files_fault());
}

/// R18
#[test]
#[expect(clippy::disallowed_methods, reason = "a store of another version")]
fn a_store_of_an_older_version_is_migrated_and_a_copy_kept() {
    let bed = Bed::new(Kind::Sqlite);
    std::fs::create_dir_all(bed.database().parent().unwrap()).unwrap();
    let old = Connection::open(bed.database()).unwrap();
    let rows = "INSERT INTO users VALUES (1, 'email', 'ann@acme.example'); INSERT INTO products VALUES (1, 'Core')";
    old.execute_batch(&format!("PRAGMA journal_mode = WAL; {} {rows}", include_str!("schema.sql"))).unwrap();
    // What a writer that ended left in its log is a part of it.
    std::mem::forget(old);
    let file = File::new("a.csv").accounts(stages(&[("1", text("won"))]));
    bed.merge(&file).unwrap();
    assert_eq!(bed.rows("SELECT value FROM usage_users"), ["ann@acme.example"]);
    assert_eq!(bed.rows("SELECT count(*) FROM users"), ["0"]);
    assert_eq!(bed.rows("SELECT user_version FROM pragma_user_version"), ["2"]);
    let kept = bed.directory.path().join("stores/default.db.schema-1");
    assert_eq!(kept.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let kept = Connection::open(&kept).unwrap();
    let count = |sql: &str| kept.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count("SELECT user_version FROM pragma_user_version"), 1);
    assert_eq!((count("SELECT count(*) FROM users"), count("SELECT count(*) FROM products")), (1, 1));
    // A new store has no copy.
    let bed = Bed::new(Kind::Sqlite);
    bed.merge(&file).unwrap();
    assert!(!bed.directory.path().join("stores/default.db.schema-0").exists());
}

/// R13
#[test]
fn every_tenant_has_a_file_of_its_own_that_nobody_else_reads() {
    let bed = Bed::new(Kind::Sqlite);
    let file = File::new("a.csv").accounts(stages(&[("1", text("won"))]));
    bed.merge(&file).unwrap();
    let delivery = Delivery { tenant: "other".parse().unwrap(), ..file.delivery() };
    let mut staging = bed.destination.stage(delivery).unwrap();
    let accounts = stages(&[("1", text("lost"))]);
    staging.open_table(Some(&accounts.layout()), None).unwrap();
    staging.accounts(&accounts.batch(), &[]).unwrap();
    staging.merge(crate::destination::RowCounts::default()).unwrap();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&bed.database()), 0o600);
    assert_eq!(mode(&bed.directory.path().join("stores/other.db")), 0o600);
    assert_eq!(mode(&bed.directory.path().join("stores")), 0o700);
    assert_eq!(bed.rows("PRAGMA integrity_check"), ["ok"]);
}
