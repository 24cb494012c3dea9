//! How files are read: each file of `tests/decode` through `gristmill peek`, with the options of its `.args`, against what
//! is recorded beside it. `GRISTMILL_REWRITE=1` records anew.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use gristmill_tests::process::binary;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("decode")
}

/// What `peek` says of a file, then its whole table, then what it complained of.
fn peek(file: &Path) -> String {
    let options = fs::read_to_string(file.with_extension("args")).unwrap_or_default();
    let run = |more: &[&str]| {
        let name = file.file_name().unwrap();
        let mut command = Command::new(binary());
        command.current_dir(folder()).arg("peek").arg(name).args(options.split_whitespace()).args(more);
        let output = command.env_remove("GRISTMILL_CONFIG").output().unwrap();
        let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        (output.status.code().unwrap(), stdout, stderr)
    };
    let (code, shown, complaint) = run(&[]);
    let (_, table, _) = run(&["--to", "ndjson"]);
    format!(
        "$ gristmill peek {}{}\n{shown}\n{table}\n{complaint}exit code {code}\n",
        name_of(file),
        match options.trim() {
            "" => String::new(),
            options => format!(" {options}"),
        }
    )
}

fn name_of(file: &Path) -> &str {
    file.file_name().unwrap().to_str().unwrap()
}

#[test]
fn every_file_is_read_as_recorded() {
    let mut files: Vec<PathBuf> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension().is_some_and(|suffix| ["csv", "xlsx", "xls"].map(AsRef::as_ref).contains(&suffix))
        })
        .collect();
    files.sort();
    assert!(files.len() >= 30, "{} files", files.len());
    for file in files {
        let (said, golden) = (peek(&file), folder().join(format!("{}.peek", name_of(&file))));
        if std::env::var_os("GRISTMILL_REWRITE").is_some() {
            fs::write(&golden, said).unwrap();
            continue;
        }
        let recorded = fs::read_to_string(&golden).unwrap_or_default();
        assert_eq!(said, recorded, "`{}`; GRISTMILL_REWRITE=1 records anew", golden.display());
    }
}
