//! Where records go.
//!
//! A destination stages one object's records, then merges them as a whole: everything becomes visible in one
//! transaction (or one rename) that also records the object's identity, so that an identity is confirmed at most once
//! (I3, R1). Only a webhook may see a batch of records twice, under one id. A destination matches identifiers to accounts
//! itself, set-wise. It knows nothing of the ledger, of S3 or of formats.
//!
//! All calls block; the caller keeps them off the async threads.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::batch::{AccountBatch, AccountLayout, UsageBatch, UsageLayout};
use crate::object::{
    AsOf, ContentHash, DedupKey, Identity, IntegrationName, MappingDigest, Object, Relocation, TenantName,
};
use crate::oversight::{Beat, Stop};

pub mod accounts;
mod background;
#[cfg(test)]
mod conformance;
mod error;
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
pub use error::DestinationError;
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

    /// Takes what an integration's objects brought at one place for what they brought at another (R17). One step of a
    /// relocation, taken until it succeeds: what has gone along already is left as it is.
    ///
    /// # Errors
    /// [`DestinationError::BothPlaces`] where there is something of an object that others would become.
    fn relocate(
        &self,
        tenant: &TenantName,
        integration: &IntegrationName,
        step: &Relocation,
    ) -> Result<(), DestinationError>;

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
