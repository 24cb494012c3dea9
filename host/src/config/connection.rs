//! A checked connection.

use serde::Serialize;

use crate::object::TenantName;
use crate::secrets::SecretReference;

/// Credentials and the place of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Connection {
    /// A name for people.
    pub name: String,
    /// The region to sign for.
    pub region: String,
    /// The address of an S3-compatible server; none for Amazon's own.
    pub endpoint_url: Option<String>,
    /// Where the bucket's name stands in an address.
    pub addressing: Addressing,
    /// The only tenant that may use it; none for any (R13).
    pub tenant: Option<TenantName>,
    /// Where its credentials come from.
    pub auth: Auth,
}

impl Connection {
    /// Every secret that it needs.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretReference> {
        let (id, key, token) = match &self.auth {
            Auth::AccessKey { access_key_id: AccessKeyId::Reference(id), secret_access_key, session_token } => {
                (Some(id), Some(secret_access_key), session_token.as_ref())
            }
            Auth::AccessKey { access_key_id: AccessKeyId::Text(_), secret_access_key, session_token } => {
                (None, Some(secret_access_key), session_token.as_ref())
            }
            Auth::DefaultChain => (None, None, None),
        };
        [id, key, token].into_iter().flatten()
    }
}

/// Where the bucket's name stands in an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Addressing {
    /// In the path.
    Path,
    /// In the host name.
    VirtualHost,
}

/// Where credentials come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Auth {
    /// A pair of keys.
    AccessKey {
        /// Which pair.
        access_key_id: AccessKeyId,
        /// The secret half.
        secret_access_key: SecretReference,
        /// For temporary keys.
        session_token: Option<SecretReference>,
    },
    /// Whatever the AWS SDK finds.
    DefaultChain,
}

/// An access key id, which is no secret but may be kept with one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AccessKeyId {
    /// The id itself.
    Text(String),
    /// Where it stands.
    Reference(SecretReference),
}
