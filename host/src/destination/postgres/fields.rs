//! Account fields: what this object says of them becomes contributions, and the values that count follow (R2), by the
//! rules of `sqlite/fields.rs`: whatever is older than the newest clear or overwrite no longer matters, and of the rest
//! the oldest value counts, united with the appended ones. Applying the newest object to what stands there gives the
//! same at less cost, and is the usual case.
//!
//! All fields are worked on at once, so a statement's cost is that of its rows and not of the number of fields.

use crate::batch::{OutputField, WriteMode};
use crate::destination::DestinationError;
use crate::destination::relational::{
    effective_write_mode, semantic_name, type_name, write_mode_name, write_mode_number,
};

use super::merge::{Merge, storable};
use super::users;

const WHAT: &str = "merge account fields";

pub(super) fn merge_fields(merge: &mut Merge<'_>) -> Result<(), DestinationError> {
    let staged = merge.staged;
    for (number, field) in (0_i32..).zip(&staged.fields) {
        describe(merge, number, field)?;
    }
    if !merge.earlier.is_empty() {
        take_back(merge)?;
        touch_followers(merge)?;
    }
    users::look_up(merge)?;
    if !merge.superseded {
        record_accounts(merge)?;
        contribute(merge)?;
        if merge.newest && merge.earlier.is_empty() { apply(merge)? } else { touch(merge)? }
    }
    if merge.db.value(WHAT, "SELECT EXISTS (SELECT 1 FROM merge_touched)", &[])? {
        fold(merge)?;
    }
    count_changes(merge)
}

/// Finds or adds the field; its description is the newest one's.
fn describe(merge: &Merge<'_>, number: i32, field: &OutputField) -> Result<(), DestinationError> {
    let brought = type_name(field.value_type);
    let write_mode = effective_write_mode(field);
    let (semantic, mode_name) = (semantic_name(field.semantic), write_mode_name(write_mode));
    let (key, unit) = (storable(&field.name), field.unit.as_deref().map(storable));
    merge.db.run(
        WHAT,
        "INSERT INTO fields AS f (tenant, key, value_type, semantic, unit, write_mode, described_by)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (tenant, key) DO UPDATE
         SET semantic = excluded.semantic, unit = excluded.unit, write_mode = excluded.write_mode, described_by = excluded.described_by
         WHERE f.described_by <= excluded.described_by AND f.value_type = excluded.value_type",
        &[&merge.tenant, &key, &brought, &semantic, &unit, &mode_name, &merge.as_of],
    )?;
    let (id, stored): (i64, String) = merge
        .db
        .first(
            WHAT,
            "SELECT id, value_type FROM fields WHERE tenant = $1 AND key = $2",
            &[&merge.tenant, &key],
            |row| Ok((row.try_get(0)?, row.try_get(1)?)),
        )?
        .unwrap_or_default();
    if stored != brought {
        return Err(DestinationError::FieldType { field: field.name.clone(), stored, brought: brought.to_owned() });
    }
    let mode = i16::from(write_mode_number(write_mode));
    merge.db.run(WHAT, "INSERT INTO merge_fields VALUES ($1, $2, $3)", &[&number, &id, &mode])?;
    Ok(())
}

/// Takes back what earlier generations contributed (R1) and notes which values that may change.
fn take_back(merge: &Merge<'_>) -> Result<(), DestinationError> {
    merge.db.run(
        WHAT,
        "WITH taken AS (
           DELETE FROM account_contributions c USING account_records r, fields f
           WHERE r.ingestion = ANY ($1) AND f.tenant = $2
             AND c.field = f.id AND c.account = r.account AND c.ingestion = r.ingestion
           RETURNING c.field, c.account)
         INSERT INTO merge_touched SELECT DISTINCT field, account FROM taken",
        &[&merge.earlier, &merge.tenant],
    )?;
    merge.db.run(WHAT, "DELETE FROM account_records WHERE ingestion = ANY ($1)", &[&merge.earlier])?;
    Ok(())
}

/// Notes the values of mended rejects that now follow this object.
fn touch_followers(merge: &Merge<'_>) -> Result<(), DestinationError> {
    merge.db.run(
        WHAT,
        "INSERT INTO merge_touched
         SELECT DISTINCT c.field, c.account FROM account_records r
         JOIN fields f ON f.tenant = $2
         JOIN account_contributions c ON c.field = f.id AND c.account = r.account AND c.ingestion = r.ingestion
         WHERE r.ingestion = ANY ($1)
         EXCEPT SELECT field, account FROM merge_touched",
        &[&merge.followers(), &merge.tenant],
    )?;
    Ok(())
}

/// Records which accounts the object's account records are about.
fn record_accounts(merge: &Merge<'_>) -> Result<(), DestinationError> {
    merge.db.run(
        WHAT,
        "INSERT INTO account_records (ingestion, account, position)
         SELECT $1, r.account, max(v.position) FROM staged_accounts v
         JOIN merge_resolved r ON r.identifier = v.identifier
         WHERE r.account > 0 GROUP BY r.account
         ON CONFLICT (ingestion, account) DO UPDATE SET position = excluded.position",
        &[&merge.ingestion],
    )?;
    Ok(())
}

/// Turns the rows into one contribution a value. What stands before the last clear does not matter; of the rest the last
/// row overwrites, the first fills what is empty, and lists unite.
fn contribute(merge: &Merge<'_>) -> Result<(), DestinationError> {
    let brought = "WITH brought AS (
           SELECT f.field, f.write_mode, r.account, s.position, s.value,
             max(s.position) FILTER (WHERE s.value IS NULL) OVER (PARTITION BY f.field, r.account) AS cleared
           FROM staged_values s
           JOIN merge_fields f ON f.staged = s.field
           JOIN merge_resolved r ON r.identifier = s.identifier
           WHERE r.account > 0)";
    let replaces = "ON CONFLICT (field, account) DO UPDATE
         SET value = excluded.value, clears = excluded.clears, write_mode = excluded.write_mode";
    let (if_empty, append) = (write_mode_number(WriteMode::IfEmpty), write_mode_number(WriteMode::Append));
    let sql = format!(
        "{brought} INSERT INTO merge_contributions
         SELECT DISTINCT ON (field, account) field, account, value, cleared IS NOT NULL, write_mode
         FROM brought WHERE write_mode <> {append} AND (cleared IS NULL OR position >= cleared)
         ORDER BY field, account, value IS NULL, CASE write_mode WHEN {if_empty} THEN position ELSE -position END {replaces}"
    );
    merge.db.run(WHAT, &sql, &[])?;
    if merge.staged.fields.iter().any(|field| effective_write_mode(field) == WriteMode::Append) {
        let sql = format!(
            "{brought}, united AS (
               SELECT b.field, b.account, bool_or(b.cleared IS NOT NULL) AS clears,
                 '[' || string_agg(DISTINCT to_json(item)::text COLLATE \"C\", ',' ORDER BY to_json(item)::text COLLATE \"C\") || ']' AS value
               FROM brought b
               LEFT JOIN LATERAL json_array_elements_text(CASE WHEN b.write_mode = {append} THEN b.value::json END) item ON true
               WHERE b.write_mode = {append} AND (b.cleared IS NULL OR b.position >= b.cleared)
               GROUP BY b.field, b.account)
             INSERT INTO merge_contributions
             SELECT field, account, value, clears, {append} FROM united WHERE clears OR value IS NOT NULL {replaces}"
        );
        merge.db.run(WHAT, &sql, &[])?;
    }
    merge.db.batch(WHAT, "ANALYZE merge_contributions")?;
    merge.db.run(
        WHAT,
        "INSERT INTO account_contributions (field, account, ingestion, value, clears, write_mode)
         SELECT field, account, $1, value, clears, write_mode FROM merge_contributions ORDER BY field, account",
        &[&merge.ingestion],
    )?;
    Ok(())
}

/// Applies the newest object's contributions to what stands there.
fn apply(merge: &Merge<'_>) -> Result<(), DestinationError> {
    // What the value becomes, and whether this object is then the one that gave it. Accounts made by this merge are
    // counted as created, not as updated.
    merge.db.run(
        WHAT,
        "WITH applied AS MATERIALIZED (
           SELECT c.field, c.account, v.value AS before, CASE c.write_mode
               WHEN 0 THEN c.value
               WHEN 1 THEN coalesce(v.base, c.value)
               ELSE CASE WHEN c.value IS NULL THEN v.base ELSE list_union(v.base, c.value) END
             END AS value
           FROM merge_contributions c
           LEFT JOIN account_values s ON s.field = c.field AND s.account = c.account
           CROSS JOIN LATERAL (SELECT s.value, CASE WHEN c.clears THEN NULL ELSE s.value END AS base) v
           WHERE c.write_mode <> 1 OR v.base IS NULL
         ), changed AS (
           INSERT INTO merge_changed SELECT DISTINCT account FROM applied WHERE account <= $2 AND before IS DISTINCT FROM value
         )
         INSERT INTO account_values (field, account, value, ingestion)
         SELECT field, account, value, $1 FROM applied ORDER BY field, account
         ON CONFLICT (field, account) DO UPDATE SET value = excluded.value, ingestion = excluded.ingestion",
        &[&merge.ingestion, &merge.last_account],
    )?;
    Ok(())
}

/// Notes that the accounts of this object's contributions need folding.
fn touch(merge: &Merge<'_>) -> Result<(), DestinationError> {
    merge.db.run(
        WHAT,
        "INSERT INTO merge_touched SELECT field, account FROM merge_contributions EXCEPT SELECT field, account FROM merge_touched",
        &[],
    )?;
    Ok(())
}

/// Works the touched values out anew from all their contributions.
fn fold(merge: &Merge<'_>) -> Result<(), DestinationError> {
    merge.db.batch(WHAT, "ANALYZE merge_touched")?;
    merge.db.run(
        WHAT,
        "INSERT INTO merge_folded
         WITH contributed AS (
           SELECT t.field, t.account, c.ingestion, c.value, c.write_mode, i.as_of,
             first_value(CASE WHEN c.clears OR c.write_mode = 0 THEN i.as_of END) OVER (
               PARTITION BY t.field, t.account
               ORDER BY CASE WHEN c.clears OR c.write_mode = 0 THEN i.as_of END DESC NULLS LAST) AS emptied
           FROM merge_touched t
           JOIN account_contributions c ON c.field = t.field AND c.account = t.account
           JOIN ingestions i ON i.id = c.ingestion
         ), ranked AS (
           SELECT *,
             row_number() OVER (PARTITION BY field, account ORDER BY value IS NULL, as_of) AS rank,
             bool_or(write_mode = 2 AND value IS NOT NULL) OVER (PARTITION BY field, account) AS appends
           FROM contributed WHERE emptied IS NULL OR as_of >= emptied
         ), united AS (
           SELECT r.field, r.account,
             '[' || string_agg(DISTINCT to_json(item)::text COLLATE \"C\", ',' ORDER BY to_json(item)::text COLLATE \"C\") || ']' AS value
           FROM ranked r
           CROSS JOIN LATERAL json_array_elements_text(
             CASE WHEN r.appends AND (r.rank = 1 OR r.write_mode = 2) THEN r.value::json END) item
           GROUP BY r.field, r.account
         ), appended AS (
           SELECT DISTINCT ON (field, account) field, account, ingestion
           FROM ranked WHERE write_mode = 2 AND value IS NOT NULL ORDER BY field, account, as_of DESC
         )
         SELECT r.field, r.account, coalesce(u.value, r.value), coalesce(a.ingestion, r.ingestion)
         FROM ranked r
         LEFT JOIN united u ON u.field = r.field AND u.account = r.account
         LEFT JOIN appended a ON a.field = r.field AND a.account = r.account
         WHERE r.rank = 1",
        &[],
    )?;
    merge.db.run(
        WHAT,
        "INSERT INTO merge_changed
         SELECT DISTINCT t.account FROM merge_touched t
         LEFT JOIN merge_folded f ON f.field = t.field AND f.account = t.account
         LEFT JOIN account_values v ON v.field = t.field AND v.account = t.account
         WHERE t.account <= $1 AND f.value IS DISTINCT FROM v.value",
        &[&merge.last_account],
    )?;
    merge.db.batch(
        WHAT,
        "INSERT INTO account_values (field, account, value, ingestion)
         SELECT field, account, value, ingestion FROM merge_folded ORDER BY field, account
         ON CONFLICT (field, account) DO UPDATE SET value = excluded.value, ingestion = excluded.ingestion;
         DELETE FROM account_values v USING merge_touched t
         WHERE v.field = t.field AND v.account = t.account
           AND NOT EXISTS (SELECT 1 FROM merge_folded f WHERE f.field = t.field AND f.account = t.account)",
    )
}

fn count_changes(merge: &mut Merge<'_>) -> Result<(), DestinationError> {
    merge.merged.updated = merge.db.count(WHAT, "SELECT count(DISTINCT account) FROM merge_changed")?;
    let sql = format!(
        "SELECT count(*) FROM account_records r WHERE r.ingestion = {} AND r.account <= {}
         AND NOT EXISTS (SELECT 1 FROM merge_changed c WHERE c.account = r.account)",
        merge.ingestion, merge.last_account
    );
    merge.merged.unchanged = merge.db.count(WHAT, &sql)?;
    Ok(())
}
