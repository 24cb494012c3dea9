//! What an integration had under a former name, or in another place, goes on under the name and in the place that it has
//! now (R17).
//!
//! The ledger comes first, in one transaction that also says that the destinations have to follow. Then they follow, one
//! after the other, and only when all have does an object come near them. Each step can be done again: so whatever ends
//! the process in between, the next start goes on from there, and nothing is taken a second time (I3).
//!
//! This module knows names, places and the order of the steps; what they do is the business of the ledger and the destinations.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::config::{Connection, Integration};
use crate::destination::DestinationError;
use crate::events;
use crate::ingest::DestinationSet;
use crate::ledger::{Control, Filter, Ledger, LedgerError, Place, Relocated, Renamed};
use crate::object::{DestinationName, IntegrationName, Relocation, Site};
use crate::rejects;

/// Why an integration cannot go on under its name.
#[derive(Debug, thiserror::Error)]
pub enum RenameError {
    /// The ledger failed.
    #[error("the ledger failed")]
    Ledger(#[from] LedgerError),
    /// Both names have objects.
    #[error("the ledger has objects of `{from}`, and of `{to}` as well")]
    BothKnown {
        /// The former name.
        from: IntegrationName,
        /// The name now.
        to: IntegrationName,
    },
    /// Neither name has objects, and others have.
    #[error("the ledger has nothing of `{from}`, which `renamed_from` names")]
    Unknown {
        /// The former name.
        from: IntegrationName,
    },
    /// Its objects were somewhere else.
    #[error("it looked for its files in {before}, which `moved_from` does not name")]
    Elsewhere {
        /// Where.
        before: Box<Place>,
    },
    /// Objects in both places have the same keys.
    #[error("the ledger has objects in {to} that have the keys of others in {from}")]
    BothPlaces {
        /// Where its objects were.
        from: Box<Site>,
        /// Where they are.
        to: Box<Site>,
    },
    /// A destination does not follow to another place.
    #[error("destination `{name}` does not follow from {} to {}", relocation.from, relocation.to)]
    Place {
        /// Which.
        name: DestinationName,
        /// From where to where.
        relocation: Box<Relocation>,
        /// Why.
        #[source]
        source: Box<DestinationError>,
    },
    /// A destination does not follow.
    #[error("destination `{name}` does not follow from `{from}` to `{to}`")]
    Destination {
        /// Which.
        name: DestinationName,
        /// The former name.
        from: IntegrationName,
        /// The name now.
        to: IntegrationName,
        /// Why.
        #[source]
        source: Box<DestinationError>,
    },
    /// The reject files do not follow.
    #[error("cannot move the reject files in `{}`", path.display())]
    Rejects {
        /// Where they are.
        path: PathBuf,
        /// The system's own words.
        #[source]
        source: std::io::Error,
    },
    /// A thread of ours panicked.
    #[error("the renaming ended unexpectedly")]
    Panicked,
}

impl RenameError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Ledger(error) => error.hint().map(str::to_owned),
            Self::BothKnown { .. } => Some(
                "take `renamed_from` out, and each goes on with what is its own; or give it a name that none had before"
                    .to_owned(),
            ),
            Self::Unknown { .. } => Some(
                "put the former name right; or take `renamed_from` out, and it begins as a new integration".to_owned(),
            ),
            Self::Elsewhere { .. } => Some(
                "put it right; or take `moved_from` out, and `gristmill status` says what there is to choose from".to_owned(),
            ),
            Self::BothPlaces { .. } => Some(
                "take `moved_from` out; then `gristmill ledger adopt` with `--reingest` takes everything there anew".to_owned(),
            ),
            Self::Destination { source, .. } | Self::Place { source, .. } => source.hint().map(str::to_owned),
            Self::Rejects { .. } | Self::Panicked => None,
        }
    }
}

/// Gives an integration in the ledger what stands there under its former name, under its connection's former key and of its
/// former place, if that was not done before. What stands for the integration then.
pub async fn in_ledger(
    ledger: &Ledger,
    settings: &Integration,
    connection: Option<&Connection>,
) -> Result<Control, RenameError> {
    let control = integration_in_ledger(ledger, settings).await?;
    // One without a connection looks nowhere.
    let Some(connection) = connection else { return Ok(control) };
    let control = connection_in_ledger(ledger, settings, connection, control).await?;
    place_in_ledger(ledger, settings, connection, control).await
}

/// Where an integration looks, as the ledger knows it.
pub fn place_of(settings: &Integration, connection: &Connection, control: &Control) -> Place {
    Place {
        server: connection.server(),
        connection: control.recorded(&settings.connection).clone(),
        bucket: settings.bucket.clone(),
        prefix: settings.prefix.clone(),
    }
}

async fn connection_in_ledger(
    ledger: &Ledger,
    settings: &Integration,
    connection: &Connection,
    control: Control,
) -> Result<Control, RenameError> {
    let (integration, to) = (&settings.name, &settings.connection);
    if let Some(from) = &connection.renamed_from
        && control.may_go_on(from, to)
        && ledger.rename_connection(integration, from, to).await?
    {
        events::ConnectionRenamed { integration, connection: to, from }.emit();
        return Ok(ledger.control(integration).await?);
    }
    Ok(control)
}

async fn place_in_ledger(
    ledger: &Ledger,
    settings: &Integration,
    connection: &Connection,
    control: Control,
) -> Result<Control, RenameError> {
    let (to, now) = (&settings.name, place_of(settings, connection, &control));
    let Some(from) = settings.moved_from.as_ref().filter(|_| control.place.as_ref() != Some(&now)) else {
        return Ok(control);
    };
    let from = Site { connection: control.recorded(&from.connection).clone(), ..from.clone() };
    match ledger.relocate(to, &from, &now).await? {
        Relocated::Done => events::IntegrationRepointed { integration: to, from: &from, to: &now }.emit(),
        Relocated::Already => {}
        Relocated::Elsewhere(before) => return Err(RenameError::Elsewhere { before }),
        Relocated::BothKnown => {
            let (from, to) = (Box::new(from), Box::new(now.site()));
            return Err(RenameError::BothPlaces { from, to });
        }
    }
    Ok(ledger.control(to).await?)
}

async fn integration_in_ledger(ledger: &Ledger, settings: &Integration) -> Result<Control, RenameError> {
    let to = &settings.name;
    let control = ledger.control(to).await?;
    if let Some(from) = settings.renamed_from.as_ref().filter(|from| !control.former_names.contains(from)) {
        match ledger.rename(from, to).await? {
            Renamed::Done => events::IntegrationRenamed { integration: to, from }.emit(),
            Renamed::Already => {}
            Renamed::BothKnown => return Err(RenameError::BothKnown { from: from.clone(), to: to.clone() }),
            Renamed::Unknown => return Err(RenameError::Unknown { from: from.clone() }),
        }
        return Ok(ledger.control(to).await?);
    }
    Ok(control)
}

/// Has an integration's destinations and its reject files follow to the name and the place that the ledger knows it by.
pub async fn follow(
    ledger: &Ledger,
    settings: &Integration,
    control: &Control,
    destinations: DestinationSet,
    rejects_directory: PathBuf,
) -> Result<(), RenameError> {
    let (names, steps) = (control.to_follow.clone(), control.to_move.clone());
    let followed = {
        let (names, steps, destinations) = (names.clone(), steps.clone(), destinations.clone());
        let (to, tenant, directory) = (settings.name.clone(), settings.tenant.clone(), rejects_directory.clone());
        tokio::task::spawn_blocking(move || {
            for from in &names {
                move_rejects(&directory, from, &to)?;
                for named in destinations.iter() {
                    named.destination.rename(&tenant, from, &to).map_err(|source| RenameError::Destination {
                        name: named.name.clone(),
                        from: from.clone(),
                        to: to.clone(),
                        source: Box::new(source),
                    })?;
                }
            }
            for step in &steps {
                for named in destinations.iter() {
                    named.destination.relocate(&tenant, &to, step).map_err(|source| RenameError::Place {
                        name: named.name.clone(),
                        relocation: Box::new(step.clone()),
                        source: Box::new(source),
                    })?;
                }
            }
            Ok(())
        })
    };
    followed.await.unwrap_or(Err(RenameError::Panicked))?;
    if let Some(now) = control.place.as_ref().filter(|_| steps.iter().any(|step| step.from.prefix != step.to.prefix)) {
        relocate_rejects(ledger, settings, &now.prefix, &steps, &rejects_directory).await?;
    }
    let done = move |control: &mut Control| {
        control.followed(&names);
        control.moved(&steps);
    };
    ledger.change_control(&settings.name, done).await?;
    Ok(())
}

/// Gives reject files the names that follow from their objects' keys, for each key that the ledger has.
async fn relocate_rejects(
    ledger: &Ledger,
    settings: &Integration,
    prefix: &str,
    steps: &[Relocation],
    directory: &Path,
) -> Result<(), RenameError> {
    let directory = directory.join(settings.name.as_str());
    let failed = |source| RenameError::Rejects { path: directory.clone(), source };
    let mut files = rejects::FilesByKey::read(&directory).map_err(failed)?;
    // One step for all before the next for any: in between, a file may have the name that another one had.
    for Relocation { from, to } in steps {
        let mut filter = Filter { prefix: prefix.to_owned(), limit: 1_000, ..Filter::default() };
        while !files.is_empty() {
            let listed = ledger.list(&settings.name, filter.clone()).await?;
            for entry in &listed.entries {
                let behind = entry.object.key.as_str().strip_prefix(prefix).unwrap_or_default();
                let at = |site: &Site| format!("{}{behind}", site.prefix);
                files.rename(&at(from), &at(to)).map_err(failed)?;
            }
            filter.after = listed.next;
            if filter.after.is_none() {
                break;
            }
        }
    }
    Ok(())
}

/// A file of the same name is of the same object and generation, and the later one is as good.
fn move_rejects(directory: &Path, from: &IntegrationName, to: &IntegrationName) -> Result<(), RenameError> {
    let (before, after) = (directory.join(from.as_str()), directory.join(to.as_str()));
    let moved = || {
        let entries = match std::fs::read_dir(&before) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        std::fs::create_dir_all(&after)?;
        for entry in entries {
            let entry = entry?;
            std::fs::rename(entry.path(), after.join(entry.file_name()))?;
        }
        std::fs::remove_dir(&before)
    };
    moved().map_err(|source| RenameError::Rejects { path: before.clone(), source })
}
