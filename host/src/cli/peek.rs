//! `gristmill peek`: how a file is read, before anyone maps it.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use arrow_array::Array;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::output::{Paint, printable};
use super::reading::Reading;
use super::{Failed, Shared, UNWELL, output};
use crate::batch::{Batch, TableHead};
use crate::decode::{self, DecodeError, Format};
use crate::worker::Launcher;

/// How many complaints are shown of a table.
const SHOWN_ISSUES: usize = 10;
/// Rows shown unless the whole table is asked for.
const SHOWN_ROWS: usize = 5;
/// Characters shown of a cell.
const SHOWN_CELL: usize = 40;

/// Show how a file is read: encoding, delimiter, header, sheets, first rows.
#[derive(Debug, Args)]
pub struct Peek {
    /// A CSV or Excel file on this machine.
    file: PathBuf,
    /// Print the whole table as it was decoded.
    #[arg(long, value_enum)]
    to: Option<Form>,
    #[command(flatten)]
    reading: Reading,
}

/// A form to print a table in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Comma-separated, quoted where needed.
    Csv,
    /// One JSON object a row.
    Ndjson,
}

impl Peek {
    pub fn run(self, shared: &Shared) -> Result<(), Failed> {
        let name = self.file.display().to_string();
        let format = Format::of_key(&name)
            .ok_or_else(|| Failed::new(UNWELL, format!("`{name}` is neither .csv nor .xlsx nor .xls")))?;
        let file =
            File::open(&self.file).map_err(|error| Failed::new(UNWELL, format!("cannot read `{name}`: {error}")))?;
        let failed = |error: DecodeError| Failed::of(UNWELL, &error);
        let mut decoder =
            decode::open(file, format, &self.reading.options(), &Launcher::this_binary()).map_err(failed)?;
        match self.to {
            Some(form) => print_whole(&mut decoder, form, failed),
            None => print_first(&mut decoder, format, shared, failed),
        }
    }
}

fn print_first(
    decoder: &mut decode::Decoder,
    format: Format,
    shared: &Shared,
    failed: impl Fn(DecodeError) -> Failed + Copy,
) -> Result<(), Failed> {
    let mut tables = Vec::new();
    while let Some(head) = decoder.next_table().map_err(failed)? {
        let batch = decoder.next_batch().map_err(failed)?;
        let (rows, issues) = batch.map(|batch| (first_rows(&batch), issues(&batch, &head))).unwrap_or_default();
        tables.push((head, rows, issues));
    }
    let dialect = serde_json::to_value(decoder.dialect()).unwrap_or_default();
    if shared.json {
        let tables: Vec<Value> = tables
            .iter()
            .map(|(head, rows, issues)| {
                json!({
                    "sheet": head.sheet,
                    "header": head.header,
                    "duplicates": head.duplicates,
                    "rows": rows,
                    "issues": issues,
                })
            })
            .collect();
        output::print_json(&json!({ "format": format, "dialect": dialect, "tables": tables }));
        return Ok(());
    }
    let paint = Paint::of(&std::io::stdout());
    output::print(format!("format: {}", format.suffix()));
    output::facts(&dialect).into_iter().for_each(output::print);
    for (head, rows, issues) in &tables {
        output::print("");
        if let Some(sheet) = &head.sheet {
            output::print(paint.bold(&format!("sheet `{}`", printable(sheet))));
        }
        if !head.duplicates.is_empty() {
            let names = head.duplicates.join("`, `");
            output::print(format!(
                "{}: more than one column is called `{}`",
                paint.yellow("warning"),
                printable(&names)
            ));
        }
        for issue in issues.iter().take(SHOWN_ISSUES) {
            output::print(format!("{}: {}", paint.yellow("warning"), printable(issue)));
        }
        if let Some(more) = issues.len().checked_sub(SHOWN_ISSUES).filter(|more| *more > 0) {
            output::print(format!("{}: and {more} more like these", paint.yellow("warning")));
        }
        let cells = |row: &[String]| row.iter().map(|cell| shown(cell)).collect::<Vec<_>>();
        let header = cells(&head.header);
        let headings: Vec<&str> = header.iter().map(String::as_str).collect();
        output::print(output::table(&headings, &rows.iter().map(|row| cells(row)).collect::<Vec<_>>()));
    }
    Ok(())
}

fn shown(cell: &str) -> String {
    let cell = printable(cell);
    match cell.char_indices().nth(SHOWN_CELL) {
        Some((end, _)) => format!("{}…", &cell[..end]),
        None => cell,
    }
}

/// What is wrong with the rows of a batch, a sentence each.
fn issues(batch: &Batch, head: &TableHead) -> Vec<String> {
    let of = |place: usize| {
        let row = batch.issues.rows.get(place)?.checked_sub(batch.first_row)?;
        let line = batch.lines.get(row as usize)?;
        let column = batch.issues.columns.get(place).and_then(|column| head.header.get(usize::try_from(*column).ok()?));
        let column = column.map(|column| format!(", column `{column}`")).unwrap_or_default();
        let outcome = if batch.issues.rejects.value(place) { "the row is rejected" } else { "the row is taken" };
        Some(format!("line {line}{column}: {}; {outcome}", batch.issues.messages.value(place)))
    };
    (0..batch.issues.rows.len()).filter_map(of).collect()
}

fn first_rows(batch: &Batch) -> Vec<Vec<String>> {
    (0..batch.rows().min(SHOWN_ROWS)).map(|row| cells(batch, row).map(str::to_owned).collect()).collect()
}

/// The cells of one row; every column was asked for.
fn cells(batch: &Batch, row: usize) -> impl Iterator<Item = &str> {
    batch.columns.iter().map(move |column| match column {
        Some(cells) if row < cells.text.len() => cells.text.value(row),
        _ => "",
    })
}

fn print_whole(
    decoder: &mut decode::Decoder,
    form: Form,
    failed: impl Fn(DecodeError) -> Failed + Copy,
) -> Result<(), Failed> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    while let Some(head) = decoder.next_table().map_err(failed)? {
        let written = match form {
            Form::Csv => csv::Writer::from_writer(&mut out).write_record(&head.header).map_err(std::io::Error::from),
            Form::Ndjson => Ok(()),
        };
        if is_closed(written)? {
            return Ok(());
        }
        while let Some(batch) = decoder.next_batch().map_err(failed)? {
            issues(&batch, &head).iter().for_each(|issue| eprintln!("warning: {}", printable(issue)));
            if is_closed(print_batch(&mut out, form, &head, &batch))? {
                return Ok(());
            }
        }
    }
    is_closed(out.flush()).map(drop)
}

fn print_batch(out: &mut impl Write, form: Form, head: &TableHead, batch: &Batch) -> std::io::Result<()> {
    match form {
        Form::Csv => {
            let mut writer = csv::Writer::from_writer(out);
            for row in 0..batch.rows() {
                writer.write_record(cells(batch, row))?;
            }
            writer.flush()
        }
        Form::Ndjson => {
            for row in 0..batch.rows() {
                for (column, (name, cell)) in head.header.iter().zip(cells(batch, row)).enumerate() {
                    out.write_all(if column == 0 { b"{" } else { b"," })?;
                    serde_json::to_writer(&mut *out, name)?;
                    out.write_all(b":")?;
                    serde_json::to_writer(&mut *out, cell)?;
                }
                out.write_all(b"}\n")?;
            }
            Ok(())
        }
    }
}

/// Whoever reads us may stop reading (`| head`); that is not an error.
fn is_closed(written: std::io::Result<()>) -> Result<bool, Failed> {
    match written {
        Ok(()) => Ok(false),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(true),
        Err(error) => Err(error.into()),
    }
}
