//! Which of the listed objects an integration wants.
//!
//! It says nothing of what became of them: an object that is not wanted now may be wanted later, by a change of the
//! configuration or by getting older.

use std::fmt;
use std::time::Duration;

use globset::{GlobBuilder, GlobMatcher};
use jiff::{SignedDuration, Timestamp};
use serde::{Serialize, Serializer};

use crate::object::{Object, ObjectKey};

/// What an object must be like. The default wants all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Wanted {
    /// Keys, one of which must fit; all keys where there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<KeyPattern>,
    /// Keys that are left out all the same.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<KeyPattern>,
    /// For how long an object must not have changed.
    #[serde(
        skip_serializing_if = "Duration::is_zero",
        with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required"
    )]
    pub min_age: Duration,
    /// When it must have changed, at the earliest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modified_since: Option<Timestamp>,
    /// How many bytes it may have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_size: Option<u64>,
}

/// Why an object is not wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unwanted {
    /// No pattern of `include` fits its key.
    NotIncluded,
    /// A pattern of `exclude` fits its key.
    Excluded,
    /// It changed too long ago.
    TooOld,
    /// It changed just now.
    TooYoung,
    /// It has too many bytes.
    TooLarge,
}

impl Wanted {
    /// Whether it leaves nothing out.
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }

    /// Why the object is not wanted, if it is not.
    pub fn refuses(&self, object: &Object, now: Timestamp) -> Option<Unwanted> {
        let age = now.duration_since(object.last_modified);
        let min_age = SignedDuration::try_from(self.min_age).unwrap_or(SignedDuration::MAX);
        let reasons = [
            (self.modified_since.is_some_and(|since| object.last_modified < since), Unwanted::TooOld),
            // A server whose clock is ahead of ours must not wait for ever, nor a file without a limit at all.
            (!self.min_age.is_zero() && age < min_age, Unwanted::TooYoung),
            (self.max_size.is_some_and(|most| object.size > most), Unwanted::TooLarge),
        ];
        self.refuses_key(&object.key)
            .or_else(|| reasons.into_iter().find_map(|(refuses, reason)| refuses.then_some(reason)))
    }

    /// Why no object of this key is wanted, if none is.
    pub fn refuses_key(&self, key: &ObjectKey) -> Option<Unwanted> {
        let fits = |patterns: &[KeyPattern]| patterns.iter().any(|pattern| pattern.fits(key.as_str()));
        if !self.include.is_empty() && !fits(&self.include) {
            Some(Unwanted::NotIncluded)
        } else if fits(&self.exclude) {
            Some(Unwanted::Excluded)
        } else {
            None
        }
    }
}

/// A pattern for keys. `*`, `?` and `[…]` stand for anything but `/`, `**` for any number of folders, `{a,b}` for either.
/// One without `/` is held against the key's last part, any other against the whole key.
#[derive(Clone)]
pub struct KeyPattern(GlobMatcher);

impl KeyPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with it, as a lower-case fragment.
    pub fn new(pattern: &str) -> Result<Self, String> {
        let glob = GlobBuilder::new(pattern).literal_separator(true).backslash_escape(true).build();
        glob.map(|glob| Self(glob.compile_matcher())).map_err(|error| error.kind().to_string())
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        self.0.glob().glob()
    }

    fn fits(&self, key: &str) -> bool {
        let name = key.rsplit('/').next().unwrap_or(key);
        self.0.is_match(if self.as_str().contains('/') { key } else { name })
    }
}

impl PartialEq for KeyPattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for KeyPattern {}

impl fmt::Debug for KeyPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl Serialize for KeyPattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(include: &[&str], exclude: &[&str]) -> Wanted {
        let patterns = |texts: &[&str]| texts.iter().map(|text| KeyPattern::new(text).unwrap()).collect();
        Wanted { include: patterns(include), exclude: patterns(exclude), ..Wanted::default() }
    }

    fn refused(wanted: &Wanted, key: &str) -> Option<Unwanted> {
        wanted.refuses_key(&key.parse().unwrap())
    }

    #[test]
    fn a_pattern_without_a_slash_is_held_against_the_last_part_of_the_key() {
        let wanted = wanted(&["usage-*.csv"], &[]);
        assert_eq!(refused(&wanted, "usage-1.csv"), None);
        assert_eq!(refused(&wanted, "daily/2026/usage-1.csv"), None);
        assert_eq!(refused(&wanted, "daily/usage-1/b.csv"), Some(Unwanted::NotIncluded));
    }

    #[test]
    fn any_other_pattern_is_held_against_the_whole_key() {
        let wanted = wanted(&["daily/*/[a-c]?.csv", "other/**/*.{csv,xlsx}"], &["**/tmp/**", "other/b.csv"]);
        assert_eq!(refused(&wanted, "daily/1/a1.csv"), None);
        assert_eq!(refused(&wanted, "daily/1/2/a1.csv"), Some(Unwanted::NotIncluded), "`*` crosses no `/`");
        assert_eq!(refused(&wanted, "x/daily/1/a1.csv"), Some(Unwanted::NotIncluded));
        assert_eq!(refused(&wanted, "other/a.csv"), None, "`**` is no folder, or several");
        assert_eq!(refused(&wanted, "other/1/2/a.xlsx"), None);
        assert_eq!(refused(&wanted, "other/1/tmp/a.xlsx"), Some(Unwanted::Excluded));
        assert_eq!(refused(&wanted, "other/b.csv"), Some(Unwanted::Excluded));
    }

    #[test]
    fn age_and_size_have_limits_that_are_included() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let object = |size, second| Object {
            connection: "main".parse().unwrap(),
            bucket: "exports".parse().unwrap(),
            key: "a.csv".parse().unwrap(),
            etag: "1".parse().unwrap(),
            size,
            last_modified: at(second),
        };
        let wanted = Wanted {
            min_age: Duration::from_secs(60),
            modified_since: Some(at(1_000)),
            max_size: Some(10),
            ..Wanted::default()
        };
        assert_eq!(wanted.refuses(&object(10, 1_000), at(1_060)), None);
        assert_eq!(wanted.refuses(&object(11, 1_000), at(1_060)), Some(Unwanted::TooLarge));
        assert_eq!(wanted.refuses(&object(10, 999), at(1_060)), Some(Unwanted::TooOld));
        assert_eq!(wanted.refuses(&object(10, 1_001), at(1_060)), Some(Unwanted::TooYoung));
        assert_eq!(Wanted::default().refuses(&object(10, 5_000), at(1_060)), None, "the server's clock is ahead");
    }

    #[test]
    fn what_is_wrong_with_a_pattern_is_said() {
        assert_eq!(KeyPattern::new("a[").unwrap_err(), "unclosed character class; missing ']'");
    }
}
