//! Which account the rows of a batch belong to.
//!
//! A strategy of one column without normalization is that column as it came. Everything else is written into columns of
//! its own, in which a strategy that says nothing of a row has no value.

use crate::cell::{RowLog, is_blank};
use crate::columns::{Batch, Cells, Text, TextColumn, Validity};
use crate::header::{Lookup, Wanted};
use crate::normalize::{Buffers, Step};
use crate::plan::IdentifierPlan;
use crate::settings::{Match, OnBlankIdentifier};

/// The strategies of one table, in order.
#[derive(Debug)]
pub(crate) struct Identify {
    strategies: Vec<Vec<Part>>,
    on_blank: OnBlankIdentifier,
    buffers: Buffers,
}

#[derive(Debug)]
struct Part {
    header: u32,
    key: Match,
    steps: Vec<Step>,
}

impl Identify {
    /// Finds the columns; what is missing is kept in `lookup`.
    pub(crate) fn find(plans: Vec<IdentifierPlan>, on_blank: OnBlankIdentifier, lookup: &mut Lookup<'_>) -> Self {
        let part = |part: crate::plan::PartPlan, lookup: &mut Lookup<'_>| {
            Some(Part { header: lookup.find(&part.column)?, key: part.key, steps: part.steps })
        };
        let mut strategies: Vec<Vec<Part>> = Vec::new();
        for plan in plans {
            // Every column is looked for, so that each one that is missing is named.
            let parts: Vec<Option<Part>> = plan.parts.into_iter().map(|plan| part(plan, lookup)).collect();
            strategies.extend(parts.into_iter().collect::<Option<Vec<Part>>>());
        }
        if strategies.is_empty() {
            lookup.lack("a column of any identifier (`identifiers`)");
        }
        Self { strategies, on_blank, buffers: Buffers::default() }
    }

    /// What the values are compared with.
    pub(crate) fn layout(&self) -> Vec<Vec<Match>> {
        self.strategies.iter().map(|parts| parts.iter().map(|part| part.key.clone()).collect()).collect()
    }

    /// The header indices of all columns.
    pub(crate) fn headers(&self) -> impl Iterator<Item = u32> + '_ {
        self.strategies.iter().flatten().map(|part| part.header)
    }

    /// Whether the only strategy takes its column as it came.
    fn is_plain(&self) -> Option<u32> {
        match self.strategies.as_slice() {
            [strategy] => match strategy.as_slice() {
                [part] if part.steps.is_empty() => Some(part.header),
                _ => None,
            },
            _ => None,
        }
    }

    /// Reads the identifiers of all rows. Loses the rows that have none: with a reject, or with a warning where no mapped
    /// cell holds anything, as in the empty rows that spreadsheets leave at the end.
    pub(crate) fn read(&mut self, batch: &Batch<'_>, wanted: &Wanted, log: &mut RowLog) -> Vec<TextColumn> {
        let all = batch.columns();
        if let Some(header) = self.is_plain() {
            let cells = &all[wanted.slot(header)];
            for (row, cell) in cells.iter().enumerate() {
                if is_blank(cell) {
                    self.miss(row, header, all, log);
                }
            }
            return vec![TextColumn { text: cells.to_text(), validity: None }];
        }
        let rows = batch.rows() as usize;
        let mut columns = Vec::new();
        let mut identified = vec![false; rows];
        for strategy in &mut self.strategies {
            let mut says = vec![true; rows];
            let begun = columns.len();
            for part in strategy.iter_mut() {
                let cells = &all[wanted.slot(part.header)];
                let mut text = Text::with_capacity(rows, 0);
                for (row, cell) in cells.iter().enumerate() {
                    let value = match part.steps.is_empty() {
                        true => cell,
                        false => self.buffers.normalize(cell, &mut part.steps),
                    };
                    text.push(value);
                    says[row] &= !is_blank(value);
                }
                columns.push(TextColumn { text, validity: None });
            }
            let mut validity = Validity::all(rows);
            for (row, says) in says.iter().enumerate() {
                identified[row] |= says;
                if !says {
                    validity.clear(row);
                }
            }
            let bits = validity.into_bits();
            columns[begun..].iter_mut().for_each(|column| column.validity.clone_from(&bits));
        }
        let to_blame = self.strategies.first().and_then(|strategy| strategy.first()).map_or(0, |part| part.header);
        for row in identified.iter().enumerate().filter(|(_, identified)| !**identified).map(|(row, _)| row) {
            self.miss(row, to_blame, all, log);
        }
        columns
    }

    #[cold]
    fn miss(&self, row: usize, header: u32, all: &[Cells<'_>], log: &mut RowLog) {
        let message = "the row has no identifier, so it belongs to no account";
        if all.iter().all(|cells| is_blank(cells.get(row))) {
            log.pass_over(row, "blank_row", "every mapped cell of the row is blank");
        } else if self.on_blank == OnBlankIdentifier::SkipRow {
            log.pass_over(row, "blank_identifier", message);
        } else {
            log.reject(row, header, "blank_identifier", |bytes| bytes.extend_from_slice(message.as_bytes()));
        }
    }
}
