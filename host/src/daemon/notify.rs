//! What the service manager is told: ready, reloading, stopping, status, and that the daemon is alive.
//!
//! *Alive* means more than that the process runs. Every step that could hang is watched: it beats while it makes
//! headway, and when one has not beaten for the allowed time, the watchdog is no longer fed and the service manager
//! ends the process. Nothing is lost by that (I3).

use std::time::Duration;

use sd_notify::NotifyState;

use crate::events;
use crate::oversight::Watch;

/// Tells the service manager, if there is one.
pub fn tell(states: &[NotifyState<'_>]) {
    // Without a manager there is no socket, and a full one only loses a status line.
    let _ = sd_notify::notify(states);
}

/// Feeds the service manager's watchdog as long as no step has stalled. Ends at once where no watchdog is asked for.
pub async fn feed_watchdog(watch: Watch, allowed: Duration) {
    let Some(interval) = sd_notify::watchdog_enabled() else { return };
    let mut ticks = tokio::time::interval(interval / 3);
    let mut said = false;
    loop {
        ticks.tick().await;
        match watch.stalled(allowed) {
            None => {
                said = false;
                tell(&[NotifyState::Watchdog]);
            }
            Some(step) if !said => {
                said = true;
                events::StepStalled { step, allowed }.emit();
            }
            Some(_) => {}
        }
    }
}
