//! Product usage: rows to usage records, a column for each metric.
//!
//! Blocks of the settings that share date and period become one *group*, and a row makes one entry in each group in which
//! it has a value. As in field mapping, columns are read whole, and what is lost is left out when entries are made: a
//! row that is rejected in one group is rejected in all.

use crate::Fault;
use crate::calendar::{automatic_date, is_day, period_start};
use crate::cell::{Blame, Dates, Reader, RowLog, ValueType, is_blank, read_dates};
use crate::columns::{Batch, Cells, Column, Issues, TextColumn};
use crate::header::{Lookup, Wanted};
use crate::identify::Identify;
use crate::plan::{MetricPlan, Plan};
use crate::settings::{Aggregate, Match, Period, Weekday};

/// Makes usage records of one table. Settings without usage make none.
#[derive(Debug)]
pub struct UsageMapper {
    layout: Layout,
    notices: Vec<String>,
    /// None when there are no metrics.
    identify: Option<Identify>,
    wanted: Wanted,
    groups: Vec<Group>,
    /// The series, until the first batch announces them.
    unannounced: Vec<Series>,
}

/// What the mapper wants of a table and how its records name their account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Header indices, rising.
    pub wanted: Vec<u32>,
    /// Strategies, tried in order, each with what its columns are compared with.
    pub identifiers: Vec<Vec<Match>>,
}

/// One product's metric. When several objects bring a value for one period, the newest object's counts.
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
}

/// Usage records. Entries say who and when, blocks say what.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct UsageBatch {
    /// The table-wide input row of each entry.
    pub rows: Vec<u32>,
    /// The strategies' columns, flattened in order, one value an entry.
    pub identifiers: Vec<TextColumn>,
    /// The rows' own dates, days since 1970-01-01; where they have none, the period's first day.
    pub dates: Vec<i32>,
    /// The period's first day.
    pub period_starts: Vec<i32>,
    /// New series. They are numbered over the whole table; all come with the first batch.
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

/// Metrics that share date and period, and so their entries.
#[derive(Debug)]
struct Group {
    when: When,
    period: Period,
    week_start: Weekday,
    metrics: Vec<MappedMetric>,
}

/// Where a group's dates come from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum When {
    /// One date for the whole table.
    Fixed(i32),
    Column {
        header: u32,
        dates: Dates,
    },
}

#[derive(Debug)]
struct MappedMetric {
    header: u32,
    series: u32,
    reader: Reader,
}

/// What was read of one group, a place for every row of the batch.
struct GroupColumns {
    /// None: the group's fixed date.
    dates: Option<Vec<i32>>,
    metrics: Vec<Column>,
}

impl UsageMapper {
    /// Begins a table. `today` is the object's date in days since 1970-01-01, `settings` is JSON.
    ///
    /// # Errors
    /// The first fault of the settings, `missing_column`, `duplicate_column`, or `bad_source` when `today` lies outside
    /// the years 1 to 9999.
    pub fn open(today: i32, header: &[String], settings: &str) -> Result<Self, Fault> {
        let Plan { identifiers, on_blank_identifier, usage, .. } = crate::plan::first_fault(settings)?;
        if !is_day(today) {
            return Err(Fault::new(
                "bad_source",
                format!("`today` is `{today}`, which is no day of the years 1 to 9999"),
            ));
        }
        let mut lookup = Lookup::new(header);
        let keys = crate::plan::keys_of(&identifiers);
        let identify =
            if usage.is_empty() { None } else { Some(Identify::find(identifiers, on_blank_identifier, &mut lookup)) };
        let mut groups: Vec<Group> = Vec::new();
        let mut announced = Vec::new();
        for block in usage {
            let when = match block.date {
                None => Some(When::Fixed(automatic_date(today, block.period, block.week_start))),
                Some(date) => lookup.find(&date.column).map(|header| When::Column { header, dates: date.dates }),
            };
            let mut metrics = Vec::new();
            for metric in block.metrics {
                let Some(header) = lookup.find(&metric.column) else {
                    continue;
                };
                metrics.push(MappedMetric { header, series: announced.len() as u32, reader: metric.reading.reader.clone() });
                announced.push(series(&block.product, block.period, metric));
            }
            // Without its date column the table fails, once every missing column is known.
            let Some(when) = when else { continue };
            let (period, week_start) = (block.period, block.week_start);
            let same =
                |group: &&mut Group| (&group.when, group.period, group.week_start) == (&when, period, week_start);
            match groups.iter_mut().find(same) {
                Some(group) => group.metrics.append(&mut metrics),
                None => groups.push(Group { when, period, week_start, metrics }),
            }
        }
        let notices = lookup.finish()?;

        groups.retain(|group| !group.metrics.is_empty());
        let date_headers = groups.iter().filter_map(|group| match group.when {
            When::Column { header, .. } => Some(header),
            When::Fixed(_) => None,
        });
        let metric_headers = groups.iter().flat_map(|group| &group.metrics).map(|metric| metric.header);
        let wanted = Wanted::new(metric_headers.chain(date_headers).chain(identify.iter().flat_map(Identify::headers)));
        let identifiers = identify.as_ref().map_or(keys, Identify::layout);
        let layout = Layout { wanted: wanted.headers().to_vec(), identifiers };
        Ok(Self { layout, notices, identify, wanted, groups, unannounced: announced })
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

        let read: Vec<GroupColumns> = self.groups.iter().map(|group| self.read(group, batch, &mut log)).collect();
        let announced = std::mem::take(&mut self.unannounced);
        let mut output = UsageBatch { announced, ..UsageBatch::default() };
        let mut kept_of_groups = Vec::new();
        for (group, columns) in self.groups.iter().zip(read) {
            kept_of_groups.push(append_entries(group, columns, batch.rows(), &log, &mut output));
        }
        output.identifiers = for_entries(identifiers, &kept_of_groups, batch.rows());
        output.issues = log.finish()?;
        Ok(output)
    }

    /// Ends the table. Nothing is ever held back, so the batch has no entries; it announces the series of a table that had
    /// no batch.
    pub fn finish(&mut self) -> UsageBatch {
        UsageBatch {
            announced: std::mem::take(&mut self.unannounced),
            identifiers: self.layout.identifiers.iter().flatten().map(|_| TextColumn::default()).collect(),
            ..UsageBatch::default()
        }
    }

    fn read(&self, group: &Group, batch: &Batch<'_>, log: &mut RowLog) -> GroupColumns {
        let cells = |header: u32| &batch.columns()[self.wanted.slot(header)];
        let read_metric = |metric: &MappedMetric| metric.reader.read(cells(metric.header), Blame::Column(metric.header), log);
        let metrics: Vec<Column> = group.metrics.iter().map(read_metric).collect();
        let dates = match &group.when {
            When::Fixed(_) => None,
            When::Column { header, dates } => {
                let (dates, validity) = read_dates(dates, cells(*header), Blame::Column(*header), log);
                if validity.is_some() {
                    reject_missing_dates(cells(*header), *header, &metrics, log);
                }
                Some(dates)
            }
        };
        GroupColumns { dates, metrics }
    }
}

fn series(product: &str, period: Period, metric: MetricPlan) -> Series {
    Series {
        product: product.to_owned(),
        metric: metric.metric,
        unit: metric.unit,
        value_type: metric.reading.reader.value_type(),
        aggregate: metric.aggregate,
        period,
    }
}

/// A row with values and a blank date is rejected: any date given to it would be a guess.
fn reject_missing_dates(dates: &Cells<'_>, header: u32, metrics: &[Column], log: &mut RowLog) {
    for (row, cell) in dates.iter().enumerate() {
        if is_blank(cell) && metrics.iter().any(|metric| metric.has_value(row)) {
            let message = "the row has values and no date, so they belong to no period";
            log.reject(row, header, "blank_date", |bytes| bytes.extend_from_slice(message.as_bytes()));
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
fn append_entries(
    group: &Group,
    columns: GroupColumns,
    rows: u32,
    log: &RowLog,
    output: &mut UsageBatch,
) -> Vec<u32> {
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
        (None, When::Fixed(date)) => {
            output.dates.resize(output.rows.len(), *date);
            output.period_starts.resize(output.rows.len(), *date);
        }
        (None, When::Column { .. }) => {}
    }

    for (metric, column) in group.metrics.iter().zip(columns.metrics) {
        let (entry_of, values) = match is_whole && column.validity.is_none() {
            true => ((first_entry..).take(rows).collect(), column),
            false => {
                let has_value = |(_, row): &(u32, &u32)| column.has_value(**row as usize);
                let (entry_of, value_rows): (Vec<u32>, Vec<u32>) =
                    (first_entry..).zip(&kept).filter(has_value).map(|(entry, row)| (entry, *row)).unzip();
                (entry_of, Column { values: column.keep(&value_rows).values, validity: None })
            }
        };
        if !entry_of.is_empty() {
            let series_of = vec![metric.series; entry_of.len()];
            output.blocks.push(ValueBlock { entry_of, series_of, values });
        }
    }
    kept
}

#[cfg(test)]
mod tests;
