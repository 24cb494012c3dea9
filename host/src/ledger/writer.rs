//! The one thread that writes: it gathers what is asked at the same moment into one durable commit, then answers all.
//!
//! A write that failed leaves the file in one of two states, and nobody can tell which (I4). So the first failure ends
//! all writing: the failed group and everything after it is refused, and the process has to start again to reread the
//! truth.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;

use redb::Database;
use tokio::sync::oneshot;

use super::layout::Tables;
use super::{LedgerError, writing};

/// At most so many requests share a commit. Callers wait for their answers, so what waits is bounded by their number.
const GROUP: usize = 512;

/// Tells a caller that the commit is on disk, or why it may not be.
type Answer = Box<dyn FnOnce(Result<(), LedgerError>) + Send>;
/// Makes its changes and hands back who is to be answered.
type Request =
    Box<dyn for<'a, 'txn> FnOnce(Result<&'a mut Tables<'txn>, LedgerError>) -> Result<Answer, LedgerError> + Send>;

/// The writing side of a ledger. Dropping it waits until all that was asked is written.
#[derive(Debug)]
pub(super) struct Writer {
    requests: Option<Sender<Request>>,
    failure: Arc<OnceLock<LedgerError>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Starts the thread.
    pub fn start(database: Arc<Database>) -> std::io::Result<Self> {
        let (requests, waiting) = channel();
        let failure = Arc::new(OnceLock::new());
        let said = Arc::clone(&failure);
        let work = move || run(&database, &waiting, &said);
        let thread = std::thread::Builder::new().name("ledger".to_owned()).spawn(work)?;
        Ok(Self { requests: Some(requests), failure, thread: Mutex::new(Some(thread)) })
    }

    /// The failure that ended all writing, once there was one.
    pub fn failure(&self) -> Option<LedgerError> {
        self.failure.get().cloned()
    }

    /// Asks for a change; the answer comes once it is durable.
    pub fn ask<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Tables<'_>) -> Result<T, LedgerError> + Send + 'static,
    ) -> oneshot::Receiver<Result<T, LedgerError>> {
        let (sender, receiver) = oneshot::channel();
        let request: Request = Box::new(move |tables| {
            let result = tables.and_then(change);
            match result {
                Ok(value) => Ok(Box::new(move |committed| {
                    // A caller that no longer waits loses only the answer.
                    let _ = sender.send(committed.map(|()| value));
                })),
                Err(error) => {
                    let _ = sender.send(Err(error.clone()));
                    Err(error)
                }
            }
        });
        if let Some(requests) = &self.requests {
            // Once the thread is gone the receiver finds its sender dropped, which its caller takes for `Stopped`.
            let _ = requests.send(request);
        }
        receiver
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.requests = None;
        let thread = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

fn run(database: &Database, waiting: &Receiver<Request>, failure: &OnceLock<LedgerError>) {
    while let Ok(first) = waiting.recv() {
        let mut answers = Vec::new();
        let committed = commit(database, first, waiting, &mut answers);
        let stop = committed.is_err();
        if let Err(error) = &committed {
            // The first and only one: this loop ends here.
            let _ = failure.set(error.clone());
        }
        for answer in answers {
            answer(committed.clone());
        }
        if stop {
            break;
        }
    }
    // From here on there is nobody to write: each later request is answered with a refusal.
    while let Ok(request) = waiting.recv() {
        let _ = request(Err(LedgerError::Stopped));
    }
}

fn commit(
    database: &Database,
    first: Request,
    waiting: &Receiver<Request>,
    answers: &mut Vec<Answer>,
) -> Result<(), LedgerError> {
    let transaction = match database.begin_write() {
        Ok(transaction) => transaction,
        Err(error) => {
            let error = writing("begin a change of", error);
            let _ = first(Err(error.clone()));
            return Err(error);
        }
    };
    {
        let mut tables = match Tables::open(&transaction) {
            Ok(tables) => tables,
            Err(error) => {
                let _ = first(Err(error.clone()));
                return Err(error);
            }
        };
        answers.push(first(Ok(&mut tables))?);
        while answers.len() < GROUP {
            match waiting.try_recv() {
                Ok(request) => answers.push(request(Ok(&mut tables))?),
                Err(_) => break,
            }
        }
    }
    transaction.commit().map_err(|error| writing("commit to", error))
}
