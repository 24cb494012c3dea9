//! `gristmill backup` and `gristmill restore`: the ledger and the stores, copied and put back (R18).

use std::io::{BufWriter, Write};
use std::path::PathBuf;

use clap::Args;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use serde_json::json;

use super::{Failed, Shared, UNWELL, draws_progress, load, output};
use crate::backup::{Backup, BackupError, Existing, Manifest, NewBackup, Part, Places};
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, DestinationKind};
use crate::control::{Client, Request};
use crate::destination::sqlite::backup::{store_path, tenants};

/// Copy the ledger and the SQLite stores into a directory. The daemon may run.
///
/// The ledger comes from a running daemon over its socket, the stores are read where they are: that takes the rights of
/// the state directory's owner. The configuration, secrets, and what stands in PostgreSQL or in a destination of files
/// are not copied.
#[derive(Debug, Args)]
#[command(after_help = "\
  gristmill backup /var/backups/gristmill/2026-11-22
  gristmill restore /var/backups/gristmill/2026-11-22")]
pub struct BackUp {
    /// Where to: a directory that is empty, or is made.
    directory: PathBuf,
}

/// Put a backup back. The daemon must not run.
///
/// Every file is compared with what was copied before anything is changed. What came after the backup is taken again at
/// the next start, and nothing twice.
#[derive(Debug, Args)]
pub struct Restore {
    /// The backup.
    directory: PathBuf,
    /// Move a ledger and stores that are there into directories `replaced-TIME` beside them.
    #[arg(long)]
    replace: bool,
}

impl From<BackupError> for Failed {
    fn from(error: BackupError) -> Self {
        Self::of(UNWELL, &error).hint(error.hint().map(str::to_owned))
    }
}

impl BackUp {
    pub fn run(self, shared: &Shared) -> Result<(), Failed> {
        let config = load(&shared.config)?.config;
        let mut backup = NewBackup::begin(&self.directory, SystemClock.now())?;
        let bar = draws_progress(shared).then(bar);
        let say = |what: String| bar.iter().for_each(|bar| bar.set_message(what.clone()));

        say("ledger".to_owned());
        let mut lines = BufWriter::new(backup.begin_ledger()?);
        let mut written = Ok(());
        super::ask(shared, Request::LedgerExport, |line| {
            if written.is_ok() {
                written = writeln!(lines, "{line}");
            }
        })?;
        let flushed = written.and_then(|()| lines.flush());
        flushed.map_err(|source| BackupError::Io { what: "write", path: self.directory.clone(), source })?;
        backup.end_ledger()?;

        for (destination, directory) in Places::of(&config).stores() {
            for tenant in tenants(directory).map_err(BackupError::from)? {
                say(format!("store of {tenant} in {destination}"));
                let from = store_path(directory, &tenant);
                backup.add_store(destination.clone(), tenant, &from, &mut |bytes| {
                    bar.iter().for_each(|bar| bar.inc(bytes));
                })?;
            }
        }
        let left_out: Vec<_> = left_out(&config).collect();
        let manifest = backup.finish(left_out.iter().map(|(name, _)| (*name).clone()).collect())?;
        if let Some(bar) = &bar {
            bar.finish_and_clear();
        }
        match shared.json {
            true => output::print_json(&json!(manifest)),
            false => {
                show(&manifest);
                for (name, advice) in left_out {
                    output::print(format!("not in it: destination {name}; {advice}"));
                }
            }
        }
        Ok(())
    }
}

impl Restore {
    pub fn run(self, shared: &Shared) -> Result<(), Failed> {
        let config = load(&shared.config)?.config;
        if Client::connect(&config.daemon.runtime_dir)?.is_some() {
            return Err(Failed::new(UNWELL, "the daemon is running").hint(Some("stop it before a restore".to_owned())));
        }
        let backup = Backup::open(&self.directory)?;
        let existing = if self.replace { Existing::MoveAside } else { Existing::Refuse };
        let restored = backup.restore(&Places::of(&config), existing, SystemClock.now())?;
        if shared.json {
            output::print_json(&json!(restored));
            return Ok(());
        }
        for path in &restored.moved {
            output::print(format!("moved aside: {}", path.display()));
        }
        output::print(format!(
            "restored as of {:.0}: integrations {}, objects {}, stores {}",
            backup.manifest().taken_at,
            restored.ledger.integrations,
            restored.ledger.objects,
            restored.stores
        ));
        Ok(())
    }
}

/// The destinations of which nothing is in a backup, and what to do about each.
fn left_out(config: &Config) -> impl Iterator<Item = (&crate::object::DestinationName, &'static str)> {
    config.destinations.iter().filter_map(|(name, destination)| match &destination.kind {
        DestinationKind::Sqlite { .. } => None,
        DestinationKind::Postgres(_) => Some((name, "copy its database with `pg_dump`, after this backup")),
        DestinationKind::Files { .. } => Some((name, "copy its directory, after this backup")),
        DestinationKind::Webhook(_) => Some((
            name,
            "nothing is to be copied: what the ledger does not know is sent again under the same delivery ids",
        )),
    })
}

fn show(manifest: &Manifest) {
    for copied in &manifest.files {
        let what = match &copied.file {
            Part::Ledger => "ledger".to_owned(),
            Part::Store { destination, tenant } => format!("store of {tenant} in {destination}"),
        };
        output::print(format!("{what}: {}", HumanBytes(copied.size)));
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}: {bytes}, {bytes_per_sec}, {elapsed}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(std::time::Duration::from_millis(200));
    bar
}
