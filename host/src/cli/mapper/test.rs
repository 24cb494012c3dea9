//! `gristmill mapper test`: a sample through a mapper, and what came out against what is expected.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::super::output::{Paint, count, printable};
use super::super::{Failed, Shared, UNWELL, output};
use super::trial::{Trial, failed};
use super::underline::underlined;
use crate::author::{Difference, Rehearsed, SampleIssue, difference};
use crate::mapper::{Fuel, Limits};
use crate::rejects::Gravity;
use crate::worker::Bytes;

/// Issues that are shown.
const SHOWN_ISSUES: usize = 20;
/// Lines that are shown of a comparison.
const SHOWN_DIFFERENCES: usize = 40;

/// Try a mapper on a sample, in the daemon's own host and under its limits.
///
/// Prints the records, and what is wrong with which rows, as lines of JSON that are the same every time. With --golden they
/// are compared with a file of such lines instead: exits 1 when they differ. The fuel that is shown counts the mapper's
/// instructions: the same component spends the same on the same sample everywhere, so --max-fuel can be part of a build.
#[derive(Debug, Args)]
pub struct Test {
    #[command(flatten)]
    trial: Trial,
    /// A file with the lines that are expected.
    #[arg(long, value_name = "FILE")]
    golden: Option<PathBuf>,
    /// Write that file anew.
    #[arg(long, requires = "golden")]
    update: bool,
    /// Exit 1 when the mapper spends more fuel than this.
    #[arg(long, value_name = "FUEL")]
    max_fuel: Option<u64>,
}

/// How the lines stand to the golden file.
enum Golden {
    /// There is none.
    None,
    Same,
    Written,
    /// What was expected.
    Differs(Vec<String>),
}

impl Test {
    pub fn run(self, shared: &Shared) -> Result<(), Failed> {
        super::log::show();
        let ready = self.trial.prepare(Fuel::Counted)?;
        let found = ready.rehearsal.rehearse(&ready.sample).map_err(|error| failed(&error))?;
        let golden = compare(self.golden.as_deref(), self.update, &found.lines)?;
        let differences = match &golden {
            Golden::Differs(expected) => difference(expected, &found.lines),
            Golden::None | Golden::Same | Golden::Written => Vec::new(),
        };
        if shared.json {
            output::print_json(&report(&found, &golden, &differences));
        } else {
            if matches!(golden, Golden::None) {
                found.lines.iter().for_each(output::print);
            }
            say(&found, &ready.limits);
            show(&differences);
        }
        let over = self.max_fuel.filter(|most| found.spent.fuel > *most);
        let not_expected = matches!(golden, Golden::None).then_some(found.fault).flatten();
        match (golden, over, not_expected) {
            (Golden::Differs(_), ..) => {
                let hint = "look at what differs, and take it over with --update if it is right";
                Err(Failed::new(UNWELL, "the records are not those of the golden file").hint(Some(hint.to_owned())))
            }
            (_, Some(most), _) => {
                Err(Failed::new(UNWELL, format!("the mapper spent {} of fuel, more than {most}", found.spent.fuel)))
            }
            (_, _, Some(fault)) => Err(Failed::new(UNWELL, format!("the mapper refuses the file: {fault}"))),
            _ => Ok(()),
        }
    }
}

fn compare(golden: Option<&Path>, update: bool, lines: &[String]) -> Result<Golden, Failed> {
    let Some(path) = golden else { return Ok(Golden::None) };
    let refused =
        |what: &str, error: std::io::Error| Failed::new(UNWELL, format!("cannot {what} `{}`: {error}", path.display()));
    let expected: Vec<String> = match std::fs::read_to_string(path) {
        Ok(text) => text.lines().map(str::to_owned).collect(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && update => Vec::new(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(refused("read", error).hint(Some("--update writes it".to_owned())));
        }
        Err(error) => return Err(refused("read", error)),
    };
    match (expected == lines, update) {
        (true, _) => Ok(Golden::Same),
        (false, false) => Ok(Golden::Differs(expected)),
        (false, true) => {
            let text: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
            std::fs::write(path, text).map_err(|error| refused("write", error))?;
            Ok(Golden::Written)
        }
    }
}

/// What a person wants to know beside the records, on standard error: the records may go into a file.
fn say(found: &Rehearsed, limits: &Limits) {
    say_rows(found);
    let memory = (found.spent.memory as u64).next_multiple_of(1 << 16);
    let row = found.spent.fuel.checked_div(found.rows.read).map(|fuel| format!(", {fuel} a row")).unwrap_or_default();
    eprintln!("fuel: {}{row}; memory: {} of {}", found.spent.fuel, Bytes(memory), Bytes(limits.memory as u64));
}

/// What is wrong with rows, and how many there are.
pub(super) fn say_rows(found: &Rehearsed) {
    let paint = Paint::of(&std::io::stderr());
    for issue in found.issues.iter().take(SHOWN_ISSUES) {
        eprintln!("{}", heading(issue, paint));
        let [row, underline] = underlined(&issue.cells, issue.cell);
        let margin = format!("line {}", issue.line);
        eprintln!("  {margin} | {row}\n  {} | {}", " ".repeat(margin.len()), paint.red(&underline));
    }
    if let Some(more) = found.issues.len().checked_sub(SHOWN_ISSUES).filter(|more| *more > 0) {
        eprintln!("and {more} more like these");
    }
    let rows = [
        count_of(found.rows.read, "row", "rows"),
        format!("{} rejected", found.rows.rejected),
        count_of(found.warnings, "warning", "warnings"),
        count(found.records.accounts, "account record", "account records"),
        count(found.records.usage, "usage value", "usage values"),
    ];
    eprintln!("{}", rows.join(", "));
}

fn count_of(number: u64, one: &str, many: &str) -> String {
    count(usize::try_from(number).unwrap_or(usize::MAX), one, many)
}

fn heading(issue: &SampleIssue, paint: Paint) -> String {
    let gravity = match issue.gravity {
        Gravity::Reject => paint.red("reject"),
        Gravity::Warning => paint.yellow("warning"),
    };
    let column = issue.column.as_ref().map(|(name, _)| format!(", column `{}`", printable(name))).unwrap_or_default();
    format!("{gravity} `{}`{column}: {}", issue.code, printable(&issue.message))
}

fn show(differences: &[Difference<'_>]) {
    let paint = Paint::of(&std::io::stdout());
    for difference in differences.iter().take(SHOWN_DIFFERENCES) {
        output::print(match difference {
            Difference::Missing(_, line) => paint.red(&format!("- {}", printable(line))),
            Difference::Unexpected(_, line) => paint.green(&format!("+ {}", printable(line))),
        });
    }
    if let Some(more) = differences.len().checked_sub(SHOWN_DIFFERENCES).filter(|more| *more > 0) {
        output::print(format!("and {more} more lines that differ"));
    }
}

fn report(found: &Rehearsed, golden: &Golden, differences: &[Difference<'_>]) -> Value {
    let lines = |wanted: fn(&Difference<'_>) -> Option<String>| -> Vec<String> {
        differences.iter().take(SHOWN_DIFFERENCES).filter_map(wanted).collect()
    };
    let missing = |difference: &Difference<'_>| match difference {
        Difference::Missing(_, line) => Some((*line).to_owned()),
        Difference::Unexpected(..) => None,
    };
    let unexpected = |difference: &Difference<'_>| match difference {
        Difference::Unexpected(_, line) => Some((*line).to_owned()),
        Difference::Missing(..) => None,
    };
    json!({
        "rows": found.rows,
        "warnings": found.warnings,
        "records": found.records,
        "fault": found.fault.as_ref().map(ToString::to_string),
        "fuel": found.spent.fuel,
        "memory": found.spent.memory,
        "golden": match golden {
            Golden::None => None,
            Golden::Same => Some("same"),
            Golden::Written => Some("written"),
            Golden::Differs(_) => Some("differs"),
        },
        "missing": lines(missing),
        "unexpected": lines(unexpected),
        "lines": if matches!(golden, Golden::None) { found.lines.as_slice() } else { &[] },
    })
}
