//! The schema's versions, each in the statements that lead to it from the one before.
//!
//! The table `schema_versions` says which were applied and when; a schema without it is version 0.

use std::sync::Arc;

use crate::destination::DestinationError;

use super::pool::Pool;
use super::session::Session;

const MIGRATIONS: [&str; 2] = [include_str!("schema.sql"), include_str!("users.sql")];

/// What a migration did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migrated {
    /// The version that was there; 0 for none.
    pub from: i64,
    /// The version that is there now.
    pub to: i64,
}

/// Refuses a schema that is not this version's.
pub(super) fn check(session: &Session, schema: &str) -> Result<(), DestinationError> {
    let (found, known) = (version(session, schema)?, newest());
    let path = format!("schema {schema} of {}", session.server());
    match found {
        newer if newer > known => Err(DestinationError::Schema { path, found, known }),
        older if older < known => Err(DestinationError::Unmigrated { path, found, known }),
        _ => Ok(()),
    }
}

/// Brings the schema to this version, in one transaction.
pub(super) fn migrate(pool: &Arc<Pool>) -> Result<Migrated, DestinationError> {
    let session = pool.connect()?;
    let schema = pool.schema();
    let what = "migrate";
    // The connection is closed afterwards, which takes back what a failure left.
    session.batch(what, "BEGIN")?;
    session.run(what, "SELECT pg_advisory_xact_lock(hashtextextended('gristmill ' || $1, 0))", &[&schema])?;
    let (from, to) = (version(&session, schema)?, newest());
    if from > to {
        check(&session, schema)?;
    }
    if from == to {
        return Ok(Migrated { from, to });
    }
    if from == 0 {
        begin(&session, schema)?;
    }
    session.batch(what, &format!("SET LOCAL search_path TO \"{schema}\""))?;
    let done = usize::try_from(from).unwrap_or_default();
    for (number, migration) in (1_i64..).zip(MIGRATIONS).skip(done) {
        session.batch(what, migration)?;
        session.run(what, "INSERT INTO schema_versions (version) VALUES ($1)", &[&number])?;
    }
    session.batch(what, "COMMIT")?;
    Ok(Migrated { from, to })
}

fn newest() -> i64 {
    MIGRATIONS.len() as i64
}

/// The version that a schema has; 0 where there is none.
fn version(session: &Session, schema: &str) -> Result<i64, DestinationError> {
    let what = "read the schema version";
    let table = format!("\"{schema}\".schema_versions");
    let made: bool = session.value(what, "SELECT to_regclass($1) IS NOT NULL", &[&table])?;
    if !made {
        return Ok(0);
    }
    session.value(what, &format!("SELECT coalesce(max(version), 0) FROM {table}"), &[])
}

/// Makes an empty schema; nobody else's tables stand in it, and the database holds every character.
fn begin(session: &Session, schema: &str) -> Result<(), DestinationError> {
    let what = "make the schema";
    let encoding: String = session.value(what, "SELECT current_setting('server_encoding')", &[])?;
    if encoding != "UTF8" {
        return Err(DestinationError::Encoding { server: session.server().to_owned(), encoding });
    }
    let occupied: bool = session.value(
        what,
        "SELECT EXISTS (SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1)",
        &[&schema],
    )?;
    if occupied {
        return Err(DestinationError::Occupied { schema: schema.to_owned(), server: session.server().to_owned() });
    }
    session.batch(
        what,
        &format!(
            "CREATE SCHEMA IF NOT EXISTS \"{schema}\";
             COMMENT ON SCHEMA \"{schema}\" IS
               'Accounts and usage that Gristmill took from buckets. Begin with the views account_overview, \
                account_field_values, usage_records, ingestion_history and rejected_rows.';
             CREATE TABLE \"{schema}\".schema_versions (
               version bigint PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
        ),
    )
}
