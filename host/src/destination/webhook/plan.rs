//! What is to be sent of one object, and how far that has come: a directory that is whole before anything is sent.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::BatchLimits;
use crate::destination::files::manifest::Manifest;
use crate::destination::files::{failed, place};
use crate::destination::{DestinationError, Summary};
use crate::object::{Identity, MappingDigest};

const PLAN: &str = "plan.json";
const ACCEPTED: &str = "accepted";
const CONFIRMATION: &str = "confirmation.json";
/// How long a delivery is kept that nobody asks for any more: its version was superseded or forgotten.
const KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);

/// What the records beside it are, and how they are cut into batches.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Plan {
    pub manifest: Manifest,
    pub limits: BatchLimits,
    pub prepared_at: Timestamp,
}

impl Plan {
    pub fn new(manifest: Manifest, limits: BatchLimits, prepared_at: Timestamp) -> Self {
        Self { manifest, limits, prepared_at }
    }

    /// That of a directory of deliveries; none where there is none, or where it cannot be read: it is made anew then.
    pub fn read(directory: &Path) -> Result<Option<Self>, DestinationError> {
        let path = directory.join(PLAN);
        match fs::read(&path) {
            Ok(text) => Ok(serde_json::from_slice(&text).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", &path)(error)),
        }
    }

    /// Writes it; the caller flushes it.
    pub fn write(&self, directory: &Path) -> Result<PathBuf, DestinationError> {
        let path = directory.join(PLAN);
        let text = serde_json::to_vec(self).map_err(|error| failed("write", &path)(error.into()))?;
        fs::write(&path, text).map_err(failed("write", &path))?;
        Ok(path)
    }

    /// Whether its batches have the ids of that delivery.
    pub fn is_of(&self, identity: &Identity, mapping: MappingDigest) -> bool {
        self.manifest.identity == *identity && self.manifest.mapping == mapping
    }

    /// The id of a batch (R12).
    pub fn delivery_id(&self, batch: u32) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.manifest.identity.digest().as_bytes());
        hasher.update(self.manifest.mapping.as_bytes());
        hasher.update(&batch.to_le_bytes());
        hasher.finalize().to_hex().to_string()
    }

    /// Puts the confirmation into its place, durably.
    pub fn confirm(&self, sending: &Path, place: &Path) -> Result<Summary, DestinationError> {
        let aside = sending.join(CONFIRMATION);
        match fs::remove_file(&aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("remove", &aside)(error)),
            Ok(()) | Err(_) => {}
        }
        self.manifest.without_tables().write(&aside)?;
        place::sync_files([aside.as_path()].into_iter())?;
        fs::rename(&aside, place).map_err(failed("put into place", place))?;
        place::sync_directory(place.parent().unwrap_or(place))?;
        Ok(self.manifest.summary.clone())
    }
}

/// How many batches are known to have been taken. One that cannot be read is none: they are sent again.
pub(super) fn accepted(sending: &Path) -> u32 {
    fs::read_to_string(sending.join(ACCEPTED)).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Notes that this batch and those before it were taken. It need not be flushed: what is lost of it is sent again.
pub(super) fn accept(sending: &Path, batch: u32) -> Result<(), DestinationError> {
    let (path, aside) = (sending.join(ACCEPTED), sending.join("accepted.new"));
    File::create(&aside)
        .and_then(|mut file| write!(file, "{batch}"))
        .and_then(|()| fs::rename(&aside, &path))
        .map_err(failed("write", &path))
}

/// Removes deliveries that nobody has asked for since long.
pub(super) fn expire(sending: &Path, now: Timestamp) -> Result<(), DestinationError> {
    for entry in fs::read_dir(sending).map_err(failed("read", sending))? {
        let left = entry.map_err(failed("read", sending))?.path();
        let is_old = |plan: Plan| now.duration_since(plan.prepared_at) > KEPT;
        let is_idle = || File::open(&left).is_ok_and(|directory| directory.try_lock().is_ok());
        if Plan::read(&left)?.is_none_or(is_old) && is_idle() {
            place::remove(&left)?;
        }
    }
    Ok(())
}
