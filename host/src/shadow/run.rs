//! One component at work on one object, and what it leaves behind to be compared.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::record::Kind;
use super::{Side, SideReport};
use crate::destination::RowCounts;
use crate::destination::files::{Form, Recording, place_of};
use crate::events::Chain;
use crate::ingest::{Failure, OpenedTable, Rows, Taken, transform, without_poisonous};
use crate::object::Object;
use crate::oversight::Oversight;
use crate::rejects::{IssueLog, RejectLimits};
use crate::retry::ErrorClass;
use crate::row_log::RowLog;

/// What one component made of an object.
pub(super) struct Ran {
    pub(super) report: SideReport,
    /// None where a mapper, or the file, fails.
    pub(super) made: Option<Made>,
}

/// Everything that is compared.
pub(super) struct Made {
    pub(super) tables: Vec<OpenedTable>,
    /// A byte for the kind, then the record as a JSON object.
    pub(super) records: RowLog,
    pub(super) issues: IssueLog,
}

impl Side {
    pub(super) fn run(
        &mut self,
        object: &Object,
        whose: &Rows,
        open: &impl Fn() -> Result<File, Failure>,
        scratch: &Path,
        reject_limits: RejectLimits,
        oversight: &Oversight,
    ) -> Result<Ran, Failure> {
        self.meter_anew();
        let scratch = tempfile::tempdir_in(scratch).map_err(Failure::LocalCopy)?;
        let attempt = without_poisonous(&self.recipe, object, |poisonous| {
            let mut recording = Recording::with_identifiers(scratch.path().join("records"), Form::default())?;
            let issues = IssueLog::with_warnings(scratch.path())?;
            let rows = Taken { whose, poisonous };
            let transformed = transform(&self.recipe, object, rows, open()?, &mut recording, issues, oversight)?;
            Ok((recording, transformed))
        });
        let mut report = SideReport::default();
        let made = match attempt {
            Ok((mut recording, transformed)) => {
                let (merged, files) = recording.settle(None)?;
                report.rows = transformed.rows;
                report.warnings = transformed.issues.warnings();
                (report.accounts, report.usage) = (merged.delivered, merged.usage_values);
                report.would_fail = too_many(reject_limits, transformed.rows);
                let records = sorted_by_row(&files, scratch.path()).map_err(Failure::LocalCopy)?;
                Some(Made { tables: transformed.tables, records, issues: transformed.issues })
            }
            Err(failure) if matches!(failure.class(), ErrorClass::Content | ErrorClass::Mapper) => {
                report.would_fail = Some(Chain(&failure).to_string());
                None
            }
            Err(failure) => return Err(failure),
        };
        let spent = self.mapper.spent();
        report.processor_seconds = spent.processor.as_secs_f64();
        report.peak_memory = spent.memory;
        Ok(Ran { report, made })
    }

    /// Has the figures begin at nothing, so that they are of one object.
    fn meter_anew(&mut self) {
        let anew = Arc::new(self.mapper.unmetered());
        for transform in [&mut self.recipe.fields, &mut self.recipe.usage].into_iter().flatten() {
            if Arc::ptr_eq(&transform.mapper, &self.mapper) {
                transform.mapper = Arc::clone(&anew);
            }
        }
        self.mapper = anew;
    }
}

fn too_many(limits: RejectLimits, rows: RowCounts) -> Option<String> {
    limits.exceeded_by(rows).map(|limit| Failure::TooManyRejects { rows, limit }.to_string())
}

/// Brings the records of both files into the order of rows.
fn sorted_by_row(files: &[PathBuf], scratch: &Path) -> io::Result<RowLog> {
    let mut records = RowLog::create(scratch)?;
    let mut line = Vec::new();
    for path in files {
        let kind = match path.file_stem().and_then(std::ffi::OsStr::to_str) {
            Some("accounts") => Kind::Account,
            Some("usage") => Kind::Usage,
            // Which rows were mended is the file's doing, not a mapper's.
            Some(_) | None => continue,
        };
        let mut lines = BufReader::with_capacity(1 << 16, File::open(path)?);
        loop {
            line.clear();
            if lines.read_until(b'\n', &mut line)? == 0 {
                break;
            }
            let (table, row, rest) = place_of(&line).ok_or(io::ErrorKind::InvalidData)?;
            let rest = rest.strip_prefix(b",").and_then(|rest| rest.strip_suffix(b"\n"));
            records.push(table, row, &[&[kind as u8], b"{", rest.ok_or(io::ErrorKind::InvalidData)?])?;
        }
    }
    Ok(records)
}
