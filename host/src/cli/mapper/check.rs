//! `gristmill mapper check`: everything that can be known of a component without a file to map.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::super::output::{Paint, count, printable};
use super::super::{BUG, Failed, Shared, UNWELL, output};
use super::{Limit, host, read};
use crate::mapper::{Examination, Exports, Fuel, Limits, MapperError};
use crate::worker::Bytes;

/// Examine a component: its world, its imports, the contract's version, its size, what it takes to compile and start it.
///
/// Everything that is wrong is said at once. Exits 0 when nothing is.
#[derive(Debug, Args)]
pub struct Check {
    /// The component.
    component: PathBuf,
    #[command(flatten)]
    limit: Limit,
}

impl Check {
    pub fn run(self, shared: &Shared) -> Result<(), Failed> {
        let bytes = read(&self.component)?;
        let limits = self.limit.limits();
        let (host, _scratch) = host(Fuel::Uncounted)?;
        let found = host.examine(&bytes, limits).map_err(|error| Failed::of(BUG, &error))?;
        if shared.json {
            output::print_json(&report(&found, bytes.len(), &limits));
        } else {
            say(&found, bytes.len(), &limits);
        }
        if found.problems.is_empty() {
            return Ok(());
        }
        let problems = count(found.problems.len(), "problem", "problems");
        let failed =
            Failed::new(UNWELL, format!("`{}` has {problems}", printable(&self.component.display().to_string())));
        Err(failed.hint(found.problems.iter().find_map(hint)))
    }
}

/// What a person can do about it.
fn hint(problem: &MapperError) -> Option<String> {
    let hint = match problem {
        MapperError::NotAComponent { .. } => "gristmill mapper build makes a component of a project",
        MapperError::ForbiddenImport { .. } => {
            "a mapper gets `log` and, where its toolchain needs one, an empty WASI 0.2: what it imports beyond that has to go"
        }
        MapperError::UnknownVersion { .. } => "build it with the contract that `gristmill mapper new` writes",
        MapperError::Memory { .. } => "--memory allows it more, as `limits` of its `[mappers.NAME]` does",
        _ => return None,
    };
    Some(hint.to_owned())
}

fn makes(exports: Exports) -> Vec<&'static str> {
    let of = [(exports.field_mapping, "account records"), (exports.product_usage, "usage records")];
    of.into_iter().filter_map(|(makes, what)| makes.then_some(what)).collect()
}

fn say(found: &Examination, size: usize, limits: &Limits) {
    let paint = Paint::of(&std::io::stdout());
    output::print(format!("sha256: {}", found.digest));
    output::print(format!("contract: {}", found.version.as_deref().unwrap_or("none")));
    output::print(format!(
        "makes: {}",
        if found.exports == Exports::default() { "nothing".to_owned() } else { makes(found.exports).join(", ") }
    ));
    output::print(format!(
        "imports: {}",
        if found.imports.is_empty() { "nothing".to_owned() } else { found.imports.join(", ") }
    ));
    output::print(format!("size: {} of {}", rounded(size as u64), Bytes(limits.component)));
    if let Some(cost) = found.compile {
        output::print(format!(
            "compiling: {:.2} s of {} s of processor time, {:.2} s of {} s by the clock, {} of {}",
            cost.processor.as_secs_f64(),
            limits.compile.processor.as_secs_f64(),
            cost.wall.as_secs_f64(),
            limits.compile.wall.as_secs_f64(),
            rounded(cost.memory),
            Bytes(limits.compile.memory),
        ));
    }
    if let Some(cost) = found.start {
        let (time, memory) = (cost.wall.as_secs_f64() * 1e3, rounded(cost.memory as u64));
        output::print(format!("starting: {time:.2} ms, {memory} of {} of memory", Bytes(limits.memory as u64)));
    }
    for problem in &found.problems {
        output::print(format!("{}: {problem}", paint.red("problem")));
    }
    if found.problems.is_empty() {
        output::print(paint.green("sound"));
    }
}

/// Bytes as a person reads them.
pub(super) fn rounded(bytes: u64) -> String {
    match bytes {
        0..10_240 => format!("{bytes} bytes"),
        10_240..10_485_760 => format!("{} KiB", bytes / 1024),
        _ => format!("{} MiB", bytes / (1 << 20)),
    }
}

fn report(found: &Examination, size: usize, limits: &Limits) -> Value {
    json!({
        "sha256": found.digest,
        "contract": found.version,
        "makes": { "accounts": found.exports.field_mapping, "usage": found.exports.product_usage },
        "imports": found.imports,
        "size": { "bytes": size, "limit": limits.component },
        "compile": found.compile.map(|cost| json!({
            "cpu_seconds": cost.processor.as_secs_f64(),
            "cpu_limit": limits.compile.processor.as_secs_f64(),
            "seconds": cost.wall.as_secs_f64(),
            "limit": limits.compile.wall.as_secs_f64(),
            "memory": cost.memory,
            "memory_limit": limits.compile.memory,
        })),
        "start": found.start.map(|cost| json!({
            "seconds": cost.wall.as_secs_f64(),
            "memory": cost.memory,
            "memory_limit": limits.memory,
        })),
        "problems": found.problems.iter()
            .map(|problem| json!({ "code": problem.code(), "message": problem.to_string() }))
            .collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_rounded_down_to_what_a_person_reads() {
        assert_eq!([0, 9_999, 81_920, 20 << 20].map(rounded), ["0 bytes", "9999 bytes", "80 KiB", "20 MiB"]);
    }
}
