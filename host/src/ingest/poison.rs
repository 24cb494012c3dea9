//! Rows on which a mapper itself fails: which they are, and what becomes of the others.
//!
//! A mapper that traps, loops or breaks its contract fails the file. Which row it was is found by halving the batch it
//! failed on, each half in an instance of its own. Where the integration wants it (`on_failure = "reject_row"`), the file is
//! then begun again without that row, which is rejected; a fresh instance has seen nothing of what went wrong.

use std::fmt;
use std::ops::{Range, RangeInclusive};
use std::path::Path as FilePath;
use std::time::{Duration, Instant};

use super::{Failure, Recipe};
use crate::batch::Batch;
use crate::config::OnMapperFailure;
use crate::events;
use crate::mapper::Blame;
use crate::object::Object;

/// Rows that are left out of one file at most. A mapper that fails on more of them is broken, not the rows.
const MOST: usize = 10;

/// Where a mapper failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The table, from 0.
    table: u32,
    /// Its rows, one unless the time for looking ran out.
    rows: Range<u32>,
    sheet: Option<String>,
    lines: RangeInclusive<u64>,
}

impl Place {
    /// The table-wide row, where it is one.
    pub fn row(&self) -> Option<u32> {
        (self.rows.len() == 1).then_some(self.rows.start)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = (self.lines.start(), self.lines.end());
        let what = if self.sheet.is_some() { "row" } else { "line" };
        match first == last {
            true => write!(f, "at {what} {first}")?,
            false => write!(f, "between {what} {first} and {last}")?,
        }
        match &self.sheet {
            Some(sheet) => write!(f, " of sheet `{sheet}`"),
            None => Ok(()),
        }
    }
}

/// The rows of a batch that a mapper fails on, when it is these and not all; `fails` tries some of them in a new instance.
/// Looking ends after `time`, with what it has come to.
pub(super) fn find(
    batch: &Batch,
    table: u32,
    sheet: Option<&String>,
    time: Duration,
    fails: impl Fn(&Batch) -> bool,
) -> Option<Place> {
    let (begun, all) = (Instant::now(), 0..batch.rows());
    // What fails only after all that went before is no row's doing.
    if all.is_empty() || !fails(&batch.slice(all.clone())) {
        return None;
    }
    let mut rows = all.clone();
    while rows.len() > 1 && begun.elapsed() < time {
        let middle = rows.start + rows.len() / 2;
        let halves = [rows.start..middle, middle..rows.end];
        // None of the halves: it takes rows of both.
        rows = halves.into_iter().find(|half| fails(&batch.slice(half.clone())))?;
    }
    let another = all.rev().find(|row| !rows.contains(row))?;
    if fails(&batch.slice(another..another + 1)) {
        return None;
    }
    let lines = *batch.lines.get(rows.start)?..=*batch.lines.get(rows.end.checked_sub(1)?)?;
    let row = |place: usize| batch.first_row.saturating_add(place as u32);
    Some(Place { table, rows: row(rows.start)..row(rows.end), sheet: sheet.cloned(), lines })
}

/// Rows that are kept from the mappers of one file, because one of them failed there.
#[derive(Debug)]
pub struct Poisonous(Vec<PoisonousRow>);

#[derive(Debug)]
struct PoisonousRow {
    table: u32,
    row: u32,
    code: String,
    message: String,
}

/// Some rows of a batch, in order.
pub(super) enum Part {
    /// For the mappers.
    Mapped(Batch),
    /// One row, with its reject.
    Rejected(Batch),
}

/// Attempts something that maps a file, once more for each row that is found to fail, as far as the integration wants it.
pub fn without_poisonous<T>(
    recipe: &Recipe,
    object: &Object,
    mut attempt: impl FnMut(&Poisonous) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let mut poisonous = Poisonous::none();
    loop {
        match attempt(&poisonous) {
            Err(failure) if recipe.on_mapper_failure == OnMapperFailure::RejectRow => {
                let saved = failure.saved_call().map(FilePath::to_owned);
                poisonous.add(failure)?;
                let (tenant, integration) = (&recipe.tenant, &recipe.integration);
                let (rows, saved) = (poisonous.0.len(), saved.as_deref());
                events::MapperRowLeftOut { tenant, integration, object, rows, saved }.emit();
            }
            ended => return ended,
        }
    }
}

impl Poisonous {
    /// None.
    pub(super) const fn none() -> Self {
        Self(Vec::new())
    }

    /// Takes the row at fault, or gives the failure back.
    fn add(&mut self, failure: Failure) -> Result<(), Failure> {
        match failure {
            Failure::Mapper { mapper, place: Some(place), source, .. }
                if place.rows.len() == 1 && self.0.len() < MOST && source.blame() == Blame::Mapper =>
            {
                let Place { table, rows, .. } = *place;
                let message = format!("mapper `{mapper}` failed here: {source}");
                self.0.push(PoisonousRow { table, row: rows.start, code: source.code().to_owned(), message });
                self.0.sort_by_key(|poisonous| (poisonous.table, poisonous.row));
                Ok(())
            }
            failure => Err(failure),
        }
    }

    /// The batch in parts, so that a row which is left out stands alone; nearly always the whole batch.
    pub(super) fn parts(&self, table: u32, batch: Batch) -> Vec<Part> {
        let end = batch.first_row.saturating_add(batch.rows() as u32);
        let within = |row: &&PoisonousRow| row.table == table && (batch.first_row..end).contains(&row.row);
        let mut within = self.0.iter().filter(within).peekable();
        if within.peek().is_none() {
            return vec![Part::Mapped(batch)];
        }
        let (mut parts, mut next) = (Vec::new(), 0);
        for PoisonousRow { row, code, message, .. } in within {
            let place = (row - batch.first_row) as usize;
            if next < place {
                parts.push(Part::Mapped(batch.slice(next..place)));
            }
            let mut alone = batch.slice(place..place + 1);
            alone.issues.reject(*row, code, message);
            parts.push(Part::Rejected(alone));
            next = place + 1;
        }
        if next < batch.rows() {
            parts.push(Part::Mapped(batch.slice(next..batch.rows())));
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::StringArray;

    use super::*;
    use crate::batch::{Cells, Issues};

    /// Rows 100 to 107, on lines 102 to 109; the decoder refuses 103.
    fn batch() -> Batch {
        let mut issues = Issues::none();
        issues.reject(103, "ragged", "one cell too many");
        let text = StringArray::from(vec!["a", "b", "c", "d", "e", "f", "g", "h"]);
        Batch {
            first_row: 100,
            lines: (102..110).collect(),
            columns: vec![None, Some(Cells { text, typed: None })],
            issues,
        }
    }

    fn rows(batch: &Batch) -> Range<u32> {
        batch.first_row..batch.first_row + batch.rows() as u32
    }

    fn found(poison: &[u32], time: Duration) -> Option<String> {
        let fails = |batch: &Batch| poison.iter().any(|row| rows(batch).contains(row));
        find(&batch(), 0, None, time, fails).map(|place| place.to_string())
    }

    #[test]
    fn the_row_at_fault_is_found_wherever_it_stands() {
        let long = Duration::from_secs(60);
        for row in 100..108 {
            assert_eq!(found(&[row], long), Some(format!("at line {}", row + 2)));
        }
        assert_eq!(found(&[102, 105], long).as_deref(), Some("at line 104"), "the first of several");
        assert_eq!(found(&(100..108).collect::<Vec<_>>(), long), None, "a mapper that fails on all is no row's doing");
        assert_eq!(found(&[], long), None, "it took what went before");
        assert_eq!(found(&[105], Duration::ZERO), None, "no time to look");
        let together = |batch: &Batch| rows(batch).contains(&101) && rows(batch).contains(&106);
        assert_eq!(find(&batch(), 0, None, long, together), None, "it takes two of them");
        let sheet = find(&batch(), 0, Some(&"June".to_owned()), long, |batch| rows(batch).contains(&104));
        assert_eq!(sheet.unwrap().to_string(), "at row 106 of sheet `June`");
    }

    #[test]
    fn a_row_that_is_left_out_stands_alone_with_its_reject_and_all_others_are_there() {
        let poison = |table, row| PoisonousRow { table, row, code: "mapper-trap".into(), message: "it failed".into() };
        let poisonous = Poisonous(vec![poison(0, 101), poison(1, 100), poison(1, 103), poison(1, 107), poison(1, 108)]);
        let shape = |part: &Part| match part {
            Part::Mapped(batch) => (true, rows(batch), batch.lines.clone(), batch.issues.len()),
            Part::Rejected(batch) => (false, rows(batch), batch.lines.clone(), batch.issues.len()),
        };
        let parts: Vec<_> = poisonous.parts(1, batch()).iter().map(shape).collect();
        let expected = [
            (false, 100..101, vec![102], 1),
            (true, 101..103, vec![103, 104], 0),
            (false, 103..104, vec![105], 2),
            (true, 104..107, vec![106, 107, 108], 0),
            (false, 107..108, vec![109], 1),
        ];
        assert_eq!(parts, expected);
        assert_eq!(
            poisonous.parts(2, batch()).iter().map(shape).collect::<Vec<_>>(),
            [(true, 100..108, (102..110).collect(), 1)]
        );
    }
}
