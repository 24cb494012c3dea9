//! Temporary credentials against a server on loopback: obtained once, renewed in time, and renewed where a server takes
//! them for expired all the same.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use gristmill::clock::{Clock, SystemClock};
use gristmill::object::Object;
use gristmill::oversight::Watch;
use gristmill::retry::ErrorClass;
use gristmill::source::{
    BaseIdentity, Connection, ConnectionSettings, Credentials, GrantsSettings, HttpClient, KeyPair, RoleSettings,
    S3Source, Source, SourceError, Verdict,
};
use gristmill::spool::{Spool, SpooledObject};
use gristmill_loopback_s3::{Config, Fault, Operation, Server};
use jiff::{SignedDuration, Timestamp};

const BUCKET: &str = "exports";
const ACCOUNT: &str = "123456789012";
const ROLE: &str = "arn:aws:iam::123456789012:role/reader";

/// Stands still until it is told to go on.
struct Hands(Mutex<Timestamp>);

impl Hands {
    fn advance(&self, minutes: i64) {
        *self.0.lock().unwrap() += SignedDuration::from_mins(minutes);
    }
}

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

/// A server, a connection to it, and a clock.
struct Bench {
    server: Server,
    connection: Connection,
    hands: Arc<Hands>,
    spool: Spool,
    _directory: tempfile::TempDir,
}

fn own_key_pair() -> BaseIdentity {
    let secret = "loopback-secret".to_owned().into();
    BaseIdentity::KeyPair(KeyPair { id: "loopback".to_owned(), secret, session_token: None })
}

fn role(server: &Server) -> RoleSettings {
    RoleSettings {
        role_arn: ROLE.to_owned(),
        external_id: Some("acme-7f3a".to_owned()),
        session_name: "gristmill".to_owned(),
        duration: Duration::from_secs(3_600),
        endpoint_url: Some(server.endpoint()),
    }
}

fn grants(server: &Server) -> GrantsSettings {
    let (account_id, duration) = (ACCOUNT.to_owned(), Duration::from_secs(3_600));
    GrantsSettings { account_id, duration, endpoint_url: Some(server.endpoint()) }
}

impl Bench {
    async fn new() -> Self {
        Self::with(role).await
    }

    async fn with(role: fn(&Server) -> RoleSettings) -> Self {
        Self::sending_as(|server| Credentials::Role { role: role(server), base: own_key_pair() }).await
    }

    /// With these grants to the server's own key pair, which by itself may read everything.
    async fn with_grants(scopes: &[&str]) -> Self {
        let bench =
            Self::sending_as(|server| Credentials::Grants { grants: grants(server), base: own_key_pair() }).await;
        bench.server.issuer().open_instance(ACCOUNT);
        scopes.iter().for_each(|scope| bench.server.issuer().grant(scope));
        for key in ["daily/a.csv", "daily/b.csv", "daily-other/c.csv", "weekly/d.csv"] {
            bench.server.put(BUCKET, key, "x").unwrap();
        }
        bench
    }

    async fn sending_as(credentials: impl FnOnce(&Server) -> Credentials) -> Self {
        let server = Server::start(Config::with_bucket(BUCKET)).unwrap();
        server.issuer().trust(ROLE, Some("acme-7f3a"));
        let credentials = credentials(&server);
        let settings = ConnectionSettings {
            region: "us-east-1".to_owned(),
            endpoint_url: Some(server.endpoint()),
            force_path_style: true,
            credentials,
        };
        let hands = Arc::new(Hands(Mutex::new(SystemClock.now())));
        let clock: Arc<dyn Clock> = hands.clone();
        let connection = Connection::open("acme".parse().unwrap(), &settings, &HttpClient::new(), &clock).await;
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::open(directory.path(), 1 << 30, 0).unwrap();
        Self { server, connection, hands, spool, _directory: directory }
    }

    fn source(&self, prefix: &str) -> S3Source {
        self.connection.source(BUCKET.parse().unwrap(), prefix)
    }

    async fn stored(&self, key: &str, content: &Bytes) -> Object {
        self.server.put(BUCKET, key, content.clone()).unwrap();
        let page = self.source("").list(None).await.unwrap();
        page.objects.into_iter().find(|object| object.key.as_str() == key).unwrap()
    }

    async fn keys(&self, prefix: &str) -> Vec<String> {
        let page = self.source(prefix).list(None).await.unwrap();
        page.objects.iter().map(|object| object.key.to_string()).collect()
    }

    async fn fetch(&self, object: &Object) -> Result<SpooledObject, SourceError> {
        let reservation = self.spool.reserve(object.size).unwrap();
        self.source("").fetch(object, reservation, &Watch::default().begin("fetch")).await
    }

    fn order(&self, operation: Operation, times: u32, fault: Fault) {
        self.server.faults().next(operation, times, fault);
    }

    fn seen(&self, operation: Operation) -> u64 {
        self.server.faults().seen(operation)
    }
}

fn expired() -> Fault {
    Fault::refuse(400, "ExpiredToken", "The provided token has expired.")
}

fn content(size: usize) -> Bytes {
    let mut bytes = vec![0; size];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    bytes.into()
}

#[tokio::test]
async fn a_role_is_assumed_once_for_all_who_share_a_connection() {
    let bench = Bench::new().await;
    let (one, other) = (bench.source(""), bench.connection.clone().source(BUCKET.parse().unwrap(), "daily/"));
    let listings = futures::future::join_all([&one, &other, &one, &other].map(|source| source.list(None))).await;
    assert!(listings.iter().all(Result::is_ok), "{listings:?}");
    assert_eq!(bench.seen(Operation::AssumeRole), 1);
}

#[tokio::test]
async fn a_role_is_assumed_again_at_nine_tenths_of_the_credentials_life() {
    let bench = Bench::new().await;
    // The server counts from its own clock, which stands still meanwhile: what it gives later is good for less.
    for (minutes, seen) in [(0, 1), (53, 1), (2, 2), (4, 2), (1, 3)] {
        bench.hands.advance(minutes);
        bench.source("").list(None).await.unwrap();
        assert_eq!(bench.seen(Operation::AssumeRole), seen, "after {minutes} minutes more");
    }
}

#[tokio::test]
async fn a_renewal_that_fails_is_tried_later_while_the_old_credentials_are_good() {
    let bench = Bench::new().await;
    bench.source("").list(None).await.unwrap();
    bench.hands.advance(55);
    bench.order(Operation::AssumeRole, 4, Fault::access_denied());
    bench.source("").list(None).await.unwrap();
    bench.source("").list(None).await.unwrap();
    assert_eq!(bench.seen(Operation::AssumeRole), 2, "not at every request");
    bench.hands.advance(1);
    bench.source("").list(None).await.unwrap();
    assert_eq!(bench.seen(Operation::AssumeRole), 3);
    bench.hands.advance(5);
    let error = bench.source("").list(None).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Connection, "{error}");
}

#[tokio::test]
async fn credentials_that_expire_in_the_middle_of_a_listing_are_renewed() {
    let bench = Bench::new().await;
    for number in 0..1_200 {
        bench.server.put(BUCKET, &format!("{number:04}.csv"), "x").unwrap();
    }
    let source = bench.source("");
    let first = source.list(None).await.unwrap();
    bench.server.issuer().expire();
    let second = source.list(first.next.as_ref()).await.unwrap();
    assert_eq!((first.objects.len(), second.objects.len()), (1_000, 200));
    assert_eq!(bench.seen(Operation::AssumeRole), 2);
}

#[tokio::test]
async fn credentials_that_expire_in_the_middle_of_a_download_are_renewed() {
    let bench = Bench::new().await;
    let whole = content(300_000);
    let object = bench.stored("a.csv", &whole).await;
    bench.order(Operation::GetObject, 1, Fault::Truncate { after: 100_000 });
    bench.order(Operation::GetObject, 1, expired());
    let copy = bench.fetch(&object).await.unwrap();
    assert_eq!(copy.content().as_bytes(), blake3::hash(&whole).as_bytes());
    assert_eq!((bench.seen(Operation::GetObject), bench.seen(Operation::AssumeRole)), (3, 2));
}

#[tokio::test]
async fn credentials_that_are_taken_for_expired_at_once_are_renewed() {
    let bench = Bench::new().await;
    bench.order(Operation::ListObjectsV2, 1, expired());
    bench.source("").list(None).await.unwrap();
    assert_eq!(bench.seen(Operation::AssumeRole), 2);
}

#[tokio::test]
async fn credentials_that_are_always_taken_for_expired_are_renewed_once() {
    let bench = Bench::new().await;
    let object = bench.stored("a.csv", &content(10)).await;
    bench.order(Operation::GetObject, 10, expired());
    let error = bench.fetch(&object).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Connection, "{error}");
    assert!(error.to_string().contains("(`ExpiredToken`, status 400)"), "{error}");
    assert_eq!((bench.seen(Operation::GetObject), bench.seen(Operation::AssumeRole)), (2, 2));
}

#[tokio::test]
async fn a_role_that_may_not_be_assumed_is_named_with_what_may_be_wrong() {
    let other_external_id = |server: &Server| RoleSettings { external_id: Some("other".to_owned()), ..role(server) };
    let other_role = |server: &Server| RoleSettings { role_arn: ROLE.replace("reader", "writer"), ..role(server) };
    for (settings, name) in [(other_external_id as fn(&Server) -> RoleSettings, "reader"), (other_role, "writer")] {
        let bench = Bench::with(settings).await;
        let error = bench.source("daily/").list(None).await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Connection, "{error}");
        let expected = format!(
            "cannot list `s3://exports/daily/`: AssumeRole: the role `arn:aws:iam::123456789012:role/{name}` may not be \
             assumed (`AccessDenied`, status 403): `User: arn:aws:iam::123456789012:user/loopback is not authorized"
        );
        assert!(error.to_string().starts_with(&expected), "{error}");
        let hint = error.hint().unwrap();
        assert!(hint.contains("`sts:AssumeRole`") && hint.contains("`external_id`"), "{hint}");
        assert_eq!(bench.seen(Operation::ListObjectsV2), 0, "nobody else is asked for");
    }
}

#[tokio::test]
async fn other_refusals_of_sts_are_told_apart() {
    let bench = Bench::with(|server| RoleSettings { duration: Duration::from_secs(7_200), ..role(server) }).await;
    let error = bench.source("").list(None).await.unwrap_err();
    assert!(error.to_string().contains("AssumeRole: the role gives no credentials for so long"), "{error}");
    assert!(error.hint().unwrap().contains("`duration`"));
    for (fault, words, class) in [
        (
            Fault::refuse(403, "InvalidClientTokenId", "no"),
            "AssumeRole: the credentials are not accepted",
            ErrorClass::Connection,
        ),
        (
            Fault::refuse(400, "Throttling", "Rate exceeded"),
            "AssumeRole: the server asks for fewer",
            ErrorClass::Throttled,
        ),
        (
            Fault::refuse(404, "NotFound", "no"),
            "AssumeRole: there are no temporary credentials",
            ErrorClass::Connection,
        ),
        (Fault::Reset, "AssumeRole: the server cannot be reached", ErrorClass::Network),
    ] {
        let bench = Bench::new().await;
        bench.order(Operation::AssumeRole, 2, fault);
        let error = bench.source("").list(None).await.unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(error.class(), class, "{error}");
    }
}

#[tokio::test]
async fn obtained_secrets_are_not_shown() {
    let bench = Bench::new().await;
    let object = bench.stored("a.csv", &content(10)).await;
    bench.order(Operation::GetObject, 10, expired());
    let error = bench.fetch(&object).await.unwrap_err();
    let source = bench.source("");
    let shown = format!("{:?} {source:?} {error:?} {error} {:?}", bench.connection, own_key_pair());
    let secrets = bench.server.issuer().secrets();
    assert_eq!(secrets.len(), 4);
    for secret in secrets.iter().map(String::as_str).chain(["loopback-secret"]) {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[tokio::test]
async fn two_prefixes_under_one_grant_ask_once() {
    let bench = Bench::with_grants(&["s3://exports/daily*"]).await;
    let sources = [bench.source("daily/"), bench.source("daily-other/")];
    let listings = futures::future::join_all(sources.iter().chain(&sources).map(|source| source.list(None))).await;
    assert!(listings.iter().all(Result::is_ok), "{listings:?}");
    let page = sources[0].list(None).await.unwrap();
    let reservation = bench.spool.reserve(1).unwrap();
    sources[0].fetch(&page.objects[0], reservation, &Watch::default().begin("fetch")).await.unwrap();
    assert_eq!(bench.seen(Operation::GetDataAccess), 1);
}

#[tokio::test]
async fn a_grant_is_not_taken_for_what_it_does_not_cover() {
    let bench = Bench::with_grants(&["s3://exports/daily/*", "s3://exports/weekly/*"]).await;
    assert_eq!(bench.keys("daily/").await, ["daily/a.csv", "daily/b.csv"]);
    assert_eq!(bench.keys("weekly/").await, ["weekly/d.csv"]);
    assert_eq!(bench.seen(Operation::GetDataAccess), 2);
    let error = bench.source("").list(None).await.unwrap_err();
    assert!(error.to_string().contains("GetDataAccess: no grant covers `s3://exports/*`"), "{error}");
}

#[tokio::test]
async fn a_denied_prefix_is_asked_for_once_in_five_minutes_and_never_read_with_the_callers_own_credentials() {
    let bench = Bench::with_grants(&["s3://exports/daily/*"]).await;
    let denied = bench.source("weekly/");
    let listings = futures::future::join_all([&denied, &denied, &denied].map(|source| source.list(None))).await;
    for error in listings.into_iter().map(Result::unwrap_err) {
        assert_eq!(error.class(), ErrorClass::Connection);
        assert_eq!(
            error.to_string(),
            "cannot list `s3://exports/weekly/`: GetDataAccess: no grant covers `s3://exports/weekly/*` (`AccessDenied`, \
             status 403): `You do not have READ permissions to the requested S3 Prefix: s3://exports/weekly/*`"
        );
        assert!(error.hint().unwrap().contains("five minutes"));
    }
    bench.hands.advance(4);
    denied.list(None).await.unwrap_err();
    assert_eq!((bench.seen(Operation::GetDataAccess), bench.seen(Operation::ListObjectsV2)), (1, 0));
    bench.server.issuer().grant("s3://exports/*");
    denied.list(None).await.unwrap_err();
    bench.hands.advance(1);
    assert_eq!(bench.keys("weekly/").await, ["weekly/d.csv"]);
    assert_eq!(bench.seen(Operation::GetDataAccess), 2);
}

#[tokio::test]
async fn granted_credentials_are_renewed_at_nine_tenths_of_their_life() {
    let bench = Bench::with_grants(&["s3://exports/daily/*"]).await;
    for (minutes, seen) in [(0, 1), (53, 1), (2, 2)] {
        bench.hands.advance(minutes);
        bench.source("daily/").list(None).await.unwrap();
        assert_eq!(bench.seen(Operation::GetDataAccess), seen, "after {minutes} minutes more");
    }
}

#[tokio::test]
async fn a_grant_that_is_taken_back_is_not_used_any_longer_than_it_must_be_renewed() {
    let bench = Bench::with_grants(&["s3://exports/daily/*"]).await;
    bench.source("daily/").list(None).await.unwrap();
    bench.server.issuer().revoke("s3://exports/daily/*");
    bench.source("daily/").list(None).await.unwrap();
    bench.hands.advance(55);
    let error = bench.source("daily/").list(None).await.unwrap_err();
    assert!(error.to_string().contains("no grant covers"), "{error}");
    assert_eq!(bench.seen(Operation::ListObjectsV2), 2);
}

#[tokio::test]
async fn a_renewal_of_a_grant_that_finds_nobody_leaves_the_old_credentials() {
    let bench = Bench::with_grants(&["s3://exports/daily/*"]).await;
    bench.source("daily/").list(None).await.unwrap();
    bench.hands.advance(55);
    bench.order(Operation::GetDataAccess, 10, Fault::Reset);
    bench.source("daily/").list(None).await.unwrap();
    let seen = bench.seen(Operation::GetDataAccess);
    bench.source("daily/").list(None).await.unwrap();
    assert_eq!(bench.seen(Operation::GetDataAccess), seen, "not at every request");
}

#[tokio::test]
async fn granted_credentials_that_expire_in_the_middle_of_a_listing_and_a_download_are_renewed() {
    let bench = Bench::with_grants(&["s3://exports/*"]).await;
    for number in 0..1_200 {
        bench.server.put(BUCKET, &format!("{number:04}.csv"), "x").unwrap();
    }
    let source = bench.source("");
    let first = source.list(None).await.unwrap();
    bench.server.issuer().expire();
    source.list(first.next.as_ref()).await.unwrap();
    assert_eq!(bench.seen(Operation::GetDataAccess), 2);
    let whole = content(300_000);
    bench.server.put(BUCKET, "0000.csv", whole.clone()).unwrap();
    let page = source.list(None).await.unwrap();
    let object = page.objects.iter().find(|object| object.key.as_str() == "0000.csv").unwrap();
    bench.order(Operation::GetObject, 1, Fault::Truncate { after: 100_000 });
    bench.order(Operation::GetObject, 1, expired());
    let reservation = bench.spool.reserve(object.size).unwrap();
    let copy = source.fetch(object, reservation, &Watch::default().begin("fetch")).await.unwrap();
    assert_eq!(copy.content().as_bytes(), blake3::hash(&whole).as_bytes());
    assert_eq!(bench.seen(Operation::GetDataAccess), 3);
}

#[tokio::test]
async fn what_is_wrong_with_grants_is_told_apart() {
    let wrong_account = |server: &Server| GrantsSettings { account_id: "210987654321".to_owned(), ..grants(server) };
    let bench =
        Bench::sending_as(|server| Credentials::Grants { grants: wrong_account(server), base: own_key_pair() }).await;
    bench.server.issuer().open_instance(ACCOUNT);
    let error = bench.source("daily/").list(None).await.unwrap_err();
    let words = "GetDataAccess: there is no S3 Access Grants instance of the account `210987654321` in `us-east-1`";
    assert!(error.to_string().contains(words), "{error}");
    assert!(error.hint().unwrap().contains("`account_id`"));

    let not_allowed = "User: arn:aws:iam::1:user/u is not authorized to perform: s3:GetDataAccess on resource: r";
    for (fault, words, class) in [
        (Fault::refuse(403, "AccessDenied", not_allowed), "may not be asked (`AccessDenied`", ErrorClass::Connection),
        (Fault::refuse(403, "SignatureDoesNotMatch", "no"), "the credentials are not accepted", ErrorClass::Connection),
        (Fault::slow_down(), "GetDataAccess: the server asks for fewer", ErrorClass::Throttled),
        (Fault::refuse(404, "NotFound", "no"), "there are no temporary credentials", ErrorClass::Connection),
        (Fault::Reset, "GetDataAccess: the server cannot be reached", ErrorClass::Network),
    ] {
        let bench = Bench::with_grants(&["s3://exports/*"]).await;
        bench.order(Operation::GetDataAccess, 2, fault);
        let error = bench.source("daily/").list(None).await.unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(error.class(), class, "{error}");
        assert_eq!(bench.seen(Operation::ListObjectsV2), 0, "nothing is read with the caller's own credentials");
    }
}

#[tokio::test]
async fn the_grants_of_a_wrong_key_are_not_given() {
    let pair = |id: &str, secret: &str| {
        let secret = secret.to_owned().into();
        BaseIdentity::KeyPair(KeyPair { id: id.to_owned(), secret, session_token: None })
    };
    for base in [pair("loopback", "wrong"), pair("nobody", "loopback-secret")] {
        let bench = Bench::sending_as(|server| Credentials::Grants { grants: grants(server), base }).await;
        bench.server.issuer().open_instance(ACCOUNT);
        bench.server.issuer().grant("s3://exports/*");
        let error = bench.source("").list(None).await.unwrap_err();
        assert!(error.to_string().contains("GetDataAccess: the credentials are not accepted"), "{error}");
    }
}

#[tokio::test]
async fn a_probe_says_what_is_granted() {
    let bench = Bench::with_grants(&["s3://exports/daily/*"]).await;
    assert!(bench.source("daily/").probe().await.is_sound());
    let refused = bench.source("weekly/").probe().await;
    assert!(matches!(&refused.list, Verdict::Refused(error) if error.hint().unwrap().contains("READ")), "{refused:?}");
}

#[tokio::test]
async fn buckets_and_prefixes_are_those_that_are_granted() {
    let bench = Bench::with_grants(&["s3://exports/daily/*", "s3://exports/50% +/*", "s3://other/*"]).await;
    let buckets = bench.connection.buckets().await.unwrap();
    assert_eq!(buckets, ["exports", "other"].map(|name| name.parse().unwrap()).into());
    let found = bench.connection.prefixes(&BUCKET.parse().unwrap()).await.unwrap();
    assert_eq!(found.prefixes, ["50% +/", "daily/"].map(str::to_owned).into());
    let seen = [Operation::ListBuckets, Operation::ListObjectsV2, Operation::GetDataAccess].map(|of| bench.seen(of));
    assert_eq!((seen, bench.seen(Operation::ListCallerAccessGrants)), ([0, 0, 0], 2));
    let not_allowed =
        "User: arn:aws:iam::1:user/u is not authorized to perform: s3:ListCallerAccessGrants on resource: r";
    bench.order(Operation::ListCallerAccessGrants, 1, Fault::refuse(403, "AccessDenied", not_allowed));
    let error = bench.connection.buckets().await.unwrap_err();
    assert!(error.to_string().contains("ListCallerAccessGrants: the S3 Access Grants instance"), "{error}");
}
