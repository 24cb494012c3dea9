//! Where the checks write what is wrong, and how a table becomes a raw struct without stopping at its first mistake.

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

use super::document::Document;
use super::manual;
use super::path::{Segment, TomlPath};
use super::problem::{Problem, Scope};

/// Collects the problems of one document.
pub(super) struct Report<'d, 't> {
    document: &'d Document<'t>,
    problems: Vec<(TomlPath, Problem)>,
}

/// Advice that goes with a problem.
pub(super) enum Advice {
    /// The manual's example of that key, where it has one.
    Example,
    /// Words, and the manual's example.
    Hint(String),
    /// Words alone, where an example would not help.
    HintOnly(String),
    /// An example of the table at another path.
    Table(TomlPath),
}

impl<'d, 't> Report<'d, 't> {
    /// Without problems.
    pub(super) fn new(document: &'d Document<'t>) -> Self {
        Self { document, problems: Vec::new() }
    }

    /// The document that is checked.
    pub(super) fn document(&self) -> &'d Document<'t> {
        self.document
    }

    /// Another report on the same document, whose problems may be taken over or not.
    pub(super) fn aside(&self) -> Self {
        Self::new(self.document)
    }

    /// Takes over what another report found.
    pub(super) fn append(&mut self, other: Self) {
        self.problems.extend(other.problems);
    }

    /// Whether something is wrong with the table at that path, so that it is left out (R15). A key of it that stands in
    /// two files counts, although only one of the two was read.
    pub(super) fn condemns(&self, table: &TomlPath) -> bool {
        self.problems.iter().any(|(there, _)| there.is_within(table)) || self.document.is_ambiguous(table)
    }

    /// The problems, in the order in which they were found.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems.into_iter().map(|(_, problem)| problem).collect()
    }

    /// What stands at a path is wrong.
    pub(super) fn wrong(&mut self, path: &TomlPath, message: impl Into<String>, advice: Advice) {
        let (file, position) = self.document.place(path);
        if self.document.is_broken(&file, position) {
            return;
        }
        let (hint, example) = match advice {
            Advice::Example => (None, manual::example(path)),
            Advice::Hint(hint) => (Some(hint), manual::example(path)),
            Advice::HintOnly(hint) => (Some(hint), None),
            Advice::Table(table) => (Some("add it".into()), manual::example(&table)),
        };
        let problem = Problem {
            scope: Scope::of(path),
            file,
            position,
            path: path.to_string(),
            message: message.into(),
            hint,
            example,
        };
        self.problems.push((path.clone(), problem));
    }

    /// Something that must stand at a path does not. Said only where that is certain, and not again where it was there and
    /// was refused.
    pub(super) fn missing(&mut self, path: &TomlPath, message: impl Into<String>, advice: Advice) {
        let refused = self.problems.iter().any(|(there, _)| there.is_within(path));
        if !refused && !self.document.is_incomplete() {
            self.wrong(path, message, advice);
        }
    }

    /// What a key refers to does not exist. Said only where that is certain.
    pub(super) fn leads_nowhere(&mut self, path: &TomlPath, message: impl Into<String>, advice: Advice) {
        if !self.document.is_incomplete() {
            self.wrong(path, message, advice);
        }
    }

    /// Whether a key of the table at that path, or something in it, was refused as it was read.
    pub(super) fn refused_within(&self, table: &TomlPath) -> bool {
        self.problems.iter().any(|(there, _)| there.is_within(table) && there != table)
    }

    /// The value at a path if it is required and there. A missing one is a problem.
    pub(super) fn required<T>(&mut self, path: &TomlPath, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.missing(path, "this key is missing", Advice::Example);
        }
        value
    }

    /// The value that a text stands for. A text that stands for none is a problem, said in the words of its error.
    pub(super) fn parsed<T, E: std::fmt::Display>(
        &mut self,
        path: &TomlPath,
        text: Option<String>,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = text?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(error) => {
                self.wrong(path, format!("`{text}` is refused: {error}"), Advice::Example);
                None
            }
        }
    }

    /// The keys of the table at a path; none where there is no such table.
    pub(super) fn tables_in(&mut self, path: &TomlPath) -> Vec<String> {
        match self.document.get(path).map(Spanned::get_ref) {
            Some(DeValue::Table(table)) => table.keys().map(|key| key.get_ref().to_string()).collect(),
            Some(other) => {
                self.not_a_table(path, other);
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    fn not_a_table(&mut self, path: &TomlPath, found: &DeValue<'_>) {
        let message = format!("a table is expected here, not {}", with_article(found.type_str()));
        self.wrong(path, message, Advice::Example);
    }

    /// The table at a path as a raw struct. A key that does not fit is reported and left out, and the rest is read again,
    /// so that all of them are found. A table that is not there is read as an empty one.
    pub(super) fn read<Raw: DeserializeOwned + Default>(&mut self, path: &TomlPath) -> Raw {
        let Some(value) = self.document.get(path) else {
            return Raw::default();
        };
        let DeValue::Table(table) = value.get_ref() else {
            self.not_a_table(path, value.get_ref());
            return Raw::default();
        };
        let mut table = Spanned::new(value.span(), table.clone());
        loop {
            let error = match Raw::deserialize(Deserializer::from(table.clone())) {
                Ok(raw) => return raw,
                Err(error) => error,
            };
            let place = error.span().and_then(|span| locate(table.get_ref(), &span));
            let Some(place) = place.filter(|place| !place.is_empty()) else {
                self.wrong(path, "the table cannot be read", Advice::Example);
                return Raw::default();
            };
            let whole = path.join(place.iter().cloned());
            self.refuse(&whole, error.message());
            remove(table.get_mut(), &place);
        }
    }

    /// Says in our words why the deserializer stopped at a path. Its own words may repeat the value, which may be a
    /// secret in the wrong place; ours do not.
    fn refuse(&mut self, path: &TomlPath, message: &str) {
        let expected = message.rsplit_once(", expected ").map(|(_, expected)| expected);
        if message.starts_with("unknown field") {
            let key = path.last_key().unwrap_or_default().to_owned();
            let known = manual::siblings(path);
            return self.wrong(path, "there is no such key", Advice::HintOnly(meant(&key, &known)));
        }
        let found = self.document.get(path).map_or("value", |value| value.get_ref().type_str());
        let message = match expected {
            Some(expected) if message.starts_with("unknown variant") => {
                format!("this is not one of the choices: {}", expected.trim_start_matches("one of "))
            }
            Some(expected) if message.starts_with("invalid type") => {
                format!("{} is expected here, not {}", in_words(expected), with_article(found))
            }
            Some(expected) => format!("{} is expected here", in_words(expected)),
            None => format!("{} does not fit here", with_article(found)),
        };
        self.wrong(path, message, Advice::Example);
    }
}

/// The known key that was probably meant, else all of them.
pub(super) fn meant(key: &str, known: &[&str]) -> String {
    let similar = |candidate: &&&str| strsim::jaro_winkler(key, candidate) > 0.85;
    let by_similarity = |a: &&&str, b: &&&str| strsim::jaro_winkler(key, a).total_cmp(&strsim::jaro_winkler(key, b));
    match known.iter().filter(similar).max_by(by_similarity) {
        Some(similar) => format!("did you mean `{similar}`?"),
        None => what_may_stand(known),
    }
}

fn what_may_stand(known: &[&str]) -> String {
    match known {
        [] => "take it out".to_owned(),
        known => format!("what may stand here: `{}`", known.join("`, `")),
    }
}

/// What the deserializer calls types, in TOML's words.
fn in_words(expected: &str) -> &str {
    match expected {
        "a boolean" => "`true` or `false`",
        "i64" | "u64" | "i32" | "u32" | "u8" => "a whole number",
        "a sequence" => "an array",
        "a map" => "a table",
        "string or table" => "a string or a table",
        _ if expected.starts_with("struct ") => "a table",
        _ if expected.starts_with("tuple") || expected.starts_with("an array") => "an array",
        _ => expected,
    }
}

fn with_article(kind: &str) -> String {
    match kind.chars().next() {
        Some('a' | 'e' | 'i' | 'o' | 'u') => format!("an {kind}"),
        _ => format!("a {kind}"),
    }
}

/// The deepest entry of the table that has that span, as its key or as its value.
fn locate(table: &DeTable<'_>, span: &std::ops::Range<usize>) -> Option<Vec<Segment>> {
    table.iter().find_map(|(key, value)| {
        let rest = if key.span() == *span { Some(Vec::new()) } else { locate_in(value, span) }?;
        Some(std::iter::once(Segment::Key(key.get_ref().to_string())).chain(rest).collect())
    })
}

fn locate_in(value: &Spanned<DeValue<'_>>, span: &std::ops::Range<usize>) -> Option<Vec<Segment>> {
    let inside = match value.get_ref() {
        DeValue::Table(table) => locate(table, span),
        DeValue::Array(array) => array.iter().enumerate().find_map(|(index, element)| {
            let rest = locate_in(element, span)?;
            Some(std::iter::once(Segment::Index(index)).chain(rest).collect())
        }),
        _ => None,
    };
    inside.or_else(|| (value.span() == *span).then(Vec::new))
}

/// Takes out the last key of a path. An element of an array goes with the whole array, whose other elements would
/// otherwise change their places.
fn remove(table: &mut DeTable<'_>, place: &[Segment]) {
    let Some((Segment::Key(key), rest)) = place.split_first() else {
        return;
    };
    // The inner table that holds the rest of the path, through at most one array.
    let inner = match (table.get_mut(key.as_str()).map(Spanned::get_mut), rest) {
        (Some(DeValue::Table(inner)), [Segment::Key(_), ..]) => Some((inner, rest)),
        (Some(DeValue::Array(array)), [Segment::Index(index), rest @ ..]) if !rest.is_empty() => {
            match array.get_mut(*index).map(Spanned::get_mut) {
                Some(DeValue::Table(inner)) => Some((inner, rest)),
                _ => None,
            }
        }
        _ => None,
    };
    match inner {
        Some((inner, rest)) => remove(inner, rest),
        None => {
            table.remove(key.as_str());
        }
    }
}
