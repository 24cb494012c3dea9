//! Mended rejects: they join what their origin contributed, and each row counts once (R9, R10), by the rules of
//! `relational/mended.rs`.

use crate::destination::relational::mended::{Follower, Origin, Other, settle as settle_rows};
use crate::destination::{Brings, Delivery, DestinationError, Taken};
use crate::object::{DedupKey, IntegrationName, Object, TenantName};

use super::merge::{Merge, storable};
use super::session::Session;

const WHAT: &str = "join mended rows";

/// What was merged of an object.
pub(super) fn taken(
    db: &Session,
    tenant: &TenantName,
    integration: &IntegrationName,
    dedup_key: &DedupKey,
) -> Result<Option<Taken>, DestinationError> {
    let what = "look up an object";
    let found = db.first(
        what,
        "SELECT i.id, k.connection, k.bucket, k.key, i.etag,
           to_char(i.last_modified AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), i.size
         FROM ingestions i JOIN source_keys k ON k.id = i.source_key JOIN tenants t ON t.id = i.tenant
         WHERE t.name = $1 AND i.integration = $2 AND i.dedup_key = $3 AND i.replaced_by IS NULL AND i.origin IS NULL",
        &[&tenant.as_str(), &integration.as_str(), &storable(dedup_key.as_str())],
        |row| {
            let text = |index| row.try_get::<_, String>(index);
            Ok((
                row.try_get::<_, i64>(0)?,
                [text(1)?, text(2)?, text(3)?, text(4)?, text(5)?],
                row.try_get::<_, i64>(6)?,
            ))
        },
    )?;
    let Some((ingestion, [connection, bucket, key, etag, last_modified], size)) = found else { return Ok(None) };
    let damaged = || DestinationError::Damaged { what: "object", value: dedup_key.to_string() };
    let object = Object {
        connection: connection.parse().map_err(|_| damaged())?,
        bucket: bucket.parse().map_err(|_| damaged())?,
        key: key.parse().map_err(|_| damaged())?,
        etag: etag.parse().map_err(|_| damaged())?,
        size: u64::try_from(size).unwrap_or_default(),
        last_modified: last_modified.parse().map_err(|_| damaged())?,
    };
    let mended = db.rows(
        what,
        "SELECT DISTINCT m.origin_row FROM ingestions i JOIN mended_rows m ON m.ingestion = i.id WHERE i.origin = $1",
        &[&ingestion],
        |row| row.try_get(0),
    )?;
    Ok(Some(Taken { object, mended }))
}

/// What the delivery's rows join, where they are mended rejects.
pub(super) fn find_origin(db: &Session, tenant: i32, delivery: &Delivery) -> Result<Option<Origin>, DestinationError> {
    let Some(origin) = delivery.brings.origin() else { return Ok(None) };
    let found = db.first(
        WHAT,
        "SELECT id, as_of FROM ingestions
         WHERE tenant = $1 AND integration = $2 AND dedup_key = $3 AND replaced_by IS NULL AND origin IS NULL",
        &[&tenant, &delivery.identity.integration.as_str(), &storable(origin.as_str())],
        |row| Ok(Origin { ingestion: row.try_get(0)?, as_of: row.try_get(1)? }),
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
        "SELECT s.origin_row FROM staged_mended s
         WHERE s.origin_row NOT IN (
           SELECT r.origin_row FROM ingestions i JOIN rejects r ON r.ingestion = i.id WHERE i.id = $1 OR i.origin = $1
           UNION ALL
           SELECT m.origin_row FROM ingestions i JOIN mended_rows m ON m.ingestion = i.id WHERE i.origin = $1)
         ORDER BY s.position LIMIT 1",
        &[&origin],
        |row| row.try_get(0),
    )?;
    if let Some(row) = unknown {
        return Err(DestinationError::NotRefused { row });
    }
    let rows = db.value(WHAT, "SELECT count(DISTINCT origin_row) FROM staged_mended", &[])?;
    let dedup_key = storable(merge.staged.delivery.identity.dedup_key.as_str());
    let others = db.rows(
        WHAT,
        "SELECT i.id, min(k.key), i.as_of > $2, (SELECT count(*) FROM mended_rows a WHERE a.ingestion = i.id), count(*),
           min(m.origin_row)
         FROM ingestions i
         JOIN source_keys k ON k.id = i.source_key
         JOIN mended_rows m ON m.ingestion = i.id
         WHERE i.origin = $1 AND i.replaced_by IS NULL AND i.dedup_key <> $3
           AND m.origin_row IN (SELECT origin_row FROM staged_mended)
         GROUP BY i.id",
        &[&origin, &merge.as_of, &dedup_key],
        |row| {
            Ok(Other {
                ingestion: row.try_get(0)?,
                key: row.try_get(1)?,
                is_newer: row.try_get(2)?,
                rows: row.try_get(3)?,
                shared: row.try_get(4)?,
                row: row.try_get(5)?,
            })
        },
    )?;
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
    merge.followers = merge.db.rows(
        WHAT,
        "SELECT i.id, i.as_of, length(o.as_of) FROM ingestions i JOIN ingestions o ON o.id = i.origin
         WHERE i.origin = ANY ($1)",
        &[&merge.earlier],
        |row| {
            let origin_bytes = usize::try_from(row.try_get::<_, i32>(2)?).unwrap_or_default();
            Ok(Follower { ingestion: row.try_get(0)?, as_of: row.try_get(1)?, origin_bytes })
        },
    )?;
    let mended: i64 = merge.db.value(
        WHAT,
        "SELECT count(DISTINCT origin_row) FROM mended_rows WHERE ingestion = ANY ($1)",
        &[&merge.followers()],
    )?;
    if u64::try_from(mended) == Ok(left_out) { Ok(()) } else { Err(DestinationError::MendedMeanwhile) }
}

/// Leads mended rejects of the earlier generations behind this one.
pub(super) fn lead_followers(merge: &Merge<'_>) -> Result<(), DestinationError> {
    for follower in &merge.followers {
        merge.db.run(
            WHAT,
            "UPDATE ingestions SET origin = $2, as_of = $3 WHERE id = $1",
            &[&follower.ingestion, &merge.ingestion, &follower.behind(&merge.as_of)],
        )?;
        // A row that this one has brought itself is not refused any more, whoever refused it.
        merge.db.run(
            WHAT,
            "DELETE FROM rejects WHERE ingestion = $1
               AND origin_row NOT IN (SELECT origin_row FROM staged_rejects WHERE origin_row IS NOT NULL)",
            &[&follower.ingestion],
        )?;
    }
    Ok(())
}

/// Records which rows were mended.
pub(super) fn record_rows(merge: &Merge<'_>) -> Result<(), DestinationError> {
    if merge.origin.is_none() {
        return Ok(());
    }
    merge.db.run(WHAT, "DELETE FROM mended_rows WHERE ingestion = ANY ($1)", &[&merge.earlier])?;
    if !merge.superseded {
        let sql =
            "INSERT INTO mended_rows (ingestion, origin_row) SELECT DISTINCT $1::bigint, origin_row FROM staged_mended";
        merge.db.run(WHAT, sql, &[&merge.ingestion])?;
    }
    Ok(())
}
