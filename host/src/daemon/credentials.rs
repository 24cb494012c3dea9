//! From a connection of the configuration to one that is open: its secrets are read, and nothing is sent yet.

use std::sync::Arc;

use super::PartError;
use crate::clock::{Clock, SystemClock};
use crate::config::{self, AccessKeyId, Auth};
use crate::events;
use crate::object::ConnectionKey;
use crate::secrets::{ExposeSecret, SecretReference, SecretString, Secrets};
use crate::source::{
    BaseIdentity, Connection, ConnectionSettings, Credentials, GrantsSettings, HttpClient, KeyPair, RoleSettings,
};

/// Opens one that no integration uses yet, and that knows nothing of what was obtained or refused.
pub(super) async fn open_candidate(
    secrets: Secrets,
    http: &HttpClient,
    key: &ConnectionKey,
    connection: config::Connection,
) -> Result<Connection, PartError> {
    let name = key.clone();
    // A secret may stand on a slow or hanging file system.
    let settings = tokio::task::spawn_blocking(move || read(&secrets, &name, &connection)).await;
    Ok(open(key, &settings.unwrap_or(Err(PartError::Panicked))?, http).await)
}

pub(super) async fn open(key: &ConnectionKey, settings: &ConnectionSettings, http: &HttpClient) -> Connection {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    Connection::open(key.clone(), settings, http, &clock).await
}

/// Reads its secrets. Blocks.
pub(super) fn read(
    secrets: &Secrets,
    key: &ConnectionKey,
    connection: &config::Connection,
) -> Result<ConnectionSettings, PartError> {
    let base = |base: &config::BaseIdentity| match base {
        config::BaseIdentity::AccessKey(pair) => key_pair(secrets, key, pair).map(BaseIdentity::KeyPair),
        config::BaseIdentity::DefaultChain => Ok(BaseIdentity::DefaultChain),
    };
    let credentials = match &connection.auth {
        Auth::DefaultChain => Credentials::Own(BaseIdentity::DefaultChain),
        Auth::AccessKey(pair) => Credentials::Own(BaseIdentity::KeyPair(key_pair(secrets, key, pair)?)),
        Auth::AccessGrants(grants) => Credentials::Grants {
            grants: GrantsSettings {
                account_id: grants.account_id.clone(),
                duration: grants.duration,
                endpoint_url: grants.endpoint_url.clone(),
            },
            base: base(&grants.base)?,
        },
        Auth::AssumeRole(role) => Credentials::Role {
            role: RoleSettings {
                role_arn: role.role_arn.clone(),
                external_id: role.external_id.clone(),
                session_name: role.session_name.clone(),
                duration: role.duration,
                endpoint_url: role.endpoint_url.clone(),
            },
            base: base(&role.base)?,
        },
    };
    Ok(ConnectionSettings {
        region: connection.region.clone(),
        endpoint_url: connection.endpoint_url.clone(),
        force_path_style: connection.addressing == config::Addressing::Path,
        credentials,
    })
}

fn key_pair(secrets: &Secrets, connection: &ConnectionKey, pair: &config::KeyPair) -> Result<KeyPair, PartError> {
    let secret = |reference: &SecretReference| {
        let failed = |source| PartError::Secret { connection: connection.clone(), source };
        let resolved = secrets.resolve(reference).map_err(failed)?;
        if let Some(warning) = &resolved.warning {
            events::SecretWarned { connection, warning }.emit();
        }
        Ok::<SecretString, PartError>(resolved.value)
    };
    Ok(KeyPair {
        id: match &pair.access_key_id {
            AccessKeyId::Text(id) => id.clone(),
            AccessKeyId::Reference(reference) => secret(reference)?.expose_secret().to_owned(),
        },
        secret: secret(&pair.secret_access_key)?,
        session_token: pair.session_token.as_ref().map(secret).transpose()?,
    })
}
