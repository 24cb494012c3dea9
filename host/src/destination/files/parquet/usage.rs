//! Usage records as columns: where a record comes from, its identifiers and user, its day and period, what its series
//! says, and its value.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray, UInt32Array, new_null_array};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use arrow_select::take::take;

use super::columns::{Names, Origin, decimals};
use super::unannounced;
use crate::batch::{Aggregate, Period, Repeat, Series, UsageBatch, UsageLayout, UserKey, ValueBlock, ValueType};
use crate::destination::files::records::is_rejected;
use crate::destination::iso::Iso;
use crate::destination::relational::text::write_list;

/// Digits after the point of `exact_value`, as many as a decimal may have. With the digits of a 64-bit number before it
/// they are 37, and a decimal of Parquet has 38.
const SCALE: u8 = 18;
/// The digits that a decimal of 128 bits holds.
const WIDEST: u8 = 38;
/// The columns of what a series says, in their order.
const OF_SERIES: [&str; 6] = ["product", "metric", "period", "unit", "aggregate", "repeat"];

/// Makes the usage records of one table.
#[derive(Debug)]
pub(super) struct UsageColumns {
    origin: Origin,
    is_by_user: bool,
    series: Vec<Series>,
    /// What each series says, a column for each of [`OF_SERIES`].
    said: Vec<StringArray>,
    schema: SchemaRef,
}

impl UsageColumns {
    pub fn of(table: u32, layout: &UsageLayout) -> Self {
        let (mut names, mut columns) = (Names::default(), Vec::new());
        let origin = Origin::of(table, &layout.identifiers, &mut names, &mut columns);
        let user = layout.user.map(|key| match key {
            UserKey::Id => "_user_id",
            UserKey::Email => "_user_email",
            UserKey::Name => "_user_name",
        });
        if let Some(name) = user {
            columns.push(Field::new(names.add(name), DataType::Utf8, true));
        }
        let mut add =
            |name: &str, data_type, is_nullable| columns.push(Field::new(names.add(name), data_type, is_nullable));
        add("period_start", DataType::Date32, true);
        add("date", DataType::Date32, true);
        for name in OF_SERIES {
            add(name, DataType::Utf8, name == "unit");
        }
        add("value", DataType::Float64, true);
        add("exact_value", DataType::Decimal128(WIDEST, SCALE.cast_signed()), true);
        add("text_value", DataType::Utf8, true);
        add("boolean_value", DataType::Boolean, true);
        let schema = Arc::new(Schema::new(columns));
        Self { origin, is_by_user: user.is_some(), series: Vec::new(), said: what_is_said(&[]), schema }
    }

    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// Takes in series that are new.
    pub fn announce(&mut self, announced: &[Series]) {
        if !announced.is_empty() {
            self.series.extend_from_slice(announced);
            self.said = what_is_said(&self.series);
        }
    }

    /// One record for each value of a block.
    pub fn records(&self, batch: &UsageBatch, block: &ValueBlock, rejected: &[u32]) -> Result<RecordBatch, ArrowError> {
        // All series of a block have its type.
        let Some(first) = block.series_of.first() else {
            return Ok(RecordBatch::new_empty(self.schema()));
        };
        let value_type = self.series.get(*first as usize).ok_or_else(|| unannounced("a series"))?.value_type;
        let is_kept = |place: &usize| {
            let row = block.entry_of.get(*place).and_then(|entry| batch.rows.get(*entry as usize));
            block.values.is_valid(*place) && !row.is_some_and(|row| is_rejected(rejected, *row))
        };
        let kept: Vec<usize> = (0..block.values.len()).filter(is_kept).collect();
        let of_kept = |numbers: &[u32]| UInt32Array::from_iter_values(kept.iter().map(|place| numbers[*place]));
        let (entries, series) = (of_kept(&block.entry_of), of_kept(&block.series_of));
        let places = UInt32Array::from_iter_values(kept.iter().map(|place| *place as u32));

        let by_entry = |column: &dyn Array| take(column, &entries, None);
        let origin = self.origin.columns(&batch.rows, &batch.identifiers)?;
        let mut columns = origin.iter().map(|column| by_entry(column)).collect::<Result<Vec<_>, _>>()?;
        if self.is_by_user {
            columns.push(by_entry(batch.user.as_ref().ok_or_else(|| unannounced("the user"))?)?);
        }
        columns.push(by_entry(&batch.period_starts)?);
        columns.push(by_entry(&batch.dates)?);
        for said in &self.said {
            columns.push(take(said, &series, None)?);
        }
        columns.extend(values(&take(&block.values, &places, None)?, value_type)?);
        RecordBatch::try_new(self.schema(), columns)
    }
}

/// What series say, in the order of [`OF_SERIES`].
fn what_is_said(series: &[Series]) -> Vec<StringArray> {
    fn texts<'a>(series: &'a [Series], of: impl Fn(&'a Series) -> &'a str) -> StringArray {
        StringArray::from_iter_values(series.iter().map(of))
    }
    vec![
        texts(series, |series| &series.product),
        texts(series, |series| &series.metric),
        texts(series, |series| match &series.period {
            Period::Single => "single",
            Period::Daily => "daily",
            Period::Weekly => "weekly",
            Period::Monthly => "monthly",
            Period::Quarterly => "quarterly",
            Period::Yearly => "yearly",
            Period::Custom(calendar) => calendar,
        }),
        series.iter().map(|series| series.unit.as_deref()).collect(),
        texts(series, |series| match series.aggregate {
            Aggregate::Sum => "sum",
            Aggregate::Last => "last",
            Aggregate::Max => "max",
            Aggregate::Min => "min",
            Aggregate::Avg => "avg",
            Aggregate::Count => "count",
        }),
        texts(series, |series| match series.repeat {
            Repeat::Replace => "replace",
            Repeat::Add => "add",
        }),
    ]
}

/// `value`, `exact_value`, `text_value` and `boolean_value`.
fn values(values: &ArrayRef, value_type: ValueType) -> Result<[ArrayRef; 4], ArrowError> {
    let mistyped = || unannounced("a series");
    let exact_type = DataType::Decimal128(WIDEST, SCALE.cast_signed());
    let none = |data_type: &DataType| new_null_array(data_type, values.len());
    let number = |number, exact| [number, exact, none(&DataType::Utf8), none(&DataType::Boolean)];
    let text = |texts: StringArray| {
        [none(&DataType::Float64), none(&exact_type), Arc::new(texts) as ArrayRef, none(&DataType::Boolean)]
    };
    Ok(match value_type {
        ValueType::Integer | ValueType::Decimal(_) => {
            let scale = if let ValueType::Decimal(scale) = value_type { scale.min(SCALE) } else { 0 };
            let unscaled = values.as_primitive_opt::<Int64Type>().ok_or_else(mistyped)?;
            let divisor = 10_f64.powi(i32::from(scale));
            let near = unscaled.unary::<_, Float64Type>(|value| value as f64 / divisor);
            let factor = 10_i128.pow(u32::from(SCALE - scale));
            number(Arc::new(near), decimals(unscaled, factor, WIDEST, SCALE.cast_signed())?)
        }
        ValueType::Float => number(Arc::clone(values), none(&exact_type)),
        ValueType::Boolean => [none(&DataType::Float64), none(&exact_type), none(&DataType::Utf8), Arc::clone(values)],
        ValueType::Text => text(values.as_string_opt::<i32>().ok_or_else(mistyped)?.clone()),
        ValueType::Date => {
            let days = values.as_primitive_opt::<Date32Type>().ok_or_else(mistyped)?;
            text(days.iter().map(|day| day.map(|day| Iso::date(day).as_str().to_owned())).collect())
        }
        ValueType::Timestamp => {
            let moments = values.as_primitive_opt::<TimestampMicrosecondType>().ok_or_else(mistyped)?;
            text(moments.iter().map(|moment| moment.map(|at| Iso::timestamp(at).as_str().to_owned())).collect())
        }
        ValueType::TextList => {
            let lists = values.as_list_opt::<i32>().ok_or_else(mistyped)?;
            let items = lists.values().as_string_opt::<i32>().ok_or_else(mistyped)?;
            let list = |places: &[i32]| {
                let mut text = String::new();
                write_list(&mut text, items, places[0] as usize..places[1] as usize);
                text
            };
            text(StringArray::from_iter_values(lists.value_offsets().windows(2).map(list)))
        }
    })
}
