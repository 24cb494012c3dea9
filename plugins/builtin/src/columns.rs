//! Columns in the physical layout of the contract, as plain vectors and slices.
//!
//! Owns the shapes that cross the boundary and the few ways to build and thin them out; knows nothing of settings or of
//! what a cell means. Bitmaps keep row i in bit `i % 8` of byte `i / 8`. Cells that arrive are checked once, by
//! [`Cells::new`] and [`Batch::new`]; what leaves is made of whole cells, so that it is UTF-8 when they were.

use crate::Fault;

/// One column of source cells, borrowed. A blank cell is the empty string.
#[derive(Debug, Clone, Copy)]
pub struct Cells<'a> {
    offsets: &'a [i32],
    bytes: &'a [u8],
    typed: Option<&'a [u8]>,
}

impl<'a> Cells<'a> {
    /// Row i is `bytes[offsets[i]..offsets[i + 1]]`, UTF-8; a bit in `typed` marks a cell that the workbook itself
    /// typed. Offsets need not begin at 0, so that a slice of a longer column will do.
    ///
    /// # Errors
    /// `bad_batch` when the offsets fall, point outside `bytes`, or `typed` is too short.
    pub fn new(offsets: &'a [i32], bytes: &'a [u8], typed: Option<&'a [u8]>) -> Result<Self, Fault> {
        let bad = |what: &str| Err(Fault::new("bad_batch", format!("the cells of a batch have {what}")));
        let (Some(&first), Some(&last)) = (offsets.first(), offsets.last()) else {
            return bad("no offsets");
        };
        // A fold without an early end is what the compiler turns into vector code.
        let falls = offsets.windows(2).fold(false, |falls, pair| falls | (pair[0] > pair[1]));
        if falls || first < 0 || usize::try_from(last).is_ok_and(|last| last > bytes.len()) {
            return bad("offsets that fall or point outside the text");
        }
        if typed.is_some_and(|bits| bits.len() < (offsets.len() - 1).div_ceil(8)) {
            return bad("too few bits for what the workbook typed");
        }
        Ok(Self { offsets, bytes, typed })
    }

    /// All of a text, with a bitmap of at least as many bits.
    pub(crate) fn whole(text: &'a Text, typed: &'a [u8]) -> Self {
        Self { offsets: &text.offsets, bytes: &text.bytes, typed: Some(typed) }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The text of a row below `len`.
    #[inline]
    pub(crate) fn get(&self, row: usize) -> &'a [u8] {
        &self.bytes[self.offsets[row] as usize..self.offsets[row + 1] as usize]
    }

    /// All texts in row order.
    #[inline]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &'a [u8]> {
        let bytes = self.bytes;
        self.offsets.windows(2).map(move |pair| &bytes[pair[0] as usize..pair[1] as usize])
    }

    /// Whether the workbook typed the cell of a row below `len`.
    #[inline]
    pub(crate) fn is_typed(&self, row: usize) -> bool {
        self.typed.is_some_and(|bits| is_set(bits, row))
    }

    /// The same texts as a column of its own.
    pub(crate) fn to_text(self) -> Text {
        let (first, last) = (self.offsets[0], self.offsets[self.len()]);
        Text {
            offsets: self.offsets.iter().map(|offset| offset - first).collect(),
            bytes: self.bytes[first as usize..last as usize].to_vec(),
        }
    }
}

/// Some rows of a table: the wanted columns, in the order of the layout's `wanted`.
#[derive(Debug, Clone)]
pub struct Batch<'a> {
    first_row: u32,
    rows: u32,
    columns: Vec<Cells<'a>>,
}

impl<'a> Batch<'a> {
    /// `first_row` is the table-wide number of the first of `rows` rows.
    ///
    /// # Errors
    /// `bad_batch` when a column has another length or the row numbers overflow.
    pub fn new(first_row: u32, rows: u32, columns: Vec<Cells<'a>>) -> Result<Self, Fault> {
        let bad = |what: &str| Err(Fault::new("bad_batch", format!("a batch has {what}")));
        if first_row.checked_add(rows).is_none() {
            return bad("row numbers beyond 32 bits");
        }
        match columns.iter().all(|cells| cells.len() == rows as usize) {
            true => Ok(Self { first_row, rows, columns }),
            false => bad("columns of another length than it has rows"),
        }
    }

    /// The table-wide number of the first row.
    pub fn first_row(&self) -> u32 {
        self.first_row
    }

    /// How many rows.
    pub fn rows(&self) -> u32 {
        self.rows
    }

    /// The cells, one entry a wanted column.
    pub(crate) fn columns(&self) -> &[Cells<'a>] {
        &self.columns
    }

    /// # Errors
    /// `bad_batch` when there are not `wanted` columns.
    pub(crate) fn expect_columns(&self, wanted: usize) -> Result<(), Fault> {
        match self.columns.len() == wanted {
            true => Ok(()),
            false => Err(Fault::new(
                "bad_batch",
                format!("a batch has {} columns where the layout wants {wanted}", self.columns.len()),
            )),
        }
    }
}

/// Strings laid end to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// One more than there are rows, from 0.
    pub offsets: Vec<i32>,
    /// UTF-8.
    pub bytes: Vec<u8>,
}

impl Default for Text {
    fn default() -> Self {
        Self { offsets: vec![0], bytes: Vec::new() }
    }
}

impl Text {
    pub(crate) fn with_capacity(rows: usize, bytes: usize) -> Self {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        Self { offsets, bytes: Vec::with_capacity(bytes) }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// No row, and the memory of those there were.
    pub(crate) fn clear(&mut self) {
        self.offsets.truncate(1);
        self.bytes.clear();
    }

    /// Appends a row.
    pub(crate) fn push(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.end_row();
    }

    /// Ends the row whose bytes were appended to `bytes`. A batch is far below 2 GiB, which the host sees to.
    pub(crate) fn end_row(&mut self) {
        self.offsets.push(self.bytes.len() as i32);
    }

    pub(crate) fn get(&self, row: usize) -> &[u8] {
        &self.bytes[self.offsets[row] as usize..self.offsets[row + 1] as usize]
    }

    /// Only the rows that `kept` names, in its order.
    pub(crate) fn keep(&self, kept: &[u32]) -> Self {
        let mut text = Self::with_capacity(kept.len(), self.bytes.len());
        kept.iter().for_each(|&row| text.push(self.get(row as usize)));
        text
    }
}

/// Strings some of which may be missing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TextColumn {
    /// One a row.
    pub text: Text,
    /// A bitmap: clear where the row has no value. None: every row has one.
    pub validity: Option<Vec<u8>>,
}

impl TextColumn {
    /// Only the rows that `kept` names, in its order.
    pub(crate) fn keep(&self, kept: &[u32]) -> Self {
        Self { text: self.text.keep(kept), validity: self.validity.as_ref().map(|bits| keep_bits(bits, kept)) }
    }
}

/// Lists of strings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextList {
    /// Row i is items `offsets[i]..offsets[i + 1]`.
    pub offsets: Vec<i32>,
    /// The items of all rows.
    pub items: Text,
}

/// The values of a column; a row without a value has any.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// UTF-8.
    Text(Text),
    /// 64 bits, signed.
    Integer(Vec<i64>),
    /// 64 bits, finite.
    Float(Vec<f64>),
    /// Unscaled; the scale stands in the value type.
    Decimal(Vec<i64>),
    /// A bitmap.
    Boolean(Vec<u8>),
    /// Days since 1970-01-01.
    Date(Vec<i32>),
    /// Microseconds since 1970-01-01T00:00:00Z.
    Timestamp(Vec<i64>),
    /// Lists of strings.
    TextList(TextList),
}

/// Values some of which may be missing.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// One a row.
    pub values: Values,
    /// A bitmap: clear where the row has no value. None: every row has one.
    pub validity: Option<Vec<u8>>,
}

impl Column {
    /// Only the rows that `kept` names, in its order.
    pub(crate) fn keep(&self, kept: &[u32]) -> Self {
        fn pick<T: Copy>(values: &[T], kept: &[u32]) -> Vec<T> {
            kept.iter().map(|&row| values[row as usize]).collect()
        }
        let values = match &self.values {
            Values::Text(text) => Values::Text(text.keep(kept)),
            Values::Integer(values) => Values::Integer(pick(values, kept)),
            Values::Float(values) => Values::Float(pick(values, kept)),
            Values::Decimal(values) => Values::Decimal(pick(values, kept)),
            Values::Boolean(bits) => Values::Boolean(keep_bits(bits, kept)),
            Values::Date(values) => Values::Date(pick(values, kept)),
            Values::Timestamp(values) => Values::Timestamp(pick(values, kept)),
            Values::TextList(lists) => {
                let mut picked = TextList { offsets: vec![0], items: Text::default() };
                for &row in kept {
                    let row = row as usize;
                    (lists.offsets[row]..lists.offsets[row + 1])
                        .for_each(|item| picked.items.push(lists.items.get(item as usize)));
                    picked.offsets.push(picked.items.len() as i32);
                }
                Values::TextList(picked)
            }
        };
        Self { values, validity: self.validity.as_ref().map(|bits| keep_bits(bits, kept)) }
    }

    /// Takes a row's value away.
    pub(crate) fn lose(&mut self, row: usize, rows: usize) {
        let bits = self.validity.get_or_insert_with(|| vec![0xff; rows.div_ceil(8)]);
        bits[row / 8] &= !(1 << (row % 8));
    }

    /// Gives rows the one value of another column of the same type. `rows` are sorted.
    pub(crate) fn fill(&mut self, rows: &[u32], with: &Self) {
        fn put<T: Copy>(values: &mut [T], rows: &[u32], with: &[T]) {
            if let Some(value) = with.first() {
                rows.iter().for_each(|row| values[*row as usize] = *value);
            }
        }
        match (&mut self.values, &with.values) {
            (Values::Integer(values), Values::Integer(with))
            | (Values::Decimal(values), Values::Decimal(with))
            | (Values::Timestamp(values), Values::Timestamp(with)) => put(values, rows, with),
            (Values::Float(values), Values::Float(with)) => put(values, rows, with),
            (Values::Date(values), Values::Date(with)) => put(values, rows, with),
            (Values::Boolean(bits), Values::Boolean(with)) => {
                for row in rows {
                    let (byte, bit) = (*row as usize / 8, row % 8);
                    bits[byte] = bits[byte] & !(1 << bit) | (with[0] & 1) << bit;
                }
            }
            (Values::Text(text), Values::Text(with)) => {
                let mut filled = Text::with_capacity(text.len(), text.bytes.len());
                for row in 0..text.len() {
                    let is_filled = rows.binary_search(&(row as u32)).is_ok();
                    filled.push(if is_filled { with.get(0) } else { text.get(row) });
                }
                *text = filled;
            }
            (Values::TextList(lists), Values::TextList(with)) => {
                let mut filled = TextList { offsets: vec![0], items: Text::default() };
                for row in 0..lists.offsets.len() - 1 {
                    let is_filled = rows.binary_search(&(row as u32)).is_ok();
                    let (from, place) = if is_filled { (with, 0) } else { (&*lists, row) };
                    (from.offsets[place]..from.offsets[place + 1])
                        .for_each(|item| filled.items.push(from.items.get(item as usize)));
                    filled.offsets.push(filled.items.len() as i32);
                }
                *lists = filled;
            }
            // A default is read by the reader of its own field.
            _ => return,
        }
        if let Some(bits) = &mut self.validity {
            rows.iter().for_each(|row| bits[*row as usize / 8] |= 1 << (row % 8));
        }
    }

    /// Whether a row has a value.
    #[inline]
    pub(crate) fn has_value(&self, row: usize) -> bool {
        self.validity.as_ref().is_none_or(|bits| is_set(bits, row))
    }
}

/// One field's values.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldColumn {
    /// The values; a row without one keeps what is stored, unless its bit in `clear` is set.
    pub column: Column,
    /// A bitmap: set where the stored value is to be erased. None: nowhere.
    pub clear: Option<Vec<u8>>,
}

impl FieldColumn {
    /// Only the rows that `kept` names, in its order.
    pub(crate) fn keep(&self, kept: &[u32]) -> Self {
        Self { column: self.column.keep(kept), clear: self.clear.as_ref().map(|bits| keep_bits(bits, kept)) }
    }
}

/// Which rows of a column have a value. Costs nothing until the first row has none.
#[derive(Debug)]
pub(crate) struct Validity {
    rows: usize,
    bits: Option<Vec<u8>>,
}

impl Validity {
    pub(crate) fn all(rows: usize) -> Self {
        Self { rows, bits: None }
    }

    #[inline]
    pub(crate) fn clear(&mut self, row: usize) {
        let rows = self.rows;
        let bits = self.bits.get_or_insert_with(|| vec![0xff; rows.div_ceil(8)]);
        bits[row / 8] &= !(1 << (row % 8));
    }

    pub(crate) fn into_bits(self) -> Option<Vec<u8>> {
        self.bits
    }
}

/// Whether bit `row` is set; the bitmap must be long enough.
#[inline]
pub(crate) fn is_set(bits: &[u8], row: usize) -> bool {
    bits[row / 8] >> (row % 8) & 1 == 1
}

fn keep_bits(bits: &[u8], kept: &[u32]) -> Vec<u8> {
    let mut picked = vec![0; kept.len().div_ceil(8)];
    for (place, &row) in kept.iter().enumerate() {
        picked[place / 8] |= u8::from(is_set(bits, row as usize)) << (place % 8);
    }
    picked
}

/// What is wrong with rows, as columns of one length. Ordered by column, then by row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Issues {
    /// Table-wide rows.
    pub rows: Vec<u32>,
    /// Header indices; -1 where no column is to blame.
    pub columns: Vec<i32>,
    /// A bitmap: set for a reject, clear for a warning.
    pub rejects: Vec<u8>,
    /// Stable codes.
    pub codes: Text,
    /// Whole sentences without a full stop.
    pub messages: Text,
}

/// Whether an issue costs the row its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Severity {
    Reject,
    Warning,
}

impl Issues {
    /// How many.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Adds one whose message `write` appends to the bytes it is given.
    pub(crate) fn push(
        &mut self,
        row: u32,
        column: i32,
        severity: Severity,
        code: &str,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        let place = self.rows.len();
        if place.is_multiple_of(8) {
            self.rejects.push(0);
        }
        self.rejects[place / 8] |= u8::from(severity == Severity::Reject) << (place % 8);
        self.rows.push(row);
        self.columns.push(column);
        self.codes.push(code.as_bytes());
        write(&mut self.messages.bytes);
        self.messages.end_row();
    }
}
