//! What the tests deliver: objects with account and usage records, made by hand.

use super::*;

/// One object with its records.
#[derive(Debug, Clone)]
pub(in crate::destination) struct File {
    pub(in crate::destination) integration: &'static str,
    pub(in crate::destination) bucket: &'static str,
    pub(in crate::destination) key: String,
    pub(in crate::destination) version: u64,
    pub(in crate::destination) generation: u32,
    pub(in crate::destination) second: i64,
    pub(in crate::destination) matching: Matching,
    pub(in crate::destination) rejected: Vec<u32>,
    pub(in crate::destination) brings: Brings,
    /// Its bytes; the version's own if none.
    pub(in crate::destination) content: Option<u8>,
    pub(in crate::destination) accounts: Option<Accounts>,
    pub(in crate::destination) usage: Option<Usage>,
}

impl File {
    pub(in crate::destination) fn new(key: &str) -> Self {
        Self {
            integration: "crm",
            bucket: "exports",
            key: key.to_owned(),
            version: 1,
            generation: 0,
            second: 1_000,
            matching: Matching { on_no_match: OnNoMatch::Create, ..Matching::default() },
            rejected: Vec::new(),
            brings: Brings::OWN,
            content: None,
            accounts: None,
            usage: None,
        }
    }

    pub(in crate::destination) fn at(mut self, second: i64) -> Self {
        self.second = second;
        self
    }

    pub(in crate::destination) fn generation(mut self, generation: u32) -> Self {
        self.generation = generation;
        self
    }

    pub(in crate::destination) fn version(mut self, version: u64) -> Self {
        self.version = version;
        self
    }

    pub(in crate::destination) fn skipping(self) -> Self {
        self.matching(Matching::default())
    }

    pub(in crate::destination) fn matching(mut self, matching: Matching) -> Self {
        self.matching = matching;
        self
    }

    pub(in crate::destination) fn accounts(mut self, accounts: Accounts) -> Self {
        self.accounts = Some(accounts);
        self
    }

    pub(in crate::destination) fn usage(mut self, usage: Usage) -> Self {
        self.usage = Some(usage);
        self
    }

    pub(in crate::destination) fn delivery(&self) -> Delivery {
        let object = Object {
            connection: "acme".parse().unwrap(),
            bucket: self.bucket.parse().unwrap(),
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
            content: ContentHash::from_bytes([self.content.unwrap_or(self.version as u8); 32]),
            matching: self.matching,
            brings: self.brings.clone(),
        }
    }
}

/// What a cell of a mapped field says.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::destination) enum Cell {
    Keep,
    Clear,
    Text(String),
    Number(i64),
    List(Vec<&'static str>),
}

pub(in crate::destination) fn text(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}

/// Account records of one table.
#[derive(Debug, Clone)]
pub(in crate::destination) struct Accounts {
    pub(in crate::destination) identifiers: Vec<Identifier>,
    pub(in crate::destination) fields: Vec<OutputField>,
    pub(in crate::destination) rows: Vec<(Vec<Option<String>>, Vec<Cell>)>,
}

impl Accounts {
    pub(in crate::destination) fn by(identifiers: Vec<Identifier>, fields: Vec<OutputField>) -> Self {
        Self { identifiers, fields, rows: Vec::new() }
    }

    pub(in crate::destination) fn by_crm_id(fields: Vec<OutputField>) -> Self {
        Self::by(vec![vec![MatchKey::CrmId]], fields)
    }

    /// Adds a record; an empty identifier is a null.
    pub(in crate::destination) fn row(mut self, identifiers: &[&str], cells: Vec<Cell>) -> Self {
        self.rows.push((optional(identifiers), cells));
        self
    }

    pub(in crate::destination) fn layout(&self) -> AccountLayout {
        AccountLayout { wanted: Vec::new(), identifiers: self.identifiers.clone(), fields: self.fields.clone() }
    }

    pub(in crate::destination) fn batch(&self) -> AccountBatch {
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

pub(in crate::destination) fn optional(identifiers: &[&str]) -> Vec<Option<String>> {
    identifiers.iter().map(|value| (!value.is_empty()).then(|| (*value).to_owned())).collect()
}

pub(in crate::destination) fn columns<'a>(
    rows: impl Iterator<Item = &'a Vec<Option<String>>> + Clone,
) -> Vec<StringArray> {
    let width = rows.clone().next().map_or(0, Vec::len);
    (0..width).map(|index| rows.clone().map(|row| row[index].as_deref()).collect()).collect()
}

pub(in crate::destination) fn array(value_type: ValueType, cells: &[&Cell]) -> ArrayRef {
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

pub(in crate::destination) fn field(name: &str, value_type: ValueType, write_mode: WriteMode) -> OutputField {
    OutputField { name: name.to_owned(), value_type, semantic: Semantic::Plain, unit: None, write_mode }
}

pub(in crate::destination) fn plain(name: &str) -> OutputField {
    field(name, ValueType::Text, WriteMode::Overwrite)
}

/// Usage records of one table.
#[derive(Debug, Clone)]
pub(in crate::destination) struct Usage {
    pub(in crate::destination) identifiers: Vec<Identifier>,
    pub(in crate::destination) user: Option<UserKey>,
    pub(in crate::destination) series: Vec<Series>,
    pub(in crate::destination) rows: Vec<UsageRow>,
}

#[derive(Debug, Clone)]
pub(in crate::destination) struct UsageRow {
    pub(in crate::destination) identifiers: Vec<Option<String>>,
    pub(in crate::destination) user: Option<String>,
    pub(in crate::destination) date: i32,
    pub(in crate::destination) period_start: i32,
    pub(in crate::destination) values: Vec<Option<i64>>,
}

impl Usage {
    pub(in crate::destination) fn of(series: Vec<Series>) -> Self {
        Self { identifiers: vec![vec![MatchKey::CrmId]], user: None, series, rows: Vec::new() }
    }

    pub(in crate::destination) fn by_email(mut self) -> Self {
        self.user = Some(UserKey::Email);
        self
    }

    pub(in crate::destination) fn row(
        self,
        crm_id: &str,
        date: i32,
        period_start: i32,
        values: Vec<Option<i64>>,
    ) -> Self {
        self.user_row(crm_id, "", date, period_start, values)
    }

    pub(in crate::destination) fn user_row(
        mut self,
        crm_id: &str,
        user: &str,
        date: i32,
        period_start: i32,
        values: Vec<Option<i64>>,
    ) -> Self {
        let user = (!user.is_empty()).then(|| user.to_owned());
        self.rows.push(UsageRow { identifiers: optional(&[crm_id]), user, date, period_start, values });
        self
    }

    pub(in crate::destination) fn layout(&self) -> UsageLayout {
        UsageLayout { wanted: Vec::new(), identifiers: self.identifiers.clone(), user: self.user }
    }

    pub(in crate::destination) fn batch(&self) -> UsageBatch {
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

pub(in crate::destination) fn series(metric: &str, aggregate: Aggregate, repeat: Repeat) -> Series {
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
