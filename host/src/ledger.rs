//! The durable record of what happened to each object.
//!
//! It owns the file `ledger.redb` in the state directory: which versions of which keys were seen, in which order, and
//! what became of each. It knows nothing of S3, of mappers or of destinations beyond their names, and it has no clock:
//! every time is handed in.
//!
//! # Layout
//!
//! One redb file, written by one process. Numbers in places are big-endian, so that rows lie in the order in which a
//! server lists; numbers in values are little-endian.
//!
//! | table | place | value |
//! |---|---|---|
//! | `meta` | `schema` | the schema version, 1 |
//! | `sources` | `{integration}\0{connection}\0{bucket}` | a number of 4 bytes that stands for the three |
//! | `controls` | integration | JSON: first seen, pause, backfill decision, former names, places and keys of connections |
//! | `keys` | `[source: 4][key]` | the index: what a pass has to know of a key, in 69 bytes and the ETag |
//! | `versions` | `[source: 4][key][arrival: 8]` | JSON: one version of the key, its state and what was learnt of it |
//! | `contents` | `[source: 4][key][BLAKE3: 32]` | the arrival of the completed version that had these bytes |
//! | `absent` | `[source: 4][key]` | the second at which the bucket was first seen not to hold it any more |
//!
//! The index is, in this order: state (1), count of arrivals (8), arrival that the last listing showed when that was
//! not the newest (8), second from which it is due (8), mapping digest under which it failed (32), effective time (8
//! and 4), and the ETag of the newest version. Except for the third it follows from `versions`, and is written in the
//! same transaction.
//!
//! # What happens to a version
//!
//! A listing that shows an ETag for the first time registers it durably, with the next arrival of its key, before
//! anyone works on it: the order of versions is that of their arrival, whatever happens later (R2). Registered without
//! a state means new. From there it becomes what [`State`] says. A person who asks for it again raises its generation
//! and makes it new (R1). A version that is listed again after a newer one is either left out with a warning or
//! becomes the newest arrival under its next generation (R4).
//!
//! # Crashes
//!
//! Each change is one transaction with an fsync; changes asked for at the same moment share it. Whatever was answered
//! is on disk. A change that was not answered is there as a whole or not at all, and a commit that returned an error
//! may be either (I4): from the first failed write on, this ledger refuses all others, and the process has to end and
//! read the truth again. What is done twice after that is caught by the destinations, which confirm an identity at
//! most once (I3).

use std::io::{BufRead, Write};
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use redb::backends::FileBackend;
use redb::{Builder, Database, ReadTransaction, ReadableDatabase};

use crate::object::{ConnectionKey, ContentHash, IntegrationName, Object, ObjectKey, Site};

pub use admit::{AdmitPolicy, Admitted, Known, NewObject, OnRevert, SameContent};
pub use browse::{Backlog, Counts, Filter, ListPosition, Listed, Overview, Versions};
pub use census::Stretch;
pub use reconcile::Reconciled;
pub use record::{Again, AskedAgain, Recorded, Selector};
pub use relocate::Relocated;
pub use rename::Renamed;
pub use state::{Backfill, Control, Entry, Facts, Failure, Pause, Place, Silence, SkipReason, State, StateName};
pub use transfer::Imported;

use layout::{ABSENT, CONTROLS, META, SCHEMA, Tables};
use writer::Writer;

mod admit;
mod browse;
mod census;
mod layout;
mod reconcile;
mod record;
mod relocate;
mod rename;
mod state;
mod store;
mod transfer;
mod walk;
mod writer;

#[cfg(test)]
pub(crate) mod disk;
#[cfg(test)]
mod failing_storage_tests;
#[cfg(test)]
mod tests;

/// Why the ledger could not be read or written. Cheap to clone, since one failed commit fails all who shared it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LedgerError {
    /// Another process has it open.
    #[error("ledger `{path}` is in use by another process")]
    InUse {
        /// The file.
        path: String,
    },
    /// It cannot be opened or made.
    #[error("cannot open ledger `{path}`")]
    Open {
        /// The file.
        path: String,
        /// redb's own words.
        #[source]
        source: Arc<redb::Error>,
    },
    /// It was written by a newer version.
    #[error("ledger `{path}` has schema version {found}, this version reads up to {known}")]
    Schema {
        /// The file.
        path: String,
        /// What stands there.
        found: u64,
        /// What is known.
        known: u64,
    },
    /// A change failed; whether it is stored is unknown (I4).
    #[error("cannot {what} the ledger")]
    Write {
        /// The step.
        what: &'static str,
        /// redb's own words.
        #[source]
        source: Arc<redb::Error>,
    },
    /// A change failed before, so that this one was not tried (I4).
    #[error("the ledger takes no change after a failed one")]
    Stopped,
    /// It cannot be read.
    #[error("cannot read the ledger")]
    Read {
        /// redb's own words.
        #[source]
        source: Arc<redb::Error>,
    },
    /// A row is not what this version writes.
    #[error("ledger row `{at}` cannot be read")]
    Corrupt {
        /// The row's place.
        at: String,
    },
    /// The thread that writes cannot be started.
    #[error("cannot start the ledger's thread")]
    Thread {
        /// The system's own words.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// An import needs an empty ledger.
    #[error("the ledger is not empty")]
    NotEmpty,
    /// The text to import does not begin as an export does.
    #[error("this is not an exported ledger")]
    NotAnExport,
    /// The text to import comes from a newer version.
    #[error("the export has version {found}, this version reads up to {known}")]
    NewerExport {
        /// What stands there.
        found: u64,
        /// What is known.
        known: u64,
    },
    /// A line of an export cannot be read.
    #[error("cannot read line {line} of the export")]
    Import {
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// An export cannot be written.
    #[error("cannot write the export")]
    Export {
        /// The system's own words.
        #[source]
        source: Arc<std::io::Error>,
    },
}

impl LedgerError {
    /// Whether the process has to end, with exit code 74 (I4).
    pub fn is_fatal(&self) -> bool {
        match self {
            Self::Write { .. } | Self::Stopped | Self::Read { .. } | Self::Corrupt { .. } => true,
            Self::InUse { .. }
            | Self::Open { .. }
            | Self::Schema { .. }
            | Self::Thread { .. }
            | Self::NotEmpty
            | Self::NotAnExport
            | Self::NewerExport { .. }
            | Self::Import { .. }
            | Self::Export { .. } => false,
        }
    }

    /// What the operator can do, where there is something.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::InUse { .. } => Some("a running daemon owns it: use its commands, or stop it first"),
            Self::Schema { .. } | Self::NewerExport { .. } => Some("install the version that wrote it, or a newer one"),
            Self::Write { .. } | Self::Stopped => {
                Some("mend the disk, then start again: nothing that was confirmed is lost")
            }
            Self::Read { .. } | Self::Corrupt { .. } => Some("restore a backup, or import an export"),
            Self::NotEmpty => Some("import into a state directory that has no ledger yet"),
            Self::NotAnExport => Some("its first line should be the one that `gristmill ledger export` writes"),
            Self::Open { .. } | Self::Thread { .. } | Self::Import { .. } | Self::Export { .. } => None,
        }
    }

    fn exporting(error: std::io::Error) -> Self {
        Self::Export { source: Arc::new(error) }
    }

    fn importing(line: u64, error: std::io::Error) -> Self {
        Self::Import { line, source: Arc::new(error) }
    }
}

fn reading(error: impl Into<redb::Error>) -> LedgerError {
    LedgerError::Read { source: Arc::new(error.into()) }
}

fn writing(what: &'static str, error: impl Into<redb::Error>) -> LedgerError {
    LedgerError::Write { what, source: Arc::new(error.into()) }
}

/// Memory that redb may use for pages. The operating system caches the file as well.
const CACHE: usize = 8 << 20;

/// The ledger. A clone is another handle to the same one; the file is closed with the last.
#[derive(Debug, Clone)]
pub struct Ledger(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    // Dropped first: what was asked for is written before the file is closed.
    writer: Writer,
    database: Arc<Database>,
}

impl Ledger {
    /// Opens the ledger at `path`, or makes an empty one. Blocks; a file that was not closed is repaired first.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        let failed =
            |error: redb::Error| LedgerError::Open { path: path.display().to_string(), source: Arc::new(error) };
        if !path.try_exists().map_err(|error| failed(error.into()))? {
            make(path).map_err(failed)?;
        }
        Self::start(open(path)?, &path.display().to_string())
    }

    /// Gives room back that the ledger at `path` does not need. Blocks; nobody else may have it open.
    ///
    /// # Errors
    /// As for [`Ledger::open`]; the ledger is whole in any case.
    pub fn compact(path: &Path) -> Result<(), LedgerError> {
        let mut database = open(path)?;
        database.compact().map(drop).map_err(|error| writing("compact", error))
    }

    fn start(database: Database, path: &str) -> Result<Self, LedgerError> {
        let found = schema(&database)?;
        if found != SCHEMA {
            return Err(LedgerError::Schema { path: path.to_owned(), found, known: SCHEMA });
        }
        add_tables(&database)?;
        let database = Arc::new(database);
        let writer =
            Writer::start(database.clone()).map_err(|error| LedgerError::Thread { source: Arc::new(error) })?;
        Ok(Self(Arc::new(Inner { writer, database })))
    }

    /// The failure after which nothing more is written, whoever met it; the process has to end (I4).
    pub fn failure(&self) -> Option<LedgerError> {
        self.0.writer.failure()
    }

    /// Says what each object of a listed page is. Versions never seen before are registered durably before this
    /// returns. Reads in one transaction, and writes, where anything is to be written, in one.
    pub async fn admit(
        &self,
        integration: &IntegrationName,
        objects: Vec<Object>,
        policy: &AdmitPolicy,
    ) -> Result<Admitted, LedgerError> {
        let (name, rules) = (integration.clone(), policy.clone());
        let (mut admitted, to_write) =
            self.read(move |transaction| admit::look_up(transaction, &name, objects, &rules)).await?;
        if !to_write.is_empty() {
            let (name, rules) = (integration.clone(), policy.clone());
            admitted.join(self.write(move |tables| admit::register(tables, &name, to_write, &rules)).await?);
        }
        Ok(admitted)
    }

    /// Records what became of an object. Requests of one moment share a commit.
    pub async fn record(&self, new: &NewObject, state: State, facts: Facts) -> Result<Recorded, LedgerError> {
        let new = new.clone();
        self.write(move |tables| record::record(tables, &new, state, facts)).await
    }

    /// The completed version of the same key that had these bytes, if there is one (R5, R4).
    pub async fn same_content(
        &self,
        new: &NewObject,
        content: ContentHash,
    ) -> Result<Option<SameContent>, LedgerError> {
        let new = new.clone();
        self.read(move |transaction| admit::same_content(transaction, &new, &content)).await
    }

    /// Registers objects as left out, unless they were worked on before (R16). Returns how many.
    pub async fn skip_all(
        &self,
        integration: &IntegrationName,
        objects: Vec<Object>,
        reason: SkipReason,
        now: Timestamp,
    ) -> Result<u64, LedgerError> {
        let integration = integration.clone();
        self.write(move |tables| record::skip_all(tables, &integration, objects, &reason, now)).await
    }

    /// Makes objects new again under their next generation (R1): `replay` and `ledger forget`. The next pass takes
    /// those that its listing shows.
    pub async fn ask_again(
        &self,
        integration: &IntegrationName,
        selector: Selector,
        again: Again,
        now: Timestamp,
    ) -> Result<AskedAgain, LedgerError> {
        let integration = integration.clone();
        self.write(move |tables| record::ask_again(tables, &integration, &selector, again, now)).await
    }

    /// Makes completed entries new that no destination ever confirmed, in their own generation (R18). Those that have
    /// changed since they were read stay as they are.
    pub async fn take_again(&self, unconfirmed: Vec<Entry>, now: Timestamp) -> Result<Reconciled, LedgerError> {
        self.write(move |tables| reconcile::take_again(tables, &unconfirmed, now)).await
    }

    /// What stands for an integration; the default when nothing does yet.
    pub async fn control(&self, integration: &IntegrationName) -> Result<Control, LedgerError> {
        let integration = integration.clone();
        self.read(move |transaction| {
            store::control_of(&transaction.open_table(CONTROLS).map_err(reading)?, &integration)
        })
        .await
    }

    /// Changes what stands for an integration, and returns it as it is then.
    pub async fn change_control(
        &self,
        integration: &IntegrationName,
        change: impl FnOnce(&mut Control) + Send + 'static,
    ) -> Result<Control, LedgerError> {
        let integration = integration.clone();
        self.write(move |tables| {
            let mut control = store::control_of(&tables.controls, &integration)?;
            change(&mut control);
            store::put_control(tables, &integration, &control)?;
            Ok(control)
        })
        .await
    }

    /// Gives an integration everything that stands under its former name, in one transaction, and notes that the
    /// destinations have to follow (R17). Doing it again does nothing.
    pub async fn rename(&self, from: &IntegrationName, to: &IntegrationName) -> Result<Renamed, LedgerError> {
        let (from, to) = (from.clone(), to.clone());
        self.write(move |tables| rename::rename(tables, &from, &to)).await
    }

    /// Lets an integration go on with what it has taken over a connection under its former key (R17). Whether there was
    /// anything; doing it again does nothing.
    pub async fn rename_connection(
        &self,
        integration: &IntegrationName,
        from: &ConnectionKey,
        to: &ConnectionKey,
    ) -> Result<bool, LedgerError> {
        let (integration, from, to) = (integration.clone(), from.clone(), to.clone());
        self.write(move |tables| rename::rename_connection(tables, &integration, &from, &to)).await
    }

    /// Takes what an integration had at a former place for what it has where it looks now, in one transaction, and notes
    /// that the destinations have to follow (R17). Doing it again does nothing.
    pub async fn relocate(
        &self,
        integration: &IntegrationName,
        from: &Site,
        now: &Place,
    ) -> Result<Relocated, LedgerError> {
        let (integration, from, now) = (integration.clone(), from.clone(), now.clone());
        self.write(move |tables| relocate::relocate(tables, &integration, &from, &now)).await
    }

    /// Some of an integration's entries.
    pub async fn list(&self, integration: &IntegrationName, filter: Filter) -> Result<Listed, LedgerError> {
        let integration = integration.clone();
        self.read(move |transaction| browse::list(transaction, &integration, &filter)).await
    }

    /// Every version of one key, newest first.
    pub async fn show(&self, integration: &IntegrationName, key: &ObjectKey) -> Result<Vec<Entry>, LedgerError> {
        let (integration, key) = (integration.clone(), key.clone());
        self.read(move |transaction| browse::show(transaction, &integration, &key)).await
    }

    /// What an integration has. Reads each key's index once, and each version that is not done with.
    pub async fn overview(&self, integration: &IntegrationName) -> Result<Overview, LedgerError> {
        let integration = integration.clone();
        self.read(move |transaction| browse::overview(transaction, &integration)).await
    }

    /// Notes which keys a stretch of the listing no longer shows, and which it shows again.
    pub async fn count(
        &self,
        integration: &IntegrationName,
        place: &Place,
        stretch: Stretch,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        let (stretch, mut rest) = (Arc::new(stretch), None);
        loop {
            let (name, place, stretch) = (integration.clone(), place.clone(), Arc::clone(&stretch));
            let compare =
                move |transaction: &ReadTransaction| census::compare(transaction, &name, &place, &stretch, rest);
            let changed = self.read(compare).await?;
            rest = changed.rest.clone();
            if !changed.is_nothing() {
                self.write(move |tables| census::note(tables, &changed, now)).await?;
            }
            if rest.is_none() {
                return Ok(());
            }
        }
    }

    /// Forgets keys that were gone at `gone_at` already, at most so many; how many that were.
    pub async fn forget_gone(
        &self,
        integration: &IntegrationName,
        place: &Place,
        gone_at: Timestamp,
        most: usize,
    ) -> Result<usize, LedgerError> {
        let (name, place) = (integration.clone(), place.clone());
        self.write(move |tables| census::forget(tables, &name, &place, gone_at, most)).await
    }

    /// Writes everything as lines of JSON, as it stood when this was called. Blocks.
    pub fn export(&self, out: &mut dyn Write) -> Result<(), LedgerError> {
        transfer::export(&self.0.database.begin_read().map_err(reading)?, out)
    }

    /// Reads what [`Ledger::export`] wrote into a ledger that holds nothing yet: all of it or, on an error, nothing.
    /// Blocks.
    pub fn import(&self, lines: &mut dyn BufRead) -> Result<Imported, LedgerError> {
        let transaction = self.0.database.begin_write().map_err(|error| writing("begin a change of", error))?;
        let imported = transfer::import(&mut Tables::open(&transaction)?, lines)?;
        transaction.commit().map_err(|error| writing("commit to", error))?;
        Ok(imported)
    }

    async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&ReadTransaction) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let inner = self.0.clone();
        let task = move || look(&inner.database.begin_read().map_err(reading)?);
        match tokio::task::spawn_blocking(task).await {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is being shut down.
                Err(_) => Err(LedgerError::Stopped),
            },
        }
    }

    async fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Tables<'_>) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        self.0.writer.ask(change).await.unwrap_or(Err(LedgerError::Stopped))
    }
}

/// The schema version of a ledger; 0 when nothing says.
fn schema(database: &Database) -> Result<u64, LedgerError> {
    let transaction = database.begin_read().map_err(reading)?;
    match transaction.open_table(META) {
        Ok(meta) => Ok(meta.get("schema").map_err(reading)?.map_or(0, |version| version.value())),
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(0),
        Err(error) => Err(reading(error)),
    }
}

#[expect(clippy::disallowed_methods, reason = "this is where the ledger is opened")]
fn open(path: &Path) -> Result<Database, LedgerError> {
    Builder::new().set_cache_size(CACHE).open(path).map_err(|error| match error {
        redb::DatabaseError::DatabaseAlreadyOpen => LedgerError::InUse { path: path.display().to_string() },
        other => LedgerError::Open { path: path.display().to_string(), source: Arc::new(other.into()) },
    })
}

/// Tables that came after the first ledgers of this schema.
fn add_tables(database: &Database) -> Result<(), LedgerError> {
    let looked = database.begin_read().map_err(reading)?.open_table(ABSENT).map(drop);
    match looked {
        Err(redb::TableError::TableDoesNotExist(_)) => {
            let transaction = database.begin_write().map_err(|error| writing("begin a change of", error))?;
            Tables::open(&transaction)?;
            transaction.commit().map_err(|error| writing("commit to", error))
        }
        other => other.map_err(reading),
    }
}

/// Makes an empty ledger aside and gives it its name when it is whole: redb cannot open a file of which only the first
/// pages were written. Should another process have been faster, its file stays.
#[expect(clippy::disallowed_methods, reason = "this is where a ledger is made")]
fn make(path: &Path) -> Result<(), redb::Error> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    };
    let aside = tempfile::Builder::new().prefix(".ledger-").tempfile_in(directory)?;
    prepare(&Builder::new().create_with_backend(FileBackend::new(aside.reopen()?)?)?)?;
    match aside.persist_noclobber(path) {
        Err(error) if error.error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error.error.into()),
        Ok(_) | Err(_) => {}
    }
    std::fs::File::open(directory)?.sync_all()?;
    Ok(())
}

/// Makes every table, so that reads always find them.
fn prepare(database: &Database) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    transaction.open_table(META)?.insert("schema", SCHEMA)?;
    Tables::make(&transaction)?;
    transaction.commit()?;
    Ok(())
}
