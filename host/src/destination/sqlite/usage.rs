//! Usage: what this object brings becomes one contribution a usage record, and which contributions count follows (R9).
//!
//! Under `replace` the newest object's contribution counts, together with those of its mended rejects; under `add` those of the latest version of every key
//! count together, as far as they are newer than the newest replacing one. As with fields this is a function of the
//! set of contributions, whatever the order of files (R2). A key's newer version that no longer brings a record leaves
//! the older version's contribution standing (R3); a replay takes its own earlier contributions back (R1).

use rusqlite::params;

use crate::batch::{Repeat, Series, ValueType};
use crate::destination::DestinationError;
use crate::destination::relational::{aggregate_name, period_name, repeat_name, type_name};

use super::merge::Merge;

const WHAT: &str = "merge usage";

/// How far the row's date is shifted above its position, so that one number orders by date and then by position.
const DATE_SHIFT: u64 = 1 << 40;

pub(super) fn merge_usage(merge: &mut Merge<'_>) -> Result<(), DestinationError> {
    if merge.staged.series.is_empty() && merge.earlier.is_empty() {
        return Ok(());
    }
    merge.db.batch(
        WHAT,
        "CREATE TABLE staging.series (staged INTEGER PRIMARY KEY, series INTEGER, factor INTEGER, aggregate TEXT, adds INTEGER);
         CREATE TABLE staging.users_resolved (user INTEGER PRIMARY KEY, id INTEGER);
         CREATE TABLE staging.contested (series, period_start, PRIMARY KEY (series, period_start)) WITHOUT ROWID;
         CREATE TABLE staging.touched_usage (
           series, period_start, account, user, PRIMARY KEY (series, period_start, account, user)) WITHOUT ROWID;
         INSERT OR IGNORE INTO main.usage_users (kind, value) SELECT kind, value FROM staging.users ORDER BY user;
         INSERT INTO staging.users_resolved
         SELECT s.user, u.id FROM staging.users s CROSS JOIN main.usage_users u ON u.kind = s.kind AND u.value = s.value;
         INSERT INTO staging.users_resolved VALUES (0, 0);",
    )?;
    let mut adds = false;
    for (staged, series) in merge.staged.series.iter().enumerate() {
        describe(merge, staged, series)?;
        adds |= series.repeat == Repeat::Add;
    }
    if !merge.earlier.is_empty() {
        take_back(merge)?;
        touch_followers(merge)?;
    }
    if !merge.superseded {
        contest(merge)?;
        for aggregate in ["sum", "avg", "count", "max", "min", "last"] {
            merge.merged.usage_records += contribute(merge, aggregate)?;
        }
        let sql = format!(
            "INSERT OR IGNORE INTO main.ingestion_periods
             SELECT {}, s.series, p.period_start FROM staging.periods p CROSS JOIN staging.series s ON s.staged = p.series",
            merge.ingestion
        );
        merge.db.run(WHAT, &sql, [])?;
    }
    let replaces = merge.newest && merge.earlier.is_empty() && merge.origin.is_none() && !adds;
    if replaces { replace_older(merge) } else { judge(merge) }?;
    count_values(merge)
}

/// Finds or adds the series; its description is the newest one's. Decimals of one series share the finest scale seen.
fn describe(merge: &Merge<'_>, staged: usize, series: &Series) -> Result<(), DestinationError> {
    let db = &merge.db;
    let (value_type, period) = (type_name(series.value_type), period_name(&series.period));
    let (aggregate, repeat) = (aggregate_name(series), repeat_name(series.repeat));
    let divisor = match series.value_type {
        ValueType::Decimal(scale) => 10_i64.pow(u32::from(scale.min(18))),
        _ => 1,
    };
    db.run(WHAT, "INSERT OR IGNORE INTO main.products (name) VALUES (?1)", [&series.product])?;
    let product: i64 = db.value_of(WHAT, "SELECT id FROM main.products WHERE name = ?1", [&series.product])?;
    let found = db.first(
        WHAT,
        "SELECT id, value_type, divisor FROM main.series WHERE product = ?1 AND metric = ?2 AND period = ?3",
        params![product, series.metric, period],
        |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?)),
    )?;
    let mut factor = 1;
    let id = match found {
        None => {
            db.run(
                WHAT,
                "INSERT INTO main.series (product, metric, period, unit, value_type, divisor, aggregate, repeat, described_by)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                params![product, series.metric, period, series.unit, value_type, divisor, aggregate, repeat, merge.as_of],
            )?;
            db.last_id()
        }
        Some((id, stored, stored_divisor)) => {
            if stored != value_type {
                let field = format!("{} / {}", series.product, series.metric);
                return Err(DestinationError::FieldType { field, stored, brought: value_type.to_owned() });
            }
            if divisor > stored_divisor {
                let finer = divisor / stored_divisor;
                let sql = format!(
                    "UPDATE main.usage_contributions SET value = value * {finer}
                     WHERE series = {id} AND (SELECT aggregate FROM main.series WHERE id = {id}) <> 'count';
                     UPDATE main.series SET divisor = {divisor} WHERE id = {id};
                     UPDATE staging.series SET factor = factor * {finer} WHERE series = {id}"
                );
                db.batch(WHAT, &sql)?;
            } else {
                factor = stored_divisor / divisor;
            }
            db.run(
                WHAT,
                "UPDATE main.series SET unit = ?2, aggregate = ?3, repeat = ?4, described_by = ?5
                 WHERE id = ?1 AND described_by <= ?5",
                params![id, series.unit, aggregate, repeat, merge.as_of],
            )?;
            id
        }
    };
    db.run(
        WHAT,
        "INSERT INTO staging.series VALUES (?1, ?2, ?3, ?4, ?5)",
        params![staged as i64, id, factor, aggregate, repeat_number(series.repeat)],
    )?;
    // A series from several tables is aggregated in one way, the last one's.
    db.run(
        WHAT,
        "UPDATE staging.series SET aggregate = ?2, adds = ?3 WHERE series = ?1",
        params![id, aggregate, repeat_number(series.repeat)],
    )?;
    Ok(())
}

/// Takes back what earlier generations contributed (R1) and notes which records that may change.
fn take_back(merge: &Merge<'_>) -> Result<(), DestinationError> {
    let earlier = merge.earlier_list();
    let mine = format!(
        "FROM main.ingestion_periods p CROSS JOIN main.usage_contributions u
           ON u.series = p.series AND u.period_start = p.period_start AND u.ingestion = p.ingestion
         WHERE p.ingestion IN ({earlier})"
    );
    let sql = format!(
        "INSERT OR IGNORE INTO staging.touched_usage SELECT u.series, u.period_start, u.account, u.user {mine};
         DELETE FROM main.usage_contributions WHERE (series, period_start, account, user, ingestion) IN
           (SELECT u.series, u.period_start, u.account, u.user, u.ingestion {mine});
         DELETE FROM main.ingestion_periods WHERE ingestion IN ({earlier})"
    );
    merge.db.batch(WHAT, &sql)
}

/// Notes the records of mended rejects that now follow this object.
fn touch_followers(merge: &Merge<'_>) -> Result<(), DestinationError> {
    let sql = format!(
        "INSERT OR IGNORE INTO staging.touched_usage
         SELECT u.series, u.period_start, u.account, u.user
         FROM main.ingestion_periods p CROSS JOIN main.usage_contributions u
           ON u.series = p.series AND u.period_start = p.period_start AND u.ingestion = p.ingestion
         WHERE p.ingestion IN ({})",
        merge.followers()
    );
    merge.db.batch(WHAT, &sql)
}

/// Notes the records of this object in those periods that other objects brought something for too.
fn contest(merge: &Merge<'_>) -> Result<(), DestinationError> {
    let contested = merge.db.run(
        WHAT,
        "INSERT OR IGNORE INTO staging.contested
         SELECT s.series, p.period_start FROM staging.periods p CROSS JOIN staging.series s ON s.staged = p.series
         WHERE EXISTS (SELECT 1 FROM main.usage_contributions u WHERE u.series = s.series AND u.period_start = p.period_start)",
        [],
    )?;
    if contested > 0 {
        merge.db.run(
            WHAT,
            "INSERT OR IGNORE INTO staging.touched_usage
             SELECT s.series, v.period_start, r.account, w.id
             FROM staging.usage_values v
             CROSS JOIN staging.series s ON s.staged = v.series
             CROSS JOIN staging.contested c ON c.series = s.series AND c.period_start = v.period_start
             CROSS JOIN staging.resolved r ON r.identifier = v.identifier
             CROSS JOIN staging.users_resolved w ON w.user = v.user
             WHERE r.account > 0
             ORDER BY 1, 2, 3, 4",
            [],
        )?;
    }
    Ok(())
}

/// Aggregates the values of all series of one kind into one contribution a record; how many.
fn contribute(merge: &Merge<'_>, aggregate: &str) -> Result<u64, DestinationError> {
    let series: Vec<i64> =
        merge.db.rows(WHAT, "SELECT staged FROM staging.series WHERE aggregate = ?1", [aggregate], |row| row.get(0))?;
    if series.is_empty() {
        return Ok(0);
    }
    let all = series.len() == merge.staged.series.len();
    let list: Vec<String> = series.iter().map(i64::to_string).collect();
    let condition = if all { String::new() } else { format!("AND v.series IN ({})", list.join(", ")) };
    let scaled = "CASE WHEN s.factor = 1 THEN v.value ELSE v.value * s.factor END";
    // With a single max() or min(), SQLite takes the other columns from the row that has it.
    let (value, last_date, position) = match aggregate {
        "sum" | "avg" => (format!("sum({scaled})"), "0", "max(v.position)"),
        "count" => ("count(*)".to_owned(), "0", "max(v.position)"),
        "max" => (format!("max({scaled})"), "0", "v.position"),
        "min" => (format!("min({scaled})"), "0", "v.position"),
        _ => (scaled.to_owned(), "v.date", "v.position"),
    };
    let chosen = if aggregate == "last" { format!(", max(v.date * {DATE_SHIFT} + v.position)") } else { String::new() };
    let users =
        if merge.staged.users { ("w.id", "CROSS JOIN staging.users_resolved w ON w.user = v.user") } else { ("0", "") };
    let sql = format!(
        "INSERT INTO main.usage_contributions
         SELECT series, period_start, account, user, {me}, value, samples, last_date, position, adds, 1 FROM (
           SELECT s.series AS series, v.period_start AS period_start, r.account AS account, {user} AS user,
             {value} AS value, count(*) AS samples, {last_date} AS last_date, {position} AS position, s.adds AS adds {chosen}
           FROM staging.usage_values v
           CROSS JOIN staging.series s ON s.staged = v.series
           CROSS JOIN staging.resolved r ON r.identifier = v.identifier
           {join_users}
           WHERE r.account > 0 {condition}
           GROUP BY 1, 2, 3, 4)",
        me = merge.ingestion,
        user = users.0,
        join_users = users.1,
    );
    merge.db.run(WHAT, &sql, []).map_err(|error| match error {
        // The only error of sum() has no code of its own.
        DestinationError::Sqlite { source, .. } if source.to_string().contains("integer overflow") => {
            DestinationError::Overflow
        }
        other => other,
    })
}

/// The newest object replaces: of its records nothing else counts any more.
fn replace_older(merge: &Merge<'_>) -> Result<(), DestinationError> {
    let sql = format!(
        "UPDATE main.usage_contributions SET counts = 0
         FROM staging.touched_usage t
         WHERE usage_contributions.series = t.series AND usage_contributions.period_start = t.period_start
           AND usage_contributions.account = t.account AND usage_contributions.user = t.user
           AND usage_contributions.ingestion <> {} AND usage_contributions.counts",
        merge.ingestion
    );
    merge.db.run(WHAT, &sql, [])?;
    Ok(())
}

/// Works out anew which contributions to the touched records count.
fn judge(merge: &Merge<'_>) -> Result<(), DestinationError> {
    merge.db.run(
        WHAT,
        "WITH contributed AS (
           SELECT u.series, u.period_start, u.account, u.user, u.ingestion, u.adds, o.as_of,
             max(CASE WHEN u.adds = 0 THEN o.as_of END)
               OVER (PARTITION BY u.series, u.period_start, u.account, u.user) AS replaced,
             max(o.as_of) OVER (PARTITION BY u.series, u.period_start, u.account, u.user, o.source_key) AS latest
           FROM staging.touched_usage t
           CROSS JOIN main.usage_contributions u
             ON u.series = t.series AND u.period_start = t.period_start AND u.account = t.account AND u.user = t.user
           CROSS JOIN main.ingestions i ON i.id = u.ingestion
           CROSS JOIN main.ingestions o ON o.id = coalesce(i.origin, i.id)
         ), judged AS MATERIALIZED (
           SELECT series, period_start, account, user, ingestion,
             CASE WHEN adds = 0 THEN as_of = replaced
                  ELSE as_of = latest AND (replaced IS NULL OR as_of > replaced) END AS counts
           FROM contributed
         )
         UPDATE main.usage_contributions SET counts = j.counts
         FROM judged j
         WHERE usage_contributions.series = j.series AND usage_contributions.period_start = j.period_start
           AND usage_contributions.account = j.account AND usage_contributions.user = j.user
           AND usage_contributions.ingestion = j.ingestion AND usage_contributions.counts <> j.counts",
        [],
    )?;
    Ok(())
}

/// Values of rows that matched no account were not taken.
fn count_values(merge: &mut Merge<'_>) -> Result<(), DestinationError> {
    if merge.merged.unmatched + merge.merged.ambiguous > 0 {
        let left_out = merge.db.count(
            WHAT,
            "SELECT count(*) FROM staging.usage_values v CROSS JOIN staging.resolved r ON r.identifier = v.identifier
             WHERE r.account <= 0",
        )?;
        merge.merged.usage_values = merge.merged.usage_values.saturating_sub(left_out);
    }
    Ok(())
}

fn repeat_number(repeat: Repeat) -> u8 {
    match repeat {
        Repeat::Replace => 0,
        Repeat::Add => 1,
    }
}
