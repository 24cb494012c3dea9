//! A failed call as an Arrow IPC file.
//!
//! The schema's metadata has the head as JSON under [`HEAD`]. The first column, with the metadata `role = line`, says where
//! each row starts; `role = text` and `role = typed` are the cells of a column and the bits of those that a workbook typed,
//! both with the header's index as `column`.

use std::collections::HashMap;
use std::fs::File;
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, StringArray, UInt64Array};
use arrow_ipc::reader::FileReader;
use arrow_ipc::writer::FileWriter;
use arrow_schema::{ArrowError, DataType, Field, Schema};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{CallHead, FailedCall, FailedCallError, Saving};
use crate::batch::{Batch, Cells, Issues};

/// The metadata that holds the head.
const HEAD: &str = "gristmill.failed_call";
/// The form of the head and of the columns.
const FORM: u32 = 1;
/// The metadata of a column that says what it is.
const ROLE: &str = "role";
/// The metadata of a column that says which of the header's it is.
const COLUMN: &str = "column";

/// What the metadata holds.
#[derive(Serialize, Deserialize)]
struct Head {
    form: u32,
    saving: Saving,
    /// The table-wide number of the first row; none where the call had no rows to hand over.
    first_row: Option<u32>,
    call: CallHead,
}

/// What is read of a head before its form is known.
#[derive(Deserialize)]
struct FormOnly {
    form: u32,
}

/// The call as the bytes of a file.
pub(super) fn encode(call: &FailedCall, at: Timestamp) -> Result<Vec<u8>, FailedCallError> {
    let head = Head {
        form: FORM,
        saving: Saving { at, version: env!("CARGO_PKG_VERSION").to_owned() },
        first_row: call.batch.as_ref().map(|batch| batch.first_row),
        call: call.head.clone(),
    };
    let head = serde_json::to_string(&head).map_err(|error| FailedCallError::Form(error.to_string()))?;
    write(call, head).map_err(|error| FailedCallError::Form(error.to_string()))
}

fn write(call: &FailedCall, head: String) -> Result<Vec<u8>, ArrowError> {
    let lines = call.batch.as_ref().map(|batch| batch.lines.clone()).unwrap_or_default();
    let mut fields = vec![field("line", DataType::UInt64, "line", None)];
    let mut arrays: Vec<ArrayRef> = vec![Arc::new(UInt64Array::from(lines))];
    let columns = call.batch.iter().flat_map(|batch| &batch.columns);
    // What stands behind the header's columns is ours, and no mapper sees it.
    for (index, (name, cells)) in call.head.header.iter().zip(columns).enumerate() {
        let Some(cells) = cells else { continue };
        fields.push(field(name, DataType::Utf8, "text", Some(index)));
        arrays.push(Arc::new(cells.text.clone()));
        if let Some(typed) = &cells.typed {
            fields.push(field(name, DataType::Boolean, "typed", Some(index)));
            arrays.push(Arc::new(BooleanArray::new(typed.clone(), None)));
        }
    }
    let schema = Arc::new(Schema::new(fields).with_metadata(HashMap::from([(HEAD.to_owned(), head)])));
    let rows = RecordBatch::try_new(Arc::clone(&schema), arrays)?;
    let mut writer = FileWriter::try_new(Vec::new(), &schema)?;
    writer.write(&rows)?;
    writer.into_inner()
}

fn field(name: &str, data_type: DataType, role: &str, index: Option<usize>) -> Field {
    let index = index.map(|index| (COLUMN.to_owned(), index.to_string()));
    let metadata: HashMap<_, _> = [(ROLE.to_owned(), role.to_owned())].into_iter().chain(index).collect();
    Field::new(name, data_type, false).with_metadata(metadata)
}

/// Reads a saved call whole.
pub fn read(path: &Path) -> Result<(FailedCall, Saving), FailedCallError> {
    let bytes =
        std::fs::read(path).map_err(|source| FailedCallError::Io { what: "read", path: path.to_owned(), source })?;
    decode(&bytes).map_err(|reason| FailedCallError::NotOurs { path: path.to_owned(), reason })
}

/// Reads the head of a saved call.
pub(super) fn read_head(path: &Path) -> Result<(CallHead, Saving), FailedCallError> {
    let failed = |source| FailedCallError::Io { what: "read", path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let head =
        FileReader::try_new_buffered(file, None).map_err(|error| error.to_string()).and_then(|it| head(&it.schema()));
    let head = head.map_err(|reason| FailedCallError::NotOurs { path: path.to_owned(), reason })?;
    Ok((head.call, head.saving))
}

fn head(schema: &Schema) -> Result<Head, String> {
    let text = schema.metadata().get(HEAD).ok_or("it has no head")?;
    let FormOnly { form } = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if form != FORM {
        return Err(format!("it is of form {form}, and this version knows {FORM}"));
    }
    serde_json::from_str(text).map_err(|error| error.to_string())
}

fn decode(bytes: &[u8]) -> Result<(FailedCall, Saving), String> {
    let mut reader = FileReader::try_new(Cursor::new(bytes), None).map_err(|error| error.to_string())?;
    let Head { saving, first_row, call, .. } = head(&reader.schema())?;
    let rows = reader.next().ok_or("it has no rows")?.map_err(|error| error.to_string())?;
    let batch = first_row.map(|first_row| batch(first_row, call.header.len(), &rows)).transpose()?;
    Ok((FailedCall { head: call, batch }, saving))
}

fn batch(first_row: u32, width: usize, rows: &RecordBatch) -> Result<Batch, String> {
    let mut lines = None;
    let mut columns: Vec<Option<Cells>> = vec![None; width];
    for (field, array) in rows.schema().fields().iter().zip(rows.columns()) {
        let not_ours = || format!("the column `{}` is of no known kind", field.name());
        if array.null_count() > 0 {
            return Err(format!("the column `{}` has nulls", field.name()));
        }
        let any = array.as_any();
        let index = field.metadata().get(COLUMN).and_then(|index| index.parse::<usize>().ok());
        let place = index.and_then(|index| columns.get_mut(index));
        match (field.metadata().get(ROLE).map(String::as_str), place) {
            (Some("line"), _) => lines = any.downcast_ref::<UInt64Array>().map(|lines| lines.values().to_vec()),
            (Some("text"), Some(place)) => {
                let text = any.downcast_ref::<StringArray>().cloned().ok_or_else(not_ours)?;
                *place = Some(Cells { text, typed: None });
            }
            (Some("typed"), Some(Some(cells))) => {
                cells.typed = Some(any.downcast_ref::<BooleanArray>().ok_or_else(not_ours)?.values().clone());
            }
            _ => return Err(not_ours()),
        }
    }
    Ok(Batch { first_row, lines: lines.ok_or("it does not say where rows start")?, columns, issues: Issues::none() })
}

#[cfg(test)]
mod tests {
    use arrow_buffer::BooleanBuffer;

    use super::super::tests::call;
    use super::*;

    #[test]
    fn a_call_comes_back_as_it_was_and_any_reader_of_arrow_finds_its_columns() {
        let at = Timestamp::from_second(1_750_000_000).unwrap();
        let (before, bytes) = (call("acme", 3), encode(&call("acme", 3), at).unwrap());
        let (after, saving) = decode(&bytes).unwrap();
        assert_eq!((after.head, saving.at), (before.head, at));
        let (before, after) = (before.batch.unwrap(), after.batch.unwrap());
        assert_eq!((after.first_row, &after.lines), (before.first_row, &before.lines));
        let texts = |batch: &Batch| -> Vec<_> {
            let columns = batch.columns.iter().take(3);
            columns.map(|column| column.as_ref().map(|cells| (cells.text.clone(), cells.typed.clone()))).collect()
        };
        assert_eq!(texts(&after), texts(&before));
        assert_eq!(texts(&after)[2].as_ref().unwrap().1, Some(BooleanBuffer::from(vec![true, false, true])));
        let reader = FileReader::try_new(Cursor::new(&bytes), None).unwrap();
        let names: Vec<_> = reader.schema().fields().iter().map(|field| field.name().clone()).collect();
        assert_eq!(names, ["line", "Account ID", "ARR", "ARR"]);
        assert!(!bytes.windows(6).any(|bytes| bytes == b"origin"), "a column that no mapper sees is in the file");
    }

    #[test]
    fn a_call_without_rows_comes_back_without() {
        let call = FailedCall { batch: None, ..call("acme", 3) };
        let bytes = encode(&call, Timestamp::UNIX_EPOCH).unwrap();
        assert!(decode(&bytes).unwrap().0.batch.is_none());
    }

    #[test]
    fn what_is_no_saved_call_is_refused_whatever_is_wrong_with_it() {
        let whole = encode(&call("acme", 3), Timestamp::UNIX_EPOCH).unwrap();
        for length in [0, 1, 20, whole.len() / 2, whole.len() - 1] {
            assert!(decode(&whole[..length]).is_err(), "{length} bytes");
        }
        // The schema stands at the beginning and at the end.
        let mut newer = whole;
        while let Some(place) = newer.windows(8).position(|bytes| bytes == b"\"form\":1") {
            newer[place + 7] = b'9';
        }
        assert_eq!(decode(&newer).unwrap_err(), "it is of form 9, and this version knows 1");
    }
}
