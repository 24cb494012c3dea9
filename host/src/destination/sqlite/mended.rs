//! Mended rejects: they join what their origin contributed, and each row counts once (R9, R10).

use rusqlite::params;

use crate::destination::relational::mended::{Follower, Origin, Other, settle as settle_rows};
use crate::destination::{Brings, Delivery, DestinationError, Taken};
use crate::object::{DedupKey, IntegrationName, Object};

use super::merge::Merge;
use super::store::Statements;

const WHAT: &str = "join mended rows";

/// What was merged of an object.
pub(super) fn taken(
    db: &Statements<'_>,
    integration: &IntegrationName,
    dedup_key: &DedupKey,
) -> Result<Option<Taken>, DestinationError> {
    let what = "look up an object";
    let found = db.first(
        what,
        "SELECT i.id, k.connection, k.bucket, k.key, i.etag, i.size, i.last_modified
         FROM main.ingestions i JOIN main.source_keys k ON k.id = i.source_key
         WHERE i.integration = ?1 AND i.dedup_key = ?2 AND i.replaced_by IS NULL AND i.origin IS NULL",
        params![integration.as_str(), dedup_key.as_str()],
        |row| {
            let text = |index| row.get::<_, String>(index);
            let size = u64::try_from(row.get::<_, i64>(5)?).unwrap_or_default();
            Ok((row.get::<_, i64>(0)?, [text(1)?, text(2)?, text(3)?, text(4)?, text(6)?], size))
        },
    )?;
    let Some((ingestion, [connection, bucket, key, etag, last_modified], size)) = found else { return Ok(None) };
    let damaged = || DestinationError::Damaged { what: "object", value: dedup_key.to_string() };
    let object = Object {
        connection: connection.parse().map_err(|_| damaged())?,
        bucket: bucket.parse().map_err(|_| damaged())?,
        key: key.parse().map_err(|_| damaged())?,
        etag: etag.parse().map_err(|_| damaged())?,
        size,
        last_modified: last_modified.parse().map_err(|_| damaged())?,
    };
    let mended = db.rows(
        what,
        "SELECT DISTINCT m.origin_row FROM main.ingestions i JOIN main.mended_rows m ON m.ingestion = i.id WHERE i.origin = ?1",
        [ingestion],
        |row| row.get(0),
    )?;
    Ok(Some(Taken { object, mended }))
}

/// What the delivery's rows join, where they are mended rejects.
pub(super) fn find_origin(db: &Statements<'_>, delivery: &Delivery) -> Result<Option<Origin>, DestinationError> {
    let Some(origin) = delivery.brings.origin() else { return Ok(None) };
    let found = db.first(
        WHAT,
        "SELECT id, as_of FROM main.ingestions
         WHERE integration = ?1 AND dedup_key = ?2 AND replaced_by IS NULL AND origin IS NULL",
        params![delivery.identity.integration.as_str(), origin.as_str()],
        |row| Ok(Origin { ingestion: row.get(0)?, as_of: row.get(1)? }),
    )?;
    found.map(Some).ok_or_else(|| DestinationError::OriginNotTaken { origin: origin.clone() })
}

/// Settles which mended rows count, before anything is written. The ingestion that took this one's place, if one did.
pub(super) fn settle(merge: &mut Merge<'_>) -> Result<Option<i64>, DestinationError> {
    match (&merge.staged.delivery.brings, merge.origin.as_ref().map(|origin| origin.ingestion)) {
        (Brings::Mended { .. }, Some(origin)) => settle_mended(merge, origin),
        (Brings::Mended { .. }, None) => Ok(None),
        (Brings::Own { mended }, _) => find_followers(merge, *mended).map(|()| None),
    }
}

fn settle_mended(merge: &mut Merge<'_>, origin: i64) -> Result<Option<i64>, DestinationError> {
    let db = merge.db;
    let unknown = db.first(
        WHAT,
        "SELECT s.origin_row FROM staging.mended s
         WHERE s.origin_row NOT IN (
           SELECT r.origin_row FROM main.ingestions i JOIN main.rejects r ON r.ingestion = i.id WHERE i.id = ?1 OR i.origin = ?1
           UNION ALL
           SELECT m.origin_row FROM main.ingestions i JOIN main.mended_rows m ON m.ingestion = i.id WHERE i.origin = ?1)
         ORDER BY s.position LIMIT 1",
        [origin],
        |row| row.get(0),
    )?;
    if let Some(row) = unknown {
        return Err(DestinationError::NotRefused { row });
    }
    let rows = db.value(WHAT, "SELECT count(DISTINCT origin_row) FROM staging.mended")?;
    let sql = "SELECT i.id, k.key, i.as_of > ?2, (SELECT count(*) FROM main.mended_rows a WHERE a.ingestion = i.id), count(*),
           min(m.origin_row)
         FROM main.ingestions i
         JOIN main.source_keys k ON k.id = i.source_key
         CROSS JOIN (SELECT DISTINCT origin_row FROM staging.mended) s
         JOIN main.mended_rows m ON m.ingestion = i.id AND m.origin_row = s.origin_row
         WHERE i.origin = ?1 AND i.replaced_by IS NULL AND i.dedup_key <> ?3
         GROUP BY i.id";
    let dedup_key = merge.staged.delivery.identity.dedup_key.as_str();
    let others = db.rows(WHAT, sql, params![origin, merge.as_of, dedup_key], |row| {
        Ok(Other {
            ingestion: row.get(0)?,
            key: row.get(1)?,
            is_newer: row.get(2)?,
            rows: row.get(3)?,
            shared: row.get(4)?,
            row: row.get(5)?,
        })
    })?;
    let settled = settle_rows(rows, others)?;
    merge.earlier.extend(settled.replaced);
    merge.superseded |= settled.replaced_by.is_some();
    Ok(settled.replaced_by)
}

/// Finds the mended rejects of the earlier generations. Those were left out of this one, all of them.
fn find_followers(merge: &mut Merge<'_>, left_out: u64) -> Result<(), DestinationError> {
    if merge.earlier.is_empty() || merge.superseded {
        return Ok(());
    }
    let earlier = merge.earlier_list();
    let sql = format!(
        "SELECT i.id, i.as_of, length(o.as_of) FROM main.ingestions i JOIN main.ingestions o ON o.id = i.origin
         WHERE i.origin IN ({earlier})"
    );
    merge.followers = merge.db.rows(WHAT, &sql, [], |row| {
        let origin_bytes = usize::try_from(row.get::<_, i64>(2)?).unwrap_or_default();
        Ok(Follower { ingestion: row.get(0)?, as_of: row.get(1)?, origin_bytes })
    })?;
    let sql =
        format!("SELECT count(DISTINCT origin_row) FROM main.mended_rows WHERE ingestion IN ({})", merge.followers());
    if merge.db.count(WHAT, &sql)? == left_out { Ok(()) } else { Err(DestinationError::MendedMeanwhile) }
}

/// Leads mended rejects of the earlier generations behind this one.
pub(super) fn lead_followers(merge: &Merge<'_>) -> Result<(), DestinationError> {
    for follower in &merge.followers {
        merge.db.run(
            WHAT,
            "UPDATE main.ingestions SET origin = ?2, as_of = ?3 WHERE id = ?1",
            params![follower.ingestion, merge.ingestion, follower.behind(&merge.as_of)],
        )?;
        // A row that this one has brought itself is not refused any more, whoever refused it.
        merge.db.run(
            WHAT,
            "DELETE FROM main.rejects WHERE ingestion = ?1
               AND origin_row NOT IN (SELECT origin_row FROM staging.rejects WHERE origin_row IS NOT NULL)",
            [follower.ingestion],
        )?;
    }
    Ok(())
}

/// Records which rows were mended.
pub(super) fn record_rows(merge: &Merge<'_>) -> Result<(), DestinationError> {
    if merge.origin.is_none() {
        return Ok(());
    }
    let sql = format!("DELETE FROM main.mended_rows WHERE ingestion IN ({})", merge.earlier_list());
    merge.db.run(WHAT, &sql, [])?;
    if !merge.superseded {
        let sql = "INSERT OR IGNORE INTO main.mended_rows SELECT ?1, origin_row FROM staging.mended";
        merge.db.run(WHAT, sql, [merge.ingestion])?;
    }
    Ok(())
}
