//! What a value must keep to beyond its type.

use std::cmp::Ordering;

use crate::cell::{Blame, RowLog, quoted};
use crate::columns::{Cells, Column, Values};
use crate::pattern::{Pattern, text};

/// The limits of one field; most fields have none.
#[derive(Debug, Clone, Default)]
pub(crate) struct Constraints {
    pub(crate) bounds: Option<Bounds>,
    /// In characters.
    pub(crate) min_length: Option<u32>,
    pub(crate) max_length: Option<u32>,
    /// What the whole text must match, and how it is written.
    pub(crate) pattern: Option<(Pattern, String)>,
    /// Any text, where it is empty.
    pub(crate) allowed: Vec<String>,
}

/// The least and the greatest value, as columns of one row of the field's own type.
#[derive(Debug, Clone)]
pub(crate) struct Bounds {
    least: Option<Values>,
    most: Option<Values>,
    /// As they are written in the settings.
    written: (String, String),
}

impl Bounds {
    pub(crate) fn new(least: Option<Values>, most: Option<Values>, written: (String, String)) -> Option<Self> {
        (least.is_some() || most.is_some()).then_some(Self { least, most, written })
    }

    /// Whether no value keeps to them.
    pub(crate) fn is_empty(&self) -> bool {
        self.least
            .as_ref()
            .zip(self.most.as_ref())
            .is_some_and(|(least, most)| compare(least, 0, most) == Some(Ordering::Greater))
    }
}

/// A value against a bound of the same type.
fn compare(values: &Values, row: usize, bound: &Values) -> Option<Ordering> {
    match (values, bound) {
        (Values::Integer(values), Values::Integer(bound)) | (Values::Decimal(values), Values::Decimal(bound)) => {
            Some(values[row].cmp(bound.first()?))
        }
        (Values::Timestamp(values), Values::Timestamp(bound)) => Some(values[row].cmp(bound.first()?)),
        (Values::Date(values), Values::Date(bound)) => Some(values[row].cmp(bound.first()?)),
        (Values::Float(values), Values::Float(bound)) => values[row].partial_cmp(bound.first()?),
        _ => None,
    }
}

impl Constraints {
    pub(crate) fn is_empty(&self) -> bool {
        self.bounds.is_none()
            && self.min_length.is_none()
            && self.max_length.is_none()
            && self.pattern.is_none()
            && self.allowed.is_empty()
    }

    /// Takes the values that break a rule out of the column, and reports them. `cells` is what they were read from.
    pub(crate) fn check(&self, column: &mut Column, cells: &Cells<'_>, blame: Blame<'_>, log: &mut RowLog) {
        if self.is_empty() {
            return;
        }
        for row in 0..cells.len() {
            if !column.has_value(row) {
                continue;
            }
            if let Some((code, message)) = self.broken(&column.values, row, cells.get(row)) {
                column.lose(row, cells.len());
                log.invalid(row, blame, code, |bytes| bytes.extend_from_slice(message.as_bytes()));
            }
        }
    }

    /// The rule that a value breaks: its code, and a sentence on it.
    fn broken(&self, values: &Values, row: usize, cell: &[u8]) -> Option<(&'static str, String)> {
        if let Some(Bounds { least, most, written }) = &self.bounds {
            let sides = [
                (least, Ordering::Less, "below_min", "less than", &written.0),
                (most, Ordering::Greater, "above_max", "more than", &written.1),
            ];
            for (bound, beyond, code, than, written) in sides {
                if bound.as_ref().and_then(|bound| compare(values, row, bound)) == Some(beyond) {
                    return Some((code, format!("{} is {than} `{written}`", quoted(text(cell)))));
                }
            }
        }
        match values {
            Values::Text(_) => self.wrong_length(text(cell)).or_else(|| self.not_allowed(text(cell))),
            Values::TextList(lists) => (lists.offsets[row]..lists.offsets[row + 1])
                .find_map(|item| self.not_allowed(text(lists.items.get(item as usize)))),
            _ => None,
        }
    }

    fn wrong_length(&self, value: &str) -> Option<(&'static str, String)> {
        if self.min_length.is_none() && self.max_length.is_none() {
            return None;
        }
        let length = value.chars().count();
        match (self.min_length, self.max_length) {
            (Some(least), _) if length < least as usize => {
                Some(("too_short", format!("{} has {length} characters, fewer than {least}", quoted(value))))
            }
            (_, Some(most)) if length > most as usize => {
                Some(("too_long", format!("{} has {length} characters, more than {most}", quoted(value))))
            }
            _ => None,
        }
    }

    fn not_allowed(&self, item: &str) -> Option<(&'static str, String)> {
        if let Some((pattern, written)) = &self.pattern
            && !pattern.is_match(item)
        {
            return Some(("no_match", format!("{} does not match the pattern {}", quoted(item), quoted(written))));
        }
        if self.allowed.is_empty() || self.allowed.iter().any(|allowed| allowed == item) {
            return None;
        }
        let shown: Vec<String> = self.allowed.iter().take(MOST_SHOWN).map(|allowed| quoted(allowed)).collect();
        let more = match self.allowed.len().saturating_sub(MOST_SHOWN) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        Some(("not_allowed", format!("{} is none of {}{more}", quoted(item), shown.join(", "))))
    }
}

/// How many of the allowed texts a message names.
const MOST_SHOWN: usize = 10;
