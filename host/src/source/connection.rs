//! Opening a connection: an S3 client that several integrations share.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{
    BehaviorVersion, Region, ResponseChecksumValidation, SharedCredentialsProvider, SharedHttpClient,
    StalledStreamProtectionConfig,
};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use secrecy::{ExposeSecret, SecretString};
use tracing::instrument::WithSubscriber;
use tracing::subscriber::NoSubscriber;

use crate::object::{BucketName, ConnectionKey, Object};
use crate::oversight::Beat;
use crate::spool::{Reservation, SpooledObject};

use super::{Page, PageToken, Source, SourceError};

/// A server that does not accept a connection within this is unreachable.
const CONNECT: Duration = Duration::from_secs(5);
/// A server that does not begin to answer within this has not answered.
const ANSWER: Duration = Duration::from_secs(30);
/// A body that stands still for this long has broken off.
const STALLED: Duration = Duration::from_secs(20);
/// Attempts that the SDK makes at one request before it is an error here. Few, because passes and objects have pauses
/// of their own; more than one, because a pooled connection may have died unseen.
const ATTEMPTS: u32 = 2;
/// The longest first pause between those attempts.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// The pool of HTTP connections and the TLS settings that all S3 clients of the process share. Belongs to the tokio
/// runtime it is first used in.
#[derive(Clone)]
pub struct HttpClient(SharedHttpClient);

impl HttpClient {
    /// A pool of its own, with the system's root certificates.
    pub fn new() -> Self {
        let provider = Provider::Rustls(CryptoMode::Ring);
        Self(aws_smithy_http_client::Builder::new().tls_provider(provider).build_https())
    }
}

impl Default for HttpClient {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpClient")
    }
}

/// How a connection is opened.
#[derive(Debug, Clone)]
pub struct ConnectionSettings {
    /// The buckets' region.
    pub region: String,
    /// The server, where it is not Amazon's: scheme, host, port.
    pub endpoint_url: Option<String>,
    /// Buckets in the path instead of the host name.
    pub force_path_style: bool,
    /// Who asks.
    pub credentials: Credentials,
}

/// Who asks.
#[derive(Clone)]
pub enum Credentials {
    /// A key pair.
    AccessKey {
        /// The access key id. Not a secret.
        id: String,
        /// The secret access key.
        secret: SecretString,
        /// The session token of temporary credentials.
        session_token: Option<SecretString>,
    },
    /// What the environment offers: variables, profile files, web identity, container or instance role; renewed before
    /// they expire.
    DefaultChain,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AccessKey { id, .. } => f.debug_struct("AccessKey").field("id", id).finish_non_exhaustive(),
            Self::DefaultChain => f.write_str("DefaultChain"),
        }
    }
}

/// An open connection. Clones share its client.
#[derive(Clone)]
pub struct Connection {
    pub(super) key: ConnectionKey,
    pub(super) client: Client,
}

impl Connection {
    /// Makes a client. Nothing is sent yet: a wrong key shows with the first request.
    #[expect(clippy::disallowed_methods, reason = "this is where clients are made")]
    pub async fn open(key: ConnectionKey, settings: &ConnectionSettings, http: &HttpClient) -> Self {
        let region = Region::new(settings.region.clone());
        let mut config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .credentials_provider(provider(&settings.credentials, &region, http).await)
            .region(region)
            .force_path_style(settings.force_path_style)
            .http_client(http.0.clone())
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS).with_initial_backoff(FIRST_PAUSE))
            .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT).read_timeout(ANSWER).build())
            .stalled_stream_protection(StalledStreamProtectionConfig::enabled().grace_period(STALLED).build())
            // Asked for where a whole body is read. Of a part, some servers send the whole's checksum.
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
        config.set_endpoint_url(settings.endpoint_url.clone());
        Self { key, client: Client::from_conf(config.build()) }
    }

    /// The connection's key.
    pub fn key(&self) -> &ConnectionKey {
        &self.key
    }

    /// The objects below a prefix of a bucket; an empty prefix is the whole bucket.
    pub fn source(&self, bucket: BucketName, prefix: impl Into<String>) -> S3Source {
        S3Source { connection: self.clone(), bucket, prefix: prefix.into() }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("key", &self.key).finish_non_exhaustive()
    }
}

async fn provider(credentials: &Credentials, region: &Region, http: &HttpClient) -> SharedCredentialsProvider {
    match credentials {
        Credentials::AccessKey { id, secret, session_token } => {
            let token = session_token.as_ref().map(|token| token.expose_secret().to_owned());
            let secret = secret.expose_secret();
            SharedCredentialsProvider::new(aws_credential_types::Credentials::new(id, secret, token, None, "gristmill"))
        }
        Credentials::DefaultChain => {
            let config = ProviderConfig::without_region()
                .with_region(Some(region.clone()))
                .with_behavior_version(Some(BehaviorVersion::latest()))
                .with_http_client(http.0.clone());
            let chain = DefaultCredentialsChain::builder().region(region.clone()).configure(config).build();
            SharedCredentialsProvider::new(unheard(chain).await)
        }
    }
}

/// Runs a call of the SDK without a subscriber. Its traces hold whole requests and answers, and leave secrets out of
/// them only as long as an environment variable does not ask for them.
pub(super) fn unheard<F: Future>(call: F) -> impl Future<Output = F::Output> {
    call.with_subscriber(NoSubscriber::new())
}

/// The objects of one integration.
#[derive(Debug, Clone)]
pub struct S3Source {
    pub(super) connection: Connection,
    pub(super) bucket: BucketName,
    pub(super) prefix: String,
}

impl Source for S3Source {
    async fn list(&self, after: Option<&PageToken>) -> Result<Page, SourceError> {
        super::listing::page(self, after).await
    }

    async fn fetch(
        &self,
        object: &Object,
        reservation: Reservation,
        beat: &Beat,
    ) -> Result<SpooledObject, SourceError> {
        super::fetch::fetch(&self.connection, object, reservation, beat).await
    }
}
