//! S3 Access Grants, as the reference of S3 Control describes GetDataAccess and ListCallerAccessGrants: requests, answers
//! and errors.
//!
//! Modelled with the limits that the reference states: an account id of twelve digits; a duration of 900 to 43,200
//! seconds, of an hour where none is asked for; a target that begins with `s3://`; up to 1,000 grants a page; signatures,
//! and clocks that are right within 15 minutes.
//!
//! Not modelled: locations and their roles, grantees (every grant is the server's own key pair's), WRITE, identity
//! centres, applications, resource policies of other accounts, the privilege `Minimal`, the largest number of grants and
//! the longest target, quotas of requests (a test orders `SlowDown`), and that the instance stands in one region. The
//! account's id is taken from the header alone, not from the host's name. Credentials end when a test says so, not with
//! time ([`Issuer::expire`]); that the SDK is told an end is all that time does here.

use std::collections::HashMap;
use std::time::Duration;

use hyper::Request;

use crate::issuer::{Issuer, Refusal};
use crate::serve::decoded;
use crate::signature;
use crate::sts::escaped;

/// Where the operations stand.
pub(crate) const PATH: &str = "/v20180820/accessgrantsinstance/";

/// Answers GetDataAccess.
pub(crate) fn data_access<B>(request: &Request<B>, issuer: &Issuer) -> Result<String, Refusal> {
    let (access_key, query) = asked(request, issuer)?;
    let value = |name: &str| query.get(name).map(String::as_str);
    let target = value("target").filter(|target| target.starts_with("s3://"));
    let Some(target) = target else {
        return Err((400, "InvalidRequest", "The target is not an S3 URI".to_owned()));
    };
    if value("permission") != Some("READ") || !matches!(value("privilege"), None | Some("Default")) {
        return Err((400, "InvalidRequest", "Only READ and Default are known here".to_owned()));
    }
    let seconds = value("durationSeconds").map_or(Some(3_600), |seconds| seconds.parse().ok());
    let Some(seconds) = seconds.filter(|seconds| (900..=43_200).contains(seconds)) else {
        return Err((400, "InvalidRequest", "The duration must be between 900 and 43200 seconds".to_owned()));
    };
    let Some(scope) = issuer.grant_over(target) else {
        let message = format!("You do not have READ permissions to the requested S3 Prefix: {target}");
        return Err((403, "AccessDenied", message));
    };
    let issued = issuer.issue(Duration::from_secs(seconds), Some(&scope));
    Ok(format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<GetDataAccessResult><Credentials><AccessKeyId>{}</AccessKeyId>\
         <SecretAccessKey>{}</SecretAccessKey><SessionToken>{}</SessionToken><Expiration>{}</Expiration></Credentials>\
         <MatchedGrantTarget>{}</MatchedGrantTarget><Grantee><GranteeType>IAM</GranteeType>\
         <GranteeIdentifier>arn:aws:iam::123456789012:user/{access_key}</GranteeIdentifier></Grantee></GetDataAccessResult>",
        issued.access_key,
        escaped(&issued.secret),
        escaped(&issued.token),
        issued.end,
        escaped(&scope),
    ))
}

/// Answers ListCallerAccessGrants.
pub(crate) fn caller_grants<B>(request: &Request<B>, issuer: &Issuer) -> Result<String, Refusal> {
    let (_, query) = asked(request, issuer)?;
    let wanted = query.get("grantscope").map(|scope| scope.trim_end_matches('*'));
    let scopes = issuer.grants().into_iter().filter(|scope| wanted.is_none_or(|wanted| scope.starts_with(wanted)));
    let most = query.get("maxResults").and_then(|most| most.parse().ok()).unwrap_or(1_000);
    let begin = query.get("nextToken").and_then(|token| token.parse().ok()).unwrap_or(0);
    let page: Vec<String> = scopes.skip(begin).take(most + 1).collect();
    let next = match page.len() > most {
        true => format!("<NextToken>{}</NextToken>", begin + most),
        false => String::new(),
    };
    let entry = |scope: &String| {
        let scope = escaped(scope);
        format!(
            "<AccessGrant><Permission>READ</Permission><GrantScope>{scope}</GrantScope>\
             <ApplicationArn>ALL</ApplicationArn></AccessGrant>"
        )
    };
    let entries: String = page.iter().take(most).map(entry).collect();
    Ok(format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListCallerAccessGrantsResult>{next}<CallerAccessGrantsList>{entries}\
         </CallerAccessGrantsList></ListCallerAccessGrantsResult>"
    ))
}

/// Who asks, and for what, if there is an instance to ask.
fn asked<B>(request: &Request<B>, issuer: &Issuer) -> Result<(String, HashMap<String, String>), Refusal> {
    let access_key = signature::check(request, b"", "s3", issuer)?;
    let account = request.headers().get("x-amz-account-id").and_then(|account| account.to_str().ok());
    let Some(account) = account.filter(|id| id.len() == 12 && id.bytes().all(|digit| digit.is_ascii_digit())) else {
        return Err((400, "InvalidRequest", "The account id is missing".to_owned()));
    };
    if !issuer.has_instance(account) {
        return Err((404, "AccessGrantsInstanceNotExistsError", "Access Grants Instance does not exist".to_owned()));
    }
    if !issuer.is_base(&access_key) {
        let message = format!(
            "User: arn:aws:iam::123456789012:user/{access_key} is not authorized to perform: s3:GetDataAccess on resource: \
             arn:aws:s3:us-east-1:{account}:access-grants/default"
        );
        return Err((403, "AccessDenied", message));
    }
    let query = request.uri().query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let query = query.map(|(name, value)| (decoded(name), decoded(value))).collect();
    Ok((access_key, query))
}
