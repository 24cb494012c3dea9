//! What can go wrong between S3 and the spool, and what to do about it.

use std::error::Error;
use std::fmt;
use std::io;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use crate::object::{BucketName, ConnectionKey, Object};
use crate::retry::ErrorClass;
use crate::spool::SpoolError;

use super::identity::NotObtained;

/// The most that is shown of a server's own words, in characters.
const SHOWN: usize = 300;

/// A request to the source failed. Display names operation, bucket and key, and what the server said.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The buckets of a connection cannot be listed.
    #[error("cannot list the buckets of connection `{connection}`: {failure}")]
    ListBuckets {
        /// The connection.
        connection: ConnectionKey,
        /// What went wrong.
        failure: Box<Failure>,
    },
    /// A page cannot be listed.
    #[error("cannot list `s3://{bucket}/{}`: {failure}", Escaped(prefix))]
    List {
        /// The bucket.
        bucket: BucketName,
        /// The prefix.
        prefix: String,
        /// What went wrong.
        failure: Box<Failure>,
    },
    /// An object cannot be fetched.
    #[error("cannot fetch `{object}`: {failure}")]
    Fetch {
        /// The object.
        object: Box<Object>,
        /// What went wrong.
        failure: Box<Failure>,
    },
    /// The local copy cannot be written.
    #[error("cannot keep a local copy of `{object}`")]
    Spool {
        /// The object.
        object: Box<Object>,
        /// Why.
        source: SpoolError,
    },
}

impl SourceError {
    /// A failure to list. What is not there is then the bucket, because a listing names nothing else.
    pub fn list(bucket: &BucketName, prefix: &str, mut failure: Failure) -> Self {
        if failure.kind == FailureKind::Gone {
            failure.kind = FailureKind::NoSuchBucket;
        }
        Self::List { bucket: bucket.clone(), prefix: prefix.to_owned(), failure: Box::new(failure) }
    }

    /// A failure to fetch.
    pub fn fetch(object: &Object, failure: Failure) -> Self {
        Self::Fetch { object: Box::new(object.clone()), failure: Box::new(failure) }
    }

    pub(super) fn spool(object: &Object, source: SpoolError) -> Self {
        Self::Spool { object: Box::new(object.clone()), source }
    }

    /// What the failure asks for.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Spool { source, .. } => source.class(),
            Self::Fetch { failure, .. } => failure.kind.class(),
            // What is odd about a listing is the server's doing, not an object's.
            Self::List { failure, .. } | Self::ListBuckets { failure, .. } => match failure.kind {
                FailureKind::Unexpected => ErrorClass::Connection,
                _ => failure.kind.class(),
            },
        }
    }

    /// What to do about it, where a person can do something.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Spool { source, .. } => source.hint(),
            Self::ListBuckets { failure, .. } => match failure.kind {
                FailureKind::Denied => Some(
                    "allow `s3:ListAllMyBuckets`, or give the bucket's name: an integration does not need the list"
                        .to_owned(),
                ),
                _ => failure.kind.hint(),
            },
            Self::List { bucket, failure, .. } => match failure.kind {
                FailureKind::Denied => Some(format!("allow `s3:ListBucket` on `arn:aws:s3:::{bucket}`")),
                _ => failure.kind.hint(),
            },
            Self::Fetch { object, failure } => match failure.kind {
                FailureKind::Denied => Some(format!(
                    "allow `s3:GetObject` on `arn:aws:s3:::{}/{}`, and `kms:Decrypt` on the key if the bucket is encrypted with KMS; \
                     without `s3:ListBucket` a key that is missing looks denied too",
                    object.bucket,
                    below(object)
                )),
                _ => failure.kind.hint(),
            },
        }
    }
}

/// The object's folder as a resource of a policy.
fn below(object: &Object) -> String {
    match object.key.as_str().rsplit_once('/') {
        Some((folder, _)) => format!("{}/*", Escaped(folder)),
        None => "*".to_owned(),
    }
}

/// What went wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What it comes to.
    pub kind: FailureKind,
    /// The operation that failed, where it is not the one that was asked for: one that obtains credentials for it.
    pub operation: Option<&'static str>,
    /// The HTTP status, where there was an answer.
    pub status: Option<u16>,
    /// The server's code: `AccessDenied`.
    pub code: Option<String>,
    /// The server's or the network's own words, cut and escaped.
    pub message: Option<String>,
}

/// What a failed request comes to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FailureKind {
    /// The key is not there.
    #[error("the object is no longer there")]
    Gone,
    /// The key holds another version.
    #[error("the object was changed after it was listed")]
    Changed,
    /// No permission.
    #[error("access denied")]
    Denied,
    /// No permission to use the object's encryption key, or the key cannot be used.
    #[error("the object's encryption key cannot be used")]
    Kms,
    /// The object must be restored before it can be read.
    #[error("the object is archived")]
    Archived,
    /// Too many requests.
    #[error("the server asks for fewer requests")]
    Throttled,
    /// The clocks differ by more than 15 minutes.
    #[error("this machine's clock and the server's are too far apart")]
    Skewed,
    /// No answer.
    #[error("the server cannot be reached")]
    Network,
    /// It answers, and no encrypted connection comes of it.
    #[error("no TLS connection to the server comes about")]
    Tls,
    /// A body that ended early, more often than it was taken up again.
    #[error("the body broke off")]
    Broken,
    /// The server failed.
    #[error("the server failed")]
    Server,
    /// Length or checksum do not fit.
    #[error("the bytes are not those that were stored")]
    Corrupt,
    /// The bucket is in another region.
    #[error("wrong region{}", right.as_ref().map(|right| format!(": the bucket is in `{right}`")).unwrap_or_default())]
    WrongRegion {
        /// The bucket's region, where the server says.
        right: Option<String>,
    },
    /// The bucket is not there.
    #[error("no such bucket")]
    NoSuchBucket,
    /// The key pair or token is not accepted, or there is none.
    #[error("the credentials are not accepted")]
    Credentials,
    /// The base identity may not assume the role.
    #[error("the role `{role_arn}` may not be assumed")]
    RoleDenied {
        /// The role.
        role_arn: String,
    },
    /// The role's sessions may not last that long.
    #[error("the role gives no credentials for so long")]
    RoleDuration,
    /// The account has no S3 Access Grants instance in the region.
    #[error("there is no S3 Access Grants instance of the account `{account_id}` in `{region}`")]
    NoGrantsInstance {
        /// The account.
        account_id: String,
        /// The region.
        region: String,
    },
    /// The base identity may not ask the instance.
    #[error("the S3 Access Grants instance of the account `{account_id}` may not be asked")]
    MayNotAskForGrants {
        /// The account.
        account_id: String,
    },
    /// No grant covers it.
    #[error("no grant covers `{target}`")]
    NotGranted {
        /// `s3://bucket/prefix*`.
        target: String,
    },
    /// Whoever gives out temporary credentials answered in a way that has no other name here.
    #[error("there are no temporary credentials")]
    NotIssued,
    /// An answer that fits nothing above.
    #[error("the server's answer is unexpected")]
    Unexpected,
}

impl FailureKind {
    /// What a failed fetch of this kind asks for.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Gone => ErrorClass::Gone,
            Self::Changed => ErrorClass::Changed,
            Self::Denied => ErrorClass::Denied,
            Self::Kms => ErrorClass::Kms,
            Self::Archived => ErrorClass::Archived,
            Self::Throttled => ErrorClass::Throttled,
            Self::Skewed => ErrorClass::Skewed,
            Self::Network | Self::Tls | Self::Broken | Self::Server => ErrorClass::Network,
            Self::Corrupt => ErrorClass::Corrupt,
            Self::WrongRegion { .. }
            | Self::NoSuchBucket
            | Self::Credentials
            | Self::RoleDenied { .. }
            | Self::RoleDuration
            | Self::NoGrantsInstance { .. }
            | Self::MayNotAskForGrants { .. }
            | Self::NotGranted { .. }
            | Self::NotIssued => ErrorClass::Connection,
            Self::Unexpected => ErrorClass::Ours,
        }
    }

    /// The same of a request for credentials. What only objects can be is then nothing that is known.
    pub(super) fn of_an_issuer(self) -> Self {
        match self {
            Self::Gone
            | Self::Changed
            | Self::Denied
            | Self::Kms
            | Self::Archived
            | Self::Broken
            | Self::Corrupt
            | Self::NoSuchBucket
            | Self::Unexpected => Self::NotIssued,
            Self::Throttled
            | Self::Skewed
            | Self::Network
            | Self::Tls
            | Self::Server
            | Self::WrongRegion { .. }
            | Self::Credentials
            | Self::RoleDenied { .. }
            | Self::RoleDuration
            | Self::NoGrantsInstance { .. }
            | Self::MayNotAskForGrants { .. }
            | Self::NotGranted { .. }
            | Self::NotIssued => self,
        }
    }

    /// Whether the owner of a grants instance said no.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self, Self::NoGrantsInstance { .. } | Self::MayNotAskForGrants { .. } | Self::NotGranted { .. })
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Kms => {
                "allow `kms:Decrypt` on the key that the object is encrypted with, and see that the key is enabled"
            }
            Self::Archived => "restore the object; it is looked at again by itself",
            Self::Skewed => "set this machine's clock, by NTP for example",
            Self::Network => {
                "see that `endpoint_url` and `region` are right and that the host can be reached from here"
            }
            Self::Tls => {
                "see that the server's certificate is of an authority that this machine trusts, names the host in `endpoint_url` \
                 and has not expired; a server without TLS has an `endpoint_url` that begins with `http://`"
            }
            Self::WrongRegion { right: Some(right) } => {
                return Some(format!("set the connection's `region` to \"{right}\""));
            }
            Self::WrongRegion { right: None } => "set the connection's `region` to the bucket's",
            Self::NoSuchBucket => "see that the bucket's name, and `endpoint_url` if there is one, are right",
            Self::Credentials => {
                "see that access key id and secret belong together, are active and have not expired; with `default_chain`, that this machine or its environment offers credentials"
            }
            Self::Unexpected => "see that `endpoint_url` is that of an S3 server",
            Self::Corrupt => "upload the object again if this stays",
            Self::RoleDenied { role_arn } => {
                return Some(format!(
                    "allow `sts:AssumeRole` on `{role_arn}` to the identity that assumes it, and see that the role is there and \
                     that its trust policy names that identity and this `external_id`: AWS does not say which of them is \
                     wrong. `gristmill connection policy` prints both policies"
                ));
            }
            Self::RoleDuration => {
                "shorten `duration` to the role's maximum session duration, or to 1h where a role assumes the role"
            }
            Self::NoGrantsInstance { .. } => {
                "see that `account_id` is the account of the S3 Access Grants instance and `region` the buckets' region: an \
                 instance serves the buckets of its own region"
            }
            Self::MayNotAskForGrants { .. } => {
                "allow `s3:GetDataAccess` to the identity that asks, and see that `account_id` is the account of the instance; \
                 an instance of another account must allow it in its resource policy. It is asked again after five minutes"
            }
            Self::NotGranted { .. } => {
                "have READ on it granted to the identity that asks, or narrow the integration's `prefix` to what is granted. \
                 It is asked for again after five minutes"
            }
            Self::NotIssued => "see that the `endpoint_url` of the way to credentials is right, if one is set",
            Self::Gone | Self::Changed | Self::Denied | Self::Throttled | Self::Broken | Self::Server => return None,
        };
        Some(hint.to_owned())
    }
}

impl Failure {
    /// A failure of which nothing more is known.
    pub fn new(kind: FailureKind) -> Self {
        Self { kind, operation: None, status: None, code: None, message: None }
    }

    /// Names the operation, which obtains credentials for the one that was asked for.
    pub(super) fn of(mut self, operation: &'static str) -> Self {
        self.operation = Some(operation);
        self
    }

    /// Adds words, cut and escaped.
    pub fn with_message(mut self, message: impl AsRef<str>) -> Self {
        let message = message.as_ref().trim();
        self.message = (!message.is_empty()).then(|| Escaped(message).to_string().chars().take(SHOWN).collect());
        self
    }

    /// What an answer of the server comes to.
    pub fn from_answer(answer: &Answer<'_>) -> Self {
        let mut failure = Self::new(answer.kind()).with_message(answer.message.unwrap_or_default());
        failure.status = Some(answer.status);
        failure.code = answer
            .code
            .filter(|code| !code.is_empty())
            .map(|code| Escaped(code).to_string().chars().take(SHOWN).collect());
        failure
    }

    /// What an error of the SDK comes to.
    pub(super) fn from_sdk<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        if let Some(failure) = not_obtained(error) {
            return failure.clone();
        }
        match error {
            SdkError::ServiceError(_) | SdkError::ResponseError(_) => {
                let Some(raw) = error.raw_response() else {
                    return Self::new(FailureKind::Unexpected);
                };
                let failure = Self::from_answer(&Answer {
                    status: raw.status().as_u16(),
                    code: error.code(),
                    message: error.message(),
                    region: raw.headers().get("x-amz-bucket-region"),
                });
                match error {
                    SdkError::ResponseError(_) => failure.with_message(chain(error)),
                    _ => failure,
                }
            }
            SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) => {
                let kind = if is_of_tls(error) { FailureKind::Tls } else { FailureKind::Network };
                Self::new(kind).with_message(chain(error))
            }
            _ => Self::new(FailureKind::Unexpected).with_message(chain(error)),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(operation) = self.operation {
            write!(f, "{operation}: ")?;
        }
        write!(f, "{}", self.kind)?;
        match (&self.code, self.status) {
            (Some(code), Some(status)) => write!(f, " (`{code}`, status {status})")?,
            (Some(code), None) => write!(f, " (`{code}`)")?,
            (None, Some(status)) => write!(f, " (status {status})")?,
            (None, None) => {}
        }
        match &self.message {
            Some(message) => write!(f, ": `{message}`"),
            None => Ok(()),
        }
    }
}

/// The causes of an error of the SDK, outermost first, each once.
fn chain(error: &dyn Error) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        let word = error.to_string();
        if words.last() != Some(&word) {
            words.push(word);
        }
        cause = error.source();
    }
    words.join(": ")
}

/// Whether a connection failed at its encryption. What the system's own errors hold is not among their causes.
fn is_of_tls(error: &(dyn Error + 'static)) -> bool {
    let held = || error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    error.is::<rustls::Error>() || held().is_some_and(|held| is_of_tls(held)) || error.source().is_some_and(is_of_tls)
}

/// Why there were no credentials to send it with, where that is what went wrong.
fn not_obtained<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Failure> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(NotObtained(failure)) = error.downcast_ref() {
            return Some(failure);
        }
        cause = error.source();
    }
    None
}

/// An answer that is not a success.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The code in the body; HEAD answers have none.
    pub code: Option<&'a str>,
    /// The message in the body.
    pub message: Option<&'a str>,
    /// The header `x-amz-bucket-region`.
    pub region: Option<&'a str>,
}

impl Answer<'_> {
    fn kind(&self) -> FailureKind {
        self.code.and_then(|code| self.kind_of_code(code)).unwrap_or_else(|| self.kind_of_status())
    }

    /// Codes first: several share a status.
    fn kind_of_code(&self, code: &str) -> Option<FailureKind> {
        let mentions = |text: &str| self.message.is_some_and(|message| message.contains(text));
        Some(match code {
            "NoSuchKey" | "NoSuchVersion" => FailureKind::Gone,
            "NoSuchBucket" => FailureKind::NoSuchBucket,
            "PreconditionFailed" | "ConditionalRequestConflict" => FailureKind::Changed,
            "InvalidObjectState" => FailureKind::Archived,
            "SlowDown"
            | "ServiceUnavailable"
            | "TooManyRequests"
            | "Throttling"
            | "ThrottlingException"
            | "RequestLimitExceeded"
            | "RequestThrottled"
            | "BandwidthLimitExceeded" => FailureKind::Throttled,
            "RequestTimeTooSkewed" => FailureKind::Skewed,
            // A key id that cannot stand in the header at all is refused by the same code.
            "AuthorizationHeaderMalformed" if !mentions("region") => FailureKind::Credentials,
            "PermanentRedirect"
            | "TemporaryRedirect"
            | "AuthorizationHeaderMalformed"
            | "IllegalLocationConstraintException" => FailureKind::WrongRegion { right: self.right_region() },
            "InvalidAccessKeyId"
            | "SignatureDoesNotMatch"
            | "ExpiredToken"
            | "ExpiredTokenException"
            | "InvalidToken"
            | "TokenRefreshRequired"
            | "InvalidSecurity"
            | "InvalidClientTokenId"
            | "UnrecognizedClientException"
            | "MissingSecurityHeader"
            | "NotSignedUp"
            | "AccountProblem" => FailureKind::Credentials,
            "AccessDenied" | "AccessDeniedException" | "AllAccessDisabled" | "Forbidden" => {
                if mentions("kms:") {
                    FailureKind::Kms
                } else {
                    FailureKind::Denied
                }
            }
            "RequestTimeout" | "InternalError" | "OperationAborted" => FailureKind::Server,
            _ if code.starts_with("KMS.") => FailureKind::Kms,
            _ => return None,
        })
    }

    fn kind_of_status(&self) -> FailureKind {
        match self.status {
            404 => FailureKind::Gone,
            412 => FailureKind::Changed,
            401 => FailureKind::Credentials,
            403 => FailureKind::Denied,
            301 | 302 | 307 | 308 => FailureKind::WrongRegion { right: self.right_region() },
            429 | 503 => FailureKind::Throttled,
            408 | 500..=599 => FailureKind::Server,
            _ => FailureKind::Unexpected,
        }
    }

    /// From the header, else from "the region 'a' is wrong; expecting 'b'".
    fn right_region(&self) -> Option<String> {
        let named = self.message.and_then(|message| message.split_once("expecting '")?.1.split_once('\''));
        let region = self.region.or(named.map(|(region, _)| region))?;
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        (!region.is_empty() && region.len() <= 64 && region.chars().all(plain)).then(|| region.to_owned())
    }
}

/// A text with its control characters escaped.
struct Escaped<T>(T);

impl<T: AsRef<str>> fmt::Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().chars().try_for_each(|c| match c.is_control() {
            true => write!(f, "{}", c.escape_default()),
            false => write!(f, "{c}"),
        })
    }
}

#[cfg(test)]
mod tests;
