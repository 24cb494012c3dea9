//! Product usage, checked.

use super::value::{Parts, Reading, Written};
use super::{Check, ColumnPlan, Presence, Which, each, join};
use crate::cell::{Dates, Reader, quoted};
use crate::pattern::Pattern;
use crate::settings::{
    Aggregate, Boolean, Date, Long, Metric, MetricType, Number, OnUnknown, Period, Product, Repeat, Usage, User,
    UserKey, Weekday, is_key,
};
use crate::zone::Zone;

#[derive(Debug, Clone)]
pub(crate) struct UsagePlan {
    pub(crate) product: ProductPlan,
    pub(crate) period: Period,
    pub(crate) week_start: Weekday,
    /// None: days are those of the integration's time zone.
    pub(crate) zone: Option<Zone>,
    /// None: the date follows from the object's.
    pub(crate) date: Option<DatePlan>,
    pub(crate) bounds: DayBounds,
    pub(crate) user: Option<(ColumnPlan, UserKey)>,
    pub(crate) repeat: Repeat,
    pub(crate) values: ValuesPlan,
}

#[derive(Debug, Clone)]
pub(crate) enum ProductPlan {
    Name(String),
    Column(ColumnPlan, Known),
}

/// The products or metrics that are known.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    /// None: all of them.
    pub(crate) allowed: Option<Vec<String>>,
    pub(crate) on_unknown: OnUnknown,
}

/// How far from the object's day a date may lie.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct DayBounds {
    pub(crate) ahead: Option<u32>,
    pub(crate) back: Option<u32>,
}

#[derive(Debug, Clone)]
pub(crate) struct DatePlan {
    pub(crate) from: DateFrom,
    pub(crate) dates: Dates,
}

#[derive(Debug, Clone)]
pub(crate) enum DateFrom {
    Column(ColumnPlan),
    Key(Box<Pattern>, String),
}

#[derive(Debug, Clone)]
pub(crate) enum ValuesPlan {
    /// A column for each metric.
    Wide(Vec<MetricPlan>),
    /// A row for each metric.
    Long(Box<LongPlan>),
}

#[derive(Debug, Clone)]
pub(crate) struct MetricPlan {
    pub(crate) columns: MetricColumns,
    pub(crate) metric: String,
    pub(crate) unit: Option<String>,
    pub(crate) aggregate: Aggregate,
    pub(crate) reading: Reading<ColumnPlan>,
}

#[derive(Debug, Clone)]
pub(crate) enum MetricColumns {
    One(ColumnPlan),
    /// All that match; the metric's key has `{}` for what is taken.
    Matching {
        pattern: Pattern,
        path: String,
        presence: Presence,
    },
}

#[derive(Debug, Clone)]
pub(crate) struct LongPlan {
    pub(crate) metric: ColumnPlan,
    pub(crate) value: ColumnPlan,
    pub(crate) unit: Option<ColumnPlan>,
    pub(crate) aggregate: Aggregate,
    pub(crate) reading: Reading<ColumnPlan>,
    pub(crate) known: Known,
}

impl Check {
    pub(super) fn usage(&mut self, path: &str, usage: &Usage) -> Option<UsagePlan> {
        let product = match &usage.product {
            Some(Product::Column(column)) => {
                let path = join(path, "product");
                let known = self.known(&path, column.allowed.as_ref(), column.on_unknown);
                let found = self.column_reference(
                    &path,
                    &column.column,
                    column.aliases.as_deref(),
                    column.index,
                    Presence::Required,
                );
                found.zip(known).map(|(column, known)| ProductPlan::Column(column, known))
            }
            Some(Product::Name(name)) => self.key(path, "product", &Some(name.clone())).map(ProductPlan::Name),
            None => self.key(path, "product", &None).map(ProductPlan::Name),
        };
        let period = self.required(path, "period", &usage.period);
        if let Some(period) = period {
            self.belongs(path, "week_start", usage.week_start.is_some(), period == Period::Weekly);
        }
        let zone = usage.zone.as_ref().map(|changes| self.zone(&join(path, "zone"), changes));
        let date = match &usage.date {
            Some(date) => self.date(&join(path, "date"), date, zone.as_ref()).map(Some),
            None => Some(None),
        };
        for (key, bound) in [("max_days_ahead", usage.max_days_ahead), ("max_days_back", usage.max_days_back)] {
            self.belongs(path, key, bound.is_some(), usage.date.is_some());
            if bound.is_some_and(|days| days > MOST_DAYS) {
                self.report(&join(path, key), "bad_setting", &format!("is more than {MOST_DAYS}"));
            }
        }
        let user = match &usage.user {
            Some(user) => self.user(&join(path, "user"), user).map(Some),
            None => Some(None),
        };
        let values = match &usage.long {
            Some(long) => {
                if !usage.metrics.is_empty() {
                    self.report(
                        &join(path, "long"),
                        "misplaced_setting",
                        "and `metrics` cannot both say where values are",
                    );
                }
                self.long(&join(path, "long"), long).map(|long| ValuesPlan::Long(Box::new(long)))
            }
            None => {
                if usage.metrics.is_empty() {
                    self.required::<()>(path, "metrics", &None);
                }
                let metric = |place, metric: &Metric| self.metric(&format!("{path}.metrics[{place}]"), metric);
                each(&usage.metrics, metric).map(ValuesPlan::Wide)
            }
        };
        Some(UsagePlan {
            product: product?,
            period: period?,
            week_start: usage.week_start.unwrap_or_default(),
            zone,
            date: date?,
            bounds: DayBounds { ahead: usage.max_days_ahead, back: usage.max_days_back },
            user: user?,
            repeat: usage.repeat.unwrap_or_default(),
            values: values?,
        })
    }

    fn known(&mut self, path: &str, allowed: Option<&Vec<String>>, on_unknown: Option<OnUnknown>) -> Option<Known> {
        if allowed.is_none() && on_unknown.is_some() {
            self.report(&join(path, "on_unknown"), "misplaced_setting", "says nothing without `allowed`");
        }
        let names_fit = each(allowed.map_or(&[][..], Vec::as_slice), |place, name| {
            let path = join(path, &format!("allowed[{place}]"));
            let is_name = is_key(name);
            if !is_name {
                self.report(&path, "bad_setting", &format!("{} is not a name", quoted(name)));
            }
            is_name.then_some(())
        });
        if allowed.is_some_and(Vec::is_empty) {
            self.report(&join(path, "allowed"), "bad_setting", "is empty");
            return None;
        }
        names_fit.map(|_| Known { allowed: allowed.cloned(), on_unknown: on_unknown.unwrap_or_default() })
    }

    fn user(&mut self, path: &str, user: &User) -> Option<(ColumnPlan, UserKey)> {
        let column = self.column_reference(path, &user.column, user.aliases.as_deref(), user.index, Presence::Required);
        let key = self.required(path, "match", &user.r#match);
        column.zip(key)
    }

    fn date(&mut self, path: &str, date: &Date, zone: Option<&Zone>) -> Option<DatePlan> {
        let mut dates = self.formats(path, date.formats.as_deref());
        if let (Some(dates), Some(zone)) = (&mut dates, zone) {
            dates.zone = zone.clone();
        }
        let from = match &date.key {
            Some(_) if date.column.is_some() || date.index.is_some() || date.aliases.is_some() => {
                self.report(&join(path, "key"), "misplaced_setting", "and a column cannot both hold the date");
                None
            }
            Some(pattern) => {
                let path = join(path, "key");
                let pattern = self.pattern(&path, pattern, Pattern::parse_taking);
                pattern.map(|pattern| DateFrom::Key(Box::new(pattern), path))
            }
            None => self
                .column_reference(path, &date.column, date.aliases.as_deref(), date.index, Presence::Required)
                .map(DateFrom::Column),
        };
        Some(DatePlan { from: from?, dates: dates? })
    }

    fn long(&mut self, path: &str, long: &Long) -> Option<LongPlan> {
        let mut column = |key: &str, name: &Option<String>| {
            let name = self.required(path, key, name)?;
            self.names(&join(path, key), std::slice::from_ref(&name))?;
            Some(ColumnPlan { which: Which::Named(vec![name]), path: join(path, key), presence: Presence::Required })
        };
        let (metric, value) = (column("metric", &long.metric), column("value", &long.value));
        let unit = if long.unit.is_some() { column("unit", &long.unit).map(Some) } else { Some(None) };
        let known = self.known(path, long.allowed.as_ref(), long.on_unknown);
        let reading =
            self.series_reading(path, long.r#type, long.aggregate, long.number.as_ref(), long.boolean.as_ref());
        Some(LongPlan {
            metric: metric?,
            value: value?,
            unit: unit?,
            aggregate: long.aggregate.unwrap_or_default(),
            reading: reading?,
            known: known?,
        })
    }

    fn metric(&mut self, path: &str, metric: &Metric) -> Option<MetricPlan> {
        let presence = if metric.optional == Some(true) { Presence::Optional } else { Presence::Required };
        let (columns, key) = match &metric.pattern {
            Some(pattern) => {
                for (key, is_set) in [
                    ("column", metric.column.is_some()),
                    ("aliases", metric.aliases.is_some()),
                    ("index", metric.index.is_some()),
                ] {
                    if is_set {
                        self.report(
                            &join(path, key),
                            "misplaced_setting",
                            "and `pattern` cannot both say which columns are meant",
                        );
                    }
                }
                let key = metric.metric.clone().unwrap_or_else(|| "{}".to_owned());
                let key = self.key(path, "metric", &Some(key)).filter(|key| {
                    let has_place = key.contains("{}");
                    if !has_place {
                        let what = "needs `{}` for what the pattern takes, or else all columns would write one metric";
                        self.report(&join(path, "metric"), "bad_setting", what);
                    }
                    has_place
                });
                let path = join(path, "pattern");
                let pattern = self.pattern(&path, pattern, Pattern::parse_taking);
                (pattern.map(|pattern| MetricColumns::Matching { pattern, path, presence }), key)
            }
            None => {
                let column =
                    self.column_reference(path, &metric.column, metric.aliases.as_deref(), metric.index, presence);
                (column.map(MetricColumns::One), self.key(path, "metric", &metric.metric))
            }
        };
        let reading =
            self.series_reading(path, metric.r#type, metric.aggregate, metric.number.as_ref(), metric.boolean.as_ref());
        Some(MetricPlan {
            columns: columns?,
            metric: key?,
            unit: metric.unit.clone(),
            aggregate: metric.aggregate.unwrap_or_default(),
            reading: reading?,
        })
    }

    /// How the values of a metric are read.
    fn series_reading(
        &mut self,
        path: &str,
        r#type: Option<MetricType>,
        aggregate: Option<Aggregate>,
        number: Option<&Number>,
        boolean: Option<&Boolean>,
    ) -> Option<Reading<ColumnPlan>> {
        let Parts { number: format, dress, boolean: sets, .. } =
            self.parts(path, &Written { number, boolean, ..Written::default() });
        let r#type = r#type.unwrap_or_default();
        let is_number = matches!(r#type, MetricType::Numeric | MetricType::Integer);
        self.belongs(path, "number", number.is_some(), is_number);
        self.belongs(path, "boolean", boolean.is_some(), r#type == MetricType::Boolean);
        if !is_number && !matches!(aggregate.unwrap_or_default(), Aggregate::Last | Aggregate::Count) {
            let what = "texts and booleans know `last` and `count` only";
            self.report(&join(path, "aggregate"), "bad_setting", what);
        }
        let reader = match r#type {
            MetricType::Numeric => Reader::Float(format?),
            MetricType::Integer => Reader::Integer(format?),
            MetricType::Text => Reader::Text,
            MetricType::Boolean => Reader::Boolean(sets?),
        };
        Some(self.metric_reading(reader, format?, dress?))
    }

    /// A record is one account's, product's, metric's and period's; two columns for one would write over each other.
    pub(super) fn unique_metrics(&mut self, usage: &[UsagePlan]) {
        let mut seen: Vec<(&str, &str, Period, bool, String)> = Vec::new();
        for (block, plan) in usage.iter().enumerate() {
            let (ProductPlan::Name(product), ValuesPlan::Wide(metrics)) = (&plan.product, &plan.values) else {
                continue;
            };
            for (place, metric) in metrics.iter().enumerate() {
                let MetricColumns::One(_) = &metric.columns else { continue };
                let path = format!("usage[{block}].metrics[{place}]");
                let of_users = plan.user.is_some();
                let same = |other: &&(&str, &str, Period, bool, String)| {
                    (other.0, other.1, other.2, other.3)
                        == (product.as_str(), metric.metric.as_str(), plan.period, of_users)
                };
                match seen.iter().find(same) {
                    Some((.., first)) => {
                        let what = format!("`{first}` writes this metric of the product already");
                        self.report(&join(&path, "metric"), "duplicate_metric", &what);
                    }
                    None => seen.push((product, &metric.metric, plan.period, of_users, path)),
                }
            }
        }
        let mut keys = usage.iter().enumerate().filter_map(|(block, plan)| Some((block, plan.user.as_ref()?.1)));
        if let Some((first, key)) = keys.next()
            && let Some((other, _)) = keys.find(|(_, other)| *other != key)
        {
            let what = format!("`usage[{first}]` tells users apart in another way, and a table can have only one");
            self.report(&format!("usage[{other}].user.match"), "contradiction", &what);
        }
    }
}

/// A bound on dates that is farther is none.
const MOST_DAYS: u32 = 1_000_000;
