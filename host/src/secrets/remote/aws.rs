//! AWS Secrets Manager: `GetSecretValue`, as whoever the AWS SDK finds.

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_secretsmanager::operation::get_secret_value::{GetSecretValueError, GetSecretValueOutput};
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use secrecy::SecretString;

use super::{AwsSecret, Payload};
use crate::secrets::failure::{Failure, FailureKind};

pub(super) const IS_BUILT: bool = true;

/// A server that does not accept a connection within this is unreachable.
const CONNECT: Duration = Duration::from_secs(5);
/// A server that does not begin to answer within this has not answered.
const ANSWER: Duration = Duration::from_secs(10);
/// Attempts of the SDK at one request. Whoever needs the secret has pauses of its own.
const ATTEMPTS: u32 = 2;

/// Asks AWS Secrets Manager.
#[derive(Default)]
pub(super) struct Asker {
    clients: Mutex<Clients>,
}

/// Clients by region and address, each with the credentials that it has obtained.
type Clients = HashMap<(Option<String>, Option<String>), Client>;

impl Asker {
    /// The secret as a whole. Nothing of this machine is needed but what the SDK finds.
    pub(super) async fn fetch(&self, secret: &AwsSecret, _: Option<SecretString>) -> Result<Payload, Failure> {
        let place = (region(secret), secret.endpoint_url.clone());
        let known = self.clients().get(&place).cloned();
        let client = match known {
            Some(client) => client,
            None => {
                let client = open(place.0.clone(), place.1.as_deref()).await?;
                self.clients().insert(place, client.clone());
                client
            }
        };
        let answer = client.get_secret_value().secret_id(&secret.secret).send().await;
        payload(answer.map_err(|error| failure(&error))?)
    }

    /// Lets the SDK look for credentials anew.
    pub(super) fn forget(&self) {
        self.clients().clear();
    }

    fn clients(&self) -> MutexGuard<'_, Clients> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The region that is named, or stands in the ARN.
fn region(secret: &AwsSecret) -> Option<String> {
    let of_arn = || secret.secret.strip_prefix("arn:")?.split(':').nth(2).map(str::to_owned);
    secret.region.clone().or_else(of_arn)
}

/// Connections are not kept: days may lie between two requests.
#[expect(clippy::disallowed_methods, reason = "this is where its clients are made")]
async fn open(region: Option<String>, endpoint_url: Option<&str>) -> Result<Client, Failure> {
    let http = aws_smithy_http_client::Builder::new().pool_max_idle_per_host(0);
    let http = http.tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
        .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT).read_timeout(ANSWER).build());
    if let Some(region) = region {
        loader = loader.region(Region::new(region));
    }
    let found = loader.load().await;
    if found.region().is_none() {
        return Err(Failure::new(FailureKind::NoRegion));
    }
    let mut config = aws_sdk_secretsmanager::config::Builder::from(&found);
    if let Some(url) = endpoint_url {
        config = config.endpoint_url(url);
    }
    Ok(Client::from_conf(config.build()))
}

fn payload(answer: GetSecretValueOutput) -> Result<Payload, Failure> {
    match (answer.secret_string, answer.secret_binary) {
        (Some(text), _) => Ok(Payload::new(text.into_bytes())),
        (None, Some(bytes)) => Ok(Payload::new(bytes.into_inner())),
        (None, None) => Err(Failure::new(FailureKind::Unexpected).with_message("there is no value in it")),
    }
}

fn failure(error: &SdkError<GetSecretValueError, HttpResponse>) -> Failure {
    match error {
        SdkError::ServiceError(_) | SdkError::ResponseError(_) => {
            let status = error.raw_response().map_or(0, |raw| raw.status().as_u16());
            let code = error.code().unwrap_or_default();
            let failure = Failure::new(kind(code, status)).with_status(status).with_code(code);
            failure.with_message(error.message().unwrap_or_default())
        }
        SdkError::TimeoutError(_) => Failure::new(FailureKind::Network).with_message("no answer in time"),
        _ => {
            let (innermost, lacks_credentials) = innermost(error);
            let kind = if lacks_credentials { FailureKind::Credentials } else { FailureKind::Network };
            Failure::new(kind).with_message(&innermost)
        }
    }
}

/// Codes first: several share a status.
fn kind(code: &str, status: u16) -> FailureKind {
    match code {
        "ResourceNotFoundException" => FailureKind::NotFound,
        // It is about to be deleted.
        "InvalidRequestException" => FailureKind::Disabled,
        "AccessDeniedException" | "DecryptionFailure" => FailureKind::Denied,
        "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "IncompleteSignature"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "NotAuthorized"
        | "OptInRequired" => FailureKind::Credentials,
        "ThrottlingException" | "Throttling" | "TooManyRequestsException" => FailureKind::Throttled,
        "InternalServiceError" | "InternalFailure" | "ServiceUnavailable" => FailureKind::Server,
        _ => FailureKind::of_status(status),
    }
}

/// The words of the first cause, and whether there were no credentials to send it with.
fn innermost(error: &(dyn Error + 'static)) -> (String, bool) {
    let (mut cause, mut lacks_credentials) = (error, false);
    while let Some(next) = cause.source() {
        lacks_credentials |= next.is::<CredentialsError>();
        cause = next;
    }
    (cause.to_string(), lacks_credentials)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_says_whose_fault_it_is() {
        for (code, status, expected) in [
            ("ResourceNotFoundException", 400, FailureKind::NotFound),
            ("InvalidRequestException", 400, FailureKind::Disabled),
            ("AccessDeniedException", 400, FailureKind::Denied),
            ("DecryptionFailure", 400, FailureKind::Denied),
            ("UnrecognizedClientException", 400, FailureKind::Credentials),
            ("ThrottlingException", 400, FailureKind::Throttled),
            ("InternalServiceError", 500, FailureKind::Server),
            ("", 503, FailureKind::Server),
            ("ValidationException", 400, FailureKind::Unexpected),
        ] {
            assert_eq!(kind(code, status), expected, "{code}");
        }
    }

    #[test]
    fn an_arn_names_its_region() {
        let of = |secret: &str, named: Option<&str>| {
            let (secret, region) = (secret.to_owned(), named.map(str::to_owned));
            super::region(&AwsSecret { secret, key: None, region, endpoint_url: None })
        };
        let arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:acme/s3-a1B2c3";
        assert_eq!(of(arn, None).as_deref(), Some("eu-west-1"));
        assert_eq!(of("acme/s3", Some("eu-west-1")).as_deref(), Some("eu-west-1"));
        assert_eq!(of("acme/s3", None), None);
    }
}
