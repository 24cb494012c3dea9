//! Decode, map and stage, overlapping: three threads and two bounded channels for one object.
//!
//! An error travels downstream with the data, so the staging end sees the first failure in row order; a step whose
//! receiver has gone just ends. Stop is looked at before each batch.

use std::fs::File;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use arrow_array::StringArray;

use super::mapping::{Open, Table, Work};
use super::mended::{Rows, mended_rows, origins_of};
use super::poison::{Part, Poisonous};
use super::reader::{MendedColumns, Reader};
use super::{Failure, Recipe, RowCounts, Transform};
use crate::batch::{AccountBatch, AccountLayout, Batch, Issues, TableHead, UsageBatch, UsageLayout};
use crate::decode::DecodeError;
use crate::destination::Intake;
use crate::effort::Pace;
use crate::events;
use crate::mapper::{FieldMapping, FileBudget, LogSink, Source, UsageMapping};
use crate::object::Object;
use crate::oversight::{Beat, Oversight, Progress, Stop};
use crate::rejects::{self, IssueLog};

/// Batches in flight between two steps. Two keep both busy; more only take memory (I6).
const IN_FLIGHT: usize = 2;

/// What the steps leave behind once everything is staged.
pub struct Transformed {
    /// How many rows were read and refused.
    pub rows: RowCounts,
    /// What is wrong with them.
    pub issues: IssueLog,
    /// What each table said of itself and how it is mapped.
    pub tables: Vec<OpenedTable>,
}

/// A table and what its mappers make of it.
#[derive(Debug, Clone)]
pub struct OpenedTable {
    /// Its header.
    pub head: TableHead,
    /// What becomes of its rows as accounts.
    pub accounts: Option<AccountLayout>,
    /// What becomes of its rows as usage.
    pub usage: Option<UsageLayout>,
}

enum Decoded {
    /// A table begins; the mappers answer with the columns they want of it.
    Table(TableHead, Option<MendedColumns>, SyncSender<Vec<u32>>),
    Batch(Box<Batch>),
}

enum Mapped {
    Table(OpenedTable),
    Records(Box<Records>),
}

#[derive(Default)]
struct Records {
    lines: Vec<u64>,
    /// Where the rows say they come from, in a mended reject file.
    origins: Option<StringArray>,
    decoder: Option<Issues>,
    accounts: Option<AccountBatch>,
    usage: Option<UsageBatch>,
}

/// Which of a file's rows are taken, and as whose.
#[derive(Debug, Clone, Copy)]
pub struct Taken<'a> {
    /// Whose rows they are.
    pub whose: &'a Rows,
    /// Those that no mapper gets to see.
    pub poisonous: &'a Poisonous,
}

impl<'a> Taken<'a> {
    /// All rows.
    pub fn all(whose: &'a Rows) -> Self {
        static NONE: Poisonous = Poisonous::none();
        Self { whose, poisonous: &NONE }
    }
}

/// Takes the file through decode and map into `staging`. Nothing is merged.
pub fn transform(
    recipe: &Recipe,
    object: &Object,
    rows: Taken<'_>,
    file: File,
    staging: &mut dyn Intake,
    issues: IssueLog,
    oversight: &Oversight,
) -> Result<Transformed, Failure> {
    let beat = oversight.watch.begin("ingestion");
    let reader = Reader::open(recipe, object, file)?;
    let effort = oversight.effort.of_file(object.size);
    let pace = effort.pace();
    let mappers = Mappers::instantiate(recipe, object, rows)?;
    std::thread::scope(|scope| {
        let (decoded_in, decoded) = sync_channel(IN_FLIGHT);
        let (mapped_in, mapped) = sync_channel(IN_FLIGHT);
        std::thread::Builder::new()
            .name("decode".into())
            .spawn_scoped(scope, || decode_tables(reader, decoded_in, &oversight.stop, effort.pace()))
            .map_err(|_| Failure::Panicked)?;
        std::thread::Builder::new()
            .name("map".into())
            .spawn_scoped(scope, || mappers.map_tables(decoded, mapped_in, effort.pace()))
            .map_err(|_| Failure::Panicked)?;
        Stage::new(staging, rows.whose, issues, &oversight.progress, beat).stage_all(mapped, pace)
    })
}

/// The file's parts once more, all columns of them, for the reject file.
pub struct Again(Reader);

impl Again {
    /// Opens the file again.
    pub fn open(recipe: &Recipe, object: &Object, file: File) -> Result<Self, Failure> {
        Ok(Self(Reader::open(recipe, object, file)?))
    }

    fn next_part(&mut self) -> Result<Option<rejects::Part>, DecodeError> {
        if let Some(batch) = self.0.next_batch()? {
            return Ok(Some(rejects::Part::Batch(batch)));
        }
        Ok(self.0.next_table()?.map(rejects::Part::Table))
    }
}

impl Iterator for Again {
    type Item = Result<rejects::Part, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_part().transpose()
    }
}

fn decode_tables(mut reader: Reader, out: SyncSender<Result<Decoded, Failure>>, stop: &Stop, mut pace: Pace) {
    // A failed send means that a later step has failed and has the word.
    let mut next_table = || -> Result<bool, Failure> {
        let Some(head) = reader.next_table()? else { return Ok(false) };
        let (answer, wanted) = sync_channel(1);
        if out.send(Ok(Decoded::Table(head, reader.mended(), answer))).is_err() {
            return Ok(false);
        }
        let Ok(wanted) = wanted.recv() else { return Ok(false) };
        reader.want(&wanted);
        while let Some(batch) = reader.next_batch()? {
            pace.look();
            if stop.given_up() {
                return Err(Failure::Stopped);
            }
            if out.send(Ok(Decoded::Batch(Box::new(batch)))).is_err() {
                return Ok(false);
            }
        }
        Ok(true)
    };
    loop {
        match next_table() {
            Ok(true) => {}
            Ok(false) => return,
            Err(failure) => {
                let _ = out.send(Err(failure));
                return;
            }
        }
    }
}

/// The instances that serve one file, with what they are told of it.
struct Mappers<'a> {
    object: &'a Object,
    rows: Taken<'a>,
    recipe: &'a Recipe,
    source: Source,
    /// The header of the open table, and which one it is.
    header: Vec<String>,
    table: u32,
    /// The columns of the open table, in a mended reject file.
    mended: Option<MendedColumns>,
    fields: Option<Open<FieldMapping>>,
    usage: Option<Open<UsageMapping>>,
}

impl<'a> Mappers<'a> {
    fn instantiate(recipe: &'a Recipe, object: &'a Object, rows: Taken<'a>) -> Result<Self, Failure> {
        // Mended rows are mapped as if they stood where they were refused.
        let as_mapped = rows.whose.as_mapped().map_or(object, |(origin, _)| origin);
        let today = as_mapped.last_modified.to_zoned(recipe.timezone.clone()).date();
        let epoch = jiff::civil::date(1970, 1, 1);
        let source = Source {
            integration: recipe.integration.to_string(),
            connection: as_mapped.connection.to_string(),
            bucket: as_mapped.bucket.to_string(),
            key: as_mapped.key.to_string(),
            etag: as_mapped.etag.to_string(),
            size: as_mapped.size,
            last_modified: as_mapped.last_modified.as_microsecond(),
            sheet: None,
            timezone: recipe.timezone_name.clone(),
            today: today.since(epoch).map(|span| span.get_days()).unwrap_or_default(),
        };
        let of = Table { table: 0, source: &source, header: &[] };
        let work = |transform: &Transform| Work {
            transform: transform.clone(),
            tenant: recipe.tenant.clone(),
            budget: FileBudget { bytes: object.size },
        };
        let log = |transform: &Transform| -> LogSink {
            let (tenant, integration) = (&recipe.tenant, &recipe.integration);
            events::mapper_log((tenant, integration), transform.mapper.name(), transform.mapper.digest(), object)
        };
        let fields = recipe.fields.as_ref().map(|it| Open::instantiate(work(it), &of, log(it))).transpose()?;
        let usage = recipe.usage.as_ref().map(|it| Open::instantiate(work(it), &of, log(it))).transpose()?;
        Ok(Self { object, rows, recipe, source, header: Vec::new(), table: 0, mended: None, fields, usage })
    }

    fn map_tables(
        mut self,
        decoded: Receiver<Result<Decoded, Failure>>,
        out: SyncSender<Result<Mapped, Failure>>,
        pace: Pace,
    ) {
        self.map_all(decoded, &out, pace);
        let integration = &self.recipe.integration;
        self.fields.iter().for_each(|mapper| mapper.say_worked(integration, self.object));
        self.usage.iter().for_each(|mapper| mapper.say_worked(integration, self.object));
    }

    fn map_all(
        &mut self,
        decoded: Receiver<Result<Decoded, Failure>>,
        out: &SyncSender<Result<Mapped, Failure>>,
        mut pace: Pace,
    ) {
        let mut table_open = false;
        for step in decoded {
            let mapped = step.and_then(|step| self.map(step, &mut table_open, out));
            pace.look();
            let failed = mapped.is_err();
            if out.send(mapped).is_err() || failed {
                return;
            }
        }
        if table_open {
            let _ = out.send(self.finish().map(|records| Mapped::Records(Box::new(records))));
        }
    }

    fn map(
        &mut self,
        step: Decoded,
        table_open: &mut bool,
        out: &SyncSender<Result<Mapped, Failure>>,
    ) -> Result<Mapped, Failure> {
        match step {
            Decoded::Table(head, mended, wanted) => {
                if std::mem::replace(table_open, true) {
                    let held_back = self.finish()?;
                    self.table += 1;
                    // A closed channel shows at the caller's own send.
                    let _ = out.send(Ok(Mapped::Records(Box::new(held_back))));
                }
                let table = self.open(head, mended)?;
                let _ = wanted.send(table.wanted());
                Ok(Mapped::Table(table))
            }
            Decoded::Batch(batch) => {
                let mut parts = self.rows.poisonous.parts(self.table, *batch).into_iter().peekable();
                let mut records = Records::default();
                while let Some(part) = parts.next() {
                    records = self.map_part(part)?;
                    if parts.peek().is_some() {
                        let _ = out.send(Ok(Mapped::Records(Box::new(std::mem::take(&mut records)))));
                    }
                }
                Ok(Mapped::Records(Box::new(records)))
            }
        }
    }

    fn map_part(&mut self, part: Part) -> Result<Records, Failure> {
        let (batch, is_mapped) = match part {
            Part::Mapped(batch) => (batch, true),
            Part::Rejected(batch) => (batch, false),
        };
        let table = Table { table: self.table, source: &self.source, header: &self.header };
        let fields = self.fields.as_mut().filter(|_| is_mapped);
        let usage = self.usage.as_mut().filter(|_| is_mapped);
        Ok(Records {
            origins: self.mended.and_then(|columns| origins_of(&batch, columns)).cloned(),
            accounts: fields.map(|mapper| mapper.map(&batch, &table)).transpose()?,
            usage: usage.map(|mapper| mapper.map(&batch, &table)).transpose()?,
            decoder: Some(batch.issues),
            lines: batch.lines,
        })
    }

    fn open(&mut self, mut head: TableHead, mended: Option<MendedColumns>) -> Result<OpenedTable, Failure> {
        self.rows.whose.check(self.object, mended)?;
        self.mended = mended;
        if let Some(columns) = mended {
            head.header.truncate(columns.original);
        }
        match self.rows.whose.as_mapped() {
            Some((_, sheet)) => self.source.sheet = sheet.map(str::to_owned),
            None => self.source.sheet.clone_from(&head.sheet),
        }
        self.header.clone_from(&head.header);
        let Self { recipe, source, fields, usage, .. } = self;
        let of = Table { table: self.table, source, header: &head.header };
        let mut accounts = fields.as_mut().map(|mapper| mapper.open(&of)).transpose()?;
        if let Some(layout) = &mut accounts {
            recipe.account_fields.apply(layout)?;
        }
        let usage = usage.as_mut().map(|mapper| mapper.open(&of)).transpose()?;
        let table = OpenedTable { head, accounts, usage };
        match table
            .wanted()
            .into_iter()
            .filter_map(|index| table.head.header.get(index as usize))
            .find(|name| table.head.duplicates.contains(name))
        {
            Some(column) => Err(Failure::DuplicateColumn { column: column.clone() }),
            None => Ok(table),
        }
    }

    fn finish(&mut self) -> Result<Records, Failure> {
        let of = Table { table: self.table, source: &self.source, header: &self.header };
        Ok(Records {
            accounts: self.fields.as_mut().map(|mapper| mapper.finish(&of)).transpose()?,
            usage: self.usage.as_mut().map(|mapper| mapper.finish(&of)).transpose()?,
            ..Records::default()
        })
    }
}

impl OpenedTable {
    /// The header indices that either transform reads, sorted.
    pub fn wanted(&self) -> Vec<u32> {
        let accounts = self.accounts.iter().flat_map(|layout| &layout.wanted);
        let usage = self.usage.iter().flat_map(|layout| &layout.wanted);
        let mut wanted: Vec<u32> = accounts.chain(usage).copied().collect();
        wanted.sort_unstable();
        wanted.dedup();
        wanted
    }
}

struct Stage<'a> {
    staging: &'a mut dyn Intake,
    whose: &'a Rows,
    progress: &'a Progress,
    beat: Beat,
    transformed: Transformed,
    /// Rejected rows of the batch in hand, sorted; kept for its memory.
    rejected: Vec<u32>,
    /// Rows of the open table that are left out because they were mended, sorted.
    left_out: Vec<u32>,
    /// The table-wide row after the last one staged; a reject below it came late.
    staged_to: u32,
}

impl<'a> Stage<'a> {
    fn new(staging: &'a mut dyn Intake, whose: &'a Rows, issues: IssueLog, progress: &'a Progress, beat: Beat) -> Self {
        let transformed = Transformed { rows: RowCounts::default(), issues, tables: Vec::new() };
        Self { staging, whose, progress, beat, transformed, rejected: Vec::new(), left_out: Vec::new(), staged_to: 0 }
    }

    fn stage_all(mut self, mapped: Receiver<Result<Mapped, Failure>>, mut pace: Pace) -> Result<Transformed, Failure> {
        for step in mapped {
            pace.look();
            match step? {
                Mapped::Table(table) => {
                    self.staging.open_table(table.accounts.as_ref(), table.usage.as_ref())?;
                    self.staged_to = 0;
                    self.left_out.clear();
                    self.transformed.tables.push(table);
                }
                Mapped::Records(records) => self.stage(&records)?,
            }
        }
        Ok(self.transformed)
    }

    /// A row rejected by the decoder or by either transform is rejected in both (R10).
    fn stage(&mut self, records: &Records) -> Result<(), Failure> {
        self.leave_out_mended(&records.lines);
        let issues = [
            records.decoder.as_ref(),
            records.accounts.as_ref().map(|batch| &batch.issues),
            records.usage.as_ref().map(|batch| &batch.issues),
        ];
        let issues: Vec<&Issues> = issues.into_iter().flatten().filter(|issues| !issues.is_empty()).collect();
        self.rejected.clear();
        self.rejected.extend(issues.iter().flat_map(|issues| issues.rejected_rows()));
        self.rejected.retain(|row| self.left_out.binary_search(row).is_err());
        self.rejected.sort_unstable();
        self.rejected.dedup();
        let table = self.transformed.tables.len().saturating_sub(1) as u32;
        for issues in issues {
            self.transformed.issues.push(table, issues, &self.left_out)?;
        }
        self.transformed.rows.rejected += self.rejected.len() as u64;
        for row in self.rejected.iter().filter(|row| **row < self.staged_to) {
            self.staging.reject_row(*row)?;
        }
        if let (Rows::Mended { origin, .. }, Some(origins)) = (self.whose, &records.origins) {
            let rows = mended_rows(origin, self.staged_to, &records.lines, origins, &self.rejected)?;
            self.staging.mends(&rows)?;
        }
        if !self.left_out.is_empty() {
            self.rejected.extend_from_slice(&self.left_out);
            self.rejected.sort_unstable();
        }
        if let Some(accounts) = &records.accounts {
            self.staging.accounts(accounts, &self.rejected)?;
        }
        if let Some(usage) = &records.usage {
            self.staging.usage(usage, &self.rejected)?;
        }
        let rows = records.lines.len() as u64;
        self.staged_to += rows as u32;
        self.transformed.rows.read += rows;
        self.progress.add_rows(rows);
        self.beat.beat();
        Ok(())
    }

    /// Notes those of the next rows in whose place mended ones came.
    fn leave_out_mended(&mut self, lines: &[u64]) {
        let sheet = self.transformed.tables.last().map(|table| &table.head.sheet);
        let Some(mended) = sheet.and_then(|sheet| self.whose.left_out_of(sheet)) else { return };
        let rows = (self.staged_to..).zip(lines).filter(|(_, line)| mended.contains(line));
        self.left_out.extend(rows.map(|(row, _)| row));
    }
}
