//! What outlives a process: a bucket, the stores of two destinations, a disk with the ledger on it, the time. And the
//! faults.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use arrow_array::{Array, cast::AsArray};
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};

use crate::batch::{AccountBatch, AccountLayout, UsageBatch, UsageLayout};
use crate::clock::Clock;
use crate::destination::{
    Delivery, Destination, DestinationError, Intake, Merged, Preview, RowCounts, Staging, Summary, Taken,
};
use crate::ledger::disk::Disk;
use crate::object::{
    AsOf, ContentHash, DedupKey, ETag, Identity, IntegrationName, Object, ObjectKey, Relocation, TenantName,
};
use crate::oversight::Beat;
use crate::source::{Failure, FailureKind, Page, PageToken, Source, SourceError};
use crate::spool::{Digests, Reservation, SpooledObject};

/// Objects on a page of a listing.
const PAGE: usize = 3;

/// What a process does to the world, step by step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Step {
    List,
    Fetch,
    Confirmed,
    Stage,
    Accounts,
    BeforeCommit,
    AfterCommit,
}

impl Step {
    pub(super) const ALL: [Self; 7] =
        [Self::List, Self::Fetch, Self::Confirmed, Self::Stage, Self::Accounts, Self::BeforeCommit, Self::AfterCommit];
}

/// What happens at a step.
#[derive(Debug, Clone)]
pub(super) enum Fault {
    /// The source answers so.
    Source(FailureKind),
    /// The destination refuses, before or after it stored what it was given.
    Destination,
    /// The process ends.
    Crash,
}

/// What stands under a key.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub content: Bytes,
    pub etag: ETag,
    pub last_modified: Timestamp,
}

/// What one object brought.
#[derive(Debug, Clone)]
pub(super) struct Contribution {
    pub identity: Identity,
    pub as_of: AsOf,
    pub summary: Summary,
    pub values: Vec<(String, String)>,
}

/// What a destination holds.
#[derive(Debug, Default)]
pub(super) struct Store {
    /// By object, what its newest generation brought.
    pub contributions: HashMap<DedupKey, Contribution>,
    /// Every merge, in order.
    pub merges: Vec<(Identity, ObjectKey, ContentHash)>,
}

impl Store {
    /// What an account's value is: that of the newest write (R2).
    pub fn value(&self, account: &str) -> Option<&str> {
        let writes = self.contributions.values().flat_map(|contribution| {
            contribution.values.iter().map(move |(of, value)| (&contribution.as_of, of, value))
        });
        let newest = writes.filter(|(_, of, _)| *of == account).max_by_key(|(as_of, _, _)| *as_of);
        newest.map(|(_, _, value)| value.as_str())
    }

    /// Whether it has merged this.
    pub fn has_merged(&self, identity: &Identity) -> bool {
        self.merges.iter().any(|(merged, _, _)| merged == identity)
    }
}

#[derive(Debug, Default)]
pub(super) struct World {
    /// Which process it is. What an earlier one still does has no effect.
    pub process: u64,
    pub now: Timestamp,
    pub bucket: BTreeMap<ObjectKey, Stored>,
    /// What the destinations hold, the deciding one first.
    pub stores: [Store; 2],
    /// What happens at the next step of a kind.
    pub faults: Vec<(Step, u32, Fault)>,
    /// Keys in the order in which they were fetched.
    pub fetched: Vec<ObjectKey>,
    /// How far the server's clock is behind now.
    pub server_behind: SignedDuration,
    /// How many keys were listed so far.
    pub listed: usize,
    /// Whether the server lists the last key first.
    pub lists_backwards: bool,
    /// Whether a page names its first key twice, and begins with the last one of the page before.
    pub lists_twice: bool,
    /// Whether the first page follows the last one.
    pub lists_round: bool,
    /// How long a fetch takes.
    pub fetch_takes: SignedDuration,
    pub disk: Option<Arc<Disk>>,
    /// What must never be.
    pub violations: Vec<String>,
}

/// The world as one process sees it.
#[derive(Debug, Clone)]
pub(super) struct Hand {
    world: Arc<Mutex<World>>,
    process: u64,
    /// As a destination, whose store it is.
    store: usize,
}

/// The process has ended, or is not allowed to go on.
struct Refused(Fault);

impl World {
    /// The process ends here: nothing that it still does has any effect.
    pub fn crash(&mut self) {
        self.process += 1;
        if let Some(disk) = &self.disk {
            disk.take_away();
        }
    }

    pub fn current(&self, key: &ObjectKey) -> Option<&Stored> {
        self.bucket.get(key)
    }
}

impl Hand {
    /// For a process that starts.
    pub fn of(world: &Arc<Mutex<World>>) -> Self {
        let process = world.lock().unwrap().process;
        Self { world: Arc::clone(world), process, store: 0 }
    }

    /// The same process, as this one of the destinations.
    pub fn on_store(&self, store: usize) -> Self {
        Self { store, ..self.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// Whether this process has ended.
    pub fn has_ended(&self) -> bool {
        self.lock().process != self.process
    }

    /// A step, with the world as it is then.
    fn step(&self, step: Step) -> Result<MutexGuard<'_, World>, Refused> {
        let mut world = self.lock();
        if world.process != self.process {
            return Err(Refused(Fault::Crash));
        }
        let due = world.faults.iter_mut().position(|(of, after, _)| {
            let is_due = *of == step && *after == 0;
            if *of == step {
                *after = after.saturating_sub(1);
            }
            is_due
        });
        let Some(due) = due else { return Ok(world) };
        let (_, _, fault) = world.faults.remove(due);
        if let Fault::Crash = fault {
            world.crash();
        }
        Err(Refused(fault))
    }
}

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        self.lock().now
    }
}

fn failure(refused: Refused) -> Failure {
    Failure::new(match refused.0 {
        Fault::Source(kind) => kind,
        Fault::Destination | Fault::Crash => FailureKind::Network,
    })
}

impl Source for Hand {
    async fn list(&self, after: Option<&PageToken>) -> Result<Page, SourceError> {
        let world = self.step(Step::List);
        let mut world =
            world.map_err(|refused| SourceError::list(&"exports".parse().unwrap(), "", failure(refused)))?;
        let after = after.map(|token| match token {
            PageToken::Continued(key) => key.parse().unwrap(),
            PageToken::After(key) => key.clone(),
        });
        let mut all: Vec<_> = world.bucket.iter().collect();
        if world.lists_backwards {
            all.reverse();
        }
        let mut left = all.into_iter().skip_while(|(key, _)| after.as_ref().is_some_and(|after| *key != after));
        if after.is_some() && !world.lists_twice {
            left.next();
        }
        let mut objects: Vec<Object> = left
            .by_ref()
            .take(PAGE)
            .map(|(key, stored)| Object {
                connection: "main".parse().unwrap(),
                bucket: "exports".parse().unwrap(),
                key: key.clone(),
                etag: stored.etag.clone(),
                size: stored.content.len() as u64,
                last_modified: stored.last_modified,
            })
            .collect();
        let last = objects.last().map(|object| PageToken::Continued(object.key.as_str().to_owned()));
        let next = match (left.next().is_some(), world.lists_round) {
            (false, true) => world.bucket.keys().next().map(|key| PageToken::Continued(key.as_str().to_owned())),
            (goes_on, _) => last.filter(|_| goes_on),
        };
        let again = objects.first().filter(|_| world.lists_twice).cloned();
        objects.extend(again);
        world.listed += objects.len();
        objects.sort_by(|one, other| (one.last_modified, &one.key).cmp(&(other.last_modified, &other.key)));
        Ok(Page { objects, next, ..Page::default() })
    }

    async fn fetch(&self, object: &Object, room: Reservation, beat: &Beat) -> Result<SpooledObject, SourceError> {
        let content = {
            let world = self.step(Step::Fetch);
            let mut world = world.map_err(|refused| SourceError::fetch(object, failure(refused)))?;
            let gone = |kind| Err(SourceError::fetch(object, Failure::new(kind)));
            let content = match world.bucket.get(&object.key) {
                None => return gone(FailureKind::Gone),
                Some(stored) if stored.etag != object.etag => return gone(FailureKind::Changed),
                Some(stored) => stored.content.clone(),
            };
            world.fetched.push(object.key.clone());
            let takes = world.fetch_takes;
            world.now += takes;
            content
        };
        beat.beat();
        let mut writer = room.write(Digests::Content).unwrap();
        writer.write(content).await.unwrap();
        Ok(writer.finish().await.unwrap())
    }
}

fn refused(_: Refused) -> DestinationError {
    DestinationError::Io { what: "use", path: "the store".to_owned(), source: std::io::ErrorKind::Other.into() }
}

impl Destination for Hand {
    fn confirmed(&self, _: &TenantName, identity: &Identity) -> Result<Option<Summary>, DestinationError> {
        let world = self.step(Step::Confirmed).map_err(refused)?;
        let held = world.stores[self.store].contributions.get(&identity.dedup_key);
        Ok(held.filter(|held| held.identity.generation >= identity.generation).map(|held| held.summary.clone()))
    }

    fn can_match(&self) -> bool {
        false
    }

    fn unconfirmed(&self, _: &TenantName, _: &[Identity]) -> Result<Option<Vec<usize>>, DestinationError> {
        Ok(None)
    }

    fn taken(&self, _: &TenantName, _: &IntegrationName, _: &DedupKey) -> Result<Option<Taken>, DestinationError> {
        Ok(None)
    }

    fn lacks_accounts(&self, _: &TenantName) -> Result<Option<bool>, DestinationError> {
        Ok(None)
    }

    fn rename(&self, _: &TenantName, _: &IntegrationName, _: &IntegrationName) -> Result<(), DestinationError> {
        Ok(())
    }

    fn relocate(&self, _: &TenantName, _: &IntegrationName, _: &Relocation) -> Result<(), DestinationError> {
        Ok(())
    }

    fn stage(&self, delivery: Delivery) -> Result<Box<dyn Staging>, DestinationError> {
        drop(self.step(Step::Stage).map_err(refused)?);
        Ok(Box::new(Staged { hand: self.clone(), delivery, rows: BTreeMap::new() }))
    }
}

/// One object's rows on their way in.
struct Staged {
    hand: Hand,
    delivery: Delivery,
    rows: BTreeMap<u32, (String, String)>,
}

impl Intake for Staged {
    fn open_table(&mut self, _: Option<&AccountLayout>, _: Option<&UsageLayout>) -> Result<(), DestinationError> {
        Ok(())
    }

    fn accounts(&mut self, batch: &AccountBatch, rejected: &[u32]) -> Result<(), DestinationError> {
        drop(self.hand.step(Step::Accounts).map_err(refused)?);
        let (Some(accounts), Some(values)) = (batch.identifiers.first(), batch.fields.first()) else { return Ok(()) };
        let values = values.values.as_string::<i32>();
        for (place, row) in batch.rows.iter().enumerate().filter(|(_, row)| !rejected.contains(row)) {
            let value = if values.is_valid(place) { values.value(place) } else { "" };
            self.rows.insert(*row, (accounts.value(place).to_owned(), value.to_owned()));
        }
        Ok(())
    }

    fn usage(&mut self, _: &UsageBatch, _: &[u32]) -> Result<(), DestinationError> {
        Ok(())
    }

    fn reject_row(&mut self, row: u32) -> Result<(), DestinationError> {
        self.rows.remove(&row);
        Ok(())
    }
}

impl Staging for Staged {
    fn preview(self: Box<Self>) -> Result<Preview, DestinationError> {
        Ok(Preview::default())
    }

    fn merge(self: Box<Self>, rows: RowCounts) -> Result<Summary, DestinationError> {
        let Self { hand, delivery, rows: staged } = *self;
        drop(hand.step(Step::BeforeCommit).map_err(refused)?);
        let merged = Merged { matched: staged.len() as u64, ..Merged::default() };
        let summary = Summary { content: delivery.content, rows, merged };
        let mut world = hand.lock();
        if world.process != hand.process {
            return Err(refused(Refused(Fault::Crash)));
        }
        let Delivery { identity, as_of, content, object, .. } = delivery;
        let [deciding, ..] = &world.stores;
        if hand.store > 0 && !deciding.has_merged(&identity) {
            world.violations.push(format!("{identity:?} is merged before its deciding destination has it"));
        }
        if world.stores[hand.store].has_merged(&identity) {
            world.violations.push(format!("I3: {identity:?} is merged twice"));
        }
        let store = &mut world.stores[hand.store];
        store.merges.push((identity.clone(), object.key, content));
        let values = staged.into_values().collect();
        // What an earlier generation of the object brought is replaced (R1).
        let dedup_key = identity.dedup_key.clone();
        let contribution = Contribution { identity, as_of, summary: summary.clone(), values };
        store.contributions.insert(dedup_key, contribution);
        drop(world);
        drop(hand.step(Step::AfterCommit).map_err(refused)?);
        Ok(summary)
    }
}
