//! `[daemon]`.

use super::tables;
use crate::config::{LogFormat, LogLevel};

tables! {
    /// How the daemon itself runs. A mistake in this table keeps it from starting.
    struct RawDaemon {
        /// Where the ledger, the stores, the spool and the compiled mappers are kept. The default is `$STATE_DIRECTORY`,
        /// which systemd sets, else this:
        ///
        /// ```toml
        /// state_dir = "/var/lib/gristmill"
        /// ```
        state_dir: String,
        /// Where the control socket is. The default is `$RUNTIME_DIRECTORY`, which systemd sets, else this:
        ///
        /// ```toml
        /// runtime_dir = "/run/gristmill"
        /// ```
        runtime_dir: String,
        /// How often each integration looks for new files, unless it says otherwise.
        ///
        /// ```toml
        /// poll_interval = "5m"
        /// ```
        poll_interval: String,
        /// How many files are worked on at once, over all integrations: 1 to 256.
        ///
        /// ```toml
        /// files_at_once = 4
        /// ```
        files_at_once: i64,
        /// No new file is begun while the state directory's file system has less free space than this.
        ///
        /// ```toml
        /// min_free = "1GiB"
        /// ```
        min_free: String,
        /// How much the local copies of files in work may take together. A file that is larger by itself is not
        /// taken before this is raised.
        ///
        /// ```toml
        /// spool_limit = "10GiB"
        /// ```
        spool_limit: String,
        /// How long a stopping daemon lets files in work come to an end. Keep it below the unit's `TimeoutStopSec=`.
        ///
        /// ```toml
        /// shutdown_grace = "90s"
        /// ```
        shutdown_grace: String,
        /// How long a step (a download, a batch, a merge) may go without headway before the daemon counts as hung; systemd
        /// then restarts it, if the unit has `WatchdogSec=`.
        ///
        /// ```toml
        /// stall_after = "30m"
        /// ```
        stall_after: String,
        /// What is logged and how.
        log: RawLog,
    }

    /// What is logged and how.
    struct RawLog {
        /// `auto` (journald under systemd, else text), `text`, `json` or `journald`.
        ///
        /// ```toml
        /// format = "auto"
        /// ```
        format: LogFormat,
        /// `error`, `warn`, `info`, `debug` or `trace`.
        ///
        /// ```toml
        /// level = "info"
        /// ```
        level: LogLevel,
    }
}
