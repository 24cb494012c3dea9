//! A checked connection.

use std::time::Duration;

use serde::Serialize;

use super::units::serialize_duration;
use crate::object::{ConnectionKey, TenantName};
use crate::secrets::SecretReference;

/// Credentials and the place of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Connection {
    /// A name for people.
    pub name: String,
    /// The key that it had before (R17).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renamed_from: Option<ConnectionKey>,
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
    /// The server whose buckets it shows, in a form of which each server has one: the address of an S3-compatible server,
    /// or the part of Amazon's world that the region is in, where a bucket's name stands for one bucket. Which credentials
    /// it is asked with is no part of it.
    pub fn server(&self) -> String {
        let Some(address) = &self.endpoint_url else {
            return match self.region.split('-').next() {
                Some("cn") => "Amazon in China".to_owned(),
                Some("us") if self.region.starts_with("us-gov-") => "Amazon GovCloud".to_owned(),
                _ => "Amazon".to_owned(),
            };
        };
        let address = address.trim_end_matches('/').to_ascii_lowercase();
        let usual_port = if address.starts_with("http:") { ":80" } else { ":443" };
        address.strip_suffix(usual_port).map(str::to_owned).unwrap_or(address)
    }

    /// The pair of keys that it begins with, where it has one.
    pub fn key_pair(&self) -> Option<&KeyPair> {
        match &self.auth {
            Auth::AccessKey(pair) => Some(pair),
            Auth::AccessGrants(AccessGrants { base, .. }) | Auth::AssumeRole(AssumeRole { base, .. }) => {
                base.key_pair()
            }
            Auth::DefaultChain => None,
        }
    }

    /// Every secret that it needs.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretReference> {
        self.key_pair().into_iter().flat_map(KeyPair::secrets)
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
    AccessKey(KeyPair),
    /// What S3 Access Grants grant.
    AccessGrants(AccessGrants),
    /// A role that is assumed.
    AssumeRole(AssumeRole),
    /// Whatever the AWS SDK finds.
    DefaultChain,
}

impl Auth {
    /// The table that says so.
    pub fn table(&self) -> &'static str {
        match self {
            Self::AccessKey(_) => "access_key",
            Self::AccessGrants(_) => "access_grants",
            Self::AssumeRole(_) => "assume_role",
            Self::DefaultChain => "default_chain",
        }
    }
}

/// A pair of keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyPair {
    /// Which pair.
    pub access_key_id: AccessKeyId,
    /// The secret half.
    pub secret_access_key: SecretReference,
    /// For temporary keys.
    pub session_token: Option<SecretReference>,
}

impl KeyPair {
    fn secrets(&self) -> impl Iterator<Item = &SecretReference> {
        let id = match &self.access_key_id {
            AccessKeyId::Text(_) => None,
            AccessKeyId::Reference(reference) => Some(reference),
        };
        [id, Some(&self.secret_access_key), self.session_token.as_ref()].into_iter().flatten()
    }
}

/// Who asks for temporary credentials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BaseIdentity {
    /// A pair of keys.
    AccessKey(KeyPair),
    /// Whatever the AWS SDK finds.
    DefaultChain,
}

impl BaseIdentity {
    fn key_pair(&self) -> Option<&KeyPair> {
        match self {
            Self::AccessKey(pair) => Some(pair),
            Self::DefaultChain => None,
        }
    }
}

/// What S3 Access Grants grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AccessGrants {
    /// The account of the instance.
    pub account_id: String,
    /// How long credentials are good.
    #[serde(serialize_with = "serialize_duration")]
    pub duration: Duration,
    /// The address of S3 Control; none for Amazon's own in the region.
    pub endpoint_url: Option<String>,
    /// Who asks for them.
    pub base: BaseIdentity,
}

/// A role that is assumed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AssumeRole {
    /// `arn:aws:iam::ACCOUNT:role/NAME`.
    pub role_arn: String,
    /// What its trust policy asks for beside the caller.
    pub external_id: Option<String>,
    /// The name of its sessions.
    pub session_name: String,
    /// How long credentials are good.
    #[serde(serialize_with = "serialize_duration")]
    pub duration: Duration,
    /// The address of STS; none for Amazon's own in the region.
    pub endpoint_url: Option<String>,
    /// Who assumes it.
    pub base: BaseIdentity,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_has_one_name_whatever_it_is_asked_with() {
        let server = |endpoint: &str, region: &str| {
            let connection = Connection {
                name: "c".to_owned(),
                renamed_from: None,
                region: region.to_owned(),
                endpoint_url: (!endpoint.is_empty()).then(|| endpoint.to_owned()),
                addressing: Addressing::Path,
                tenant: None,
                auth: Auth::DefaultChain,
            };
            connection.server()
        };
        assert_eq!(server("", "eu-central-1"), server("", "us-east-1"));
        assert_ne!(server("", "cn-north-1"), server("", "us-east-1"));
        assert_ne!(server("", "us-gov-west-1"), server("", "us-east-1"));
        assert_eq!(server("https://Minio.example.com:443/", "x"), server("https://minio.example.com", "y"));
        assert_ne!(server("http://127.0.0.1:9000", "x"), server("http://127.0.0.1:9001", "x"));
    }
}
