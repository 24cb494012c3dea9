//! Where objects come from: pages of a listing, and a local copy of one listed version.
//!
//! The bucket is only ever read (I7): of S3's operations this module calls ListObjectsV2, GetObject, HeadObject and
//! ListBuckets, and no other module calls any. For credentials it asks STS (AssumeRole) and S3
//! Control (GetDataAccess, ListCallerAccessGrants). It knows nothing of the ledger,
//! of formats or of mappers, nor where a secret stands.
//!
//! - A page is the most that is held of a listing (I6).
//! - What is fetched is the version that was listed, or an error: reads are pinned by `If-Match`, and length and
//!   checksums are compared before anything else may read the copy.
//! - No secret is in an error, in `Debug` or in a trace: the SDK's own tracing is not subscribed to.
//!
//! `connection` opens a client, `identity` has the credentials that it sends with and `pace` how fast, `listing` and `fetch` are the two halves
//! of [`Source`] for S3, `probe` tests a connection, `places` says what it sees, `wanted` and `mark` say what an integration
//! takes of it, `list_budget` how often it may list, `circle` notices a listing without an end, and `error` says what went
//! wrong and what to do about it.

use std::future::Future;
use std::ops::AddAssign;

use jiff::Timestamp;
use serde::Serialize;

use crate::object::{Object, ObjectKey};
use crate::oversight::Beat;
use crate::spool::{Reservation, SpooledObject};

mod circle;
mod connection;
mod error;
mod fetch;
mod identity;
mod list_budget;
mod listing;
mod mark;
mod pace;
mod places;
mod probe;
mod wanted;

pub use circle::Circle;
pub use connection::{BaseIdentity, Connection, ConnectionSettings, Credentials, HttpClient, KeyPair, S3Source};
pub use error::{Answer, Failure, FailureKind, SourceError};
pub use identity::{GrantsSettings, RoleSettings};
pub use list_budget::{ListBudget, MONTH};
pub use listing::is_ingestible;
pub use mark::{Mark, Start};
pub use places::Prefixes;
pub use probe::{Probe, Verdict};
pub use wanted::{KeyPattern, Unwanted, Wanted};

/// Lists objects and copies them to the spool.
pub trait Source: Send + Sync + 'static {
    /// One page of the listing: the first, or the one that `after` names.
    ///
    /// # Errors
    /// Everything of [`SourceError::List`]; the listing can be taken up again at the same token.
    fn list(&self, after: Option<&PageToken>) -> impl Future<Output = Result<Page, SourceError>> + Send;

    /// Copies the listed version to the spool and verifies it. The reservation is of the object's size. Beats whenever
    /// bytes arrive.
    ///
    /// # Errors
    /// [`SourceError::Fetch`] and [`SourceError::Spool`]; nothing stays in the spool then.
    fn fetch(
        &self,
        object: &Object,
        reservation: Reservation,
        beat: &Beat,
    ) -> impl Future<Output = Result<SpooledObject, SourceError>> + Send;
}

/// A part of a listing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// The objects that can be ingested, oldest first; of one time, by key.
    pub objects: Vec<Object>,
    /// What else stood in it.
    pub ignored: Ignored,
    /// Where the listing goes on; none at its end.
    pub next: Option<PageToken>,
}

impl Page {
    /// Without the objects that are not wanted, which are counted.
    pub fn of_wanted(mut self, wanted: &Wanted, now: Timestamp) -> Self {
        self.objects.retain(|object| {
            let refusal = wanted.refuses(object, now);
            refusal.into_iter().for_each(|unwanted| self.ignored.count(unwanted));
            refusal.is_none()
        });
        self
    }
}

/// How many entries of a page are not objects to ingest, and why.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Ignored {
    /// Keys that do not end in `.csv`, `.xlsx` or `.xls`, in any case.
    pub other_suffix: u64,
    /// Keys that end in `/` and hold nothing.
    pub folder_markers: u64,
    /// Objects of no bytes.
    pub empty: u64,
    /// Entries without an ETag, a time or a size, or with a key that is not UTF-8 of at most 1,024 bytes.
    pub unusable: u64,
    /// Objects whose key `include` does not name, or `exclude` does.
    pub not_included: u64,
    /// Objects from before `modified_since`.
    pub too_old: u64,
    /// Objects younger than `min_age`; a later pass takes them.
    pub too_young: u64,
    /// Objects of more than `max_size`.
    pub too_large: u64,
}

impl Ignored {
    /// All of them.
    pub fn total(&self) -> u64 {
        let Self { other_suffix, folder_markers, empty, unusable, not_included, too_old, too_young, too_large } = self;
        other_suffix + folder_markers + empty + unusable + not_included + too_old + too_young + too_large
    }

    /// One more that is not wanted.
    fn count(&mut self, unwanted: Unwanted) {
        *match unwanted {
            Unwanted::NotIncluded | Unwanted::Excluded => &mut self.not_included,
            Unwanted::TooOld => &mut self.too_old,
            Unwanted::TooYoung => &mut self.too_young,
            Unwanted::TooLarge => &mut self.too_large,
        } += 1;
    }
}

impl AddAssign for Ignored {
    fn add_assign(&mut self, other: Self) {
        self.other_suffix += other.other_suffix;
        self.folder_markers += other.folder_markers;
        self.empty += other.empty;
        self.unusable += other.unusable;
        self.not_included += other.not_included;
        self.too_old += other.too_old;
        self.too_young += other.too_young;
        self.too_large += other.too_large;
    }
}

/// Where a listing begins or goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageToken {
    /// The source's own words, which only the source that made them can read.
    Continued(String),
    /// Behind a key, in the order in which the source lists.
    After(ObjectKey),
}
