//! What becomes of integrations and their passes.

use std::time::Duration;

use jiff::Timestamp;
use tracing::{debug, error, info, warn};

use super::Chain;
use crate::config::duration_text;
use crate::ledger::Place;
use crate::object::{DestinationName, IntegrationName, Site};

/// What an integration had under a former name is its own now.
pub struct IntegrationRenamed<'a> {
    /// Its name.
    pub integration: &'a IntegrationName,
    /// Its former name.
    pub from: &'a IntegrationName,
}

impl IntegrationRenamed<'_> {
    /// Logs it.
    pub fn emit(self) {
        info!(
            event = "integration_renamed",
            integration = %self.integration,
            from = %self.from,
            "goes on with what it had under its former name"
        );
    }
}

/// What an integration took in one place is what it has in another now.
pub struct IntegrationRepointed<'a> {
    /// Its name.
    pub integration: &'a IntegrationName,
    /// Where its objects were.
    pub from: &'a Site,
    /// Where they are.
    pub to: &'a Place,
}

impl IntegrationRepointed<'_> {
    /// Logs it.
    pub fn emit(self) {
        info!(
            event = "integration_repointed",
            integration = %self.integration,
            from = %self.from,
            to = %self.to,
            "goes on with what it took where its objects were before"
        );
    }
}

/// An integration waits for a person.
pub struct IntegrationPaused<'a> {
    /// Which.
    pub integration: &'a IntegrationName,
    /// Why, with the command that ends it.
    pub reason: &'a str,
}

impl IntegrationPaused<'_> {
    /// Logs it.
    pub fn emit(self) {
        warn!(event = "integration_paused", integration = %self.integration, reason = self.reason, "paused");
    }
}

/// The destination never confirmed what is completed in the ledger (R18).
pub struct IntegrationHalted<'a> {
    /// Which.
    pub integration: &'a IntegrationName,
    /// How much it is.
    pub error: &'a dyn std::error::Error,
    /// The command that ends it.
    pub hint: Option<String>,
}

impl IntegrationHalted<'_> {
    /// Logs it.
    pub fn emit(self) {
        let Self { integration, error, hint } = self;
        error!(event = "integration_halted", %integration, error = %Chain(error), hint, "nothing is taken until this is reconciled");
    }
}

/// An integration takes files again.
pub struct IntegrationUnblocked<'a> {
    /// Whose.
    pub integration: &'a IntegrationName,
    /// When it took none for the first time.
    pub since: Timestamp,
}

impl IntegrationUnblocked<'_> {
    /// Logs it.
    pub fn emit(self) {
        let Self { integration, since } = self;
        info!(event = "integration_unblocked", %integration, since = format!("{since:.0}"), "files are taken again");
    }
}

/// Objects of an integration failed before, and a pass has now merged some and failed none (R20).
pub struct IntegrationRecovered<'a> {
    /// Whose.
    pub integration: &'a IntegrationName,
    /// When the first of them failed.
    pub since: Timestamp,
}

impl IntegrationRecovered<'_> {
    /// Logs it.
    pub fn emit(self) {
        let Self { integration, since } = self;
        info!(event = "integration_recovered", %integration, since = format!("{since:.0}"), "files are merged again");
    }
}

/// An integration's own task panicked; it is started again.
pub struct IntegrationPanicked<'a> {
    /// Which.
    pub integration: &'a IntegrationName,
    /// What is known of it.
    pub error: &'a dyn std::error::Error,
}

impl IntegrationPanicked<'_> {
    /// Logs it.
    pub fn emit(self) {
        let Self { integration, error } = self;
        error!(event = "integration_panicked", %integration, error = %Chain(error), "a bug of ours; started again");
    }
}

/// No new file was completed for longer than the integration says (R20).
pub struct FileOverdue<'a> {
    /// Whose.
    pub integration: &'a IntegrationName,
    /// Since when.
    pub since: Timestamp,
    /// How long it may take.
    pub within: Duration,
    /// What a person can do.
    pub hint: String,
}

impl FileOverdue<'_> {
    /// Logs it.
    pub fn emit(self) {
        let Self { integration, since, within, hint } = self;
        error!(
            event = "file_overdue", %integration, since = format!("{since:.0}"), within = duration_text(within), hint,
            "no new file was completed for too long"
        );
    }
}

/// A file came after it had been said that none did (R20).
pub struct FileArrived<'a> {
    /// Whose.
    pub integration: &'a IntegrationName,
}

impl FileArrived<'_> {
    /// Logs it.
    pub fn emit(self) {
        info!(event = "file_arrived", integration = %self.integration, "a new file was completed, after a silence");
    }
}

/// An integration has a destination that it did not have at its last pass.
pub struct DestinationAdded<'a> {
    /// Whose.
    pub integration: &'a IntegrationName,
    /// Which.
    pub destination: &'a DestinationName,
}

impl DestinationAdded<'_> {
    /// Logs it.
    pub fn emit(self) {
        let Self { integration, destination } = self;
        let hint = format!("to bring them there: gristmill replay {integration} --prefix ''");
        warn!(
            event = "destination_added", %integration, %destination, hint,
            "what was completed before stays where it is"
        );
    }
}

/// The ledger forgot keys that the bucket no longer holds.
pub struct KeysForgotten<'a> {
    /// Whose.
    pub integration: &'a IntegrationName,
    /// How many.
    pub keys: usize,
}

impl KeysForgotten<'_> {
    /// Logs it.
    pub fn emit(self) {
        let Self { integration, keys } = self;
        info!(event = "keys_forgotten", %integration, keys, "the ledger forgot files that were gone for long");
    }
}

/// A pass ended.
pub struct PassFinished<'a> {
    /// Whose.
    pub integration: &'a IntegrationName,
    /// What it found and did.
    pub report: &'a crate::pass::PassReport,
    /// How long it took.
    pub took: Duration,
    /// Whether somebody waits for it, even when it found nothing to do.
    pub is_awaited: bool,
}

impl PassFinished<'_> {
    /// Logs it.
    pub fn emit(self) {
        let Self { integration, report, took, is_awaited } = self;
        let crate::pass::PassReport { listed, known, succeeded, partial, skipped, failed, .. } = *report;
        let (ignored, took_ms) = (report.ignored.total(), took.as_millis() as u64);
        macro_rules! emit {
            ($level:ident) => {
                $level!(
                    event = "pass_finished", %integration, listed, ignored, known, succeeded, partial, skipped, failed,
                    took_ms, "pass finished"
                )
            };
        }
        // A poll each minute that finds nothing would drown what happened.
        if is_awaited || succeeded + partial + skipped + failed > 0 { emit!(info) } else { emit!(debug) }
    }
}

/// A pass could not list its bucket, or was refused before it began.
pub struct PassFailed<'a> {
    /// Whose.
    pub integration: &'a IntegrationName,
    /// Why.
    pub error: &'a dyn std::error::Error,
    /// What a person can do.
    pub hint: Option<String>,
    /// When it is tried again.
    pub retry_in: Duration,
}

impl PassFailed<'_> {
    /// Logs it.
    pub fn emit(self) {
        let Self { integration, error, hint, retry_in } = self;
        error!(
            event = "pass_failed", %integration, error = %Chain(error), hint = hint.as_deref(),
            retry_in_s = retry_in.as_secs(), "pass failed"
        );
    }
}
