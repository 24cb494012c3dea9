use super::*;

const GERMAN: NumberFormat = NumberFormat { decimal: b',', group: Some('.') };
const GROUPED: NumberFormat = NumberFormat { decimal: b'.', group: Some(',') };
const THIN: NumberFormat = NumberFormat { decimal: b',', group: Some('\u{202f}') };

fn check_integer(format: NumberFormat, cases: &[(&str, Result<i64, Problem>)]) {
    for (text, expected) in cases {
        assert_eq!(integer(text.as_bytes(), format, &mut Spelled::default()), *expected, "`{text}`");
    }
}

fn check_float(shift: u8, format: NumberFormat, cases: &[(&str, Result<f64, Problem>)]) {
    for (text, expected) in cases {
        let found = float(text.as_bytes(), shift, format, &mut Spelled::default());
        assert_eq!(found.map(f64::to_bits), expected.map(f64::to_bits), "`{text}` is {found:?}");
    }
}

fn check_decimal(precision: Precision, origin: Origin, cases: &[(&str, Result<i64, Problem>)]) {
    for (text, expected) in cases {
        let found = decimal(text.as_bytes(), precision, origin, NumberFormat::CANONICAL, &mut Spelled::default());
        assert_eq!(found, *expected, "`{text}`");
    }
}

#[test]
fn integers_are_read_whole_or_refused() {
    let no = Err(Problem::NotAnInteger);
    check_integer(
        NumberFormat::CANONICAL,
        &[
            ("0", Ok(0)),
            ("-0", Ok(0)),
            ("007", Ok(7)),
            ("+5", Ok(5)),
            ("-42", Ok(-42)),
            ("999999999999999999", Ok(999_999_999_999_999_999)),
            ("9223372036854775807", Ok(i64::MAX)),
            ("-9223372036854775808", Ok(i64::MIN)),
            ("9223372036854775808", Err(Problem::OutOfRange)),
            ("-9223372036854775809", Err(Problem::OutOfRange)),
            ("00000000000000000000000000000012", Ok(12)),
            ("1.0", no),
            ("1.", no),
            (".", no),
            ("1e3", no),
            ("", no),
            ("-", no),
            ("+-1", no),
            ("--1", no),
            ("1-", no),
            ("(1)", no),
            ("1 000", no),
            ("1,000", no),
            ("0x10", no),
            ("NaN", no),
            ("inf", no),
            ("12x", no),
            ("١٢", no),
            ("1_000", no),
        ],
    );
}

#[test]
fn groups_count_only_where_they_are_set_and_well_formed() {
    let no = Err(Problem::NotAnInteger);
    check_integer(
        GROUPED,
        &[
            ("1,234", Ok(1234)),
            ("12,345,678", Ok(12_345_678)),
            ("-1,234", Ok(-1234)),
            ("12,34,567", Ok(1_234_567)),
            ("1234567", Ok(1_234_567)),
            ("12,34", no),
            ("1234,567", no),
            (",123", no),
            ("1,,234", no),
            ("1,234,", no),
            ("1,2345", no),
            ("9,223,372,036,854,775,808", Err(Problem::OutOfRange)),
        ],
    );
    check_integer(THIN, &[("1\u{202f}234", Ok(1234)), ("1 234", no), ("1\u{a0}234", no)]);
    check_float(
        0,
        GERMAN,
        &[
            ("1.234,56", Ok(1234.56)),
            ("1234,56", Ok(1234.56)),
            ("1.234", Ok(1234.0)),
            ("1,5", Ok(1.5)),
            ("1.5", Err(Problem::NotANumber)),
            ("1,234.5", Err(Problem::NotANumber)),
            ("1,234.567", Err(Problem::NotANumber)),
        ],
    );
}

#[test]
fn floats_are_the_nearest_and_never_infinite() {
    let no = Err(Problem::NotANumber);
    check_float(
        0,
        NumberFormat::CANONICAL,
        &[
            ("0.1", Ok(0.1)),
            (".5", Ok(0.5)),
            ("-.5", Ok(-0.5)),
            ("-0", Ok(0.0)),
            ("-0.000000000000000000000", Ok(0.0)),
            ("1e6", Ok(1e6)),
            ("1.5E-3", Ok(0.0015)),
            ("2e+2", Ok(200.0)),
            ("9007199254740993", Ok(9_007_199_254_740_992.0)),
            ("0.30000000000000004", Ok(0.1 + 0.2)),
            ("123456789012345678901234567890", Ok(123_456_789_012_345_678_901_234_567_890.0)),
            ("1.7976931348623157e308", Ok(f64::MAX)),
            ("1e309", Err(Problem::OutOfRange)),
            ("1e99999999999999999999", Err(Problem::OutOfRange)),
            ("1e-400", Ok(0.0)),
            ("5.", no),
            (".", no),
            ("e5", no),
            ("1e", no),
            ("1e+", no),
            ("nan", no),
            ("inf", no),
            ("-Infinity", no),
            ("0x1p3", no),
            ("1 e5", no),
            ("12%", no),
            ("$5", no),
        ],
    );
}

/// Percent ratios move the point in the text: 0.07 × 100 in binary is 7.000000000000001.
#[test]
fn shifting_the_point_is_exact() {
    check_float(
        2,
        NumberFormat::CANONICAL,
        &[
            ("0.07", Ok(7.0)),
            ("0.2", Ok(20.0)),
            ("1", Ok(100.0)),
            ("0.125", Ok(12.5)),
            ("0.57", Ok(57.0)),
            ("-0.29", Ok(-29.0)),
            ("7e-2", Ok(7.0)),
            ("0.0700000000000000000000", Ok(7.0)),
            ("0.58000000000000000001", Ok(58.0)),
            ("1e308", Err(Problem::OutOfRange)),
            ("1e99999999999999999999", Err(Problem::OutOfRange)),
        ],
    );
}

#[test]
fn decimals_keep_every_digit_or_refuse() {
    let cents = Precision { scale: 2, excess: Excess::Reject };
    check_decimal(
        cents,
        Origin::Text,
        &[
            ("19.99", Ok(1999)),
            ("19.9", Ok(1990)),
            ("19", Ok(1900)),
            ("-19.99", Ok(-1999)),
            ("0.07", Ok(7)),
            ("19.9900000000000000000000000", Ok(1999)),
            ("0.001", Err(Problem::TooManyDecimals)),
            ("1.999999999999999999999999", Err(Problem::TooManyDecimals)),
            ("92233720368547758.07", Ok(i64::MAX)),
            ("-92233720368547758.08", Ok(i64::MIN)),
            ("92233720368547758.08", Err(Problem::OutOfRange)),
            ("922337203685477580", Err(Problem::OutOfRange)),
            ("99999999999999999999999999999999999999999999", Err(Problem::OutOfRange)),
            ("1e3", Err(Problem::NotANumber)),
            ("$1", Err(Problem::NotANumber)),
            ("1,5", Err(Problem::NotANumber)),
        ],
    );
    check_decimal(
        Precision { scale: 18, excess: Excess::Reject },
        Origin::Text,
        &[("1.000000000000000001", Ok(1_000_000_000_000_000_001)), ("9.3", Err(Problem::OutOfRange))],
    );
    check_decimal(
        Precision { scale: 0, excess: Excess::Reject },
        Origin::Text,
        &[("5", Ok(5)), ("5.0", Ok(5)), ("5.5", Err(Problem::TooManyDecimals))],
    );
}

#[test]
fn rounding_is_half_away_from_zero_and_only_where_asked_for() {
    check_decimal(
        Precision { scale: 2, excess: Excess::Round },
        Origin::Text,
        &[
            ("0.005", Ok(1)),
            ("-0.005", Ok(-1)),
            ("0.00499999999999999999999999", Ok(0)),
            ("1.994", Ok(199)),
            ("1.995", Ok(200)),
            ("99999.999", Ok(10_000_000)),
            ("92233720368547758.075", Err(Problem::OutOfRange)),
        ],
    );
}

#[test]
fn a_workbooks_binary_dust_is_not_a_decimal() {
    let cents = Precision { scale: 2, excess: Excess::Reject };
    check_decimal(
        cents,
        Origin::Workbook,
        &[
            ("0.30000000000000004", Ok(30)),
            ("19.989999999999998", Ok(1999)),
            ("1.1500000000000001", Ok(115)),
            ("123456789012345.67", Ok(12_345_678_901_234_567)),
            ("-0.30000000000000004", Ok(-30)),
            ("0.333", Err(Problem::TooManyDecimals)),
            ("0.3333333333333333", Err(Problem::TooManyDecimals)),
            ("0.00000000000000001", Err(Problem::TooManyDecimals)),
        ],
    );
    check_decimal(cents, Origin::Text, &[("0.30000000000000004", Err(Problem::TooManyDecimals))]);
    check_decimal(
        Precision { scale: 2, excess: Excess::Round },
        Origin::Workbook,
        &[("1.0049999999999999", Ok(101)), ("1.004999", Ok(100)), ("0.3333333333333333", Ok(33))],
    );
}

/// Both ways agree on whatever both accept.
#[test]
fn the_short_way_and_the_long_way_agree() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    let alphabet = b"0123456789.-+e,";
    for _ in 0..200_000 {
        let text: Vec<u8> = (0..1 + next(12)).map(|_| alphabet[next(alphabet.len() as u64) as usize]).collect();
        let mut spelled = Spelled::default();
        let Some(Plain { scale, .. }) = plain(&text, b'.') else {
            continue;
        };
        assert!(spelled.read(&text, NumberFormat::CANONICAL).is_some(), "{}", String::from_utf8_lossy(&text));
        if scale == 0 {
            assert_eq!(integer(&text, NumberFormat::CANONICAL, &mut Spelled::default()).ok(), spelled.parse::<i64>());
        }
        for shift in [0, 2] {
            assert_eq!(
                float(&text, shift, NumberFormat::CANONICAL, &mut Spelled::default()),
                spelled_float(&text, shift, NumberFormat::CANONICAL, &mut spelled)
            );
        }
        let precision = Precision { scale: 4, excess: Excess::Round };
        assert_eq!(
            decimal(&text, precision, Origin::Text, NumberFormat::CANONICAL, &mut Spelled::default()),
            spelled_decimal(&text, precision, Origin::Text, NumberFormat::CANONICAL, &mut spelled)
        );
    }
}
