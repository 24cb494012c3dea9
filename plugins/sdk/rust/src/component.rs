//! The component: moves columns between this crate's types and those of the contract, and does nothing else.
//!
//! An instance maps one table at a time and lives for one file, so its state is the mapper of the open table.

use std::sync::Once;

use crate::columns::{Column, Lists, TextColumn, Texts, ValueType, Values};
use crate::issue::Issues;
use crate::log::Level;
use crate::row::{self, Cells};
use crate::table::Match;

/// The contract as Rust types.
pub mod bindings {
    #[cfg(all(feature = "fields", feature = "usage"))]
    wit_bindgen::generate!({ path: "../wit", world: "mapper", pub_export_macro: true });
    #[cfg(all(feature = "fields", not(feature = "usage")))]
    wit_bindgen::generate!({ path: "../wit", world: "field-mapper", pub_export_macro: true });
    #[cfg(all(feature = "usage", not(feature = "fields")))]
    wit_bindgen::generate!({ path: "../wit", world: "usage-mapper", pub_export_macro: true });
}

use bindings::gristmill::mapper::{columns as wire_columns, log as wire_log, types as wire};

pub use bindings::gristmill::mapper::types::{Batch, Fault, Source};

pub(crate) fn log(level: Level, message: &str) {
    let level = match level {
        Level::Debug => wire_log::Level::Debug,
        Level::Info => wire_log::Level::Info,
        Level::Warn => wire_log::Level::Warn,
        Level::Error => wire_log::Level::Error,
    };
    wire_log::write(level, message);
}

/// Has panics say in the daemon's log what they are about, for a trap has no words.
fn log_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| std::panic::set_hook(Box::new(|panic| log(Level::Error, &panic.to_string()))));
}

fn fault(fault: crate::Fault) -> Fault {
    Fault { code: fault.code.into_owned(), message: fault.message, row: fault.row, column: fault.column }
}

fn not_open() -> Fault {
    fault(crate::Fault::new("not_open", "no table is open"))
}

fn source(source: Source) -> crate::Source {
    crate::Source {
        integration: source.integration,
        connection: source.connection,
        bucket: source.bucket,
        key: source.key,
        etag: source.etag,
        size: source.size,
        last_modified: source.last_modified,
        sheet: source.sheet,
        timezone: source.timezone,
        today: crate::Date::from_days(source.today),
    }
}

fn rows(batch: Batch) -> row::Batch {
    let cells =
        |cells: wire_columns::Cells| Cells { offsets: cells.text.offsets, bytes: cells.text.bytes, typed: cells.typed };
    row::Batch { first_row: batch.first_row, rows: batch.rows, columns: batch.columns.into_iter().map(cells).collect() }
}

fn keys(identifiers: Vec<Vec<Match>>) -> Vec<Vec<wire::MatchKey>> {
    let key = |key| match key {
        Match::CrmId => wire::MatchKey::CrmId,
        Match::Domain => wire::MatchKey::Domain,
        Match::Name => wire::MatchKey::Name,
        Match::Id => wire::MatchKey::Id,
        Match::Field(field) => wire::MatchKey::Field(field),
    };
    identifiers.into_iter().map(|keys| keys.into_iter().map(key).collect()).collect()
}

fn value_type(value_type: ValueType) -> wire_columns::ValueType {
    match value_type {
        ValueType::Text => wire_columns::ValueType::Text,
        ValueType::Integer => wire_columns::ValueType::Integer,
        ValueType::Float => wire_columns::ValueType::Float,
        ValueType::Decimal(scale) => wire_columns::ValueType::Decimal(scale),
        ValueType::Boolean => wire_columns::ValueType::Boolean,
        ValueType::Date => wire_columns::ValueType::Date,
        ValueType::Timestamp => wire_columns::ValueType::Timestamp,
        ValueType::TextList => wire_columns::ValueType::TextList,
    }
}

fn text(texts: Texts) -> wire_columns::Text {
    wire_columns::Text { offsets: texts.offsets, bytes: texts.bytes }
}

fn text_column(column: TextColumn) -> wire_columns::TextColumn {
    wire_columns::TextColumn { text: text(column.texts), validity: column.validity }
}

/// A column of values that were announced as of this type.
fn column(column: Column, value_type: ValueType) -> wire_columns::Column {
    let values = match (column.values, value_type) {
        (Values::Text(texts), _) => wire_columns::Values::Text(text(texts.0)),
        (Values::Integer(values), ValueType::Decimal(_)) => wire_columns::Values::Decimal(values),
        (Values::Integer(values), ValueType::Timestamp) => wire_columns::Values::Timestamp(values),
        (Values::Integer(values), _) => wire_columns::Values::Integer(values),
        (Values::Float(values), _) => wire_columns::Values::Float(values),
        (Values::Boolean(bits), _) => wire_columns::Values::Boolean(bits.bits),
        (Values::Date(values), _) => wire_columns::Values::Date(values),
        (Values::TextList(Lists { offsets, items }), _) => {
            wire_columns::Values::TextList(wire_columns::TextList { offsets, items: text(items) })
        }
    };
    wire_columns::Column { values, validity: column.validity }
}

fn issues(issues: Issues) -> wire::Issues {
    wire::Issues {
        rows: issues.rows,
        columns: issues.columns,
        rejects: issues.rejects,
        codes: text(issues.codes),
        messages: text(issues.messages),
    }
}

#[cfg(feature = "fields")]
pub mod field_mapping {
    use std::cell::RefCell;

    use super::bindings::exports::gristmill::mapper::field_mapping as wire;
    use super::{Batch, Fault, Source, column, fault, issues, keys, log_panics, not_open, rows, source, text_column};
    use crate::account::{self, AccountBatch, Announced, MapsAccounts};
    use crate::columns::ValueType;
    use crate::{FieldMapper, Semantic, WriteMode};

    pub use super::bindings::exports::gristmill::mapper::field_mapping::{AccountBatch as Returned, Guest, Layout};

    struct Open {
        mapper: Box<dyn MapsAccounts>,
        types: Vec<ValueType>,
    }

    thread_local! {
        static OPEN: RefCell<Option<Open>> = const { RefCell::new(None) };
    }

    pub fn check<M: FieldMapper>(settings: &str) -> Vec<Fault> {
        log_panics();
        account::check::<M>(settings).into_iter().map(fault).collect()
    }

    pub fn open<M: FieldMapper>(from: Source, header: Vec<String>, settings: &str) -> Result<Layout, Fault> {
        log_panics();
        let (mapper, layout) = account::open::<M>(&source(from), &header, settings).map_err(fault)?;
        let types = layout.fields.iter().map(|field| field.value_type).collect();
        OPEN.set(Some(Open { mapper, types }));
        Ok(Layout {
            wanted: layout.wanted,
            identifiers: keys(layout.identifiers),
            fields: layout.fields.into_iter().map(field).collect(),
        })
    }

    pub fn map_batch(batch: Batch) -> Result<Returned, Fault> {
        let map = |open: &mut Open| {
            let mapped = open.mapper.map_batch(&rows(batch)).map_err(fault)?;
            Ok(returned(mapped, &open.types))
        };
        OPEN.with_borrow_mut(|open| open.as_mut().ok_or_else(not_open).and_then(map))
    }

    pub fn finish() -> Result<Returned, Fault> {
        let mut open = OPEN.take().ok_or_else(not_open)?;
        Ok(returned(open.mapper.finish().map_err(fault)?, &open.types))
    }

    fn field(field: Announced) -> wire::OutputField {
        wire::OutputField {
            name: field.name,
            value_type: super::value_type(field.value_type),
            semantic: match field.semantic {
                Semantic::Plain => wire::Semantic::Plain,
                Semantic::LongText => wire::Semantic::LongText,
                Semantic::Percent => wire::Semantic::Percent,
                Semantic::Currency => wire::Semantic::Currency,
                Semantic::Picklist => wire::Semantic::Picklist,
                Semantic::Url => wire::Semantic::Url,
                Semantic::Email => wire::Semantic::Email,
                Semantic::User => wire::Semantic::User,
            },
            unit: field.unit,
            write_mode: match field.write_mode {
                WriteMode::Overwrite => wire::WriteMode::Overwrite,
                WriteMode::IfEmpty => wire::WriteMode::IfEmpty,
                WriteMode::Append => wire::WriteMode::Append,
            },
        }
    }

    fn returned(batch: AccountBatch, types: &[ValueType]) -> Returned {
        let field = |((values, clear), value_type)| wire::FieldColumn { column: column(values, value_type), clear };
        Returned {
            rows: batch.rows,
            identifiers: batch.identifiers.into_iter().map(text_column).collect(),
            fields: batch.fields.into_iter().zip(types.iter().copied()).map(field).collect(),
            issues: issues(batch.issues),
        }
    }
}

#[cfg(feature = "usage")]
pub mod product_usage {
    use std::cell::RefCell;

    use super::bindings::exports::gristmill::mapper::product_usage as wire;
    use super::{Batch, Fault, Source, column, fault, issues, keys, log_panics, not_open, rows, source, text_column};
    use crate::usage::{self, Announced, MapsUsage, UsageBatch, ValueBlock};
    use crate::{Aggregate, Period, Repeat, UsageMapper, UserKey};

    pub use super::bindings::exports::gristmill::mapper::product_usage::{Guest, Layout, UsageBatch as Returned};

    thread_local! {
        static OPEN: RefCell<Option<Box<dyn MapsUsage>>> = const { RefCell::new(None) };
    }

    pub fn check<M: UsageMapper>(settings: &str) -> Vec<Fault> {
        log_panics();
        usage::check::<M>(settings).into_iter().map(fault).collect()
    }

    pub fn open<M: UsageMapper>(from: Source, header: Vec<String>, settings: &str) -> Result<Layout, Fault> {
        log_panics();
        let (mapper, layout) = usage::open::<M>(&source(from), &header, settings).map_err(fault)?;
        OPEN.set(Some(mapper));
        Ok(Layout {
            wanted: layout.wanted,
            identifiers: keys(layout.identifiers),
            user: layout.user.map(|key| match key {
                UserKey::Id => wire::UserKey::Id,
                UserKey::Email => wire::UserKey::Email,
                UserKey::Name => wire::UserKey::Name,
            }),
        })
    }

    pub fn map_batch(batch: Batch) -> Result<Returned, Fault> {
        let map = |open: &mut Box<dyn MapsUsage>| open.map_batch(&rows(batch)).map(returned).map_err(fault);
        OPEN.with_borrow_mut(|open| open.as_mut().ok_or_else(not_open).and_then(map))
    }

    pub fn finish() -> Result<Returned, Fault> {
        let mut open = OPEN.take().ok_or_else(not_open)?;
        open.finish().map(returned).map_err(fault)
    }

    fn series(series: Announced) -> wire::Series {
        wire::Series {
            product: series.product,
            metric: series.metric,
            unit: series.unit,
            value_type: super::value_type(series.value_type),
            aggregate: match series.aggregate {
                Aggregate::Sum => wire::Aggregate::Sum,
                Aggregate::Last => wire::Aggregate::Last,
                Aggregate::Max => wire::Aggregate::Max,
                Aggregate::Min => wire::Aggregate::Min,
                Aggregate::Avg => wire::Aggregate::Avg,
                Aggregate::Count => wire::Aggregate::Count,
            },
            period: match series.period {
                Period::Single => wire::Period::Single,
                Period::Daily => wire::Period::Daily,
                Period::Weekly => wire::Period::Weekly,
                Period::Monthly => wire::Period::Monthly,
                Period::Quarterly => wire::Period::Quarterly,
                Period::Yearly => wire::Period::Yearly,
                Period::Custom(calendar) => wire::Period::Custom(calendar),
            },
            repeat: match series.repeat {
                Repeat::Replace => wire::Repeat::Replace,
                Repeat::Add => wire::Repeat::Add,
            },
        }
    }

    fn returned(batch: UsageBatch) -> Returned {
        let block = |block: ValueBlock| wire::ValueBlock {
            entry_of: block.entry_of,
            series_of: block.series_of,
            values: column(block.values, block.value_type),
        };
        Returned {
            rows: batch.rows,
            identifiers: batch.identifiers.into_iter().map(text_column).collect(),
            user: batch.user.map(text_column),
            dates: batch.dates,
            period_starts: batch.starts,
            announced: batch.announced.into_iter().map(series).collect(),
            blocks: batch.blocks.into_iter().map(block).collect(),
            issues: issues(batch.issues),
        }
    }
}
