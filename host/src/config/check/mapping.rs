//! What makes an integration's records: the built-in mapper, custom ones, or both.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Tables;
use super::integration::timezone;
use crate::config::path::{Segment, TomlPath};
use crate::config::raw::integration::{RawIntegration, RawMapperChoice};
use crate::config::raw::mapping::RawUsage;
use crate::config::report::{Advice, Report};
use crate::config::{Mapper, MapperChoice, Transform};
use crate::object::MapperName;

/// What makes account records and what makes usage records.
pub(super) fn check(
    report: &mut Report<'_, '_>,
    path: &TomlPath,
    raw: &mut RawIntegration,
    zone: Option<&TimeZone>,
    mappers: &Tables<MapperName, Mapper>,
) -> (Option<Transform>, Option<Transform>) {
    let choice = raw.mapper.take().unwrap_or_default();
    let identifiers = raw.identifiers.take().unwrap_or_default();
    let fields = raw.fields.take().unwrap_or_default();
    let mut usage = raw.usage.take().unwrap_or_default();
    let zones_of_usage = zones_of_usage(report, path, &mut usage);

    let mut built_in = serde_json::json!({ "identifiers": identifiers, "fields": fields, "usage": usage });
    if let Some(on_blank) = raw.matching.as_ref().and_then(|matching| matching.on_blank) {
        built_in["matching"] = serde_json::json!({ "on_blank": on_blank });
    }
    if let Some(zone) = zone.filter(|_| reads_moments(&built_in)) {
        built_in["zone"] = offsets(zone).into();
    }
    for (block, zone) in zones_of_usage {
        built_in["usage"][block]["zone"] = offsets(&zone).into();
    }
    let built_in: Arc<str> = sorted(&built_in).into();
    let custom = custom_settings(report, path, &choice);
    let mut transform = |key: &str, name: Option<String>, table: &str, is_mapped: bool| match name {
        Some(name) => {
            let place = path.key("mapper").key(key);
            if is_mapped {
                report.wrong(
                    &path.key(table),
                    format!("`mapper.{key}` takes its place"),
                    Advice::HintOnly("keep one of the two".into()),
                );
            }
            let name: MapperName = report.parsed(&place, Some(name), str::parse)?;
            mappers.follow(report, &place, &name)?;
            Some(Transform { mapper: MapperChoice::Named(name), settings: custom.clone() })
        }
        None => is_mapped.then(|| Transform { mapper: MapperChoice::BuiltIn, settings: built_in.clone() }),
    };
    let (names_fields, names_usage) = (choice.field_mapping.is_some(), choice.product_usage.is_some());
    let field_mapping = transform("field_mapping", choice.field_mapping, "fields", !fields.is_empty());
    let product_usage = transform("product_usage", choice.product_usage, "usage", !usage.is_empty());

    let uses_built_in = (!names_fields && !fields.is_empty()) || (!names_usage && !usage.is_empty());
    if !(uses_built_in || names_fields || names_usage) {
        let refused = ["fields", "usage", "mapper"].iter().any(|key| report.refused_within(&path.key(*key)));
        if !refused {
            report.missing(
                &path.key("fields"),
                "nothing is said of what its files become",
                Advice::Hint("add `fields` or `usage`, or a custom `mapper`".into()),
            );
        }
    } else if uses_built_in && identifiers.is_empty() {
        report.missing(
            &path.key("identifiers"),
            "it is not said which account a row belongs to",
            Advice::Hint("add it".into()),
        );
    } else if !uses_built_in && !identifiers.is_empty() {
        report.wrong(
            &path.key("identifiers"),
            "only the built-in mapper reads them, and custom mappers take its place",
            Advice::HintOnly("take them out, or hand them to the custom mapper in `mapper.settings`".into()),
        );
    }
    (field_mapping, product_usage)
}

/// The blocks with a time zone of their own. The mapper knows offsets, and no names.
fn zones_of_usage(report: &mut Report<'_, '_>, path: &TomlPath, usage: &mut [RawUsage]) -> Vec<(usize, TimeZone)> {
    let mut zones = Vec::new();
    for (place, block) in usage.iter_mut().enumerate() {
        if let Some(name) = block.timezone.take() {
            let path = path.key("usage").join([Segment::Index(place)]).key("timezone");
            zones.extend(timezone(report, &path, name).map(|timezone| (place, timezone.zone)));
        }
    }
    zones
}

/// Whether the built-in mapper reads something that depends on the time zone: moments without an offset, or days of
/// moments that are written as numbers.
fn reads_moments(settings: &serde_json::Value) -> bool {
    match settings {
        serde_json::Value::String(text) => matches!(text.as_str(), "datetime" | "epoch_seconds" | "epoch_milliseconds"),
        serde_json::Value::Array(items) => items.iter().any(reads_moments),
        serde_json::Value::Object(entries) => entries.values().any(reads_moments),
        _ => false,
    }
}

/// The offsets of a time zone from 1900 to 2100, as the built-in mapper wants them: from which second on, and how many
/// seconds ahead of UTC. A mapper has no database of time zones, and needs those of its integration and its blocks of usage alone. UTC
/// has none.
fn offsets(zone: &TimeZone) -> Vec<serde_json::Value> {
    let begin = Timestamp::from_second(-2_208_988_800).unwrap_or(Timestamp::UNIX_EPOCH);
    let end = Timestamp::from_second(4_102_444_800).unwrap_or(Timestamp::MAX);
    let first = (begin.as_second(), zone.to_offset(begin).seconds());
    let later = zone.following(begin).take_while(|change| change.timestamp() < end);
    let mut offsets = vec![first];
    for change in later {
        let (second, offset) = (change.timestamp().as_second(), change.offset().seconds());
        // A change of the name alone moves no clock.
        if offsets.last().is_some_and(|(_, last)| *last != offset) {
            offsets.push((second, offset));
        }
    }
    match offsets.as_slice() {
        [(_, 0)] => Vec::new(),
        offsets => offsets.iter().map(|(second, offset)| serde_json::json!([second, offset])).collect(),
    }
}

/// The settings of the custom mappers, as JSON.
fn custom_settings(report: &mut Report<'_, '_>, path: &TomlPath, choice: &RawMapperChoice) -> Arc<str> {
    let Some(settings) = &choice.settings else {
        return "{}".into();
    };
    let place = path.key("mapper").key("settings");
    if choice.field_mapping.is_none() && choice.product_usage.is_none() {
        report.wrong(
            &place,
            "no custom mapper is named that would read them",
            Advice::HintOnly("name one in `field_mapping` or `product_usage`".into()),
        );
    }
    match json(&toml::Value::Table(settings.clone())) {
        Some(value) => sorted(&value).into(),
        None => {
            report.wrong(
                &place,
                "JSON has no number for `nan` or `inf`",
                Advice::HintOnly("write it as a text".into()),
            );
            "{}".into()
        }
    }
}

/// A TOML value as JSON: dates and times become text. None where a number has no JSON.
fn json(value: &toml::Value) -> Option<serde_json::Value> {
    Some(match value {
        toml::Value::String(text) => text.as_str().into(),
        toml::Value::Integer(number) => (*number).into(),
        toml::Value::Float(number) => serde_json::Number::from_f64(*number)?.into(),
        toml::Value::Boolean(truth) => (*truth).into(),
        toml::Value::Datetime(datetime) => datetime.to_string().into(),
        toml::Value::Array(elements) => elements.iter().map(json).collect::<Option<Vec<_>>>()?.into(),
        toml::Value::Table(table) => {
            let entries = table.iter().map(|(key, value)| Some((key.clone(), json(value)?)));
            serde_json::Value::Object(entries.collect::<Option<_>>()?)
        }
    })
}

/// The text of a JSON value with the keys of every object sorted, so that one meaning has one text and one digest.
fn sorted(value: &serde_json::Value) -> String {
    let mut value = value.clone();
    value.sort_all_objects();
    value.to_string()
}
