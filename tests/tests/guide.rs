//! The guide, README.md and docs/, tells of what there is: its links lead somewhere, and its commands are the binary's.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use gristmill_tests::daemon::binary;

/// Each page with its text.
fn pages() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let docs = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let pages = docs.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    pages.chain([root.join("README.md")]).map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

/// The name by which a heading is linked to.
fn anchor(heading: &str) -> String {
    let kept = |c: char| match c {
        ' ' | '-' => Some('-'),
        _ => c.is_alphanumeric().then(|| c.to_ascii_lowercase()),
    };
    heading.trim_start_matches('#').trim().chars().filter_map(kept).collect()
}

/// The texts between two marks.
fn between<'t>(text: &'t str, begin: &'static str, end: char) -> impl Iterator<Item = &'t str> {
    text.split(begin).skip(1).filter_map(move |rest| rest.split_once(end).map(|(inside, _)| inside))
}

#[test]
fn its_links_lead_somewhere() {
    for (path, text) in pages() {
        for link in between(&text, "](", ')').filter(|link| !link.contains("://")) {
            let (file, place) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            assert!(target.exists(), "{}: {link}", path.display());
            if !place.is_empty() {
                let page = fs::read_to_string(&target).unwrap();
                let headings = page.lines().filter(|line| line.starts_with('#')).map(anchor);
                assert!(headings.into_iter().any(|heading| heading == place), "{}: {link}", path.display());
            }
        }
    }
}

#[test]
fn its_commands_are_the_binarys() {
    let mut commands = BTreeSet::new();
    for (_, text) in pages() {
        let shown = text.lines().filter_map(|line| line.strip_prefix("$ gristmill ")).map(str::to_owned);
        let named = between(&text, "`gristmill ", '`').map(str::to_owned);
        commands.extend(shown.chain(named).map(|command| {
            let words =
                command.split_whitespace().take_while(|word| word.bytes().all(|byte| byte.is_ascii_lowercase()));
            words.take(2).collect::<Vec<_>>().join(" ")
        }));
    }
    commands.remove("");
    assert!(commands.len() > 30, "{commands:?}");
    for command in commands {
        let (first, second) = command.split_once(' ').unwrap_or((&command, ""));
        let help = help(&[first]).unwrap_or_else(|| panic!("gristmill {command}"));
        // Where there are no subcommands, the second word is an argument.
        if help.contains("\nCommands:\n") && !second.is_empty() {
            assert!(self::help(&[first, second]).is_some(), "gristmill {command}");
        }
    }
}

/// What a command says of itself, if there is one.
fn help(words: &[&str]) -> Option<String> {
    let output = Command::new(binary()).args(words).arg("--help").output().unwrap();
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}
