//! What an operator may write of product usage.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{Boolean, Number};

/// How much of a product the accounts, or their users, used: a column for each metric, or a row for each; a period, and
/// perhaps a column for the date.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Usage {
    /// The name of the product, or the column that holds it. Required. Example: `product = "Core"`, or
    /// `product = { column = "Product", allowed = ["Core", "Extra"] }`.
    pub product: Option<Product>,
    /// The span of time that a row's values stand for: `single`, `daily`, `weekly`, `monthly`, `quarterly` or `yearly`.
    /// Required. Example: `period = "monthly"`.
    pub period: Option<Period>,
    /// The first day of a week (`weekly` only). Default: `monday`. Example: `week_start = "sunday"`.
    pub week_start: Option<Weekday>,
    /// The offsets of the block's own time zone, as of the settings' `zone`: that in which its dates, and the day the file
    /// was last modified, are reckoned. Written by the host; none at all is UTC. Default: that of the settings.
    pub zone: Option<Vec<(i64, i32)>>,
    /// The column with each row's date, which becomes the first day of the period it lies in. A row with values and
    /// no date is rejected. Default: none, and the date follows from the day the file was last modified: that day
    /// (`single`), the day before (`daily`), or the first day of the last full week, month, quarter or year before it.
    /// Example: `date = { column = "Month", formats = ["%m/%Y"] }`.
    pub date: Option<Date>,
    /// The latest date that a row may have, in days after the day the file was last modified. A later one rejects its
    /// row. Default: any. Example: `max_days_ahead = 1`.
    pub max_days_ahead: Option<u32>,
    /// The earliest date that a row may have, in days before that day. Default: any. Example: `max_days_back = 400`.
    pub max_days_back: Option<u32>,
    /// The column that says which user of the account a row is of. All usage of one table names users by the same key. A
    /// row with values and no user is rejected. Default: none, and usage is the account's. Example:
    /// `user = { column = "Email", match = "email" }`.
    pub user: Option<User>,
    /// What happens when several files bring a value for one period: the newest `replace`s the others, or all `add` up,
    /// each file once. Default: `replace`. Example: `repeat = "add"`.
    pub repeat: Option<Repeat>,
    /// The columns that hold values, a column for each metric. This or `long` is required. Example:
    /// `metrics = [{ column = "MAU", metric = "mau" }]`.
    pub metrics: Vec<Metric>,
    /// The columns that hold values, a row for each metric. Example: `long = { metric = "Metric", value = "Value" }`.
    pub long: Option<Long>,
}

/// A product's name, or the column that holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Product {
    /// The name.
    Name(String),
    /// The column.
    Column(ProductColumn),
}

impl<'de> Deserialize<'de> for Product {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NameOrColumn)
    }
}

struct NameOrColumn;

impl<'de> Visitor<'de> for NameOrColumn {
    type Value = Product;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a product, or a table with its `column`")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Product, E> {
        Ok(Product::Name(name.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Product, A::Error> {
        ProductColumn::deserialize(MapAccessDeserializer::new(map)).map(Product::Column)
    }
}

/// The column that holds the product's name. A row with values and without product is rejected.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProductColumn {
    /// The name of the column. Required, unless `index` stands here. Example: `column = "Product"`.
    pub column: Option<String>,
    /// Other names that the column has in some tables.
    pub aliases: Option<Vec<String>>,
    /// The number of the column, from 1, in the place of its name.
    pub index: Option<u32>,
    /// The products that are known. Default: any, and a new one is created. Example: `allowed = ["Core", "Extra"]`.
    pub allowed: Option<Vec<String>>,
    /// What happens to a row of another product: `reject` it or `skip` it. Default: `reject`. Example:
    /// `on_unknown = "skip"`.
    pub on_unknown: Option<OnUnknown>,
}

/// What happens to usage of a product or metric that is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnUnknown {
    /// Its row is rejected.
    #[default]
    Reject,
    /// It is left out.
    Skip,
}

/// The column that says which user a row is of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct User {
    /// The name of the column. Required, unless `index` stands here. Example: `column = "Email"`.
    pub column: Option<String>,
    /// Other names that the column has in some tables.
    pub aliases: Option<Vec<String>>,
    /// The number of the column, from 1, in the place of its name.
    pub index: Option<u32>,
    /// What tells users apart: `id`, `email` or `name`. Required. Example: `match = "email"`.
    pub r#match: Option<UserKey>,
}

/// What tells users apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum UserKey {
    Id,
    Email,
    Name,
}

/// What happens when several files bring a value for one period.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Repeat {
    /// The newest file's counts.
    #[default]
    Replace,
    /// Every file's counts, once each.
    Add,
}

/// A row for each metric: the columns with its key, its value and perhaps its unit.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Long {
    /// The name of the column with the metric's key. Required. Example: `metric = "Metric"`.
    pub metric: Option<String>,
    /// The name of the column with the value. Required. Example: `value = "Value"`.
    pub value: Option<String>,
    /// The name of the column with the unit. A metric has one unit in a table: a row with another is rejected. Default:
    /// none. Example: `unit = "Unit"`.
    pub unit: Option<String>,
    /// How the values are read, as of a metric. Default: `numeric`.
    pub r#type: Option<MetricType>,
    /// How values become one, as of a metric. Default: `last`.
    pub aggregate: Option<Aggregate>,
    /// How numbers are written.
    pub number: Option<Number>,
    /// What stands for true and false.
    pub boolean: Option<Boolean>,
    /// The metrics that are known. Default: any, and a new one is created. Example: `allowed = ["mau", "logins"]`.
    pub allowed: Option<Vec<String>>,
    /// What happens to a row of another metric: `reject` it or `skip` it, so that another block can take it. Default:
    /// `reject`. Example: `on_unknown = "skip"`.
    pub on_unknown: Option<OnUnknown>,
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
    /// The name of the column, exactly as it stands in the header. This, `index` or `key` is required. Example:
    /// `column = "Month"`.
    pub column: Option<String>,
    /// Other names that the column has in some tables. Example: `aliases = ["Period"]`.
    pub aliases: Option<Vec<String>>,
    /// The number of the column, from 1, in the place of its name.
    pub index: Option<u32>,
    /// One date for all rows, from the object's key: what the pattern's one group matches, or else the whole match. A
    /// file whose key has none fails. Example: `key = "mau-([0-9]{4}-[0-9]{2})"`.
    pub key: Option<String>,
    /// How dates are written, tried in order; the directives are those of a field's `formats`. Default: ISO 8601.
    /// Example: `formats = ["%m/%Y"]`.
    pub formats: Option<Vec<String>>,
}

/// One column of usage values. A blank cell is no record, not zero; a cell that does not read as the metric's type
/// rejects its row.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Metric {
    /// The name of the column, exactly as it stands in the header. This, `index` or `pattern` is required. Example:
    /// `column = "API calls"`.
    pub column: Option<String>,
    /// Other names that the column has in some tables. Example: `aliases = ["Calls"]`.
    pub aliases: Option<Vec<String>>,
    /// The number of the column, from 1, in the place of its name.
    pub index: Option<u32>,
    /// Every column whose name matches, but those that the identifiers and this block name already. Example:
    /// `pattern = "^Events: (.+)$"`.
    pub pattern: Option<String>,
    /// The key of the metric. Required beside `column` and `index`. Beside `pattern`, `{}` in it stands for what the
    /// pattern's one group matches, or else for the whole match, and the default is `{}`. Example:
    /// `metric = "api_calls"`.
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
