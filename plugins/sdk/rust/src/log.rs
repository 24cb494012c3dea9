//! Lines for the daemon's log.

/// How grave a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

/// Writes a line to the daemon's log, which says whose it is. The host caps lines, and what one batch may write. In a native
/// build it goes to standard error.
pub fn log(level: Level, message: &str) {
    #[cfg(all(target_family = "wasm", any(feature = "fields", feature = "usage")))]
    crate::component::log(level, message);
    #[cfg(not(all(target_family = "wasm", any(feature = "fields", feature = "usage"))))]
    eprintln!("{level:?}: {message}");
}
