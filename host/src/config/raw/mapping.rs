//! The tables of the built-in mapper: `identifiers`, `fields` and `usage` of an integration.
//!
//! Keys and types are read here, so that a slip is shown with its line. What the texts in them mean is the mapper's to
//! say: it gets the tables as JSON and checks them itself.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

mod fields;
mod identifiers;
mod usage;

pub(in crate::config) use fields::{
    RawBoolean, RawConcat, RawField, RawFilePart, RawLookup, RawNumber, RawReplace, RawSplit, RawTransform,
};
pub(in crate::config) use identifiers::{RawIdentifier, RawIdentifierPart, RawRegexReplacement};
pub(in crate::config) use usage::{RawDateColumn, RawLong, RawMetric, RawProduct, RawUsage, RawUser};

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
