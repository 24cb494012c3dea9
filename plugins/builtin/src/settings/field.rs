//! What an operator may write of account fields.

use serde::Deserialize;

use super::Transform;

/// One column that becomes one account field. A blank cell keeps what is stored; a cell that does not read as the
/// field's type rejects its row.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Field {
    /// The name of the column, exactly as it stands in the header. This, `index`, `constant`, `template`, `coalesce` or
    /// `file` is required: where the value comes from. Example: `column = "ARR"`.
    pub column: Option<String>,
    /// Other names that the column has in some tables. Example: `aliases = ["Annual revenue"]`.
    pub aliases: Option<Vec<String>>,
    /// The number of the column, from 1, in the place of its name. Example: `index = 3`.
    pub index: Option<u32>,
    /// The same text for every row, as a cell would have it. Example: `constant = "EMEA"`.
    pub constant: Option<String>,
    /// Columns within a text; `{{` and `}}` are braces. Blank where all its columns are. Example:
    /// `template = "{First} {Last}"`.
    pub template: Option<String>,
    /// The first of several columns that is not blank. Example: `coalesce = ["Mobile", "Phone"]`.
    pub coalesce: Option<Vec<String>>,
    /// Something of the file itself. Example: `file = { part = "key", regex = "region=([a-z]+)" }`.
    pub file: Option<FileSource>,
    /// The key of the account field. Required. Example: `field = "arr"`.
    pub field: Option<String>,
    /// How the cells are read: `text`, `long_text`, `integer`, `float`, `percent`, `percent_ratio`, `currency`,
    /// `boolean`, `date`, `datetime`, `picklist`, `multi_picklist`, `text_list`, `url`, `email` or `lookup_user`.
    /// Required; it is never guessed. Example: `type = "currency"`.
    pub r#type: Option<FieldType>,
    /// Whether a table may lack the column. The field then has its default in every row where it has one for blank cells,
    /// and is left out with a warning where not; without this the file fails.
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
    /// How dates are written, tried in order (`date`, `datetime`). Default: ISO 8601, with or without a time of day.
    /// Directives: `%Y` `%y` (69 to 99 are 1969 to 1999) `%m` `%d` `%b` `%B` (English names) `%q` (quarter) `%H`
    /// `%I` `%M` `%S` `%f` `%p` `%z` `%F` `%T` `%%`. The date counts as it is written: a time of day or an offset is
    /// read and dropped. Without `%d` it is the first of the month. Whole formats of their own are `epoch_seconds`,
    /// `epoch_milliseconds` (the day or moment in the integration's time zone), `excel_1900` and `excel_1904` (the day
    /// number of a workbook). Example: `formats = ["%d.%m.%Y", "%m/%Y"]`.
    pub formats: Option<Vec<String>>,
    /// What stands between the items (`text_list`, `multi_picklist`). Blanks round an item and empty items are dropped. Default: a
    /// comma. Example: `separator = ";"`.
    pub separator: Option<String>,
    /// What is done with the cell's text, in order, before it is read. A blank cell is left alone. Default: nothing.
    /// Example: `transforms = ["trim", { prefix = "DE-" }]`.
    pub transforms: Option<Vec<Transform>>,
    /// Texts that count as blank, in small or capital letters. Default: none. Example: `null_tokens = ["n/a", "-"]`.
    pub null_tokens: Option<Vec<String>>,
    /// The text that takes the place of a blank cell or, as `default_on` and `on_invalid` say, of one that does not read.
    /// It is read as a cell is, and not transformed. Default: none. Example: `default = "0"`.
    pub default: Option<String>,
    /// Which cells the default is for: `missing` (blank) or `invalid`; `on_invalid = "default"` adds the invalid ones.
    /// Default: `missing`. Example: `default_on = "invalid"`.
    pub default_on: Option<DefaultOn>,
    /// What a blank cell does to the value that is stored: `keep` it or `clear` it. Default: `keep`. Example:
    /// `on_blank = "clear"`.
    pub on_blank: Option<OnBlank>,
    /// A text that erases the value that is stored. Default: none. Example: `clear_token = "(none)"`.
    pub clear_token: Option<String>,
    /// How a value meets the one that is stored: `overwrite` it, write `if_empty`, or `append` to a list what it lacks.
    /// Default: `overwrite`. Example: `write = "if_empty"`.
    pub write: Option<WriteMode>,
    /// Whether a blank cell counts as invalid. Default: false. Example: `required = true`.
    pub required: Option<bool>,
    /// What happens to a cell that does not read, or is not allowed: `reject_row`, `null_field` (the field is left out of
    /// the row, with a warning), `default` (with a warning) or `fail_file`. Default: `reject_row`. Example:
    /// `on_invalid = "null_field"`.
    pub on_invalid: Option<OnInvalid>,
    /// The least value (numbers, `date`, `datetime`), written as a workbook's cell is: `.` before decimals, ISO 8601.
    /// Example: `min = "0"`.
    pub min: Option<String>,
    /// The greatest value. Example: `max = "2100-01-01"`.
    pub max: Option<String>,
    /// The least length in characters (texts). Example: `min_length = 2`.
    pub min_length: Option<u32>,
    /// The greatest length in characters. Example: `max_length = 80`.
    pub max_length: Option<u32>,
    /// A pattern that the whole text must match (texts; each item of a list). Example: `regex = "[A-Z]{2}-[0-9]+"`.
    pub regex: Option<String>,
    /// The texts that are allowed (texts; each item of a list). Example: `allowed = ["Gold", "Silver"]`.
    pub allowed: Option<Vec<String>>,
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
    /// A moment. Written with an offset it is that moment; without, it is local time in the integration's time zone, and
    /// a date alone is that day's beginning. A time that a clock change left out is refused; of one that it repeats, the
    /// first is meant.
    Datetime,
    /// One of a few texts.
    Picklist,
    /// Several of a few texts.
    MultiPicklist,
    /// Several texts.
    TextList,
    /// A web address with `http`, `https` or `ftp` before it, or without (`acme.com/about`).
    Url,
    /// An e-mail address.
    Email,
    /// What tells a user: the destination finds whom.
    LookupUser,
}

/// Something of the file itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FileSource {
    /// `key`, `sheet` (the name; blank in CSV files) or `row` (the number of the row in its table, from 1, the header not
    /// counted). Required. Example: `part = "key"`.
    pub part: Option<FilePart>,
    /// What is taken of the key or sheet: what the pattern's one group matches, or else the whole match. A file in which
    /// nothing matches fails. Default: everything. Example: `regex = "region=([a-z]+)"`.
    pub regex: Option<String>,
}

/// A part of what is known of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FilePart {
    /// Its key.
    Key,
    /// The name of the sheet.
    Sheet,
    /// The number of the row.
    Row,
}

/// Which cells the default is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DefaultOn {
    /// Blank ones.
    Missing,
    /// Those that do not read.
    Invalid,
}

/// What a blank cell does to the value that is stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnBlank {
    /// Nothing.
    #[default]
    Keep,
    /// It erases it.
    Clear,
}

/// How a value meets the one that is stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WriteMode {
    /// The newest counts.
    #[default]
    Overwrite,
    /// The oldest counts.
    IfEmpty,
    /// Lists: the union counts.
    Append,
}

/// What happens to a cell that does not read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnInvalid {
    /// Its row is rejected.
    #[default]
    RejectRow,
    /// The field has no value in this row.
    NullField,
    /// The default takes its place.
    Default,
    /// The whole file fails.
    FailFile,
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
    /// Currency symbols or other texts that may stand once before or after the number. Default: none. Example:
    /// `symbols = ["€", "EUR"]`.
    pub symbols: Option<Vec<String>>,
    /// What a percent sign after the number means: `ignore` it (`12%` is 12) or `hundredth` (`12%` is 0.12). Default: such
    /// a number is refused, but for `type = "percent"`, where 12% is 12. Example: `percent = "hundredth"`.
    pub percent: Option<PercentSign>,
    /// Whether a number in parentheses is negative. Default: false, and it is refused. Example: `parentheses = true`.
    pub parentheses: Option<bool>,
    /// Whether a minus may stand behind the number. Default: false. Example: `trailing_minus = true`.
    pub trailing_minus: Option<bool>,
}

/// What a percent sign after a number means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PercentSign {
    /// Nothing.
    Ignore,
    /// A hundredth.
    Hundredth,
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
