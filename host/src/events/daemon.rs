//! What the daemon as a whole does: it starts, stops, and takes a configuration.

use std::fmt;
use std::time::Duration;

use tracing::{error, info, warn};

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
