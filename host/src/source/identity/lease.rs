//! Temporary credentials: obtained by the first who asks, shared, renewed before they end.

use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_sdk_s3::config::{Credentials, ProvideCredentials};
use jiff::{SignedDuration, Timestamp};

use crate::clock::Clock;
use crate::source::error::{Failure, FailureKind};

use super::{Role, Stamp, unheard};

/// How long the machine and its environment are searched for credentials.
const SEARCH: Duration = Duration::from_secs(10);
/// The pause after a renewal that failed while the old credentials are still good.
const PAUSE: SignedDuration = SignedDuration::from_secs(30);
/// The shortest life that credentials are taken to have: a clock that is off must not make every request obtain some.
const SHORTEST: SignedDuration = SignedDuration::from_secs(10);

/// Who gives out credentials.
#[derive(Debug)]
pub(in crate::source) enum Issuer {
    /// The machine and its environment.
    DefaultChain(Box<DefaultCredentialsChain>),
    /// STS, for a role.
    Role(Role),
}

impl Issuer {
    async fn obtain(&self) -> Result<Credentials, Failure> {
        match self {
            Self::DefaultChain(chain) => {
                let none = |message: String| Failure::new(FailureKind::Credentials).with_message(message);
                match tokio::time::timeout(SEARCH, unheard(chain.provide_credentials())).await {
                    Ok(found) => found.map_err(|error| none(words(&error))),
                    Err(_) => Err(none("no credentials were found in time".to_owned())),
                }
            }
            Self::Role(role) => role.assume().await,
        }
    }
}

/// An error and its causes.
fn words(error: &dyn Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words.push_str(": ");
        words.push_str(&error.to_string());
        cause = error.source();
    }
    words
}

/// Credentials that end, and when they are to be renewed.
#[derive(Clone)]
pub(in crate::source) struct Term {
    credentials: Credentials,
    renew: Option<Timestamp>,
    end: Option<Timestamp>,
}

/// What a term offers at some moment.
pub(in crate::source) enum Offer {
    /// Credentials that are good.
    Good(Credentials),
    /// Credentials that are still good, and should be renewed.
    Ending(Credentials),
    /// Nothing.
    Nothing,
}

impl Term {
    /// Begins now.
    pub(in crate::source) fn new(credentials: Credentials, now: Timestamp) -> Self {
        let end = credentials.expiry().and_then(|end| Timestamp::try_from(end).ok());
        let life = |end: Timestamp| end.duration_since(now).max(SHORTEST);
        let after = |end, tenths| now.saturating_add(life(end) / 10 * tenths).ok();
        Self { credentials, renew: end.and_then(|end| after(end, 9)), end: end.and_then(|end| after(end, 10)) }
    }

    /// What it offers.
    pub(in crate::source) fn offer(&self, now: Timestamp) -> Offer {
        let over = |moment: Option<Timestamp>| moment.is_some_and(|moment| moment <= now);
        match (over(self.renew), over(self.end)) {
            (false, false) => Offer::Good(self.credentials.clone()),
            (true, false) => Offer::Ending(self.credentials.clone()),
            (_, true) => Offer::Nothing,
        }
    }

    /// Tries the renewal later.
    pub(in crate::source) fn postpone(&mut self, now: Timestamp) {
        self.renew = now.saturating_add(PAUSE).ok();
    }
}

/// Temporary credentials that many requests share.
pub(in crate::source) struct Lease {
    issuer: Issuer,
    clock: Arc<dyn Clock>,
    held: Mutex<Held>,
    /// Held by whoever obtains, so that many tasks ask once.
    obtaining: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Held {
    /// How often credentials were obtained.
    obtained: u64,
    term: Option<Term>,
}

impl Lease {
    /// Nothing is obtained yet.
    pub(in crate::source) fn new(issuer: Issuer, clock: Arc<dyn Clock>) -> Self {
        Self { issuer, clock, held: Mutex::default(), obtaining: tokio::sync::Mutex::default() }
    }

    /// Credentials that are good now.
    ///
    /// # Errors
    /// When there are none, and none can be obtained.
    pub(in crate::source) async fn credentials(&self) -> Result<Credentials, Failure> {
        let old = match self.offer() {
            Offer::Good(credentials) => return Ok(credentials),
            Offer::Ending(credentials) => Some(credentials),
            Offer::Nothing => None,
        };
        let _obtaining = match (self.obtaining.try_lock(), old) {
            (Ok(obtaining), _) => obtaining,
            (Err(_), Some(old)) => return Ok(old),
            (Err(_), None) => self.obtaining.lock().await,
        };
        // Whoever obtained before this one may have renewed them.
        let old = match self.offer() {
            Offer::Good(credentials) => return Ok(credentials),
            Offer::Ending(credentials) => Some(credentials),
            Offer::Nothing => None,
        };
        let obtained = self.issuer.obtain().await;
        let now = self.clock.now();
        let mut held = self.held();
        match (obtained, old) {
            (Ok(credentials), _) => {
                held.obtained += 1;
                held.term = Some(Term::new(credentials.clone(), now));
                Ok(credentials)
            }
            (Err(_), Some(old)) => {
                held.term.iter_mut().for_each(|term| term.postpone(now));
                Ok(old)
            }
            (Err(failure), None) => Err(failure),
        }
    }

    pub(super) fn stamp(&self) -> Stamp {
        Stamp(self.held().obtained)
    }

    pub(super) fn give_up(&self, stamp: Stamp) {
        let mut held = self.held();
        if Stamp(held.obtained) == stamp {
            held.term = None;
        }
    }

    fn offer(&self) -> Offer {
        let now = self.clock.now();
        self.held().term.as_ref().map_or(Offer::Nothing, |term| term.offer(now))
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}
