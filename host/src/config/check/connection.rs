//! One connection.

use crate::config::path::TomlPath;
use crate::config::raw::connection::{RawAccessKey, RawConnection};
use crate::config::raw::{RawSecret, RawSecretReference, RawText};
use crate::config::report::{Advice, Report};
use crate::config::{AccessKeyId, Addressing, Auth, Connection};
use crate::secrets::SecretReference;

/// Checks `[connections.KEY]`.
pub(super) fn check(report: &mut Report<'_, '_>, path: &TomlPath, key: &str) -> Option<Connection> {
    let raw: RawConnection = report.read(path);
    let named_endpoint = raw.endpoint_url.is_some();
    let endpoint_url = raw.endpoint_url.and_then(|text| endpoint(report, &path.key("endpoint_url"), text));
    let region = report.parsed(&path.key("region"), raw.region, region);
    // Servers other than Amazon's know no regions, and most expect this one in a signature.
    let elsewhere = || named_endpoint.then(|| "us-east-1".to_owned());
    let region = report.required(&path.key("region"), region.or_else(elsewhere));
    let tenant = super::tenant(report, path, raw.tenant);
    let path_style = raw.force_path_style.unwrap_or(named_endpoint);
    let auth = auth(report, path, raw.access_key, raw.default_chain.is_some());
    Some(Connection {
        name: raw.name.unwrap_or_else(|| key.to_owned()),
        region: region?,
        endpoint_url,
        addressing: if path_style { Addressing::Path } else { Addressing::VirtualHost },
        tenant,
        auth: auth?,
    })
}

fn auth(
    report: &mut Report<'_, '_>,
    path: &TomlPath,
    access_key: Option<RawAccessKey>,
    default_chain: bool,
) -> Option<Auth> {
    match (access_key, default_chain) {
        (Some(raw), false) => keys(report, &path.key("access_key"), raw),
        (None, true) => Some(Auth::DefaultChain),
        (Some(_), true) => {
            report.wrong(
                &path.key("default_chain"),
                "`access_key` stands beside it; one of the two is expected",
                Advice::HintOnly("keep one of the two".into()),
            );
            None
        }
        (None, false) => {
            // A key that was refused was probably meant to be it.
            if !report.refused_within(path) {
                report.missing(
                    &path.key("access_key"),
                    "it is not said where the credentials come from",
                    Advice::Hint("add the table `access_key`, or the line `default_chain = {}`".into()),
                );
            }
            None
        }
    }
}

fn keys(report: &mut Report<'_, '_>, path: &TomlPath, raw: RawAccessKey) -> Option<Auth> {
    let place = path.key("access_key_id");
    let access_key_id = match report.required(&place, raw.access_key_id) {
        Some(RawText::PlainText(text)) if is_key_id(&text) => Some(AccessKeyId::Text(text)),
        Some(RawText::PlainText(_)) => {
            report.wrong(&place, "an access key id is expected here: 1 to 128 visible characters", Advice::Example);
            None
        }
        Some(RawText::Reference(raw)) => reference(report, &place, raw).map(AccessKeyId::Reference),
        None => None,
    };
    let place = path.key("secret_access_key");
    let secret_access_key = report.required(&place, raw.secret_access_key).and_then(|raw| secret(report, &place, raw));
    let session_token = raw.session_token.and_then(|raw| secret(report, &path.key("session_token"), raw));
    Some(Auth::AccessKey { access_key_id: access_key_id?, secret_access_key: secret_access_key?, session_token })
}

fn is_key_id(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

pub(super) fn secret(report: &mut Report<'_, '_>, path: &TomlPath, raw: RawSecret) -> Option<SecretReference> {
    match raw {
        RawSecret::Reference(raw) => reference(report, path, raw),
        RawSecret::PlainText => {
            report.wrong(
                path,
                "a secret must not stand in this file",
                Advice::Hint(
                    "name where it stands: a systemd credential, a file or an environment variable. Take this one \
                              for known to others and have it replaced"
                        .into(),
                ),
            );
            None
        }
    }
}

/// Nothing of the texts is repeated: one of them may be the secret itself, in the wrong place.
pub(super) fn reference(
    report: &mut Report<'_, '_>,
    path: &TomlPath,
    raw: RawSecretReference,
) -> Option<SecretReference> {
    let mut refuse = |key: &str, message: String| {
        report.wrong(&path.key(key), message, Advice::Example);
        None
    };
    match raw {
        RawSecretReference { credential: Some(name), file: None, env: None } => match name.parse() {
            Ok(name) => Some(SecretReference::Credential(name)),
            Err(error) => refuse("credential", format!("this is no credential's name: {error}")),
        },
        RawSecretReference { credential: None, file: Some(file), env: None } => match file.starts_with('/') {
            true => Some(SecretReference::File(file.into())),
            false => refuse("file", "an absolute path is expected here".into()),
        },
        RawSecretReference { credential: None, file: None, env: Some(name) } => match name.parse() {
            Ok(name) => Some(SecretReference::Environment(name)),
            Err(error) => refuse("env", format!("this is no variable's name: {error}")),
        },
        RawSecretReference { .. } => {
            if !report.refused_within(path) {
                report.wrong(path, "exactly one of `credential`, `file` and `env` is expected here", Advice::Example);
            }
            None
        }
    }
}

/// The text is repeated only where it cannot hold a password.
fn endpoint(report: &mut Report<'_, '_>, path: &TomlPath, text: String) -> Option<String> {
    let address = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let host = address.and_then(|address| address.split('/').next()).unwrap_or_default();
    let problem = if text.contains('@') {
        "an address without a user name or password is expected here"
    } else if host.is_empty() || text.contains(['?', '#']) || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        "an address that begins with `https://` or `http://`, then a host, is expected here"
    } else {
        return Some(text);
    };
    report.wrong(path, problem, Advice::Example);
    None
}

#[derive(Debug, thiserror::Error)]
#[error("a region has lower-case letters, digits and `-`")]
struct NotARegion;

fn region(text: &str) -> Result<String, NotARegion> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if text.is_empty() || !text.bytes().all(allowed) { Err(NotARegion) } else { Ok(text.to_owned()) }
}
