//! Edits of the configuration's files, such that comments, order and everything else stay as they are.
//!
//! An edit is made to the text of the one file in which a table stands. It is written aside, the whole configuration is
//! checked with it, and only then does it take the file's place, in one rename: so a process that ends at any moment
//! leaves the old file or the new one, whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use toml_edit::{DocumentMut, Item, Key, Table, Value};

use super::{ConfigError, Problem, check, document, render_problems};

/// Why a file of the configuration is left as it is.
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
    /// The configuration would not be in order.
    #[error("the configuration would not be in order any more:\n{0}")]
    Refused(String),
    /// The file cannot be written.
    #[error("cannot {what} `{}`", path.display())]
    Write {
        /// The step.
        what: &'static str,
        /// The file or its directory.
        path: PathBuf,
        /// The system's own words.
        #[source]
        source: io::Error,
    },
}

impl EditError {
    /// Whether the file may only be edited by somebody else.
    pub fn is_write(&self) -> bool {
        matches!(self, Self::Write { .. })
    }
}

/// One table of the configuration, in the text of the file that has it.
#[derive(Debug)]
pub struct TableEdit {
    config: PathBuf,
    file: PathBuf,
    section: &'static str,
    name: String,
    document: DocumentMut,
}

impl TableEdit {
    /// Looks for `[section.name]` in the file and in `conf.d` beside it.
    pub fn find(config: &Path, section: &'static str, name: &str) -> Result<Self, EditError> {
        let sources = document::Sources::read(config, &mut Vec::new())?;
        let mut found = None;
        for (file, text) in sources.texts() {
            let document: DocumentMut = text.parse().map_err(|_| EditError::Syntax { path: file.to_owned() })?;
            let item = document.get(section).and_then(|tables| tables.as_table_like()?.get(name));
            match item {
                None => {}
                Some(_) if found.is_some() => return Err(EditError::Unusual { section, name: name.to_owned() }),
                Some(_) => found = Some((file.to_owned(), document)),
            }
        }
        let (file, document) = found.ok_or_else(|| EditError::Missing { section, name: name.to_owned() })?;
        Ok(Self { config: config.to_owned(), file, section, name: name.to_owned(), document })
    }

    /// Gives the table another name. It stays where it is, and so does everything in it.
    pub fn rename(&mut self, to: &str) -> Result<(), EditError> {
        let unusual = || EditError::Unusual { section: self.section, name: self.name.clone() };
        let tables = self.document.get_mut(self.section).and_then(Item::as_table_mut).ok_or_else(unusual)?;
        if tables.contains_key(to) {
            return Err(EditError::Taken { path: self.file.clone(), section: self.section, name: to.to_owned() });
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

    /// Sets a key of the table: in the place of its value, or behind the table's other keys.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) -> Result<(), EditError> {
        let unusual = || EditError::Unusual { section: self.section, name: self.name.clone() };
        let tables = self.document.get_mut(self.section).and_then(Item::as_table_mut);
        let table = tables.and_then(|tables: &mut Table| tables.get_mut(&self.name)?.as_table_like_mut());
        let table = table.ok_or_else(unusual)?;
        let mut value: Value = value.into();
        match table.get_mut(key).and_then(Item::as_value_mut) {
            Some(standing) => {
                *value.decor_mut() = standing.decor().clone();
                *standing = value;
            }
            None => drop(table.insert(key, Item::Value(value))),
        }
        Ok(())
    }

    /// Puts the file into its place, if the whole configuration has no problem with it that it had not before. The file.
    pub fn write(self) -> Result<PathBuf, EditError> {
        let text = self.document.to_string();
        self.check(&text)?;
        // A link stays one, and what it leads to is changed.
        let file = fs::canonicalize(&self.file).map_err(failed("find", &self.file))?;
        let standing = OpenOptions::new().append(true).open(&file).map_err(failed("write", &file))?;
        let metadata = standing.metadata().map_err(failed("read", &file))?;
        let directory = file.parent().unwrap_or(Path::new("/"));
        // Hidden, so that nobody takes it for a part of the configuration.
        let aside = tempfile::Builder::new().prefix(".gristmill-").tempfile_in(directory);
        let mut aside = aside.map_err(failed("write into", directory))?;
        let written = aside.write_all(text.as_bytes()).and_then(|()| {
            let mode = PermissionsExt::from_mode(metadata.mode() & 0o7777);
            fchown(aside.as_file(), Some(metadata.uid()), Some(metadata.gid()))?;
            aside.as_file().set_permissions(mode)?;
            aside.as_file().sync_all()
        });
        written.map_err(failed("write beside", &file))?;
        aside.persist(&file).map_err(|error| failed("replace", &file)(error.error))?;
        File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed("flush", directory))?;
        Ok(file)
    }

    fn check(&self, text: &str) -> Result<(), EditError> {
        let environment: check::Environment<'_> = &|name| std::env::var_os(name);
        let problems = |instead: Option<(&Path, &str)>| -> Result<Vec<Problem>, EditError> {
            let mut problems = Vec::new();
            let mut sources = document::Sources::read(&self.config, &mut problems)?;
            if let Some((file, text)) = instead {
                sources.replace(file, text);
            }
            let document = sources.parse(&mut problems);
            problems.extend(check::check(&document, environment).1);
            Ok(problems)
        };
        let before = problems(None)?;
        let mut after = problems(Some((&self.file, text)))?;
        let is_new = |problem: &Problem| {
            !before.iter().any(|known| (&known.path, &known.message) == (&problem.path, &problem.message))
        };
        after.retain(is_new);
        match after.is_empty() {
            true => Ok(()),
            false => Err(EditError::Refused(render_problems(&after).trim_end().to_owned())),
        }
    }
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> EditError {
    let path = path.to_owned();
    move |source| EditError::Write { what, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIN: &str = "# The first line.\n[connections.c]\nregion = \"eu-central-1\" # here\ndefault_chain = {}\n";
    const INTEGRATION: &str = "
# What comes first.
[integrations.first]   # and its remark
connection = \"c\"
bucket     = \"b\"   # aligned
identifiers = [
  { column = \"Id\", match = \"crm_id\" },   # of several lines
]

# A remark between.

[[integrations.first.fields]]
column = \"A\"
field = \"a\"
type = \"text\"

# What comes second.
[integrations.second]
enabled = false
connection = \"c\"
bucket = \"b\"
[integrations.first.csv]
delimiter = ';'
# The last line.
";

    fn configured(parts: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("conf.d")).unwrap();
        for (name, text) in parts {
            fs::write(directory.path().join(name), text).unwrap();
        }
        let main = directory.path().join("gristmill.toml");
        (directory, main)
    }

    fn rename(config: &Path, from: &str, to: &str) -> Result<PathBuf, EditError> {
        let mut edit = TableEdit::find(config, "integrations", from)?;
        edit.rename(to)?;
        edit.set("renamed_from", from)?;
        edit.write()
    }

    #[test]
    fn a_table_gets_another_name_and_all_else_stays_as_it_was() {
        let expected = INTEGRATION
            .replace("integrations.first", "integrations.other")
            .replace("of several lines\n]\n", "of several lines\n]\nrenamed_from = \"first\"\n");
        for file in ["gristmill.toml", "conf.d/acme.toml"] {
            let (main, more) = if file == "gristmill.toml" {
                (MAIN.to_owned() + INTEGRATION, "")
            } else {
                (MAIN.to_owned(), INTEGRATION)
            };
            let (directory, config) = configured(&[("gristmill.toml", &main), ("conf.d/acme.toml", more)]);
            let path = directory.path().join(file);
            fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
            rename(&config, "first", "other").unwrap();
            let found = fs::read_to_string(&path).unwrap();
            assert_eq!(found.strip_prefix(MAIN).unwrap_or(&found), expected);
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
            // And once more: there is one former name, the last.
            rename(&config, "other", "third").unwrap();
            let found = fs::read_to_string(&path).unwrap();
            assert!(found.contains("renamed_from = \"other\"\n") && !found.contains("\"first\""), "{found}");
            let left = directory.path().read_dir().unwrap().count()
                + directory.path().join("conf.d").read_dir().unwrap().count();
            assert_eq!(left, 3, "nothing is left beside the files");
        }
    }

    #[test]
    fn a_former_name_that_stands_there_is_replaced_with_its_remark_kept() {
        let standing = INTEGRATION.replace("bucket     =", "renamed_from = \"zero\" # for the backup\nbucket     =");
        let (directory, config) = configured(&[("gristmill.toml", &(MAIN.to_owned() + &standing))]);
        rename(&config, "first", "other").unwrap();
        let found = fs::read_to_string(directory.path().join("gristmill.toml")).unwrap();
        assert!(found.contains("renamed_from = \"first\" # for the backup\n"), "{found}");
    }

    #[test]
    fn what_would_not_be_in_order_leaves_the_file_as_it_is() {
        let text = MAIN.to_owned() + INTEGRATION;
        let (directory, config) = configured(&[("gristmill.toml", &text)]);
        let refused = |from: &str, to: &str| rename(&config, from, to).unwrap_err().to_string();
        assert!(refused("first", "no name").contains("not allowed"));
        assert!(refused("first", "second").ends_with("has a table `[integrations.second]` already"));
        assert!(refused("zero", "other").starts_with("no file of the configuration has a table"));
        let mut edit = TableEdit::find(&config, "integrations", "first").unwrap();
        edit.set("bucket", "a/b").unwrap();
        assert!(matches!(edit.write(), Err(EditError::Refused(_))));
        assert_eq!(fs::read_to_string(directory.path().join("gristmill.toml")).unwrap(), text);
        fs::write(directory.path().join("conf.d/more.toml"), "[integrations.first]\nmax_rejects = 1\n").unwrap();
        assert!(refused("first", "other").ends_with("stands in several files, or is written as a value"));
    }
}
