//! Why a service that keeps secrets did not give one.

use std::fmt;

/// The most that is shown of a service's own words, in characters.
const SHOWN: usize = 300;

/// Why there was no secret in the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What it comes to.
    pub kind: FailureKind,
    /// The HTTP status, where there was an answer.
    pub status: Option<u16>,
    /// The service's code: `AccessDeniedException`.
    pub code: Option<String>,
    /// The service's or the network's own words, cut and escaped.
    pub message: Option<String>,
}

/// What a failure comes to, and so whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FailureKind {
    /// There is nothing to ask with, or it is not accepted.
    #[error("the credentials are not accepted")]
    Credentials,
    /// Whoever asks may not read it.
    #[error("access denied")]
    Denied,
    /// It is not there.
    #[error("there is no such secret")]
    NotFound,
    /// It is disabled, destroyed or about to be deleted.
    #[error("the secret is disabled or deleted")]
    Disabled,
    /// It is not said in which region it is.
    #[error("no region is named, and the environment has none")]
    NoRegion,
    /// The file of authorities is of no use.
    #[error("the file of authorities cannot be used")]
    Authorities,
    /// The key of the service account is of no use.
    #[error("the service account's key cannot be used")]
    ServiceAccount,
    /// Too many requests.
    #[error("the service asks for fewer requests")]
    Throttled,
    /// No answer.
    #[error("the service cannot be reached")]
    Network,
    /// The service failed, or is sealed.
    #[error("the service failed")]
    Server,
    /// The checksum does not fit.
    #[error("the bytes are not those that were stored")]
    Corrupt,
    /// An answer that fits nothing above.
    #[error("the answer is unexpected")]
    Unexpected,
}

impl FailureKind {
    /// What a status means, where the service says nothing better.
    #[cfg(any(feature = "aws-secrets-manager", feature = "google-secret-manager", feature = "hashicorp-vault"))]
    pub(super) fn of_status(status: u16) -> Self {
        match status {
            401 => Self::Credentials,
            403 => Self::Denied,
            404 => Self::NotFound,
            429 => Self::Throttled,
            408 | 500..=599 => Self::Server,
            _ => Self::Unexpected,
        }
    }

    /// Whether the same question may be answered later although nobody mends anything.
    pub fn may_pass(self) -> bool {
        match self {
            Self::Throttled | Self::Network | Self::Server | Self::Corrupt => true,
            Self::Credentials
            | Self::Denied
            | Self::NotFound
            | Self::Disabled
            | Self::NoRegion
            | Self::Authorities
            | Self::ServiceAccount
            | Self::Unexpected => false,
        }
    }
}

impl Failure {
    /// A failure of which nothing more is known.
    pub(super) fn new(kind: FailureKind) -> Self {
        Self { kind, status: None, code: None, message: None }
    }

    /// Adds the status of the answer.
    #[cfg(any(feature = "aws-secrets-manager", feature = "google-secret-manager", feature = "hashicorp-vault"))]
    pub(super) fn with_status(self, status: u16) -> Self {
        Self { status: Some(status), ..self }
    }

    /// Adds the service's code, cut and escaped.
    #[cfg(any(feature = "aws-secrets-manager", feature = "google-secret-manager"))]
    pub(super) fn with_code(self, code: &str) -> Self {
        Self { code: shown(code), ..self }
    }

    /// Adds words, cut and escaped.
    pub(super) fn with_message(self, message: &str) -> Self {
        Self { message: shown(message), ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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

impl std::error::Error for Failure {}

fn shown(text: &str) -> Option<String> {
    let text = text.trim();
    let escape = |character: char| match character.is_control() {
        true => character.escape_default().collect::<String>(),
        false => character.to_string(),
    };
    (!text.is_empty()).then(|| text.chars().take(SHOWN).map(escape).collect())
}
