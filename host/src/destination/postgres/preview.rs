//! What a merge would do, in examples.

use serde_json::{Map, Value, json};
use tokio_postgres::Row;

use crate::batch::ValueType;
use crate::destination::relational::matching::NONE;
use crate::destination::relational::{EXAMPLES, key_names, place};
use crate::destination::{DestinationError, Preview};

use super::merge::Merge;

const WHAT: &str = "describe the records";

/// Describes a merge inside its transaction.
pub(super) fn describe(merge: &Merge<'_>) -> Result<Preview, DestinationError> {
    Ok(Preview { merged: merge.merged.clone(), accounts: account_records(merge)?, usage: usage_records(merge)? })
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

fn usage_records(merge: &Merge<'_>) -> Result<Vec<Value>, DestinationError> {
    let staged = merge.staged;
    if staged.series.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT v.position, v.series, v.period_start::text, v.day::text, v.whole, v.fraction, v.text_value, u.value,
           CASE WHEN r.account = {NONE} THEN 'unmatched' WHEN r.account <= 0 THEN 'ambiguous'
             WHEN EXISTS (SELECT 1 FROM usage_contributions c WHERE c.series = s.series AND c.period_start = v.period_start
                 AND c.account = r.account AND c.user_id = w.user_id AND c.ingestion <> {me}) THEN 'updated'
             ELSE 'created' END,
           i.layout, i.keys
         FROM staged_usage v
         JOIN staged_identifiers i ON i.identifier = v.identifier
         JOIN merge_resolved r ON r.identifier = v.identifier
         JOIN merge_series s ON s.staged = v.series
         JOIN merge_users w ON w.user_number = v.user_number
         LEFT JOIN staged_users u ON u.user_number = v.user_number
         ORDER BY v.position, v.series LIMIT {EXAMPLES}",
        me = merge.ingestion,
    );
    merge.db.rows(WHAT, &sql, &[], |row| {
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
        let (user, change): (Option<String>, String) = (row.try_get(7)?, row.try_get(8)?);
        Ok(json!({
            "table": table,
            "row": row_index,
            "change": change,
            "identifier": identifier(merge, row, 9)?,
            "product": series.map(|series| &series.product),
            "metric": series.map(|series| &series.metric),
            "unit": series.and_then(|series| series.unit.as_ref()),
            "user": user,
            "date": date,
            "period_start": period_start,
            "value": value,
        }))
    })
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
