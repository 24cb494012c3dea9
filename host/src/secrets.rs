//! Secret references to secret values.
//!
//! A configuration never holds a secret, only a [`SecretReference`]: where the value stands. [`Secrets`] reads it when
//! it is needed: here what this machine has, in `remote` what services keep. This module knows nothing of S3 or of what a
//! secret is for.
//!
//! `vault` keeps secrets of our own.
//!
//! Invariants:
//! - A value leaves this module only inside a [`SecretString`], which neither prints nor compares, and is wiped when
//!   dropped. The buffer it was read into is wiped as well.
//! - An error or a warning names the reference, never a part of the value.
//! - At most [`MAX_BYTES`] are read.
//! - Reading blocks, on the file system or until a service has answered, so nobody reads on an async thread. Looking
//!   ([`Secrets::look`]) asks no service.

use std::ffi::OsStr;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rustix::fs::OFlags;
use secrecy::zeroize::Zeroizing;
pub use secrecy::{ExposeSecret, SecretString};
use serde::{Serialize, Serializer};

use remote::Remote;

mod failure;
mod part;
mod remote;
mod spelling;
#[cfg(test)]
mod tests;
pub mod vault;

use vault::{KeyPlace, Vault, VaultError};

pub use spelling::SpellingError;

pub use failure::{Failure, FailureKind};
pub use part::PartProblem;
pub use remote::{AwsSecret, GoogleSecret, HashicorpLogin, HashicorpSecret, HashicorpServer, KEPT, RemoteReference};

/// The largest value that is read, in bytes. Keys, tokens and certificates are far smaller; a reference to a log file
/// or a device is a mistake.
pub const MAX_BYTES: usize = 64 * 1024;

/// Where a secret value stands.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SecretReference {
    /// A systemd credential: a file of this name in `$CREDENTIALS_DIRECTORY`.
    Credential(CredentialName),
    /// A file, by its absolute path.
    File(PathBuf),
    /// A variable of the daemon's environment.
    Environment(VariableName),
    /// A secret in the vault.
    Vault(SecretName),
    /// What a service keeps.
    Remote(Box<RemoteReference>),
}

impl From<&RemoteReference> for SecretReference {
    fn from(reference: &RemoteReference) -> Self {
        Self::Remote(Box::new(reference.clone()))
    }
}

impl fmt::Display for SecretReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Credential(name) => write!(f, "credential `{name}`"),
            Self::File(path) => write!(f, "file `{}`", path.display()),
            Self::Environment(name) => write!(f, "environment variable `{name}`"),
            Self::Vault(name) => write!(f, "secret `{name}` of the vault"),
            Self::Remote(reference) => write!(f, "{reference}"),
        }
    }
}

impl Serialize for SecretReference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

macro_rules! reference_name {
    ($(#[$doc:meta])* $name:ident, $error:ident, $rule:literal, $allowed:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Box<str>);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        /// The text is not such a name. The text itself is not repeated: it may be a secret in the wrong place.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
        #[error($rule)]
        pub struct $error;

        impl FromStr for $name {
            type Err = $error;
            fn from_str(text: &str) -> Result<Self, $error> {
                let allowed: fn(&[u8]) -> bool = $allowed;
                if text.len() <= 255 && allowed(text.as_bytes()) { Ok(Self(text.into())) } else { Err($error) }
            }
        }
    };
}

reference_name!(
    /// The name of a systemd credential: letters, digits, `_`, `-` and `.`, not first a `.`. It can therefore never lead
    /// out of the credentials directory.
    CredentialName, CredentialNameError,
    "a credential name has 1 to 255 letters, digits, `_`, `-` and `.`, and does not begin with `.`",
    |text| {
        text.first().is_some_and(|first| *first != b'.')
            && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(byte))
    }
);
reference_name!(
    /// The name of an environment variable: letters, digits and `_`, not first a digit.
    VariableName, VariableNameError,
    "a variable name has 1 to 255 letters, digits and `_`, and does not begin with a digit",
    |text| {
        text.first().is_some_and(|first| !first.is_ascii_digit())
            && text.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
    }
);

reference_name!(
    /// The name of a secret in the vault: lower-case letters, digits, `_`, `-` and `.`, first a letter or digit. Most keys
    /// and tokens have capital letters, so that one in the place of its name is refused and not shown.
    SecretName, SecretNameError,
    "a secret's name has 1 to 255 lower-case letters, digits, `_`, `-` and `.`, and begins with a letter or digit",
    |text| {
        let is_plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        text.first().is_some_and(is_plain) && text.iter().all(|byte| is_plain(byte) || b"_-.".contains(byte))
    }
);

/// Why a secret has no value.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Only a service that systemd started can see its credentials, so nothing is known of this one (R14).
    #[error("{reference} can be read only inside the unit: `$CREDENTIALS_DIRECTORY` is not set")]
    OutsideUnit {
        /// The reference.
        reference: SecretReference,
    },
    /// Nothing stands there.
    #[error("{reference} does not exist")]
    Missing {
        /// The reference.
        reference: SecretReference,
    },
    /// The system refused.
    #[error("cannot read {reference}")]
    Read {
        /// The reference.
        reference: SecretReference,
        /// The system's own words.
        #[source]
        source: std::io::Error,
    },
    /// A directory, pipe or device.
    #[error("{reference} is not a regular file")]
    NotAFile {
        /// The reference.
        reference: SecretReference,
    },
    /// More than [`MAX_BYTES`].
    #[error("{reference} has more than {MAX_BYTES} bytes")]
    TooLong {
        /// The reference.
        reference: SecretReference,
    },
    /// Empty, or nothing but a line end.
    #[error("{reference} is empty")]
    Empty {
        /// The reference.
        reference: SecretReference,
    },
    /// Not text.
    #[error("{reference} is not UTF-8")]
    NotUtf8 {
        /// The reference.
        reference: SecretReference,
    },
    /// The configuration has no vault, or one with a problem of its own.
    #[error("{reference} cannot be read without a vault")]
    NoVault {
        /// The reference.
        reference: SecretReference,
    },
    /// The vault cannot be read.
    #[error("cannot read {reference}")]
    Vault {
        /// The reference.
        reference: SecretReference,
        /// Why.
        #[source]
        source: Box<VaultError>,
    },
    /// A service keeps it, and that is not asked only to look.
    #[error("{reference} is read from its service when it is needed")]
    NotAsked {
        /// The reference.
        reference: SecretReference,
    },
    /// The service is left out of this build.
    #[error("this build has no {service}")]
    NotBuilt {
        /// The service.
        service: &'static str,
    },
    /// The service did not give it.
    #[error("cannot read {reference}")]
    Service {
        /// The reference.
        reference: SecretReference,
        /// What the service said, or what kept it from saying anything.
        #[source]
        failure: Box<Failure>,
    },
    /// The service gave a secret without the part that is meant.
    #[error("cannot take {reference}")]
    Part {
        /// The reference.
        reference: SecretReference,
        /// What is wrong with it.
        #[source]
        problem: PartProblem,
    },
}

impl SecretError {
    /// Whether nothing can be said of the secret from here, so that it is neither good nor bad (R14).
    pub fn is_not_checked(&self) -> bool {
        match self {
            Self::OutsideUnit { .. } | Self::NotAsked { .. } => true,
            Self::Vault { source, .. } => source.is_not_checked(),
            _ => false,
        }
    }

    /// Whether it may be read later although nobody mends anything.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Service { failure, .. } if failure.kind.may_pass())
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::OutsideUnit { .. } => Some("it is checked when the service starts".into()),
            Self::Missing { reference: SecretReference::Credential(name) } => Some(format!(
                "add `LoadCredentialEncrypted={name}:/etc/credstore.encrypted/{name}` to the unit (`systemctl edit gristmill`)"
            )),
            Self::Missing { reference: SecretReference::Environment(name) } => {
                Some(format!("set it in the unit, for instance by `EnvironmentFile=` with a line `{name}=…`"))
            }
            Self::Missing { reference: SecretReference::Vault(name) } => Some(format!("gristmill secret set {name}")),
            Self::NoVault { .. } => Some("add the table `[vault]`, or mend it".into()),
            Self::Vault { source, .. } => source.hint(),
            Self::NotAsked { .. } => Some("`gristmill connection test` reads it".into()),
            Self::NotBuilt { .. } => Some("run a build with it; the released ones have every service".into()),
            Self::Service { reference: SecretReference::Remote(reference), failure } => {
                remote::hint(reference, failure.kind)
            }
            Self::Service { .. }
            | Self::Part { .. }
            | Self::Missing { .. }
            | Self::Read { .. }
            | Self::NotAFile { .. }
            | Self::TooLong { .. }
            | Self::Empty { .. }
            | Self::NotUtf8 { .. } => None,
        }
    }
}

/// A secret that was read.
#[derive(Debug)]
pub struct Resolved {
    /// The value, less one line end.
    pub value: SecretString,
    /// What should be mended all the same.
    pub warning: Option<SecretWarning>,
}

/// What is wrong with the place of a secret, although it could be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretWarning {
    /// Others than its owner and group may read the file.
    #[error("{reference} can be read by every user of this machine (mode {mode:03o})")]
    ReadableByOthers {
        /// The reference.
        reference: SecretReference,
        /// The permission bits.
        mode: u32,
    },
    /// It comes in a variable.
    #[error("{reference} is shown to whoever may look at the unit, or at the environment of the process")]
    InEnvironment {
        /// The reference.
        reference: SecretReference,
    },
}

/// Sees to it that this process leaves no core file, which would hold secrets, and that no other process of its user
/// looks into its memory. Where the system refuses, the unit's `LimitCORE=0` is left.
pub fn keep_memory_private() {
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

/// Reads secrets. Cheap to make. It holds no value but what services gave, for as long as [`KEPT`] says; clones share
/// that.
#[derive(Debug, Clone)]
pub struct Secrets {
    credentials_directory: Option<PathBuf>,
    vault: Option<Vault>,
    remote: Remote,
}

impl Secrets {
    /// With the credentials that systemd gave this process, if it did.
    pub fn from_environment() -> Self {
        Self::new(std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from))
    }

    /// With the credentials in a directory.
    pub fn new(credentials_directory: Option<PathBuf>) -> Self {
        Self { credentials_directory, vault: None, remote: Remote::new(KEPT) }
    }

    /// The same with the vault in a state directory.
    pub fn with_vault(self, state_directory: &Path, key: KeyPlace) -> Self {
        let vault = Vault::new(state_directory.to_owned(), key, self.credentials_directory.clone());
        Self { vault: Some(vault), ..self }
    }

    /// The vault, if there is one.
    pub fn vault(&self) -> Option<&Vault> {
        self.vault.as_ref()
    }

    /// Lets services be asked anew for everything.
    pub fn forget(&self) {
        self.remote.forget();
    }

    /// Whether the value can be read, as far as that can be said without asking a service, and what should be mended all the
    /// same. Blocks on the file system.
    pub fn look(&self, reference: &SecretReference) -> Result<Option<SecretWarning>, SecretError> {
        match reference {
            SecretReference::Remote(reference) => self.remote.look(reference, self).map(|()| None),
            SecretReference::Credential(_)
            | SecretReference::Vault(_)
            | SecretReference::File(_)
            | SecretReference::Environment(_) => self.resolve(reference).map(|resolved| resolved.warning),
        }
    }

    /// Reads the value; one line end is taken off its end. Blocks on the file system, or until a service has answered.
    pub fn resolve(&self, reference: &SecretReference) -> Result<Resolved, SecretError> {
        match reference {
            SecretReference::Credential(name) => match &self.credentials_directory {
                // The directory's own mode keeps others out, so the file's does not matter.
                Some(directory) => {
                    read(&directory.join(name.as_str()), reference).map(|(value, _)| Resolved { value, warning: None })
                }
                None => Err(SecretError::OutsideUnit { reference: reference.clone() }),
            },
            SecretReference::File(path) => {
                let (value, mode) = read(path, reference)?;
                let exposed = mode & 0o004 != 0;
                let warning = exposed.then(|| SecretWarning::ReadableByOthers { reference: reference.clone(), mode });
                Ok(Resolved { value, warning })
            }
            SecretReference::Environment(name) => match std::env::var_os(OsStr::from_bytes(name.as_str().as_bytes())) {
                Some(value) => {
                    let bytes = Zeroizing::new(std::os::unix::ffi::OsStringExt::into_vec(value));
                    let warning = SecretWarning::InEnvironment { reference: reference.clone() };
                    Ok(Resolved { value: text(&bytes, reference)?, warning: Some(warning) })
                }
                None => Err(SecretError::Missing { reference: reference.clone() }),
            },
            SecretReference::Vault(name) => {
                let no_vault = || SecretError::NoVault { reference: reference.clone() };
                let value = self.vault.as_ref().ok_or_else(no_vault)?.get(name).map_err(|source| match source {
                    VaultError::Missing { .. } => SecretError::Missing { reference: reference.clone() },
                    source => SecretError::Vault { reference: reference.clone(), source: Box::new(source) },
                })?;
                Ok(Resolved { value, warning: None })
            }
            SecretReference::Remote(reference) => self.remote.resolve(reference, self),
        }
    }
}

/// The file's value and its permission bits.
fn read(path: &Path, reference: &SecretReference) -> Result<(SecretString, u32), SecretError> {
    let failed = |source: std::io::Error| match source.kind() {
        std::io::ErrorKind::NotFound => SecretError::Missing { reference: reference.clone() },
        _ => SecretError::Read { reference: reference.clone(), source },
    };
    // Without `NONBLOCK`, opening a pipe would wait for its writer for ever.
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32;
    let file: File = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(SecretError::NotAFile { reference: reference.clone() });
    }
    Ok((read_value(file, reference)?, metadata.mode() & 0o777))
}

/// All that can be read of a value; one line end is taken off its end.
pub fn read_value(input: impl Read, reference: &SecretReference) -> Result<SecretString, SecretError> {
    // Room for everything from the start: a buffer that grew would leave copies of the value behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_BYTES + 1));
    let read = input.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|source| SecretError::Read { reference: reference.clone(), source })?;
    text(&bytes, reference)
}

fn text(bytes: &[u8], reference: &SecretReference) -> Result<SecretString, SecretError> {
    if bytes.len() > MAX_BYTES {
        return Err(SecretError::TooLong { reference: reference.clone() });
    }
    let text = std::str::from_utf8(bytes).map_err(|_| SecretError::NotUtf8 { reference: reference.clone() })?;
    let text = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    if text.is_empty() {
        return Err(SecretError::Empty { reference: reference.clone() });
    }
    Ok(SecretString::from(text))
}
