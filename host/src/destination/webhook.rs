//! Records as JSON, posted to a webhook in batches: each object whole, at least once.
//!
//! # A batch
//!
//! `POST`ed and signed as [`crate::post`] says, with the delivery id in the header `gristmill-id` and, as `id`, in the
//! body. The id is the hash of identity, mapping digest and number of the batch (R12), so it is the same whenever the
//! same batch is sent. A body is one JSON object:
//!
//! | key | what it says |
//! |---|---|
//! | `version` | 1, that of this table |
//! | `id` | the delivery id |
//! | `tenant`, `object` | whose, and which version of which key |
//! | `identity` | integration, dedup key and generation (R1) |
//! | `as_of` | orders what objects say about the same thing (R2) |
//! | `mapping` | the digest of what made records of the rows |
//! | `mends` | the dedup key of the object that the rows belong to, where they are mended rejects (R10) |
//! | `prepared_at` | when the batches of this delivery were made |
//! | `batch`, `last` | its number, from 1, and whether it is the last; there always is one |
//! | `tables` | in the first batch: identifiers and fields with their types and write modes, and series, table by table |
//! | `mended`, `accounts`, `usage` | the records, each as a line of the [`super::files`] destination, with `account_id` where accounts are resolved (R12); a list without any is left out |
//!
//! The batches of an object are sent in order, each once the one before was taken. Different objects are on their way at
//! once.
//!
//! # What a receiver has to do
//!
//! It checks the signature over the bytes of the body, keeps the batch, and only then answers 2xx; it leaves out ids that
//! it has. What it holds of the same integration and dedup key from a lower generation, or from the same generation
//! with an earlier `prepared_at`, is replaced by the new delivery once its last batch is there: a replay replaces, also
//! where it has fewer records or none (R1). Between objects `as_of` decides.
//!
//! # Answers
//!
//! 2xx takes a batch. 408, 425, 429, 5xx, no answer in time and a broken connection are tried again, with growing pauses
//! or after `retry-after`, first here and then, from the batch that was not taken, with the object. 401, 403, 404, 405,
//! 410 and redirects say that the address or the secret is wrong: the object is tried again later. Every other 4xx refuses
//! the batch for good: the object fails, and the batch is kept in `.refused`. A replay of the object sends all of it
//! again.
//!
//! # Layout
//!
//! ```text
//! {directory}/{tenant}/{integration}/{end of the key}.{digest}.json   what was taken whole, and confirms it
//! {directory}/.staging/{identity digest}/       what is not whole yet
//! {directory}/.sending/{object digest}/         what is whole and not taken whole yet: records, plan, how far it has come
//! {directory}/.refused/                         batches that were refused for good, the newest hundred
//! ```
//!
//! # Crashes
//!
//! Before the first batch is sent, all of them are on disk, so that a restart sends the same ones under the same ids,
//! whatever has changed meanwhile. It goes on behind the last batch that is known to have been taken; one may be sent
//! twice. The confirmation follows the last batch and is flushed before anyone hears of it (I1). What was sent and never
//! asked for again is removed after thirty days.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::batch::{AccountBatch, AccountLayout, UsageBatch, UsageLayout};
use crate::clock::{Clock, SystemClock};
use crate::destination::files::manifest::{self, Manifest};
use crate::destination::files::relocate::{self, Kept};
use crate::destination::files::rename;
use crate::destination::files::{Compression, Form, Format, Recording, failed, place};
use crate::destination::resolve::Resolver;
use crate::destination::{
    Delivery, Destination, DestinationError, Intake, MendedRow, Preview, RowCounts, Staging, Summary, Taken,
};
use crate::object::{DedupKey, Generation, Identity, IntegrationName, Relocation, TenantName};
use crate::oversight::{Beat, Stop};
use crate::post::{Address, Receiver, is_allowed};
use crate::secrets::{ExposeSecret, SecretReference, SecretString, Secrets};

use self::plan::Plan;
use self::refused::Refused;
use self::send::{Failed, Overseen, Sender};

mod batches;
mod plan;
mod refused;
mod send;

#[cfg(test)]
pub(super) mod tests;

/// The folder of deliveries that are whole and not taken whole yet. No tenant's name can begin with a point.
const SENDING: &str = ".sending";
/// Lines as they are: nobody keeps them for long.
const FORM: Form = Form { format: Format::Ndjson, compression: Compression::None };

/// Where a webhook is, and how it is spoken to. Nothing in it is secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WebhookSettings {
    /// Where records wait, and what was confirmed is kept.
    pub directory: PathBuf,
    /// Its address.
    pub url: Address,
    /// What batches are signed with.
    pub secret: SecretReference,
    /// How long it may take to answer.
    pub timeout: Duration,
    /// How large a batch may be.
    pub batch: BatchLimits,
}

/// How large a batch may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct BatchLimits {
    /// At most so many records.
    pub records: u64,
    /// No further record once the body would be larger, in bytes. One record is always taken.
    pub bytes: u64,
}

impl WebhookSettings {
    /// Every secret that it needs.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretReference> {
        let url = match &self.url {
            Address::Text(_) => None,
            Address::Reference(reference) => Some(reference),
        };
        url.into_iter().chain([&self.secret])
    }
}

/// The `webhook` destination.
pub struct WebhookDestination {
    settings: WebhookSettings,
    shared: Arc<Shared>,
    resolver: Option<Resolver>,
}

/// What stagings need of their destination.
struct Shared {
    secrets: Secrets,
    sender: Sender,
}

impl WebhookDestination {
    /// Contacts nobody: secrets are read anew for each object. Makes its directory where it is missing, and removes what a
    /// process that ended left unfinished.
    pub fn open(settings: WebhookSettings, secrets: Secrets) -> Result<Self, DestinationError> {
        let directory = &settings.directory;
        for part in [place::STAGING, SENDING] {
            let part = directory.join(part);
            fs::create_dir_all(&part).map_err(failed("make", &part))?;
        }
        place::sync_directory(directory)?;
        place::recover(directory)?;
        plan::expire(&directory.join(SENDING), SystemClock.now())?;
        let sender = Sender::new(settings.timeout)?;
        Ok(Self { settings, shared: Arc::new(Shared { secrets, sender }), resolver: None })
    }

    /// The same, with the accounts of a store in its records.
    pub fn resolving(self, resolver: Option<Resolver>) -> Self {
        Self { resolver, ..self }
    }

    fn confirmation(&self, tenant: &TenantName, identity: &Identity) -> Result<Option<Manifest>, DestinationError> {
        manifest::read(&confirmation_of(&self.settings.directory, tenant, identity))
    }
}

/// `{tenant}/{integration}/{end of the key}.{digest}.json`: one for each object, whatever its generation.
fn confirmation_of(directory: &Path, tenant: &TenantName, identity: &Identity) -> PathBuf {
    let mut path = place::of(directory, tenant, identity).into_os_string();
    path.push(".json");
    path.into()
}

/// 32 hexadecimal digits for an object, whatever its generation.
fn object_digest(tenant: &TenantName, identity: &Identity) -> String {
    let object = format!("{tenant}\0{}\0{}", identity.integration, identity.dedup_key);
    let mut digest = blake3::hash(object.as_bytes()).to_hex().to_string();
    digest.truncate(32);
    digest
}

impl Destination for WebhookDestination {
    /// A later generation of the same object replaces this one, so it counts as confirmed too.
    fn confirmed(&self, tenant: &TenantName, identity: &Identity) -> Result<Option<Summary>, DestinationError> {
        let confirmation = self.confirmation(tenant, identity)?;
        Ok(confirmation
            .filter(|confirmation| confirmation.identity.generation >= identity.generation)
            .map(|confirmation| confirmation.summary))
    }

    fn can_match(&self) -> bool {
        false
    }

    /// What the receiver has done with the records since is not known here. And where the notes are lost, the receiver
    /// still has what they were of.
    fn unconfirmed(&self, _: &TenantName, _: &[Identity]) -> Result<Option<Vec<usize>>, DestinationError> {
        Ok(None)
    }

    fn lacks_accounts(&self, tenant: &TenantName) -> Result<Option<bool>, DestinationError> {
        self.resolver.as_ref().map_or(Ok(None), |resolver| resolver.lacks_accounts(tenant))
    }

    fn taken(
        &self,
        tenant: &TenantName,
        integration: &IntegrationName,
        dedup_key: &DedupKey,
    ) -> Result<Option<Taken>, DestinationError> {
        let (integration, dedup_key) = (integration.clone(), dedup_key.clone());
        let identity = Identity { integration, dedup_key, generation: Generation::default() };
        let confirmation = self.confirmation(tenant, &identity)?.filter(|confirmation| confirmation.mends.is_none());
        Ok(confirmation.map(|confirmation| Taken { object: confirmation.object, mended: Vec::new() }))
    }

    /// What is on its way under the former name is sent anew under the new one.
    fn rename(
        &self,
        tenant: &TenantName,
        from: &IntegrationName,
        to: &IntegrationName,
    ) -> Result<(), DestinationError> {
        rename::rename(&self.settings.directory, tenant, (from, to), Path::to_owned)
    }

    /// The receiver is not told: what comes from the other place has other dedup keys, and the `as_of` that follow them.
    fn relocate(
        &self,
        tenant: &TenantName,
        integration: &IntegrationName,
        step: &Relocation,
    ) -> Result<(), DestinationError> {
        relocate::relocate(&self.settings.directory, (tenant, integration), step, Kept::AsItsFile)
    }

    fn stage(&self, delivery: Delivery) -> Result<Box<dyn Staging>, DestinationError> {
        // Nothing is decoded for a receiver that wants to be left alone.
        self.shared.sender.admit()?;
        let staged = self.settings.directory.join(place::STAGING).join(delivery.identity.digest());
        Ok(Box::new(WebhookStaging {
            settings: self.settings.clone(),
            shared: Arc::clone(&self.shared),
            recording: Recording::begin(staged, FORM, &delivery, self.resolver.as_ref())?,
            delivery,
            overseen: Overseen::default(),
        }))
    }
}

/// One object's records on their way to the receiver.
struct WebhookStaging {
    settings: WebhookSettings,
    shared: Arc<Shared>,
    recording: Recording,
    delivery: Delivery,
    overseen: Overseen,
}

impl WebhookStaging {
    fn receiver(&self) -> Result<Receiver, DestinationError> {
        let secret = |reference: &SecretReference| self.shared.secrets.resolve(reference).map(|found| found.value);
        let url = match &self.settings.url {
            Address::Text(text) => SecretString::from(text.clone()),
            Address::Reference(reference) => secret(reference)?,
        };
        if !is_allowed(url.expose_secret()) {
            return Err(DestinationError::ReceiverAddress);
        }
        Ok(Receiver { url, secret: Some(secret(&self.settings.secret)?) })
    }

    /// The plan by which the object is sent: that of an earlier attempt, or this one's own.
    fn plan(&mut self, rows: RowCounts, sending: &Path) -> Result<(Plan, File), DestinationError> {
        let lock = |directory: &Path| {
            let lock = File::open(directory).map_err(failed("open", directory))?;
            lock.try_lock().map_err(|error| failed("lock", directory)(error.into()))?;
            Ok::<File, DestinationError>(lock)
        };
        let (identity, mapping) = (&self.delivery.identity, self.delivery.mapping);
        if let Some(plan) = Plan::read(sending)?.filter(|plan| plan.is_of(identity, mapping)) {
            return Ok((plan, lock(sending)?));
        }
        let (merged, files) = self.recording.settle(Some(rows))?;
        let summary = Summary { content: self.delivery.content, rows, merged };
        let manifest = Manifest::new(&self.delivery, summary, self.recording.take_tables());
        let plan = Plan::new(manifest, self.settings.batch, SystemClock.now());
        let staged = self.recording.directory();
        let written = plan.write(staged)?;
        place::sync_files(files.iter().map(PathBuf::as_path).chain([written.as_path()]))?;
        place::sync_directory(staged)?;
        place::put(staged, sending)?;
        // It is the directory that the recording has locked.
        Ok((plan, File::open(sending).map_err(failed("open", sending))?))
    }

    fn send(&self, plan: &Plan, sending: &Path) -> Result<(), DestinationError> {
        let receiver = self.receiver()?;
        let accepted = plan::accepted(sending);
        let mut batches = batches::Batches::open(plan, sending)?;
        while let Some(batch) = batches.next()? {
            if batch.number <= accepted {
                continue;
            }
            match self.shared.sender.send(&receiver, &batch, &self.delivery, &self.overseen) {
                Ok(()) => plan::accept(sending, batch.number)?,
                Err(Failed::Here(error)) => return Err(error),
                Err(Failed::Refused { status, excerpt }) => {
                    let refused = Refused::of(&self.settings.directory, &self.delivery);
                    let kept = refused.keep(&batch, status, &excerpt)?;
                    place::remove(sending)?;
                    let kept = kept.display().to_string();
                    return Err(DestinationError::BatchRefused { batch: batch.number, status, excerpt, kept });
                }
            }
        }
        Ok(())
    }
}

impl Intake for WebhookStaging {
    fn open_table(
        &mut self,
        accounts: Option<&AccountLayout>,
        usage: Option<&UsageLayout>,
    ) -> Result<(), DestinationError> {
        self.recording.open_table(accounts, usage)
    }

    fn accounts(&mut self, batch: &AccountBatch, rejected: &[u32]) -> Result<(), DestinationError> {
        self.recording.accounts(batch, rejected)
    }

    fn usage(&mut self, batch: &UsageBatch, rejected: &[u32]) -> Result<(), DestinationError> {
        self.recording.usage(batch, rejected)
    }

    fn reject_row(&mut self, row: u32) -> Result<(), DestinationError> {
        self.recording.reject_row(row)
    }

    fn mends(&mut self, rows: &[MendedRow<'_>]) -> Result<(), DestinationError> {
        self.recording.mends(rows)
    }
}

impl Staging for WebhookStaging {
    fn oversee(&mut self, merging: &Arc<Beat>, stop: &Stop) {
        self.overseen = Overseen::by(merging, stop);
    }

    /// The records have no `change`: this destination cannot tell.
    fn preview(mut self: Box<Self>) -> Result<Preview, DestinationError> {
        self.recording.preview()
    }

    fn merge(mut self: Box<Self>, rows: RowCounts) -> Result<Summary, DestinationError> {
        let directory = self.settings.directory.clone();
        let Delivery { tenant, identity, .. } = self.delivery.clone();
        let confirmation = confirmation_of(&directory, &tenant, &identity);
        let standing = manifest::read(&confirmation)?;
        if let Some(standing) = standing.filter(|standing| standing.identity.generation >= identity.generation) {
            return Ok(standing.summary);
        }
        let sending = directory.join(SENDING).join(object_digest(&tenant, &identity));
        let (plan, _lock) = self.plan(rows, &sending)?;
        self.send(&plan, &sending)?;
        place::make_directories(&directory, confirmation.parent().unwrap_or(&directory))?;
        let summary = plan.confirm(&sending, &confirmation)?;
        // What was refused of earlier deliveries of the object is of no use any more.
        Refused::of(&directory, &self.delivery).forget()?;
        place::remove(&sending)?;
        Ok(summary)
    }
}
