//! Where in the configuration something stands: `integrations.acme.fields[2].column`.

use std::fmt;

/// The way from the root of the configuration to a key or a table. Empty for the root.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TomlPath(Vec<Segment>);

/// One step of a [`TomlPath`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Segment {
    /// Into a table, by key.
    Key(String),
    /// Into an array, from 0.
    Index(usize),
}

impl TomlPath {
    /// The path of a key within the table at this path.
    pub fn key(&self, key: impl Into<String>) -> Self {
        self.join([Segment::Key(key.into())])
    }

    /// This path and then another.
    pub fn join(&self, rest: impl IntoIterator<Item = Segment>) -> Self {
        Self(self.0.iter().cloned().chain(rest).collect())
    }

    /// The steps.
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// The keys alone, without array indices.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.iter().filter_map(|segment| match segment {
            Segment::Key(key) => Some(key.as_str()),
            Segment::Index(_) => None,
        })
    }

    /// The last key.
    pub fn last_key(&self) -> Option<&str> {
        self.keys().next_back()
    }

    /// Whether this is the path of `ancestor` or of something inside it.
    pub fn is_within(&self, ancestor: &Self) -> bool {
        self.0.starts_with(&ancestor.0)
    }
}

impl fmt::Display for TomlPath {
    /// Keys that TOML would not take bare are quoted, control characters escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Key(key) => {
                    if place > 0 {
                        f.write_str(".")?;
                    }
                    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
                    if !key.is_empty() && key.chars().all(bare) { f.write_str(key)? } else { write!(f, "{key:?}")? }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_keys_are_quoted() {
        let path =
            TomlPath::default().key("integrations").key("a b\n").key("fields").join([Segment::Index(2)]).key("column");
        assert_eq!(path.to_string(), r#"integrations."a b\n".fields[2].column"#);
        assert_eq!(path.last_key(), Some("column"));
    }
}
