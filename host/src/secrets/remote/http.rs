//! One request and its answer, which may be a secret.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorSettings};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use secrecy::{ExposeSecret, SecretString};

use super::Payload;
use crate::secrets::MAX_BYTES;
use crate::secrets::failure::{Failure, FailureKind};

/// A server that does not accept a connection within this is unreachable.
const CONNECT: Duration = Duration::from_secs(5);
/// A server that does not begin to answer within this has not answered.
const ANSWER: Duration = Duration::from_secs(10);
/// The longest answer, in bytes: a value of [`MAX_BYTES`], every byte of it escaped, and what stands round it.
const LONGEST: usize = 7 * MAX_BYTES;

/// Sends requests. Connections are not kept: days may lie between two.
pub(super) struct Client(Connector);

/// What is sent.
pub(super) struct Request<'a> {
    pub url: &'a str,
    pub headers: Vec<(&'static str, &'a str)>,
    /// A header with a secret in it.
    pub secret_header: Option<(&'static str, &'a SecretString)>,
    /// What is posted, and of which type it is; none to get.
    pub body: Option<(&'static str, Vec<u8>)>,
}

/// What comes back.
pub(super) struct Answer {
    pub status: u16,
    pub body: Payload,
}

impl Client {
    /// Trusts the authorities of a file in PEM, else those of the system.
    pub(super) fn new(authorities: Option<&Path>) -> Result<Self, Failure> {
        let trusted = match authorities {
            Some(file) => TrustStore::empty().with_pem_certificate(certificates(file)?),
            None => TrustStore::default(),
        };
        let context = TlsContext::builder().with_trust_store(trusted).build();
        let context = context.map_err(|_| Failure::new(FailureKind::Authorities))?;
        let settings = HttpConnectorSettings::builder().connect_timeout(CONNECT).read_timeout(ANSWER).build();
        let connector = Connector::builder()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .tls_context(context)
            .connector_settings(settings)
            .pool_max_idle_per_host(0)
            .build();
        Ok(Self(connector))
    }

    /// Sends it once.
    pub(super) async fn send(&self, request: Request<'_>) -> Result<Answer, Failure> {
        let refused = |what: &str| Failure::new(FailureKind::Unexpected).with_message(what);
        let (method, body) = match request.body {
            Some((content_type, body)) => ("POST", Some((content_type, body))),
            None => ("GET", None),
        };
        let (content_type, body) = body.map_or((None, SdkBody::empty()), |(of, body)| (Some(of), SdkBody::from(body)));
        let mut sent = HttpRequest::new(body);
        sent.set_method(method).map_err(|_| refused("it cannot be sent"))?;
        sent.set_uri(request.url).map_err(|_| refused("its address is not one"))?;
        let headers = sent.headers_mut();
        headers.insert("user-agent", concat!("gristmill/", env!("CARGO_PKG_VERSION")));
        headers.insert("accept", "application/json");
        let plain = request.headers.into_iter().chain(content_type.map(|of| ("content-type", of)));
        let plain = plain.map(|(name, value)| (name, value.to_owned()));
        let secret = request.secret_header.map(|(name, value)| (name, value.expose_secret().to_owned()));
        for (name, value) in plain.chain(secret) {
            // Its own words would repeat the value.
            headers.try_insert(name, value).map_err(|_| {
                Failure::new(FailureKind::Credentials).with_message("they have characters that cannot be sent")
            })?;
        }
        let answer = self
            .0
            .call(sent)
            .await
            .map_err(|error| Failure::new(FailureKind::Network).with_message(&causes(&error)))?;
        let status = answer.status().as_u16();
        let mut body = Payload::new(Vec::with_capacity(LONGEST));
        let mut stream = ByteStream::new(answer.into_body());
        while let Some(more) = stream.next().await {
            let more = more.map_err(|_| Failure::new(FailureKind::Network).with_message("the answer broke off"))?;
            if body.len() + more.len() > LONGEST {
                return Err(refused("it is longer than any secret").with_status(status));
            }
            body.extend_from_slice(&more);
        }
        Ok(Answer { status, body })
    }
}

/// The file, which holds certificates and nothing that is taken for one and is not.
fn certificates(file: &Path) -> Result<Vec<u8>, Failure> {
    let unusable =
        |why: &str| Failure::new(FailureKind::Authorities).with_message(&format!("{}: {why}", file.display()));
    let pem = std::fs::read(file).map_err(|error| unusable(&error.to_string()))?;
    let not_certificates = || unusable("it is not a list of certificates in PEM");
    let mut authorities = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        authorities.add(certificate.map_err(|_| not_certificates())?).map_err(|_| not_certificates())?;
    }
    if authorities.is_empty() { Err(not_certificates()) } else { Ok(pem) }
}

/// An error and its causes, each once.
fn causes(error: &dyn Error) -> String {
    let mut words: Vec<String> = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        let word = error.to_string();
        if !words.iter().any(|said| said.contains(&word)) {
            words.push(word);
        }
        cause = error.source();
    }
    words.join(": ")
}

/// A text as it stands in the path of an address; its slashes stay.
pub(super) fn in_path(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
