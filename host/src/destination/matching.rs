//! How identifiers become accounts: what an integration may ask for.

use serde::{Deserialize, Serialize};

use crate::object::Share;

/// How identifiers become accounts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Matching {
    /// What happens to a record whose identifiers match no account.
    pub on_no_match: OnNoMatch,
    /// What happens to a record whose identifiers match several accounts.
    pub on_multiple: OnMultiple,
    /// What happens to a record whose strategies match different accounts.
    pub conflict: Conflict,
    /// When two names are the same.
    pub name_match: NameMatch,
    /// Of an object's rows at most such a share may match no account, else none of it is merged (R11).
    pub max_unmatched: Option<Share>,
}

impl Matching {
    /// The limit that an object's unmatched rows exceed, as a sentence's end.
    pub fn exceeded_by(&self, unmatched: u64, read: u64) -> Option<String> {
        let limit = self.max_unmatched.filter(|share| share.is_exceeded_by(unmatched, read));
        limit.map(|share| format!("`max_unmatched_ratio` is {share}"))
    }
}

/// What happens to a record whose identifiers match no account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnNoMatch {
    /// The record is left out and counted.
    #[default]
    Skip,
    /// The account is created with these identifiers.
    Create,
    /// The file fails.
    Error,
}

/// What happens to a record whose identifiers match several accounts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnMultiple {
    /// The record is left out and counted.
    #[default]
    Skip,
    /// It goes to the account that was there first.
    First,
    /// It goes to all of them.
    All,
    /// The file fails.
    Error,
}

/// What happens to a record whose strategies match different accounts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conflict {
    /// The first strategy that matches counts.
    #[default]
    First,
    /// The record is left out and counted.
    Skip,
    /// The file fails.
    Error,
}

/// When two names are the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NameMatch {
    /// When they are the same text.
    #[default]
    Exact,
    /// When capital letters, accents, punctuation and blanks alone tell them apart.
    Normalized,
    /// When they are similar, and no other is about as similar.
    Fuzzy {
        /// How similar the best must be.
        threshold: Share,
        /// How far behind the next must be.
        margin: Share,
    },
}
