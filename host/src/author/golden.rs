//! What a mapper makes of a sample, as lines of JSON that stay the same from run to run: to be kept beside the sample and
//! compared.
//!
//! # Lines
//!
//! For each table of the sample, in its order:
//!
//! 1. `{"table":{"sheet":null,"accounts":{"wanted":["Account ID","Plan"],"identifiers":[["crm_id"]],"fields":[{"name":"tier",
//!    "value_type":"integer","semantic":"plain","unit":null,"write_mode":"overwrite"}]},"usage":null}}`: what the mapper
//!    asks for and announces. `usage` is `{"wanted":[…],"identifiers":[[…]],"user":"email"}`, or null where the mapper makes
//!    no usage records, as `accounts` is.
//! 2. For each row of the table, in the order of rows, what has something to do with it:
//!    1. `{"line":2,"account":[{"crm_id":"001"}],"fields":{"tier":3}}` for each account record;
//!    2. `{"line":2,"account":[{"crm_id":"001"}],"period_start":"2024-10-01","date":"2024-10-15","product":"Core",
//!       "metric":"users","period":"monthly","value":3,"aggregate":"sum","repeat":"replace"}` for each usage value;
//!    3. `{"line":3,"reject":"bad_number","column":"ARR","value":"abc","message":"…"}` for each thing that is wrong with it;
//!       `"warning"` in the place of `"reject"` where the row is taken all the same. Column and value are missing where no
//!       column is to blame.
//!
//! Last comes `{"rows":{"read":12,"rejected":1}}`. Where the mapper refuses the whole file, there is nothing but
//! `{"fault":"missing_column","message":"…"}`, with `"line"` and `"column"` where it names them.
//!
//! `line` is that of the CSV file, or the row of the sheet, from 1. Records are written exactly as a destination of the type
//! `files` writes them (its module says how), with the line in the place of table and row: a field that is null is to be
//! erased, one that is not there is to be kept. A row that is rejected has no records, whichever transform refused it
//! (R10). Fuel and memory are not part of it: another compiler would change them.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::rehearsal::SampleIssue;
use crate::batch::{AccountLayout, Identifier, MatchKey, OutputField, UsageLayout, UserKey};
use crate::destination::RowCounts;
use crate::ingest::OpenedTable;
use crate::mapper::Fault;
use crate::rejects::Gravity;

/// A record of the sample: a line of a destination's file.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Record {
    pub table: u32,
    pub row: u32,
    kind: Kind,
    /// Its place among the records of its kind.
    place: usize,
    /// What follows table and row in its line.
    rest: String,
}

/// What stands first of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Account,
    Usage,
}

/// How many records of each kind there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Records {
    /// Account records.
    pub accounts: usize,
    /// Usage values.
    pub usage: usize,
}

/// Reads what a destination wrote, in the order of the golden lines.
pub(super) fn records(files: &[PathBuf]) -> std::io::Result<(Vec<Record>, Records)> {
    let mut records = Vec::new();
    let mut counts = Records::default();
    for path in files {
        let kind = match path.file_stem().and_then(std::ffi::OsStr::to_str) {
            Some("accounts") => Kind::Account,
            Some("usage") => Kind::Usage,
            Some(_) | None => continue,
        };
        let before = records.len();
        for (place, line) in BufReader::new(std::fs::File::open(path)?).lines().enumerate() {
            records.push(Record::of(kind, place, &line?).ok_or(std::io::ErrorKind::InvalidData)?);
        }
        match kind {
            Kind::Account => counts.accounts += records.len() - before,
            Kind::Usage => counts.usage += records.len() - before,
        }
    }
    records.sort_unstable();
    Ok((records, counts))
}

impl Record {
    fn of(kind: Kind, place: usize, line: &str) -> Option<Self> {
        let (table, rest) = line.strip_prefix("{\"table\":")?.split_once(",\"row\":")?;
        let (row, rest) = rest.split_once(',')?;
        Some(Self { table: table.parse().ok()?, row: row.parse().ok()?, kind, place, rest: rest.to_owned() })
    }

    pub fn line(&self, line: u64) -> String {
        format!("{{\"line\":{line},{}", self.rest)
    }
}

/// The files that a destination of files wrote below its directory.
pub(super) fn files_below(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory)? {
            let entry = entry?;
            match entry.file_type()?.is_dir() {
                true => open.push(entry.path()),
                false => files.push(entry.path()),
            }
        }
    }
    Ok(files)
}

/// The line of a table.
pub(super) fn table(table: &OpenedTable) -> String {
    let names = |wanted: &[u32]| wanted.iter().filter_map(|index| table.head.header.get(*index as usize)).collect();
    let accounts = table.accounts.as_ref().map(|AccountLayout { wanted, identifiers: keys, fields }| AccountsLine {
        wanted: names(wanted),
        identifiers: identifiers(keys),
        fields,
    });
    let usage = table.usage.as_ref().map(|UsageLayout { wanted, identifiers: keys, user }| UsageLine {
        wanted: names(wanted),
        identifiers: identifiers(keys),
        user: *user,
    });
    line(&TableLine { table: TableOfLine { sheet: table.head.sheet.as_deref(), accounts, usage } })
}

#[derive(Serialize)]
struct TableLine<'a> {
    table: TableOfLine<'a>,
}

#[derive(Serialize)]
struct TableOfLine<'a> {
    sheet: Option<&'a str>,
    accounts: Option<AccountsLine<'a>>,
    usage: Option<UsageLine<'a>>,
}

#[derive(Serialize)]
struct AccountsLine<'a> {
    wanted: Vec<&'a String>,
    identifiers: Vec<Vec<String>>,
    fields: &'a [OutputField],
}

#[derive(Serialize)]
struct UsageLine<'a> {
    wanted: Vec<&'a String>,
    identifiers: Vec<Vec<String>>,
    user: Option<UserKey>,
}

/// Strategies, with a field's key behind `field:` as mappings have it.
fn identifiers(strategies: &[Identifier]) -> Vec<Vec<String>> {
    let key = |key: &MatchKey| match key {
        MatchKey::CrmId => "crm_id".to_owned(),
        MatchKey::Domain => "domain".to_owned(),
        MatchKey::Name => "name".to_owned(),
        MatchKey::Id => "id".to_owned(),
        MatchKey::Field(field) => format!("field:{field}"),
    };
    strategies.iter().map(|keys| keys.iter().map(key).collect()).collect()
}

/// The line of something that is wrong with a row.
pub(super) fn issue(issue: &SampleIssue) -> String {
    let (reject, warning) = match issue.gravity {
        Gravity::Reject => (Some(issue.code.as_str()), None),
        Gravity::Warning => (None, Some(issue.code.as_str())),
    };
    let (column, value) = issue.column.as_ref().map(|(name, value)| (name.as_str(), value.as_str())).unzip();
    line(&IssueLine { line: issue.line, reject, warning, column, value, message: &issue.message })
}

#[derive(Serialize)]
struct IssueLine<'a> {
    line: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    reject: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
    message: &'a str,
}

/// The line of a file that the mapper refuses.
pub(super) fn fault(fault: &Fault, at: Option<u64>, column: Option<&str>) -> String {
    line(&FaultLine { fault: &fault.code, line: at, column, message: &fault.message })
}

#[derive(Serialize)]
struct FaultLine<'a> {
    fault: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<&'a str>,
    message: &'a str,
}

/// The last line.
pub(super) fn rows(rows: RowCounts) -> String {
    line(&RowsLine { rows })
}

#[derive(Serialize)]
struct RowsLine {
    rows: RowCounts,
}

/// Texts, numbers and lists: there is nothing in a line that JSON cannot have.
fn line(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_stand_in_the_order_of_rows_whatever_the_order_of_batches() {
        let directory = tempfile::tempdir().unwrap();
        let below = directory.path().join("tenant/object");
        std::fs::create_dir_all(&below).unwrap();
        let late = "{\"table\":0,\"row\":0,\"account\":[],\"fields\":{}}\n";
        let accounts = format!("{{\"table\":0,\"row\":10,\"account\":[],\"fields\":{{}}}}\n{late}");
        std::fs::write(below.join("accounts.ndjson"), accounts).unwrap();
        std::fs::write(below.join("usage.ndjson"), "{\"table\":0,\"row\":0,\"account\":[],\"value\":1}\n").unwrap();
        std::fs::write(below.join("ingestion.json"), "{}").unwrap();
        let (records, counts) = records(&files_below(directory.path()).unwrap()).unwrap();
        assert_eq!(counts, Records { accounts: 2, usage: 1 });
        let lines: Vec<String> = records.iter().map(|record| record.line(u64::from(record.row) + 2)).collect();
        assert_eq!(lines[0], "{\"line\":2,\"account\":[],\"fields\":{}}");
        assert_eq!(lines[1], "{\"line\":2,\"account\":[],\"value\":1}");
        assert_eq!(lines[2], "{\"line\":12,\"account\":[],\"fields\":{}}");
    }

    #[test]
    fn an_issue_says_its_gravity_by_the_name_of_its_code() {
        let mut found = SampleIssue {
            line: 3,
            gravity: Gravity::Reject,
            column: Some(("ARR".into(), "abc".into())),
            code: "bad_number".into(),
            message: "`abc` is not a number".into(),
            cells: Vec::new(),
            cell: None,
        };
        let text = r#"{"line":3,"reject":"bad_number","column":"ARR","value":"abc","message":"`abc` is not a number"}"#;
        assert_eq!(issue(&found), text);
        (found.gravity, found.column) = (Gravity::Warning, None);
        assert_eq!(issue(&found), r#"{"line":3,"warning":"bad_number","message":"`abc` is not a number"}"#);
    }
}
