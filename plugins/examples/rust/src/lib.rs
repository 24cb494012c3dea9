//! A pivoted report: blocks of accounts, each with two header rows, a row of months over a row of metrics.
//!
//! What a row means follows from the rows above it, so a [`Block`] is kept from row to row. The two transforms see the same
//! rows, each in an instance of its own.

use gristmill_mapper::{
    Accounts, Cell, Date, Fault, Field, FieldKey, FieldMapper, FieldTable, Integer, Match, Number, Reject, Row, Semantic,
    Series, SeriesKey, Table, Text, Usage, UsageMapper, UsageTable, export,
};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// First cells of rows that are no products.
    #[serde(default)]
    skip: Vec<String>,
}

fn check(settings: &Settings) -> Vec<Fault> {
    let blank = settings.skip.iter().any(|word| word.trim().is_empty());
    let fault = || Fault::new("blank_word", "`skip` has a blank word, and blank rows are skipped anyway");
    blank.then(fault).into_iter().collect()
}

fn open(table: &mut Table<'_>) -> Result<(), Fault> {
    if table.all_columns().len() < 3 {
        return Err(Fault::new("no_report", "a report has a column of products and two of numbers at least"));
    }
    table.identify([Match::CrmId]);
    Ok(())
}

/// What a row is, by its first cell and the rows above it.
enum Meaning<'r> {
    Account,
    Months,
    Metrics,
    Product(&'r str),
    Nothing,
}

/// The block that the rows are in.
#[derive(Default)]
struct Block {
    account: String,
    /// The month of each column, blank headings filled from the left.
    months: Vec<Option<Date>>,
    metrics: Vec<String>,
    expects: Expects,
}

#[derive(Default, Clone, Copy, PartialEq)]
enum Expects {
    #[default]
    Account,
    Months,
    Metrics,
    Products,
}

impl Block {
    /// Takes a row in: a header row becomes part of the block.
    fn read<'r>(&mut self, row: &Row<'r>, settings: &Settings) -> Result<Meaning<'r>, Reject> {
        let Some((first, cells)) = row.cells().split_first() else { return Ok(Meaning::Nothing) };
        let word = first.trimmed();
        match (self.expects, word) {
            (_, "Account") => {
                let id = cells.first().map_or("", Cell::trimmed);
                *self = Self { account: id.to_owned(), expects: Expects::Months, ..Self::default() };
                Ok(Meaning::Account)
            }
            (_, _) if row.is_blank() || settings.skip.iter().any(|skipped| skipped == word) => Ok(Meaning::Nothing),
            (Expects::Months, "") => {
                self.months = months(cells)?;
                self.expects = Expects::Metrics;
                Ok(Meaning::Months)
            }
            (Expects::Metrics, "Product") => {
                self.metrics = cells.iter().map(|cell| cell.trimmed().to_ascii_lowercase()).collect();
                self.expects = Expects::Products;
                Ok(Meaning::Metrics)
            }
            (Expects::Products, product) if !product.is_empty() => Ok(Meaning::Product(product)),
            // The title, and what else stands before the first block.
            (Expects::Account, _) => Ok(Meaning::Nothing),
            _ => Err(first.reject("out_of_place", "the row does not follow from the rows above it")),
        }
    }
}

/// A month stands over the columns up to the next; a heading that is none ends it.
fn months(cells: &[Cell<'_>]) -> Result<Vec<Option<Date>>, Reject> {
    let mut month = None;
    let heading = |cell: &Cell<'_>| {
        if !cell.is_blank() {
            month = if cell.text().starts_with(|c: char| c.is_ascii_digit()) { cell.date_as("%Y-%m")? } else { None };
        }
        Ok(month)
    };
    cells.iter().map(heading).collect()
}

/// An account record for each block.
struct Blocks {
    settings: Settings,
    block: Block,
    name: FieldKey<Text>,
    plan: FieldKey<Text>,
}

impl FieldMapper for Blocks {
    type Settings = Settings;

    fn check(settings: &Settings) -> Vec<Fault> {
        check(settings)
    }

    fn open(table: &mut FieldTable<'_>, settings: Settings) -> Result<Self, Fault> {
        open(table)?;
        let name = table.field(Field::text("name").if_empty());
        let plan = table.field(Field::text("plan").semantic(Semantic::Picklist));
        Ok(Self { settings, block: Block::default(), name, plan })
    }

    fn map(&mut self, row: &Row<'_>, out: &mut Accounts) -> Result<(), Reject> {
        if let Meaning::Account = self.block.read(row, &self.settings)? {
            let cell = |place: usize| row.cells().get(place).filter(|cell| !cell.is_blank());
            let id = cell(1).ok_or_else(|| row.cells()[1].reject("blank_identifier", "the block names no account"))?;
            let text = |place| cell(place).map(|cell| cell.trimmed());
            out.account(id).set(self.name, text(2)).set(self.plan, text(4));
        }
        Ok(())
    }
}

/// A usage value for each number.
struct Numbers {
    settings: Settings,
    block: Block,
}

impl UsageMapper for Numbers {
    type Settings = Settings;

    fn check(settings: &Settings) -> Vec<Fault> {
        check(settings)
    }

    fn open(table: &mut UsageTable<'_>, settings: Settings) -> Result<Self, Fault> {
        open(table)?;
        Ok(Self { settings, block: Block::default() })
    }

    fn map(&mut self, row: &Row<'_>, out: &mut Usage) -> Result<(), Reject> {
        let Meaning::Product(product) = self.block.read(row, &self.settings)? else { return Ok(()) };
        if self.block.account.is_empty() {
            return Err(Reject::new("no_account", "the block that the row is in names no account"));
        }
        for (place, cell) in row.cells().iter().skip(1).enumerate() {
            let month = self.block.months.get(place).copied().flatten();
            let metric = self.block.metrics.get(place).filter(|metric| !metric.is_empty());
            let (Some(month), Some(metric)) = (month, metric) else { continue };
            if let Some(number) = cell.integer_as(Number::ENGLISH)? {
                let series: SeriesKey<Integer> = out.series(Series::integer(product, metric));
                out.usage(self.block.account.as_str(), month).value(series, number);
            }
        }
        Ok(())
    }
}

export!(fields: Blocks, usage: Numbers);

#[cfg(test)]
mod tests {
    use gristmill_mapper::testing::{Sample, Value};

    use super::*;

    fn report() -> Sample {
        Sample::new(["Usage", "b", "c", "d", "e"])
            .row(["Account", "1", "Acme", "", "Growth"])
            .row(["", "2024-07", "", "2024-08", "Note"])
            .row(["Product", "Users", "Calls", "Users", ""])
            .row(["Core", "12", "3,400", "15", "much"])
            .row(["Reports", "x", "", "", ""])
    }

    #[test]
    fn numbers_belong_to_the_month_above_them() {
        let mapped = report().usage::<Numbers>().unwrap();
        let text = |value: &gristmill_mapper::testing::UsageValue| format!("{} {}", value.period_start, value.metric);
        assert_eq!(
            mapped.records.iter().map(text).collect::<Vec<_>>(),
            ["2024-07-01 users", "2024-07-01 calls", "2024-08-01 users"]
        );
        assert_eq!(mapped.records[1].value, Value::Integer(3400));
        assert_eq!((mapped.issues[0].row, mapped.issues[0].column.as_deref()), (4, Some("b")));
    }

    #[test]
    fn a_block_is_one_account() {
        let mapped = report().fields::<Blocks>().unwrap();
        assert_eq!(mapped.records.len(), 1);
        assert_eq!(mapped.records[0].fields["plan"], Value::Text("Growth".into()));
    }
}
