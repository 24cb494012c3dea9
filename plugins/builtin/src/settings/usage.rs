//! What an operator may write of product usage.

use serde::Deserialize;

use super::{Boolean, Number};

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
