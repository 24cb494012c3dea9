//! The shared nouns: names, one version of one S3 key, and the ids made from them.
//!
//! Every other module may use this one; it uses none of them. A name is built only by parsing, so that a value of one
//! of these types is known to be well formed.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

mod relocation;

pub use relocation::{Relocation, Site};

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text is empty.
    #[error("a {what} must not be empty")]
    Empty {
        /// The kind of name.
        what: &'static str,
    },
    /// The text is longer than allowed.
    #[error("a {what} has at most {most} bytes")]
    TooLong {
        /// The kind of name.
        what: &'static str,
        /// The limit in bytes.
        most: usize,
    },
    /// A character is not allowed.
    #[error("`{found}` is not allowed in a {what}: letters, digits, `_` and `-` are")]
    Character {
        /// The kind of name.
        what: &'static str,
        /// The character.
        found: char,
    },
}

macro_rules! text_type {
    ($(#[$doc:meta])* $name:ident, $what:literal, $parse:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                let check: fn(&str, &'static str) -> Result<(), NameError> = $parse;
                check(text, $what)?;
                Ok(Self(text.into()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

/// Letters, digits, `_` and `-`, at most 64 bytes.
fn plain(text: &str, what: &'static str) -> Result<(), NameError> {
    bounded(text, what, 64)?;
    match text.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))) {
        Some(found) => Err(NameError::Character { what, found }),
        None => Ok(()),
    }
}

fn bounded(text: &str, what: &'static str, most: usize) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty { what });
    }
    if text.len() > most {
        return Err(NameError::TooLong { what, most });
    }
    Ok(())
}

text_type!(
    /// The key of a connection: letters, digits, `_` and `-`, at most 64 bytes.
    ConnectionKey, "connection key", plain
);
text_type!(
    /// The name of an integration: letters, digits, `_` and `-`, at most 64 bytes.
    IntegrationName, "integration name", plain
);
text_type!(
    /// The name of a tenant: letters, digits, `_` and `-`, at most 64 bytes.
    TenantName, "tenant name", plain
);
text_type!(
    /// The name of a mapper: letters, digits, `_` and `-`, at most 64 bytes.
    MapperName, "mapper name", plain
);
text_type!(
    /// The name of a destination: letters, digits, `_` and `-`, at most 64 bytes.
    DestinationName, "destination name", plain
);
text_type!(
    /// The name of a declared account field: letters, digits, `_` and `-`, at most 64 bytes.
    AccountFieldName, "account field name", plain
);
text_type!(
    /// The name of a webhook that is told of alarms: letters, digits, `_` and `-`, at most 64 bytes.
    NotifyName, "notify name", plain
);
text_type!(
    /// The name of a bucket. Servers differ in what they allow; the text is passed on as it is.
    BucketName, "bucket name", |text, what| bounded(text, what, 255)
);
text_type!(
    /// An S3 key: any UTF-8 of 1 to 1,024 bytes, control characters included.
    ObjectKey, "key", |text, what| bounded(text, what, 1024)
);
text_type!(
    /// An ETag without the quotes round it.
    ETag, "ETag", |text, what| bounded(text, what, 256)
);
text_type!(
    /// `{connection}/{bucket}/{key}#etag={etag}`: what makes an object the same object.
    DedupKey, "dedup key", |text, what| bounded(text, what, 2048)
);

impl DedupKey {
    /// The dedup key of one version of one key.
    pub fn new(connection: &ConnectionKey, bucket: &BucketName, key: &ObjectKey, etag: &ETag) -> Self {
        Self(format!("{connection}/{bucket}/{key}#etag={etag}").into())
    }
}

impl Default for TenantName {
    fn default() -> Self {
        Self("default".into())
    }
}

/// One version of one S3 key, as a listing showed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// The connection it was listed over.
    pub connection: ConnectionKey,
    /// Its bucket.
    pub bucket: BucketName,
    /// Its key.
    pub key: ObjectKey,
    /// Its ETag.
    pub etag: ETag,
    /// Bytes.
    pub size: u64,
    /// When the server stored it, in whole seconds on most servers.
    pub last_modified: Timestamp,
}

impl Object {
    /// The dedup key of this version.
    pub fn dedup_key(&self) -> DedupKey {
        DedupKey::new(&self.connection, &self.bucket, &self.key, &self.etag)
    }
}

impl fmt::Display for Object {
    /// `s3://bucket/key`, control characters escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/", self.bucket)?;
        for c in self.key.as_str().chars() {
            if c.is_control() { write!(f, "{}", c.escape_default())? } else { write!(f, "{c}")? }
        }
        Ok(())
    }
}

/// How often a person asked for this object again; 0 for the first ingestion (R1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u32);

impl Generation {
    /// The generation that a replay makes.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// What a destination confirms at most once (I2, R1).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// Two integrations over the same object each get it.
    pub integration: IntegrationName,
    /// Which version of which key.
    pub dedup_key: DedupKey,
    /// Which asking.
    pub generation: Generation,
}

impl Identity {
    /// 64 hexadecimal digits that stand for this identity in paths and delivery ids.
    pub fn digest(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.integration.as_str().as_bytes());
        hasher.update(&[0]);
        hasher.update(self.dedup_key.as_str().as_bytes());
        hasher.update(&[0]);
        hasher.update(&self.generation.0.to_le_bytes());
        hasher.finalize().to_hex().to_string()
    }
}

/// The order in which writes apply, whatever the order in which files were taken (R2). Compared field by field.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AsOf {
    /// The later of last-modified and the key's previous effective time.
    pub effective_time: Timestamp,
    /// The key; two keys of one second are ordered by name.
    pub key: ObjectKey,
    /// The ledger's durable count of this key's versions.
    pub arrival: u64,
    /// The generation.
    pub generation: Generation,
}

macro_rules! digest_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name([u8; 32]);

        impl $name {
            /// From the digest's bytes.
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The digest's bytes.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = DigestError;
            fn from_str(text: &str) -> Result<Self, DigestError> {
                let digits = text.as_bytes();
                if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
                    return Err(DigestError);
                }
                let mut bytes = [0; 32];
                for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
                    let digit = |c: u8| (c as char).to_digit(16).unwrap_or_default() as u8;
                    *byte = digit(pair[0]) << 4 | digit(pair[1]);
                }
                Ok(Self(bytes))
            }
        }

        impl TryFrom<String> for $name {
            type Error = DigestError;
            fn try_from(text: String) -> Result<Self, DigestError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(digest: $name) -> String {
                digest.to_string()
            }
        }
    };
}

/// A text is not a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a digest is 64 hexadecimal digits")]
pub struct DigestError;

digest_type!(
    /// BLAKE3 of an object's bytes (R5).
    ContentHash
);
digest_type!(
    /// Of everything that decides what an object's rows become: settings, dialect, mapper components (R6).
    MappingDigest
);
digest_type!(
    /// SHA-256 of a component, as a configuration pins it.
    ComponentDigest
);

/// A public key of minisign, in base64, as it stands in the second line of a `.pub` file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct SignerKey(Box<str>);

impl SignerKey {
    /// The base64.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The text is no public key of minisign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a public key of minisign has 56 characters of base64 and begins with `RW`")]
pub struct SignerKeyError;

impl FromStr for SignerKey {
    type Err = SignerKeyError;

    fn from_str(text: &str) -> Result<Self, SignerKeyError> {
        minisign_verify::PublicKey::from_base64(text).map(|_| Self(text.into())).map_err(|_| SignerKeyError)
    }
}

/// A share from 0 to 1, in millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Share(u32);

impl Share {
    /// None beyond 0 and 1.
    pub fn of(number: f64) -> Option<Self> {
        (0.0..=1.0).contains(&number).then(|| Self((number * 1e6).round() as u32))
    }

    /// From 0 to 1.
    pub fn as_f64(self) -> f64 {
        f64::from(self.0) / 1e6
    }

    /// What is left when so much is taken away, and never less than nothing.
    pub fn less(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// Whether a part is more than this share of a whole. Exact.
    pub fn is_exceeded_by(self, part: u64, whole: u64) -> bool {
        u128::from(part) * 1_000_000 > u128::from(self.0) * u128::from(whole)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_built_only_by_parsing() {
        assert_eq!(ConnectionKey::from_str("acme_1-a").unwrap().as_str(), "acme_1-a");
        assert_eq!(
            ConnectionKey::from_str("acme/1").unwrap_err().to_string(),
            "`/` is not allowed in a connection key: letters, digits, `_` and `-` are"
        );
        assert!(ObjectKey::from_str("").is_err());
        assert!(ObjectKey::from_str("a b+c:%\u{7}ü").is_ok());
        assert!(serde_json::from_str::<IntegrationName>("\"a b\"").is_err());
    }

    #[test]
    fn digests_round_trip() {
        let digest = ContentHash::from_bytes(*blake3::hash(b"x").as_bytes());
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert_eq!("zz".parse::<ContentHash>(), Err(DigestError));
    }

    #[test]
    fn as_of_orders_by_time_then_key_then_arrival_then_generation() {
        let at = |second, key: &str, arrival, generation| AsOf {
            effective_time: Timestamp::from_second(second).unwrap(),
            key: key.parse().unwrap(),
            arrival,
            generation: Generation(generation),
        };
        let sorted = [at(1, "b", 9, 9), at(2, "a", 9, 9), at(2, "b", 1, 9), at(2, "b", 2, 0), at(2, "b", 2, 1)];
        assert!(sorted.is_sorted() && sorted[3] < sorted[4]);
    }
}
