//! The integrations, and what each refers to.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use toml::de::DeValue;

use super::{DEFAULT_DESTINATION, Tables, account_field, mapping};
use crate::config::document::Document;
use crate::config::path::{Segment, TomlPath};
use crate::config::raw::integration::{RawBackfill, RawDestinationNames, RawIntegration, RawOnRevert, RawSite};
use crate::config::report::{Advice, Report};
use crate::config::{
    AccountField, Backfill, ByteSize, Connection, ContentHashing, Destination, Integration, Mapper, MapperChoice,
    OnRevert, Timezone, Transform,
};
use crate::object::{AccountFieldName, ConnectionKey, DestinationName, IntegrationName, MapperName, Site, TenantName};
use crate::rejects::RejectLimits;
use crate::source::{KeyPattern, Wanted};

/// What integrations may refer to.
pub(super) struct Names<'a> {
    pub(super) connections: &'a Tables<ConnectionKey, Connection>,
    pub(super) mappers: &'a Tables<MapperName, Mapper>,
    pub(super) destinations: &'a Tables<DestinationName, Destination>,
    pub(super) account_fields: &'a Tables<AccountFieldName, AccountField>,
    /// The first table that names a tenant (R13).
    pub(super) tenant_named_in: Option<TomlPath>,
    /// Of integrations that name none.
    pub(super) poll_interval: Duration,
}

impl Names<'_> {
    /// The key of the connection that had this one before, unless one has it now (R17).
    fn now_named(&self, key: ConnectionKey) -> ConnectionKey {
        let (named, refused) = (&self.connections.named, &self.connections.refused);
        if named.contains_key(&key) || refused.contains(key.as_str()) {
            return key;
        }
        let renamed = named.iter().find(|(_, connection)| connection.renamed_from.as_ref() == Some(&key));
        renamed.map_or(key, |(now, _)| now.clone())
    }
}

/// The integrations in order.
pub(super) struct Integrations {
    pub(super) active: BTreeMap<IntegrationName, Integration>,
    pub(super) switched_off: BTreeMap<IntegrationName, Integration>,
}

/// Checks every `[integrations.NAME]`. What is wrong in one that is switched off is nobody's concern (R15).
pub(super) fn check(report: &mut Report<'_, '_>, names: &Names<'_>) -> Integrations {
    let mut integrations = Integrations { active: BTreeMap::new(), switched_off: BTreeMap::new() };
    let section = TomlPath::default().key("integrations");
    for key in report.tables_in(&section) {
        let path = section.key(&key);
        let mut aside = report.aside();
        let mut raw: RawIntegration = aside.read(&path);
        let switched_on = raw.enabled.take().unwrap_or(true);
        let name = super::named(&mut aside, &path, &key);
        let integration = check_one(&mut aside, &path, raw, name, names);
        let in_order = !aside.condemns(&path);
        let into = if switched_on {
            report.append(aside);
            &mut integrations.active
        } else {
            &mut integrations.switched_off
        };
        into.extend(integration.filter(|_| in_order).map(|integration| (integration.name.clone(), integration)));
    }
    integrations
}

/// The first table that names a tenant (R13).
pub(super) fn tenant_named_in(document: &Document<'_>) -> Option<TomlPath> {
    ["connections", "integrations", "account_fields", "mappers", "destinations"].into_iter().find_map(|section| {
        let section = TomlPath::default().key(section);
        let DeValue::Table(tables) = document.get(&section)?.get_ref() else {
            return None;
        };
        let mut names = tables.keys().map(|name| section.key(name.get_ref().as_ref()));
        names.find(|table| document.get(&table.key("tenant")).is_some())
    })
}

fn check_one(
    report: &mut Report<'_, '_>,
    path: &TomlPath,
    mut raw: RawIntegration,
    name: Option<IntegrationName>,
    names: &Names<'_>,
) -> Option<Integration> {
    let timezone = timezone(report, &path.key("timezone"), raw.timezone.take().unwrap_or_else(|| "UTC".to_owned()));
    let zone_of_days = timezone.as_ref().map(|timezone| &timezone.zone);
    let tenant = tenant(report, path, raw.tenant.take(), names.tenant_named_in.as_ref());
    let account_fields = account_field::follow(report, path, &mut raw, tenant.as_ref(), names.account_fields);
    let on_mapper_failure = raw.mapper.as_ref().and_then(|choice| choice.on_failure).unwrap_or_default();
    let transforms = mapping::check(report, path, &mut raw, zone_of_days, names.mappers);

    let place = path.key("connection");
    let written = report.required(&place, raw.connection);
    let written: Option<ConnectionKey> = report.parsed(&place, written, str::parse);
    let connection = written.map(|key| names.now_named(key));
    if let Some(key) = &connection
        && let Some(found) = names.connections.follow(report, &place, key)
    {
        serves(report, &place, format_args!("connection `{key}`"), found.tenant.as_ref(), tenant.as_ref());
    }

    let destinations = destinations(report, &path.key("destination"), raw.destination, names, tenant.as_ref());

    for (key, transform) in [("field_mapping", &transforms.0), ("product_usage", &transforms.1)] {
        if let Some(Transform { mapper: MapperChoice::Named(name), .. }) = transform
            && let Some(found) = names.mappers.named.get(name)
        {
            let place = path.key("mapper").key(key);
            serves(report, &place, format_args!("mapper `{name}`"), found.tenant.as_ref(), tenant.as_ref());
        }
    }

    let place = path.key("bucket");
    let written = report.required(&place, raw.bucket);
    let bucket = report.parsed(&place, written, bucket);
    let place = path.key("poll_interval");
    let poll_interval = super::duration(report, &place, raw.poll_interval, Duration::from_secs(1));
    let place = path.key("expect_file_within");
    let expect_file_within = super::duration(report, &place, raw.expect_file_within, Duration::from_secs(1));
    let list_budget = super::whole_number(report, &path.key("list_budget"), raw.list_budget, 1..=i64::MAX);
    let decode = super::decode::check(report, path, raw.csv, raw.excel, raw.limits);
    let zone = timezone.as_ref().map_or(TimeZone::UTC, |timezone| timezone.zone.clone());
    let backfill = backfill(report, &path.key("backfill"), raw.backfill, &zone);
    let max_rejects = super::whole_number(report, &path.key("max_rejects"), raw.max_rejects, 0..=i64::MAX);
    let max_reject_ratio = super::share(report, &path.key("max_reject_ratio"), raw.max_reject_ratio, 0.0);
    let reject_limits = RejectLimits { rows: max_rejects, share: max_reject_ratio };
    let max_unmatched = super::share(report, &path.key("max_unmatched_ratio"), raw.max_unmatched_ratio, 0.0);
    let wanted = Wanted {
        include: patterns(report, &path.key("include"), raw.include),
        exclude: patterns(report, &path.key("exclude"), raw.exclude),
        min_age: super::duration(report, &path.key("min_age"), raw.min_age, Duration::ZERO).unwrap_or_default(),
        modified_since: raw.modified_since.and_then(|day| start_of(report, &path.key("modified_since"), day, &zone)),
        max_size: super::size(report, &path.key("max_size"), raw.max_size, ByteSize::from_bytes(1))
            .map(ByteSize::bytes),
    };
    let matching = super::matching::check(report, &path.key("matching"), raw.matching, max_unmatched);
    if let Some(destinations) = &destinations {
        super::matching::check_resolve(report, path, &names.destinations.named, destinations, &matching);
    }
    let backfill_limit = super::whole_number(report, &path.key("backfill_limit"), raw.backfill_limit, 0..=i64::MAX);
    let place = path.key("forget_after_days");
    let forget_after_days = super::whole_number(report, &place, raw.forget_after_days, 1..=i64::from(u16::MAX));
    let forget_after_days = forget_after_days.and_then(|days| days.try_into().ok()).unwrap_or(365);
    let renamed_from = renamed_from(report, &path.key("renamed_from"), raw.renamed_from);
    let now = Site { connection: connection?, bucket: bucket?, prefix: raw.prefix.unwrap_or_default() };
    let moved_from = moved_from(report, &path.key("moved_from"), raw.moved_from, &now);
    Some(Integration {
        name: name?,
        renamed_from,
        moved_from,
        tenant: tenant?,
        connection: now.connection,
        bucket: now.bucket,
        prefix: now.prefix,
        listing: raw.listing.unwrap_or_default(),
        list_budget: list_budget.and_then(NonZeroU64::new),
        wanted,
        destinations: destinations?,
        poll_interval: poll_interval.unwrap_or(names.poll_interval),
        expect_file_within,
        timezone: timezone?,
        content_hash: if raw.content_hash.unwrap_or(true) { ContentHashing::On } else { ContentHashing::Off },
        on_revert: match raw.on_revert {
            Some(RawOnRevert::Skip) | None => OnRevert::Skip,
            Some(RawOnRevert::Ingest) => OnRevert::Ingest,
        },
        on_mapper_failure,
        backfill: backfill?,
        backfill_limit: backfill_limit.unwrap_or(10_000),
        forget_after_days,
        reject_limits,
        decode,
        matching,
        account_fields,
        field_mapping: transforms.0,
        product_usage: transforms.1,
    })
}

/// The name that it had before: that of no integration now.
fn renamed_from(report: &mut Report<'_, '_>, path: &TomlPath, raw: Option<String>) -> Option<IntegrationName> {
    let name: IntegrationName = report.parsed(path, raw, str::parse)?;
    if report.tables_in(&TomlPath::default().key("integrations")).iter().any(|other| other == name.as_str()) {
        report.wrong(
            path,
            format!("there still is an integration `{name}`"),
            Advice::HintOnly("an integration that got another name has it alone: take one of the two out".into()),
        );
        return None;
    }
    Some(name)
}

/// Where its files were: not where they are.
fn moved_from(report: &mut Report<'_, '_>, path: &TomlPath, raw: Option<RawSite>, now: &Site) -> Option<Site> {
    let raw = raw?;
    let connection = report.parsed(&path.key("connection"), raw.connection, str::parse);
    let bucket = report.parsed(&path.key("bucket"), raw.bucket, bucket);
    let site = Site {
        connection: connection.unwrap_or_else(|| now.connection.clone()),
        bucket: bucket.unwrap_or_else(|| now.bucket.clone()),
        prefix: raw.prefix.unwrap_or_else(|| now.prefix.clone()),
    };
    if site == *now && !report.refused_within(path) {
        let hint = "take it out; or say in `connection`, `bucket` and `prefix` where the files are now";
        report.wrong(path, "this is where the integration looks now", Advice::HintOnly(hint.into()));
        return None;
    }
    Some(site)
}

/// The names of its destinations, in the order in which they stand.
fn destinations(
    report: &mut Report<'_, '_>,
    path: &TomlPath,
    raw: Option<RawDestinationNames>,
    names: &Names<'_>,
    tenant: Option<&TenantName>,
) -> Option<Vec<DestinationName>> {
    let written = match raw {
        None => vec![(path.clone(), DEFAULT_DESTINATION.to_owned())],
        Some(RawDestinationNames::One(name)) => vec![(path.clone(), name)],
        Some(RawDestinationNames::Several(names)) => {
            let place = |number| path.join([Segment::Index(number)]);
            names.into_iter().enumerate().map(|(number, name)| (place(number), name)).collect()
        }
    };
    if written.is_empty() {
        report.wrong(path, "at least one name is expected here", Advice::Example);
        return None;
    }
    let mut destinations: Vec<DestinationName> = Vec::with_capacity(written.len());
    for (place, name) in written {
        let name: DestinationName = report.parsed(&place, Some(name), str::parse)?;
        if destinations.contains(&name) {
            report.wrong(&place, format!("`{name}` is named twice"), Advice::HintOnly("leave one out".into()));
            return None;
        }
        if let Some(found) = names.destinations.follow(report, &place, &name) {
            serves(report, &place, format_args!("destination `{name}`"), found.tenant.as_ref(), tenant);
        }
        destinations.push(name);
    }
    Some(destinations)
}

/// R13: once any table names a tenant, every integration must.
fn tenant(
    report: &mut Report<'_, '_>,
    path: &TomlPath,
    raw: Option<String>,
    named_in: Option<&TomlPath>,
) -> Option<TenantName> {
    let place = path.key("tenant");
    match (raw, named_in) {
        (None, None) => Some(TenantName::default()),
        (None, Some(elsewhere)) => {
            let message = format!("this key is missing; `{elsewhere}` names a tenant, so every integration must");
            report.missing(&place, message, Advice::Example);
            None
        }
        (Some(text), _) => report.parsed(&place, Some(text), str::parse),
    }
}

/// R13: what names a tenant serves only it.
fn serves(
    report: &mut Report<'_, '_>,
    path: &TomlPath,
    what: std::fmt::Arguments<'_>,
    only: Option<&TenantName>,
    tenant: Option<&TenantName>,
) {
    if let (Some(only), Some(tenant)) = (only, tenant)
        && only != tenant
    {
        let message = format!("the {what} serves the tenant `{only}` alone, and this integration is `{tenant}`'s");
        report.wrong(path, message, Advice::HintOnly(format!("use one of `{tenant}`'s, or one without a `tenant`")));
    }
}

#[derive(Debug, thiserror::Error)]
enum BucketError {
    #[error(transparent)]
    Name(#[from] crate::object::NameError),
    #[error("a bucket's name has no `/`, blanks or control characters; a part of the bucket is chosen by `prefix`")]
    Character,
}

fn bucket(text: &str) -> Result<crate::object::BucketName, BucketError> {
    if text.contains(|c: char| c == '/' || c.is_whitespace() || c.is_control()) {
        return Err(BucketError::Character);
    }
    Ok(text.parse()?)
}

/// A time zone by its name.
pub(super) fn timezone(report: &mut Report<'_, '_>, path: &TomlPath, name: String) -> Option<Timezone> {
    match name.parse::<Timezone>() {
        Ok(timezone) => Some(timezone),
        Err(error) => {
            report.wrong(
                path,
                error.to_string(),
                Advice::HintOnly(
                    "names are those of the IANA database, such as `Europe/Berlin` or `America/New_York`".into(),
                ),
            );
            None
        }
    }
}

fn backfill(
    report: &mut Report<'_, '_>,
    path: &TomlPath,
    raw: Option<RawBackfill>,
    zone: &TimeZone,
) -> Option<Backfill> {
    let since = match raw {
        None | Some(RawBackfill::All) => return Some(Backfill::All),
        Some(RawBackfill::None) => return Some(Backfill::None),
        Some(RawBackfill::Since(value)) => value,
    };
    start_of(report, &path.key("since"), since, zone).map(Backfill::Since)
}

/// Patterns of keys; those in order.
fn patterns(report: &mut Report<'_, '_>, path: &TomlPath, raw: Option<Vec<String>>) -> Vec<KeyPattern> {
    let texts = raw.unwrap_or_default().into_iter().enumerate();
    let read = |(place, text): (usize, String)| {
        report.parsed(&path.join([Segment::Index(place)]), Some(text), KeyPattern::new)
    };
    texts.filter_map(read).collect()
}

/// When a day begins.
fn start_of(report: &mut Report<'_, '_>, path: &TomlPath, day: toml::Value, zone: &TimeZone) -> Option<Timestamp> {
    let text = match day {
        toml::Value::Datetime(datetime) => Some(datetime.to_string()),
        toml::Value::String(text) => Some(text),
        _ => None,
    };
    let date = text.and_then(|text| jiff::fmt::temporal::DateTimeParser::new().parse_date(text).ok());
    let start = date.and_then(|date: Date| date.to_zoned(zone.clone()).ok());
    if start.is_none() {
        report.wrong(path, "a day such as `2026-01-31` is expected here", Advice::Example);
    }
    start.map(|start| start.timestamp())
}
