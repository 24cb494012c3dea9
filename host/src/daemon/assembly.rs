//! The parts that all integrations share, and how one integration's own are put together from them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::{self, Config, DestinationKind, Integration, MapperChoice};
use crate::destination::files::FilesDestination;
use crate::destination::postgres::{Migrated, PostgresDestination, PostgresSettings};
use crate::destination::sqlite::SqliteDestination;
use crate::destination::{Destination, DestinationError};
use crate::events;
use crate::ingest::{Pipeline, Recipe, Transform};
use crate::ledger::{Ledger, LedgerError};
use crate::mapper::{CompileLimits, Fault, Limits, Mapper, MapperError, MapperHost};
use crate::object::{ConnectionKey, DestinationName};
use crate::pass::Slots;
use crate::secrets::{ExposeSecret, SecretError, SecretReference, SecretString, Secrets};
use crate::source::{Connection, ConnectionSettings, Credentials, HttpClient, S3Source};
use crate::spool::{Spool, SpoolError};
use crate::worker::Launcher;

/// What all integrations share.
pub struct Assembly {
    /// The configuration it was made from.
    pub config: Config,
    /// What happened to each object.
    pub ledger: Ledger,
    /// Places for files at work.
    pub slots: Slots,
    spool: Spool,
    workshop: Arc<Workshop>,
    destinations: BTreeMap<DestinationName, Arc<dyn Destination>>,
    secrets: Secrets,
    http: HttpClient,
}

/// Where mappers are compiled and recipes made. It needs no ledger, so that `check` can use it beside a daemon.
pub struct Workshop {
    launcher: Launcher,
    mappers: MapperHost,
}

/// Why the shared parts could not be put together.
#[derive(Debug, thiserror::Error)]
pub enum AssemblyError {
    /// A directory could not be made.
    #[error("cannot make the directory `{}`", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// The system's own words.
        #[source]
        source: std::io::Error,
    },
    /// The ledger could not be opened.
    #[error("cannot open the ledger")]
    Ledger(#[from] LedgerError),
    /// The spool could not be opened.
    #[error("cannot open the spool")]
    Spool(#[from] SpoolError),
    /// The mapper host could not start.
    #[error("cannot start the mapper host")]
    Mapper(#[from] MapperError),
    /// A destination could not be opened.
    #[error("cannot open the destination `{name}`")]
    Destination {
        /// Which.
        name: DestinationName,
        /// Why.
        #[source]
        source: DestinationError,
    },
}

impl AssemblyError {
    /// Whether another process holds the state directory.
    pub fn is_in_use(&self) -> bool {
        matches!(self, Self::Ledger(LedgerError::InUse { .. }) | Self::Spool(SpoolError::InUse { .. }))
    }
}

/// Why one integration's parts could not be put together; it disables that integration alone (R15).
#[derive(Debug, thiserror::Error)]
pub enum PartError {
    /// A secret could not be read.
    #[error("connection `{connection}` has no credentials")]
    Secret {
        /// Whose.
        connection: ConnectionKey,
        /// Why.
        #[source]
        source: SecretError,
    },
    /// A mapper could not be loaded.
    #[error("mapper `{mapper}` cannot be loaded")]
    Mapper {
        /// Which.
        mapper: String,
        /// Why.
        #[source]
        source: MapperError,
    },
    /// A mapper does not accept its settings.
    #[error("mapper `{mapper}` does not accept its settings: {}", faults.join("; "))]
    Settings {
        /// Which.
        mapper: String,
        /// Everything it finds wrong.
        faults: Vec<String>,
    },
    /// Something it names is not in the configuration.
    #[error("`{name}` is not configured, or is disabled by a problem of its own")]
    Missing {
        /// What.
        name: String,
    },
    /// A thread of ours panicked.
    #[error("the assembly ended unexpectedly")]
    Panicked,
}

impl PartError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Secret { source, .. } => source.hint(),
            Self::Mapper { .. } | Self::Settings { .. } | Self::Missing { .. } => {
                Some("gristmill check shows every problem with its place in the configuration".into())
            }
            Self::Panicked => None,
        }
    }
}

impl Workshop {
    /// Starts the mapper host over the compile cache in the state directory.
    pub fn open(state_directory: &Path, launcher: Launcher) -> Result<Self, MapperError> {
        let mappers = MapperHost::start(state_directory.join("mappers"), launcher.clone())?;
        Ok(Self { launcher, mappers })
    }

    /// Makes an integration's recipe: loads its mappers, compiling them where they are new, and has them check their
    /// settings. Blocks.
    pub fn recipe(&self, config: &Config, settings: &Integration) -> Result<Recipe, PartError> {
        Ok(Recipe {
            integration: settings.name.clone(),
            decode: settings.decode.clone(),
            fields: self.transform(config, settings.field_mapping.as_ref(), Mapper::check_fields)?,
            usage: self.transform(config, settings.product_usage.as_ref(), Mapper::check_usage)?,
            timezone: settings.timezone.zone().clone(),
            timezone_name: settings.timezone.name().to_owned(),
            launcher: self.launcher.clone(),
        })
    }

    fn transform(
        &self,
        config: &Config,
        chosen: Option<&config::Transform>,
        check: fn(&Mapper, &str) -> Result<Vec<Fault>, MapperError>,
    ) -> Result<Option<Transform>, PartError> {
        let Some(chosen) = chosen else { return Ok(None) };
        let failed = |source| PartError::Mapper { mapper: chosen.mapper.to_string(), source };
        let mapper = match &chosen.mapper {
            MapperChoice::BuiltIn => self.mappers.built_in(),
            MapperChoice::Named(name) => match config.mappers.get(name) {
                Some(mapper) => self.mappers.load(name, &mapper.path, mapper.sha256, limits(mapper.limits)),
                None => return Err(PartError::Missing { name: format!("mappers.{name}") }),
            },
        };
        let mapper = mapper.map_err(failed)?;
        let faults = check(&mapper, &chosen.settings).map_err(failed)?;
        if !faults.is_empty() {
            let faults = faults.into_iter().map(|fault| fault.message).collect();
            return Err(PartError::Settings { mapper: mapper.name().to_owned(), faults });
        }
        Ok(Some(Transform { mapper, settings: Arc::clone(&chosen.settings) }))
    }
}

/// What the configuration allows a mapper, in the mapper host's terms.
fn limits(configured: config::MapperLimits) -> Limits {
    Limits {
        component: configured.component_size.bytes(),
        memory: configured.memory.bytes() as usize,
        table_elements: configured.table_elements,
        batch_processor: configured.cpu_per_batch,
        file_processor: configured.cpu_per_file,
        file_processor_per_mebibyte: configured.cpu_per_mib,
        compile: CompileLimits {
            processor: configured.compile_cpu,
            wall: configured.compile_time,
            memory: configured.compile_memory.bytes(),
        },
    }
}

impl Assembly {
    /// Opens the state directory: ledger, spool, mapper host, destinations. Blocks.
    pub fn open(config: Config) -> Result<Self, AssemblyError> {
        let state = &config.daemon.state_dir;
        make_private(state)?;
        let ledger = Ledger::open(&state.join("ledger.redb"))?;
        let spool =
            Spool::open(state.join("spool"), config.daemon.spool_limit.bytes(), config.daemon.min_free.bytes())?;
        let workshop = Arc::new(Workshop::open(state, Launcher::this_binary())?);
        let slots = Slots::new(config.daemon.files_at_once);
        let destinations = destinations(&config)?;
        Ok(Self {
            config,
            ledger,
            slots,
            spool,
            workshop,
            destinations,
            secrets: Secrets::from_environment(),
            http: HttpClient::new(),
        })
    }

    /// The same state directory under another configuration.
    pub fn reload(&self, config: Config) -> Result<Self, AssemblyError> {
        Ok(Self {
            destinations: destinations(&config)?,
            config,
            ledger: self.ledger.clone(),
            slots: self.slots.clone(),
            spool: self.spool.clone(),
            workshop: Arc::clone(&self.workshop),
            secrets: Secrets::from_environment(),
            http: self.http.clone(),
        })
    }

    /// Where mappers are compiled.
    pub fn workshop(&self) -> &Arc<Workshop> {
        &self.workshop
    }

    /// Puts one integration together.
    pub async fn pipeline(self: &Arc<Self>, settings: &Integration) -> Result<Arc<Pipeline<S3Source>>, PartError> {
        let source = self.source(settings).await?;
        let recipe = {
            let (assembly, settings) = (Arc::clone(self), settings.clone());
            tokio::task::spawn_blocking(move || assembly.workshop.recipe(&assembly.config, &settings))
                .await
                .unwrap_or(Err(PartError::Panicked))?
        };
        let destination = self
            .destinations
            .get(&settings.destination)
            .cloned()
            .ok_or_else(|| PartError::Missing { name: format!("destinations.{}", settings.destination) })?;
        Ok(Arc::new(Pipeline {
            settings: settings.clone(),
            source,
            recipe,
            destination,
            ledger: self.ledger.clone(),
            spool: self.spool.clone(),
            rejects_directory: self.config.daemon.state_dir.join("rejects"),
        }))
    }

    /// An integration's bucket.
    async fn source(self: &Arc<Self>, settings: &Integration) -> Result<S3Source, PartError> {
        let connection = self.connection(&settings.connection).await?;
        Ok(connection.source(settings.bucket.clone(), settings.prefix.clone()))
    }

    /// Makes a connection. Nothing is sent yet.
    pub async fn connection(self: &Arc<Self>, key: &ConnectionKey) -> Result<Connection, PartError> {
        let settings = {
            let (assembly, key) = (Arc::clone(self), key.clone());
            // A secret may stand on a slow or hanging file system.
            tokio::task::spawn_blocking(move || assembly.connection_settings(&key))
                .await
                .unwrap_or(Err(PartError::Panicked))?
        };
        Ok(Connection::open(key.clone(), &settings, &self.http).await)
    }

    fn connection_settings(&self, key: &ConnectionKey) -> Result<ConnectionSettings, PartError> {
        let connection = self
            .config
            .connections
            .get(key)
            .ok_or_else(|| PartError::Missing { name: format!("connections.{key}") })?;
        let secret = |reference: &SecretReference| {
            let failed = |source| PartError::Secret { connection: key.clone(), source };
            let resolved = self.secrets.resolve(reference).map_err(failed)?;
            if let Some(warning) = &resolved.warning {
                events::SecretWarned { connection: key, warning }.emit();
            }
            Ok::<SecretString, PartError>(resolved.value)
        };
        let credentials = match &connection.auth {
            config::Auth::DefaultChain => Credentials::DefaultChain,
            config::Auth::AccessKey { access_key_id, secret_access_key, session_token } => Credentials::AccessKey {
                id: match access_key_id {
                    config::AccessKeyId::Text(id) => id.clone(),
                    config::AccessKeyId::Reference(reference) => secret(reference)?.expose_secret().to_owned(),
                },
                secret: secret(secret_access_key)?,
                session_token: session_token.as_ref().map(secret).transpose()?,
            },
        };
        Ok(ConnectionSettings {
            region: connection.region.clone(),
            endpoint_url: connection.endpoint_url.clone(),
            force_path_style: connection.addressing == config::Addressing::Path,
            credentials,
        })
    }
}

fn destinations(config: &Config) -> Result<BTreeMap<DestinationName, Arc<dyn Destination>>, AssemblyError> {
    let staging = config.daemon.state_dir.join("staging");
    let open = |(name, destination): (&DestinationName, &config::Destination)| {
        let opened = open_destination(&destination.kind, staging.join(name.as_str()));
        let opened = opened.map_err(|source| AssemblyError::Destination { name: name.clone(), source })?;
        Ok((name.clone(), opened))
    };
    config.destinations.iter().map(open).collect()
}

fn open_destination(kind: &DestinationKind, staging: PathBuf) -> Result<Arc<dyn Destination>, DestinationError> {
    Ok(match kind {
        DestinationKind::Sqlite { path } => Arc::new(SqliteDestination::open(path.clone(), staging)?),
        DestinationKind::Postgres(settings) => Arc::new(postgres(settings)?),
        DestinationKind::Files { path } => Arc::new(FilesDestination::open(path)?),
    })
}

/// Contacts nobody yet.
fn postgres(settings: &PostgresSettings) -> Result<PostgresDestination, DestinationError> {
    PostgresDestination::new(settings.clone(), Secrets::from_environment())
}

/// Brings a destination's schema to this version's; none where it does that by itself. Blocks.
pub fn migrate(kind: &DestinationKind) -> Result<Option<Migrated>, DestinationError> {
    match kind {
        DestinationKind::Postgres(settings) => postgres(settings)?.migrate().map(Some),
        DestinationKind::Sqlite { .. } | DestinationKind::Files { .. } => Ok(None),
    }
}

/// A destination for dry runs outside the daemon: what it would keep beside the store goes to `scratch`, and so does
/// an empty store where there is none yet.
pub fn destination_for_reading(
    kind: &DestinationKind,
    scratch: &Path,
) -> Result<Arc<dyn Destination>, DestinationError> {
    let there = |path: &PathBuf, name| if path.exists() { path.clone() } else { scratch.join(name) };
    let kind = match kind {
        DestinationKind::Sqlite { path } => DestinationKind::Sqlite { path: there(path, "store") },
        DestinationKind::Postgres(settings) => DestinationKind::Postgres(settings.clone()),
        DestinationKind::Files { path } => DestinationKind::Files { path: there(path, "files") },
    };
    open_destination(&kind, scratch.join("staging"))
}

fn make_private(path: &Path) -> Result<(), AssemblyError> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| AssemblyError::Directory { path: path.to_owned(), source })
}
