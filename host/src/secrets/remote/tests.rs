#![cfg(all(feature = "google-secret-manager", feature = "hashicorp-vault"))]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use super::*;

const CANARY: &str = "wJalrXUtnFEMI/K7MDENG";
const TOKEN: &str = "hvs.CAESIJ1ZkOy";

/// A question that a service was asked.
#[derive(Debug, Clone)]
struct Question {
    /// Method and path.
    what: String,
    /// The headers, in small letters.
    head: String,
    body: String,
}

/// A service on this machine that answers what it is told to, and remembers what it was asked.
struct Service {
    address: String,
    questions: Arc<Mutex<Vec<Question>>>,
}

impl Service {
    fn answering(answer: impl Fn(&Question) -> (u16, String) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let questions: Arc<Mutex<Vec<Question>>> = Arc::default();
        let asked = Arc::clone(&questions);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut reader = BufReader::new(&stream);
                let mut lines = std::iter::from_fn(|| {
                    let mut line = String::new();
                    reader.read_line(&mut line).unwrap();
                    Some(line.trim_end().to_owned()).filter(|line| !line.is_empty())
                });
                let what = lines.next().unwrap().trim_end_matches(" HTTP/1.1").to_owned();
                let head: Vec<String> = lines.collect();
                let head = head.join("\n").to_lowercase();
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
                let mut body = vec![0; length.unwrap_or(0)];
                reader.read_exact(&mut body).unwrap();
                let question = Question { what, head, body: String::from_utf8(body).unwrap() };
                asked.lock().unwrap().push(question.clone());
                let (status, text) = answer(&question);
                let length = text.len();
                let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
                // Whoever asked may be gone.
                let _ = (&stream).write_all(format!("{head}{text}").as_bytes());
            }
        });
        Self { address, questions }
    }

    fn asked(&self) -> Vec<String> {
        self.questions.lock().unwrap().iter().map(|question| question.what.clone()).collect()
    }
}

/// A file with that text, which everybody may read.
fn file_with(text: &str) -> (tempfile::TempDir, SecretReference) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    (directory, SecretReference::File(path))
}

fn field(service: &Service, login: HashicorpLogin, path: &str, field: &str) -> SecretReference {
    let server = HashicorpServer {
        address: service.address.clone(),
        namespace: Some("team/a".to_owned()),
        ca_file: None,
        login,
    };
    let (mount, path, field) = ("secret".to_owned(), path.to_owned(), field.to_owned());
    (&RemoteReference::Hashicorp(HashicorpSecret { server, mount, path, field })).into()
}

fn value(secrets: &Secrets, reference: &SecretReference) -> String {
    secrets.resolve(reference).unwrap().value.expose_secret().to_owned()
}

/// What an error says, with its causes. It never says a value.
fn words(error: &SecretError) -> String {
    let words = crate::events::Chain(error).to_string();
    for text in [&words, &format!("{error:?}"), &format!("{:?}", error.hint())] {
        assert!(!text.contains(CANARY) && !text.contains(TOKEN), "{text}");
    }
    words
}

fn two_fields() -> Service {
    Service::answering(|_| (200, format!(r#"{{"data":{{"data":{{"id":"AKIA","key":"{CANARY}","n":7}}}}}}"#)))
}

#[test]
fn the_fields_of_a_secret_are_asked_for_once() {
    let (service, (_directory, token)) = (two_fields(), file_with(&format!("{TOKEN}\n")));
    let secrets = Secrets::new(None);
    let of = |name| field(&service, HashicorpLogin::Token(token.clone()), "a b/c", name);
    assert_eq!(value(&secrets, &of("key")), CANARY);
    assert_eq!(value(&secrets, &of("id")), "AKIA");
    assert_eq!(value(&secrets.clone(), &of("key")), CANARY);
    let warning = SecretWarning::ReadableByOthers { reference: token.clone(), mode: 0o644 };
    assert_eq!(secrets.resolve(&of("id")).unwrap().warning, Some(warning));
    assert_eq!(service.asked(), ["GET /v1/secret/data/a%20b/c"]);
    let head = service.questions.lock().unwrap()[0].head.clone();
    for line in ["x-vault-namespace: team/a".to_owned(), format!("x-vault-token: {}", TOKEN.to_lowercase())] {
        assert!(head.lines().any(|there| there == line), "{head}");
    }
    secrets.forget();
    assert_eq!(value(&secrets, &of("key")), CANARY);
    assert_eq!(service.asked().len(), 2);
    assert_eq!(
        words(&secrets.resolve(&of("n")).unwrap_err()),
        "cannot take field `n` of HashiCorp Vault secret `secret/a b/c`: it is not a text"
    );
    assert!(!format!("{secrets:?}").contains(CANARY));
}

#[test]
fn what_is_kept_is_given_up_in_time() {
    let (service, (_directory, token)) = (two_fields(), file_with(TOKEN));
    let secrets = Secrets { remote: Remote::new(Duration::ZERO), ..Secrets::new(None) };
    let of = |path| field(&service, HashicorpLogin::Token(token.clone()), path, "key");
    for path in ["a", "a", "b"] {
        assert_eq!(value(&secrets, &of(path)), CANARY);
    }
    assert_eq!(service.asked().len(), 3);
    assert_eq!(secrets.remote.known().len(), 1, "what nobody asks for is wiped");
}

#[test]
fn many_who_want_one_secret_ask_once() {
    let (service, (_directory, token)) = (two_fields(), file_with(TOKEN));
    let secrets = Secrets::new(None);
    let reference = field(&service, HashicorpLogin::Token(token), "a", "key");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(value(&secrets, &reference), CANARY));
        }
    });
    assert_eq!(service.asked().len(), 1);
}

/// What an answer of HashiCorp Vault comes to.
fn check_vault(status: u16, body: &'static str, expected: &str, kind: FailureKind) {
    let service = Service::answering(move |_| (status, body.to_owned()));
    let (_directory, token) = file_with(TOKEN);
    let reference = field(&service, HashicorpLogin::Token(token), "a", "key");
    let secrets = Secrets::new(None);
    for _ in 0..2 {
        let error = secrets.resolve(&reference).unwrap_err();
        assert_eq!(words(&error), format!("cannot read field `key` of HashiCorp Vault secret `secret/a`: {expected}"));
        assert!(matches!(&error, SecretError::Service { failure, .. } if failure.kind == kind), "{error:?}");
        assert_eq!(error.may_pass(), kind.may_pass());
    }
    assert_eq!(service.asked().len(), 2, "a failure is not kept");
}

#[test]
fn a_refusal_of_vault_says_whose_fault_it_is() {
    let denied = r#"{"errors":["1 error occurred:\n\t* permission denied\n\n"]}"#;
    check_vault(
        403,
        denied,
        r"access denied (status 403): `1 error occurred:\n\t* permission denied`",
        FailureKind::Denied,
    );
    let unknown = r#"{"errors":["2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"]}"#;
    check_vault(
        403,
        unknown,
        r"the credentials are not accepted (status 403): `2 errors occurred:\n\t* permission denied\n\t* invalid token`",
        FailureKind::Credentials,
    );
    check_vault(404, r#"{"errors":[]}"#, "there is no such secret (status 404)", FailureKind::NotFound);
    let first = r#"{"data":null,"warnings":["Invalid path for a versioned K/V secrets engine."]}"#;
    let said = "there is no such secret (status 404): `Invalid path for a versioned K/V secrets engine.`";
    check_vault(404, first, said, FailureKind::NotFound);
    let deleted = r#"{"data":{"data":null,"metadata":{"deletion_time":"2026-11-23T03:16:55Z","destroyed":false}}}"#;
    check_vault(404, deleted, "the secret is disabled or deleted (status 404)", FailureKind::Disabled);
    let sealed = r#"{"errors":["Vault is sealed"]}"#;
    check_vault(503, sealed, "the service failed (status 503): `Vault is sealed`", FailureKind::Server);
    check_vault(429, "{}", "the service asks for fewer requests (status 429)", FailureKind::Throttled);
    check_vault(
        307,
        "",
        "the answer is unexpected (status 307): `it leads to another server: name the active one`",
        FailureKind::Unexpected,
    );
    check_vault(418, "<html>", "the answer is unexpected (status 418)", FailureKind::Unexpected);
}

#[test]
fn what_cannot_be_reached_may_pass() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let service = Service { address: format!("http://{closed}"), questions: Arc::default() };
    let (_directory, token) = file_with(TOKEN);
    let error = Secrets::new(None).resolve(&field(&service, HashicorpLogin::Token(token), "a", "key")).unwrap_err();
    assert!(error.may_pass());
    assert!(words(&error).contains("the service cannot be reached: `"), "{error:?}");
}

#[test]
fn what_is_no_secret_is_told_apart() {
    for (body, problem) in [
        ("{}", "the secret has no such member"),
        (r#"{"data":{"data":{"other":"x"}}}"#, "the secret has no such member"),
        ("<html>", "the secret is not a JSON object"),
    ] {
        let service = Service::answering(move |_| (200, body.to_owned()));
        let (_directory, token) = file_with(TOKEN);
        let reference = field(&service, HashicorpLogin::Token(token), "a", "key");
        let error = Secrets::new(None).resolve(&reference).unwrap_err();
        assert_eq!(words(&error), format!("cannot take field `key` of HashiCorp Vault secret `secret/a`: {problem}"));
        assert!(!error.may_pass());
    }
    let service = Service::answering(|_| (200, " ".repeat(8 * super::super::MAX_BYTES)));
    let (_directory, token) = file_with(TOKEN);
    let error = Secrets::new(None).resolve(&field(&service, HashicorpLogin::Token(token), "a", "key")).unwrap_err();
    assert!(words(&error).ends_with("`it is longer than any secret`"), "{error:?}");
}

/// R14
#[test]
fn looking_asks_nobody_and_finds_what_is_missing_here() {
    let (service, (directory, token)) = (two_fields(), file_with(TOKEN));
    let reference = field(&service, HashicorpLogin::Token(token), "a", "key");
    let secrets = Secrets::new(None);
    let error = secrets.look(&reference).unwrap_err();
    assert!(error.is_not_checked(), "{error:?}");
    fs::remove_file(directory.path().join("token")).unwrap();
    for error in [secrets.look(&reference).unwrap_err(), secrets.resolve(&reference).unwrap_err()] {
        assert!(matches!(error, SecretError::Missing { reference: SecretReference::File(_) }), "{error:?}");
    }
    assert_eq!(service.asked().len(), 0);
}

#[test]
fn a_role_logs_in_once_and_again_when_its_token_is_refused() {
    let revoked = Arc::new(Mutex::new(""));
    let now_revoked = Arc::clone(&revoked);
    let service = Service::answering(move |question| {
        if question.what == "POST /v1/auth/team/approle/login" {
            assert_eq!(question.body, format!(r#"{{"role_id":"reader","secret_id":"{CANARY}"}}"#));
            let token = if now_revoked.lock().unwrap().is_empty() { "first" } else { "second" };
            return (200, format!(r#"{{"auth":{{"client_token":"{token}","lease_duration":600}}}}"#));
        }
        let revoked = *now_revoked.lock().unwrap();
        match !revoked.is_empty() && question.head.contains(&format!("x-vault-token: {revoked}")) {
            true => (403, r#"{"errors":["permission denied"]}"#.to_owned()),
            false => (200, r#"{"data":{"data":{"key":"x"}}}"#.to_owned()),
        }
    });
    let (_directory, secret_id) = file_with(CANARY);
    let (mount, role_id) = ("team/approle".to_owned(), "reader".to_owned());
    let role = HashicorpLogin::AppRole { mount, role_id, secret_id };
    let secrets = Secrets::new(None);
    for path in ["a", "b"] {
        assert_eq!(value(&secrets, &field(&service, role.clone(), path, "key")), "x");
    }
    let login = "POST /v1/auth/team/approle/login";
    assert_eq!(service.asked(), [login, "GET /v1/secret/data/a", "GET /v1/secret/data/b"]);
    *revoked.lock().unwrap() = "first";
    assert_eq!(value(&secrets, &field(&service, role, "c", "key")), "x");
    assert_eq!(service.asked()[3..], ["GET /v1/secret/data/c", login, "GET /v1/secret/data/c"]);
}

#[test]
fn a_role_that_is_refused_has_no_credentials() {
    let service = Service::answering(|_| (400, r#"{"errors":["invalid role or secret ID"]}"#.to_owned()));
    let (_directory, secret_id) = file_with(CANARY);
    let (mount, role_id) = ("approle".to_owned(), "reader".to_owned());
    let reference = field(&service, HashicorpLogin::AppRole { mount, role_id, secret_id }, "a", "key");
    let error = Secrets::new(None).resolve(&reference).unwrap_err();
    assert!(
        words(&error).ends_with("the credentials are not accepted (status 400): `invalid role or secret ID`"),
        "{error:?}"
    );
}

fn google(service: &Service, service_account: SecretReference, key: Option<&str>) -> SecretReference {
    let version = "projects/acme/secrets/s3/versions/latest".to_owned();
    let (key, endpoint_url) = (key.map(str::to_owned), Some(service.address.clone()));
    let service_account = Some(service_account);
    (&RemoteReference::Google(GoogleSecret { version, key, service_account, endpoint_url })).into()
}

/// The output of OpenSSL, which makes keys and checks signatures by itself.
fn openssl(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut command = Command::new("openssl");
    let mut child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{arguments:?}");
    output.stdout
}

/// The key of a service account, as Google gives it out.
fn service_account(private_key: &[u8]) -> String {
    let private_key = String::from_utf8(private_key.to_vec()).unwrap();
    serde_json::json!({
        "type": "service_account", "project_id": "acme", "private_key_id": "4f2c", "private_key": private_key,
        "client_email": "gristmill@acme.iam.gserviceaccount.com", "token_uri": "https://oauth2.googleapis.com/token",
    })
    .to_string()
}

#[test]
fn google_is_asked_with_a_claim_that_the_service_account_signs() {
    // `{"key":"x"}` and its CRC-32C.
    let answer = r#"{"name":"n","payload":{"data":"eyJrZXkiOiJ4In0=","dataCrc32c":"CRC"}}"#;
    let checksum = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, br#"{"key":"x"}"#).to_string();
    let answer = answer.replace("CRC", &checksum);
    let service = Service::answering(move |_| (200, answer.clone()));
    let private = openssl(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], b"");
    let (_directory, account) = file_with(&service_account(&private));
    let secrets = Secrets::new(None);
    assert_eq!(value(&secrets, &google(&service, account.clone(), Some("key"))), "x");
    assert_eq!(value(&secrets, &google(&service, account, None)), r#"{"key":"x"}"#);
    assert_eq!(service.asked(), ["GET /v1/projects/acme/secrets/s3/versions/latest:access"]);
}

#[test]
fn the_claim_says_who_asks_and_for_how_long() {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let private = openssl(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], b"");
    fs::write(path("public"), openssl(&["pkey", "-pubout"], &private)).unwrap();
    let key = SecretString::from(service_account(&private));
    let claim = super::google::signed_claim(&key, 1_700_000_000).unwrap();
    let parts: Vec<&str> = claim.expose_secret().split('.').collect();
    let decoded = |part: &str| String::from_utf8(URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    assert_eq!(decoded(parts[0]), r#"{"alg":"RS256","typ":"JWT","kid":"4f2c"}"#);
    assert_eq!(
        decoded(parts[1]),
        r#"{"iss":"gristmill@acme.iam.gserviceaccount.com","sub":"gristmill@acme.iam.gserviceaccount.com","scope":"https://www.googleapis.com/auth/cloud-platform","iat":1699999990,"exp":1700003590}"#
    );
    fs::write(path("signature"), URL_SAFE_NO_PAD.decode(parts[2]).unwrap()).unwrap();
    let verify = ["dgst", "-sha256", "-verify", &path("public"), "-signature", &path("signature")];
    openssl(&verify, format!("{}.{}", parts[0], parts[1]).as_bytes());
}

#[test]
fn a_key_that_is_not_a_service_accounts_is_refused_before_anybody_is_asked() {
    let service = Service::answering(|_| (200, String::new()));
    for (text, why) in [
        (CANARY.to_owned(), "it is not such a key"),
        (format!(r#"{{"type":"authorized_user","refresh_token":"{CANARY}"}}"#), "it is the key of something else"),
        (format!(r#"{{"type":"service_account","private_key":"{CANARY}"}}"#), "it names no `client_email`"),
        (service_account(CANARY.as_bytes()), "its `private_key` is not one"),
    ] {
        let (_directory, account) = file_with(&text);
        let error = Secrets::new(None).resolve(&google(&service, account, None)).unwrap_err();
        assert!(words(&error).contains(&format!("the service account's key cannot be used: `{why}")), "{error:?}");
    }
    assert_eq!(service.asked().len(), 0);
}

#[test]
fn a_refusal_of_google_says_whose_fault_it_is() {
    let private = openssl(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], b"");
    let (_directory, account) = file_with(&service_account(&private));
    let error = |status: u16, code: &str| {
        (status, format!(r#"{{"error":{{"code":{status},"message":"So it is.","status":"{code}"}}}}"#))
    };
    let data = "eyJrZXkiOiJ4In0=";
    let payload = |more: &str| (200, format!(r#"{{"payload":{{"data":"{data}"{more}}}}}"#));
    for ((status, body), kind) in [
        (error(403, "PERMISSION_DENIED"), FailureKind::Denied),
        (error(404, "NOT_FOUND"), FailureKind::NotFound),
        (error(400, "FAILED_PRECONDITION"), FailureKind::Disabled),
        (error(401, "UNAUTHENTICATED"), FailureKind::Credentials),
        (error(429, "RESOURCE_EXHAUSTED"), FailureKind::Throttled),
        (error(503, "UNAVAILABLE"), FailureKind::Server),
        ((502, "<html>".to_owned()), FailureKind::Server),
        (payload(r#","dataCrc32c":"1""#), FailureKind::Corrupt),
        (payload(""), FailureKind::Unexpected),
        ((200, "{}".to_owned()), FailureKind::Unexpected),
    ] {
        let service = Service::answering(move |_| (status, body.clone()));
        let error = Secrets::new(None).resolve(&google(&service, account.clone(), None)).unwrap_err();
        assert!(matches!(&error, SecretError::Service { failure, .. } if failure.kind == kind), "{error:?}");
        words(&error);
    }
}
