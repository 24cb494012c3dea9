//! The reject file: the rows of one object that were refused, each with what is wrong with it.
//!
//! It owns the [`IssueLog`] that gathers rejects while an object is ingested, and the CSV file that is made of it by
//! decoding the object a second time, so that nothing of a row has to be kept. It does not know who refused a row.
//!
//! # The file (R10)
//!
//! `{directory}/{integration}/{key, escaped}.{start of the ETag}.g{generation}.rejects.csv`; for a workbook one file for
//! each sheet that has rejects, with `.sheet-{number}` before `.rejects.csv`. Its header is that of the table, then
//! `_gristmill_line`, `_column`, `_value`, `_code`, `_message` and `_origin`; each refused row stands in it once, with
//! its original cells. Where several cells of a row are wrong, their columns, values, codes and messages are joined
//! with `; `, so that a row that was mended once is whole. `_gristmill_line` is the line of the file that was read, and
//! `_gristmill_origin` says which row of which object this is ([`Origin`]); a mended reject file that has rejects again
//! keeps its rows' first origin, and its own six columns are not doubled.
//!
//! The dialect is fixed: UTF-8 with a byte order mark, which spreadsheets need, commas, double quotes where needed, CRLF.
//! Cells are written exactly as they were read, also those that begin with `=`, `+`, `-` or `@` and that a spreadsheet
//! may take for a formula: a reject file has to come back as what it was.
//!
//! It is written aside, flushed and renamed. An object without rejects has no file.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use arrow_array::Array;
use serde::Serialize;

use crate::batch::{Batch, TableHead};
use crate::destination::{RejectRow, RowCounts};
use crate::object::{Identity, Object, Share};

pub use former::Former;
pub use log::{Gravity, Issue, IssueLog, Sorted};
pub use name::FilesByKey;
pub use origin::Origin;

mod former;
mod log;
mod name;
mod origin;

#[cfg(test)]
mod tests;

/// The columns after the original ones.
pub const COLUMNS: [&str; 6] =
    ["_gristmill_line", "_gristmill_column", "_gristmill_value", "_gristmill_code", "_gristmill_message", ORIGIN];

/// The column by which a mended reject file is known.
pub const ORIGIN: &str = "_gristmill_origin";

/// Between the things that are wrong with one row.
const BETWEEN: &str = "; ";
/// So many rejects are handed to a destination at once.
const HANDED_OVER: usize = 256;

/// Why the reject file could not be made.
#[derive(Debug, thiserror::Error)]
pub enum RejectsError {
    /// The file system refused.
    #[error("cannot {what} `{path}`")]
    Io {
        /// The step.
        what: &'static str,
        /// The file or directory.
        path: String,
        /// The system's own words.
        #[source]
        source: io::Error,
    },
    /// The object could not be decoded again.
    #[error("cannot decode the object a second time")]
    Decode(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A row was refused that the second decoding does not have.
    #[error("row {row} of table {table} was refused but is not in the object")]
    NoSuchRow {
        /// The table of the object, from 0.
        table: u32,
        /// The row of the table, from 0.
        row: u32,
    },
    /// Whoever was handed the rejects refused them.
    #[error("cannot hand over the rejects")]
    HandOver(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A part of an object as it is decoded: each table's head, then its batches, all columns wanted.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
pub enum Part {
    /// The next table begins.
    Table(TableHead),
    /// Some of its rows.
    Batch(Batch),
}

/// How many rows of an object may be rejected before none of it is merged (R11).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct RejectLimits {
    /// So many.
    pub rows: Option<u64>,
    /// Such a share of all its rows.
    pub share: Option<Share>,
}

impl RejectLimits {
    /// The limit that an object's rows exceed, as a sentence's end.
    pub fn exceeded_by(&self, rows: RowCounts) -> Option<String> {
        let RowCounts { read, rejected } = rows;
        let by_rows = self.rows.filter(|most| rejected > *most).map(|most| format!("`max_rejects` is {most}"));
        let by_share = || self.share.filter(|share| share.is_exceeded_by(rejected, read));
        by_rows.or_else(|| by_share().map(|share| format!("`max_reject_ratio` is {share}")))
    }
}

/// What was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rejected {
    /// Rows that were refused.
    pub rows: u64,
    /// What is wrong with them, in all.
    pub rejects: u64,
    /// The files, in the order of their tables; none without rejects.
    pub files: Vec<PathBuf>,
}

/// The reject files of an object that were written below `directory`. Reads the integration's folder.
pub fn files_of(directory: &Path, identity: &Identity, object: &Object) -> Vec<PathBuf> {
    let path = directory.join(name::of(identity, object, None));
    let Some((folder, name)) = path.parent().zip(path.file_name().and_then(std::ffi::OsStr::to_str)) else {
        return Vec::new();
    };
    let begins = name.strip_suffix("rejects.csv").unwrap_or(name);
    let is_its_own = |path: &PathBuf| {
        let name = path.file_name().and_then(std::ffi::OsStr::to_str);
        name.is_some_and(|name| name.starts_with(begins) && name.ends_with(".csv"))
    };
    let entries = std::fs::read_dir(folder).into_iter().flatten().map_while(Result::ok);
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_its_own).collect();
    files.sort();
    files
}

/// Writes the reject files of an object below `directory`, and hands each reject over as well, in bounded pieces.
///
/// `parts` decodes the object again, from its start. It is read no further than the last reject.
pub fn write_rejects<E, H>(
    log: &mut IssueLog,
    parts: impl IntoIterator<Item = Result<Part, E>>,
    directory: &Path,
    identity: &Identity,
    object: &Object,
    mut hand_over: impl FnMut(&[RejectRow]) -> Result<(), H>,
) -> Result<Rejected, RejectsError>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
    H: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut sorted = log.sorted()?;
    let mut rejected = Rejected::default();
    let mut handed_over = Vec::new();
    let mut tables = 0_u32;
    let mut open: Option<TableFile> = None;
    let mut parts = parts.into_iter();
    while let Some((table, row)) = sorted.peek() {
        let missing = RejectsError::NoSuchRow { table, row };
        match parts.next().transpose().map_err(|error| RejectsError::Decode(error.into()))? {
            Some(Part::Table(head)) => {
                finish(open.take(), &mut rejected)?;
                if table < tables {
                    return Err(missing);
                }
                if table == tables {
                    let path = directory.join(name::of(identity, object, head.sheet.as_ref().map(|_| table)));
                    open = Some(TableFile::create(path, table, head, identity)?);
                }
                tables += 1;
            }
            Some(Part::Batch(batch)) => {
                let Some(file) = &mut open else { continue };
                while sorted.peek().is_some_and(|(of, row)| of == file.table && batch.has(row)) {
                    let reasons = reasons_of_row(&mut sorted)?;
                    rejected.rows += 1;
                    rejected.rejects += reasons.len() as u64;
                    file.write(&batch, &reasons, &mut handed_over)?;
                    if handed_over.len() >= HANDED_OVER {
                        hand_over(&handed_over).map_err(|error| RejectsError::HandOver(error.into()))?;
                        handed_over.clear();
                    }
                }
            }
            None => return Err(missing),
        }
    }
    finish(open, &mut rejected)?;
    if !handed_over.is_empty() {
        hand_over(&handed_over).map_err(|error| RejectsError::HandOver(error.into()))?;
    }
    Ok(rejected)
}

/// Everything that is wrong with the next row, each cell once: what was said of it first is the cause of the rest.
fn reasons_of_row(sorted: &mut Sorted<'_>) -> Result<Vec<Issue>, RejectsError> {
    let place = sorted.peek();
    let mut reasons = Vec::new();
    while sorted.peek() == place {
        match sorted.next().transpose()? {
            // Both transforms refuse a row for the same blank identifier, and a mapper cannot read a cell in which the
            // decoder found an error.
            Some(reason) if reasons.iter().any(|known| is_same_cell(known, &reason)) => {}
            Some(reason) => reasons.push(reason),
            None => break,
        }
    }
    Ok(reasons)
}

fn is_same_cell(known: &Issue, reason: &Issue) -> bool {
    known == reason || (known.column.is_some() && known.column == reason.column)
}

fn finish(open: Option<TableFile>, rejected: &mut Rejected) -> Result<(), RejectsError> {
    if let Some(path) = open.map(TableFile::finish).transpose()?.flatten() {
        rejected.files.push(path);
    }
    Ok(())
}

impl Batch {
    /// Whether a table-wide row is one of this batch's.
    fn has(&self, row: u32) -> bool {
        self.place_of(row) < self.rows()
    }

    /// Where a table-wide row stands in this batch; beyond its rows when it does not.
    fn place_of(&self, row: u32) -> usize {
        row.checked_sub(self.first_row).map_or(usize::MAX, |place| place as usize)
    }

    fn cell(&self, column: usize, place: usize) -> &str {
        match self.columns.get(column) {
            Some(Some(cells)) if cells.text.is_valid(place) => cells.text.value(place),
            Some(_) | None => "",
        }
    }
}

/// The reject file of one table, on its way.
struct TableFile {
    table: u32,
    head: TableHead,
    /// Header indices of the original cells.
    original: Vec<usize>,
    /// Where a mended reject file says its rows' origin.
    origin_column: Option<usize>,
    origin: Origin,
    path: PathBuf,
    aside: PathBuf,
    /// Made with the first row.
    writer: Option<csv::Writer<BufWriter<File>>>,
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> RejectsError {
    let path = path.display().to_string();
    move |source| RejectsError::Io { what, path, source }
}

impl TableFile {
    fn create(path: PathBuf, table: u32, head: TableHead, identity: &Identity) -> Result<Self, RejectsError> {
        let directory = path.parent().unwrap_or(&path);
        fs::create_dir_all(directory).map_err(failed("make", directory))?;
        let origin_column = head.header.iter().position(|name| name == ORIGIN);
        let is_ours = |name: &str| origin_column.is_some() && COLUMNS.contains(&name);
        let original = (0..head.header.len())
            .filter(|column| head.header.get(*column).is_some_and(|name| !is_ours(name)))
            .collect();
        let origin = Origin::of(identity, head.sheet.as_deref());
        let mut aside = path.clone().into_os_string();
        aside.push(".part");
        let aside = PathBuf::from(aside);
        Ok(Self { table, head, original, origin_column, origin, path, aside, writer: None })
    }

    fn start(&self) -> Result<csv::Writer<BufWriter<File>>, RejectsError> {
        let mut file =
            BufWriter::with_capacity(1 << 16, File::create(&self.aside).map_err(failed("make", &self.aside))?);
        file.write_all("\u{feff}".as_bytes()).map_err(failed("write", &self.aside))?;
        let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(file);
        let original = self.original.iter().filter_map(|column| self.head.header.get(*column));
        let header = original.map(String::as_str).chain(COLUMNS);
        writer.write_record(header).map_err(|error| failed("write", &self.aside)(error.into()))?;
        Ok(writer)
    }

    /// Writes one refused row, and adds each thing that is wrong with it to what is handed over.
    fn write(
        &mut self,
        batch: &Batch,
        reasons: &[Issue],
        handed_over: &mut Vec<RejectRow>,
    ) -> Result<(), RejectsError> {
        let Some(first) = reasons.first() else { return Ok(()) };
        let place = batch.place_of(first.row);
        let line = batch.lines.get(place).copied().unwrap_or_default();
        let column_name = |reject: &Issue| reject.column.and_then(|column| self.head.header.get(column)).cloned();
        let value = |reject: &Issue| reject.column.map(|column| batch.cell(column, place).to_owned());
        let origin = match self.origin_column.map(|column| batch.cell(column, place)) {
            None | Some("") => self.origin.row(line),
            Some(first_origin) => first_origin.to_owned(),
        };
        let rows: Vec<_> = reasons
            .iter()
            .map(|reject| RejectRow {
                table: reject.table,
                row: reject.row,
                line,
                column: column_name(reject),
                value: value(reject),
                code: reject.code.clone(),
                message: reject.message.clone(),
                origin: origin.clone(),
            })
            .collect();
        let joined = |part: &dyn Fn(&RejectRow) -> String| rows.iter().map(part).collect::<Vec<_>>().join(BETWEEN);
        let appended = [
            line.to_string(),
            joined(&|row| row.column.clone().unwrap_or_default()),
            joined(&|row| row.value.clone().unwrap_or_default()),
            joined(&|row| row.code.clone()),
            joined(&|row| row.message.clone()),
        ];
        let mut writer = match self.writer.take() {
            Some(writer) => writer,
            None => self.start()?,
        };
        let cells = self.original.iter().map(|column| batch.cell(*column, place));
        writer
            .write_record(cells.chain(appended.iter().map(String::as_str)).chain([origin.as_str()]))
            .map_err(|error| failed("write", &self.aside)(error.into()))?;
        self.writer = Some(writer);
        handed_over.extend(rows);
        Ok(())
    }

    /// Gives the file its name, durably, if it has any row.
    fn finish(mut self) -> Result<Option<PathBuf>, RejectsError> {
        let Some(writer) = self.writer.take() else {
            return Ok(None);
        };
        let file = writer.into_inner().map_err(|error| failed("write", &self.aside)(error.into_error()))?;
        let file = file.into_inner().map_err(|error| failed("write", &self.aside)(error.into_error()))?;
        file.sync_all().map_err(failed("flush", &self.aside))?;
        fs::rename(&self.aside, &self.path).map_err(failed("put into place", &self.path))?;
        let directory = self.path.parent().unwrap_or(&self.path);
        File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed("flush", directory))?;
        Ok(Some(std::mem::take(&mut self.path)))
    }
}

impl Drop for TableFile {
    fn drop(&mut self) {
        if self.writer.take().is_some() {
            // An unfinished file has no name that anybody looks for, and the next attempt writes over it.
            let _ = fs::remove_file(&self.aside);
        }
    }
}
