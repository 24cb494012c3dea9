//! Finding the columns that the settings name in a table's header.
//!
//! A name is the exact text of the header; of a column with aliases one name must stand there. A column that is missing,
//! or that stands there twice, fails the file; all such columns are named in one fault, with names that come close.

use crate::Fault;
use crate::cell::quoted;
use crate::plan::{ColumnPlan, Presence, Which};

/// The columns that a transform wants: each once, in the order of the header.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// Header indices, rising.
    headers: Vec<u32>,
}

impl Wanted {
    pub(crate) fn new(found: impl IntoIterator<Item = u32>) -> Self {
        let mut headers: Vec<u32> = found.into_iter().collect();
        headers.sort_unstable();
        headers.dedup();
        Self { headers }
    }

    pub(crate) fn headers(&self) -> &[u32] {
        &self.headers
    }

    /// Where a wanted column stands in each batch.
    pub(crate) fn slot(&self, header: u32) -> usize {
        self.headers.partition_point(|wanted| *wanted < header)
    }
}

/// Looks columns up in a header, keeping what is wrong until the end.
pub(crate) struct Lookup<'a> {
    header: &'a [String],
    missing: Vec<String>,
    duplicates: Vec<String>,
    /// Columns that are missing and may be.
    pub(crate) notices: Vec<String>,
}

impl<'a> Lookup<'a> {
    pub(crate) fn new(header: &'a [String]) -> Self {
        Self { header, missing: Vec::new(), duplicates: Vec::new(), notices: Vec::new() }
    }

    /// The index of a column; none when there is none, or more than one.
    pub(crate) fn find(&mut self, column: &ColumnPlan) -> Option<u32> {
        let is_it = |(place, name): &(u32, &String)| match &column.which {
            Which::Named(names) => names.contains(name),
            Which::Number(number) => number - 1 == *place,
        };
        let mut places = (0..).zip(self.header).filter(is_it);
        match (places.next(), places.next()) {
            (Some((place, _)), None) => return Some(place),
            (Some((_, first)), Some((_, second))) if first != second => {
                let names = format!("{} and {}, of which only one may stand there", quoted(first), quoted(second));
                self.duplicates.push(format!("{names} (`{}`)", column.path));
            }
            (Some((_, name)), Some(_)) => self.duplicates.push(format!("{} (`{}`)", quoted(name), column.path)),
            (None, _) if column.presence == Presence::Optional => {
                self.notices.push(format!("the column {} (`{}`) is missing", column.which, column.path));
            }
            (None, _) => {
                let close = match &column.which {
                    Which::Named(names) => {
                        names.iter().map(|name| self.close_names(name)).find(|close| !close.is_empty())
                    }
                    Which::Number(_) => Some(format!("it has {}", self.header.len())),
                };
                let hint = match (&column.which, close) {
                    (_, None) => String::new(),
                    (Which::Named(_), Some(close)) => format!(", close to it: {close}"),
                    (Which::Number(_), Some(count)) => format!(", {count}"),
                };
                self.missing.push(format!("{} (`{}`{hint})", column.which, column.path));
            }
        }
        None
    }

    /// A pattern that no column matches.
    pub(crate) fn no_match(&mut self, path: &str, may_be: bool) {
        match may_be {
            true => self.notices.push(format!("no column matches the pattern of `{path}`")),
            false => self.missing.push(format!("a column that matches the pattern of `{path}`")),
        }
    }

    /// Whether every column so far that must be there is, and stands there once.
    pub(crate) fn is_sound(&self) -> bool {
        self.missing.is_empty() && self.duplicates.is_empty()
    }

    /// Something that may be missing and is, although something of its kind must be there.
    pub(crate) fn lack(&mut self, what: &str) {
        if self.is_sound() {
            self.missing.push(what.to_owned());
        }
    }

    /// # Errors
    /// `missing_column`, or else `duplicate_column`, naming every one of both.
    pub(crate) fn finish(self) -> Result<Vec<String>, Fault> {
        let missing = format!("the header lacks {}", self.missing.join(", "));
        let duplicates = format!("the header has more than once {}", self.duplicates.join(", "));
        match (self.missing.is_empty(), self.duplicates.is_empty()) {
            (true, true) => Ok(self.notices),
            (true, false) => Err(Fault::new("duplicate_column", duplicates)),
            (false, true) => Err(Fault::new("missing_column", missing)),
            (false, false) => Err(Fault::new("missing_column", format!("{missing}, and {duplicates}"))),
        }
    }

    /// Up to three names of the header that differ from `name` in case, blanks, or a few characters.
    fn close_names(&self, name: &str) -> String {
        let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").to_ascii_lowercase();
        let wanted = plain(name);
        let most = (wanted.chars().count() / 3).min(3);
        let mut close: Vec<_> = self
            .header
            .iter()
            .map(|candidate| (distance(&wanted, &plain(candidate)), candidate))
            .filter(|(distance, _)| *distance <= most)
            .collect();
        close.sort();
        close.truncate(3);
        close.iter().map(|(_, candidate)| quoted(candidate)).collect::<Vec<_>>().join(", ")
    }
}

/// How many characters must be added, removed or replaced to make one text of the other (Levenshtein). Long texts are
/// not compared.
fn distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    if left.len().max(right.len()) > 100 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, from) in left.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, presence: Presence) -> ColumnPlan {
        ColumnPlan { which: Which::Named(vec![name.into()]), path: "fields[0].column".into(), presence }
    }

    fn check(header: &[&str], names: &[&str], expected: Result<&[u32], &str>) {
        let header: Vec<String> = header.iter().map(|name| (*name).to_owned()).collect();
        let mut lookup = Lookup::new(&header);
        let found: Vec<u32> = names.iter().filter_map(|name| lookup.find(&column(name, Presence::Required))).collect();
        match (lookup.finish(), expected) {
            (Ok(_), Ok(expected)) => assert_eq!(found, expected),
            (Err(fault), Err(expected)) => assert_eq!(format!("{} {}", fault.code, fault.message), expected),
            (found, expected) => panic!("{found:?}, not {expected:?}"),
        }
    }

    #[test]
    fn names_are_the_exact_text_of_the_header() {
        check(&["a", "b", "A"], &["A", "a"], Ok(&[2, 0]));
    }

    #[test]
    fn missing_columns_are_named_with_what_comes_close() {
        check(
            &["Account Id", "ARR ", "Region"],
            &["Account ID", "ARR", "Country"],
            Err("missing_column the header lacks `Account ID` (`fields[0].column`, close to it: `Account Id`), \
                 `ARR` (`fields[0].column`, close to it: `ARR `), `Country` (`fields[0].column`)"),
        );
    }

    #[test]
    fn only_mapped_columns_must_not_be_doubled() {
        check(&["a", "b", "b"], &["a"], Ok(&[0]));
        check(&["a", "b", "b"], &["b"], Err("duplicate_column the header has more than once `b` (`fields[0].column`)"));
        check(
            &["a", "b", "b"],
            &["b", "x"],
            Err("missing_column the header lacks `x` (`fields[0].column`), and the \
                 header has more than once `b` (`fields[0].column`)"),
        );
    }

    #[test]
    fn one_of_the_names_of_a_column_must_stand_there() {
        let header: Vec<String> = ["a", "Umsatz", "b"].map(str::to_owned).to_vec();
        let named = |names: &[&str]| ColumnPlan {
            which: Which::Named(names.iter().map(|name| (*name).to_owned()).collect()),
            path: "x".into(),
            presence: Presence::Required,
        };
        let mut lookup = Lookup::new(&header);
        assert_eq!(lookup.find(&named(&["ARR", "Umsatz"])), Some(1));
        assert_eq!(lookup.find(&named(&["a", "b"])), None);
        assert_eq!(lookup.find(&named(&["ARR", "Umsätze"])), None);
        assert_eq!(
            lookup.finish().unwrap_err().message,
            "the header lacks `ARR` or `Umsätze` (`x`, close to it: `Umsatz`), and the header has more than once `a` and \
             `b`, of which only one may stand there (`x`)"
        );
    }

    #[test]
    fn a_column_may_be_told_by_its_number() {
        let header: Vec<String> = ["a", "", ""].map(str::to_owned).to_vec();
        let number =
            |number| ColumnPlan { which: Which::Number(number), path: "x".into(), presence: Presence::Required };
        let mut lookup = Lookup::new(&header);
        assert_eq!(
            (lookup.find(&number(1)), lookup.find(&number(3)), lookup.find(&number(4))),
            (Some(0), Some(2), None)
        );
        assert_eq!(lookup.finish().unwrap_err().message, "the header lacks column number 4 (`x`, it has 3)");
    }

    #[test]
    fn an_optional_column_may_be_missing() {
        let mut lookup = Lookup::new(&[]);
        assert_eq!(lookup.find(&column("x\n", Presence::Optional)), None);
        assert_eq!(lookup.finish().unwrap(), ["the column `x\\n` (`fields[0].column`) is missing"]);
    }
}
