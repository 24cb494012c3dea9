//! Single passes in the simulated world, each about one rule.

use super::*;

fn simulation(more: &str, slots: Slots) -> Simulation {
    let mut simulation = Simulation::new(more, slots);
    let process = simulation.start(usize::MAX).unwrap();
    // The first listing of an empty bucket: whatever comes later has arrived.
    simulation.pass(&process).unwrap();
    simulation.end(process, false);
    simulation.world().now += SignedDuration::from_secs(1);
    simulation
}

fn put(simulation: &mut Simulation, number: usize) {
    let key = key(number);
    simulation.put(&key, says(&key, 1, Rows::Good), false);
}

/// Files that are there before the first listing.
fn put_old(simulation: &mut Simulation, count: usize) {
    (0..count).for_each(|number| put(simulation, number));
    simulation.world().now += SignedDuration::from_secs(1);
}

/// Not even a listing that breaks off loses what was begun before.
#[test]
fn a_pass_finishes_and_records_what_it_has_begun_when_its_listing_breaks_off() {
    let mut simulation = simulation("", Slots::new(1, Keeping::Half));
    (0..5).for_each(|number| put(&mut simulation, number));
    let process = simulation.start(usize::MAX).unwrap();
    simulation.world().faults.push((Step::List, 1, Fault::Source(FailureKind::Denied)));
    assert!(matches!(simulation.pass(&process), Err(PassError::List(_))));
    for number in 0..3 {
        let entries = simulation.entries(&process, &key(number)).unwrap();
        assert_eq!(entries[0].state, Some(State::Completed), "it stood on the first page");
    }
    assert_eq!(simulation.pass(&process).unwrap().succeeded, 2, "the others, in the next pass");
}

/// R16
#[test]
fn new_arrivals_are_taken_before_a_backfill_whatever_their_keys() {
    for old in [2, 6] {
        let mut simulation = Simulation::new("", Slots::new(1, Keeping::Half));
        put_old(&mut simulation, old);
        simulation.world().faults.push((Step::Fetch, 0, Fault::Source(FailureKind::Skewed)));
        let process = simulation.start(usize::MAX).unwrap();
        assert!(matches!(simulation.pass(&process), Err(PassError::GivenUp(_))), "the backfill is decided, not done");
        simulation.world().now += SignedDuration::from_secs(1);
        put(&mut simulation, 9);
        simulation.world().fetched.clear();
        let report = simulation.pass(&process).unwrap();
        let fetched = simulation.world().fetched.clone();
        assert_eq!(fetched[0], key(9), "{fetched:?}");
        assert_eq!((report.succeeded, report.unfinished), (fetched.len() as u64, false), "each once: {fetched:?}");
        assert_eq!(simulation.pass(&process).unwrap().known, old as u64 + 1, "all are taken");
    }
}

/// R16
#[test]
fn a_backfill_lets_new_arrivals_be_listed_in_between() {
    for old in [4, 6] {
        let mut simulation = Simulation::new("poll_interval = \"1s\"", Slots::new(1, Keeping::Half));
        put_old(&mut simulation, old);
        simulation.world().fetch_takes = SignedDuration::from_secs(35);
        let process = simulation.start(usize::MAX).unwrap();
        let first = simulation.pass(&process).unwrap();
        assert_eq!((first.succeeded, first.unfinished), (3, true), "as long as its turn lasts: {first:?}");
        put(&mut simulation, 9);
        let second = simulation.pass(&process).unwrap();
        let fetched = simulation.world().fetched.clone();
        assert_eq!(fetched[3], key(9), "{fetched:?}");
        assert_eq!((second.succeeded, second.unfinished), (1 + (old as u64 - 3), false), "{second:?}");
    }
    // Where nothing can arrive, it goes through.
    let mut simulation = Simulation::new("poll_interval = \"1s\"", Slots::new(1, Keeping::Nothing));
    put_old(&mut simulation, 6);
    simulation.world().fetch_takes = SignedDuration::from_secs(35);
    let process = simulation.start(usize::MAX).unwrap();
    assert_eq!(simulation.pass(&process).unwrap().succeeded, 6);
}

/// R18
#[test]
fn a_key_is_forgotten_when_it_was_gone_for_long_and_not_before() {
    let mut simulation = simulation("forget_after_days = 30", Slots::new(1, Keeping::Nothing));
    (0..7).for_each(|number| put(&mut simulation, number));
    let process = simulation.start(usize::MAX).unwrap();
    assert_eq!(simulation.pass(&process).unwrap().succeeded, 7);
    let gone = [1, 4, 6];
    let stored = gone.map(|number| simulation.world().bucket.remove(&key(number)).unwrap());
    let pass_after = |simulation: &mut Simulation, days: i64| {
        simulation.world().now += SignedDuration::from_hours(24 * days);
        simulation.pass(&process).unwrap();
        let known = (0..7).filter(|number| !simulation.entries(&process, &key(*number)).unwrap().is_empty());
        known.collect::<Vec<_>>()
    };
    assert_eq!(pass_after(&mut simulation, 1), [0, 1, 2, 3, 4, 5, 6], "they are missed from today on");
    // One of them comes back for a while, and counts anew.
    simulation.world().bucket.insert(key(4), stored[1].clone());
    assert_eq!(pass_after(&mut simulation, 20), [0, 1, 2, 3, 4, 5, 6]);
    simulation.world().bucket.remove(&key(4));
    assert_eq!(pass_after(&mut simulation, 9), [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(pass_after(&mut simulation, 1), [0, 2, 3, 4, 5]);
    assert_eq!(pass_after(&mut simulation, 29), [0, 2, 3, 5]);

    // The store still knows what it was given: the same file is taken once.
    simulation.world().bucket.insert(key(6), stored[2].clone());
    let merges = simulation.world().stores[0].merges.len();
    assert_eq!(pass_after(&mut simulation, 0), [0, 2, 3, 5, 6]);
    assert_eq!(simulation.world().stores[0].merges.len(), merges);
}

/// R18
#[test]
fn nothing_is_forgotten_by_a_listing_that_is_empty_broken_off_or_out_of_order() {
    let mut simulation = simulation("forget_after_days = 1", Slots::new(1, Keeping::Nothing));
    (0..7).for_each(|number| put(&mut simulation, number));
    let process = simulation.start(usize::MAX).unwrap();
    assert_eq!(simulation.pass(&process).unwrap().succeeded, 7);
    let bucket = simulation.world().bucket.clone();
    for what in ["empty", "broken off", "out of order"] {
        simulation.world().lists_backwards = what == "out of order";
        simulation.world().bucket = bucket.clone();
        match what {
            "empty" => simulation.world().bucket.clear(),
            _ => drop(simulation.world().bucket.remove(&key(1))),
        }
        for _ in 0..3 {
            simulation.world().now += SignedDuration::from_hours(48);
            if what == "broken off" {
                simulation.world().faults.push((Step::List, 1, Fault::Source(FailureKind::Denied)));
            }
            assert_eq!(simulation.pass(&process).is_ok(), what != "broken off");
        }
        let knows = |number| !simulation.entries(&process, &key(number)).unwrap().is_empty();
        assert!((0..7).all(knows), "{what}");
    }
}

#[test]
fn where_keys_only_grow_a_listing_begins_behind_what_is_done_with() {
    let mut simulation = simulation("listing = \"append_only\"", Slots::new(1, Keeping::Nothing));
    (0..7).for_each(|number| put(&mut simulation, number));
    let process = simulation.start(usize::MAX).unwrap();
    let pass = |simulation: &mut Simulation| {
        simulation.world().listed = 0;
        let report = simulation.pass(&process).unwrap();
        (report.succeeded, simulation.world().listed)
    };
    assert_eq!(pass(&mut simulation), (7, 7), "a process begins with a whole one");
    assert_eq!(pass(&mut simulation), (0, 0));
    put(&mut simulation, 8);
    assert_eq!(pass(&mut simulation), (1, 1));

    // What failed is listed until it is done with, and what came behind it with it.
    simulation.world().faults.push((Step::Fetch, 0, Fault::Source(FailureKind::Denied)));
    put(&mut simulation, 9);
    assert_eq!(pass(&mut simulation), (0, 1));
    assert_eq!(pass(&mut simulation), (0, 1), "it waits");
    simulation.world().now += SignedDuration::from_hours(2);
    assert_eq!(pass(&mut simulation), (1, 1));
    assert_eq!(pass(&mut simulation), (0, 0));

    // What came out of order is found a day later, or when somebody asks.
    put(&mut simulation, 7);
    assert_eq!(pass(&mut simulation), (0, 0));
    simulation.world().now += SignedDuration::from_hours(22);
    assert_eq!(pass(&mut simulation), (1, 10));
    assert_eq!(pass(&mut simulation), (0, 0));
    process.pipeline.mark.clear();
    assert_eq!(pass(&mut simulation), (0, 10));
    // What is asked for while a listing is under way is found by the next.
    let start = process.pipeline.mark.start(simulation.world().now);
    process.pipeline.mark.clear();
    process.pipeline.mark.reach(start, key(9));
    assert_eq!(pass(&mut simulation), (0, 10));
    assert_eq!(pass(&mut simulation), (0, 0));

    // A server that lists in another order is listed as a whole.
    process.pipeline.mark.clear();
    simulation.world().lists_backwards = true;
    assert_eq!([pass(&mut simulation), pass(&mut simulation)], [(0, 10); 2]);
}

#[test]
fn a_backfill_gets_on_also_when_the_listing_always_breaks_off() {
    let mut simulation = Simulation::new("", Slots::new(1, Keeping::Half));
    put_old(&mut simulation, 1);
    let process = simulation.start(usize::MAX).unwrap();
    simulation.world().faults.push((Step::Fetch, 0, Fault::Source(FailureKind::Skewed)));
    assert!(simulation.pass(&process).is_err());
    (1..5).for_each(|number| put(&mut simulation, number));
    simulation.world().faults.push((Step::List, 1, Fault::Source(FailureKind::Denied)));
    assert!(matches!(simulation.pass(&process), Err(PassError::List(_))));
    assert_eq!(simulation.entries(&process, &key(0)).unwrap()[0].state, Some(State::Completed));
}

/// R2
#[test]
fn a_key_that_a_server_names_more_than_once_is_taken_once() {
    for slots in [1, 4] {
        for is_backfill in [false, true] {
            let mut simulation = match is_backfill {
                true => Simulation::new("", Slots::new(slots, Keeping::Nothing)),
                false => simulation("", Slots::new(slots, Keeping::Nothing)),
            };
            put_old(&mut simulation, 7);
            simulation.world().lists_twice = true;
            let process = simulation.start(usize::MAX).unwrap();
            let report = simulation.pass(&process).unwrap();
            let mut fetched = simulation.world().fetched.clone();
            fetched.sort();
            assert_eq!(fetched, (0..7).map(key).collect::<Vec<_>>(), "{slots} {is_backfill}");
            assert_eq!((report.succeeded, report.skipped, report.failed), (7, 0, 0), "{slots} {is_backfill}");
            assert_eq!(simulation.pass(&process).unwrap().known, simulation.pass(&process).unwrap().listed);
        }
    }
}

#[test]
fn a_listing_that_goes_round_in_a_circle_ends_as_an_error() {
    let mut simulation = simulation("", Slots::new(1, Keeping::Nothing));
    (0..7).for_each(|number| put(&mut simulation, number));
    simulation.world().lists_round = true;
    let process = simulation.start(usize::MAX).unwrap();
    let Err(PassError::List(error)) = simulation.pass(&process) else { panic!("it ended well") };
    assert!(error.to_string().contains("goes round in a circle"), "{error}");
    assert_eq!(error.class(), crate::retry::ErrorClass::Connection);
    simulation.world().lists_round = false;
    assert_eq!(simulation.pass(&process).unwrap().known, 7, "what it showed was taken");
}

/// A listing that breaks off has been paid for like any other, and a backfill goes on while the next one must wait.
#[test]
fn every_request_to_list_is_counted_and_a_backfill_does_not_wait_for_the_next() {
    let mut simulation = Simulation::new("list_budget = 720", Slots::new(1, Keeping::Half));
    put_old(&mut simulation, 7);
    simulation.world().fetch_takes = SignedDuration::from_hours(3);
    let process = simulation.start(usize::MAX).unwrap();
    let owes = || process.pipeline.list_budget.wait(simulation.world().now).as_secs().div_ceil(3_600);
    let report = simulation.pass(&process).unwrap();
    assert!(report.unfinished && report.succeeded > 1, "{report:?}");
    assert_eq!(owes(), 0, "its turn lasted as long as the budget has it wait");
    simulation.world().fetch_takes = SignedDuration::ZERO;
    simulation.world().faults.push((Step::List, 1, Fault::Source(FailureKind::Denied)));
    assert!(simulation.pass(&process).is_err());
    assert_ne!(owes(), 0);
}
