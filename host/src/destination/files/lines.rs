//! A file of lines of JSON, plain or compressed, written through one buffer.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;

use super::behind::WriteBehind;
use super::late::Rows;
use super::{Compression, failed};
use crate::destination::DestinationError;
use crate::destination::resolve::{Accounts, RecordKind};

/// A buffer this full is written to the file.
const FULL: usize = 256 << 10;
/// The fastest level of Zstandard that is not below its ordinary ones.
const ZSTD_LEVEL: i32 = 1;

/// A file of records, and how many it has.
pub(super) struct Lines {
    output: WriteBehind<Output>,
    compression: Compression,
    path: PathBuf,
    pub buffer: Vec<u8>,
    pub records: u64,
}

enum Output {
    Plain(File),
    Gzip(GzEncoder<File>),
    Zstd(zstd::Encoder<'static, File>),
}

impl Output {
    fn over(file: File, compression: Compression) -> io::Result<Self> {
        Ok(match compression {
            Compression::None => Self::Plain(file),
            Compression::Gzip => Self::Gzip(GzEncoder::new(file, flate2::Compression::fast())),
            Compression::Zstd => {
                let mut encoder = zstd::Encoder::new(file, ZSTD_LEVEL)?;
                // So that a damaged file is found out, as gzip does it anyway.
                encoder.include_checksum(true)?;
                Self::Zstd(encoder)
            }
        })
    }

    fn finish(self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Gzip(encoder) => encoder.finish().map(drop),
            Self::Zstd(encoder) => encoder.finish().map(drop),
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
            Self::Zstd(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(file) => file.flush(),
            Self::Gzip(encoder) => encoder.flush(),
            Self::Zstd(encoder) => encoder.flush(),
        }
    }
}

impl Lines {
    pub fn create(path: PathBuf, compression: Compression) -> Result<Self, DestinationError> {
        let output =
            File::create_new(&path).and_then(|file| Output::over(file, compression)).map_err(failed("make", &path))?;
        let output = WriteBehind::new(output);
        Ok(Self { output, compression, path, buffer: Vec::with_capacity(FULL + (FULL >> 2)), records: 0 })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn end_record(&mut self) -> Result<(), DestinationError> {
        self.buffer.extend_from_slice(b"}\n");
        self.count_record()
    }

    fn count_record(&mut self) -> Result<(), DestinationError> {
        self.records += 1;
        if self.buffer.len() < FULL {
            return Ok(());
        }
        self.output.write(&mut self.buffer).map_err(failed("write", &self.path))
    }

    /// Hands everything to the operating system, with the end of a compressed file. Nothing can be added any more.
    pub fn finish(&mut self) -> Result<(), DestinationError> {
        self.output.finish(&mut self.buffer).and_then(Output::finish).map_err(failed("write", &self.path))
    }

    /// Takes the records of these rows out of the finished file.
    pub fn take_out(&mut self, rows: &Rows) -> Result<(), DestinationError> {
        self.rewrite(|record, kept| {
            let is_out = place_of(record).is_some_and(|(table, row, _)| rows.contains(table, row));
            if !is_out {
                kept.extend_from_slice(record);
            }
            Ok(())
        })
    }

    /// Adds the id of its account to each record of the finished file, and takes out those that have none.
    pub fn add_accounts(&mut self, kind: RecordKind, accounts: &mut Accounts) -> Result<(), DestinationError> {
        self.rewrite(|record, kept| {
            let Some((table, row, rest)) = place_of(record) else { return Ok(()) };
            if let Some(account) = accounts.of(kind, table, row)? {
                kept.extend_from_slice(record.strip_suffix(rest).unwrap_or_default());
                kept.extend_from_slice(b",\"account_id\":");
                kept.extend_from_slice(itoa::Buffer::new().format(account).as_bytes());
                kept.extend_from_slice(rest);
            }
            Ok(())
        })
    }

    /// Writes the finished file anew, record by record. A record for which nothing is written is left out.
    fn rewrite(
        &mut self,
        mut write: impl FnMut(&[u8], &mut Vec<u8>) -> Result<(), DestinationError>,
    ) -> Result<(), DestinationError> {
        let aside = self.path.with_extension("mended");
        let mut kept = Self::create(aside, self.compression)?;
        let mut lines = self.read()?;
        let mut line = Vec::new();
        loop {
            line.clear();
            if lines.read_until(b'\n', &mut line).map_err(failed("read", &self.path))? == 0 {
                break;
            }
            let before = kept.buffer.len();
            write(&line, &mut kept.buffer)?;
            if kept.buffer.len() > before {
                kept.count_record()?;
            }
        }
        kept.finish()?;
        fs::rename(&kept.path, &self.path).map_err(failed("put into place", &self.path))?;
        self.records = kept.records;
        Ok(())
    }

    /// The first records of the finished file.
    pub fn first(&self, count: usize) -> Result<Vec<serde_json::Value>, DestinationError> {
        let mut records = Vec::new();
        for line in self.read()?.lines().take(count) {
            let line = line.map_err(failed("read", &self.path))?;
            records.push(serde_json::from_str(&line).map_err(|error| failed("read", &self.path)(error.into()))?);
        }
        Ok(records)
    }

    fn read(&self) -> Result<Box<dyn BufRead>, DestinationError> {
        let file = File::open(&self.path).map_err(failed("read", &self.path))?;
        let file = BufReader::with_capacity(1 << 16, file);
        Ok(match self.compression {
            Compression::None => Box::new(file),
            Compression::Gzip => Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(file))),
            Compression::Zstd => {
                let decoder = zstd::Decoder::with_buffer(file).map_err(failed("read", &self.path))?;
                Box::new(BufReader::with_capacity(1 << 16, decoder))
            }
        })
    }
}

/// Table and row of a record, which stand first in it, and what follows them.
pub(crate) fn place_of(record: &[u8]) -> Option<(u32, u32, &[u8])> {
    let (table, rest) = number(record.strip_prefix(b"{\"table\":")?)?;
    let (row, rest) = number(rest.strip_prefix(b",\"row\":")?)?;
    Some((table, row, rest))
}

fn number(text: &[u8]) -> Option<(u32, &[u8])> {
    let end = text.iter().position(|byte| !byte.is_ascii_digit())?;
    let (digits, rest) = text.split_at(end);
    Some((std::str::from_utf8(digits).ok()?.parse().ok()?, rest))
}
