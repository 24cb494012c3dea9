//! Product usage: rows to usage records, a column for each metric or a row for each.
//!
//! Blocks of the settings that share date, period and user become one *group*, and a row makes one entry in each group in
//! which it has a value. As in field mapping, columns are read whole, and what is lost is left out when entries are made:
//! a row that is rejected in one group is rejected in all. Where a column names the product or the metric, the block is a
//! group of its own, and its series are announced as they turn up.

mod by_row;
mod find;

use crate::Fault;
use crate::calendar::{is_day, period_start};
use crate::cell::{Blame, Dates, RowLog, ValueType, is_blank, quote, read_dates};
use crate::columns::{Batch, Cells, Column, Issues, Text, TextColumn, Validity};
use crate::fields::FileInfo;
use crate::header::{Lookup, Wanted};
use crate::identify::Identify;
use crate::plan::{DayBounds, Plan};
use crate::settings::{Aggregate, Match, Period, Repeat, UserKey, Weekday};
use crate::shaped::MappedColumn;
use by_row::ByRow;

/// Makes usage records of one table. Settings without usage make none.
#[derive(Debug)]
pub struct UsageMapper {
    layout: Layout,
    notices: Vec<String>,
    /// None when there are no metrics.
    identify: Option<Identify>,
    wanted: Wanted,
    groups: Vec<Group>,
    series: Announced,
}

/// The series of a table, numbered in the order in which they are announced.
#[derive(Debug, Default)]
struct Announced {
    count: u32,
    /// Those that no batch has announced yet.
    pending: Vec<Series>,
}

/// Series of one table; the host takes no more.
const MOST_SERIES: u32 = 65_536;

impl Announced {
    fn add(&mut self, series: Series) -> Result<u32, Fault> {
        if self.count == MOST_SERIES {
            let message = format!("the table has more than {MOST_SERIES} products and metrics");
            return Err(Fault::new("too_many_series", message));
        }
        self.pending.push(series);
        self.count += 1;
        Ok(self.count - 1)
    }
}

/// What the mapper wants of a table and how its records name their account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Header indices, rising.
    pub wanted: Vec<u32>,
    /// Strategies, tried in order, each with what its columns are compared with.
    pub identifiers: Vec<Vec<Match>>,
    /// What tells users apart, where usage is kept by user.
    pub user: Option<UserKey>,
}

/// One product's metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    /// The product's name.
    pub product: String,
    /// The metric's key.
    pub metric: String,
    /// The unit, where there is one.
    pub unit: Option<String>,
    /// The type of its values.
    pub value_type: ValueType,
    /// How values become one.
    pub aggregate: Aggregate,
    /// The span of time.
    pub period: Period,
    /// What several objects' values for one period come to.
    pub repeat: Repeat,
}

/// Usage records. Entries say who and when, blocks say what.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct UsageBatch {
    /// The table-wide input row of each entry.
    pub rows: Vec<u32>,
    /// The strategies' columns, flattened in order, one value an entry.
    pub identifiers: Vec<TextColumn>,
    /// The user of each entry, where the layout has a key for users; none for usage of the account itself.
    pub user: Option<TextColumn>,
    /// The rows' own dates, days since 1970-01-01; where they have none, the period's first day.
    pub dates: Vec<i32>,
    /// The period's first day.
    pub period_starts: Vec<i32>,
    /// New series. They are numbered over the whole table. Those that the settings name come with the first batch.
    pub announced: Vec<Series>,
    /// The values, one block a series at most.
    pub blocks: Vec<ValueBlock>,
    /// What is wrong with rows of this batch.
    pub issues: Issues,
}

/// Values of one series.
#[derive(Debug, Clone, PartialEq)]
pub struct ValueBlock {
    /// For each value the entry of its batch.
    pub entry_of: Vec<u32>,
    /// For each value its series.
    pub series_of: Vec<u32>,
    /// The values; none is missing.
    pub values: Column,
}

/// Metrics that share their entries.
#[derive(Debug)]
struct Group {
    when: When,
    period: Period,
    week_start: Weekday,
    /// The object's day in the time zone of the blocks.
    today: i32,
    bounds: DayBounds,
    /// The header index of the user's column.
    user: Option<u32>,
    metrics: Vec<MappedMetric>,
    /// Where a column names the product or the metric.
    by_row: Option<ByRow>,
}

/// Where a group's dates come from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum When {
    /// One date for the whole table, and the first day of its period.
    Fixed(i32, i32),
    Column {
        header: u32,
        dates: Dates,
    },
}

#[derive(Debug)]
struct MappedMetric {
    column: MappedColumn,
    /// Its series, where no column names it.
    series: u32,
}

/// What was read of one group, a place for every row of the batch.
struct GroupColumns {
    /// None: the group's fixed date.
    dates: Option<Vec<i32>>,
    metrics: Vec<Column>,
    /// The series of each row and metric, row by row, where a column names them.
    series: Option<Vec<u32>>,
}

impl UsageMapper {
    /// Begins a table. `settings` is JSON.
    ///
    /// # Errors
    /// The first fault of the settings, `missing_column`, `duplicate_column`, `no_match` or `bad_date` where the key holds
    /// no date, or `bad_source` when the object's day lies outside the years 1 to 9999.
    pub fn open(file: FileInfo<'_>, header: &[String], settings: &str) -> Result<Self, Fault> {
        let Plan { identifiers, on_blank_identifier, usage, .. } = crate::plan::first_fault(settings)?;
        day_of_file(file.today)?;
        let mut lookup = Lookup::new(header);
        let keys = crate::plan::keys_of(&identifiers);
        let identify =
            if usage.is_empty() { None } else { Some(Identify::find(identifiers, on_blank_identifier, &mut lookup)) };
        let identifier_headers: Vec<u32> = identify.iter().flat_map(Identify::headers).collect();
        let user = usage.iter().find_map(|block| Some(block.user.as_ref()?.1));
        let mut groups: Vec<Group> = Vec::new();
        let mut series = Announced::default();
        for block in usage {
            if let Some(group) = Group::find(block, file, header, &identifier_headers, &mut lookup, &mut series)? {
                let joins = |other: &&mut Group| other.joins(&group);
                match groups.iter_mut().find(joins) {
                    Some(other) => other.metrics.extend(group.metrics),
                    None => groups.push(group),
                }
            }
        }
        let notices = lookup.finish()?;

        groups.retain(|group| !group.metrics.is_empty());
        let headers = groups.iter().flat_map(Group::headers);
        let wanted = Wanted::new(headers.chain(identifier_headers));
        let identifiers = identify.as_ref().map_or(keys, Identify::layout);
        let layout = Layout { wanted: wanted.headers().to_vec(), identifiers, user };
        Ok(Self { layout, notices, identify, wanted, groups, series })
    }

    /// What the mapper wants and how its records name their account.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Warnings about the table as a whole, as fragments.
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// Maps one batch.
    ///
    /// # Errors
    /// `bad_batch` when the batch has not the columns that the layout wants.
    pub fn map_batch(&mut self, batch: &Batch<'_>) -> Result<UsageBatch, Fault> {
        batch.expect_columns(self.wanted.headers().len())?;
        let Some(identify) = &mut self.identify else {
            return Ok(self.finish());
        };
        let mut log = RowLog::new(batch.first_row(), batch.rows() as usize);
        let identifiers = identify.read(batch, &self.wanted, &mut log);

        let Self { groups, wanted, series, .. } = self;
        let mut read = Vec::with_capacity(groups.len());
        for group in groups.iter_mut() {
            read.push(group.read(batch, wanted, series, &mut log)?);
        }
        let mut output = UsageBatch { announced: std::mem::take(&mut series.pending), ..UsageBatch::default() };
        let mut kept_of_groups = Vec::new();
        for (group, columns) in groups.iter().zip(read) {
            kept_of_groups.push(append_entries(group, columns, batch.rows(), &log, &mut output));
        }
        if self.layout.user.is_some() {
            let cells = |group: &Group| group.user.map(|header| batch.columns()[wanted.slot(header)]);
            let cells: Vec<Option<Cells<'_>>> = groups.iter().map(cells).collect();
            output.user = Some(users(&cells, &kept_of_groups));
        }
        output.identifiers = for_entries(identifiers, &kept_of_groups, batch.rows());
        output.issues = log.finish()?;
        Ok(output)
    }

    /// Ends the table. Nothing is ever held back, so the batch has no entries; it announces the series of a table that had
    /// no batch.
    pub fn finish(&mut self) -> UsageBatch {
        UsageBatch {
            announced: std::mem::take(&mut self.series.pending),
            identifiers: self.layout.identifiers.iter().flatten().map(|_| TextColumn::default()).collect(),
            user: self.layout.user.map(|_| TextColumn::default()),
            ..UsageBatch::default()
        }
    }
}

impl Group {
    /// Whether the metrics of another group can share this one's entries.
    fn joins(&self, other: &Self) -> bool {
        let key = |group: &Self| (group.period, group.week_start, group.today, group.bounds, group.user);
        self.by_row.is_none() && other.by_row.is_none() && self.when == other.when && key(self) == key(other)
    }

    /// The header indices that it reads.
    fn headers(&self) -> Vec<u32> {
        let mut headers: Vec<u32> = self.metrics.iter().flat_map(|metric| metric.column.headers()).collect();
        headers.extend(self.user);
        headers.extend(self.by_row.iter().flat_map(ByRow::headers));
        if let When::Column { header, .. } = self.when {
            headers.push(header);
        }
        headers
    }

    fn read(
        &mut self,
        batch: &Batch<'_>,
        wanted: &Wanted,
        announced: &mut Announced,
        log: &mut RowLog,
    ) -> Result<GroupColumns, Fault> {
        let cells = |header: u32| &batch.columns()[wanted.slot(header)];
        log.mute(self.by_row.as_mut().map(|by_row| by_row.skipped(batch, wanted)).unwrap_or_default());
        let mut metrics: Vec<Column> =
            self.metrics.iter_mut().map(|metric| metric.column.read(batch, wanted, log).column).collect();
        // First what may leave values out, so that nothing more is asked of them.
        let series = match &mut self.by_row {
            None => None,
            Some(by_row) => Some(by_row.read(batch, wanted, &mut metrics, announced, log)?),
        };
        let dates = match &self.when {
            When::Fixed(..) => None,
            When::Column { header, dates } => {
                let (dates, validity) = read_dates(dates, cells(*header), Blame::Column(*header), log);
                if validity.is_some() {
                    reject_missing(
                        cells(*header),
                        *header,
                        &metrics,
                        log,
                        "blank_date",
                        "the row has values and no date, so they belong to no period",
                    );
                }
                if self.bounds != DayBounds::default() {
                    self.reject_outside(&dates, cells(*header), *header, &metrics, log);
                }
                Some(dates)
            }
        };
        if let Some(header) = self.user {
            reject_missing(
                cells(header),
                header,
                &metrics,
                log,
                "blank_user",
                "the row has values and no user, so they belong to nobody",
            );
        }
        log.mute(Vec::new());
        Ok(GroupColumns { dates, metrics, series })
    }

    fn reject_outside(&self, dates: &[i32], cells: &Cells<'_>, header: u32, metrics: &[Column], log: &mut RowLog) {
        for (row, (date, cell)) in dates.iter().zip(cells.iter()).enumerate() {
            if is_blank(cell) || log.is_lost(row) || !metrics.iter().any(|metric| metric.has_value(row)) {
                continue;
            }
            if let Some((code, what)) = outside(*date, self.today, self.bounds) {
                log.reject(row, header, code, |bytes| {
                    quote(cell, bytes);
                    bytes.push(b' ');
                    bytes.extend_from_slice(what.as_bytes());
                });
            }
        }
    }
}

/// A day that a file was last modified on, if it is one of the calendar.
fn day_of_file(day: i32) -> Result<i32, Fault> {
    if is_day(day) {
        return Ok(day);
    }
    Err(Fault::new("bad_source", format!("`today` is `{day}`, which is no day of the years 1 to 9999")))
}

/// What is wrong with a day that lies too far from the object's.
fn outside(day: i32, today: i32, bounds: DayBounds) -> Option<(&'static str, String)> {
    let from_today = i64::from(day) - i64::from(today);
    match bounds {
        DayBounds { ahead: Some(ahead), .. } if from_today > i64::from(ahead) => {
            Some(("date_too_late", format!("lies more than {ahead} days after the day of the file")))
        }
        DayBounds { back: Some(back), .. } if -from_today > i64::from(back) => {
            Some(("date_too_early", format!("lies more than {back} days before the day of the file")))
        }
        _ => None,
    }
}

/// The users of entries, group by group.
fn users(cells: &[Option<Cells<'_>>], kept: &[Vec<u32>]) -> TextColumn {
    let entries = kept.iter().map(Vec::len).sum();
    let mut text = Text::with_capacity(entries, 0);
    let mut validity = Validity::all(entries);
    for (cells, rows) in cells.iter().zip(kept) {
        for row in rows {
            match cells {
                Some(cells) => text.push(cells.get(*row as usize).trim_ascii()),
                None => {
                    validity.clear(text.len());
                    text.push(b"");
                }
            }
        }
    }
    TextColumn { text, validity: validity.into_bits() }
}

/// A row with values and a blank date or user is rejected: any that was given to it would be a guess.
fn reject_missing(
    cells: &Cells<'_>,
    header: u32,
    metrics: &[Column],
    log: &mut RowLog,
    code: &'static str,
    message: &'static str,
) {
    for (row, cell) in cells.iter().enumerate() {
        if is_blank(cell) && metrics.iter().any(|metric| metric.has_value(row)) {
            log.reject(row, header, code, |bytes| bytes.extend_from_slice(message.as_bytes()));
        }
    }
}

/// The identifiers of entries: of the rows that each group has entries for, one group after the other.
fn for_entries(identifiers: Vec<TextColumn>, kept: &[Vec<u32>], rows: u32) -> Vec<TextColumn> {
    match kept {
        // Every row in its order, which is how the identifiers stand there.
        [only] if only.len() == rows as usize => identifiers,
        [only] => identifiers.iter().map(|column| column.keep(only)).collect(),
        several => {
            let all = several.concat();
            identifiers.iter().map(|column| column.keep(&all)).collect()
        }
    }
}

/// Appends an entry for every row that is not lost and has a value, and the values. Gives the rows of the entries.
fn append_entries(group: &Group, columns: GroupColumns, rows: u32, log: &RowLog, output: &mut UsageBatch) -> Vec<u32> {
    let rows = rows as usize;
    let first_entry = output.rows.len() as u32;
    let every_row_has_a_value = columns.metrics.iter().any(|metric| metric.validity.is_none());
    let is_whole = every_row_has_a_value && log.is_whole();
    let has_entry = |row: usize| {
        !log.is_lost(row) && (every_row_has_a_value || columns.metrics.iter().any(|metric| metric.has_value(row)))
    };
    let kept: Vec<u32> = if is_whole {
        (0..rows as u32).collect()
    } else {
        (0..rows as u32).filter(|row| has_entry(*row as usize)).collect()
    };

    output.rows.extend(kept.iter().map(|row| log.number(*row as usize)));
    match (columns.dates, &group.when) {
        (Some(dates), _) => {
            // Rows of one date mostly come together.
            let mut last = None;
            for row in &kept {
                let date = dates[*row as usize];
                let start = match last {
                    Some((known, start)) if known == date => start,
                    _ => period_start(date, group.period, group.week_start),
                };
                last = Some((date, start));
                output.dates.push(date);
                output.period_starts.push(start);
            }
        }
        (None, When::Fixed(date, start)) => {
            output.dates.resize(output.rows.len(), *date);
            output.period_starts.resize(output.rows.len(), *start);
        }
        (None, When::Column { .. }) => {}
    }

    let count = group.metrics.len();
    for (place, (metric, column)) in group.metrics.iter().zip(columns.metrics).enumerate() {
        let series_of_row = |row: u32| match &columns.series {
            None => metric.series,
            Some(series) => series[row as usize * count + place],
        };
        let (entry_of, value_rows, values) = match is_whole && column.validity.is_none() {
            true => ((first_entry..).take(rows).collect::<Vec<u32>>(), (0..rows as u32).collect(), column),
            false => {
                let has_value = |(_, row): &(u32, &u32)| column.has_value(**row as usize);
                let (entry_of, value_rows): (Vec<u32>, Vec<u32>) =
                    (first_entry..).zip(&kept).filter(has_value).map(|(entry, row)| (entry, *row)).unzip();
                let values = Column { values: column.keep(&value_rows).values, validity: None };
                (entry_of, value_rows, values)
            }
        };
        if !entry_of.is_empty() {
            let series_of = value_rows.iter().map(|row: &u32| series_of_row(*row)).collect();
            output.blocks.push(ValueBlock { entry_of, series_of, values });
        }
    }
    kept
}

#[cfg(test)]
mod tests;
