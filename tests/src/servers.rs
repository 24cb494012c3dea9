//! Real S3 servers for tests, each its own process on 127.0.0.1 with its own directory and ports.
//!
//! The programs come from `tests/requirements.txt`, which `.ci/setup test` installs in a Python environment: `servers` in
//! the directory that `GRISTMILL_TEST_TOOLS` names, or in `tools` of the target directory. One that is missing fails the
//! test with that command. A server is ended, with whatever it started, when its [`S3Server`] is dropped.
//!
//! They differ on purpose: in the order of keys, in what they do with credentials, in which conditions they heed. What
//! works on one only has learnt that server, not S3.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

mod admin;

pub use admin::Admin;

/// How long a server may take until it answers.
const STARTED: Duration = Duration::from_secs(60);
/// The pause between two looks at whether it does.
const LOOK: Duration = Duration::from_millis(50);
/// Another process may take a port between its choice and its use; then the start is tried again.
const STARTS: u32 = 3;

/// The servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// SeaweedFS: keys in no order, permissions and secrets checked.
    Seaweed,
    /// Moto: keys in byte order; any credentials do.
    Moto,
    /// Ministack: the same, and quick.
    Ministack,
}

impl Program {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Seaweed, Self::Moto, Self::Ministack];

    /// The name of its executable.
    fn executable(self) -> &'static str {
        match self {
            Self::Seaweed => "weed",
            Self::Moto => "moto_server",
            Self::Ministack => "ministack",
        }
    }
}

/// A running server.
pub struct S3Server {
    program: Program,
    port: u16,
    child: Child,
    directory: TempDir,
}

impl S3Server {
    /// The access key id that may do everything.
    pub const ACCESS_KEY: &str = "gristmill-tests";
    /// Its secret.
    pub const SECRET_KEY: &str = "gristmill-tests-secret";

    /// Starts a server and waits until it answers.
    ///
    /// # Panics
    /// When the program is not installed, or does not answer in time.
    pub async fn start(program: Program) -> Self {
        let executable = tools().join("servers/bin").join(program.executable());
        assert!(executable.exists(), "`{}` is missing; install it with: .ci/setup test", executable.display());
        for _ in 1..STARTS {
            if let Ok(server) = Self::try_start(program, &executable).await {
                return server;
            }
        }
        Self::try_start(program, &executable).await.unwrap_or_else(|problem| panic!("{problem}"))
    }

    async fn try_start(program: Program, executable: &Path) -> Result<Self, String> {
        let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
        let ports = free_ports();
        let mut command = Command::new(executable);
        match program {
            Program::Seaweed => seaweed(&mut command, &directory, ports),
            Program::Moto => {
                command.args(["-H", "127.0.0.1", "-p", &ports[0].to_string()]);
            }
            Program::Ministack => {
                command
                    .env("BIND_HOST", "127.0.0.1")
                    .env("GATEWAY_PORT", ports[0].to_string())
                    .env("SERVICES", "s3,sts");
            }
        }
        let log = File::create(directory.path().join("server.log")).map_err(|error| error.to_string())?;
        let copy = log.try_clone().map_err(|error| error.to_string())?;
        let spawned = command
            .current_dir(&directory)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(copy)
            // A group of its own, so that what it starts ends with it.
            .process_group(0)
            .spawn();
        let child = spawned.map_err(|error| format!("cannot start `{}`: {error}", executable.display()))?;
        let mut server = Self { program, port: ports[0], child, directory };
        server.wait_until_ready().await?;
        Ok(server)
    }

    /// Ready is what stores an object: some answer long before they can.
    async fn wait_until_ready(&mut self) -> Result<(), String> {
        let admin = self.admin();
        let started = Instant::now();
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("{:?} ended with {status}:\n{}", self.program, self.log()));
            }
            if admin.is_ready().await {
                return Ok(());
            }
            if started.elapsed() > STARTED {
                return Err(format!("{:?} does not answer:\n{}", self.program, self.log()));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("server.log")).unwrap_or_default()
    }

    /// Which server it is.
    pub fn program(&self) -> Program {
        self.program
    }

    /// `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A client that may do everything.
    pub fn admin(&self) -> Admin {
        Admin::new(&self.endpoint(), Self::ACCESS_KEY, Self::SECRET_KEY)
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

pub(crate) fn tools() -> PathBuf {
    if let Some(tools) = std::env::var_os("GRISTMILL_TEST_TOOLS") {
        return tools.into();
    }
    // A test executable stands at `TARGET/PROFILE/deps/NAME`.
    let executable = std::env::current_exe().expect("this process has an executable");
    executable.ancestors().nth(3).unwrap_or(Path::new("target")).join("tools")
}

fn seaweed(command: &mut Command, directory: &TempDir, ports: [u16; 12]) {
    let identities = directory.path().join("identities.json");
    let text = format!(
        r#"{{"identities":[{{"name":"all","credentials":[{{"accessKey":"{}","secretKey":"{}"}}],"actions":["Admin","Read","List","Write","Tagging"]}}]}}"#,
        S3Server::ACCESS_KEY,
        S3Server::SECRET_KEY
    );
    fs::write(&identities, text).expect("the directory is ours");
    let data = directory.path().join("data");
    fs::create_dir(&data).expect("the directory is ours");
    command
        .arg("mini")
        .arg(format!("-dir={}", data.display()))
        .arg(format!("-s3.config={}", identities.display()))
        .args(["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false", "-admin.ui=false", "-webdav=false"])
        .args(["-s3.port.iceberg=0", "-s3.port.lance=0"]);
    let names = [
        "s3.port",
        "s3.port.grpc",
        "master.port",
        "master.port.grpc",
        "volume.port",
        "volume.port.grpc",
        "filer.port",
        "filer.port.grpc",
        "admin.port",
        "admin.port.grpc",
    ];
    command.args(names.iter().zip(ports).map(|(name, port)| format!("-{name}={port}")));
}

/// Ports that nobody uses now; each differs from the others.
fn free_ports() -> [u16; 12] {
    let held = [(); 12].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has free ports"));
    held.map(|listener| listener.local_addr().expect("a bound socket has an address").port())
}
