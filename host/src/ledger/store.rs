//! The writes that every change of an object is made of. Each keeps the index in step with the versions.

use jiff::Timestamp;
use redb::ReadableTable;

use super::layout::{Bytes, Index, Tables, content_place, corrupt, source_name, version_at, version_place};
use super::state::{Control, State, Version};
use super::{LedgerError, reading, writing};
use crate::object::{IntegrationName, Object};

/// The number of an object's source, given out when it is first needed.
pub(super) fn source_number(
    tables: &mut Tables<'_>,
    integration: &IntegrationName,
    object: &Object,
    now: Timestamp,
) -> Result<u32, LedgerError> {
    let name = source_name(integration, &object.connection, &object.bucket);
    if let Some(number) = tables.sources.get(name.as_str()).map_err(reading)? {
        return Ok(number.value());
    }
    let number = add_source(tables, &name)?;
    let mut control = control_of(&tables.controls, integration)?;
    if control.first_seen.is_none() {
        control.first_seen = Some(now);
        put_control(tables, integration, &control)?;
    }
    Ok(number)
}

/// A number that no source has yet.
pub(super) fn add_source(tables: &mut Tables<'_>, name: &str) -> Result<u32, LedgerError> {
    let mut number = 0;
    for row in tables.sources.iter().map_err(reading)? {
        number = number.max(row.map_err(reading)?.1.value());
    }
    let number = number.checked_add(1).ok_or_else(|| corrupt(name.as_bytes()))?;
    tables.sources.insert(name, number).map_err(|error| writing("add a source to", error))?;
    Ok(number)
}

/// What stands for an integration; the default when nothing does.
pub(super) fn control_of(
    controls: &impl ReadableTable<&'static str, &'static [u8]>,
    integration: &IntegrationName,
) -> Result<Control, LedgerError> {
    match controls.get(integration.as_str()).map_err(reading)? {
        Some(stored) => serde_json::from_slice(stored.value()).map_err(|_| corrupt(integration.as_str().as_bytes())),
        None => Ok(Control::default()),
    }
}

/// Stores what stands for an integration.
pub(super) fn put_control(
    tables: &mut Tables<'_>,
    integration: &IntegrationName,
    control: &Control,
) -> Result<(), LedgerError> {
    let bytes = serde_json::to_vec(control).map_err(|_| corrupt(integration.as_str().as_bytes()))?;
    tables
        .controls
        .insert(integration.as_str(), bytes.as_slice())
        .map(drop)
        .map_err(|error| writing("store an integration's control record in", error))
}

/// Stores a version, and the key's index when it is the current one.
pub(super) fn put(
    tables: &mut Tables<'_>,
    place: &[u8],
    arrival: u64,
    version: &Version,
    arrivals: u64,
    listed: u64,
) -> Result<(), LedgerError> {
    let bytes = serde_json::to_vec(version).map_err(|_| corrupt(place))?;
    let failed = |error| writing("store an object in", error);
    tables.versions.insert(version_place(place, arrival).as_slice(), bytes.as_slice()).map_err(failed)?;
    if arrival == arrivals {
        let index = Index::of(version, arrivals, listed).encode();
        tables.keys.insert(place, index.as_slice()).map_err(failed)?;
    }
    if let (Some(State::Completed), Some(content)) = (&version.state, &version.content) {
        tables.contents.insert(content_place(place, content.as_bytes()).as_slice(), arrival).map_err(failed)?;
    }
    Ok(())
}

/// The count of a key's versions, its effective time, and the arrival that the last listing showed when that is older.
pub(super) fn position(keys: &impl Bytes, place: &[u8]) -> Result<Option<(u64, Timestamp, u64)>, LedgerError> {
    match keys.get(place).map_err(reading)? {
        Some(stored) => {
            let index = Index::decode(stored.value()).ok_or_else(|| corrupt(place))?;
            Ok(Some((index.arrivals, index.effective_time(), index.listed)))
        }
        None => Ok(None),
    }
}

/// An older version becomes the newest arrival, new and under its next generation: whatever came in between, its
/// values are the ones that count in the end (R1, R4).
pub(super) fn move_to_front(
    tables: &mut Tables<'_>,
    place: &[u8],
    arrival: u64,
    listed: Option<&Object>,
    now: Timestamp,
) -> Result<(), LedgerError> {
    let (arrivals, effective, _) = position(&tables.keys, place)?.ok_or_else(|| corrupt(place))?;
    let mut version = version_at(&tables.versions, place, arrival)?.ok_or_else(|| corrupt(place))?;
    tables
        .versions
        .remove(version_place(place, arrival).as_slice())
        .map_err(|error| writing("renew an object in", error))?;
    forget_content(tables, place, arrival, &version)?;
    version.renew(now);
    if let Some(object) = listed {
        version.size = object.size;
        version.last_modified = object.last_modified;
    }
    version.effective_time = version.last_modified.max(effective);
    put(tables, place, arrivals + 1, &version, arrivals + 1, 0)
}

/// The bytes of a version that is to be taken again no longer count as processed.
pub(super) fn forget_content(
    tables: &mut Tables<'_>,
    place: &[u8],
    arrival: u64,
    version: &Version,
) -> Result<(), LedgerError> {
    let Some(content) = &version.content else { return Ok(()) };
    let content_place = content_place(place, content.as_bytes());
    let failed = |error| writing("renew an object in", error);
    let held_by = tables.contents.get(content_place.as_slice()).map_err(reading)?.map(|held_by| held_by.value());
    if held_by == Some(arrival) {
        tables.contents.remove(content_place.as_slice()).map_err(failed)?;
    }
    Ok(())
}
