//! How the story looks: headings, sentences, commands and what they answer, about 80 columns wide.

use std::io::{IsTerminal, Write};

const WIDTH: usize = 78;
/// Longer lines of output are folded; those of a table may be a little wider than the text.
const FOLD: usize = 92;

/// Where the story is told. Colours on a terminal alone.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    colours: bool,
}

impl Page {
    /// Standard output.
    pub fn new() -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { colours: std::io::stdout().is_terminal() && !refused }
    }

    /// The next part of the story.
    pub fn heading(self, text: &str) {
        self.line(&self.painted("1;36", text));
        self.line(&self.painted("36", &"─".repeat(text.chars().count())));
    }

    /// Sentences, wrapped.
    pub fn say(self, text: &str) {
        let mut line = String::new();
        for word in text.split_whitespace() {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > WIDTH {
                self.line(&line);
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        self.line(&line);
    }

    /// A command, as it can be typed.
    pub fn command(self, command: &str) {
        self.line(&format!("  {}", self.painted("1", &format!("$ {command}"))));
    }

    /// What a command answered; long lines are folded.
    pub fn output(self, text: &str) {
        for line in text.trim_end().lines() {
            let characters: Vec<char> = line.chars().collect();
            let mut pieces = characters.chunks(FOLD).map(|piece| piece.iter().collect::<String>());
            self.line(format!("  {}", pieces.next().unwrap_or_default()).trim_end());
            pieces.for_each(|piece| self.line(&format!("    {piece}")));
        }
        self.line("");
    }

    /// A query.
    pub fn query(self, sql: &str) {
        for line in sql.lines() {
            self.line(&format!("  {}", self.painted("2", line)));
        }
    }

    /// Rows under headings; columns of numbers are aligned to the right.
    pub fn table(self, headings: &[&str], rows: &[Vec<String>]) {
        let columns: Vec<Column> =
            headings.iter().enumerate().map(|(place, heading)| Column::of(heading, place, rows)).collect();
        let heading: Vec<String> = columns.iter().zip(headings).map(|(column, text)| column.padded(text)).collect();
        self.line(&self.painted("4", format!("  {}", heading.join("  ")).trim_end()));
        for row in rows {
            let cells: Vec<String> = columns.iter().zip(row).map(|(column, cell)| column.padded(cell)).collect();
            self.line(format!("  {}", cells.join("  ")).trim_end());
        }
        self.line("");
    }

    fn painted(self, code: &str, text: &str) -> String {
        match self.colours {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }

    /// Whoever reads may have closed the pipe; the demo goes on to its end all the same.
    fn line(self, text: &str) {
        let _ = writeln!(std::io::stdout(), "{text}");
    }
}

impl Default for Page {
    fn default() -> Self {
        Self::new()
    }
}

struct Column {
    width: usize,
    is_number: bool,
}

impl Column {
    fn of(heading: &str, place: usize, rows: &[Vec<String>]) -> Self {
        let cells = || rows.iter().filter_map(|row| row.get(place)).filter(|cell| !cell.is_empty());
        let widest = cells().map(|cell| cell.chars().count()).max().unwrap_or_default();
        let is_number = cells().count() > 0 && cells().all(|cell| cell.parse::<f64>().is_ok());
        Self { width: widest.max(heading.chars().count()), is_number }
    }

    fn padded(&self, cell: &str) -> String {
        let width = self.width;
        match self.is_number {
            true => format!("{cell:>width$}"),
            false => format!("{cell:width$}"),
        }
    }
}
