//! Cells to Arrow arrays: offsets and bytes, appended in place.

use arrow_array::StringArray;
use arrow_buffer::{BooleanBuffer, Buffer, OffsetBuffer, ScalarBuffer};
use serde::{Deserialize, Serialize};

use super::DecodeError;
use crate::append::append_part;
use crate::batch::Issues;

/// One column of a batch in the making. A blank cell is an empty text.
#[derive(Debug)]
pub(super) struct TextColumn {
    /// Where each cell ends, after a leading 0.
    offsets: Vec<i32>,
    bytes: Vec<u8>,
}

impl TextColumn {
    /// An empty column with room for this many rows and bytes.
    pub(super) fn with_capacity(rows: usize, bytes: usize) -> Self {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        Self { offsets, bytes: Vec::with_capacity(bytes) }
    }

    /// Appends a cell. The caller keeps a batch's bytes far below 2 GiB.
    #[inline]
    pub(super) fn push(&mut self, cell: &[u8]) {
        self.bytes.extend_from_slice(cell);
        self.offsets.push(self.bytes.len() as i32);
    }

    /// Appends a cell that stands within a text.
    #[inline]
    pub(super) fn push_part(&mut self, text: &[u8], start: usize, end: usize) {
        append_part(&mut self.bytes, text, start, end);
        self.offsets.push(self.bytes.len() as i32);
    }

    /// Appends blank cells until there are this many rows.
    pub(super) fn pad(&mut self, rows: usize) {
        self.offsets.resize(rows + 1, self.bytes.len() as i32);
    }

    /// How many bytes of text.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Takes the rows from this one on away, into a column of their own.
    pub(super) fn split_off(&mut self, row: usize) -> Self {
        let cut = self.offsets[row];
        let offsets = self.offsets[row..].iter().map(|offset| offset - cut).collect();
        let bytes = self.bytes.split_off(cut as usize);
        self.offsets.truncate(row + 1);
        Self { offsets, bytes }
    }

    /// The array. Fails only on bytes that are not UTF-8, which the decoder has excluded.
    pub(super) fn finish(self) -> Result<StringArray, DecodeError> {
        let offsets = OffsetBuffer::new(ScalarBuffer::from(self.offsets));
        StringArray::try_new(offsets, Buffer::from_vec(self.bytes), None)
            .map_err(|error| DecodeError::Answer(error.to_string()))
    }
}

/// Something wrong with one row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RowIssue {
    /// Table-wide.
    pub(super) row: u32,
    /// A header index; -1 where no column is to blame.
    pub(super) column: i32,
    /// Whether the row is rejected, or only warned of.
    pub(super) rejects: bool,
    pub(super) code: String,
    pub(super) message: String,
}

/// The same as columns.
pub(super) fn issues(found: &[RowIssue]) -> Issues {
    if found.is_empty() {
        return Issues::none();
    }
    Issues {
        rows: found.iter().map(|issue| issue.row).collect(),
        columns: found.iter().map(|issue| issue.column).collect(),
        rejects: BooleanBuffer::from_iter(found.iter().map(|issue| issue.rejects)),
        codes: StringArray::from_iter_values(found.iter().map(|issue| &issue.code)),
        messages: StringArray::from_iter_values(found.iter().map(|issue| &issue.message)),
    }
}
