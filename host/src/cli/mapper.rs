//! `gristmill mapper`: a mapper of one's own, from an empty directory to a component that a configuration can pin.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};

use super::{Failed, Shared, UNWELL};
use crate::config::ByteSize;
use crate::mapper::{Fuel, Limits, MapperHost};
use crate::worker::Launcher;

mod bench;
mod build;
mod check;
mod log;
mod new;
mod replay;
mod shadow;
mod test;
mod trial;
mod underline;

/// Write a mapper: begin a project, build it, examine the component, try and measure it on a sample; see a failure again, and
/// what a new version of it would make of the files that were taken.
///
/// All but `replay` and `shadow` need no configuration and no daemon. What is done with a component is what the daemon does, under the
/// same limits.
#[derive(Debug, Args)]
pub struct Mapper {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    New(new::New),
    Build(build::Build),
    Check(check::Check),
    Test(test::Test),
    Bench(bench::Bench),
    Shadow(shadow::Shadow),
    Replay(replay::Replay),
}

impl Mapper {
    pub fn run(self, shared: &Shared) -> Result<(), Failed> {
        match self.command {
            Command::New(command) => command.run(shared),
            Command::Build(command) => command.run(shared),
            Command::Check(command) => command.run(shared),
            Command::Test(command) => command.run(shared),
            Command::Bench(command) => command.run(shared),
            Command::Shadow(command) => command.run(shared),
            Command::Replay(command) => command.run(shared),
        }
    }
}

/// The limits that a mapper is held to: the daemon's own.
#[derive(Debug, Clone, Args)]
struct Limit {
    /// Memory of one instance, where `[mappers.NAME.limits]` allows another than the default.
    #[arg(long, value_name = "SIZE", default_value = "64MiB")]
    memory: ByteSize,
}

impl Limit {
    fn limits(&self) -> Limits {
        Limits { memory: usize::try_from(self.memory.bytes()).unwrap_or(usize::MAX), ..Limits::default() }
    }
}

/// A mapper host whose compiled code is kept where the user's caches are, or nowhere.
fn host(fuel: Fuel) -> Result<(MapperHost, Option<tempfile::TempDir>), Failed> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home =
        || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache")).filter(|path| path.is_absolute());
    let start = |directory: PathBuf| MapperHost::start_with(fuel, directory, Launcher::this_binary());
    if let Some(cache) = cache.or_else(home)
        && let Ok(host) = start(cache.join("gristmill/mappers"))
    {
        return Ok((host, None));
    }
    let scratch = tempfile::tempdir()?;
    let host = start(scratch.path().to_owned()).map_err(|error| Failed::of(super::BUG, &error))?;
    Ok((host, Some(scratch)))
}

/// The component that is meant: the one that is named, or the only one in the current directory.
fn component(named: Option<PathBuf>) -> Result<PathBuf, Failed> {
    if let Some(path) = named {
        return Ok(path);
    }
    let entries = std::fs::read_dir(".")?.map_while(Result::ok).map(|entry| entry.path());
    let mut components = entries.filter(|path| path.extension().is_some_and(|extension| extension == "wasm"));
    match (components.next(), components.next()) {
        (Some(path), None) => Ok(path.strip_prefix("./").map(Path::to_owned).unwrap_or(path)),
        (found, _) => {
            let what = if found.is_some() { "several components" } else { "no component" };
            let hint = "gristmill mapper build makes one; --mapper names one that is somewhere else";
            Err(Failed::new(UNWELL, format!("there is {what} in this directory")).hint(Some(hint.to_owned())))
        }
    }
}

/// Reads a file that the author named.
fn read(path: &Path) -> Result<Vec<u8>, Failed> {
    std::fs::read(path).map_err(|error| Failed::new(UNWELL, format!("cannot read `{}`: {error}", path.display())))
}

/// A file of settings as the JSON that the mapper gets; without one, no settings.
fn settings(path: Option<&Path>) -> Result<Arc<str>, Failed> {
    let Some(path) = path else { return Ok("{}".into()) };
    let text = String::from_utf8_lossy(&read(path)?).into_owned();
    let wrong = |error: &dyn std::error::Error| {
        Failed::new(UNWELL, format!("`{}` is not a table of settings: {error}", path.display()))
    };
    let value: serde_json::Value = match path.extension().is_some_and(|extension| extension == "toml") {
        true => toml::from_str(&text).map_err(|error| wrong(&error))?,
        false => serde_json::from_str(&text).map_err(|error| wrong(&error))?,
    };
    Ok(value.to_string().into())
}
