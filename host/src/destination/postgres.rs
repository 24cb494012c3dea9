//! Accounts and usage in PostgreSQL, all tenants in one schema (R13).
//!
//! # What is stored
//!
//! `postgres/schema.sql` is the layout, with what came to it in `postgres/users.sql`, and with a comment on everything that a person meets who queries it. It holds
//! what the `sqlite` destination holds, by the same rules: contributions are the truth, current values are a function of
//! their set (R2), and a replay takes back what earlier generations of its object contributed (R1). What differs is
//! said by SQL: usage is exact as `numeric`, account values are text with a column of numbers beside it in the view.
//!
//! # What a crash leaves
//!
//! An object is staged in temporary tables of one connection, filled by COPY; they vanish with it. Everything that lasts
//! happens in one transaction, which also records the identity under a unique constraint, so an identity is confirmed
//! with all of its records or with none, and at most once (I3), whoever else writes to the same schema. Merges of one
//! tenant take turns by locking the tenant's row. Where the connection breaks while a commit is on its way, nobody knows
//! whether it was done; the object is then due again, and `confirmed` says what became of it.
//!
//! # What it needs
//!
//! PostgreSQL 14 or newer, a database in UTF-8, and a schema that `gristmill destination migrate` made: the daemon
//! itself never makes or changes one, so its role needs no right to, and a slip in its settings leaves no tables in
//! somebody else's database. Temporary tables need the right `TEMPORARY` on the database, and connections of their own:
//! a pooler between the two must hand out whole sessions.
//!
//! This module knows nothing of the ledger, of S3, of formats or of mappers.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::destination::accounts::{AccountVisitor, Wanted};
use crate::destination::relational::similar::Names;
use crate::destination::users::{User, UserVisitor, UsersMerged};
use crate::destination::{Delivery, Destination, DestinationError, Staging, Summary, Taken};
use crate::object::{DedupKey, Identity, IntegrationName, Relocation, TenantName};
use crate::secrets::{SecretReference, Secrets};

use self::pool::Pool;
use self::staging::PostgresStaging;

mod accounts;
mod copy;
mod fields;
mod matching;
mod mended;
mod merge;
mod migrations;
mod pool;
mod preview;
mod relocate;
mod rename;
mod session;
mod staging;
#[cfg(test)]
mod tests;
mod tls;
mod usage;
mod users;

pub use self::migrations::Migrated;
pub use self::tls::TlsError;

/// Where a PostgreSQL store is and how it is spoken to. Nothing in it is secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PostgresSettings {
    /// The server, the database and who asks.
    pub address: Address,
    /// Whether the connection is encrypted, and the server known.
    pub tls: Tls,
    /// The authorities that vouch for the server, in PEM; those of the system if none.
    pub ca_file: Option<PathBuf>,
    /// The schema that everything stands in.
    pub schema: String,
    /// How long opening a connection may take.
    pub connect_timeout: Duration,
    /// At most so many connections at once.
    pub connections: usize,
}

/// The server, the database and who asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Address {
    /// A connection URL, which may hold a password and is kept as a secret.
    Url(SecretReference),
    /// Each by itself.
    Parts {
        /// A name or an address, or the directory of a Unix socket.
        host: String,
        /// The port.
        port: u16,
        /// The database.
        database: String,
        /// The role.
        user: String,
        /// Its password; none where the server asks for none.
        password: Option<SecretReference>,
    },
}

/// Whether the connection is encrypted, and the server known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tls {
    /// Encrypted, with a certificate for the host's name from an authority that is trusted.
    #[default]
    VerifyFull,
    /// Encrypted, with whoever answers.
    Require,
    /// In the clear.
    Off,
}

impl PostgresSettings {
    /// Every secret that it needs.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretReference> {
        match &self.address {
            Address::Url(url) => Some(url),
            Address::Parts { password, .. } => password.as_ref(),
        }
        .into_iter()
    }
}

/// The `postgres` destination.
pub struct PostgresDestination {
    pool: Arc<Pool>,
    /// The names of each tenant's accounts.
    names: Mutex<HashMap<TenantName, Arc<Names>>>,
}

impl PostgresDestination {
    /// Contacts nobody: connections are opened when they are needed, each with the secret read anew.
    pub fn new(settings: PostgresSettings, secrets: Secrets) -> Result<Self, DestinationError> {
        Ok(Self { pool: Arc::new(Pool::new(settings, secrets)?), names: Mutex::default() })
    }

    fn names_of(&self, tenant: &TenantName) -> Arc<Names> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(names.entry(tenant.clone()).or_default())
    }

    /// Makes the schema, or brings it to this version's.
    pub fn migrate(&self) -> Result<Migrated, DestinationError> {
        migrations::migrate(&self.pool)
    }
}

impl Destination for PostgresDestination {
    fn confirmed(&self, tenant: &TenantName, identity: &Identity) -> Result<Option<Summary>, DestinationError> {
        self.pool.ask(|session| merge::confirmed(session, tenant, identity))
    }

    fn can_match(&self) -> bool {
        true
    }

    fn unconfirmed(
        &self,
        tenant: &TenantName,
        identities: &[Identity],
    ) -> Result<Option<Vec<usize>>, DestinationError> {
        self.pool.ask(|session| merge::unconfirmed(session, tenant, identities)).map(Some)
    }

    fn lacks_accounts(&self, tenant: &TenantName) -> Result<Option<bool>, DestinationError> {
        self.pool
            .ask(|session| {
                session.value(
                    "look for accounts",
                    "SELECT NOT EXISTS (SELECT 1 FROM accounts a JOIN tenants t ON t.id = a.tenant WHERE t.name = $1)",
                    &[&tenant.as_str()],
                )
            })
            .map(Some)
    }

    fn visit_accounts(
        &self,
        tenant: &TenantName,
        wanted: Wanted<'_>,
        visitor: &mut dyn AccountVisitor,
    ) -> Result<(), DestinationError> {
        // Not asked a second time where the connection breaks: whoever listens would be told twice.
        let lease = self.pool.take()?;
        accounts::visit(lease.session(), tenant, wanted, visitor)?;
        lease.give_back();
        Ok(())
    }

    fn merge_users(&self, tenant: &TenantName, users: &[User]) -> Result<UsersMerged, DestinationError> {
        let lease = self.pool.take()?;
        let merged = users::merge(lease.session(), tenant, users)?;
        lease.give_back();
        Ok(merged)
    }

    fn visit_users(
        &self,
        tenant: &TenantName,
        wanted: Wanted<'_>,
        visitor: &mut UserVisitor<'_>,
    ) -> Result<(), DestinationError> {
        let lease = self.pool.take()?;
        users::visit(lease.session(), tenant, wanted, visitor)?;
        lease.give_back();
        Ok(())
    }

    fn taken(
        &self,
        tenant: &TenantName,
        integration: &IntegrationName,
        dedup_key: &DedupKey,
    ) -> Result<Option<Taken>, DestinationError> {
        self.pool.ask(|session| mended::taken(session, tenant, integration, dedup_key))
    }

    fn rename(
        &self,
        tenant: &TenantName,
        from: &IntegrationName,
        to: &IntegrationName,
    ) -> Result<(), DestinationError> {
        self.pool.ask(|session| rename::rename(session, tenant, from, to))
    }

    fn relocate(
        &self,
        tenant: &TenantName,
        integration: &IntegrationName,
        step: &Relocation,
    ) -> Result<(), DestinationError> {
        self.pool.ask(|session| relocate::relocate(session, tenant, integration, step))
    }

    fn stage(&self, delivery: Delivery) -> Result<Box<dyn Staging>, DestinationError> {
        let names = self.names_of(&delivery.tenant);
        Ok(Box::new(PostgresStaging::begin(self.pool.take()?, names, delivery)))
    }
}
