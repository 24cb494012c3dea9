//! An integration that looks elsewhere than before takes nothing until a person says what that means (R17).
//!
//! Its objects are those of a bucket on a server. Which keys or roles ask for them is no part of that: a secret that is
//! rotated, and another way to be let in, show the same objects. A longer or shorter prefix shows more or fewer of them,
//! under the keys that they have, so that it needs nobody's word either.

use super::PassError;
use crate::ingest::Pipeline;
use crate::ledger::{LedgerError, Place};

/// Compares where the integration looks with where it looked when it was last allowed to.
pub(super) async fn refuse_another_place<S>(pipeline: &Pipeline<S>) -> Result<(), PassError> {
    let (now, integration) = (&pipeline.place, &pipeline.settings.name);
    let before = pipeline.ledger.control(integration).await?.place;
    match before {
        Some(before) if before == *now => Ok(()),
        Some(before) if !before.has_the_objects_of(now) => {
            // A person knows the connection by the key that it has now.
            let shown = |place: &Place| match place.connection == now.connection {
                true => Place { connection: pipeline.settings.connection.clone(), ..place.clone() },
                false => place.clone(),
            };
            Err(PassError::AnotherPlace { before: Box::new(shown(&before)), now: Box::new(shown(now)) })
        }
        Some(_) | None => Ok(note(pipeline).await?),
    }
}

async fn note<S>(pipeline: &Pipeline<S>) -> Result<(), LedgerError> {
    let now = pipeline.place.clone();
    pipeline.ledger.change_control(&pipeline.settings.name, |control| control.place = Some(now)).await.map(drop)
}
