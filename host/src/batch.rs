//! What passes between decoding, mapping and delivery, as Arrow arrays.
//!
//! A [`Batch`] is some rows of a table as columns of text; an [`AccountBatch`] or [`UsageBatch`] is what a mapper made
//! of one. All arrays have been checked by Arrow before they stand here, so code that reads them may index within
//! their lengths. Like `object`, this module uses no other.

use std::ops::Range;

use arrow_array::{Array, ArrayRef, Date32Array, StringArray};
use arrow_buffer::BooleanBuffer;
use arrow_schema::{DataType, Field, TimeUnit};
use serde::{Deserialize, Serialize};

/// What a table says of itself before its first row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableHead {
    /// The sheet's name; none for a CSV file.
    pub sheet: Option<String>,
    /// The column names as they stand in the file, with missing names filled and doubled ones told apart.
    pub header: Vec<String>,
    /// Names that stand in the file more than once. To map one of them is an error.
    pub duplicates: Vec<String>,
}

/// Some rows of a table. Memory: bounded by the decoder, in rows and in bytes.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The table-wide number of the first row, from 0, the header not counted.
    pub first_row: u32,
    /// Where each row starts: the line of a CSV file or the row of a sheet, from 1. One entry a row.
    pub lines: Vec<u64>,
    /// By header index; none for a column that nobody asked for.
    pub columns: Vec<Option<Cells>>,
    /// Rows that the decoder itself refuses, ragged ones say. They keep their place, padded with blanks.
    pub issues: Issues,
}

impl Batch {
    /// How many rows.
    pub fn rows(&self) -> usize {
        self.lines.len()
    }

    /// Some of its rows. The cells are shared.
    ///
    /// # Panics
    /// When the range is not within the rows.
    pub fn slice(&self, rows: Range<usize>) -> Self {
        let cells = |cells: &Cells| Cells {
            text: cells.text.slice(rows.start, rows.len()),
            typed: cells.typed.as_ref().map(|bits| bits.slice(rows.start, rows.len())),
        };
        let first_row = self.first_row + rows.start as u32;
        Self {
            first_row,
            lines: self.lines[rows.clone()].to_vec(),
            columns: self.columns.iter().map(|column| column.as_ref().map(cells)).collect(),
            issues: self.issues.of_rows(first_row..first_row + rows.len() as u32),
        }
    }
}

/// One column of source cells. A blank cell is the empty string; there are no nulls.
#[derive(Debug, Clone)]
pub struct Cells {
    /// The text, one entry a row.
    pub text: StringArray,
    /// Set where the workbook typed the cell itself, so that its text is canonical.
    pub typed: Option<BooleanBuffer>,
}

/// What an identifier's value is compared with.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MatchKey {
    /// The account's id in the customer relationship system.
    CrmId,
    /// A domain of the account.
    Domain,
    /// The account's name.
    Name,
    /// The account's id in the destination.
    Id,
    /// A custom account field.
    Field(String),
}

/// One strategy: the keys that together say which account a record belongs to.
pub type Identifier = Vec<MatchKey>;

/// The type of a mapped column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueType {
    /// UTF-8.
    Text,
    /// 64 bits, signed.
    Integer,
    /// 64 bits.
    Float,
    /// Unscaled 64 bits with this many digits after the point, 0 to 18.
    Decimal(u8),
    /// True or false.
    Boolean,
    /// Days since 1970-01-01.
    Date,
    /// Microseconds since 1970-01-01T00:00:00Z.
    Timestamp,
    /// A list of texts.
    TextList,
}

impl ValueType {
    /// The Arrow type that holds it. Decimals are unscaled: an `Int64` array whose scale stands here, because
    /// that is what crosses the WIT boundary and what the destinations store.
    pub fn arrow(self) -> DataType {
        match self {
            Self::Text => DataType::Utf8,
            Self::Integer | Self::Decimal(_) => DataType::Int64,
            Self::Float => DataType::Float64,
            Self::Boolean => DataType::Boolean,
            Self::Date => DataType::Date32,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::TextList => DataType::List(Field::new_list_field(DataType::Utf8, false).into()),
        }
    }
}

/// What values mean beyond their type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Semantic {
    Plain,
    LongText,
    Percent,
    Currency,
    Picklist,
    Url,
    Email,
    /// A user, told by this; a destination that keeps users stores its id.
    User(UserKey),
}

/// How a value meets the one that is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WriteMode {
    /// The newest value counts.
    Overwrite,
    /// The oldest value counts.
    IfEmpty,
    /// Lists: the union counts.
    Append,
}

/// One account field that a mapper writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputField {
    /// The field's key.
    pub name: String,
    /// The type of its values.
    pub value_type: ValueType,
    /// What they mean.
    pub semantic: Semantic,
    /// A currency code, where there is one.
    pub unit: Option<String>,
    /// How they are written.
    pub write_mode: WriteMode,
}

/// What a mapper makes of a table's rows as account records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountLayout {
    /// Header indices of the columns it reads, each below the header's length.
    pub wanted: Vec<u32>,
    /// Strategies, tried in order; at least one, none empty.
    pub identifiers: Vec<Identifier>,
    /// The output fields, no name twice.
    pub fields: Vec<OutputField>,
}

/// Account records of one batch.
#[derive(Debug, Clone)]
pub struct AccountBatch {
    /// The table-wide input row of each record.
    pub rows: Vec<u32>,
    /// The strategies' columns, flattened in order.
    pub identifiers: Vec<StringArray>,
    /// In the order of the layout's fields.
    pub fields: Vec<FieldColumn>,
    /// What is wrong with rows of this batch.
    pub issues: Issues,
}

/// One field's values.
#[derive(Debug, Clone)]
pub struct FieldColumn {
    /// The values; a null keeps what is stored.
    pub values: ArrayRef,
    /// Set where the stored value is to be erased.
    pub clear: Option<BooleanBuffer>,
}

/// How one account's values of one metric and period become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Aggregate {
    Sum,
    Last,
    Max,
    Min,
    Avg,
    Count,
}

/// The span of time a usage value stands for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Period {
    Single,
    Daily,
    Weekly,
    Monthly,
    Quarterly,
    Yearly,
    Custom(String),
}

/// What happens when several objects bring a value for one period (R9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Repeat {
    /// The newest object's counts.
    Replace,
    /// Every object's latest version counts.
    Add,
}

/// What identifies a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum UserKey {
    Id,
    Email,
    Name,
}

/// One product's metric, as a mapper announces it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
    /// What several objects do.
    pub repeat: Repeat,
}

/// What a mapper makes of a table's rows as usage records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageLayout {
    /// Header indices of the columns it reads, each below the header's length.
    pub wanted: Vec<u32>,
    /// Strategies, tried in order; at least one, none empty.
    pub identifiers: Vec<Identifier>,
    /// What identifies a user, where usage is kept by user.
    pub user: Option<UserKey>,
}

/// Usage records of one batch.
#[derive(Debug, Clone)]
pub struct UsageBatch {
    /// The table-wide input row of each entry.
    pub rows: Vec<u32>,
    /// The strategies' columns, flattened in order, one value an entry.
    pub identifiers: Vec<StringArray>,
    /// One value an entry, where the layout names a user key.
    pub user: Option<StringArray>,
    /// The rows' own dates, which order values within a period.
    pub dates: Date32Array,
    /// The period's first day.
    pub period_starts: Date32Array,
    /// Series new in this batch. They are numbered over the whole table in the order announced.
    pub announced: Vec<Series>,
    /// The values.
    pub blocks: Vec<ValueBlock>,
    /// What is wrong with rows of this batch.
    pub issues: Issues,
}

/// Usage values of one type.
#[derive(Debug, Clone)]
pub struct ValueBlock {
    /// For each value the entry of its batch, below the number of entries.
    pub entry_of: Vec<u32>,
    /// For each value its series, below the number announced so far; the series has this block's type.
    pub series_of: Vec<u32>,
    /// The values.
    pub values: ArrayRef,
}

/// What is wrong with rows, as columns of one length.
#[derive(Debug, Clone)]
pub struct Issues {
    /// Table-wide input rows.
    pub rows: Vec<u32>,
    /// Header indices; -1 where no column is to blame.
    pub columns: Vec<i32>,
    /// Set for a reject, clear for a warning.
    pub rejects: BooleanBuffer,
    /// Stable codes.
    pub codes: StringArray,
    /// Sentences for the person who owns the data.
    pub messages: StringArray,
}

impl Issues {
    /// No issue.
    pub fn none() -> Self {
        Self {
            rows: Vec::new(),
            columns: Vec::new(),
            rejects: BooleanBuffer::new_unset(0),
            codes: StringArray::new_null(0),
            messages: StringArray::new_null(0),
        }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Those of some rows.
    fn of_rows(&self, rows: Range<u32>) -> Self {
        let places = || (0..self.len()).filter(|place| rows.contains(&self.rows[*place]));
        Self {
            rows: places().map(|place| self.rows[place]).collect(),
            columns: places().map(|place| self.columns[place]).collect(),
            rejects: places().map(|place| self.rejects.value(place)).collect(),
            codes: places().map(|place| Some(self.codes.value(place))).collect(),
            messages: places().map(|place| Some(self.messages.value(place))).collect(),
        }
    }

    /// Adds a reject for which no column is to blame.
    pub fn reject(&mut self, row: u32, code: &str, message: &str) {
        self.rows.push(row);
        self.columns.push(-1);
        self.rejects = self.rejects.iter().chain([true]).collect();
        self.codes = self.codes.iter().chain([Some(code)]).collect();
        self.messages = self.messages.iter().chain([Some(message)]).collect();
    }

    /// The rows that are rejected; a row with several rejects stands here several times.
    pub fn rejected_rows(&self) -> impl Iterator<Item = u32> + '_ {
        self.rejects.set_indices().map(|index| self.rows[index])
    }
}

impl AccountBatch {
    /// How many records.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

impl UsageBatch {
    /// How many usage values.
    pub fn values(&self) -> usize {
        self.blocks.iter().map(|block| block.values.len()).sum()
    }
}
