use super::*;

const POINT: NumberFormat = NumberFormat::CANONICAL;
const GERMAN: NumberFormat = NumberFormat { decimal: b',', group: Some('.') };

/// Reads `texts` as one column; those marked are a workbook's own. The issues come back as `row code message`.
fn read(reader: &Reader, texts: &[&str], typed: &[usize]) -> (Column, Vec<String>) {
    let mut text = Text::default();
    texts.iter().for_each(|cell| text.push(cell.as_bytes()));
    let mut bits = vec![0; texts.len().div_ceil(8)];
    typed.iter().for_each(|row| bits[row / 8] |= 1 << (row % 8));
    let cells = Cells::new(&text.offsets, &text.bytes, Some(&bits)).unwrap();
    let mut log = RowLog::new(100, texts.len());
    let column = reader.read(&cells, Blame::Column(3), &mut log);
    let issues = log.into_issues();
    assert!(issues.columns.iter().all(|column| *column == 3));
    let slice = |text: &Text, row| String::from_utf8(text.keep_one(row)).unwrap();
    let lines = (0..issues.len())
        .map(|i| format!("{} {} {}", issues.rows[i], slice(&issues.codes, i), slice(&issues.messages, i)))
        .collect();
    (column, lines)
}

impl Text {
    fn keep_one(&self, row: usize) -> Vec<u8> {
        self.bytes[self.offsets[row] as usize..self.offsets[row + 1] as usize].to_vec()
    }
}

fn present<T: Clone>(values: &[T], column: &Column) -> Vec<Option<T>> {
    values.iter().enumerate().map(|(row, value)| column.has_value(row).then(|| value.clone())).collect()
}

fn floats(column: &Column) -> Vec<Option<f64>> {
    match &column.values {
        Values::Float(values) => present(values, column),
        other => panic!("{other:?}"),
    }
}

fn booleans(column: &Column, rows: usize) -> Vec<Option<bool>> {
    match &column.values {
        Values::Boolean(bits) => {
            let values: Vec<_> = (0..rows).map(|row| crate::columns::is_set(bits, row)).collect();
            present(&values, column)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_blank_cell_has_no_value_whatever_its_type() {
    let sets = BooleanSets { truths: vec!["1".into()], falsehoods: vec!["0".into()] };
    for reader in [
        Reader::Text,
        Reader::Url,
        Reader::Integer(POINT),
        Reader::Float(POINT),
        Reader::Percent(POINT),
        Reader::PercentRatio(POINT),
        Reader::Decimal(Precision { scale: 2, excess: Excess::Reject }, POINT),
        Reader::Boolean(sets),
        Reader::Date(Dates::default()),
        Reader::Moment(Dates::default()),
        Reader::Email,
        Reader::TextList(",".into()),
    ] {
        let (column, issues) = read(&reader, &["", " ", "\t \r\n"], &[]);
        assert_eq!(column.validity.as_deref().map(|bits| bits[0] & 0b111), Some(0), "{reader:?}");
        assert!(issues.is_empty(), "{reader:?}: {issues:?}");
    }
}

#[test]
fn blanks_count_round_a_text_and_not_round_a_number() {
    let (column, _) = read(&Reader::Text, &[" a ", "b"], &[]);
    assert_eq!(column.values, Values::Text(Text { offsets: vec![0, 3, 4], bytes: b" a b".to_vec() }));
    assert_eq!(column.validity, None);
    let (column, issues) = read(&Reader::Integer(POINT), &[" 12", "7\t", "1 2"], &[]);
    assert!(matches!(&column.values, Values::Integer(values) if values == &[12, 7, 0]));
    assert_eq!(issues, ["102 not_an_integer `1 2` is not a whole number"]);
}

/// 1234.56 from a workbook must not become 123456 where `.` groups.
#[test]
fn formats_apply_to_text_and_not_to_what_a_workbook_typed() {
    let (column, issues) = read(&Reader::Float(GERMAN), &["1234.56", "1.234,56", "1234,56"], &[0]);
    assert_eq!(floats(&column), [Some(1234.56), Some(1234.56), Some(1234.56)]);
    assert!(issues.is_empty());
    let german_date =
        Reader::Date(Dates { formats: vec![DateFormat::parse("%d.%m.%Y").unwrap()], zone: Zone::default() });
    let (column, issues) = read(&german_date, &["2024-10-15T00:00:00", "15.10.2024", "2024-10-15"], &[0]);
    assert!(matches!(&column.values, Values::Date(days) if days[0] == days[1]));
    assert_eq!(issues, ["102 bad_date `2024-10-15` is not a date in a format that is set"]);
}

#[test]
fn percentages_come_with_or_without_their_sign() {
    let (column, issues) = read(&Reader::Percent(POINT), &["12%", "12", "7.5 %", "%", "12%%"], &[]);
    assert_eq!(floats(&column), [Some(12.0), Some(12.0), Some(7.5), None, None]);
    assert_eq!(
        issues,
        [
            "103 not_a_number `%` is not a number with `.` before its decimals and no groups",
            "104 not_a_number `12%%` is not a number with `.` before its decimals and no groups",
        ]
    );
    let (column, issues) = read(&Reader::PercentRatio(POINT), &["0.2", "0.07", "20%", "0.155"], &[0, 3]);
    assert_eq!(floats(&column), [Some(20.0), Some(7.0), None, Some(15.5)]);
    assert_eq!(issues, ["102 percent_sign_in_ratio `20%` has a percent sign where a ratio is expected"]);
}

#[test]
fn decimals_say_how_many_digits_are_kept() {
    let reader = Reader::Decimal(Precision { scale: 2, excess: Excess::Reject }, POINT);
    let (column, issues) = read(&reader, &["19.99", "19.999", "1e2", "99999999999999999999"], &[]);
    assert!(matches!(&column.values, Values::Decimal(values) if values[0] == 1999));
    assert_eq!(
        issues,
        [
            "101 too_many_decimals `19.999` has more than the 2 digits that are kept after the `.`",
            "102 not_a_number `1e2` is not a number with `.` before its decimals and no groups",
            "103 out_of_range `99999999999999999999` is too large",
        ]
    );
}

#[test]
fn booleans_are_what_the_sets_say() {
    let sets = BooleanSets { truths: vec!["ja".into()], falsehoods: vec!["nein".into()] };
    let texts = ["JA", "nein", "true", "true", "0", "", "2", "Ja", "ja"];
    let (column, issues) = read(&Reader::Boolean(sets), &texts, &[3, 4, 6]);
    let expected = [Some(true), Some(false), None, Some(true), Some(false), None, None, Some(true), Some(true)];
    assert_eq!(booleans(&column, texts.len()), expected);
    assert_eq!(
        issues,
        ["102 not_a_boolean `true` is none of `ja`, `nein`", "106 not_a_boolean `2` is none of `ja`, `nein`"]
    );
}

#[test]
fn lists_drop_empty_items_and_blanks_round_items() {
    let (column, _) = read(&Reader::TextList("; ".into()), &["a; b ; ; c", "", " ; ", "d;e"], &[]);
    let Values::TextList(lists) = &column.values else { panic!("{column:?}") };
    assert_eq!(lists.offsets, [0, 3, 3, 3, 4]);
    assert_eq!(lists.items, Text { offsets: vec![0, 1, 2, 3, 6], bytes: b"abcd;e".to_vec() });
    assert_eq!(column.validity.map(|bits| bits[0] & 0b1111), Some(0b1001));
}

#[test]
fn urls_are_addresses_and_nothing_that_runs() {
    for good in [
        "https://acme.com",
        "HTTP://localhost:8080/a?b#c",
        "ftp://files.acme.com/x",
        "acme.com",
        "www.acme.com/about?q=1",
        "bücher.example",
        "acme.com:443",
    ] {
        assert!(is_url(good.as_bytes()), "{good}");
    }
    for bad in [
        "acme",
        "javascript:alert(1)",
        "javascript://%0aalert(1)",
        "data:text/html,x.y",
        "mailto:a@acme.com",
        "a@acme.com",
        "https://",
        "https:///x",
        "http://a b.com",
        "//acme.com",
        "acme.com:http",
        "acme.com\n",
        "..",
    ] {
        assert!(!is_url(bad.as_bytes()), "{bad}");
    }
    let (column, issues) = read(&Reader::Url, &["acme.com", "n/a"], &[]);
    assert!(matches!(column.values, Values::Text(_)));
    assert_eq!(issues, ["101 not_a_url `n/a` is not a web address"]);
}

#[test]
fn emails_are_addresses() {
    for good in ["ada@acme.com", "a.b+c@mail.acme.co.uk", "\"a b\"@acme.com", "ümit@bücher.example"] {
        assert!(is_email(good.as_bytes()), "{good}");
    }
    for bad in [
        "ada",
        "@acme.com",
        "ada@acme",
        "ada@.com",
        "ada@acme.com, b@acme.com",
        "a b@acme.com",
        "Ada <ada@acme.com>",
        "a@b@acme.com",
        "ada@acme.com.",
    ] {
        assert!(!is_email(bad.as_bytes()), "{bad}");
    }
}

#[test]
fn messages_show_values_cut_short_and_without_control_characters() {
    let long = format!("{}ü", "ä".repeat(MOST_QUOTED));
    let (_, issues) = read(&Reader::Integer(POINT), &["1\u{7}\n2", &long], &[]);
    assert_eq!(issues[0], "100 not_an_integer `1\\u{7}\\n2` is not a whole number");
    assert_eq!(issues[1], format!("101 not_an_integer `{}…` is not a whole number", "ä".repeat(MOST_QUOTED)));
}
