//! The native twin in the place of the component: the built-in mapper's own library, called directly.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use arrow_array::{ArrayRef, BooleanArray, Date32Array, Float64Array, Int64Array, StringArray};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use gristmill::batch::{AccountBatch, AccountLayout, Batch, FieldColumn, Issues};
use gristmill::destination::Staging;
use gristmill::ingest::Reader;
use gristmill_builtin::columns::{self, Column, Text, Values};
use gristmill_builtin::{FieldMapper, fields};

use crate::Result;

/// Batches in flight between two steps, as in the pipeline.
const IN_FLIGHT: usize = 2;

/// Decode, map and stage on three threads, as the pipeline does it. Gives the rows that were staged.
pub fn transform(
    mut decoder: Reader,
    mut mapper: FieldMapper,
    layout: &AccountLayout,
    staging: &mut dyn Staging,
) -> Result<u64> {
    decoder.next_table()?.ok_or("the file has no table")?;
    decoder.want(&layout.wanted);
    staging.open_table(Some(layout), None)?;
    std::thread::scope(|scope| {
        let (decoded_in, decoded) = sync_channel(IN_FLIGHT);
        let (mapped_in, mapped) = sync_channel(IN_FLIGHT);
        let decoding = scope.spawn(move || -> Result<()> {
            while let Some(batch) = decoder.next_batch()? {
                decoded_in.send(batch)?;
            }
            Ok(())
        });
        let wanted = &layout.wanted;
        let mapping = scope.spawn(move || -> Result<()> {
            for batch in decoded {
                mapped_in.send(as_arrow(map(&mut mapper, &batch, wanted)?)?)?;
            }
            Ok(())
        });
        let mut rows = 0;
        for batch in mapped {
            staging.accounts(&batch, &[])?;
            rows += batch.len() as u64;
        }
        decoding.join().map_err(|_| "the decoder panicked")??;
        mapping.join().map_err(|_| "the mapper panicked")??;
        Ok(rows)
    })
}

/// Maps one batch.
pub fn map(mapper: &mut FieldMapper, batch: &Batch, wanted: &[u32]) -> Result<fields::AccountBatch> {
    let cells = |index: &u32| -> Result<columns::Cells<'_>> {
        let cells = batch.columns.get(*index as usize).and_then(Option::as_ref).ok_or("a column is missing")?;
        Ok(columns::Cells::new(cells.text.value_offsets(), cells.text.value_data(), None)?)
    };
    let cells = wanted.iter().map(cells).collect::<Result<_>>()?;
    Ok(mapper.map_batch(&columns::Batch::new(batch.first_row, batch.rows() as u32, cells)?)?)
}

/// The twin's columns as Arrow arrays, with Arrow's checks, as the host makes them of the component's.
fn as_arrow(batch: fields::AccountBatch) -> Result<AccountBatch> {
    if !batch.issues.is_empty() {
        return Err("the load has no bad rows, and the twin found some".into());
    }
    let rows = batch.rows.len();
    let field = |field: columns::FieldColumn| Ok(FieldColumn { values: array(field.column, rows)?, clear: None });
    Ok(AccountBatch {
        rows: batch.rows,
        identifiers: batch.identifiers.into_iter().map(|column| strings(column.text, None)).collect::<Result<_>>()?,
        fields: batch.fields.into_iter().map(field).collect::<Result<_>>()?,
        issues: Issues::none(),
    })
}

fn strings(text: Text, nulls: Option<NullBuffer>) -> Result<StringArray> {
    let offsets = OffsetBuffer::new(ScalarBuffer::from(text.offsets));
    Ok(StringArray::try_new(offsets, Buffer::from_vec(text.bytes), nulls)?)
}

fn array(column: Column, rows: usize) -> Result<ArrayRef> {
    let bits = |bytes: Vec<u8>| BooleanBuffer::new(Buffer::from_vec(bytes), 0, rows);
    let nulls = column.validity.map(|validity| NullBuffer::new(bits(validity)));
    Ok(match column.values {
        Values::Text(text) => Arc::new(strings(text, nulls)?),
        Values::Integer(values) | Values::Decimal(values) => Arc::new(Int64Array::try_new(values.into(), nulls)?),
        Values::Float(values) => Arc::new(Float64Array::try_new(values.into(), nulls)?),
        Values::Date(days) => Arc::new(Date32Array::try_new(days.into(), nulls)?),
        Values::Boolean(values) => Arc::new(BooleanArray::new(bits(values), nulls)),
        Values::Timestamp(_) | Values::TextList(_) => return Err("the load has no lists and no moments".into()),
    })
}
