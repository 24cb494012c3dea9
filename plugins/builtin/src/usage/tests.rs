use super::*;
use crate::cell::iso_date;
use crate::fields::tests::{Table, identifier_at, issue_lines, value_at};

fn day(text: &str) -> i32 {
    iso_date(text.as_bytes()).unwrap()
}

/// Rows in, usage records out: `row identifier metric date period value`, dates as days after 2024-01-01.
fn check_usage(settings: &str, lines: &[&str], records: &[&str], issues: &[&str]) {
    let table = Table::new(lines);
    let mut mapper = UsageMapper::open(day("2024-10-15"), table.header(), settings).unwrap();
    let batch = mapper.map_batch(&table.batch(0, &mapper.layout().wanted)).unwrap();
    let mut found = Vec::new();
    for block in &batch.blocks {
        assert_eq!(block.values.validity, None);
        for (place, (entry, series)) in block.entry_of.iter().zip(&block.series_of).enumerate() {
            let (entry, series) = (*entry as usize, &batch.announced[*series as usize]);
            found.push(format!(
                "{} {} {} {} {} {}",
                batch.rows[entry],
                identifier_at(&batch.identifiers[0], entry),
                series.metric,
                batch.dates[entry] - day("2024-01-01"),
                batch.period_starts[entry] - day("2024-01-01"),
                value_at(&block.values, place)
            ));
        }
    }
    assert_eq!(found, records);
    assert_eq!(issue_lines(&batch.issues), issues);
    let entries = batch.rows.len();
    assert_eq!([batch.identifiers[0].text.len(), batch.dates.len(), batch.period_starts.len()], [entries; 3]);
    let used: std::collections::BTreeSet<u32> = batch.blocks.iter().flat_map(|block| block.entry_of.clone()).collect();
    assert_eq!(used.len(), entries, "every entry has a value");
}

fn settings(usage: &str) -> String {
    format!(r#"{{"identifiers":[{{"column":"id","match":"crm_id"}}],"usage":[{usage}]}}"#)
}

#[test]
fn a_column_of_dates_is_snapped_to_the_period() {
    let usage = settings(
        r#"{"product":"Core","period":"monthly","date":{"column":"when"},
            "metrics":[{"column":"MAU","metric":"mau"},{"column":"API","metric":"api","aggregate":"sum","type":"integer"}]}"#,
    );
    check_usage(
        &usage,
        &["id|when|MAU|API", "a|2024-01-15|1.5|10", "b|2024-02-29||20", "a|2024-02-01|3|", "c|2024-03-01||"],
        &["0 a mau 14 0 1.5", "2 a mau 31 31 3", "0 a api 14 0 10", "1 b api 59 31 20"],
        &[],
    );
}

#[test]
fn month_formats_and_typed_dates_stand_side_by_side() {
    let usage = settings(
        r#"{"product":"Core","period":"quarterly","date":{"column":"Month","formats":["%m/%Y"]},
            "metrics":[{"column":"m","metric":"m"}]}"#,
    );
    check_usage(
        &usage,
        &["id|Month|m", "a|03/2024|1", "b|'2024-04-30|2", "c|2024-04-30|3"],
        &["0 a m 60 0 1", "1 b m 120 91 2"],
        &["2 1 bad_date!"],
    );
}

/// R8: without a date column the date follows from the object's, here Tuesday 2024-10-15.
#[test]
fn automatic_dates_are_of_the_last_full_period() {
    for (period, expected) in [
        ("single", "2024-10-15"),
        ("daily", "2024-10-14"),
        ("weekly", "2024-10-07"),
        ("monthly", "2024-09-01"),
        ("quarterly", "2024-07-01"),
        ("yearly", "2023-01-01"),
    ] {
        let usage =
            settings(&format!(r#"{{"product":"Core","period":"{period}","metrics":[{{"column":"m","metric":"m"}}]}}"#));
        let days = day(expected) - day("2024-01-01");
        check_usage(&usage, &["id|m", "a|1"], &[&format!("0 a m {days} {days} 1")], &[]);
    }
    let sunday =
        r#"{"product":"Core","period":"weekly","week_start":"sunday","metrics":[{"column":"m","metric":"m"}]}"#;
    let days = day("2024-10-06") - day("2024-01-01");
    check_usage(&settings(sunday), &["id|m", "a|1"], &[&format!("0 a m {days} {days} 1")], &[]);
}

/// A blank cell is no record, not zero.
#[test]
fn rows_without_values_make_no_entry_and_need_no_date() {
    let usage = settings(
        r#"{"product":"Core","period":"daily","date":{"column":"d"},"metrics":[{"column":"m","metric":"m"}]}"#,
    );
    check_usage(
        &usage,
        &["id|d|m", "a||", "b||1", "c|2024-01-01|0", "|2024-01-01|1", "|| ", "d|2024-01-02| "],
        &["2 c m 0 0 0"],
        &["3 0 blank_identifier!", "4 -1 blank_row", "1 1 blank_date!"],
    );
}

/// A row that is bad in one product is rejected in all.
#[test]
fn products_have_their_own_periods_and_share_rejects() {
    let usage = settings(
        r#"{"product":"Core","period":"monthly","date":{"column":"d"},"metrics":[{"column":"m","metric":"m"}]},
           {"product":"Extra","period":"monthly","date":{"column":"d"},"metrics":[{"column":"n","metric":"n"}]},
           {"product":"Core","period":"yearly","metrics":[{"column":"plan","metric":"plan","type":"text"},
                                                          {"column":"on","metric":"on","type":"boolean"}]}"#,
    );
    let lines = ["id|d|m|n|plan|on", "a|2024-01-31|1|2|gold|yes", "b|2024-01-31|1|x|free|no", "c|2024-02-29||3||no"];
    check_usage(
        &usage,
        &lines,
        &[
            "0 a m 30 0 1",
            "0 a n 30 0 2",
            "2 c n 59 31 3",
            "0 a plan -365 -365 gold",
            "0 a on -365 -365 true",
            "2 c on -365 -365 false",
        ],
        &["1 3 not_a_number!"],
    );
    let table = Table::new(&lines);
    let mut mapper = UsageMapper::open(day("2024-10-15"), table.header(), &usage).unwrap();
    assert_eq!(mapper.groups.len(), 2, "products of one date and period share their entries");
    let batch = table.batch(7, &mapper.layout().wanted);
    let first = mapper.map_batch(&batch).unwrap();
    assert_eq!(first.rows, [7, 9, 7, 9]);
    let second = mapper.map_batch(&batch).unwrap();
    assert_eq!((first.announced.len(), second.announced.len()), (4, 0), "a series is announced once");
    assert_eq!(
        first.announced[2],
        Series {
            product: "Core".into(),
            metric: "plan".into(),
            unit: None,
            value_type: ValueType::Text,
            aggregate: Aggregate::Last,
            period: Period::Yearly,
        }
    );
}

#[test]
fn an_optional_metric_may_be_missing_and_a_date_column_may_not() {
    let usage = |metric: &str| {
        settings(&format!(
            r#"{{"product":"Core","period":"daily","date":{{"column":"d"}},"metrics":[{{"column":"m","metric":"m"{metric}}}]}}"#
        ))
    };
    let open = |metric: &str, header: &[&str]| {
        let header: Vec<String> = header.iter().map(|name| (*name).to_owned()).collect();
        UsageMapper::open(0, &header, &usage(metric))
    };
    assert_eq!(open("", &["id", "d"]).unwrap_err().code, "missing_column");
    let fault = open("", &["id"]).unwrap_err();
    assert!(fault.message.contains("`m`") && fault.message.contains("`d`"), "{fault}");
    let mapper = open(r#","optional":true"#, &["id", "d"]).unwrap();
    assert_eq!((mapper.notices().len(), mapper.layout().wanted.as_slice()), (1, &[0][..]));
    assert_eq!(open("", &["id", "d", "m", "m"]).unwrap_err().code, "duplicate_column");
}

#[test]
fn a_day_outside_the_calendar_is_refused() {
    let usage = settings(r#"{"product":"Core","period":"daily","metrics":[{"column":"m","metric":"m"}]}"#);
    for today in [i32::MIN, day("0001-01-01") - 1, day("9999-12-31") + 1, i32::MAX] {
        assert_eq!(UsageMapper::open(today, &["id".into(), "m".into()], &usage).unwrap_err().code, "bad_source");
    }
    assert!(UsageMapper::open(day("0001-01-01"), &["id".into(), "m".into()], &usage).is_ok());
}

#[test]
fn settings_without_usage_make_no_records() {
    let settings =
        r#"{"identifiers":[{"column":"id","match":"id"}],"fields":[{"column":"a","field":"a","type":"text"}]}"#;
    let mut mapper = UsageMapper::open(0, &[], settings).unwrap();
    assert!(mapper.layout().wanted.is_empty());
    let batch = Batch::new(0, 3, Vec::new()).unwrap();
    let nothing = UsageBatch { identifiers: vec![TextColumn::default()], ..UsageBatch::default() };
    assert_eq!(mapper.map_batch(&batch).unwrap(), nothing);
    assert_eq!(mapper.finish(), nothing);
}
