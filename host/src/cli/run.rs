//! `gristmill run`: the daemon, or one pass.

use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{Failed, Shared, UNWELL, draws_progress, load, logging, output, runtime};
use crate::daemon;
use crate::events::Chain;
use crate::oversight::Oversight;

/// Watch the buckets and take what is new, until told to stop.
///
/// SIGTERM finishes the files in flight and exits 0; SIGHUP reads the configuration again, and keeps the old one when
/// the new one is wrong.
#[derive(Debug, Args)]
pub struct Run {
    /// One pass of every integration, then exit: 0 when every file in this pass went well, 1 when any in it failed.
    #[arg(long)]
    once: bool,
}

/// How long steps that cannot be interrupted may keep a daemon that has drained.
const LAST_STEPS: Duration = Duration::from_secs(2);

impl Run {
    pub fn run(self, shared: &Shared) -> Result<(), Failed> {
        let loaded = load(&shared.config)?;
        let logging = logging::begin(&loaded.config.daemon.log);
        let runtime = runtime()?;
        if !self.once {
            let ended = runtime.block_on(daemon::run(shared.config.clone(), loaded, Box::new(logging)));
            // A step that hangs in the system must not keep a daemon that has drained; what it was at is repeated (I3).
            runtime.shutdown_timeout(LAST_STEPS);
            return Ok(ended?);
        }
        let disabled = loaded.problems.len();
        let oversight = Oversight::default();
        let bar = draws_progress(shared).then(|| spinner("passes"));
        let passes = runtime.block_on(async {
            let passes = daemon::run_once(loaded, oversight.clone());
            let mut passes = std::pin::pin!(passes);
            loop {
                tokio::select! {
                    done = &mut passes => return done,
                    () = tokio::time::sleep(Duration::from_millis(100)) => {
                        if let Some(bar) = &bar {
                            bar.set_position(oversight.progress.rows());
                        }
                    }
                }
            }
        })?;
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
        report(&passes, disabled, shared)
    }
}

type Passes = [(crate::object::IntegrationName, Result<crate::pass::PassReport, daemon::OnceError>)];

fn report(passes: &Passes, disabled: usize, shared: &Shared) -> Result<(), Failed> {
    let mut failed = 0;
    let mut rows = Vec::new();
    for (integration, pass) in passes {
        match pass {
            Ok(report) => {
                failed += report.failed;
                if shared.json {
                    output::print_json(&json!({ "integration": integration, "pass": report }));
                }
                let counts =
                    [report.listed, report.known, report.succeeded, report.partial, report.skipped, report.failed];
                let mut row = vec![integration.to_string()];
                row.extend(counts.map(|count| count.to_string()));
                rows.push(row);
            }
            Err(error) => {
                failed += 1;
                let hint = error.hint(integration.as_str());
                if shared.json {
                    let error = Chain(error).to_string();
                    output::print_json(&json!({ "integration": integration, "error": error, "hint": hint }));
                } else {
                    output::complain(&format!("{integration}: {}", Chain(error)), hint.as_deref(), false);
                }
            }
        }
    }
    if !shared.json && !rows.is_empty() {
        let headings = ["integration", "listed", "known", "succeeded", "partial", "skipped", "failed"];
        output::print(output::table(&headings, &rows));
    }
    match (failed, disabled) {
        (0, 0) => Ok(()),
        (0, disabled) => Err(Failed::new(
            UNWELL,
            match disabled {
                1 => "one part of the configuration is disabled".to_owned(),
                disabled => format!("{disabled} parts of the configuration are disabled"),
            },
        )
        .hint(Some("gristmill check shows why".to_owned()))),
        (failed, _) => Err(Failed::new(
            UNWELL,
            match failed {
                1 => "one file or integration failed".to_owned(),
                failed => format!("{failed} files or integrations failed"),
            },
        )
        .hint(Some("gristmill ledger list --state quarantined, or --state failed, shows why".to_owned()))),
    }
}

/// Progress of work whose length is not known beforehand.
pub fn spinner(what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_message(what);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}: {human_pos} rows, {per_sec}, {elapsed}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
