//! Where failed calls are saved, and which of them stay.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde::Serialize;

use super::{CallHead, FailedCall, FailedCallError, Saving, file};
use crate::config::SaveFailed;

/// How the name of a file being written begins.
const ASIDE_PREFIX: &str = "aside-";
/// The ending of a saved call.
const ENDING: &str = ".arrow";

/// Saves failed calls, of those mappers of which somebody wants them.
#[derive(Debug, Clone, Default)]
pub struct FailedCalls {
    directory: PathBuf,
    wanted: BTreeMap<String, SaveFailed>,
}

/// A call that was saved.
#[derive(Debug, Clone)]
pub struct SavedCall {
    /// The file.
    pub path: PathBuf,
    /// Its bytes.
    pub size: u64,
    /// When it was saved.
    pub saving: Saving,
    /// Everything but the rows.
    pub head: CallHead,
}

/// What is saved of one mapper.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SavedCalls {
    /// How many calls.
    pub files: usize,
    /// Bytes of all of them.
    pub bytes: u64,
    /// The last one.
    pub newest: Option<PathBuf>,
}

/// Where a state directory has its failed calls.
pub fn directory_of(state: &Path) -> PathBuf {
    state.join("failed-calls")
}

/// Makes room, writes and counts one call at a time, whichever configuration it comes from.
static SAVING: Mutex<()> = Mutex::new(());

impl FailedCalls {
    /// Below a directory, for these mappers.
    pub fn below(directory: PathBuf, wanted: BTreeMap<String, SaveFailed>) -> Self {
        Self { directory, wanted }
    }

    /// Saves a call, where that is wanted, in place of the oldest ones if there is no room. Says where.
    pub fn save(&self, call: &FailedCall, at: Timestamp) -> Result<Option<PathBuf>, FailedCallError> {
        let CallHead { mapper, source, .. } = &call.head;
        let Some(room) = self.wanted.get(mapper) else { return Ok(None) };
        let bytes = file::encode(call, at)?;
        let size = bytes.len() as u64;
        if size > room.size.bytes() {
            return Err(FailedCallError::TooLarge { size, limit: room.size });
        }
        let directory = self.directory.join(mapper);
        let path = directory.join(format!("{}Z-{}{ENDING}", at.strftime("%Y%m%dT%H%M%S.%6f"), source.integration));
        let _one_at_a_time = SAVING.lock().unwrap_or_else(PoisonError::into_inner);
        let written = (|| {
            DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
            make_room(&directory, room, size)?;
            // Only this user can read it, from its first byte.
            let mut aside = tempfile::Builder::new().prefix(ASIDE_PREFIX).tempfile_in(&directory)?;
            aside.write_all(&bytes)?;
            aside.as_file().sync_all()?;
            aside.persist_noclobber(&path).map_err(|error| error.error)
        })();
        match written {
            Ok(_) => Ok(Some(path)),
            Err(source) => Err(FailedCallError::Io { what: "write", path, source }),
        }
    }
}

/// Removes what a crash left half written, and the oldest calls until another of this size fits.
fn make_room(directory: &Path, room: &SaveFailed, size: u64) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(ASIDE_PREFIX) {
            fs::remove_file(entry.path())?;
        }
    }
    let files = files(directory)?;
    let mut bytes: u64 = files.iter().map(|(_, size)| size).sum();
    for (number, (path, freed)) in files.iter().enumerate() {
        if files.len() - number < room.files && bytes + size <= room.size.bytes() {
            break;
        }
        fs::remove_file(path)?;
        bytes -= freed;
    }
    Ok(())
}

/// The calls in one mapper's directory with their sizes, the oldest first; none where there is no directory.
fn files(directory: &Path) -> io::Result<Vec<(PathBuf, u64)>> {
    let mut files = Vec::new();
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(files),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.ends_with(ENDING) && !name.starts_with(ASIDE_PREFIX) {
            files.push((entry.path(), entry.metadata()?.len()));
        }
    }
    // A name begins with the time.
    files.sort();
    Ok(files)
}

/// What is saved of one mapper; nothing where that cannot be read.
pub fn saved_of(directory: &Path, mapper: &str) -> SavedCalls {
    let files = files(&directory.join(mapper)).unwrap_or_default();
    SavedCalls {
        files: files.len(),
        bytes: files.iter().map(|(_, size)| size).sum(),
        newest: files.into_iter().next_back().map(|(path, _)| path),
    }
}

/// All calls that are saved below a directory, the newest first, and why others cannot be read.
pub fn saved(directory: &Path) -> Result<(Vec<SavedCall>, Vec<FailedCallError>), FailedCallError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| FailedCallError::Io { what: "list", path, source }
    };
    let mappers = match fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Default::default()),
        mappers => mappers.map_err(failed(directory))?,
    };
    let (mut saved, mut unreadable) = (Vec::new(), Vec::new());
    for mapper in mappers {
        let mapper = mapper.map_err(failed(directory))?.path();
        for (path, size) in files(&mapper).map_err(failed(&mapper))? {
            match file::read_head(&path) {
                Ok((head, saving)) => saved.push(SavedCall { path, size, saving, head }),
                // It went to make room for another.
                Err(FailedCallError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {}
                Err(error) => unreadable.push(error),
            }
        }
    }
    saved.sort_by_key(|call: &SavedCall| std::cmp::Reverse(call.saving.at));
    Ok((saved, unreadable))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::tests::call;
    use super::*;
    use crate::config::ByteSize;

    fn keeper(directory: &Path, files: usize, size: u64) -> FailedCalls {
        let room = SaveFailed { files, size: ByteSize::from_bytes(size) };
        FailedCalls::below(directory.to_owned(), [("acme".to_owned(), room)].into())
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_750_000_000 + second).unwrap()
    }

    fn kept(directory: &Path) -> Vec<i64> {
        saved(directory).unwrap().0.iter().map(|call| call.saving.at.as_second() - 1_750_000_000).collect()
    }

    #[test]
    fn only_what_is_wanted_is_kept_and_for_this_user_alone() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = directory_of(scratch.path());
        let keeper = keeper(&directory, 3, 1 << 20);
        assert_eq!(keeper.save(&call("other", 3), at(0)).unwrap(), None);
        assert!(!directory.exists());
        let path = keeper.save(&call("acme", 3), at(1)).unwrap().unwrap();
        assert!(path.ends_with("failed-calls/acme/20250615T150641.000000Z-daily.arrow"), "{}", path.display());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!([&directory, &directory.join("acme")].map(|path| mode(path)), [0o700, 0o700]);
        assert_eq!(mode(&path), 0o600);
    }

    #[test]
    fn the_oldest_make_room_and_the_limits_hold_all_the_time() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = scratch.path();
        let by_number = keeper(directory, 3, 1 << 20);
        for second in 0..5 {
            by_number.save(&call("acme", 3), at(second)).unwrap();
            assert!(kept(directory).len() <= 3);
        }
        assert_eq!(kept(directory), [4, 3, 2]);
        let SavedCalls { bytes, newest, .. } = saved_of(directory, "acme");
        assert_eq!(newest, Some(saved(directory).unwrap().0[0].path.clone()));
        let by_size = keeper(directory, 100, bytes);
        for second in 5..9 {
            by_size.save(&call("acme", 3), at(second)).unwrap();
            assert!(saved_of(directory, "acme").bytes <= bytes);
        }
        assert_eq!(kept(directory), [8, 7, 6]);
        let too_large = by_size.save(&call("acme", 10_000), at(9)).unwrap_err();
        assert!(matches!(too_large, FailedCallError::TooLarge { .. }), "{too_large}");
        assert_eq!(kept(directory), [8, 7, 6], "what cannot be kept costs no other");
    }

    #[test]
    fn what_a_crash_left_half_written_is_neither_listed_nor_kept() {
        let scratch = tempfile::tempdir().unwrap();
        let mapper = scratch.path().join("acme");
        fs::create_dir(&mapper).unwrap();
        let half = mapper.join("aside-1.arrow");
        fs::write(&half, "half").unwrap();
        assert!(kept(scratch.path()).is_empty());
        keeper(scratch.path(), 3, 1 << 20).save(&call("acme", 3), at(0)).unwrap();
        assert!(!half.exists());
    }

    #[test]
    fn a_damaged_file_does_not_hide_the_others() {
        let scratch = tempfile::tempdir().unwrap();
        let keeper = keeper(scratch.path(), 3, 1 << 20);
        let damaged = keeper.save(&call("acme", 3), at(0)).unwrap().unwrap();
        keeper.save(&call("acme", 3), at(1)).unwrap();
        fs::write(&damaged, "damaged").unwrap();
        let (saved, unreadable) = saved(scratch.path()).unwrap();
        assert_eq!(saved.len(), 1);
        assert!(
            matches!(&unreadable[..], [FailedCallError::NotOurs { path, .. }] if *path == damaged),
            "{unreadable:?}"
        );
    }
}
