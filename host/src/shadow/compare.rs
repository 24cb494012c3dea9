//! What two components made of one object, merged row by row.

use std::collections::{HashMap, VecDeque};
use std::io;

use serde::Serialize;

use super::record::{Alike, Kind, Record, differences};
use super::run::{Made, Ran};
use super::{
    ChangedRecord, Comparison, OneRecord, Place, RecordDifferences, RowDifference, RowDifferences, Said,
    TableDifference, shown,
};
use crate::batch::{AccountLayout, UsageLayout};
use crate::ingest::OpenedTable;
use crate::rejects::{self, Gravity, Issue, RejectsError};
use crate::row_log;

/// Compares them. Where one of them failed, there is nothing more to compare.
pub(super) fn compare(current: &mut Ran, new: &mut Ran) -> io::Result<Comparison> {
    let mut comparison = Comparison {
        same: false,
        current: current.report.clone(),
        new: new.report.clone(),
        tables: Vec::new(),
        accounts: RecordDifferences::default(),
        usage: RecordDifferences::default(),
        rows: RowDifferences::default(),
    };
    if let (Some(current), Some(new)) = (&mut current.made, &mut new.made) {
        comparison.tables = tables(&current.tables, &new.tables);
        records(current, new, &mut comparison)?;
        comparison.rows = rows(current, new).map_err(io::Error::other)?;
    }
    comparison.same = current.report.would_fail == new.report.would_fail
        && comparison.tables.is_empty()
        && comparison.accounts.is_none()
        && comparison.usage.is_none()
        && comparison.rows.all().iter().all(|several| several.count == 0);
    Ok(comparison)
}

fn tables(current: &[OpenedTable], new: &[OpenedTable]) -> Vec<TableDifference> {
    let both = (0..).zip(current.iter().zip(new));
    let found = both.map(|(table, (current, new))| TableDifference {
        table,
        sheet: current.head.sheet.clone(),
        changes: differences(&facts(current), &facts(new)),
    });
    found.filter(|found| !found.changes.is_empty()).collect()
}

/// What a table's layouts say, but for the columns that are read.
fn facts(table: &OpenedTable) -> Vec<(String, String)> {
    let mut facts = Vec::new();
    if let Some(AccountLayout { wanted: _, identifiers, fields }) = &table.accounts {
        facts.push(("accounts.identifiers".to_owned(), json(identifiers)));
        facts.extend(fields.iter().map(|field| (format!("accounts.fields.{}", field.name), json(field))));
    }
    if let Some(UsageLayout { wanted: _, identifiers, user }) = &table.usage {
        facts.push(("usage.identifiers".to_owned(), json(identifiers)));
        facts.extend(user.iter().map(|user| ("usage.user".to_owned(), json(user))));
    }
    facts
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// Merges the records of both, row by row.
fn records(current: &mut Made, new: &mut Made, comparison: &mut Comparison) -> io::Result<()> {
    let (mut current, mut new) = (current.records.sorted()?, new.records.sorted()?);
    let mut of_row = [RowRecords::default(), RowRecords::default()];
    while let Some(at) = first_of(current.peek(), new.peek()) {
        let [ours, theirs] = &mut of_row;
        ours.read(&mut current, at)?;
        theirs.read(&mut new, at)?;
        for (kind, found) in [(Kind::Account, &mut comparison.accounts), (Kind::Usage, &mut comparison.usage)] {
            compare_row(kind, at, &ours.of(kind)?, &theirs.of(kind)?, found);
        }
    }
    Ok(())
}

fn first_of(current: Option<(u32, u32)>, new: Option<(u32, u32)>) -> Option<(u32, u32)> {
    current.into_iter().chain(new).min()
}

/// The records of one row, kept for its memory.
#[derive(Default)]
struct RowRecords {
    text: Vec<u8>,
    /// Where each record ends.
    ends: Vec<usize>,
    record: Vec<u8>,
}

impl RowRecords {
    /// Reads the records of a row, if they come next.
    fn read(&mut self, from: &mut row_log::Sorted<'_>, at: (u32, u32)) -> io::Result<()> {
        self.text.clear();
        self.ends.clear();
        while from.peek() == Some(at) {
            from.next(&mut self.record)?;
            self.text.extend_from_slice(&self.record);
            self.ends.push(self.text.len());
        }
        Ok(())
    }

    /// Those of one kind.
    fn of(&self, kind: Kind) -> io::Result<Vec<&str>> {
        let mut records = Vec::new();
        let mut start = 0;
        for end in &self.ends {
            let record = self.text.get(start..*end).and_then(<[u8]>::split_first);
            let (of, text) = record.ok_or(io::ErrorKind::InvalidData)?;
            if *of == kind as u8 {
                records.push(std::str::from_utf8(text).map_err(io::Error::other)?);
            }
            start = *end;
        }
        Ok(records)
    }
}

/// Compares the records of one kind of one row.
fn compare_row(kind: Kind, at: (u32, u32), current: &[&str], new: &[&str], found: &mut RecordDifferences) {
    if current == new {
        found.unchanged += current.len() as u64;
        return;
    }
    let (mut current, mut new) = (apart(kind, current), apart(kind, new));
    for alike in [Alike::Text, Alike::Identity, Alike::Purpose] {
        let mut by_key: HashMap<String, VecDeque<usize>> = HashMap::new();
        for (place, record) in new.iter().enumerate() {
            if let Some(record) = record {
                by_key.entry(record.key(alike)).or_default().push_back(place);
            }
        }
        for slot in &mut current {
            let found_place = slot.as_ref().and_then(|record| by_key.get_mut(&record.key(alike))?.pop_front());
            let Some(other) = found_place.and_then(|place| new.get_mut(place)?.take()) else { continue };
            let Some(record) = slot.take() else { continue };
            match alike {
                Alike::Text => found.unchanged += 1,
                Alike::Identity | Alike::Purpose => found.changed.add(|| ChangedRecord {
                    at: Place::of(at),
                    record: record.identity(),
                    changes: record.changes(&other),
                }),
            }
        }
    }
    let one = |record: &Record<'_>| OneRecord { at: Place::of(at), record: record.shown() };
    current.iter().flatten().for_each(|record| found.removed.add(|| one(record)));
    new.iter().flatten().for_each(|record| found.added.add(|| one(record)));
}

fn apart<'a>(kind: Kind, texts: &[&'a str]) -> Vec<Option<Record<'a>>> {
    texts.iter().map(|text| Some(Record::of(kind, text))).collect()
}

/// What is wrong with one row, less what was said twice: both transforms refuse it for the same blank identifier.
fn of_row(issues: &mut rejects::Sorted<'_>, at: (u32, u32)) -> Result<Vec<Issue>, RejectsError> {
    let mut found = Vec::new();
    while issues.peek() == Some(at) {
        match issues.next().transpose()? {
            Some(issue) if !found.contains(&issue) => found.push(issue),
            Some(_) | None => {}
        }
    }
    Ok(found)
}

fn rows(current: &mut Made, new: &mut Made) -> Result<RowDifferences, RejectsError> {
    let (mut current, mut new) = (current.issues.sorted()?, new.issues.sorted()?);
    let mut found = RowDifferences::default();
    while let Some(at) = first_of(current.peek(), new.peek()) {
        let (current, new) = (of_row(&mut current, at)?, of_row(&mut new, at)?);
        for gravity in [Gravity::Reject, Gravity::Warning] {
            let said = |issues: &[Issue]| -> Vec<Said> {
                issues.iter().filter(|issue| issue.gravity == gravity).map(Said::of).collect()
            };
            let (current, new) = (said(&current), said(&new));
            if current == new {
                continue;
            }
            let several = match (gravity, current.is_empty(), new.is_empty()) {
                (Gravity::Reject, true, _) => &mut found.rejected_by_new,
                (Gravity::Reject, _, true) => &mut found.rejected_by_current,
                (Gravity::Reject, false, false) => &mut found.rejected_otherwise,
                (Gravity::Warning, ..) => &mut found.warned_otherwise,
            };
            several.add(|| RowDifference { at: Place::of(at), current, new });
        }
    }
    Ok(found)
}

impl Place {
    /// The row; where it stands in the file is not known yet.
    fn of((table, row): (u32, u32)) -> Self {
        Self { table, row, sheet: None, line: 0 }
    }
}

impl Said {
    fn of(issue: &Issue) -> Self {
        let Issue { code, message, column: index, .. } = issue;
        Self { code: code.clone(), message: shown(message), column: None, value: None, index: *index }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Several, SideReport};
    use super::*;

    /// Compares one row's records of one kind: unchanged, added, removed, changed, and what changed.
    fn compared(kind: Kind, current: &[&str], new: &[&str]) -> ([u64; 4], Vec<String>) {
        let mut found = RecordDifferences::default();
        compare_row(kind, (0, 7), current, new, &mut found);
        let changes = found.changed.first.iter().flat_map(|changed| &changed.changes);
        let told = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
        let changes = changes.map(|one| format!("{}: {} → {}", one.field, told(&one.current), told(&one.new)));
        let counts = [found.unchanged, found.added.count, found.removed.count, found.changed.count];
        (counts, changes.collect())
    }

    /// What a component made that says of each row of a table that it is wrong, and makes one record of it.
    fn made(directory: &std::path::Path, rows: impl Iterator<Item = u32>, value: u32) -> Ran {
        let mut records = row_log::RowLog::with_room(directory, 1 << 10).unwrap();
        let mut issues = rejects::IssueLog::with_warnings(directory).unwrap();
        for row in rows {
            let record = format!(r#"{{"account":[{{"id":"{row}"}}],"fields":{{"n":{value}}}}}"#);
            records.push(0, row, &[&[Kind::Account as u8], record.as_bytes()]).unwrap();
            let mut issue = crate::batch::Issues::none();
            issue.reject(row, "bad", &format!("it is {value}"));
            // Both transforms say it.
            issue.reject(row, "bad", &format!("it is {value}"));
            issues.push(0, &issue, &[]).unwrap();
        }
        let made = Made { tables: Vec::new(), records, issues };
        Ran { report: SideReport::default(), made: Some(made) }
    }

    #[test]
    fn all_differences_are_counted_and_the_first_ones_of_the_file_shown_in_whatever_order_they_come() {
        let directory = tempfile::tempdir().unwrap();
        let made = |rows: &mut dyn Iterator<Item = u32>, value| made(directory.path(), rows, value);
        let (mut current, mut new) = (made(&mut (0..1_000).rev(), 7), made(&mut (10..1_010), 8));
        let found = compare(&mut current, &mut new).unwrap();
        let RecordDifferences { unchanged, added, removed, changed } = &found.accounts;
        assert_eq!([*unchanged, added.count, removed.count, changed.count], [0, 10, 10, 990]);
        let rows = |several: &Several<OneRecord>| several.first.iter().map(|one| one.at.row).collect::<Vec<_>>();
        assert_eq!((rows(added), rows(removed)), (vec![1_000, 1_001, 1_002, 1_003, 1_004], vec![0, 1, 2, 3, 4]));
        assert_eq!(changed.first.iter().map(|one| one.at.row).collect::<Vec<_>>(), [10, 11, 12, 13, 14]);
        assert_eq!(found.rows.all().map(|several| several.count), [10, 10, 990, 0]);
        assert_eq!(found.rows.rejected_otherwise.first[0].new.len(), 1, "what both transforms say is said once");
        assert!(!found.same);
        let again = compare(&mut made(&mut (0..9), 7), &mut made(&mut (0..9).rev(), 7)).unwrap();
        assert!(again.same && again.accounts.unchanged == 9, "{again:?}");
    }

    #[test]
    fn a_record_is_the_same_one_when_account_and_series_are() {
        let account = |id: &str, fields: &str| format!(r#"{{"account":[{{"id":"{id}"}}],"fields":{{{fields}}}}}"#);
        let [one, two, three] = [account("1", r#""a":1"#), account("1", r#""a":2,"b":"x""#), account("2", r#""a":1"#)];
        let check = |current: &[&str], new: &[&str], counts: [u64; 4], changes: &[&str]| {
            let found = compared(Kind::Account, current, new);
            assert_eq!(found, (counts, changes.iter().map(|change| (*change).to_owned()).collect()));
        };
        check(&[&one], &[&one], [1, 0, 0, 0], &[]);
        check(&[&one, &three], &[&three, &one], [2, 0, 0, 0], &[]);
        check(&[&one], &[&two], [0, 0, 0, 1], &["a: 1 → 2", "b: nothing → \"x\""]);
        check(&[&one], &[&three], [0, 0, 0, 1], &[r#"account: [{"id":"1"}] → [{"id":"2"}]"#]);
        check(&[&one, &three], &[&two], [0, 0, 1, 1], &["a: 1 → 2", "b: nothing → \"x\""]);
        check(&[], &[&two, &three], [0, 2, 0, 0], &[]);

        let usage = |id: &str, metric: &str, value: u32| {
            format!(r#"{{"account":[{{"id":"{id}"}}],"product":"p","metric":"{metric}","value":{value}}}"#)
        };
        let [seats, more, calls, other] =
            [usage("1", "seats", 1), usage("1", "seats", 2), usage("1", "calls", 1), usage("2", "seats", 1)];
        let check = |current: &[&str], new: &[&str], counts: [u64; 4], changes: &[&str]| {
            let found = compared(Kind::Usage, current, new);
            assert_eq!(found, (counts, changes.iter().map(|change| (*change).to_owned()).collect()));
        };
        check(&[&seats, &calls], &[&calls, &more], [1, 0, 0, 1], &["value: 1 → 2"]);
        check(&[&seats], &[&calls], [0, 1, 1, 0], &[]);
        check(&[&seats], &[&other], [0, 0, 0, 1], &[r#"account: [{"id":"1"}] → [{"id":"2"}]"#]);
    }
}
