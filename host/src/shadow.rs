//! What another component would make of an object that a mapper took: both are run on the same bytes, by the same decoder,
//! with the same settings and limits, and what they made is compared.
//!
//! It knows neither the ledger nor where bytes come from. What the runs make lies in a scratch directory until they are
//! compared and is gone then; nothing reaches a destination, a reject file, or a mapper's figures.
//!
//! # What is compared
//!
//! Records are those that a destination of files would be given, row by row. Two records of one row are the same record when
//! they name the same account and, of usage, the same user, product, metric, period and start; where only the account
//! differs, that is what changed. The layouts of a table are compared but for the columns they read; rows are compared by
//! what is wrong with them. How records match accounts is the destination's business, and not looked at.
//!
//! # Memory
//!
//! Both runs write what they make to disk, sorted in bounded pieces (`RowLog`); then it is merged row by row. What is held
//! is a few pieces of 4 MiB, one row's records and issues of either side, and the first few of each kind of difference, as
//! far as [`LONGEST`] goes. On disk, the records of one object stand twice for a moment.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::destination::{Destination, RowCounts};
use crate::ingest::{Failure, Recipe, Rows};
use crate::mapper::Mapper;
use crate::object::{ETag, Identity, IntegrationName, Object, ObjectKey, TenantName};
use crate::oversight::Oversight;
use crate::rejects::RejectLimits;

use compare::compare;
use locate::locate;

mod compare;
mod locate;
mod record;
mod run;

/// How many differences of a kind are shown.
const SHOWN: usize = 5;
/// Bytes of a text that are shown of a difference.
pub const LONGEST: usize = 4 << 10;

/// One of the two components, in the recipe of an integration.
pub struct Side {
    recipe: Recipe,
    mapper: Arc<Mapper>,
}

impl Side {
    /// A recipe that has this mapper for one of its transforms, or both.
    pub fn new(recipe: Recipe, mapper: Arc<Mapper>) -> Self {
        Self { recipe, mapper }
    }
}

/// Both components in one integration.
pub struct Shadow<'a> {
    /// Whose files they are.
    pub tenant: &'a TenantName,
    /// How many rows may be rejected.
    pub reject_limits: RejectLimits,
    /// Knows which rows were mended.
    pub destination: &'a dyn Destination,
    /// Where what they make lies until it is compared.
    pub scratch: &'a Path,
    /// The mapper as it is.
    pub current: &'a mut Side,
    /// The mapper with the other component.
    pub new: &'a mut Side,
}

impl Shadow<'_> {
    /// Runs both on an object and compares what they make. Blocks.
    ///
    /// # Errors
    /// What keeps either from being run at all. That the file would fail under one of them is a finding.
    pub fn compare(
        &mut self,
        identity: &Identity,
        object: &Object,
        open: impl Fn() -> Result<File, Failure>,
        oversight: &Oversight,
    ) -> Result<Comparison, Failure> {
        let whose = Rows::look(&self.current.recipe, self.tenant, identity, object, open()?, self.destination)?;
        let scratch = self.scratch;
        let ran = |side: &mut Side| side.run(object, &whose, &open, scratch, self.reject_limits, oversight);
        let (mut current, mut new) = (ran(self.current)?, ran(self.new)?);
        let mut comparison = compare(&mut current, &mut new).map_err(Failure::LocalCopy)?;
        locate(&mut comparison, &self.current.recipe, object, &open)?;
        Ok(comparison)
    }
}

/// What is told while objects are compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    /// How far it is.
    Progress {
        /// Whose files.
        integration: IntegrationName,
        /// Which of them, from 1.
        file: usize,
        /// How many there are.
        of: usize,
        /// Rows of all files so far, counted once for each component.
        rows: u64,
    },
    /// Nothing of an integration can be compared.
    Refused {
        /// Which integration.
        integration: IntegrationName,
        /// Why.
        message: String,
        /// What a person can do about it.
        hint: Option<String>,
    },
    /// An object.
    Object(ObjectReport),
}

/// What was found of one object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObjectReport {
    /// Whose it is.
    pub integration: IntegrationName,
    /// Its key.
    pub key: ObjectKey,
    /// Which version.
    pub etag: ETag,
    /// When it was completed.
    pub completed: Timestamp,
    /// What was found.
    pub found: Found,
}

/// What came of an object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// Both were run on it.
    Compared(Box<Comparison>),
    /// It is not there any more as it was taken.
    Skipped {
        /// What became of it.
        reason: String,
    },
    /// It could not be looked at.
    Failed {
        /// Why not.
        message: String,
        /// What a person can do about it.
        hint: Option<String>,
    },
}

/// What two components made of one object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Whether there is no difference at all.
    pub same: bool,
    /// What the current component came to and took.
    pub current: SideReport,
    /// The same of the other one.
    pub new: SideReport,
    /// Tables that are laid out differently.
    pub tables: Vec<TableDifference>,
    /// Account records.
    pub accounts: RecordDifferences,
    /// Usage values.
    pub usage: RecordDifferences,
    /// Rows with which something else is wrong.
    pub rows: RowDifferences,
}

/// What one component made of an object, and took for it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SideReport {
    /// Why the file would fail, if it would. Where a mapper fails on it, nothing else of it is compared.
    pub would_fail: Option<String>,
    /// Rows read and refused.
    pub rows: RowCounts,
    /// Warnings.
    pub warnings: u64,
    /// Account records.
    pub accounts: u64,
    /// Usage values.
    pub usage: u64,
    /// Processor time inside the component.
    pub processor_seconds: f64,
    /// Bytes of linear memory that its largest instance had.
    pub peak_memory: usize,
}

/// How many there are, with the first few.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Several<T> {
    /// All of them.
    pub count: u64,
    /// The first few, in the order of rows.
    pub first: Vec<T>,
}

impl<T> Default for Several<T> {
    fn default() -> Self {
        Self { count: 0, first: Vec::new() }
    }
}

impl<T> Several<T> {
    fn add(&mut self, one: impl FnOnce() -> T) {
        self.count += 1;
        if self.first.len() < SHOWN {
            self.first.push(one());
        }
    }
}

/// Where a row stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The table of the object, from 0.
    pub table: u32,
    /// The row of the table, from 0.
    pub row: u32,
    /// The sheet, in a workbook.
    pub sheet: Option<String>,
    /// The line of the CSV file or the row of the sheet, from 1.
    pub line: u64,
}

/// How the layout of a table differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableDifference {
    /// The table of the object, from 0.
    pub table: u32,
    /// The sheet, in a workbook.
    pub sheet: Option<String>,
    /// What is announced otherwise.
    pub changes: Vec<Change>,
}

/// What differs among records of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordDifferences {
    /// Records that are the same.
    pub unchanged: u64,
    /// Records that only the new component makes.
    pub added: Several<OneRecord>,
    /// Records that only the current one makes.
    pub removed: Several<OneRecord>,
    /// Records of which something differs.
    pub changed: Several<ChangedRecord>,
}

impl RecordDifferences {
    fn is_none(&self) -> bool {
        [self.added.count, self.removed.count, self.changed.count] == [0; 3]
    }
}

/// A record that only one component makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneRecord {
    /// The row that it is made of.
    pub at: Place,
    /// The record as a line of JSON, the way a destination of files is given it.
    pub record: String,
}

/// A record that both make, and not the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedRecord {
    /// The row that it is made of.
    pub at: Place,
    /// What says which record it is, as a line of JSON.
    pub record: String,
    /// What differs.
    pub changes: Vec<Change>,
}

/// One thing that is not the same. Values are JSON texts, so that all digits of a number stand there; none where there is
/// no such thing. A field that is `null` is to be erased, one that is not there is to be kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What it is.
    pub field: String,
    /// As the current component has it.
    pub current: Option<String>,
    /// As the new one has it.
    pub new: Option<String>,
}

/// Rows of which something else is said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowDifferences {
    /// Only under the new component they are rejected.
    pub rejected_by_new: Several<RowDifference>,
    /// Only under the current component they are rejected.
    pub rejected_by_current: Several<RowDifference>,
    /// Under both, for other reasons.
    pub rejected_otherwise: Several<RowDifference>,
    /// Their warnings differ.
    pub warned_otherwise: Several<RowDifference>,
}

impl RowDifferences {
    fn all(&self) -> [&Several<RowDifference>; 4] {
        [&self.rejected_by_new, &self.rejected_by_current, &self.rejected_otherwise, &self.warned_otherwise]
    }
}

/// A row of which something else is said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowDifference {
    /// The row.
    pub at: Place,
    /// What the current component says of it.
    pub current: Vec<Said>,
    /// What the new one says.
    pub new: Vec<Said>,
}

/// What is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// A stable code.
    pub code: String,
    /// A sentence.
    pub message: String,
    /// The column's name, where one is to blame.
    pub column: Option<String>,
    /// What stands in it.
    pub value: Option<String>,
    /// Its header index, until the name is known.
    #[serde(skip)]
    index: Option<usize>,
}

/// A text that is shown, cut off where it is too long.
fn shown(text: &str) -> String {
    match text.len() > LONGEST {
        true => format!("{}…", text.get(..text.floor_char_boundary(LONGEST)).unwrap_or_default()),
        false => text.to_owned(),
    }
}
