//! `gristmill connection`: whether a connection works, and what it lacks.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::output::{Paint, text};
use super::{Failed, Shared, UNWELL, output};
use crate::control::{Request, Target};
use crate::object::ConnectionKey;

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
        let Command::Test { connection, target } = self.command;
        let answer = super::ask(shared, Request::ConnectionTest { connection, target }, |probe| match shared.json {
            true => output::print_json(&probe),
            false => show(&probe),
        })?;
        match answer.get("sound") {
            Some(Value::Bool(true)) => Ok(()),
            _ => Err(Failed::new(UNWELL, "the connection does not do what its integrations need")),
        }
    }
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
