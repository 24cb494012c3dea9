//! The files of a configuration as one tree that still knows where each key was written.
//!
//! The texts share one space of byte offsets: each file begins where the one before it ended. So a span alone says which
//! file, line and column it stands for, and tables of several files merge without losing their places.

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::ConfigError;
use super::path::{Segment, TomlPath};
use super::problem::{Position, Problem, Scope};

/// The texts of a configuration, in the order in which they are merged.
pub(super) struct Sources(Vec<SourceFile>);

struct SourceFile {
    path: PathBuf,
    text: String,
    /// Where this text begins in the common space of offsets.
    start: usize,
}

impl Sources {
    /// Reads the file and the `*.toml` files of `conf.d` beside it, those sorted by name. What is not UTF-8 is a problem
    /// of its file, which is then taken as empty.
    pub(super) fn read(path: &Path, problems: &mut Vec<Problem>) -> Result<Self, ConfigError> {
        let mut sources = Self(Vec::new());
        sources.add(path.to_owned(), problems)?;
        let directory = path.parent().unwrap_or(Path::new("")).join("conf.d");
        let mut more = Vec::new();
        match directory.read_dir() {
            Ok(entries) => {
                for entry in entries {
                    let entry = entry.map_err(|source| ConfigError::Read { path: directory.clone(), source })?;
                    let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
                    if !hidden && entry.path().extension().is_some_and(|extension| extension == "toml") {
                        more.push(entry.path());
                    }
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => {
                return Err(ConfigError::Read { path: directory, source });
            }
        }
        more.sort();
        for path in more {
            sources.add(path, problems)?;
        }
        Ok(sources)
    }

    /// The files and their texts.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&Path, &str)> {
        self.0.iter().map(|file| (file.path.as_path(), file.text.as_str()))
    }

    /// Has another text stand in one of the files, or in one more.
    pub(super) fn put(&mut self, path: &Path, text: &str) {
        match self.0.iter_mut().find(|file| file.path == path) {
            Some(file) => text.clone_into(&mut file.text),
            None => self.0.push(SourceFile { path: path.to_owned(), text: text.to_owned(), start: 0 }),
        }
        let mut start = 0;
        for file in &mut self.0 {
            file.start = start;
            start += file.text.len() + 1;
        }
    }

    fn add(&mut self, path: PathBuf, problems: &mut Vec<Problem>) -> Result<(), ConfigError> {
        let bytes = std::fs::read(&path).map_err(|source| ConfigError::Read { path: path.clone(), source })?;
        let start = self.0.last().map_or(0, |file| file.start + file.text.len() + 1);
        let text = String::from_utf8(bytes).unwrap_or_else(|error| {
            let valid = error.utf8_error().valid_up_to();
            let before = String::from_utf8_lossy(error.as_bytes().get(..valid).unwrap_or_default()).into_owned();
            problems.push(Problem {
                scope: Scope::Syntax,
                file: path.clone(),
                position: Some(position(&before, valid)),
                path: String::new(),
                message: "the file is not UTF-8 from here on".into(),
                hint: Some("save it as UTF-8".into()),
                example: None,
            });
            String::new()
        });
        self.0.push(SourceFile { path, text, start });
        Ok(())
    }

    /// The files, in the order in which they are merged.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().map(|file| file.path.as_path())
    }

    /// Parses and merges. Each syntax error, and each key that stands in two files, is a problem.
    pub(super) fn parse(&self, problems: &mut Vec<Problem>) -> Document<'_> {
        let mut document = Document { sources: self, root: DeTable::new(), broken: Vec::new(), ambiguous: Vec::new() };
        for file in &self.0 {
            let (table, mut errors) = DeTable::parse_recoverable(&file.text);
            errors.sort_by_key(|error| error.span().map(|span| span.start));
            for error in errors {
                let position = error.span().map(|span| position(&file.text, span.start));
                // Only the first error of a line: the others are its echoes.
                let line = (file.path.as_path(), position.map(|position| position.line));
                if document.broken.contains(&line) {
                    continue;
                }
                document.broken.push(line);
                // The message alone: the library's full text shows the line, and the line may hold a secret.
                problems.push(Problem {
                    scope: Scope::Syntax,
                    file: file.path.clone(),
                    position,
                    path: String::new(),
                    message: error.message().to_owned(),
                    hint: None,
                    example: None,
                });
            }
            let table = shifted_table(table.into_inner(), file.start);
            let mut root = std::mem::take(&mut document.root);
            document.merge(&mut root, table, &TomlPath::default(), problems);
            document.root = root;
        }
        document
    }
}

/// The merged tree.
pub(super) struct Document<'t> {
    sources: &'t Sources,
    root: DeTable<'t>,
    /// Files and lines with syntax errors.
    broken: Vec<(&'t Path, Option<usize>)>,
    /// Keys that stand in two files.
    ambiguous: Vec<TomlPath>,
}

impl<'t> Document<'t> {
    /// Whether parts are unknown because of syntax errors, so that nothing can be called missing.
    pub(super) fn is_incomplete(&self) -> bool {
        !self.broken.is_empty()
    }

    /// Whether that line has a syntax error, so that what was made of it means nothing.
    pub(super) fn is_broken(&self, file: &Path, position: Option<Position>) -> bool {
        position.is_some_and(|position| self.broken.contains(&(file, Some(position.line))))
    }

    /// Whether the file in which that path stands has a syntax error further up.
    pub(super) fn is_broken_before(&self, path: &TomlPath) -> bool {
        let (file, position) = self.place(path);
        let line = position.map(|position| position.line);
        self.broken.iter().any(|(broken, broken_line)| *broken == file && *broken_line <= line)
    }

    /// Whether a key in the table at that path stands in two files.
    pub(super) fn is_ambiguous(&self, table: &TomlPath) -> bool {
        self.ambiguous.iter().any(|there| there.is_within(table))
    }

    /// The keys at the root.
    pub(super) fn root_keys(&self) -> impl Iterator<Item = &str> {
        self.root.keys().map(|key| key.get_ref().as_ref())
    }

    /// The value at a path.
    pub(super) fn get(&self, path: &TomlPath) -> Option<&Spanned<DeValue<'t>>> {
        let (last, table) = path.segments().split_last()?;
        let table = self.deepest(table)?;
        match (last, table) {
            (Segment::Key(key), Found::Table(table)) => table.get(key.as_str()),
            (Segment::Index(index), Found::Array(array)) => array.get(*index),
            (Segment::Key(_), Found::Array(_)) | (Segment::Index(_), Found::Table(_)) => None,
        }
    }

    /// The file and position of the key at a path, or of the nearest table round it that was written.
    pub(super) fn place(&self, path: &TomlPath) -> (PathBuf, Option<Position>) {
        let segments = path.segments();
        for length in (1..=segments.len()).rev() {
            let Some((last, before)) = segments.get(..length).and_then(<[Segment]>::split_last) else {
                continue;
            };
            let span = match (last, self.deepest(before)) {
                (Segment::Key(key), Some(Found::Table(table))) => {
                    table.get_key_value(key.as_str()).map(|(key, _)| key.span())
                }
                (Segment::Index(index), Some(Found::Array(array))) => array.get(*index).map(Spanned::span),
                _ => None,
            };
            if let Some(span) = span {
                return self.place_of(span);
            }
        }
        (self.sources.0.first().map(|file| file.path.clone()).unwrap_or_default(), None)
    }

    fn deepest(&self, segments: &[Segment]) -> Option<Found<'_, 't>> {
        let mut found = Found::Table(&self.root);
        for segment in segments {
            let value = match (segment, found) {
                (Segment::Key(key), Found::Table(table)) => table.get(key.as_str())?,
                (Segment::Index(index), Found::Array(array)) => array.get(*index)?,
                (Segment::Key(_), Found::Array(_)) | (Segment::Index(_), Found::Table(_)) => return None,
            };
            found = match value.get_ref() {
                DeValue::Table(table) => Found::Table(table),
                DeValue::Array(array) => Found::Array(array),
                _ => return None,
            };
        }
        Some(found)
    }

    fn place_of(&self, span: Range<usize>) -> (PathBuf, Option<Position>) {
        match self.sources.0.iter().rev().find(|file| file.start <= span.start) {
            Some(file) => (file.path.clone(), Some(position(&file.text, span.start - file.start))),
            None => (PathBuf::new(), None),
        }
    }

    fn merge(&mut self, into: &mut DeTable<'t>, from: DeTable<'t>, path: &TomlPath, problems: &mut Vec<Problem>) {
        for (key, value) in from {
            let path = path.key(key.get_ref().as_ref());
            let Some((first, there)) = into.get_key_value(key.get_ref().as_ref()) else {
                into.insert(key, value);
                continue;
            };
            let first = first.span();
            if there.get_ref().is_table() && value.get_ref().is_table() {
                if let (Some(DeValue::Table(there)), DeValue::Table(more)) =
                    (into.get_mut(key.get_ref().as_ref()).map(Spanned::get_mut), value.into_inner())
                {
                    self.merge(there, more, &path, problems);
                }
                continue;
            }
            let (other, other_position) = self.place_of(first);
            let (file, position) = self.place_of(key.span());
            let line = other_position.map_or(0, |position| position.line);
            self.ambiguous.push(path.clone());
            problems.push(Problem {
                scope: Scope::of(&path),
                file,
                position,
                path: path.to_string(),
                message: format!("it is set already in `{}`, line {line}", other.display()),
                hint: Some("keep one of the two".into()),
                example: None,
            });
        }
    }
}

enum Found<'d, 't> {
    Table(&'d DeTable<'t>),
    Array(&'d DeArray<'t>),
}

fn shifted_table(table: DeTable<'_>, by: usize) -> DeTable<'_> {
    table
        .into_iter()
        .map(|(key, value)| {
            let span = key.span();
            (Spanned::new(span.start + by..span.end + by, key.into_inner()), shifted(value, by))
        })
        .collect()
}

fn shifted(value: Spanned<DeValue<'_>>, by: usize) -> Spanned<DeValue<'_>> {
    let span = value.span();
    let value = match value.into_inner() {
        DeValue::Table(table) => DeValue::Table(shifted_table(table, by)),
        DeValue::Array(mut array) => {
            for element in array.iter_mut() {
                let inner = std::mem::replace(element, Spanned::new(0..0, DeValue::Boolean(false)));
                *element = shifted(inner, by);
            }
            DeValue::Array(array)
        }
        scalar => scalar,
    };
    Spanned::new(span.start + by..span.end + by, value)
}

/// The line and column, in characters, of a byte offset.
fn position(text: &str, offset: usize) -> Position {
    let before = text.get(..offset.min(text.len())).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Position {
        line: before.matches('\n').count() + 1,
        column: before.get(line_start..).unwrap_or_default().chars().count() + 1,
    }
}
