//! What a merge would do, in examples.

use serde_json::{Map, Value, json};
use tokio_postgres::Row;

use crate::batch::ValueType;
use crate::destination::relational::matching::NONE;
use crate::destination::relational::{EXAMPLES, key_names, place};
use crate::destination::{DestinationError, Merged, Preview};

use super::merge::Merge;
use super::session::Session;

const WHAT: &str = "describe the records";

/// A merge, described but for what it changes of usage.
pub(super) struct Described {
    merged: Merged,
    accounts: Vec<Value>,
    usage: Vec<(Record, Option<String>, Value)>,
}

/// Describes a merge inside its transaction.
pub(super) fn describe(merge: &Merge<'_>) -> Result<Described, DestinationError> {
    Ok(Described { merged: merge.merged.clone(), accounts: account_records(merge)?, usage: usage_records(merge)? })
}

impl Described {
    /// Says what changes of usage, once the merge was taken back.
    pub(super) fn compare(self, session: &Session) -> Result<Preview, DestinationError> {
        let usage = self.usage.into_iter().map(|(record, after, mut described)| {
            described["change"] = record.change(session, after)?.into();
            Ok(described)
        });
        Ok(Preview {
            merged: self.merged,
            accounts: self.accounts,
            usage: usage.collect::<Result<_, DestinationError>>()?,
        })
    }
}

/// Which usage record a value becomes a part of.
struct Record {
    series: i64,
    period_start: String,
    account: i64,
    user: i64,
}

impl Record {
    /// What its contributions come to.
    fn value(&self, session: &Session) -> Result<Option<String>, DestinationError> {
        let found = session.first(
            WHAT,
            "SELECT CASE s.aggregate
               WHEN 'avg' THEN trim_scale(sum(u.value) / sum(u.samples))::text
               WHEN 'max' THEN coalesce(trim_scale(max(u.value))::text, max(u.text_value))
               WHEN 'min' THEN coalesce(trim_scale(min(u.value))::text, min(u.text_value))
               WHEN 'last' THEN (array_agg(coalesce(trim_scale(u.value)::text, u.text_value)
                 ORDER BY u.last_date DESC NULLS LAST, i.as_of DESC))[1]
               ELSE trim_scale(sum(u.value))::text
             END
             FROM usage_contributions u JOIN series s ON s.id = u.series JOIN ingestions i ON i.id = u.ingestion
             WHERE u.series = $1 AND u.period_start = $2::text::date AND u.account = $3 AND u.user_id = $4 AND u.counts
             GROUP BY s.aggregate",
            &[&self.series, &self.period_start, &self.account, &self.user],
            |row| row.try_get::<_, Option<String>>(0),
        )?;
        Ok(found.flatten())
    }

    /// What happens to it, whose value would become `after`.
    fn change(&self, session: &Session, after: Option<String>) -> Result<&'static str, DestinationError> {
        if self.account <= 0 {
            return Ok(if self.account == NONE { "unmatched" } else { "ambiguous" });
        }
        Ok(match self.value(session)? {
            before if before == after => "unchanged",
            None => "created",
            Some(_) => "updated",
        })
    }
}

fn account_records(merge: &Merge<'_>) -> Result<Vec<Value>, DestinationError> {
    let staged = merge.staged;
    let sql = format!(
        "SELECT v.position, CASE
             WHEN r.account = {NONE} THEN 'unmatched' WHEN r.account <= 0 THEN 'ambiguous' WHEN r.account > {last} THEN 'created'
             WHEN EXISTS (SELECT 1 FROM merge_changed c WHERE c.account = r.account) THEN 'updated' ELSE 'unchanged' END,
           i.layout, i.keys,
           (SELECT array_agg(f.field) FROM staged_values f WHERE f.position = v.position),
           (SELECT array_agg(f.value) FROM staged_values f WHERE f.position = v.position)
         FROM staged_accounts v
         JOIN staged_identifiers i ON i.identifier = v.identifier
         JOIN merge_resolved r ON r.identifier = v.identifier
         ORDER BY v.position LIMIT {EXAMPLES}",
        last = merge.last_account,
    );
    merge.db.rows(WHAT, &sql, &[], |row| {
        let (table, row_index) = place(&staged.tables, row.try_get(0)?);
        let change: String = row.try_get(1)?;
        let identifier = identifier(merge, row, 2)?;
        let fields: Vec<i32> = row.try_get::<_, Option<_>>(4)?.unwrap_or_default();
        let values: Vec<Option<String>> = row.try_get::<_, Option<_>>(5)?.unwrap_or_default();
        let mut record = Map::new();
        for (field, value) in fields.into_iter().zip(values) {
            if let Some(field) = usize::try_from(field).ok().and_then(|number| staged.fields.get(number)) {
                record.insert(field.name.clone(), field_as_json(field.value_type, value));
            }
        }
        Ok(json!({ "table": table, "row": row_index, "change": change, "identifier": identifier, "fields": record }))
    })
}

/// The first usage values, each with its record and what that comes to.
fn usage_records(merge: &Merge<'_>) -> Result<Vec<(Record, Option<String>, Value)>, DestinationError> {
    let staged = merge.staged;
    if staged.series.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT v.position, v.series, v.period_start::text, v.day::text, v.whole, v.fraction, v.text_value, u.value,
           s.series, r.account, w.user_id, i.layout, i.keys
         FROM staged_usage v
         JOIN staged_identifiers i ON i.identifier = v.identifier
         JOIN merge_resolved r ON r.identifier = v.identifier
         JOIN merge_series s ON s.staged = v.series
         JOIN merge_users w ON w.user_number = v.user_number
         LEFT JOIN staged_users u ON u.user_number = v.user_number
         ORDER BY v.position, v.series LIMIT {EXAMPLES}"
    );
    let described = merge.db.rows(WHAT, &sql, &[], |row| {
        let (table, row_index) = place(&staged.tables, row.try_get(0)?);
        let series = usize::try_from(row.try_get::<_, i32>(1)?).ok().and_then(|number| staged.series.get(number));
        let value_type = series.map(|series| series.value_type);
        let value: Value = match (row.try_get::<_, Option<i64>>(4)?, row.try_get::<_, Option<f64>>(5)?, value_type) {
            (Some(whole), _, Some(ValueType::Decimal(scale))) if scale > 0 => {
                (whole as f64 / 10_f64.powi(scale.into())).into()
            }
            (Some(whole), _, _) => whole.into(),
            (None, Some(fraction), _) => fraction.into(),
            (None, None, _) => row.try_get::<_, Option<String>>(6)?.into(),
        };
        let (period_start, date): (String, String) = (row.try_get(2)?, row.try_get(3)?);
        let user: Option<String> = row.try_get(7)?;
        let described = json!({
            "table": table,
            "row": row_index,
            "identifier": identifier(merge, row, 11)?,
            "product": series.map(|series| &series.product),
            "metric": series.map(|series| &series.metric),
            "unit": series.and_then(|series| series.unit.as_ref()),
            "user": user,
            "date": date,
            "period_start": period_start,
            "value": value,
        });
        Ok((
            Record { series: row.try_get(8)?, period_start, account: row.try_get(9)?, user: row.try_get(10)? },
            described,
        ))
    })?;
    let with_value = described.into_iter().map(|(record, described)| {
        let after = record.value(merge.db)?;
        Ok((record, after, described))
    });
    with_value.collect()
}

/// A record's identifier values by the names of their keys: its layout stands in one column, the values in the next.
fn identifier(merge: &Merge<'_>, row: &Row, column: usize) -> Result<Map<String, Value>, tokio_postgres::Error> {
    let layout = usize::try_from(row.try_get::<_, i32>(column)?).unwrap_or_default();
    let names = merge.staged.layouts.get(layout).map(|strategies| key_names(strategies)).unwrap_or_default();
    let values: Vec<Option<String>> = row.try_get(column + 1)?;
    Ok(names.into_iter().zip(values).filter_map(|(name, value)| Some((name, value?.into()))).collect())
}

/// A field's staged text as JSON: numbers as such, an erased value as null, anything else as its text.
fn field_as_json(value_type: ValueType, value: Option<String>) -> Value {
    let Some(text) = value else { return Value::Null };
    match value_type {
        ValueType::Integer | ValueType::Boolean => text.parse::<i64>().map_or_else(|_| text.into(), Value::from),
        ValueType::Float => text.parse::<f64>().map_or_else(|_| Value::Null, Value::from),
        ValueType::Text | ValueType::Decimal(_) | ValueType::Date | ValueType::Timestamp | ValueType::TextList => {
            text.into()
        }
    }
}
