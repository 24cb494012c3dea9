//! The proleptic Gregorian calendar over days since 1970-01-01, and the periods of usage.
//!
//! Pure arithmetic: no clock, no time zone. Years are 1 to 9999, so that no sum overflows.

use crate::settings::{Period, Weekday};

/// The day of a date; none when there is no such date.
#[inline]
pub(crate) fn days(year: i32, month: i32, day: i32) -> Option<i32> {
    if !(1..=9999).contains(&year) || !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
        return None;
    }
    Some(first_of_month(year, month) + day - 1)
}

/// Whether a day lies in the years 1 to 9999, as every day must that is given to this module.
pub(crate) fn is_day(day: i32) -> bool {
    (first_of_month(1, 1)..first_of_month(10_000, 1)).contains(&day)
}

fn days_in_month(year: i32, month: i32) -> i32 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Counts from March, so that the leap day is a year's last.
#[inline]
fn first_of_month(year: i32, month: i32) -> i32 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + (153 * month + 2) / 5 - 719_468
}

/// Year and month of a day.
fn year_and_month(day: i32) -> (i32, i32) {
    let day = day + 719_468;
    let (era, day_of_era) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let year = era * 400 + year_of_era + i32::from(month >= 10);
    (year, if month < 10 { month + 3 } else { month - 9 })
}

/// The first day of the period that a day lies in. A point is its own.
pub(crate) fn period_start(day: i32, period: Period, week_start: Weekday) -> i32 {
    match period {
        Period::Single | Period::Daily => day,
        Period::Weekly => {
            // 1970-01-01 was a Thursday, three days after a Monday.
            let since = day + 3 - week_start as i32;
            day - since.rem_euclid(7)
        }
        Period::Monthly => {
            let (year, month) = year_and_month(day);
            first_of_month(year, month)
        }
        Period::Quarterly => {
            let (year, month) = year_and_month(day);
            first_of_month(year, (month - 1) / 3 * 3 + 1)
        }
        Period::Yearly => first_of_month(year_and_month(day).0, 1),
    }
}

/// The date of usage that has none of its own: today, yesterday, or the first day of the last full period before the
/// one that today lies in.
pub(crate) fn automatic_date(today: i32, period: Period, week_start: Weekday) -> i32 {
    match period {
        Period::Single => today,
        // The day before a period's first is in the last full one; before today it is yesterday.
        Period::Daily | Period::Weekly | Period::Monthly | Period::Quarterly | Period::Yearly => {
            let last_full = period_start(today, period, week_start) - 1;
            period_start(last_full, period, week_start)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> i32 {
        crate::cell::iso_date(text.as_bytes()).unwrap()
    }

    #[test]
    fn days_and_dates_are_one_to_one() {
        assert_eq!(days(1970, 1, 1), Some(0));
        assert_eq!(days(1969, 12, 31), Some(-1));
        assert_eq!(days(2000, 3, 1), Some(11_017));
        let mut expected = days(1, 1, 1).unwrap();
        for year in 1..=9999 {
            for month in 1..=12 {
                for date in 1..=days_in_month(year, month) {
                    assert_eq!(days(year, month, date), Some(expected));
                    assert_eq!(year_and_month(expected), (year, month));
                    expected += 1;
                }
                assert_eq!(days(year, month, days_in_month(year, month) + 1), None);
            }
        }
        assert_eq!(expected, 2_932_897);
    }

    fn check_period_start(period: Period, week_start: Weekday, cases: &[(&str, &str)]) {
        for (date, expected) in cases {
            assert_eq!(period_start(day(date), period, week_start), day(expected), "{period:?} {date}");
        }
    }

    /// A floor: 2024-10-15, monthly, is 2024-10-01.
    #[test]
    fn a_date_is_snapped_to_the_start_of_its_period() {
        use Weekday::{Monday, Saturday, Sunday};
        check_period_start(Period::Single, Monday, &[("2024-10-15", "2024-10-15")]);
        check_period_start(Period::Daily, Monday, &[("2024-10-15", "2024-10-15")]);
        check_period_start(
            Period::Weekly,
            Monday,
            &[
                ("2024-10-14", "2024-10-14"),
                ("2024-10-15", "2024-10-14"),
                ("2024-10-20", "2024-10-14"),
                ("2024-10-21", "2024-10-21"),
                ("2025-01-01", "2024-12-30"),
                ("2024-03-01", "2024-02-26"),
                ("1970-01-01", "1969-12-29"),
                ("1969-12-28", "1969-12-22"),
            ],
        );
        check_period_start(Period::Weekly, Sunday, &[("2024-10-19", "2024-10-13"), ("2024-10-20", "2024-10-20")]);
        check_period_start(Period::Weekly, Saturday, &[("2024-10-18", "2024-10-12"), ("2024-10-19", "2024-10-19")]);
        check_period_start(
            Period::Monthly,
            Monday,
            &[
                ("2024-10-15", "2024-10-01"),
                ("2024-10-31", "2024-10-01"),
                ("2024-02-29", "2024-02-01"),
                ("1969-12-31", "1969-12-01"),
            ],
        );
        check_period_start(
            Period::Quarterly,
            Monday,
            &[
                ("2024-01-01", "2024-01-01"),
                ("2024-03-31", "2024-01-01"),
                ("2024-04-01", "2024-04-01"),
                ("2024-09-30", "2024-07-01"),
                ("2024-12-31", "2024-10-01"),
            ],
        );
        check_period_start(Period::Yearly, Monday, &[("2024-12-31", "2024-01-01"), ("2025-01-01", "2025-01-01")]);
    }

    fn check_automatic(period: Period, cases: &[(&str, &str)]) {
        for (today, expected) in cases {
            assert_eq!(automatic_date(day(today), period, Weekday::Monday), day(expected), "{period:?} {today}");
        }
    }

    /// R8: `today` is the object's, and the rules are the source system's.
    #[test]
    fn usage_without_a_date_belongs_to_the_last_full_period() {
        check_automatic(Period::Single, &[("2024-10-15", "2024-10-15")]);
        check_automatic(Period::Daily, &[("2024-10-15", "2024-10-14"), ("2024-03-01", "2024-02-29")]);
        check_automatic(
            Period::Weekly,
            &[
                ("2024-10-14", "2024-10-07"),
                ("2024-10-15", "2024-10-07"),
                ("2024-10-20", "2024-10-07"),
                ("2024-10-21", "2024-10-14"),
                ("2025-01-05", "2024-12-23"),
            ],
        );
        check_automatic(
            Period::Monthly,
            &[("2024-10-15", "2024-09-01"), ("2024-10-01", "2024-09-01"), ("2024-01-31", "2023-12-01")],
        );
        check_automatic(
            Period::Quarterly,
            &[("2024-10-15", "2024-07-01"), ("2024-03-31", "2023-10-01"), ("2024-12-31", "2024-07-01")],
        );
        check_automatic(Period::Yearly, &[("2024-12-31", "2023-01-01"), ("2024-01-01", "2023-01-01")]);
    }
}
