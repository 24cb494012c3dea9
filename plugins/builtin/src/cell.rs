//! How the cells of one column become values of one type.
//!
//! Owns what a cell of each type may look like and what is said of one that does not; knows nothing of settings, headers
//! or records. Reads a whole column at a time, without an allocation per cell. Every row gets a place in the column that
//! comes out, so that columns stay aligned; rows that are lost are thinned out once, at the end.

mod date;
mod dress;
mod exact;
mod log;
mod number;
mod word;

use std::io::Write;

use crate::columns::{Cells, Column, Text, TextList, Validity, Values};
pub(crate) use date::DateFormat;
#[cfg(test)]
pub(crate) use date::iso as iso_date;
pub(crate) use dress::{Dress, Percent};
pub(crate) use exact::Exact;
pub(crate) use log::{Blame, RowLog};
use number::Origin;
pub(crate) use number::{Excess, NumberFormat, Precision, Spelled};

use crate::zone::Zone;

/// How the cells of a column are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reader {
    Text,
    Url,
    Email,
    Integer(NumberFormat),
    Float(NumberFormat),
    Percent(NumberFormat),
    PercentRatio(NumberFormat),
    Decimal(Precision, NumberFormat),
    Boolean(BooleanSets),
    Date(Dates),
    Moment(Dates),
    /// What stands between the items.
    TextList(String),
}

/// How dates and moments are written, and in which zone moments without an offset are local time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Dates {
    /// ISO 8601 when there is none.
    pub(crate) formats: Vec<DateFormat>,
    pub(crate) zone: Zone,
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
    /// Microseconds since 1970-01-01T00:00:00Z.
    Timestamp,
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
    BadDatetime,
    NotAUrl,
    NotAnEmail,
}

impl Problem {
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::NotAnInteger => "not_an_integer",
            Self::NotANumber => "not_a_number",
            Self::OutOfRange => "out_of_range",
            Self::TooManyDecimals => "too_many_decimals",
            Self::PercentSign => "percent_sign_in_ratio",
            Self::NotABoolean => "not_a_boolean",
            Self::BadDate => "bad_date",
            Self::BadDatetime => "bad_datetime",
            Self::NotAUrl => "not_a_url",
            Self::NotAnEmail => "not_an_email",
        }
    }
}

impl Reader {
    pub(crate) fn value_type(&self) -> ValueType {
        match self {
            Self::Text | Self::Url | Self::Email => ValueType::Text,
            Self::Integer(_) => ValueType::Integer,
            Self::Float(_) | Self::Percent(_) | Self::PercentRatio(_) => ValueType::Float,
            Self::Decimal(precision, _) => ValueType::Decimal(precision.scale),
            Self::Boolean(_) => ValueType::Boolean,
            Self::Date(_) => ValueType::Date,
            Self::Moment(_) => ValueType::Timestamp,
            Self::TextList(_) => ValueType::TextList,
        }
    }

    /// How numbers are written.
    pub(crate) fn number_format(&self) -> NumberFormat {
        match self {
            Self::Integer(format) | Self::Float(format) | Self::Percent(format) | Self::PercentRatio(format) => *format,
            Self::Decimal(_, format) => *format,
            Self::Text
            | Self::Url
            | Self::Email
            | Self::Boolean(_)
            | Self::Date(_)
            | Self::Moment(_)
            | Self::TextList(_) => NumberFormat::CANONICAL,
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
            ValueType::Timestamp => Values::Timestamp(Vec::new()),
            ValueType::TextList => Values::TextList(TextList { offsets: vec![0], items: Text::default() }),
        };
        Column { values, validity: None }
    }

    /// The same reader for cells that are written as a workbook's own are.
    pub(crate) fn canonical(&self) -> Self {
        let plain = NumberFormat::CANONICAL;
        match self {
            Self::Integer(_) => Self::Integer(plain),
            Self::Float(_) => Self::Float(plain),
            Self::Percent(_) => Self::Percent(plain),
            Self::PercentRatio(_) => Self::PercentRatio(plain),
            Self::Decimal(precision, _) => Self::Decimal(*precision, plain),
            Self::Date(dates) => Self::Date(Dates { formats: Vec::new(), zone: dates.zone.clone() }),
            Self::Moment(dates) => Self::Moment(Dates { formats: Vec::new(), zone: dates.zone.clone() }),
            Self::Text | Self::Url | Self::Email | Self::Boolean(_) | Self::TextList(_) => self.clone(),
        }
    }

    /// Reads every cell. A blank cell has no value. A cell that cannot be read has none either, and the log says what
    /// becomes of its row.
    pub(crate) fn read(&self, cells: &Cells<'_>, blame: Blame<'_>, log: &mut RowLog) -> Column {
        let spelled = &mut Spelled::default();
        let canonical = |typed: bool, format: &NumberFormat| if typed { NumberFormat::CANONICAL } else { *format };
        let report = |log: &mut RowLog, row: usize, cell: &[u8], problem: Problem| {
            log.invalid(row, blame, problem.code(), |bytes| self.explain(problem, cell, bytes));
        };
        match self {
            Self::Text => read_texts(cells, |_, _| true),
            Self::Url => read_texts(cells, |row, cell| {
                let fits = is_url(cell);
                if !fits {
                    report(log, row, cell, Problem::NotAUrl);
                }
                fits
            }),
            Self::Email => read_texts(cells, |row, cell| {
                let fits = is_email(cell);
                if !fits {
                    report(log, row, cell, Problem::NotAnEmail);
                }
                fits
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
            Self::Date(dates) => {
                let (days, validity) = read_dates(dates, cells, blame, log);
                Column { values: Values::Date(days), validity }
            }
            Self::Moment(Dates { formats, zone }) => {
                let read = |cell: &[u8], typed| date::moment(cell, formats, typed, zone).ok_or(Problem::BadDatetime);
                let (values, validity) = read_each(cells, read, |row, cell, problem| {
                    log.invalid(row, blame, problem.code(), |bytes| {
                        quote(cell, bytes);
                        bytes.extend_from_slice(match formats.is_empty() || cells.is_typed(row) {
                            true => b" is not a moment as ISO 8601 writes it (`2024-10-15T13:45:00`), or one that no clock showed",
                            false => b" is not a moment in a format that is set, or one that no clock showed",
                        });
                    });
                });
                Column { values: Values::Timestamp(values), validity }
            }
            Self::TextList(separator) => read_lists(cells, separator.as_bytes()),
        }
    }

    /// Appends a sentence on a cell that cannot be read.
    fn explain(&self, problem: Problem, cell: &[u8], bytes: &mut Vec<u8>) {
        quote(cell, bytes);
        let format = self.number_format();
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
            (Problem::BadDatetime, _) => write!(bytes, " is not a moment"),
            (Problem::NotAnEmail, _) => write!(bytes, " is not an e-mail address"),
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
    Dates { formats, zone }: &Dates,
    cells: &Cells<'_>,
    blame: Blame<'_>,
    log: &mut RowLog,
) -> (Vec<i32>, Option<Vec<u8>>) {
    let read = |cell: &[u8], typed| date::date(cell, formats, typed, zone).ok_or(Problem::BadDate);
    read_each(cells, read, |row, cell, problem| {
        log.invalid(row, blame, problem.code(), |bytes| {
            quote(cell, bytes);
            bytes.extend_from_slice(match formats.is_empty() || cells.is_typed(row) {
                true => b" is not a date as ISO 8601 writes it (`2024-10-15`)",
                false => b" is not a date in a format that is set",
            });
        });
    })
}

/// Takes texts as they are. A blank one, and one that does not fit, has no value; its bytes may stay.
#[inline]
fn read_texts(cells: &Cells<'_>, mut fits: impl FnMut(usize, &[u8]) -> bool) -> Column {
    let mut validity = Validity::all(cells.len());
    for (row, cell) in cells.iter().enumerate() {
        if is_blank(cell) || !fits(row, cell) {
            validity.clear(row);
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

/// What a byte is in the name of a host.
const HOST: [u8; 256] = {
    let mut kinds = [OTHER; 256];
    let mut byte = 0;
    while byte < 256 {
        kinds[byte] = match byte as u8 {
            b'.' => DOT,
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | 0x80.. => LABEL,
            _ => OTHER,
        };
        byte += 1;
    }
    kinds
};
const OTHER: u8 = 0;
const LABEL: u8 = 1;
const DOT: u8 = 2;

/// Whether a text can be a web address: `http`, `https` or `ftp` and a host, or a host with a dot in it, and no blank or
/// control character anywhere. Anything else after which a browser might run something is none.
fn is_url(cell: &[u8]) -> bool {
    if word::is_broken_up(cell) {
        return false;
    }
    let schemes: [&[u8]; 3] = [b"https://", b"http://", b"ftp://"];
    let begins = |scheme: &&&[u8]| cell.get(..scheme.len()).is_some_and(|head| head.eq_ignore_ascii_case(scheme));
    let scheme = schemes.iter().find(begins);
    let rest = &cell[scheme.map_or(0, |scheme| scheme.len())..];
    let (mut host, mut labels, mut in_label) = (0, 0, false);
    for byte in rest {
        let kind = HOST[usize::from(*byte)];
        if kind == OTHER {
            break;
        }
        labels += usize::from(kind == LABEL && !in_label);
        in_label = kind == LABEL;
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

/// Whether a text can be an e-mail address: one `@` (others only in quotes), something before it, after it a host with a
/// dot in it, and no blank or control character anywhere.
fn is_email(cell: &[u8]) -> bool {
    let Some(at) = cell.iter().rposition(|byte| *byte == b'@') else {
        return false;
    };
    let (local, host) = (&cell[..at], &cell[at + 1..]);
    let is_bare = |byte: &u8| !byte.is_ascii_control() && !b" @,;:<>()[]\\\"".contains(byte);
    let is_quoted = local.len() > 2 && local.starts_with(b"\"") && local.ends_with(b"\"");
    let local_fits =
        !local.is_empty() && (is_quoted || local.iter().all(is_bare)) && !local.iter().any(u8::is_ascii_control);
    let mut labels = host.split(|byte| *byte == b'.');
    let label_fits = |label: &[u8]| {
        !label.is_empty() && label.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-' || *byte >= 0x80)
    };
    local_fits && host.contains(&b'.') && labels.all(label_fits)
}

#[cfg(test)]
mod tests;
