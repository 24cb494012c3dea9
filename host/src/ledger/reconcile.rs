//! Taking objects again that their destination never confirmed, although they are completed here (R18).
//!
//! Their generation stays: nobody confirmed it, so that the same identity is delivered once more, and stands in the
//! order of writes where it stood before (R1, R2).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::LedgerError;
use super::layout::{Tables, key_place, number_of, version_at};
use super::state::{Entry, SkipReason, State};
use super::store::{forget_content, position, put};

/// What became of entries that were never confirmed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reconciled {
    /// Keys that the next pass takes again, if its listing shows them.
    pub again: u64,
    /// Older versions, which the bucket no longer has: what only they said cannot be brought back.
    pub lost: u64,
}

/// Makes entries new that still stand as they were read.
pub(super) fn take_again(
    tables: &mut Tables<'_>,
    entries: &[Entry],
    now: Timestamp,
) -> Result<Reconciled, LedgerError> {
    let mut reconciled = Reconciled::default();
    let mut place = Vec::new();
    for entry in entries {
        let object = &entry.object;
        let Some(source) = number_of(&tables.sources, &entry.integration, &object.connection, &object.bucket)? else {
            continue;
        };
        key_place(&mut place, source, &object.key);
        let Some((arrivals, _, listed)) = position(&tables.keys, &place)? else { continue };
        let Some(mut version) = version_at(&tables.versions, &place, entry.arrival)? else { continue };
        let is_same = version.etag == object.etag && version.generation == entry.generation;
        if !is_same || version.state != Some(State::Completed) {
            continue;
        }
        forget_content(tables, &place, entry.arrival, &version)?;
        version.begin_anew(now);
        if entry.arrival == arrivals {
            put(tables, &place, arrivals, &version, arrivals, listed)?;
            reconciled.again += 1;
            continue;
        }
        version.state = Some(State::Skipped { reason: SkipReason::Superseded });
        put(tables, &place, entry.arrival, &version, arrivals, listed)?;
        // Its bytes may still be there under another ETag (R5).
        let dedup_key = object.dedup_key();
        match version_at(&tables.versions, &place, arrivals)? {
            Some(mut current) if matches!(&current.state, Some(State::Skipped { reason: SkipReason::SameContent { of } }) if *of == dedup_key) =>
            {
                current.begin_anew(now);
                put(tables, &place, arrivals, &current, arrivals, listed)?;
                reconciled.again += 1;
            }
            Some(_) | None => reconciled.lost += 1,
        }
    }
    Ok(reconciled)
}
