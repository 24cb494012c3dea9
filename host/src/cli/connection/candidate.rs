//! A connection that is not in the configuration yet, or not so: it is tried before anything is written.

use serde_json::Value;

use super::show_probe;
use crate::cli::{BUG, Failed, Shared, UNWELL, runtime};
use crate::config::Config;
use crate::control::{Client, Refusal, Reply, Request, Target};
use crate::daemon::try_connection;
use crate::object::ConnectionKey;
use crate::secrets::Secrets;

/// Tries it, given as a configuration of its own; what was found at each place.
pub(super) fn try_it(
    shared: &Shared,
    config: &Config,
    connection: &ConnectionKey,
    table: String,
    targets: Vec<Target>,
) -> Result<Vec<Value>, Failed> {
    let mut probes = Vec::new();
    let found = |probe: Value| {
        if !shared.json {
            show_probe(&probe);
        }
        probes.push(probe);
    };
    let tried = match Client::connect(&config.daemon.runtime_dir)? {
        Some(client) => {
            let request = Request::ConnectionTry { connection: connection.clone(), table, targets };
            client.ask(&request, found).map_err(Failed::from)
        }
        None => try_here(connection.clone(), table, targets, config.secrets(), found),
    };
    let unwritten = "nothing is written; `--no-test` writes it untested";
    let answer = tried.map_err(|failed| {
        let hint = failed.hint.clone().map_or(unwritten.to_owned(), |hint| format!("{hint}; {unwritten}"));
        failed.hint(Some(hint))
    })?;
    match answer.get("sound") {
        Some(Value::Bool(true)) => Ok(probes),
        _ if shared.json => Err(Failed::new(UNWELL, refusals(&probes)).hint(Some(unwritten.to_owned()))),
        _ => Err(Failed::new(UNWELL, "the connection does not do what is needed").hint(Some(unwritten.to_owned()))),
    }
}

/// Everything that was refused, in a line.
fn refusals(probes: &[Value]) -> String {
    let verdicts = probes.iter().flat_map(|probe| ["list", "read", "decrypt"].map(|what| probe.get(what)));
    let messages = verdicts.flatten().filter_map(|verdict| verdict.get("refused")?.get("message")?.as_str());
    messages.collect::<Vec<_>>().join("; ")
}

fn try_here(
    connection: ConnectionKey,
    table: String,
    targets: Vec<Target>,
    secrets: Secrets,
    mut found: impl FnMut(Value),
) -> Result<Value, Failed> {
    let tried: Result<Value, Refusal> = runtime()?.block_on(async {
        let (reply, mut replies) = tokio::sync::mpsc::channel(64);
        let tried = tokio::spawn(async move { try_connection(connection, table, targets, secrets, &reply).await });
        while let Some(reply) = replies.recv().await {
            if let Reply::Item(probe) = reply {
                found(probe);
            }
        }
        tried.await.map_err(|_| Failed::new(BUG, "trying it ended unexpectedly"))
    })?;
    Ok(tried?)
}
