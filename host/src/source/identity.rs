//! Whom requests are sent as: a key pair, or temporary credentials that are renewed while work goes on.
//!
//! It knows how credentials are obtained and how long they are good, and nothing of objects.
//!
//! - A key pair may be replaced by another: what is sent afterwards is sent with that one.
//! - Temporary credentials are obtained once for all who share a connection, and renewed at nine tenths of their life.
//! - Where a server says that they have expired all the same, they are renewed once, and the request is sent once more.
//! - What an obtained secret is stays in the SDK's own types, which do not print it. Nothing here is traced.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, PoisonError, RwLock};

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::config::{Credentials, ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use secrecy::ExposeSecret;
use tracing::instrument::WithSubscriber;
use tracing::subscriber::NoSubscriber;

use super::connection::KeyPair;
use super::error::{Failure, FailureKind};

mod grants;
mod lease;
mod role;

pub use grants::GrantsSettings;
pub(super) use grants::{AtNumbers, Grant, Grants};
pub(super) use lease::{Issuer, Lease};
pub(super) use role::Role;
pub use role::RoleSettings;

/// Whom requests are sent as.
#[derive(Debug, Clone)]
pub(super) enum Identity {
    /// A key pair.
    KeyPair(Arc<Keys>),
    /// Temporary credentials.
    Leased(Arc<Lease>),
    /// Whatever is granted, which is nothing until it is said for what.
    Grants(Arc<Grants>),
    /// Temporary credentials for a part of a bucket.
    Granted(Arc<Grant>),
}

/// Which credentials a request was sent with, so that only those are given up if they have expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp(u64);

/// A key pair that may be replaced by another.
#[derive(Debug)]
pub(super) struct Keys(RwLock<Credentials>);

impl Keys {
    pub(super) fn new(pair: &KeyPair) -> Self {
        Self(RwLock::new(credentials_of(pair)))
    }

    /// What is sent from now on is sent with this pair.
    pub(super) fn replace(&self, pair: &KeyPair) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = credentials_of(pair);
    }

    fn credentials(&self) -> Credentials {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn credentials_of(pair: &KeyPair) -> Credentials {
    let token = pair.session_token.as_ref().map(|token| token.expose_secret().to_owned());
    Credentials::new(&pair.id, pair.secret.expose_secret(), token, None, "gristmill")
}

impl Identity {
    /// For a client of the SDK.
    pub(super) fn provider(&self) -> SharedCredentialsProvider {
        SharedCredentialsProvider::new(Shared(self.clone()))
    }

    async fn credentials(&self) -> Result<Credentials, Failure> {
        match self {
            Self::KeyPair(keys) => Ok(keys.credentials()),
            Self::Leased(lease) => lease.credentials().await,
            // The caller's own are never taken instead.
            Self::Grants(_) => {
                Err(Failure::new(FailureKind::NotIssued).with_message("grants are for parts of buckets"))
            }
            Self::Granted(grant) => grant.credentials().await,
        }
    }

    /// Which credentials it has now.
    fn stamp(&self) -> Option<Stamp> {
        match self {
            Self::KeyPair(_) | Self::Grants(_) => None,
            Self::Leased(lease) => Some(lease.stamp()),
            Self::Granted(grant) => Some(grant.stamp()),
        }
    }

    /// Gives up credentials that a server took for expired. They may have been replaced since.
    fn give_up(&self, stamp: Stamp) {
        match self {
            Self::KeyPair(_) | Self::Grants(_) => {}
            Self::Leased(lease) => lease.give_up(stamp),
            Self::Granted(grant) => grant.give_up(stamp),
        }
    }

    /// Sends a request; once more, with new credentials, where the server says that those it came with have expired.
    pub(super) async fn send<T, E, F>(&self, request: impl Fn() -> F) -> Result<T, Failure>
    where
        E: ProvideErrorMetadata + Error + 'static,
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    {
        // Obtained before it is sent, so that the stamp is that of the credentials it is sent with. Boxed, because those
        // that obtain them send requests themselves.
        Box::pin(self.credentials()).await?;
        let stamp = self.stamp();
        match (unheard(request()).await, stamp) {
            (Ok(answer), _) => return Ok(answer),
            (Err(error), Some(stamp)) if has_expired(&error) => self.give_up(stamp),
            (Err(error), _) => return Err(Failure::from_sdk(&error)),
        }
        unheard(request()).await.map_err(|error| Failure::from_sdk(&error))
    }
}

/// Runs a call of the SDK without a subscriber. Its traces hold whole requests and answers, and leave secrets out of
/// them only as long as an environment variable does not ask for them.
pub(super) fn unheard<F: Future>(call: F) -> impl Future<Output = F::Output> {
    call.with_subscriber(NoSubscriber::new())
}

/// Whether the server, and not a step before it, says that the credentials of this request have expired.
fn has_expired<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    let answered = matches!(error, SdkError::ServiceError(_) | SdkError::ResponseError(_));
    answered && matches!(error.code(), Some("ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired"))
}

/// Why credentials could not be obtained, on its way through the SDK.
#[derive(Debug)]
pub(super) struct NotObtained(pub(super) Failure);

impl fmt::Display for NotObtained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for NotObtained {}

impl From<NotObtained> for CredentialsError {
    fn from(why: NotObtained) -> Self {
        Self::provider_error(why)
    }
}

/// The SDK wants to own whoever provides credentials.
#[derive(Debug)]
struct Shared(Identity);

impl ProvideCredentials for Shared {
    fn provide_credentials<'a>(&'a self) -> aws_credential_types::provider::future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let obtained = async { self.0.credentials().await.map_err(|failure| NotObtained(failure).into()) };
        aws_credential_types::provider::future::ProvideCredentials::new(obtained)
    }
}
