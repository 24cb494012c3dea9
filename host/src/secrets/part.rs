//! One text out of a JSON object.

use std::fmt;

use secrecy::SecretString;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

/// Why a part of a secret is not there. Nothing of the secret is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PartProblem {
    /// The secret, or what stands on the way, is something else.
    #[error("the secret is not a JSON object")]
    NotAnObject,
    /// The object does not have it.
    #[error("the secret has no such member")]
    Missing,
    /// It is a number, an object, or something else that is not a text.
    #[error("it is not a text")]
    NotText,
    /// It is an empty text.
    #[error("it is empty")]
    Empty,
}

/// The text at the end of a way of keys. Of what stands beside it no copy is made.
pub(super) fn find(json: &str, way: &[&str]) -> Result<SecretString, PartProblem> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let found = Step(way).deserialize(&mut deserializer);
    // Nothing but JSON may follow, and its own words may repeat a value.
    found.and_then(|found| deserializer.end().map(|()| found)).map_err(|_| PartProblem::NotAnObject)?
}

/// What is still to go.
struct Step<'w>(&'w [&'w str]);

type Found = Result<SecretString, PartProblem>;

impl<'de> DeserializeSeed<'de> for Step<'_> {
    type Value = Found;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Found, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Step<'_> {
    /// What another value than the one that is looked for comes to.
    fn other(&self) -> Found {
        Err(if self.0.is_empty() { PartProblem::NotText } else { PartProblem::NotAnObject })
    }
}

impl<'de> Visitor<'de> for Step<'_> {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found, A::Error> {
        let Some((wanted, rest)) = self.0.split_first() else {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(self.other());
        };
        let mut found = Err(PartProblem::Missing);
        while let Some(key) = map.next_key::<String>()? {
            match key == *wanted {
                true => found = map.next_value_seed(Step(rest))?,
                false => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(found)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Found, E> {
        Ok(match (self.0, text) {
            ([], "") => Err(PartProblem::Empty),
            ([], text) => Ok(SecretString::from(text)),
            _ => self.other(),
        })
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut sequence: A) -> Result<Found, A::Error> {
        while sequence.next_element::<IgnoredAny>()?.is_some() {}
        Ok(self.other())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Found, E> {
        Ok(self.other())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Found, E> {
        Ok(self.other())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Found, E> {
        Ok(self.other())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Found, E> {
        Ok(self.other())
    }

    /// A value that was taken away: the versions of a deleted secret have it.
    fn visit_unit<E: Error>(self) -> Result<Found, E> {
        Ok(self.other())
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn check(json: &str, way: &[&str], expected: Result<&str, PartProblem>) {
        let found = find(json, way).map(|value| value.expose_secret().to_owned());
        assert_eq!(found, expected.map(str::to_owned), "{json}");
    }

    #[test]
    fn a_text_is_found_at_the_end_of_its_way() {
        check(r#"{"a":1,"b":"x\n\u00e9"}"#, &["b"], Ok("x\né"));
        check(r#"{"data":{"metadata":{},"data":{"key":"x","other":[{}]}}}"#, &["data", "data", "key"], Ok("x"));
        check(r#" {"b":"x"} "#, &["b"], Ok("x"));
    }

    #[test]
    fn what_is_not_there_is_told_from_what_is_something_else() {
        check(r#"{"a":"x"}"#, &["b"], Err(PartProblem::Missing));
        check("{}", &["b"], Err(PartProblem::Missing));
        for json in ["x", "", "[]", "1", "-1", "1.5", "true", "null", "\"x\"", r#"{"b":"x""#, r#"{"b":"x"} y"#] {
            check(json, &["b"], Err(PartProblem::NotAnObject));
        }
        for value in ["1", "null", "false", "{\"c\":1}", "[\"x\"]"] {
            check(&format!("{{\"b\":{value}}}"), &["b"], Err(PartProblem::NotText));
        }
        check(r#"{"b":""}"#, &["b"], Err(PartProblem::Empty));
        check(r#"{"data":{"data":null}}"#, &["data", "data", "key"], Err(PartProblem::NotAnObject));
    }
}
