//! What the ledger keeps of one version of one key, and the states it goes through.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::object::{
    AsOf, BucketName, ConnectionKey, ContentHash, DedupKey, DestinationName, ETag, Generation, Identity,
    IntegrationName, MappingDigest, Object, ObjectKey, Relocation, Site,
};
use crate::retry::ErrorClass;

/// What happened to an object. A registered object without a state is new.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Some of its destinations have it, and which is kept beside it. It is due again until all do.
    Delivered {
        /// How often the others did not take it, in this generation.
        #[serde(default)]
        attempts: u32,
        /// From when on it is brought to them again.
        #[serde(default)]
        retry_after: Timestamp,
    },
    /// Every destination confirmed the whole file (I1).
    Completed,
    /// It failed and is tried again by itself.
    Failed {
        /// How often it was tried in this generation and under this mapping.
        attempts: u32,
        /// From when on it is due again.
        retry_after: Timestamp,
    },
    /// It failed and waits for a person, or for another mapping (R6).
    Quarantined {
        /// One sentence for the person.
        reason: String,
    },
    /// It was left out on purpose.
    Skipped {
        /// Why.
        reason: SkipReason,
    },
}

/// Why an object was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// A newer version of its key came before this one was finished (R2).
    Superseded,
    /// It was there before the integration, which was asked not to take such objects (R16).
    Backfill,
    /// Its bytes are those of the key's newest completed version (R5).
    SameContent {
        /// That version.
        of: DedupKey,
    },
    /// Its bytes are those of an older completed version of its key (R4).
    Reverted {
        /// That version.
        to: DedupKey,
    },
    /// It has to be restored before it can be fetched.
    Archived {
        /// From when on it is looked at again.
        look_again: Timestamp,
    },
    /// It was deleted between the listing and the fetch. Should a listing show it again, it is due.
    Gone,
}

/// A state without what it carries: for filters, counts and the on-disk index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are those of `State`")]
pub enum StateName {
    New = 0,
    Delivered = 1,
    Completed = 2,
    Failed = 3,
    Quarantined = 4,
    Skipped = 5,
}

impl StateName {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 6] =
        [Self::New, Self::Delivered, Self::Completed, Self::Failed, Self::Quarantined, Self::Skipped];

    /// As it stands in filters and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Delivered => "delivered",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Quarantined => "quarantined",
            Self::Skipped => "skipped",
        }
    }
}

impl State {
    /// Its name; none is a new object's.
    pub fn name(state: Option<&Self>) -> StateName {
        match state {
            None => StateName::New,
            Some(Self::Delivered { .. }) => StateName::Delivered,
            Some(Self::Completed) => StateName::Completed,
            Some(Self::Failed { .. }) => StateName::Failed,
            Some(Self::Quarantined { .. }) => StateName::Quarantined,
            Some(Self::Skipped { .. }) => StateName::Skipped,
        }
    }
}

/// What was learnt of an object while it was worked on.
#[derive(Debug, Clone)]
pub struct Facts {
    /// When it was learnt.
    pub at: Timestamp,
    /// What its bytes are, once they were all fetched.
    pub content: Option<ContentHash>,
    /// What decided how its rows were read. A failed or quarantined object that has one is due again under another
    /// (R6), so it is given only when the file's content or the mapper is to blame.
    pub mapping: Option<MappingDigest>,
    /// What the ingestion counted, as its report shows it.
    pub summary: Option<serde_json::Value>,
    /// What went wrong, for failed and quarantined objects, and for those that are missing in a destination.
    pub failure: Option<Failure>,
    /// The destinations that confirmed it, for every state but `Skipped`.
    pub confirmed: Vec<DestinationName>,
}

impl Facts {
    /// Nothing but the time.
    pub fn at(at: Timestamp) -> Self {
        Self { at, content: None, mapping: None, summary: None, failure: None, confirmed: Vec::new() }
    }
}

/// What went wrong with an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The class, one of those that `retry` knows.
    pub class: String,
    /// The whole chain of causes in one line.
    pub message: String,
    /// What a person can do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// What the ledger knows of one version of one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Whose entry it is.
    pub integration: IntegrationName,
    /// The object as it was last listed.
    pub object: Object,
    /// The ledger's count of this key's versions when this one came, from 1.
    pub arrival: u64,
    /// The later of last-modified and the effective time of the version before.
    pub effective_time: Timestamp,
    /// How often a person asked for it again, or how often it came back (R1, R4).
    pub generation: Generation,
    /// None while it is new.
    pub state: Option<State>,
    /// Whether it is the newest version of its key.
    pub current: bool,
    /// Whether the last listing showed it although a newer version is known (R4).
    pub reverted: bool,
    /// When a listing first showed it.
    pub first_seen: Timestamp,
    /// When its state last changed.
    pub changed: Timestamp,
    /// Destinations that confirmed this generation.
    pub confirmed: Vec<DestinationName>,
    /// What its bytes were.
    pub content: Option<ContentHash>,
    /// The mapping it was last read with.
    pub mapping: Option<MappingDigest>,
    /// What its last ingestion counted.
    pub summary: Option<serde_json::Value>,
    /// What last went wrong.
    pub failure: Option<Failure>,
}

impl Entry {
    /// What destinations know it by.
    pub fn identity(&self) -> Identity {
        Identity {
            integration: self.integration.clone(),
            dedup_key: self.object.dedup_key(),
            generation: self.generation,
        }
    }

    /// Where its writes stand among all writes (R2).
    pub fn as_of(&self) -> AsOf {
        AsOf {
            effective_time: self.effective_time,
            key: self.object.key.clone(),
            arrival: self.arrival,
            generation: self.generation,
        }
    }
}

/// One version as it is stored: an [`Entry`] less what its place in the table says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Version {
    pub etag: ETag,
    pub size: u64,
    pub last_modified: Timestamp,
    pub effective_time: Timestamp,
    pub generation: Generation,
    pub first_seen: Timestamp,
    pub changed: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub confirmed: Vec<DestinationName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<ContentHash>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mapping: Option<MappingDigest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<serde_json::Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

impl Version {
    /// A version that was never seen before.
    pub fn new(object: &Object, effective_time: Timestamp, now: Timestamp) -> Self {
        Self {
            etag: object.etag.clone(),
            size: object.size,
            last_modified: object.last_modified,
            effective_time,
            generation: Generation::default(),
            first_seen: now,
            changed: now,
            state: None,
            confirmed: Vec::new(),
            content: None,
            mapping: None,
            summary: None,
            failure: None,
        }
    }

    /// Makes it new again under the next generation (R1).
    pub fn renew(&mut self, now: Timestamp) {
        self.generation = self.generation.next();
        self.begin_anew(now);
    }

    /// Makes it new again.
    pub fn begin_anew(&mut self, now: Timestamp) {
        self.changed = now;
        self.state = None;
        self.confirmed.clear();
        self.content = None;
        self.mapping = None;
        self.summary = None;
        self.failure = None;
    }

    /// Whether it is still to be worked on by itself, so that a newer version supersedes it.
    pub fn is_unfinished(&self) -> bool {
        match &self.state {
            None | Some(State::Delivered { .. } | State::Failed { .. }) => true,
            Some(State::Completed | State::Quarantined { .. } | State::Skipped { .. }) => false,
        }
    }

    /// Whether its bytes count as processed, so that seeing it again is going back and not an arrival (R4).
    pub fn is_processed(&self) -> bool {
        match &self.state {
            Some(State::Completed) => true,
            Some(State::Skipped { reason }) => match reason {
                SkipReason::SameContent { .. } | SkipReason::Reverted { .. } => true,
                SkipReason::Superseded | SkipReason::Backfill | SkipReason::Archived { .. } | SkipReason::Gone => false,
            },
            None | Some(State::Delivered { .. } | State::Failed { .. } | State::Quarantined { .. }) => false,
        }
    }

    /// Whether a destination may hold records of it although it is not completed. What was superseded may have been
    /// merged by a process that ended before it could record that, or in an earlier generation.
    pub fn may_have_been_merged(&self) -> bool {
        let is_superseded = matches!(self.state, Some(State::Skipped { reason: SkipReason::Superseded }));
        is_superseded || !self.confirmed.is_empty()
    }

    /// Whether rows of it matched no account, or told of an unknown user: it was completed without them, or failed for them
    /// (R7).
    pub fn had_unmatched_rows(&self) -> bool {
        match &self.state {
            Some(State::Completed) => {
                let merged = self.summary.as_ref().and_then(|summary| summary.get("merged"));
                let count = |what: &str| merged.and_then(|merged| merged.get(what)?.as_u64()).unwrap_or_default();
                count("unmatched") + count("unknown_users") > 0
            }
            Some(State::Failed { .. } | State::Quarantined { .. }) => {
                let class = self.failure.as_ref().map(|failure| failure.class.as_str());
                let classes = [ErrorClass::NoAccountMatched, ErrorClass::TooManyUnmatched];
                classes.iter().any(|unmatched| class == Some(unmatched.as_str()))
            }
            None | Some(State::Delivered { .. } | State::Skipped { .. }) => false,
        }
    }

    /// Failed attempts in this generation.
    pub fn attempts(&self) -> u32 {
        match &self.state {
            Some(State::Failed { attempts, .. } | State::Delivered { attempts, .. }) => *attempts,
            None | Some(State::Completed | State::Quarantined { .. } | State::Skipped { .. }) => 0,
        }
    }

    /// From when on it is due by itself; none for never.
    pub fn due(&self) -> Option<Timestamp> {
        match &self.state {
            None => Some(Timestamp::MIN),
            Some(State::Failed { retry_after, .. } | State::Delivered { retry_after, .. }) => Some(*retry_after),
            Some(State::Completed | State::Quarantined { .. }) => None,
            Some(State::Skipped { reason }) => match reason {
                SkipReason::Archived { look_again } => Some(*look_again),
                SkipReason::Gone => Some(Timestamp::MIN),
                SkipReason::Superseded
                | SkipReason::Backfill
                | SkipReason::SameContent { .. }
                | SkipReason::Reverted { .. } => None,
            },
        }
    }

    /// The mapping under which it failed for good, as long as another one may help (R6).
    pub fn failed_under(&self) -> Option<&MappingDigest> {
        match &self.state {
            Some(State::Failed { .. } | State::Quarantined { .. }) => self.mapping.as_ref(),
            None | Some(State::Delivered { .. } | State::Completed | State::Skipped { .. }) => None,
        }
    }

    /// Whether it was completed under another mapping than this one (R6).
    pub fn is_stale(&self, mapping: &MappingDigest) -> bool {
        self.state == Some(State::Completed) && self.mapping.as_ref() != Some(mapping)
    }

    /// The object it is a version of.
    pub fn object(&self, connection: &ConnectionKey, bucket: &BucketName, key: &ObjectKey) -> Object {
        Object {
            connection: connection.clone(),
            bucket: bucket.clone(),
            key: key.clone(),
            etag: self.etag.clone(),
            size: self.size,
            last_modified: self.last_modified,
        }
    }
}

/// What stands for a whole integration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Control {
    /// When its first object was registered; none before.
    pub first_seen: Option<Timestamp>,
    /// Set while it does not run.
    pub paused: Option<Pause>,
    /// What a person or the configuration decided about objects that were there first (R16).
    pub backfill: Option<Backfill>,
    /// When what was there first had been dealt with as decided; from then on every new object is taken (R16).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settled: Option<Timestamp>,
    /// From when on a new file is waited for (R20): when the newest one was completed, else the first pass; or when a
    /// pause ended, if that was later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_since: Option<Timestamp>,
    /// The silence that was said to be too long, until its end is said as well (R20).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub silence: Option<Silence>,
    /// When an object first failed since a pass merged some and failed none (R20).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<Timestamp>,
    /// When keys were last held against a listing (R18).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counted: Option<Timestamp>,
    /// The destinations at its last pass; none where that is not known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub destinations: Vec<DestinationName>,
    /// The names it had before, the latest last (R17).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub former_names: Vec<IntegrationName>,
    /// Those of them under which a destination may still have its records. No file is taken while there is one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub to_follow: Vec<IntegrationName>,
    /// The key under which what it takes over a connection is recorded, by the key that the connection has now: the one that it
    /// had when the first of it was taken (R17).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub recorded_as: BTreeMap<ConnectionKey, ConnectionKey>,
    /// Where its objects were when it last was allowed to look for them; none before its first pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// How its objects were moved, the latest last (R17).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub moves: Vec<Relocation>,
    /// The steps of that which a destination may not have taken. No file is taken while there is one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub to_move: Vec<Relocation>,
}

impl Control {
    /// The key under which what it takes over a connection is recorded.
    pub fn recorded<'a>(&'a self, connection: &'a ConnectionKey) -> &'a ConnectionKey {
        self.recorded_as.get(connection).unwrap_or(connection)
    }

    /// What there was first had been dealt with.
    pub fn settle(&mut self, now: Timestamp) {
        self.settled = Some(now);
        self.waiting_since.get_or_insert(now);
    }

    /// Ends a pause. No file could come meanwhile, so that the wait for one begins anew.
    pub fn resume(&mut self, now: Timestamp) {
        if self.paused.take().is_some() && self.waiting_since.is_some() {
            self.waiting_since = Some(now);
            self.silence = None;
        }
    }
}

/// Where an integration's objects are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The server, as [`crate::config::Connection::server`] names it. Which credentials it is asked with is no part of it.
    pub server: String,
    /// The connection's key, which is a part of every dedup key.
    pub connection: ConnectionKey,
    /// The bucket.
    pub bucket: BucketName,
    /// What the keys begin with.
    pub prefix: String,
}

impl Place {
    /// Whether a key that both show is one object, and one of them shows all that the other does.
    pub fn has_the_objects_of(&self, other: &Self) -> bool {
        let is_part = |whole: &Self, part: &Self| part.prefix.starts_with(&whole.prefix);
        self.is_known_as(other) && self.server == other.server && (is_part(self, other) || is_part(other, self))
    }

    /// The same, whichever server it is on.
    pub fn site(&self) -> Site {
        Site { connection: self.connection.clone(), bucket: self.bucket.clone(), prefix: self.prefix.clone() }
    }

    /// Whether the ledger has the objects of both under the same dedup keys.
    pub fn is_known_as(&self, other: &Self) -> bool {
        (&self.connection, &self.bucket) == (&other.connection, &other.bucket)
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "s3://{}/{} on {} over `{}`", self.bucket, self.prefix.escape_debug(), self.server, self.connection)
    }
}

/// A wait for a file that was said to be too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// From when on a file was waited for.
    pub since: Timestamp,
    /// When it was last said.
    pub said: Timestamp,
}

/// Why an integration does not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// One sentence for the person.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
}

/// What happens to objects that were there before the integration (R16).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backfill {
    /// They are all taken.
    All,
    /// None is: each is recorded as skipped.
    None,
    /// Those last modified at that time or later are taken, the others recorded as skipped.
    Since(Timestamp),
}
