//! A batch as the guest gets it: the wanted columns, borrowed from Arrow's buffers wherever those begin where the
//! contract wants them to.

use std::borrow::Cow;

use arrow_array::Array;
use arrow_buffer::BooleanBuffer;

use super::bindings::{columns, types};
use super::error::MapperError;
use super::instance::InputSize;
use crate::batch::{Batch, Cells};

/// The object that a table belongs to, as a mapper may know it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Source {
    /// The integration that took the object.
    pub integration: String,
    /// The connection it came over.
    pub connection: String,
    /// Its bucket.
    pub bucket: String,
    /// Its key.
    pub key: String,
    /// Its ETag.
    pub etag: String,
    /// Bytes.
    pub size: u64,
    /// Microseconds since 1970-01-01T00:00:00Z.
    pub last_modified: i64,
    /// The sheet's name, where the object is a workbook.
    pub sheet: Option<String>,
    /// The integration's time zone, an IANA name.
    pub timezone: String,
    /// The object's last-modified date in that time zone, in days since 1970-01-01 (R8).
    pub today: i32,
}

impl Source {
    pub(super) fn lower(&self) -> types::Source<'_> {
        types::Source {
            integration: &self.integration,
            connection: &self.connection,
            bucket: &self.bucket,
            key: &self.key,
            etag: &self.etag,
            size: self.size,
            last_modified: self.last_modified,
            sheet: self.sheet.as_deref(),
            timezone: &self.timezone,
            today: self.today,
        }
    }
}

/// One column on its way in.
struct Column<'a> {
    offsets: Cow<'a, [i32]>,
    bytes: &'a [u8],
    typed: Option<Cow<'a, [u8]>>,
}

/// The wanted columns of a batch.
pub(super) struct Input<'a> {
    first_row: u32,
    rows: u32,
    columns: Vec<Column<'a>>,
}

impl<'a> Input<'a> {
    /// Takes the wanted columns out of a batch.
    pub(super) fn new(batch: &'a Batch, wanted: &[u32]) -> Result<Self, MapperError> {
        let wrong = |what| MapperError::Input { what };
        let rows = u32::try_from(batch.rows()).map_err(|_| wrong("a batch has too many rows"))?;
        batch.first_row.checked_add(rows).ok_or(wrong("a table has too many rows"))?;
        let column = |index: &u32| {
            let cells = batch.columns.get(*index as usize).and_then(Option::as_ref);
            let cells = cells.ok_or(wrong("a column that it wants was not decoded"))?;
            if cells.text.len() != batch.rows() || cells.typed.as_ref().is_some_and(|bits| bits.len() != batch.rows()) {
                return Err(wrong("a column has another length than its batch"));
            }
            Ok(lower(cells))
        };
        let columns = wanted.iter().map(column).collect::<Result<_, _>>()?;
        Ok(Self { first_row: batch.first_row, rows, columns })
    }

    /// The row after the last.
    pub(super) fn end_row(&self) -> u32 {
        self.first_row.saturating_add(self.rows)
    }

    /// How large it is.
    pub(super) fn size(&self) -> InputSize {
        let bytes = |column: &Column<'_>| {
            column.bytes.len() + size_of_val(&*column.offsets) + column.typed.as_ref().map_or(0, |bits| bits.len())
        };
        InputSize { bytes: self.columns.iter().map(bytes).sum(), rows: self.rows as usize }
    }

    /// The columns as the contract has them.
    pub(super) fn cells(&self) -> Vec<columns::Cells<'_>> {
        self.columns
            .iter()
            .map(|column| columns::Cells {
                text: columns::TextParam { offsets: &column.offsets, bytes: column.bytes },
                typed: column.typed.as_deref(),
            })
            .collect()
    }

    /// The whole batch, with the columns of [`Self::cells`].
    pub(super) fn lower<'c>(&self, columns: &'c [columns::Cells<'c>]) -> types::Batch<'c> {
        types::Batch { first_row: self.first_row, rows: self.rows, columns }
    }
}

/// Borrows a column's buffers; only a slice that does not begin at its buffer's start needs new offsets.
fn lower(cells: &Cells) -> Column<'_> {
    let offsets = cells.text.value_offsets();
    let (first, last) = (offsets.first().copied().unwrap_or(0), offsets.last().copied().unwrap_or(0));
    let bytes = cells.text.value_data().get(first as usize..last as usize).unwrap_or(&[]);
    let offsets = match first {
        0 => Cow::Borrowed(offsets),
        _ => Cow::Owned(offsets.iter().map(|offset| offset - first).collect()),
    };
    Column { offsets, bytes, typed: cells.typed.as_ref().map(bitmap) }
}

/// The bytes of a bitmap whose first bit is the first of a byte.
fn bitmap(bits: &BooleanBuffer) -> Cow<'_, [u8]> {
    let (start, length) = (bits.offset() / 8, bits.len().div_ceil(8));
    let aligned = bits.inner().as_slice().get(start..start + length).filter(|_| bits.offset().is_multiple_of(8));
    aligned.map_or_else(|| Cow::Owned(bits.sliced().as_slice().to_vec()), Cow::Borrowed)
}

#[cfg(test)]
mod tests {
    use arrow_array::StringArray;

    use super::*;

    #[test]
    fn a_sliced_column_begins_at_zero() {
        let whole = StringArray::from(vec!["skipped", "a", "", "bcd"]);
        let typed = BooleanBuffer::from(vec![true, false, true, true]);
        let cells = Cells { text: whole.slice(1, 3), typed: Some(typed.slice(1, 3)) };
        let column = lower(&cells);
        assert_eq!((&*column.offsets, column.bytes), (&[0, 1, 1, 4][..], &b"abcd"[..]));
        assert_eq!(column.typed.as_deref().map(|bits| bits[0] & 0b111), Some(0b110));
    }

    #[test]
    fn a_whole_column_is_borrowed() {
        let cells = Cells { text: StringArray::from(vec!["a", "b"]), typed: Some(BooleanBuffer::new_set(2)) };
        let column = lower(&cells);
        assert!(matches!(column.offsets, Cow::Borrowed(_)) && matches!(column.typed, Some(Cow::Borrowed(_))));
    }

    #[test]
    fn a_batch_that_lacks_a_wanted_column_is_refused() {
        let text = StringArray::from(vec!["a"]);
        let columns = vec![None, Some(Cells { text, typed: None })];
        let batch = Batch { first_row: 0, lines: vec![2], columns, issues: crate::batch::Issues::none() };
        assert_eq!(Input::new(&batch, &[1]).map(|input| input.size().rows).unwrap(), 1);
        assert_eq!(Input::new(&batch, &[0]).err().unwrap().code(), "mapper-input");
        assert_eq!(Input::new(&batch, &[7]).err().unwrap().code(), "mapper-input");
    }
}
