//! What is wrong: with a row, or with a whole file.

use std::borrow::Cow;

use crate::columns::Texts;

/// Why a row is refused, for the person who owns the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    pub(crate) column: Option<u32>,
    pub(crate) code: Cow<'static, str>,
    pub(crate) message: String,
}

impl Reject {
    /// A reject for which no cell is to blame; [`Cell::reject`](crate::Cell::reject) names one. The code is of letters, digits,
    /// `-` and `_`, at most 64 bytes; the message a sentence without a full stop.
    pub fn new(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { column: None, code: code.into(), message: message.into() }
    }
}

/// Why a whole file fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// A stable code of letters, digits, `-` and `_`, at most 64 bytes.
    pub code: Cow<'static, str>,
    /// A sentence without a full stop.
    pub message: String,
    /// The table-wide row at fault, from 0, where there is one.
    pub row: Option<u32>,
    /// The header index at fault, where there is one.
    pub column: Option<u32>,
}

impl Fault {
    /// A fault that lies in no row and no column.
    pub fn new(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), row: None, column: None }
    }

    /// The same, of a row.
    #[must_use]
    pub fn at_row(self, row: u32) -> Self {
        Self { row: Some(row), ..self }
    }
}

/// Whether an issue costs its row the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gravity {
    Reject,
    Warning,
}

/// Issues of rows, as columns of one length.
#[derive(Debug, Default)]
pub(crate) struct Issues {
    pub(crate) rows: Vec<u32>,
    pub(crate) columns: Vec<i32>,
    pub(crate) rejects: Vec<u8>,
    pub(crate) codes: Texts,
    pub(crate) messages: Texts,
}

impl Issues {
    pub(crate) fn add(&mut self, row: u32, gravity: Gravity, issue: &Reject) {
        let place = self.rows.len();
        if place.is_multiple_of(8) {
            self.rejects.push(0);
        }
        if let (Gravity::Reject, Some(byte)) = (gravity, self.rejects.last_mut()) {
            *byte |= 1 << (place % 8);
        }
        self.rows.push(row);
        self.columns.push(issue.column.and_then(|column| i32::try_from(column).ok()).unwrap_or(-1));
        self.codes.push(&issue.code);
        self.messages.push(&issue.message);
    }
}
