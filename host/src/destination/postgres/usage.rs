//! Usage: what this object brings becomes one contribution a usage record, and which contributions count follows (R9),
//! by the rules of `sqlite/usage.rs`: under `replace` the newest object's contribution counts, together with those of its
//! mended rejects; under `add` those of
//! the latest version of every key count together, as far as they are newer than the newest replacing one.
//!
//! Values are exact as `numeric`. That one record's values of one object do not add up beyond 64 bits is checked all the
//! same, so that a file is taken or refused alike wherever it goes.

use crate::batch::{Repeat, Series, ValueType};
use crate::destination::DestinationError;
use crate::destination::relational::{aggregate_name, period_name, repeat_name, type_name};

use super::merge::{Merge, storable};

const WHAT: &str = "merge usage";

pub(super) fn merge_usage(merge: &mut Merge<'_>) -> Result<(), DestinationError> {
    if merge.staged.series.is_empty() && merge.earlier.is_empty() {
        return Ok(());
    }
    resolve_users(merge)?;
    let mut adds = false;
    for (number, series) in (0_i32..).zip(&merge.staged.series) {
        describe(merge, number, series)?;
        adds |= series.repeat == Repeat::Add;
    }
    if !merge.earlier.is_empty() {
        take_back(merge)?;
        touch_followers(merge)?;
    }
    if !merge.superseded {
        aggregate(merge)?;
        let replaces = merge.newest && merge.earlier.is_empty() && merge.origin.is_none() && !adds;
        if replaces { replace_older(merge) } else { contest(merge) }?;
        merge.merged.usage_records = contribute(merge)?;
    }
    if merge.db.value(WHAT, "SELECT EXISTS (SELECT 1 FROM merge_touched_usage)", &[])? {
        judge(merge)?;
    }
    count_values(merge)
}

fn resolve_users(merge: &Merge<'_>) -> Result<(), DestinationError> {
    merge.db.run(
        WHAT,
        "INSERT INTO usage_users (tenant, kind, value)
         SELECT $1, s.kind, s.value FROM staged_users s GROUP BY s.kind, s.value ORDER BY min(s.user_number) ON CONFLICT DO NOTHING",
        &[&merge.tenant],
    )?;
    merge.db.run(
        WHAT,
        "INSERT INTO merge_users
         SELECT s.user_number, u.id FROM staged_users s JOIN usage_users u ON u.tenant = $1 AND u.kind = s.kind AND u.value = s.value
         UNION ALL SELECT 0, 0",
        &[&merge.tenant],
    )?;
    Ok(())
}

/// Finds or adds the series; its description is the newest one's.
fn describe(merge: &Merge<'_>, number: i32, series: &Series) -> Result<(), DestinationError> {
    let db = merge.db;
    let (value_type, period) = (type_name(series.value_type), storable(&period_name(&series.period)));
    let (aggregate, repeat) = (aggregate_name(series), repeat_name(series.repeat));
    let (product, metric) = (storable(&series.product), storable(&series.metric));
    let unit = series.unit.as_deref().map(storable);
    let product: i64 = db.value(
        WHAT,
        // The update that changes nothing makes the row's id come back.
        "INSERT INTO products (tenant, name) VALUES ($1, $2)
         ON CONFLICT (tenant, name) DO UPDATE SET name = excluded.name RETURNING id",
        &[&merge.tenant, &product],
    )?;
    db.run(
        WHAT,
        "INSERT INTO series AS s (product, metric, period, unit, value_type, aggregate, repeat, described_by)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (product, metric, period) DO UPDATE
         SET unit = excluded.unit, aggregate = excluded.aggregate, repeat = excluded.repeat, described_by = excluded.described_by
         WHERE s.described_by <= excluded.described_by AND s.value_type = excluded.value_type",
        &[&product, &metric, &period, &unit, &value_type, &aggregate, &repeat, &merge.as_of],
    )?;
    let (id, stored): (i64, String) = db
        .first(
            WHAT,
            "SELECT id, value_type FROM series WHERE product = $1 AND metric = $2 AND period = $3",
            &[&product, &metric, &period],
            |row| Ok((row.try_get(0)?, row.try_get(1)?)),
        )?
        .unwrap_or_default();
    if stored != value_type {
        let field = format!("{} / {}", series.product, series.metric);
        return Err(DestinationError::FieldType { field, stored, brought: value_type.to_owned() });
    }
    let digits = match series.value_type {
        ValueType::Decimal(scale) => scale.min(18),
        _ => 0,
    };
    let adds = series.repeat == Repeat::Add;
    let unit = format!("1e-{digits}");
    db.run(
        WHAT,
        "INSERT INTO merge_series VALUES ($1, $2, $3::text::numeric, $4, $5)",
        &[&number, &id, &unit, &aggregate, &adds],
    )?;
    // A series from several tables is aggregated in one way, the last one's.
    db.run(WHAT, "UPDATE merge_series SET aggregate = $2, adds = $3 WHERE series = $1", &[&id, &aggregate, &adds])?;
    Ok(())
}

/// Takes back what earlier generations contributed (R1) and notes which records that may change.
fn take_back(merge: &Merge<'_>) -> Result<(), DestinationError> {
    merge.db.run(
        WHAT,
        "WITH taken AS (
           DELETE FROM usage_contributions u USING ingestion_periods p
           WHERE p.ingestion = ANY ($1) AND u.series = p.series AND u.period_start = p.period_start AND u.ingestion = p.ingestion
           RETURNING u.series, u.period_start, u.account, u.user_id)
         INSERT INTO merge_touched_usage SELECT DISTINCT series, period_start, account, user_id FROM taken",
        &[&merge.earlier],
    )?;
    merge.db.run(WHAT, "DELETE FROM ingestion_periods WHERE ingestion = ANY ($1)", &[&merge.earlier])?;
    Ok(())
}

/// Notes the records of mended rejects that now follow this object.
fn touch_followers(merge: &Merge<'_>) -> Result<(), DestinationError> {
    merge.db.run(
        WHAT,
        "INSERT INTO merge_touched_usage
         SELECT DISTINCT u.series, u.period_start, u.account, u.user_id
         FROM ingestion_periods p JOIN usage_contributions u
           ON u.series = p.series AND u.period_start = p.period_start AND u.ingestion = p.ingestion
         WHERE p.ingestion = ANY ($1)
         EXCEPT SELECT series, period_start, account, user_id FROM merge_touched_usage",
        &[&merge.followers()],
    )?;
    Ok(())
}

/// Works out this object's contribution to each record.
fn aggregate(merge: &Merge<'_>) -> Result<(), DestinationError> {
    let from = "FROM staged_usage v
         JOIN merge_series s ON s.staged = v.series
         JOIN merge_resolved r ON r.identifier = v.identifier
         JOIN merge_users w ON w.user_number = v.user_number
         WHERE r.account > 0";
    let value = "coalesce(v.whole * s.unit, v.fraction::text::numeric)";
    let used =
        |aggregates: &[&str]| merge.staged.series.iter().any(|series| aggregates.contains(&aggregate_name(series)));
    // Whole numbers add up quickly as such, but those of one series may come in several units from several tables.
    let several_units = "SELECT EXISTS (SELECT 1 FROM merge_series GROUP BY series HAVING min(unit) <> max(unit))";
    let total = match merge.db.value(WHAT, several_units, &[])? {
        true => "sum(v.whole * s.unit)",
        false => "sum(v.whole) * min(s.unit)",
    };
    // One row a record, of which the values are added or counted.
    if used(&["sum", "avg", "count"]) {
        let sql = format!(
            "INSERT INTO merge_usage
             SELECT s.series, v.period_start, r.account, w.user_id,
               CASE s.aggregate WHEN 'count' THEN count(*)
                 ELSE coalesce({total}, sum(v.fraction)::text::numeric) END,
               NULL, count(*), NULL, max(v.position), s.adds
             {from} AND s.aggregate IN ('sum', 'avg', 'count')
             GROUP BY s.series, v.period_start, r.account, w.user_id, s.aggregate, s.adds"
        );
        merge.db.run(WHAT, &sql, &[])?;
        refuse_overflow(merge)?;
    }
    // One row a record, of which one value is chosen.
    if used(&["max", "min", "last"]) {
        let sql = format!(
            "INSERT INTO merge_usage
             SELECT DISTINCT ON (series, period_start, account, user_id)
               series, period_start, account, user_id, value, text_value,
               count(*) OVER (PARTITION BY series, period_start, account, user_id),
               CASE aggregate WHEN 'last' THEN day END, position, adds
             FROM (
               SELECT s.series, v.period_start, r.account, w.user_id, {value} AS value, v.text_value, s.aggregate, v.day, v.position, s.adds
               {from} AND s.aggregate IN ('max', 'min', 'last')) chosen
             ORDER BY series, period_start, account, user_id,
               CASE aggregate WHEN 'last' THEN day END DESC,
               CASE aggregate WHEN 'max' THEN value WHEN 'min' THEN -value END DESC,
               CASE aggregate WHEN 'max' THEN text_value END DESC,
               CASE aggregate WHEN 'min' THEN text_value END ASC,
               CASE aggregate WHEN 'last' THEN -position ELSE position END"
        );
        merge.db.run(WHAT, &sql, &[])?;
    }
    merge.db.batch(WHAT, "ANALYZE merge_usage")
}

fn refuse_overflow(merge: &Merge<'_>) -> Result<(), DestinationError> {
    let whole = |series: &Series| match series.value_type {
        ValueType::Integer | ValueType::Decimal(_) | ValueType::Boolean => true,
        ValueType::Float | ValueType::Text | ValueType::Date | ValueType::Timestamp | ValueType::TextList => false,
    };
    if !merge.staged.series.iter().any(whole) {
        return Ok(());
    }
    let overflows = merge.db.value(
        WHAT,
        "SELECT EXISTS (SELECT 1 FROM merge_usage u JOIN merge_series m ON m.series = u.series JOIN series s ON s.id = u.series
           WHERE s.value_type <> 'float' AND abs(u.value) > 9223372036854775807 * m.unit)",
        &[],
    )?;
    if overflows { Err(DestinationError::Overflow) } else { Ok(()) }
}

/// Notes those records of this object that other objects brought something for too.
fn contest(merge: &Merge<'_>) -> Result<(), DestinationError> {
    merge.db.run(
        WHAT,
        "INSERT INTO merge_touched_usage
         SELECT m.series, m.period_start, m.account, m.user_id FROM merge_usage m
         WHERE EXISTS (SELECT 1 FROM usage_contributions u WHERE u.series = m.series AND u.period_start = m.period_start
             AND u.account = m.account AND u.user_id = m.user_id)
         EXCEPT SELECT series, period_start, account, user_id FROM merge_touched_usage",
        &[],
    )?;
    Ok(())
}

/// Records this object's contributions; how many.
fn contribute(merge: &Merge<'_>) -> Result<u64, DestinationError> {
    merge.db.run(
        WHAT,
        "INSERT INTO ingestion_periods (ingestion, series, period_start)
         SELECT DISTINCT $1::bigint, series, period_start FROM merge_usage",
        &[&merge.ingestion],
    )?;
    merge.db.run(
        WHAT,
        "INSERT INTO usage_contributions (series, period_start, account, user_id, ingestion, value, text_value, samples,
           last_date, position, adds, counts)
         SELECT series, period_start, account, user_id, $1, value, text_value, samples, last_date, position, adds, true
         FROM merge_usage ORDER BY series, period_start, account, user_id",
        &[&merge.ingestion],
    )
}

/// The newest object replaces: of its records nothing that stands there counts any more.
fn replace_older(merge: &Merge<'_>) -> Result<(), DestinationError> {
    merge.db.run(
        WHAT,
        "UPDATE usage_contributions u SET counts = false FROM merge_usage m
         WHERE u.series = m.series AND u.period_start = m.period_start AND u.account = m.account AND u.user_id = m.user_id
           AND u.counts",
        &[],
    )?;
    Ok(())
}

/// Works out anew which contributions to the touched records count.
fn judge(merge: &Merge<'_>) -> Result<(), DestinationError> {
    merge.db.batch(WHAT, "ANALYZE merge_touched_usage")?;
    merge.db.run(
        WHAT,
        "WITH contributed AS (
           SELECT u.series, u.period_start, u.account, u.user_id, u.ingestion, u.adds, o.as_of,
             first_value(CASE WHEN NOT u.adds THEN o.as_of END) OVER (
               PARTITION BY u.series, u.period_start, u.account, u.user_id
               ORDER BY CASE WHEN NOT u.adds THEN o.as_of END DESC NULLS LAST) AS replaced,
             first_value(o.as_of) OVER (
               PARTITION BY u.series, u.period_start, u.account, u.user_id, o.source_key ORDER BY o.as_of DESC) AS latest
           FROM merge_touched_usage t
           JOIN usage_contributions u
             ON u.series = t.series AND u.period_start = t.period_start AND u.account = t.account AND u.user_id = t.user_id
           JOIN ingestions i ON i.id = u.ingestion
           JOIN ingestions o ON o.id = coalesce(i.origin, i.id)
         ), judged AS MATERIALIZED (
           SELECT series, period_start, account, user_id, ingestion,
             CASE WHEN adds THEN as_of = latest AND (replaced IS NULL OR as_of > replaced) ELSE as_of = replaced END AS counts
           FROM contributed
         )
         UPDATE usage_contributions u SET counts = j.counts FROM judged j
         WHERE u.series = j.series AND u.period_start = j.period_start AND u.account = j.account AND u.user_id = j.user_id
           AND u.ingestion = j.ingestion AND u.counts <> j.counts",
        &[],
    )?;
    Ok(())
}

/// Values of rows that matched no account were not taken.
fn count_values(merge: &mut Merge<'_>) -> Result<(), DestinationError> {
    if merge.merged.unmatched + merge.merged.ambiguous > 0 {
        let left_out = merge.db.count(
            WHAT,
            "SELECT count(*) FROM staged_usage v JOIN merge_resolved r ON r.identifier = v.identifier WHERE r.account <= 0",
        )?;
        merge.merged.usage_values = merge.merged.usage_values.saturating_sub(left_out);
    }
    Ok(())
}
