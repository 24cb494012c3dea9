//! Dates as they are written in cells, as days since 1970-01-01.
//!
//! A date counts as it is written: a time of day or an offset after it is read, so that a malformed one is noticed, and
//! dropped. No date ever shifts by a time zone. Which format holds is stated, never guessed: formats are tried in the
//! order given, and the whole text must fit.

use super::quoted;
use crate::calendar;

/// One piece of a format.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(Vec<u8>),
    /// A number of one to `most` digits, or of exactly `most`.
    Number {
        part: Part,
        most: usize,
        exact: bool,
    },
    MonthName,
    ShortMonthName,
    /// One to nine digits.
    Fraction,
    /// `AM` or `PM`, in any case.
    HalfOfDay,
    /// `Z`, `+hh`, `+hhmm` or `+hh:mm`.
    Offset,
}

/// A number in a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Year,
    /// 69 to 99 are 1969 to 1999, the others 2000 to 2068, as POSIX has it.
    YearOfCentury,
    Quarter,
    Month,
    Day,
    Hour,
    HourOfHalf,
    Minute,
    Second,
}

/// A way of writing dates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DateFormat {
    pieces: Vec<Piece>,
}

impl Piece {
    fn take_full_width(&mut self) {
        if let Self::Number { exact, .. } = self {
            *exact = true;
        }
    }
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

impl DateFormat {
    /// Understands a format of the directives that the settings list.
    ///
    /// # Errors
    /// What is wrong with it, as a fragment.
    pub(crate) fn parse(format: &str) -> Result<Self, String> {
        let mut pieces: Vec<Piece> = Vec::new();
        let mut characters = format.chars();
        while let Some(character) = characters.next() {
            if character != '%' {
                push_literal(&mut pieces, character);
                continue;
            }
            let directive = characters.next().ok_or("it ends in a lone `%`")?;
            let number = |part, most, exact| Piece::Number { part, most, exact };
            let piece = match directive {
                'Y' => number(Part::Year, 4, true),
                'y' => number(Part::YearOfCentury, 2, true),
                'q' => number(Part::Quarter, 1, true),
                'm' => number(Part::Month, 2, false),
                'd' => number(Part::Day, 2, false),
                'H' => number(Part::Hour, 2, false),
                'I' => number(Part::HourOfHalf, 2, false),
                'M' => number(Part::Minute, 2, false),
                'S' => number(Part::Second, 2, false),
                'f' => Piece::Fraction,
                'b' => Piece::ShortMonthName,
                'B' => Piece::MonthName,
                'p' => Piece::HalfOfDay,
                'z' => Piece::Offset,
                'F' => {
                    pieces.extend(Self::parse("%Y-%m-%d")?.pieces);
                    continue;
                }
                'T' => {
                    pieces.extend(Self::time_pieces());
                    continue;
                }
                '%' => {
                    push_literal(&mut pieces, '%');
                    continue;
                }
                other => return Err(format!("{} is not a directive", quoted(&format!("%{other}")))),
            };
            pieces.push(piece);
        }
        // `%Y%m%d` can only be cut where every number has its full width.
        for place in 1..pieces.len() {
            if let [
                before @ (Piece::Number { .. } | Piece::Fraction),
                after @ (Piece::Number { .. } | Piece::Fraction),
            ] = &mut pieces[place - 1..=place]
            {
                before.take_full_width();
                after.take_full_width();
            }
        }
        let format = Self { pieces };
        format.is_complete().map(|()| format)
    }

    fn time_pieces() -> Vec<Piece> {
        let number = |part| Piece::Number { part, most: 2, exact: false };
        let colon = || Piece::Literal(b":".to_vec());
        vec![number(Part::Hour), colon(), number(Part::Minute), colon(), number(Part::Second)]
    }

    fn is_complete(&self) -> Result<(), String> {
        let count = |wanted: &[Part]| {
            let is_wanted = |piece: &&Piece| matches!(piece, Piece::Number { part, .. } if wanted.contains(part));
            self.pieces.iter().filter(is_wanted).count()
        };
        let names =
            self.pieces.iter().filter(|piece| matches!(piece, Piece::MonthName | Piece::ShortMonthName)).count();
        let months = count(&[Part::Month, Part::Quarter]) + names;
        match (count(&[Part::Year, Part::YearOfCentury]), months, count(&[Part::Day])) {
            (0, ..) => Err("it has no year (`%Y`)".to_owned()),
            (1, 0, 1) => Err("it has a day and no month (`%m`)".to_owned()),
            (1, 0 | 1, 0 | 1) if count(&[Part::Quarter, Part::Day]) < 2 => Ok(()),
            (1, 0 | 1, 0 | 1) => Err("it has a day and a quarter".to_owned()),
            _ => Err("it has a part of the date more than once".to_owned()),
        }
    }

    /// Reads a date; none when the text does not fit.
    fn read(&self, mut text: &[u8]) -> Option<i32> {
        let (mut year, mut month, mut day) = (None, 1, 1);
        for piece in &self.pieces {
            match piece {
                Piece::Literal(literal) => text = text.strip_prefix(literal.as_slice())?,
                Piece::Number { part, most, exact } => {
                    let (number, rest) = number(text, *most, *exact)?;
                    text = rest;
                    let fits = match part {
                        Part::Year => year.replace(number).is_none(),
                        Part::YearOfCentury => year.replace(number + if number >= 69 { 1900 } else { 2000 }).is_none(),
                        Part::Quarter => {
                            month = number * 3 - 2;
                            (1..=4).contains(&number)
                        }
                        Part::Month => {
                            month = number;
                            true
                        }
                        Part::Day => {
                            day = number;
                            true
                        }
                        Part::Hour => number < 24,
                        Part::HourOfHalf => (1..=12).contains(&number),
                        Part::Minute => number < 60,
                        // A leap second may be written.
                        Part::Second => number <= 60,
                    };
                    if !fits {
                        return None;
                    }
                }
                Piece::MonthName => (month, text) = month_name(text, |name| name)?,
                Piece::ShortMonthName => (month, text) = month_name(text, |name| &name[..3])?,
                Piece::Fraction => text = fraction(text)?,
                Piece::HalfOfDay => {
                    let (half, rest) = text.split_at_checked(2)?;
                    if !half.eq_ignore_ascii_case(b"AM") && !half.eq_ignore_ascii_case(b"PM") {
                        return None;
                    }
                    text = rest;
                }
                Piece::Offset => text = offset(text)?,
            }
        }
        if !text.is_empty() {
            return None;
        }
        calendar::days(year?, month, day)
    }
}

fn push_literal(pieces: &mut Vec<Piece>, character: char) {
    let mut encoded = [0; 4];
    let bytes = character.encode_utf8(&mut encoded).as_bytes();
    match pieces.last_mut() {
        Some(Piece::Literal(literal)) => literal.extend_from_slice(bytes),
        _ => pieces.push(Piece::Literal(bytes.to_vec())),
    }
}

/// Takes a number of one to `most` digits, as many as there are.
fn number(text: &[u8], most: usize, exact: bool) -> Option<(i32, &[u8])> {
    let digits = text.iter().take(most).take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 || (exact && digits < most) {
        return None;
    }
    let (digits, rest) = text.split_at(digits);
    Some((digits.iter().fold(0, |number, digit| number * 10 + i32::from(digit - b'0')), rest))
}

fn month_name(text: &[u8], form: impl Fn(&'static str) -> &'static str) -> Option<(i32, &[u8])> {
    MONTHS.iter().zip(1..).find_map(|(name, month)| {
        let (head, rest) = text.split_at_checked(form(name).len())?;
        head.eq_ignore_ascii_case(form(name).as_bytes()).then_some((month, rest))
    })
}

fn fraction(text: &[u8]) -> Option<&[u8]> {
    let digits = text.iter().take(9).take_while(|byte| byte.is_ascii_digit()).count();
    (digits > 0).then(|| &text[digits..])
}

fn offset(text: &[u8]) -> Option<&[u8]> {
    let rest = match text {
        [b'Z' | b'z', rest @ ..] => return Some(rest),
        [b'+' | b'-', rest @ ..] => rest,
        _ => return None,
    };
    let (hours, rest) = number(rest, 2, true)?;
    let minutes = rest.strip_prefix(b":").unwrap_or(rest);
    match number(minutes, 2, true) {
        Some((minutes, rest)) => (hours < 24 && minutes < 60).then_some(rest),
        None => (hours < 24 && minutes.len() == rest.len()).then_some(rest),
    }
}

/// Reads an ISO 8601 date, `2024-10-15`, with or without a time of day after `T` or a blank and an offset after that.
#[inline]
pub(crate) fn iso(text: &[u8]) -> Option<i32> {
    let (date, time) = text.split_first_chunk::<10>()?;
    let digit = |place: usize| {
        let digit = date[place].wrapping_sub(b'0');
        (digit < 10).then_some(i32::from(digit))
    };
    if date[4] != b'-' || date[7] != b'-' {
        return None;
    }
    let year = digit(0)? * 1000 + digit(1)? * 100 + digit(2)? * 10 + digit(3)?;
    let month = digit(5)? * 10 + digit(6)?;
    let day = digit(8)? * 10 + digit(9)?;
    if !time.is_empty() {
        iso_time(time)?;
    }
    calendar::days(year, month, day)
}

/// ` hh:mm`, `hh:mm:ss` or `hh:mm:ss.f`, then perhaps an offset.
#[cold]
fn iso_time(text: &[u8]) -> Option<()> {
    let text = match text {
        [b'T' | b't' | b' ', rest @ ..] => rest,
        _ => return None,
    };
    let (hour, text) = number(text, 2, true)?;
    let (minute, mut text) = number(text.strip_prefix(b":")?, 2, true)?;
    let mut second = 0;
    if let Some(rest) = text.strip_prefix(b":") {
        (second, text) = number(rest, 2, true)?;
        if let [b'.' | b',', rest @ ..] = text {
            text = fraction(rest)?;
        }
    }
    if !text.is_empty() {
        text = offset(text)?;
    }
    // The end of a day may be written 24:00.
    let fits = (hour < 24 && minute < 60 && second <= 60) || (hour, minute, second) == (24, 0, 0);
    (text.is_empty() && fits).then_some(())
}

/// The date that a text holds in the first of `formats` that fits it; ISO 8601 when there is none.
#[inline]
pub(crate) fn date(text: &[u8], formats: &[DateFormat]) -> Option<i32> {
    if formats.is_empty() { iso(text) } else { formats.iter().find_map(|format| format.read(text)) }
}

#[cfg(test)]
mod tests;
