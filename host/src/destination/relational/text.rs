//! Values as text that people can read and that compares as the value does: exact decimals, ISO 8601 dates, lists in JSON.

use std::fmt::Write;

use arrow_array::{Array, StringArray};

/// A decimal without trailing zeros. Writing to a `String` cannot fail, so the results in this module are dropped.
pub(in crate::destination) fn write_decimal(text: &mut String, unscaled: i64, scale: u8) {
    let mut scale = u32::from(scale.min(18));
    let mut unscaled = i128::from(unscaled);
    while scale > 0 && unscaled % 10 == 0 {
        unscaled /= 10;
        scale -= 1;
    }
    let sign = if unscaled < 0 { "-" } else { "" };
    let divisor = 10_u128.pow(scale);
    let (whole, fraction) = (unscaled.unsigned_abs() / divisor, unscaled.unsigned_abs() % divisor);
    let _ = match scale {
        0 => write!(text, "{sign}{whole}"),
        _ => write!(text, "{sign}{whole}.{fraction:0width$}", width = scale as usize),
    };
}

/// The proleptic Gregorian date of a day counted from 1970-01-01, by eras of 400 years that begin in March.
pub(in crate::destination) fn write_date(text: &mut String, days: i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let _ = write!(text, "{year:04}-{month:02}-{day:02}");
}

pub(in crate::destination) fn write_timestamp(text: &mut String, microseconds: i64) {
    const DAY: i64 = 86_400_000_000;
    write_date(text, microseconds.div_euclid(DAY));
    let of_day = microseconds.rem_euclid(DAY);
    let (seconds, fraction) = (of_day / 1_000_000, of_day % 1_000_000);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let _ = match fraction {
        0 => write!(text, "T{hour:02}:{minute:02}:{second:02}Z"),
        _ => write!(text, "T{hour:02}:{minute:02}:{second:02}.{fraction:06}Z"),
    };
}

pub(in crate::destination) fn write_list(text: &mut String, items: &StringArray, range: std::ops::Range<usize>) {
    text.push('[');
    for index in range.clone() {
        if index > range.start {
            text.push(',');
        }
        let item = if items.is_valid(index) { items.value(index) } else { "" };
        write_json_text(text, item);
    }
    text.push(']');
}

fn write_json_text(text: &mut String, item: &str) {
    text.push('"');
    for character in item.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            control if (control as u32) < 0x20 => {
                let _ = write!(text, "\\u{:04x}", control as u32);
            }
            plain => text.push(plain),
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut String)) -> String {
        let mut text = String::new();
        write(&mut text);
        text
    }

    #[test]
    fn decimals_are_exact_and_shortest() {
        for (unscaled, scale, expected) in [
            (123_450, 2, "1234.5"),
            (-5, 2, "-0.05"),
            (0, 4, "0"),
            (700, 2, "7"),
            (i64::MIN, 0, "-9223372036854775808"),
            (i64::MAX, 18, "9.223372036854775807"),
        ] {
            assert_eq!(written(|text| write_decimal(text, unscaled, scale)), expected);
        }
    }

    #[test]
    fn dates_and_times_are_iso_8601() {
        for (days, expected) in [
            (0, "1970-01-01"),
            (20_011, "2024-10-15"),
            (-1, "1969-12-31"),
            (11_016, "2000-02-29"),
            (-719_162, "0001-01-01"),
        ] {
            assert_eq!(written(|text| write_date(text, days)), expected);
        }
        assert_eq!(written(|text| write_timestamp(text, -1)), "1969-12-31T23:59:59.999999Z");
        assert_eq!(written(|text| write_timestamp(text, 1_728_981_000_000_000)), "2024-10-15T08:30:00Z");
    }

    #[test]
    fn lists_are_json() {
        let items = StringArray::from(vec!["a\"b", "c\\\u{1}\n", "ü"]);
        let text = written(|text| write_list(text, &items, 0..3));
        assert_eq!(serde_json::from_str::<Vec<String>>(&text).unwrap(), ["a\"b", "c\\\u{1}\n", "ü"]);
        assert_eq!(written(|text| write_list(text, &items, 1..1)), "[]");
    }
}
