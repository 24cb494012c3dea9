//! S3 Access Grants: credentials for a part of a bucket, which whoever owns it has granted.
//!
//! - What is obtained is kept under the scope of the grant, so that all prefixes below it ask once. `prefix*` covers
//!   `prefix-other/` too.
//! - A refusal is remembered for five minutes: so long nobody asks again.
//! - The caller's own credentials ask for others, and read nothing.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_sdk_s3::config::Credentials;
use aws_sdk_s3control::Client;
use aws_sdk_s3control::config::endpoint::{Endpoint, EndpointFuture, Params, ResolveEndpoint};
use aws_sdk_s3control::operation::get_data_access::GetDataAccessOutput;
use aws_sdk_s3control::types::{Permission, Privilege};
use jiff::{SignedDuration, Timestamp};

use crate::clock::Clock;
use crate::object::BucketName;
use crate::source::Circle;
use crate::source::error::{Failure, FailureKind};
use crate::source::places::endless;

use super::lease::{Offer, Term};
use super::{Identity, Stamp};

/// How long a refusal is remembered.
const REFUSED: SignedDuration = SignedDuration::from_mins(5);

/// Whose grants are used, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantsSettings {
    /// The account of the S3 Access Grants instance: twelve digits.
    pub account_id: String,
    /// How long credentials are good.
    pub duration: Duration,
    /// The address of S3 Control, where it is not Amazon's of the region.
    pub endpoint_url: Option<String>,
}

/// The grants of one connection.
pub(in crate::source) struct Grants {
    settings: GrantsSettings,
    region: String,
    /// Who asks.
    base: Identity,
    client: Client,
    clock: Arc<dyn Clock>,
    known: Mutex<Known>,
    /// Held by whoever asks, so that the others find the answer.
    asking: tokio::sync::Mutex<()>,
}

/// What was answered.
#[derive(Default)]
struct Known {
    /// How often credentials were obtained.
    obtained: u64,
    granted: HashMap<Target, (Stamp, Term)>,
    refused: HashMap<Target, (Timestamp, Failure)>,
}

/// What is asked for, or granted: `s3://bucket/prefix*`, or one key without the star.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Target(String);

impl Target {
    fn covers(&self, other: &Self) -> bool {
        let there = other.0.strip_suffix('*').unwrap_or(&other.0);
        match self.0.strip_suffix('*') {
            Some(scope) => there.starts_with(scope),
            None => self == other,
        }
    }
}

impl Known {
    /// Of several grants, the narrowest.
    fn covering(&self, target: &Target) -> Option<(&Target, &(Stamp, Term))> {
        self.granted.iter().filter(|(scope, _)| scope.covers(target)).max_by_key(|(scope, _)| scope.0.len())
    }

    fn offer(&self, target: &Target, now: Timestamp) -> Offer {
        self.covering(target).map_or(Offer::Nothing, |(_, (_, term))| term.offer(now))
    }

    fn forget(&mut self, target: &Target) {
        self.granted.retain(|scope, _| !scope.covers(target));
    }
}

impl Grants {
    /// The client sends as `base`. Nothing is asked yet.
    pub(in crate::source) fn new(
        settings: GrantsSettings,
        region: String,
        base: Identity,
        client: Client,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let (known, asking) = (Mutex::default(), tokio::sync::Mutex::default());
        Self { settings, region, base, client, clock, known, asking }
    }

    async fn credentials(&self, target: &Target) -> Result<Credentials, Failure> {
        let old = match self.look(target)? {
            Offer::Good(credentials) => return Ok(credentials),
            Offer::Ending(credentials) => Some(credentials),
            Offer::Nothing => None,
        };
        let _asking = match (self.asking.try_lock(), old) {
            (Ok(asking), _) => asking,
            (Err(_), Some(old)) => return Ok(old),
            (Err(_), None) => self.asking.lock().await,
        };
        // Whoever asked before this one may have got, or been refused, what covers both.
        let old = match self.look(target)? {
            Offer::Good(credentials) => return Ok(credentials),
            Offer::Ending(credentials) => Some(credentials),
            Offer::Nothing => None,
        };
        let answer = self.ask(target).await;
        let now = self.clock.now();
        let mut known = self.known();
        match (answer, old) {
            (Ok((scope, credentials)), _) => {
                known.obtained += 1;
                let stamp = Stamp(known.obtained);
                known.granted.retain(|_, (_, term)| !matches!(term.offer(now), Offer::Nothing));
                known.granted.insert(scope, (stamp, Term::new(credentials.clone(), now)));
                Ok(credentials)
            }
            (Err(failure), _) if failure.kind.is_refusal() => {
                // What was granted may still work for a while, but its owner has taken it back.
                known.forget(target);
                known.refused.retain(|_, (until, _)| *until > now);
                known.refused.insert(target.clone(), (now.saturating_add(REFUSED).unwrap_or(now), failure.clone()));
                Err(failure)
            }
            (Err(_), Some(old)) => {
                let covering = known.granted.iter_mut().filter(|(scope, _)| scope.covers(target));
                covering.for_each(|(_, (_, term))| term.postpone(now));
                Ok(old)
            }
            (Err(failure), None) => Err(failure),
        }
    }

    /// What is known of a target.
    fn look(&self, target: &Target) -> Result<Offer, Failure> {
        let now = self.clock.now();
        let known = self.known();
        match (known.offer(target, now), known.refused.get(target)) {
            (Offer::Nothing, Some((until, failure))) if *until > now => Err(failure.clone()),
            (offer, _) => Ok(offer),
        }
    }

    /// Asks; gives the scope of the grant too.
    async fn ask(&self, target: &Target) -> Result<(Target, Credentials), Failure> {
        let request = || {
            self.client
                .get_data_access()
                .account_id(&self.settings.account_id)
                .target(&target.0)
                .permission(Permission::Read)
                .privilege(Privilege::Default)
                .duration_seconds(i32::try_from(self.settings.duration.as_secs()).unwrap_or(i32::MAX))
                .send()
        };
        let answer = self.base.send(request).await.map_err(|failure| self.judge(target, "GetDataAccess", failure))?;
        let credentials = credentials_of(&answer).ok_or_else(|| {
            Failure::new(FailureKind::NotIssued).of("GetDataAccess").with_message("there are none in the answer")
        })?;
        let scope = answer.matched_grant_target().map(|scope| Target(scope.to_owned()));
        // A grant of one key is good for what was asked, and so is one that does not say what it is of.
        let scope = scope.filter(|scope| scope.0.ends_with('*') && scope.covers(target));
        Ok((scope.unwrap_or_else(|| target.clone()), credentials))
    }

    /// The scopes of which the identity that asks may read everything; of one bucket, or of all.
    ///
    /// # Errors
    /// When the grants cannot be asked.
    pub(in crate::source) async fn scopes(&self, bucket: Option<&BucketName>) -> Result<BTreeSet<String>, Failure> {
        let within = bucket.map(|bucket| format!("s3://{bucket}/"));
        let target = Target(within.clone().unwrap_or_else(|| "s3://".to_owned()));
        let (mut scopes, mut circle) = (BTreeSet::new(), Circle::default());
        let mut token = None;
        loop {
            let request = self.client.list_caller_access_grants().account_id(&self.settings.account_id);
            let request = request.set_grant_scope(within.clone()).set_next_token(token);
            let asked = self.base.send(|| request.clone().send()).await;
            let answer = asked.map_err(|failure| self.judge(&target, "ListCallerAccessGrants", failure))?;
            let readable = answer
                .caller_access_grants_list()
                .iter()
                .filter(|grant| matches!(grant.permission(), Some(Permission::Read | Permission::Readwrite)));
            scopes.extend(readable.filter_map(|grant| grant.grant_scope().map(str::to_owned)));
            token = answer.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
            match &token {
                None => return Ok(scopes),
                Some(token) if circle.closes_at(token) => return Err(endless()),
                Some(_) => {}
            }
        }
    }

    fn judge(&self, target: &Target, operation: &'static str, failure: Failure) -> Failure {
        let mentions = |word| failure.message.as_ref().is_some_and(|message| message.contains(word));
        let account_id = || self.settings.account_id.clone();
        let kind = match (&failure.kind, failure.code.as_deref()) {
            (_, Some("AccessGrantsInstanceNotExistsError")) => {
                FailureKind::NoGrantsInstance { account_id: account_id(), region: self.region.clone() }
            }
            (FailureKind::Denied, _) if mentions(operation) => {
                FailureKind::MayNotAskForGrants { account_id: account_id() }
            }
            (FailureKind::Denied, _) => FailureKind::NotGranted { target: target.0.clone() },
            (kind, _) => (*kind).clone().of_an_issuer(),
        };
        Failure { kind, ..failure }.of(operation)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn credentials_of(answer: &GetDataAccessOutput) -> Option<Credentials> {
    let issued = answer.credentials()?;
    let end = issued.expiration().and_then(|end| (*end).try_into().ok());
    let token = issued.session_token()?.to_owned();
    Some(Credentials::new(issued.access_key_id()?, issued.secret_access_key()?, Some(token), end, "gristmill"))
}

impl fmt::Debug for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grants").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// One part of a bucket, as far as it is granted.
#[derive(Debug)]
pub(in crate::source) struct Grant {
    grants: Arc<Grants>,
    target: Target,
}

impl Grant {
    /// Everything below a prefix; an empty one is the whole bucket.
    pub(in crate::source) fn new(grants: Arc<Grants>, bucket: &BucketName, prefix: &str) -> Self {
        Self { grants, target: Target(format!("s3://{bucket}/{prefix}*")) }
    }

    /// Credentials that are good now.
    ///
    /// # Errors
    /// When nothing is granted, or the grants cannot be asked.
    pub(super) async fn credentials(&self) -> Result<Credentials, Failure> {
        self.grants.credentials(&self.target).await
    }

    pub(super) fn stamp(&self) -> Stamp {
        self.grants.known().covering(&self.target).map_or(Stamp(0), |(_, (stamp, _))| *stamp)
    }

    pub(super) fn give_up(&self, stamp: Stamp) {
        self.grants.known().granted.retain(|_, (there, _)| *there != stamp);
    }
}

/// S3 Control at an address of numbers. Before a name, the SDK puts the account's id; before numbers, nothing can stand.
#[derive(Debug)]
pub(in crate::source) struct AtNumbers(String);

impl AtNumbers {
    /// None where the host has a name.
    pub(in crate::source) fn of(endpoint_url: &str) -> Option<Self> {
        let (_, address) = endpoint_url.split_once("://")?;
        let host = address.split('/').next()?;
        let is_numbers = host.parse::<std::net::SocketAddr>().is_ok()
            || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok();
        is_numbers.then(|| Self(endpoint_url.to_owned()))
    }
}

impl ResolveEndpoint for AtNumbers {
    fn resolve_endpoint<'a>(&'a self, _: &'a Params) -> EndpointFuture<'a> {
        EndpointFuture::ready(Ok(Endpoint::builder().url(self.0.clone()).build()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_covers_what_begins_like_it() {
        for (scope, target, covered) in [
            ("s3://b/*", "s3://b/*", true),
            ("s3://b/*", "s3://b/daily/*", true),
            ("s3://b/daily*", "s3://b/daily-other/*", true),
            ("s3://b/daily/*", "s3://b/daily*", false),
            ("s3://b/daily/*", "s3://b/*", false),
            ("s3://b/daily/*", "s3://b2/daily/*", false),
            ("s3://b/a.csv", "s3://b/a.csv", true),
            ("s3://b/a.csv", "s3://b/a.csv*", false),
        ] {
            assert_eq!(Target(scope.to_owned()).covers(&Target(target.to_owned())), covered, "{scope} {target}");
        }
    }

    #[test]
    fn only_addresses_of_numbers_are_taken_as_they_are() {
        for (url, numbers) in [
            ("http://127.0.0.1:9000", true),
            ("https://10.0.0.1/control", true),
            ("https://[::1]:9000", true),
            ("https://[::1]", true),
            ("https://control.vpce-1.s3.eu-central-1.vpce.amazonaws.com", false),
            ("http://localhost:9000", false),
        ] {
            assert_eq!(AtNumbers::of(url).is_some(), numbers, "{url}");
        }
    }
}
