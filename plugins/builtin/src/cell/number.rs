//! Numbers as they are written in cells.
//!
//! Most cells are a sign, some digits and perhaps a point, at most 18 digits in all: those are read in one loop into
//! an integer and a scale. Everything else (groups, exponents, more digits) is first spelled out as plain ASCII, which
//! is where the rules are. Both ways agree on every text that both accept; a test sees to it.
//!
//! A number is an optional `+` or `-`, digits, and optionally the decimal character with at least one digit after it;
//! `.5` is one, `5.` is not. Never a number: `NaN`, infinities, hexadecimal, blanks inside, parentheses, a sign behind,
//! a currency symbol, a group character where none is set.

use super::Problem;

/// How numbers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NumberFormat {
    /// The ASCII character before the decimals.
    pub(crate) decimal: u8,
    /// The character between groups of digits.
    pub(crate) group: Option<char>,
}

impl NumberFormat {
    /// How a workbook's own numbers are handed over.
    pub(crate) const CANONICAL: Self = Self { decimal: b'.', group: None };
}

/// `±mantissa / 10^scale`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Plain {
    negative: bool,
    mantissa: u64,
    scale: usize,
}

const MOST_PLAIN_DIGITS: usize = 18;

/// Reads a number of the most common shape; none for any other text, be it a number or not.
#[inline]
fn plain(text: &[u8], decimal: u8) -> Option<Plain> {
    let (negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    if text.is_empty() || text.len() > MOST_PLAIN_DIGITS {
        return None;
    }
    let mut mantissa = 0_u64;
    for (place, &byte) in text.iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit < 10 {
            mantissa = mantissa * 10 + u64::from(digit);
            continue;
        }
        let decimals = &text[place + 1..];
        if byte != decimal || decimals.is_empty() {
            return None;
        }
        for &byte in decimals {
            let digit = byte.wrapping_sub(b'0');
            if digit >= 10 {
                return None;
            }
            mantissa = mantissa * 10 + u64::from(digit);
        }
        return Some(Plain { negative, mantissa, scale: decimals.len() });
    }
    Some(Plain { negative, mantissa, scale: 0 })
}

/// A number spelled out: `-`, digits, and perhaps `.` with digits and `e` with an exponent.
#[derive(Debug, Default)]
pub(crate) struct Spelled {
    ascii: Vec<u8>,
    /// Where the `.` stands, or the end of the digits.
    point: usize,
    /// Where the `e` stands, or the end.
    exponent: usize,
}

impl Spelled {
    /// Spells out `text`; none when it is not a number. The buffer is used again from one cell to the next.
    #[cold]
    fn read(&mut self, text: &[u8], format: NumberFormat) -> Option<()> {
        self.ascii.clear();
        let mut rest = match text {
            [b'-', rest @ ..] => {
                self.ascii.push(b'-');
                rest
            }
            [b'+', rest @ ..] => rest,
            _ => text,
        };
        rest = self.whole_digits(rest, format.group)?;
        self.point = self.ascii.len();
        match rest {
            [byte, decimals @ ..] if *byte == format.decimal => {
                self.ascii.push(b'.');
                rest = self.digits(decimals)?;
            }
            _ if self.ascii.last().is_none_or(|last| !last.is_ascii_digit()) => return None,
            _ => {}
        }
        self.exponent = self.ascii.len();
        if let [b'e' | b'E', exponent @ ..] = rest {
            self.ascii.push(b'e');
            rest = match exponent {
                [sign @ (b'-' | b'+'), digits @ ..] => {
                    self.ascii.push(*sign);
                    self.digits(digits)?
                }
                digits => self.digits(digits)?,
            };
        }
        rest.is_empty().then_some(())
    }

    /// Takes at least one digit.
    fn digits<'a>(&mut self, text: &'a [u8]) -> Option<&'a [u8]> {
        let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
        self.ascii.extend_from_slice(&text[..end]);
        (end > 0).then(|| &text[end..])
    }

    /// Takes digits with or without group characters, perhaps none. `1,234,567` and `12,34,567` are in groups; `12,34`
    /// is not, and would else be read as a hundred times what a decimal comma means.
    fn whole_digits<'a>(&mut self, mut text: &'a [u8], group: Option<char>) -> Option<&'a [u8]> {
        let mut encoded = [0; 4];
        let group = group.map(|group| group.encode_utf8(&mut encoded).as_bytes());
        let (mut groups, mut run) = (0, 0);
        loop {
            match text {
                [digit @ b'0'..=b'9', rest @ ..] => {
                    self.ascii.push(*digit);
                    run += 1;
                    text = rest;
                }
                _ => {
                    let after_group = group.and_then(|group| text.strip_prefix(group));
                    let fits = match (groups, after_group.is_some()) {
                        (0, true) => (1..=3).contains(&run),
                        (_, true) => run == 2 || run == 3,
                        (0, false) => true,
                        (_, false) => run == 3,
                    };
                    if !fits {
                        return None;
                    }
                    match after_group {
                        Some(rest) => (text, groups, run) = (rest, groups + 1, 0),
                        None => return Some(text),
                    }
                }
            }
        }
    }

    fn parse<T: std::str::FromStr>(&self) -> Option<T> {
        std::str::from_utf8(&self.ascii).ok()?.parse().ok()
    }
}

/// A whole number of 64 bits.
#[inline]
pub(crate) fn integer(text: &[u8], format: NumberFormat, spelled: &mut Spelled) -> Result<i64, Problem> {
    match plain(text, format.decimal) {
        Some(Plain { negative, mantissa, scale: 0 }) => Ok(signed(mantissa, negative)),
        Some(_) => Err(Problem::NotAnInteger),
        None => {
            spelled.read(text, format).ok_or(Problem::NotAnInteger)?;
            match spelled.point == spelled.ascii.len() {
                true => spelled.parse().ok_or(Problem::OutOfRange),
                false => Err(Problem::NotAnInteger),
            }
        }
    }
}

/// `mantissa` has at most 18 digits.
#[inline]
fn signed(mantissa: u64, negative: bool) -> i64 {
    if negative { -(mantissa as i64) } else { mantissa as i64 }
}

/// Powers of ten that are exact in binary, as far as a plain number needs them.
const POWERS: [f64; 19] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18];

/// The nearest number of 64 bits in binary to `text × 10^shift`, the point being moved in the decimal text. Never
/// infinite, and zero has no sign.
#[inline]
pub(crate) fn float(text: &[u8], shift: u8, format: NumberFormat, spelled: &mut Spelled) -> Result<f64, Problem> {
    // A mantissa of 53 bits and the power are both exact, so that the one operation rounds correctly.
    if let Some(Plain { negative, mantissa, scale }) = plain(text, format.decimal)
        && mantissa <= 1 << 53
    {
        let shift = usize::from(shift);
        let value = match scale >= shift {
            true => mantissa as f64 / POWERS[scale - shift],
            false => mantissa as f64 * POWERS[shift - scale],
        };
        return Ok(if negative && mantissa != 0 { -value } else { value });
    }
    spelled_float(text, shift, format, spelled)
}

#[cold]
fn spelled_float(text: &[u8], shift: u8, format: NumberFormat, spelled: &mut Spelled) -> Result<f64, Problem> {
    spelled.read(text, format).ok_or(Problem::NotANumber)?;
    if shift > 0 {
        let exponent = match std::str::from_utf8(&spelled.ascii[spelled.exponent..]).ok() {
            // An exponent beyond 32 bits is zero or infinity either way.
            Some(text) if text.len() > 1 => text[1..].parse::<i64>().map_err(|_| Problem::OutOfRange)?,
            _ => 0,
        };
        spelled.ascii.truncate(spelled.exponent);
        spelled.ascii.extend_from_slice(format!("e{}", exponent.saturating_add(i64::from(shift))).as_bytes());
    }
    match spelled.parse::<f64>() {
        Some(value) if value.is_finite() => Ok(value + 0.0),
        _ => Err(Problem::OutOfRange),
    }
}

/// How many digits a decimal keeps after the point, and what becomes of more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Precision {
    /// 0 to 18.
    pub(crate) scale: u8,
    /// What becomes of digits beyond the scale that are not zeros.
    pub(crate) excess: Excess,
}

/// What becomes of digits beyond the scale that are not zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Excess {
    Reject,
    /// Half away from zero.
    Round,
}

/// Whether a number comes from text or from a workbook's number cell, which is binary: its 16th and further digits
/// are what binary made of the decimal that a person sees (0.1 + 0.2 is 0.30000000000000004).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Text,
    Workbook,
}

/// An unscaled decimal of 64 bits with `precision.scale` digits after the point.
#[inline]
pub(crate) fn decimal(
    text: &[u8],
    precision: Precision,
    origin: Origin,
    format: NumberFormat,
    spelled: &mut Spelled,
) -> Result<i64, Problem> {
    if let Some(Plain { negative, mantissa, scale }) = plain(text, format.decimal)
        && let Some(zeros) = usize::from(precision.scale).checked_sub(scale)
        && let Some(unscaled) = 10_i64.pow(zeros as u32).checked_mul(signed(mantissa, negative))
    {
        return Ok(unscaled);
    }
    spelled_decimal(text, precision, origin, format, spelled)
}

/// Digits of a decimal number that a person may have meant; a workbook shows as many.
const WORKBOOK_DIGITS: usize = 15;

#[cold]
fn spelled_decimal(
    text: &[u8],
    precision: Precision,
    origin: Origin,
    format: NumberFormat,
    spelled: &mut Spelled,
) -> Result<i64, Problem> {
    spelled.read(text, format).ok_or(Problem::NotANumber)?;
    if spelled.exponent != spelled.ascii.len() {
        return Err(Problem::NotANumber);
    }
    let negative = spelled.ascii.first() == Some(&b'-');
    let whole = &spelled.ascii[usize::from(negative)..spelled.point];
    let decimals = spelled.ascii.get(spelled.point + 1..).unwrap_or_default();
    let scale = usize::from(precision.scale);
    let (kept, excess) = decimals.split_at(scale.min(decimals.len()));

    let mut magnitude = 0_i128;
    for digit in whole.iter().chain(kept).chain(std::iter::repeat_n(&b'0', scale - kept.len())) {
        magnitude = magnitude * 10 + i128::from(digit - b'0');
        if magnitude > i128::from(i64::MAX) + 1 {
            return Err(Problem::OutOfRange);
        }
    }
    // How many digits of the excess count: all, or as many as leave 15 from the first that is not zero.
    let meant = match origin {
        Origin::Text => excess.len(),
        Origin::Workbook => {
            let before = whole.iter().chain(kept).skip_while(|digit| **digit == b'0').count();
            let leading = if before == 0 { excess.iter().take_while(|digit| **digit == b'0').count() } else { 0 };
            excess.len().min(leading + WORKBOOK_DIGITS.saturating_sub(before))
        }
    };
    let (meant, dropped) = excess.split_at(meant);
    let carries = dropped.first().is_some_and(|digit| *digit >= b'5');
    magnitude += match precision.excess {
        Excess::Round => {
            let half_or_more = match meant.first() {
                // A carry out of nines (0.4999… with nothing but nines) reaches the half.
                Some(digit) => {
                    *digit >= b'5' || (*digit == b'4' && carries && meant[1..].iter().all(|digit| *digit == b'9'))
                }
                None => carries,
            };
            i128::from(half_or_more)
        }
        Excess::Reject if !carries && meant.iter().all(|digit| *digit == b'0') => 0,
        Excess::Reject if carries && meant.iter().all(|digit| *digit == b'9') => 1,
        Excess::Reject => return Err(Problem::TooManyDecimals),
    };
    i64::try_from(if negative { -magnitude } else { magnitude }).map_err(|_| Problem::OutOfRange)
}

#[cfg(test)]
mod tests {
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
                assert_eq!(
                    integer(&text, NumberFormat::CANONICAL, &mut Spelled::default()).ok(),
                    spelled.parse::<i64>()
                );
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
}
