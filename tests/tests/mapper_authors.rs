//! From nothing to a mapper that a daemon runs, with the commands that an author types: `new`, `build`, `check`, `test`, and
//! then `[mappers.NAME]`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use gristmill_loopback_s3::{Config, Server};
use gristmill_tests::daemon::{Bed, binary};
use gristmill_tests::servers::tools;
use serde_json::Value;

const BUCKET: &str = "exports";

/// A directory to work in, with the tools of every language on the path.
struct Desk {
    directory: tempfile::TempDir,
    path: OsString,
}

/// What a command said.
#[derive(Debug)]
struct Said {
    code: i32,
    output: String,
    errors: String,
}

impl Said {
    fn value(&self) -> Value {
        serde_json::from_str(&self.output).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Desk {
    fn new() -> Self {
        let installed = ["guests/bin", "guests-javascript/node_modules/.bin"].map(|place| tools().join(place));
        let path = std::env::var_os("PATH").unwrap();
        let path = std::env::join_paths(installed.into_iter().chain(std::env::split_paths(&path))).unwrap();
        Self { directory: tempfile::tempdir().unwrap(), path }
    }

    fn place(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// `gristmill mapper …` in a folder.
    fn mapper(&self, folder: &str, arguments: &[&str]) -> Said {
        let built = binary().parent().and_then(Path::parent).unwrap().join("authors");
        let output = Command::new(binary())
            .arg("mapper")
            .args(arguments)
            .current_dir(self.place(folder))
            .env("PATH", &self.path)
            .env("NO_COLOR", "1")
            .env("XDG_CACHE_HOME", self.place("cache"))
            // The crates are those of the workspace, which are here already; so is what was built of them before.
            .env("CARGO_NET_OFFLINE", "true")
            .env("CARGO_TARGET_DIR", &built)
            .env("ZIG_GLOBAL_CACHE_DIR", built.join("zig"))
            .output()
            .unwrap();
        let [said, errors] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        Said { code: output.status.code().unwrap(), output: said, errors }
    }

    /// The same, and it must do well.
    fn well(&self, folder: &str, arguments: &[&str]) -> Said {
        let said = self.mapper(folder, arguments);
        assert_eq!(said.code, 0, "{arguments:?}: {said:?}");
        said
    }

    /// Copies an example, with what `mapper new` puts beside it.
    fn example(&self, folder: &str, language: &str) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/examples").join(folder);
        self.well("", &["new", "--lang", language, "pivoted-report", "--both"]);
        let place = self.place("pivoted-report");
        for file in ["Cargo.toml", "golden.jsonl", "sample.csv", "settings.json", "src/lib.rs"] {
            fs::copy(root.join(file), place.join(file)).unwrap();
        }
    }
}

/// `[mappers.NAME]` and an integration that takes account and usage records from it.
fn configuration(component: &Path, sha256: &str, more: &str) -> String {
    format!(
        "[mappers.own]\npath = \"{}\"\nsha256 = \"{sha256}\"\n\
         [integrations.plans]\nconnection = \"main\"\nbucket = \"{BUCKET}\"\nprefix = \"plans/\"\n\
         matching = {{ on_no_match = \"create\" }}\n{more}\
         [integrations.plans.mapper]\nfield_mapping = \"own\"\nproduct_usage = \"own\"\n",
        component.display()
    )
}

/// The way of an author of a mapper of both kinds in one language, to records in a store.
fn check_from_nothing_to_records(language: &str) {
    let desk = Desk::new();
    desk.well("", &["new", "--lang", language, "acme-plans", "--both"]);
    let built = desk.well("acme-plans", &["build", "--json"]).value();
    let component = desk.place("acme-plans/acme-plans.wasm");
    assert_eq!(built["bytes"], fs::metadata(&component).unwrap().len());
    let checked = desk.well("acme-plans", &["check", "acme-plans.wasm"]);
    assert!(checked.output.ends_with("sound\n"), "{checked:?}");
    let tested = desk.well("acme-plans", &["test", "sample.csv", "--golden", "golden.jsonl"]);
    assert!(tested.errors.contains("5 rows, 2 rejected, 0 warnings, 3 account records, 3 usage values"), "{tested:?}");

    let server = Server::start(Config::with_bucket(BUCKET)).unwrap();
    let bed = Bed::new(&server.endpoint(), "loopback", "loopback-secret");
    bed.configure(&configuration(&component, built["sha256"].as_str().unwrap(), ""));
    server.put(BUCKET, "plans/sample.csv", fs::read(desk.place("acme-plans/sample.csv")).unwrap()).unwrap();
    let daemon = bed.start();
    let completed = daemon.wait_for("the sample", |line| line["event"] == "object_completed");
    assert_eq!(completed["rejected"], 2, "{completed}");
    assert_eq!(daemon.stop(), 0);
    let fields = "SELECT crm_id, field, value, unit FROM account_field_values ORDER BY 1, 2";
    assert_eq!(
        bed.rows(fields),
        ["0014K00001|arr|48000.5|EUR", "0014K00001|plan|Enterprise|", "0014K00002|plan|Starter|"]
    );
    let usage = "SELECT crm_id, product, metric, period, period_start, value FROM usage_records ORDER BY 1";
    assert_eq!(
        bed.rows(usage),
        ["0014K00001|Core|logins|monthly|2024-10-01|78", "0014K00002|Core|logins|monthly|2024-10-01|3"]
    );
}

#[test]
fn from_nothing_to_records_in_rust() {
    check_from_nothing_to_records("rust");
}

#[test]
fn from_nothing_to_records_in_javascript() {
    check_from_nothing_to_records("js");
}

#[test]
fn from_nothing_to_records_in_python() {
    check_from_nothing_to_records("python");
}

#[test]
fn from_nothing_to_records_in_c() {
    check_from_nothing_to_records("c");
}

#[test]
fn a_change_of_the_mapper_is_seen_in_its_golden_lines() {
    let desk = Desk::new();
    for kind in ["fields", "usage"] {
        let name = format!("acme-{kind}");
        desk.well("", &["new", "--lang", "rust", &name, &format!("--{kind}")]);
        desk.well("", &["build", &name]);
        desk.well(&name, &["test", "sample.csv", "--golden", "golden.jsonl"]);
    }
    let source = desk.place("acme-fields/src/lib.rs");
    let changed = fs::read_to_string(&source).unwrap().replace("Field::text(\"plan\")", "Field::text(\"tier\")");
    fs::write(&source, changed).unwrap();
    desk.well("acme-fields", &["build"]);
    let test = ["test", "sample.csv", "--golden", "golden.jsonl"];
    let differs = desk.mapper("acme-fields", &test);
    assert_eq!(differs.code, 1, "{differs:?}");
    assert!(
        differs
            .output
            .contains("- {\"line\":4,\"account\":[{\"crm_id\":\"0014K00002\"}],\"fields\":{\"plan\":\"Starter\"}}")
    );
    assert!(
        differs
            .output
            .contains("+ {\"line\":4,\"account\":[{\"crm_id\":\"0014K00002\"}],\"fields\":{\"tier\":\"Starter\"}}")
    );
    assert!(differs.errors.contains("hint: look at what differs, and take it over with --update if it is right"));
    desk.well("acme-fields", &[&test[..], &["--update"]].concat());
    desk.well("acme-fields", &test);

    // What a row costs is the same every time, so a build may insist on it.
    let [first, second] = [(); 2].map(|()| desk.well("acme-fields", &["test", "sample.csv", "--json"]).value());
    assert_eq!(first, second);
    let fuel = first["fuel"].as_u64().unwrap();
    desk.well("acme-fields", &["test", "sample.csv", "--max-fuel", &fuel.to_string()]);
    let over = desk.mapper("acme-fields", &["test", "sample.csv", "--max-fuel", &(fuel - 1).to_string()]);
    assert_eq!(over.code, 1, "{over:?}");
    // And the cell that is to blame is shown in its row.
    assert!(over.errors.contains("  line 5 | 0014K00003 | Growth | about 900 | 2024-10-15 | \n"), "{over:?}");
    assert!(over.errors.contains("         |                       ^^^^^^^^^\n"), "{over:?}");

    let measured = desk.well("acme-fields", &["bench", "sample.csv", "--repeat", "3", "--json"]).value();
    assert_eq!(measured["rows"], 5);
    assert!(
        measured["rows_a_second"].as_f64().unwrap() > 0.0 && measured["memory"].as_u64().unwrap() > 0,
        "{measured}"
    );
}

#[test]
fn the_pivoted_report_comes_out_of_the_daemon_as_its_golden_lines_say() {
    let desk = Desk::new();
    desk.example("rust", "rust");
    let built = desk.well("pivoted-report", &["build", "--json"]).value();
    let test = ["test", "--no-header", "--settings", "settings.json", "sample.csv", "--golden", "golden.jsonl"];
    desk.well("pivoted-report", &test);
    fs::write(desk.place("pivoted-report/settings.toml"), "skip = [\" \"]\n").unwrap();
    let refused = desk.mapper("pivoted-report", &["test", "--no-header", "--settings", "settings.toml", "sample.csv"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.errors.contains("the mapper does not accept its settings: `skip` has a blank word"), "{refused:?}");

    let server = Server::start(Config::with_bucket(BUCKET)).unwrap();
    let bed = Bed::new(&server.endpoint(), "loopback", "loopback-secret");
    let component = desk.place("pivoted-report/pivoted-report.wasm");
    let reading = "csv = { header = \"none\" }\n";
    let settings = "settings = { skip = [\"Total\"] }\n";
    let configured = configuration(&component, built["sha256"].as_str().unwrap(), reading) + settings;
    bed.configure(&configured);
    server.put(BUCKET, "plans/report.csv", fs::read(desk.place("pivoted-report/sample.csv")).unwrap()).unwrap();
    let once = bed.once();
    assert_eq!(once.code, 0, "{once:?}");
    let fields = "SELECT crm_id, field, value FROM account_field_values ORDER BY 1, 2";
    assert_eq!(
        bed.rows(fields),
        [
            "0014K00001|name|Acme Corp",
            "0014K00001|plan|Enterprise",
            "0014K00002|name|Globex",
            "0014K00002|plan|Starter"
        ]
    );
    let usage =
        "SELECT product, metric, period_start, value FROM usage_records WHERE crm_id = '0014K00001' ORDER BY 1, 2, 3";
    assert_eq!(
        bed.rows(usage),
        [
            "Core|calls|2024-07-01|3400",
            "Core|calls|2024-08-01|4100",
            "Core|users|2024-07-01|12",
            "Core|users|2024-08-01|15",
            "Reports|calls|2024-07-01|90",
            "Reports|calls|2024-08-01|85",
            "Reports|users|2024-07-01|3",
        ]
    );
}

#[test]
fn everything_that_is_wrong_with_a_component_is_said_at_once() {
    let desk = Desk::new();
    let check = |text: &str| {
        fs::write(desk.place("bad.wasm"), wat::parse_str(text).unwrap()).unwrap();
        let said = desk.mapper("", &["check", "bad.wasm", "--json"]);
        assert_eq!(said.code, 1, "{said:?}");
        let problems = said.value()["problems"].as_array().unwrap().clone();
        let codes: Vec<String> = problems.iter().map(|one| one["code"].as_str().unwrap().to_owned()).collect();
        (codes, said.errors)
    };
    let (codes, errors) = check("(module)");
    assert_eq!(codes, ["mapper-not-a-component"]);
    assert!(errors.contains("gristmill mapper build makes a component of a project"), "{errors}");
    let (codes, _) = check(
        r#"(component
            (import "wasi:http/types@0.2.0" (instance))
            (import "gristmill:mapper/log@0.2.0" (instance)))"#,
    );
    assert_eq!(codes, ["mapper-forbidden-import", "mapper-unknown-version"]);
}

#[test]
fn what_is_missing_is_named_with_what_installs_it() {
    let desk = Desk { path: OsString::new(), ..Desk::new() };
    let check = |language: &str, missing: &str, hint: &str| {
        desk.well("", &["new", "--lang", language, &format!("in-{language}")]);
        let said = desk.mapper(&format!("in-{language}"), &["build"]);
        assert_eq!(said.code, 1, "{said:?}");
        assert!(said.errors.contains(missing) && said.errors.contains(hint), "{said:?}");
    };
    check("rust", "cargo is not installed", "https://rustup.rs");
    check("js", "npm is not installed", "https://nodejs.org");
    check("python", "componentize-py is not installed", "pip install componentize-py");
    check("c", "a C compiler for WebAssembly is not installed", "pip install ziglang");
    let nothing = desk.mapper("", &["build"]);
    assert_eq!(nothing.code, 1, "{nothing:?}");
    assert!(nothing.errors.contains("hint: a project has Cargo.toml, or package.json"), "{nothing:?}");
    let twice = desk.mapper("", &["new", "--lang", "rust", "in-rust"]);
    assert!(twice.errors.contains("`in-rust` is there already"), "{twice:?}");
    assert_eq!(desk.mapper("", &["new", "--lang", "rust", "No Name"]).code, 64);
}
