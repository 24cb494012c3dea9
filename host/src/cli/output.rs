//! How answers look: plain lines or JSON, colours on a terminal alone.

use std::io::{IsTerminal, Write};

use serde_json::{Value, json};

/// Says what went wrong, and the advice on a line of its own.
pub fn complain(message: &str, hint: Option<&str>, as_json: bool) {
    let mut out = std::io::stderr().lock();
    if as_json {
        let _ = writeln!(out, "{}", json!({ "error": message, "hint": hint }));
        return;
    }
    let paint = Paint::of(&std::io::stderr());
    let _ = writeln!(out, "{}: {message}", paint.red("error"));
    if let Some(hint) = hint {
        let _ = writeln!(out, "{}: {hint}", paint.bold("hint"));
    }
}

/// Colours, where they are wanted.
#[derive(Debug, Clone, Copy)]
pub struct Paint(bool);

impl Paint {
    /// For a stream: on a terminal, unless `NO_COLOR` is set.
    pub fn of(stream: &impl IsTerminal) -> Self {
        Self(stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()))
    }

    /// Something failed.
    pub fn red(self, text: &str) -> String {
        self.with("31;1", text)
    }

    /// Something is well.
    pub fn green(self, text: &str) -> String {
        self.with("32", text)
    }

    /// Something wants a look.
    pub fn yellow(self, text: &str) -> String {
        self.with("33", text)
    }

    /// A heading.
    pub fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        match self.0 {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }
}

/// One line of JSON on standard output.
pub fn print_json(value: &Value) {
    let _ = writeln!(std::io::stdout(), "{value}");
}

/// A line on standard output; a closed pipe is not an error.
pub fn print(line: impl std::fmt::Display) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// A field of an answer as text; empty when it is not there.
pub fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// Text from outside on one line, with control characters escaped.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() }).collect()
}

/// A number and what it counts.
pub fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// What was found of a file's dialect, one line a fact.
pub fn facts(dialect: &Value) -> Vec<String> {
    let facts = dialect.as_object().into_iter().flat_map(|dialect| dialect.values()).filter_map(Value::as_object);
    let lines = facts.flatten().filter(|(_, value)| !value.is_null()).map(|(what, value)| {
        let said = match value {
            Value::Bool(true) => "yes".to_owned(),
            Value::Bool(false) => "no".to_owned(),
            Value::String(text) => format!("`{text}`"),
            Value::Array(sheets) => sheets.iter().map(sheet).collect::<Vec<_>>().join(", "),
            other => other.to_string(),
        };
        format!("{}: {}", what.replace('_', " "), printable(&said))
    });
    lines.collect()
}

fn sheet(sheet: &Value) -> String {
    let hidden = if sheet.get("hidden") == Some(&Value::Bool(true)) { " (hidden)" } else { "" };
    format!("`{}`{hidden}", text(sheet, "name"))
}

/// Columns under headings, as wide as their widest cell.
pub fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = headings.iter().map(|heading| heading.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> = cells.zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(&mut headings.iter().copied())];
    lines.extend(rows.iter().map(|row| line(&mut row.iter().map(String::as_str))));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["a".to_owned(), "long cell".to_owned()], vec!["bb".to_owned(), "c".to_owned()]];
        assert_eq!(table(&["x", "y"], &rows), "x   y\na   long cell\nbb  c");
    }

    #[test]
    fn facts_are_lines_for_people() {
        let workbook =
            json!({ "workbook": { "sheets": [{ "name": "A", "hidden": false }, { "name": "B", "hidden": true }] } });
        assert_eq!(facts(&workbook), ["sheets: `A`, `B` (hidden)"]);
        let csv = json!({ "csv": { "delimiter": "\t", "byte_order_mark": true, "header_line": 1 } });
        assert_eq!(facts(&csv), ["byte order mark: yes", "delimiter: `\\t`", "header line: 1"]);
    }

    #[test]
    fn terminal_escapes_are_not_passed_on() {
        assert_eq!(printable("a\u{1b}[31mb\n"), "a\\u{1b}[31mb\\n");
    }
}
