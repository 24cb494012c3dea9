//! Product usage: rows to usage records, a column for each metric or a row for each.
//!
//! Blocks of the settings that share date, period and user become one *group*, and a row makes one entry in each group in
//! which it has a value. As in field mapping, columns are read whole, and what is lost is left out when entries are made:
//! a row that is rejected in one group is rejected in all. Where a column names the product or the metric, the block is a
//! group of its own, and its series are announced as they turn up.

mod by_row;

use crate::Fault;
use crate::calendar::{automatic_date, is_day, period_start};
use crate::cell::{Blame, Dates, RowLog, ValueType, is_blank, quote, quoted, read_dates};
use crate::columns::{Batch, Cells, Column, Issues, Text, TextColumn, Validity};
use crate::fields::FileInfo;
use crate::header::{Lookup, Wanted};
use crate::identify::Identify;
use crate::plan::{
    DateFrom, DayBounds, LongPlan, MetricColumns, MetricPlan, Plan, Presence, ProductPlan, Reading, UsagePlan, ValuesPlan,
};
use crate::settings::{Aggregate, Match, Period, Repeat, UserKey, Weekday};
use crate::shaped::{MappedColumn, Source};
use by_row::{ByRow, Names};

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
    today: i32,
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
        let today = file.today;
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
        Ok(Self { layout, notices, identify, wanted, groups, series, today })
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
            read.push(group.read(batch, wanted, self.today, series, &mut log)?);
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
    /// Finds the columns of a block. None when its date or another column that it cannot do without is missing, which the
    /// lookup keeps.
    fn find(
        block: UsagePlan,
        file: FileInfo<'_>,
        header: &[String],
        identifiers: &[u32],
        lookup: &mut Lookup<'_>,
        announced: &mut Announced,
    ) -> Result<Option<Self>, Fault> {
        let UsagePlan { product, period, week_start, date, bounds, user, repeat, values } = block;
        let when = match date {
            None => {
                let date = automatic_date(file.today, period, week_start);
                Some(When::Fixed(date, date))
            }
            Some(date) => match date.from {
                DateFrom::Column(column) => {
                    lookup.find(&column).map(|header| When::Column { header, dates: date.dates })
                }
                DateFrom::Key(mut pattern, path) => {
                    let day = date_of_key(file.key, pattern.take(file.key), &date.dates, &path)?;
                    if let Some((code, what)) = outside(day, file.today, bounds) {
                        return Err(Fault::new(code, format!("the date in the key {} {what}", quoted(file.key))));
                    }
                    Some(When::Fixed(day, period_start(day, period, week_start)))
                }
            },
        };
        let user = match user {
            None => Some(None),
            Some((column, _)) => lookup.find(&column).map(Some),
        };
        let product = match product {
            ProductPlan::Name(name) => Some((name, None)),
            ProductPlan::Column(column, known) => {
                lookup.find(&column).map(|header| (String::new(), Some(Names::new(header, known, "product"))))
            }
        };
        let named: Vec<u32> = identifiers
            .iter()
            .copied()
            .chain(user.flatten())
            .chain(product.iter().filter_map(|(_, names)| Some(names.as_ref()?.header())))
            .chain(when.iter().filter_map(|when| match when {
                When::Column { header, .. } => Some(*header),
                When::Fixed(..) => None,
            }))
            .collect();
        let fixed_product = product.as_ref().map(|(name, _)| name.clone()).unwrap_or_default();
        let series = |metric: String, unit: Option<String>, aggregate: Aggregate, value_type: ValueType| Series {
            product: fixed_product.clone(),
            metric,
            unit,
            value_type,
            aggregate,
            period,
            repeat,
        };
        let mut metrics: Vec<(MappedColumn, Series)> = Vec::new();
        let mut long_names = None;
        match values {
            ValuesPlan::Wide(plans) => {
                let found = find_metrics(plans, header, named, lookup)?;
                metrics.extend(found.into_iter().map(|(column, metric, unit, aggregate)| {
                    let value_type = column.reader().value_type();
                    (column, series(metric, unit, aggregate, value_type))
                }));
            }
            ValuesPlan::Long(long) => {
                let LongPlan { metric, value, unit, aggregate, reading, known } = *long;
                let (metric, value) = (lookup.find(&metric), lookup.find(&value));
                let unit = unit.map(|unit| lookup.find(&unit));
                if let (Some(metric), Some(value), Some(unit)) = (metric, value, unit.map_or(Some(None), |unit| unit.map(Some))) {
                    let column = map(reading, value, lookup);
                    let value_type = column.reader().value_type();
                    metrics.push((column, series(String::new(), None, aggregate, value_type)));
                    long_names = Some((Names::new(metric, known, "metric"), unit));
                }
            }
        }
        let (Some(when), Some(user), Some((_, product_names))) = (when, user, product) else {
            return Ok(None);
        };
        let (columns, prototypes): (Vec<MappedColumn>, Vec<Series>) = metrics.into_iter().unzip();
        let mut group = Self { when, period, week_start, bounds, user, metrics: Vec::new(), by_row: None };
        if product_names.is_some() || long_names.is_some() {
            group.metrics.extend(columns.into_iter().map(|column| MappedMetric { column, series: u32::MAX }));
            group.by_row = Some(ByRow::new(product_names, long_names, prototypes));
        } else {
            for (column, series) in columns.into_iter().zip(prototypes) {
                group.metrics.push(MappedMetric { column, series: announced.add(series)? });
            }
        }
        Ok(Some(group))
    }

    /// Whether the metrics of another group can share this one's entries.
    fn joins(&self, other: &Self) -> bool {
        let key = |group: &Self| (group.period, group.week_start, group.bounds, group.user);
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
        today: i32,
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
                    reject_missing(cells(*header), *header, &metrics, log, "blank_date", "the row has values and no date, so they belong to no period");
                }
                if self.bounds != DayBounds::default() {
                    self.reject_outside(&dates, cells(*header), *header, today, &metrics, log);
                }
                Some(dates)
            }
        };
        if let Some(header) = self.user {
            reject_missing(cells(header), header, &metrics, log, "blank_user", "the row has values and no user, so they belong to nobody");
        }
        log.mute(Vec::new());
        Ok(GroupColumns { dates, metrics, series })
    }

    fn reject_outside(
        &self,
        dates: &[i32],
        cells: &Cells<'_>,
        header: u32,
        today: i32,
        metrics: &[Column],
        log: &mut RowLog,
    ) {
        for (row, (date, cell)) in dates.iter().zip(cells.iter()).enumerate() {
            if is_blank(cell) || log.is_lost(row) || !metrics.iter().any(|metric| metric.has_value(row)) {
                continue;
            }
            if let Some((code, what)) = outside(*date, today, self.bounds) {
                log.reject(row, header, code, |bytes| {
                    quote(cell, bytes);
                    bytes.push(b' ');
                    bytes.extend_from_slice(what.as_bytes());
                });
            }
        }
    }
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

/// The date that a pattern took out of the key.
fn date_of_key(key: &str, taken: Option<&str>, dates: &Dates, path: &str) -> Result<i32, Fault> {
    let Some(taken) = taken else {
        return Err(Fault::new("no_match", format!("the key {} does not match the pattern of `{path}`", quoted(key))));
    };
    let offsets = [0, taken.len() as i32];
    let mut log = RowLog::new(0, 1);
    let (days, _) = read_dates(dates, &Cells::new(&offsets, taken.as_bytes(), None)?, Blame::Nobody, &mut log);
    match (days.first(), log.is_lost(0) || taken.trim().is_empty()) {
        (Some(day), false) => Ok(*day),
        _ => Err(Fault::new("bad_date", format!("{} in the key {} is not a date in a format of `{path}`", quoted(taken), quoted(key)))),
    }
}

/// A metric's column with its key, unit and aggregate.
type FoundMetric = (MappedColumn, String, Option<String>, Aggregate);

/// Finds the columns of a block's metrics. A pattern takes no column that has another use, `named` being those outside
/// the metrics.
fn find_metrics(
    plans: Vec<MetricPlan>,
    header: &[String],
    mut named: Vec<u32>,
    lookup: &mut Lookup<'_>,
) -> Result<Vec<FoundMetric>, Fault> {
    let mut found: Vec<FoundMetric> = Vec::new();
    let mut patterns = Vec::new();
    for MetricPlan { columns, metric, unit, aggregate, reading } in plans {
        match columns {
            MetricColumns::One(column) => {
                if let Some(place) = lookup.find(&column) {
                    named.push(place);
                    found.push((map(reading, place, lookup), metric, unit, aggregate));
                }
            }
            MetricColumns::Matching { pattern, path, presence } => {
                patterns.push((pattern, path, presence, metric, unit, aggregate, reading));
            }
        }
    }
    for (mut pattern, path, presence, metric, unit, aggregate, reading) in patterns {
        let mut matched = false;
        for (place, name) in (0..).zip(header) {
            let Some(taken) = pattern.take(name).filter(|_| !named.contains(&place)) else { continue };
            matched = true;
            let key = metric.replace("{}", taken.trim());
            if !crate::settings::is_key(&key) || taken.trim().is_empty() {
                let message = format!("the column {} names no metric by the pattern of `{path}`", quoted(name));
                return Err(Fault::new("bad_name", message));
            }
            if found.iter().any(|(_, other, ..)| *other == key) {
                let message = format!("two columns are the metric {}, of which one is {} (`{path}`)", quoted(&key), quoted(name));
                return Err(Fault::new("duplicate_metric", message));
            }
            named.push(place);
            found.push((map(reading.clone(), place, lookup), key, unit.clone(), aggregate));
        }
        if !matched {
            lookup.no_match(&path, presence == Presence::Optional);
        }
    }
    Ok(found)
}

fn map(reading: Reading<crate::plan::ColumnPlan>, header: u32, lookup: &mut Lookup<'_>) -> MappedColumn {
    let Reading { reader, shape } = reading;
    // A metric adds no other columns, so that none is looked for.
    let shape = shape.and_then(|shape| shape.find(&mut |column| lookup.find(&column)));
    MappedColumn::new(String::new(), Source::Column(header), reader, shape.map(Box::new))
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
