//! `gristmill peek`: how a file is read, before anyone maps it.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use arrow_array::Array;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::output::{Paint, printable};
use super::{Failed, Shared, UNWELL, output};
use crate::batch::{Batch, TableHead};
use crate::decode::{self, Caps, CsvOptions, DecodeError, DecodeOptions, Encoding, Format, Header, Sheets};
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
    /// What stands between cells; `\t` is a tab.
    #[arg(long, value_parser = parse_character, value_name = "CHARACTER")]
    delimiter: Option<char>,
    /// What stands around cells; `none` for nothing.
    #[arg(long, value_parser = parse_quote, value_name = "CHARACTER")]
    quote: Option<Quote>,
    /// What stands before a quote that is part of a cell.
    #[arg(long, value_parser = parse_character, value_name = "CHARACTER")]
    escape: Option<char>,
    /// The first row is a row like the others.
    #[arg(long)]
    no_header: bool,
    /// Lines (in a workbook: rows) before the header.
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    skip_rows: u32,
    /// The text encoding, as the web names it: utf-8, windows-1252, shift_jis.
    #[arg(long)]
    encoding: Option<Encoding>,
    /// The worksheet, by name or by place from 1; `all` for all.
    #[arg(long)]
    sheet: Option<String>,
}

/// A form to print a table in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Comma-separated, quoted where needed.
    Csv,
    /// One JSON object a row.
    Ndjson,
}

#[derive(Debug, Clone, Copy)]
struct Quote(Option<char>);

fn parse_character(text: &str) -> Result<char, String> {
    let text = if text == "\\t" { "\t" } else { text };
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (Some(character), None) if character.is_ascii() => Ok(character),
        _ => Err("expected one ASCII character".to_owned()),
    }
}

fn parse_quote(text: &str) -> Result<Quote, String> {
    match text {
        "none" => Ok(Quote(None)),
        text => parse_character(text).map(|character| Quote(Some(character))),
    }
}

impl Peek {
    pub fn run(self, shared: &Shared) -> Result<(), Failed> {
        let name = self.file.display().to_string();
        let format = Format::of_key(&name)
            .ok_or_else(|| Failed::new(UNWELL, format!("`{name}` is neither .csv nor .xlsx nor .xls")))?;
        let file =
            File::open(&self.file).map_err(|error| Failed::new(UNWELL, format!("cannot read `{name}`: {error}")))?;
        let failed = |error: DecodeError| Failed::of(UNWELL, &error);
        let mut decoder = decode::open(file, format, &self.options(), &Launcher::this_binary()).map_err(failed)?;
        match self.to {
            Some(form) => print_whole(&mut decoder, form, failed),
            None => print_first(&mut decoder, format, shared, failed),
        }
    }

    fn options(&self) -> DecodeOptions {
        let mut options = DecodeOptions { caps: Caps::default(), ..DecodeOptions::default() };
        let header = if self.no_header { Header::None } else { Header::Row };
        let standard = CsvOptions::default();
        options.csv = CsvOptions {
            delimiter: self.delimiter.unwrap_or(standard.delimiter),
            quote: self.quote.map_or(standard.quote, |quote| quote.0),
            escape: self.escape,
            header,
            skip_rows: self.skip_rows,
            encoding: self.encoding.unwrap_or(standard.encoding),
            ..standard
        };
        options.workbook.header = header;
        if self.skip_rows > 0 {
            options.workbook.first_row = Some(self.skip_rows + 1);
        }
        options.workbook.sheets = match &self.sheet {
            None => Sheets::First,
            Some(name) if name == "all" => Sheets::All,
            Some(name) => name.parse().map_or_else(|_| Sheets::Name(name.clone()), Sheets::Index),
        };
        options
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
