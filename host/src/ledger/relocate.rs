//! An integration whose objects were copied or moved to another place (R17).
//!
//! Every place in the ledger begins with the number of a source, which stands for connection and bucket, and with a key:
//! so each key below the prefix gets another place, in one transaction, for which other writers wait. That the
//! destinations still have to follow is written in the same one, so that a process which ends in between is made good by
//! the next.

use redb::ReadableTable;

use super::census::places;
use super::layout::{
    Tables, content_place, corrupt, decode_version, key_at, key_place, number_of, source_name, split_version_place,
    version_place,
};
use super::state::{Control, Place, SkipReason, State};
use super::store::{add_source, control_of, put_control};
use super::{LedgerError, reading, writing};
use crate::object::{IntegrationName, Relocation, Site};

/// What became of the wish to know an integration's objects by another place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Relocated {
    /// What was at the former place is at this one now.
    Done,
    /// There is nothing to do: it was done before, or there is nothing yet that could have a place.
    Already,
    /// It looked for its objects somewhere else.
    Elsewhere(Box<Place>),
    /// There are objects with the keys that others would get, which cannot be told apart any more once they are one.
    BothKnown,
}

/// Keys that stand in memory at once.
const PAGE: usize = 1_000;

/// Takes what an integration had in one place for what it has in another.
pub(super) fn relocate(
    tables: &mut Tables<'_>,
    integration: &IntegrationName,
    from: &Site,
    now: &Place,
) -> Result<Relocated, LedgerError> {
    let mut control = control_of(&tables.controls, integration)?;
    let relocation = Relocation { from: from.clone(), to: now.site() };
    match &control.place {
        Some(before) if before.site() == relocation.to => return Ok(Relocated::Already),
        Some(before) if before.site() == *from => {}
        // It was done, and the place has changed since: what that means is not said by this.
        Some(_) if control.moves.iter().any(|done| done.from == *from) => return Ok(Relocated::Already),
        Some(before) => return Ok(Relocated::Elsewhere(Box::new(before.clone()))),
        None if source_of(tables, integration, from)?.is_some() => {}
        None => return Ok(Relocated::Already),
    }
    if is_taken(tables, integration, &relocation)? {
        return Ok(Relocated::BothKnown);
    }
    let steps = relocation.steps();
    for step in &steps {
        take(tables, integration, step)?;
    }
    control.place = Some(now.clone());
    control.moves.push(relocation);
    control.to_move.extend(steps);
    put_control(tables, integration, &control)?;
    Ok(Relocated::Done)
}

fn source_of(tables: &Tables<'_>, integration: &IntegrationName, site: &Site) -> Result<Option<u32>, LedgerError> {
    number_of(&tables.sources, integration, &site.connection, &site.bucket)
}

/// What the places of a site's keys begin with.
fn beginning(source: u32, site: &Site) -> Vec<u8> {
    [source.to_be_bytes().as_slice(), site.prefix.as_bytes()].concat()
}

/// Whether a key of the other place has the name that one of this place would get there.
fn is_taken(tables: &Tables<'_>, integration: &IntegrationName, relocation: &Relocation) -> Result<bool, LedgerError> {
    let (from, to) =
        (source_of(tables, integration, &relocation.from)?, source_of(tables, integration, &relocation.to)?);
    let (Some(from), Some(to)) = (from, to) else { return Ok(false) };
    let (from, to) = (beginning(from, &relocation.from), beginning(to, &relocation.to));
    for row in tables.keys.range(to.as_slice()..).map_err(reading)? {
        let (place, _) = row.map_err(reading)?;
        let Some(behind) = place.value().strip_prefix(to.as_slice()) else { break };
        // One that goes along makes room.
        let stays = !place.value().starts_with(&from);
        if stays && tables.keys.get([from.as_slice(), behind].concat().as_slice()).map_err(reading)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Takes a step: every key that is at the one place goes to the other, with all that is known of it.
fn take(tables: &mut Tables<'_>, integration: &IntegrationName, step: &Relocation) -> Result<(), LedgerError> {
    let Some(source) = source_of(tables, integration, &step.from)? else { return Ok(()) };
    let name = |site: &Site| source_name(integration, &site.connection, &site.bucket);
    let target = match source_of(tables, integration, &step.to)? {
        Some(number) => number,
        None => add_source(tables, &name(&step.to))?,
    };
    let begins = beginning(source, &step.from);
    let mut start = begins.clone();
    loop {
        let mut page = Vec::new();
        for row in tables.keys.range(start.as_slice()..).map_err(reading)?.take(PAGE) {
            let place = row.map_err(reading)?.0.value().to_vec();
            if !place.starts_with(&begins) {
                break;
            }
            page.push(place);
        }
        let Some(last) = page.last() else { break };
        start = [last.as_slice(), &[0]].concat();
        for place in &page {
            // No object can have a key that is too long, so that nothing is lost with it.
            if let Some(key) = step.key(&key_at(place)?) {
                let mut to = Vec::new();
                key_place(&mut to, target, &key);
                take_key(tables, step, place, &to)?;
            }
        }
    }
    let number = source.to_be_bytes();
    let first = tables.keys.range(number.as_slice()..).map_err(reading)?.next().transpose().map_err(reading)?;
    if !first.is_some_and(|(place, _)| place.value().starts_with(&number)) {
        let removed = tables.sources.remove(name(&step.from).as_str());
        removed.map_err(|error| writing("relocate an integration in", error))?;
    }
    Ok(())
}

/// Gives a key in every table another place.
fn take_key(tables: &mut Tables<'_>, step: &Relocation, from: &[u8], to: &[u8]) -> Result<(), LedgerError> {
    let failed = |error| writing("relocate an integration in", error);
    let (first, last) = (version_place(from, 0), version_place(from, u64::MAX));
    let is_its_own = |found: &[u8]| split_version_place(found).is_ok_and(|(key_place, _)| key_place == from);
    for place in places(&tables.versions, &first, &last, is_its_own)? {
        let stored = tables.versions.remove(place.as_slice()).map_err(failed)?;
        let stored = stored.map(|stored| stored.value().to_vec()).unwrap_or_default();
        let (_, arrival) = split_version_place(&place)?;
        let mut version = decode_version(&place, &stored)?;
        if let Some(State::Skipped {
            reason: SkipReason::SameContent { of: other } | SkipReason::Reverted { to: other },
        }) = &mut version.state
            && let Some(moved) = step.dedup_key(other)
        {
            *other = moved;
        }
        let bytes = serde_json::to_vec(&version).map_err(|_| corrupt(&place))?;
        tables.versions.insert(version_place(to, arrival).as_slice(), bytes.as_slice()).map_err(failed)?;
    }
    let (first, last) = (content_place(from, &[0; 32]), content_place(from, &[u8::MAX; 32]));
    for place in places(&tables.contents, &first, &last, |found| found.len() == first.len())? {
        let arrival = tables.contents.remove(place.as_slice()).map_err(failed)?.map(|arrival| arrival.value());
        let hash = place.strip_prefix(from).unwrap_or_default();
        if let Some(arrival) = arrival {
            tables.contents.insert([to, hash].concat().as_slice(), arrival).map_err(failed)?;
        }
    }
    let index = tables.keys.remove(from).map_err(failed)?.map(|index| index.value().to_vec());
    if let Some(index) = index {
        tables.keys.insert(to, index.as_slice()).map_err(failed)?;
    }
    let since = tables.absent.remove(from).map_err(failed)?.map(|since| since.value());
    if let Some(since) = since {
        tables.absent.insert(to, since).map_err(failed)?;
    }
    Ok(())
}

impl Control {
    /// The destinations have taken these steps.
    pub fn moved(&mut self, steps: &[Relocation]) {
        self.to_move.retain(|step| !steps.contains(step));
    }
}
