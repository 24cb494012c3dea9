//! Rows that were staged and rejected afterwards. Their records are left out when the file is made whole.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use super::failed;
use crate::destination::DestinationError;

/// Rows that share one word of bits.
const WORD: u32 = 64;
/// Words that are kept together.
const WORDS: usize = 64;

/// A set of rows, at no more than one bit a row where they lie close together.
#[derive(Debug, Default)]
pub(super) struct Rows(BTreeMap<(u32, u32), Box<[u64; WORDS]>>);

impl Rows {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn insert(&mut self, table: u32, row: u32) {
        let (page, word, bit) = split(row);
        self.0.entry((table, page)).or_insert_with(|| Box::new([0; WORDS]))[word] |= bit;
    }

    pub fn contains(&self, table: u32, row: u32) -> bool {
        let (page, word, bit) = split(row);
        self.0.get(&(table, page)).is_some_and(|words| words[word] & bit != 0)
    }
}

fn split(row: u32) -> (u32, usize, u64) {
    let word = row / WORD;
    (word / WORDS as u32, word as usize % WORDS, 1 << (row % WORD))
}

/// Takes the records of these rows out of a file; how many there were.
pub(super) fn take_out(path: &Path, rows: &Rows) -> Result<u64, DestinationError> {
    let aside = path.with_extension("mended");
    let mut lines = BufReader::with_capacity(1 << 16, File::open(path).map_err(failed("read", path))?);
    let mut kept = BufWriter::with_capacity(1 << 16, File::create(&aside).map_err(failed("make", &aside))?);
    let mut line = Vec::new();
    let mut taken_out = 0;
    loop {
        line.clear();
        if lines.read_until(b'\n', &mut line).map_err(failed("read", path))? == 0 {
            break;
        }
        match place_of(&line) {
            Some((table, row)) if rows.contains(table, row) => taken_out += 1,
            Some(_) | None => kept.write_all(&line).map_err(failed("write", &aside))?,
        }
    }
    kept.flush().map_err(failed("write", &aside))?;
    fs::rename(&aside, path).map_err(failed("put into place", path))?;
    Ok(taken_out)
}

/// Table and row of a record, which stand first in it.
pub(super) fn place_of(record: &[u8]) -> Option<(u32, u32)> {
    let (table, rest) = number(record.strip_prefix(b"{\"table\":")?)?;
    let (row, _) = number(rest.strip_prefix(b",\"row\":")?)?;
    Some((table, row))
}

fn number(text: &[u8]) -> Option<(u32, &[u8])> {
    let end = text.iter().position(|byte| !byte.is_ascii_digit())?;
    let (digits, rest) = text.split_at(end);
    Some((std::str::from_utf8(digits).ok()?.parse().ok()?, rest))
}
