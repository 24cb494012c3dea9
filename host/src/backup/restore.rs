//! Putting a backup back.
//!
//! Everything is made aside first, in the directories that it belongs to. Then what is there goes aside, the ledger
//! first, and what was made takes its place, the ledger last. So a restore that is cut short leaves no ledger that is
//! newer than the stores, and the same command with `--replace` begins anew.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde::Serialize;

use super::{Backup, BackupError, LEDGER, Part, make_directory, new_private_file, sync_directory};
use crate::config::{Config, DestinationKind};
use crate::destination::sqlite::backup::{store_files, store_path};
use crate::ledger::{Imported, Ledger, LedgerError};
use crate::object::DestinationName;

/// Where the parts of a backup belong.
#[derive(Debug, Clone)]
pub struct Places {
    state: PathBuf,
    stores: BTreeMap<DestinationName, PathBuf>,
}

impl Places {
    /// Those of a configuration.
    pub fn of(config: &Config) -> Self {
        let stores = config.destinations.iter().filter_map(|(name, destination)| match &destination.kind {
            DestinationKind::Sqlite { path } => Some((name.clone(), path.clone())),
            DestinationKind::Postgres(_) | DestinationKind::Files { .. } | DestinationKind::Webhook(_) => None,
        });
        Self { state: config.daemon.state_dir.clone(), stores: stores.collect() }
    }

    /// The directories of SQLite stores, each once.
    pub fn stores(&self) -> Vec<(&DestinationName, &Path)> {
        let mut all: Vec<(&DestinationName, &Path)> = Vec::new();
        for (name, path) in &self.stores {
            if all.iter().all(|(_, known)| known != path) {
                all.push((name, path));
            }
        }
        all
    }

    fn ledger(&self) -> PathBuf {
        self.state.join("ledger.redb")
    }

    fn of_part(&self, part: &Part) -> Result<PathBuf, BackupError> {
        match part {
            Part::Ledger => Ok(self.ledger()),
            Part::Store { destination, tenant } => match self.stores.get(destination) {
                Some(directory) => Ok(store_path(directory, tenant)),
                None => Err(BackupError::NoPlace { name: destination.clone() }),
            },
        }
    }

    /// What stands there, the ledger first.
    fn occupied(&self) -> Result<Vec<PathBuf>, BackupError> {
        let mut found: Vec<PathBuf> = Some(self.ledger()).filter(|path| path.exists()).into_iter().collect();
        for (_, directory) in self.stores() {
            found.extend(store_files(directory)?);
        }
        Ok(found)
    }
}

/// What happens to a ledger or a store that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Nothing is restored.
    Refuse,
    /// They are moved into a directory `replaced-TIME` beside them.
    MoveAside,
}

/// What a restore did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Restored {
    /// What the ledger holds now.
    pub ledger: Imported,
    /// How many stores there are now.
    pub stores: usize,
    /// Where what was there before is now.
    pub moved: Vec<PathBuf>,
}

impl Backup {
    /// Puts everything in its place. No daemon may run.
    pub fn restore(&self, places: &Places, existing: Existing, now: Timestamp) -> Result<Restored, BackupError> {
        let mut targets = Vec::new();
        for copied in &self.manifest.files {
            targets.push((&copied.file, places.of_part(&copied.file)?));
        }
        // The ledger sorts first.
        targets.sort();
        let occupied = places.occupied()?;
        if let (Existing::Refuse, Some(path)) = (existing, occupied.first()) {
            return Err(BackupError::Occupied { path: path.clone() });
        }
        // As long as it is open nobody else works with what is there. One that cannot be read is what a backup is for.
        let _held = match places.ledger().exists().then(|| Ledger::open(&places.ledger())) {
            Some(Err(error @ LedgerError::InUse { .. })) => return Err(error.into()),
            Some(Ok(ledger)) => Some(ledger),
            Some(Err(_)) | None => None,
        };
        let mut ledger = Imported::default();
        for (part, target) in &targets {
            let directory = target.parent().unwrap_or(target);
            make_owned_directory(directory)?;
            let aside = aside(target);
            match fs::remove_file(&aside) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(BackupError::io("remove", &aside)(error));
                }
                Ok(()) | Err(_) => {}
            }
            match part {
                Part::Ledger => ledger = self.make_ledger(&aside)?,
                Part::Store { .. } => self.copy_out(part, &aside)?,
            }
            give_to_owner(&aside, directory)?;
        }
        let moved = move_aside(&occupied, now)?;
        // The ledger comes last.
        for (_, target) in targets.iter().rev() {
            put(&aside(target), target)?;
        }
        Ok(Restored { ledger, stores: targets.len() - 1, moved })
    }

    fn make_ledger(&self, path: &Path) -> Result<Imported, BackupError> {
        let lines = self.directory.join(LEDGER);
        let opened = File::open(&lines).map_err(BackupError::io("open", &lines))?;
        Ok(Ledger::open(path)?.import(&mut BufReader::new(opened))?)
    }

    fn copy_out(&self, part: &Part, to: &Path) -> Result<(), BackupError> {
        let from = self.directory.join(String::from(part.clone()));
        let mut source = File::open(&from).map_err(BackupError::io("open", &from))?;
        let mut target = new_private_file(to).map_err(BackupError::io("make", to))?;
        io::copy(&mut source, &mut target).map_err(BackupError::io("write", to))?;
        target.sync_all().map_err(BackupError::io("flush", to))
    }
}

/// A name that nobody looks for, in the directory of the file that it becomes.
fn aside(target: &Path) -> PathBuf {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    target.with_file_name(format!(".restoring-{name}"))
}

/// Moves files into a directory of this moment beside each, in their order.
fn move_aside(files: &[PathBuf], now: Timestamp) -> Result<Vec<PathBuf>, BackupError> {
    let mut moved = Vec::new();
    for path in files {
        let parent = path.parent().unwrap_or(path);
        let directory = parent.join(format!("replaced-{}", now.strftime("%Y%m%dT%H%M%S.%3fZ")));
        make_owned_directory(&directory)?;
        let target = directory.join(path.file_name().unwrap_or_default());
        put(path, &target)?;
        sync_directory(parent)?;
        moved.push(target);
    }
    Ok(moved)
}

/// Gives a file its name durably, unless there is one of that name.
fn put(from: &Path, to: &Path) -> Result<(), BackupError> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => {}
        Err(rustix::io::Errno::EXIST) => return Err(BackupError::Occupied { path: to.to_owned() }),
        // Some file systems, over a network mostly, only know how to replace.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) if !to.exists() => {
            fs::rename(from, to).map_err(BackupError::io("put into place", to))?;
        }
        Err(error) => return Err(BackupError::io("put into place", to)(error.into())),
    }
    to.parent().map_or(Ok(()), sync_directory)
}

/// Makes a directory that belongs to whom the one above it belongs to.
fn make_owned_directory(path: &Path) -> Result<(), BackupError> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        make_owned_directory(parent)?;
        make_directory(path)?;
        give_to_owner(path, parent)?;
    }
    Ok(())
}

/// What root restores belongs to the service whose directory it stands in.
fn give_to_owner(path: &Path, directory: &Path) -> Result<(), BackupError> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let owner = fs::metadata(directory).map_err(BackupError::io("look at", directory))?;
    std::os::unix::fs::chown(path, Some(owner.uid()), Some(owner.gid())).map_err(BackupError::io("give away", path))
}
