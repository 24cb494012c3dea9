//! The vault's key.

use toml::de::DeValue;

use crate::config::path::TomlPath;
use crate::config::raw::vault::{RawVault, RawVaultKey};
use crate::config::report::{Advice, Report};
use crate::secrets::vault::KeyPlace;

/// Checks `[vault]`, where it stands.
pub(super) fn check(report: &mut Report<'_, '_>) -> Option<KeyPlace> {
    let path = TomlPath::default().key("vault");
    let is_table = matches!(report.document().get(&path)?.get_ref(), DeValue::Table(_));
    let raw: RawVault = report.read(&path);
    if !is_table {
        return None;
    }
    let place = path.key("key");
    let key = report.required(&place, raw.key)?;
    let key = match key {
        RawVaultKey { credential: Some(name), file: None } => {
            // The text is not repeated: it may be the key itself, in the wrong place.
            let wrong = |error| (place.key("credential"), format!("this is no credential's name: {error}"));
            name.parse().map(KeyPlace::Credential).map_err(wrong)
        }
        RawVaultKey { credential: None, file: Some(file) } => match file.starts_with('/') {
            true => Ok(KeyPlace::File(file.into())),
            false => Err((place.key("file"), "an absolute path is expected here".to_owned())),
        },
        RawVaultKey { .. } if report.refused_within(&place) => return None,
        RawVaultKey { .. } => Err((place, "exactly one of `credential` and `file` is expected here".to_owned())),
    };
    let key = key.map_err(|(place, message)| report.wrong(&place, message, Advice::Example)).ok()?;
    (!report.condemns(&path)).then_some(key)
}
