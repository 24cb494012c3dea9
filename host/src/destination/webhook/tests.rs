//! The webhook against receivers of every temper.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::sync::{Mutex, OnceLock, PoisonError};

use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;
use tempfile::TempDir;

use super::*;
use crate::destination::conformance::storing::stages;
use crate::destination::conformance::{Cell, File as Sample, text};
use crate::object::MappingDigest;
use crate::oversight::Watch;

const SECRET: &str = "shared by the two of us";

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
const BUSY: Answer = Says("503 Busy\r\nretry-after: 0", "later");

/// What a receiver was sent.
#[derive(Debug, Clone)]
pub(in crate::destination) struct Request {
    path: String,
    headers: Vec<String>,
    body: String,
}

impl Request {
    fn header(&self, name: &str) -> &str {
        self.headers.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap()
    }

    pub(in crate::destination) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// Whether somebody who knows the secret signed this body.
    fn is_signed(&self) -> bool {
        let signed = self.header("gristmill-signature").strip_prefix("t=").unwrap();
        let (seconds, hex) = signed.split_once(",v1=").unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
        mac.update(format!("{seconds}.{}", self.body).as_bytes());
        let expected: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        SystemClock.now().as_second() - seconds.parse::<i64>().unwrap() < 120 && hex == expected
    }
}

/// A receiver on this machine.
pub(in crate::destination) struct Hook {
    url: String,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Hook {
    /// It gives these answers in turn, and then takes everything.
    fn giving(answers: &'static [Answer]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&seen);
        std::thread::spawn(move || {
            let mut answers = answers.iter().copied();
            let mut silent = Vec::new();
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                into.lock().unwrap().push(read(&stream));
                match answers.next().unwrap_or(TAKES) {
                    Says(head, body) => {
                        let length = body.len();
                        write!(
                            &stream,
                            "HTTP/1.1 {head}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
                        )
                        .unwrap();
                    }
                    HangsUp => {}
                    SaysNothing => silent.push(stream),
                }
            }
        });
        Self { url, seen }
    }

    /// One that takes everything, for all tests that need no other.
    pub(in crate::destination) fn shared() -> &'static Self {
        static SHARED: OnceLock<Hook> = OnceLock::new();
        SHARED.get_or_init(|| Self::giving(&[]))
    }

    fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What was sent to one path.
    pub(in crate::destination) fn seen_at(&self, path: &str) -> Vec<Request> {
        self.seen().into_iter().filter(|request| request.path == format!("/{path}")).collect()
    }
}

fn read(stream: &TcpStream) -> Request {
    let mut reader = BufReader::new(stream);
    let (mut path, mut headers) = (String::new(), Vec::new());
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        match line.trim_end() {
            "" => break,
            line if path.is_empty() => path = line.split(' ').nth(1).unwrap().to_owned(),
            line => headers.push(line.to_owned()),
        }
    }
    let length = headers.iter().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    Request { path, headers, body: String::from_utf8(body).unwrap() }
}

/// Opens a webhook that posts to a path of a receiver.
pub(in crate::destination) fn open(
    directory: &Path,
    hook: &Hook,
    path: &str,
) -> Result<WebhookDestination, DestinationError> {
    let secret = directory.join("secret");
    std::fs::write(&secret, SECRET).unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    let settings = WebhookSettings {
        directory: directory.join("webhook"),
        url: Address::Text(format!("{}/{path}", hook.url)),
        secret: SecretReference::File(secret),
        timeout: Duration::from_secs(1),
        batch: BatchLimits { records: 2, bytes: 1 << 20 },
    };
    WebhookDestination::open(settings, Secrets::new(None))
}

/// Three account records: two batches.
fn three() -> Sample {
    Sample::new("a.csv").accounts(stages(&[("1", text("won")), ("2", text("lost")), ("3", Cell::Clear)]))
}

fn stage(destination: &WebhookDestination, delivery: Delivery, sample: &Sample) -> Box<dyn Staging> {
    let mut staging = destination.stage(delivery).unwrap();
    let accounts = sample.accounts.as_ref().unwrap();
    staging.open_table(Some(&accounts.layout()), None).unwrap();
    staging.accounts(&accounts.batch(), &sample.rejected).unwrap();
    staging
}

fn merge(destination: &WebhookDestination, sample: &Sample) -> Result<Summary, DestinationError> {
    stage(destination, sample.delivery(), sample).merge(RowCounts { read: 3, rejected: 0 })
}

struct Bed {
    directory: TempDir,
    hook: Hook,
}

impl Bed {
    fn giving(answers: &'static [Answer]) -> Self {
        Self { directory: TempDir::new().unwrap(), hook: Hook::giving(answers) }
    }

    fn open(&self) -> WebhookDestination {
        open(self.directory.path(), &self.hook, "records").unwrap()
    }

    /// The numbers of the batches that were sent, each with the beginning of its id.
    fn batches(&self) -> Vec<(u64, String)> {
        let batch =
            |request: Request| (request.json()["batch"].as_u64().unwrap(), request.header("gristmill-id").into());
        self.hook.seen().into_iter().map(batch).collect()
    }

    fn left(&self, part: &str) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.directory.path().join("webhook").join(part)).into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).collect()
    }
}

/// R12, R1
#[test]
fn an_object_is_sent_in_signed_batches_that_say_what_they_are() {
    let bed = Bed::giving(&[]);
    let destination = bed.open();
    let summary = merge(&destination, &three()).unwrap();
    assert_eq!(summary.merged.delivered, 3);
    let seen = bed.hook.seen();
    assert!(seen.iter().all(Request::is_signed));
    assert!(seen.iter().all(|request| request.header("gristmill-id") == request.json()["id"]));
    let [first, last] = [seen[0].json(), seen[1].json()];
    let place = |batch: &Value| (batch["batch"].as_u64(), batch["last"].as_bool());
    assert_eq!((place(&first), place(&last)), ((Some(1), Some(false)), (Some(2), Some(true))));
    assert_eq!(first["accounts"][1]["fields"]["stage"], "lost");
    assert_eq!(last["accounts"][0]["account"][0]["crm_id"], "3");
    assert_eq!(last["accounts"][0]["fields"]["stage"], Value::Null, "it is to be erased");
    let identity = serde_json::json!(three().delivery().identity);
    assert_eq!((&first["identity"], &last["identity"]), (&identity, &identity));
    assert_eq!((&first["tenant"], &first["object"]["key"]), (&"default".into(), &"a.csv".into()));
    assert_eq!(first["tables"][0]["accounts"]["fields"][0]["name"], "stage");
    assert_eq!((first.get("usage"), last.get("tables")), (None, None), "{last}");
    assert!(bed.left(SENDING).is_empty());
    assert_eq!(merge(&destination, &three()).unwrap(), summary);
    assert_eq!(bed.hook.seen().len(), 2, "what is confirmed is not sent again");
}

/// R1: a replay is told even where it has no record left.
#[test]
fn a_replay_has_ids_of_its_own_and_is_sent_without_a_record_too() {
    let bed = Bed::giving(&[]);
    let destination = bed.open();
    merge(&destination, &three()).unwrap();
    let replay = Sample { rejected: vec![0, 1, 2], ..three().generation(1) };
    merge(&destination, &replay).unwrap();
    let batches = bed.batches();
    assert_eq!(batches.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1, 2, 1]);
    assert_ne!(batches[0].1, batches[2].1);
    let last = bed.hook.seen()[2].json();
    assert_eq!((&last["identity"]["generation"], &last["last"]), (&1.into(), &true.into()));
    assert_eq!(last.get("accounts"), None);
}

/// R12, I3: what was begun is ended as it was, whatever the file would bring by now.
#[test]
fn a_delivery_that_was_cut_off_goes_on_under_the_same_ids() {
    let bed = Bed::giving(&[TAKES, BUSY, BUSY, HangsUp, SaysNothing, BUSY]);
    let first = bed.open();
    let error = merge(&first, &three()).unwrap_err();
    assert_eq!(error.to_string(), "batch 2 was not taken: the answer was 503: `later`");
    assert!(!error.is_files_fault());
    assert_eq!(first.confirmed(&TenantName::default(), &three().delivery().identity).unwrap(), None);
    drop(first);
    let batches = bed.batches();
    assert_eq!(batches.len(), 6);
    assert!(batches[2..].iter().all(|batch| *batch == batches[1]), "{batches:?}");
    let other = Sample::new("a.csv").accounts(stages(&[("9", text("new"))]));
    let summary = merge(&bed.open(), &other).unwrap();
    assert_eq!(summary.merged.delivered, 3);
    let seen = bed.hook.seen();
    assert_eq!((seen.len(), &seen[6].body), (7, &seen[1].body), "the first one is known to have been taken");
}

/// R6
#[test]
fn another_mapping_makes_another_delivery() {
    let bed = Bed::giving(&[TAKES, Says("404 Nowhere", "no such place")]);
    let destination = bed.open();
    let error = merge(&destination, &three()).unwrap_err();
    assert_eq!(error.to_string(), "batch 2 was not taken: the answer was 404: `no such place`");
    assert_eq!(bed.hook.seen().len(), 2, "it would say the same again");
    let delivery = Delivery { mapping: MappingDigest::from_bytes([2; 32]), ..three().delivery() };
    stage(&destination, delivery, &three()).merge(RowCounts::default()).unwrap();
    let (batches, seen) = (bed.batches(), bed.hook.seen());
    assert_eq!(batches.len(), 4);
    assert!(batches[2..].iter().all(|batch| !batches[..2].contains(batch)), "{batches:?}");
    let prepared = |at: usize| seen[at].json()["prepared_at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert!(prepared(0) < prepared(2));
}

#[test]
fn a_batch_that_is_refused_for_good_is_kept_until_its_object_is_taken() {
    let bed = Bed::giving(&[TAKES, Says("422 No", "field `stage`:\n unknown; token=0123456789abcdef0123456789abcdef")]);
    let destination = bed.open();
    let error = merge(&destination, &three()).unwrap_err();
    assert!(error.is_files_fault());
    let kept = bed.left(".refused");
    assert_eq!(
        error.to_string(),
        format!("batch 2 was refused with 422 (`field `stage`: unknown; …`); it is kept in `{}`", kept[0].display())
    );
    assert_eq!(std::fs::metadata(&kept[0]).unwrap().permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(&kept[0]).unwrap();
    let dead: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&dead["status"], &dead["batch"], &dead["body"]), (&422.into(), &2.into(), &bed.hook.seen()[1].json()));
    assert!(!text.contains(SECRET));
    merge(&destination, &three().generation(1)).unwrap();
    assert!(bed.left(".refused").is_empty());
    assert_eq!(bed.hook.seen().len(), 4);
}

#[test]
fn refused_batches_are_kept_up_to_a_limit() {
    let directory = TempDir::new().unwrap();
    let batch = |number| batches::Batch { number, id: "id".into(), body: "{}".into() };
    let keep =
        |key: &str| Refused::of(directory.path(), &Sample::new(key).delivery()).keep(&batch(1), 400, "").unwrap();
    let kept: Vec<PathBuf> = (0..105).map(|number| keep(&format!("{number}.csv"))).collect();
    assert_eq!(std::fs::read_dir(directory.path().join(".refused")).unwrap().count(), 100);
    assert!(kept[104].exists());
}

#[test]
fn a_receiver_that_asks_for_a_long_pause_gets_it_from_every_object() {
    let bed = Bed::giving(&[Says("429 Slowly\r\nretry-after: 3600", "")]);
    let destination = bed.open();
    let error = merge(&destination, &three()).unwrap_err();
    assert_eq!(error.to_string(), "batch 1 was not taken: the answer was 429");
    let Err(error) = destination.stage(Sample::new("b.csv").delivery()) else { panic!("it is left alone") };
    let DestinationError::ReceiverPauses { pause } = error else { panic!("{error}") };
    assert!(pause > Duration::from_secs(14 * 60) && pause <= Duration::from_secs(15 * 60), "{pause:?}");
    assert_eq!(bed.hook.seen().len(), 1);
}

#[test]
fn a_stop_ends_a_merge_and_the_rest_is_sent_later() {
    let bed = Bed::giving(&[SaysNothing]);
    let destination = bed.open();
    let (watch, stop) = (Watch::default(), Stop::default());
    let mut staging = stage(&destination, three().delivery(), &three());
    staging.oversee(&Arc::new(watch.begin("merge")), &stop);
    stop.give_up();
    assert!(matches!(staging.merge(RowCounts::default()), Err(DestinationError::Stopped)));
    merge(&destination, &three()).unwrap();
    assert_eq!(bed.batches().iter().map(|(number, _)| *number).max(), Some(2));
}

#[test]
fn deliveries_that_nobody_asks_for_any_more_are_removed() {
    let bed = Bed::giving(&[Says("404 Nowhere", "")]);
    merge(&bed.open(), &three()).unwrap_err();
    assert_eq!(bed.left(SENDING).len(), 1);
    let sending = bed.directory.path().join("webhook").join(SENDING);
    let days = |days: i64| SystemClock.now() + jiff::SignedDuration::from_hours(24 * days);
    plan::expire(&sending, days(29)).unwrap();
    assert_eq!(bed.left(SENDING).len(), 1);
    plan::expire(&sending, days(31)).unwrap();
    assert!(bed.left(SENDING).is_empty());
}
