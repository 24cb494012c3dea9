//! What another component would make of the files that a mapper took last.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::{Desk, Items, known, part_refused, refused, send, to_value};
use crate::config::{self, Integration, MapperChoice};
use crate::control::{Attachment, Refusal};
use crate::daemon::assembly::{Candidate, CandidateError};
use crate::daemon::{Assembly, PartError};
use crate::events::Chain;
use crate::ingest::{Failure, Pipeline};
use crate::ledger::{Entry, Filter, Ledger, StateName, Versions};
use crate::mapper::Mapper;
use crate::object::{IntegrationName, MapperName};
use crate::oversight::{Oversight, Stop};
use crate::retry::ErrorClass;
use crate::shadow::{Comparison, Found, ObjectReport, Shadow, Side, Told};
use crate::source::{S3Source, Source};
use crate::spool::SpooledObject;

/// How often it is said how far it is.
const PROGRESS: Duration = Duration::from_millis(250);
/// Entries of the ledger that are read at once.
const PAGE: usize = 1_000;

/// Which files of which mapper.
pub(super) struct Wish {
    pub(super) mapper: MapperName,
    pub(super) integration: Option<IntegrationName>,
    pub(super) last: usize,
}

/// The other component, with its signature.
pub(super) struct Component {
    pub(super) bytes: Attachment,
    pub(super) signature: Option<String>,
    pub(super) signature_path: PathBuf,
}

/// What the files came to.
#[derive(Debug, Default)]
struct Counts {
    same: usize,
    different: usize,
    skipped: usize,
    failed: usize,
}

impl Counts {
    fn add(&mut self, found: &Found) {
        *match found {
            Found::Compared(comparison) if comparison.same => &mut self.same,
            Found::Compared(_) => &mut self.different,
            Found::Skipped { .. } => &mut self.skipped,
            Found::Failed { .. } => &mut self.failed,
        } += 1;
    }
}

impl Desk {
    /// Runs both components on the files, and tells of each what differs.
    pub(super) async fn shadow(
        &self,
        assembly: &Arc<Assembly>,
        wish: Wish,
        component: Component,
        items: &Items,
    ) -> Result<Value, Refusal> {
        let Wish { mapper: name, integration, last } = wish;
        let integrations: Vec<Integration> = match &integration {
            Some(integration) => vec![known(assembly, integration)?.clone()],
            None => assembly.config.integrations.values().cloned().collect(),
        };
        let configured = assembly.config.mappers.get(&name).ok_or_else(|| {
            let names: Vec<&str> = assembly.config.mappers.keys().map(MapperName::as_str).collect();
            Refusal::new(format!("there is no mapper `{name}`, or a problem of its own disables it"))
                .hint(format!("configured: {}", names.join(", ")))
        })?;
        let integrations: Vec<Integration> = integrations.into_iter().filter(|one| uses(one, &name)).collect();
        if integrations.is_empty() {
            let whose = integration.map_or("no integration".to_owned(), |one| format!("`{one}` is none that"));
            return Err(Refusal::new(format!("{whose} uses the mapper `{name}`")));
        }
        let [current, new] = load(assembly, &name, configured, component).await?;
        let digests = [current.digest(), new.digest()];
        let (mut counts, mut unfit, oversight) = (Counts::default(), 0, Oversight::default());
        let _until_nobody_waits = GivesUp(oversight.stop.clone());
        for settings in &integrations {
            let integration = settings.name.clone();
            let sides = match self.sides(assembly, settings, &name, [&current, &new]).await {
                Ok(sides) => sides,
                Err(Refusal { message, hint }) => {
                    unfit += 1;
                    send(items, to_value(&Told::Refused { integration, message, hint })?).await?;
                    continue;
                }
            };
            let entries = newest(&assembly.ledger, &integration, last).await?;
            let of = entries.len();
            for (place, entry) in entries.into_iter().enumerate() {
                let told = |rows| Told::Progress { integration: integration.clone(), file: place + 1, of, rows };
                let found = sides.look(&entry, items, &oversight, told).await?;
                counts.add(&found);
                let Entry { integration, object, changed: completed, .. } = entry;
                let report = ObjectReport { integration, key: object.key, etag: object.etag, completed, found };
                send(items, to_value(&Told::Object(report))?).await?;
            }
        }
        let Counts { same, different, skipped, failed } = counts;
        let [current, new] = digests;
        Ok(json!({
            "mapper": name, "current": current, "new": new,
            "same": same > 0 && different + failed + unfit == 0,
            "files": { "same": same, "different": different, "skipped": skipped, "failed": failed },
            "refused": unfit,
        }))
    }

    /// Both components in the recipe of one integration.
    async fn sides(
        &self,
        assembly: &Arc<Assembly>,
        settings: &Integration,
        name: &MapperName,
        [current, new]: [&Arc<Mapper>; 2],
    ) -> Result<Sides, Refusal> {
        let pipeline = self.pipeline(assembly, &settings.name).await?;
        let side = |mapper: &Arc<Mapper>| {
            let (assembly, settings, name) = (Arc::clone(assembly), settings.clone(), name.clone());
            let (mapper, former) = (Arc::new(mapper.unmetered()), pipeline.recipe.former.clone());
            blocking(move || {
                let mut recipe = assembly.workshop().recipe_aside(&assembly.config, &settings, &name, &mapper)?;
                recipe.former = former;
                Ok::<_, PartError>(Side::new(recipe, mapper))
            })
        };
        let current = side(current).await?.map_err(|error| part_refused(&error))?;
        let new = side(new).await?.map_err(|error| match error {
            PartError::Settings { .. } | PartError::Mapper { .. } => {
                Refusal::new(format!("the new component does not fit: {}", Chain(&error)))
            }
            error => part_refused(&error),
        })?;
        Ok(Sides { pipeline, both: Arc::new(Mutex::new((current, new))) })
    }
}

/// Has work that blocks end at its next batch when nobody waits for it any more.
struct GivesUp(Stop);

impl Drop for GivesUp {
    fn drop(&mut self) {
        self.0.give_up();
    }
}

/// Both components in one integration.
struct Sides {
    pipeline: Arc<Pipeline<S3Source>>,
    both: Arc<Mutex<(Side, Side)>>,
}

impl Sides {
    /// Has them run on one object. An error means that nobody listens any more.
    async fn look(
        &self,
        entry: &Entry,
        items: &Items,
        oversight: &Oversight,
        told: impl Fn(u64) -> Told,
    ) -> Result<Found, Refusal> {
        let told = || to_value(&told(oversight.progress.rows()));
        send(items, told()?).await?;
        let name = entry.identity().digest();
        let kept = self.pipeline.spool.take_kept(&name);
        let is_kept = kept.is_some();
        let fetched = tokio::select! {
            fetched = self.copy(kept, entry, oversight) => fetched,
            () = items.closed() => return Err(Refusal::new("nobody listens")),
        };
        let spooled = match fetched {
            Ok(spooled) => Arc::new(spooled),
            Err(failure) => return Ok(without_copy(&failure)),
        };
        let mut working = std::pin::pin!(blocking({
            let (pipeline, both, entry) = (Arc::clone(&self.pipeline), Arc::clone(&self.both), entry.clone());
            let (spooled, oversight) = (Arc::clone(&spooled), oversight.clone());
            move || compare(&pipeline, &both, &entry, &spooled, &oversight)
        }));
        let compared = loop {
            tokio::select! {
                compared = &mut working => break compared,
                () = tokio::time::sleep(PROGRESS) => send(items, told()?).await?,
            }
        };
        if let (true, Some(spooled)) = (is_kept, Arc::into_inner(spooled)) {
            spooled.keep(name);
        }
        match compared? {
            Ok(comparison) => Ok(Found::Compared(Box::new(comparison))),
            Err(failure) => Ok(Found::Failed { message: Chain(&failure).to_string(), hint: failure.hint() }),
        }
    }

    /// The local copy that was kept, or a new one of the version that was taken.
    async fn copy(
        &self,
        kept: Option<SpooledObject>,
        entry: &Entry,
        oversight: &Oversight,
    ) -> Result<SpooledObject, Failure> {
        if let Some(kept) = kept {
            return Ok(kept);
        }
        let reservation = self.pipeline.spool.reserve_when_free(entry.object.size).await?;
        let fetching = oversight.watch.begin("fetch");
        Ok(self.pipeline.source.fetch(&entry.object, reservation, &fetching).await?)
    }
}

/// Runs both on the local copy. Blocks.
fn compare(
    pipeline: &Pipeline<S3Source>,
    both: &Mutex<(Side, Side)>,
    entry: &Entry,
    spooled: &SpooledObject,
    oversight: &Oversight,
) -> Result<Comparison, Failure> {
    // A run that panicked leaves whole recipes behind.
    let (current, new) = &mut *both.lock().unwrap_or_else(PoisonError::into_inner);
    let mut shadow = Shadow {
        tenant: &pipeline.settings.tenant,
        reject_limits: pipeline.settings.reject_limits,
        destination: pipeline.destinations.deciding().destination.as_ref(),
        scratch: pipeline.spool.directory(),
        current,
        new,
    };
    shadow.compare(&entry.identity(), &entry.object, || spooled.open().map_err(Failure::from), oversight)
}

/// What is said of an object of which there is no copy.
fn without_copy(failure: &Failure) -> Found {
    let skipped = |reason: &str| Found::Skipped { reason: reason.to_owned() };
    match failure.class() {
        ErrorClass::Gone => skipped("deleted since it was taken"),
        ErrorClass::Changed => skipped("replaced since it was taken"),
        _ => Found::Failed { message: Chain(failure).to_string(), hint: failure.hint() },
    }
}

/// The mapper as it is, and the other component as it would be.
async fn load(
    assembly: &Arc<Assembly>,
    name: &MapperName,
    configured: &config::Mapper,
    component: Component,
) -> Result<[Arc<Mapper>; 2], Refusal> {
    let (working, of, configured) = (Arc::clone(assembly), name.clone(), configured.clone());
    let loaded = blocking(move || -> Result<_, CandidateError> {
        let Component { bytes, signature, signature_path } = &component;
        let candidate = Candidate { bytes: bytes.bytes(), signature: signature.as_deref(), signature_path };
        let new = working.workshop().candidate(&of, &configured, &candidate)?;
        let current = working.workshop().mapper(&working.config, &MapperChoice::Named(of))?;
        Ok([current, Arc::new(new)])
    });
    loaded.await?.map_err(|error| match &error {
        CandidateError::Part(error) => part_refused(error),
        CandidateError::Unsound(_) => {
            let hint = error.hint();
            let refusal = Refusal::new(format!("the component cannot become the mapper `{name}`: {error}"));
            Refusal { hint, ..refusal }
        }
    })
}

/// The objects that were completed last, the newest first; of each key the newest version that was.
async fn newest(ledger: &Ledger, integration: &IntegrationName, last: usize) -> Result<Vec<Entry>, Refusal> {
    let mut filter =
        Filter { states: vec![StateName::Completed], versions: Versions::Every, limit: PAGE, ..Filter::default() };
    let mut newest: Vec<Entry> = Vec::new();
    // A key's versions stand together, over the end of a page as well.
    let mut in_hand: Option<Entry> = None;
    loop {
        let listed = ledger.list(integration, filter.clone()).await.map_err(refused)?;
        for entry in listed.entries {
            match &mut in_hand {
                Some(known) if is_same_key(known, &entry) => {
                    if entry.arrival > known.arrival {
                        *known = entry;
                    }
                }
                _ => newest.extend(in_hand.replace(entry)),
            }
        }
        filter.after = listed.next;
        if filter.after.is_none() {
            newest.extend(in_hand.take());
        }
        newest
            .sort_by(|one, other| other.changed.cmp(&one.changed).then_with(|| one.object.key.cmp(&other.object.key)));
        newest.truncate(last);
        if filter.after.is_none() {
            return Ok(newest);
        }
    }
}

fn is_same_key(one: &Entry, other: &Entry) -> bool {
    let place = |entry: &Entry| (entry.object.connection.clone(), entry.object.bucket.clone());
    one.object.key == other.object.key && place(one) == place(other)
}

fn uses(settings: &Integration, name: &MapperName) -> bool {
    let transforms = [&settings.field_mapping, &settings.product_usage];
    transforms
        .into_iter()
        .flatten()
        .any(|transform| matches!(&transform.mapper, MapperChoice::Named(chosen) if chosen == name))
}

/// Runs blocking work off the async threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Refusal::new("the comparison ended unexpectedly"))
}
