//! What connections see, asked anew for a person.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Desk, Items, part_refused, send, to_value};
use crate::control::{Refusal, Target};
use crate::daemon::Assembly;
use crate::object::ConnectionKey;
use crate::source::Connection;

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
        let mut sound = true;
        for target in targets {
            let probe = opened.source(target.bucket.clone(), target.prefix.clone()).probe().await;
            sound &= probe.is_sound();
            send(items, to_value(&probe)?).await?;
        }
        Ok(json!({ "connection": connection, "sound": sound }))
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
