//! What the daemon says of itself: one record an integration, the unhealthy first.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use serde::Serialize;

use super::Assembly;
use crate::clock::{Clock, SystemClock};
use crate::config::{self, Integration, duration_text};
use crate::expectation::{self, Overdue};
use crate::ledger::{Backlog, Control};
use crate::object::{IntegrationName, ObjectKey, TenantName};
use crate::pass::{Holding, PassReport};

/// What one integration is doing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Activity {
    /// A mistake in its own part of the configuration, until that is mended (R15).
    Disabled,
    /// Its store lacks what it is said to have, until a person reconciles the two (R18).
    Halted,
    /// Its last pass failed; it is tried again.
    Failing,
    /// It waits for a person.
    Paused,
    /// Its mappers are being compiled and its connection made.
    Starting,
    /// A pass is under way.
    Polling,
    /// It waits for its next pass.
    Waiting,
}

impl Activity {
    /// Whether someone should look at it.
    pub fn is_unhealthy(&self) -> bool {
        matches!(self, Self::Disabled | Self::Halted | Self::Failing)
    }
}

/// One integration at a glance.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct IntegrationStatus {
    /// What it is doing. Stands first, so that the unhealthy sort first.
    pub activity: Activity,
    /// Its name.
    pub integration: IntegrationName,
    /// Whose it is.
    pub tenant: TenantName,
    /// Why it is not at work.
    pub reason: Option<String>,
    /// The next command, or what to change.
    pub hint: Option<String>,
    /// What its last pass did.
    pub last_pass: Option<PassReport>,
    /// When that ended.
    pub last_pass_at: Option<Timestamp>,
    /// When the next one is due.
    pub next_pass_at: Option<Timestamp>,
    /// Set while a new file is overdue (R20).
    pub overdue: Option<Overdue>,
    /// One of the objects that some of its destinations have and others do not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<Missing>,
    /// What was listed and is not done with.
    pub backlog: Backlog,
    /// Objects by state, from the ledger.
    pub objects: BTreeMap<String, u64>,
}

/// An object that a destination does not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// Its key.
    pub key: ObjectKey,
    /// Which destination, and why.
    pub failure: String,
}

impl IntegrationStatus {
    /// Says what there is to say of a file that is waited for (R20), beside what else there is.
    pub fn expect_files(&mut self, control: &Control, settings: &Integration, now: Timestamp) {
        let Some(within) = settings.expect_file_within.map(duration_text) else { return };
        if let Some(paused) = &control.paused {
            self.reason = Some(format!("{}; no alarm is raised for a missing file meanwhile", paused.reason));
            return;
        }
        self.overdue = expectation::overdue(control, settings, now);
        if let Some(Overdue { since }) = self.overdue {
            let silence = format!("no new file was completed since {since:.0}, and one is expected within {within}");
            self.reason = Some(self.reason.take().map_or(silence.clone(), |reason| format!("{reason}; {silence}")));
            self.hint.get_or_insert_with(|| expectation::hint(settings));
        }
    }

    /// The unhealthy first, then by what they are doing, then by name.
    pub fn order(&self) -> (bool, &Activity, &IntegrationName) {
        (!self.activity.is_unhealthy() && self.overdue.is_none(), &self.activity, &self.integration)
    }
}

/// A status that its integration writes and others read.
#[derive(Debug, Clone)]
pub struct Board(Arc<Mutex<IntegrationStatus>>);

impl Board {
    /// For an integration that starts.
    pub fn new(integration: IntegrationName, tenant: TenantName) -> Self {
        Self(Arc::new(Mutex::new(IntegrationStatus {
            activity: Activity::Starting,
            integration,
            tenant,
            reason: None,
            hint: None,
            last_pass: None,
            last_pass_at: None,
            next_pass_at: None,
            overdue: None,
            missing: None,
            backlog: Backlog::default(),
            objects: BTreeMap::new(),
        })))
    }

    /// What it says now.
    pub fn read(&self) -> IntegrationStatus {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes the activity; the reason and the hint are those of this one.
    pub fn turn(&self, activity: Activity, reason: Option<String>, hint: Option<String>) {
        let mut status = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        status.activity = activity;
        status.reason = reason;
        status.hint = hint;
        status.next_pass_at = None;
    }

    /// Says when the next pass is due.
    pub fn next_pass(&self, at: Timestamp) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).next_pass_at = Some(at);
    }

    /// Keeps what a pass did.
    pub fn pass_ended(&self, report: PassReport) {
        let mut status = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        status.last_pass = Some(report);
        status.last_pass_at = Some(SystemClock.now());
    }
}

/// What the files of one tenant may take, and what they take now.
#[derive(Debug, Serialize)]
pub struct TenantStatus<'a> {
    /// Which.
    tenant: &'a TenantName,
    /// The most of its files that are in work at once.
    files_at_once: usize,
    /// The most that their mappers may use, in bytes.
    mapper_memory: u64,
    /// The share of the processors that they may take beyond what they warrant.
    processor_share: f64,
    /// What they take.
    #[serde(flatten)]
    holding: Holding,
    /// Whether they get only the processor time that others leave.
    stands_back: bool,
}

/// Every tenant that has an integration.
pub fn tenants<'a>(assembly: &'a Assembly) -> Vec<TenantStatus<'a>> {
    let status = |(tenant, limits): (&'a TenantName, &config::Tenant)| TenantStatus {
        tenant,
        files_at_once: limits.files_at_once,
        mapper_memory: limits.mapper_memory.bytes(),
        processor_share: limits.processor_share.as_f64(),
        holding: assembly.slots.holding(tenant),
        stands_back: assembly.efforts.of(tenant).stands_back(),
    };
    assembly.config.tenants.iter().map(status).collect()
}

/// An integration that no daemon is running.
pub fn idle(settings: &Integration) -> IntegrationStatus {
    let board = Board::new(settings.name.clone(), settings.tenant.clone());
    board.turn(Activity::Waiting, None, None);
    board.read()
}
