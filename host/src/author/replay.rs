//! A call that a daemon saved because a mapper failed on it, through the same mapper once more, or through another one.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::rehearsal::{RehearsalError, Rehearsed, delivery, failed, named};
use crate::batch::{Cells, Issues, TableHead};
use crate::destination::files::{FilesDestination, Form};
use crate::destination::{Destination, RowCounts};
use crate::failed_call::FailedCall;
use crate::ingest::{Failure, OpenedTable, RepeatError, Repeated, Transform, repeat};
use crate::mapper::{Blame, Fault, LogLine, LogSink, Mapper, MapperError, Spent};
use crate::object::{MappingDigest, Object};
use crate::rejects::{IssueLog, Part};

/// What became of a call that was made again.
#[derive(Debug)]
pub struct Replayed {
    /// What came of it.
    pub came: Replaying,
    /// How long it took by the clock, with the search for the row.
    pub took: Duration,
    /// What the mapper took, without that search.
    pub spent: Spent,
    /// What it wrote to the log.
    pub log: Vec<LogLine>,
}

/// What comes of a call.
#[derive(Debug)]
pub enum Replaying {
    /// The mapper fails.
    Fails(Failing),
    /// The mapper refuses the file.
    Refuses(Fault),
    /// Records; the call ends well.
    Makes(Box<Rehearsed>),
}

/// How a mapper fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failing {
    /// A stable code.
    pub code: String,
    /// What it did.
    pub message: String,
    /// Where, when it is one row's doing: `at line 12`.
    pub place: Option<String>,
    /// The cells of that row, blank where they were not saved.
    pub cells: Option<Vec<String>>,
}

/// Makes a saved call again.
pub fn replay(call: &FailedCall, mapper: &Arc<Mapper>) -> Result<Replayed, ReplayError> {
    let transform = Transform { mapper: Arc::clone(mapper), settings: call.head.settings.as_str().into() };
    let written: Arc<Mutex<Vec<LogLine>>> = Arc::default();
    let log: LogSink = {
        let written = Arc::clone(&written);
        Arc::new(move |line| written.lock().unwrap_or_else(PoisonError::into_inner).push(line))
    };
    let (before, began) = (mapper.spent(), Instant::now());
    let repeated = repeat(call, transform, log);
    let (took, spent) = (began.elapsed(), mapper.spent().since(before));
    let came = match repeated {
        Ok(repeated) => Replaying::Makes(Box::new(records(call, repeated, spent)?)),
        Err(RepeatError::Failed(Failure::Mapper { source: MapperError::Fault(fault), .. })) => {
            Replaying::Refuses(fault)
        }
        Err(RepeatError::Failed(Failure::Mapper { source, place, .. })) if source.blame() == Blame::Mapper => {
            Replaying::Fails(Failing {
                code: source.code().to_owned(),
                message: source.to_string(),
                cells: place.as_ref().and_then(|place| cells(call, place.row()?)),
                place: place.map(|place| place.to_string()),
            })
        }
        Err(error) => return Err(error.into()),
    };
    let log = std::mem::take(&mut *written.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Replayed { came, took, spent, log })
}

/// Why a call could not be made again.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// It cannot be put to this mapper.
    #[error("the call cannot be made")]
    Repeat(#[from] RepeatError),
    /// What came of it could not be shown.
    #[error("the records cannot be shown")]
    Records(#[from] RehearsalError),
}

/// The cells of a row of the call.
fn cells(call: &FailedCall, row: u32) -> Option<Vec<String>> {
    let batch = call.batch.as_ref()?;
    let place = row.checked_sub(batch.first_row)? as usize;
    let text = |column: &Option<Cells>| {
        let text = column.as_ref().and_then(|cells| cells.text.iter().nth(place).flatten());
        text.unwrap_or_default().to_owned()
    };
    Some(batch.columns.iter().map(text).collect())
}

/// What came of a call as the lines of a sample.
fn records(call: &FailedCall, repeated: Repeated, spent: Spent) -> Result<Rehearsed, RehearsalError> {
    let FailedCall { head, batch } = call;
    let scratch = tempfile::tempdir().map_err(failed("make a directory in", &std::env::temp_dir()))?;
    let destination = FilesDestination::open(scratch.path(), Form::default())?;
    let mut staging = destination.stage(delivery(&object(call)?, MappingDigest::from_bytes([0; 32]))?)?;
    let mut issues = IssueLog::with_warnings(scratch.path())?;
    let table = TableHead { sheet: head.source.sheet.clone(), header: head.header.clone(), duplicates: Vec::new() };
    let mut opened = OpenedTable { head: table.clone(), accounts: None, usage: None };
    let mut rejected = Vec::new();
    let mut take = |found: &Issues| {
        rejected.extend(found.rejected_rows());
        rejected.sort_unstable();
        rejected.dedup();
        issues.push(0, found, &[])
    };
    match repeated {
        Repeated::Started => {}
        Repeated::Accounts(layout, mapped) => {
            staging.open_table(Some(&layout), None)?;
            if let Some(mapped) = mapped {
                take(&mapped.issues)?;
                staging.accounts(&mapped, &rejected)?;
            }
            opened.accounts = Some(layout);
        }
        Repeated::Usage(layout, mapped) => {
            staging.open_table(None, Some(&layout))?;
            if let Some(mapped) = mapped {
                take(&mapped.issues)?;
                staging.usage(&mapped, &rejected)?;
            }
            opened.usage = Some(layout);
        }
    }
    let read = batch.as_ref().map_or(0, |batch| batch.rows() as u64);
    let rows = RowCounts { read, rejected: rejected.len() as u64 };
    staging.merge(rows)?;
    let has_table = opened.accounts.is_some() || opened.usage.is_some();
    let tables = if has_table { vec![opened] } else { Vec::new() };
    let parts = [Some(Part::Table(table)), batch.clone().map(Part::Batch)].into_iter().flatten().map(Ok);
    Rehearsed::of(scratch.path(), rows, &mut issues, &tables, parts, spent)
}

/// The object of a call, for a destination.
fn object(call: &FailedCall) -> Result<Object, RehearsalError> {
    let source = &call.head.source;
    let not_taken = || RehearsalError::Format { path: source.key.clone().into() };
    Ok(Object {
        connection: named()?,
        bucket: named()?,
        key: source.key.parse().map_err(|_| not_taken())?,
        etag: source.etag.parse().map_err(|_| not_taken())?,
        size: source.size,
        last_modified: Timestamp::from_microsecond(source.last_modified).map_err(|_| not_taken())?,
    })
}
