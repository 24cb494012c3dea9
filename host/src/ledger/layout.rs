//! The bytes of the ledger: tables, keys, and the index header that a pass reads for every listed object.

use jiff::Timestamp;
use redb::{ReadTransaction, ReadableTable, Table, TableDefinition, WriteTransaction};

use super::state::{State, StateName, Version};
use super::{LedgerError, reading, writing};
use crate::object::{BucketName, ConnectionKey, IntegrationName, MappingDigest, ObjectKey};

/// The schema this version writes, and the newest it reads.
pub(super) const SCHEMA: u64 = 1;

pub(super) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
pub(super) const SOURCES: TableDefinition<'_, &str, u32> = TableDefinition::new("sources");
pub(super) const CONTROLS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("controls");
pub(super) const KEYS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("keys");
pub(super) const VERSIONS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("versions");
pub(super) const CONTENTS: TableDefinition<'_, &[u8], u64> = TableDefinition::new("contents");
pub(super) const ABSENT: TableDefinition<'_, &[u8], i64> = TableDefinition::new("absent");

/// What every table of bytes is read through, inside and outside a write transaction.
pub(super) trait Bytes: ReadableTable<&'static [u8], &'static [u8]> {}
impl<T: ReadableTable<&'static [u8], &'static [u8]>> Bytes for T {}

/// The tables of one write transaction.
pub(super) struct Tables<'txn> {
    pub sources: Table<'txn, &'static str, u32>,
    pub controls: Table<'txn, &'static str, &'static [u8]>,
    pub keys: Table<'txn, &'static [u8], &'static [u8]>,
    pub versions: Table<'txn, &'static [u8], &'static [u8]>,
    pub contents: Table<'txn, &'static [u8], u64>,
    pub absent: Table<'txn, &'static [u8], i64>,
}

impl<'txn> Tables<'txn> {
    /// Opens them.
    pub fn open(transaction: &'txn WriteTransaction) -> Result<Self, LedgerError> {
        Self::make(transaction).map_err(|error| writing("open the tables of", error))
    }

    /// Opens them, or makes them in a new ledger.
    pub fn make(transaction: &'txn WriteTransaction) -> Result<Self, redb::TableError> {
        Ok(Self {
            sources: transaction.open_table(SOURCES)?,
            controls: transaction.open_table(CONTROLS)?,
            keys: transaction.open_table(KEYS)?,
            versions: transaction.open_table(VERSIONS)?,
            contents: transaction.open_table(CONTENTS)?,
            absent: transaction.open_table(ABSENT)?,
        })
    }
}

/// One integration over one bucket of one connection: its number, and the names it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    pub number: u32,
    pub integration: IntegrationName,
    pub connection: ConnectionKey,
    pub bucket: BucketName,
}

/// `{integration}\0{connection}\0{bucket}`. Neither of the first two can hold a NUL.
pub(super) fn source_name(integration: &IntegrationName, connection: &ConnectionKey, bucket: &BucketName) -> String {
    format!("{integration}\0{connection}\0{bucket}")
}

/// The number of a source, if it has one.
pub(super) fn number_of(
    table: &impl ReadableTable<&'static str, u32>,
    integration: &IntegrationName,
    connection: &ConnectionKey,
    bucket: &BucketName,
) -> Result<Option<u32>, LedgerError> {
    let name = source_name(integration, connection, bucket);
    Ok(table.get(name.as_str()).map_err(reading)?.map(|number| number.value()))
}

/// Every source of an integration, or of all of them.
pub(super) fn sources(
    transaction: &ReadTransaction,
    integration: Option<&IntegrationName>,
) -> Result<Vec<Source>, LedgerError> {
    let table = transaction.open_table(SOURCES).map_err(reading)?;
    sources_in(&table, integration)
}

/// The same, of a table that is open already.
pub(super) fn sources_in(
    table: &impl ReadableTable<&'static str, u32>,
    integration: Option<&IntegrationName>,
) -> Result<Vec<Source>, LedgerError> {
    let start = integration.map(|name| format!("{name}\0")).unwrap_or_default();
    let mut found = Vec::new();
    for row in table.range(start.as_str()..).map_err(reading)? {
        let (name, number) = row.map_err(reading)?;
        let name = name.value();
        if !name.starts_with(&start) {
            break;
        }
        found.push(parse_source(name, number.value()).ok_or_else(|| LedgerError::Corrupt { at: name.to_owned() })?);
    }
    Ok(found)
}

fn parse_source(name: &str, number: u32) -> Option<Source> {
    let (integration, rest) = name.split_once('\0')?;
    let (connection, bucket) = rest.split_once('\0')?;
    Some(Source {
        number,
        integration: integration.parse().ok()?,
        connection: connection.parse().ok()?,
        bucket: bucket.parse().ok()?,
    })
}

/// Bytes of a source's number in front of every key.
const NUMBER: usize = 4;
/// Bytes of an arrival behind the key of a version.
const ARRIVAL: usize = 8;

/// `[source, big-endian][key]`: the place of a key, in the order in which a server lists.
pub(super) fn key_place(place: &mut Vec<u8>, source: u32, key: &ObjectKey) {
    place.clear();
    place.reserve(size_of::<u32>() + key.as_str().len());
    place.extend_from_slice(&source.to_be_bytes());
    place.extend_from_slice(key.as_str().as_bytes());
}

/// `[source][key][arrival, big-endian]`: the place of one version of a key.
pub(super) fn version_place(key_place: &[u8], arrival: u64) -> Vec<u8> {
    [key_place, &arrival.to_be_bytes()].concat()
}

/// `[source][key][hash]`: the place of some bytes that a key once had.
pub(super) fn content_place(key_place: &[u8], hash: &[u8; 32]) -> Vec<u8> {
    [key_place, hash.as_slice()].concat()
}

/// The key that stands in a place of `keys`.
pub(super) fn key_at(place: &[u8]) -> Result<ObjectKey, LedgerError> {
    place
        .get(NUMBER..)
        .and_then(|key| std::str::from_utf8(key).ok())
        .and_then(|key| key.parse().ok())
        .ok_or_else(|| corrupt(place))
}

/// The place of its key, and the arrival, of a place in `versions`.
pub(super) fn split_version_place(place: &[u8]) -> Result<(&[u8], u64), LedgerError> {
    match place.split_last_chunk::<ARRIVAL>() {
        Some((key_place, arrival)) if key_place.len() > NUMBER => Ok((key_place, u64::from_be_bytes(*arrival))),
        Some(_) | None => Err(corrupt(place)),
    }
}

/// A place that cannot be read.
pub(super) fn corrupt(place: &[u8]) -> LedgerError {
    LedgerError::Corrupt { at: place.escape_ascii().to_string() }
}

/// What a pass has to know of a key, at a cost of one lookup: everything here follows from the key's versions, except
/// `listed`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Index<'a> {
    /// The state of the current version.
    pub state: StateName,
    /// The count of versions, which is the current version's arrival.
    pub arrivals: u64,
    /// The arrival of the older version that the last listing showed; 0 when it showed the current one.
    pub listed: u64,
    /// From when on the current version is due, in whole seconds, rounded up; `i64::MAX` for never.
    pub due: i64,
    /// The mapping under which it failed; any other makes it due at once. Zeros for none.
    pub failed_under: [u8; 32],
    /// The key's effective time, as seconds and nanoseconds.
    pub effective: (i64, i32),
    /// The current version's ETag.
    pub etag: &'a str,
}

/// Bytes of an index before its ETag.
const HEADER: usize = 1 + 8 + 8 + 8 + 32 + 12;

impl<'a> Index<'a> {
    /// The index of a key whose current version this is.
    pub fn of(version: &'a Version, arrivals: u64, listed: u64) -> Self {
        Self {
            state: State::name(version.state.as_ref()),
            arrivals,
            listed,
            due: version.due().map_or(i64::MAX, whole_second_after),
            failed_under: version.failed_under().map_or([0; 32], |digest| *digest.as_bytes()),
            effective: (version.effective_time.as_second(), version.effective_time.subsec_nanosecond()),
            etag: version.etag.as_str(),
        }
    }

    /// As it is stored.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER + self.etag.len());
        bytes.push(self.state as u8);
        bytes.extend_from_slice(&self.arrivals.to_le_bytes());
        bytes.extend_from_slice(&self.listed.to_le_bytes());
        bytes.extend_from_slice(&self.due.to_le_bytes());
        bytes.extend_from_slice(&self.failed_under);
        bytes.extend_from_slice(&self.effective.0.to_le_bytes());
        bytes.extend_from_slice(&self.effective.1.to_le_bytes());
        bytes.extend_from_slice(self.etag.as_bytes());
        bytes
    }

    /// From what is stored; none when that is not an index.
    pub fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (state, bytes) = bytes.split_first()?;
        let (arrivals, bytes) = bytes.split_first_chunk()?;
        let (listed, bytes) = bytes.split_first_chunk()?;
        let (due, bytes) = bytes.split_first_chunk()?;
        let (failed_under, bytes) = bytes.split_first_chunk()?;
        let (second, bytes) = bytes.split_first_chunk()?;
        let (nanosecond, etag) = bytes.split_first_chunk()?;
        Some(Self {
            state: *StateName::ALL.get(usize::from(*state))?,
            arrivals: u64::from_le_bytes(*arrivals),
            listed: u64::from_le_bytes(*listed),
            due: i64::from_le_bytes(*due),
            failed_under: *failed_under,
            effective: (i64::from_le_bytes(*second), i32::from_le_bytes(*nanosecond)),
            etag: std::str::from_utf8(etag).ok()?,
        })
    }

    /// Whether the current version is to be worked on.
    pub fn is_due(&self, now: Timestamp, mapping: &MappingDigest) -> bool {
        self.due <= now.as_second() || (self.failed_under != [0; 32] && self.failed_under != *mapping.as_bytes())
    }

    /// The key's effective time.
    pub fn effective_time(&self) -> Timestamp {
        Timestamp::new(self.effective.0, self.effective.1).unwrap_or(Timestamp::MIN)
    }
}

/// Rounded up, so that nothing is due before its time.
fn whole_second_after(time: Timestamp) -> i64 {
    time.as_second().saturating_add(i64::from(time.subsec_nanosecond() > 0))
}

/// One version, from its stored JSON.
pub(super) fn decode_version(place: &[u8], bytes: &[u8]) -> Result<Version, LedgerError> {
    serde_json::from_slice(bytes).map_err(|_| corrupt(place))
}

/// One version, if it is there.
pub(super) fn version_at(
    versions: &impl Bytes,
    key_place: &[u8],
    arrival: u64,
) -> Result<Option<Version>, LedgerError> {
    let place = version_place(key_place, arrival);
    match versions.get(place.as_slice()).map_err(reading)? {
        Some(stored) => decode_version(&place, stored.value()).map(Some),
        None => Ok(None),
    }
}

/// The versions of one key, newest first, until `visit` is content.
pub(super) fn versions_of<T>(
    versions: &impl Bytes,
    key_place: &[u8],
    mut visit: impl FnMut(u64, Version) -> Option<T>,
) -> Result<Option<T>, LedgerError> {
    let (first, last) = (version_place(key_place, 0), version_place(key_place, u64::MAX));
    for row in versions.range(first.as_slice()..=last.as_slice()).map_err(reading)?.rev() {
        let (place, stored) = row.map_err(reading)?;
        let place = place.value();
        // A longer key that begins like this one, followed by control characters, lies in the same range.
        if place.len() != first.len() {
            continue;
        }
        let (_, arrival) = split_version_place(place)?;
        if let Some(found) = visit(arrival, decode_version(place, stored.value())?) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}
