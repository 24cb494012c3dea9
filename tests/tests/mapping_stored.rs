//! What becomes of several files in a store, shown by example: each folder of `tests/mapping` with a `files` folder.
//!
//! | file | what it is |
//! |---|---|
//! | `mapping.toml` | the integration's settings, the lines above the first table being its own |
//! | `accounts.csv` | the accounts that are there before, where there are any |
//! | `users.csv` | the users that there are before, where there are any |
//! | `files` | the files, dropped one after the other, an hour between them |
//! | `outcomes.txt` | what became of each file |
//! | `store.txt` | what stands in the store after the last one |
//! | `rejects.csv` | the reject files, one after the other |
//!
//! Everything is real: the built binary, a bucket, the built-in mapper, the SQLite store. `GRISTMILL_REWRITE=1` writes
//! what comes out.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gristmill_loopback_s3::{Config, Server};
use gristmill_tests::daemon::Bed;
use serde_json::Value;

const BUCKET: &str = "exports";

/// How `accounts.csv` and `users.csv` are read.
const LISTS: &str = r#"
[integrations.accounts]
enabled = false
connection = "main"
bucket = "exports"
identifiers = [
  { column = "Id", match = "crm_id" },
  { column = "Site", match = "domain" },
  { column = "Name", match = "name" },
]
fields = [{ column = "Region", field = "region", type = "text" }]

[integrations.users]
enabled = false
connection = "main"
bucket = "exports"
identifiers = [{ column = "Id", match = "id" }]
fields = [{ column = "Email", field = "email", type = "email" }, { column = "Name", field = "name", type = "text" }]
"#;

/// The counts of an outcome that are worth a word when they are not zero.
const COUNTS: [&str; 8] =
    ["matched", "created", "updated", "unchanged", "unmatched", "ambiguous", "unknown_users", "usage_records"];

/// What stands in the store, by what it is called in `store.txt`.
const TABLES: [(&str, &str); 3] = [
    ("account | crm id | name | domains", "SELECT account_id, crm_id, name, domains FROM account_overview ORDER BY 1"),
    (
        "account | field | type | value | file",
        "SELECT account_id, field, value_type, value, key FROM account_field_values ORDER BY 1, 2",
    ),
    (
        "account | user | product | metric | period | start | value | unit | files",
        "SELECT account_id, user, product, metric, period, period_start, value, unit, objects FROM usage_records \
         ORDER BY 1, 2, 3, 4, 5, 6",
    ),
];

#[test]
fn every_example_of_files_in_a_store_comes_out_as_recorded() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("mapping");
    let cases = sorted(&folder).into_iter().filter(|case| case.join("files").is_dir());
    let mut wrong = Vec::new();
    let mut seen = 0;
    for case in cases {
        seen += 1;
        for (name, found) in come_out(&case) {
            let path = case.join(name);
            let recorded = fs::read_to_string(&path).unwrap_or_default();
            if std::env::var_os("GRISTMILL_REWRITE").is_some() {
                match found.is_empty() {
                    false => fs::write(&path, &found).unwrap(),
                    true if recorded.is_empty() => {}
                    true => fs::remove_file(&path).unwrap(),
                }
            } else if found != recorded {
                wrong.push(format!("{}:\n{found}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "GRISTMILL_REWRITE=1 rewrites them\n{}", wrong.join("\n"));
    assert!(seen >= 15, "{seen} cases");
}

fn sorted(directory: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn come_out(case: &Path) -> [(&'static str, String); 3] {
    let server = Server::start(Config::with_bucket(BUCKET)).unwrap();
    let bed = Bed::new(&server.endpoint(), "loopback", "loopback-secret");
    bed.configure(&format!("{LISTS}{}", integration(&fs::read_to_string(case.join("mapping.toml")).unwrap())));
    for what in ["accounts", "users"] {
        let list = case.join(what).with_extension("csv");
        if list.exists() {
            let ran = bed.command([what, "import", list.to_str().unwrap(), "--integration", what]);
            assert_eq!(ran.code, 0, "{}: {ran:?}", case.display());
        }
    }
    let start = std::time::UNIX_EPOCH + Duration::from_secs(1_728_950_400);
    let (mut outcomes, mut rejects) = (String::new(), String::new());
    for (hour, file) in (0..).zip(sorted(&case.join("files"))) {
        let key = file.file_name().unwrap().to_str().unwrap();
        server.put(BUCKET, key, fs::read(&file).unwrap()).unwrap();
        server.set_last_modified(BUCKET, key, start + Duration::from_secs(hour * 3600)).unwrap();
        bed.once();
        outcomes += &outcome(key, &bed.entry("example", key));
    }
    for file in bed.files("state/rejects").iter().filter(|file| file.ends_with(".csv")) {
        rejects += &fs::read_to_string(bed.path("state/rejects").join(file)).unwrap();
    }
    [("outcomes.txt", outcomes), ("store.txt", store(&bed)), ("rejects.csv", rejects)]
}

/// `a.csv: completed; 3 rows, 1 rejected, 2 created`, or why it failed.
fn outcome(key: &str, entry: &Value) -> String {
    let state = entry["state"].as_str().map_or_else(
        || entry["state"].as_object().unwrap().keys().next().unwrap().replace('_', " "),
        ToOwned::to_owned,
    );
    let failure = &entry["failure"];
    if let Some(message) = failure["message"].as_str() {
        return format!("{key}: {state}; {}: {message}\n", failure["class"].as_str().unwrap());
    }
    let (rows, merged) = (&entry["summary"]["rows"], &entry["summary"]["merged"]);
    let counts = [("rejected", &rows["rejected"])].into_iter().chain(COUNTS.map(|name| (name, &merged[name])));
    let counts = counts.filter(|(_, count)| **count != 0);
    let counts: String = counts.map(|(name, count)| format!(", {count} {}", name.replace('_', " "))).collect();
    let read = rows["read"].as_u64().unwrap();
    format!("{key}: {state}; {read} {}{counts}\n", if read == 1 { "row" } else { "rows" })
}

fn store(bed: &Bed) -> String {
    let mut text = String::new();
    for (title, query) in TABLES {
        let rows = bed.rows(query);
        if !rows.is_empty() {
            text += &format!("{title}\n");
            rows.iter().for_each(|row| text += &format!("{}\n", row.replace('|', " | ")));
            text.push('\n');
        }
    }
    text
}

/// The settings of a case as the integration `example`.
fn integration(mapping: &str) -> String {
    let tables: String = mapping
        .lines()
        .map(|line| match (line.strip_prefix("[["), line.strip_prefix('[')) {
            (Some(rest), _) => format!("[[integrations.example.{rest}\n"),
            (None, Some(rest)) => format!("[integrations.example.{rest}\n"),
            (None, None) => format!("{line}\n"),
        })
        .collect();
    format!("[integrations.example]\nconnection = \"main\"\nbucket = \"{BUCKET}\"\n{tables}")
}
