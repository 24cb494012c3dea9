//! Finding the columns of a block of usage in a table's header.

use super::by_row::{ByRow, Names};
use super::{Announced, Group, MappedMetric, Series, When, day_of_file, outside};
use crate::Fault;
use crate::calendar::{automatic_date, period_start};
use crate::cell::{Blame, Dates, RowLog, ValueType, quoted, read_dates};
use crate::columns::Cells;
use crate::fields::FileInfo;
use crate::header::Lookup;
use crate::plan::{
    ColumnPlan, DateFrom, LongPlan, MetricColumns, MetricPlan, Presence, ProductPlan, Reading, UsagePlan, ValuesPlan,
};
use crate::settings::Aggregate;
use crate::shaped::{MappedColumn, Source};

impl Group {
    /// Finds the columns of a block. None when its date or another column that it cannot do without is missing, which the
    /// lookup keeps.
    pub(super) fn find(
        block: UsagePlan,
        file: FileInfo<'_>,
        header: &[String],
        identifiers: &[u32],
        lookup: &mut Lookup<'_>,
        announced: &mut Announced,
    ) -> Result<Option<Self>, Fault> {
        let UsagePlan { product, period, week_start, zone, date, bounds, user, repeat, values } = block;
        let today = match zone {
            None => file.today,
            Some(zone) => day_of_file(zone.day_at(file.last_modified))?,
        };
        let when = match date {
            None => {
                let date = automatic_date(today, period, week_start);
                Some(When::Fixed(date, date))
            }
            Some(date) => match date.from {
                DateFrom::Column(column) => {
                    lookup.find(&column).map(|header| When::Column { header, dates: date.dates })
                }
                DateFrom::Key(mut pattern, path) => {
                    let day = date_of_key(file.key, pattern.take(file.key), &date.dates, &path)?;
                    if let Some((code, what)) = outside(day, today, bounds) {
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
                if let (Some(metric), Some(value), Some(unit)) =
                    (metric, value, unit.map_or(Some(None), |unit| unit.map(Some)))
                {
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
        let mut group = Self { when, period, week_start, today, bounds, user, metrics: Vec::new(), by_row: None };
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
        _ => Err(Fault::new(
            "bad_date",
            format!("{} in the key {} is not a date in a format of `{path}`", quoted(taken), quoted(key)),
        )),
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
                let message =
                    format!("two columns are the metric {}, of which one is {} (`{path}`)", quoted(&key), quoted(name));
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

fn map(reading: Reading<ColumnPlan>, header: u32, lookup: &mut Lookup<'_>) -> MappedColumn {
    let Reading { reader, shape } = reading;
    // A metric adds no other columns, so that none is looked for.
    let shape = shape.and_then(|shape| shape.find(&mut |column| lookup.find(&column)));
    MappedColumn::new(String::new(), Source::Column(header), reader, shape.map(Box::new))
}
