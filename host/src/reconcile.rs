//! Holding the ledger against what the destinations confirmed (R18).
//!
//! An object is completed only after its destinations confirmed it (I1). Where one of them does not know it, the
//! store is older than the ledger, or another one: put back from a backup of its own, lost, or named anew in the
//! configuration. Nothing would ever bring these records again, so the integration halts until a person says so.
//!
//! The comparison is exact. It goes through the ledger page by page, and asks for a page at once, so that memory is
//! bounded (I6). The ledger is read first: what is completed there was confirmed before. Where confirmed records may be
//! taken away by whoever loads them, as files are, there is nothing to compare.

use std::collections::{BTreeMap, BTreeSet};

use tokio::task::JoinError;

use crate::config::Integration;
use crate::destination::DestinationError;
use crate::ingest::{DestinationSet, NamedDestination};
use crate::ledger::{Entry, Filter, Ledger, LedgerError, StateName, Versions};
use crate::object::{DestinationName, Identity};

/// Entries that are compared at once.
const PAGE: usize = 1_000;

/// Why the comparison ended early.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// The ledger could not be read.
    #[error("the ledger failed")]
    Ledger(#[from] LedgerError),
    /// A thread of ours panicked.
    #[error("the comparison ended unexpectedly")]
    Panicked,
}

impl From<JoinError> for CompareError {
    /// Without its words, which may hold data; where it was has been said.
    fn from(_: JoinError) -> Self {
        Self::Panicked
    }
}

/// A comparison on its way.
pub struct Comparison {
    ledger: Ledger,
    destinations: DestinationSet,
    settings: Integration,
    /// None at the end.
    filter: Option<Filter>,
    /// Destinations that could not answer. They are not asked again.
    unanswered: BTreeMap<DestinationName, DestinationError>,
}

impl Comparison {
    /// Begins one; none where no destination can be held to what it confirmed.
    pub async fn begin(
        ledger: &Ledger,
        destinations: &DestinationSet,
        settings: &Integration,
    ) -> Result<Option<Self>, CompareError> {
        let mut comparison = Self {
            unanswered: BTreeMap::new(),
            ledger: ledger.clone(),
            destinations: destinations.clone(),
            settings: settings.clone(),
            filter: Some(Filter {
                states: vec![StateName::Completed],
                versions: Versions::Every,
                limit: PAGE,
                ..Filter::default()
            }),
        };
        let is_possible = comparison.lacking(&[]).await?.is_some() || !comparison.unanswered.is_empty();
        Ok(is_possible.then_some(comparison))
    }

    /// Those of the next page's entries that the destination never confirmed; none at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<Entry>>, CompareError> {
        let Some(mut filter) = self.filter.take() else { return Ok(None) };
        let listed = self.ledger.list(&self.settings.name, filter.clone()).await?;
        if listed.next.is_some() {
            filter.after = listed.next;
            self.filter = Some(filter);
        }
        let lacking = self.lacking(&listed.entries).await?.unwrap_or_default();
        let entries = listed.entries.into_iter().enumerate().filter(|(place, _)| lacking.contains(place));
        Ok(Some(entries.map(|(_, entry)| entry).collect()))
    }

    /// The places of those entries that a destination lacks which is said to have confirmed them.
    async fn lacking(&mut self, entries: &[Entry]) -> Result<Option<BTreeSet<usize>>, CompareError> {
        let claims: Vec<(NamedDestination, Vec<usize>, Vec<Identity>)> = self
            .destinations
            .iter()
            .filter(|named| !self.unanswered.contains_key(&named.name))
            .map(|named| {
                let is_deciding = named.name == self.destinations.deciding().name;
                // Where the ledger names none, it was the only one there was.
                let confirmed =
                    |entry: &Entry| entry.confirmed.contains(&named.name) || entry.confirmed.is_empty() && is_deciding;
                let claimed = entries.iter().enumerate().filter(|(_, entry)| confirmed(entry));
                let (places, identities) = claimed.map(|(place, entry)| (place, entry.identity())).unzip();
                (named.clone(), places, identities)
            })
            .collect();
        let tenant = self.settings.tenant.clone();
        let ask = move || {
            let answer = |(named, places, identities): (NamedDestination, Vec<usize>, Vec<Identity>)| {
                let unconfirmed = named.destination.unconfirmed(&tenant, &identities);
                (named.name, places, unconfirmed)
            };
            claims.into_iter().map(answer).collect::<Vec<_>>()
        };
        let mut lacking = None;
        for (name, places, unconfirmed) in tokio::task::spawn_blocking(ask).await? {
            match unconfirmed {
                Ok(None) => {}
                Ok(Some(unconfirmed)) => {
                    let places = unconfirmed.into_iter().filter_map(|place| places.get(place).copied());
                    lacking.get_or_insert_with(BTreeSet::new).extend(places);
                }
                Err(error) => drop(self.unanswered.insert(name, error)),
            }
        }
        Ok(lacking)
    }

    /// Why a destination could not answer, if one could not: what it lacks is not known.
    pub fn unanswered(&self) -> Option<&DestinationError> {
        self.unanswered.values().next()
    }
}
