//! Users: keeping those that an import brings, telling of them, and finding those that account fields mean.

use std::ops::ControlFlow;
use std::path::Path;

use rusqlite::{Connection, OpenFlags, TransactionBehavior, params};

use crate::batch::UserKey;
use crate::destination::DestinationError;
use crate::destination::accounts::Wanted;
use crate::destination::relational::{EXAMPLES, user_lookup};
use crate::destination::users::{User, UserVisitor, UsersMerged};

use super::merge::Merge;
use super::store::{Statements, open, sqlite_error};

/// Adds users, or changes those that are there; a blank address or name keeps what was known. No id stands there twice.
pub(super) fn merge(connection: &mut Connection, path: &Path, users: &[User]) -> Result<UsersMerged, DestinationError> {
    const WHAT: &str = "merge users";
    let failed = |source| sqlite_error(WHAT, path, source);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    let db = Statements::new(&transaction, path);
    let before = db.count(WHAT, "SELECT count(*) FROM users")?;
    let mut written = 0;
    {
        let mut write = transaction
            .prepare(
                "INSERT INTO users AS u (id, email, name) VALUES (?1, ?2, ?3) ON CONFLICT (id) DO UPDATE
                 SET email = coalesce(excluded.email, u.email), name = coalesce(excluded.name, u.name)
                 WHERE coalesce(excluded.email, u.email) IS NOT u.email OR coalesce(excluded.name, u.name) IS NOT u.name",
            )
            .map_err(failed)?;
        for user in users {
            written += write.execute(params![user.id, user.email, user.name]).map_err(failed)? as u64;
        }
    }
    let created = db.count(WHAT, "SELECT count(*) FROM users")? - before;
    transaction.commit().map_err(failed)?;
    Ok(UsersMerged { created, updated: written - created, unchanged: users.len() as u64 - written })
}

/// Tells of the users of a store, in the order of their ids. The store is neither made nor migrated.
pub(super) fn visit(path: &Path, wanted: Wanted<'_>, visitor: &mut UserVisitor<'_>) -> Result<(), DestinationError> {
    const WHAT: &str = "read the users";
    if !path.exists() {
        return Ok(());
    }
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let db = Statements::new(&connection, path);
    // Users came with the second schema.
    if db.value::<i64>(WHAT, "PRAGMA user_version")? < 2 {
        return Ok(());
    }
    let text = match wanted {
        Wanted::All => None,
        Wanted::Like(text) => Some(text.trim()),
    };
    let mut read = || {
        let mut statement = connection.prepare(
            "SELECT id, email, name FROM users
             WHERE ?1 IS NULL OR id = ?1 OR instr(lower(email), lower(?1)) > 0 OR instr(lower(name), lower(?1)) > 0
             ORDER BY id",
        )?;
        let mut rows = statement.query([text])?;
        while let Some(row) = rows.next()? {
            let user = User { id: row.get(0)?, email: row.get(1)?, name: row.get(2)? };
            if visitor(&user) == ControlFlow::Break(()) {
                break;
            }
        }
        rusqlite::Result::Ok(())
    };
    read().map_err(|source| sqlite_error(WHAT, path, source))
}

/// Finds the users that this object's fields mean, each text once: `staging.lookups (field, value, user)`, where `field` is
/// the place among the staged ones. A text that means no user, or several, has none; how many values that were, counts.
pub(super) fn look_up(merge: &mut Merge<'_>) -> Result<(), DestinationError> {
    const WHAT: &str = "look up users";
    merge.db.batch(
        WHAT,
        "CREATE TABLE staging.lookups (field INTEGER, value TEXT, user TEXT, PRIMARY KEY (field, value)) WITHOUT ROWID",
    )?;
    for (number, field) in merge.staged.fields.iter().enumerate() {
        let Some(key) = user_lookup(&field.field) else { continue };
        let tables: Vec<String> = field
            .columns
            .iter()
            .map(|(table, column)| {
                format!(
                    "SELECT position, identifier, {column} AS value FROM staging.{table} WHERE typeof({column}) = 'text'"
                )
            })
            .collect();
        let values = tables.join(" UNION ALL ");
        let is_meant = match key {
            UserKey::Id => "u.id = v.value",
            UserKey::Email => "lower(u.email) = lower(v.value)",
            UserKey::Name => "lower(u.name) = lower(v.value)",
        };
        let sql = format!(
            "INSERT INTO staging.lookups
             SELECT {number}, v.value, (SELECT CASE count(*) WHEN 1 THEN min(u.id) END FROM main.users u WHERE {is_meant})
             FROM (SELECT DISTINCT value FROM ({values})) v"
        );
        merge.db.run(WHAT, &sql, [])?;
        let unknown = format!(
            "({values}) v JOIN staging.lookups l ON l.field = {number} AND l.value = v.value AND l.user IS NULL
             WHERE EXISTS (SELECT 1 FROM staging.resolved r WHERE r.identifier = v.identifier AND r.account > 0)"
        );
        merge.merged.unknown_users += merge.db.count(WHAT, &format!("SELECT count(*) FROM {unknown}"))?;
        let room = EXAMPLES.saturating_sub(merge.merged.unknown_user_examples.len());
        let sql = format!("SELECT v.value FROM {unknown} GROUP BY v.value ORDER BY min(v.position) LIMIT {room}");
        merge.merged.unknown_user_examples.extend(merge.db.rows(WHAT, &sql, [], |row| row.get::<_, String>(0))?);
    }
    Ok(())
}
