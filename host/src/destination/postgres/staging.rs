//! One object's records in temporary tables of one connection, until they are merged.
//!
//! The tables are those of `session.sql`. Staging knows nothing of what the store holds, so several objects are staged
//! at once and none waits for a merge. A *position* numbers the rows of all tables in reading order.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, StringArray};

use crate::batch::{
    AccountBatch, AccountLayout, Identifier, OutputField, Series, UsageBatch, UsageLayout, UserKey, ValueType,
};
use crate::destination::iso::Iso;
use crate::destination::names::normalize;
use crate::destination::relational::interner::{Interned, Interner};
use crate::destination::relational::matching::names_among;
use crate::destination::relational::similar::Names;
use crate::destination::relational::text::{write_decimal, write_list};
use crate::destination::relational::{is_rejected, type_name, user_key_name};
use crate::destination::resolve::ResolvedRow;
use crate::destination::{
    Delivery, DestinationError, Intake, MendedRow, Merged, Preview, RejectRow, RowCounts, Staging, Summary,
};

use super::copy::CopyRows;
use super::merge;
use super::pool::Lease;

/// An object on its way in.
pub(super) struct PostgresStaging {
    lease: Lease,
    /// The names of the tenant's accounts.
    names: Arc<Names>,
    staged: Staged,
    open: Option<OpenTable>,
    rows: Rows,
    interned: Interners,
    text: String,
}

/// What stands in the staging tables, as the merge needs to know it.
pub(super) struct Staged {
    pub(super) delivery: Delivery,
    /// The lists of strategies, by their number.
    pub(super) layouts: Vec<Vec<Identifier>>,
    /// The position of each table's first row.
    pub(super) tables: Vec<i64>,
    /// The fields, by staged number.
    pub(super) fields: Vec<OutputField>,
    /// The series, by staged number.
    pub(super) series: Vec<Series>,
    pub(super) usage_values: u64,
    pub(super) rejects: i64,
    pub(super) late_rejects: bool,
}

/// Rows that are not sent yet.
struct Rows {
    identifiers: CopyRows,
    accounts: CopyRows,
    values: CopyRows,
    usage: CopyRows,
    users: CopyRows,
    rejected: CopyRows,
    rejects: CopyRows,
    mended: CopyRows,
}

struct Interners {
    identifiers: Interner,
    users: Interner,
    key: Vec<u8>,
}

/// The table being staged.
struct OpenTable {
    first_position: i64,
    next_position: i64,
    /// The number of the strategies, and which staged field each field of the layout is.
    accounts: Option<(usize, Vec<usize>)>,
    usage: Option<OpenUsage>,
}

struct OpenUsage {
    layout: usize,
    user: Option<UserKey>,
    /// Which staged series each announced series is.
    series: Vec<usize>,
}

impl OpenTable {
    fn position(&mut self, row: u32) -> i64 {
        let position = self.first_position + i64::from(row);
        self.next_position = self.next_position.max(position + 1);
        position
    }
}

impl PostgresStaging {
    /// The tables are empty: a connection is given back only after a merge, which empties them.
    pub(super) fn begin(lease: Lease, names: Arc<Names>, delivery: Delivery) -> Self {
        Self {
            lease,
            names,
            staged: Staged {
                delivery,
                layouts: Vec::new(),
                tables: Vec::new(),
                fields: Vec::new(),
                series: Vec::new(),
                usage_values: 0,
                rejects: 0,
                late_rejects: false,
            },
            open: None,
            rows: Rows {
                identifiers: CopyRows::new(
                    "stage identifiers",
                    "COPY staged_identifiers FROM STDIN (FORMAT binary)",
                    4,
                ),
                accounts: CopyRows::new("stage account records", "COPY staged_accounts FROM STDIN (FORMAT binary)", 2),
                values: CopyRows::new("stage account fields", "COPY staged_values FROM STDIN (FORMAT binary)", 4),
                usage: CopyRows::new("stage usage", "COPY staged_usage FROM STDIN (FORMAT binary)", 9),
                users: CopyRows::new("stage users", "COPY staged_users FROM STDIN (FORMAT binary)", 3),
                rejected: CopyRows::new("reject a row", "COPY staged_rejected FROM STDIN (FORMAT binary)", 1),
                rejects: CopyRows::new("stage rejects", "COPY staged_rejects FROM STDIN (FORMAT binary)", 9),
                mended: CopyRows::new("stage mended rows", "COPY staged_mended FROM STDIN (FORMAT binary)", 2),
            },
            interned: Interners { identifiers: Interner::new(), users: Interner::new(), key: Vec::new() },
            text: String::new(),
        }
    }

    /// Ends staging: everything is in the tables.
    fn finish(&mut self) -> Result<(), DestinationError> {
        self.rows.each(|rows, session| rows.send(session), &self.lease)
    }

    /// The number of a list of strategies.
    fn layout(&mut self, strategies: &[Identifier]) -> usize {
        let layouts = &mut self.staged.layouts;
        layouts.iter().position(|layout| layout == strategies).unwrap_or_else(|| {
            layouts.push(strategies.to_vec());
            layouts.len() - 1
        })
    }

    /// The number of a field, which may come from several tables of one type.
    fn field(&mut self, field: &OutputField) -> Result<usize, DestinationError> {
        let known = self.staged.fields.iter().position(|staged| staged.name == field.name);
        let Some(number) = known else {
            self.staged.fields.push(field.clone());
            return Ok(self.staged.fields.len() - 1);
        };
        if let Some(staged) = self.staged.fields.get_mut(number) {
            let (stored, brought) = (type_name(staged.value_type), type_name(field.value_type));
            if stored != brought {
                let (stored, brought) = (stored.to_owned(), brought.to_owned());
                return Err(DestinationError::FieldType { field: field.name.clone(), stored, brought });
            }
            *staged = field.clone();
        }
        Ok(number)
    }

    fn stage_accounts(
        &mut self,
        table: &mut OpenTable,
        batch: &AccountBatch,
        rejected: &[u32],
    ) -> Result<(), DestinationError> {
        let Some((layout, fields)) = table.accounts.take() else { return Ok(()) };
        let mut columns = Vec::with_capacity(fields.len());
        for (number, column) in fields.iter().zip(&batch.fields) {
            let Some(field) = self.staged.fields.get(*number) else { continue };
            let values = Values::of(field.value_type, &column.values)
                .ok_or_else(|| mistyped(&field.name, field.value_type, &column.values))?;
            columns.push((*number as i32, values, column.clear.as_ref()));
        }
        let columns_of_names = self.staged.names_in(layout);
        let identifiers = Identifiers { layout, columns: &batch.identifiers, names: &columns_of_names };
        for (record, row) in batch.rows.iter().enumerate() {
            if is_rejected(*row, rejected) {
                continue;
            }
            let position = table.position(*row);
            let identifier = self.interned.identifier(&mut self.rows.identifiers, &identifiers, record);
            self.rows.accounts.row().bigint(position).bigint(identifier);
            for (field, values, clear) in &columns {
                if values.is_present(record) {
                    let row = self.rows.values.row().bigint(position).bigint(identifier).integer(*field);
                    row.text(values.as_text(record, &mut self.text));
                } else if clear.is_some_and(|clear| clear.value(record)) {
                    self.rows.values.row().bigint(position).bigint(identifier).integer(*field).null();
                }
            }
            self.rows.values.send_bundle(self.lease.session())?;
        }
        table.accounts = Some((layout, fields));
        self.send_bundles()
    }

    fn stage_usage(
        &mut self,
        table: &mut OpenTable,
        batch: &UsageBatch,
        rejected: &[u32],
    ) -> Result<(), DestinationError> {
        let Some(mut usage) = table.usage.take() else { return Ok(()) };
        for announced in &batch.announced {
            usage.series.push(self.staged.series_number(announced));
        }
        // Entry by entry first: who and when.
        let mut entries: Vec<(i64, i64, i64)> = Vec::with_capacity(batch.rows.len());
        let columns_of_names = self.staged.names_in(usage.layout);
        let identifiers = Identifiers { layout: usage.layout, columns: &batch.identifiers, names: &columns_of_names };
        for (entry, row) in batch.rows.iter().enumerate() {
            if is_rejected(*row, rejected) {
                entries.push((REJECTED, 0, 0));
                continue;
            }
            let position = table.position(*row);
            let identifier = self.interned.identifier(&mut self.rows.identifiers, &identifiers, entry);
            let user = match (usage.user, &batch.user) {
                (Some(kind), Some(users)) if users.is_valid(entry) && !users.value(entry).is_empty() => {
                    self.interned.user(&mut self.rows.users, kind, users.value(entry))
                }
                _ => 0,
            };
            entries.push((position, identifier, user));
        }
        // Then value by value: what.
        for block in &batch.blocks {
            let mut numbers = block.series_of.iter().filter_map(|series| usage.series.get(*series as usize));
            let Some(series) = numbers.next().and_then(|number| self.staged.series.get(*number)) else {
                continue;
            };
            let values = Values::of(series.value_type, &block.values)
                .ok_or_else(|| mistyped(&series.metric, series.value_type, &block.values))?;
            for (index, (entry, series)) in block.entry_of.iter().zip(&block.series_of).enumerate() {
                let entry = *entry as usize;
                let Some(&(position, identifier, user)) = entries.get(entry) else { continue };
                let Some(&series) = usage.series.get(*series as usize) else { continue };
                if position == REJECTED || !values.is_present(index) {
                    continue;
                }
                let row = self.rows.usage.row().bigint(position).bigint(identifier).bigint(user).integer(series as i32);
                let row = row.date(batch.period_starts.value(entry)).date(batch.dates.value(entry));
                match values.as_number(index) {
                    Some(Number::Whole(number)) => row.bigint(number).null().null(),
                    Some(Number::Fraction(number)) => row.null().double(number).null(),
                    None => row.null().null().text(values.as_text(index, &mut self.text)),
                };
                self.staged.usage_values += 1;
                self.rows.usage.send_bundle(self.lease.session())?;
            }
        }
        table.usage = Some(usage);
        self.send_bundles()
    }

    fn send_bundles(&mut self) -> Result<(), DestinationError> {
        self.rows.each(|rows, session| rows.send_bundle(session), &self.lease)
    }

    /// Works on the open table; without one there is nothing to do.
    fn with_table(
        &mut self,
        work: impl FnOnce(&mut Self, &mut OpenTable) -> Result<(), DestinationError>,
    ) -> Result<(), DestinationError> {
        let Some(mut table) = self.open.take() else { return Ok(()) };
        let done = work(self, &mut table);
        self.open = Some(table);
        done
    }
}

/// The position of an entry whose row is rejected.
const REJECTED: i64 = -1;

impl Rows {
    fn each(
        &mut self,
        send: impl Fn(&mut CopyRows, &super::session::Session) -> Result<(), DestinationError>,
        lease: &Lease,
    ) -> Result<(), DestinationError> {
        let Self { identifiers, accounts, values, usage, users, rejected, rejects, mended } = self;
        let all = [identifiers, accounts, values, usage, users, rejected, rejects, mended];
        all.into_iter().try_for_each(|rows| send(rows, lease.session()))
    }
}

/// The identifiers of a batch.
struct Identifiers<'b> {
    layout: usize,
    columns: &'b [StringArray],
    /// Which columns are names.
    names: &'b [usize],
}

/// The value of an identifier, if it is not blank.
fn present(column: &StringArray, row: usize) -> Option<&str> {
    (column.is_valid(row) && !column.value(row).is_empty()).then(|| column.value(row))
}

impl Interners {
    /// The number of a combination of identifier values, staging one that is new.
    fn identifier(&mut self, rows: &mut CopyRows, identifiers: &Identifiers<'_>, row: usize) -> i64 {
        let Identifiers { layout, columns, names } = *identifiers;
        self.key.clear();
        self.key.extend_from_slice(&(layout as u32).to_le_bytes());
        for column in columns {
            let value = present(column, row).unwrap_or_default();
            self.key.extend_from_slice(&(value.len() as u32).to_le_bytes());
            self.key.extend_from_slice(value.as_bytes());
        }
        match self.identifiers.intern(&self.key) {
            Interned::Known(number) => number,
            Interned::New(number) => {
                let row_of_keys = rows.row().bigint(number).integer(layout as i32);
                row_of_keys.texts(columns.len(), columns.iter().map(|column| present(column, row)));
                match names {
                    [] => rows.null(),
                    names => rows.texts(
                        columns.len(),
                        columns.iter().enumerate().map(|(index, column)| {
                            let name = present(column, row).filter(|_| names.contains(&index));
                            name.map(normalize).filter(|normalized| !normalized.is_empty())
                        }),
                    ),
                };
                number
            }
        }
    }

    /// The number of a user, staging one that is new.
    fn user(&mut self, rows: &mut CopyRows, kind: UserKey, value: &str) -> i64 {
        let kind = user_key_name(kind);
        self.key.clear();
        self.key.extend_from_slice(kind.as_bytes());
        self.key.push(0);
        self.key.extend_from_slice(value.as_bytes());
        match self.users.intern(&self.key) {
            Interned::Known(number) => number,
            Interned::New(number) => {
                rows.row().bigint(number).text(kind).text(value);
                number
            }
        }
    }
}

impl Staged {
    /// Which keys of a list of strategies are names.
    fn names_in(&self, layout: usize) -> Vec<usize> {
        self.layouts.get(layout).map(|strategies| names_among(strategies).collect()).unwrap_or_default()
    }

    /// The number of a series; the same one from several tables has one number.
    fn series_number(&mut self, series: &Series) -> usize {
        self.series.iter().position(|staged| staged == series).unwrap_or_else(|| {
            self.series.push(series.clone());
            self.series.len() - 1
        })
    }
}

impl Intake for PostgresStaging {
    fn open_table(
        &mut self,
        accounts: Option<&AccountLayout>,
        usage: Option<&UsageLayout>,
    ) -> Result<(), DestinationError> {
        let first_position = self.open.take().map_or(0, |table| table.next_position);
        self.staged.tables.push(first_position);
        let accounts = match accounts {
            None => None,
            Some(layout) => {
                let fields = layout.fields.iter().map(|field| self.field(field)).collect::<Result<_, _>>()?;
                Some((self.layout(&layout.identifiers), fields))
            }
        };
        let usage = usage.map(|layout| OpenUsage {
            layout: self.layout(&layout.identifiers),
            user: layout.user,
            series: Vec::new(),
        });
        self.open = Some(OpenTable { first_position, next_position: first_position, accounts, usage });
        Ok(())
    }

    fn accounts(&mut self, batch: &AccountBatch, rejected: &[u32]) -> Result<(), DestinationError> {
        self.with_table(|staging, table| staging.stage_accounts(table, batch, rejected))
    }

    fn usage(&mut self, batch: &UsageBatch, rejected: &[u32]) -> Result<(), DestinationError> {
        self.with_table(|staging, table| staging.stage_usage(table, batch, rejected))
    }

    fn reject_row(&mut self, row: u32) -> Result<(), DestinationError> {
        self.with_table(|staging, table| {
            // Finding the row's records now would cost a search; the merge leaves them all out at once.
            staging.rows.rejected.row().bigint(table.position(row));
            staging.staged.late_rejects = true;
            staging.rows.rejected.send_bundle(staging.lease.session())
        })
    }

    fn mends(&mut self, rows: &[MendedRow<'_>]) -> Result<(), DestinationError> {
        self.with_table(|staging, table| {
            for mended in rows {
                staging.rows.mended.row().bigint(table.position(mended.row)).text(mended.origin);
                staging.rows.mended.send_bundle(staging.lease.session())?;
            }
            Ok(())
        })
    }

    fn rejects(&mut self, rejects: &[RejectRow]) -> Result<(), DestinationError> {
        for reject in rejects {
            self.staged.rejects += 1;
            let row = self.rows.rejects.row().bigint(self.staged.rejects);
            let line = i64::try_from(reject.line).unwrap_or(i64::MAX);
            row.bigint(reject.table.into()).bigint(reject.row.into()).bigint(line);
            row.optional_text(reject.column.as_deref()).optional_text(reject.value.as_deref());
            row.text(&reject.code).text(&reject.message).text(&reject.origin);
            self.rows.rejects.send_bundle(self.lease.session())?;
        }
        Ok(())
    }
}

impl Staging for PostgresStaging {
    fn preview(mut self: Box<Self>) -> Result<Preview, DestinationError> {
        self.finish()?;
        let preview = merge::preview(self.lease.session(), &self.names, &self.staged)?;
        self.lease.give_back();
        Ok(preview)
    }

    fn resolve(
        mut self: Box<Self>,
        rows: Option<RowCounts>,
        found: &mut dyn FnMut(ResolvedRow) -> Result<(), DestinationError>,
    ) -> Result<Merged, DestinationError> {
        self.finish()?;
        let merged = merge::resolve(self.lease.session(), &self.names, &self.staged, rows, found)?;
        self.lease.give_back();
        Ok(merged)
    }

    fn merge(mut self: Box<Self>, rows: RowCounts) -> Result<Summary, DestinationError> {
        self.finish()?;
        let summary = merge::merge(self.lease.session(), &self.names, &self.staged, rows)?;
        self.lease.give_back();
        Ok(summary)
    }
}

/// A value that numbers are made of.
enum Number {
    Whole(i64),
    Fraction(f64),
}

/// A column of values with its type.
struct Values<'a> {
    value_type: ValueType,
    values: &'a ArrayRef,
}

impl<'a> Values<'a> {
    /// None if the array is not of that type.
    fn of(value_type: ValueType, values: &'a ArrayRef) -> Option<Self> {
        let fits = match value_type {
            ValueType::Text => values.as_string_opt::<i32>().is_some(),
            ValueType::Integer | ValueType::Decimal(_) => values.as_primitive_opt::<Int64Type>().is_some(),
            ValueType::Float => values.as_primitive_opt::<Float64Type>().is_some(),
            ValueType::Boolean => values.as_boolean_opt().is_some(),
            ValueType::Date => values.as_primitive_opt::<Date32Type>().is_some(),
            ValueType::Timestamp => values.as_primitive_opt::<TimestampMicrosecondType>().is_some(),
            ValueType::TextList => {
                values.as_list_opt::<i32>().is_some_and(|list| list.values().as_string_opt::<i32>().is_some())
            }
        };
        fits.then_some(Self { value_type, values })
    }

    /// Whether the row has a value that can be stored: what is not a number is none.
    fn is_present(&self, row: usize) -> bool {
        self.values.is_valid(row)
            && (self.value_type != ValueType::Float || !self.values.as_primitive::<Float64Type>().value(row).is_nan())
    }

    fn as_number(&self, row: usize) -> Option<Number> {
        match self.value_type {
            ValueType::Integer | ValueType::Decimal(_) => {
                Some(Number::Whole(self.values.as_primitive::<Int64Type>().value(row)))
            }
            ValueType::Boolean => Some(Number::Whole(self.values.as_boolean().value(row).into())),
            ValueType::Float => Some(Number::Fraction(self.values.as_primitive::<Float64Type>().value(row))),
            ValueType::Text | ValueType::Date | ValueType::Timestamp | ValueType::TextList => None,
        }
    }

    /// The value as the store keeps it; `text` is room for values that are written out.
    fn as_text<'t>(&'t self, row: usize, text: &'t mut String) -> &'t str {
        use std::fmt::Write;
        text.clear();
        match self.value_type {
            ValueType::Text => return self.values.as_string::<i32>().value(row),
            ValueType::Integer => {
                let mut digits = itoa::Buffer::new();
                text.push_str(digits.format(self.values.as_primitive::<Int64Type>().value(row)));
            }
            ValueType::Float => {
                let value = self.values.as_primitive::<Float64Type>().value(row);
                // Writing to a string cannot fail.
                let _ = match value.is_infinite() {
                    true => write!(text, "{}Infinity", if value < 0.0 { "-" } else { "" }),
                    false => write!(text, "{value}"),
                };
            }
            ValueType::Decimal(scale) => write_decimal(text, self.values.as_primitive::<Int64Type>().value(row), scale),
            ValueType::Boolean => text.push(if self.values.as_boolean().value(row) { '1' } else { '0' }),
            ValueType::Date => text.push_str(Iso::date(self.values.as_primitive::<Date32Type>().value(row)).as_str()),
            ValueType::Timestamp => {
                let value = self.values.as_primitive::<TimestampMicrosecondType>().value(row);
                text.push_str(Iso::timestamp(value).as_str());
            }
            ValueType::TextList => {
                let lists = self.values.as_list::<i32>();
                let offsets = lists.value_offsets();
                let items =
                    lists.values().as_string::<i32>().slice(offsets[row] as usize, lists.value_length(row) as usize);
                match items.iter().flatten().any(|item| item.contains('\0')) {
                    // What JSON can say of U+0000, PostgreSQL refuses as well.
                    true => {
                        let items = items.iter().map(|item| Some(item.unwrap_or_default().replace('\0', "\u{fffd}")));
                        write_list(text, &items.collect(), 0..lists.value_length(row) as usize);
                    }
                    false => write_list(text, &items, 0..items.len()),
                }
            }
        }
        text
    }
}

fn mistyped(field: &str, announced: ValueType, values: &dyn Array) -> DestinationError {
    let (stored, brought) = (type_name(announced).to_owned(), values.data_type().to_string());
    DestinationError::FieldType { field: field.to_owned(), stored, brought }
}
