//! Opening a connection: an S3 client that several integrations share.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::config::retry::RetryPartition;
use aws_sdk_s3::config::{
    BehaviorVersion, IdentityCache, Region, ResponseChecksumValidation, SharedHttpClient, StalledStreamProtectionConfig,
};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use crate::clock::Clock;
use crate::object::{BucketName, ConnectionKey, Object};
use crate::oversight::Beat;
use crate::spool::{Reservation, SpooledObject};

use super::error::{Failure, FailureKind};
use super::identity::{
    AtNumbers, Grant, Grants, GrantsSettings, Identity, Issuer, Keys, Lease, Role, RoleSettings, unheard,
};
use super::pace::Pace;
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
#[derive(Debug, Clone, PartialEq, Eq)]
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A key pair, or what the environment offers.
    Own(BaseIdentity),
    /// A role that the base identity assumes.
    Role {
        /// Which, and how.
        role: RoleSettings,
        /// Who assumes it.
        base: BaseIdentity,
    },
    /// What S3 Access Grants grant to the base identity.
    Grants {
        /// Whose, and how.
        grants: GrantsSettings,
        /// Who asks for them.
        base: BaseIdentity,
    },
}

impl ConnectionSettings {
    /// The same with another pair of keys.
    fn with_keys(&self, pair: &KeyPair) -> Self {
        let mut other = self.clone();
        if let BaseIdentity::KeyPair(own) = other.credentials.base_mut() {
            *own = pair.clone();
        }
        other
    }
}

impl Credentials {
    fn base(&self) -> &BaseIdentity {
        match self {
            Self::Own(base) | Self::Role { base, .. } | Self::Grants { base, .. } => base,
        }
    }

    fn base_mut(&mut self) -> &mut BaseIdentity {
        match self {
            Self::Own(base) | Self::Role { base, .. } | Self::Grants { base, .. } => base,
        }
    }

    fn key_pair(&self) -> Option<&KeyPair> {
        match self.base() {
            BaseIdentity::KeyPair(pair) => Some(pair),
            BaseIdentity::DefaultChain => None,
        }
    }
}

/// An identity that is there without asking for one.
#[derive(Clone, PartialEq, Eq)]
pub enum BaseIdentity {
    /// A key pair.
    KeyPair(KeyPair),
    /// What the environment offers: variables, profile files, web identity, container or instance role; renewed before
    /// they expire.
    DefaultChain,
}

/// A key pair.
#[derive(Clone)]
pub struct KeyPair {
    /// The access key id. Not a secret.
    pub id: String,
    /// The secret access key.
    pub secret: SecretString,
    /// The session token of temporary credentials.
    pub session_token: Option<SecretString>,
}

impl PartialEq for KeyPair {
    fn eq(&self, other: &Self) -> bool {
        let exposed = |secret: &Option<SecretString>| secret.as_ref().map(|text| text.expose_secret().to_owned());
        self.id == other.id
            && self.secret.expose_secret() == other.secret.expose_secret()
            && exposed(&self.session_token).map(Zeroizing::new) == exposed(&other.session_token).map(Zeroizing::new)
    }
}

impl Eq for KeyPair {}

impl fmt::Debug for BaseIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeyPair(pair) => f.debug_struct("KeyPair").field("id", &pair.id).finish_non_exhaustive(),
            Self::DefaultChain => f.write_str("DefaultChain"),
        }
    }
}

/// An open connection. Clones share its client and its credentials.
#[derive(Clone)]
pub struct Connection {
    pub(super) key: ConnectionKey,
    pub(super) client: Client,
    pub(super) identity: Identity,
    settings: Arc<RwLock<ConnectionSettings>>,
    /// The pair of keys that it begins with, where it has one.
    keys: Option<Keys>,
    terms: Terms,
    terms_of: Arc<Mutex<HashMap<BucketName, Terms>>>,
}

/// On what terms requests to one bucket are sent. Clones share them: one bucket's refusals are no other's.
#[derive(Debug, Clone)]
struct Terms {
    pace: Pace,
    /// The SDK's own quota of second attempts.
    attempts: RetryPartition,
}

impl Terms {
    fn new() -> Self {
        Self { pace: Pace::default(), attempts: RetryPartition::custom("bucket").build() }
    }
}

impl Connection {
    /// Makes a client. Nothing is sent yet: a wrong key shows with the first request.
    pub async fn open(
        key: ConnectionKey,
        settings: &ConnectionSettings,
        http: &HttpClient,
        clock: &Arc<dyn Clock>,
    ) -> Self {
        Self::with_patience(key, settings, http, clock, STALLED).await
    }

    /// The same with so much patience for a body that stands still.
    #[expect(clippy::disallowed_methods, reason = "this is where clients are made")]
    pub(super) async fn with_patience(
        key: ConnectionKey,
        settings: &ConnectionSettings,
        http: &HttpClient,
        clock: &Arc<dyn Clock>,
        stalled: Duration,
    ) -> Self {
        let region = Region::new(settings.region.clone());
        let surroundings = Surroundings { region: &region, http, clock };
        let base = surroundings.base(settings.credentials.base()).await;
        let keys = match &base {
            Identity::KeyPair(keys) => Some(keys.clone()),
            Identity::Leased(_) | Identity::Grants(_) | Identity::Granted(_) => None,
        };
        let identity = match &settings.credentials {
            Credentials::Own(_) => base,
            Credentials::Role { role, .. } => surroundings.role(role, base),
            Credentials::Grants { grants, .. } => surroundings.grants(grants, base),
        };
        let mut config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .credentials_provider(identity.provider())
            // What is kept, and for how long, is the lease's affair.
            .identity_cache(IdentityCache::no_cache())
            .region(region)
            .force_path_style(settings.force_path_style)
            .http_client(http.0.clone())
            .retry_config(retries())
            .timeout_config(timeouts())
            .stalled_stream_protection(StalledStreamProtectionConfig::enabled().grace_period(stalled).build())
            // Asked for where a whole body is read. Of a part, some servers send the whole's checksum.
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
        config.set_endpoint_url(settings.endpoint_url.clone());
        let client = Client::from_conf(config.build());
        let settings = Arc::new(RwLock::new(settings.clone()));
        Self { key, client, identity, settings, keys, terms: Terms::new(), terms_of: Arc::default() }
    }

    /// Whether it has these settings.
    pub fn has_settings(&self, settings: &ConnectionSettings) -> bool {
        *self.settings() == *settings
    }

    /// Takes another pair of keys, if nothing else of the settings is another. Whoever shares the connection sends the next
    /// request with them; what is under way goes on. Whether the connection has these settings then.
    pub fn rotate(&self, settings: &ConnectionSettings) -> bool {
        let mut own = self.settings.write().unwrap_or_else(PoisonError::into_inner);
        match (&self.keys, settings.credentials.key_pair()) {
            (Some(keys), Some(pair)) if own.with_keys(pair) == *settings => {
                keys.rotate(pair);
                *own = settings.clone();
                true
            }
            _ => *own == *settings,
        }
    }

    fn settings(&self) -> RwLockReadGuard<'_, ConnectionSettings> {
        self.settings.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection's key.
    pub fn key(&self) -> &ConnectionKey {
        &self.key
    }

    /// The same, whose objects are recorded under another key, one that it had before (R17).
    pub fn recorded_as(self, key: ConnectionKey) -> Self {
        Self { key, ..self }
    }

    /// The objects below a prefix of a bucket; an empty prefix is the whole bucket.
    pub fn source(&self, bucket: BucketName, prefix: impl Into<String>) -> S3Source {
        let prefix = prefix.into();
        let identity = match &self.identity {
            Identity::Grants(grants) => Identity::Granted(Arc::new(Grant::new(Arc::clone(grants), &bucket, &prefix))),
            other @ (Identity::KeyPair(_) | Identity::Leased(_) | Identity::Granted(_)) => other.clone(),
        };
        let terms = {
            let mut terms_of = self.terms_of.lock().unwrap_or_else(PoisonError::into_inner);
            terms_of.entry(bucket.clone()).or_insert_with(Terms::new).clone()
        };
        S3Source { connection: self.sending_as(identity, terms), bucket, prefix }
    }

    #[expect(clippy::disallowed_methods, reason = "this is where clients are made")]
    fn sending_as(&self, identity: Identity, terms: Terms) -> Self {
        let config = self.client.config().to_builder();
        let config = config.credentials_provider(identity.provider()).retry_partition(terms.attempts.clone());
        Self { client: Client::from_conf(config.build()), identity, terms, ..self.clone() }
    }

    /// Sends a request when its turn comes, as [`Identity::send`] does.
    pub(super) async fn send<T, E, F>(&self, request: impl Fn() -> F) -> Result<T, Failure>
    where
        E: ProvideErrorMetadata + Error + 'static,
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    {
        let turn = self.terms.pace.turn().await;
        let answer = self.identity.send(request).await;
        match &answer {
            Err(failure) if failure.kind == FailureKind::Throttled => self.terms.pace.refused(turn),
            Err(failure) if failure.status.is_none() => {}
            Ok(_) | Err(_) => self.terms.pace.answered(turn),
        }
        answer
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("key", &self.key).finish_non_exhaustive()
    }
}

fn retries() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(ATTEMPTS).with_initial_backoff(FIRST_PAUSE)
}

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder().connect_timeout(CONNECT).read_timeout(ANSWER).build()
}

/// What every identity of a connection is made with.
struct Surroundings<'a> {
    region: &'a Region,
    http: &'a HttpClient,
    clock: &'a Arc<dyn Clock>,
}

impl Surroundings<'_> {
    async fn base(&self, base: &BaseIdentity) -> Identity {
        match base {
            BaseIdentity::KeyPair(pair) => Identity::KeyPair(Keys::new(pair)),
            BaseIdentity::DefaultChain => {
                let config = ProviderConfig::without_region()
                    .with_region(Some(self.region.clone()))
                    .with_behavior_version(Some(BehaviorVersion::latest()))
                    .with_http_client(self.http.0.clone());
                let chain = DefaultCredentialsChain::builder().region(self.region.clone()).configure(config).build();
                self.leased(Issuer::DefaultChain(Box::new(unheard(chain).await)))
            }
        }
    }

    #[expect(clippy::disallowed_methods, reason = "this is where clients are made")]
    fn role(&self, role: &RoleSettings, base: Identity) -> Identity {
        let mut config = aws_sdk_sts::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .credentials_provider(base.provider())
            .identity_cache(IdentityCache::no_cache())
            .region(self.region.clone())
            .http_client(self.http.0.clone())
            .retry_config(retries())
            .timeout_config(timeouts());
        config.set_endpoint_url(role.endpoint_url.clone());
        let client = aws_sdk_sts::Client::from_conf(config.build());
        self.leased(Issuer::Role(Role::new(role.clone(), base, client)))
    }

    #[expect(clippy::disallowed_methods, reason = "this is where clients are made")]
    fn grants(&self, grants: &GrantsSettings, base: Identity) -> Identity {
        let mut config = aws_sdk_s3control::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .credentials_provider(base.provider())
            .identity_cache(IdentityCache::no_cache())
            .region(self.region.clone())
            .http_client(self.http.0.clone())
            .retry_config(retries())
            .timeout_config(timeouts());
        if let Some(url) = &grants.endpoint_url {
            config = match AtNumbers::of(url) {
                Some(numbers) => config.endpoint_resolver(numbers),
                None => config.endpoint_url(url),
            };
        }
        let client = aws_sdk_s3control::Client::from_conf(config.build());
        let region = self.region.to_string();
        Identity::Grants(Arc::new(Grants::new(grants.clone(), region, base, client, Arc::clone(self.clock))))
    }

    fn leased(&self, issuer: Issuer) -> Identity {
        Identity::Leased(Arc::new(Lease::new(issuer, Arc::clone(self.clock))))
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    fn settings(region: &str, secret: &str) -> ConnectionSettings {
        let pair = KeyPair { id: "ID".to_owned(), secret: SecretString::from(secret), session_token: None };
        let role = RoleSettings {
            role_arn: "arn:aws:iam::123456789012:role/reader".to_owned(),
            external_id: None,
            session_name: "gristmill".to_owned(),
            duration: Duration::from_secs(3_600),
            endpoint_url: None,
        };
        ConnectionSettings {
            region: region.to_owned(),
            endpoint_url: None,
            force_path_style: false,
            credentials: Credentials::Role { role, base: BaseIdentity::KeyPair(pair) },
        }
    }

    #[tokio::test]
    async fn another_pair_of_keys_is_everybodys_and_nothing_else_is_changed_in_place() {
        let (key, clock): (ConnectionKey, Arc<dyn Clock>) = ("acme".parse().unwrap(), Arc::new(SystemClock));
        let connection = Connection::open(key, &settings("r-1", "old"), &HttpClient::new(), &clock).await;
        let shared = connection.clone().recorded_as("former".parse().unwrap());
        assert!(connection.rotate(&settings("r-1", "old")), "it has these");
        assert!(connection.rotate(&settings("r-1", "new")));
        assert!(shared.has_settings(&settings("r-1", "new")));
        assert!(!connection.rotate(&settings("r-2", "newer")));
        assert!(shared.has_settings(&settings("r-1", "new")));
        let chain =
            ConnectionSettings { credentials: Credentials::Own(BaseIdentity::DefaultChain), ..settings("r-1", "") };
        assert!(!connection.rotate(&chain));
    }
}
