//! Field mapping: rows to account records.
//!
//! Every column is read whole and for all rows, so that every issue of a row is found. Rows that are lost (rejected, or
//! passed over because they are blank) are thinned out of all columns afterwards, and only when there are any.

use crate::Fault;
use crate::cell::{RowLog, ValueType, quoted};
use crate::columns::{Batch, FieldColumn, Issues, TextColumn};
use crate::header::{Lookup, Wanted};
use crate::identify::Identify;
use crate::plan::{FieldPlan, Piece, Plan, Reading, Semantic, SourcePlan};
use crate::settings::{FilePart, Match, WriteMode};
use crate::shaped::{MappedColumn, Source};

/// Makes account records of one table. Settings without fields make none.
#[derive(Debug)]
pub struct FieldMapper {
    layout: Layout,
    notices: Vec<String>,
    /// None when there are no fields.
    identify: Option<Identify>,
    wanted: Wanted,
    columns: Vec<MappedColumn>,
    /// For messages.
    header: Vec<String>,
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

/// One account field that is written.
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
    /// How a value meets the one that is stored.
    pub write: WriteMode,
}

/// What a mapper is told of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileInfo<'a> {
    /// The object's key.
    pub key: &'a str,
    /// The sheet's name, where the object is a workbook.
    pub sheet: Option<&'a str>,
    /// When the object was last modified, in microseconds since 1970-01-01T00:00:00Z.
    pub last_modified: i64,
    /// The object's day in the integration's time zone, in days since 1970-01-01.
    pub today: i32,
}

/// Account records.
#[derive(Debug, Clone, PartialEq)]
pub struct AccountBatch {
    /// The table-wide input row of each record.
    pub rows: Vec<u32>,
    /// The strategies' columns, flattened in order, one value a record.
    pub identifiers: Vec<TextColumn>,
    /// In the order of the layout's fields.
    pub fields: Vec<FieldColumn>,
    /// What is wrong with rows of this batch.
    pub issues: Issues,
}

impl FieldMapper {
    /// Begins a table. `settings` is JSON.
    ///
    /// # Errors
    /// The first fault of the settings, `missing_column`, `duplicate_column`, or `no_match` where a pattern takes nothing
    /// out of the key or the sheet.
    pub fn open(file: FileInfo<'_>, header: &[String], settings: &str) -> Result<Self, Fault> {
        let Plan { identifiers, on_blank_identifier, fields, .. } = crate::plan::first_fault(settings)?;
        let mut lookup = Lookup::new(header);
        let keys = crate::plan::keys_of(&identifiers);
        let identify =
            if fields.is_empty() { None } else { Some(Identify::find(identifiers, on_blank_identifier, &mut lookup)) };
        let mut outputs = Vec::new();
        let mut columns = Vec::new();
        for field in fields {
            let output = OutputField {
                name: field.name.clone(),
                value_type: field.reading.reader.value_type(),
                semantic: field.semantic,
                unit: field.unit.clone(),
                write: field.write,
            };
            if let Some(column) = find(field, file, &mut lookup)? {
                outputs.push(output);
                columns.push(column);
            }
        }
        let notices = lookup.finish()?;

        let headers = columns.iter().flat_map(MappedColumn::headers);
        let wanted = Wanted::new(headers.chain(identify.iter().flat_map(Identify::headers)));
        let layout = Layout {
            wanted: wanted.headers().to_vec(),
            identifiers: identify.as_ref().map_or(keys, Identify::layout),
            fields: outputs,
        };
        Ok(Self { layout, notices, identify, wanted, columns, header: header.to_vec() })
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
        let mut log = RowLog::new(batch.first_row(), batch.rows() as usize);
        let identifiers = identify.read(batch, &self.wanted, &mut log);

        let mut fields = Vec::with_capacity(self.columns.len());
        for column in &mut self.columns {
            fields.push(column.read(batch, &self.wanted, &mut log));
        }
        let rows = batch.first_row()..batch.first_row() + batch.rows();
        let kept: Option<Vec<u32>> = match log.is_whole() {
            true => None,
            false => Some((0..batch.rows()).filter(|row| !log.is_lost(*row as usize)).collect()),
        };
        let issues = log.finish().map_err(|fault| fault.placed(&self.header))?;
        let Some(kept) = kept else {
            return Ok(AccountBatch { rows: rows.collect(), identifiers, fields, issues });
        };
        Ok(AccountBatch {
            rows: kept.iter().map(|row| batch.first_row() + row).collect(),
            identifiers: identifiers.iter().map(|column| column.keep(&kept)).collect(),
            fields: fields.iter().map(|column| column.keep(&kept)).collect(),
            issues,
        })
    }

    /// Ends the table. Nothing is ever held back, so the batch is empty.
    pub fn finish(&mut self) -> AccountBatch {
        AccountBatch {
            rows: Vec::new(),
            identifiers: self.layout.identifiers.iter().flatten().map(|_| TextColumn::default()).collect(),
            fields: self
                .columns
                .iter()
                .map(|column| FieldColumn { column: column.reader().empty(), clear: None })
                .collect(),
            issues: Issues::default(),
        }
    }
}

/// Finds the columns of a field. None where one of them is missing: that is a fault, which `lookup` keeps, unless the
/// field may be missing; then a default for blank cells stands in every row.
fn find(field: FieldPlan, file: FileInfo<'_>, lookup: &mut Lookup<'_>) -> Result<Option<MappedColumn>, Fault> {
    let FieldPlan { source, name, reading: Reading { reader, shape }, .. } = field;
    let source = match source {
        SourcePlan::Column(column) => lookup.find(&column).map(Source::Column),
        SourcePlan::Constant(text) => Some(Source::Fixed(text.into_bytes())),
        SourcePlan::Coalesce(columns) => {
            // Those that may be missing are passed over, as long as there is one.
            let found: Vec<u32> = columns.iter().filter_map(|column| lookup.find(column)).collect();
            (!found.is_empty()).then_some(Source::Coalesce(found))
        }
        SourcePlan::Template(pieces) => {
            let piece = |piece: Piece<_>| match piece {
                Piece::Literal(literal) => Some(Piece::Literal(literal)),
                Piece::Column(column) => lookup.find(&column).map(Piece::Column),
            };
            let found: Vec<Option<Piece<u32>>> = pieces.into_iter().map(piece).collect();
            found.into_iter().collect::<Option<_>>().map(Source::Template)
        }
        SourcePlan::File { part: FilePart::Row, .. } => Some(Source::RowNumber),
        SourcePlan::File { part, taken, path } => {
            let whole = if part == FilePart::Key { file.key } else { file.sheet.unwrap_or_default() };
            let taken = match taken {
                None => whole,
                Some(_) if whole.is_empty() => whole,
                Some(mut pattern) => pattern.take(whole).ok_or_else(|| {
                    let what = if part == FilePart::Key { "key" } else { "sheet" };
                    Fault::new(
                        "no_match",
                        format!("the {what} {} does not match the pattern of `{path}`", quoted(whole)),
                    )
                })?,
            };
            Some(Source::Fixed(taken.as_bytes().to_vec()))
        }
    };
    let shape = match shape {
        None => None,
        Some(shape) => match shape.find(&mut |column| lookup.find(&column)) {
            Some(shape) => Some(Box::new(shape)),
            None => return Ok(None),
        },
    };
    let fills_blanks = shape.as_ref().is_some_and(|shape| shape.fills_blanks);
    let source = match source {
        Some(source) => source,
        None if fills_blanks => Source::Fixed(Vec::new()),
        None => return Ok(None),
    };
    Ok(Some(MappedColumn::new(name, source, reader, shape)))
}

#[cfg(test)]
pub(crate) mod tests;
