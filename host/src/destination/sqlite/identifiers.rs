//! Identifiers and users of an object, each stored once in its staging file. Beside a name stands its normalized form.

use arrow_array::{Array, StringArray};
use rusqlite::{CachedStatement, Connection, params};

use crate::batch::{Identifier, UserKey};
use crate::destination::names::normalize;
use crate::destination::relational::interner::{Interned, Interner};
use crate::destination::relational::matching::names_among;
use crate::destination::relational::user_key_name;

/// Creates the table of the identifiers of one list of strategies.
pub(super) fn create_table(number: usize, strategies: &[Identifier]) -> String {
    let keys: String = (0..strategies.iter().map(Vec::len).sum()).map(|index: usize| format!(", k{index}")).collect();
    let names: String = names_among(strategies).map(|index| format!(", n{index}")).collect();
    format!("CREATE TABLE identifiers_{number} (identifier INTEGER PRIMARY KEY{keys}{names})")
}

/// Numbers the identifiers of one batch, storing those that are new.
pub(super) struct InternIdentifiers<'c, 'b> {
    insert: CachedStatement<'c>,
    columns: &'b [StringArray],
    layout: usize,
    /// Which columns are names.
    names: Vec<usize>,
}

impl<'c, 'b> InternIdentifiers<'c, 'b> {
    pub(super) fn prepare(
        connection: &'c Connection,
        layout: usize,
        strategies: &[Identifier],
        columns: &'b [StringArray],
    ) -> rusqlite::Result<Self> {
        let names: Vec<usize> = names_among(strategies).collect();
        let marks: String = (0..columns.len() + names.len()).map(|index| format!(", ?{}", index + 2)).collect();
        let insert = connection.prepare_cached(&format!("INSERT INTO identifiers_{layout} VALUES (?1{marks})"))?;
        Ok(Self { insert, columns, layout, names })
    }

    pub(super) fn identifier(
        &mut self,
        interner: &mut Interner,
        key: &mut Vec<u8>,
        row: usize,
    ) -> rusqlite::Result<i64> {
        key.clear();
        key.extend_from_slice(&(self.layout as u32).to_le_bytes());
        for column in self.columns {
            let value = present(column, row).unwrap_or_default();
            key.extend_from_slice(&(value.len() as u32).to_le_bytes());
            key.extend_from_slice(value.as_bytes());
        }
        match interner.intern(key) {
            Interned::Known(number) => Ok(number),
            Interned::New(number) => {
                self.insert.raw_bind_parameter(1, number)?;
                for (index, column) in self.columns.iter().enumerate() {
                    self.insert.raw_bind_parameter(index + 2, present(column, row))?;
                }
                for (place, index) in self.names.iter().enumerate() {
                    let name = self.columns.get(*index).and_then(|column| present(column, row));
                    let normalized = name.map(normalize).filter(|normalized| !normalized.is_empty());
                    self.insert.raw_bind_parameter(self.columns.len() + place + 2, normalized)?;
                }
                self.insert.raw_execute()?;
                Ok(number)
            }
        }
    }
}

/// An identifier value that is not blank.
fn present(column: &StringArray, row: usize) -> Option<&str> {
    (column.is_valid(row) && !column.value(row).is_empty()).then(|| column.value(row))
}

/// The number of a user, storing one that is new.
pub(super) fn intern_user(
    connection: &Connection,
    interner: &mut Interner,
    key: &mut Vec<u8>,
    kind: UserKey,
    value: &str,
) -> rusqlite::Result<i64> {
    let kind = user_key_name(kind);
    key.clear();
    key.extend_from_slice(kind.as_bytes());
    key.push(0);
    key.extend_from_slice(value.as_bytes());
    match interner.intern(key) {
        Interned::Known(number) => Ok(number),
        Interned::New(number) => {
            let mut insert = connection.prepare_cached("INSERT INTO users VALUES (?1, ?2, ?3)")?;
            insert.execute(params![number, kind, value])?;
            Ok(number)
        }
    }
}
