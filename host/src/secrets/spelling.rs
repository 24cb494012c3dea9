//! How a reference is spelled on the command line: `file:/PATH`, with the word that is its key in the configuration.

use std::str::FromStr;

use super::SecretReference;

/// The text is no reference. It is not repeated: it may be a secret in the wrong place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpellingError {
    /// No such word before a colon.
    #[error("a secret is named by where it stands: `credential:NAME`, `secret:NAME`, `file:/PATH` or `env:NAME`")]
    Kind,
    /// The name behind it is none.
    #[error("{0}")]
    Name(String),
    /// A relative path.
    #[error("an absolute path is expected behind `file:`")]
    Relative,
}

impl FromStr for SecretReference {
    type Err = SpellingError;

    fn from_str(text: &str) -> Result<Self, SpellingError> {
        let (kind, place) = text.split_once(':').ok_or(SpellingError::Kind)?;
        match kind {
            "credential" => place.parse().map(Self::Credential).map_err(named),
            "secret" => place.parse().map(Self::Vault).map_err(named),
            "env" => place.parse().map(Self::Environment).map_err(named),
            "file" if place.starts_with('/') => Ok(Self::File(place.into())),
            "file" => Err(SpellingError::Relative),
            _ => Err(SpellingError::Kind),
        }
    }
}

fn named(error: impl ToString) -> SpellingError {
    SpellingError::Name(error.to_string())
}

impl SecretReference {
    /// Its key in the configuration, and the value of that key; none of what a service keeps, which has no such spelling.
    pub fn key_and_place(&self) -> Option<(&'static str, String)> {
        Some(match self {
            Self::Remote(_) => return None,
            Self::Credential(name) => ("credential", name.to_string()),
            Self::Vault(name) => ("secret", name.to_string()),
            Self::File(path) => ("file", path.display().to_string()),
            Self::Environment(name) => ("env", name.to_string()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_spelled_as_it_stands_in_the_configuration() {
        for text in
            ["credential:acme-key", "secret:acme-key", "file:/etc/gristmill/acme.key", "file:/a:b", "env:ACME_KEY"]
        {
            let reference: SecretReference = text.parse().unwrap();
            let (key, place) = reference.key_and_place().unwrap();
            assert_eq!(format!("{key}:{place}"), text);
        }
    }

    #[test]
    fn what_may_be_a_secret_itself_is_refused_and_not_repeated() {
        for text in ["wJalrXUtnFEMI", "wJalr:XUtnFEMI", "file:wJalrXUtnFEMI", "credential:wJalr/XUtn", "env:9wJalr"] {
            let error = text.parse::<SecretReference>().unwrap_err();
            assert!(!format!("{error} {error:?}").contains("wJalr"), "{error}");
        }
    }
}
