//! Edits of the configuration's files, such that comments, order and everything else stay as they are.
//!
//! An edit is made to the texts of the files in which the tables stand, any number of them. The whole configuration is
//! checked with the new texts, each is written aside, and only then do they take the files' places, each in one rename:
//! so a process that ends at any moment leaves of every file the old text or the new one, whole. Where several files
//! change, those that were touched first are replaced first; whoever makes such an edit sees to it that the configuration
//! is in order in between, too.
//!
//! What a person wrote is not thrown away: a comment goes only with the table that it stands in or directly above, and one
//! above a key stays when the key goes.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use toml_edit::{DocumentMut, InlineTable, Item, Key, Table, TableLike, Value};

use super::{Config, ConfigError, Problem, check, document, render_problems};
use crate::replace::{Next, ReplaceError};

mod splice;
#[cfg(test)]
mod tests;

/// Why the configuration's files are left as they are.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// The configuration cannot be read.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file is not TOML.
    #[error("`{}` is not TOML", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
    },
    /// No file has the table.
    #[error("no file of the configuration has a table `[{section}.{name}]`")]
    Missing {
        /// The section.
        section: &'static str,
        /// The table's name.
        name: String,
    },
    /// A table of that name is there already.
    #[error("`{}` has a table `[{section}.{name}]` already", path.display())]
    Taken {
        /// The file.
        path: PathBuf,
        /// The section.
        section: &'static str,
        /// The table's name.
        name: String,
    },
    /// The table is in several files, or inside a value.
    #[error("`[{section}.{name}]` stands in several files, or is written as a value")]
    Unusual {
        /// The section.
        section: &'static str,
        /// The table's name.
        name: String,
    },
    /// A new table cannot go into that file.
    #[error("`{}` is no file of the configuration: those are the main one, and `*.toml` in `{}`", path.display(), beside.display())]
    Elsewhere {
        /// The file.
        path: PathBuf,
        /// The directory of the other files.
        beside: PathBuf,
    },
    /// Somebody else wrote the file in between.
    #[error("`{}` has changed meanwhile", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The configuration would not be in order.
    #[error("the configuration would not be in order any more:\n{0}")]
    Refused(String),
    /// A file cannot be written.
    #[error(transparent)]
    Write(#[from] ReplaceError),
}

impl EditError {
    /// Whether the file may only be edited by somebody else.
    pub fn is_write(&self) -> bool {
        matches!(self, Self::Write { .. })
    }
}

/// The files of a configuration, as they are to be.
#[derive(Debug, Clone)]
pub struct Edit {
    config: PathBuf,
    files: Vec<EditedFile>,
    /// The files that something was looked up in to be changed, the first first.
    touched: Vec<usize>,
}

#[derive(Debug, Clone)]
struct EditedFile {
    path: PathBuf,
    /// What stands there; none of a file that is to be made.
    before: Option<String>,
    document: DocumentMut,
}

impl Edit {
    /// Reads the file and those of `conf.d` beside it.
    pub fn open(config: &Path) -> Result<Self, EditError> {
        let sources = document::Sources::read(config, &mut Vec::new())?;
        let parse = |(path, text): (&Path, &str)| {
            let document = text.parse().map_err(|_| EditError::Syntax { path: path.to_owned() })?;
            Ok(EditedFile { path: path.to_owned(), before: Some(text.to_owned()), document })
        };
        let files = sources.texts().map(parse).collect::<Result<_, EditError>>()?;
        Ok(Self { config: config.to_owned(), files, touched: Vec::new() })
    }

    /// The table `[section.name]`, in whichever file it stands.
    pub fn table(&mut self, section: &'static str, name: &str) -> Result<TableEdit<'_>, EditError> {
        let mut found = self.files.iter().enumerate().filter(|(_, file)| file.has(section, name)).map(|(at, _)| at);
        let at = match (found.next(), found.next()) {
            (None, _) => return Err(EditError::Missing { section, name: name.to_owned() }),
            (Some(_), Some(_)) => return Err(EditError::Unusual { section, name: name.to_owned() }),
            (Some(at), None) => at,
        };
        self.touch(at);
        match self.files.get_mut(at) {
            Some(file) => Ok(TableEdit { file, section, name: name.to_owned() }),
            None => Err(EditError::Missing { section, name: name.to_owned() }),
        }
    }

    /// A table, with where secrets are kept, as a configuration of its own.
    pub fn alone(&self, section: &'static str, name: &str) -> String {
        let mut alone = DocumentMut::new();
        for file in &self.files {
            for kept in ["vault", "secrets"] {
                if let Some(item) = file.document.get(kept) {
                    alone.insert(kept, item.clone());
                }
            }
            file.copy(section, name, &mut alone);
        }
        alone.to_string()
    }

    /// Puts a new table, given as a text with its headers, behind the last of its kind: into the main file, or into
    /// another, which is made where it is not there.
    pub fn insert(
        &mut self,
        into: Option<&Path>,
        section: &'static str,
        name: &str,
        text: &str,
    ) -> Result<PathBuf, EditError> {
        if let Some(file) = self.files.iter().find(|file| file.has(section, name)) {
            return Err(EditError::Taken { path: file.path.clone(), section, name: name.to_owned() });
        }
        let at = match into {
            None => 0,
            Some(path) => self.place_of(path)?,
        };
        self.touch(at);
        let unusual = || EditError::Unusual { section, name: name.to_owned() };
        let file = self.files.get_mut(at).ok_or_else(unusual)?;
        let text = splice::insert(&file.document.to_string(), section, text).ok_or_else(unusual)?;
        file.document = text.parse().map_err(|_| unusual())?;
        if file.has(section, name) { Ok(file.path.clone()) } else { Err(unusual()) }
    }

    /// Sets `key` to another name in every table of the section where it is this one.
    pub fn repoint(&mut self, section: &'static str, key: &str, (from, to): (&str, &str)) -> Result<(), EditError> {
        for name in self.names(section) {
            let of_it: Vec<usize> = (0..self.files.len())
                .filter(|at| self.files.get(*at).is_some_and(|file| file.text_of(section, &name, key) == Some(from)))
                .collect();
            for at in of_it {
                self.touch(at);
                if let Some(file) = self.files.get_mut(at) {
                    TableEdit { file, section, name: name.clone() }.set(key, to)?;
                }
            }
        }
        Ok(())
    }

    /// The names of all tables of a section.
    pub fn names(&self, section: &str) -> BTreeSet<String> {
        let tables = self.files.iter().filter_map(|file| file.document.get(section)?.as_table_like());
        tables.flat_map(|tables| tables.iter().map(|(name, _)| name.to_owned())).collect()
    }

    /// The configuration as it will be, if it has no problem then that it has not now.
    pub fn checked(&self) -> Result<Config, EditError> {
        let environment: check::Environment<'_> = &|name| std::env::var_os(name);
        let check = |files: &[EditedFile]| -> Result<(Config, Vec<Problem>), EditError> {
            let mut problems = Vec::new();
            let mut sources = document::Sources::read(&self.config, &mut problems)?;
            for file in files {
                sources.put(&file.path, &file.document.to_string());
            }
            let document = sources.parse(&mut problems);
            let (config, more) = check::check(&document, environment);
            problems.extend(more);
            Ok((config, problems))
        };
        let (_, before) = check(&[])?;
        let (config, mut after) = check(&self.files)?;
        let is_new = |problem: &Problem| {
            !before.iter().any(|known| (&known.path, &known.message) == (&problem.path, &problem.message))
        };
        after.retain(is_new);
        match after.is_empty() {
            true => Ok(config),
            false => Err(EditError::Refused(render_problems(&after).trim_end().to_owned())),
        }
    }

    /// Puts the files that have changed into their places, if the whole configuration has no problem with them that it
    /// had not before. Which those are.
    pub fn write(self) -> Result<Vec<PathBuf>, EditError> {
        self.checked()?;
        let main = self.files.first().map(|file| file.path.clone()).unwrap_or_default();
        let touched = self.touched.iter().filter_map(|at| self.files.get(*at));
        let mut next = Vec::new();
        for file in touched {
            let text = file.document.to_string();
            if file.before.as_deref() == Some(&text) {
                continue;
            }
            if file.now()? != file.before {
                return Err(EditError::Changed { path: file.path.clone() });
            }
            next.push(match &file.before {
                Some(_) => Next::beside(&file.path, text.as_bytes())?,
                None => Next::new_file(&file.path, text.as_bytes(), &main)?,
            });
        }
        next.into_iter().map(|next| Ok(next.take_place()?)).collect()
    }

    fn touch(&mut self, at: usize) {
        if !self.touched.contains(&at) {
            self.touched.push(at);
        }
    }

    /// The place of a file among those of the configuration; a new one if it would be read.
    fn place_of(&mut self, path: &Path) -> Result<usize, EditError> {
        let whole = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let config = whole(&self.config);
        let directory = config.parent().unwrap_or(Path::new("/"));
        let beside = directory.join("conf.d");
        let named = directory.join(path);
        let is_it = |file: &EditedFile| whole(&file.path) == named;
        if let Some(at) = self.files.iter().position(is_it) {
            return Ok(at);
        }
        let hidden = named.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        let read = named.parent() == Some(&beside) && named.extension().is_some_and(|extension| extension == "toml");
        if hidden || !read {
            return Err(EditError::Elsewhere { path: path.to_owned(), beside });
        }
        self.files.push(EditedFile { path: named, before: None, document: DocumentMut::new() });
        Ok(self.files.len() - 1)
    }
}

impl EditedFile {
    fn item(&self, section: &str, name: &str) -> Option<&Item> {
        self.document.get(section)?.as_table_like()?.get(name)
    }

    fn has(&self, section: &str, name: &str) -> bool {
        self.item(section, name).is_some()
    }

    /// Puts a table, if it stands here, into another document.
    fn copy(&self, section: &str, name: &str, into: &mut DocumentMut) {
        if let Some(item) = self.item(section, name) {
            let mut tables = Table::new();
            tables.set_implicit(true);
            tables.insert(name, item.clone());
            into.insert(section, Item::Table(tables));
        }
    }

    fn text_of(&self, section: &str, name: &str, key: &str) -> Option<&str> {
        self.item(section, name)?.as_table_like()?.get(key)?.as_str()
    }

    /// What stands there at this moment.
    fn now(&self) -> Result<Option<String>, EditError> {
        match fs::read_to_string(&self.path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            // What is not UTF-8 was not read, and is not written over.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                Err(EditError::Syntax { path: self.path.clone() })
            }
            Err(source) => Err(ConfigError::Read { path: self.path.clone(), source }.into()),
        }
    }
}

/// One table of the configuration, in the text of the file that has it. A path names a key in it: `region`, or
/// `access_key.session_token`.
#[derive(Debug)]
pub struct TableEdit<'a> {
    file: &'a mut EditedFile,
    section: &'static str,
    name: String,
}

impl TableEdit<'_> {
    /// The file in which it stands.
    pub fn file(&self) -> &Path {
        &self.file.path
    }

    /// The table alone, as it is written.
    pub fn text(&self) -> String {
        let mut alone = DocumentMut::new();
        self.file.copy(self.section, &self.name, &mut alone);
        alone.to_string()
    }

    /// Whether a key of it is set.
    pub fn contains(&self, key: &str) -> bool {
        let table = self.file.item(self.section, &self.name).and_then(Item::as_table_like);
        table.is_some_and(|table| table.contains_key(key))
    }

    /// The text of a key of it.
    pub fn text_of(&self, key: &str) -> Option<&str> {
        self.file.text_of(self.section, &self.name, key)
    }

    /// Gives the table another name. It stays where it is, and so does everything in it.
    pub fn rename(&mut self, to: &str) -> Result<(), EditError> {
        let unusual = self.unusual();
        let Some(tables) = self.file.document.get_mut(self.section).and_then(Item::as_table_mut) else {
            return Err(unusual);
        };
        if tables.contains_key(to) {
            return Err(EditError::Taken { path: self.file.path.clone(), section: self.section, name: to.to_owned() });
        }
        // Tables are in the order in which they were put in, so all are taken out and put in again.
        let names: Vec<String> = tables.iter().map(|(name, _)| name.to_owned()).collect();
        let entries: Vec<(Key, Item)> = names.iter().filter_map(|name| tables.remove_entry(name)).collect();
        for (key, item) in entries {
            let key = match key.get() == self.name {
                true => {
                    Key::new(to).with_leaf_decor(key.leaf_decor().clone()).with_dotted_decor(key.dotted_decor().clone())
                }
                false => key,
            };
            tables.insert_formatted(&key, item);
        }
        self.name = to.to_owned();
        Ok(())
    }

    /// Sets a key: in the place of its value, or behind the other keys of its table, which is made where it is missing.
    pub fn set(&mut self, path: &str, value: impl Into<Value>) -> Result<(), EditError> {
        let unusual = || EditError::Unusual { section: self.section, name: self.name.clone() };
        let keys = Key::parse(path).map_err(|_| unusual())?;
        let (last, tables) = keys.split_last().ok_or_else(unusual)?;
        let own = self.file.document.get_mut(self.section).and_then(Item::as_table_like_mut);
        let mut item = own.and_then(|tables| tables.get_mut(&self.name)).ok_or_else(unusual)?;
        for key in tables {
            let missing = match item.is_inline_table() {
                true => Item::Value(InlineTable::new().into()),
                false => {
                    let mut missing = Table::new();
                    missing.set_dotted(true);
                    Item::Table(missing)
                }
            };
            let table = item.as_table_like_mut().ok_or_else(unusual)?;
            if !table.contains_key(key.get()) {
                put(table, key.get(), missing);
            }
            item = table.get_mut(key.get()).ok_or_else(unusual)?;
        }
        let table = item.as_table_like_mut().ok_or_else(unusual)?;
        let mut value: Value = value.into();
        match table.get_mut(last.get()) {
            Some(Item::Value(standing)) => {
                *value.decor_mut() = standing.decor().clone();
                *standing = value;
            }
            Some(Item::Table(_) | Item::ArrayOfTables(_)) => return Err(unusual()),
            Some(Item::None) | None => put(table, last.get(), Item::Value(value)),
        }
        Ok(())
    }

    /// Takes a key out; whether it was there. What is a table goes with all that is in it.
    pub fn unset(&mut self, path: &str) -> Result<bool, EditError> {
        let unusual = || EditError::Unusual { section: self.section, name: self.name.clone() };
        let keys = Key::parse(path).map_err(|_| unusual())?;
        let keys: Vec<&str> = keys.iter().map(Key::get).collect();
        let (last, tables) = keys.split_last().ok_or_else(unusual)?;
        let mut table = self.file.item(self.section, &self.name).and_then(Item::as_table_like).ok_or_else(unusual)?;
        for key in tables {
            match table.get(key).map(Item::as_table_like) {
                Some(Some(inner)) => table = inner,
                Some(None) => return Err(unusual()),
                None => return Ok(false),
            }
        }
        if !table.contains_key(last) {
            return Ok(false);
        }
        let whole: Vec<&str> = [self.section, &self.name].into_iter().chain(keys.iter().copied()).collect();
        let text = self.file.document.to_string();
        if let Some(text) = splice::remove_lines(&text, &whole).or_else(|| splice::remove_tables(&text, &whole)) {
            self.file.document = text.parse().map_err(|_| unusual())?;
            return Ok(true);
        }
        let mut item = self.file.document.as_item_mut();
        for key in &whole[..whole.len() - 1] {
            item = item.get_mut(*key).ok_or_else(unusual)?;
        }
        let inline = item.as_inline_table_mut().ok_or_else(unusual)?;
        let end = inline.iter().last().and_then(|(_, value)| value.decor().suffix().cloned());
        inline.remove(last);
        if let (Some((_, value)), Some(end)) = (inline.iter_mut().last(), end) {
            value.decor_mut().set_suffix(end);
        }
        Ok(true)
    }

    /// Takes the table out, with the comments that stand in it and directly above it.
    pub fn delete(self) -> Result<(), EditError> {
        let text = splice::remove_tables(&self.file.document.to_string(), &[self.section, &self.name]);
        self.file.document = text.and_then(|text| text.parse().ok()).ok_or_else(|| self.unusual())?;
        match self.file.has(self.section, &self.name) {
            true => Err(self.unusual()),
            false => Ok(()),
        }
    }

    fn unusual(&self) -> EditError {
        EditError::Unusual { section: self.section, name: self.name.clone() }
    }
}

/// Puts a key behind the others. In a table on one line, the blank before the brace stays before the brace.
fn put(table: &mut dyn TableLike, key: &str, mut item: Item) {
    let last = match item.is_value() {
        true => table.iter_mut().last().and_then(|(_, item)| item.as_value_mut().map(Value::decor_mut)),
        false => None,
    };
    let end = last.and_then(|decor| {
        let end =
            decor.suffix().and_then(|suffix| suffix.as_str()).filter(|suffix| suffix.trim_matches(' ').is_empty());
        let end = end.filter(|end| !end.is_empty())?.to_owned();
        decor.set_suffix("");
        Some(end)
    });
    if let (Some(end), Item::Value(value)) = (end, &mut item) {
        *value.decor_mut() = toml_edit::Decor::new(" ", end);
    }
    table.insert(key, item);
}
