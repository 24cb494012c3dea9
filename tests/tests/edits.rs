//! Every command that edits the configuration changes what it is to change, and nothing else of the file.
//!
//! `tests/edit/NAME` has a `command`, the file `before.toml` and the same file `after.toml`; `$DIR` in them is a directory of
//! the test's own. `GRISTMILL_REWRITE=1` writes the files anew.

use std::fs;
use std::path::Path;

use gristmill_tests::process::command;

#[test]
fn edits_change_what_they_are_to_change_and_keep_every_comment() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("edit");
    let mut cases: Vec<_> = fs::read_dir(&folder).unwrap().map(|case| case.unwrap().path()).collect();
    cases.sort();
    assert!(!cases.is_empty());
    for case in cases {
        let name = case.display();
        let read = |file: &str| fs::read_to_string(case.join(file)).unwrap_or_default();
        let (typed, before, after) = (read("command"), read("before.toml"), read("after.toml"));
        let directory = tempfile::tempdir().unwrap();
        let here = directory.path().to_str().unwrap();
        let config = directory.path().join("gristmill.toml");
        fs::write(&config, before.replace("$DIR", here)).unwrap();
        let ran = command(&config, &typed.split_whitespace().collect::<Vec<_>>()).output().unwrap();
        assert!(ran.status.success(), "{name}: {ran:?}");
        let found = fs::read_to_string(&config).unwrap().replace(here, "$DIR");
        if std::env::var_os("GRISTMILL_REWRITE").is_some() {
            fs::write(case.join("after.toml"), &found).unwrap();
            continue;
        }
        assert_eq!(found, after, "{name}");
        // Whatever goes is a line that the command speaks of; comments only with their table.
        let lost = before.lines().filter(|line| line.trim_start().starts_with('#') && !found.contains(*line));
        let lost: Vec<&str> = lost.collect();
        let expected: &[&str] = if typed.contains("delete") { &["# Globex: the lab in the cellar."] } else { &[] };
        assert_eq!(lost, expected, "{name}");
    }
}
