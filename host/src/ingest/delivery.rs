//! One object on its way to all of an integration's destinations.
//!
//! Its rows are decoded and mapped once and staged into every destination that has not confirmed it. The *deciding*
//! destination is the first that can match, or the first of all where none can: its counts are the object's, and what it
//! refuses is merged nowhere. It merges before any other, so that a file which fails for its rows is rolled back
//! everywhere. The others come after it, each on its own: one that fails takes back nothing, and only it is fed again.

use std::fmt;
use std::sync::Arc;

use super::Failure;
use crate::batch::{AccountBatch, AccountLayout, UsageBatch, UsageLayout};
use crate::destination::{
    Delivery, Destination, DestinationError, Intake, MendedRow, Preview, RejectRow, RowCounts, Staging, Summary,
};
use crate::events::Chain;
use crate::object::{DestinationName, Identity, TenantName};
use crate::oversight::Oversight;
use crate::retry::ErrorClass;

/// A destination under the name that the configuration gives it.
#[derive(Clone)]
pub struct NamedDestination {
    /// The name.
    pub name: DestinationName,
    /// The open destination.
    pub destination: Arc<dyn Destination>,
}

/// All destinations of an integration.
#[derive(Clone)]
pub struct DestinationSet {
    deciding: NamedDestination,
    others: Vec<NamedDestination>,
}

impl DestinationSet {
    /// Those of a list; none when it is empty.
    pub fn of(mut all: Vec<NamedDestination>) -> Option<Self> {
        if all.is_empty() {
            return None;
        }
        let deciding = all.iter().position(|named| named.destination.can_match()).unwrap_or(0);
        Some(Self { deciding: all.remove(deciding), others: all })
    }

    /// The one whose counts are the object's, and whose word about its rows counts.
    pub fn deciding(&self) -> &NamedDestination {
        &self.deciding
    }

    /// All of them, the deciding one first.
    pub fn iter(&self) -> impl Iterator<Item = &NamedDestination> {
        std::iter::once(&self.deciding).chain(&self.others)
    }

    /// Whether there is more than one.
    pub fn are_several(&self) -> bool {
        !self.others.is_empty()
    }
}

/// Which destinations have the object, and why others do not.
#[derive(Debug, Default)]
pub struct Standing {
    /// Those that have it.
    pub confirmed: Option<Confirmed>,
    /// Those that refused it in this attempt.
    pub refusals: Refusals,
}

/// The destinations that have an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmed {
    /// Their names; at least one.
    pub by: Vec<DestinationName>,
    /// What was counted when it came to the first of them.
    pub summary: Summary,
}

impl Confirmed {
    /// Whether every one of an integration's destinations has it (I1).
    pub fn is_everywhere(&self, destinations: &DestinationSet) -> bool {
        destinations.iter().all(|named| self.by.contains(&named.name))
    }
}

impl Standing {
    /// Asks the destinations, except those of which it is `known` that they have it. Blocks.
    pub fn ask(
        destinations: &DestinationSet,
        tenant: &TenantName,
        identity: &Identity,
        known: Option<&Confirmed>,
    ) -> Self {
        let mut standing = Self::default();
        for named in destinations.iter() {
            if let Some(known) = known.filter(|known| known.by.contains(&named.name)) {
                standing.confirm(&named.name, &known.summary);
                continue;
            }
            match named.destination.confirmed(tenant, identity) {
                Ok(Some(summary)) => standing.confirm(&named.name, &summary),
                Ok(None) => {}
                Err(error) => standing.refusals.push(named.name.clone(), error),
            }
        }
        standing
    }

    fn confirm(&mut self, name: &DestinationName, summary: &Summary) {
        match &mut self.confirmed {
            Some(confirmed) => confirmed.by.push(name.clone()),
            None => self.confirmed = Some(Confirmed { by: vec![name.clone()], summary: summary.clone() }),
        }
    }

    fn has(&self, name: &DestinationName) -> bool {
        self.confirmed.as_ref().is_some_and(|confirmed| confirmed.by.contains(name))
    }

    /// Those to bring it to now. None while the deciding one is missing and cannot be asked: without its word no other
    /// may merge.
    pub fn to_feed(&self, destinations: &DestinationSet) -> Vec<NamedDestination> {
        if self.refusals.are_of(&destinations.deciding.name) {
            return Vec::new();
        }
        let is_waiting = |named: &&NamedDestination| !self.has(&named.name) && !self.refusals.are_of(&named.name);
        destinations.iter().filter(is_waiting).cloned().collect()
    }

    /// What an attempt added.
    pub fn add(&mut self, fed: Fed) {
        for (name, summary) in fed.confirmed {
            self.confirm(&name, &summary);
        }
        self.refusals.0.extend(fed.refusals.0);
    }
}

/// Why destinations did not take an object, one by one.
#[derive(Debug, Default)]
pub struct Refusals(Vec<(DestinationName, DestinationError)>);

impl Refusals {
    fn push(&mut self, name: DestinationName, error: DestinationError) {
        self.0.push((name, error));
    }

    fn are_of(&self, name: &DestinationName) -> bool {
        self.0.iter().any(|(of, _)| of == name)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As a failure: one destination of one speaks for itself, one of several is named.
    pub fn into_failure(mut self, destinations: &DestinationSet) -> Failure {
        match self.0.pop() {
            Some((_, error)) if !destinations.are_several() => Failure::Destination(error),
            last => {
                self.0.extend(last);
                Failure::Refused(self)
            }
        }
    }

    /// What decides whether the object is brought to them again: as long as one may take it yet, it is.
    pub fn class(&self) -> ErrorClass {
        let classes = || self.0.iter().map(|(_, error)| super::destination_class(error));
        let soonest = [ErrorClass::Destination, ErrorClass::NoAccountMatched];
        let again = soonest.into_iter().find(|class| classes().any(|found| found == *class));
        again.or_else(|| classes().next()).unwrap_or(ErrorClass::Destination)
    }

    /// What a person can do about the first of them.
    pub fn hint(&self) -> Option<&'static str> {
        self.0.iter().find_map(|(_, error)| error.hint())
    }
}

impl fmt::Display for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is missing in ")?;
        for (place, (name, error)) in self.0.iter().enumerate() {
            let separator = if place > 0 { ", and in " } else { "" };
            write!(f, "{separator}`{name}`: {}", Chain(error))?;
        }
        Ok(())
    }
}

/// What an attempt came to.
#[derive(Debug, Default)]
pub struct Fed {
    /// Those that merged it, in order.
    pub confirmed: Vec<(DestinationName, Summary)>,
    /// Those that did not.
    pub refusals: Refusals,
}

/// What is staged of one object, in each destination that it is brought to.
pub struct Stagings {
    staged: Vec<(DestinationName, Box<dyn Staging>)>,
    /// The destination without which no other merges, while it is among them.
    deciding: Option<DestinationName>,
    refusals: Refusals,
    /// Whose failure ended the staging as a whole.
    halted_by: Option<DestinationName>,
}

impl Stagings {
    /// Begins to stage into each of them that `admits` lets. Fails when the deciding one does, or all do.
    pub fn begin(
        destinations: &DestinationSet,
        to_feed: &[NamedDestination],
        delivery: &Delivery,
        admits: impl Fn(&NamedDestination) -> Result<(), DestinationError>,
    ) -> Result<Self, Refusals> {
        let mut refusals = Refusals::default();
        let mut staged = Vec::with_capacity(to_feed.len());
        let deciding = &destinations.deciding.name;
        // Each may wait for a connection of a bounded pool: everybody takes them in one order.
        let mut in_order: Vec<&NamedDestination> = to_feed.iter().collect();
        in_order.sort_by_key(|named| &named.name);
        for named in in_order {
            match admits(named).and_then(|()| named.destination.stage(delivery.clone())) {
                Ok(staging) => staged.push((named.name.clone(), staging)),
                Err(error) => {
                    refusals.push(named.name.clone(), error);
                    if named.name == *deciding {
                        return Err(refusals);
                    }
                }
            }
        }
        // As they are to be merged.
        let place = |name: &DestinationName| to_feed.iter().position(|named| named.name == *name);
        staged.sort_by_key(|(name, _)| place(name));
        let deciding = to_feed.iter().any(|named| named.name == *deciding).then(|| deciding.clone());
        if staged.is_empty() { Err(refusals) } else { Ok(Self { staged, deciding, refusals, halted_by: None }) }
    }

    /// Goes on without those that fail, unless the deciding one is among them or none is left.
    fn each(
        &mut self,
        mut step: impl FnMut(&mut dyn Staging) -> Result<(), DestinationError>,
    ) -> Result<(), DestinationError> {
        let Self { staged, deciding, refusals, .. } = self;
        let mut halting = None;
        staged.retain_mut(|(name, staging)| match step(staging.as_mut()) {
            Ok(()) => true,
            Err(error) if deciding.as_ref() == Some(name) => {
                halting = Some((name.clone(), error));
                false
            }
            Err(error) => {
                refusals.push(name.clone(), error);
                false
            }
        });
        if staged.is_empty() && halting.is_none() {
            halting = refusals.0.pop();
        }
        let Some((name, error)) = halting else { return Ok(()) };
        self.halted_by = Some(name);
        Err(error)
    }

    /// The failure that ended it, with everyone who refused.
    pub fn explain(self, failure: Failure, destinations: &DestinationSet) -> Failure {
        match (failure, self.halted_by) {
            (Failure::Destination(error), Some(name)) => {
                let mut refusals = self.refusals;
                refusals.push(name, error);
                refusals.into_failure(destinations)
            }
            (failure, _) => failure,
        }
    }

    /// Merges into the deciding destination and then into each other. When the first refuses, nothing is merged
    /// anywhere. A stop that was asked for ends it between two.
    pub fn merge(self, rows: RowCounts, oversight: &Oversight) -> Fed {
        let mut fed = Fed { confirmed: Vec::with_capacity(self.staged.len()), refusals: self.refusals };
        for (name, mut staging) in self.staged {
            if !fed.confirmed.is_empty() && oversight.stop.given_up() {
                break;
            }
            let merging = Arc::new(oversight.watch.begin("merge"));
            staging.oversee(&merging, &oversight.stop);
            let merged = staging.merge(rows);
            drop(merging);
            match merged {
                Ok(summary) => fed.confirmed.push((name, summary)),
                Err(DestinationError::Stopped) => break,
                Err(error) => {
                    let decides = self.deciding.as_ref() == Some(&name);
                    fed.refusals.push(name, error);
                    if decides {
                        break;
                    }
                }
            }
        }
        fed
    }

    /// What a merge into each would do, the deciding one first, and who refused.
    pub fn preview(self) -> (Vec<(DestinationName, Preview)>, Refusals) {
        let (mut previews, mut refusals) = (Vec::with_capacity(self.staged.len()), self.refusals);
        for (name, staging) in self.staged {
            match staging.preview() {
                Ok(preview) => previews.push((name, preview)),
                Err(error) => refusals.push(name, error),
            }
        }
        (previews, refusals)
    }
}

impl Intake for Stagings {
    fn open_table(
        &mut self,
        accounts: Option<&AccountLayout>,
        usage: Option<&UsageLayout>,
    ) -> Result<(), DestinationError> {
        self.each(|staging| staging.open_table(accounts, usage))
    }

    fn accounts(&mut self, batch: &AccountBatch, rejected: &[u32]) -> Result<(), DestinationError> {
        self.each(|staging| staging.accounts(batch, rejected))
    }

    fn usage(&mut self, batch: &UsageBatch, rejected: &[u32]) -> Result<(), DestinationError> {
        self.each(|staging| staging.usage(batch, rejected))
    }

    fn reject_row(&mut self, row: u32) -> Result<(), DestinationError> {
        self.each(|staging| staging.reject_row(row))
    }

    fn mends(&mut self, rows: &[MendedRow<'_>]) -> Result<(), DestinationError> {
        self.each(|staging| staging.mends(rows))
    }

    fn rejects(&mut self, rejects: &[RejectRow]) -> Result<(), DestinationError> {
        self.each(|staging| staging.rejects(rejects))
    }
}
