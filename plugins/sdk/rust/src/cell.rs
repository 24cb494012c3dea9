//! One cell of a row.

use std::borrow::Cow;
use std::fmt;

use crate::date::{Date, moment};
use crate::issue::Reject;
use crate::number::Number;

/// One cell of a row.
///
/// What reads it as a value returns none for a blank one, and a [`Reject`] that names the cell for one that does not read.
/// Cells that a workbook itself typed are read as workbooks write them, whatever format is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Cell<'a> {
    text: &'a str,
    column: u32,
    is_typed: bool,
}

/// A text without blanks around it. Few have any, and those that begin and end in ASCII are told at a glance.
#[inline]
pub(crate) fn trimmed(text: &str) -> &str {
    match (text.as_bytes().first(), text.as_bytes().last()) {
        (Some(b'!'..=b'~'), Some(b'!'..=b'~')) | (None, _) => text,
        _ => text.trim(),
    }
}

/// A value, none for a blank cell, or why the row is refused.
type Read<T> = Result<Option<T>, Reject>;

impl<'a> Cell<'a> {
    #[inline]
    pub(crate) fn new(text: &'a str, column: u32, is_typed: bool) -> Self {
        Self { text, column, is_typed }
    }

    /// The text as it stands in the file.
    #[inline]
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// The text without blanks around it.
    #[inline]
    pub fn trimmed(&self) -> &'a str {
        trimmed(self.text)
    }

    /// Whether there is nothing but blanks.
    #[inline]
    pub fn is_blank(&self) -> bool {
        self.trimmed().is_empty()
    }

    /// Whether a workbook typed the cell: its text is canonical then (ISO 8601 dates, `.` before decimals).
    pub fn is_typed(&self) -> bool {
        self.is_typed
    }

    /// The header index of its column.
    pub fn column(&self) -> usize {
        self.column as usize
    }

    /// The same cell, unless it is blank.
    ///
    /// # Errors
    /// `blank_required` for a blank cell.
    pub fn required(&self) -> Result<&Self, Reject> {
        match self.is_blank() {
            true => Err(self.reject("blank_required", "the cell is blank")),
            false => Ok(self),
        }
    }

    /// A reject that names this cell.
    #[cold]
    pub fn reject(&self, code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Reject {
        Reject { column: Some(self.column), ..Reject::new(code, message) }
    }

    /// A whole number, `1234`.
    ///
    /// # Errors
    /// `not_an_integer`.
    #[inline]
    pub fn integer(&self) -> Read<i64> {
        self.integer_as(Number::PLAIN)
    }

    /// A whole number that is written in a certain way.
    ///
    /// # Errors
    /// `not_an_integer`.
    #[inline]
    pub fn integer_as(&self, number: Number) -> Read<i64> {
        self.read(|text| self.written(number).read(text, 0), "not_an_integer", "a whole number")
    }

    /// A number with at most `scale` digits after its point, without the point: `12.5` is 1250 for a scale of 2.
    ///
    /// # Errors
    /// `not_a_number`.
    #[inline]
    pub fn decimal(&self, scale: u8) -> Read<i64> {
        self.decimal_as(scale, Number::PLAIN)
    }

    /// The same of a number that is written in a certain way.
    ///
    /// # Errors
    /// `not_a_number`.
    #[inline]
    pub fn decimal_as(&self, scale: u8, number: Number) -> Read<i64> {
        let read = |text: &str| self.written(number).read(text, scale);
        self.read(read, "not_a_number", format_args!("a number with at most {scale} decimals"))
    }

    /// The nearest binary number.
    ///
    /// # Errors
    /// `not_a_number`.
    pub fn float(&self) -> Read<f64> {
        self.float_as(Number::PLAIN)
    }

    /// The same of a number that is written in a certain way.
    ///
    /// # Errors
    /// `not_a_number`.
    pub fn float_as(&self, number: Number) -> Read<f64> {
        self.read(|text| self.written(number).read_float(text), "not_a_number", "a number")
    }

    /// A day, `2024-10-15`, with or without a time behind it.
    ///
    /// # Errors
    /// `bad_date`.
    pub fn date(&self) -> Read<Date> {
        self.read(Date::iso, "bad_date", "a date as ISO 8601 writes it (`2024-10-15`)")
    }

    /// A day in a format of `%Y`, `%y`, `%m`, `%d` and literal characters. Without a day it is the first of the month.
    ///
    /// # Errors
    /// `bad_date`.
    pub fn date_as(&self, format: &str) -> Read<Date> {
        match self.is_typed {
            true => self.date(),
            false => self.read(|text| Date::read(text, format), "bad_date", "a date in the column's format"),
        }
    }

    /// Microseconds since 1970-01-01T00:00:00Z of `2024-10-15T13:45:00+02:00`; without an offset it is UTC.
    ///
    /// # Errors
    /// `bad_datetime`.
    pub fn timestamp(&self) -> Read<i64> {
        self.read(moment, "bad_datetime", "a moment as ISO 8601 writes it (`2024-10-15T13:45:00`)")
    }

    /// `true` or `false`, in any case.
    ///
    /// # Errors
    /// `not_a_boolean`.
    pub fn boolean(&self) -> Read<bool> {
        self.boolean_as(&["true"], &["false"])
    }

    /// One of the words for true or for false, in any case.
    ///
    /// # Errors
    /// `not_a_boolean`.
    pub fn boolean_as(&self, yes: &[&str], no: &[&str]) -> Read<bool> {
        let is_one = |words: &[&str], text: &str| words.iter().any(|word| word.eq_ignore_ascii_case(text));
        let read = |text: &str| {
            let typed = |word| self.is_typed && text == word;
            match () {
                () if is_one(yes, text) || typed("true") => Some(true),
                () if is_one(no, text) || typed("false") => Some(false),
                () => None,
            }
        };
        self.read(read, "not_a_boolean", "a word for true or for false")
    }

    fn written(&self, number: Number) -> Number {
        if self.is_typed { Number::PLAIN } else { number }
    }

    #[inline]
    fn read<T>(&self, read: impl FnOnce(&str) -> Option<T>, code: &'static str, what: impl fmt::Display) -> Read<T> {
        let text = self.trimmed();
        if text.is_empty() {
            return Ok(None);
        }
        match read(text) {
            Some(value) => Ok(Some(value)),
            None => Err(self.reject(code, format!("`{text}` is not {what}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blank_cell_is_no_value_and_a_bad_one_is_named() {
        assert_eq!(Cell::new("  ", 3, false).integer(), Ok(None));
        assert_eq!(Cell::new(" 12 ", 3, false).integer(), Ok(Some(12)));
        let reject = Cell::new("abc", 3, false).integer().unwrap_err();
        assert_eq!((reject.column, &*reject.code), (Some(3), "not_an_integer"));
        assert_eq!(reject.message, "`abc` is not a whole number");
        assert_eq!(Cell::new("", 1, false).required().unwrap_err().code, "blank_required");
    }

    #[test]
    fn what_a_workbook_typed_is_read_as_workbooks_write() {
        assert_eq!(Cell::new("1234.5", 0, true).decimal_as(2, Number::GERMAN), Ok(Some(123_450)));
        assert!(Cell::new("1234.5", 0, false).decimal_as(2, Number::GERMAN).is_err());
        assert_eq!(Cell::new("2024-10-15", 0, true).date_as("%d.%m.%Y"), Ok(Date::new(2024, 10, 15)));
        assert_eq!(Cell::new("true", 0, true).boolean_as(&["ja"], &["nein"]), Ok(Some(true)));
        assert_eq!(Cell::new("Nein", 0, false).boolean_as(&["ja"], &["nein"]), Ok(Some(false)));
    }
}
