//! Posts JSON to a webhook: signed, once, within a given time. Notices and records go out this way.
//!
//! It owns the request, the signature, and what an answer means. It does not know what is posted, nor how often it is
//! tried: that is the caller's.
//!
//! # A request
//!
//! `POST` with the headers `content-type: application/json`, `gristmill-id` (the same at each attempt and after a restart,
//! so that a receiver can leave out what it has) and, where there is a secret, `gristmill-signature: t=SECONDS,v1=HEX`:
//! the HMAC-SHA256 of `SECONDS.BODY`. A receiver refuses old seconds, so that nobody sends a recorded request again.
//! Redirects are not followed.
//!
//! Neither the address nor the secret stands in an error or in an excerpt of an answer: either may let in whoever has it.

use std::fmt::{self, Write};
use std::time::Duration;

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorSettings};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use serde::Serialize;
use sha2::Sha256;

use crate::clock::{Clock, SystemClock};
use crate::secrets::{ExposeSecret, SecretReference, SecretString};

mod excerpt;

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

/// Where an address stands in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Address {
    /// The address itself, which may be posted to.
    Text(String),
    /// Where it stands, since it lets in whoever has it.
    Reference(SecretReference),
}

/// Where is posted to, and what with.
#[derive(Debug, Clone)]
pub struct Receiver {
    /// Its address.
    pub url: SecretString,
    /// What is signed with; none for no signature.
    pub secret: Option<SecretString>,
}

/// Why something was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotTaken {
    /// It could not be sent at all.
    Unsendable(&'static str),
    /// Nobody answered, or not in time. The receiver may have taken it all the same.
    Unanswered(&'static str),
    /// It was answered with something else than 2xx.
    Answered {
        /// The status.
        status: u16,
        /// How long the receiver wants to be left alone.
        wait: Option<Duration>,
        /// The beginning of the answer on one line, less whatever could be a secret.
        excerpt: String,
    },
}

impl NotTaken {
    /// Whether the same request may be taken later.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unsendable(_) => false,
            Self::Unanswered(_) => true,
            Self::Answered { status, .. } => matches!(status, 408 | 425 | 429 | 500..600),
        }
    }

    /// How long the receiver wants to be left alone, where it may take it later.
    pub fn wait(&self) -> Option<Duration> {
        match self {
            Self::Answered { wait, .. } if self.may_pass() => *wait,
            Self::Answered { .. } | Self::Unsendable(_) | Self::Unanswered(_) => None,
        }
    }
}

impl fmt::Display for NotTaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsendable(reason) | Self::Unanswered(reason) => f.write_str(reason),
            Self::Answered { status, excerpt, .. } if excerpt.is_empty() => write!(f, "the answer was {status}"),
            Self::Answered { status, excerpt, .. } => write!(f, "the answer was {status}: `{excerpt}`"),
        }
    }
}

/// Connections to receivers.
#[derive(Debug)]
pub struct Poster {
    connector: Connector,
    answer: Duration,
}

impl Poster {
    /// For receivers that answer within that time.
    pub fn new(answer: Duration) -> Self {
        let settings = HttpConnectorSettings::builder().connect_timeout(answer).read_timeout(answer).build();
        let provider = Provider::Rustls(CryptoMode::Ring);
        Self { connector: Connector::builder().tls_provider(provider).connector_settings(settings).build(), answer }
    }

    /// Posts once. `id` is visible ASCII.
    pub async fn post(&self, receiver: &Receiver, id: &str, body: &Bytes) -> Result<(), NotTaken> {
        const LATE: NotTaken = NotTaken::Unanswered("no answer in time");
        tokio::time::timeout(self.answer, self.exchange(receiver, id, body)).await.unwrap_or(Err(LATE))
    }

    async fn exchange(&self, receiver: &Receiver, id: &str, body: &Bytes) -> Result<(), NotTaken> {
        let mut request = HttpRequest::new(SdkBody::from(body.clone()));
        request.set_method("POST").map_err(|_| NotTaken::Unsendable("it cannot be posted"))?;
        request.set_uri(receiver.url.expose_secret()).map_err(|_| NotTaken::Unsendable("its address is not one"))?;
        let headers = request.headers_mut();
        headers.insert("content-type", "application/json");
        headers.insert("user-agent", concat!("gristmill/", env!("CARGO_PKG_VERSION")));
        headers.insert("gristmill-id", id.to_owned());
        if let Some(secret) = &receiver.secret {
            let seconds = SystemClock.now().as_second();
            headers.insert("gristmill-signature", format!("t={seconds},v1={}", signature(secret, seconds, body)));
        }
        match self.connector.call(request).await {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(refusal(answer, receiver).await),
            // Its own words may hold the address.
            Err(error) if error.is_timeout() => Err(NotTaken::Unanswered("no answer in time")),
            Err(_) => Err(NotTaken::Unanswered("the connection failed")),
        }
    }
}

async fn refusal(answer: HttpResponse, receiver: &Receiver) -> NotTaken {
    let status = answer.status().as_u16();
    let wait = answer.headers().get("retry-after").and_then(|wait| retry_after(wait.trim(), SystemClock.now()));
    let mut said = Vec::new();
    let mut body = ByteStream::new(answer.into_body());
    while said.len() < excerpt::READ {
        match body.next().await {
            Some(Ok(more)) => said.extend_from_slice(&more),
            Some(Err(_)) | None => break,
        }
    }
    NotTaken::Answered { status, wait, excerpt: excerpt::of(&said, receiver) }
}

/// Seconds, or until a date.
fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(Duration::try_from(until.duration_since(now)).unwrap_or(Duration::ZERO))
}

/// The HMAC-SHA256 of `SECONDS.BODY`, in hexadecimal digits.
fn signature(secret: &SecretString, seconds: i64, body: &[u8]) -> String {
    let mut hex = String::new();
    // A key of any length will do.
    if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()) {
        mac.update(format!("{seconds}.").as_bytes());
        mac.update(body);
        for byte in mac.finalize().into_bytes() {
            let _ = write!(hex, "{byte:02x}");
        }
    }
    hex
}

#[cfg(test)]
mod tests;
