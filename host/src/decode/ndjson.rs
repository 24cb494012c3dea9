//! NDJSON: an object a line, whose keys are columns.
//!
//! A file is walked twice: once for its keys, which may be others in every line, and once for its rows. A key's column
//! stands where the key was first seen. Numbers and booleans are typed by the file and read in JSON's form, whatever the
//! mapping says of texts; null is a blank cell. What is nested, or no object, fails the file: nothing is guessed from it.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek};

use arrow_buffer::BooleanBuffer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::columns::TextColumn;
use super::header::name_columns;
use super::{BATCH_BYTES, BATCH_ROWS, Caps, DecodeError, Dialect, FileFault};
use crate::batch::{Batch, Cells, Issues, TableHead};

const ENCODING: &str = "UTF-8";
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// From here on, not every whole number has a binary one of its own.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A file of lines on its way to batches.
#[derive(Debug)]
pub(super) struct Ndjson {
    lines: Lines,
    caps: Caps,
    state: State,
    /// Where the column of a key stands.
    places: HashMap<String, usize>,
    /// By header index, whether it is asked for.
    wanted: Vec<bool>,
    /// Rows handed out.
    rows: u32,
}

/// How far a file has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    Open,
    Done,
}

impl Ndjson {
    pub(super) fn open(file: File, caps: Caps) -> Self {
        let lines = Lines { file: BufReader::new(file), line: 0, bytes: Vec::new(), limit: caps.row_bytes };
        Self { lines, caps, state: State::Closed, places: HashMap::new(), wanted: Vec::new(), rows: 0 }
    }

    pub(super) fn dialect(&self) -> Dialect {
        Dialect::Ndjson
    }

    pub(super) fn next_table(&mut self) -> Result<Option<TableHead>, DecodeError> {
        if self.state != State::Closed {
            self.state = State::Done;
            return Ok(None);
        }
        let mut names: Vec<String> = Vec::new();
        let mut bytes = 0;
        while let Some(object) = self.lines.next()? {
            for (key, _) in object.0 {
                if self.places.contains_key(&key) {
                    continue;
                }
                bytes += key.len();
                if bytes > self.caps.header_bytes as usize {
                    return Err(FileFault::HeaderTooLarge { sheet: None, limit: self.caps.header_bytes }.into());
                }
                if names.len() >= self.caps.columns as usize {
                    let (line, limit) = (self.lines.line, self.caps.columns);
                    return Err(FileFault::TooManyColumns { sheet: None, line, limit }.into());
                }
                self.places.insert(key.clone(), names.len());
                names.push(key);
            }
        }
        if names.is_empty() {
            return Err(FileFault::NoHeader { sheet: None }.into());
        }
        self.lines.rewind()?;
        self.wanted = vec![true; names.len()];
        self.state = State::Open;
        Ok(Some(name_columns(None, names.iter().map(String::as_str))))
    }

    pub(super) fn want(&mut self, columns: &[u32]) {
        for (place, wanted) in self.wanted.iter_mut().enumerate() {
            *wanted = columns.iter().any(|column| *column as usize == place);
        }
    }

    pub(super) fn next_batch(&mut self) -> Result<Option<Batch>, DecodeError> {
        if self.state != State::Open {
            return Ok(None);
        }
        let new = |wanted: &bool| wanted.then(|| (TextColumn::with_capacity(0, 0), Vec::new()));
        let mut columns: Vec<Option<(TextColumn, Vec<bool>)>> = self.wanted.iter().map(new).collect();
        let (first_row, mut lines, mut bytes) = (self.rows, Vec::new(), 0);
        while lines.len() < BATCH_ROWS && bytes < BATCH_BYTES {
            let Some(object) = self.lines.next()? else {
                self.state = State::Done;
                break;
            };
            if self.rows >= self.caps.rows {
                return Err(FileFault::TooManyRows { sheet: None, limit: self.caps.rows }.into());
            }
            // Blank cells take room as well.
            bytes += self.lines.bytes.len() + columns.len();
            for (key, value) in &object.0 {
                let Some(place) = self.places.get(key) else { continue };
                let Some(Some((column, typed))) = columns.get_mut(*place) else { continue };
                let (text, is_typed) = cell(value);
                if text.len() > self.caps.cell_bytes as usize {
                    let (line, column, limit) = (self.lines.line, *place as u32 + 1, self.caps.cell_bytes);
                    return Err(FileFault::CellTooLarge { sheet: None, line, column, limit }.into());
                }
                column.push(text.as_bytes());
                typed.push(is_typed);
            }
            lines.push(self.lines.line);
            self.rows += 1;
            for (column, typed) in columns.iter_mut().flatten() {
                column.pad(lines.len());
                typed.resize(lines.len(), false);
            }
        }
        if lines.is_empty() {
            return Ok(None);
        }
        let finish = |column: Option<(TextColumn, Vec<bool>)>| {
            let Some((text, typed)) = column else { return Ok(None) };
            let typed = typed.contains(&true).then(|| BooleanBuffer::from(typed));
            Ok::<_, DecodeError>(Some(Cells { text: text.finish()?, typed }))
        };
        let columns = columns.into_iter().map(finish).collect::<Result<_, _>>()?;
        Ok(Some(Batch { first_row, lines, columns, issues: Issues::none() }))
    }
}

/// A value as a cell, and whether the file typed it. Nothing nested comes here.
fn cell(value: &Value) -> (String, bool) {
    match value {
        Value::Null | Value::Array(_) | Value::Object(_) => (String::new(), false),
        Value::Bool(truth) => (truth.to_string(), true),
        Value::Number(number) => (number.to_string(), true),
        Value::String(text) => (text.clone(), false),
    }
}

/// The lines of a file, one at a time.
#[derive(Debug)]
struct Lines {
    file: BufReader<File>,
    /// The line at hand, from 1.
    line: u64,
    bytes: Vec<u8>,
    limit: u32,
}

impl Lines {
    /// The object of the next line that is not blank.
    fn next(&mut self) -> Result<Option<Object>, DecodeError> {
        loop {
            self.bytes.clear();
            // The end of the line does not count.
            let most = u64::from(self.limit) + 2;
            if self.file.by_ref().take(most).read_until(b'\n', &mut self.bytes)? == 0 {
                return Ok(None);
            }
            self.line += 1;
            let line = self.line;
            if self.bytes.len() as u64 == most {
                return Err(FileFault::RowTooLarge { sheet: None, line, limit: self.limit }.into());
            }
            let bytes = match line {
                1 => self.bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&self.bytes),
                _ => &self.bytes,
            };
            let text = std::str::from_utf8(bytes).map_err(|error| {
                let column = u32::try_from(error.valid_up_to() + 1).unwrap_or(u32::MAX);
                FileFault::Undecodable { encoding: ENCODING.to_owned(), line, column }
            })?;
            if text.trim().is_empty() {
                continue;
            }
            let object: Object = serde_json::from_str(text)
                .map_err(|error| FileFault::NoObject { line, reason: without_place(&error) })?;
            return Ok(Some(object.checked(line)?));
        }
    }

    fn rewind(&mut self) -> Result<(), DecodeError> {
        self.file.rewind()?;
        self.line = 0;
        Ok(())
    }
}

/// What the parser says, less where in its text, which is always line 1.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.as_str(), |(before, _)| before).to_owned()
}

/// The keys of an object in their order, with their values.
#[derive(Debug)]
struct Object(Vec<(String, Value)>);

impl Object {
    /// Refuses what no cell holds.
    fn checked(self, line: u64) -> Result<Self, FileFault> {
        let mut seen = HashMap::with_capacity(self.0.len());
        for (key, value) in &self.0 {
            if seen.insert(key.as_str(), ()).is_some() {
                return Err(FileFault::DoubledKey { line, key: key.clone() });
            }
            match value {
                Value::Array(_) | Value::Object(_) => return Err(FileFault::Nested { line, key: key.clone() }),
                Value::Number(number) if number.is_f64() && number.as_f64().is_none_or(|it| it.abs() >= EXACT) => {
                    return Err(FileFault::InexactNumber { line, key: key.clone() });
                }
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            }
        }
        Ok(self)
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Object(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn decoder(text: &[u8]) -> Ndjson {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text).unwrap();
        file.rewind().unwrap();
        Ndjson::open(file, Caps { cell_bytes: 20, row_bytes: 60, columns: 4, ..Caps::default() })
    }

    /// Everything of a file: its header, then each row with its line, `'` before what the file typed.
    fn read(text: &str) -> Result<(Vec<String>, Vec<String>), DecodeError> {
        let mut decoder = decoder(text.as_bytes());
        let head = decoder.next_table()?.unwrap();
        let mut rows = Vec::new();
        while let Some(batch) = decoder.next_batch()? {
            for (row, line) in batch.lines.iter().enumerate() {
                let cells = batch.columns.iter().flatten().map(|cells| {
                    let typed = cells.typed.as_ref().is_some_and(|typed| typed.value(row));
                    format!("{}{}", if typed { "'" } else { "" }, cells.text.value(row))
                });
                rows.push(format!("{line}: {}", cells.collect::<Vec<_>>().join("|")));
            }
        }
        assert!(decoder.next_table()?.is_none());
        Ok((head.header, rows))
    }

    #[test]
    fn keys_are_columns_in_the_order_in_which_they_are_first_seen() {
        let text =
            "\u{feff}{\"b\": \"x\", \"a\": 1200.50}\r\n\n{\"a\": 18014398509481985, \"c\": true, \"b\": null}\n{}\n";
        let (header, rows) = read(text).unwrap();
        assert_eq!(header, ["b", "a", "c"]);
        assert_eq!(rows, ["1: x|'1200.5|", "3: |'18014398509481985|'true", "4: ||"]);
    }

    #[test]
    fn only_what_is_wanted_is_handed_out() {
        let mut decoder = decoder(b"{\"a\": 1, \"b\": \"two\"}\n");
        decoder.next_table().unwrap().unwrap();
        decoder.want(&[1, 9]);
        let batch = decoder.next_batch().unwrap().unwrap();
        assert!(batch.columns[0].is_none());
        assert_eq!(batch.columns[1].as_ref().unwrap().text.value(0), "two");
    }

    #[test]
    fn a_line_that_is_no_flat_object_fails_the_file() {
        let check = |text: &str, expected: &str| assert_eq!(read(text).unwrap_err().to_string(), expected, "{text}");
        check("", "there is no header: nothing but blank rows");
        check("{}\n", "there is no header: nothing but blank rows");
        check("{\"a\": 1}\n[1]\n", "line 2 is no JSON object: invalid type: sequence, expected a JSON object");
        check("{\"a\": 1\n", "line 1 is no JSON object: EOF while parsing an object");
        check("{\"a\": 1}\n{\"a\": [1]}\n", "the value of `a` in line 2 is nested");
        check("{\"a\": {}}\n", "the value of `a` in line 1 is nested");
        check("{\"a\": 1, \"a\": 2}\n", "the key `a` stands twice in line 1");
        check("{\"a\": 123456789012345678901}\n", "the number `a` in line 1 has more digits than can be kept");
        check(
            "{\"a\": \"a text of more than 20 bytes\"}\n",
            "the cell that begins at line 1, column 1 is larger than 20 bytes",
        );
        check(&format!("{{\"a\": \"{}\"}}\n", "x".repeat(60)), "the row that begins at line 1 is larger than 60 bytes");
        check("{\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1}\n", "the row at line 1 has more than 4 columns");
        let error = decoder(b"{\"a\": \"\xff\"}").next_table().unwrap_err();
        assert_eq!(error.to_string(), "the bytes at line 1, column 8 are not UTF-8");
    }
}
