//! One destination, and that no two share a directory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{DEFAULT_STORE, Tables};
use crate::config::path::TomlPath;
use crate::config::raw::destination::RawDestination;
use crate::config::report::{Advice, Report};
use crate::config::{Destination, DestinationKind};
use crate::object::DestinationName;

/// Checks `[destinations.NAME]`.
pub(super) fn check(report: &mut Report<'_, '_>, path: &TomlPath, state_dir: &Path) -> Option<Destination> {
    let raw: RawDestination = report.read(path);
    let tenant = super::tenant(report, path, raw.tenant);
    let kind = match (raw.sqlite, raw.files) {
        (Some(sqlite), None) => {
            let written = sqlite.path.unwrap_or_else(|| DEFAULT_STORE.to_owned());
            let path = super::directory(report, &path.key("sqlite").key("path"), Some(written), state_dir)?;
            DestinationKind::Sqlite { path }
        }
        (None, Some(files)) => {
            let place = path.key("files").key("path");
            let written = report.required(&place, files.path);
            DestinationKind::Files { path: super::directory(report, &place, written, state_dir)? }
        }
        (Some(_), Some(_)) => {
            report.wrong(
                &path.key("files"),
                "`sqlite` stands beside it; one of the two is expected",
                Advice::HintOnly("make two destinations of them".into()),
            );
            return None;
        }
        (None, None) => {
            if !report.refused_within(path) {
                report.missing(
                    &path.key("sqlite"),
                    "it is not said what kind of destination it is",
                    Advice::Hint("add the table `sqlite`, or `files`".into()),
                );
            }
            return None;
        }
    };
    Some(Destination { tenant, kind })
}

/// Two destinations in one directory would take each other's files for their own. The later one by name is refused.
pub(super) fn check_paths(report: &mut Report<'_, '_>, destinations: &mut Tables<DestinationName, Destination>) {
    let mut taken: BTreeMap<PathBuf, DestinationName> = BTreeMap::new();
    let mut refused = Vec::new();
    for (name, destination) in &destinations.named {
        let place = TomlPath::default().key("destinations").key(name.as_str());
        match taken.get(destination.kind.path()) {
            Some(other) => {
                let directory = destination.kind.path().display();
                let message = format!("its directory `{directory}` is that of `destinations.{other}` as well");
                report.wrong(&place, message, Advice::HintOnly("give it another `path`".into()));
                refused.push(name.clone());
            }
            None => {
                taken.insert(destination.kind.path().to_owned(), name.clone());
            }
        }
    }
    for name in refused {
        destinations.named.remove(&name);
        destinations.refused.insert(name.to_string());
    }
}
