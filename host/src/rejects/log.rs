//! What is wrong with the rows of one object, kept on disk until all is known.
//!
//! It comes in almost any order: a batch's from the decoder, then from either transform, and those of rows held back
//! at the end of a table. A [`RowLog`] brings it into that of rows. A record is `[column: 4][gravity: 1][code's length: 4]`,
//! little-endian, then code and message.

use std::io;
use std::path::Path;

use arrow_array::Array;

use super::RejectsError;
use crate::batch::Issues;
use crate::row_log::{self, RowLog};

/// Bytes of a record before its texts.
const HEADER: usize = 9;

/// Whether an issue costs the row its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gravity {
    /// It does.
    Reject,
    /// It does not.
    Warning,
}

/// Which issues a log keeps. The others are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keeps {
    Rejects,
    Everything,
}

/// What is wrong with a row, as it was pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// The table of the object, from 0.
    pub table: u32,
    /// The row of the table, from 0.
    pub row: u32,
    /// The header index, where a column is to blame.
    pub column: Option<usize>,
    /// A stable code.
    pub code: String,
    /// A sentence.
    pub message: String,
    /// Whether it costs the row its records.
    pub gravity: Gravity,
}

/// Gathers the rejects of one object; memory is bounded, whatever their number.
#[derive(Debug)]
pub struct IssueLog {
    log: RowLog,
    path: String,
    rejects: u64,
    warnings: u64,
    keeps: Keeps,
}

impl IssueLog {
    /// An empty log in a directory, the spool's as a rule.
    pub fn create(directory: &Path) -> Result<Self, RejectsError> {
        Self::over(directory, RowLog::create(directory))
    }

    /// The same; warnings are kept as well.
    pub fn with_warnings(directory: &Path) -> Result<Self, RejectsError> {
        Ok(Self { keeps: Keeps::Everything, ..Self::create(directory)? })
    }

    #[cfg(test)]
    pub(super) fn with_room(directory: &Path, most: usize) -> Result<Self, RejectsError> {
        Self::over(directory, RowLog::with_room(directory, most))
    }

    fn over(directory: &Path, log: io::Result<RowLog>) -> Result<Self, RejectsError> {
        let path = directory.display().to_string();
        let log = log.map_err(failed("make an issue log in", &path))?;
        Ok(Self { log, path, rejects: 0, warnings: 0, keeps: Keeps::Rejects })
    }

    /// Adds what is wrong with rows of a table of the object, counted from 0, but for rows (sorted) that are left out
    /// anyway.
    pub fn push(&mut self, table: u32, issues: &Issues, left_out: &[u32]) -> Result<(), RejectsError> {
        for (place, row) in issues.rows.iter().enumerate() {
            if left_out.binary_search(row).is_ok() {
                continue;
            }
            let gravity = if issues.rejects.value(place) { Gravity::Reject } else { Gravity::Warning };
            match gravity {
                Gravity::Reject => self.rejects += 1,
                Gravity::Warning => self.warnings += 1,
            }
            if gravity == Gravity::Warning && self.keeps == Keeps::Rejects {
                continue;
            }
            let text = |texts: &arrow_array::StringArray| -> String {
                if texts.is_valid(place) { texts.value(place).to_owned() } else { String::new() }
            };
            let column = issues.columns.get(place).copied().unwrap_or(-1);
            self.add(table, *row, column, gravity, [&text(&issues.codes), &text(&issues.messages)])?;
        }
        Ok(())
    }

    fn add(
        &mut self,
        table: u32,
        row: u32,
        column: i32,
        gravity: Gravity,
        [code, message]: [&str; 2],
    ) -> Result<(), RejectsError> {
        // What a mapper hands back is far smaller than 4 GiB.
        let length = u32::try_from(code.len()).unwrap_or(u32::MAX);
        let gravity = [u8::from(gravity == Gravity::Warning)];
        let parts = [&column.to_le_bytes()[..], &gravity, &length.to_le_bytes(), code.as_bytes(), message.as_bytes()];
        self.log.push(table, row, &parts).map_err(failed("write the issue log in", &self.path))
    }

    /// How many rejects there are; a row may have several.
    pub fn rejects(&self) -> u64 {
        self.rejects
    }

    /// How many warnings there are.
    pub fn warnings(&self) -> u64 {
        self.warnings
    }

    /// Everything that is kept, by table and row; what concerns one row in the order in which it was pushed.
    pub fn all(&mut self) -> Result<Vec<Issue>, RejectsError> {
        self.sorted()?.collect()
    }

    /// The same, without holding it in memory.
    pub fn sorted(&mut self) -> Result<Sorted<'_>, RejectsError> {
        let Self { log, path, .. } = self;
        let records = log.sorted().map_err(failed("read the issue log in", path))?;
        Ok(Sorted { records, path, record: Vec::new() })
    }
}

fn failed(what: &'static str, path: &str) -> impl FnOnce(io::Error) -> RejectsError {
    let path = path.to_owned();
    move |source| RejectsError::Io { what, path, source }
}

fn decode(table: u32, row: u32, record: &[u8]) -> Option<Issue> {
    let number = |at: usize| record.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
    let code_end = HEADER + u32::from_le_bytes(number(5)?) as usize;
    let text = |range: &[u8]| String::from_utf8_lossy(range).into_owned();
    Some(Issue {
        table,
        row,
        // -1 is above every index.
        column: usize::try_from(i32::from_le_bytes(number(0)?)).ok(),
        code: text(record.get(HEADER..code_end)?),
        message: text(record.get(code_end..)?),
        gravity: if record.get(4)? == &0 { Gravity::Reject } else { Gravity::Warning },
    })
}

/// Issues in the order of rows.
#[derive(Debug)]
pub struct Sorted<'a> {
    records: row_log::Sorted<'a>,
    path: &'a str,
    /// The record in hand, kept for its memory.
    record: Vec<u8>,
}

impl Iterator for Sorted<'_> {
    type Item = Result<Issue, RejectsError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_issue().transpose()
    }
}

impl Sorted<'_> {
    fn next_issue(&mut self) -> Result<Option<Issue>, RejectsError> {
        let failed = |error| failed("read the issue log in", self.path)(error);
        let Some((table, row)) = self.records.next(&mut self.record).map_err(failed)? else { return Ok(None) };
        let issue = decode(table, row, &self.record);
        issue.map(Some).ok_or_else(|| failed(io::ErrorKind::InvalidData.into()))
    }

    /// Table and row of the next issue.
    pub fn peek(&self) -> Option<(u32, u32)> {
        self.records.peek()
    }
}
