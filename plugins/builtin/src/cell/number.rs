//! Numbers as they are written in cells.
//!
//! Most cells are a sign, some digits and perhaps a point, at most 18 characters in all: those are read eight at a time
//! into an integer and a scale. Everything else (groups, exponents, more digits) is first spelled out as plain ASCII, which
//! is where the rules are. Both ways agree on every text that both accept; a test sees to it.
//!
//! A number is an optional `+` or `-`, digits, and optionally the decimal character with at least one digit after it;
//! `.5` is one, `5.` is not. Never a number: `NaN`, infinities, hexadecimal, blanks inside, parentheses, a sign behind,
//! a currency symbol, a group character where none is set. Where such things are allowed, `dress` takes them off first.

use super::Problem;
use super::word::{self, Digits};

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
    let (mantissa, scale) = match text.len() {
        1..=8 => {
            let Digits { value, decimals } = word::digits(text, decimal)?;
            (value, decimals)
        }
        9..=16 => {
            let (head, tail) = text.split_at(text.len() - 8);
            let (head, tail) = (word::digits(head, decimal)?, word::digits(tail, decimal)?);
            match (head.decimals, tail.decimals) {
                (decimals, None) => (head.value * 100_000_000 + tail.value, decimals.map(|before| before + 8)),
                (None, decimals) => (head.value * 10_000_000 + tail.value, decimals),
                (Some(_), Some(_)) => return None,
            }
        }
        17..=MOST_PLAIN_DIGITS => one_by_one(text, decimal)?,
        _ => return None,
    };
    // A point has a digit behind it.
    (scale != Some(0)).then_some(Plain { negative, mantissa, scale: scale.unwrap_or(0) })
}

/// The digits as a number, and how many stand behind the point, if there is one.
#[cold]
fn one_by_one(text: &[u8], decimal: u8) -> Option<(u64, Option<usize>)> {
    let (mut mantissa, mut point) = (0_u64, None);
    for (place, &byte) in text.iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit < 10 {
            mantissa = mantissa * 10 + u64::from(digit);
        } else if byte == decimal && point.is_none() {
            point = Some(text.len() - place - 1);
        } else {
            return None;
        }
    }
    Some((mantissa, point))
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

    /// The number spelled out, where its `.` stands (or the end of its digits), and where its `e` stands (or the end).
    pub(crate) fn spell(&mut self, text: &[u8], format: NumberFormat) -> Option<(&[u8], usize, usize)> {
        self.read(text, format)?;
        Some((&self.ascii, self.point, self.exponent))
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

/// `text × 10^scale` as a whole number, digits beyond it being dropped towards zero; none for a text that is no plain
/// number, or too large.
pub(crate) fn scaled(text: &[u8], scale: usize) -> Option<i64> {
    let Plain { negative, mantissa, scale: has } = plain(text, b'.')?;
    let mantissa = i64::try_from(mantissa).ok()?;
    let magnitude = match scale.checked_sub(has) {
        Some(zeros) => mantissa.checked_mul(10_i64.checked_pow(zeros as u32)?)?,
        None => mantissa / 10_i64.checked_pow((has - scale) as u32)?,
    };
    Some(if negative { -magnitude } else { magnitude })
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
mod tests;
