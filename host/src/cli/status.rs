//! `gristmill status`: everything at a glance, the unhealthy first.

use clap::Args;
use indicatif::HumanBytes;
use jiff::Timestamp;
use serde_json::Value;

use super::output::{Paint, text};
use super::{Failed, Shared, UNWELL, output};
use crate::control::Request;

/// Show what each integration is doing, the unhealthy first; exits 1 when one is unhealthy.
#[derive(Debug, Args)]
pub struct Status {}

impl Status {
    pub fn run(self, shared: &Shared) -> Result<(), Failed> {
        let answer = super::ask(shared, Request::Status, |_| {})?;
        let integrations = answer.get("integrations").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let problems = answer.get("problems").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        if shared.json {
            output::print_json(&answer);
        } else {
            show(&answer, integrations, problems);
        }
        let unhealthy = integrations.iter().filter(|status| is_unhealthy(status)).count() + problems.len();
        match unhealthy {
            0 => Ok(()),
            1 => Err(Failed::new(UNWELL, "one integration, or part of the configuration, wants a look")),
            count => {
                Err(Failed::new(UNWELL, format!("{count} integrations, or parts of the configuration, want a look")))
            }
        }
    }
}

fn is_unhealthy(status: &Value) -> bool {
    matches!(text(status, "activity"), "disabled" | "halted" | "failing")
        || count(status, "quarantined") > 0
        || is_overdue(status)
}

fn is_overdue(status: &Value) -> bool {
    status.get("overdue").is_some_and(Value::is_object)
}

fn count(status: &Value, state: &str) -> u64 {
    status.get("objects").map(|objects| number(objects, state)).unwrap_or_default()
}

fn number(value: &Value, name: &str) -> u64 {
    value.get(name).and_then(Value::as_u64).unwrap_or_default()
}

fn show(answer: &Value, integrations: &[Value], problems: &[Value]) {
    let paint = Paint::of(&std::io::stdout());
    match answer.get("daemon") {
        Some(Value::Bool(true)) => output::print(format!("gristmill {} is running", text(answer, "version"))),
        _ => output::print("no daemon is running; this is what the state directory says"),
    }
    for problem in problems.iter().filter_map(Value::as_str) {
        output::print(format!("{} {}", paint.red("disabled"), output::printable(problem)));
    }
    let deferred = answer.get("at_the_next_start").and_then(Value::as_array).into_iter().flatten();
    for key in deferred.filter_map(Value::as_str) {
        output::print(format!("{} {key} takes effect at the next start", paint.yellow("changed")));
    }
    for status in integrations {
        let activity = text(status, "activity");
        let painted = match activity {
            "disabled" | "halted" | "failing" => paint.red(activity),
            _ if is_overdue(status) => paint.red("overdue"),
            "paused" => paint.yellow(activity),
            _ => paint.green(activity),
        };
        let counts = ["completed", "new", "delivered", "failed", "quarantined", "skipped"]
            .into_iter()
            .filter(|state| *state == "completed" || count(status, state) > 0)
            .map(|state| format!("{} {state}", count(status, state)))
            .collect::<Vec<_>>()
            .join(", ");
        output::print(format!("{painted} {}: {counts}", paint.bold(text(status, "integration"))));
        for (what, value) in [("why", "reason"), ("hint", "hint")] {
            if !text(status, value).is_empty() {
                output::print(format!("  {what}: {}", output::printable(text(status, value))));
            }
        }
        if let Some(backlog) = status.get("backlog").filter(|backlog| number(backlog, "objects") > 0) {
            let (objects, bytes) = (number(backlog, "objects"), HumanBytes(number(backlog, "bytes")));
            let files = if objects == 1 { "file" } else { "files" };
            let oldest =
                text(backlog, "oldest").parse::<Timestamp>().map(|oldest| format!(", the oldest of {oldest:.0}"));
            output::print(format!("  to do: {objects} {files}, {bytes}{}", oldest.unwrap_or_default()));
        }
        if let Some(missing) = status.get("missing") {
            let (key, failure) = (output::printable(text(missing, "key")), output::printable(text(missing, "failure")));
            output::print(format!("  not everywhere: `{key}`: {failure}"));
            let name = text(status, "integration");
            output::print(format!("  hint: gristmill ledger list {name} --state delivered"));
        }
        if count(status, "quarantined") > 0 {
            let name = text(status, "integration");
            output::print(format!("  hint: gristmill ledger list {name} --state quarantined"));
        }
        for (what, value) in [("last pass", "last_pass_at"), ("next pass", "next_pass_at")] {
            if let Ok(moment) = text(status, value).parse::<Timestamp>() {
                output::print(format!("  {what}: {moment:.0}"));
            }
        }
    }
    for tenant in answer.get("tenants").and_then(Value::as_array).into_iter().flatten() {
        if tenant.get("stands_back") == Some(&Value::Bool(true)) {
            let name = paint.bold(text(tenant, "tenant"));
            output::print(format!(
                "{} tenant {name}: its mappers take long, so its files stand back for others",
                paint.yellow("slow")
            ));
        }
    }
    show_mappers(answer, &paint);
    if let Some(disk) = answer.get("disk") {
        let [ledger, spool] = ["ledger", "spool"].map(|name| HumanBytes(number(disk, name)));
        output::print(format!("on disk: ledger {ledger}, spool {spool}"));
    }
}

/// The mappers that fail. Their figures, and those of the others, stand in the answer as JSON.
fn show_mappers(answer: &Value, paint: &Paint) {
    let list = |name: &str| answer.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for mapper in list("mappers") {
        let kept_back = list("kept_back").iter().filter(|kept_back| kept_back.get("sha256") == mapper.get("sha256"));
        let failures = mapper.get("failures").and_then(Value::as_object).filter(|failures| !failures.is_empty());
        let Some(failures) = failures else { continue };
        let failures: Vec<String> = failures.iter().map(|(code, times)| format!("{times} {code}")).collect();
        let name = output::printable(text(mapper, "mapper"));
        output::print(format!("{} mapper {name}: {}", paint.yellow("failed"), failures.join(", ")));
        if let Some(newest) = mapper.get("saved").map(|saved| text(saved, "newest")).filter(|path| !path.is_empty()) {
            output::print(format!("  saved: {}", output::printable(newest)));
        }
        for kept_back in kept_back {
            let until = text(kept_back, "until").parse::<Timestamp>().map(|until| format!("{until:.0}"));
            let (tenant, until) = (output::printable(text(kept_back, "tenant")), until.unwrap_or_default());
            output::print(format!("  kept from the files of tenant `{tenant}` until {until}"));
        }
    }
}
