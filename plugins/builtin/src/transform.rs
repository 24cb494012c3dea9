//! What is done with a cell's text before it is read.
//!
//! Each step writes from one buffer into another; both are used again from one cell to the next. A step leaves a text
//! marked as typed by the workbook only where it changed nothing, or wrote a number as canonical as the one it got.

use std::collections::BTreeMap;

use crate::cell::{Exact, NumberFormat, Problem, Spelled, is_blank, quote};
use crate::normalize::lower;
use crate::pattern::{Pattern, Replacement, text};
use crate::settings::OnMissing;

/// One step. Columns that it adds are told by `C`: a plan of a column first, then a header index.
#[derive(Debug, Clone)]
pub(crate) enum Step<C> {
    Trim,
    CollapseWhitespace,
    Lower,
    Upper,
    Title,
    Replace { find: String, with: String },
    ReplacePattern(Box<Replacement>),
    RegexExtract(Box<Pattern>, String),
    Split { on: String, take: i32 },
    Concat { columns: Vec<C>, separator: String },
    Lookup { table: BTreeMap<String, String>, missing: OnMissing },
    Prefix(String),
    Suffix(String),
    Scale(Exact),
    Round(u8),
}

/// A cell on its way, with the memory that the steps need.
#[derive(Debug, Default)]
pub(crate) struct Passage {
    pub(crate) value: Vec<u8>,
    pub(crate) typed: bool,
    next: Vec<u8>,
    pub(crate) spelled: Spelled,
}

/// Why a step cannot be taken.
#[derive(Debug)]
pub(crate) enum Refusal<'s> {
    NoMatch(&'s str),
    NotInTable,
    Number(Problem),
}

impl Refusal<'_> {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::NoMatch(_) => "no_match",
            Self::NotInTable => "not_in_table",
            Self::Number(problem) => problem.code(),
        }
    }

    /// Appends a sentence on the text that was refused.
    pub(crate) fn explain(&self, value: &[u8], bytes: &mut Vec<u8>) {
        quote(value, bytes);
        match self {
            Self::NoMatch(pattern) => {
                bytes.extend_from_slice(b" does not match the pattern ");
                quote(pattern.as_bytes(), bytes);
            }
            Self::NotInTable => bytes.extend_from_slice(b" is not in the lookup table"),
            Self::Number(Problem::OutOfRange) => bytes.extend_from_slice(b" is too large to be scaled or rounded"),
            Self::Number(_) => bytes.extend_from_slice(b" is not a number that can be scaled or rounded"),
        }
    }
}

impl Passage {
    /// Takes a cell.
    pub(crate) fn take(&mut self, cell: &[u8], typed: bool) {
        self.value.clear();
        self.value.extend_from_slice(cell);
        self.typed = typed;
    }

    /// Takes every step, unless the text is or becomes blank. `cell_of` is the cell of another column in
    /// the same row.
    pub(crate) fn pass<'s, 'c, C>(
        &mut self,
        steps: &'s mut [Step<C>],
        format: NumberFormat,
        cell_of: impl Fn(&C) -> &'c [u8],
    ) -> Result<(), Refusal<'s>> {
        for step in steps {
            if is_blank(&self.value) {
                break;
            }
            self.next.clear();
            self.step(step, format, &cell_of)?;
        }
        Ok(())
    }

    fn step<'s, 'c, C>(
        &mut self,
        step: &'s mut Step<C>,
        format: NumberFormat,
        cell_of: &impl Fn(&C) -> &'c [u8],
    ) -> Result<(), Refusal<'s>> {
        let Self { value, typed, next, spelled } = self;
        let format = if *typed { NumberFormat::CANONICAL } else { format };
        let mut number = |value: &[u8], change: &dyn Fn(Exact) -> Option<Exact>| {
            let read = Exact::read(value.trim_ascii(), format, spelled).map_err(Refusal::Number)?;
            let changed = change(read).ok_or(Refusal::Number(Problem::OutOfRange))?;
            changed.write(format.decimal, next).map_err(Refusal::Number)
        };
        match step {
            Step::Scale(factor) => {
                number(value, &|exact| exact.times(*factor))?;
                std::mem::swap(value, next);
                return Ok(());
            }
            Step::Round(decimals) => {
                number(value, &|exact| Some(exact.rounded(*decimals)))?;
                std::mem::swap(value, next);
                return Ok(());
            }
            Step::Trim => next.extend_from_slice(text(value).trim().as_bytes()),
            Step::CollapseWhitespace => {
                for word in text(value).split_whitespace() {
                    if !next.is_empty() {
                        next.push(b' ');
                    }
                    next.extend_from_slice(word.as_bytes());
                }
            }
            Step::Lower => lower(value, next),
            Step::Upper => upper(text(value), next),
            Step::Title => title(text(value), next),
            Step::Replace { find, with } => {
                let value = text(value);
                let mut copied = 0;
                for (at, found) in value.match_indices(find.as_str()) {
                    next.extend_from_slice(&value.as_bytes()[copied..at]);
                    next.extend_from_slice(with.as_bytes());
                    copied = at + found.len();
                }
                next.extend_from_slice(&value.as_bytes()[copied..]);
            }
            Step::ReplacePattern(replacement) => replacement.write(text(value), next),
            Step::RegexExtract(pattern, written) => match pattern.take(text(value)) {
                Some(taken) => next.extend_from_slice(taken.as_bytes()),
                None => return Err(Refusal::NoMatch(written)),
            },
            Step::Split { on, take } => {
                let place = take.unsigned_abs() as usize - 1;
                let part = match *take > 0 {
                    true => text(value).split(on.as_str()).nth(place),
                    false => text(value).rsplit(on.as_str()).nth(place),
                };
                next.extend_from_slice(part.unwrap_or_default().as_bytes());
            }
            Step::Concat { columns, separator } => {
                next.extend_from_slice(value);
                for column in columns {
                    let cell = cell_of(column);
                    if !is_blank(cell) {
                        next.extend_from_slice(separator.as_bytes());
                        next.extend_from_slice(cell);
                    }
                }
            }
            Step::Lookup { table, missing } => match (table.get(text(value)), missing) {
                (Some(found), _) => next.extend_from_slice(found.as_bytes()),
                (None, OnMissing::Keep) => next.extend_from_slice(value),
                (None, OnMissing::Blank) => {}
                (None, OnMissing::Invalid) => return Err(Refusal::NotInTable),
            },
            Step::Prefix(prefix) => {
                next.extend_from_slice(prefix.as_bytes());
                next.extend_from_slice(value);
            }
            Step::Suffix(suffix) => {
                next.extend_from_slice(value);
                next.extend_from_slice(suffix.as_bytes());
            }
        }
        *typed &= value == next;
        std::mem::swap(value, next);
        Ok(())
    }
}

fn upper(value: &str, out: &mut Vec<u8>) {
    let mut encoded = [0; 4];
    for capital in value.chars().flat_map(char::to_uppercase) {
        out.extend_from_slice(capital.encode_utf8(&mut encoded).as_bytes());
    }
}

/// A word begins after anything that is neither a letter, a digit nor an apostrophe.
fn title(value: &str, out: &mut Vec<u8>) {
    let mut encoded = [0; 4];
    let mut in_word = false;
    for character in value.chars() {
        let mut push = |character: char| out.extend_from_slice(character.encode_utf8(&mut encoded).as_bytes());
        match in_word {
            true => character.to_lowercase().for_each(&mut push),
            false => character.to_uppercase().for_each(&mut push),
        }
        in_word = character.is_alphanumeric() || (in_word && matches!(character, '\'' | '’'));
    }
}

impl<C> Step<C> {
    /// The columns that it adds.
    pub(crate) fn columns(&self) -> &[C] {
        match self {
            Self::Concat { columns, .. } => columns,
            _ => &[],
        }
    }

    /// The same step, its columns told in another way; none where one of them is not found.
    pub(crate) fn with_columns<D>(self, find: &mut impl FnMut(C) -> Option<D>) -> Option<Step<D>> {
        Some(match self {
            Self::Trim => Step::Trim,
            Self::CollapseWhitespace => Step::CollapseWhitespace,
            Self::Lower => Step::Lower,
            Self::Upper => Step::Upper,
            Self::Title => Step::Title,
            Self::Replace { find, with } => Step::Replace { find, with },
            Self::ReplacePattern(replacement) => Step::ReplacePattern(replacement),
            Self::RegexExtract(pattern, written) => Step::RegexExtract(pattern, written),
            Self::Split { on, take } => Step::Split { on, take },
            Self::Concat { columns, separator } => {
                let found: Vec<Option<D>> = columns.into_iter().map(find).collect();
                Step::Concat { columns: found.into_iter().collect::<Option<_>>()?, separator }
            }
            Self::Lookup { table, missing } => Step::Lookup { table, missing },
            Self::Prefix(prefix) => Step::Prefix(prefix),
            Self::Suffix(suffix) => Step::Suffix(suffix),
            Self::Scale(factor) => Step::Scale(factor),
            Self::Round(decimals) => Step::Round(decimals),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes steps with a row whose other cells are `b` and blank; the result is marked with `'` while it counts as typed.
    fn pass(mut steps: Vec<Step<usize>>, cell: &str) -> String {
        let mut passage = Passage::default();
        passage.take(cell.trim_start_matches('\'').as_bytes(), cell.starts_with('\''));
        let others: [&[u8]; 2] = [b"b", b" "];
        let format = NumberFormat { decimal: b',', group: Some('.') };
        match passage.pass(&mut steps, format, |column| others[*column]) {
            Ok(()) => {
                let mark = if passage.typed { "'" } else { "" };
                format!("{mark}{}", String::from_utf8_lossy(&passage.value))
            }
            Err(refusal) => {
                let mut message = Vec::new();
                let code = refusal.code();
                refusal.explain(cell.as_bytes(), &mut message);
                format!("{code}: {}", String::from_utf8_lossy(&message))
            }
        }
    }

    fn text_steps(step: Step<usize>, cases: &[(&str, &str)]) {
        for (cell, expected) in cases {
            assert_eq!(pass(vec![step.clone()], cell), *expected, "`{cell}` {step:?}");
        }
    }

    #[test]
    fn letters_and_blanks() {
        text_steps(Step::Trim, &[("\u{a0} a b ", "a b"), (" ", " ")]);
        text_steps(Step::CollapseWhitespace, &[(" a \t\n b\u{2003}c ", "a b c")]);
        text_steps(Step::Lower, &[("ÄB", "äb")]);
        text_steps(Step::Upper, &[("straße", "STRASSE")]);
        text_steps(Step::Title, &[("o'neill & SONS gmbh-ost", "O'neill & Sons Gmbh-Ost"), ("ÉCOLE 2b", "École 2b")]);
    }

    #[test]
    fn parts_and_other_texts() {
        let step = |find: &str, with: &str| Step::Replace { find: find.into(), with: with.into() };
        text_steps(step("-", ""), &[("1-2-3", "123"), ("ü", "ü")]);
        let split = |take| Step::Split { on: "/".into(), take };
        text_steps(split(2), &[("a/b/c", "b"), ("a", "")]);
        text_steps(split(-1), &[("a/b/c", "c"), ("a", "a")]);
        text_steps(Step::Prefix("DE-".into()), &[("7", "DE-7"), ("", "")]);
        text_steps(Step::Suffix("!".into()), &[("7", "7!")]);
        text_steps(Step::Concat { columns: vec![0, 1, 0], separator: ", ".into() }, &[("a", "a, b, b"), ("", "")]);
        let table: BTreeMap<String, String> = [("A".to_owned(), "Active".to_owned())].into();
        let lookup = |missing| Step::Lookup { table: table.clone(), missing };
        text_steps(lookup(OnMissing::Keep), &[("A", "Active"), ("B", "B")]);
        text_steps(lookup(OnMissing::Blank), &[("B", "")]);
        text_steps(lookup(OnMissing::Invalid), &[("B", "not_in_table: `B` is not in the lookup table")]);
        let extract = Step::RegexExtract(Box::new(Pattern::parse_taking("v([0-9]+)").unwrap()), "v([0-9]+)".into());
        text_steps(extract, &[("xv12", "12"), ("x", "no_match: `x` does not match the pattern `v([0-9]+)`")]);
    }

    /// Numbers stay in the format they came in, and in the workbook's own where it typed them.
    #[test]
    fn numbers_are_scaled_and_rounded_exactly() {
        let factor = |text: &str| {
            Step::Scale(Exact::read(text.as_bytes(), NumberFormat::CANONICAL, &mut Spelled::default()).unwrap())
        };
        text_steps(factor("0.001"), &[("1.234,5", "1,2345"), ("'1234.5", "'1.2345"), ("-0", "0")]);
        text_steps(Step::Round(1), &[("1,25", "1,3"), ("'-1.25", "'-1.3")]);
        text_steps(factor("2"), &[("x", "not_a_number: `x` is not a number that can be scaled or rounded")]);
    }

    #[test]
    fn a_text_that_was_changed_is_no_longer_the_workbooks() {
        assert_eq!(pass(vec![Step::Trim], "'12"), "'12");
        assert_eq!(pass(vec![Step::Suffix("0".into())], "'12"), "120");
        assert_eq!(pass(vec![Step::Split { on: "x".into(), take: 2 }, Step::Prefix("a".into())], "'12"), "");
    }
}
