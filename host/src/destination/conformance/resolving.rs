//! Resolving identifiers through the store for a destination that keeps no accounts (R12).

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::storing::stages;
use super::*;
use crate::destination::resolve::Resolver;

/// Lines whose records get the accounts of the store.
fn lines(bed: &Bed) -> FilesDestination {
    files(bed, Form { format: Format::Ndjson, compression: Compression::None })
}

fn files(bed: &Bed, form: Form) -> FilesDestination {
    let store = Arc::from(bed.open_again().unwrap());
    let lines = FilesDestination::open(&bed.directory.path().join("lines"), form).unwrap();
    lines.resolving(Some(Resolver::through(store)))
}

fn stage_in(lines: &FilesDestination, file: &File) -> Box<dyn Staging> {
    let mut staging = lines.stage(file.delivery()).unwrap();
    let layouts = (file.accounts.as_ref().map(Accounts::layout), file.usage.as_ref().map(Usage::layout));
    staging.open_table(layouts.0.as_ref(), layouts.1.as_ref()).unwrap();
    if let Some(accounts) = &file.accounts {
        staging.accounts(&accounts.batch(), &file.rejected).unwrap();
    }
    if let Some(usage) = &file.usage {
        staging.usage(&usage.batch(), &file.rejected).unwrap();
    }
    staging
}

/// The records of each file of this name, each as its row, its account and its crm id.
fn records(bed: &Bed, name: &str) -> Vec<String> {
    let mut records = Vec::new();
    let mut directories = vec![bed.directory.path().join("lines/default")];
    while let Some(directory) = directories.pop() {
        for entry in directory.read_dir().unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.ends_with(name) {
                for line in std::fs::read_to_string(path).unwrap().lines() {
                    let record: serde_json::Value = serde_json::from_str(line).unwrap();
                    let (row, account) = (&record["row"], &record["account_id"]);
                    records.push(format!("{row} {account} {}", record["account"][0]["crm_id"].as_str().unwrap()));
                }
            }
        }
    }
    records
}

/// The same of columns; `name` is the file's.
fn records_in_columns(bed: &Bed, name: &str) -> Vec<String> {
    let mut records = Vec::new();
    let mut directories = vec![bed.directory.path().join("lines/default")];
    while let Some(directory) = directories.pop() {
        for entry in directory.read_dir().unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.ends_with(name) {
                let file = std::fs::File::open(path).unwrap();
                for batch in ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap() {
                    let batch = batch.unwrap();
                    let column = |name: &str| batch.column_by_name(name).unwrap();
                    let number = |name: &str, at: usize| column(name).as_primitive::<Int64Type>().value(at);
                    let crm_ids = column("_crm_id").as_string::<i32>();
                    records.extend((0..batch.num_rows()).map(|at| {
                        format!("{} {} {}", number("_row", at), number("_account_id", at), crm_ids.value(at))
                    }));
                }
            }
        }
    }
    records
}

/// A store with the accounts `1` and `2`, and the ids they have there.
fn store(kind: Kind) -> (Bed, [i64; 2]) {
    let bed = Bed::new(kind);
    bed.merge(&File::new("first.csv").accounts(stages(&[("1", text("a")), ("2", text("b"))]))).unwrap();
    let id = |crm_id: &str| {
        let sql = format!("SELECT account FROM account_keys WHERE kind = 'crm_id' AND value = '{crm_id}'");
        bed.rows(&sql)[0].parse().unwrap()
    };
    let ids = [id("1"), id("2")];
    (bed, ids)
}

/// R12
pub(super) fn records_of_another_destination_get_the_accounts_of_the_store(kind: Kind) {
    let (bed, [one, two]) = store(kind);
    let usage = Usage::of(vec![series("mau", Aggregate::Sum, Repeat::Replace)])
        .row("2", 5, 0, vec![Some(7)])
        .row("3", 5, 0, vec![Some(7)])
        .row("1", 5, 0, vec![None]);
    let accounts = stages(&[("2", text("x")), ("3", text("y")), ("1", text("z")), ("1", text("w"))]);
    // Whoever creates accounts has done so before.
    let file = File { rejected: vec![3], ..File::new("b.csv").accounts(accounts).usage(usage) };
    let before = bed.rows("SELECT count(*) FROM ingestions");
    let lines = lines(&bed);
    let preview = stage_in(&lines, &file).preview().unwrap();
    assert_eq!((preview.merged.matched, preview.merged.unmatched), (2, 1));
    assert_eq!(preview.accounts[0]["account_id"], two);
    let merged = stage_in(&lines, &file).merge(RowCounts { read: 4, rejected: 1 }).unwrap().merged;
    assert_eq!((merged.delivered, merged.matched, merged.unmatched, merged.usage_values), (2, 2, 1, 1));
    assert_eq!(merged.unmatched_examples[0].identifier, "3");
    assert_eq!(records(&bed, "accounts.ndjson"), [format!("0 {two} 2"), format!("2 {one} 1")]);
    assert_eq!(records(&bed, "usage.ndjson"), [format!("0 {two} 2")]);
    let columns = files(&bed, Form { format: Format::Parquet, compression: Compression::Zstd });
    let again = File { key: "c.csv".to_owned(), ..file };
    assert_eq!(stage_in(&columns, &again).preview().unwrap().accounts[0]["_account_id"], two);
    let merged = stage_in(&columns, &again).merge(RowCounts { read: 4, rejected: 1 }).unwrap().merged;
    assert_eq!((merged.delivered, merged.matched, merged.unmatched, merged.usage_values), (2, 2, 1, 1));
    assert_eq!(records_in_columns(&bed, "accounts.parquet"), [format!("0 {two} 2"), format!("2 {one} 1")]);
    assert_eq!(records_in_columns(&bed, "usage.parquet"), [format!("0 {two} 2")]);
    assert_eq!(bed.rows("SELECT count(*) FROM ingestions"), before, "nothing of it stays in the store");
    assert_eq!(bed.rows("SELECT count(*) FROM accounts"), ["2"]);
}

/// R7, R11: as the store would.
pub(super) fn a_file_is_refused_for_rows_that_the_store_does_not_know(kind: Kind) {
    let (bed, _) = store(kind);
    let lines = lines(&bed);
    let merge = |file: &File| stage_in(&lines, file).merge(RowCounts { read: 2, rejected: 0 }).unwrap_err().to_string();
    let unknown = File::new("b.csv").accounts(stages(&[("3", text("x")), ("4", text("y"))]));
    assert_eq!(merge(&unknown), "none of its 2 rows matched an account");
    let matching = Matching { on_no_match: OnNoMatch::Error, ..Matching::default() };
    let one = File::new("c.csv").accounts(stages(&[("1", text("x")), ("4", text("y"))])).matching(matching);
    assert_eq!(merge(&one), "1 row matched no account; the first is `4`");
    assert!(lines.confirmed(&TenantName::default(), &one.delivery().identity).unwrap().is_none());
    assert_eq!(lines.lacks_accounts(&TenantName::default()).unwrap(), Some(false));
}

pub(super) fn rows_that_are_rejected_late_are_not_asked_after(kind: Kind) {
    let (bed, [one, _]) = store(kind);
    let lines = lines(&bed);
    let mut staging = stage_in(&lines, &File::new("b.csv").accounts(stages(&[("1", text("x")), ("9", text("y"))])));
    staging.reject_row(1).unwrap();
    let merged = staging.merge(RowCounts { read: 2, rejected: 1 }).unwrap().merged;
    assert_eq!((merged.delivered, merged.unmatched), (1, 0));
    assert_eq!(records(&bed, "accounts.ndjson"), [format!("0 {one} 1")]);
}
