//! Records as files, lines of JSON or typed columns: one directory for each object, whole or not there.
//!
//! # Layout
//!
//! ```text
//! {directory}/{tenant}/{integration}/{end of the key}.{32 digits of BLAKE3 of the dedup key}/
//!     accounts.ndjson    where the mapper makes account records; .ndjson.gz, .ndjson.zst, .parquet in other forms
//!     usage.ndjson       where it makes usage records
//!     mended.ndjson      where the object brings mended rejects
//!     ingestion.json     identity, object, `as_of`, mapping digest, counts, and the layout of each table
//! {directory}/.staging/  what is not whole yet
//! ```
//!
//! # Lines
//!
//! A line of `accounts.ndjson` is `{"table":0,"row":7,"account":[{"crm_id":"001"},…],"fields":{"arr":12.50,…}}`: the
//! table of the object and the row of the table, both from 0; the identifiers as they are (R12), one object for each
//! strategy, in the order in which they are to be tried; and the fields that have a value. A field that is null is to be
//! erased, one that is not there is to be kept.
//!
//! Where the destination names a store (`resolve`), `"account_id":17` stands before `account`: the id of the account in that
//! store. Rows that matched none, or several, are not there then.
//!
//! A line of `usage.ndjson` is one value of one row: `{"table":0,"row":7,"account":[…],"user":{"email":"…"},
//! "period_start":"2024-10-01","date":"2024-10-15","product":"Core","metric":"mau","period":"monthly","value":3,
//! "unit":"…","aggregate":"sum","repeat":"replace"}`. Values of one account and period are not aggregated, since there is
//! nobody to say which identifiers are the same account; `aggregate` and `repeat` say how the reader has to do it.
//! Values are written as `json` says; a decimal is a number with all its digits.
//!
//! # Mended rejects
//!
//! A line of `mended.ndjson` is `{"table":0,"row":7,"origin":"…"}`: this row was refused of another object of the
//! integration, as the row that `origin` names, and is mended (R10). `mends` in `ingestion.json` is that object's dedup
//! key. The records of such a row belong to that object (R9): they count with its own, and stand right behind it in the
//! order of `as_of`. Nothing here says which of several rows with one `origin` counts, nor leaves such a row out where
//! a later generation of the object has it itself: the reader takes the newest.
//!
//! # Columns
//!
//! The same records in Parquet, whatever can be named by a mapping as a column of its own. What is ours begins with `_`
//! where names of others stand beside it; a name that is taken already, but for capital letters, gets `_2`, `_3`, …
//!
//! | column | type | what it says |
//! |---|---|---|
//! | `_table`, `_row` | integer | the table of the object and the row of the table, from 0 |
//! | `_account_id` | integer | the id of the account in the store that the destination names; there only with `resolve` |
//! | `_crm_id`, `_domain`, `_name`, `_id`, `_field:KEY` | text | one for each part of each strategy, in the order in which they are to be tried; null where a part of its strategy is blank |
//! | accounts: `_clear` | list of texts | the columns whose stored value is to be erased; null where there is none |
//! | accounts: each field | its own | null where the stored value is to be kept, or erased |
//! | usage: `_user_id`, `_user_email`, `_user_name` | text | the user, where usage is kept by user |
//! | usage: `period_start`, `date` | date | |
//! | usage: `product`, `metric`, `period`, `unit`, `aggregate`, `repeat` | text | |
//! | usage: `value` | double | any number, as near as 64 bits in binary come |
//! | usage: `exact_value` | decimal(38, 18) | an integer or a decimal, with all its digits |
//! | usage: `text_value` | text | a text; a date, a moment or a list as lines have it |
//! | usage: `boolean_value` | boolean | |
//!
//! A field's type is that of its mapping: text and picklists UTF-8, integers 64 bits, decimals (currencies, too) decimals
//! of 19 digits with the mapping's scale, which holds each of ours exactly and which readers add up without a detour,
//! dates `DATE`, moments `TIMESTAMP` in microseconds UTC, text lists lists of UTF-8. A mapper, a custom one as well,
//! announces its fields before the first row of a table, so none comes as a surprise. Tables whose columns are not the same
//! stand in files of their own, `accounts-2.parquet`, `usage-2.parquet` and so on.
//!
//! # Names
//!
//! Where an integration gets another name, its folder does, and `identity` in each `ingestion.json` (R17). An `origin` keeps
//! the name of the day it was written; what stands before its first `:` says nothing more.
//!
//! # Versions
//!
//! Each version of a key has a directory of its own: `as_of` in `ingestion.json` orders what they say about the same
//! thing (R2).
//!
//! # Crashes
//!
//! Everything is written to `.staging/{identity digest}` and flushed. Then the directory takes its
//! place in one rename; that of an earlier generation of the same object is exchanged for it in one step and removed
//! afterwards (R1, I3). A staged directory is locked while it is written, so that opening the destination removes what a
//! process that ended left behind, and nothing else.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::batch::{AccountBatch, AccountLayout, UsageBatch, UsageLayout};
use crate::destination::resolve::{Accounts, Resolver};
use crate::destination::{
    Delivery, Destination, DestinationError, Intake, MendedRow, Preview, RowCounts, Staging, Summary, Taken,
};
use crate::object::{DedupKey, Generation, Identity, IntegrationName, Relocation, TenantName};

pub(super) use late::Rows;
pub(crate) use lines::place_of;
use manifest::Manifest;
use place::STAGING;
pub(crate) use recording::Recording;
use relocate::Kept;

pub use form::{Compression, Form, Format};

mod behind;
mod form;
mod json;
mod late;
mod lines;
pub(super) mod manifest;
mod ndjson;
mod parquet;
pub(super) mod place;
mod recording;
mod records;
pub(super) mod relocate;
pub(super) mod rename;

#[cfg(test)]
mod tests;

pub(super) const MENDED: &str = "mended.ndjson";
const MANIFEST: &str = "ingestion.json";
/// At most so many records of a kind are shown by a preview.
const EXAMPLES: usize = 20;

pub(super) fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DestinationError {
    let path = path.display().to_string();
    move |source| DestinationError::Io { what, path, source }
}

/// A directory that takes records as files.
pub struct FilesDestination {
    directory: PathBuf,
    form: Form,
    resolver: Option<Resolver>,
}

impl FilesDestination {
    /// Opens it, makes it where it is missing, and removes what a process that ended left unfinished. The form is that of
    /// what is written from now on; what is there stays as it is.
    pub fn open(directory: &Path, form: Form) -> Result<Self, DestinationError> {
        let staging = directory.join(STAGING);
        fs::create_dir_all(&staging).map_err(failed("make", &staging))?;
        place::sync_directory(directory)?;
        place::recover(directory)?;
        Ok(Self { directory: directory.to_owned(), form, resolver: None })
    }

    /// The same, with the accounts of a store in its records.
    pub fn resolving(self, resolver: Option<Resolver>) -> Self {
        Self { resolver, ..self }
    }
}

impl Destination for FilesDestination {
    /// A later generation of the same object took this one's place, so it counts as confirmed too.
    fn confirmed(&self, tenant: &TenantName, identity: &Identity) -> Result<Option<Summary>, DestinationError> {
        let manifest = manifest::read(&place::of(&self.directory, tenant, identity).join(MANIFEST))?;
        Ok(manifest
            .filter(|manifest| manifest.identity.generation >= identity.generation)
            .map(|manifest| manifest.summary))
    }

    fn can_match(&self) -> bool {
        false
    }

    /// Whoever loads the files may take them away.
    fn unconfirmed(&self, _: &TenantName, _: &[Identity]) -> Result<Option<Vec<usize>>, DestinationError> {
        Ok(None)
    }

    fn lacks_accounts(&self, tenant: &TenantName) -> Result<Option<bool>, DestinationError> {
        self.resolver.as_ref().map_or(Ok(None), |resolver| resolver.lacks_accounts(tenant))
    }

    fn taken(
        &self,
        tenant: &TenantName,
        integration: &IntegrationName,
        dedup_key: &DedupKey,
    ) -> Result<Option<Taken>, DestinationError> {
        let (integration, dedup_key) = (integration.clone(), dedup_key.clone());
        let identity = Identity { integration, dedup_key, generation: Generation::default() };
        let manifest = manifest::read(&place::of(&self.directory, tenant, &identity).join(MANIFEST))?;
        let is_whole_object = |manifest: &Manifest| manifest.mends.is_none();
        Ok(manifest.filter(is_whole_object).map(|manifest| Taken { object: manifest.object, mended: Vec::new() }))
    }

    fn rename(
        &self,
        tenant: &TenantName,
        from: &IntegrationName,
        to: &IntegrationName,
    ) -> Result<(), DestinationError> {
        rename::rename(&self.directory, tenant, (from, to), |object| object.join(MANIFEST))
    }

    fn relocate(
        &self,
        tenant: &TenantName,
        integration: &IntegrationName,
        step: &Relocation,
    ) -> Result<(), DestinationError> {
        relocate::relocate(&self.directory, (tenant, integration), step, Kept::InItsDirectory)
    }

    fn stage(&self, delivery: Delivery) -> Result<Box<dyn Staging>, DestinationError> {
        let staged = self.directory.join(STAGING).join(delivery.identity.digest());
        let recording = Recording::begin(staged, self.form, &delivery, self.resolver.as_ref())?;
        Ok(Box::new(FilesStaging { directory: self.directory.clone(), delivery, recording }))
    }
}

/// Writes one object's records in one format.
trait Writer: Send {
    /// Begins the next table.
    fn open_table(
        &mut self,
        table: u32,
        accounts: Option<&AccountLayout>,
        usage: Option<&UsageLayout>,
    ) -> Result<(), DestinationError>;

    /// Writes account records of the open table, less those of `rejected` rows.
    fn accounts(&mut self, batch: &AccountBatch, rejected: &[u32]) -> Result<(), DestinationError>;

    /// Writes usage records of the open table, less those of `rejected` rows.
    fn usage(&mut self, batch: &UsageBatch, rejected: &[u32]) -> Result<(), DestinationError>;

    /// Brings the files to their final content, less the records of rows that were rejected late. Where there are
    /// accounts, each record gets its own, and those without one are left out.
    fn settle(&mut self, late: &Rows, accounts: Option<&mut Accounts>) -> Result<Settled, DestinationError>;

    /// Adds the first records of the settled files.
    fn show(&self, preview: &mut Preview) -> Result<(), DestinationError>;
}

/// What stands in files that have their final content.
struct Settled {
    accounts: u64,
    usage: u64,
    files: Vec<PathBuf>,
}

/// One object's records on their way into their directory.
struct FilesStaging {
    directory: PathBuf,
    delivery: Delivery,
    recording: Recording,
}

impl Intake for FilesStaging {
    fn open_table(
        &mut self,
        accounts: Option<&AccountLayout>,
        usage: Option<&UsageLayout>,
    ) -> Result<(), DestinationError> {
        self.recording.open_table(accounts, usage)
    }

    fn accounts(&mut self, batch: &AccountBatch, rejected: &[u32]) -> Result<(), DestinationError> {
        self.recording.accounts(batch, rejected)
    }

    fn usage(&mut self, batch: &UsageBatch, rejected: &[u32]) -> Result<(), DestinationError> {
        self.recording.usage(batch, rejected)
    }

    fn mends(&mut self, rows: &[MendedRow<'_>]) -> Result<(), DestinationError> {
        self.recording.mends(rows)
    }

    fn reject_row(&mut self, row: u32) -> Result<(), DestinationError> {
        self.recording.reject_row(row)
    }
}

impl Staging for FilesStaging {
    /// The records have no `change`: this destination cannot tell.
    fn preview(mut self: Box<Self>) -> Result<Preview, DestinationError> {
        self.recording.preview()
    }

    fn merge(mut self: Box<Self>, rows: RowCounts) -> Result<Summary, DestinationError> {
        let (merged, files) = self.recording.settle(Some(rows))?;
        let summary = Summary { content: self.delivery.content, rows, merged };
        let Delivery { tenant, identity, .. } = &self.delivery;
        let place = place::of(&self.directory, tenant, identity);
        let standing = manifest::read(&place.join(MANIFEST))?;
        if let Some(standing) = standing.filter(|standing| standing.identity.generation >= identity.generation) {
            return Ok(standing.summary);
        }
        let tables = self.recording.take_tables();
        let staged = self.recording.directory();
        let manifest = staged.join(MANIFEST);
        Manifest::new(&self.delivery, summary.clone(), tables).write(&manifest)?;
        place::sync_files(files.iter().map(PathBuf::as_path).chain([manifest.as_path()]))?;
        place::sync_directory(staged)?;
        place::make_directories(&self.directory, place.parent().unwrap_or(&self.directory))?;
        place::put(staged, &place)?;
        Ok(summary)
    }
}
