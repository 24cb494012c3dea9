//! Native code between runs, in a private directory.
//!
//! | file | holds |
//! |---|---|
//! | `key` | 32 random bytes, made once |
//! | `DIGEST.ENGINE.code` | a seal, then the native code of the component with that SHA-256 |
//! | `DIGEST.ENGINE.refused` | a seal, then why that component could not be compiled, as JSON |
//! | `aside-*` | a file being written; renamed when it is whole |
//!
//! `ENGINE` stands for everything that code must have been compiled with to load: another version of the engine never
//! looks at it. A seal is BLAKE3 keyed with the key, over the kind of entry, the digest, the engine and the rest of the
//! file. An entry that does not bear it, by damage or by forgery, is as good as none.
//!
//! # Invariants
//!
//! - What [`Cache::code`] returns was written by this program, under this user, for exactly this component and engine.
//! - A crash leaves an old entry, a new one or none.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::engine::Compatibility;
use super::error::MapperError;
use super::limits::CompileLimits;
use crate::object::ComponentDigest;

/// Bytes of a seal, and of the key.
const SEAL: usize = 32;
/// How the name of a file being written begins.
const ASIDE_PREFIX: &str = "aside-";
/// How long a file being written may stand there before it counts as left over by a crash.
const ASIDE: Duration = Duration::from_secs(60 * 60);
/// How long entries of another engine are kept: a version may be rolled back.
const OTHER_ENGINE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Why a component could not be compiled, and within which limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Refusal {
    /// Why.
    pub(super) reason: String,
    /// With what it was allowed; with other limits it may be tried again.
    pub(super) limits: CompileLimits,
}

/// The kinds of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Code,
    Refusal,
}

impl Kind {
    fn extension(self) -> &'static str {
        match self {
            Self::Code => ".code",
            Self::Refusal => ".refused",
        }
    }
}

/// The directory, its key, and the engine that its entries must be for.
pub(super) struct Cache {
    directory: PathBuf,
    key: [u8; SEAL],
    engine: Compatibility,
}

impl Cache {
    /// Opens the directory, or makes it, for this user alone.
    pub(super) fn open(directory: PathBuf, engine: Compatibility) -> Result<Self, MapperError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&directory);
        let private = made.and_then(|()| fs::set_permissions(&directory, Permissions::from_mode(0o700)));
        private.map_err(|source| MapperError::Io { what: "make the directory", path: directory.clone(), source })?;
        let key = open_key(&directory)?;
        let cache = Self { directory, key, engine };
        cache.sweep();
        Ok(cache)
    }

    /// The native code of a component, if a whole and genuine entry holds it.
    pub(super) fn code(&self, digest: &ComponentDigest) -> Result<Option<Vec<u8>>, MapperError> {
        self.read(Kind::Code, digest)
    }

    /// Keeps the native code of a component.
    pub(super) fn keep_code(&self, digest: &ComponentDigest, code: &[u8]) -> Result<(), MapperError> {
        self.write(Kind::Code, digest, code)
    }

    /// Why a component could not be compiled, if it was tried.
    pub(super) fn refusal(&self, digest: &ComponentDigest) -> Result<Option<Refusal>, MapperError> {
        let entry = self.read(Kind::Refusal, digest)?;
        Ok(entry.and_then(|entry| serde_json::from_slice(&entry).ok()))
    }

    /// Keeps the reason why a component could not be compiled.
    pub(super) fn keep_refusal(&self, digest: &ComponentDigest, refusal: &Refusal) -> Result<(), MapperError> {
        let path = self.path(Kind::Refusal, digest);
        let entry = serde_json::to_vec(refusal).map_err(|error| MapperError::Io {
            what: "write",
            path,
            source: error.into(),
        })?;
        self.write(Kind::Refusal, digest, &entry)
    }

    fn path(&self, kind: Kind, digest: &ComponentDigest) -> PathBuf {
        self.directory.join(format!("{digest}.{}{}", self.engine.short(), kind.extension()))
    }

    fn seal(&self, kind: Kind, digest: &ComponentDigest, entry: &[u8]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(kind.extension().as_bytes()).update(&[0]);
        hasher.update(digest.as_bytes()).update(self.engine.as_bytes()).update(entry);
        hasher.finalize()
    }

    /// Reads an entry into one buffer and checks the seal over that buffer, so that nothing can change in between.
    fn read(&self, kind: Kind, digest: &ComponentDigest) -> Result<Option<Vec<u8>>, MapperError> {
        let path = self.path(kind, digest);
        let mut seal = [0; SEAL];
        let mut entry = Vec::new();
        let read = File::open(&path).and_then(|mut file| {
            file.read_exact(&mut seal)?;
            file.read_to_end(&mut entry)
        });
        match read {
            // The comparison takes the same time wherever the two differ.
            Ok(_) if self.seal(kind, digest, &entry) == blake3::Hash::from_bytes(seal) => Ok(Some(entry)),
            Ok(_) => Ok(None),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::UnexpectedEof) => Ok(None),
            Err(source) => Err(MapperError::Io { what: "read", path, source }),
        }
    }

    fn write(&self, kind: Kind, digest: &ComponentDigest, entry: &[u8]) -> Result<(), MapperError> {
        let path = self.path(kind, digest);
        let seal = self.seal(kind, digest, entry);
        let write = || {
            let mut aside = aside(&self.directory)?;
            aside.write_all(seal.as_bytes())?;
            aside.write_all(entry)?;
            aside.persist(&path).map_err(|error| error.error)
        };
        match write() {
            Ok(_) => Ok(()),
            Err(source) => Err(MapperError::Io { what: "write", path, source }),
        }
    }

    /// Removes what crashes and older versions left behind. What cannot be looked at or removed stays, and costs space
    /// alone.
    fn sweep(&self) {
        let ours = format!(".{}.", self.engine.short());
        for entry in fs::read_dir(&self.directory).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let is_entry = [Kind::Code, Kind::Refusal].iter().any(|kind| name.ends_with(kind.extension()));
            let keep = if name.starts_with(ASIDE_PREFIX) {
                ASIDE
            } else if is_entry && !name.contains(&ours) {
                OTHER_ENGINE
            } else {
                continue;
            };
            let written = entry.metadata().and_then(|metadata| metadata.modified());
            if written.is_ok_and(|written| written.elapsed().is_ok_and(|age| age > keep)) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// A new file that only this user can read.
fn aside(directory: &Path) -> io::Result<tempfile::NamedTempFile> {
    tempfile::Builder::new().prefix(ASIDE_PREFIX).tempfile_in(directory)
}

/// The key: the one there is, or a new one. A key that is damaged or that others can read is replaced, which voids
/// every entry.
fn open_key(directory: &Path) -> Result<[u8; SEAL], MapperError> {
    let path = directory.join("key");
    let failed = |what, source| MapperError::Io { what, path: path.clone(), source };
    if let Some(key) = read_key(&path).map_err(|source| failed("read", source))? {
        return Ok(key);
    }
    let mut key = [0; SEAL];
    getrandom::fill(&mut key).map_err(|error| failed("make", io::Error::other(error)))?;
    write_key(directory, &path, key).map_err(|source| failed("write", source))
}

/// Writes a key unless another process was faster, and returns the one that stands there.
fn write_key(directory: &Path, path: &Path, key: [u8; SEAL]) -> io::Result<[u8; SEAL]> {
    let mut aside = aside(directory)?;
    aside.write_all(&key)?;
    let Err(error) = aside.persist_noclobber(path) else {
        return Ok(key);
    };
    if error.error.kind() != ErrorKind::AlreadyExists {
        return Err(error.error);
    }
    match read_key(path)? {
        Some(theirs) => Ok(theirs),
        // What stands there is no key.
        None => error.file.persist(path).map(|_| key).map_err(|error| error.error),
    }
}

fn read_key(path: &Path) -> io::Result<Option<[u8; SEAL]>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.take(SEAL as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes.try_into().ok())
}
