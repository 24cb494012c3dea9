//! A sample file, read as an ingestion would read it: of this machine, or fetched from the bucket.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use arrow_array::Array;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use crate::cli::{Failed, Shared, UNWELL, ask};
use crate::control::{Request, Target};
use crate::decode::{self, CsvOptions, DecodeError, DecodeOptions, Decoder, Encoding, Format};
use crate::object::{ConnectionKey, ObjectKey};
use crate::proposal::Sample;
use crate::worker::Launcher;

/// Rows that proposals are made from.
const LOOKED_AT: usize = 1_000;

/// What may stand between the cells of a CSV file, the likeliest first.
const DELIMITERS: [char; 4] = [',', ';', '\t', '|'];

/// A sample and what it is read as.
pub(super) struct SampleFile {
    path: PathBuf,
    /// Between the cells of a CSV file, where it is not a comma.
    pub delimiter: Option<char>,
    /// The encoding of a CSV file, where it is not UTF-8.
    pub encoding: Option<Encoding>,
    /// Its first table.
    pub table: Sample,
    /// Of a file that was fetched: it goes with this.
    _fetched: Option<tempfile::TempDir>,
}

impl SampleFile {
    /// Reads a file of this machine.
    pub(super) fn local(path: &Path, delimiter: Option<char>, encoding: Option<Encoding>) -> Result<Self, Failed> {
        let name = path.display().to_string();
        let format = Format::of_key(&name)
            .ok_or_else(|| Failed::new(UNWELL, format!("`{name}` is neither .csv nor .xlsx nor .xls")))?;
        let read = |delimiter: Option<char>, encoding: Option<Encoding>| read(path, format, delimiter, encoding);
        let encodings = match encoding {
            Some(given) => vec![Some(given)],
            // What is not UTF-8 was most likely written by a program that knows nothing but its own region.
            None => [None, "windows-1252".parse().ok()].to_vec(),
        };
        let delimiters = match delimiter {
            Some(given) => vec![given],
            None if format == Format::Csv => DELIMITERS.to_vec(),
            None => vec![','],
        };
        let mut best: Option<(usize, Self)> = None;
        let mut failure = None;
        for encoding in encodings {
            for delimiter in &delimiters {
                let delimiter = Some(*delimiter).filter(|delimiter| *delimiter != ',');
                match read(delimiter, encoding) {
                    Ok((table, refused)) => {
                        // More columns are better, unless the rows do not have them.
                        let columns = if refused > table.rows.len() / 2 { 0 } else { table.header.len() };
                        if best.as_ref().is_none_or(|(most, _)| columns > *most) {
                            let path = path.to_owned();
                            best = Some((columns, Self { path, delimiter, encoding, table, _fetched: None }));
                        }
                    }
                    Err(error) => failure = failure.or(Some(error)),
                }
            }
            if best.is_some() {
                break;
            }
        }
        match (best, failure) {
            (Some((_, sample)), _) => Ok(sample),
            (None, Some(error)) => Err(error),
            (None, None) => Err(Failed::new(UNWELL, format!("`{name}` has no table"))),
        }
    }

    /// Fetches an object through the daemon, which has the credentials, or without one as the configuration says.
    pub(super) fn fetched(
        shared: &Shared,
        connection: &ConnectionKey,
        target: &Target,
        delimiter: Option<char>,
        encoding: Option<Encoding>,
    ) -> Result<Self, Failed> {
        let key: ObjectKey = target.prefix.parse().map_err(|error| Failed::of(UNWELL, &error))?;
        let directory = tempfile::tempdir()?;
        let name = key.as_str().rsplit('/').next().unwrap_or_default();
        let path = directory.path().join(name);
        let mut file = File::create(&path)?;
        let mut written = Ok(());
        let request =
            Request::Sample { connection: connection.clone(), bucket: target.bucket.clone(), key: key.clone() };
        ask(shared, request, |item| {
            let bytes = item.get("bytes").and_then(Value::as_str).and_then(|text| BASE64_STANDARD.decode(text).ok());
            if written.is_ok() {
                written = file.write_all(&bytes.unwrap_or_default());
            }
        })?;
        written?;
        let sample = Self::local(&path, delimiter, encoding)?;
        Ok(Self { _fetched: Some(directory), ..sample })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// The first table, and how many of its rows the decoder refuses.
fn read(
    path: &Path,
    format: Format,
    delimiter: Option<char>,
    encoding: Option<Encoding>,
) -> Result<(Sample, usize), Failed> {
    let mut options = DecodeOptions::default();
    let standard = CsvOptions::default();
    options.csv = CsvOptions {
        delimiter: delimiter.unwrap_or(standard.delimiter),
        encoding: encoding.unwrap_or(standard.encoding),
        ..standard
    };
    let failed = |error: DecodeError| Failed::of(UNWELL, &error);
    let unreadable = |error| Failed::new(UNWELL, format!("cannot read `{}`: {error}", path.display()));
    let file = File::open(path).map_err(unreadable)?;
    let mut decoder = decode::open(file, format, &options, &Launcher::this_binary()).map_err(failed)?;
    first_table(&mut decoder).map_err(failed)
}

fn first_table(decoder: &mut Decoder) -> Result<(Sample, usize), DecodeError> {
    let Some(head) = decoder.next_table()? else { return Ok(Default::default()) };
    let (mut rows, mut refused) = (Vec::new(), 0);
    if let Some(batch) = decoder.next_batch()? {
        refused = batch.issues.rows.len();
        for row in 0..batch.rows().min(LOOKED_AT) {
            let cell = |column: &Option<crate::batch::Cells>| match column {
                Some(cells) if row < cells.text.len() => cells.text.value(row).to_owned(),
                _ => String::new(),
            };
            rows.push(batch.columns.iter().map(cell).collect());
        }
    }
    Ok((Sample { header: head.header, rows }, refused))
}
