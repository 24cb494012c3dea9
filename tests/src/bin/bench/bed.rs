//! A directory that goes away with everything in it, a configuration in it, and the built binary beside this one.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use gristmill::config::{self, Config};
use gristmill_loopback_s3::{Backing, Server};
use tempfile::TempDir;

use crate::Result;

/// The bucket's name.
pub const BUCKET: &str = "exports";
/// The integration's name.
pub const INTEGRATION: &str = "accounts";

/// Where records go.
#[derive(Debug, Clone, Copy)]
pub enum Into {
    /// A SQLite store.
    Sqlite,
    /// JSON lines.
    Files,
}

impl Into {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Sqlite, Self::Files];

    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Files => "files",
        }
    }
}

/// What becomes of the last column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mau {
    /// One more account field.
    Field,
    /// Product usage, by month.
    Usage,
}

/// One integration's place on this machine.
pub struct Bed {
    directory: TempDir,
}

impl Bed {
    /// An empty place.
    pub fn new() -> Result<Self> {
        Ok(Self { directory: tempfile::Builder::new().prefix("gristmill-bench-").tempdir()? })
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes the configuration of one integration over the whole bucket.
    pub fn configure(&self, endpoint: &str, into: Into, mau: Mau, backfill: &str) -> Result<PathBuf> {
        use std::io::Write;
        let secret = self.path("secret");
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&secret)?;
        file.write_all(b"loopback-secret")?;
        let (mau_field, mau_usage) = match mau {
            Mau::Field => (r#"  { column = "MAU", field = "mau", type = "integer" },"#, ""),
            Mau::Usage => (
                "",
                r#"[[integrations.accounts.usage]]
product = "Core"
period = "monthly"
date = { column = "Renewal" }
metrics = [{ column = "MAU", metric = "mau" }]"#,
            ),
        };
        let text = format!(
            r#"[daemon]
state_dir = "{state}"
runtime_dir = "{runtime}"
log = {{ format = "text", level = "warn" }}

[connections.loopback]
region = "us-east-1"
endpoint_url = "{endpoint}"
force_path_style = true
access_key = {{ access_key_id = "loopback", secret_access_key = {{ file = "{secret}" }} }}

[destinations.store]
{into}.path = "{store}"

[integrations.accounts]
connection = "loopback"
bucket = "{BUCKET}"
destination = "store"
backfill = "{backfill}"
backfill_limit = 1000000
matching = {{ on_no_match = "create" }}
identifiers = [{{ column = "Account ID", match = "crm_id" }}]
fields = [
  {{ column = "Name", field = "name", type = "text" }},
  {{ column = "Domain", field = "domain", type = "text" }},
  {{ column = "ARR", field = "arr", type = "currency" }},
  {{ column = "Seats", field = "seats", type = "integer" }},
  {{ column = "Health", field = "health", type = "float" }},
  {{ column = "Adoption", field = "adoption", type = "percent" }},
  {{ column = "Active", field = "active", type = "boolean" }},
  {{ column = "Renewal", field = "renewal", type = "date" }},
  {{ column = "Plan", field = "plan", type = "text" }},
  {{ column = "Website", field = "website", type = "url" }},
{mau_field}
]
{mau_usage}
"#,
            state = self.path("state").display(),
            runtime = self.path("runtime").display(),
            secret = secret.display(),
            into = into.name(),
            store = self.path("store").display(),
        );
        let path = self.path("gristmill.toml");
        fs::write(&path, text)?;
        Ok(path)
    }

    /// Reads the configuration back, as the daemon would.
    pub fn load(path: &Path) -> Result<Config> {
        let loaded = config::load(path)?;
        match loaded.problems.is_empty() {
            true => Ok(loaded.config),
            false => Err(config::render_problems(&loaded.problems).into()),
        }
    }
}

/// A server whose only bucket is this.
pub fn serve(backing: Backing) -> Result<Server> {
    let mut config = gristmill_loopback_s3::Config::with_bucket(BUCKET);
    config.buckets = vec![(BUCKET.to_owned(), backing)];
    Ok(Server::start(config)?)
}

/// The binary that was built with this one.
pub fn gristmill() -> Result<PathBuf> {
    let binary = std::env::current_exe()?.with_file_name("gristmill");
    match binary.exists() {
        true => Ok(binary),
        false => Err(format!("`{}` is missing: make bench builds it", binary.display()).into()),
    }
}

/// One pass of the built binary, not yet started. What goes wrong it says on standard error.
pub fn one_pass(config: &Path) -> Result<Command> {
    let mut command = Command::new(gristmill()?);
    command.arg("--config").arg(config).args(["run", "--once"]).stdout(Stdio::null());
    Ok(command)
}

/// One pass of the built binary.
pub fn pass(config: &Path) -> Result<()> {
    let status = one_pass(config)?.status()?;
    if status.success() { Ok(()) } else { Err(format!("a pass ended with {status}").into()) }
}
