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
//! `connection` opens a client, `identity` has the credentials that it sends with, `listing` and `fetch` are the two halves of [`Source`] for S3, `probe` tests a
//! connection, `places` says what it sees, and `error` says what went wrong and what to do about it.

use std::future::Future;
use std::ops::AddAssign;

use serde::Serialize;

use crate::object::Object;
use crate::oversight::Beat;
use crate::spool::{Reservation, SpooledObject};

mod connection;
mod error;
mod fetch;
mod identity;
mod listing;
mod places;
mod probe;

pub use connection::{BaseIdentity, Connection, ConnectionSettings, Credentials, HttpClient, KeyPair, S3Source};
pub use error::{Answer, Failure, FailureKind, SourceError};
pub use identity::{GrantsSettings, RoleSettings};
pub use listing::is_ingestible;
pub use places::Prefixes;
pub use probe::{Probe, Verdict};

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
}

impl Ignored {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.other_suffix + self.folder_markers + self.empty + self.unusable
    }
}

impl AddAssign for Ignored {
    fn add_assign(&mut self, other: Self) {
        self.other_suffix += other.other_suffix;
        self.folder_markers += other.folder_markers;
        self.empty += other.empty;
        self.unusable += other.unusable;
    }
}

/// Where a listing goes on. Only the source that made it can read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageToken(String);

impl PageToken {
    /// Wraps a source's own token.
    pub fn new(token: impl Into<String>) -> Self {
        Self(token.into())
    }

    /// The source's own token.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
