//! Whole tables put into a text and taken out of it. Everything else of the text stays byte for byte.
//!
//! Before a header stand blank lines and comments. Those directly above it are about its table; those directly below
//! another table's last key are about that one; what is between is about neither, and is never taken out.

use std::ops::Range;

use toml_edit::{Document, Item, RawString, Table};

/// A table's header.
struct Header {
    path: Vec<String>,
    /// The blank lines and comments before it.
    lead: Range<usize>,
}

/// Puts a table behind the last of its section; behind everything where there is none.
pub(super) fn insert(text: &str, section: &str, table: &str) -> Option<String> {
    let document = Document::parse(text).ok()?;
    let headers = headers(&document);
    let last = headers.iter().rposition(|header| header.path.first().is_some_and(|first| first == section));
    let next = last.and_then(|last| headers.get(last + 1));
    let table = table.trim_matches('\n');
    Some(match next {
        Some(next) => {
            let between = text.get(next.lead.clone())?;
            let own = behind_first_blank(between);
            let (before, after) = text.split_at_checked(next.lead.start + own.unwrap_or(0))?;
            let blank = if own.is_some() { "" } else { "\n" };
            format!("{before}{blank}{table}\n\n{after}")
        }
        None => match text.trim_end_matches('\n') {
            "" => format!("{table}\n"),
            before => format!("{before}\n\n{table}\n"),
        },
    })
}

/// Takes out the table at a path, with the tables in it; none where it has no header of its own.
pub(super) fn remove_tables(text: &str, path: &[&str]) -> Option<String> {
    let document = Document::parse(text).ok()?;
    let headers = headers(&document);
    let goes = |header: &Header| header.path.len() >= path.len() && header.path.iter().zip(path).all(|(a, b)| a == b);
    let mut kept = String::with_capacity(text.len());
    let (mut from, mut removed) = (0, false);
    let mut at = 0;
    while let Some(header) = headers.get(at) {
        if !goes(header) {
            at += 1;
            continue;
        }
        removed = true;
        kept.push_str(text.get(from..header.lead.start + behind_last_blank(text.get(header.lead.clone())?))?);
        while headers.get(at).is_some_and(goes) {
            at += 1;
        }
        let next = match headers.get(at) {
            Some(next) => next.lead.clone(),
            None => span(Some(document.trailing())).unwrap_or(text.len()..text.len()),
        };
        from = next.start + behind_first_blank(text.get(next)?).unwrap_or(0);
    }
    kept.push_str(text.get(from..)?);
    if from >= text.len() {
        let end = kept.trim_end_matches('\n').len();
        kept.truncate(end + usize::from(end > 0));
    }
    removed.then_some(kept)
}

/// Takes out the lines of a key with its value; none where they are not lines of their own.
pub(super) fn remove_lines(text: &str, path: &[&str]) -> Option<String> {
    let document = Document::parse(text).ok()?;
    let (last, tables) = path.split_last()?;
    let mut table = document.as_table();
    for key in tables {
        table = table.get(key)?.as_table()?;
    }
    let (key, Item::Value(value)) = table.get_key_value(last)? else { return None };
    let (start, end) = (key.span()?.start, value.span()?.end);
    let start = text.get(..start)?.rfind('\n').map_or(0, |line_end| line_end + 1);
    let end = text.get(end..)?.find('\n').map_or(text.len(), |length| end + length + 1);
    Some(format!("{}{}", text.get(..start)?, text.get(end..)?))
}

/// All headers, in the order of the text.
fn headers(document: &Document<&str>) -> Vec<Header> {
    let mut found = Vec::new();
    collect(document.as_table(), &mut Vec::new(), &mut found);
    found.sort_by_key(|header| header.lead.end);
    found
}

fn collect(table: &Table, path: &mut Vec<String>, found: &mut Vec<Header>) {
    for (name, item) in table {
        path.push(name.to_owned());
        match item {
            Item::Table(table) => {
                if !table.is_dotted() && !table.is_implicit() {
                    found.extend(header(table, path));
                }
                collect(table, path, found);
            }
            Item::ArrayOfTables(tables) => {
                for table in tables {
                    found.extend(header(table, path));
                    collect(table, path, found);
                }
            }
            Item::None | Item::Value(_) => {}
        }
        path.pop();
    }
}

fn header(table: &Table, path: &[String]) -> Option<Header> {
    let start = table.span()?.start;
    let lead = span(table.decor().prefix()).unwrap_or(start..start);
    Some(Header { path: path.to_vec(), lead })
}

fn span(text: Option<&RawString>) -> Option<Range<usize>> {
    text.and_then(RawString::span)
}

/// Where what follows the first blank line begins.
fn behind_first_blank(lead: &str) -> Option<usize> {
    blanks(lead).next()
}

/// Where what follows the last blank line begins.
fn behind_last_blank(lead: &str) -> usize {
    blanks(lead).last().unwrap_or(0)
}

/// The ends of the blank lines.
fn blanks(lead: &str) -> impl Iterator<Item = usize> {
    let mut end = 0;
    lead.split_inclusive('\n').filter_map(move |line| {
        end += line.len();
        (line.ends_with('\n') && line.trim().is_empty()).then_some(end)
    })
}
