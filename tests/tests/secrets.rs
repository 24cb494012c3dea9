//! No secret leaves the daemon: a run at trace level, and every byte of it searched; and no core file when it crashes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use gristmill_loopback_s3::{Fault, Operation};
use gristmill_postgres_server::{DATABASE, PASSWORD, PostgresServer, USER};
use gristmill_tests::process::{BUCKET, Bed, binary, command, files_below, until};
use gristmill_tests::servers::{Program, S3Server};
use gristmill_tests::services::{GoogleServices, OpenBao, keep_in_aws};
use memchr::memmem;
use rustix::process::{Pid, Signal, kill_process};

/// The key that the server knows; its characters change under every encoding.
const SECRET: &str = "cAnArY+Of/The?Key=0123456789%abcDEF~";
/// A key that the server refuses, and the token beside it.
const REFUSED: &str = "rEfUsEd+Key/9876543210&ZYXwvu";
const TOKEN: &str = "tOkEn+Of/A?Session=13579%02468";
/// What records are signed with, and the part of the receiver's address that lets in whoever has it.
const SIGNING: &str = "sIgNiNg+Key/For?Records=24680%13579";
const ADDRESS: &str = "aDdReSs-Of-A-Receiver.97531_08642";
/// What is in the vault: a key that the server refuses, a password that the database refuses, the part of an address that
/// is told of alarms, and what such notices are signed with. The vault has [`SECRET`] and [`PASSWORD`] as well.
const IN_VAULT: [(&str, &str); 4] = [
    ("refused", "vAuLtEd+Key/13579?24680=AbCdEfGh"),
    ("barred", "bArReD&Password/97531%86420~zyx"),
    ("notified", "nOtIfIeD-Of-Alarms.86420_13579"),
    ("notices", "nOtIcEs+Signed/With=12345&abcXYZ"),
];
/// A key that the server refuses, and the variable that it comes in.
const FROM_ENVIRONMENT: &str = "eNvIrOnMeNt+Key/54321?09876=QwErTy";
const VARIABLE: &str = "REFUSED_KEY";
/// What AWS Secrets Manager and HashiCorp Vault are asked with. Google's is the token of the double's machine.
const AWS_KEY: &str = "aWsKeY+Of/The?Daemon=8642%0";
const VAULT_TOKEN: &str = "vAuLt-Token-Of-The-Daemon_86420";
/// What stands in every place that is searched, which proves that the search sees.
const PLANTED: &str = "plAnTeD-in-every-place";

/// What is searched: everything that a run shows or leaves, by where it came from.
#[derive(Default)]
struct Places(BTreeMap<String, Vec<u8>>);

impl Places {
    fn add(&mut self, place: &str, bytes: &[u8]) {
        let seen = self.0.entry(place.to_owned()).or_default();
        seen.extend_from_slice(bytes);
        // So that nothing is found across a seam.
        seen.push(0);
    }

    /// The places in which a secret stands, as it is or encoded.
    fn with(&self, secret: &str) -> Vec<String> {
        let found = |form: &(&str, Vec<u8>)| {
            let holds = |(_, bytes): &(&String, &Vec<u8>)| memmem::find(bytes, &form.1).is_some();
            self.0.iter().filter(holds).map(|(place, _)| format!("{place}, {}", form.0)).collect::<Vec<_>>()
        };
        forms(secret).iter().flat_map(found).collect()
    }
}

/// A secret as it is, and as logs, answers and files might carry it.
fn forms(secret: &str) -> Vec<(&'static str, Vec<u8>)> {
    let bytes = secret.as_bytes();
    let hex = |upper: bool| {
        let digits = |byte: &u8| if upper { format!("{byte:02X}") } else { format!("{byte:02x}") };
        bytes.iter().map(digits).collect::<String>().into_bytes()
    };
    let percent = |keeps: fn(u8) -> bool, upper: bool| {
        let code = |byte: &u8| match *byte {
            byte if keeps(byte) => char::from(byte).to_string(),
            byte if upper => format!("%{byte:02X}"),
            byte => format!("%{byte:02x}"),
        };
        bytes.iter().map(code).collect::<String>().into_bytes()
    };
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let path = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    let mut forms = vec![
        ("plain", bytes.to_vec()),
        ("reversed", bytes.iter().rev().copied().collect()),
        ("hex", hex(false)),
        ("HEX", hex(true)),
        ("percent", percent(unreserved, true)),
        ("percent in small letters", percent(unreserved, false)),
        ("percent of a path", percent(path, true)),
        ("as a list of bytes", format!("{bytes:?}").trim_matches(['[', ']']).as_bytes().to_vec()),
        ("utf-16", secret.encode_utf16().flat_map(u16::to_le_bytes).collect()),
    ];
    // Wherever in a longer text it stood: 0, 1 or 2 bytes after a group of three.
    for before in 0..3 {
        for (name, alphabet) in [("base64", b"+/"), ("base64 for addresses", b"-_")] {
            forms.push((name, base64_within(before, bytes, alphabet)));
        }
    }
    forms
}

/// The base64 of a text that begins `before` bytes after a group, less the characters that depend on its neighbours.
fn base64_within(before: usize, text: &[u8], last: &[u8; 2]) -> Vec<u8> {
    let alphabet: Vec<u8> = (b'A'..=b'Z').chain(b'a'..=b'z').chain(b'0'..=b'9').chain(*last).collect();
    let padded = [&[0_u8; 2][..before], text].concat();
    let sixes = padded.chunks_exact(3).flat_map(|group| {
        let bits = group.iter().fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte));
        [18, 12, 6, 0].map(|shift| alphabet[bits >> shift & 63])
    });
    sixes.skip([0, 2, 3][before]).collect()
}

#[test]
fn the_search_finds_a_secret_in_every_encoding() {
    let cases = [
        "key: cAnArY+Of/The?Key=0123456789%abcDEF~!",
        "63416e4172592b4f662f5468653f4b65793d30313233343536373839256162634445467e",
        "?key=cAnArY%2BOf%2FThe%3FKey%3D0123456789%25abcDEF~&",
        "Y0FuQXJZK09mL1RoZT9LZXk9MDEyMzQ1Njc4OSVhYmNERUZ+",
        "bG9vcGJhY2s6Y0FuQXJZK09mL1RoZT9LZXk9MDEyMzQ1Njc4OSVhYmNERUZ+",
        "OmNBbkFyWStPZi9UaGU/S2V5PTAxMjM0NTY3ODklYWJjREVGfg==",
        "az1jQW5BclkrT2YvVGhlP0tleT0wMTIzNDU2Nzg5JWFiY0RFRn4=",
    ];
    for case in cases {
        let mut places = Places::default();
        places.add("here", case.as_bytes());
        assert!(!places.with(SECRET).is_empty(), "{case}");
    }
    let mut places = Places::default();
    places.add("here", b"cAnArY+Of/The?Key=0123456789%abcDE");
    assert_eq!(places.with(SECRET), Vec::<String>::new());
}

/// A receiver that knows nobody, and repeats what it was asked with: its port.
fn receiver() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(&stream);
            let (mut head, mut line, mut length) = (String::new(), String::new(), 0);
            while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                let value = line.trim_end().strip_prefix("content-length: ");
                length = value.map_or(length, |value| value.parse().unwrap());
                head.push_str(&std::mem::take(&mut line));
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let _ = write!(
                &stream,
                "HTTP/1.1 401 Who\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{head}",
                head.len()
            );
        }
    });
    port
}

fn integration(name: &str, connection: &str, destination: &str) -> String {
    format!(
        "[integrations.{name}]\nconnection = \"{connection}\"\nbucket = \"{BUCKET}\"\npoll_interval = \"1h\"\n\
         destination = \"{destination}\"\n\
         matching = {{ on_no_match = \"create\" }}\nidentifiers = [{{ column = \"Account\", match = \"crm_id\" }}]\n\
         fields = [{{ column = \"Name\", field = \"name\", type = \"text\" }}, \
         {{ column = \"Seats\", field = \"seats\", type = \"integer\" }}]\n"
    )
}

/// Connections, destinations and integrations of every kind that holds a secret; some are refused.
fn parts(bed: &Bed) -> String {
    let refused = format!(
        "[connections.refused]\nendpoint_url = \"{}\"\naccess_key = {{ access_key_id = \"loopback\", \
         secret_access_key = {{ file = \"{}\" }}, session_token = {{ file = \"{}\" }} }}\n",
        bed.server.endpoint(),
        bed.path("refused-key").display(),
        bed.path("refused-token").display()
    );
    let hook = format!(
        "[destinations.hook]\nwebhook = {{ url = {{ file = \"{}\" }}, secret = {{ file = \"{}\" }} }}\n",
        bed.path("address").display(),
        bed.path("signing").display()
    );
    let obtained = |name: &str, how: &str| {
        format!(
            "[connections.{name}]\nendpoint_url = \"{endpoint}\"\n[connections.{name}.{how}\nendpoint_url = \"{endpoint}\"\n\
             access_key = {{ access_key_id = \"loopback\", secret_access_key = {{ file = \"{}\" }} }}\n",
            bed.path("secret-key").display(),
            endpoint = bed.server.endpoint(),
        )
    };
    let server = PostgresServer::shared();
    let postgres = |name: &str, schema: &str| {
        format!(
            "[destinations.{name}.postgres]\nhost = \"localhost\"\nport = {}\ndatabase = \"{DATABASE}\"\nuser = \"{USER}\"\n\
             password = {{ secret = \"{name}\" }}\nca_file = \"{}\"\nschema = \"{schema}\"\n",
            server.port(),
            server.ca_file().display()
        )
    };
    let with_key = |name: &str, reference: &str| {
        format!(
            "[connections.{name}]\nendpoint_url = \"{}\"\n\
             access_key = {{ access_key_id = \"loopback\", secret_access_key = {{ {reference} }} }}\n",
            bed.server.endpoint()
        )
    };
    [
        format!("[vault]\nkey = {{ file = \"{}\" }}\n", bed.path("vault.key").display()),
        "[notify.night]\nurl = { secret = \"notified\" }\nsecret = { secret = \"notices\" }\n".to_owned(),
        with_key("vaulted", "secret = \"good\""),
        with_key("vault-refused", "secret = \"refused\""),
        with_key("environment", &format!("env = \"{VARIABLE}\"")),
        postgres("warehouse", "searched"),
        postgres("barred", "barred"),
        integration("to-warehouse", "vaulted", "warehouse"),
        integration("to-barred", "vaulted", "barred"),
        integration("vault-denied", "vault-refused", "store"),
        integration("environment-denied", "environment", "store"),
        hook,
        integration("to-hook", "acme", "hook"),
        "[destinations.store]\nsqlite = {}\n[destinations.lines]\nfiles = { path = \"lines\" }\n".to_owned(),
        refused,
        obtained("assumed", "assume_role]\nrole_arn = \"arn:aws:iam::123456789012:role/reader\""),
        obtained("granted", "access_grants]\naccount_id = \"123456789012\""),
        integration("of-a-role", "assumed", "lines"),
        integration("of-a-grant", "granted", "lines"),
        integration("to-store", "acme", "store"),
        integration("to-lines", "acme", "lines"),
        integration("denied", "refused", "store"),
    ]
    .concat()
}

/// What the services are that keep the server's key, and a connection for each.
fn kept(bed: &Bed, aws: &S3Server, vault: &OpenBao, google: &GoogleServices) -> String {
    let pair = serde_json::json!({ "key": SECRET });
    keep_in_aws(&aws.endpoint(), "CreateSecret", "mill", &pair.to_string());
    google.keep("projects/p/secrets/mill/versions/latest", Some(SECRET));
    vault.root("", "POST", "secret/data/mill", &serde_json::json!({ "data": pair }));
    let policy = "path \"secret/data/mill\" { capabilities = [\"read\"] }";
    vault.root("", "POST", "sys/policies/acl/mill", &serde_json::json!({ "policy": policy }));
    let token = serde_json::json!({ "id": VAULT_TOKEN, "policies": ["mill"] });
    vault.root("", "POST", "auth/token/create", &token);
    fs::write(bed.path("vault-token"), VAULT_TOKEN).unwrap();
    let connection = |name: &str, reference: &str| {
        format!(
            "[connections.{name}]\nendpoint_url = \"{}\"\naccess_key = {{ access_key_id = \"loopback\", \
             secret_access_key = {{ {reference} }} }}\n",
            bed.server.endpoint()
        )
    };
    let services = format!(
        "[secrets.aws_secrets_manager]\nregion = \"eu-central-1\"\nendpoint_url = \"{}\"\n\
         [secrets.google_secret_manager]\nendpoint_url = \"http://{}\"\n\
         [secrets.hashicorp_vault]\naddress = \"{}\"\nca_file = \"{}\"\ntoken = {{ file = \"{}\" }}\n",
        aws.endpoint(),
        google.host(),
        vault.address(),
        vault.authorities().display(),
        bed.path("vault-token").display()
    );
    [
        services,
        connection("of-aws", "aws_secrets_manager = { secret = \"mill\", key = \"key\" }"),
        connection("of-google", "google_secret_manager = { secret = \"projects/p/secrets/mill\" }"),
        connection("of-vault", "hashicorp_vault = { path = \"mill\", field = \"key\" }"),
        integration("by-aws", "of-aws", "lines"),
        integration("by-google", "of-google", "lines"),
        integration("by-vault", "of-vault", "lines"),
    ]
    .concat()
}

#[test]
fn no_secret_is_in_logs_answers_files_or_arguments() {
    let bed = Bed::with_secret(SECRET);
    let aws = tokio::runtime::Runtime::new().unwrap().block_on(S3Server::start(Program::Moto));
    let (vault, google) = (OpenBao::start(), GoogleServices::start());
    let key = format!("{PLANTED}.csv");
    let rows = format!("Account,Name,Seats\nA,{PLANTED},7\nB,Bea,{PLANTED}\n");
    bed.server.put(BUCKET, &key, rows).unwrap();
    // The configuration's path stands in the arguments of every process, workers excepted.
    let config = bed.path(PLANTED).join("gristmill.toml");
    fs::create_dir(bed.path(PLANTED)).unwrap();
    let address = format!("http://127.0.0.1:{}/{ADDRESS}?{PLANTED}", receiver());
    let key_file = bed.path("vault.key");
    let secrets = [("refused-key", REFUSED), ("refused-token", TOKEN), ("signing", SIGNING), ("address", &address)];
    for (name, value) in secrets {
        fs::write(bed.path(name), value).unwrap();
        fs::set_permissions(bed.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    let issuer = bed.server.issuer();
    issuer.trust("arn:aws:iam::123456789012:role/reader", None);
    issuer.open_instance("123456789012");
    issuer.grant(&format!("s3://{BUCKET}/*"));
    let parts = parts(&bed) + &kept(&bed, &aws, &vault, &google);
    bed.configure_in(&bed.state(), &config, "", &parts);

    let mut places = Places::default();
    let log = bed.path("log");
    let gristmill = |arguments: &[&str]| {
        let mut gristmill = command(&config, arguments);
        gristmill.env("GRISTMILL_LOG", "trace").env("RUST_BACKTRACE", "full");
        gristmill.env(VARIABLE, FROM_ENVIRONMENT).env("PLANTED", PLANTED).env("GCE_METADATA_HOST", google.host());
        gristmill.env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE").env("AWS_SECRET_ACCESS_KEY", AWS_KEY);
        gristmill
    };
    let ask = |places: &mut Places, arguments: &[&str]| {
        let output = gristmill(arguments).arg("--json").output().unwrap();
        places.add("the answers in JSON", &output.stdout);
        places.add("what commands say on standard error", &output.stderr);
        let output = gristmill(arguments).output().unwrap();
        places.add("the answers as text", &output.stdout);
        places.add("what commands say on standard error", &output.stderr);
    };
    ask(&mut places, &["secret", "list"]);
    ask(&mut places, &["secret", "key", key_file.to_str().unwrap()]);
    let mut keys = vec![identity_in(&key_file)];
    let notified = format!("http://127.0.0.1:{}/{}?{PLANTED}", receiver(), IN_VAULT[2].1);
    let own = [("good", SECRET), ("warehouse", PASSWORD)];
    for (name, value) in IN_VAULT.into_iter().chain(own) {
        let value = if name == "notified" { &notified } else { value };
        for arguments in [["secret", "set", name], ["secret", "set", name], ["secret", "rotate", name]] {
            let output = with_input(gristmill(&arguments).arg("--json"), value);
            places.add("the answers in JSON", &output.stdout);
            places.add("what commands say on standard error", &output.stderr);
        }
    }
    ask(&mut places, &["secret", "rekey"]);
    keys.push(identity_in(&key_file));
    ask(&mut places, &["secret", "list"]);
    ask(&mut places, &["secret", "remove", "good"]);
    ask(&mut places, &["destination", "migrate", "warehouse"]);
    ask(&mut places, &["destination", "migrate", "barred"]);
    let once = gristmill(&["run", "--once"]).output().unwrap();
    assert_eq!(once.status.code(), Some(1), "some integrations are refused");
    let said = String::from_utf8_lossy(&once.stderr);
    assert!(said.contains("the answer was 401"), "the receiver was asked: {said}");
    assert!(said.contains("password authentication failed"), "the database was asked: {said}");
    let stored = PostgresServer::shared().query("searched", "SELECT count(*) FROM account_overview");
    assert_eq!(stored, ["1"], "keys and password of the vault are good: {said}");
    places.add("the log of a pass", &once.stderr);
    places.add("the answers as text", &once.stdout);

    let mut command = gristmill(&["run"]);
    let stderr = File::create(&log).unwrap();
    let daemon = command.stdout(Stdio::piped()).stderr(stderr).spawn().unwrap();
    let pid = Pid::from_child(&daemon);
    until("the daemon answers", || {
        look_at_processes(&mut places, pid);
        bed.runtime().join("control.sock").exists().then_some(())
    });
    until("it says what was refused", || {
        look_at_processes(&mut places, pid);
        memmem::find(&fs::read(&log).unwrap(), b"pass_failed").map(drop)
    });
    let slow = format!("{PLANTED}-slow.csv");
    bed.server.faults().next_of(Operation::GetObject, &slow, 1, Fault::Slow { pause: Duration::from_secs(1) });
    let rows = (0..9_000).fold("Account,Name\n".to_owned(), |text, row| format!("{text}S{row},{PLANTED}\n"));
    bed.server.put(BUCKET, &slow, rows).unwrap();
    ask(&mut places, &["poll", "to-lines"]);
    until("a copy is in the spool", || {
        look_at_processes(&mut places, pid);
        let copies: Vec<_> = fs::read_dir(bed.state().join("spool")).unwrap().map_while(Result::ok).collect();
        let copies: Vec<u8> = copies.iter().flat_map(|copy| fs::read(copy.path()).unwrap_or_default()).collect();
        places.add("the spool", &copies);
        memmem::find(&copies, PLANTED.as_bytes()).map(drop)
    });
    let object = format!("s3://{BUCKET}/{key}");
    let questions: [&[&str]; 26] = [
        &["status"],
        &["check"],
        &["connection", "test", "acme"],
        &["connection", "test", "refused"],
        &["connection", "test", "assumed"],
        &["connection", "test", "granted"],
        &["connection", "test", "of-aws"],
        &["connection", "test", "of-google"],
        &["connection", "test", "of-vault"],
        &["connection", "policy", "granted"],
        &["connection", "test", "vault-refused"],
        &["connection", "test", "environment"],
        &["explain", "to-barred", &key],
        &["secret", "list"],
        &["test", "of-a-role", &object],
        &["test", "to-store", &object],
        &["test", "denied", &object],
        &["explain", "to-store", &key],
        &["ledger", "list"],
        &["ledger", "show", "to-hook", &key],
        &["explain", "to-hook", &key],
        &["ledger", "show", "to-lines", &key],
        &["ledger", "export"],
        &["replay", "to-store", "--key", &key],
        &["backfill", "denied", "all"],
        &["poll", PLANTED],
    ];
    questions.iter().for_each(|arguments| ask(&mut places, arguments));
    for connection in ["of-aws", "of-google", "of-vault"] {
        let tested = gristmill(&["connection", "test", connection]).output().unwrap();
        assert!(tested.status.success(), "the server's key was not read: {tested:?}");
    }
    kill_process(pid, Signal::TERM).unwrap();
    let ended = daemon.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0));
    places.add("the daemon's standard output", &ended.stdout);
    places.add("the daemon's log", &fs::read(&log).unwrap());
    for (path, content) in files_below(&bed.state()) {
        let place = if path.starts_with("rejects") { "the reject files" } else { "the state directory" };
        places.add(place, path.as_os_str().as_encoded_bytes());
        places.add(place, &content);
    }

    for (place, bytes) in &places.0 {
        println!("{:>9} bytes of {place}", bytes.len());
    }
    let seen = places.with(PLANTED);
    // The daemon has nothing to say on standard output, so there is nowhere to plant.
    for place in places.0.keys().filter(|place| *place != "the daemon's standard output") {
        assert!(seen.contains(&format!("{place}, plain")), "the search does not see {place}: {seen:?}");
    }
    let issued = issuer.secrets();
    assert!(issued.len() >= 4, "nothing was obtained: {issued:?}");
    let given = [SECRET, REFUSED, TOKEN, SIGNING, ADDRESS, PASSWORD, FROM_ENVIRONMENT];
    let given = given.into_iter().chain([AWS_KEY, VAULT_TOKEN, GoogleServices::TOKEN]);
    let in_vault = IN_VAULT.iter().map(|(_, value)| *value);
    for secret in issued.iter().chain(&keys).map(String::as_str).chain(given).chain(in_vault) {
        assert_eq!(places.with(secret), Vec::<String>::new(), "{secret} has left the daemon");
    }
}

/// Adds the arguments and the environment of the daemon and of whatever it has started. The variable that a secret comes
/// in is the daemon's own: nobody else may have it.
fn look_at_processes(places: &mut Places, daemon: Pid) {
    let daemon = daemon.as_raw_nonzero().get().to_string();
    let mut left = vec![daemon.clone()];
    while let Some(pid) = left.pop() {
        // A worker may be gone by now.
        let read = |name: &str| fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
        places.add("the arguments of processes", &read("cmdline"));
        for variable in read("environ").split(|byte| *byte == 0) {
            let is_own = [VARIABLE, "AWS_SECRET_ACCESS_KEY"].iter().any(|own| variable.starts_with(own.as_bytes()));
            if pid != daemon || !is_own {
                places.add("the environment of processes", variable);
            }
        }
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        left.extend(children.split_whitespace().map(str::to_owned));
    }
}

fn with_input(command: &mut Command, input: &str) -> std::process::Output {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // One that refuses before it reads has closed its end.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// The secret half of a key.
fn identity_in(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    text.lines().find(|line| line.starts_with("AGE-SECRET-KEY-")).unwrap().to_owned()
}

/// How a program ends that may leave core files of any size, and is told to leave one.
fn crash(directory: &Path, program: &[&str], is_ready: impl Fn() -> bool) -> ExitStatus {
    let mut prlimit = Command::new("prlimit");
    prlimit.arg("--core=unlimited").args(program).current_dir(directory);
    let mut child = prlimit.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until("it runs", || is_ready().then_some(()));
    kill_process(Pid::from_child(&child), Signal::ABORT).unwrap();
    child.wait().unwrap()
}

#[test]
fn a_crash_leaves_no_core_file() {
    let bed = Bed::new();
    bed.configure("", "");
    let directory = bed.path("");
    let started = directory.join("started");
    let mark = format!("touch {}; exec sleep 60", started.display());
    let other = crash(&directory, &["sh", "-c", &mark], || started.exists());
    assert!(other.core_dumped(), "no program leaves a core file here, so nothing is shown: {other}");
    let (gristmill, config) = (binary(), bed.config());
    let run = [gristmill.to_str().unwrap(), "--config", config.to_str().unwrap(), "run"];
    let socket = bed.runtime().join("control.sock");
    let ended = crash(&directory, &run, || socket.exists());
    assert_eq!((ended.signal(), ended.core_dumped()), (Some(6), false));
}
