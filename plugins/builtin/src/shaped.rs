//! Values that take more than reading a cell: from elsewhere than one column, transformed, with defaults and limits.
//!
//! The text of every row is written anew into buffers that are used again from batch to batch, and then read as any
//! column is. A column whose cells are read as they come never passes here.

use crate::cell::{Blame, Reader, RowLog, is_blank};
use crate::columns::{Batch, Cells, Column, FieldColumn, Text};
use crate::header::Wanted;
use crate::plan::{Piece, Shape};
use crate::settings::{OnBlank, OnInvalid};
use crate::transform::Passage;

/// Where the text of a value comes from.
#[derive(Debug)]
pub(crate) enum Source {
    Column(u32),
    /// The same in every row.
    Fixed(Vec<u8>),
    Template(Vec<Piece<u32>>),
    Coalesce(Vec<u32>),
    /// The number of the row in its table, from 1.
    RowNumber,
}

impl Source {
    /// The header indices that it reads.
    pub(crate) fn headers(&self) -> Vec<u32> {
        match self {
            Self::Column(header) => vec![*header],
            Self::Coalesce(headers) => headers.clone(),
            Self::Template(pieces) => pieces
                .iter()
                .filter_map(|piece| match piece {
                    Piece::Column(header) => Some(*header),
                    Piece::Literal(_) => None,
                })
                .collect(),
            Self::Fixed(_) | Self::RowNumber => Vec::new(),
        }
    }
}

/// Makes the values of one field or metric.
#[derive(Debug)]
pub(crate) enum MappedColumn {
    /// From the cells of one column, as they come.
    Plain { header: u32, reader: Reader },
    /// In any other way.
    Shaped(Box<Shaped>),
}

impl MappedColumn {
    pub(crate) fn new(name: String, source: Source, reader: Reader, shape: Option<Box<Shape<u32>>>) -> Self {
        match (source, shape) {
            (Source::Column(header), None) => Self::Plain { header, reader },
            (source, shape) => {
                let shape = shape.unwrap_or_else(|| Box::new(Shape::of(&reader)));
                Self::Shaped(Box::new(Shaped::new(name, source, shape, reader)))
            }
        }
    }

    pub(crate) fn reader(&self) -> &Reader {
        match self {
            Self::Plain { reader, .. } => reader,
            Self::Shaped(shaped) => &shaped.reader,
        }
    }

    /// The header indices that it reads.
    pub(crate) fn headers(&self) -> Vec<u32> {
        match self {
            Self::Plain { header, .. } => vec![*header],
            Self::Shaped(shaped) => shaped.headers(),
        }
    }

    /// Reads the values of all rows.
    pub(crate) fn read(&mut self, batch: &Batch<'_>, wanted: &Wanted, log: &mut RowLog) -> FieldColumn {
        match self {
            Self::Plain { header, reader } => {
                let cells = &batch.columns()[wanted.slot(*header)];
                FieldColumn { column: reader.read(cells, Blame::Column(*header), log), clear: None }
            }
            Self::Shaped(shaped) => shaped.read(batch, wanted, log),
        }
    }
}

/// What makes values in another way than reading the cells of one column.
#[derive(Debug)]
pub(crate) struct Shaped {
    name: String,
    source: Source,
    shape: Box<Shape<u32>>,
    reader: Reader,
    text: Text,
    /// A bitmap, as cells have it.
    typed: Vec<u8>,
    marks: Vec<Mark>,
    /// The column that each row's text is of, where they differ.
    blamed: Vec<u32>,
    passage: Passage,
}

/// What is known of a row's text before it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Value,
    Blank,
    Clear,
    /// It was refused already.
    Refused,
}

impl Shaped {
    fn new(name: String, source: Source, shape: Box<Shape<u32>>, reader: Reader) -> Self {
        let (text, passage) = (Text::default(), Passage::default());
        Self { name, source, shape, reader, text, typed: Vec::new(), marks: Vec::new(), blamed: Vec::new(), passage }
    }

    fn headers(&self) -> Vec<u32> {
        let mut headers = self.source.headers();
        headers.extend(self.shape.steps.iter().flat_map(|step| step.columns()).copied());
        headers
    }

    fn read(&mut self, batch: &Batch<'_>, wanted: &Wanted, log: &mut RowLog) -> FieldColumn {
        log.begin_column(self.shape.on_invalid);
        let column = self.read_column(batch, wanted, log);
        log.begin_column(OnInvalid::RejectRow);
        column
    }

    fn read_column(&mut self, batch: &Batch<'_>, wanted: &Wanted, log: &mut RowLog) -> FieldColumn {
        let rows = batch.rows() as usize;
        let direct = match self.source {
            Source::Column(header) if !self.shape.changes_text() => Some(batch.columns()[wanted.slot(header)]),
            _ => None,
        };
        match direct {
            Some(cells) => {
                let mark = |cell: &[u8]| if is_blank(cell) { Mark::Blank } else { Mark::Value };
                self.marks.clear();
                self.marks.extend(cells.iter().map(mark));
            }
            None => self.write_texts(batch, wanted, log),
        }
        let cells = direct.unwrap_or_else(|| Cells::whole(&self.text, &self.typed));
        let blame = match &self.source {
            Source::Column(header) => Blame::Column(*header),
            Source::Coalesce(_) => Blame::Each(&self.blamed),
            Source::Fixed(_) | Source::Template(_) | Source::RowNumber => Blame::Field(&self.name),
        };
        if self.shape.required {
            for row in (0..rows).filter(|row| self.marks[*row] == Mark::Blank) {
                log.invalid(row, blame, "blank_required", |bytes| bytes.extend_from_slice(b"a value is required here"));
            }
        }
        let mut column = self.reader.read(&cells, blame, log);
        self.shape.constraints.check(&mut column, &cells, blame, log);
        self.fill(&mut column, log);
        FieldColumn { column, clear: self.cleared() }
    }

    /// Puts the default where it belongs.
    fn fill(&self, column: &mut Column, log: &RowLog) {
        let Some(default) = &self.shape.default else { return };
        let mut filled: Vec<u32> = Vec::new();
        if self.shape.fills_blanks {
            filled
                .extend((0..).zip(&self.marks).filter(|(_, mark)| **mark == Mark::Blank).map(|(row, _): (u32, _)| row));
        }
        if self.shape.on_invalid == OnInvalid::Default {
            filled.extend_from_slice(log.spared());
        }
        if !filled.is_empty() {
            filled.sort_unstable();
            filled.dedup();
            column.fill(&filled, default);
        }
    }

    /// Where the stored value is to be erased.
    fn cleared(&self) -> Option<Vec<u8>> {
        let clears_blanks = self.shape.on_blank == OnBlank::Clear;
        if !clears_blanks && self.shape.clear_token.is_none() {
            return None;
        }
        let is_cleared = |mark: &Mark| *mark == Mark::Clear || (clears_blanks && *mark == Mark::Blank);
        if !self.marks.iter().any(is_cleared) {
            return None;
        }
        let byte = |eight: &[Mark]| eight.iter().rev().fold(0, |byte, mark| byte << 1 | u8::from(is_cleared(mark)));
        Some(self.marks.chunks(8).map(byte).collect())
    }

    fn write_texts(&mut self, batch: &Batch<'_>, wanted: &Wanted, log: &mut RowLog) {
        let rows = batch.rows() as usize;
        self.text.clear();
        self.marks.clear();
        self.blamed.clear();
        self.typed.clear();
        self.typed.resize(rows.div_ceil(8), 0);
        let Shape { null_tokens, clear_token, steps, dress, format, .. } = &mut *self.shape;
        let cells_of = |header: u32| &batch.columns()[wanted.slot(header)];
        let is_null = |cell: &[u8]| is_blank(cell) || is_token(null_tokens, cell);
        let column = match &self.source {
            Source::Column(header) => Some((cells_of(*header), *header)),
            _ => None,
        };
        for row in 0..rows {
            let passage = &mut self.passage;
            let mut to_blame = None;
            let is_null = match &self.source {
                Source::Column(_) => match column {
                    Some((cells, header)) => {
                        to_blame = Some(header);
                        let cell = cells.get(row);
                        passage.take(cell, cells.is_typed(row));
                        is_null(cell)
                    }
                    None => true,
                },
                Source::Fixed(value) => {
                    passage.take(value, false);
                    is_blank(value)
                }
                Source::Coalesce(headers) => {
                    let found = headers.iter().find(|header| !is_null(cells_of(**header).get(row)));
                    to_blame = found.or(headers.first()).copied();
                    if let Some(header) = found {
                        passage.take(cells_of(*header).get(row), cells_of(*header).is_typed(row));
                    }
                    found.is_none()
                }
                Source::Template(pieces) => {
                    passage.take(b"", false);
                    let mut all_null = true;
                    for piece in pieces {
                        match piece {
                            Piece::Literal(literal) => passage.value.extend_from_slice(literal.as_bytes()),
                            Piece::Column(header) => {
                                let cell = cells_of(*header).get(row);
                                if !is_null(cell) {
                                    all_null = false;
                                    passage.value.extend_from_slice(cell);
                                }
                            }
                        }
                    }
                    all_null
                }
                Source::RowNumber => {
                    passage.take(b"", false);
                    write_number(u64::from(log.number(row)) + 1, &mut passage.value);
                    false
                }
            };
            if matches!(self.source, Source::Coalesce(_)) {
                self.blamed.push(to_blame.unwrap_or_default());
            }
            let mark = if is_null {
                Mark::Blank
            } else if clear_token.as_ref().is_some_and(|token| is_token(std::slice::from_ref(token), &passage.value)) {
                Mark::Clear
            } else {
                let cell_of = |header: &u32| cells_of(*header).get(row);
                match passage.pass(steps, *format, cell_of) {
                    Ok(()) if is_blank(&passage.value) => Mark::Blank,
                    Ok(()) => Mark::Value,
                    Err(refusal) => {
                        let blame = to_blame.map_or(Blame::Field(&self.name), Blame::Column);
                        let value = &passage.value;
                        log.invalid(row, blame, refusal.code(), |bytes| refusal.explain(value, bytes));
                        Mark::Refused
                    }
                }
            };
            self.marks.push(mark);
            if mark == Mark::Value {
                let (value, typed) = (&passage.value, passage.typed);
                let undressed = dress
                    .as_ref()
                    .filter(|_| !typed)
                    .and_then(|dress| dress.take_off(value, &mut passage.spelled, &mut self.text.bytes));
                if undressed.is_none() {
                    self.text.bytes.extend_from_slice(value);
                }
                self.typed[row / 8] |= u8::from(typed) << (row % 8);
            }
            self.text.end_row();
        }
    }
}

/// Whether a cell is one of some tokens, blanks round it and capital letters apart.
fn is_token(tokens: &[String], cell: &[u8]) -> bool {
    !tokens.is_empty() && {
        let cell = cell.trim_ascii();
        tokens.iter().any(|token| token.trim_ascii().as_bytes().eq_ignore_ascii_case(cell))
    }
}

fn write_number(mut number: u64, out: &mut Vec<u8>) {
    let begun = out.len();
    loop {
        out.push(b'0' + (number % 10) as u8);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out[begun..].reverse();
}
