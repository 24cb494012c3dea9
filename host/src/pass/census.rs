//! Once a day, a listing also tells the ledger which keys are gone (R18).
//!
//! That needs a listing in the order of keys, as S3's own is. Of a server that lists in another order nothing is
//! concluded, and the ledger keeps what it has.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::events;
use crate::ingest::Pipeline;
use crate::ledger::{LedgerError, Stretch};

/// How often keys are counted.
const EVERY: SignedDuration = SignedDuration::from_hours(24);

/// Keys that are forgotten in one transaction.
const AT_ONCE: usize = 1_000;

/// A census along one listing.
pub(super) struct Census;

impl Census {
    /// Begins one if it is time for it.
    pub(super) async fn begin<S>(pipeline: &Arc<Pipeline<S>>) -> Result<Option<Self>, LedgerError> {
        let settings = &pipeline.settings;
        let last = pipeline.ledger.control(&settings.name).await?.counted;
        if last.is_some_and(|last| pipeline.clock.now().duration_since(last) < EVERY) {
            return Ok(None);
        }
        Ok(Some(Self))
    }

    /// Goes on with what the listing showed next.
    pub(super) async fn see<S>(&self, pipeline: &Arc<Pipeline<S>>, stretch: Stretch) -> Result<(), LedgerError> {
        pipeline.ledger.count(&pipeline.settings.name, &pipeline.place, stretch, pipeline.clock.now()).await
    }

    /// The listing came to its end. It tells something if it showed keys, and all in order.
    pub(super) async fn end<S>(self, pipeline: &Arc<Pipeline<S>>, tells: bool) -> Result<(), LedgerError> {
        let (settings, now) = (&pipeline.settings, pipeline.clock.now());
        if tells {
            let gone = SignedDuration::from_hours(24 * i64::from(settings.forget_after_days));
            let gone_at = now.saturating_sub(gone).unwrap_or(Timestamp::MIN);
            let mut forgotten = 0;
            loop {
                let more = pipeline.ledger.forget_gone(&settings.name, &pipeline.place, gone_at, AT_ONCE).await?;
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
