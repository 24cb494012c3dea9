//! The index of a tenant's account names, kept from merge to merge.

use std::sync::{Arc, Mutex, PoisonError};

use crate::destination::names::NameIndex;
use crate::object::Share;

/// The newest index that was asked for.
#[derive(Default)]
pub(in crate::destination) struct Names(Mutex<Option<Kept>>);

struct Kept {
    /// Of how many names it was made. Names are only ever added, so as many are the same.
    names: u64,
    least: Share,
    index: Arc<NameIndex>,
}

impl Names {
    /// The index of the names that the store has, for those that are at least so similar. `count` says how many there
    /// are, and `read` gives them in normalized form and in their order, each with an account.
    pub(in crate::destination) fn index<E>(
        &self,
        least: Share,
        count: impl FnOnce() -> Result<u64, E>,
        read: impl FnOnce() -> Result<Vec<(String, i64)>, E>,
    ) -> Result<Arc<NameIndex>, E> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let names = count()?;
        if let Some(kept) = kept.as_ref().filter(|kept| kept.names == names && kept.least == least) {
            return Ok(Arc::clone(&kept.index));
        }
        // The old one makes room for the new one.
        *kept = None;
        let index = Arc::new(NameIndex::new(read()?, least));
        *kept = Some(Kept { names, least, index: Arc::clone(&index) });
        Ok(index)
    }
}
