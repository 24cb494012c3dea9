//! The ways to credentials, through the built binary.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;

use gristmill_loopback_s3::Operation;
use gristmill_tests::process::{BUCKET, Bed, SECRET};
use serde_json::json;

const ROLE: &str = "arn:aws:iam::123456789012:role/reader";
const ACCOUNT: &str = "123456789012";

/// A connection that obtains its credentials with the key pair of the bed's server, at its address.
fn obtaining(bed: &Bed, name: &str, how: &str, settings: &str) -> String {
    format!(
        "[connections.{name}]\nendpoint_url = \"{endpoint}\"\n[connections.{name}.{how}]\n{settings}\n\
         endpoint_url = \"{endpoint}\"\n\
         access_key = {{ access_key_id = \"loopback\", secret_access_key = {{ file = \"{}\" }} }}\n",
        bed.path("secret-key").display(),
        endpoint = bed.server.endpoint(),
    )
}

fn integration(name: &str, connection: &str, prefix: &str) -> String {
    format!(
        "[integrations.{name}]\nconnection = \"{connection}\"\nbucket = \"{BUCKET}\"\nprefix = \"{prefix}\"\n\
         destination = \"lines\"\nmatching = {{ on_no_match = \"create\" }}\n\
         identifiers = [{{ column = \"Account\", match = \"crm_id\" }}]\n\
         fields = [{{ column = \"Name\", field = \"name\", type = \"text\" }}]\n"
    )
}

fn bed() -> Bed {
    let bed = Bed::new();
    for key in ["daily/a.csv", "daily-other/b.csv", "weekly/c.csv"] {
        bed.server.put(BUCKET, key, "Account,Name\nA,Ann\n").unwrap();
    }
    bed
}

#[test]
fn integrations_of_one_connection_assume_its_role_once() {
    let bed = bed();
    bed.server.issuer().trust(ROLE, Some("acme-7f3a"));
    let settings = format!("role_arn = \"{ROLE}\"\nexternal_id = \"acme-7f3a\"");
    let parts = [
        "[destinations.lines]\nfiles = { path = \"lines\" }\n".to_owned(),
        obtaining(&bed, "role", "assume_role", &settings),
        integration("one", "role", "daily/"),
        integration("two", "role", "weekly/"),
    ];
    bed.configure("", &parts.concat());
    let once = bed.gristmill(&["run", "--once"]);
    assert!(once.status.success(), "{once:?}");
    let faults = bed.server.faults();
    assert_eq!((faults.seen(Operation::AssumeRole), faults.seen(Operation::GetObject)), (1, 2));
    let other = bed.json(&["connection", "policy", "role"]);
    assert_eq!(other[0]["policies"][0]["document"]["Statement"][0]["Resource"], ROLE);
}

#[test]
fn prefixes_under_one_grant_are_read_with_one_question_and_others_not_at_all() {
    let bed = bed();
    let issuer = bed.server.issuer();
    issuer.open_instance(ACCOUNT);
    issuer.grant(&format!("s3://{BUCKET}/daily*"));
    let parts = [
        "[destinations.lines]\nfiles = { path = \"lines\" }\n".to_owned(),
        obtaining(&bed, "granted", "access_grants", &format!("account_id = \"{ACCOUNT}\"")),
        integration("one", "granted", "daily/"),
        integration("two", "granted", "daily-other/"),
    ];
    bed.configure("", &parts.concat());
    let once = bed.gristmill(&["run", "--once"]);
    assert!(once.status.success(), "{once:?}");
    let faults = bed.server.faults();
    assert_eq!((faults.seen(Operation::GetDataAccess), faults.seen(Operation::GetObject)), (1, 2));

    assert_eq!(bed.json(&["connection", "buckets", "granted"])[0]["buckets"], json!([BUCKET]));
    assert_eq!(bed.json(&["connection", "prefixes", "granted", BUCKET])[0]["prefixes"], json!(["daily"]));
    let seen = bed.json(&["connection", "prefixes", "acme", BUCKET]);
    assert_eq!(seen[0]["prefixes"], json!(["daily-other/", "daily/", "weekly/"]));
    let grants = [format!("s3://{BUCKET}/daily-other/*"), format!("s3://{BUCKET}/daily/*")];
    assert_eq!(bed.json(&["connection", "policy", "granted"])[0]["grants"], json!(grants));

    let refused = bed.gristmill(&["connection", "test", "granted", &format!("s3://{BUCKET}/weekly/")]);
    assert_eq!(refused.status.code(), Some(1));
    let text = String::from_utf8(refused.stdout).unwrap();
    assert!(text.contains("list: refused: cannot list") && text.contains("GetDataAccess: no grant covers"), "{text}");
    assert!(text.contains("hint: have READ on it granted"), "{text}");
}

#[test]
fn the_default_chain_takes_what_the_environment_offers_and_says_when_that_is_nothing() {
    let bed = bed();
    let parts = [
        "[destinations.lines]\nfiles = { path = \"lines\" }\n".to_owned(),
        format!("[connections.found]\nendpoint_url = \"{}\"\ndefault_chain = {{}}\n", bed.server.endpoint()),
        integration("one", "found", "daily/"),
    ];
    bed.configure("", &parts.concat());
    let profile = bed.path("profile");
    fs::write(&profile, format!("[default]\naws_access_key_id = loopback\naws_secret_access_key = {SECRET}\n"))
        .unwrap();
    let once = |environment: &[(&str, &str)]| {
        let mut once = bed.command(&["run", "--once"]);
        // Neither this machine's profile nor its instance's role.
        once.env("HOME", bed.path("")).env("AWS_EC2_METADATA_DISABLED", "true").envs(environment.iter().copied());
        once.output().unwrap()
    };
    let nothing = once(&[]);
    assert_eq!(nothing.status.code(), Some(1), "{nothing:?}");
    let said = String::from_utf8(nothing.stderr).unwrap();
    assert!(said.contains("the credentials are not accepted") && said.contains("with `default_chain`"), "{said}");
    let offers: [&[(&str, &str)]; 2] = [
        &[("AWS_SHARED_CREDENTIALS_FILE", profile.to_str().unwrap())],
        &[("AWS_ACCESS_KEY_ID", "loopback"), ("AWS_SECRET_ACCESS_KEY", SECRET)],
    ];
    for (place, offer) in offers.into_iter().enumerate() {
        bed.server.put(BUCKET, &format!("daily/{place}.csv"), format!("Account,Name\nB{place},Ben\n")).unwrap();
        let once = once(offer);
        assert!(once.status.success(), "{once:?}");
        // One of each turn, and the one that was there before.
        assert_eq!(bed.server.faults().seen(Operation::GetObject), 2 + place as u64);
    }
}

#[test]
fn policies_are_printed_for_what_integrations_read() {
    let bed = bed();
    bed.configure("", "");
    let unused = bed.gristmill(&["connection", "policy", "acme"]);
    assert_eq!(unused.status.code(), Some(1));
    let text = String::from_utf8(unused.stderr).unwrap();
    assert!(text.contains("gristmill connection policy acme s3://BUCKET/PREFIX"), "{text}");
    let named = bed.gristmill(&["connection", "policy", "acme", "s3://exports/daily/"]);
    assert!(named.status.success(), "{named:?}");
    let text = String::from_utf8(named.stdout).unwrap();
    assert!(text.starts_with("For the user whose keys these are:\n{"), "{text}");
    assert!(text.contains("\"arn:aws:s3:::exports/daily/*\""), "{text}");
}
