//! `gristmill mapper shadow`: what another component would make of the files that a mapper took last.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::ProgressBar;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::output::{Paint, count, printable, text};
use super::super::{BUG, Failed, Shared, UNWELL, ask, draws_progress, output, run};
use super::check::rounded;
use crate::control::{Attachment, LARGEST_ATTACHMENT, Request};
use crate::mapper::signature_beside;
use crate::object::{IntegrationName, MapperName};
use crate::shadow::{
    Change, Comparison, Found, ObjectReport, Place, RecordDifferences, RowDifference, Said, Several, SideReport, Told,
};

/// Show what another component would make of the files that a mapper took last, writing nothing.
///
/// Both the mapper of the configuration and the other component are run on the same bytes, with the same settings and
/// limits: by the daemon if one runs, in the place of one if none does. A file that is not in the bucket any more as it was
/// taken is skipped. Where the mapper asks for a signature, so does the component. Exits 0 when they make the same of every
/// file, 1 when they do not or nothing could be compared.
#[derive(Debug, Args)]
#[command(after_help = "\
Before a mapper of the configuration is exchanged:
  gristmill mapper shadow own target/new.wasm --last 20")]
pub struct Shadow {
    /// The mapper, as `[mappers.NAME]` names it.
    name: MapperName,
    /// The other component.
    component: PathBuf,
    /// How many files of each integration, the newest first.
    #[arg(long, value_name = "COUNT", default_value = "5", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    last: u32,
    /// Only this integration's; all that use the mapper if none.
    #[arg(long, value_name = "NAME")]
    integration: Option<IntegrationName>,
    /// The component's signature; the file beside it that ends in `.minisig` if none is named.
    #[arg(long, value_name = "FILE")]
    signature: Option<PathBuf>,
}

/// The largest signature file that is sent, in bytes.
const LONGEST_SIGNATURE: u64 = 16 << 10;

impl Shadow {
    pub fn run(self, shared: &Shared) -> Result<(), Failed> {
        let component = Attachment::new(read(&self.component, LARGEST_ATTACHMENT)?);
        let signature_path = self.signature.clone().unwrap_or_else(|| signature_beside(&self.component));
        let signature = match self.signature.is_some() || signature_path.exists() {
            true => Some(String::from_utf8_lossy(&read(&signature_path, LONGEST_SIGNATURE)?).into_owned()),
            false => None,
        };
        let last = usize::try_from(self.last).unwrap_or(usize::MAX);
        let (mapper, integration) = (self.name.clone(), self.integration);
        let request = Request::Shadow { mapper, integration, last, component, signature, signature_path };
        let mut show = Show::new(shared);
        let summary = ask(shared, request, |item| show.take(item))?;
        show.end(&summary, shared.json)?;
        match (summary.get("same") == Some(&Value::Bool(true)), files(&summary, "different")) {
            (true, _) => Ok(()),
            (false, 1..) => Err(Failed::new(UNWELL, "the new component does not make the same of every file")),
            (false, _) => Err(Failed::new(UNWELL, "it is not known whether the new component makes the same")),
        }
    }
}

/// A whole file of at most `limit` bytes.
fn read(path: &Path, limit: u64) -> Result<Vec<u8>, Failed> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes));
    let shown = path.display();
    read.map_err(|error| Failed::new(UNWELL, format!("cannot read `{shown}`: {error}")))?;
    match bytes.len() as u64 > limit {
        true => Err(Failed::new(UNWELL, format!("`{shown}` has more than {limit} bytes"))),
        false => Ok(bytes),
    }
}

fn files(summary: &Value, what: &str) -> u64 {
    summary.pointer(&format!("/files/{what}")).and_then(Value::as_u64).unwrap_or_default()
}

/// Shows what is told, as it comes or as one document.
struct Show {
    bar: Option<ProgressBar>,
    paint: Paint,
    /// Kept where the answer is one document.
    kept: Option<Vec<Told>>,
    is_understood: bool,
}

impl Show {
    fn new(shared: &Shared) -> Self {
        let bar = draws_progress(shared).then(|| run::spinner("shadow"));
        Self { bar, paint: Paint::of(&std::io::stdout()), kept: shared.json.then(Vec::new), is_understood: true }
    }

    fn take(&mut self, item: Value) {
        let Ok(told) = serde_json::from_value::<Told>(item) else {
            self.is_understood = false;
            return;
        };
        match (&mut self.kept, &self.bar, told) {
            (_, Some(bar), Told::Progress { integration, file, of, rows }) => {
                bar.set_message(format!("{integration}, file {file} of {of}"));
                bar.set_position(rows);
            }
            (_, None, Told::Progress { .. }) => {}
            (Some(kept), _, told) => kept.push(told),
            (None, Some(bar), told) => bar.suspend(|| say(&told, self.paint)),
            (None, None, told) => say(&told, self.paint),
        }
    }

    fn end(self, summary: &Value, as_json: bool) -> Result<(), Failed> {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
        if !self.is_understood {
            let hint = "the command line and the daemon may be of different versions";
            return Err(Failed::new(BUG, "an answer was not understood").hint(Some(hint.to_owned())));
        }
        if as_json {
            output::print_json(&document(summary, self.kept.unwrap_or_default())?);
            return Ok(());
        }
        let counts = ["same", "different", "skipped", "failed"].map(|what| files(summary, what));
        let [same, different, skipped, failed] = counts;
        let is_refused = summary.get("refused").and_then(Value::as_u64) != Some(0);
        output::print(match counts {
            [0, 0, 0, 0] if !is_refused => "no file of this mapper is completed".to_owned(),
            _ => format!("files: {same} the same, {different} different, {skipped} skipped, {failed} not looked at"),
        });
        output::print(format!("current: {}, new: {}", text(summary, "current"), text(summary, "new")));
        Ok(())
    }
}

/// Everything as one document.
fn document(summary: &Value, told: Vec<Told>) -> Result<Value, Failed> {
    let (mut objects, mut refused) = (Vec::new(), Vec::new());
    for told in told {
        match told {
            Told::Object(report) => {
                objects.push(serde_json::to_value(report).map_err(|error| Failed::of(BUG, &error))?);
            }
            Told::Refused { integration, message, hint } => {
                refused.push(json!({ "integration": integration, "message": message, "hint": hint }));
            }
            Told::Progress { .. } => {}
        }
    }
    let mut document = summary.clone();
    document["objects"] = objects.into();
    document["refused"] = refused.into();
    Ok(document)
}

fn say(told: &Told, paint: Paint) {
    match told {
        Told::Progress { .. } => {}
        Told::Refused { integration, message, hint } => {
            output::print(format!(
                "{}: {}: {}",
                paint.bold(integration.as_str()),
                paint.red("refused"),
                printable(message)
            ));
            hint.iter().for_each(|hint| output::print(format!("  hint: {}", printable(hint))));
        }
        Told::Object(report) => object(report, paint).iter().for_each(output::print),
    }
}

/// What was found of one object, in lines.
fn object(report: &ObjectReport, paint: Paint) -> Vec<String> {
    let ObjectReport { integration, key, completed, found, .. } = report;
    let whole: Timestamp = completed.round(jiff::Unit::Second).unwrap_or(*completed);
    let head = |verdict: &str| {
        format!("{} ({integration}, completed {whole}): {verdict}", paint.bold(&printable(key.as_str())))
    };
    match found {
        Found::Skipped { reason } => vec![head(&format!("{}, {reason}", paint.yellow("skipped")))],
        Found::Failed { message, hint } => {
            let hint = hint.iter().map(|hint| format!("  hint: {}", printable(hint)));
            std::iter::once(head(&format!("{}: {}", paint.red("not looked at"), printable(message))))
                .chain(hint)
                .collect()
        }
        Found::Compared(comparison) => {
            let verdict = if comparison.same { paint.green("the same") } else { paint.yellow("different") };
            let mut lines = vec![head(&verdict)];
            differences(comparison, paint, &mut lines);
            lines.push(took(&comparison.current, &comparison.new));
            lines
        }
    }
}

fn differences(found: &Comparison, paint: Paint, lines: &mut Vec<String>) {
    for (whose, side) in [("current", &found.current), ("new", &found.new)] {
        if let Some(failure) = &side.would_fail {
            lines.push(format!("  {whose}: the file {}: {}", paint.red("fails"), printable(failure)));
        }
    }
    for table in &found.tables {
        let which = table.sheet.as_ref().map(|sheet| format!(" of sheet `{}`", printable(sheet))).unwrap_or_default();
        lines.push(format!("  the layout{which} differs"));
        lines.extend(table.changes.iter().map(change));
    }
    records("account records", &found.accounts, paint, lines);
    records("usage values", &found.usage, paint, lines);
    let rows = &found.rows;
    said("rejected by the new component alone", &rows.rejected_by_new, lines);
    said("rejected by the current component alone", &rows.rejected_by_current, lines);
    said("rejected for other reasons", &rows.rejected_otherwise, lines);
    said("with other warnings", &rows.warned_otherwise, lines);
}

fn records(what: &str, found: &RecordDifferences, paint: Paint, lines: &mut Vec<String>) {
    let RecordDifferences { unchanged, added, removed, changed } = found;
    let [added_count, removed_count, changed_count] = [added.count, removed.count, changed.count];
    if [added_count, removed_count, changed_count] == [0; 3] {
        return;
    }
    lines.push(format!(
        "  {what}: {added_count} added, {removed_count} removed, {changed_count} changed, {unchanged} the same"
    ));
    for one in &changed.first {
        lines.push(paint.yellow(&format!("  ~ {}: {}", place(&one.at), printable(&one.record))));
        lines.extend(one.changes.iter().map(change));
    }
    more(changed, lines);
    for (sign, several) in [("-", removed), ("+", added)] {
        for one in &several.first {
            let line = format!("  {sign} {}: {}", place(&one.at), printable(&one.record));
            lines.push(if sign == "-" { paint.red(&line) } else { paint.green(&line) });
        }
        more(several, lines);
    }
}

fn said(what: &str, rows: &Several<RowDifference>, lines: &mut Vec<String>) {
    if rows.count == 0 {
        return;
    }
    let number = count(usize::try_from(rows.count).unwrap_or(usize::MAX), "row", "rows");
    lines.push(format!("  {number} {what}"));
    for row in &rows.first {
        let is_both = !row.current.is_empty() && !row.new.is_empty();
        for (whose, all) in [("current: ", &row.current), ("new: ", &row.new)] {
            let whose = if is_both { whose } else { "" };
            lines.extend(all.iter().map(|said| format!("    {}: {whose}{}", place(&row.at), issue(said))));
        }
    }
    more(rows, lines);
}

fn more<T>(several: &Several<T>, lines: &mut Vec<String>) {
    if let Some(more) = several.count.checked_sub(several.first.len() as u64).filter(|more| *more > 0) {
        lines.push(format!("    and {more} more like these"));
    }
}

fn issue(said: &Said) -> String {
    let Said { code, message, column, value, .. } = said;
    let column = column.as_ref().map(|column| format!(", column `{}`", printable(column))).unwrap_or_default();
    let value = value.as_ref().map(|value| format!(", value `{}`", printable(value))).unwrap_or_default();
    format!("`{code}`{column}{value}: {}", printable(message))
}

fn place(at: &Place) -> String {
    match &at.sheet {
        Some(sheet) => format!("row {} of sheet `{}`", at.line, printable(sheet)),
        None => format!("line {}", at.line),
    }
}

fn change(change: &Change) -> String {
    let told = |value: &Option<String>| value.as_deref().map_or_else(|| "nothing".to_owned(), printable);
    format!("      {}: {} → {}", printable(&change.field), told(&change.current), told(&change.new))
}

fn took(current: &SideReport, new: &SideReport) -> String {
    let [before, after] = [current, new]
        .map(|side| format!("{:.1} ms and {}", side.processor_seconds * 1e3, rounded(side.peak_memory as u64)));
    format!("  processor time and memory: {before} → {after}")
}
