//! Values as text that people can read and that compares as the value does: exact decimals, lists in JSON.

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
    fn lists_are_json() {
        let items = StringArray::from(vec!["a\"b", "c\\\u{1}\n", "ü"]);
        let text = written(|text| write_list(text, &items, 0..3));
        assert_eq!(serde_json::from_str::<Vec<String>>(&text).unwrap(), ["a\"b", "c\\\u{1}\n", "ü"]);
        assert_eq!(written(|text| write_list(text, &items, 1..1)), "[]");
    }
}
