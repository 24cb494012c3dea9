//! An integration under another name (R17): its folder gets the name, and then each manifest in it.
//!
//! Both can be done again from wherever they were left: a directory has one name or the other, and a manifest is written
//! aside and takes its place in one rename.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::manifest::{self, Manifest};
use super::{failed, place};
use crate::destination::DestinationError;
use crate::object::{IntegrationName, TenantName};

/// What the end of a manifest's name is until it is whole.
const ASIDE: &str = ".new";

/// `manifest_of` says which file is the manifest of what stands at a path in the integration's folder.
pub(in crate::destination) fn rename(
    directory: &Path,
    tenant: &TenantName,
    (from, to): (&IntegrationName, &IntegrationName),
    manifest_of: impl Fn(&Path) -> PathBuf,
) -> Result<(), DestinationError> {
    let tenants = directory.join(tenant.as_str());
    let (before, after) = (tenants.join(from.as_str()), tenants.join(to.as_str()));
    match (before.is_dir(), after.is_dir()) {
        (true, true) => return Err(DestinationError::BothNames { from: from.clone(), to: to.clone() }),
        (true, false) => {
            fs::rename(&before, &after).map_err(failed("rename", &before))?;
            place::sync_directory(&tenants)?;
        }
        (false, true) => {}
        (false, false) => return Ok(()),
    }
    let entries = fs::read_dir(&after).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    for entry in entries.map_err(failed("read", &after))? {
        let path = manifest_of(&entry.path());
        if is_aside(&path) {
            continue;
        }
        let Some(mut manifest) = manifest::read(&path)?.filter(|manifest| manifest.identity.integration == *from)
        else {
            continue;
        };
        manifest.identity.integration = to.clone();
        replace(&manifest, &path)?;
    }
    Ok(())
}

/// Whether a process that ended left it aside: it is written anew with its manifest.
pub(super) fn is_aside(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(ASIDE.as_bytes())
}

/// Puts a manifest into the place of another, durably.
pub(super) fn replace(manifest: &Manifest, path: &Path) -> Result<(), DestinationError> {
    let mut aside = path.to_owned().into_os_string();
    aside.push(ASIDE);
    let aside = PathBuf::from(aside);
    match fs::remove_file(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("remove", &aside)(error)),
        Ok(()) | Err(_) => {}
    }
    manifest.write(&aside)?;
    place::sync_files([aside.as_path()].into_iter())?;
    fs::rename(&aside, path).map_err(failed("put into place", path))?;
    place::sync_directory(path.parent().unwrap_or(path))
}
