//! A table in a test: what a mapper makes of it, without a host.
//!
//! Rows come in batches of three, so that a mapper which knows no more than its batch is found out. Records of a row that is
//! refused are left out, as the host leaves them out. What only the host can tell (limits, imports, the workbook's own
//! types) is for `gristmill mapper test`.

use std::collections::BTreeMap;

use crate::account::{self, AccountBatch};
use crate::columns::{Column, TextColumn, ValueType, Values};
use crate::date::Date;
use crate::issue::{Fault, Issues};
use crate::row::{Batch, Cells};
use crate::table::{Match, Source};
use crate::usage::{self, UsageBatch};
use crate::{FieldMapper, UsageMapper, UserKey};

/// Rows of a batch.
const ROWS: usize = 3;

/// A table to be mapped.
#[derive(Debug, Clone)]
pub struct Sample {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
    settings: String,
    source: Source,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Mapped<R> {
    /// The records in the order in which they were made, without those of refused rows.
    pub records: Vec<R>,
    /// What is wrong with rows.
    pub issues: Vec<Issue>,
    /// The keys of the strategies, in the order of `keys` in a record.
    pub identifiers: Vec<Vec<Match>>,
}

/// An account record.
#[derive(Debug, Clone, PartialEq)]
pub struct Account {
    /// The row that it comes from, from 0.
    pub row: u32,
    /// What names the account.
    pub keys: Vec<Option<String>>,
    /// The fields that have a value.
    pub fields: BTreeMap<String, Value>,
    /// The fields that are erased.
    pub cleared: Vec<String>,
}

/// A usage value.
#[derive(Debug, Clone, PartialEq)]
pub struct UsageValue {
    /// The row that it comes from, from 0.
    pub row: u32,
    /// What names the account.
    pub keys: Vec<Option<String>>,
    /// Whose usage it is, where it is kept by user.
    pub user: Option<(UserKey, String)>,
    /// The row's own date.
    pub date: Date,
    /// Where the period begins.
    pub period_start: Date,
    /// The product.
    pub product: String,
    /// The metric.
    pub metric: String,
    /// The value.
    pub value: Value,
}

/// What is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// The row, from 0.
    pub row: u32,
    /// The name of the column to blame.
    pub column: Option<String>,
    /// Whether the row is refused.
    pub is_reject: bool,
    /// The code.
    pub code: String,
    /// The message.
    pub message: String,
}

/// A value of any type.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Value {
    Text(String),
    Integer(i64),
    Float(f64),
    /// Without its point, and how many digits stand behind that.
    Decimal(i64, u8),
    Boolean(bool),
    Date(Date),
    /// Microseconds since 1970-01-01T00:00:00Z.
    Timestamp(i64),
    TextList(Vec<String>),
}

impl Sample {
    /// A table without rows.
    pub fn new<T: Into<String>>(header: impl IntoIterator<Item = T>) -> Self {
        let source = Source {
            integration: "test".into(),
            connection: "test".into(),
            bucket: "test".into(),
            key: "test.csv".into(),
            etag: "0".into(),
            size: 0,
            last_modified: 1_736_942_400_000_000,
            sheet: None,
            timezone: "UTC".into(),
            today: Date::from_days(20_103),
        };
        Self { header: header.into_iter().map(Into::into).collect(), rows: Vec::new(), settings: "{}".into(), source }
    }

    /// With another row; cells that are missing are blank.
    #[must_use]
    pub fn row<T: Into<String>>(mut self, cells: impl IntoIterator<Item = T>) -> Self {
        let mut cells: Vec<String> = cells.into_iter().map(Into::into).collect();
        cells.resize(self.header.len(), String::new());
        self.rows.push(cells);
        self
    }

    /// With settings as JSON.
    #[must_use]
    pub fn settings(mut self, settings: impl Into<String>) -> Self {
        self.settings = settings.into();
        self
    }

    /// With what else is known of the object.
    #[must_use]
    pub fn source(mut self, change: impl FnOnce(&mut Source)) -> Self {
        change(&mut self.source);
        self
    }

    /// What a mapper of account records finds wrong with the settings.
    pub fn check_fields<M: FieldMapper>(&self) -> Vec<Fault> {
        account::check::<M>(&self.settings)
    }

    /// What a mapper of usage records finds wrong with the settings.
    pub fn check_usage<M: UsageMapper>(&self) -> Vec<Fault> {
        usage::check::<M>(&self.settings)
    }

    /// Makes account records of it.
    ///
    /// # Errors
    /// The fault with which the mapper refuses it.
    pub fn fields<M: FieldMapper>(&self) -> Result<Mapped<Account>, Fault> {
        let (mut mapper, layout) = account::open::<M>(&self.source, &self.header, &self.settings)?;
        let mut mapped = Mapped { records: Vec::new(), issues: Vec::new(), identifiers: layout.identifiers };
        let mut take = |batch: AccountBatch| {
            self.note(&batch.issues, &mut mapped.issues);
            for (record, row) in batch.rows.iter().enumerate() {
                let values = batch.fields.iter().zip(&layout.fields);
                let fields = values.clone().filter_map(|((column, _), field)| {
                    Some((field.name.clone(), value(column, field.value_type, record)?))
                });
                let is_cleared = |clear: &Option<Vec<u8>>| clear.as_ref().is_some_and(|bits| is_set(bits, record));
                let cleared = values.clone().filter(|((_, clear), _)| is_cleared(clear));
                mapped.records.push(Account {
                    row: *row,
                    keys: keys(&batch.identifiers, record),
                    fields: fields.collect(),
                    cleared: cleared.map(|(_, field)| field.name.clone()).collect(),
                });
            }
        };
        for batch in self.batches(&layout.wanted) {
            take(mapper.map_batch(&batch)?);
        }
        take(mapper.finish()?);
        mapped.leave_out_refused(|account| account.row);
        Ok(mapped)
    }

    /// Makes usage records of it.
    ///
    /// # Errors
    /// The fault with which the mapper refuses it.
    pub fn usage<M: UsageMapper>(&self) -> Result<Mapped<UsageValue>, Fault> {
        let (mut mapper, layout) = usage::open::<M>(&self.source, &self.header, &self.settings)?;
        let mut mapped = Mapped { records: Vec::new(), issues: Vec::new(), identifiers: layout.identifiers };
        let mut known = Vec::new();
        let mut take = |batch: UsageBatch| {
            self.note(&batch.issues, &mut mapped.issues);
            known.extend(batch.announced);
            for block in &batch.blocks {
                for (place, (entry, series)) in block.entry_of.iter().zip(&block.series_of).enumerate() {
                    let (entry, series) = (*entry as usize, &known[*series as usize]);
                    mapped.records.extend(value(&block.values, block.value_type, place).map(|value| UsageValue {
                        row: batch.rows[entry],
                        keys: keys(&batch.identifiers, entry),
                        user: layout.user.zip(batch.user.as_ref().and_then(|users| text(users, entry))),
                        date: Date::from_days(batch.dates[entry]),
                        period_start: Date::from_days(batch.starts[entry]),
                        product: series.product.clone(),
                        metric: series.metric.clone(),
                        value,
                    }));
                }
            }
        };
        for batch in self.batches(&layout.wanted) {
            take(mapper.map_batch(&batch)?);
        }
        take(mapper.finish()?);
        mapped.leave_out_refused(|value| value.row);
        Ok(mapped)
    }

    fn batches(&self, wanted: &[u32]) -> Vec<Batch> {
        let column = |rows: &[Vec<String>], index: u32| {
            let mut cells = Cells { offsets: vec![0], bytes: Vec::new(), typed: None };
            for row in rows {
                cells.bytes.extend_from_slice(row[index as usize].as_bytes());
                cells.offsets.push(cells.bytes.len() as i32);
            }
            cells
        };
        let batch = |(number, rows): (usize, &[Vec<String>])| Batch {
            first_row: (number * ROWS) as u32,
            rows: rows.len() as u32,
            columns: wanted.iter().map(|index| column(rows, *index)).collect(),
        };
        self.rows.chunks(ROWS).enumerate().map(batch).collect()
    }

    fn note(&self, issues: &Issues, noted: &mut Vec<Issue>) {
        for (place, row) in issues.rows.iter().enumerate() {
            let column = usize::try_from(issues.columns[place]).ok();
            noted.push(Issue {
                row: *row,
                column: column.and_then(|column| self.header.get(column).cloned()),
                is_reject: is_set(&issues.rejects, place),
                code: issues.codes.get(place).to_owned(),
                message: issues.messages.get(place).to_owned(),
            });
        }
    }
}

impl<R> Mapped<R> {
    fn leave_out_refused(&mut self, row_of: impl Fn(&R) -> u32) {
        let Self { records, issues, .. } = self;
        records.retain(|record| !issues.iter().any(|issue| issue.is_reject && issue.row == row_of(record)));
    }
}

fn is_set(bits: &[u8], place: usize) -> bool {
    bits.get(place / 8).is_some_and(|byte| byte >> (place % 8) & 1 == 1)
}

fn keys(columns: &[TextColumn], record: usize) -> Vec<Option<String>> {
    columns.iter().map(|column| text(column, record)).collect()
}

fn text(column: &TextColumn, place: usize) -> Option<String> {
    let is_there = column.validity.as_ref().is_none_or(|bits| is_set(bits, place));
    is_there.then(|| column.texts.get(place).to_owned())
}

fn value(column: &Column, value_type: ValueType, place: usize) -> Option<Value> {
    if column.validity.as_ref().is_some_and(|bits| !is_set(bits, place)) {
        return None;
    }
    Some(match (&column.values, value_type) {
        (Values::Text(texts), _) => Value::Text(texts.0.get(place).to_owned()),
        (Values::Integer(values), ValueType::Decimal(scale)) => Value::Decimal(values[place], scale),
        (Values::Integer(values), ValueType::Timestamp) => Value::Timestamp(values[place]),
        (Values::Integer(values), _) => Value::Integer(values[place]),
        (Values::Float(values), _) => Value::Float(values[place]),
        (Values::Boolean(bits), _) => Value::Boolean(is_set(&bits.bits, place)),
        (Values::Date(values), _) => Value::Date(Date::from_days(values[place])),
        (Values::TextList(lists), _) => {
            let items = lists.offsets[place] as usize..lists.offsets[place + 1] as usize;
            Value::TextList(items.map(|item| lists.items.get(item).to_owned()).collect())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Accounts, FieldKey, FieldTable, Integer, NoSettings, Period, Reject, Row, Series, SeriesKey};
    use crate::{Field, Text, Usage, UsageTable};

    /// Counts rows, and holds the last back.
    struct Counting {
        count: FieldKey<Integer>,
        name: FieldKey<Text>,
        rows: i64,
        last: Option<(u32, String)>,
    }

    impl FieldMapper for Counting {
        type Settings = NoSettings;

        fn open(table: &mut FieldTable<'_>, _: NoSettings) -> Result<Self, Fault> {
            table.column("Name")?;
            table.column("ID")?;
            table.identify([Match::CrmId]);
            let (count, name) = (table.field(Field::integer("count")), table.field(Field::text("name")));
            Ok(Self { count, name, rows: 0, last: None })
        }

        fn map(&mut self, row: &Row<'_>, out: &mut Accounts) -> Result<(), Reject> {
            self.rows += 1;
            if let Some((number, id)) = self.last.replace((row.number(), row["ID"].text().to_owned())) {
                out.account_of(number, id.as_str()).set(self.count, self.rows);
            }
            let name = row["Name"].required()?;
            out.account(&row["ID"]).set(self.name, name.text());
            Ok(())
        }

        fn finish(&mut self, out: &mut Accounts) -> Result<(), Fault> {
            if let Some((number, id)) = self.last.take() {
                out.account_of(number, Some(id.as_str())).clear(self.count);
            }
            Ok(())
        }
    }

    #[test]
    fn what_a_row_needs_of_another_survives_a_batch() {
        let names = ["a", "b", "c", "", "e"];
        let sample = names
            .iter()
            .enumerate()
            .fold(Sample::new(["ID", "Name"]), |sample, (id, name)| sample.row([id.to_string(), (*name).to_owned()]));
        let mapped = sample.fields::<Counting>().unwrap();
        let counts = |row| {
            let of_row = mapped.records.iter().filter(move |record| record.row == row);
            of_row.filter_map(|record| record.fields.get("count")).collect::<Vec<_>>()
        };
        assert_eq!(counts(0), [&Value::Integer(2)]);
        assert_eq!(counts(2), [&Value::Integer(4)]);
        assert!(mapped.records.iter().all(|record| record.row != 3), "a refused row has no records, held back or not");
        assert_eq!(mapped.records.last().unwrap().cleared, ["count"]);
        let issue = &mapped.issues[0];
        assert_eq!((issue.row, issue.column.as_deref(), issue.code.as_str()), (3, Some("Name"), "blank_required"));
    }

    #[test]
    fn what_is_wrong_with_the_file_is_a_fault() {
        let code = |sample: Sample| sample.fields::<Counting>().unwrap_err().code;
        assert_eq!(code(Sample::new(["ID"])), "missing_column");
        assert_eq!(code(Sample::new(["ID", "Name"]).settings(r#"{"unknown": 1}"#)), "bad_setting");
        assert_eq!(Sample::new(["ID"]).settings("1").check_fields::<Counting>()[0].code, "bad_setting");
    }

    /// Two series of different periods.
    struct Metered {
        calls: SeriesKey<Integer>,
    }

    impl UsageMapper for Metered {
        type Settings = NoSettings;

        fn open(table: &mut UsageTable<'_>, _: NoSettings) -> Result<Self, Fault> {
            for name in ["ID", "User", "Day", "Calls", "Plan"] {
                table.column(name)?;
            }
            table.identify([Match::CrmId]);
            table.by_user(UserKey::Email);
            Ok(Self { calls: table.series(Series::integer("Core", "calls").period(Period::Daily)) })
        }

        fn map(&mut self, row: &Row<'_>, out: &mut Usage) -> Result<(), Reject> {
            let day = row["Day"].required()?.date()?.unwrap_or(Date::from_days(0));
            let plan = out.series(Series::text("Core", "plan"));
            let mut entry = out.usage([&row["ID"]], day);
            entry.user(row["User"].text()).value(self.calls, row["Calls"].integer()?);
            entry.value(plan, row["Plan"].text());
            Ok(())
        }
    }

    #[test]
    fn a_period_begins_where_the_date_lies_in_it() {
        let sample = Sample::new(["ID", "User", "Day", "Calls", "Plan"])
            .row(["1", "ada@acme.com", "2024-10-15", "7", "Growth"])
            .row(["2", "bob@acme.com", "2024-10-16", "", "Starter"])
            .row(["3", "", "x", "1", ""]);
        let mapped = sample.usage::<Metered>().unwrap();
        let text: Vec<String> = mapped
            .records
            .iter()
            .map(|one| {
                let (key, (kind, user)) = (one.keys[0].as_deref().unwrap(), one.user.as_ref().unwrap());
                assert_eq!(*kind, UserKey::Email);
                format!("{key} {user} {} {} {} {:?}", one.date, one.period_start, one.metric, one.value)
            })
            .collect();
        assert_eq!(
            text,
            [
                "1 ada@acme.com 2024-10-15 2024-10-15 calls Integer(7)",
                "1 ada@acme.com 2024-10-15 2024-10-01 plan Text(\"Growth\")",
                "2 bob@acme.com 2024-10-16 2024-10-01 plan Text(\"Starter\")",
            ]
        );
        assert_eq!((mapped.issues.len(), mapped.identifiers), (1, vec![vec![Match::CrmId]]));
        assert!(sample.check_usage::<Metered>().is_empty());
    }
}
