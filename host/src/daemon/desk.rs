//! Answers the command line: beside a running daemon over its socket, or alone over the state directory (R14).

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::status::{IntegrationStatus, Missing};
use super::{Assembly, Daemon, PartError, Scheduled};
use crate::clock::{Clock, SystemClock};
use crate::config::Integration;
use crate::control::{Answers, BackfillChoice, Reconcile, Refusal, Reply, Request, Selection};
use crate::dry_run;
use crate::events::Chain;
use crate::failed_call::saved_of;
use crate::ingest::Pipeline;
use crate::ledger::{Again, Backfill, Filter, Ledger, LedgerError, Pause, Selector, StateName};
use crate::mapper::Figures;
use crate::object::{DestinationName, IntegrationName};
use crate::oversight::Oversight;
use crate::renames::RenameError;
use crate::source::{S3Source, SourceError};

mod connections;
mod entries;
mod explain;
mod shadow;

pub use connections::try_connection;

use entries::{adopt, export, list, reconcile, stale};
use explain::explain;

/// What answers requests.
pub struct Desk {
    place: Place,
}

enum Place {
    /// In the daemon.
    Beside(Arc<Daemon>),
    /// In a command of its own, which holds the state directory.
    Alone(Arc<Assembly>),
}

type Items = mpsc::Sender<Reply>;

/// How often it is looked whether an integration has stopped.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

impl Answers for Desk {
    async fn answer(self: Arc<Self>, request: Request, reply: Items) {
        let last = match self.carry_out(request, &reply).await {
            Ok(done) => Reply::Done(done),
            Err(refusal) => Reply::Failed(refusal),
        };
        // Whoever asked may have gone.
        let _ = reply.send(last).await;
    }
}

impl Desk {
    /// A desk in the daemon.
    pub fn beside(daemon: Arc<Daemon>) -> Self {
        Self { place: Place::Beside(daemon) }
    }

    /// A desk without a daemon.
    pub fn alone(assembly: Arc<Assembly>) -> Self {
        Self { place: Place::Alone(assembly) }
    }

    async fn assembly(&self) -> Arc<Assembly> {
        match &self.place {
            Place::Beside(daemon) => Arc::clone(&daemon.running.lock().await.assembly),
            Place::Alone(assembly) => Arc::clone(assembly),
        }
    }

    async fn carry_out(&self, request: Request, items: &Items) -> Result<Value, Refusal> {
        let assembly = self.assembly().await;
        self.settle_names(&assembly).await?;
        let ledger = &assembly.ledger;
        match request {
            Request::Status => self.status(&assembly).await,
            Request::Poll { integration } => {
                known(&assembly, &integration)?;
                self.nudge(&integration).await?;
                Ok(json!({ "integration": integration, "polling": true }))
            }
            Request::Pause { integration } => {
                known(&assembly, &integration)?;
                let pause = Pause { reason: "paused by hand".to_owned(), since: SystemClock.now() };
                ledger.change_control(&integration, |control| control.paused = Some(pause)).await.map_err(refused)?;
                self.nudge_if_running(&integration).await;
                Ok(json!({ "integration": integration, "paused": true }))
            }
            Request::Resume { integration } => {
                known(&assembly, &integration)?;
                let now = SystemClock.now();
                ledger.change_control(&integration, move |control| control.resume(now)).await.map_err(refused)?;
                self.nudge_if_running(&integration).await;
                Ok(json!({ "integration": integration, "paused": false }))
            }
            Request::Explain { integration, key } => explain(&assembly, &integration, &key).await,
            Request::Backfill { integration, choice } => {
                let settings = known(&assembly, &integration)?;
                let decided = match choice {
                    BackfillChoice::All => Backfill::All,
                    BackfillChoice::None => Backfill::None,
                    BackfillChoice::Since(date) => Backfill::Since(midnight(settings, date)?),
                };
                let change = |control: &mut crate::ledger::Control| control.backfill = Some(decided);
                let control = ledger.change_control(&integration, change).await.map_err(refused)?;
                self.nudge_if_running(&integration).await;
                Ok(json!({ "integration": integration, "backfill": choice, "settled": control.settled }))
            }
            Request::LedgerList { integration, states, prefix, limit } => {
                let mut sent = 0;
                let mut names: Vec<IntegrationName> = assembly.config.integrations.keys().cloned().collect();
                names.extend(assembly.config.switched_off.keys().cloned());
                if let Some(integration) = integration {
                    names = vec![integration];
                }
                for name in names {
                    let filter = Filter { prefix: prefix.clone(), states: states.clone(), ..Filter::default() };
                    sent += list(ledger, &name, filter, limit - sent, items).await?;
                }
                Ok(json!({ "count": sent }))
            }
            Request::LedgerShow { integration, key } => {
                let versions = ledger.show(&integration, &key).await.map_err(refused)?;
                send_all(items, &versions).await
            }
            Request::LedgerExport => export(ledger.clone(), items).await,
            Request::Again { integration, selection, again } => {
                let settings = known(&assembly, &integration)?;
                let selector = match selection {
                    Selection::Key(key) => Selector::Key(key),
                    Selection::Prefix(prefix) => Selector::Prefix(prefix),
                    Selection::Since(date) => Selector::Since(midnight(settings, date)?),
                    Selection::Unmatched => Selector::Unmatched,
                    Selection::Stale => Selector::Stale(self.pipeline(&assembly, &integration).await?.recipe.digest()),
                };
                let asked =
                    ledger.ask_again(&integration, selector, again, SystemClock.now()).await.map_err(refused)?;
                match again {
                    Again::Listed => drop(self.nudge_if_running(&integration).await),
                    Again::Every => self.list_everything_if_running(&integration).await,
                }
                to_value(&asked)
            }
            Request::Stale { integration, limit, differences } => {
                let pipeline = self.pipeline(&assembly, &integration).await?;
                stale(&pipeline, limit, differences, items).await
            }
            Request::Reconcile { integration, wish } => {
                let settings = known(&assembly, &integration)?;
                self.refuse_before_former_one_has_left(settings).await?;
                assembly.settle_names(settings).await.map_err(|error| part_refused(&error))?;
                let reconciled = reconcile(&assembly, settings, wish, items).await?;
                if wish == Reconcile::TakeAgain {
                    self.nudge_if_running(&integration).await;
                }
                Ok(reconciled)
            }
            Request::Adopt { integration, adoption } => {
                let settings = known(&assembly, &integration)?;
                let adopted = adopt(&assembly, settings, adoption).await?;
                self.nudge_if_running(&integration).await;
                Ok(adopted)
            }
            Request::Reload => {
                if let Place::Beside(daemon) = &self.place {
                    let refused = |problems| Refusal::new(format!("the configuration is refused: {problems}"));
                    daemon.reload().await.map_err(refused)?;
                }
                Ok(json!({ "reloaded": true }))
            }
            Request::ReadSecrets => {
                if let Place::Beside(daemon) = &self.place {
                    daemon.read_secrets().await;
                }
                Ok(json!({ "read": true }))
            }
            Request::SettleNames { integration } => {
                let settings = known(&assembly, &integration)?;
                self.former_one_has_left(settings).await;
                assembly.settle_names(settings).await.map_err(|error| part_refused(&error))?;
                // One that never took a file is known by now, too, so that another name can follow it.
                let control = ledger.change_control(&integration, |_| ()).await.map_err(refused)?;
                self.nudge_if_running(&integration).await;
                Ok(json!({ "integration": integration, "former_names": control.former_names, "place": control.place }))
            }
            Request::Whereabouts { integration } => {
                let control = ledger.control(&integration).await.map_err(refused)?;
                Ok(json!({ "integration": integration, "place": control.place }))
            }
            Request::ConnectionTest { connection, target } => {
                self.test_connection(&assembly, connection, target, items).await
            }
            Request::ConnectionTry { connection, table, targets } => {
                try_connection(connection, table, targets, assembly.config.secrets(), items).await
            }
            Request::ConnectionBuckets { connection } => {
                let opened = self.opened(&assembly, &connection).await?;
                let buckets = opened.buckets().await.map_err(|error| source_refused(&error))?;
                Ok(json!({ "connection": connection, "buckets": buckets }))
            }
            Request::ConnectionPrefixes { connection, bucket } => {
                let opened = self.opened(&assembly, &connection).await?;
                let found = opened.prefixes(&bucket).await.map_err(|error| source_refused(&error))?;
                let (prefixes, has_more) = (found.prefixes, found.has_more);
                Ok(json!({ "connection": connection, "bucket": bucket, "prefixes": prefixes, "has_more": has_more }))
            }
            Request::NewestObjects { connection, target } => {
                let opened = self.opened(&assembly, &connection).await?;
                connections::newest_objects(&opened.source(target.bucket, target.prefix), items).await
            }
            Request::Sample { connection, bucket, key } => {
                let opened = self.opened(&assembly, &connection).await?;
                connections::sample(&assembly, &opened.source(bucket, key.as_str()), &key, items).await
            }
            Request::DestinationMigrate { destination } => migrate(&assembly, destination).await,
            Request::Test { integration, bucket, key } => {
                let pipeline = self.pipeline(&assembly, &integration).await?;
                if pipeline.settings.bucket != bucket {
                    let own = &pipeline.settings.bucket;
                    return Err(Refusal::new(format!("`{integration}` takes files from the bucket `{own}`")));
                }
                let report = dry_run::of_key(&pipeline, &key, &Oversight::default()).await;
                to_value(&report.map_err(|error| Refusal::of(&error))?)
            }
            Request::Shadow { mapper, integration, last, component, signature, signature_path } => {
                let wish = shadow::Wish { mapper, integration, last };
                let component = shadow::Component { bytes: component, signature, signature_path };
                self.shadow(&assembly, wish, component, items).await
            }
        }
    }

    /// Without a daemon nobody else sees that the ledger knows every integration by the name it has now. One that cannot
    /// be renamed is told of where it would be put together.
    async fn settle_names(&self, assembly: &Assembly) -> Result<(), Refusal> {
        if let Place::Alone(_) = self.place {
            for settings in assembly.config.integrations.values().chain(assembly.config.switched_off.values()) {
                if let Err(RenameError::Ledger(error)) = assembly.settle_in_ledger(settings).await {
                    return Err(refused(error));
                }
            }
        }
        Ok(())
    }

    async fn status(&self, assembly: &Assembly) -> Result<Value, Refusal> {
        let (mut integrations, problems, deferred) = match &self.place {
            Place::Beside(daemon) => {
                let running = daemon.running.lock().await;
                // One that a reload stopped may still finish its files.
                let all = running.integrations.values().chain(running.leaving.values());
                let integrations = all.map(|scheduled| scheduled.board.read()).collect();
                (integrations, running.problems.clone(), running.deferred.clone())
            }
            Place::Alone(assembly) => {
                let boards: Vec<_> = assembly.config.integrations.values().map(super::status::idle).collect();
                (boards, Vec::new(), Vec::new())
            }
        };
        for status in &mut integrations {
            let overview = assembly.ledger.overview(&status.integration).await.map_err(refused)?;
            status.backlog = overview.backlog;
            status.objects =
                overview.counts.into_iter().map(|(state, count)| (state.as_str().to_owned(), count)).collect();
            status.missing = missing_somewhere(&assembly.ledger, status).await?;
            if let Some(settings) = assembly.config.integration(&status.integration) {
                let control = assembly.ledger.control(&status.integration).await.map_err(refused)?;
                status.expect_files(&control, settings, SystemClock.now());
            }
        }
        integrations.sort_by(|one, other| one.order().cmp(&other.order()));
        Ok(json!({
            "version": env!("CARGO_PKG_VERSION"),
            "daemon": matches!(self.place, Place::Beside(_)),
            "disk": to_value(&assembly.disk())?,
            "integrations": to_value(&integrations)?,
            "tenants": to_value(&super::status::tenants(assembly))?,
            "mappers": mappers(assembly)?,
            "kept_back": to_value(&assembly.breakers.open())?,
            "problems": problems,
            "at_the_next_start": deferred,
        }))
    }

    async fn pipeline(
        &self,
        assembly: &Arc<Assembly>,
        integration: &IntegrationName,
    ) -> Result<Arc<Pipeline<S3Source>>, Refusal> {
        let settings = known(assembly, integration)?;
        if let Place::Beside(daemon) = &self.place {
            let running = daemon.running.lock().await;
            let ready = running.integrations.get(integration).and_then(|scheduled| scheduled.pipeline.borrow().clone());
            if let Some(pipeline) = ready {
                return Ok(pipeline);
            }
        }
        self.refuse_before_former_one_has_left(settings).await?;
        assembly.pipeline(settings).await.map_err(|error| part_refused(&error))
    }

    /// Under which name files are at work that were begun under a former name, or in a former place, and have to be
    /// finished first.
    async fn former_one(&self, settings: &Integration) -> Option<IntegrationName> {
        let Place::Beside(daemon) = &self.place else { return None };
        let itself = settings.moved_from.as_ref().map(|_| &settings.name);
        let running = daemon.running.lock().await;
        let mut names = settings.renamed_from.iter().chain(itself);
        names.find(|name| running.leaving.contains_key(*name)).cloned()
    }

    async fn former_one_has_left(&self, settings: &Integration) {
        while self.former_one(settings).await.is_some() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    async fn refuse_before_former_one_has_left(&self, settings: &Integration) -> Result<(), Refusal> {
        match self.former_one(settings).await {
            Some(name) => Err(Refusal::new(format!("the files that `{name}` has begun are not finished yet"))),
            None => Ok(()),
        }
    }

    async fn nudge(&self, integration: &IntegrationName) -> Result<(), Refusal> {
        if self.nudge_if_running(integration).await {
            return Ok(());
        }
        Err(match &self.place {
            Place::Beside(_) => Refusal::new(format!("the integration `{integration}` is not active")),
            Place::Alone(_) => {
                Refusal::new("no daemon is running").hint("one pass without a daemon: gristmill run --once")
            }
        })
    }

    async fn nudge_if_running(&self, integration: &IntegrationName) -> bool {
        let Place::Beside(daemon) = &self.place else { return false };
        let running = daemon.running.lock().await;
        running.integrations.get(integration).map(Scheduled::nudge).is_some()
    }

    async fn list_everything_if_running(&self, integration: &IntegrationName) {
        if let Place::Beside(daemon) = &self.place {
            daemon.running.lock().await.integrations.get(integration).into_iter().for_each(Scheduled::list_everything);
        }
    }
}

/// One object that some destinations have and others do not, if there is any.
async fn missing_somewhere(ledger: &Ledger, status: &IntegrationStatus) -> Result<Option<Missing>, Refusal> {
    if !status.objects.contains_key(StateName::Delivered.as_str()) {
        return Ok(None);
    }
    let filter = Filter { states: vec![StateName::Delivered], limit: 1, ..Filter::default() };
    let mut listed = ledger.list(&status.integration, filter).await.map_err(refused)?;
    Ok(listed.entries.pop().map(|entry| Missing {
        key: entry.object.key,
        failure: entry.failure.map(|failure| failure.message).unwrap_or_default(),
    }))
}

/// The figures of each mapper, how its breakers stand, and what is saved of its failures.
fn mappers(assembly: &Assembly) -> Result<Vec<Value>, Refusal> {
    let directory = assembly.failed_calls_directory();
    let with_more = |figures: Figures| {
        let (breakers, saved) = (assembly.breakers.states(figures.sha256), saved_of(&directory, &figures.mapper));
        let mut value = to_value(&figures)?;
        if let Value::Object(fields) = &mut value {
            fields.insert("breakers".into(), to_value(&breakers)?);
            fields.insert("saved".into(), to_value(&saved)?);
        }
        Ok(value)
    };
    assembly.workshop().figures().into_iter().map(with_more).collect()
}

fn midnight(settings: &Integration, date: Date) -> Result<Timestamp, Refusal> {
    let zoned = date.to_zoned(settings.timezone.zone().clone()).map_err(|error| Refusal::of(&error))?;
    Ok(zoned.timestamp())
}

fn known<'a>(assembly: &'a Assembly, integration: &IntegrationName) -> Result<&'a Integration, Refusal> {
    assembly.config.integration(integration).ok_or_else(|| {
        let names: Vec<&str> = assembly.config.integrations.keys().map(IntegrationName::as_str).collect();
        Refusal::new(format!("there is no integration `{integration}`, or a problem of its own disables it"))
            .hint(format!("configured: {}", names.join(", ")))
    })
}

async fn send(items: &Items, item: Value) -> Result<(), Refusal> {
    items.send(Reply::Item(item)).await.map_err(|_| Refusal::new("nobody listens"))
}

async fn send_all<T: serde::Serialize>(items: &Items, all: &[T]) -> Result<Value, Refusal> {
    for item in all {
        send(items, to_value(item)?).await?;
    }
    Ok(json!({ "count": all.len() }))
}

fn to_value(value: &impl serde::Serialize) -> Result<Value, Refusal> {
    serde_json::to_value(value).map_err(|error| Refusal::of(&error))
}

async fn migrate(assembly: &Assembly, name: DestinationName) -> Result<Value, Refusal> {
    let Some(destination) = assembly.config.destinations.get(&name) else {
        return Err(Refusal::new(format!("there is no destination `{name}`, or a problem of its own disables it"))
            .hint("gristmill check shows every problem"));
    };
    let (kind, secrets) = (destination.kind.clone(), assembly.config.secrets());
    let migrated = tokio::task::spawn_blocking(move || super::migrate(&kind, &secrets)).await;
    let migrated = migrated.map_err(|_| Refusal::new("the migration ended unexpectedly"))?.map_err(|error| {
        let refusal = Refusal::new(Chain(&error));
        match error.hint() {
            Some(hint) => refusal.hint(hint),
            None => refusal,
        }
    })?;
    Ok(match migrated {
        Some(migrated) => json!({ "destination": name, "from": migrated.from, "to": migrated.to }),
        None => json!({ "destination": name }),
    })
}

fn refused(error: LedgerError) -> Refusal {
    Refusal::new(Chain(&error))
}

fn source_refused(error: &SourceError) -> Refusal {
    let refusal = Refusal::of(error);
    match error.hint() {
        Some(hint) => refusal.hint(hint),
        None => refusal,
    }
}

fn part_refused(error: &PartError) -> Refusal {
    let refusal = Refusal::of(error);
    match error.hint() {
        Some(hint) => refusal.hint(hint),
        None => refusal,
    }
}
