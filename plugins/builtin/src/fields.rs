//! Field mapping: rows to account records.
//!
//! Every column is read whole and for all rows, so that every issue of a row is found. Rows that are lost (rejected, or
//! passed over because they are blank) are thinned out of all columns afterwards, and only when there are any.

use crate::Fault;
use crate::cell::{Reader, RowLog, ValueType};
use crate::columns::{Batch, Column, Issues, TextColumn};
use crate::header::{Lookup, Wanted};
use crate::identify::Identify;
use crate::plan::{FieldPlan, Plan, Semantic};
use crate::settings::Match;

/// Makes account records of one table. Settings without fields make none.
#[derive(Debug)]
pub struct FieldMapper {
    layout: Layout,
    notices: Vec<String>,
    /// None when there are no fields.
    identify: Option<Identify>,
    wanted: Wanted,
    columns: Vec<MappedColumn>,
}

/// What the mapper wants of a table and what it returns for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Header indices, rising.
    pub wanted: Vec<u32>,
    /// Strategies, tried in order, each with what its columns are compared with.
    pub identifiers: Vec<Vec<Match>>,
    /// The output fields, in the order of the settings.
    pub fields: Vec<OutputField>,
}

/// One account field that is written; the newest value counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputField {
    /// The field's key.
    pub name: String,
    /// The type of its values.
    pub value_type: ValueType,
    /// What they mean.
    pub semantic: Semantic,
    /// A currency code, where there is one.
    pub unit: Option<String>,
}

/// Account records.
#[derive(Debug, Clone, PartialEq)]
pub struct AccountBatch {
    /// The table-wide input row of each record.
    pub rows: Vec<u32>,
    /// The strategies' columns, flattened in order, one value a record.
    pub identifiers: Vec<TextColumn>,
    /// In the order of the layout's fields.
    pub fields: Vec<Column>,
    /// What is wrong with rows of this batch.
    pub issues: Issues,
}

#[derive(Debug)]
struct MappedColumn {
    slot: usize,
    header: u32,
    reader: Reader,
}

impl FieldMapper {
    /// Begins a table. `settings` is JSON.
    ///
    /// # Errors
    /// The first fault of the settings, `missing_column` or `duplicate_column`.
    pub fn open(header: &[String], settings: &str) -> Result<Self, Fault> {
        let Plan { identifiers, on_blank_identifier, fields, .. } = crate::plan::first_fault(settings)?;
        let mut lookup = Lookup::new(header);
        let keys = crate::plan::keys_of(&identifiers);
        let identify =
            if fields.is_empty() { None } else { Some(Identify::find(identifiers, on_blank_identifier, &mut lookup)) };
        let found: Vec<(u32, FieldPlan)> =
            fields.into_iter().filter_map(|field| Some((lookup.find(&field.column)?, field))).collect();
        let notices = lookup.finish()?;

        let wanted = Wanted::new(found.iter().map(|(header, _)| *header).chain(identify.iter().flat_map(Identify::headers)));
        let output = |field: &FieldPlan| OutputField {
            name: field.name.clone(),
            value_type: field.reader.value_type(),
            semantic: field.semantic,
            unit: field.unit.clone(),
        };
        let layout = Layout {
            wanted: wanted.headers().to_vec(),
            identifiers: identify.as_ref().map_or(keys, Identify::layout),
            fields: found.iter().map(|(_, field)| output(field)).collect(),
        };
        let column = |(header, field): (u32, FieldPlan)| MappedColumn {
            slot: wanted.slot(header),
            header,
            reader: field.reader,
        };
        let columns = found.into_iter().map(column).collect();
        Ok(Self { layout, notices, identify, wanted, columns })
    }

    /// What the mapper wants and returns.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Warnings about the table as a whole, as fragments.
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// Maps one batch.
    ///
    /// # Errors
    /// `bad_batch` when the batch has not the columns that the layout wants.
    pub fn map_batch(&mut self, batch: &Batch<'_>) -> Result<AccountBatch, Fault> {
        batch.expect_columns(self.wanted.headers().len())?;
        let Some(identify) = &mut self.identify else {
            return Ok(self.finish());
        };
        let cells = batch.columns();
        let mut log = RowLog::new(batch.first_row(), batch.rows() as usize);
        let identifiers = identify.read(batch, &self.wanted, &mut log);

        let fields: Vec<Column> = self
            .columns
            .iter()
            .map(|column| column.reader.read(&cells[column.slot], column.header, &mut log))
            .collect();
        let rows = batch.first_row()..batch.first_row() + batch.rows();
        if log.is_whole() {
            return Ok(AccountBatch { rows: rows.collect(), identifiers, fields, issues: log.into_issues() });
        }
        let kept: Vec<u32> = (0..batch.rows()).filter(|row| !log.is_lost(*row as usize)).collect();
        Ok(AccountBatch {
            rows: kept.iter().map(|row| batch.first_row() + row).collect(),
            identifiers: identifiers.iter().map(|column| column.keep(&kept)).collect(),
            fields: fields.iter().map(|column| column.keep(&kept)).collect(),
            issues: log.into_issues(),
        })
    }

    /// Ends the table. Nothing is ever held back, so the batch is empty.
    pub fn finish(&mut self) -> AccountBatch {
        AccountBatch {
            rows: Vec::new(),
            identifiers: self.layout.identifiers.iter().flatten().map(|_| TextColumn::default()).collect(),
            fields: self.columns.iter().map(|column| column.reader.empty()).collect(),
            issues: Issues::default(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
