//! HashiCorp Vault, and what speaks as it does: a field of a secret in a key-value engine, version 2.
//!
//! `GET /v1/MOUNT/data/PATH` with `X-Vault-Token`, and before it, for a role, `POST /v1/auth/MOUNT/login`. The token of a
//! role is used for most of its life; one that is refused is replaced once.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use secrecy::{ExposeSecret, SecretString};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::http::{Answer, Client, Request, in_path};
use super::{HashicorpLogin, HashicorpSecret, HashicorpServer, Payload};
use crate::secrets::failure::{Failure, FailureKind};
use crate::secrets::part;

pub(super) const IS_BUILT: bool = true;

/// Asks servers of HashiCorp Vault.
#[derive(Default)]
pub(super) struct Asker {
    /// The tokens of roles.
    tokens: Mutex<HashMap<HashicorpServer, Token>>,
}

struct Token {
    text: SecretString,
    until: Instant,
}

/// What a role logs in with.
#[derive(Serialize)]
struct Login<'a> {
    role_id: &'a str,
    secret_id: &'a str,
}

/// What matters of the answer to a login, beside the token.
#[derive(Deserialize)]
struct LoggedIn {
    auth: Auth,
}

#[derive(Deserialize)]
struct Auth {
    /// Seconds; 0 for ever.
    lease_duration: u64,
}

/// What matters of an answer that is not a success.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Said {
    errors: Vec<String>,
    warnings: Option<Vec<String>>,
    data: Option<Deleted>,
}

/// What is left of a version that was deleted.
#[derive(Deserialize)]
struct Deleted {
    #[serde(rename = "metadata")]
    _metadata: IgnoredAny,
}

impl Asker {
    /// The server's whole answer.
    pub(super) async fn fetch(
        &self,
        secret: &HashicorpSecret,
        means: Option<SecretString>,
    ) -> Result<Payload, Failure> {
        let server = &secret.server;
        let client = Client::new(server.ca_file.as_deref())?;
        let means = means.ok_or_else(|| Failure::new(FailureKind::Credentials))?;
        let HashicorpLogin::AppRole { mount, role_id, .. } = &server.login else {
            return read(&client, secret, &means).await;
        };
        if let Some(token) = self.token(server) {
            match read(&client, secret, &token).await {
                // It may have been revoked.
                Err(Failure { kind: FailureKind::Denied | FailureKind::Credentials, .. }) => {}
                answer => return answer,
            }
        }
        let token = log_in(&client, server, mount, &Login { role_id, secret_id: means.expose_secret() }).await?;
        let answer = read(&client, secret, &token.text).await;
        self.tokens().insert(server.clone(), token);
        answer
    }

    /// Lets roles log in anew.
    pub(super) fn forget(&self) {
        self.tokens().clear();
    }

    fn token(&self, server: &HashicorpServer) -> Option<SecretString> {
        let mut tokens = self.tokens();
        let now = Instant::now();
        tokens.retain(|_, token| token.until > now);
        tokens.get(server).map(|token| token.text.clone())
    }

    fn tokens(&self) -> MutexGuard<'_, HashMap<HashicorpServer, Token>> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn read(client: &Client, secret: &HashicorpSecret, token: &SecretString) -> Result<Payload, Failure> {
    let path = format!("{}/data/{}", in_path(&secret.mount), in_path(&secret.path));
    let answer = send(client, &secret.server, &path, Some(token), None).await?;
    match answer.status {
        200 => Ok(answer.body),
        _ => Err(refusal(&answer)),
    }
}

async fn log_in(client: &Client, server: &HashicorpServer, mount: &str, login: &Login<'_>) -> Result<Token, Failure> {
    let unexpected = || Failure::new(FailureKind::Unexpected).with_message("there is no token in it");
    let body = serde_json::to_vec(login).map_err(|_| unexpected())?;
    let answer = send(client, server, &format!("auth/{}/login", in_path(mount)), None, Some(body)).await?;
    if answer.status != 200 {
        let failure = refusal(&answer);
        // Whatever it has against a login, it is about who asks; nothing was asked for yet.
        return Err(match failure.kind.may_pass() {
            true => failure,
            false => Failure { kind: FailureKind::Credentials, ..failure },
        });
    }
    let text = std::str::from_utf8(&answer.body).map_err(|_| unexpected())?;
    let seconds = serde_json::from_str::<LoggedIn>(text).map_err(|_| unexpected())?.auth.lease_duration;
    let token = part::find(text, &["auth", "client_token"]).map_err(|_| unexpected())?;
    // Nine tenths of its life. One that does not end is replaced all the same, now and then.
    let life = Duration::from_secs(if seconds == 0 { 3_600 } else { seconds }) / 10 * 9;
    Ok(Token { text: token, until: Instant::now() + life.min(Duration::from_secs(86_400)) })
}

async fn send(
    client: &Client,
    server: &HashicorpServer,
    path: &str,
    token: Option<&SecretString>,
    body: Option<Vec<u8>>,
) -> Result<Answer, Failure> {
    let url = format!("{}/v1/{path}", server.address.trim_end_matches('/'));
    let namespace = server.namespace.as_deref().map(|namespace| ("x-vault-namespace", namespace));
    client
        .send(Request {
            url: &url,
            headers: [("x-vault-request", "true")].into_iter().chain(namespace).collect(),
            secret_header: token.map(|token| ("x-vault-token", token)),
            body: body.map(|body| ("application/json", body)),
        })
        .await
}

/// What an answer that is not a success comes to. It says "permission denied" of a token that it does not know too.
fn refusal(answer: &Answer) -> Failure {
    let said: Said = serde_json::from_slice(&answer.body).unwrap_or_default();
    let words = if said.errors.is_empty() { said.warnings.unwrap_or_default() } else { said.errors };
    let words = words.join("; ");
    let kind = match answer.status {
        404 if said.data.is_some() => FailureKind::Disabled,
        403 if words.contains("invalid token") || words.contains("bad token") => FailureKind::Credentials,
        400 if words.contains("missing client token") => FailureKind::Credentials,
        // What was written a moment ago has not reached this server yet.
        412 => FailureKind::Server,
        status => FailureKind::of_status(status),
    };
    let words = match answer.status {
        301 | 302 | 307 | 308 => "it leads to another server: name the active one",
        _ => &words,
    };
    Failure::new(kind).with_status(answer.status).with_message(words)
}
