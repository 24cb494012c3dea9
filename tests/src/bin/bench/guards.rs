//! What each guard around a mapper costs: the map stage of the CSV job, from batches in memory, with every guard on as in
//! production, and with one left out, in turns.
//!
//! The checks of what a mapper returns cannot be left out, so they are done a second time, and cost what that adds. No
//! line is written to the log, whose cap costs nothing then; nor do the guards cost anything that nothing can be done
//! without: pages that nobody may touch instead of checks of bounds, and a store for each file.

use std::sync::Arc;
use std::time::Duration;

use arrow_array::Array;
use gristmill::batch::AccountBatch;
use gristmill::mapper::{Guard, Guards, Mapper, MapperHost};
use gristmill::worker::Launcher;
use rustix::time::{ClockId, clock_gettime};

use crate::bed::{self, Bed};
use crate::csv::{Bench, Held, REPEATS, ROWS_IN_MEMORY};
use crate::figures::{Aim, Times, say, say_rate, say_ratio};
use crate::{Result, Scale};

const ROUNDS: usize = 9;

/// What is left out, one after the other.
const EACH: [(&str, &[Guard]); 4] = [
    ("deadlines", &[Guard::Deadlines]),
    ("limits on growth", &[Guard::Growth]),
    ("limit on output", &[Guard::Output]),
    ("these three", &[Guard::Deadlines, Guard::Growth, Guard::Output]),
];

/// Whether what comes back is checked once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Checks {
    Once,
    Twice,
}

/// Runs the part.
pub fn run(scale: Scale) -> Result<()> {
    let bed = Bed::new()?;
    let bench = Bench::new(&bed, scale.of(ROWS_IN_MEMORY))?;
    let guarded = Guarded::new(&bed, "all", Guards::ALL)?;
    let (_, layout) = bench.instance_of(&guarded.mapper)?;
    let held = bench.held(&layout.wanted, scale.of(ROWS_IN_MEMORY))?;
    let map = |guarded: &Guarded, checks| mapped(&bench, guarded, &held, checks);

    let mut all_off = None;
    for (name, left_out) in EACH {
        let without = left_out.iter().fold(Guards::ALL, |guards, guard| guards.without(*guard));
        let without = Guarded::new(&bed, name, without)?;
        let (mut on, mut off) = (Times::default(), Times::default());
        in_turns(&mut on, || map(&guarded, Checks::Once), &mut off, || map(&without, Checks::Once))?;
        say_ratio(&format!("map alone, without {name}"), off.faster_than(&on), Aim::None);
        all_off = Some((on, off));
    }
    let (mut once, mut twice) = (Times::default(), Times::default());
    in_turns(&mut once, || map(&guarded, Checks::Once), &mut twice, || map(&guarded, Checks::Twice))?;
    let checks = once.faster_than(&twice) - 1.0;
    say_ratio("map alone, without checks of what comes back", 1.0 / (1.0 - checks), Aim::None);

    let (on, off) = all_off.ok_or("nothing was left out")?;
    say_rate("map alone, with every guard", held.rows * REPEATS, on.median(), "rows");
    // Shares of the time with every guard: what the three add, and what the checks add.
    let share = 1.0 - 1.0 / off.faster_than(&on) + checks;
    say("guards, share of the time", &format!("{:8.1} %", share * 100.0));
    say_ratio("map alone, with every guard to without any", 1.0 - share, Aim::AtLeast(0.75));
    Ok(())
}

/// The built-in mapper, compiled with these guards.
struct Guarded {
    mapper: Arc<Mapper>,
    _host: MapperHost,
}

impl Guarded {
    fn new(bed: &Bed, name: &str, guards: Guards) -> Result<Self> {
        let cache = bed.path(&format!("cache of {name}"));
        let host = MapperHost::start_for_measurement(guards, cache, Launcher::at(bed::gristmill()?))?;
        Ok(Self { mapper: host.built_in()?, _host: host })
    }
}

/// Measures two things round by round, each of them first in every other round.
fn in_turns(
    one: &mut Times,
    mut measure_one: impl FnMut() -> Result<Duration>,
    other: &mut Times,
    mut measure_other: impl FnMut() -> Result<Duration>,
) -> Result<()> {
    for round in 0..ROUNDS {
        if round % 2 == 0 {
            one.push(measure_one()?);
            other.push(measure_other()?);
        } else {
            other.push(measure_other()?);
            one.push(measure_one()?);
        }
    }
    Ok(())
}

/// How much processor time it takes to map everything: all of it is this thread's but for the clock's hundred ticks a
/// second, and what else the machine does counts less than by the clock.
fn mapped(bench: &Bench<'_>, guarded: &Guarded, held: &Held, checks: Checks) -> Result<Duration> {
    let (mut instance, _) = bench.instance_of(&guarded.mapper)?;
    let before = processor_time()?;
    for _ in 0..REPEATS {
        bench.reopen(&mut instance, &held.header)?;
        for batch in &held.batches {
            let records = instance.map_batch(batch)?;
            if checks == Checks::Twice {
                check(&records, batch.first_row, batch.rows())?;
            }
            std::hint::black_box(records);
        }
    }
    Ok(processor_time()? - before)
}

/// The processor time of this thread.
fn processor_time() -> Result<Duration> {
    Ok(clock_gettime(ClockId::ThreadCPUTime).try_into()?)
}

/// What the host checks, once more: that rows exist, and all that Arrow knows to check of an array.
fn check(records: &AccountBatch, first_row: u32, rows: usize) -> Result<()> {
    if records.rows.iter().any(|row| row.checked_sub(first_row).is_none_or(|row| row as usize >= rows)) {
        return Err("a record of a row that there is not".into());
    }
    for column in &records.identifiers {
        column.to_data().validate_full()?;
    }
    for field in &records.fields {
        field.values.to_data().validate_full()?;
    }
    Ok(())
}
