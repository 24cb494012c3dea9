//! From identifiers to accounts, set-wise.
//!
//! Each distinct combination of identifier values is looked up once. Its strategies are tried in order: the next one on
//! a blank or no match, never on an ambiguous one.
//!
//! With `on_no_match = "create"`, what matched nothing becomes accounts, one for each distinct combination of values of
//! the first strategy that is not blank, and each account takes on all identifier values that its records bring. Keys
//! are only ever added, so with one strategy the accounts and their keys are the same whatever the order of files.
//! With several, which account a record falls back to depends on the accounts there are when it comes: a file that
//! names both keys of two accounts known by one each joins the first. An account's `id` is given by the store, so a
//! strategy that asks for an `id` creates nothing. A replay that no longer brings an account leaves it (R3).

use rusqlite::params;

use crate::batch::{Identifier, MatchKey};
use crate::destination::relational::type_name;
use crate::destination::{DestinationError, OnNoMatch};

use super::merge::Merge;

/// Fills `staging.resolved`: for each identifier its account, 0 if several match, -1 if none does.
pub(super) fn match_accounts(merge: &mut Merge<'_>) -> Result<(), DestinationError> {
    merge.db.batch(
        "match accounts",
        "CREATE TABLE staging.resolved (identifier INTEGER PRIMARY KEY, account INTEGER NOT NULL)",
    )?;
    let layouts = &merge.staged.layouts;
    let strategies: Vec<Vec<Strategy>> =
        layouts.iter().map(|layout| Strategy::numbered(merge, layout)).collect::<Result<_, _>>()?;
    for (layout, strategies) in strategies.iter().enumerate() {
        for strategy in strategies {
            match_strategy(merge, layout, strategy, "")?;
        }
    }
    if merge.staged.delivery.matching.on_no_match == OnNoMatch::Create {
        for (layout, strategies) in strategies.iter().enumerate() {
            add_keys(merge, layout, strategies)?;
            create_accounts(merge, layout, strategies)?;
        }
        for (layout, strategies) in strategies.iter().enumerate() {
            add_field_values(merge, layout, strategies)?;
        }
    }
    for layout in 0..layouts.len() {
        let sql = format!(
            "INSERT INTO staging.resolved SELECT i.identifier, -1 FROM staging.identifiers_{layout} i WHERE {UNRESOLVED}"
        );
        merge.db.run("match accounts", &sql, [])?;
    }
    Ok(())
}

const UNRESOLVED: &str = "NOT EXISTS (SELECT 1 FROM staging.resolved r WHERE r.identifier = i.identifier)";

/// One strategy with the staged columns of its keys.
struct Strategy {
    keys: Vec<Key>,
}

struct Key {
    /// `i.kN`, where `i` is the table of identifiers.
    column: String,
    target: Target,
}

/// Where a key's values are looked up.
enum Target {
    /// Among the account keys of this kind.
    Kind(&'static str),
    /// Among the ids of accounts.
    Id,
    /// Among the current values of a field.
    Field { id: i64, value_type: String },
    /// In a field that nobody has written yet.
    UnknownField,
}

impl Strategy {
    fn numbered(merge: &Merge<'_>, layout: &[Identifier]) -> Result<Vec<Self>, DestinationError> {
        let mut number = 0;
        let mut strategies = Vec::new();
        for identifier in layout {
            let mut keys = Vec::new();
            for key in identifier {
                let target = match key {
                    MatchKey::CrmId => Target::Kind("crm_id"),
                    MatchKey::Domain => Target::Kind("domain"),
                    MatchKey::Name => Target::Kind("name"),
                    MatchKey::Id => Target::Id,
                    MatchKey::Field(field) => match_field(merge, field)?,
                };
                keys.push(Key { column: format!("i.k{number}"), target });
                number += 1;
            }
            strategies.push(Self { keys });
        }
        Ok(strategies)
    }

    /// True where no key of this strategy is blank.
    fn present(&self) -> String {
        let conditions: Vec<String> = self.keys.iter().map(|key| format!("{} IS NOT NULL", key.column)).collect();
        conditions.join(" AND ")
    }

    /// Whether an account can be made from these keys.
    fn creates(&self) -> bool {
        self.keys.iter().all(|key| match key.target {
            Target::Kind(_) | Target::Field { .. } => true,
            Target::Id | Target::UnknownField => false,
        })
    }

    /// True where no key is blank and each can be stored so that it is found again.
    fn creatable(&self) -> String {
        let mut condition = self.present();
        for key in &self.keys {
            if let Target::Field { value_type, .. } = &key.target {
                let stored = stored_as(value_type, &key.column);
                condition.push_str(&format!(" AND CAST({stored} AS TEXT) = {}", key.column));
            }
        }
        condition
    }

    /// The joins that find the accounts, and the account they find; none if nothing can be found.
    fn joins(&self) -> Option<(String, &'static str)> {
        let mut joins = String::new();
        let mut account = "";
        for (index, Key { column, target }) in self.keys.iter().enumerate() {
            let (table, own, condition) = match target {
                Target::Kind(kind) => {
                    ("account_keys", "account", format!("a{index}.kind = '{kind}' AND a{index}.value = {column}"))
                }
                Target::Id => {
                    let condition =
                        format!("a{index}.id = CAST({column} AS INTEGER) AND CAST(a{index}.id AS TEXT) = {column}");
                    ("accounts", "id", condition)
                }
                Target::Field { id, .. } => {
                    let condition = format!("a{index}.field = {id} AND CAST(a{index}.value AS TEXT) = {column}");
                    ("account_values", "account", condition)
                }
                Target::UnknownField => return None,
            };
            joins.push_str(&format!(" CROSS JOIN main.{table} a{index} ON {condition}"));
            if index == 0 {
                account = if own == "id" { "a0.id" } else { "a0.account" };
            } else {
                joins.push_str(&format!(" AND a{index}.{own} = {account}"));
            }
        }
        Some((joins, account))
    }
}

/// A field as a match key. Its current values get an index of their own, which SQLite keeps from then on.
fn match_field(merge: &Merge<'_>, field: &str) -> Result<Target, DestinationError> {
    let look_up = || {
        merge.db.first("look up a field", "SELECT id, value_type FROM main.fields WHERE key = ?1", [field], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
        })
    };
    let mut found = look_up()?;
    if found.is_none() && merge.staged.delivery.matching.on_no_match == OnNoMatch::Create {
        // The object may bring the field itself and say what it is; otherwise it is text.
        let value_type = merge.staged.fields.iter().find(|staged| staged.field.name == field);
        let value_type = value_type.map_or("text", |staged| type_name(staged.field.value_type));
        merge.db.run(
            "record a field",
            "INSERT INTO main.fields (key, value_type, semantic, unit, write_mode, described_by)
             VALUES (?1, ?2, 'plain', NULL, 'overwrite', ?3)",
            params![field, value_type, merge.as_of],
        )?;
        found = look_up()?;
    }
    let Some((id, value_type)) = found else {
        return Ok(Target::UnknownField);
    };
    let sql = format!(
        "CREATE INDEX IF NOT EXISTS main.account_values_of_field_{id} ON account_values (CAST(value AS TEXT)) WHERE field = {id}"
    );
    merge.db.batch("index a field", &sql)?;
    Ok(Target::Field { id, value_type })
}

/// An identifier's text as a value of the field's type.
fn stored_as(value_type: &str, column: &str) -> String {
    match value_type {
        "integer" | "boolean" => format!("CAST({column} AS INTEGER)"),
        "float" => format!("CAST({column} AS REAL)"),
        _ => column.to_owned(),
    }
}

/// Matches what is not resolved yet by one strategy.
fn match_strategy(
    merge: &Merge<'_>,
    layout: usize,
    strategy: &Strategy,
    condition: &str,
) -> Result<(), DestinationError> {
    let Some((joins, account)) = strategy.joins() else {
        return Ok(());
    };
    let sql = format!(
        "INSERT INTO staging.resolved
         SELECT i.identifier, CASE WHEN min({account}) = max({account}) THEN min({account}) ELSE 0 END
         FROM staging.identifiers_{layout} i{joins}
         WHERE {UNRESOLVED} {condition} GROUP BY i.identifier",
    );
    merge.db.run("match accounts", &sql, [])?;
    Ok(())
}

/// Adds the identifier values of matched records to the keys of their accounts. A single strategy matched by them all.
fn add_keys(merge: &Merge<'_>, layout: usize, strategies: &[Strategy]) -> Result<(), DestinationError> {
    if strategies.len() < 2 {
        return Ok(());
    }
    for key in strategies.iter().flat_map(|strategy| &strategy.keys) {
        let Target::Kind(kind) = key.target else { continue };
        let sql = format!(
            "INSERT OR IGNORE INTO main.account_keys
             SELECT '{kind}', {column}, r.account FROM staging.identifiers_{layout} i
             CROSS JOIN staging.resolved r ON r.identifier = i.identifier
             WHERE r.account > 0 AND {column} IS NOT NULL",
            column = key.column
        );
        merge.db.run("add account keys", &sql, [])?;
    }
    Ok(())
}

fn create_accounts(merge: &mut Merge<'_>, layout: usize, strategies: &[Strategy]) -> Result<(), DestinationError> {
    let what = "create accounts";
    let me = merge.ingestion;
    // What has a value in an earlier strategy that can create belongs to that one.
    let mut condition = String::new();
    for (number, strategy) in strategies.iter().enumerate().filter(|(_, strategy)| strategy.creates()) {
        let creatable = strategy.creatable();
        let mine = format!("AND {creatable}{condition}");
        condition.push_str(&format!(" AND NOT ({creatable})"));
        if layout > 0 || number > 0 {
            // Accounts made a moment ago may be the ones.
            match_strategy(merge, layout, strategy, &mine)?;
        }
        let missing: bool = merge.db.value(
            what,
            &format!("SELECT EXISTS (SELECT 1 FROM staging.identifiers_{layout} i WHERE {UNRESOLVED} {mine})"),
        )?;
        if !missing {
            continue;
        }
        let created = format!("created_{layout}_{number}");
        let columns: Vec<&str> = strategy.keys.iter().map(|key| key.column.as_str()).collect();
        let names: Vec<String> = (0..columns.len()).map(|index| format!("c{index}")).collect();
        let (columns, names) = (columns.join(", "), names.join(", "));
        let last: i64 = merge.db.value(what, "SELECT coalesce(max(id), 0) FROM main.accounts")?;
        merge.db.batch(
            what,
            &format!(
                "CREATE TABLE staging.{created} (account INTEGER PRIMARY KEY, {names});
                 INSERT INTO staging.{created}
                 SELECT {last} + row_number() OVER (ORDER BY min(i.identifier)), {columns}
                 FROM staging.identifiers_{layout} i WHERE {UNRESOLVED} {mine} GROUP BY {columns};
                 CREATE INDEX staging.{created}_keys ON {created} ({names});
                 INSERT INTO main.accounts
                 SELECT account, {me}, strftime('%Y-%m-%dT%H:%M:%fZ', 'now') FROM staging.{created};"
            ),
        )?;
        merge.merged.created += merge.db.count(what, &format!("SELECT count(*) FROM staging.{created}"))?;
        let mut same = Vec::new();
        for (index, key) in strategy.keys.iter().enumerate() {
            same.push(format!("c.c{index} = {}", key.column));
            let sql = match &key.target {
                Target::Kind(kind) => format!(
                    "INSERT OR IGNORE INTO main.account_keys SELECT '{kind}', c{index}, account FROM staging.{created}"
                ),
                Target::Field { id, value_type } => format!(
                    "INSERT OR IGNORE INTO main.account_values
                     SELECT {id}, account, {}, {me} FROM staging.{created}",
                    stored_as(value_type, &format!("c{index}"))
                ),
                Target::Id | Target::UnknownField => continue,
            };
            merge.db.run(what, &sql, [])?;
        }
        let sql = format!(
            "INSERT INTO staging.resolved SELECT i.identifier, c.account FROM staging.identifiers_{layout} i
             CROSS JOIN staging.{created} c ON {} WHERE {UNRESOLVED} {mine}",
            same.join(" AND ")
        );
        merge.db.run(what, &sql, [])?;
        add_keys(merge, layout, strategies)?;
    }
    Ok(())
}

/// A field that accounts are known by is a field like any other: every record that names it says its value.
fn add_field_values(merge: &Merge<'_>, layout: usize, strategies: &[Strategy]) -> Result<(), DestinationError> {
    let (what, me) = ("add account keys", merge.ingestion);
    for key in strategies.iter().flat_map(|strategy| &strategy.keys) {
        let Target::Field { id, value_type } = &key.target else {
            continue;
        };
        let stored = stored_as(value_type, &key.column);
        let from = format!(
            "FROM staging.identifiers_{layout} i CROSS JOIN staging.resolved r ON r.identifier = i.identifier
             WHERE r.account > 0 AND {column} IS NOT NULL AND CAST({stored} AS TEXT) = {column}",
            column = key.column
        );
        let sql = format!(
            "INSERT OR IGNORE INTO main.account_contributions
             SELECT {id}, account, {me}, stored, 0, 0
             FROM (SELECT r.account AS account, {stored} AS stored, max(i.identifier) {from} GROUP BY r.account)"
        );
        merge.db.run(what, &sql, [])?;
        // Rows of the table come later; until then the record's place is its first.
        let sql = format!("INSERT OR IGNORE INTO main.account_records SELECT {me}, r.account, 0 {from}");
        merge.db.run(what, &sql, [])?;
    }
    Ok(())
}
