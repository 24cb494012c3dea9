//! Mappers in JavaScript, Python and C: the SDKs pass their own tests, and the examples are built from source by the
//! commands that their READMEs give and run in the real daemon on their samples.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use gristmill_loopback_s3::{Config, Server};
use gristmill_tests::daemon::{Bed, binary};
use gristmill_tests::servers::tools;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

const BUCKET: &str = "exports";

/// A copy of what the READMEs' commands need, in which they leave what they make.
struct Workshop {
    directory: TempDir,
}

impl Workshop {
    fn open() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for part in ["plugins/sdk", "plugins/examples", "wit"] {
            copy(&root.join(part), &directory.path().join(part));
        }
        Self { directory }
    }

    fn place(&self, folder: &str) -> PathBuf {
        self.directory.path().join("plugins").join(folder)
    }

    /// Runs commands as a person would who has installed the tools.
    fn run(&self, folder: &str, commands: &str) {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let installed = ["guests/bin", "guests-javascript/node_modules/.bin"].map(|place| tools().join(place));
        let ours = binary().parent().unwrap().to_owned();
        let places = std::iter::once(ours).chain(installed).chain(std::env::split_paths(&path));
        let path: OsString = std::env::join_paths(places).unwrap();
        let ran = Command::new("bash")
            .args(["-e", "-u", "-c", commands])
            .current_dir(self.place(folder))
            .env("PATH", path)
            .output()
            .unwrap();
        let [output, errors] = [&ran.stdout, &ran.stderr].map(|text| String::from_utf8_lossy(text));
        assert!(
            ran.status.success(),
            "{folder}: {}\n{commands}\n{output}\n{errors}\n`.ci/setup test` installs the tools",
            ran.status
        );
    }

    /// Builds an example, runs its own tests and compares what becomes of its sample with its golden lines, as its README
    /// says.
    fn build(&self, example: &str) -> PathBuf {
        let folder = format!("examples/{example}");
        let readme = fs::read_to_string(self.place(&folder).join("README.md")).unwrap();
        let [_install, build, trial] = blocks(&readme).try_into().unwrap();
        self.run(&folder, &build);
        self.run(&folder, &trial);
        let components = fs::read_dir(self.place(&folder)).unwrap().map(|entry| entry.unwrap().path());
        let is_component = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.ends_with(".wasm") && !name.ends_with(".core.wasm")
        };
        components.into_iter().find(is_component).unwrap()
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => drop(fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}

/// The shell commands of a page, block by block.
fn blocks(page: &str) -> Vec<String> {
    let blocks = page.split("```sh\n").skip(1);
    blocks.map(|rest| rest.split("```").next().unwrap_or_default().to_owned()).collect()
}

/// What becomes of an example's sample: account fields, usage and rejects.
struct Expected<'a> {
    accounts: &'a [&'a str],
    usage: &'a [&'a str],
    rejects: &'a [&'a str],
}

/// Builds an example and lets the daemon take its sample. `transforms` is what of the integration the mapper does.
fn check_example(example: &str, transforms: &str, expected: &Expected<'_>) {
    let workshop = Workshop::open();
    let component = workshop.build(example);
    let sha256: String =
        Sha256::digest(fs::read(&component).unwrap()).iter().map(|byte| format!("{byte:02x}")).collect();
    let server = Server::start(Config::with_bucket(BUCKET)).unwrap();
    let bed = Bed::new(&server.endpoint(), "loopback", "loopback-secret");
    // CPython takes long to compile where much else runs.
    let limits = "limits = { compile_time = \"10m\", compile_cpu = \"2m\" }";
    bed.configure(&format!(
        "[mappers.own]\npath = \"{}\"\nsha256 = \"{sha256}\"\n{limits}\n\
         [integrations.example]\nconnection = \"main\"\nbucket = \"{BUCKET}\"\n\
         matching = {{ on_no_match = \"create\" }}\n[integrations.example.mapper]\n{transforms}\n",
        component.display()
    ));
    let sample = fs::read(workshop.place(&format!("examples/{example}/sample.csv"))).unwrap();
    server.put(BUCKET, "sample.csv", sample).unwrap();
    let ran = bed.once();
    assert_eq!(ran.counts("example"), [1, 0, 0, 1, 0, 0], "{ran:?}");
    let accounts = "SELECT crm_id, field, value, unit FROM account_field_values ORDER BY 1, 2";
    let usage = "SELECT crm_id, product, metric, period, period_start, value, unit FROM usage_records ORDER BY 1, 3, 5";
    let rejects = "SELECT line, column_name, code, message FROM rejected_rows ORDER BY 1";
    assert_eq!(bed.rows(accounts), expected.accounts);
    assert_eq!(bed.rows(usage), expected.usage);
    assert_eq!(bed.rows(rejects), expected.rejects);
}

#[test]
fn javascript_reads_json_inside_a_cell() {
    let expected = Expected {
        accounts: &[
            "0014K00001|contacts|[\"ada@acme.example\"]|",
            "0014K00001|plan|pro|",
            "0014K00001|seats|12|",
            "0014K00002|contacts|[\"b@sued.example\",\"c@sued.example\"]|",
            "0014K00002|plan|größer|",
        ],
        usage: &[
            "0014K00001|Suite|exports|monthly|2024-10-01|3|",
            "0014K00001|Suite|logins|monthly|2024-09-01|40|",
            "0014K00001|Suite|logins|monthly|2024-10-01|55|",
        ],
        rejects: &[
            "4|Attributes|not_json|`{\"plan\": \"pro\", ` is not JSON",
            "6|Attributes|seats|`seats` is 2.5, which is not a whole number",
            "7|Attributes|bad_month|`{\"plan\": \"basic\", \"usage\": [{\"month\": \"O…` names the month `October`",
        ],
    };
    let transforms = "field_mapping = \"own\"\nproduct_usage = \"own\"\nsettings = { product = \"Suite\" }";
    check_example("js", transforms, &expected);
}

#[test]
fn python_counts_weeks_for_their_fiscal_months() {
    let expected = Expected {
        accounts: &[],
        usage: &[
            "0014K00001|Core|revenue|custom:fiscal-month|2024-01-29|200|EUR",
            "0014K00001|Core|sessions|custom:fiscal-month|2024-01-29|1500|",
            "0014K00001|Core|sessions|custom:fiscal-month|2024-02-26|50|",
            "0014K00002|Core|revenue|custom:fiscal-month|2023-12-25|1|EUR",
            "0014K00002|Core|revenue|custom:fiscal-month|2024-12-23|3|EUR",
            "0014K00002|Core|sessions|custom:fiscal-month|2023-12-25|7|",
            "0014K00002|Core|sessions|custom:fiscal-month|2024-12-23|9|",
        ],
        rejects: &[
            "6|Week|bad_fiscal_week|`FY2023-W53` is not a week of the fiscal calendar",
            "8|Week|bad_fiscal_week|`W07` is not a week of the fiscal calendar",
            "9|Sessions|not_a_number|`1,0` is not a number",
        ],
    };
    check_example("python", "product_usage = \"own\"\nsettings = { first_month = 2 }", &expected);
}

#[test]
fn c_reads_fixed_width_codes() {
    let expected = Expected {
        accounts: &[
            "0014K00001|country|DE|",
            "0014K00001|customer_since|2024-10-15|",
            "0014K00001|plan|pro|",
            "0014K00001|revenue|125.5|EUR",
            "0014K00002|country|FR|",
            "0014K00002|plan|pro|",
            "0014K00002|revenue|-19.99|EUR",
            "0014K00003|country|GB|",
            "0014K00003|customer_since|2024-02-29|",
            "0014K00003|revenue|0|EUR",
        ],
        usage: &[],
        rejects: &[
            "5|RECORD|bad_date|`0014K00004GB202302290000000{07` has no date from its 13th character on",
            "6|RECORD|bad_length|`0014K00005` is not a record of 30 characters",
            "7|RECORD|bad_revenue|`0014K00006IT20240101000012AB07` has no revenue from its 21st character on",
        ],
    };
    check_example("c", "field_mapping = \"own\"\nsettings = { plans = { \"07\" = \"pro\" } }", &expected);
}

#[test]
fn the_sdks_pass_their_own_tests() {
    let workshop = Workshop::open();
    workshop.run("sdk/js", "node --test");
    workshop.run("sdk/python", "python3 -m unittest");
    let c = "cc -std=c11 -Wall -Wextra -Werror -g -fsanitize=address,undefined -fno-sanitize-recover=undefined \
             -o tested test_gristmill.c gristmill.c gristmill_read.c\n\
             ASAN_OPTIONS=detect_leaks=0 ./tested";
    workshop.run("sdk/c", c);
}
