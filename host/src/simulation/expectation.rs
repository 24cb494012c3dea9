//! The file that does not come (R20), while days go by.

use super::*;
use crate::expectation::{Look, Overdue, Said, look, overdue};
use crate::ledger::Pause;

const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// An integration that expects a file within 26 hours, and has had its first pass over an empty bucket.
fn waiting() -> (Simulation, Process, Timestamp) {
    let mut simulation = Simulation::new("expect_file_within = \"26h\"", Slots::new(1, Keeping::Half));
    let process = simulation.start(usize::MAX).unwrap();
    assert_eq!(simulation.look(&process).said, Said::Nothing, "nothing is waited for before the first pass");
    simulation.pass(&process).unwrap();
    let began = simulation.world().now;
    (simulation, process, began)
}

impl Simulation {
    fn look(&self, process: &Process) -> Look {
        let Pipeline { ledger, settings, outbox, clock, .. } = process.pipeline.as_ref();
        self.runtime.block_on(look(ledger, settings, outbox, clock.as_ref())).unwrap()
    }

    fn let_pass(&self, time: SignedDuration) {
        self.world().now += time;
    }

    fn file(&mut self, process: &Process, number: usize) {
        self.put(&key(number), says(&key(number), number as u64, Rows::Good), false);
        assert_eq!(self.pass(process).unwrap().succeeded, 1);
    }

    fn overdue(&self, process: &Process) -> Option<Overdue> {
        let control = self.runtime.block_on(process.pipeline.ledger.control(&self.name())).unwrap();
        overdue(&control, &self.settings, self.world().now)
    }
}

/// R20
#[test]
fn a_silence_is_said_once_a_day_from_the_first_pass_on_until_a_file_comes() {
    let (mut simulation, process, began) = waiting();
    simulation.let_pass(HOUR * 26 - SignedDuration::from_secs(1));
    let found = simulation.look(&process);
    assert_eq!((found.said, found.again_in.as_secs()), (Said::Nothing, 1), "due in a second");
    assert_eq!(simulation.overdue(&process), None);

    simulation.let_pass(SignedDuration::from_secs(1));
    let silence = Overdue { since: began };
    let mut said = Vec::new();
    for hour in 26..=80 {
        if simulation.look(&process).said == Said::Overdue(silence) {
            said.push(hour);
        }
        assert_eq!(simulation.overdue(&process), Some(silence), "in the status at any hour");
        simulation.let_pass(HOUR);
    }
    assert_eq!(said, [26, 50, 74]);

    simulation.file(&process, 1);
    assert_eq!(simulation.look(&process).said, Said::Arrived);
    assert_eq!(simulation.look(&process).said, Said::Nothing);
    assert_eq!(simulation.overdue(&process), None);
    simulation.let_pass(HOUR * 27);
    let came = simulation.world().now - HOUR * 27;
    assert_eq!(simulation.look(&process).said, Said::Overdue(Overdue { since: came }));
}

/// R20
#[test]
fn a_restart_neither_forgets_a_silence_nor_says_it_again() {
    let (mut simulation, process, began) = waiting();
    simulation.let_pass(HOUR * 20);
    simulation.end(process, true);
    let process = simulation.start(usize::MAX).unwrap();
    simulation.pass(&process).unwrap();
    simulation.let_pass(HOUR * 6);
    assert_eq!(simulation.look(&process).said, Said::Overdue(Overdue { since: began }));
    simulation.end(process, true);
    let process = simulation.start(usize::MAX).unwrap();
    assert_eq!(simulation.look(&process).said, Said::Nothing);
    simulation.file(&process, 1);
    simulation.end(process, true);
    let process = simulation.start(usize::MAX).unwrap();
    assert_eq!(simulation.look(&process).said, Said::Arrived);
}

/// R20: what is old already is no new file.
#[test]
fn neither_a_failed_file_nor_an_old_one_taken_again_ends_a_silence() {
    let (mut simulation, process, _) = waiting();
    simulation.file(&process, 1);
    let came = simulation.world().now;
    simulation.let_pass(HOUR * 26);
    let every = Selector::Prefix(String::new());
    simulation.again(&process, every, Again::Listed).unwrap();
    assert_eq!(simulation.pass(&process).unwrap().succeeded, 1, "it is taken again");
    simulation.put(&key(2), Bytes::from_static(b"no such column\n1\n"), false);
    assert_eq!(simulation.pass(&process).unwrap().failed, 1);
    assert_eq!(simulation.look(&process).said, Said::Overdue(Overdue { since: came }));
}

/// R20: nothing can come while nobody looks.
#[test]
fn a_pause_by_hand_raises_no_alarm_and_the_wait_begins_anew_behind_it() {
    let (simulation, process, _) = waiting();
    let ledger = &process.pipeline.ledger;
    let since = simulation.world().now;
    let pause = Pause { reason: "paused by hand".into(), since };
    simulation
        .runtime
        .block_on(ledger.change_control(&simulation.name(), |control| control.paused = Some(pause)))
        .unwrap();
    simulation.let_pass(HOUR * 100);
    assert_eq!((simulation.look(&process).said, simulation.overdue(&process)), (Said::Nothing, None));
    let now = simulation.world().now;
    simulation.runtime.block_on(ledger.change_control(&simulation.name(), move |control| control.resume(now))).unwrap();
    assert_eq!(simulation.look(&process).said, Said::Nothing);
    simulation.let_pass(HOUR * 26);
    assert_eq!(simulation.look(&process).said, Said::Overdue(Overdue { since: now }));
}
