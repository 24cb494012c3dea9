//! An integration under another name, and a connection under another key (R17).
//!
//! Every place in the ledger begins with the number of a source, and only `sources` and `controls` have an integration's
//! name: so whatever it has taken goes along in one small transaction. That the destinations still have to follow is
//! written in the same one, so that a process which ends in between is made good by the next.

use redb::{ReadableTable, ReadableTableMetadata};

use super::layout::{Tables, source_name, sources_in};
use super::state::Control;
use super::store::{control_of, put_control};
use super::{LedgerError, reading, writing};
use crate::object::{ConnectionKey, IntegrationName};

/// What became of the wish to know an integration by another name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renamed {
    /// What was the former name's is this one's now.
    Done,
    /// There is nothing to do: it was done before, or there is nothing yet that a name could have.
    Already,
    /// Both names have objects of their own, which cannot be told apart any more once they are one.
    BothKnown,
    /// The ledger has objects, and none of either name: the former name may be a slip of the pen.
    Unknown,
}

/// Gives an integration what stands under its former name.
pub(super) fn rename(
    tables: &mut Tables<'_>,
    from: &IntegrationName,
    to: &IntegrationName,
) -> Result<Renamed, LedgerError> {
    let own = control_of(&tables.controls, to)?;
    if own.former_names.contains(from) {
        return Ok(Renamed::Already);
    }
    let has_objects = !sources_in(&tables.sources, Some(to))?.is_empty();
    let sources = sources_in(&tables.sources, Some(from))?;
    let was_known = !sources.is_empty() || tables.controls.get(from.as_str()).map_err(reading)?.is_some();
    match (was_known, has_objects) {
        (false, true) => return Ok(Renamed::Already),
        (false, false) if tables.sources.is_empty().map_err(reading)? => return Ok(Renamed::Already),
        (false, false) => return Ok(Renamed::Unknown),
        (true, true) => return Ok(Renamed::BothKnown),
        (true, false) => {}
    }
    let failed = |error| writing("rename an integration in", error);
    for source in sources {
        let before = source_name(from, &source.connection, &source.bucket);
        let after = source_name(to, &source.connection, &source.bucket);
        tables.sources.remove(before.as_str()).map_err(failed)?;
        tables.sources.insert(after.as_str(), source.number).map_err(failed)?;
    }
    let mut control = control_of(&tables.controls, from)?;
    tables.controls.remove(from.as_str()).map_err(failed)?;
    // Whoever paused it by its new name meant this one.
    control.paused = own.paused.or(control.paused);
    for names in [&mut control.former_names, &mut control.to_follow] {
        names.retain(|name| name != to && name != from);
        names.push(from.clone());
    }
    put_control(tables, to, &control)?;
    Ok(Renamed::Done)
}

/// Goes on with what an integration has taken over a connection under its former key. Whether there is anything to go on
/// with, that is not its own already.
///
/// What is recorded keeps the key that it was recorded under: that is a part of every dedup key, and those are known to
/// destinations, to receivers of webhooks and to whoever mends a reject file. So nothing has to follow, and nothing can be
/// left half done: from now on the ledger is asked by the former key.
pub(super) fn rename_connection(
    tables: &mut Tables<'_>,
    integration: &IntegrationName,
    from: &ConnectionKey,
    to: &ConnectionKey,
) -> Result<bool, LedgerError> {
    let mut control = control_of(&tables.controls, integration)?;
    if !control.may_go_on(from, to) {
        return Ok(false);
    }
    let recorded = control.recorded(from).clone();
    if control.place.is_none() {
        let sources = sources_in(&tables.sources, Some(integration))?;
        let has = |key: &ConnectionKey| sources.iter().any(|source| source.connection == *key);
        if has(to) || !has(&recorded) {
            return Ok(false);
        }
    }
    control.recorded_as.remove(from);
    control.recorded_as.remove(to);
    if recorded != *to {
        control.recorded_as.insert(to.clone(), recorded);
    }
    put_control(tables, integration, &control)?;
    Ok(true)
}

impl Control {
    /// Whether what it has taken may be that of a connection which had `from` as its key before `to`.
    pub fn may_go_on(&self, from: &ConnectionKey, to: &ConnectionKey) -> bool {
        let recorded = self.recorded(from);
        let is_undone = self.recorded_as.contains_key(from) || self.recorded(to) != recorded;
        is_undone
            && match &self.place {
                Some(place) => place.connection == *recorded,
                // It was never said where, as before the first pass and in older ledgers.
                None => self.first_seen.is_some(),
            }
    }

    /// The destinations have followed to the name that it has now.
    pub fn followed(&mut self, from: &[IntegrationName]) {
        self.to_follow.retain(|name| !from.contains(name));
    }
}
