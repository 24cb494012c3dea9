//! Which keys a listing no longer shows, and forgetting those that were gone for long (R18).
//!
//! A census goes along a listing in the order of keys, page by page: what the ledger knows between the last key of the
//! page before and the last one of this page, and the page does not show, is gone. When that was noticed stands in
//! `absent` until the key shows up again. Only a census that came to the end of a listing that showed something lets keys
//! be forgotten, so that a server that suddenly shows less costs nothing but time.

use jiff::Timestamp;
use redb::{ReadTransaction, ReadableTable};

use super::layout::{
    ABSENT, KEYS, SOURCES, Tables, content_place, key_at, key_place, number_of, split_version_place, version_place,
};
use super::state::Place;
use super::{LedgerError, reading, writing};
use crate::object::{IntegrationName, ObjectKey};

/// A part of a listing without gaps.
#[derive(Debug, Clone)]
pub struct Stretch {
    /// The key behind which it begins; none for the beginning.
    pub after: Option<ObjectKey>,
    /// The key with which it ends; none for the end of the listing.
    pub until: Option<ObjectKey>,
    /// The keys in it, in their order.
    pub keys: Vec<ObjectKey>,
}

/// What differs from what is known: places in `keys`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changed {
    /// Gone since the census before.
    gone: Vec<Vec<u8>>,
    /// There again.
    back: Vec<Vec<u8>>,
    /// The place from which to compare on; none at the end of the stretch.
    pub(super) rest: Option<Vec<u8>>,
}

/// Changes that are held at once (I6).
const AT_ONCE: usize = 1_000;

impl Changed {
    pub(super) fn is_nothing(&self) -> bool {
        self.gone.is_empty() && self.back.is_empty()
    }
}

/// Compares a stretch of the listing with the ledger, from its beginning or from where an earlier comparison ended.
pub(super) fn compare(
    transaction: &ReadTransaction,
    integration: &IntegrationName,
    place: &Place,
    stretch: &Stretch,
    rest: Option<Vec<u8>>,
) -> Result<Changed, LedgerError> {
    let sources = transaction.open_table(SOURCES).map_err(reading)?;
    let Some(source) = number_of(&sources, integration, &place.connection, &place.bucket)? else {
        return Ok(Changed::default());
    };
    let keys = transaction.open_table(KEYS).map_err(reading)?;
    let absent = transaction.open_table(ABSENT).map_err(reading)?;
    let begin = [source.to_be_bytes().as_slice(), place.prefix.as_bytes()].concat();
    let mut from = begin.clone();
    if let Some(after) = &stretch.after {
        key_place(&mut from, source, after);
        from.push(0);
    }
    let from = rest.unwrap_or(from);
    let mut until = Vec::new();
    if let Some(key) = &stretch.until {
        key_place(&mut until, source, key);
    }
    let mut changed = Changed::default();
    let mut listed = stretch.keys.iter().peekable();
    for row in keys.range(from.as_slice()..).map_err(reading)? {
        let (known, _) = row.map_err(reading)?;
        let known = known.value();
        if !known.starts_with(&begin) || stretch.until.is_some() && known > until.as_slice() {
            break;
        }
        if changed.gone.len() + changed.back.len() == AT_ONCE {
            changed.rest = Some(known.to_vec());
            break;
        }
        let key = key_at(known)?;
        while listed.next_if(|listed| **listed < key).is_some() {}
        let is_there = listed.peek() == Some(&&key);
        let was_gone = absent.get(known).map_err(reading)?.is_some();
        match (is_there, was_gone) {
            (false, false) => changed.gone.push(known.to_vec()),
            (true, true) => changed.back.push(known.to_vec()),
            (true, false) | (false, true) => {}
        }
    }
    Ok(changed)
}

/// Writes down what a comparison found.
pub(super) fn note(tables: &mut Tables<'_>, changed: &Changed, now: Timestamp) -> Result<(), LedgerError> {
    let failed = |error| writing("note an absent key in", error);
    for place in &changed.gone {
        tables.absent.insert(place.as_slice(), now.as_second()).map_err(failed)?;
    }
    for place in &changed.back {
        tables.absent.remove(place.as_slice()).map_err(failed)?;
    }
    Ok(())
}

/// Forgets keys that were gone at that time already; how many, which is fewer than `most` when there are no others.
pub(super) fn forget(
    tables: &mut Tables<'_>,
    integration: &IntegrationName,
    place: &Place,
    gone_at: Timestamp,
    most: usize,
) -> Result<usize, LedgerError> {
    let Some(source) = number_of(&tables.sources, integration, &place.connection, &place.bucket)? else {
        return Ok(0);
    };
    let begin = [source.to_be_bytes().as_slice(), place.prefix.as_bytes()].concat();
    let mut gone = Vec::new();
    for row in tables.absent.range(begin.as_slice()..).map_err(reading)? {
        let (key, since) = row.map_err(reading)?;
        if !key.value().starts_with(&begin) || gone.len() == most {
            break;
        }
        if since.value() <= gone_at.as_second() {
            gone.push(key.value().to_vec());
        }
    }
    for key in &gone {
        forget_key(tables, key)?;
    }
    Ok(gone.len())
}

/// Takes a key out of every table, with all its versions.
fn forget_key(tables: &mut Tables<'_>, place: &[u8]) -> Result<(), LedgerError> {
    let failed = |error| writing("forget a key in", error);
    let (first, last) = (version_place(place, 0), version_place(place, u64::MAX));
    let versions = places(&tables.versions, &first, &last, |found| {
        split_version_place(found).is_ok_and(|(key_place, _)| key_place == place)
    })?;
    for version in versions {
        tables.versions.remove(version.as_slice()).map_err(failed)?;
    }
    let (first, last) = (content_place(place, &[0; 32]), content_place(place, &[u8::MAX; 32]));
    for content in places(&tables.contents, &first, &last, |found| found.len() == first.len())? {
        tables.contents.remove(content.as_slice()).map_err(failed)?;
    }
    tables.keys.remove(place).map_err(failed)?;
    tables.absent.remove(place).map_err(failed)?;
    Ok(())
}

/// The places from one to another that are of the wanted form: a longer key may lie between those of a shorter one.
pub(super) fn places<V: redb::Value + 'static>(
    table: &impl ReadableTable<&'static [u8], V>,
    first: &[u8],
    last: &[u8],
    is_wanted: impl Fn(&[u8]) -> bool,
) -> Result<Vec<Vec<u8>>, LedgerError> {
    let mut found = Vec::new();
    for row in table.range(first..=last).map_err(reading)? {
        let (place, _) = row.map_err(reading)?;
        if is_wanted(place.value()) {
            found.push(place.value().to_vec());
        }
    }
    Ok(found)
}
