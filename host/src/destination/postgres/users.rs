//! Users: keeping those that an import brings, telling of them, and finding those that account fields mean.

use std::ops::ControlFlow;

use crate::batch::UserKey;
use crate::destination::DestinationError;
use crate::destination::accounts::Wanted;
use crate::destination::relational::{EXAMPLES, user_lookup};
use crate::destination::users::{User, UserVisitor, UsersMerged};
use crate::object::TenantName;

use super::merge::{Merge, lock_tenant, storable};
use super::session::Session;

/// How many users are sent or fetched at once.
const LOT: usize = 1_000;

/// Adds users, or changes those that are there; a blank address or name keeps what was known. No id stands there twice.
pub(super) fn merge(session: &Session, tenant: &TenantName, users: &[User]) -> Result<UsersMerged, DestinationError> {
    const WHAT: &str = "merge users";
    // The connection is closed after a failure, which takes everything back.
    session.batch(WHAT, "BEGIN ISOLATION LEVEL READ COMMITTED")?;
    let tenant = lock_tenant(session, tenant)?;
    let count = || session.value::<i64>(WHAT, "SELECT count(*) FROM users WHERE tenant = $1", &[&tenant]);
    let before = count()?;
    let mut written = 0;
    for lot in users.chunks(LOT) {
        let ids: Vec<String> = lot.iter().map(|user| storable(&user.id)).collect();
        let emails: Vec<Option<String>> = lot.iter().map(|user| user.email.as_deref().map(storable)).collect();
        let names: Vec<Option<String>> = lot.iter().map(|user| user.name.as_deref().map(storable)).collect();
        written += session.run(
            WHAT,
            "INSERT INTO users AS u (tenant, id, email, name)
             SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[])
             ON CONFLICT (tenant, id) DO UPDATE
             SET email = coalesce(excluded.email, u.email), name = coalesce(excluded.name, u.name)
             WHERE coalesce(excluded.email, u.email) IS DISTINCT FROM u.email
                OR coalesce(excluded.name, u.name) IS DISTINCT FROM u.name",
            &[&tenant, &ids, &emails, &names],
        )?;
    }
    let created = u64::try_from(count()? - before).unwrap_or_default();
    session.batch(WHAT, "COMMIT")?;
    Ok(UsersMerged { created, updated: written - created, unchanged: users.len() as u64 - written })
}

/// Tells of a tenant's users, in the order of their ids, as they stood at one moment.
pub(super) fn visit(
    session: &Session,
    tenant: &TenantName,
    wanted: Wanted<'_>,
    visitor: &mut UserVisitor<'_>,
) -> Result<(), DestinationError> {
    const WHAT: &str = "read the users";
    session.batch(WHAT, "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")?;
    let text = match wanted {
        Wanted::All => None,
        Wanted::Like(text) => Some(storable(text.trim())),
    };
    session.run(
        WHAT,
        "DECLARE users_in_turn NO SCROLL CURSOR FOR
         SELECT u.id, u.email, u.name FROM users u JOIN tenants t ON t.id = u.tenant
         WHERE t.name = $1 AND ($2::text COLLATE \"C\" IS NULL OR u.id = $2
           OR strpos(lower(u.email), lower($2 COLLATE \"C\")) > 0 OR strpos(lower(u.name), lower($2 COLLATE \"C\")) > 0)
         ORDER BY u.id",
        &[&tenant.as_str(), &text],
    )?;
    loop {
        let lot = session.rows(WHAT, &format!("FETCH {LOT} FROM users_in_turn"), &[], |row| {
            Ok(User { id: row.try_get(0)?, email: row.try_get(1)?, name: row.try_get(2)? })
        })?;
        if lot.iter().try_for_each(&mut *visitor) == ControlFlow::Break(()) || lot.len() < LOT {
            return session.batch(WHAT, "COMMIT");
        }
    }
}

/// Finds the users that this object's fields mean, each text once, and puts their ids in its place. A text that means no
/// user, or several, is left out; how many values that were, counts.
pub(super) fn look_up(merge: &mut Merge<'_>) -> Result<(), DestinationError> {
    const WHAT: &str = "look up users";
    let mut looks = false;
    for (number, field) in (0_i32..).zip(&merge.staged.fields) {
        let Some(key) = user_lookup(field) else { continue };
        looks = true;
        let is_meant = match key {
            UserKey::Id => "u.id = v.value",
            UserKey::Email => "lower(u.email) = lower(v.value)",
            UserKey::Name => "lower(u.name) = lower(v.value)",
        };
        let sql = format!(
            "INSERT INTO merge_lookups
             SELECT $1, v.value,
               (SELECT CASE count(*) WHEN 1 THEN min(u.id) END FROM users u WHERE u.tenant = $2 AND {is_meant})
             FROM (SELECT DISTINCT value FROM staged_values WHERE field = $1 AND value IS NOT NULL) v"
        );
        merge.db.run(WHAT, &sql, &[&number, &merge.tenant])?;
    }
    if !looks {
        return Ok(());
    }
    merge.db.batch(WHAT, "ANALYZE merge_lookups")?;
    let unknown =
        "staged_values v JOIN merge_lookups l ON l.field = v.field AND l.value = v.value AND l.user_id IS NULL
         WHERE EXISTS (SELECT 1 FROM merge_resolved r WHERE r.identifier = v.identifier AND r.account > 0)";
    merge.merged.unknown_users = merge.db.count(WHAT, &format!("SELECT count(*) FROM {unknown}"))?;
    let sql = format!(
        "SELECT v.value FROM {unknown} GROUP BY v.field, v.value ORDER BY v.field, min(v.position) LIMIT {EXAMPLES}"
    );
    merge.merged.unknown_user_examples = merge.db.rows(WHAT, &sql, &[], |row| row.try_get::<_, String>(0))?;
    merge.db.run(
        WHAT,
        "DELETE FROM staged_values v USING merge_lookups l
         WHERE l.field = v.field AND l.value = v.value AND l.user_id IS NULL",
        &[],
    )?;
    merge.db.run(
        WHAT,
        "UPDATE staged_values v SET value = l.user_id FROM merge_lookups l WHERE l.field = v.field AND l.value = v.value",
        &[],
    )?;
    Ok(())
}
