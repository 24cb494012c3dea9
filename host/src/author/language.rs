//! The languages that a mapper can be begun in: what a project of each consists of. All of it is part of this program.
//!
//! `plugins/templates/README.md` says how templates are laid out.

use std::fmt;

/// A language that a mapper can be written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Language {
    /// Rust.
    Rust,
    /// JavaScript.
    #[value(name = "js")]
    JavaScript,
    /// Python.
    Python,
    /// C.
    C,
}

/// What a mapper makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Makes {
    /// Account records.
    Fields,
    /// Usage records.
    Usage,
    /// Both.
    Both,
}

/// Paths in a project, and what stands there.
pub(super) type Files = &'static [(&'static str, &'static str)];

/// A language's part of a project.
pub(super) struct Parts {
    /// The file by which a project's language is known.
    pub manifest: &'static str,
    /// What every project has.
    pub common: Files,
    fields: Files,
    usage: Files,
    both: Files,
    /// The library that mappers are written with, below `sdk/`.
    pub sdk: Files,
}

/// The contract, as `wit/mapper.wit` of every project.
pub(super) const CONTRACT: &str = include_str!("../../../wit/0.1.0/mapper.wit");

macro_rules! files {
    ($folder:literal: $($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../../plugins/", $folder, "/", $path)))),*]
    };
}

static RUST: Parts = Parts {
    manifest: "Cargo.toml",
    common: files!("templates/rust": ".gitignore", "README.md", "sample.csv"),
    fields: files!("templates/rust/fields": "Cargo.toml", "golden.jsonl", "src/lib.rs"),
    usage: files!("templates/rust/usage": "Cargo.toml", "golden.jsonl", "src/lib.rs"),
    both: files!("templates/rust/both": "Cargo.toml", "golden.jsonl", "src/lib.rs"),
    sdk: files!("sdk/rust":
        "Cargo.toml", "README.md", "src/account.rs", "src/cell.rs", "src/columns.rs", "src/component.rs", "src/date.rs",
        "src/issue.rs", "src/lib.rs", "src/log.rs", "src/number.rs", "src/row.rs", "src/table.rs", "src/testing.rs",
        "src/usage.rs",
    ),
};

static JAVASCRIPT: Parts = Parts {
    manifest: "package.json",
    common: files!("templates/js": ".gitignore", "README.md", "package.json", "sample.csv"),
    fields: files!("templates/js/fields": "golden.jsonl", "mapper.js"),
    usage: files!("templates/js/usage": "golden.jsonl", "mapper.js"),
    both: files!("templates/js/both": "golden.jsonl", "mapper.js"),
    sdk: files!("sdk/js":
        "README.md", "accounts.js", "cell.js", "columns.js", "component.js", "day.js", "fault.js", "gristmill.js",
        "log.js", "package.json", "row.js", "table.js", "testing.js", "usage.js", "values.js",
    ),
};

static PYTHON: Parts = Parts {
    manifest: "pyproject.toml",
    common: files!("templates/python": ".gitignore", "README.md", "pyproject.toml", "sample.csv"),
    fields: files!("templates/python/fields": "golden.jsonl", "mapper.py"),
    usage: files!("templates/python/usage": "golden.jsonl", "mapper.py"),
    both: files!("templates/python/both": "golden.jsonl", "mapper.py"),
    sdk: files!("sdk/python":
        "README.md", "gristmill/__init__.py", "gristmill/accounts.py", "gristmill/cell.py", "gristmill/columns.py",
        "gristmill/days.py", "gristmill/errors.py", "gristmill/log.py", "gristmill/row.py", "gristmill/settings.py",
        "gristmill/table.py", "gristmill/testing.py", "gristmill/usage.py", "gristmill/values.py",
        "gristmill_component.py",
    ),
};

static C: Parts = Parts {
    manifest: "mapper.c",
    common: files!("templates/c": ".gitignore", "README.md", "sample.csv"),
    fields: files!("templates/c/fields": "golden.jsonl", "mapper.c"),
    usage: files!("templates/c/usage": "golden.jsonl", "mapper.c"),
    both: files!("templates/c/both": "golden.jsonl", "mapper.c"),
    sdk: files!("sdk/c": "README.md", "gristmill.c", "gristmill.h", "gristmill_read.c", "gristmill_wire.h"),
};

impl Language {
    /// All of them, in the order in which a project's is looked for.
    pub const ALL: [Self; 4] = [Self::Rust, Self::JavaScript, Self::Python, Self::C];

    pub(super) fn parts(self) -> &'static Parts {
        match self {
            Self::Rust => &RUST,
            Self::JavaScript => &JAVASCRIPT,
            Self::Python => &PYTHON,
            Self::C => &C,
        }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rust => "Rust",
            Self::JavaScript => "JavaScript",
            Self::Python => "Python",
            Self::C => "C",
        })
    }
}

impl Parts {
    pub fn of(&self, makes: Makes) -> Files {
        match makes {
            Makes::Fields => self.fields,
            Makes::Usage => self.usage,
            Makes::Both => self.both,
        }
    }
}

impl Makes {
    /// The contract's world for it.
    pub fn world(self) -> &'static str {
        match self {
            Self::Fields => "field-mapper",
            Self::Usage => "usage-mapper",
            Self::Both => "mapper",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// The files below a folder, but for what only the folder itself needs.
    fn below(folder: &Path) -> BTreeSet<String> {
        let mut files = BTreeSet::new();
        let mut open = vec![folder.to_owned()];
        while let Some(directory) = open.pop() {
            for entry in std::fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                let is_a_test = name.starts_with("test_") || name.ends_with(".test.js");
                let is_left_over = ["__pycache__", "node_modules", "target"].contains(&name.as_str());
                match path.is_dir() {
                    true if !is_left_over => open.push(path),
                    false if !is_a_test => {
                        files.insert(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned());
                    }
                    _ => {}
                }
            }
        }
        files
    }

    #[test]
    fn no_file_of_a_template_or_of_an_sdk_is_forgotten() {
        let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins");
        for (language, folder) in Language::ALL.into_iter().zip(["rust", "js", "python", "c"]) {
            let parts = language.parts();
            let listed = |files: Files, prefix: &str| files.iter().map(|(path, _)| format!("{prefix}{path}")).collect();
            let sdk: BTreeSet<String> = listed(parts.sdk, "");
            assert_eq!(sdk, below(&plugins.join("sdk").join(folder)), "{language}");
            let mut template: BTreeSet<String> = listed(parts.common, "");
            for (makes, prefix) in [(Makes::Fields, "fields/"), (Makes::Usage, "usage/"), (Makes::Both, "both/")] {
                template.extend(listed(parts.of(makes), prefix));
            }
            assert_eq!(template, below(&plugins.join("templates").join(folder)), "{language}");
            let has_manifest = [parts.common, parts.fields].concat().iter().any(|(path, _)| *path == parts.manifest);
            assert!(has_manifest, "{language}");
        }
    }
}
