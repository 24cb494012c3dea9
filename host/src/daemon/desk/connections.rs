//! What connections see, asked anew for a person.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Desk, Items, part_refused, send, source_refused, to_value};
use crate::config;
use crate::control::{Refusal, Target};
use crate::daemon::Assembly;
use crate::daemon::credentials::open_candidate;
use crate::object::ConnectionKey;
use crate::secrets::Secrets;
use crate::source::{Connection, HttpClient};

/// What a connection could do that is not in the configuration, or not so: given as a configuration of its own.
pub async fn try_connection(
    connection: ConnectionKey,
    table: String,
    targets: Vec<Target>,
    secrets: Secrets,
    items: &Items,
) -> Result<Value, Refusal> {
    let settings = config::connection_in(&table, &connection).map_err(Refusal::new)?;
    let opened = open_candidate(secrets, &HttpClient::new(), &connection, settings).await;
    probe(&opened.map_err(|error| part_refused(&error))?, targets, items).await
}

/// What a connection can do at these places; without any, whether it sees buckets.
async fn probe(opened: &Connection, targets: Vec<Target>, items: &Items) -> Result<Value, Refusal> {
    let connection = opened.key();
    if targets.is_empty() {
        let buckets = opened.buckets().await.map_err(|error| source_refused(&error))?;
        return Ok(json!({ "connection": connection, "sound": true, "buckets": buckets }));
    }
    let mut sound = true;
    for target in targets {
        let probe = opened.source(target.bucket.clone(), target.prefix.clone()).probe().await;
        sound &= probe.is_sound();
        send(items, to_value(&probe)?).await?;
    }
    Ok(json!({ "connection": connection, "sound": sound }))
}

impl Desk {
    pub(super) async fn test_connection(
        &self,
        assembly: &Arc<Assembly>,
        connection: ConnectionKey,
        target: Option<Target>,
        items: &Items,
    ) -> Result<Value, Refusal> {
        let opened = self.opened(assembly, &connection).await?;
        let targets: Vec<Target> = match target {
            Some(target) => vec![target],
            None => assembly
                .config
                .integrations
                .values()
                .filter(|settings| settings.connection == connection)
                .map(|settings| Target { bucket: settings.bucket.clone(), prefix: settings.prefix.clone() })
                .collect(),
        };
        if targets.is_empty() {
            return Err(Refusal::new(format!("no integration uses the connection `{connection}`"))
                .hint(format!("name a bucket: gristmill connection test {connection} s3://BUCKET/PREFIX")));
        }
        probe(&opened, targets, items).await
    }

    /// A connection as if for the first time: what a person asks about is not what was remembered.
    pub(super) async fn opened(
        &self,
        assembly: &Arc<Assembly>,
        connection: &ConnectionKey,
    ) -> Result<Connection, Refusal> {
        if !assembly.config.connections.contains_key(connection) {
            return Err(Refusal::new(format!(
                "there is no connection `{connection}`, or a problem of its own disables it"
            ))
            .hint("gristmill check shows every problem"));
        }
        assembly.new_connection(connection).await.map_err(|error| part_refused(&error))
    }
}
