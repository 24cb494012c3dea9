//! A file that gets another content in one step.
//!
//! The content is written aside, whole and flushed, and then takes the file's place in one rename: a process that ends at
//! any moment leaves the old content or the new one. The new file is the old one's owner's, and no more open than it was.

use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// Why a file is left as it is.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what} `{}`", path.display())]
pub struct ReplaceError {
    what: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// The content that a file is to have, whole and on disk beside it. Dropped before it takes its place, it is removed.
#[derive(Debug)]
pub struct Next {
    aside: NamedTempFile,
    file: PathBuf,
    /// Whether there is a file in that place.
    replaces: bool,
}

impl Next {
    /// The next content of a file that is there. A link stays one, and what it leads to is replaced.
    pub fn beside(file: &Path, content: &[u8]) -> Result<Self, ReplaceError> {
        let file = fs::canonicalize(file).map_err(failed("find", file))?;
        // Whoever may write into the directory alone is not meant to write the file.
        let standing = File::options().append(true).open(&file).map_err(failed("write", &file))?;
        let like = standing.metadata().map_err(failed("read", &file))?;
        Self::aside(file, content, &like, true)
    }

    /// The content of a file that is not there yet, and is to be as open as another.
    pub fn new_file(file: &Path, content: &[u8], like: &Path) -> Result<Self, ReplaceError> {
        let like = fs::metadata(like).map_err(failed("read", like))?;
        let directory = file.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(directory).map_err(failed("make", directory))?;
        Self::aside(file.to_owned(), content, &like, false)
    }

    fn aside(file: PathBuf, content: &[u8], like: &Metadata, replaces: bool) -> Result<Self, ReplaceError> {
        let directory = file.parent().unwrap_or(Path::new("/"));
        // Hidden, so that nobody takes it for what it stands beside.
        let aside = tempfile::Builder::new().prefix(".gristmill-").tempfile_in(directory);
        let mut aside = aside.map_err(failed("write into", directory))?;
        reached("made");
        let written = write(&mut aside, content, like);
        written.map_err(failed("write beside", &file))?;
        Ok(Self { aside, file, replaces })
    }

    /// Where it is until then.
    pub fn path(&self) -> &Path {
        self.aside.path()
    }

    /// Takes the file's place. The file.
    pub fn take_place(self) -> Result<PathBuf, ReplaceError> {
        let Self { aside, file, replaces } = self;
        let taken = if replaces { aside.persist(&file) } else { aside.persist_noclobber(&file) };
        taken.map_err(|error| failed("replace", &file)(error.error))?;
        reached("replaced");
        let directory = file.parent().unwrap_or(Path::new("/"));
        File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed("flush", directory))?;
        Ok(file)
    }
}

fn write(aside: &mut NamedTempFile, content: &[u8], like: &Metadata) -> io::Result<()> {
    aside.write_all(content)?;
    reached("written");
    let own = aside.as_file().metadata()?;
    if (own.uid(), own.gid()) != (like.uid(), like.gid()) {
        fchown(aside.as_file(), Some(like.uid()), Some(like.gid()))?;
    }
    aside.as_file().set_permissions(PermissionsExt::from_mode(like.mode() & 0o7777))?;
    reached("owned");
    aside.as_file().sync_all()?;
    reached("flushed");
    Ok(())
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ReplaceError {
    let path = path.to_owned();
    move |source| ReplaceError { what, path, source }
}

/// Where a test has the process end.
#[cfg(not(test))]
fn reached(_step: &'static str) {}

#[cfg(test)]
fn reached(step: &'static str) {
    if std::env::var_os(tests::END_AT).is_some_and(|at| at == step) {
        std::process::abort();
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Names the step behind which this process ends.
    pub(super) const END_AT: &str = "GRISTMILL_TEST_END_AT";
    const FILE: &str = "GRISTMILL_TEST_FILE";

    /// Does nothing unless the test below starts it as a process of its own.
    #[test]
    fn a_process_replaces_a_file() {
        if let Some(file) = std::env::var_os(FILE) {
            Next::beside(Path::new(&file), b"the new content").unwrap().take_place().unwrap();
        }
    }

    #[test]
    fn a_process_that_ends_at_any_step_leaves_the_old_content_or_the_new() {
        for (step, found) in [
            ("made", "the old"),
            ("written", "the old"),
            ("owned", "the old"),
            ("flushed", "the old"),
            ("replaced", "the new content"),
            ("none", "the new content"),
        ] {
            let directory = tempfile::tempdir().unwrap();
            let file = directory.path().join("file");
            fs::write(&file, "the old").unwrap();
            let status = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "replace::tests::a_process_replaces_a_file"])
                .env(END_AT, step)
                .env(FILE, &file)
                .output()
                .unwrap()
                .status;
            assert_eq!(status.success(), step == "none", "{step}");
            assert_eq!(fs::read_to_string(&file).unwrap(), found, "{step}");
            // The next one is not kept from it by what was left.
            Next::beside(&file, b"the next").unwrap().take_place().unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), "the next", "{step}");
            let left = directory.path().read_dir().unwrap().map_while(Result::ok).map(|entry| entry.file_name());
            let seen: Vec<_> = left.filter(|name| !name.as_encoded_bytes().starts_with(b".")).collect();
            assert_eq!(seen, ["file"], "{step}");
        }
    }

    #[test]
    fn a_file_keeps_its_mode_and_a_link_stays_one() {
        let directory = tempfile::tempdir().unwrap();
        let (file, link) = (directory.path().join("file"), directory.path().join("link"));
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(Next::beside(&link, b"new").unwrap().take_place().unwrap(), file.canonicalize().unwrap());
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o640);
        let another = directory.path().join("conf.d/another");
        Next::new_file(&another, b"text", &file).unwrap().take_place().unwrap();
        assert_eq!(fs::metadata(&another).unwrap().mode() & 0o777, 0o640);
        drop(Next::beside(&file, b"never").unwrap());
        assert_eq!(directory.path().read_dir().unwrap().count(), 3, "what does not take its place is gone");
    }
}
