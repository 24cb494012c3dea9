//! Where records go.
//!
//! A destination stages one object's records, then merges them as a whole: everything becomes visible in one
//! transaction (or one rename) that also records the object's identity, so that an identity is confirmed at most once
//! (I3, R1). Only a webhook may see a batch of records twice, under one id. A destination matches identifiers to accounts itself, set-wise. It knows nothing of the ledger, of S3 or of formats.
//!
//! All calls block; the caller keeps them off the async threads.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::batch::{AccountBatch, AccountLayout, UsageBatch, UsageLayout};
use crate::object::{AsOf, ContentHash, DedupKey, Identity, IntegrationName, MappingDigest, Object, TenantName};
use crate::oversight::{Beat, Stop};
use crate::secrets::SecretError;

use self::postgres::TlsError;

pub mod accounts;
mod background;
#[cfg(test)]
mod conformance;
pub mod files;
mod iso;
mod matching;
mod names;
pub mod postgres;
mod relational;
pub mod resolve;
pub mod sqlite;
pub mod users;
pub mod webhook;

use accounts::{AccountVisitor, Wanted};
pub use matching::{Conflict, Matching, NameMatch, OnMultiple, OnNoMatch};
use resolve::ResolvedRow;
use users::{User, UserVisitor, UsersMerged};

/// What one object brings, before its first record.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Confirmed at most once.
    pub identity: Identity,
    /// The object itself; every record keeps where it came from.
    pub object: Object,
    /// Whose accounts.
    pub tenant: TenantName,
    /// Where this object's writes stand among all writes.
    pub as_of: AsOf,
    /// What decided how its rows were read.
    pub mapping: MappingDigest,
    /// What its bytes were.
    pub content: ContentHash,
    /// How identifiers become accounts.
    pub matching: Matching,
    /// Whose rows it brings.
    pub brings: Brings,
}

/// Whose rows an object brings (R9, R10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Brings {
    /// Its own, less so many that mended reject files brought in their place.
    Own {
        /// How many were left out.
        mended: u64,
    },
    /// Rows of another object of the integration that were refused there and are mended. They join what that object
    /// contributed, and stand right behind it in the order of writes.
    Mended {
        /// That object.
        origin: DedupKey,
    },
}

impl Brings {
    /// All rows of its own.
    pub const OWN: Self = Self::Own { mended: 0 };

    /// The object whose mended rows these are.
    pub fn origin(&self) -> Option<&DedupKey> {
        match self {
            Self::Own { .. } => None,
            Self::Mended { origin } => Some(origin),
        }
    }
}

/// An object that was merged, as mended reject files need to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The object.
    pub object: Object,
    /// Those of its rows that mended reject files brought in their place, each as its reject file names it. They are left
    /// out when the object is taken again.
    pub mended: Vec<String>,
}

/// A row that was mended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MendedRow<'a> {
    /// The table-wide row that brings it.
    pub row: u32,
    /// Which row of its origin it is, as the reject file named it.
    pub origin: &'a str,
}

/// How many rows an object had.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RowCounts {
    /// Rows read, over all tables.
    pub read: u64,
    /// Of those, rows that were refused.
    pub rejected: u64,
}

/// What became of one object: kept with its identity, so that a run cut short after the merge can still say it (I3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// What its bytes were.
    pub content: ContentHash,
    /// Its rows.
    pub rows: RowCounts,
    /// What the merge did.
    pub merged: Merged,
}

/// What a merge did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Merged {
    /// Account records that matched an account there was.
    pub matched: u64,
    /// Accounts created.
    pub created: u64,
    /// Accounts of which at least one stored value changed.
    pub updated: u64,
    /// Accounts matched whose stored values were already these.
    pub unchanged: u64,
    /// Rows whose identifiers matched no account.
    pub unmatched: u64,
    /// Rows whose identifiers matched several accounts.
    pub ambiguous: u64,
    /// Account records handed over to a destination that matches none.
    pub delivered: u64,
    /// Usage values taken from the object, before aggregation.
    pub usage_values: u64,
    /// Usage records (account, user, product, metric, period) that the object contributed to.
    pub usage_records: u64,
    /// A few of the rows that matched nothing, for the log and the dry run.
    pub unmatched_examples: Vec<UnmatchedRow>,
    /// Values of fields that mean a user and told of none, or of several; such a field keeps what it had.
    pub unknown_users: u64,
    /// A few of them.
    pub unknown_user_examples: Vec<String>,
}

/// A row whose identifiers matched no account, or several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnmatchedRow {
    /// Which table of the object, from 0.
    pub table: u32,
    /// Table-wide row, from 0.
    pub row: u32,
    /// The identifier values, as they were compared.
    pub identifier: String,
}

/// A row that was refused, with one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectRow {
    /// Which table of the object, from 0.
    pub table: u32,
    /// Table-wide row, from 0.
    pub row: u32,
    /// The line of a CSV file or the row of a sheet, from 1.
    pub line: u64,
    /// The column's name, where one is to blame.
    pub column: Option<String>,
    /// The cell's text, where one is to blame.
    pub value: Option<String>,
    /// A stable code.
    pub code: String,
    /// A sentence for the person who owns the data.
    pub message: String,
    /// Which row of which object it was first, as its reject file says it (R10).
    pub origin: String,
}

/// Somewhere records go. Four are real: `sqlite`, `postgres`, `files` and `webhook`.
pub trait Destination: Send + Sync {
    /// What was merged under this identity, if it was confirmed.
    fn confirmed(&self, tenant: &TenantName, identity: &Identity) -> Result<Option<Summary>, DestinationError>;

    /// Whether it keeps accounts and matches identifiers to them (R12).
    fn can_match(&self) -> bool;

    /// The places of those identities that were never confirmed, in rising order. None where confirmed records may
    /// have been taken away since, so that an absence says nothing.
    fn unconfirmed(&self, tenant: &TenantName, identities: &[Identity])
    -> Result<Option<Vec<usize>>, DestinationError>;

    /// Whether the tenant has no account yet; none where this destination cannot match (R7, R12).
    fn lacks_accounts(&self, tenant: &TenantName) -> Result<Option<bool>, DestinationError>;

    /// Tells of a tenant's accounts as they stand at one moment. Not every destination can be asked.
    fn visit_accounts(
        &self,
        tenant: &TenantName,
        wanted: Wanted<'_>,
        visitor: &mut dyn AccountVisitor,
    ) -> Result<(), DestinationError> {
        let _ = (tenant, wanted, visitor);
        Err(DestinationError::CannotTell)
    }

    /// Adds users of a tenant, or changes those that are there; what is blank keeps what was known. No id stands there twice.
    /// Only destinations that keep accounts keep users.
    fn merge_users(&self, tenant: &TenantName, users: &[User]) -> Result<UsersMerged, DestinationError> {
        let _ = (tenant, users);
        Err(DestinationError::CannotTell)
    }

    /// Tells of a tenant's users as they stand at one moment, in the order of their ids.
    fn visit_users(
        &self,
        tenant: &TenantName,
        wanted: Wanted<'_>,
        visitor: &mut UserVisitor<'_>,
    ) -> Result<(), DestinationError> {
        let _ = (tenant, wanted, visitor);
        Err(DestinationError::CannotTell)
    }

    /// What was merged of an object, whatever its generation; none where nothing was.
    fn taken(
        &self,
        tenant: &TenantName,
        integration: &IntegrationName,
        dedup_key: &DedupKey,
    ) -> Result<Option<Taken>, DestinationError>;

    /// Takes what it holds under an integration's former name for that integration's (R17): all of it or nothing, and
    /// where it did before, nothing is left to do. One that keeps nothing by an integration's name has nothing to do.
    ///
    /// # Errors
    /// [`DestinationError::BothNames`] where both names have records.
    fn rename(&self, tenant: &TenantName, from: &IntegrationName, to: &IntegrationName)
    -> Result<(), DestinationError>;

    /// Begins to stage an object. What an unfinished staging left behind is discarded.
    fn stage(&self, delivery: Delivery) -> Result<Box<dyn Staging>, DestinationError>;
}

/// What takes one object's records, table by table.
pub trait Intake: Send {
    /// Begins the next table. Either layout may be missing, not both.
    fn open_table(
        &mut self,
        accounts: Option<&AccountLayout>,
        usage: Option<&UsageLayout>,
    ) -> Result<(), DestinationError>;

    /// Stages account records of the open table, less those of `rejected` rows (sorted, table-wide).
    fn accounts(&mut self, batch: &AccountBatch, rejected: &[u32]) -> Result<(), DestinationError>;

    /// Stages usage records of the open table, less those of `rejected` rows (sorted, table-wide).
    fn usage(&mut self, batch: &UsageBatch, rejected: &[u32]) -> Result<(), DestinationError>;

    /// Takes back what was staged for a row of the open table that turned out to be rejected later.
    fn reject_row(&mut self, row: u32) -> Result<(), DestinationError>;

    /// Says which rows of their origin the next records of the open table stand for, where the object brings mended rows.
    /// A destination that takes nothing from [`Destination::taken`] is never told.
    fn mends(&mut self, rows: &[MendedRow<'_>]) -> Result<(), DestinationError> {
        let _ = rows;
        Ok(())
    }

    /// Stages rows that were refused, to be kept beside what the object brought. The caller hands them over in bounded
    /// batches, in any order. A destination that keeps none leaves them to the reject file.
    fn rejects(&mut self, rejects: &[RejectRow]) -> Result<(), DestinationError> {
        let _ = rejects;
        Ok(())
    }
}

/// One object's records on their way into a destination. Dropped without a merge, it leaves no trace.
pub trait Staging: Intake {
    /// Hands over who oversees the merge that follows: what takes long beats, and ends when a stop is asked for.
    fn oversee(&mut self, merging: &Arc<Beat>, stop: &Stop) {
        let _ = (merging, stop);
    }

    /// What a merge would do; writes nothing that lasts.
    fn preview(self: Box<Self>) -> Result<Preview, DestinationError>;

    /// Tells the account of each row, in rising order of tables and rows, account records first, and what a merge would
    /// count of them; with row counts, it refuses what a merge would. Writes nothing that lasts. Not every destination can
    /// match.
    fn resolve(
        self: Box<Self>,
        rows: Option<RowCounts>,
        found: &mut dyn FnMut(ResolvedRow) -> Result<(), DestinationError>,
    ) -> Result<Merged, DestinationError> {
        let _ = (rows, found);
        Err(DestinationError::CannotTell)
    }

    /// Merges everything and confirms the identity, durably. The counts are kept with it.
    fn merge(self: Box<Self>, rows: RowCounts) -> Result<Summary, DestinationError>;
}

/// What a merge would do, with examples.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preview {
    /// The counts.
    pub merged: Merged,
    /// The first account records as JSON, each with what would happen to it under `change`: created, updated,
    /// unchanged or unmatched.
    pub accounts: Vec<serde_json::Value>,
    /// The first usage records as JSON.
    pub usage: Vec<serde_json::Value>,
}

/// Why records could not be stored.
#[derive(Debug, thiserror::Error)]
pub enum DestinationError {
    /// Every record was unmatched, so the file was not merged (R7).
    #[error("none of its {rows} rows matched an account")]
    NoAccountMatched {
        /// Rows.
        rows: u64,
    },
    /// More rows matched no account than the integration allows (R11).
    #[error("{unmatched} of {read} rows matched no account, and {limit}; the first is `{first}`")]
    TooManyUnmatched {
        /// How many.
        unmatched: u64,
        /// Of how many.
        read: u64,
        /// The limit.
        limit: String,
        /// The identifier of the first.
        first: String,
    },
    /// Some rows matched none, or no one, and the integration wants all to.
    #[error("{rows} {} matched {what}; the first is `{first}`", if *rows == 1 { "row" } else { "rows" })]
    NotMatched {
        /// How many.
        rows: u64,
        /// What they matched instead of one account.
        what: &'static str,
        /// The identifier of the first.
        first: String,
    },
    /// Mended rows of an object that was not merged here, or was taken back.
    #[error("nothing was taken of `{origin}`, where its mended rows come from")]
    OriginNotTaken {
        /// That object.
        origin: DedupKey,
    },
    /// A row that is said to be mended was not refused: a replay took it, or nobody ever refused it.
    #[error("`{row}` is not among the rows that were refused")]
    NotRefused {
        /// The row, as its reject file names it.
        row: String,
    },
    /// A row was mended before in company, and this file does not bring the others.
    #[error("`{row}` was mended by `{by}` together with rows that this file does not have")]
    MendedInCompany {
        /// The row, as its reject file names it.
        row: String,
        /// The key of the file that mended it.
        by: String,
    },
    /// Rows of an object were mended while it was taken again.
    #[error("rows of the object were mended while it was taken again")]
    MendedMeanwhile,
    /// A field is already stored with another type.
    #[error("field `{field}` is stored as {stored}, the mapper brings {brought}")]
    FieldType {
        /// The field's key.
        field: String,
        /// The stored type.
        stored: String,
        /// The type that came.
        brought: String,
    },
    /// A list of users brings something that users do not have.
    #[error("users have an id, an address and a name, and the mapping brings {brought}")]
    NotOfUsers {
        /// What it is.
        brought: String,
    },
    /// It keeps records, not accounts.
    #[error("this destination cannot be asked for its accounts or users")]
    CannotTell,
    /// Usage values of one record do not add up within 64 bits.
    #[error("the usage values of one period add up to more than 64 bits hold")]
    Overflow,
    /// SQLite refused.
    #[error("cannot {what} in `{path}`")]
    Sqlite {
        /// The step.
        what: &'static str,
        /// The store's file.
        path: String,
        /// SQLite's own words.
        #[source]
        source: rusqlite::Error,
    },
    /// The file system refused.
    #[error("cannot {what} `{path}`")]
    Io {
        /// The step.
        what: &'static str,
        /// The file or directory.
        path: String,
        /// The system's own words.
        #[source]
        source: std::io::Error,
    },
    /// There is no connection to PostgreSQL: nobody answers, or it does not let us in.
    #[error("cannot connect to PostgreSQL at `{server}`")]
    Connect {
        /// The server and the database.
        server: String,
        /// What was said, or went wrong.
        #[source]
        source: Box<tokio_postgres::Error>,
    },
    /// PostgreSQL refused, or the connection to it broke.
    #[error("cannot {what} in PostgreSQL at `{server}`")]
    Postgres {
        /// The step.
        what: &'static str,
        /// The server and the database.
        server: String,
        /// The server's own words.
        #[source]
        source: Box<tokio_postgres::Error>,
    },
    /// PostgreSQL does not answer.
    #[error("no answer from PostgreSQL at `{server}` within {timeout:?}")]
    NoAnswer {
        /// The server and the database.
        server: String,
        /// How long was waited.
        timeout: Duration,
    },
    /// An identifier, user, field, product or metric has a name that no index can hold.
    #[error("an identifier or a name is longer than the store can look up")]
    KeyTooLong {
        /// The server's own words.
        #[source]
        source: Box<tokio_postgres::Error>,
    },
    /// A secret could not be read.
    #[error("cannot read the destination's secret")]
    Secret(#[from] SecretError),
    /// The secret is no connection URL. It is not repeated.
    #[error("the secret is not a PostgreSQL connection URL with a host")]
    PostgresUrl,
    /// Connections cannot be encrypted.
    #[error("cannot encrypt connections")]
    Tls(#[from] TlsError),
    /// Threads for the connections could not be started.
    #[error("cannot start a thread for connections")]
    Runtime(#[source] std::io::Error),
    /// The receiver of a webhook did not take a batch, and may take it yet.
    #[error("batch {batch} was not taken: {reason}")]
    BatchNotTaken {
        /// Its number, from 1.
        batch: u32,
        /// What the receiver said, or that it said nothing.
        reason: String,
    },
    /// The receiver of a webhook refused a batch for good.
    #[error("batch {batch} was refused with {status} (`{excerpt}`); it is kept in `{kept}`")]
    BatchRefused {
        /// Its number, from 1.
        batch: u32,
        /// The status.
        status: u16,
        /// The beginning of the answer, without secrets.
        excerpt: String,
        /// Where the batch is kept.
        kept: String,
    },
    /// The receiver of a webhook wants to be left alone for longer than a merge waits.
    #[error("the receiver wants nothing for another {} seconds", pause.as_secs())]
    ReceiverPauses {
        /// For how long.
        pause: Duration,
    },
    /// The address of a webhook stands in a secret, and may not be posted to. It is not repeated.
    #[error("the secret is not an address that may be posted to")]
    ReceiverAddress,
    /// A stop was asked for; the rest is for the next start.
    #[error("stopped before everything was sent")]
    Stopped,
    /// Something of ours does not stand in the store as we wrote it.
    #[error("the store holds `{value}` where a {what} is expected")]
    Damaged {
        /// What is expected.
        what: &'static str,
        /// What stands there.
        value: String,
    },
    /// An integration cannot take over what another one of its name has.
    #[error("there are records of `{from}`, and of `{to}` as well")]
    BothNames {
        /// The former name.
        from: IntegrationName,
        /// The name now.
        to: IntegrationName,
    },
    /// The database cannot hold every character.
    #[error("the database at `{server}` has the encoding {encoding}, not UTF8")]
    Encoding {
        /// The server and the database.
        server: String,
        /// Its encoding.
        encoding: String,
    },
    /// The schema holds somebody else's tables.
    #[error("the schema `{schema}` at `{server}` holds other tables")]
    Occupied {
        /// The schema.
        schema: String,
        /// The server and the database.
        server: String,
    },
    /// The store was made by an older version, or not at all.
    #[error("`{path}` has schema version {found}, this version needs {known}")]
    Unmigrated {
        /// The store.
        path: String,
        /// What stands there; 0 for nothing.
        found: i64,
        /// What is needed.
        known: i64,
    },
    /// The store was written by a newer version.
    #[error("`{path}` has schema version {found}, this version reads up to {known}")]
    Schema {
        /// The store's file.
        path: String,
        /// What stands there.
        found: i64,
        /// What is known.
        known: i64,
    },
}

impl DestinationError {
    /// Whether what the file and its mapping bring is to blame: no repetition helps, but another mapping may.
    pub fn is_files_fault(&self) -> bool {
        matches!(
            self,
            Self::FieldType { .. }
                | Self::Overflow
                | Self::KeyTooLong { .. }
                | Self::NotRefused { .. }
                | Self::NotOfUsers { .. }
                | Self::MendedInCompany { .. }
                | Self::BatchRefused { .. }
        )
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unmigrated { .. } => Some("run `gristmill destination migrate NAME` with the destination's name"),
            Self::Occupied { .. } => Some("name another `schema`; it is made by the migration"),
            Self::Encoding { .. } => Some("make the database with `ENCODING 'UTF8'`"),
            Self::BothNames { .. } => {
                Some("give the integration a name that none had before, in this destination either")
            }
            Self::PostgresUrl => Some(
                "postgresql://USER:PASSWORD@HOST:PORT/DATABASE is expected, without `sslmode`: `tls` and `ca_file` say that",
            ),
            Self::KeyTooLong { .. } => {
                Some("PostgreSQL's indexes hold some 2,700 bytes; see that the right columns are mapped")
            }
            Self::NoAccountMatched { .. } => Some(
                "see that the identifier's column and `match` are right, let another file bring the accounts first, or set \
                 `on_no_match = \"create\"` under `matching`",
            ),
            Self::TooManyUnmatched { .. } => Some(
                "see `gristmill test` for the rows; load the accounts and use `gristmill replay` with `--unmatched`, or mend the \
                 identifiers",
            ),
            Self::NotMatched { .. } => {
                Some("see `gristmill test` for the rows, or let `skip` leave such rows out under `matching`")
            }
            Self::FieldType { .. } => Some("give the field the stored type, or another key"),
            Self::NotOfUsers { .. } => Some(
                "name an integration with one identifier, which has `match = \"id\"`, and the fields `email` and `name`",
            ),
            Self::Schema { .. } => Some("run the version that wrote the store, or a newer one"),
            Self::OriginNotTaken { .. } => {
                Some("replay that object first; this file is tried again by itself for a day")
            }
            Self::NotRefused { .. } => Some(
                "take such rows out of the file; the newest reject file of the object has those that are left to mend",
            ),
            Self::MendedInCompany { .. } => {
                Some("upload either rows that nobody mended yet, or all of that file's rows again")
            }
            Self::BatchRefused { .. } => Some(
                "see what the receiver has against it, and mend that or the mapping; `gristmill replay` sends the whole file \
                 again",
            ),
            Self::BatchNotTaken { .. } => Some("it goes on with this batch by itself; see that the receiver is well"),
            Self::ReceiverAddress => {
                Some("an address that begins with `https://` is expected, or with `http://` for this machine")
            }
            Self::CannotTell
            | Self::ReceiverPauses { .. }
            | Self::Stopped
            | Self::MendedMeanwhile
            | Self::Overflow
            | Self::Sqlite { .. }
            | Self::Connect { .. }
            | Self::Postgres { .. }
            | Self::NoAnswer { .. }
            | Self::Secret(_)
            | Self::Tls(_)
            | Self::Runtime(_)
            | Self::Damaged { .. }
            | Self::Io { .. } => None,
        }
    }
}
