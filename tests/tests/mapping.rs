//! Mappings shown by example: each folder of `tests/mapping` is one, and reads as documentation. What becomes of several
//! files in a store is shown by the folders that `mapping_stored.rs` runs.
//!
//! | file | what it is |
//! |---|---|
//! | `mapping.toml` | the integration's settings, the lines above the first table being its own; `account_fields` are tables of the root |
//! | `input.csv`, `input.xlsx` | the file |
//! | `accounts.ndjson`, `usage.ndjson` | what becomes of it; not there where nothing does |
//! | `rejects.csv` | the reject file, where a row is refused |
//! | `failure.txt` | why the settings or the whole file are refused |
//!
//! Everything is real: configuration, decoder, the built-in mapper's component, the reject file, and the destination that
//! writes files. `GRISTMILL_REWRITE=1` writes what comes out.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use gristmill::config::{self, Config};
use gristmill::daemon::Workshop;
use gristmill::destination::files::{FilesDestination, Form};
use gristmill::destination::{Brings, Delivery, Destination};
use gristmill::ingest::{self, Again, Rows, Taken};
use gristmill::object::{AsOf, ContentHash, Generation, Identity, Object};
use gristmill::oversight::Oversight;
use gristmill::rejects::{self, IssueLog};
use gristmill::worker::Launcher;
use gristmill_tests::process;

/// The key of every file, and when it was last modified.
const KEY: &str = "exports/region=emea/2024-10";
const LAST_MODIFIED: &str = "2024-10-15T12:00:00Z";

/// What comes out of a case, by file.
type Output = Vec<(&'static str, String)>;

#[test]
fn every_example_of_a_mapping_comes_out_as_recorded() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("mapping");
    let mut cases: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(cases.len() >= 60, "{} cases", cases.len());
    cases.retain(|case| !case.join("files").is_dir());
    cases.sort();
    let state = tempfile::tempdir().unwrap();
    let workshop = Workshop::open(state.path(), Launcher::at(process::binary())).unwrap();
    let mut wrong = Vec::new();
    for case in &cases {
        let output = come_out(case, &workshop);
        for name in ["accounts.ndjson", "usage.ndjson", "rejects.csv", "failure.txt"] {
            let path = case.join(name);
            let found = output.iter().find(|(file, _)| *file == name).map(|(_, text)| text.as_str());
            let recorded = fs::read_to_string(&path).ok();
            if std::env::var_os("GRISTMILL_REWRITE").is_some() {
                match found {
                    Some(text) => fs::write(&path, text).unwrap(),
                    None if recorded.is_some() => fs::remove_file(&path).unwrap(),
                    None => {}
                }
            } else if found != recorded.as_deref() {
                wrong.push(format!("{}:\n{}", path.display(), found.unwrap_or("is not there")));
            }
        }
    }
    assert!(wrong.is_empty(), "GRISTMILL_REWRITE=1 rewrites them\n{}", wrong.join("\n"));
}

fn come_out(case: &Path, workshop: &Workshop) -> Output {
    let place = tempfile::tempdir().unwrap();
    let config = match configure(&fs::read_to_string(case.join("mapping.toml")).unwrap(), place.path()) {
        Ok(config) => config,
        Err(problems) => return vec![("failure.txt", problems)],
    };
    let settings = config.integrations.values().next().unwrap();
    let recipe = match workshop.recipe(&config, settings) {
        Ok(recipe) => recipe,
        Err(error) => return vec![("failure.txt", format!("{error}\n").replace("; ", "\n"))],
    };
    let named = |ending: &&str| case.join(format!("input.{ending}")).exists();
    let ending = ["csv", "xlsx", "xls"].into_iter().find(named).unwrap();
    let input = case.join(format!("input.{ending}"));
    let object = Object {
        connection: settings.connection.clone(),
        bucket: settings.bucket.clone(),
        key: format!("{KEY}.{ending}").parse().unwrap(),
        etag: "0".parse().unwrap(),
        size: fs::metadata(&input).unwrap().len(),
        last_modified: LAST_MODIFIED.parse().unwrap(),
    };
    let generation = Generation(0);
    let identity = Identity { integration: settings.name.clone(), dedup_key: object.dedup_key(), generation };
    let delivery = Delivery {
        identity: identity.clone(),
        object: object.clone(),
        tenant: settings.tenant.clone(),
        as_of: AsOf { effective_time: object.last_modified, key: object.key.clone(), arrival: 0, generation },
        mapping: recipe.digest(),
        content: ContentHash::from_bytes([0; 32]),
        matching: settings.matching,
        brings: Brings::OWN,
    };
    let records = place.path().join("records");
    let mut staging = FilesDestination::open(&records, Form::default()).unwrap().stage(delivery).unwrap();
    let issues = IssueLog::create(place.path()).unwrap();
    let file = || File::open(&input).unwrap();
    let transformed = ingest::transform(
        &recipe,
        &object,
        Taken::all(&Rows::own()),
        file(),
        staging.as_mut(),
        issues,
        &Oversight::default(),
    );
    let mut transformed = match transformed {
        Ok(transformed) => transformed,
        Err(failure) => return vec![("failure.txt", chain(&failure))],
    };
    let mut output = Output::new();
    if transformed.rows.rejected > 0 {
        let again = Again::open(&recipe, &object, file()).unwrap();
        let directory = place.path().join("rejects");
        let written = rejects::write_rejects(&mut transformed.issues, again, &directory, &identity, &object, |_| {
            Ok::<(), ingest::Failure>(())
        });
        let [path] = written.unwrap().files.try_into().unwrap();
        output.push(("rejects.csv", fs::read_to_string(path).unwrap()));
    }
    staging.merge(transformed.rows).unwrap();
    for name in ["accounts.ndjson", "usage.ndjson"] {
        let text = find(&records, name).map(|path| fs::read_to_string(path).unwrap());
        output.extend(text.filter(|text| !text.is_empty()).map(|text| (name, text)));
    }
    output
}

/// An integration of the given settings, else what is wrong with them.
fn configure(mapping: &str, place: &Path) -> Result<Config, String> {
    let tables: String = mapping
        .lines()
        .map(|line| match (line.strip_prefix("[["), line.strip_prefix('[')) {
            (_, Some(rest)) if rest.starts_with("account_fields.") => format!("{line}\n"),
            (Some(rest), _) => format!("[[integrations.example.{rest}\n"),
            (None, Some(rest)) => format!("[integrations.example.{rest}\n"),
            (None, None) => format!("{line}\n"),
        })
        .collect();
    let text = format!(
        "[connections.acme]\nregion = \"eu-central-1\"\ndefault_chain = {{}}\n\
         [integrations.example]\nconnection = \"acme\"\nbucket = \"exports\"\n{tables}"
    );
    let path = place.join("gristmill.toml");
    fs::write(&path, text).unwrap();
    let loaded = config::load(&path).unwrap();
    match loaded.problems.is_empty() {
        true => Ok(loaded.config),
        false => Err(config::render_problems(&loaded.problems).replace(&*place.to_string_lossy(), "$DIR")),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text += &format!("\n{error}");
        source = error.source();
    }
    text + "\n"
}

/// The file of that name in a directory or below it.
fn find(directory: &Path, name: &str) -> Option<PathBuf> {
    fs::read_dir(directory).ok()?.find_map(|entry| {
        let path = entry.ok()?.path();
        match path.is_dir() {
            true => find(&path, name),
            false => path.ends_with(name).then_some(path),
        }
    })
}

/// An option without an example is not documented, and an example that nothing leads to is not found.
#[test]
fn the_page_on_mapping_leads_to_every_example() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("mapping");
    let page = fs::read_to_string(folder.join("../../docs/mapping.md")).unwrap();
    let named = |text: &str| text.split("](../tests/mapping/").skip(1).count();
    let mut cases = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(page.contains(&format!("[{name}](../tests/mapping/{name}/mapping.toml)")), "{name}");
        cases += 1;
    }
    assert_eq!(named(&page), cases, "a link leads nowhere, or twice to one example");
}
