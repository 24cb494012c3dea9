//! Where an object's records lie, and how they take the place of those of an earlier generation.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::{MANIFEST, failed};
use crate::destination::DestinationError;
use crate::object::{Identity, TenantName};

/// The folder, beside those of the tenants, in which records are written before they are whole. No tenant's name can
/// begin with a point.
pub(in crate::destination) const STAGING: &str = ".staging";
/// What a staged directory that was replaced is called, where it could not be exchanged.
const REPLACED: &str = ".replaced";

/// `{tenant}/{integration}/{end of the key}.{digest}`: one directory for each object, whatever its generation.
pub(in crate::destination) fn of(directory: &Path, tenant: &TenantName, identity: &Identity) -> PathBuf {
    let dedup_key = identity.dedup_key.as_str();
    let digest = blake3::hash(dedup_key.as_bytes()).to_hex();
    let key = dedup_key.rsplit_once("#etag=").map_or(dedup_key, |(key, _)| key);
    let name = format!("{}.{}", readable(key), &digest[..32]);
    directory.join(tenant.as_str()).join(identity.integration.as_str()).join(name)
}

/// The last part of a key, such that it is a file name everywhere: at most 64 letters, digits, `.`, `_` and `-`.
fn readable(key: &str) -> String {
    let last = key.rsplit('/').find(|part| !part.is_empty()).unwrap_or("object");
    let mut name: String =
        last.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' }).collect();
    if name.len() > 64 {
        // All ASCII by now. The end holds the extension.
        name.drain(..name.len() - 64);
    }
    if name.starts_with(['.', '-']) {
        name.replace_range(..1, "_");
    }
    name
}

/// Makes a directory and those above it down to `root`, durably.
pub(in crate::destination) fn make_directories(root: &Path, wanted: &Path) -> Result<(), DestinationError> {
    if wanted.is_dir() {
        return Ok(());
    }
    if let Some(parent) = wanted.parent().filter(|parent| parent.starts_with(root)) {
        make_directories(root, parent)?;
    }
    match fs::create_dir(wanted) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(failed("make", wanted)(error)),
        Ok(()) | Err(_) => wanted.parent().map_or(Ok(()), sync_directory),
    }
}

pub(in crate::destination) fn sync_directory(directory: &Path) -> Result<(), DestinationError> {
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed("flush", directory))
}

/// Brings files to disk, all at once: the file system commits those of one moment together, which for small files is
/// most of what a merge costs.
pub(in crate::destination) fn sync_files<'a>(paths: impl Iterator<Item = &'a Path>) -> Result<(), DestinationError> {
    let sync = |path: &Path| File::open(path).and_then(|file| file.sync_all()).map_err(failed("flush", path));
    std::thread::scope(|scope| {
        let started: Vec<_> = paths.map(|path| scope.spawn(move || sync(path))).collect();
        started.into_iter().try_for_each(|thread| match thread.join() {
            Ok(synced) => synced,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })
}

/// Gives a whole staged directory its place, durably. What stood there is gone afterwards. At every moment the place
/// holds the whole of one or the other; only on file systems that cannot exchange directories, some over a network,
/// is there a moment in which it holds neither, and [`recover`] ends that moment should the process end in it.
pub(in crate::destination) fn put(staged: &Path, place: &Path) -> Result<(), DestinationError> {
    let parent = place.parent().unwrap_or(place);
    if !place.exists() {
        fs::rename(staged, place).map_err(failed("put into place", place))?;
        return sync_directory(parent);
    }
    match renameat_with(CWD, staged, CWD, place, RenameFlags::EXCHANGE) {
        Ok(()) => {
            sync_directory(parent)?;
            remove(staged)
        }
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            let replaced = replaced_name(staged);
            remove(&replaced)?;
            fs::rename(place, &replaced).map_err(failed("put aside", place))?;
            fs::rename(staged, place).map_err(failed("put into place", place))?;
            sync_directory(parent)?;
            remove(&replaced)
        }
        Err(error) => Err(failed("put into place", place)(error.into())),
    }
}

fn replaced_name(staged: &Path) -> PathBuf {
    let mut name = staged.as_os_str().to_owned();
    name.push(REPLACED);
    PathBuf::from(name)
}

/// Removes a directory with everything in it, if it is there.
pub(in crate::destination) fn remove(directory: &Path) -> Result<(), DestinationError> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", directory)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Clears what a process that ended left in the staging folder, but nothing that another staging is at work on. What
/// was put aside and never replaced goes back to its place.
pub(in crate::destination) fn recover(root: &Path) -> Result<(), DestinationError> {
    let staging = root.join(STAGING);
    for entry in fs::read_dir(&staging).map_err(failed("read", &staging))? {
        let left = entry.map_err(failed("read", &staging))?.path();
        let is_idle = File::open(&left).is_ok_and(|directory| directory.try_lock().is_ok());
        if !is_idle {
            continue;
        }
        let was_put_aside = left.as_os_str().as_encoded_bytes().ends_with(REPLACED.as_bytes());
        // Only what stood in its place before is whole. The rest may have been cut off anywhere, in its manifest, too.
        if was_put_aside && let Some(manifest) = super::manifest::read(&left.join(MANIFEST))? {
            let place = of(root, &manifest.tenant, &manifest.identity);
            if !place.exists() {
                fs::rename(&left, &place).map_err(failed("put back", &place))?;
                sync_directory(place.parent().unwrap_or(&place))?;
                continue;
            }
        }
        remove(&left)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_key_becomes_a_harmless_name() {
        let cases = [
            ("acme/exports/daily/accounts.csv", "accounts.csv"),
            ("acme/exports/../..", "_."),
            ("acme/exports/-rf", "_rf"),
            ("acme/exports/a b+ü\u{0}\n.csv", "a_b____.csv"),
            ("acme/exports/dir/", "dir"),
            ("///", "object"),
        ];
        for (key, expected) in cases {
            assert_eq!(readable(key), expected, "{key:?}");
        }
        assert_eq!(readable(&format!("x/{}.csv", "y".repeat(1_000))).len(), 64);
    }
}
