//! The vault's key: an age identity, and where it stands.

use std::path::{Path, PathBuf};

use age::x25519::Identity;
use jiff::Timestamp;
use secrecy::ExposeSecret;
use secrecy::zeroize::Zeroizing;
use serde::{Serialize, Serializer};

use super::VaultError;
use crate::secrets::{CredentialName, SecretError, SecretReference, read};

/// Where the vault's key stands: an age identity, as `age-keygen` writes it too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyPlace {
    /// A systemd credential.
    Credential(CredentialName),
    /// A file that its owner alone may read, by its absolute path.
    File(PathBuf),
}

impl KeyPlace {
    /// As a reference, in whose words it is spoken of.
    fn reference(&self) -> SecretReference {
        match self {
            Self::Credential(name) => SecretReference::Credential(name.clone()),
            Self::File(path) => SecretReference::File(path.clone()),
        }
    }
}

impl Serialize for KeyPlace {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.reference().serialize(serializer)
    }
}

/// A key as `age-keygen` writes it.
pub(super) fn key_text(identity: &Identity, now: Timestamp) -> Zeroizing<Vec<u8>> {
    let (public, secret) = (identity.to_public(), identity.to_string());
    let head = format!("# created: {now:.0}\n# public key: {public}\n");
    let mut text = Zeroizing::new(Vec::with_capacity(head.len() + secret.expose_secret().len() + 1));
    text.extend_from_slice(head.as_bytes());
    text.extend_from_slice(secret.expose_secret().as_bytes());
    text.push(b'\n');
    text
}

/// The key that stands in a place.
pub(super) fn identity(place: &KeyPlace, credentials_directory: Option<&Path>) -> Result<Identity, VaultError> {
    let reference = place.reference();
    let failed = |error| VaultError::Key(Box::new(error));
    let text = match (place, credentials_directory) {
        (KeyPlace::Credential(name), Some(directory)) => {
            read(&directory.join(name.as_str()), &reference).map_err(failed)?.0
        }
        (KeyPlace::Credential(_), None) => return Err(failed(SecretError::OutsideUnit { reference })),
        (KeyPlace::File(path), _) => {
            let (text, mode) = read(path, &reference).map_err(failed)?;
            if mode & 0o077 != 0 {
                return Err(VaultError::Exposed { place: reference, mode });
            }
            text
        }
    };
    let is_key = |line: &&str| !line.is_empty() && !line.starts_with('#');
    let mut keys = text.expose_secret().lines().map(str::trim).filter(is_key);
    match (keys.next().map(str::parse), keys.next()) {
        (Some(Ok(identity)), None) => Ok(identity),
        _ => Err(VaultError::NotAKey { place: reference }),
    }
}
