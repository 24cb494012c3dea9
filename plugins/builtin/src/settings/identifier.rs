//! What an operator may write of identifiers.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::is_key;

/// One strategy: the column, or the columns together, that say which account a row belongs to.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Identifier {
    /// The name of the column, exactly as it stands in the header. This, `index` or `columns` is required. Example:
    /// `column = "Account ID"`.
    pub column: Option<String>,
    /// Other names that the column has in some tables. Example: `aliases = ["AccountId"]`.
    pub aliases: Option<Vec<String>>,
    /// The number of the column, from 1, in the place of its name. Example: `index = 1`.
    pub index: Option<u32>,
    /// What its value is compared with: `crm_id`, `domain`, `name`, `id`, or `field:` and the key of an account field.
    /// Required beside `column` and `index`. Example: `match = "crm_id"`.
    pub r#match: Option<Match>,
    /// What is done with the value, in order, before it is compared. Default: nothing. Example:
    /// `normalize = ["trim", "sfdc18"]`.
    pub normalize: Option<Vec<Normalization>>,
    /// Up to six columns that say it together, each with what it is compared with. Example:
    /// `columns = [{ column = "Region", match = "field:region" }, { column = "Code", match = "field:code" }]`.
    pub columns: Option<Vec<IdentifierPart>>,
    /// Whether a table may lack the columns. The strategy is then left out, with a warning. Default: false. Example:
    /// `optional = true`.
    pub optional: Option<bool>,
}

/// One of several columns that together say which account a row belongs to.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IdentifierPart {
    /// As of an identifier of one column.
    pub column: Option<String>,
    /// As of an identifier of one column.
    pub aliases: Option<Vec<String>>,
    /// As of an identifier of one column.
    pub index: Option<u32>,
    /// As of an identifier of one column. Required.
    pub r#match: Option<Match>,
    /// As of an identifier of one column.
    pub normalize: Option<Vec<Normalization>>,
}

/// One step on the way from a cell to the value that is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Normalization {
    /// Blanks at the ends go.
    Trim,
    /// Small letters, in every script.
    Casefold,
    /// What is left of a web address without scheme, user, `www.`, port, path and query, in small letters:
    /// `https://www.Acme.com:443/about` is `acme.com`.
    Domain,
    /// The domain of an e-mail address, in small letters. A text without `@` has none and counts as blank.
    EmailDomain,
    /// The 18-character form of a Salesforce id, which no change of capital letters can spoil. The 15-character form gets
    /// its suffix, the other one its letters as the suffix says they were. Anything else stays.
    Sfdc18,
    /// Zeros at the beginning go, but for the last digit.
    StripLeadingZeros,
    /// Every match of a pattern is replaced.
    Regex(RegexReplacement),
}

impl<'de> Deserialize<'de> for Normalization {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NameOrReplacement)
    }
}

struct NameOrReplacement;

impl<'de> Visitor<'de> for NameOrReplacement {
    type Value = Normalization;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a normalization, or `regex` and `replace`")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Normalization, E> {
        const NAMES: [(&str, Normalization); 6] = [
            ("trim", Normalization::Trim),
            ("casefold", Normalization::Casefold),
            ("domain", Normalization::Domain),
            ("email_domain", Normalization::EmailDomain),
            ("sfdc18", Normalization::Sfdc18),
            ("strip_leading_zeros", Normalization::StripLeadingZeros),
        ];
        let found = NAMES.into_iter().find(|(known, _)| *known == name);
        found.map(|(_, normalization)| normalization).ok_or_else(|| {
            E::custom(format!(
                "{} is not one of `trim`, `casefold`, `domain`, `email_domain`, `sfdc18`, `strip_leading_zeros` and a \
                 table of `regex` and `replace`",
                crate::cell::quoted(name)
            ))
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Normalization, A::Error> {
        RegexReplacement::deserialize(MapAccessDeserializer::new(map)).map(Normalization::Regex)
    }
}

/// Replaces every match of a pattern.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RegexReplacement {
    /// The pattern. Required. Example: `regex = "[^0-9]"`.
    pub regex: Option<String>,
    /// What takes the place of a match; `$1` or `${name}` stands for a group, `$$` for a dollar sign. Required.
    pub replace: Option<String>,
}

/// What happens to rows on their way to accounts, as far as a mapper decides it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Matching {
    /// What happens to a row in which every identifier is blank, and other mapped cells are not: `error` rejects it,
    /// `skip_row` passes it over with a warning. Default: `error`. Example: `on_blank = "skip_row"`.
    pub on_blank: Option<OnBlankIdentifier>,
}

/// What happens to a row without identifier.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnBlankIdentifier {
    /// It is passed over, with a warning.
    SkipRow,
    /// It is rejected.
    #[default]
    Error,
}

/// What an identifier's value is compared with.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Match {
    /// `crm_id`: the account's id in the customer relationship system.
    CrmId,
    /// `domain`: a domain of the account.
    Domain,
    /// `name`: the account's name.
    Name,
    /// `id`: the account's id in the destination.
    Id,
    /// `field:KEY`: an account field.
    Field(String),
}

impl TryFrom<String> for Match {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "crm_id" => Ok(Self::CrmId),
            "domain" => Ok(Self::Domain),
            "name" => Ok(Self::Name),
            "id" => Ok(Self::Id),
            other => match other.strip_prefix("field:") {
                Some(key) if is_key(key) => Ok(Self::Field(key.to_owned())),
                _ => Err(format!(
                    "{} is not one of `crm_id`, `domain`, `name`, `id` and `field:` with the key of an account field",
                    crate::cell::quoted(other)
                )),
            },
        }
    }
}
