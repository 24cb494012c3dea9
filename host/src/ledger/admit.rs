//! What a listed object is to the ledger, and how versions are registered.
//!
//! A page is classified in one read transaction. What has to be written down first, versions never seen before above
//! all, goes to the writer in one request, which classifies again: a replay may have come in between.

use jiff::Timestamp;
use redb::{AccessGuard, ReadTransaction, ReadableTable};

use super::layout::{
    Bytes, CONTENTS, Index, KEYS, SOURCES, Tables, VERSIONS, content_place, corrupt, key_place, number_of, version_at,
    versions_of,
};
use super::state::{SkipReason, State, StateName, Version};
use super::store::{move_to_front, position, put, source_number};
use super::walk::Walk;
use super::{LedgerError, reading};
use crate::object::{
    AsOf, ContentHash, DedupKey, DestinationName, Generation, Identity, IntegrationName, MappingDigest, Object,
};

/// What decides which of the listed objects are to be worked on.
#[derive(Debug, Clone)]
pub struct AdmitPolicy {
    /// The time of the pass.
    pub now: Timestamp,
    /// What happens to a key that went back to bytes it had before.
    pub on_revert: OnRevert,
    /// What decides now how rows are read.
    pub mapping: MappingDigest,
}

/// What happens to a key that went back to bytes it had before (R4).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnRevert {
    /// It is left out, with a warning.
    #[default]
    Skip,
    /// It is taken again, as the newest version of its key.
    Ingest,
}

/// What a listed page holds.
#[derive(Debug, Default)]
pub struct Admitted {
    /// To be worked on: those registered before in the order of the page, then the others in the same order.
    pub work: Vec<NewObject>,
    /// Keys that went back to bytes they had before, found now for the first time (R4).
    pub reverted: Vec<Object>,
    /// The others.
    pub known: Known,
}

/// How many listed objects need no work, by the reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Known {
    /// Completed.
    pub completed: u64,
    /// Failed, and not due yet; or archived, and not looked at again yet.
    pub waiting: u64,
    /// Waiting for a person or for another mapping.
    pub quarantined: u64,
    /// Left out on purpose.
    pub skipped: u64,
    /// Back to bytes that they had before, noticed by an earlier pass (R4).
    pub reverted: u64,
}

impl Known {
    fn count(&mut self, state: StateName) {
        match state {
            StateName::Completed => self.completed += 1,
            StateName::Quarantined => self.quarantined += 1,
            StateName::Skipped => self.skipped += 1,
            StateName::New | StateName::Delivered | StateName::Failed => self.waiting += 1,
        }
    }

    fn add(&mut self, other: Self) {
        self.completed += other.completed;
        self.waiting += other.waiting;
        self.quarantined += other.quarantined;
        self.skipped += other.skipped;
        self.reverted += other.reverted;
    }
}

/// A registered object that is to be worked on. Only the ledger makes one.
#[derive(Debug, Clone)]
pub struct NewObject {
    pub(super) source: u32,
    object: Object,
    identity: Identity,
    as_of: AsOf,
    attempts: u32,
    confirmed: Vec<DestinationName>,
    summary: Option<serde_json::Value>,
    delivered_under: Option<MappingDigest>,
}

impl NewObject {
    /// The object, as it was listed.
    pub fn object(&self) -> &Object {
        &self.object
    }

    /// What destinations confirm at most once (I2, R1).
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Where its writes stand among all writes (R2).
    pub fn as_of(&self) -> &AsOf {
        &self.as_of
    }

    /// How often it failed before, in this generation and under this mapping.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The destinations that have it already.
    pub fn confirmed(&self) -> &[DestinationName] {
        &self.confirmed
    }

    /// What was counted when it came to those destinations.
    pub fn summary(&self) -> Option<&serde_json::Value> {
        self.summary.as_ref()
    }

    /// The one mapping under which it came to them; none where that is not known.
    pub fn delivered_under(&self) -> Option<&MappingDigest> {
        self.delivered_under.as_ref()
    }

    /// Its place in `keys`.
    pub(super) fn key_place(&self) -> Vec<u8> {
        let mut place = Vec::new();
        key_place(&mut place, self.source, &self.object.key);
        place
    }
}

/// What one listed object is.
#[expect(clippy::large_enum_variant, reason = "there is one at a time, and it is taken apart at once")]
enum Verdict {
    Known(StateName),
    KnownReverted,
    /// The page names its key once more, later.
    Repeated,
    Due {
        index_arrival: u64,
        version: Version,
        retried: Retried,
    },
    Write(Change),
}

/// Whether failed attempts still count.
enum Retried {
    UnderTheSameMapping,
    UnderAnother,
}

/// What has to be written down before an object is what it is.
enum Change {
    /// A version never seen before.
    Register,
    /// An older version that was never finished, or that the policy takes again: it becomes the newest.
    Return { arrival: u64 },
    /// The listing shows an older version.
    NoteReverted { arrival: u64 },
    /// The listing shows the current version again.
    NoteCurrent,
}

/// `stored` is what stands at the object's place in `keys`.
fn classify(
    stored: Option<&[u8]>,
    versions: &impl Bytes,
    place: &[u8],
    object: &Object,
    policy: &AdmitPolicy,
) -> Result<Verdict, LedgerError> {
    let Some(stored) = stored else {
        return Ok(Verdict::Write(Change::Register));
    };
    let index = Index::decode(stored).ok_or_else(|| corrupt(place))?;
    if index.etag != object.etag.as_str() {
        return classify_other(versions, place, &index, object, policy);
    }
    if index.listed != 0 {
        return Ok(Verdict::Write(Change::NoteCurrent));
    }
    if !index.is_due(policy.now, &policy.mapping) {
        return Ok(Verdict::Known(index.state));
    }
    let version = version_at(versions, place, index.arrivals)?.ok_or_else(|| corrupt(place))?;
    let retried = match version.failed_under() {
        Some(mapping) if *mapping != policy.mapping => Retried::UnderAnother,
        Some(_) | None => Retried::UnderTheSameMapping,
    };
    Ok(Verdict::Due { index_arrival: index.arrivals, version, retried })
}

/// The key's current version has another ETag than the object.
fn classify_other(
    versions: &impl Bytes,
    place: &[u8],
    index: &Index<'_>,
    object: &Object,
    policy: &AdmitPolicy,
) -> Result<Verdict, LedgerError> {
    let noted = match index.listed {
        0 => None,
        arrival => version_at(versions, place, arrival)?
            .filter(|version| version.etag == object.etag)
            .map(|found| (arrival, found)),
    };
    let earlier = match noted {
        Some(found) => Some(found),
        None => versions_of(versions, place, |arrival, version| {
            (version.etag == object.etag).then_some((arrival, version))
        })?,
    };
    let Some((arrival, version)) = earlier else {
        return Ok(Verdict::Write(Change::Register));
    };
    if version.is_processed() && version.content.is_some() {
        let current = version_at(versions, place, index.arrivals)?;
        if current.is_some_and(|current| current.is_processed() && current.content == version.content) {
            // Two ETags of the same bytes take turns: nothing went back.
            return Ok(Verdict::Known(StateName::Completed));
        }
    }
    Ok(match policy.on_revert {
        _ if !version.is_processed() => Verdict::Write(Change::Return { arrival }),
        OnRevert::Ingest => Verdict::Write(Change::Return { arrival }),
        OnRevert::Skip if index.listed == arrival => Verdict::KnownReverted,
        OnRevert::Skip => Verdict::Write(Change::NoteReverted { arrival }),
    })
}

/// One page, in one read transaction: what is clear already, and what has to be written first.
pub(super) fn look_up(
    transaction: &ReadTransaction,
    integration: &IntegrationName,
    objects: Vec<Object>,
    policy: &AdmitPolicy,
) -> Result<(Admitted, Vec<Object>), LedgerError> {
    let sources = transaction.open_table(SOURCES).map_err(reading)?;
    let keys = transaction.open_table(KEYS).map_err(reading)?;
    let versions = transaction.open_table(VERSIONS).map_err(reading)?;
    let mut last_source = None;
    let mut places = Vec::with_capacity(objects.len());
    for object in &objects {
        let source = match &last_source {
            Some((connection, bucket, number)) if (connection, bucket) == (&object.connection, &object.bucket) => {
                *number
            }
            Some(_) | None => {
                let number = number_of(&sources, integration, &object.connection, &object.bucket)?;
                last_source = Some((object.connection.clone(), object.bucket.clone(), number));
                number
            }
        };
        places.push(source.map(|source| {
            let mut place = Vec::new();
            key_place(&mut place, source, &object.key);
            (source, place)
        }));
    }
    // A page is ordered by time, the ledger by key.
    let mut by_place: Vec<_> = objects.iter().zip(&places).enumerate().collect();
    by_place.sort_unstable_by_key(|(number, (object, place))| (*place, &object.key, *number));
    let mut by_place = by_place.into_iter().peekable();
    let mut walk = Walk::along(&keys);
    let mut verdicts: Vec<Option<Verdict>> = objects.iter().map(|_| None).collect();
    while let Some((number, (object, place))) = by_place.next() {
        let Some(verdict) = verdicts.get_mut(number) else { continue };
        if by_place.peek().is_some_and(|(_, (next, next_place))| *next_place == place && next.key == object.key) {
            // Two versions of one key never run at once (R2), nor does one twice.
            *verdict = Some(Verdict::Repeated);
        } else if let Some((_, place)) = place {
            *verdict = Some(classify(walk.find(place)?, &versions, place, object, policy)?);
        }
    }
    let mut admitted = Admitted::default();
    let mut to_write = Vec::new();
    for ((object, verdict), place) in objects.into_iter().zip(verdicts).zip(places) {
        match (verdict, place) {
            (Some(Verdict::Repeated), _) => {}
            (None | Some(Verdict::Write(_)), _) | (_, None) => to_write.push(object),
            (Some(verdict), Some((source, _))) => admitted.take(verdict, integration, source, object),
        }
    }
    Ok((admitted, to_write))
}

impl Admitted {
    /// Adds what the writer found of the objects that had to be written.
    pub(super) fn join(&mut self, written: Self) {
        self.work.extend(written.work);
        self.reverted.extend(written.reverted);
        self.known.add(written.known);
    }

    fn take(&mut self, verdict: Verdict, integration: &IntegrationName, source: u32, object: Object) {
        match verdict {
            Verdict::Known(state) => self.known.count(state),
            Verdict::KnownReverted => self.known.reverted += 1,
            Verdict::Due { index_arrival, version, retried } => {
                let attempts = match retried {
                    Retried::UnderTheSameMapping => version.attempts(),
                    Retried::UnderAnother => 0,
                };
                // Bytes that were uploaded or copied again are as old as they were: their days do not change (R8).
                let object = Object { last_modified: version.last_modified, ..object };
                self.work.push(new_object(integration, source, object, index_arrival, version, attempts));
            }
            Verdict::Write(_) | Verdict::Repeated => {}
        }
    }
}

fn new_object(
    integration: &IntegrationName,
    source: u32,
    object: Object,
    arrival: u64,
    version: Version,
    attempts: u32,
) -> NewObject {
    let is_delivered = matches!(version.state, Some(State::Delivered { .. }));
    NewObject {
        source,
        identity: Identity {
            integration: integration.clone(),
            dedup_key: object.dedup_key(),
            generation: version.generation,
        },
        as_of: AsOf {
            effective_time: version.effective_time,
            key: object.key.clone(),
            arrival,
            generation: version.generation,
        },
        object,
        attempts,
        confirmed: version.confirmed,
        summary: version.summary,
        delivered_under: version.mapping.filter(|_| is_delivered),
    }
}

/// Registers what has to be, in the writer's transaction.
pub(super) fn register(
    tables: &mut Tables<'_>,
    integration: &IntegrationName,
    objects: Vec<Object>,
    policy: &AdmitPolicy,
) -> Result<Admitted, LedgerError> {
    let mut admitted = Admitted::default();
    let mut place = Vec::new();
    for object in objects {
        let source = source_number(tables, integration, &object, policy.now)?;
        key_place(&mut place, source, &object.key);
        // One change makes an object known or due, so the second look is the last.
        let verdict = match classify_at(tables, &place, &object, policy)? {
            Verdict::Write(change) => {
                if let Change::NoteReverted { .. } = &change {
                    admitted.reverted.push(object.clone());
                    apply(tables, &place, &object, change, policy.now)?;
                    continue;
                }
                apply(tables, &place, &object, change, policy.now)?;
                classify_at(tables, &place, &object, policy)?
            }
            clear => clear,
        };
        admitted.take(verdict, integration, source, object);
    }
    Ok(admitted)
}

fn classify_at(
    tables: &Tables<'_>,
    place: &[u8],
    object: &Object,
    policy: &AdmitPolicy,
) -> Result<Verdict, LedgerError> {
    let stored = tables.keys.get(place).map_err(reading)?;
    classify(stored.as_ref().map(AccessGuard::value), &tables.versions, place, object, policy)
}

fn apply(
    tables: &mut Tables<'_>,
    place: &[u8],
    object: &Object,
    change: Change,
    now: Timestamp,
) -> Result<(), LedgerError> {
    let (arrivals, effective, _) = position(&tables.keys, place)?.unwrap_or((0, Timestamp::MIN, 0));
    match change {
        Change::Register => {
            let version = Version::new(object, object.last_modified.max(effective), now);
            supersede(tables, place, arrivals, now)?;
            put(tables, place, arrivals + 1, &version, arrivals + 1, 0)
        }
        Change::Return { arrival } => {
            supersede(tables, place, arrivals, now)?;
            move_to_front(tables, place, arrival, Some(object), now)
        }
        Change::NoteReverted { arrival } => note_listed(tables, place, arrivals, arrival),
        Change::NoteCurrent => note_listed(tables, place, arrivals, 0),
    }
}

fn note_listed(tables: &mut Tables<'_>, place: &[u8], arrivals: u64, listed: u64) -> Result<(), LedgerError> {
    let current = version_at(&tables.versions, place, arrivals)?.ok_or_else(|| corrupt(place))?;
    put(tables, place, arrivals, &current, arrivals, listed)
}

/// A newer version came: what the current one still had to do is done with (R2).
fn supersede(tables: &mut Tables<'_>, place: &[u8], arrivals: u64, now: Timestamp) -> Result<(), LedgerError> {
    match version_at(&tables.versions, place, arrivals)? {
        Some(mut version) if version.is_unfinished() => {
            version.state = Some(State::Skipped { reason: SkipReason::Superseded });
            version.changed = now;
            put(tables, place, arrivals, &version, arrivals, 0)
        }
        Some(_) | None => Ok(()),
    }
}

/// A completed version of the same key that had the same bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SameContent {
    /// The key's newest completed version: nothing changed (R5).
    Unchanged {
        /// That version.
        of: DedupKey,
    },
    /// An older one: the key went back (R4).
    Reverted {
        /// That version.
        to: DedupKey,
    },
}

/// Looks for the bytes among the key's completed versions. A generation above 0 was asked for, so it never finds any.
pub(super) fn same_content(
    transaction: &ReadTransaction,
    new: &NewObject,
    content: &ContentHash,
) -> Result<Option<SameContent>, LedgerError> {
    if new.identity.generation > Generation::default() {
        return Ok(None);
    }
    let contents = transaction.open_table(CONTENTS).map_err(reading)?;
    let versions = transaction.open_table(VERSIONS).map_err(reading)?;
    let place = new.key_place();
    let Some(arrival) = contents.get(content_place(&place, content.as_bytes()).as_slice()).map_err(reading)? else {
        return Ok(None);
    };
    let arrival = arrival.value();
    let is_completed = |version: &Version| version.state == Some(State::Completed);
    let Some(version) = version_at(&versions, &place, arrival)?.filter(is_completed) else {
        return Ok(None);
    };
    let mut may_have_been_replaced = false;
    let newest = versions_of(&versions, &place, |arrival, version| {
        may_have_been_replaced |= !is_completed(&version) && version.may_have_been_merged();
        is_completed(&version).then_some(arrival)
    })?;
    let object = &new.object;
    let dedup_key = DedupKey::new(&object.connection, &object.bucket, &object.key, &version.etag);
    Ok(Some(match newest {
        Some(newest) if newest > arrival => SameContent::Reverted { to: dedup_key },
        Some(_) | None if may_have_been_replaced => return Ok(None),
        Some(_) | None => SameContent::Unchanged { of: dedup_key },
    }))
}
