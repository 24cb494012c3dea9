//! How fast requests follow each other: one pace a bucket of a connection, set by the server's own refusals.
//!
//! As long as a server answers, nothing waits. When it asks for fewer requests, they come one by one, with a gap between
//! them that doubles with each further refusal and shrinks with each answer, until it is gone. The SDK's adaptive mode is
//! not used: once refused, it begins slowly after every quiet time, for as long as the process lives.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// The gap after a first refusal; S3 allows thousands of requests a second and prefix.
const FIRST: Duration = Duration::from_millis(100);
/// The largest gap.
const LARGEST: Duration = Duration::from_secs(10);
/// A gap below this is none.
const SMALLEST: Duration = Duration::from_millis(1);
/// Each answer takes this part off the gap.
const SHRINKS: u32 = 8;

/// A pace. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Pace(Arc<Mutex<State>>);

/// The turn of one request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn {
    at: Instant,
}

#[derive(Debug, Default)]
struct State {
    gap: Duration,
    /// No request before this.
    next: Option<Instant>,
    /// When the gap grew last. What was sent before says nothing of the gap that is there now.
    grew: Option<Instant>,
}

impl Pace {
    /// Waits until a request may be sent.
    pub(super) async fn turn(&self) -> Turn {
        let now = Instant::now();
        let at = self.state().take(now);
        if at > now {
            sleep_until(at).await;
        }
        Turn { at }
    }

    /// The server asked for fewer requests.
    pub(super) fn refused(&self, turn: Turn) {
        self.state().grow(turn, Instant::now());
    }

    /// The server answered.
    pub(super) fn answered(&self, turn: Turn) {
        self.state().shrink(turn);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self, now: Instant) -> Instant {
        let at = self.next.map_or(now, |next| next.max(now));
        self.next = (!self.gap.is_zero()).then(|| at + self.gap);
        at
    }

    fn grow(&mut self, turn: Turn, now: Instant) {
        if self.is_of_now(turn) {
            self.gap = (self.gap * 2).clamp(FIRST, LARGEST);
            self.grew = Some(now);
            self.next = Some(self.next.map_or(now, |next| next.max(now)) + self.gap);
        }
    }

    fn shrink(&mut self, turn: Turn) {
        if self.is_of_now(turn) {
            self.gap -= self.gap / SHRINKS;
            if self.gap < SMALLEST {
                *self = Self::default();
            }
        }
    }

    fn is_of_now(&self, turn: Turn) -> bool {
        self.grew.is_none_or(|grew| turn.at >= grew)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that takes so many requests a second, asked by so many at once: how many are refused of each hundred.
    fn refused_of_each_hundred(allowed: u32, at_once: usize, hundreds: usize) -> Vec<u32> {
        let begin = Instant::now();
        let (mut state, mut now) = (State::default(), begin);
        let (mut taken, mut second) = (0, 0);
        let mut refused = vec![0; hundreds];
        for request in 0..100 * hundreds {
            // Those that ask at once know nothing of each other's answers.
            let turn = Turn { at: state.take(now) };
            let at = (turn.at - begin).as_secs();
            if at > second {
                (second, taken) = (at, 0);
            }
            taken += 1;
            match taken <= allowed {
                true => state.shrink(turn),
                false => {
                    state.grow(turn, turn.at);
                    refused[request / 100] += 1;
                }
            }
            if (request + 1).is_multiple_of(at_once) {
                now = now.max(turn.at) + Duration::from_millis(10);
            }
        }
        refused
    }

    #[test]
    fn nothing_waits_as_long_as_the_server_answers() {
        let mut state = State::default();
        let now = Instant::now();
        for _ in 0..1_000 {
            let at = state.take(now);
            assert_eq!(at, now);
            state.shrink(Turn { at });
        }
    }

    #[test]
    fn a_server_that_is_asked_too_much_is_asked_as_much_as_it_takes() {
        let refused = refused_of_each_hundred(20, 8, 10);
        assert!(refused[5..].iter().all(|refused| *refused <= 15), "{refused:?}");
        assert_eq!(refused_of_each_hundred(10_000, 8, 10), [0; 10]);
    }

    #[test]
    fn refusals_of_one_burst_count_once_and_answers_bring_the_speed_back() {
        let mut state = State::default();
        let now = Instant::now();
        let turns: Vec<Turn> = (0..8).map(|_| Turn { at: state.take(now) }).collect();
        let later = now + Duration::from_millis(1);
        turns.iter().for_each(|turn| state.grow(*turn, later));
        assert_eq!(state.gap, FIRST);
        let mut at = later;
        for _ in 0..60 {
            at = state.take(at);
            state.shrink(Turn { at });
        }
        assert_eq!((state.gap, state.next), (Duration::ZERO, None));
        for _ in 0..100 {
            at = state.take(at + FIRST);
            state.grow(Turn { at }, at);
        }
        assert_eq!(state.gap, LARGEST);
    }
}
