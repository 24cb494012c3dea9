//! Figures, as ratios in one run: `make bench`, or `bench [--scale PERCENT] [PART…]`.
//!
//! | part | what it measures |
//! |---|---|
//! | `csv` | a CSV file to mapped JSON lines, through the component, its native twin, DuckDB and Polars |
//! | `guards` | the same file mapped from memory with each guard around a mapper left out, against all of them |
//! | `small-files` | many small objects, from a bucket into each destination |
//! | `known-objects` | a pass over objects that the ledger knows, against a bare listing of them |
//! | `postgres` | usage records staged and merged in PostgreSQL, against SQLite |
//! | `similar-names` | misspelt names against a store of accounts |
//! | `big-file` | a file larger than memory should ever be, and the memory it takes |
//! | `fairness` | a tenant's files alone, and beside those of a tenant whose mapper takes all it may |
//! | `authors` | the row API of the Rust SDK, against the bare columns of the contract |
//! | `languages` | one mapper in every language that has an SDK: speed, start, memory |
//!
//! What is compared runs in turns, round by round, and a ratio is the median of the rounds' own ratios: what else the
//! machine does then meets both sides alike. A smaller scale is for trying things; its figures count for nothing.

use std::process::ExitCode;

mod authors;
mod bed;
mod big_file;
mod csv;
mod data;
mod fairness;
mod figures;
mod guards;
mod known_objects;
mod languages;
mod memory;
mod peers;
mod postgres;
mod similar_names;
mod small_files;
mod twin;

/// Anything may fail, and then the figures are worth nothing.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// How much of the full load is run.
#[derive(Debug, Clone, Copy)]
pub struct Scale(u64);

impl Scale {
    /// That part of a count.
    pub fn of(self, full: u64) -> u64 {
        (full * self.0 / 100).max(1)
    }
}

type Part = fn(Scale) -> Result<()>;
const PARTS: &[(&str, Part)] = &[
    ("csv", csv::run),
    ("guards", guards::run),
    ("small-files", small_files::run),
    ("known-objects", known_objects::run),
    ("postgres", postgres::run),
    ("similar-names", similar_names::run),
    ("big-file", big_file::run),
    ("fairness", fairness::run),
    ("authors", authors::run),
    ("languages", languages::run),
];

fn main() -> ExitCode {
    let (scale, parts) = match arguments(std::env::args().skip(1)) {
        Ok(wanted) => wanted,
        Err(problem) => {
            let parts: Vec<String> = PARTS.iter().map(|(name, _)| format!("[{name}]")).collect();
            eprintln!("bench: {problem}\nusage: bench [--scale PERCENT] {}", parts.join(" "));
            return ExitCode::from(64);
        }
    };
    if cfg!(debug_assertions) {
        eprintln!("bench: this is a debug build; its figures count for nothing");
    }
    for (name, part) in parts {
        println!("{name}");
        if let Err(problem) = part(scale) {
            eprintln!("bench: {name}: {problem}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn arguments(mut words: impl Iterator<Item = String>) -> Result<(Scale, Vec<(&'static str, Part)>)> {
    let mut scale = Scale(100);
    let mut parts = Vec::new();
    while let Some(word) = words.next() {
        if word == "--scale" {
            let percent = words.next().and_then(|percent| percent.parse().ok());
            scale = Scale(percent.filter(|percent| (1..=100).contains(percent)).ok_or("`--scale` takes 1 to 100")?);
        } else {
            let part = PARTS.iter().find(|(name, _)| *name == word);
            parts.push(*part.ok_or_else(|| format!("there is no part `{word}`"))?);
        }
    }
    Ok((scale, if parts.is_empty() { PARTS.to_vec() } else { parts }))
}
