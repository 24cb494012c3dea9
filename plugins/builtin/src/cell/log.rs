//! What is found wrong with the rows of a batch.
//!
//! Owns what becomes of a row: kept, rejected or passed over. A row that is passed over has no other fault.

use super::quote;
use crate::Fault;
use crate::columns::{Issues, Severity};
use crate::settings::OnInvalid;

/// Whose fault an invalid value is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Blame<'a> {
    /// A column's, by its place in the header.
    Column(u32),
    /// In each row another column's.
    Each(&'a [u32]),
    /// No single column's: a field's, by its key.
    Field(&'a str),
    /// Nothing else is in question.
    Nobody,
}

impl Blame<'_> {
    fn column(self, row: usize) -> i32 {
        match self {
            Self::Column(header) => header as i32,
            Self::Each(headers) => headers.get(row).map_or(-1, |header| *header as i32),
            Self::Field(_) | Self::Nobody => -1,
        }
    }
}

/// What is found wrong with the rows of a batch while its columns are read.
#[derive(Debug)]
pub(crate) struct RowLog {
    first_row: u32,
    rows: usize,
    issues: Issues,
    /// What becomes of each row; empty while all yield a record.
    fates: Vec<Fate>,
    on_invalid: OnInvalid,
    /// The rows of the column in hand whose values were refused and are not to be, in no order.
    spared: Vec<u32>,
    /// The rows of which nothing invalid is said for now; empty while there is none.
    muted: Vec<bool>,
    fault: Option<Fault>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Kept,
    /// It yields no record, which is no fault, and nothing is wrong with it.
    PassedOver,
    Rejected,
}

impl RowLog {
    pub(crate) fn new(first_row: u32, rows: usize) -> Self {
        Self {
            first_row,
            rows,
            issues: Issues::default(),
            fates: Vec::new(),
            on_invalid: OnInvalid::RejectRow,
            spared: Vec::new(),
            muted: Vec::new(),
            fault: None,
        }
    }

    /// Begins a column, and says what becomes of cells that do not read.
    pub(crate) fn begin_column(&mut self, on_invalid: OnInvalid) {
        self.on_invalid = on_invalid;
        self.spared.clear();
    }

    /// Says of which rows values do not count, so that none of them is invalid.
    pub(crate) fn mute(&mut self, rows: Vec<bool>) {
        self.muted = rows;
    }

    /// The rows of the column whose value was refused and whose record stays, so that it has none or the default.
    pub(crate) fn spared(&self) -> &[u32] {
        &self.spared
    }

    /// The row yields no record, and `code` says why.
    #[cold]
    pub(crate) fn reject(&mut self, row: usize, header: u32, code: &str, write: impl FnOnce(&mut Vec<u8>)) {
        self.refuse(row, header as i32, code, write);
    }

    fn refuse(&mut self, row: usize, column: i32, code: &str, write: impl FnOnce(&mut Vec<u8>)) {
        if self.end(row, Fate::Rejected) {
            self.issues.push(self.number(row), column, Severity::Reject, code, write);
        }
    }

    /// A value of the column cannot be taken.
    #[cold]
    pub(crate) fn invalid(
        &mut self,
        row: usize,
        blame: Blame<'_>,
        code: &'static str,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        if self.muted.get(row) == Some(&true) {
            return;
        }
        let column = blame.column(row);
        let write = |bytes: &mut Vec<u8>| {
            if let Blame::Field(name) = blame {
                bytes.extend_from_slice(b"the field ");
                quote(name.as_bytes(), bytes);
                bytes.extend_from_slice(b": ");
            }
            write(bytes);
        };
        match self.on_invalid {
            OnInvalid::RejectRow => self.refuse(row, column, code, write),
            OnInvalid::NullField | OnInvalid::Default => {
                self.spared.push(row as u32);
                if !self.is_lost(row) {
                    self.issues.push(self.number(row), column, Severity::Warning, code, write);
                }
            }
            OnInvalid::FailFile => {
                let mut message = Vec::new();
                write(&mut message);
                let (row, column) = (self.number(row), u32::try_from(column).ok());
                self.fault.get_or_insert_with(|| Fault {
                    code,
                    message: String::from_utf8_lossy(&message).into_owned(),
                    row: Some(row),
                    column,
                });
            }
        }
    }

    /// The row yields no record, which is no fault.
    #[cold]
    pub(crate) fn pass_over(&mut self, row: usize, code: &str, message: &str) {
        if self.end(row, Fate::PassedOver) {
            let write = |bytes: &mut Vec<u8>| bytes.extend_from_slice(message.as_bytes());
            self.issues.push(self.number(row), -1, Severity::Warning, code, write);
        }
    }

    /// Says what becomes of a row, unless it was passed over.
    fn end(&mut self, row: usize, fate: Fate) -> bool {
        self.fates.resize(self.rows, Fate::Kept);
        let is_news = self.fates[row] != Fate::PassedOver;
        if is_news {
            self.fates[row] = fate;
        }
        is_news
    }

    /// The table-wide number of a row of the batch.
    pub(crate) fn number(&self, row: usize) -> u32 {
        self.first_row + row as u32
    }

    /// Whether the row yields no record.
    #[inline]
    pub(crate) fn is_lost(&self, row: usize) -> bool {
        self.fates.get(row).is_some_and(|fate| *fate != Fate::Kept)
    }

    /// Whether every row yields a record.
    pub(crate) fn is_whole(&self) -> bool {
        self.fates.is_empty()
    }

    /// # Errors
    /// What fails the whole file.
    pub(crate) fn finish(self) -> Result<Issues, Fault> {
        self.fault.map_or(Ok(self.issues), Err)
    }

    /// What is wrong with single rows.
    pub(crate) fn into_issues(self) -> Issues {
        self.issues
    }
}
