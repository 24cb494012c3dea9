//! What becomes of connections and their keys.

use std::fmt;

use tracing::{info, warn};

use crate::object::{ConnectionKey, IntegrationName};
use crate::secrets::SecretWarning;

/// What an integration took over a connection under its former key is its own under the key it has now.
pub struct ConnectionRenamed<'a> {
    /// Which integration.
    pub integration: &'a IntegrationName,
    /// The connection.
    pub connection: &'a ConnectionKey,
    /// Its former key.
    pub from: &'a ConnectionKey,
}

impl ConnectionRenamed<'_> {
    /// Logs it.
    pub fn emit(self) {
        let Self { integration, connection, from } = self;
        info!(event = "connection_renamed", %integration, %connection, %from, "goes on with what it has taken");
    }
}

/// A connection has another pair of keys from now on.
pub struct KeysRotated<'a> {
    /// Which.
    pub connection: &'a ConnectionKey,
}

impl KeysRotated<'_> {
    /// Logs it.
    pub fn emit(self) {
        info!(event = "keys_rotated", connection = %self.connection, "the next request is sent with another pair of keys");
    }
}

/// A secret was read from a place that should be mended.
pub struct SecretWarned<'a> {
    /// The connection that it belongs to.
    pub connection: &'a ConnectionKey,
    /// What is wrong; names the place, never the value.
    pub warning: &'a SecretWarning,
}

impl SecretWarned<'_> {
    /// Logs it.
    pub fn emit(self) {
        warn!(event = "secret_warning", connection = %self.connection, warning = %self.warning, "mend this place");
    }
}

/// The key pair of a connection could not be read anew.
pub struct KeysKept<'a> {
    /// Whose.
    pub connection: &'a ConnectionKey,
    /// Why; names the place, never the value.
    pub problem: &'a dyn fmt::Display,
}

impl KeysKept<'_> {
    /// Logs it.
    pub fn emit(self) {
        warn!(
            event = "keys_kept",
            connection = %self.connection,
            problem = %self.problem,
            "goes on with the keys that it had"
        );
    }
}
