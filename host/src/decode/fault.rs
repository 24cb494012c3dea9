//! What can be wrong with a file, in the words of whoever owns it.

use serde::{Deserialize, Serialize};

use crate::worker::Bytes;

/// What is wrong with a file as a whole. Lines are those of a CSV file or the rows of a sheet, columns the cells of a
/// row, both from 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum FileFault {
    #[error("the content is {found}, not what the suffix `.{suffix}` says")]
    NotWhatItSays { suffix: String, found: String },
    #[error("{}there is no header: nothing but blank rows", In(sheet))]
    NoHeader { sheet: Option<String> },
    #[error("{}the header in line {line} names no column", In(sheet))]
    BlankHeader { sheet: Option<String>, line: u64 },
    #[error("{}the header is larger than {}", In(sheet), Bytes((*limit).into()))]
    HeaderTooLarge { sheet: Option<String>, limit: u32 },
    #[error("the bytes at line {line}, column {column} are not {encoding}")]
    Undecodable { encoding: String, line: u64, column: u32 },
    #[error("there is a NUL byte at line {line}, column {column}: this is not text, or not in {encoding}")]
    NulByte { encoding: String, line: u64, column: u32 },
    #[error("the quote that opens at line {line}, column {column} is never closed")]
    UnclosedQuote { line: u64, column: u32 },
    #[error("{}the cell that begins at line {line}, column {column} is larger than {}", In(sheet), Bytes((*limit).into()))]
    CellTooLarge { sheet: Option<String>, line: u64, column: u32, limit: u32 },
    #[error("{}the row that begins at line {line} is larger than {}", In(sheet), Bytes((*limit).into()))]
    RowTooLarge { sheet: Option<String>, line: u64, limit: u32 },
    #[error("{}the row at line {line} has more than {limit} columns", In(sheet))]
    TooManyColumns { sheet: Option<String>, line: u64, limit: u32 },
    #[error("{}there are more than {limit} rows", In(sheet))]
    TooManyRows { sheet: Option<String>, limit: u32 },
    #[error("the row at line {line} has {cells} cells, the header {columns}")]
    Ragged { line: u64, cells: u32, columns: u32 },
    #[error("line {line} is no JSON object: {reason}")]
    NoObject { line: u64, reason: String },
    #[error("the value of `{key}` in line {line} is nested")]
    Nested { line: u64, key: String },
    #[error("the key `{key}` stands twice in line {line}")]
    DoubledKey { line: u64, key: String },
    #[error("the number `{key}` in line {line} has more digits than can be kept")]
    InexactNumber { line: u64, key: String },
    #[error("the workbook has more than {limit} cells")]
    TooManyCells { limit: u64 },
    #[error("the workbook unpacks to {} or more, more than {} is not taken", Bytes(*declared), Bytes(*limit))]
    Unpacked { declared: u64, limit: u64 },
    #[error("the workbook is encrypted")]
    Encrypted,
    #[error("there is no sheet {wanted}; there are {there}")]
    NoSuchSheet { wanted: String, there: String },
    #[error("every sheet of the workbook is hidden")]
    NoVisibleSheet,
    #[error("{}row {line} stands after a later one", In(sheet))]
    RowsOutOfOrder { sheet: Option<String>, line: u64 },
    #[error("{}{reason}", In(sheet))]
    Workbook { sheet: Option<String>, reason: String },
}

impl FileFault {
    /// A stable word for it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotWhatItSays { .. } => "not_what_it_says",
            Self::NoHeader { .. } => "no_header",
            Self::BlankHeader { .. } => "blank_header",
            Self::HeaderTooLarge { .. } => "header_too_large",
            Self::Undecodable { .. } => "undecodable",
            Self::NulByte { .. } => "nul_byte",
            Self::UnclosedQuote { .. } => "unclosed_quote",
            Self::CellTooLarge { .. } => "cell_too_large",
            Self::RowTooLarge { .. } => "row_too_large",
            Self::TooManyColumns { .. } => "too_many_columns",
            Self::TooManyRows { .. } => "too_many_rows",
            Self::Ragged { .. } => "ragged",
            Self::NoObject { .. } => "no_object",
            Self::Nested { .. } => "nested",
            Self::DoubledKey { .. } => "doubled_key",
            Self::InexactNumber { .. } => "inexact_number",
            Self::TooManyCells { .. } => "too_many_cells",
            Self::Unpacked { .. } => "unpacked",
            Self::Encrypted => "encrypted",
            Self::NoSuchSheet { .. } => "no_such_sheet",
            Self::NoVisibleSheet => "no_visible_sheet",
            Self::RowsOutOfOrder { .. } => "rows_out_of_order",
            Self::Workbook { .. } => "workbook",
        }
    }
}

/// Where in a workbook, before what is wrong there.
struct In<'a>(&'a Option<String>);

impl std::fmt::Display for In<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.as_ref().map_or(Ok(()), |sheet| write!(f, "in sheet `{}` ", sheet.escape_debug()))
    }
}
