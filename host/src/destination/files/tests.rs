use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, Date32Array, Int64Array, StringArray};
use arrow_buffer::BooleanBuffer;
use jiff::Timestamp;

use super::*;
use crate::batch::{
    Aggregate, FieldColumn, Issues, MatchKey, OutputField, Period, Repeat, Semantic, Series, UserKey, ValueBlock,
    ValueType, WriteMode,
};
use crate::destination::{Brings, Matching};
use crate::object::{AsOf, ContentHash, Generation, MappingDigest, Object};

mod compressed;
mod parquet;

const ACCOUNTS: &str = "accounts.ndjson";
const USAGE: &str = "usage.ndjson";

fn delivery(key: &str, generation: u32) -> Delivery {
    let object = Object {
        connection: "acme".parse().unwrap(),
        bucket: "exports".parse().unwrap(),
        key: key.parse().unwrap(),
        etag: "e".parse().unwrap(),
        size: 1,
        last_modified: Timestamp::UNIX_EPOCH,
    };
    let generation = Generation(generation);
    let identity = Identity { integration: "accounts".parse().unwrap(), dedup_key: object.dedup_key(), generation };
    Delivery {
        identity,
        tenant: TenantName::default(),
        as_of: AsOf { effective_time: object.last_modified, key: object.key.clone(), arrival: 1, generation },
        object,
        mapping: MappingDigest::from_bytes([1; 32]),
        content: ContentHash::from_bytes([2; 32]),
        matching: Matching::default(),
        brings: Brings::OWN,
    }
}

fn field(name: &str, value_type: ValueType) -> OutputField {
    OutputField {
        name: name.to_owned(),
        value_type,
        semantic: Semantic::Plain,
        unit: None,
        write_mode: WriteMode::Overwrite,
    }
}

fn account_layout() -> AccountLayout {
    AccountLayout {
        wanted: vec![0, 1],
        identifiers: vec![vec![MatchKey::CrmId], vec![MatchKey::Domain, MatchKey::Field("region".to_owned())]],
        fields: vec![field("arr \"net\"", ValueType::Decimal(2)), field("name", ValueType::Text)],
    }
}

fn texts(values: &[Option<&str>]) -> StringArray {
    StringArray::from(values.to_vec())
}

fn account_batch() -> AccountBatch {
    let ids = texts(&[Some("001"), Some(""), None]);
    let domains = texts(&[Some("acme.com"), Some("b.com"), Some("c.com")]);
    let regions = texts(&[Some("EU"), Some("US\n"), None]);
    let arr: ArrayRef = Arc::new(Int64Array::from(vec![Some(1250), None, None]));
    let name: ArrayRef = Arc::new(texts(&[Some("Ü"), Some("B"), None]));
    AccountBatch {
        rows: vec![10, 11, 12],
        identifiers: vec![ids, domains, regions],
        fields: vec![
            FieldColumn { values: arr, clear: Some(BooleanBuffer::from(vec![false, true, false])) },
            FieldColumn { values: name, clear: None },
        ],
        issues: Issues::none(),
    }
}

fn series(metric: &str, value_type: ValueType, unit: Option<&str>) -> Series {
    Series {
        product: "Core".to_owned(),
        metric: metric.to_owned(),
        unit: unit.map(str::to_owned),
        value_type,
        aggregate: Aggregate::Sum,
        period: Period::Monthly,
        repeat: Repeat::Replace,
    }
}

fn usage_layout() -> UsageLayout {
    UsageLayout { wanted: vec![0], identifiers: vec![vec![MatchKey::Id]], user: Some(UserKey::Email) }
}

fn usage_batch(announced: Vec<Series>) -> UsageBatch {
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(3), None, Some(4)]));
    let words: ArrayRef = Arc::new(texts(&[Some("gold")]));
    UsageBatch {
        rows: vec![10, 11],
        identifiers: vec![texts(&[Some("a"), Some("b")])],
        user: Some(texts(&[Some("x@acme.com"), None])),
        dates: Date32Array::from(vec![Some(20_011), None]),
        period_starts: Date32Array::from(vec![19_997, 19_997]),
        announced,
        blocks: vec![
            ValueBlock { entry_of: vec![0, 0, 1], series_of: vec![0, 0, 0], values: numbers },
            ValueBlock { entry_of: vec![0], series_of: vec![1], values: words },
        ],
        issues: Issues::none(),
    }
}

fn both_series() -> Vec<Series> {
    vec![series("mau", ValueType::Integer, Some("users")), series("plan", ValueType::Text, None)]
}

fn open(root: &Path) -> FilesDestination {
    FilesDestination::open(root, Form::default()).unwrap()
}

/// Stages one table with one batch of each kind.
fn staged(destination: &FilesDestination, delivery: Delivery, rejected: &[u32]) -> Box<dyn Staging> {
    let mut staging = destination.stage(delivery).unwrap();
    staging.open_table(Some(&account_layout()), Some(&usage_layout())).unwrap();
    staging.accounts(&account_batch(), rejected).unwrap();
    staging.usage(&usage_batch(both_series()), rejected).unwrap();
    staging
}

/// Every file below the tenants' directories, by its path.
fn everything(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap() == STAGING {
                continue;
            }
            if path.is_dir() {
                directories.push(path);
            } else {
                files.insert(path.strip_prefix(root).unwrap().to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    files
}

/// The same, of files of text.
fn visible(root: &Path) -> BTreeMap<PathBuf, String> {
    everything(root).into_iter().map(|(path, bytes)| (path, String::from_utf8(bytes).unwrap())).collect()
}

fn file<'a>(files: &'a BTreeMap<PathBuf, String>, name: &str) -> &'a str {
    let mut found = files.iter().filter(|(path, _)| path.file_name().unwrap() == name);
    let (_, text) = found.next().unwrap();
    assert!(found.next().is_none(), "one object has one directory");
    text
}

fn left_in_staging(root: &Path) -> usize {
    fs::read_dir(root.join(STAGING)).unwrap().count()
}

/// R12
#[test]
fn records_are_written_with_their_identifiers_as_they_are() {
    let root = tempfile::tempdir().unwrap();
    let merged =
        staged(&open(root.path()), delivery("daily/a.csv", 0), &[]).merge(RowCounts::default()).unwrap().merged;
    assert_eq!((merged.delivered, merged.usage_values), (3, 3));
    let files = visible(root.path());
    let expected = concat!(
        r#"{"table":0,"row":10,"account":[{"crm_id":"001"},{"domain":"acme.com","field:region":"EU"}],"fields":{"arr \"net\"":12.50,"name":"Ü"}}"#,
        "\n",
        r#"{"table":0,"row":11,"account":[{"domain":"b.com","field:region":"US\n"}],"fields":{"arr \"net\"":null,"name":"B"}}"#,
        "\n",
        r#"{"table":0,"row":12,"account":[],"fields":{}}"#,
        "\n",
    );
    assert_eq!(file(&files, ACCOUNTS), expected);
    let expected = concat!(
        r#"{"table":0,"row":10,"account":[{"id":"a"}],"user":{"email":"x@acme.com"},"period_start":"2024-10-01","date":"2024-10-15","product":"Core","metric":"mau","period":"monthly","value":3,"unit":"users","aggregate":"sum","repeat":"replace"}"#,
        "\n",
        r#"{"table":0,"row":11,"account":[{"id":"b"}],"period_start":"2024-10-01","product":"Core","metric":"mau","period":"monthly","value":4,"unit":"users","aggregate":"sum","repeat":"replace"}"#,
        "\n",
        r#"{"table":0,"row":10,"account":[{"id":"a"}],"user":{"email":"x@acme.com"},"period_start":"2024-10-01","date":"2024-10-15","product":"Core","metric":"plan","period":"monthly","value":"gold","aggregate":"sum","repeat":"replace"}"#,
        "\n",
    );
    assert_eq!(file(&files, USAGE), expected);
    let manifest: serde_json::Value = serde_json::from_str(file(&files, MANIFEST)).unwrap();
    assert_eq!(manifest["tables"][0]["series"][1]["metric"], "plan");
    assert_eq!(manifest["summary"]["merged"]["delivered"], 3);
}

#[test]
fn series_keep_their_numbers_over_the_batches_of_a_table() {
    let root = tempfile::tempdir().unwrap();
    let mut staging = staged(&open(root.path()), delivery("a", 0), &[]);
    staging.usage(&usage_batch(Vec::new()), &[]).unwrap();
    staging.open_table(None, Some(&usage_layout())).unwrap();
    staging.usage(&usage_batch(both_series()), &[]).unwrap();
    assert_eq!(staging.merge(RowCounts::default()).unwrap().merged.usage_values, 9);
    let files = visible(root.path());
    assert_eq!(file(&files, USAGE).matches("{\"table\":1,").count(), 3);
}

#[test]
fn rejected_rows_are_left_out_at_once_or_afterwards() {
    let late = |rows: &[u32]| {
        let root = tempfile::tempdir().unwrap();
        let mut staging = staged(&open(root.path()), delivery("a", 0), &[]);
        for row in rows {
            staging.reject_row(*row).unwrap();
        }
        staging.open_table(Some(&account_layout()), None).unwrap();
        staging.accounts(&account_batch(), &[]).unwrap();
        let merged = staging.merge(RowCounts::default()).unwrap().merged;
        (merged, visible(root.path()))
    };
    let at_once = |rows: &[u32]| {
        let root = tempfile::tempdir().unwrap();
        let mut staging = staged(&open(root.path()), delivery("a", 0), rows);
        staging.open_table(Some(&account_layout()), None).unwrap();
        staging.accounts(&account_batch(), &[]).unwrap();
        let merged = staging.merge(RowCounts::default()).unwrap().merged;
        (merged, visible(root.path()))
    };
    for rows in [&[][..], &[10], &[11, 12], &[10, 11, 12], &[4, 100_000]] {
        assert_eq!(late(rows), at_once(rows), "{rows:?}");
    }
    assert_eq!(late(&[10]).0.delivered, 5, "a row of another table with the same number stays");
}

/// I3
#[test]
fn nothing_is_visible_before_the_merge_or_without_it() {
    let root = tempfile::tempdir().unwrap();
    let destination = open(root.path());
    let staging = staged(&destination, delivery("a", 0), &[]);
    assert!(visible(root.path()).is_empty());
    drop(staging);
    assert!(visible(root.path()).is_empty());
    assert_eq!(left_in_staging(root.path()), 0);
    let preview = staged(&destination, delivery("a", 0), &[10]).preview().unwrap();
    assert_eq!((preview.merged.delivered, preview.accounts.len(), preview.usage.len()), (2, 2, 1));
    assert_eq!(preview.accounts[0]["row"], 11);
    assert!(visible(root.path()).is_empty());
    assert_eq!(left_in_staging(root.path()), 0);
}

/// I3, R1
#[test]
fn an_identity_is_confirmed_once_it_is_merged_and_not_merged_twice() {
    let root = tempfile::tempdir().unwrap();
    let destination = open(root.path());
    let first = delivery("a", 0);
    let confirmed = |delivery: &Delivery| destination.confirmed(&delivery.tenant, &delivery.identity).unwrap();
    assert_eq!(confirmed(&first), None);
    let merged = staged(&destination, first.clone(), &[]).merge(RowCounts::default()).unwrap();
    assert_eq!(confirmed(&first), Some(merged.clone()));
    let before = visible(root.path());
    assert_eq!(staged(&destination, first, &[10]).merge(RowCounts::default()).unwrap(), merged);
    assert_eq!(visible(root.path()), before);
    assert_eq!(confirmed(&delivery("a", 1)), None);
    assert_eq!(confirmed(&delivery("b", 0)), None);
}

/// R1
#[test]
fn a_replay_takes_the_place_of_what_was_there() {
    let root = tempfile::tempdir().unwrap();
    let destination = open(root.path());
    staged(&destination, delivery("a", 0), &[]).merge(RowCounts::default()).unwrap();
    let merged = staged(&destination, delivery("a", 1), &[10, 11]).merge(RowCounts::default()).unwrap();
    let files = visible(root.path());
    assert_eq!(file(&files, ACCOUNTS).lines().count(), 1);
    assert_eq!(left_in_staging(root.path()), 0);
    let older = staged(&destination, delivery("a", 0), &[]).merge(RowCounts::default()).unwrap();
    assert_eq!(older, merged, "an older generation that comes late changes nothing");
    assert_eq!(visible(root.path()), files);
}

/// I3: what a process leaves that ends at any step of a replay.
#[test]
fn opening_again_finishes_what_a_crash_left() {
    let root = tempfile::tempdir().unwrap();
    staged(&open(root.path()), delivery("a", 0), &[]).merge(RowCounts::default()).unwrap();
    let before = visible(root.path());
    let place = place::of(root.path(), &TenantName::default(), &delivery("a", 0).identity);
    let staging = root.path().join(STAGING);

    fs::create_dir(staging.join("unfinished")).unwrap();
    fs::write(staging.join("unfinished").join(ACCOUNTS), "{\"table\":0").unwrap();
    fs::write(staging.join("unfinished").join(MANIFEST), "").unwrap();
    open(root.path());
    assert_eq!((visible(root.path()), left_in_staging(root.path())), (before.clone(), 0));

    fs::rename(&place, staging.join("x.replaced")).unwrap();
    open(root.path());
    assert_eq!((visible(root.path()), left_in_staging(root.path())), (before.clone(), 0), "put back");

    fs::create_dir(staging.join("x.replaced")).unwrap();
    fs::copy(place.join(MANIFEST), staging.join("x.replaced").join(MANIFEST)).unwrap();
    open(root.path());
    assert_eq!((visible(root.path()), left_in_staging(root.path())), (before, 0), "removed");
}

#[test]
fn opening_again_leaves_alone_what_is_being_staged() {
    let root = tempfile::tempdir().unwrap();
    let destination = open(root.path());
    let staging = staged(&destination, delivery("a", 0), &[]);
    let other = open(root.path());
    assert!(other.stage(delivery("a", 0)).is_err(), "one identity is staged once at a time");
    staging.merge(RowCounts::default()).unwrap();
    assert_eq!(file(&visible(root.path()), ACCOUNTS).lines().count(), 3);
}

#[test]
fn keys_that_look_like_paths_stay_inside() {
    let root = tempfile::tempdir().unwrap();
    let destination = open(root.path());
    let keys = ["../../../etc/passwd", "/", "a/../..", "a\u{0}b", "..", "x/a.csv", "y/a.csv"];
    for key in keys {
        staged(&destination, delivery(key, 0), &[]).merge(RowCounts::default()).unwrap();
    }
    let files = visible(root.path());
    assert_eq!(files.len(), 3 * keys.len());
    assert!(files.keys().all(|path| path.starts_with("default/accounts") && path.components().count() == 4));
}

#[test]
fn a_directory_written_by_a_newer_version_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let destination = open(root.path());
    let delivery = delivery("a", 0);
    staged(&destination, delivery.clone(), &[]).merge(RowCounts::default()).unwrap();
    let manifest = place::of(root.path(), &delivery.tenant, &delivery.identity).join(MANIFEST);
    let text = fs::read_to_string(&manifest).unwrap().replace("\"version\": 1", "\"version\": 2");
    fs::write(&manifest, text).unwrap();
    let error = destination.confirmed(&delivery.tenant, &delivery.identity).unwrap_err();
    assert!(matches!(error, DestinationError::Schema { found: 2, known: 1, .. }), "{error}");
}
