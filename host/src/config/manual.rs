//! The manual, made of the raw structs' doc comments: the example file, and the examples beside error messages.

use std::fmt::Write;

use super::path::TomlPath;
use super::raw::account_field::RawAccountField;
use super::raw::connection::{RawAccessGrants, RawAccessKey, RawAssumeRole, RawConnection, RawDefaultChain};
use super::raw::daemon::{RawDaemon, RawLog};
use super::raw::decode::{RawCsv, RawDecodeLimits, RawExcel};
use super::raw::destination::{RawDestination, RawFiles, RawPostgres, RawSqlite, RawWebhook};
use super::raw::integration::{RawFuzzy, RawIntegration, RawMapperChoice, RawMatching, RawSite};
use super::raw::mapper::{RawLimits, RawMapper};
use super::raw::mapping::{
    RawBoolean, RawConcat, RawDateColumn, RawField, RawFilePart, RawIdentifier, RawIdentifierPart, RawLong, RawLookup,
    RawMetric, RawNumber, RawProduct, RawRegexReplacement, RawReplace, RawSplit, RawTransform, RawUsage, RawUser,
};
use super::raw::notify::RawNotify;
use super::raw::secrets::{
    RawAppRole, RawAwsSecret, RawAwsSecretsManager, RawGoogleSecret, RawGoogleSecretManager, RawHashicorpSecret,
    RawHashicorpVault, RawSecrets,
};
use super::raw::tenant::RawTenant;
use super::raw::vault::{RawVault, RawVaultKey};
use super::raw::{Documented, KeyDocs, RawSecretReference};

/// The tables at the root, in the order of the example file.
pub(super) const SECTIONS: [&str; 10] = [
    "daemon",
    "vault",
    "connections",
    "integrations",
    "tenants",
    "account_fields",
    "mappers",
    "destinations",
    "notify",
    "secrets",
];

/// One kind of table.
struct Table {
    /// Its path, `*` for a name.
    pattern: &'static str,
    /// How the example file shows it.
    shown: Shown,
    docs: &'static [&'static str],
    keys: &'static [KeyDocs],
}

enum Shown {
    /// As a table with this header.
    Live(&'static str),
    /// As another choice than a table that is shown live.
    Alternative(&'static str),
    /// Inside another table's example.
    Inline,
}

const fn table<Raw: Documented>(pattern: &'static str, shown: Shown) -> Table {
    Table { pattern, shown, docs: Raw::DOCS, keys: Raw::KEYS }
}

/// All tables, in the order of the example file.
static TABLES: [Table; 75] = [
    table::<RawDaemon>("daemon", Shown::Live("[daemon]")),
    table::<RawLog>("daemon.log", Shown::Live("[daemon.log]")),
    table::<RawVault>("vault", Shown::Live("[vault]")),
    table::<RawVaultKey>("vault.key", Shown::Inline),
    table::<RawConnection>("connections.*", Shown::Live("[connections.acme]")),
    table::<RawAccessKey>("connections.*.access_key", Shown::Live("[connections.acme.access_key]")),
    table::<RawSecretReference>("connections.*.access_key.access_key_id", Shown::Inline),
    table::<RawSecretReference>("connections.*.access_key.secret_access_key", Shown::Inline),
    table::<RawSecretReference>("connections.*.access_key.session_token", Shown::Inline),
    table::<RawAccessGrants>("connections.*.access_grants", Shown::Alternative("[connections.acme.access_grants]")),
    table::<RawAccessKey>("connections.*.access_grants.access_key", Shown::Inline),
    table::<RawSecretReference>("connections.*.access_grants.access_key.access_key_id", Shown::Inline),
    table::<RawSecretReference>("connections.*.access_grants.access_key.secret_access_key", Shown::Inline),
    table::<RawSecretReference>("connections.*.access_grants.access_key.session_token", Shown::Inline),
    table::<RawAssumeRole>("connections.*.assume_role", Shown::Alternative("[connections.acme.assume_role]")),
    table::<RawAccessKey>("connections.*.assume_role.access_key", Shown::Inline),
    table::<RawSecretReference>("connections.*.assume_role.access_key.access_key_id", Shown::Inline),
    table::<RawSecretReference>("connections.*.assume_role.access_key.secret_access_key", Shown::Inline),
    table::<RawSecretReference>("connections.*.assume_role.access_key.session_token", Shown::Inline),
    table::<RawDefaultChain>("connections.*.default_chain", Shown::Inline),
    table::<RawIntegration>("integrations.*", Shown::Live("[integrations.acme-accounts]")),
    table::<RawSite>("integrations.*.moved_from", Shown::Inline),
    table::<RawMatching>("integrations.*.matching", Shown::Live("[integrations.acme-accounts.matching]")),
    table::<RawFuzzy>("integrations.*.matching.name_match.fuzzy", Shown::Inline),
    table::<RawIdentifier>("integrations.*.identifiers", Shown::Live("[[integrations.acme-accounts.identifiers]]")),
    table::<RawIdentifierPart>("integrations.*.identifiers.columns", Shown::Inline),
    table::<RawRegexReplacement>("integrations.*.identifiers.normalize", Shown::Inline),
    table::<RawRegexReplacement>("integrations.*.identifiers.columns.normalize", Shown::Inline),
    table::<RawField>("integrations.*.fields", Shown::Live("[[integrations.acme-accounts.fields]]")),
    table::<RawNumber>("integrations.*.fields.number", Shown::Inline),
    table::<RawBoolean>("integrations.*.fields.boolean", Shown::Inline),
    table::<RawFilePart>("integrations.*.fields.file", Shown::Inline),
    table::<RawTransform>("integrations.*.fields.transforms", Shown::Inline),
    table::<RawReplace>("integrations.*.fields.transforms.replace", Shown::Inline),
    table::<RawSplit>("integrations.*.fields.transforms.split", Shown::Inline),
    table::<RawConcat>("integrations.*.fields.transforms.concat", Shown::Inline),
    table::<RawLookup>("integrations.*.fields.transforms.lookup", Shown::Inline),
    table::<RawUsage>("integrations.*.usage", Shown::Live("[[integrations.acme-accounts.usage]]")),
    table::<RawDateColumn>("integrations.*.usage.date", Shown::Inline),
    table::<RawProduct>("integrations.*.usage.product", Shown::Inline),
    table::<RawUser>("integrations.*.usage.user", Shown::Inline),
    table::<RawLong>("integrations.*.usage.long", Shown::Inline),
    table::<RawNumber>("integrations.*.usage.long.number", Shown::Inline),
    table::<RawBoolean>("integrations.*.usage.long.boolean", Shown::Inline),
    table::<RawMetric>("integrations.*.usage.metrics", Shown::Inline),
    table::<RawNumber>("integrations.*.usage.metrics.number", Shown::Inline),
    table::<RawBoolean>("integrations.*.usage.metrics.boolean", Shown::Inline),
    table::<RawCsv>("integrations.*.csv", Shown::Live("[integrations.acme-accounts.csv]")),
    table::<RawExcel>("integrations.*.excel", Shown::Live("[integrations.acme-accounts.excel]")),
    table::<RawDecodeLimits>("integrations.*.limits", Shown::Live("[integrations.acme-accounts.limits]")),
    table::<RawMapperChoice>("integrations.*.mapper", Shown::Alternative("[integrations.acme-accounts.mapper]")),
    table::<RawTenant>("tenants.*", Shown::Live("[tenants.acme]")),
    table::<RawAccountField>("account_fields.*", Shown::Live("[account_fields.arr]")),
    table::<RawMapper>("mappers.*", Shown::Live("[mappers.acme]")),
    table::<RawLimits>("mappers.*.limits", Shown::Live("[mappers.acme.limits]")),
    table::<RawDestination>("destinations.*", Shown::Live("[destinations.main]")),
    table::<RawSqlite>("destinations.*.sqlite", Shown::Live("[destinations.main.sqlite]")),
    table::<RawPostgres>("destinations.*.postgres", Shown::Alternative("[destinations.main.postgres]")),
    table::<RawSecretReference>("destinations.*.postgres.password", Shown::Inline),
    table::<RawSecretReference>("destinations.*.postgres.url", Shown::Inline),
    table::<RawFiles>("destinations.*.files", Shown::Alternative("[destinations.main.files]")),
    table::<RawWebhook>("destinations.*.webhook", Shown::Alternative("[destinations.main.webhook]")),
    table::<RawSecretReference>("destinations.*.webhook.url", Shown::Inline),
    table::<RawSecretReference>("destinations.*.webhook.secret", Shown::Inline),
    table::<RawNotify>("notify.*", Shown::Live("[notify.night-shift]")),
    table::<RawSecretReference>("notify.*.url", Shown::Inline),
    table::<RawSecretReference>("notify.*.secret", Shown::Inline),
    table::<RawSecrets>("secrets", Shown::Inline),
    table::<RawAwsSecretsManager>("secrets.aws_secrets_manager", Shown::Live("[secrets.aws_secrets_manager]")),
    table::<RawGoogleSecretManager>("secrets.google_secret_manager", Shown::Live("[secrets.google_secret_manager]")),
    table::<RawSecretReference>("secrets.google_secret_manager.service_account", Shown::Inline),
    table::<RawHashicorpVault>("secrets.hashicorp_vault", Shown::Live("[secrets.hashicorp_vault]")),
    table::<RawSecretReference>("secrets.hashicorp_vault.token", Shown::Inline),
    table::<RawAppRole>("secrets.hashicorp_vault.app_role", Shown::Inline),
    table::<RawSecretReference>("secrets.hashicorp_vault.app_role.secret_id", Shown::Inline),
];

/// The tables inside a [`RawSecretReference`], wherever that stands, by their keys.
static OF_REFERENCES: [Table; 3] = [
    table::<RawAwsSecret>("aws_secrets_manager", Shown::Inline),
    table::<RawGoogleSecret>("google_secret_manager", Shown::Inline),
    table::<RawHashicorpSecret>("hashicorp_vault", Shown::Inline),
];

/// TOML that would be valid at a path: the manual's example of that key or table, else that of what is nearest round it.
pub(super) fn example(path: &TomlPath) -> Option<String> {
    let keys: Vec<&str> = path.keys().collect();
    (1..=keys.len()).rev().find_map(|length| {
        let keys = keys.get(..length)?;
        let (last, table) = keys.split_last()?;
        let key = find(table).and_then(|table| table.keys.iter().find(|key| key.name() == *last));
        key.and_then(key_example).or_else(|| table_example(keys))
    })
}

/// A table with the keys that it requires, else with its first one.
fn table_example(keys: &[&str]) -> Option<String> {
    let table = find(keys)?;
    if table.pattern == "destinations.*" {
        // Its required part is a table in it.
        return table_example(&[keys, &["sqlite"]].concat());
    }
    let path = keys.iter().fold(TomlPath::default(), |path, key| path.key(*key));
    let header = match table.shown {
        Shown::Live(header) if header.starts_with("[[") => format!("[[{path}]]"),
        Shown::Live(_) | Shown::Alternative(_) => format!("[{path}]"),
        Shown::Inline => return None,
    };
    let required = |key: &&KeyDocs| key.docs.iter().any(|line| line.contains("Required"));
    let mut examples: Vec<String> = table.keys.iter().filter(required).filter_map(key_example).collect();
    if examples.is_empty() {
        examples.extend(table.keys.iter().find_map(key_example));
    }
    examples.insert(0, header);
    Some(examples.join("\n"))
}

/// The keys that may stand in the table round a path.
pub(super) fn siblings(path: &TomlPath) -> Vec<&'static str> {
    table_round(path).map(|table| table.keys.iter().map(KeyDocs::name).collect()).unwrap_or_default()
}

/// Whether a table says where a secret stands.
pub(super) fn is_reference(path: &TomlPath) -> bool {
    let keys: Vec<&str> = path.keys().collect();
    find(&keys).is_some_and(|table| table.docs == RawSecretReference::DOCS)
}

fn table_round(path: &TomlPath) -> Option<&'static Table> {
    let keys: Vec<&str> = path.keys().collect();
    find(keys.split_last()?.1)
}

fn find(keys: &[&str]) -> Option<&'static Table> {
    let found = TABLES.iter().find(|table| {
        table.pattern.split('.').count() == keys.len()
            && table.pattern.split('.').zip(keys).all(|(pattern, key)| pattern == "*" || pattern == *key)
    });
    found.or_else(|| {
        let (last, round) = keys.split_last()?;
        let inner = OF_REFERENCES.iter().find(|table| table.pattern == *last)?;
        find(round)?.keys.iter().any(|key| key.name() == *last).then_some(inner)
    })
}

/// The first block of TOML in a key's documentation, of either kind.
fn key_example(key: &KeyDocs) -> Option<String> {
    let mut lines = key.docs.iter().map(|line| line.strip_prefix(' ').unwrap_or(line));
    lines.find(|line| matches!(*line, "```toml" | "```text"))?;
    let block: Vec<&str> = lines.take_while(|line| *line != "```").collect();
    // Of several choices, one will do.
    let complete = block.first().is_some_and(|first| !first.ends_with(['[', '{']));
    Some(if complete { block.first().map(ToString::to_string)? } else { block.join("\n") })
}

/// The example file. Prose lines begin with `# `; taking away the `#` at the beginning of the others makes a
/// configuration that is valid as it stands.
pub fn example_file() -> String {
    let mut text = String::from(HEAD);
    for table in &TABLES {
        // Writing to a string cannot fail.
        let _ = write_table(&mut text, table);
    }
    text
}

const HEAD: &str = "\
# The configuration of Gristmill.
#
# A line that begins with `#` and a blank explains. Of the others, take away the `#` to set something; those shown here
# are the defaults, or examples where there is none. Files named *.toml in the directory conf.d beside this file are
# read as well, in the order of their names; a key may stand in one file only. `gristmill check` says what is wrong.
#
# Durations and sizes have units: \"90s\", \"1h30m\", \"64MiB\", \"10GiB\".
";

fn write_table(text: &mut String, table: &Table) -> std::fmt::Result {
    let (header, live) = match table.shown {
        Shown::Live(header) => (header, true),
        Shown::Alternative(header) => (header, false),
        Shown::Inline => return Ok(()),
    };
    writeln!(text, "\n")?;
    write_docs(text, table.docs, live)?;
    writeln!(text, "{}{header}", if live { "#" } else { "#     " })?;
    for key in table.keys {
        if key_example(key).is_some() {
            writeln!(text)?;
            write_docs(text, key.docs, live)?;
        }
    }
    Ok(())
}

/// Prose as prose, examples as settings, other choices (and everything of a table that is one) indented as prose.
fn write_docs(text: &mut String, docs: &[&str], live: bool) -> std::fmt::Result {
    let mut lines = docs.iter().map(|line| line.strip_prefix(' ').unwrap_or(line));
    while let Some(line) = lines.next() {
        match line {
            "```toml" | "```text" => {
                let lead = if live && line == "```toml" { "#" } else { "#     " };
                for example in lines.by_ref().take_while(|line| *line != "```") {
                    writeln!(text, "{lead}{example}")?;
                }
            }
            // Markdown needs it round a block; a reader of the file does not.
            "" => {}
            prose => writeln!(text, "# {prose}")?,
        }
    }
    Ok(())
}

/// Every example: the headers of its table, the path of its key, and the lines themselves.
#[cfg(test)]
pub(super) fn examples() -> Vec<(String, String, String)> {
    let blocks = |key: &KeyDocs| {
        let mut lines = key.docs.iter().map(|line| line.strip_prefix(' ').unwrap_or(line));
        let mut blocks = Vec::new();
        while lines.any(|line| matches!(line, "```toml" | "```text")) {
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            let whole = block.first().is_some_and(|first| first.ends_with('['));
            blocks.extend(if whole { vec![block.join("\n")] } else { block.iter().map(ToString::to_string).collect() });
        }
        blocks
    };
    let is_array = |key: &str| {
        matches!(key, "identifiers" | "columns" | "normalize" | "fields" | "transforms" | "usage" | "metrics")
    };
    let mut examples = Vec::new();
    for table in &TABLES {
        let (mut headers, mut path) = (String::new(), String::new());
        for key in table.pattern.split('.') {
            path.push_str(if path.is_empty() { "" } else { "." });
            path.push_str(if key == "*" { "x" } else { key });
            if is_array(key) {
                headers.push_str(&format!("[[{path}]]\n"));
            }
        }
        if !path.rsplit('.').next().is_some_and(is_array) {
            headers.push_str(&format!("[{path}]\n"));
        }
        for key in table.keys {
            let place = format!("{path}.{}", key.name());
            examples.extend(blocks(key).into_iter().map(|example| (headers.clone(), place.clone(), example)));
        }
    }
    examples
}
