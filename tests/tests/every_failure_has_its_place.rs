//! Each way in which S3 refuses, breaks off or cannot be reached: what is recorded of it, the words, and the next step.
//!
//! What other writers and networks do to one file over time is in `a_bad_day_loses_nothing`, files and mappers at fault in
//! `bad_rows_and_bad_files` and `one_mistake_stops_one`, destinations in `several_destinations` and `postgres`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write;
use std::net::TcpListener;

use gristmill_loopback_s3::{Config, Fault, Operation, Server};
use gristmill_tests::daemon::{Bed, Ran};
use gristmill_tests::services::OpenBao;
use serde_json::Value;

const BUCKET: &str = "exports";

fn integration(name: &str, connection: &str, bucket: &str) -> String {
    format!(
        "[integrations.{name}]\nconnection = \"{connection}\"\nbucket = \"{bucket}\"\nprefix = \"{name}/\"\n\
         matching = {{ on_no_match = \"create\" }}\nidentifiers = [{{ column = \"id\", match = \"crm_id\" }}]\n\
         fields = [{{ column = \"stage\", field = \"stage\", type = \"text\" }}]\n"
    )
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// What a fault at one object of two comes to.
struct Case {
    /// Also the integration's name, and its objects' prefix.
    name: &'static str,
    fault: Fault,
    class: &'static str,
    /// What is recorded of the object.
    state: Recorded,
    /// A part of the error.
    says: &'static str,
    /// A part of the hint; empty when there is nothing that a person can do.
    hint: &'static str,
}

/// What the ledger holds of an object at fault.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Recorded {
    /// A failure, and when it is tried again; the other object is taken.
    TriedAgain,
    /// That it was skipped; the other object is taken.
    Skipped,
    /// Nothing: what is wrong is not the object's, and ends the pass.
    Nothing,
}

fn refuse(status: u16, code: &str, message: &str) -> Fault {
    Fault::refuse(status, code, message)
}

fn redirect(region: &str) -> Fault {
    let message = "The bucket you are attempting to access must be addressed using the specified endpoint.";
    let headers = vec![("x-amz-bucket-region".to_owned(), region.to_owned())];
    Fault::Refuse { status: 301, code: "PermanentRedirect".to_owned(), message: message.to_owned(), headers }
}

/// Statuses, codes and words are those that Amazon S3 documents.
fn cases() -> Vec<Case> {
    use Recorded::{Nothing, Skipped, TriedAgain};
    let case = |name, fault, class, state, says, hint| Case { name, fault, class, state, says, hint };
    vec![
        case("gone", Fault::Delete, "gone", Skipped, "deleted since it was listed", ""),
        case(
            "changed",
            Fault::Replace { content: "id,stage\nz,won\n".into() },
            "changed",
            Skipped,
            "replaced since it was listed",
            "",
        ),
        case(
            "denied",
            Fault::access_denied(),
            "denied",
            TriedAgain,
            "access denied (`AccessDenied`, status 403)",
            "allow `s3:GetObject` on `arn:aws:s3:::exports/denied/*`",
        ),
        case(
            "kms",
            refuse(
                403,
                "AccessDenied",
                "User: arn:aws:iam::1:user/x is not authorized to perform: kms:Decrypt on the resource",
            ),
            "kms",
            TriedAgain,
            "the object's encryption key cannot be used",
            "allow `kms:Decrypt`",
        ),
        case(
            "key-disabled",
            refuse(400, "KMS.DisabledException", "The key is disabled."),
            "kms",
            TriedAgain,
            "the object's encryption key cannot be used (`KMS.DisabledException`, status 400)",
            "see that the key is enabled",
        ),
        case(
            "archived",
            refuse(403, "InvalidObjectState", "The operation is not valid for the object's storage class"),
            "archived",
            TriedAgain,
            "the object is archived",
            "restore the object",
        ),
        case(
            "throttled",
            Fault::slow_down(),
            "throttled",
            TriedAgain,
            "the server asks for fewer requests (`SlowDown`, status 503)",
            "",
        ),
        case(
            "too-many",
            refuse(429, "TooManyRequests", "Slow down."),
            "throttled",
            TriedAgain,
            "the server asks for fewer requests",
            "",
        ),
        case(
            "server",
            refuse(500, "InternalError", "We encountered an internal error. Please try again."),
            "network",
            TriedAgain,
            "the server failed (`InternalError`, status 500)",
            "",
        ),
        case("gateway", refuse(502, "", ""), "network", TriedAgain, "the server failed (status 502)", ""),
        case(
            "reset",
            Fault::Reset,
            "network",
            TriedAgain,
            "the server cannot be reached",
            "see that `endpoint_url` and `region` are right",
        ),
        case("truncated", Fault::Truncate { after: 0 }, "network", TriedAgain, "the body broke off", ""),
        case(
            "altered",
            Fault::Corrupt { at: 1 },
            "corrupt",
            TriedAgain,
            "the bytes are not those that were stored",
            "upload the object again",
        ),
        case(
            "odd",
            refuse(418, "Teapot", "?"),
            "ours",
            TriedAgain,
            "the server's answer is unexpected (`Teapot`, status 418)",
            "see that `endpoint_url` is that of an S3 server",
        ),
        case(
            "skewed",
            refuse(
                403,
                "RequestTimeTooSkewed",
                "The difference between the request time and the server's time is too large.",
            ),
            "skewed",
            Nothing,
            "this machine's clock and the server's are too far apart",
            "set this machine's clock",
        ),
        case(
            "expired",
            refuse(400, "ExpiredToken", "The provided token has expired."),
            "connection",
            Nothing,
            "the credentials are not accepted (`ExpiredToken`, status 400)",
            "have not expired",
        ),
        case(
            "unknown-key",
            refuse(403, "InvalidAccessKeyId", "The AWS access key ID that you provided does not exist."),
            "connection",
            Nothing,
            "the credentials are not accepted",
            "access key id and secret belong together",
        ),
        case(
            "other-region",
            redirect("eu-west-3"),
            "connection",
            Nothing,
            "wrong region: the bucket is in `eu-west-3`",
            "set the connection's `region` to \"eu-west-3\"",
        ),
        case(
            "malformed",
            refuse(
                400,
                "AuthorizationHeaderMalformed",
                "The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-north-1'",
            ),
            "connection",
            Nothing,
            "the bucket is in `eu-north-1`",
            "\"eu-north-1\"",
        ),
        case(
            "bucket-gone",
            refuse(404, "NoSuchBucket", "The specified bucket does not exist"),
            "connection",
            Nothing,
            "no such bucket",
            "see that the bucket's name",
        ),
    ]
}

fn check(bed: &Bed, ran: &Ran, case: &Case) {
    let (name, key) = (case.name, format!("{}/a.csv", case.name));
    let of_it = |line: &&Value| text(&line["object"]) == format!("s3://{BUCKET}/{key}");
    let explained = bed.command(["explain", name, &key]).output;
    match case.state {
        Recorded::Skipped => {
            assert_eq!(ran.counts(name), [2, 0, 1, 0, 1, 0], "{name}");
            let skipped = ran.events("object_skipped");
            let skipped = skipped.iter().find(of_it).unwrap();
            assert_eq!(text(&skipped["reason"]), case.says, "{skipped}");
        }
        Recorded::TriedAgain => {
            assert_eq!(ran.counts(name), [2, 0, 1, 0, 0, 1], "{name}: {ran:?}");
            let failed = ran.events("object_failed");
            let failed = failed.iter().find(of_it).unwrap();
            let entry = bed.entry(name, &key);
            assert_eq!(
                (text(&failed["class"]), text(&entry["failure"]["class"])),
                (case.class, case.class),
                "{failed}"
            );
            assert!(text(&entry["failure"]["message"]).contains(case.says), "{entry}");
            assert!(text(&failed["hint"]).contains(case.hint), "{failed}");
            assert_eq!(failed["hint"].is_null(), case.hint.is_empty(), "{failed}");
            assert_eq!(entry["state"]["failed"]["attempts"], 1, "{entry}");
            assert!(explained.starts_with("failed once, tried again after "), "{explained}");
            assert!(explained.contains(case.says) && explained.contains(case.hint), "{explained}");
        }
        Recorded::Nothing => {
            let refusal = ran.refusal(name);
            let (error, hint) = refusal.split_once(" — ").unwrap();
            assert!(
                error.contains(case.says) && hint.contains(case.hint) && !case.hint.is_empty(),
                "{name}: {refusal}"
            );
            assert!(
                bed.ledger(name).iter().all(|entry| text(&entry["key"]) != key || entry["state"].is_null()),
                "{name}"
            );
            assert!(explained.contains("the next pass takes it"), "{name}: {explained}");
        }
    }
}

#[test]
fn each_failure_of_an_object_is_recorded_told_and_gone_on_from_as_its_class_asks() {
    let server = Server::start(Config::with_bucket(BUCKET)).unwrap();
    let bed = Bed::new(&server.endpoint(), "loopback", "loopback-secret");
    let cases = cases();
    bed.configure(&cases.iter().map(|case| integration(case.name, "main", BUCKET)).collect::<String>());
    for case in &cases {
        for file in ["a", "b"] {
            server
                .put(BUCKET, &format!("{}/{file}.csv", case.name), format!("id,stage\n{}-{file},won\n", case.name))
                .unwrap();
        }
        let key = format!("{}/a.csv", case.name);
        match case.state {
            Recorded::Skipped => server.faults().next_of(Operation::GetObject, &key, 1, case.fault.clone()),
            _ => server.faults().always_of(Operation::GetObject, &key, case.fault.clone()),
        }
    }
    let ran = bed.once();
    assert_eq!(ran.code, 1, "{ran:?}");
    cases.iter().for_each(|case| check(&bed, &ran, case));

    // Nothing of all that is in the way of a better day.
    server.faults().clear();
    for case in &cases {
        if case.state == Recorded::TriedAgain {
            let key = format!("{}/a.csv", case.name);
            assert_eq!(bed.command(["replay", case.name, "--key", &key]).code, 0, "{}", case.name);
        }
    }
    let ran = bed.once();
    assert_eq!(ran.code, 0, "{ran:?}");
    let named = bed.rows("SELECT count(*) FROM accounts");
    // All of two files each; of the one that was deleted one, of the one that was replaced its other content.
    assert_eq!(named, [(2 * cases.len() - 1).to_string()]);
}

#[test]
fn a_server_that_cannot_be_used_fails_its_own_integrations_and_says_why() {
    let server = Server::start(Config::with_bucket(BUCKET)).unwrap();
    // What matters of it is that it speaks TLS with a certificate of nobody that is known here.
    let vault = OpenBao::start();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = nobody.local_addr().unwrap();
    drop(nobody);
    let bed = Bed::new(&server.endpoint(), "loopback", "loopback-secret");
    let plain = bed.connection().to_owned();
    let at =
        |name: &str, address: &str| format!("[connections.{name}]\n{}\n", plain.replace(&server.endpoint(), address));
    let address = server.endpoint().replace("http://", "");
    let cases = [
        (
            "closed",
            at("closed", &format!("http://{closed}")),
            "the server cannot be reached",
            "can be reached from here",
        ),
        ("unknown", at("unknown", "http://nowhere.invalid"), "the server cannot be reached", "`endpoint_url`"),
        ("no-tls", at("no-tls", &format!("https://{address}")), "no TLS connection", "begins with `http://`"),
        ("untrusted", at("untrusted", &vault.address()), "UnknownIssuer", "an authority that this machine trusts"),
        (
            "wrong-key",
            at("wrong-key", &server.endpoint()).replace("= \"loopback\"", "= \"another\""),
            "the credentials are not accepted",
            "access key id and secret",
        ),
    ];
    let mut parts = String::new();
    for (name, connection, ..) in &cases {
        write!(parts, "{connection}{}", integration(name, name, BUCKET)).unwrap();
    }
    parts += &integration("no-bucket", "main", "another");
    parts += &integration("sound", "main", BUCKET);
    bed.configure(&parts);
    server.put(BUCKET, "sound/a.csv", "id,stage\na,won\n").unwrap();
    let ran = bed.once();
    assert_eq!(ran.code, 1, "{ran:?}");
    assert_eq!(ran.counts("sound"), [1, 0, 1, 0, 0, 0]);
    let refusals = cases.iter().map(|(name, _, says, hint)| (*name, *says, *hint));
    for (name, says, hint) in refusals.chain([("no-bucket", "no such bucket", "see that the bucket's name")]) {
        let refusal = ran.refusal(name);
        assert!(refusal.contains(says) && refusal.split_once(" — ").unwrap().1.contains(hint), "{name}: {refusal}");
        assert!(refusal.starts_with("cannot list `s3://"), "{refusal}");
    }
    for (name, ..) in cases {
        let tested = bed.command(["connection", "test", name, &format!("s3://{BUCKET}/")]);
        assert_eq!(tested.code, 1, "{tested:?}");
        assert!(tested.output.contains("list: "), "{tested:?}");
    }
}
