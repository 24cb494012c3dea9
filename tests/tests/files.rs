//! The whole way from a bucket into files of columns and of compressed lines, by the built binary; read by the Parquet
//! crate, and by DuckDB and Polars where the benchmark's peers are installed.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Decimal128Type, Float64Type};
use arrow_array::{Array, RecordBatch};
use gristmill_loopback_s3::{Config, Server};
use gristmill_tests::daemon::Bed;
use gristmill_tests::process::files_below;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;

const BUCKET: &str = "exports";

const DESTINATIONS: &str = r#"
[destinations.columns.files]
path = "columns"
format = "parquet"

[destinations.lines.files]
path = "lines"
compression = "zstd"
"#;

const INTEGRATION: &str = r#"
[integrations.to-DESTINATION]
connection = "main"
bucket = "exports"
destination = "DESTINATION"
identifiers = [{ column = "id", match = "crm_id" }, { column = "site", match = "domain", normalize = ["domain"] }]
fields = [
  { column = "arr", field = "arr", type = "currency", unit = "EUR" },
  { column = "renewal", field = "renewal", type = "date", formats = ["%d.%m.%Y"] },
  { column = "tags", field = "tags", type = "text_list", separator = ";" },
  { column = "active", field = "active", type = "boolean" },
]
usage = [{ product = "Core", period = "monthly", date = { column = "day" }, metrics = [
  { column = "calls", metric = "calls", aggregate = "sum" },
  { column = "plan", metric = "plan", type = "text", aggregate = "last" },
] }]
"#;

const ROWS: &str = "id,site,arr,renewal,tags,active,day,calls,plan
0012,https://www.acme.com/x,1200.50,31.12.2026,a;b,true,2026-10-01,5,gold
,b.com,0.10,,,false,2026-10-02,,silver
3,,much,,,,2026-10-03,7,
";

fn bed(server: &Server) -> Bed {
    let bed = Bed::new(&server.endpoint(), "loopback", "loopback-secret");
    let integrations = ["columns", "lines"].map(|name| INTEGRATION.replace("DESTINATION", name));
    bed.configure(&[DESTINATIONS, &integrations[0], &integrations[1]].concat());
    bed
}

fn names(directory: &Path) -> Vec<String> {
    let name = |(path, _): (PathBuf, _)| path.file_name().unwrap().to_string_lossy().into_owned();
    let mut names: Vec<_> = files_below(directory).into_iter().map(name).collect();
    names.sort_unstable();
    names
}

/// The one file of this name.
fn only(directory: &Path, name: &str) -> PathBuf {
    let mut found = files_below(directory).into_iter().filter(|(path, _)| path.ends_with(name));
    let (path, _) = found.next().unwrap();
    assert!(found.next().is_none());
    directory.join(path)
}

fn read(path: &Path) -> RecordBatch {
    let mut batches = ParquetRecordBatchReader::try_new(File::open(path).unwrap(), 1_024).unwrap();
    let batch = batches.next().unwrap().unwrap();
    assert!(batches.next().is_none());
    batch
}

fn texts(batch: &RecordBatch, name: &str) -> Vec<Option<String>> {
    let column = batch.column_by_name(name).unwrap().as_string::<i32>();
    column.iter().map(|text| text.map(str::to_owned)).collect()
}

/// A program in the language of the benchmark's peers; none where they are not installed.
fn python() -> Option<PathBuf> {
    let tools = match std::env::var_os("GRISTMILL_TEST_TOOLS") {
        Some(tools) => PathBuf::from(tools),
        None => std::env::current_exe().ok()?.ancestors().nth(3)?.join("tools"),
    };
    Some(tools.join("peers/bin/python")).filter(|python| python.exists())
}

fn printed(python: &Path, program: &str) -> String {
    let output = Command::new(python).args(["-c", program]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_bucket_ends_in_columns_that_others_read() {
    let server = Server::start(Config::with_bucket(BUCKET)).unwrap();
    server.put(BUCKET, "a.csv", ROWS).unwrap();
    let bed = bed(&server);

    // A dry run writes nothing, and shows the records as they would stand in the files.
    let trial = bed.path("trial.csv");
    std::fs::write(&trial, ROWS).unwrap();
    let tested = bed.command(["test", "to-columns", &trial.to_string_lossy(), "--json"]);
    assert_eq!(tested.code, 0, "{tested:?}");
    assert!(tested.output.contains("\"_crm_id\":\"0012\""), "{tested:?}");
    assert!(!bed.state().join("columns/default").exists());

    let ran = bed.once();
    assert_eq!(ran.counts("to-columns"), [1, 0, 0, 1, 0, 0], "{ran:?}");
    assert_eq!(ran.counts("to-lines"), [1, 0, 0, 1, 0, 0], "{ran:?}");
    let columns = bed.state().join("columns");
    assert_eq!(names(&columns), ["accounts.parquet", "ingestion.json", "usage.parquet"]);
    assert_eq!(names(&bed.state().join("lines")), ["accounts.ndjson.zst", "ingestion.json", "usage.ndjson.zst"]);

    let accounts = read(&only(&columns, "accounts.parquet"));
    assert_eq!(texts(&accounts, "_crm_id"), [Some("0012".to_owned()), None]);
    assert_eq!(texts(&accounts, "_domain"), [Some("acme.com".to_owned()), Some("b.com".to_owned())]);
    let revenue = accounts.column_by_name("arr").unwrap().as_primitive::<Decimal128Type>();
    assert_eq!((0..2).map(|row| revenue.value_as_string(row)).collect::<Vec<_>>(), ["1200.50", "0.10"]);
    let renewal = accounts.column_by_name("renewal").unwrap().as_primitive::<Date32Type>();
    assert_eq!(renewal.value_as_date(0).unwrap().to_string(), "2026-12-31");
    assert!(renewal.is_null(1));
    let usage = read(&only(&columns, "usage.parquet"));
    assert_eq!(usage.column_by_name("value").unwrap().as_primitive::<Float64Type>().iter().flatten().sum::<f64>(), 5.0);
    assert_eq!(texts(&usage, "text_value").into_iter().flatten().collect::<Vec<_>>(), ["gold", "silver"]);

    // Taken once.
    let before = files_below(&columns);
    std::fs::remove_file(bed.state().join("ledger.redb")).unwrap();
    bed.once();
    assert_eq!(files_below(&columns), before);

    let Some(python) = python() else { return };
    let directory = columns.display();
    let query = format!(
        "import duckdb
accounts = \"read_parquet('{directory}/*/*/*/accounts*.parquet', union_by_name = true)\"
usage = \"read_parquet('{directory}/*/*/*/usage*.parquet', union_by_name = true)\"
for query in [
    f'SELECT _row, _crm_id, _domain, arr, renewal, tags, active FROM {{accounts}} ORDER BY _row',
    f'SELECT typeof(arr), typeof(renewal), typeof(tags), typeof(active) FROM {{accounts}} LIMIT 1',
    f'SELECT sum(arr) FROM {{accounts}}',
    f'SELECT metric, period_start, \"value\", text_value FROM {{usage}} ORDER BY ALL',
]:
    for row in duckdb.sql(query).fetchall():
        print(*row, sep='|')
"
    );
    assert_eq!(
        printed(&python, &query).lines().collect::<Vec<_>>(),
        [
            "0|0012|acme.com|1200.50|2026-12-31|['a', 'b']|True",
            "1|None|b.com|0.10|None|None|False",
            "DECIMAL(19,2)|DATE|VARCHAR[]|BOOLEAN",
            "1200.60",
            "calls|2026-10-01|5.0|None",
            "plan|2026-10-01|None|gold",
            "plan|2026-10-01|None|silver",
        ]
    );
    let query = format!(
        "import polars
accounts = polars.read_parquet('{directory}/*/*/*/accounts.parquet')
print(accounts['arr'].to_list(), accounts['tags'].to_list(), accounts['renewal'].dtype)
"
    );
    assert_eq!(printed(&python, &query).trim(), "[Decimal('1200.50'), Decimal('0.10')] [['a', 'b'], None] Date");
}
