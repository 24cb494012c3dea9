//! A row on one line, with the cell underlined that is to blame.

use super::super::output::printable;

/// Characters of a row that are shown, about.
const WIDTH: usize = 100;
/// Characters of a cell that are shown.
const CELL: usize = 32;
/// Between cells.
const BETWEEN: &str = " | ";
/// For cells that are not shown.
const CUT: &str = "…";

/// A row, and a line that underlines one of its cells; all of them where none is to blame. A row too long to be read is cut
/// on either side.
pub(super) fn underlined(cells: &[String], to_blame: Option<usize>) -> [String; 2] {
    let shown: Vec<String> = cells.iter().map(|cell| shortened(cell)).collect();
    let width = |cell: &str| cell.chars().count();
    let to_blame = to_blame.filter(|cell| *cell < shown.len());
    let middle = to_blame.unwrap_or_default();
    // Half of the room is for what stands before the cell, as far as there is anything.
    let mut first = middle;
    let mut room = WIDTH / 2;
    while let Some(before) = first.checked_sub(1).and_then(|place| shown.get(place)) {
        match room.checked_sub(width(before) + BETWEEN.len()) {
            Some(left) => room = left,
            None => break,
        }
        first -= 1;
    }
    let mut row = String::new();
    let mut underline = String::new();
    if first > 0 {
        row.extend([CUT, BETWEEN]);
    }
    for (place, cell) in shown.iter().enumerate().skip(first) {
        if place > first {
            row.push_str(BETWEEN);
        }
        if place > middle && width(&row) + width(cell) > WIDTH {
            row.push_str(CUT);
            break;
        }
        if to_blame == Some(place) {
            // A blank cell has a place, too.
            underline = format!("{}{}", " ".repeat(width(&row)), "^".repeat(width(cell).max(1)));
        }
        row.push_str(cell);
    }
    if to_blame.is_none() {
        underline = "^".repeat(width(&row));
    }
    [row, underline]
}

fn shortened(cell: &str) -> String {
    let cell = printable(cell);
    match cell.char_indices().nth(CELL) {
        Some((end, _)) => format!("{}…", cell.get(..end).unwrap_or_default()),
        None => cell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: &[&str]) -> Vec<String> {
        cells.iter().map(|cell| (*cell).to_owned()).collect()
    }

    #[test]
    fn the_cell_to_blame_is_underlined() {
        let check = |cells: &[&str], cell, expected: [&str; 2]| assert_eq!(underlined(&row(cells), cell), expected);
        check(&["0014K", "Zürich", "abc", "EUR"], Some(2), ["0014K | Zürich | abc | EUR", "                 ^^^"]);
        check(&["0014K", "", "EUR"], Some(1), ["0014K |  | EUR", "        ^"]);
        check(&["a\u{1b}", "b"], None, ["a\\u{1b} | b", "^^^^^^^^^^^"]);
        check(&[], Some(3), ["", ""]);
    }

    #[test]
    fn a_long_row_is_cut_on_either_side() {
        let cells = row(&["0123456789"; 40]);
        for cell in 0..40 {
            let [row, underline] = underlined(&cells, Some(cell));
            assert!(row.chars().count() < 2 * WIDTH, "{cell}: {row}");
            let under: String =
                row.chars().zip(underline.chars()).filter(|(_, mark)| *mark == '^').map(|(c, _)| c).collect();
            assert_eq!(under, "0123456789", "{cell}: {row}");
        }
    }
}
