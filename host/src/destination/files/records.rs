//! Batches as lines of JSON.
//!
//! Everything that is the same in each line of a table, names above all, is made once; a line is then a few copies into
//! one buffer.

use std::path::Path;

use arrow_array::{Array, StringArray};
use arrow_buffer::BooleanBuffer;

use super::failed;
use super::json::{Column, Texts, write_integer, write_iso, write_text};
use super::lines::Lines;
use crate::append::Piece;
use crate::batch::{
    AccountBatch, AccountLayout, Identifier, MatchKey, Series, UsageBatch, UsageLayout, UserKey, ValueType,
};
use crate::destination::iso::Iso;
use crate::destination::{DestinationError, MendedRow};

/// `"name":`
fn name(name: &str) -> Piece {
    let mut text = Vec::new();
    write_text(name.as_bytes(), &mut text);
    text.push(b':');
    Piece::new(text)
}

/// `{"table":0,"row":`, the start of every record, from which late rejects find it again.
fn start(table: u32) -> Piece {
    Piece::new(format!("{{\"table\":{table},\"row\":").into_bytes())
}

/// `{"table":0,"row":0,"origin":"…"}` for each row that was mended.
pub(super) fn write_mended(table: u32, rows: &[MendedRow<'_>], lines: &mut Lines) -> Result<(), DestinationError> {
    let start = start(table);
    for mended in rows {
        let out = &mut lines.buffer;
        start.append_to(out);
        write_integer(i64::from(mended.row), out);
        out.extend_from_slice(b",\"origin\":");
        write_text(mended.origin.as_bytes(), out);
        lines.end_record()?;
    }
    Ok(())
}

fn piece(text: &str) -> Piece {
    Piece::new(text.as_bytes().to_vec())
}

pub(super) fn is_rejected(rejected: &[u32], row: u32) -> bool {
    !rejected.is_empty() && rejected.binary_search(&row).is_ok()
}

/// The names of identifiers, strategy by strategy.
#[derive(Debug)]
struct IdentifierNames {
    start: Piece,
    strategies: Vec<Vec<Piece>>,
}

impl IdentifierNames {
    fn of(identifiers: &[Identifier]) -> Self {
        let key = |key: &MatchKey| match key {
            MatchKey::CrmId => name("crm_id"),
            MatchKey::Domain => name("domain"),
            MatchKey::Name => name("name"),
            MatchKey::Id => name("id"),
            MatchKey::Field(field) => name(&format!("field:{field}")),
        };
        let strategies = identifiers.iter().map(|strategy| strategy.iter().map(key).collect()).collect();
        Self { start: piece(",\"account\":["), strategies }
    }

    /// `,"account":[{…},…]`: a strategy of which a part is blank says nothing and is left out.
    fn write(&self, columns: &[IdentifierColumn<'_>], row: usize, out: &mut Vec<u8>) {
        self.start.append_to(out);
        let mut columns = columns;
        let mut is_first = true;
        for names in &self.strategies {
            let Some((these, others)) = columns.split_at_checked(names.len()) else {
                break;
            };
            columns = others;
            if these.iter().any(|column| column.is_blank(row)) {
                continue;
            }
            if !std::mem::take(&mut is_first) {
                out.push(b',');
            }
            out.push(b'{');
            for (place, (name, column)) in names.iter().zip(these).enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                name.append_to(out);
                column.texts.write(row, out);
            }
            out.push(b'}');
        }
        out.push(b']');
    }
}

struct IdentifierColumn<'a> {
    array: &'a StringArray,
    texts: Texts<'a>,
}

impl<'a> IdentifierColumn<'a> {
    fn of(array: &'a StringArray) -> Self {
        Self { array, texts: Texts::of(array) }
    }

    fn is_blank(&self, row: usize) -> bool {
        self.array.is_null(row) || self.texts.is_empty(row)
    }
}

/// Writes the account records of one table.
#[derive(Debug)]
pub(super) struct AccountRecords {
    start: Piece,
    identifiers: IdentifierNames,
    fields_start: Piece,
    fields: Vec<(Piece, ValueType)>,
}

impl AccountRecords {
    pub fn of(table: u32, layout: &AccountLayout) -> Self {
        let fields = layout.fields.iter().map(|field| (name(&field.name), field.value_type)).collect();
        Self {
            start: start(table),
            identifiers: IdentifierNames::of(&layout.identifiers),
            fields_start: piece(",\"fields\":{"),
            fields,
        }
    }

    /// `{"table":0,"row":0,"account":[…],"fields":{…}}` for each record. A field that is to be erased is null, one that
    /// is to be kept is not there.
    pub fn write(&self, batch: &AccountBatch, rejected: &[u32], lines: &mut Lines) -> Result<(), DestinationError> {
        let identifiers: Vec<_> = batch.identifiers.iter().map(IdentifierColumn::of).collect();
        let mut fields = Vec::with_capacity(self.fields.len());
        for ((name, value_type), field) in self.fields.iter().zip(&batch.fields) {
            let column = Column::of(&field.values, *value_type).ok_or_else(|| mistyped(name, lines.path()))?;
            fields.push((name, column, field.clear.as_ref()));
        }
        for (place, row) in batch.rows.iter().enumerate() {
            if is_rejected(rejected, *row) {
                continue;
            }
            let out = &mut lines.buffer;
            self.start.append_to(out);
            write_integer(i64::from(*row), out);
            self.identifiers.write(&identifiers, place, out);
            self.fields_start.append_to(out);
            write_fields(&fields, place, out);
            out.push(b'}');
            lines.end_record()?;
        }
        Ok(())
    }
}

fn write_fields(fields: &[(&Piece, Column<'_>, Option<&BooleanBuffer>)], row: usize, out: &mut Vec<u8>) {
    let mut is_first = true;
    for (name, column, clear) in fields {
        let is_null = column.is_null(row);
        if is_null && !clear.is_some_and(|clear| clear.value(row)) {
            continue;
        }
        if !std::mem::take(&mut is_first) {
            out.push(b',');
        }
        name.append_to(out);
        if is_null {
            out.extend_from_slice(b"null");
        } else {
            column.write(row, out);
        }
    }
}

fn mistyped(name: &Piece, path: &Path) -> DestinationError {
    let name = String::from_utf8_lossy(name.as_bytes());
    let message = format!("the values of {name} are not of their announced type");
    failed("write", path)(std::io::Error::new(std::io::ErrorKind::InvalidData, message))
}

/// Writes the usage records of one table.
#[derive(Debug)]
pub(super) struct UsageRecords {
    start: Piece,
    identifiers: IdentifierNames,
    user: Option<&'static [u8]>,
    series: Vec<SeriesText>,
    /// The parts that all values of an entry share, one after the other.
    heads: Vec<u8>,
    /// Where each of them ends.
    head_ends: Vec<usize>,
}

#[derive(Debug)]
struct SeriesText {
    value_type: ValueType,
    before: Piece,
    after: Piece,
}

impl UsageRecords {
    pub fn of(table: u32, layout: &UsageLayout) -> Self {
        let user = layout.user.map(|key| match key {
            UserKey::Id => b",\"user\":{\"id\":".as_slice(),
            UserKey::Email => b",\"user\":{\"email\":".as_slice(),
            UserKey::Name => b",\"user\":{\"name\":".as_slice(),
        });
        Self {
            start: start(table),
            identifiers: IdentifierNames::of(&layout.identifiers),
            user,
            series: Vec::new(),
            heads: Vec::new(),
            head_ends: Vec::new(),
        }
    }

    /// One record for each value, as the file has them: values of one account and period are not aggregated here.
    pub fn write(&mut self, batch: &UsageBatch, rejected: &[u32], lines: &mut Lines) -> Result<(), DestinationError> {
        for series in &batch.announced {
            self.series.push(series_text(series, lines.path())?);
        }
        self.write_heads(batch);
        for block in &batch.blocks {
            // All series of a block have its type.
            let Some(first) = block.series_of.first() else { continue };
            let value_type = self.series_at(*first, lines.path())?.value_type;
            let column = Column::of(&block.values, value_type)
                .ok_or_else(|| mistyped(&self.series[*first as usize].before, lines.path()))?;
            for (place, (entry, series)) in block.entry_of.iter().zip(&block.series_of).enumerate() {
                let entry = *entry as usize;
                if column.is_null(place) || batch.rows.get(entry).is_some_and(|row| is_rejected(rejected, *row)) {
                    continue;
                }
                let series = self.series_at(*series, lines.path())?;
                let head = head(&self.heads, &self.head_ends, entry);
                let out = &mut lines.buffer;
                out.extend_from_slice(head);
                series.before.append_to(out);
                column.write(place, out);
                series.after.append_to(out);
                lines.end_record()?;
            }
        }
        Ok(())
    }

    fn series_at(&self, number: u32, path: &Path) -> Result<&SeriesText, DestinationError> {
        self.series.get(number as usize).ok_or_else(|| mistyped(&piece("a series"), path))
    }

    /// `{"table":0,"row":0,"account":[…],"user":{…},"period_start":"…","date":"…"` for each entry.
    fn write_heads(&mut self, batch: &UsageBatch) {
        self.heads.clear();
        self.head_ends.clear();
        let identifiers: Vec<_> = batch.identifiers.iter().map(IdentifierColumn::of).collect();
        let user = self.user.zip(batch.user.as_ref().map(IdentifierColumn::of));
        let date = |dates: &arrow_array::Date32Array, entry: usize, name: &[u8], out: &mut Vec<u8>| {
            if dates.is_valid(entry) {
                out.extend_from_slice(name);
                write_iso(Iso::date(dates.value(entry)), out);
            }
        };
        for (entry, row) in batch.rows.iter().enumerate() {
            self.start.append_to(&mut self.heads);
            write_integer(i64::from(*row), &mut self.heads);
            self.identifiers.write(&identifiers, entry, &mut self.heads);
            if let Some((name, column)) = user.as_ref().filter(|(_, column)| !column.is_blank(entry)) {
                self.heads.extend_from_slice(name);
                column.texts.write(entry, &mut self.heads);
                self.heads.push(b'}');
            }
            date(&batch.period_starts, entry, b",\"period_start\":", &mut self.heads);
            date(&batch.dates, entry, b",\"date\":", &mut self.heads);
            self.head_ends.push(self.heads.len());
        }
    }
}

fn head<'a>(heads: &'a [u8], ends: &[usize], entry: usize) -> &'a [u8] {
    let start = entry.checked_sub(1).and_then(|before| ends.get(before)).copied().unwrap_or(0);
    let end = ends.get(entry).copied().unwrap_or(start);
    heads.get(start..end).unwrap_or_default()
}

fn series_text(series: &Series, path: &Path) -> Result<SeriesText, DestinationError> {
    let json =
        |value: &dyn Fn() -> serde_json::Result<Vec<u8>>| value().map_err(|error| failed("write", path)(error.into()));
    let mut before = b",\"product\":".to_vec();
    write_text(series.product.as_bytes(), &mut before);
    before.extend_from_slice(b",\"metric\":");
    write_text(series.metric.as_bytes(), &mut before);
    before.extend_from_slice(b",\"period\":");
    before.extend(json(&|| serde_json::to_vec(&series.period))?);
    before.extend_from_slice(b",\"value\":");
    let mut after = Vec::new();
    if let Some(unit) = &series.unit {
        after.extend_from_slice(b",\"unit\":");
        write_text(unit.as_bytes(), &mut after);
    }
    after.extend_from_slice(b",\"aggregate\":");
    after.extend(json(&|| serde_json::to_vec(&series.aggregate))?);
    after.extend_from_slice(b",\"repeat\":");
    after.extend(json(&|| serde_json::to_vec(&series.repeat))?);
    Ok(SeriesText { value_type: series.value_type, before: Piece::new(before), after: Piece::new(after) })
}
