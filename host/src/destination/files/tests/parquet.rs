//! What stands in files of columns, as the Parquet crate's own reader has it.

use std::fs::File;

use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use ::parquet::basic::Compression as Codec;
use ::parquet::file::metadata::ParquetMetaData;
use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int64Type};
use arrow_array::{Array, BooleanArray, Float64Array, RecordBatch, TimestampMicrosecondArray};
use arrow_schema::{DataType, Field, TimeUnit};

use super::*;
use crate::destination::files::json::Column;

pub(super) const FORM: Form = Form { format: Format::Parquet, compression: Compression::Zstd };

fn open(root: &Path) -> FilesDestination {
    FilesDestination::open(root, FORM).unwrap()
}

/// The one object's file of this name, whole.
struct Read {
    metadata: ParquetMetaData,
    batches: Vec<RecordBatch>,
}

impl Read {
    fn of(root: &Path, name: &str) -> Self {
        let files = everything(root);
        let (path, _) = files.iter().find(|(path, _)| path.file_name().unwrap() == name).unwrap();
        let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(root.join(path)).unwrap()).unwrap();
        let metadata = builder.metadata().as_ref().clone();
        Self { metadata, batches: builder.build().unwrap().map(Result::unwrap).collect() }
    }

    /// `name: type`, for each column.
    fn columns(&self) -> Vec<String> {
        let schema = self.batches[0].schema();
        schema.fields().iter().map(|field| format!("{}: {}", field.name(), field.data_type())).collect()
    }

    /// A column's values as JSON, `-` where there is none.
    fn column(&self, name: &str) -> Vec<String> {
        let mut values = Vec::new();
        for batch in &self.batches {
            let array = batch.column_by_name(name).unwrap();
            let column = Column::of_array(array).unwrap();
            values.extend((0..array.len()).map(|row| {
                let mut text = Vec::new();
                match column.is_null(row) {
                    true => text.push(b'-'),
                    false => column.write(row, &mut text),
                }
                String::from_utf8(text).unwrap()
            }));
        }
        values
    }
}

#[test]
fn account_records_are_columns() {
    let root = tempfile::tempdir().unwrap();
    let merged = staged(&open(root.path()), delivery("a", 0), &[]).merge(RowCounts::default()).unwrap().merged;
    assert_eq!((merged.delivered, merged.usage_values), (3, 3));
    let read = Read::of(root.path(), "accounts.parquet");
    let list = ValueType::TextList.arrow();
    assert_eq!(
        read.columns(),
        [
            "_table: Int64".to_owned(),
            "_row: Int64".to_owned(),
            "_crm_id: Utf8".to_owned(),
            "_domain: Utf8".to_owned(),
            "_field:region: Utf8".to_owned(),
            format!("_clear: {list}"),
            "arr \"net\": Decimal128(19, 2)".to_owned(),
            "name: Utf8".to_owned(),
        ]
    );
    assert_eq!(read.column("_table"), ["0", "0", "0"]);
    assert_eq!(read.column("_row"), ["10", "11", "12"]);
    assert_eq!(read.column("_crm_id"), ["\"001\"", "-", "-"]);
    assert_eq!(read.column("_domain"), ["\"acme.com\"", "\"b.com\"", "-"], "half a strategy says nothing");
    assert_eq!(read.column("_field:region"), ["\"EU\"", "\"US\\n\"", "-"]);
    assert_eq!(read.column("_clear"), ["-", "[\"arr \\\"net\\\"\"]", "-"]);
    assert_eq!(read.column("arr \"net\""), ["12.50", "-", "-"]);
    assert_eq!(read.column("name"), ["\"Ü\"", "\"B\"", "-"]);
    assert!(matches!(read.metadata.row_group(0).column(2).compression(), Codec::ZSTD(_)));
}

#[test]
fn usage_records_are_columns() {
    let root = tempfile::tempdir().unwrap();
    staged(&open(root.path()), delivery("a", 0), &[]).merge(RowCounts::default()).unwrap();
    let read = Read::of(root.path(), "usage.parquet");
    let expected = [
        ("_table", "Int64", ["0", "0", "0"]),
        ("_row", "Int64", ["10", "11", "10"]),
        ("_id", "Utf8", ["\"a\"", "\"b\"", "\"a\""]),
        ("_user_email", "Utf8", ["\"x@acme.com\"", "-", "\"x@acme.com\""]),
        ("period_start", "Date32", ["\"2024-10-01\"", "\"2024-10-01\"", "\"2024-10-01\""]),
        ("date", "Date32", ["\"2024-10-15\"", "-", "\"2024-10-15\""]),
        ("product", "Utf8", ["\"Core\"", "\"Core\"", "\"Core\""]),
        ("metric", "Utf8", ["\"mau\"", "\"mau\"", "\"plan\""]),
        ("period", "Utf8", ["\"monthly\"", "\"monthly\"", "\"monthly\""]),
        ("unit", "Utf8", ["\"users\"", "\"users\"", "-"]),
        ("aggregate", "Utf8", ["\"sum\"", "\"sum\"", "\"sum\""]),
        ("repeat", "Utf8", ["\"replace\"", "\"replace\"", "\"replace\""]),
        ("value", "Float64", ["3.0", "4.0", "-"]),
        ("exact_value", "Decimal128(38, 18)", ["3.000000000000000000", "4.000000000000000000", "-"]),
        ("text_value", "Utf8", ["-", "-", "\"gold\""]),
        ("boolean_value", "Boolean", ["-", "-", "-"]),
    ];
    assert_eq!(read.columns(), expected.map(|(name, data_type, _)| format!("{name}: {data_type}")));
    for (name, _, values) in expected {
        assert_eq!(read.column(name), values, "{name}");
    }
}

/// A value of each type, and the largest ones.
fn of_each_type() -> Vec<(ValueType, ArrayRef)> {
    let mut lists = ListBuilder::new(StringBuilder::new()).with_field(Field::new_list_field(DataType::Utf8, false));
    lists.append_value([Some("a"), Some("b\"")]);
    lists.append_value(Vec::<Option<&str>>::new());
    vec![
        (ValueType::Text, Arc::new(texts(&[Some("ü"), Some("")]))),
        (ValueType::Integer, Arc::new(Int64Array::from(vec![i64::MIN, i64::MAX]))),
        (ValueType::Decimal(18), Arc::new(Int64Array::from(vec![i64::MIN, i64::MAX]))),
        (ValueType::Decimal(0), Arc::new(Int64Array::from(vec![i64::MIN, i64::MAX]))),
        (ValueType::Float, Arc::new(Float64Array::from(vec![0.1, f64::INFINITY]))),
        (ValueType::Boolean, Arc::new(BooleanArray::from(vec![true, false]))),
        (ValueType::Date, Arc::new(Date32Array::from(vec![-719_162, 2_932_896]))),
        (ValueType::Timestamp, Arc::new(TimestampMicrosecondArray::from(vec![0, 1]).with_timezone("UTC"))),
        (ValueType::TextList, Arc::new(lists.finish())),
    ]
}

#[test]
fn every_type_of_field_is_read_as_it_was_written() {
    let root = tempfile::tempdir().unwrap();
    let values = of_each_type();
    let layout = AccountLayout {
        fields: values.iter().enumerate().map(|(place, (of, _))| field(&format!("f{place}"), *of)).collect(),
        identifiers: vec![vec![MatchKey::CrmId]],
        ..account_layout()
    };
    let columns = values.iter().map(|(_, array)| FieldColumn { values: Arc::clone(array), clear: None });
    let batch = AccountBatch {
        rows: vec![0, 1],
        identifiers: vec![texts(&[Some("1"), Some("2")])],
        fields: columns.collect(),
        issues: Issues::none(),
    };
    let mut staging = open(root.path()).stage(delivery("a", 0)).unwrap();
    staging.open_table(Some(&layout), None).unwrap();
    staging.accounts(&batch, &[]).unwrap();
    staging.merge(RowCounts::default()).unwrap();
    let read = Read::of(root.path(), "accounts.parquet");
    for (place, (value_type, written)) in values.into_iter().enumerate() {
        let column = read.batches[0].column_by_name(&format!("f{place}")).unwrap();
        match value_type {
            ValueType::Decimal(scale) => {
                assert_eq!(column.data_type(), &DataType::Decimal128(19, scale.cast_signed()));
                let written: Vec<_> =
                    written.as_primitive::<Int64Type>().values().iter().copied().map(i128::from).collect();
                assert_eq!(column.as_primitive::<Decimal128Type>().values().as_ref(), written);
            }
            _ => assert_eq!(column, &written),
        }
    }
    let timestamp = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    assert_eq!(read.batches[0].column_by_name("f7").unwrap().data_type(), &timestamp);
}

#[test]
fn every_type_of_usage_value_has_its_column() {
    let root = tempfile::tempdir().unwrap();
    let values = of_each_type();
    let announced = values.iter().enumerate().map(|(place, (of, _))| series(&format!("m{place}"), *of, None)).collect();
    let blocks = values.iter().enumerate().map(|(place, (_, values))| ValueBlock {
        entry_of: vec![0, 1],
        series_of: vec![place as u32; 2],
        values: Arc::clone(values),
    });
    let batch = UsageBatch { blocks: blocks.collect(), ..usage_batch(announced) };
    let mut staging = open(root.path()).stage(delivery("a", 0)).unwrap();
    staging.open_table(None, Some(&usage_layout())).unwrap();
    staging.usage(&batch, &[]).unwrap();
    staging.merge(RowCounts::default()).unwrap();
    let read = Read::of(root.path(), "usage.parquet");
    let said = |name: &str| -> Vec<String> {
        let (metrics, values) = (read.column("metric"), read.column(name));
        let said = metrics.iter().zip(values).filter(|(_, value)| value != "-");
        said.map(|(metric, value)| format!("{}={value}", metric.trim_matches('"'))).collect()
    };
    let (least, most) = ("-9223372036854775808", "9223372036854775807");
    assert_eq!(
        said("exact_value"),
        [
            format!("m1={least}.{:0<18}", ""),
            format!("m1={most}.{:0<18}", ""),
            "m2=-9.223372036854775808".to_owned(),
            "m2=9.223372036854775807".to_owned(),
            format!("m3={least}.{:0<18}", ""),
            format!("m3={most}.{:0<18}", ""),
        ]
    );
    assert_eq!(
        said("text_value"),
        [
            r#"m0="ü""#,
            r#"m0="""#,
            r#"m6="0001-01-01""#,
            r#"m6="9999-12-31""#,
            r#"m7="1970-01-01T00:00:00Z""#,
            r#"m7="1970-01-01T00:00:00.000001Z""#,
            r#"m8="[\"a\",\"b\\\"\"]""#,
            r#"m8="[]""#,
        ]
    );
    assert_eq!(said("boolean_value"), ["m5=true", "m5=false"]);
    let near = read.batches[0].column_by_name("value").unwrap().as_primitive::<Float64Type>();
    let near: Vec<f64> = near.iter().flatten().collect();
    assert_eq!(
        near,
        [
            -9_223_372_036_854_775_808.0,
            9_223_372_036_854_775_807.0,
            -9.223_372_036_854_776,
            9.223_372_036_854_776,
            -9_223_372_036_854_775_808.0,
            9_223_372_036_854_775_807.0,
            0.1,
            f64::INFINITY
        ]
    );
}

#[test]
fn rejected_rows_are_left_out_of_columns_at_once_or_afterwards() {
    let written = |at_once: &[u32], late: &[u32]| {
        let root = tempfile::tempdir().unwrap();
        let destination = open(root.path());
        let stage = || {
            let mut staging = staged(&destination, delivery("a", 0), at_once);
            late.iter().for_each(|row| staging.reject_row(*row).unwrap());
            staging.open_table(Some(&AccountLayout { fields: Vec::new(), ..account_layout() }), None).unwrap();
            let batch = AccountBatch { fields: Vec::new(), ..account_batch() };
            staging.accounts(&batch, &[]).unwrap();
            staging
        };
        let preview = stage().preview().unwrap();
        let merged = stage().merge(RowCounts::default()).unwrap().merged;
        assert_eq!(preview.merged, merged);
        let left = |name| {
            let read = Read::of(root.path(), name);
            (read.column("_row"), read.metadata.file_metadata().num_rows())
        };
        (["accounts.parquet", "accounts-2.parquet"].map(left), preview)
    };
    for rows in [&[][..], &[10], &[11, 12]] {
        assert_eq!(written(rows, &[]), written(&[], rows), "{rows:?}");
    }
    let (files, preview) = written(&[], &[10]);
    assert_eq!(files[0].0, ["11", "12"]);
    assert_eq!(files[1].0, ["10", "11", "12"], "a row of another table with the same number stays");
    assert_eq!((preview.merged.delivered, preview.accounts.len()), (5, 5));
    assert_eq!(
        preview.accounts[0],
        serde_json::json!({
            "_table": 0, "_row": 11, "_domain": "b.com", "_field:region": "US\n", "_clear": ["arr \"net\""], "name": "B"
        })
    );
}

#[test]
fn tables_share_a_file_as_long_as_their_columns_are_the_same() {
    let root = tempfile::tempdir().unwrap();
    let mut staging = staged(&open(root.path()), delivery("a", 0), &[]);
    staging.open_table(Some(&account_layout()), Some(&usage_layout())).unwrap();
    staging.accounts(&account_batch(), &[]).unwrap();
    staging.usage(&usage_batch(both_series()), &[]).unwrap();
    let other = UsageLayout { user: Some(UserKey::Id), ..usage_layout() };
    staging.open_table(Some(&account_layout()), Some(&other)).unwrap();
    staging.accounts(&account_batch(), &[]).unwrap();
    staging.usage(&usage_batch(both_series()), &[]).unwrap();
    assert_eq!(staging.merge(RowCounts::default()).unwrap().merged.delivered, 9);
    let tables = |name| Read::of(root.path(), name).column("_table");
    assert_eq!(tables("accounts.parquet"), ["0", "0", "0", "1", "1", "1", "2", "2", "2"]);
    assert_eq!(tables("usage.parquet"), ["0", "0", "0", "1", "1", "1"]);
    assert_eq!(tables("usage-2.parquet"), ["2", "2", "2"]);
    assert_eq!(everything(root.path()).len(), 4);
}

#[test]
fn a_table_without_rows_is_a_file_without_records() {
    let root = tempfile::tempdir().unwrap();
    let mut staging = open(root.path()).stage(delivery("a", 0)).unwrap();
    staging.open_table(Some(&account_layout()), None).unwrap();
    staging.merge(RowCounts::default()).unwrap();
    let read = Read::of(root.path(), "accounts.parquet");
    assert_eq!(read.metadata.file_metadata().num_rows(), 0);
    assert_eq!(read.metadata.file_metadata().schema_descr().num_columns(), 8);
}

/// I6: a row group ends where its bytes are as many as are kept in memory.
#[test]
fn row_groups_are_bounded_in_bytes() {
    const ROWS: usize = 256;
    let root = tempfile::tempdir().unwrap();
    let mut staging = FilesDestination::open(root.path(), Form { compression: Compression::None, ..FORM })
        .unwrap()
        .stage(delivery("a", 0))
        .unwrap();
    let layout = AccountLayout {
        identifiers: vec![vec![MatchKey::CrmId]],
        fields: vec![field("text", ValueType::Text)],
        wanted: Vec::new(),
    };
    staging.open_table(Some(&layout), None).unwrap();
    for batch in 0..96_u32 {
        let text = |row: usize| format!("{batch:08}{row:08}").repeat(256);
        let values: ArrayRef = Arc::new(StringArray::from_iter_values((0..ROWS).map(text)));
        let rows: Vec<u32> = (0..ROWS as u32).map(|row| batch * ROWS as u32 + row).collect();
        let identifiers = vec![StringArray::from_iter_values(rows.iter().map(u32::to_string))];
        let fields = vec![FieldColumn { values, clear: None }];
        staging.accounts(&AccountBatch { rows, identifiers, fields, issues: Issues::none() }, &[]).unwrap();
    }
    staging.merge(RowCounts::default()).unwrap();
    let read = Read::of(root.path(), "accounts.parquet");
    let sizes: Vec<i64> = read.metadata.row_groups().iter().map(|group| group.total_byte_size()).collect();
    // 96 MiB of text in groups of 32.
    assert!((3..=4).contains(&sizes.len()), "{sizes:?}");
    assert!(sizes.iter().all(|size| *size < 35 << 20), "{sizes:?}");
    assert_eq!(read.metadata.file_metadata().num_rows(), 96 * ROWS as i64);
}
