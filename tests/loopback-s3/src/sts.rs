//! STS: AssumeRole, as its reference describes request, answer and errors.
//!
//! Not modelled: chained roles, session policies, tags, MFA, and any policy but who is trusted and with which external
//! id. As AWS does, it says of no refused role why.

use std::collections::HashMap;
use std::time::Duration;

use hyper::Request;

use crate::issuer::{Issuer, Refusal};
use crate::signature;

/// Answers `POST /`.
pub(crate) fn answer<B>(request: &Request<B>, body: &[u8], issuer: &Issuer) -> Result<String, Refusal> {
    let access_key = signature::check(request, body, "sts", issuer)?;
    let form: HashMap<String, String> = std::str::from_utf8(body)
        .unwrap_or_default()
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), crate::serve::decoded(&value.replace('+', " "))))
        .collect();
    let value = |name: &str| form.get(name).map(String::as_str);
    if (value("Action"), value("Version")) != (Some("AssumeRole"), Some("2011-06-15")) {
        return Err((400, "InvalidAction", "Could not find operation".to_owned()));
    }
    let (Some(role_arn), Some(session)) = (value("RoleArn"), value("RoleSessionName")) else {
        return Err((400, "ValidationError", "RoleArn and RoleSessionName must not be null".to_owned()));
    };
    let seconds = value("DurationSeconds").map_or(Some(3_600), |seconds| seconds.parse().ok());
    let Some(seconds) = seconds.filter(|seconds| (900..=43_200).contains(seconds)) else {
        return Err((400, "ValidationError", "DurationSeconds must be between 900 and 43200".to_owned()));
    };
    let role = issuer.role(role_arn).filter(|role| {
        issuer.is_base(&access_key)
            && (role.external_id.is_none() || role.external_id.as_deref() == value("ExternalId"))
    });
    let Some(role) = role else {
        let message = format!(
            "User: arn:aws:iam::123456789012:user/{access_key} is not authorized to perform: sts:AssumeRole on resource: \
             {role_arn}"
        );
        return Err((403, "AccessDenied", message));
    };
    let duration = Duration::from_secs(seconds);
    if duration > role.longest {
        let message = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
        return Err((400, "ValidationError", message.to_owned()));
    }
    let issued = issuer.issue(duration, None);
    Ok(format!(
        "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><AssumedRoleUser>\
         <AssumedRoleId>AROA0000000000000000:{session}</AssumedRoleId><Arn>{}/{session}</Arn></AssumedRoleUser><Credentials>\
         <AccessKeyId>{}</AccessKeyId><SecretAccessKey>{}</SecretAccessKey><SessionToken>{}</SessionToken>\
         <Expiration>{}</Expiration></Credentials></AssumeRoleResult><ResponseMetadata><RequestId>0</RequestId>\
         </ResponseMetadata></AssumeRoleResponse>",
        role_arn.replace(":iam:", ":sts:").replace(":role/", ":assumed-role/"),
        issued.access_key,
        escaped(&issued.secret),
        escaped(&issued.token),
        issued.end
    ))
}

/// A text inside an element.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// An error as the services other than S3 write it.
pub(crate) fn error(code: &str, message: &str) -> String {
    format!(
        "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{}</Message></Error>\
         <RequestId>0</RequestId></ErrorResponse>",
        escaped(message)
    )
}
