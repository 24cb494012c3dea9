//! The built-in mapper: columns to account fields and product usage, as the settings declare.
//!
//! An ordinary library, compiled twice: natively for tests and benchmarks, and to `wasm32-unknown-unknown` as the
//! component that ships in the daemon. Both are the same code; all that is particular to the component is one thin
//! module, which moves buffers between the contract's types and those of [`columns`].
//!
//! It knows nothing of files, formats, accounts or stores: cells come in, columns and issues go out. What it must keep:
//!
//! - Nothing is guessed from the data. What a cell may look like follows from the settings, and from whether a workbook
//!   typed it.
//! - No cell costs an allocation. Whole columns are read into vectors of known size.
//! - A cell that cannot be read rejects its row, with a stable code and a message that shows the value. Nothing is
//!   dropped in silence.
//!
//! Modules, in reading order: [`settings`] (the manual), `plan` (settings, checked), `header` (finding columns),
//! [`fields`] and [`usage`] (the two transforms), `identify` (which account a row belongs to), `cell` (how a cell becomes
//! a value), `shaped` (values that take more than that), `transform`, `normalize`, `constraint`, `pattern`, `calendar`,
//! `zone`, [`columns`].
//!
//! # Codes
//!
//! | code | of | meaning |
//! |---|---|---|
//! | `blank_identifier` | row, or a warning | the identifiers are blank, and other mapped cells are not |
//! | `blank_row` | row, a warning | every mapped cell is blank; the row is passed over |
//! | `blank_required` | cell | a value must stand there |
//! | `not_an_integer`, `not_a_number`, `out_of_range`, `too_many_decimals`, `percent_sign_in_ratio` | cell | numbers |
//! | `not_a_boolean`, `bad_date`, `bad_datetime`, `not_a_url`, `not_an_email` | cell | other types |
//! | `no_match`, `not_in_table` | cell | a transform found nothing; `no_match` also of a field's `regex` |
//! | `below_min`, `above_max`, `too_short`, `too_long`, `not_allowed` | cell | limits |
//! | `blank_date`, `blank_user`, `blank_product`, `blank_metric` | row | usage has values, and that is missing |
//! | `unknown_product`, `unknown_metric`, `bad_name`, `unit_conflict` | row | names in usage |
//! | `date_too_late`, `date_too_early` | row | usage lies too far from the day of the file |
//! | `missing_column`, `duplicate_column`, `duplicate_metric`, `too_many_series` | file | the table does not fit the settings |
//! | `bad_batch`, `bad_source`, `not_open` | file | the host broke the contract |
//! | `bad_setting`, `missing_setting`, `misplaced_setting`, `contradiction`, `duplicate_identifier`, `duplicate_field`, `duplicate_metric`, `too_many_identifiers`, `nothing_mapped` | settings | see the message |
//!
//! A cell's code rejects its row, warns, or fails the file, as the field's `on_invalid` says. Codes of rows may fail the
//! file as well, where they come from its key.

mod calendar;
mod cell;
pub mod columns;
#[cfg(target_family = "wasm")]
mod component;
mod constraint;
pub mod fields;
mod header;
mod identify;
mod normalize;
mod pattern;
mod plan;
pub mod settings;
mod shaped;
mod transform;
pub mod usage;
mod zone;

use std::fmt;

pub use cell::ValueType;
pub use fields::{FieldMapper, FileInfo};
pub use plan::{Semantic, check};
pub use usage::UsageMapper;

/// Fails the whole file, or says what is wrong with settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Stable.
    pub code: &'static str,
    /// For a person; a setting at fault is named first, as its path in backticks.
    pub message: String,
    /// The table-wide row at fault, where there is one.
    pub row: Option<u32>,
    /// The header index at fault, where there is one.
    pub column: Option<u32>,
}

impl Fault {
    pub(crate) fn new(code: &'static str, message: String) -> Self {
        Self { code, message, row: None, column: None }
    }

    /// The same, saying where in the table it lies. Rows count from 1 here, the header not counted.
    pub(crate) fn placed(mut self, header: &[String]) -> Self {
        if let Some(row) = self.row {
            let name = self.column.and_then(|column| header.get(column as usize));
            let column = name.map(|name| format!(", column {}", cell::quoted(name))).unwrap_or_default();
            self.message = format!("row {}{column}: {}", u64::from(row) + 1, self.message);
        }
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}
