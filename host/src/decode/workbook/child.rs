//! The worker's half: a workbook's sheets, read by calamine, to frames.

use std::fs::File;
use std::io::{BufReader, Seek, Write};

use calamine::{Reader, SheetType, SheetVisible, Xls, XlsError, Xlsx, XlsxError};

use super::super::{Caps, FileFault, Format, HiddenSheets, Sheet as SheetFact, Sheets, WorkbookOptions};
use super::cell::Value;
use super::sheet::{Shared, Sheet, Stop};
use super::{Request, frame};

/// Decodes a workbook; the child's half of [`Task::Decode`](crate::worker::Task::Decode).
pub(crate) fn decode_child(request: &[u8], input: Option<File>, answer: &mut dyn Write) -> Result<(), String> {
    let request: Request = serde_json::from_slice(request).map_err(|error| error.to_string())?;
    let input = BufReader::new(input.ok_or("there is no file")?);
    let mut shared = Shared { to: answer, options: &request.options, caps: &request.caps, cells: 0 };
    let outcome = match request.format {
        Format::Xlsx => decode_xlsx(input, &mut shared),
        Format::Xls | Format::Csv | Format::Ndjson => decode_xls(input, &mut shared),
    };
    match outcome {
        Ok(()) => Ok(()),
        Err(Stop::Fault(fault)) => frame::send_fault(answer, &fault).map_err(|error| error.to_string()),
        Err(Stop::Io(error)) => Err(error.to_string()),
    }
}

fn decode_xlsx(mut input: BufReader<File>, shared: &mut Shared<'_>) -> Result<(), Stop> {
    check_size(&mut input, shared.caps)?;
    let fault = |sheet: Option<&str>, error: XlsxError| {
        Stop::Fault(match error {
            XlsxError::Password => FileFault::Encrypted,
            XlsxError::Zip(_) => unreadable(sheet, &format!("the zip archive is damaged: {error}")),
            error => unreadable(sheet, &error.to_string()),
        })
    };
    let mut workbook = Xlsx::new(input).map_err(|error| fault(None, error))?;
    decode_sheets(&chosen(workbook.sheets_metadata(), shared)?, shared, |name, sheet| {
        let mut cells = workbook.worksheet_cells_reader(name).map_err(|error| fault(Some(name), error))?;
        while let Some(cell) = cells.next_cell().map_err(|error| fault(Some(name), error))? {
            let (row, column) = cell.get_position();
            sheet.cell(row, column, Value::from(cell.get_value()))?;
        }
        Ok(())
    })
}

fn decode_xls(input: BufReader<File>, shared: &mut Shared<'_>) -> Result<(), Stop> {
    let fault = |sheet: Option<&str>, error: XlsError| {
        Stop::Fault(match error {
            XlsError::Password => FileFault::Encrypted,
            error => unreadable(sheet, &error.to_string()),
        })
    };
    let mut workbook = Xls::new(input).map_err(|error| fault(None, error))?;
    decode_sheets(&chosen(workbook.sheets_metadata(), shared)?, shared, |name, sheet| {
        let range = workbook.worksheet_range(name).map_err(|error| fault(Some(name), error))?;
        let (first_row, first_column) = range.start().unwrap_or_default();
        range.used_cells().try_for_each(|(row, column, data)| {
            // A sheet of this format has 65,536 rows and 256 columns at most.
            sheet.cell(first_row + row as u32, first_column + column as u32, Value::from(data))
        })
    })
}

fn unreadable(sheet: Option<&str>, reason: &str) -> FileFault {
    // The reasons are calamine's: short, but made of the file's own bytes in places.
    let reason = reason.chars().take(200).flat_map(char::escape_debug).collect();
    FileFault::Workbook { sheet: sheet.map(str::to_owned), reason }
}

/// Refuses an archive that says it unpacks to too much. One that lies meets the worker's limits.
fn check_size(input: &mut BufReader<File>, caps: &Caps) -> Result<(), Stop> {
    let Ok(mut archive) = zip::ZipArchive::new(&mut *input) else {
        // Not a zip archive: an encrypted workbook, perhaps, which opening it finds out.
        return Ok(input.rewind()?);
    };
    let mut declared = 0u64;
    for index in 0..archive.len() {
        if let Ok(entry) = archive.by_index_raw(index) {
            declared = declared.saturating_add(entry.size());
        }
    }
    drop(archive);
    if declared > caps.unpacked_bytes {
        return Err(FileFault::Unpacked { declared, limit: caps.unpacked_bytes }.into());
    }
    Ok(input.rewind()?)
}

/// Tells the parent what sheets there are, and chooses among them.
fn chosen(sheets: &[calamine::Sheet], shared: &mut Shared<'_>) -> Result<Vec<String>, Stop> {
    let worksheets = sheets.iter().filter(|sheet| sheet.typ == SheetType::WorkSheet);
    let sheets: Vec<SheetFact> = worksheets
        .map(|sheet| SheetFact { name: sheet.name.clone(), hidden: sheet.visible != SheetVisible::Visible })
        .collect();
    frame::send_sheets(shared.to, &sheets)?;
    Ok(choose(&sheets, shared.options)?)
}

fn choose(sheets: &[SheetFact], options: &WorkbookOptions) -> Result<Vec<String>, FileFault> {
    let no_such = |wanted: String| {
        let names: Vec<_> = sheets.iter().take(20).map(|sheet| format!("`{}`", sheet.name.escape_debug())).collect();
        let more = if sheets.len() > names.len() { " and more" } else { "" };
        let there = if names.is_empty() { "none".to_owned() } else { names.join(", ") + more };
        FileFault::NoSuchSheet { wanted, there }
    };
    let named = |sheet: &SheetFact| vec![sheet.name.clone()];
    let mut shown = sheets.iter().filter(|sheet| !sheet.hidden || options.hidden == HiddenSheets::Take).peekable();
    match &options.sheets {
        Sheets::Name(name) => {
            let found = sheets.iter().find(|sheet| sheet.name == *name);
            found.map(named).ok_or_else(|| no_such(format!("`{}`", name.escape_debug())))
        }
        Sheets::Index(index) => {
            let place = (*index as usize).checked_sub(1);
            let found = place.and_then(|place| sheets.get(place));
            found.map(named).ok_or_else(|| no_such(format!("number {index}")))
        }
        Sheets::First | Sheets::All if sheets.is_empty() => Err(no_such("at all".to_owned())),
        Sheets::First | Sheets::All if shown.peek().is_none() => Err(FileFault::NoVisibleSheet),
        Sheets::First => Ok(shown.take(1).map(|sheet| sheet.name.clone()).collect()),
        Sheets::All => Ok(shown.map(|sheet| sheet.name.clone()).collect()),
    }
}

/// Sends the sheets one after the other. A workbook without a header in any of them is at fault.
fn decode_sheets(
    names: &[String],
    shared: &mut Shared<'_>,
    mut decode: impl FnMut(&str, &mut Sheet<'_, '_>) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let mut found = false;
    for name in names {
        let mut sheet = Sheet::new(name, shared);
        decode(name, &mut sheet)?;
        found |= sheet.finish()?;
    }
    if found {
        return Ok(());
    }
    let sheet = names.first().filter(|_| names.len() == 1).cloned();
    Err(FileFault::NoHeader { sheet }.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sheets_are_chosen_by_name_place_or_sight() {
        let sheet = |name: &str, hidden| SheetFact { name: name.to_owned(), hidden };
        let sheets = [sheet("notes", true), sheet("data", false), sheet("more", false)];
        let check = |sheets: &[SheetFact], choice: Sheets, hidden, expected: Result<&[&str], &str>| {
            let options = WorkbookOptions { sheets: choice, hidden, ..WorkbookOptions::default() };
            let chosen = choose(sheets, &options).map_err(|fault| fault.to_string());
            let chosen = chosen.as_ref().map(|names| names.iter().map(String::as_str).collect::<Vec<_>>());
            assert_eq!(chosen.map_err(String::as_str), expected.map(<[_]>::to_vec));
        };
        let (skip, take) = (HiddenSheets::Skip, HiddenSheets::Take);
        check(&sheets, Sheets::First, skip, Ok(&["data"]));
        check(&sheets, Sheets::First, take, Ok(&["notes"]));
        check(&sheets, Sheets::All, skip, Ok(&["data", "more"]));
        check(&sheets, Sheets::All, take, Ok(&["notes", "data", "more"]));
        check(&sheets, Sheets::Name("notes".into()), skip, Ok(&["notes"]));
        check(&sheets, Sheets::Index(3), skip, Ok(&["more"]));
        check(&sheets, Sheets::Index(0), skip, Err("there is no sheet number 0; there are `notes`, `data`, `more`"));
        check(&sheets, Sheets::Name("x".into()), skip, Err("there is no sheet `x`; there are `notes`, `data`, `more`"));
        check(&sheets[..1], Sheets::First, skip, Err("every sheet of the workbook is hidden"));
        check(&[], Sheets::First, skip, Err("there is no sheet at all; there are none"));
    }
}
