//! Where the rows stand in their file, and what stands in the cells to blame: read once more for the few that are shown.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;

use super::{Comparison, Place, RecordDifferences, RowDifference, RowDifferences, Said, shown};
use crate::batch::{Batch, TableHead};
use crate::ingest::{Again, Failure, Recipe};
use crate::object::Object;
use crate::rejects::Part;

/// A row that is shown.
struct Row {
    head: Arc<TableHead>,
    line: u64,
    cells: Vec<String>,
}

/// Reads the file as far as the last row that is shown.
pub(super) fn locate(
    comparison: &mut Comparison,
    recipe: &Recipe,
    object: &Object,
    open: &impl Fn() -> Result<File, Failure>,
) -> Result<(), Failure> {
    let mut wanted: BTreeMap<(u32, u32), Option<Row>> = BTreeMap::new();
    comparison.each_place(&mut |place, _| {
        wanted.insert((place.table, place.row), None);
    });
    let Some((last, _)) = wanted.last_key_value().map(|(at, row)| (*at, row.is_some())) else { return Ok(()) };
    let mut open_table: Option<(u32, Arc<TableHead>)> = None;
    for part in Again::open(recipe, object, open()?)? {
        match part? {
            Part::Table(head) => {
                let table = open_table.map_or(0, |(table, _)| table + 1);
                open_table = Some((table, Arc::new(head)));
            }
            Part::Batch(batch) => {
                let Some((table, head)) = &open_table else { continue };
                let end = batch.first_row.saturating_add(batch.rows() as u32);
                for ((_, row), slot) in wanted.range_mut((*table, batch.first_row)..(*table, end)) {
                    *slot = Row::of(head, &batch, (row - batch.first_row) as usize);
                }
                if (*table, end) > last {
                    break;
                }
            }
        }
    }
    comparison.each_place(&mut |place, said| {
        let Some(Some(row)) = wanted.get(&(place.table, place.row)) else { return };
        place.line = row.line;
        place.sheet.clone_from(&row.head.sheet);
        for said in said {
            said.column = said.index.and_then(|index| row.head.header.get(index).cloned());
            said.value = said.index.and_then(|index| row.cells.get(index).cloned());
        }
    });
    Ok(())
}

impl Row {
    fn of(head: &Arc<TableHead>, batch: &Batch, place: usize) -> Option<Self> {
        let cell = |column: &Option<crate::batch::Cells>| {
            let text = column.as_ref().and_then(|cells| cells.text.iter().nth(place).flatten());
            shown(text.unwrap_or_default())
        };
        let cells = batch.columns.iter().map(cell).collect();
        Some(Self { head: Arc::clone(head), line: *batch.lines.get(place)?, cells })
    }
}

impl Comparison {
    /// Every row that is shown, with what is said of it.
    fn each_place(&mut self, each: &mut dyn FnMut(&mut Place, &mut [&mut Said])) {
        for RecordDifferences { added, removed, changed, .. } in [&mut self.accounts, &mut self.usage] {
            let ones = added.first.iter_mut().chain(&mut removed.first).map(|one| &mut one.at);
            ones.chain(changed.first.iter_mut().map(|one| &mut one.at)).for_each(|place| each(place, &mut []));
        }
        let RowDifferences { rejected_by_new, rejected_by_current, rejected_otherwise, warned_otherwise } =
            &mut self.rows;
        for several in [rejected_by_new, rejected_by_current, rejected_otherwise, warned_otherwise] {
            for RowDifference { at, current, new } in &mut several.first {
                let mut said: Vec<&mut Said> = current.iter_mut().chain(new).collect();
                each(at, &mut said);
            }
        }
    }
}
