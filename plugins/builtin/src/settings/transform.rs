//! What an operator may write of transforms.

use std::collections::BTreeMap;

use serde::Deserialize;

/// One step on the way from a cell to the text that is read. A text that becomes blank is left alone by those after it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transform {
    /// Blanks at the ends go.
    Trim,
    /// Every run of blanks becomes one, and those at the ends go.
    CollapseWhitespace,
    /// Small letters.
    Lower,
    /// Capital letters.
    Upper,
    /// The first letter of every word a capital one, the others small.
    Title,
    /// Every occurrence of a text, or match of a pattern, is replaced.
    Replace(Replace),
    /// What the pattern's one group matches, or else the whole match. Where nothing matches, the cell is invalid.
    RegexExtract(String),
    /// One part of a text that a separator divides. Blank where there are fewer parts.
    Split(Split),
    /// Other columns of the row are added, those that are not blank.
    Concat(Concat),
    /// Another text for each text of a table.
    Lookup(LookupTable),
    /// A text is put before.
    Prefix(String),
    /// A text is put after.
    Suffix(String),
    /// A number is multiplied, exactly. Example: `{ scale = "0.001" }`.
    Scale(String),
    /// A number is rounded to so many decimals, half away from zero.
    Round(u8),
}

/// Replaces every occurrence of a text, or match of a pattern: one of `text` and `regex`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Replace {
    /// The text. Example: `text = " Inc."`.
    pub text: Option<String>,
    /// The pattern. Example: `regex = "[^0-9]"`.
    pub regex: Option<String>,
    /// What takes its place; of a match, `$1` or `${name}` stands for a group and `$$` for a dollar sign. Required.
    pub with: Option<String>,
}

/// Takes one part of a text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Split {
    /// What divides the parts. Required. Example: `on = "/"`.
    pub on: Option<String>,
    /// Which part, from 1; from the end where it is negative. Required. Example: `take = -1`.
    pub take: Option<i32>,
}

/// Adds other columns.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Concat {
    /// The columns, by name. Required. Example: `columns = ["City", "Country"]`.
    pub columns: Option<Vec<String>>,
    /// What is put between. Default: nothing. Example: `separator = ", "`.
    pub separator: Option<String>,
}

/// Another text for each text of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LookupTable {
    /// The table. Required. Example: `table = { A = "Active", C = "Churned" }`.
    pub table: Option<BTreeMap<String, String>>,
    /// What happens to a text that is not in it: the cell is `invalid`, it is left as it is (`keep`), or it becomes blank
    /// (`blank`). Default: `invalid`. Example: `missing = "keep"`.
    pub missing: Option<OnMissing>,
}

/// What happens to a text that is not in a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnMissing {
    /// The cell is invalid.
    #[default]
    Invalid,
    /// It stays.
    Keep,
    /// It becomes blank.
    Blank,
}
