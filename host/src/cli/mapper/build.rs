//! `gristmill mapper build`: from a project to its component.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::super::output::printable;
use super::super::{BUG, Failed, Shared, UNWELL, output};
use super::check::rounded;
use super::{host, read};
use crate::author::{self, Project};
use crate::mapper::{Fuel, Limits};

/// Build a project's component with its language's own tool.
///
/// The language is known by the project's manifest: Cargo.toml, package.json, pyproject.toml or mapper.c. Nothing is
/// installed: what is missing is said, with the command that installs it. The component lies in the project's folder and has
/// its name; it is examined as `gristmill mapper check` does.
#[derive(Debug, Args)]
pub struct Build {
    /// The project's folder.
    #[arg(default_value = ".")]
    directory: PathBuf,
}

impl Build {
    pub fn run(self, shared: &Shared) -> Result<(), Failed> {
        let project = Project::open(&self.directory).map_err(|error| Failed::of(UNWELL, &error).hint(error.hint()))?;
        let path = author::build(&project).map_err(|error| Failed::of(UNWELL, &error).hint(error.hint()))?;
        let bytes = read(&path)?;
        let (host, _scratch) = host(Fuel::Uncounted)?;
        let found = host.examine(&bytes, Limits::default()).map_err(|error| Failed::of(BUG, &error))?;
        let name = printable(&path.display().to_string());
        if let Some(problem) = found.problems.first() {
            let hint = format!("gristmill mapper check {name} says everything that is wrong with it");
            return Err(Failed::of(UNWELL, problem).hint(Some(hint)));
        }
        if shared.json {
            output::print_json(&json!({
                "component": path,
                "language": project.language.to_string(),
                "sha256": found.digest,
                "bytes": bytes.len(),
            }));
        } else {
            output::print(format!("{name}: {}, from {}", rounded(bytes.len() as u64), project.language));
            output::print(format!("sha256: {}", found.digest));
        }
        Ok(())
    }
}
