//! Where log lines go: the journal under systemd, text on a terminal, JSON where it is asked for.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{Log, LogFormat};

/// Begins to log. `GRISTMILL_LOG` overrides the configured level with a filter such as `debug,aws_config=warn`.
pub fn begin(log: &Log) {
    let filter = EnvFilter::try_from_env("GRISTMILL_LOG").unwrap_or_else(|_| {
        // Libraries are heard from when something is wrong; our own lines as configured.
        EnvFilter::new(format!("warn,gristmill={}", log.level))
    });
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
}

/// systemd says which device and inode the journal's stream has.
fn under_the_journal() -> bool {
    std::env::var_os("JOURNAL_STREAM").is_some() && !std::io::stderr().is_terminal()
}
