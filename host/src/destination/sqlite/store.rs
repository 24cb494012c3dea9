//! One tenant's database file: opening, its schema, and running statements with errors that name the step.

use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use rusqlite::types::FromSql;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Params, TransactionBehavior};

use super::backup;
use super::log::Log;
use crate::destination::DestinationError;
use crate::destination::relational::similar::Names;

/// The schemas, each in the statements that lead to it from the one before.
const MIGRATIONS: [&str; 2] = [include_str!("schema.sql"), include_str!("users.sql")];

/// How long a write waits for someone else's before it gives up.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// KiB of pages that the writing connection keeps. A sorter may take as much again before it goes to a file.
const WRITER_CACHE: u32 = 12 * 1024;

/// KiB of pages of a staging file.
pub(super) const STAGING_CACHE: u32 = 4 * 1024;

/// One tenant's database. It stands open in one writing connection and one for small questions, which in WAL mode
/// never wait for each other.
pub(super) struct Store {
    path: PathBuf,
    writer: Mutex<Option<Connection>>,
    reader: OnceLock<Mutex<Connection>>,
    log: Log,
    names: Names,
}

impl Store {
    pub(super) fn new(path: PathBuf) -> Self {
        let log = Log::of(&path);
        Self { path, writer: Mutex::new(None), reader: OnceLock::new(), log, names: Names::default() }
    }

    /// Where the database is, whether or not it exists yet.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The names of its accounts.
    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    pub(super) fn exists(&self) -> bool {
        self.path.exists()
    }

    /// Works with the writing connection, one at a time, and returns when what was written is on disk. The first call
    /// makes the file.
    pub(super) fn write<T>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, DestinationError>,
    ) -> Result<T, DestinationError> {
        // The connection is taken out while it works, so a panic leaves nothing behind that could be in doubt.
        let mut kept = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => self.open_writer()?,
        };
        if self.log.is_in_doubt() {
            self.write_back(&connection)?;
        }
        // After a failure it is closed instead of kept, which takes back whatever was left open.
        self.log.begin();
        let worked = work(&mut connection);
        let commit = self.log.end();
        let value = worked?;
        // A tenant that rests holds no pages, so that memory does not grow with the number of tenants.
        // Whether that worked says nothing of the work.
        let _ = connection.release_memory();
        *kept = Some(connection);
        // The next one writes while this one waits for the disk.
        drop(kept);
        self.log.settle(commit).map_err(|source| io_error("flush", self.log.path(), source))?;
        Ok(value)
    }

    /// Does work in one transaction, or none of it.
    pub(super) fn write_whole(
        &self,
        what: &'static str,
        work: impl FnOnce(Statements<'_>) -> Result<(), DestinationError>,
    ) -> Result<(), DestinationError> {
        self.write(|connection| {
            let failed = |source| sqlite_error(what, &self.path, source);
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
            work(Statements::new(&transaction, &self.path))?;
            transaction.commit().map_err(failed)
        })
    }

    /// Waits until what a reader has seen is on disk, which it need not be yet.
    pub(super) fn settle_seen(&self) -> Result<(), DestinationError> {
        match self.log.is_in_doubt() {
            true => self.write(|_| Ok(())),
            false => self.log.settle_seen().map_err(|source| io_error("flush", self.log.path(), source)),
        }
    }

    /// Writes all of the log into the database, which is flushed then.
    fn write_back(&self, connection: &Connection) -> Result<(), DestinationError> {
        let what = "write the log back";
        let busy: bool = Statements::new(connection, &self.path).value(what, "PRAGMA wal_checkpoint(TRUNCATE)")?;
        if busy {
            let source = std::io::Error::new(std::io::ErrorKind::ResourceBusy, "another process reads the database");
            return Err(io_error(what, &self.path, source));
        }
        self.log.written_back();
        Ok(())
    }

    fn open_writer(&self) -> Result<Connection, DestinationError> {
        create_private(&self.path)?;
        let connection = open(&self.path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        configure_writer(&connection, &self.path)?;
        migrate(&connection, &self.path)?;
        Ok(connection)
    }

    /// The connection for questions; none while there is no file.
    pub(super) fn reader(&self) -> Result<Option<MutexGuard<'_, Connection>>, DestinationError> {
        let reader = match self.reader.get() {
            Some(reader) => reader,
            None if !self.exists() => return Ok(None),
            None => {
                // The writer makes the schema; without it an unfinished file could be read.
                self.write(|_| Ok(()))?;
                let connection = open(&self.path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
                let pragmas = "PRAGMA query_only = ON; PRAGMA cache_size = -1024";
                Statements::new(&connection, &self.path).batch("set up the reader", pragmas)?;
                self.reader.get_or_init(|| Mutex::new(connection))
            }
        };
        Ok(Some(reader.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// A database in memory with the schema of a store, for looking at what would happen to one that does not exist yet.
#[expect(clippy::disallowed_methods, reason = "this is where stores are opened")]
pub(super) fn open_empty(path: &Path) -> Result<Connection, DestinationError> {
    let connection =
        Connection::open_in_memory().map_err(|source| sqlite_error("open an empty store", path, source))?;
    migrate(&connection, path)?;
    Ok(connection)
}

/// Opens a database file. Every connection is used by one thread at a time, so SQLite's own mutexes are left out.
#[expect(clippy::disallowed_methods, reason = "this is where stores are opened")]
pub(super) fn open(path: &Path, flags: OpenFlags) -> Result<Connection, DestinationError> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(|source| sqlite_error("open the database", path, source))?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(|source| sqlite_error("open the database", path, source))?;
    Ok(connection)
}

/// Makes a file that its owner alone may read, unless it exists. SQLite gives its side files the same mode.
pub(super) fn create_private(path: &Path) -> Result<(), DestinationError> {
    if let Some(directory) = path.parent() {
        create_private_directory(directory)?;
    }
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
    file.map(drop).map_err(|source| io_error("create", path, source))
}

/// Makes a directory, and those above it, that their owner alone may enter.
pub(super) fn create_private_directory(directory: &Path) -> Result<(), DestinationError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.map_err(|source| io_error("create", directory, source))
}

fn configure_writer(connection: &Connection, path: &Path) -> Result<(), DestinationError> {
    // NORMAL, because `Log` flushes what is committed. The limit gives the space of a huge merge's log back afterwards.
    let pragmas = format!(
        "PRAGMA page_size = 8192; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON; \
         PRAGMA temp_store = FILE; PRAGMA cache_size = -{WRITER_CACHE}; PRAGMA journal_size_limit = 67108864;"
    );
    Statements::new(connection, path).batch("set up the database", &pragmas)
}

/// Brings a store to the newest schema, in one transaction. A store that is there is copied first (R18), while nobody writes.
fn migrate(connection: &Connection, path: &Path) -> Result<(), DestinationError> {
    let statements = Statements::new(connection, path);
    let known = MIGRATIONS.len() as i64;
    let version = || statements.value::<i64>("read the schema version", "PRAGMA user_version");
    if version()? == known {
        return Ok(());
    }
    statements.batch("begin to migrate", "BEGIN IMMEDIATE")?;
    let migrated = version().and_then(|found| {
        if found > known {
            return Err(DestinationError::Schema { path: path.display().to_string(), found, known });
        }
        let done = usize::try_from(found).unwrap_or_default();
        if (1..known).contains(&found) {
            backup::keep_before_migration(path, found)?;
        }
        MIGRATIONS.iter().skip(done).try_for_each(|migration| statements.batch("migrate", migration))
    });
    match migrated {
        Ok(()) => statements.batch("finish migrating", "COMMIT"),
        Err(error) => {
            // The first error is the one to tell; closing the connection rolls back too.
            let _ = statements.batch("take the migration back", "ROLLBACK");
            Err(error)
        }
    }
}

pub(super) fn sqlite_error(what: &'static str, path: &Path, source: rusqlite::Error) -> DestinationError {
    DestinationError::Sqlite { what, path: path.display().to_string(), source }
}

pub(super) fn io_error(what: &'static str, path: &Path, source: std::io::Error) -> DestinationError {
    DestinationError::Io { what, path: path.display().to_string(), source }
}

/// Runs statements on one connection; each error names the step and the file.
#[derive(Clone, Copy)]
pub(super) struct Statements<'c> {
    connection: &'c Connection,
    path: &'c Path,
}

impl<'c> Statements<'c> {
    pub(super) fn new(connection: &'c Connection, path: &'c Path) -> Self {
        Self { connection, path }
    }

    /// Runs one statement; how many rows it changed.
    pub(super) fn run(&self, what: &'static str, sql: &str, params: impl Params) -> Result<u64, DestinationError> {
        self.connection
            .execute(sql, params)
            .map(|rows| rows as u64)
            .map_err(|source| sqlite_error(what, self.path, source))
    }

    /// Runs statements without parameters.
    pub(super) fn batch(&self, what: &'static str, sql: &str) -> Result<(), DestinationError> {
        self.connection.execute_batch(sql).map_err(|source| sqlite_error(what, self.path, source))
    }

    /// The only value of the first row.
    pub(super) fn value<T: FromSql>(&self, what: &'static str, sql: &str) -> Result<T, DestinationError> {
        self.value_of(what, sql, [])
    }

    /// The only value of the first row.
    pub(super) fn value_of<T: FromSql>(
        &self,
        what: &'static str,
        sql: &str,
        params: impl Params,
    ) -> Result<T, DestinationError> {
        self.connection.query_row(sql, params, |row| row.get(0)).map_err(|source| sqlite_error(what, self.path, source))
    }

    /// The only value of the first row, a count.
    pub(super) fn count(&self, what: &'static str, sql: &str) -> Result<u64, DestinationError> {
        Ok(u64::try_from(self.value::<i64>(what, sql)?).unwrap_or_default())
    }

    /// The first row, if there is one.
    pub(super) fn first<T>(
        &self,
        what: &'static str,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, DestinationError> {
        self.connection.query_row(sql, params, read).optional().map_err(|source| sqlite_error(what, self.path, source))
    }

    /// Every row. For answers whose length is bounded by something small: settings, examples.
    pub(super) fn rows<T>(
        &self,
        what: &'static str,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, DestinationError> {
        let rows = || self.connection.prepare(sql)?.query_map(params, read)?.collect::<rusqlite::Result<Vec<T>>>();
        rows().map_err(|source| sqlite_error(what, self.path, source))
    }

    /// Every row in turn.
    pub(super) fn each(
        &self,
        what: &'static str,
        sql: &str,
        mut work: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), DestinationError> {
        let mut rows = || {
            let mut statement = self.connection.prepare(sql)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                work(row)?;
            }
            Ok(())
        };
        rows().map_err(|source| sqlite_error(what, self.path, source))
    }

    /// Runs one statement of many that are alike.
    pub(super) fn run_again(&self, sql: &str, params: impl Params) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute(params).map(drop)
    }

    /// Whether one statement of many that are alike finds a row.
    pub(super) fn finds_again(
        &self,
        what: &'static str,
        sql: &str,
        params: impl Params,
    ) -> Result<bool, DestinationError> {
        let found = self.connection.prepare_cached(sql).and_then(|mut statement| statement.exists(params));
        found.map_err(|source| sqlite_error(what, self.path, source))
    }

    /// The id that the last insert gave.
    pub(super) fn last_id(&self) -> i64 {
        self.connection.last_insert_rowid()
    }
}
