use std::convert::Infallible;

use arrow_array::StringArray;
use arrow_buffer::BooleanBuffer;
use jiff::Timestamp;

use super::*;
use crate::batch::{Cells, Issues};
use crate::object::Generation;

fn object(key: &str) -> Object {
    Object {
        connection: "acme".parse().unwrap(),
        bucket: "exports".parse().unwrap(),
        key: key.parse().unwrap(),
        etag: "0123456789abcdef-2".parse().unwrap(),
        size: 1,
        last_modified: Timestamp::UNIX_EPOCH,
    }
}

fn identity(object: &Object) -> Identity {
    Identity { integration: "accounts".parse().unwrap(), dedup_key: object.dedup_key(), generation: Generation(3) }
}

fn head(sheet: Option<&str>, header: &[&str]) -> Part {
    let header = header.iter().map(|name| (*name).to_owned()).collect();
    Part::Table(TableHead { sheet: sheet.map(str::to_owned), header, duplicates: Vec::new() })
}

/// Rows whose first lies on line 2 of the file.
fn batch(first_row: u32, rows: &[&[&str]]) -> Part {
    let columns = rows.first().map_or(0, |row| row.len());
    let cells = |column: usize| {
        let text = StringArray::from(rows.iter().map(|row| row[column]).collect::<Vec<_>>());
        Some(Cells { text, typed: None })
    };
    Part::Batch(Batch {
        first_row,
        lines: (0..rows.len() as u64).map(|row| u64::from(first_row) + row + 2).collect(),
        columns: (0..columns).map(cells).collect(),
        issues: Issues::none(),
    })
}

/// Row, column, whether it is a reject, code.
fn issues(issues: &[(u32, i32, bool, &str)]) -> Issues {
    Issues {
        rows: issues.iter().map(|issue| issue.0).collect(),
        columns: issues.iter().map(|issue| issue.1).collect(),
        rejects: BooleanBuffer::from_iter(issues.iter().map(|issue| issue.2)),
        codes: StringArray::from(issues.iter().map(|issue| issue.3).collect::<Vec<_>>()),
        messages: StringArray::from(issues.iter().map(|issue| format!("{} it is", issue.3)).collect::<Vec<_>>()),
    }
}

struct Written {
    rejected: Rejected,
    handed_over: Vec<RejectRow>,
    /// Name and text of each file, in order.
    files: Vec<(String, String)>,
}

fn write(key: &str, logged: &[(u32, Issues)], parts: Vec<Part>) -> Result<Written, RejectsError> {
    let root = tempfile::tempdir().unwrap();
    // Room for so little that every reject is a run of its own.
    let mut log = IssueLog::with_room(root.path(), 1)?;
    for (table, issues) in logged {
        log.push(*table, issues, &[])?;
    }
    let object = object(key);
    let mut handed_over = Vec::new();
    let parts = parts.into_iter().map(Ok::<_, Infallible>);
    let rejected = write_rejects(&mut log, parts, root.path(), &identity(&object), &object, |rows| {
        handed_over.extend_from_slice(rows);
        Ok::<_, Infallible>(())
    })?;
    let file = |path: &PathBuf| {
        let name = path.strip_prefix(root.path()).unwrap().display().to_string();
        (name, fs::read_to_string(path).unwrap())
    };
    let files: Vec<_> = rejected.files.iter().map(file).collect();
    let folder = root.path().join("accounts");
    let visible = if folder.exists() { fs::read_dir(folder).unwrap().count() } else { 0 };
    assert_eq!(visible, files.len(), "nothing but whole files is left");
    Ok(Written { rejected, handed_over, files })
}

const ADDED: &str =
    "_gristmill_line,_gristmill_column,_gristmill_value,_gristmill_code,_gristmill_message,_gristmill_origin";
const FROM: &str = "accounts:acme/exports/d/a.csv#etag=0123456789abcdef-2";

/// R10
#[test]
fn refused_rows_stand_once_with_all_that_is_wrong() {
    let parts = vec![
        head(None, &["id", "a,rr"]),
        batch(0, &[&["1", "x"], &["2", "=1+1"]]),
        batch(2, &[&["3", "multi\nline"], &["", "4 \"q\""]]),
    ];
    let logged = [
        (0, issues(&[(3, 0, true, "blank"), (1, 1, false, "warned")])),
        (0, issues(&[(1, 1, true, "number"), (0, -1, false, "warned")])),
        (0, issues(&[(3, 1, true, "number"), (3, 0, true, "blank"), (2, -1, true, "ragged")])),
    ];
    let written = write("d/a.csv", &logged, parts).unwrap();
    let expected = [
        format!("\u{feff}id,\"a,rr\",{ADDED}"),
        format!("2,=1+1,3,\"a,rr\",=1+1,number,number it is,{FROM}#line=3"),
        format!("3,\"multi\nline\",4,,,ragged,ragged it is,{FROM}#line=4"),
        format!(
            ",\"4 \"\"q\"\"\",5,\"id; a,rr\",\"; 4 \"\"q\"\"\",blank; number,blank it is; number it is,{FROM}#line=5"
        ),
        String::new(),
    ];
    let [(name, text)] = written.files.as_slice() else { panic!("one file") };
    assert_eq!(name, "accounts/d%2Fa.csv.0123456789ab.g3.rejects.csv");
    assert_eq!(text, &expected.join("\r\n"));
    assert_eq!((written.rejected.rows, written.rejected.rejects), (3, 4));
    let told: Vec<_> =
        written.handed_over.iter().map(|row| (row.row, row.line, row.column.as_deref(), row.code.as_str())).collect();
    assert_eq!(
        told,
        [
            (1, 3, Some("a,rr"), "number"),
            (2, 4, None, "ragged"),
            (3, 5, Some("id"), "blank"),
            (3, 5, Some("a,rr"), "number")
        ]
    );
}

/// R10
#[test]
fn cells_come_back_exactly() {
    let cells = ["=cmd|'/c'", "+1", "-1", "@a", " spaced ", "", "a\r\nb", "ü\t\"", "001", "x;y"];
    let header: Vec<_> = (0..cells.len()).map(|n| format!("c{n}")).collect();
    let header: Vec<_> = header.iter().map(String::as_str).collect();
    let parts = vec![head(None, &header), batch(0, &[&cells])];
    let written = write("a", &[(0, issues(&[(0, -1, true, "bad")]))], parts).unwrap();
    let text = written.files[0].1.trim_start_matches('\u{feff}');
    let row = csv::Reader::from_reader(text.as_bytes()).into_records().next().unwrap().unwrap();
    assert_eq!(row.iter().take(cells.len()).collect::<Vec<_>>(), cells);
}

#[test]
fn without_rejects_there_is_no_file() {
    let parts = || vec![head(None, &["id"]), batch(0, &[&["1"]])];
    for logged in [vec![], vec![(0, issues(&[(0, 0, false, "warned")]))]] {
        let written = write("a", &logged, parts()).unwrap();
        assert_eq!(written.rejected, Rejected::default());
    }
}

#[test]
fn each_sheet_with_rejects_has_a_file() {
    let sheet = |name| vec![head(Some(name), &["id"]), batch(0, &[&["1"], &["2"]])];
    let parts = [sheet("One"), sheet("Two"), sheet("Three")].into_iter().flatten().collect();
    let logged = [(2, issues(&[(1, 0, true, "bad")])), (0, issues(&[(0, 0, true, "bad")]))];
    let written = write("a.xlsx", &logged, parts).unwrap();
    let names: Vec<_> = written.files.iter().map(|(name, _)| name.as_str()).collect();
    let name = |sheet| format!("accounts/a.xlsx.0123456789ab.g3.sheet-{sheet}.rejects.csv");
    assert_eq!(names, [name(1), name(3)]);
    assert!(written.files[1].1.contains("acme/exports/a.xlsx#etag=0123456789abcdef-2#sheet=Three#line=3"));
}

/// R10: a mended file that has rejects again.
#[test]
fn a_mended_file_keeps_its_origin_and_doubles_no_column() {
    let mut header = vec!["id"];
    header.extend(COLUMNS);
    let row = ["7", "2", "id", "x", "number", "number it is", "first/origin"];
    let added_by_hand = ["8", "", "", "", "", "", ""];
    let parts = vec![head(None, &header), batch(0, &[&row, &added_by_hand])];
    let logged = [(0, issues(&[(0, 0, true, "range"), (1, 0, true, "range")]))];
    let written = write("d/a.csv", &logged, parts).unwrap();
    let lines: Vec<_> = written.files[0].1.trim_start_matches('\u{feff}').lines().collect();
    assert_eq!(lines[0], format!("id,{ADDED}"));
    assert_eq!(lines[1], "7,2,id,7,range,range it is,first/origin");
    assert_eq!(lines[2], format!("8,3,id,8,range,range it is,{FROM}#line=3"));
}

#[test]
fn a_refused_row_that_is_not_there_is_an_error() {
    let cases = [(0, 5), (1, 0), (7, 0)];
    for (table, row) in cases {
        let parts = vec![head(None, &["id"]), batch(0, &[&["1"]])];
        let error = write("a", &[(table, issues(&[(row, 0, true, "bad")]))], parts).err().unwrap();
        assert!(matches!(error, RejectsError::NoSuchRow { .. }), "{error}");
    }
}

#[test]
fn a_decoder_that_fails_leaves_no_file() {
    let root = tempfile::tempdir().unwrap();
    let mut log = IssueLog::create(root.path()).unwrap();
    log.push(0, &issues(&[(0, 0, true, "bad"), (1, 0, true, "bad")]), &[]).unwrap();
    let parts = [Ok(head(None, &["id"])), Ok(batch(0, &[&["1"]])), Err("truncated")];
    let object = object("a");
    let hand_over = |_: &[RejectRow]| Ok::<_, Infallible>(());
    let failed = write_rejects(&mut log, parts, root.path(), &identity(&object), &object, hand_over);
    assert!(matches!(failed, Err(RejectsError::Decode(_))));
    assert_eq!(fs::read_dir(root.path().join("accounts")).unwrap().count(), 0);
}

#[test]
fn rejects_are_sorted_whatever_the_room() {
    let directory = tempfile::tempdir().unwrap();
    for room in [1, 200, 1 << 20] {
        let mut log = IssueLog::with_room(directory.path(), room).unwrap();
        for number in 0..1_000_u32 {
            let row = number.wrapping_mul(7_919) % 100;
            let code = number.to_string();
            log.push(number % 3, &issues(&[(row, 0, true, &code), (row, 0, false, "warned")]), &[]).unwrap();
        }
        assert_eq!((log.rejects(), log.warnings()), (1_000, 1_000));
        let mut sorted = log.sorted().unwrap();
        let mut read = Vec::new();
        while let Some(reject) = sorted.next().transpose().unwrap() {
            read.push((reject.table, reject.row, reject.code.parse::<u32>().unwrap()));
        }
        assert_eq!(read.len(), 1_000);
        assert!(read.is_sorted(), "by table and row, and then in the order of pushing");
    }
}
