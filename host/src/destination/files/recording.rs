//! One object's records on their way into files of a directory that nobody else sees yet.
//!
//! What becomes of the files is not known here: they get a place of their own, or are sent. Dropped before that, it
//! leaves no trace.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::late::Rows;
use super::lines::Lines;
use super::manifest::Table;
use super::ndjson::Ndjson;
use super::parquet::Parquet;
use super::{Compression, Form, Format, MENDED, Settled, Writer, failed, place, records};
use crate::batch::{AccountBatch, AccountLayout, UsageBatch, UsageLayout};
use crate::destination::resolve::{Resolver, Resolving};
use crate::destination::{Delivery, DestinationError, Intake, MendedRow, Merged, Preview, RowCounts};

/// The files that are being written.
pub(crate) struct Recording {
    staged: PathBuf,
    writer: Box<dyn Writer>,
    mended: Option<Lines>,
    tables: Vec<Table>,
    late: Rows,
    /// Where records are to have an account.
    resolving: Option<Resolving>,
    _lock: File,
}

impl Drop for Recording {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next opening.
        let _ = place::remove(&self.staged);
    }
}

impl Recording {
    /// Begins one in a directory that is made for it. What an unfinished one left there is removed.
    pub fn begin(
        staged: PathBuf,
        form: Form,
        delivery: &Delivery,
        resolver: Option<&Resolver>,
    ) -> Result<Self, DestinationError> {
        let mut recording = Self::with_identifiers(staged, form)?;
        recording.resolving = resolver.map(|resolver| resolver.begin(delivery, &recording.staged));
        Ok(recording)
    }

    /// The same; records have their identifiers alone.
    pub fn with_identifiers(staged: PathBuf, form: Form) -> Result<Self, DestinationError> {
        let lock = make_and_lock(&staged)?;
        let writer: Box<dyn Writer> = match form.format {
            Format::Ndjson => Box::new(Ndjson::new(staged.clone(), form.compression)),
            Format::Parquet => Box::new(Parquet::new(staged.clone(), form.compression)),
        };
        let (mended, tables, late) = (None, Vec::new(), Rows::default());
        Ok(Self { staged, writer, mended, tables, late, resolving: None, _lock: lock })
    }

    /// Where the files are.
    pub fn directory(&self) -> &Path {
        &self.staged
    }

    /// Brings the files to their final content, with the accounts of the records where there are to be any. The caller
    /// flushes them. Without row counts, no file is refused for its rows.
    pub fn settle(&mut self, rows: Option<RowCounts>) -> Result<(Merged, Vec<PathBuf>), DestinationError> {
        let late = std::mem::take(&mut self.late);
        let resolved = self.resolving.take().map(|resolving| resolving.resolve(&late, rows)).transpose()?;
        let (mut found, merged) = resolved.map_or((None, Merged::default()), |(found, merged)| (Some(found), merged));
        let Settled { accounts, usage, mut files } = self.writer.settle(&late, found.as_mut())?;
        if let Some(mended) = &mut self.mended {
            mended.finish()?;
            if !late.is_empty() {
                mended.take_out(&late)?;
            }
            files.push(mended.path().to_owned());
        }
        let merged = Merged { delivered: accounts, usage_values: usage, usage_records: usage, ..merged };
        Ok((merged, files))
    }

    /// What the records of each table look like.
    pub(in crate::destination) fn take_tables(&mut self) -> Vec<Table> {
        std::mem::take(&mut self.tables)
    }

    /// The first records, and how many there are.
    pub fn preview(&mut self) -> Result<Preview, DestinationError> {
        let mut preview = Preview { merged: self.settle(None)?.0, ..Preview::default() };
        self.writer.show(&mut preview)?;
        Ok(preview)
    }

    /// The number of the open table.
    fn table(&self) -> u32 {
        u32::try_from(self.tables.len().saturating_sub(1)).unwrap_or(u32::MAX)
    }
}

impl Intake for Recording {
    fn open_table(
        &mut self,
        accounts: Option<&AccountLayout>,
        usage: Option<&UsageLayout>,
    ) -> Result<(), DestinationError> {
        self.tables.push(Table { accounts: accounts.cloned(), usage: usage.cloned(), series: Vec::new() });
        if let Some(resolving) = &mut self.resolving {
            resolving.open_table(accounts, usage)?;
        }
        self.writer.open_table(self.table(), accounts, usage)
    }

    fn accounts(&mut self, batch: &AccountBatch, rejected: &[u32]) -> Result<(), DestinationError> {
        if let Some(resolving) = &mut self.resolving {
            resolving.accounts(batch, rejected)?;
        }
        self.writer.accounts(batch, rejected)
    }

    fn usage(&mut self, batch: &UsageBatch, rejected: &[u32]) -> Result<(), DestinationError> {
        if let Some(table) = self.tables.last_mut() {
            table.series.extend_from_slice(&batch.announced);
        }
        if let Some(resolving) = &mut self.resolving {
            resolving.usage(batch, rejected)?;
        }
        self.writer.usage(batch, rejected)
    }

    fn mends(&mut self, rows: &[MendedRow<'_>]) -> Result<(), DestinationError> {
        let table = self.table();
        let lines = match &mut self.mended {
            Some(lines) => lines,
            None => self.mended.insert(Lines::create(self.staged.join(MENDED), Compression::None)?),
        };
        records::write_mended(table, rows, lines)
    }

    fn reject_row(&mut self, row: u32) -> Result<(), DestinationError> {
        self.late.insert(self.table(), row);
        Ok(())
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
