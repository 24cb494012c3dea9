//! What crosses from the worker to the parent: frames of a kind byte, a length and a payload.
//!
//! | kind | payload |
//! |---|---|
//! | `S` | the sheets, as JSON; the first frame |
//! | `T` | a table's head, as JSON; its batches follow |
//! | `B` | the length of the issues, the issues as JSON, one Arrow IPC stream of one record batch |
//! | `X` | the fault that ended the decoding, as JSON; nothing follows |
//!
//! A record batch holds the column `lines`, and for each column of the table with a cell that is not blank its text
//! under its header index, with `typed` before the index for the bits of cells that the workbook typed.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Write};
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, StringArray, UInt64Array};
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{DataType, Field, Schema};
use serde::Serialize;

use super::super::columns::RowIssue;
use super::super::{DecodeError, FileFault, Sheet};
use crate::batch::{Cells, TableHead};
use crate::worker::Running;

const SHEETS: u8 = b'S';
const TABLE: u8 = b'T';
const BATCH: u8 = b'B';
const FAULT: u8 = b'X';

/// The largest payload that the parent takes, in bytes: several times the largest batch.
const LARGEST: usize = 128 << 20;

const LINES: &str = "lines";
const TYPED: &str = "typed";

/// One frame, as the parent sees it. A fault is an error there.
#[derive(Debug)]
pub(super) enum Frame {
    Sheets(Vec<Sheet>),
    Table(TableHead),
    Batch(SentBatch),
}

/// A batch without its blank columns.
#[derive(Debug)]
pub(super) struct SentBatch {
    pub(super) lines: Vec<u64>,
    pub(super) issues: Vec<RowIssue>,
    /// By header index.
    pub(super) columns: BTreeMap<usize, Cells>,
}

pub(super) fn send_sheets(to: &mut dyn Write, sheets: &[Sheet]) -> io::Result<()> {
    send(to, SHEETS, &[&serde_json::to_vec(sheets)?])
}

pub(super) fn send_table(to: &mut dyn Write, head: &TableHead) -> io::Result<()> {
    send(to, TABLE, &[&serde_json::to_vec(head)?])
}

pub(super) fn send_fault(to: &mut dyn Write, fault: &FileFault) -> io::Result<()> {
    send(to, FAULT, &[&serde_json::to_vec(fault)?])
}

pub(super) fn send_batch(to: &mut dyn Write, batch: SentBatch) -> io::Result<()> {
    let mut fields = vec![Field::new(LINES, DataType::UInt64, false)];
    let mut arrays: Vec<ArrayRef> = vec![Arc::new(UInt64Array::from(batch.lines))];
    for (index, cells) in batch.columns {
        fields.push(Field::new(index.to_string(), DataType::Utf8, false));
        arrays.push(Arc::new(cells.text));
        if let Some(typed) = cells.typed {
            fields.push(Field::new(format!("{TYPED}{index}"), DataType::Boolean, false));
            arrays.push(Arc::new(BooleanArray::new(typed, None)));
        }
    }
    let schema = Arc::new(Schema::new(fields));
    let record_batch = RecordBatch::try_new(schema.clone(), arrays).map_err(io::Error::other)?;
    let mut writer = StreamWriter::try_new(Vec::new(), &schema).map_err(io::Error::other)?;
    writer.write(&record_batch).map_err(io::Error::other)?;
    let stream = writer.into_inner().map_err(io::Error::other)?;
    let issues = encode(&batch.issues)?;
    send(to, BATCH, &[&(issues.len() as u32).to_le_bytes(), &issues, &stream])
}

fn encode(value: &impl Serialize) -> io::Result<Vec<u8>> {
    Ok(serde_json::to_vec(value)?)
}

fn send(to: &mut dyn Write, kind: u8, payload: &[&[u8]]) -> io::Result<()> {
    let length = payload.iter().map(|part| part.len()).sum::<usize>();
    let length = u32::try_from(length).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    to.write_all(&[kind])?;
    to.write_all(&length.to_le_bytes())?;
    payload.iter().try_for_each(|part| to.write_all(part))
}

/// The next frame; none where the worker is done. A worker that died in between is an error, never an end.
pub(super) fn receive(from: &mut Running) -> Result<Option<Frame>, DecodeError> {
    let mut head = [0; 5];
    if !fill(from, &mut head)? {
        return Ok(None);
    }
    let [kind, length @ ..] = head;
    let length = u32::from_le_bytes(length) as usize;
    if length > LARGEST {
        return Err(DecodeError::Answer("a frame is too large".into()));
    }
    let mut payload = vec![0; length];
    if length > 0 && !fill(from, &mut payload)? {
        return Err(cut_off());
    }
    let json = |error: serde_json::Error| DecodeError::Answer(error.to_string());
    match kind {
        SHEETS => Ok(Some(Frame::Sheets(serde_json::from_slice(&payload).map_err(json)?))),
        TABLE => Ok(Some(Frame::Table(serde_json::from_slice(&payload).map_err(json)?))),
        BATCH => Ok(Some(Frame::Batch(batch(payload)?))),
        FAULT => Err(DecodeError::File(serde_json::from_slice(&payload).map_err(json)?)),
        _ => Err(DecodeError::Answer("a frame is of no known kind".into())),
    }
}

/// Fills the buffer; false where the answer ends before its first byte.
fn fill(from: &mut Running, buffer: &mut [u8]) -> Result<bool, DecodeError> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match from.read_some(rest).map_err(DecodeError::Worker)? {
            0 if filled == 0 => return Ok(false),
            0 => return Err(cut_off()),
            read => filled += read,
        }
    }
    Ok(true)
}

fn cut_off() -> DecodeError {
    DecodeError::Answer("it ends within a frame".into())
}

fn batch(payload: Vec<u8>) -> Result<SentBatch, DecodeError> {
    let not_ours = |reason: &str| DecodeError::Answer(reason.to_owned());
    let (length, rest) = payload.split_first_chunk::<4>().ok_or_else(cut_off)?;
    let (issues, stream) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(cut_off)?;
    let issues = serde_json::from_slice(issues).map_err(|error| not_ours(&error.to_string()))?;
    let mut reader = StreamReader::try_new(Cursor::new(stream), None).map_err(|error| not_ours(&error.to_string()))?;
    let record_batch = reader.next().ok_or_else(cut_off)?.map_err(|error| not_ours(&error.to_string()))?;
    let mut lines = None;
    let mut columns: BTreeMap<usize, Cells> = BTreeMap::new();
    let schema = record_batch.schema();
    for (field, array) in schema.fields().iter().zip(record_batch.columns()) {
        if array.null_count() > 0 {
            return Err(not_ours("a column has nulls"));
        }
        let any = array.as_any();
        if field.name() == LINES {
            lines = any.downcast_ref::<UInt64Array>().map(|lines| lines.values().to_vec());
        } else if let Some(index) = field.name().strip_prefix(TYPED) {
            let typed = any.downcast_ref::<BooleanArray>().map(|typed| typed.values().clone());
            let index: Option<usize> = index.parse().ok();
            let cells =
                index.and_then(|index| columns.get_mut(&index)).ok_or_else(|| not_ours("a column has no text"))?;
            cells.typed = typed;
        } else {
            let text = any.downcast_ref::<StringArray>().cloned();
            match (field.name().parse(), text) {
                (Ok(index), Some(text)) => drop(columns.insert(index, Cells { text, typed: None })),
                _ => return Err(not_ours("a column is of no known kind")),
            }
        }
    }
    Ok(SentBatch { lines: lines.ok_or_else(|| not_ours("a batch has no lines"))?, issues, columns })
}
