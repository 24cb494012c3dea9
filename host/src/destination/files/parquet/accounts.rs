//! Account records as columns: where a record comes from, its identifiers, `_clear`, and one column for each field.

use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use arrow_select::filter::filter_record_batch;

use super::columns::{DIGITS, Names, Origin, decimals};
use super::unannounced;
use crate::batch::{AccountBatch, AccountLayout, FieldColumn, ValueType};
use crate::destination::files::records::is_rejected;

/// Makes the account records of one table.
#[derive(Debug)]
pub(super) struct AccountColumns {
    origin: Origin,
    /// The fields' columns and types.
    fields: Vec<(String, ValueType)>,
    schema: SchemaRef,
}

impl AccountColumns {
    pub fn of(table: u32, layout: &AccountLayout) -> Self {
        let (mut names, mut columns) = (Names::default(), Vec::new());
        let origin = Origin::of(table, &layout.identifiers, &mut names, &mut columns);
        columns.push(Field::new(names.add("_clear"), ValueType::TextList.arrow(), true));
        let mut fields = Vec::with_capacity(layout.fields.len());
        for field in &layout.fields {
            let name = names.add(&field.name);
            let data_type = match field.value_type {
                ValueType::Decimal(scale) => DataType::Decimal128(DIGITS, scale.cast_signed()),
                other => other.arrow(),
            };
            columns.push(Field::new(&name, data_type, true));
            fields.push((name, field.value_type));
        }
        Self { origin, fields, schema: Arc::new(Schema::new(columns)) }
    }

    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    pub fn records(&self, batch: &AccountBatch, rejected: &[u32]) -> Result<RecordBatch, ArrowError> {
        let mut columns = self.origin.columns(&batch.rows, &batch.identifiers)?;
        columns.push(self.cleared(batch));
        for ((name, value_type), field) in self.fields.iter().zip(&batch.fields) {
            columns.push(match value_type {
                ValueType::Decimal(scale) => {
                    let unscaled = field.values.as_primitive_opt::<Int64Type>().ok_or_else(|| unannounced(name))?;
                    decimals(unscaled, 1, DIGITS, scale.cast_signed())?
                }
                _ => Arc::clone(&field.values),
            });
        }
        let records = RecordBatch::try_new(self.schema(), columns)?;
        if !batch.rows.iter().any(|row| is_rejected(rejected, *row)) {
            return Ok(records);
        }
        let kept: BooleanArray = batch.rows.iter().map(|row| Some(!is_rejected(rejected, *row))).collect();
        filter_record_batch(&records, &kept)
    }

    /// For each record the columns of which the stored value is to be erased; null where there is none.
    fn cleared(&self, batch: &AccountBatch) -> ArrayRef {
        let clears = |field: &FieldColumn, row: usize| {
            field.values.is_null(row) && field.clear.as_ref().is_some_and(|clear| clear.value(row))
        };
        let may_clear = |field: &FieldColumn| field.clear.as_ref().is_some_and(|clear| clear.count_set_bits() > 0);
        let fields: Vec<_> = self.fields.iter().zip(&batch.fields).filter(|(_, field)| may_clear(field)).collect();
        if fields.is_empty() {
            return arrow_array::new_null_array(&ValueType::TextList.arrow(), batch.len());
        }
        let mut lists = ListBuilder::new(StringBuilder::new()).with_field(Field::new_list_field(DataType::Utf8, false));
        for row in 0..batch.len() {
            let mut is_any = false;
            for ((name, _), _) in fields.iter().filter(|(_, field)| clears(field, row)) {
                lists.values().append_value(name);
                is_any = true;
            }
            lists.append(is_any);
        }
        Arc::new(lists.finish())
    }
}
