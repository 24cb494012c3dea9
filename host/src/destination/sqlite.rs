//! Accounts and usage in SQLite, one file a tenant (R13).
//!
//! # What is stored
//!
//! `sqlite/schema.sql` is the layout, with what came to it in `sqlite/users.sql`. Contributions are the truth: what each ingestion said of an account's field
//! or of a usage record. Current values are a projection of them, a function of their set: so the order in which files
//! came leaves no trace (R2), and a replay takes back what earlier generations of its object contributed as if it had
//! never been (R1). Accounts, their keys and users are only ever added (R3). Views, from `account_overview` to
//! `usage_records`, are for people.
//!
//! # What a crash leaves
//!
//! An object is staged in a file of its own, which a crash makes left-over; it is deleted when the destination is opened
//! again. Everything that lasts happens in one transaction on the tenant's file, which also records the identity, with
//! a write-ahead log synced before the merge is confirmed. So an identity is confirmed with all of its records or with
//! none, and at most once (I3).
//!
//! # What it costs
//!
//! Memory is the page caches: 12 MiB while a merge runs, as much again while it sorts, and 8 MiB an object on its way
//! in, whatever its size (I6). Larger sorts go to temporary files (`SQLITE_TMPDIR`, else `/var/tmp`). Merges of one
//! tenant take turns; staging, and people who read, wait for nobody.
//!
//! This module knows nothing of the ledger, of S3, of formats or of mappers.

use std::collections::HashMap;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::destination::accounts::{AccountVisitor, Wanted};
use crate::destination::users::{User, UserVisitor, UsersMerged};
use crate::destination::{Delivery, Destination, DestinationError, Staging, Summary, Taken};
use crate::object::{DedupKey, Identity, IntegrationName, Relocation, TenantName};

use self::staging::{STAGING_SUFFIX, SqliteStaging, staging_path};
use self::store::{Statements, Store, create_private, create_private_directory, io_error};

mod accounts;
pub mod backup;
mod fields;
mod identifiers;
mod log;
mod matching;
mod mended;
mod merge;
mod preview;
mod relocate;
mod rename;
mod staging;
mod store;
#[cfg(test)]
mod tests;
mod usage;
mod users;
mod values;

/// The `sqlite` destination.
pub struct SqliteDestination {
    directory: PathBuf,
    staging_directory: PathBuf,
    stores: Mutex<HashMap<TenantName, Arc<Store>>>,
    /// How many objects were staged, so that two stagings never share a file.
    stagings: AtomicU64,
    /// Shared by everyone who has staging files here.
    _staging_lock: File,
}

impl SqliteDestination {
    /// Opens the stores `{directory}/{tenant}.db`, each of which is made when its tenant's first object is merged, and
    /// stages in `staging_directory`. Both directories are made if missing. What a crash left in the second is deleted,
    /// unless another process stages there.
    pub fn open(directory: PathBuf, staging_directory: PathBuf) -> Result<Self, DestinationError> {
        let absolute = |path: PathBuf| std::path::absolute(&path).map_err(|source| io_error("resolve", &path, source));
        let (directory, staging_directory) = (absolute(directory)?, absolute(staging_directory)?);
        create_private_directory(&directory)?;
        create_private_directory(&staging_directory)?;
        let staging_lock = lock_staging(&staging_directory)?;
        Ok(Self {
            directory,
            staging_directory,
            stores: Mutex::new(HashMap::new()),
            stagings: AtomicU64::new(0),
            _staging_lock: staging_lock,
        })
    }

    fn store(&self, tenant: &TenantName) -> Arc<Store> {
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        let open = || Arc::new(Store::new(backup::store_path(&self.directory, tenant)));
        Arc::clone(stores.entry(tenant.clone()).or_insert_with(open))
    }
}

impl Destination for SqliteDestination {
    fn confirmed(&self, tenant: &TenantName, identity: &Identity) -> Result<Option<Summary>, DestinationError> {
        let store = self.store(tenant);
        let Some(reader) = store.reader()? else { return Ok(None) };
        let known = merge::confirmed(&Statements::new(&reader, store.path()), identity)?;
        drop(reader);
        if known.is_some() {
            store.settle_seen()?;
        }
        Ok(known)
    }

    fn can_match(&self) -> bool {
        true
    }

    fn unconfirmed(
        &self,
        tenant: &TenantName,
        identities: &[Identity],
    ) -> Result<Option<Vec<usize>>, DestinationError> {
        let store = self.store(tenant);
        let Some(reader) = store.reader()? else { return Ok(Some((0..identities.len()).collect())) };
        merge::unconfirmed(&Statements::new(&reader, store.path()), identities).map(Some)
    }

    fn lacks_accounts(&self, tenant: &TenantName) -> Result<Option<bool>, DestinationError> {
        let store = self.store(tenant);
        let lacks = match store.reader()? {
            None => true,
            Some(reader) => Statements::new(&reader, store.path())
                .value("look for accounts", "SELECT NOT EXISTS (SELECT 1 FROM accounts)")?,
        };
        Ok(Some(lacks))
    }

    fn visit_accounts(
        &self,
        tenant: &TenantName,
        wanted: Wanted<'_>,
        visitor: &mut dyn AccountVisitor,
    ) -> Result<(), DestinationError> {
        accounts::visit(self.store(tenant).path(), wanted, visitor)
    }

    fn merge_users(&self, tenant: &TenantName, users: &[User]) -> Result<UsersMerged, DestinationError> {
        let store = self.store(tenant);
        store.write(|connection| users::merge(connection, store.path(), users))
    }

    fn visit_users(
        &self,
        tenant: &TenantName,
        wanted: Wanted<'_>,
        visitor: &mut UserVisitor<'_>,
    ) -> Result<(), DestinationError> {
        users::visit(self.store(tenant).path(), wanted, visitor)
    }

    fn taken(
        &self,
        tenant: &TenantName,
        integration: &IntegrationName,
        dedup_key: &DedupKey,
    ) -> Result<Option<Taken>, DestinationError> {
        let store = self.store(tenant);
        match store.reader()? {
            None => Ok(None),
            Some(reader) => mended::taken(&Statements::new(&reader, store.path()), integration, dedup_key),
        }
    }

    fn rename(
        &self,
        tenant: &TenantName,
        from: &IntegrationName,
        to: &IntegrationName,
    ) -> Result<(), DestinationError> {
        rename::rename(&self.store(tenant), from, to)
    }

    fn relocate(
        &self,
        tenant: &TenantName,
        integration: &IntegrationName,
        step: &Relocation,
    ) -> Result<(), DestinationError> {
        relocate::relocate(&self.store(tenant), integration, step)
    }

    fn stage(&self, delivery: Delivery) -> Result<Box<dyn Staging>, DestinationError> {
        let number = self.stagings.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{}-{number}", delivery.identity.digest(), std::process::id());
        let path = staging_path(&self.staging_directory, &name);
        let store = self.store(&delivery.tenant);
        Ok(Box::new(SqliteStaging::begin(path, store, delivery)?))
    }
}

/// Deletes left-overs if nobody else stages here, and then keeps others from doing so.
fn lock_staging(directory: &Path) -> Result<File, DestinationError> {
    let path = directory.join("lock");
    create_private(&path)?;
    let lock = File::open(&path).map_err(|source| io_error("open", &path, source))?;
    match lock.try_lock() {
        Ok(()) => {
            delete_left_overs(directory)?;
            lock.unlock().map_err(|source| io_error("unlock", &path, source))?;
        }
        Err(TryLockError::WouldBlock) => {}
        Err(TryLockError::Error(source)) => return Err(io_error("lock", &path, source)),
    }
    lock.lock_shared().map_err(|source| io_error("lock", &path, source))?;
    Ok(lock)
}

fn delete_left_overs(directory: &Path) -> Result<(), DestinationError> {
    let entries = directory.read_dir().map_err(|source| io_error("list", directory, source))?;
    for entry in entries {
        let path = entry.map_err(|source| io_error("list", directory, source))?.path();
        // SQLite's own side files carry the name of theirs and more.
        if path.file_name().is_some_and(|name| name.to_string_lossy().contains(STAGING_SUFFIX)) {
            std::fs::remove_file(&path).map_err(|source| io_error("delete", &path, source))?;
        }
    }
    Ok(())
}
