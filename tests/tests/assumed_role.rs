//! A role that is assumed at a server that was not made for it: Moto, which checks signatures and policies once it is
//! told to.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use gristmill::clock::{Clock, SystemClock};
use gristmill::retry::ErrorClass;
use gristmill::source::{
    BaseIdentity, Connection, ConnectionSettings, Credentials, HttpClient, KeyPair, RoleSettings, S3Source, Source,
};
use gristmill_tests::servers::{Program, S3Server};

const BUCKET: &str = "exports";
const READER: &str = "arn:aws:iam::123456789012:role/reader";

/// What Moto answers to a form.
fn post(endpoint: &str, path: &str, kind: &str, body: &str) -> String {
    let host = endpoint.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    // The scope says which service is meant; until it is told to check, any signature will do.
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\
         Authorization: AWS4-HMAC-SHA256 Credential=a/20261122/us-east-1/iam/aws4_request, SignedHeaders=host, \
         Signature=0\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{body}: {answer}");
    answer
}

fn iam(endpoint: &str, action: &str, parameters: &[(&str, &str)]) -> String {
    let encoded = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    let parameters: String = parameters.iter().map(|(name, value)| format!("&{name}={}", encoded(value))).collect();
    let form = format!("Action={action}&Version=2010-05-08{parameters}");
    post(endpoint, "/", "application/x-www-form-urlencoded", &form)
}

fn element<'a>(answer: &'a str, name: &str) -> &'a str {
    let (_, rest) = answer.split_once(&format!("<{name}>")).unwrap();
    rest.split_once('<').unwrap().0
}

fn policy(actions: &str, resource: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":{actions},"Resource":"{resource}"}}]}}"#
    )
}

async fn source(endpoint: &str, credentials: Credentials) -> S3Source {
    let settings = ConnectionSettings {
        region: "us-east-1".to_owned(),
        endpoint_url: Some(endpoint.to_owned()),
        force_path_style: true,
        credentials,
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let connection = Connection::open("acme".parse().unwrap(), &settings, &HttpClient::new(), &clock).await;
    connection.source(BUCKET.parse().unwrap(), "daily/")
}

#[tokio::test]
async fn moto_gives_the_role_what_it_does_not_give_who_assumes_it() {
    let server = S3Server::start(Program::Moto).await;
    let endpoint = server.endpoint();
    let admin = server.admin();
    admin.create_bucket(BUCKET).await;
    admin.put(BUCKET, "daily/a.csv", "x").await;
    iam(&endpoint, "CreateUser", &[("UserName", "mill")]);
    let key = iam(&endpoint, "CreateAccessKey", &[("UserName", "mill")]);
    let assume = policy(r#""sts:AssumeRole""#, READER);
    iam(&endpoint, "PutUserPolicy", &[("UserName", "mill"), ("PolicyName", "assume"), ("PolicyDocument", &assume)]);
    let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:user/mill"},"Action":"sts:AssumeRole"}]}"#;
    let read = policy(r#"["s3:ListBucket","s3:GetObject"]"#, "*");
    for role in ["reader", "other"] {
        iam(&endpoint, "CreateRole", &[("RoleName", role), ("AssumeRolePolicyDocument", trust)]);
        iam(&endpoint, "PutRolePolicy", &[("RoleName", role), ("PolicyName", "read"), ("PolicyDocument", &read)]);
    }
    // From now on every request is checked.
    post(&endpoint, "/moto-api/reset-auth", "text/plain", "0");

    let pair = |secret: &str| {
        let (id, secret) = (element(&key, "AccessKeyId").to_owned(), secret.to_owned().into());
        BaseIdentity::KeyPair(KeyPair { id, secret, session_token: None })
    };
    let secret = element(&key, "SecretAccessKey");
    let role = |role_arn: &str| RoleSettings {
        role_arn: role_arn.to_owned(),
        external_id: Some("acme".to_owned()),
        session_name: "gristmill".to_owned(),
        duration: Duration::from_secs(900),
        endpoint_url: Some(endpoint.clone()),
    };
    let denied = source(&endpoint, Credentials::Own(pair(secret))).await.list(None).await.unwrap_err();
    assert_eq!(denied.class(), ErrorClass::Denied, "{denied}");

    let granted = source(&endpoint, Credentials::Role { role: role(READER), base: pair(secret) }).await;
    let probe = granted.probe().await;
    assert!(probe.is_sound(), "{probe:?}");
    assert_eq!(probe.samples.iter().map(|key| key.as_str()).collect::<Vec<_>>(), ["daily/a.csv"]);

    let refused = [
        Credentials::Role { role: role("arn:aws:iam::123456789012:role/other"), base: pair(secret) },
        Credentials::Role { role: role(READER), base: pair("not-the-secret") },
    ];
    for credentials in refused {
        let error = source(&endpoint, credentials).await.list(None).await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Connection, "{error}");
        // Moto's refusals have no code that STS knows, so they are not told apart.
        assert!(error.to_string().contains("AssumeRole: the role `arn:aws:iam::123456789012:role/"), "{error}");
    }
}
