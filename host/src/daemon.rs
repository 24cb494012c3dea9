//! A task per integration, signals, reload, drain, readiness, watchdog. It does not know what happens inside a pass.
