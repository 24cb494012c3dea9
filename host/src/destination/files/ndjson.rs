//! Records as lines of JSON: `accounts.ndjson` and `usage.ndjson`, with `.gz` or `.zst` behind it where they are
//! compressed.

use std::path::PathBuf;

use super::late::Rows;
use super::lines::Lines;
use super::records::{AccountRecords, UsageRecords};
use super::{Compression, EXAMPLES, Settled, Writer};
use crate::batch::{AccountBatch, AccountLayout, UsageBatch, UsageLayout};
use crate::destination::resolve::{Accounts, RecordKind};
use crate::destination::{DestinationError, Preview};

/// One object's lines.
pub(super) struct Ndjson {
    directory: PathBuf,
    compression: Compression,
    accounts: Option<Lines>,
    usage: Option<Lines>,
    account_records: Option<AccountRecords>,
    usage_records: Option<UsageRecords>,
}

impl Ndjson {
    pub fn new(directory: PathBuf, compression: Compression) -> Self {
        Self { directory, compression, accounts: None, usage: None, account_records: None, usage_records: None }
    }

    fn create(&self, name: &str) -> Result<Lines, DestinationError> {
        let extension = match self.compression {
            Compression::None => "ndjson",
            Compression::Gzip => "ndjson.gz",
            Compression::Zstd => "ndjson.zst",
        };
        Lines::create(self.directory.join(format!("{name}.{extension}")), self.compression)
    }
}

impl Writer for Ndjson {
    fn open_table(
        &mut self,
        table: u32,
        accounts: Option<&AccountLayout>,
        usage: Option<&UsageLayout>,
    ) -> Result<(), DestinationError> {
        self.account_records = accounts.map(|layout| AccountRecords::of(table, layout));
        self.usage_records = usage.map(|layout| UsageRecords::of(table, layout));
        if accounts.is_some() && self.accounts.is_none() {
            self.accounts = Some(self.create("accounts")?);
        }
        if usage.is_some() && self.usage.is_none() {
            self.usage = Some(self.create("usage")?);
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

    fn settle(&mut self, late: &Rows, mut accounts: Option<&mut Accounts>) -> Result<Settled, DestinationError> {
        let of_kind = [(&mut self.accounts, RecordKind::Account), (&mut self.usage, RecordKind::Usage)];
        for (lines, kind) in of_kind {
            let Some(lines) = lines else { continue };
            lines.finish()?;
            match &mut accounts {
                Some(accounts) => lines.add_accounts(kind, accounts)?,
                None if !late.is_empty() => lines.take_out(late)?,
                None => {}
            }
        }
        let count = |lines: &Option<Lines>| lines.as_ref().map_or(0, |lines| lines.records);
        let files = [&self.accounts, &self.usage].into_iter().flatten().map(|lines| lines.path().to_owned());
        Ok(Settled { accounts: count(&self.accounts), usage: count(&self.usage), files: files.collect() })
    }

    fn show(&self, preview: &mut Preview) -> Result<(), DestinationError> {
        let first = |lines: &Option<Lines>| lines.as_ref().map_or(Ok(Vec::new()), |lines| lines.first(EXAMPLES));
        preview.accounts = first(&self.accounts)?;
        preview.usage = first(&self.usage)?;
        Ok(())
    }
}
