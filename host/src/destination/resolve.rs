//! Accounts for the records of a destination that keeps none (R12).
//!
//! Such a destination may name a store. While an object is recorded, the identifiers of its rows are kept beside it;
//! before it is merged they are staged in the store without a value, matched there set-wise as the store does it for its
//! own records, and taken back: nothing of the object stays in the store. What matched no account, or several, is left
//! out and counted, or fails the file, as the integration's `[matching]` says.
//!
//! No account is created on the way. Where the integration delivers to that store as well, the store merges first, so
//! that the accounts it creates are there.
//!
//! Memory is bounded whatever the object's size (I6): identifiers and accounts are in files without a name, of which a
//! batch or a page is looked at.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Seek};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use arrow_array::{Array, ArrayRef, BooleanArray, Date32Array, Int64Array, RecordBatch, StringArray, UInt32Array};
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, DataType, Field, Schema};
use arrow_select::filter::filter;

use super::files::{Rows, failed};
use super::{Delivery, Destination, DestinationError, Matching, Merged, OnNoMatch, RowCounts};
use crate::batch::{
    AccountBatch, AccountLayout, Aggregate, Identifier, Issues, Period, Repeat, Series, UsageBatch, UsageLayout,
    ValueBlock, ValueType,
};
use crate::object::TenantName;

/// Rows of which the accounts are looked at together.
const PAGE: usize = 4_096;

/// Whether a row is asked after as an account record or as usage: the two may go by different identifiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RecordKind {
    /// An account record.
    Account,
    /// Usage.
    Usage,
}

/// A row that belongs to an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResolvedRow {
    /// As what.
    pub kind: RecordKind,
    /// Which table of the object, from 0.
    pub table: u32,
    /// Table-wide row, from 0.
    pub row: u32,
    /// The account's id in the store; above 0.
    pub account: i64,
}

/// The store that a destination resolves identifiers through.
#[derive(Clone)]
pub struct Resolver(Arc<dyn Destination>);

impl Resolver {
    /// A store that can match.
    pub fn through(store: Arc<dyn Destination>) -> Self {
        Self(store)
    }

    pub(super) fn lacks_accounts(&self, tenant: &TenantName) -> Result<Option<bool>, DestinationError> {
        self.0.lacks_accounts(tenant)
    }

    /// Begins to keep the identifiers of an object that is recorded in that directory.
    pub(super) fn begin(&self, delivery: &Delivery, directory: &Path) -> Resolving {
        let on_no_match = match delivery.matching.on_no_match {
            // Whoever creates accounts has created them by now.
            OnNoMatch::Skip | OnNoMatch::Create => OnNoMatch::Skip,
            OnNoMatch::Error => OnNoMatch::Error,
        };
        let matching = Matching { on_no_match, ..delivery.matching };
        Resolving {
            store: Arc::clone(&self.0),
            delivery: Delivery { matching, ..delivery.clone() },
            directory: directory.to_owned(),
            tables: Vec::new(),
        }
    }
}

/// The identifiers of one object's rows, until they are resolved.
pub(super) struct Resolving {
    store: Arc<dyn Destination>,
    delivery: Delivery,
    directory: PathBuf,
    tables: Vec<Table>,
}

/// Those of one table.
struct Table {
    accounts: Option<Kept>,
    usage: Option<Kept>,
}

/// Rows with their identifiers, batch by batch.
struct Kept {
    identifiers: Vec<Identifier>,
    schema: Arc<Schema>,
    writer: StreamWriter<BufWriter<File>>,
    left_out: Rows,
}

impl Kept {
    fn begin(directory: &Path, identifiers: &[Identifier]) -> Result<Self, DestinationError> {
        let width: usize = identifiers.iter().map(Vec::len).sum();
        let mut fields = vec![Field::new("row", DataType::UInt32, false)];
        fields.extend((0..width).map(|key| Field::new(format!("k{key}"), DataType::Utf8, true)));
        let schema = Arc::new(Schema::new(fields));
        let file = tempfile::tempfile_in(directory).map_err(failed("make a file in", directory))?;
        let writer = StreamWriter::try_new(BufWriter::new(file), &schema).map_err(unwritten(directory))?;
        Ok(Self { identifiers: identifiers.to_vec(), schema, writer, left_out: Rows::default() })
    }

    fn keep(
        &mut self,
        directory: &Path,
        rows: &[u32],
        identifiers: &[StringArray],
        rejected: &[u32],
    ) -> Result<(), DestinationError> {
        rejected.iter().for_each(|row| self.left_out.insert(0, *row));
        let mut columns: Vec<ArrayRef> = vec![Arc::new(UInt32Array::from(rows.to_vec()))];
        columns.extend(identifiers.iter().map(|column| Arc::new(column.clone()) as ArrayRef));
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns);
        batch.and_then(|batch| self.writer.write(&batch)).map_err(unwritten(directory))
    }

    /// The batches from the first on, and the rows that none counts of.
    fn read(self, directory: &Path) -> Result<(StreamReader<BufReader<File>>, Rows), DestinationError> {
        let file = self.writer.into_inner().map_err(unwritten(directory))?;
        let mut file = file.into_inner().map_err(|error| failed("write in", directory)(error.into_error()))?;
        file.rewind().map_err(failed("read in", directory))?;
        let reader = StreamReader::try_new(BufReader::new(file), None).map_err(unwritten(directory))?;
        Ok((reader, self.left_out))
    }
}

fn unwritten(directory: &Path) -> impl FnOnce(ArrowError) -> DestinationError {
    let failed = failed("keep identifiers in", directory);
    |error| failed(io::Error::other(error))
}

impl Resolving {
    pub fn open_table(
        &mut self,
        accounts: Option<&AccountLayout>,
        usage: Option<&UsageLayout>,
    ) -> Result<(), DestinationError> {
        let begin = |identifiers: &Vec<Identifier>| Kept::begin(&self.directory, identifiers);
        let accounts = accounts.map(|layout| begin(&layout.identifiers)).transpose()?;
        let usage = usage.map(|layout| begin(&layout.identifiers)).transpose()?;
        self.tables.push(Table { accounts, usage });
        Ok(())
    }

    pub fn accounts(&mut self, batch: &AccountBatch, rejected: &[u32]) -> Result<(), DestinationError> {
        match self.tables.last_mut().and_then(|table| table.accounts.as_mut()) {
            Some(kept) => kept.keep(&self.directory, &batch.rows, &batch.identifiers, rejected),
            None => Ok(()),
        }
    }

    pub fn usage(&mut self, batch: &UsageBatch, rejected: &[u32]) -> Result<(), DestinationError> {
        let Some(kept) = self.tables.last_mut().and_then(|table| table.usage.as_mut()) else { return Ok(()) };
        // An entry none of whose values is there is no record.
        let mut has_value = vec![false; batch.rows.len()];
        for block in &batch.blocks {
            for (place, entry) in block.entry_of.iter().enumerate() {
                if let Some(has_value) = has_value.get_mut(*entry as usize) {
                    *has_value |= block.values.is_valid(place);
                }
            }
        }
        let has_value = BooleanArray::from(has_value);
        let with_value = |column: &dyn Array| filter(column, &has_value).map_err(unwritten(&self.directory));
        let rows = with_value(&UInt32Array::from(batch.rows.clone()))?;
        let rows = rows.as_primitive_opt::<UInt32Type>().map(|rows| rows.values().to_vec()).unwrap_or_default();
        let mut identifiers = Vec::with_capacity(batch.identifiers.len());
        for column in &batch.identifiers {
            identifiers.extend(with_value(column)?.as_string_opt::<i32>().cloned());
        }
        kept.keep(&self.directory, &rows, &identifiers, rejected)
    }

    /// Matches everything. Without row counts it is a preview, and no file fails for its rows.
    pub fn resolve(self, late: &Rows, rows: Option<RowCounts>) -> Result<(Accounts, Merged), DestinationError> {
        let Self { store, delivery, directory, tables } = self;
        let mut staging = store.stage(delivery)?;
        for (number, table) in (0..).zip(tables) {
            let accounts = table.accounts.as_ref().map(|kept| AccountLayout {
                wanted: Vec::new(),
                identifiers: kept.identifiers.clone(),
                fields: Vec::new(),
            });
            let usage = table.usage.as_ref().map(|kept| UsageLayout {
                wanted: Vec::new(),
                identifiers: kept.identifiers.clone(),
                user: None,
            });
            staging.open_table(accounts.as_ref(), usage.as_ref())?;
            if let Some(kept) = table.accounts {
                let (batches, left_out) = kept.read(&directory)?;
                for batch in batches {
                    let (rows, identifiers) = columns(&batch.map_err(unwritten(&directory))?);
                    let rejected = rejected_of(&rows, &left_out, late, number);
                    let batch = AccountBatch { rows, identifiers, fields: Vec::new(), issues: Issues::none() };
                    staging.accounts(&batch, &rejected)?;
                }
            }
            if let Some(kept) = table.usage {
                let (batches, left_out) = kept.read(&directory)?;
                let mut announced = vec![placeholder()];
                for batch in batches {
                    let (rows, identifiers) = columns(&batch.map_err(unwritten(&directory))?);
                    let rejected = rejected_of(&rows, &left_out, late, number);
                    let batch = usage_of(rows, identifiers, std::mem::take(&mut announced));
                    staging.usage(&batch, &rejected)?;
                }
            }
        }
        let mut accounts = Accounts { directory, files: BTreeMap::new(), page: None };
        let merged = staging.resolve(rows, &mut |row| accounts.put(row))?;
        Ok((accounts, merged))
    }
}

fn columns(batch: &RecordBatch) -> (Vec<u32>, Vec<StringArray>) {
    let mut columns = batch.columns().iter();
    let rows = columns.next().and_then(|rows| rows.as_primitive_opt::<UInt32Type>());
    let rows = rows.map(|rows| rows.values().to_vec()).unwrap_or_default();
    (rows, columns.filter_map(|column| column.as_string_opt::<i32>().cloned()).collect())
}

fn rejected_of(rows: &[u32], left_out: &Rows, late: &Rows, table: u32) -> Vec<u32> {
    let is_out = |row: &&u32| left_out.contains(0, **row) || late.contains(table, **row);
    let mut rejected: Vec<u32> = rows.iter().filter(is_out).copied().collect();
    rejected.sort_unstable();
    rejected
}

/// What stands for all usage of a row.
fn placeholder() -> Series {
    Series {
        product: String::new(),
        metric: String::new(),
        unit: None,
        value_type: ValueType::Integer,
        aggregate: Aggregate::Last,
        period: Period::Single,
        repeat: Repeat::Replace,
    }
}

fn usage_of(rows: Vec<u32>, identifiers: Vec<StringArray>, announced: Vec<Series>) -> UsageBatch {
    let count = rows.len();
    let block = ValueBlock {
        entry_of: (0..count as u32).collect(),
        series_of: vec![0; count],
        values: Arc::new(Int64Array::from(vec![0; count])),
    };
    UsageBatch {
        rows,
        identifiers,
        user: None,
        dates: Date32Array::from(vec![None; count]),
        period_starts: Date32Array::from(vec![0; count]),
        announced,
        blocks: vec![block],
        issues: Issues::none(),
    }
}

/// The account of each row.
pub(super) struct Accounts {
    directory: PathBuf,
    /// A number for each row, 0 where there is none.
    files: BTreeMap<(RecordKind, u32), File>,
    page: Option<Page>,
}

/// The rows of one file that are looked at.
struct Page {
    file: (RecordKind, u32),
    number: u64,
    accounts: Box<[u8; PAGE * 8]>,
    is_changed: bool,
}

impl Accounts {
    fn put(&mut self, resolved: ResolvedRow) -> Result<(), DestinationError> {
        let file = (resolved.kind, resolved.table);
        if !self.files.contains_key(&file) {
            let made = tempfile::tempfile_in(&self.directory).map_err(failed("make a file in", &self.directory))?;
            self.files.insert(file, made);
        }
        let (page, place) = self.page(file, resolved.row)?;
        if let Some(slot) = page.accounts.get_mut(place..place + 8) {
            slot.copy_from_slice(&resolved.account.to_le_bytes());
            page.is_changed = true;
        }
        Ok(())
    }

    /// The account of a row; none where it matched none, or several.
    pub fn of(&mut self, kind: RecordKind, table: u32, row: u32) -> Result<Option<i64>, DestinationError> {
        if !self.files.contains_key(&(kind, table)) {
            return Ok(None);
        }
        let (page, place) = self.page((kind, table), row)?;
        let bytes = page.accounts.get(place..place + 8).and_then(|bytes| bytes.try_into().ok());
        Ok(bytes.map(i64::from_le_bytes).filter(|account| *account > 0))
    }

    /// The page of a row, and where the row stands on it.
    fn page(&mut self, file: (RecordKind, u32), row: u32) -> Result<(&mut Page, usize), DestinationError> {
        let (number, place) = (u64::from(row) / PAGE as u64, row as usize % PAGE * 8);
        let page = match self.page.take() {
            Some(page) if page.file == file && page.number == number => page,
            other => {
                self.write_back(other)?;
                let mut accounts = Box::new([0; PAGE * 8]);
                if let Some(from) = self.files.get(&file) {
                    read_at(from, accounts.as_mut_slice(), number).map_err(failed("read in", &self.directory))?;
                }
                Page { file, number, accounts, is_changed: false }
            }
        };
        Ok((self.page.insert(page), place))
    }

    fn write_back(&self, page: Option<Page>) -> Result<(), DestinationError> {
        match page.filter(|page| page.is_changed).and_then(|page| Some((self.files.get(&page.file)?, page))) {
            Some((into, page)) => into
                .write_all_at(page.accounts.as_slice(), page.number * page.accounts.len() as u64)
                .map_err(failed("write in", &self.directory)),
            None => Ok(()),
        }
    }
}

/// Reads a page, or what there is of it.
fn read_at(file: &File, page: &mut [u8], number: u64) -> io::Result<()> {
    let start = number * page.len() as u64;
    let mut read = 0;
    while let Some(rest) = page.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, start + read as u64) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
