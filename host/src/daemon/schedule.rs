//! One integration's task: assemble, then a pass whenever one is due, asked for, or overdue after a failure.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use tokio::task::{JoinError, JoinHandle};

use super::assembly::Assembly;
use super::standstill::{Obstacle, Standstill};
use super::status::{Activity, Board};
use crate::clock::random;
use crate::clock::{Clock, SystemClock};
use crate::config::Integration;
use crate::events;
use crate::expectation;
use crate::ingest::Pipeline;
use crate::ledger::LedgerError;
use crate::oversight::{Oversight, Stop};
use crate::pass::{PassError, pass};
use crate::retry::{self, ErrorClass, Step};
use crate::source::S3Source;

/// The longest pause before what disables an integration is looked at again. Each time it is that much longer.
const AGAIN: Duration = Duration::from_secs(60);

/// The longest that this pause becomes.
const AGAIN_AT_MOST: Duration = Duration::from_secs(15 * 60);

/// Why an integration's task ended without being asked to.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleEnd {
    /// The ledger failed, which is the process's end (I4).
    #[error("the ledger failed")]
    Ledger(#[from] LedgerError),
    /// It panicked, which is the end of nothing else (R15).
    #[error("a task of ours ended unexpectedly")]
    Panicked,
}

impl From<JoinError> for ScheduleEnd {
    /// Without its words, which may hold data; where it was has been said.
    fn from(_: JoinError) -> Self {
        Self::Panicked
    }
}

/// An integration at work.
pub struct Scheduled {
    /// What it is made from; when that changes, it is started anew.
    pub settings: Integration,
    /// What it says of itself.
    pub board: Board,
    /// Its parts, once they are put together.
    pub pipeline: watch::Receiver<Option<Arc<Pipeline<S3Source>>>>,
    oversight: Oversight,
    nudge: Arc<Notify>,
    task: JoinHandle<Result<(), LedgerError>>,
}

impl Scheduled {
    /// Starts it.
    pub fn start(assembly: Arc<Assembly>, settings: Integration, oversight: Oversight) -> Self {
        let board = Board::new(settings.name.clone(), settings.tenant.clone());
        let nudge = Arc::new(Notify::new());
        let (publish, pipeline) = watch::channel(None);
        let schedule = Schedule {
            assembly,
            settings: settings.clone(),
            board: board.clone(),
            oversight: oversight.clone(),
            nudge: Arc::clone(&nudge),
            pass_ended: Notify::new(),
            standstill: Mutex::default(),
        };
        let task = tokio::spawn(schedule.run(publish));
        Self { settings, board, pipeline, oversight, nudge, task }
    }

    /// Begins a pass now, or looks again whether it may.
    pub fn nudge(&self) {
        self.list_everything();
        if let Some(pipeline) = &*self.pipeline.borrow() {
            pipeline.breakers.try_again(SystemClock.now());
        }
        self.nudge.notify_one();
    }

    /// Lets the next pass list everything: whoever asks may mean files that a mark has left behind.
    pub fn list_everything(&self) {
        if let Some(pipeline) = &*self.pipeline.borrow() {
            pipeline.mark.clear();
        }
    }

    /// Whether something keeps it from being put together.
    pub fn is_disabled(&self) -> bool {
        let activity = self.board.read().activity;
        activity == Activity::Disabled || (activity == Activity::Failing && self.pipeline.borrow().is_none())
    }

    /// Asks it to begin no more objects and to end.
    pub fn ask_to_stop(&self) {
        self.oversight.stop.ask();
        self.nudge.notify_one();
    }

    /// Where it looks whether to stop.
    pub fn stop(&self) -> Stop {
        self.oversight.stop.clone()
    }

    /// Waits until it has stopped.
    pub async fn stopped(self) -> Result<(), ScheduleEnd> {
        Ok(self.task.await??)
    }

    /// Whether its task has ended.
    pub fn has_ended(&self) -> bool {
        self.task.is_finished()
    }
}

struct Schedule {
    assembly: Arc<Assembly>,
    settings: Integration,
    board: Board,
    oversight: Oversight,
    nudge: Arc<Notify>,
    pass_ended: Notify,
    standstill: Mutex<Standstill>,
}

impl Schedule {
    async fn run(self, publish: watch::Sender<Option<Arc<Pipeline<S3Source>>>>) -> Result<(), LedgerError> {
        tokio::select! {
            ended = self.work(publish) => ended,
            Err(error) = self.expect_files() => Err(error),
        }
    }

    /// Says when no new file comes (R20), from the end of the first pass on: what came while nobody looked is taken in
    /// it. Ends with the ledger alone.
    async fn expect_files(&self) -> Result<Infallible, LedgerError> {
        if self.settings.expect_file_within.is_none() {
            return std::future::pending().await;
        }
        self.pass_ended.notified().await;
        loop {
            let look =
                expectation::look(&self.assembly.ledger, &self.settings, &self.assembly.outbox, &SystemClock).await?;
            tokio::select! {
                () = tokio::time::sleep(look.again_in) => {}
                () = self.pass_ended.notified() => {}
            }
        }
    }

    async fn work(&self, publish: watch::Sender<Option<Arc<Pipeline<S3Source>>>>) -> Result<(), LedgerError> {
        let Some(pipeline) = self.assemble().await else { return Ok(()) };
        publish.send_replace(Some(Arc::clone(&pipeline)));
        let mut failures = 0;
        // The first pass is, each that was asked for, and each after a failure.
        let mut is_awaited = true;
        // A jittered first pass, so that a restart does not list every bucket at one moment.
        let mut pause = self.settings.poll_interval.min(Duration::from_secs(5)).mul_f64(random());
        while !self.oversight.stop.asked() {
            is_awaited |= self.rest(pause).await;
            if self.oversight.stop.asked() {
                break;
            }
            if let Some(paused) = self.assembly.ledger.control(&self.settings.name).await?.paused {
                let hint = format!("gristmill resume {}", self.settings.name);
                self.board.turn(Activity::Paused, Some(paused.reason), Some(hint));
                self.standstill().is_known();
                pause = Duration::MAX;
                continue;
            }
            self.board.turn(Activity::Polling, None, None);
            let began = Instant::now();
            match pass(&pipeline, &self.assembly.slots, &self.oversight).await {
                Ok(report) => {
                    failures = 0;
                    let took = began.elapsed();
                    let integration = &self.settings.name;
                    events::PassFinished { integration, report: &report, took, is_awaited }.emit();
                    is_awaited = false;
                    // A pass that outlasts its interval skips the one it overran.
                    pause = match report.unfinished {
                        true => Duration::ZERO,
                        false => self.settings.poll_interval.mul_f64(0.9 + 0.2 * random()),
                    };
                    let owed = pipeline.list_budget.wait(SystemClock.now());
                    let reason = (owed > pause).then(|| "its `list_budget` is spent until the next pass".to_owned());
                    pause = pause.max(owed);
                    self.board.pass_ended(report);
                    self.board.turn(Activity::Waiting, reason, None);
                    self.standstill().is_over((&self.assembly.outbox, &self.settings), SystemClock.now());
                }
                Err(PassError::Ledger(error)) if error.is_fatal() => return Err(error),
                Err(error) => {
                    failures += 1;
                    is_awaited = true;
                    pause = self.pass_failed(&error, failures, pipeline.list_budget.wait(SystemClock.now()));
                }
            }
            self.pass_ended.notify_one();
        }
        Ok(())
    }

    /// Puts the pipeline together. A mistake in its own part disables it (R15); it is tried again by itself, and when it
    /// is nudged.
    async fn assemble(&self) -> Option<Arc<Pipeline<S3Source>>> {
        let mut attempts = 0;
        loop {
            let beat = self.oversight.watch.begin("assembly");
            let assembled = tokio::select! {
                assembled = self.assembly.pipeline(&self.settings) => assembled,
                // Reading a mapper or a secret may hang for ever; neither a stop nor a reload waits for it.
                () = self.asked_to_stop() => return None,
            };
            drop(beat);
            let part = format!("integrations.{}", self.settings.name);
            let error = match assembled {
                Ok(pipeline) => {
                    if attempts > 0 {
                        events::PartEnabled { part: &part }.emit();
                        self.board.turn(Activity::Starting, None, None);
                    }
                    return Some(pipeline);
                }
                Err(error) => error,
            };
            attempts += 1;
            let hint = error.hint();
            events::PartDisabled { part: &part, problem: &events::Chain(&error) }.emit();
            let reason = events::Chain(&error).to_string();
            let pause = match error.may_pass() {
                true => {
                    self.blocked(Activity::Failing, Obstacle::Failures(attempts), reason, hint);
                    self.pause_after(attempts)
                }
                false => {
                    self.blocked(Activity::Disabled, Obstacle::Lasting, reason, hint);
                    AGAIN.saturating_mul(attempts).min(AGAIN_AT_MOST).mul_f64(0.5 + random() / 2.0)
                }
            };
            self.rest(pause).await;
            if self.oversight.stop.asked() {
                return None;
            }
        }
    }

    /// Waits for a wish to stop. A nudge in between asks for a pass, and the first one is near anyway.
    async fn asked_to_stop(&self) {
        while !self.oversight.stop.asked() {
            self.nudge.notified().await;
        }
    }

    /// Says why, and how long until the next one, which is not before what was spent on listing is paid back.
    fn pass_failed(&self, error: &PassError, failures: u32, owed: Duration) -> Duration {
        let hint = error.hint(self.settings.name.as_str());
        let waits_for_a_person = matches!(
            error,
            PassError::NoAccounts | PassError::BackfillUndecided { .. } | PassError::AnotherPlace { .. }
        );
        if waits_for_a_person {
            let reason = error.to_string();
            events::IntegrationPaused { integration: &self.settings.name, reason: &reason }.emit();
            self.blocked(Activity::Paused, Obstacle::Lasting, reason, hint);
            return self.settings.poll_interval.max(owed);
        }
        if let PassError::Unconfirmed { .. } = error {
            events::IntegrationHalted { integration: &self.settings.name, error, hint: hint.clone() }.emit();
            self.blocked(Activity::Halted, Obstacle::Lasting, error.to_string(), hint);
            return self.settings.poll_interval.max(owed);
        }
        let retry_in = match error {
            PassError::MapperFails(suspended) => suspended.pause(SystemClock.now()),
            _ => self.pause_after(failures),
        };
        let retry_in = retry_in.max(Duration::from_secs(1)).max(owed);
        let integration = &self.settings.name;
        events::PassFailed { integration, error, hint: hint.clone(), retry_in }.emit();
        self.blocked(Activity::Failing, Obstacle::Failures(failures), events::Chain(error).to_string(), hint);
        retry_in
    }

    /// How long until the next attempt, where the cause may pass by itself.
    fn pause_after(&self, failures: u32) -> Duration {
        match retry::next_step(ErrorClass::Network, failures, random()) {
            Step::Retry { after } => after.max(Duration::from_secs(1)),
            Step::Forget | Step::Quarantine | Step::Stop => self.settings.poll_interval,
        }
    }

    /// Says that nothing is taken, to whoever looks and to whoever should know.
    fn blocked(&self, activity: Activity, obstacle: Obstacle, reason: String, hint: Option<String>) {
        let (whom, why) = ((&self.assembly.outbox, &self.settings), (reason.as_str(), hint.as_deref()));
        self.standstill().blocked(whom, obstacle, why, SystemClock.now());
        self.board.turn(activity, Some(reason), hint);
    }

    fn standstill(&self) -> MutexGuard<'_, Standstill> {
        self.standstill.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the time to pass or for a nudge, and says whether it was a nudge.
    async fn rest(&self, pause: Duration) -> bool {
        if let Ok(at) = SystemClock.now().checked_add(pause) {
            self.board.next_pass(at);
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => false,
            () = self.nudge.notified() => true,
        }
    }
}
