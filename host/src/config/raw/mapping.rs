//! The tables of the built-in mapper: `identifiers`, `fields` and `usage` of an integration.
//!
//! Keys and types are read here, so that a slip is shown with its line. What the texts in them mean is the mapper's to
//! say: it gets the tables as JSON and checks them itself.

use serde::Serialize;

use super::tables;

tables! {
    /// Which account a row belongs to: one column and what its value is compared with. A row in which it is blank is
    /// rejected, unless all its mapped cells are blank.
    #[derive(Serialize)]
    struct RawIdentifier {
        /// The name of the column, exactly as it stands in the header. Required.
        ///
        /// ```toml
        /// column = "Account ID"
        /// ```
        column: String,
        /// `crm_id`, `domain`, `name`, `id` (the destination's own), or `field:` and the key of an account field.
        /// Required.
        ///
        /// ```toml
        /// match = "crm_id"
        /// ```
        r#match: String,
    }

    /// Which column becomes which account field, one table each. A blank cell keeps what is stored; a cell that does not
    /// read as the type rejects its row.
    #[derive(Serialize)]
    struct RawField {
        /// The name of the column, exactly as it stands in the header. Required.
        ///
        /// ```toml
        /// column = "ARR"
        /// ```
        column: String,
        /// The key of the account field. Required.
        ///
        /// ```toml
        /// field = "arr"
        /// ```
        field: String,
        /// How the cells are read; it is never guessed. Required. `text`, `long_text`, `integer`, `float`, `percent` (`12`
        /// and `12%` are 12), `percent_ratio` (`0.2` is 20), `currency` (a decimal number), `boolean`, `date`, `text_list`
        /// or `url`.
        ///
        /// ```toml
        /// type = "currency"
        /// ```
        r#type: String,
        /// Whether a table may lack the column. Without it such a file fails.
        ///
        /// ```toml
        /// optional = false
        /// ```
        optional: bool,
        /// `currency`: the currency, as three capital letters. The default is none.
        ///
        /// ```toml
        /// unit = "EUR"
        /// ```
        unit: String,
        /// `currency`: how many digits after the decimal point are kept, 0 to 18. A cell with more rejects its row.
        ///
        /// ```toml
        /// scale = 2
        /// ```
        scale: i64,
        /// `currency`: whether digits beyond `scale` are rounded instead, half away from zero.
        ///
        /// ```toml
        /// round = false
        /// ```
        round: bool,
        /// Numbers: how they are written. The default is `.` before the decimals and nothing between groups.
        ///
        /// ```toml
        /// number = { decimal = ",", group = "." }
        /// ```
        number: RawNumber,
        /// `boolean`: what stands for true and false, in small or capital letters. The default is `true`, `yes`, `y`, `1`
        /// and `false`, `no`, `n`, `0`.
        ///
        /// ```text
        /// boolean = { true = ["ja"], false = ["nein"] }
        /// ```
        boolean: RawBoolean,
        /// `date`: how dates are written, tried in order: `%Y` `%y` `%m` `%d` `%e` `%b` `%B` `%q` (quarter) `%H` `%I` `%M`
        /// `%S` `%f` `%p` `%z` `%F` `%T` `%%`. The default is ISO 8601.
        ///
        /// ```text
        /// formats = ["%d.%m.%Y", "%m/%Y"]
        /// ```
        formats: Vec<String>,
        /// `text_list`: what stands between the items. The default is a comma.
        ///
        /// ```text
        /// separator = ";"
        /// ```
        separator: String,
    }

    /// How numbers are written. A cell that a workbook typed as a number is read as one, whatever stands here.
    #[derive(Serialize)]
    struct RawNumber {
        /// The character before the decimals.
        ///
        /// ```toml
        /// decimal = ","
        /// ```
        decimal: String,
        /// The character between groups of digits.
        ///
        /// ```toml
        /// group = "."
        /// ```
        group: String,
    }

    /// What stands for true and false.
    #[derive(Serialize)]
    struct RawBoolean {
        /// What is true.
        ///
        /// ```toml
        /// true = ["ja"]
        /// ```
        r#true: Vec<String>,
        /// What is false.
        ///
        /// ```toml
        /// false = ["nein"]
        /// ```
        r#false: Vec<String>,
    }

    /// How much of a product the accounts used, one table for each product: a column for each metric, a period, and
    /// perhaps a column for the date.
    #[derive(Serialize)]
    struct RawUsage {
        /// The name of the product. Required.
        ///
        /// ```toml
        /// product = "Core"
        /// ```
        product: String,
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
        /// The column with each row's date, which becomes the first day of its period; `formats` as for a field. Without
        /// it the date follows from the day the file was last modified: that day (`single`), the day before (`daily`), or
        /// the first day of the last full week, month, quarter or year.
        ///
        /// ```toml
        /// date = { column = "Month", formats = ["%m/%Y"] }
        /// ```
        date: RawDateColumn,
        /// The columns that hold values, at least one. Required. Besides `column` and `metric` each may have a `type`
        /// (`numeric`, `integer`, `text` or `boolean`), an `aggregate` (`last`, `sum`, `max`, `min`, `avg` or `count`: how
        /// an account's values of one period become one), a `unit`, and `optional`, `number` and `boolean` as a field
        /// has. A blank cell is no record, not zero.
        ///
        /// ```toml
        /// metrics = [
        ///   { column = "MAU", metric = "mau" },
        ///   { column = "API calls", metric = "api_calls", aggregate = "sum" },
        /// ]
        /// ```
        metrics: Vec<RawMetric>,
    }

    /// The column with the dates of usage values.
    #[derive(Serialize)]
    struct RawDateColumn {
        /// The name of the column, exactly as it stands in the header. Required.
        ///
        /// ```toml
        /// column = "Month"
        /// ```
        column: String,
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
        /// The name of the column, exactly as it stands in the header. Required.
        ///
        /// ```toml
        /// column = "API calls"
        /// ```
        column: String,
        /// The key of the metric. Required.
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
