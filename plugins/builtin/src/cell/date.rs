//! Dates and moments as they are written in cells: days and microseconds since 1970-01-01.
//!
//! A date counts as it is written: a time of day or an offset after it is read, so that a malformed one is noticed, and
//! dropped. No date ever shifts by a time zone. A moment is written with an offset, or is local time in the integration's
//! zone. Which format holds is stated, never guessed: formats are tried in the order given, and the whole text must fit.

use super::{number, quoted};
use crate::calendar;
use crate::zone::Zone;

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
pub(crate) enum DateFormat {
    Written(WrittenFormat),
    Number(Numbered),
}

/// A format of directives and the texts between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WrittenFormat {
    pieces: Vec<Piece>,
}

/// What a bare number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Numbered {
    EpochSeconds,
    EpochMilliseconds,
    /// Days, 1 being 1900-01-01, and 60 a day that there never was.
    Excel1900,
    /// Days since 1904-01-01.
    Excel1904,
}

impl DateFormat {
    /// Understands a format.
    ///
    /// # Errors
    /// What is wrong with it, as a fragment.
    pub(crate) fn parse(format: &str) -> Result<Self, String> {
        let counted = match format {
            "epoch_seconds" => Numbered::EpochSeconds,
            "epoch_milliseconds" => Numbered::EpochMilliseconds,
            "excel_1900" => Numbered::Excel1900,
            "excel_1904" => Numbered::Excel1904,
            _ => return WrittenFormat::parse(format).map(Self::Written),
        };
        Ok(Self::Number(counted))
    }

    /// Whether any number fits it, so that no later format that counts something is ever tried.
    pub(crate) fn is_number(&self) -> bool {
        matches!(self, Self::Number(_))
    }
}

/// A date and perhaps a time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Written {
    day: i32,
    /// Microseconds since the day began.
    time: i64,
    /// Seconds ahead of UTC.
    offset: Option<i32>,
}

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

impl Written {
    /// The moment in microseconds since 1970-01-01T00:00:00Z; none where the clock never showed it.
    fn moment(self, zone: &Zone) -> Option<i64> {
        let local = i64::from(self.day) * DAY + self.time;
        match self.offset {
            Some(offset) => Some(local - i64::from(offset) * SECOND),
            None => Some(zone.moment(local.div_euclid(SECOND))? * SECOND + local.rem_euclid(SECOND)),
        }
    }
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

impl WrittenFormat {
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

    /// Reads a date and its time of day; none when the text does not fit.
    fn read(&self, mut text: &[u8]) -> Option<Written> {
        let (mut year, mut month, mut day) = (None, 1, 1);
        let (mut hour, mut minute, mut second, mut fraction, mut half) = (0, 0, 0, 0, None);
        let mut offset = None;
        for piece in &self.pieces {
            match piece {
                Piece::Literal(literal) => text = text.strip_prefix(literal.as_slice())?,
                Piece::Number { part, most, exact } => {
                    let (number, rest) = number(text, *most, *exact)?;
                    text = rest;
                    let (into, fits) = match part {
                        Part::Year => (year.insert(0), true),
                        Part::YearOfCentury => (year.insert(if number >= 69 { 1900 } else { 2000 }), true),
                        Part::Quarter => {
                            month = number * 3 - 2;
                            if !(1..=4).contains(&number) {
                                return None;
                            }
                            continue;
                        }
                        Part::Month => (&mut month, true),
                        Part::Day => (&mut day, true),
                        Part::Hour => (&mut hour, number < 24),
                        Part::HourOfHalf => (&mut hour, (1..=12).contains(&number)),
                        Part::Minute => (&mut minute, number < 60),
                        // A leap second may be written.
                        Part::Second => (&mut second, number <= 60),
                    };
                    if !fits {
                        return None;
                    }
                    match part {
                        Part::YearOfCentury => *into += number,
                        _ => *into = number,
                    }
                }
                Piece::MonthName => (month, text) = month_name(text, |name| name)?,
                Piece::ShortMonthName => (month, text) = month_name(text, |name| &name[..3])?,
                Piece::Fraction => (fraction, text) = self::fraction(text)?,
                Piece::HalfOfDay => {
                    let (letters, rest) = text.split_at_checked(2)?;
                    half = Some(letters.eq_ignore_ascii_case(b"PM"));
                    if half == Some(false) && !letters.eq_ignore_ascii_case(b"AM") {
                        return None;
                    }
                    text = rest;
                }
                Piece::Offset => {
                    let (seconds, rest) = self::offset(text)?;
                    (offset, text) = (Some(seconds), rest);
                }
            }
        }
        if !text.is_empty() {
            return None;
        }
        if let Some(is_afternoon) = half
            && hour <= 12
        {
            hour = hour % 12 + if is_afternoon { 12 } else { 0 };
        }
        let time = i64::from(hour * 3600 + minute * 60 + second) * SECOND + fraction;
        Some(Written { day: calendar::days(year?, month, day)?, time, offset })
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

/// Takes one to nine digits as microseconds; what is finer is dropped.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let digits = text.iter().take(9).take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(digits);
    let kept = digits.iter().chain(std::iter::repeat(&b'0')).take(6);
    let microseconds = kept.fold(0, |number, digit| number * 10 + i64::from(digit - b'0'));
    (!digits.is_empty()).then_some((microseconds, rest))
}

/// Takes an offset as seconds ahead of UTC.
fn offset(text: &[u8]) -> Option<(i32, &[u8])> {
    let (sign, rest) = match text {
        [b'Z' | b'z', rest @ ..] => return Some((0, rest)),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let (hours, rest) = number(rest, 2, true)?;
    let after_colon = rest.strip_prefix(b":").unwrap_or(rest);
    let (minutes, rest) = match number(after_colon, 2, true) {
        Some(found) => found,
        None if after_colon.len() == rest.len() => (0, rest),
        None => return None,
    };
    (hours < 24 && minutes < 60).then_some((sign * (hours * 3600 + minutes * 60), rest))
}

/// Reads an ISO 8601 date, `2024-10-15`, with or without a time of day after `T` or a blank and an offset after that.
#[inline]
pub(crate) fn iso(text: &[u8]) -> Option<i32> {
    let (day, time) = iso_day(text)?;
    if !time.is_empty() {
        iso_time(time)?;
    }
    Some(day)
}

/// Takes a date.
#[inline]
fn iso_day(text: &[u8]) -> Option<(i32, &[u8])> {
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
    Some((calendar::days(year, month, day)?, time))
}

/// ` hh:mm`, `hh:mm:ss` or `hh:mm:ss.f`, then perhaps an offset: microseconds, and seconds ahead of UTC.
#[cold]
fn iso_time(text: &[u8]) -> Option<(i64, Option<i32>)> {
    let text = match text {
        [b'T' | b't' | b' ', rest @ ..] => rest,
        _ => return None,
    };
    let (hour, text) = number(text, 2, true)?;
    let (minute, mut text) = number(text.strip_prefix(b":")?, 2, true)?;
    let (mut second, mut microseconds) = (0, 0);
    if let Some(rest) = text.strip_prefix(b":") {
        (second, text) = number(rest, 2, true)?;
        if let [b'.' | b',', rest @ ..] = text {
            (microseconds, text) = fraction(rest)?;
        }
    }
    let mut ahead = None;
    if !text.is_empty() {
        let (seconds, rest) = offset(text)?;
        (ahead, text) = (Some(seconds), rest);
    }
    // The end of a day may be written 24:00.
    let fits = (hour < 24 && minute < 60 && second <= 60) || (hour, minute, second) == (24, 0, 0);
    let time = i64::from(hour * 3600 + minute * 60 + second) * SECOND + microseconds;
    (text.is_empty() && fits).then_some((time, ahead))
}

fn iso_written(text: &[u8]) -> Option<Written> {
    let (day, time) = iso_day(text)?;
    let (time, offset) = if time.is_empty() { (0, None) } else { iso_time(time)? };
    Some(Written { day, time, offset })
}

/// The date that a text holds in the first of `formats` that fits it; ISO 8601 when there is none, and for a date that a
/// workbook typed. A number counts what the formats say, whoever typed it.
#[inline]
pub(crate) fn date(text: &[u8], formats: &[DateFormat], typed: bool, zone: &Zone) -> Option<i32> {
    if formats.is_empty() {
        return iso(text);
    }
    if typed && let Some(day) = iso(text) {
        return Some(day);
    }
    let read = |format: &DateFormat| match format {
        DateFormat::Written(_) if typed => None,
        DateFormat::Written(written) => written.read(text).map(|written| written.day),
        DateFormat::Number(counted) => counted.local(text, zone).map(|(day, _)| day),
    };
    formats.iter().find_map(read).filter(|day| calendar::is_day(*day))
}

/// The moment that a text holds, in the same way.
pub(crate) fn moment(text: &[u8], formats: &[DateFormat], typed: bool, zone: &Zone) -> Option<i64> {
    let iso = || iso_written(text).and_then(|written| written.moment(zone));
    if formats.is_empty() {
        return iso();
    }
    if typed && let Some(moment) = iso() {
        return Some(moment);
    }
    let read = |format: &DateFormat| match format {
        DateFormat::Written(_) if typed => None,
        DateFormat::Written(written) => written.read(text)?.moment(zone),
        DateFormat::Number(counted) => counted.moment(text, zone),
    };
    formats.iter().find_map(read).filter(|moment| calendar::is_day((moment / DAY) as i32))
}

impl Numbered {
    /// The moment in microseconds.
    fn moment(self, text: &[u8], zone: &Zone) -> Option<i64> {
        match self {
            Self::EpochSeconds => number::scaled(text, 6),
            Self::EpochMilliseconds => number::scaled(text, 3),
            Self::Excel1900 | Self::Excel1904 => {
                let (day, time) = self.local(text, zone)?;
                Written { day, time, offset: None }.moment(zone)
            }
        }
    }

    /// The local day, and microseconds since it began.
    fn local(self, text: &[u8], zone: &Zone) -> Option<(i32, i64)> {
        let local = match self {
            Self::EpochSeconds | Self::EpochMilliseconds => {
                let moment = self.moment(text, zone)?;
                moment.checked_add(zone.offset_at(moment.div_euclid(SECOND)) * SECOND)?
            }
            Self::Excel1900 | Self::Excel1904 => {
                // Days with their fraction, to the millisecond that a workbook can show.
                let serial = number::scaled(text, 8)?;
                let (day, fraction) = (serial.div_euclid(100_000_000), serial.rem_euclid(100_000_000));
                let since_1970 = match (self, day) {
                    (Self::Excel1904, 0..) => day - 24_107,
                    (Self::Excel1900, 1..=59) => day - 25_568,
                    (Self::Excel1900, 61..) => day - 25_569,
                    _ => return None,
                };
                let milliseconds = (fraction * 86_400_000 + 50_000_000) / 100_000_000;
                since_1970.checked_mul(DAY)?.checked_add(milliseconds * 1000)?
            }
        };
        let day = i32::try_from(local.div_euclid(DAY)).ok()?;
        Some((day, local.rem_euclid(DAY)))
    }
}

#[cfg(test)]
mod tests;
