//! CSV files in all their dialects, as data: bytes and options in, a printed table or an error out.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Seek, Write};

use arrow_array::Array;
use gristmill::decode::{DecodeError, DecodeOptions, Decoder, Dialect, Format, open};
use gristmill::worker::Launcher;

fn decoder(bytes: &[u8], options: &str) -> Result<Decoder, DecodeError> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    let options: DecodeOptions = serde_json::from_str(options).unwrap();
    open(file, Format::Csv, &options, &Launcher::this_binary())
}

/// The table as text: the header, then `line: cells`, issues behind the row they are about.
fn print(bytes: &[u8], options: &str) -> Result<String, DecodeError> {
    let mut decoder = decoder(bytes, options)?;
    let head = decoder.next_table()?.expect("a CSV file has a table");
    let mut text = head.header.join("|");
    if !head.duplicates.is_empty() {
        text += &format!(" (doubled: {})", head.duplicates.join("|"));
    }
    let mut rows = 0;
    while let Some(batch) = decoder.next_batch()? {
        assert_eq!(batch.first_row, rows);
        rows += batch.rows() as u32;
        for row in 0..batch.rows() {
            let cells: Vec<&str> = batch.columns.iter().map(|cells| cells.as_ref().unwrap().text.value(row)).collect();
            text += &format!("\n{}: {}", batch.lines[row], cells.join("|"));
            for issue in 0..batch.issues.len() {
                if batch.issues.rows[issue] == batch.first_row + row as u32 {
                    let word = if batch.issues.rejects.value(issue) { "reject" } else { "warning" };
                    text += &format!(" <{word} {}>", batch.issues.codes.value(issue));
                }
            }
        }
    }
    assert!(decoder.next_table()?.is_none());
    Ok(text)
}

fn check(bytes: &[u8], options: &str, expected: &str) {
    let printed = print(bytes, options).unwrap_or_else(|error| format!("error: {error}"));
    assert_eq!(printed, expected, "{:?} with {options}", String::from_utf8_lossy(bytes));
}

fn plain(bytes: &[u8], expected: &str) {
    check(bytes, "{}", expected);
}

#[test]
fn line_ends_and_blank_lines_of_every_kind() {
    plain(b"a,b\n1,2\n3,4\n", "a|b\n2: 1|2\n3: 3|4");
    plain(b"a,b\r\n1,2\r\n3,4", "a|b\n2: 1|2\n3: 3|4");
    plain(b"a,b\r1,2\r3,4\r", "a|b\n2: 1|2\n3: 3|4");
    plain(b"\n\r\n\ra,b\n\n\n1,2\n\r\n3,4\n\n", "a|b\n7: 1|2\n9: 3|4");
    plain(b"a,b\r\n\r\n1,2\r\n", "a|b\n3: 1|2");
    plain(b"a\n\n1\n", "a\n3: 1");
    plain(b"a,b", "a|b");
    plain(b"a,b\n,\n", "a|b\n2: |");
}

#[test]
fn quotes_hold_delimiters_line_ends_and_themselves() {
    plain(b"a,b\n\"1,\"\"x\"\"\",2\n", "a|b\n2: 1,\"x\"|2");
    plain(b"a,b\n\"1\n\n1\",2\n3,4\n", "a|b\n2: 1\n\n1|2\n5: 3|4");
    plain(b"a,b\r\n\"1\r\n1\",2\r\n3,4\r\n", "a|b\n2: 1\r\n1|2\n4: 3|4");
    plain(b"a,b\n1,\"2\"", "a|b\n2: 1|2");
    plain(b"a,b\n1,2\"3\n", "a|b\n2: 1|2\"3");
    plain(b"\"a\nx\",b\n1,2\n", "a\nx|b\n3: 1|2");
    check(b"a;b\n'1;1';\"2\n", r#"{"csv":{"delimiter":";","quote":"'"}}"#, "a|b\n2: 1;1|\"2");
    check(b"a,b\n\"1,2\n", r#"{"csv":{"quote":null}}"#, "a|b\n2: \"1|2");
    check(
        br#"a,b
"1\"2",3
"#,
        r#"{"csv":{"escape":"\\"}}"#,
        "a|b\n2: 1\"2|3",
    );
}

#[test]
fn a_quote_that_never_closes_fails_the_file_and_is_found() {
    plain(b"a,b\n1,2\n3,\"4\n5,6\n", "error: the quote that opens at line 3, column 2 is never closed");
    plain(b"a,b\n\"1\n\",\"4\n5,6\n", "error: the quote that opens at line 3, column 2 is never closed");
    plain(b"a,\"b\n", "error: the quote that opens at line 1, column 2 is never closed");
    let mut long = b"a,b\n1,2\n\"".to_vec();
    long.extend(std::iter::repeat_n(b"123456,\n".as_slice(), 40_000).flatten());
    check(
        &long,
        r#"{"caps":{"cell_bytes":65536}}"#,
        "error: the cell that begins at line 3, column 1 is larger than 64 KiB",
    );
}

#[test]
fn headers_are_filled_told_apart_or_missing() {
    plain(b"id,,id, id\n1,2,3,4\n", "id|column_2|id_2| id (doubled: id)\n2: 1|2|3|4");
    check(b"1,2\n3,4\n", r#"{"csv":{"header":"none"}}"#, "column_1|column_2\n1: 1|2\n2: 3|4");
    plain(b"", "error: there is no header: nothing but blank rows");
    plain(b"\n\n", "error: there is no header: nothing but blank rows");
    plain(b"\xef\xbb\xbf", "error: there is no header: nothing but blank rows");
    plain(b"\n, ,\n1,2,3\n", "error: the header in line 2 names no column");
    check(b"a,bcd\n", r#"{"caps":{"header_bytes":3}}"#, "error: the header is larger than 3 bytes");
}

#[test]
fn rows_around_the_table_are_left_out() {
    check(b"made \"today\n\na,b\n1,2\n", r#"{"csv":{"skip_rows":2}}"#, "a|b\n4: 1|2");
    check(b"made\r\n\r\na,b\r\n1,2\r\n", r#"{"csv":{"skip_rows":2}}"#, "a|b\n4: 1|2");
    check(b"made\r\ra,b\r1,2\r", r#"{"csv":{"skip_rows":2}}"#, "a|b\n4: 1|2");
    check(b"a,b\nkg,m\n1,2\n", r#"{"csv":{"skip_after_header":1}}"#, "a|b\n3: 1|2");
    check(b"a,b\n1,2\n3,4\ntotal\n", r#"{"csv":{"footer_rows":1}}"#, "a|b\n2: 1|2\n3: 3|4");
    check(b"a,b\ntotal\n", r#"{"csv":{"footer_rows":3}}"#, "a|b");
    check(b"#x,\"\na,b\n# 1,2\n3,4\n5,#6\n", r##"{"csv":{"comment":"#"}}"##, "a|b\n4: 3|4\n5: 5|#6");
    check(b"a\n1\n", r#"{"csv":{"skip_rows":9}}"#, "error: there is no header: nothing but blank rows");
}

#[test]
fn a_footer_may_straddle_batches() {
    let mut bytes = b"n,x\n".to_vec();
    (0..5000).for_each(|row| bytes.extend(format!("{row},{}\n", row % 7).bytes()));
    (0..30).for_each(|_| bytes.extend(b"total\n"));
    let printed = print(&bytes, r#"{"csv":{"footer_rows":30}}"#).unwrap();
    let rows: Vec<&str> = printed.lines().skip(1).collect();
    assert_eq!(rows.len(), 5000);
    for (row, text) in rows.iter().enumerate() {
        assert_eq!(*text, format!("{}: {row}|{}", row + 2, row % 7));
    }
}

#[test]
fn ragged_rows_are_rejected_padded_or_fail_the_file() {
    let bytes = b"a,b\n1\n1,2,3\n1,2,\n1,2\n";
    plain(
        bytes,
        "a|b\n2: 1| <reject too_few_cells>\n3: 1|2 <reject too_many_cells>\n4: 1|2 <reject too_many_cells>\n5: 1|2",
    );
    check(bytes, r#"{"csv":{"ragged":"pad"}}"#, "a|b\n2: 1|\n3: 1|2 <warning too_many_cells>\n4: 1|2\n5: 1|2");
    check(bytes, r#"{"csv":{"ragged":"fail"}}"#, "error: the row at line 2 has 1 cells, the header 2");
}

#[test]
fn encodings_are_read_as_asked_or_as_marked() {
    plain(b"\xef\xbb\xbfa,b\n1,\xc3\xa4\n", "a|b\n2: 1|ä");
    let utf_16 = |mark: bool, little: bool| -> Vec<u8> {
        let text = if mark { "\u{feff}a,b\n1,ä😀\n" } else { "a,b\n1,ä😀\n" };
        let bytes = |unit: u16| if little { unit.to_le_bytes() } else { unit.to_be_bytes() };
        text.encode_utf16().flat_map(bytes).collect()
    };
    plain(&utf_16(true, true), "a|b\n2: 1|ä😀");
    plain(&utf_16(true, false), "a|b\n2: 1|ä😀");
    check(&utf_16(false, true), r#"{"csv":{"encoding":"utf-16le"}}"#, "a|b\n2: 1|ä😀");
    check(&utf_16(true, true), r#"{"csv":{"encoding":"windows-1252"}}"#, "a|b\n2: 1|ä😀");
    check(b"a,b\n1,\x80\xe4\n", r#"{"csv":{"encoding":"Windows-1252"}}"#, "a|b\n2: 1|€ä");
    check(b"a,b\n1,\xa4\n", r#"{"csv":{"encoding":"iso-8859-15"}}"#, "a|b\n2: 1|€");
    check(b"a,b\n1,\x93\xfa\x96\x7b\n", r#"{"csv":{"encoding":"shift_jis"}}"#, "a|b\n2: 1|日本");
    assert!(serde_json::from_str::<DecodeOptions>(r#"{"csv":{"encoding":"klingon"}}"#).is_err());
}

#[test]
fn bytes_that_are_no_text_fail_the_file_where_they_stand() {
    plain(b"a,b\n1,2\n\"x\ny\",z\xe4z\n", "error: the bytes at line 4, column 2 are not utf-8");
    plain(b"\xe4,b\n", "error: the bytes at line 1, column 1 are not utf-8");
    plain(b"a,b\n1,2\n\xc3", "error: the bytes at line 3, column 1 are not utf-8");
    check(
        b"a,b\n1,\x81\n",
        r#"{"csv":{"encoding":"shift_jis"}}"#,
        "error: the bytes at line 2, column 2 are not shift_jis",
    );
    plain(b"a,b\n1,\0\n", "error: there is a NUL byte at line 2, column 2: this is not text, or not in utf-8");
    // Wherever the pieces are cut that the file is read in.
    for shift in 0..4 {
        let mut bytes = b"a\n".to_vec();
        bytes.extend(std::iter::repeat_n(b'x', shift));
        (0..100_000).for_each(|_| bytes.extend("é€😀\n".bytes()));
        assert_eq!(print(&bytes, "{}").unwrap().lines().count(), 100_001);
        bytes.extend(b"\xff\n");
        let error = print(&bytes, "{}").unwrap_err();
        assert_eq!(error.to_string(), "the bytes at line 100002, column 1 are not utf-8");
        assert!(error.is_files_fault());
    }
}

#[test]
fn content_that_is_something_else_is_named() {
    let not = |found: &str| format!("error: the content is {found}, not what the suffix `.csv` says");
    plain(b" \n<!DOCTYPE html><html>", &not("an HTML page"));
    plain(b"\xef\xbb\xbf<HTML><body>", &not("an HTML page"));
    plain(b"<?xml version=\"1.0\"?><Error>", &not("an XML document"));
    plain(b"PK\x03\x04....", &not("a zip archive (an xlsx workbook?)"));
    plain(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", &not("a compound file (an xls workbook?)"));
    plain(b"\x1f\x8b\x08", &not("gzip-compressed"));
}

#[test]
fn caps_fail_the_file() {
    check(b"a,b,c\n", r#"{"caps":{"columns":2}}"#, "error: the row at line 1 has more than 2 columns");
    check(b"a\n1\n2\n3\n", r#"{"caps":{"rows":2}}"#, "error: there are more than 2 rows");
    check(
        b"a,b\n\"x\ny\",12345\n",
        r#"{"caps":{"cell_bytes":4}}"#,
        "error: the cell that begins at line 3, column 2 is larger than 4 bytes",
    );
    let mut wide = b"a\n1".to_vec();
    wide.extend(std::iter::repeat_n(b',', 1_000_000));
    check(&wide, "{}", "error: the row at line 2 has more than 16384 columns");
    let mut heavy = b"a\n".to_vec();
    (0..3000).for_each(|_| heavy.extend([&[b'x'; 1000][..], b","].concat()));
    check(&heavy, r#"{"caps":{"row_bytes":1048576}}"#, "error: the row that begins at line 2 is larger than 1 MiB");
}

#[test]
fn options_that_cannot_be_used_are_named() {
    check(b"a\n", r#"{"csv":{"delimiter":"€"}}"#, "error: the delimiter cannot be `€`");
    check(b"a\n", r#"{"csv":{"quote":"\n"}}"#, "error: the quote cannot be `\n`");
}

#[test]
fn wanted_columns_alone_are_made_and_change_nothing_else() {
    let mut decoder = decoder(b"a,b,c\n1,2,3\n4,5\n", "{}").unwrap();
    decoder.next_table().unwrap();
    decoder.want(&[2, 0, 9, 2]);
    let batch = decoder.next_batch().unwrap().unwrap();
    assert!(batch.columns[1].is_none());
    let column = |index: usize| batch.columns[index].as_ref().unwrap().text.iter().flatten().collect::<Vec<_>>();
    assert_eq!((column(0), column(2)), (vec!["1", "4"], vec!["3", ""]));
    assert_eq!(batch.lines, [2, 3]);
    assert_eq!(batch.issues.rows, [1]);
    assert!(decoder.next_batch().unwrap().is_none());
    assert!(decoder.next_batch().unwrap().is_none());
}

#[test]
fn no_column_may_be_wanted() {
    let mut decoder = decoder(b"a,b\n1,2\n4,5\n", "{}").unwrap();
    decoder.next_table().unwrap();
    decoder.want(&[]);
    assert_eq!(decoder.next_batch().unwrap().unwrap().rows(), 2);
}

/// I6
#[test]
fn batches_are_bounded_in_rows_and_bytes() {
    let mut bytes = b"n,text\n".to_vec();
    (0..5000).for_each(|row| bytes.extend(format!("{row},{}\n", "x".repeat(row)).bytes()));
    let mut decoder = decoder(&bytes, "{}").unwrap();
    decoder.next_table().unwrap();
    let mut rows = 0;
    while let Some(batch) = decoder.next_batch().unwrap() {
        let text = &batch.columns[1].as_ref().unwrap().text;
        assert!(batch.rows() <= gristmill::decode::BATCH_ROWS);
        assert!(text.value_data().len() <= gristmill::decode::BATCH_BYTES + 5000);
        for row in 0..text.len() {
            assert_eq!(text.value_length(row), rows);
            rows += 1;
        }
    }
    assert_eq!(rows, 5000);
}

#[test]
fn the_dialect_is_told() {
    let mut decoder = decoder(b"\xff\xfe\n\0a\0\n\0", "{}").unwrap();
    decoder.next_table().unwrap();
    let expected =
        Dialect::Csv { encoding: "utf-16le".into(), byte_order_mark: true, delimiter: ',', header_line: Some(2) };
    assert_eq!(decoder.dialect(), expected);
}
