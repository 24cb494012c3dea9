//! Product usage, checked.

use super::value::{Parts, Reading, Written};
use super::{Check, ColumnPlan, each, join};
use crate::cell::{Dates, Reader};
use crate::settings::{Aggregate, Date, Metric, MetricType, Period, Usage, Weekday};

#[derive(Debug, Clone)]
pub(crate) struct UsagePlan {
    pub(crate) product: String,
    pub(crate) period: Period,
    pub(crate) week_start: Weekday,
    /// None: the date follows from the object's.
    pub(crate) date: Option<DatePlan>,
    pub(crate) metrics: Vec<MetricPlan>,
}

#[derive(Debug, Clone)]
pub(crate) struct DatePlan {
    pub(crate) column: ColumnPlan,
    pub(crate) dates: Dates,
}

#[derive(Debug, Clone)]
pub(crate) struct MetricPlan {
    pub(crate) column: ColumnPlan,
    pub(crate) metric: String,
    pub(crate) unit: Option<String>,
    pub(crate) aggregate: Aggregate,
    pub(crate) reading: Reading<ColumnPlan>,
}

impl Check {
    pub(super) fn usage(&mut self, path: &str, usage: &Usage) -> Option<UsagePlan> {
        let product = self.key(path, "product", &usage.product);
        let period = self.required(path, "period", &usage.period);
        if let Some(period) = period {
            self.belongs(path, "week_start", usage.week_start.is_some(), period == Period::Weekly);
        }
        let date = match &usage.date {
            Some(date) => self.date(&join(path, "date"), date).map(Some),
            None => Some(None),
        };
        if usage.metrics.is_empty() {
            self.required::<()>(path, "metrics", &None);
        }
        let metrics = each(&usage.metrics, |place, metric| self.metric(&format!("{path}.metrics[{place}]"), metric));
        Some(UsagePlan {
            product: product?,
            period: period?,
            week_start: usage.week_start.unwrap_or_default(),
            date: date?,
            metrics: metrics?,
        })
    }

    fn date(&mut self, path: &str, date: &Date) -> Option<DatePlan> {
        let column = self.column(path, &date.column, None);
        let dates = self.formats(path, date.formats.as_deref());
        Some(DatePlan { column: column?, dates: dates? })
    }

    fn metric(&mut self, path: &str, metric: &Metric) -> Option<MetricPlan> {
        let column = self.column(path, &metric.column, metric.optional);
        let key = self.key(path, "metric", &metric.metric);
        let written =
            Written { number: metric.number.as_ref(), boolean: metric.boolean.as_ref(), ..Written::default() };
        let Parts { number, dress, boolean, .. } = self.parts(path, &written);
        let r#type = metric.r#type.unwrap_or_default();
        let is_number = matches!(r#type, MetricType::Numeric | MetricType::Integer);
        self.belongs(path, "number", metric.number.is_some(), is_number);
        self.belongs(path, "boolean", metric.boolean.is_some(), r#type == MetricType::Boolean);
        let aggregate = metric.aggregate.unwrap_or_default();
        if !is_number && !matches!(aggregate, Aggregate::Last | Aggregate::Count) {
            let what = "texts and booleans know `last` and `count` only";
            self.report(&join(path, "aggregate"), "bad_setting", what);
        }
        let reader = match r#type {
            MetricType::Numeric => Reader::Float(number?),
            MetricType::Integer => Reader::Integer(number?),
            MetricType::Text => Reader::Text,
            MetricType::Boolean => Reader::Boolean(boolean?),
        };
        let reading = self.metric_reading(reader, number?, dress?);
        Some(MetricPlan { column: column?, metric: key?, unit: metric.unit.clone(), aggregate, reading })
    }

    /// A record is one account's, product's, metric's and period's; two columns for one would write over each other.
    pub(super) fn unique_metrics(&mut self, usage: &[UsagePlan]) {
        let mut seen: Vec<(&str, &str, Period, String)> = Vec::new();
        for (block, plan) in usage.iter().enumerate() {
            for (place, metric) in plan.metrics.iter().enumerate() {
                let path = format!("usage[{block}].metrics[{place}]");
                let same = |other: &&(&str, &str, Period, String)| {
                    (other.0, other.1, other.2) == (plan.product.as_str(), metric.metric.as_str(), plan.period)
                };
                match seen.iter().find(same) {
                    Some((.., first)) => {
                        let what = format!("`{first}` writes this metric of the product already");
                        self.report(&join(&path, "metric"), "duplicate_metric", &what);
                    }
                    None => seen.push((&plan.product, &metric.metric, plan.period, path)),
                }
            }
        }
    }
}

