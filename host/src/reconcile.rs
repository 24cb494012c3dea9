//! Holding the ledger against what a destination confirmed (R18).
//!
//! An object is completed only after its destination confirmed it (I1). Where the destination does not know it, the
//! store is older than the ledger, or another one: put back from a backup of its own, lost, or named anew in the
//! configuration. Nothing would ever bring these records again, so the integration halts until a person says so.
//!
//! The comparison is exact. It goes through the ledger page by page, and asks for a page at once, so that memory is
//! bounded (I6). The ledger is read first: what is completed there was confirmed before. Where confirmed records may be
//! taken away by whoever loads them, as files are, there is nothing to compare.

use std::sync::Arc;

use tokio::task::JoinError;

use crate::config::Integration;
use crate::destination::{Destination, DestinationError};
use crate::ledger::{Entry, Filter, Ledger, LedgerError, StateName, Versions};
use crate::object::{Identity, TenantName};

/// Entries that are compared at once.
const PAGE: usize = 1_000;

/// Why the comparison ended early.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// The ledger could not be read.
    #[error("the ledger failed")]
    Ledger(#[from] LedgerError),
    /// The destination could not say what it confirmed.
    #[error("the destination failed")]
    Destination(#[from] DestinationError),
    /// A thread of ours panicked.
    #[error("the comparison ended unexpectedly")]
    Panicked(#[from] JoinError),
}

/// A comparison on its way.
pub struct Comparison {
    ledger: Ledger,
    destination: Arc<dyn Destination>,
    tenant: TenantName,
    settings: Integration,
    /// None at the end.
    filter: Option<Filter>,
}

impl Comparison {
    /// Begins one; none where the destination cannot be held to what it confirmed.
    pub async fn begin(
        ledger: &Ledger,
        destination: &Arc<dyn Destination>,
        settings: &Integration,
    ) -> Result<Option<Self>, CompareError> {
        let comparison = Self {
            ledger: ledger.clone(),
            destination: Arc::clone(destination),
            tenant: settings.tenant.clone(),
            settings: settings.clone(),
            filter: Some(Filter {
                states: vec![StateName::Completed],
                versions: Versions::Every,
                limit: PAGE,
                ..Filter::default()
            }),
        };
        Ok(comparison.unconfirmed(Vec::new()).await?.map(|_| comparison))
    }

    /// Those of the next page's entries that the destination never confirmed; none at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<Entry>>, CompareError> {
        let Some(mut filter) = self.filter.take() else { return Ok(None) };
        let listed = self.ledger.list(&self.settings.name, filter.clone()).await?;
        if listed.next.is_some() {
            filter.after = listed.next;
            self.filter = Some(filter);
        }
        let places = self.unconfirmed(listed.entries.iter().map(Entry::identity).collect()).await?.unwrap_or_default();
        let mut wanted = places.into_iter().peekable();
        let entries = listed.entries.into_iter().enumerate();
        Ok(Some(entries.filter(|(place, _)| wanted.next_if_eq(place).is_some()).map(|(_, entry)| entry).collect()))
    }

    async fn unconfirmed(&self, identities: Vec<Identity>) -> Result<Option<Vec<usize>>, CompareError> {
        let (destination, tenant) = (Arc::clone(&self.destination), self.tenant.clone());
        Ok(tokio::task::spawn_blocking(move || destination.unconfirmed(&tenant, &identities)).await??)
    }
}
