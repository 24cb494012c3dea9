//! Records as Parquet: `accounts.parquet` and `usage.parquet`, with a column for each thing that is said.
//!
//! A mapper says the columns before the first row of a table, so they are all known when a file begins. Tables of one
//! object whose columns are the same share a file; one whose columns differ begins the next, `accounts-2.parquet`.
//!
//! What is in memory is one row group of each kind, and the footer: a row group ends at so many rows or bytes, whichever
//! comes first (I6). A record that turns out to be rejected when it is written already is left out by writing the file
//! once more, a batch at a time.

use std::path::PathBuf;

use arrow_schema::ArrowError;

use self::accounts::AccountColumns;
use self::file::RecordFiles;
use self::usage::UsageColumns;
use super::late::Rows;
use super::{Compression, Settled, Writer};
use crate::batch::{AccountBatch, AccountLayout, UsageBatch, UsageLayout};
use crate::destination::resolve::{Accounts, RecordKind};
use crate::destination::{DestinationError, Preview};

mod accounts;
mod columns;
mod file;
mod usage;

/// One object's columns.
pub(super) struct Parquet {
    accounts: RecordFiles,
    usage: RecordFiles,
    account_columns: Option<AccountColumns>,
    usage_columns: Option<UsageColumns>,
}

impl Parquet {
    pub fn new(directory: PathBuf, compression: Compression) -> Self {
        Self {
            accounts: RecordFiles::new(directory.clone(), "accounts", compression),
            usage: RecordFiles::new(directory, "usage", compression),
            account_columns: None,
            usage_columns: None,
        }
    }
}

impl Writer for Parquet {
    fn open_table(
        &mut self,
        table: u32,
        accounts: Option<&AccountLayout>,
        usage: Option<&UsageLayout>,
    ) -> Result<(), DestinationError> {
        self.account_columns = accounts.map(|layout| AccountColumns::of(table, layout));
        self.usage_columns = usage.map(|layout| UsageColumns::of(table, layout));
        if let Some(columns) = &self.account_columns {
            self.accounts.begin(columns.schema())?;
        }
        if let Some(columns) = &self.usage_columns {
            self.usage.begin(columns.schema())?;
        }
        Ok(())
    }

    fn accounts(&mut self, batch: &AccountBatch, rejected: &[u32]) -> Result<(), DestinationError> {
        let Some(columns) = &self.account_columns else { return Ok(()) };
        let records = columns.records(batch, rejected);
        self.accounts.write(&records.map_err(|error| self.accounts.mistyped(error))?)
    }

    fn usage(&mut self, batch: &UsageBatch, rejected: &[u32]) -> Result<(), DestinationError> {
        let Some(columns) = &mut self.usage_columns else { return Ok(()) };
        columns.announce(&batch.announced);
        for block in &batch.blocks {
            let records = columns.records(batch, block, rejected);
            self.usage.write(&records.map_err(|error| self.usage.mistyped(error))?)?;
        }
        Ok(())
    }

    fn settle(&mut self, late: &Rows, mut accounts: Option<&mut Accounts>) -> Result<Settled, DestinationError> {
        let mut paths = Vec::new();
        for (files, kind) in [(&mut self.accounts, RecordKind::Account), (&mut self.usage, RecordKind::Usage)] {
            files.finish()?;
            match &mut accounts {
                Some(accounts) => files.add_accounts(kind, accounts)?,
                None if !late.is_empty() => files.take_out(late)?,
                None => {}
            }
            paths.extend_from_slice(files.paths());
        }
        Ok(Settled { accounts: self.accounts.records, usage: self.usage.records, files: paths })
    }

    fn show(&self, preview: &mut Preview) -> Result<(), DestinationError> {
        preview.accounts = self.accounts.first()?;
        preview.usage = self.usage.first()?;
        Ok(())
    }
}

/// A column that is not what its mapper announced, which the checks of what a mapper returns rule out.
fn unannounced(what: &str) -> ArrowError {
    ArrowError::InvalidArgumentError(format!("the values of {what} are not of their announced type"))
}
