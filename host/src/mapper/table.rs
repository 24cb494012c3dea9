//! The open table of a transform: its layout, and how far its rows have come.

use super::Limits;
use super::error::MapperError;
use super::input::Input;
use super::instance::InputSize;
use super::output::Scope;
use crate::batch::Batch;

/// An open table with the layout `L`.
pub(super) struct Table<L> {
    pub(super) layout: L,
    columns: usize,
    /// The row after the last one mapped.
    end_row: u32,
    /// Bytes mapped so far.
    bytes: usize,
}

impl<L> Table<L> {
    /// A table whose header has `columns` names.
    pub(super) fn new(layout: L, columns: usize) -> Self {
        Self { layout, columns, end_row: 0, bytes: 0 }
    }

    /// Counts a batch and returns what its results may name.
    pub(super) fn advance(&mut self, batch: &Batch, input: &Input<'_>) -> Result<Scope, MapperError> {
        if batch.first_row < self.end_row {
            return Err(MapperError::Input { what: "batches come in row order" });
        }
        self.end_row = input.end_row();
        self.bytes = self.bytes.saturating_add(input.size().bytes);
        Ok(Scope { rows: batch.first_row..self.end_row, columns: self.columns })
    }

    /// What the results of the table's end may name: every row there was.
    pub(super) fn scope(&self) -> Scope {
        Scope { rows: 0..self.end_row, columns: self.columns }
    }

    /// How much input the mapper can have held back: all of it, as far as its memory reaches (I6).
    pub(super) fn held_back(&self, limits: &Limits) -> InputSize {
        let rows = (self.end_row as usize).saturating_mul(256);
        InputSize { bytes: self.bytes.saturating_add(rows).min(limits.memory / 4), rows: 0 }
    }
}

/// The input of a call that gets settings and a header.
pub(super) fn size_of_opening(header: &[String], settings: &str) -> InputSize {
    InputSize { bytes: header.iter().map(String::len).sum::<usize>().saturating_add(settings.len()), rows: 0 }
}
