//! One object's records in a database file of their own, until they are merged.
//!
//! Staging knows nothing of the tenant's store, so several files are staged at once and none waits for a merge. The
//! file is neither journalled nor synced: after a crash it is left-over to be deleted, never read again.
//!
//! | table | one row for |
//! |---|---|
//! | `identifiers_N (identifier, k0, k1, …, n1, …)` | each combination of identifier values; N numbers the lists of strategies. `n1` is the normalized form of `k1`, where that is a name |
//! | `account_rows_T_C (position, identifier, f0, f1, …)` | each account record of table T; C numbers groups of its fields |
//! | `usage_values (position, identifier, user, series, period_start, date, value)` | each usage value |
//! | `users (user, kind, value)` | each user |
//! | `periods (series, period_start)` | each period that usage falls in |
//! | `rejected (position)` | each row that was rejected after it had been staged |
//! | `rejects (…)` | each reason why a row was refused |
//! | `mended (position, origin_row)` | each row that stands for a refused one of another object |
//!
//! A *position* numbers the rows of all tables in reading order. A blank identifier value is null. In `f0`, `f1` … a
//! null keeps what is stored and an empty blob erases it.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::Array;
use rusqlite::{Connection, OpenFlags, params};

use crate::batch::{AccountBatch, AccountLayout, Identifier, OutputField, Series, UsageBatch, UsageLayout, UserKey};
use crate::destination::relational::interner::Interner;
use crate::destination::relational::{is_rejected, type_name};
use crate::destination::resolve::ResolvedRow;
use crate::destination::{
    Delivery, DestinationError, Intake, MendedRow, Merged, Preview, RejectRow, RowCounts, Staging, Summary,
};

use super::identifiers::{self, InternIdentifiers, intern_user};
use super::merge;
use super::store::{self, STAGING_CACHE, Statements, Store};
use super::values::{Cleared, Column};

/// SQLite allows 2,000 columns a table; fields beyond this many go into a further table.
const FIELDS_PER_TABLE: usize = 1_000;

/// How many periods are remembered before they are written down.
const PERIODS_IN_MEMORY: usize = 8_192;

/// An object on its way in.
pub(super) struct SqliteStaging {
    connection: Connection,
    file: StagingFile,
    store: Arc<Store>,
    staged: Staged,
    open: Option<OpenTable>,
    identifiers: Interner,
    users: Interner,
    periods: HashSet<(u32, i32)>,
    last_period: Option<(u32, i32)>,
    key: Vec<u8>,
    text: String,
}

/// What stands in the staging file, as the merge needs to know it.
pub(super) struct Staged {
    pub(super) delivery: Delivery,
    /// The lists of strategies, by N.
    pub(super) layouts: Vec<Vec<Identifier>>,
    /// The position of each table's first row.
    pub(super) tables: Vec<i64>,
    pub(super) account_rows: Vec<AccountRows>,
    pub(super) fields: Vec<StagedField>,
    /// The series, by staged number.
    pub(super) series: Vec<Series>,
    pub(super) usage_values: u64,
    /// Whether any usage is a user's.
    pub(super) users: bool,
    pub(super) rejects: u64,
    pub(super) late_rejects: u64,
}

/// One `account_rows` table that holds the first fields of its records, thus one row a record.
pub(super) struct AccountRows {
    pub(super) name: String,
    pub(super) layout: usize,
}

/// One field of the object, over all tables that bring it.
pub(super) struct StagedField {
    pub(super) field: OutputField,
    /// Where its values are: table and column.
    pub(super) columns: Vec<(String, String)>,
    /// Whether a value is erased anywhere.
    pub(super) clears: bool,
}

/// The table being staged.
struct OpenTable {
    first_position: i64,
    next_position: i64,
    accounts: Option<OpenAccounts>,
    usage: Option<OpenUsage>,
}

struct OpenAccounts {
    layout: usize,
    /// Which staged field each field of the layout is.
    fields: Vec<usize>,
    /// How each group of fields is inserted.
    inserts: Vec<String>,
}

struct OpenUsage {
    layout: usize,
    user: Option<UserKey>,
    /// Which staged series each announced series is.
    series: Vec<u32>,
}

/// A file that is deleted with its owner.
struct StagingFile(PathBuf);

impl Drop for StagingFile {
    fn drop(&mut self) {
        // What cannot be deleted now is deleted when the destination is opened the next time.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl SqliteStaging {
    pub(super) fn begin(path: PathBuf, store: Arc<Store>, delivery: Delivery) -> Result<Self, DestinationError> {
        store::create_private(&path)?;
        let file = StagingFile(path);
        let connection = store::open(&file.0, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.set_prepared_statement_cache_capacity(64);
        let setup = format!(
            "PRAGMA page_size = 8192; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE;
             PRAGMA temp_store = FILE; PRAGMA cache_size = -{STAGING_CACHE};
             BEGIN;
             CREATE TABLE usage_values (position, identifier, user, series, period_start, date, value);
             CREATE TABLE users (user INTEGER PRIMARY KEY, kind, value);
             CREATE TABLE periods (series INTEGER, period_start INTEGER, PRIMARY KEY (series, period_start)) WITHOUT ROWID;
             CREATE TABLE rejected (position INTEGER PRIMARY KEY);
             CREATE TABLE rejects (number INTEGER PRIMARY KEY, table_index, row_index, line, column_name, value, code, message, origin_row);
             CREATE TABLE mended (position INTEGER PRIMARY KEY, origin_row TEXT);"
        );
        Statements::new(&connection, &file.0).batch("begin to stage", &setup)?;
        Ok(Self {
            connection,
            file,
            store,
            staged: Staged {
                delivery,
                layouts: Vec::new(),
                tables: Vec::new(),
                account_rows: Vec::new(),
                fields: Vec::new(),
                series: Vec::new(),
                usage_values: 0,
                users: false,
                rejects: 0,
                late_rejects: 0,
            },
            open: None,
            identifiers: Interner::new(),
            users: Interner::new(),
            periods: HashSet::new(),
            last_period: None,
            key: Vec::new(),
            text: String::new(),
        })
    }

    /// Ends staging: everything is in the file and the file is closed.
    fn finish(mut self) -> Result<(StagingFile, Arc<Store>, Staged), DestinationError> {
        self.write_periods()?;
        Statements::new(&self.connection, &self.file.0).batch("finish staging", "COMMIT")?;
        let Self { connection, file, store, staged, .. } = self;
        connection.close().map_err(|(_, source)| store::sqlite_error("finish staging", &file.0, source))?;
        Ok((file, store, staged))
    }

    /// The number of a list of strategies, with its table.
    fn layout(&mut self, strategies: &[Identifier]) -> Result<usize, DestinationError> {
        if let Some(known) = self.staged.layouts.iter().position(|layout| layout == strategies) {
            return Ok(known);
        }
        let number = self.staged.layouts.len();
        let sql = identifiers::create_table(number, strategies);
        Statements::new(&self.connection, &self.file.0).batch("begin a table", &sql)?;
        self.staged.layouts.push(strategies.to_vec());
        Ok(number)
    }

    fn open_accounts(&mut self, table: usize, layout: &AccountLayout) -> Result<OpenAccounts, DestinationError> {
        let number = self.layout(&layout.identifiers)?;
        let mut inserts = Vec::new();
        let mut fields = Vec::new();
        // A table without fields still has its records: they match or create accounts.
        for group in 0..layout.fields.len().div_ceil(FIELDS_PER_TABLE).max(1) {
            let name = format!("account_rows_{table}_{group}");
            let first = group * FIELDS_PER_TABLE;
            let group_fields = layout.fields.iter().skip(first).take(FIELDS_PER_TABLE);
            let (mut columns, mut marks) = (String::new(), String::new());
            for (index, field) in group_fields.enumerate() {
                columns.push_str(&format!(", f{index}"));
                marks.push_str(&format!(", ?{}", index + 3));
                fields.push(self.field(field, (name.clone(), format!("f{index}")))?);
            }
            let create = format!("CREATE TABLE {name} (position, identifier{columns})");
            Statements::new(&self.connection, &self.file.0).batch("begin a table", &create)?;
            inserts.push(format!("INSERT INTO {name} VALUES (?1, ?2{marks})"));
            if group == 0 {
                self.staged.account_rows.push(AccountRows { name, layout: number });
            }
        }
        Ok(OpenAccounts { layout: number, fields, inserts })
    }

    /// The number of a field, which may come from several tables of one type.
    fn field(&mut self, field: &OutputField, column: (String, String)) -> Result<usize, DestinationError> {
        let known = self.staged.fields.iter().position(|staged| staged.field.name == field.name);
        let Some(number) = known else {
            let staged = StagedField { field: field.clone(), columns: vec![column], clears: false };
            self.staged.fields.push(staged);
            return Ok(self.staged.fields.len() - 1);
        };
        if let Some(staged) = self.staged.fields.get_mut(number) {
            let (stored, brought) = (type_name(staged.field.value_type), type_name(field.value_type));
            if stored != brought {
                let (stored, brought) = (stored.to_owned(), brought.to_owned());
                return Err(DestinationError::FieldType { field: field.name.clone(), stored, brought });
            }
            staged.field = field.clone();
            staged.columns.push(column);
        }
        Ok(number)
    }

    fn stage_accounts(
        &mut self,
        table: &mut OpenTable,
        batch: &AccountBatch,
        rejected: &[u32],
    ) -> Result<(), DestinationError> {
        let Some(accounts) = table.accounts.as_ref().filter(|_| !batch.is_empty()) else {
            return Ok(());
        };
        let mut columns = Vec::with_capacity(accounts.fields.len());
        for (number, column) in accounts.fields.iter().zip(&batch.fields) {
            let Some(staged) = self.staged.fields.get_mut(*number) else {
                continue;
            };
            let values = Column::of_field(staged.field.value_type, &column.values)
                .ok_or_else(|| mistyped(&staged.field.name, staged.field.value_type, &column.values))?;
            staged.clears |= column.clear.as_ref().is_some_and(|clear| clear.count_set_bits() > 0);
            columns.push((values, column.clear.as_ref()));
        }
        let layout = accounts.layout;
        let strategies = self.staged.layouts.get(layout).map_or(&[][..], Vec::as_slice);
        let mut intern = InternIdentifiers::prepare(&self.connection, layout, strategies, &batch.identifiers)
            .map_err(|source| store::sqlite_error("stage account records", &self.file.0, source))?;
        let (connection, identifiers) = (&self.connection, &mut self.identifiers);
        let (key, text) = (&mut self.key, &mut self.text);
        let mut stage = || -> rusqlite::Result<()> {
            let mut inserts = Vec::with_capacity(accounts.inserts.len());
            for insert in &accounts.inserts {
                inserts.push(connection.prepare_cached(insert)?);
            }
            for (record, row) in batch.rows.iter().enumerate() {
                if is_rejected(*row, rejected) {
                    continue;
                }
                let position = table.first_position + i64::from(*row);
                table.next_position = table.next_position.max(position + 1);
                let identifier = intern.identifier(identifiers, key, record)?;
                for (group, insert) in inserts.iter_mut().enumerate() {
                    insert.raw_bind_parameter(1, position)?;
                    insert.raw_bind_parameter(2, identifier)?;
                    for (index, (values, clear)) in
                        columns.iter().skip(group * FIELDS_PER_TABLE).take(FIELDS_PER_TABLE).enumerate()
                    {
                        if values.is_present(record) {
                            values.bind(insert, index + 3, record, text)?;
                        } else if clear.is_some_and(|clear| clear.value(record)) {
                            insert.raw_bind_parameter(index + 3, Cleared)?;
                        } else {
                            insert.raw_bind_parameter(index + 3, rusqlite::types::Null)?;
                        }
                    }
                    insert.raw_execute()?;
                }
            }
            Ok(())
        };
        stage().map_err(|source| store::sqlite_error("stage account records", &self.file.0, source))
    }

    fn stage_usage(
        &mut self,
        table: &mut OpenTable,
        batch: &UsageBatch,
        rejected: &[u32],
    ) -> Result<(), DestinationError> {
        let Some(usage) = &mut table.usage else { return Ok(()) };
        for announced in &batch.announced {
            usage.series.push(self.staged.series_number(announced));
        }
        if batch.rows.is_empty() {
            return Ok(());
        }
        let path = &self.file.0;
        let failed = |source| store::sqlite_error("stage usage", path, source);
        let mut blocks = Vec::with_capacity(batch.blocks.len());
        for block in &batch.blocks {
            let mut numbers = block.series_of.iter().filter_map(|series| usage.series.get(*series as usize));
            let Some(series) = numbers.next().and_then(|number| self.staged.series.get(*number as usize)) else {
                continue;
            };
            let values = Column::of_usage(series.value_type, &block.values)
                .ok_or_else(|| mistyped(&series.metric, series.value_type, &block.values))?;
            blocks.push((block, values));
        }

        // Entry by entry first: who and when.
        let mut entries: Vec<(i64, i64, i64)> = Vec::with_capacity(batch.rows.len());
        let strategies = self.staged.layouts.get(usage.layout).map_or(&[][..], Vec::as_slice);
        let mut intern = InternIdentifiers::prepare(&self.connection, usage.layout, strategies, &batch.identifiers)
            .map_err(failed)?;
        for (entry, row) in batch.rows.iter().enumerate() {
            if is_rejected(*row, rejected) {
                entries.push((REJECTED, 0, 0));
                continue;
            }
            let position = table.first_position + i64::from(*row);
            table.next_position = table.next_position.max(position + 1);
            let identifier = intern.identifier(&mut self.identifiers, &mut self.key, entry).map_err(failed)?;
            let user = match (usage.user, &batch.user) {
                (Some(kind), Some(users)) if users.is_valid(entry) && !users.value(entry).is_empty() => {
                    self.staged.users = true;
                    intern_user(&self.connection, &mut self.users, &mut self.key, kind, users.value(entry))
                        .map_err(failed)?
                }
                _ => 0,
            };
            entries.push((position, identifier, user));
        }
        drop(intern);

        // Then value by value: what.
        let mut insert = self
            .connection
            .prepare_cached("INSERT INTO usage_values VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")
            .map_err(failed)?;
        for (block, values) in blocks {
            for (index, (entry, series)) in block.entry_of.iter().zip(&block.series_of).enumerate() {
                let entry = *entry as usize;
                let Some(&(position, identifier, user)) = entries.get(entry) else {
                    continue;
                };
                let Some(&series) = usage.series.get(*series as usize) else {
                    continue;
                };
                if position == REJECTED || !values.is_present(index) {
                    continue;
                }
                let period_start = batch.period_starts.value(entry);
                let mut bind = || -> rusqlite::Result<()> {
                    insert.raw_bind_parameter(1, position)?;
                    insert.raw_bind_parameter(2, identifier)?;
                    insert.raw_bind_parameter(3, user)?;
                    insert.raw_bind_parameter(4, series)?;
                    insert.raw_bind_parameter(5, period_start)?;
                    insert.raw_bind_parameter(6, batch.dates.value(entry))?;
                    values.bind(&mut insert, 7, index, &mut self.text)?;
                    insert.raw_execute().map(drop)
                };
                bind().map_err(failed)?;
                self.staged.usage_values += 1;
                if self.last_period != Some((series, period_start)) {
                    self.last_period = Some((series, period_start));
                    self.periods.insert((series, period_start));
                }
            }
        }
        drop(insert);
        if self.periods.len() > PERIODS_IN_MEMORY { self.write_periods() } else { Ok(()) }
    }

    fn write_periods(&mut self) -> Result<(), DestinationError> {
        let mut write = || -> rusqlite::Result<()> {
            let mut insert = self.connection.prepare_cached("INSERT OR IGNORE INTO periods VALUES (?1, ?2)")?;
            for period in self.periods.drain() {
                insert.execute(period)?;
            }
            Ok(())
        };
        write().map_err(|source| store::sqlite_error("stage usage", &self.file.0, source))?;
        self.last_period = None;
        Ok(())
    }
}

/// The position of an entry whose row is rejected.
const REJECTED: i64 = -1;

impl Staged {
    /// The number of a series; the same one from several tables has one number.
    fn series_number(&mut self, series: &Series) -> u32 {
        let known = self.series.iter().position(|staged| staged == series);
        let number = known.unwrap_or(self.series.len());
        if known.is_none() {
            self.series.push(series.clone());
        }
        number as u32
    }
}

impl Intake for SqliteStaging {
    fn open_table(
        &mut self,
        accounts: Option<&AccountLayout>,
        usage: Option<&UsageLayout>,
    ) -> Result<(), DestinationError> {
        let first_position = self.open.take().map_or(0, |table| table.next_position);
        let index = self.staged.tables.len();
        self.staged.tables.push(first_position);
        let accounts = accounts.map(|layout| self.open_accounts(index, layout)).transpose()?;
        let usage = match usage {
            None => None,
            Some(layout) => {
                let number = self.layout(&layout.identifiers)?;
                Some(OpenUsage { layout: number, user: layout.user, series: Vec::new() })
            }
        };
        self.open = Some(OpenTable { first_position, next_position: first_position, accounts, usage });
        Ok(())
    }

    fn accounts(&mut self, batch: &AccountBatch, rejected: &[u32]) -> Result<(), DestinationError> {
        let Some(mut table) = self.open.take() else {
            return Ok(());
        };
        let staged = self.stage_accounts(&mut table, batch, rejected);
        self.open = Some(table);
        staged
    }

    fn usage(&mut self, batch: &UsageBatch, rejected: &[u32]) -> Result<(), DestinationError> {
        let Some(mut table) = self.open.take() else {
            return Ok(());
        };
        let staged = self.stage_usage(&mut table, batch, rejected);
        self.open = Some(table);
        staged
    }

    fn reject_row(&mut self, row: u32) -> Result<(), DestinationError> {
        let Some(table) = &mut self.open else { return Ok(()) };
        let position = table.first_position + i64::from(row);
        table.next_position = table.next_position.max(position + 1);
        // Finding the row's records now would cost a search; the merge leaves them all out at once.
        let rejected = self
            .connection
            .prepare_cached("INSERT OR IGNORE INTO rejected VALUES (?1)")
            .and_then(|mut insert| insert.execute([position]));
        self.staged.late_rejects +=
            rejected.map_err(|source| store::sqlite_error("reject a row", &self.file.0, source))? as u64;
        Ok(())
    }

    fn mends(&mut self, rows: &[MendedRow<'_>]) -> Result<(), DestinationError> {
        let Some(table) = &mut self.open else { return Ok(()) };
        let mut write = || -> rusqlite::Result<()> {
            let mut insert = self.connection.prepare_cached("INSERT INTO mended VALUES (?1, ?2)")?;
            for mended in rows {
                let position = table.first_position + i64::from(mended.row);
                table.next_position = table.next_position.max(position + 1);
                insert.execute(params![position, mended.origin])?;
            }
            Ok(())
        };
        write().map_err(|source| store::sqlite_error("stage mended rows", &self.file.0, source))
    }

    fn rejects(&mut self, rejects: &[RejectRow]) -> Result<(), DestinationError> {
        let write = || -> rusqlite::Result<()> {
            let mut insert =
                self.connection.prepare_cached("INSERT INTO rejects VALUES (NULL, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?;
            for reject in rejects {
                let line = i64::try_from(reject.line).unwrap_or(i64::MAX);
                let RejectRow { table, row, column, value, code, message, origin, .. } = reject;
                insert.execute(params![table, row, line, column, value, code, message, origin])?;
            }
            Ok(())
        };
        write().map_err(|source| store::sqlite_error("stage rejects", &self.file.0, source))?;
        self.staged.rejects += rejects.len() as u64;
        Ok(())
    }
}

impl Staging for SqliteStaging {
    fn preview(self: Box<Self>) -> Result<Preview, DestinationError> {
        let (file, store, staged) = self.finish()?;
        merge::preview(&store, &file.0, &staged)
    }

    fn resolve(
        self: Box<Self>,
        rows: Option<RowCounts>,
        found: &mut dyn FnMut(ResolvedRow) -> Result<(), DestinationError>,
    ) -> Result<Merged, DestinationError> {
        let (file, store, staged) = self.finish()?;
        merge::resolve(&store, &file.0, &staged, rows, found)
    }

    fn merge(self: Box<Self>, rows: RowCounts) -> Result<Summary, DestinationError> {
        let (file, store, staged) = self.finish()?;
        merge::merge(&store, &file.0, &staged, rows)
    }
}

fn mistyped(field: &str, announced: crate::batch::ValueType, values: &dyn Array) -> DestinationError {
    let (stored, brought) = (type_name(announced).to_owned(), values.data_type().to_string());
    DestinationError::FieldType { field: field.to_owned(), stored, brought }
}

/// The path of a staging file, which ends in a suffix by which left-overs are known.
pub(super) fn staging_path(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!("{name}{STAGING_SUFFIX}"))
}

/// What the name of every staging file ends in.
pub(super) const STAGING_SUFFIX: &str = ".staging.db";
