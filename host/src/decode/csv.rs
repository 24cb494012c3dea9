//! CSV: records to batches, over `csv-core`.
//!
//! `csv-core` finds cells and undoes quotes; this module keeps lines, blank lines, comments, ragged rows and caps. It
//! feeds `csv-core` one record at a time from where the record begins, so that every row knows its line. Runs of rows in
//! which nothing needs undoing go past it, by way of `plain`.

use std::fs::File;

use csv_core::ReadRecordResult;

use super::columns::{RowIssue, TextColumn, issues};
use super::header::{name_columns, number_columns};
use super::plain::{Marks, PlainRows, Span};
use super::sniff;
use super::text::{Broken, Filled, Text, read_fully};
use super::{BATCH_BYTES, BATCH_ROWS, Caps, CsvOptions, DecodeError, Dialect, FileFault, Format, Header, Ragged};
use crate::batch::{Batch, Cells, TableHead};

/// A CSV file on its way to batches.
#[derive(Debug)]
pub(super) struct Csv {
    text: Text,
    reader: csv_core::Reader,
    options: CsvOptions,
    comment: Option<u8>,
    marks: Marks,
    caps: Caps,
    /// The line that the next byte stands in, from 1.
    line: u64,
    /// The last byte consumed was a carriage return, counted as a line end: a line feed right behind belongs to it.
    after_return: bool,
    record: Record,
    state: State,
    header_line: Option<u64>,
    columns: usize,
    /// Header indices in ascending order, each once.
    wanted: Vec<usize>,
    /// Rows handed out, and rows held back because they may be the footer.
    rows: u32,
    pending: Pending,
    /// The cells of one plain row, kept for its room.
    spans: Vec<Span>,
}

/// How far a file has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the header.
    Closed,
    /// Among the rows.
    Open {
        /// The record at hand is the first row: it stands where a header would.
        with_record: bool,
    },
    /// At the end.
    Done,
}

/// One record, its quotes undone.
#[derive(Debug)]
struct Record {
    /// Where it begins.
    line: u64,
    bytes: Vec<u8>,
    written: usize,
    /// Where each cell ends in `bytes`.
    ends: Vec<usize>,
    cells: usize,
}

impl Record {
    fn cell(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.bytes[start..self.ends[index]]
    }

    /// The place where the cell begins that is being read.
    fn open_cell(&self) -> (u64, u32) {
        let done = self.ends[..self.cells].last().copied().unwrap_or(0);
        (self.line + newlines(&self.bytes[..done]), self.cells as u32 + 1)
    }
}

fn newlines(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

/// Rows that are read but not handed out.
#[derive(Debug, Default)]
struct Pending {
    lines: Vec<u64>,
    columns: Vec<TextColumn>,
    issues: Vec<RowIssue>,
    bytes: usize,
}

impl Csv {
    pub(super) fn open(mut file: File, options: &CsvOptions, caps: Caps) -> Result<Self, DecodeError> {
        use std::io::Seek;
        let mut start = [0; 8];
        let read = read_fully(&mut file, &mut start)?;
        file.rewind()?;
        if let Some(found) = sniff::recognise(&start[..read]) {
            return Err(sniff::not_what_it_says(Format::Csv, found).into());
        }
        let mut text = Text::open(file, options.encoding)?;
        let filled = text.fill()?;
        if let Some(found) = sniff::recognise_text(text.available()) {
            return Err(sniff::not_what_it_says(Format::Csv, found).into());
        }
        let mut csv = Self {
            text,
            reader: reader(options)?,
            options: options.clone(),
            comment: options.comment.map(|comment| ascii("the comment character", comment)).transpose()?,
            marks: marks(options)?,
            caps,
            line: 1,
            after_return: false,
            record: Record { line: 1, bytes: vec![0; 16 * 1024], written: 0, ends: vec![0; 64], cells: 0 },
            state: State::Closed,
            header_line: None,
            columns: 0,
            wanted: Vec::new(),
            rows: 0,
            pending: Pending::default(),
            spans: Vec::new(),
        };
        if let Filled::Broken(broken) = filled
            && csv.text.available().is_empty()
        {
            csv.record.line = 1;
            return Err(csv.broken(broken));
        }
        Ok(csv)
    }

    pub(super) fn dialect(&self) -> Dialect {
        Dialect::Csv {
            encoding: self.text.encoding(),
            byte_order_mark: self.text.byte_order_mark(),
            delimiter: self.options.delimiter,
            header_line: self.header_line,
        }
    }

    pub(super) fn next_table(&mut self) -> Result<Option<TableHead>, DecodeError> {
        if self.state != State::Closed {
            self.state = State::Done;
            return Ok(None);
        }
        for _ in 0..self.options.skip_rows {
            self.skip_line()?;
        }
        if !self.read_record()? {
            return Err(FileFault::NoHeader { sheet: None }.into());
        }
        let head = match self.options.header {
            Header::Row => {
                let head = self.header()?;
                for _ in 0..self.options.skip_after_header {
                    self.read_record()?;
                }
                self.state = State::Open { with_record: false };
                head
            }
            Header::None => {
                self.state = State::Open { with_record: true };
                number_columns(None, self.record.cells)
            }
        };
        self.columns = head.header.len();
        self.wanted = (0..self.columns).collect();
        Ok(Some(head))
    }

    /// The record at hand as a header.
    fn header(&mut self) -> Result<TableHead, DecodeError> {
        let record = &self.record;
        if record.written > self.caps.header_bytes as usize {
            return Err(FileFault::HeaderTooLarge { sheet: None, limit: self.caps.header_bytes }.into());
        }
        let cells: Result<Vec<&str>, _> =
            (0..record.cells).map(|index| std::str::from_utf8(record.cell(index))).collect();
        let cells = cells.map_err(|error| DecodeError::Answer(error.to_string()))?;
        if cells.iter().all(|cell| cell.trim().is_empty()) {
            return Err(FileFault::BlankHeader { sheet: None, line: record.line }.into());
        }
        self.header_line = Some(record.line);
        Ok(name_columns(None, cells))
    }

    pub(super) fn want(&mut self, columns: &[u32]) {
        // Rows held back already were read for the columns wanted then.
        if !self.pending.lines.is_empty() {
            return;
        }
        self.wanted = columns.iter().map(|column| *column as usize).filter(|column| *column < self.columns).collect();
        self.wanted.sort_unstable();
        self.wanted.dedup();
        self.pending.columns.clear();
    }

    pub(super) fn next_batch(&mut self) -> Result<Option<Batch>, DecodeError> {
        let State::Open { mut with_record } = self.state else {
            return Ok(None);
        };
        let footer = self.options.footer_rows as usize;
        if self.pending.columns.is_empty() {
            self.pending.columns = self.wanted.iter().map(|_| TextColumn::with_capacity(0, 0)).collect();
        }
        while self.pending.lines.len() < BATCH_ROWS + footer && self.pending.bytes < BATCH_BYTES {
            if !with_record {
                self.take_plain_rows(BATCH_ROWS + footer)?;
                if self.pending.lines.len() >= BATCH_ROWS + footer || self.pending.bytes >= BATCH_BYTES {
                    break;
                }
                if !self.read_record()? {
                    self.state = State::Done;
                    break;
                }
            }
            with_record = false;
            self.take_row()?;
        }
        if self.state != State::Done {
            self.state = State::Open { with_record: false };
        }
        // The last rows read may turn out to be the footer.
        let rows = self.pending.lines.len().saturating_sub(footer);
        if rows == 0 && self.state == State::Done {
            return Ok(None);
        }
        self.hand_out(rows).map(Some)
    }

    /// Takes rows straight from the text at hand, up to the first that is not plain or whole, is ragged or too large:
    /// that one is read with care. At most until so many rows are pending.
    fn take_plain_rows(&mut self, most: usize) -> Result<(), DecodeError> {
        self.settle_return()?;
        let largest = self.caps.cell_bytes.min(self.caps.row_bytes) as usize;
        let most = most.min(self.caps.rows.saturating_sub(self.rows) as usize);
        let Self { text, pending, spans, .. } = self;
        let text_at_hand = text.available();
        let mut rows = PlainRows::new(text_at_hand, self.marks);
        let mut taken = 0;
        while pending.lines.len() < most && pending.bytes < BATCH_BYTES {
            match text_at_hand.get(taken) {
                None | Some(b'\n' | b'\r') => break,
                first if first == self.comment.as_ref() => break,
                Some(_) => {}
            }
            let Some(row) = rows.next(spans).filter(|row| row.next - taken <= largest) else {
                break;
            };
            if spans.len() != self.columns {
                break;
            }
            for (column, wanted) in pending.columns.iter_mut().zip(&self.wanted) {
                let cell = spans[*wanted];
                column.push_part(text_at_hand, cell.start, cell.end);
            }
            pending.bytes += row.next - taken;
            pending.lines.push(self.line);
            self.line += row.lines;
            taken = row.next;
        }
        text.consume(taken);
        Ok(())
    }

    /// The record at hand becomes a row.
    fn take_row(&mut self) -> Result<(), DecodeError> {
        let row = self.rows as usize + self.pending.lines.len();
        // Rows of the footer count as well, until it is known that they are.
        if row >= self.caps.rows as usize {
            return Err(FileFault::TooManyRows { sheet: None, limit: self.caps.rows }.into());
        }
        let record = &self.record;
        if record.cells != self.columns {
            let surplus_is_blank =
                record.written == record.ends[..record.cells.min(self.columns)].last().copied().unwrap_or(0);
            match self.options.ragged {
                Ragged::Fail => {
                    let (cells, columns) = (record.cells as u32, self.columns as u32);
                    return Err(FileFault::Ragged { line: record.line, cells, columns }.into());
                }
                Ragged::Pad if record.cells < self.columns || surplus_is_blank => {}
                ragged => self.pending.issues.push(RowIssue {
                    row: row as u32,
                    column: -1,
                    rejects: ragged == Ragged::Reject,
                    code: if record.cells < self.columns { "too_few_cells" } else { "too_many_cells" }.to_owned(),
                    message: format!("the row has {} cells, the header {}", record.cells, self.columns),
                }),
            }
        }
        for (column, wanted) in self.pending.columns.iter_mut().zip(&self.wanted) {
            column.push(if *wanted < record.cells { record.cell(*wanted) } else { b"" });
        }
        // Blank cells take room as well.
        self.pending.bytes += record.written + record.cells;
        self.pending.lines.push(record.line);
        Ok(())
    }

    /// The first pending rows as a batch.
    fn hand_out(&mut self, rows: usize) -> Result<Batch, DecodeError> {
        let first_row = self.rows;
        let next_row = first_row + rows as u32;
        let mut held = Pending {
            lines: self.pending.lines.split_off(rows),
            columns: Vec::new(),
            issues: self.pending.issues.extract_if(.., |issue| issue.row >= next_row).collect(),
            bytes: 0,
        };
        let mut batch = std::mem::take(&mut self.pending);
        if held.lines.is_empty() {
            // The next batch is probably about as large.
            let room = |column: &TextColumn| TextColumn::with_capacity(rows, column.bytes() * 9 / 8);
            held.columns = batch.columns.iter().map(room).collect();
        } else {
            held.columns = batch.columns.iter_mut().map(|column| column.split_off(rows)).collect();
            held.bytes = held.columns.iter().map(TextColumn::bytes).sum();
        }
        self.pending = held;
        self.rows = next_row;
        let mut columns: Vec<Option<Cells>> = (0..self.columns).map(|_| None).collect();
        for (column, wanted) in batch.columns.into_iter().zip(&self.wanted) {
            columns[*wanted] = Some(Cells { text: column.finish()?, typed: None });
        }
        Ok(Batch { first_row, lines: batch.lines, columns, issues: issues(&batch.issues) })
    }

    /// Reads the next record; false at the end.
    fn read_record(&mut self) -> Result<bool, DecodeError> {
        self.record.written = 0;
        self.record.cells = 0;
        self.record.line = self.line;
        if !self.skip_blank_lines()? {
            return Ok(false);
        }
        self.record.line = self.line;
        let line = self.reader.line();
        loop {
            if self.text.available().is_empty() {
                match self.text.fill()? {
                    Filled::More => {}
                    Filled::End => return self.end_record().map(|()| true),
                    Filled::Broken(broken) => return Err(self.broken(broken)),
                }
            }
            let record = &mut self.record;
            let input = self.text.available();
            let (result, read, written, ended) =
                self.reader.read_record(input, &mut record.bytes[record.written..], &mut record.ends[record.cells..]);
            let last = input[..read].last().copied();
            self.text.consume(read);
            record.written += written;
            record.cells += ended;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => self.grow_bytes()?,
                ReadRecordResult::OutputEndsFull => self.grow_ends()?,
                ReadRecordResult::Record => {
                    self.line += self.reader.line() - line;
                    self.after_return = last == Some(b'\r');
                    self.line += u64::from(self.after_return);
                    return self.check_caps().map(|()| true);
                }
                ReadRecordResult::End => return Ok(false),
            }
        }
    }

    /// Ends the record that the file's end cuts off.
    fn end_record(&mut self) -> Result<(), DecodeError> {
        loop {
            // A line end ends any record but one with a quote that is still open, which would swallow it.
            let record = &mut self.record;
            let (result, _, written, ended) =
                self.reader.read_record(b"\n", &mut record.bytes[record.written..], &mut record.ends[record.cells..]);
            match result {
                ReadRecordResult::Record => {
                    record.written += written;
                    record.cells += ended;
                    return self.check_caps();
                }
                ReadRecordResult::OutputFull if written == 0 => self.grow_bytes()?,
                ReadRecordResult::OutputEndsFull if ended == 0 => self.grow_ends()?,
                _ => {
                    let (line, column) = record.open_cell();
                    return Err(FileFault::UnclosedQuote { line, column }.into());
                }
            }
        }
    }

    fn check_caps(&self) -> Result<(), DecodeError> {
        let record = &self.record;
        let limit = self.caps.cell_bytes as usize;
        if record.cells > self.caps.columns as usize {
            return Err(FileFault::TooManyColumns { sheet: None, line: record.line, limit: self.caps.columns }.into());
        }
        if record.written > limit
            && let Some(cell) = (0..record.cells).find(|cell| record.cell(*cell).len() > limit)
        {
            let line = record.line + newlines(&record.bytes[..record.ends[cell] - record.cell(cell).len()]);
            return Err(self.cell_too_large(line, cell as u32 + 1));
        }
        Ok(())
    }

    fn cell_too_large(&self, line: u64, column: u32) -> DecodeError {
        FileFault::CellTooLarge { sheet: None, line, column, limit: self.caps.cell_bytes }.into()
    }

    /// Makes room for more of the record, as far as the caps allow.
    fn grow_bytes(&mut self) -> Result<(), DecodeError> {
        let record = &mut self.record;
        let (line, column) = record.open_cell();
        let open = record.written - record.ends[..record.cells].last().copied().unwrap_or(0);
        if open > self.caps.cell_bytes as usize {
            return Err(self.cell_too_large(line, column));
        }
        if record.written >= self.caps.row_bytes as usize {
            return Err(FileFault::RowTooLarge { sheet: None, line: record.line, limit: self.caps.row_bytes }.into());
        }
        let larger = record.bytes.len() * 2;
        record.bytes.resize(larger, 0);
        Ok(())
    }

    fn grow_ends(&mut self) -> Result<(), DecodeError> {
        let record = &mut self.record;
        if record.cells > self.caps.columns as usize {
            return Err(FileFault::TooManyColumns { sheet: None, line: record.line, limit: self.caps.columns }.into());
        }
        let larger = record.ends.len() * 2;
        record.ends.resize(larger, 0);
        Ok(())
    }

    /// The error of bytes that are not text, behind the cells read so far.
    fn broken(&self, broken: Broken) -> DecodeError {
        let record = &self.record;
        let line = record.line + newlines(&record.bytes[..record.written]);
        let (column, encoding) = (record.cells as u32 + 1, self.text.encoding());
        match broken {
            Broken::Undecodable => FileFault::Undecodable { encoding, line, column },
            Broken::Nul => FileFault::NulByte { encoding, line, column },
        }
        .into()
    }

    /// Makes sure that there is text at hand; false at the end.
    fn some_text(&mut self) -> Result<bool, DecodeError> {
        if !self.text.available().is_empty() {
            return Ok(true);
        }
        match self.text.fill()? {
            Filled::More => Ok(true),
            Filled::End => Ok(false),
            Filled::Broken(broken) => {
                self.record.line = self.line;
                Err(self.broken(broken))
            }
        }
    }

    /// Goes to where the next record begins; false where there is none.
    fn skip_blank_lines(&mut self) -> Result<bool, DecodeError> {
        loop {
            self.settle_return()?;
            if !self.some_text()? {
                return Ok(false);
            }
            match self.text.available().first().copied() {
                Some(b'\n' | b'\r') => self.skip_line()?,
                first if first.is_some() && first == self.comment => self.skip_line()?,
                _ => return Ok(true),
            }
        }
    }

    /// Skips what is left of a line, and its end.
    fn skip_line(&mut self) -> Result<(), DecodeError> {
        self.settle_return()?;
        while self.some_text()? {
            let text = self.text.available();
            match memchr::memchr2(b'\n', b'\r', text) {
                None => {
                    let all = text.len();
                    self.text.consume(all);
                }
                Some(end) => {
                    self.after_return = text[end] == b'\r';
                    self.text.consume(end + 1);
                    self.line += 1;
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Takes the line feed that belongs to a carriage return before it.
    fn settle_return(&mut self) -> Result<(), DecodeError> {
        if std::mem::take(&mut self.after_return) && self.some_text()? && self.text.available().first() == Some(&b'\n')
        {
            self.text.consume(1);
        }
        Ok(())
    }
}

/// An option that must be one byte in the text.
fn ascii(what: &'static str, value: char) -> Result<u8, DecodeError> {
    let fits = value.is_ascii() && !matches!(value, '\n' | '\r' | '\0');
    fits.then_some(value as u8).ok_or(DecodeError::Option { what, value })
}

fn marks(options: &CsvOptions) -> Result<Marks, DecodeError> {
    let ascii_if_set = |what, value: Option<char>| value.map(|value| ascii(what, value)).transpose();
    Ok(Marks {
        delimiter: ascii("the delimiter", options.delimiter)?,
        quote: ascii_if_set("the quote", options.quote)?,
        escape: ascii_if_set("the escape character", options.escape)?,
    })
}

fn reader(options: &CsvOptions) -> Result<csv_core::Reader, DecodeError> {
    let mut builder = csv_core::ReaderBuilder::new();
    builder.delimiter(ascii("the delimiter", options.delimiter)?);
    match options.quote {
        Some(quote) => builder.quote(ascii("the quote", quote)?),
        None => builder.quoting(false),
    };
    builder.escape(options.escape.map(|escape| ascii("the escape character", escape)).transpose()?);
    Ok(builder.build())
}
