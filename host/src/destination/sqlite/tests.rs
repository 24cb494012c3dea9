//! What the store promises, through the trait alone; what it holds is read through the views and the schema.

use std::sync::Arc;

use arrow_array::builder::{Int64Builder, ListBuilder, StringBuilder};
use arrow_array::{ArrayRef, Date32Array, StringArray};
use arrow_buffer::BooleanBuffer;
use arrow_schema::{DataType, Field};
use jiff::Timestamp;
use rusqlite::Connection;
use rusqlite::types::Value as Stored;
use tempfile::TempDir;

use super::*;
use crate::batch::{
    AccountBatch, AccountLayout, Aggregate, FieldColumn, Identifier, Issues, MatchKey, OutputField, Period, Repeat,
    Semantic, Series, UsageBatch, UsageLayout, UserKey, ValueBlock, ValueType, WriteMode,
};
use crate::destination::{Matching, Merged, OnNoMatch, Preview, RowCounts};
use crate::object::{AsOf, ContentHash, Generation, MappingDigest, Object};

mod matching;
mod order;
mod storing;
mod usage;

/// A destination in a directory of its own.
struct Bed {
    directory: TempDir,
    destination: SqliteDestination,
}

impl Bed {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let destination = open(&directory).unwrap();
        Self { directory, destination }
    }

    fn database(&self) -> PathBuf {
        self.directory.path().join("stores/default.db")
    }

    fn stage(&self, file: &File) -> Box<dyn Staging> {
        let mut staging = self.destination.stage(file.delivery()).unwrap();
        let layouts = (file.accounts.as_ref().map(Accounts::layout), file.usage.as_ref().map(Usage::layout));
        staging.open_table(layouts.0.as_ref(), layouts.1.as_ref()).unwrap();
        if let Some(accounts) = &file.accounts {
            staging.accounts(&accounts.batch(), &file.rejected).unwrap();
        }
        if let Some(usage) = &file.usage {
            staging.usage(&usage.batch(), &file.rejected).unwrap();
        }
        staging
    }

    fn merge(&self, file: &File) -> Result<Merged, DestinationError> {
        self.stage(file).merge(RowCounts::default()).map(|summary| summary.merged)
    }

    fn preview(&self, file: &File) -> Preview {
        self.stage(file).preview().unwrap()
    }

    /// The rows of a query, each as its values joined by `|`.
    #[expect(clippy::disallowed_methods, reason = "what a person would see")]
    fn rows(&self, sql: &str) -> Vec<String> {
        let connection = Connection::open(self.database()).unwrap();
        let mut statement = connection.prepare(sql).unwrap();
        let columns = statement.column_count();
        let read = |row: &rusqlite::Row<'_>| {
            let values: Vec<String> = (0..columns).map(|index| show(row.get_unwrap(index))).collect();
            Ok(values.join("|"))
        };
        statement.query_map([], read).unwrap().map(Result::unwrap).collect()
    }

    /// Fields as people see them: `crm_id|field|value`.
    fn fields(&self) -> Vec<String> {
        self.rows("SELECT coalesce(crm_id, domains, name), field, value FROM account_field_values ORDER BY 1, 2")
    }

    /// Usage as people see it: `crm_id|user|metric|period_start|value`.
    fn usage(&self) -> Vec<String> {
        self.rows("SELECT coalesce(crm_id, domains), user, metric, period_start, value FROM usage_records ORDER BY 1, 2, 3, 4")
    }
}

fn open(directory: &TempDir) -> Result<SqliteDestination, DestinationError> {
    SqliteDestination::open(directory.path().join("stores"), directory.path().join("staging"))
}

fn show(value: Stored) -> String {
    match value {
        Stored::Null => "-".to_owned(),
        Stored::Integer(number) => number.to_string(),
        Stored::Real(number) => number.to_string(),
        Stored::Text(text) => text,
        Stored::Blob(bytes) => format!("{bytes:x?}"),
    }
}

/// One object with its records.
#[derive(Debug, Clone)]
struct File {
    integration: &'static str,
    key: String,
    version: u64,
    generation: u32,
    second: i64,
    matching: Matching,
    rejected: Vec<u32>,
    accounts: Option<Accounts>,
    usage: Option<Usage>,
}

impl File {
    fn new(key: &str) -> Self {
        Self {
            integration: "crm",
            key: key.to_owned(),
            version: 1,
            generation: 0,
            second: 1_000,
            matching: Matching { on_no_match: OnNoMatch::Create, ..Matching::default() },
            rejected: Vec::new(),
            accounts: None,
            usage: None,
        }
    }

    fn at(mut self, second: i64) -> Self {
        self.second = second;
        self
    }

    fn generation(mut self, generation: u32) -> Self {
        self.generation = generation;
        self
    }

    fn version(mut self, version: u64) -> Self {
        self.version = version;
        self
    }

    fn skipping(self) -> Self {
        self.matching(Matching::default())
    }

    fn matching(mut self, matching: Matching) -> Self {
        self.matching = matching;
        self
    }

    fn accounts(mut self, accounts: Accounts) -> Self {
        self.accounts = Some(accounts);
        self
    }

    fn usage(mut self, usage: Usage) -> Self {
        self.usage = Some(usage);
        self
    }

    fn delivery(&self) -> Delivery {
        let object = Object {
            connection: "acme".parse().unwrap(),
            bucket: "exports".parse().unwrap(),
            key: self.key.parse().unwrap(),
            etag: format!("v{}", self.version).parse().unwrap(),
            size: 10,
            last_modified: Timestamp::from_second(self.second).unwrap(),
        };
        let identity = Identity {
            integration: self.integration.parse().unwrap(),
            dedup_key: object.dedup_key(),
            generation: Generation(self.generation),
        };
        let as_of = AsOf {
            effective_time: object.last_modified,
            key: object.key.clone(),
            arrival: self.version,
            generation: identity.generation,
        };
        Delivery {
            identity,
            object,
            tenant: TenantName::default(),
            as_of,
            mapping: MappingDigest::from_bytes([1; 32]),
            content: ContentHash::from_bytes([2; 32]),
            matching: self.matching,
        }
    }
}

/// What a cell of a mapped field says.
#[derive(Debug, Clone, PartialEq)]
enum Cell {
    Keep,
    Clear,
    Text(String),
    Number(i64),
    List(Vec<&'static str>),
}

fn text(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}

/// Account records of one table.
#[derive(Debug, Clone)]
struct Accounts {
    identifiers: Vec<Identifier>,
    fields: Vec<OutputField>,
    rows: Vec<(Vec<Option<String>>, Vec<Cell>)>,
}

impl Accounts {
    fn by(identifiers: Vec<Identifier>, fields: Vec<OutputField>) -> Self {
        Self { identifiers, fields, rows: Vec::new() }
    }

    fn by_crm_id(fields: Vec<OutputField>) -> Self {
        Self::by(vec![vec![MatchKey::CrmId]], fields)
    }

    /// Adds a record; an empty identifier is a null.
    fn row(mut self, identifiers: &[&str], cells: Vec<Cell>) -> Self {
        self.rows.push((optional(identifiers), cells));
        self
    }

    fn layout(&self) -> AccountLayout {
        AccountLayout { wanted: Vec::new(), identifiers: self.identifiers.clone(), fields: self.fields.clone() }
    }

    fn batch(&self) -> AccountBatch {
        let fields = self.fields.iter().enumerate().map(|(index, field)| {
            let cells: Vec<&Cell> = self.rows.iter().map(|(_, cells)| &cells[index]).collect();
            let clear = cells.iter().map(|cell| **cell == Cell::Clear).collect::<BooleanBuffer>();
            FieldColumn { values: array(field.value_type, &cells), clear: Some(clear) }
        });
        AccountBatch {
            rows: (0..self.rows.len() as u32).collect(),
            identifiers: columns(self.rows.iter().map(|(identifiers, _)| identifiers)),
            fields: fields.collect(),
            issues: Issues::none(),
        }
    }
}

fn optional(identifiers: &[&str]) -> Vec<Option<String>> {
    identifiers.iter().map(|value| (!value.is_empty()).then(|| (*value).to_owned())).collect()
}

fn columns<'a>(rows: impl Iterator<Item = &'a Vec<Option<String>>> + Clone) -> Vec<StringArray> {
    let width = rows.clone().next().map_or(0, Vec::len);
    (0..width).map(|index| rows.clone().map(|row| row[index].as_deref()).collect()).collect()
}

fn array(value_type: ValueType, cells: &[&Cell]) -> ArrayRef {
    match value_type {
        ValueType::Text => {
            let texts = cells.iter().map(|cell| if let Cell::Text(text) = cell { Some(text.as_str()) } else { None });
            Arc::new(texts.collect::<StringArray>())
        }
        ValueType::TextList => {
            let mut builder =
                ListBuilder::new(StringBuilder::new()).with_field(Field::new_list_field(DataType::Utf8, false));
            for cell in cells {
                if let Cell::List(items) = cell {
                    items.iter().for_each(|item| builder.values().append_value(item));
                }
                builder.append(matches!(cell, Cell::List(_)));
            }
            Arc::new(builder.finish())
        }
        _ => {
            let mut builder = Int64Builder::new();
            cells.iter().for_each(|cell| {
                builder.append_option(if let Cell::Number(number) = cell { Some(*number) } else { None })
            });
            Arc::new(builder.finish())
        }
    }
}

fn field(name: &str, value_type: ValueType, write_mode: WriteMode) -> OutputField {
    OutputField { name: name.to_owned(), value_type, semantic: Semantic::Plain, unit: None, write_mode }
}

fn plain(name: &str) -> OutputField {
    field(name, ValueType::Text, WriteMode::Overwrite)
}

/// Usage records of one table.
#[derive(Debug, Clone)]
struct Usage {
    identifiers: Vec<Identifier>,
    user: Option<UserKey>,
    series: Vec<Series>,
    rows: Vec<UsageRow>,
}

#[derive(Debug, Clone)]
struct UsageRow {
    identifiers: Vec<Option<String>>,
    user: Option<String>,
    date: i32,
    period_start: i32,
    values: Vec<Option<i64>>,
}

impl Usage {
    fn of(series: Vec<Series>) -> Self {
        Self { identifiers: vec![vec![MatchKey::CrmId]], user: None, series, rows: Vec::new() }
    }

    fn by_email(mut self) -> Self {
        self.user = Some(UserKey::Email);
        self
    }

    fn row(self, crm_id: &str, date: i32, period_start: i32, values: Vec<Option<i64>>) -> Self {
        self.user_row(crm_id, "", date, period_start, values)
    }

    fn user_row(mut self, crm_id: &str, user: &str, date: i32, period_start: i32, values: Vec<Option<i64>>) -> Self {
        let user = (!user.is_empty()).then(|| user.to_owned());
        self.rows.push(UsageRow { identifiers: optional(&[crm_id]), user, date, period_start, values });
        self
    }

    fn layout(&self) -> UsageLayout {
        UsageLayout { wanted: Vec::new(), identifiers: self.identifiers.clone(), user: self.user }
    }

    fn batch(&self) -> UsageBatch {
        let blocks = self.series.iter().enumerate().map(|(number, _)| {
            let mut values = Int64Builder::new();
            self.rows.iter().for_each(|row| values.append_option(row.values[number]));
            ValueBlock {
                entry_of: (0..self.rows.len() as u32).collect(),
                series_of: vec![number as u32; self.rows.len()],
                values: Arc::new(values.finish()),
            }
        });
        UsageBatch {
            rows: (0..self.rows.len() as u32).collect(),
            identifiers: columns(self.rows.iter().map(|row| &row.identifiers)),
            user: self.user.map(|_| self.rows.iter().map(|row| row.user.as_deref()).collect()),
            dates: self.rows.iter().map(|row| row.date).collect::<Vec<_>>().into(),
            period_starts: Date32Array::from_iter_values(self.rows.iter().map(|row| row.period_start)),
            announced: self.series.clone(),
            blocks: blocks.collect(),
            issues: Issues::none(),
        }
    }
}

fn series(metric: &str, aggregate: Aggregate, repeat: Repeat) -> Series {
    Series {
        product: "Core".to_owned(),
        metric: metric.to_owned(),
        unit: None,
        value_type: ValueType::Integer,
        aggregate,
        period: Period::Monthly,
        repeat,
    }
}
