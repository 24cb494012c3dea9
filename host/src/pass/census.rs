//! Once a day, a listing also tells the ledger which keys are gone (R18).
//!
//! That needs a listing in the order of keys, as S3's own is. Of a server that lists in another order nothing is
//! concluded, and the ledger keeps what it has.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::events;
use crate::ingest::Pipeline;
use crate::ledger::{LedgerError, Place, Stretch};
use crate::object::ObjectKey;
use crate::source::Page;

/// How often keys are counted.
const EVERY: SignedDuration = SignedDuration::from_hours(24);

/// Keys that are forgotten in one transaction.
const AT_ONCE: usize = 1_000;

/// A census along one listing.
pub(super) struct Census {
    place: Place,
    /// The last key of the pages so far; none before the first.
    last: Option<ObjectKey>,
    is_in_order: bool,
}

impl Census {
    /// Begins one if it is time for it.
    pub(super) async fn begin<S>(pipeline: &Arc<Pipeline<S>>) -> Result<Option<Self>, LedgerError> {
        let settings = &pipeline.settings;
        let last = pipeline.ledger.control(&settings.name).await?.counted;
        if last.is_some_and(|last| pipeline.clock.now().duration_since(last) < EVERY) {
            return Ok(None);
        }
        let place = Place {
            integration: settings.name.clone(),
            connection: settings.connection.clone(),
            bucket: settings.bucket.clone(),
            prefix: settings.prefix.clone(),
        };
        Ok(Some(Self { place, last: None, is_in_order: true }))
    }

    /// Goes on with the next page, whole as it was listed.
    pub(super) async fn see<S>(&mut self, pipeline: &Arc<Pipeline<S>>, page: &Page) -> Result<(), LedgerError> {
        if !self.is_in_order {
            return Ok(());
        }
        let mut keys: Vec<ObjectKey> = page.objects.iter().map(|object| object.key.clone()).collect();
        keys.sort_unstable();
        self.is_in_order = self.last.is_none() || keys.first().is_none_or(|first| Some(first) > self.last.as_ref());
        let is_last = page.next.is_none();
        if !self.is_in_order || keys.is_empty() && !is_last {
            return Ok(());
        }
        let until = keys.last().filter(|_| !is_last).cloned();
        let after = self.last.take();
        self.last = keys.last().or(after.as_ref()).cloned();
        let now = pipeline.clock.now();
        pipeline.ledger.count(&self.place, Stretch { after, until, keys }, now).await
    }

    /// The listing came to its end.
    pub(super) async fn end<S>(self, pipeline: &Arc<Pipeline<S>>) -> Result<(), LedgerError> {
        let (settings, now) = (&pipeline.settings, pipeline.clock.now());
        if self.is_in_order && self.last.is_some() {
            let gone = SignedDuration::from_hours(24 * i64::from(settings.forget_after_days));
            let gone_at = now.saturating_sub(gone).unwrap_or(Timestamp::MIN);
            let mut forgotten = 0;
            loop {
                let more = pipeline.ledger.forget_gone(&self.place, gone_at, AT_ONCE).await?;
                forgotten += more;
                if more < AT_ONCE {
                    break;
                }
            }
            if forgotten > 0 {
                events::KeysForgotten { integration: &settings.name, keys: forgotten }.emit();
            }
        }
        pipeline.ledger.change_control(&settings.name, move |control| control.counted = Some(now)).await.map(drop)
    }
}
