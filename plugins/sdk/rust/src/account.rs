//! Account records.

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use crate::columns::{
    Boolean, Builder, Column, Day, Decimal, Float, Identify, Integer, Kind, Marks, Moment, Place, Text, TextBuilder,
    TextColumn, TextList, ValueType, identify,
};
use crate::issue::{Fault, Gravity, Issues, Reject};
use crate::row::{Batch, Columns};
use crate::table::{Match, Source, Table};
use crate::{FieldMapper, settings};

/// What the values of a field mean beyond their type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Semantic {
    Plain,
    LongText,
    Percent,
    Currency,
    Picklist,
    Url,
    Email,
    User,
}

/// How a value meets the one that is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteMode {
    /// The newest stays.
    Overwrite,
    /// The oldest stays.
    IfEmpty,
    /// Lists: all stay.
    Append,
}

/// An account field that a mapper writes.
#[derive(Debug, Clone)]
pub struct Field<K> {
    announced: Announced,
    kind: PhantomData<fn() -> K>,
}

/// A field as the host gets to know it.
#[derive(Debug, Clone)]
pub(crate) struct Announced {
    pub(crate) name: String,
    pub(crate) value_type: ValueType,
    pub(crate) semantic: Semantic,
    pub(crate) unit: Option<String>,
    pub(crate) write_mode: WriteMode,
}

impl<K> Field<K> {
    fn new(name: impl Into<String>, value_type: ValueType) -> Self {
        let (semantic, write_mode) = (Semantic::Plain, WriteMode::Overwrite);
        Self {
            announced: Announced { name: name.into(), value_type, semantic, unit: None, write_mode },
            kind: PhantomData,
        }
    }

    /// With a meaning beyond its type.
    #[must_use]
    pub fn semantic(mut self, semantic: Semantic) -> Self {
        self.announced.semantic = semantic;
        self
    }

    /// In a unit; of a currency, its code.
    #[must_use]
    pub fn unit(mut self, unit: impl Into<String>) -> Self {
        self.announced.unit = Some(unit.into());
        self
    }

    /// Values are only written where there is none.
    #[must_use]
    pub fn if_empty(mut self) -> Self {
        self.announced.write_mode = WriteMode::IfEmpty;
        self
    }
}

impl Field<Text> {
    /// A text.
    pub fn text(name: impl Into<String>) -> Self {
        Self::new(name, ValueType::Text)
    }
}

impl Field<Integer> {
    /// A whole number.
    pub fn integer(name: impl Into<String>) -> Self {
        Self::new(name, ValueType::Integer)
    }
}

impl Field<Float> {
    /// A binary number.
    pub fn float(name: impl Into<String>) -> Self {
        Self::new(name, ValueType::Float)
    }
}

impl Field<Decimal> {
    /// An exact number with so many digits after its point, 18 at most.
    pub fn decimal(name: impl Into<String>, scale: u8) -> Self {
        Self::new(name, ValueType::Decimal(scale))
    }

    /// The same as an amount of money; [`Field::unit`] says of which.
    pub fn currency(name: impl Into<String>, scale: u8) -> Self {
        Self::decimal(name, scale).semantic(Semantic::Currency)
    }
}

impl Field<Boolean> {
    /// True or false.
    pub fn boolean(name: impl Into<String>) -> Self {
        Self::new(name, ValueType::Boolean)
    }
}

impl Field<Day> {
    /// A day.
    pub fn date(name: impl Into<String>) -> Self {
        Self::new(name, ValueType::Date)
    }
}

impl Field<Moment> {
    /// A moment.
    pub fn timestamp(name: impl Into<String>) -> Self {
        Self::new(name, ValueType::Timestamp)
    }
}

impl Field<TextList> {
    /// A list of texts.
    pub fn text_list(name: impl Into<String>) -> Self {
        Self::new(name, ValueType::TextList)
    }

    /// What is stored stays beside what is new.
    #[must_use]
    pub fn append(mut self) -> Self {
        self.announced.write_mode = WriteMode::Append;
        self
    }
}

/// A field that was announced; values go to it.
#[derive(Debug)]
pub struct FieldKey<K>(Place<K>);

impl<K> Clone for FieldKey<K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K> Copy for FieldKey<K> {}

/// A table that is being opened for account records.
#[derive(Debug)]
pub struct FieldTable<'a> {
    table: Table<'a>,
    fields: Vec<Announced>,
}

impl FieldTable<'_> {
    /// Announces a field.
    pub fn field<K: Kind>(&mut self, field: Field<K>) -> FieldKey<K> {
        self.fields.push(field.announced);
        FieldKey(Place::at(self.fields.len() - 1))
    }
}

impl<'a> Deref for FieldTable<'a> {
    type Target = Table<'a>;

    fn deref(&self) -> &Table<'a> {
        &self.table
    }
}

impl DerefMut for FieldTable<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.table
    }
}

/// Takes account records, and what is wrong with rows.
#[derive(Debug, Default)]
pub struct Accounts {
    /// The row that is being mapped.
    row: u32,
    rows: Vec<u32>,
    identifiers: Vec<TextBuilder>,
    fields: Vec<FieldBuilder>,
    issues: Issues,
}

#[derive(Debug)]
struct FieldBuilder {
    column: Builder,
    clear: Marks,
}

/// One account record on its way.
#[derive(Debug)]
pub struct Account<'a> {
    place: usize,
    fields: &'a mut [FieldBuilder],
}

impl Accounts {
    /// Begins a record of the current row. It is there from now on, whatever values follow.
    #[inline]
    pub fn account(&mut self, keys: impl Identify) -> Account<'_> {
        self.account_of(self.row, keys)
    }

    /// Begins a record of an earlier row, for what was held back.
    #[inline]
    pub fn account_of(&mut self, row: u32, keys: impl Identify) -> Account<'_> {
        identify(&mut self.identifiers, &keys);
        self.rows.push(row);
        Account { place: self.rows.len() - 1, fields: &mut self.fields }
    }

    /// Refuses the current row and goes on with it, to find what else is wrong.
    pub fn reject(&mut self, reject: &Reject) {
        self.reject_row(self.row, reject);
    }

    /// Refuses an earlier row.
    pub fn reject_row(&mut self, row: u32, reject: &Reject) {
        self.issues.add(row, Gravity::Reject, reject);
    }

    /// Says that something is odd with the current row, which is taken all the same.
    pub fn warn(&mut self, warning: &Reject) {
        self.issues.add(self.row, Gravity::Warning, warning);
    }

    fn take(&mut self) -> AccountBatch {
        let length = self.rows.len();
        AccountBatch {
            rows: std::mem::replace(&mut self.rows, Vec::with_capacity(length)),
            identifiers: self.identifiers.iter_mut().map(TextBuilder::take).collect(),
            fields: self.fields.iter_mut().map(|field| (field.column.take(length), field.clear.take(length))).collect(),
            issues: std::mem::take(&mut self.issues),
        }
    }
}

impl Account<'_> {
    /// Sets a field. None keeps what is stored.
    #[inline]
    pub fn set<'v, K: Kind>(&mut self, field: FieldKey<K>, value: impl Into<Option<K::Value<'v>>>) -> &mut Self {
        if let Some(builder) = self.fields.get_mut(field.0.index as usize) {
            builder.column.put::<K>(self.place, value.into());
        }
        self
    }

    /// Erases what is stored in a field.
    pub fn clear<K: Kind>(&mut self, field: FieldKey<K>) -> &mut Self {
        if let Some(builder) = self.fields.get_mut(field.0.index as usize) {
            builder.clear.mark(self.place);
        }
        self
    }
}

/// What a table is opened with.
#[derive(Debug)]
pub(crate) struct AccountLayout {
    pub(crate) wanted: Vec<u32>,
    pub(crate) identifiers: Vec<Vec<Match>>,
    pub(crate) fields: Vec<Announced>,
}

/// Records of a batch.
#[derive(Debug)]
pub(crate) struct AccountBatch {
    pub(crate) rows: Vec<u32>,
    pub(crate) identifiers: Vec<TextColumn>,
    /// Values, and a bitmap of what is to be erased.
    pub(crate) fields: Vec<(Column, Option<Vec<u8>>)>,
    pub(crate) issues: Issues,
}

/// A mapper at work on a table.
pub(crate) trait MapsAccounts {
    fn map_batch(&mut self, batch: &Batch) -> Result<AccountBatch, Fault>;
    fn finish(&mut self) -> Result<AccountBatch, Fault>;
}

struct Open<M> {
    mapper: M,
    columns: Columns,
    out: Accounts,
}

/// Opens a table.
pub(crate) fn open<M: FieldMapper>(
    source: &Source,
    header: &[String],
    text: &str,
) -> Result<(Box<dyn MapsAccounts>, AccountLayout), Fault> {
    let mut table = FieldTable { table: Table::new(source, header), fields: Vec::new() };
    let mapper = M::open(&mut table, settings(text)?)?;
    let FieldTable { table, fields } = table;
    let builder = |field: &Announced| FieldBuilder { column: Builder::of(field.value_type), clear: Marks::default() };
    let out = Accounts {
        identifiers: (0..table.keys()).map(|_| TextBuilder::default()).collect(),
        fields: fields.iter().map(builder).collect(),
        ..Accounts::default()
    };
    let columns = table.columns();
    let layout = AccountLayout { wanted: table.wanted, identifiers: table.identifiers, fields };
    Ok((Box::new(Open { mapper, columns, out }), layout))
}

/// What is wrong with settings.
pub(crate) fn check<M: FieldMapper>(text: &str) -> Vec<Fault> {
    settings(text).map_or_else(|fault| vec![fault], |settings| M::check(&settings))
}

impl<M: FieldMapper> MapsAccounts for Open<M> {
    fn map_batch(&mut self, batch: &Batch) -> Result<AccountBatch, Fault> {
        let Self { mapper, columns, out } = self;
        batch.each(columns, |row| {
            out.row = row.number();
            if let Err(reject) = mapper.map(row, out) {
                out.reject(&reject);
            }
        })?;
        Ok(out.take())
    }

    fn finish(&mut self) -> Result<AccountBatch, Fault> {
        self.mapper.finish(&mut self.out)?;
        Ok(self.out.take())
    }
}
