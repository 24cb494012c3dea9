//! What a merge would do, in examples.

use rusqlite::params;
use rusqlite::types::{Value as Stored, ValueRef};
use serde_json::{Map, Value, json};

use crate::batch::ValueType;
use crate::destination::relational::matching::NONE;
use crate::destination::relational::{EXAMPLES, key_names, place, user_lookup};
use crate::destination::{DestinationError, Preview};

use super::merge::Merge;
use super::staging::AccountRows;
use super::store::Statements;

const WHAT: &str = "describe the records";

/// Describes a merge inside its transaction. What stood there before is what another connection sees; none where there
/// is no store yet.
pub(super) fn describe(merge: &Merge<'_>, before: Option<&Statements<'_>>) -> Result<Preview, DestinationError> {
    let mut accounts = Vec::new();
    for rows in &merge.staged.account_rows {
        if accounts.len() < EXAMPLES {
            accounts.extend(account_records(merge, rows, EXAMPLES - accounts.len())?);
        }
    }
    Ok(Preview { merged: merge.merged.clone(), accounts, usage: usage_records(merge, before)? })
}

fn account_records(merge: &Merge<'_>, rows: &AccountRows, most: usize) -> Result<Vec<Value>, DestinationError> {
    let staged = merge.staged;
    // The fields of this table's first group; a table with more than a thousand fields is shown in part.
    let fields: Vec<(&str, String)> = staged
        .fields
        .iter()
        .enumerate()
        .flat_map(|(place, field)| field.columns.iter().map(move |column| (place, field, column)))
        .filter(|(_, _, (table, _))| *table == rows.name)
        .map(|(place, field, (_, column))| {
            let value = match user_lookup(&field.field) {
                None => format!("v.{column}"),
                // As it is stored: the user's id.
                Some(_) => format!(
                    "CASE typeof(v.{column}) WHEN 'blob' THEN v.{column} ELSE
                       (SELECT l.user FROM staging.lookups l WHERE l.field = {place} AND l.value = v.{column}) END"
                ),
            };
            (field.field.name.as_str(), value)
        })
        .collect();
    let keys = layout_key_names(merge, rows.layout);
    let columns: String = (0..keys.len())
        .map(|index| format!(", i.k{index}"))
        .chain(fields.iter().map(|(_, value)| format!(", {value}")))
        .collect();
    let sql = format!(
        "SELECT v.position, CASE
             WHEN r.account = {NONE} THEN 'unmatched' WHEN r.account <= 0 THEN 'ambiguous' WHEN r.account > {last} THEN 'created'
             WHEN EXISTS (SELECT 1 FROM staging.changed c WHERE c.account = r.account) THEN 'updated' ELSE 'unchanged' END
           {columns}
         FROM staging.{table} v
         CROSS JOIN staging.identifiers_{layout} i ON i.identifier = v.identifier
         CROSS JOIN staging.resolved r ON r.identifier = v.identifier
         ORDER BY v.position LIMIT {most}",
        last = merge.last_account,
        table = rows.name,
        layout = rows.layout,
    );
    merge.db.rows(WHAT, &sql, [], |row| {
        let (table, row_index) = place(&staged.tables, row.get(0)?);
        let mut identifier = Map::new();
        for (index, name) in keys.iter().enumerate() {
            if let Some(value) = row.get::<_, Option<String>>(index + 2)? {
                identifier.insert(name.clone(), value.into());
            }
        }
        let mut values = Map::new();
        for (index, (name, _)) in fields.iter().enumerate() {
            match row.get_ref(index + 2 + keys.len())? {
                ValueRef::Null => {}
                // The mark of a value that is erased.
                ValueRef::Blob(_) => drop(values.insert((*name).to_owned(), Value::Null)),
                present => drop(values.insert((*name).to_owned(), as_json(present, 1.0))),
            }
        }
        let change: String = row.get(1)?;
        Ok(json!({ "table": table, "row": row_index, "change": change, "identifier": identifier, "fields": values }))
    })
}

fn usage_records(merge: &Merge<'_>, before: Option<&Statements<'_>>) -> Result<Vec<Value>, DestinationError> {
    let staged = merge.staged;
    let identifiers: Vec<String> = (0..staged.layouts.len())
        .map(|layout| {
            let pairs =
                layout_key_names(merge, layout).iter().enumerate().fold(String::new(), |mut pairs, (index, name)| {
                    let separator = if index == 0 { "" } else { ", " };
                    pairs.push_str(&format!("{separator}'{}', k{index}", name.replace('\'', "''")));
                    pairs
                });
            format!("SELECT identifier, json_object({pairs}) AS keys FROM staging.identifiers_{layout}")
        })
        .collect();
    if staged.series.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT v.position, v.series, date(v.period_start * 86400, 'unixepoch'), date(v.date * 86400, 'unixepoch'), v.value,
           u.value, (SELECT keys FROM ({identifiers}) i WHERE i.identifier = v.identifier),
           s.series, v.period_start, r.account, w.id
         FROM staging.usage_values v
         CROSS JOIN staging.resolved r ON r.identifier = v.identifier
         CROSS JOIN staging.series s ON s.staged = v.series
         CROSS JOIN staging.users_resolved w ON w.user = v.user
         LEFT JOIN staging.users u ON u.user = v.user
         ORDER BY v.position LIMIT {EXAMPLES}",
        identifiers = identifiers.join(" UNION ALL "),
    );
    let described = merge.db.rows(WHAT, &sql, [], |row| {
        let (table, row_index) = place(&staged.tables, row.get(0)?);
        let series = staged.series.get(row.get::<_, u32>(1)? as usize);
        let (period_start, date): (Option<String>, Option<String>) = (row.get(2)?, row.get(3)?);
        let (user, keys): (Option<String>, Option<String>) = (row.get(5)?, row.get(6)?);
        let record =
            Record { series: row.get(7)?, period_start: row.get(8)?, account: row.get(9)?, user: row.get(10)? };
        let mut identifier: Map<String, Value> =
            keys.and_then(|keys| serde_json::from_str(&keys).ok()).unwrap_or_default();
        identifier.retain(|_, value| !value.is_null());
        let divisor = match series.map(|series| series.value_type) {
            Some(ValueType::Decimal(scale)) => 10_f64.powi(scale.into()),
            _ => 1.0,
        };
        let described = json!({
            "table": table,
            "row": row_index,
            "identifier": identifier,
            "product": series.map(|series| &series.product),
            "metric": series.map(|series| &series.metric),
            "unit": series.and_then(|series| series.unit.as_ref()),
            "user": user,
            "date": date,
            "period_start": period_start,
            "value": as_json(row.get_ref(4)?, divisor),
        });
        Ok((record, described))
    })?;
    let with_change = described.into_iter().map(|(record, mut described)| {
        described["change"] = change(merge, before, &record)?.into();
        Ok(described)
    });
    with_change.collect()
}

/// Which usage record a value becomes a part of.
struct Record {
    series: i64,
    period_start: i64,
    account: i64,
    user: i64,
}

/// What the merge does to a usage record.
fn change(
    merge: &Merge<'_>,
    before: Option<&Statements<'_>>,
    record: &Record,
) -> Result<&'static str, DestinationError> {
    if record.account <= 0 {
        return Ok(if record.account == NONE { "unmatched" } else { "ambiguous" });
    }
    let after = Counted::read(&merge.db, record)?;
    let before = before.map(|before| Counted::read(before, record)).transpose()?.flatten();
    Ok(match (before, after) {
        (None, None) => "unchanged",
        (None, Some(_)) => "created",
        (Some(before), Some(after)) if before.equals(&after) => "unchanged",
        (Some(_), _) => "updated",
    })
}

/// The value of a usage record: what its contributions come to, and what that is to be divided by.
struct Counted {
    value: Stored,
    divisor: i64,
}

impl Counted {
    fn read(db: &Statements<'_>, record: &Record) -> Result<Option<Self>, DestinationError> {
        let series = db.first(
            WHAT,
            "SELECT aggregate, CASE WHEN value_type = 'decimal' AND aggregate <> 'count' THEN divisor ELSE 1 END
             FROM main.series WHERE id = ?1",
            [record.series],
            |row| Ok((row.get::<_, String>(0)?, row.get(1)?)),
        )?;
        let Some((aggregate, divisor)) = series else { return Ok(None) };
        let (value, order) = match aggregate.as_str() {
            "avg" => ("sum(u.value) * 1.0 / sum(u.samples)", "GROUP BY u.series"),
            "sum" | "count" => ("sum(u.value)", "GROUP BY u.series"),
            "max" => ("max(u.value)", "GROUP BY u.series"),
            "min" => ("min(u.value)", "GROUP BY u.series"),
            _ => ("u.value", "ORDER BY u.last_date DESC, i.as_of DESC LIMIT 1"),
        };
        let sql = format!(
            "SELECT {value} FROM main.usage_contributions u CROSS JOIN main.ingestions i ON i.id = u.ingestion
             WHERE u.series = ?1 AND u.period_start = ?2 AND u.account = ?3 AND u.user = ?4 AND u.counts {order}"
        );
        let record = params![record.series, record.period_start, record.account, record.user];
        let value = db.first(WHAT, &sql, record, |row| row.get(0))?;
        Ok(value.map(|value| Self { value, divisor }))
    }

    /// Whole numbers of different units are compared exactly.
    fn equals(&self, other: &Self) -> bool {
        match (&self.value, &other.value) {
            (Stored::Integer(one), Stored::Integer(two)) => {
                i128::from(*one) * i128::from(other.divisor) == i128::from(*two) * i128::from(self.divisor)
            }
            (Stored::Real(one), Stored::Real(two)) => one / self.divisor as f64 == two / other.divisor as f64,
            (one, two) => one == two,
        }
    }
}

/// The names of a layout's keys, in the order of their columns.
fn layout_key_names(merge: &Merge<'_>, layout: usize) -> Vec<String> {
    merge.staged.layouts.get(layout).map(|strategies| key_names(strategies)).unwrap_or_default()
}

/// A value as JSON; whole numbers that stand for decimals are divided.
fn as_json(value: ValueRef<'_>, divisor: f64) -> Value {
    match value {
        ValueRef::Null | ValueRef::Blob(_) => Value::Null,
        ValueRef::Integer(number) if divisor != 1.0 => (number as f64 / divisor).into(),
        ValueRef::Integer(number) => number.into(),
        ValueRef::Real(number) => number.into(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned().into(),
    }
}
