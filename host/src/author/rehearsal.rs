//! A sample through a mapper as a daemon would take it: the same decoder, the same transform step, a destination of files, so
//! that what is shown is what would be delivered.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use super::golden::{self, Record, Records};
use crate::batch::{AccountBatch, AccountLayout, Batch, Cells, UsageBatch, UsageLayout};
use crate::config::Timezone;
use crate::decode::{DecodeError, DecodeOptions, Format};
use crate::destination::files::{FilesDestination, Form};
use crate::destination::{Brings, Delivery, Destination, DestinationError, Intake, Matching, RowCounts};
use crate::ingest::{Again, Failure, OpenedTable, Recipe, Rows, Taken, Transform, Transformed, transform};
use crate::mapper::{Exports, Fault, Mapper, MapperError, Spent};
use crate::object::{
    AsOf, ContentHash, Generation, Identity, IntegrationName, MappingDigest, Object, ObjectKey, TenantName,
};
use crate::oversight::Oversight;
use crate::rejects::{Gravity, Issue, IssueLog, Part, RejectsError};
use crate::worker::Launcher;

/// What stands for the connection, the bucket, the integration and the tenant of a sample.
const NAME: &str = "sample";

/// A file to try a mapper on, and what the daemon would know of it.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Where it is.
    pub path: PathBuf,
    /// The key that it would have; its file name unless something else is said.
    pub key: Option<ObjectKey>,
    /// When it would have been stored last. A mapper has no clock: this decides what day it is.
    pub modified: Timestamp,
    /// In which zone that day is.
    pub timezone: Timezone,
    /// How it is read.
    pub decode: DecodeOptions,
}

/// What became of a sample.
#[derive(Debug)]
pub struct Rehearsed {
    /// The golden lines.
    pub lines: Vec<String>,
    /// How many records there are.
    pub records: Records,
    /// How many rows were read and refused.
    pub rows: RowCounts,
    /// How many warnings there are.
    pub warnings: u64,
    /// What is wrong with rows, in their order.
    pub issues: Vec<SampleIssue>,
    /// Why the mapper refuses the file; there is nothing else then.
    pub fault: Option<Fault>,
    /// What the mapper took.
    pub spent: Spent,
}

/// What is wrong with a row of a sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleIssue {
    /// The line of the CSV file or the row of the sheet, from 1.
    pub line: u64,
    /// Whether it costs the row its records.
    pub gravity: Gravity,
    /// Name and value of the cell to blame.
    pub column: Option<(String, String)>,
    /// A stable code.
    pub code: String,
    /// A sentence.
    pub message: String,
    /// The whole row.
    pub cells: Vec<String>,
    /// Which of its cells is to blame.
    pub cell: Option<usize>,
}

/// Why a sample could not be tried, or failed in a way that no golden file keeps.
#[derive(Debug, thiserror::Error)]
pub enum RehearsalError {
    /// A file or directory refused.
    #[error("cannot {what} `{}`", path.display())]
    File {
        /// The step.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's own words.
        #[source]
        source: std::io::Error,
    },
    /// The file's name does not say what it is.
    #[error("`{}` is neither .csv nor .xlsx nor .xls", path.display())]
    Format {
        /// The file.
        path: PathBuf,
    },
    /// The mapper does not accept its settings.
    #[error("the mapper does not accept its settings: {}", faults.iter().map(|fault| fault.message.as_str()).collect::<Vec<_>>().join("; "))]
    Settings {
        /// Everything it finds wrong.
        faults: Vec<Fault>,
    },
    /// The mapper could not be asked about its settings.
    #[error("the mapper failed over its settings")]
    Mapper(#[source] MapperError),
    /// The file would fail, and not because the mapper refuses it.
    #[error("the file would fail")]
    WouldFail(#[from] Failure),
}

impl From<DestinationError> for RehearsalError {
    fn from(error: DestinationError) -> Self {
        Self::WouldFail(error.into())
    }
}

impl From<RejectsError> for RehearsalError {
    fn from(error: RejectsError) -> Self {
        Self::WouldFail(error.into())
    }
}

impl From<DecodeError> for RehearsalError {
    fn from(error: DecodeError) -> Self {
        Self::WouldFail(error.into())
    }
}

/// A mapper with its settings, ready for samples.
pub struct Rehearsal {
    mapper: Arc<Mapper>,
    settings: Arc<str>,
    launcher: Launcher,
    /// Holds the issue log and what is delivered.
    scratch: tempfile::TempDir,
}

impl Rehearsal {
    /// Has the mapper check its settings (JSON).
    pub fn of(mapper: Arc<Mapper>, settings: Arc<str>, launcher: Launcher) -> Result<Self, RehearsalError> {
        let Exports { field_mapping, product_usage } = mapper.exports();
        let mut faults = Vec::new();
        if field_mapping {
            faults.extend(mapper.check_fields(&settings).map_err(RehearsalError::Mapper)?);
        }
        if product_usage {
            let more = mapper.check_usage(&settings).map_err(RehearsalError::Mapper)?;
            faults.extend(more.into_iter().filter(|fault| !faults.contains(fault)).collect::<Vec<_>>());
        }
        if !faults.is_empty() {
            return Err(RehearsalError::Settings { faults });
        }
        let scratch = tempfile::tempdir().map_err(failed("make a directory in", &std::env::temp_dir()))?;
        Ok(Self { mapper, settings, launcher, scratch })
    }

    /// Takes a sample through the mapper into files, and reads them back as golden lines. The whole result is held in
    /// memory: a sample is a small file.
    pub fn rehearse(&self, sample: &Sample) -> Result<Rehearsed, RehearsalError> {
        let object = sample.object()?;
        let recipe = self.recipe(sample)?;
        let delivered = self.scratch.path().join("delivered");
        // What an earlier sample left; where nothing did, there is nothing to remove.
        let _ = std::fs::remove_dir_all(&delivered);
        let destination = FilesDestination::open(&delivered, Form::default())?;
        let mut staging = destination.stage(delivery(&object, recipe.digest())?)?;
        let issues = IssueLog::with_warnings(self.scratch.path())?;
        let before = self.mapper.spent();
        let outcome = transform(
            &recipe,
            &object,
            Taken::all(&Rows::own()),
            sample.open()?,
            &mut *staging,
            issues,
            &Oversight::default(),
        );
        let spent = self.mapper.spent().since(before);
        let again = Again::open(&recipe, &object, sample.open()?)?;
        let mut transformed = match outcome {
            Ok(transformed) => transformed,
            Err(Failure::Mapper { source: MapperError::Fault(fault), .. }) => {
                return Ok(Rehearsed::refused(fault, again, spent)?);
            }
            Err(failure) => return Err(failure.into()),
        };
        staging.merge(transformed.rows)?;
        let Transformed { rows, issues, tables } = &mut transformed;
        Rehearsed::of(&delivered, *rows, issues, tables, again, spent)
    }

    /// Takes a sample through the mapper into nothing, and says how many rows it has: for measuring.
    pub fn run(&self, sample: &Sample) -> Result<RowCounts, RehearsalError> {
        let object = sample.object()?;
        let recipe = self.recipe(sample)?;
        let issues = IssueLog::create(self.scratch.path())?;
        let oversight = Oversight::default();
        let transformed =
            transform(&recipe, &object, Taken::all(&Rows::own()), sample.open()?, &mut Nowhere, issues, &oversight)?;
        Ok(transformed.rows)
    }

    /// What the mapper took so far.
    pub fn spent(&self) -> Spent {
        self.mapper.spent()
    }

    fn recipe(&self, sample: &Sample) -> Result<Recipe, RehearsalError> {
        let Exports { field_mapping, product_usage } = self.mapper.exports();
        let transform = || Transform { mapper: Arc::clone(&self.mapper), settings: Arc::clone(&self.settings) };
        let transforms = [field_mapping.then(transform), product_usage.then(transform)];
        let decode = sample.decode.clone();
        Ok(Recipe::of_mapper((named()?, named()?), decode, sample.timezone.clone(), transforms, self.launcher.clone()))
    }
}

/// Both transforms refuse a row for the same blank identifier: what was said once of a row is not said again.
fn each_once(issues: Vec<Issue>) -> Vec<Issue> {
    let mut kept: Vec<Issue> = Vec::with_capacity(issues.len());
    for issue in issues {
        let of_row = kept.iter().rev().take_while(|known| (known.table, known.row) == (issue.table, issue.row));
        if !of_row.into_iter().any(|known| *known == issue) {
            kept.push(issue);
        }
    }
    kept
}

/// A name of ours as one of the types of names. All of them take these letters.
pub(super) fn named<T: std::str::FromStr>() -> Result<T, RehearsalError> {
    NAME.parse().map_err(|_| RehearsalError::Format { path: NAME.into() })
}

/// Takes records and keeps none.
struct Nowhere;

impl Intake for Nowhere {
    fn open_table(&mut self, _: Option<&AccountLayout>, _: Option<&UsageLayout>) -> Result<(), DestinationError> {
        Ok(())
    }

    fn accounts(&mut self, _: &AccountBatch, _: &[u32]) -> Result<(), DestinationError> {
        Ok(())
    }

    fn usage(&mut self, _: &UsageBatch, _: &[u32]) -> Result<(), DestinationError> {
        Ok(())
    }

    fn reject_row(&mut self, _: u32) -> Result<(), DestinationError> {
        Ok(())
    }
}

impl Sample {
    fn open(&self) -> Result<File, RehearsalError> {
        File::open(&self.path).map_err(failed("read", &self.path))
    }

    /// The sample as an object of a bucket.
    fn object(&self) -> Result<Object, RehearsalError> {
        let file = self.open()?;
        let size = file.metadata().map_err(failed("read", &self.path))?.len();
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(file).map_err(failed("read", &self.path))?;
        let not_taken = || RehearsalError::Format { path: self.path.clone() };
        let name = self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let key: ObjectKey = match &self.key {
            Some(key) => key.clone(),
            None => name.parse().map_err(|_| not_taken())?,
        };
        Format::of_key(key.as_str()).ok_or_else(not_taken)?;
        Ok(Object {
            connection: named()?,
            bucket: named()?,
            key,
            etag: hasher.finalize().to_hex().parse().map_err(|_| not_taken())?,
            size,
            last_modified: self.modified,
        })
    }
}

pub(super) fn delivery(object: &Object, mapping: MappingDigest) -> Result<Delivery, RehearsalError> {
    let integration: IntegrationName = named()?;
    let tenant: TenantName = named()?;
    let generation = Generation::default();
    Ok(Delivery {
        identity: Identity { integration, dedup_key: object.dedup_key(), generation },
        object: object.clone(),
        tenant,
        as_of: AsOf { effective_time: object.last_modified, key: object.key.clone(), arrival: 0, generation },
        mapping,
        content: ContentHash::from_bytes([0; 32]),
        matching: Matching::default(),
        brings: Brings::OWN,
    })
}

pub(super) fn failed(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> RehearsalError {
    let path = path.to_owned();
    move |source| RehearsalError::File { what, path, source }
}

impl Rehearsed {
    /// What was delivered into a directory of files, with the rows that it was made of.
    pub(super) fn of(
        delivered: &Path,
        rows: RowCounts,
        issues: &mut IssueLog,
        tables: &[OpenedTable],
        again: impl Iterator<Item = Result<Part, DecodeError>>,
        spent: Spent,
    ) -> Result<Self, RehearsalError> {
        let (records, counts) = golden::files_below(delivered)
            .and_then(|files| golden::records(&files))
            .map_err(failed("read", delivered))?;
        let warnings = issues.warnings();
        let woven = Woven::weave(tables, records, each_once(issues.all()?), again)?;
        let mut lines = woven.lines;
        lines.push(golden::rows(rows));
        Ok(Self { lines, records: counts, rows, warnings, issues: woven.issues, fault: None, spent })
    }

    /// A sample that the mapper refuses. Where the fault is in a file of one table, line and column are named.
    fn refused(fault: Fault, again: Again, spent: Spent) -> Result<Self, DecodeError> {
        let (mut line, mut column) = (None, None);
        let mut tables = 0;
        for part in again {
            match part? {
                Part::Table(head) => {
                    tables += 1;
                    column = fault.column.and_then(|index| head.header.get(index as usize).cloned());
                }
                Part::Batch(batch) => {
                    let place = fault.row.and_then(|row| row.checked_sub(batch.first_row));
                    line = line.or(place.and_then(|place| batch.lines.get(place as usize).copied()));
                }
            }
        }
        if tables != 1 {
            (line, column) = (None, None);
        }
        Ok(Self {
            lines: vec![golden::fault(&fault, line, column.as_deref())],
            records: Records::default(),
            rows: RowCounts::default(),
            warnings: 0,
            issues: Vec::new(),
            fault: Some(fault),
            spent,
        })
    }
}

/// Tables, records and issues in the order of the sample's rows.
struct Woven {
    lines: Vec<String>,
    issues: Vec<SampleIssue>,
}

impl Woven {
    /// Goes through the sample once more: what stands in its rows is needed for what is wrong with them. Records and issues
    /// are sorted by table and row.
    fn weave(
        tables: &[OpenedTable],
        records: Vec<Record>,
        issues: Vec<Issue>,
        again: impl Iterator<Item = Result<Part, DecodeError>>,
    ) -> Result<Self, DecodeError> {
        let mut woven = Self { lines: Vec::new(), issues: Vec::new() };
        let mut records = records.into_iter().peekable();
        let mut issues = issues.into_iter().peekable();
        let mut next_table = 0_u32;
        let mut open: Option<&OpenedTable> = None;
        for part in again {
            let batch = match part? {
                Part::Table(_) => {
                    open = tables.get(next_table as usize);
                    woven.lines.extend(open.map(golden::table));
                    next_table += 1;
                    continue;
                }
                Part::Batch(batch) => batch,
            };
            for (place, line) in batch.lines.iter().enumerate() {
                let at = (next_table.saturating_sub(1), batch.first_row.saturating_add(place as u32));
                while let Some(record) = records.next_if(|record| (record.table, record.row) == at) {
                    woven.lines.push(record.line(*line));
                }
                while let Some(issue) = issues.next_if(|issue| (issue.table, issue.row) == at) {
                    let header = open.map(|table| table.head.header.as_slice()).unwrap_or_default();
                    let issue = SampleIssue::of(issue, *line, header, &batch, place);
                    woven.lines.push(golden::issue(&issue));
                    woven.issues.push(issue);
                }
            }
        }
        Ok(woven)
    }
}

impl SampleIssue {
    fn of(issue: Issue, line: u64, header: &[String], batch: &Batch, place: usize) -> Self {
        let cell = |column: &Option<Cells>| {
            let text = column.as_ref().and_then(|cells| cells.text.iter().nth(place).flatten());
            text.unwrap_or_default().to_owned()
        };
        let cells: Vec<String> = batch.columns.iter().map(cell).collect();
        let column = issue.column.and_then(|index| Some((header.get(index)?.clone(), cells.get(index)?.clone())));
        let Issue { code, message, gravity, .. } = issue;
        Self { line, gravity, column, code, message, cells, cell: issue.column }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapper::{Fuel, MapperHost};

    const SETTINGS: &str = r#"{"identifiers":[{"column":"Account ID","match":"crm_id"}],
        "fields":[{"column":"ARR","field":"arr","type":"integer"}],
        "usage":[{"product":"Core","period":"daily","date":{"column":"Day"},"metrics":[{"column":"Users","metric":"users"}]}]}"#;

    fn rehearsal() -> (tempfile::TempDir, Rehearsal) {
        let directory = tempfile::tempdir().unwrap();
        let launcher = Launcher::at("/nonexistent");
        let cache = directory.path().join("mappers");
        let host = MapperHost::start_with(Fuel::Counted, cache, launcher.clone()).unwrap();
        host.compile_built_in();
        let mapper = host.built_in().unwrap();
        (directory, Rehearsal::of(mapper, SETTINGS.into(), launcher).unwrap())
    }

    fn sample(directory: &Path, text: &str) -> Sample {
        let path = directory.join("sample.csv");
        std::fs::write(&path, text).unwrap();
        let modified = "2024-10-15T12:00:00Z".parse().unwrap();
        Sample { path, key: None, modified, timezone: "UTC".parse().unwrap(), decode: DecodeOptions::default() }
    }

    #[test]
    fn lines_are_in_the_order_of_rows_and_cost_the_same_every_time() {
        let (directory, rehearsal) = rehearsal();
        let text = "Account ID,ARR,Day,Users\n1,10,2024-10-01,3\n2,x,2024-10-01,4\n,5,2024-10-01,1\n3,7,2024-10-02,\n";
        let sample = sample(directory.path(), text);
        let first = rehearsal.rehearse(&sample).unwrap();
        let second = rehearsal.rehearse(&sample).unwrap();
        assert_eq!(first.lines, second.lines);
        assert_eq!(first.spent.fuel, second.spent.fuel);
        assert!(first.spent.fuel > 1_000 && first.spent.memory > 1 << 16, "{:?}", first.spent);
        assert_eq!((first.rows.read, first.rows.rejected), (4, 2));
        assert_eq!(first.records, Records { accounts: 2, usage: 1 });
        let starts: Vec<&str> = first.lines.iter().map(|line| line.split(',').next().unwrap()).collect();
        let expected =
            ["{\"table\":{\"sheet\":null", "{\"line\":2", "{\"line\":2", "{\"line\":3", "{\"line\":4", "{\"line\":5"];
        assert_eq!(starts[..6], expected, "{:#?}", first.lines);
        assert_eq!(first.lines[1], r#"{"line":2,"account":[{"crm_id":"1"}],"fields":{"arr":10}}"#);
        assert!(first.lines[3].contains(r#""column":"ARR","value":"x""#), "{}", first.lines[3]);
        assert_eq!(first.lines.last().unwrap(), r#"{"rows":{"read":4,"rejected":2}}"#);
        let issue = &first.issues[0];
        assert_eq!((issue.line, issue.cells[1].as_str(), issue.cell), (3, "x", Some(1)));
    }

    #[test]
    fn a_file_that_the_mapper_refuses_is_one_line() {
        let (directory, rehearsal) = rehearsal();
        let refused = rehearsal.rehearse(&sample(directory.path(), "Account,ARR\n1,2\n")).unwrap();
        assert_eq!(refused.lines.len(), 1, "{:?}", refused.lines);
        assert!(refused.lines[0].starts_with("{\"fault\":"), "{:?}", refused.lines);
        assert!(refused.fault.is_some());
    }
}
