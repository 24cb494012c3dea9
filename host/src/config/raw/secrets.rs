//! `[secrets]`, and what a reference says of a secret that a service keeps.

use super::{RawSecret, tables};

tables! {
    /// The services that keep secrets, and how they are spoken to.
    struct RawSecrets {
        /// AWS Secrets Manager.
        aws_secrets_manager: RawAwsSecretsManager,
        /// Google Cloud Secret Manager.
        google_secret_manager: RawGoogleSecretManager,
        /// HashiCorp Vault.
        hashicorp_vault: RawHashicorpVault,
    }

    /// AWS Secrets Manager, for every `{ aws_secrets_manager = { secret = "NAME", key = "KEY" } }`: `secret` is a name or
    /// an ARN, `key` a member of a secret that is a JSON object. It is asked as whoever the AWS SDK finds: environment,
    /// profile, web identity, container or machine role. What a service gives is used for five minutes.
    struct RawAwsSecretsManager {
        /// The region of secrets whose reference names none. The default is that of the environment.
        ///
        /// ```toml
        /// region = "eu-central-1"
        /// ```
        region: String,
        /// The address of Secrets Manager, such as an interface endpoint of your network. The default is Amazon's own.
        ///
        /// ```toml
        /// endpoint_url = "https://vpce-1a2b.secretsmanager.eu-central-1.vpce.amazonaws.com"
        /// ```
        endpoint_url: String,
    }

    /// Google Cloud Secret Manager, for every `{ google_secret_manager = { secret = "projects/PROJECT/secrets/NAME" } }`,
    /// with `version`, where it is not the latest, and `key`, a member of a secret that is a JSON object.
    struct RawGoogleSecretManager {
        /// A reference to the key of the service account that asks: the JSON that Google gives out. The default is the
        /// file that the environment variable `GOOGLE_APPLICATION_CREDENTIALS` names, else the service account of the
        /// machine.
        ///
        /// ```toml
        /// service_account = { credential = "google-service-account" }
        /// ```
        service_account: RawSecret,
        /// The address of Secret Manager. The default is Google's own; for a secret of one location, that location's.
        ///
        /// ```toml
        /// endpoint_url = "https://secretmanager.europe-west3.rep.googleapis.com"
        /// ```
        endpoint_url: String,
    }

    /// HashiCorp Vault or OpenBao, for every `{ hashicorp_vault = { path = "PATH", field = "FIELD" } }`, with `mount`,
    /// where the key-value engine (version 2) is not mounted at `secret`. It needs `token` or `app_role`.
    struct RawHashicorpVault {
        /// The server. Required.
        ///
        /// ```toml
        /// address = "https://vault.example.com:8200"
        /// ```
        address: String,
        /// The namespace, where the server has several.
        ///
        /// ```toml
        /// namespace = "customer-success"
        /// ```
        namespace: String,
        /// The authorities that vouch for the server, in PEM. The default is those of the system.
        ///
        /// ```toml
        /// ca_file = "/etc/gristmill/vault-ca.pem"
        /// ```
        ca_file: String,
        /// A reference to the token that asks. Nobody renews it here.
        ///
        /// ```toml
        /// token = { credential = "vault-token" }
        /// ```
        token: RawSecret,
        /// Or the role that asks: its id, and a reference to its secret id. `mount` is where AppRole is mounted, if not at
        /// `approle`.
        ///
        /// ```text
        /// app_role = { role_id = "db02de05-fa39-4855-059b-67221c5c2f63", secret_id = { credential = "vault-secret-id" } }
        /// ```
        app_role: RawAppRole,
    }

    /// A role of HashiCorp Vault.
    struct RawAppRole {
        /// Where AppRole is mounted. The default is `approle`.
        ///
        /// ```text
        /// mount = "approle"
        /// ```
        mount: String,
        /// The role's id. Required.
        ///
        /// ```text
        /// role_id = "db02de05-fa39-4855-059b-67221c5c2f63"
        /// ```
        role_id: String,
        /// A reference to its secret id. Required.
        ///
        /// ```text
        /// secret_id = { credential = "vault-secret-id" }
        /// ```
        secret_id: RawSecret,
    }

    /// A secret of AWS Secrets Manager.
    struct RawAwsSecret {
        /// Its name or its ARN. Required.
        ///
        /// ```text
        /// secret = "gristmill/acme"
        /// ```
        secret: String,
        /// The member, where it is a JSON object.
        ///
        /// ```text
        /// key = "secret_access_key"
        /// ```
        key: String,
        /// Its region.
        ///
        /// ```text
        /// region = "eu-central-1"
        /// ```
        region: String,
    }

    /// A secret of Google Cloud Secret Manager.
    struct RawGoogleSecret {
        /// Its resource. Required.
        ///
        /// ```text
        /// secret = "projects/acme-prod/secrets/gristmill"
        /// ```
        secret: String,
        /// Its version: a number, or a name for one. The default is `latest`.
        ///
        /// ```text
        /// version = "3"
        /// ```
        version: String,
        /// The member, where it is a JSON object.
        ///
        /// ```text
        /// key = "secret_access_key"
        /// ```
        key: String,
    }

    /// A secret of HashiCorp Vault.
    struct RawHashicorpSecret {
        /// Where the key-value engine is mounted. The default is `secret`.
        ///
        /// ```text
        /// mount = "secret"
        /// ```
        mount: String,
        /// The secret's path below that. Required.
        ///
        /// ```text
        /// path = "gristmill/acme"
        /// ```
        path: String,
        /// The field of it. Required.
        ///
        /// ```text
        /// field = "secret_access_key"
        /// ```
        field: String,
    }
}
