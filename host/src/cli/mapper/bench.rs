//! `gristmill mapper bench`: how fast a mapper is on a sample.

use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;

use super::super::{BUG, Failed, Shared, output};
use super::check::rounded;
use super::trial::{Trial, failed};
use crate::mapper::Fuel;

/// Measure a mapper on a sample: rows a second, start, memory.
///
/// Fuel is not counted, so that the mapper is as fast as in the daemon. The sample is taken several times, in an instance of
/// its own each, and the run in the middle is shown; a sample of ten thousand rows or more says most.
#[derive(Debug, Args)]
pub struct Bench {
    #[command(flatten)]
    trial: Trial,
    /// How many times the sample is taken.
    #[arg(long, value_name = "COUNT", default_value = "5", value_parser = clap::value_parser!(u32).range(1..=1000))]
    repeat: u32,
}

/// One run.
#[derive(Debug, Clone, Copy)]
struct Run {
    rows: u64,
    /// From opening the file to its last record.
    wall: Duration,
    /// Processor time inside the mapper.
    processor: Duration,
}

impl Run {
    fn a_second(self, time: Duration) -> f64 {
        self.rows as f64 / time.as_secs_f64().max(1e-9)
    }
}

impl Bench {
    pub fn run(self, shared: &Shared) -> Result<(), Failed> {
        super::log::show();
        let ready = self.trial.prepare(Fuel::Uncounted)?;
        let examined = ready.host.examine(&ready.bytes, ready.limits).map_err(|error| Failed::of(BUG, &error))?;
        let mut runs = Vec::new();
        for _ in 0..self.repeat {
            let before = ready.rehearsal.spent();
            let begun = Instant::now();
            let rows = ready.rehearsal.run(&ready.sample).map_err(|error| failed(&error))?;
            let wall = begun.elapsed();
            runs.push(Run { rows: rows.read, wall, processor: ready.rehearsal.spent().since(before).processor });
        }
        runs.sort_by_key(|run| run.processor);
        let spread = runs.first().zip(runs.last()).map(|(first, last)| (first.processor, last.processor));
        let Some((middle, (fastest, slowest))) = runs.get(runs.len() / 2).copied().zip(spread) else {
            return Err(Failed::new(BUG, "nothing was measured"));
        };
        let memory = ready.rehearsal.spent().memory;
        let (mapper, whole) = (middle.a_second(middle.processor), middle.a_second(middle.wall));
        if shared.json {
            let seconds = [fastest, middle.processor, slowest].map(|time| time.as_secs_f64());
            output::print_json(&json!({
                "rows": middle.rows,
                "rows_a_second": mapper,
                "rows_a_second_whole": whole,
                "cpu_seconds": seconds,
                "compile_seconds": examined.compile.map(|cost| cost.processor.as_secs_f64()),
                "start_seconds": examined.start.map(|cost| cost.wall.as_secs_f64()),
                "memory": memory,
            }));
            return Ok(());
        }
        output::print(format!("rows: {}, {} times", middle.rows, self.repeat));
        output::print(format!("the mapper alone: {} rows a second of processor time", grouped(mapper)));
        output::print(format!("read and mapped: {} rows a second by the clock", grouped(whole)));
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        output::print(format!(
            "processor time of a run: {:.1} ms, between {:.1} and {:.1}",
            milliseconds(middle.processor),
            milliseconds(fastest),
            milliseconds(slowest)
        ));
        if let (Some(compile), Some(start)) = (examined.compile, examined.start) {
            let (compile, start) = (compile.processor.as_secs_f64(), milliseconds(start.wall));
            output::print(format!("compiling, once a component: {compile:.2} s; starting, once a file: {start:.2} ms"));
        }
        output::print(format!("memory: {}", rounded(memory as u64)));
        Ok(())
    }
}

/// A whole number with its thousands apart.
fn grouped(number: f64) -> String {
    indicatif::HumanCount(number as u64).to_string()
}
