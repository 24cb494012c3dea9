//! An integration under another name (R17).

use crate::destination::DestinationError;
use crate::destination::relational::{renamed, renamed_behind};
use crate::object::{IntegrationName, TenantName};

use super::merge::change_whole;
use super::session::Session;

const WHAT: &str = "rename an integration";

/// Ingestions whose bytes stand in memory at once.
const PAGE: i64 = 1_000;

/// Gives an integration all that another name has, in one transaction. `described_by` keeps the bytes it has: they are
/// compared only, and a name decides between nothing but two integrations' views of one object.
pub(super) fn rename(
    session: &Session,
    tenant: &TenantName,
    from: &IntegrationName,
    to: &IntegrationName,
) -> Result<(), DestinationError> {
    change_whole(session, tenant, WHAT, |number| move_all(session, number, from, to))
}

fn move_all(db: &Session, tenant: i32, from: &IntegrationName, to: &IntegrationName) -> Result<(), DestinationError> {
    let has = |name: &IntegrationName| -> Result<bool, DestinationError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM ingestions WHERE tenant = $1 AND integration = $2)";
        db.value(WHAT, sql, &[&tenant, &name.as_str()])
    };
    match (has(from)?, has(to)?) {
        (false, _) => return Ok(()),
        (true, true) => return Err(DestinationError::BothNames { from: from.clone(), to: to.clone() }),
        (true, false) => {}
    }
    // Mended rejects first: how many of their bytes are their origin's is known as long as that one has its name.
    let mended = "SELECT i.id, i.as_of, length(o.as_of) FROM ingestions i JOIN ingestions o ON o.id = i.origin
        WHERE i.tenant = $1 AND i.integration = $2 AND i.origin IS NOT NULL LIMIT $3";
    move_ingestions(db, mended, tenant, from, to)?;
    let own = "SELECT id, as_of, NULL::integer FROM ingestions WHERE tenant = $1 AND integration = $2 LIMIT $3";
    move_ingestions(db, own, tenant, from, to)?;
    let names: [&(dyn tokio_postgres::types::ToSql + Sync); 3] = [&tenant, &from.as_str(), &to.as_str()];
    db.run(WHAT, "UPDATE source_keys SET integration = $3 WHERE tenant = $1 AND integration = $2", &names)?;
    // A row is named by its integration, too.
    for table in ["rejects", "mended_rows"] {
        let sql = format!(
            "UPDATE {table} SET origin_row = $3::text || substr(origin_row, length($2::text) + 1)
             WHERE ingestion IN (SELECT id FROM ingestions WHERE tenant = $1 AND integration = $3::text)
               AND starts_with(origin_row, $2::text || ':')"
        );
        db.run(WHAT, &sql, &names)?;
    }
    Ok(())
}

fn move_ingestions(
    db: &Session,
    sql: &str,
    tenant: i32,
    from: &IntegrationName,
    to: &IntegrationName,
) -> Result<(), DestinationError> {
    loop {
        let page = db.rows(WHAT, sql, &[&tenant, &from.as_str(), &PAGE], |row| {
            Ok((row.try_get::<_, i64>(0)?, row.try_get::<_, Vec<u8>>(1)?, row.try_get::<_, Option<i32>>(2)?))
        })?;
        let (mut ids, mut all) = (Vec::with_capacity(page.len()), Vec::with_capacity(page.len()));
        for (id, as_of, origin) in page {
            let moved = match origin {
                None => renamed(&as_of, 0, from, to),
                Some(bytes) => renamed_behind(&as_of, usize::try_from(bytes).unwrap_or_default(), from, to),
            };
            all.push(
                moved.ok_or_else(|| DestinationError::Damaged { what: "place in the order", value: id.to_string() })?,
            );
            ids.push(id);
        }
        db.run(
            WHAT,
            "UPDATE ingestions i SET integration = $1, as_of = m.as_of
             FROM unnest($2::bigint[], $3::bytea[]) AS m (id, as_of) WHERE i.id = m.id",
            &[&to.as_str(), &ids, &all],
        )?;
        if (ids.len() as i64) < PAGE {
            return Ok(());
        }
    }
}
