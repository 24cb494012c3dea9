//! What an integration had under a former name goes on under the one it has now (R17).
//!
//! The ledger comes first, in one transaction that also says that the destinations have to follow. Then they follow, one
//! after the other, and only when all have does an object come near them. Each step can be done again: so whatever ends
//! the process in between, the next start goes on from there, and nothing is taken a second time (I3).
//!
//! This module knows names and the order of the steps; what they do is the business of the ledger and the destinations.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::config::{Connection, Integration};
use crate::destination::DestinationError;
use crate::events;
use crate::ingest::DestinationSet;
use crate::ledger::{Control, Ledger, LedgerError, Renamed};
use crate::object::{DestinationName, IntegrationName};

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
            Self::Destination { source, .. } => source.hint().map(str::to_owned),
            Self::Rejects { .. } | Self::Panicked => None,
        }
    }
}

/// Gives an integration in the ledger what stands there under its former name, and under its connection's former key, if
/// that was not done before. What stands for the integration then.
pub async fn in_ledger(
    ledger: &Ledger,
    settings: &Integration,
    connection: Option<&Connection>,
) -> Result<Control, RenameError> {
    let control = integration_in_ledger(ledger, settings).await?;
    let (integration, to) = (&settings.name, &settings.connection);
    if let Some(from) = connection.and_then(|connection| connection.renamed_from.as_ref())
        && control.may_go_on(from, to)
        && ledger.rename_connection(integration, from, to).await?
    {
        events::ConnectionRenamed { integration, connection: to, from }.emit();
        return Ok(ledger.control(integration).await?);
    }
    Ok(control)
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

/// Has an integration's destinations and its reject files follow to the name that the ledger knows it by.
pub async fn follow(
    ledger: &Ledger,
    settings: &Integration,
    names: Vec<IntegrationName>,
    destinations: DestinationSet,
    rejects_directory: PathBuf,
) -> Result<(), RenameError> {
    let followed = {
        let (names, to, tenant) = (names.clone(), settings.name.clone(), settings.tenant.clone());
        tokio::task::spawn_blocking(move || {
            for from in &names {
                move_rejects(&rejects_directory, from, &to)?;
                for named in destinations.iter() {
                    named.destination.rename(&tenant, from, &to).map_err(|source| RenameError::Destination {
                        name: named.name.clone(),
                        from: from.clone(),
                        to: to.clone(),
                        source: Box::new(source),
                    })?;
                }
            }
            Ok(())
        })
    };
    followed.await.unwrap_or(Err(RenameError::Panicked))?;
    ledger.change_control(&settings.name, move |control| control.followed(&names)).await?;
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
