//! A real PostgreSQL for tests: Debian's programs, a directory and a port of its own, this machine alone.
//!
//! It asks for a password (SCRAM) and speaks TLS with a certificate for `localhost` from an authority made for it, in
//! clear text too. A shell watches over it whose standard input the test holds: when the test ends, however it does,
//! that closes, and the shell ends the server by its process id and removes the directory.
//!
//! PostgreSQL refuses to run as root, so a root's test runs it as the user `postgres`. A machine without it fails the
//! test: nothing is skipped.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;

/// The role's name, a superuser.
pub const USER: &str = "gristmill";
/// Its password.
pub const PASSWORD: &str = "correct horse battery staple";
/// The database.
pub const DATABASE: &str = "gristmill";

/// A server.
pub struct PostgresServer {
    directory: PathBuf,
    port: u16,
    watch: Child,
}

/// `$1` is the directory, `$2` the port, `$3` where the programs are, `$4` whether what is confirmed is flushed.
const WATCH: &str = r#"
set -eu
cd "$1"
"$3/initdb" -D data -U gristmill --pwfile=password --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 --no-sync >initdb.log
"$3/postgres" -D data -p "$2" -c listen_addresses=127.0.0.1 -c unix_socket_directories="$1" -c max_connections=200 \
    -c ssl=on -c ssl_cert_file="$1/server.pem" -c ssl_key_file="$1/server.key" -c fsync="$4" >server.log 2>&1 </dev/null &
server=$!
trap 'kill -INT $server; wait $server || true; rm -rf "$1"' EXIT
trap 'exit 1' HUP INT TERM
until "$3/pg_isready" -q -h 127.0.0.1 -p "$2"; do kill -0 $server; done
PGPASSWORD="$(cat password)" "$3/createdb" -h 127.0.0.1 -p "$2" -U gristmill gristmill
echo ready
read -r _ || true
"#;

impl PostgresServer {
    /// Starts a server that loses everything with the machine. Panics, with the server's own words, where that fails.
    pub fn start() -> Self {
        Self::start_with("off")
    }

    /// Starts a server that flushes to the disk what it confirms.
    pub fn start_durable() -> Self {
        Self::start_with("on")
    }

    fn start_with(fsync: &str) -> Self {
        let programs = programs();
        let directory = tempfile::Builder::new().prefix("gristmill-postgres-").tempdir().expect("a directory").keep();
        fs::write(directory.join("password"), PASSWORD).expect("write the password");
        make_certificates(&directory);
        let port = free_port();
        let mut watch = as_somebody(&directory);
        watch.args(["sh", "-c", WATCH, "sh"]).arg(&directory).arg(port.to_string()).arg(&programs).arg(fsync);
        watch.env("LC_ALL", "C.UTF-8").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut watch = watch.spawn().expect("start a shell");
        let mut said = String::new();
        if let Some(output) = watch.stdout.take() {
            let _ = BufReader::new(output).read_line(&mut said);
        }
        let log = |name: &str| fs::read_to_string(directory.join(name)).unwrap_or_default();
        assert_eq!(said, "ready\n", "PostgreSQL did not start: {} {}", log("initdb.log"), log("server.log"));
        Self { directory, port, watch }
    }

    /// One server for all tests of a process.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<PostgresServer> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The directory of its Unix socket.
    pub fn socket_directory(&self) -> &Path {
        &self.directory
    }

    /// A file that holds the password.
    pub fn password_file(&self) -> PathBuf {
        self.directory.join("password")
    }

    /// The authority that vouches for it, in PEM.
    pub fn ca_file(&self) -> PathBuf {
        self.directory.join("ca.pem")
    }

    /// A connection URL. It has the password.
    pub fn url(&self) -> String {
        format!("postgresql://{USER}:{}@127.0.0.1:{}/{DATABASE}", PASSWORD.replace(' ', "%20"), self.port)
    }

    /// Locks a table against every writer. The lock is held until it is dropped.
    pub fn lock(&self, schema: &str, table: &str) -> TableLock {
        let mut session = self.psql(schema).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("run psql");
        let mut input = session.stdin.take().expect("standard input is a pipe");
        writeln!(input, "BEGIN; LOCK TABLE {table}; SELECT 'locked';").expect("ask for the lock");
        let mut said = String::new();
        if let Some(output) = session.stdout.take() {
            let _ = BufReader::new(output).read_line(&mut said);
        }
        assert_eq!(said, "locked\n", "`{table}` cannot be locked");
        TableLock { session, input: Some(input) }
    }

    fn psql(&self, schema: &str) -> Command {
        let mut command = Command::new(programs().join("psql"));
        command
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", USER, "-d", DATABASE])
            .args(["-p", &self.port.to_string(), "-P", "null=-"])
            .env("PGPASSWORD", PASSWORD)
            .env("PGOPTIONS", format!("-c search_path={schema} -c client_min_messages=warning"));
        command
    }

    /// Runs statements by `psql`; the rows, their columns parted by `|`. Panics where one fails.
    pub fn query(&self, schema: &str, sql: &str) -> Vec<String> {
        let output = self.psql(schema).args(["-c", sql]).output().expect("run psql");
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
    }
}

/// A table that nobody else can write to.
pub struct TableLock {
    session: Child,
    input: Option<ChildStdin>,
}

impl TableLock {
    /// Runs further statements in the lock's transaction, without waiting for them.
    pub fn then(&mut self, sql: &str) {
        if let Some(input) = &mut self.input {
            writeln!(input, "{sql}").expect("psql reads on");
        }
    }
}

impl Drop for TableLock {
    fn drop(&mut self) {
        // With its input, psql ends, and with it the transaction.
        self.input = None;
        let _ = self.session.wait();
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        if let Some(mut input) = self.watch.stdin.take() {
            let _ = input.write_all(b"\n");
        }
        let _ = self.watch.wait();
    }
}

/// Where Debian puts the programs of the newest version that is installed.
fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions.map(|entry| entry.path()).filter(|path| path.join("bin/postgres").exists()).max();
    newest.expect("PostgreSQL is not installed: .ci/setup test").join("bin")
}

/// A command run as a user that PostgreSQL accepts, who owns the directory.
fn as_somebody(directory: &Path) -> Command {
    if !rustix::process::getuid().is_root() {
        let mut command = Command::new("env");
        command.arg("--");
        return command;
    }
    let passwd = fs::read_to_string("/etc/passwd").expect("read /etc/passwd");
    let postgres = passwd.lines().find(|line| line.starts_with("postgres:")).expect("the user postgres");
    let id = |field| postgres.split(':').nth(field).and_then(|id| id.parse::<u32>().ok()).expect("an id");
    let (user, group) = (id(2), id(3));
    chown(directory, Some(user), Some(group)).expect("give the directory away");
    for entry in fs::read_dir(directory).expect("list the directory").flatten() {
        chown(entry.path(), Some(user), Some(group)).expect("give a file away");
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &user.to_string(), "--regid", &group.to_string(), "--clear-groups", "--"]);
    command
}

/// An authority, and a certificate of it for `localhost`.
fn make_certificates(directory: &Path) {
    let openssl = |arguments: &[&str]| {
        let output = Command::new("openssl").args(arguments).current_dir(directory).output().expect("run openssl");
        assert!(output.status.success(), "openssl: {}", String::from_utf8_lossy(&output.stderr));
    };
    let new_key = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
    let authority = ["-subj", "/CN=Gristmill test authority", "-keyout", "ca.key", "-out", "ca.pem"];
    openssl(&[&new_key[..], &authority].concat());
    let server = [
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=DNS:localhost",
        "-addext",
        "basicConstraints=critical,CA:FALSE",
    ];
    openssl(
        &[&new_key[..], &server, &["-CA", "ca.pem", "-CAkey", "ca.key", "-keyout", "server.key", "-out", "server.pem"]]
            .concat(),
    );
    let private = fs::Permissions::from_mode(0o600);
    fs::set_permissions(directory.join("server.key"), private).expect("close the key to others");
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address").port()
}
