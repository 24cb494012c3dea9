//! Mended reject files: whose rows a file brings, and that every row says so (R9, R10).
//!
//! A mended row belongs to the object that it was refused of, its *origin*: mappers are told of that object, so that a
//! date taken from its key or its day is the same, and destinations join the row to what that object contributed. One
//! file mends rows of one table of one object.
//!
//! When an object is taken again, those of its rows that were mended are left out, since the mended ones stand for them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;

use arrow_array::{Array, StringArray};

use super::reader::{MendedColumns, Reader};
use super::{Failure, Recipe, format_of};
use crate::batch::{Batch, Cells};
use crate::decode::Format;
use crate::destination::{Brings, Destination, DestinationError, MendedRow};
use crate::object::{Generation, Identity, Object, TenantName};
use crate::rejects::Origin;

/// Whose rows a file brings.
#[derive(Debug, Clone)]
pub enum Rows {
    /// Its own.
    Own {
        /// Less those that were mended: their lines, by sheet.
        mended: BTreeMap<Option<String>, BTreeSet<u64>>,
    },
    /// Mended ones of another object.
    Mended {
        /// The table that they come from.
        origin: Origin,
        /// The object that they come from.
        object: Box<Object>,
    },
}

/// Why a mended reject file is not taken.
#[derive(Debug, thiserror::Error)]
pub enum MendedError {
    /// A row without an origin, or with one that is none.
    #[error("`_gristmill_origin` of line {line} does not say where the row came from")]
    NoOrigin {
        /// The line of the mended file.
        line: u64,
    },
    /// Rows of another integration, or of another bucket.
    #[error("line {line} comes from `{origin}`, which this integration did not take")]
    Elsewhere {
        /// The line of the mended file.
        line: u64,
        /// Where it says it is from.
        origin: String,
    },
    /// Rows of several objects, or of several sheets of one.
    #[error("line {line} does not come from `{first}` as the rows before it do")]
    Several {
        /// The line of the mended file.
        line: u64,
        /// Where the first row comes from.
        first: String,
    },
    /// Nothing was merged of the object that the rows come from.
    #[error("nothing was taken of `{origin}`, where its rows come from")]
    NotTaken {
        /// Where the rows come from.
        origin: String,
    },
    /// A workbook with the columns of a reject file.
    #[error("a mended reject file is taken as CSV, not as a workbook")]
    Workbook,
}

impl MendedError {
    /// What a person can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NoOrigin { .. } => {
                "leave the columns `_gristmill_…` as they are, or delete them all to have the file taken as one of its own"
            }
            Self::Elsewhere { .. } => "upload it where the integration that refused the rows finds it",
            Self::Several { .. } => "upload one file for each reject file",
            Self::NotTaken { .. } => "replay that object first; this file is tried again by itself for a day",
            Self::Workbook => "save it as CSV (UTF-8, with commas), as the reject file was",
        }
    }
}

impl Rows {
    /// All of its own.
    pub fn own() -> Self {
        Self::Own { mended: BTreeMap::new() }
    }

    /// Looks into a file and asks the destination.
    pub fn look(
        recipe: &Recipe,
        tenant: &TenantName,
        identity: &Identity,
        object: &Object,
        file: File,
        destination: &dyn Destination,
    ) -> Result<Self, Failure> {
        if let Some((line, text)) = first_origin(recipe, object, file)? {
            return Self::of_origin(tenant, identity, object, line, &text, destination);
        }
        // What was never taken before has no rows that were mended.
        if identity.generation == Generation::default() {
            return Ok(Self::own());
        }
        Ok(Self::Own { mended: mended_of(tenant, identity, destination)? })
    }

    /// Whether another destination would have the same rows left out.
    pub fn agrees(
        &self,
        tenant: &TenantName,
        identity: &Identity,
        destination: &dyn Destination,
    ) -> Result<(), DestinationError> {
        match self {
            Self::Own { mended } if identity.generation != Generation::default() => {
                match mended_of(tenant, identity, destination)? == *mended {
                    true => Ok(()),
                    false => Err(DestinationError::MendedMeanwhile),
                }
            }
            Self::Own { .. } | Self::Mended { .. } => Ok(()),
        }
    }

    fn of_origin(
        tenant: &TenantName,
        identity: &Identity,
        object: &Object,
        line: u64,
        text: &str,
        destination: &dyn Destination,
    ) -> Result<Self, Failure> {
        let Some((origin, _)) = Origin::parse_row(text) else {
            return Err(MendedError::NoOrigin { line }.into());
        };
        let here = format!("{}/{}/", object.connection, object.bucket);
        if origin.integration != identity.integration || !origin.dedup_key.as_str().starts_with(&here) {
            return Err(MendedError::Elsewhere { line, origin: origin.to_string() }.into());
        }
        match destination.taken(tenant, &origin.integration, &origin.dedup_key)? {
            Some(taken) => Ok(Self::Mended { origin, object: Box::new(taken.object) }),
            None => Err(MendedError::NotTaken { origin: origin.to_string() }.into()),
        }
    }

    /// The same, as a destination is told it.
    pub fn brings(&self) -> Brings {
        match self {
            Self::Own { mended } => Brings::Own { mended: mended.values().map(|lines| lines.len() as u64).sum() },
            Self::Mended { origin, .. } => Brings::Mended { origin: origin.dedup_key.clone() },
        }
    }

    /// The object and the sheet that mappers are told of, where those are not the file's own.
    pub(super) fn as_mapped(&self) -> Option<(&Object, Option<&str>)> {
        match self {
            Self::Own { .. } => None,
            Self::Mended { origin, object } => Some((object, origin.sheet.as_deref())),
        }
    }

    /// The lines of a sheet that are left out.
    pub(super) fn left_out_of(&self, sheet: &Option<String>) -> Option<&BTreeSet<u64>> {
        match self {
            Self::Own { mended } => mended.get(sheet),
            Self::Mended { .. } => None,
        }
    }

    /// Refuses what looks like a mended reject file and was not seen as one.
    pub(super) fn check(&self, object: &Object, columns: Option<MendedColumns>) -> Result<(), Failure> {
        match (self, columns, format_of(object)?) {
            (Self::Own { .. }, Some(_), Format::Xlsx | Format::Xls | Format::Ndjson) => {
                Err(MendedError::Workbook.into())
            }
            _ => Ok(()),
        }
    }
}

/// The lines of an object that were mended, by sheet, as a destination knows them.
fn mended_of(
    tenant: &TenantName,
    identity: &Identity,
    destination: &dyn Destination,
) -> Result<BTreeMap<Option<String>, BTreeSet<u64>>, DestinationError> {
    let taken = destination.taken(tenant, &identity.integration, &identity.dedup_key)?;
    let mut mended: BTreeMap<Option<String>, BTreeSet<u64>> = BTreeMap::new();
    for (origin, line) in taken.iter().flat_map(|taken| &taken.mended).filter_map(|row| Origin::parse_row(row)) {
        mended.entry(origin.sheet).or_default().insert(line);
    }
    Ok(mended)
}

/// The first row's origin with its line, where a file is a mended reject file that has rows.
fn first_origin(recipe: &Recipe, object: &Object, file: File) -> Result<Option<(u64, String)>, Failure> {
    // To look into a workbook costs as much as to decode it.
    if format_of(object)? != Format::Csv {
        return Ok(None);
    }
    let mut reader = Reader::open(recipe, object, file)?;
    if reader.next_table()?.is_none() || reader.mended().is_none() {
        return Ok(None);
    }
    reader.want(&[]);
    let Some(batch) = reader.next_batch()? else { return Ok(None) };
    let origins = reader.mended().and_then(|columns| origins_of(&batch, columns));
    let first = origins.filter(|origins| !origins.is_empty()).map(|origins| origins.value(0).to_owned());
    Ok(first.map(|text| (batch.lines.first().copied().unwrap_or_default(), text)))
}

/// Where the rows of a batch say they come from.
pub(super) fn origins_of(batch: &Batch, columns: MendedColumns) -> Option<&StringArray> {
    batch.columns.get(columns.origin).and_then(Option::as_ref).map(|cells: &Cells| &cells.text)
}

/// The rows of a batch that are not rejected (sorted), each with where it came from: all from one table. `first_row` is
/// the table-wide row of the first.
pub(super) fn mended_rows<'a>(
    origin: &Origin,
    first_row: u32,
    lines: &[u64],
    origins: &'a StringArray,
    rejected: &[u32],
) -> Result<Vec<MendedRow<'a>>, MendedError> {
    let mut rows = Vec::with_capacity(origins.len());
    for ((row, text), line) in (first_row..).zip(origins.iter()).zip(lines) {
        let text = text.unwrap_or_default();
        if origin.line_of(text).is_none() {
            return Err(match Origin::parse_row(text) {
                Some(_) => MendedError::Several { line: *line, first: origin.to_string() },
                None => MendedError::NoOrigin { line: *line },
            });
        }
        if rejected.binary_search(&row).is_err() {
            rows.push(MendedRow { row, origin: text });
        }
    }
    Ok(rows)
}
