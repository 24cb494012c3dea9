//! Records as texts of JSON, taken apart without losing a digit: a number that was parsed is not what was written.

use super::{Change, shown};

/// What a record is of. Account records stand first of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Kind {
    Account,
    Usage,
}

impl Kind {
    /// What says which record of its row it is, beside the account.
    fn identity(self) -> &'static [&'static str] {
        match self {
            Self::Account => &[],
            Self::Usage => &["user", "product", "metric", "period", "period_start"],
        }
    }
}

/// A record of a row, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record<'a> {
    kind: Kind,
    text: &'a str,
    /// Names as they are written and the texts of values.
    members: Vec<(&'a str, &'a str)>,
}

/// By what two records are taken for the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alike {
    /// Every byte.
    Text,
    /// The account, and what else says which record it is.
    Identity,
    /// The same but for the account.
    Purpose,
}

impl<'a> Record<'a> {
    /// Takes a record apart: an object as our own writer of lines makes it, without blanks.
    pub(super) fn of(kind: Kind, text: &'a str) -> Self {
        Self { kind, text, members: members(text).unwrap_or_default() }
    }

    pub(super) fn shown(&self) -> String {
        shown(self.text)
    }

    pub(super) fn key(&self, alike: Alike) -> String {
        match alike {
            Alike::Text => self.text.to_owned(),
            Alike::Identity => self.parts(&["account"]),
            Alike::Purpose => self.parts(&[]),
        }
    }

    fn parts(&self, more: &[&str]) -> String {
        let is_part = |name: &str| more.contains(&name) || self.kind.identity().contains(&name);
        let parts = self.members.iter().filter(|(name, _)| is_part(name));
        let parts: Vec<String> = parts.map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", parts.join(","))
    }

    /// What says which record it is.
    pub(super) fn identity(&self) -> String {
        shown(&self.parts(&["account"]))
    }

    /// What differs in another record.
    pub(super) fn changes(&self, new: &Self) -> Vec<Change> {
        let (current, new) = (self.values(), new.values());
        differences(&current, &new)
    }

    /// Everything of it by name; account fields by their own names.
    fn values(&self) -> Vec<(String, &'a str)> {
        let mut values = Vec::new();
        for (name, value) in &self.members {
            match (self.kind, *name) {
                (Kind::Account, "fields") => {
                    let fields = members(value).unwrap_or_default();
                    values.extend(fields.into_iter().map(|(name, value)| (unescaped(name), value)));
                }
                _ => values.push(((*name).to_owned(), *value)),
            }
        }
        values
    }
}

/// What differs between two lists of names and JSON texts, in their order.
pub(super) fn differences<T: AsRef<str>>(current: &[(String, T)], new: &[(String, T)]) -> Vec<Change> {
    let of = |list: &[(String, T)], name: &str| {
        list.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_ref().to_owned())
    };
    let only_new = new.iter().filter(|(name, _)| current.iter().all(|(known, _)| known != name));
    let names = current.iter().chain(only_new).map(|(name, _)| name);
    let changes = names.map(|name| (name, of(current, name), of(new, name)));
    changes
        .filter(|(_, current, new)| current != new)
        .map(|(name, current, new)| Change {
            field: name.clone(),
            current: current.as_deref().map(shown),
            new: new.as_deref().map(shown),
        })
        .collect()
}

fn unescaped(name: &str) -> String {
    serde_json::from_str(&format!("\"{name}\"")).unwrap_or_else(|_| name.to_owned())
}

/// The members of an object: names without their quotes, and texts of values.
fn members(object: &str) -> Option<Vec<(&str, &str)>> {
    let mut rest = object.strip_prefix('{')?;
    let mut members = Vec::new();
    while !rest.starts_with('}') {
        let (name, after) = split_value(rest)?;
        let (value, after) = split_value(after.strip_prefix(':')?)?;
        members.push((name.strip_prefix('"')?.strip_suffix('"')?, value));
        rest = after.strip_prefix(',').unwrap_or(after);
    }
    Some(members)
}

/// The value that a text begins with, and what follows it.
fn split_value(text: &str) -> Option<(&str, &str)> {
    let (mut depth, mut is_text, mut is_escaped) = (0_usize, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_text => is_escaped = true,
            b'"' => is_text = !is_text,
            _ if is_text => {}
            b'{' | b'[' => depth += 1,
            b',' | b':' | b'}' | b']' if depth == 0 => return Some(text.split_at(at)),
            b'}' | b']' => depth -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_taken_apart_with_every_digit() {
        let text = r#"{"account":[{"crm_id":"a\"},{:"}],"fields":{"a\\":1.50,"b":[],"c":null},"x":{}}"#;
        let found = members(text).unwrap();
        let expected =
            [("account", r#"[{"crm_id":"a\"},{:"}]"#), ("fields", r#"{"a\\":1.50,"b":[],"c":null}"#), ("x", "{}")];
        assert_eq!(found, expected);
        assert_eq!(members(found[1].1).unwrap(), [(r"a\\", "1.50"), ("b", "[]"), ("c", "null")]);
        assert_eq!(members("{}"), Some(Vec::new()));
        for broken in ["", "{", "{\"a\"}", "{\"a\":1", "{a:1}"] {
            assert_eq!(members(broken), None, "{broken}");
        }
    }

    #[test]
    fn a_field_that_is_erased_is_not_one_that_is_kept() {
        let of = |fields: &str| format!(r#"{{"account":[{{"id":"1"}}],"fields":{{{fields}}}}}"#);
        let (current, new) = (of(r#""a":1.50,"b":2,"c":null,"d":"x""#), of(r#""a":1.5,"b":2,"e\n":null,"d":"x""#));
        let [current, new] = [&current, &new].map(|text| Record::of(Kind::Account, text));
        let change = |field: &str, current: Option<&str>, new: Option<&str>| Change {
            field: field.to_owned(),
            current: current.map(str::to_owned),
            new: new.map(str::to_owned),
        };
        let expected = [
            change("a", Some("1.50"), Some("1.5")),
            change("c", Some("null"), None),
            change("e\n", None, Some("null")),
        ];
        assert_eq!(current.changes(&new), expected);
        assert_eq!(current.identity(), r#"{"account":[{"id":"1"}]}"#);
    }
}
