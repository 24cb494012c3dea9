//! What makes an integration's records: the built-in mapper, custom ones, or both.

use std::sync::Arc;

use super::Tables;
use crate::config::path::TomlPath;
use crate::config::raw::integration::{RawIntegration, RawMapperChoice};
use crate::config::report::{Advice, Report};
use crate::config::{Mapper, MapperChoice, Transform};
use crate::object::MapperName;

/// What makes account records and what makes usage records.
pub(super) fn check(
    report: &mut Report<'_, '_>,
    path: &TomlPath,
    raw: &mut RawIntegration,
    mappers: &Tables<MapperName, Mapper>,
) -> (Option<Transform>, Option<Transform>) {
    let choice = raw.mapper.take().unwrap_or_default();
    let identifiers = raw.identifiers.take().unwrap_or_default();
    let fields = raw.fields.take().unwrap_or_default();
    let usage = raw.usage.take().unwrap_or_default();

    let built_in = serde_json::json!({ "identifiers": identifiers, "fields": fields, "usage": usage });
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
