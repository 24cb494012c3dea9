//! Components: compile, cache, instantiate, call, limit. The only user of wasmtime; it knows no formats, S3 or
//! destinations.
//!
//! A [`MapperHost`] makes [`Mapper`]s out of component bytes; a mapper makes a [`FieldMapping`] or a [`UsageMapping`]
//! for each file, which turns batches into checked Arrow arrays. All calls block.
//!
//! # From bytes to a mapper
//!
//! digest against the pinned one → signature, where one is asked for → outline: kind of file, imports against the allow-list, contract version → native
//! code from the cache, or from a worker process and into the cache → linked once → instantiated once, to prove it.
//! The built-in mapper takes the same way.
//!
//! # Invariants
//!
//! - A component reaches the log, an empty sandbox if its toolchain needs one, and nothing else (I5).
//! - Nothing that a component does can panic, block or fill this process: time, memory, tables, instances, handles,
//!   output and log are limited, and every limit is an error with a name (I6).
//! - What a component returns is checked before anyone sees it.
//! - Each file gets a store of its own, and a guest that failed is never entered again.
//! - Native code is loaded only if it came from our own compiler: from the worker, or from a sealed cache entry.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::{Component, InstancePre};

use crate::object::{ComponentDigest, MapperName};
use crate::worker::Launcher;

mod bindings;
mod builtin_component;
mod cache;
mod compile;
mod engine;
mod error;
mod escape;
mod examine;
mod field_mapping;
mod guards;
mod input;
mod inspect;
mod instance;
mod limits;
mod log;
mod meter;
mod output;
mod product_usage;
mod sandbox;
mod signature;
mod table;

use bindings::{field_mapping as raw_fields, product_usage as raw_usage};
use cache::{Cache, Refusal};
use compile::CompileError;
use engine::{Compatibility, Settings, Ticker};
use inspect::Outline;
use meter::Meter;
use sandbox::{Inside, Linkers};

pub use compile::{CompileCost, compile_child};
pub use engine::Fuel;
pub use error::{Blame, Fault, MapperError, Span};
pub use examine::{Examination, StartCost};
pub use field_mapping::FieldMapping;
pub use guards::{Guard, Guards};
pub use input::Source;
pub use inspect::Exports;
pub use instance::FileBudget;
pub use limits::{CompileLimits, Limits};
pub use log::{LogLevel, LogLine, LogSink};
pub use meter::{Figures, Spent, Worked};
pub use product_usage::UsageMapping;
pub use signature::{Signed, signature_beside, verify_signature};

/// Makes mappers, and keeps those that are in use.
pub struct MapperHost {
    engine: Engine,
    settings: Settings,
    ticker: Arc<Ticker>,
    linkers: Linkers,
    cache: Cache,
    launcher: Launcher,
    /// By digest. A slot is locked while its component is compiled, so that no component is compiled twice at once.
    slots: Mutex<HashMap<ComponentDigest, Arc<Mutex<Slot>>>>,
    /// What each mapper took since this began, under whatever settings.
    meters: Mutex<Meters>,
}

/// Meters, by a mapper's name and its component.
type Meters = BTreeMap<(Box<str>, ComponentDigest), Arc<Meter>>;

/// A component's file, and what it must be.
#[derive(Debug, Clone, Copy)]
pub struct ComponentFile<'a> {
    /// The file.
    pub path: &'a Path,
    /// Its SHA-256.
    pub sha256: ComponentDigest,
    /// Who must have signed it, if anybody.
    pub signed: Option<Signed<'a>>,
}

/// What is known of a component.
enum Slot {
    /// Nothing in this process.
    Unknown,
    /// It is in use, or was.
    Loaded(Weak<Loaded>),
    /// It cannot be compiled.
    Refused(Refusal),
}

/// A component, linked and ready to be instantiated.
pub(crate) struct Loaded {
    pre: InstancePre<Inside>,
    field_mapping: Option<raw_fields::GuestIndices>,
    product_usage: Option<raw_usage::GuestIndices>,
    exports: Exports,
    ticker: Arc<Ticker>,
    guards: Guards,
}

impl MapperHost {
    /// Starts an engine whose compiled code is kept in this directory, which is made if it is missing.
    pub fn start(cache_dir: PathBuf, launcher: Launcher) -> Result<Self, MapperError> {
        Self::start_with(Fuel::Uncounted, cache_dir, launcher)
    }

    /// The same, counting fuel or not.
    pub fn start_with(fuel: Fuel, cache_dir: PathBuf, launcher: Launcher) -> Result<Self, MapperError> {
        Self::start_guarded(Settings { fuel, guards: Guards::ALL }, cache_dir, launcher)
    }

    /// The same with some guards left out, which is for benchmarks alone: nothing that runs mappers of people may call it.
    pub fn start_for_measurement(guards: Guards, cache_dir: PathBuf, launcher: Launcher) -> Result<Self, MapperError> {
        Self::start_guarded(Settings { fuel: Fuel::Uncounted, guards }, cache_dir, launcher)
    }

    fn start_guarded(settings: Settings, cache_dir: PathBuf, launcher: Launcher) -> Result<Self, MapperError> {
        let engine = engine::new_engine(settings)?;
        let cache = Cache::open(cache_dir, Compatibility::of(&engine))?;
        let ticker = Arc::new(Ticker::start(&engine)?);
        let linkers = Linkers::new(&engine)?;
        Ok(Self {
            engine,
            settings,
            ticker,
            linkers,
            cache,
            launcher,
            slots: Mutex::default(),
            meters: Mutex::default(),
        })
    }

    /// The built-in mapper, under its own name, `built-in`. Its component is part of this program.
    pub fn built_in(&self) -> Result<Arc<Mapper>, MapperError> {
        let bytes = builtin_component::COMPONENT;
        self.mapper("built-in", bytes, digest(bytes), Limits::default())
    }

    /// Compiles the built-in mapper in this process: a test of this library has no binary to start as a worker.
    #[cfg(test)]
    pub(crate) fn compile_built_in(&self) {
        let input = crate::worker::file_of(builtin_component::COMPONENT).unwrap();
        let mut code = Vec::new();
        let request = serde_json::to_vec(&self.settings).unwrap();
        compile_child(&request, Some(input), &mut code).unwrap();
        compile::split_tail(&mut code).unwrap();
        self.cache.keep_code(&digest(builtin_component::COMPONENT), &code).unwrap();
    }

    /// A mapper from a component that nobody pinned: its author tries it.
    pub fn try_out(&self, name: &str, bytes: &[u8], limits: Limits) -> Result<Arc<Mapper>, MapperError> {
        self.mapper(name, bytes, digest(bytes), limits)
    }

    /// The same beside a mapper of that name: what it takes is not among the figures.
    pub fn try_aside(&self, name: &str, bytes: &[u8], limits: Limits) -> Result<Mapper, MapperError> {
        self.unmetered(name, bytes, digest(bytes), limits)
    }

    /// A mapper from a component file that the configuration pins by its digest.
    pub fn load(&self, name: &MapperName, file: ComponentFile<'_>, limits: Limits) -> Result<Arc<Mapper>, MapperError> {
        let bytes = read(file.path, limits.component)?;
        let found = digest(&bytes);
        if found != file.sha256 {
            return Err(MapperError::DigestMismatch { pinned: file.sha256, found });
        }
        if let Some(signed) = file.signed {
            signed.verify(&bytes)?;
        }
        self.mapper(name.as_str(), &bytes, found, limits)
    }

    fn mapper(
        &self,
        name: &str,
        bytes: &[u8],
        digest: ComponentDigest,
        limits: Limits,
    ) -> Result<Arc<Mapper>, MapperError> {
        let mut mapper = self.unmetered(name, bytes, digest, limits)?;
        mapper.meter = Arc::clone(lock(&self.meters).entry((name.into(), digest)).or_default());
        match mapper.compiled {
            Some(cost) => mapper.meter.compiled(cost),
            None => mapper.meter.hit_cache(),
        }
        Ok(Arc::new(mapper))
    }

    fn unmetered(
        &self,
        name: &str,
        bytes: &[u8],
        digest: ComponentDigest,
        limits: Limits,
    ) -> Result<Mapper, MapperError> {
        if bytes.len() as u64 > limits.component {
            return Err(MapperError::TooLarge { limit: limits.component });
        }
        let outline = inspect::outline(bytes)?;
        let (component, compiled) = self.component(bytes, &digest, outline, &limits)?;
        let mapper = Mapper { name: name.into(), digest, limits, component, compiled, meter: Arc::default() };
        mapper.prove()?;
        Ok(mapper)
    }

    /// The figures of every mapper that was made, by name.
    pub fn figures(&self) -> Vec<Figures> {
        lock(&self.meters).iter().map(|((name, digest), meter)| meter.figures(name, *digest)).collect()
    }

    /// The component with this digest: the one in use, or a new one. Says what compiling took, if it was compiled now.
    fn component(
        &self,
        bytes: &[u8],
        digest: &ComponentDigest,
        outline: Outline,
        limits: &Limits,
    ) -> Result<(Arc<Loaded>, Option<CompileCost>), MapperError> {
        let slot = Arc::clone(lock(&self.slots).entry(*digest).or_insert_with(|| Arc::new(Mutex::new(Slot::Unknown))));
        let mut slot = lock(&slot);
        match &*slot {
            Slot::Loaded(component) => {
                if let Some(component) = component.upgrade() {
                    return Ok((component, None));
                }
            }
            Slot::Refused(refusal) if refusal.limits == limits.compile => {
                return Err(MapperError::Compile { reason: refusal.reason.clone() });
            }
            Slot::Refused(_) | Slot::Unknown => {}
        }
        match self.code(bytes, digest, &limits.compile) {
            Ok((code, cost)) => {
                let component = Arc::new(self.link(&code, outline)?);
                *slot = Slot::Loaded(Arc::downgrade(&component));
                Ok((component, cost))
            }
            Err(CompileError::Refused(reason)) => {
                let refusal = Refusal { reason: reason.clone(), limits: limits.compile };
                self.cache.keep_refusal(digest, &refusal)?;
                *slot = Slot::Refused(refusal);
                Err(MapperError::Compile { reason })
            }
            Err(CompileError::Ours(error)) => Err(error),
        }
    }

    /// A component's native code: from the cache, or from the compiler, which says what it took, and then in the cache.
    fn code(
        &self,
        bytes: &[u8],
        digest: &ComponentDigest,
        limits: &CompileLimits,
    ) -> Result<(Vec<u8>, Option<CompileCost>), CompileError> {
        if let Some(code) = self.cache.code(digest).map_err(CompileError::Ours)? {
            return Ok((code, None));
        }
        match self.cache.refusal(digest).map_err(CompileError::Ours)? {
            Some(refusal) if refusal.limits == *limits => return Err(CompileError::Refused(refusal.reason)),
            _ => {}
        }
        let compiled = compile::compile(&self.launcher, bytes, self.settings, limits)?;
        self.cache.keep_code(digest, &compiled.code).map_err(CompileError::Ours)?;
        Ok((compiled.code, Some(compiled.cost)))
    }

    /// Loads native code and links it.
    fn link(&self, code: &[u8], outline: Outline) -> Result<Loaded, MapperError> {
        // SAFETY: `deserialize` demands bytes that `precompile_component` returned, unchanged since. These come from our
        // own binary, run as a worker on this machine moments ago and read through a socket that only it and we hold;
        // or from a cache entry whose seal, under a key that only this user can read, was checked over this very
        // buffer. Nobody else has the buffer, and the engine copies it before it maps it as code. Bytes from a user
        // never get here: those must begin as a WebAssembly component does.
        #[expect(clippy::disallowed_methods, reason = "this is where code is loaded")]
        let component = unsafe { Component::deserialize(&self.engine, code) };
        let component = component.map_err(|error| engine::engine_error("load compiled code", error))?;
        let linker = if outline.needs_sandbox { &self.linkers.sandbox } else { &self.linkers.plain };
        let pre = linker.instantiate_pre(&component).map_err(|error| instance::wrong_world(&error))?;
        let Exports { field_mapping, product_usage } = outline.exports;
        let field_mapping = field_mapping.then(|| raw_fields::GuestIndices::new(&pre)).transpose();
        let product_usage = product_usage.then(|| raw_usage::GuestIndices::new(&pre)).transpose();
        Ok(Loaded {
            pre,
            field_mapping: field_mapping.map_err(|error| instance::wrong_world(&error))?,
            product_usage: product_usage.map_err(|error| instance::wrong_world(&error))?,
            exports: outline.exports,
            ticker: Arc::clone(&self.ticker),
            guards: self.settings.guards,
        })
    }
}

/// One mapper: a component, a name, and limits. Files share the component's code and nothing else.
pub struct Mapper {
    name: Box<str>,
    digest: ComponentDigest,
    limits: Limits,
    component: Arc<Loaded>,
    compiled: Option<CompileCost>,
    meter: Arc<Meter>,
}

impl Mapper {
    /// Its name in the configuration.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// SHA-256 of its component.
    pub fn digest(&self) -> ComponentDigest {
        self.digest
    }

    /// The version of the contract that it is spoken to in.
    pub fn contract(&self) -> &'static str {
        inspect::VERSION
    }

    /// What compiling it took; none when its code was there already.
    pub fn compiled(&self) -> Option<CompileCost> {
        self.compiled
    }

    /// What it may use.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// The same mapper for an experiment that does not count.
    pub fn unmetered(&self) -> Self {
        let Self { name, digest, limits, component, compiled, .. } = self;
        let component = Arc::clone(component);
        let meter = Arc::default();
        Self { name: name.clone(), digest: *digest, limits: *limits, component, compiled: *compiled, meter }
    }

    /// What its instances took so far.
    pub fn spent(&self) -> Spent {
        self.meter.spent()
    }

    /// Which transforms it has.
    pub fn exports(&self) -> Exports {
        self.component.exports
    }

    /// What is wrong with these settings (JSON) for field mapping; empty when nothing is.
    pub fn check_fields(&self, settings: &str) -> Result<Vec<Fault>, MapperError> {
        self.fields(FileBudget { bytes: 0 }, nowhere())?.check(settings)
    }

    /// What is wrong with these settings (JSON) for product usage; empty when nothing is.
    pub fn check_usage(&self, settings: &str) -> Result<Vec<Fault>, MapperError> {
        self.usage(FileBudget { bytes: 0 }, nowhere())?.check(settings)
    }

    /// Field mapping of one file, in an instance of its own.
    pub fn fields(&self, budget: FileBudget, log: LogSink) -> Result<FieldMapping, MapperError> {
        FieldMapping::start(&self.component, &self.meter, self.limits, budget, log)
    }

    /// Product usage of one file, in an instance of its own.
    pub fn usage(&self, budget: FileBudget, log: LogSink) -> Result<UsageMapping, MapperError> {
        UsageMapping::start(&self.component, &self.meter, self.limits, budget, log)
    }

    /// That it starts within its limits, and that its functions have the contract's types.
    fn prove(&self) -> Result<(), MapperError> {
        let Exports { field_mapping, product_usage } = self.exports();
        if field_mapping {
            self.fields(FileBudget { bytes: 0 }, nowhere())?;
        }
        if product_usage {
            self.usage(FileBudget { bytes: 0 }, nowhere())?;
        }
        Ok(())
    }
}

/// For calls whose result says everything.
fn nowhere() -> LogSink {
    Arc::new(|_| ())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Both the map and the slots change in single assignments: whoever panicked left them whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn digest(bytes: &[u8]) -> ComponentDigest {
    ComponentDigest::from_bytes(Sha256::digest(bytes).into())
}

/// A whole file of at most `limit` bytes.
fn read(path: &Path, limit: u64) -> Result<Vec<u8>, MapperError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(limit.saturating_add(1)).read_to_end(&mut bytes));
    read.map_err(|source| MapperError::Io { what: "read the component", path: path.to_owned(), source })?;
    if bytes.len() as u64 > limit { Err(MapperError::TooLarge { limit }) } else { Ok(bytes) }
}
