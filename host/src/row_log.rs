//! Records of the rows of one object, kept on disk until all are known, and read again in the order of rows.
//!
//! They come in almost any order: batch by batch, from several writers, and those of rows held back at the end of a table.
//! They are gathered up to a fixed size, sorted by table and row, and appended to a file as one run; reading merges the
//! runs. What is said of one row keeps the order in which it was pushed. A record is `[table: 4][row: 4][length: 4]`, all
//! little-endian, then its bytes. The file has no name that outlives the process: it is nobody else's to read. What the
//! bytes mean is the caller's business.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes of records that are gathered before they are sorted and written.
const GATHERED: usize = 4 << 20;
/// Bytes of buffers that reading shares out among the runs.
const READ: usize = 4 << 20;
/// Bytes of a record before its own.
const HEADER: usize = 12;

/// Gathers records; memory is bounded, whatever their number: by what is gathered and twelve bytes a record of that.
#[derive(Debug)]
pub struct RowLog {
    file: File,
    gathered: Vec<u8>,
    /// Table, row and place of each gathered record.
    places: Vec<(u32, u32, usize)>,
    runs: Vec<Run>,
    written: u64,
    most: usize,
}

#[derive(Debug, Clone, Copy)]
struct Run {
    start: u64,
    end: u64,
}

impl RowLog {
    /// An empty log in a directory, the spool's as a rule.
    pub fn create(directory: &Path) -> io::Result<Self> {
        Self::with_room(directory, GATHERED)
    }

    /// The same, with another size at which a run is written.
    pub fn with_room(directory: &Path, most: usize) -> io::Result<Self> {
        let file = tempfile::tempfile_in(directory)?;
        Ok(Self { file, gathered: Vec::new(), places: Vec::new(), runs: Vec::new(), written: 0, most })
    }

    /// Adds a record of a row; its bytes are the parts, one after the other.
    pub fn push(&mut self, table: u32, row: u32, parts: &[&[u8]]) -> io::Result<()> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let length = u32::try_from(length).map_err(|_| io::ErrorKind::InvalidData)?;
        self.places.push((table, row, self.gathered.len()));
        for number in [table, row, length] {
            self.gathered.extend_from_slice(&number.to_le_bytes());
        }
        for part in parts {
            self.gathered.extend_from_slice(part);
        }
        if self.gathered.len() >= self.most { self.write_run() } else { Ok(()) }
    }

    fn write_run(&mut self) -> io::Result<()> {
        // Stable by the place, which breaks ties in the order of pushing.
        self.places.sort_unstable();
        let start = self.written;
        let mut run = io::BufWriter::new(&self.file);
        for (_, _, place) in &self.places {
            let record = self.gathered.get(*place..).unwrap_or_default();
            let record = record.get(..record_length(record).unwrap_or(0)).unwrap_or_default();
            run.write_all(record)?;
            self.written += record.len() as u64;
        }
        run.flush()?;
        drop(run);
        self.runs.push(Run { start, end: self.written });
        self.gathered.clear();
        self.places.clear();
        Ok(())
    }

    /// Everything, by table and row; what was pushed of one row in the order in which it was.
    pub fn sorted(&mut self) -> io::Result<Sorted<'_>> {
        if !self.places.is_empty() {
            self.write_run()?;
        }
        let room = (READ / self.runs.len().max(1)).clamp(HEADER, 1 << 16);
        let mut sorted = Sorted { file: &self.file, runs: Vec::new(), next: BinaryHeap::new() };
        for run in &self.runs {
            sorted.runs.push(Reader { place: run.start, end: run.end, room, buffer: Vec::new(), used: 0 });
            sorted.refill(sorted.runs.len() - 1)?;
        }
        Ok(sorted)
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// The whole length of the record that begins here, once its header is there.
fn record_length(bytes: &[u8]) -> Option<usize> {
    Some(HEADER + number(bytes, 8)? as usize)
}

/// The runs, merged.
#[derive(Debug)]
pub struct Sorted<'a> {
    file: &'a File,
    runs: Vec<Reader>,
    /// Table, row and run of each run's first record.
    next: BinaryHeap<Reverse<(u32, u32, usize)>>,
}

#[derive(Debug)]
struct Reader {
    place: u64,
    end: u64,
    room: usize,
    buffer: Vec<u8>,
    used: usize,
}

impl Sorted<'_> {
    /// Puts the next record's bytes in the place of what the buffer holds, and says which table and row it is of.
    pub fn next(&mut self, bytes: &mut Vec<u8>) -> io::Result<Option<(u32, u32)>> {
        let Some(Reverse((table, row, of))) = self.next.pop() else { return Ok(None) };
        let run = self.runs.get_mut(of).ok_or(io::ErrorKind::InvalidData)?;
        let record = run.buffer.get(run.used..).unwrap_or_default();
        let length = record_length(record).ok_or(io::ErrorKind::InvalidData)?;
        bytes.clear();
        bytes.extend_from_slice(record.get(HEADER..length).ok_or(io::ErrorKind::InvalidData)?);
        run.used += length;
        self.refill(of)?;
        Ok(Some((table, row)))
    }

    /// Table and row of the next record.
    pub fn peek(&self) -> Option<(u32, u32)> {
        self.next.peek().map(|Reverse((table, row, _))| (*table, *row))
    }

    /// Makes sure that a run's first record is in memory, and says where it belongs.
    fn refill(&mut self, of: usize) -> io::Result<()> {
        let Some(run) = self.runs.get_mut(of) else { return Ok(()) };
        if let Some((table, row)) = run.fill(self.file)? {
            self.next.push(Reverse((table, row, of)));
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
                return Ok(Some((number(record, 0).unwrap_or_default(), number(record, 4).unwrap_or_default())));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_by_row_and_those_of_one_row_as_they_were_pushed() {
        let directory = tempfile::tempdir().unwrap();
        // Each a run of its own, some in one run, all in one.
        for room in [1, 60, 1 << 20] {
            let mut log = RowLog::with_room(directory.path(), room).unwrap();
            for (place, (table, row)) in [(1, 0), (0, 7), (0, 2), (0, 7), (1, 0), (0, 7)].into_iter().enumerate() {
                log.push(table, row, &[b"record ", place.to_string().as_bytes()]).unwrap();
            }
            for _ in 0..2 {
                let mut sorted = log.sorted().unwrap();
                let (mut found, mut bytes) = (Vec::new(), Vec::new());
                while let Some((table, row)) = sorted.next(&mut bytes).unwrap() {
                    found.push((table, row, String::from_utf8(bytes.clone()).unwrap()));
                }
                let found: Vec<_> = found.iter().map(|(table, row, text)| (*table, *row, text.as_str())).collect();
                let expected = [
                    (0, 2, "record 2"),
                    (0, 7, "record 1"),
                    (0, 7, "record 3"),
                    (0, 7, "record 5"),
                    (1, 0, "record 0"),
                    (1, 0, "record 4"),
                ];
                assert_eq!(found, expected, "{room}");
            }
        }
    }
}
