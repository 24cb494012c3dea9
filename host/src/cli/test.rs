//! `gristmill test`: a dry run of one file, writing nothing.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde_json::Value;

use super::output::{Paint, printable, text};
use super::{Failed, Shared, UNWELL, connection, load, output, runtime};
use crate::config::Config;
use crate::control::Request;
use crate::dry_run::{self, DryRunError};
use crate::object::IntegrationName;
use crate::oversight::Oversight;

/// Show what a file would become, writing nothing: how it is read, its first records, what would be created, updated,
/// left as it is and rejected.
#[derive(Debug, Args)]
pub struct Test {
    /// The integration whose mapping is tried.
    integration: IntegrationName,
    /// A file on this machine, or s3://BUCKET/KEY in the integration's bucket.
    sample: String,
}

impl Test {
    pub fn run(self, shared: &Shared) -> Result<(), Failed> {
        let report = match self.sample.strip_prefix("s3://") {
            Some(_) => {
                let target = connection::parse_target(&self.sample).map_err(|error| Failed::new(UNWELL, error))?;
                let request =
                    Request::Test { integration: self.integration, bucket: target.bucket, key: target.prefix };
                super::ask(shared, request, |_| {})?
            }
            None => local(shared, &self.integration, self.sample.into())?,
        };
        if shared.json {
            output::print_json(&report);
        } else {
            show(&report);
        }
        match text(&report, "would_fail") {
            "" => Ok(()),
            limit => Err(Failed::new(
                UNWELL,
                format!("the file would fail, for too many rows are rejected or match no account: {limit}"),
            )),
        }
    }
}

fn local(shared: &Shared, integration: &IntegrationName, path: PathBuf) -> Result<Value, Failed> {
    try_local(shared, load(&shared.config)?.config, integration, path)
}

/// A dry run of a file of this machine, by a configuration that may not be written yet.
pub(super) fn try_local(
    shared: &Shared,
    config: Config,
    integration: &IntegrationName,
    path: PathBuf,
) -> Result<Value, Failed> {
    let bar = super::draws_progress(shared).then(|| super::run::spinner("test"));
    let oversight = Oversight::default();
    let counted = oversight.clone();
    let report = runtime()?.block_on(async move {
        let trial = tokio::task::spawn_blocking({
            let integration = integration.clone();
            move || dry_run::Trial::of_local_files(&config, &integration)
        });
        let trial = Arc::new(trial.await.map_err(|_| DryRunError::Panicked)??);
        let mut running = std::pin::pin!(dry_run::local(&trial, path, &oversight));
        loop {
            tokio::select! {
                done = &mut running => return done,
                () = tokio::time::sleep(std::time::Duration::from_millis(100)) => {
                    if let Some(bar) = &bar {
                        bar.set_position(counted.progress.rows());
                    }
                }
            }
        }
    });
    let report = report.map_err(|error| Failed::of(UNWELL, &error).hint(error.hint()))?;
    serde_json::to_value(&report).map_err(|error| Failed::of(super::BUG, &error))
}

/// A dry run as a person reads it.
pub(super) fn show(report: &Value) {
    let paint = Paint::of(&std::io::stdout());
    let number = |value: Option<&Value>| value.and_then(Value::as_u64).unwrap_or_default();
    output::print(paint.bold(&printable(text(report, "sample"))));
    output::print(format!("  format: {}", text(report, "format")));
    for fact in output::facts(report.get("dialect").unwrap_or(&Value::Null)) {
        output::print(format!("  {fact}"));
    }
    for table in report.get("tables").and_then(Value::as_array).into_iter().flatten() {
        if !text(table, "sheet").is_empty() {
            output::print(format!("  sheet: {}", printable(text(table, "sheet"))));
        }
        for list in ["header", "fields", "unused_columns"] {
            let names: Vec<String> = table
                .get(list)
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .map(printable)
                .collect();
            if !names.is_empty() {
                output::print(format!("  {}: {}", list.replace('_', " "), names.join(", ")));
            }
        }
    }
    let rows = report.get("rows").unwrap_or(&Value::Null);
    output::print(format!("rows: {} read, {} rejected", number(rows.get("read")), number(rows.get("rejected"))));
    show_preview(report, &paint);
    for other in report.get("others").and_then(Value::as_array).into_iter().flatten() {
        show_preview(other, &paint);
    }
    let rejects = report.get("rejects").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if !rejects.is_empty() {
        output::print(paint.bold("first rejects"));
    }
    for reject in rejects {
        let column = text(reject, "column");
        let place = match column.is_empty() {
            true => format!("line {}", number(reject.get("line"))),
            false => format!("line {}, column `{}`", number(reject.get("line")), printable(column)),
        };
        output::print(format!("  {place}: {} ({})", printable(text(reject, "message")), text(reject, "code")));
    }
}

/// What one destination would do; it is named where there are several.
fn show_preview(report: &Value, paint: &Paint) {
    let number = |value: Option<&Value>| value.and_then(Value::as_u64).unwrap_or_default();
    let preview = report.get("preview").unwrap_or(&Value::Null);
    if !text(report, "destination").is_empty() {
        output::print(paint.bold(&format!("in {}", printable(text(report, "destination")))));
    }
    let merged = preview.get("merged").unwrap_or(&Value::Null);
    let counts = ["created", "updated", "unchanged", "unmatched", "ambiguous"]
        .map(|what| format!("{} {what}", number(merged.get(what))));
    output::print(format!("accounts: {}", counts.join(", ")));
    let unknown = number(merged.get("unknown_users"));
    if unknown > 0 {
        let first = merged.pointer("/unknown_user_examples/0").and_then(Value::as_str).unwrap_or_default();
        output::print(format!("values that tell of no user: {unknown}, the first is `{}`", printable(first)));
    }
    output::print(format!("usage records: {}", number(merged.get("usage_records"))));
    let list = |name: &str| preview.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if !list("accounts").is_empty() {
        output::print(paint.bold("first accounts"));
    }
    for account in list("accounts") {
        output::print(format!("  {}: {}", identifier(account), text(account, "change")));
        for (field, value) in account.get("fields").and_then(Value::as_object).into_iter().flatten() {
            output::print(format!("    {}: {}", printable(field), plain(value)));
        }
    }
    if !list("usage").is_empty() {
        output::print(paint.bold("first usage records"));
        let rows: Vec<Vec<String>> = list("usage").iter().map(usage).collect();
        let headings = ["account", "product", "metric", "period", "value", "change"];
        for line in output::table(&headings, &rows).lines() {
            output::print(format!("  {line}"));
        }
    }
}

/// By what a record names its account: one value, or several with their kinds.
fn identifier(record: &Value) -> String {
    let keys = record.get("identifier").and_then(Value::as_object);
    let keys: Vec<String> =
        keys.into_iter().flatten().map(|(kind, value)| format!("{} {}", printable(kind), plain(value))).collect();
    keys.join(", ")
}

fn usage(record: &Value) -> Vec<String> {
    let value = plain(record.get("value").unwrap_or(&Value::Null));
    let unit = text(record, "unit");
    vec![
        identifier(record),
        printable(text(record, "product")),
        printable(text(record, "metric")),
        text(record, "period_start").to_owned(),
        if unit.is_empty() { value } else { format!("{value} {}", printable(unit)) },
        text(record, "change").to_owned(),
    ]
}

/// A value without JSON's quotes, a whole number without its decimals.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => printable(text),
        Value::Number(number) if number.is_f64() => number.as_f64().unwrap_or_default().to_string(),
        other => other.to_string(),
    }
}
