//! The daemon: a task per integration, signals, reload, drain, readiness, watchdog.
//!
//! It does not know what happens inside a pass. A ledger error ends it (I4), with exit code 74; a mistake inside one
//! connection, integration or mapper disables that alone (R15).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Mutex, watch};

use crate::config::{self, Config, Loaded};
use crate::control;
use crate::events;
use crate::ledger::LedgerError;
use crate::object::IntegrationName;
use crate::oversight::{Oversight, Stop, Watch};
use crate::pass::{Keeping, PassError, PassReport, Slots};

mod assembly;
mod credentials;
mod desk;
mod destinations;
mod notify;
mod receivers;
mod schedule;
mod standstill;
mod status;

pub use assembly::{Assembly, AssemblyError, PartError, Workshop};
pub use desk::{Desk, try_connection};
pub use destinations::{Destinations, destination_for_reading, look_at_destination, migrate};
pub use schedule::{ScheduleEnd, Scheduled};
pub use status::{Activity, IntegrationStatus};

/// How long files at work have to be given back once the grace is over.
const GIVING_BACK: Duration = Duration::from_secs(5);

/// How long secrets are waited for. They may stand on a file system that hangs.
const READING: Duration = Duration::from_secs(5);

/// How long a command may hold the state directory that a daemon wants.
const HELD_BY_A_COMMAND: Duration = Duration::from_secs(10);

/// Why the daemon ended.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The shared parts could not be put together.
    #[error(transparent)]
    Assembly(#[from] AssemblyError),
    /// The control socket could not be bound.
    #[error(transparent)]
    Control(#[from] control::ControlError),
    /// The ledger failed (I4).
    #[error("the ledger failed")]
    Ledger(#[from] LedgerError),
    /// Signals could not be waited for.
    #[error("cannot wait for signals")]
    Signals(#[source] std::io::Error),
}

/// Changes what is logged, as a new configuration says.
pub trait ChangesLog: Send + Sync {
    /// Takes what can be taken now, and names the keys of the others.
    fn change(&self, log: &config::Log) -> Vec<&'static str>;
}

/// The daemon's moving parts: what a reload replaces and what the desk looks at.
pub struct Daemon {
    config_path: PathBuf,
    log: Box<dyn ChangesLog>,
    /// How long a step may go without headway.
    stall_after: watch::Sender<Duration>,
    running: Mutex<Running>,
}

struct Running {
    assembly: Arc<Assembly>,
    integrations: BTreeMap<IntegrationName, Scheduled>,
    /// Those that a reload stopped and that finish their files. An integration never runs twice at once, so each is
    /// started again only when it has left.
    leaving: BTreeMap<IntegrationName, Scheduled>,
    /// One line for each part that is disabled.
    problems: Vec<String>,
    /// Keys of the configuration that take effect at the next start.
    deferred: Vec<&'static str>,
    watch: Watch,
}

/// Runs until SIGTERM or SIGINT, then drains.
pub async fn run(config_path: PathBuf, loaded: Loaded, log: Box<dyn ChangesLog>) -> Result<(), DaemonError> {
    let mut signals = Signals::listen().map_err(DaemonError::Signals)?;
    let problems = say_problems(&loaded);
    let assembly = open(loaded.config).await?;
    assembly.open_outbox();
    let runtime_directory = assembly.config.daemon.runtime_dir.clone();
    let (stall_after, allowed) = watch::channel(assembly.config.daemon.stall_after);
    let watch = Watch::default();
    let mut running = Running {
        assembly,
        integrations: BTreeMap::new(),
        leaving: BTreeMap::new(),
        problems,
        deferred: Vec::new(),
        watch: watch.clone(),
    };
    running.start_missing();
    let integrations = running.integrations.len();
    let disabled = running.problems.len();
    let daemon = Arc::new(Daemon { config_path, log, stall_after, running: Mutex::new(running) });

    let socket = control::listen(&runtime_directory, Arc::new(Desk::beside(Arc::clone(&daemon))))?;
    tokio::spawn(notify::look_for_stalls(watch.clone(), allowed));
    tokio::spawn(beat_of_the_runtime(watch));
    events::DaemonStarted { integrations, disabled }.emit();
    // Ready before mappers are compiled: an upgrade that voids the compile cache must not time out the start (R15).
    notify::tell(&[NotifyState::Ready, NotifyState::Status(&format!("watching {integrations} integrations"))]);

    let ended = daemon.serve(&mut signals).await;
    notify::tell(&[NotifyState::Stopping]);
    let began = Instant::now();
    let drained = daemon.drain().await;
    let (outbox, grace) = {
        let running = daemon.running.lock().await;
        (running.assembly.outbox.clone(), running.assembly.config.daemon.shutdown_grace)
    };
    outbox.drain(grace.saturating_sub(began.elapsed())).await;
    socket.abort();
    ended.and(drained)
}

/// One pass of every active integration, then the end.
pub async fn run_once(
    loaded: Loaded,
    oversight: Oversight,
) -> Result<Vec<(IntegrationName, Result<PassReport, OnceError>)>, DaemonError> {
    say_problems(&loaded);
    let assembly = open(loaded.config).await?;
    assembly.open_outbox();
    let (_stall_after, allowed) = watch::channel(assembly.config.daemon.stall_after);
    let stalls = tokio::spawn(notify::look_for_stalls(oversight.watch.clone(), allowed));
    let mut passes = tokio::task::JoinSet::new();
    // What arrives while this runs is not for it.
    let slots = assembly::places(&assembly.config, Keeping::Nothing);
    for settings in assembly.config.integrations.values().cloned() {
        let effort = assembly.efforts.of(&settings.tenant);
        let oversight = Oversight { effort, ..oversight.clone() };
        let (assembly, slots) = (Arc::clone(&assembly), slots.clone());
        passes.spawn(async move {
            let name = settings.name.clone();
            (name, one_pass(&assembly, settings, &slots, &oversight).await)
        });
    }
    let mut reports = Vec::new();
    while let Some(ended) = passes.join_next().await {
        match ended {
            Ok((_, Err(OnceError::Pass(PassError::Ledger(error))))) if error.is_fatal() => return Err(error.into()),
            Ok(report) => reports.push(report),
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }
    assembly.outbox.drain(assembly.config.daemon.shutdown_grace).await;
    stalls.abort();
    reports.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(reports)
}

/// Why an integration's only pass did not end well.
#[derive(Debug, thiserror::Error)]
pub enum OnceError {
    /// Its parts could not be put together.
    #[error(transparent)]
    Part(#[from] PartError),
    /// The pass ended early.
    #[error(transparent)]
    Pass(#[from] PassError),
    /// A person paused it.
    #[error("it is paused: {0}")]
    Paused(String),
}

impl OnceError {
    /// What a person can do about it.
    pub fn hint(&self, integration: &str) -> Option<String> {
        match self {
            Self::Part(error) => error.hint(),
            Self::Pass(error) => error.hint(integration),
            Self::Paused(_) => Some(format!("gristmill resume {integration}")),
        }
    }
}

async fn one_pass(
    assembly: &Arc<Assembly>,
    settings: config::Integration,
    slots: &Slots,
    oversight: &Oversight,
) -> Result<PassReport, OnceError> {
    let control = assembly.ledger.control(&settings.name).await.map_err(PassError::from)?;
    if let Some(paused) = control.paused {
        return Err(OnceError::Paused(paused.reason));
    }
    let pipeline = assembly.pipeline(&settings).await?;
    let began = std::time::Instant::now();
    let report = crate::pass::pass(&pipeline, slots, oversight).await?;
    events::PassFinished { integration: &settings.name, report: &report, took: began.elapsed(), is_awaited: true }
        .emit();
    Ok(report)
}

impl Daemon {
    async fn serve(&self, signals: &mut Signals) -> Result<(), DaemonError> {
        let mut look = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                signal = signals.next() => match signal {
                    // What is refused was said.
                    "SIGHUP" => drop(self.reload().await),
                    signal => {
                        events::DaemonStopping { signal }.emit();
                        return Ok(());
                    }
                },
                _ = look.tick() => self.look_after().await?,
            }
        }
    }

    /// Notices tasks that have ended: those that a reload stopped are started again, if they still stand in the
    /// configuration, and so are those that panicked (R15). A ledger that failed is the end, whoever wrote to it (I4).
    async fn look_after(&self) -> Result<(), LedgerError> {
        let mut running = self.running.lock().await;
        if let Some(failure) = running.assembly.ledger.failure() {
            return Err(failure);
        }
        for scheduled in running.take_ended() {
            let integration = scheduled.settings.name.clone();
            match scheduled.stopped().await {
                Ok(()) => {}
                Err(ScheduleEnd::Ledger(error)) => return Err(error),
                Err(panic) => events::IntegrationPanicked { integration: &integration, error: &panic }.emit(),
            }
        }
        running.start_missing();
        Ok(())
    }

    /// Takes a new configuration, or keeps the old one and says so. What did not change goes on undisturbed.
    async fn reload(&self) -> Result<(), String> {
        notify::tell(&[NotifyState::Reloading]);
        let path = self.config_path.clone();
        let loaded = tokio::task::spawn_blocking(move || config::load(&path)).await;
        let taken = match loaded {
            Ok(Ok(loaded)) if !loaded.is_fatal() => self.take(loaded).await,
            Ok(Ok(loaded)) => Err(config::render_problems(&loaded.problems)),
            Ok(Err(error)) => Err(events::Chain(&error).to_string()),
            Err(_) => Err("reading it ended unexpectedly".to_owned()),
        };
        if let Err(problems) = &taken {
            events::ConfigRefused { problems }.emit();
        }
        notify::tell(&[NotifyState::Ready]);
        taken
    }

    async fn take(&self, loaded: Loaded) -> Result<(), String> {
        let mut running = self.running.lock().await;
        for (key, old, new) in [
            ("state_dir", &running.assembly.config.daemon.state_dir, &loaded.config.daemon.state_dir),
            ("runtime_dir", &running.assembly.config.daemon.runtime_dir, &loaded.config.daemon.runtime_dir),
        ] {
            if old != new {
                let (old, new) = (old.display(), new.display());
                return Err(format!("daemon.{key}: changes from `{old}` to `{new}` only with a restart"));
            }
        }
        let problems = say_problems(&loaded);
        let assembly = running.assembly.reload(loaded.config);
        self.stall_after.send_replace(assembly.config.daemon.stall_after);
        let changed = running.changed(&assembly.config);
        running.assembly = Arc::new(assembly);
        running.secrets_anew().await;
        running.deferred = self.log.change(&running.assembly.config.daemon.log);
        for key in &running.deferred {
            events::ConfigDeferred { key }.emit();
        }
        running.problems = problems;
        let stopped = changed.len();
        for name in changed {
            if let Some(scheduled) = running.integrations.remove(&name) {
                // Nobody waits for its files here: signals and the command line are still answered.
                scheduled.ask_to_stop();
                running.leaving.insert(name, scheduled);
            }
        }
        let kept = running.integrations.len();
        running.start_missing();
        let started = running.assembly.config.integrations.len() - kept;
        events::ConfigReloaded { started, stopped, kept }.emit();
        Ok(())
    }

    /// Reads every secret anew.
    async fn read_secrets(&self) {
        self.running.lock().await.secrets_anew().await;
    }

    /// Lets files in flight finish; those that take longer than the grace are given back at their next batch.
    async fn drain(&self) -> Result<(), DaemonError> {
        let mut running = self.running.lock().await;
        let grace = running.assembly.config.daemon.shutdown_grace;
        let mut scheduled: Vec<Scheduled> = std::mem::take(&mut running.integrations).into_values().collect();
        scheduled.extend(std::mem::take(&mut running.leaving).into_values());
        drop(running);
        let stops: Vec<Stop> = scheduled.iter().map(Scheduled::stop).collect();
        scheduled.iter().for_each(Scheduled::ask_to_stop);
        let mut stopped = std::pin::pin!(async {
            for scheduled in scheduled {
                match scheduled.stopped().await {
                    Err(ScheduleEnd::Ledger(error)) => return Err(error),
                    // It has stopped, too.
                    Err(ScheduleEnd::Panicked) | Ok(()) => {}
                }
            }
            Ok::<(), LedgerError>(())
        });
        if let Ok(stopped) = tokio::time::timeout(grace, &mut stopped).await {
            return Ok(stopped?);
        }
        stops.iter().for_each(Stop::give_up);
        // What is still at work after this is not recorded, so the next start takes it again (I3).
        tokio::time::timeout(GIVING_BACK, stopped).await.unwrap_or(Ok(())).map_err(DaemonError::from)
    }
}

impl Running {
    /// Has secrets read anew by whoever keeps one, and by whom the lack of one may have disabled. Destinations read theirs
    /// whenever they need them.
    async fn secrets_anew(&self) {
        self.assembly.open_outbox();
        let assembly = Arc::clone(&self.assembly);
        let renewed = tokio::spawn(async move { assembly.renew_keys().await });
        // One that is read later still counts, and nobody waits for it.
        drop(tokio::time::timeout(READING, renewed).await);
        // What disables one may also have been mended elsewhere: a destination's directory.
        self.integrations.values().filter(|kept| kept.is_disabled()).for_each(Scheduled::nudge);
    }

    fn start_missing(&mut self) {
        let wanted: Vec<config::Integration> = self
            .assembly
            .config
            .integrations
            .values()
            .filter(|settings| {
                // What another name had is taken over when nobody works under that name any more.
                !self.integrations.contains_key(&settings.name)
                    && !self.leaving.contains_key(&settings.name)
                    && !settings.renamed_from.as_ref().is_some_and(|former| self.leaving.contains_key(former))
            })
            .cloned()
            .collect();
        for settings in wanted {
            let effort = self.assembly.efforts.of(&settings.tenant);
            let oversight = Oversight { watch: self.watch.clone(), effort, ..Oversight::default() };
            let scheduled = Scheduled::start(Arc::clone(&self.assembly), settings.clone(), oversight);
            self.integrations.insert(settings.name, scheduled);
        }
    }

    /// Takes out those whose task has ended.
    fn take_ended(&mut self) -> Vec<Scheduled> {
        let Self { integrations, leaving, .. } = self;
        let ended = [integrations, leaving].map(|all| all.extract_if(.., |_, scheduled| scheduled.has_ended()));
        ended.into_iter().flatten().map(|(_, scheduled)| scheduled).collect()
    }

    /// Integrations that are gone, or made of something that is no longer the same.
    fn changed(&self, new: &Config) -> Vec<IntegrationName> {
        let old = &self.assembly.config;
        let same = |scheduled: &Scheduled| {
            let settings = &scheduled.settings;
            old.vault_key == new.vault_key
                && new.integrations.get(&settings.name) == Some(settings)
                && old.connections.get(&settings.connection) == new.connections.get(&settings.connection)
                && settings.destinations.iter().all(|name| old.destinations.get(name) == new.destinations.get(name))
                && settings.mappers().all(|name| old.mappers.get(name) == new.mappers.get(name))
        };
        self.integrations.iter().filter(|(_, scheduled)| !same(scheduled)).map(|(name, _)| name.clone()).collect()
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    reload: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            reload: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.reload.recv() => "SIGHUP",
        }
    }
}

/// Opens the state directory. A command that came while no daemon ran may hold it for a moment: that is waited for, so
/// that a look at the status never keeps a daemon from starting (R14).
async fn open(config: Config) -> Result<Arc<Assembly>, DaemonError> {
    let until = Instant::now() + HELD_BY_A_COMMAND;
    loop {
        let config = config.clone();
        match tokio::task::spawn_blocking(move || Assembly::open(config)).await {
            Ok(Err(error)) if error.is_in_use() && Instant::now() < until => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Ok(assembly) => return Ok(Arc::new(assembly?)),
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }
}

/// Logs what is disabled, and keeps a line of each for the status.
fn say_problems(loaded: &Loaded) -> Vec<String> {
    loaded
        .problems
        .iter()
        .map(|problem| {
            events::PartDisabled { part: &problem.path, problem: &problem.message }.emit();
            format!("{}: {}", problem.path, problem.message)
        })
        .collect()
}

/// A stalled async thread is a stalled task, too.
async fn beat_of_the_runtime(watch: Watch) {
    let beat = watch.begin("async runtime");
    let mut ticks = tokio::time::interval(Duration::from_millis(500));
    loop {
        ticks.tick().await;
        beat.beat();
    }
}
