//! Which integrations name which connection, those that are switched off or not in order included.

use std::path::Path;

use serde::Serialize;
use toml::de::{DeTable, DeValue};

use super::path::TomlPath;
use super::{ConfigError, document};

/// An integration that names a connection.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Use {
    /// The connection's key, as it is now.
    pub connection: String,
    /// The integration's name.
    pub integration: String,
    /// Whether it is switched on.
    pub enabled: bool,
}

/// Every use of every connection, by connection and integration. What is no TOML is left out.
pub fn uses_of_connections(path: &Path) -> Result<Vec<Use>, ConfigError> {
    let mut problems = Vec::new();
    let sources = document::Sources::read(path, &mut problems)?;
    let document = sources.parse(&mut problems);
    let section = |name: &str| match document.get(&TomlPath::default().key(name)).map(|tables| tables.get_ref()) {
        Some(DeValue::Table(tables)) => Some(tables),
        _ => None,
    };
    let connections = section("connections");
    let now = |key: &str| {
        let known = connections.is_some_and(|connections| connections.contains_key(key));
        let renamed = connections.filter(|_| !known).into_iter().flatten();
        let mut renamed = renamed.filter(|(_, table)| text(table.get_ref(), "renamed_from") == Some(key));
        renamed.next().map_or(key, |(now, _)| now.get_ref().as_ref()).to_owned()
    };
    let mut uses: Vec<Use> = section("integrations")
        .into_iter()
        .flatten()
        .filter_map(|(integration, table)| {
            let connection = now(text(table.get_ref(), "connection")?);
            let off = value(table.get_ref(), "enabled").is_some_and(|value| matches!(value, DeValue::Boolean(false)));
            Some(Use { connection, integration: integration.get_ref().to_string(), enabled: !off })
        })
        .collect();
    uses.sort();
    Ok(uses)
}

fn value<'d, 't>(table: &'d DeValue<'t>, key: &str) -> Option<&'d DeValue<'t>> {
    let DeValue::Table(table) = table else { return None };
    let table: &DeTable<'_> = table;
    table.get(key).map(|value| value.get_ref())
}

fn text<'d>(table: &'d DeValue<'_>, key: &str) -> Option<&'d str> {
    match value(table, key)? {
        DeValue::String(text) => Some(text.as_ref()),
        _ => None,
    }
}
