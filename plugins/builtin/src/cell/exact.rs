//! Decimal arithmetic on numbers as they are written: nothing ever passes through binary.

use super::Problem;
use super::number::{NumberFormat, Spelled};

/// `±magnitude / 10^scale`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exact {
    negative: bool,
    magnitude: u128,
    scale: i32,
}

/// Digits after the point that are kept at most, and zeros that are written before it.
const MOST_SCALE: i32 = 38;

impl Exact {
    /// A hundredth.
    pub(crate) const HUNDREDTH: Self = Self { negative: false, magnitude: 1, scale: 2 };

    /// Reads a number of up to 38 digits.
    pub(crate) fn read(text: &[u8], format: NumberFormat, spelled: &mut Spelled) -> Result<Self, Problem> {
        let (ascii, point, exponent) = spelled.spell(text, format).ok_or(Problem::NotANumber)?;
        let negative = ascii.first() == Some(&b'-');
        let mut magnitude = 0_u128;
        for digit in ascii[..exponent].iter().filter(|byte| byte.is_ascii_digit()) {
            magnitude = magnitude
                .checked_mul(10)
                .and_then(|magnitude| magnitude.checked_add(u128::from(digit - b'0')))
                .ok_or(Problem::OutOfRange)?;
        }
        let decimals = exponent.saturating_sub(point + 1) as i32;
        let shift: i32 = match ascii.get(exponent + 1..) {
            None | Some([]) => 0,
            Some(digits) => {
                let digits = std::str::from_utf8(digits).map_err(|_| Problem::NotANumber)?;
                digits.parse().ok().filter(|shift: &i32| shift.abs() <= MOST_SCALE).ok_or(Problem::OutOfRange)?
            }
        };
        Ok(Self { negative, magnitude, scale: decimals - shift })
    }

    /// The product; none where it has too many digits.
    pub(crate) fn times(self, factor: Self) -> Option<Self> {
        let magnitude = self.magnitude.checked_mul(factor.magnitude)?;
        Some(Self { negative: self.negative != factor.negative, magnitude, scale: self.scale + factor.scale })
    }

    /// Rounded to so many digits after the point, half away from zero.
    pub(crate) fn rounded(self, decimals: u8) -> Self {
        let excess = self.scale - i32::from(decimals);
        let Ok(excess @ 1..) = u32::try_from(excess) else { return self };
        let Some(power) = 10_u128.checked_pow(excess) else {
            return Self { negative: false, magnitude: 0, scale: 0 };
        };
        let (whole, rest) = (self.magnitude / power, self.magnitude % power);
        Self { magnitude: whole + u128::from(rest >= power - rest), scale: i32::from(decimals), ..self }
    }

    /// Appends the number in its shortest form, without groups.
    pub(crate) fn write(self, decimal: u8, out: &mut Vec<u8>) -> Result<(), Problem> {
        let Self { negative, mut magnitude, mut scale } = self;
        while scale > 0 && magnitude.is_multiple_of(10) {
            (magnitude, scale) = (magnitude / 10, scale - 1);
        }
        if !(-MOST_SCALE..=MOST_SCALE).contains(&scale) {
            return Err(Problem::OutOfRange);
        }
        if negative && magnitude != 0 {
            out.push(b'-');
        }
        let mut digits = [b'0'; 39];
        let mut first = digits.len();
        while magnitude > 0 {
            first -= 1;
            digits[first] = b'0' + (magnitude % 10) as u8;
            magnitude /= 10;
        }
        let count = digits.len() - first;
        // A digit before the point, and as many behind it as the scale says.
        let wanted = count.max(scale.max(0) as usize + 1);
        let point = wanted - scale.max(0) as usize;
        for place in 0..wanted {
            if place == point {
                out.push(decimal);
            }
            let zeros = wanted - count;
            out.push(if place < zeros { b'0' } else { digits[first + place - zeros] });
        }
        out.extend(std::iter::repeat_n(b'0', (-scale).max(0) as usize));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GERMAN: NumberFormat = NumberFormat { decimal: b',', group: Some('.') };

    fn read(text: &str, format: NumberFormat) -> Result<Exact, Problem> {
        Exact::read(text.as_bytes(), format, &mut Spelled::default())
    }

    fn write(exact: Exact, decimal: u8) -> String {
        let mut out = Vec::new();
        exact.write(decimal, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn products_are_exact() {
        for (number, factor, expected) in [
            ("0.07", "100", "7"),
            ("1.1", "1.1", "1.21"),
            ("-12.50", "0.001", "-0.0125"),
            ("1e3", "2", "2000"),
            ("1.5e-3", "1", "0.0015"),
            ("0", "-5", "0"),
            (".5", "1", "0.5"),
            ("123456789012345678901234567890", "10", "1234567890123456789012345678900"),
        ] {
            let plain = NumberFormat::CANONICAL;
            let product = read(number, plain).unwrap().times(read(factor, plain).unwrap()).unwrap();
            assert_eq!(write(product, b'.'), expected, "{number} × {factor}");
        }
        assert_eq!(write(read("1.234,50", GERMAN).unwrap(), b','), "1234,5");
        assert_eq!(read("12,34.5", GERMAN), Err(Problem::NotANumber));
        assert_eq!(read(&"9".repeat(40), GERMAN), Err(Problem::OutOfRange));
        assert_eq!(read("1e99", NumberFormat::CANONICAL), Err(Problem::OutOfRange));
        let large = read(&"9".repeat(38), GERMAN).unwrap();
        assert_eq!(large.times(large), None);
    }

    #[test]
    fn halves_are_rounded_away_from_zero() {
        for (number, decimals, expected) in [
            ("0.005", 2, "0.01"),
            ("-0.005", 2, "-0.01"),
            ("0.00499", 2, "0"),
            ("2.5", 0, "3"),
            ("1.2", 2, "1.2"),
            ("9.999", 2, "10"),
            ("0.00000000000000000000000000000000000001", 0, "0"),
        ] {
            let rounded = read(number, NumberFormat::CANONICAL).unwrap().rounded(decimals);
            assert_eq!(write(rounded, b'.'), expected, "{number}");
        }
    }
}
