//! Which column becomes which account field, and how its text is read.

use std::collections::BTreeMap;

use serde::Serialize;

use super::super::tables;
use super::{RawCell, RawWordOr};
use crate::batch::UserKey;

tables! {
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
        /// `lookup_user`: what the text tells the user by, of those that `gristmill users import` brought: `email`, `id` or
        /// `name`. Stored is the user's id. A text that tells of no one, or of several, leaves the field as it was, with a
        /// warning.
        ///
        /// ```text
        /// match = "email"
        /// ```
        r#match: UserKey,
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
}
