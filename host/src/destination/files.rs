//! Records as files of JSON lines: one directory for each object, whole or not there.
//!
//! # Layout
//!
//! ```text
//! {directory}/{tenant}/{integration}/{end of the key}.{32 digits of BLAKE3 of the dedup key}/
//!     accounts.ndjson    where the mapper makes account records
//!     usage.ndjson       where it makes usage records
//!     ingestion.json     identity, object, `as_of`, mapping digest, counts, and the layout of each table
//! {directory}/.staging/  what is not whole yet
//! ```
//!
//! A line of `accounts.ndjson` is `{"table":0,"row":7,"account":[{"crm_id":"001"},…],"fields":{"arr":12.50,…}}`: the
//! table of the object and the row of the table, both from 0; the identifiers as they are (R12), one object for each
//! strategy, in the order in which they are to be tried; and the fields that have a value. A field that is null is to be
//! erased, one that is not there is to be kept.
//!
//! A line of `usage.ndjson` is one value of one row: `{"table":0,"row":7,"account":[…],"user":{"email":"…"},
//! "period_start":"2024-10-01","date":"2024-10-15","product":"Core","metric":"mau","period":"monthly","value":3,
//! "unit":"…","aggregate":"sum","repeat":"replace"}`. Values of one account and period are not aggregated, since there is
//! nobody to say which identifiers are the same account; `aggregate` and `repeat` say how the reader has to do it.
//! Values are written as `json` says; a decimal is a number with all its digits.
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

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::batch::{AccountBatch, AccountLayout, UsageBatch, UsageLayout};
use crate::destination::{
    Delivery, Destination, DestinationError, Intake, Merged, Preview, RowCounts, Staging, Summary,
};
use crate::object::{Identity, TenantName};

use late::Rows;
use manifest::{Manifest, Table};
use place::STAGING;
use records::{AccountRecords, Lines, UsageRecords};

mod json;
mod late;
mod manifest;
mod place;
mod records;

#[cfg(test)]
mod tests;

const ACCOUNTS: &str = "accounts.ndjson";
const USAGE: &str = "usage.ndjson";
const MANIFEST: &str = "ingestion.json";
/// At most so many records of a kind are shown by a preview.
const EXAMPLES: usize = 20;

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DestinationError {
    let path = path.display().to_string();
    move |source| DestinationError::Io { what, path, source }
}

/// A directory that takes records as files.
#[derive(Debug)]
pub struct FilesDestination {
    directory: PathBuf,
}

impl FilesDestination {
    /// Opens it, makes it where it is missing, and removes what a process that ended left unfinished.
    pub fn open(directory: &Path) -> Result<Self, DestinationError> {
        let staging = directory.join(STAGING);
        fs::create_dir_all(&staging).map_err(failed("make", &staging))?;
        place::sync_directory(directory)?;
        place::recover(directory)?;
        Ok(Self { directory: directory.to_owned() })
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

    fn lacks_accounts(&self, _tenant: &TenantName) -> Result<Option<bool>, DestinationError> {
        Ok(None)
    }

    fn stage(&self, delivery: Delivery) -> Result<Box<dyn Staging>, DestinationError> {
        let staged = self.directory.join(STAGING).join(delivery.identity.digest());
        let lock = make_and_lock(&staged)?;
        Ok(Box::new(FilesStaging {
            directory: self.directory.clone(),
            staged,
            delivery,
            accounts: None,
            usage: None,
            tables: Vec::new(),
            account_records: None,
            usage_records: None,
            late: Rows::default(),
            _lock: lock,
        }))
    }
}

/// An empty directory that nobody else works on. Its lock goes with the file that is returned.
fn make_and_lock(staged: &Path) -> Result<File, DestinationError> {
    loop {
        match File::open(staged) {
            Ok(left) => {
                left.try_lock().map_err(|error| failed("lock", staged)(error.into()))?;
                place::remove(staged)?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed("open", staged)(error)),
        }
        fs::create_dir(staged).map_err(failed("make", staged))?;
        let lock = File::open(staged).map_err(failed("open", staged))?;
        lock.try_lock().map_err(|error| failed("lock", staged)(error.into()))?;
        // Between making and locking it, an opening destination may have taken it for one that was left behind.
        let inode = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        let locked = lock.metadata().map(inode).map_err(failed("read", staged))?;
        if fs::metadata(staged).is_ok_and(|there| inode(there) == locked) {
            return Ok(lock);
        }
    }
}

/// One object's records on their way into their directory.
#[derive(Debug)]
struct FilesStaging {
    directory: PathBuf,
    staged: PathBuf,
    delivery: Delivery,
    accounts: Option<Lines>,
    usage: Option<Lines>,
    tables: Vec<Table>,
    account_records: Option<AccountRecords>,
    usage_records: Option<UsageRecords>,
    late: Rows,
    _lock: File,
}

impl Drop for FilesStaging {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next opening.
        let _ = place::remove(&self.staged);
    }
}

impl FilesStaging {
    /// The number of the open table.
    fn table(&self) -> u32 {
        u32::try_from(self.tables.len().saturating_sub(1)).unwrap_or(u32::MAX)
    }

    /// The mapper announces series as they come, so a table's are complete when it ends.
    fn end_table(&mut self) {
        self.account_records = None;
        if let (Some(usage), Some(table)) = (self.usage_records.take(), self.tables.last_mut()) {
            table.series = usage.announced;
        }
    }

    /// Brings both files to their final content, and counts.
    fn settle(&mut self) -> Result<Merged, DestinationError> {
        self.end_table();
        let late = std::mem::take(&mut self.late);
        for lines in [&mut self.accounts, &mut self.usage].into_iter().flatten() {
            lines.flush()?;
            if !late.is_empty() {
                lines.records = lines.records.saturating_sub(late::take_out(lines.path(), &late)?);
            }
        }
        let count = |lines: &Option<Lines>| lines.as_ref().map_or(0, |lines| lines.records);
        let (accounts, usage) = (count(&self.accounts), count(&self.usage));
        Ok(Merged { delivered: accounts, usage_values: usage, usage_records: usage, ..Merged::default() })
    }
}

impl Intake for FilesStaging {
    fn open_table(
        &mut self,
        accounts: Option<&AccountLayout>,
        usage: Option<&UsageLayout>,
    ) -> Result<(), DestinationError> {
        self.end_table();
        self.tables.push(Table { accounts: accounts.cloned(), usage: usage.cloned(), series: Vec::new() });
        let table = self.table();
        self.account_records = accounts.map(|layout| AccountRecords::of(table, layout));
        self.usage_records = usage.map(|layout| UsageRecords::of(table, layout));
        if accounts.is_some() && self.accounts.is_none() {
            self.accounts = Some(Lines::create(self.staged.join(ACCOUNTS))?);
        }
        if usage.is_some() && self.usage.is_none() {
            self.usage = Some(Lines::create(self.staged.join(USAGE))?);
        }
        Ok(())
    }

    fn accounts(&mut self, batch: &AccountBatch, rejected: &[u32]) -> Result<(), DestinationError> {
        match (&self.account_records, &mut self.accounts) {
            (Some(records), Some(lines)) => records.write(batch, rejected, lines),
            (None, _) | (_, None) => Ok(()),
        }
    }

    fn usage(&mut self, batch: &UsageBatch, rejected: &[u32]) -> Result<(), DestinationError> {
        match (&mut self.usage_records, &mut self.usage) {
            (Some(records), Some(lines)) => records.write(batch, rejected, lines),
            (None, _) | (_, None) => Ok(()),
        }
    }

    fn reject_row(&mut self, row: u32) -> Result<(), DestinationError> {
        self.late.insert(self.table(), row);
        Ok(())
    }
}

impl Staging for FilesStaging {
    /// The records have no `change`: this destination cannot tell.
    fn preview(mut self: Box<Self>) -> Result<Preview, DestinationError> {
        let merged = self.settle()?;
        let first = |lines: &Option<Lines>| match lines {
            Some(lines) => first_records(lines.path()),
            None => Ok(Vec::new()),
        };
        Ok(Preview { merged, accounts: first(&self.accounts)?, usage: first(&self.usage)? })
    }

    fn merge(mut self: Box<Self>, rows: RowCounts) -> Result<Summary, DestinationError> {
        let summary = Summary { content: self.delivery.content, rows, merged: self.settle()? };
        let Delivery { tenant, identity, .. } = &self.delivery;
        let place = place::of(&self.directory, tenant, identity);
        let standing = manifest::read(&place.join(MANIFEST))?;
        if let Some(standing) = standing.filter(|standing| standing.identity.generation >= identity.generation) {
            return Ok(standing.summary);
        }
        let tables = std::mem::take(&mut self.tables);
        let manifest = self.staged.join(MANIFEST);
        Manifest::new(&self.delivery, summary.clone(), tables).write(&manifest)?;
        let records = [&self.accounts, &self.usage].into_iter().flatten().map(Lines::path);
        place::sync_files(records.chain([manifest.as_path()]))?;
        place::sync_directory(&self.staged)?;
        place::make_directories(&self.directory, place.parent().unwrap_or(&self.directory))?;
        place::put(&self.staged, &place)?;
        Ok(summary)
    }
}

fn first_records(path: &Path) -> Result<Vec<serde_json::Value>, DestinationError> {
    let lines = BufReader::new(File::open(path).map_err(failed("read", path))?).lines();
    let mut records = Vec::new();
    for line in lines.take(EXAMPLES) {
        let line = line.map_err(failed("read", path))?;
        records.push(serde_json::from_str(&line).map_err(|error| failed("read", path)(error.into()))?);
    }
    Ok(records)
}
