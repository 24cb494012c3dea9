//! `[secrets]`, and references to what services keep.

use super::connection::{is_account, is_of, region, secret};
use crate::config::path::TomlPath;
use crate::config::raw::secrets::{
    RawAppRole, RawAwsSecret, RawAwsSecretsManager, RawGoogleSecret, RawGoogleSecretManager, RawHashicorpSecret,
    RawHashicorpVault, RawSecrets,
};
use crate::config::raw::{Documented, RawSecret, RawSecretReference};
use crate::config::report::{Advice, Report};
use crate::post;
use crate::secrets::{
    AwsSecret, GoogleSecret, HashicorpLogin, HashicorpSecret, HashicorpServer, RemoteReference, SecretReference,
};

/// How services are spoken to. One that is not here has a problem, or is needed and not named.
#[derive(Default)]
struct Services {
    /// Region and address.
    aws: (Option<String>, Option<String>),
    /// Whose key asks, and the address.
    google: (Option<SecretReference>, Option<String>),
    hashicorp: Option<HashicorpServer>,
}

/// Checks `[secrets]`. Whoever refers to a secret of a service reads it again, so nothing is kept of it.
pub(super) fn check(report: &mut Report<'_, '_>) {
    services(report);
}

fn table(service: &str) -> TomlPath {
    TomlPath::default().key("secrets").key(service)
}

fn services(report: &mut Report<'_, '_>) -> Services {
    let raw: RawSecrets = report.read(&TomlPath::default().key("secrets"));
    Services {
        aws: raw.aws_secrets_manager.map(|raw| aws(report, raw)).unwrap_or_default(),
        google: raw.google_secret_manager.map(|raw| google(report, raw)).unwrap_or_default(),
        hashicorp: raw.hashicorp_vault.and_then(|raw| hashicorp(report, raw)),
    }
}

fn aws(report: &mut Report<'_, '_>, raw: RawAwsSecretsManager) -> (Option<String>, Option<String>) {
    let path = table("aws_secrets_manager");
    let region = report.parsed(&path.key("region"), raw.region, region);
    (region, address(report, &path.key("endpoint_url"), raw.endpoint_url))
}

fn google(report: &mut Report<'_, '_>, raw: RawGoogleSecretManager) -> (Option<SecretReference>, Option<String>) {
    let path = table("google_secret_manager");
    let account = raw.service_account.and_then(|raw| of_this_machine(report, &path.key("service_account"), raw));
    (account, address(report, &path.key("endpoint_url"), raw.endpoint_url))
}

fn hashicorp(report: &mut Report<'_, '_>, raw: RawHashicorpVault) -> Option<HashicorpServer> {
    let path = table("hashicorp_vault");
    let given = report.required(&path.key("address"), raw.address);
    let address = address(report, &path.key("address"), given);
    if let Some(namespace) = &raw.namespace
        && !is_path(namespace)
    {
        report.wrong(&path.key("namespace"), "a namespace is expected here, such as `a` or `a/b`", Advice::Example);
    }
    let ca_file = super::directory(report, &path.key("ca_file"), raw.ca_file, "".as_ref());
    if ca_file.as_ref().is_some_and(|file| file.is_relative()) {
        report.wrong(&path.key("ca_file"), "an absolute path is expected here", Advice::Example);
    }
    let login = match (raw.token, raw.app_role) {
        (Some(token), None) => of_this_machine(report, &path.key("token"), token).map(HashicorpLogin::Token),
        (None, Some(role)) => app_role(report, &path.key("app_role"), role),
        (Some(_), Some(_)) => {
            let hint = Advice::HintOnly("keep one of them".into());
            report.wrong(&path.key("app_role"), "`token` stands beside it; one of them is expected", hint);
            None
        }
        (None, None) => {
            if !report.refused_within(&path) {
                report.missing(&path.key("token"), "`token` or `app_role` is missing", Advice::Example);
            }
            None
        }
    };
    Some(HashicorpServer { address: address?, namespace: raw.namespace, ca_file, login: login? })
}

fn app_role(report: &mut Report<'_, '_>, path: &TomlPath, raw: RawAppRole) -> Option<HashicorpLogin> {
    let mount = mount(report, &path.key("mount"), raw.mount, "approle");
    let role_id = report.required(&path.key("role_id"), raw.role_id);
    let place = path.key("secret_id");
    let secret_id = report.required(&place, raw.secret_id).and_then(|raw| of_this_machine(report, &place, raw));
    Some(HashicorpLogin::AppRole { mount: mount?, role_id: role_id?, secret_id: secret_id? })
}

/// A secret without which a service cannot be asked. No other service is asked for that.
fn of_this_machine(report: &mut Report<'_, '_>, path: &TomlPath, raw: RawSecret) -> Option<SecretReference> {
    if let RawSecret::Reference(reference) = &raw
        && let Some(service) = service_in(reference)
    {
        let message = "a secret of this machine is expected here, not one that a service keeps";
        report.wrong(&path.key(service), message, Advice::Example);
        return None;
    }
    secret(report, path, raw)
}

fn service_in(raw: &RawSecretReference) -> Option<&'static str> {
    let there = [
        ("aws_secrets_manager", raw.aws_secrets_manager.is_some()),
        ("google_secret_manager", raw.google_secret_manager.is_some()),
        ("hashicorp_vault", raw.hashicorp_vault.is_some()),
    ];
    there.into_iter().find_map(|(key, there)| there.then_some(key))
}

/// What a reference to a secret of AWS means.
pub(super) fn aws_secret(report: &mut Report<'_, '_>, path: &TomlPath, raw: RawAwsSecret) -> Option<SecretReference> {
    let name = required_text(report, &path.key("secret"), raw.secret, is_aws_secret, NOT_AN_AWS_SECRET);
    let key = text(report, &path.key("key"), raw.key, is_member, NOT_A_MEMBER);
    let region = report.parsed(&path.key("region"), raw.region, region);
    let secret = name?;
    let of_arn = secret.split(':').nth(3);
    if let (Some(of_arn), Some(named)) = (of_arn, &region)
        && of_arn != named
    {
        let hint = Advice::HintOnly("leave it out: the ARN names its region".into());
        report.wrong(&path.key("region"), "the ARN names another region", hint);
        return None;
    }
    let services = sound(report, path, "aws_secrets_manager")?;
    let (default_region, endpoint_url) = services.aws;
    // What names a region in its ARN needs no other.
    let region = region.or_else(|| default_region.filter(|_| of_arn.is_none()));
    Some((&RemoteReference::Aws(AwsSecret { secret, key, region, endpoint_url })).into())
}

/// What a reference to a secret of Google means.
pub(super) fn google_secret(
    report: &mut Report<'_, '_>,
    path: &TomlPath,
    raw: RawGoogleSecret,
) -> Option<SecretReference> {
    let secret = required_text(report, &path.key("secret"), raw.secret, is_google_secret, NOT_A_GOOGLE_SECRET);
    let version = text(report, &path.key("version"), raw.version, |text| is_of(text, b"-_"), NOT_A_VERSION);
    let key = text(report, &path.key("key"), raw.key, is_member, NOT_A_MEMBER);
    let version = format!("{}/versions/{}", secret?, version.as_deref().unwrap_or("latest"));
    let (service_account, endpoint_url) = sound(report, path, "google_secret_manager")?.google;
    Some((&RemoteReference::Google(GoogleSecret { version, key, service_account, endpoint_url })).into())
}

/// What a reference to a secret of HashiCorp Vault means.
pub(super) fn hashicorp_secret(
    report: &mut Report<'_, '_>,
    path: &TomlPath,
    raw: RawHashicorpSecret,
) -> Option<SecretReference> {
    let mount = mount(report, &path.key("mount"), raw.mount, "secret");
    let below = required_text(report, &path.key("path"), raw.path, is_path, NOT_A_PATH);
    let field = required_text(report, &path.key("field"), raw.field, is_member, NOT_A_MEMBER);
    let server = sound(report, path, "hashicorp_vault")?.hashicorp;
    if server.is_none() {
        let message = "there is no table `secrets.hashicorp_vault`, which says where the server is";
        report.leads_nowhere(path, message, Advice::Table(table("hashicorp_vault")));
    }
    let secret = HashicorpSecret { server: server?, mount: mount?, path: below?, field: field? };
    Some((&RemoteReference::Hashicorp(secret)).into())
}

/// The services, unless the one that is needed has a problem of its own, which is told once in its own place.
fn sound(report: &mut Report<'_, '_>, path: &TomlPath, service: &str) -> Option<Services> {
    let mut aside = report.aside();
    let services = services(&mut aside);
    if aside.condemns(&table(service)) {
        let message = format!("the table `secrets.{service}` has a problem of its own");
        report.wrong(path, message, Advice::HintOnly(format!("mend `secrets.{service}`")));
        return None;
    }
    Some(services)
}

const NOT_A_MEMBER: &str = "a name is expected here: 1 to 512 characters, none of them a control character";
const NOT_A_PATH: &str = "a path is expected here, such as `a/b`, without a slash at its ends";
const NOT_A_VERSION: &str = "a version is expected here: its number, or a name for it";
const NOT_AN_AWS_SECRET: &str =
    "a name is expected here, of up to 512 letters, digits and `/_+=.@-`, or an ARN of Secrets Manager";
const NOT_A_GOOGLE_SECRET: &str = "`projects/PROJECT/secrets/NAME` is expected here, or the same with `/locations/LOCATION` \
                                   after the project; `version` names the version";

fn is_member(text: &str) -> bool {
    (1..=512).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

fn is_path(text: &str) -> bool {
    let is_part = |part: &str| !matches!(part, "" | "." | "..");
    text.len() <= 512 && text.split('/').all(is_part) && !text.chars().any(char::is_control)
}

fn is_aws_secret(text: &str) -> bool {
    let is_name = |text: &str| (1..=512).contains(&text.len()) && is_of(text, b"/_+=.@-");
    let mut parts = text.splitn(7, ':');
    let mut next = || parts.next().unwrap_or_default();
    let (arn, partition, service, of, account, kind, name) = (next(), next(), next(), next(), next(), next(), next());
    let is_arn = arn == "arn"
        && partition.starts_with("aws")
        && (service, kind) == ("secretsmanager", "secret")
        && region(of).is_ok()
        && is_account(account)
        && is_name(name);
    is_arn || is_name(text)
}

fn is_google_secret(text: &str) -> bool {
    let is_project = |text: &str| !text.is_empty() && is_of(text, b":.-");
    let is_name = |text: &str| (1..=255).contains(&text.len()) && is_of(text, b"-_");
    match text.split('/').collect::<Vec<_>>().as_slice() {
        ["projects", project, "secrets", name] => is_project(project) && is_name(name),
        ["projects", project, "locations", location, "secrets", name] => {
            is_project(project) && region(location).is_ok() && is_name(name)
        }
        _ => false,
    }
}

/// A text of a reference. It is not repeated: it may be the secret itself, in the wrong place.
fn text(
    report: &mut Report<'_, '_>,
    path: &TomlPath,
    raw: Option<String>,
    is_one: impl Fn(&str) -> bool,
    expected: &str,
) -> Option<String> {
    let text = raw?;
    if is_one(&text) && !text.is_empty() {
        return Some(text);
    }
    report.wrong(path, expected, Advice::Example);
    None
}

fn required_text(
    report: &mut Report<'_, '_>,
    path: &TomlPath,
    raw: Option<String>,
    is_one: impl Fn(&str) -> bool,
    expected: &str,
) -> Option<String> {
    let raw = report.required(path, raw);
    text(report, path, raw, is_one, expected)
}

fn mount(report: &mut Report<'_, '_>, path: &TomlPath, raw: Option<String>, default: &str) -> Option<String> {
    match raw {
        Some(_) => text(report, path, raw, is_path, NOT_A_PATH),
        None => Some(default.to_owned()),
    }
}

/// An address that secrets may go over.
fn address(report: &mut Report<'_, '_>, path: &TomlPath, raw: Option<String>) -> Option<String> {
    let is_one = |text: &str| post::is_allowed(text) && !text.contains('?');
    let expected = "an address that begins with `https://` is expected here, or with `http://` for this machine, without a \
                    user name or password";
    text(report, path, raw, is_one, expected)
}

/// The keys of which one says where a secret stands, for people.
pub(super) fn ways() -> String {
    let keys: Vec<&str> = RawSecretReference::KEYS.iter().map(|key| key.name()).collect();
    format!("`{}`", keys.join("`, `"))
}
