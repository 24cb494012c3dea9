//! Connections: opened when they are needed, a bounded number of them, each given out to one user at a time.
//!
//! A connection that failed at anything is closed rather than kept, which takes back whatever was left open on it.

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Config, NoTls};

use crate::destination::DestinationError;
use crate::destination::background::Background;
use crate::secrets::{ExposeSecret, Secrets};

use super::migrations;
use super::session::{Session, is_disconnected};
use super::tls::Encryption;
use super::{Address, PostgresSettings, Tls};

/// How long a silent connection rests before the server is asked for a sign of life, and between further ones.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 3;

/// How long sent bytes may stay unacknowledged.
const UNACKNOWLEDGED: Duration = Duration::from_secs(60);

/// What every connection is set to. A confirmed ingestion is on the server's disk, whatever its default; a connection
/// may rest as long as a file takes to decode; statements run too briefly to be compiled; and of what is staged the
/// planner need know little more than how much it is.
const SETTINGS: &str = "
    SET TimeZone TO 'UTC';
    SET client_min_messages TO warning;
    SET jit TO off;
    SET work_mem TO '32MB';
    SET default_statistics_target TO 10;
    SET statement_timeout TO 0;
    SET idle_in_transaction_session_timeout TO 0;
    SET idle_session_timeout TO 0;
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

/// The connections of one destination.
pub(super) struct Pool {
    settings: PostgresSettings,
    secrets: Secrets,
    runtime: Background,
    kept: Mutex<Kept>,
    returned: Condvar,
}

/// Connections at rest, and how many there are in all.
struct Kept {
    idle: Vec<Session>,
    open: usize,
}

/// A connection on loan. Unless it is given back it is closed.
pub(super) struct Lease {
    session: Option<Session>,
    pool: Arc<Pool>,
}

impl Lease {
    pub(super) fn session(&self) -> &Session {
        match &self.session {
            Some(session) => session,
            None => unreachable!("only giving back takes the session, and that ends the lease"),
        }
    }

    /// Gives the connection back for the next one to use.
    pub(super) fn give_back(mut self) {
        if let Some(session) = self.session.take().filter(|session| !session.is_closed()) {
            self.pool.lock().idle.push(session);
            self.pool.returned.notify_one();
        } else {
            self.pool.closed_one();
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            drop(session);
            self.pool.closed_one();
        }
    }
}

impl Pool {
    pub(super) fn new(settings: PostgresSettings, secrets: Secrets) -> Result<Self, DestinationError> {
        let runtime = Background::start("postgres")?;
        let kept = Mutex::new(Kept { idle: Vec::new(), open: 0 });
        Ok(Self { settings, secrets, runtime, kept, returned: Condvar::new() })
    }

    pub(super) fn schema(&self) -> &str {
        &self.settings.schema
    }

    /// A connection to a store of this version's schema. Waits while as many as are allowed are in use.
    pub(super) fn take(self: &Arc<Self>) -> Result<Lease, DestinationError> {
        let mut kept = self.lock();
        loop {
            match kept.idle.pop() {
                Some(session) if session.is_closed() => kept.open = kept.open.saturating_sub(1),
                Some(session) => return Ok(Lease { session: Some(session), pool: Arc::clone(self) }),
                None if kept.open < self.settings.connections => break,
                None => kept = self.returned.wait(kept).unwrap_or_else(PoisonError::into_inner),
            }
        }
        kept.open += 1;
        drop(kept);
        match self.open() {
            Ok(session) => Ok(Lease { session: Some(session), pool: Arc::clone(self) }),
            Err(error) => {
                self.closed_one();
                Err(error)
            }
        }
    }

    /// Asks a question. A resting connection may have been broken in the meantime, so it is asked a second time.
    pub(super) fn ask<T>(
        self: &Arc<Self>,
        question: impl Fn(&Session) -> Result<T, DestinationError>,
    ) -> Result<T, DestinationError> {
        let ask = || {
            let lease = self.take()?;
            let answer = question(lease.session())?;
            lease.give_back();
            Ok(answer)
        };
        match ask() {
            Err(error) if is_disconnected(&error) => {
                // Whatever broke one resting connection has broken the others.
                let mut kept = self.lock();
                kept.open = kept.open.saturating_sub(kept.idle.len());
                kept.idle.clear();
                drop(kept);
                ask()
            }
            answer => answer,
        }
    }

    fn open(&self) -> Result<Session, DestinationError> {
        let session = self.connect()?;
        migrations::check(&session, &self.settings.schema)?;
        session.batch("set up the connection", &format!("SET search_path TO \"{}\"", self.settings.schema))?;
        session.batch("set up the connection", include_str!("session.sql"))?;
        Ok(session)
    }

    /// A connection to the database, whatever stands in it.
    pub(super) fn connect(&self) -> Result<Session, DestinationError> {
        let config = self.config()?;
        let server: Arc<str> = describe(&config).into();
        let connect = async {
            match config.get_ssl_mode() {
                SslMode::Disable => {
                    let (client, connection) = config.connect(NoTls).await?;
                    // What breaks a connection is said by the next statement on it.
                    tokio::spawn(async { drop(connection.await) });
                    Ok(client)
                }
                _ => {
                    let (client, connection) = config.connect(self.encryption()?).await?;
                    tokio::spawn(async { drop(connection.await) });
                    Ok(client)
                }
            }
        };
        let timeout = self.settings.connect_timeout;
        let connected = self.runtime.block_on(async { tokio::time::timeout(timeout, connect).await });
        let client = match connected {
            Ok(Ok(client)) => client,
            Ok(Err(Refused::Server(source))) => {
                return Err(DestinationError::Connect { server: server.to_string(), source: source.into() });
            }
            Ok(Err(Refused::Here(error))) => return Err(error),
            Err(_) => return Err(DestinationError::NoAnswer { server: server.to_string(), timeout }),
        };
        let session = Session::new(client, self.runtime.handle(), server);
        session.batch("set up the connection", SETTINGS)?;
        Ok(session)
    }

    fn config(&self) -> Result<Config, DestinationError> {
        let mut config = match &self.settings.address {
            Address::Url(reference) => {
                let url = self.secrets.resolve(reference)?.value;
                // What is wrong with it is not repeated: that could be a part of the password.
                let config: Config = url.expose_secret().parse().map_err(|_| DestinationError::PostgresUrl)?;
                if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
                    return Err(DestinationError::PostgresUrl);
                }
                config
            }
            Address::Parts { host, port, database, user, password } => {
                let mut config = Config::new();
                config.host(host).port(*port).dbname(database).user(user);
                if let Some(reference) = password {
                    config.password(self.secrets.resolve(reference)?.value.expose_secret());
                }
                config
            }
        };
        // A socket of this machine is not encrypted: nobody listens between.
        let local =
            config.get_hosts().iter().all(|host| matches!(host, Host::Unix(_))) && !config.get_hosts().is_empty();
        config
            .ssl_mode(if local || self.settings.tls == Tls::Off { SslMode::Disable } else { SslMode::Require })
            .application_name(format!("gristmill {}", self.settings.schema))
            .connect_timeout(self.settings.connect_timeout)
            .tcp_user_timeout(UNACKNOWLEDGED)
            .keepalives(true)
            .keepalives_idle(KEEPALIVE_IDLE)
            .keepalives_interval(KEEPALIVE_INTERVAL)
            .keepalives_retries(KEEPALIVE_RETRIES);
        Ok(config)
    }

    fn encryption(&self) -> Result<Encryption, DestinationError> {
        let ca_file: Option<&Path> = self.settings.ca_file.as_deref();
        Ok(match self.settings.tls {
            Tls::VerifyFull => Encryption::verified(ca_file)?,
            Tls::Require | Tls::Off => Encryption::unverified()?,
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn closed_one(&self) {
        let mut kept = self.lock();
        kept.open = kept.open.saturating_sub(1);
        drop(kept);
        self.returned.notify_one();
    }
}

/// Why there is no connection.
enum Refused {
    Server(tokio_postgres::Error),
    Here(DestinationError),
}

impl From<tokio_postgres::Error> for Refused {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Server(error)
    }
}

impl From<DestinationError> for Refused {
    fn from(error: DestinationError) -> Self {
        Self::Here(error)
    }
}

/// The servers and the database, for people.
fn describe(config: &Config) -> String {
    let ports = config.get_ports();
    let port = |index: usize| ports.get(index).or(ports.first()).copied().unwrap_or(5432);
    let hosts = config.get_hosts().iter().enumerate().map(|(index, host)| match host {
        Host::Tcp(name) => format!("{name}:{}", port(index)),
        Host::Unix(path) => format!("{}:{}", path.display(), port(index)),
    });
    let mut hosts: Vec<String> = hosts.collect();
    if hosts.is_empty() {
        hosts.extend(
            config.get_hostaddrs().iter().enumerate().map(|(index, address)| format!("{address}:{}", port(index))),
        );
    }
    format!("{}/{}", hosts.join(","), config.get_dbname().unwrap_or_default())
}
