//! Reading the ledger for a person: lists, one key's history, counts.

use std::collections::BTreeMap;

use jiff::Timestamp;
use redb::ReadTransaction;
use serde::{Deserialize, Serialize};

use super::layout::{
    ABSENT, Index, KEYS, Source, VERSIONS, corrupt, decode_version, key_at, key_place, sources, split_version_place,
    version_at, versions_of,
};
use super::state::{Entry, State, StateName, Version};
use super::{LedgerError, reading};
use crate::object::{IntegrationName, MappingDigest, ObjectKey};

/// Which entries a list shows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Filter {
    /// Keys that begin so; empty for all.
    pub prefix: String,
    /// States; empty for all.
    pub states: Vec<StateName>,
    /// Only those that were completed under another mapping than this one (R6).
    pub stale_under: Option<MappingDigest>,
    /// Whether older versions of a key are shown too.
    pub versions: Versions,
    /// At most so many; 0 for the most there can be in one answer, 10,000.
    pub limit: usize,
    /// Where the list before this one ended.
    pub after: Option<ListPosition>,
}

/// Which versions of a key a list shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Versions {
    /// The newest alone.
    #[default]
    Current,
    /// Older ones too.
    Every,
}

/// Where a list ended. Its content is the ledger's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ListPosition(Vec<u8>);

/// Some entries, in the order of their keys, and where to go on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// The entries.
    pub entries: Vec<Entry>,
    /// Given while there may be more.
    pub next: Option<ListPosition>,
}

/// Objects by the state of their newest version.
pub type Counts = BTreeMap<StateName, u64>;

/// What an integration has, at a glance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overview {
    /// Its objects.
    pub counts: Counts,
    /// Those of them that are not done with.
    pub backlog: Backlog,
}

/// Objects that are in the bucket, as far as is known, and not done with: new ones, those that are tried again, and those
/// that some destination does not have yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Backlog {
    /// How many.
    pub objects: u64,
    /// How many bytes they have together.
    pub bytes: u64,
    /// When the first of them changed.
    pub oldest: Option<Timestamp>,
}

const MOST: usize = 10_000;

/// An entry as it is shown.
pub(super) fn entry(source: &Source, key: &ObjectKey, arrival: u64, version: Version, index: &Index<'_>) -> Entry {
    Entry {
        integration: source.integration.clone(),
        object: version.object(&source.connection, &source.bucket, key),
        arrival,
        effective_time: version.effective_time,
        generation: version.generation,
        current: arrival == index.arrivals,
        reverted: arrival == index.listed,
        first_seen: version.first_seen,
        changed: version.changed,
        state: version.state,
        confirmed: version.confirmed,
        content: version.content,
        mapping: version.mapping,
        summary: version.summary,
        failure: version.failure,
    }
}

pub(super) fn list(
    transaction: &ReadTransaction,
    integration: &IntegrationName,
    filter: &Filter,
) -> Result<Listed, LedgerError> {
    let keys = transaction.open_table(KEYS).map_err(reading)?;
    let versions = transaction.open_table(VERSIONS).map_err(reading)?;
    let limit = if filter.limit == 0 { MOST } else { filter.limit.min(MOST) };
    let mut found = Listed::default();
    let mut all = sources(transaction, Some(integration))?;
    all.sort_by_key(|source| source.number);
    for source in &all {
        let number = source.number.to_be_bytes();
        let start = [number.as_slice(), filter.prefix.as_bytes()].concat();
        let from = match &filter.after {
            Some(ListPosition(after)) if after.as_slice() > start.as_slice() => [after.as_slice(), &[0]].concat(),
            Some(_) | None => start.clone(),
        };
        for row in versions.range(from.as_slice()..).map_err(reading)? {
            let (place, stored) = row.map_err(reading)?;
            let place = place.value();
            if !place.starts_with(&start) {
                break;
            }
            let (key_place, arrival) = split_version_place(place)?;
            // The arrival behind a shorter key may continue the prefix.
            if !key_place.starts_with(&start) {
                continue;
            }
            let index_bytes = keys.get(key_place).map_err(reading)?.ok_or_else(|| corrupt(key_place))?;
            let index = Index::decode(index_bytes.value()).ok_or_else(|| corrupt(key_place))?;
            if filter.versions == Versions::Current && arrival != index.arrivals {
                continue;
            }
            let version = decode_version(place, stored.value())?;
            if !filter.states.is_empty() && !filter.states.contains(&State::name(version.state.as_ref())) {
                continue;
            }
            if filter.stale_under.is_some_and(|mapping| !version.is_stale(&mapping)) {
                continue;
            }
            found.entries.push(entry(source, &key_at(key_place)?, arrival, version, &index));
            if found.entries.len() == limit {
                found.next = Some(ListPosition(place.to_vec()));
                return Ok(found);
            }
        }
    }
    Ok(found)
}

/// Every version of one key, newest first.
pub(super) fn show(
    transaction: &ReadTransaction,
    integration: &IntegrationName,
    key: &ObjectKey,
) -> Result<Vec<Entry>, LedgerError> {
    let keys = transaction.open_table(KEYS).map_err(reading)?;
    let versions = transaction.open_table(VERSIONS).map_err(reading)?;
    let mut entries = Vec::new();
    let mut place = Vec::new();
    for source in sources(transaction, Some(integration))? {
        key_place(&mut place, source.number, key);
        let Some(stored) = keys.get(place.as_slice()).map_err(reading)? else {
            continue;
        };
        let index = Index::decode(stored.value()).ok_or_else(|| corrupt(&place))?;
        versions_of(&versions, &place, |arrival, version| {
            entries.push(entry(&source, key, arrival, version, &index));
            None::<()>
        })?;
    }
    Ok(entries)
}

pub(super) fn overview(transaction: &ReadTransaction, integration: &IntegrationName) -> Result<Overview, LedgerError> {
    let keys = transaction.open_table(KEYS).map_err(reading)?;
    let versions = transaction.open_table(VERSIONS).map_err(reading)?;
    let absent = transaction.open_table(ABSENT).map_err(reading)?;
    let Overview { mut counts, mut backlog } = Overview::default();
    for source in sources(transaction, Some(integration))? {
        let number = source.number.to_be_bytes();
        for row in keys.range(number.as_slice()..).map_err(reading)? {
            let (place, stored) = row.map_err(reading)?;
            if !place.value().starts_with(&number) {
                break;
            }
            let index = Index::decode(stored.value()).ok_or_else(|| corrupt(place.value()))?;
            *counts.entry(index.state).or_default() += 1;
            let is_unfinished = matches!(index.state, StateName::New | StateName::Failed | StateName::Delivered);
            if is_unfinished && absent.get(place.value()).map_err(reading)?.is_none() {
                let version = version_at(&versions, place.value(), index.arrivals)?;
                let version = version.ok_or_else(|| corrupt(place.value()))?;
                backlog.objects += 1;
                backlog.bytes = backlog.bytes.saturating_add(version.size);
                let before = backlog.oldest.unwrap_or(Timestamp::MAX);
                backlog.oldest = Some(before.min(version.last_modified));
            }
        }
    }
    Ok(Overview { counts, backlog })
}
