//! Google Cloud Secret Manager: `GET /v1/projects/P/secrets/S/versions/V:access`, documented by Google.
//!
//! Who asks is, as with Google's own libraries, a service account whose key is named in the configuration or by
//! `GOOGLE_APPLICATION_CREDENTIALS`, else the service account of the machine. A key is not exchanged for a token: a claim
//! that it signs is one (AIP-4111). The machine's token comes from its metadata server, which keeps it.

use std::env;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rustls::SignatureScheme;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::http::{Answer, Client, Request, in_path};
use super::{GoogleSecret, Payload};
use crate::clock::{Clock, SystemClock};
use crate::secrets::failure::{Failure, FailureKind};
use crate::secrets::part;

pub(super) const IS_BUILT: bool = true;

const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// Seconds for which a claim is good: the longest that Google takes.
const LIFE: i64 = 3_600;

/// Asks Google Cloud Secret Manager.
#[derive(Default)]
pub(super) struct Asker;

/// What matters of the key of a service account, beside the private key.
#[derive(Deserialize)]
struct ServiceAccount {
    r#type: String,
    client_email: Option<String>,
    private_key_id: Option<String>,
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'a str,
    typ: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a str>,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    scope: &'a str,
    iat: i64,
    exp: i64,
}

/// What matters of an answer that is not a success.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Said {
    error: Status,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    message: String,
    status: String,
}

impl Asker {
    /// The secret as a whole, its checksum compared.
    pub(super) async fn fetch(&self, secret: &GoogleSecret, key: Option<SecretString>) -> Result<Payload, Failure> {
        let client = Client::new(None)?;
        let key = key.map_or_else(key_of_environment, |key| Ok(Some(key)))?;
        let token = match key {
            Some(key) => signed_claim(&key, SystemClock.now().as_second())?,
            None => token_of_machine(&client).await?,
        };
        let token = SecretString::from(format!("Bearer {}", token.expose_secret()));
        let url = format!("{}/v1/{}:access", address(secret), in_path(&secret.version));
        let secret_header = Some(("authorization", &token));
        let answer = client.send(Request { url: &url, headers: Vec::new(), secret_header, body: None }).await?;
        match answer.status {
            200 => payload(&answer.body),
            _ => Err(refusal(&answer)),
        }
    }
}

/// Secrets of one location have a server there.
fn address(secret: &GoogleSecret) -> String {
    if let Some(url) = &secret.endpoint_url {
        return url.trim_end_matches('/').to_owned();
    }
    match secret.version.split('/').collect::<Vec<_>>().as_slice() {
        [_, _, "locations", location, ..] => format!("https://secretmanager.{location}.rep.googleapis.com"),
        _ => "https://secretmanager.googleapis.com".to_owned(),
    }
}

fn key_of_environment() -> Result<Option<SecretString>, Failure> {
    let Some(path) = env::var_os("GOOGLE_APPLICATION_CREDENTIALS").map(PathBuf::from) else { return Ok(None) };
    let unreadable = |error: std::io::Error| {
        Failure::new(FailureKind::ServiceAccount).with_message(&format!("{}: {error}", path.display()))
    };
    std::fs::read_to_string(&path).map(|key| Some(SecretString::from(key))).map_err(unreadable)
}

async fn token_of_machine(client: &Client) -> Result<SecretString, Failure> {
    let host = env::var("GCE_METADATA_HOST").unwrap_or_else(|_| "metadata.google.internal".to_owned());
    let url = format!("http://{host}/computeMetadata/v1/instance/service-accounts/default/token");
    let headers = vec![("metadata-flavor", "Google")];
    let none = |why: &str| Failure::new(FailureKind::Credentials).with_message(why);
    let answer = client.send(Request { url: &url, headers, secret_header: None, body: None }).await;
    let answer = answer.map_err(|_| none("no key is named, and there is no metadata server"))?;
    match answer.status {
        200 => {}
        status if FailureKind::of_status(status).may_pass() => return Err(refusal(&answer)),
        status => return Err(none("the metadata server gives no token").with_status(status)),
    }
    let text = std::str::from_utf8(&answer.body).unwrap_or_default();
    part::find(text, &["access_token"]).map_err(|_| none("there is no token in the metadata server's answer"))
}

/// A token that the account's key makes: who asks, for what and until when, signed.
pub(super) fn signed_claim(key: &SecretString, now: i64) -> Result<SecretString, Failure> {
    let useless = |why: &str| Failure::new(FailureKind::ServiceAccount).with_message(why);
    let text = key.expose_secret();
    let account: ServiceAccount = serde_json::from_str(text).map_err(|_| useless("it is not such a key"))?;
    if account.r#type != "service_account" {
        return Err(useless("it is the key of something else than a service account"));
    }
    let email = account.client_email.ok_or_else(|| useless("it names no `client_email`"))?;
    let pem = part::find(text, &["private_key"]).map_err(|_| useless("it has no `private_key`"))?;
    let not_a_key = || useless("its `private_key` is not one");
    let key = PrivatePkcs8KeyDer::from_pem_slice(pem.expose_secret().as_bytes()).map_err(|_| not_a_key())?;
    let key = any_supported_type(&PrivateKeyDer::Pkcs8(key)).map_err(|_| not_a_key())?;
    let signer = key.choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256]).ok_or_else(not_a_key)?;
    let header = Header { alg: "RS256", typ: "JWT", kid: account.private_key_id.as_deref() };
    // Whose clock is a little behind takes it too.
    let iat = now - 10;
    let claims = Claims { iss: &email, sub: &email, scope: SCOPE, iat, exp: iat + LIFE };
    let encoded = |json: serde_json::Result<Vec<u8>>| json.map(|json| URL_SAFE_NO_PAD.encode(json));
    let header = encoded(serde_json::to_vec(&header)).map_err(|_| not_a_key())?;
    let claims = encoded(serde_json::to_vec(&claims)).map_err(|_| not_a_key())?;
    let signature = signer.sign(format!("{header}.{claims}").as_bytes()).map_err(|_| not_a_key())?;
    Ok(SecretString::from(format!("{header}.{claims}.{}", URL_SAFE_NO_PAD.encode(signature))))
}

fn payload(body: &[u8]) -> Result<Payload, Failure> {
    let unexpected = |why: &str| Failure::new(FailureKind::Unexpected).with_message(why);
    let text = std::str::from_utf8(body).map_err(|_| unexpected("it is not JSON"))?;
    let data = part::find(text, &["payload", "data"]).map_err(|_| unexpected("there is no value in it"))?;
    // A number of 64 bits is a text in Google's JSON.
    let checksum =
        part::find(text, &["payload", "dataCrc32c"]).map_err(|_| unexpected("there is no checksum in it"))?;
    let bytes = Zeroizing::new(STANDARD.decode(data.expose_secret()).map_err(|_| unexpected("it is not base64"))?);
    let found = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, &bytes);
    match checksum.expose_secret().parse() == Ok(found) {
        true => Ok(bytes),
        false => Err(Failure::new(FailureKind::Corrupt)),
    }
}

fn refusal(answer: &Answer) -> Failure {
    let said = serde_json::from_slice::<Said>(&answer.body).unwrap_or_default().error;
    let kind = match said.status.as_str() {
        // A version that is disabled or destroyed.
        "FAILED_PRECONDITION" => FailureKind::Disabled,
        "UNAUTHENTICATED" => FailureKind::Credentials,
        "PERMISSION_DENIED" => FailureKind::Denied,
        "NOT_FOUND" => FailureKind::NotFound,
        "RESOURCE_EXHAUSTED" => FailureKind::Throttled,
        "UNAVAILABLE" | "INTERNAL" | "DEADLINE_EXCEEDED" => FailureKind::Server,
        _ => FailureKind::of_status(answer.status),
    };
    Failure::new(kind).with_status(answer.status).with_code(&said.status).with_message(&said.message)
}
