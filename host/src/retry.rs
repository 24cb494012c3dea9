//! What happens after a failure: which class it is of, and what that class asks for.
//!
//! Pure: no clock, no source of randomness, no knowledge of what is retried. The caller hands in how often it has tried
//! and a random number, and gets a [`Step`].
//!
//! Every class either belongs to one object (retried with growing pauses, then quarantined: visible and replayable) or
//! to the integration's surroundings (the pass stops and the object keeps the state it had). Nothing that failed is
//! forgotten, but for [`ErrorClass::Gone`] and [`ErrorClass::Changed`], where the version listed no longer exists.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Whose fault a failure is, as far as it decides what happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorClass {
    /// The key was deleted since it was listed.
    Gone,
    /// The key holds another version than the one listed; the next pass sees it.
    Changed,
    /// The credentials may not read this.
    Denied,
    /// The credentials may read the object but not decrypt it, or its key is disabled.
    Kms,
    /// The object is in an archive tier and must be restored first.
    Archived,
    /// The server asks for fewer requests.
    Throttled,
    /// Our clock and the server's are too far apart.
    Skewed,
    /// The server could not be reached, did not answer in time, or broke off.
    Network,
    /// The bytes that arrived are not the bytes that were stored.
    Corrupt,
    /// The connection itself is wrong: credentials, region, bucket or endpoint.
    Connection,
    /// No room for the local copy.
    Space,
    /// The object alone is larger than the local copies may become together.
    TooLarge,
    /// The file's fault.
    Content,
    /// The mapper's fault.
    Mapper,
    /// None of the file's rows matched an account; another file may bring the accounts (R7).
    NoAccountMatched,
    /// More of the file's rows matched no account than the integration allows (R11).
    TooManyUnmatched,
    /// Mended rows of an object of which nothing was merged yet (R10).
    OriginNotTaken,
    /// The destination's fault.
    Destination,
    /// Ours.
    Ours,
}

impl ErrorClass {
    /// All classes.
    pub const ALL: [Self; 19] = [
        Self::Gone,
        Self::Changed,
        Self::Denied,
        Self::Kms,
        Self::Archived,
        Self::Throttled,
        Self::Skewed,
        Self::Network,
        Self::Corrupt,
        Self::Connection,
        Self::Space,
        Self::TooLarge,
        Self::Content,
        Self::Mapper,
        Self::NoAccountMatched,
        Self::TooManyUnmatched,
        Self::OriginNotTaken,
        Self::Destination,
        Self::Ours,
    ];

    /// The stable name, as in logs, metrics and the ledger.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Changed => "changed",
            Self::Denied => "denied",
            Self::Kms => "kms",
            Self::Archived => "archived",
            Self::Throttled => "throttled",
            Self::Skewed => "skewed",
            Self::Network => "network",
            Self::Corrupt => "corrupt",
            Self::Connection => "connection",
            Self::Space => "space",
            Self::TooLarge => "too_large",
            Self::Content => "content",
            Self::Mapper => "mapper",
            Self::NoAccountMatched => "no_account_matched",
            Self::TooManyUnmatched => "too_many_unmatched",
            Self::OriginNotTaken => "origin_not_taken",
            Self::Destination => "destination",
            Self::Ours => "ours",
        }
    }
}

impl fmt::Display for ErrorClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What to do about a failed object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Record nothing against this version: it no longer exists.
    Forget,
    /// Record the failure, and try this object again no sooner than after this pause.
    Retry {
        /// The pause.
        after: Duration,
    },
    /// Record the object as quarantined: visible, and taken again only by a replay or a new mapping digest (R6).
    Quarantine,
    /// Record nothing against the object and end this integration's pass; the schedule tries again. What is wrong is
    /// not the object's doing, and every other object would meet it too.
    Stop,
}

/// How one class is treated.
#[derive(Debug, Clone, Copy)]
enum Policy {
    Forget,
    Stop,
    Quarantine,
    /// Pauses double from `first` to at most `longest`. After `attempts` failures the object is quarantined; none means
    /// that no count ends it, because waiting is all that is needed.
    Retry {
        first: Duration,
        longest: Duration,
        attempts: Option<u32>,
    },
}

const SECOND: u64 = 1;
const MINUTE: u64 = 60;
const HOUR: u64 = 3_600;

const fn retry(first: u64, longest: u64, attempts: Option<u32>) -> Policy {
    Policy::Retry { first: Duration::from_secs(first), longest: Duration::from_secs(longest), attempts }
}

/// The table. Where someone must act first (a policy, a key, a destination), the counts give them about a day before
/// the object needs a replay; where the cause passes by itself, no count ends the attempts.
const fn policy(class: ErrorClass) -> Policy {
    match class {
        ErrorClass::Gone | ErrorClass::Changed => Policy::Forget,
        ErrorClass::Skewed | ErrorClass::Connection | ErrorClass::Space => Policy::Stop,
        ErrorClass::Content | ErrorClass::Mapper | ErrorClass::TooManyUnmatched => Policy::Quarantine,
        ErrorClass::Denied | ErrorClass::Kms | ErrorClass::NoAccountMatched | ErrorClass::OriginNotTaken => {
            retry(MINUTE, HOUR, Some(30))
        }
        // Taken by itself once the limit is raised; the other files do not wait for that.
        ErrorClass::TooLarge => retry(MINUTE, HOUR, None),
        ErrorClass::Archived => retry(HOUR, 24 * HOUR, None),
        ErrorClass::Throttled => retry(5 * SECOND, 10 * MINUTE, None),
        ErrorClass::Network => retry(SECOND, 10 * MINUTE, None),
        ErrorClass::Corrupt => retry(SECOND, 5 * MINUTE, Some(5)),
        ErrorClass::Destination => retry(SECOND, 15 * MINUTE, Some(100)),
        ErrorClass::Ours => retry(10 * SECOND, 5 * MINUTE, Some(3)),
    }
}

/// What to do after the `attempts`-th failure in a row of one object.
///
/// - `attempts` counts the failure just seen, so it is at least 1; 0 is read as 1.
/// - `random` is uniform in 0 to 1 and spreads the pause over its upper half, so that objects which failed together do
///   not come back together. A number outside that range is clamped.
pub fn next_step(class: ErrorClass, attempts: u32, random: f64) -> Step {
    match policy(class) {
        Policy::Forget => Step::Forget,
        Policy::Stop => Step::Stop,
        Policy::Quarantine => Step::Quarantine,
        Policy::Retry { attempts: Some(most), .. } if attempts >= most => Step::Quarantine,
        Policy::Retry { first, longest, .. } => Step::Retry { after: pause(first, longest, attempts, random) },
    }
}

fn pause(first: Duration, longest: Duration, attempts: u32, random: f64) -> Duration {
    let doublings = attempts.saturating_sub(1).min(31);
    let full = first.saturating_mul(1 << doublings).min(longest);
    let spread = if random.is_finite() { random.clamp(0.0, 1.0) } else { 0.5 };
    full.mul_f64(0.5 + spread / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_pause(class: ErrorClass, attempts: u32, random: f64, milliseconds: u64) {
        let expected = Step::Retry { after: Duration::from_millis(milliseconds) };
        assert_eq!(next_step(class, attempts, random), expected, "{class} after {attempts}");
    }

    #[test]
    fn pauses_double_up_to_their_longest() {
        for (attempts, milliseconds) in
            [(0, 1_000), (1, 1_000), (2, 2_000), (3, 4_000), (10, 512_000), (11, 600_000), (u32::MAX, 600_000)]
        {
            check_pause(ErrorClass::Network, attempts, 1.0, milliseconds);
        }
        check_pause(ErrorClass::Archived, 1, 1.0, 3_600_000);
        check_pause(ErrorClass::Archived, 40, 1.0, 86_400_000);
    }

    #[test]
    fn randomness_spreads_the_upper_half_of_a_pause() {
        for (random, milliseconds) in
            [(0.0, 2_000), (0.5, 3_000), (1.0, 4_000), (-7.0, 2_000), (7.0, 4_000), (f64::NAN, 3_000)]
        {
            check_pause(ErrorClass::Network, 3, random, milliseconds);
        }
    }

    #[test]
    fn each_class_ends_as_the_table_says() {
        let ends = |class| (1..=1_000).find(|&attempts| !matches!(next_step(class, attempts, 0.5), Step::Retry { .. }));
        let table = [
            (ErrorClass::Gone, Some((1, Step::Forget))),
            (ErrorClass::Changed, Some((1, Step::Forget))),
            (ErrorClass::Denied, Some((30, Step::Quarantine))),
            (ErrorClass::Kms, Some((30, Step::Quarantine))),
            (ErrorClass::Archived, None),
            (ErrorClass::Throttled, None),
            (ErrorClass::Skewed, Some((1, Step::Stop))),
            (ErrorClass::Network, None),
            (ErrorClass::Corrupt, Some((5, Step::Quarantine))),
            (ErrorClass::Connection, Some((1, Step::Stop))),
            (ErrorClass::Space, Some((1, Step::Stop))),
            (ErrorClass::TooLarge, None),
            (ErrorClass::Content, Some((1, Step::Quarantine))),
            (ErrorClass::Mapper, Some((1, Step::Quarantine))),
            (ErrorClass::NoAccountMatched, Some((30, Step::Quarantine))),
            (ErrorClass::TooManyUnmatched, Some((1, Step::Quarantine))),
            (ErrorClass::OriginNotTaken, Some((30, Step::Quarantine))),
            (ErrorClass::Destination, Some((100, Step::Quarantine))),
            (ErrorClass::Ours, Some((3, Step::Quarantine))),
        ];
        assert_eq!(table.map(|(class, _)| class), ErrorClass::ALL);
        for (class, expected) in table {
            let found = ends(class).map(|attempts| (attempts, next_step(class, attempts, 0.5)));
            assert_eq!(found, expected, "{class}");
        }
    }

    #[test]
    fn a_denial_leaves_about_a_day_to_mend_the_policy() {
        let waited: Duration = (1..30)
            .map(|attempts| match next_step(ErrorClass::Denied, attempts, 0.5) {
                Step::Retry { after } => after,
                other => panic!("{other:?}"),
            })
            .sum();
        assert!((Duration::from_secs(16 * HOUR)..Duration::from_secs(30 * HOUR)).contains(&waited), "{waited:?}");
    }

    #[test]
    fn names_are_those_that_are_stored() {
        for class in ErrorClass::ALL {
            assert_eq!(serde_json::to_string(&class).unwrap(), format!("\"{class}\""));
        }
    }
}
