//! Which columns become usage of which product.

use serde::Serialize;

use super::super::tables;
use super::{RawBoolean, RawNumber, RawWordOr};

tables! {
    /// How much of a product the accounts or their users used: a column for each metric, or a row for each (`long`); a
    /// period, and perhaps a column for the date.
    #[derive(Serialize)]
    struct RawUsage {
        /// The name of the product, or the column that holds it; a row of a product that is not `allowed` is rejected, or
        /// left out with `on_unknown = "skip"`. Required.
        ///
        /// ```toml
        /// product = "Core"
        /// ```
        ///
        /// Or:
        ///
        /// ```text
        /// product = { column = "Product", allowed = ["Core", "Extra"] }
        /// ```
        product: RawWordOr<RawProduct>,
        /// The span of time that a row stands for. Required. `single`, `daily`, `weekly`, `monthly`, `quarterly` or
        /// `yearly`.
        ///
        /// ```toml
        /// period = "monthly"
        /// ```
        period: String,
        /// `weekly`: the first day of a week. The default is `monday`.
        ///
        /// ```text
        /// week_start = "sunday"
        /// ```
        week_start: String,
        /// The time zone (IANA name) in which this block's dates are reckoned, and the day the file was last modified. The
        /// default is that of the integration.
        ///
        /// ```toml
        /// timezone = "America/New_York"
        /// ```
        timezone: String,
        /// The column with each row's date, which becomes the first day of its period; `formats` as for a field. Without
        /// it the date follows from the day the file was last modified: that day (`single`), the day before (`daily`), or
        /// the first day of the last full week, month, quarter or year.
        ///
        /// ```toml
        /// date = { column = "Month", formats = ["%m/%Y"] }
        /// ```
        ///
        /// Or from the file's key:
        ///
        /// ```text
        /// date = { key = "mau-([0-9]{4}-[0-9]{2})", formats = ["%Y-%m"] }
        /// ```
        date: RawDateColumn,
        /// The latest date, in days after the day the file was last modified. A later one rejects its row.
        ///
        /// ```toml
        /// max_days_ahead = 1
        /// ```
        max_days_ahead: u32,
        /// The earliest date, in days before that day.
        ///
        /// ```toml
        /// max_days_back = 400
        /// ```
        max_days_back: u32,
        /// The column that says which user of the account a row is of, by `id`, `email` or `name`. The default is none:
        /// usage of the account.
        ///
        /// ```text
        /// user = { column = "Email", match = "email" }
        /// ```
        user: RawUser,
        /// What several files' values for one period come to: the newest file's (`replace`), or all of them, each file
        /// once (`add`).
        ///
        /// ```toml
        /// repeat = "replace"
        /// ```
        repeat: String,
        /// The columns that hold values, at least one. Required, unless `long` stands here. Besides `column` and `metric`
        /// each may have a `type` (`numeric`, `integer`, `text` or `boolean`), an `aggregate` (`last`, `sum`, `max`, `min`,
        /// `avg` or `count`: how an account's values of one period become one), a `unit`, and `aliases`, `index`,
        /// `optional`, `number` and `boolean` as a field has. With `pattern` all columns whose names match are metrics.
        /// A blank cell is no record, not zero.
        ///
        /// ```toml
        /// metrics = [
        ///   { column = "MAU", metric = "mau" },
        ///   { column = "API calls", metric = "api_calls", aggregate = "sum" },
        /// ]
        /// ```
        metrics: Vec<RawMetric>,
        /// The columns that hold values, a row for each metric; `type`, `aggregate`, `number` and `boolean` as of a metric,
        /// `allowed` and `on_unknown` as of the product.
        ///
        /// ```text
        /// long = { metric = "Metric", value = "Value", unit = "Unit" }
        /// ```
        long: RawLong,
    }

    /// The column that holds the product's name.
    #[derive(Serialize)]
    struct RawProduct {
        /// The name of the column. Required, unless `index` stands here.
        ///
        /// ```toml
        /// column = "Product"
        /// ```
        column: String,
        /// Other names that the column has in some files.
        ///
        /// ```toml
        /// aliases = ["SKU"]
        /// ```
        aliases: Vec<String>,
        /// The number of the column, from 1, in the place of its name.
        ///
        /// ```text
        /// index = 2
        /// ```
        index: u32,
        /// The products that are known. The default is any.
        ///
        /// ```toml
        /// allowed = ["Core", "Extra"]
        /// ```
        allowed: Vec<String>,
        /// What happens to a row of another: `reject` or `skip`.
        ///
        /// ```toml
        /// on_unknown = "skip"
        /// ```
        on_unknown: String,
    }

    /// The column that says which user a row is of.
    #[derive(Serialize)]
    struct RawUser {
        /// The name of the column. Required, unless `index` stands here.
        ///
        /// ```toml
        /// column = "Email"
        /// ```
        column: String,
        /// Other names that the column has in some files.
        ///
        /// ```toml
        /// aliases = ["Mail"]
        /// ```
        aliases: Vec<String>,
        /// The number of the column, from 1, in the place of its name.
        ///
        /// ```text
        /// index = 2
        /// ```
        index: u32,
        /// What tells users apart: `id`, `email` or `name`. Required.
        ///
        /// ```toml
        /// match = "email"
        /// ```
        r#match: String,
    }

    /// A row for each metric.
    #[derive(Serialize)]
    struct RawLong {
        /// The name of the column with the metric's key. Required.
        ///
        /// ```toml
        /// metric = "Metric"
        /// ```
        metric: String,
        /// The name of the column with the value. Required.
        ///
        /// ```toml
        /// value = "Value"
        /// ```
        value: String,
        /// The name of the column with the unit; a metric has one in a file.
        ///
        /// ```toml
        /// unit = "Unit"
        /// ```
        unit: String,
        /// `numeric`, `integer`, `text` or `boolean`.
        ///
        /// ```toml
        /// type = "numeric"
        /// ```
        r#type: String,
        /// `last`, `sum`, `max`, `min`, `avg` or `count`.
        ///
        /// ```toml
        /// aggregate = "sum"
        /// ```
        aggregate: String,
        /// Numbers: how they are written.
        ///
        /// ```toml
        /// number = { group = "," }
        /// ```
        number: RawNumber,
        /// `boolean`: what stands for true and false.
        ///
        /// ```toml
        /// boolean = { true = ["on"], false = ["off"] }
        /// ```
        boolean: RawBoolean,
        /// The metrics that are known. The default is any.
        ///
        /// ```toml
        /// allowed = ["mau", "logins"]
        /// ```
        allowed: Vec<String>,
        /// What happens to a row of another: `reject`, or `skip`, so that another block can take it.
        ///
        /// ```toml
        /// on_unknown = "skip"
        /// ```
        on_unknown: String,
    }

    /// Where the dates of usage values stand.
    #[derive(Serialize)]
    struct RawDateColumn {
        /// The name of the column, exactly as it stands in the header. Required, unless `index` or `key` stands here.
        ///
        /// ```toml
        /// column = "Month"
        /// ```
        column: String,
        /// Other names that the column has in some files.
        ///
        /// ```toml
        /// aliases = ["Period"]
        /// ```
        aliases: Vec<String>,
        /// The number of the column, from 1, in the place of its name.
        ///
        /// ```text
        /// index = 2
        /// ```
        index: u32,
        /// One date for all rows: what the one group of a pattern matches in the file's key.
        ///
        /// ```text
        /// key = "mau-([0-9]{4}-[0-9]{2})"
        /// ```
        key: String,
        /// How dates are written, tried in order. The default is ISO 8601.
        ///
        /// ```toml
        /// formats = ["%m/%Y"]
        /// ```
        formats: Vec<String>,
    }

    /// One column of usage values.
    #[derive(Serialize)]
    struct RawMetric {
        /// The name of the column, exactly as it stands in the header. Required, unless `index` or `pattern` stands here.
        ///
        /// ```toml
        /// column = "API calls"
        /// ```
        column: String,
        /// Other names that the column has in some files.
        ///
        /// ```toml
        /// aliases = ["Calls"]
        /// ```
        aliases: Vec<String>,
        /// The number of the column, from 1, in the place of its name.
        ///
        /// ```text
        /// index = 4
        /// ```
        index: u32,
        /// All columns whose names match, but those with another use in the block; `{}` in `metric` is what the one group
        /// matches.
        ///
        /// ```text
        /// pattern = "^Events: (.+)$"
        /// ```
        pattern: String,
        /// The key of the metric. Required beside `column` and `index`.
        ///
        /// ```toml
        /// metric = "api_calls"
        /// ```
        metric: String,
        /// `numeric`, `integer`, `text` or `boolean`. The default is `numeric`.
        ///
        /// ```toml
        /// type = "integer"
        /// ```
        r#type: String,
        /// `last`, `sum`, `max`, `min`, `avg` or `count`. The default is `last`.
        ///
        /// ```toml
        /// aggregate = "sum"
        /// ```
        aggregate: String,
        /// The unit. The default is none.
        ///
        /// ```toml
        /// unit = "GB"
        /// ```
        unit: String,
        /// Whether a table may lack the column.
        ///
        /// ```toml
        /// optional = true
        /// ```
        optional: bool,
        /// Numbers: how they are written.
        ///
        /// ```toml
        /// number = { group = "," }
        /// ```
        number: RawNumber,
        /// `boolean`: what stands for true and false.
        ///
        /// ```toml
        /// boolean = { true = ["on"], false = ["off"] }
        /// ```
        boolean: RawBoolean,
    }
}
