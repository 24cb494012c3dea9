//! The structs that mirror the file, key by key. Nothing is checked here but the types that TOML knows.
//!
//! Their doc comments are the manual: the example file and the examples beside error messages are made of them
//! ([`super::manual`]). A block marked `toml` is an example that works as it stands; one marked `text` shows another
//! choice.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

pub(super) mod account_field;
pub(super) mod connection;
pub(super) mod daemon;
pub(super) mod decode;
pub(super) mod destination;
pub(super) mod integration;
pub(super) mod mapper;
pub(super) mod mapping;
pub(super) mod notify;
pub(super) mod secrets;
pub(super) mod tenant;
pub(super) mod vault;

/// A raw struct with its documentation.
pub(super) trait Documented {
    /// The lines of the table's doc comment.
    const DOCS: &'static [&'static str];
    /// The keys, in the order of the struct.
    const KEYS: &'static [KeyDocs];
}

/// The documentation of one key.
pub(super) struct KeyDocs {
    name: &'static str,
    /// The lines of the key's doc comment.
    pub(super) docs: &'static [&'static str],
}

impl KeyDocs {
    /// The key as it stands in the file.
    pub(super) fn name(&self) -> &'static str {
        self.name.strip_prefix("r#").unwrap_or(self.name)
    }
}

/// Declares raw structs. Every key is optional in them: the checks say what is required, with better words than a
/// deserializer has.
macro_rules! tables {
    ($(
        $(#[doc = $docs:literal])*
        $(#[derive($derive:path)])?
        struct $table:ident { $( $(#[doc = $key_docs:literal])* $key:ident: $type:ty, )* }
    )*) => { $(
        $(#[doc = $docs])*
        #[derive(Debug, Default, serde::Deserialize $(, $derive)?)]
        #[serde(deny_unknown_fields)]
        pub(in crate::config) struct $table { $(
            $(#[doc = $key_docs])*
            #[serde(skip_serializing_if = "Option::is_none")]
            pub(in crate::config) $key: Option<$type>,
        )* }

        impl $crate::config::raw::Documented for $table {
            const DOCS: &'static [&'static str] = &[$($docs),*];
            const KEYS: &'static [$crate::config::raw::KeyDocs] =
                &[$($crate::config::raw::KeyDocs { name: stringify!($key), docs: &[$($key_docs),*] }),*];
        }
    )* };
}
use tables;

tables! {
    /// Where a secret stands: exactly one of these keys.
    struct RawSecretReference {
        /// The name of a systemd credential, which the unit loads with `LoadCredentialEncrypted=`.
        credential: String,
        /// The absolute path of a file that holds nothing but the secret.
        file: String,
        /// The name of a variable of the daemon's environment.
        env: String,
        /// The name of a secret in the vault, which `gristmill secret set` stores.
        secret: String,
        /// A secret of AWS Secrets Manager.
        aws_secrets_manager: Box<secrets::RawAwsSecret>,
        /// A secret of Google Cloud Secret Manager.
        google_secret_manager: Box<secrets::RawGoogleSecret>,
        /// A secret of HashiCorp Vault.
        hashicorp_vault: Box<secrets::RawHashicorpSecret>,
    }
}

/// One key of a reference.
pub(super) enum Given {
    Credential(String),
    File(String),
    Env(String),
    Secret(String),
    Aws(Box<secrets::RawAwsSecret>),
    Google(Box<secrets::RawGoogleSecret>),
    Hashicorp(Box<secrets::RawHashicorpSecret>),
}

impl RawSecretReference {
    /// The keys that are there.
    pub(super) fn given(self) -> Vec<Given> {
        let keys = [
            self.credential.map(Given::Credential),
            self.file.map(Given::File),
            self.env.map(Given::Env),
            self.secret.map(Given::Secret),
            self.aws_secrets_manager.map(Given::Aws),
            self.google_secret_manager.map(Given::Google),
            self.hashicorp_vault.map(Given::Hashicorp),
        ];
        keys.into_iter().flatten().collect()
    }
}

/// A secret as the file has it. A text that stands there itself is dropped at once, so that nothing can show it.
#[derive(Debug)]
pub(super) enum RawSecret {
    /// The secret itself, where only a reference may stand.
    PlainText,
    /// A reference.
    Reference(RawSecretReference),
}

/// A text that may stand in the file, or a reference to it.
#[derive(Debug)]
pub(super) enum RawText {
    /// The text itself.
    PlainText(String),
    /// A reference.
    Reference(RawSecretReference),
}

impl<'de> Deserialize<'de> for RawSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match deserializer.deserialize_any(TextOrReference)? {
            RawText::PlainText(_) => Self::PlainText,
            RawText::Reference(reference) => Self::Reference(reference),
        })
    }
}

impl<'de> Deserialize<'de> for RawText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrReference)
    }
}

struct TextOrReference;

impl<'de> Visitor<'de> for TextOrReference {
    type Value = RawText;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a reference such as { credential = \"NAME\" }")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<RawText, E> {
        Ok(RawText::PlainText(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawText, A::Error> {
        RawSecretReference::deserialize(MapAccessDeserializer::new(map)).map(RawText::Reference)
    }
}
