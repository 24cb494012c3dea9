//! Workbooks through the real worker process: what they hold, and what they can do to us.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::File;
use std::io::{Seek, Write};
use std::time::Duration;

use gristmill::decode::{DecodeError, DecodeOptions, Decoder, Dialect, Format, open};
use gristmill::worker::{Launcher, Limits, Task, WorkerError, file_of};
use zip::write::SimpleFileOptions;

fn launcher() -> Launcher {
    Launcher::at(env!("CARGO_BIN_EXE_gristmill"))
}

fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    file
}

fn fixture(name: &str) -> File {
    File::open(format!("{}/../tests/decode/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn decoder(file: File, format: Format, options: &str) -> Result<Decoder, DecodeError> {
    let options: DecodeOptions = serde_json::from_str(options).unwrap();
    open(file, format, &options, &launcher())
}

/// Every table as text: its sheet and header, then `line: cells`, typed cells in brackets, issues behind their row.
fn print(file: File, format: Format, options: &str) -> Result<String, DecodeError> {
    let mut decoder = decoder(file, format, options)?;
    let mut text = String::new();
    while let Some(head) = decoder.next_table()? {
        text += &format!("{}: {}\n", head.sheet.unwrap_or_default(), head.header.join("|"));
        while let Some(batch) = decoder.next_batch()? {
            for row in 0..batch.rows() {
                let cell = |cells: &gristmill::batch::Cells| match &cells.typed {
                    Some(typed) if typed.value(row) => format!("[{}]", cells.text.value(row)),
                    _ => cells.text.value(row).to_owned(),
                };
                let cells: Vec<String> = batch.columns.iter().map(|cells| cell(cells.as_ref().unwrap())).collect();
                text += &format!("{}: {}", batch.lines[row], cells.join("|"));
                for issue in (0..batch.issues.len()).filter(|issue| batch.issues.rows[*issue] as usize == row) {
                    let word = if batch.issues.rejects.value(issue) { "reject" } else { "warning" };
                    text += &format!(" <{word} {}>", batch.issues.codes.value(issue));
                }
                text.push('\n');
            }
        }
    }
    Ok(text)
}

/// The error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

fn check(file: File, format: Format, options: &str, expected: &str) {
    let printed = print(file, format, options).unwrap_or_else(|error| format!("error: {}\n", chain(&error)));
    assert_eq!(printed.trim_end(), expected.trim_end(), "with {options}");
}

fn fails(file: File, format: Format, options: &str) -> String {
    let error = print(file, format, options).unwrap_err();
    assert!(error.is_files_fault(), "{}", chain(&error));
    chain(&error)
}

/// What stands in a sheet, as XML: a beginning, something again and again, an end. Bombs stay small in this process.
#[derive(Clone, Copy)]
struct Rows<'a>(&'a str, &'a str, usize, &'a str);

impl<'a> From<&'a str> for Rows<'a> {
    fn from(rows: &'a str) -> Self {
        Self(rows, "", 0, "")
    }
}

/// An xlsx workbook of raw parts: its sheets by name, and the shared strings part.
fn workbook(sheets: &[(&str, Rows<'_>)], shared_strings: &str) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let mut part = |name: &str, body: Rows<'_>| {
        archive.start_file(name, SimpleFileOptions::default().compression_level(Some(1))).unwrap();
        archive.write_all(body.0.as_bytes()).unwrap();
        let many = body.1.repeat(body.2.min(1024));
        (0..body.2.div_ceil(1024)).for_each(|_| archive.write_all(many.as_bytes()).unwrap());
        archive.write_all(body.3.as_bytes()).unwrap();
    };
    let relationships = "http://schemas.openxmlformats.org/package/2006/relationships";
    let office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    let mut list = String::new();
    let mut links = String::new();
    for (index, (name, rows)) in sheets.iter().enumerate() {
        let number = index + 1;
        list += &format!(r#"<sheet name="{name}" sheetId="{number}" r:id="r{number}"/>"#);
        links +=
            &format!(r#"<Relationship Id="r{number}" Type="{office}/worksheet" Target="worksheets/s{number}.xml"/>"#);
        let (head, tail) = (format!("<worksheet><sheetData>{}", rows.0), format!("{}</sheetData></worksheet>", rows.3));
        part(&format!("xl/worksheets/s{number}.xml"), Rows(&head, rows.1, rows.2, &tail));
    }
    let link = format!(r#"<Relationship Id="r1" Type="{office}/officeDocument" Target="xl/workbook.xml"/>"#);
    let wrap = |links: &str| format!(r#"<Relationships xmlns="{relationships}">{links}</Relationships>"#);
    part("_rels/.rels", wrap(&link).as_str().into());
    let book = format!(r#"<workbook xmlns:r="{office}"><sheets>{list}</sheets></workbook>"#);
    part("xl/workbook.xml", book.as_str().into());
    part("xl/_rels/workbook.xml.rels", wrap(&links).as_str().into());
    part("xl/sharedStrings.xml", shared_strings.into());
    archive.finish().unwrap().into_inner()
}

fn data<'a>(rows: impl Into<Rows<'a>>) -> Vec<u8> {
    workbook(&[("data", rows.into())], "<sst></sst>")
}

fn xlsx(rows: &str) -> File {
    file(&data(rows))
}

/// A cell of text in a row of raw XML.
fn text(place: &str, text: &str) -> String {
    format!(r#"<c r="{place}" t="inlineStr"><is><t>{text}</t></is></c>"#)
}

/// Bytes of this process that were ever resident.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[test]
fn workbooks_of_other_programs_are_read() {
    check(
        fixture("accounts.xlsx"),
        Format::Xlsx,
        "{}",
        "Accounts: Account ID|ARR|Signed|Seen|Active|Total\n\
         2: 001|[1234.56]|[2024-10-15]|[2024-10-15T13:45:00]|[true]|\n\
         4: Zoë & <Co>|[7]||[13:45:00]|[false]|",
    );
    check(
        fixture("accounts.xls"),
        Format::Xls,
        "{}",
        "Accounts: Account ID|ARR|Signed|Seen|Active\n\
         2: 001|[1234.56]|[2024-10-15]|[2024-10-15T13:45:00]|[true]\n\
         4: Zoë|[7]|||[false]\n\
         5: x|#REF!||| <reject error_cell>",
    );
    check(
        fixture("accounts.xls"),
        Format::Xls,
        r#"{"workbook":{"sheets":"all","hidden":"take","error_cells":"blank","first_row":1}}"#,
        "Notes: not this one\n\
         Accounts: Account ID|ARR|Signed|Seen|Active\n\
         2: 001|[1234.56]|[2024-10-15]|[2024-10-15T13:45:00]|[true]\n\
         4: Zoë|[7]|||[false]\n\
         5: x||||",
    );
}

#[test]
fn sheets_are_told_and_chosen() {
    let decoder = decoder(fixture("accounts.xlsx"), Format::Xlsx, "{}").unwrap();
    let Dialect::Workbook { sheets } = decoder.dialect() else { panic!("a workbook") };
    let sheets: Vec<_> = sheets.iter().map(|sheet| (sheet.name.as_str(), sheet.hidden)).collect();
    assert_eq!(sheets, [("Notes", true), ("Accounts", false)]);
    let named = r#"{"workbook":{"sheets":{"name":"Notes"}}}"#;
    check(fixture("accounts.xlsx"), Format::Xlsx, named, "Notes: not this one");
    let error = fails(fixture("accounts.xlsx"), Format::Xlsx, r#"{"workbook":{"sheets":{"name":"Data"}}}"#);
    assert_eq!(error, "there is no sheet `Data`; there are `Notes`, `Accounts`");
}

#[test]
fn tables_are_sparse_ragged_and_placed_anywhere() {
    let row = |number: u32, cells: &str| format!(r#"<row r="{number}">{cells}</row>"#);
    let number = |place: &str, number: &str| format!(r#"<c r="{place}"><v>{number}</v></c>"#);
    let rows = [
        row(2, &text("A2", "made today")),
        row(4, &(text("A4", "id") + &text("C4", "n") + &text("D4", "n"))),
        row(5, &(number("C5", "2") + &number("A5", "1"))),
        row(9, &(text("B9", "x") + &text("F9", "note") + &number("D9", "12345678901234567"))),
        row(10, r#"<c r="A10"/>"#),
    ];
    let options = r#"{"workbook":{"first_row":4}}"#;
    check(
        xlsx(&rows.concat()),
        Format::Xlsx,
        options,
        "data: id|column_2|n|n_2\n\
         5: [1]||[2]|\n\
         9: |x||[12345678901234568] <warning inexact_number> <warning too_many_cells>",
    );
    let options = r#"{"workbook":{"first_row":4,"header":"none"}}"#;
    check(
        xlsx(&rows[1..3].concat()),
        Format::Xlsx,
        options,
        "data: column_1|column_2|column_3|column_4\n4: id||n|n\n5: [1]||[2]|",
    );
    let error = fails(xlsx(&rows.concat()), Format::Xlsx, r#"{"workbook":{"first_row":3}}"#);
    assert_eq!(error, "in sheet `data` the header in line 3 names no column");
    let error = fails(xlsx(&(rows[2].clone() + &rows[0])), Format::Xlsx, "{}");
    assert_eq!(error, "in sheet `data` row 2 stands after a later one");
    assert_eq!(fails(xlsx(""), Format::Xlsx, "{}"), "in sheet `data` there is no header: nothing but blank rows");
}

#[test]
fn tables_longer_than_a_batch_arrive_whole_and_may_be_skipped() {
    let rows: String = (1..=5000)
        .map(|row| {
            format!(
                r#"<row r="{row}">{}</row>"#,
                text("A", &row.to_string()).replace(r#"r="A""#, &format!(r#"r="A{row}""#))
            )
        })
        .collect();
    let bytes = workbook(&[("one", rows.as_str().into()), ("two", rows.as_str().into())], "<sst></sst>");
    let mut decoder = decoder(file(&bytes), Format::Xlsx, r#"{"workbook":{"sheets":"all"}}"#).unwrap();
    assert_eq!(decoder.next_table().unwrap().unwrap().sheet.as_deref(), Some("one"));
    assert_eq!(decoder.next_batch().unwrap().unwrap().rows(), gristmill::decode::BATCH_ROWS);
    assert_eq!(decoder.next_table().unwrap().unwrap().sheet.as_deref(), Some("two"));
    decoder.want(&[]);
    let mut rows = 0;
    while let Some(batch) = decoder.next_batch().unwrap() {
        assert_eq!(batch.first_row, rows);
        assert!(batch.columns[0].is_none());
        rows += batch.rows() as u32;
    }
    assert_eq!(rows, 4999);
    assert!(decoder.next_batch().unwrap().is_none());
    assert!(decoder.next_table().unwrap().is_none());
}

#[test]
fn one_full_row_and_one_full_column_make_no_dense_grid() {
    let header: String = (0..16_384).map(|_| r#"<c t="inlineStr"><is><t>h</t></is></c>"#).collect();
    let column: String = (2..=10_000).map(|row| format!(r#"<row r="{row}"><c><v>1</v></c></row>"#)).collect();
    let before = peak_memory();
    let mut decoder = decoder(xlsx(&format!("<row r=\"1\">{header}</row>{column}")), Format::Xlsx, "{}").unwrap();
    assert_eq!(decoder.next_table().unwrap().unwrap().header.len(), 16_384);
    let mut rows = 0;
    while let Some(batch) = decoder.next_batch().unwrap() {
        assert_eq!(batch.columns.len(), 16_384);
        rows += batch.rows();
    }
    assert_eq!(rows, 9_999);
    assert!(peak_memory() - before < 100 << 20);
}

/// I6
#[test]
fn hostile_workbooks_fail_as_files_and_leave_our_memory_alone() {
    let before = peak_memory();
    let count = r#"<sst count="1000000000000" uniqueCount="1000000000000"><si><t>a</t></si></sst>"#;
    let declared = workbook(&[("data", "".into())], count);
    assert!(declared.len() < 5 << 10);
    assert_eq!(
        fails(file(&declared), Format::Xlsx, "{}"),
        "the workbook could not be decoded: the worker needed more memory than it may have (512 MiB)"
    );

    assert_eq!(
        fails(fixture("corners.xls"), Format::Xls, "{}"),
        "the workbook could not be decoded: the worker needed more memory than it may have (512 MiB)"
    );

    let bomb = data(Rows("", " ", 64 << 20, ""));
    assert!(bomb.len() < 1 << 20);
    let error = fails(file(&bomb), Format::Xlsx, r#"{"caps":{"unpacked_bytes":1048576}}"#);
    assert!(
        error.starts_with("the workbook unpacks to ") && error.ends_with("more than 1 MiB is not taken"),
        "{error}"
    );

    // Under the cap on what it says it unpacks to, the limits of the worker remain.
    let bomb = data(Rows(r#"<row r="1"><c t="inlineStr"><is><t>"#, "x", 64 << 20, "</t></is></c></row>"));
    let error = fails(file(&bomb), Format::Xlsx, r#"{"caps":{"worker":{"memory":33554432}}}"#);
    assert_eq!(error, "the workbook could not be decoded: the worker needed more memory than it may have (32 MiB)");

    assert!(peak_memory() - before < 100 << 20);
}

#[test]
fn caps_fail_a_workbook() {
    let rows = format!(r#"<row r="1">{}</row><row r="2">{}</row>"#, text("A1", "id"), text("A2", "12345"));
    let check = |caps: &str, expected: &str| {
        assert_eq!(fails(xlsx(&rows), Format::Xlsx, &format!(r#"{{"caps":{caps}}}"#)), expected);
    };
    check(r#"{"workbook_cells":1}"#, "the workbook has more than 1 cells");
    check(r#"{"rows":0}"#, "in sheet `data` there are more than 0 rows");
    check(r#"{"columns":0}"#, "in sheet `data` the row at line 1 has more than 0 columns");
    check(r#"{"cell_bytes":4}"#, "in sheet `data` the cell that begins at line 2, column 1 is larger than 4 bytes");
    check(r#"{"row_bytes":4}"#, "in sheet `data` the row that begins at line 2 is larger than 4 bytes");
    check(r#"{"header_bytes":1}"#, "in sheet `data` the header is larger than 1 bytes");
}

#[test]
fn content_that_is_no_workbook_is_named() {
    let not = |found: &str, suffix: &str| format!("the content is {found}, not what the suffix `.{suffix}` says");
    assert_eq!(fails(file(b"a,b\n1,2\n"), Format::Xlsx, "{}"), not("no workbook", "xlsx"));
    assert_eq!(fails(file(b""), Format::Xls, "{}"), not("no workbook", "xls"));
    assert_eq!(fails(file(b"\n<html>"), Format::Xls, "{}"), not("an HTML page", "xls"));
    assert_eq!(fails(fixture("accounts.xlsx"), Format::Xls, "{}"), not("a zip archive (an xlsx workbook?)", "xls"));
    assert_eq!(fails(fixture("encrypted.xlsx"), Format::Xlsx, "{}"), "the workbook is encrypted");
    let whole = data("");
    let error = fails(file(&whole[..whole.len() / 2]), Format::Xlsx, "{}");
    assert!(error.starts_with("the zip archive is damaged: "), "{error}");
}

#[test]
fn a_worker_that_computes_too_long_is_ended() {
    // Twenty million empty elements take longer to read than the second it gets.
    let elements = data(Rows("", "<a></a>", 20 << 20, ""));
    let caps =
        r#"{"caps":{"worker":{"cpu":{"secs":1,"nanos":0},"cpu_per_mib":{"secs":0,"nanos":0},"wall_factor":60}}}"#;
    assert_eq!(
        fails(file(&elements), Format::Xlsx, caps),
        "the workbook could not be decoded: the worker used up its processor time (1s)"
    );
}

#[test]
fn a_worker_that_is_waited_for_too_long_is_ended() {
    // Its first answer takes longer than no time at all.
    let limits =
        Limits { cpu: Duration::from_secs(9), wall: Duration::from_millis(1), memory: 1 << 29, output: 1 << 20 };
    let input = file_of(&data(Rows("", " ", 16 << 20, ""))).unwrap();
    let request = serde_json::json!({"format": "xlsx", "options": {}, "caps": {}});
    let running = launcher().start(Task::Decode, &request, Some(input), limits).unwrap();
    assert!(matches!(running.answer(), Err(WorkerError::Deadline { .. })));
}

#[test]
fn a_worker_refuses_what_is_no_request() {
    let limits =
        Limits { cpu: Duration::from_secs(9), wall: Duration::from_secs(60), memory: 1 << 29, output: 1 << 20 };
    let running = launcher().start(Task::Decode, &"nonsense", None, limits).unwrap();
    match running.answer().unwrap_err() {
        error @ WorkerError::Refused { .. } => assert!(!error.is_inputs_fault()),
        error => panic!("{error}"),
    }
}

#[test]
fn a_worker_that_answers_too_much_is_ended() {
    let error = fails(fixture("accounts.xlsx"), Format::Xlsx, r#"{"caps":{"worker":{"output":20}}}"#);
    assert_eq!(error, "the workbook could not be decoded: the worker answered more than it may (20 bytes)");
}

#[test]
fn no_worker_outlives_its_decoder() {
    let rows: String = (1..=200_000).map(|row| format!(r#"<row r="{row}">{}</row>"#, r#"<c><v>1</v></c>"#)).collect();
    let mut decoder = decoder(xlsx(&rows), Format::Xlsx, "{}").unwrap();
    decoder.next_table().unwrap();
    let worker = children().pop().expect("the worker runs");
    drop(decoder);
    assert!(!children().contains(&worker));
}

/// The process ids of this test's worker children: those whose parent thread group is this process.
fn children() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path().join("children"));
    let lists = tasks.filter_map(|list| std::fs::read_to_string(list).ok());
    lists.flat_map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect()
}

#[test]
fn the_worker_cannot_be_started_by_hand() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_gristmill"))
        .args(["worker", "decode"])
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(65));
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.starts_with("a worker is started by gristmill itself"), "{words}");
}
