//! An integration whose objects are in another place (R17).

use tokio_postgres::types::ToSql;

use crate::destination::DestinationError;
use crate::destination::relational::{relocated, relocated_behind};
use crate::object::{IntegrationName, Relocation, TenantName};

use super::merge::change_whole;
use super::session::Session;

const WHAT: &str = "relocate an integration";

/// Ingestions whose bytes stand in memory at once.
const PAGE: i64 = 1_000;

/// Takes a step in one transaction. `described_by` keeps the bytes it has, as it does when an integration is renamed.
pub(super) fn relocate(
    session: &Session,
    tenant: &TenantName,
    integration: &IntegrationName,
    step: &Relocation,
) -> Result<(), DestinationError> {
    change_whole(session, tenant, WHAT, |number| move_all(session, number, integration, step))
}

fn move_all(
    db: &Session,
    tenant: i32,
    integration: &IntegrationName,
    step: &Relocation,
) -> Result<(), DestinationError> {
    let (from, to, name) = (&step.from, &step.to, integration.as_str());
    let places: [&(dyn ToSql + Sync); 8] = [
        &tenant,
        &name,
        &from.connection.as_str(),
        &from.bucket.as_str(),
        &from.prefix,
        &to.connection.as_str(),
        &to.bucket.as_str(),
        &to.prefix,
    ];
    let is_there = "o.tenant = $1 AND o.integration = $2 AND o.connection = $3 AND o.bucket = $4
        AND starts_with(o.key, $5::text)";
    let key = "$8::text || substr(o.key, length($5::text) + 1)";
    let taken = format!(
        "SELECT EXISTS (SELECT 1 FROM source_keys o JOIN source_keys n
           ON n.tenant = $1 AND n.integration = $2 AND n.connection = $6 AND n.bucket = $7 AND n.key = {key} WHERE {is_there})"
    );
    if db.value(WHAT, &taken, &places)? {
        return Err(DestinationError::BothPlaces { from: Box::new(from.clone()), to: Box::new(to.clone()) });
    }
    // Mended rejects first: how many of their bytes are their origin's is known as long as that one has its own.
    let mended = "SELECT i.id, i.as_of, length(o.as_of) FROM ingestions i JOIN ingestions o ON o.id = i.origin
        WHERE i.tenant = $1 AND i.integration = $2 AND i.id > $3 AND i.origin IS NOT NULL ORDER BY i.id LIMIT $4";
    move_ingestions(db, mended, tenant, integration, step)?;
    let own = "SELECT id, as_of, NULL::integer FROM ingestions
        WHERE tenant = $1 AND integration = $2 AND id > $3 AND origin IS NULL ORDER BY id LIMIT $4";
    move_ingestions(db, own, tenant, integration, step)?;
    let sql = format!("UPDATE source_keys AS o SET connection = $6, bucket = $7, key = {key} WHERE {is_there}");
    db.run(WHAT, &sql, &places)?;
    let (before, after) = (from.of_dedup_keys(), to.of_dedup_keys());
    let exchange = |table: &str, column: &str, condition: &str, before: &str, after: &str| {
        let sql = format!(
            "UPDATE {table} SET {column} = $4::text || substr({column}, length($3::text) + 1)
             WHERE {condition} AND starts_with({column}, $3::text)"
        );
        db.run(WHAT, &sql, &[&tenant, &name, &before, &after])
    };
    exchange("ingestions", "dedup_key", "tenant = $1 AND integration = $2", &before, &after)?;
    // A row is named by its object, too.
    let (before, after) = (format!("{name}:{before}"), format!("{name}:{after}"));
    for table in ["rejects", "mended_rows"] {
        let is_its_own = "ingestion IN (SELECT id FROM ingestions WHERE tenant = $1 AND integration = $2)";
        exchange(table, "origin_row", is_its_own, &before, &after)?;
    }
    Ok(())
}

fn move_ingestions(
    db: &Session,
    sql: &str,
    tenant: i32,
    integration: &IntegrationName,
    step: &Relocation,
) -> Result<(), DestinationError> {
    let mut last = 0_i64;
    loop {
        let page = db.rows(WHAT, sql, &[&tenant, &integration.as_str(), &last, &PAGE], |row| {
            Ok((row.try_get::<_, i64>(0)?, row.try_get::<_, Vec<u8>>(1)?, row.try_get::<_, Option<i32>>(2)?))
        })?;
        let is_last = (page.len() as i64) < PAGE;
        let (mut ids, mut all) = (Vec::with_capacity(page.len()), Vec::with_capacity(page.len()));
        for (id, as_of, origin) in page {
            let moved = match origin {
                None => relocated(&as_of, step),
                Some(bytes) => relocated_behind(&as_of, usize::try_from(bytes).unwrap_or_default(), step),
            };
            let moved =
                moved.ok_or_else(|| DestinationError::Damaged { what: "place in the order", value: id.to_string() })?;
            last = id;
            if moved != as_of {
                ids.push(id);
                all.push(moved);
            }
        }
        let sql = "UPDATE ingestions i SET as_of = m.as_of
             FROM unnest($1::bigint[], $2::bytea[]) AS m (id, as_of) WHERE i.id = m.id";
        db.run(WHAT, sql, &[&ids, &all])?;
        if is_last {
            return Ok(());
        }
    }
}
