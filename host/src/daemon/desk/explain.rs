//! Why a file was, was not, or will be taken.

use serde_json::{Value, json};

use super::{known, refused, to_value};
use crate::control::Refusal;
use crate::daemon::Assembly;
use crate::decode::Format;
use crate::events::ShellWord;
use crate::ledger::{Entry, SkipReason, State};
use crate::object::{DestinationName, IntegrationName, ObjectKey};
use crate::source::{Unwanted, Wanted};

pub(super) async fn explain(
    assembly: &Assembly,
    integration: &IntegrationName,
    key: &ObjectKey,
) -> Result<Value, Refusal> {
    let settings = known(assembly, integration)?;
    let versions = assembly.ledger.show(integration, key).await.map_err(refused)?;
    let paused = assembly.ledger.control(integration).await.map_err(refused)?.paused;
    let current = versions.iter().find(|entry| entry.current);
    let (verdict, hint) = if !key.as_str().starts_with(&settings.prefix) {
        (format!("never taken: it is outside the prefix `{}`", settings.prefix), None)
    } else if Format::of_key(key.as_str()).is_none() {
        ("never taken: only .csv, .xlsx and .xls files are".to_owned(), None)
    } else if let Some(unwanted) = settings.wanted.refuses_key(key) {
        let why = if unwanted == Unwanted::Excluded { "`exclude` names it" } else { "`include` does not name it" };
        (format!("never taken: {why}"), None)
    } else {
        match versions.iter().find(|entry| entry.reverted).or(current) {
            None => {
                let Wanted { min_age, modified_since, max_size, .. } = &settings.wanted;
                let has_limits = !min_age.is_zero() || modified_since.is_some() || max_size.is_some();
                let condition = match has_limits {
                    false => "if it is there and not empty",
                    true => "if it is there, not empty, and within `min_age`, `modified_since` and `max_size`",
                };
                (format!("not seen in a listing yet: the next pass takes it {condition}"), None)
            }
            Some(entry) => {
                let again =
                    format!("to take it again: gristmill replay {integration} --key {}", ShellWord(key.as_str()));
                let advice = entry.failure.as_ref().and_then(|failure| failure.hint.clone());
                (explanation(entry, &settings.destinations), advice.or_else(|| is_at_rest(entry).then_some(again)))
            }
        }
    };
    Ok(json!({
        "integration": integration, "key": key, "verdict": verdict, "hint": hint,
        "enabled": assembly.config.integrations.contains_key(integration),
        "paused": paused.map(|paused| paused.reason), "versions": to_value(&versions)?,
    }))
}

/// What a person wants to know of an object's newest version.
fn explanation(entry: &Entry, destinations: &[DestinationName]) -> String {
    let quoted = |names: Vec<&str>| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let is_in = || quoted(entry.confirmed.iter().map(DestinationName::as_str).collect());
    let missing_in = || {
        let missing = destinations.iter().filter(|name| !entry.confirmed.contains(name));
        quoted(missing.map(DestinationName::as_str).collect())
    };
    let failure = entry.failure.as_ref().map(|failure| failure.message.as_str()).unwrap_or_default();
    if entry.reverted {
        return "not taken: the bucket shows content again that was processed before".to_owned();
    }
    match &entry.state {
        None => "new: the next pass takes it".to_owned(),
        Some(State::Delivered { retry_after, .. }) => {
            let (is_in, missing_in) = (is_in(), missing_in());
            format!("taken by {is_in}, missing in {missing_in}; brought there again after {retry_after:.0}: {failure}")
        }
        Some(State::Completed) => {
            let taken = format!("taken: completed at {:.0}", entry.changed);
            // Completed by a version that did not keep who confirmed it, it is not known to be missing anywhere.
            match (entry.confirmed.is_empty(), missing_in()) {
                (false, missing) if !missing.is_empty() => {
                    format!("{taken} in {}; {missing} came later as a destination and does not have it", is_in())
                }
                _ => taken,
            }
        }
        Some(State::Failed { attempts, retry_after }) => {
            let times = match attempts {
                1 => "once".to_owned(),
                attempts => format!("{attempts} times"),
            };
            format!("failed {times}, tried again after {retry_after:.0}: {failure}")
        }
        Some(State::Quarantined { reason }) if entry.confirmed.is_empty() => format!("quarantined: {reason}"),
        Some(State::Quarantined { reason }) => {
            format!("taken by {}, missing in {}; quarantined: {reason}", is_in(), missing_in())
        }
        Some(State::Skipped { reason }) => match reason {
            SkipReason::Superseded => {
                "skipped: a newer version of the key came before this one was finished".to_owned()
            }
            SkipReason::Backfill => "skipped: it was there before the integration's first pass".to_owned(),
            SkipReason::SameContent { of } => format!("skipped: its bytes are those of `{of}`"),
            SkipReason::Reverted { to } => format!("skipped: its bytes are those of the older `{to}`"),
            SkipReason::Archived { look_again } => format!("archived: looked at again after {look_again:.0}"),
            SkipReason::Gone => {
                "deleted between the listing and the fetch; taken if a listing shows it again".to_owned()
            }
        },
    }
}

/// Whether it stays as it is until a person asks for it.
fn is_at_rest(entry: &Entry) -> bool {
    entry.reverted
        || match &entry.state {
            Some(State::Completed | State::Quarantined { .. }) => true,
            Some(State::Skipped { reason }) => match reason {
                SkipReason::Backfill | SkipReason::SameContent { .. } | SkipReason::Reverted { .. } => true,
                SkipReason::Superseded | SkipReason::Archived { .. } | SkipReason::Gone => false,
            },
            None | Some(State::Delivered { .. } | State::Failed { .. }) => false,
        }
}
