//! Usage records of one object, staged and merged, in PostgreSQL and in SQLite: first into an empty store, then a newer
//! object that replaces every record of it.

use std::sync::Arc;
use std::time::Duration;

use arrow_array::{Date32Array, Int64Array, StringArray};
use gristmill::batch::{
    Aggregate, Issues, MatchKey, Period, Repeat, Series, UsageBatch, UsageLayout, ValueBlock, ValueType,
};
use gristmill::destination::postgres::{Address, PostgresDestination, PostgresSettings, Tls};
use gristmill::destination::sqlite::SqliteDestination;
use gristmill::destination::{Brings, Delivery, Destination, Matching, OnNoMatch, RowCounts};
use gristmill::object::{AsOf, ContentHash, Generation, Identity, MappingDigest, Object, TenantName};
use gristmill::secrets::{SecretReference, Secrets};
use gristmill_postgres_server::{DATABASE, PostgresServer, USER};
use jiff::Timestamp;

use crate::figures::{Aim, Times, say_rate, say_ratio, timed};
use crate::{Result, Scale};

const RECORDS: u64 = 1_000_000;
const ROUNDS: usize = 3;
const METRICS: u64 = 4;
const DAYS: u64 = 25;
/// Rows of a batch.
const ROWS: u64 = 4_096;

/// Runs the part.
pub fn run(scale: Scale) -> Result<()> {
    let server = PostgresServer::start_durable();
    let records = scale.of(RECORDS);
    let accounts = (records / METRICS / DAYS).max(1);
    let records = accounts * METRICS * DAYS;
    println!("  {records} usage records of {accounts} accounts");
    let mut times: [[Times; 2]; 2] = Default::default();
    let directory = tempfile::tempdir()?;
    for round in 0..ROUNDS {
        let place = directory.path().join(round.to_string());
        let sqlite = SqliteDestination::open(place.join("store"), place.join("staging"))?;
        let postgres = PostgresDestination::new(settings(&server, &format!("round_{round}")), Secrets::new(None))?;
        postgres.migrate()?;
        for version in 0..2 {
            for (store, times) in [&postgres as &dyn Destination, &sqlite].into_iter().zip(&mut times) {
                let (time, brought) = timed(|| bring(store, accounts, version))?;
                if brought != records {
                    return Err(format!("{brought} usage records merged of {records}").into());
                }
                if let Some(times) = times.get_mut(version as usize) {
                    times.push(time);
                }
            }
        }
    }
    let [postgres, sqlite] = times;
    for (what, (postgres, sqlite)) in ["new records", "replaced records"].into_iter().zip(postgres.iter().zip(&sqlite))
    {
        say_rate(&format!("{what}, PostgreSQL"), records, postgres.median(), "records");
        say_rate(&format!("{what}, SQLite"), records, sqlite.median(), "records");
        say_ratio(&format!("{what}, PostgreSQL to SQLite"), postgres.faster_than(sqlite), Aim::None);
    }
    Ok(())
}

fn settings(server: &PostgresServer, schema: &str) -> PostgresSettings {
    PostgresSettings {
        address: Address::Parts {
            host: "127.0.0.1".to_owned(),
            port: server.port(),
            database: DATABASE.to_owned(),
            user: USER.to_owned(),
            password: Some(SecretReference::File(server.password_file())),
        },
        tls: Tls::Off,
        ca_file: None,
        schema: schema.to_owned(),
        connect_timeout: Duration::from_secs(10),
        connections: 2,
    }
}

/// Stages and merges one version of the object; how many usage records it brought.
fn bring(store: &dyn Destination, accounts: u64, version: u64) -> Result<u64> {
    let mut staging = store.stage(delivery(version)?)?;
    let layout = UsageLayout { wanted: Vec::new(), identifiers: vec![vec![MatchKey::CrmId]], user: None };
    staging.open_table(None, Some(&layout))?;
    let rows = accounts * DAYS;
    for first in (0..rows).step_by(ROWS as usize) {
        staging.usage(&batch(first, rows.min(first + ROWS), version), &[])?;
    }
    Ok(staging.merge(RowCounts { read: rows, rejected: 0 })?.merged.usage_records)
}

/// Rows by day and then by account, each with every metric.
fn batch(first: u64, end: u64, version: u64) -> UsageBatch {
    let rows = first..end;
    let account = |row: u64| format!("0014K{:010}", row / DAYS);
    let days: Date32Array = rows.clone().map(|row| 20_000 + (row % DAYS) as i32).collect::<Vec<_>>().into();
    let count = (end - first) as u32;
    let block = |metric: u64| ValueBlock {
        entry_of: (0..count).collect(),
        series_of: vec![metric as u32; count as usize],
        values: Arc::new(
            rows.clone().map(|row| Some((row * 7 + metric + version) as i64 % 10_000)).collect::<Int64Array>(),
        ),
    };
    UsageBatch {
        rows: rows.clone().map(|row| row as u32).collect(),
        identifiers: vec![StringArray::from_iter_values(rows.clone().map(account))],
        user: None,
        dates: days.clone(),
        period_starts: days,
        announced: if first == 0 { (0..METRICS).map(series).collect() } else { Vec::new() },
        blocks: (0..METRICS).map(block).collect(),
        issues: Issues::none(),
    }
}

fn series(metric: u64) -> Series {
    Series {
        product: "Core".to_owned(),
        metric: format!("metric_{metric}"),
        unit: None,
        value_type: ValueType::Integer,
        aggregate: Aggregate::Sum,
        period: Period::Daily,
        repeat: Repeat::Replace,
    }
}

fn delivery(version: u64) -> Result<Delivery> {
    let object = Object {
        connection: "bench".parse()?,
        bucket: "bench".parse()?,
        key: "usage.csv".parse()?,
        etag: version.to_string().parse()?,
        size: 0,
        last_modified: Timestamp::from_second(1_700_000_000 + version as i64)?,
    };
    let generation = Generation(0);
    Ok(Delivery {
        identity: Identity { integration: "bench".parse()?, dedup_key: object.dedup_key(), generation },
        tenant: TenantName::default(),
        as_of: AsOf { effective_time: object.last_modified, key: object.key.clone(), arrival: version, generation },
        object,
        mapping: MappingDigest::from_bytes([0; 32]),
        content: ContentHash::from_bytes([0; 32]),
        matching: Matching { on_no_match: OnNoMatch::Create, ..Matching::default() },
        brings: Brings::OWN,
    })
}
