use super::*;
use crate::cell::iso_date;
use crate::fields::tests::{FILE, Table, identifier_at, issue_lines, value_at};

fn day(text: &str) -> i32 {
    iso_date(text.as_bytes()).unwrap()
}

/// Rows in, usage records out: `row identifier metric date period value`, dates as days after 2024-01-01.
fn check_usage(settings: &str, lines: &[&str], records: &[&str], issues: &[&str]) {
    let table = Table::new(lines);
    let mut mapper = UsageMapper::open(FILE, table.header(), settings).unwrap();
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
    let mut mapper = UsageMapper::open(FILE, table.header(), &usage).unwrap();
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
            repeat: Repeat::Replace,
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
        UsageMapper::open(FILE, &header, &usage(metric))
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
        assert_eq!(
            UsageMapper::open(FileInfo { today, ..FILE }, &["id".into(), "m".into()], &usage).unwrap_err().code,
            "bad_source"
        );
    }
    assert!(
        UsageMapper::open(FileInfo { today: day("0001-01-01"), ..FILE }, &["id".into(), "m".into()], &usage).is_ok()
    );
}

/// R8
#[test]
fn a_block_with_a_zone_of_its_own_has_its_own_days() {
    let block = |metric: &str, zone: &str| {
        format!(r#"{{"product":"P","period":"daily","metrics":[{{"column":"{metric}","metric":"{metric}"}}]{zone}}}"#)
    };
    let usage = settings(&[block("a", ""), block("b", r#","zone":[[0,7200]]"#), block("c", r#","zone":[]"#)].join(","));
    let there = format!(r#"{},"zone":[[0,36000]]}}"#, usage.strip_suffix('}').unwrap());
    let records = ["0 x a 287 287 1", "0 x c 287 287 3", "0 x b 288 288 2"];
    check_usage(&usage, &["id|a|b|c", "x|1|2|3"], &records, &[]);
    // The day in the zone of the whole comes with the file.
    check_usage(&there, &["id|a|b|c", "x|1|2|3"], &records, &[]);
    let dated = r#"{"product":"P","period":"daily","date":{"column":"d","formats":["epoch_seconds"]},"max_days_ahead":0,
        "metrics":[{"column":"m","metric":"m"}],"zone":[[0,7200]]}"#;
    check_usage(
        &settings(dated),
        &["id|d|m", "x|1729035000|1", "x|1729116000|2"],
        &["0 x m 289 289 1"],
        &["1 1 date_too_late!"],
    );
    let far = FileInfo { last_modified: i64::MAX, ..FILE };
    let header = ["id".into(), "b".into()];
    assert_eq!(
        UsageMapper::open(far, &header, &settings(&block("b", r#","zone":[]"#))).unwrap_err().code,
        "bad_source"
    );
}

#[test]
fn settings_without_usage_make_no_records() {
    let settings =
        r#"{"identifiers":[{"column":"id","match":"id"}],"fields":[{"column":"a","field":"a","type":"text"}]}"#;
    let mut mapper = UsageMapper::open(FILE, &[], settings).unwrap();
    assert!(mapper.layout().wanted.is_empty());
    let batch = Batch::new(0, 3, Vec::new()).unwrap();
    let nothing = UsageBatch { identifiers: vec![TextColumn::default()], ..UsageBatch::default() };
    assert_eq!(mapper.map_batch(&batch).unwrap(), nothing);
    assert_eq!(mapper.finish(), nothing);
}

/// Rows in, `row product metric user value` out, in the order of the blocks.
fn check_series(usage: &str, lines: &[&str], records: &[&str], issues: &[&str]) {
    let table = Table::new(lines);
    let mut mapper = UsageMapper::open(FILE, table.header(), &settings(usage)).unwrap();
    let batch = mapper.map_batch(&table.batch(0, &mapper.layout().wanted)).unwrap();
    let mut found = Vec::new();
    for block in &batch.blocks {
        for (place, (entry, series)) in block.entry_of.iter().zip(&block.series_of).enumerate() {
            let (entry, series) = (*entry as usize, &batch.announced[*series as usize]);
            let user = batch.user.as_ref().map_or("-".into(), |users| identifier_at(users, entry));
            let unit = series.unit.as_deref().map(|unit| format!(" {unit}")).unwrap_or_default();
            found.push(format!(
                "{} {} {} {user} {}{unit}",
                batch.rows[entry],
                series.product,
                series.metric,
                value_at(&block.values, place)
            ));
        }
    }
    assert_eq!(found, records);
    let messages: Vec<String> = issue_lines(&batch.issues)
        .into_iter()
        .enumerate()
        .map(|(place, line)| format!("{line} {}", crate::fields::tests::text_at(&batch.issues.messages, place)))
        .collect();
    assert_eq!(messages, issues);
}

#[test]
fn a_column_may_name_the_product() {
    check_series(
        r#"{"product":{"column":"p"},"period":"daily","metrics":[{"column":"m","metric":"m"},{"column":"n","metric":"n","type":"integer"}]}"#,
        &["id|p|m|n", "a|Core|1|2", "b|Extra|3|", "c| Core |5|6", "d||7|", "e|||", "|Core|1|"],
        &["0 Core m - 1", "1 Extra m - 3", "2 Core m - 5", "0 Core n - 2", "2 Core n - 6"],
        &[
            "5 0 blank_identifier! the row has no identifier, so it belongs to no account",
            "3 1 blank_product! the row has values and no product",
        ],
    );
    let known = |on_unknown: &str| {
        format!(
            r#"{{"product":{{"column":"p","allowed":["Core"]{on_unknown}}},"period":"daily","metrics":[{{"column":"m","metric":"m"}}]}}"#
        )
    };
    let lines = ["id|p|m", "a|Core|1", "b|Beta|2"];
    check_series(
        &known(""),
        &lines,
        &["0 Core m - 1"],
        &["1 1 unknown_product! `Beta` is not a product that is allowed"],
    );
    check_series(&known(r#","on_unknown":"skip""#), &lines, &["0 Core m - 1"], &[]);
}

#[test]
fn a_row_for_each_metric() {
    check_series(
        r#"{"product":"Core","period":"daily","long":{"metric":"k","value":"v","unit":"u","number":{"decimal":","}}}"#,
        &["id|k|v|u", "a|mau|1,5|", "a|storage|2|GB", "b|storage|3|MB", "b|mau||", "c||4|", "d|mau|x|"],
        &["0 Core mau - 1.5", "1 Core storage - 2 GB"],
        &[
            "5 2 not_a_number! `x` is not a number with `,` before its decimals and no groups",
            "4 1 blank_metric! the row has a value and no metric",
            "2 3 unit_conflict! `MB` is not the unit that this metric has above, `GB`",
        ],
    );
    check_series(
        r#"{"product":{"column":"p"},"period":"daily","long":{"metric":"k","value":"v","aggregate":"sum","allowed":["a"],"on_unknown":"skip"}},
           {"product":{"column":"p"},"period":"daily","long":{"metric":"k","value":"v","type":"text","allowed":["plan"],"on_unknown":"skip"}}"#,
        &["id|p|k|v", "x|P|a|1", "x|Q|plan|gold", "x|P|other|z"],
        &["0 P a - 1", "1 Q plan - gold"],
        &[],
    );
}

#[test]
fn metrics_are_found_by_the_pattern_of_their_names() {
    let block = |metrics: &str| format!(r#"{{"product":"Core","period":"daily","metrics":[{metrics}]}}"#);
    check_series(
        &block(
            r#"{"column":"Events: all","metric":"all"},{"pattern":"^Events: (.+)$","metric":"events_{}","aggregate":"sum"}"#,
        ),
        &["id|Events: all|Events: login|Other|Events: export", "a|9|1|2|3"],
        &["0 Core all - 9", "0 Core events_login - 1", "0 Core events_export - 3"],
        &[],
    );
    let open = |metrics: &str, header: &[&str]| {
        let header: Vec<String> = header.iter().map(|name| (*name).to_owned()).collect();
        UsageMapper::open(FILE, &header, &settings(&block(metrics)))
    };
    let fault = open(r#"{"pattern":"^x(.*)$"}"#, &["id", "a"]).unwrap_err();
    assert_eq!(fault.message, "the header lacks a column that matches the pattern of `usage[0].metrics[0].pattern`");
    assert_eq!(open(r#"{"pattern":"^x(.*)$","optional":true}"#, &["id", "a"]).unwrap().notices().len(), 1);
    assert_eq!(open(r#"{"pattern":"(a)"}"#, &["id", "a1", "a2"]).unwrap_err().code, "duplicate_metric");
    assert!(open(r#"{"pattern":"."}"#, &["id", "a"]).unwrap().layout().wanted == [0, 1], "the identifier is no metric");
}

#[test]
fn usage_may_be_a_users() {
    check_series(
        r#"{"product":"Core","period":"daily","user":{"column":"mail","match":"email"},"metrics":[{"column":"m","metric":"m"}]},
           {"product":"Core","period":"daily","metrics":[{"column":"n","metric":"n"}]}"#,
        &["id|mail|m|n", "a|ada@acme.com|1|2", "a||3|4", "a|||5"],
        &["0 Core m ada@acme.com 1", "0 Core n - 2", "2 Core n - 5"],
        &["1 1 blank_user! the row has values and no user, so they belong to nobody"],
    );
}

#[test]
fn dates_that_lie_too_far_from_the_files_day_are_refused() {
    check_series(
        r#"{"product":"Core","period":"daily","date":{"column":"d"},"max_days_ahead":1,"max_days_back":30,"metrics":[{"column":"m","metric":"m"}]}"#,
        &["id|d|m", "a|2024-10-16|1", "b|2024-10-17|2", "c|2024-09-15|3", "d|2024-09-14|4", "e|1900-01-01|"],
        &["0 Core m - 1", "2 Core m - 3"],
        &[
            "1 1 date_too_late! `2024-10-17` lies more than 1 days after the day of the file",
            "3 1 date_too_early! `2024-09-14` lies more than 30 days before the day of the file",
        ],
    );
}

/// The tests' key is `exports/region=emea/2024-10.csv`.
#[test]
fn the_key_may_hold_the_date() {
    let block = |date: &str| {
        settings(&format!(
            r#"{{"product":"Core","period":"quarterly","repeat":"add","date":{date},"metrics":[{{"column":"m","metric":"m"}}]}}"#
        ))
    };
    let usage = block(r#"{"key":"([0-9]{4}-[0-9]{2})\\.csv$","formats":["%Y-%m"]}"#);
    check_usage(&usage, &["id|m", "a|1"], &["0 a m 274 274 1"], &[]);
    let open = |date: &str| UsageMapper::open(FILE, &["id".into(), "m".into()], &block(date)).unwrap_err();
    assert_eq!(open(r#"{"key":"mau-(.*)"}"#).code, "no_match");
    assert_eq!(open(r#"{"key":"region=([a-z]+)"}"#).code, "bad_date");
}

#[test]
fn users_and_contradictions_of_usage_are_checked() {
    let check = |block: &str| crate::check(&settings(block)).iter().map(ToString::to_string).collect::<Vec<_>>();
    let metrics = r#""metrics":[{"column":"m","metric":"m"}]"#;
    for (block, expected) in [
        (format!(r#"{{"product":{{}},"period":"daily",{metrics}}}"#), "`usage[0].product.column`: is missing"),
        (
            format!(r#"{{"product":{{"column":"p","allowed":[]}},"period":"daily",{metrics}}}"#),
            "`usage[0].product.allowed`: is empty",
        ),
        (
            format!(r#"{{"product":{{"column":"p","on_unknown":"skip"}},"period":"daily",{metrics}}}"#),
            "`usage[0].product.on_unknown`: says nothing",
        ),
        (
            format!(r#"{{"product":"p","period":"daily","max_days_back":3,{metrics}}}"#),
            "`usage[0].max_days_back`: says nothing here",
        ),
        (
            format!(r#"{{"product":"p","period":"daily","user":{{"column":"u"}},{metrics}}}"#),
            "`usage[0].user.match`: is missing",
        ),
        (
            format!(r#"{{"product":"p","period":"daily","long":{{"metric":"a","value":"b"}},{metrics}}}"#),
            "`usage[0].long`: and `metrics`",
        ),
        (r#"{"product":"p","period":"daily","long":{"metric":"a"}}"#.into(), "`usage[0].long.value`: is missing"),
        (
            format!(r#"{{"product":"p","period":"daily","date":{{"column":"d","key":"x"}},{metrics}}}"#),
            "`usage[0].date.key`: and a column",
        ),
        (
            r#"{"product":"p","period":"daily","metrics":[{"pattern":"a(.)","metric":"m"}]}"#.into(),
            "`usage[0].metrics[0].metric`: needs `{}`",
        ),
        (
            r#"{"product":"p","period":"daily","metrics":[{"pattern":"a(.)","column":"m"}]}"#.into(),
            "`usage[0].metrics[0].column`: and `pattern`",
        ),
        (
            format!(
                r#"{{"product":"p","period":"daily","user":{{"column":"u","match":"id"}},{metrics}}},
                       {{"product":"q","period":"daily","user":{{"column":"u","match":"name"}},{metrics}}}"#
            ),
            "`usage[1].user.match`: `usage[0]` tells users apart",
        ),
    ] {
        let faults = check(&block);
        assert!(matches!(faults.as_slice(), [fault] if fault.starts_with(expected)), "{block}: {faults:?}");
    }
}
