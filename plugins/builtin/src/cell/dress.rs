//! What may stand round a number: currency symbols, a percent sign, parentheses, a minus behind it.
//!
//! Takes it off and leaves a number of the plain kind, which is then read as ever. A text of which something else would
//! be left stays as it is, so that the message about it shows what stands in the file.

use super::exact::Exact;
use super::number::{NumberFormat, Spelled};

/// What a percent sign after a number means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Percent {
    Refused,
    Ignored,
    Hundredth,
}

/// What may stand round a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dress {
    pub(crate) symbols: Vec<String>,
    pub(crate) percent: Percent,
    pub(crate) parentheses: bool,
    pub(crate) trailing_minus: bool,
    pub(crate) format: NumberFormat,
}

impl Dress {
    /// Appends the plain number that `cell` is a dressed one of; none, and nothing appended, where it is not.
    pub(crate) fn take_off(&self, cell: &[u8], spelled: &mut Spelled, out: &mut Vec<u8>) -> Option<()> {
        let mut number = cell.trim_ascii();
        let (mut signs, mut negative, mut symbol, mut percent) = (0, false, false, false);
        // Each part comes off once, from outside in, in whatever order they stand.
        loop {
            let before = number;
            if self.parentheses
                && signs == 0
                && let Some(inner) = number.strip_prefix(b"(").and_then(|rest| rest.strip_suffix(b")"))
            {
                (number, signs, negative) = (inner.trim_ascii(), 1, true);
            }
            if signs == 0
                && let [sign @ (b'-' | b'+'), rest @ ..] = number
            {
                (number, signs, negative) = (rest.trim_ascii_start(), 1, *sign == b'-');
            }
            if self.trailing_minus
                && signs == 0
                && let [rest @ .., b'-'] = number
            {
                (number, signs, negative) = (rest.trim_ascii_end(), 1, true);
            }
            if self.percent != Percent::Refused
                && !percent
                && let [rest @ .., b'%'] = number
            {
                (number, percent) = (rest.trim_ascii_end(), true);
            }
            if !symbol {
                let strip = |symbol: &String| {
                    let before = number.strip_prefix(symbol.as_bytes()).map(<[u8]>::trim_ascii_start);
                    before.or_else(|| number.strip_suffix(symbol.as_bytes()).map(<[u8]>::trim_ascii_end))
                };
                if let Some(rest) = self.symbols.iter().find_map(strip) {
                    (number, symbol) = (rest, true);
                }
            }
            if number.len() == before.len() {
                break;
            }
        }
        if !number.iter().any(u8::is_ascii_digit) || !number.first().is_some_and(|byte| *byte != b'-' && *byte != b'+')
        {
            return None;
        }
        let exact_needed = percent && self.percent == Percent::Hundredth;
        if !exact_needed {
            Exact::read(number, self.format, spelled).ok()?;
            if negative {
                out.push(b'-');
            }
            out.extend_from_slice(number);
            return Some(());
        }
        let begun = out.len();
        if negative {
            out.push(b'-');
        }
        let written = Exact::read(number, self.format, spelled)
            .ok()
            .and_then(|exact| exact.times(Exact::HUNDREDTH))
            .and_then(|exact| exact.write(self.format.decimal, out).ok());
        if written.is_none() {
            out.truncate(begun);
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take_off(dress: &Dress, cell: &str) -> String {
        let mut out = Vec::new();
        match dress.take_off(cell.as_bytes(), &mut Spelled::default(), &mut out) {
            Some(()) => String::from_utf8(out).unwrap(),
            None => {
                assert!(out.is_empty());
                "-".into()
            }
        }
    }

    #[test]
    fn what_stands_round_a_number_comes_off() {
        let dress = Dress {
            symbols: vec!["US$".into(), "$".into(), "€".into()],
            percent: Percent::Ignored,
            parentheses: true,
            trailing_minus: true,
            format: NumberFormat { decimal: b'.', group: Some(',') },
        };
        for (cell, expected) in [
            ("$1,200.50", "1,200.50"),
            ("($1,200.50)", "-1,200.50"),
            ("$(5)", "-5"),
            ("US$ 5", "5"),
            ("5 €", "5"),
            ("5-", "-5"),
            ("5,000.00- €", "-5,000.00"),
            ("-€5", "-5"),
            ("€-5", "-5"),
            ("12 %", "12"),
            ("12", "12"),
            ("+3", "3"),
            ("--5", "-"),
            ("(-5)", "-"),
            ("-5-", "-"),
            ("$$5", "-"),
            ("(5", "-"),
            ("$", "-"),
            ("()", "-"),
            ("5x", "-"),
            ("£5", "-"),
            ("1,2", "-"),
            ("", "-"),
        ] {
            assert_eq!(take_off(&dress, cell), expected, "`{cell}`");
        }
    }

    #[test]
    fn a_percent_sign_may_mean_a_hundredth() {
        let dress = Dress {
            symbols: Vec::new(),
            percent: Percent::Hundredth,
            parentheses: false,
            trailing_minus: false,
            format: NumberFormat { decimal: b',', group: Some('.') },
        };
        for (cell, expected) in [
            ("12%", "0,12"),
            ("-7,5 %", "-0,075"),
            ("1.200%", "12"),
            ("0,5", "0,5"),
            ("5-", "-"),
            ("(5)", "-"),
            ("1.2%", "-"),
        ] {
            assert_eq!(take_off(&dress, cell), expected, "`{cell}`");
        }
    }
}
