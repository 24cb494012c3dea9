//! How an integration's files are read.

use std::time::Duration;

use super::{duration, size, whole_number};
use crate::config::ByteSize;
use crate::config::path::TomlPath;
use crate::config::raw::decode::{RawCsv, RawDecodeLimits, RawExcel};
use crate::config::report::{Advice, Report};
use crate::decode::{Caps, CsvOptions, DecodeOptions, Encoding, Sheets, WorkbookOptions, WorkerCaps};

/// Checks `csv`, `excel` and `limits` of an integration. What is wrong in them is reported and otherwise the default.
pub(super) fn check(
    report: &mut Report<'_, '_>,
    path: &TomlPath,
    csv: Option<RawCsv>,
    excel: Option<RawExcel>,
    limits: Option<RawDecodeLimits>,
) -> DecodeOptions {
    DecodeOptions {
        csv: csv.map(|raw| self::csv(report, &path.key("csv"), raw)).unwrap_or_default(),
        workbook: excel.map(|raw| self::excel(report, &path.key("excel"), raw)).unwrap_or_default(),
        caps: limits.map(|raw| self::limits(report, &path.key("limits"), raw)).unwrap_or_default(),
    }
}

fn csv(report: &mut Report<'_, '_>, path: &TomlPath, raw: RawCsv) -> CsvOptions {
    let default = CsvOptions::default();
    let delimiter = report.parsed(&path.key("delimiter"), raw.delimiter, character);
    let quote = report.parsed(&path.key("quote"), raw.quote, |text| match text {
        "" => Ok(None),
        text => character(text).map(Some),
    });
    let escape = report.parsed(&path.key("escape"), raw.escape, character);
    let comment = report.parsed(&path.key("comment"), raw.comment, character);
    let mut count = |key: &str, raw| {
        let number = whole_number(report, &path.key(key), raw, 0..=i64::from(u32::MAX));
        number.and_then(|number| u32::try_from(number).ok())
    };
    let options = CsvOptions {
        delimiter: delimiter.unwrap_or(default.delimiter),
        quote: quote.unwrap_or(default.quote),
        escape,
        comment,
        header: raw.header.unwrap_or_default(),
        skip_rows: count("skip_rows", raw.skip_rows).unwrap_or_default(),
        skip_after_header: count("skip_after_header", raw.skip_after_header).unwrap_or_default(),
        footer_rows: count("footer_rows", raw.footer_rows).unwrap_or_default(),
        encoding: report.parsed(&path.key("encoding"), raw.encoding, str::parse::<Encoding>).unwrap_or_default(),
        ragged: raw.ragged.unwrap_or_default(),
    };
    let roles = [
        ("delimiter", Some(options.delimiter)),
        ("quote", options.quote),
        ("escape", options.escape),
        ("comment", options.comment),
    ];
    for (place, (key, character)) in roles.iter().enumerate() {
        let earlier = roles.iter().take(place).find(|(_, other)| character.is_some() && other == character);
        if let Some((other, _)) = earlier {
            // Whichever of the two was written is the one to look at.
            let written = if report.document().get(&path.key(*key)).is_some() { key } else { other };
            let message = format!("`{other}` and `{key}` are the same character");
            report.wrong(&path.key(*written), message, Advice::HintOnly("each needs a character of its own".into()));
        }
    }
    options
}

#[derive(Debug, thiserror::Error)]
#[error("one ASCII character is expected here, and no line end")]
struct NotACharacter;

fn character(text: &str) -> Result<char, NotACharacter> {
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (Some(only), None) if only.is_ascii() && !matches!(only, '\n' | '\r' | '\0') => Ok(only),
        _ => Err(NotACharacter),
    }
}

fn excel(report: &mut Report<'_, '_>, path: &TomlPath, raw: RawExcel) -> WorkbookOptions {
    let sheets = raw.sheets.unwrap_or_default();
    let problem = match &sheets {
        Sheets::Index(0) => Some("worksheets are counted from 1"),
        Sheets::Name(name) if name.is_empty() => Some("a worksheet's name is not empty"),
        Sheets::First | Sheets::All | Sheets::Name(_) | Sheets::Index(_) => None,
    };
    if let Some(message) = problem {
        report.wrong(&path.key("sheets"), message, Advice::Example);
    }
    let first_row = whole_number(report, &path.key("first_row"), raw.first_row, 1..=1_048_576);
    WorkbookOptions {
        sheets,
        hidden: raw.hidden.unwrap_or_default(),
        header: raw.header.unwrap_or_default(),
        first_row: first_row.and_then(|row| u32::try_from(row).ok()),
        error_cells: raw.error_cells.unwrap_or_default(),
    }
}

fn limits(report: &mut Report<'_, '_>, path: &TomlPath, raw: RawDecodeLimits) -> Caps {
    let default = Caps::default();
    let mut count = |key: &str, raw, most: i64, default: u64| {
        whole_number(report, &path.key(key), raw, 1..=most).unwrap_or(default)
    };
    let columns = count("columns", raw.columns, 1_000_000, default.columns.into());
    let rows = count("rows", raw.rows, u32::MAX.into(), default.rows.into());
    let workbook_cells = count("workbook_cells", raw.workbook_cells, i64::MAX, default.workbook_cells);
    let mut bytes = |key: &str, raw, least: u64, most: u64, default: u64| {
        let place = path.key(key);
        let size = size(report, &place, raw, ByteSize::from_bytes(least)).map_or(default, ByteSize::bytes);
        if size > most {
            let most = ByteSize::from_bytes(most);
            report.wrong(&place, format!("at most `{most}` is expected here"), Advice::Example);
        }
        size.min(most)
    };
    // Arrow's text columns have 32-bit offsets, and a batch must hold any one row.
    let text = 1 << 30;
    let cell_bytes = bytes("cell_size", raw.cell_size, 1, text, default.cell_bytes.into());
    let row_bytes = bytes("row_size", raw.row_size, 1, text, default.row_bytes.into());
    let header_bytes = bytes("header_size", raw.header_size, 1, text, default.header_bytes.into());
    let unpacked_bytes = bytes("unpacked_size", raw.unpacked_size, 1, u64::MAX, default.unpacked_bytes);
    let memory = bytes("workbook_memory", raw.workbook_memory, 64 << 20, u64::MAX, default.worker.memory);
    let second = Duration::from_secs(1);
    let cpu = duration(report, &path.key("workbook_cpu"), raw.workbook_cpu, second);
    let cpu_per_mib = duration(report, &path.key("workbook_cpu_per_mib"), raw.workbook_cpu_per_mib, Duration::ZERO);
    let narrow = |number: u64, default: u32| u32::try_from(number).unwrap_or(default);
    Caps {
        columns: narrow(columns, default.columns),
        rows: narrow(rows, default.rows),
        cell_bytes: narrow(cell_bytes, default.cell_bytes),
        row_bytes: narrow(row_bytes, default.row_bytes),
        header_bytes: narrow(header_bytes, default.header_bytes),
        workbook_cells,
        unpacked_bytes,
        worker: WorkerCaps {
            memory,
            cpu: cpu.unwrap_or(default.worker.cpu),
            cpu_per_mib: cpu_per_mib.unwrap_or(default.worker.cpu_per_mib),
            ..default.worker
        },
    }
}
