//! Makes commits durable, many with one flush.
//!
//! SQLite is told not to flush its write-ahead log at every commit (`synchronous = NORMAL`); it still does so before
//! what stands in it goes into the database, and when it begins anew. What `FULL` would add, a flush after each commit,
//! happens here once the next merge has the connection, for all commits that wait. A commit that was not flushed is lost
//! in a power cut together with all later ones, never without them; nobody is told of it before.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// The write-ahead log of one database, as far as this process writes it.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    state: Mutex<State>,
    flushed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Somebody works with the writing connection, and may have committed already.
    is_writing: bool,
    /// Commits so far.
    commits: u64,
    /// As many of them are on disk.
    durable: u64,
    is_flushing: bool,
    /// A flush has failed. The kernel forgets what it could not write, so that another one proves nothing.
    is_in_doubt: bool,
    /// The file as it was last flushed, its directory entry, too. Whoever opens a file anew may not be told of an error
    /// that its pages met before.
    file: Option<Arc<File>>,
}

impl Log {
    /// Of the database at this path.
    pub(super) fn of(database: &Path) -> Self {
        let mut path = database.as_os_str().to_owned();
        path.push("-wal");
        Self { path: path.into(), state: Mutex::default(), flushed: Condvar::new() }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Work with the writing connection begins.
    pub(super) fn begin(&self) {
        self.state().is_writing = true;
    }

    /// The work has ended. Counts it as a commit, and says how many there are.
    pub(super) fn end(&self) -> u64 {
        let mut state = self.state();
        state.is_writing = false;
        state.commits += 1;
        state.commits
    }

    /// Whether commits may have been lost for the disk, although the file shows them.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.state().is_in_doubt
    }

    /// Everything in the log has been written and flushed elsewhere.
    pub(super) fn written_back(&self) {
        let mut state = self.state();
        state.is_in_doubt = false;
        state.durable = state.commits;
    }

    /// Waits until so many commits are on disk.
    pub(super) fn settle(&self, commits: u64) -> io::Result<()> {
        self.settle_with(commits, |known| self.flush(known))
    }

    /// Waits until everything is on disk that a reader may have seen.
    pub(super) fn settle_seen(&self) -> io::Result<()> {
        let (is_writing, commits, file) = {
            let state = self.state();
            (state.is_writing, state.commits, state.file.clone())
        };
        if !is_writing {
            return self.settle(commits);
        }
        // A commit may have been seen that is not counted yet, so that no flush under way need have it.
        self.flush(file).map(drop).inspect_err(|_| self.state().is_in_doubt = true)
    }

    fn settle_with(
        &self,
        commits: u64,
        flush: impl FnOnce(Option<Arc<File>>) -> io::Result<Option<Arc<File>>>,
    ) -> io::Result<()> {
        let mut state = self.state();
        while state.is_flushing && state.durable < commits {
            state = self.flushed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.durable >= commits {
            return Ok(());
        }
        if state.is_in_doubt {
            return Err(in_doubt());
        }
        state.is_flushing = true;
        let (all, file) = (state.commits, state.file.clone());
        drop(state);
        let flushed = flush(file);
        let mut state = self.state();
        state.is_flushing = false;
        self.flushed.notify_all();
        match flushed {
            Ok(_) if state.is_in_doubt => Err(in_doubt()),
            Ok(file) => {
                state.file = file;
                state.durable = state.durable.max(all);
                Ok(())
            }
            Err(error) => {
                state.is_in_doubt = true;
                Err(error)
            }
        }
    }

    /// Flushes the file, and the directory where it is another one than last time.
    fn flush(&self, known: Option<Arc<File>>) -> io::Result<Option<Arc<File>>> {
        let inode = match fs::metadata(&self.path) {
            Ok(found) => found.ino(),
            // The last connection closed, and wrote everything back before it took the log away.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if let Some(known) = known
            && known.metadata()?.ino() == inode
        {
            known.sync_data()?;
            return Ok(Some(known));
        }
        let file = File::open(&self.path)?;
        file.sync_data()?;
        if let Some(directory) = self.path.parent() {
            File::open(directory)?.sync_all()?;
        }
        Ok(Some(Arc::new(file)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Plain values: whoever panicked left them whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn in_doubt() -> io::Error {
    io::Error::other("an earlier flush has failed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::mpsc::sync_channel;

    fn log() -> Log {
        Log::of(Path::new("/nowhere/default.db"))
    }

    #[test]
    fn commits_that_wait_share_one_flush() {
        let log = log();
        let flushes = AtomicU32::new(0);
        let (begun, waits) = sync_channel(0);
        let (go_on, going) = sync_channel(0);
        let first = log.end();
        std::thread::scope(|scope| {
            let (log, flushes) = (&log, &flushes);
            let flushing = scope.spawn(move || {
                log.settle_with(first, |_| {
                    flushes.fetch_add(1, Ordering::Relaxed);
                    begun.send(()).unwrap();
                    going.recv().unwrap();
                    Ok(None)
                })
            });
            waits.recv().unwrap();
            // These came after that flush began: it says nothing of them.
            let later: Vec<_> = (0..5).map(|_| log.end()).collect();
            let waiting: Vec<_> = later
                .into_iter()
                .map(|commit| {
                    scope.spawn(move || {
                        log.settle_with(commit, |_| {
                            flushes.fetch_add(1, Ordering::Relaxed);
                            Ok(None)
                        })
                    })
                })
                .collect();
            go_on.send(()).unwrap();
            flushing.join().unwrap().unwrap();
            waiting.into_iter().for_each(|waiting| waiting.join().unwrap().unwrap());
        });
        assert_eq!(flushes.into_inner(), 2);
    }

    #[test]
    fn after_a_failed_flush_nothing_is_durable_until_all_was_written_back() {
        let log = log();
        let first = log.end();
        log.settle_with(first, |_| Err(io::ErrorKind::Other.into())).unwrap_err();
        assert!(log.is_in_doubt());
        let second = log.end();
        log.settle_with(first, |_| Ok(None)).unwrap_err();
        log.settle_with(second, |_| Ok(None)).unwrap_err();
        log.written_back();
        log.settle_with(second, |_| panic!("it is on disk")).unwrap();
        let third = log.end();
        log.settle_with(third, |_| Ok(None)).unwrap();
    }
}
