//! A body that stands still, on a connection with little patience.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gristmill_loopback_s3::{Config, Fault, Operation, Server};

use super::*;
use crate::clock::{Clock, SystemClock};
use crate::oversight::Watch;
use crate::source::{BaseIdentity, ConnectionSettings, Credentials, HttpClient, KeyPair, Source};
use crate::spool::Spool;

const PATIENCE: Duration = Duration::from_millis(100);

/// Bytes without a pattern that a wrong offset could hide in.
fn content(size: usize) -> Bytes {
    let mut bytes = vec![0; size];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    bytes.into()
}

async fn connection(server: &Server) -> Connection {
    let secret = "loopback-secret".to_owned().into();
    let pair = KeyPair { id: "loopback".to_owned(), secret, session_token: None };
    let settings = ConnectionSettings {
        region: "us-east-1".to_owned(),
        endpoint_url: Some(server.endpoint()),
        force_path_style: true,
        credentials: Credentials::Own(BaseIdentity::KeyPair(pair)),
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    Connection::with_patience("acme".parse().unwrap(), &settings, &HttpClient::new(), &clock, PATIENCE).await
}

/// The copy in the spool cannot be begun again, so a continuation that gave the whole body would be more than was listed.
#[tokio::test]
async fn a_body_that_stands_still_is_given_up_and_taken_up_where_it_stood() {
    let server = Server::start(Config::with_bucket("exports")).unwrap();
    let whole = content(500_000);
    server.put("exports", "a.csv", whole.clone()).unwrap();
    let source = connection(&server).await.source("exports".parse().unwrap(), "");
    let object = source.list(None).await.unwrap().objects.remove(0);
    server.faults().next(Operation::GetObject, 1, Fault::Stall { after: 100_000 });
    let directory = tempfile::tempdir().unwrap();
    let spool = Spool::open(directory.path(), 1 << 20, 0).unwrap();
    let reservation = spool.reserve(object.size).unwrap();
    let copy = source.fetch(&object, reservation, &Watch::default().begin("fetch")).await.unwrap();
    let mut found = Vec::new();
    copy.open().unwrap().read_to_end(&mut found).unwrap();
    assert!(found == whole, "the copy differs");
    assert_eq!(server.faults().seen(Operation::GetObject), 2);
}

#[tokio::test]
async fn what_stands_still_has_broken_off_and_says_so() {
    let server = Server::start(Config::with_bucket("exports")).unwrap();
    server.put("exports", "a.csv", content(500_000)).unwrap();
    let connection = connection(&server).await;
    let source = connection.source("exports".parse().unwrap(), "");
    let object = source.list(None).await.unwrap().objects.remove(0);
    server.faults().next(Operation::GetObject, 1, Fault::Stall { after: 0 });
    let directory = tempfile::tempdir().unwrap();
    let spool = Spool::open(directory.path(), 1 << 20, 0).unwrap();
    let mut writer = spool.reserve(object.size).unwrap().write(Digests::Content).unwrap();
    let answer = get(&connection, &object, 0).await.unwrap();
    let failure = drain(&object, answer.body, &mut writer, &Watch::default().begin("fetch")).await.unwrap().unwrap();
    assert_eq!((failure.kind.clone(), writer.written()), (FailureKind::Broken, 0));
    assert!(failure.to_string().contains("throughput"), "{failure}");
}
