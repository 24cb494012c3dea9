//! TOML text to a checked [`Config`].
//!
//! Owns the configuration's files, their manual, and every rule about what may stand in them. It knows no network, no
//! redb and no wasmtime, and contacts nothing: that a component compiles or that a secret can be read is found out by
//! others.
//!
//! The way of a text: `document` reads the file and `conf.d`, and merges them into one tree that knows where each key
//! stands; `report` turns a table into the struct of `raw` that mirrors it; `check` makes a [`Config`] of those.
//!
//! Invariants:
//! - Everything that is wrong is found in one go, each with file, line, path and, where there is one, a valid example.
//! - A problem inside one connection, mapper, destination or integration leaves out that one and what depends on it,
//!   nothing else (R15). Only syntax and `[daemon]` are fatal.
//! - Nothing that has a default is an `Option` in a [`Config`], and every reference in it leads somewhere.
//! - A text that stands where a secret's reference belongs appears in no error and no `Debug`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::account_fields::AccountFieldType;
use crate::destination::files::Form;
use crate::destination::postgres::PostgresSettings;
use crate::destination::webhook::WebhookSettings;
use crate::object::{
    AccountFieldName, ComponentDigest, ConnectionKey, DestinationName, IntegrationName, MapperName, NotifyName,
    SignerKey, TenantName,
};
use crate::post;
use crate::secrets::vault::KeyPlace;
use crate::secrets::{SecretName, SecretReference, Secrets};

mod check;
mod connection;
mod document;
pub mod edit;
mod integration;
mod manual;
mod path;
mod problem;
mod raw;
mod report;
mod tenant;
mod units;
mod uses;
mod vault_references;

#[cfg(test)]
mod tests;

pub use connection::{AccessGrants, AccessKeyId, Addressing, AssumeRole, Auth, BaseIdentity, Connection, KeyPair};
pub use integration::{
    Backfill, ContentHashing, Integration, Listing, MapperChoice, OnMapperFailure, OnRevert, Timezone, TimezoneError,
    Transform,
};
pub use manual::example_file;
pub use problem::{Position, Problem, Scope, render_problems};
pub use tenant::Tenant;
pub use units::{ByteSize, ByteSizeError, DurationError, duration_text, parse_duration};
pub use uses::{Use, uses_of_connections};

/// Why there is no configuration to check at all.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file or the directory `conf.d` cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// The system's own words.
        #[source]
        source: std::io::Error,
    },
}

/// A configuration and what is wrong with it.
#[derive(Debug)]
pub struct Loaded {
    /// Everything that is in order. With a fatal problem it is not fit to run.
    pub config: Config,
    /// What is wrong, in the order in which it was found: syntax, then table by table.
    pub problems: Vec<Problem>,
    /// The files that were read, in the order in which they were merged.
    pub files: Vec<PathBuf>,
    /// Where the configuration refers to secrets of the vault, by their names. What is switched off or has a problem of
    /// its own counts, too.
    pub vault_references: BTreeMap<SecretName, Vec<String>>,
}

impl Loaded {
    /// Whether the daemon must not start, or must keep its old configuration.
    pub fn is_fatal(&self) -> bool {
        self.problems.iter().any(|problem| problem.scope.is_fatal())
    }
}

/// Reads and checks the file and the `*.toml` files of `conf.d` beside it.
pub fn load(path: &Path) -> Result<Loaded, ConfigError> {
    load_in(path, &|name| std::env::var_os(name))
}

/// With the variables of an environment, of which only systemd's directories matter.
fn load_in(path: &Path, environment: check::Environment<'_>) -> Result<Loaded, ConfigError> {
    let mut problems = Vec::new();
    let sources = document::Sources::read(path, &mut problems)?;
    let document = sources.parse(&mut problems);
    let (config, more) = check::check(&document, environment);
    problems.extend(more);
    let vault_references = vault_references::find(&document);
    Ok(Loaded { config, problems, files: sources.paths().map(Path::to_owned).collect(), vault_references })
}

/// The one connection of a text that is a configuration of it alone; else what is wrong with it.
pub fn connection_in(text: &str, key: &ConnectionKey) -> Result<Connection, String> {
    let mut problems = Vec::new();
    let sources = document::Sources::of_text(text);
    let document = sources.parse(&mut problems);
    let (mut config, more) = check::check(&document, &|_| None);
    problems.extend(more);
    config.connections.remove(key).filter(|_| problems.is_empty()).ok_or_else(|| render_problems(&problems))
}

/// A checked configuration.
#[derive(Debug, Clone, Serialize)]
pub struct Config {
    /// How the daemon itself runs.
    pub daemon: Daemon,
    /// Where the vault's key stands, if there is a vault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vault_key: Option<KeyPlace>,
    /// The connections without a problem.
    pub connections: BTreeMap<ConnectionKey, Connection>,
    /// The custom mappers without a problem.
    pub mappers: BTreeMap<MapperName, Mapper>,
    /// The destinations without a problem.
    pub destinations: BTreeMap<DestinationName, Destination>,
    /// Who is told of alarms (R20), without a problem.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub notify: BTreeMap<NotifyName, Notify>,
    /// The account fields that are declared, without a problem.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub account_fields: BTreeMap<AccountFieldName, AccountField>,
    /// What each tenant that has an integration may take, written or by default.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tenants: BTreeMap<TenantName, Tenant>,
    /// The integrations that run: switched on, and without a problem in them or in what they use.
    pub integrations: BTreeMap<IntegrationName, Integration>,
    /// The integrations with `enabled = false`, as far as they are in order.
    pub switched_off: BTreeMap<IntegrationName, Integration>,
}

impl Config {
    /// An integration in order, whether it is switched on or not.
    pub fn integration(&self, name: &IntegrationName) -> Option<&Integration> {
        self.integrations.get(name).or_else(|| self.switched_off.get(name))
    }

    /// What reads its secrets, in this process's environment.
    pub fn secrets(&self) -> Secrets {
        let secrets = Secrets::from_environment();
        match &self.vault_key {
            Some(key) => secrets.with_vault(&self.daemon.state_dir, key.clone()),
            None => secrets,
        }
    }
}

/// How the daemon itself runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Daemon {
    /// Ledger, stores, spool and compiled mappers.
    pub state_dir: PathBuf,
    /// The control socket.
    pub runtime_dir: PathBuf,
    /// Files in work at once, over all integrations; at least 1.
    pub files_at_once: usize,
    /// Work pauses while less is free on the state directory's file system (R19).
    pub min_free: ByteSize,
    /// What the spool may hold (R19).
    pub spool_limit: ByteSize,
    /// How long files in work may go on after a stop was asked for.
    #[serde(serialize_with = "units::serialize_duration")]
    pub shutdown_grace: Duration,
    /// How long a step may go without headway before the watchdog is no longer fed.
    #[serde(serialize_with = "units::serialize_duration")]
    pub stall_after: Duration,
    /// What is logged and how.
    pub log: Log,
}

/// What is logged and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Log {
    /// The form of a line.
    pub format: LogFormat,
    /// The least important line that is logged.
    pub level: LogLevel,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// Journald where systemd connected the error output to it, else text.
    #[default]
    Auto,
    /// Text, with colours on a terminal.
    Text,
    /// One JSON object a line.
    Json,
    /// Journald, with fields.
    Journald,
}

/// How important a log line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum LogLevel {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        })
    }
}

/// A custom mapper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mapper {
    /// The component's file.
    pub path: PathBuf,
    /// What the file must hash to.
    pub sha256: ComponentDigest,
    /// The file with its signature.
    pub signature: PathBuf,
    /// Who may have signed it; empty where no signature is asked for.
    pub signed_by: Vec<SignerKey>,
    /// The only tenant that may use it; none for any (R13).
    pub tenant: Option<TenantName>,
    /// What it may use.
    pub limits: MapperLimits,
    /// How many calls are saved on which it failed; none where none is to be.
    pub save_failed: Option<SaveFailed>,
}

/// How many calls are saved on which a mapper failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SaveFailed {
    /// Calls at most.
    pub files: usize,
    /// Bytes at most, all of them together.
    pub size: ByteSize,
}

impl Default for SaveFailed {
    fn default() -> Self {
        Self { files: 20, size: ByteSize::from_bytes(64 << 20) }
    }
}

/// What a mapper may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct MapperLimits {
    /// The component's file.
    pub component_size: ByteSize,
    /// Linear memory of one instance.
    pub memory: ByteSize,
    /// Table elements of one instance.
    pub table_elements: usize,
    /// Processor time for one call.
    #[serde(serialize_with = "units::serialize_duration")]
    pub cpu_per_batch: Duration,
    /// Processor time for a file, whatever its size.
    #[serde(serialize_with = "units::serialize_duration")]
    pub cpu_per_file: Duration,
    /// Processor time for a file, more for each MiB of it.
    #[serde(serialize_with = "units::serialize_duration")]
    pub cpu_per_mib: Duration,
    /// Processor time for compiling.
    #[serde(serialize_with = "units::serialize_duration")]
    pub compile_cpu: Duration,
    /// Time by the clock for compiling.
    #[serde(serialize_with = "units::serialize_duration")]
    pub compile_time: Duration,
    /// Address space for compiling.
    pub compile_memory: ByteSize,
}

impl Default for MapperLimits {
    fn default() -> Self {
        Self {
            component_size: ByteSize::from_bytes(32 << 20),
            memory: ByteSize::from_bytes(64 << 20),
            table_elements: 100_000,
            cpu_per_batch: Duration::from_secs(1),
            cpu_per_file: Duration::from_secs(60),
            cpu_per_mib: Duration::from_secs(1),
            compile_cpu: Duration::from_secs(30),
            compile_time: Duration::from_secs(120),
            compile_memory: ByteSize::from_bytes(2 << 30),
        }
    }
}

/// A declared account field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AccountField {
    /// Its key.
    pub field: String,
    /// The only tenant whose field it is; none for all (R13).
    pub tenant: Option<TenantName>,
    /// What it holds.
    pub r#type: AccountFieldType,
    /// The currency, where it is an amount of money in a certain one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

/// A webhook that is told of alarms (R20).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Notify {
    /// The only tenant whose integrations it is told of; none for all (R13).
    pub tenant: Option<TenantName>,
    /// Its address.
    pub url: post::Address,
    /// What its notices are signed with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretReference>,
}

impl Notify {
    /// Every secret that it needs.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretReference> {
        let url = match &self.url {
            post::Address::Text(_) => None,
            post::Address::Reference(reference) => Some(reference),
        };
        url.into_iter().chain(&self.secret)
    }
}

/// Where records go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Destination {
    /// The only tenant that may use it; none for any (R13).
    pub tenant: Option<TenantName>,
    /// What kind it is.
    pub kind: DestinationKind,
    /// The destination whose accounts its records get (R12).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolve: Option<DestinationName>,
}

/// What kind of destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DestinationKind {
    /// SQLite stores in a directory, one a tenant.
    Sqlite {
        /// The directory.
        path: PathBuf,
    },
    /// A PostgreSQL store.
    Postgres(PostgresSettings),
    /// Files of records in a directory.
    Files {
        /// The directory.
        path: PathBuf,
        /// What the files are.
        #[serde(flatten)]
        form: Form,
    },
    /// A webhook that records are posted to.
    Webhook(WebhookSettings),
}

impl DestinationKind {
    /// The directory that it has to itself, where it is one.
    pub fn directory(&self) -> Option<&Path> {
        match self {
            Self::Sqlite { path } | Self::Files { path, .. } => Some(path),
            Self::Webhook(settings) => Some(&settings.directory),
            Self::Postgres(_) => None,
        }
    }

    /// Whether it keeps accounts and matches identifiers to them (R12).
    pub fn can_match(&self) -> bool {
        match self {
            Self::Sqlite { .. } | Self::Postgres(_) => true,
            Self::Files { .. } | Self::Webhook(_) => false,
        }
    }

    /// Every secret that it needs.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretReference> {
        let (postgres, webhook) = match self {
            Self::Postgres(settings) => (Some(settings), None),
            Self::Webhook(settings) => (None, Some(settings)),
            Self::Sqlite { .. } | Self::Files { .. } => (None, None),
        };
        let of_postgres = postgres.into_iter().flat_map(PostgresSettings::secrets);
        of_postgres.chain(webhook.into_iter().flat_map(WebhookSettings::secrets))
    }
}
