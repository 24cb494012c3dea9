//! Places for files at work, shared by all integrations and given out round-robin over tenants (R13).
//!
//! New arrivals keep half the places: files of a backfill never hold more than the other half (R16). Where both wait for
//! a place that either may have, the tenant whose turn it is gets it, and its new arrivals come first.
//!
//! A file that has a place keeps it to its end, so turns alone protect nobody from a tenant whose files take minutes: it
//! would hold every place when another tenant's file comes. Each tenant has an [`Allowance`] that it never exceeds, and
//! its new arrivals keep half of that, too.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tokio::sync::oneshot;

use crate::object::TenantName;

/// What a place is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// A file that came after its integration's first listing.
    Arrivals,
    /// A file that was there before (R16).
    Backfill,
}

/// Who keeps places free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeping {
    /// Half the places are kept for new arrivals.
    Half,
    /// Nothing arrives that a place would have to be kept for.
    Nothing,
}

/// What one tenant's files at work may take together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Places; at least one is given.
    pub files: usize,
    /// Bytes that their mappers may use by their own limits. A file that is alone at work may use more.
    pub mapper_memory: u64,
}

/// What one tenant's files take of the places now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Holding {
    /// Files at work.
    pub files_at_work: usize,
    /// Those of them that belong to a backfill.
    #[serde(skip)]
    backfill: usize,
    /// Bytes that their mappers may use by their own limits.
    pub mapper_memory_at_work: u64,
    /// Whether another of its files waits for a place.
    pub waits_for_a_place: bool,
}

/// A number of places. A tenant with a thousand files waits behind a tenant with one for one place at most.
#[derive(Debug, Clone)]
pub struct Slots(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    places: usize,
    keeping: Keeping,
    /// A tenant that is not in it may take every place.
    allowances: BTreeMap<TenantName, Allowance>,
    /// Places taken, in all and by the backfill.
    taken: usize,
    taken_by_backfill: usize,
    /// By whom. A tenant without a place is not in it.
    held: BTreeMap<TenantName, Holding>,
    /// Who waits, by lane and tenant. A tenant with nobody waiting is not in it.
    arrivals: Lines,
    backfill: Lines,
    /// The tenant that was served last.
    served: Option<TenantName>,
}

type Lines = BTreeMap<TenantName, VecDeque<Waiting>>;

#[derive(Debug)]
struct Waiting {
    mapper_memory: u64,
    give: oneshot::Sender<Slot>,
}

impl Waiting {
    fn is_there(&self) -> bool {
        !self.give.is_closed()
    }
}

/// One place, given back when dropped.
#[derive(Debug)]
pub struct Slot {
    tenant: TenantName,
    lane: Lane,
    mapper_memory: u64,
    /// None once it is given back.
    slots: Option<Slots>,
}

impl Slots {
    /// `count` places; at least one. Every tenant may take them all.
    pub fn new(count: usize, keeping: Keeping) -> Self {
        Self(Arc::new(Mutex::new(State {
            places: count.max(1),
            keeping,
            allowances: BTreeMap::new(),
            taken: 0,
            taken_by_backfill: 0,
            held: BTreeMap::new(),
            arrivals: Lines::new(),
            backfill: Lines::new(),
            served: None,
        })))
    }

    /// Changes the number of places, at least one, and what each tenant may take of them; a tenant without an allowance
    /// may take all. Files at work beyond that are finished.
    pub fn change(&self, count: usize, allowances: BTreeMap<TenantName, Allowance>) {
        let mut state = self.lock();
        state.places = count.max(1);
        state.allowances = allowances;
        drop(state);
        self.serve();
    }

    /// Waits for a place for a file whose mappers may use so many bytes.
    pub async fn take(&self, tenant: &TenantName, lane: Lane, mapper_memory: u64) -> Slot {
        loop {
            let place = {
                let (give, place) = oneshot::channel();
                let waiting = Waiting { mapper_memory, give };
                self.lock().lines(lane).entry(tenant.clone()).or_default().push_back(waiting);
                self.serve();
                place
            };
            // The sender is dropped unanswered only with the whole of `Slots`, which we hold; then we ask again.
            if let Ok(slot) = place.await {
                return slot;
            }
        }
    }

    /// Who keeps places free.
    pub fn keeping(&self) -> Keeping {
        self.lock().keeping
    }

    /// What a tenant's files take of the places now.
    pub fn holding(&self, tenant: &TenantName) -> Holding {
        let state = self.lock();
        let waits_for_a_place = [&state.arrivals, &state.backfill]
            .iter()
            .any(|lines| lines.get(tenant).is_some_and(|line| line.iter().any(Waiting::is_there)));
        Holding { waits_for_a_place, ..state.held.get(tenant).copied().unwrap_or_default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives out what is free.
    fn serve(&self) {
        let mut state = self.lock();
        while let Some((waiting, tenant, lane)) = state.next_waiting() {
            let Waiting { mapper_memory, give } = waiting;
            match give.send(Slot { tenant: tenant.clone(), lane, mapper_memory, slots: Some(self.clone()) }) {
                Ok(()) => state.take(tenant, lane, mapper_memory),
                // Whoever waited has gone.
                Err(mut unwanted) => unwanted.slots = None,
            }
        }
    }
}

impl State {
    fn lines(&mut self, lane: Lane) -> &mut Lines {
        match lane {
            Lane::Arrivals => &mut self.arrivals,
            Lane::Backfill => &mut self.backfill,
        }
    }

    fn take(&mut self, tenant: TenantName, lane: Lane, mapper_memory: u64) {
        let held = self.held.entry(tenant).or_default();
        held.files_at_work += 1;
        held.mapper_memory_at_work += mapper_memory;
        self.taken += 1;
        match lane {
            Lane::Arrivals => {}
            Lane::Backfill => {
                held.backfill += 1;
                self.taken_by_backfill += 1;
            }
        }
    }

    fn give_back(&mut self, slot: &Slot) {
        self.taken -= 1;
        let is_backfill = usize::from(slot.lane == Lane::Backfill);
        self.taken_by_backfill -= is_backfill;
        let Some(held) = self.held.get_mut(&slot.tenant) else { return };
        held.files_at_work -= 1;
        held.backfill -= is_backfill;
        held.mapper_memory_at_work -= slot.mapper_memory;
        if held.files_at_work == 0 {
            self.held.remove(&slot.tenant);
        }
    }

    /// How many of so many places a backfill may have.
    fn for_backfill(&self, places: usize) -> usize {
        match self.keeping {
            // One place has to do for both.
            Keeping::Half => places.div_ceil(2),
            Keeping::Nothing => places,
        }
    }

    /// Whether a file of this lane may have a place now.
    fn is_free(&self, lane: Lane) -> bool {
        self.taken < self.places
            && match lane {
                Lane::Arrivals => true,
                Lane::Backfill => self.taken_by_backfill < self.for_backfill(self.places),
            }
    }

    /// Whether a free place may go to this tenant now.
    fn is_allowed(&self, tenant: &TenantName, lane: Lane, mapper_memory: u64) -> bool {
        let Some(allowance) = self.allowances.get(tenant) else { return true };
        // A tenant without a file at work is never kept waiting by its own allowance.
        let Some(held) = self.held.get(tenant) else { return true };
        let files = allowance.files.clamp(1, self.places);
        held.files_at_work < files
            && held.mapper_memory_at_work.saturating_add(mapper_memory) <= allowance.mapper_memory
            && match lane {
                Lane::Arrivals => true,
                Lane::Backfill => held.backfill < self.for_backfill(files),
            }
    }

    /// Whoever does not fit yet keeps those behind waiting, so it must still be there.
    fn forget_who_left(&mut self) {
        for lines in [&mut self.arrivals, &mut self.backfill] {
            lines.retain(|_, line| {
                line.retain(Waiting::is_there);
                !line.is_empty()
            });
        }
    }

    /// Takes the first in line of the next tenant, round and round from the one served last, that may have a place.
    fn next_waiting(&mut self) -> Option<(Waiting, TenantName, Lane)> {
        self.forget_who_left();
        let lanes = [(Lane::Arrivals, &self.arrivals), (Lane::Backfill, &self.backfill)];
        let lines = lanes.into_iter().filter(|(lane, _)| self.is_free(*lane));
        let first_in_line = lines.flat_map(|(lane, lines)| {
            lines.iter().filter_map(move |(tenant, line)| Some((tenant, lane, line.front()?.mapper_memory)))
        });
        let allowed = first_in_line.filter(|(tenant, lane, memory)| self.is_allowed(tenant, *lane, *memory));
        let has_had_its_turn = |tenant: &TenantName| self.served.as_ref().is_some_and(|served| tenant <= served);
        let (_, tenant, lane) = allowed.map(|(tenant, lane, _)| (has_had_its_turn(tenant), tenant, lane)).min()?;
        let tenant = tenant.clone();
        let line = self.lines(lane).get_mut(&tenant)?;
        let next = line.pop_front();
        if line.is_empty() {
            self.lines(lane).remove(&tenant);
        }
        self.served = Some(tenant.clone());
        Some((next?, tenant, lane))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(slots) = self.slots.take() {
            slots.lock().give_back(self);
            slots.serve();
        }
    }
}

#[cfg(test)]
mod tests;
