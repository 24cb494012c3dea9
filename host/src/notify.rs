//! Tells webhooks of what somebody should know at three in the morning (R20): files that were merged in part, that
//! failed, that did not come, integrations that take nothing, and that things are well again.
//!
//! It owns the notices, their bounded queues and their delivery. It knows nothing of passes, and nobody waits for it: a
//! queue that is full loses the newest notice with an event, since the ledger and `status` still have the truth.
//!
//! # A delivery
//!
//! `POST` of one JSON object ([`Notice`]) with the headers `content-type: application/json`, `gristmill-id` (the same at
//! each attempt and after a restart, so that a receiver can leave out what it has) and, where there is a secret,
//! `gristmill-signature: t=SECONDS,v1=HEX`: the HMAC-SHA256 of `SECONDS.BODY`. A receiver refuses old seconds, so that
//! nobody sends a recorded notice again. An answer of 2xx takes it; 408, 425, 429 and 5xx are tried again, after
//! `retry-after` where the answer has it; redirects are not followed and, like all else, not tried again.
//!
//! Neither the address nor the secret stands in an event or an error: either may let in whoever has it.

use std::fmt::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorSettings};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use serde::Serialize;
use sha2::Sha256;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;

use crate::clock::{Clock, SystemClock};
use crate::destination::RowCounts;
use crate::events;
use crate::ledger::{Failure, State};
use crate::object::{IntegrationName, Object, TenantName};
use crate::retry::{self, ErrorClass, Step};
use crate::secrets::{ExposeSecret, SecretString};

/// Notices that wait for one receiver.
const QUEUE: usize = 256;
/// How often a notice is tried.
const ATTEMPTS: u32 = 12;
/// The longest that a receiver's `retry-after` is obeyed.
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);
/// How long a receiver may take to answer.
const ANSWER: Duration = Duration::from_secs(30);

/// What a notice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A file was merged less its rejected rows.
    Partial,
    /// A file failed: for the first time, or for good.
    Failed,
    /// No new file was completed in time.
    Overdue,
    /// A new file was completed after all.
    Arrived,
    /// Files failed before, and a later pass merged some and failed none.
    Recovered,
    /// An integration takes nothing: its last passes failed, or it waits for a person.
    Blocked,
    /// It takes files again.
    Unblocked,
}

/// What a receiver is told.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Notice {
    /// The same whenever the same thing is told.
    pub id: String,
    /// What it is about.
    pub kind: Kind,
    /// When it was found.
    pub at: Timestamp,
    /// Whose integration it is.
    pub tenant: TenantName,
    /// Which integration.
    pub integration: IntegrationName,
    /// Which object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<Object>,
    /// Its rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<RowCounts>,
    /// Where its reject files are, on the daemon's machine.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rejects: Vec<PathBuf>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Whether and when it is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// Why nothing is taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What a person can do about that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// From when on things were not as they should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

impl Notice {
    /// With nothing but who and when. `about` tells it apart from others of its kind.
    pub fn new(kind: Kind, tenant: &TenantName, integration: &IntegrationName, about: &str, at: Timestamp) -> Self {
        let id = blake3::hash(format!("{kind:?}\0{integration}\0{about}").as_bytes()).to_hex().to_string();
        Self {
            id,
            kind,
            at,
            tenant: tenant.clone(),
            integration: integration.clone(),
            object: None,
            rows: None,
            rejects: Vec::new(),
            failure: None,
            state: None,
            reason: None,
            hint: None,
            since: None,
        }
    }
}

/// Who is told.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// Its name in the configuration.
    pub name: String,
    /// The only tenant whose integrations it is told of; none for all (R13).
    pub tenant: Option<TenantName>,
    /// Its address.
    pub url: SecretString,
    /// What its notices are signed with.
    pub secret: Option<SecretString>,
}

/// Whether an address may be posted to: https, or http on this machine.
pub fn is_allowed(url: &str) -> bool {
    let (scheme, rest) = match url.split_once("://") {
        Some(parts) if url.bytes().all(|byte| byte.is_ascii_graphic()) && !url.contains(['@', '#']) => parts,
        Some(_) | None => return false,
    };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(bracketed) => bracketed.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    let is_loopback = || host == "localhost" || host.parse().is_ok_and(|host: std::net::IpAddr| host.is_loopback());
    match scheme {
        "https" => !host.is_empty(),
        "http" => is_loopback(),
        _ => false,
    }
}

/// Where notices are put. A clone is the same outbox; an empty one tells nobody.
#[derive(Debug, Clone, Default)]
pub struct Outbox(Arc<Mutex<Vec<Post>>>);

#[derive(Debug)]
struct Post {
    name: String,
    tenant: Option<TenantName>,
    queue: Sender<Notice>,
    work: JoinHandle<()>,
}

impl Outbox {
    /// Tells these from now on, and no longer those of before, who are still told what they were to be. Needs the async
    /// runtime.
    pub fn open(&self, webhooks: Vec<Webhook>) {
        let posts = webhooks.into_iter().map(|webhook| {
            let (queue, notices) = channel(QUEUE);
            let (name, tenant) = (webhook.name.clone(), webhook.tenant.clone());
            Post { name, tenant, queue, work: tokio::spawn(work(webhook, notices)) }
        });
        let posts = posts.collect();
        *self.posts() = posts;
    }

    /// Puts a notice in the queue of everyone whom it is for. Never waits.
    pub fn tell(&self, notice: &Notice) {
        for post in self.posts().iter() {
            let concerns = post.tenant.as_ref().is_none_or(|tenant| *tenant == notice.tenant);
            if concerns && post.queue.try_send(notice.clone()).is_err() {
                events::NoticeLost { notify: &post.name, notice, reason: "too many wait already" }.emit();
            }
        }
    }

    /// Tells what is still to be told, for as long as `grace` lasts.
    pub async fn drain(&self, grace: Duration) {
        let posts = std::mem::take(&mut *self.posts());
        let works: Vec<JoinHandle<()>> = posts.into_iter().map(|post| post.work).collect();
        let stops: Vec<_> = works.iter().map(JoinHandle::abort_handle).collect();
        if tokio::time::timeout(grace, futures::future::join_all(works)).await.is_err() {
            stops.iter().for_each(tokio::task::AbortHandle::abort);
        }
    }

    fn posts(&self) -> MutexGuard<'_, Vec<Post>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn work(webhook: Webhook, mut notices: Receiver<Notice>) {
    let settings = HttpConnectorSettings::builder().connect_timeout(ANSWER).read_timeout(ANSWER).build();
    let provider = Provider::Rustls(CryptoMode::Ring);
    let connector = Connector::builder().tls_provider(provider).connector_settings(settings).build();
    while let Some(notice) = notices.recv().await {
        deliver(&connector, &webhook, &notice).await;
    }
}

async fn deliver(connector: &Connector, webhook: &Webhook, notice: &Notice) {
    let lost = |reason: &str| events::NoticeLost { notify: &webhook.name, notice, reason }.emit();
    let Ok(body) = serde_json::to_string(notice) else { return lost("it cannot be written as JSON") };
    for attempt in 1..=ATTEMPTS {
        let refused = match post(connector, webhook, notice, &body).await {
            Ok(()) => return events::NoticeTold { notify: &webhook.name, notice, attempt }.emit(),
            Err(refused) => refused,
        };
        let pause = match (refused.again, retry::next_step(ErrorClass::Network, attempt, crate::pass::random())) {
            (Again::After(wait), _) => wait.min(LONGEST_WAIT),
            (Again::Soon, Step::Retry { after }) => after,
            (Again::Soon, Step::Forget | Step::Quarantine | Step::Stop) | (Again::Never, _) => {
                return lost(&refused.reason);
            }
        };
        if attempt == ATTEMPTS {
            return lost(&refused.reason);
        }
        tokio::time::sleep(pause).await;
    }
}

/// A notice that was not taken.
struct Refused {
    reason: String,
    again: Again,
}

enum Again {
    Never,
    Soon,
    After(Duration),
}

async fn post(connector: &Connector, webhook: &Webhook, notice: &Notice, body: &str) -> Result<(), Refused> {
    let never = |reason: &str| Refused { reason: reason.to_owned(), again: Again::Never };
    let mut request = HttpRequest::new(SdkBody::from(body));
    request.set_method("POST").map_err(|_| never("it cannot be posted"))?;
    request.set_uri(webhook.url.expose_secret()).map_err(|_| never("its address is not one"))?;
    let headers = request.headers_mut();
    headers.insert("content-type", "application/json");
    headers.insert("user-agent", concat!("gristmill/", env!("CARGO_PKG_VERSION")));
    headers.insert("gristmill-id", notice.id.clone());
    if let Some(secret) = &webhook.secret {
        let seconds = SystemClock.now().as_second();
        headers.insert("gristmill-signature", format!("t={seconds},v1={}", signature(secret, seconds, body)));
    }
    let answer = match connector.call(request).await {
        Ok(answer) => answer,
        // Its own words may hold the address.
        Err(error) if error.is_timeout() => {
            return Err(Refused { reason: "no answer in time".into(), again: Again::Soon });
        }
        Err(_) => return Err(Refused { reason: "the connection failed".into(), again: Again::Soon }),
    };
    let status = answer.status().as_u16();
    let again = match status {
        200..300 => return Ok(()),
        408 | 425 | 429 | 500..600 => {
            let seconds = answer.headers().get("retry-after").and_then(|seconds| seconds.trim().parse().ok());
            seconds.map_or(Again::Soon, |seconds| Again::After(Duration::from_secs(seconds)))
        }
        _ => Again::Never,
    };
    Err(Refused { reason: format!("the answer was {status}"), again })
}

/// The HMAC-SHA256 of `SECONDS.BODY`, in hexadecimal digits.
fn signature(secret: &SecretString, seconds: i64, body: &str) -> String {
    let mut hex = String::new();
    // A key of any length will do.
    if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()) {
        mac.update(format!("{seconds}.{body}").as_bytes());
        for byte in mac.finalize().into_bytes() {
            let _ = write!(hex, "{byte:02x}");
        }
    }
    hex
}

#[cfg(test)]
mod tests;
