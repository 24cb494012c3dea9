//! Rows of a batch.

use std::ops::Index;

use crate::cell::Cell;
use crate::issue::Fault;
use crate::table::Column;

/// One row of a table: the cells of the columns that were asked for.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    number: u32,
    cells: &'a [Cell<'a>],
    columns: &'a Columns,
}

impl<'a> Row<'a> {
    /// Its number in the table, from 0, the header not counted.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The cell of a column, if it was asked for.
    #[inline]
    pub fn get(&self, column: &str) -> Option<&Cell<'a>> {
        self.columns.find(column).and_then(|place| self.cells.get(place))
    }

    /// All cells, in the order in which their columns were asked for.
    pub fn cells(&self) -> &[Cell<'a>] {
        self.cells
    }

    /// Whether all cells are blank.
    pub fn is_blank(&self) -> bool {
        self.cells.iter().all(Cell::is_blank)
    }
}

impl<'a> Index<&str> for Row<'a> {
    type Output = Cell<'a>;

    /// # Panics
    /// When the column was not asked for in `open`: a mistake of the mapper.
    #[inline]
    fn index(&self, column: &str) -> &Cell<'a> {
        match self.get(column) {
            Some(cell) => cell,
            None => not_asked_for(column),
        }
    }
}

impl<'a> Index<Column> for Row<'a> {
    type Output = Cell<'a>;

    /// # Panics
    /// When the column is that of another table: a mistake of the mapper.
    #[inline]
    fn index(&self, column: Column) -> &Cell<'a> {
        &self.cells[column.place as usize]
    }
}

#[cold]
fn not_asked_for(column: &str) -> ! {
    panic!("the column `{column}` was not asked for in `open`")
}

/// The wanted columns of a table.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    names: Vec<String>,
    /// Header indices.
    header: Vec<u32>,
    /// Where names were found before. A name is a literal as a rule, so where it stands in memory leads to its place.
    hints: [std::cell::Cell<u8>; HINTS],
}

const HINTS: usize = 32;

impl Columns {
    pub(crate) fn new(header: &[String], wanted: &[u32]) -> Self {
        let names = wanted.iter().filter_map(|index| header.get(*index as usize).cloned()).collect();
        Self { names, header: wanted.to_vec(), hints: Default::default() }
    }

    #[inline]
    fn find(&self, name: &str) -> Option<usize> {
        let address = name.as_ptr() as usize;
        let hint = &self.hints[(address ^ (address >> 5) ^ name.len()) % HINTS];
        let place = usize::from(hint.get());
        // What stood in memory may have changed since.
        if self.names.get(place).is_some_and(|known| known == name) {
            return Some(place);
        }
        let place = self.names.iter().position(|known| known == name)?;
        hint.set(u8::try_from(place).unwrap_or(0));
        Some(place)
    }
}

/// Some rows of a table: the wanted columns.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) first_row: u32,
    pub(crate) rows: u32,
    pub(crate) columns: Vec<Cells>,
}

/// The cells of one column, laid end to end, and which of them a workbook typed.
#[derive(Debug)]
pub(crate) struct Cells {
    pub(crate) offsets: Vec<i32>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) typed: Option<Vec<u8>>,
}

/// A column whose text is known to be text.
struct Checked<'a> {
    text: &'a str,
    offsets: &'a [i32],
    typed: Option<&'a [u8]>,
    column: u32,
}

impl Batch {
    /// Hands out the rows in their order.
    ///
    /// # Errors
    /// `bad_batch` where the host does not keep to the contract.
    pub(crate) fn each(&self, columns: &Columns, mut map: impl FnMut(&Row<'_>)) -> Result<(), Fault> {
        let bad = || Fault::new("bad_batch", "a batch is not as the contract has it");
        let rows = self.rows as usize;
        let check = |(cells, column): (_, &u32)| Checked::of(cells, *column, rows);
        let checked: Option<Vec<Checked<'_>>> = self.columns.iter().zip(&columns.header).map(check).collect();
        let checked = checked.filter(|checked| checked.len() == columns.header.len()).ok_or_else(bad)?;
        let mut cells = Vec::with_capacity(checked.len());
        for row in 0..rows {
            cells.clear();
            for column in &checked {
                cells.push(column.cell(row).ok_or_else(bad)?);
            }
            map(&Row { number: self.first_row + row as u32, cells: &cells, columns });
        }
        Ok(())
    }
}

impl<'a> Checked<'a> {
    fn of(cells: &'a Cells, column: u32, rows: usize) -> Option<Self> {
        let text = std::str::from_utf8(&cells.bytes).ok()?;
        let typed = cells.typed.as_deref();
        let is_whole = cells.offsets.len() == rows + 1 && typed.is_none_or(|bits| bits.len() >= rows.div_ceil(8));
        is_whole.then_some(Self { text, offsets: &cells.offsets, typed, column })
    }

    #[inline]
    fn cell(&self, row: usize) -> Option<Cell<'a>> {
        let (start, end) = (*self.offsets.get(row)?, *self.offsets.get(row + 1)?);
        let text = self.text.get(start as usize..end as usize)?;
        let is_typed = self.typed.is_some_and(|bits| bits[row / 8] >> (row % 8) & 1 == 1);
        Some(Cell::new(text, self.column, is_typed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_found_wherever_its_name_stands_in_memory() {
        let header: Vec<String> = (0..40).map(|column| format!("column {column}")).collect();
        let columns = Columns::new(&header, &(0..40).collect::<Vec<_>>());
        let mut name = String::with_capacity(16);
        for round in 0..3 {
            for column in 0..40 {
                name.clear();
                name.push_str(&header[(column * 7 + round) % 40]);
                assert_eq!(columns.find(&name), Some((column * 7 + round) % 40));
            }
        }
        assert_eq!(columns.find("another"), None);
    }

    #[test]
    fn a_batch_that_breaks_the_contract_is_a_fault() {
        let columns = Columns::new(&["a".to_owned()], &[0]);
        let check = |offsets: &[i32], bytes: &[u8]| {
            let cells = Cells { offsets: offsets.to_vec(), bytes: bytes.to_vec(), typed: None };
            let batch = Batch { first_row: 0, rows: 1, columns: vec![cells] };
            batch.each(&columns, |_| ()).map_err(|fault| fault.code)
        };
        assert_eq!(check(&[0, 2], b"ab"), Ok(()));
        for (offsets, bytes) in [(&[0][..], &b"ab"[..]), (&[0, 3], b"ab"), (&[2, 1], b"ab"), (&[0, 1], b"\xff")] {
            assert_eq!(check(offsets, bytes).unwrap_err(), "bad_batch");
        }
        assert_eq!(check(&[0, 1], "ü".as_bytes()).unwrap_err(), "bad_batch");
    }
}
