//! What the service manager is told: ready, reloading, stopping, status, and that the daemon is alive.
//!
//! *Alive* means more than that the process runs. Every step that could hang is watched: it beats while it makes
//! headway, and when one has not beaten for the allowed time, the watchdog is no longer fed and the service manager
//! ends the process. Nothing is lost by that (I3).

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::watch::Receiver;

use crate::events;
use crate::oversight::Watch;

/// Tells the service manager, if there is one.
pub fn tell(states: &[NotifyState<'_>]) {
    // Without a manager there is no socket, and a full one only loses a status line.
    let _ = sd_notify::notify(states);
}

/// How often stalls are looked for where no watchdog says it.
const LOOK: Duration = Duration::from_secs(1);

/// Says when a step stalls, and feeds the service manager's watchdog, if it has one, as long as none has.
pub async fn look_for_stalls(watch: Watch, allowed: Receiver<Duration>) {
    let watchdog = sd_notify::watchdog_enabled();
    let mut ticks = tokio::time::interval(watchdog.map_or(LOOK, |watchdog| watchdog / 3));
    let mut said = None;
    loop {
        ticks.tick().await;
        let allowed = *allowed.borrow();
        let stalled = watch.stalled(allowed);
        if stalled.is_none() && watchdog.is_some() {
            tell(&[NotifyState::Watchdog]);
        }
        if let Some(step) = stalled.filter(|_| stalled != said) {
            events::StepStalled { step, allowed, watchdog: watchdog.is_some() }.emit();
        }
        said = stalled;
    }
}
