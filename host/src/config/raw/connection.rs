//! `[connections.KEY]`.

use super::{RawSecret, RawText, tables};

tables! {
    /// A connection: credentials and the place of a server, under a key of letters, digits, `_` and `-`. Any number of
    /// integrations may use it. It needs exactly one of the tables `access_key`, `access_grants`,
    /// `assume_role` and `default_chain`.
    struct RawConnection {
        /// A name for people. The default is the key.
        ///
        /// ```toml
        /// name = "Acme's exports"
        /// ```
        name: String,
        /// The key that it had before. What integrations have taken over it stays taken, and those that still name it by that
        /// key mean this one. It may stay here.
        ///
        /// ```text
        /// renamed_from = "acme-old"
        /// ```
        renamed_from: String,
        /// The buckets' region. Required, except with `endpoint_url`, where the default is `us-east-1`.
        ///
        /// ```toml
        /// region = "eu-central-1"
        /// ```
        region: String,
        /// The address of an S3-compatible server. The default is Amazon's own.
        ///
        /// ```toml
        /// endpoint_url = "https://s3.example.com"
        /// ```
        endpoint_url: String,
        /// Whether the bucket stands in the path (`https://HOST/BUCKET/KEY`) and not in the host name. Most S3-compatible
        /// servers need it. The default is `true` with `endpoint_url`, else `false`.
        ///
        /// ```toml
        /// force_path_style = true
        /// ```
        force_path_style: bool,
        /// The only tenant whose integrations may use this connection. The default is any.
        ///
        /// ```toml
        /// tenant = "acme"
        /// ```
        tenant: String,
        /// A pair of keys.
        access_key: RawAccessKey,
        /// What S3 Access Grants grant.
        access_grants: RawAccessGrants,
        /// A role that is assumed.
        assume_role: RawAssumeRole,
        /// Required where there is no other of these tables: whatever the AWS SDK finds, such as the role of the machine.
        ///
        /// ```text
        /// default_chain = {}
        /// ```
        default_chain: RawDefaultChain,
    }

    /// A pair of keys. A secret never stands in this file: it is `{ credential = "NAME" }` (a systemd credential),
    /// `{ secret = "NAME" }` (in the vault), `{ file = "/PATH" }`, `{ env = "NAME" }`, or one that a service keeps (see
    /// `secrets`).
    struct RawAccessKey {
        /// The access key id, or a reference to it. Required.
        ///
        /// ```toml
        /// access_key_id = "AKIAIOSFODNN7EXAMPLE"
        /// ```
        access_key_id: RawText,
        /// A reference to the secret access key. Required.
        ///
        /// ```toml
        /// secret_access_key = { credential = "acme-secret-access-key" }
        /// ```
        ///
        /// Or:
        ///
        /// ```text
        /// secret_access_key = { secret = "acme-secret-access-key" }
        /// secret_access_key = { file = "/etc/gristmill/acme.key" }
        /// secret_access_key = { env = "ACME_SECRET_ACCESS_KEY" }
        /// secret_access_key = { aws_secrets_manager = { secret = "gristmill/acme", key = "secret_access_key" } }
        /// secret_access_key = { google_secret_manager = { secret = "projects/acme-prod/secrets/gristmill" } }
        /// secret_access_key = { hashicorp_vault = { path = "gristmill/acme", field = "secret_access_key" } }
        /// ```
        secret_access_key: RawSecret,
        /// A reference to a session token, for temporary keys.
        ///
        /// ```text
        /// session_token = { credential = "acme-session-token" }
        /// ```
        session_token: RawSecret,
    }

    /// Instead of `access_key`, credentials that S3 Access Grants give for `s3://BUCKET/PREFIX*` of each integration, with
    /// the permission READ. They are asked for once a grant, and renewed before they end; a refusal is remembered for five
    /// minutes. Nothing is ever read with the credentials that ask.
    struct RawAccessGrants {
        /// The account of the S3 Access Grants instance, which is in the connection's `region`. Required.
        ///
        /// ```toml
        /// account_id = "123456789012"
        /// ```
        account_id: String,
        /// How long credentials are good: `15m` to `12h`.
        ///
        /// ```toml
        /// duration = "1h"
        /// ```
        duration: String,
        /// The address of S3 Control, such as an interface endpoint of your network; the account's id is put before its
        /// host. The default is Amazon's own in the connection's `region`.
        ///
        /// ```toml
        /// endpoint_url = "https://s3-control.example.com"
        /// ```
        endpoint_url: String,
        /// The pair of keys that asks. The default is whatever the AWS SDK finds, as with `default_chain`.
        ///
        /// ```toml
        /// access_key = { access_key_id = "AKIAIOSFODNN7EXAMPLE", secret_access_key = { credential = "acme-secret-access-key" } }
        /// ```
        access_key: RawAccessKey,
    }

    /// Instead of `access_key`, a role that is assumed through STS. Its credentials are renewed before they end.
    struct RawAssumeRole {
        /// The role. Required.
        ///
        /// ```toml
        /// role_arn = "arn:aws:iam::123456789012:role/gristmill-reader"
        /// ```
        role_arn: String,
        /// The external id, where the role's trust policy asks for one. It is no secret. There is none by default.
        ///
        /// ```toml
        /// external_id = "acme-7f3a"
        /// ```
        external_id: String,
        /// The name that the role's account sees in its records.
        ///
        /// ```toml
        /// session_name = "gristmill"
        /// ```
        session_name: String,
        /// How long credentials are good: `15m` to `12h`, and no longer than the role allows; where a role assumes the
        /// role, at most `1h`.
        ///
        /// ```toml
        /// duration = "1h"
        /// ```
        duration: String,
        /// The address of STS, such as an interface endpoint of your network. The default is Amazon's own in the
        /// connection's `region`.
        ///
        /// ```toml
        /// endpoint_url = "https://sts.example.com"
        /// ```
        endpoint_url: String,
        /// The pair of keys that assumes the role. The default is whatever the AWS SDK finds, as with `default_chain`.
        ///
        /// ```toml
        /// access_key = { access_key_id = "AKIAIOSFODNN7EXAMPLE", secret_access_key = { credential = "acme-secret-access-key" } }
        /// ```
        access_key: RawAccessKey,
    }

    /// Whatever the AWS SDK finds: environment, profile, web identity, container or machine role. It has no keys.
    struct RawDefaultChain {}
}
