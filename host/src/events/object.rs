//! What becomes of objects.

use std::path::Path;
use std::time::Duration;

use tracing::{debug, error, info, warn};

use super::{Chain, ShellWord};
use crate::destination::{Delivery, Summary};
use crate::ledger::State;
use crate::object::{DestinationName, IntegrationName, Object};

/// An object lies in the spool, verified.
pub struct ObjectFetched<'a> {
    /// Whose.
    pub integration: &'a IntegrationName,
    /// Which.
    pub object: &'a Object,
}

impl ObjectFetched<'_> {
    /// Logs it.
    pub fn emit(self) {
        let Self { integration, object } = self;
        debug!(event = "object_fetched", %integration, %object, size = object.size, "object fetched");
    }
}

/// A destination confirmed an object; the ledger does not know yet.
pub struct ObjectMerged<'a> {
    /// Whose.
    pub integration: &'a IntegrationName,
    /// Which.
    pub object: &'a Object,
    /// Which confirmed it.
    pub destination: &'a DestinationName,
    /// What it brought.
    pub summary: &'a Summary,
}

impl ObjectMerged<'_> {
    /// Logs it.
    pub fn emit(self) {
        let Self { integration, object, destination, summary } = self;
        debug!(event = "object_merged", %integration, %object, %destination, rows = summary.rows.read, "object merged");
    }
}

/// An ingestion ended well and the ledger has it.
pub struct ObjectCompleted<'a> {
    /// Whose.
    pub integration: &'a IntegrationName,
    /// Which.
    pub object: &'a Object,
    /// What it brought.
    pub summary: &'a Summary,
    /// How long it took.
    pub took: Duration,
}

impl ObjectCompleted<'_> {
    /// Logs it; a file with rejects, or with users whom nobody knows, is a warning.
    pub fn emit(self) {
        let Self { integration, object, summary, took } = self;
        let (rows, merged) = (&summary.rows, &summary.merged);
        let took_ms = took.as_millis() as u64;
        macro_rules! line {
            ($level:ident, $outcome:literal) => {
                $level!(
                    event = "object_completed", outcome = $outcome, %integration, %object, etag = %object.etag,
                    rows = rows.read, rejected = rows.rejected, matched = merged.matched, created = merged.created,
                    updated = merged.updated, unchanged = merged.unchanged, unmatched = merged.unmatched,
                    ambiguous = merged.ambiguous, unknown_users = merged.unknown_users,
                    usage_records = merged.usage_records, took_ms, "object completed"
                )
            };
        }
        match (rows.rejected, merged.unknown_users) {
            (0, 0) => line!(info, "succeeded"),
            (0, _) => line!(warn, "succeeded"),
            _ => line!(warn, "partial"),
        }
    }
}

/// An object needs no records.
pub struct ObjectSkipped<'a> {
    /// Whose.
    pub integration: &'a IntegrationName,
    /// Which.
    pub object: &'a Object,
    /// Why.
    pub reason: &'a str,
}

impl ObjectSkipped<'_> {
    /// Logs it.
    pub fn emit(self) {
        let Self { integration, object, reason } = self;
        info!(event = "object_skipped", %integration, %object, etag = %object.etag, reason, "object skipped");
    }
}

/// A key shows content again that was processed before (R4).
pub struct ObjectReverted<'a> {
    /// Whose.
    pub integration: &'a IntegrationName,
    /// Which.
    pub object: &'a Object,
}

impl ObjectReverted<'_> {
    /// Logs it with the command that takes it again.
    pub fn emit(self) {
        let Self { integration, object } = self;
        warn!(
            event = "object_reverted", %integration, %object, etag = %object.etag,
            hint = format!("gristmill replay {integration} --key {}", ShellWord(object.key.as_str())),
            "this key shows content again that was processed before; skipped"
        );
    }
}

/// An ingestion failed.
pub struct ObjectFailed<'a> {
    /// Whose.
    pub integration: &'a IntegrationName,
    /// Which.
    pub object: &'a Object,
    /// Whose fault, as a stable word.
    pub class: &'static str,
    /// Why.
    pub error: &'a dyn std::error::Error,
    /// What a person can do.
    pub hint: Option<String>,
    /// Whether and when it is tried again.
    pub state: &'a State,
    /// Where the call is saved on which a mapper failed.
    pub saved: Option<&'a Path>,
}

impl ObjectFailed<'_> {
    /// Logs it.
    pub fn emit(self) {
        let Self { integration, object, class, error, hint, state, saved } = self;
        let saved = saved.map(|path| path.display().to_string());
        let next = match state {
            State::Failed { retry_after, .. } => format!("tried again after {retry_after:.0}"),
            _ => {
                let key = ShellWord(object.key.as_str());
                format!("quarantined; once mended: gristmill replay {integration} --key {key}")
            }
        };
        error!(
            event = "object_failed", %integration, %object, etag = %object.etag, class, error = %Chain(error),
            hint = hint.as_deref(), next, saved, "object failed"
        );
    }
}

/// A receiver did not take a batch of records; it is tried again.
pub struct BatchNotTaken<'a> {
    /// What it is a batch of.
    pub delivery: &'a Delivery,
    /// Its number, from 1.
    pub batch: u32,
    /// Which attempt this was.
    pub attempt: u32,
    /// Why; never the address.
    pub reason: &'a str,
}

impl BatchNotTaken<'_> {
    /// Logs it.
    pub fn emit(self) {
        let Self { delivery, batch, attempt, reason } = self;
        warn!(
            event = "batch_not_taken", integration = %delivery.identity.integration, key = %delivery.object.key, batch,
            attempt, reason,
            "a batch of records was not taken yet"
        );
    }
}
