//! An integration whose objects are in another place (R17).

use rusqlite::params;

use crate::destination::DestinationError;
use crate::destination::relational::{relocated, relocated_behind};
use crate::object::{IntegrationName, Relocation};

use super::store::{Statements, Store};

const WHAT: &str = "relocate an integration";

/// Ingestions whose bytes stand in memory at once.
const PAGE: usize = 1_000;

/// Takes a step in one transaction. `described_by` keeps the bytes it has, as it does when an integration is renamed.
pub(super) fn relocate(
    store: &Store,
    integration: &IntegrationName,
    step: &Relocation,
) -> Result<(), DestinationError> {
    if !store.exists() {
        return Ok(());
    }
    store.write_whole(WHAT, |db| move_all(db, integration, step))
}

fn move_all(db: Statements<'_>, integration: &IntegrationName, step: &Relocation) -> Result<(), DestinationError> {
    let (from, to, name) = (&step.from, &step.to, integration.as_str());
    let places = params![
        name,
        from.connection.as_str(),
        from.bucket.as_str(),
        from.prefix,
        to.connection.as_str(),
        to.bucket.as_str(),
        to.prefix,
    ];
    // As bytes, since a text may hold a zero.
    let is_there = "o.integration = ?1 AND o.connection = ?2 AND o.bucket = ?3
        AND substr(CAST(o.key AS BLOB), 1, length(CAST(?4 AS BLOB))) = CAST(?4 AS BLOB)";
    let key = "?7 || CAST(substr(CAST(o.key AS BLOB), length(CAST(?4 AS BLOB)) + 1) AS TEXT)";
    let taken = format!(
        "SELECT EXISTS (SELECT 1 FROM source_keys o JOIN source_keys n
           ON n.integration = ?1 AND n.connection = ?5 AND n.bucket = ?6 AND n.key = {key} WHERE {is_there})"
    );
    if db.value_of(WHAT, &taken, places)? {
        return Err(DestinationError::BothPlaces { from: Box::new(from.clone()), to: Box::new(to.clone()) });
    }
    // Mended rejects first: how many of their bytes are their origin's is known as long as that one has its own.
    let mended = "SELECT i.id, i.as_of, length(o.as_of) FROM ingestions i JOIN ingestions o ON o.id = i.origin
        WHERE i.integration = ?1 AND i.id > ?2 AND i.origin IS NOT NULL ORDER BY i.id LIMIT ?3";
    move_ingestions(db, mended, integration, step)?;
    let own = "SELECT id, as_of, NULL FROM ingestions
        WHERE integration = ?1 AND id > ?2 AND origin IS NULL ORDER BY id LIMIT ?3";
    move_ingestions(db, own, integration, step)?;
    let sql = format!("UPDATE source_keys AS o SET connection = ?5, bucket = ?6, key = {key} WHERE {is_there}");
    db.run(WHAT, &sql, places)?;
    let (before, after) = (from.of_dedup_keys(), to.of_dedup_keys());
    exchange_beginning(db, "ingestions", "dedup_key", "integration = ?1", [name, &before, &after])?;
    // A row is named by its object, too.
    let (before, after) = (format!("{name}:{before}"), format!("{name}:{after}"));
    for table in ["rejects", "mended_rows"] {
        let is_its_own = "ingestion IN (SELECT id FROM ingestions WHERE integration = ?1)";
        exchange_beginning(db, table, "origin_row", is_its_own, [name, &before, &after])?;
    }
    Ok(())
}

/// Gives the texts of a column that begin with the second parameter the third in its place.
fn exchange_beginning(
    db: Statements<'_>,
    table: &str,
    column: &str,
    condition: &str,
    texts: [&str; 3],
) -> Result<(), DestinationError> {
    let sql = format!(
        "UPDATE {table} SET {column} = ?3 || CAST(substr(CAST({column} AS BLOB), length(CAST(?2 AS BLOB)) + 1) AS TEXT)
         WHERE {condition} AND substr(CAST({column} AS BLOB), 1, length(CAST(?2 AS BLOB))) = CAST(?2 AS BLOB)"
    );
    db.run(WHAT, &sql, texts).map(drop)
}

fn move_ingestions(
    db: Statements<'_>,
    sql: &str,
    integration: &IntegrationName,
    step: &Relocation,
) -> Result<(), DestinationError> {
    let mut last = 0;
    loop {
        let page = db.rows(WHAT, sql, params![integration.as_str(), last, PAGE as i64], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?, row.get::<_, Option<i64>>(2)?))
        })?;
        for (id, as_of, origin) in &page {
            let moved = match origin {
                None => relocated(as_of, step),
                Some(bytes) => relocated_behind(as_of, usize::try_from(*bytes).unwrap_or_default(), step),
            };
            let moved =
                moved.ok_or_else(|| DestinationError::Damaged { what: "place in the order", value: id.to_string() })?;
            if moved != *as_of {
                db.run(WHAT, "UPDATE ingestions SET as_of = ?2 WHERE id = ?1", params![id, moved])?;
            }
            last = *id;
        }
        if page.len() < PAGE {
            return Ok(());
        }
    }
}
