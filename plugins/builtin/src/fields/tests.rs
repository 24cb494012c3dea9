use super::*;
use crate::columns::{Cells, Text, Values, is_set};

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
        Values::Integer(values) | Values::Decimal(values) => values[row].to_string(),
        Values::Float(values) => values[row].to_string(),
        Values::Boolean(bits) => is_set(bits, row).to_string(),
        Values::Date(days) => days[row].to_string(),
        Values::TextList(lists) => (lists.offsets[row]..lists.offsets[row + 1])
            .map(|item| text_at(&lists.items, item as usize))
            .collect::<Vec<_>>()
            .join("+"),
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
    let mut mapper = FieldMapper::open(table.header(), settings).unwrap();
    let batch = mapper.map_batch(&table.batch(1000, &mapper.layout().wanted)).unwrap();
    let found: Vec<String> = (0..batch.rows.len())
        .map(|row| {
            let values = batch.fields.iter().map(|column| value_at(column, row));
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
    let mapper = FieldMapper::open(&header, settings).unwrap();
    let field = |name: &str, value_type, semantic, unit: Option<&str>| OutputField {
        name: name.into(),
        value_type,
        semantic,
        unit: unit.map(str::to_owned),
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
        FieldMapper::open(&["Account ID".into(), "a".into(), "arr".into()], &settings)
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
    let mut mapper = FieldMapper::open(table.header(), settings).unwrap();
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
    let mut mapper = FieldMapper::open(&["a".into()], settings).unwrap();
    assert_eq!(mapper.map_batch(&Batch::new(0, 1, Vec::new()).unwrap()).unwrap_err().code, "bad_batch");
}

/// Arrow hands out slices whose offsets do not begin at 0.
#[test]
fn a_slice_of_a_longer_column_maps_like_a_column_of_its_own() {
    let settings =
        r#"{"identifiers":[{"column":"a","match":"id"}],"fields":[{"column":"a","field":"a","type":"text"}]}"#;
    let mut mapper = FieldMapper::open(&["a".into()], settings).unwrap();
    let slice = Cells::new(&[2, 3, 5], b"xxabcyy", None).unwrap();
    let batch = mapper.map_batch(&Batch::new(0, 2, vec![slice]).unwrap()).unwrap();
    let text = Text { offsets: vec![0, 1, 3], bytes: b"abc".to_vec() };
    assert_eq!(batch.identifiers, [TextColumn { text: text.clone(), validity: None }]);
    assert_eq!(batch.fields[0].values, Values::Text(text));
}

#[test]
fn the_end_of_a_table_has_columns_of_every_type_and_no_rows() {
    let header: Vec<String> = HEADER.split('|').map(str::to_owned).collect();
    let mut mapper = FieldMapper::open(&header, EVERY_TYPE).unwrap();
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
    let settings = format!(
        r#"{{"identifiers":[{{"column":"id","match":"id"}}],"matching":{{"on_blank":"skip_row"}},{FIELD}}}"#
    );
    check_records(&settings, &["id|v", "|a", "1|b", "|"], &["1001|1|b"], &["1000 -1 blank_identifier", "1002 -1 blank_row"]);
}

#[test]
fn a_strategy_may_be_left_out_of_tables_that_lack_its_column() {
    let settings = format!(
        r#"{{"identifiers":[{{"column":"id","aliases":["Id"],"match":"id"}},
             {{"column":"site","match":"domain","optional":true}}],{FIELD}}}"#
    );
    let table = Table::new(&["Id|v", "1|a"]);
    let mapper = FieldMapper::open(table.header(), &settings).unwrap();
    assert_eq!(mapper.layout().identifiers, [[Match::Id]]);
    assert_eq!(mapper.notices(), ["the column `site` (`identifiers[1].column`) is missing"]);
    let all_optional = settings.replace(r#""match":"id""#, r#""match":"id","optional":true"#);
    let fault = FieldMapper::open(&["v".into()], &all_optional).unwrap_err();
    assert_eq!(fault.message, "the header lacks a column of any identifier (`identifiers`)");
}
