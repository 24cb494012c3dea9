//! Temporary credentials that the server gives out, and whom to.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::HeaderMap;
use jiff::{SignedDuration, Timestamp};
use s3s::auth::{S3Auth, SecretKey};
use s3s::{S3Result, s3_error};

/// A refusal: status, code and message.
pub(crate) type Refusal = (u16, &'static str, String);

/// Gives out temporary credentials, and knows them again. Clones share what was given out.
///
/// They do not end with time, as a test has none: they end when they are told to ([`Issuer::expire`]).
#[derive(Clone)]
pub struct Issuer {
    state: Arc<Mutex<State>>,
}

struct State {
    /// The pairs that every other is obtained with: access key ids and their secrets.
    base: HashMap<String, String>,
    roles: HashMap<String, TrustedRole>,
    /// The account that has an S3 Access Grants instance.
    instance: Option<String>,
    /// Scopes: `s3://bucket/prefix*`.
    grants: BTreeSet<String>,
    issued: HashMap<String, Issue>,
}

/// A role that the base pair may assume.
#[derive(Clone)]
pub(crate) struct TrustedRole {
    pub(crate) external_id: Option<String>,
    pub(crate) longest: Duration,
}

#[derive(Clone)]
struct Issue {
    secret: String,
    token: String,
    /// The only part of a bucket that may be read with it; none for everything.
    scope: Option<String>,
    has_expired: bool,
}

/// Credentials as an answer states them.
pub(crate) struct Issued {
    pub(crate) access_key: String,
    pub(crate) secret: String,
    pub(crate) token: String,
    pub(crate) end: String,
}

impl Issuer {
    pub(crate) fn new(access_key: &str, secret_key: &str) -> Self {
        let base = HashMap::from([(access_key.to_owned(), secret_key.to_owned())]);
        let (roles, instance, grants, issued) = Default::default();
        Self { state: Arc::new(Mutex::new(State { base, roles, instance, grants, issued })) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes requests with another key pair, too, from now on.
    pub fn add_pair(&self, access_key: &str, secret_key: &str) {
        self.state().base.insert(access_key.to_owned(), secret_key.to_owned());
    }

    /// Refuses every request with this key pair from now on.
    pub fn end_pair(&self, access_key: &str) {
        self.state().base.remove(access_key);
    }

    /// Replaces the server's key pairs: what is signed with a former one is refused from now on.
    pub fn replace_keys(&self, access_key: &str, secret_key: &str) {
        self.state().base = HashMap::from([(access_key.to_owned(), secret_key.to_owned())]);
    }

    /// Lets the server's key pair assume a role, for an hour at most; with this external id where there is one.
    pub fn trust(&self, role_arn: &str, external_id: Option<&str>) {
        let role = TrustedRole { external_id: external_id.map(str::to_owned), longest: Duration::from_secs(3_600) };
        self.state().roles.insert(role_arn.to_owned(), role);
    }

    /// Opens the S3 Access Grants instance of an account.
    pub fn open_instance(&self, account: &str) {
        self.state().instance = Some(account.to_owned());
    }

    /// Grants the server's key pair to read a scope: `s3://bucket/prefix*`.
    pub fn grant(&self, scope: &str) {
        self.state().grants.insert(scope.to_owned());
    }

    /// Takes a grant back. Credentials that were given out for it stay good.
    pub fn revoke(&self, scope: &str) {
        self.state().grants.remove(scope);
    }

    pub(crate) fn has_instance(&self, account: &str) -> bool {
        self.state().instance.as_deref() == Some(account)
    }

    pub(crate) fn grants(&self) -> Vec<String> {
        self.state().grants.iter().cloned().collect()
    }

    /// The narrowest grant over a target.
    pub(crate) fn grant_over(&self, target: &str) -> Option<String> {
        let state = self.state();
        let over = state.grants.iter().filter(|scope| is_within(target, scope));
        over.max_by_key(|scope| scope.len()).cloned()
    }

    /// Ends all credentials that were given out until now.
    pub fn expire(&self) {
        self.state().issued.values_mut().for_each(|issue| issue.has_expired = true);
    }

    /// Every secret and token that was given out, for a search that must not find them.
    pub fn secrets(&self) -> Vec<String> {
        self.state().issued.values().flat_map(|issue| [issue.secret.clone(), issue.token.clone()]).collect()
    }

    pub(crate) fn role(&self, role_arn: &str) -> Option<TrustedRole> {
        self.state().roles.get(role_arn).cloned()
    }

    /// Gives out a key pair and a token.
    pub(crate) fn issue(&self, duration: Duration, scope: Option<&str>) -> Issued {
        let mut state = self.state();
        let number = state.issued.len();
        let access_key = format!("ASIA{number:016}");
        let issue = Issue {
            secret: format!("iSsUeD+Secret/{number}&0123456789%wxyz"),
            token: format!("iSsUeD+Token/{number}?97531%AbCdEf=="),
            scope: scope.map(str::to_owned),
            has_expired: false,
        };
        state.issued.insert(access_key.clone(), issue.clone());
        let life = SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
        let end = now().saturating_add(life).unwrap_or(Timestamp::MAX);
        let end = end.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        Issued { access_key, secret: issue.secret, token: issue.token, end }
    }

    /// The secret that belongs to an access key id.
    pub(crate) fn secret_of(&self, access_key: &str) -> Option<String> {
        let state = self.state();
        let own = state.base.get(access_key).cloned();
        own.or_else(|| state.issued.get(access_key).map(|issue| issue.secret.clone()))
    }

    /// Whether an access key id is the one that others are obtained with.
    pub(crate) fn is_base(&self, access_key: &str) -> bool {
        self.state().base.contains_key(access_key)
    }

    /// Whether the token of a request fits its access key id, and is good. The signature is another's affair.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let state = self.state();
        let Some(issue) = state.issued.get(access_key(headers)) else { return Ok(()) };
        if issue.token != text("x-amz-security-token") {
            return Err((400, "InvalidToken", "The provided token is malformed or otherwise invalid.".to_owned()));
        }
        if issue.has_expired {
            return Err((400, "ExpiredToken", "The provided token has expired.".to_owned()));
        }
        Ok(())
    }
}

/// The access key id of a request.
fn access_key(headers: &HeaderMap) -> &str {
    let authorization = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let credential = authorization.split_once("Credential=").map(|(_, credential)| credential);
    credential.and_then(|credential| credential.split('/').next()).unwrap_or_default()
}

/// Whether a target (`s3://bucket/prefix*`, or a key without the star) lies in a grant's scope.
fn is_within(target: &str, scope: &str) -> bool {
    match scope.strip_suffix('*') {
        Some(scope) => target.trim_end_matches('*').starts_with(scope),
        None => target == scope,
    }
}

/// The server's clock is the machine's.
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

impl Issuer {
    /// Whether a request may read there: a key, or the prefix that a listing names.
    pub(crate) fn check_scope(&self, headers: &HeaderMap, bucket: &str, place: &str) -> Result<(), Refusal> {
        let state = self.state();
        let scope = state.issued.get(access_key(headers)).and_then(|issue| issue.scope.as_deref());
        match scope {
            Some(scope) if !is_within(&format!("s3://{bucket}/{place}"), scope) => {
                Err((403, "AccessDenied", "Access Denied".to_owned()))
            }
            _ => Ok(()),
        }
    }
}

#[async_trait::async_trait]
impl S3Auth for Issuer {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        let secret = self.secret_of(access_key);
        secret.map(SecretKey::from).ok_or_else(|| s3_error!(NotSignedUp, "Your account is not signed up"))
    }
}
