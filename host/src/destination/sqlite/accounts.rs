//! Telling of accounts: read only, as they stood at one moment, one at a time.
//!
//! A connection of its own reads in one transaction. In WAL mode nobody waits for it, in whichever process, and it
//! waits for nobody; only the log cannot be emptied before it ends. Memory is one account and the page cache, however
//! many there are. The store is neither made nor migrated.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;

use rusqlite::types::ValueRef;
use rusqlite::{CachedStatement, Connection, OpenFlags, params_from_iter};
use serde_json::Value;

use crate::destination::DestinationError;
use crate::destination::accounts::{AccountColumns, AccountRecord, AccountVisitor, KEY_KINDS, Wanted};
use crate::destination::names::normalize;

use super::store::{Statements, open, sqlite_error};

const WHAT: &str = "read the accounts";

/// Tells of the accounts of a store, in the order in which they were created.
pub(super) fn visit(path: &Path, wanted: Wanted<'_>, visitor: &mut dyn AccountVisitor) -> Result<(), DestinationError> {
    let nothing = AccountColumns { keys: [0; KEY_KINDS.len()], fields: Vec::new() };
    if !path.exists() {
        let _ = visitor.columns(&nothing);
        return Ok(());
    }
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let db = Statements::new(&connection, path);
    db.batch(WHAT, "PRAGMA cache_size = -4096; PRAGMA temp_store = FILE; BEGIN")?;
    // A store that someone begins to make has no table yet.
    if db.value::<i64>(WHAT, "SELECT count(*) FROM sqlite_schema WHERE name = 'account_keys'")? == 0 {
        let _ = visitor.columns(&nothing);
        return Ok(());
    }
    let fields = Fields::read(&db)?;
    let columns = AccountColumns { keys: most_keys(&db)?, fields: fields.names.clone() };
    if visitor.columns(&columns).is_break() {
        return Ok(());
    }
    Visit { connection: &connection, fields, visitor }.run(wanted).map_err(|source| sqlite_error(WHAT, path, source))
}

/// The fields there are.
struct Fields {
    /// By key, sorted.
    names: Vec<String>,
    /// By id, where among the names a field stands, and its type.
    by_id: HashMap<i64, (usize, String)>,
}

impl Fields {
    fn read(db: &Statements<'_>) -> Result<Self, DestinationError> {
        let rows = db.rows(WHAT, "SELECT id, key, value_type FROM fields ORDER BY key", [], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?))
        })?;
        let mut fields = Self { names: Vec::with_capacity(rows.len()), by_id: HashMap::with_capacity(rows.len()) };
        for (place, (id, key, value_type)) in rows.into_iter().enumerate() {
            fields.names.push(key);
            fields.by_id.insert(id, (place, value_type));
        }
        Ok(fields)
    }
}

fn most_keys(db: &Statements<'_>) -> Result<[usize; KEY_KINDS.len()], DestinationError> {
    let mut most = [0; KEY_KINDS.len()];
    for (most, kind) in most.iter_mut().zip(KEY_KINDS) {
        let sql = format!(
            "SELECT coalesce(max(keys), 0) FROM
             (SELECT count(*) AS keys FROM account_keys WHERE kind = '{kind}' GROUP BY account)"
        );
        *most = usize::try_from(db.count(WHAT, &sql)?).unwrap_or(usize::MAX);
    }
    Ok(most)
}

struct Visit<'v> {
    connection: &'v Connection,
    fields: Fields,
    visitor: &'v mut dyn AccountVisitor,
}

impl Visit<'_> {
    fn run(self, wanted: Wanted<'_>) -> rusqlite::Result<()> {
        let (which, texts) = match wanted {
            Wanted::All => ("", Vec::new()),
            Wanted::Like(text) => (
                "WHERE a.id IN (
                   SELECT account FROM account_keys WHERE kind IN ('crm_id', 'name') AND value = ?1
                   UNION SELECT account FROM account_keys WHERE kind = 'domain' AND value = ?2
                   UNION SELECT account FROM account_keys
                     WHERE kind = 'normalized_name' AND ?3 <> '' AND instr(value, ?3) > 0)",
                vec![text.trim().to_owned(), text.trim().to_lowercase(), normalize(text)],
            ),
        };
        let sql = format!("SELECT a.id, a.created_at FROM accounts a {which} ORDER BY a.id");
        let mut accounts = self.connection.prepare(&sql)?;
        let mut rows = accounts.query(params_from_iter(texts))?;
        let mut keys =
            self.connection.prepare_cached("SELECT kind, value FROM account_keys WHERE account = ?1 ORDER BY 1, 2")?;
        // The fields stand outside, for values are kept by field.
        let mut values = self.connection.prepare_cached(
            "SELECT f.id, v.value FROM fields f CROSS JOIN account_values v ON v.field = f.id AND v.account = ?1
             WHERE v.value IS NOT NULL",
        )?;
        while let Some(row) = rows.next()? {
            let (id, created_at) = (row.get(0)?, row.get(1)?);
            let (keys, values) = (read_keys(&mut keys, id)?, self.read_values(&mut values, id)?);
            if self.visitor.account(&AccountRecord { id, created_at, keys, values }) == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(())
    }

    fn read_values(&self, statement: &mut CachedStatement<'_>, id: i64) -> rusqlite::Result<Vec<(usize, Value)>> {
        let mut rows = statement.query([id])?;
        let mut values = Vec::new();
        while let Some(row) = rows.next()? {
            if let Some((place, value_type)) = self.fields.by_id.get(&row.get(0)?) {
                values.push((*place, value_of(value_type, row.get_ref(1)?)));
            }
        }
        values.sort_unstable_by_key(|(place, _)| *place);
        Ok(values)
    }
}

fn read_keys(statement: &mut CachedStatement<'_>, id: i64) -> rusqlite::Result<[Vec<String>; KEY_KINDS.len()]> {
    let mut keys: [Vec<String>; KEY_KINDS.len()] = Default::default();
    let mut rows = statement.query([id])?;
    while let Some(row) = rows.next()? {
        let kind = row.get_ref(0)?.as_str()?;
        if let Some((_, keys)) = KEY_KINDS.iter().zip(&mut keys).find(|(known, _)| **known == kind) {
            keys.push(row.get(1)?);
        }
    }
    Ok(keys)
}

/// A stored value as JSON: what is stored as a number for a boolean, and as text for a list, becomes that again.
fn value_of(value_type: &str, stored: ValueRef<'_>) -> Value {
    match (value_type, stored) {
        ("boolean", ValueRef::Integer(number)) => Value::Bool(number != 0),
        (_, ValueRef::Integer(number)) => number.into(),
        (_, ValueRef::Real(number)) => number.into(),
        (_, ValueRef::Text(text)) => {
            let text = String::from_utf8_lossy(text);
            let list = (value_type == "text_list").then(|| serde_json::from_str(&text).ok()).flatten();
            list.unwrap_or_else(|| text.into_owned().into())
        }
        (_, ValueRef::Null | ValueRef::Blob(_)) => Value::Null,
    }
}
