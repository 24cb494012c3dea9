//! Listing and fetching against servers that were not made for it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gristmill::clock::{Clock, SystemClock};
use gristmill::object::Object;
use gristmill::oversight::Watch;
use gristmill::retry::ErrorClass;
use gristmill::source::{
    BaseIdentity, Connection, ConnectionSettings, Credentials, HttpClient, KeyPair, S3Source, Source,
};
use gristmill::spool::{Spool, SpooledObject};
use gristmill_loopback_s3::{Backing, Config, Server};
use gristmill_tests::servers::{Admin, Program, S3Server};

const BUCKET: &str = "exports";

/// Keys that are ordinary to S3 and odd to programs.
const ODD: [&str; 10] = [
    "daily/plain.csv",
    "daily/a b.csv",
    "daily/a+b.csv",
    "daily/a%20b.csv",
    "daily/100%.csv",
    "daily/12:30.csv",
    "daily/Größe/日本.XLSX",
    "daily/😀 &<>'\"~!@$^*()[]{}|;,=.csv",
    "daily/a%2Bb.Xls",
    "daily/Ünïcode+and space%3A.csv",
];

async fn source(endpoint: &str, secret: &str, bucket: &str, prefix: &str) -> S3Source {
    let settings = ConnectionSettings {
        region: "us-east-1".to_owned(),
        endpoint_url: Some(endpoint.to_owned()),
        force_path_style: true,
        credentials: Credentials::Own(BaseIdentity::KeyPair(KeyPair {
            id: S3Server::ACCESS_KEY.to_owned(),
            secret: secret.to_owned().into(),
            session_token: None,
        })),
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let connection = Connection::open("acme".parse().unwrap(), &settings, &HttpClient::new(), &clock).await;
    connection.source(bucket.parse().unwrap(), prefix)
}

async fn objects(source: &S3Source) -> Vec<Object> {
    let mut page = source.list(None).await.unwrap();
    let mut objects = page.objects;
    while let Some(next) = page.next {
        page = source.list(Some(&next)).await.unwrap();
        objects.extend(page.objects);
    }
    objects
}

async fn only(source: &S3Source) -> Object {
    let objects = objects(source).await;
    assert_eq!(objects.len(), 1, "{objects:?}");
    objects.into_iter().next().unwrap()
}

struct Bench {
    endpoint: String,
    admin: Admin,
    source: S3Source,
    spool: Spool,
    _directory: tempfile::TempDir,
}

impl Bench {
    async fn new(endpoint: String) -> Self {
        let admin = Admin::new(&endpoint, S3Server::ACCESS_KEY, S3Server::SECRET_KEY);
        admin.create_bucket(BUCKET).await;
        let source = source(&endpoint, S3Server::SECRET_KEY, BUCKET, "daily/").await;
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::open(directory.path(), 1 << 30, 0).unwrap();
        Self { endpoint, admin, source, spool, _directory: directory }
    }

    async fn fetch(&self, object: &Object) -> Result<SpooledObject, gristmill::source::SourceError> {
        self.source.fetch(object, self.spool.reserve(object.size).unwrap(), &Watch::default().begin("fetch")).await
    }

    async fn check_fetched(&self, object: &Object, content: &[u8]) {
        let copy = self.fetch(object).await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(copy.content().as_bytes(), blake3::hash(content).as_bytes(), "{object}");
    }

    async fn odd_keys_are_listed_and_fetched(&self) {
        let content = |key: &str| format!("id,name\n1,{key}\n");
        for key in ODD {
            self.admin.put(BUCKET, key, content(key)).await;
        }
        for other in ["daily/notes.txt", "daily/empty.csv", "weekly/a.csv"] {
            let content = if other.contains("empty") { "" } else { "x" };
            self.admin.put(BUCKET, other, content).await;
        }
        let found: BTreeMap<_, _> =
            objects(&self.source).await.into_iter().map(|object| (object.key.as_str().to_owned(), object)).collect();
        let expected = ODD.iter().map(|key| (*key).to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(found.keys().cloned().collect::<BTreeSet<_>>(), expected);
        for (key, object) in &found {
            self.check_fetched(object, content(key).as_bytes()).await;
        }
        for key in ODD {
            self.admin.delete(BUCKET, key).await;
        }
    }

    async fn changed_and_deleted_objects_are_told_apart(&self) {
        self.admin.put(BUCKET, "daily/a.csv", "one").await;
        let first = only(&self.source).await;
        let second = self.admin.put(BUCKET, "daily/a.csv", "other").await;
        assert_eq!(self.fetch(&first).await.unwrap_err().class(), ErrorClass::Changed);
        let object = only(&self.source).await;
        assert_eq!(object.etag.as_str(), second);
        self.check_fetched(&object, b"other").await;
        self.admin.delete(BUCKET, "daily/a.csv").await;
        assert_eq!(self.fetch(&object).await.unwrap_err().class(), ErrorClass::Gone);
    }

    async fn objects_in_parts_are_fetched(&self) {
        let part = vec![b'a'; 5 << 20];
        let etag = self.admin.put_parts(BUCKET, "daily/parts.csv", &[&part, b"end"]).await;
        let object = only(&self.source).await;
        assert_eq!(object.etag.as_str(), etag);
        assert!(etag.ends_with("-2"), "{etag}");
        self.check_fetched(&object, &[&part[..], b"end"].concat()).await;
        self.admin.delete(BUCKET, "daily/parts.csv").await;
    }

    async fn more_keys_than_a_page_are_all_listed(&self) {
        for number in 0..1_050 {
            self.admin.put(BUCKET, &format!("daily/{number:04} +%.csv"), "x").await;
        }
        let mut keys: Vec<_> = objects(&self.source).await.into_iter().map(|object| object.key).collect();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), 1_050);
        assert_eq!(keys[1_049].as_str(), "daily/1049 +%.csv");
    }

    async fn the_connection_is_judged(&self) {
        let probe = self.source.probe().await;
        assert!(probe.is_sound(), "{probe:?}");
        assert_eq!(probe.samples.len(), 10);
        let missing = source(&self.endpoint, S3Server::SECRET_KEY, "missing-bucket", "").await;
        let error = missing.list(None).await.unwrap_err();
        assert!(error.to_string().contains("no such bucket"), "{error}");
    }

    async fn a_wrong_secret_is_named(&self) {
        let wrong = source(&self.endpoint, "not-the-secret", BUCKET, "").await;
        let error = wrong.list(None).await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Connection, "{error}");
        assert!(error.to_string().contains("credentials are not accepted"), "{error}");
    }

    async fn check(&self) {
        self.odd_keys_are_listed_and_fetched().await;
        self.changed_and_deleted_objects_are_told_apart().await;
        self.objects_in_parts_are_fetched().await;
        self.more_keys_than_a_page_are_all_listed().await;
        self.the_connection_is_judged().await;
    }
}

#[tokio::test]
async fn seaweedfs_is_read_right() {
    let server = S3Server::start(Program::Seaweed).await;
    let bench = Bench::new(server.endpoint()).await;
    bench.check().await;
    bench.a_wrong_secret_is_named().await;
}

#[tokio::test]
async fn moto_is_read_right() {
    let server = S3Server::start(Program::Moto).await;
    Bench::new(server.endpoint()).await.check().await;
}

#[tokio::test]
async fn ministack_is_read_right() {
    let server = S3Server::start(Program::Ministack).await;
    Bench::new(server.endpoint()).await.check().await;
}

#[tokio::test]
async fn the_loopback_server_is_no_other() {
    let (access_key, secret_key) = (S3Server::ACCESS_KEY.to_owned(), S3Server::SECRET_KEY.to_owned());
    let server = Server::start(Config { access_key, secret_key, port: 0, buckets: Vec::new() }).unwrap();
    let bench = Bench::new(server.endpoint()).await;
    bench.check().await;
    bench.a_wrong_secret_is_named().await;
}

/// The demo's own: what is put there are files.
#[tokio::test]
async fn a_directory_is_a_bucket_like_any() {
    let directory = tempfile::tempdir().unwrap();
    let (access_key, secret_key) = (S3Server::ACCESS_KEY.to_owned(), S3Server::SECRET_KEY.to_owned());
    let buckets = vec![(BUCKET.to_owned(), Backing::Directory(directory.path().to_owned()))];
    let server = Server::start(Config { access_key, secret_key, port: 0, buckets }).unwrap();
    Bench::new(server.endpoint()).await.check().await;
    assert!(directory.path().join("daily/1049 +%.csv").exists());
}
