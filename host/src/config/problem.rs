//! What is wrong with a configuration, and how a person reads it.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::path::{Segment, TomlPath};

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What it puts out of service (R15).
    pub scope: Scope,
    /// The file; of something that is missing, the file that has the table it is missing from.
    pub file: PathBuf,
    /// Where in the file, as far as that is known.
    pub position: Option<Position>,
    /// Where in the configuration, such as `integrations.acme.bucket`; empty for a syntax error.
    pub path: String,
    /// What is wrong: a lower-case fragment.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// TOML that would be right; more than one line where a table is shown.
    pub example: Option<String>,
}

/// A place in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Position {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
}

/// What a problem puts out of service (R15).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// A file could not be read as TOML, or has tables that mean nothing.
    Syntax,
    /// The `[daemon]` table.
    Daemon,
    /// The vault, and whatever refers to a secret in it.
    Vault,
    /// One connection, and the integrations that use it. The key as written, which may not be a valid one.
    Connection(String),
    /// One mapper, and the integrations that use it.
    Mapper(String),
    /// One destination, and the integrations that use it.
    Destination(String),
    /// One declared account field, and the integrations that map it.
    AccountField(String),
    /// The limits of one tenant, which has the defaults then.
    Tenant(String),
    /// One webhook that would be told of alarms.
    Notify(String),
    /// One service that keeps secrets, and whoever needs one of them.
    Secrets(String),
    /// One integration.
    Integration(String),
}

impl Scope {
    /// What a path belongs to.
    pub(super) fn of(path: &TomlPath) -> Self {
        match path.segments() {
            [Segment::Key(section), Segment::Key(name), ..] => match section.as_str() {
                "daemon" => Self::Daemon,
                "vault" => Self::Vault,
                "connections" => Self::Connection(name.clone()),
                "mappers" => Self::Mapper(name.clone()),
                "destinations" => Self::Destination(name.clone()),
                "account_fields" => Self::AccountField(name.clone()),
                "tenants" => Self::Tenant(name.clone()),
                "notify" => Self::Notify(name.clone()),
                "secrets" => Self::Secrets(name.clone()),
                "integrations" => Self::Integration(name.clone()),
                _ => Self::Syntax,
            },
            [Segment::Key(section)] if section == "daemon" => Self::Daemon,
            [Segment::Key(section)] if section == "vault" => Self::Vault,
            _ => Self::Syntax,
        }
    }

    /// Whether nothing can run with such a problem.
    pub fn is_fatal(&self) -> bool {
        match self {
            Self::Syntax | Self::Daemon => true,
            Self::Vault
            | Self::Connection(_)
            | Self::Mapper(_)
            | Self::Destination(_)
            | Self::AccountField(_)
            | Self::Tenant(_)
            | Self::Notify(_)
            | Self::Secrets(_)
            | Self::Integration(_) => false,
        }
    }
}

/// All problems as plain text, one paragraph each, in the order given. Control characters of the file are escaped.
pub fn render_problems(problems: &[Problem]) -> String {
    let mut text = String::new();
    for problem in problems {
        if !text.is_empty() {
            text.push('\n');
        }
        // Writing to a string cannot fail.
        let _ = render_problem(&mut text, problem);
    }
    text
}

fn render_problem(text: &mut String, problem: &Problem) -> std::fmt::Result {
    match problem.path.as_str() {
        "" => writeln!(text, "error: {}", printable(&problem.message))?,
        path => writeln!(text, "error: {path}: {}", printable(&problem.message))?,
    }
    write!(text, "  --> {}", place(&problem.file))?;
    match problem.position {
        Some(Position { line, column }) => writeln!(text, ":{line}:{column}")?,
        None => writeln!(text)?,
    }
    if let Some(hint) = &problem.hint {
        writeln!(text, "  hint: {}", printable(hint))?;
    }
    match problem.example.as_deref().map(|example| example.lines().collect::<Vec<_>>()).as_deref() {
        None | Some([]) => {}
        Some([line]) => writeln!(text, "  example: {line}")?,
        Some(lines) => {
            writeln!(text, "  example:")?;
            for line in lines {
                writeln!(text, "    {line}")?;
            }
        }
    }
    Ok(())
}

fn place(file: &Path) -> String {
    printable(&file.display().to_string())
}

fn printable(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut printed, c| {
        if c.is_control() {
            printed.extend(c.escape_default())
        } else {
            printed.push(c)
        }
        printed
    })
}
