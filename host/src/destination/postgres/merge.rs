//! One object's merge: a transaction in which its staged records are matched, merged and confirmed, set-wise, and what
//! earlier generations of it contributed is taken back (R1).

use crate::destination::relational::matching::{CONFLICT, NONE, SEVERAL, refuse};
use crate::destination::relational::mended::{Follower, Origin};
use crate::destination::relational::similar::Names;
use crate::destination::relational::{UNMATCHED_EXAMPLES, behind, comparable, place};
use crate::destination::resolve::{RecordKind, ResolvedRow};
use crate::destination::{Delivery, DestinationError, Merged, Preview, RowCounts, Summary, UnmatchedRow};
use crate::object::{ContentHash, Generation, Identity, TenantName};

use super::session::{Session, is_conflict};
use super::staging::Staged;
use super::{fields, matching, mended, preview, usage};

/// How often a merge that the server gave up in favour of another is tried again at once.
const ATTEMPTS: u32 = 5;

/// Below so many staged rows the planner's guesses do.
const WORTH_ANALYZING: u64 = 1_000;

/// A merge in progress.
pub(super) struct Merge<'c> {
    pub(super) db: &'c Session,
    pub(super) staged: &'c Staged,
    /// The names of all accounts, for those that are about the same.
    pub(super) names: &'c Names,
    /// The tenant's number.
    pub(super) tenant: i32,
    /// This ingestion.
    pub(super) ingestion: i64,
    /// Where its writes stand, as bytes that compare.
    pub(super) as_of: Vec<u8>,
    /// Whether nothing of the tenant is newer, so that its values simply win.
    pub(super) newest: bool,
    /// Confirmed ingestions whose contributions it replaces: of the same object with a lower generation, above all.
    pub(super) earlier: Vec<i64>,
    /// Whether a higher generation of the same object was confirmed before, so that it contributes nothing.
    pub(super) superseded: bool,
    /// What its rows join, where they are mended rejects.
    pub(super) origin: Option<Origin>,
    /// Ingestions of mended rejects that joined the earlier ones.
    pub(super) followers: Vec<Follower>,
    /// Accounts with a higher id were created by this merge.
    pub(super) last_account: i64,
    pub(super) merged: Merged,
}

/// Merges and confirms, durably. An identity that is confirmed already changes nothing.
pub(super) fn merge(
    session: &Session,
    names: &Names,
    staged: &Staged,
    rows: RowCounts,
) -> Result<Summary, DestinationError> {
    analyze(session, staged)?;
    let mut attempt = 1;
    loop {
        match try_merge(session, names, staged, rows) {
            Err(error) if attempt < ATTEMPTS && is_conflict(&error) => {
                attempt += 1;
                session.batch("roll back", "ROLLBACK")?;
            }
            done => return done,
        }
    }
}

fn try_merge(session: &Session, names: &Names, staged: &Staged, rows: RowCounts) -> Result<Summary, DestinationError> {
    session.batch("begin to merge", "BEGIN ISOLATION LEVEL READ COMMITTED")?;
    let tenant = lock_tenant(session, &staged.delivery.tenant)?;
    if let Some(summary) = confirmed(session, &staged.delivery.tenant, &staged.delivery.identity)? {
        session.batch("roll back", "ROLLBACK")?;
        empty_tables(session)?;
        return Ok(summary);
    }
    let merged = Merge::run(session, tenant, names, staged, Purpose::Store(rows))?.merged;
    session.batch("commit", "COMMIT")?;
    empty_tables(session)?;
    Ok(Summary { content: staged.delivery.content, rows, merged })
}

/// The same as a merge, taken back.
pub(super) fn preview(session: &Session, names: &Names, staged: &Staged) -> Result<Preview, DestinationError> {
    analyze(session, staged)?;
    session.batch("begin to merge", "BEGIN ISOLATION LEVEL READ COMMITTED")?;
    let tenant = lock_tenant(session, &staged.delivery.tenant)?;
    session.batch("begin to merge", "SAVEPOINT before")?;
    let merge = Merge::run(session, tenant, names, staged, Purpose::Look)?;
    let described = preview::describe(&merge)?;
    // The tenant stays locked, so this is what the merge found.
    session.batch("roll back", "ROLLBACK TO SAVEPOINT before")?;
    let preview = described.compare(session)?;
    session.batch("roll back", "ROLLBACK")?;
    empty_tables(session)?;
    Ok(preview)
}

/// The accounts of the staged rows, as a merge would find them. Nothing lasts.
pub(super) fn resolve(
    session: &Session,
    names: &Names,
    staged: &Staged,
    rows: Option<RowCounts>,
    found: &mut dyn FnMut(ResolvedRow) -> Result<(), DestinationError>,
) -> Result<Merged, DestinationError> {
    analyze(session, staged)?;
    session.batch("begin to match", "BEGIN ISOLATION LEVEL READ COMMITTED")?;
    let tenant = lock_tenant(session, &staged.delivery.tenant)?;
    let merge = Merge::run(session, tenant, names, staged, Purpose::Resolve(rows))?;
    merge.tell("staged_accounts", RecordKind::Account, found)?;
    merge.tell("staged_usage", RecordKind::Usage, found)?;
    let merged = merge.merged;
    session.batch("roll back", "ROLLBACK")?;
    empty_tables(session)?;
    Ok(merged)
}

/// What was merged under an identity, if it was confirmed.
pub(super) fn confirmed(
    session: &Session,
    tenant: &TenantName,
    identity: &Identity,
) -> Result<Option<Summary>, DestinationError> {
    let found = session.first(
        "look up an ingestion",
        "SELECT i.content, i.rows_read, i.rows_rejected, i.merged::text
         FROM ingestions i JOIN tenants t ON t.id = i.tenant
         WHERE t.name = $1 AND i.integration = $2 AND i.dedup_key = $3 AND i.generation = $4",
        &[
            &tenant.as_str(),
            &identity.integration.as_str(),
            &storable(identity.dedup_key.as_str()),
            &i64::from(identity.generation.0),
        ],
        |row| {
            Ok((
                row.try_get::<_, String>(0)?,
                row.try_get::<_, i64>(1)?,
                row.try_get::<_, i64>(2)?,
                row.try_get::<_, String>(3)?,
            ))
        },
    )?;
    let Some((content, read, rejected, merged)) = found else { return Ok(None) };
    let count = |rows: i64| u64::try_from(rows).unwrap_or_default();
    Ok(Some(Summary {
        content: content
            .parse::<ContentHash>()
            .map_err(|_| DestinationError::Damaged { what: "content hash", value: content })?,
        rows: RowCounts { read: count(read), rejected: count(rejected) },
        // Counts that a different version wrote differently are no reason to doubt the confirmation itself.
        merged: serde_json::from_str(&merged).unwrap_or_default(),
    }))
}

/// The places of the identities that were never confirmed.
pub(super) fn unconfirmed(
    session: &Session,
    tenant: &TenantName,
    identities: &[Identity],
) -> Result<Vec<usize>, DestinationError> {
    let integrations: Vec<&str> = identities.iter().map(|identity| identity.integration.as_str()).collect();
    let dedup_keys: Vec<String> = identities.iter().map(|identity| storable(identity.dedup_key.as_str())).collect();
    let generations: Vec<i64> = identities.iter().map(|identity| i64::from(identity.generation.0)).collect();
    let numbers = session.rows(
        "look up ingestions",
        "SELECT a.number FROM unnest($2::text[], $3::text[], $4::bigint[])
           WITH ORDINALITY AS a (integration, dedup_key, generation, number)
         WHERE NOT EXISTS (
           SELECT 1 FROM ingestions i JOIN tenants t ON t.id = i.tenant
           WHERE t.name = $1 AND i.integration = a.integration AND i.dedup_key = a.dedup_key
             AND i.generation = a.generation)
         ORDER BY a.number",
        &[&tenant.as_str(), &integrations, &dedup_keys, &generations],
        |row| row.try_get::<_, i64>(0),
    )?;
    // They are counted from 1.
    Ok(numbers.into_iter().filter_map(|number| usize::try_from(number - 1).ok()).collect())
}

/// A text of ours as PostgreSQL can hold it: U+0000 becomes U+FFFD.
pub(super) fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// The tenant's number. Merges of one tenant take turns from here to the end of their transactions.
pub(super) fn lock_tenant(session: &Session, tenant: &TenantName) -> Result<i32, DestinationError> {
    let what = "lock the tenant";
    session.run(what, "INSERT INTO tenants (name) VALUES ($1) ON CONFLICT DO NOTHING", &[&tenant.as_str()])?;
    session.value(what, "SELECT id FROM tenants WHERE name = $1 FOR NO KEY UPDATE", &[&tenant.as_str()])
}

/// Changes what a tenant has in one transaction, or nothing of it. A tenant that the store does not know has nothing.
pub(super) fn change_whole(
    session: &Session,
    tenant: &TenantName,
    what: &'static str,
    work: impl FnOnce(i32) -> Result<(), DestinationError>,
) -> Result<(), DestinationError> {
    let known = "SELECT EXISTS (SELECT 1 FROM tenants WHERE name = $1)";
    if !session.value::<bool>(what, known, &[&tenant.as_str()])? {
        return Ok(());
    }
    // The connection is closed after a failure, which takes everything back.
    session.batch(what, "BEGIN ISOLATION LEVEL READ COMMITTED")?;
    work(lock_tenant(session, tenant)?)?;
    session.batch(what, "COMMIT")
}

/// Tells the planner what was staged.
fn analyze(session: &Session, staged: &Staged) -> Result<(), DestinationError> {
    let rows = session.count("count rows", "SELECT count(*) FROM staged_accounts")?;
    if rows + staged.usage_values < WORTH_ANALYZING {
        return Ok(());
    }
    session.batch(
        "count rows",
        "ANALYZE staged_identifiers; ANALYZE staged_accounts; ANALYZE staged_values; ANALYZE staged_usage; ANALYZE staged_users",
    )
}

/// Makes the connection's tables ready for the next object.
fn empty_tables(session: &Session) -> Result<(), DestinationError> {
    session.batch(
        "empty the staging tables",
        "TRUNCATE staged_identifiers, staged_accounts, staged_values, staged_usage, staged_users, staged_rejected,
           staged_rejects, staged_mended, merge_resolved, merge_similar, merge_created, merge_fields, merge_contributions, merge_changed,
           merge_touched, merge_folded, merge_lookups, merge_series, merge_users, merge_usage, merge_touched_usage",
    )
}

/// What a merge is for.
#[derive(Clone, Copy)]
enum Purpose {
    /// To last, with the object's row counts.
    Store(RowCounts),
    /// To be looked at. Then a file in which nothing matched is no failure but what there is to see.
    Look,
    /// To know the accounts alone. Without row counts it is to be looked at, too.
    Resolve(Option<RowCounts>),
}

impl Purpose {
    /// The row counts of a file that may be refused.
    fn refusing(self) -> Option<RowCounts> {
        match self {
            Self::Store(rows) | Self::Resolve(Some(rows)) => Some(rows),
            Self::Look | Self::Resolve(None) => None,
        }
    }
}

/// Older versions of a replayed object's key that had its bytes: the ledger left this version out for one of them, so
/// that a replay is one of theirs too.
fn same_bytes(db: &Session, tenant: i32, delivery: &Delivery, as_of: &[u8]) -> Result<Vec<i64>, DestinationError> {
    let (identity, object) = (&delivery.identity, &delivery.object);
    if identity.generation == Generation::default() {
        return Ok(Vec::new());
    }
    db.rows(
        "look up versions",
        "SELECT i.id FROM ingestions i JOIN source_keys k ON k.id = i.source_key
         WHERE k.tenant = $1 AND k.integration = $2 AND k.connection = $3 AND k.bucket = $4 AND k.key = $5
           AND i.dedup_key <> $6 AND i.content = $7 AND i.as_of < $8 AND i.replaced_by IS NULL
           AND NOT EXISTS (SELECT 1 FROM ingestions m WHERE m.origin = i.id)",
        &[
            &tenant,
            &identity.integration.as_str(),
            &object.connection.as_str(),
            &object.bucket.as_str(),
            &storable(object.key.as_str()),
            &storable(identity.dedup_key.as_str()),
            &delivery.content.to_string(),
            &as_of,
        ],
        |row| row.try_get(0),
    )
}

impl<'c> Merge<'c> {
    fn run(
        db: &'c Session,
        tenant: i32,
        names: &'c Names,
        staged: &'c Staged,
        purpose: Purpose,
    ) -> Result<Self, DestinationError> {
        let identity = &staged.delivery.identity;
        let own_as_of = comparable(&staged.delivery.as_of, identity);
        let origin = mended::find_origin(db, tenant, &staged.delivery)?;
        let as_of = origin.as_ref().map_or_else(|| own_as_of.clone(), |origin| behind(&origin.as_of, &own_as_of));
        let generation = i64::from(identity.generation.0);
        let generations = db.rows(
            "look up generations",
            "SELECT id, generation FROM ingestions WHERE tenant = $1 AND integration = $2 AND dedup_key = $3",
            &[&tenant, &identity.integration.as_str(), &storable(identity.dedup_key.as_str())],
            |row| Ok((row.try_get::<_, i64>(0)?, row.try_get::<_, i64>(1)?)),
        )?;
        let later = generations.iter().filter(|(_, other)| *other > generation).max_by_key(|(_, other)| *other);
        let earlier: Vec<i64> =
            generations.iter().filter(|(_, other)| *other < generation).map(|(id, _)| *id).collect();
        let earlier: Vec<i64> = [earlier, same_bytes(db, tenant, &staged.delivery, &as_of)?].concat();
        let newest = db.value(
            "compare with the newest ingestion",
            "SELECT NOT EXISTS (SELECT 1 FROM ingestions WHERE tenant = $1 AND as_of > $2)",
            &[&tenant, &as_of],
        )?;
        let last_account =
            db.value("count accounts", "SELECT coalesce(max(id), 0) FROM accounts WHERE tenant = $1", &[&tenant])?;
        let merged = Merged::default();
        let superseded = later.is_some();
        let mut merge = Self {
            db,
            staged,
            names,
            tenant,
            ingestion: 0,
            as_of,
            newest,
            earlier,
            superseded,
            origin,
            followers: Vec::new(),
            last_account,
            merged,
        };
        let late_rejects = merge.leave_out_late_rejects()?;
        if let Purpose::Resolve(_) = purpose {
            matching::match_accounts(&mut merge)?;
            merge.count_rows(purpose)?;
            return Ok(merge);
        }
        let mended_anew = mended::settle(&mut merge)?;
        merge.ingestion = merge.begin_ingestion(later.map(|(ingestion, _)| *ingestion).or(mended_anew))?;
        mended::lead_followers(&merge)?;
        matching::match_accounts(&mut merge)?;
        merge.count_rows(purpose)?;
        fields::merge_fields(&mut merge)?;
        merge.merged.usage_values = staged.usage_values.saturating_sub(late_rejects);
        usage::merge_usage(&mut merge)?;
        merge.finish_ingestion(purpose)?;
        Ok(merge)
    }

    /// The followers' ids.
    pub(super) fn followers(&self) -> Vec<i64> {
        self.followers.iter().map(|follower| follower.ingestion).collect()
    }

    fn begin_ingestion(&self, replaced_by: Option<i64>) -> Result<i64, DestinationError> {
        let delivery = &self.staged.delivery;
        let (object, identity) = (&delivery.object, &delivery.identity);
        let integration = identity.integration.as_str();
        let source_key: i64 = self.db.value(
            "record the key",
            // The update that changes nothing makes the row's id come back.
            "INSERT INTO source_keys (tenant, integration, connection, bucket, key) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (tenant, integration, connection, bucket, key) DO UPDATE SET key = excluded.key RETURNING id",
            &[
                &self.tenant,
                &integration,
                &object.connection.as_str(),
                &object.bucket.as_str(),
                &storable(object.key.as_str()),
            ],
        )?;
        self.db.value(
            "record the ingestion",
            "INSERT INTO ingestions (tenant, integration, dedup_key, generation, source_key, etag, size, last_modified,
                effective_time, arrival, as_of, mapping, content, replaced_by, origin)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8::text::timestamptz, $9::text::timestamptz, $10, $11, $12, $13, $14, $15)
             RETURNING id",
            &[
                &self.tenant,
                &integration,
                &storable(identity.dedup_key.as_str()),
                &i64::from(identity.generation.0),
                &source_key,
                &storable(object.etag.as_str()),
                &i64::try_from(object.size).unwrap_or(i64::MAX),
                &object.last_modified.to_string(),
                &delivery.as_of.effective_time.to_string(),
                &i64::try_from(delivery.as_of.arrival).unwrap_or(i64::MAX),
                &self.as_of,
                &delivery.mapping.to_string(),
                &delivery.content.to_string(),
                &replaced_by,
                &self.origin.as_ref().map(|origin| origin.ingestion),
            ],
        )
    }

    fn finish_ingestion(&self, purpose: Purpose) -> Result<(), DestinationError> {
        let me = self.ingestion;
        for (index, first_position) in (0_i32..).zip(&self.staged.tables) {
            self.db.run(
                "record the tables",
                "INSERT INTO ingestion_tables VALUES ($1, $2, $3)",
                &[&me, &index, first_position],
            )?;
        }
        if !self.earlier.is_empty() {
            let what = "replace earlier generations";
            self.db.run(what, "UPDATE ingestions SET replaced_by = $1 WHERE id = ANY ($2)", &[&me, &self.earlier])?;
            self.db.run(what, "DELETE FROM rejects WHERE ingestion = ANY ($1)", &[&self.earlier])?;
        }
        mended::record_rows(self)?;
        if self.staged.rejects > 0 && !self.superseded {
            self.db.run("keep the rejects", "INSERT INTO rejects SELECT $1, * FROM staged_rejects", &[&me])?;
        }
        let rows = purpose.refusing().unwrap_or_default();
        let count = |rows: u64| i64::try_from(rows).unwrap_or(i64::MAX);
        // A struct of numbers and texts always becomes JSON, of which a text in the database cannot hold U+0000.
        let merged = serde_json::to_string(&self.merged).unwrap_or_default();
        self.db.run(
            "record the ingestion",
            "UPDATE ingestions SET rows_read = $2, rows_rejected = $3, merged = $4::text::jsonb WHERE id = $1",
            &[&me, &count(rows.read), &count(rows.rejected), &merged],
        )?;
        Ok(())
    }

    /// Deletes what was staged for rows that were rejected later; how many usage values that was.
    fn leave_out_late_rejects(&self) -> Result<u64, DestinationError> {
        if !self.staged.late_rejects {
            return Ok(0);
        }
        let what = "leave out rejected rows";
        for table in ["staged_accounts", "staged_values", "staged_mended"] {
            let sql = format!("DELETE FROM {table} WHERE position IN (SELECT position FROM staged_rejected)");
            self.db.run(what, &sql, &[])?;
        }
        let sql = "DELETE FROM staged_usage WHERE position IN (SELECT position FROM staged_rejected)";
        let usage_values = self.db.run(what, sql, &[])?;
        // Identifiers that nothing else names must create no account.
        self.db.run(
            what,
            "DELETE FROM staged_identifiers i WHERE NOT EXISTS (SELECT 1 FROM staged_usage u WHERE u.identifier = i.identifier)
             AND NOT EXISTS (SELECT 1 FROM staged_accounts a WHERE a.identifier = i.identifier)",
            &[],
        )?;
        Ok(usage_values)
    }

    /// Counts the rows that matched and those that did not; a file in which nothing did is refused (R7).
    fn count_rows(&mut self, purpose: Purpose) -> Result<(), DestinationError> {
        let what = "count rows";
        let sql = format!(
            "SELECT count(*) FROM staged_accounts v JOIN merge_resolved r ON r.identifier = v.identifier
             WHERE r.account BETWEEN 1 AND {}",
            self.last_account
        );
        self.merged.matched = self.db.count(what, &sql)?;
        if !self.db.value(what, "SELECT EXISTS (SELECT 1 FROM merge_resolved WHERE account <= 0)", &[])? {
            return Ok(());
        }
        let unresolved = "FROM (SELECT position, identifier FROM staged_usage
               UNION ALL SELECT position, identifier FROM staged_accounts) v
             JOIN merge_resolved r ON r.identifier = v.identifier WHERE r.account";
        let count =
            |codes: &str| self.db.count(what, &format!("SELECT count(DISTINCT v.position) {unresolved} {codes}"));
        self.merged.unmatched = count(&format!("= {NONE}"))?;
        self.merged.ambiguous = count(&format!("IN ({SEVERAL}, {CONFLICT})"))?;
        let conflicts = count(&format!("= {CONFLICT}"))?;
        let refused = self.merged.unmatched + self.merged.ambiguous;
        let resolved: bool =
            self.db.value(what, "SELECT EXISTS (SELECT 1 FROM merge_resolved WHERE account > 0)", &[])?;
        if !resolved && refused > 0 && purpose.refusing().is_some() {
            return Err(DestinationError::NoAccountMatched { rows: refused });
        }
        let few = UNMATCHED_EXAMPLES;
        self.merged.unmatched_examples =
            self.examples(&format!("{unresolved} <= 0 ORDER BY v.position LIMIT {few}"))?;
        let Some(read) = purpose.refusing() else { return Ok(()) };
        refuse(self.staged.delivery.matching, &self.merged, read, conflicts, |code| {
            let first = self.examples(&format!("{unresolved} = {code} ORDER BY v.position LIMIT 1"))?.pop();
            Ok(first.map(|row| row.identifier).unwrap_or_default())
        })
    }

    /// Tells the accounts of the rows of one staged table.
    fn tell(
        &self,
        table: &str,
        kind: RecordKind,
        found: &mut dyn FnMut(ResolvedRow) -> Result<(), DestinationError>,
    ) -> Result<(), DestinationError> {
        let sql = format!(
            "SELECT v.position, r.account FROM {table} v JOIN merge_resolved r ON r.identifier = v.identifier
             WHERE r.account > 0 ORDER BY v.position"
        );
        let read = |row: &tokio_postgres::Row| Ok((row.try_get::<_, i64>(0)?, row.try_get::<_, i64>(1)?));
        self.db.each("read the accounts of rows", &sql, &[], read, |(position, account)| {
            let (table, row) = place(&self.staged.tables, position);
            found(ResolvedRow { kind, table, row, account })
        })
    }

    /// Some rows with their identifiers, of a selection of `v`.
    fn examples(&self, selection: &str) -> Result<Vec<UnmatchedRow>, DestinationError> {
        let sql = format!(
            "SELECT e.position, coalesce((SELECT array_to_string(i.keys, ', ') FROM staged_identifiers i WHERE i.identifier = e.identifier), '')
             FROM (SELECT DISTINCT v.position, v.identifier {selection}) e ORDER BY e.position"
        );
        let tables = &self.staged.tables;
        self.db.rows("describe rows", &sql, &[], |row| {
            let (table, row_index) = place(tables, row.try_get(0)?);
            Ok(UnmatchedRow { table, row: row_index, identifier: row.try_get(1)? })
        })
    }
}
