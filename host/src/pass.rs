//! The flow, first screen: one pass over one integration, from its listing to its ledger.
//!
//! List a page, drop what the ledger knows, ingest each new object, record the outcome. The next page is listed while
//! one is worked, and several objects are at work at once, as many as there are slots. Only listing and ledger errors
//! escape; what happens to an object is an outcome. It knows no SDK, redb or wasmtime type.
//!
//! What came after the integration's first listing is begun before what was there already: a backfill waits until the
//! listing has shown every new arrival, uses half the slots, and stops in time for the next listing (R16).

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use serde::Serialize;
use tokio::task::{JoinError, JoinSet};

use crate::clock::random;
use crate::config;
use crate::destination::{DestinationError, OnNoMatch, RowCounts};
use crate::events;
use crate::ingest::{BreakerChange, Confirmed, Failure, Outcome, Pipeline, Suspended, ingest};
use crate::ledger::{self, AdmitPolicy, Facts, LedgerError, NewObject, Place, Recorded, State};
use crate::notify::{Kind, Notice};
use crate::object::{Object, ObjectKey};
use crate::oversight::Oversight;
use crate::rejects;
use crate::retry::{self, ErrorClass, Step};
use crate::source::{Ignored, Page, Source, SourceError, Start};

mod backfill;
mod census;
mod confirmations;
mod listing;
mod place;
mod slots;

use backfill::{HeldBack, Turn, decide_backfill};
use confirmations::refuse_unconfirmed;
use listing::Listing;
use place::refuse_another_place;
pub use slots::{Allowance, Holding, Keeping, Lane, Slot, Slots};

/// What a pass found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PassReport {
    /// CSV and Excel objects in the listing.
    pub listed: u64,
    /// What else was in it.
    pub ignored: Ignored,
    /// Objects whose state asks for nothing now.
    pub known: u64,
    /// Objects merged without a reject.
    pub succeeded: u64,
    /// Objects merged less their rejects.
    pub partial: u64,
    /// Objects that needed no records.
    pub skipped: u64,
    /// Objects of which nothing was merged, or not in every destination.
    pub failed: u64,
    /// Whether objects of a backfill were left to the next pass, which follows at once (R16).
    pub unfinished: bool,
}

/// Why a pass ended early.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// The bucket could not be listed.
    #[error(transparent)]
    List(#[from] SourceError),
    /// The ledger failed; a failed write ends the process (I4).
    #[error("the ledger failed")]
    Ledger(#[from] LedgerError),
    /// The destination could not say whether it has accounts.
    #[error("the destination failed")]
    Destination(#[from] DestinationError),
    /// There is nothing to match against yet (R7).
    #[error("there are no accounts yet, and rows that match none are skipped")]
    NoAccounts,
    /// The bucket holds more than a first pass takes unasked (R16).
    #[error("the first listing shows more than {limit} objects")]
    BackfillUndecided {
        /// The limit that was exceeded.
        limit: u64,
    },
    /// It looks elsewhere than before, and nobody said what that means (R17).
    #[error("it looked for its files in {before}, and now in {now}")]
    AnotherPlace {
        /// Where its files were.
        before: Box<Place>,
        /// Where they are to be.
        now: Box<Place>,
    },
    /// The destination lacks what it is said to have (R18).
    #[error("{}, and the destination never confirmed {}", completed(*count), if *count == 1 { "it" } else { "them" })]
    Unconfirmed {
        /// How many versions of keys.
        count: u64,
    },
    /// A mapper fails on file after file.
    #[error("mapper `{}` failed on {} files in a row: one is tried after {:.0}", .0.mapper, .0.files, .0.until)]
    MapperFails(Suspended),
    /// What stopped one object would stop every other.
    #[error("the pass was given up")]
    GivenUp(#[source] Failure),
    /// A task of ours panicked.
    #[error("a step of the pass ended unexpectedly")]
    Panicked,
}

impl From<JoinError> for PassError {
    /// Without its words, which may hold data; where it was has been said.
    fn from(_: JoinError) -> Self {
        Self::Panicked
    }
}

impl PassError {
    /// What a person can do about it.
    pub fn hint(&self, integration: &str) -> Option<String> {
        match self {
            Self::List(error) => error.hint(),
            Self::GivenUp(failure) => failure.hint(),
            Self::NoAccounts => Some(
                "set `on_no_match = \"create\"` under `matching`, let another integration create the accounts, or load them \
                 with `gristmill accounts import`"
                    .into(),
            ),
            Self::BackfillUndecided { .. } => {
                Some(format!("say which to take: gristmill backfill {integration} all|none|DATE"))
            }
            Self::AnotherPlace { before, now } if before.site() == now.site() => Some(format!(
                "what it has taken stays taken: gristmill ledger adopt {integration}; everything anew: gristmill ledger adopt \
                 {integration} --reingest"
            )),
            Self::AnotherPlace { before, now } if before.is_known_as(now) => Some(format!(
                "its files were moved there: gristmill integration repoint {integration}; they are others, beside those that \
                 it has taken: gristmill ledger adopt {integration}; everything anew: gristmill ledger adopt {integration} \
                 --reingest"
            )),
            Self::AnotherPlace { before, .. } => Some(format!(
                "its files were moved there: gristmill integration repoint {integration}; or put `{}` and the bucket `{}` \
                 back; or take everything there anew: gristmill ledger adopt {integration} --reingest",
                before.connection, before.bucket
            )),
            Self::Unconfirmed { .. } => Some(format!(
                "the store is older than the ledger, or another one: gristmill ledger reconcile {integration} takes exactly \
                 these again, and lists them with --dry-run"
            )),
            Self::MapperFails(_) => Some(format!(
                "gristmill ledger list {integration} says where it failed; with another component those files are tried once \
                 more, and to try now: gristmill poll {integration}"
            )),
            Self::Ledger(_) | Self::Destination(_) | Self::Panicked => None,
        }
    }
}

fn completed(count: u64) -> String {
    match count {
        1 => "one file is completed in the ledger".to_owned(),
        count => format!("{count} files are completed in the ledger"),
    }
}

/// Takes everything that is new, once.
pub async fn pass<S: Source>(
    pipeline: &Arc<Pipeline<S>>,
    slots: &Slots,
    oversight: &Oversight,
) -> Result<PassReport, PassError> {
    refuse_another_place(pipeline).await?;
    say_added_destinations(pipeline).await?;
    refuse_unconfirmed(pipeline, oversight).await?;
    refuse_empty_store(pipeline, oversight).await?;
    let settled = decide_backfill(pipeline, oversight).await?;
    let mut pass = Pass {
        pipeline,
        oversight,
        mapper_memory: pipeline.mapper_memory(),
        settled,
        report: PassReport::default(),
        at_work: JoinSet::new(),
        keys_at_work: HashSet::new(),
        stops: None,
        reached: None,
        leaves_work: false,
    };
    let begun = pass.begin(slots).await;
    // Whatever ended the listing, what was begun is finished and recorded first.
    let report = pass.finish().await?;
    begun?;
    say_recovered(pipeline, &report).await?;
    Ok(report)
}

/// R20: objects failed before, and now some were merged and none failed.
async fn say_recovered<S>(pipeline: &Pipeline<S>, report: &PassReport) -> Result<(), LedgerError> {
    if report.failed > 0 || report.succeeded + report.partial == 0 {
        return Ok(());
    }
    let (ledger, integration) = (&pipeline.ledger, &pipeline.settings.name);
    if let Some(since) = ledger.control(integration).await?.failing_since {
        events::IntegrationRecovered { integration, since }.emit();
        let (tenant, now) = (&pipeline.settings.tenant, pipeline.clock.now());
        let notice = Notice::new(Kind::Recovered, tenant, integration, &since.to_string(), now);
        pipeline.outbox.tell(&Notice { since: Some(since), ..notice });
        ledger.change_control(integration, |control| control.failing_since = None).await?;
    }
    Ok(())
}

/// What was completed before a destination came is not brought to it by itself: a person decides that.
async fn say_added_destinations<S>(pipeline: &Pipeline<S>) -> Result<(), LedgerError> {
    let (ledger, integration) = (&pipeline.ledger, &pipeline.settings.name);
    let now = &pipeline.settings.destinations;
    let before = ledger.control(integration).await?.destinations;
    if before == *now {
        return Ok(());
    }
    for destination in now.iter().filter(|name| !before.is_empty() && !before.contains(name)) {
        events::DestinationAdded { integration, destination }.emit();
    }
    let now = now.clone();
    ledger.change_control(integration, |control| control.destinations = now).await.map(drop)
}

/// A mapper is kept from files, or no longer.
fn say_breaker<S>(pipeline: &Pipeline<S>, change: BreakerChange) {
    let (tenant, integration) = (&pipeline.settings.tenant, &pipeline.settings.name);
    match change {
        BreakerChange::Opened(Suspended { mapper, files, until }) => {
            events::MapperKeptBack { tenant, integration, mapper: &mapper, files, until }.emit();
        }
        BreakerChange::Closed { mapper } => events::MapperLetBack { tenant, integration, mapper: &mapper }.emit(),
    }
}

/// Tells of an object that was merged in part or failed.
fn tell<S>(pipeline: &Pipeline<S>, new: &NewObject, kind: Kind, rows: Option<RowCounts>, state: &State, facts: &Facts) {
    let (identity, object) = (new.identity(), new.object());
    let about = format!("{} {} {}", identity.dedup_key, identity.generation.0, new.attempts());
    let notice = Notice::new(kind, &pipeline.settings.tenant, &identity.integration, &about, facts.at);
    pipeline.outbox.tell(&Notice {
        object: Some(object.clone()),
        rows,
        rejects: rejects::files_of(&pipeline.rejects_directory, identity, object),
        failure: facts.failure.clone(),
        state: Some(state.clone()),
        ..notice
    });
}

struct Pass<'a, S> {
    pipeline: &'a Arc<Pipeline<S>>,
    oversight: &'a Oversight,
    /// What the mappers of one file may use.
    mapper_memory: u64,
    /// When what was there first had been dealt with.
    settled: Timestamp,
    report: PassReport,
    at_work: JoinSet<(ObjectKey, Result<Ended, LedgerError>)>,
    /// Those of the objects at work. A server may name a key once more, on another page.
    keys_at_work: HashSet<ObjectKey>,
    /// Why no more objects are begun, once that is so.
    stops: Option<PassError>,
    /// What a listing that went to its end has come to, when keys only grow.
    reached: Option<(Start, ObjectKey)>,
    /// Whether anything that was listed is left to a later pass.
    leaves_work: bool,
}

/// Whether a pass begins more objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Going {
    On,
    Ends,
}

/// How an object that was at work counts.
enum Ended {
    Succeeded,
    Partial,
    Skipped,
    Failed,
    /// The daemon is stopping; the object stays as it was.
    GivenBack,
    /// Every other object would meet the same; the object stays as it was.
    PassStops(Failure),
}

impl<S: Source> Pass<'_, S> {
    /// Begins every object that asks for work: new arrivals page by page, then the backfill.
    async fn begin(&mut self, slots: &Slots) -> Result<(), PassError> {
        let mut held_back = HeldBack::default();
        let mut turn = Turn::default();
        match self.begin_arrivals(slots, &mut held_back).await {
            Ok(Going::Ends) => return Ok(()),
            Ok(Going::On) if held_back.too_many => drop(held_back),
            Ok(Going::On) => return self.begin_backfill(held_back.objects, slots, &mut turn).await.map(drop),
            // A listing that always breaks off somewhere must not keep a backfill from getting on.
            Err(error @ PassError::List(_)) => {
                self.begin_backfill(held_back.objects, slots, &mut turn).await?;
                return Err(error);
            }
            Err(error) => return Err(error),
        }
        let mut listing = Listing::begin(self.pipeline, self.oversight);
        while let Some(mut page) = listing.next().await? {
            page.objects.retain(|object| self.lane(object) == Lane::Backfill);
            let work = self.admit(page.objects).await?;
            if let Going::Ends = self.begin_backfill(work, slots, &mut turn).await? {
                break;
            }
        }
        Ok(())
    }

    async fn begin_arrivals(&mut self, slots: &Slots, held_back: &mut HeldBack) -> Result<Going, PassError> {
        let mut listing = Listing::of_arrivals(self.pipeline, self.oversight).await?;
        while let Some(page) = listing.next().await? {
            for new in self.count_and_admit(page).await? {
                match self.lane(new.object()) {
                    Lane::Arrivals => {
                        if let Going::Ends = self.start(new, Lane::Arrivals, slots).await? {
                            return Ok(Going::Ends);
                        }
                    }
                    Lane::Backfill => held_back.push(new),
                }
            }
        }
        self.reached = listing.reached();
        Ok(Going::On)
    }

    /// What was there before the integration is backfill, also when it is tried or asked for again.
    fn lane(&self, object: &Object) -> Lane {
        if object.last_modified < self.settled { Lane::Backfill } else { Lane::Arrivals }
    }

    /// Begins objects of a backfill until its turn is over.
    async fn begin_backfill(
        &mut self,
        work: Vec<NewObject>,
        slots: &Slots,
        turn: &mut Turn,
    ) -> Result<Going, PassError> {
        for new in work {
            if slots.keeping() == Keeping::Half && turn.is_over(self.pipeline) {
                self.report.unfinished = true;
                return Ok(Going::Ends);
            }
            if let Going::Ends = self.start(new, Lane::Backfill, slots).await? {
                return Ok(Going::Ends);
            }
            // The wait for its slot was others' time.
            turn.began.get_or_insert_with(|| self.pipeline.clock.now());
        }
        Ok(Going::On)
    }

    async fn count_and_admit(&mut self, page: Page) -> Result<Vec<NewObject>, LedgerError> {
        let listed = page.objects.len() as u64;
        self.report.listed += listed;
        self.report.ignored += page.ignored;
        self.leaves_work |= page.ignored.too_young > 0;
        let work = self.admit(page.objects).await?;
        self.report.known += listed - work.len() as u64;
        Ok(work)
    }

    async fn admit(&mut self, objects: Vec<Object>) -> Result<Vec<NewObject>, LedgerError> {
        let policy = AdmitPolicy {
            now: self.pipeline.clock.now(),
            on_revert: match self.pipeline.settings.on_revert {
                config::OnRevert::Skip => ledger::OnRevert::Skip,
                config::OnRevert::Ingest => ledger::OnRevert::Ingest,
            },
            mapping: self.pipeline.tried_under(),
        };
        let admitted = self.pipeline.ledger.admit(&self.pipeline.settings.name, objects, &policy).await?;
        for object in &admitted.reverted {
            events::ObjectReverted { integration: &self.pipeline.settings.name, object }.emit();
        }
        self.leaves_work |= admitted.known.waiting > 0;
        // Before the ledger was asked as well as now: what ends in between stays in the set until the next one is begun.
        let mut work = admitted.work;
        work.retain(|new| !self.is_at_work(new));
        Ok(work)
    }

    /// Whether a version of this key is at work. Another is then left to the next pass (R2).
    fn is_at_work(&mut self, new: &NewObject) -> bool {
        let is_at_work = self.keys_at_work.contains(&new.object().key);
        self.leaves_work |= is_at_work;
        is_at_work
    }

    /// Begins an object as soon as there is a slot for it, unless the pass ends first.
    async fn start(&mut self, new: NewObject, lane: Lane, slots: &Slots) -> Result<Going, PassError> {
        let slot = slots.take(&self.pipeline.settings.tenant, lane, self.mapper_memory).await;
        if self.oversight.stop.asked() || self.stops.is_some() {
            return Ok(Going::Ends);
        }
        if self.is_at_work(&new) {
            return Ok(Going::On);
        }
        let (pipeline, oversight) = (Arc::clone(self.pipeline), self.oversight.clone());
        let turns = match pipeline.breakers.admit(pipeline.clock.now()) {
            Ok(turns) => turns,
            Err(suspended) => {
                self.stops = Some(PassError::MapperFails(suspended));
                return Ok(Going::Ends);
            }
        };
        let key = new.object().key.clone();
        self.keys_at_work.insert(key.clone());
        self.at_work.spawn(async move {
            let began = Instant::now();
            let outcome = ingest(&pipeline, &new, &oversight).await;
            for change in turns.ended(&outcome, pipeline.clock.now()) {
                say_breaker(&pipeline, change);
            }
            let ended = record(&pipeline, &new, outcome, began).await;
            drop(slot);
            (key, ended)
        });
        while let Some(ended) = self.at_work.try_join_next() {
            self.count(ended?)?;
        }
        Ok(Going::On)
    }

    async fn finish(mut self) -> Result<PassReport, PassError> {
        while let Some(ended) = self.at_work.join_next().await {
            self.count(ended?)?;
        }
        if let Some(error) = self.stops {
            return Err(error);
        }
        let leaves_work = self.leaves_work || self.report.unfinished || self.report.failed > 0;
        if let Some((start, key)) = self.reached.filter(|_| !leaves_work) {
            self.pipeline.mark.reach(start, key);
        }
        Ok(self.report)
    }

    fn count(&mut self, (key, ended): (ObjectKey, Result<Ended, LedgerError>)) -> Result<(), LedgerError> {
        self.keys_at_work.remove(&key);
        match ended? {
            Ended::Succeeded => self.report.succeeded += 1,
            Ended::Partial => self.report.partial += 1,
            Ended::Skipped => self.report.skipped += 1,
            Ended::Failed => self.report.failed += 1,
            Ended::GivenBack => self.leaves_work = true,
            Ended::PassStops(failure) => self.stops = Some(PassError::GivenUp(failure)),
        }
        Ok(())
    }
}

/// Records what became of an object. It is complete only now, after all its destinations confirmed it (I1).
async fn record<S: Source>(
    pipeline: &Pipeline<S>,
    new: &NewObject,
    outcome: Outcome,
    began: Instant,
) -> Result<Ended, LedgerError> {
    let (integration, object) = (&pipeline.settings.name, new.object());
    let at = pipeline.clock.now();
    match outcome {
        Outcome::Merged(confirmed) => {
            let facts = facts_of(pipeline, new, &confirmed, at);
            let summary = confirmed.summary;
            let is_partial = summary.rows.rejected > 0;
            if is_partial {
                tell(pipeline, new, Kind::Partial, Some(summary.rows), &State::Completed, &facts);
            }
            if let Recorded::Stored = pipeline.ledger.record(new, State::Completed, facts).await? {
                events::ObjectCompleted { integration, object, summary: &summary, took: began.elapsed() }.emit();
            }
            Ok(if is_partial { Ended::Partial } else { Ended::Succeeded })
        }
        Outcome::Skipped(skip) => {
            if let Some(reason) = skip.reason() {
                pipeline.ledger.record(new, State::Skipped { reason }, Facts::at(at)).await?;
            }
            events::ObjectSkipped { integration, object, reason: skip.as_str() }.emit();
            Ok(Ended::Skipped)
        }
        Outcome::Delivered(confirmed, failure) => {
            let facts = facts_of(pipeline, new, &confirmed, at);
            record_failure(pipeline, new, failure, facts, Some(confirmed.summary.rows)).await
        }
        Outcome::Failed(failure) => {
            let rows = match &failure {
                Failure::TooManyRejects { rows, .. } => Some(*rows),
                _ => None,
            };
            record_failure(pipeline, new, failure, Facts::at(at), rows).await
        }
    }
}

/// What is known of an object that was merged somewhere.
fn facts_of<S>(pipeline: &Pipeline<S>, new: &NewObject, confirmed: &Confirmed, at: Timestamp) -> Facts {
    let today = pipeline.recipe.digest();
    // What came to some destinations under another mapping is stale, whatever the others got (R6).
    let is_of_one_mapping = new.confirmed().is_empty() || new.delivered_under() == Some(&today);
    Facts {
        content: Some(confirmed.summary.content),
        mapping: is_of_one_mapping.then_some(today),
        summary: serde_json::to_value(&confirmed.summary).ok(),
        confirmed: confirmed.by.clone(),
        ..Facts::at(at)
    }
}

/// Records that an object was not merged, or not everywhere.
async fn record_failure<S: Source>(
    pipeline: &Pipeline<S>,
    new: &NewObject,
    failure: Failure,
    mut facts: Facts,
    rows: Option<RowCounts>,
) -> Result<Ended, LedgerError> {
    if let Failure::Stopped = failure {
        return Ok(Ended::GivenBack);
    }
    let (integration, object) = (&pipeline.settings.name, new.object());
    let is_somewhere = !facts.confirmed.is_empty();
    let class = failure.class();
    let attempts = new.attempts() + 1;
    let later = |after| facts.at.saturating_add(after).unwrap_or(Timestamp::MAX);
    let state = match retry::next_step(class, attempts, random()) {
        Step::Stop => return Ok(Ended::PassStops(failure)),
        // Some destinations have what is no longer in the bucket.
        Step::Forget if is_somewhere => State::Delivered { attempts, retry_after: facts.at },
        Step::Forget => return Ok(Ended::GivenBack),
        Step::Quarantine => State::Quarantined { reason: events::Chain(&failure).to_string() },
        Step::Retry { after } if is_somewhere => State::Delivered { attempts, retry_after: later(after) },
        Step::Retry { after } => State::Failed { attempts, retry_after: later(after) },
    };
    if !matches!(state, State::Delivered { .. }) {
        // Another mapping, or another limit, may help where the file or the mapper is to blame, and only there (R6).
        let may_help = matches!(class, ErrorClass::Content | ErrorClass::Mapper | ErrorClass::TooManyUnmatched);
        facts.mapping = may_help.then(|| pipeline.tried_under());
    }
    let hint = failure.hint();
    let message = events::Chain(&failure).to_string();
    facts.failure = Some(ledger::Failure { class: class.to_string(), message, hint: hint.clone() });
    let class = class.as_str();
    let saved = failure.saved_call();
    events::ObjectFailed { integration, object, class, error: &failure, hint, state: &state, saved }.emit();
    if attempts == 1 || matches!(state, State::Quarantined { .. }) {
        tell(pipeline, new, Kind::Failed, rows, &state, &facts);
    }
    pipeline.ledger.record(new, state, facts).await?;
    Ok(Ended::Failed)
}

/// R7: with an empty store and `skip`, every row would be lost without a trace.
async fn refuse_empty_store<S: Source>(pipeline: &Arc<Pipeline<S>>, oversight: &Oversight) -> Result<(), PassError> {
    if pipeline.settings.matching.on_no_match == OnNoMatch::Create {
        return Ok(());
    }
    let (asked, asking) = (Arc::clone(pipeline), oversight.watch.begin("look for accounts"));
    let lacks_accounts = move || {
        let deciding = asked.destinations.deciding();
        let lacks = deciding.destination.lacks_accounts(&asked.settings.tenant);
        drop(asking);
        lacks
    };
    match tokio::task::spawn_blocking(lacks_accounts).await?? {
        Some(true) => Err(PassError::NoAccounts),
        Some(false) | None => Ok(()),
    }
}
