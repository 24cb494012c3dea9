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

#[cfg(test)]
mod tests {
    use arrow_array::StringArray;

    use super::*;
    use crate::batch::Batch;
    use crate::failed_call::tests::call as some_call;
    use crate::failed_call::{Step, TransformKind};
    use crate::mapper::MapperHost;
    use crate::worker::Launcher;

    const SETTINGS: &str = r#"{"identifiers":[{"column":"Account ID","match":"crm_id"}],
        "fields":[{"column":"ARR","field":"arr","type":"integer"}],
        "usage":[{"product":"Core","period":"daily","date":{"column":"Day"},"metrics":[{"column":"Users","metric":"users"}]}]}"#;

    fn built_in() -> (tempfile::TempDir, Arc<Mapper>) {
        let directory = tempfile::tempdir().unwrap();
        let host = MapperHost::start(directory.path().join("mappers"), Launcher::at("/nonexistent")).unwrap();
        host.compile_built_in();
        let mapper = host.built_in().unwrap();
        (directory, mapper)
    }

    /// Rows 100 to 102, on lines 102 to 104; one has no number in `ARR`.
    fn call(transform: TransformKind, step: Step) -> FailedCall {
        let mut call = some_call("built-in", 3);
        (call.head.transform, call.head.step) = (transform, step);
        call.head.settings = SETTINGS.into();
        call.head.header = ["Account ID", "ARR", "Day", "Users"].map(str::to_owned).to_vec();
        let column = |cells: [&'static str; 3]| Some(Cells { text: StringArray::from(cells.to_vec()), typed: None });
        let days = ["2024-10-01", "2024-10-02", "2024-10-03"];
        let columns = vec![column(["a", "b", "c"]), column(["1", "x", "3"]), column(days), column(["7", "8", "9"])];
        call.batch = call.batch.map(|batch| Batch { columns, ..batch });
        call
    }

    fn made(call: &FailedCall, mapper: &Arc<Mapper>) -> Rehearsed {
        match replay(call, mapper).unwrap().came {
            Replaying::Makes(made) => *made,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn records_of_both_transforms_stand_at_their_lines_with_what_is_wrong() {
        let (_directory, mapper) = built_in();
        let accounts = made(&call(TransformKind::FieldMapping, Step::MapBatch), &mapper);
        assert_eq!((accounts.rows.read, accounts.rows.rejected, accounts.records.accounts), (3, 1, 2));
        assert!(accounts.lines[0].starts_with("{\"table\":{\"sheet\":null,\"accounts\":{"), "{:?}", accounts.lines);
        assert_eq!(accounts.lines[1], r#"{"line":102,"account":[{"crm_id":"a"}],"fields":{"arr":1}}"#);
        let issue = &accounts.issues[0];
        assert_eq!((issue.line, issue.cells[1].as_str(), issue.cell), (103, "x", Some(1)));
        let usage = made(&call(TransformKind::ProductUsage, Step::MapBatch), &mapper);
        assert_eq!((usage.records.usage, usage.rows.rejected), (3, 0), "{:?}", usage.lines);
        assert!(usage.lines[3].contains("\"line\":104") && usage.lines[3].contains("\"value\":9"), "{:?}", usage.lines);
    }

    #[test]
    fn a_table_opens_and_ends_again_and_a_start_is_all_there_is() {
        let (_directory, mapper) = built_in();
        for (step, lines) in [(Step::Start, 1), (Step::Open, 2), (Step::Finish, 2)] {
            let call = FailedCall { batch: None, ..call(TransformKind::ProductUsage, step) };
            let made = made(&call, &mapper);
            assert_eq!((made.lines.len(), made.rows.read), (lines, 0), "{step}: {:?}", made.lines);
        }
        let mut refused = call(TransformKind::FieldMapping, Step::Open);
        refused.head.header = vec!["Account".into(), "ARR".into()];
        assert!(matches!(replay(&refused, &mapper).unwrap().came, Replaying::Refuses(_)));
    }

    #[test]
    fn a_column_that_was_not_saved_is_named() {
        let (_directory, mapper) = built_in();
        let mut call = call(TransformKind::ProductUsage, Step::MapBatch);
        call.batch.as_mut().unwrap().columns[3] = None;
        let error = replay(&call, &mapper).unwrap_err();
        let ReplayError::Repeat(RepeatError::NotSaved { columns }) = error else { panic!("{error}") };
        assert_eq!(columns, ["`Users`"]);
    }
}
