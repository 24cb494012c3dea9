//! The flow, second screen: one object, from the bucket to its destinations.
//!
//! Fetch to the spool, decode, map, stage, merge. Every failure folds into an [`Outcome`]; nothing escapes. It knows no
//! SDK, redb or wasmtime type.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use jiff::tz::TimeZone;
use tokio::sync::oneshot;

use crate::account_fields::{AccountFieldError, AccountFields};
use crate::clock::Clock;
use crate::config::{self, ContentHashing, MapperChoice, OnMapperFailure, OnRevert};
use crate::decode::{DecodeError, Format};
use crate::destination::{Brings, Delivery, DestinationError, Intake, RowCounts};
use crate::events::{self, ShellWord};
use crate::failed_call::FailedCalls;
use crate::ledger::{Ledger, LedgerError, NewObject, Place, SameContent, SkipReason};
use crate::mapper::{Blame, Mapper, MapperError};
use crate::notify::Outbox;
use crate::object::{IntegrationName, MappingDigest, Object, ObjectKey, TenantName};
use crate::oversight::Oversight;
use crate::rejects::{self, Former, IssueLog, RejectsError};
use crate::retry::ErrorClass;
use crate::source::{ListBudget, Mark, Source, SourceError};
use crate::spool::{Spool, SpoolError, SpooledObject};
use crate::worker::Launcher;

mod breaker;
mod delivery;
mod evidence;
mod mapping;
mod mended;
mod poison;
mod reader;
mod repeat;
mod transform;

pub use breaker::{BreakerChange, BreakerState, BreakerStatus, Breakers, KeptBack, RecipeBreakers, Suspended};
pub use delivery::{Confirmed, DestinationSet, Fed, NamedDestination, Refusals, Stagings, Standing};
pub use evidence::Evidence;
pub use mended::{MendedError, Rows};
pub use poison::{Place as MapperPlace, Poisonous, without_poisonous};
pub use reader::Reader;
pub use repeat::{RepeatError, Repeated, repeat};
pub use transform::{Again, OpenedTable, Taken, Transformed, transform};

/// An integration ready to run: everything an ingestion needs beside its object.
pub struct Pipeline<S> {
    /// What the configuration says of it.
    pub settings: config::Integration,
    /// Where its objects are.
    pub source: S,
    /// The same, as the ledger knows it.
    pub place: Place,
    /// What is done to them.
    pub recipe: Recipe,
    /// Where their records go.
    pub destinations: DestinationSet,
    /// What happened to them.
    pub ledger: Ledger,
    /// Where local copies lie.
    pub spool: Spool,
    /// Where reject files go.
    pub rejects_directory: PathBuf,
    /// Who is told of what goes wrong.
    pub outbox: Outbox,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where its next listing begins, when keys only grow.
    pub mark: Mark,
    /// How soon that may be.
    pub list_budget: ListBudget,
    /// Where calls are saved on which a mapper failed.
    pub failed_calls: FailedCalls,
    /// Whether its mappers fail on every file.
    pub breakers: RecipeBreakers,
    /// Whether the ledger was held against the destination (R18).
    pub is_compared: AtomicBool,
}

impl<S> Pipeline<S> {
    /// How much memory the mappers of one of its files may use by their own limits. The built-in one is ours, and does not
    /// count.
    pub fn mapper_memory(&self) -> u64 {
        let transforms =
            [(&self.settings.field_mapping, &self.recipe.fields), (&self.settings.product_usage, &self.recipe.usage)];
        let memory =
            |(chosen, transform): (&Option<config::Transform>, &Option<Transform>)| match chosen.as_ref()?.mapper {
                MapperChoice::BuiltIn => None,
                MapperChoice::Named(_) => Some(transform.as_ref()?.mapper.limits().memory as u64),
            };
        transforms.into_iter().filter_map(memory).sum()
    }

    /// The digest of everything that decides whether an object is merged: of the recipe (R6) and of the limits on its rows
    /// (R11). What failed under one is tried once more under another.
    pub fn tried_under(&self) -> MappingDigest {
        let limits = (self.settings.reject_limits, self.settings.matching.max_unmatched);
        if limits == Default::default() {
            return self.recipe.digest();
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.recipe.digest().as_bytes());
        hasher.update(serde_json::json!(limits).to_string().as_bytes());
        MappingDigest::from_bytes(*hasher.finalize().as_bytes())
    }
}

/// What decides how an object's bytes become records, whatever it is delivered to.
pub struct Recipe {
    /// The integration's name, as mappers see it.
    pub integration: IntegrationName,
    /// Whose it is.
    pub tenant: TenantName,
    /// How files are read.
    pub decode: crate::decode::DecodeOptions,
    /// Makes account records.
    pub fields: Option<Transform>,
    /// Makes usage records.
    pub usage: Option<Transform>,
    /// The time zone that dates are read in (R8).
    pub timezone: TimeZone,
    /// Its IANA name.
    pub timezone_name: String,
    /// Which account fields a custom mapper may bring, and what tells users. What the built-in one brings was held against the
    /// declared fields with its settings.
    pub account_fields: AccountFields,
    /// What becomes of a file on which a mapper itself fails.
    pub on_mapper_failure: OnMapperFailure,
    /// How workers are started.
    pub launcher: Launcher,
    /// What the integration was known by before: reject files may have it (R17).
    pub former: Former,
    digest: MappingDigest,
}

/// One transform: a mapper and the settings it is opened with.
#[derive(Clone)]
pub struct Transform {
    /// The component.
    pub mapper: Arc<Mapper>,
    /// Its settings, as JSON.
    pub settings: Arc<str>,
}

impl Recipe {
    /// An integration's recipe, with these transforms.
    pub fn new(
        settings: &config::Integration,
        fields: Option<Transform>,
        usage: Option<Transform>,
        launcher: Launcher,
    ) -> Self {
        let fields_are_custom =
            settings.field_mapping.as_ref().is_some_and(|mapping| mapping.mapper != MapperChoice::BuiltIn);
        let mut recipe = Self {
            integration: settings.name.clone(),
            tenant: settings.tenant.clone(),
            decode: settings.decode.clone(),
            fields,
            usage,
            timezone: settings.timezone.zone().clone(),
            timezone_name: settings.timezone.name().to_owned(),
            account_fields: match fields_are_custom {
                true => settings.account_fields.clone(),
                false => {
                    AccountFields { users_by: settings.account_fields.users_by.clone(), ..AccountFields::default() }
                }
            },
            on_mapper_failure: settings.on_mapper_failure,
            launcher,
            former: Former::default(),
            digest: MappingDigest::from_bytes([0; 32]),
        };
        recipe.digest = recipe.make_digest();
        recipe
    }

    /// The recipe of a mapper that is tried without an integration: it may bring any field.
    pub fn of_mapper(
        (integration, tenant): (IntegrationName, TenantName),
        decode: crate::decode::DecodeOptions,
        timezone: config::Timezone,
        [fields, usage]: [Option<Transform>; 2],
        launcher: Launcher,
    ) -> Self {
        let mut recipe = Self {
            integration,
            tenant,
            decode,
            fields,
            usage,
            timezone: timezone.zone().clone(),
            timezone_name: timezone.name().to_owned(),
            account_fields: AccountFields::default(),
            on_mapper_failure: OnMapperFailure::FailFile,
            launcher,
            former: Former::default(),
            digest: MappingDigest::from_bytes([0; 32]),
        };
        recipe.digest = recipe.make_digest();
        recipe
    }

    /// The digest of everything that decides what rows become (R6).
    pub fn digest(&self) -> MappingDigest {
        self.digest
    }

    fn make_digest(&self) -> MappingDigest {
        let mut hasher = blake3::Hasher::new();
        let mut part = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        part(serde_json::json!(self.decode).to_string().as_bytes());
        part(self.timezone_name.as_bytes());
        for transform in [&self.fields, &self.usage] {
            match transform {
                Some(transform) => {
                    part(transform.mapper.digest().as_bytes());
                    part(transform.settings.as_bytes());
                }
                None => part(&[]),
            }
        }
        // What failed is tried once more when its rows may be left out.
        if self.on_mapper_failure != OnMapperFailure::FailFile {
            part(b"reject_row");
        }
        // What was refused for its fields is tried once more when other fields are allowed.
        if !self.account_fields.are_open() {
            part(serde_json::json!(self.account_fields).to_string().as_bytes());
        }
        MappingDigest::from_bytes(*hasher.finalize().as_bytes())
    }
}

/// What became of one object.
#[derive(Debug)]
pub enum Outcome {
    /// Merged into every destination, less its rejected rows.
    Merged(Confirmed),
    /// Merged into some destinations; the failure kept it from the others.
    Delivered(Confirmed, Failure),
    /// Nothing of it counts, and nothing of it needs to.
    Skipped(Skip),
    /// Nothing of it was merged.
    Failed(Failure),
}

/// Why an object needs no records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Skip {
    /// An earlier version of the key had the same bytes (R5, R4).
    SameContent(SameContent),
    /// It was deleted since it was listed.
    Gone,
    /// It was replaced since it was listed; the next pass sees the new version.
    Changed,
}

impl Skip {
    /// As it stands in the log.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::SameContent(SameContent::Unchanged { .. }) => "same content as the version before",
            Self::SameContent(SameContent::Reverted { .. }) => "same content as an older version",
            Self::Gone => "deleted since it was listed",
            Self::Changed => "replaced since it was listed",
        }
    }

    /// As the ledger keeps it; none where the next listing shows what stands there now.
    pub fn reason(&self) -> Option<SkipReason> {
        match self {
            Self::SameContent(SameContent::Unchanged { of }) => Some(SkipReason::SameContent { of: of.clone() }),
            Self::SameContent(SameContent::Reverted { to }) => Some(SkipReason::Reverted { to: to.clone() }),
            Self::Gone => Some(SkipReason::Gone),
            Self::Changed => None,
        }
    }
}

/// Why an ingestion failed; says whose fault it is.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The object could not be read from the bucket.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// There was no room for the local copy.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The file is not what it should be.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Its name does not say what it is; a listing leaves such keys out.
    #[error("`{0}` is neither .csv nor .xlsx nor .xls")]
    UnknownFormat(ObjectKey),
    /// The local copy could not be opened again.
    #[error("cannot open the local copy")]
    LocalCopy(#[source] std::io::Error),
    /// A mapped column's name stands in the header more than once, so nobody can say which is meant.
    #[error("more than one column is called `{column}`, and it is mapped")]
    DuplicateColumn {
        /// The name.
        column: String,
    },
    /// A mapper refused the file or broke its contract.
    #[error(
        "mapper `{mapper}` {}{}",
        if source.blame() == Blame::File { "refuses the file" } else { "failed" },
        place.as_ref().map(|place| format!(" {place}")).unwrap_or_default()
    )]
    Mapper {
        /// The mapper's name.
        mapper: Box<str>,
        /// Where, when it is one row's doing.
        place: Option<Box<MapperPlace>>,
        /// What it did.
        #[source]
        source: MapperError,
        /// What would make it fail again; none where the mapper is not to blame, or the call is not saved.
        evidence: Option<Box<Evidence>>,
    },
    /// A mapper brings account fields that it may not.
    #[error(transparent)]
    AccountField(#[from] AccountFieldError),
    /// The destination did not take it.
    #[error(transparent)]
    Destination(#[from] DestinationError),
    /// Some of several destinations did not take it.
    #[error("{0}")]
    Refused(Refusals),
    /// The reject file could not be written.
    #[error(transparent)]
    Rejects(#[from] RejectsError),
    /// More rows were rejected than the integration allows (R11).
    #[error("{} of {} rows were rejected, and {limit}", rows.rejected, rows.read)]
    TooManyRejects {
        /// The rows.
        rows: RowCounts,
        /// The limit.
        limit: String,
    },
    /// It is a mended reject file that cannot be taken.
    #[error(transparent)]
    Mended(#[from] MendedError),
    /// The ledger could not be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The daemon is stopping; the object stays new.
    #[error("stopped before the file was merged")]
    Stopped,
    /// A thread of ours panicked.
    #[error("a step of the ingestion ended unexpectedly")]
    Panicked,
}

impl Failure {
    /// What decides whether it is tried again.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Source(error) => error.class(),
            Self::Spool(error) => error.class(),
            Self::Rejects(_) | Self::Ledger(_) | Self::Panicked => ErrorClass::Ours,
            Self::Decode(error) if error.is_files_fault() => ErrorClass::Content,
            Self::UnknownFormat(_) | Self::DuplicateColumn { .. } | Self::TooManyRejects { .. } => ErrorClass::Content,
            Self::Mended(MendedError::NotTaken { .. }) | Self::Destination(DestinationError::OriginNotTaken { .. }) => {
                ErrorClass::OriginNotTaken
            }
            Self::Mended(_) => ErrorClass::Content,
            Self::Decode(_) | Self::Stopped | Self::LocalCopy(_) => ErrorClass::Ours,
            Self::AccountField(_) => ErrorClass::Mapper,
            Self::Mapper { source, .. } => match source.blame() {
                Blame::File => ErrorClass::Content,
                Blame::Mapper => ErrorClass::Mapper,
                Blame::Configuration | Blame::Ours => ErrorClass::Ours,
            },
            Self::Destination(error) => destination_class(error),
            Self::Refused(refusals) => refusals.class(),
        }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Source(error) => error.hint(),
            Self::Spool(error) => error.hint(),
            Self::Ledger(error) => error.hint().map(str::to_owned),
            Self::Destination(error) => error.hint().map(str::to_owned),
            Self::Mended(error) => Some(error.hint().to_owned()),
            Self::Refused(refusals) => refusals.hint().map(str::to_owned),
            Self::AccountField(error) => Some(error.hint()),
            Self::Mapper { .. } => self.saved_call().map(|path| {
                format!("to see it fail again: gristmill mapper replay {}", ShellWord(&path.display().to_string()))
            }),
            Self::TooManyRejects { .. } => Some(
                "the reject file has every such row; mend the file or the mapping, and upload or replay it".to_owned(),
            ),
            _ => None,
        }
    }
}

fn destination_class(error: &DestinationError) -> ErrorClass {
    match error {
        DestinationError::NoAccountMatched { .. } | DestinationError::NotMatched { .. } => ErrorClass::NoAccountMatched,
        DestinationError::TooManyUnmatched { .. } => ErrorClass::TooManyUnmatched,
        error if error.is_files_fault() => ErrorClass::Content,
        _ => ErrorClass::Destination,
    }
}

/// Takes one object the whole way. It is safe to repeat after a crash at any point (I3).
pub async fn ingest<S: Source>(pipeline: &Arc<Pipeline<S>>, new: &NewObject, oversight: &Oversight) -> Outcome {
    let mut standing = match standing(pipeline, new, oversight).await {
        Ok(standing) => standing,
        Err(failure) => return Outcome::Failed(failure),
    };
    let failure = match deliver(pipeline, new, &mut standing, oversight).await {
        Ok(Some(skip)) => return Outcome::Skipped(skip),
        Ok(None) if standing.refusals.is_empty() => Failure::Stopped,
        Ok(None) => standing.refusals.into_failure(&pipeline.destinations),
        Err(failure) => failure,
    };
    match (standing.confirmed, failure) {
        (Some(confirmed), _) if confirmed.is_everywhere(&pipeline.destinations) => Outcome::Merged(confirmed),
        (Some(confirmed), failure) => Outcome::Delivered(confirmed, failure),
        (None, Failure::Source(error)) if error.class() == ErrorClass::Gone => Outcome::Skipped(Skip::Gone),
        (None, Failure::Source(error)) if error.class() == ErrorClass::Changed => Outcome::Skipped(Skip::Changed),
        (None, failure) => Outcome::Failed(failure),
    }
}

/// Brings it to the destinations that do not have it yet.
async fn deliver<S: Source>(
    pipeline: &Arc<Pipeline<S>>,
    new: &NewObject,
    standing: &mut Standing,
    oversight: &Oversight,
) -> Result<Option<Skip>, Failure> {
    let to_feed = standing.to_feed(&pipeline.destinations);
    if to_feed.is_empty() {
        return Ok(None);
    }
    let name = new.identity().digest();
    let spooled = match pipeline.spool.take_kept(&name) {
        Some(kept) => kept,
        None => fetch(pipeline, new, oversight).await?,
    };
    // What some destinations have is no repetition for the others.
    if standing.confirmed.is_none()
        && let Some(same) = same_content(pipeline, new, &spooled).await?
    {
        return Ok(Some(Skip::SameContent(same)));
    }
    let delivery = Delivery {
        identity: new.identity().clone(),
        object: new.object().clone(),
        tenant: pipeline.settings.tenant.clone(),
        as_of: new.as_of().clone(),
        mapping: pipeline.recipe.digest(),
        content: spooled.content(),
        matching: pipeline.settings.matching,
        brings: Brings::OWN,
    };
    let (fed, spooled) = {
        let (pipeline, oversight) = (Arc::clone(pipeline), oversight.clone());
        on_own_thread(move || (merge(&pipeline, &to_feed, delivery, &spooled, &oversight), spooled)).await?
    };
    let failed = fed.map(|fed| standing.add(fed));
    // The others still want it.
    if standing.confirmed.as_ref().is_some_and(|confirmed| !confirmed.is_everywhere(&pipeline.destinations)) {
        spooled.keep(name);
    }
    failed.map(|()| None)
}

async fn fetch<S: Source>(
    pipeline: &Pipeline<S>,
    new: &NewObject,
    oversight: &Oversight,
) -> Result<SpooledObject, Failure> {
    let reservation = pipeline.spool.reserve_when_free(new.object().size).await?;
    // Begun only now: waiting for room is others' work.
    let fetching = oversight.watch.begin("fetch");
    let spooled = pipeline.source.fetch(new.object(), reservation, &fetching).await?;
    drop(fetching);
    events::ObjectFetched { integration: &pipeline.settings.name, object: new.object() }.emit();
    Ok(spooled)
}

/// Decodes, maps and stages the spooled file, writes its rejects, and merges it whole (I8).
fn merge<S: Source>(
    pipeline: &Pipeline<S>,
    to_feed: &[NamedDestination],
    mut delivery: Delivery,
    spooled: &SpooledObject,
    oversight: &Oversight,
) -> Result<Fed, Failure> {
    let destinations = &pipeline.destinations;
    // The deciding one stands first, until it has confirmed.
    let first = to_feed.first().unwrap_or(destinations.deciding()).destination.as_ref();
    let (tenant, identity, object) = (&delivery.tenant, &delivery.identity, &delivery.object);
    let whose = Rows::look(&pipeline.recipe, tenant, identity, object, spooled.open()?, first)?;
    delivery.brings = whose.brings();
    let admits =
        |named: &NamedDestination| whose.agrees(&delivery.tenant, &delivery.identity, named.destination.as_ref());
    let (stagings, rows) = without_poisonous(&pipeline.recipe, &delivery.object, |poisonous| {
        let beginning = oversight.watch.begin("staging");
        let mut stagings = Stagings::begin(destinations, to_feed, &delivery, admits)
            .map_err(|refusals| refusals.into_failure(destinations))?;
        drop(beginning);
        match stage(pipeline, &mut stagings, &whose, poisonous, &delivery, spooled, oversight) {
            Ok(rows) => Ok((stagings, rows)),
            Err(failure) => {
                let failure = stagings.explain(failure, destinations);
                Err(evidence::save(pipeline, &delivery.object, failure))
            }
        }
    })?;
    let fed = stagings.merge(rows, oversight);
    for (destination, summary) in &fed.confirmed {
        let (integration, object) = (&pipeline.settings.name, &delivery.object);
        events::ObjectMerged { integration, object, destination, summary }.emit();
    }
    Ok(fed)
}

/// Everything up to the merge. Says how many rows there are.
fn stage<S: Source>(
    pipeline: &Pipeline<S>,
    staging: &mut Stagings,
    whose: &Rows,
    poisonous: &Poisonous,
    delivery: &Delivery,
    spooled: &SpooledObject,
    oversight: &Oversight,
) -> Result<RowCounts, Failure> {
    let (object, identity) = (&delivery.object, &delivery.identity);
    let issues = IssueLog::create(pipeline.spool.directory())?;
    let rows = Taken { whose, poisonous };
    let mut transformed = transform(&pipeline.recipe, object, rows, spooled.open()?, staging, issues, oversight)?;
    if transformed.rows.rejected > 0 {
        // Before the merge: a crash between the two must not lose the rejects of a file that is confirmed.
        let beat = oversight.watch.begin("reject file");
        let again = Again::open(&pipeline.recipe, object, spooled.open()?)?.inspect(|_| beat.beat());
        let (issues, directory) = (&mut transformed.issues, &pipeline.rejects_directory);
        rejects::write_rejects(issues, again, directory, identity, object, |rows| staging.rejects(rows))?;
    }
    match pipeline.settings.reject_limits.exceeded_by(transformed.rows) {
        Some(limit) => Err(Failure::TooManyRejects { rows: transformed.rows, limit }),
        None => Ok(transformed.rows),
    }
}

/// Who has it already: what the ledger knows, and what a run that was cut short after a merge left behind (I3).
async fn standing<S: Source>(
    pipeline: &Arc<Pipeline<S>>,
    new: &NewObject,
    oversight: &Oversight,
) -> Result<Standing, Failure> {
    let pipeline = Arc::clone(pipeline);
    let identity = new.identity().clone();
    let summary = new.summary().and_then(|summary| serde_json::from_value(summary.clone()).ok());
    let known = summary.map(|summary| Confirmed { by: new.confirmed().to_vec(), summary });
    let asking = oversight.watch.begin("confirmation");
    // A thread that hangs keeps its step open, even when nobody waits for it any more.
    blocking(move || {
        let tenant = &pipeline.settings.tenant;
        let standing = Standing::ask(&pipeline.destinations, tenant, &identity, known.as_ref());
        drop(asking);
        Ok(standing)
    })
    .await
}

/// Whether a completed version of this key had the same bytes (R5). Where a key going back is to be ingested, only the
/// newest one counts (R4).
async fn same_content<S>(
    pipeline: &Pipeline<S>,
    new: &NewObject,
    spooled: &SpooledObject,
) -> Result<Option<SameContent>, Failure> {
    if pipeline.settings.content_hash == ContentHashing::Off {
        return Ok(None);
    }
    let same = pipeline.ledger.same_content(new, spooled.content()).await?;
    Ok(same.filter(|same| match same {
        SameContent::Unchanged { .. } => true,
        SameContent::Reverted { .. } => pipeline.settings.on_revert == OnRevert::Skip,
    }))
}

/// Runs blocking work off the async threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Failure> + Send + 'static) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(Failure::Panicked))
}

/// Runs a file's work on a thread that ends with it, so that it may stand back for others ([`crate::effort`]).
async fn on_own_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    let (tell, told) = oneshot::channel();
    let begin = std::thread::Builder::new().name("stage".into()).spawn(move || {
        // Whoever asked may have gone.
        let _ = tell.send(work());
    });
    begin.map_err(|_| Failure::Panicked)?;
    told.await.map_err(|_| Failure::Panicked)
}

/// The format of an object, which its listing has already been filtered by; or of a file of this machine that stands for
/// one.
pub fn format_of(object: &Object) -> Result<Format, Failure> {
    Format::of_local_file(object.key.as_str()).ok_or_else(|| Failure::UnknownFormat(object.key.clone()))
}
