//! Backups: the ledger and the SQLite stores, copied while the daemon runs, and put back (R18).
//!
//! It owns the layout of a backup and what stands where after a restore. It does not know where the ledger's lines come
//! from, and nothing of S3 or of mappers. Secrets, the configuration and local copies of files are in no backup, nor is
//! what stands in PostgreSQL or in a destination of files.
//!
//! # Layout
//!
//! ```text
//! {directory}/ledger.ndjson                      the ledger, as `ledger export` writes it
//! {directory}/stores/{destination}/{tenant}.db   each store as it stood at one moment
//! {directory}/backup.json                        the size and the BLAKE3 digest of each file, and when it was taken
//! ```
//!
//! # Order
//!
//! The ledger is copied first, so that it is never newer than a store: what it does not know yet is taken again, and
//! the stores, which know it as confirmed, take no part of it twice (I3). The manifest is written last, in one rename: a
//! backup that was cut short has none.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::destination::DestinationError;
use crate::destination::sqlite::backup::copy_store;
use crate::ledger::LedgerError;
use crate::object::{ContentHash, DestinationName, TenantName};

mod restore;

pub use restore::{Existing, Places, Restored};

const FORMAT: &str = "gristmill-backup";
/// The version this program writes, and the newest it reads.
const VERSION: u64 = 1;
const MANIFEST: &str = "backup.json";
const LEDGER: &str = "ledger.ndjson";
const STORES: &str = "stores";

/// Why a backup could not be written, read or put back.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// Something is in the way of a backup.
    #[error("`{}` is not empty", path.display())]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// The file system refused.
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
    /// A store could not be copied or looked at.
    #[error(transparent)]
    Store(#[from] DestinationError),
    /// The ledger could not be made anew.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// It was cut short, or is no backup at all.
    #[error("`{}` holds no whole backup: it has no `{MANIFEST}`", path.display())]
    NoManifest {
        /// The directory.
        path: PathBuf,
    },
    /// The manifest is not one of ours.
    #[error("`{}` cannot be read", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// It was written by a newer version.
    #[error("the backup has version {found}, this version reads up to {known}")]
    Newer {
        /// What stands there.
        found: u64,
        /// What is known.
        known: u64,
    },
    /// A file is missing, cut short, or has other bytes than those that were copied.
    #[error("`{}` is not the file that was backed up", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// A backup without the ledger, or with a file twice.
    #[error("the backup does not hold one ledger and each store once")]
    Incomplete,
    /// Nobody says where a store belongs.
    #[error("the backup has a store of the destination `{name}`, and no SQLite destination of that name is configured")]
    NoPlace {
        /// The destination.
        name: DestinationName,
    },
    /// A restore would replace something.
    #[error("`{}` is there already", path.display())]
    Occupied {
        /// The file.
        path: PathBuf,
    },
}

impl BackupError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotEmpty { .. } => Some("name a new directory for each backup"),
            Self::NoManifest { .. } => Some("a backup that was cut short has none; use an older one"),
            Self::Manifest { .. } | Self::Damaged { .. } | Self::Incomplete => Some("use another backup"),
            Self::Newer { .. } => Some("install the version that wrote it, or a newer one"),
            Self::NoPlace { .. } => Some("use the configuration that the backup was taken with"),
            Self::Occupied { .. } => Some("`--replace` moves what is there aside; nothing is deleted"),
            Self::Ledger(error) => error.hint(),
            Self::Store(error) => error.hint(),
            Self::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("run it as root, or as the owner of the state directory")
            }
            Self::Io { .. } => None,
        }
    }

    fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source }
    }
}

/// What a backup consists of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Part {
    /// The ledger.
    Ledger,
    /// One store.
    Store {
        /// Whose it is: the name it has in the configuration.
        destination: DestinationName,
        /// Whose accounts.
        tenant: TenantName,
    },
}

impl From<Part> for String {
    fn from(part: Part) -> Self {
        match part {
            Part::Ledger => LEDGER.to_owned(),
            Part::Store { destination, tenant } => format!("{STORES}/{destination}/{tenant}.db"),
        }
    }
}

impl TryFrom<String> for Part {
    type Error = String;

    /// No other path than one that we write leads anywhere.
    fn try_from(path: String) -> Result<Self, String> {
        if path == LEDGER {
            return Ok(Self::Ledger);
        }
        let store = || {
            let (destination, file) = path.strip_prefix(STORES)?.strip_prefix('/')?.split_once('/')?;
            let tenant = file.strip_suffix(".db")?.parse().ok()?;
            Some(Self::Store { destination: destination.parse().ok()?, tenant })
        };
        store().ok_or_else(|| format!("`{path}` is no file of a backup"))
    }
}

/// One file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CopiedFile {
    /// Its place in the backup.
    pub file: Part,
    /// Its bytes.
    pub size: u64,
    /// What they are.
    pub blake3: ContentHash,
}

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    format: String,
    version: u64,
    /// When it was begun; the ledger is no older, and a store no older than the ledger.
    pub taken_at: Timestamp,
    /// The version of this program that wrote it.
    pub gristmill: String,
    /// The ledger and the stores.
    pub files: Vec<CopiedFile>,
    /// Destinations of which nothing is in it.
    pub left_out: Vec<DestinationName>,
}

/// A backup that is being written.
pub struct NewBackup {
    directory: PathBuf,
    taken_at: Timestamp,
    files: Vec<CopiedFile>,
}

impl NewBackup {
    /// Begins one in a directory that is empty, or is made.
    pub fn begin(directory: &Path, now: Timestamp) -> Result<Self, BackupError> {
        make_directory(directory)?;
        let mut entries = directory.read_dir().map_err(BackupError::io("list", directory))?;
        if entries.next().is_some() {
            return Err(BackupError::NotEmpty { path: directory.to_owned() });
        }
        Ok(Self { directory: directory.to_owned(), taken_at: now, files: Vec::new() })
    }

    /// Where the ledger's lines go. Comes before all stores; [`NewBackup::end_ledger`] follows it.
    pub fn begin_ledger(&self) -> Result<File, BackupError> {
        let path = self.directory.join(LEDGER);
        new_private_file(&path).map_err(BackupError::io("make", &path))
    }

    /// All of the ledger's lines have been written.
    pub fn end_ledger(&mut self) -> Result<(), BackupError> {
        self.seal(Part::Ledger)
    }

    /// Copies a store. `progress` is told how many bytes came since it was last told.
    pub fn add_store(
        &mut self,
        destination: DestinationName,
        tenant: TenantName,
        from: &Path,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), BackupError> {
        let part = Part::Store { destination, tenant };
        let path = self.directory.join(String::from(part.clone()));
        if let Some(parent) = path.parent() {
            make_directory(parent)?;
        }
        copy_store(from, &path, progress)?;
        self.seal(part)
    }

    /// Flushes a file that is whole, and notes what it is.
    fn seal(&mut self, part: Part) -> Result<(), BackupError> {
        let path = self.directory.join(String::from(part.clone()));
        let file = File::open(&path).map_err(BackupError::io("open", &path))?;
        file.sync_all().map_err(BackupError::io("flush", &path))?;
        let (size, blake3) = digest(file).map_err(BackupError::io("read", &path))?;
        self.files.push(CopiedFile { file: part, size, blake3 });
        Ok(())
    }

    /// Writes the manifest, which makes it a backup.
    pub fn finish(self, left_out: Vec<DestinationName>) -> Result<Manifest, BackupError> {
        let manifest = Manifest {
            format: FORMAT.to_owned(),
            version: VERSION,
            taken_at: self.taken_at,
            gristmill: env!("CARGO_PKG_VERSION").to_owned(),
            files: self.files,
            left_out,
        };
        let stores = self.directory.join(STORES);
        for file in &manifest.files {
            let path = self.directory.join(String::from(file.file.clone()));
            path.parent().map_or(Ok(()), sync_directory)?;
        }
        if stores.is_dir() {
            sync_directory(&stores)?;
        }
        let (path, aside) = (self.directory.join(MANIFEST), self.directory.join(".backup.json"));
        let mut text = serde_json::to_vec_pretty(&manifest)
            .map_err(|source| BackupError::Manifest { path: path.clone(), source })?;
        text.push(b'\n');
        let written = new_private_file(&aside).and_then(|mut file| {
            file.write_all(&text)?;
            file.sync_all()
        });
        written.map_err(BackupError::io("write", &aside))?;
        fs::rename(&aside, &path).map_err(BackupError::io("write", &path))?;
        sync_directory(&self.directory)?;
        Ok(manifest)
    }
}

/// A backup of which every byte is what was copied.
pub struct Backup {
    directory: PathBuf,
    manifest: Manifest,
}

#[derive(Deserialize)]
struct Versioned {
    version: u64,
}

impl Backup {
    /// Reads a backup, all of it, and refuses one that is not whole.
    pub fn open(directory: &Path) -> Result<Self, BackupError> {
        let path = directory.join(MANIFEST);
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(BackupError::NoManifest { path: directory.to_owned() });
            }
            read => read.map_err(BackupError::io("read", &path))?,
        };
        let unreadable = |source| BackupError::Manifest { path: path.clone(), source };
        let Versioned { version: found } = serde_json::from_slice(&text).map_err(unreadable)?;
        if found > VERSION {
            return Err(BackupError::Newer { found, known: VERSION });
        }
        let manifest: Manifest = serde_json::from_slice(&text).map_err(unreadable)?;
        let mut parts: Vec<&Part> = manifest.files.iter().map(|file| &file.file).collect();
        parts.sort();
        parts.dedup();
        // The ledger sorts first.
        if parts.first() != Some(&&Part::Ledger) || parts.len() != manifest.files.len() {
            return Err(BackupError::Incomplete);
        }
        for copied in &manifest.files {
            let path = directory.join(String::from(copied.file.clone()));
            let found = match File::open(&path).and_then(digest) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                read => Some(read.map_err(BackupError::io("read", &path))?),
            };
            if found != Some((copied.size, copied.blake3)) {
                return Err(BackupError::Damaged { path });
            }
        }
        Ok(Self { directory: directory.to_owned(), manifest })
    }

    /// What it says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }
}

fn digest(mut file: File) -> io::Result<(u64, ContentHash)> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    let mut size = 0;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok((size, ContentHash::from_bytes(*hasher.finalize().as_bytes())));
        }
        size += read as u64;
        hasher.update(buffer.get(..read).unwrap_or_default());
    }
}

fn new_private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn make_directory(path: &Path) -> Result<(), BackupError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(BackupError::io("make", path))
}

fn sync_directory(path: &Path) -> Result<(), BackupError> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(BackupError::io("flush", path))
}
