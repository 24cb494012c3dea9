//! From the cells of a header row to column names that tell the columns apart.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use crate::batch::TableHead;

/// Names for the cells of a header row: missing ones become `column_N`, doubled ones get a suffix. The work is in
/// proportion to the header, however often one name stands in it.
pub(super) fn name_columns<'a>(sheet: Option<String>, cells: impl IntoIterator<Item = &'a str>) -> TableHead {
    let cells: Vec<&str> = cells.into_iter().collect();
    // A made-up name must not collide with one that stands further right.
    let mut taken: HashSet<Cow<'_, str>> = cells.iter().map(|cell| Cow::Borrowed(*cell)).collect();
    // How often each name has stood so far, and the number that its next suffix is tried with.
    let mut seen: HashMap<&str, (u32, u32)> = HashMap::with_capacity(cells.len());
    let mut duplicates = Vec::new();
    let mut header = Vec::with_capacity(cells.len());
    for (index, cell) in cells.iter().enumerate() {
        let missing = cell.trim().is_empty();
        let (times, number) = seen.entry(cell).or_insert((0, 2));
        *times += 1;
        if !missing && *times == 1 {
            header.push((*cell).to_owned());
            continue;
        }
        if !missing && *times == 2 {
            duplicates.push((*cell).to_owned());
        }
        let base = if missing { format!("column_{}", index + 1) } else { (*cell).to_owned() };
        // A missing name tries its own number first and no other cell's, so it starts over each time.
        let mut own = 2;
        let number = if missing { &mut own } else { number };
        let mut name = if missing { base.clone() } else { format!("{base}_{number}") };
        while taken.contains(name.as_str()) {
            name = format!("{base}_{number}");
            *number += 1;
        }
        taken.insert(Cow::Owned(name.clone()));
        header.push(name);
    }
    TableHead { sheet, header, duplicates }
}

/// Names for columns that have none: `column_1` and so on.
pub(super) fn number_columns(sheet: Option<String>, columns: usize) -> TableHead {
    let header = (1..=columns).map(|number| format!("column_{number}")).collect();
    TableHead { sheet, header, duplicates: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_of_one_name_is_named_in_good_time() {
        let head = name_columns(None, std::iter::repeat_n("x", 500_000));
        assert_eq!(head.header.last().map(String::as_str), Some("x_500000"));
        assert_eq!(head.duplicates, ["x"]);
    }

    #[test]
    fn every_column_gets_a_name_of_its_own() {
        let check = |cells: &[&str], header: &[&str], duplicates: &[&str]| {
            let head = name_columns(None, cells.iter().copied());
            assert_eq!(head.header, header, "{cells:?}");
            assert_eq!(head.duplicates, duplicates, "{cells:?}");
        };
        check(&["id", " Name ", "x"], &["id", " Name ", "x"], &[]);
        check(&["", "a", "  "], &["column_1", "a", "column_3"], &[]);
        check(&["a", "a", "A", "a"], &["a", "a_2", "A", "a_3"], &["a"]);
        check(&["a", "a", "a_2"], &["a", "a_3", "a_2"], &["a"]);
        check(&["", "column_1"], &["column_1_2", "column_1"], &[]);
        check(&["a", "a", "a", "a_2"], &["a", "a_3", "a_4", "a_2"], &["a"]);
        assert_eq!(number_columns(None, 2).header, ["column_1", "column_2"]);
    }
}
