//! `gristmill connection`: whether a connection works, what it lacks, and what it must be allowed.

use std::collections::BTreeSet;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::output::{Paint, text};
use super::{Failed, Shared, UNWELL, output};
use crate::control::{Request, Target};
use crate::object::{BucketName, ConnectionKey};
use crate::policy;

/// Look at connections.
#[derive(Debug, Args)]
pub struct Connection {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
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
        false => show(&probe),
    })?;
    match answer.get("sound") {
        Some(Value::Bool(true)) => Ok(()),
        _ => Err(Failed::new(UNWELL, "the connection does not do what its integrations need")),
    }
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

fn show(probe: &Value) {
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
