//! What the ledger has: sent page by page, compared with stores and mappings, and gone on with elsewhere.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Items, part_refused, refused, send, to_value};
use crate::clock::{Clock, SystemClock};
use crate::config::Integration;
use crate::control::{Adoption, Reconcile, Refusal, Reply};
use crate::daemon::{Assembly, PartError};
use crate::dry_run;
use crate::events::Chain;
use crate::ingest::Pipeline;
use crate::ledger::{Again, Filter, Ledger, Reconciled, Selector};
use crate::object::IntegrationName;
use crate::oversight::Oversight;
use crate::reconcile::{CompareError, Comparison};
use crate::source::S3Source;

/// Sends the objects that were completed under another mapping than today's, the first of them with what would change
/// (R6), and counts them all.
pub(super) async fn stale(
    pipeline: &Arc<Pipeline<S3Source>>,
    limit: usize,
    differences: usize,
    items: &Items,
) -> Result<Value, Refusal> {
    let mut filter = Filter { stale_under: Some(pipeline.recipe.digest()), limit: 1_000, ..Filter::default() };
    let mut count = 0;
    loop {
        let listed = pipeline.ledger.list(&pipeline.settings.name, filter.clone()).await.map_err(refused)?;
        for entry in listed.entries {
            if count < limit {
                let mut item = to_value(&entry)?;
                if let (true, Some(fields)) = (count < differences, item.as_object_mut()) {
                    match dry_run::of_object(pipeline, entry.object, &Oversight::default()).await {
                        Ok(found) => fields.insert("today".to_owned(), to_value(&found)?),
                        Err(error) => fields.insert("refused".to_owned(), Chain(&error).to_string().into()),
                    };
                }
                send(items, item).await?;
            }
            count += 1;
        }
        filter.after = listed.next;
        if filter.after.is_none() {
            return Ok(json!({ "integration": pipeline.settings.name, "count": count }));
        }
    }
}

/// Sends the objects that are completed and were never confirmed (R18), page by page, and takes them again if that is
/// wished. What is done is done: should it be cut short, the same request does the rest.
pub(super) async fn reconcile(
    assembly: &Arc<Assembly>,
    settings: &Integration,
    wish: Reconcile,
    items: &Items,
) -> Result<Value, Refusal> {
    let (opening, opened) = (Arc::clone(assembly), settings.clone());
    let destinations = tokio::task::spawn_blocking(move || opening.destinations(&opened)).await;
    let destinations = destinations.unwrap_or(Err(PartError::Panicked)).map_err(|error| part_refused(&error))?;
    let failed = |error: CompareError| Refusal::of(&error);
    let begun = Comparison::begin(&assembly.ledger, &destinations, settings).await.map_err(failed)?;
    let Some(mut comparison) = begun else {
        let names: Vec<String> = settings.destinations.iter().map(|name| format!("`{name}`")).collect();
        let message = format!("what {} confirmed may have been taken away since", names.join(" and "));
        return Err(Refusal::new(message).hint(format!(
            "nothing can be compared; `gristmill replay {} --prefix PREFIX` takes files again",
            settings.name
        )));
    };
    let (mut count, mut done) = (0, Reconciled::default());
    while let Some(unconfirmed) = comparison.next().await.map_err(failed)? {
        count += unconfirmed.len();
        for entry in &unconfirmed {
            send(items, to_value(entry)?).await?;
        }
        if wish == Reconcile::TakeAgain && !unconfirmed.is_empty() {
            let page = assembly.ledger.take_again(unconfirmed, SystemClock.now()).await.map_err(refused)?;
            done = Reconciled { again: done.again + page.again, lost: done.lost + page.lost };
        }
    }
    match comparison.unanswered() {
        Some(error) => Err(Refusal::of(error)),
        None => Ok(json!({ "integration": settings.name, "count": count, "again": done.again, "lost": done.lost })),
    }
}

/// Goes on where an integration looks now.
pub(super) async fn adopt(assembly: &Assembly, settings: &Integration, adoption: Adoption) -> Result<Value, Refusal> {
    let (ledger, integration) = (&assembly.ledger, &settings.name);
    let control = ledger.control(integration).await.map_err(refused)?;
    let now = assembly.place(settings, &control).map_err(|error| part_refused(&error))?;
    let before = control.place;
    let is_known = before.as_ref().is_none_or(|before| before.is_known_as(&now));
    let mut again = 0;
    match adoption {
        Adoption::Keep if !is_known => {
            let message = format!("the ledger has what it has taken by connection and bucket, and nothing of {now}");
            let hint = format!(
                "its files were moved there: gristmill integration repoint {integration}; to take everything there anew: \
                 gristmill ledger adopt {integration} --reingest"
            );
            return Err(Refusal::new(message).hint(hint));
        }
        Adoption::Keep => {}
        Adoption::Reingest => {
            // Before the place is noted: what is cut off here is asked for once more.
            let every = Selector::Prefix(String::new());
            let at = SystemClock.now();
            again = ledger.ask_again(integration, every, Again::Every, at).await.map_err(refused)?.keys;
        }
    }
    let noted = now.clone();
    ledger.change_control(integration, |control| control.place = Some(noted)).await.map_err(refused)?;
    Ok(json!({ "integration": integration, "before": before, "now": now, "again": again }))
}

/// Sends entries page by page, so that a big ledger does not stand in memory. Returns how many.
pub(super) async fn list(
    ledger: &Ledger,
    integration: &IntegrationName,
    mut filter: Filter,
    limit: usize,
    items: &Items,
) -> Result<usize, Refusal> {
    let mut sent = 0;
    while sent < limit {
        filter.limit = (limit - sent).min(1_000);
        let listed = ledger.list(integration, filter.clone()).await.map_err(refused)?;
        sent += listed.entries.len();
        for entry in &listed.entries {
            send(items, to_value(entry)?).await?;
        }
        filter.after = listed.next;
        if filter.after.is_none() {
            break;
        }
    }
    Ok(sent)
}

/// Sends the whole ledger line by line; the export itself blocks.
pub(super) async fn export(ledger: Ledger, items: &Items) -> Result<Value, Refusal> {
    struct Lines(Items, Vec<u8>);
    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            for byte in bytes {
                if *byte == b'\n' {
                    let value = serde_json::from_slice(&self.1)?;
                    self.1.clear();
                    self.0.blocking_send(Reply::Item(value)).map_err(std::io::Error::other)?;
                } else {
                    self.1.push(*byte);
                }
            }
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut lines = Lines(items.clone(), Vec::new());
    let exported = tokio::task::spawn_blocking(move || ledger.export(&mut lines)).await;
    exported.map_err(|error| Refusal::of(&error))?.map_err(refused)?;
    Ok(json!({ "exported": true }))
}
