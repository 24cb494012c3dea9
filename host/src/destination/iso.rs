//! Dates and times as ISO 8601 text, without an allocation.

/// The text of one date or time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Iso {
    bytes: [u8; 32],
    length: usize,
}

impl Iso {
    /// `YYYY-MM-DD` of a count of days since 1970-01-01, by the proleptic Gregorian calendar. Years before 0 or after
    /// 9999 have a sign and at least six digits, as ISO 8601 has them.
    pub(super) fn date(days: i32) -> Self {
        let mut text = Self::empty();
        text.push_date(i64::from(days));
        text
    }

    /// `YYYY-MM-DDThh:mm:ssZ` of microseconds since 1970-01-01T00:00:00Z, with six more digits unless they are zeros.
    pub(super) fn timestamp(microseconds: i64) -> Self {
        const DAY: i64 = 86_400_000_000;
        let mut text = Self::empty();
        text.push_date(microseconds.div_euclid(DAY));
        let of_day = microseconds.rem_euclid(DAY);
        let (seconds, fraction) = ((of_day / 1_000_000) as u32, (of_day % 1_000_000) as u32);
        text.push(b'T');
        text.push_two(seconds / 3_600);
        text.push(b':');
        text.push_two(seconds / 60 % 60);
        text.push(b':');
        text.push_two(seconds % 60);
        if fraction != 0 {
            text.push(b'.');
            text.push_two(fraction / 10_000);
            text.push_two(fraction / 100 % 100);
            text.push_two(fraction % 100);
        }
        text.push(b'Z');
        text
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    pub(super) fn as_str(&self) -> &str {
        // Digits and signs, always.
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    fn empty() -> Self {
        Self { bytes: [0; 32], length: 0 }
    }

    /// 31 bytes at most: a microsecond's year has six digits at most, and a day's without a time seven.
    fn push(&mut self, byte: u8) {
        self.bytes[self.length] = byte;
        self.length += 1;
    }

    /// Two digits of a number from 0 to 99.
    fn push_two(&mut self, number: u32) {
        self.push(b'0' + (number / 10) as u8);
        self.push(b'0' + (number % 10) as u8);
    }

    fn push_date(&mut self, days: i64) {
        // Counted from 0000-03-01, so that the leap day is the last of its year and every 400 years are alike.
        let days = days + 719_468;
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097) as u32;
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        let year = i64::from(year_of_era) + era * 400 + i64::from(month <= 2);
        let size = year.unsigned_abs() as u32;
        if (0..10_000).contains(&year) {
            self.push_two(size / 100);
        } else {
            self.push(if year < 0 { b'-' } else { b'+' });
            if size >= 1_000_000 {
                self.push(b'0' + (size / 1_000_000) as u8);
            }
            self.push_two(size / 10_000 % 100);
            self.push_two(size / 100 % 100);
        }
        self.push_two(size % 100);
        self.push(b'-');
        self.push_two(month);
        self.push(b'-');
        self.push_two(day);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against the calendar of another library, over leap years, centuries and signs.
    #[test]
    fn dates_are_those_of_the_calendar() {
        let first = jiff::civil::date(1970, 1, 1);
        for days in (-719_528..2_932_897).step_by(97).chain([-719_528, -1, 0, 1, 11_016, 2_932_896]) {
            let expected = first.checked_add(jiff::Span::new().days(days)).unwrap().to_string();
            assert_eq!(Iso::date(days).as_str(), expected);
        }
        assert_eq!(Iso::date(i32::MAX).as_str(), "+5881580-07-11");
        assert_eq!(Iso::date(i32::MIN).as_str(), "-5877641-06-23");
        assert_eq!(Iso::date(-719_529).as_str(), "-000001-12-31");
        assert_eq!(Iso::date(2_932_897).as_str(), "+010000-01-01");
    }

    #[test]
    fn times_have_as_many_digits_as_they_need() {
        assert_eq!(Iso::timestamp(0).as_str(), "1970-01-01T00:00:00Z");
        assert_eq!(Iso::timestamp(-1).as_str(), "1969-12-31T23:59:59.999999Z");
        assert_eq!(Iso::timestamp(1_728_000_000_001_500).as_str(), "2024-10-04T00:00:00.001500Z");
        assert_eq!(Iso::timestamp(i64::MAX).as_str(), "+294247-01-10T04:00:54.775807Z");
        assert_eq!(Iso::timestamp(i64::MIN).as_str(), "-290308-12-21T19:59:05.224192Z");
    }
}
