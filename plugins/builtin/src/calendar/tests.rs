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

const WEEKDAYS: [Weekday; 7] = [
    Weekday::Monday,
    Weekday::Tuesday,
    Weekday::Wednesday,
    Weekday::Thursday,
    Weekday::Friday,
    Weekday::Saturday,
    Weekday::Sunday,
];
const PERIODS: [Period; 5] = [Period::Daily, Period::Weekly, Period::Monthly, Period::Quarterly, Period::Yearly];

/// Whether a period begins on a day, as a calendar on the wall shows it.
fn begins(period: Period, week_start: Weekday, (month, date): (i32, i32), weekday: Weekday) -> bool {
    match period {
        Period::Single => unreachable!("a point has no beginning"),
        Period::Daily => true,
        Period::Weekly => weekday == week_start,
        Period::Monthly => date == 1,
        Period::Quarterly => date == 1 && month % 3 == 1,
        Period::Yearly => (month, date) == (1, 1),
    }
}

/// Each day from 1970 to 2100, every period and first day of the week, against a calendar that is turned day by day.
#[test]
fn every_period_agrees_with_a_calendar_turned_day_by_day() {
    for period in PERIODS {
        for week_start in WEEKDAYS {
            let (mut this, mut before) = (None, None);
            let mut today = days(1970, 1, 1).unwrap();
            // A Thursday.
            let mut weekdays = WEEKDAYS.into_iter().cycle().skip(3);
            for year in 1970..=2100 {
                for month in 1..=12 {
                    for date in 1..=days_in_month(year, month) {
                        if begins(period, week_start, (month, date), weekdays.next().unwrap()) {
                            before = this.replace(today);
                        }
                        if let Some(this) = this {
                            assert_eq!(period_start(today, period, week_start), this, "{period:?} {today}");
                        }
                        if let Some(before) = before {
                            assert_eq!(automatic_date(today, period, week_start), before, "{period:?} {today}");
                        }
                        today += 1;
                    }
                }
            }
        }
    }
}
