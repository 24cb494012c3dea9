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
    let region = match parts.as_slice() {
        [on, region, of, "aws4_request"] if *on == day && *of == service => *region,
        _ => {
            return Err((
                403,
                "SignatureDoesNotMatch",
                format!("Credential should be scoped to service: '{service}'."),
            ));
        }
    };
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

    let mut query: Vec<&str> =
        request.uri().query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()).collect();
    query.sort_unstable();
    let headers: String = signed_headers
        .iter()
        .map(|name| {
            format!("{name}:{}\n", header(name).unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" "))
        })
        .collect();
    let canonical = format!(
        "{}\n{}\n{}\n{headers}\n{signed}\n{}",
        request.method(),
        request.uri().path(),
        query.join("&"),
        hex(&Sha256::digest(body))
    );
    let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
    let key = [day, region, service, "aws4_request"]
        .iter()
        .fold(format!("AWS4{secret}").into_bytes(), |key, part| mac(&key, part.as_bytes()));
    if hex(&mac(&key, to_sign.as_bytes())) != given {
        let message = "The request signature we calculated does not match the signature you provided.";
        return Err((403, "SignatureDoesNotMatch", message.to_owned()));
    }
    issuer.check(request.headers())?;
    Ok(access_key.to_owned())
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
