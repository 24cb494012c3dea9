//! How the cells of one column become values of one type.
//!
//! Owns what a cell of each type may look like and what is said of one that does not; knows nothing of settings, headers
//! or records. Reads a whole column at a time, without an allocation per cell. Every row gets a place in the column that
//! comes out, so that columns stay aligned; rows that are lost are thinned out once, at the end.

mod date;
mod number;

use std::io::Write;

use crate::columns::{Cells, Column, Issues, Severity, Text, TextList, Validity, Values};
pub(crate) use date::DateFormat;
#[cfg(test)]
pub(crate) use date::iso as iso_date;
pub(crate) use number::{Excess, NumberFormat, Precision};
use number::{Origin, Spelled};

/// How the cells of a column are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reader {
    Text,
    Url,
    Integer(NumberFormat),
    Float(NumberFormat),
    Percent(NumberFormat),
    PercentRatio(NumberFormat),
    Decimal(Precision, NumberFormat),
    Boolean(BooleanSets),
    /// ISO 8601 when there is no format.
    Date(Vec<DateFormat>),
    /// What stands between the items.
    TextList(String),
}

/// What stands for true and false, compared without regard to ASCII case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BooleanSets {
    pub(crate) truths: Vec<String>,
    pub(crate) falsehoods: Vec<String>,
}

/// The type of a column's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ValueType {
    /// UTF-8.
    Text,
    /// 64 bits, signed.
    Integer,
    /// 64 bits.
    Float,
    /// Unscaled 64 bits with this many digits after the point, 0 to 18.
    Decimal(u8),
    /// True or false.
    Boolean,
    /// Days since 1970-01-01.
    Date,
    /// Lists of strings.
    TextList,
}

/// Why a cell cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Problem {
    NotAnInteger,
    NotANumber,
    OutOfRange,
    TooManyDecimals,
    /// A percent sign after what should be a ratio.
    PercentSign,
    NotABoolean,
    BadDate,
    NotAUrl,
}

impl Problem {
    fn code(self) -> &'static str {
        match self {
            Self::NotAnInteger => "not_an_integer",
            Self::NotANumber => "not_a_number",
            Self::OutOfRange => "out_of_range",
            Self::TooManyDecimals => "too_many_decimals",
            Self::PercentSign => "percent_sign_in_ratio",
            Self::NotABoolean => "not_a_boolean",
            Self::BadDate => "bad_date",
            Self::NotAUrl => "not_a_url",
        }
    }
}

/// What is found wrong with the rows of a batch while its columns are read.
#[derive(Debug)]
pub(crate) struct RowLog {
    first_row: u32,
    rows: usize,
    issues: Issues,
    /// Which rows yield no record; empty while all do.
    lost: Vec<bool>,
}

impl RowLog {
    pub(crate) fn new(first_row: u32, rows: usize) -> Self {
        Self { first_row, rows, issues: Issues::default(), lost: Vec::new() }
    }

    /// The row yields no record, and `code` says why.
    #[cold]
    pub(crate) fn reject(&mut self, row: usize, header: u32, code: &str, write: impl FnOnce(&mut Vec<u8>)) {
        self.lose(row);
        self.issues.push(self.number(row), header as i32, Severity::Reject, code, write);
    }

    /// The row yields no record, which is no fault.
    #[cold]
    pub(crate) fn pass_over(&mut self, row: usize, code: &str, message: &str) {
        self.lose(row);
        let write = |bytes: &mut Vec<u8>| bytes.extend_from_slice(message.as_bytes());
        self.issues.push(self.number(row), -1, Severity::Warning, code, write);
    }

    fn lose(&mut self, row: usize) {
        self.lost.resize(self.rows, false);
        self.lost[row] = true;
    }

    /// The table-wide number of a row of the batch.
    pub(crate) fn number(&self, row: usize) -> u32 {
        self.first_row + row as u32
    }

    /// Whether the row yields no record.
    #[inline]
    pub(crate) fn is_lost(&self, row: usize) -> bool {
        self.lost.get(row).is_some_and(|lost| *lost)
    }

    /// Whether every row yields a record.
    pub(crate) fn is_whole(&self) -> bool {
        self.lost.is_empty()
    }

    pub(crate) fn into_issues(self) -> Issues {
        self.issues
    }
}

impl Reader {
    pub(crate) fn value_type(&self) -> ValueType {
        match self {
            Self::Text | Self::Url => ValueType::Text,
            Self::Integer(_) => ValueType::Integer,
            Self::Float(_) | Self::Percent(_) | Self::PercentRatio(_) => ValueType::Float,
            Self::Decimal(precision, _) => ValueType::Decimal(precision.scale),
            Self::Boolean(_) => ValueType::Boolean,
            Self::Date(_) => ValueType::Date,
            Self::TextList(_) => ValueType::TextList,
        }
    }

    /// A column without rows.
    pub(crate) fn empty(&self) -> Column {
        let values = match self.value_type() {
            ValueType::Text => Values::Text(Text::default()),
            ValueType::Integer => Values::Integer(Vec::new()),
            ValueType::Float => Values::Float(Vec::new()),
            ValueType::Decimal(_) => Values::Decimal(Vec::new()),
            ValueType::Boolean => Values::Boolean(Vec::new()),
            ValueType::Date => Values::Date(Vec::new()),
            ValueType::TextList => Values::TextList(TextList { offsets: vec![0], items: Text::default() }),
        };
        Column { values, validity: None }
    }

    /// Reads every cell; `header` is the column's place in the header. A blank cell has no value. A cell that cannot be
    /// read has none either, and its row is rejected.
    pub(crate) fn read(&self, cells: &Cells<'_>, header: u32, log: &mut RowLog) -> Column {
        let spelled = &mut Spelled::default();
        let canonical = |typed: bool, format: &NumberFormat| if typed { NumberFormat::CANONICAL } else { *format };
        let report = |log: &mut RowLog, row: usize, cell: &[u8], problem: Problem| {
            log.reject(row, header, problem.code(), |bytes| self.explain(problem, cell, bytes));
        };
        match self {
            Self::Text => read_texts(cells, |_, _| {}),
            Self::Url => read_texts(cells, |row, cell| {
                if !is_url(cell) {
                    report(log, row, cell, Problem::NotAUrl);
                }
            }),
            Self::Integer(format) => {
                let read = |cell: &[u8], typed| number::integer(cell, canonical(typed, format), spelled);
                let (values, validity) = read_each(cells, read, |row, cell, problem| report(log, row, cell, problem));
                Column { values: Values::Integer(values), validity }
            }
            Self::Float(format) => {
                let read = |cell: &[u8], typed| number::float(cell, 0, canonical(typed, format), spelled);
                let (values, validity) = read_each(cells, read, |row, cell, problem| report(log, row, cell, problem));
                Column { values: Values::Float(values), validity }
            }
            Self::Percent(format) => {
                let read = |cell: &[u8], typed| {
                    let cell = cell.strip_suffix(b"%").map_or(cell, |number| number.trim_ascii_end());
                    number::float(cell, 0, canonical(typed, format), spelled)
                };
                let (values, validity) = read_each(cells, read, |row, cell, problem| report(log, row, cell, problem));
                Column { values: Values::Float(values), validity }
            }
            Self::PercentRatio(format) => {
                let read = |cell: &[u8], typed| {
                    number::float(cell, 2, canonical(typed, format), spelled)
                        .map_err(|problem| if cell.ends_with(b"%") { Problem::PercentSign } else { problem })
                };
                let (values, validity) = read_each(cells, read, |row, cell, problem| report(log, row, cell, problem));
                Column { values: Values::Float(values), validity }
            }
            Self::Decimal(precision, format) => {
                let read = |cell: &[u8], typed| {
                    let origin = if typed { Origin::Workbook } else { Origin::Text };
                    number::decimal(cell, *precision, origin, canonical(typed, format), spelled)
                };
                let (values, validity) = read_each(cells, read, |row, cell, problem| report(log, row, cell, problem));
                Column { values: Values::Decimal(values), validity }
            }
            Self::Boolean(sets) => {
                let read = |cell: &[u8], typed| sets.read(cell, typed).ok_or(Problem::NotABoolean);
                let (values, validity) = read_each(cells, read, |row, cell, problem| report(log, row, cell, problem));
                Column { values: Values::Boolean(bitmap(&values)), validity }
            }
            Self::Date(formats) => {
                let (days, validity) = read_dates(formats, cells, header, log);
                Column { values: Values::Date(days), validity }
            }
            Self::TextList(separator) => read_lists(cells, separator.as_bytes()),
        }
    }

    /// Appends a sentence on a cell that cannot be read.
    fn explain(&self, problem: Problem, cell: &[u8], bytes: &mut Vec<u8>) {
        quote(cell, bytes);
        let format = match self {
            Self::Integer(format) | Self::Float(format) | Self::Percent(format) | Self::PercentRatio(format) => *format,
            Self::Decimal(_, format) => *format,
            Self::Text | Self::Url | Self::Boolean(_) | Self::Date(_) | Self::TextList(_) => NumberFormat::CANONICAL,
        };
        let decimal = char::from(format.decimal);
        let written = match (problem, self) {
            (Problem::NotAnInteger, _) => write!(bytes, " is not a whole number"),
            (Problem::NotANumber, _) => match format.group {
                Some(group) => {
                    write!(bytes, " is not a number with `{decimal}` before its decimals and `{group}` between groups")
                }
                None => write!(bytes, " is not a number with `{decimal}` before its decimals and no groups"),
            },
            (Problem::OutOfRange, _) => write!(bytes, " is too large"),
            (Problem::TooManyDecimals, Self::Decimal(precision, _)) => {
                write!(bytes, " has more than the {} digits that are kept after the `{decimal}`", precision.scale)
            }
            (Problem::TooManyDecimals, _) => write!(bytes, " has too many digits after the `{decimal}`"),
            (Problem::PercentSign, _) => write!(bytes, " has a percent sign where a ratio is expected"),
            (Problem::NotABoolean, Self::Boolean(sets)) => sets.explain(bytes),
            (Problem::NotABoolean, _) => write!(bytes, " is neither true nor false"),
            (Problem::BadDate, _) => write!(bytes, " is not a date"),
            (Problem::NotAUrl, _) => write!(bytes, " is not a web address"),
        };
        // Writing to memory does not fail.
        written.unwrap_or_default();
    }
}

impl BooleanSets {
    /// A workbook's own cell is `true` or `false`, or a number that is 1 or 0.
    #[inline]
    fn read(&self, cell: &[u8], typed: bool) -> Option<bool> {
        if typed {
            return match cell {
                b"true" | b"1" => Some(true),
                b"false" | b"0" => Some(false),
                _ => None,
            };
        }
        let stands = |word: &String| word.as_bytes().eq_ignore_ascii_case(cell);
        match self.truths.iter().any(stands) {
            true => Some(true),
            false => self.falsehoods.iter().any(stands).then_some(false),
        }
    }

    fn explain(&self, bytes: &mut Vec<u8>) -> std::io::Result<()> {
        bytes.extend_from_slice(b" is none of ");
        for (place, word) in self.truths.iter().chain(&self.falsehoods).enumerate() {
            if place > 0 {
                bytes.extend_from_slice(b", ");
            }
            quote(word.as_bytes(), bytes);
        }
        Ok(())
    }
}

/// How many characters of a value a message shows.
const MOST_QUOTED: usize = 60;

/// Appends a value in backticks, cut short, its control characters escaped.
pub(crate) fn quote(cell: &[u8], bytes: &mut Vec<u8>) {
    // A character has at most four bytes; one that the cut goes through is beyond those that are shown.
    let text = String::from_utf8_lossy(&cell[..cell.len().min(MOST_QUOTED * 4 + 4)]);
    let mut encoded = [0; 4];
    bytes.push(b'`');
    for character in text.chars().take(MOST_QUOTED) {
        if character.is_control() {
            character.escape_default().for_each(|escaped| bytes.push(escaped as u8));
        } else {
            bytes.extend_from_slice(character.encode_utf8(&mut encoded).as_bytes());
        }
    }
    if text.chars().nth(MOST_QUOTED).is_some() {
        bytes.extend_from_slice("…".as_bytes());
    }
    bytes.push(b'`');
}

/// A text in backticks, cut short, its control characters escaped.
pub(crate) fn quoted(text: &str) -> String {
    let mut bytes = Vec::new();
    quote(text.as_bytes(), &mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether a cell holds nothing but blanks.
#[inline]
pub(crate) fn is_blank(cell: &[u8]) -> bool {
    match cell.first() {
        None => true,
        Some(first) if *first > b' ' => false,
        Some(_) => cell.trim_ascii().is_empty(),
    }
}

/// Reads cells of a fixed width, without the blanks round them.
#[inline]
fn read_each<T: Copy + Default>(
    cells: &Cells<'_>,
    mut read: impl FnMut(&[u8], bool) -> Result<T, Problem>,
    mut report: impl FnMut(usize, &[u8], Problem),
) -> (Vec<T>, Option<Vec<u8>>) {
    let mut values = Vec::with_capacity(cells.len());
    let mut validity = Validity::all(cells.len());
    values.extend(cells.iter().enumerate().map(|(row, cell)| {
        let trimmed = match cell {
            [first, .., last] if *first > b' ' && *last > b' ' => cell,
            _ => cell.trim_ascii(),
        };
        if trimmed.is_empty() {
            validity.clear(row);
            return T::default();
        }
        read(trimmed, cells.is_typed(row)).unwrap_or_else(|problem| {
            validity.clear(row);
            report(row, cell, problem);
            T::default()
        })
    }));
    (values, validity.into_bits())
}

/// Reads dates as days since 1970-01-01, and which cells hold one.
pub(crate) fn read_dates(
    formats: &[DateFormat],
    cells: &Cells<'_>,
    header: u32,
    log: &mut RowLog,
) -> (Vec<i32>, Option<Vec<u8>>) {
    let read = |cell: &[u8], typed| date::date(cell, if typed { &[] } else { formats }).ok_or(Problem::BadDate);
    read_each(cells, read, |row, cell, problem| {
        log.reject(row, header, problem.code(), |bytes| {
            quote(cell, bytes);
            bytes.extend_from_slice(match formats.is_empty() || cells.is_typed(row) {
                true => b" is not a date as ISO 8601 writes it (`2024-10-15`)",
                false => b" is not a date in a format that is set",
            });
        });
    })
}

/// Takes texts as they are. A blank one has no value; its bytes may stay.
#[inline]
fn read_texts(cells: &Cells<'_>, mut look: impl FnMut(usize, &[u8])) -> Column {
    let mut validity = Validity::all(cells.len());
    for (row, cell) in cells.iter().enumerate() {
        match is_blank(cell) {
            true => validity.clear(row),
            false => look(row, cell),
        }
    }
    Column { values: Values::Text(cells.to_text()), validity: validity.into_bits() }
}

fn read_lists(cells: &Cells<'_>, separator: &[u8]) -> Column {
    let mut validity = Validity::all(cells.len());
    let mut offsets = Vec::with_capacity(cells.len() + 1);
    offsets.push(0);
    let mut items = Text::with_capacity(cells.len(), 0);
    for (row, cell) in cells.iter().enumerate() {
        let before = items.len();
        let mut rest = cell;
        while !rest.is_empty() {
            let end = rest.windows(separator.len()).position(|window| window == separator);
            let (item, after) = match end {
                Some(end) => (&rest[..end], &rest[end + separator.len()..]),
                None => (rest, &[][..]),
            };
            let item = item.trim_ascii();
            if !item.is_empty() {
                items.push(item);
            }
            rest = after;
        }
        if items.len() == before {
            validity.clear(row);
        }
        offsets.push(items.len() as i32);
    }
    Column { values: Values::TextList(TextList { offsets, items }), validity: validity.into_bits() }
}

fn bitmap(values: &[bool]) -> Vec<u8> {
    let byte = |eight: &[bool]| eight.iter().rev().fold(0, |byte, value| byte << 1 | u8::from(*value));
    values.chunks(8).map(byte).collect()
}

/// Whether a text can be a web address: `http`, `https` or `ftp` and a host, or a host with a dot in it, and no blank or
/// control character anywhere. Anything else after which a browser might run something is none.
fn is_url(cell: &[u8]) -> bool {
    // A fold without an early end is what the compiler turns into vector code.
    if cell.iter().fold(false, |found, byte| found | byte.is_ascii_control() | (*byte == b' ')) {
        return false;
    }
    let schemes: [&[u8]; 3] = [b"https://", b"http://", b"ftp://"];
    let begins = |scheme: &&&[u8]| cell.get(..scheme.len()).is_some_and(|head| head.eq_ignore_ascii_case(scheme));
    let scheme = schemes.iter().find(begins);
    let rest = &cell[scheme.map_or(0, |scheme| scheme.len())..];
    let (mut host, mut labels, mut in_label) = (0, 0, false);
    for byte in rest {
        match byte {
            b'.' => in_label = false,
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | 0x80.. => {
                labels += usize::from(!in_label);
                in_label = true;
            }
            _ => break,
        }
        host += 1;
    }
    let port_fits = match &rest[host..] {
        [] | [b'/' | b'?' | b'#', ..] => true,
        [b':', port @ ..] => {
            let digits = port.iter().take_while(|byte| byte.is_ascii_digit()).count();
            (1..=5).contains(&digits) && matches!(port[digits..], [] | [b'/' | b'?' | b'#', ..])
        }
        _ => false,
    };
    port_fits && labels > usize::from(scheme.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    const POINT: NumberFormat = NumberFormat::CANONICAL;
    const GERMAN: NumberFormat = NumberFormat { decimal: b',', group: Some('.') };

    /// Reads `texts` as one column; those marked are a workbook's own. The issues come back as `row code message`.
    fn read(reader: &Reader, texts: &[&str], typed: &[usize]) -> (Column, Vec<String>) {
        let mut text = Text::default();
        texts.iter().for_each(|cell| text.push(cell.as_bytes()));
        let mut bits = vec![0; texts.len().div_ceil(8)];
        typed.iter().for_each(|row| bits[row / 8] |= 1 << (row % 8));
        let cells = Cells::new(&text.offsets, &text.bytes, Some(&bits)).unwrap();
        let mut log = RowLog::new(100, texts.len());
        let column = reader.read(&cells, 3, &mut log);
        let issues = log.into_issues();
        assert!(issues.columns.iter().all(|column| *column == 3));
        let slice = |text: &Text, row| String::from_utf8(text.keep_one(row)).unwrap();
        let lines = (0..issues.len())
            .map(|i| format!("{} {} {}", issues.rows[i], slice(&issues.codes, i), slice(&issues.messages, i)))
            .collect();
        (column, lines)
    }

    impl Text {
        fn keep_one(&self, row: usize) -> Vec<u8> {
            self.bytes[self.offsets[row] as usize..self.offsets[row + 1] as usize].to_vec()
        }
    }

    fn present<T: Clone>(values: &[T], column: &Column) -> Vec<Option<T>> {
        values.iter().enumerate().map(|(row, value)| column.has_value(row).then(|| value.clone())).collect()
    }

    fn floats(column: &Column) -> Vec<Option<f64>> {
        match &column.values {
            Values::Float(values) => present(values, column),
            other => panic!("{other:?}"),
        }
    }

    fn booleans(column: &Column, rows: usize) -> Vec<Option<bool>> {
        match &column.values {
            Values::Boolean(bits) => {
                let values: Vec<_> = (0..rows).map(|row| crate::columns::is_set(bits, row)).collect();
                present(&values, column)
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_blank_cell_has_no_value_whatever_its_type() {
        let sets = BooleanSets { truths: vec!["1".into()], falsehoods: vec!["0".into()] };
        for reader in [
            Reader::Text,
            Reader::Url,
            Reader::Integer(POINT),
            Reader::Float(POINT),
            Reader::Percent(POINT),
            Reader::PercentRatio(POINT),
            Reader::Decimal(Precision { scale: 2, excess: Excess::Reject }, POINT),
            Reader::Boolean(sets),
            Reader::Date(Vec::new()),
            Reader::TextList(",".into()),
        ] {
            let (column, issues) = read(&reader, &["", " ", "\t \r\n"], &[]);
            assert_eq!(column.validity.as_deref().map(|bits| bits[0] & 0b111), Some(0), "{reader:?}");
            assert!(issues.is_empty(), "{reader:?}: {issues:?}");
        }
    }

    #[test]
    fn blanks_count_round_a_text_and_not_round_a_number() {
        let (column, _) = read(&Reader::Text, &[" a ", "b"], &[]);
        assert_eq!(column.values, Values::Text(Text { offsets: vec![0, 3, 4], bytes: b" a b".to_vec() }));
        assert_eq!(column.validity, None);
        let (column, issues) = read(&Reader::Integer(POINT), &[" 12", "7\t", "1 2"], &[]);
        assert!(matches!(&column.values, Values::Integer(values) if values == &[12, 7, 0]));
        assert_eq!(issues, ["102 not_an_integer `1 2` is not a whole number"]);
    }

    /// 1234.56 from a workbook must not become 123456 where `.` groups.
    #[test]
    fn formats_apply_to_text_and_not_to_what_a_workbook_typed() {
        let (column, issues) = read(&Reader::Float(GERMAN), &["1234.56", "1.234,56", "1234,56"], &[0]);
        assert_eq!(floats(&column), [Some(1234.56), Some(1234.56), Some(1234.56)]);
        assert!(issues.is_empty());
        let german_date = Reader::Date(vec![DateFormat::parse("%d.%m.%Y").unwrap()]);
        let (column, issues) = read(&german_date, &["2024-10-15T00:00:00", "15.10.2024", "2024-10-15"], &[0]);
        assert!(matches!(&column.values, Values::Date(days) if days[0] == days[1]));
        assert_eq!(issues, ["102 bad_date `2024-10-15` is not a date in a format that is set"]);
    }

    #[test]
    fn percentages_come_with_or_without_their_sign() {
        let (column, issues) = read(&Reader::Percent(POINT), &["12%", "12", "7.5 %", "%", "12%%"], &[]);
        assert_eq!(floats(&column), [Some(12.0), Some(12.0), Some(7.5), None, None]);
        assert_eq!(
            issues,
            [
                "103 not_a_number `%` is not a number with `.` before its decimals and no groups",
                "104 not_a_number `12%%` is not a number with `.` before its decimals and no groups",
            ]
        );
        let (column, issues) = read(&Reader::PercentRatio(POINT), &["0.2", "0.07", "20%", "0.155"], &[0, 3]);
        assert_eq!(floats(&column), [Some(20.0), Some(7.0), None, Some(15.5)]);
        assert_eq!(issues, ["102 percent_sign_in_ratio `20%` has a percent sign where a ratio is expected"]);
    }

    #[test]
    fn decimals_say_how_many_digits_are_kept() {
        let reader = Reader::Decimal(Precision { scale: 2, excess: Excess::Reject }, POINT);
        let (column, issues) = read(&reader, &["19.99", "19.999", "1e2", "99999999999999999999"], &[]);
        assert!(matches!(&column.values, Values::Decimal(values) if values[0] == 1999));
        assert_eq!(
            issues,
            [
                "101 too_many_decimals `19.999` has more than the 2 digits that are kept after the `.`",
                "102 not_a_number `1e2` is not a number with `.` before its decimals and no groups",
                "103 out_of_range `99999999999999999999` is too large",
            ]
        );
    }

    #[test]
    fn booleans_are_what_the_sets_say() {
        let sets = BooleanSets { truths: vec!["ja".into()], falsehoods: vec!["nein".into()] };
        let texts = ["JA", "nein", "true", "true", "0", "", "2", "Ja", "ja"];
        let (column, issues) = read(&Reader::Boolean(sets), &texts, &[3, 4, 6]);
        let expected = [Some(true), Some(false), None, Some(true), Some(false), None, None, Some(true), Some(true)];
        assert_eq!(booleans(&column, texts.len()), expected);
        assert_eq!(
            issues,
            ["102 not_a_boolean `true` is none of `ja`, `nein`", "106 not_a_boolean `2` is none of `ja`, `nein`"]
        );
    }

    #[test]
    fn lists_drop_empty_items_and_blanks_round_items() {
        let (column, _) = read(&Reader::TextList("; ".into()), &["a; b ; ; c", "", " ; ", "d;e"], &[]);
        let Values::TextList(lists) = &column.values else { panic!("{column:?}") };
        assert_eq!(lists.offsets, [0, 3, 3, 3, 4]);
        assert_eq!(lists.items, Text { offsets: vec![0, 1, 2, 3, 6], bytes: b"abcd;e".to_vec() });
        assert_eq!(column.validity.map(|bits| bits[0] & 0b1111), Some(0b1001));
    }

    #[test]
    fn urls_are_addresses_and_nothing_that_runs() {
        for good in [
            "https://acme.com",
            "HTTP://localhost:8080/a?b#c",
            "ftp://files.acme.com/x",
            "acme.com",
            "www.acme.com/about?q=1",
            "bücher.example",
            "acme.com:443",
        ] {
            assert!(is_url(good.as_bytes()), "{good}");
        }
        for bad in [
            "acme",
            "javascript:alert(1)",
            "javascript://%0aalert(1)",
            "data:text/html,x.y",
            "mailto:a@acme.com",
            "a@acme.com",
            "https://",
            "https:///x",
            "http://a b.com",
            "//acme.com",
            "acme.com:http",
            "acme.com\n",
            "..",
        ] {
            assert!(!is_url(bad.as_bytes()), "{bad}");
        }
        let (column, issues) = read(&Reader::Url, &["acme.com", "n/a"], &[]);
        assert!(matches!(column.values, Values::Text(_)));
        assert_eq!(issues, ["101 not_a_url `n/a` is not a web address"]);
    }

    #[test]
    fn messages_show_values_cut_short_and_without_control_characters() {
        let long = format!("{}ü", "ä".repeat(MOST_QUOTED));
        let (_, issues) = read(&Reader::Integer(POINT), &["1\u{7}\n2", &long], &[]);
        assert_eq!(issues[0], "100 not_an_integer `1\\u{7}\\n2` is not a whole number");
        assert_eq!(issues[1], format!("101 not_an_integer `{}…` is not a whole number", "ä".repeat(MOST_QUOTED)));
    }
}
