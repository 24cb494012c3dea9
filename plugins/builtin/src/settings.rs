//! What an operator may write for the built-in mapper. The doc comments are the manual.
//!
//! These structs mirror the settings key by key and say nothing of what belongs together; `check` does, and makes a
//! plan of them in which every default has been filled in. So every key is optional here, even one that a mapping
//! cannot do without: that lets `check` report all that is missing at once.

mod field;
mod identifier;
mod transform;
mod usage;

use serde::Deserialize;

pub use field::{
    Boolean, DefaultOn, Field, FieldType, FilePart, FileSource, Number, OnBlank, OnInvalid, PercentSign, WriteMode,
};
pub use identifier::{Identifier, IdentifierPart, Match, Matching, Normalization, OnBlankIdentifier, RegexReplacement};
pub use transform::{Concat, LookupTable, OnMissing, Replace, Split, Transform};
pub use usage::{
    Aggregate, Date, Long, Metric, MetricType, OnUnknown, Period, Product, ProductColumn, Repeat, Usage, User, UserKey,
    Weekday,
};

/// How the columns of a table become account records and usage records.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Which account a row belongs to: strategies, tried in order. At least one, at most eight. A strategy of which a
    /// column is blank says nothing of its row.
    pub identifiers: Vec<Identifier>,
    /// What happens to rows that no strategy says anything of. A row whose mapped cells are all blank is passed over with
    /// a warning, whatever stands here.
    pub matching: Option<Matching>,
    /// Which column becomes which account field. Default: none, and then no account records are made.
    pub fields: Vec<Field>,
    /// Which columns hold how much of a product an account used. Default: none, and then no usage records are made.
    pub usage: Vec<Usage>,
    /// The offsets of the integration's time zone: from which moment (seconds since 1970-01-01T00:00:00Z) local time is
    /// how many seconds ahead, in order; the first holds for all time before as well. Written by the host, which has the
    /// zones' rules. Default: UTC.
    pub zone: Option<Vec<(i64, i32)>>,
}

/// Whether a text can be the key of a field or metric: 1 to 255 bytes without control characters or blanks at its ends.
pub(crate) fn is_key(text: &str) -> bool {
    !text.is_empty() && text.len() <= 255 && text.trim() == text && !text.chars().any(char::is_control)
}
