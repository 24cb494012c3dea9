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
    assert!(matches!(error, DestinationError::Schema { found: 99, known: 1, .. }), "{error}");
    assert!(!error.is_files_fault());
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
