//! Nothing is taken into a store that lacks what it is said to have (R18).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::PassError;
use crate::ingest::Pipeline;
use crate::oversight::Oversight;
use crate::reconcile::{CompareError, Comparison};

/// Compares the ledger with the destinations, once for each time that they are put together: nothing that runs makes
/// them differ.
pub(super) async fn refuse_unconfirmed<S>(pipeline: &Arc<Pipeline<S>>, oversight: &Oversight) -> Result<(), PassError> {
    if pipeline.is_compared.load(Ordering::Relaxed) {
        return Ok(());
    }
    let beat = oversight.watch.begin("compare confirmations");
    let (mut count, mut is_whole) = (0, true);
    let begun = Comparison::begin(&pipeline.ledger, &pipeline.destinations, &pipeline.settings).await;
    if let Some(mut comparison) = begun.map_err(ended)? {
        while let Some(unconfirmed) = comparison.next().await.map_err(ended)? {
            count += unconfirmed.len() as u64;
            beat.beat();
            if oversight.stop.asked() {
                return Ok(());
            }
        }
        is_whole = comparison.unanswered().is_none();
    }
    if count > 0 {
        return Err(PassError::Unconfirmed { count });
    }
    // One that cannot answer now is asked in the next pass.
    pipeline.is_compared.store(is_whole, Ordering::Relaxed);
    Ok(())
}

fn ended(error: CompareError) -> PassError {
    match error {
        CompareError::Ledger(error) => error.into(),
        CompareError::Panicked => PassError::Panicked,
    }
}
