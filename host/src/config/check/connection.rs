//! One connection.

use std::time::Duration;

use toml::de::DeValue;

use super::secrets;
use crate::config::path::TomlPath;
use crate::config::raw::connection::{RawAccessGrants, RawAccessKey, RawAssumeRole, RawConnection, RawDefaultChain};
use crate::config::raw::{Given, RawSecret, RawSecretReference, RawText};
use crate::config::report::{Advice, Report};
use crate::config::{AccessGrants, AccessKeyId, Addressing, AssumeRole, Auth, BaseIdentity, Connection, KeyPair};
use crate::object::ConnectionKey;
use crate::secrets::SecretReference;

/// The tables of which exactly one says where credentials come from.
const MODES: [&str; 4] = ["access_key", "access_grants", "assume_role", "default_chain"];

/// The shortest and the longest time for which AWS gives credentials.
const TERM: (Duration, Duration) = (Duration::from_secs(900), Duration::from_secs(43_200));

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
    let auth = auth(report, path, raw.access_key, raw.access_grants, raw.assume_role, raw.default_chain);
    let renamed_from = renamed_from(report, &path.key("renamed_from"), raw.renamed_from);
    Some(Connection {
        name: raw.name.unwrap_or_else(|| key.to_owned()),
        renamed_from,
        region: region?,
        endpoint_url,
        addressing: if path_style { Addressing::Path } else { Addressing::VirtualHost },
        tenant,
        auth: auth?,
    })
}

/// The key that it had before: that of no connection now, and the former one of no other.
fn renamed_from(report: &mut Report<'_, '_>, path: &TomlPath, raw: Option<String>) -> Option<ConnectionKey> {
    let key: ConnectionKey = report.parsed(path, raw, str::parse)?;
    let section = TomlPath::default().key("connections");
    let others = report.tables_in(&section);
    let message = if others.iter().any(|other| other == key.as_str()) {
        format!("there still is a connection `{key}`")
    } else {
        let says_so = |other: &&String| {
            let former = section.key(other.as_str()).key("renamed_from");
            let text = report.document().get(&former).map(|value| value.get_ref());
            former != *path && matches!(text, Some(DeValue::String(text)) if text.as_ref() == key.as_str())
        };
        match others.iter().find(says_so) {
            Some(other) => format!("`{other}` says the same"),
            None => return Some(key),
        }
    };
    report.wrong(
        path,
        message,
        Advice::HintOnly("a connection that got another key has it alone: take one of the two out".into()),
    );
    None
}

fn auth(
    report: &mut Report<'_, '_>,
    path: &TomlPath,
    access_key: Option<RawAccessKey>,
    access_grants: Option<RawAccessGrants>,
    assume_role: Option<RawAssumeRole>,
    default_chain: Option<RawDefaultChain>,
) -> Option<Auth> {
    let there = [access_key.is_some(), access_grants.is_some(), assume_role.is_some(), default_chain.is_some()];
    let mut found = MODES.iter().zip(there).filter_map(|(mode, there)| there.then_some(*mode));
    if let (Some(first), Some(second)) = (found.next(), found.next()) {
        report.wrong(
            &path.key(second),
            format!("`{first}` stands beside it; one of them is expected"),
            Advice::HintOnly("keep one of them".into()),
        );
        return None;
    }
    if let Some(raw) = access_key {
        return keys(report, &path.key("access_key"), raw).map(Auth::AccessKey);
    }
    if let Some(raw) = access_grants {
        return grants(report, &path.key("access_grants"), raw).map(Auth::AccessGrants);
    }
    if let Some(raw) = assume_role {
        return role(report, &path.key("assume_role"), raw).map(Auth::AssumeRole);
    }
    if default_chain.is_some() {
        return Some(Auth::DefaultChain);
    }
    // A key that was refused was probably meant to be it.
    if !report.refused_within(path) {
        report.missing(
            &path.key("access_key"),
            "it is not said where the credentials come from",
            Advice::Hint(
                "add the table `access_key`, `access_grants` or `assume_role`, or the line `default_chain = {}`".into(),
            ),
        );
    }
    None
}

fn grants(report: &mut Report<'_, '_>, path: &TomlPath, raw: RawAccessGrants) -> Option<AccessGrants> {
    let place = path.key("account_id");
    let account_id = report.parsed(&place, raw.account_id, account_id);
    let account_id = report.required(&place, account_id);
    let duration = term(report, &path.key("duration"), raw.duration);
    let endpoint_url = raw.endpoint_url.and_then(|text| endpoint(report, &path.key("endpoint_url"), text));
    let base = base(report, path, raw.access_key);
    Some(AccessGrants {
        account_id: account_id?,
        duration: duration.unwrap_or(Duration::from_secs(3_600)),
        endpoint_url,
        base: base?,
    })
}

fn role(report: &mut Report<'_, '_>, path: &TomlPath, raw: RawAssumeRole) -> Option<AssumeRole> {
    let place = path.key("role_arn");
    let role_arn = report.parsed(&place, raw.role_arn, role_arn);
    let role_arn = report.required(&place, role_arn);
    let external_id = report.parsed(&path.key("external_id"), raw.external_id, external_id);
    let session_name = report.parsed(&path.key("session_name"), raw.session_name, session_name);
    let duration = term(report, &path.key("duration"), raw.duration);
    let endpoint_url = raw.endpoint_url.and_then(|text| endpoint(report, &path.key("endpoint_url"), text));
    let base = base(report, path, raw.access_key);
    Some(AssumeRole {
        role_arn: role_arn?,
        external_id,
        session_name: session_name.unwrap_or_else(|| "gristmill".to_owned()),
        duration: duration.unwrap_or(Duration::from_secs(3_600)),
        endpoint_url,
        base: base?,
    })
}

/// Who asks for temporary credentials.
fn base(report: &mut Report<'_, '_>, path: &TomlPath, raw: Option<RawAccessKey>) -> Option<BaseIdentity> {
    match raw {
        Some(raw) => keys(report, &path.key("access_key"), raw).map(BaseIdentity::AccessKey),
        None => Some(BaseIdentity::DefaultChain),
    }
}

/// How long temporary credentials are good. AWS gives none for shorter or longer.
fn term(report: &mut Report<'_, '_>, path: &TomlPath, raw: Option<String>) -> Option<Duration> {
    let duration = super::duration(report, path, raw, TERM.0)?;
    if duration > TERM.1 {
        report.wrong(path, "at most `12h` is expected here", Advice::Example);
        return None;
    }
    Some(duration)
}

fn keys(report: &mut Report<'_, '_>, path: &TomlPath, raw: RawAccessKey) -> Option<KeyPair> {
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
    Some(KeyPair { access_key_id: access_key_id?, secret_access_key: secret_access_key?, session_token })
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
                    "name where it stands: a systemd credential, the vault, a file, an environment variable or a service that \
                     keeps secrets. Take this one for known to others and have it replaced"
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
    if raw.secret.is_some() {
        let vault = TomlPath::default().key("vault");
        if report.document().get(&vault).is_none() {
            report.leads_nowhere(&path.key("secret"), "there is no vault", Advice::Table(vault));
        }
    }
    let mut refuse = |key: &str, message: String| {
        report.wrong(&path.key(key), message, Advice::Example);
        None
    };
    let mut given = raw.given();
    match (given.pop(), given.is_empty()) {
        (Some(Given::Credential(name)), true) => match name.parse() {
            Ok(name) => Some(SecretReference::Credential(name)),
            Err(error) => refuse("credential", format!("this is no credential's name: {error}")),
        },
        (Some(Given::File(file)), true) => match file.starts_with('/') {
            true => Some(SecretReference::File(file.into())),
            false => refuse("file", "an absolute path is expected here".into()),
        },
        (Some(Given::Secret(name)), true) => match name.parse() {
            Ok(name) => Some(SecretReference::Vault(name)),
            Err(error) => refuse("secret", format!("this is no secret's name: {error}")),
        },
        (Some(Given::Env(name)), true) => match name.parse() {
            Ok(name) => Some(SecretReference::Environment(name)),
            Err(error) => refuse("env", format!("this is no variable's name: {error}")),
        },
        (Some(Given::Aws(raw)), true) => secrets::aws_secret(report, &path.key("aws_secrets_manager"), *raw),
        (Some(Given::Google(raw)), true) => secrets::google_secret(report, &path.key("google_secret_manager"), *raw),
        (Some(Given::Hashicorp(raw)), true) => secrets::hashicorp_secret(report, &path.key("hashicorp_vault"), *raw),
        (Some(_), false) | (None, _) => {
            if !report.refused_within(path) {
                let message = format!("exactly one of {} is expected here", secrets::ways());
                report.wrong(path, message, Advice::Example);
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
pub(super) struct NotARegion;

pub(super) fn region(text: &str) -> Result<String, NotARegion> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if text.is_empty() || !text.bytes().all(allowed) { Err(NotARegion) } else { Ok(text.to_owned()) }
}

#[derive(Debug, thiserror::Error)]
#[error("a role is `arn:aws:iam::`, the twelve digits of its account, `:role/` and its name")]
struct NotARole;

fn role_arn(text: &str) -> Result<String, NotARole> {
    let mut parts = text.splitn(6, ':');
    let mut next = || parts.next().unwrap_or_default();
    let (arn, partition, service, region, account, resource) = (next(), next(), next(), next(), next(), next());
    let name = resource.strip_prefix("role/").unwrap_or_default();
    let named = (1..=576).contains(&name.len()) && !name.ends_with('/') && is_of(name, b"+=,.@_-/");
    let is_role = arn == "arn"
        && partition.starts_with("aws")
        && is_of(partition, b"-")
        && (service, region) == ("iam", "")
        && is_account(account)
        && named;
    is_role.then(|| text.to_owned()).ok_or(NotARole)
}

/// Whether it has the twelve digits of an account.
pub(super) fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[derive(Debug, thiserror::Error)]
#[error("an account has twelve digits")]
struct NotAnAccount;

fn account_id(text: &str) -> Result<String, NotAnAccount> {
    is_account(text).then(|| text.to_owned()).ok_or(NotAnAccount)
}

#[derive(Debug, thiserror::Error)]
#[error("an external id has 2 to 1,224 letters, digits and `_+=,.@:/-`")]
struct NotAnExternalId;

fn external_id(text: &str) -> Result<String, NotAnExternalId> {
    let fits = (2..=1_224).contains(&text.len()) && is_of(text, b"_+=,.@:/-");
    fits.then(|| text.to_owned()).ok_or(NotAnExternalId)
}

#[derive(Debug, thiserror::Error)]
#[error("the name of a session has 2 to 64 letters, digits and `_+=,.@-`")]
struct NotASessionName;

fn session_name(text: &str) -> Result<String, NotASessionName> {
    let fits = (2..=64).contains(&text.len()) && is_of(text, b"_+=,.@-");
    fits.then(|| text.to_owned()).ok_or(NotASessionName)
}

/// Whether there is nothing in it but letters, digits and these.
pub(super) fn is_of(text: &str, others: &[u8]) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || others.contains(&byte))
}
