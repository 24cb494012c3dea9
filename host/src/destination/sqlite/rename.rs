//! An integration under another name (R17).

use rusqlite::params;

use crate::destination::DestinationError;
use crate::destination::relational::{renamed, renamed_behind};
use crate::object::IntegrationName;

use super::store::{Statements, Store};

const WHAT: &str = "rename an integration";

/// Ingestions whose bytes stand in memory at once.
const PAGE: usize = 1_000;

/// Gives an integration all that another name has, in one transaction. `described_by` keeps the bytes it has: they are
/// compared only, and a name decides between nothing but two integrations' views of one object.
pub(super) fn rename(store: &Store, from: &IntegrationName, to: &IntegrationName) -> Result<(), DestinationError> {
    if !store.exists() {
        return Ok(());
    }
    store.write_whole(WHAT, |db| move_all(db, from, to))
}

fn move_all(db: Statements<'_>, from: &IntegrationName, to: &IntegrationName) -> Result<(), DestinationError> {
    let has = |name: &IntegrationName| -> Result<bool, DestinationError> {
        db.value_of(WHAT, "SELECT EXISTS (SELECT 1 FROM ingestions WHERE integration = ?1)", [name.as_str()])
    };
    match (has(from)?, has(to)?) {
        (false, _) => return Ok(()),
        (true, true) => return Err(DestinationError::BothNames { from: from.clone(), to: to.clone() }),
        (true, false) => {}
    }
    // Mended rejects first: how many of their bytes are their origin's is known as long as that one has its name.
    let mended = "SELECT i.id, i.as_of, length(o.as_of) FROM ingestions i JOIN ingestions o ON o.id = i.origin
        WHERE i.integration = ?1 AND i.origin IS NOT NULL LIMIT ?2";
    move_ingestions(db, mended, from, to)?;
    move_ingestions(db, "SELECT id, as_of, NULL FROM ingestions WHERE integration = ?1 LIMIT ?2", from, to)?;
    db.run(
        WHAT,
        "UPDATE source_keys SET integration = ?2 WHERE integration = ?1",
        params![from.as_str(), to.as_str()],
    )?;
    // A row is named by its integration, too.
    for table in ["rejects", "mended_rows"] {
        let sql = format!(
            "UPDATE {table} SET origin_row = ?2 || substr(origin_row, length(?1) + 1)
             WHERE ingestion IN (SELECT id FROM ingestions WHERE integration = ?2)
               AND substr(origin_row, 1, length(?1) + 1) = ?1 || ':'"
        );
        db.run(WHAT, &sql, params![from.as_str(), to.as_str()])?;
    }
    Ok(())
}

fn move_ingestions(
    db: Statements<'_>,
    sql: &str,
    from: &IntegrationName,
    to: &IntegrationName,
) -> Result<(), DestinationError> {
    loop {
        let page = db.rows(WHAT, sql, params![from.as_str(), PAGE as i64], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?, row.get::<_, Option<i64>>(2)?))
        })?;
        for (id, as_of, origin) in &page {
            let moved = match origin {
                None => renamed(as_of, 0, from, to),
                Some(bytes) => renamed_behind(as_of, usize::try_from(*bytes).unwrap_or_default(), from, to),
            };
            let moved =
                moved.ok_or_else(|| DestinationError::Damaged { what: "place in the order", value: id.to_string() })?;
            let sql = "UPDATE ingestions SET integration = ?2, as_of = ?3 WHERE id = ?1";
            db.run(WHAT, sql, params![id, to.as_str(), moved])?;
        }
        if page.len() < PAGE {
            return Ok(());
        }
    }
}
