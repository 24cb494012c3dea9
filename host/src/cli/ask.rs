//! Commands that are one request: poll, pause, resume, explain, backfill.

use clap::{Args, ValueEnum};
use jiff::civil::Date;
use serde_json::Value;

use super::{Failed, Shared, output};
use crate::control::{BackfillChoice, Request};
use crate::object::{IntegrationName, ObjectKey};

/// Begin a pass of an integration now.
#[derive(Debug, Args)]
pub struct Poll {
    /// The integration.
    integration: IntegrationName,
}

/// Begin no more passes of an integration. Lasts over restarts.
#[derive(Debug, Args)]
pub struct Pause {
    /// The integration.
    integration: IntegrationName,
}

/// Begin passes of an integration again.
#[derive(Debug, Args)]
pub struct Resume {
    /// The integration.
    integration: IntegrationName,
}

/// Say why a file was, was not, or will be taken.
#[derive(Debug, Args)]
pub struct Explain {
    /// The integration.
    integration: IntegrationName,
    /// The key, as it stands in the bucket.
    key: ObjectKey,
}

/// Say which objects the first pass over a big bucket takes.
#[derive(Debug, Args)]
pub struct Backfill {
    /// The integration.
    integration: IntegrationName,
    /// `all`, `none`, or a date such as 2026-01-31: objects last modified then or later, in the integration's time zone.
    #[arg(value_parser = parse_choice)]
    choice: BackfillChoice,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Word {
    All,
    None,
}

fn parse_choice(text: &str) -> Result<BackfillChoice, String> {
    match Word::from_str(text, false) {
        Ok(Word::All) => Ok(BackfillChoice::All),
        Ok(Word::None) => Ok(BackfillChoice::None),
        Err(_) => text
            .parse::<Date>()
            .map(BackfillChoice::Since)
            .map_err(|_| "expected `all`, `none` or a date such as 2026-01-31".to_owned()),
    }
}

impl Poll {
    pub fn run(self, shared: &Shared) -> Result<(), Failed> {
        let said = format!("{}: a pass begins", self.integration);
        one(shared, Request::Poll { integration: self.integration }, |_| said)
    }
}

impl Pause {
    pub fn run(self, shared: &Shared) -> Result<(), Failed> {
        let said = format!("{}: paused; a pass under way is finished", self.integration);
        one(shared, Request::Pause { integration: self.integration }, |_| said)
    }
}

impl Resume {
    pub fn run(self, shared: &Shared) -> Result<(), Failed> {
        let said = format!("{}: resumed", self.integration);
        one(shared, Request::Resume { integration: self.integration }, |_| said)
    }
}

impl Backfill {
    pub fn run(self, shared: &Shared) -> Result<(), Failed> {
        let said = format!("{}: decided; the next pass takes what was chosen", self.integration);
        one(shared, Request::Backfill { integration: self.integration, choice: self.choice }, |_| said)
    }
}

impl Explain {
    pub fn run(self, shared: &Shared) -> Result<(), Failed> {
        one(shared, Request::Explain { integration: self.integration, key: self.key }, |answer| {
            let mut lines = vec![output::printable(output::text(answer, "verdict"))];
            if let Some(hint) = answer.get("hint").and_then(Value::as_str) {
                lines.push(format!("hint: {}", output::printable(hint)));
            }
            if let Some(reason) = answer.get("paused").and_then(Value::as_str) {
                lines.push(format!("the integration is paused: {reason}"));
            }
            if answer.get("enabled") == Some(&Value::Bool(false)) {
                lines.push("the integration has `enabled = false`".to_owned());
            }
            let versions = answer.get("versions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            if !versions.is_empty() {
                lines.push(String::new());
                lines.push(super::ledger::versions(versions));
            }
            lines.join("\n")
        })
    }
}

fn one(shared: &Shared, request: Request, say: impl FnOnce(&Value) -> String) -> Result<(), Failed> {
    let answer = super::ask(shared, request, |_| {})?;
    if shared.json {
        output::print_json(&answer)
    } else {
        output::print(say(&answer))
    }
    Ok(())
}
