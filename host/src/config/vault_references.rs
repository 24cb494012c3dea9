//! Where a configuration refers to secrets of the vault, found in the text itself: a table that is switched off or refused
//! refers to them all the same. What is no secret's name is left out, and so never repeated.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::DeValue;

use super::document::Document;
use super::manual;
use super::path::TomlPath;
use crate::secrets::SecretName;

/// The paths of the references, by the name of the secret.
pub(super) fn find(document: &Document<'_>) -> BTreeMap<SecretName, Vec<String>> {
    let mut found = BTreeMap::new();
    let root = TomlPath::default();
    document.root_keys().for_each(|key| look(document.get(&root.key(key)), &root.key(key), &mut found));
    found
}

fn look(value: Option<&Spanned<DeValue<'_>>>, path: &TomlPath, found: &mut BTreeMap<SecretName, Vec<String>>) {
    let Some(DeValue::Table(table)) = value.map(Spanned::get_ref) else { return };
    for (key, value) in table {
        match value.get_ref() {
            DeValue::String(name) if key.get_ref() == "secret" && manual::is_reference(path) => {
                let name = name.parse();
                name.into_iter().for_each(|name| found.entry(name).or_default().push(path.to_string()));
            }
            _ => look(Some(value), &path.key(key.get_ref().as_ref()), found),
        }
    }
}
