//! Answers as servers give them, through the SDK's own parser.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpRequest;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, HttpClient, Region, RuntimeComponents};
use aws_sdk_s3::primitives::SdkBody;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_types::retry::RetryConfig;

use super::*;
use crate::source::{BaseIdentity, Connection, HttpClient as OurHttpClient, KeyPair};

/// A server that gives one answer to everything.
#[derive(Debug, Clone)]
struct Canned {
    status: u16,
    headers: &'static [(&'static str, &'static str)],
    body: String,
}

impl HttpConnector for Canned {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        let mut answer = HttpResponse::new(self.status.try_into().unwrap(), SdkBody::from(self.body.clone()));
        for (name, value) in self.headers {
            answer.headers_mut().insert(*name, *value);
        }
        HttpConnectorFuture::ready(Ok(answer))
    }
}

impl HttpClient for Canned {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

fn error_body(code: &str, message: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message>\
         <RequestId>656c76696e6727732072657175657374</RequestId><HostId>x</HostId></Error>"
    )
}

#[expect(clippy::disallowed_methods, reason = "a client of its own")]
fn client(canned: Canned) -> Client {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(Credentials::new("AKIAEXAMPLE", "canary-secret", None, None, "test"))
        .retry_config(RetryConfig::disabled())
        .http_client(canned)
        .build();
    Client::from_conf(config)
}

fn object(key: &str) -> Object {
    Object {
        connection: "acme".parse().unwrap(),
        bucket: "exports".parse().unwrap(),
        key: key.parse().unwrap(),
        etag: "e".parse().unwrap(),
        size: 1,
        last_modified: jiff::Timestamp::UNIX_EPOCH,
    }
}

async fn get(canned: Canned) -> SourceError {
    let answer = client(canned).get_object().bucket("exports").key("daily/a.csv").send().await;
    SourceError::fetch(&object("daily/a.csv"), Failure::from_sdk(&answer.unwrap_err()))
}

async fn list(canned: Canned) -> SourceError {
    let answer = client(canned).list_objects_v2().bucket("exports").send().await;
    SourceError::list(&"exports".parse().unwrap(), "daily/", Failure::from_sdk(&answer.unwrap_err()))
}

#[tokio::test]
async fn answers_to_a_fetch_have_the_class_of_their_code() {
    let other_region = FailureKind::WrongRegion { right: Some("us-west-2".to_owned()) };
    for (status, code, message, kind, class) in [
        (404, "NoSuchKey", "The specified key does not exist.", FailureKind::Gone, ErrorClass::Gone),
        (
            412,
            "PreconditionFailed",
            "At least one of the pre-conditions you specified did not hold",
            FailureKind::Changed,
            ErrorClass::Changed,
        ),
        (403, "AccessDenied", "Access Denied", FailureKind::Denied, ErrorClass::Denied),
        (
            403,
            "AccessDenied",
            "User: arn:aws:iam::1:user/u is not authorized to perform: kms:Decrypt on the resource associated with \
             this ciphertext because no identity-based policy allows the kms:Decrypt action",
            FailureKind::Kms,
            ErrorClass::Kms,
        ),
        (
            400,
            "KMS.DisabledException",
            "arn:aws:kms:eu-central-1:1:key/k is disabled.",
            FailureKind::Kms,
            ErrorClass::Kms,
        ),
        (
            403,
            "InvalidObjectState",
            "The operation is not valid for the object's storage class",
            FailureKind::Archived,
            ErrorClass::Archived,
        ),
        (503, "SlowDown", "Please reduce your request rate.", FailureKind::Throttled, ErrorClass::Throttled),
        (
            403,
            "RequestTimeTooSkewed",
            "The difference between the request time and the current time is too large.",
            FailureKind::Skewed,
            ErrorClass::Skewed,
        ),
        (
            400,
            "AuthorizationHeaderMalformed",
            "The authorization header is malformed; the region 'eu-central-1' is wrong; expecting 'us-west-2'",
            other_region,
            ErrorClass::Connection,
        ),
        (
            400,
            "AuthorizationHeaderMalformed",
            "The authorization header is malformed; a non-empty Access Key (AKID) must be provided in the credential.",
            FailureKind::Credentials,
            ErrorClass::Connection,
        ),
        (404, "NoSuchBucket", "The specified bucket does not exist", FailureKind::NoSuchBucket, ErrorClass::Connection),
        (
            403,
            "InvalidAccessKeyId",
            "The AWS Access Key Id you provided does not exist in our records.",
            FailureKind::Credentials,
            ErrorClass::Connection,
        ),
        (
            403,
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided.",
            FailureKind::Credentials,
            ErrorClass::Connection,
        ),
        (400, "ExpiredToken", "The provided token has expired.", FailureKind::Credentials, ErrorClass::Connection),
        (500, "InternalError", "We encountered an internal error.", FailureKind::Server, ErrorClass::Network),
        (400, "InvalidRequest", "The object was stored using SSE-C.", FailureKind::Unexpected, ErrorClass::Ours),
    ] {
        let error = get(Canned { status, headers: &[], body: error_body(code, message) }).await;
        let SourceError::Fetch { failure, .. } = &error else { panic!("{error:?}") };
        assert_eq!((&failure.kind, error.class()), (&kind, class), "{code}: {message}");
        assert_eq!((failure.code.as_deref(), failure.status), (Some(code), Some(status)));
    }
}

#[tokio::test]
async fn answers_without_a_code_have_the_class_of_their_status() {
    for (status, class) in [
        (404, ErrorClass::Gone),
        (412, ErrorClass::Changed),
        (403, ErrorClass::Denied),
        (401, ErrorClass::Connection),
        (429, ErrorClass::Throttled),
        (503, ErrorClass::Throttled),
        (502, ErrorClass::Network),
        (418, ErrorClass::Ours),
    ] {
        for body in ["", "<html>not S3</html>"] {
            let error = get(Canned { status, headers: &[], body: body.to_owned() }).await;
            assert_eq!(error.class(), class, "{status} {body}: {error}");
        }
    }
}

#[tokio::test]
async fn a_bucket_in_another_region_is_named_with_its_region() {
    let headers = &[("x-amz-bucket-region", "us-west-2")];
    let body = error_body("PermanentRedirect", "The bucket you are attempting to access must be addressed using ...");
    let error = list(Canned { status: 301, headers, body }).await;
    assert_eq!(
        error.to_string(),
        "cannot list `s3://exports/daily/`: wrong region: the bucket is in `us-west-2` (`PermanentRedirect`, status 301): \
         `The bucket you are attempting to access must be addressed using ...`"
    );
    assert_eq!(error.hint().unwrap(), "set the connection's `region` to \"us-west-2\"");
    assert_eq!(error.class(), ErrorClass::Connection);
}

#[tokio::test]
async fn what_a_listing_misses_is_the_bucket() {
    let error = list(Canned { status: 404, headers: &[], body: String::new() }).await;
    assert_eq!(error.to_string(), "cannot list `s3://exports/daily/`: no such bucket (`NotFound`, status 404)");
}

#[tokio::test]
async fn a_page_that_is_not_of_s3_stops_the_pass() {
    let error = list(Canned { status: 200, headers: &[], body: "<html>hello</html>".to_owned() }).await;
    assert_eq!(error.class(), ErrorClass::Connection, "{error}");
    assert!(error.hint().unwrap().contains("endpoint_url"));
}

#[tokio::test]
async fn a_denial_names_the_missing_permission() {
    let denied = || Canned { status: 403, headers: &[], body: error_body("AccessDenied", "Access Denied") };
    assert_eq!(list(denied()).await.hint().unwrap(), "allow `s3:ListBucket` on `arn:aws:s3:::exports`");
    let fetch = get(denied()).await.hint().unwrap();
    assert!(fetch.starts_with("allow `s3:GetObject` on `arn:aws:s3:::exports/daily/*`"), "{fetch}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_the_network() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let settings = crate::source::ConnectionSettings {
        region: "us-east-1".to_owned(),
        endpoint_url: Some(format!("http://127.0.0.1:{port}")),
        force_path_style: true,
        credentials: crate::source::Credentials::Own(BaseIdentity::KeyPair(KeyPair {
            id: "AKIAEXAMPLE".to_owned(),
            secret: "canary-secret".to_owned().into(),
            session_token: None,
        })),
    };
    let clock: std::sync::Arc<dyn crate::clock::Clock> = std::sync::Arc::new(crate::clock::SystemClock);
    let connection = Connection::open("acme".parse().unwrap(), &settings, &OurHttpClient::new(), &clock).await;
    let error = connection.buckets().await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Network, "{error}");
    assert!(error.to_string().contains("Connection refused"), "{error}");
    let shown = format!("{settings:?} {connection:?} {error:?} {error}");
    assert!(shown.contains("AKIAEXAMPLE") && !shown.contains("canary-secret"), "{shown}");
}

#[test]
fn words_of_servers_are_cut_and_escaped() {
    let long = "\u{1b}[2J\n".repeat(100);
    let failure = Failure::new(FailureKind::Denied).with_message(&long);
    let message = failure.message.unwrap();
    assert_eq!(message.chars().count(), SHOWN);
    assert!(message.starts_with("\\u{1b}[2J\\n") && !message.contains(char::is_control), "{message}");
    let error = SourceError::fetch(&object("a\n.csv"), Failure::new(FailureKind::Gone));
    assert_eq!(error.to_string(), "cannot fetch `s3://exports/a\\n.csv`: the object is no longer there");
    assert_eq!(error.hint(), None);
}
