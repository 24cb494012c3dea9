//! What is wrong with the rows of one object, kept on disk until all is known.
//!
//! It comes in almost any order: a batch's from the decoder, then from either transform, and those of rows held back
//! at the end of a table. It is gathered up to a fixed size, sorted by table and row, and appended to a file as one
//! run; reading merges the runs. A record is `[table: 4][row: 4][column: 4][code's length: 4][message's length: 4]
//! [gravity: 1]`, all little-endian, then code and message. The file has no name that outlives the process: it is nobody else's to read.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use arrow_array::Array;

use super::RejectsError;
use crate::batch::Issues;

/// Bytes of records that are gathered before they are sorted and written.
const GATHERED: usize = 4 << 20;
/// Bytes of buffers that reading shares out among the runs.
const READ: usize = 4 << 20;
/// Bytes of a record before its texts.
const HEADER: usize = 21;

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
    file: File,
    path: String,
    gathered: Vec<u8>,
    /// Table, row and place of each gathered record.
    places: Vec<(u32, u32, usize)>,
    runs: Vec<Run>,
    written: u64,
    rejects: u64,
    warnings: u64,
    most: usize,
    keeps: Keeps,
}

#[derive(Debug, Clone, Copy)]
struct Run {
    start: u64,
    end: u64,
}

impl IssueLog {
    /// An empty log in a directory, the spool's as a rule.
    pub fn create(directory: &Path) -> Result<Self, RejectsError> {
        Self::with_room(directory, GATHERED)
    }

    /// The same; warnings are kept as well.
    pub fn with_warnings(directory: &Path) -> Result<Self, RejectsError> {
        Ok(Self { keeps: Keeps::Everything, ..Self::create(directory)? })
    }

    pub(super) fn with_room(directory: &Path, most: usize) -> Result<Self, RejectsError> {
        let path = directory.display().to_string();
        let file = tempfile::tempfile_in(directory).map_err(|source| RejectsError::Io {
            what: "make an issue log in",
            path: path.clone(),
            source,
        })?;
        Ok(Self {
            file,
            path,
            gathered: Vec::new(),
            places: Vec::new(),
            runs: Vec::new(),
            written: 0,
            rejects: 0,
            warnings: 0,
            most,
            keeps: Keeps::Rejects,
        })
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
        texts: [&str; 2],
    ) -> Result<(), RejectsError> {
        self.places.push((table, row, self.gathered.len()));
        self.gathered.extend_from_slice(&table.to_le_bytes());
        self.gathered.extend_from_slice(&row.to_le_bytes());
        self.gathered.extend_from_slice(&column.to_le_bytes());
        for text in texts {
            // What a mapper hands back is far smaller than 4 GiB.
            let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
            self.gathered.extend_from_slice(&length.to_le_bytes());
        }
        self.gathered.push(u8::from(gravity == Gravity::Warning));
        for text in texts {
            self.gathered.extend_from_slice(text.as_bytes());
        }
        if self.gathered.len() >= self.most { self.write_run() } else { Ok(()) }
    }

    /// How many rejects there are; a row may have several.
    pub fn rejects(&self) -> u64 {
        self.rejects
    }

    /// How many warnings there are.
    pub fn warnings(&self) -> u64 {
        self.warnings
    }

    fn failed(&self, what: &'static str) -> impl FnOnce(io::Error) -> RejectsError {
        let path = self.path.clone();
        move |source| RejectsError::Io { what, path, source }
    }

    fn write_run(&mut self) -> Result<(), RejectsError> {
        // Stable by the place, which breaks ties in the order of pushing.
        self.places.sort_unstable();
        let start = self.written;
        let mut run = io::BufWriter::new(&self.file);
        for (_, _, place) in &self.places {
            let record = self.gathered.get(*place..).unwrap_or_default();
            let record = record.get(..record_length(record).unwrap_or(0)).unwrap_or_default();
            run.write_all(record).map_err(self.failed("write the issue log in"))?;
            self.written += record.len() as u64;
        }
        run.flush().map_err(self.failed("write the issue log in"))?;
        drop(run);
        self.runs.push(Run { start, end: self.written });
        self.gathered.clear();
        self.places.clear();
        Ok(())
    }

    /// Everything that is kept, by table and row; what concerns one row in the order in which it was pushed.
    pub fn all(&mut self) -> Result<Vec<Issue>, RejectsError> {
        let mut sorted = self.sorted()?;
        let mut all = Vec::new();
        while let Some(issue) = sorted.next()? {
            all.push(issue);
        }
        Ok(all)
    }

    /// The same, without holding it in memory.
    pub(super) fn sorted(&mut self) -> Result<Sorted<'_>, RejectsError> {
        if !self.places.is_empty() {
            self.write_run()?;
        }
        let room = (READ / self.runs.len().max(1)).clamp(HEADER, 1 << 16);
        let mut sorted = Sorted { log: self, runs: Vec::new(), next: BinaryHeap::new() };
        for run in &self.runs {
            sorted.runs.push(Reader { place: run.start, end: run.end, room, buffer: Vec::new(), used: 0 });
            sorted.refill(sorted.runs.len() - 1)?;
        }
        Ok(sorted)
    }
}

/// The whole length of the record that begins here, once its header is there.
fn record_length(bytes: &[u8]) -> Option<usize> {
    let number = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize);
    Some(HEADER + number(12)? + number(16)?)
}

fn decode(bytes: &[u8]) -> Option<Issue> {
    let number = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let code_end = HEADER + number(12)? as usize;
    let text = |range: &[u8]| String::from_utf8_lossy(range).into_owned();
    Some(Issue {
        table: number(0)?,
        row: number(4)?,
        // -1 is above every index.
        column: i32::try_from(number(8)?).ok().and_then(|column| usize::try_from(column).ok()),
        code: text(bytes.get(HEADER..code_end)?),
        message: text(bytes.get(code_end..record_length(bytes)?)?),
        gravity: if bytes.get(HEADER - 1)? == &0 { Gravity::Reject } else { Gravity::Warning },
    })
}

/// The runs, merged.
pub(super) struct Sorted<'a> {
    log: &'a IssueLog,
    runs: Vec<Reader>,
    /// Table, row and run of each run's first record.
    next: BinaryHeap<Reverse<(u32, u32, usize)>>,
}

struct Reader {
    place: u64,
    end: u64,
    room: usize,
    buffer: Vec<u8>,
    used: usize,
}

impl Sorted<'_> {
    /// The next issue.
    pub fn next(&mut self) -> Result<Option<Issue>, RejectsError> {
        let Some(Reverse((_, _, number))) = self.next.pop() else {
            return Ok(None);
        };
        let damaged = || self.log.failed("read the issue log in")(io::ErrorKind::InvalidData.into());
        let run = self.runs.get_mut(number).ok_or_else(damaged)?;
        let record = run.buffer.get(run.used..).unwrap_or_default();
        let length = record_length(record).ok_or_else(damaged)?;
        let reject = decode(record.get(..length).ok_or_else(damaged)?).ok_or_else(damaged)?;
        run.used += length;
        self.refill(number)?;
        Ok(Some(reject))
    }

    /// Table and row of the next issue.
    pub fn peek(&self) -> Option<(u32, u32)> {
        self.next.peek().map(|Reverse((table, row, _))| (*table, *row))
    }

    /// Makes sure that a run's first record is in memory, and says where it belongs.
    fn refill(&mut self, number: usize) -> Result<(), RejectsError> {
        let failed = self.log.failed("read the issue log in");
        let Some(run) = self.runs.get_mut(number) else {
            return Ok(());
        };
        match run.fill(&self.log.file) {
            Ok(Some((table, row))) => self.next.push(Reverse((table, row, number))),
            Ok(None) => {}
            Err(error) => return Err(failed(error)),
        }
        Ok(())
    }
}

impl Reader {
    fn fill(&mut self, file: &File) -> io::Result<Option<(u32, u32)>> {
        loop {
            let record = self.buffer.get(self.used..).unwrap_or_default();
            let wanted = record_length(record).unwrap_or(HEADER);
            if record.len() >= wanted && record.len() >= HEADER {
                let number = |at: usize| record.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
                let (table, row) = (number(0).unwrap_or([0; 4]), number(4).unwrap_or([0; 4]));
                return Ok(Some((u32::from_le_bytes(table), u32::from_le_bytes(row))));
            }
            let left = self.end - self.place;
            if left == 0 && record.is_empty() {
                return Ok(None);
            }
            let missing = (wanted - record.len()) as u64;
            if left < missing {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.buffer.drain(..self.used);
            self.used = 0;
            let more = missing.max(self.room as u64).min(left) as usize;
            let start = self.buffer.len();
            self.buffer.resize(start + more, 0);
            file.read_exact_at(self.buffer.get_mut(start..).unwrap_or_default(), self.place)?;
            self.place += more as u64;
        }
    }
}
