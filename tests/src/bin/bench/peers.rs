//! DuckDB and Polars, each a Python program that does the same mapping and says how long it took.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::Result;

/// A program that can do the mapping.
#[derive(Debug, Clone, Copy)]
pub enum Peer {
    /// DuckDB.
    DuckDb,
    /// Polars, streaming.
    Polars,
}

impl Peer {
    /// Both.
    pub const ALL: [Self; 2] = [Self::DuckDb, Self::Polars];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::DuckDb => "DuckDB",
            Self::Polars => "Polars",
        }
    }

    fn module(self) -> &'static str {
        match self {
            Self::DuckDb => "duckdb",
            Self::Polars => "polars",
        }
    }

    /// Whether it is installed.
    pub fn is_installed(self) -> bool {
        let import = format!("import {}", self.module());
        python().is_ok_and(|python| Command::new(python).args(["-c", &import]).status().is_ok_and(|end| end.success()))
    }

    /// Maps a file; gives the time it took without its start.
    pub fn map(self, source: &Path, target: &Path, threads: usize) -> Result<Duration> {
        let script = format!("bench/peer_{}.py", self.module());
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
        let output = Command::new(python()?).arg(script).arg(source).arg(target).arg(threads.to_string()).output()?;
        if !output.status.success() {
            return Err(format!("{}: {}", self.name(), String::from_utf8_lossy(&output.stderr)).into());
        }
        Ok(Duration::from_secs_f64(String::from_utf8(output.stdout)?.trim().parse()?))
    }
}

/// The Python of `.ci/setup bench`.
fn python() -> Result<PathBuf> {
    Ok(tools()?.join("peers/bin/python"))
}

/// Where `.ci/setup bench` installs things.
pub fn tools() -> Result<PathBuf> {
    match std::env::var_os("GRISTMILL_TEST_TOOLS") {
        Some(tools) => Ok(tools.into()),
        None => Ok(std::env::current_exe()?.ancestors().nth(2).ok_or("no target directory")?.join("tools")),
    }
}
