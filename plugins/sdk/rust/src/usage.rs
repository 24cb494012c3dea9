//! Usage records.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use crate::columns::{
    Boolean, Builder, Column, Decimal, Float, Identify, Integer, Kind, Place, Text, TextBuilder, TextColumn, ValueType,
    identify,
};
use crate::date::Date;
use crate::issue::{Fault, Gravity, Issues, Reject};
use crate::row::{Batch, Columns};
use crate::table::{Match, Source, Table};
use crate::{UsageMapper, settings};

/// How the values of one account, metric and period become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Aggregate {
    Sum,
    Last,
    Max,
    Min,
    Avg,
    Count,
}

/// The span of time that a value stands for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Period {
    /// The day itself, as a point in time.
    Single,
    Daily,
    Weekly,
    Monthly,
    Quarterly,
    Yearly,
    /// A calendar of the mapper's own, by its name. [`Entry::starting`] says where a period begins.
    Custom(String),
}

/// What happens when several objects bring a value for one period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Repeat {
    /// The newest object's counts.
    Replace,
    /// Every object's counts, once each.
    Add,
}

/// What identifies a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum UserKey {
    Id,
    Email,
    Name,
}

/// One product's metric: whole numbers or others, added up over a month unless something else is said.
#[derive(Debug, Clone)]
pub struct Series<K> {
    announced: Announced,
    kind: PhantomData<fn() -> K>,
}

/// A series as the host gets to know it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Announced {
    pub(crate) product: String,
    pub(crate) metric: String,
    pub(crate) unit: Option<String>,
    pub(crate) value_type: ValueType,
    pub(crate) aggregate: Aggregate,
    pub(crate) period: Period,
    pub(crate) repeat: Repeat,
}

impl<K> Series<K> {
    fn new(product: impl Into<String>, metric: impl Into<String>, value_type: ValueType, aggregate: Aggregate) -> Self {
        let announced = Announced {
            product: product.into(),
            metric: metric.into(),
            unit: None,
            value_type,
            aggregate,
            period: Period::Monthly,
            repeat: Repeat::Replace,
        };
        Self { announced, kind: PhantomData }
    }

    /// In a unit.
    #[must_use]
    pub fn unit(mut self, unit: impl Into<String>) -> Self {
        self.announced.unit = Some(unit.into());
        self
    }

    /// With values that become one in another way.
    #[must_use]
    pub fn aggregate(mut self, aggregate: Aggregate) -> Self {
        self.announced.aggregate = aggregate;
        self
    }

    /// Of another period.
    #[must_use]
    pub fn period(mut self, period: Period) -> Self {
        self.announced.period = period;
        self
    }

    /// With values of which every object's count.
    #[must_use]
    pub fn added_up(mut self) -> Self {
        self.announced.repeat = Repeat::Add;
        self
    }
}

impl Series<Integer> {
    /// Of whole numbers.
    pub fn integer(product: impl Into<String>, metric: impl Into<String>) -> Self {
        Self::new(product, metric, ValueType::Integer, Aggregate::Sum)
    }
}

impl Series<Float> {
    /// Of binary numbers.
    pub fn float(product: impl Into<String>, metric: impl Into<String>) -> Self {
        Self::new(product, metric, ValueType::Float, Aggregate::Sum)
    }
}

impl Series<Decimal> {
    /// Of exact numbers with so many digits after their point, 18 at most.
    pub fn decimal(product: impl Into<String>, metric: impl Into<String>, scale: u8) -> Self {
        Self::new(product, metric, ValueType::Decimal(scale), Aggregate::Sum)
    }
}

impl Series<Text> {
    /// Of texts, the last of which counts.
    pub fn text(product: impl Into<String>, metric: impl Into<String>) -> Self {
        Self::new(product, metric, ValueType::Text, Aggregate::Last)
    }
}

impl Series<Boolean> {
    /// Of true and false, the last of which counts.
    pub fn boolean(product: impl Into<String>, metric: impl Into<String>) -> Self {
        Self::new(product, metric, ValueType::Boolean, Aggregate::Last)
    }
}

/// A series that was announced; values go to it.
#[derive(Debug)]
pub struct SeriesKey<K>(Place<K>);

impl<K> Clone for SeriesKey<K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K> Copy for SeriesKey<K> {}

/// A table that is being opened for usage records.
#[derive(Debug)]
pub struct UsageTable<'a> {
    table: Table<'a>,
    out: Usage,
    user: Option<UserKey>,
}

impl UsageTable<'_> {
    /// Announces a series; one that is met later can be announced then ([`Usage::series`]).
    pub fn series<K: Kind>(&mut self, series: Series<K>) -> SeriesKey<K> {
        self.out.series(series)
    }

    /// Usage is kept by user; [`Entry::user`] says of which.
    pub fn by_user(&mut self, key: UserKey) {
        self.user = Some(key);
    }
}

impl<'a> Deref for UsageTable<'a> {
    type Target = Table<'a>;

    fn deref(&self) -> &Table<'a> {
        &self.table
    }
}

impl DerefMut for UsageTable<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.table
    }
}

/// Takes usage records, and what is wrong with rows.
#[derive(Debug, Default)]
pub struct Usage {
    /// The row that is being mapped.
    row: u32,
    rows: Vec<u32>,
    identifiers: Vec<TextBuilder>,
    user: Option<TextBuilder>,
    dates: Vec<i32>,
    starts: Vec<i32>,
    known: HashMap<Announced, usize>,
    series: Vec<Known>,
    /// Series that the host does not know yet.
    announced: Vec<Announced>,
    blocks: Vec<Block>,
    issues: Issues,
}

#[derive(Debug)]
struct Known {
    block: usize,
    period: Period,
}

/// Values of one type on their way.
#[derive(Debug)]
struct Block {
    value_type: ValueType,
    entry_of: Vec<u32>,
    series_of: Vec<u32>,
    values: Builder,
}

/// An account, perhaps a user, and a date: values follow.
#[derive(Debug)]
pub struct Entry<'a> {
    out: &'a mut Usage,
    date: Date,
    start: Start,
}

/// Where an entry's period begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    /// Not known before the first value.
    Open,
    /// As the period of its values has it.
    OfPeriod(i32),
    /// Where the mapper says.
    Given,
}

impl Usage {
    /// Announces a series, or finds it again. Costs a look-up; a key that is kept costs nothing.
    pub fn series<K: Kind>(&mut self, series: Series<K>) -> SeriesKey<K> {
        let announced = series.announced;
        if let Some(index) = self.known.get(&announced) {
            return SeriesKey(Place::at(*index));
        }
        let index = self.series.len();
        let value_type = announced.value_type;
        let block = self.blocks.iter().position(|block| block.value_type == value_type).unwrap_or_else(|| {
            let values = Builder::of(value_type);
            self.blocks.push(Block { value_type, entry_of: Vec::new(), series_of: Vec::new(), values });
            self.blocks.len() - 1
        });
        self.series.push(Known { block, period: announced.period.clone() });
        self.announced.push(announced.clone());
        self.known.insert(announced, index);
        SeriesKey(Place::at(index))
    }

    /// Begins an entry of the current row. Its period begins where that of its values does in which the date lies.
    #[inline]
    pub fn usage(&mut self, keys: impl Identify, date: Date) -> Entry<'_> {
        self.usage_of(self.row, keys, date)
    }

    /// Begins an entry of an earlier row, for what was held back.
    #[inline]
    pub fn usage_of(&mut self, row: u32, keys: impl Identify, date: Date) -> Entry<'_> {
        identify(&mut self.identifiers, &keys);
        if let Some(user) = &mut self.user {
            user.push(None);
        }
        self.rows.push(row);
        self.dates.push(date.days());
        self.starts.push(date.days());
        Entry { out: self, date, start: Start::Open }
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

    /// The last entry once more, for values of another period.
    fn repeat_entry(&mut self) {
        self.identifiers.iter_mut().for_each(TextBuilder::repeat);
        if let Some(user) = &mut self.user {
            user.repeat();
        }
        self.rows.extend_from_within(self.rows.len() - 1..);
        self.dates.extend_from_within(self.dates.len() - 1..);
        self.starts.extend_from_within(self.starts.len() - 1..);
    }

    fn take(&mut self) -> UsageBatch {
        let length = self.rows.len();
        let take = |values: &mut Vec<i32>| std::mem::replace(values, Vec::with_capacity(length));
        let block = |block: &mut Block| {
            let values = block.entry_of.len();
            ValueBlock {
                value_type: block.value_type,
                entry_of: std::mem::replace(&mut block.entry_of, Vec::with_capacity(values)),
                series_of: std::mem::replace(&mut block.series_of, Vec::with_capacity(values)),
                values: block.values.take(values),
            }
        };
        UsageBatch {
            dates: take(&mut self.dates),
            starts: take(&mut self.starts),
            rows: std::mem::replace(&mut self.rows, Vec::with_capacity(length)),
            identifiers: self.identifiers.iter_mut().map(TextBuilder::take).collect(),
            user: self.user.as_mut().map(TextBuilder::take),
            announced: std::mem::take(&mut self.announced),
            blocks: self.blocks.iter_mut().map(block).collect(),
            issues: std::mem::take(&mut self.issues),
        }
    }
}

impl Entry<'_> {
    /// Says whose usage it is. Only where [`UsageTable::by_user`] was called; before any value.
    pub fn user(&mut self, user: &str) -> &mut Self {
        if let Some(column) = &mut self.out.user {
            column.replace(Some(user));
        }
        self
    }

    /// Says where its period begins; before any value.
    pub fn starting(&mut self, start: Date) -> &mut Self {
        self.start = Start::Given;
        self.put_start(start.days());
        self
    }

    /// Adds a value. None adds nothing: a blank cell is no zero.
    #[inline]
    pub fn value<'v, K: Kind>(&mut self, series: SeriesKey<K>, value: impl Into<Option<K::Value<'v>>>) -> &mut Self {
        let index = series.0.index as usize;
        let (Some(value), Some(known)) = (value.into(), self.out.series.get(index)) else { return self };
        let block = known.block;
        if self.start != Start::Given {
            let start = self.date.start_of(&known.period).days();
            match self.start {
                Start::OfPeriod(begun) if begun == start => {}
                Start::OfPeriod(_) => {
                    self.out.repeat_entry();
                    self.put_start(start);
                }
                Start::Open | Start::Given => self.put_start(start),
            }
            self.start = Start::OfPeriod(start);
        }
        let entry = self.out.rows.len() - 1;
        if let Some(block) = self.out.blocks.get_mut(block) {
            block.values.put::<K>(block.entry_of.len(), Some(value));
            block.entry_of.push(entry as u32);
            block.series_of.push(series.0.index);
        }
        self
    }

    fn put_start(&mut self, start: i32) {
        if let Some(last) = self.out.starts.last_mut() {
            *last = start;
        }
    }
}

/// What a table is opened with.
#[derive(Debug)]
pub(crate) struct UsageLayout {
    pub(crate) wanted: Vec<u32>,
    pub(crate) identifiers: Vec<Vec<Match>>,
    pub(crate) user: Option<UserKey>,
}

/// Records of a batch.
#[derive(Debug)]
pub(crate) struct UsageBatch {
    pub(crate) rows: Vec<u32>,
    pub(crate) identifiers: Vec<TextColumn>,
    pub(crate) user: Option<TextColumn>,
    pub(crate) dates: Vec<i32>,
    pub(crate) starts: Vec<i32>,
    pub(crate) announced: Vec<Announced>,
    pub(crate) blocks: Vec<ValueBlock>,
    pub(crate) issues: Issues,
}

/// Values of one type.
#[derive(Debug)]
pub(crate) struct ValueBlock {
    pub(crate) value_type: ValueType,
    pub(crate) entry_of: Vec<u32>,
    pub(crate) series_of: Vec<u32>,
    pub(crate) values: Column,
}

/// A mapper at work on a table.
pub(crate) trait MapsUsage {
    fn map_batch(&mut self, batch: &Batch) -> Result<UsageBatch, Fault>;
    fn finish(&mut self) -> Result<UsageBatch, Fault>;
}

struct Open<M> {
    mapper: M,
    columns: Columns,
    out: Usage,
}

/// Opens a table.
pub(crate) fn open<M: UsageMapper>(
    source: &Source,
    header: &[String],
    text: &str,
) -> Result<(Box<dyn MapsUsage>, UsageLayout), Fault> {
    let mut table = UsageTable { table: Table::new(source, header), out: Usage::default(), user: None };
    let mapper = M::open(&mut table, settings(text)?)?;
    let UsageTable { table, mut out, user } = table;
    out.identifiers = (0..table.keys()).map(|_| TextBuilder::default()).collect();
    out.user = user.map(|_| TextBuilder::default());
    let columns = table.columns();
    let layout = UsageLayout { wanted: table.wanted, identifiers: table.identifiers, user };
    Ok((Box::new(Open { mapper, columns, out }), layout))
}

/// What is wrong with settings.
pub(crate) fn check<M: UsageMapper>(text: &str) -> Vec<Fault> {
    settings(text).map_or_else(|fault| vec![fault], |settings| M::check(&settings))
}

impl<M: UsageMapper> MapsUsage for Open<M> {
    fn map_batch(&mut self, batch: &Batch) -> Result<UsageBatch, Fault> {
        let Self { mapper, columns, out } = self;
        batch.each(columns, |row| {
            out.row = row.number();
            if let Err(reject) = mapper.map(row, out) {
                out.reject(&reject);
            }
        })?;
        Ok(out.take())
    }

    fn finish(&mut self) -> Result<UsageBatch, Fault> {
        self.mapper.finish(&mut self.out)?;
        Ok(self.out.take())
    }
}
