//! The local copy of an object: bytes on disk, counted before they are written and removed when nobody needs them.
//!
//! Nothing here knows where bytes come from or what they mean. A [`Reservation`] stands for room that has been set
//! aside (R19); a [`SpoolWriter`] fills it; a [`SpooledObject`] is the whole, checked copy that others may read.
//!
//! - The directory is private (0700) and belongs to one process at a time; what an earlier process left is removed.
//! - Room is freed when the reservation, the writer or the object that holds it is dropped, and the file with it.
//! - A copy may be kept for a later attempt. It then takes only room that nobody else asks for: the oldest goes first.
//! - Bytes are written and hashed on a thread of their own, never on an async thread; a few chunks wait in between (I6).

use std::collections::VecDeque;
use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use md5::{Digest, Md5};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

use crate::object::ContentHash;
use crate::retry::ErrorClass;

/// Chunks that may wait between the network and the disk. A chunk is what one read from a socket gave, tens of
/// kilobytes as a rule.
const CHUNKS_WAITING: usize = 16;

/// The ending of a spooled file's name.
const ENDING: &str = "spooled";

/// Why there is no local copy.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The spool's directory cannot be prepared.
    #[error("cannot prepare the spool directory `{}`", directory.display())]
    Open {
        /// The directory.
        directory: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another process has the directory.
    #[error("the spool directory `{}` is in use by another process", directory.display())]
    InUse {
        /// The directory.
        directory: PathBuf,
    },
    /// The object alone is larger than the spool may become.
    #[error("{size} bytes are more than the whole spool may hold ({limit})")]
    TooLarge {
        /// The object's bytes.
        size: u64,
        /// The spool's limit in bytes.
        limit: u64,
    },
    /// Other objects hold the room (R19).
    #[error("the spool is full: {size} bytes asked for, {reserved} of {limit} taken")]
    Full {
        /// The object's bytes.
        size: u64,
        /// Bytes reserved by others.
        reserved: u64,
        /// The spool's limit in bytes.
        limit: u64,
    },
    /// The file system would fall below the room that is to stay free (R19).
    #[error("the disk is full: {size} bytes asked for, {free} free, {min_free} to stay free")]
    DiskFull {
        /// The object's bytes.
        size: u64,
        /// Bytes free now, less what was reserved and not yet written.
        free: u64,
        /// Bytes that must stay free.
        min_free: u64,
    },
    /// More bytes arrived than were reserved.
    #[error("more than the {reserved} bytes announced arrived")]
    Overrun {
        /// The reservation's bytes.
        reserved: u64,
    },
    /// A local copy cannot be opened.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The copy.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The disk refused.
    #[error("cannot write to the spool")]
    Write {
        /// What the system says.
        source: io::Error,
    },
}

impl SpoolError {
    /// What the failure asks for.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Full { .. } | Self::DiskFull { .. } => ErrorClass::Space,
            Self::TooLarge { .. } => ErrorClass::TooLarge,
            Self::Write { source } if source.kind() == io::ErrorKind::StorageFull => ErrorClass::Space,
            Self::Overrun { .. } => ErrorClass::Corrupt,
            Self::Open { .. } | Self::InUse { .. } | Self::Read { .. } | Self::Write { .. } => ErrorClass::Ours,
        }
    }

    /// Advice, where there is any.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::TooLarge { .. } => Some("raise `spool_limit`; the object is tried again by itself".to_owned()),
            Self::DiskFull { .. } => Some("free space on the spool's file system, or lower `min_free`".to_owned()),
            Self::InUse { .. } => Some("stop the other process, or give this one its own directory".to_owned()),
            Self::Open { .. } | Self::Full { .. } | Self::Overrun { .. } | Self::Read { .. } | Self::Write { .. } => {
                None
            }
        }
    }
}

/// A directory with room for local copies. Clones share it.
#[derive(Debug, Clone)]
pub struct Spool {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    directory: PathBuf,
    limit: AtomicU64,
    min_free: AtomicU64,
    room: Mutex<Room>,
    freed: Notify,
    next_name: AtomicU64,
    /// Locked while this process has the directory.
    _lock: File,
}

/// What is taken of the spool, in bytes.
#[derive(Debug, Default)]
struct Room {
    reserved: u64,
    /// The part of `reserved` that the file system does not show as used yet.
    unwritten: u64,
    /// Copies that nobody reads now, the oldest first; not in `reserved`.
    kept: VecDeque<Kept>,
}

/// A copy that is kept for a later attempt.
#[derive(Debug)]
struct Kept {
    name: String,
    path: PathBuf,
    size: u64,
    taken: Taken,
}

impl Shared {
    fn room(&self) -> MutexGuard<'_, Room> {
        // It is changed by single steps that cannot panic.
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Spool {
    /// Takes the directory, makes it private, and removes what an earlier process left in it.
    ///
    /// `limit` bounds the bytes of all local copies together; `min_free` is what the file system must keep free beyond
    /// them. Both in bytes. Blocks.
    ///
    /// # Errors
    /// [`SpoolError::InUse`] when another process holds it, [`SpoolError::Open`] for what the system refuses.
    pub fn open(directory: impl AsRef<Path>, limit: u64, min_free: u64) -> Result<Self, SpoolError> {
        let directory = directory.as_ref();
        let lock = prepare(directory).map_err(|source| match source.kind() {
            io::ErrorKind::WouldBlock => SpoolError::InUse { directory: directory.to_owned() },
            _ => SpoolError::Open { directory: directory.to_owned(), source },
        })?;
        Ok(Self {
            shared: Arc::new(Shared {
                directory: directory.to_owned(),
                limit: AtomicU64::new(limit),
                min_free: AtomicU64::new(min_free),
                room: Mutex::default(),
                freed: Notify::new(),
                next_name: AtomicU64::new(0),
                _lock: lock,
            }),
        })
    }

    /// Changes the limits that [`Spool::open`] was given. Room that is set aside already stays so.
    pub fn change_limits(&self, limit: u64, min_free: u64) {
        self.shared.limit.store(limit, Relaxed);
        self.shared.min_free.store(min_free, Relaxed);
        self.shared.freed.notify_waiters();
    }

    /// Sets room aside for `size` bytes (R19). Asks the file system, which does not block for long.
    ///
    /// # Errors
    /// [`SpoolError::TooLarge`], [`SpoolError::Full`], [`SpoolError::DiskFull`], or [`SpoolError::Write`] when the file
    /// system does not say what it has free.
    pub fn reserve(&self, size: u64) -> Result<Reservation, SpoolError> {
        let (limit, min_free) = (self.shared.limit.load(Relaxed), self.shared.min_free.load(Relaxed));
        if size > limit {
            return Err(SpoolError::TooLarge { size, limit });
        }
        loop {
            let directory = &self.shared.directory;
            let status = rustix::fs::statvfs(directory).map_err(|errno| SpoolError::Write { source: errno.into() })?;
            let available = status.f_bavail.saturating_mul(status.f_frsize);
            let mut room = self.shared.room();
            if size > limit.saturating_sub(room.reserved) {
                return Err(SpoolError::Full { size, reserved: room.reserved, limit });
            }
            let kept: u64 = room.kept.iter().map(|kept| kept.size).sum();
            let free = available.saturating_sub(room.unwritten);
            let is_disk_full = size.saturating_add(min_free) > free;
            if !is_disk_full && size <= limit.saturating_sub(room.reserved).saturating_sub(kept) {
                room.reserved += size;
                room.unwritten += size;
                drop(room);
                return Ok(Reservation { shared: Arc::clone(&self.shared), size, written: 0 });
            }
            match room.kept.pop_front() {
                // What cannot be removed now is removed at the next start.
                Some(oldest) => drop(std::fs::remove_file(oldest.path)),
                None => return Err(SpoolError::DiskFull { size, free, min_free }),
            }
        }
    }

    /// A copy that was kept under this name, if nobody needed its room.
    pub fn take_kept(&self, name: &str) -> Option<SpooledObject> {
        let mut room = self.shared.room();
        let place = room.kept.iter().position(|kept| kept.name == name)?;
        let Kept { path, size, taken, .. } = room.kept.remove(place)?;
        room.reserved += size;
        drop(room);
        let reservation = Reservation { shared: Arc::clone(&self.shared), size, written: size };
        Some(SpooledObject { file: SpooledFile { path, reservation }, size, taken })
    }

    /// Like [`Spool::reserve`], but waits while other objects hold the room.
    ///
    /// # Errors
    /// As [`Spool::reserve`], without [`SpoolError::Full`].
    pub async fn reserve_when_free(&self, size: u64) -> Result<Reservation, SpoolError> {
        loop {
            let freed = self.shared.freed.notified();
            tokio::pin!(freed);
            // Enabled before the attempt: what is freed in between is not missed.
            freed.as_mut().enable();
            match self.reserve(size) {
                Err(SpoolError::Full { .. }) => freed.await,
                done => return done,
            }
        }
    }

    /// The directory: private, and on the file system whose room is watched.
    pub fn directory(&self) -> &Path {
        &self.shared.directory
    }

    /// Bytes set aside now.
    pub fn reserved(&self) -> u64 {
        self.shared.room().reserved
    }
}

/// Makes the directory, takes its lock, removes left-overs.
fn prepare(directory: &Path) -> io::Result<File> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    std::fs::set_permissions(directory, Permissions::from_mode(0o700))?;
    let lock = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(directory.join("lock"))?;
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive)?;
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == ENDING) {
            std::fs::remove_file(path)?;
        }
    }
    Ok(lock)
}

/// Room set aside for one object; freed on drop.
#[derive(Debug)]
pub struct Reservation {
    shared: Arc<Shared>,
    size: u64,
    written: u64,
}

impl Reservation {
    /// The bytes set aside.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Begins the copy. Within a tokio runtime; creating the file is the one call to the disk made on this thread, so
    /// that a copy dropped at any later moment has a file to remove.
    ///
    /// # Errors
    /// [`SpoolError::Write`] when the file cannot be created.
    pub fn write(self, digests: Digests) -> Result<SpoolWriter, SpoolError> {
        let number = self.shared.next_name.fetch_add(1, Relaxed);
        let path = self.shared.directory.join(format!("{number}.{ENDING}"));
        let created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let file = created.map_err(|source| SpoolError::Write { source })?;
        let (sender, receiver) = mpsc::channel(CHUNKS_WAITING);
        let task = tokio::task::spawn_blocking(move || write_chunks(file, receiver, digests));
        Ok(SpoolWriter { file: SpooledFile { path, reservation: self }, sender: Some(sender), task })
    }

    fn note_written(&mut self, bytes: u64) {
        self.written += bytes;
        self.shared.room().unwritten -= bytes;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut room = self.shared.room();
        room.reserved -= self.size;
        room.unwritten -= self.size - self.written;
        drop(room);
        self.shared.freed.notify_waiters();
    }
}

/// Which digests are taken on the way to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Digests {
    /// The content hash.
    Content,
    /// The content hash and an MD5.
    ContentAndMd5,
}

/// A file in the spool and the room it takes: the file goes first.
struct SpooledFile {
    path: PathBuf,
    reservation: Reservation,
}

impl Drop for SpooledFile {
    fn drop(&mut self) {
        // What cannot be removed now is removed at the next start.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A copy in the making. Dropped before [`SpoolWriter::finish`], it leaves nothing.
pub struct SpoolWriter {
    file: SpooledFile,
    sender: Option<mpsc::Sender<Bytes>>,
    task: JoinHandle<io::Result<Taken>>,
}

/// The digests of what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Taken {
    content: ContentHash,
    md5: Option<[u8; 16]>,
}

impl SpoolWriter {
    /// Bytes taken so far.
    pub fn written(&self) -> u64 {
        self.file.reservation.written
    }

    /// Hands over the next bytes; waits while the disk is behind.
    ///
    /// # Errors
    /// [`SpoolError::Overrun`] beyond the reservation, [`SpoolError::Write`] when the disk refused. The copy is then of
    /// no more use.
    pub async fn write(&mut self, chunk: Bytes) -> Result<(), SpoolError> {
        let reservation = &mut self.file.reservation;
        let bytes = chunk.len() as u64;
        if bytes > reservation.size - reservation.written {
            return Err(SpoolError::Overrun { reserved: reservation.size });
        }
        reservation.note_written(bytes);
        if let Some(sender) = &self.sender
            && sender.send(chunk).await.is_ok()
        {
            return Ok(());
        }
        // The writing thread ended early, which it does on an error alone.
        self.sender = None;
        Err(match (&mut self.task).await {
            Ok(Ok(_)) => SpoolError::Write { source: io::ErrorKind::BrokenPipe.into() },
            Ok(Err(source)) => SpoolError::Write { source },
            Err(_) => ended_unexpectedly(),
        })
    }

    /// Waits until everything is written.
    ///
    /// # Errors
    /// [`SpoolError::Write`] when the disk refused.
    pub async fn finish(mut self) -> Result<SpooledObject, SpoolError> {
        self.sender = None;
        let taken = match (&mut self.task).await {
            Ok(taken) => taken.map_err(|source| SpoolError::Write { source })?,
            Err(_) => return Err(ended_unexpectedly()),
        };
        Ok(SpooledObject { size: self.file.reservation.written, file: self.file, taken })
    }
}

/// The writing thread panicked. Its words may hold data, and where it was has been said.
fn ended_unexpectedly() -> SpoolError {
    SpoolError::Write { source: io::Error::other("the writing thread ended unexpectedly") }
}

fn write_chunks(mut file: File, mut chunks: mpsc::Receiver<Bytes>, digests: Digests) -> io::Result<Taken> {
    let mut content = blake3::Hasher::new();
    let mut md5 = match digests {
        Digests::Content => None,
        Digests::ContentAndMd5 => Some(Md5::new()),
    };
    while let Some(chunk) = chunks.blocking_recv() {
        content.update(&chunk);
        if let Some(md5) = &mut md5 {
            md5.update(&chunk);
        }
        file.write_all(&chunk)?;
    }
    Ok(Taken {
        content: ContentHash::from_bytes(*content.finalize().as_bytes()),
        md5: md5.map(|md5| md5.finalize().into()),
    })
}

/// A whole local copy. The file goes when this is dropped.
pub struct SpooledObject {
    file: SpooledFile,
    size: u64,
    taken: Taken,
}

impl SpooledObject {
    /// Where it stands.
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    /// Opens it for reading, from its start. Blocks.
    ///
    /// # Errors
    /// [`SpoolError::Read`].
    pub fn open(&self) -> Result<File, SpoolError> {
        File::open(&self.file.path).map_err(|source| SpoolError::Read { path: self.file.path.clone(), source })
    }

    /// Bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// BLAKE3 of its bytes (R5).
    pub fn content(&self) -> ContentHash {
        self.taken.content
    }

    /// Keeps it for a later attempt, under a name that stands for its bytes.
    pub fn keep(self, name: String) {
        let shared = Arc::clone(&self.file.reservation.shared);
        let path = shared.directory.join(format!("{}.{ENDING}", shared.next_name.fetch_add(1, Relaxed)));
        // Under another path it outlives the object, whose room is freed.
        if std::fs::rename(&self.file.path, &path).is_err() {
            return;
        }
        let kept = Kept { name, path, size: self.size, taken: self.taken };
        drop(self);
        shared.room().kept.push_back(kept);
    }

    /// MD5 of its bytes, where it was asked for.
    pub fn md5(&self) -> Option<[u8; 16]> {
        self.taken.md5
    }
}

impl fmt::Debug for SpooledObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpooledObject")
            .field("path", &self.file.path)
            .field("size", &self.size())
            .field("content", &self.taken.content)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
