//! The command line: what was typed becomes calls to the modules below, and their answer an exit code.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done, and everything is well |
//! | 1 | done, and something is not: a file failed, a problem was found, an integration is unhealthy |
//! | 64 | the command line is wrong |
//! | 70 | a bug of ours |
//! | 74 | the ledger could not be written; a restart rereads the truth |
//! | 78 | the configuration cannot be used |

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::config::{self, Loaded};
use crate::control::{self, Client, Refusal, Reply, Request};
use crate::daemon::{Assembly, AssemblyError, DaemonError, Desk};
use crate::events::Chain;

mod accounts;
mod ask;
mod backup;
mod check;
mod connection;
mod destination;
mod follow;
mod integration;
mod ledger;
mod logging;
mod mapper;
mod output;
mod peek;
mod prompt;
mod reading;
mod run;
mod secret;
mod status;
mod test;
mod users;

/// Turns the CSV and Excel files of S3 buckets into account and usage records, exactly once.
#[derive(Debug, Parser)]
#[command(name = "gristmill", version, max_term_width = 100, propagate_version = true)]
#[command(after_help = "\
A first integration:
  gristmill check                      read the configuration, compile the mappers, contact nothing
  gristmill connection test acme       prove that the bucket can be listed and read
  gristmill test acme sample.csv       what a file would become, writing nothing
  gristmill run --once                 one pass of every integration

Exit codes: 0 well, 1 something failed, 64 usage, 70 a bug, 74 ledger, 78 configuration.")]
pub struct Cli {
    #[command(flatten)]
    shared: Shared,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
struct Shared {
    /// The configuration; `conf.d/*.toml` beside it is read, too.
    #[arg(
        long,
        short,
        global = true,
        env = "GRISTMILL_CONFIG",
        default_value = "/etc/gristmill/gristmill.toml",
        value_name = "FILE"
    )]
    config: PathBuf,
    /// Answer in JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Run),
    Check(check::Check),
    Connection(connection::Connection),
    Integration(integration::Integration),
    Destination(destination::Destination),
    Secret(secret::Secret),
    Status(status::Status),
    Poll(ask::Poll),
    Pause(ask::Pause),
    Resume(ask::Resume),
    Explain(ask::Explain),
    Backfill(ask::Backfill),
    Peek(peek::Peek),
    Test(test::Test),
    Mapper(mapper::Mapper),
    Accounts(accounts::Accounts),
    Users(users::Users),
    Ledger(ledger::Ledger),
    Replay(ledger::Replay),
    #[command(name = "backup")]
    BackUp(backup::BackUp),
    Restore(backup::Restore),
    Completions(Completions),
    Man(Man),
}

/// Print a completion script for a shell.
#[derive(Debug, Args)]
struct Completions {
    /// The shell.
    shell: clap_complete::Shell,
}

/// Print the manual page, or write one for each command.
#[derive(Debug, Args)]
struct Man {
    /// Where to write the pages of all commands, `/usr/local/share/man/man1` for example; without it the first is printed.
    directory: Option<PathBuf>,
}

/// How long a daemon that starts is waited for.
const STARTING: Duration = Duration::from_secs(3);

/// Why a command ended without success.
#[derive(Debug)]
pub struct Failed {
    code: u8,
    message: String,
    hint: Option<String>,
}

/// Something the command looked at is not well.
const UNWELL: u8 = 1;
const USAGE: u8 = 64;
const BUG: u8 = 70;
const LEDGER: u8 = 74;
const CONFIGURATION: u8 = 78;

impl Failed {
    fn new(code: u8, message: impl ToString) -> Self {
        Self { code, message: message.to_string(), hint: None }
    }

    fn of(code: u8, error: &dyn std::error::Error) -> Self {
        Self::new(code, Chain(error))
    }

    fn hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }

    /// The same with more to know.
    fn and(mut self, more: &str) -> Self {
        self.hint = Some(self.hint.map_or_else(|| more.to_owned(), |hint| format!("{hint}; {more}")));
        self
    }
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Self {
        Self::new(UNWELL, refusal.message).hint(refusal.hint)
    }
}

impl From<control::ControlError> for Failed {
    fn from(error: control::ControlError) -> Self {
        match error {
            control::ControlError::Refused(refusal) => refusal.into(),
            error => Self::of(UNWELL, &error)
                .hint(Some("members of the group `gristmill` may speak to the daemon".to_owned())),
        }
    }
}

impl From<DaemonError> for Failed {
    fn from(error: DaemonError) -> Self {
        match &error {
            DaemonError::Ledger(_) => Self::of(LEDGER, &error),
            DaemonError::Assembly(error) => error.into(),
            DaemonError::Control(control::ControlError::InUse { .. }) => {
                Self::of(CONFIGURATION, &error).hint(Some("each daemon needs a `runtime_dir` of its own".to_owned()))
            }
            DaemonError::Control(_) | DaemonError::Signals(_) => Self::of(BUG, &error),
        }
    }
}

impl From<&AssemblyError> for Failed {
    fn from(error: &AssemblyError) -> Self {
        match error {
            AssemblyError::Ledger(source) => Self::of(LEDGER, error).hint(source.hint().map(str::to_owned)),
            _ => Self::of(CONFIGURATION, error),
        }
    }
}

impl From<std::io::Error> for Failed {
    fn from(error: std::io::Error) -> Self {
        Self::of(BUG, &error)
    }
}

/// Reads the arguments, does what they say, and says how it went.
pub fn main() -> ExitCode {
    crate::secrets::keep_memory_private();
    crate::panics::keep_words_private();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { USAGE } else { 0 };
            let _ = error.print();
            return code.into();
        }
    };
    let shared = cli.shared;
    let done = match cli.command {
        Command::Run(command) => command.run(&shared),
        Command::Check(command) => command.run(&shared),
        Command::Connection(command) => command.run(&shared),
        Command::Integration(command) => command.run(&shared),
        Command::Destination(command) => command.run(&shared),
        Command::Secret(command) => command.run(&shared),
        Command::Status(command) => command.run(&shared),
        Command::Poll(command) => command.run(&shared),
        Command::Pause(command) => command.run(&shared),
        Command::Resume(command) => command.run(&shared),
        Command::Explain(command) => command.run(&shared),
        Command::Backfill(command) => command.run(&shared),
        Command::Peek(command) => command.run(&shared),
        Command::Test(command) => command.run(&shared),
        Command::Mapper(command) => command.run(&shared),
        Command::Accounts(command) => command.run(&shared),
        Command::Users(command) => command.run(&shared),
        Command::Ledger(command) => command.run(&shared),
        Command::Replay(command) => command.run(&shared),
        Command::BackUp(command) => command.run(&shared),
        Command::Restore(command) => command.run(&shared),
        Command::Completions(command) => {
            clap_complete::generate(command.shell, &mut Cli::command(), "gristmill", &mut std::io::stdout());
            Ok(())
        }
        Command::Man(command) => command.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            output::complain(&failed.message, failed.hint.as_deref(), shared.json);
            failed.code.into()
        }
    }
}

impl Man {
    fn run(self) -> Result<(), Failed> {
        match self.directory {
            Some(directory) => {
                std::fs::create_dir_all(&directory)?;
                clap_mangen::generate_to(Cli::command(), directory)?;
            }
            None => clap_mangen::Man::new(Cli::command()).render(&mut std::io::stdout().lock())?,
        }
        Ok(())
    }
}

/// Reads the configuration; what is wrong with single parts is said and left to the caller (R15).
fn load(path: &Path) -> Result<Loaded, Failed> {
    let loaded = config::load(path).map_err(|error| Failed::of(CONFIGURATION, &error))?;
    if loaded.is_fatal() {
        return Err(Failed::new(CONFIGURATION, config::render_problems(&loaded.problems).trim_end()));
    }
    Ok(loaded)
}

/// The async runtime of a command.
fn runtime() -> Result<tokio::runtime::Runtime, Failed> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

/// Asks the daemon, or answers from the state directory when none runs (R14).
fn ask(
    shared: &Shared,
    request: Request,
    mut item: impl FnMut(serde_json::Value),
) -> Result<serde_json::Value, Failed> {
    let config = load(&shared.config)?.config;
    let until = Instant::now() + STARTING;
    let assembly = loop {
        if let Some(client) = Client::connect(&config.daemon.runtime_dir)? {
            return Ok(client.ask(&request, item)?);
        }
        match Assembly::open(config.clone()) {
            // A daemon that has just started holds the state directory before it answers.
            Err(error) if error.is_in_use() && Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(50));
            }
            opened => break Arc::new(opened.map_err(|error| Failed::from(&error))?),
        }
    };
    runtime()?.block_on(async {
        let (reply, mut replies) = tokio::sync::mpsc::channel(64);
        let answered = tokio::spawn(control::Answers::answer(Arc::new(Desk::alone(assembly)), request, reply));
        while let Some(reply) = replies.recv().await {
            match reply {
                Reply::Item(value) => item(value),
                Reply::Done(value) => return Ok(value),
                Reply::Failed(refusal) => return Err(refusal.into()),
            }
        }
        match answered.await {
            Ok(()) => Err(Failed::new(BUG, "the answer ended without its last word")),
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    })
}

/// Whether a person looks at standard error, and progress is worth drawing.
fn draws_progress(shared: &Shared) -> bool {
    !shared.json && std::io::stderr().is_terminal()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_manual_page() {
        let directory = tempfile::tempdir().unwrap();
        let pages = directory.path().join("man1");
        Man { directory: Some(pages.clone()) }.run().unwrap();
        for command in ["gristmill", "gristmill-run", "gristmill-replay", "gristmill-ledger-export"] {
            let page = std::fs::read_to_string(pages.join(format!("{command}.1"))).unwrap();
            assert!(page.contains(".SH SYNOPSIS"), "{command}: {page}");
        }
    }
}
