//! Files of one kind of record, written a row group at a time.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{BooleanArray, Int64Array, RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use arrow_select::filter::{filter, filter_record_batch};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::basic::{Compression as Codec, GzipLevel, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};

use super::columns::ACCOUNT;
use super::unannounced;
use crate::destination::DestinationError;
use crate::destination::files::json::{Column, write_text};
use crate::destination::files::late::Rows;
use crate::destination::files::{Compression, EXAMPLES, failed};
use crate::destination::resolve::{Accounts, RecordKind};

/// A row group ends at so many rows …
const ROW_GROUP_ROWS: usize = 1 << 20;
/// … or when it takes so many bytes of memory.
const ROW_GROUP_BYTES: usize = 32 << 20;
/// Rows that are read at once.
const BATCH: usize = 1_024;

/// The files of one kind of record: one, unless tables have different columns.
pub(super) struct RecordFiles {
    directory: PathBuf,
    name: &'static str,
    properties: WriterProperties,
    open: Option<ArrowWriter<File>>,
    /// The columns of the open file.
    schema: Option<SchemaRef>,
    /// In the order in which they were begun.
    paths: Vec<PathBuf>,
    pub records: u64,
}

impl RecordFiles {
    pub fn new(directory: PathBuf, name: &'static str, compression: Compression) -> Self {
        let codec = match compression {
            Compression::None => Codec::UNCOMPRESSED,
            Compression::Gzip => Codec::GZIP(GzipLevel::try_new(1).unwrap_or_default()),
            Compression::Zstd => Codec::ZSTD(ZstdLevel::try_new(1).unwrap_or_default()),
        };
        // An index of pages would grow with the file, in memory.
        let properties = WriterProperties::builder()
            .set_compression(codec)
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_offset_index_disabled(true)
            .build();
        Self { directory, name, properties, open: None, schema: None, paths: Vec::new(), records: 0 }
    }

    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// The file at work, or the directory before there is one.
    fn path(&self) -> &Path {
        self.paths.last().unwrap_or(&self.directory)
    }

    pub fn mistyped(&self, error: ArrowError) -> DestinationError {
        failed("write", self.path())(io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// What comes next has these columns.
    pub fn begin(&mut self, schema: SchemaRef) -> Result<(), DestinationError> {
        if self.schema.as_ref() == Some(&schema) {
            return Ok(());
        }
        self.finish()?;
        let name = match self.paths.len() {
            0 => format!("{}.parquet", self.name),
            before => format!("{}-{}.parquet", self.name, before + 1),
        };
        let path = self.directory.join(name);
        self.open = Some(self.create(&path, Arc::clone(&schema))?);
        self.schema = Some(schema);
        self.paths.push(path);
        Ok(())
    }

    fn create(&self, path: &Path, schema: SchemaRef) -> Result<ArrowWriter<File>, DestinationError> {
        let file = File::create_new(path).map_err(failed("make", path))?;
        ArrowWriter::try_new(file, schema, Some(self.properties.clone())).map_err(refused("make", path))
    }

    pub fn write(&mut self, records: &RecordBatch) -> Result<(), DestinationError> {
        let Some(writer) = &mut self.open else { return Ok(()) };
        self.records += records.num_rows() as u64;
        write_bounded(writer, records).map_err(refused("write", self.path()))
    }

    /// Writes the end of the open file. Nothing can be added to it any more.
    pub fn finish(&mut self) -> Result<(), DestinationError> {
        self.schema = None;
        match self.open.take() {
            Some(writer) => writer.close().map(drop).map_err(refused("write", self.path())),
            None => Ok(()),
        }
    }

    /// Takes the records of these rows out of the finished files.
    pub fn take_out(&mut self, rows: &Rows) -> Result<(), DestinationError> {
        self.rewrite(Arc::clone, |records, path| without(records, rows).map_err(unreadable(path)))
    }

    /// Adds the id of its account to each record of the finished files, and takes out those that have none.
    pub fn add_accounts(&mut self, kind: RecordKind, accounts: &mut Accounts) -> Result<(), DestinationError> {
        self.rewrite(with_account, |records, path| {
            let mut found = Vec::with_capacity(records.num_rows());
            let (tables, rows) = places(records).map_err(unreadable(path))?;
            for (table, row) in tables.values().iter().zip(rows.values()) {
                found.push(match (u32::try_from(*table), u32::try_from(*row)) {
                    (Ok(table), Ok(row)) => accounts.of(kind, table, row)?,
                    _ => None,
                });
            }
            with_accounts(records, Int64Array::from(found)).map_err(unreadable(path))
        })
    }

    /// Writes the finished files anew, a batch at a time.
    fn rewrite(
        &mut self,
        schema: impl Fn(&SchemaRef) -> SchemaRef,
        mut change: impl FnMut(&RecordBatch, &Path) -> Result<RecordBatch, DestinationError>,
    ) -> Result<(), DestinationError> {
        self.records = 0;
        for path in &self.paths {
            let aside = path.with_extension("mended");
            let reader = read(path, BATCH)?;
            let mut writer = self.create(&aside, schema(&reader.schema()))?;
            for records in reader {
                let changed = change(&records.map_err(unreadable(path))?, path)?;
                self.records += changed.num_rows() as u64;
                write_bounded(&mut writer, &changed).map_err(refused("write", &aside))?;
            }
            writer.close().map_err(refused("write", &aside))?;
            fs::rename(&aside, path).map_err(failed("put into place", path))?;
        }
        Ok(())
    }

    /// The first records of the finished files, each with the columns that have a value.
    pub fn first(&self) -> Result<Vec<serde_json::Value>, DestinationError> {
        let mut found = Vec::new();
        for path in &self.paths {
            for records in read(path, EXAMPLES)?.take(1) {
                let records = records.map_err(|error| failed("read", path)(io::Error::other(error)))?;
                let shown = show(&records, EXAMPLES - found.len());
                found.extend(shown.map_err(|error| failed("read", path)(error.into()))?);
            }
            if found.len() == EXAMPLES {
                break;
            }
        }
        Ok(found)
    }
}

fn write_bounded(writer: &mut ArrowWriter<File>, records: &RecordBatch) -> Result<(), ParquetError> {
    writer.write(records)?;
    if writer.memory_size() >= ROW_GROUP_BYTES { writer.flush() } else { Ok(()) }
}

fn read(path: &Path, batch: usize) -> Result<ParquetRecordBatchReader, DestinationError> {
    let file = File::open(path).map_err(failed("read", path))?;
    ParquetRecordBatchReaderBuilder::try_new(file)
        .and_then(|builder| builder.with_batch_size(batch).build())
        .map_err(refused("read", path))
}

/// The table and the row of each record: the first two columns.
fn places(records: &RecordBatch) -> Result<(&Int64Array, &Int64Array), ArrowError> {
    let number = |index: usize| {
        let column = records.columns().get(index).and_then(AsArray::as_primitive_opt::<Int64Type>);
        column.ok_or_else(|| unannounced("_table and _row"))
    };
    Ok((number(0)?, number(1)?))
}

/// The records less those of these rows.
fn without(records: &RecordBatch, rows: &Rows) -> Result<RecordBatch, ArrowError> {
    let is_kept = |(table, row): (&i64, &i64)| match (u32::try_from(*table), u32::try_from(*row)) {
        (Ok(table), Ok(row)) => !rows.contains(table, row),
        _ => true,
    };
    let (tables, numbers) = places(records)?;
    let kept: Vec<bool> = tables.values().iter().zip(numbers.values()).map(is_kept).collect();
    filter_record_batch(records, &BooleanArray::from(kept))
}

/// The columns with one more, behind table and row.
fn with_account(schema: &SchemaRef) -> SchemaRef {
    let mut fields = schema.fields().to_vec();
    fields.insert(fields.len().min(2), Arc::new(Field::new(ACCOUNT, DataType::Int64, false)));
    Arc::new(Schema::new(fields))
}

/// The records that have an account, with it.
fn with_accounts(records: &RecordBatch, accounts: Int64Array) -> Result<RecordBatch, ArrowError> {
    let has_one = accounts.iter().map(|account| Some(account.is_some())).collect();
    let records = filter_record_batch(records, &has_one)?;
    let mut columns = records.columns().to_vec();
    columns.insert(columns.len().min(2), filter(&accounts, &has_one)?);
    RecordBatch::try_new(with_account(records.schema_ref()), columns)
}

fn unreadable(path: &Path) -> impl FnOnce(ArrowError) -> DestinationError {
    let failed = failed("read", path);
    move |error| failed(io::Error::other(error))
}

fn show(records: &RecordBatch, count: usize) -> serde_json::Result<Vec<serde_json::Value>> {
    let schema = records.schema_ref();
    let columns: Vec<_> = schema
        .fields()
        .iter()
        .zip(records.columns())
        .filter_map(|(field, array)| Some((field.name(), Column::of_array(array)?)))
        .collect();
    let record = |row| {
        let mut text = b"{".to_vec();
        for (name, column) in columns.iter().filter(|(_, column)| !column.is_null(row)) {
            if text.len() > 1 {
                text.push(b',');
            }
            write_text(name.as_bytes(), &mut text);
            text.push(b':');
            column.write(row, &mut text);
        }
        text.push(b'}');
        serde_json::from_slice(&text)
    };
    (0..records.num_rows().min(count)).map(record).collect()
}

fn refused(what: &'static str, path: &Path) -> impl FnOnce(ParquetError) -> DestinationError {
    let failed = failed(what, path);
    move |error| {
        failed(match error {
            ParquetError::External(source) => match source.downcast::<io::Error>() {
                Ok(source) => *source,
                Err(other) => io::Error::other(other),
            },
            other => io::Error::other(other),
        })
    }
}
