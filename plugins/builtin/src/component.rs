//! The component: moves buffers between the contract's types and the library's, and does nothing else.
//!
//! An instance maps one table at a time and lives for one file, so its state is the mapper of the current table.

mod bindings {
    wit_bindgen::generate!({ path: "../../wit/0.1.0", world: "mapper" });
}

use std::cell::RefCell;

use bindings::exports::gristmill::mapper::{field_mapping, product_usage};
use bindings::gristmill::mapper::columns as wire_columns;
use bindings::gristmill::mapper::log::{Level, write};
use bindings::gristmill::mapper::types as wire;

use crate::columns::{Batch, Cells, Column, FieldColumn, Issues, Text, TextColumn, Values};
use crate::settings::{Aggregate, Match, Period, Repeat, UserKey, WriteMode};
use crate::{Fault, FieldMapper, FileInfo, Semantic, UsageMapper, ValueType, fields, usage};

struct Component;

bindings::export!(Component with_types_in bindings);

thread_local! {
    static FIELDS: RefCell<Option<FieldMapper>> = const { RefCell::new(None) };
    static USAGE: RefCell<Option<UsageMapper>> = const { RefCell::new(None) };
}

impl field_mapping::Guest for Component {
    fn check(settings: String) -> Vec<wire::Fault> {
        crate::check(&settings).into_iter().map(wire_fault).collect()
    }

    fn open(source: wire::Source, header: Vec<String>, settings: String) -> Result<field_mapping::Layout, wire::Fault> {
        let mapper = FieldMapper::open(file_info(&source), &header, &settings).map_err(wire_fault)?;
        warn(mapper.notices());
        let layout = field_mapping::Layout {
            wanted: mapper.layout().wanted.clone(),
            identifiers: wire_keys(&mapper.layout().identifiers),
            fields: mapper.layout().fields.iter().map(wire_field).collect(),
        };
        FIELDS.set(Some(mapper));
        Ok(layout)
    }

    fn map_batch(batch: wire::Batch) -> Result<field_mapping::AccountBatch, wire::Fault> {
        let map = |mapper: &mut FieldMapper| mapper.map_batch(&borrow(&batch)?);
        FIELDS
            .with_borrow_mut(|mapper| mapper.as_mut().ok_or_else(not_open).and_then(map))
            .map(wire_accounts)
            .map_err(wire_fault)
    }

    fn finish() -> Result<field_mapping::AccountBatch, wire::Fault> {
        let mut mapper = FIELDS.take().ok_or_else(not_open).map_err(wire_fault)?;
        Ok(wire_accounts(mapper.finish()))
    }
}

impl product_usage::Guest for Component {
    fn check(settings: String) -> Vec<wire::Fault> {
        crate::check(&settings).into_iter().map(wire_fault).collect()
    }

    fn open(source: wire::Source, header: Vec<String>, settings: String) -> Result<product_usage::Layout, wire::Fault> {
        let mapper = UsageMapper::open(file_info(&source), &header, &settings).map_err(wire_fault)?;
        warn(mapper.notices());
        let layout = product_usage::Layout {
            wanted: mapper.layout().wanted.clone(),
            identifiers: wire_keys(&mapper.layout().identifiers),
            user: mapper.layout().user.map(wire_user),
        };
        USAGE.set(Some(mapper));
        Ok(layout)
    }

    fn map_batch(batch: wire::Batch) -> Result<product_usage::UsageBatch, wire::Fault> {
        let map = |mapper: &mut UsageMapper| mapper.map_batch(&borrow(&batch)?);
        USAGE
            .with_borrow_mut(|mapper| mapper.as_mut().ok_or_else(not_open).and_then(map))
            .map(wire_usage)
            .map_err(wire_fault)
    }

    fn finish() -> Result<product_usage::UsageBatch, wire::Fault> {
        let mut mapper = USAGE.take().ok_or_else(not_open).map_err(wire_fault)?;
        Ok(wire_usage(mapper.finish()))
    }
}

fn file_info(source: &wire::Source) -> FileInfo<'_> {
    FileInfo {
        key: &source.key,
        sheet: source.sheet.as_deref(),
        last_modified: source.last_modified,
        today: source.today,
    }
}

fn warn(notices: &[String]) {
    notices.iter().for_each(|notice| write(Level::Warn, notice));
}

fn not_open() -> Fault {
    Fault::new("not_open", "no table is open".to_owned())
}

fn borrow(batch: &wire::Batch) -> Result<Batch<'_>, Fault> {
    let columns = batch
        .columns
        .iter()
        .map(|cells| Cells::new(&cells.text.offsets, &cells.text.bytes, cells.typed.as_deref()))
        .collect::<Result<_, _>>()?;
    Batch::new(batch.first_row, batch.rows, columns)
}

fn wire_fault(fault: Fault) -> wire::Fault {
    wire::Fault { code: fault.code.to_owned(), message: fault.message, row: fault.row, column: fault.column }
}

fn wire_keys(identifiers: &[Vec<Match>]) -> Vec<Vec<wire::MatchKey>> {
    identifiers.iter().map(|keys| keys.iter().map(wire_key).collect()).collect()
}

fn wire_key(key: &Match) -> wire::MatchKey {
    match key {
        Match::CrmId => wire::MatchKey::CrmId,
        Match::Domain => wire::MatchKey::Domain,
        Match::Name => wire::MatchKey::Name,
        Match::Id => wire::MatchKey::Id,
        Match::Field(key) => wire::MatchKey::Field(key.clone()),
    }
}

fn wire_field(field: &fields::OutputField) -> field_mapping::OutputField {
    field_mapping::OutputField {
        name: field.name.clone(),
        value_type: wire_type(field.value_type),
        semantic: match field.semantic {
            Semantic::Plain => field_mapping::Semantic::Plain,
            Semantic::LongText => field_mapping::Semantic::LongText,
            Semantic::Percent => field_mapping::Semantic::Percent,
            Semantic::Currency => field_mapping::Semantic::Currency,
            Semantic::Picklist => field_mapping::Semantic::Picklist,
            Semantic::Url => field_mapping::Semantic::Url,
            Semantic::Email => field_mapping::Semantic::Email,
            Semantic::User => field_mapping::Semantic::User,
        },
        unit: field.unit.clone(),
        write_mode: match field.write {
            WriteMode::Overwrite => field_mapping::WriteMode::Overwrite,
            WriteMode::IfEmpty => field_mapping::WriteMode::IfEmpty,
            WriteMode::Append => field_mapping::WriteMode::Append,
        },
    }
}

fn wire_type(value_type: ValueType) -> wire_columns::ValueType {
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

fn wire_text(text: Text) -> wire_columns::Text {
    wire_columns::Text { offsets: text.offsets, bytes: text.bytes }
}

fn wire_identifiers(columns: Vec<TextColumn>) -> Vec<wire_columns::TextColumn> {
    columns.into_iter().map(wire_text_column).collect()
}

fn wire_text_column(column: TextColumn) -> wire_columns::TextColumn {
    wire_columns::TextColumn { text: wire_text(column.text), validity: column.validity }
}

fn wire_user(key: UserKey) -> product_usage::UserKey {
    match key {
        UserKey::Id => product_usage::UserKey::Id,
        UserKey::Email => product_usage::UserKey::Email,
        UserKey::Name => product_usage::UserKey::Name,
    }
}

fn wire_column(column: Column) -> wire_columns::Column {
    let values = match column.values {
        Values::Text(text) => wire_columns::Values::Text(wire_text(text)),
        Values::Integer(values) => wire_columns::Values::Integer(values),
        Values::Float(values) => wire_columns::Values::Float(values),
        Values::Decimal(values) => wire_columns::Values::Decimal(values),
        Values::Boolean(bits) => wire_columns::Values::Boolean(bits),
        Values::Date(values) => wire_columns::Values::Date(values),
        Values::Timestamp(values) => wire_columns::Values::Timestamp(values),
        Values::TextList(lists) => wire_columns::Values::TextList(wire_columns::TextList {
            offsets: lists.offsets,
            items: wire_text(lists.items),
        }),
    };
    wire_columns::Column { values, validity: column.validity }
}

fn wire_issues(issues: Issues) -> wire::Issues {
    wire::Issues {
        rows: issues.rows,
        columns: issues.columns,
        rejects: issues.rejects,
        codes: wire_text(issues.codes),
        messages: wire_text(issues.messages),
    }
}

fn wire_accounts(batch: fields::AccountBatch) -> field_mapping::AccountBatch {
    let field =
        |field: FieldColumn| field_mapping::FieldColumn { column: wire_column(field.column), clear: field.clear };
    field_mapping::AccountBatch {
        rows: batch.rows,
        identifiers: wire_identifiers(batch.identifiers),
        fields: batch.fields.into_iter().map(field).collect(),
        issues: wire_issues(batch.issues),
    }
}

fn wire_usage(batch: usage::UsageBatch) -> product_usage::UsageBatch {
    let block = |block: usage::ValueBlock| product_usage::ValueBlock {
        entry_of: block.entry_of,
        series_of: block.series_of,
        values: wire_column(block.values),
    };
    product_usage::UsageBatch {
        rows: batch.rows,
        identifiers: wire_identifiers(batch.identifiers),
        user: batch.user.map(wire_text_column),
        dates: batch.dates,
        period_starts: batch.period_starts,
        announced: batch.announced.into_iter().map(wire_series).collect(),
        blocks: batch.blocks.into_iter().map(block).collect(),
        issues: wire_issues(batch.issues),
    }
}

fn wire_series(series: usage::Series) -> product_usage::Series {
    product_usage::Series {
        product: series.product,
        metric: series.metric,
        unit: series.unit,
        value_type: wire_type(series.value_type),
        aggregate: match series.aggregate {
            Aggregate::Sum => product_usage::Aggregate::Sum,
            Aggregate::Last => product_usage::Aggregate::Last,
            Aggregate::Max => product_usage::Aggregate::Max,
            Aggregate::Min => product_usage::Aggregate::Min,
            Aggregate::Avg => product_usage::Aggregate::Avg,
            Aggregate::Count => product_usage::Aggregate::Count,
        },
        period: match series.period {
            Period::Single => product_usage::Period::Single,
            Period::Daily => product_usage::Period::Daily,
            Period::Weekly => product_usage::Period::Weekly,
            Period::Monthly => product_usage::Period::Monthly,
            Period::Quarterly => product_usage::Period::Quarterly,
            Period::Yearly => product_usage::Period::Yearly,
        },
        repeat: match series.repeat {
            Repeat::Replace => product_usage::Repeat::Replace,
            Repeat::Add => product_usage::Repeat::Add,
        },
    }
}
