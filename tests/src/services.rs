//! Services that keep secrets, each on 127.0.0.1: OpenBao, which speaks as HashiCorp Vault does and is its own process;
//! and a double of Google's, since there is none to install.
//!
//! OpenBao comes from `tests/requirements.txt` (see [`crate::servers`]). AWS Secrets Manager is Moto, which is there
//! already.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::until;
use crate::servers::tools;

/// Sends a request and waits for its answer: its status and its body.
///
/// # Panics
/// When nobody answers.
pub fn ask(method: &str, url: &str, headers: &[(&str, &str)], body: &Value) -> (u16, Value) {
    try_ask(method, url, headers, body).unwrap_or_else(|error| panic!("{method} {url}: {error}"))
}

fn try_ask(method: &str, url: &str, headers: &[(&str, &str)], body: &Value) -> std::io::Result<(u16, Value)> {
    let (host, path) = url.trim_start_matches("http://").split_once('/').unwrap_or((url, ""));
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let mut request = format!("{method} /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
    let mut stream = TcpStream::connect(host)?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| std::io::Error::other("this is no answer"))?;
    Ok((status, serde_json::from_str(body).unwrap_or_default()))
}

/// A secret of AWS Secrets Manager, made or changed in Moto.
///
/// # Panics
/// When Moto refuses.
pub fn keep_in_aws(endpoint: &str, action: &str, secret: &str, value: &str) {
    let credential = "AWS4-HMAC-SHA256 Credential=tests/20260101/eu-central-1/secretsmanager/aws4_request, \
                      SignedHeaders=host, Signature=0";
    let headers = [
        ("authorization", credential),
        ("content-type", "application/x-amz-json-1.1"),
        ("x-amz-target", &format!("secretsmanager.{action}")),
    ];
    let body = match action {
        "CreateSecret" => json!({ "Name": secret, "SecretString": value, "ClientRequestToken": "0".repeat(32) }),
        _ => json!({ "SecretId": secret }),
    };
    let (status, answer) = ask("POST", &format!("{endpoint}/"), &headers, &body);
    assert_eq!(status, 200, "{answer}");
}

/// OpenBao, unsealed, with nothing in it that outlives it.
pub struct OpenBao {
    child: Child,
    /// Certificates and the log.
    directory: TempDir,
    plain: u16,
    encrypted: u16,
}

impl OpenBao {
    const ROOT: &str = "tests-root-token";

    /// Starts it and waits until it answers.
    ///
    /// # Panics
    /// When it is not installed, or does not answer in time.
    pub fn start() -> Self {
        let executable = tools().join("servers/bin/bao");
        assert!(executable.exists(), "`{}` is missing; install it with: .ci/setup test", executable.display());
        let directory = tempfile::tempdir().expect("a temporary directory");
        let [plain, encrypted] = [(); 2].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port"));
        let port = |listener: TcpListener| listener.local_addr().expect("it is bound").port();
        let (plain, encrypted) = (port(plain), port(encrypted));
        certify(&directory);
        let path = |name: &str| directory.path().join(name).display().to_string();
        let config = format!(
            "listener \"tcp\" {{\n  address = \"127.0.0.1:{encrypted}\"\n  tls_cert_file = \"{}\"\n  tls_key_file = \
             \"{}\"\n}}\n",
            path("server.pem"),
            path("server.key")
        );
        fs::write(path("config.hcl"), config).expect("the directory is ours");
        let log = File::create(path("log")).expect("the directory is ours");
        let child = Command::new(&executable)
            .args(["server", "-dev", "-dev-no-store-token", &format!("-config={}", path("config.hcl"))])
            .arg(format!("-dev-root-token-id={}", Self::ROOT))
            .arg(format!("-dev-listen-address=127.0.0.1:{plain}"))
            .env("HOME", directory.path())
            .stdin(Stdio::null())
            .stderr(log.try_clone().expect("a file can be shared"))
            .stdout(log)
            .spawn()
            .expect("it starts");
        let server = Self { child, directory, plain, encrypted };
        let url = format!("http://127.0.0.1:{plain}/v1/sys/health");
        until("OpenBao answers", || {
            try_ask("GET", &url, &[], &Value::Null).ok().filter(|(status, _)| *status == 200).map(drop)
        });
        server
    }

    /// `https://127.0.0.1:PORT`, for whoever trusts [`OpenBao::authorities`].
    pub fn address(&self) -> String {
        format!("https://127.0.0.1:{}", self.encrypted)
    }

    /// Who vouches for it, in PEM.
    pub fn authorities(&self) -> PathBuf {
        self.directory.path().join("authority.pem")
    }

    /// Sends a request that may do everything, in a namespace; gives what was answered.
    ///
    /// # Panics
    /// When it is refused.
    pub fn root(&self, namespace: &str, method: &str, path: &str, body: &Value) -> Value {
        let url = format!("http://127.0.0.1:{}/v1/{path}", self.plain);
        let headers = [("x-vault-token", Self::ROOT), ("x-vault-namespace", namespace)];
        let (status, answer) = ask(method, &url, &headers, body);
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        answer
    }
}

impl Drop for OpenBao {
    fn drop(&mut self) {
        // Both fail only for a process that has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An authority, and a certificate for 127.0.0.1 by it.
fn certify(directory: &TempDir) {
    let new_key = "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    fs::write(directory.path().join("names"), "subjectAltName=IP:127.0.0.1\n").expect("the directory is ours");
    for arguments in [
        format!("{new_key} -x509 -keyout authority.key -out authority.pem -days 2 -subj /CN=authority"),
        format!("{new_key} -keyout server.key -out server.request -subj /CN=server"),
        "x509 -req -in server.request -CA authority.pem -CAkey authority.key -out server.pem -days 2 -extfile names"
            .to_owned(),
    ] {
        let made = Command::new("openssl").args(arguments.split(' ')).current_dir(directory).output();
        let made = made.expect("openssl is installed by: .ci/setup test");
        assert!(made.status.success(), "{arguments}: {made:?}");
    }
}

/// A double of Google's metadata server and of Secret Manager, as Google documents the two. It gives a token to whoever
/// asks for the machine's, and secrets to whoever has that token. It knows no permissions, no signed claims, no locations
/// and no other operation than `access`.
pub struct GoogleServices {
    port: u16,
    shared: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    /// Values by resource, with the version.
    secrets: BTreeMap<String, String>,
    /// Paths, as they were asked for.
    asked: Vec<String>,
    /// Whether Secret Manager is out of order.
    is_broken: bool,
}

impl GoogleServices {
    /// The machine's token.
    pub const TOKEN: &str = "ya29.tOkEn-Of-A-Machine_13579";

    /// Listens.
    ///
    /// # Panics
    /// When there is no free port.
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let shared: Arc<Mutex<Kept>> = Arc::default();
        let kept = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let lines = BufReader::new(&stream).lines().map_while(Result::ok);
                let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
                let (status, body) = kept.lock().unwrap_or_else(PoisonError::into_inner).answer(&head);
                let body = body.to_string();
                let length = body.len();
                // Whoever asked may be gone.
                let _ = write!(
                    &stream,
                    "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nmetadata-flavor: Google\r\n\
                     content-length: {length}\r\nconnection: close\r\n\r\n{body}"
                );
            }
        });
        Self { port, shared }
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Keeps a version of a secret; none to destroy it.
    pub fn keep(&self, version: &str, value: Option<&str>) {
        let secrets = &mut self.shared.lock().unwrap_or_else(PoisonError::into_inner).secrets;
        match value {
            Some(value) => drop(secrets.insert(version.to_owned(), value.to_owned())),
            None => drop(secrets.remove(version)),
        }
    }

    /// Puts Secret Manager out of order, or into it again.
    pub fn set_broken(&self, is_broken: bool) {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).is_broken = is_broken;
    }

    /// How often secrets were asked for.
    pub fn asked(&self) -> usize {
        let kept = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        kept.asked.iter().filter(|path| path.ends_with(":access")).count()
    }
}

impl Kept {
    fn answer(&mut self, head: &[String]) -> (u16, Value) {
        let has = |wanted: String| head.iter().any(|line| line.eq_ignore_ascii_case(&wanted));
        let path = head.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
        self.asked.push(path.to_owned());
        let refused = |status: u16, code: &str, message: &str| {
            (status, json!({ "error": { "code": status, "message": message, "status": code } }))
        };
        if path == "/computeMetadata/v1/instance/service-accounts/default/token" {
            return match has("metadata-flavor: Google".to_owned()) {
                true => {
                    (200, json!({ "access_token": GoogleServices::TOKEN, "expires_in": 3599, "token_type": "Bearer" }))
                }
                false => (403, Value::Null),
            };
        }
        if self.is_broken {
            return refused(503, "UNAVAILABLE", "The service is currently unavailable.");
        }
        if !has(format!("authorization: Bearer {}", GoogleServices::TOKEN)) {
            return refused(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.");
        }
        let version = path.strip_prefix("/v1/").and_then(|path| path.strip_suffix(":access")).unwrap_or_default();
        match self.secrets.get(version) {
            Some(value) => {
                let checksum = crc32c(value.as_bytes()).to_string();
                (
                    200,
                    json!({ "name": version, "payload": { "data": base64(value.as_bytes()), "dataCrc32c": checksum } }),
                )
            }
            None => refused(404, "NOT_FOUND", &format!("Secret Version [{version}] not found.")),
        }
    }
}

/// The CRC-32C (Castagnoli), bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0x82F6_3B78 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

/// Padded base64.
fn base64(bytes: &[u8]) -> String {
    let alphabet: Vec<char> = ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['+', '/']).collect();
    let of = |group: &[u8]| {
        let bits = (0..3).fold(0_usize, |bits, at| bits << 8 | usize::from(group.get(at).copied().unwrap_or(0)));
        let sixes = [18, 12, 6, 0].map(|shift| alphabet[bits >> shift & 63]);
        sixes.into_iter().take(group.len() + 1).chain(std::iter::repeat_n('=', 3 - group.len())).collect::<String>()
    };
    bytes.chunks(3).map(of).collect()
}
