//! Loading accounts from a file of this machine, so that there is something to match against (R7).
//!
//! The file goes through the decoder, the field mapper and the matching of an integration, into that integration's
//! destination and tenant (the first that keeps accounts, where it has several), as if `on_no_match` were `create`: accounts that are there are updated, others are created.
//! Usage is left out, and so is the ledger, which speaks of buckets alone.
//!
//! # What such a load is known by
//!
//! A destination confirms each identity at most once (R1), so a load has one of its own: the integration's name, and a
//! dedup key that is `local:accounts/` with the hash of the file's bytes. A listed object's dedup key begins with its
//! connection's key and a slash, and a connection's key has no colon: so no object of any bucket, under whatever
//! configuration, is ever taken for a load, nor a load for an object. The file's name is no part of it, so the same bytes
//! are loaded once, whatever the file is called; loading them again is the next generation, which replaces this one.
//! Mappers are told of the file as if it lay under the integration's prefix, so that what they take from a key comes out
//! as it would there. In the store its values come from the bucket `local file`, a name that no bucket can have.
//!
//! Among other writes a load stands at the time at which the file was last modified (R2), so that an old list takes back
//! nothing that newer files said.
//!
//! # Beside a running daemon
//!
//! A load goes to the destination by itself; the daemon need not be able to read the file. This is safe, because nothing
//! in a store depends on there being one writer: a merge takes SQLite's write lock before it reads anything that it
//! decides on, others wait for it, staged records lie in files that carry the process's id, left-overs are deleted only by
//! a process that stages alone, and compiled mappers are written aside and renamed. The files made must belong to the daemon's user, though, so another user is
//! refused.

use std::fs::{self, File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;

use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Integration};
use crate::daemon::{Destinations, PartError, Workshop};
use crate::decode::Format;
use crate::destination::{Brings, Delivery, DestinationError, Intake, NameMatch, OnNoMatch, RowCounts, Summary};
use crate::ingest::{Again, Failure, NamedDestination, Recipe, Rows, Taken, transform};
use crate::object::{
    AsOf, ContentHash, DedupKey, DestinationName, Generation, Identity, IntegrationName, Object, TenantName,
};
use crate::oversight::Oversight;
use crate::rejects::{self, IssueLog};
use crate::worker::Launcher;

/// What the dedup keys of loads begin with.
const NAME_SPACE: &str = "local:accounts";
/// What stands for the bucket.
const BUCKET: &str = "local file";

/// What a load did.
#[derive(Debug, Clone, Serialize)]
pub struct Imported {
    /// The file.
    pub file: PathBuf,
    /// By whose mapping.
    pub integration: IntegrationName,
    /// Whose accounts.
    pub tenant: TenantName,
    /// Where they are.
    pub destination: DestinationName,
    /// Whether these bytes had been loaded before, so that nothing was done. The counts are those of that load.
    pub already: bool,
    /// Rows read.
    pub read: u64,
    /// Accounts created.
    pub created: u64,
    /// Accounts of which at least one value changed.
    pub updated: u64,
    /// Accounts whose values were already these.
    pub unchanged: u64,
    /// Rows refused.
    pub rejected: u64,
    /// Rows whose identifiers stand for no account that could be created.
    pub unmatched: u64,
    /// Rows whose identifiers stand for several accounts.
    pub ambiguous: u64,
    /// The files that the refused rows stand in.
    pub reject_files: Vec<PathBuf>,
    /// Integrations over these accounts that leave out rows which match none: what to replay.
    pub to_replay: Vec<IntegrationName>,
}

/// Why accounts were not loaded.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file cannot be read.
    #[error("cannot read `{}`", path.display())]
    File {
        /// Its path.
        path: PathBuf,
        /// The system's own words.
        #[source]
        source: std::io::Error,
    },
    /// It was written to meanwhile.
    #[error("`{}` changed while it was read", path.display())]
    Changed {
        /// Its path.
        path: PathBuf,
    },
    /// The file's name does not say what it is.
    #[error("`{}` is neither .csv nor .xlsx nor .xls nor .ndjson nor .jsonl", path.display())]
    Format {
        /// Its path.
        path: PathBuf,
    },
    /// The integration is not configured, or disabled by a problem of its own.
    #[error("there is no integration `{0}`, or a problem of its own disables it")]
    NoIntegration(IntegrationName),
    /// The integration maps nothing but usage.
    #[error("the integration `{0}` maps no account fields")]
    NoFields(IntegrationName),
    /// The destination keeps no accounts.
    #[error("the destination `{0}` matches no accounts, it takes records as they are")]
    CannotMatch(String),
    /// The state directory is somebody else's.
    #[error("`{}` belongs to another user", path.display())]
    OtherUser {
        /// The state directory.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// What the load needs could not be made.
    #[error(transparent)]
    Part(#[from] PartError),
    /// More rows were rejected than the integration allows (R11); nothing was merged.
    #[error("nothing was loaded")]
    TooManyRejects {
        /// How many, and the limit.
        #[source]
        source: Box<Failure>,
        /// The files that the rows stand in.
        files: Vec<PathBuf>,
    },
    /// The load failed; nothing of it was merged.
    #[error("nothing was loaded")]
    Failed(#[from] Failure),
}

impl ImportError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoIntegration(_) => Some("gristmill check shows every problem".to_owned()),
            Self::NoFields(_) => Some(
                "name an integration with `identifiers` and `fields` for such a file; it may be one with \
                 `enabled = false`, there for this alone"
                    .to_owned(),
            ),
            Self::CannotMatch(_) => {
                Some("name an integration whose destination keeps accounts, such as `sqlite`".to_owned())
            }
            Self::OtherUser { owner, .. } => {
                Some(format!("run this as that user, so that the daemon can read what it makes: sudo -u '#{owner}' …"))
            }
            Self::Part(error) => error.hint(),
            Self::TooManyRejects { files, .. } => {
                let files: Vec<_> = files.iter().map(|file| format!("`{}`", file.display())).collect();
                Some(format!("every such row is in {}; mend the file or the mapping", files.join(", ")))
            }
            Self::Failed(failure) => failure.hint(),
            Self::File { .. } | Self::Changed { .. } | Self::Format { .. } => None,
        }
    }
}

/// One file to be loaded.
pub(crate) struct Load {
    path: PathBuf,
    /// As mappers are told of it.
    as_mapped: Object,
    /// As it stood before it was read.
    before: Metadata,
    content: ContentHash,
    /// What it is known by.
    pub(crate) identity: Identity,
    /// As a store or a reject file is told of it.
    object: Object,
}

/// A load that is ready to run.
pub struct Import {
    settings: Integration,
    recipe: Recipe,
    /// The first of its destinations that keeps accounts.
    keeps: NamedDestination,
    rejects_directory: PathBuf,
    to_replay: Vec<IntegrationName>,
    /// Holds the issue log.
    scratch: tempfile::TempDir,
}

impl Import {
    /// Puts it together. Blocks.
    pub fn prepare(config: &Config, integration: &IntegrationName) -> Result<Self, ImportError> {
        let no_integration = || ImportError::NoIntegration(integration.clone());
        let mut settings = config.integration(integration).ok_or_else(no_integration)?.clone();
        if settings.field_mapping.is_none() {
            return Err(ImportError::NoFields(integration.clone()));
        }
        settings.product_usage = None;
        settings.matching.on_no_match = OnNoMatch::Create;
        // A list of accounts says itself which are different: those whose names are merely alike are.
        if let NameMatch::Fuzzy { .. } = settings.matching.name_match {
            settings.matching.name_match = NameMatch::Normalized;
        }
        refuse_other_users(&config.daemon.state_dir)?;
        let failed = |source| DestinationError::Io { what: "use", path: "a temporary directory".into(), source };
        let scratch = tempfile::tempdir().map_err(failed).map_err(Failure::from)?;
        let workshop = Workshop::open(&config.daemon.state_dir, Launcher::this_binary())
            .map_err(|source| PartError::Mapper { mapper: "built-in".into(), source })?;
        let recipe = workshop.recipe(config, &settings)?;
        let destinations = Destinations::of(config);
        let mut keeps_accounts = None;
        for name in &settings.destinations {
            let destination = destinations.get(name).ok_or_else(no_integration)?;
            let destination = destination.map_err(|source| PartError::Destination { name: name.clone(), source })?;
            if destination.can_match() {
                keeps_accounts = Some(NamedDestination { name: name.clone(), destination });
                break;
            }
        }
        let Some(keeps) = keeps_accounts else {
            let names: Vec<&str> = settings.destinations.iter().map(DestinationName::as_str).collect();
            return Err(ImportError::CannotMatch(names.join("`, `")));
        };
        let over_the_same = |other: &&Integration| {
            other.tenant == settings.tenant
                && other.destinations.contains(&keeps.name)
                && other.matching.on_no_match != OnNoMatch::Create
        };
        let to_replay = config.integrations.values().filter(over_the_same).map(|other| other.name.clone()).collect();
        let rejects_directory = config.daemon.state_dir.join("rejects");
        Ok(Self { settings, recipe, keeps, rejects_directory, to_replay, scratch })
    }

    /// Loads a file, if its bytes were not loaded before; with `again`, even then. Blocks.
    pub fn run(&self, path: &Path, again: bool, oversight: &Oversight) -> Result<Imported, ImportError> {
        let mut load = self.load_of(path, NAME_SPACE)?;
        let confirmed = |identity: &Identity| self.keeps.destination.confirmed(&self.settings.tenant, identity);
        while let Some(summary) = confirmed(&load.identity).map_err(Failure::from)? {
            if !again {
                return Ok(self.report(path, true, &summary, Vec::new()));
            }
            load.identity.generation = load.identity.generation.next();
        }
        let (summary, reject_files) = self.merge(&load, oversight)?;
        Ok(self.report(path, false, &summary, reject_files))
    }

    fn merge(&self, load: &Load, oversight: &Oversight) -> Result<(Summary, Vec<PathBuf>), ImportError> {
        let delivery = Delivery {
            as_of: AsOf {
                effective_time: load.object.last_modified,
                key: load.object.key.clone(),
                arrival: 0,
                generation: load.identity.generation,
            },
            identity: load.identity.clone(),
            object: load.object.clone(),
            tenant: self.settings.tenant.clone(),
            mapping: self.recipe.digest(),
            content: load.content,
            matching: self.settings.matching,
            brings: Brings::OWN,
        };
        let mut staging = self.keeps.destination.stage(delivery).map_err(Failure::from)?;
        let (rows, reject_files) = self.take(load, staging.as_mut(), oversight)?;
        Ok((staging.merge(rows).map_err(Failure::from)?, reject_files))
    }

    /// Takes a file's records in, and writes its reject files; nothing is merged yet.
    pub(crate) fn take(
        &self,
        load: &Load,
        intake: &mut dyn Intake,
        oversight: &Oversight,
    ) -> Result<(RowCounts, Vec<PathBuf>), ImportError> {
        let Load { path, as_mapped, before, identity, object, .. } = load;
        let open = || File::open(path).map_err(|source| ImportError::File { path: path.clone(), source });
        let issues = IssueLog::create(self.scratch.path()).map_err(Failure::from)?;
        let rows = Rows::own();
        let rows = Taken::all(&rows);
        let mut transformed = transform(&self.recipe, as_mapped, rows, open()?, intake, issues, oversight)?;
        let mut reject_files = Vec::new();
        if transformed.rows.rejected > 0 {
            let again = Again::open(&self.recipe, as_mapped, open()?)?;
            let (issues, directory) = (&mut transformed.issues, &self.rejects_directory);
            let written =
                rejects::write_rejects(issues, again, directory, identity, object, |rows| intake.rejects(rows));
            reject_files = written.map_err(Failure::from)?.files;
        }
        if let Some(limit) = self.settings.reject_limits.exceeded_by(transformed.rows) {
            let source = Box::new(Failure::TooManyRejects { rows: transformed.rows, limit });
            return Err(ImportError::TooManyRejects { source, files: reject_files });
        }
        let now = fs::metadata(path).map_err(|source| ImportError::File { path: path.clone(), source })?;
        let stamp = |metadata: &Metadata| (metadata.ino(), metadata.len(), metadata.mtime(), metadata.mtime_nsec());
        if stamp(&now) != stamp(before) {
            return Err(ImportError::Changed { path: path.clone() });
        }
        Ok((transformed.rows, reject_files))
    }

    /// Whose accounts, and where they are kept.
    pub(crate) fn place(&self) -> (&TenantName, &NamedDestination) {
        (&self.settings.tenant, &self.keeps)
    }

    /// The file, last modified when it was, and not in the future. What it is known by begins with `name_space`.
    pub(crate) fn load_of(&self, path: &Path, name_space: &str) -> Result<Load, ImportError> {
        let failed = |source| ImportError::File { path: path.to_owned(), source };
        let before = fs::metadata(path).map_err(failed)?;
        let content = hash(path).map_err(failed)?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let not_taken = || ImportError::Format { path: path.to_owned() };
        Format::of_local_file(&name).ok_or_else(not_taken)?;
        let modified = before.modified().ok().and_then(|at| Timestamp::try_from(at).ok());
        let now = SystemClock.now();
        let as_mapped = Object {
            connection: self.settings.connection.clone(),
            bucket: self.settings.bucket.clone(),
            key: format!("{}{name}", self.settings.prefix).parse().map_err(|_| not_taken())?,
            etag: name_space.parse().map_err(|_| not_taken())?,
            size: before.len(),
            last_modified: modified.map_or(now, |modified| modified.min(now)),
        };
        let object = Object {
            bucket: BUCKET.parse().map_err(|_| not_taken())?,
            etag: content.to_string().parse().map_err(|_| not_taken())?,
            ..as_mapped.clone()
        };
        let identity = Identity {
            integration: self.settings.name.clone(),
            dedup_key: dedup_key(name_space, content),
            generation: Generation::default(),
        };
        Ok(Load { path: path.to_owned(), as_mapped, before, content, identity, object })
    }

    fn report(&self, path: &Path, already: bool, summary: &Summary, reject_files: Vec<PathBuf>) -> Imported {
        let Summary { rows, merged, .. } = summary;
        let to_replay = if already || merged.created == 0 { Vec::new() } else { self.to_replay.clone() };
        Imported {
            file: path.to_owned(),
            integration: self.settings.name.clone(),
            tenant: self.settings.tenant.clone(),
            destination: self.keeps.name.clone(),
            already,
            read: rows.read,
            created: merged.created,
            updated: merged.updated,
            unchanged: merged.unchanged,
            rejected: rows.rejected,
            unmatched: merged.unmatched,
            ambiguous: merged.ambiguous,
            reject_files,
            to_replay,
        }
    }
}

/// What the load of these bytes is known by.
fn dedup_key(name_space: &str, content: ContentHash) -> DedupKey {
    let text = format!("{name_space}/{content}");
    #[expect(clippy::expect_used, reason = "it is neither empty nor too long")]
    text.parse().expect("80 characters are a dedup key")
}

fn hash(path: &Path) -> std::io::Result<ContentHash> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path)?)?;
    Ok(ContentHash::from_bytes(*hasher.finalize().as_bytes()))
}

/// What another user makes, the daemon cannot read: files are private to whoever makes them.
fn refuse_other_users(state_directory: &Path) -> Result<(), ImportError> {
    match fs::metadata(state_directory) {
        Ok(metadata) if metadata.uid() != rustix::process::geteuid().as_raw() => {
            Err(ImportError::OtherUser { path: state_directory.to_owned(), owner: metadata.uid() })
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::ConnectionKey;

    /// R1
    #[test]
    fn no_object_of_a_bucket_is_taken_for_a_load() {
        let key = dedup_key(NAME_SPACE, ContentHash::from_bytes([7; 32]));
        let (before_the_slash, _) = key.as_str().split_once('/').unwrap();
        assert!(before_the_slash.parse::<ConnectionKey>().is_err(), "{key}");
    }
}
