//! A sample and a mapper, as the arguments of a command name them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;

use super::super::reading::Reading;
use super::super::{Failed, UNWELL};
use super::{Limit, component, host, read, settings};
use crate::author::{Rehearsal, RehearsalError, Sample};
use crate::config::Timezone;
use crate::mapper::{Fuel, Limits, MapperError, MapperHost};
use crate::object::ObjectKey;
use crate::worker::Launcher;

/// A sample, the mapper it is tried with, and what the daemon would know of both.
#[derive(Debug, Args)]
pub(super) struct Trial {
    /// A CSV or Excel file on this machine.
    pub(super) sample: PathBuf,
    /// The component; the only `.wasm` file of the current directory unless it is named.
    #[arg(long, value_name = "FILE")]
    mapper: Option<PathBuf>,
    /// The mapper's settings, as JSON or, in a `.toml` file, as TOML.
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// The key that the sample would have in its bucket; its file name by default.
    #[arg(long)]
    key: Option<ObjectKey>,
    /// When the sample would have been stored last. It is what day it is for a mapper, so it does not follow the file's own.
    #[arg(long, value_name = "TIME", default_value = "2025-01-15T12:00:00Z")]
    modified: Timestamp,
    /// The time zone in which that is a day.
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    timezone: Timezone,
    #[command(flatten)]
    limit: Limit,
    #[command(flatten)]
    reading: Reading,
}

/// How long compiling may take by the clock, within its processor time.
pub(super) const PATIENCE: Duration = Duration::from_secs(600);

/// A mapper that is ready for a sample.
pub(super) struct Ready {
    pub(super) rehearsal: Rehearsal,
    pub(super) sample: Sample,
    pub(super) limits: Limits,
    pub(super) host: MapperHost,
    /// The component.
    pub(super) bytes: Vec<u8>,
    /// Holds compiled code that is kept nowhere else.
    _scratch: Option<tempfile::TempDir>,
}

impl Trial {
    /// Compiles the component and has it check its settings.
    pub(super) fn prepare(self, fuel: Fuel) -> Result<Ready, Failed> {
        let component = component(self.mapper)?;
        let settings: Arc<str> = settings(self.settings.as_deref())?;
        let (host, scratch) = host(fuel)?;
        let mut limits = self.limit.limits();
        // What compiling may take is for `check` to say. A busy machine is no reason to give up here.
        limits.compile.wall = PATIENCE;
        let name = component.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let bytes = read(&component)?;
        let mapper = host.try_out(&name, &bytes, limits).map_err(|error| refused(&component, &error))?;
        let rehearsal = Rehearsal::of(mapper, settings, Launcher::this_binary()).map_err(|error| failed(&error))?;
        let Self { sample: path, key, modified, timezone, reading, .. } = self;
        let sample = Sample { path, key, modified, timezone, decode: reading.options() };
        Ok(Ready { rehearsal, sample, limits, host, bytes, _scratch: scratch })
    }
}

/// A component that was refused, with the command that says more.
pub(super) fn refused(component: &Path, error: &MapperError) -> Failed {
    let hint = format!("gristmill mapper check {} says everything that is wrong with it", component.display());
    Failed::of(UNWELL, error).hint(error.is_mappers_fault().then_some(hint))
}

pub(super) fn failed(error: &RehearsalError) -> Failed {
    let hint = match error {
        RehearsalError::WouldFail(failure) => failure.hint(),
        RehearsalError::Settings { .. } => Some("--settings names a file with the mapper's settings".to_owned()),
        RehearsalError::File { .. } | RehearsalError::Format { .. } | RehearsalError::Mapper(_) => None,
    };
    Failed::of(UNWELL, error).hint(hint)
}
