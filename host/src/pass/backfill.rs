//! What was in the bucket before the integration: whether it is taken, and how it makes room for new arrivals (R16).

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::PassError;
use super::listing::Listing;
use crate::config;
use crate::ingest::Pipeline;
use crate::ledger::{Backfill, NewObject, SkipReason};
use crate::oversight::Oversight;
use crate::source::Source;

/// What is held of a backfill while its listing goes on. A bigger one is listed again (I6), in tests soon.
const HELD_BACK: usize = if cfg!(test) { 4 } else { 1_000 };

/// How long a backfill is worked on, at the least, before the bucket is listed for new arrivals again.
const BACKFILL_TURN: SignedDuration = SignedDuration::from_secs(60);

/// Objects of a backfill that wait for the end of the listing.
#[derive(Debug, Default)]
pub(super) struct HeldBack {
    pub(super) objects: Vec<NewObject>,
    pub(super) too_many: bool,
}

impl HeldBack {
    pub(super) fn push(&mut self, new: NewObject) {
        let has_key = |held: &&mut NewObject| held.object().key == new.object().key;
        if let Some(held) = self.objects.iter_mut().find(has_key) {
            // A server may name a key once more, on another page.
            *held = new;
        } else if self.objects.len() < HELD_BACK {
            self.objects.push(new);
        } else {
            self.too_many = true;
        }
    }
}

/// How long this pass has been at its backfill, from its first object on: it gets on however long the listing takes, and at
/// least until the bucket may be listed again.
#[derive(Debug, Default)]
pub(super) struct Turn {
    pub(super) began: Option<Timestamp>,
}

impl Turn {
    pub(super) fn is_over<S>(&self, pipeline: &Pipeline<S>) -> bool {
        let interval = SignedDuration::try_from(pipeline.settings.poll_interval).unwrap_or(SignedDuration::MAX);
        let lasts = |began| pipeline.clock.now().duration_since(began) >= interval.max(BACKFILL_TURN);
        self.began.is_some_and(lasts) && pipeline.list_budget.wait(pipeline.clock.now()).is_zero()
    }
}

/// R16: the first pass over a big bucket waits for a person; what is left out is recorded, never a time bookmark. Gives
/// the time at which what was there first had been dealt with.
pub(super) async fn decide_backfill<S: Source>(
    pipeline: &Arc<Pipeline<S>>,
    oversight: &Oversight,
) -> Result<Timestamp, PassError> {
    let (ledger, integration) = (&pipeline.ledger, &pipeline.settings.name);
    let control = ledger.control(integration).await?;
    if let Some(settled) = control.settled {
        return Ok(settled);
    }
    let decided = match (control.backfill, pipeline.settings.backfill) {
        (Some(decided), _) => decided,
        (None, config::Backfill::None) => Backfill::None,
        (None, config::Backfill::Since(since)) => Backfill::Since(since),
        (None, config::Backfill::All) => {
            refuse_big_backfill(pipeline, oversight).await?;
            Backfill::All
        }
    };
    let taken_from = match decided {
        Backfill::All => Timestamp::MIN,
        Backfill::None => Timestamp::MAX,
        Backfill::Since(since) => since,
    };
    if taken_from > Timestamp::MIN {
        let mut listing = Listing::begin(pipeline, oversight);
        while let Some(page) = listing.next().await? {
            let left_out = page.objects.into_iter().filter(|object| object.last_modified < taken_from).collect();
            ledger.skip_all(integration, left_out, SkipReason::Backfill, pipeline.clock.now()).await?;
        }
    }
    let now = pipeline.clock.now();
    ledger.change_control(integration, move |control| control.settle(now)).await?;
    Ok(now)
}

async fn refuse_big_backfill<S: Source>(pipeline: &Arc<Pipeline<S>>, oversight: &Oversight) -> Result<(), PassError> {
    let limit = pipeline.settings.backfill_limit;
    let mut listing = Listing::begin(pipeline, oversight);
    let mut found = 0;
    while let Some(page) = listing.next().await? {
        found += page.objects.len() as u64;
        if found > limit {
            return Err(PassError::BackfillUndecided { limit });
        }
    }
    Ok(())
}
