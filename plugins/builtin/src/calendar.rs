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
mod tests;
