//! The tables of the built-in mapper: `identifiers`, `fields` and `usage` of an integration.
//!
//! Keys and types are read here, so that a slip is shown with its line. What the texts in them mean is the mapper's to
//! say: it gets the tables as JSON and checks them itself.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::tables;

/// A text, or a number, date or truth value that stands for the text that a cell would have.
#[derive(Debug)]
pub(in crate::config) struct RawCell(String);

impl<'de> Deserialize<'de> for RawCell {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match toml::Value::deserialize(deserializer)? {
            toml::Value::String(text) => Ok(Self(text)),
            value @ (toml::Value::Integer(_) | toml::Value::Boolean(_)) => Ok(Self(value.to_string())),
            // The shortest decimal that is this number, without an exponent.
            toml::Value::Float(number) if number.is_finite() => Ok(Self(format!("{number}"))),
            toml::Value::Datetime(datetime) => Ok(Self(datetime.to_string())),
            other => {
                Err(D::Error::custom(format_args!("invalid type: {}, expected a text or a number", other.type_str())))
            }
        }
    }
}

impl Serialize for RawCell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// A word, or a table of more than a word can say.
#[derive(Debug)]
pub(in crate::config) enum RawWordOr<T> {
    /// The word.
    Word(String),
    /// The table.
    Table(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for RawWordOr<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WordOrTable(std::marker::PhantomData))
    }
}

impl<T: Serialize> Serialize for RawWordOr<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Word(word) => serializer.serialize_str(word),
            Self::Table(table) => table.serialize(serializer),
        }
    }
}

struct WordOrTable<T>(std::marker::PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for WordOrTable<T> {
    type Value = RawWordOr<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("string or table")
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<Self::Value, E> {
        Ok(RawWordOr::Word(word.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(RawWordOr::Table)
    }
}

tables! {
    /// Which account a row belongs to: strategies, up to eight, tried in order. One that is blank in a row says nothing of
    /// it; a row in which all are is rejected (`matching.on_blank`), unless all its mapped cells are blank.
    #[derive(Serialize)]
    struct RawIdentifier {
        /// The name of the column, exactly as it stands in the header. Required, unless `index` or `columns` stands here.
        ///
        /// ```toml
        /// column = "Account ID"
        /// ```
        column: String,
        /// Other names that the column has in some files.
        ///
        /// ```toml
        /// aliases = ["AccountId", "Id"]
        /// ```
        aliases: Vec<String>,
        /// The number of the column, from 1, in the place of its name.
        ///
        /// ```text
        /// index = 1
        /// ```
        index: u32,
        /// `crm_id`, `domain`, `name`, `id` (the destination's own), or `field:` and the key of an account field.
        /// Required.
        ///
        /// ```toml
        /// match = "crm_id"
        /// ```
        r#match: String,
        /// What is done with the value, in order, before it is compared: `trim`, `casefold`, `domain` (without scheme,
        /// `www.`, port and path), `email_domain`, `sfdc18` (the 18-character form of a Salesforce id),
        /// `strip_leading_zeros`, or a pattern and what takes the place of its matches.
        ///
        /// ```toml
        /// normalize = ["trim", "sfdc18"]
        /// ```
        ///
        /// Or:
        ///
        /// ```text
        /// normalize = [{ regex = "^ACC-", replace = "" }, "strip_leading_zeros"]
        /// ```
        normalize: Vec<RawWordOr<RawRegexReplacement>>,
        /// Up to six columns that say it together; all must be filled.
        ///
        /// ```text
        /// columns = [{ column = "Region", match = "field:region" }, { column = "Code", match = "field:code" }]
        /// ```
        columns: Vec<RawIdentifierPart>,
        /// Whether a table may lack the columns. The strategy is then left out.
        ///
        /// ```toml
        /// optional = false
        /// ```
        optional: bool,
    }

    /// One of several columns that say together which account a row belongs to.
    #[derive(Serialize)]
    struct RawIdentifierPart {
        /// The name of the column. Required, unless `index` stands here.
        ///
        /// ```toml
        /// column = "Region"
        /// ```
        column: String,
        /// Other names that the column has in some files.
        ///
        /// ```toml
        /// aliases = ["Area"]
        /// ```
        aliases: Vec<String>,
        /// The number of the column, from 1, in the place of its name.
        ///
        /// ```text
        /// index = 1
        /// ```
        index: u32,
        /// As of an identifier of one column. Required.
        ///
        /// ```toml
        /// match = "field:region"
        /// ```
        r#match: String,
        /// As of an identifier of one column.
        ///
        /// ```toml
        /// normalize = ["casefold"]
        /// ```
        normalize: Vec<RawWordOr<RawRegexReplacement>>,
    }

    /// A pattern and what takes the place of its matches.
    #[derive(Serialize)]
    struct RawRegexReplacement {
        /// The pattern. Required.
        ///
        /// ```toml
        /// regex = "^ACC-"
        /// ```
        regex: String,
        /// What takes its place; `$1` is a group, `$$` a dollar sign. Required.
        ///
        /// ```toml
        /// replace = ""
        /// ```
        replace: String,
    }

    /// Which column becomes which account field, one table each. A blank cell keeps what is stored; a cell that does not
    /// read as the type rejects its row.
    #[derive(Serialize)]
    struct RawField {
        /// The name of the column, exactly as it stands in the header. Required, unless `index`, `constant`, `template`,
        /// `coalesce` or `file` says where the value comes from.
        ///
        /// ```toml
        /// column = "ARR"
        /// ```
        column: String,
        /// Other names that the column has in some files.
        ///
        /// ```toml
        /// aliases = ["Annual revenue"]
        /// ```
        aliases: Vec<String>,
        /// The number of the column, from 1, in the place of its name.
        ///
        /// ```text
        /// index = 3
        /// ```
        index: u32,
        /// The same value for every row, as a cell would have it.
        ///
        /// ```text
        /// constant = "EMEA"
        /// ```
        constant: RawCell,
        /// Columns within a text, in braces; `{{` is a brace. Blank where all of them are.
        ///
        /// ```text
        /// template = "{First} {Last}"
        /// ```
        template: String,
        /// The first of several columns that is not blank.
        ///
        /// ```text
        /// coalesce = ["Mobile", "Phone"]
        /// ```
        coalesce: Vec<String>,
        /// Something of the file itself: the `key`, the `sheet`, or the number of the `row`; of key and sheet perhaps what
        /// the one group of a pattern matches.
        ///
        /// ```text
        /// file = { part = "key", regex = "region=([a-z]+)" }
        /// ```
        file: RawFilePart,
        /// The key of the account field. Required.
        ///
        /// ```toml
        /// field = "arr"
        /// ```
        field: String,
        /// How the cells are read; it is never guessed. Required. `text`, `long_text`, `integer`, `float`, `percent` (`12`
        /// and `12%` are 12), `percent_ratio` (`0.2` is 20), `currency` (a decimal number), `boolean`, `date`, `datetime`,
        /// `picklist`, `multi_picklist`, `text_list`, `url`, `email` or `lookup_user`.
        ///
        /// ```toml
        /// type = "currency"
        /// ```
        r#type: String,
        /// Whether a table may lack the column; the field then has its `default`, or is left out. Without it such a file
        /// fails.
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
        /// `date`, `datetime`: how they are written, tried in order: `%Y` `%y` `%m` `%d` `%b` `%B` `%q` (quarter) `%H` `%I`
        /// `%M` `%S` `%f` `%p` `%z` `%F` `%T` `%%`, or a whole format: `epoch_seconds`, `epoch_milliseconds`, `excel_1900`,
        /// `excel_1904`. The default is ISO 8601. A `datetime` without an offset is local time in `timezone`.
        ///
        /// ```text
        /// formats = ["%d.%m.%Y", "%m/%Y"]
        /// ```
        formats: Vec<String>,
        /// Lists: what stands between the items. The default is a comma.
        ///
        /// ```text
        /// separator = ";"
        /// ```
        separator: String,
        /// What is done with the cell's text, in order, before it is read: `trim`, `collapse_whitespace`, `lower`, `upper`,
        /// `title`, `replace`, `regex_extract`, `split`, `concat`, `lookup`, `prefix`, `suffix`, `scale`, `round`. Blank
        /// cells are left alone.
        ///
        /// ```text
        /// transforms = ["trim", { replace = { text = " Inc.", with = "" } }, "upper"]
        /// transforms = [{ lookup = { table = { A = "Active", C = "Churned" }, missing = "keep" } }]
        /// transforms = [{ split = { on = "/", take = -1 } }, { regex_extract = "v([0-9]+)" }, { prefix = "V" }]
        /// transforms = [{ concat = { columns = ["City"], separator = ", " } }, { suffix = "." }]
        /// transforms = [{ scale = 0.001 }, { round = 2 }]
        /// ```
        transforms: Vec<RawWordOr<RawTransform>>,
        /// Texts that count as blank, in small or capital letters.
        ///
        /// ```toml
        /// null_tokens = ["n/a", "-"]
        /// ```
        null_tokens: Vec<String>,
        /// What takes the place of a blank cell, written as a cell is.
        ///
        /// ```toml
        /// default = 0
        /// ```
        default: RawCell,
        /// Which cells the default is for: `missing` (blank) or `invalid`; `on_invalid = "default"` adds the latter.
        ///
        /// ```toml
        /// default_on = "missing"
        /// ```
        default_on: String,
        /// What a blank cell does to the stored value: `keep` it or `clear` it.
        ///
        /// ```toml
        /// on_blank = "keep"
        /// ```
        on_blank: String,
        /// A text that erases the stored value.
        ///
        /// ```toml
        /// clear_token = "(none)"
        /// ```
        clear_token: String,
        /// How a value meets the stored one: `overwrite` it, `if_empty`, or `append` to a list what it lacks.
        ///
        /// ```toml
        /// write = "overwrite"
        /// ```
        write: String,
        /// Whether a blank cell counts as invalid.
        ///
        /// ```toml
        /// required = false
        /// ```
        required: bool,
        /// What happens to a cell that does not read or breaks a limit: `reject_row`, `null_field`, `default` or
        /// `fail_file`.
        ///
        /// ```toml
        /// on_invalid = "reject_row"
        /// ```
        on_invalid: String,
        /// Numbers and dates: the least value.
        ///
        /// ```toml
        /// min = 0
        /// ```
        min: RawCell,
        /// Numbers and dates: the greatest value.
        ///
        /// ```toml
        /// max = 1000000000
        /// ```
        max: RawCell,
        /// Texts: the least number of characters.
        ///
        /// ```text
        /// min_length = 2
        /// ```
        min_length: u32,
        /// Texts: the greatest number of characters.
        ///
        /// ```text
        /// max_length = 80
        /// ```
        max_length: u32,
        /// Texts, and each item of a list: a pattern that the whole text must match.
        ///
        /// ```text
        /// regex = "[A-Z]{2}-[0-9]+"
        /// ```
        regex: String,
        /// Texts, and each item of a list: what is allowed.
        ///
        /// ```text
        /// allowed = ["Gold", "Silver"]
        /// ```
        allowed: Vec<String>,
    }

    /// Something of the file itself.
    #[derive(Serialize)]
    struct RawFilePart {
        /// `key`, `sheet` or `row`. Required.
        ///
        /// ```toml
        /// part = "key"
        /// ```
        part: String,
        /// What is taken of key or sheet: what the one group matches. A file in which nothing matches fails.
        ///
        /// ```toml
        /// regex = "region=([a-z]+)"
        /// ```
        regex: String,
    }

    /// One step on the way from a cell to the text that is read: exactly one of these keys.
    #[derive(Serialize)]
    struct RawTransform {
        /// Every occurrence of a text, or match of a pattern, is replaced.
        ///
        /// ```toml
        /// replace = { text = " Inc.", with = "" }
        /// ```
        replace: RawReplace,
        /// What the one group of a pattern matches, or the whole match.
        ///
        /// ```toml
        /// regex_extract = "v([0-9]+)"
        /// ```
        regex_extract: String,
        /// One part of a divided text, counted from 1, or from -1 at the end.
        ///
        /// ```toml
        /// split = { on = "/", take = 2 }
        /// ```
        split: RawSplit,
        /// Other columns are added, those that are not blank.
        ///
        /// ```toml
        /// concat = { columns = ["City"], separator = ", " }
        /// ```
        concat: RawConcat,
        /// Another text for each text of a table. One that is not in it is `invalid`; `keep` and `blank` are the others.
        ///
        /// ```toml
        /// lookup = { table = { A = "Active" }, missing = "keep" }
        /// ```
        lookup: RawLookup,
        /// A text is put before.
        ///
        /// ```toml
        /// prefix = "DE-"
        /// ```
        prefix: String,
        /// A text is put after.
        ///
        /// ```toml
        /// suffix = " GmbH"
        /// ```
        suffix: String,
        /// A number is multiplied, exactly.
        ///
        /// ```toml
        /// scale = 0.001
        /// ```
        scale: RawCell,
        /// A number is rounded to so many decimals, half away from zero.
        ///
        /// ```toml
        /// round = 2
        /// ```
        round: u8,
    }

    /// What is replaced: `text` or `regex`.
    #[derive(Serialize)]
    struct RawReplace {
        /// The text.
        ///
        /// ```toml
        /// text = " Inc."
        /// ```
        text: String,
        /// The pattern.
        ///
        /// ```text
        /// regex = "[^0-9]"
        /// ```
        regex: String,
        /// What takes its place. Required.
        ///
        /// ```toml
        /// with = ""
        /// ```
        with: String,
    }

    /// A part of a divided text.
    #[derive(Serialize)]
    struct RawSplit {
        /// What divides the parts. Required.
        ///
        /// ```toml
        /// on = "/"
        /// ```
        on: String,
        /// Which part, from 1, or from -1 at the end. Required.
        ///
        /// ```toml
        /// take = -1
        /// ```
        take: i32,
    }

    /// Other columns that are added.
    #[derive(Serialize)]
    struct RawConcat {
        /// Their names. Required.
        ///
        /// ```toml
        /// columns = ["City"]
        /// ```
        columns: Vec<String>,
        /// What is put between. The default is nothing.
        ///
        /// ```toml
        /// separator = ", "
        /// ```
        separator: String,
    }

    /// Another text for each text.
    #[derive(Serialize)]
    struct RawLookup {
        /// The table. Required.
        ///
        /// ```toml
        /// table = { A = "Active", C = "Churned" }
        /// ```
        table: BTreeMap<String, String>,
        /// What happens to a text that is not in it: `invalid`, `keep` or `blank`.
        ///
        /// ```toml
        /// missing = "invalid"
        /// ```
        missing: String,
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
        /// Currency symbols or other texts that may stand once before or after the number.
        ///
        /// ```toml
        /// symbols = ["€", "EUR"]
        /// ```
        symbols: Vec<String>,
        /// What a percent sign means: `ignore` it (`12%` is 12) or `hundredth` (`12%` is 0.12). Without it such a number is
        /// refused, but for `type = "percent"`.
        ///
        /// ```toml
        /// percent = "hundredth"
        /// ```
        percent: String,
        /// Whether a number in parentheses is negative.
        ///
        /// ```toml
        /// parentheses = true
        /// ```
        parentheses: bool,
        /// Whether a minus may stand behind the number.
        ///
        /// ```toml
        /// trailing_minus = true
        /// ```
        trailing_minus: bool,
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
