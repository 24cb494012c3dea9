//! Times and how they are told.

use std::time::{Duration, Instant};

use crate::Result;

/// How long something took, and what it gave.
pub fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(Duration, T)> {
    let started = Instant::now();
    let done = work()?;
    Ok((started.elapsed(), done))
}

/// Several measurements of one thing, one a round.
#[derive(Debug, Clone, Default)]
pub struct Times(Vec<Duration>);

impl Times {
    /// Adds a round's.
    pub fn push(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// The one in the middle, in seconds.
    pub fn median(&self) -> f64 {
        median(self.0.iter().map(Duration::as_secs_f64).collect())
    }

    /// How many times faster this is than the other: the median over the rounds.
    pub fn faster_than(&self, other: &Self) -> f64 {
        median(self.0.iter().zip(&other.0).map(|(ours, theirs)| theirs.as_secs_f64() / ours.as_secs_f64()).collect())
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// One line: what was measured, and the figure.
pub fn say(what: &str, figure: &str) {
    println!("  {what:<44} {figure}");
}

/// A rate, with its unit.
pub fn say_rate(what: &str, count: u64, seconds: f64, unit: &str) {
    let rate = count as f64 / seconds;
    let rate = if rate >= 1e6 { format!("{:8.2} M", rate / 1e6) } else { format!("{rate:8.0}  ") };
    say(what, &format!("{rate} {unit}/s   ({seconds:.2} s)"));
}

/// A ratio beside what it should be.
pub fn say_ratio(what: &str, ratio: f64, aim: Aim) {
    let (met, aim) = match aim {
        Aim::AtLeast(aim) => (ratio >= aim, format!("at least {aim}")),
        Aim::AtMost(aim) => (ratio <= aim, format!("at most {aim}")),
        Aim::None => return say(what, &format!("{ratio:8.2} ×")),
    };
    say(what, &format!("{ratio:8.2} ×   aim: {aim}{}", if met { "" } else { "   MISSED" }));
}

/// The most memory that something took, beside what it may, both in bytes.
pub fn say_memory(what: &str, peak: u64, aim: u64) {
    let missed = if peak <= aim { "" } else { "   MISSED" };
    say(what, &format!("{:8} MiB   aim: at most {}{missed}", peak >> 20, aim >> 20));
}

/// What a ratio should be.
#[derive(Debug, Clone, Copy)]
pub enum Aim {
    /// Or more.
    AtLeast(f64),
    /// Or less.
    AtMost(f64),
    /// It is told for information.
    None,
}
