//! Looking up many places in rising order: a walk along the table where they lie close together, a fresh start where
//! they do not. A listed page mostly names keys that are neighbours in the ledger as well.

use std::cmp::Ordering;

use redb::{AccessGuard, Range};

use super::layout::Bytes;
use super::{LedgerError, reading};

/// How many entries are passed over before the next place is looked up from the table's root, which costs about as much.
const NEAR: usize = 8;

type Entry<'t> = (AccessGuard<'t, &'static [u8]>, AccessGuard<'t, &'static [u8]>);

/// A place in a table that only moves on.
pub(super) struct Walk<'t, T> {
    table: &'t T,
    entries: Option<Range<'t, &'static [u8], &'static [u8]>>,
    /// The first entry not yet passed; none at the table's end.
    next: Option<Entry<'t>>,
}

impl<'t, T: Bytes> Walk<'t, T> {
    /// Begins anywhere.
    pub fn along(table: &'t T) -> Self {
        Self { table, entries: None, next: None }
    }

    /// What stands at a place, which must not lie before the last one asked for.
    pub fn find(&mut self, place: &[u8]) -> Result<Option<&[u8]>, LedgerError> {
        let mut passed = 0;
        loop {
            let order = match (&self.next, &self.entries) {
                (None, None) => None,
                (None, Some(_)) => return Ok(None),
                (Some((found, _)), _) => Some(found.value().cmp(place)),
            };
            match order {
                Some(Ordering::Equal) => return Ok(self.next.as_ref().map(|(_, stored)| stored.value())),
                Some(Ordering::Greater) => return Ok(None),
                Some(Ordering::Less) if passed < NEAR => passed += 1,
                Some(Ordering::Less) | None => self.entries = Some(self.table.range(place..).map_err(reading)?),
            }
            self.next = self.entries.as_mut().and_then(Iterator::next).transpose().map_err(reading)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use redb::backends::InMemoryBackend;
    use redb::{Database, ReadableDatabase};

    use super::super::layout::KEYS;
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a table of its own")]
    fn a_walk_finds_what_single_look_ups_find() {
        let database = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        let writing = database.begin_write().unwrap();
        let mut table = writing.open_table(KEYS).unwrap();
        for number in (0_u32..1_000).filter(|number| number % 3 != 1) {
            table.insert(number.to_be_bytes().as_slice(), number.to_le_bytes().as_slice()).unwrap();
        }
        drop(table);
        writing.commit().unwrap();
        let reading = database.begin_read().unwrap();
        let table = reading.open_table(KEYS).unwrap();
        // Steps of one, of about as many as a walk passes over, of many; the same place twice; and beyond the end.
        for step in [1, 2, 7, 8, 9, 12, 13, 14, 100, 999] {
            let mut walk = Walk::along(&table);
            for number in (0..1_100_u32).step_by(step) {
                for _ in 0..2 {
                    let expected = (number % 3 != 1 && number < 1_000).then(|| number.to_le_bytes().to_vec());
                    let found = walk.find(&number.to_be_bytes()).unwrap().map(<[u8]>::to_vec);
                    assert_eq!(found, expected, "{number} by {step}");
                }
            }
        }
    }
}
