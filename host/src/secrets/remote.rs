//! Secrets that a service keeps: which there are, and what was read of them not long ago.
//!
//! One file a service below: `aws`, `google`, `hashicorp`; `absent` stands in for one that the build leaves out.
//!
//! - A value is kept in memory for [`KEPT`], so that whoever reads it for each object or connection does not ask each
//!   time. Whoever wants it anew says so with [`Remote::forget`]. A failure is not kept.
//! - Two who want the same secret ask once, whichever part of it each wants.
//! - Nothing of a request is traced: the traces of the libraries hold whole answers.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use secrecy::{ExposeSecret, SecretString};
use tracing::subscriber::NoSubscriber;

use super::failure::{Failure, FailureKind};
use super::{Resolved, SecretError, SecretReference, SecretWarning, Secrets, part, text};

#[cfg(any(
    not(feature = "aws-secrets-manager"),
    not(feature = "google-secret-manager"),
    not(feature = "hashicorp-vault")
))]
mod absent;
#[cfg(feature = "aws-secrets-manager")]
mod aws;
#[cfg(not(feature = "aws-secrets-manager"))]
use absent as aws;
#[cfg(feature = "google-secret-manager")]
mod google;
#[cfg(not(feature = "google-secret-manager"))]
use absent as google;
#[cfg(feature = "hashicorp-vault")]
mod hashicorp;
#[cfg(not(feature = "hashicorp-vault"))]
use absent as hashicorp;
#[cfg(any(feature = "google-secret-manager", feature = "hashicorp-vault"))]
mod http;

/// How long a value is used before it is asked for anew.
pub const KEPT: Duration = Duration::from_secs(5 * 60);
/// How long a service may take, with whatever has to be asked before it.
const ANSWER: Duration = Duration::from_secs(20);

/// A secret that a service keeps, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RemoteReference {
    /// AWS Secrets Manager's.
    Aws(AwsSecret),
    /// Google Cloud Secret Manager's.
    Google(GoogleSecret),
    /// HashiCorp Vault's.
    Hashicorp(HashicorpSecret),
}

/// A secret of AWS Secrets Manager. It is asked for as whoever the AWS SDK finds.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AwsSecret {
    /// Its name or its ARN.
    pub secret: String,
    /// The member of it, where it is a JSON object.
    pub key: Option<String>,
    /// Its region; none for that of the environment.
    pub region: Option<String>,
    /// The address of Secrets Manager, where it is not Amazon's of the region.
    pub endpoint_url: Option<String>,
}

/// A secret of Google Cloud Secret Manager.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GoogleSecret {
    /// `projects/P/secrets/S/versions/V`, or the same with `/locations/L` after the project.
    pub version: String,
    /// The member of it, where it is a JSON object.
    pub key: Option<String>,
    /// The key of the service account that asks; none for what the environment offers.
    pub service_account: Option<SecretReference>,
    /// The address of Secret Manager, where it is not Google's.
    pub endpoint_url: Option<String>,
}

/// A field of a secret in a key-value engine, version 2, of HashiCorp Vault.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HashicorpSecret {
    /// Where it is.
    pub server: HashicorpServer,
    /// Where the engine is mounted.
    pub mount: String,
    /// The secret's path below it.
    pub path: String,
    /// The field.
    pub field: String,
}

/// A server of HashiCorp Vault, and who asks it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HashicorpServer {
    /// Scheme, host and port.
    pub address: String,
    /// The namespace, where there are several.
    pub namespace: Option<String>,
    /// The authorities that vouch for the server, in PEM; those of the system if none.
    pub ca_file: Option<PathBuf>,
    /// Who asks.
    pub login: HashicorpLogin,
}

/// Who asks a server of HashiCorp Vault.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HashicorpLogin {
    /// Whoever a token is of.
    Token(SecretReference),
    /// A role for machines.
    AppRole {
        /// Where the way to log in is mounted.
        mount: String,
        /// Which role. Not a secret.
        role_id: String,
        /// What proves it.
        secret_id: SecretReference,
    },
}

impl RemoteReference {
    /// The service.
    pub(super) fn service(&self) -> &'static str {
        match self {
            Self::Aws(_) => "AWS Secrets Manager",
            Self::Google(_) => "Google Secret Manager",
            Self::Hashicorp(_) => "HashiCorp Vault",
        }
    }

    fn is_built(&self) -> bool {
        match self {
            Self::Aws(_) => aws::IS_BUILT,
            Self::Google(_) => google::IS_BUILT,
            Self::Hashicorp(_) => hashicorp::IS_BUILT,
        }
    }

    /// The secret of this machine without which the service does not answer.
    fn means(&self) -> Option<&SecretReference> {
        match self {
            Self::Aws(_) => None,
            Self::Google(secret) => secret.service_account.as_ref(),
            Self::Hashicorp(secret) => Some(match &secret.server.login {
                HashicorpLogin::Token(token) => token,
                HashicorpLogin::AppRole { secret_id, .. } => secret_id,
            }),
        }
    }

    /// The same for every part of one secret.
    fn whole(&self) -> Self {
        let mut whole = self.clone();
        match &mut whole {
            Self::Aws(AwsSecret { key, .. }) | Self::Google(GoogleSecret { key, .. }) => *key = None,
            Self::Hashicorp(HashicorpSecret { field, .. }) => field.clear(),
        }
        whole
    }

    /// The way to the part that is meant, in what the service answers; empty for all of it.
    fn way(&self) -> Vec<&str> {
        match self {
            Self::Aws(AwsSecret { key, .. }) | Self::Google(GoogleSecret { key, .. }) => {
                key.as_deref().into_iter().collect()
            }
            Self::Hashicorp(HashicorpSecret { field, .. }) => vec!["data", "data", field],
        }
    }
}

impl fmt::Display for RemoteReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Aws(AwsSecret { key: Some(key), .. }) | Self::Google(GoogleSecret { key: Some(key), .. }) => {
                write!(f, "key `{key}` of ")?;
            }
            Self::Hashicorp(HashicorpSecret { field, .. }) => write!(f, "field `{field}` of ")?,
            Self::Aws(_) | Self::Google(_) => {}
        }
        match self {
            Self::Aws(secret) => write!(f, "AWS secret `{}`", secret.secret),
            Self::Google(secret) => write!(f, "Google secret `{}`", secret.version),
            Self::Hashicorp(secret) => write!(f, "HashiCorp Vault secret `{}/{}`", secret.mount, secret.path),
        }
    }
}

/// Reads what services keep. Clones share what is kept.
#[derive(Clone)]
pub(super) struct Remote(Arc<Shared>);

struct Shared {
    kept: Duration,
    known: Mutex<HashMap<RemoteReference, Place>>,
    askers: Askers,
}

#[derive(Default)]
struct Askers {
    aws: aws::Asker,
    google: google::Asker,
    hashicorp: hashicorp::Asker,
}

/// What a service gives: the whole secret, or an answer with it in.
type Payload = secrecy::zeroize::Zeroizing<Vec<u8>>;

/// A secret's place in memory, locked by whoever asks for it.
type Place = Arc<Mutex<Option<Known>>>;

/// A whole secret.
struct Known {
    value: SecretString,
    /// What should be mended of the secret that it was asked with.
    warning: Option<SecretWarning>,
    since: Instant,
}

impl Remote {
    /// Values are used for that long.
    pub(super) fn new(kept: Duration) -> Self {
        Self(Arc::new(Shared { kept, known: Mutex::default(), askers: Askers::default() }))
    }

    /// Lets every value be asked for anew, by whoever may ask by then.
    pub(super) fn forget(&self) {
        self.known().clear();
        self.0.askers.aws.forget();
        self.0.askers.hashicorp.forget();
    }

    /// Whether it could be read, as far as can be said without asking the service.
    pub(super) fn look(&self, reference: &RemoteReference, secrets: &Secrets) -> Result<(), SecretError> {
        built(reference)?;
        match reference.means() {
            Some(means) => secrets.look(means).map(drop),
            None => Ok(()),
        }?;
        Err(SecretError::NotAsked { reference: reference.into() })
    }

    /// The value. Blocks until the service has answered.
    pub(super) fn resolve(&self, reference: &RemoteReference, secrets: &Secrets) -> Result<Resolved, SecretError> {
        built(reference)?;
        let place = self.place(reference);
        let mut held = place.lock().unwrap_or_else(PoisonError::into_inner);
        let known = match held.take().filter(|known| self.is_fresh(known)) {
            Some(fresh) => held.insert(fresh),
            None => {
                let means = reference.means().map(|means| secrets.resolve(means)).transpose()?;
                let (means, warning) = means.map_or((None, None), |means| (Some(means.value), means.warning));
                let value = self.ask(reference, means)?;
                held.insert(Known { value, warning, since: Instant::now() })
            }
        };
        let value = match reference.way().as_slice() {
            [] => known.value.clone(),
            way => part::find(known.value.expose_secret(), way)
                .map_err(|problem| SecretError::Part { reference: reference.into(), problem })?,
        };
        Ok(Resolved { value, warning: known.warning.clone() })
    }

    /// The service's answer, waited for on this thread and nowhere else.
    fn ask(&self, reference: &RemoteReference, means: Option<SecretString>) -> Result<SecretString, SecretError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|source| SecretError::Read { reference: reference.into(), source })?;
        let Askers { aws, google, hashicorp } = &self.0.askers;
        let asked = async {
            match reference {
                RemoteReference::Aws(secret) => aws.fetch(secret, means).await,
                RemoteReference::Google(secret) => google.fetch(secret, means).await,
                RemoteReference::Hashicorp(secret) => hashicorp.fetch(secret, means).await,
            }
        };
        let asked = async { tokio::time::timeout(ANSWER, asked).await };
        // Everything runs on this thread, and so does what the libraries have to say of it: whole answers.
        let answer = tracing::subscriber::with_default(NoSubscriber::new(), || runtime.block_on(asked));
        // A name that is still looked up holds nobody up.
        runtime.shutdown_background();
        let late = || Err(Failure::new(FailureKind::Network).with_message("no answer in time"));
        let failed = |failure| SecretError::Service { reference: reference.into(), failure: Box::new(failure) };
        text(&answer.unwrap_or_else(|_| late()).map_err(failed)?, &reference.into())
    }

    fn place(&self, reference: &RemoteReference) -> Place {
        let mut known = self.known();
        // What nobody has asked for lately is wiped. A place that somebody else holds may be locked for long.
        known.retain(|_, place| {
            let held = || place.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::strong_count(place) > 1 || held().as_ref().is_some_and(|known| self.is_fresh(known))
        });
        Arc::clone(known.entry(reference.whole()).or_default())
    }

    fn is_fresh(&self, known: &Known) -> bool {
        known.since.elapsed() < self.0.kept
    }

    fn known(&self) -> MutexGuard<'_, HashMap<RemoteReference, Place>> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Remote")
    }
}

/// What a person can do about a failure.
pub(super) fn hint(reference: &RemoteReference, kind: FailureKind) -> Option<String> {
    let hint = match (reference, kind) {
        (RemoteReference::Aws(secret), FailureKind::Denied) => {
            return Some(format!(
                "allow `secretsmanager:GetSecretValue` on `{}`, and `kms:Decrypt` on the key if it is encrypted with one of \
                 your own",
                secret.secret
            ));
        }
        (RemoteReference::Aws(_), FailureKind::Credentials) => {
            "see that this machine or its environment offers credentials of AWS that are active"
        }
        (RemoteReference::Aws(_), FailureKind::NotFound) => {
            "see that name and region are right; a secret of another account is named by its ARN"
        }
        (_, FailureKind::NoRegion) => "name the `region` beside the secret, or under `[secrets.aws_secrets_manager]`",
        (RemoteReference::Google(_), FailureKind::Denied) => {
            "grant the role Secret Manager Secret Accessor on the secret; Google says the same of one that is not there"
        }
        (RemoteReference::Google(_), FailureKind::Credentials) => {
            "name the key of a service account under `[secrets.google_secret_manager]`, or give this machine one"
        }
        (RemoteReference::Google(_), FailureKind::ServiceAccount) => {
            "the file that Google gives out for a service account is expected, as it is"
        }
        (RemoteReference::Hashicorp(secret), FailureKind::Denied) => {
            return Some(format!(
                "see that the token is valid and that a policy allows `read` on `{}/data/{}`",
                secret.mount, secret.path
            ));
        }
        (RemoteReference::Hashicorp(_), FailureKind::Credentials) => {
            "see that the token, or the role id and the secret id, are valid, and that the namespace is theirs"
        }
        (RemoteReference::Hashicorp(_), FailureKind::NotFound) => {
            "see that `mount` is a key-value engine of version 2, and that the path below it and the namespace are right"
        }
        (_, FailureKind::Network) => "see that the service's address is right and that it can be reached from here",
        (RemoteReference::Hashicorp(_), FailureKind::Server) => "see that the server is unsealed and well",
        (_, FailureKind::Disabled) => "enable or restore it, or name another",
        (_, FailureKind::Authorities) => "see `ca_file` under `[secrets.hashicorp_vault]`",
        (_, FailureKind::Unexpected) => "see that the address is that of the service",
        (_, _) => return None,
    };
    Some(hint.to_owned())
}

fn built(reference: &RemoteReference) -> Result<(), SecretError> {
    match reference.is_built() {
        true => Ok(()),
        false => Err(SecretError::NotBuilt { service: reference.service() }),
    }
}

#[cfg(test)]
mod tests;
