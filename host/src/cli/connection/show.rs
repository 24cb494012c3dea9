//! `gristmill connection list` and `show`.

use serde_json::{Value, json};

use super::not_edited;
use crate::cli::output::{Paint, text};
use crate::cli::{CONFIGURATION, Failed, Shared, UNWELL, load, output};
use crate::config::edit::Edit;
use crate::config::{
    AccessKeyId, Addressing, Auth, BaseIdentity, Config, Connection, KeyPair, Scope, Use, duration_text,
    uses_of_connections,
};
use crate::control::{Client, Request, Target};
use crate::object::ConnectionKey;

/// The integrations that name a connection.
pub(super) fn users_of(shared: &Shared, key: &ConnectionKey) -> Result<Vec<Use>, Failed> {
    let mut uses = uses(shared)?;
    uses.retain(|user| user.connection == key.as_str());
    Ok(uses)
}

fn uses(shared: &Shared) -> Result<Vec<Use>, Failed> {
    uses_of_connections(&shared.config).map_err(|error| Failed::of(CONFIGURATION, &error))
}

/// At how many places a connection is tried before it is written: the daemon does it while a person waits.
const TRIED: usize = 20;

/// Where a connection's integrations look for their files; some of it, where that is much.
pub(super) fn targets_of(config: &Config, key: &ConnectionKey) -> Vec<Target> {
    let own = config.integrations.values().filter(|settings| settings.connection == *key);
    let mut targets: Vec<Target> = Vec::new();
    for settings in own {
        let target = Target { bucket: settings.bucket.clone(), prefix: settings.prefix.clone() };
        if targets.len() < TRIED && !targets.contains(&target) {
            targets.push(target);
        }
    }
    targets
}

pub(super) fn list(shared: &Shared) -> Result<(), Failed> {
    let loaded = load(&shared.config)?;
    let edit = Edit::open(&shared.config).map_err(|error| not_edited(&error))?;
    let (uses, statuses) = (uses(shared)?, statuses(&loaded.config)?);
    let (mut rows, mut values) = (Vec::new(), Vec::new());
    for key in edit.names("connections") {
        let connection = key.parse::<ConnectionKey>().ok().and_then(|key| loaded.config.connections.get(&key));
        let problems = loaded.problems.iter().filter(|problem| problem.scope == Scope::Connection(key.clone()));
        let problems: Vec<String> = problems.map(|problem| format!("{}: {}", problem.path, problem.message)).collect();
        let (on, off): (Vec<&Use>, Vec<&Use>) =
            uses.iter().filter(|user| user.connection == key).partition(|user| user.enabled);
        let names = |users: &[&Use]| users.iter().map(|user| user.integration.clone()).collect::<Vec<_>>();
        let (on, off) = (names(&on), names(&off));
        let state = match connection {
            None => Some("not in order".to_owned()),
            Some(_) => statuses.as_ref().map(|statuses| state(statuses, &on)),
        };
        let of = |value: fn(&Connection) -> Option<String>| connection.and_then(value);
        let (name, region) = (of(|it| Some(it.name.clone())), of(|it| Some(it.region.clone())));
        let auth = of(|it| Some(it.auth.table().to_owned()));
        let tenant = of(|it| it.tenant.as_ref().map(ToString::to_string));
        values.push(json!({
            "connection": key, "name": name, "region": region, "auth": auth, "tenant": tenant, "integrations": on,
            "switched_off": off, "state": state, "problems": problems,
        }));
        let used = output::count(on.len(), "integration", "integrations");
        let cells = [Some(key), name, region, auth, tenant, Some(used), state];
        rows.push(cells.map(|cell| output::printable(&cell.unwrap_or_default())).to_vec());
    }
    match (shared.json, rows.is_empty()) {
        (true, _) => values.iter().for_each(output::print_json),
        (false, true) => output::print("there is no connection; `gristmill connection add KEY` makes one"),
        (false, false) => output::print(output::table(
            &["connection", "name", "region", "credentials", "tenant", "used by", "state"],
            &rows,
        )),
    }
    Ok(())
}

/// What a running daemon says of each integration, the unhealthy first; none where none runs.
fn statuses(config: &Config) -> Result<Option<Vec<Value>>, Failed> {
    let Some(client) = Client::connect(&config.daemon.runtime_dir)? else { return Ok(None) };
    let mut answer = client.ask(&Request::Status, |_| {})?;
    let integrations = answer.get_mut("integrations").and_then(Value::as_array_mut).map(std::mem::take);
    Ok(Some(integrations.unwrap_or_default()))
}

/// What the unhealthiest of its integrations is doing.
fn state(statuses: &[Value], integrations: &[String]) -> String {
    let own = |status: &&Value| integrations.iter().any(|name| name == text(status, "integration"));
    match statuses.iter().find(own) {
        Some(status) => text(status, "activity").to_owned(),
        None if integrations.is_empty() => "unused".to_owned(),
        None => "disabled".to_owned(),
    }
}

pub(super) fn one(shared: &Shared, key: &ConnectionKey) -> Result<(), Failed> {
    let config = load(&shared.config)?.config;
    let mut edit = Edit::open(&shared.config).map_err(|error| not_edited(&error))?;
    let file = edit.table("connections", key.as_str()).map_err(|error| not_edited(&error))?.file().to_owned();
    let Some(connection) = config.connections.get(key) else {
        return Err(Failed::new(UNWELL, format!("the connection `{key}` is not in order"))
            .hint(Some("gristmill check".to_owned())));
    };
    let users = users_of(shared, key)?;
    if shared.json {
        let settings = serde_json::to_value(connection).unwrap_or_default();
        let users: Vec<Value> =
            users.iter().map(|user| json!({ "integration": user.integration, "enabled": user.enabled })).collect();
        output::print_json(
            &json!({ "connection": key, "file": file, "settings": settings, "server": connection.server(), "used_by": users }),
        );
        return Ok(());
    }
    output::print(Paint::of(&std::io::stdout()).bold(key.as_str()));
    for (what, value) in facts(connection) {
        output::print(format!("  {what}: {}", output::printable(&value)));
    }
    output::print(format!("  file: {}", file.display()));
    match users.is_empty() {
        true => output::print("  used by: none"),
        false => output::print("  used by:"),
    }
    for user in users {
        let off = if user.enabled { "" } else { " (switched off)" };
        output::print(format!("    {}{off}", output::printable(&user.integration)));
    }
    Ok(())
}

fn facts(connection: &Connection) -> Vec<(&'static str, String)> {
    let mut facts = vec![("name", connection.name.clone()), ("region", connection.region.clone())];
    facts.extend(connection.endpoint_url.clone().map(|url| ("server", url)));
    facts.push((
        "bucket in",
        match connection.addressing {
            Addressing::Path => "the path".to_owned(),
            Addressing::VirtualHost => "the host name".to_owned(),
        },
    ));
    facts.extend(connection.tenant.as_ref().map(|tenant| ("tenant", tenant.to_string())));
    facts.extend(connection.renamed_from.as_ref().map(|former| ("renamed from", former.to_string())));
    facts.push(("credentials", connection.auth.table().to_owned()));
    let base = match &connection.auth {
        Auth::AccessKey(_) | Auth::DefaultChain => None,
        Auth::AccessGrants(grants) => {
            facts.push(("account id", grants.account_id.clone()));
            facts.push(("duration", duration_text(grants.duration)));
            facts.extend(grants.endpoint_url.clone().map(|url| ("S3 Control", url)));
            Some(&grants.base)
        }
        Auth::AssumeRole(role) => {
            facts.push(("role", role.role_arn.clone()));
            facts.extend(role.external_id.clone().map(|id| ("external id", id)));
            facts.push(("session name", role.session_name.clone()));
            facts.push(("duration", duration_text(role.duration)));
            facts.extend(role.endpoint_url.clone().map(|url| ("STS", url)));
            Some(&role.base)
        }
    };
    if let Some(BaseIdentity::DefaultChain) = base {
        facts.push(("asked for by", "whatever the AWS SDK finds".to_owned()));
    }
    facts.extend(connection.key_pair().into_iter().flat_map(pair));
    facts
}

fn pair(pair: &KeyPair) -> Vec<(&'static str, String)> {
    let id = match &pair.access_key_id {
        AccessKeyId::Text(id) => id.clone(),
        AccessKeyId::Reference(reference) => reference.to_string(),
    };
    let mut facts = vec![("access key id", id), ("secret access key", pair.secret_access_key.to_string())];
    facts.extend(pair.session_token.as_ref().map(|token| ("session token", token.to_string())));
    facts
}
