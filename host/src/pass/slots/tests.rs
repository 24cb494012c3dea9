use std::task::{Context, Poll, Waker};

use super::*;

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
        .map(|t| Box::pin(slots.take(t, Lane::Arrivals, 0)) as _)
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
    let mut first = Box::pin(slots.take(&tenant, Lane::Arrivals, 0));
    let Poll::Ready(held) = first.as_mut().poll(&mut context) else { panic!("the place is free") };
    let mut leaver = Box::pin(slots.take(&tenant, Lane::Arrivals, 0));
    assert!(leaver.as_mut().poll(&mut context).is_pending());
    let mut last = Box::pin(slots.take(&tenant, Lane::Arrivals, 0));
    assert!(last.as_mut().poll(&mut context).is_pending());
    drop(leaver);
    drop(held);
    assert!(last.as_mut().poll(&mut context).is_ready());
}

/// How many of `files` get a place at once, and their places.
fn taken(slots: &Slots, tenant: &TenantName, lane: Lane, files: usize) -> Vec<Slot> {
    let mut context = Context::from_waker(Waker::noop());
    let mut asking: Vec<_> = (0..files).map(|_| Box::pin(slots.take(tenant, lane, 0))).collect();
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
    let mut backfill = Box::pin(slots.take(&tenant, Lane::Backfill, 0));
    assert!(backfill.as_mut().poll(&mut context).is_pending());
    let mut arrival = Box::pin(slots.take(&tenant, Lane::Arrivals, 0));
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
    slots.change(3, BTreeMap::new());
    held.extend(taken(&slots, &tenant, Lane::Arrivals, 3));
    assert_eq!(held.len(), 3);
    slots.change(2, BTreeMap::new());
    held.pop();
    assert!(taken(&slots, &tenant, Lane::Arrivals, 1).is_empty(), "two are still at work");
    held.pop();
    assert_eq!(taken(&slots, &tenant, Lane::Arrivals, 3).len(), 1);
}

fn allow(slots: &Slots, places: usize, tenants: &[(&TenantName, usize, u64)]) {
    let allowance = |(tenant, files, mapper_memory): &(&TenantName, usize, u64)| {
        ((*tenant).clone(), Allowance { files: *files, mapper_memory: *mapper_memory })
    };
    slots.change(places, tenants.iter().map(allowance).collect());
}

/// R13
#[test]
fn a_tenant_never_holds_more_places_than_it_is_allowed_so_that_another_need_not_wait() {
    let [busy, small, unlimited] = ["busy", "small", "unlimited"].map(|name| name.parse::<TenantName>().unwrap());
    let slots = Slots::new(4, Keeping::Half);
    allow(&slots, 4, &[(&busy, 2, u64::MAX), (&small, 2, u64::MAX)]);
    let held = taken(&slots, &busy, Lane::Arrivals, 100);
    assert_eq!(held.len(), 2, "although four are free");
    assert_eq!(taken(&slots, &small, Lane::Arrivals, 100).len(), 2);
    assert_eq!(taken(&slots, &unlimited, Lane::Arrivals, 100).len(), 2, "what the busy one leaves");
    drop(held);
    assert_eq!(taken(&slots, &unlimited, Lane::Arrivals, 100).len(), 4);
}

/// R16
#[test]
fn the_new_arrivals_of_a_tenant_keep_half_of_its_allowance() {
    let tenant = TenantName::default();
    for (allowed, for_backfill) in [(1, 1), (2, 1), (3, 2), (8, 2)] {
        let slots = Slots::new(4, Keeping::Half);
        allow(&slots, 4, &[(&tenant, allowed, u64::MAX)]);
        let backfill = taken(&slots, &tenant, Lane::Backfill, 100);
        assert_eq!(backfill.len(), for_backfill, "of {allowed}");
        let arrivals = taken(&slots, &tenant, Lane::Arrivals, 100);
        assert_eq!(arrivals.len(), allowed.min(4) - for_backfill, "of {allowed}");
    }
}

#[test]
fn files_wait_until_their_mappers_memory_fits_unless_one_is_alone() {
    let [acme, other] = ["acme", "other"].map(|name| name.parse::<TenantName>().unwrap());
    let slots = Slots::new(4, Keeping::Half);
    allow(&slots, 4, &[(&acme, 4, 100)]);
    let mut context = Context::from_waker(Waker::noop());
    let mut ask = |tenant, memory| {
        let mut file = Box::pin(slots.take(tenant, Lane::Arrivals, memory));
        let place = file.as_mut().poll(&mut context);
        (place, file)
    };
    let (large, _) = ask(&acme, 101);
    assert!(large.is_ready(), "it is alone at work");
    let (place, mut small) = ask(&acme, 1);
    assert!(place.is_pending(), "the large one takes more than all");
    let (others, _) = ask(&other, 1000);
    assert!(others.is_ready(), "another tenant's memory is its own");
    let one_at_work = Holding { files_at_work: 1, backfill: 0, mapper_memory_at_work: 101, waits_for_a_place: true };
    assert_eq!(slots.holding(&acme), one_at_work);
    drop(large);
    assert!(small.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
    assert_eq!(slots.holding(&acme), Holding::default(), "given back at once");
    let (first, second) = (ask(&acme, 60), ask(&acme, 40));
    assert!(first.0.is_ready() && second.0.is_ready(), "they just fit");
    assert!(ask(&acme, 1).0.is_pending());
    assert!(ask(&acme, 0).0.is_ready(), "a file without a mapper of its own needs no memory");
}

#[test]
fn an_allowance_can_change_while_files_are_at_work() {
    let tenant = TenantName::default();
    let slots = Slots::new(4, Keeping::Half);
    let mut held = taken(&slots, &tenant, Lane::Arrivals, 3);
    allow(&slots, 4, &[(&tenant, 2, u64::MAX)]);
    held.pop();
    assert!(taken(&slots, &tenant, Lane::Arrivals, 1).is_empty(), "two are still at work");
    allow(&slots, 4, &[(&tenant, 3, u64::MAX)]);
    assert_eq!(taken(&slots, &tenant, Lane::Arrivals, 9).len(), 1);
}

/// R13
#[test]
fn a_tenant_at_its_limit_is_passed_over_and_is_next_once_it_is_not() {
    let [busy, small] = ["busy", "small"].map(|name| name.parse::<TenantName>().unwrap());
    let slots = Slots::new(2, Keeping::Half);
    allow(&slots, 2, &[(&busy, 1, u64::MAX)]);
    let mut context = Context::from_waker(Waker::noop());
    let mut ask = |tenant| {
        let mut file = Box::pin(slots.take(tenant, Lane::Arrivals, 0));
        (file.as_mut().poll(&mut context), file)
    };
    let (first_of_busy, _) = ask(&busy);
    let (waits, mut second_of_busy) = ask(&busy);
    assert!(waits.is_pending(), "it has the one place that it may have");
    let (first_of_small, _) = ask(&small);
    assert!(first_of_small.is_ready(), "although the other asked before");
    let (waits, mut second_of_small) = ask(&small);
    assert!(waits.is_pending(), "both places are taken");
    drop(first_of_busy);
    let mut again = Context::from_waker(Waker::noop());
    assert!(second_of_small.as_mut().poll(&mut again).is_pending());
    assert!(second_of_busy.as_mut().poll(&mut again).is_ready(), "the small one was served last");
}
