//! Telling of accounts: read only, as they stood at one moment, some at a time.
//!
//! A connection of its own reads through a cursor in one transaction, which sees what was there when it began. Nobody
//! waits for it, and it waits for nobody; only what is deleted meanwhile stays on the server's disk until it ends. Memory
//! is [`LOT`] accounts, however many there are.

use std::collections::HashMap;
use std::ops::ControlFlow;

use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::destination::DestinationError;
use crate::destination::accounts::{AccountColumns, AccountRecord, AccountVisitor, KEY_KINDS, Wanted};
use crate::destination::names::normalize;
use crate::object::TenantName;

use super::merge::storable;
use super::session::Session;

const WHAT: &str = "read the accounts";

/// How many accounts are fetched at once.
const LOT: usize = 500;

/// Tells of a tenant's accounts, in the order in which they were created.
pub(super) fn visit(
    session: &Session,
    tenant: &TenantName,
    wanted: Wanted<'_>,
    visitor: &mut dyn AccountVisitor,
) -> Result<(), DestinationError> {
    session.batch(WHAT, "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")?;
    // A tenant that nothing was taken for yet has no number, and no account has this one.
    let number = session
        .first(WHAT, "SELECT id FROM tenants WHERE name = $1", &[&tenant.as_str()], |row| row.try_get::<_, i32>(0))?
        .unwrap_or_default();
    let fields = Fields::read(session, number)?;
    let columns = AccountColumns { keys: most_keys(session, number)?, fields: fields.names.clone() };
    if visitor.columns(&columns).is_continue() {
        tell(session, number, wanted, &fields, visitor)?;
    }
    session.batch(WHAT, "COMMIT")
}

/// The fields there are.
struct Fields {
    /// By key, sorted.
    names: Vec<String>,
    /// By id, where among the names a field stands, and its type.
    by_id: HashMap<i64, (usize, String)>,
}

impl Fields {
    fn read(session: &Session, tenant: i32) -> Result<Self, DestinationError> {
        let rows = session.rows(
            WHAT,
            "SELECT id, key, value_type FROM fields WHERE tenant = $1 ORDER BY key",
            &[&tenant],
            |row| Ok((row.try_get::<_, i64>(0)?, row.try_get::<_, String>(1)?, row.try_get::<_, String>(2)?)),
        )?;
        let mut fields = Self { names: Vec::with_capacity(rows.len()), by_id: HashMap::with_capacity(rows.len()) };
        for (place, (id, key, value_type)) in rows.into_iter().enumerate() {
            fields.names.push(key);
            fields.by_id.insert(id, (place, value_type));
        }
        Ok(fields)
    }
}

fn most_keys(session: &Session, tenant: i32) -> Result<[usize; KEY_KINDS.len()], DestinationError> {
    let mut most = [0; KEY_KINDS.len()];
    for (most, kind) in most.iter_mut().zip(KEY_KINDS) {
        let keys: i64 = session.value(
            WHAT,
            "SELECT coalesce(max(keys), 0) FROM
             (SELECT count(*) AS keys FROM account_keys WHERE tenant = $1 AND kind = $2 GROUP BY account) counted",
            &[&tenant, &kind],
        )?;
        *most = usize::try_from(keys).unwrap_or_default();
    }
    Ok(most)
}

fn tell(
    session: &Session,
    tenant: i32,
    wanted: Wanted<'_>,
    fields: &Fields,
    visitor: &mut dyn AccountVisitor,
) -> Result<(), DestinationError> {
    let (which, texts) = match wanted {
        Wanted::All => ("", Vec::new()),
        Wanted::Like(text) => (
            "AND a.id IN (
               SELECT account FROM account_keys WHERE tenant = $1 AND kind IN ('crm_id', 'name') AND value = $2
               UNION SELECT account FROM account_keys WHERE tenant = $1 AND kind = 'domain' AND value = $3
               UNION SELECT account FROM account_keys
                 WHERE tenant = $1 AND kind = 'normalized_name' AND $4 <> '' AND strpos(value, $4) > 0)",
            vec![storable(text.trim()), storable(&text.trim().to_lowercase()), storable(&normalize(text))],
        ),
    };
    let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![&tenant];
    parameters.extend(texts.iter().map(|text| text as &(dyn ToSql + Sync)));
    let sql = format!(
        "DECLARE accounts_in_turn NO SCROLL CURSOR FOR
         SELECT a.id, to_char(a.created_at, 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'), k.kinds, k.keys, v.fields, v.texts
         FROM accounts a
         CROSS JOIN LATERAL (
           SELECT array_agg(kind ORDER BY kind, value) AS kinds, array_agg(value ORDER BY kind, value) AS keys
           FROM account_keys WHERE account = a.id) k
         CROSS JOIN LATERAL (
           SELECT array_agg(v.field) AS fields, array_agg(v.value) AS texts
           FROM fields f JOIN account_values v ON v.field = f.id AND v.account = a.id
           WHERE f.tenant = $1 AND v.value IS NOT NULL) v
         WHERE a.tenant = $1 {which} ORDER BY a.id"
    );
    session.run(WHAT, &sql, &parameters)?;
    loop {
        let fetch = format!("FETCH {LOT} FROM accounts_in_turn");
        let lot = session.rows(WHAT, &fetch, &[], |row| account(row, fields))?;
        let is_last = lot.len() < LOT;
        for account in &lot {
            if visitor.account(account) == ControlFlow::Break(()) {
                return Ok(());
            }
        }
        if is_last {
            return Ok(());
        }
    }
}

fn account(row: &Row, fields: &Fields) -> Result<AccountRecord, tokio_postgres::Error> {
    let list = |column| row.try_get::<_, Option<Vec<String>>>(column).map(Option::unwrap_or_default);
    let mut keys: [Vec<String>; KEY_KINDS.len()] = Default::default();
    for (kind, key) in list(2)?.into_iter().zip(list(3)?) {
        if let Some((_, keys)) = KEY_KINDS.iter().zip(&mut keys).find(|(known, _)| **known == kind) {
            keys.push(key);
        }
    }
    let ids: Vec<i64> = row.try_get::<_, Option<_>>(4)?.unwrap_or_default();
    let mut values: Vec<(usize, Value)> = ids
        .into_iter()
        .zip(list(5)?)
        .filter_map(|(id, text)| {
            let (place, value_type) = fields.by_id.get(&id)?;
            Some((*place, value_of(value_type, text)))
        })
        .collect();
    values.sort_unstable_by_key(|(place, _)| *place);
    Ok(AccountRecord { id: row.try_get(0)?, created_at: row.try_get(1)?, keys, values })
}

/// A stored text as the JSON that its type means. Decimals stay texts, and so exact.
fn value_of(value_type: &str, text: String) -> Value {
    let read = match value_type {
        "boolean" => Some(Value::Bool(text != "0")),
        "integer" => text.parse::<i64>().ok().map(Value::from),
        "float" => text.parse::<f64>().ok().map(Value::from),
        "text_list" => serde_json::from_str(&text).ok(),
        _ => None,
    };
    read.unwrap_or_else(|| text.into())
}
