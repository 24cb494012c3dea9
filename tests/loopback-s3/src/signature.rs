//! Signatures (SigV4) of the operations that are not of S3 proper, checked as AWS checks them: over the request as it
//! arrived, with the scope of the day, the service and `aws4_request`, and a clock that is right within 15 minutes.

use std::collections::BTreeSet;

use hmac::{Hmac, KeyInit, Mac};
use hyper::Request;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::issuer::{Issuer, Refusal, now};

/// How far clocks may be apart, in seconds.
const SKEW: i64 = 15 * 60;

/// Headers that must be signed, as far as they are there.
const MUST: [&str; 4] = ["host", "x-amz-date", "x-amz-security-token", "x-amz-account-id"];

/// Checks a request to a service; gives the access key id.
pub(crate) fn check<B>(request: &Request<B>, body: &[u8], service: &str, issuer: &Issuer) -> Result<String, Refusal> {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let missing = || (403, "MissingAuthenticationToken", "Missing Authentication Token".to_owned());
    let malformed = |what: &str| (400, "IncompleteSignature", format!("Authorization header requires {what}."));
    let authorization = header("authorization").ok_or_else(missing)?;
    let fields = authorization.strip_prefix("AWS4-HMAC-SHA256 ").ok_or_else(|| malformed("AWS4-HMAC-SHA256"))?;
    let field = |name: &str| {
        let found = fields.split(',').find_map(|field| field.trim().strip_prefix(name)?.strip_prefix('='));
        found.ok_or_else(|| malformed(&format!("'{name}' parameter")))
    };
    let (credential, signed, given) = (field("Credential")?, field("SignedHeaders")?, field("Signature")?);
    let (access_key, scope) = credential.split_once('/').ok_or_else(|| malformed("a scope"))?;
    let date = header("x-amz-date").ok_or_else(|| malformed("existence of 'X-Amz-Date'"))?;
    let day = date.get(..8).unwrap_or_default();
    let parts: Vec<&str> = scope.split('/').collect();
    if !matches!(parts.as_slice(), [on, _, of, "aws4_request"] if *on == day && *of == service) {
        let message = format!("Credential should be scoped to service: '{service}'.");
        return Err((403, "SignatureDoesNotMatch", message));
    }
    let signed_headers: BTreeSet<&str> = signed.split(';').collect();
    if MUST.iter().any(|name| header(name).is_some() && !signed_headers.contains(name)) {
        return Err((403, "SignatureDoesNotMatch", "There were headers present which were not signed".to_owned()));
    }
    let sent = jiff::fmt::strtime::parse("%Y%m%dT%H%M%SZ", date).and_then(|time| time.to_datetime());
    let sent = sent.and_then(|time| time.to_zoned(jiff::tz::TimeZone::UTC)).map(|time| time.timestamp());
    if sent.map_or(true, |sent: Timestamp| (sent.as_second() - now().as_second()).abs() > SKEW) {
        let message = "The difference between the request time and the current time is too large.";
        return Err((403, "RequestTimeTooSkewed", message.to_owned()));
    }
    let secret = issuer.secret_of(access_key).ok_or_else(|| {
        (403, "InvalidClientTokenId", "The security token included in the request is invalid.".to_owned())
    })?;

    if calculated(request, body, date, scope, signed, &secret) != given {
        let message = "The request signature we calculated does not match the signature you provided.";
        return Err((403, "SignatureDoesNotMatch", message.to_owned()));
    }
    issuer.check(request.headers())?;
    Ok(access_key.to_owned())
}

/// The signature that a request with these signed headers must have.
fn calculated<B>(request: &Request<B>, body: &[u8], date: &str, scope: &str, signed: &str, secret: &str) -> String {
    let mut query: Vec<&str> = request.uri().query().unwrap_or_default().split('&').collect();
    query.sort_unstable();
    let mut headers = String::new();
    for name in signed.split(';') {
        let value = request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        headers.push_str(&format!("{name}:{}\n", value.split_whitespace().collect::<Vec<_>>().join(" ")));
    }
    let canonical = format!(
        "{}\n{}\n{}\n{headers}\n{signed}\n{}",
        request.method(),
        request.uri().path(),
        query.join("&"),
        hex(&Sha256::digest(body))
    );
    let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
    // Day, region, service and the closing word, in this order.
    let key = scope.split('/').fold(format!("AWS4{secret}").into_bytes(), |key, part| mac(&key, part.as_bytes()));
    hex(&mac(&key, to_sign.as_bytes()))
}

fn mac(key: &[u8], text: &[u8]) -> Vec<u8> {
    // A key of any length will do.
    Hmac::<Sha256>::new_from_slice(key).map_or_else(
        |_| Vec::new(),
        |mut mac| {
            mac.update(text);
            mac.finalize().into_bytes().to_vec()
        },
    )
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(query: &str) -> Request<()> {
        let request = Request::get(format!("/?{query}")).header("host", "iam.amazonaws.com");
        let request = request.header("content-type", "application/x-www-form-urlencoded; charset=utf-8");
        request.header("x-amz-date", "20150830T123600Z").body(()).unwrap()
    }

    fn signature(query: &str, secret: &str) -> String {
        let signed = "content-type;host;x-amz-date";
        calculated(&request(query), b"", "20150830T123600Z", "20150830/us-east-1/iam/aws4_request", signed, secret)
    }

    /// The example of AWS's own documentation of signatures.
    #[test]
    fn signatures_are_those_of_aws() {
        let (query, secret) = ("Action=ListUsers&Version=2010-05-08", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
        let expected = "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7";
        assert_eq!(signature(query, secret), expected);
        assert_eq!(signature("Version=2010-05-08&Action=ListUsers", secret), expected, "the order does not count");
        assert_ne!(signature("Action=ListRoles&Version=2010-05-08", secret), expected);
        assert_ne!(signature(query, "other"), expected);
    }

    /// What a request is refused with whose header `name` is another, or none.
    fn refused_with(name: &'static str, value: Option<&str>) -> &'static str {
        let issuer = Issuer::new("loopback", "secret");
        let date = now().strftime("%Y%m%dT%H%M%SZ").to_string();
        let (day, signed) = (date[..8].to_owned(), "host;x-amz-date");
        let scope = format!("{day}/us-east-1/s3/aws4_request");
        let unsigned = Request::get("/").header("host", "a").header("x-amz-date", &date).body(()).unwrap();
        let given = calculated(&unsigned, b"", &date, &scope, signed, "secret");
        let authorization =
            format!("AWS4-HMAC-SHA256 Credential=loopback/{scope}, SignedHeaders={signed}, Signature={given}");
        let mut request = unsigned;
        request.headers_mut().insert("authorization", authorization.parse().unwrap());
        assert_eq!(check(&request, b"", "s3", &issuer).unwrap(), "loopback");
        match value {
            Some(value) => _ = request.headers_mut().insert(name, value.parse().unwrap()),
            None => _ = request.headers_mut().remove(name),
        }
        check(&request, b"", "s3", &issuer).unwrap_err().1
    }

    #[test]
    fn requests_that_are_not_as_they_were_signed_are_refused() {
        assert_eq!(refused_with("authorization", None), "MissingAuthenticationToken");
        assert_eq!(refused_with("authorization", Some("Basic eA==")), "IncompleteSignature");
        assert_eq!(refused_with("host", Some("b")), "SignatureDoesNotMatch");
        assert_eq!(refused_with("x-amz-account-id", Some("123456789012")), "SignatureDoesNotMatch");
        assert_eq!(refused_with("x-amz-date", None), "IncompleteSignature");
        let earlier = now() - jiff::SignedDuration::from_mins(16);
        let earlier = earlier.strftime("%Y%m%dT%H%M%SZ").to_string();
        // Just after midnight the day of the scope is wrong as well.
        let refusal = refused_with("x-amz-date", Some(&earlier));
        assert!(matches!(refusal, "RequestTimeTooSkewed" | "SignatureDoesNotMatch"), "{refusal}");
    }
}
