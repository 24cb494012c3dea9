//! Days of the Gregorian calendar.

use std::fmt;

use crate::usage::Period;

/// A day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(i32);

impl Date {
    /// A day of the calendar; none if there is no such day.
    pub fn new(year: i32, month: u32, day: u32) -> Option<Self> {
        if !(1..=9999).contains(&year) || !(1..=12).contains(&month) || day == 0 || day > days_in_month(year, month) {
            return None;
        }
        // Counted from 1 March of year 0, so that a leap day is the last of its year.
        let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
        let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let of_year = ((153 * month + 2) / 5 + day - 1) as i32;
        Some(Self(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468))
    }

    /// From a count of days since 1970-01-01.
    pub fn from_days(days: i32) -> Self {
        Self(days)
    }

    /// Days since 1970-01-01.
    pub fn days(self) -> i32 {
        self.0
    }

    /// Year, month and day.
    pub fn year_month_day(self) -> (i32, u32, u32) {
        let days = i64::from(self.0) + 719_468;
        let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let shifted = (5 * of_year + 2) / 153;
        let day = (of_year - (153 * shifted + 2) / 5 + 1) as u32;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 } as u32;
        ((year + era * 400 + i64::from(month <= 2)) as i32, month, day)
    }

    /// `YYYY-MM-DD`, with or without a time behind it.
    pub(crate) fn iso(text: &str) -> Option<Self> {
        let (date, time) = (text.get(..10)?, &text[10..]);
        if !(time.is_empty() || time.starts_with('T') || time.starts_with(' ')) {
            return None;
        }
        Self::read(date, "%Y-%m-%d")
    }

    /// By a format of `%Y`, `%y` (20..), `%m`, `%d` and literal characters. Without a day it is the first.
    pub(crate) fn read(text: &str, format: &str) -> Option<Self> {
        let mut rest = text;
        let (mut year, mut month, mut day) = (None, None, Some(1));
        let mut characters = format.chars();
        while let Some(character) = characters.next() {
            if character != '%' {
                rest = rest.strip_prefix(character)?;
                continue;
            }
            let (most, least, part) = match characters.next()? {
                'Y' => (4, 4, &mut year),
                'y' => (2, 2, &mut year),
                'm' => (2, 1, &mut month),
                'd' => (2, 1, &mut day),
                _ => return None,
            };
            let digits = rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
            if digits < least {
                return None;
            }
            let (number, after) = rest.split_at(digits);
            let number: u32 = number.parse().ok()?;
            *part = Some(if most == 2 && least == 2 { 2000 + number } else { number });
            rest = after;
        }
        let date = Self::new(i32::try_from(year?).ok()?, month?, day?)?;
        rest.is_empty().then_some(date)
    }

    /// The same day so many months later, or earlier; the month's last where it is shorter.
    #[must_use]
    pub fn plus_months(self, months: i32) -> Self {
        let (year, month, day) = self.year_month_day();
        let count = year * 12 + month as i32 - 1 + months;
        let (year, month) = (count.div_euclid(12), count.rem_euclid(12) as u32 + 1);
        Self::new(year, month, day.min(days_in_month(year, month))).unwrap_or(self)
    }

    /// So many days later, or earlier.
    #[must_use]
    pub fn plus_days(self, days: i32) -> Self {
        Self(self.0.saturating_add(days))
    }

    /// The first day of the period that it lies in: a week begins on Monday. A single day and a custom period begin with the
    /// day itself.
    #[must_use]
    pub fn start_of(self, period: &Period) -> Self {
        let (year, month, _) = self.year_month_day();
        let first = |month| Self::new(year, month, 1).unwrap_or(self);
        match period {
            Period::Single | Period::Daily | Period::Custom(_) => self,
            // 1970-01-01 was a Thursday.
            Period::Weekly => Self(self.0 - (self.0 + 3).rem_euclid(7)),
            Period::Monthly => first(month),
            Period::Quarterly => first((month - 1) / 3 * 3 + 1),
            Period::Yearly => first(1),
        }
    }
}

fn days_in_month(year: i32, month: u32) -> u32 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.year_month_day();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

/// Microseconds since 1970-01-01T00:00:00Z of `YYYY-MM-DDThh:mm[:ss[.f…]][Z|±hh:mm]`; without an offset it is UTC.
pub(crate) fn moment(text: &str) -> Option<i64> {
    let date = Date::iso(text.get(..10)?)?;
    let mut micros = i64::from(date.days()) * 86_400_000_000;
    let time = &text[10..];
    if time.is_empty() {
        return Some(micros);
    }
    let time = time.strip_prefix(['T', ' '])?;
    let (time, offset) = match time.find(['Z', 'z', '+', '-']) {
        Some(place) => time.split_at(place),
        None => (time, "Z"),
    };
    let two = |text: &str, most: i64| -> Option<i64> {
        let is_number = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        let number: i64 = is_number.then(|| text.parse().ok()).flatten()?;
        (number <= most).then_some(number)
    };
    let mut parts = time.split(':');
    let (hour, minute) = (two(parts.next()?, 23)?, two(parts.next()?, 59)?);
    micros += (hour * 3_600 + minute * 60) * 1_000_000;
    if let Some(seconds) = parts.next() {
        let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
        micros += two(whole, 59)? * 1_000_000;
        if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let digits = fraction.get(..6).unwrap_or(fraction);
        let scale = 10_i64.pow(6 - u32::try_from(digits.len()).ok()?);
        micros += if digits.is_empty() { 0 } else { digits.parse::<i64>().ok()? * scale };
    }
    if parts.next().is_some() {
        return None;
    }
    if offset.eq_ignore_ascii_case("z") {
        return Some(micros);
    }
    let sign = if offset.starts_with('+') { 1 } else { -1 };
    let (hours, minutes) = offset.get(1..)?.split_once(':')?;
    Some(micros - sign * (two(hours, 23)? * 3_600 + two(minutes, 59)? * 60) * 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_from_1970() {
        let check = |year, month, day, days| {
            let date = Date::new(year, month, day).unwrap();
            assert_eq!((date.days(), date.year_month_day()), (days, (year, month, day)));
        };
        check(1970, 1, 1, 0);
        check(2024, 10, 4, 20_000);
        check(1969, 12, 31, -1);
        check(2000, 2, 29, 11_016);
        check(1, 1, 1, -719_162);
        assert_eq!(Date::new(2023, 2, 29), None);
        assert_eq!(Date::new(1900, 2, 29), None);
    }

    #[test]
    fn dates_are_read_by_their_format_alone() {
        let check = |text: &str, format: &str, expected: Option<&str>| {
            let read = Date::read(text, format).map(|date| date.to_string());
            assert_eq!(read.as_deref(), expected, "{text}");
        };
        check("15.10.2024", "%d.%m.%Y", Some("2024-10-15"));
        check("5.1.2024", "%d.%m.%Y", Some("2024-01-05"));
        check("10/2024", "%m/%Y", Some("2024-10-01"));
        check("241015", "%y%m%d", Some("2024-10-15"));
        check("15.10.2024 ", "%d.%m.%Y", None);
        check("31.2.2024", "%d.%m.%Y", None);
        check("2024", "%Y", None);
        assert_eq!(Date::iso("2024-10-15T00:00:00").unwrap().to_string(), "2024-10-15");
        assert_eq!(Date::iso("2024-10-15x"), None);
        assert_eq!(Date::iso("2024-1-15"), None);
    }

    #[test]
    fn periods_begin_where_they_begin() {
        let date = Date::new(2024, 8, 15).unwrap();
        let check = |period, expected: &str| assert_eq!(date.start_of(&period).to_string(), expected);
        check(Period::Daily, "2024-08-15");
        check(Period::Weekly, "2024-08-12");
        check(Period::Monthly, "2024-08-01");
        check(Period::Quarterly, "2024-07-01");
        check(Period::Yearly, "2024-01-01");
        assert_eq!(Date::new(2024, 1, 31).unwrap().plus_months(1).to_string(), "2024-02-29");
        assert_eq!(Date::new(2024, 1, 31).unwrap().plus_months(-2).to_string(), "2023-11-30");
    }

    #[test]
    fn moments_are_in_utc() {
        let check = |text: &str, expected| assert_eq!(moment(text), expected, "{text}");
        check("1970-01-01", Some(0));
        check("1970-01-01T00:00:01.5Z", Some(1_500_000));
        check("1970-01-01 02:00:00+02:00", Some(0));
        check("1970-01-01T00:00-01:30", Some(5_400_000_000));
        check("1970-01-01T24:00:00Z", None);
        check("1970-01-01T00", None);
        check("1970-01-01T00:00:00:00", None);
    }
}
