//! What components write to the daemon's log.

use std::sync::Arc;

use super::bindings::log;
use super::escape::escaped;

/// Bytes of one line.
const LINE: usize = 1 << 10;
/// Bytes of all lines of one call.
const CALL: usize = 64 << 10;
/// Bytes of all lines of one file. The log is shared: a flood that lasts would push out what others have to say.
const FILE: usize = 1 << 20;

/// How grave a mapper finds what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum LogLevel {
    Debug,
    Info,
    Warn,
    Error,
}

/// One line of a mapper: at most 1 KiB, control characters escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// As the mapper has it.
    pub level: LogLevel,
    /// The text.
    pub message: String,
}

/// Takes a mapper's lines. The caller knows whose they are and says so.
pub type LogSink = Arc<dyn Fn(LogLine) + Send + Sync>;

/// A sink, and how much may still go into it.
pub(super) struct Log {
    sink: LogSink,
    left: usize,
    file_left: usize,
    dropped: Dropped,
}

/// What one call wrote and nobody gets to see.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Dropped {
    /// Whole lines.
    pub(super) lines: u64,
    /// Bytes of these lines as they came, and of what was cut off others.
    pub(super) bytes: u64,
}

impl Log {
    pub(super) fn new(sink: LogSink) -> Self {
        Self { sink, left: CALL, file_left: FILE, dropped: Dropped::default() }
    }

    /// Ends a call: says how much of what it wrote was dropped, and makes room for the next.
    pub(super) fn end_call(&mut self) -> Dropped {
        self.left = CALL.min(self.file_left);
        let dropped = std::mem::take(&mut self.dropped);
        if dropped.lines > 0 {
            let lines = dropped.lines;
            let message =
                format!("{lines} more lines were dropped: a mapper may write {CALL} bytes a batch, {FILE} a file");
            (self.sink)(LogLine { level: LogLevel::Warn, message });
        }
        dropped
    }
}

impl log::Host for Log {
    fn write(&mut self, level: log::Level, message: String) {
        let written = message.len() as u64;
        self.dropped.bytes += written.saturating_sub(LINE as u64);
        let message = escaped(&message, LINE);
        // An empty line is not free either.
        let Some(left) = self.left.checked_sub(message.len() + 1) else {
            self.left = 0;
            self.dropped.lines += 1;
            self.dropped.bytes += written.min(LINE as u64);
            return;
        };
        self.file_left -= self.left - left;
        self.left = left;
        let level = match level {
            log::Level::Debug => LogLevel::Debug,
            log::Level::Info => LogLevel::Info,
            log::Level::Warn => LogLevel::Warn,
            log::Level::Error => LogLevel::Error,
        };
        (self.sink)(LogLine { level, message: message.into_owned() });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::log::Host;
    use super::*;

    #[test]
    fn a_flood_is_capped_and_the_drops_are_counted_once_a_call() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&lines);
        let mut log = Log::new(Arc::new(move |line| seen.lock().unwrap().push(line)));
        for _ in 0..1000 {
            log.write(log::Level::Info, "\u{1b}".repeat(5000));
        }
        let dropped = log.end_call();
        assert_eq!(log.end_call(), Dropped::default());
        let lines = std::mem::take(&mut *lines.lock().unwrap());
        assert!(lines.iter().all(|line| line.message.len() <= LINE && !line.message.contains('\u{1b}')));
        assert!(lines.iter().map(|line| line.message.len()).sum::<usize>() <= CALL + LINE);
        let (last, kept) = lines.split_last().unwrap();
        assert_eq!(last.level, LogLevel::Warn);
        assert_eq!(dropped.lines, 1000 - kept.len() as u64);
        assert_eq!(dropped.bytes, 5000 * 1000 - (kept.len() * LINE) as u64);
        assert!(last.message.starts_with(&format!("{} more lines", dropped.lines)), "{}", last.message);
    }

    #[test]
    fn a_flood_over_many_calls_is_capped_for_the_file() {
        let bytes = Arc::new(Mutex::new(0));
        let seen = Arc::clone(&bytes);
        let mut log = Log::new(Arc::new(move |line| {
            if line.level == LogLevel::Info {
                *seen.lock().unwrap() += line.message.len() + 1;
            }
        }));
        let mut dropped = 0;
        for _ in 0..100 {
            for _ in 0..20 {
                log.write(log::Level::Info, "x".repeat(LINE));
            }
            dropped += log.end_call().lines;
        }
        assert!((FILE - CALL..=FILE).contains(&*bytes.lock().unwrap()));
        assert!(dropped > 900, "{dropped}");
    }
}
