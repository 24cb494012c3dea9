//! `gristmill connection`: whether a connection works, what it lacks, and what it must be allowed; and the commands that
//! change what the configuration says of it.
//!
//! Those work on the files alone, which a running daemon takes by a reload at their end. What they are to write is tried
//! first: by the daemon, which has the unit's credentials and its way to the network, or here where none runs.

use std::collections::BTreeSet;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

mod add;
mod candidate;
mod delete;
mod edit;
mod fields;
mod questions;
mod rename;
mod rotate;
mod show;

use super::output::{Paint, text};
use super::{CONFIGURATION, Failed, Shared, UNWELL, output};
use crate::config::Config;
use crate::config::edit::EditError;
use crate::control::{Client, Request, Target};
use crate::object::{BucketName, ConnectionKey};
use crate::policy;

/// Look at connections, and change them.
#[derive(Debug, Args)]
pub struct Connection {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Add(Box<add::Add>),
    /// List the connections, what uses them, and how that is doing where a daemon runs.
    List,
    /// Show everything of a connection but its secrets, of which it says where they stand.
    Show {
        /// The connection.
        connection: ConnectionKey,
    },
    Edit(edit::Edit),
    Rotate(rotate::Rotate),
    /// Take a connection out of the configuration. Refused while an integration uses it that is switched on.
    Delete {
        /// The connection.
        connection: ConnectionKey,
    },
    Rename(rename::Rename),
    /// Prove that objects can be listed and read, or say which permission is missing.
    Test {
        /// The connection.
        connection: ConnectionKey,
        /// Where to try, as s3://BUCKET/PREFIX; the buckets of its integrations if none.
        #[arg(value_parser = parse_target)]
        target: Option<Target>,
    },
    /// List the buckets that the connection sees; with S3 Access Grants, those of which a part is granted.
    Buckets {
        /// The connection.
        connection: ConnectionKey,
    },
    /// List the prefixes of a bucket, up to the first slash; with S3 Access Grants, those that are granted.
    Prefixes {
        /// The connection.
        connection: ConnectionKey,
        /// The bucket.
        bucket: BucketName,
    },
    /// Print the least that must be allowed in AWS for the connection to work, as policies to paste.
    ///
    /// They follow the connection's way to credentials, and name the buckets and prefixes of its integrations, those that
    /// are switched off included. Nobody is contacted.
    Policy {
        /// The connection.
        connection: ConnectionKey,
        /// What it is to read, as s3://BUCKET/PREFIX; the buckets of its integrations if none.
        #[arg(value_parser = parse_target)]
        target: Option<Target>,
    },
}

/// `s3://BUCKET/PREFIX`.
pub fn parse_target(text: &str) -> Result<Target, String> {
    let rest = text.strip_prefix("s3://").ok_or("expected s3://BUCKET or s3://BUCKET/PREFIX")?;
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let bucket = bucket.parse().map_err(|error: crate::object::NameError| error.to_string())?;
    Ok(Target { bucket, prefix: prefix.to_owned() })
}

impl Connection {
    pub fn run(self, shared: &Shared) -> Result<(), Failed> {
        match self.command {
            Command::Add(command) => command.run(shared),
            Command::List => show::list(shared),
            Command::Show { connection } => show::one(shared, &connection),
            Command::Edit(command) => command.run(shared),
            Command::Rotate(command) => command.run(shared),
            Command::Delete { connection } => delete::delete(shared, &connection),
            Command::Rename(command) => command.run(shared),
            Command::Test { connection, target } => test(shared, connection, target),
            Command::Buckets { connection } => list(shared, Request::ConnectionBuckets { connection }, "buckets"),
            Command::Prefixes { connection, bucket } => {
                list(shared, Request::ConnectionPrefixes { connection, bucket }, "prefixes")
            }
            Command::Policy { connection, target } => print_policies(shared, &connection, target),
        }
    }
}

fn test(shared: &Shared, connection: ConnectionKey, target: Option<Target>) -> Result<(), Failed> {
    let answer = super::ask(shared, Request::ConnectionTest { connection, target }, |probe| match shared.json {
        true => output::print_json(&probe),
        false => show_probe(&probe),
    })?;
    match answer.get("sound") {
        Some(Value::Bool(true)) => Ok(()),
        _ => Err(Failed::new(UNWELL, "the connection does not do what its integrations need")),
    }
}

/// Why an edit was not made.
fn not_edited(error: &EditError) -> Failed {
    let code = if error.is_write() { UNWELL } else { CONFIGURATION };
    Failed::of(code, error).hint(match error {
        EditError::Unusual { .. } => Some("edit the file by hand, then: gristmill check".to_owned()),
        EditError::Missing { .. } => Some("gristmill connection list".to_owned()),
        EditError::Changed { .. } => Some("do it again".to_owned()),
        EditError::Config(_)
        | EditError::Syntax { .. }
        | EditError::Taken { .. }
        | EditError::Elsewhere { .. }
        | EditError::Refused(_)
        | EditError::Write(_) => None,
    })
}

/// Has a running daemon take what was written; whether there is one.
fn reload(config: &Config) -> Result<bool, Failed> {
    let Some(client) = Client::connect(&config.daemon.runtime_dir)? else { return Ok(false) };
    let reloaded = client.ask(&Request::Reload, |_| {}).map_err(|error| {
        let failed = Failed::from(error);
        failed.hint(Some("the file is written, and the daemon goes on with what it had".to_owned()))
    });
    reloaded.map(|_| true)
}

/// What is said at the end, beside where it stands.
fn taken(reloaded: bool) -> &'static str {
    if reloaded { "; the daemon has taken it" } else { "" }
}

/// Prints what one field of the answer lists.
fn list(shared: &Shared, request: Request, field: &str) -> Result<(), Failed> {
    let answer = super::ask(shared, request, |_| {})?;
    if shared.json {
        output::print_json(&answer);
        return Ok(());
    }
    let found = answer.get(field).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let mut found = found.peekable();
    if found.peek().is_none() {
        output::print(format!("no {field} are seen; an integration can name one all the same"));
    }
    found.for_each(|name| output::print(output::printable(name)));
    if answer.get("has_more") == Some(&Value::Bool(true)) {
        output::print(format!("and more {field}"));
    }
    Ok(())
}

fn print_policies(shared: &Shared, key: &ConnectionKey, target: Option<Target>) -> Result<(), Failed> {
    let config = super::load(&shared.config)?.config;
    let Some(connection) = config.connections.get(key) else {
        let message = format!("there is no connection `{key}`, or a problem of its own disables it");
        return Err(Failed::new(UNWELL, message).hint(Some("gristmill check shows every problem".to_owned())));
    };
    let targets: BTreeSet<policy::Target> = match target {
        Some(target) => BTreeSet::from([(target.bucket, target.prefix)]),
        None => {
            let all = config.integrations.values().chain(config.switched_off.values());
            let own = all.filter(|settings| settings.connection == *key);
            own.map(|settings| (settings.bucket.clone(), settings.prefix.clone())).collect()
        }
    };
    if targets.is_empty() {
        let hint = format!("name a bucket: gristmill connection policy {key} s3://BUCKET/PREFIX");
        let message = format!("no integration uses the connection `{key}`");
        return Err(Failed::new(UNWELL, message).hint(Some(hint)));
    }
    let (policies, grants) = (policy::of(connection, &targets), policy::grants(connection, &targets));
    if shared.json {
        output::print_json(&json!({ "connection": key, "policies": policies, "grants": grants }));
        return Ok(());
    }
    let paint = Paint::of(&std::io::stdout());
    for policy in policies {
        output::print(paint.bold(&format!("For {}:", policy.of)));
        output::print(format!("{:#}", policy.document));
    }
    if !grants.is_empty() {
        output::print(paint.bold("To be granted to that identity, with READ:"));
        grants.iter().for_each(|scope| output::print(format!("  {}", output::printable(scope))));
    }
    Ok(())
}

fn show_probe(probe: &Value) {
    let paint = Paint::of(&std::io::stdout());
    output::print(paint.bold(&format!("s3://{}/{}", text(probe, "bucket"), text(probe, "prefix"))));
    for what in ["list", "read", "decrypt"] {
        match probe.get(what) {
            Some(Value::String(word)) => output::print(format!("  {what}: {}", paint.green(word))),
            Some(Value::Object(verdict)) => {
                let refused = verdict.get("refused").unwrap_or(&Value::Null);
                let message = output::printable(text(refused, "message"));
                output::print(format!("  {what}: {} {message}", paint.red("refused:")));
                if !text(refused, "hint").is_empty() {
                    output::print(format!("    hint: {}", output::printable(text(refused, "hint"))));
                }
            }
            _ => output::print(format!("  {what}: not tried")),
        }
    }
    for key in probe.get("samples").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        output::print(format!("  {}", output::printable(key)));
    }
}
