//! Account fields: what this object says of them becomes contributions, and the values that count follow (R2).
//!
//! A value is what one would have after applying all contributions in the order of their `as_of`: overwriting ones
//! replace, `if_empty` ones fill what is empty, appending ones unite, and a clear empties. In closed form: whatever
//! is older than the newest clear or overwrite no longer matters, and of the rest the oldest value counts, united with
//! the appended ones. That is a function of the set of contributions, so the order in which files came is gone.
//!
//! Applying the newest object to what stands there gives the same at less cost, and is the usual case.

use rusqlite::params;

use crate::batch::{MatchKey, WriteMode};
use crate::destination::DestinationError;
use crate::destination::relational::{
    effective_write_mode, semantic_name, type_name, user_lookup, write_mode_name, write_mode_number,
};

use super::merge::Merge;
use super::staging::StagedField;
use super::users;

const WHAT: &str = "merge account fields";

/// A field that this merge writes.
struct Field<'c> {
    id: i64,
    /// Its place among the staged ones.
    place: usize,
    staged: &'c StagedField,
}

pub(super) fn merge_fields(merge: &mut Merge<'_>) -> Result<(), DestinationError> {
    let staged = merge.staged;
    let fields: Vec<Field<'_>> = staged
        .fields
        .iter()
        .enumerate()
        .map(|(place, field)| Ok(Field { id: describe(merge, field)?, place, staged: field }))
        .collect::<Result<_, DestinationError>>()?;
    merge.db.batch(
        WHAT,
        "CREATE TABLE staging.changed (account INTEGER PRIMARY KEY);
         CREATE TABLE staging.touched (field INTEGER, account INTEGER, PRIMARY KEY (field, account)) WITHOUT ROWID;
         CREATE TABLE staging.folded (account INTEGER PRIMARY KEY, value, ingestion INTEGER)",
    )?;
    if !merge.earlier.is_empty() {
        take_back(merge)?;
        touch_followers(merge)?;
    }
    users::look_up(merge)?;
    if !merge.superseded {
        record_accounts(merge)?;
        for field in &fields {
            contribute(merge, field)?;
        }
        // Fields that accounts are known by were contributed by the matching.
        let mut written: Vec<(i64, WriteMode)> =
            fields.iter().map(|field| (field.id, effective_write_mode(&field.staged.field))).collect();
        for id in match_fields(merge)? {
            if written.iter().all(|(known, _)| *known != id) {
                written.push((id, WriteMode::Overwrite));
            }
        }
        let direct = merge.newest && merge.earlier.is_empty();
        for (id, write_mode) in written {
            if direct { apply(merge, id, write_mode)? } else { touch(merge, id)? }
        }
    }
    for field in merge.db.rows(WHAT, "SELECT DISTINCT field FROM staging.touched", [], |row| row.get(0))? {
        fold(merge, field)?;
    }
    count_changes(merge)
}

/// Finds or adds the field; its description is the newest one's.
fn describe(merge: &Merge<'_>, staged: &StagedField) -> Result<i64, DestinationError> {
    let field = &staged.field;
    let brought = type_name(field.value_type);
    let (semantic, write_mode) = (semantic_name(field.semantic), write_mode_name(effective_write_mode(&staged.field)));
    let found =
        merge.db.first(WHAT, "SELECT id, value_type FROM main.fields WHERE key = ?1", [&field.name], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
        })?;
    let Some((id, stored)) = found else {
        merge.db.run(
            WHAT,
            "INSERT INTO main.fields (key, value_type, semantic, unit, write_mode, described_by)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![field.name, brought, semantic, field.unit, write_mode, merge.as_of],
        )?;
        return Ok(merge.db.last_id());
    };
    if stored != brought {
        return Err(DestinationError::FieldType { field: field.name.clone(), stored, brought: brought.to_owned() });
    }
    merge.db.run(
        WHAT,
        "UPDATE main.fields SET semantic = ?2, unit = ?3, write_mode = ?4, described_by = ?5
         WHERE id = ?1 AND described_by <= ?5",
        params![id, semantic, field.unit, write_mode, merge.as_of],
    )?;
    Ok(id)
}

/// Takes back what earlier generations contributed (R1) and notes which values that may change.
fn take_back(merge: &Merge<'_>) -> Result<(), DestinationError> {
    let earlier = merge.earlier_list();
    let mine = format!(
        "FROM main.account_records r CROSS JOIN main.fields f
         CROSS JOIN main.account_contributions c
           ON c.field = f.id AND c.account = r.account AND c.ingestion = r.ingestion
         WHERE r.ingestion IN ({earlier})"
    );
    merge.db.run(WHAT, &format!("INSERT OR IGNORE INTO staging.touched SELECT c.field, c.account {mine}"), [])?;
    let sql = format!(
        "DELETE FROM main.account_contributions WHERE (field, account, ingestion) IN
         (SELECT c.field, c.account, c.ingestion {mine})"
    );
    merge.db.run(WHAT, &sql, [])?;
    let sql = format!("DELETE FROM main.account_records WHERE ingestion IN ({earlier})");
    merge.db.run(WHAT, &sql, [])?;
    Ok(())
}

/// Notes the values of mended rejects that now follow this object.
fn touch_followers(merge: &Merge<'_>) -> Result<(), DestinationError> {
    let sql = format!(
        "INSERT OR IGNORE INTO staging.touched SELECT c.field, c.account
         FROM main.account_records r CROSS JOIN main.fields f
         CROSS JOIN main.account_contributions c
           ON c.field = f.id AND c.account = r.account AND c.ingestion = r.ingestion
         WHERE r.ingestion IN ({})",
        merge.followers()
    );
    merge.db.run(WHAT, &sql, [])?;
    Ok(())
}

/// Records which accounts the object's account records are about.
fn record_accounts(merge: &Merge<'_>) -> Result<(), DestinationError> {
    let tables: Vec<String> = merge
        .staged
        .account_rows
        .iter()
        .map(|rows| format!("SELECT position, identifier FROM staging.{}", rows.name))
        .collect();
    if tables.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "INSERT OR REPLACE INTO main.account_records
         SELECT {}, r.account, max(v.position) FROM ({}) v
         CROSS JOIN staging.resolved r ON r.identifier = v.identifier
         WHERE r.account > 0 GROUP BY r.account",
        merge.ingestion,
        tables.join(" UNION ALL ")
    );
    merge.db.run(WHAT, &sql, [])?;
    Ok(())
}

/// Turns the rows of one field into one contribution an account. What stands before the last clear does not matter;
/// of the rest the last row overwrites, the first fills what is empty, and lists unite.
fn contribute(merge: &Merge<'_>, field: &Field<'_>) -> Result<(), DestinationError> {
    let (me, id) = (merge.ingestion, field.id);
    let mode = effective_write_mode(&field.staged.field);
    let number = write_mode_number(mode);
    let tables: Vec<String> = field
        .staged
        .columns
        .iter()
        .map(|(table, column)| match user_lookup(&field.staged.field) {
            None => {
                format!(
                    "SELECT position, identifier, {column} AS value FROM staging.{table} WHERE {column} IS NOT NULL"
                )
            }
            Some(_) => format!(
                "SELECT s.position, s.identifier, coalesce(l.user, s.{column}) AS value FROM staging.{table} s
                 LEFT JOIN staging.lookups l ON l.field = {} AND l.value = s.{column}
                 WHERE l.user IS NOT NULL OR typeof(s.{column}) = 'blob'",
                field.place
            ),
        })
        .collect();
    let mut with = format!(
        "WITH v AS (SELECT r.account, s.position, s.value FROM ({}) s
         CROSS JOIN staging.resolved r ON r.identifier = s.identifier WHERE r.account > 0)",
        tables.join(" UNION ALL ")
    );
    let (mut from, mut clears, mut kept) = ("v".to_owned(), "0", "");
    if field.staged.clears {
        with.push_str(
            ", c AS (SELECT account, max(position) AS position FROM v WHERE typeof(value) = 'blob' GROUP BY account)",
        );
        let sql = format!(
            "{with} INSERT OR REPLACE INTO main.account_contributions
             SELECT {id}, account, {me}, NULL, 1, {number} FROM c"
        );
        merge.db.run(WHAT, &sql, [])?;
        from = "v LEFT JOIN c ON c.account = v.account".to_owned();
        clears = "c.position IS NOT NULL";
        kept = "WHERE typeof(v.value) <> 'blob' AND (c.position IS NULL OR v.position > c.position)";
    }
    // With a single max() or min(), SQLite takes the other columns from the row that has it.
    let value = match mode {
        WriteMode::Overwrite => "v.value AS value, max(v.position)",
        WriteMode::IfEmpty => "v.value AS value, min(v.position)",
        WriteMode::Append => {
            from.push_str(" JOIN json_each(v.value) j");
            "json_group_array(DISTINCT j.value ORDER BY j.value) AS value"
        }
    };
    let sql = format!(
        "{with} INSERT OR REPLACE INTO main.account_contributions
         SELECT {id}, account, {me}, value, clears, {number}
         FROM (SELECT v.account AS account, {clears} AS clears, {value} FROM {from} {kept} GROUP BY v.account)"
    );
    merge.db.run(WHAT, &sql, [])?;
    Ok(())
}

/// The fields that this object's identifiers name.
fn match_fields(merge: &Merge<'_>) -> Result<Vec<i64>, DestinationError> {
    let mut ids = Vec::new();
    for key in merge.staged.layouts.iter().flatten().flatten() {
        if let MatchKey::Field(field) = key {
            let id = merge.db.first(WHAT, "SELECT id FROM main.fields WHERE key = ?1", [field], |row| row.get(0))?;
            ids.extend(id.filter(|id| !ids.contains(id)));
        }
    }
    Ok(ids)
}

/// This object's contributions to one field, by account.
fn own_contributions(merge: &Merge<'_>, field: i64) -> String {
    let me = merge.ingestion;
    format!(
        "main.account_records r CROSS JOIN main.account_contributions c
           ON c.field = {field} AND c.account = r.account AND c.ingestion = {me}"
    )
}

/// Applies the newest object's contributions to what stands there.
fn apply(merge: &Merge<'_>, field: i64, write_mode: WriteMode) -> Result<(), DestinationError> {
    let (me, own) = (merge.ingestion, own_contributions(merge, field));
    let base = "CASE WHEN c.clears THEN NULL ELSE v.value END";
    // What the value becomes, and whether this object is then the one that gave it.
    let (value, gives) = match write_mode {
        WriteMode::Overwrite => ("c.value".to_owned(), "TRUE".to_owned()),
        WriteMode::IfEmpty => (format!("coalesce({base}, c.value)"), format!("({base}) IS NULL")),
        WriteMode::Append => (
            format!(
                "CASE WHEN c.value IS NULL THEN {base} ELSE (SELECT json_group_array(value ORDER BY value) FROM
                   (SELECT value FROM json_each({base}) UNION SELECT value FROM json_each(c.value))) END"
            ),
            "TRUE".to_owned(),
        ),
    };
    let from = format!(
        "{own} LEFT JOIN main.account_values v ON v.field = {field} AND v.account = r.account WHERE r.ingestion = {me}"
    );
    // Accounts made by this merge are counted as created, not as updated.
    let last = merge.last_account;
    let changed = format!(
        "INSERT OR IGNORE INTO staging.changed
         SELECT r.account FROM {from} AND r.account <= {last} AND {gives} AND v.value IS NOT {value}"
    );
    merge.db.run(WHAT, &changed, [])?;
    let sql = format!(
        "INSERT OR REPLACE INTO main.account_values SELECT {field}, r.account, {value}, {me} FROM {from} AND {gives}"
    );
    merge.db.run(WHAT, &sql, [])?;
    Ok(())
}

/// Notes that the accounts of this object's contributions need folding.
fn touch(merge: &Merge<'_>, field: i64) -> Result<(), DestinationError> {
    let sql = format!(
        "INSERT OR IGNORE INTO staging.touched SELECT {field}, r.account FROM {} WHERE r.ingestion = {}",
        own_contributions(merge, field),
        merge.ingestion
    );
    merge.db.run(WHAT, &sql, [])?;
    Ok(())
}

/// Works the touched values of one field out anew from all their contributions.
fn fold(merge: &Merge<'_>, field: i64) -> Result<(), DestinationError> {
    let sql = format!(
        "DELETE FROM staging.folded;
         INSERT INTO staging.folded
         WITH contributed AS (
           SELECT t.account, c.ingestion, c.value, c.clears, c.write_mode, i.as_of,
             max(CASE WHEN c.clears OR c.write_mode = 0 THEN i.as_of END) OVER (PARTITION BY t.account) AS emptied
           FROM staging.touched t
           CROSS JOIN main.account_contributions c ON c.field = t.field AND c.account = t.account
           CROSS JOIN main.ingestions i ON i.id = c.ingestion
           WHERE t.field = {field}
         ), ranked AS (
           SELECT *, row_number() OVER (PARTITION BY account ORDER BY value IS NULL, as_of) AS rank
           FROM contributed WHERE emptied IS NULL OR as_of >= emptied
         ), united AS (
           SELECT r.account, json_group_array(DISTINCT j.value ORDER BY j.value) AS value
           FROM ranked r JOIN json_each(r.value) j
           WHERE (r.rank = 1 OR r.write_mode = 2)
             AND r.account IN (SELECT account FROM ranked WHERE write_mode = 2 AND value IS NOT NULL)
           GROUP BY r.account
         ), appended AS (
           SELECT account, ingestion, max(as_of) FROM ranked WHERE write_mode = 2 AND value IS NOT NULL GROUP BY account
         )
         SELECT r.account, coalesce(u.value, r.value), coalesce(a.ingestion, r.ingestion)
         FROM ranked r LEFT JOIN united u ON u.account = r.account LEFT JOIN appended a ON a.account = r.account
         WHERE r.rank = 1;
         INSERT OR IGNORE INTO staging.changed
         SELECT t.account FROM staging.touched t
         LEFT JOIN staging.folded f ON f.account = t.account
         LEFT JOIN main.account_values v ON v.field = t.field AND v.account = t.account
         WHERE t.field = {field} AND t.account <= {last} AND f.value IS NOT v.value;
         INSERT OR REPLACE INTO main.account_values SELECT {field}, account, value, ingestion FROM staging.folded;
         DELETE FROM main.account_values WHERE field = {field} AND account IN
           (SELECT account FROM staging.touched WHERE field = {field} EXCEPT SELECT account FROM staging.folded)",
        last = merge.last_account
    );
    merge.db.batch(WHAT, &sql)
}

fn count_changes(merge: &mut Merge<'_>) -> Result<(), DestinationError> {
    let last = merge.last_account;
    merge.merged.updated = merge.db.count(WHAT, "SELECT count(*) FROM staging.changed")?;
    let sql = format!(
        "SELECT count(*) FROM main.account_records r WHERE r.ingestion = {} AND r.account <= {last}
         AND NOT EXISTS (SELECT 1 FROM staging.changed c WHERE c.account = r.account)",
        merge.ingestion
    );
    merge.merged.unchanged = merge.db.count(WHAT, &sql)?;
    Ok(())
}
