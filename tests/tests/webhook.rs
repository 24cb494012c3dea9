//! The whole way from a bucket to a webhook, by the built binary: every record at least once, whatever the receiver does
//! and whenever the process is killed (I1, I3, R12).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use gristmill_loopback_s3::{Config, Server};
use gristmill_tests::daemon::{Bed, Ran};
use hmac::{Hmac, KeyInit, Mac};
use rustix::process::Signal;
use serde_json::Value;
use sha2::Sha256;

const BUCKET: &str = "exports";
const SECRET: &str = "between-the-two-of-us";
const TOKEN: &str = "open-sesame-31337";
const DEADLINE: Duration = Duration::from_secs(120);

/// What a receiver does with a request.
#[derive(Debug, Clone, Copy)]
enum Answer {
    /// Status line, headers, and the body.
    Says(&'static str, &'static str),
    /// It closes the connection.
    HangsUp,
    /// It keeps the connection open until somebody gives up.
    SaysNothing,
}

use Answer::{HangsUp, Says, SaysNothing};

const TAKES: Answer = Says("200 OK", "");

/// A batch as it came.
#[derive(Debug, Clone)]
struct Batch {
    at: Instant,
    body: Value,
}

impl Batch {
    fn number(&self) -> u64 {
        self.body["batch"].as_u64().unwrap()
    }

    fn id(&self) -> String {
        self.body["id"].as_str().unwrap().to_owned()
    }

    fn generation(&self) -> u64 {
        self.body["identity"]["generation"].as_u64().unwrap()
    }
}

/// A receiver on this machine. It gives its answers in turn, and then takes everything.
struct Receiver {
    url: String,
    answers: Arc<Mutex<VecDeque<Answer>>>,
    seen: Arc<(Mutex<Vec<Batch>>, Condvar)>,
}

impl Receiver {
    fn start(answers: &[Answer]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/records?token={TOKEN}", listener.local_addr().unwrap());
        let answers = Arc::new(Mutex::new(answers.iter().copied().collect::<VecDeque<_>>()));
        let seen = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
        let (from, into) = (Arc::clone(&answers), Arc::clone(&seen));
        std::thread::spawn(move || {
            let mut silent = Vec::new();
            for stream in listener.incoming().map_while(Result::ok) {
                let Some(body) = read(&stream) else { continue };
                let answer = from.lock().unwrap().pop_front().unwrap_or(TAKES);
                into.0.lock().unwrap().push(Batch { at: Instant::now(), body });
                into.1.notify_all();
                match answer {
                    Says(head, body) => {
                        let length = body.len();
                        let _ = write!(
                            &stream,
                            "HTTP/1.1 {head}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
                        );
                    }
                    HangsUp => {}
                    SaysNothing => silent.push(stream),
                }
            }
        });
        Self { url, answers, seen }
    }

    fn seen(&self) -> Vec<Batch> {
        self.seen.0.lock().unwrap().clone()
    }

    fn wait_for(&self, count: usize) {
        let (seen, more) = &*self.seen;
        let (seen, _) = more.wait_timeout_while(seen.lock().unwrap(), DEADLINE, |seen| seen.len() < count).unwrap();
        assert!(seen.len() >= count, "{} batches came", seen.len());
    }

    /// Every id, with the body under it: the same whenever it came.
    fn bodies(&self) -> BTreeMap<String, Value> {
        let mut bodies = BTreeMap::new();
        for batch in self.seen() {
            let known = bodies.entry(batch.id()).or_insert_with(|| batch.body.clone());
            assert_eq!(*known, batch.body, "one id, one body");
        }
        bodies
    }

    /// The accounts' identifiers and the usage values of a generation, each once.
    fn records(&self, generation: u64) -> (BTreeSet<String>, usize) {
        let (mut accounts, mut usage) = (BTreeSet::new(), 0);
        for body in self.bodies().values().filter(|body| body["identity"]["generation"] == generation) {
            let records = body["accounts"].as_array().into_iter().flatten();
            accounts.extend(records.map(|record| record["account"][0]["crm_id"].as_str().unwrap().to_owned()));
            usage += body["usage"].as_array().map_or(0, Vec::len);
        }
        (accounts, usage)
    }
}

/// The body of a request whose signature and id are right; none where the connection was only tried.
fn read(stream: &TcpStream) -> Option<Value> {
    let mut reader = BufReader::new(stream);
    let mut headers = BTreeMap::new();
    let mut line = String::new();
    while reader.read_line(&mut line).ok()? > 2 {
        if let Some((name, value)) = line.trim_end().split_once(": ") {
            headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        line.clear();
    }
    let mut body = vec![0; headers.get("content-length")?.parse().unwrap()];
    reader.read_exact(&mut body).ok()?;
    let (seconds, signed) = headers["gristmill-signature"].strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(format!("{seconds}.").as_bytes());
    mac.update(&body);
    let mut expected = String::new();
    for byte in mac.finalize().into_bytes() {
        write!(expected, "{byte:02x}").unwrap();
    }
    assert_eq!(signed, expected);
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["id"], headers["gristmill-id"]);
    Some(body)
}

struct Ground {
    server: Server,
    bed: Bed,
    receiver: Receiver,
}

impl Ground {
    /// Whatever comes creates accounts, where somebody keeps them.
    fn new(answers: &[Answer], destination: &str) -> Self {
        let server = Server::start(Config::with_bucket(BUCKET)).unwrap();
        let bed = Bed::new(&server.endpoint(), "loopback", "loopback-secret");
        let receiver = Receiver::start(answers);
        let secret = bed.path("signing");
        std::fs::write(&secret, SECRET).unwrap();
        std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
        let ground = Self { server, bed, receiver };
        ground.configure("", destination, "create");
        ground
    }

    /// With more said of the webhook.
    fn configure(&self, hook: &str, destination: &str, on_no_match: &str) {
        self.bed.configure(&format!(
            "[destinations.main]\nsqlite = {{}}\n[destinations.hook]\n{hook}\n\
             [destinations.hook.webhook]\nurl = \"{}\"\nsecret = {{ file = \"{}\" }}\ntimeout = \"1s\"\nbatch_records = 10\n\
             [integrations.daily]\nconnection = \"main\"\nbucket = \"{BUCKET}\"\npoll_interval = \"1s\"\n\
             destination = {destination}\nmatching = {{ on_no_match = \"{on_no_match}\" }}\n\
             identifiers = [{{ column = \"id\", match = \"crm_id\" }}]\n\
             fields = [{{ column = \"stage\", field = \"stage\", type = \"text\" }}]\n\
             usage = [{{ product = \"Core\", period = \"monthly\", metrics = [{{ column = \"calls\", metric = \"calls\" }}] }}]\n",
            self.receiver.url,
            self.bed.path("signing").display()
        ));
    }

    /// A file of so many rows: as many account records, and as many of usage.
    fn put(&self, key: &str, rows: usize) {
        let mut text = "id,stage,calls\n".to_owned();
        for row in 0..rows {
            writeln!(text, "{row:03},won,{row}").unwrap();
        }
        self.server.put(BUCKET, key, text).unwrap();
    }

    /// Passes until the file is completed. Everything that was logged holds neither the secret nor the address.
    fn complete(&self, key: &str) -> Vec<Ran> {
        let began = Instant::now();
        let mut passes = Vec::new();
        loop {
            let once = self.bed.once();
            assert!(!once.errors.contains(SECRET) && !once.errors.contains(TOKEN), "{once:?}");
            passes.push(once);
            if self.bed.state_of("daily", key) == "completed" {
                return passes;
            }
            assert!(began.elapsed() < DEADLINE, "{}", self.bed.entry("daily", key));
        }
    }
}

fn ids(count: usize) -> BTreeSet<String> {
    (0..count).map(|row| format!("{row:03}")).collect()
}

/// I1, R12
#[test]
fn a_receiver_of_every_temper_gets_every_record() {
    let busy = Says("503 Busy\r\nretry-after: 2", "not now");
    let ground = Ground::new(&[HangsUp, TAKES, busy, TAKES, SaysNothing], "\"hook\"");
    ground.put("a.csv", 17);
    let passes = ground.complete("a.csv");
    let reasons: Vec<_> =
        passes.iter().flat_map(|once| once.events("batch_not_taken")).map(|line| line["reason"].clone()).collect();
    assert_eq!(reasons, ["the connection failed", "the answer was 503: `not now`", "no answer in time"]);
    let seen = ground.receiver.seen();
    let numbers: Vec<u64> = seen.iter().map(Batch::number).collect();
    assert_eq!(numbers, [1, 1, 2, 2, 3, 3, 4]);
    assert!(seen[3].at - seen[2].at >= Duration::from_secs(2), "it was left alone as long as it wished");
    assert_eq!(ground.receiver.bodies().len(), 4);
    assert_eq!(ground.receiver.records(0), (ids(17), 17));
    assert_eq!(seen.last().unwrap().body["last"], true);
    let entry = ground.bed.entry("daily", "a.csv");
    assert_eq!(entry["summary"]["merged"]["delivered"], 17, "{entry}");
    assert_eq!(ground.bed.once().counts("daily"), [1, 1, 0, 0, 0, 0], "it is not sent again");
    assert_eq!(ground.receiver.seen().len(), 7);
}

#[test]
fn a_batch_that_is_refused_for_good_fails_its_file_and_a_replay_sends_all_of_it() {
    let answer = "unknown field `stage` (token=open-sesame-31337, key 0123456789abcdef0123456789)";
    let ground = Ground::new(&[TAKES, Says("400 Bad", answer)], "\"hook\"");
    ground.put("a.csv", 17);
    let once = ground.bed.once();
    assert_eq!(once.counts("daily"), [1, 0, 0, 0, 0, 1], "{once:?}");
    let entry = ground.bed.entry("daily", "a.csv");
    assert!(entry["state"]["quarantined"].is_object(), "{entry}");
    let message = entry["failure"]["message"].as_str().unwrap();
    assert!(message.contains("batch 2 was refused with 400 (`unknown field `stage` (token=…, key …)`)"), "{message}");
    let refused = ground.bed.state().join("webhook/hook/.refused");
    let kept = ground.bed.files(&refused);
    assert_eq!(kept.len(), 1, "{kept:?}");
    let path = refused.join(&kept[0]);
    assert!(message.contains(path.to_str().unwrap()), "{message}");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let dead: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(dead["body"], ground.receiver.seen()[1].body);

    let replayed = ground.bed.command(["replay", "daily", "--key", "a.csv"]);
    assert_eq!(replayed.code, 0, "{replayed:?}");
    ground.complete("a.csv");
    assert_eq!(ground.receiver.records(1), (ids(17), 17));
    let seen = ground.receiver.seen();
    assert!(seen[2..].iter().all(|batch| batch.generation() == 1));
    assert_eq!(ground.bed.files(&refused), Vec::<String>::new());
}

/// I3, R12
#[test]
fn a_process_that_is_killed_between_two_batches_goes_on_under_the_same_ids() {
    let answers = [&[TAKES; 2][..], &[SaysNothing; 50]].concat();
    let ground = Ground::new(&answers, "\"hook\"");
    ground.put("a.csv", 30);
    let mut daemon = ground.bed.start();
    ground.receiver.wait_for(3);
    daemon.signal(Signal::KILL);
    assert_eq!(daemon.wait_for_exit(), -1);
    ground.receiver.answers.lock().unwrap().clear();
    let before = ground.receiver.seen();
    ground.complete("a.csv");
    let seen = ground.receiver.seen();
    assert!(before.iter().any(|batch| batch.id() == seen[before.len()].id()), "the first one after it came before");
    assert_eq!(ground.receiver.bodies().len(), 6);
    assert_eq!(ground.receiver.records(0), (ids(30), 30));
    let stale = ground.bed.files(ground.bed.state().join("webhook/hook/.sending"));
    assert_eq!(stale, Vec::<String>::new());
}

/// I1: it is one of several, confirms for itself, and is fed again alone.
#[test]
fn a_webhook_beside_a_store_waits_for_neither_and_is_fed_again_alone() {
    let ground = Ground::new(&[Says("404 Nowhere", "")], "[\"hook\", \"main\"]");
    ground.put("a.csv", 3);
    ground.bed.once();
    let entry = ground.bed.entry("daily", "a.csv");
    assert_eq!(entry["confirmed"], serde_json::json!(["main"]), "{entry}");
    assert_eq!(entry["failure"]["class"], "destination", "{entry}");
    ground.complete("a.csv");
    assert_eq!(ground.receiver.records(0), (ids(3), 3));
    assert_eq!(ground.bed.rows("SELECT count(*) FROM account_overview"), ["3"]);
    let entry = ground.bed.entry("daily", "a.csv");
    assert_eq!(entry["summary"]["merged"]["created"], 3, "the store decides: {entry}");
}

#[test]
fn a_dry_run_shows_records_and_sends_nothing() {
    let ground = Ground::new(&[], "\"hook\"");
    let sample = ground.bed.path("sample.csv");
    std::fs::write(&sample, "id,stage,calls\n1,won,7\n").unwrap();
    let ran = ground.bed.command(["test", "daily", sample.to_str().unwrap(), "--json"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.output.contains("won"), "{ran:?}");
    assert!(ground.receiver.seen().is_empty());
    assert!(!ground.bed.state().join("webhook").exists());
}

/// R12
#[test]
fn records_carry_the_account_that_a_store_matches_or_has_created_first() {
    let ground = Ground::new(&[], "\"main\"");
    ground.configure("resolve = \"main\"", "[\"hook\", \"main\"]", "create");
    ground.put("a.csv", 3);
    ground.complete("a.csv");
    let told = || {
        let mut told = Vec::new();
        for body in ground.receiver.bodies().values() {
            for record in ["accounts", "usage"].iter().filter_map(|list| body[*list].as_array()).flatten() {
                told.push(format!("{}|{}", record["account_id"], record["account"][0]["crm_id"].as_str().unwrap()));
            }
        }
        told.sort_unstable();
        told
    };
    let stored = ground.bed.rows("SELECT account_id, crm_id FROM account_overview ORDER BY 1");
    let twice: Vec<String> = stored.iter().flat_map(|account| [account.clone(), account.clone()]).collect();
    assert_eq!(told(), twice);

    // Alone it creates none: what the store does not know is left out.
    ground.configure("resolve = \"main\"", "\"hook\"", "skip");
    ground.put("b.csv", 5);
    ground.complete("b.csv");
    let entry = ground.bed.entry("daily", "b.csv");
    let merged = &entry["summary"]["merged"];
    assert_eq!((&merged["delivered"], &merged["unmatched"]), (&3.into(), &2.into()), "{entry}");
    assert_eq!(told().len(), 12);
    assert_eq!(ground.bed.rows("SELECT count(*) FROM account_overview"), ["3"]);
    assert_eq!(ground.bed.rows("SELECT count(*) FROM ingestions"), ["1"], "nothing of it is in the store");

    ground.configure("resolve = \"main\"", "\"hook\"", "create");
    let checked = ground.bed.command(["check"]);
    assert_ne!(checked.code, 0, "{checked:?}");
    let said = checked.output + &checked.errors;
    assert!(said.contains("integrations.daily.matching.on_no_match: `hook` resolves through `main`"), "{said}");
}
