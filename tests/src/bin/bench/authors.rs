//! The row API of the Rust SDK against the bare columns of the contract: one small mapper, written both ways.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use gristmill::author::{self, Language, Makes, Project, Rehearsal, Sample};
use gristmill::decode::DecodeOptions;
use gristmill::mapper::{Limits, MapperHost};
use gristmill::worker::Launcher;

use crate::bed::{self, Bed};
use crate::figures::{Aim, Times, say_rate, say_ratio};
use crate::{Result, Scale};

const ROWS: u64 = 1_000_000;
const ROUNDS: usize = 7;

/// Runs the part. Needs cargo, and the crates of the workspace.
pub fn run(scale: Scale) -> Result<()> {
    let rows = scale.of(ROWS);
    let bed = Bed::new()?;
    let path = bed.path("sample.csv");
    let plans = ["Enterprise", "Growth", "Starter"].iter().cycle();
    let lines = (0..rows).zip(plans).map(|(row, plan)| format!("0014K{row:08},{plan},{}\n", row * 7_919 % 100_000));
    fs::write(&path, std::iter::once("Account ID,Plan,Users\n".to_owned()).chain(lines).collect::<String>())?;
    let sample = Sample {
        path,
        key: None,
        modified: "2025-01-15T12:00:00Z".parse()?,
        timezone: "UTC".parse()?,
        decode: DecodeOptions::default(),
    };
    let launcher = Launcher::at(bed::gristmill()?);
    let host = MapperHost::start(bed.path("mappers"), launcher.clone())?;
    let ready = |name: &str| -> Result<Rehearsal> {
        let mapper = host.try_out(name, &component(&bed.path(name), name)?, Limits::default())?;
        Ok(Rehearsal::of(mapper, Arc::from("{}"), launcher.clone())?)
    };
    let (by_row, by_column) = (ready("rows")?, ready("columns")?);
    let (mut row_times, mut column_times) = (Times::default(), Times::default());
    for _ in 0..ROUNDS {
        for (rehearsal, times) in [(&by_row, &mut row_times), (&by_column, &mut column_times)] {
            let before = rehearsal.spent();
            rehearsal.run(&sample)?;
            times.push(rehearsal.spent().since(before).processor);
        }
    }
    say_rate("rows, with the SDK", rows, row_times.median(), "rows");
    say_rate("columns, without it", rows, column_times.median(), "rows");
    say_ratio("the SDK's speed of the columns'", row_times.faster_than(&column_times), Aim::AtLeast(0.5));
    Ok(())
}

/// Builds one of the mappers in `tests/bench/mappers`.
fn component(directory: &Path, name: &str) -> Result<Vec<u8>> {
    author::begin(directory, Language::Rust, &name.parse()?, Makes::Fields)?;
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/mappers").join(name);
    for file in ["Cargo.toml", "src/lib.rs"] {
        fs::copy(source.join(file), directory.join(file))?;
    }
    Ok(fs::read(author::build(&Project::open(directory)?)?)?)
}
