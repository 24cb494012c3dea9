//! Workbooks, decoded in a worker process.
//!
//! The parent half: it hands the file to the worker and reads back frames (see `frame`). It opens nothing itself, so
//! that its memory does not depend on what the file is.

use std::fs::File;
use std::io::Seek;
use std::time::Duration;

use arrow_array::{Array, StringArray};
use arrow_buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use serde::{Deserialize, Serialize};

use super::columns::issues;
use super::text::read_fully;
use super::{Caps, DecodeError, Dialect, Format, Sheet, WorkbookOptions, sniff};
use crate::batch::{Batch, Cells, TableHead};
use crate::worker::{Launcher, Limits, Running, Task};

mod cell;
mod child;
mod frame;
mod sheet;

pub(crate) use child::decode_child;
use frame::{Frame, SentBatch};

/// What the worker is asked.
#[derive(Debug, Serialize, Deserialize)]
struct Request {
    format: Format,
    options: WorkbookOptions,
    caps: Caps,
}

/// A workbook on its way to batches.
#[derive(Debug)]
pub(super) struct Workbook {
    running: Running,
    sheets: Vec<Sheet>,
    /// How many columns the open table has; none where no table is open.
    columns: Option<usize>,
    /// By header index; none for all.
    wanted: Option<Vec<bool>>,
    /// The head of the next table, read while the last rows of this one were looked for.
    next: Option<TableHead>,
    rows: u32,
}

impl Workbook {
    pub(super) fn open(
        mut file: File,
        format: Format,
        options: &WorkbookOptions,
        caps: Caps,
        launcher: &Launcher,
    ) -> Result<Self, DecodeError> {
        let mut start = [0; 512];
        let read = read_fully(&mut file, &mut start)?;
        file.rewind()?;
        let start = &start[..read];
        if !may_be_workbook(format, start) {
            let found = sniff::recognise(start).or_else(|| sniff::recognise_text(start));
            return Err(sniff::not_what_it_says(format, found.unwrap_or("no workbook")).into());
        }
        let size = file.metadata()?.len();
        let request = Request { format, options: options.clone(), caps };
        let running =
            launcher.start(Task::Decode, &request, Some(file), limits(&caps, size)).map_err(DecodeError::Worker)?;
        let mut workbook = Self { running, sheets: Vec::new(), columns: None, wanted: None, next: None, rows: 0 };
        match workbook.frame()? {
            Some(Frame::Sheets(sheets)) => workbook.sheets = sheets,
            _ => return Err(DecodeError::Answer("it does not begin with the sheets".into())),
        }
        Ok(workbook)
    }

    pub(super) fn dialect(&self) -> Dialect {
        Dialect::Workbook { sheets: self.sheets.clone() }
    }

    pub(super) fn next_table(&mut self) -> Result<Option<TableHead>, DecodeError> {
        while self.next.is_none() {
            match self.frame()? {
                Some(Frame::Table(head)) => self.next = Some(head),
                Some(Frame::Batch(_)) => {}
                Some(Frame::Sheets(_)) => return Err(out_of_place()),
                None => break,
            }
        }
        let head = self.next.take();
        self.columns = head.as_ref().map(|head| head.header.len());
        self.wanted = None;
        self.rows = 0;
        Ok(head)
    }

    pub(super) fn want(&mut self, columns: &[u32]) {
        let mut wanted = vec![false; self.columns.unwrap_or(0)];
        for column in columns {
            if let Some(wanted) = wanted.get_mut(*column as usize) {
                *wanted = true;
            }
        }
        self.wanted = Some(wanted);
    }

    pub(super) fn next_batch(&mut self) -> Result<Option<Batch>, DecodeError> {
        let Some(columns) = self.columns else { return Ok(None) };
        match self.frame()? {
            Some(Frame::Batch(sent)) => self.batch(sent, columns).map(Some),
            Some(Frame::Table(head)) => {
                self.next = Some(head);
                self.columns = None;
                Ok(None)
            }
            Some(Frame::Sheets(_)) => Err(out_of_place()),
            None => {
                self.columns = None;
                Ok(None)
            }
        }
    }

    /// A batch as it came, with the blank columns that were not sent.
    fn batch(&mut self, sent: SentBatch, columns: usize) -> Result<Batch, DecodeError> {
        let rows = sent.lines.len();
        let first_row = self.rows;
        let next_row =
            u32::try_from(rows).ok().and_then(|rows| first_row.checked_add(rows)).ok_or_else(out_of_place)?;
        self.rows = next_row;
        let is_wanted = |index: usize| self.wanted.as_ref().is_none_or(|wanted| wanted.get(index) == Some(&true));
        let blank = blank_column(rows)?;
        let mut decoded: Vec<Option<Cells>> =
            (0..columns).map(|index| is_wanted(index).then(|| Cells { text: blank.clone(), typed: None })).collect();
        for (index, cells) in sent.columns {
            let Some(place) = decoded.get_mut(index) else {
                return Err(out_of_place());
            };
            if cells.text.len() != rows || cells.typed.as_ref().is_some_and(|typed| typed.len() != rows) {
                return Err(out_of_place());
            }
            if place.is_some() {
                *place = Some(cells);
            }
        }
        let inside = |issue: &super::columns::RowIssue| {
            (first_row..next_row).contains(&issue.row) && (-1..columns as i64).contains(&issue.column.into())
        };
        if !sent.issues.iter().all(inside) {
            return Err(out_of_place());
        }
        let mut sent_issues = sent.issues;
        // What is in a column that nobody reads is no reason to refuse a row.
        sent_issues.retain(|issue| usize::try_from(issue.column).map_or(true, is_wanted));
        Ok(Batch { first_row, lines: sent.lines, columns: decoded, issues: issues(&sent_issues) })
    }

    fn frame(&mut self) -> Result<Option<Frame>, DecodeError> {
        frame::receive(&mut self.running)
    }
}

fn out_of_place() -> DecodeError {
    DecodeError::Answer("a frame is out of place".into())
}

/// A column of blank cells; every one of a batch shares its buffers.
fn blank_column(rows: usize) -> Result<StringArray, DecodeError> {
    let offsets = OffsetBuffer::new(ScalarBuffer::from(vec![0i32; rows + 1]));
    StringArray::try_new(offsets, Buffer::from_vec(Vec::<u8>::new()), None)
        .map_err(|error| DecodeError::Answer(error.to_string()))
}

/// What the worker may take for a file of this size.
fn limits(caps: &Caps, size: u64) -> Limits {
    let mebibytes = u32::try_from(size.div_ceil(1 << 20)).unwrap_or(u32::MAX);
    let cpu = caps.worker.cpu.saturating_add(caps.worker.cpu_per_mib.saturating_mul(mebibytes));
    let wall = cpu.saturating_mul(caps.worker.wall_factor.max(1)).max(Duration::from_secs(1));
    Limits { cpu, wall, memory: caps.worker.memory, output: caps.worker.output }
}

/// Whether a file that begins so may be a workbook. An xlsx one in a compound file is encrypted; the worker looks.
fn may_be_workbook(format: Format, start: &[u8]) -> bool {
    match format {
        Format::Xlsx => start.starts_with(sniff::ZIP) || start.starts_with(sniff::COMPOUND),
        Format::Xls | Format::Csv | Format::Ndjson => start.starts_with(sniff::COMPOUND),
    }
}
