//! Bytes to tables and batches: CSV, xlsx, xls, and NDJSON of this machine.
//!
//! [`open`] takes a file and says nothing about where it comes from; a [`Decoder`] walks its tables and hands out
//! bounded batches of text columns. CSV is decoded here, as a stream. Workbooks are decoded in a worker process,
//! because no check inside a process survives what they can do, and arrive as frames of Arrow IPC.
//!
//! # Invariants
//!
//! - Memory is bounded by [`BATCH_ROWS`], [`BATCH_BYTES`] and [`Caps`], whatever the file's size (I6).
//! - The same bytes and options give the same tables, rows and line numbers every time, whichever columns are wanted:
//!   the reject file is written by decoding a second time.
//! - Bytes that cannot be decoded fail the file, never turn into replacement characters.

use std::fs::File;
use std::io;

use serde::{Deserialize, Serialize};

use crate::batch::{Batch, TableHead};
use crate::worker::{Launcher, WorkerError};

mod columns;
mod csv;
mod fault;
mod header;
mod ndjson;
mod options;
mod plain;
mod sniff;
mod text;
mod workbook;

pub use fault::FileFault;
pub use options::{
    Caps, CsvOptions, DecodeOptions, Encoding, ErrorCells, Header, HiddenSheets, Ragged, Sheets, UnknownEncoding,
    WorkbookOptions, WorkerCaps,
};
pub(crate) use workbook::decode_child;

/// The most rows of a batch.
pub const BATCH_ROWS: usize = 4096;
/// A batch ends with the row that takes it past this many bytes of text.
pub const BATCH_BYTES: usize = 1 << 20;

/// The file formats there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Text with delimited cells.
    Csv,
    /// A workbook as a zip archive of XML.
    Xlsx,
    /// A workbook as a compound file of binary records.
    Xls,
    /// Lines of JSON. Such files are taken from this machine, never from a bucket.
    Ndjson,
}

impl Format {
    /// The format that a key's suffix names, in any case; none where it is not one of ours.
    pub fn of_key(key: &str) -> Option<Self> {
        let (stem, suffix) = key.rsplit_once('.')?;
        let is = |name| suffix.eq_ignore_ascii_case(name);
        match () {
            () if stem.is_empty() => None,
            () if is("csv") => Some(Self::Csv),
            () if is("xlsx") => Some(Self::Xlsx),
            () if is("xls") => Some(Self::Xls),
            () => None,
        }
    }

    /// The format that the suffix of a file of this machine names: NDJSON counts there, too.
    pub fn of_local_file(name: &str) -> Option<Self> {
        Self::of_key(name).or_else(|| {
            let (stem, suffix) = name.rsplit_once('.')?;
            let is = |known: &str| suffix.eq_ignore_ascii_case(known);
            (!stem.is_empty() && (is("ndjson") || is("jsonl"))).then_some(Self::Ndjson)
        })
    }

    /// The suffix, in lower case and without the point.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Xlsx => "xlsx",
            Self::Xls => "xls",
            Self::Ndjson => "ndjson",
        }
    }
}

/// What was found out about how a file is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// Of a CSV file.
    Csv {
        /// The encoding it was read in; the byte order mark's where there is one.
        encoding: String,
        /// Whether it begins with a byte order mark.
        byte_order_mark: bool,
        /// Between cells.
        delimiter: char,
        /// The line of the header, from 1; none before the table was opened, and where there is no header.
        header_line: Option<u64>,
    },
    /// Of a workbook.
    Workbook {
        /// Its worksheets in order.
        sheets: Vec<Sheet>,
    },
    /// Of lines of JSON, which are always written the same way.
    Ndjson,
}

/// A worksheet of a workbook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sheet {
    /// Its name.
    pub name: String,
    /// Whether the workbook hides it.
    pub hidden: bool,
}

/// Opens a file, positioned at its start. Only its first bytes are looked at.
pub fn open(file: File, format: Format, options: &DecodeOptions, launcher: &Launcher) -> Result<Decoder, DecodeError> {
    Ok(Decoder(match format {
        Format::Ndjson => Inner::Ndjson(Box::new(ndjson::Ndjson::open(file, options.caps))),
        Format::Csv => Inner::Csv(Box::new(csv::Csv::open(file, &options.csv, options.caps)?)),
        Format::Xlsx | Format::Xls => Inner::Workbook(Box::new(workbook::Workbook::open(
            file,
            format,
            &options.workbook,
            options.caps,
            launcher,
        )?)),
    }))
}

/// A file on its way to batches. Calls block. After an error, it is of no more use.
#[derive(Debug)]
pub struct Decoder(Inner);

#[derive(Debug)]
enum Inner {
    Csv(Box<csv::Csv>),
    Ndjson(Box<ndjson::Ndjson>),
    Workbook(Box<workbook::Workbook>),
}

impl Decoder {
    /// The next table, in the file's order; what is left of the current one is skipped.
    pub fn next_table(&mut self) -> Result<Option<TableHead>, DecodeError> {
        match &mut self.0 {
            Inner::Csv(csv) => csv.next_table(),
            Inner::Ndjson(ndjson) => ndjson.next_table(),
            Inner::Workbook(workbook) => workbook.next_table(),
        }
    }

    /// Which columns of the open table the next batches hold, by header index; all before the first call. Indices that
    /// the header does not reach are ignored.
    pub fn want(&mut self, columns: &[u32]) {
        match &mut self.0 {
            Inner::Csv(csv) => csv.want(columns),
            Inner::Ndjson(ndjson) => ndjson.want(columns),
            Inner::Workbook(workbook) => workbook.want(columns),
        }
    }

    /// The next rows of the open table; none at its end, or where no table is open.
    pub fn next_batch(&mut self) -> Result<Option<Batch>, DecodeError> {
        match &mut self.0 {
            Inner::Csv(csv) => csv.next_batch(),
            Inner::Ndjson(ndjson) => ndjson.next_batch(),
            Inner::Workbook(workbook) => workbook.next_batch(),
        }
    }

    /// What is known by now about how the file is written.
    pub fn dialect(&self) -> Dialect {
        match &self.0 {
            Inner::Csv(csv) => csv.dialect(),
            Inner::Ndjson(ndjson) => ndjson.dialect(),
            Inner::Workbook(workbook) => workbook.dialect(),
        }
    }
}

/// Why a file gives no tables, or no more of them.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The file is to blame.
    #[error(transparent)]
    File(#[from] FileFault),
    /// The worker process that decoded a workbook gave no whole answer.
    #[error("the workbook could not be decoded")]
    Worker(#[source] WorkerError),
    /// The worker answered something that is no frame of ours.
    #[error("the worker's answer makes no sense: {0}")]
    Answer(String),
    /// An option cannot be used.
    #[error("{what} cannot be `{value}`")]
    Option {
        /// Which.
        what: &'static str,
        /// Its value.
        value: char,
    },
    /// The file could not be read.
    #[error("cannot read the file")]
    Io(#[from] io::Error),
}

impl DecodeError {
    /// Whether the file's content is to blame, so that reading it again changes nothing.
    pub fn is_files_fault(&self) -> bool {
        match self {
            Self::File(_) => true,
            Self::Worker(error) => error.is_inputs_fault(),
            Self::Answer(_) | Self::Option { .. } | Self::Io(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_follow_the_suffix_in_any_case() {
        let check = |key: &str, format| assert_eq!(Format::of_key(key), format, "{key}");
        check("a/b.csv", Some(Format::Csv));
        check("a/b.CsV", Some(Format::Csv));
        check("b.XLSX", Some(Format::Xlsx));
        check("b.tar.xls", Some(Format::Xls));
        check("b.csv.gz", None);
        check("csv", None);
        check(".csv", None);
        check("b.csv/", None);
        check("", None);
        check("b.ndjson", None);
        let local = |name: &str, format| assert_eq!(Format::of_local_file(name), format, "{name}");
        local("b.NDJSON", Some(Format::Ndjson));
        local("b.jsonl", Some(Format::Ndjson));
        local("b.csv", Some(Format::Csv));
        local(".jsonl", None);
        local("b.json", None);
    }

    #[test]
    fn a_decoder_may_move_between_threads() {
        fn check<T: Send>() {}
        check::<Decoder>();
    }
}
