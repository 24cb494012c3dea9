//! The vault: secrets of our own keeping, in one file, each encrypted to the vault's key.
//!
//! It owns the file, its key, and what a crash leaves of either. It does not know what a secret is for, nor who refers
//! to it.
//!
//! # The file
//!
//! `vault.json` in the state directory, readable by its owner alone:
//!
//! ```text
//! { "format": "gristmill-vault", "version": 1, "recipients": ["age1…"],
//!   "secrets": { "NAME": { "set": "2026-11-23T09:00:00Z", "age": "…" } } }
//! ```
//!
//! `recipients` are the public halves of the keys that open it. `age` is an age file
//! (<https://age-encryption.org/v1>) in base64; it holds the name, a zero byte and the value, so that no value can be
//! passed off as another's. Names and times are no secrets. As encrypting takes the public halves alone, a secret can be
//! stored where the key cannot be read: outside the unit that has it as a credential. A file that others may write is
//! refused: they could add a key of their own to the recipients.
//!
//! # Crashes
//!
//! A change is written aside as a whole, flushed, and takes the file's place in one rename, so that there is always the
//! old file or the new one. Writers wait for each other by a lock on the state directory; readers need none. A new key
//! comes in three such steps: everything is encrypted to both keys, the key's file is replaced, everything is encrypted
//! to the new key alone. So the key that stands in its place opens the vault at every moment.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use age::x25519::{Identity, Recipient};
use age::{DecryptError, Decryptor, EncryptError, Encryptor};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use rustix::fs::{FlockOperation, flock};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::{MAX_BYTES, SecretName};

mod error;
mod key;
#[cfg(test)]
mod tests;

pub use error::VaultError;
pub use key::KeyPlace;
use key::{identity, key_text};

const FILE: &str = "vault.json";
const FORMAT: &str = "gristmill-vault";
/// The version this program writes, and the newest it reads.
const VERSION: u64 = 1;
/// The largest file that is read or written, in bytes: more than a hundred secrets of the largest size.
const LARGEST: u64 = 16 << 20;

/// What the file holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    format: String,
    version: u64,
    recipients: Vec<String>,
    secrets: BTreeMap<String, Sealed>,
}

/// One encrypted secret.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    set: Timestamp,
    age: String,
}

/// What every version of the file says first.
#[derive(Deserialize)]
struct Head {
    format: String,
    version: u64,
}

/// Whether a value takes the place of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// There must be none of that name.
    New,
    /// There must be one.
    Replacement,
}

/// A vault and where its key stands. Cheap to make; holds neither key nor value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vault {
    directory: PathBuf,
    key: KeyPlace,
    credentials_directory: Option<PathBuf>,
}

impl Vault {
    /// The vault in a state directory.
    pub(super) fn new(directory: PathBuf, key: KeyPlace, credentials_directory: Option<PathBuf>) -> Self {
        Self { directory, key, credentials_directory }
    }

    /// Decrypts one value.
    pub(super) fn get(&self, name: &SecretName) -> Result<SecretString, VaultError> {
        match self.get_once(name) {
            // A new key may have come between reading the vault and reading the key.
            Err(VaultError::OtherKey) => self.get_once(name),
            got => got,
        }
    }

    fn get_once(&self, name: &SecretName) -> Result<SecretString, VaultError> {
        let contents = self.load()?;
        let sealed = contents.as_ref().and_then(|contents| contents.secrets.get(name.as_str()));
        let sealed = sealed.ok_or_else(|| VaultError::Missing { name: name.clone() })?;
        sealed.open(name, &self.identity()?)
    }

    /// The names in it, and when each value was stored.
    pub fn list(&self) -> Result<Vec<(SecretName, Timestamp)>, VaultError> {
        let secrets = self.load()?.map(|contents| contents.secrets).unwrap_or_default();
        secrets.into_iter().map(|(name, sealed)| Ok((self.name(&name)?, sealed.set))).collect()
    }

    /// Whether a value of that name could be stored now.
    pub fn may_put(&self, name: &SecretName, put: Put) -> Result<(), VaultError> {
        self.load_or_begin()?.admits(name, put)
    }

    /// Stores a value.
    pub fn put(&self, name: &SecretName, value: &SecretString, put: Put, now: Timestamp) -> Result<(), VaultError> {
        let _lock = self.lock()?;
        let mut contents = self.load_or_begin()?;
        contents.admits(name, put)?;
        let sealed = Sealed::of(name, value, &contents.recipients(self)?, now)?;
        contents.secrets.insert(name.to_string(), sealed);
        self.write(&contents)
    }

    /// Forgets a value.
    pub fn remove(&self, name: &SecretName) -> Result<(), VaultError> {
        let _lock = self.lock()?;
        let missing = || VaultError::Missing { name: name.clone() };
        let mut contents = self.load()?.ok_or_else(missing)?;
        contents.secrets.remove(name.as_str()).ok_or_else(missing)?;
        self.write(&contents)
    }

    /// Puts a new key in the place of the one that is configured, and encrypts everything to it. Its public half.
    pub fn rekey(&self, now: Timestamp) -> Result<String, VaultError> {
        let KeyPlace::File(path) = &self.key else { return Err(VaultError::NotReplaceable) };
        let _lock = self.lock()?;
        let (old, new) = (self.identity()?, Identity::generate());
        self.encrypt_to(&old, &[old.to_public(), new.to_public()])?;
        // What a link leads to is replaced, not the link.
        let path = fs::canonicalize(path).map_err(VaultError::io("find", path))?;
        replace(&path, &key_text(&new, now))?;
        self.encrypt_to(&new, &[new.to_public()])?;
        Ok(new.to_public().to_string())
    }

    /// Encrypts everything to the configured key and to the one in a file; to that alone where they are the same. The
    /// public halves.
    pub fn rekey_to(&self, path: &Path) -> Result<Vec<String>, VaultError> {
        let _lock = self.lock()?;
        let configured = self.identity()?;
        let other = identity(&KeyPlace::File(path.to_owned()), None)?;
        let mut recipients = vec![configured.to_public()];
        if other.to_public().to_string() != configured.to_public().to_string() {
            recipients.push(other.to_public());
        }
        self.encrypt_to(&configured, &recipients)?;
        Ok(recipients.iter().map(ToString::to_string).collect())
    }

    fn encrypt_to(&self, identity: &Identity, recipients: &[Recipient]) -> Result<(), VaultError> {
        let mut contents = self.load()?.unwrap_or_else(|| Contents::empty(Vec::new()));
        contents.recipients = recipients.iter().map(ToString::to_string).collect();
        for (name, sealed) in &mut contents.secrets {
            let name = self.name(name)?;
            let value = sealed.open(&name, identity)?;
            *sealed = Sealed::of(&name, &value, recipients, sealed.set)?;
        }
        self.write(&contents)
    }

    /// The configured key.
    fn identity(&self) -> Result<Identity, VaultError> {
        identity(&self.key, self.credentials_directory.as_deref())
    }

    /// The contents; an empty vault for the configured key where there is none. A key that can be read must be one of
    /// those that open it.
    fn load_or_begin(&self) -> Result<Contents, VaultError> {
        let contents = self.load()?;
        match (self.identity(), contents) {
            (Ok(identity), None) => Ok(Contents::empty(vec![identity.to_public().to_string()])),
            (Ok(identity), Some(contents)) if contents.recipients.contains(&identity.to_public().to_string()) => {
                Ok(contents)
            }
            (Ok(_), Some(_)) => Err(VaultError::OtherKey),
            (Err(error), Some(contents)) if error.is_not_checked() => Ok(contents),
            (Err(error), _) => Err(error),
        }
    }

    fn file(&self) -> PathBuf {
        self.directory.join(FILE)
    }

    fn name(&self, text: &str) -> Result<SecretName, VaultError> {
        text.parse().map_err(|_| VaultError::NotAVault { path: self.file() })
    }

    fn load(&self) -> Result<Option<Contents>, VaultError> {
        let path = self.file();
        // Without `NONBLOCK`, opening a pipe would wait for its writer for ever.
        let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
        let file = match OpenOptions::new().read(true).custom_flags(flags).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(VaultError::io("read", &path)(error)),
        };
        let metadata = file.metadata().map_err(VaultError::io("read", &path))?;
        let mode = metadata.mode() & 0o777;
        if !metadata.is_file() {
            return Err(VaultError::NotAVault { path });
        }
        // Whoever may write it may have the next secret encrypted to a key of their own.
        if mode & 0o022 != 0 {
            return Err(VaultError::Writable { path, mode });
        }
        let mut bytes = Vec::new();
        file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(VaultError::io("read", &path))?;
        let foreign = || VaultError::NotAVault { path: path.clone() };
        let head: Head = serde_json::from_slice(&bytes).map_err(|_| foreign())?;
        match head {
            Head { format, .. } if format != FORMAT => Err(foreign()),
            Head { version, .. } if version > VERSION => Err(VaultError::Newer { found: version }),
            Head { .. } => serde_json::from_slice(&bytes).map(Some).map_err(|_| foreign()),
        }
    }

    /// The lock is held by the caller.
    fn write(&self, contents: &Contents) -> Result<(), VaultError> {
        let path = self.file();
        let text = serde_json::to_vec_pretty(contents).map_err(|_| VaultError::NotAVault { path: path.clone() })?;
        match text.len() as u64 {
            0..=LARGEST => replace(&path, &text),
            _ => Err(VaultError::Full),
        }
    }

    /// Keeps other writers out for as long as it is held.
    fn lock(&self) -> Result<File, VaultError> {
        let directory = &self.directory;
        let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.map_err(VaultError::io("make the directory", directory))?;
        let opened = File::open(directory).map_err(VaultError::io("open", directory))?;
        flock(&opened, FlockOperation::LockExclusive)
            .map_err(io::Error::from)
            .map_err(VaultError::io("lock", directory))?;
        Ok(opened)
    }
}

/// Makes a key in a file that is not there yet, and an empty vault for it where the state directory has none. Its public
/// half.
pub fn make_key(path: &Path, state_directory: &Path, now: Timestamp) -> Result<String, VaultError> {
    let identity = Identity::generate();
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(VaultError::io("make the key", path))?;
    let written = file.write_all(&key_text(&identity, now)).and_then(|()| file.sync_all());
    written.and_then(|()| sync_directory_of(path)).map_err(VaultError::io("write", path))?;
    let vault = Vault::new(state_directory.to_owned(), KeyPlace::File(path.to_owned()), None);
    let _lock = vault.lock()?;
    if vault.load()?.is_none() {
        vault.write(&Contents::empty(vec![identity.to_public().to_string()]))?;
    }
    Ok(identity.to_public().to_string())
}

impl Contents {
    fn empty(recipients: Vec<String>) -> Self {
        Self { format: FORMAT.to_owned(), version: VERSION, recipients, secrets: BTreeMap::new() }
    }

    fn admits(&self, name: &SecretName, put: Put) -> Result<(), VaultError> {
        match (self.secrets.contains_key(name.as_str()), put) {
            (true, Put::New) => Err(VaultError::Taken { name: name.clone() }),
            (false, Put::Replacement) => Err(VaultError::Missing { name: name.clone() }),
            (false, Put::New) | (true, Put::Replacement) => Ok(()),
        }
    }

    fn recipients(&self, vault: &Vault) -> Result<Vec<Recipient>, VaultError> {
        let parsed = self.recipients.iter().map(|text| text.parse());
        parsed.collect::<Result<_, _>>().map_err(|_| VaultError::NotAVault { path: vault.file() })
    }
}

impl Sealed {
    fn of(
        name: &SecretName,
        value: &SecretString,
        recipients: &[Recipient],
        set: Timestamp,
    ) -> Result<Self, VaultError> {
        let all = recipients.iter().map(|recipient| recipient as &dyn age::Recipient);
        let failed = |error| VaultError::Encrypt(Box::new(error));
        let encryptor = Encryptor::with_recipients(all).map_err(failed)?;
        let failed = |error| failed(EncryptError::Io(error));
        let mut writer = encryptor.wrap_output(Vec::new()).map_err(failed)?;
        for part in [name.as_str().as_bytes(), &[0], value.expose_secret().as_bytes()] {
            writer.write_all(part).map_err(failed)?;
        }
        let sealed = writer.finish().map_err(failed)?;
        Ok(Self { set, age: BASE64_STANDARD.encode(sealed) })
    }

    fn open(&self, name: &SecretName, identity: &Identity) -> Result<SecretString, VaultError> {
        let damaged = || VaultError::Damaged { name: name.clone() };
        let sealed = BASE64_STANDARD.decode(&self.age).map_err(|_| damaged())?;
        let opened = Decryptor::new_buffered(sealed.as_slice())
            .and_then(|decryptor| decryptor.decrypt(std::iter::once(identity as &dyn age::Identity)));
        let reader = opened.map_err(|error| match error {
            DecryptError::NoMatchingKeys => VaultError::OtherKey,
            _ => damaged(),
        })?;
        // Room for everything from the start: a buffer that grew would leave copies of the value behind.
        let largest = name.as_str().len() + 1 + MAX_BYTES;
        let mut opened = Zeroizing::new(Vec::with_capacity(largest + 1));
        reader.take(largest as u64 + 1).read_to_end(&mut opened).map_err(|_| damaged())?;
        let value = opened.strip_prefix(name.as_str().as_bytes()).and_then(|rest| rest.strip_prefix(&[0]));
        let value = value.filter(|value| value.len() <= MAX_BYTES).ok_or_else(damaged)?;
        Ok(SecretString::from(std::str::from_utf8(value).map_err(|_| damaged())?))
    }
}

/// Writes a file aside, for its owner alone, and puts it in the place of another in one rename. It belongs to whom the
/// other belonged, else to the owner of its directory, also when root writes it.
fn replace(path: &Path, content: &[u8]) -> Result<(), VaultError> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let owner = fs::metadata(path).or_else(|_| fs::metadata(directory)).map_err(VaultError::io("look at", path))?;
    let mut aside = path.as_os_str().to_owned();
    aside.push(".new");
    let aside = PathBuf::from(aside);
    // What a crash has left of an earlier one.
    match fs::remove_file(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(VaultError::io("remove", &aside)(error)),
        Ok(()) | Err(_) => {}
    }
    let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside).and_then(|mut file| {
        file.write_all(content)?;
        if rustix::process::geteuid().is_root() {
            fchown(&file, Some(owner.uid()), Some(owner.gid()))?;
        }
        file.sync_all()
    });
    written.map_err(VaultError::io("write", &aside))?;
    fs::rename(&aside, path).and_then(|()| sync_directory_of(path)).map_err(VaultError::io("replace", path))
}

/// A rename is durable once its directory is flushed.
fn sync_directory_of(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}
