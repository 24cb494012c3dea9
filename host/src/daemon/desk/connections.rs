//! What connections see, asked anew for a person.

use std::cmp::Reverse;
use std::io::Read;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::{Desk, Items, part_refused, send, source_refused, to_value};
use crate::config;
use crate::control::{Refusal, Target};
use crate::daemon::Assembly;
use crate::daemon::credentials::open_candidate;
use crate::object::{ConnectionKey, Object, ObjectKey};
use crate::oversight::Oversight;
use crate::secrets::Secrets;
use crate::source::{Connection, HttpClient, S3Source, Source};

/// How many of the newest files are told of.
const NEWEST: usize = 10;
/// In so many pages of a listing they are looked for.
const PAGES: usize = 20;
/// A sample need not be larger, in bytes.
const LARGEST_SAMPLE: u64 = 64 << 20;
/// Bytes of a sample that are sent at once.
const PIECE: usize = 48 << 10;

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

/// Sends the newest files of a place, the newest first. Under a big prefix, those that its first pages show.
pub(super) async fn newest_objects(source: &S3Source, items: &Items) -> Result<Value, Refusal> {
    let (mut newest, mut next): (Vec<Object>, _) = (Vec::new(), None);
    for _ in 0..PAGES {
        let page = source.list(next.as_ref()).await.map_err(|error| source_refused(&error))?;
        newest.extend(page.objects);
        newest.sort_by_key(|object| Reverse(object.last_modified));
        newest.truncate(NEWEST);
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    for object in &newest {
        send(items, to_value(object)?).await?;
    }
    Ok(json!({ "count": newest.len(), "all_seen": next.is_none() }))
}

/// Sends an object's bytes, piece by piece. The source's prefix is its key.
pub(super) async fn sample(
    assembly: &Assembly,
    source: &S3Source,
    key: &ObjectKey,
    items: &Items,
) -> Result<Value, Refusal> {
    // The listing begins with the prefix itself.
    let page = source.list(None).await.map_err(|error| source_refused(&error))?;
    let object = page.objects.into_iter().find(|object| object.key == *key);
    let object = object.ok_or_else(|| Refusal::new(format!("there is no CSV or Excel object `{key}`")))?;
    if object.size > LARGEST_SAMPLE {
        let message = format!("{object} has {} bytes, and a sample at most {LARGEST_SAMPLE}", object.size);
        return Err(Refusal::new(message).hint("take a smaller file"));
    }
    let oversight = Oversight::default();
    let fetching = oversight.watch.begin("fetch");
    let reservation = assembly.spool().reserve(object.size).map_err(|error| Refusal::of(&error))?;
    let spooled = source.fetch(&object, reservation, &fetching).await.map_err(|error| source_refused(&error))?;
    let mut file = spooled.open().map_err(|error| Refusal::of(&error))?;
    let mut piece = vec![0; PIECE];
    loop {
        // It was written a moment ago: the pages are in memory.
        match file.read(&mut piece).map_err(|error| Refusal::of(&error))? {
            0 => return Ok(json!({ "size": object.size })),
            read => {
                let bytes = BASE64_STANDARD.encode(piece.get(..read).unwrap_or_default());
                send(items, json!({ "bytes": bytes })).await?;
            }
        }
    }
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
