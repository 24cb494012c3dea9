use super::*;

type Case<'a> = (&'a str, Option<(i32, i32, i32)>);

fn check(formats: &[&str], cases: &[Case<'_>]) {
    let formats: Vec<_> = formats.iter().map(|format| DateFormat::parse(format).unwrap()).collect();
    for (text, expected) in cases {
        let expected = expected.map(|(year, month, day)| calendar::days(year, month, day).unwrap());
        assert_eq!(date(text.as_bytes(), &formats, false, &Zone::default()), expected, "`{text}`");
    }
}

/// R8: dates never shift.
#[test]
fn iso_dates_count_as_they_are_written() {
    check(
        &[],
        &[
            ("2024-10-15", Some((2024, 10, 15))),
            ("2024-02-29", Some((2024, 2, 29))),
            ("2023-02-29", None),
            ("1900-02-29", None),
            ("2000-02-29", Some((2000, 2, 29))),
            ("0001-01-01", Some((1, 1, 1))),
            ("0000-12-31", None),
            ("9999-12-31", Some((9999, 12, 31))),
            ("2024-13-01", None),
            ("2024-00-01", None),
            ("2024-04-31", None),
            ("2024-10-15T13:45", Some((2024, 10, 15))),
            ("2024-10-15 13:45:59", Some((2024, 10, 15))),
            ("2024-10-15T23:30:00.123456Z", Some((2024, 10, 15))),
            ("2024-10-15T23:30:00-05:00", Some((2024, 10, 15))),
            ("2024-10-15T00:00:00.000+0000", Some((2024, 10, 15))),
            ("2024-10-15T24:00:00", Some((2024, 10, 15))),
            ("2024-10-15T25:00:00", None),
            ("2024-10-15T13:60:00", None),
            ("2024-10-15T", None),
            ("2024-10-15x", None),
            ("2024-10-15T13:45:00+", None),
            ("2024-10-15T13:45:00+05:", None),
            ("2024-10-1", None),
            ("20241015", None),
            ("15.10.2024", None),
            ("2024/10/15", None),
            ("٢٠٢٤-10-15", None),
        ],
    );
}

#[test]
fn formats_are_tried_in_order_and_must_fit_whole() {
    check(
        &["%d.%m.%Y", "%m/%Y"],
        &[
            ("15.10.2024", Some((2024, 10, 15))),
            ("5.1.2024", Some((2024, 1, 5))),
            ("10/2024", Some((2024, 10, 1))),
            ("2024-10-15", None),
            ("15.10.2024 ", None),
            ("15.10.24", None),
            ("31.04.2024", None),
        ],
    );
    check(&["%m/%d/%Y", "%d/%m/%Y"], &[("03/04/2024", Some((2024, 3, 4))), ("13/04/2024", Some((2024, 4, 13)))]);
    check(&["%Y%m%d"], &[("20241015", Some((2024, 10, 15))), ("2024115", None)]);
    check(&["%d %b %Y"], &[("5 oct 2024", Some((2024, 10, 5))), ("5 Okt 2024", None)]);
    check(&["%B %d, %Y"], &[("February 29, 2024", Some((2024, 2, 29))), ("February 30, 2024", None)]);
    check(&["Q%q %Y"], &[("Q4 2024", Some((2024, 10, 1))), ("Q5 2024", None), ("Q0 2024", None)]);
    check(&["%Y"], &[("2024", Some((2024, 1, 1))), ("24", None)]);
    check(&["%d.%m.%y"], &[("01.02.68", Some((2068, 2, 1))), ("01.02.69", Some((1969, 2, 1)))]);
    check(
        &["%m/%d/%Y %I:%M:%S %p"],
        &[("10/15/2024 3:04:05 PM", Some((2024, 10, 15))), ("10/15/2024 13:04:05 PM", None)],
    );
    check(&["%F %T%z"], &[("2024-10-15 00:00:00+02:00", Some((2024, 10, 15)))]);
    check(&["%Y年%m月%d日"], &[("2024年10月15日", Some((2024, 10, 15)))]);
    check(&["100%% %Y"], &[("100% 2024", Some((2024, 1, 1)))]);
}

#[test]
fn formats_that_cannot_say_a_date_are_refused() {
    for (format, expected) in [
        ("%m/%d", "it has no year (`%Y`)"),
        ("", "it has no year (`%Y`)"),
        ("%d.%Y", "it has a day and no month (`%m`)"),
        ("%Y %q %d", "it has a day and a quarter"),
        ("%Y %y", "it has a part of the date more than once"),
        ("%m %b %Y", "it has a part of the date more than once"),
        ("%Y-%m-%", "it ends in a lone `%`"),
        ("%Y-%Q", "`%Q` is not a directive"),
    ] {
        assert_eq!(DateFormat::parse(format), Err(expected.to_owned()), "`{format}`");
    }
}

/// Central Europe in 2024.
fn zone() -> Zone {
    Zone::new(&[(0, 3600), (1_711_846_800, 7200), (1_729_990_800, 3600)]).unwrap()
}

/// Seconds since 1970, with a fraction.
fn check_moments(formats: &[&str], typed: bool, cases: &[(&str, Option<f64>)]) {
    let formats: Vec<_> = formats.iter().map(|format| DateFormat::parse(format).unwrap()).collect();
    for (text, expected) in cases {
        let found = moment(text.as_bytes(), &formats, typed, &zone());
        assert_eq!(found, expected.map(|seconds| (seconds * 1e6).round() as i64), "`{text}`");
    }
}

/// R8: date-times without an offset are read in the integration's zone.
#[test]
fn moments_have_an_offset_or_are_local_time() {
    check_moments(
        &[],
        false,
        &[
            ("1970-01-01T00:00:00Z", Some(0.0)),
            ("1970-01-01T01:00:00", Some(0.0)),
            ("1970-01-01", Some(-3600.0)),
            ("2024-10-15T12:00:00.25+05:30", Some(1_728_973_800.25)),
            ("2024-10-15 12:00", Some(1_728_986_400.0)),
            ("2024-03-31T02:30:00", None),
            ("2024-10-27T02:30:00", Some(1_729_989_000.0)),
            ("2024-10-15T24:00:00Z", Some(1_729_036_800.0)),
            ("2024-10-15T12:00:00 CEST", None),
        ],
    );
    check_moments(
        &["%m/%d/%Y %I:%M %p", "%d.%m.%Y %H:%M:%S%z"],
        false,
        &[
            ("10/15/2024 12:30 AM", Some(1_728_945_000.0)),
            ("10/15/2024 12:30 PM", Some(1_728_988_200.0)),
            ("10/15/2024 1:30 pm", Some(1_728_991_800.0)),
            ("15.10.2024 00:00:00-01", Some(1_728_954_000.0)),
        ],
    );
}

#[test]
fn numbers_count_what_the_format_says() {
    check_moments(
        &["epoch_seconds"],
        false,
        &[("1728943200", Some(1_728_943_200.0)), ("-1.5", Some(-1.5)), ("x", None)],
    );
    check_moments(&["epoch_milliseconds"], true, &[("1728943200250", Some(1_728_943_200.25)), ("1e3", None)]);
    check_moments(
        &["excel_1900"],
        true,
        &[("45580.5", Some(1_728_986_400.0)), ("2024-10-15T12:00:00", Some(1_728_986_400.0))],
    );
    let day = |format: &str, text: &str| date(text.as_bytes(), &[DateFormat::parse(format).unwrap()], false, &zone());
    let days = |year, month, date| calendar::days(year, month, date);
    assert_eq!(day("excel_1900", "1"), days(1900, 1, 1));
    assert_eq!(day("excel_1900", "59"), days(1900, 2, 28));
    assert_eq!(day("excel_1900", "60"), None, "1900-02-29 never was");
    assert_eq!(day("excel_1900", "61"), days(1900, 3, 1));
    assert_eq!(day("excel_1900", "45580.99"), days(2024, 10, 15));
    assert_eq!(day("excel_1900", "0"), None);
    assert_eq!(day("excel_1904", "0"), days(1904, 1, 1));
    assert_eq!(day("excel_1904", "44118"), days(2024, 10, 15));
    assert_eq!(day("excel_1900", "99999999"), None);
    // 23:00 in UTC is the next day in this zone.
    assert_eq!(day("epoch_seconds", "1728946800"), days(2024, 10, 15));
    assert_eq!(day("epoch_seconds", "99999999999999999999"), None);
}
