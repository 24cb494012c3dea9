//! One object's merge: a transaction on the tenant's store in which its staged records are matched, merged and
//! confirmed, set-wise, and what earlier generations of it contributed is taken back (R1).

use std::path::Path;

use rusqlite::types::Type;
use rusqlite::{Connection, OpenFlags, TransactionBehavior, params};

use crate::destination::relational::matching::{CONFLICT, NONE, SEVERAL, refuse};
use crate::destination::relational::mended::{Follower, Origin};
use crate::destination::relational::similar::Names;
use crate::destination::relational::{UNMATCHED_EXAMPLES, behind, comparable, place};
use crate::destination::resolve::{RecordKind, ResolvedRow};
use crate::destination::{Delivery, DestinationError, Merged, Preview, RowCounts, Summary, UnmatchedRow};
use crate::object::{ContentHash, Generation, Identity};

use super::staging::Staged;
use super::store::{self, STAGING_CACHE, Statements, Store};
use super::{fields, matching, mended, preview, usage};

/// A merge in progress.
pub(super) struct Merge<'c> {
    pub(super) db: Statements<'c>,
    pub(super) staged: &'c Staged,
    /// The names of all accounts, for those that are about the same.
    pub(super) names: &'c Names,
    /// This ingestion.
    pub(super) ingestion: i64,
    /// Where its writes stand, as bytes that compare.
    pub(super) as_of: Vec<u8>,
    /// Whether nothing in the store is newer, so that its values simply win.
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
    store: &Store,
    staging: &Path,
    staged: &Staged,
    rows: RowCounts,
) -> Result<Summary, DestinationError> {
    store.write(|connection| {
        with_staged(connection, store.path(), staging, |connection| {
            let known = confirmed(&Statements::new(connection, store.path()), &staged.delivery.identity)?;
            if let Some(summary) = known {
                return Ok((summary, Ending::Rollback));
            }
            let merged = Merge::run(connection, store, staged, Purpose::Store(rows))?.merged;
            Ok((Summary { content: staged.delivery.content, rows, merged }, Ending::Commit))
        })
    })
}

/// The same as a merge, taken back. A store that does not exist yet is not made.
pub(super) fn preview(store: &Store, staging: &Path, staged: &Staged) -> Result<Preview, DestinationError> {
    let look = |connection: &mut Connection| {
        with_staged(connection, store.path(), staging, |connection| {
            let before = match store.exists() {
                true => Some(store::open(store.path(), OpenFlags::SQLITE_OPEN_READ_ONLY)?),
                false => None,
            };
            let merge = Merge::run(connection, store, staged, Purpose::Look)?;
            let before = before.as_ref().map(|before| Statements::new(before, store.path()));
            Ok((preview::describe(&merge, before.as_ref())?, Ending::Rollback))
        })
    };
    if store.exists() { store.write(look) } else { look(&mut store::open_empty(store.path())?) }
}

/// The accounts of the staged rows, as a merge would find them. Nothing lasts.
pub(super) fn resolve(
    store: &Store,
    staging: &Path,
    staged: &Staged,
    rows: Option<RowCounts>,
    found: &mut dyn FnMut(ResolvedRow) -> Result<(), DestinationError>,
) -> Result<Merged, DestinationError> {
    let mut look = |connection: &mut Connection| {
        with_staged(connection, store.path(), staging, |connection| {
            let merge = Merge::run(connection, store, staged, Purpose::Resolve(rows))?;
            for table in &staged.account_rows {
                merge.tell(&table.name, RecordKind::Account, found)?;
            }
            merge.tell("usage_values", RecordKind::Usage, found)?;
            Ok((merge.merged, Ending::Rollback))
        })
    };
    if store.exists() { store.write(look) } else { look(&mut store::open_empty(store.path())?) }
}

/// What was merged under an identity, if it was confirmed.
pub(super) fn confirmed(db: &Statements<'_>, identity: &Identity) -> Result<Option<Summary>, DestinationError> {
    db.first(
        "look up an ingestion",
        "SELECT content, rows_read, rows_rejected, merged FROM main.ingestions
         WHERE integration = ?1 AND dedup_key = ?2 AND generation = ?3",
        params![identity.integration.as_str(), identity.dedup_key.as_str(), identity.generation.0],
        |row| {
            let content = row.get::<_, String>(0)?.parse::<ContentHash>();
            let content =
                content.map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(error)))?;
            let count =
                |index| -> rusqlite::Result<u64> { Ok(u64::try_from(row.get::<_, i64>(index)?).unwrap_or_default()) };
            let rows = RowCounts { read: count(1)?, rejected: count(2)? };
            // Counts that a different version wrote differently are no reason to doubt the confirmation itself.
            let merged = serde_json::from_str(&row.get::<_, String>(3)?).unwrap_or_default();
            Ok(Summary { content, rows, merged })
        },
    )
}

/// The places of the identities that were never confirmed.
pub(super) fn unconfirmed(db: &Statements<'_>, identities: &[Identity]) -> Result<Vec<usize>, DestinationError> {
    let sql = "SELECT 1 FROM main.ingestions WHERE integration = ?1 AND dedup_key = ?2 AND generation = ?3";
    let mut places = Vec::new();
    for (place, identity) in identities.iter().enumerate() {
        let params = params![identity.integration.as_str(), identity.dedup_key.as_str(), identity.generation.0];
        if !db.finds_again("look up ingestions", sql, params)? {
            places.push(place);
        }
    }
    Ok(places)
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

/// How a transaction ends that did not fail.
enum Ending {
    Commit,
    Rollback,
}

/// Works in one transaction with the staged records at hand.
fn with_staged<T>(
    connection: &mut Connection,
    path: &Path,
    staging: &Path,
    work: impl FnOnce(&Connection) -> Result<(T, Ending), DestinationError>,
) -> Result<T, DestinationError> {
    attach(connection, staging)?;
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(|source| store::sqlite_error("begin to merge", path, source))?;
    // Dropped without a commit, the transaction is rolled back.
    let (value, ending) = work(&transaction)?;
    match ending {
        Ending::Commit => transaction.commit().map_err(|source| store::sqlite_error("commit", path, source))?,
        Ending::Rollback => transaction.rollback().map_err(|source| store::sqlite_error("roll back", path, source))?,
    }
    // What is committed stays so. If this failed, the next merge could not attach its records, would fail for that, and
    // the one after it would have a new connection.
    let _ = Statements::new(connection, path).batch("detach the staged records", "DETACH staging");
    Ok(value)
}

fn attach(connection: &Connection, staging: &Path) -> Result<(), DestinationError> {
    let db = Statements::new(connection, staging);
    db.run("attach the staged records", "ATTACH ?1 AS staging", [staging.display().to_string()])?;
    // A journal in memory, because a merge that fails must leave its connection usable. It stays small: it keeps pages
    // that stood before the merge, and the merge mostly adds.
    let pragmas = format!(
        "PRAGMA staging.journal_mode = MEMORY; PRAGMA staging.synchronous = OFF;
         PRAGMA staging.cache_size = -{STAGING_CACHE}"
    );
    db.batch("attach the staged records", &pragmas)
}

/// Older versions of a replayed object's key that had its bytes: the ledger left this version out for one of them, so
/// that a replay is one of theirs too.
fn same_bytes(db: &Statements<'_>, delivery: &Delivery, as_of: &[u8]) -> Result<Vec<i64>, DestinationError> {
    let (identity, object) = (&delivery.identity, &delivery.object);
    if identity.generation == Generation::default() {
        return Ok(Vec::new());
    }
    db.rows(
        "look up versions",
        "SELECT i.id FROM main.ingestions i JOIN main.source_keys k ON k.id = i.source_key
         WHERE k.integration = ?1 AND k.connection = ?2 AND k.bucket = ?3 AND k.key = ?4
           AND i.dedup_key <> ?5 AND i.content = ?6 AND i.as_of < ?7 AND i.replaced_by IS NULL
           AND NOT EXISTS (SELECT 1 FROM main.ingestions m WHERE m.origin = i.id)",
        params![
            identity.integration.as_str(),
            object.connection.as_str(),
            object.bucket.as_str(),
            object.key.as_str(),
            identity.dedup_key.as_str(),
            delivery.content.to_string(),
            as_of,
        ],
        |row| row.get(0),
    )
}

impl<'c> Merge<'c> {
    fn run(
        connection: &'c Connection,
        store: &'c Store,
        staged: &'c Staged,
        purpose: Purpose,
    ) -> Result<Self, DestinationError> {
        let db = Statements::new(connection, store.path());
        let identity = &staged.delivery.identity;
        let own_as_of = comparable(&staged.delivery.as_of, identity);
        let origin = mended::find_origin(&db, &staged.delivery)?;
        let as_of = origin.as_ref().map_or_else(|| own_as_of.clone(), |origin| behind(&origin.as_of, &own_as_of));
        let (integration, dedup_key) = (identity.integration.as_str(), identity.dedup_key.as_str());
        let generations = db.rows(
            "look up generations",
            "SELECT id, generation FROM main.ingestions WHERE integration = ?1 AND dedup_key = ?2",
            params![integration, dedup_key],
            |row| Ok((row.get::<_, i64>(0)?, row.get::<_, u32>(1)?)),
        )?;
        let earlier: Vec<i64> = generations
            .iter()
            .filter(|(_, generation)| *generation < identity.generation.0)
            .map(|(ingestion, _)| *ingestion)
            .collect();
        let earlier = [earlier, same_bytes(&db, &staged.delivery, &as_of)?].concat();
        let later = generations
            .iter()
            .filter(|(_, generation)| *generation > identity.generation.0)
            .max_by_key(|(_, generation)| *generation);
        let newest: bool = db.value_of(
            "compare with the newest ingestion",
            "SELECT NOT EXISTS (SELECT 1 FROM main.ingestions WHERE as_of > ?1)",
            [&as_of],
        )?;
        let mut merge = Self {
            db,
            staged,
            names: store.names(),
            ingestion: 0,
            as_of,
            newest,
            superseded: later.is_some(),
            origin,
            followers: Vec::new(),
            last_account: db.value("count accounts", "SELECT coalesce(max(id), 0) FROM main.accounts")?,
            earlier,
            merged: Merged::default(),
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

    /// The list of earlier generations as it stands in SQL.
    pub(super) fn earlier_list(&self) -> String {
        let ids: Vec<String> = self.earlier.iter().map(i64::to_string).collect();
        ids.join(", ")
    }

    /// The list of followers as it stands in SQL.
    pub(super) fn followers(&self) -> String {
        let ids: Vec<String> = self.followers.iter().map(|follower| follower.ingestion.to_string()).collect();
        ids.join(", ")
    }

    fn begin_ingestion(&self, replaced_by: Option<i64>) -> Result<i64, DestinationError> {
        let delivery = &self.staged.delivery;
        let (object, identity) = (&delivery.object, &delivery.identity);
        let source_key = params![
            identity.integration.as_str(),
            object.connection.as_str(),
            object.bucket.as_str(),
            object.key.as_str()
        ];
        self.db.run(
            "record the key",
            "INSERT OR IGNORE INTO main.source_keys (integration, connection, bucket, key) VALUES (?1, ?2, ?3, ?4)",
            source_key,
        )?;
        let source_key: i64 = self.db.value_of(
            "record the key",
            "SELECT id FROM main.source_keys WHERE integration = ?1 AND connection = ?2 AND bucket = ?3 AND key = ?4",
            source_key,
        )?;
        self.db.run(
            "record the ingestion",
            "INSERT INTO main.ingestions (integration, dedup_key, generation, source_key, etag, size, last_modified,
                effective_time, arrival, as_of, mapping, content, confirmed_at, replaced_by, origin,
                rows_read, rows_rejected, merged)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), ?13, ?14,
                0, 0, '{}')",
            params![
                identity.integration.as_str(),
                identity.dedup_key.as_str(),
                identity.generation.0,
                source_key,
                object.etag.as_str(),
                i64::try_from(object.size).unwrap_or(i64::MAX),
                object.last_modified.to_string(),
                delivery.as_of.effective_time.to_string(),
                i64::try_from(delivery.as_of.arrival).unwrap_or(i64::MAX),
                self.as_of,
                delivery.mapping.to_string(),
                delivery.content.to_string(),
                replaced_by,
                self.origin.as_ref().map(|origin| origin.ingestion),
            ],
        )?;
        Ok(self.db.last_id())
    }

    fn finish_ingestion(&self, purpose: Purpose) -> Result<(), DestinationError> {
        let me = self.ingestion;
        for (index, first_position) in self.staged.tables.iter().enumerate() {
            self.db.run(
                "record the tables",
                "INSERT INTO main.ingestion_tables VALUES (?1, ?2, ?3)",
                params![me, index as i64, first_position],
            )?;
        }
        if !self.earlier.is_empty() {
            let earlier = self.earlier_list();
            let sql = format!("UPDATE main.ingestions SET replaced_by = {me} WHERE id IN ({earlier})");
            self.db.run("replace earlier generations", &sql, [])?;
            let sql = format!("DELETE FROM main.rejects WHERE ingestion IN ({earlier})");
            self.db.run("replace earlier generations", &sql, [])?;
        }
        mended::record_rows(self)?;
        if self.staged.rejects > 0 && !self.superseded {
            let sql = format!("INSERT INTO main.rejects SELECT {me}, * FROM staging.rejects");
            self.db.run("keep the rejects", &sql, [])?;
        }
        let rows = purpose.refusing().unwrap_or_default();
        let count = |rows: u64| i64::try_from(rows).unwrap_or(i64::MAX);
        // A struct of numbers and texts always becomes JSON.
        let merged = serde_json::to_string(&self.merged).unwrap_or_default();
        self.db.run(
            "record the ingestion",
            "UPDATE main.ingestions SET rows_read = ?2, rows_rejected = ?3, merged = ?4 WHERE id = ?1",
            params![me, count(rows.read), count(rows.rejected), merged],
        )?;
        Ok(())
    }

    /// Deletes what was staged for rows that were rejected later; how many usage values that was.
    fn leave_out_late_rejects(&self) -> Result<u64, DestinationError> {
        if self.staged.late_rejects == 0 {
            return Ok(0);
        }
        let what = "leave out rejected rows";
        let columns = self.staged.fields.iter().flat_map(|field| &field.columns);
        let mut tables: Vec<&str> = columns.map(|(table, _)| table.as_str()).collect();
        tables.extend(self.staged.account_rows.iter().map(|rows| rows.name.as_str()));
        tables.sort_unstable();
        tables.dedup();
        let rejected = "position IN (SELECT position FROM staging.rejected)";
        for table in &tables {
            self.db.run(what, &format!("DELETE FROM staging.{table} WHERE {rejected}"), [])?;
        }
        self.db.run(what, &format!("DELETE FROM staging.mended WHERE {rejected}"), [])?;
        let usage_values = self.db.run(what, &format!("DELETE FROM staging.usage_values WHERE {rejected}"), [])?;
        // Identifiers that nothing else names must create no account.
        let mut used = "SELECT identifier FROM staging.usage_values".to_owned();
        for table in &tables {
            used.push_str(&format!(" UNION SELECT identifier FROM staging.{table}"));
        }
        for layout in 0..self.staged.layouts.len() {
            let sql = format!("DELETE FROM staging.identifiers_{layout} WHERE identifier NOT IN ({used})");
            self.db.run(what, &sql, [])?;
        }
        Ok(usage_values)
    }

    /// Counts the rows that matched and those that did not; a file in which nothing did is refused (R7).
    fn count_rows(&mut self, purpose: Purpose) -> Result<(), DestinationError> {
        let what = "count rows";
        for rows in &self.staged.account_rows {
            let sql = format!(
                "SELECT count(*) FROM staging.{} v CROSS JOIN staging.resolved r ON r.identifier = v.identifier
                 WHERE r.account BETWEEN 1 AND {}",
                rows.name, self.last_account
            );
            self.merged.matched += self.db.count(what, &sql)?;
        }
        let unresolved: bool =
            self.db.value(what, "SELECT EXISTS (SELECT 1 FROM staging.resolved WHERE account <= 0)")?;
        if !unresolved {
            return Ok(());
        }
        let mut rows = "SELECT position, identifier FROM staging.usage_values".to_owned();
        for table in &self.staged.account_rows {
            rows.push_str(&format!(" UNION ALL SELECT position, identifier FROM staging.{}", table.name));
        }
        let unresolved =
            format!("FROM ({rows}) v CROSS JOIN staging.resolved r ON r.identifier = v.identifier WHERE r.account");
        let count =
            |codes: &str| self.db.count(what, &format!("SELECT count(DISTINCT v.position) {unresolved} {codes}"));
        self.merged.unmatched = count(&format!("= {NONE}"))?;
        self.merged.ambiguous = count(&format!("IN ({SEVERAL}, {CONFLICT})"))?;
        let conflicts = count(&format!("= {CONFLICT}"))?;
        let refused = self.merged.unmatched + self.merged.ambiguous;
        let resolved: bool = self.db.value(what, "SELECT EXISTS (SELECT 1 FROM staging.resolved WHERE account > 0)")?;
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
            "SELECT v.position, r.account FROM staging.{table} v
             CROSS JOIN staging.resolved r ON r.identifier = v.identifier WHERE r.account > 0 ORDER BY v.position"
        );
        let tables = &self.staged.tables;
        let mut told = Ok(());
        self.db.each("read the accounts of rows", &sql, |row| {
            let (table, row_index) = place(tables, row.get(0)?);
            if told.is_ok() {
                told = found(ResolvedRow { kind, table, row: row_index, account: row.get(1)? });
            }
            Ok(())
        })?;
        told
    }

    /// Some rows with their identifiers, of a selection of `v`.
    fn examples(&self, selection: &str) -> Result<Vec<UnmatchedRow>, DestinationError> {
        let texts: Vec<String> = (0..)
            .zip(&self.staged.layouts)
            .map(|(number, layout): (usize, _)| {
                let keys: String =
                    (0..layout.iter().map(Vec::len).sum::<usize>()).map(|key| format!(", k{key}")).collect();
                format!("SELECT identifier, concat_ws(', '{keys}) AS text FROM staging.identifiers_{number}")
            })
            .collect();
        let sql = format!(
            "SELECT e.position, coalesce((SELECT text FROM ({}) i WHERE i.identifier = e.identifier), '')
             FROM (SELECT DISTINCT v.position, v.identifier {selection}) e",
            texts.join(" UNION ALL ")
        );
        let tables = &self.staged.tables;
        self.db.rows("describe rows", &sql, [], |row| {
            let (table, row_index) = place(tables, row.get(0)?);
            Ok(UnmatchedRow { table, row: row_index, identifier: row.get(1)? })
        })
    }
}
