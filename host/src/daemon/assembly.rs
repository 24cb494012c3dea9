//! The parts that all integrations share, and how one integration's own are put together from them.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::credentials;
use super::destinations::Destinations;
use super::receivers;
use crate::clock::SystemClock;
use crate::config::{self, Config, Integration, MapperChoice};
use crate::destination::DestinationError;
use crate::effort::{self, Efforts};
use crate::events::{self, Chain};
use crate::failed_call::{self, FailedCalls};
use crate::ingest::{Breakers, DestinationSet, Pipeline, Recipe, Transform};
use crate::ledger::{Control, Ledger, LedgerError, Place};
use crate::mapper::{
    CompileLimits, ComponentFile, Fault, Figures, Limits, Mapper, MapperError, MapperHost, Signed, verify_signature,
};
use crate::notify::Outbox;
use crate::object::{ConnectionKey, DestinationName, MapperName, TenantName};
use crate::pass::{Allowance, Keeping, Slots};
use crate::rejects::Former;
use crate::renames::{self, RenameError};
use crate::secrets::{SecretError, Secrets};
use crate::source::{Connection, ConnectionSettings, HttpClient, ListBudget, Mark, S3Source};
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
    /// What tenants are behind with.
    pub efforts: Arc<Efforts<TenantName>>,
    /// Which mappers fail on every file.
    pub breakers: Arc<Breakers>,
    /// Who is told of what goes wrong.
    pub outbox: Outbox,
    spool: Spool,
    workshop: Arc<Workshop>,
    destinations: Arc<Destinations>,
    secrets: Secrets,
    http: HttpClient,
    opened: Arc<OpenedConnections>,
    /// Held by whoever makes a recipe, by tenant.
    turns: Arc<Turns>,
    /// Held while destinations follow to another name or place.
    renaming: Arc<tokio::sync::Mutex<()>>,
}

/// Those of one connection share its client and the credentials that it obtains, whichever configuration opened it.
type OpenedConnections = tokio::sync::Mutex<HashMap<ConnectionKey, Connection>>;

/// Whose turn it is to make a recipe, by tenant.
type Turns = tokio::sync::Mutex<HashMap<TenantName, Arc<tokio::sync::Mutex<()>>>>;

/// How long one recipe may keep a tenant's others waiting: as long as compiling a Python takes, and no longer where a file
/// system hangs.
const TURN: Duration = Duration::from_secs(10);

/// The ledger's file in the state directory.
const LEDGER: &str = "ledger.redb";

/// What the state directory takes up, in bytes.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Disk {
    /// The ledger's file.
    pub ledger: u64,
    /// Copies of files at work, with the room that is kept for them.
    pub spool: u64,
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
    /// Its destination could not be opened.
    #[error("destination `{name}` cannot be opened")]
    Destination {
        /// Which.
        name: DestinationName,
        /// Why.
        #[source]
        source: DestinationError,
    },
    /// Something it names is not in the configuration.
    #[error("`{name}` is not configured, or is disabled by a problem of its own")]
    Missing {
        /// What.
        name: String,
    },
    /// It cannot go on under its name.
    #[error(transparent)]
    Rename(#[from] RenameError),
    /// A thread of ours panicked.
    #[error("the assembly ended unexpectedly")]
    Panicked,
}

/// A component that may become a mapper of the configuration.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// The component.
    pub bytes: &'a [u8],
    /// The text of its signature file, if there is one.
    pub signature: Option<&'a str>,
    /// Where that is, or should be.
    pub signature_path: &'a Path,
}

/// Why a component cannot become a mapper of the configuration.
#[derive(Debug, thiserror::Error)]
pub enum CandidateError {
    /// Something is wrong with it.
    #[error("{}", problems(.0))]
    Unsound(Vec<MapperError>),
    /// It could not be tried.
    #[error(transparent)]
    Part(#[from] PartError),
}

impl CandidateError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unsound(problems) if problems.iter().any(|one| matches!(one, MapperError::Unsigned { .. })) => {
                Some("sign the component with one of the keys in `signed_by`: minisign -S -m FILE".to_owned())
            }
            Self::Unsound(_) => Some("gristmill mapper check FILE says more about it".to_owned()),
            Self::Part(error) => error.hint(),
        }
    }
}

fn problems(all: &[MapperError]) -> String {
    all.iter().map(|problem| Chain(problem).to_string()).collect::<Vec<_>>().join("; ")
}

impl PartError {
    /// Whether it may be put together later although nobody mends anything.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Secret { source, .. } if source.may_pass())
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Secret { source, .. } => source.hint(),
            Self::Destination { source, .. } => Some(source.hint().map_or_else(
                || {
                    "mend the directory that it names; it is tried again by itself, and at once with `gristmill poll`"
                        .into()
                },
                str::to_owned,
            )),
            Self::Mapper { .. } | Self::Settings { .. } | Self::Missing { .. } => {
                Some("gristmill check shows every problem with its place in the configuration".into())
            }
            Self::Rename(error) => error.hint(),
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

    /// What each mapper took and did since the process began.
    pub fn figures(&self) -> Vec<Figures> {
        self.mappers.figures()
    }

    /// Makes an integration's recipe: loads its mappers, compiling them where they are new, and has them check their
    /// settings. Blocks.
    pub fn recipe(&self, config: &Config, settings: &Integration) -> Result<Recipe, PartError> {
        self.recipe_with(settings, |chosen| self.mapper(config, chosen))
    }

    /// The same with this mapper wherever the integration chose that name, and with none that counts among the figures.
    pub fn recipe_aside(
        &self,
        config: &Config,
        settings: &Integration,
        name: &MapperName,
        mapper: &Arc<Mapper>,
    ) -> Result<Recipe, PartError> {
        self.recipe_with(settings, |chosen| match chosen {
            MapperChoice::Named(chosen) if chosen == name => Ok(Arc::clone(mapper)),
            other => Ok(Arc::new(self.mapper(config, other)?.unmetered())),
        })
    }

    /// What a component would be as the mapper of this name: signed, if the configuration asks for that, and held to its
    /// limits. Otherwise everything that is wrong with it. Blocks.
    pub fn candidate(
        &self,
        name: &MapperName,
        configured: &config::Mapper,
        component: &Candidate<'_>,
    ) -> Result<Mapper, CandidateError> {
        let Candidate { bytes, signature, signature_path: path } = component;
        let failed = |source| PartError::Mapper { mapper: name.to_string(), source };
        if !configured.signed_by.is_empty() {
            let none = || MapperError::Unsigned { path: path.to_path_buf(), reason: "there is none".to_owned() };
            let verified = signature.ok_or_else(none);
            let verified = verified.and_then(|text| verify_signature(path, text, &configured.signed_by, bytes));
            verified.map_err(|problem| CandidateError::Unsound(vec![problem]))?;
        }
        let limits = limits(configured.limits);
        match self.mappers.try_aside(name.as_str(), bytes, limits) {
            Ok(mapper) => Ok(mapper),
            Err(problem) if problem.is_mappers_fault() => {
                let mut problems = self.mappers.examine(bytes, limits).map_err(failed)?.problems;
                if problems.is_empty() {
                    problems.push(problem);
                }
                Err(CandidateError::Unsound(problems))
            }
            Err(error) => Err(failed(error).into()),
        }
    }

    /// The mapper that the configuration means.
    pub fn mapper(&self, config: &Config, chosen: &MapperChoice) -> Result<Arc<Mapper>, PartError> {
        let mapper = match chosen {
            MapperChoice::BuiltIn => self.mappers.built_in(),
            MapperChoice::Named(name) => match config.mappers.get(name) {
                Some(mapper) => self.mappers.load(name, component_file(mapper), limits(mapper.limits)),
                None => return Err(PartError::Missing { name: format!("mappers.{name}") }),
            },
        };
        mapper.map_err(|source| PartError::Mapper { mapper: chosen.to_string(), source })
    }

    fn recipe_with(
        &self,
        settings: &Integration,
        mapper: impl Fn(&MapperChoice) -> Result<Arc<Mapper>, PartError>,
    ) -> Result<Recipe, PartError> {
        let transform = |chosen: Option<&config::Transform>, check| {
            chosen.map(|chosen| checked(mapper(&chosen.mapper)?, chosen, check)).transpose()
        };
        let fields = transform(settings.field_mapping.as_ref(), Mapper::check_fields as Check)?;
        let usage = transform(settings.product_usage.as_ref(), Mapper::check_usage)?;
        Ok(Recipe::new(settings, fields, usage, self.launcher.clone()))
    }
}

type Check = fn(&Mapper, &str) -> Result<Vec<Fault>, MapperError>;

/// A mapper with settings that it accepts.
fn checked(mapper: Arc<Mapper>, chosen: &config::Transform, check: Check) -> Result<Transform, PartError> {
    let name = || mapper.name().to_owned();
    let faults = check(&mapper, &chosen.settings).map_err(|source| PartError::Mapper { mapper: name(), source })?;
    if !faults.is_empty() {
        let faults = faults.into_iter().map(|fault| fault.message).collect();
        return Err(PartError::Settings { mapper: name(), faults });
    }
    Ok(Transform { mapper, settings: Arc::clone(&chosen.settings) })
}

/// The component that the configuration means, in the mapper host's terms.
fn component_file(mapper: &config::Mapper) -> ComponentFile<'_> {
    let signed = (!mapper.signed_by.is_empty()).then(|| Signed { signature: &mapper.signature, by: &mapper.signed_by });
    ComponentFile { path: &mapper.path, sha256: mapper.sha256, signed }
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

/// The places that the configuration has for files at work.
pub(super) fn places(config: &Config, keeping: Keeping) -> Slots {
    let slots = Slots::new(config.daemon.files_at_once, keeping);
    slots.change(config.daemon.files_at_once, allowances(config));
    slots
}

/// What each tenant may take of them.
fn allowances(config: &Config) -> BTreeMap<TenantName, Allowance> {
    let allowance = |limits: &config::Tenant| Allowance {
        files: limits.files_at_once,
        mapper_memory: limits.mapper_memory.bytes(),
    };
    config.tenants.iter().map(|(tenant, limits)| (tenant.clone(), allowance(limits))).collect()
}

/// Gives each tenant its share of the processors.
fn share_out(config: &Config, efforts: &Efforts<TenantName>) {
    for (tenant, limits) in &config.tenants {
        efforts.change(tenant, limits.processor_share.as_f64());
    }
}

impl Assembly {
    /// What the state directory takes up.
    pub fn disk(&self) -> Disk {
        let ledger = std::fs::metadata(self.config.daemon.state_dir.join(LEDGER)).map_or(0, |file| file.len());
        Disk { ledger, spool: self.spool.reserved() }
    }

    /// Opens the state directory: ledger, spool, mapper host. Blocks.
    pub fn open(config: Config) -> Result<Self, AssemblyError> {
        let state = &config.daemon.state_dir;
        make_private(state)?;
        let ledger = Ledger::open(&state.join(LEDGER))?;
        let spool =
            Spool::open(state.join("spool"), config.daemon.spool_limit.bytes(), config.daemon.min_free.bytes())?;
        let workshop = Arc::new(Workshop::open(state, Launcher::this_binary())?);
        let slots = places(&config, Keeping::Half);
        let efforts = Arc::default();
        share_out(&config, &efforts);
        let destinations = Arc::new(Destinations::of(&config));
        let secrets = config.secrets();
        Ok(Self {
            config,
            ledger,
            slots,
            efforts,
            breakers: Arc::default(),
            outbox: Outbox::default(),
            spool,
            workshop,
            destinations,
            secrets,
            http: HttpClient::new(),
            opened: Arc::default(),
            turns: Arc::default(),
            renaming: Arc::default(),
        })
    }

    /// The same state directory under another configuration, whose limits hold from now on for whoever runs already.
    pub fn reload(&self, config: Config) -> Self {
        self.slots.change(config.daemon.files_at_once, allowances(&config));
        share_out(&config, &self.efforts);
        self.spool.change_limits(config.daemon.spool_limit.bytes(), config.daemon.min_free.bytes());
        Self {
            destinations: Arc::new(self.destinations.reload(&config)),
            secrets: config.secrets(),
            config,
            ledger: self.ledger.clone(),
            slots: self.slots.clone(),
            efforts: Arc::clone(&self.efforts),
            breakers: Arc::clone(&self.breakers),
            outbox: self.outbox.clone(),
            spool: self.spool.clone(),
            workshop: Arc::clone(&self.workshop),
            http: self.http.clone(),
            opened: Arc::clone(&self.opened),
            turns: Arc::clone(&self.turns),
            renaming: Arc::clone(&self.renaming),
        }
    }

    /// Begins to tell whom the configuration names. Needs the async runtime.
    pub fn open_outbox(&self) {
        let webhook = |(name, settings)| receivers::webhook(name, settings, &self.secrets);
        self.outbox.open(self.config.notify.iter().map(webhook).collect());
    }

    /// Where local copies lie.
    pub fn spool(&self) -> &Spool {
        &self.spool
    }

    /// Where mappers are compiled.
    pub fn workshop(&self) -> &Arc<Workshop> {
        &self.workshop
    }

    /// Puts one integration together.
    pub async fn pipeline(self: &Arc<Self>, settings: &Integration) -> Result<Arc<Pipeline<S3Source>>, PartError> {
        let control = self.settle_names(settings).await?;
        let source = self.source(settings, &control).await?;
        let mut recipe = self.recipe(settings).await?;
        let destinations = {
            let (assembly, settings) = (Arc::clone(self), settings.clone());
            tokio::task::spawn_blocking(move || assembly.destinations(&settings))
                .await
                .unwrap_or(Err(PartError::Panicked))?
        };
        for Transform { mapper, .. } in recipe.fields.iter().chain(&recipe.usage) {
            let (tenant, integration, digest) = (&settings.tenant, &settings.name, mapper.digest());
            let (mapper, compiled) = (mapper.name(), mapper.compiled());
            events::MapperLoaded { tenant, integration, mapper, digest, compiled }.emit();
        }
        recipe.former = Former { names: control.former_names.clone(), moves: control.moves.clone() };
        Ok(Arc::new(Pipeline {
            settings: settings.clone(),
            place: self.place(settings, &control)?,
            source,
            breakers: self.breakers.of(&settings.tenant, &recipe),
            recipe,
            destinations,
            ledger: self.ledger.clone(),
            spool: self.spool.clone(),
            rejects_directory: self.rejects_directory(),
            outbox: self.outbox.clone(),
            clock: Arc::new(SystemClock),
            mark: Mark::default(),
            list_budget: ListBudget::new(settings.list_budget),
            failed_calls: self.failed_calls(),
            is_compared: AtomicBool::new(false),
        }))
    }

    /// Makes an integration's recipe. A tenant makes one at a time, aside: compiling a component may take a processor and
    /// gigabytes for a minute, and a reload may bring many.
    async fn recipe(self: &Arc<Self>, settings: &Integration) -> Result<Recipe, PartError> {
        let turns = Arc::clone(self.turns.lock().await.entry(settings.tenant.clone()).or_default());
        let turn = turns.lock().await;
        let (tell, told) = tokio::sync::oneshot::channel();
        let (assembly, settings) = (Arc::clone(self), settings.clone());
        let begun = std::thread::Builder::new().name("assembly".into()).spawn(move || {
            effort::stand_aside();
            // Whoever asked may have gone.
            let _ = tell.send(assembly.workshop.recipe(&assembly.config, &settings));
        });
        begun.map_err(|_| PartError::Panicked)?;
        let mut told = std::pin::pin!(told);
        let in_time = tokio::time::timeout(TURN, &mut told).await;
        drop(turn);
        let made = match in_time {
            Ok(made) => made,
            // A file system that hangs keeps the tenant's other integrations waiting no longer.
            Err(_) => told.await,
        };
        made.unwrap_or(Err(PartError::Panicked))
    }

    /// Sees that the ledger knows what is an integration's under the names and in the place that it and its connection have now
    /// (R17).
    pub async fn settle_in_ledger(&self, settings: &Integration) -> Result<Control, RenameError> {
        renames::in_ledger(&self.ledger, settings, self.config.connections.get(&settings.connection)).await
    }

    /// The same for the destinations, too. What stands for it then.
    pub async fn settle_names(self: &Arc<Self>, settings: &Integration) -> Result<Control, PartError> {
        let mut control = self.settle_in_ledger(settings).await?;
        if !control.to_follow.is_empty() || !control.to_move.is_empty() {
            let _one_at_a_time = self.renaming.lock().await;
            control = self.ledger.control(&settings.name).await.map_err(RenameError::from)?;
            let destinations = {
                let (assembly, settings) = (Arc::clone(self), settings.clone());
                tokio::task::spawn_blocking(move || assembly.destinations(&settings))
                    .await
                    .unwrap_or(Err(PartError::Panicked))?
            };
            let rejects = self.rejects_directory();
            renames::follow(&self.ledger, settings, &control, destinations, rejects).await?;
        }
        Ok(control)
    }

    /// Where calls are saved on which mappers failed.
    pub fn failed_calls_directory(&self) -> PathBuf {
        failed_call::directory_of(&self.config.daemon.state_dir)
    }

    fn failed_calls(&self) -> FailedCalls {
        let wanted = |(name, mapper): (&MapperName, &config::Mapper)| Some((name.to_string(), mapper.save_failed?));
        FailedCalls::below(self.failed_calls_directory(), self.config.mappers.iter().filter_map(wanted).collect())
    }

    fn rejects_directory(&self) -> PathBuf {
        self.config.daemon.state_dir.join("rejects")
    }

    /// An integration's destinations, opened if nobody did yet. Blocks.
    pub fn destinations(&self, settings: &Integration) -> Result<DestinationSet, PartError> {
        self.destinations.set(&settings.destinations)
    }

    /// An integration's bucket.
    async fn source(self: &Arc<Self>, settings: &Integration, control: &Control) -> Result<S3Source, PartError> {
        let connection = self.connection(&settings.connection).await?;
        let connection = connection.recorded_as(control.recorded(&settings.connection).clone());
        Ok(connection.source(settings.bucket.clone(), settings.prefix.clone()))
    }

    /// Where an integration's objects are.
    pub fn place(&self, settings: &Integration, control: &Control) -> Result<Place, PartError> {
        let connection = self.config.connections.get(&settings.connection);
        let connection =
            connection.ok_or_else(|| PartError::Missing { name: format!("connections.{}", settings.connection) })?;
        Ok(renames::place_of(settings, connection, control))
    }

    /// A connection: the one that is open, with the credentials that it has obtained, unless something of it has changed.
    pub async fn connection(self: &Arc<Self>, key: &ConnectionKey) -> Result<Connection, PartError> {
        let settings = self.connection_settings(key).await?;
        let mut opened = self.opened.lock().await;
        match opened.get(key) {
            Some(connection) if connection.rotate(&settings) => Ok(connection.clone()),
            _ => {
                let connection = self.open_connection(key, &settings).await;
                opened.retain(|key, _| self.config.connections.contains_key(key));
                opened.insert(key.clone(), connection.clone());
                Ok(connection)
            }
        }
    }

    /// Has whoever works over an open connection send the next request with the pair of keys that stands now where its secrets
    /// are; what is under way goes on. One that cannot be read stays as it is.
    pub async fn renew_keys(self: &Arc<Self>) {
        self.secrets.forget();
        let opened: Vec<Connection> = self.opened.lock().await.values().cloned().collect();
        for connection in opened {
            let key = connection.key();
            match self.connection_settings(key).await {
                // Whoever uses one of which more is different is started anew, with another.
                Ok(settings) if !connection.has_settings(&settings) && connection.rotate(&settings) => {
                    events::KeysRotated { connection: key }.emit();
                }
                Ok(_) | Err(PartError::Missing { .. }) => {}
                Err(error) => events::KeysKept { connection: key, problem: &Chain(&error) }.emit(),
            }
        }
    }

    /// A connection that knows nothing yet of what was obtained or refused, with its secrets as they are now. Nothing is
    /// sent to its server.
    pub async fn new_connection(self: &Arc<Self>, key: &ConnectionKey) -> Result<Connection, PartError> {
        self.secrets.forget();
        let settings = self.connection_settings(key).await?;
        Ok(self.open_connection(key, &settings).await)
    }

    async fn open_connection(&self, key: &ConnectionKey, settings: &ConnectionSettings) -> Connection {
        credentials::open(key, settings, &self.http).await
    }

    async fn connection_settings(self: &Arc<Self>, key: &ConnectionKey) -> Result<ConnectionSettings, PartError> {
        let (assembly, key) = (Arc::clone(self), key.clone());
        // A secret may stand on a slow or hanging file system.
        let read = tokio::task::spawn_blocking(move || assembly.read_settings(&key));
        read.await.unwrap_or(Err(PartError::Panicked))
    }

    fn read_settings(&self, key: &ConnectionKey) -> Result<ConnectionSettings, PartError> {
        let missing = || PartError::Missing { name: format!("connections.{key}") };
        credentials::read(&self.secrets, key, self.config.connections.get(key).ok_or_else(missing)?)
    }
}

fn make_private(path: &Path) -> Result<(), AssemblyError> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| AssemblyError::Directory { path: path.to_owned(), source })
}
