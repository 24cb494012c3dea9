//! The index of a tenant's account names, kept from merge to merge.

use std::sync::{Arc, Mutex, PoisonError};

use crate::destination::DestinationError;
use crate::destination::names::NameIndex;
use crate::object::Share;

use super::store::Statements;

/// The newest index that was asked for.
#[derive(Default)]
pub(super) struct Names(Mutex<Option<Kept>>);

struct Kept {
    /// Of how many names it was made. Names are only ever added, so as many are the same.
    names: u64,
    least: Share,
    index: Arc<NameIndex>,
}

impl Names {
    /// The index of the names that the store has, for those that are at least so similar.
    pub(super) fn index(&self, db: &Statements<'_>, least: Share) -> Result<Arc<NameIndex>, DestinationError> {
        let what = "read the names of accounts";
        let names = db.count(what, "SELECT count(*) FROM main.account_keys WHERE kind = 'normalized_name'")?;
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = kept.as_ref().filter(|kept| kept.names == names && kept.least == least) {
            return Ok(Arc::clone(&kept.index));
        }
        let mut all = Vec::with_capacity(usize::try_from(names).unwrap_or_default());
        db.each(
            what,
            "SELECT value, account FROM main.account_keys WHERE kind = 'normalized_name' ORDER BY value, account",
            |row| {
                all.push((row.get(0)?, row.get(1)?));
                Ok(())
            },
        )?;
        let index = Arc::new(NameIndex::new(all, least));
        *kept = Some(Kept { names, least, index: Arc::clone(&index) });
        Ok(index)
    }
}
