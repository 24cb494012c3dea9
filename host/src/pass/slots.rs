//! Places for files at work, shared by all integrations and given out round-robin over tenants (R13).
//!
//! New arrivals keep half the places: files of a backfill never hold more than the other half (R16). Where both wait for
//! a place that either may have, the tenant whose turn it is gets it, and its new arrivals come first.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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

/// A number of places. A tenant with a thousand files waits behind a tenant with one for one place at most.
#[derive(Debug, Clone)]
pub struct Slots(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    places: usize,
    keeping: Keeping,
    /// Places taken, in all and by the backfill.
    taken: usize,
    taken_by_backfill: usize,
    /// Who waits, by lane and tenant. A tenant with nobody waiting is not in it.
    arrivals: Lines,
    backfill: Lines,
    /// The tenant that was served last.
    served: Option<TenantName>,
}

type Lines = BTreeMap<TenantName, VecDeque<oneshot::Sender<Slot>>>;

/// One place, given back when dropped.
#[derive(Debug)]
pub struct Slot {
    lane: Lane,
    /// None once it is given back.
    slots: Option<Slots>,
}

impl Slots {
    /// `count` places; at least one.
    pub fn new(count: usize, keeping: Keeping) -> Self {
        Self(Arc::new(Mutex::new(State {
            places: count.max(1),
            keeping,
            taken: 0,
            taken_by_backfill: 0,
            arrivals: Lines::new(),
            backfill: Lines::new(),
            served: None,
        })))
    }

    /// Changes the number of places; at least one. Files at work beyond it are finished.
    pub fn resize(&self, count: usize) {
        self.lock().places = count.max(1);
        self.serve();
    }

    /// Waits for a place.
    pub async fn take(&self, tenant: &TenantName, lane: Lane) -> Slot {
        loop {
            let place = {
                let (give, place) = oneshot::channel();
                self.lock().lines(lane).entry(tenant.clone()).or_default().push_back(give);
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

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives out what is free.
    fn serve(&self) {
        let mut state = self.lock();
        while let Some((next, lane)) = state.next_waiting() {
            match next.send(Slot { lane, slots: Some(self.clone()) }) {
                Ok(()) => state.take(lane),
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

    fn take(&mut self, lane: Lane) {
        self.taken += 1;
        match lane {
            Lane::Arrivals => {}
            Lane::Backfill => self.taken_by_backfill += 1,
        }
    }

    fn give_back(&mut self, lane: Lane) {
        self.taken -= 1;
        match lane {
            Lane::Arrivals => {}
            Lane::Backfill => self.taken_by_backfill -= 1,
        }
    }

    /// Whether a file of this lane may have a place now.
    fn is_free(&self, lane: Lane) -> bool {
        let for_backfill = match self.keeping {
            // One place has to do for both.
            Keeping::Half => self.places.div_ceil(2),
            Keeping::Nothing => self.places,
        };
        self.taken < self.places
            && match lane {
                Lane::Arrivals => true,
                Lane::Backfill => self.taken_by_backfill < for_backfill,
            }
    }

    /// Takes the first in line of the tenant after the one served last, as far as there is a place for them.
    fn next_waiting(&mut self) -> Option<(oneshot::Sender<Slot>, Lane)> {
        let lanes = [Lane::Arrivals, Lane::Backfill].map(|lane| (lane, self.is_free(lane)));
        let waiting = lanes.into_iter().filter(|(_, is_free)| *is_free).filter_map(|(lane, _)| {
            let tenant = first_after(self.served.as_ref(), self.lines_of(lane))?;
            let has_had_its_turn = self.served.as_ref().is_some_and(|served| tenant <= served);
            Some((has_had_its_turn, tenant, lane))
        });
        let (_, tenant, lane) = waiting.min()?;
        let tenant = tenant.clone();
        let line = self.lines(lane).get_mut(&tenant)?;
        let next = line.pop_front();
        if line.is_empty() {
            self.lines(lane).remove(&tenant);
        }
        self.served = Some(tenant);
        Some((next?, lane))
    }

    fn lines_of(&self, lane: Lane) -> &Lines {
        match lane {
            Lane::Arrivals => &self.arrivals,
            Lane::Backfill => &self.backfill,
        }
    }
}

/// The first tenant in line after the one served last, round and round.
fn first_after<'a>(served: Option<&TenantName>, lines: &'a Lines) -> Option<&'a TenantName> {
    let after = served.and_then(|served| {
        let range = (std::ops::Bound::Excluded(served), std::ops::Bound::Unbounded);
        lines.range::<TenantName, _>(range).next()
    });
    after.or_else(|| lines.iter().next()).map(|(tenant, _)| tenant)
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(slots) = self.slots.take() {
            slots.lock().give_back(self.lane);
            slots.serve();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::{Context, Poll, Waker};

    /// Who asks, by number, and the place to come.
    type Asking<'a> = (usize, std::pin::Pin<Box<dyn Future<Output = Slot> + 'a>>);

    /// R13
    #[test]
    fn places_go_round_robin_over_tenants() {
        let slots = Slots::new(1, Keeping::Half);
        let tenant = |name: &str| name.parse::<TenantName>().unwrap();
        let mut context = Context::from_waker(Waker::noop());
        let busy = tenant("busy");
        let small = tenant("small");
        let mut waiting: Vec<Asking<'_>> = [&busy, &busy, &busy, &small]
            .into_iter()
            .map(|t| Box::pin(slots.take(t, Lane::Arrivals)) as _)
            .enumerate()
            .collect();
        // All ask at once; the first is served, the others wait.
        let mut ready = |waiting: &mut Vec<Asking<'_>>| {
            let polled: Vec<_> = waiting.iter_mut().map(|(_, future)| future.as_mut().poll(&mut context)).collect();
            polled.into_iter().enumerate().find_map(|(place, poll)| match poll {
                Poll::Ready(slot) => Some((waiting.remove(place).0, slot)),
                Poll::Pending => None,
            })
        };
        let mut order = Vec::new();
        while let Some((number, slot)) = ready(&mut waiting) {
            order.push(number);
            drop(slot);
        }
        assert_eq!(order, [0, 3, 1, 2], "the small tenant waits for one file of the busy one, not for all");
    }

    #[test]
    fn a_place_given_to_someone_who_left_goes_to_the_next() {
        let slots = Slots::new(1, Keeping::Half);
        let tenant = TenantName::default();
        let mut context = Context::from_waker(Waker::noop());
        let mut first = Box::pin(slots.take(&tenant, Lane::Arrivals));
        let Poll::Ready(held) = first.as_mut().poll(&mut context) else { panic!("the place is free") };
        let mut leaver = Box::pin(slots.take(&tenant, Lane::Arrivals));
        assert!(leaver.as_mut().poll(&mut context).is_pending());
        let mut last = Box::pin(slots.take(&tenant, Lane::Arrivals));
        assert!(last.as_mut().poll(&mut context).is_pending());
        drop(leaver);
        drop(held);
        assert!(last.as_mut().poll(&mut context).is_ready());
    }

    /// How many of `files` get a place at once, and their places.
    fn taken(slots: &Slots, tenant: &TenantName, lane: Lane, files: usize) -> Vec<Slot> {
        let mut context = Context::from_waker(Waker::noop());
        let mut asking: Vec<_> = (0..files).map(|_| Box::pin(slots.take(tenant, lane))).collect();
        let polled = asking.iter_mut().map(|file| file.as_mut().poll(&mut context));
        polled.filter_map(|poll| if let Poll::Ready(slot) = poll { Some(slot) } else { None }).collect()
    }

    /// R16
    #[test]
    fn new_arrivals_keep_half_the_places_while_a_backfill_runs() {
        let tenant = TenantName::default();
        for (places, for_backfill) in [(1, 1), (2, 1), (3, 2), (4, 2), (7, 4)] {
            let slots = Slots::new(places, Keeping::Half);
            let backfill = taken(&slots, &tenant, Lane::Backfill, 100);
            assert_eq!(backfill.len(), for_backfill, "of {places}");
            let arrivals = taken(&slots, &tenant, Lane::Arrivals, 100);
            assert_eq!(arrivals.len(), places - for_backfill, "of {places}");
            drop((backfill, arrivals));
            assert_eq!(taken(&slots, &tenant, Lane::Arrivals, 100).len(), places, "arrivals may have all");
        }
        let slots = Slots::new(4, Keeping::Nothing);
        assert_eq!(taken(&slots, &tenant, Lane::Backfill, 100).len(), 4);
    }

    /// R16, R13
    #[test]
    fn a_new_arrival_is_served_before_the_backfill_of_its_tenant() {
        let slots = Slots::new(1, Keeping::Half);
        let tenant = TenantName::default();
        let mut context = Context::from_waker(Waker::noop());
        let held = taken(&slots, &tenant, Lane::Backfill, 1);
        let mut backfill = Box::pin(slots.take(&tenant, Lane::Backfill));
        assert!(backfill.as_mut().poll(&mut context).is_pending());
        let mut arrival = Box::pin(slots.take(&tenant, Lane::Arrivals));
        assert!(arrival.as_mut().poll(&mut context).is_pending());
        drop(held);
        assert!(backfill.as_mut().poll(&mut context).is_pending());
        assert!(arrival.as_mut().poll(&mut context).is_ready());
        assert!(backfill.as_mut().poll(&mut context).is_ready(), "its place was dropped with the future");
    }

    #[test]
    fn the_number_of_places_can_change_while_files_are_at_work() {
        let slots = Slots::new(1, Keeping::Half);
        let tenant = TenantName::default();
        let mut held = taken(&slots, &tenant, Lane::Arrivals, 3);
        assert_eq!(held.len(), 1);
        slots.resize(3);
        held.extend(taken(&slots, &tenant, Lane::Arrivals, 3));
        assert_eq!(held.len(), 3);
        slots.resize(2);
        held.pop();
        assert!(taken(&slots, &tenant, Lane::Arrivals, 1).is_empty(), "two are still at work");
        held.pop();
        assert_eq!(taken(&slots, &tenant, Lane::Arrivals, 3).len(), 1);
    }
}
