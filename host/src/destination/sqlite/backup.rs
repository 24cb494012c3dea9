//! Copying stores while they are in use.
//!
//! A copy is the store as it stood at one moment: a connection of its own reads in one transaction, for which nobody
//! waits, in whichever process. It has no write-ahead log, so that one file is all of it.

use std::path::{Path, PathBuf};

use rusqlite::OpenFlags;
use rusqlite::backup::{Backup, StepResult};

use super::store::{Statements, create_private, io_error, open, sqlite_error};
use crate::destination::DestinationError;
use crate::object::TenantName;

/// Pages that are copied between two signs of progress.
const PAGES: i32 = 1_024;

const WHAT: &str = "copy the store";

/// Where a tenant's store is.
pub fn store_path(directory: &Path, tenant: &TenantName) -> PathBuf {
    directory.join(format!("{tenant}.db"))
}

/// The tenants that have a store in a destination's directory, sorted; none where there is no directory yet.
pub fn tenants(directory: &Path) -> Result<Vec<TenantName>, DestinationError> {
    let mut found: Vec<TenantName> = Vec::new();
    for path in store_files(directory)? {
        let tenant = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".db")?.parse().ok());
        found.extend(tenant);
    }
    Ok(found)
}

/// Every store's file and SQLite's own beside it, sorted.
pub fn store_files(directory: &Path) -> Result<Vec<PathBuf>, DestinationError> {
    let entries = match directory.read_dir() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|source| io_error("list", directory, source))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|source| io_error("list", directory, source))?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let is_store = ["", "-wal", "-shm"].into_iter().any(|side| name.ends_with(&format!(".db{side}")));
        // What is being put there has no name yet.
        if is_store && !name.starts_with('.') {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Copies a store beside itself, as `TENANT.db.schema-N`, before a migration changes it (R18). The caller holds the lock that
/// writing takes. A copy that is there already is of the same schema and older: it is replaced.
pub(super) fn keep_before_migration(store: &Path, schema: i64) -> Result<(), DestinationError> {
    let beside = |end: &str| {
        let mut name = store.as_os_str().to_owned();
        name.push(format!(".schema-{schema}{end}"));
        PathBuf::from(name)
    };
    let (kept, unfinished) = (beside(""), beside(".unfinished"));
    match std::fs::remove_file(&unfinished) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(io_error("delete", &unfinished, error));
        }
        Ok(()) | Err(_) => {}
    }
    copy_store(store, &unfinished, &mut |_| {})?;
    let flush = |path: &Path| std::fs::File::open(path).and_then(|file| file.sync_all());
    flush(&unfinished).map_err(|source| io_error("flush", &unfinished, source))?;
    std::fs::rename(&unfinished, &kept).map_err(|source| io_error("rename", &unfinished, source))?;
    store.parent().map_or(Ok(()), flush).map_err(|source| io_error("flush", &kept, source))
}

/// Copies a store into a new file that its owner alone may read. `progress` is told how many bytes came since it was
/// last told. The caller flushes the file.
pub fn copy_store(from: &Path, to: &Path, progress: &mut dyn FnMut(u64)) -> Result<(), DestinationError> {
    let source = open(from, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let db = Statements::new(&source, from);
    // The first look begins the transaction; from here on the store stands still for this connection.
    db.batch(WHAT, "BEGIN")?;
    db.value::<i64>(WHAT, "SELECT count(*) FROM sqlite_schema")?;
    let page: u64 = db.count(WHAT, "PRAGMA page_size")?;
    create_private(to)?;
    let mut target = open(to, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    {
        let failed = |error| sqlite_error(WHAT, from, error);
        let backup = Backup::new(&source, &mut target).map_err(failed)?;
        let mut copied = 0;
        loop {
            let step = backup.step(PAGES).map_err(failed)?;
            let left = backup.progress();
            let now = u64::try_from(left.pagecount - left.remaining).unwrap_or_default() * page;
            progress(now.saturating_sub(copied));
            copied = now;
            match step {
                StepResult::Done => break,
                StepResult::More => {}
                _ => return Err(io_error(WHAT, from, std::io::ErrorKind::ResourceBusy.into())),
            }
        }
    }
    Statements::new(&target, to).value::<String>("settle the copy", "PRAGMA journal_mode = DELETE").map(drop)
}
