//! The checks of product usage.

use super::{
    Checked, Scope, bad, dates, identifier_columns, identifiers, issues, name, rows, same_length, text_column,
    value_type, values, wanted,
};
use crate::batch::{Aggregate, Period, Repeat, Series, UsageBatch, UsageLayout, UserKey, ValueBlock, ValueType};
use crate::mapper::bindings::product_usage as raw;
use crate::mapper::error::Bad;

/// Series of one table.
const SERIES: usize = 65_536;

/// A layout for a header of `columns` names.
pub(in crate::mapper) fn layout(layout: raw::Layout, columns: usize) -> Checked<UsageLayout> {
    let user = layout.user.map(|key| match key {
        raw::UserKey::Id => UserKey::Id,
        raw::UserKey::Email => UserKey::Email,
        raw::UserKey::Name => UserKey::Name,
    });
    let checked = || {
        let identifiers = identifiers(layout.identifiers)?;
        Ok(UsageLayout { wanted: wanted(layout.wanted, columns)?, identifiers, user })
    };
    checked().map_err(|bad: Bad| bad.of("layout"))
}

/// A batch of the table that `layout` is for. `announced` has the types of the table's series so far, and gets those
/// that the batch announces.
pub(in crate::mapper) fn batch(
    batch: raw::UsageBatch,
    layout: &UsageLayout,
    announced: &mut Vec<ValueType>,
    scope: &Scope,
) -> Checked<UsageBatch> {
    rows(&batch.rows, scope)?;
    let entries = batch.rows.len();
    let identifiers = identifier_columns(batch.identifiers, &layout.identifiers, entries)?;
    let user = match (batch.user, layout.user) {
        (Some(column), Some(_)) => Some(text_column(column, entries).map_err(|bad| bad.of("user"))?),
        (None, None) => None,
        (Some(_), None) => return bad("a user column where the layout has no user key"),
        (None, Some(_)) => return bad("no user column where the layout has a user key"),
    };
    let dates_of_rows = dates(batch.dates, entries, "dates")?;
    let period_starts = dates(batch.period_starts, entries, "period starts")?;
    if announced.len() + batch.announced.len() > SERIES {
        return bad(format!("more than {SERIES} series in one table"));
    }
    let new_series = batch.announced.into_iter().map(series).collect::<Checked<Vec<_>>>()?;
    announced.extend(new_series.iter().map(|series| series.value_type));
    let block = |(index, raw)| block(raw, announced, entries).map_err(|bad| bad.of(format_args!("block {index}")));
    let blocks = batch.blocks.into_iter().enumerate().map(block);
    Ok(UsageBatch {
        rows: batch.rows,
        identifiers,
        user,
        dates: dates_of_rows,
        period_starts,
        blocks: blocks.filter_map(Result::transpose).collect::<Checked<_>>()?,
        announced: new_series,
        issues: issues(batch.issues, scope)?,
    })
}

fn series(series: raw::Series) -> Checked<Series> {
    let product = name(series.product, "product")?;
    let metric = name(series.metric, "metric")?;
    let named = |bad: Bad| bad.of(format_args!("series `{product}`/`{metric}`"));
    let unit = series.unit.map(|unit| name(unit, "unit")).transpose().map_err(named)?;
    let value_type = value_type(series.value_type).map_err(named)?;
    let aggregate = match series.aggregate {
        raw::Aggregate::Sum => Aggregate::Sum,
        raw::Aggregate::Last => Aggregate::Last,
        raw::Aggregate::Max => Aggregate::Max,
        raw::Aggregate::Min => Aggregate::Min,
        raw::Aggregate::Avg => Aggregate::Avg,
        raw::Aggregate::Count => Aggregate::Count,
    };
    let period = match series.period {
        raw::Period::Single => Period::Single,
        raw::Period::Daily => Period::Daily,
        raw::Period::Weekly => Period::Weekly,
        raw::Period::Monthly => Period::Monthly,
        raw::Period::Quarterly => Period::Quarterly,
        raw::Period::Yearly => Period::Yearly,
        raw::Period::Custom(calendar) => Period::Custom(name(calendar, "period").map_err(named)?),
    };
    let repeat = match series.repeat {
        raw::Repeat::Replace => Repeat::Replace,
        raw::Repeat::Add => Repeat::Add,
    };
    Ok(Series { product, metric, unit, value_type, aggregate, period, repeat })
}

/// A block of values; none if it has no value, for then no series says what type it has.
fn block(block: raw::ValueBlock, announced: &[ValueType], entries: usize) -> Checked<Option<ValueBlock>> {
    let count = block.entry_of.len();
    same_length(block.series_of.len(), count, "series")?;
    if let Some(entry) = block.entry_of.iter().find(|entry| **entry as usize >= entries) {
        return bad(format!("entry {entry} of a batch of {entries}"));
    }
    let Some(first) = block.series_of.first() else {
        return Ok(None);
    };
    let type_of = |series: &u32| announced.get(*series as usize).copied();
    let Some(value_type) = type_of(first) else {
        return bad(format!("series {first} of {} announced", announced.len()));
    };
    if let Some(series) = block.series_of.iter().find(|series| type_of(series) != Some(value_type)) {
        return bad(format!("series {series} is not announced, or has another type than the block's first"));
    }
    let values = values(block.values, value_type, count)?;
    Ok(Some(ValueBlock { entry_of: block.entry_of, series_of: block.series_of, values }))
}
