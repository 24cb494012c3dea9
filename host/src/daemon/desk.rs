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
use crate::control::{Adoption, Answers, BackfillChoice, Reconcile, Refusal, Reply, Request, Selection, Target};
use crate::decode::Format;
use crate::dry_run;
use crate::events::{Chain, ShellWord};
use crate::ingest::Pipeline;
use crate::ledger::{
    Again, Backfill, Entry, Filter, Ledger, LedgerError, Pause, Reconciled, Selector, SkipReason, State, StateName,
};
use crate::object::{ConnectionKey, DestinationName, IntegrationName, ObjectKey};
use crate::oversight::Oversight;
use crate::reconcile::{CompareError, Comparison};
use crate::renames::{self, RenameError};
use crate::source::{Connection, S3Source, SourceError, Unwanted, Wanted};

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
                if again == Again::Listed {
                    self.nudge_if_running(&integration).await;
                }
                to_value(&asked)
            }
            Request::Stale { integration, limit, differences } => {
                let pipeline = self.pipeline(&assembly, &integration).await?;
                stale(&pipeline, limit, differences, items).await
            }
            Request::Reconcile { integration, wish } => {
                let settings = known(&assembly, &integration)?;
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
            Request::SettleNames { integration } => {
                let settings = known(&assembly, &integration)?;
                self.former_name_has_left(settings).await;
                let former = assembly.settle_names(settings).await.map_err(|error| part_refused(&error))?;
                // One that never took a file is known by now, too, so that another name can follow it.
                ledger.change_control(&integration, |_| ()).await.map_err(refused)?;
                Ok(json!({ "integration": integration, "former_names": former }))
            }
            Request::ConnectionTest { connection, target } => {
                self.test_connection(&assembly, connection, target, items).await
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
        }
    }

    /// Without a daemon nobody else sees that the ledger knows every integration by the name it has now. One that cannot
    /// be renamed is told of where it would be put together.
    async fn settle_names(&self, assembly: &Assembly) -> Result<(), Refusal> {
        if let Place::Alone(_) = self.place {
            for settings in assembly.config.integrations.values().chain(assembly.config.switched_off.values()) {
                if let Err(RenameError::Ledger(error)) = renames::in_ledger(&assembly.ledger, settings).await {
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
            "problems": problems,
            "at_the_next_start": deferred,
        }))
    }

    async fn test_connection(
        &self,
        assembly: &Arc<Assembly>,
        connection: ConnectionKey,
        target: Option<Target>,
        items: &Items,
    ) -> Result<Value, Refusal> {
        let opened = self.opened(assembly, &connection).await?;
        let targets: Vec<Target> = match target {
            Some(target) => vec![target],
            None => assembly
                .config
                .integrations
                .values()
                .filter(|settings| settings.connection == connection)
                .map(|settings| Target { bucket: settings.bucket.clone(), prefix: settings.prefix.clone() })
                .collect(),
        };
        if targets.is_empty() {
            return Err(Refusal::new(format!("no integration uses the connection `{connection}`"))
                .hint(format!("name a bucket: gristmill connection test {connection} s3://BUCKET/PREFIX")));
        }
        let mut sound = true;
        for target in targets {
            let probe = opened.source(target.bucket.clone(), target.prefix.clone()).probe().await;
            sound &= probe.is_sound();
            send(items, to_value(&probe)?).await?;
        }
        Ok(json!({ "connection": connection, "sound": sound }))
    }

    /// A connection as if for the first time: what a person asks about is not what was remembered.
    async fn opened(&self, assembly: &Arc<Assembly>, connection: &ConnectionKey) -> Result<Connection, Refusal> {
        if !assembly.config.connections.contains_key(connection) {
            return Err(Refusal::new(format!(
                "there is no connection `{connection}`, or a problem of its own disables it"
            ))
            .hint("gristmill check shows every problem"));
        }
        assembly.new_connection(connection).await.map_err(|error| part_refused(&error))
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
            if let Some(former) = settings.renamed_from.as_ref().filter(|former| running.leaving.contains_key(*former))
            {
                return Err(Refusal::new(format!("the files that `{former}` has begun are not finished yet")));
            }
        }
        assembly.pipeline(settings).await.map_err(|error| part_refused(&error))
    }

    /// Waits until the files that were begun under a former name are finished.
    async fn former_name_has_left(&self, settings: &Integration) {
        let (Place::Beside(daemon), Some(former)) = (&self.place, &settings.renamed_from) else { return };
        while daemon.running.lock().await.leaving.contains_key(former) {
            tokio::time::sleep(LOOK_AGAIN).await;
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

async fn explain(assembly: &Assembly, integration: &IntegrationName, key: &ObjectKey) -> Result<Value, Refusal> {
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

/// Sends the objects that were completed under another mapping than today's, the first of them with what would change
/// (R6), and counts them all.
async fn stale(
    pipeline: &Arc<Pipeline<S3Source>>,
    limit: usize,
    differences: usize,
    items: &Items,
) -> Result<Value, Refusal> {
    let mut filter = Filter { stale_under: Some(pipeline.recipe.digest()), limit: 1_000, ..Filter::default() };
    let mut count = 0;
    loop {
        let listed = pipeline.ledger.list(&pipeline.settings.name, filter.clone()).await.map_err(refused)?;
        for entry in listed.entries {
            if count < limit {
                let mut item = to_value(&entry)?;
                if let (true, Some(fields)) = (count < differences, item.as_object_mut()) {
                    match dry_run::of_object(pipeline, entry.object, &Oversight::default()).await {
                        Ok(found) => fields.insert("today".to_owned(), to_value(&found)?),
                        Err(error) => fields.insert("refused".to_owned(), Chain(&error).to_string().into()),
                    };
                }
                send(items, item).await?;
            }
            count += 1;
        }
        filter.after = listed.next;
        if filter.after.is_none() {
            return Ok(json!({ "integration": pipeline.settings.name, "count": count }));
        }
    }
}

/// Sends the objects that are completed and were never confirmed (R18), page by page, and takes them again if that is
/// wished. What is done is done: should it be cut short, the same request does the rest.
async fn reconcile(
    assembly: &Arc<Assembly>,
    settings: &Integration,
    wish: Reconcile,
    items: &Items,
) -> Result<Value, Refusal> {
    let (opening, opened) = (Arc::clone(assembly), settings.clone());
    let destinations = tokio::task::spawn_blocking(move || opening.destinations(&opened)).await;
    let destinations = destinations.unwrap_or(Err(PartError::Panicked)).map_err(|error| part_refused(&error))?;
    let failed = |error: CompareError| Refusal::of(&error);
    let begun = Comparison::begin(&assembly.ledger, &destinations, settings).await.map_err(failed)?;
    let Some(mut comparison) = begun else {
        let names: Vec<String> = settings.destinations.iter().map(|name| format!("`{name}`")).collect();
        let message = format!("what {} confirmed may have been taken away since", names.join(" and "));
        return Err(Refusal::new(message).hint(format!(
            "nothing can be compared; `gristmill replay {} --prefix PREFIX` takes files again",
            settings.name
        )));
    };
    let (mut count, mut done) = (0, Reconciled::default());
    while let Some(unconfirmed) = comparison.next().await.map_err(failed)? {
        count += unconfirmed.len();
        for entry in &unconfirmed {
            send(items, to_value(entry)?).await?;
        }
        if wish == Reconcile::TakeAgain && !unconfirmed.is_empty() {
            let page = assembly.ledger.take_again(unconfirmed, SystemClock.now()).await.map_err(refused)?;
            done = Reconciled { again: done.again + page.again, lost: done.lost + page.lost };
        }
    }
    match comparison.unanswered() {
        Some(error) => Err(Refusal::of(error)),
        None => Ok(json!({ "integration": settings.name, "count": count, "again": done.again, "lost": done.lost })),
    }
}

/// Goes on where an integration looks now.
async fn adopt(assembly: &Assembly, settings: &Integration, adoption: Adoption) -> Result<Value, Refusal> {
    let (ledger, integration) = (&assembly.ledger, &settings.name);
    let now = assembly.place(settings).map_err(|error| part_refused(&error))?;
    let before = ledger.control(integration).await.map_err(refused)?.place;
    let is_known = before.as_ref().is_none_or(|before| before.is_known_as(&now));
    let mut again = 0;
    match adoption {
        Adoption::Keep if !is_known => {
            let message = format!("the ledger has what it has taken by connection and bucket, and nothing of {now}");
            let hint = format!("to take everything there anew: gristmill ledger adopt {integration} --reingest");
            return Err(Refusal::new(message).hint(hint));
        }
        Adoption::Keep => {}
        Adoption::Reingest => {
            // Before the place is noted: what is cut off here is asked for once more.
            let every = Selector::Prefix(String::new());
            let at = SystemClock.now();
            again = ledger.ask_again(integration, every, Again::Every, at).await.map_err(refused)?.keys;
        }
    }
    let noted = now.clone();
    ledger.change_control(integration, |control| control.place = Some(noted)).await.map_err(refused)?;
    Ok(json!({ "integration": integration, "before": before, "now": now, "again": again }))
}

/// Sends entries page by page, so that a big ledger does not stand in memory. Returns how many.
async fn list(
    ledger: &Ledger,
    integration: &IntegrationName,
    mut filter: Filter,
    limit: usize,
    items: &Items,
) -> Result<usize, Refusal> {
    let mut sent = 0;
    while sent < limit {
        filter.limit = (limit - sent).min(1_000);
        let listed = ledger.list(integration, filter.clone()).await.map_err(refused)?;
        sent += listed.entries.len();
        for entry in &listed.entries {
            send(items, to_value(entry)?).await?;
        }
        filter.after = listed.next;
        if filter.after.is_none() {
            break;
        }
    }
    Ok(sent)
}

/// Sends the whole ledger line by line; the export itself blocks.
async fn export(ledger: Ledger, items: &Items) -> Result<Value, Refusal> {
    struct Lines(Items, Vec<u8>);
    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            for byte in bytes {
                if *byte == b'\n' {
                    let value = serde_json::from_slice(&self.1)?;
                    self.1.clear();
                    self.0.blocking_send(Reply::Item(value)).map_err(std::io::Error::other)?;
                } else {
                    self.1.push(*byte);
                }
            }
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut lines = Lines(items.clone(), Vec::new());
    let exported = tokio::task::spawn_blocking(move || ledger.export(&mut lines)).await;
    exported.map_err(|error| Refusal::of(&error))?.map_err(refused)?;
    Ok(json!({ "exported": true }))
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
    let kind = destination.kind.clone();
    let migrated = tokio::task::spawn_blocking(move || super::migrate(&kind)).await;
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
