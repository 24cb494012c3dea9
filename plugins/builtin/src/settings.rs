//! What an operator may write for the built-in mapper. The doc comments are the manual.
//!
//! These structs mirror the settings key by key and say nothing of what belongs together; `check` does, and makes a
//! plan of them in which every default has been filled in. So every key is optional here, even one that a mapping
//! cannot do without: that lets `check` report all that is missing at once.

mod identifier;

use serde::Deserialize;

pub use identifier::{Identifier, IdentifierPart, Match, Matching, Normalization, OnBlankIdentifier, RegexReplacement};

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
}

/// Whether a text can be the key of a field or metric: 1 to 255 bytes without control characters or blanks at its ends.
pub(crate) fn is_key(text: &str) -> bool {
    !text.is_empty() && text.len() <= 255 && text.trim() == text && !text.chars().any(char::is_control)
}

/// One column that becomes one account field. A blank cell keeps what is stored; a cell that does not read as the
/// field's type rejects its row.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Field {
    /// The name of the column, exactly as it stands in the header. Required. Example: `column = "ARR"`.
    pub column: Option<String>,
    /// The key of the account field. Required. Example: `field = "arr"`.
    pub field: Option<String>,
    /// How the cells are read: `text`, `long_text`, `integer`, `float`, `percent`, `percent_ratio`, `currency`,
    /// `boolean`, `date`, `text_list` or `url`. Required; it is never guessed. Example: `type = "currency"`.
    pub r#type: Option<FieldType>,
    /// Whether a table may lack the column. The field is then left out, with a warning; without this the file fails.
    /// Default: false. Example: `optional = true`.
    pub optional: Option<bool>,
    /// The currency, as three capital letters (`currency` only). Default: none. Example: `unit = "EUR"`.
    pub unit: Option<String>,
    /// How many digits after the decimal point are kept, 0 to 18 (`currency` only). More than that in a cell reject its
    /// row, unless they are zeros. Default: 2. Example: `scale = 4`.
    pub scale: Option<u8>,
    /// Whether digits beyond `scale` are rounded, half away from zero, and do not reject the row (`currency` only).
    /// Default: false. Example: `round = true`.
    pub round: Option<bool>,
    /// How numbers are written (`integer`, `float`, `percent`, `percent_ratio`, `currency`). Default: `.` before the
    /// decimals and no groups. Example: `number = { decimal = ",", group = "." }`.
    pub number: Option<Number>,
    /// What stands for true and false (`boolean` only). Default: `true`, `yes`, `y`, `1` and `false`, `no`, `n`, `0`.
    /// Example: `boolean = { true = ["ja"], false = ["nein"] }`.
    pub boolean: Option<Boolean>,
    /// How dates are written, tried in order (`date` only). Default: ISO 8601, with or without a time of day.
    /// Directives: `%Y` `%y` (69 to 99 are 1969 to 1999) `%m` `%d` `%b` `%B` (English names) `%q` (quarter) `%H`
    /// `%I` `%M` `%S` `%f` `%p` `%z` `%F` `%T` `%%`. The date counts as it is written: a time of day or an offset is
    /// read and dropped. Without `%d` it is the first of the month. Example: `formats = ["%d.%m.%Y", "%m/%Y"]`.
    pub formats: Option<Vec<String>>,
    /// What stands between the items (`text_list` only). Blanks round an item and empty items are dropped. Default: a
    /// comma. Example: `separator = ";"`.
    pub separator: Option<String>,
}

/// How the cells of an account field are read. Nothing is ever guessed from the data. Blanks round a number, boolean or
/// date do not count; round a text they do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldType {
    /// The text as it is.
    Text,
    /// The text as it is, long.
    LongText,
    /// A whole number of 64 bits. `1.0` is not one.
    Integer,
    /// A number of 64 bits in binary; an exponent (`1e6`) may follow.
    Float,
    /// A percentage: `12` and `12%` are 12.
    Percent,
    /// A percentage written as a ratio: `0.2` is 20. The point is moved in the text, so that `0.07` is exactly 7.
    PercentRatio,
    /// An amount of money: a decimal number, never binary.
    Currency,
    /// True or false.
    Boolean,
    /// A calendar date.
    Date,
    /// Several texts.
    TextList,
    /// A web address with `http`, `https` or `ftp` before it, or without (`acme.com/about`).
    Url,
}

/// How numbers are written. Cells that a workbook typed as numbers are read as numbers, whatever stands here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Number {
    /// The character before the decimals. Default: `.`. Example: `decimal = ","`.
    pub decimal: Option<String>,
    /// The character between groups of digits, which may also be missing; what stands between two must be a group of
    /// three digits, or two as in `12,34,567`. Default: none, and then any such character rejects the row. Example:
    /// `group = "."`.
    pub group: Option<String>,
}

/// What stands for true and false. Capital letters do not count, and each list replaces its default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Boolean {
    /// What is true. Default: `["true", "yes", "y", "1"]`. Example: `true = ["active"]`.
    pub r#true: Option<Vec<String>>,
    /// What is false. Default: `["false", "no", "n", "0"]`. Example: `false = ["churned"]`.
    pub r#false: Option<Vec<String>>,
}

/// How much of one product the accounts used: a column for each metric, a period, and perhaps a column for the date.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Usage {
    /// The name of the product. Required. Example: `product = "Core"`.
    pub product: Option<String>,
    /// The span of time that a row's values stand for: `single`, `daily`, `weekly`, `monthly`, `quarterly` or `yearly`.
    /// Required. Example: `period = "monthly"`.
    pub period: Option<Period>,
    /// The first day of a week (`weekly` only). Default: `monday`. Example: `week_start = "sunday"`.
    pub week_start: Option<Weekday>,
    /// The column with each row's date, which becomes the first day of the period it lies in. A row with values and
    /// no date is rejected. Default: none, and the date follows from the day the file was last modified: that day
    /// (`single`), the day before (`daily`), or the first day of the last full week, month, quarter or year before it.
    /// Example: `date = { column = "Month", formats = ["%m/%Y"] }`.
    pub date: Option<Date>,
    /// The columns that hold values. Required, at least one. Example:
    /// `metrics = [{ column = "MAU", metric = "mau" }]`.
    pub metrics: Vec<Metric>,
}

/// The span of time that a usage value stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// A point in time: the date itself.
    Single,
    /// A day.
    Daily,
    /// Seven days.
    Weekly,
    /// A calendar month.
    Monthly,
    /// Three calendar months, from January, April, July or October.
    Quarterly,
    /// A calendar year.
    Yearly,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Weekday {
    #[default]
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

/// The column with the dates of usage values.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Date {
    /// The name of the column, exactly as it stands in the header. Required. Example: `column = "Month"`.
    pub column: Option<String>,
    /// How dates are written, tried in order; the directives are those of a field's `formats`. Default: ISO 8601.
    /// Example: `formats = ["%m/%Y"]`.
    pub formats: Option<Vec<String>>,
}

/// One column of usage values. A blank cell is no record, not zero; a cell that does not read as the metric's type
/// rejects its row.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Metric {
    /// The name of the column, exactly as it stands in the header. Required. Example: `column = "API calls"`.
    pub column: Option<String>,
    /// The key of the metric. Required. Example: `metric = "api_calls"`.
    pub metric: Option<String>,
    /// How the cells are read: `numeric` (64 bits in binary), `integer` (64 bits, for counts beyond 2^53), `text` or
    /// `boolean`. Default: `numeric`. Example: `type = "text"`.
    pub r#type: Option<MetricType>,
    /// How an account's values of one period become one: `last` (the latest by date, then by row), `sum`, `max`, `min`,
    /// `avg` or `count`. Texts and booleans know `last` and `count` only. Default: `last`. Example:
    /// `aggregate = "sum"`.
    pub aggregate: Option<Aggregate>,
    /// The unit. Default: none. Example: `unit = "GB"`.
    pub unit: Option<String>,
    /// Whether a table may lack the column. The metric is then left out, with a warning; without this the file fails.
    /// Default: false. Example: `optional = true`.
    pub optional: Option<bool>,
    /// How numbers are written (`numeric`, `integer`). Default: `.` before the decimals and no groups. Example:
    /// `number = { group = "," }`.
    pub number: Option<Number>,
    /// What stands for true and false (`boolean` only). Default: as for a field. Example:
    /// `boolean = { true = ["on"], false = ["off"] }`.
    pub boolean: Option<Boolean>,
}

/// How the cells of a metric are read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricType {
    /// A number of 64 bits in binary.
    #[default]
    Numeric,
    /// A whole number of 64 bits.
    Integer,
    /// The text as it is.
    Text,
    /// True or false.
    Boolean,
}

/// How the values of one account, metric and period become one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregate {
    /// The sum.
    Sum,
    /// The latest by date, then by row.
    #[default]
    Last,
    /// The greatest.
    Max,
    /// The least.
    Min,
    /// The mean.
    Avg,
    /// How many there are.
    Count,
}
