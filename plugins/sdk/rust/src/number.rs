//! Numbers as people write them.

/// How numbers are written in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number {
    /// What stands before the decimals.
    pub decimal: char,
    /// What may stand between groups of three digits.
    pub group: Option<char>,
}

impl Number {
    /// `1234.56`
    pub const PLAIN: Self = Self { decimal: '.', group: None };
    /// `1,234.56`
    pub const ENGLISH: Self = Self { decimal: '.', group: Some(',') };
    /// `1.234,56`
    pub const GERMAN: Self = Self { decimal: ',', group: Some('.') };
    /// `1 234,56`
    pub const FRENCH: Self = Self { decimal: ',', group: Some(' ') };

    /// Unscaled, with `scale` digits after the point; none if the text is not a number, or has more digits than fit.
    #[inline]
    pub(crate) fn read(self, text: &str, scale: u8) -> Option<i64> {
        // Most numbers are a few digits, and written the same everywhere.
        if scale == 0 && text.len() <= 18 && !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some(text.bytes().fold(0, |value, digit| value * 10 + i64::from(digit - b'0')));
        }
        self.read_any(text, scale)
    }

    fn read_any(self, text: &str, scale: u8) -> Option<i64> {
        let (negative, digits) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let mut value: i64 = 0;
        // Digits after the point; none before it is reached.
        let mut decimals: Option<u8> = None;
        let mut digits_before = 0_usize;
        // Digits since the last group began; none where there are no groups.
        let mut group: Option<usize> = None;
        for character in digits.chars() {
            if let Some(digit) = character.to_digit(10) {
                match &mut decimals {
                    // Zeros beyond the scale change nothing.
                    Some(count) if *count == scale && digit == 0 => continue,
                    Some(count) if *count == scale => return None,
                    Some(count) => *count += 1,
                    None => {
                        digits_before += 1;
                        group = group.map(|digits| digits + 1);
                    }
                }
                // Downwards, where there is room for the smallest number as well.
                value = value.checked_mul(10)?.checked_sub(i64::from(digit))?;
            } else if character == self.decimal && decimals.is_none() {
                decimals = Some(0);
            } else if Some(character) == self.group && decimals.is_none() {
                let is_in_place = match group {
                    Some(digits) => digits == 3,
                    None => (1..=3).contains(&digits_before),
                };
                group = is_in_place.then_some(0);
                group?;
            } else {
                return None;
            }
        }
        if digits_before == 0 || group.is_some_and(|digits| digits != 3) {
            return None;
        }
        for _ in decimals.unwrap_or(0)..scale {
            value = value.checked_mul(10)?;
        }
        if negative { Some(value) } else { value.checked_neg() }
    }

    /// The nearest binary number; none if the text is not a number.
    pub(crate) fn read_float(self, text: &str) -> Option<f64> {
        let is_of_a_number = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | 'e' | 'E');
        let is_plain = text.chars().all(|c| is_of_a_number(c) || c == '.');
        let value: f64 = if is_plain && self.decimal == '.' {
            text.parse().ok()?
        } else if text.chars().all(|c| is_of_a_number(c) || c == self.decimal || Some(c) == self.group) {
            let plain: String = text
                .chars()
                .filter(|c| Some(*c) != self.group)
                .map(|c| if c == self.decimal { '.' } else { c })
                .collect();
            plain.parse().ok()?
        } else {
            return None;
        };
        value.is_finite().then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_they_are_written() {
        let check =
            |number: Number, text: &str, scale, expected| assert_eq!(number.read(text, scale), expected, "{text}");
        check(Number::PLAIN, "0", 0, Some(0));
        check(Number::PLAIN, "-12.5", 2, Some(-1250));
        check(Number::PLAIN, "+7", 1, Some(70));
        check(Number::PLAIN, "12.50", 1, Some(125));
        check(Number::PLAIN, "12.55", 1, None);
        check(Number::PLAIN, "12.", 1, Some(120));
        check(Number::PLAIN, ".5", 1, None);
        check(Number::PLAIN, "", 0, None);
        check(Number::PLAIN, "-", 0, None);
        check(Number::PLAIN, "1,234", 0, None);
        check(Number::PLAIN, "9223372036854775807", 0, Some(i64::MAX));
        check(Number::PLAIN, "-9223372036854775808", 0, Some(i64::MIN));
        check(Number::PLAIN, "9223372036854775808", 0, None);
        check(Number::ENGLISH, "1,234,567.8", 1, Some(12_345_678));
        check(Number::ENGLISH, "1,23", 0, None);
        check(Number::ENGLISH, "1234,567", 0, None);
        check(Number::ENGLISH, ",123", 0, None);
        check(Number::GERMAN, "1.234,56", 2, Some(123_456));
        check(Number::GERMAN, "1234,56", 2, Some(123_456));
        check(Number::GERMAN, "1234.56", 2, None);
        check(Number::PLAIN, "\u{663}", 0, None);
    }

    #[test]
    fn floats_are_finite_numbers() {
        let check = |number: Number, text: &str, expected| assert_eq!(number.read_float(text), expected, "{text}");
        check(Number::PLAIN, "1e3", Some(1000.0));
        check(Number::PLAIN, "NaN", None);
        check(Number::PLAIN, "inf", None);
        check(Number::PLAIN, "1e999", None);
        check(Number::GERMAN, "1.234,5", Some(1234.5));
    }
}
