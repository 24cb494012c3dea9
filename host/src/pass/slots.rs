//! Places for files at work, shared by all integrations and given out round-robin over tenants (R13).

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::object::TenantName;

/// A fixed number of places. A tenant with a thousand files waits behind a tenant with one for one place at most.
#[derive(Debug, Clone)]
pub struct Slots(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    free: usize,
    /// Who waits, by tenant. A tenant with nobody waiting is not in it.
    waiting: BTreeMap<TenantName, VecDeque<oneshot::Sender<Slot>>>,
    /// The tenant that was served last.
    served: Option<TenantName>,
}

/// One place, given back when dropped.
#[derive(Debug)]
pub struct Slot(Option<Slots>);

impl Slots {
    /// `count` places; at least one.
    pub fn new(count: usize) -> Self {
        Self(Arc::new(Mutex::new(State { free: count.max(1), waiting: BTreeMap::new(), served: None })))
    }

    /// Waits for a place.
    pub async fn take(&self, tenant: &TenantName) -> Slot {
        loop {
            let place = {
                let mut state = self.lock();
                if state.free > 0 {
                    state.free -= 1;
                    return Slot(Some(self.clone()));
                }
                let (give, place) = oneshot::channel();
                state.waiting.entry(tenant.clone()).or_default().push_back(give);
                place
            };
            // The sender is dropped unanswered only with the whole of `Slots`, which we hold; then we ask again.
            if let Ok(slot) = place.await {
                return slot;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give_back(&self) {
        let mut slot = Slot(Some(self.clone()));
        let mut state = self.lock();
        while let Some(next) = state.next_waiting() {
            match next.send(slot) {
                Ok(()) => return,
                // Whoever waited has gone.
                Err(returned) => slot = returned,
            }
        }
        state.free += 1;
        slot.0 = None;
    }
}

impl State {
    /// Takes the first in line of the tenant after the one served last.
    fn next_waiting(&mut self) -> Option<oneshot::Sender<Slot>> {
        let after = self.served.as_ref().and_then(|served| {
            let range = (std::ops::Bound::Excluded(served), std::ops::Bound::Unbounded);
            self.waiting.range::<TenantName, _>(range).next().map(|(tenant, _)| tenant.clone())
        });
        let tenant = after.or_else(|| self.waiting.keys().next().cloned())?;
        let line = self.waiting.get_mut(&tenant)?;
        let next = line.pop_front();
        if line.is_empty() {
            self.waiting.remove(&tenant);
        }
        self.served = Some(tenant);
        next
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(slots) = self.0.take() {
            slots.give_back();
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
        let slots = Slots::new(1);
        let tenant = |name: &str| name.parse::<TenantName>().unwrap();
        let mut context = Context::from_waker(Waker::noop());
        let busy = tenant("busy");
        let small = tenant("small");
        let mut waiting: Vec<Asking<'_>> =
            [&busy, &busy, &busy, &small].into_iter().map(|t| Box::pin(slots.take(t)) as _).enumerate().collect();
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
        assert_eq!(order, [0, 1, 3, 2], "the small tenant waits for one file of the busy one, not for all");
    }

    #[test]
    fn a_place_given_to_someone_who_left_goes_to_the_next() {
        let slots = Slots::new(1);
        let tenant = TenantName::default();
        let mut context = Context::from_waker(Waker::noop());
        let mut first = Box::pin(slots.take(&tenant));
        let Poll::Ready(held) = first.as_mut().poll(&mut context) else { panic!("the place is free") };
        let mut leaver = Box::pin(slots.take(&tenant));
        assert!(leaver.as_mut().poll(&mut context).is_pending());
        let mut last = Box::pin(slots.take(&tenant));
        assert!(last.as_mut().poll(&mut context).is_pending());
        drop(leaver);
        drop(held);
        assert!(last.as_mut().poll(&mut context).is_ready());
    }
}
