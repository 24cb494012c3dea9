//! A mapper's project: how it is begun, and how it is known again.

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::language::{CONTRACT, Files, Language, Makes};

/// The name of a mapper's project: lower-case letters, digits and `-`, beginning with a letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectName(String);

/// The text is no name of a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a project's name is of lower-case letters, digits and single `-`, begins with a letter, and has at most 64 of them"
)]
pub struct ProjectNameError;

impl FromStr for ProjectName {
    type Err = ProjectNameError;
    fn from_str(text: &str) -> Result<Self, ProjectNameError> {
        let is_part =
            |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let begins = text.as_bytes().first().is_some_and(u8::is_ascii_lowercase);
        let is_name = begins && text.len() <= 64 && text.split('-').all(is_part);
        is_name.then(|| Self(text.to_owned())).ok_or(ProjectNameError)
    }
}

impl ProjectName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a project could not be begun or is not known again.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// There is something at its place already.
    #[error("`{}` is there already", path.display())]
    Exists {
        /// The place.
        path: PathBuf,
    },
    /// The file system refused.
    #[error("cannot {what} `{}`", path.display())]
    Io {
        /// The step.
        what: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's own words.
        #[source]
        source: io::Error,
    },
    /// There is no project.
    #[error("there is no mapper's project in `{}`", path.display())]
    NoProject {
        /// The directory.
        path: PathBuf,
    },
    /// Its manifest does not say what it is called.
    #[error("`{}` does not say what the mapper is called", path.display())]
    NoName {
        /// The manifest.
        path: PathBuf,
    },
}

impl ProjectError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoProject { .. } => {
                let manifests: Vec<&str> = Language::ALL.iter().map(|language| language.parts().manifest).collect();
                Some(format!(
                    "a project has {} in its folder; `gristmill mapper new` begins one",
                    manifests.join(", or ")
                ))
            }
            Self::NoName { .. } => Some("a name is of letters, digits, `-` and `_`".to_owned()),
            Self::Exists { .. } | Self::Io { .. } => None,
        }
    }
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ProjectError {
    let path = path.to_owned();
    move |source| ProjectError::Io { what, path, source }
}

/// Writes a new project into a directory that is not there yet, and says which files it has.
pub fn begin(
    directory: &Path,
    language: Language,
    name: &ProjectName,
    makes: Makes,
) -> Result<Vec<PathBuf>, ProjectError> {
    if directory.symlink_metadata().is_ok() {
        return Err(ProjectError::Exists { path: directory.to_owned() });
    }
    let parts = language.parts();
    let mut written = Vec::new();
    let mut write = |folder: &str, files: Files, fill: &dyn Fn(&str) -> String| {
        for (path, text) in files {
            let path = directory.join(folder).join(path);
            let parent = path.parent().unwrap_or(directory);
            fs::create_dir_all(parent).map_err(failed("make", parent))?;
            let file = fs::File::create_new(&path);
            file.and_then(|mut file| file.write_all(fill(text).as_bytes())).map_err(failed("write", &path))?;
            written.push(path);
        }
        Ok(())
    };
    let filled = |text: &str| {
        text.replace("{{name}}", name.as_str())
            .replace("{{name_snake}}", &name.as_str().replace('-', "_"))
            .replace("{{world}}", makes.world())
    };
    write("", parts.common, &filled)?;
    write("", parts.of(makes), &filled)?;
    write("sdk", parts.sdk, &str::to_owned)?;
    write("wit", &[("mapper.wit", CONTRACT)], &str::to_owned)?;
    Ok(written)
}

/// A project that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// Its folder.
    pub directory: PathBuf,
    /// Its language.
    pub language: Language,
    /// What it is called.
    pub name: String,
}

impl Project {
    /// Knows a project by its manifest.
    pub fn open(directory: &Path) -> Result<Self, ProjectError> {
        let is_there = |language: &Language| directory.join(language.parts().manifest).is_file();
        let language = Language::ALL.into_iter().find(is_there);
        let language = language.ok_or_else(|| ProjectError::NoProject { path: directory.to_owned() })?;
        let manifest = directory.join(language.parts().manifest);
        let name = match language {
            Language::Rust | Language::Python => {
                let table = if language == Language::Rust { "package" } else { "project" };
                Self::manifest(&manifest)?.get(table).and_then(|table| table.get("name")?.as_str().map(str::to_owned))
            }
            Language::JavaScript => {
                let text = fs::read_to_string(&manifest).map_err(failed("read", &manifest))?;
                let value: Option<serde_json::Value> = serde_json::from_str(&text).ok();
                value.and_then(|value| value.get("name")?.as_str().map(str::to_owned))
            }
            // C has no manifest of its own kind: the project is called as its folder is.
            Language::C => {
                let whole = directory.canonicalize().map_err(failed("find", directory))?;
                whole.file_name().and_then(|name| name.to_str()).map(str::to_owned)
            }
        };
        // It becomes the name of a file.
        let is_name =
            |name: &String| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        let name = name.filter(is_name).ok_or(ProjectError::NoName { path: manifest })?;
        Ok(Self { directory: directory.to_owned(), language, name })
    }

    fn manifest(path: &Path) -> Result<toml::Table, ProjectError> {
        let text = fs::read_to_string(path).map_err(failed("read", path))?;
        Ok(text.parse().unwrap_or_default())
    }

    /// What `pyproject.toml` says under `[tool.gristmill]` of the world.
    pub(super) fn python_world(&self) -> Option<String> {
        let manifest = Self::manifest(&self.directory.join(Language::Python.parts().manifest)).ok()?;
        manifest.get("tool")?.get("gristmill")?.get("world")?.as_str().map(str::to_owned)
    }

    /// Where its component lies once it is built.
    pub fn component(&self) -> PathBuf {
        self.directory.join(format!("{}.wasm", self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_words_of_lower_case_letters() {
        let check = |text: &str, is_name| assert_eq!(text.parse::<ProjectName>().is_ok(), is_name, "{text}");
        for name in ["plans", "a1", "acme-usage-2"] {
            check(name, true);
        }
        for name in ["", "Plans", "1a", "-a", "a-", "a--b", "a_b", "a/b", "ä", &"a".repeat(65)] {
            check(name, false);
        }
    }

    #[test]
    fn a_project_is_known_again_in_every_language() {
        let directory = tempfile::tempdir().unwrap();
        let name: ProjectName = "acme-plans".parse().unwrap();
        for language in Language::ALL {
            for makes in [Makes::Fields, Makes::Usage, Makes::Both] {
                let place = directory.path().join(format!("{language}-{}", makes.world())).join("acme-plans");
                let written = begin(&place, language, &name, makes).unwrap();
                assert!(written.iter().any(|path| path.ends_with("wit/mapper.wit")));
                for path in &written {
                    let text = fs::read_to_string(path).unwrap();
                    let is_left = ["{{name", "{{world"].iter().any(|placeholder| text.contains(placeholder));
                    assert!(!is_left, "{}: {text}", path.display());
                }
                let project = Project::open(&place).unwrap();
                assert_eq!((project.language, project.name.as_str()), (language, "acme-plans"));
                assert_eq!(project.component(), place.join("acme-plans.wasm"));
                if language == Language::Python {
                    assert_eq!(project.python_world().as_deref(), Some(makes.world()));
                }
                assert!(matches!(begin(&place, language, &name, makes), Err(ProjectError::Exists { .. })));
            }
        }
        assert!(matches!(Project::open(directory.path()), Err(ProjectError::NoProject { .. })));
    }
}
