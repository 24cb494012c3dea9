//! Accounts loaded from a file of this machine, and those that are there told of.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::PathBuf;

use gristmill_loopback_s3::{Config, Server};
use gristmill_tests::daemon::{Bed, Ran};

const BUCKET: &str = "exports";

/// A list of accounts, and an integration over the same accounts that creates none.
const CONFIG: &str = r#"
[integrations.list]
enabled = false
connection = "main"
bucket = "exports"
identifiers = [{ column = "Id", match = "crm_id" }, { column = "Site", match = "domain" }, { column = "Name", match = "name" }]
fields = [
  { column = "ARR", field = "arr", type = "currency" },
  { column = "Key", field = "key_account", type = "boolean" },
  { column = "Tags", field = "tags", type = "text_list" },
]

[integrations.stages]
connection = "main"
bucket = "exports"
prefix = "stages/"
poll_interval = "1s"
identifiers = [{ column = "domain", match = "domain" }]
fields = [{ column = "stage", field = "stage", type = "text" }]
"#;

const LIST: &str =
    "Id,Site,Name,ARR,Key,Tags\n001,acme.example,Müller GmbH,1200.50,yes,\"a,b\"\n002,beta.example,Beta,7,no,\n";

fn ground() -> (Server, Bed) {
    let server = Server::start(Config::with_bucket(BUCKET)).unwrap();
    let bed = Bed::new(&server.endpoint(), "loopback", "loopback-secret");
    bed.configure(CONFIG);
    (server, bed)
}

fn write(bed: &Bed, name: &str, text: &str) -> PathBuf {
    let path = bed.path(name);
    fs::write(&path, text).unwrap();
    path
}

fn import(bed: &Bed, name: &str, text: &str, more: &[&str]) -> Ran {
    let path = write(bed, name, text);
    let path = path.to_str().unwrap();
    bed.command([&["accounts", "import", path, "--integration", "list"], more].concat())
}

/// `read created updated unchanged rejected` of an import.
fn counts(ran: &Ran) -> [u64; 5] {
    let report = ran.values.first().unwrap_or_else(|| panic!("{ran:?}"));
    ["read", "created", "updated", "unchanged", "rejected"].map(|name| report[name].as_u64().unwrap())
}

/// R7
#[test]
fn what_matched_no_account_is_taken_once_they_are_loaded() {
    let (server, bed) = ground();
    // Nothing is recorded while there is no account at all.
    server.put(BUCKET, "stages/a.csv", "domain,stage\nacme.example,won\nelse.example,lost\n").unwrap();
    server.put(BUCKET, "stages/b.csv", "domain,stage\nbeta.example,open\n").unwrap();
    let ran = bed.once();
    assert!(ran.refusal("stages").contains("accounts import"), "{ran:?}");

    let loaded = import(&bed, "list.csv", "Id,Site,Name,ARR,Key,Tags\n001,acme.example,Müller GmbH,1,yes,\n", &[]);
    assert_eq!(loaded.code, 0, "{loaded:?}");
    assert_eq!(
        loaded.output,
        "rows: 1 read, 0 rejected\naccounts: 1 created, 0 updated, 0 unchanged\n\
         files with rows that matched no account before: gristmill replay stages --unmatched\n"
    );
    // One file matched in part, and one not at all.
    let ran = bed.once();
    assert_eq!(ran.counts("stages"), [2, 0, 1, 0, 0, 1], "{ran:?}");
    assert_eq!(bed.entry("stages", "stages/b.csv")["failure"]["class"], "no_account_matched");

    assert_eq!(import(&bed, "list.csv", LIST, &[]).code, 0);
    let asked = bed.command(["replay", "stages", "--unmatched", "--json"]);
    assert_eq!((asked.code, &asked.values[0]["keys"]), (0, &2.into()), "{asked:?}");
    let ran = bed.once();
    assert_eq!(ran.counts("stages"), [2, 0, 2, 0, 0, 0], "{ran:?}");
    let stages = "SELECT crm_id, value FROM account_field_values WHERE field = 'stage' ORDER BY 1";
    assert_eq!(bed.rows(stages), ["001|won", "002|open"]);

    // A row still waits for its account; a file that matched is left alone.
    let asked = bed.command(["replay", "stages", "--unmatched", "--json"]);
    assert_eq!(asked.values[0]["keys"], 1, "{asked:?}");
    let more = format!("{LIST}003,else.example,Else,1,no,\n");
    assert_eq!(import(&bed, "list.csv", &more, &[]).code, 0);
    assert_eq!(bed.once().code, 0);
    assert_eq!(bed.rows(stages), ["001|won", "002|open", "003|lost"]);
    let asked = bed.command(["replay", "stages", "--unmatched"]);
    assert_eq!(
        (asked.code, asked.output.as_str()),
        (0, "no file has rows that matched no account, or an unknown user\n"),
        "{asked:?}"
    );
}

/// R14
#[test]
fn accounts_are_loaded_beside_a_running_daemon() {
    let (server, bed) = ground();
    server.put(BUCKET, "stages/a.csv", "domain,stage\nacme.example,won\n").unwrap();
    let daemon = bed.start();
    daemon.wait_for("the pause", |line| line["event"] == "integration_paused" && line["integration"] == "stages");
    assert_eq!(import(&bed, "list.csv", LIST, &[]).code, 0);
    // Nothing is unmatched yet, but the pass that waited for accounts begins.
    let asked = bed.command(["replay", "stages", "--unmatched"]);
    assert_eq!(asked.code, 0, "{asked:?}");
    daemon.wait_for("the file", |line| line["event"] == "object_completed" && line["integration"] == "stages");
    assert_eq!(daemon.stop(), 0);
    assert_eq!(bed.rows("SELECT crm_id, value FROM account_field_values WHERE field = 'stage'"), ["001|won"]);
}

/// R1
#[test]
fn the_same_bytes_are_loaded_once() {
    let (_server, bed) = ground();
    let first = import(&bed, "list.csv", LIST, &["--json"]);
    assert_eq!((first.code, counts(&first)), (0, [2, 2, 0, 0, 0]), "{first:?}");
    assert_eq!(first.values[0]["to_replay"], serde_json::json!(["stages"]));
    let content = bed.content();

    // Under whatever name.
    let second = import(&bed, "other.csv", LIST, &[]);
    assert!(
        second.output.ends_with("is there already: nothing was loaded (`--again` loads it once more)\n"),
        "{second:?}"
    );
    let second = import(&bed, "other.csv", LIST, &["--json"]);
    assert_eq!((second.code, second.values[0]["already"].as_bool()), (0, Some(true)), "{second:?}");
    assert_eq!(bed.content(), content);
    assert_eq!(bed.rows("SELECT count(*) FROM ingestion_history"), ["1"]);

    let again = import(&bed, "list.csv", LIST, &["--again", "--json"]);
    assert_eq!((again.code, counts(&again)), (0, [2, 0, 0, 2, 0]), "{again:?}");
    assert_eq!(bed.rows("SELECT generation FROM ingestion_history ORDER BY 1"), ["0", "1"]);

    // Other bytes update what is there and create the rest.
    let changed =
        LIST.replace("1200.50", "9").replace("002,", "003,").replace("beta.", "gamma.").replace("Beta", "Gamma");
    let changed = import(&bed, "list.csv", &changed, &["--json"]);
    assert_eq!((changed.code, counts(&changed)), (0, [2, 1, 1, 0, 0]), "{changed:?}");
    let arr = "SELECT crm_id, value, bucket, key FROM account_field_values WHERE field = 'arr' ORDER BY 1";
    assert_eq!(bed.rows(arr), ["001|9|local file|list.csv", "002|7|local file|list.csv", "003|7|local file|list.csv"]);
}

/// R10
#[test]
fn a_row_that_does_not_read_is_refused_alone() {
    let (_server, bed) = ground();
    let loaded = import(&bed, "list.csv", &LIST.replace(",7,", ",seven,"), &["--json"]);
    assert_eq!((loaded.code, counts(&loaded)), (1, [2, 1, 0, 0, 1]), "{loaded:?}");
    let path = loaded.values[0]["reject_files"][0].as_str().unwrap();
    let rejects = fs::read_to_string(path).unwrap();
    assert!(rejects.contains("002,beta.example,Beta,seven,no,,3,ARR,seven,"), "{rejects}");

    // With a limit none of it is, and the file is named all the same (R11).
    bed.configure(&CONFIG.replacen("enabled = false", "enabled = false\nmax_rejects = 0", 1));
    let refused = import(&bed, "worse.csv", &LIST.replace(",7,", ",eight,"), &[]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.errors.contains("nothing was loaded: 1 of 2 rows were rejected"), "{refused:?}");
    assert!(refused.errors.contains("rejects/list/worse.csv."), "{refused:?}");
    assert_eq!(bed.rows("SELECT crm_id FROM account_overview"), ["001"]);

    // Mended, the reject file itself is loaded.
    let mended = import(&bed, "mended.csv", &rejects.replacen("seven", "7", 1), &["--json"]);
    assert_eq!((mended.code, counts(&mended)), (0, [1, 1, 0, 0, 0]), "{mended:?}");
    assert_eq!(bed.rows("SELECT crm_id FROM account_overview ORDER BY 1"), ["001", "002"]);
}

#[test]
fn lines_of_json_are_loaded_as_rows() {
    let (_server, bed) = ground();
    // A number is read as JSON writes it, whatever the mapping says of texts.
    bed.configure(&CONFIG.replacen("type = \"currency\"", "type = \"currency\", number = { decimal = \",\" }", 1));
    let lines = "{\"Id\": \"001\", \"Site\": \"acme.example\", \"Name\": \"Müller\\nGmbH\", \"ARR\": 1200.5, \"Key\": true}\n\n\
                 {\"Name\": null, \"Id\": \"002\", \"ARR\": \"1200,5\", \"Tags\": \"a,b\"}\n\
                 {\"Id\": \"003\", \"ARR\": \"much\"}\n";
    let loaded = import(&bed, "list.ndjson", lines, &["--json"]);
    assert_eq!((loaded.code, counts(&loaded)), (1, [3, 2, 0, 0, 1]), "{loaded:?}");
    let rejects = fs::read_to_string(loaded.values[0]["reject_files"][0].as_str().unwrap()).unwrap();
    assert!(rejects.contains("Id,Site,Name,ARR,Key,Tags,_gristmill_line,"), "{rejects}");
    assert!(rejects.contains("003,,,much,,,4,ARR,much,"), "{rejects}");
    let values = "SELECT crm_id, field, value FROM account_field_values ORDER BY 1, 2";
    assert_eq!(bed.rows(values), ["001|arr|1200.5", "001|key_account|1", "002|arr|1200.5", "002|tags|[\"a\",\"b\"]"]);
}

#[test]
fn an_export_comes_back_as_what_it_was() {
    let (_server, bed) = ground();
    let other = r#"
[integrations.back]
enabled = false
connection = "main"
bucket = "exports"
tenant = "other"
identifiers = [
  { column = "crm_id", match = "crm_id" },
  { column = "domain", match = "domain" },
  { column = "domain_2", match = "domain" },
  { column = "name", match = "name" },
]
fields = [
  { column = "arr", field = "arr", type = "currency" },
  { column = "key_account", field = "key_account", type = "boolean" },
  { column = "tags", field = "tags", type = "text_list" },
]
"#;
    let named = CONFIG.replace("connection = \"main\"", "connection = \"main\"\ntenant = \"default\"");
    bed.configure(&format!("{named}{other}"));
    assert_eq!(import(&bed, "list.csv", LIST, &[]).code, 0);
    // The second domain of an account, and a cell that looks like a formula.
    let more =
        "Id,Site,Name,ARR,Key,Tags\n001,acme-two.example,Müller GmbH,1200.50,yes,\"a,b\"\n004,d.example,=1+1,,,\n";
    assert_eq!(import(&bed, "more.csv", more, &[]).code, 0);

    let several = bed.command(["accounts", "export"]);
    assert_eq!(several.code, 1);
    assert!(several.errors.contains("--tenant default --destination main, or --tenant other"), "{several:?}");
    let exported = bed.command(["accounts", "export", "--tenant", "default"]);
    assert_eq!(
        exported.output,
        "crm_id,domain,domain_2,name,arr,key_account,tags\n\
         001,acme-two.example,acme.example,Müller GmbH,1200.5,true,\"a,b\"\n\
         002,beta.example,,Beta,7,false,\n\
         004,d.example,,=1+1,,,\n",
        "{exported:?}"
    );
    let path = bed.path("export.csv");
    let path = path.to_str().unwrap();
    assert_eq!(bed.command(["accounts", "export", path, "--tenant", "default"]).code, 0);
    let back = bed.command(["accounts", "import", path, "--integration", "back", "--json"]);
    assert_eq!((back.code, counts(&back)), (0, [3, 3, 0, 0, 0]), "{back:?}");
    let content = "SELECT crm_id, name, domains, field, value FROM account_field_values ORDER BY 1, 4";
    assert_eq!(bed.rows_of("other", content), bed.rows(content));
    let lines = |tenant| bed.command(["accounts", "export", "--format", "ndjson", "--tenant", tenant]).values;
    let without_times = |mut lines: Vec<serde_json::Value>| {
        lines.iter_mut().for_each(|line| line["created_at"] = serde_json::Value::Null);
        lines
    };
    assert_eq!(without_times(lines("other")), without_times(lines("default")));
    assert_eq!(lines("default")[0]["fields"]["tags"], serde_json::json!(["a", "b"]));
}

#[test]
fn accounts_are_found_by_their_keys_and_by_parts_of_their_names() {
    let (_server, bed) = ground();
    let nothing = bed.command(["accounts", "find", "001"]);
    assert_eq!(nothing.code, 1, "{nothing:?}");
    assert!(nothing.errors.contains("no account is known by `001`"), "{nothing:?}");
    assert!(!bed.state().join("store").exists(), "looking makes nothing");

    assert_eq!(import(&bed, "list.csv", LIST, &[]).code, 0);
    for text in ["001", "ACME.example", "Müller GmbH", "MULLER", "ller g"] {
        let found = bed.command(["accounts", "find", text, "--json"]);
        assert_eq!((found.code, found.values.len()), (0, 1), "{text}: {found:?}");
        assert_eq!(found.values[0]["crm_id"], serde_json::json!(["001"]), "{text}");
    }
    let found = bed.command(["accounts", "find", "001"]);
    let (_, shown) = found.output.split_once('\n').unwrap();
    assert_eq!(
        shown,
        "  crm_id: 001\n  domain: acme.example\n  name: Müller GmbH\n  arr: 1200.5\n  key_account: true\n  tags: a,b\n"
    );
    // A part of an identifier is none.
    assert_eq!(bed.command(["accounts", "find", "00"]).code, 1);
}

#[test]
fn what_cannot_be_loaded_or_told_is_said_with_a_hint() {
    let (_server, bed) = ground();
    let usage = "identifiers = [{ column = \"id\", match = \"crm_id\" }]\n";
    let more = format!(
        "[destinations.main]\nsqlite = {{}}\n[destinations.records]\nfiles.path = \"records\"\n\
         [integrations.usage]\nconnection = \"main\"\nbucket = \"exports\"\n{usage}\
         [[integrations.usage.usage]]\nproduct = \"P\"\nperiod = \"daily\"\nmetrics = [{{ column = \"n\", metric = \"n\" }}]\n\
         [integrations.lines]\nconnection = \"main\"\nbucket = \"exports\"\ndestination = \"records\"\n{usage}\
         fields = [{{ column = \"stage\", field = \"stage\", type = \"text\" }}]\n"
    );
    bed.configure(&format!("{CONFIG}{more}"));
    let list = write(&bed, "list.csv", LIST);
    let list = list.to_str().unwrap();
    let text = write(&bed, "list.txt", LIST);
    let nested = write(&bed, "list.jsonl", "{\"Id\": \"001\"}\n{\"Id\": \"002\", \"Tags\": [\"a\"]}\n");
    let cases = [
        (list, "nobody", "there is no integration `nobody`"),
        (list, "usage", "the integration `usage` maps no account fields"),
        (list, "lines", "the destination `records` matches no accounts"),
        (text.to_str().unwrap(), "list", "is neither .csv nor .xlsx nor .xls nor .ndjson"),
        (nested.to_str().unwrap(), "list", "the value of `Tags` in line 2 is nested"),
        ("nowhere.csv", "list", "cannot read `nowhere.csv`"),
    ];
    for (file, integration, said) in cases {
        let ran = bed.command(["accounts", "import", file, "--integration", integration]);
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.errors.contains(said), "{integration}: {ran:?}");
    }
    let ran = bed.command(["accounts", "export", "--destination", "records"]);
    assert!(ran.errors.contains("this destination cannot be asked for its accounts"), "{ran:?}");
    assert!(ran.errors.contains("hint: `records` passes records on"), "{ran:?}");
}
