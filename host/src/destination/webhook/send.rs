//! Sending one batch until it is taken, refused, or given up for now.
//!
//! A receiver that asks for a pause gets it from every object at once. A merge waits for a short one; for a longer one it
//! fails, and nothing is brought to the receiver until the pause is over.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::batches::Batch;
use crate::clock::random;
use crate::destination::background::Background;
use crate::destination::{Delivery, DestinationError};
use crate::events;
use crate::oversight::{Beat, Stop};
use crate::post::{NotTaken, Poster, Receiver};
use crate::retry::{self, ErrorClass, Step};

/// How often a batch is tried before the object is given up for now.
const ATTEMPTS: u32 = 5;
/// The longest pause for which a merge waits.
const PATIENCE: Duration = Duration::from_secs(60);
/// The longest pause that a receiver gets.
const LONGEST_PAUSE: Duration = Duration::from_secs(15 * 60);
/// How often a wait looks whether to stop, and says that it is alive.
const LOOK: Duration = Duration::from_millis(200);

/// Who oversees a merge; nobody, in some tests.
#[derive(Default)]
pub(super) struct Overseen {
    merging: Option<Arc<Beat>>,
    stop: Stop,
}

impl Overseen {
    pub fn by(merging: &Arc<Beat>, stop: &Stop) -> Self {
        Self { merging: Some(Arc::clone(merging)), stop: stop.clone() }
    }
}

/// Why a batch was not taken.
pub(super) enum Failed {
    /// The receiver refused it for good.
    Refused { status: u16, excerpt: String },
    /// Anything else; it may be taken yet.
    Here(DestinationError),
}

impl From<DestinationError> for Failed {
    fn from(error: DestinationError) -> Self {
        Self::Here(error)
    }
}

/// What all objects on their way to one receiver share.
pub(super) struct Sender {
    runtime: Background,
    poster: Poster,
    closed_until: Mutex<Option<Instant>>,
}

impl Sender {
    /// For a receiver that answers within that time.
    pub fn new(timeout: Duration) -> Result<Self, DestinationError> {
        let runtime = Background::start("webhook")?;
        Ok(Self { runtime, poster: Poster::new(timeout), closed_until: Mutex::new(None) })
    }

    /// Whether the receiver may be bothered soon.
    pub fn admit(&self) -> Result<(), DestinationError> {
        match self.pause() {
            pause if pause > PATIENCE => Err(DestinationError::ReceiverPauses { pause }),
            _ => Ok(()),
        }
    }

    /// Sends a batch, a few times if need be.
    pub fn send(
        &self,
        receiver: &Receiver,
        batch: &Batch,
        delivery: &Delivery,
        overseen: &Overseen,
    ) -> Result<(), Failed> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            self.admit()?;
            self.rest(overseen, self.pause())?;
            let posting = self.poster.post(receiver, &batch.id, &batch.body);
            let Err(refusal) = self.watched(overseen, posting)? else { return Ok(()) };
            if let NotTaken::Answered { status, excerpt, .. } = &refusal
                && refuses_for_good(*status)
            {
                return Err(Failed::Refused { status: *status, excerpt: excerpt.clone() });
            }
            let given_up = DestinationError::BatchNotTaken { batch: batch.number, reason: refusal.to_string() };
            if !refusal.may_pass() {
                return Err(given_up.into());
            }
            events::BatchNotTaken { delivery, batch: batch.number, attempt, reason: &refusal.to_string() }.emit();
            let wait = refusal.wait().map(|wait| wait.min(LONGEST_PAUSE));
            let pause = match (wait, retry::next_step(ErrorClass::Network, attempt, random())) {
                (Some(wait), _) => {
                    self.close(wait);
                    wait
                }
                (None, Step::Retry { after }) => after,
                (None, Step::Forget | Step::Quarantine | Step::Stop) => return Err(given_up.into()),
            };
            if attempt >= ATTEMPTS || pause > PATIENCE {
                return Err(given_up.into());
            }
            if wait.is_none() {
                self.rest(overseen, pause)?;
            }
        }
    }

    /// How long the receiver still wants to be left alone.
    fn pause(&self) -> Duration {
        self.closed().map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
    }

    fn close(&self, pause: Duration) {
        let mut closed = self.closed();
        let until = Instant::now() + pause;
        *closed = Some(closed.map_or(until, |before| before.max(until)));
    }

    fn closed(&self) -> MutexGuard<'_, Option<Instant>> {
        self.closed_until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rest(&self, overseen: &Overseen, pause: Duration) -> Result<(), DestinationError> {
        // The sleep begins inside the runtime.
        self.watched(overseen, async { tokio::time::sleep(pause).await })
    }

    /// Waits for something, with signs of life, until it is there or a stop is asked for.
    fn watched<Awaited: Future>(
        &self,
        overseen: &Overseen,
        awaited: Awaited,
    ) -> Result<Awaited::Output, DestinationError> {
        self.runtime.block_on(async {
            let mut awaited = pin!(awaited);
            loop {
                if overseen.stop.given_up() {
                    return Err(DestinationError::Stopped);
                }
                if let Some(merging) = &overseen.merging {
                    merging.beat();
                }
                if let Ok(output) = tokio::time::timeout(LOOK, awaited.as_mut()).await {
                    return Ok(output);
                }
            }
        })
    }
}

/// Whether an answer is about the batch and final. Of the others, some may pass, and some are about the address or the
/// secret, which somebody mends.
fn refuses_for_good(status: u16) -> bool {
    match status {
        401 | 403 | 404 | 405 | 408 | 410 | 425 | 429 => false,
        400..500 => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_about_the_batch_is_told_from_what_is_about_the_receiver() {
        for status in [400, 409, 413, 415, 422, 451] {
            assert!(refuses_for_good(status), "{status}");
        }
        for status in [301, 401, 403, 404, 405, 408, 410, 425, 429, 500, 503, 599] {
            assert!(!refuses_for_good(status), "{status}");
        }
    }
}
