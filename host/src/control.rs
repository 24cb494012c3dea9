//! The local socket that the command line speaks to (R14).
//!
//! A request is one line of JSON, which bytes may follow; the answer is lines of JSON, the last of which is `done` or
//! `failed`. Who may connect is settled by the file system: the socket is `control.sock` in the runtime directory, mode
//! 0660. This module moves lines; what they mean is the desk's business. It knows neither wasmtime nor SDKs.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ledger::{Again, StateName};
use crate::object::{BucketName, ConnectionKey, DestinationName, IntegrationName, MapperName, ObjectKey};

mod attachment;
mod server;

pub use attachment::{Attachment, LARGEST_ATTACHMENT};
pub use server::{Answers, listen};

/// The longest request line, in bytes.
const LONGEST_REQUEST: u64 = 64 * 1024;

/// What the command line asks of the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Everything at a glance.
    Status,
    /// Begin a pass now.
    Poll {
        /// Whose.
        integration: IntegrationName,
    },
    /// Begin no more passes.
    Pause {
        /// Whose.
        integration: IntegrationName,
    },
    /// Begin passes again.
    Resume {
        /// Whose.
        integration: IntegrationName,
    },
    /// Why an object was, was not, or will be taken.
    Explain {
        /// Whose.
        integration: IntegrationName,
        /// Its key.
        key: ObjectKey,
    },
    /// Which objects a first pass takes (R16).
    Backfill {
        /// Whose.
        integration: IntegrationName,
        /// Which.
        choice: BackfillChoice,
    },
    /// Ledger entries.
    LedgerList {
        /// Whose; all integrations if none.
        integration: Option<IntegrationName>,
        /// Only entries in one of these states; all if none.
        states: Vec<StateName>,
        /// Only keys that begin so.
        prefix: String,
        /// At most so many.
        limit: usize,
    },
    /// Every version of one key.
    LedgerShow {
        /// Whose.
        integration: IntegrationName,
        /// Its key.
        key: ObjectKey,
    },
    /// The whole ledger as lines.
    LedgerExport,
    /// Take objects again (R1): `replay` the listed versions, in a pass that begins at once; `forget` whichever
    /// version a listing shows next.
    Again {
        /// Whose.
        integration: IntegrationName,
        /// Which.
        selection: Selection,
        /// How much of each key.
        again: Again,
    },
    /// Objects that were completed under another mapping than today's (R6); the last word counts them.
    Stale {
        /// Whose.
        integration: IntegrationName,
        /// At most so many are named.
        limit: usize,
        /// Of so many of them it is looked up what today's mapping would change, writing nothing.
        differences: usize,
    },
    /// Objects that are completed in the ledger and that the destination never confirmed (R18).
    Reconcile {
        /// Whose.
        integration: IntegrationName,
        /// What happens to them.
        wish: Reconcile,
    },
    /// Go on where an integration looks now, though it looked elsewhere before (R17).
    Adopt {
        /// Whose.
        integration: IntegrationName,
        /// What becomes of what it has taken.
        adoption: Adoption,
    },
    /// Read every secret anew. Without a daemon every command does.
    ReadSecrets,
    /// Take the configuration as it stands in the files now. Without a daemon every command does.
    Reload,
    /// Where an integration last was allowed to look for its files (R17).
    Whereabouts {
        /// Whose.
        integration: IntegrationName,
    },
    /// See that the ledger and the destinations have what is an integration's under the name and in the place that it has
    /// now (R17). Waits for files that are at work under a former name or in a former place.
    SettleNames {
        /// Whose.
        integration: IntegrationName,
    },
    /// What a connection can do.
    ConnectionTest {
        /// Which.
        connection: ConnectionKey,
        /// Where to try; the integrations' buckets if none.
        target: Option<Target>,
    },
    /// What a connection could do that is not in the configuration, or not so. For root and the daemon's own user alone: it
    /// reads the secrets that it names, and sends to the server that it names.
    ConnectionTry {
        /// Its key.
        connection: ConnectionKey,
        /// Its table, as a configuration of its own.
        table: String,
        /// Where to try; without any, whether it sees buckets.
        targets: Vec<Target>,
    },
    /// Which buckets a connection sees.
    ConnectionBuckets {
        /// Which.
        connection: ConnectionKey,
    },
    /// Which prefixes of a bucket a connection sees.
    ConnectionPrefixes {
        /// Which.
        connection: ConnectionKey,
        /// The bucket.
        bucket: BucketName,
    },
    /// The newest files that an integration would take there.
    NewestObjects {
        /// Over which connection.
        connection: ConnectionKey,
        /// Where.
        target: Target,
    },
    /// The bytes of an object, for a person who wants to see how it is read.
    Sample {
        /// Over which connection.
        connection: ConnectionKey,
        /// Its bucket.
        bucket: BucketName,
        /// Its key.
        key: ObjectKey,
    },
    /// Bring a destination's schema to this version's.
    DestinationMigrate {
        /// Which.
        destination: DestinationName,
    },
    /// A dry run of one object, writing nothing.
    Test {
        /// By whose mapping.
        integration: IntegrationName,
        /// The integration's bucket.
        bucket: BucketName,
        /// The key.
        key: String,
    },
    /// What another component would make of the files that a mapper took last, writing nothing.
    Shadow {
        /// Which mapper.
        mapper: MapperName,
        /// Whose files; those of every integration that uses it if none.
        integration: Option<IntegrationName>,
        /// How many files of each.
        last: usize,
        /// The component.
        component: Attachment,
        /// The text of its signature file, if it has one.
        signature: Option<String>,
        /// Where that is, or should be.
        signature_path: PathBuf,
    },
}

impl Request {
    /// Whether a user may ask it of a daemon that runs as `own`. Whoever may connect may ask nearly everything.
    fn is_allowed(&self, user: Option<u32>, own: u32) -> bool {
        !matches!(self, Self::ConnectionTry { .. }) || user.is_some_and(|user| user == 0 || user == own)
    }

    /// What follows its line.
    fn attachment(&self) -> Option<&Attachment> {
        match self {
            Self::Shadow { component, .. } => Some(component),
            _ => None,
        }
    }

    /// The same, to be filled.
    fn attachment_mut(&mut self) -> Option<&mut Attachment> {
        match self {
            Self::Shadow { component, .. } => Some(component),
            _ => None,
        }
    }
}

/// Which objects a first pass takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackfillChoice {
    /// All that are there.
    All,
    /// None that are there now.
    None,
    /// Those last modified on this day or later, in the integration's time zone.
    Since(Date),
}

/// What happens to objects that were never confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reconcile {
    /// They are named.
    List,
    /// They are named, and taken again by a pass that begins at once.
    TakeAgain,
}

/// What becomes of what an integration has taken when it looks elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Adoption {
    /// The objects are the same, and stay taken.
    Keep,
    /// They are others: each is taken anew.
    Reingest,
}

/// Which objects to take again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Selection {
    /// One key.
    Key(ObjectKey),
    /// The keys that begin so.
    Prefix(String),
    /// The keys whose listed version was last modified on this day or later, in the integration's time zone.
    Since(Date),
    /// The keys of which rows matched no account (R7).
    Unmatched,
    /// Those whose listed version was completed under another mapping than today's (R6).
    Stale,
}

/// A bucket and a prefix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The bucket.
    pub bucket: BucketName,
    /// The prefix; may be empty.
    pub prefix: String,
}

/// One line of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// One of many.
    Item(Value),
    /// The end, with what there is to say.
    Done(Value),
    /// The end: it was not done.
    Failed(Refusal),
}

/// Why a request was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// What is wrong.
    pub message: String,
    /// What a person can do.
    pub hint: Option<String>,
}

impl Refusal {
    /// With no advice.
    pub fn new(message: impl ToString) -> Self {
        Self { message: message.to_string(), hint: None }
    }

    /// With an error's whole chain.
    pub fn of(error: &dyn std::error::Error) -> Self {
        Self::new(crate::events::Chain(error))
    }

    /// With advice.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Why the daemon could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The socket refused.
    #[error("cannot {what} the control socket `{}`", path.display())]
    Socket {
        /// The step.
        what: &'static str,
        /// The socket.
        path: PathBuf,
        /// The system's own words.
        #[source]
        source: std::io::Error,
    },
    /// Another daemon answers there.
    #[error("another daemon answers at the control socket `{}`", path.display())]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// An answer was not understood.
    #[error("the daemon's answer was cut short or not understood")]
    Answer,
    /// The daemon refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// The socket's path in a runtime directory.
pub fn socket_path(runtime_directory: &Path) -> PathBuf {
    runtime_directory.join("control.sock")
}

/// A daemon that answers.
pub struct Client {
    stream: UnixStream,
    path: PathBuf,
}

impl Client {
    /// Connects; none when no daemon runs.
    pub fn connect(runtime_directory: &Path) -> Result<Option<Self>, ControlError> {
        let path = socket_path(runtime_directory);
        match UnixStream::connect(&path) {
            Ok(stream) => Ok(Some(Self { stream, path })),
            Err(error)
                if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused) =>
            {
                Ok(None)
            }
            Err(source) => Err(ControlError::Socket { what: "connect to", path, source }),
        }
    }

    /// Asks, hands each item to `item`, and returns the last word.
    pub fn ask(mut self, request: &Request, mut item: impl FnMut(Value)) -> Result<Value, ControlError> {
        let mut line = serde_json::to_vec(request).map_err(|_| ControlError::Answer)?;
        line.push(b'\n');
        let failed = |what, source| ControlError::Socket { what, path: self.path.clone(), source };
        self.stream.write_all(&line).map_err(|error| failed("write to", error))?;
        let attached = request.attachment().map_or(Ok(()), |attachment| self.stream.write_all(attachment.bytes()));
        for line in BufReader::new(&self.stream).lines() {
            let line = line.map_err(|error| failed("read from", error))?;
            match serde_json::from_str(&line).map_err(|_| ControlError::Answer)? {
                Reply::Item(value) => item(value),
                Reply::Done(value) => return Ok(value),
                Reply::Failed(refusal) => return Err(refusal.into()),
            }
        }
        // Whoever refuses a request does not read what follows it: that is no reason unless nothing was answered.
        attached.map_err(|error| failed("write to", error))?;
        Err(ControlError::Answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_root_and_the_daemons_own_user_have_it_read_secrets_that_they_name() {
        let connection: ConnectionKey = "acme".parse().unwrap();
        let tried =
            Request::ConnectionTry { connection: connection.clone(), table: String::new(), targets: Vec::new() };
        let allowed =
            |request: &Request| [Some(0), Some(990), Some(1000), None].map(|user| request.is_allowed(user, 990));
        assert_eq!(allowed(&tried), [true, true, false, false]);
        assert_eq!(allowed(&Request::ConnectionTest { connection, target: None }), [true; 4]);
    }
}
