//! An integration whose objects are in another place (R17): what is kept of each gets the name that follows from it, and
//! then says so in its manifest.
//!
//! Both can be done again from wherever they were left: a name is one or the other, and a manifest is written aside and
//! takes its place in one rename.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{MANIFEST, failed, manifest, place, rename};
use crate::destination::DestinationError;
use crate::object::{IntegrationName, Relocation, TenantName};

/// How an object's manifest is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::destination) enum Kept {
    /// In a directory that has the object's name.
    InItsDirectory,
    /// As a file that has the object's name.
    AsItsFile,
}

/// Takes a step.
pub(in crate::destination) fn relocate(
    directory: &Path,
    (tenant, integration): (&TenantName, &IntegrationName),
    step: &Relocation,
    kept: Kept,
) -> Result<(), DestinationError> {
    let all = directory.join(tenant.as_str()).join(integration.as_str());
    let entries = match fs::read_dir(&all).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(failed("read", &all))?,
    };
    for entry in entries {
        let standing = entry.path();
        if rename::is_aside(&standing) {
            continue;
        }
        let Some(mut manifest) = manifest::read(&kept.manifest_of(&standing))? else { continue };
        let mends = manifest.mends.as_ref().and_then(|origin| step.dedup_key(origin));
        let own = step.all(&manifest.identity, &manifest.object, &manifest.as_of);
        if mends.is_none() && own.is_none() {
            continue;
        }
        manifest.mends = mends.or(manifest.mends);
        if let Some((identity, object, as_of)) = own {
            (manifest.identity, manifest.object, manifest.as_of) = (identity, object, as_of);
        }
        let named = kept.of(place::of(directory, tenant, &manifest.identity));
        if named != standing {
            if named.exists() {
                return Err(DestinationError::BothPlaces {
                    from: Box::new(step.from.clone()),
                    to: Box::new(step.to.clone()),
                });
            }
            fs::rename(&standing, &named).map_err(failed("rename", &standing))?;
            place::sync_directory(&all)?;
        }
        rename::replace(&manifest, &kept.manifest_of(&named))?;
    }
    Ok(())
}

impl Kept {
    /// The name of what is kept of an object.
    fn of(self, place: PathBuf) -> PathBuf {
        match self {
            Self::InItsDirectory => place,
            Self::AsItsFile => {
                let mut file = place.into_os_string();
                file.push(".json");
                file.into()
            }
        }
    }

    fn manifest_of(self, named: &Path) -> PathBuf {
        match self {
            Self::InItsDirectory => named.join(MANIFEST),
            Self::AsItsFile => named.to_owned(),
        }
    }
}
