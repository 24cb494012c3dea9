//! Where log lines go: the journal under systemd, text on a terminal, JSON where it is asked for.

use std::io::IsTerminal;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, reload};

use crate::config::{Log, LogFormat, LogLevel};
use crate::daemon::ChangesLog;

/// Overrides the configured level with a filter such as `debug,aws_config=warn`.
const FILTER: &str = "GRISTMILL_LOG";

/// Changes what is logged while the daemon runs.
pub struct Logging {
    began: Log,
    /// None where the environment says what is logged.
    level: Option<reload::Handle<EnvFilter, Registry>>,
}

impl ChangesLog for Logging {
    fn change(&self, log: &Log) -> Vec<&'static str> {
        let mut at_the_next_start = Vec::new();
        if log.format != self.began.format {
            at_the_next_start.push("daemon.log.format");
        }
        let changed = self.level.as_ref().is_some_and(|level| level.reload(filter(log.level)).is_ok());
        if !changed && log.level != self.began.level {
            at_the_next_start.push("daemon.log.level");
        }
        at_the_next_start
    }
}

/// Libraries are heard from when something is wrong; our own lines as configured.
fn filter(level: LogLevel) -> EnvFilter {
    EnvFilter::new(format!("warn,gristmill={level}"))
}

/// Begins to log.
pub fn begin(log: &Log) -> Logging {
    let from_environment = EnvFilter::try_from_env(FILTER).ok();
    let is_ours = from_environment.is_none();
    let (filter, level) = reload::Layer::new(from_environment.unwrap_or_else(|| filter(log.level)));
    let registry = tracing_subscriber::registry().with(filter);
    let format = match log.format {
        LogFormat::Auto if under_the_journal() => LogFormat::Journald,
        LogFormat::Auto => LogFormat::Text,
        chosen => chosen,
    };
    // Whoever began before keeps the word; only tests in one process do.
    let _ = match format {
        LogFormat::Journald => match tracing_journald::layer() {
            Ok(journal) => registry.with(journal.with_syslog_identifier("gristmill".to_owned())).try_init(),
            Err(_) => registry.with(tracing_subscriber::fmt::layer().with_writer(std::io::stderr)).try_init(),
        },
        LogFormat::Json => {
            let json = tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(std::io::stderr);
            registry.with(json).try_init()
        }
        LogFormat::Text | LogFormat::Auto => {
            let colours = std::io::stderr().is_terminal();
            let text = tracing_subscriber::fmt::layer().with_ansi(colours).with_target(false);
            registry.with(text.with_writer(std::io::stderr)).try_init()
        }
    };
    Logging { began: *log, level: is_ours.then_some(level) }
}

/// systemd says which device and inode the journal's stream has.
fn under_the_journal() -> bool {
    std::env::var_os("JOURNAL_STREAM").is_some() && !std::io::stderr().is_terminal()
}
