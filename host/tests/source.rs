//! Listing and fetching against an S3 server on loopback, on good days and on bad ones.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use gristmill::clock::{Clock, SystemClock};
use gristmill::object::Object;
use gristmill::oversight::Watch;
use gristmill::retry::ErrorClass;
use gristmill::source::{
    BaseIdentity, Connection, ConnectionSettings, Credentials, HttpClient, KeyPair, Page, PageToken, S3Source, Source,
    SourceError, Verdict,
};
use gristmill::spool::{Spool, SpooledObject};
use gristmill_loopback_s3::{Backing, Config, Fault, Operation, Server};

const BUCKET: &str = "exports";

/// A server, an integration's source on it, and a spool.
struct Bench {
    server: Server,
    source: S3Source,
    spool: Spool,
    _directory: tempfile::TempDir,
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

async fn connection(server: &Server, secret: &str) -> Connection {
    let settings = ConnectionSettings {
        region: "us-east-1".to_owned(),
        endpoint_url: Some(server.endpoint()),
        force_path_style: true,
        credentials: Credentials::Own(BaseIdentity::KeyPair(KeyPair {
            id: "loopback".to_owned(),
            secret: secret.to_owned().into(),
            session_token: None,
        })),
    };
    Connection::open("acme".parse().unwrap(), &settings, &HttpClient::new(), &clock()).await
}

impl Bench {
    async fn new(prefix: &str) -> Self {
        let server = Server::start(Config::with_bucket(BUCKET)).unwrap();
        let source = connection(&server, "loopback-secret").await.source(BUCKET.parse().unwrap(), prefix);
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::open(directory.path(), 1 << 30, 0).unwrap();
        Self { server, source, spool, _directory: directory }
    }

    /// Stores an object and lists it.
    async fn stored(&self, key: &str, content: &Bytes) -> Object {
        self.server.put(BUCKET, key, content.clone()).unwrap();
        self.listed(key).await
    }

    async fn listed(&self, key: &str) -> Object {
        let page = self.source.list(None).await.unwrap();
        page.objects.into_iter().find(|object| object.key.as_str() == key).unwrap()
    }

    async fn fetch(&self, object: &Object) -> Result<SpooledObject, SourceError> {
        let fetched =
            self.source.fetch(object, self.spool.reserve(object.size).unwrap(), &Watch::default().begin("fetch")).await;
        if fetched.is_err() {
            assert_eq!(self.spool.reserved(), 0, "a failed fetch leaves nothing");
        }
        fetched
    }

    async fn check_fetched(&self, object: &Object, content: &[u8]) {
        let copy = self.fetch(object).await.unwrap();
        let mut found = Vec::new();
        copy.open().unwrap().read_to_end(&mut found).unwrap();
        assert!(found == content, "the copy differs");
        assert_eq!(copy.content().as_bytes(), blake3::hash(content).as_bytes());
    }

    async fn check_class(&self, object: &Object, class: ErrorClass) -> SourceError {
        let error = self.fetch(object).await.unwrap_err();
        assert_eq!(error.class(), class, "{error}");
        error
    }

    fn order(&self, times: u32, fault: Fault) {
        self.server.faults().next(Operation::GetObject, times, fault);
    }

    fn gets(&self) -> u64 {
        self.server.faults().seen(Operation::GetObject)
    }
}

/// Bytes without a pattern that a wrong offset could hide in.
fn content(size: usize) -> Bytes {
    let mut bytes = vec![0; size];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    bytes.into()
}

async fn all_pages(source: &S3Source) -> Vec<Page> {
    let mut pages = vec![source.list(None).await.unwrap()];
    while let Some(next) = pages.last().unwrap().next.clone() {
        pages.push(source.list(Some(&next)).await.unwrap());
    }
    pages
}

fn keys(page: &Page) -> Vec<&str> {
    page.objects.iter().map(|object| object.key.as_str()).collect()
}

#[tokio::test]
async fn odd_keys_are_listed_and_fetched_as_they_are() {
    let bench = Bench::new("").await;
    let longest = format!("{}.csv", "ü".repeat(510));
    assert_eq!(longest.len(), 1_024);
    let odd = [
        "a b.csv",
        "a+b.csv",
        "100%.csv",
        "a%2Bb.csv",
        "t:1.csv",
        "ü/ß.xlsx",
        "tab\t\u{1}\n.csv",
        "//x.xls",
        "😀&<>\"'.CSV",
        ".csv",
        "/lead.csv",
        "a/./b.csv",
        "a/../b.csv",
        "../up.csv",
        &longest,
    ];
    for key in odd {
        bench.server.put(BUCKET, key, format!("content of {key}")).unwrap();
    }
    let page = bench.source.list(None).await.unwrap();
    let mut found = keys(&page);
    let mut expected = odd.to_vec();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
    for object in &page.objects {
        bench.check_fetched(object, format!("content of {}", object.key).as_bytes()).await;
    }
}

#[tokio::test]
async fn only_the_prefix_is_listed_and_what_is_not_taken_is_counted() {
    let bench = Bench::new("daily/").await;
    for (key, content) in [
        ("daily/", ""),
        ("daily/a.csv", "x"),
        ("daily/B.XLSX", "x"),
        ("daily/empty.csv", ""),
        ("daily/notes.txt", "x"),
        ("daily/archive.csv.gz", "x"),
        ("weekly/c.csv", "x"),
    ] {
        bench.server.put(BUCKET, key, content).unwrap();
    }
    let page = bench.source.list(None).await.unwrap();
    assert_eq!(keys(&page).len(), 2);
    let ignored = page.ignored;
    assert_eq!((ignored.other_suffix, ignored.folder_markers, ignored.empty, ignored.unusable), (2, 1, 1, 0));
    assert_eq!(page.next, None);
}

#[tokio::test]
async fn a_page_has_the_oldest_objects_first() {
    let bench = Bench::new("").await;
    for (key, second) in [("a.csv", 30), ("b.csv", 10), ("d.csv", 20), ("c.csv", 20)] {
        bench.server.put(BUCKET, key, "x").unwrap();
        bench.server.set_last_modified(BUCKET, key, UNIX_EPOCH + Duration::from_secs(second)).unwrap();
    }
    assert_eq!(keys(&bench.source.list(None).await.unwrap()), ["b.csv", "c.csv", "d.csv", "a.csv"]);
}

#[tokio::test]
async fn a_listing_begins_behind_a_key_and_goes_on_from_there() {
    let bench = Bench::new("").await;
    for number in 0..1_100 {
        bench.server.put(BUCKET, &format!("{number:04} ü+.csv"), "x").unwrap();
    }
    let begin = PageToken::After("0049 ü+.csv".parse().unwrap());
    let first = bench.source.list(Some(&begin)).await.unwrap();
    let second = bench.source.list(first.next.as_ref()).await.unwrap();
    assert_eq!((keys(&first).len(), keys(&second).len(), second.next.clone()), (1_000, 50, None));
    assert_eq!((keys(&first).iter().min(), keys(&second).iter().max()), (Some(&"0050 ü+.csv"), Some(&"1099 ü+.csv")));
}

#[tokio::test]
async fn long_listings_come_in_pages_of_a_thousand_keys() {
    let bench = Bench::new("").await;
    for number in 0..2_500 {
        bench.server.put(BUCKET, &format!("{number:04} +.csv"), "x").unwrap();
    }
    let pages = all_pages(&bench.source).await;
    assert_eq!(pages.iter().map(|page| page.objects.len()).collect::<Vec<_>>(), [1_000, 1_000, 500]);
    let mut found: Vec<_> = pages.iter().flat_map(keys).collect();
    found.sort_unstable();
    found.dedup();
    assert_eq!((found.len(), found[0], found[2_499]), (2_500, "0000 +.csv", "2499 +.csv"));
}

#[tokio::test]
async fn objects_uploaded_in_parts_are_fetched_without_an_md5() {
    let bench = Bench::new("").await;
    let whole = content(300_000);
    let parts = [whole.slice(..200_000), whole.slice(200_000..)];
    let etag = bench.server.put_parts(BUCKET, "a.csv", &parts).unwrap();
    assert!(etag.ends_with("-2"));
    let object = bench.listed("a.csv").await;
    assert_eq!(object.etag.as_str(), etag);
    bench.check_fetched(&object, &whole).await;
}

/// I2
#[tokio::test]
async fn an_object_changed_after_it_was_listed_is_not_taken() {
    let bench = Bench::new("").await;
    let object = bench.stored("a.csv", &content(10)).await;
    bench.order(1, Fault::Replace { content: Bytes::from_static(b"other") });
    let error = bench.check_class(&object, ErrorClass::Changed).await;
    assert!(error.to_string().contains("changed after it was listed (`PreconditionFailed`, status 412)"), "{error}");
    bench.check_fetched(&bench.listed("a.csv").await, b"other").await;
}

#[tokio::test]
async fn an_object_deleted_after_it_was_listed_is_gone() {
    let bench = Bench::new("").await;
    let object = bench.stored("a.csv", &content(10)).await;
    bench.order(1, Fault::Delete);
    bench.check_class(&object, ErrorClass::Gone).await;
}

#[tokio::test]
async fn a_denied_object_names_the_permission_and_denies_no_other() {
    let bench = Bench::new("").await;
    let denied = bench.stored("secret/a.csv", &content(10)).await;
    let other = bench.stored("b.csv", &content(20)).await;
    bench.server.faults().always_of(Operation::GetObject, "secret/a.csv", Fault::access_denied());
    let error = bench.check_class(&denied, ErrorClass::Denied).await;
    assert!(error.to_string().starts_with("cannot fetch `s3://exports/secret/a.csv`: access denied (`AccessDenied`"));
    assert!(error.hint().unwrap().contains("`s3:GetObject` on `arn:aws:s3:::exports/secret/*`"));
    bench.check_fetched(&other, &content(20)).await;
}

#[tokio::test]
async fn a_burst_of_refusals_is_throttling_and_passes() {
    let bench = Bench::new("").await;
    let object = bench.stored("a.csv", &content(10)).await;
    bench.order(1, Fault::slow_down());
    bench.check_fetched(&object, &content(10)).await;
    bench.order(10, Fault::slow_down());
    bench.check_class(&object, ErrorClass::Throttled).await;
    bench.server.faults().clear();
    bench.check_fetched(&object, &content(10)).await;
    bench.server.faults().next(Operation::ListObjectsV2, 10, Fault::slow_down());
    assert_eq!(bench.source.list(None).await.unwrap_err().class(), ErrorClass::Throttled);
}

#[tokio::test]
async fn a_bucket_that_refuses_requests_is_asked_less_often_and_no_other_is() {
    let config = Config {
        buckets: ["busy", "quiet"].map(|name| (name.to_owned(), Backing::Memory)).into(),
        ..Config::with_bucket(BUCKET)
    };
    let server = Server::start(config).unwrap();
    let connection = connection(&server, "loopback-secret").await;
    let [busy, quiet] = ["busy", "quiet"].map(|bucket| connection.source(bucket.parse().unwrap(), ""));
    server.faults().at_most("busy", 25);
    let mut at_work = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let busy = busy.clone();
        at_work.spawn(async move {
            for _ in 0..15 {
                while let Err(error) = busy.list(None).await {
                    assert_eq!(error.class(), ErrorClass::Throttled);
                }
            }
        });
    }
    for _ in 0..30 {
        quiet.list(None).await.unwrap();
    }
    assert!(!at_work.is_empty() && at_work.try_join_next().is_none(), "the other bucket's requests do not wait");
    while let Some(ended) = at_work.join_next().await {
        ended.unwrap();
    }
    let refused = server.faults().too_many("busy");
    assert!((1..=60).contains(&refused), "{refused} of 120 requests and more were refused");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_taken_up_where_it_broke() {
    let bench = Bench::new("").await;
    let whole = content(1_000_000);
    let object = bench.stored("a.csv", &whole).await;
    for after in [100_000, 0, 250_000] {
        bench.order(1, Fault::Truncate { after });
    }
    bench.check_fetched(&object, &whole).await;
    assert_eq!(bench.gets(), 4);
}

#[tokio::test]
async fn a_body_in_pieces_is_compared_with_the_checksum_of_the_whole() {
    let bench = Bench::new("").await;
    let whole = content(300_000);
    // An ETag of parts is no MD5, so the checksum alone can tell.
    bench.server.put_parts(BUCKET, "a.csv", &[whole.slice(..200_000), whole.slice(200_000..)]).unwrap();
    let object = bench.listed("a.csv").await;
    bench.order(1, Fault::Truncate { after: 100_000 });
    bench.check_fetched(&object, &whole).await;
    bench.order(1, Fault::Truncate { after: 100_000 });
    bench.order(1, Fault::Corrupt { at: 5 });
    bench.check_class(&object, ErrorClass::Corrupt).await;
}

#[tokio::test]
async fn a_body_that_always_breaks_off_ends_as_a_failure_of_the_network() {
    let bench = Bench::new("").await;
    let object = bench.stored("a.csv", &content(100_000)).await;
    bench.order(100, Fault::Truncate { after: 10 });
    let error = bench.check_class(&object, ErrorClass::Network).await;
    assert!(error.to_string().contains("the body broke off"), "{error}");
    assert!(bench.gets() < 10);
}

#[tokio::test]
async fn an_object_changed_while_its_body_breaks_off_is_not_mixed() {
    let bench = Bench::new("").await;
    let object = bench.stored("a.csv", &content(100_000)).await;
    bench.order(1, Fault::Truncate { after: 10 });
    bench.order(1, Fault::Replace { content: content(100_001).slice(1..) });
    bench.check_class(&object, ErrorClass::Changed).await;
}

#[tokio::test]
async fn altered_bytes_are_noticed() {
    let bench = Bench::new("").await;
    let once = bench.stored("once.csv", &content(100_000)).await;
    bench.order(1, Fault::Corrupt { at: 99_999 });
    bench.check_class(&once, ErrorClass::Corrupt).await;
    bench.check_fetched(&once, &content(100_000)).await;
}

#[tokio::test]
async fn connections_that_end_without_an_answer_are_the_network() {
    let bench = Bench::new("").await;
    let object = bench.stored("a.csv", &content(10)).await;
    bench.order(10, Fault::Reset);
    bench.check_class(&object, ErrorClass::Network).await;
}

#[tokio::test]
async fn a_slow_body_arrives_whole() {
    let bench = Bench::new("").await;
    let whole = content(400_000);
    let object = bench.stored("a.csv", &whole).await;
    bench.order(1, Fault::Slow { pause: Duration::from_millis(5) });
    bench.check_fetched(&object, &whole).await;
    assert_eq!(bench.gets(), 1);
}

#[tokio::test]
async fn wrong_credentials_and_missing_buckets_are_the_connections_fault() {
    let bench = Bench::new("").await;
    let wrong = connection(&bench.server, "wrong").await.source(BUCKET.parse().unwrap(), "");
    let error = wrong.list(None).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Connection, "{error}");
    assert!(error.to_string().contains("credentials are not accepted (`SignatureDoesNotMatch`"), "{error}");
    assert!(!format!("{error:?} {error}").contains("wrong\""));
    let missing = connection(&bench.server, "loopback-secret").await.source("missing".parse().unwrap(), "");
    let error = missing.list(None).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Connection, "{error}");
    assert!(error.to_string().contains("no such bucket (`NoSuchBucket`"), "{error}");
}

#[tokio::test]
async fn a_probe_tells_list_read_and_decrypt_apart() {
    let bench = Bench::new("").await;
    for key in ["0.txt", "a.csv", "b.csv"] {
        bench.server.put(BUCKET, key, "x").unwrap();
    }
    let connection = connection(&bench.server, "loopback-secret").await;
    assert_eq!(connection.buckets().await.unwrap(), [BUCKET.parse().unwrap()].into());
    let source = connection.source(BUCKET.parse().unwrap(), "");
    let probe = || source.probe();

    let clean = probe().await;
    assert!(clean.is_sound());
    assert_eq!(clean.samples.iter().map(|key| key.as_str()).collect::<Vec<_>>(), ["a.csv", "b.csv", "0.txt"]);

    let faults = bench.server.faults();
    faults.always_of(Operation::GetObject, "a.csv", Fault::access_denied());
    let unreadable = probe().await;
    assert!(matches!(&unreadable.read, Verdict::Refused(error) if error.hint().unwrap().contains("s3:GetObject")));
    let json = serde_json::to_value(&unreadable).unwrap();
    assert_eq!((&json["list"], &json["decrypt"]), (&"granted".into(), &serde_json::Value::Null));
    assert!(json["read"]["refused"]["message"].as_str().unwrap().contains("access denied"), "{json}");
    assert!(matches!(unreadable.decrypt, Verdict::Untried(_)));

    faults.clear();
    let key_disabled = Fault::refuse(400, "KMS.DisabledException", "the key is disabled");
    faults.always_of(Operation::GetObject, "a.csv", key_disabled);
    let encrypted = probe().await;
    assert!(matches!(encrypted.read, Verdict::Granted));
    assert!(matches!(&encrypted.decrypt, Verdict::Refused(error) if error.hint().unwrap().contains("kms:Decrypt")));

    faults.clear();
    let archived = || Fault::refuse(403, "InvalidObjectState", "The operation is not valid for the storage class");
    faults.always_of(Operation::GetObject, "a.csv", archived());
    assert!(probe().await.is_sound(), "another object can be read");
    ["b.csv", "0.txt"].iter().for_each(|key| faults.always_of(Operation::GetObject, key, archived()));
    let all_archived = probe().await;
    assert!(matches!(&all_archived.read, Verdict::Refused(error) if error.hint().unwrap().contains("restore")));

    faults.clear();
    (0..20).for_each(|number| drop(bench.server.put(BUCKET, &format!("more/{number:02}.csv"), "x").unwrap()));
    assert_eq!(probe().await.samples.len(), 10);

    faults.next(Operation::ListObjectsV2, 1, Fault::access_denied());
    let unlistable = probe().await;
    assert!(!unlistable.is_sound());
    assert!(matches!(&unlistable.list, Verdict::Refused(error) if error.hint().unwrap().contains("s3:ListBucket")));
    assert!(matches!(unlistable.read, Verdict::Untried(_)));
}

#[tokio::test]
async fn the_prefixes_of_a_bucket_are_listed_as_they_are() {
    let bench = Bench::new("").await;
    for key in ["a b+/x.csv", "daily/x.csv", "daily/deep/y.csv", "ü/z.csv", "top.csv"] {
        bench.server.put(BUCKET, key, "x").unwrap();
    }
    let connection = connection(&bench.server, "loopback-secret").await;
    let found = connection.prefixes(&BUCKET.parse().unwrap()).await.unwrap();
    assert_eq!(found.prefixes, ["a b+/", "daily/", "ü/"].map(str::to_owned).into());
    assert!(!found.has_more);
    let missing = connection.prefixes(&"missing".parse().unwrap()).await.unwrap_err();
    assert!(missing.to_string().contains("no such bucket"), "{missing}");
}

#[tokio::test]
async fn an_empty_bucket_is_listed_and_nothing_is_read() {
    let bench = Bench::new("").await;
    let probe = connection(&bench.server, "loopback-secret").await.source(BUCKET.parse().unwrap(), "").probe().await;
    assert!(probe.is_sound() && probe.samples.is_empty());
    assert!(matches!(probe.read, Verdict::Untried("there is no object to read")));
    assert_eq!(bench.gets(), 0);
}

#[tokio::test]
async fn a_file_replaced_on_disk_is_a_changed_object() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("daily")).unwrap();
    let file = directory.path().join("daily/a b.csv");
    std::fs::write(&file, "one").unwrap();
    let mut config = Config::with_bucket(BUCKET);
    config.buckets = vec![(BUCKET.to_owned(), Backing::Directory(directory.path().to_owned()))];
    let server = Server::start(config).unwrap();
    let source = connection(&server, "loopback-secret").await.source(BUCKET.parse().unwrap(), "");
    let first = source.list(None).await.unwrap();
    std::fs::write(&file, "second").unwrap();
    let second = source.list(None).await.unwrap();
    assert_eq!((keys(&first), keys(&second)), (vec!["daily/a b.csv"], vec!["daily/a b.csv"]));
    assert_ne!(first.objects[0].etag, second.objects[0].etag);
    let spool = tempfile::tempdir().unwrap();
    let spool = Spool::open(spool.path(), 100, 0).unwrap();
    let copy =
        source.fetch(&second.objects[0], spool.reserve(6).unwrap(), &Watch::default().begin("fetch")).await.unwrap();
    assert_eq!(copy.content().as_bytes(), blake3::hash(b"second").as_bytes());
}

/// What is written to it, for all to see.
#[derive(Clone, Default)]
struct Trace(Arc<Mutex<Vec<u8>>>);

impl Write for Trace {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_trace_shows_a_secret_or_a_request() {
    let trace = Trace::default();
    let (written, level) = (trace.clone(), tracing::Level::TRACE);
    let subscriber = tracing_subscriber::fmt().with_max_level(level).with_writer(move || written.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let server = Server::start(Config::with_bucket(BUCKET)).unwrap();
    let settings = ConnectionSettings {
        region: "us-east-1".to_owned(),
        endpoint_url: Some(server.endpoint()),
        force_path_style: true,
        credentials: Credentials::Own(BaseIdentity::KeyPair(KeyPair {
            id: "loopback".to_owned(),
            secret: "loopback-secret".to_owned().into(),
            session_token: Some("canary-token".to_owned().into()),
        })),
    };
    let connection = Connection::open("acme".parse().unwrap(), &settings, &HttpClient::new(), &clock()).await;
    let source = connection.source(BUCKET.parse().unwrap(), "");
    server.put(BUCKET, "a.csv", content(100)).unwrap();
    server.faults().next(Operation::GetObject, 1, Fault::Truncate { after: 10 });
    let directory = tempfile::tempdir().unwrap();
    let spool = Spool::open(directory.path(), 1_000, 0).unwrap();
    let object = source.list(None).await.unwrap().objects.remove(0);
    source.fetch(&object, spool.reserve(100).unwrap(), &Watch::default().begin("fetch")).await.unwrap();
    source.probe().await;
    server.faults().always_of(Operation::GetObject, "a.csv", Fault::access_denied());
    let error = source.fetch(&object, spool.reserve(100).unwrap(), &Watch::default().begin("fetch")).await.unwrap_err();
    tracing::trace!("{settings:?} {source:?} {error:?} {error} planted-canary");
    let trace = String::from_utf8(trace.0.lock().unwrap().clone()).unwrap();
    assert!(trace.contains("planted-canary"));
    for secret in ["loopback-secret", "canary-token", "Signature=", "AWS4-HMAC", "transmitting request", "aws_sigv4"] {
        assert!(!trace.contains(secret), "{secret} in {trace}");
    }
}
