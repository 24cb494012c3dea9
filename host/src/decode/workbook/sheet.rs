//! One sheet's cells, in the order they stand in the file, to a table's frames.
//!
//! Only cells that are there cost anything: a column without a cell in a batch is not sent, and rows without cells
//! are skipped, so that one full row and one full column stay as small as they are in the file.

use std::collections::BTreeMap;
use std::io::{self, Write};

use arrow_buffer::BooleanBufferBuilder;

use super::super::columns::{RowIssue, TextColumn};
use super::super::header::{name_columns, number_columns};
use super::super::{BATCH_BYTES, BATCH_ROWS, Caps, DecodeError, ErrorCells, FileFault, Header, WorkbookOptions};
use super::cell::{self, Kind, Value};
use super::frame::{self, SentBatch};
use crate::batch::Cells;

/// Why a sheet gives no more rows.
pub(super) enum Stop {
    /// The file is to blame.
    Fault(FileFault),
    /// The parent cannot be told.
    Io(io::Error),
}

impl From<FileFault> for Stop {
    fn from(fault: FileFault) -> Self {
        Self::Fault(fault)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<DecodeError> for Stop {
    fn from(error: DecodeError) -> Self {
        Self::Io(io::Error::other(error))
    }
}

/// What several sheets of a workbook share.
pub(super) struct Shared<'a> {
    pub(super) to: &'a mut dyn Write,
    pub(super) options: &'a WorkbookOptions,
    pub(super) caps: &'a Caps,
    /// Cells seen in all sheets.
    pub(super) cells: u64,
}

/// A sheet on its way to frames.
pub(super) struct Sheet<'a, 'b> {
    shared: &'a mut Shared<'b>,
    name: String,
    row: Row,
    /// How many columns the table has; none before its head was sent.
    width: Option<usize>,
    /// Rows sent.
    rows: u32,
    lines: Vec<u64>,
    columns: BTreeMap<usize, Column>,
    issues: Vec<RowIssue>,
    bytes: usize,
}

/// The cells of the row at hand.
#[derive(Default)]
struct Row {
    /// From 0.
    number: u32,
    text: Vec<u8>,
    cells: Vec<RowCell>,
}

#[derive(Clone, Copy)]
struct RowCell {
    column: u32,
    start: usize,
    end: usize,
    kind: Kind,
}

struct Column {
    text: TextColumn,
    typed: BooleanBufferBuilder,
}

impl<'a, 'b> Sheet<'a, 'b> {
    pub(super) fn new(name: &str, shared: &'a mut Shared<'b>) -> Self {
        Self {
            shared,
            name: name.to_owned(),
            row: Row::default(),
            width: None,
            rows: 0,
            lines: Vec::new(),
            columns: BTreeMap::new(),
            issues: Vec::new(),
            bytes: 0,
        }
    }

    /// Takes a cell; row and column are counted from 0.
    pub(super) fn cell(&mut self, row: u32, column: u32, value: Value<'_>) -> Result<(), Stop> {
        if row != self.row.number {
            if row < self.row.number {
                return Err(FileFault::RowsOutOfOrder { sheet: self.sheet(), line: u64::from(row) + 1 }.into());
            }
            self.end_row()?;
            self.row.number = row;
        }
        let (line, caps) = (self.line(), self.shared.caps);
        let start = self.row.text.len();
        let kind = cell::write(value, &mut self.row.text);
        let end = self.row.text.len();
        if kind == Kind::Blank {
            return Ok(());
        }
        self.shared.cells += 1;
        if self.shared.cells > caps.workbook_cells {
            return Err(FileFault::TooManyCells { limit: caps.workbook_cells }.into());
        }
        if column >= caps.columns {
            return Err(FileFault::TooManyColumns { sheet: self.sheet(), line, limit: caps.columns }.into());
        }
        if end - start > caps.cell_bytes as usize {
            let (column, limit) = (column + 1, caps.cell_bytes);
            return Err(FileFault::CellTooLarge { sheet: self.sheet(), line, column, limit }.into());
        }
        // The count is capped as well: a row may name one cell again and again.
        if end > caps.row_bytes as usize || self.row.cells.len() > caps.columns as usize {
            return Err(FileFault::RowTooLarge { sheet: self.sheet(), line, limit: caps.row_bytes }.into());
        }
        self.row.cells.push(RowCell { column, start, end, kind });
        Ok(())
    }

    /// Ends the sheet. False where it was blank and nothing was sent.
    pub(super) fn finish(mut self) -> Result<bool, Stop> {
        self.end_row()?;
        self.send_batch()?;
        Ok(self.width.is_some())
    }

    fn sheet(&self) -> Option<String> {
        Some(self.name.clone())
    }

    /// The number of the row at hand, as a spreadsheet shows it.
    fn line(&self) -> u64 {
        u64::from(self.row.number) + 1
    }

    fn end_row(&mut self) -> Result<(), Stop> {
        let mut row = std::mem::take(&mut self.row);
        row.cells.retain(|cell| cell.kind != Kind::Error || self.shared.options.error_cells == ErrorCells::Reject);
        let is_before = self.shared.options.first_row.is_some_and(|first| row.number + 1 < first);
        if !row.cells.is_empty() && !is_before {
            // Nearly always sorted; of two cells in one place the later counts, as in spreadsheet programs.
            row.cells.sort_by_key(|cell| cell.column);
            self.take_row(&row)?;
        }
        row.cells.clear();
        row.text.clear();
        self.row = row;
        Ok(())
    }

    fn take_row(&mut self, row: &Row) -> Result<(), Stop> {
        let Some(width) = self.width else { return self.open(row) };
        let index = self.lines.len();
        let number = self.rows + index as u32;
        if number >= self.shared.caps.rows {
            return Err(FileFault::TooManyRows { sheet: self.sheet(), limit: self.shared.caps.rows }.into());
        }
        let mut is_surplus = false;
        let mut cells = row.cells.iter().peekable();
        while let Some(cell) = cells.next() {
            if cells.peek().is_some_and(|next| next.column == cell.column) {
                continue;
            }
            if cell.column as usize >= width {
                is_surplus = true;
                continue;
            }
            let text = &row.text[cell.start..cell.end];
            let column = self.columns.entry(cell.column as usize).or_insert_with(|| Column {
                text: TextColumn::with_capacity(0, 0),
                typed: BooleanBufferBuilder::new(0),
            });
            column.text.pad(index);
            column.text.push(text);
            column.typed.append_n(index - column.typed.len(), false);
            column.typed.append(matches!(cell.kind, Kind::Typed | Kind::Inexact));
            let mut issue = |rejects, code: &str, message: String| {
                let column = cell.column as i32;
                self.issues.push(RowIssue { row: number, column, rejects, code: code.to_owned(), message });
            };
            match cell.kind {
                Kind::Error => {
                    issue(true, "error_cell", format!("the cell holds the error {}", String::from_utf8_lossy(text)));
                }
                Kind::Inexact => {
                    let message = "a number of more than 15 digits may have lost its last ones; store it as text";
                    issue(false, "inexact_number", message.to_owned());
                }
                Kind::Blank | Kind::Text | Kind::Typed => {}
            }
        }
        if is_surplus {
            let message = format!("there are cells to the right of the table's {width} columns");
            self.issues.push(RowIssue {
                row: number,
                column: -1,
                rejects: false,
                code: "too_many_cells".to_owned(),
                message,
            });
        }
        self.lines.push(u64::from(row.number) + 1);
        self.bytes += row.text.len();
        // What the batch weighs in the worker: text, and four bytes a cell of every column that has one.
        let weight = self.bytes / 2 + self.lines.len() * self.columns.len();
        if self.lines.len() == BATCH_ROWS || self.bytes >= BATCH_BYTES || weight >= BATCH_BYTES {
            self.send_batch()?;
        }
        Ok(())
    }

    /// Opens the table with its first row.
    fn open(&mut self, row: &Row) -> Result<(), Stop> {
        let line = u64::from(row.number) + 1;
        let width = row.cells.last().map_or(0, |cell| cell.column as usize + 1);
        let mut names = vec![""; width];
        for cell in &row.cells {
            let text = std::str::from_utf8(&row.text[cell.start..cell.end]);
            names[cell.column as usize] = text.map_err(io::Error::other)?;
        }
        let first = self.shared.options.first_row;
        let head = match self.shared.options.header {
            Header::Row => {
                if first.is_some_and(|first| row.number + 1 != first) || names.iter().all(|name| name.trim().is_empty())
                {
                    let line = first.map_or(line, u64::from);
                    return Err(FileFault::BlankHeader { sheet: self.sheet(), line }.into());
                }
                if row.text.len() > self.shared.caps.header_bytes as usize {
                    let limit = self.shared.caps.header_bytes;
                    return Err(FileFault::HeaderTooLarge { sheet: self.sheet(), limit }.into());
                }
                name_columns(self.sheet(), names)
            }
            Header::None => number_columns(self.sheet(), width),
        };
        frame::send_table(self.shared.to, &head)?;
        self.width = Some(width);
        match self.shared.options.header {
            Header::Row => Ok(()),
            Header::None => self.take_row(row),
        }
    }

    fn send_batch(&mut self) -> Result<(), Stop> {
        let rows = self.lines.len();
        if rows == 0 {
            return Ok(());
        }
        let mut columns = BTreeMap::new();
        for (index, mut column) in std::mem::take(&mut self.columns) {
            column.text.pad(rows);
            column.typed.append_n(rows - column.typed.len(), false);
            let typed = column.typed.finish();
            let typed = (typed.count_set_bits() > 0).then_some(typed);
            columns.insert(index, Cells { text: column.text.finish()?, typed });
        }
        let (lines, issues) = (std::mem::take(&mut self.lines), std::mem::take(&mut self.issues));
        frame::send_batch(self.shared.to, SentBatch { lines, issues, columns })?;
        self.rows += rows as u32;
        self.bytes = 0;
        Ok(())
    }
}
