//! Every log line as a type: what happened, with its fields. No control flow.
//!
//! An event's name stands in its `event` field and never changes its meaning, so that an alert may match on it. Text
//! that comes from outside (keys, cells, a mapper's lines) is escaped by the formatter or before it stands here.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tracing::{debug, error, info, warn};

use crate::config::duration_text;
use crate::destination::{Delivery, Summary};
use crate::ledger::{Place, State};
use crate::mapper::{LogLevel, LogLine, LogSink};
use crate::notify::Notice;
use crate::object::{ComponentDigest, ConnectionKey, DestinationName, IntegrationName, Object, Site};
use crate::secrets::SecretWarning;

/// An error with its chain of causes on one line.
pub struct Chain<'a>(pub &'a (dyn std::error::Error + 'a));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// Text as one word of a shell's command line.
pub struct ShellWord<'a>(pub &'a str);

impl fmt::Display for ShellWord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}'", self.0.replace('\'', r"'\''"))
    }
}

/// The daemon has read its configuration and begins.
pub struct DaemonStarted {
    /// How many integrations are active.
    pub integrations: usize,
    /// How many parts are disabled by a problem of their own (R15).
    pub disabled: usize,
}

impl DaemonStarted {
    /// Logs it.
    pub fn emit(self) {
        let Self { integrations, disabled } = self;
        info!(event = "daemon_started", version = env!("CARGO_PKG_VERSION"), integrations, disabled, "daemon started");
    }
}

/// The daemon was asked to stop and waits for files in flight.
pub struct DaemonStopping {
    /// The signal.
    pub signal: &'static str,
}

impl DaemonStopping {
    /// Logs it.
    pub fn emit(self) {
        info!(event = "daemon_stopping", signal = self.signal, "stopping: files in flight are finished or given back");
    }
}

/// A new configuration is in force.
pub struct ConfigReloaded {
    /// Integrations that were started anew.
    pub started: usize,
    /// Integrations that were stopped.
    pub stopped: usize,
    /// Integrations that go on as they were.
    pub kept: usize,
}

impl ConfigReloaded {
    /// Logs it.
    pub fn emit(self) {
        let Self { started, stopped, kept } = self;
        info!(event = "config_reloaded", started, stopped, kept, "configuration reloaded");
    }
}

/// A key of a new configuration takes effect at the next start alone.
pub struct ConfigDeferred {
    /// The key: `daemon.log.format`.
    pub key: &'static str,
}

impl ConfigDeferred {
    /// Logs it.
    pub fn emit(self) {
        warn!(event = "config_deferred", key = self.key, "takes effect at the next start");
    }
}

/// A new configuration was refused; the old one stays in force.
pub struct ConfigRefused<'a> {
    /// What is wrong with it.
    pub problems: &'a str,
}

impl ConfigRefused<'_> {
    /// Logs it.
    pub fn emit(self) {
        error!(event = "config_refused", problems = self.problems, "configuration refused, the old one stays in force");
    }
}

/// A mistake inside one part of the configuration disables that part alone (R15).
pub struct PartDisabled<'a> {
    /// What is disabled: `integrations.acme`.
    pub part: &'a str,
    /// Why.
    pub problem: &'a dyn fmt::Display,
}

impl PartDisabled<'_> {
    /// Logs it.
    pub fn emit(self) {
        error!(event = "part_disabled", part = self.part, problem = %self.problem, "disabled until this is mended");
    }
}

/// What disabled a part is mended.
pub struct PartEnabled<'a> {
    /// What works again: `integrations.acme`.
    pub part: &'a str,
}

impl PartEnabled<'_> {
    /// Logs it.
    pub fn emit(self) {
        info!(event = "part_enabled", part = self.part, "mended, no longer disabled");
    }
}

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

/// What an integration took over a connection under its former key is its own under the key it has now.
pub struct ConnectionRenamed<'a> {
    /// Which integration.
    pub integration: &'a IntegrationName,
    /// The connection.
    pub connection: &'a ConnectionKey,
    /// Its former key.
    pub from: &'a ConnectionKey,
}

impl ConnectionRenamed<'_> {
    /// Logs it.
    pub fn emit(self) {
        let Self { integration, connection, from } = self;
        info!(event = "connection_renamed", %integration, %connection, %from, "goes on with what it has taken");
    }
}

/// A connection has another pair of keys from now on.
pub struct KeysRotated<'a> {
    /// Which.
    pub connection: &'a ConnectionKey,
}

impl KeysRotated<'_> {
    /// Logs it.
    pub fn emit(self) {
        info!(event = "keys_rotated", connection = %self.connection, "the next request is sent with another pair of keys");
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

/// A secret was read from a place that should be mended.
pub struct SecretWarned<'a> {
    /// The connection that it belongs to.
    pub connection: &'a ConnectionKey,
    /// What is wrong; names the place, never the value.
    pub warning: &'a SecretWarning,
}

impl SecretWarned<'_> {
    /// Logs it.
    pub fn emit(self) {
        warn!(event = "secret_warning", connection = %self.connection, warning = %self.warning, "mend this place");
    }
}

/// The key pair of a connection could not be read anew.
pub struct KeysKept<'a> {
    /// Whose.
    pub connection: &'a ConnectionKey,
    /// Why; names the place, never the value.
    pub problem: &'a dyn fmt::Display,
}

impl KeysKept<'_> {
    /// Logs it.
    pub fn emit(self) {
        warn!(
            event = "keys_kept",
            connection = %self.connection,
            problem = %self.problem,
            "goes on with the keys that it had"
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

/// A webhook took a notice.
pub struct NoticeTold<'a> {
    /// The webhook's name.
    pub notify: &'a str,
    /// What it was told.
    pub notice: &'a Notice,
    /// At which attempt.
    pub attempt: u32,
}

impl NoticeTold<'_> {
    /// Logs it.
    pub fn emit(self) {
        let Self { notify, notice, attempt } = self;
        debug!(
            event = "notice_told", notify, kind = ?notice.kind, id = notice.id, integration = %notice.integration, attempt,
            "notice told"
        );
    }
}

/// A webhook will not be told of something.
pub struct NoticeLost<'a> {
    /// The webhook's name.
    pub notify: &'a str,
    /// What it was to be told.
    pub notice: &'a Notice,
    /// Why; never its address.
    pub reason: &'a str,
}

impl NoticeLost<'_> {
    /// Logs it.
    pub fn emit(self) {
        let Self { notify, notice, reason } = self;
        error!(
            event = "notice_lost", notify, kind = ?notice.kind, id = notice.id, integration = %notice.integration, reason,
            "a notice could not be told"
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

/// A mapper failed on a row, and the file is begun again without it.
pub struct MapperRowLeftOut<'a> {
    /// Whose.
    pub integration: &'a IntegrationName,
    /// Which object.
    pub object: &'a Object,
    /// How many rows are left out of it by now.
    pub rows: usize,
}

impl MapperRowLeftOut<'_> {
    /// Logs it.
    pub fn emit(self) {
        let Self { integration, object, rows } = self;
        warn!(
            event = "mapper_row_left_out", %integration, %object, rows,
            "a mapper failed on a row: it is rejected, and the file begun again without it"
        );
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
}

impl ObjectFailed<'_> {
    /// Logs it.
    pub fn emit(self) {
        let Self { integration, object, class, error, hint, state } = self;
        let next = match state {
            State::Failed { retry_after, .. } => format!("tried again after {retry_after:.0}"),
            _ => {
                let key = ShellWord(object.key.as_str());
                format!("quarantined; once mended: gristmill replay {integration} --key {key}")
            }
        };
        error!(
            event = "object_failed", %integration, %object, etag = %object.etag, class, error = %Chain(error),
            hint = hint.as_deref(), next, "object failed"
        );
    }
}

/// A step has not beaten for longer than allowed.
pub struct StepStalled {
    /// The step.
    pub step: &'static str,
    /// The allowed time.
    pub allowed: Duration,
    /// Whether there is a watchdog, which is no longer fed then.
    pub watchdog: bool,
}

impl StepStalled {
    /// Logs it.
    pub fn emit(self) {
        let Self { step, allowed, watchdog } = self;
        let hint = match watchdog {
            true => "the watchdog is no longer fed, so that the service manager starts the daemon again",
            false => "start the daemon again if it stays so; nothing that was confirmed is lost",
        };
        error!(event = "step_stalled", step, allowed_s = allowed.as_secs(), watchdog, hint, "a step has stalled");
    }
}

/// Where the lines of one mapper at work on one object go.
pub fn mapper_log(integration: &IntegrationName, mapper: &str, digest: ComponentDigest, object: &Object) -> LogSink {
    let (integration, mapper, object) = (integration.clone(), mapper.to_owned(), object.to_string());
    Arc::new(move |line: LogLine| {
        macro_rules! line {
            ($level:ident) => {
                $level!(event = "mapper_log", %integration, mapper, %digest, object, line = line.message, "mapper")
            };
        }
        match line.level {
            LogLevel::Debug => line!(debug),
            LogLevel::Info => line!(info),
            LogLevel::Warn => line!(warn),
            LogLevel::Error => line!(error),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_can_be_pasted_into_a_shell_whatever_the_key() {
        for word in ["daily/a b.csv", "it's.csv", "'", "$HOME `x` \"y\" \\n"] {
            let command = format!("printf %s {}", ShellWord(word));
            let printed = std::process::Command::new("/bin/sh").args(["-c", &command]).output().unwrap();
            assert_eq!(String::from_utf8(printed.stdout).unwrap(), word);
        }
    }

    #[test]
    fn the_guide_names_every_event() {
        let (guide, events) = (include_str!("../../docs/operating.md"), include_str!("events.rs"));
        let names = events.split("event = \"").skip(1).filter_map(|rest| rest.split('"').next());
        let names: Vec<&str> = names.filter(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '_')).collect();
        assert!(names.len() > 25, "{names:?}");
        let missing: Vec<_> = names.iter().filter(|name| !guide.contains(&format!("`{name}`"))).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
