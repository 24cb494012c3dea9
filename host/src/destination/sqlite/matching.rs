//! From identifiers to accounts, set-wise.
//!
//! Each distinct combination of identifier values is looked up once. Its strategies are tried in order: the next one on
//! a blank or no match, never on an ambiguous one. Names are compared as they stand, in the normalized form that is kept
//! beside each, or by an index of all of them in memory that lasts until one is added.
//!
//! With `on_no_match = "create"`, what matched nothing becomes accounts, one for each distinct combination of values of
//! the first strategy that is not blank, and each account takes on all identifier values that its records bring. Keys
//! are only ever added, so with one strategy the accounts and their keys are the same whatever the order of files.
//! With several, which account a record falls back to depends on the accounts there are when it comes: a file that
//! names both keys of two accounts known by one each joins the first. An account's `id` is given by the store, so a
//! strategy that asks for an `id` creates nothing. A replay that no longer brings an account leaves it (R3).

use rusqlite::params;

use crate::batch::{Identifier, MatchKey};
use crate::destination::names::Search;
use crate::destination::relational::matching::{CONFLICT, NONE, NORMALIZED, chosen, names_among};
use crate::destination::relational::type_name;
use crate::destination::{Conflict, DestinationError, NameMatch, OnNoMatch};
use crate::object::Share;

use super::merge::Merge;

/// Fills `staging.resolved`: for each identifier its account (or all of them), or what stands there instead.
pub(super) fn match_accounts(merge: &mut Merge<'_>) -> Result<(), DestinationError> {
    merge.db.batch(
        "match accounts",
        "CREATE TABLE staging.resolved (identifier INTEGER, account INTEGER, PRIMARY KEY (identifier, account)) WITHOUT ROWID",
    )?;
    let layouts = &merge.staged.layouts;
    let strategies: Vec<Vec<Strategy>> = layouts
        .iter()
        .enumerate()
        .map(|(number, layout)| Strategy::all(merge, number, layout))
        .collect::<Result<_, _>>()?;
    for (layout, strategies) in strategies.iter().enumerate() {
        for strategy in strategies {
            strategy.find_similar_names(merge, layout)?;
            match_strategy(merge, layout, strategy, "")?;
        }
        if merge.staged.delivery.matching.conflict != Conflict::First {
            strategies.iter().skip(1).try_for_each(|strategy| find_conflicts(merge, layout, strategy))?;
        }
    }
    if merge.staged.delivery.matching.on_no_match == OnNoMatch::Create {
        for (layout, strategies) in strategies.iter().enumerate() {
            add_keys(merge, layout, strategies)?;
            create_accounts(merge, layout, strategies)?;
        }
        for (layout, strategies) in strategies.iter().enumerate() {
            add_names(merge, layout)?;
            add_field_values(merge, layout, strategies)?;
        }
    }
    for layout in 0..layouts.len() {
        let sql = format!(
            "INSERT INTO staging.resolved SELECT i.identifier, {NONE} FROM staging.identifiers_{layout} i WHERE {UNRESOLVED}"
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
    /// What of it is compared.
    compared: String,
    target: Target,
}

/// Where a key's values are looked up.
enum Target {
    /// Among the account keys of this kind.
    Kind(&'static str),
    /// Among the names found to be similar, in this table.
    Similar { table: String, threshold: Share, margin: Share },
    /// Among the ids of accounts.
    Id,
    /// Among the current values of a field.
    Field { id: i64, value_type: String },
    /// In a field that nobody has written yet.
    UnknownField,
}

impl Strategy {
    fn all(merge: &Merge<'_>, layout_number: usize, layout: &[Identifier]) -> Result<Vec<Self>, DestinationError> {
        let mut number = 0;
        let mut strategies = Vec::new();
        for identifier in layout {
            let mut keys = Vec::new();
            for key in identifier {
                let target = match key {
                    MatchKey::CrmId => Target::Kind("crm_id"),
                    MatchKey::Domain => Target::Kind("domain"),
                    MatchKey::Name => match merge.staged.delivery.matching.name_match {
                        NameMatch::Exact => Target::Kind("name"),
                        NameMatch::Normalized => Target::Kind(NORMALIZED),
                        NameMatch::Fuzzy { threshold, margin } => Target::Similar {
                            table: format!("staging.similar_{layout_number}_{number}"),
                            threshold,
                            margin,
                        },
                    },
                    MatchKey::Id => Target::Id,
                    MatchKey::Field(field) => match_field(merge, field)?,
                };
                let column = format!("i.k{number}");
                let compared = match target {
                    Target::Kind(NORMALIZED) | Target::Similar { .. } => format!("i.n{number}"),
                    Target::Kind(_) | Target::Id | Target::Field { .. } | Target::UnknownField => column.clone(),
                };
                keys.push(Key { column, compared, target });
                number += 1;
            }
            strategies.push(Self { keys });
        }
        Ok(strategies)
    }

    /// True where no key of this strategy is blank.
    fn present(&self) -> String {
        let conditions: Vec<String> = self.keys.iter().map(|key| format!("{} IS NOT NULL", key.compared)).collect();
        conditions.join(" AND ")
    }

    /// Whether an account can be made from these keys.
    fn creates(&self) -> bool {
        self.keys.iter().all(|key| match key.target {
            Target::Kind(_) | Target::Field { .. } => true,
            Target::Similar { .. } | Target::Id | Target::UnknownField => false,
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
        for (index, Key { column, compared, target }) in self.keys.iter().enumerate() {
            let (table, own, condition) = match target {
                Target::Kind(kind) => {
                    let condition = format!("a{index}.kind = '{kind}' AND a{index}.value = {compared}");
                    ("main.account_keys", "account", condition)
                }
                Target::Similar { table, .. } => (table.as_str(), "account", format!("a{index}.name = {compared}")),
                Target::Id => {
                    let condition =
                        format!("a{index}.id = CAST({column} AS INTEGER) AND CAST(a{index}.id AS TEXT) = {column}");
                    ("main.accounts", "id", condition)
                }
                Target::Field { id, .. } => {
                    let condition = format!("a{index}.field = {id} AND CAST(a{index}.value AS TEXT) = {column}");
                    ("main.account_values", "account", condition)
                }
                Target::UnknownField => return None,
            };
            joins.push_str(&format!(" CROSS JOIN {table} a{index} ON {condition}"));
            if index == 0 {
                account = if own == "id" { "a0.id" } else { "a0.account" };
            } else {
                joins.push_str(&format!(" AND a{index}.{own} = {account}"));
            }
        }
        Some((joins, account))
    }

    /// Makes the tables of names that are similar to those looked up.
    fn find_similar_names(&self, merge: &Merge<'_>, layout: usize) -> Result<(), DestinationError> {
        let what = "look for similar names";
        for Key { compared, target, .. } in &self.keys {
            let Target::Similar { table, threshold, margin } = target else { continue };
            let create =
                format!("CREATE TABLE {table} (name TEXT, account INTEGER, PRIMARY KEY (name, account)) WITHOUT ROWID");
            merge.db.batch(what, &create)?;
            let index = merge.names.index(
                threshold.less(*margin),
                || merge.db.count(what, "SELECT count(*) FROM main.account_keys WHERE kind = 'normalized_name'"),
                || all_names(merge),
            )?;
            let mut search = Search::default();
            // Conflicts are looked for in what is resolved, too.
            let wanted = match merge.staged.delivery.matching.conflict {
                Conflict::First => UNRESOLVED,
                Conflict::Skip | Conflict::Error => "true",
            };
            let names = format!(
                "SELECT DISTINCT {compared} FROM staging.identifiers_{layout} i WHERE {compared} IS NOT NULL AND {wanted}"
            );
            let insert = format!("INSERT INTO {table} VALUES (?1, ?2)");
            merge.db.each(what, &names, |row| {
                let name: String = row.get(0)?;
                let accounts = index.find(&name, *threshold, *margin, &mut search);
                accounts.into_iter().try_for_each(|account| merge.db.run_again(&insert, params![name, account]))
            })?;
        }
        Ok(())
    }
}

/// The names of all accounts, in normalized form and in their order.
fn all_names(merge: &Merge<'_>) -> Result<Vec<(String, i64)>, DestinationError> {
    let sql = "SELECT value, account FROM main.account_keys WHERE kind = 'normalized_name' ORDER BY value, account";
    let mut names = Vec::new();
    merge.db.each("read the names of accounts", sql, |row| {
        names.push((row.get(0)?, row.get(1)?));
        Ok(())
    })?;
    Ok(names)
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
    let (chosen, group) = chosen(merge.staged.delivery.matching.on_multiple, account);
    let sql = format!(
        "INSERT INTO staging.resolved SELECT i.identifier, {chosen} FROM staging.identifiers_{layout} i{joins}
         WHERE {UNRESOLVED} {condition} GROUP BY 1{group}",
    );
    merge.db.run("match accounts", &sql, [])?;
    Ok(())
}

/// Marks what an earlier strategy matched with an account, and this one with others only.
fn find_conflicts(merge: &Merge<'_>, layout: usize, strategy: &Strategy) -> Result<(), DestinationError> {
    let Some((joins, account)) = strategy.joins() else {
        return Ok(());
    };
    let conflicting = format!(
        "SELECT i.identifier FROM staging.identifiers_{layout} i{joins}
         CROSS JOIN staging.resolved r ON r.identifier = i.identifier AND r.account > 0
         GROUP BY 1 HAVING NOT max({account} = r.account)"
    );
    // Where all accounts of a strategy are taken, one mark stands for them.
    let sql = format!(
        "CREATE TABLE staging.conflicting AS {conflicting};
         DELETE FROM staging.resolved WHERE identifier IN (SELECT identifier FROM staging.conflicting);
         INSERT INTO staging.resolved SELECT identifier, {CONFLICT} FROM staging.conflicting;
         DROP TABLE staging.conflicting"
    );
    merge.db.batch("compare strategies", &sql)
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
             SELECT '{kind}', {compared}, r.account FROM staging.identifiers_{layout} i
             CROSS JOIN staging.resolved r ON r.identifier = i.identifier
             WHERE r.account > 0 AND {compared} IS NOT NULL",
            compared = key.compared
        );
        merge.db.run("add account keys", &sql, [])?;
    }
    Ok(())
}

/// Keeps names as they were written, and in their normalized form, whichever of the two they matched by.
fn add_names(merge: &Merge<'_>, layout: usize) -> Result<(), DestinationError> {
    for name in names_among(&merge.staged.layouts[layout]) {
        for (kind, column) in [("name", format!("i.k{name}")), (NORMALIZED, format!("i.n{name}"))] {
            let sql = format!(
                "INSERT OR IGNORE INTO main.account_keys
                 SELECT '{kind}', {column}, r.account FROM staging.identifiers_{layout} i
                 CROSS JOIN staging.resolved r ON r.identifier = i.identifier
                 WHERE r.account > 0 AND {column} IS NOT NULL"
            );
            merge.db.run("add account keys", &sql, [])?;
        }
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
        let columns: Vec<&str> = strategy.keys.iter().map(|key| key.compared.as_str()).collect();
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
            same.push(format!("c.c{index} = {}", key.compared));
            let sql = match &key.target {
                Target::Kind(kind) => format!(
                    "INSERT OR IGNORE INTO main.account_keys SELECT '{kind}', c{index}, account FROM staging.{created}"
                ),
                Target::Field { id, value_type } => format!(
                    "INSERT OR IGNORE INTO main.account_values
                     SELECT {id}, account, {}, {me} FROM staging.{created}",
                    stored_as(value_type, &format!("c{index}"))
                ),
                Target::Similar { .. } | Target::Id | Target::UnknownField => continue,
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
