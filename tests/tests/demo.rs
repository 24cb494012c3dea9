//! The demo runs to its end: it checks what it says itself, so its exit code is most of the test.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;

fn demo(directory: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_demo"));
    let output = command.args(arguments).env("TMPDIR", directory).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_demo_shows_the_main_job_and_leaves_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    let (code, said, complaints) = demo(directory.path(), &[]);
    assert_eq!(code, Some(0), "{said}\n{complaints}");
    for line in [
        "ignored: not CSV or Excel",
        "$ gristmill check",
        "$ gristmill connection test millbrook",
        "$ gristmill test usage bucket/usage/usage-2026-09.csv",
        "is running",
        "Ember & Söhne",
        "to be agreed",
        "never taken: only .csv, .xlsx and .xls files are",
        "$ gristmill poll accounts",
        "72000",
        "exit code 0",
        "All of this was checked",
    ] {
        assert!(said.contains(line), "`{line}` is missing in\n{said}");
    }
    assert!(!said.contains('\u{1b}'), "no colours without a terminal");
    assert_eq!(directory.path().read_dir().unwrap().count(), 0, "the temporary directory is removed");
}

#[test]
fn the_demo_refuses_arguments_that_it_does_not_know() {
    let directory = tempfile::tempdir().unwrap();
    let (code, said, _) = demo(directory.path(), &["--kepe"]);
    assert_eq!(code, Some(64));
    assert!(said.is_empty());
}
