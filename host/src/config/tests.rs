use std::fs;
use std::path::Path;

use super::path::TomlPath;
use super::*;
use crate::destination::files::{Compression, Format};
use crate::secrets::{HashicorpLogin, HashicorpServer, RemoteReference};

/// Rewrites the golden files and the example file instead of comparing them.
const REWRITE: &str = "GRISTMILL_REWRITE";

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn without_environment(path: &Path) -> Loaded {
    load_in(path, &|_| None).unwrap()
}

/// What is loaded of one text.
fn loaded(text: &str) -> Loaded {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gristmill.toml");
    fs::write(&path, text).unwrap();
    without_environment(&path)
}

/// The messages by path.
fn problems(loaded: &Loaded) -> Vec<String> {
    loaded.problems.iter().map(|problem| format!("{}: {}", problem.path, problem.message)).collect()
}

fn check_golden(path: &Path, actual: &str) {
    if std::env::var_os(REWRITE).is_some() {
        fs::write(path, actual).unwrap();
        return;
    }
    let golden = fs::read_to_string(path).unwrap_or_default();
    assert_eq!(golden, actual, "`{}` differs; {REWRITE}=1 rewrites it", path.display());
}

/// Each `NAME.toml`, and each `NAME/gristmill.toml` with its `conf.d`, against `NAME.json` (the checked configuration) or
/// `NAME.err` (the problems).
#[test]
fn every_golden_configuration_is_read_as_recorded() {
    let folder = repository().join("tests/config");
    let mut cases = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let file = match (path.is_dir(), path.extension()) {
            (true, _) => path.join("gristmill.toml"),
            (false, Some(extension)) if extension == "toml" => path.clone(),
            (false, _) => continue,
        };
        cases += 1;
        let loaded = without_environment(&file);
        let shown = |text: String| text.replace(&*folder.to_string_lossy(), "$DIR");
        let (right, wrong) = (path.with_extension("json"), path.with_extension("err"));
        let (expected, other, actual) = if loaded.problems.is_empty() {
            (right, wrong, serde_json::to_string_pretty(&loaded.config).unwrap() + "\n")
        } else {
            (wrong, right, render_problems(&loaded.problems))
        };
        if std::env::var_os(REWRITE).is_some() && other.exists() {
            fs::remove_file(&other).unwrap();
        }
        assert!(!other.exists(), "`{}` should not exist beside `{}`", other.display(), expected.display());
        check_golden(&expected, &shown(actual));
    }
    assert!(cases >= 20, "{cases} cases");
}

#[test]
fn the_example_file_is_current() {
    check_golden(&repository().join("host/dist/gristmill.toml"), &example_file());
}

#[test]
fn the_example_file_is_valid_as_it_ships() {
    let loaded = loaded(&example_file());
    assert_eq!(problems(&loaded), [""; 0]);
    assert!(loaded.config.integrations.is_empty());
}

/// The example file with its settings in force.
fn example_in_force() -> String {
    let lines = example_file();
    let lines = lines.lines().map(|line| match line.strip_prefix('#') {
        Some(setting) if !setting.is_empty() && (!setting.starts_with(' ') || setting.starts_with("  {")) => setting,
        _ => line,
    });
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn the_example_file_is_valid_when_everything_in_it_is_set() {
    let loaded = loaded(&example_in_force());
    assert_eq!(problems(&loaded), [""; 0]);
    let config = &loaded.config;
    assert_eq!((config.connections.len(), config.integrations.len(), config.mappers.len()), (1, 1, 1));
    // The values shown as defaults are the defaults.
    let plain = self::loaded("");
    assert_eq!(json(&config.daemon), json(&plain.config.daemon));
    let decode = &config.integrations.values().next().unwrap().decode;
    assert_eq!(*decode, crate::decode::DecodeOptions::default());
    let limits = config.mappers.values().next().unwrap().limits;
    assert_eq!(limits, MapperLimits::default());
    let save_failed = config.mappers.values().next().unwrap().save_failed;
    assert_eq!(save_failed, Some(SaveFailed::default()));
    let default_destination = plain.config.destinations.values().next().unwrap();
    assert_eq!(config.destinations.values().next().unwrap().kind, default_destination.kind);
}

fn json(value: &impl Serialize) -> serde_json::Value {
    serde_json::to_value(value).unwrap()
}

/// Every example of the manual, those of other choices too, is accepted where it belongs.
#[test]
fn every_example_beside_an_error_is_valid() {
    for (headers, path, example) in manual::examples() {
        let text = format!("{headers}{example}\n");
        let loaded = loaded(&text);
        assert!(!loaded.problems.iter().any(|problem| problem.scope == Scope::Syntax), "{text}{:?}", problems(&loaded));
        let wrong = loaded.problems.iter().filter(|problem| problem.path.replace("[0]", "").starts_with(&path));
        // Alone in its file an example may lead nowhere or stand beside nothing; it is still of the right shape.
        let wrong: Vec<_> = wrong
            .map(|problem| problem.message.as_str())
            .filter(|message| {
                !(message.starts_with("there is no connection `acme`")
                    || message.starts_with("there is no mapper `acme`")
                    || message.starts_with("there is no destination `")
                    || *message == "there is no vault"
                    || message.starts_with("there is no table `secrets.hashicorp_vault`")
                    || message.starts_with("no custom mapper is named"))
            })
            .collect();
        assert_eq!(wrong, [""; 0], "{text}");
    }
}

/// However a file was cut off or damaged, it is read to problems or to a configuration.
#[test]
fn a_damaged_file_never_stops_the_reader() {
    let whole = example_in_force();
    let places = (0..whole.len()).step_by(97).filter(|place| whole.is_char_boundary(*place));
    for place in places {
        let (before, after) = whole.split_at(place);
        let without_one: String = before.chars().chain(after.chars().skip(1)).collect();
        for text in [before.to_owned(), without_one, format!("{before}\"{after}"), format!("{before} = [{after}")] {
            let loaded = loaded(&text);
            assert!(!loaded.problems.iter().any(|problem| problem.message.is_empty()), "{text}");
        }
    }
}

const HEALTHY: &str = r#"
[connections.good]
region = "eu-central-1"
default_chain = {}
[integrations.good]
connection = "good"
bucket = "b"
identifiers = [{ column = "Id", match = "crm_id" }]
fields = [{ column = "A", field = "a", type = "text" }]
"#;

/// R15: a mistake disables the one table it is in, and what depends on it.
fn check_only_good_is_left(more: &str, bad: &[&str]) {
    let loaded = loaded(&format!("{HEALTHY}{more}"));
    assert!(!loaded.is_fatal(), "{:?}", problems(&loaded));
    let names: Vec<_> = loaded.config.integrations.keys().map(IntegrationName::as_str).collect();
    assert_eq!(names, ["good"], "{:?}", problems(&loaded));
    let paths: Vec<_> = loaded.problems.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(paths, bad);
}

const BAD_INTEGRATION: &str = r#"
[integrations.bad]
connection = "bad"
bucket = "b"
identifiers = [{ column = "Id", match = "crm_id" }]
fields = [{ column = "A", field = "a", type = "text" }]
"#;

/// R15
#[test]
fn a_mistake_in_an_integration_disables_that_integration() {
    check_only_good_is_left(
        "[integrations.bad]\nconnection = 'good'\nbucket = 'b'\nfields = 1",
        &["integrations.bad.fields"],
    );
}

/// R15
#[test]
fn a_mistake_in_a_connection_disables_the_integrations_that_use_it() {
    let connection = "[connections.bad]\nregion = 'EU'\ndefault_chain = {}";
    check_only_good_is_left(
        &format!("{connection}{BAD_INTEGRATION}"),
        &["connections.bad.region", "integrations.bad.connection"],
    );
}

/// R15
#[test]
fn a_mistake_in_a_mapper_disables_the_integrations_that_use_it() {
    let more = "
        [mappers.bad]
        path = 'bad.wasm'
        sha256 = 'none'
        [integrations.bad]
        connection = 'good'
        bucket = 'b'
        mapper = { field_mapping = 'bad' }";
    check_only_good_is_left(more, &["mappers.bad.sha256", "integrations.bad.mapper.field_mapping"]);
}

/// R15
#[test]
fn a_mistake_in_the_vault_disables_what_refers_to_a_secret_in_it_when_that_is_read() {
    for vault in ["[vault]", "vault = 1", "[vault]\nkey = 'AGE-SECRET-KEY-1'", "[vault]\nkey = { file = 'a' }"] {
        let loaded = loaded(&format!("{vault}\n{HEALTHY}"));
        assert!(!loaded.is_fatal(), "{:?}", problems(&loaded));
        assert_eq!((loaded.problems.len(), loaded.config.integrations.len()), (1, 1), "{:?}", problems(&loaded));
        assert!(loaded.problems[0].scope == Scope::Vault && loaded.config.vault_key.is_none());
        assert!(!render_problems(&loaded.problems).contains("SECRET"));
    }
}

#[test]
fn references_to_the_vault_are_found_wherever_they_stand() {
    let text = "
        [vault]
        key = { file = '/k' }
        [connections.off.assume_role.access_key]
        secret_access_key = { secret = 'shared' }
        [destinations.hook.webhook]
        secret = { secret = 'shared' }
        [destinations.other.webhook]
        secret = 'shared'
        [notify.n]
        url = { secret = 'no name' }
        [integrations.i.mapper.settings]
        secret = 'shared'";
    let found = loaded(text).vault_references;
    let found: Vec<_> = found.iter().map(|(name, paths)| (name.as_str(), paths.join(" "))).collect();
    let paths = "connections.off.assume_role.access_key.secret_access_key destinations.hook.webhook.secret";
    assert_eq!(found, [("shared", paths.to_owned())]);
}

/// R15
#[test]
fn a_mistake_in_a_destination_disables_the_integrations_that_use_it() {
    let more = "
        [destinations.main]
        sqlite = {}
        [destinations.bad]
        files = {}
        [integrations.bad]
        connection = 'good'
        bucket = 'b'
        destination = 'bad'
        mapper = {}";
    let bad = ["destinations.bad.files.path", "integrations.bad.fields", "integrations.bad.destination"];
    check_only_good_is_left(more, &bad);
}

#[test]
fn files_are_plain_lines_or_small_columns_unless_it_is_said() {
    let form = |keys: &str| {
        let loaded = loaded(&format!("[destinations.a.files]\npath = 'a'\n{keys}"));
        assert_eq!(problems(&loaded), [""; 0]);
        match loaded.config.destinations[&"a".parse().unwrap()].kind {
            DestinationKind::Files { form: Form { format, compression }, .. } => (format, compression),
            ref other => panic!("{other:?}"),
        }
    };
    assert_eq!(form(""), (Format::Ndjson, Compression::None));
    assert_eq!(form("format = 'parquet'"), (Format::Parquet, Compression::Zstd));
    assert_eq!(form("format = 'parquet'\ncompression = 'none'"), (Format::Parquet, Compression::None));
    assert_eq!(form("compression = 'gzip'"), (Format::Ndjson, Compression::Gzip));
}

#[test]
fn a_form_that_there_is_not_is_refused_with_those_there_are() {
    let loaded = loaded("[destinations.a.files]\npath = 'a'\nformat = 'avro'\ncompression = 'snappy'");
    assert_eq!(
        problems(&loaded),
        [
            "destinations.a.files.compression: this is not one of the choices: `none`, `gzip`, `zstd`",
            "destinations.a.files.format: this is not one of the choices: `ndjson` or `parquet`",
        ]
    );
}

/// R15
#[test]
fn only_syntax_and_the_daemon_are_fatal() {
    for text in ["[daemon", "a = 1", "[daemon]\npoll_interval = 5", "[daemon.log]\nlevel = 'loud'", "connections = 1"] {
        assert!(loaded(text).is_fatal(), "{text}");
    }
    for text in ["[connections.a]", "[integrations.a]", "[mappers.'a b']", "[destinations.a]\nx = 1"] {
        let loaded = loaded(text);
        assert!(!loaded.is_fatal() && !loaded.problems.is_empty(), "{text}");
    }
}

/// R15
#[test]
fn an_integration_that_is_switched_off_is_not_complained_about() {
    let off = "[integrations.off]\nenabled = false\nconnection = 'nowhere'\nbukcet = 'b'";
    let loaded = loaded(&format!("{HEALTHY}{off}"));
    assert_eq!(problems(&loaded), [""; 0]);
    assert!(loaded.config.switched_off.is_empty());
}

#[test]
fn an_integration_that_is_switched_off_and_in_order_can_still_be_named() {
    let loaded = loaded(&format!("{HEALTHY}enabled = false"));
    assert!(loaded.config.integrations.is_empty());
    assert!(loaded.config.integration(&"good".parse().unwrap()).is_some());
}

/// R13
#[test]
fn once_a_table_names_a_tenant_every_integration_must() {
    let loaded = loaded(&format!("{HEALTHY}[mappers.m]\npath = 'm.wasm'\nsha256 = '{}'\ntenant = 't'", "0".repeat(64)));
    assert_eq!(
        problems(&loaded),
        ["integrations.good.tenant: this key is missing; `mappers.m` names a tenant, so every integration must"]
    );
}

/// R13
#[test]
fn what_names_a_tenant_serves_only_it() {
    let text = HEALTHY.replace("default_chain = {}", "default_chain = {}\ntenant = 'acme'");
    let loaded = loaded(&format!("{text}tenant = 'other'"));
    assert_eq!(
        problems(&loaded),
        [
            "integrations.good.connection: the connection `good` serves the tenant `acme` alone, and this integration is \
          `other`'s"
        ]
    );
    assert!(self::loaded(&format!("{text}tenant = 'acme'")).problems.is_empty());
}

/// A secret in the wrong place must not come out in an error, a log line or `Debug`.
#[test]
fn a_secret_in_the_wrong_place_is_never_repeated() {
    const CANARY: &str = "wJalrXUtnFEMIbPxRfiCYEXAMPLEKEY";
    let in_connection = [
        format!("access_key = '{CANARY}'"),
        format!("access_key = ['{CANARY}']"),
        format!("access_key = {{ access_key_id = 'AKIA', secret_access_key = '{CANARY}' }}"),
        format!("access_key = {{ access_key_id = 'AKIA', secret_access_key = ['{CANARY}'] }}"),
        format!("access_key = {{ access_key_id = 'AKIA', secret_access_key = {{ value = '{CANARY}' }} }}"),
        format!("access_key = {{ access_key_id = 'AKIA', secret_access_key = {{ secret = '{CANARY}' }} }}"),
        format!("access_key = {{ access_key_id = 'AKIA', secret_access_key = {{ credential = '{CANARY}/+' }} }}"),
        format!("access_key = {{ access_key_id = 'AKIA', secret_access_key = {{ file = '{CANARY}' }} }}"),
        format!("access_key = {{ access_key_id = 'AKIA', secret_access_key = {{ env = '{CANARY}-' }} }}"),
        format!("access_key = {{ access_key_id = 'AKIA', secret = '{CANARY}' }}"),
        format!("access_key = {{ access_key_id = 'AKIA', session_token = '{CANARY}' }}"),
        format!("access_key = {{ access_key_id = 'A {CANARY}' }}"),
        format!("access_key = {{ access_key_id = 'AKIA', secret_access_key = '{CANARY} }}"),
        format!("access_key = {{ access_key_id = 'AKIA', secret_access_key = {CANARY} }}"),
        format!("default_chain = '{CANARY}'"),
        format!("force_path_style = '{CANARY}'"),
        format!("endpoint_url = 'https://user:{CANARY}@example.com'"),
        format!("secret_access_key = '{CANARY}'"),
    ];
    for line in in_connection {
        let loaded = loaded(&format!("[connections.a]\nregion = 'eu'\n{line}\n"));
        assert!(!loaded.problems.is_empty(), "{line}");
        let shown = format!("{}{loaded:?}{}", render_problems(&loaded.problems), json(&loaded.problems));
        assert!(!shown.contains(CANARY), "{shown}");
    }
}

#[test]
fn systemd_says_where_the_directories_are_unless_the_file_does() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gristmill.toml");
    fs::write(&path, "").unwrap();
    let environment = |name: &str| match name {
        "STATE_DIRECTORY" => Some("/srv/state:/srv/other".into()),
        "RUNTIME_DIRECTORY" => Some("/srv/run".into()),
        _ => None,
    };
    let daemon = load_in(&path, &environment).unwrap().config.daemon;
    assert_eq!((daemon.state_dir, daemon.runtime_dir), ("/srv/state".into(), "/srv/run".into()));
    fs::write(&path, "daemon.state_dir = '/elsewhere'").unwrap();
    assert_eq!(load_in(&path, &environment).unwrap().config.daemon.state_dir, Path::new("/elsewhere"));
}

#[test]
fn a_file_that_is_not_there_is_an_error_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("none.toml");
    assert_eq!(load(&path).unwrap_err().to_string(), format!("cannot read `{}`", path.display()));
}

#[test]
fn a_file_that_is_not_utf_8_is_a_problem_with_a_place() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gristmill.toml");
    fs::write(&path, b"# x\n# \xff\n").unwrap();
    let loaded = without_environment(&path);
    assert!(loaded.is_fatal());
    assert_eq!(loaded.problems[0].position, Some(Position { line: 2, column: 3 }));
}

#[test]
fn backfill_since_a_day_begins_with_that_day_in_the_time_zone() {
    let loaded = loaded(&format!("{HEALTHY}timezone = 'Europe/Berlin'\nbackfill = {{ since = 2026-07-01 }}"));
    assert_eq!(problems(&loaded), [""; 0]);
    let integration = &loaded.config.integrations[&"good".parse().unwrap()];
    assert_eq!(integration.backfill, Backfill::Since("2026-06-30T22:00:00Z".parse().unwrap()));
}

#[test]
fn settings_of_a_custom_mapper_are_json_with_sorted_keys() {
    let text = format!(
        "{}[mappers.m]\npath = 'm.wasm'\nsha256 = '{}'\n[integrations.good.mapper]\nproduct_usage = 'm'\n\
         settings = {{ z = 1, a = {{ d = 2026-01-31, c = [true, 0.5, 'x'] }} }}\n",
        HEALTHY,
        "0".repeat(64)
    );
    let loaded = loaded(&text);
    assert_eq!(problems(&loaded), [""; 0]);
    let integration = &loaded.config.integrations[&"good".parse().unwrap()];
    let usage = integration.product_usage.as_ref().unwrap();
    assert_eq!(usage.mapper, MapperChoice::Named("m".parse().unwrap()));
    assert_eq!(integration.mappers().map(MapperName::as_str).collect::<Vec<_>>(), ["m"]);
    assert_eq!(&*usage.settings, r#"{"a":{"c":[true,0.5,"x"],"d":"2026-01-31"},"z":1}"#);
    let fields = integration.field_mapping.as_ref().unwrap();
    assert_eq!(fields.mapper, MapperChoice::BuiltIn);
    assert_eq!(
        &*fields.settings,
        r#"{"fields":[{"column":"A","field":"a","type":"text"}],"identifiers":[{"column":"Id","match":"crm_id"}],"usage":[]}"#
    );
}

#[test]
fn a_connection_names_every_secret_that_it_needs() {
    let text = "[connections.c]\nregion = 'eu'\n[connections.c.access_key]\naccess_key_id = { file = '/id' }\n\
                secret_access_key = { env = 'KEY' }\nsession_token = { credential = 'token' }";
    let loaded = loaded(text);
    assert_eq!(problems(&loaded), [""; 0]);
    let secrets: Vec<_> =
        loaded.config.connections.values().next().unwrap().secrets().map(ToString::to_string).collect();
    assert_eq!(secrets, ["file `/id`", "environment variable `KEY`", "credential `token`"]);
}

#[test]
fn a_reference_to_a_service_knows_how_it_is_spoken_to() {
    let text = std::fs::read_to_string(repository().join("tests/config/secret-services.toml")).unwrap();
    let loaded = loaded(&text);
    assert_eq!(problems(&loaded), [""; 0]);
    let secrets = |name: &str| -> Vec<RemoteReference> {
        let connection = &loaded.config.connections[&name.parse().unwrap()];
        let remote = |reference: &SecretReference| match reference {
            SecretReference::Remote(reference) => Some((**reference).clone()),
            _ => None,
        };
        connection.secrets().filter_map(remote).collect()
    };
    let regions = secrets("aws").into_iter().map(|reference| match reference {
        RemoteReference::Aws(secret) => secret.region,
        other => panic!("{other}"),
    });
    let regions: Vec<_> = regions.collect();
    assert_eq!(regions, [Some("eu-west-1".to_owned()), None, Some("us-east-1".to_owned())], "an ARN names its own");
    let [RemoteReference::Google(google), _] = &secrets("google")[..] else { panic!() };
    assert_eq!(google.service_account.as_ref().unwrap().to_string(), "credential `google`");
    let [_, RemoteReference::Hashicorp(vault)] = &secrets("vault")[..] else { panic!() };
    let server = HashicorpServer {
        address: "https://vault.example.com:8200/".to_owned(),
        namespace: Some("team/a".to_owned()),
        ca_file: Some("/etc/vault.pem".into()),
        login: HashicorpLogin::AppRole {
            mount: "team/approle".to_owned(),
            role_id: "reader".to_owned(),
            secret_id: SecretReference::File("/etc/secret-id".into()),
        },
    };
    assert_eq!((&vault.server, &*vault.mount, &*vault.path), (&server, "kv/team", "acme"));
}

#[test]
fn a_relative_mapper_begins_at_the_file_that_names_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gristmill.toml");
    fs::create_dir(directory.path().join("conf.d")).unwrap();
    fs::write(&path, "").unwrap();
    let mapper = format!("[mappers.m]\npath = 'm.wasm'\nsha256 = '{}'", "0".repeat(64));
    fs::write(directory.path().join("conf.d/m.toml"), mapper).unwrap();
    let config = without_environment(&path).config;
    assert_eq!(config.mappers.values().next().unwrap().path, directory.path().join("conf.d/m.wasm"));
}

#[test]
fn problems_have_the_scope_of_their_table() {
    let scope = |keys: &[&str]| Scope::of(&keys.iter().fold(TomlPath::default(), |path, key| path.key(*key)));
    assert_eq!(scope(&["daemon", "log"]), Scope::Daemon);
    assert_eq!(scope(&["connections", "a", "region"]), Scope::Connection("a".into()));
    assert_eq!(scope(&["integrations", "a"]), Scope::Integration("a".into()));
    assert_eq!(scope(&["tenants", "a", "files_at_once"]), Scope::Tenant("a".into()));
    assert_eq!(scope(&["integrations"]), Scope::Syntax);
}

const RESOLVING: &str = "
[connections.c]
region = 'eu-central-1'
default_chain = {}
[destinations.main]
sqlite = {}
[destinations.lake]
resolve = 'main'
files = { path = 'lake' }
[destinations.hook]
resolve = 'main'
webhook = { url = 'https://example.com/', secret = { env = 'SECRET' } }
[integrations.i]
connection = 'c'
bucket = 'b'
identifiers = [{ column = 'Id', match = 'crm_id' }]
fields = [{ column = 'A', field = 'a', type = 'text' }]
";

/// R12
#[test]
fn what_cannot_match_resolves_through_a_store() {
    for more in [
        "destination = 'hook'",
        "destination = ['lake', 'hook']",
        "destination = ['hook', 'main', 'lake']\nmatching = { on_no_match = 'create' }",
    ] {
        assert_eq!(problems(&loaded(&format!("{RESOLVING}{more}"))), [""; 0], "{more}");
    }
    let cases = [
        (
            "destination = 'hook'\nmatching = { on_no_match = 'create' }",
            "integrations.i.matching.on_no_match: `hook` resolves through `main`, which creates no account for it",
        ),
        (
            "destination = ['main', 'hook']\nmatching = { on_multiple = 'all' }",
            "integrations.i.matching.on_multiple: `hook` resolves through `main`, and a record of it has one account",
        ),
        (
            "destination = ['hook', 'other', 'main']\n[destinations.other]\nsqlite = { path = 'o' }",
            "integrations.i.destination[0]: `hook` resolves through `main`, which does not come first among the stores here",
        ),
        (
            "[destinations.other]\nresolve = 'lake'\nfiles = { path = 'o' }",
            "destinations.other.resolve: `lake` keeps no accounts",
        ),
        (
            "[destinations.other]\nresolve = 'main'\nsqlite = { path = 'o' }",
            "destinations.other.resolve: this destination keeps accounts of its own",
        ),
        (
            "[destinations.other]\nresolve = 'nobody'\nfiles = { path = 'o' }",
            "destinations.other.resolve: there is no destination `nobody`",
        ),
    ];
    for (more, expected) in cases {
        assert_eq!(problems(&loaded(&format!("{RESOLVING}{more}"))), [expected], "{more}");
    }
}
