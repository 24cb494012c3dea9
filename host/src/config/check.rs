//! Raw structs to a checked [`Config`]: defaults filled in, names parsed, references followed.
//!
//! First every table is read and checked on its own, then the tables against each other; what has a problem, or depends
//! on something that has, is left out of the result (R15).

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use super::document::Document;
use super::manual;
use super::path::TomlPath;
use super::problem::Problem;
use super::raw::daemon::RawDaemon;
use super::report::{Advice, Report, meant};
use super::units::{ByteSize, duration_text, parse_duration};
use super::{Config, Daemon, Destination, DestinationKind, Log};
use crate::object::{DestinationName, NameError, Share, TenantName};

mod account_field;
mod connection;
mod decode;
mod destination;
mod integration;
mod mapper;
mod mapping;
mod matching;
mod notify;
mod secrets;
mod tenant;
mod vault;

/// The process's environment, or another in tests.
pub(super) type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// Checks a document.
pub(super) fn check(document: &Document<'_>, environment: Environment<'_>) -> (Config, Vec<Problem>) {
    let mut report = Report::new(document);
    let root = TomlPath::default();
    for key in document.root_keys().filter(|key| !manual::SECTIONS.contains(key)) {
        // Under a header that could not be read, keys seem to stand at the root.
        let place = root.key(key);
        if !document.is_broken_before(&place) {
            report.wrong(&place, "there is no such table", Advice::HintOnly(meant(key, &manual::SECTIONS)));
        }
    }
    let (daemon, poll_interval) = daemon(&mut report, environment);
    let vault_key = vault::check(&mut report);
    secrets::check(&mut report);
    let connections = tables(&mut report, "connections", connection::check);
    let mappers = tables(&mut report, "mappers", mapper::check);
    let mut destinations = tables(&mut report, "destinations", |report, path, name| {
        destination::check(report, path, name, &daemon.state_dir)
    });
    if document.get(&root.key("destinations")).is_none() {
        destinations.named.extend(default_destination(&daemon.state_dir));
    }
    destination::check_paths(&mut report, &mut destinations);
    destination::check_resolve(&mut report, &mut destinations);

    let mut account_fields = tables(&mut report, "account_fields", account_field::check);
    account_field::check_doubles(&mut report, &mut account_fields);

    let notify = tables(&mut report, "notify", notify::check);

    let names = integration::Names {
        connections: &connections,
        mappers: &mappers,
        destinations: &destinations,
        account_fields: &account_fields,
        tenant_named_in: integration::tenant_named_in(document),
        poll_interval,
    };
    let integrations = integration::check(&mut report, &names);
    let tenants = tenant::check(&mut report, &daemon, &integrations);
    let config = Config {
        daemon,
        vault_key,
        connections: connections.named,
        mappers: mappers.named,
        destinations: destinations.named,
        notify: notify.named,
        account_fields: account_fields.named,
        tenants,
        integrations: integrations.active,
        switched_off: integrations.switched_off,
    };
    (config, report.into_problems())
}

/// The tables of one section: those in order, and the names of those with a problem.
struct Tables<Name, Checked> {
    section: &'static str,
    named: BTreeMap<Name, Checked>,
    refused: BTreeSet<String>,
}

impl<Name: Ord + std::fmt::Display, Checked> Tables<Name, Checked> {
    /// The entry that a reference at `path` means. A reference to nothing, or to something with a problem of its own, is
    /// a problem of whoever refers.
    fn follow(&self, report: &mut Report<'_, '_>, path: &TomlPath, name: &Name) -> Option<&Checked> {
        let found = self.named.get(name);
        let what = self.section.trim_end_matches('s');
        if found.is_none() && self.refused.contains(&name.to_string()) {
            report.wrong(
                path,
                format!("the {what} `{name}` has a problem of its own"),
                Advice::HintOnly(format!("mend `{}.{name}`; until then this integration stays off", self.section)),
            );
        } else if found.is_none() {
            let known: Vec<String> =
                self.named.keys().map(ToString::to_string).chain(self.refused.iter().cloned()).collect();
            let advice = match known.as_slice() {
                [] => Advice::Table(TomlPath::default().key(self.section).key(name.to_string())),
                [one] => Advice::HintOnly(format!("there is `{one}`")),
                known => Advice::HintOnly(format!("there are `{}`", known.join("`, `"))),
            };
            report.leads_nowhere(path, format!("there is no {what} `{name}`"), advice);
        }
        found
    }
}

/// Checks every table of a section by itself, even one whose name is wrong, so that nothing in it comes out only at the
/// second try.
fn tables<Name: FromStr<Err = NameError> + Ord, Checked>(
    report: &mut Report<'_, '_>,
    section: &'static str,
    check: impl Fn(&mut Report<'_, '_>, &TomlPath, &str) -> Option<Checked>,
) -> Tables<Name, Checked> {
    let mut tables = Tables { section, named: BTreeMap::new(), refused: BTreeSet::new() };
    let path = TomlPath::default().key(section);
    for key in report.tables_in(&path) {
        let path = path.key(&key);
        let checked = check(report, &path, &key);
        match (named(report, &path, &key), checked) {
            (Some(name), Some(checked)) if !report.condemns(&path) => {
                tables.named.insert(name, checked);
            }
            _ => {
                tables.refused.insert(key);
            }
        }
    }
    tables
}

/// A table's own name.
fn named<Name: FromStr<Err = NameError>>(report: &mut Report<'_, '_>, path: &TomlPath, key: &str) -> Option<Name> {
    key.parse()
        .map_err(|error: NameError| {
            report.wrong(path, error.to_string(), Advice::HintOnly("give the table another name".into()))
        })
        .ok()
}

fn tenant(report: &mut Report<'_, '_>, path: &TomlPath, raw: Option<String>) -> Option<TenantName> {
    report.parsed(&path.key("tenant"), raw, str::parse)
}

fn duration(report: &mut Report<'_, '_>, path: &TomlPath, raw: Option<String>, least: Duration) -> Option<Duration> {
    let duration = report.parsed(path, raw, parse_duration)?;
    if duration < least {
        report.wrong(path, format!("at least `{}` is expected here", duration_text(least)), Advice::Example);
        return None;
    }
    Some(duration)
}

fn size(report: &mut Report<'_, '_>, path: &TomlPath, raw: Option<String>, least: ByteSize) -> Option<ByteSize> {
    let size: ByteSize = report.parsed(path, raw, str::parse)?;
    if size < least {
        report.wrong(path, format!("at least `{least}` is expected here"), Advice::Example);
        return None;
    }
    Some(size)
}

fn whole_number(
    report: &mut Report<'_, '_>,
    path: &TomlPath,
    raw: Option<i64>,
    allowed: RangeInclusive<i64>,
) -> Option<u64> {
    let number = raw?;
    if !allowed.contains(&number) {
        let (least, most) = allowed.into_inner();
        let expected = match most {
            i64::MAX => format!("a number from {least} is expected here, not {number}"),
            most => format!("a number from {least} to {most} is expected here, not {number}"),
        };
        report.wrong(path, expected, Advice::Example);
        return None;
    }
    u64::try_from(number).ok()
}

fn share(report: &mut Report<'_, '_>, path: &TomlPath, raw: Option<f64>, least: f64) -> Option<Share> {
    let number = raw?;
    let share = Share::of(number).filter(|_| number >= least);
    if share.is_none() {
        report.wrong(path, format!("a number from {least} to 1 is expected here, not {number}"), Advice::Example);
    }
    share
}

/// A directory, against another where it is relative.
fn directory(report: &mut Report<'_, '_>, path: &TomlPath, raw: Option<String>, against: &Path) -> Option<PathBuf> {
    let text = raw?;
    if text.is_empty() || text.contains('\0') {
        report.wrong(path, "a path is expected here", Advice::Example);
        return None;
    }
    Some(against.join(text))
}

/// The daemon's own table, and the interval of integrations that name none.
fn daemon(report: &mut Report<'_, '_>, environment: Environment<'_>) -> (Daemon, Duration) {
    let path = TomlPath::default().key("daemon");
    let raw: RawDaemon = report.read(&path);
    // Systemd gives several directories separated by colons; the unit asks for one.
    let from_systemd = |variable: &str| {
        let value = environment(variable)?.into_string().ok()?;
        value.split(':').next().filter(|first| !first.is_empty()).map(PathBuf::from)
    };
    let mut place = |key: &str, raw: Option<String>, variable: &str, default: &str| {
        let written = directory(report, &path.key(key), raw, Path::new(""));
        if written.as_ref().is_some_and(|written| written.is_relative()) {
            report.wrong(&path.key(key), "an absolute path is expected here", Advice::Example);
        }
        written.or_else(|| from_systemd(variable)).unwrap_or_else(|| PathBuf::from(default))
    };
    let state_dir = place("state_dir", raw.state_dir, "STATE_DIRECTORY", "/var/lib/gristmill");
    let runtime_dir = place("runtime_dir", raw.runtime_dir, "RUNTIME_DIRECTORY", "/run/gristmill");
    let second = Duration::from_secs(1);
    let poll_interval = duration(report, &path.key("poll_interval"), raw.poll_interval, second);
    let files_at_once = whole_number(report, &path.key("files_at_once"), raw.files_at_once, 1..=256);
    let min_free = size(report, &path.key("min_free"), raw.min_free, ByteSize::from_bytes(0));
    let spool_limit = size(report, &path.key("spool_limit"), raw.spool_limit, ByteSize::from_bytes(1 << 20));
    let shutdown_grace = duration(report, &path.key("shutdown_grace"), raw.shutdown_grace, Duration::ZERO);
    let stall_after = duration(report, &path.key("stall_after"), raw.stall_after, second);
    let log = raw.log.unwrap_or_default();
    let daemon = Daemon {
        state_dir,
        runtime_dir,
        files_at_once: files_at_once.and_then(|number| usize::try_from(number).ok()).unwrap_or(4),
        min_free: min_free.unwrap_or(ByteSize::from_bytes(1 << 30)),
        spool_limit: spool_limit.unwrap_or(ByteSize::from_bytes(10 << 30)),
        shutdown_grace: shutdown_grace.unwrap_or(Duration::from_secs(90)),
        stall_after: stall_after.unwrap_or(Duration::from_secs(30 * 60)),
        log: Log { format: log.format.unwrap_or_default(), level: log.level.unwrap_or_default() },
    };
    (daemon, poll_interval.unwrap_or(Duration::from_secs(300)))
}

/// The destination that is there when the file names none.
fn default_destination(state_dir: &Path) -> Option<(DestinationName, Destination)> {
    let kind = DestinationKind::Sqlite { path: state_dir.join(DEFAULT_STORE) };
    Some((DEFAULT_DESTINATION.parse().ok()?, Destination { tenant: None, kind, resolve: None }))
}

/// The destination of an integration that names none.
const DEFAULT_DESTINATION: &str = "main";
/// The directory of a SQLite destination that names none, in the state directory.
const DEFAULT_STORE: &str = "store";
