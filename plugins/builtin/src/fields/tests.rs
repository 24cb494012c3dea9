use super::*;
use crate::columns::{Cells, Column, Text, Values, is_set};

/// Key, sheet, moment and day of the tests' file: half an hour before midnight on 2024-10-15 in UTC.
pub(crate) const FILE: FileInfo<'static> = FileInfo {
    key: "exports/region=emea/2024-10.csv",
    sheet: Some("Q4 accounts"),
    last_modified: 1_729_035_000_000_000,
    today: 20_011,
};

/// A table of text, written down as lines.
pub(crate) struct Table {
    header: Vec<String>,
    columns: Vec<(Text, Vec<u8>)>,
    rows: u32,
}

impl Table {
    /// The first line is the header; cells are parted by `|`, and a `'` before a cell says that the workbook typed it.
    pub(crate) fn new(lines: &[&str]) -> Self {
        let header: Vec<String> = lines[0].split('|').map(str::to_owned).collect();
        let rows = lines.len() - 1;
        let mut columns = vec![(Text::default(), vec![0; rows.div_ceil(8)]); header.len()];
        for (row, line) in lines[1..].iter().enumerate() {
            for ((text, typed), cell) in columns.iter_mut().zip(line.split('|')) {
                typed[row / 8] |= u8::from(cell.starts_with('\'')) << (row % 8);
                text.push(cell.trim_start_matches('\'').as_bytes());
            }
        }
        Self { header, columns, rows: rows as u32 }
    }

    pub(crate) fn header(&self) -> &[String] {
        &self.header
    }

    pub(crate) fn batch(&self, first_row: u32, wanted: &[u32]) -> Batch<'_> {
        let cells = |header: &u32| {
            let (text, typed) = &self.columns[*header as usize];
            Cells::new(&text.offsets, &text.bytes, Some(typed)).unwrap()
        };
        Batch::new(first_row, self.rows, wanted.iter().map(cells).collect()).unwrap()
    }
}

pub(crate) fn text_at(text: &Text, row: usize) -> String {
    String::from_utf8(text.bytes[text.offsets[row] as usize..text.offsets[row + 1] as usize].to_vec()).unwrap()
}

/// An identifier, `-` where there is none.
pub(crate) fn identifier_at(column: &TextColumn, row: usize) -> String {
    match column.validity.as_ref().is_none_or(|bits| is_set(bits, row)) {
        true => text_at(&column.text, row),
        false => "-".into(),
    }
}

/// A value as a person writes it, `-` where there is none.
pub(crate) fn value_at(column: &Column, row: usize) -> String {
    if !column.has_value(row) {
        return "-".into();
    }
    match &column.values {
        Values::Text(text) => text_at(text, row),
        Values::Integer(values) | Values::Decimal(values) | Values::Timestamp(values) => values[row].to_string(),
        Values::Float(values) => values[row].to_string(),
        Values::Boolean(bits) => is_set(bits, row).to_string(),
        Values::Date(days) => days[row].to_string(),
        Values::TextList(lists) => (lists.offsets[row]..lists.offsets[row + 1])
            .map(|item| text_at(&lists.items, item as usize))
            .collect::<Vec<_>>()
            .join("+"),
    }
}

/// A field's value, `~` where the stored one is to be erased.
fn field_at(field: &FieldColumn, row: usize) -> String {
    let value = value_at(&field.column, row);
    match field.clear.as_ref().is_some_and(|bits| is_set(bits, row)) {
        true => {
            assert_eq!(value, "-");
            "~".into()
        }
        false => value,
    }
}

/// Issues as `row column code`, with `!` for a reject.
pub(crate) fn issue_lines(issues: &Issues) -> Vec<String> {
    (0..issues.len())
        .map(|place| {
            let mark = if is_set(&issues.rejects, place) { "!" } else { "" };
            format!("{} {} {}{mark}", issues.rows[place], issues.columns[place], text_at(&issues.codes, place))
        })
        .collect()
}

const EVERY_TYPE: &str = r#"{"identifiers":[{"column":"id","match":"crm_id"}],"fields":[
    {"column":"name","field":"name","type":"text"},
    {"column":"notes","field":"notes","type":"long_text"},
    {"column":"seats","field":"seats","type":"integer","number":{"group":","}},
    {"column":"score","field":"score","type":"float"},
    {"column":"churn","field":"churn","type":"percent"},
    {"column":"ratio","field":"ratio","type":"percent_ratio"},
    {"column":"arr","field":"arr","type":"currency","unit":"EUR","number":{"decimal":",","group":"."}},
    {"column":"live","field":"live","type":"boolean"},
    {"column":"since","field":"since","type":"date","formats":["%d.%m.%Y"]},
    {"column":"tags","field":"tags","type":"text_list","separator":";"},
    {"column":"site","field":"site","type":"url"}]}"#;

/// Rows in, account records out: `row identifier field field …`.
fn check_records(settings: &str, lines: &[&str], records: &[&str], issues: &[&str]) {
    let table = Table::new(lines);
    let mut mapper = FieldMapper::open(FILE, table.header(), settings).unwrap();
    let batch = mapper.map_batch(&table.batch(1000, &mapper.layout().wanted)).unwrap();
    let found: Vec<String> = (0..batch.rows.len())
        .map(|row| {
            let values = batch.fields.iter().map(|field| field_at(field, row));
            let identifiers = batch.identifiers.iter().map(|column| identifier_at(column, row));
            [batch.rows[row].to_string()].into_iter().chain(identifiers).chain(values).collect::<Vec<_>>().join("|")
        })
        .collect();
    assert_eq!(found, records);
    assert_eq!(issue_lines(&batch.issues), issues);
}

const HEADER: &str = "id|unmapped|name|notes|seats|score|churn|ratio|arr|live|since|tags|site";

#[test]
fn every_type_is_mapped() {
    check_records(
        EVERY_TYPE,
        &[
            HEADER,
            "001|x|Ümit|a long\ntext|1,234|0.5|12%|0.07|1.234,5|Yes|29.02.2024|a; b|https://acme.com",
            "002|x|||||||||||",
            "003|x|b|c|'1234|'1e3|'0.12|'0.12|'1234.5|'true|'2024-02-29|'x|acme.com",
        ],
        &[
            "1000|001|Ümit|a long\ntext|1234|0.5|12|7|123450|true|19782|a+b|https://acme.com",
            "1001|002|-|-|-|-|-|-|-|-|-|-|-",
            "1002|003|b|c|1234|1000|0.12|12|123450|true|19782|x|acme.com",
        ],
        &[],
    );
}

/// I8: a bad row is rejected alone, and everything wrong with it is said.
#[test]
fn a_bad_row_is_rejected_alone() {
    check_records(
        EVERY_TYPE,
        &[
            HEADER,
            "1|||n1|1|1|1|1|1|1|01.01.1970|a|a.b",
            "2||x|n2|1.5|abc|x%|20%|1.234.5|maybe|2024-01-01|b;c|javascript:x",
            "3|||n3|3||3|||no||d;e;f|",
            "|||n4|3||3|||no|||",
            "||||||||||||",
            " |filler|||||||||||",
            "5||z|n5|||||,5||||",
        ],
        &[
            "1000|1|-|n1|1|1|1|100|100|true|0|a|a.b",
            "1002|3|-|n3|3|-|3|-|-|false|-|d+e+f|-",
            "1006|5|z|n5|-|-|-|-|50|-|-|-|-",
        ],
        &[
            "1003 0 blank_identifier!",
            "1004 -1 blank_row",
            "1005 -1 blank_row",
            "1001 4 not_an_integer!",
            "1001 5 not_a_number!",
            "1001 6 not_a_number!",
            "1001 7 percent_sign_in_ratio!",
            "1001 8 not_a_number!",
            "1001 9 not_a_boolean!",
            "1001 10 bad_date!",
            "1001 12 not_a_url!",
        ],
    );
}

#[test]
fn a_batch_of_rejects_alone_yields_no_record() {
    check_records(EVERY_TYPE, &[HEADER, "|||||||||||x|"], &[], &["1000 0 blank_identifier!"]);
    check_records(EVERY_TYPE, &[HEADER], &[], &[]);
}

#[test]
fn only_mapped_columns_are_wanted_and_each_once() {
    let header: Vec<String> = ["z", "b", "unmapped", "a"].map(str::to_owned).to_vec();
    let settings = r#"{"identifiers":[{"column":"a","match":"field:legacy"}],"fields":[
        {"column":"z","field":"z","type":"text"},{"column":"a","field":"copy","type":"text"},
        {"column":"b","field":"b","type":"currency","unit":"USD","scale":4}]}"#;
    let mapper = FieldMapper::open(FILE, &header, settings).unwrap();
    let field = |name: &str, value_type, semantic, unit: Option<&str>| OutputField {
        name: name.into(),
        value_type,
        semantic,
        unit: unit.map(str::to_owned),
        write: WriteMode::Overwrite,
    };
    assert_eq!(
        *mapper.layout(),
        Layout {
            wanted: vec![0, 1, 3],
            identifiers: vec![vec![Match::Field("legacy".into())]],
            fields: vec![
                field("z", ValueType::Text, Semantic::Plain, None),
                field("copy", ValueType::Text, Semantic::Plain, None),
                field("b", ValueType::Decimal(4), Semantic::Currency, Some("USD")),
            ],
        }
    );
    check_records(settings, &["z|b|unmapped|a", "1|2|3|4"], &["1000|4|1|4|20000"], &[]);
}

#[test]
fn a_table_without_a_mapped_column_is_refused_unless_it_is_optional() {
    let open = |optional: &str| {
        let settings = format!(
            r#"{{"identifiers":[{{"column":"Account ID","match":"id"}}],"fields":[
                {{"column":"a","field":"a","type":"text"}},{{"column":"ARR","field":"b","type":"currency"{optional}}}]}}"#
        );
        FieldMapper::open(FILE, &["Account ID".into(), "a".into(), "arr".into()], &settings)
    };
    let fault = open("").unwrap_err();
    assert_eq!(fault.code, "missing_column");
    assert_eq!(fault.message, "the header lacks `ARR` (`fields[1].column`, close to it: `arr`)");
    let mapper = open(r#","optional":true"#).unwrap();
    assert_eq!(mapper.layout().fields.len(), 1);
    assert_eq!(mapper.notices(), ["the column `ARR` (`fields[1].column`) is missing"]);
}

#[test]
fn settings_without_fields_make_no_account_records() {
    let settings = r#"{"identifiers":[{"column":"id","match":"id"}],"usage":[
        {"product":"a","period":"daily","metrics":[{"column":"m","metric":"m"}]}]}"#;
    let table = Table::new(&["other", "1"]);
    let mut mapper = FieldMapper::open(FILE, table.header(), settings).unwrap();
    assert!(mapper.layout().wanted.is_empty());
    assert!(mapper.map_batch(&table.batch(0, &[])).unwrap().rows.is_empty());
}

#[test]
fn batches_that_break_the_contract_are_refused() {
    let cells =
        |offsets: &[i32], typed: Option<&[u8]>| Cells::new(offsets, b"abc", typed).err().map(|fault| fault.code);
    assert_eq!(cells(&[0, 1, 3], Some(&[0])), None);
    assert_eq!(cells(&[1, 2], None), None);
    for (offsets, typed) in [
        (&[][..], None),
        (&[-1, 2], None),
        (&[0, 4], None),
        (&[0, 3, 1], None),
        (&[2, 1], None),
        (&[i32::MIN, i32::MAX], None),
        (&[0, 1], Some(&[][..])),
    ] {
        assert_eq!(cells(offsets, typed), Some("bad_batch"), "{offsets:?}");
    }
    let one = Cells::new(&[0, 1], b"a", None).unwrap();
    assert!(Batch::new(0, 2, vec![one]).is_err());
    assert!(Batch::new(u32::MAX, 1, vec![one]).is_err());
    let settings =
        r#"{"identifiers":[{"column":"a","match":"id"}],"fields":[{"column":"a","field":"a","type":"text"}]}"#;
    let mut mapper = FieldMapper::open(FILE, &["a".into()], settings).unwrap();
    assert_eq!(mapper.map_batch(&Batch::new(0, 1, Vec::new()).unwrap()).unwrap_err().code, "bad_batch");
}

/// Arrow hands out slices whose offsets do not begin at 0.
#[test]
fn a_slice_of_a_longer_column_maps_like_a_column_of_its_own() {
    let settings =
        r#"{"identifiers":[{"column":"a","match":"id"}],"fields":[{"column":"a","field":"a","type":"text"}]}"#;
    let mut mapper = FieldMapper::open(FILE, &["a".into()], settings).unwrap();
    let slice = Cells::new(&[2, 3, 5], b"xxabcyy", None).unwrap();
    let batch = mapper.map_batch(&Batch::new(0, 2, vec![slice]).unwrap()).unwrap();
    let text = Text { offsets: vec![0, 1, 3], bytes: b"abc".to_vec() };
    assert_eq!(batch.identifiers, [TextColumn { text: text.clone(), validity: None }]);
    assert_eq!(batch.fields[0].column.values, Values::Text(text));
}

#[test]
fn the_end_of_a_table_has_columns_of_every_type_and_no_rows() {
    let header: Vec<String> = HEADER.split('|').map(str::to_owned).collect();
    let mut mapper = FieldMapper::open(FILE, &header, EVERY_TYPE).unwrap();
    let batch = mapper.finish();
    assert!(batch.rows.is_empty() && batch.issues.is_empty());
    assert_eq!(batch.fields.len(), 11);
}

const FIELD: &str = r#""fields":[{"column":"v","field":"v","type":"text"}]"#;

#[test]
fn strategies_stand_side_by_side_and_a_blank_one_says_nothing() {
    let settings = format!(
        r#"{{"identifiers":[{{"column":"id","match":"crm_id"}},{{"column":"site","match":"domain","normalize":["domain"]}}],{FIELD}}}"#
    );
    check_records(
        &settings,
        &["id|site|v", "1|https://www.Acme.com/x|a", "2||b", "|beta.example|c", "||d", "||", " | |e"],
        &["1000|1|acme.com|a", "1001|2|-|b", "1002|-|beta.example|c"],
        &["1003 0 blank_identifier!", "1004 -1 blank_row", "1005 0 blank_identifier!"],
    );
}

#[test]
fn a_strategy_of_several_columns_needs_them_all() {
    let settings = format!(
        r#"{{"identifiers":[{{"columns":[{{"column":"region","match":"field:region","normalize":["trim","casefold"]}},
             {{"column":"code","match":"field:code","normalize":["strip_leading_zeros"]}}]}},
             {{"column":"mail","match":"domain","normalize":["email_domain"]}}],{FIELD}}}"#
    );
    check_records(
        &settings,
        &["region|code|mail|v", " EMEA |007|x|a", "EMEA||ada@acme.com|b", "|7|ada|c"],
        &["1000|emea|7|-|a", "1001|-|-|acme.com|b"],
        &["1002 0 blank_identifier!"],
    );
}

#[test]
fn rows_without_identifier_may_be_passed_over() {
    let settings =
        format!(r#"{{"identifiers":[{{"column":"id","match":"id"}}],"matching":{{"on_blank":"skip_row"}},{FIELD}}}"#);
    check_records(
        &settings,
        &["id|v", "|a", "1|b", "|"],
        &["1001|1|b"],
        &["1000 -1 blank_identifier", "1002 -1 blank_row"],
    );
}

#[test]
fn a_strategy_may_be_left_out_of_tables_that_lack_its_column() {
    let settings = format!(
        r#"{{"identifiers":[{{"column":"id","aliases":["Id"],"match":"id"}},
             {{"column":"site","match":"domain","optional":true}}],{FIELD}}}"#
    );
    let table = Table::new(&["Id|v", "1|a"]);
    let mapper = FieldMapper::open(FILE, table.header(), &settings).unwrap();
    assert_eq!(mapper.layout().identifiers, [[Match::Id]]);
    assert_eq!(mapper.notices(), ["the column `site` (`identifiers[1].column`) is missing"]);
    let all_optional = settings.replace(r#""match":"id""#, r#""match":"id","optional":true"#);
    let fault = FieldMapper::open(FILE, &["v".into()], &all_optional).unwrap_err();
    assert_eq!(fault.message, "the header lacks a column of any identifier (`identifiers`)");
}

/// One field over rows of the columns `a` and `b`, each row `a|b`: its values, and the issues with their messages.
fn check_field(field: &str, rows: &[&str], values: &[&str], issues: &[&str]) {
    let settings = format!(r#"{{"identifiers":[{{"column":"id","match":"id"}}],"fields":[{{"field":"f",{field}}}]}}"#);
    let lines: Vec<String> =
        std::iter::once("id|a|b".to_owned()).chain(rows.iter().map(|row| format!("1|{row}"))).collect();
    let table = Table::new(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    let mut mapper =
        FieldMapper::open(FILE, table.header(), &settings).unwrap_or_else(|fault| panic!("{field}: {fault}"));
    // Twice, so that what one batch leaves in a buffer shows in the next.
    for _ in 0..2 {
        let batch = mapper.map_batch(&table.batch(0, &mapper.layout().wanted)).unwrap();
        let found: Vec<String> = (0..batch.rows.len()).map(|row| field_at(&batch.fields[0], row)).collect();
        assert_eq!(found, values, "{field}");
        let found: Vec<String> = issue_lines(&batch.issues)
            .into_iter()
            .enumerate()
            .map(|(place, line)| format!("{line} {}", text_at(&batch.issues.messages, place)))
            .collect();
        assert_eq!(found, issues, "{field}");
    }
}

#[test]
fn values_come_from_columns_texts_and_the_file() {
    check_field(r#""index":2,"type":"text""#, &["x|y"], &["x"], &[]);
    check_field(r#""column":"A","aliases":["a"],"type":"text""#, &["x|y"], &["x"], &[]);
    check_field(r#""constant":"12,5","type":"float","number":{"decimal":","}"#, &["x|y", "|"], &["12.5", "12.5"], &[]);
    check_field(
        r#""template":"{{{a}}}-{b}","type":"text","null_tokens":["n/a"]"#,
        &["x|y", "x|N/A", "|"],
        &["{x}-y", "{x}-", "-"],
        &[],
    );
    check_field(
        r#""coalesce":["a","b"],"type":"integer","null_tokens":["-"]"#,
        &["1|2", " - |2", "|'3", "|", "x|4", "|y"],
        &["1", "2", "3", "-"],
        &["4 1 not_an_integer! `x` is not a whole number", "5 2 not_an_integer! `y` is not a whole number"],
    );
    check_field(r#""file":{"part":"key","regex":"region=([a-z]+)"},"type":"text""#, &["|"], &["emea"], &[]);
    check_field(r#""file":{"part":"key"},"type":"text""#, &["|"], &["exports/region=emea/2024-10.csv"], &[]);
    check_field(
        r#""file":{"part":"sheet"},"type":"text","transforms":["lower",{"split":{"on":" ","take":1}}]"#,
        &["|"],
        &["q4"],
        &[],
    );
    check_field(r#""file":{"part":"row"},"type":"integer""#, &["|", "x|", "y|"], &["1", "2", "3"], &[]);
    check_field(
        r#""template":"{a}{b}","type":"integer""#,
        &["1|2", "1|x"],
        &["12"],
        &["1 -1 not_an_integer! the field `f`: `1x` is not a whole number"],
    );
    let settings = r#"{"identifiers":[{"column":"id","match":"id"}],
        "fields":[{"field":"f","type":"text","file":{"part":"key","regex":"plant=(.*)/"}}]}"#;
    let fault = FieldMapper::open(FILE, &["id".into()], settings).unwrap_err();
    assert_eq!(
        fault.message,
        "the key `exports/region=emea/2024-10.csv` does not match the pattern of `fields[0].file`"
    );
}

#[test]
fn a_column_that_may_be_missing_has_its_default() {
    check_field(r#""column":"x","optional":true,"default":"0","type":"integer""#, &["1|2"], &["0"], &[]);
    check_field(r#""coalesce":["x","b"],"optional":true,"type":"text""#, &["1|2"], &["2"], &[]);
}

#[test]
fn transforms_follow_each_other() {
    check_field(
        r#""column":"a","type":"text","transforms":["trim","upper",{"replace":{"text":" INC.","with":""}},{"prefix":"<"},{"suffix":">"}]"#,
        &[" Acme Inc. |", "|"],
        &["<ACME>", "-"],
        &[],
    );
    check_field(
        r#""column":"a","type":"currency","transforms":[{"scale":"0.001"},{"round":2}],"number":{"decimal":",","group":"."}"#,
        &["1.234.567|", "'1234567|", "x|"],
        &["123457", "123457"],
        &["2 1 not_a_number! `x` is not a number that can be scaled or rounded"],
    );
    check_field(
        r#""column":"a","type":"picklist","transforms":[{"lookup":{"table":{"A":"Active","C":"Churned"}}}],"on_invalid":"null_field""#,
        &["A|", "X|", "C|", "|"],
        &["Active", "-", "Churned", "-"],
        &["1 1 not_in_table `X` is not in the lookup table"],
    );
    check_field(
        r#""column":"a","type":"text","transforms":[{"concat":{"columns":["b"],"separator":", "}}]"#,
        &["x|y", "x|", "|y"],
        &["x, y", "x", "-"],
        &[],
    );
    check_field(
        r#""column":"a","type":"integer","transforms":[{"regex_extract":"[0-9]+"}],"required":true"#,
        &["no 12|", "none|", "|"],
        &["12"],
        &["1 1 no_match! `none` does not match the pattern `[0-9]+`", "2 1 blank_required! a value is required here"],
    );
}

#[test]
fn blanks_keep_clear_or_take_the_default() {
    check_field(
        r#""column":"a","type":"text","on_blank":"clear","null_tokens":["n/a"]"#,
        &["x|", "|", "N/A|"],
        &["x", "~", "~"],
        &[],
    );
    check_field(
        r#""column":"a","type":"integer","clear_token":"(none)""#,
        &["1|", "|", "(None)|"],
        &["1", "-", "~"],
        &[],
    );
    check_field(
        r#""column":"a","type":"integer","default":"7""#,
        &["1|", "|", "x|"],
        &["1", "7"],
        &["2 1 not_an_integer! `x` is not a whole number"],
    );
    check_field(
        r#""column":"a","type":"text_list","default":"p,q","default_on":"invalid","allowed":["p","q","r"]"#,
        &["r|", "|", "p,x|"],
        &["r", "-", "p+q"],
        &["2 1 not_allowed `x` is none of `p`, `q`, `r`"],
    );
    check_field(
        r#""column":"a","type":"text","default":"none","on_invalid":"default","max_length":4"#,
        &["abcd|", "|", "abcde|"],
        &["abcd", "none", "none"],
        &["2 1 too_long `abcde` has 5 characters, more than 4"],
    );
    check_field(
        r#""column":"a","type":"boolean","default":"yes","on_invalid":"default""#,
        &["no|", "|", "x|"],
        &["false", "true", "true"],
        &["2 1 not_a_boolean `x` is none of `true`, `yes`, `y`, `1`, `false`, `no`, `n`, `0`"],
    );
}

#[test]
fn a_cell_that_may_not_stand_there_fails_the_file_where_asked() {
    let settings = r#"{"identifiers":[{"column":"id","match":"id"}],
        "fields":[{"column":"a","field":"f","type":"integer","on_invalid":"fail_file"}]}"#;
    let table = Table::new(&["id|a", "1|5", "2|x", "3|y"]);
    let mut mapper = FieldMapper::open(FILE, table.header(), settings).unwrap();
    let fault = mapper.map_batch(&table.batch(100, &mapper.layout().wanted)).unwrap_err();
    assert_eq!((fault.code, fault.row, fault.column), ("not_an_integer", Some(101), Some(1)));
    assert_eq!(fault.message, "row 102, column `a`: `x` is not a whole number");
}

#[test]
fn limits_are_of_the_fields_own_type() {
    check_field(
        r#""column":"a","type":"currency","min":"0","max":"99.5","number":{"decimal":","}"#,
        &["0|", "99,50|", "99,51|", "-0,01|"],
        &["0", "9950"],
        &["2 1 above_max! `99,51` is more than `99.5`", "3 1 below_min! `-0,01` is less than `0`"],
    );
    check_field(
        r#""column":"a","type":"date","formats":["%d.%m.%Y"],"min":"2000-01-01""#,
        &["01.01.2000|", "31.12.1999|"],
        &["10957"],
        &["1 1 below_min! `31.12.1999` is less than `2000-01-01`"],
    );
    check_field(
        r#""column":"a","type":"text","regex":"[A-Z]{2}-[0-9]+","min_length":4"#,
        &["DE-1|", "DE-|", "xDE-1|"],
        &["DE-1"],
        &[
            "1 1 too_short! `DE-` has 3 characters, fewer than 4",
            "2 1 no_match! `xDE-1` does not match the pattern `[A-Z]{2}-[0-9]+`",
        ],
    );
    check_field(
        r#""column":"a","type":"multi_picklist","separator":";","allowed":["x","y"],"write":"append""#,
        &["x; y|", "x;z|"],
        &["x+y"],
        &["1 1 not_allowed! `z` is none of `x`, `y`"],
    );
}

#[test]
fn types_beyond_text_and_number() {
    check_field(
        r#""column":"a","type":"datetime""#,
        &["1970-01-01T00:00:01Z|", "1970-01-01|", "x|"],
        &["1000000", "0"],
        &[
            "2 1 bad_datetime! `x` is not a moment as ISO 8601 writes it (`2024-10-15T13:45:00`), or one that no clock showed",
        ],
    );
    check_field(
        r#""column":"a","type":"date","formats":["excel_1900","%Y/%m"]"#,
        &["45580|", "'45580|", "'2024-10-15T00:00:00|", "2024/10|", "2024-10-15|"],
        &["20011", "20011", "20011", "19997"],
        &["4 1 bad_date! `2024-10-15` is not a date in a format that is set"],
    );
    check_field(
        r#""column":"a","type":"email""#,
        &["ada@acme.com|", "ada|"],
        &["ada@acme.com"],
        &["1 1 not_an_email! `ada` is not an e-mail address"],
    );
    check_field(r#""column":"a","type":"lookup_user""#, &["ada@acme.com|"], &["ada@acme.com"], &[]);
    check_field(
        r#""column":"a","type":"currency","number":{"group":",","symbols":["$"],"parentheses":true,"trailing_minus":true}"#,
        &["$1,200.50|", "($1,200.50)|", "5-|", "'-5|", "£5|"],
        &["120050", "-120050", "-500", "-500"],
        &["4 1 not_a_number! `£5` is not a number with `.` before its decimals and `,` between groups"],
    );
    check_field(
        r#""column":"a","type":"percent_ratio","number":{"percent":"hundredth"}"#,
        &["0.2|", "20%|", "7 %|", "'0.07|"],
        &["20", "20", "7", "7"],
        &[],
    );
    check_field(
        r#""column":"a","type":"percent","number":{"parentheses":true}"#,
        &["(12%)|", "12|"],
        &["-12", "12"],
        &[],
    );
}

#[test]
fn moments_without_an_offset_are_local_time() {
    let settings = r#"{"identifiers":[{"column":"id","match":"id"}],"zone":[[0,3600],[1711846800,7200],[1729990800,3600]],
        "fields":[{"column":"a","field":"f","type":"datetime"},
                  {"column":"b","field":"g","type":"date","formats":["epoch_seconds"]}]}"#;
    let table = Table::new(&["id|a|b", "1|2024-10-15T12:00:00|1728946800", "2|2024-03-31T02:30:00|0"]);
    let mut mapper = FieldMapper::open(FILE, table.header(), settings).unwrap();
    let batch = mapper.map_batch(&table.batch(0, &mapper.layout().wanted)).unwrap();
    assert_eq!(
        (field_at(&batch.fields[0], 0), field_at(&batch.fields[1], 0)),
        ("1728986400000000".into(), "20011".into())
    );
    assert_eq!(issue_lines(&batch.issues), ["1 1 bad_datetime!"]);
}

/// The empty rows that spreadsheets leave at the end are no rejects, whatever is required of a row.
#[test]
fn a_row_that_is_passed_over_has_no_other_fault() {
    let settings = r#"{"identifiers":[{"column":"id","match":"id"}],
        "fields":[{"column":"a","field":"f","type":"integer","required":true}]}"#;
    check_records(
        settings,
        &["id|a", "1|2", "|", "3|"],
        &["1000|1|2"],
        &["1001 -1 blank_row", "1002 1 blank_required!"],
    );
}
