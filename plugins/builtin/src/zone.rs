//! One time zone: how many seconds local time is ahead of UTC, and since when.
//!
//! The mapper has no database of time zones; the host hands over the offsets of the one that it needs. That keeps the
//! component small, and makes both agree on every zone's rules.

use std::sync::Arc;

/// The offsets of a time zone. UTC where there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Zone {
    /// From which second of UTC on, and how many seconds are added. Rising; the first holds before, too.
    changes: Arc<[(i64, i32)]>,
}

/// No clock is set further ahead or behind.
const MOST: i32 = 26 * 3600;

impl Zone {
    /// # Errors
    /// What is wrong, as a fragment.
    pub(crate) fn new(changes: &[(i64, i32)]) -> Result<Self, String> {
        if !changes.is_sorted_by(|earlier, later| earlier.0 < later.0) {
            return Err("its moments do not rise".to_owned());
        }
        match changes.iter().find(|(_, offset)| offset.unsigned_abs() > MOST.unsigned_abs()) {
            Some((_, offset)) => Err(format!("an offset of {offset} seconds is none")),
            None => Ok(Self { changes: changes.into() }),
        }
    }

    /// Seconds that local time is ahead at a moment.
    pub(crate) fn offset_at(&self, second: i64) -> i64 {
        let since = self.changes.partition_point(|(from, _)| *from <= second);
        self.changes.get(since.saturating_sub(1)).map_or(0, |(_, offset)| i64::from(*offset))
    }

    /// The local day of a moment in microseconds. Any 64 bits of them are some 10^8 days.
    pub(crate) fn day_at(&self, microsecond: i64) -> i32 {
        let second = microsecond.div_euclid(1_000_000);
        (second + self.offset_at(second)).div_euclid(86_400) as i32
    }

    /// The moment of a local time; the first of two, none where the clock never showed it.
    pub(crate) fn moment(&self, local: i64) -> Option<i64> {
        if self.changes.is_empty() {
            return Some(local);
        }
        // An offset is less than two days, and so is the way from the place where the local time would stand in UTC.
        let two_days = 2 * 86_400;
        let first = self.changes.partition_point(|(from, _)| *from <= local - two_days).saturating_sub(1);
        self.changes[first..]
            .iter()
            .enumerate()
            .take_while(|(place, (from, _))| *place == 0 || *from <= local + two_days)
            .find_map(|(place, (from, offset))| {
                let place = place + first;
                let moment = local - i64::from(*offset);
                let begun = place == 0 || *from <= moment;
                let ended = self.changes.get(place + 1).is_some_and(|(next, _)| *next <= moment);
                (begun && !ended).then_some(moment)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_times_are_moments_but_for_the_hour_that_a_clock_skips() {
        // Central Europe in 2024: summer time from 1711846800 (01:00 UTC) to 1729990800 (01:00 UTC).
        let zone = Zone::new(&[(0, 3600), (1_711_846_800, 7200), (1_729_990_800, 3600)]).unwrap();
        let local = |day: i64, hour: i64, minute: i64| day * 86_400 + hour * 3600 + minute * 60;
        let (march_31, october_27) = (19_813, 20_023);
        assert_eq!(zone.moment(local(march_31, 1, 59)), Some(local(march_31, 0, 59)));
        assert_eq!(zone.moment(local(march_31, 2, 0)), None);
        assert_eq!(zone.moment(local(march_31, 2, 59)), None);
        assert_eq!(zone.moment(local(march_31, 3, 0)), Some(local(march_31, 1, 0)));
        assert_eq!(zone.moment(local(october_27, 2, 30)), Some(local(october_27, 0, 30)), "the first of two");
        assert_eq!(zone.moment(local(october_27, 3, 0)), Some(local(october_27, 2, 0)));
        assert_eq!(zone.moment(-1), Some(-3601), "before the first change");
        assert_eq!((zone.offset_at(-1), zone.offset_at(1_711_846_800), zone.offset_at(i64::MAX)), (3600, 7200, 3600));
        let midnight = local(march_31, 0, 0) * 1_000_000;
        assert_eq!([midnight - 3_600_000_001, midnight - 3_600_000_000].map(|at| zone.day_at(at)), [19_812, 19_813]);
        assert_eq!([i64::MIN, i64::MAX].map(|at| zone.day_at(at)), [-106_751_992, 106_751_991]);
        let utc = Zone::default();
        assert_eq!((utc.moment(5), utc.offset_at(5)), (Some(5), 0));
    }

    #[test]
    fn offsets_that_make_no_zone_are_refused() {
        assert!(Zone::new(&[(5, 0), (5, 1)]).is_err());
        assert!(Zone::new(&[(0, 100_000)]).is_err());
    }
}
