//! A dry run: a sample through the same decoder, mappers and matching as an ingestion, writing nothing that lasts.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Integration};
use crate::daemon::{PartError, Workshop, destination_for_reading};
use crate::decode::{Dialect, Format};
use crate::destination::{Brings, Delivery, Preview, RejectRow, RowCounts};
use crate::ingest::{
    Again, DestinationSet, Failure, NamedDestination, OpenedTable, Pipeline, Reader, Recipe, Rows, Stagings, Taken,
    format_of, transform, without_poisonous,
};
use crate::object::{AsOf, ContentHash, DestinationName, Generation, Identity, IntegrationName, Object};
use crate::oversight::Oversight;
use crate::rejects::{self, IssueLog};
use crate::source::Source;
use crate::worker::Launcher;

/// How many rejects a dry run shows.
const SHOWN_REJECTS: usize = 20;

/// What an ingestion of the sample would do.
#[derive(Debug, Serialize)]
pub struct DryRun {
    /// The sample.
    pub sample: String,
    /// Its format.
    pub format: Format,
    /// What was found of encoding, delimiter and header.
    pub dialect: Dialect,
    /// The tables, and what the mappers make of them.
    pub tables: Vec<DryTable>,
    /// Rows read and refused.
    pub rows: RowCounts,
    /// Why the file would fail all the same: the limit that its rejected or unmatched rows exceed.
    pub would_fail: Option<String>,
    /// What the destination would do, with examples; of several, the one that decides.
    pub preview: Preview,
    /// Which one that is, where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<DestinationName>,
    /// What the others would do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<DryDestination>,
    /// The first rejects.
    pub rejects: Vec<RejectRow>,
}

/// A destination that does not decide.
#[derive(Debug, Serialize)]
pub struct DryDestination {
    /// Its name.
    pub destination: DestinationName,
    /// What it would do.
    pub preview: Preview,
}

/// One table of a dry run.
#[derive(Debug, Serialize)]
pub struct DryTable {
    /// The sheet, in a workbook.
    pub sheet: Option<String>,
    /// Its columns.
    pub header: Vec<String>,
    /// The account fields it would write.
    pub fields: Vec<String>,
    /// Columns that no mapper reads.
    pub unused_columns: Vec<String>,
}

/// Why a dry run found no answer.
#[derive(Debug, thiserror::Error)]
pub enum DryRunError {
    /// The sample cannot be read.
    #[error("cannot read `{}`", path.display())]
    File {
        /// Its path.
        path: PathBuf,
        /// The system's own words.
        #[source]
        source: std::io::Error,
    },
    /// The integration is not configured, or disabled by a problem of its own.
    #[error("there is no integration `{0}`, or a problem of its own disables it")]
    NoIntegration(IntegrationName),
    /// The integration's recipe could not be made.
    #[error(transparent)]
    Part(#[from] PartError),
    /// The key is not in the bucket, or not of a format that is taken.
    #[error("there is no CSV or Excel object `{key}` in the integration's bucket")]
    NoSuchKey {
        /// The key.
        key: String,
    },
    /// The file's name does not say what it is.
    #[error("`{name}` is neither .csv nor .xlsx nor .xls")]
    Format {
        /// The name.
        name: String,
    },
    /// The ingestion would fail.
    #[error("the file would fail")]
    WouldFail(#[from] Failure),
    /// A thread of ours panicked.
    #[error("the dry run ended unexpectedly")]
    Panicked,
}

impl DryRunError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoIntegration(_) => Some("gristmill check shows every problem".into()),
            Self::Part(error) => error.hint(),
            Self::WouldFail(Failure::Destination(_)) => {
                Some("the account store belongs to the daemon's user; run this as that user or as root".into())
            }
            _ => None,
        }
    }
}

/// An integration to try files of this machine with: no connection, no ledger.
pub struct Trial {
    settings: Integration,
    recipe: Recipe,
    destinations: DestinationSet,
    /// Holds the compile cache, the issue log and, before a first ingestion, an empty store.
    scratch: tempfile::TempDir,
}

impl Trial {
    /// Puts it together. Blocks.
    pub fn of_local_files(config: &Config, integration: &IntegrationName) -> Result<Self, DryRunError> {
        let no_integration = || DryRunError::NoIntegration(integration.clone());
        let settings = config.integrations.get(integration).ok_or_else(no_integration)?.clone();
        let ours = |source| DryRunError::File { path: std::env::temp_dir(), source };
        let scratch = tempfile::tempdir().map_err(ours)?;
        let workshop = Workshop::open(scratch.path(), Launcher::this_binary())
            .map_err(|source| PartError::Mapper { mapper: "built-in".into(), source })?;
        let recipe = workshop.recipe(config, &settings)?;
        let open = |name: &DestinationName| {
            let scratch = scratch.path().join(name.as_str());
            let destination = destination_for_reading(config, name, &scratch).ok_or_else(no_integration)?;
            let destination = destination.map_err(Failure::from)?;
            Ok(NamedDestination { name: name.clone(), destination })
        };
        let destinations = settings.destinations.iter().map(open).collect::<Result<_, DryRunError>>()?;
        let destinations = DestinationSet::of(destinations).ok_or_else(no_integration)?;
        Ok(Self { settings, recipe, destinations, scratch })
    }
}

/// Tries a file of this machine, as if it lay in the integration's bucket.
pub async fn local(trial: &Arc<Trial>, path: PathBuf, oversight: &Oversight) -> Result<DryRun, DryRunError> {
    let (trial, oversight) = (Arc::clone(trial), oversight.clone());
    let work = move || {
        let (object, content) = object_of(&trial.settings, &path)?;
        let open = || File::open(&path).map_err(Failure::LocalCopy);
        let bench = Bench {
            settings: &trial.settings,
            recipe: &trial.recipe,
            destinations: &trial.destinations,
            scratch: trial.scratch.path(),
        };
        Ok(bench.dry_run(path.display().to_string(), &object, content, open, &oversight)?)
    };
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(DryRunError::Panicked))
}

/// Tries an object of the integration's bucket.
pub async fn of_key<S: Source>(
    pipeline: &Arc<Pipeline<S>>,
    key: &str,
    oversight: &Oversight,
) -> Result<DryRun, DryRunError> {
    of_object(pipeline, find(pipeline, key).await?, oversight).await
}

/// Tries an object that was listed before.
pub async fn of_object<S: Source>(
    pipeline: &Arc<Pipeline<S>>,
    object: Object,
    oversight: &Oversight,
) -> Result<DryRun, DryRunError> {
    let reservation = pipeline.spool.reserve(object.size).map_err(Failure::from)?;
    let fetching = oversight.watch.begin("fetch");
    let spooled = pipeline.source.fetch(&object, reservation, &fetching).await.map_err(Failure::from)?;
    drop(fetching);
    let (pipeline, oversight) = (Arc::clone(pipeline), oversight.clone());
    let work = move || {
        let bench = Bench {
            settings: &pipeline.settings,
            recipe: &pipeline.recipe,
            destinations: &pipeline.destinations,
            scratch: pipeline.spool.directory(),
        };
        let open = || spooled.open().map_err(Failure::from);
        Ok(bench.dry_run(object.to_string(), &object, spooled.content(), open, &oversight)?)
    };
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(DryRunError::Panicked))
}

/// What a dry run is made on.
struct Bench<'a> {
    settings: &'a Integration,
    recipe: &'a Recipe,
    destinations: &'a DestinationSet,
    scratch: &'a Path,
}

impl Bench<'_> {
    fn dry_run(
        &self,
        sample: String,
        object: &Object,
        content: ContentHash,
        open: impl Fn() -> Result<File, Failure>,
        oversight: &Oversight,
    ) -> Result<DryRun, Failure> {
        let format = format_of(object)?;
        let mut delivery = self.delivery(object, content);
        let tenant = &self.settings.tenant;
        let deciding = self.destinations.deciding().destination.as_ref();
        let whose = Rows::look(self.recipe, tenant, &delivery.identity, object, open()?, deciding)?;
        delivery.brings = whose.brings();
        let all: Vec<_> = self.destinations.iter().cloned().collect();
        let (staging, mut transformed) = without_poisonous(self.recipe, object, |poisonous| {
            let stagings = Stagings::begin(self.destinations, &all, &delivery, |_| Ok(()));
            let mut staging = stagings.map_err(|refusals| refusals.into_failure(self.destinations))?;
            let issues = IssueLog::create(self.scratch)?;
            let rows = Taken { whose: &whose, poisonous };
            match transform(self.recipe, object, rows, open()?, &mut staging, issues, oversight) {
                Ok(transformed) => Ok((staging, transformed)),
                Err(failure) => Err(staging.explain(failure, self.destinations)),
            }
        })?;
        let mut rejects = Vec::new();
        if transformed.rows.rejected > 0 {
            let again = Again::open(self.recipe, object, open()?)?;
            let issues = &mut transformed.issues;
            let scratch = tempfile::tempdir_in(self.scratch).map_err(Failure::LocalCopy)?;
            let identity = &self.delivery(object, content).identity;
            let shown = |rows: &[RejectRow]| {
                rejects.extend(rows.iter().take(SHOWN_REJECTS.saturating_sub(rejects.len())).cloned());
                Ok::<(), Failure>(())
            };
            rejects::write_rejects(issues, again, scratch.path(), identity, object, shown)?;
        }
        let mut reader = Reader::open(self.recipe, object, open()?)?;
        reader.next_table()?;
        let (previews, refusals) = staging.preview();
        if !refusals.is_empty() {
            return Err(refusals.into_failure(self.destinations));
        }
        let mut others: Vec<_> =
            previews.into_iter().map(|(destination, preview)| DryDestination { destination, preview }).collect();
        let DryDestination { destination, preview } = others.remove(0);
        let rows = transformed.rows;
        let unmatched = self.settings.matching.exceeded_by(preview.merged.unmatched, rows.read);
        Ok(DryRun {
            sample,
            format,
            dialect: reader.dialect(),
            tables: transformed.tables.iter().map(DryTable::of).collect(),
            rows: transformed.rows,
            would_fail: self.settings.reject_limits.exceeded_by(rows).or(unmatched),
            preview,
            destination: self.destinations.are_several().then_some(destination),
            others,
            rejects,
        })
    }

    /// A delivery that nothing was delivered under before, and newer than everything.
    fn delivery(&self, object: &Object, content: ContentHash) -> Delivery {
        let generation = Generation(u32::MAX);
        Delivery {
            identity: Identity { integration: self.settings.name.clone(), dedup_key: object.dedup_key(), generation },
            object: object.clone(),
            tenant: self.settings.tenant.clone(),
            as_of: AsOf {
                effective_time: SystemClock.now(),
                key: object.key.clone(),
                arrival: u64::MAX >> 1,
                generation,
            },
            mapping: self.recipe.digest(),
            content,
            matching: self.settings.matching,
            brings: Brings::OWN,
        }
    }
}

impl DryTable {
    fn of(table: &OpenedTable) -> Self {
        let read = table.wanted();
        let unused = |(index, _): &(usize, &String)| read.binary_search(&(*index as u32)).is_err();
        Self {
            sheet: table.head.sheet.clone(),
            header: table.head.header.clone(),
            fields: table.accounts.iter().flat_map(|layout| &layout.fields).map(|field| field.name.clone()).collect(),
            unused_columns: table.head.header.iter().enumerate().filter(unused).map(|(_, name)| name.clone()).collect(),
        }
    }
}

async fn find<S: Source>(pipeline: &Arc<Pipeline<S>>, key: &str) -> Result<Object, DryRunError> {
    let mut after = None;
    loop {
        let page = pipeline.source.list(after.as_ref()).await.map_err(Failure::from)?;
        if let Some(object) = page.objects.into_iter().find(|object| object.key.as_str() == key) {
            return Ok(object);
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Err(DryRunError::NoSuchKey { key: key.to_owned() }),
        }
    }
}

/// A file of this machine as an object, last modified when the file was.
fn object_of(settings: &Integration, path: &Path) -> Result<(Object, ContentHash), DryRunError> {
    let failed = |source| DryRunError::File { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file).map_err(failed)?;
    let content = ContentHash::from_bytes(*hasher.finalize().as_bytes());
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let not_taken = || DryRunError::Format { name: name.clone() };
    Format::of_key(&name).ok_or_else(not_taken)?;
    let modified = metadata.modified().ok().and_then(|at| Timestamp::try_from(at).ok());
    let object = Object {
        connection: settings.connection.clone(),
        bucket: settings.bucket.clone(),
        key: format!("{}{name}", settings.prefix).parse().map_err(|_| not_taken())?,
        etag: content.to_string().parse().map_err(|_| not_taken())?,
        size: metadata.len(),
        last_modified: modified.unwrap_or_else(|| SystemClock.now()),
    };
    Ok((object, content))
}
