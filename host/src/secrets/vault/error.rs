//! What can go wrong with the vault, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use age::EncryptError;

use super::{LARGEST, VERSION};
use crate::secrets::{SecretError, SecretName, SecretReference};

/// Why the vault could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The key has no value.
    #[error("the vault's key cannot be read")]
    Key(#[source] Box<SecretError>),
    /// Others than the key's owner may read it.
    #[error("the vault's key, {place}, can be read by others than its owner (mode {mode:03o})")]
    Exposed {
        /// Where it stands.
        place: SecretReference,
        /// The permission bits.
        mode: u32,
    },
    /// What stands there is no key.
    #[error("{place} is no age identity")]
    NotAKey {
        /// Where.
        place: SecretReference,
    },
    /// The vault is not encrypted to the key that is configured.
    #[error("the vault is encrypted to another key")]
    OtherKey,
    /// A file or directory could not be read or written.
    #[error("cannot {what} `{}`", path.display())]
    Io {
        /// The step.
        what: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's own words.
        #[source]
        source: io::Error,
    },
    /// The file is not one of ours.
    #[error("`{}` is no vault, or is damaged", path.display())]
    NotAVault {
        /// The file.
        path: PathBuf,
    },
    /// Others than its owner may write the file.
    #[error("the vault `{}` can be written by others than its owner (mode {mode:03o})", path.display())]
    Writable {
        /// The file.
        path: PathBuf,
        /// The permission bits.
        mode: u32,
    },
    /// It was written by a newer version.
    #[error("the vault has version {found}, this version reads up to {VERSION}")]
    Newer {
        /// What stands there.
        found: u64,
    },
    /// A secret is not what was stored under its name.
    #[error("the secret `{name}` is damaged")]
    Damaged {
        /// Its name.
        name: SecretName,
    },
    /// There is no such secret.
    #[error("there is no secret `{name}`")]
    Missing {
        /// Its name.
        name: SecretName,
    },
    /// There is such a secret already.
    #[error("there is a secret `{name}` already")]
    Taken {
        /// Its name.
        name: SecretName,
    },
    /// It would be larger than is read.
    #[error("the vault would have more than {LARGEST} bytes")]
    Full,
    /// A new key must be made where the configured one stands, and that is not ours to write.
    #[error("the key is a systemd credential, which cannot be replaced from here")]
    NotReplaceable,
    /// Nothing could be encrypted.
    #[error("cannot encrypt")]
    Encrypt(#[source] Box<EncryptError>),
}

impl VaultError {
    pub(super) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source }
    }

    /// Whether nothing can be said from here, because only the service may look (R14).
    pub fn is_not_checked(&self) -> bool {
        match self {
            Self::Key(error) => error.is_not_checked(),
            Self::Io { source, .. } => source.kind() == io::ErrorKind::PermissionDenied,
            _ => false,
        }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Key(error) => error.hint(),
            Self::Exposed { place: SecretReference::File(path), .. } => {
                Some(format!("chmod 600 {}; if others have read it: gristmill secret rekey", path.display()))
            }
            Self::NotAKey { .. } => Some("make one with `gristmill secret key FILE`".to_owned()),
            Self::OtherKey => Some("configure the key that it was made with, or that of its last `rekey`".to_owned()),
            Self::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("run it as root, or as the owner of the state directory".to_owned())
            }
            Self::NotAVault { .. } => {
                Some("put back a copy of it, or move it away and store the secrets again".to_owned())
            }
            Self::Writable { path, .. } => Some(format!(
                "chmod 600 {}; if others have written it, their key may be among its `recipients`: gristmill secret rekey",
                path.display()
            )),
            Self::Newer { .. } => Some("install the version that wrote it, or a newer one".to_owned()),
            Self::Damaged { name } => Some(format!("gristmill secret rotate {name}")),
            Self::Missing { name } => Some(format!("gristmill secret set {name}")),
            Self::Taken { name } => Some(format!("to replace it: gristmill secret rotate {name}")),
            Self::NotReplaceable => Some(
                "make a key with `gristmill secret key FILE`, then `gristmill secret rekey --to FILE`: its help says how \
                 it goes on"
                    .to_owned(),
            ),
            Self::Full => Some("remove what nobody refers to: gristmill secret list".to_owned()),
            Self::Exposed { .. } | Self::Io { .. } | Self::Encrypt(_) => None,
        }
    }
}
