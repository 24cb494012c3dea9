//! One destination, and that no two share a directory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::connection::secret;
use super::notify::address;
use super::{DEFAULT_STORE, Tables, directory, duration, size, whole_number};
use crate::config::path::TomlPath;
use crate::config::raw::destination::{RawDestination, RawPostgres, RawWebhook};
use crate::config::report::{Advice, Report};
use crate::config::{ByteSize, Destination, DestinationKind};
use crate::destination::files::Form;
use crate::destination::postgres::{Address, PostgresSettings, Tls};
use crate::destination::webhook::{BatchLimits, WebhookSettings};
use crate::object::DestinationName;

/// Checks `[destinations.NAME]`.
pub(super) fn check(report: &mut Report<'_, '_>, path: &TomlPath, name: &str, state_dir: &Path) -> Option<Destination> {
    let raw: RawDestination = report.read(path);
    let tenant = super::tenant(report, path, raw.tenant);
    let written = [
        ("sqlite", raw.sqlite.is_some()),
        ("postgres", raw.postgres.is_some()),
        ("files", raw.files.is_some()),
        ("webhook", raw.webhook.is_some()),
    ];
    let mut written = written.into_iter().filter(|(_, is_written)| *is_written).map(|(name, _)| name);
    if let (Some(first), Some(second)) = (written.next(), written.next()) {
        report.wrong(
            &path.key(second),
            format!("`{first}` stands beside it; one of the two is expected"),
            Advice::HintOnly("make two destinations of them".into()),
        );
        return None;
    }
    let kind = if let Some(sqlite) = raw.sqlite {
        let written = sqlite.path.unwrap_or_else(|| DEFAULT_STORE.to_owned());
        let path = directory(report, &path.key("sqlite").key("path"), Some(written), state_dir)?;
        DestinationKind::Sqlite { path }
    } else if let Some(raw) = raw.postgres {
        DestinationKind::Postgres(postgres(report, &path.key("postgres"), raw)?)
    } else if let Some(files) = raw.files {
        let place = path.key("files").key("path");
        let written = report.required(&place, files.path);
        let format = files.format.unwrap_or_default();
        let compression = files.compression.unwrap_or(format.usual_compression());
        let path = directory(report, &place, written, state_dir)?;
        DestinationKind::Files { path, form: Form { format, compression } }
    } else if let Some(raw) = raw.webhook {
        let directory = state_dir.join("webhook").join(name);
        DestinationKind::Webhook(webhook(report, &path.key("webhook"), raw, directory)?)
    } else {
        if !report.refused_within(path) {
            report.missing(
                &path.key("sqlite"),
                "it is not said what kind of destination it is",
                Advice::Hint("add the table `sqlite`, `postgres`, `files` or `webhook`".into()),
            );
        }
        return None;
    };
    let place = path.key("resolve");
    let resolve = report.parsed(&place, raw.resolve, str::parse);
    match &kind {
        _ if resolve.is_none() => {}
        DestinationKind::Webhook(_) | DestinationKind::Files { .. } => {}
        DestinationKind::Sqlite { .. } | DestinationKind::Postgres(_) => {
            let message = "this destination keeps accounts of its own";
            report.wrong(&place, message, Advice::HintOnly("leave it out".into()));
        }
    }
    Some(Destination { tenant, kind, resolve })
}

fn postgres(report: &mut Report<'_, '_>, path: &TomlPath, raw: RawPostgres) -> Option<PostgresSettings> {
    let mut apart = [
        ("host", raw.host.is_some()),
        ("port", raw.port.is_some()),
        ("database", raw.database.is_some()),
        ("user", raw.user.is_some()),
        ("password", raw.password.is_some()),
    ]
    .into_iter();
    let address = match raw.url {
        Some(url) => {
            if let Some((key, _)) = apart.find(|(_, written)| *written) {
                let message = "`url` stands beside it, which says it already";
                report.wrong(&path.key(key), message, Advice::HintOnly("keep one of the two".into()));
            }
            secret(report, &path.key("url"), url).map(Address::Url)
        }
        None => {
            let host = report.parsed(&path.key("host"), raw.host, visible);
            let host = report.required(&path.key("host"), host);
            let port = whole_number(report, &path.key("port"), raw.port, 1..=65_535).unwrap_or(5432);
            let mut name = |key, raw: Option<String>| {
                report.parsed(&path.key(key), Some(raw.unwrap_or_else(|| "gristmill".to_owned())), visible)
            };
            let (database, user) = (name("database", raw.database), name("user", raw.user));
            let password = raw.password.map(|raw| secret(report, &path.key("password"), raw));
            match (host, u16::try_from(port), database, user, password) {
                // A password that cannot be read is a problem, not none.
                (_, _, _, _, Some(None)) => None,
                (Some(host), Ok(port), Some(database), Some(user), password) => {
                    Some(Address::Parts { host, port, database, user, password: password.flatten() })
                }
                _ => None,
            }
        }
    };
    let tls = raw.tls.unwrap_or_default();
    let ca_file = directory(report, &path.key("ca_file"), raw.ca_file, Path::new("/"));
    if ca_file.is_some() && tls != Tls::VerifyFull {
        let message = "nobody is verified, so no authority is asked";
        report.wrong(
            &path.key("ca_file"),
            message,
            Advice::HintOnly("set `tls = \"verify-full\"`, or leave it out".into()),
        );
    }
    let schema = Some(raw.schema.unwrap_or_else(|| "gristmill".to_owned()));
    let schema = report.parsed(&path.key("schema"), schema, schema_name);
    let second = Duration::from_secs(1);
    let connect_timeout = duration(report, &path.key("connect_timeout"), raw.connect_timeout, second);
    let connections = whole_number(report, &path.key("connections"), raw.connections, 1..=256);
    Some(PostgresSettings {
        address: address?,
        tls,
        ca_file,
        schema: schema?,
        connect_timeout: connect_timeout.unwrap_or(Duration::from_secs(10)),
        connections: connections.and_then(|number| usize::try_from(number).ok()).unwrap_or(5),
    })
}

fn webhook(
    report: &mut Report<'_, '_>,
    path: &TomlPath,
    raw: RawWebhook,
    directory: PathBuf,
) -> Option<WebhookSettings> {
    let url = address(report, &path.key("url"), raw.url);
    let place = path.key("secret");
    let reference = report.required(&place, raw.secret).and_then(|raw| secret(report, &place, raw));
    let (least, most) = (Duration::from_secs(1), Duration::from_secs(300));
    let timeout = duration(report, &path.key("timeout"), raw.timeout, least);
    if timeout.is_some_and(|timeout| timeout > most) {
        report.wrong(&path.key("timeout"), "at most `5m` is expected here", Advice::Example);
    }
    let records = whole_number(report, &path.key("batch_records"), raw.batch_records, 1..=100_000);
    let bytes = size(report, &path.key("batch_size"), raw.batch_size, ByteSize::from_bytes(1 << 10));
    let most = ByteSize::from_bytes(64 << 20);
    if bytes.is_some_and(|bytes| bytes > most) {
        report.wrong(&path.key("batch_size"), format!("at most `{most}` is expected here"), Advice::Example);
    }
    Some(WebhookSettings {
        directory,
        url: url?,
        secret: reference?,
        timeout: timeout.unwrap_or(Duration::from_secs(30)),
        batch: BatchLimits { records: records.unwrap_or(500), bytes: bytes.map_or(1 << 20, ByteSize::bytes) },
    })
}

#[derive(Debug, thiserror::Error)]
#[error("a name is expected here")]
struct NotAName;

fn visible(text: &str) -> Result<String, NotAName> {
    if text.is_empty() || text.chars().any(char::is_control) { Err(NotAName) } else { Ok(text.to_owned()) }
}

#[derive(Debug, thiserror::Error)]
#[error("a schema's name has up to 63 lower-case letters, digits and `_`, and begins with neither a digit nor `pg_`")]
struct NotASchema;

fn schema_name(text: &str) -> Result<String, NotASchema> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let fits = (1..=63).contains(&text.len())
        && text.bytes().all(allowed)
        && !text.starts_with(|first: char| first.is_ascii_digit())
        && !text.starts_with("pg_");
    if fits { Ok(text.to_owned()) } else { Err(NotASchema) }
}

/// R12, R13: what a destination resolves through keeps accounts, and of the same tenant. The one that names it is refused.
pub(super) fn check_resolve(report: &mut Report<'_, '_>, destinations: &mut Tables<DestinationName, Destination>) {
    let mut refused = Vec::new();
    for (name, destination) in &destinations.named {
        let Some(store) = &destination.resolve else { continue };
        let place = TomlPath::default().key("destinations").key(name.as_str()).key("resolve");
        let Some(found) = destinations.follow(report, &place, store) else {
            refused.push(name.clone());
            continue;
        };
        let wrong = if !found.kind.can_match() {
            format!("`{store}` keeps no accounts")
        } else if found.tenant.is_some() && found.tenant != destination.tenant {
            format!("`{store}` serves another tenant")
        } else {
            continue;
        };
        report.wrong(
            &place,
            wrong,
            Advice::HintOnly("name a destination of the same tenant that keeps accounts".into()),
        );
        refused.push(name.clone());
    }
    for name in refused {
        destinations.named.remove(&name);
        destinations.refused.insert(name.to_string());
    }
}

/// Two destinations in one directory would take each other's files for their own. The later one by name is refused.
pub(super) fn check_paths(report: &mut Report<'_, '_>, destinations: &mut Tables<DestinationName, Destination>) {
    let mut taken: BTreeMap<PathBuf, DestinationName> = BTreeMap::new();
    let mut refused = Vec::new();
    for (name, destination) in &destinations.named {
        let place = TomlPath::default().key("destinations").key(name.as_str());
        let Some(directory) = destination.kind.directory() else { continue };
        match taken.get(directory) {
            Some(other) => {
                let directory = directory.display();
                let message = format!("its directory `{directory}` is that of `destinations.{other}` as well");
                report.wrong(&place, message, Advice::HintOnly("give it another `path`".into()));
                refused.push(name.clone());
            }
            None => {
                taken.insert(directory.to_owned(), name.clone());
            }
        }
    }
    for name in refused {
        destinations.named.remove(&name);
        destinations.refused.insert(name.to_string());
    }
}
