//! `gristmill mapper new`: an empty directory becomes a project.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::super::output::printable;
use super::super::{Failed, Shared, UNWELL, output};
use crate::author::{self, Language, Makes, ProjectName};

/// Begin a mapper: write a project that builds, with a sample file, golden lines and a README.
///
/// The library that mappers of the language are written with stands in `sdk/`, the contract in `wit/`: the project needs
/// nothing else of Gristmill.
#[derive(Debug, Args)]
pub struct New {
    /// The language.
    #[arg(long, value_enum)]
    lang: Language,
    /// Its name: lower-case letters, digits and `-`.
    name: ProjectName,
    /// It makes account records. This is the default.
    #[arg(long)]
    fields: bool,
    /// It makes usage records.
    #[arg(long, conflicts_with = "fields")]
    usage: bool,
    /// It makes both.
    #[arg(long, conflicts_with_all = ["fields", "usage"])]
    both: bool,
    /// Where the project is written; a folder of its name by default. It must not be there yet.
    #[arg(long, value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
}

impl New {
    pub fn run(self, shared: &Shared) -> Result<(), Failed> {
        let makes = match (self.usage, self.both) {
            (true, _) => Makes::Usage,
            (_, true) => Makes::Both,
            (false, false) => Makes::Fields,
        };
        let directory = self.directory.unwrap_or_else(|| self.name.as_str().into());
        let written = author::begin(&directory, self.lang, &self.name, makes)
            .map_err(|error| Failed::of(UNWELL, &error).hint(error.hint()))?;
        if shared.json {
            output::print_json(&json!({ "directory": directory, "files": written }));
        } else {
            let place = printable(&directory.display().to_string());
            output::print(format!("{place}: a mapper in {}; README.md says how it is built and tried", self.lang));
        }
        Ok(())
    }
}
