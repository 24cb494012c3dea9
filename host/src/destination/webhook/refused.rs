//! Batches that a receiver refused for good, kept for whoever looks into it: the body as it was sent, and the answer.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::Timestamp;
use serde::Serialize;

use super::batches::Batch;
use super::object_digest;
use crate::clock::{Clock, SystemClock};
use crate::destination::files::failed;
use crate::destination::{Delivery, DestinationError};

const REFUSED: &str = ".refused";
/// The newest so many are kept, as long as they are no larger together than [`MOST_BYTES`].
const MOST: usize = 100;
/// The newest of all is kept whatever its size.
const MOST_BYTES: u64 = 64 << 20;

/// The refused batches of one object.
pub(super) struct Refused {
    directory: PathBuf,
    object: String,
    generation: u32,
}

/// What a kept file says before the body.
#[derive(Serialize)]
struct Head<'a> {
    id: &'a str,
    batch: u32,
    refused_at: Timestamp,
    status: u16,
    answer: &'a str,
}

impl Refused {
    pub fn of(directory: &Path, delivery: &Delivery) -> Self {
        Self {
            directory: directory.join(REFUSED),
            object: object_digest(&delivery.tenant, &delivery.identity),
            generation: delivery.identity.generation.0,
        }
    }

    /// Keeps a batch, and tells where. Older ones make room for it.
    pub fn keep(&self, batch: &Batch, status: u16, answer: &str) -> Result<PathBuf, DestinationError> {
        let directory = &self.directory;
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed("make", directory))?;
        let path = directory.join(format!("{}-{}-{}.json", self.object, self.generation, batch.number));
        let head = Head { id: &batch.id, batch: batch.number, refused_at: SystemClock.now(), status, answer };
        let mut text = serde_json::to_vec(&head).map_err(|error| failed("write", &path)(error.into()))?;
        text.pop();
        text.extend_from_slice(b",\"body\":");
        text.extend_from_slice(&batch.body);
        text.extend_from_slice(b"}\n");
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(&text))
            .map_err(failed("write", &path))?;
        self.make_room(&path)?;
        Ok(path)
    }

    /// Removes those of this object.
    pub fn forget(&self) -> Result<(), DestinationError> {
        for (path, ..) in self.kept()? {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if name.starts_with(&self.object) {
                remove(&path)?;
            }
        }
        Ok(())
    }

    fn make_room(&self, newest: &Path) -> Result<(), DestinationError> {
        let mut kept = self.kept()?;
        kept.sort_by_key(|(path, _, written)| (path != newest, std::cmp::Reverse(*written)));
        let mut bytes = 0;
        for (place, (path, size, _)) in kept.iter().enumerate() {
            bytes += size;
            if place > 0 && (place >= MOST || bytes > MOST_BYTES) {
                remove(path)?;
            }
        }
        Ok(())
    }

    /// Each with its size and when it was written.
    fn kept(&self) -> Result<Vec<(PathBuf, u64, SystemTime)>, DestinationError> {
        let directory = &self.directory;
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed("read", directory)(error)),
        };
        let mut kept = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed("read", directory))?;
            // Another object may have made room meanwhile.
            if let Ok(metadata) = entry.metadata() {
                let written = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                kept.push((entry.path(), metadata.len(), written));
            }
        }
        Ok(kept)
    }
}

fn remove(path: &Path) -> Result<(), DestinationError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}
