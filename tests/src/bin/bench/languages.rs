//! One small mapper in every language that there is an SDK for: what its author and who runs it can expect.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use gristmill::author::{self, Language, Makes, Rehearsal, Sample};
use gristmill::decode::DecodeOptions;
use gristmill::mapper::{CompileCost, Limits, MapperHost, StartCost};
use gristmill::worker::Launcher;

use crate::bed::{self, Bed};
use crate::figures::Times;
use crate::peers::tools;
use crate::{Result, Scale};

/// A tenth of what `authors` takes: an interpreter inside a sandbox is not fast.
const ROWS: u64 = 100_000;
const ROUNDS: usize = 5;

/// A language's mapper, and what was measured of it.
struct Contender {
    language: Language,
    rehearsal: Rehearsal,
    times: Times,
    size: u64,
    compile: CompileCost,
    start: StartCost,
}

/// Runs the part: each language's template for account records, on the same file. Needs the languages' tools.
pub fn run(scale: Scale) -> Result<()> {
    let rows = scale.of(ROWS);
    let bed = Bed::new()?;
    let sample = sample(&bed, rows)?;
    let launcher = Launcher::at(bed::gristmill()?);
    let host = MapperHost::start(bed.path("mappers"), launcher.clone())?;
    // The templates in C and Rust are much of a size, those of the interpreters bring the interpreter.
    let limits = Limits { memory: 256 << 20, file_processor: Duration::from_secs(600), ..Limits::default() };
    let mut contenders = Vec::new();
    for language in Language::ALL {
        let bytes = fs::read(component(&bed, language)?)?;
        let examined = host.examine(&bytes, limits)?;
        let (Some(compile), Some(start)) = (examined.compile, examined.start) else {
            return Err(format!("{language}: {:?}", examined.problems).into());
        };
        let mapper = host.try_out(&language.to_string(), &bytes, limits)?;
        let rehearsal = Rehearsal::of(mapper, Arc::from("{}"), launcher.clone())?;
        let (times, size) = (Times::default(), bytes.len() as u64);
        contenders.push(Contender { language, rehearsal, times, size, compile, start });
    }
    for _ in 0..ROUNDS {
        for contender in &mut contenders {
            let before = contender.rehearsal.spent();
            contender.rehearsal.run(&sample)?;
            contender.times.push(contender.rehearsal.spent().since(before).processor);
        }
    }
    print(rows, &contenders);
    Ok(())
}

fn print(rows: u64, contenders: &[Contender]) {
    let Some(fastest) = contenders.first() else { return };
    println!(
        "  {:<12} {:>10} {:>8} {:>10} {:>11} {:>10} {:>11}",
        "language", "rows/s", "of Rust", "start", "compiling", "memory", "component"
    );
    for contender in contenders {
        println!(
            "  {:<12} {:>10.0} {:>7.3}× {:>7.2} ms {:>9.2} s {:>6} MiB {:>7} KiB",
            contender.language.to_string(),
            rows as f64 / contender.times.median(),
            contender.times.faster_than(&fastest.times),
            contender.start.wall.as_secs_f64() * 1e3,
            contender.compile.processor.as_secs_f64(),
            contender.rehearsal.spent().memory >> 20,
            contender.size >> 10
        );
    }
}

/// Account ids, plans and revenues, a few of which do not read.
fn sample(bed: &Bed, rows: u64) -> Result<Sample> {
    let path = bed.path("sample.csv");
    let plans = ["Enterprise", "Growth", "Starter"].iter().cycle();
    let lines = (0..rows).zip(plans).map(|(row, plan)| {
        let revenue = if row % 1_000 == 999 { "about 900".to_owned() } else { format!("{}.50", row * 7_919 % 100_000) };
        format!("0014K{row:08},{plan},{revenue},2024-10-{:02},{}\n", 1 + row % 28, row % 97)
    });
    let header = "Account ID,Plan,ARR,Day,Logins\n".to_owned();
    fs::write(&path, std::iter::once(header).chain(lines).collect::<String>())?;
    let (modified, timezone) = ("2025-01-15T12:00:00Z".parse()?, "UTC".parse()?);
    Ok(Sample { path, key: None, modified, timezone, decode: DecodeOptions::default() })
}

/// Begins and builds a project as its author would, with the languages' tools on the path.
fn component(bed: &Bed, language: Language) -> Result<PathBuf> {
    let name = language.to_string().to_lowercase();
    let directory = bed.path(&name);
    author::begin(&directory, language, &name.parse()?, Makes::Fields)?;
    let tools = tools()?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = ["guests/bin", "guests-javascript/node_modules/.bin"].map(|place| tools.join(place));
    let path: OsString = std::env::join_paths(installed.into_iter().chain(std::env::split_paths(&path)))?;
    let mut build = Command::new(bed::gristmill()?);
    build.args(["mapper", "build"]).current_dir(&directory).env("PATH", path).stdout(Stdio::null());
    match build.status()? {
        status if status.success() => Ok(directory.join(format!("{name}.wasm"))),
        status => Err(format!("the mapper in {language} was not built: {status}").into()),
    }
}
