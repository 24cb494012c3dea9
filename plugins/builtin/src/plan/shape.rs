//! From JSON to [`Settings`], finding every value of the wrong shape with its path, not the first alone.
//!
//! serde stops at the first error and does not say where it stands. But every key of the settings is optional, so any
//! part of a document is a document by itself: each value is tried alone, inside its own path, and the smallest parts
//! that are refused are what is wrong. They are left out, and the rest is read.

use serde_json::{Map, Value};

use super::Check;
use crate::settings::Settings;

/// Reads settings; what cannot be read is reported and stands at its default. None when nothing can.
pub(super) fn read(settings: &str, check: &mut Check) -> Option<Settings> {
    let value: Value = match serde_json::from_str(settings) {
        Ok(value @ Value::Object(_)) => value,
        Ok(_) => {
            check.report("", "bad_setting", "the settings are not a JSON object");
            return None;
        }
        Err(error) => {
            check.report("", "bad_setting", &format!("the settings are not JSON: {error}"));
            return None;
        }
    };
    if let Ok(settings) = serde_json::from_value(value.clone()) {
        return Some(settings);
    }
    serde_json::from_value(keep_readable("", value, &|part| part, check)?).ok()
}

/// What is left of `value` without the parts that cannot be read, which are reported. `wrap` puts a part at its place
/// in otherwise empty settings.
fn keep_readable(path: &str, value: Value, wrap: &dyn Fn(Value) -> Value, check: &mut Check) -> Option<Value> {
    let Err(error) = serde_json::from_value::<Settings>(wrap(value.clone())) else {
        return Some(value);
    };
    let reported = check.faults.len();
    let rest = match value {
        Value::Object(entries) => {
            let mut rest = Map::new();
            for (key, entry) in entries {
                let wrap = |part: Value| wrap(Value::Object(Map::from_iter([(key.clone(), part)])));
                if let Some(entry) = keep_readable(&super::join(path, &key), entry, &wrap, check) {
                    rest.insert(key, entry);
                }
            }
            Some(Value::Object(rest))
        }
        Value::Array(items) => {
            let mut rest = Vec::new();
            for (place, item) in items.into_iter().enumerate() {
                let wrap = |part: Value| wrap(Value::Array(vec![part]));
                // The others keep their places, and with them their paths.
                let nothing = Value::Object(Map::new());
                rest.push(keep_readable(&format!("{path}[{place}]"), item, &wrap, check).unwrap_or(nothing));
            }
            Some(Value::Array(rest))
        }
        _ => None,
    };
    if check.faults.len() == reported {
        check.report(path, "bad_setting", &error.to_string());
        return None;
    }
    // A list of texts cannot hold the place of one that was refused.
    rest.filter(|rest| serde_json::from_value::<Settings>(wrap(rest.clone())).is_ok())
}
