//! An integration under another name (R17): its folder gets the name, and then each manifest in it.
//!
//! Both can be done again from wherever they were left: a directory has one name or the other, and a manifest is written
//! aside and takes its place in one rename.

use std::fs;
use std::io;
use std::path::Path;

use super::{MANIFEST, failed, manifest, place};
use crate::destination::DestinationError;
use crate::object::{IntegrationName, TenantName};

/// What a manifest is called until it is whole.
const ASIDE: &str = "ingestion.json.new";

pub(super) fn rename(
    directory: &Path,
    tenant: &TenantName,
    from: &IntegrationName,
    to: &IntegrationName,
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
    for entry in fs::read_dir(&after).map_err(failed("read", &after))? {
        let object = entry.map_err(failed("read", &after))?.path();
        let (path, aside) = (object.join(MANIFEST), object.join(ASIDE));
        let Some(mut manifest) = manifest::read(&path)?.filter(|manifest| manifest.identity.integration == *from)
        else {
            continue;
        };
        manifest.identity.integration = to.clone();
        match fs::remove_file(&aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("remove", &aside)(error)),
            Ok(()) | Err(_) => {}
        }
        manifest.write(&aside)?;
        place::sync_files([aside.as_path()].into_iter())?;
        fs::rename(&aside, &path).map_err(failed("put into place", &path))?;
        place::sync_directory(&object)?;
    }
    Ok(())
}
