//! How files are to be read. Configuration builds these; they cross to the worker and are part of the mapping digest.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How files of every format are read.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DecodeOptions {
    /// For CSV files.
    pub csv: CsvOptions,
    /// For xlsx and xls files.
    pub workbook: WorkbookOptions,
    /// The most that is taken.
    pub caps: Caps,
}

/// How CSV files are read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CsvOptions {
    /// Between cells; an ASCII character.
    pub delimiter: char,
    /// Around cells; doubled inside, it stands for itself. None: quotes are ordinary characters.
    pub quote: Option<char>,
    /// Before a character inside quotes that stands for itself.
    pub escape: Option<char>,
    /// At the start of a line that is no record.
    pub comment: Option<char>,
    /// Whether the first record names the columns.
    pub header: Header,
    /// Lines before the header that are no records, blank ones counted.
    pub skip_rows: u32,
    /// Records after the header that are no rows: units, say.
    pub skip_after_header: u32,
    /// Records at the end that are no rows: totals, say.
    pub footer_rows: u32,
    /// What the bytes mean, where no byte order mark says otherwise.
    pub encoding: Encoding,
    /// What happens to a row that has more or fewer cells than there are columns.
    pub ragged: Ragged,
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self {
            delimiter: ',',
            quote: Some('"'),
            escape: None,
            comment: None,
            header: Header::Row,
            skip_rows: 0,
            skip_after_header: 0,
            footer_rows: 0,
            encoding: Encoding::default(),
            ragged: Ragged::Reject,
        }
    }
}

/// Whether the first row names the columns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Header {
    /// It does.
    #[default]
    Row,
    /// It is a row like the others; the columns are called `column_1` and so on.
    None,
}

/// What happens to a CSV row that has more or fewer cells than there are columns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ragged {
    /// The row is rejected.
    #[default]
    Reject,
    /// Missing cells are blank; surplus ones are left out, with a warning unless they are blank.
    Pad,
    /// The file fails.
    Fail,
}

/// A text encoding of the WHATWG Encoding Standard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Encoding(&'static encoding_rs::Encoding);

impl Encoding {
    pub(super) fn get(self) -> &'static encoding_rs::Encoding {
        self.0
    }
}

impl Default for Encoding {
    /// UTF-8.
    fn default() -> Self {
        Self(encoding_rs::UTF_8)
    }
}

impl FromStr for Encoding {
    type Err = UnknownEncoding;
    fn from_str(label: &str) -> Result<Self, UnknownEncoding> {
        let known = encoding_rs::Encoding::for_label_no_replacement(label.as_bytes());
        known.map(Self).ok_or_else(|| UnknownEncoding { label: label.to_owned() })
    }
}

impl TryFrom<String> for Encoding {
    type Error = UnknownEncoding;
    fn try_from(label: String) -> Result<Self, UnknownEncoding> {
        label.parse()
    }
}

impl From<Encoding> for String {
    fn from(encoding: Encoding) -> Self {
        encoding.to_string()
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.name().to_ascii_lowercase())
    }
}

/// A label is not that of an encoding.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{label}` is not the name of a text encoding")]
pub struct UnknownEncoding {
    /// The label.
    pub label: String,
}

/// How workbooks are read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkbookOptions {
    /// Which worksheets are tables.
    pub sheets: Sheets,
    /// What happens to hidden ones among them.
    pub hidden: HiddenSheets,
    /// Whether a row names the columns.
    pub header: Header,
    /// The row of the sheet, from 1, where the table starts; none for its first row that is not blank.
    pub first_row: Option<u32>,
    /// What happens to cells that hold an error.
    pub error_cells: ErrorCells,
}

/// Which worksheets are tables.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sheets {
    /// The first one.
    #[default]
    First,
    /// All, in the workbook's order; blank ones are left out.
    All,
    /// The one of this name, hidden or not.
    Name(String),
    /// The one at this place, from 1, hidden ones counted.
    Index(u32),
}

/// What happens to hidden worksheets that nobody named.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HiddenSheets {
    /// They are left out.
    #[default]
    Skip,
    /// They are worksheets like the others.
    Take,
}

/// What happens to workbook cells that hold an error, `#REF!` say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCells {
    /// Their row is rejected.
    #[default]
    Reject,
    /// They are blank.
    Blank,
}

/// The most that is taken of a file. Beyond, the file fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Caps {
    /// Columns of a table.
    pub columns: u32,
    /// Rows of a table.
    pub rows: u32,
    /// Bytes of one cell's text.
    pub cell_bytes: u32,
    /// Bytes of one row's text.
    pub row_bytes: u32,
    /// Bytes of the header's text.
    pub header_bytes: u32,
    /// Cells of a workbook that are not blank.
    pub workbook_cells: u64,
    /// Bytes that a workbook says it unpacks to.
    pub unpacked_bytes: u64,
    /// What the process that decodes a workbook may take.
    pub worker: WorkerCaps,
}

impl Default for Caps {
    fn default() -> Self {
        Self {
            columns: 16_384,
            rows: 1_000_000_000,
            cell_bytes: 1 << 20,
            row_bytes: 8 << 20,
            header_bytes: 1 << 20,
            workbook_cells: 200_000_000,
            unpacked_bytes: 2 << 30,
            worker: WorkerCaps::default(),
        }
    }
}

/// What the process that decodes a workbook may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkerCaps {
    /// Bytes of memory.
    pub memory: u64,
    /// Processor time for any workbook.
    pub cpu: Duration,
    /// Processor time for each MiB of the file beyond.
    pub cpu_per_mib: Duration,
    /// How many times the processor time it is waited for.
    pub wall_factor: u32,
    /// Bytes of tables.
    pub output: u64,
}

impl Default for WorkerCaps {
    fn default() -> Self {
        Self {
            memory: 512 << 20,
            cpu: Duration::from_secs(60),
            cpu_per_mib: Duration::from_secs(2),
            wall_factor: 4,
            output: 16 << 30,
        }
    }
}
