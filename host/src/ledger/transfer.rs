//! The ledger as lines of JSON, for backups, other machines and other versions.
//!
//! The first line names the format and its version. Then comes one line for each integration's control record and one
//! for each version of each key, in the order of their arrival; indices are made again when they are read.

use std::io::{BufRead, Write};

use redb::{ReadTransaction, ReadableTable, ReadableTableMetadata};
use serde::{Deserialize, Serialize};

use super::layout::{
    CONTROLS, Index, KEYS, Tables, VERSIONS, corrupt, decode_version, key_at, key_place, source_name, sources,
    split_version_place, version_at,
};
use super::state::{Control, Version};
use super::store::{add_source, position, put, put_control};
use super::{LedgerError, reading};
use crate::object::{BucketName, ConnectionKey, IntegrationName, ObjectKey};

const FORMAT: &str = "gristmill-ledger";
/// The version this program writes, and the newest it reads.
const VERSION: u64 = 1;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct First {
    format: String,
    version: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Line {
    Integration { name: IntegrationName, control: Box<Control> },
    Object(Box<ObjectLine>),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ObjectLine {
    integration: IntegrationName,
    connection: ConnectionKey,
    bucket: BucketName,
    key: ObjectKey,
    arrival: u64,
    /// The last listing showed this version although a newer one is known.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    reverted: bool,
    version: Version,
}

/// What an import brought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// Integrations with a control record.
    pub integrations: u64,
    /// Versions of keys.
    pub objects: u64,
}

pub(super) fn export(transaction: &ReadTransaction, out: &mut dyn Write) -> Result<(), LedgerError> {
    write_line(out, &First { format: FORMAT.to_owned(), version: VERSION })?;
    let controls = transaction.open_table(CONTROLS).map_err(reading)?;
    for row in controls.iter().map_err(reading)? {
        let (name, stored) = row.map_err(reading)?;
        let name = name.value();
        let at = || corrupt(name.as_bytes());
        let control = serde_json::from_slice(stored.value()).map_err(|_| at())?;
        write_line(out, &Line::Integration { name: name.parse().map_err(|_| at())?, control })?;
    }
    let keys = transaction.open_table(KEYS).map_err(reading)?;
    let versions = transaction.open_table(VERSIONS).map_err(reading)?;
    for source in sources(transaction, None)? {
        let number = source.number.to_be_bytes();
        for row in versions.range(number.as_slice()..).map_err(reading)? {
            let (place, stored) = row.map_err(reading)?;
            let place = place.value();
            if !place.starts_with(&number) {
                break;
            }
            let (key_place, arrival) = split_version_place(place)?;
            let index = keys.get(key_place).map_err(reading)?.ok_or_else(|| corrupt(key_place))?;
            let index = Index::decode(index.value()).ok_or_else(|| corrupt(key_place))?;
            let line = ObjectLine {
                integration: source.integration.clone(),
                connection: source.connection.clone(),
                bucket: source.bucket.clone(),
                key: key_at(key_place)?,
                arrival,
                reverted: arrival == index.listed,
                version: decode_version(place, stored.value())?,
            };
            write_line(out, &Line::Object(Box::new(line)))?;
        }
    }
    out.flush().map_err(LedgerError::exporting)
}

fn write_line(out: &mut dyn Write, line: &impl Serialize) -> Result<(), LedgerError> {
    serde_json::to_writer(&mut *out, line).map_err(|error| LedgerError::exporting(error.into()))?;
    out.write_all(b"\n").map_err(LedgerError::exporting)
}

/// Reads an export into tables that hold nothing yet.
pub(super) fn import(tables: &mut Tables<'_>, lines: &mut dyn BufRead) -> Result<Imported, LedgerError> {
    let is_empty = tables.versions.is_empty().map_err(reading)? && tables.controls.is_empty().map_err(reading)?;
    if !is_empty {
        return Err(LedgerError::NotEmpty);
    }
    let mut imported = Imported::default();
    let mut text = String::new();
    let mut number = 0_u64;
    let mut place = Vec::new();
    loop {
        number += 1;
        text.clear();
        if lines.read_line(&mut text).map_err(|error| LedgerError::importing(number, error))? == 0 {
            break;
        }
        if number == 1 {
            check_first(&text)?;
            continue;
        }
        match serde_json::from_str(&text).map_err(|error| LedgerError::importing(number, error.into()))? {
            Line::Integration { name, control } => {
                put_control(tables, &name, &control)?;
                imported.integrations += 1;
            }
            Line::Object(line) => {
                let name = source_name(&line.integration, &line.connection, &line.bucket);
                let known = tables.sources.get(name.as_str()).map_err(reading)?.map(|source| source.value());
                let source = match known {
                    Some(source) => source,
                    None => add_source(tables, &name)?,
                };
                key_place(&mut place, source, &line.key);
                put_line(tables, &place, *line)?;
                imported.objects += 1;
            }
        }
    }
    if number == 1 {
        return Err(LedgerError::NotAnExport);
    }
    Ok(imported)
}

fn check_first(text: &str) -> Result<(), LedgerError> {
    let first: First = serde_json::from_str(text).map_err(|_| LedgerError::NotAnExport)?;
    if first.format != FORMAT {
        return Err(LedgerError::NotAnExport);
    }
    if first.version > VERSION {
        return Err(LedgerError::NewerExport { found: first.version, known: VERSION });
    }
    Ok(())
}

/// The version with the highest arrival makes the index, in whichever order the lines come.
fn put_line(tables: &mut Tables<'_>, place: &[u8], line: ObjectLine) -> Result<(), LedgerError> {
    let (arrivals, _, listed) = position(&tables.keys, place)?.unwrap_or_default();
    let listed = if line.reverted { line.arrival } else { listed };
    let newest = arrivals.max(line.arrival);
    put(tables, place, line.arrival, &line.version, newest, listed)?;
    if line.arrival != newest && line.reverted {
        let current = version_at(&tables.versions, place, newest)?.ok_or_else(|| corrupt(place))?;
        put(tables, place, newest, &current, newest, listed)?;
    }
    Ok(())
}
