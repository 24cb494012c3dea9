//! What a guest returned, checked until it is safe to use: Arrow's own checks for offsets, UTF-8 and lengths, and the
//! contract's for everything that names a row, a column or a series.
//!
//! Invariant: no value of a guest reaches an index, an allocation or an assertion before it was checked here.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BooleanArray, Date32Array, Float64Array, Int64Array, ListArray, StringArray,
    TimestampMicrosecondArray,
};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field};

use super::bindings::{columns, types};
use super::error::Bad;
use super::escape::escaped;
use super::instance::{CODE, is_code};
use crate::batch::{Identifier, Issues, MatchKey, ValueType};

pub(super) mod accounts;
pub(super) mod usage;

/// Wanted columns: as many as the widest sheet has.
const WANTED: usize = 16_384;
/// Strategies, and keys of one strategy.
const IDENTIFIERS: usize = 64;
/// Bytes of a name: a field's key, a product, a metric, a unit.
const NAME: usize = 256;
/// Issues of one row, on average over a batch.
const ISSUES_PER_ROW: usize = 64;
/// Bytes of an issue's message.
const MESSAGE: usize = 1 << 10;
/// 0001-01-01 and 9999-12-31 in days since 1970-01-01: what every destination can write as a date.
const DAYS: Range<i64> = -719_162..2_932_897;
/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// What results of a call may name.
#[derive(Debug, Clone)]
pub(super) struct Scope {
    /// Table-wide input rows.
    pub(super) rows: Range<u32>,
    /// Columns of the header.
    pub(super) columns: usize,
}

type Checked<T> = Result<T, Bad>;

fn bad<T>(what: impl Into<String>) -> Checked<T> {
    Err(Bad(what.into()))
}

/// That a list has one entry for each of `rows`.
fn same_length(found: usize, rows: usize, what: &str) -> Checked<()> {
    if found == rows { Ok(()) } else { bad(format!("{found} {what} for {rows} rows")) }
}

/// That rows stand in the batch, or in the table so far.
fn rows(rows: &[u32], scope: &Scope) -> Checked<()> {
    match rows.iter().find(|row| !scope.rows.contains(row)) {
        Some(row) => bad(format!("row {row} is not one of rows {} to {}", scope.rows.start, scope.rows.end)),
        None => Ok(()),
    }
}

/// A name that may stand in messages, paths and keys as it is.
fn name(name: String, what: &str) -> Checked<String> {
    if name.is_empty() {
        bad(format!("the {what} is empty"))
    } else if name.len() > NAME || escaped(&name, NAME) != name {
        bad(format!("the {what} `{}` is too long or has control characters", escaped(&name, 64)))
    } else {
        Ok(name)
    }
}

fn bitmap(bytes: Vec<u8>, rows: usize, what: &str) -> Checked<BooleanBuffer> {
    if bytes.len() < rows.div_ceil(8) {
        return bad(format!("the bitmap `{what}` has {} bytes for {rows} rows", bytes.len()));
    }
    Ok(BooleanBuffer::new(Buffer::from_vec(bytes), 0, rows))
}

fn validity(bytes: Option<Vec<u8>>, rows: usize) -> Checked<Option<NullBuffer>> {
    Ok(bytes.map(|bytes| bitmap(bytes, rows, "validity")).transpose()?.map(NullBuffer::new))
}

/// Offsets that begin at 0, never fall, and end within `length`.
fn offsets(offsets: Vec<i32>, rows: usize, length: usize) -> Checked<OffsetBuffer<i32>> {
    // No row at all may come without any offset.
    let offsets = if offsets.is_empty() && rows == 0 { vec![0] } else { offsets };
    if rows.checked_add(1) != Some(offsets.len()) {
        return bad(format!("{} offsets for {rows} rows", offsets.len()));
    }
    if offsets.first() != Some(&0) || !offsets.is_sorted() {
        return bad("offsets that do not begin at 0, or that fall");
    }
    if offsets.last().is_none_or(|last| usize::try_from(*last).is_err() || *last as usize > length) {
        return bad(format!("offsets that go beyond the {length} there are"));
    }
    Ok(OffsetBuffer::new(ScalarBuffer::from(offsets)))
}

fn strings(text: columns::TextResult, rows: usize, nulls: Option<NullBuffer>) -> Checked<StringArray> {
    let offsets = offsets(text.offsets, rows, text.bytes.len())?;
    StringArray::try_new(offsets, Buffer::from_vec(text.bytes), nulls).map_err(|error| Bad(error.to_string()))
}

fn text_column(column: columns::TextColumn, rows: usize) -> Checked<StringArray> {
    let nulls = validity(column.validity, rows)?;
    strings(column.text, rows, nulls)
}

/// That dates and times stand in years 1 to 9999; what a null hides does not matter.
fn in_range<T: Copy + Into<i64>>(values: &[T], unit: i64, nulls: Option<&NullBuffer>) -> Checked<()> {
    let within = DAYS.start * unit..DAYS.end * unit;
    let is_wrong =
        |(row, value): (usize, &T)| !within.contains(&(*value).into()) && nulls.is_none_or(|nulls| nulls.is_valid(row));
    if values.iter().enumerate().any(is_wrong) { bad("a date outside years 1 to 9999") } else { Ok(()) }
}

fn dates(days: Vec<i32>, rows: usize, what: &str) -> Checked<Date32Array> {
    same_length(days.len(), rows, what)?;
    in_range(&days, 1, None)?;
    Ok(Date32Array::new(days.into(), None))
}

/// A column of values of the type that was announced.
fn values(column: columns::Column, value_type: ValueType, rows: usize) -> Checked<ArrayRef> {
    use columns::Values;
    let nulls = validity(column.validity, rows)?;
    Ok(match (column.values, value_type) {
        (Values::Text(text), ValueType::Text) => Arc::new(strings(text, rows, nulls)?),
        (Values::Integer(values), ValueType::Integer) | (Values::Decimal(values), ValueType::Decimal(_)) => {
            same_length(values.len(), rows, "values")?;
            Arc::new(Int64Array::new(values.into(), nulls))
        }
        (Values::Float(values), ValueType::Float) => {
            same_length(values.len(), rows, "values")?;
            Arc::new(Float64Array::new(values.into(), nulls))
        }
        (Values::Boolean(bits), ValueType::Boolean) => {
            Arc::new(BooleanArray::new(bitmap(bits, rows, "values")?, nulls))
        }
        (Values::Date(values), ValueType::Date) => {
            same_length(values.len(), rows, "values")?;
            in_range(&values, 1, nulls.as_ref())?;
            Arc::new(Date32Array::new(values.into(), nulls))
        }
        (Values::Timestamp(values), ValueType::Timestamp) => {
            same_length(values.len(), rows, "values")?;
            in_range(&values, DAY, nulls.as_ref())?;
            Arc::new(TimestampMicrosecondArray::new(values.into(), nulls).with_timezone("UTC"))
        }
        (Values::TextList(list), ValueType::TextList) => {
            let count = list.items.offsets.len().saturating_sub(1);
            let items: ArrayRef = Arc::new(strings(list.items, count, None)?);
            let offsets = offsets(list.offsets, rows, items.len())?;
            let item = Arc::new(Field::new_list_field(DataType::Utf8, false));
            Arc::new(ListArray::try_new(item, offsets, items, nulls).map_err(|error| Bad(error.to_string()))?)
        }
        (values, value_type) => {
            return bad(format!("{} values where {value_type:?} was announced", case(&values)));
        }
    })
}

/// The name of a case, as the contract has it.
fn case(values: &columns::Values) -> &'static str {
    use columns::Values;
    match values {
        Values::Text(_) => "text",
        Values::Integer(_) => "integer",
        Values::Float(_) => "float",
        Values::Decimal(_) => "decimal",
        Values::Boolean(_) => "boolean",
        Values::Date(_) => "date",
        Values::Timestamp(_) => "timestamp",
        Values::TextList(_) => "text-list",
    }
}

fn value_type(value_type: columns::ValueType) -> Checked<ValueType> {
    use columns::ValueType as Raw;
    Ok(match value_type {
        Raw::Text => ValueType::Text,
        Raw::Integer => ValueType::Integer,
        Raw::Float => ValueType::Float,
        Raw::Decimal(scale @ 0..=18) => ValueType::Decimal(scale),
        Raw::Decimal(scale) => return bad(format!("a decimal with scale {scale}: 18 is the most")),
        Raw::Boolean => ValueType::Boolean,
        Raw::Date => ValueType::Date,
        Raw::Timestamp => ValueType::Timestamp,
        Raw::TextList => ValueType::TextList,
    })
}

/// The wanted columns of a layout.
fn wanted(wanted: Vec<u32>, columns: usize) -> Checked<Vec<u32>> {
    if wanted.len() > WANTED {
        return bad(format!("{} wanted columns: {WANTED} is the most", wanted.len()));
    }
    match wanted.iter().find(|index| **index as usize >= columns) {
        Some(index) => bad(format!("column {index} is wanted of a header of {columns}")),
        None => Ok(wanted),
    }
}

/// The strategies of a layout.
fn identifiers(raw: Vec<types::Identifier>) -> Checked<Vec<Identifier>> {
    if raw.is_empty() || raw.len() > IDENTIFIERS || raw.iter().any(|keys| keys.is_empty() || keys.len() > IDENTIFIERS) {
        return bad(format!("a layout has 1 to {IDENTIFIERS} identifiers of 1 to {IDENTIFIERS} keys"));
    }
    let key = |raw| {
        Ok(match raw {
            types::MatchKey::CrmId => MatchKey::CrmId,
            types::MatchKey::Domain => MatchKey::Domain,
            types::MatchKey::Name => MatchKey::Name,
            types::MatchKey::Id => MatchKey::Id,
            types::MatchKey::Field(field) => MatchKey::Field(name(field, "match key")?),
        })
    };
    raw.into_iter().map(|keys| keys.into_iter().map(key).collect()).collect()
}

/// One column for each key of each strategy.
fn identifier_columns(
    raw: Vec<columns::TextColumn>,
    identifiers: &[Identifier],
    rows: usize,
) -> Checked<Vec<StringArray>> {
    let keys: usize = identifiers.iter().map(Vec::len).sum();
    if raw.len() != keys {
        return bad(format!("{} identifier columns where the layout has {keys} keys", raw.len()));
    }
    let column = |(index, raw)| text_column(raw, rows).map_err(|bad| bad.of(format_args!("identifier column {index}")));
    raw.into_iter().enumerate().map(column).collect()
}

fn issues(raw: types::Issues, scope: &Scope) -> Checked<Issues> {
    let checked = || {
        let count = raw.rows.len();
        let most = scope.rows.len().saturating_mul(ISSUES_PER_ROW);
        if count > most {
            return bad(format!("{count} issues: {ISSUES_PER_ROW} a row are the most"));
        }
        rows(&raw.rows, scope)?;
        same_length(raw.columns.len(), count, "columns")?;
        let is_column =
            |column: &i32| *column == -1 || usize::try_from(*column).is_ok_and(|index| index < scope.columns);
        if let Some(column) = raw.columns.iter().find(|column| !is_column(column)) {
            return bad(format!("column {column} of a header of {}", scope.columns));
        }
        let codes = strings(raw.codes, count, None).map_err(|bad| bad.of("codes"))?;
        if let Some(code) = codes.iter().flatten().find(|code| !is_well_formed(code)) {
            return bad(format!("the code `{}`", escaped(code, CODE)));
        }
        let messages = strings(raw.messages, count, None).map_err(|bad| bad.of("messages"))?;
        let rejects = bitmap(raw.rejects, count, "rejects")?;
        Ok(Issues { rows: raw.rows, columns: raw.columns, rejects, codes, messages: presentable(messages) })
    };
    checked().map_err(|bad| bad.of("issues"))
}

fn is_well_formed(code: &str) -> bool {
    !code.is_empty() && code.len() <= CODE && code.chars().all(is_code)
}

/// Messages as they may stand in a reject file; made anew only if one of them may not.
fn presentable(messages: StringArray) -> StringArray {
    if messages.iter().flatten().all(|message| matches!(escaped(message, MESSAGE), std::borrow::Cow::Borrowed(_))) {
        return messages;
    }
    StringArray::from_iter_values(messages.iter().flatten().map(|message| escaped(message, MESSAGE)))
}

/// The first name that stands twice.
fn doubled<'a>(names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let mut seen = HashSet::new();
    names.into_iter().find(|name| !seen.insert(*name))
}

#[cfg(test)]
mod tests;
