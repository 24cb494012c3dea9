//! From identifiers to accounts, set-wise, by the rules of `sqlite/matching.rs`: each distinct combination of identifier
//! values is looked up once; its strategies are tried in order, the next one on a blank or no match, never on an
//! ambiguous one; and with `on_no_match = "create"` what matched nothing becomes accounts.
//!
//! Names are normalized while they are staged, and similar ones are found by the index that `sqlite` uses, too: one
//! normal form and one measure for both stores, which then give the same answers, and no extension of the server's.

use crate::batch::{Identifier, MatchKey};
use crate::destination::names::Search;
use crate::destination::relational::matching::{CONFLICT, NONE, NORMALIZED, chosen, names_among};
use crate::destination::relational::type_name;
use crate::destination::{Conflict, DestinationError, NameMatch, OnNoMatch};
use crate::object::Share;

use super::copy::CopyRows;
use super::merge::{Merge, storable};

const WHAT: &str = "match accounts";
const UNRESOLVED: &str = "NOT EXISTS (SELECT 1 FROM merge_resolved r WHERE r.identifier = i.identifier)";

/// Fills `merge_resolved`.
pub(super) fn match_accounts(merge: &mut Merge<'_>) -> Result<(), DestinationError> {
    let layouts = &merge.staged.layouts;
    let strategies: Vec<Vec<Strategy>> =
        layouts.iter().map(|layout| Strategy::all(merge, layout)).collect::<Result<_, _>>()?;
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
    let sql =
        format!("INSERT INTO merge_resolved SELECT i.identifier, {NONE} FROM staged_identifiers i WHERE {UNRESOLVED}");
    merge.db.run(WHAT, &sql, &[])?;
    Ok(())
}

/// One strategy with the staged columns of its keys.
struct Strategy {
    keys: Vec<Key>,
}

struct Key {
    /// `i.keys[N]`, where `i` is the table of identifiers.
    column: String,
    /// What of it is compared.
    compared: String,
    target: Target,
}

/// Where a key's values are looked up.
enum Target {
    /// Among the account keys of this kind.
    Kind(&'static str),
    /// Among the names found to be similar.
    Similar { threshold: Share, margin: Share },
    /// Among the ids of accounts.
    Id,
    /// Among the current values of a field.
    Field { id: i64, value_type: String },
    /// In a field that nobody has written yet.
    UnknownField,
}

impl Strategy {
    fn all(merge: &Merge<'_>, layout: &[Identifier]) -> Result<Vec<Self>, DestinationError> {
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
                        NameMatch::Fuzzy { threshold, margin } => Target::Similar { threshold, margin },
                    },
                    MatchKey::Id => Target::Id,
                    MatchKey::Field(field) => match_field(merge, field)?,
                };
                number += 1;
                let column = format!("i.keys[{number}]");
                let compared = match target {
                    Target::Kind(NORMALIZED) | Target::Similar { .. } => format!("i.names[{number}]"),
                    Target::Kind(_) | Target::Id | Target::Field { .. } | Target::UnknownField => column.clone(),
                };
                keys.push(Key { column, compared, target });
            }
            strategies.push(Self { keys });
        }
        Ok(strategies)
    }

    /// What is compared as an array, for what is grouped and joined by all of it.
    fn columns(&self) -> String {
        let columns: Vec<&str> = self.keys.iter().map(|key| key.compared.as_str()).collect();
        format!("ARRAY[{}]", columns.join(", "))
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
        let conditions: Vec<String> = self.keys.iter().map(Key::is_storable).collect();
        conditions.join(" AND ")
    }

    /// The joins that find the accounts, and the account they find; none if nothing can be found.
    fn joins(&self, tenant: i32) -> Option<(String, &'static str)> {
        let mut joins = String::new();
        let mut account = "";
        for (index, Key { column, compared, target }) in self.keys.iter().enumerate() {
            let (table, own, condition) = match target {
                Target::Kind(kind) => (
                    "account_keys",
                    "account",
                    format!("a{index}.tenant = {tenant} AND a{index}.kind = '{kind}' AND a{index}.value = {compared}"),
                ),
                Target::Similar { .. } => ("merge_similar", "account", format!("a{index}.name = {compared}")),
                // Only the text that the id itself has.
                Target::Id => (
                    "accounts",
                    "id",
                    format!(
                        "a{index}.tenant = {tenant} \
                         AND a{index}.id = CASE WHEN {column} ~ '^[1-9][0-9]{{0,17}}$' THEN {column}::bigint END"
                    ),
                ),
                Target::Field { id, .. } => {
                    ("account_values", "account", format!("a{index}.field = {id} AND a{index}.value = {column}"))
                }
                Target::UnknownField => return None,
            };
            joins.push_str(&format!(" JOIN {table} a{index} ON {condition}"));
            if index == 0 {
                account = if own == "id" { "a0.id" } else { "a0.account" };
            } else {
                joins.push_str(&format!(" AND a{index}.{own} = {account}"));
            }
        }
        Some((joins, account))
    }

    /// Finds the accounts whose names are similar to those looked up.
    fn find_similar_names(&self, merge: &Merge<'_>, layout: usize) -> Result<(), DestinationError> {
        let what = "look for similar names";
        for Key { compared, target, .. } in &self.keys {
            let Target::Similar { threshold, margin } = target else { continue };
            let index = merge.names.index(
                threshold.less(*margin),
                || {
                    let sql = "SELECT count(*) FROM account_keys WHERE tenant = $1 AND kind = 'normalized_name'";
                    let names: i64 = merge.db.value(what, sql, &[&merge.tenant])?;
                    Ok(u64::try_from(names).unwrap_or_default())
                },
                || all_names(merge),
            )?;
            // Conflicts are looked for in what is resolved, too.
            let wanted = match merge.staged.delivery.matching.conflict {
                Conflict::First => UNRESOLVED,
                Conflict::Skip | Conflict::Error => "true",
            };
            let names = format!(
                "SELECT DISTINCT {compared} FROM staged_identifiers i
                 WHERE i.layout = {layout} AND {compared} IS NOT NULL AND {wanted}
                   AND NOT EXISTS (SELECT 1 FROM merge_similar s WHERE s.name = {compared})"
            );
            let mut search = Search::default();
            let mut similar = CopyRows::new(what, "COPY merge_similar FROM STDIN (FORMAT binary)", 2);
            merge.db.each(
                what,
                &names,
                &[],
                |row| row.try_get::<_, String>(0),
                |name| {
                    for account in index.find(&name, *threshold, *margin, &mut search) {
                        similar.row().text(&name).bigint(account);
                    }
                    similar.send_bundle(merge.db)
                },
            )?;
            similar.send(merge.db)?;
            merge.db.batch(what, "ANALYZE merge_similar")?;
        }
        Ok(())
    }
}

/// The names of all accounts, in normalized form and in their order.
fn all_names(merge: &Merge<'_>) -> Result<Vec<(String, i64)>, DestinationError> {
    let mut names = Vec::new();
    merge.db.each(
        "read the names of accounts",
        "SELECT value, account FROM account_keys WHERE tenant = $1 AND kind = 'normalized_name' ORDER BY value, account",
        &[&merge.tenant],
        |row| Ok((row.try_get(0)?, row.try_get(1)?)),
        |name| {
            names.push(name);
            Ok(())
        },
    )?;
    Ok(names)
}

impl Key {
    /// True where the value is not blank and stands in its target as it is written.
    fn is_storable(&self) -> String {
        let column = &self.compared;
        match &self.target {
            Target::Field { value_type, .. } => match value_type.as_str() {
                "integer" | "boolean" => format!("{column} ~ '^(0|-?[1-9][0-9]{{0,17}})$'"),
                "float" => format!(
                    "CASE WHEN {column} ~ '^-?[0-9]{{1,15}}([.][0-9]{{1,15}})?$' \
                     THEN {column}::double precision::text = {column} ELSE false END"
                ),
                _ => format!("{column} IS NOT NULL"),
            },
            Target::Kind(_) | Target::Similar { .. } | Target::Id | Target::UnknownField => {
                format!("{column} IS NOT NULL")
            }
        }
    }
}

/// A field as a match key.
fn match_field(merge: &Merge<'_>, field: &str) -> Result<Target, DestinationError> {
    let key = storable(field);
    if merge.staged.delivery.matching.on_no_match == OnNoMatch::Create {
        // The object may bring the field itself and say what it is; otherwise it is text.
        let value_type = merge.staged.fields.iter().find(|staged| staged.name == field);
        let value_type = value_type.map_or("text", |staged| type_name(staged.value_type));
        merge.db.run(
            "record a field",
            "INSERT INTO fields (tenant, key, value_type, semantic, unit, write_mode, described_by)
             VALUES ($1, $2, $3, 'plain', NULL, 'overwrite', $4) ON CONFLICT DO NOTHING",
            &[&merge.tenant, &key, &value_type, &merge.as_of],
        )?;
    }
    let found = merge.db.first(
        "look up a field",
        "SELECT id, value_type FROM fields WHERE tenant = $1 AND key = $2",
        &[&merge.tenant, &key],
        |row| Ok(Target::Field { id: row.try_get(0)?, value_type: row.try_get(1)? }),
    )?;
    Ok(found.unwrap_or(Target::UnknownField))
}

/// Matches what is not resolved yet by one strategy.
fn match_strategy(
    merge: &Merge<'_>,
    layout: usize,
    strategy: &Strategy,
    condition: &str,
) -> Result<(), DestinationError> {
    let Some((joins, account)) = strategy.joins(merge.tenant) else {
        return Ok(());
    };
    let (chosen, group) = chosen(merge.staged.delivery.matching.on_multiple, account);
    let sql = format!(
        "INSERT INTO merge_resolved SELECT i.identifier, {chosen} FROM staged_identifiers i{joins}
         WHERE i.layout = {layout} AND {UNRESOLVED} {condition} GROUP BY 1{group}",
    );
    merge.db.run(WHAT, &sql, &[])?;
    Ok(())
}

/// Marks what an earlier strategy matched with an account, and this one with others only.
fn find_conflicts(merge: &Merge<'_>, layout: usize, strategy: &Strategy) -> Result<(), DestinationError> {
    let Some((joins, account)) = strategy.joins(merge.tenant) else {
        return Ok(());
    };
    // Where all accounts of a strategy are taken, one mark stands for them.
    let sql = format!(
        "WITH conflicting AS MATERIALIZED (
           SELECT i.identifier FROM staged_identifiers i{joins}
           JOIN merge_resolved r ON r.identifier = i.identifier AND r.account > 0
           WHERE i.layout = {layout} GROUP BY 1 HAVING NOT bool_or({account} = r.account)
         ), taken_back AS (
           DELETE FROM merge_resolved r USING conflicting c WHERE r.identifier = c.identifier
         )
         INSERT INTO merge_resolved SELECT identifier, {CONFLICT} FROM conflicting"
    );
    merge.db.run("compare strategies", &sql, &[])?;
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
            "INSERT INTO account_keys (tenant, kind, value, account)
             SELECT DISTINCT {tenant}, '{kind}', {compared}, r.account FROM staged_identifiers i
             JOIN merge_resolved r ON r.identifier = i.identifier
             WHERE i.layout = {layout} AND r.account > 0 AND {compared} IS NOT NULL
             ON CONFLICT DO NOTHING",
            tenant = merge.tenant,
            compared = key.compared
        );
        merge.db.run("add account keys", &sql, &[])?;
    }
    Ok(())
}

/// Keeps names as they were written, and in their normalized form, whichever of the two they matched by.
fn add_names(merge: &Merge<'_>, layout: usize) -> Result<(), DestinationError> {
    let strategies = merge.staged.layouts.get(layout).map_or(&[][..], Vec::as_slice);
    for index in names_among(strategies) {
        let number = index + 1;
        for (kind, column) in [("name", format!("i.keys[{number}]")), (NORMALIZED, format!("i.names[{number}]"))] {
            let sql = format!(
                "INSERT INTO account_keys (tenant, kind, value, account)
                 SELECT DISTINCT {tenant}, '{kind}', {column}, r.account FROM staged_identifiers i
                 JOIN merge_resolved r ON r.identifier = i.identifier
                 WHERE i.layout = {layout} AND r.account > 0 AND {column} IS NOT NULL
                 ON CONFLICT DO NOTHING",
                tenant = merge.tenant
            );
            merge.db.run("add account keys", &sql, &[])?;
        }
    }
    Ok(())
}

fn create_accounts(merge: &mut Merge<'_>, layout: usize, strategies: &[Strategy]) -> Result<(), DestinationError> {
    let what = "create accounts";
    let (me, tenant) = (merge.ingestion, merge.tenant);
    // What has a value in an earlier strategy that can create belongs to that one.
    let mut condition = String::new();
    for (number, strategy) in strategies.iter().enumerate().filter(|(_, strategy)| strategy.creates()) {
        let creatable = strategy.creatable();
        let mine = format!("AND {creatable}{condition}");
        // A blank is neither storable nor not.
        condition.push_str(&format!(" AND ({creatable}) IS NOT TRUE"));
        if layout > 0 || number > 0 {
            // Accounts made a moment ago may be the ones.
            match_strategy(merge, layout, strategy, &mine)?;
        }
        let columns = strategy.columns();
        let sql = format!(
            "INSERT INTO merge_created
             SELECT {layout}, {number}, nextval('account_ids'), n.keys FROM (
               SELECT {columns} AS keys FROM staged_identifiers i
               WHERE i.layout = {layout} AND {UNRESOLVED} {mine} GROUP BY 1 ORDER BY min(i.identifier)) n"
        );
        let created = merge.db.run(what, &sql, &[])?;
        if created == 0 {
            continue;
        }
        merge.merged.created += created;
        let of_these = format!("FROM merge_created c WHERE c.layout = {layout} AND c.strategy = {number}");
        let sql = format!("INSERT INTO accounts (id, tenant, created_by) SELECT c.account, {tenant}, {me} {of_these}");
        merge.db.run(what, &sql, &[])?;
        for (index, key) in (1..).zip(&strategy.keys) {
            let sql = match &key.target {
                Target::Kind(kind) => format!(
                    "INSERT INTO account_keys (tenant, kind, value, account)
                     SELECT {tenant}, '{kind}', c.keys[{index}], c.account {of_these} ON CONFLICT DO NOTHING"
                ),
                Target::Field { id, .. } => format!(
                    "INSERT INTO account_values (field, account, value, ingestion)
                     SELECT {id}, c.account, c.keys[{index}], {me} {of_these} ON CONFLICT DO NOTHING"
                ),
                Target::Similar { .. } | Target::Id | Target::UnknownField => continue,
            };
            merge.db.run(what, &sql, &[])?;
        }
        let sql = format!(
            "INSERT INTO merge_resolved SELECT i.identifier, c.account FROM staged_identifiers i
             JOIN merge_created c ON c.layout = {layout} AND c.strategy = {number} AND c.keys = {columns}
             WHERE i.layout = {layout} AND {UNRESOLVED} {mine}"
        );
        merge.db.run(what, &sql, &[])?;
        add_keys(merge, layout, strategies)?;
    }
    Ok(())
}

/// A field that accounts are known by is a field like any other: every record that names it says its value.
fn add_field_values(merge: &Merge<'_>, layout: usize, strategies: &[Strategy]) -> Result<(), DestinationError> {
    let (what, me) = ("add account keys", merge.ingestion);
    for key in strategies.iter().flat_map(|strategy| &strategy.keys) {
        let Target::Field { id, .. } = &key.target else {
            continue;
        };
        let from = format!(
            "FROM staged_identifiers i JOIN merge_resolved r ON r.identifier = i.identifier
             WHERE i.layout = {layout} AND r.account > 0 AND {}",
            key.is_storable()
        );
        let sql = format!(
            "INSERT INTO merge_contributions (field, account, value, clears, write_mode)
             SELECT DISTINCT ON (r.account) {id}, r.account, {}, false, 0 {from} ORDER BY r.account, i.identifier DESC
             ON CONFLICT DO NOTHING",
            key.column
        );
        merge.db.run(what, &sql, &[])?;
        // Rows of the table come later; until then the record's place is its first.
        let sql = format!(
            "INSERT INTO account_records (ingestion, account, position) SELECT DISTINCT {me}, r.account, 0 {from} ON CONFLICT DO NOTHING"
        );
        merge.db.run(what, &sql, &[])?;
    }
    Ok(())
}
