use super::*;

type Case<'a> = (&'a str, Option<(i32, i32, i32)>);

fn check(formats: &[&str], cases: &[Case<'_>]) {
    let formats: Vec<_> = formats.iter().map(|format| DateFormat::parse(format).unwrap()).collect();
    for (text, expected) in cases {
        let expected = expected.map(|(year, month, day)| calendar::days(year, month, day).unwrap());
        assert_eq!(date(text.as_bytes(), &formats), expected, "`{text}`");
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
