//! A disk in memory, which fails when a test wants it to.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use redb::{Builder, StorageBackend};

use super::{CACHE, Ledger, LedgerError, prepare};

/// What a disk holds, and what of it would be left after a power cut.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    written: Mutex<Vec<u8>>,
    synced: Mutex<Vec<u8>>,
    calls: AtomicUsize,
    fails_at: usize,
    fails: Fails,
    gone: AtomicBool,
}

/// How a disk fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Fails {
    /// Once, and works again afterwards.
    Once,
    /// For good, as a disk that went away.
    #[default]
    ForGood,
}

impl Disk {
    /// With these bytes on it.
    pub(crate) fn new(bytes: &[u8], fails_at: usize, fails: Fails) -> Arc<Self> {
        let (written, synced) = (Mutex::new(bytes.to_vec()), Mutex::new(bytes.to_vec()));
        Arc::new(Self { written, synced, fails_at, fails, ..Self::default() })
    }

    /// From now on every call fails.
    pub(crate) fn take_away(&self) {
        self.gone.store(true, Ordering::SeqCst);
    }

    /// How often it was called.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// What a process that ends leaves.
    pub(crate) fn written(&self) -> Vec<u8> {
        self.written.lock().unwrap().clone()
    }

    /// What a power cut leaves.
    pub(crate) fn synced(&self) -> Vec<u8> {
        self.synced.lock().unwrap().clone()
    }
}

#[derive(Debug, Clone)]
struct Handle(Arc<Disk>);

impl Handle {
    fn call(&self) -> Result<(), std::io::Error> {
        let call = self.0.calls.fetch_add(1, Ordering::SeqCst);
        let is_failing = match self.0.fails {
            Fails::Once => call == self.0.fails_at,
            Fails::ForGood => call >= self.0.fails_at,
        };
        if is_failing || self.0.gone.load(Ordering::SeqCst) { Err(broken()) } else { Ok(()) }
    }
}

fn broken() -> std::io::Error {
    std::io::Error::other("the disk is gone")
}

impl StorageBackend for Handle {
    fn len(&self) -> Result<u64, std::io::Error> {
        Ok(self.0.written.lock().unwrap().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), std::io::Error> {
        self.call()?;
        let start = offset as usize;
        out.copy_from_slice(self.0.written.lock().unwrap().get(start..start + out.len()).ok_or_else(broken)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), std::io::Error> {
        self.call()?;
        self.0.written.lock().unwrap().resize(len as usize, 0);
        Ok(())
    }

    fn sync_data(&self) -> Result<(), std::io::Error> {
        self.call()?;
        let written = self.0.written.lock().unwrap().clone();
        *self.0.synced.lock().unwrap() = written;
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), std::io::Error> {
        self.call()?;
        let start = offset as usize;
        self.0.written.lock().unwrap()[start..start + data.len()].copy_from_slice(data);
        Ok(())
    }
}

#[expect(clippy::disallowed_methods, reason = "a ledger on another disk")]
pub(crate) fn open(disk: &Arc<Disk>) -> Result<Ledger, LedgerError> {
    let database = Builder::new()
        .set_cache_size(CACHE)
        .create_with_backend(Handle(disk.clone()))
        .map_err(|error| LedgerError::Open { path: "disk".to_owned(), source: Arc::new(error.into()) })?;
    Ledger::start(database, "disk")
}

/// The bytes of a ledger that was just made.
#[expect(clippy::disallowed_methods, reason = "a ledger on another disk")]
pub(crate) fn made() -> Vec<u8> {
    let disk = Arc::new(Disk { fails_at: usize::MAX, ..Disk::default() });
    prepare(&Builder::new().create_with_backend(Handle(disk.clone())).unwrap()).unwrap();
    disk.written.lock().unwrap().clone()
}

pub(super) fn reopen(bytes: &[u8]) -> Ledger {
    open(&Disk::new(bytes, usize::MAX, Fails::Once)).unwrap()
}
