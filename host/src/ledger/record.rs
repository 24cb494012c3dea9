//! What is written of an object after it was worked on, left out, or asked for again.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::admit::{AdmitPolicy, NewObject, OnRevert, register};
use super::layout::{Source, Tables, corrupt, key_at, key_place, sources_in, version_at, versions_of};
use super::state::{Facts, SkipReason, State, Version};
use super::store::{control_of, forget_content, move_to_front, position, put, put_control};
use super::{LedgerError, reading};
use crate::object::{DestinationName, Generation, IntegrationName, MappingDigest, Object, ObjectKey};

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// It stands as it was given.
    Stored,
    /// A newer version of the key came meanwhile, so that what was left to do is done with (R2).
    Superseded,
    /// The object was asked for again meanwhile; this generation no longer counts (R1).
    Outdated,
}

/// Writes what became of an object.
pub(super) fn record(
    tables: &mut Tables<'_>,
    new: &NewObject,
    state: State,
    facts: Facts,
) -> Result<Recorded, LedgerError> {
    let place = new.key_place();
    let arrival = new.as_of().arrival;
    let Some((arrivals, _, listed)) = position(&tables.keys, &place)? else {
        return Ok(Recorded::Outdated);
    };
    let Some(mut version) = version_at(&tables.versions, &place, arrival)? else {
        return Ok(Recorded::Outdated);
    };
    if version.generation != new.identity().generation || version.etag != new.object().etag {
        return Ok(Recorded::Outdated);
    }
    version.changed = facts.at;
    version.content = facts.content.or(version.content);
    version.mapping = facts.mapping;
    version.summary = facts.summary;
    version.failure = facts.failure;
    let is_missing_somewhere = matches!(state, State::Delivered { .. }) && version.failure.is_some();
    match &state {
        State::Completed => version.confirmed = facts.confirmed,
        State::Delivered { .. } | State::Failed { .. } | State::Quarantined { .. } => {
            version.confirmed = union(&version.confirmed, &facts.confirmed);
        }
        State::Skipped { .. } => version.confirmed.clear(),
    }
    if state == State::Completed {
        // Taking an old file again is no new file; a new one that was mended and asked for again is as old as it is.
        let came = if version.generation == Generation::default() { facts.at } else { version.first_seen };
        let integration = &new.identity().integration;
        let mut control = control_of(&tables.controls, integration)?;
        if control.waiting_since < Some(came) {
            control.waiting_since = Some(came);
            put_control(tables, integration, &control)?;
        }
    }
    if is_missing_somewhere || matches!(state, State::Failed { .. } | State::Quarantined { .. }) {
        let integration = &new.identity().integration;
        let mut control = control_of(&tables.controls, integration)?;
        if control.failing_since.is_none() {
            control.failing_since = Some(facts.at);
            put_control(tables, integration, &control)?;
        }
    }
    version.state = Some(state);
    let mut recorded = Recorded::Stored;
    if arrival != arrivals && version.is_unfinished() {
        version.state = Some(State::Skipped { reason: SkipReason::Superseded });
        recorded = Recorded::Superseded;
    }
    put(tables, &place, arrival, &version, arrivals, listed)?;
    Ok(recorded)
}

fn union(before: &[DestinationName], now: &[DestinationName]) -> Vec<DestinationName> {
    let mut all = before.to_vec();
    all.extend(now.iter().filter(|name| !before.contains(name)).cloned());
    all
}

/// Records objects as left out, unless they were worked on before. Returns how many.
pub(super) fn skip_all(
    tables: &mut Tables<'_>,
    integration: &IntegrationName,
    objects: Vec<Object>,
    reason: &SkipReason,
    now: Timestamp,
) -> Result<u64, LedgerError> {
    // Nothing but the registration is wanted of the policy: no digest of zeros was ever stored.
    let policy = AdmitPolicy { now, on_revert: OnRevert::Skip, mapping: MappingDigest::from_bytes([0; 32]) };
    let mut skipped = 0;
    for new in register(tables, integration, objects, &policy)?.work {
        let place = new.key_place();
        let arrival = new.as_of().arrival;
        let version = version_at(&tables.versions, &place, arrival)?.ok_or_else(|| corrupt(&place))?;
        if version.state.is_none() {
            let skipped_version =
                Version { state: Some(State::Skipped { reason: reason.clone() }), changed: now, ..version };
            put(tables, &place, arrival, &skipped_version, arrival, 0)?;
            skipped += 1;
        }
    }
    Ok(skipped)
}

/// Which keys a person asks for again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Selector {
    /// One key.
    Key(ObjectKey),
    /// Every key that begins so; the empty prefix is every key.
    Prefix(String),
    /// Every key whose listed version was last modified at that time or later.
    Since(Timestamp),
    /// Every key whose newest version, as it stands in the bucket, had rows that matched no account (R7).
    Unmatched,
    /// Every key whose listed version was completed under another mapping than this one (R6).
    Stale(MappingDigest),
}

/// How much of a key is asked for again (R1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Again {
    /// `replay`: the version that the last listing showed is taken again by the next pass.
    Listed,
    /// `ledger forget`: whichever of its versions a listing shows next is taken again.
    Every,
}

/// What was asked for again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedAgain {
    /// How many keys.
    pub keys: u64,
    /// The first of them, as they were last listed; at most 100.
    pub examples: Vec<Object>,
}

/// At most so many examples are handed back.
const EXAMPLES: usize = 100;
/// Keys that are looked at before any of them is changed.
const CHUNK: usize = 1_000;

/// Raises generations, so that the selected objects are new again (R1).
pub(super) fn ask_again(
    tables: &mut Tables<'_>,
    integration: &IntegrationName,
    selector: &Selector,
    again: Again,
    now: Timestamp,
) -> Result<AskedAgain, LedgerError> {
    let mut asked = AskedAgain::default();
    for source in sources_in(&tables.sources, Some(integration))? {
        let mut from = Vec::new();
        match selector {
            Selector::Key(key) => key_place(&mut from, source.number, key),
            Selector::Prefix(prefix) => {
                from.extend_from_slice(&source.number.to_be_bytes());
                from.extend_from_slice(prefix.as_bytes());
            }
            Selector::Since(_) | Selector::Unmatched | Selector::Stale(_) => {
                from.extend_from_slice(&source.number.to_be_bytes());
            }
        }
        let start = from.clone();
        loop {
            let places = places_from(tables, &from, &start, selector)?;
            for place in &places {
                renew(tables, &source, place, selector, again, now, &mut asked)?;
            }
            let Some(last) = places.last().filter(|_| places.len() == CHUNK) else {
                break;
            };
            from.clone_from(last);
            from.push(0);
        }
    }
    Ok(asked)
}

/// The next places in `keys` that begin like `start`.
fn places_from(
    tables: &Tables<'_>,
    from: &[u8],
    start: &[u8],
    selector: &Selector,
) -> Result<Vec<Vec<u8>>, LedgerError> {
    use redb::ReadableTable;
    let mut places = Vec::new();
    for row in tables.keys.range(from..).map_err(reading)?.take(CHUNK) {
        let (place, _) = row.map_err(reading)?;
        let place = place.value();
        let is_selected = match selector {
            Selector::Key(_) => place == start,
            Selector::Prefix(_) | Selector::Since(_) | Selector::Unmatched | Selector::Stale(_) => {
                place.starts_with(start)
            }
        };
        if !is_selected {
            break;
        }
        places.push(place.to_vec());
    }
    Ok(places)
}

fn renew(
    tables: &mut Tables<'_>,
    source: &Source,
    place: &[u8],
    selector: &Selector,
    again: Again,
    now: Timestamp,
    asked: &mut AskedAgain,
) -> Result<(), LedgerError> {
    let (arrivals, _, listed) = position(&tables.keys, place)?.ok_or_else(|| corrupt(place))?;
    let shown_arrival = if listed == 0 { arrivals } else { listed };
    let shown = version_at(&tables.versions, place, shown_arrival)?.ok_or_else(|| corrupt(place))?;
    let is_selected = match selector {
        Selector::Key(_) | Selector::Prefix(_) | Selector::Unmatched => true,
        Selector::Since(since) => shown.last_modified >= *since,
        Selector::Stale(mapping) => shown.is_stale(mapping),
    };
    if !is_selected {
        return Ok(());
    }
    // A version that the bucket went back to waits for a person who names it (R4).
    if *selector == Selector::Unmatched && (shown_arrival != arrivals || !was_unmatched(tables, source, place, &shown)?)
    {
        return Ok(());
    }
    asked.keys += 1;
    if asked.examples.len() < EXAMPLES {
        asked.examples.push(shown.object(&source.connection, &source.bucket, &key_at(place)?));
    }
    if again == Again::Every {
        forget_others(tables, place, arrivals, shown_arrival, now)?;
    }
    if shown_arrival == arrivals {
        forget_content(tables, place, arrivals, &shown)?;
        let mut shown = shown;
        shown.renew(now);
        put(tables, place, arrivals, &shown, arrivals, 0)
    } else {
        supersede_current(tables, place, arrivals, now)?;
        move_to_front(tables, place, shown_arrival, None, now)
    }
}

/// Whether a version had rows that matched no account: itself, or the one whose bytes it has again.
fn was_unmatched(tables: &Tables<'_>, source: &Source, place: &[u8], version: &Version) -> Result<bool, LedgerError> {
    let Some(State::Skipped { reason: SkipReason::SameContent { of } }) = &version.state else {
        return Ok(version.had_unmatched_rows());
    };
    let key = key_at(place)?;
    let first = versions_of(&tables.versions, place, |_, version| {
        let is_it = version.object(&source.connection, &source.bucket, &key).dedup_key() == *of;
        is_it.then(|| version.had_unmatched_rows())
    })?;
    Ok(first.unwrap_or_default())
}

fn supersede_current(tables: &mut Tables<'_>, place: &[u8], arrivals: u64, now: Timestamp) -> Result<(), LedgerError> {
    let current = version_at(&tables.versions, place, arrivals)?.ok_or_else(|| corrupt(place))?;
    if current.is_unfinished() {
        let state = Some(State::Skipped { reason: SkipReason::Superseded });
        put(tables, place, arrivals, &Version { state, changed: now, ..current }, arrivals, 0)?;
    }
    Ok(())
}

/// All versions but one become such that a listing which shows one of them makes it the newest arrival.
fn forget_others(
    tables: &mut Tables<'_>,
    place: &[u8],
    arrivals: u64,
    but: u64,
    now: Timestamp,
) -> Result<(), LedgerError> {
    let mut others = Vec::new();
    versions_of(&tables.versions, place, |arrival, version| {
        if arrival != but {
            others.push((arrival, version));
        }
        None::<()>
    })?;
    for (arrival, mut version) in others {
        forget_content(tables, place, arrival, &version)?;
        version.renew(now);
        version.state = Some(State::Skipped { reason: SkipReason::Superseded });
        put(tables, place, arrival, &version, arrivals, 0)?;
    }
    Ok(())
}
