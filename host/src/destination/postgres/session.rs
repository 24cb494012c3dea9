//! One connection: running statements with errors that name the step and the server.
//!
//! Every call blocks on the pool's own runtime, whose thread moves the bytes.

use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures::SinkExt;
use tokio::runtime::Handle;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{FromSqlOwned, ToSql};
use tokio_postgres::{Client, Row};

use crate::destination::DestinationError;

/// How many rows are fetched at once.
const LOT: usize = 10_000;

/// Parameters of a statement.
pub(super) type Parameters<'p> = &'p [&'p (dyn ToSql + Sync)];

/// A connection whose search path leads to the schema.
pub(super) struct Session {
    client: Client,
    runtime: Handle,
    server: Arc<str>,
}

impl Session {
    pub(super) fn new(client: Client, runtime: Handle, server: Arc<str>) -> Self {
        Self { client, runtime, server }
    }

    /// Whether the server is known to be gone.
    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// The server, for people.
    pub(super) fn server(&self) -> &str {
        &self.server
    }

    /// Runs one statement; how many rows it changed.
    pub(super) fn run(
        &self,
        what: &'static str,
        sql: &str,
        parameters: Parameters<'_>,
    ) -> Result<u64, DestinationError> {
        self.runtime.block_on(self.client.execute(sql, parameters)).map_err(|source| self.failed(what, source))
    }

    /// Runs statements without parameters.
    pub(super) fn batch(&self, what: &'static str, sql: &str) -> Result<(), DestinationError> {
        self.runtime.block_on(self.client.batch_execute(sql)).map_err(|source| self.failed(what, source))
    }

    /// The only value of the only row.
    pub(super) fn value<T: FromSqlOwned>(
        &self,
        what: &'static str,
        sql: &str,
        parameters: Parameters<'_>,
    ) -> Result<T, DestinationError> {
        let row = self.runtime.block_on(self.client.query_one(sql, parameters));
        row.and_then(|row| row.try_get(0)).map_err(|source| self.failed(what, source))
    }

    /// The only value of the only row, a count.
    pub(super) fn count(&self, what: &'static str, sql: &str) -> Result<u64, DestinationError> {
        Ok(u64::try_from(self.value::<i64>(what, sql, &[])?).unwrap_or_default())
    }

    /// The first row, if there is one.
    pub(super) fn first<T>(
        &self,
        what: &'static str,
        sql: &str,
        parameters: Parameters<'_>,
        read: impl Fn(&Row) -> Result<T, tokio_postgres::Error>,
    ) -> Result<Option<T>, DestinationError> {
        Ok(self.rows(what, sql, parameters, read)?.into_iter().next())
    }

    /// Every row. For answers whose length is bounded by something small: settings, examples.
    pub(super) fn rows<T>(
        &self,
        what: &'static str,
        sql: &str,
        parameters: Parameters<'_>,
        read: impl Fn(&Row) -> Result<T, tokio_postgres::Error>,
    ) -> Result<Vec<T>, DestinationError> {
        let rows = self.runtime.block_on(self.client.query(sql, parameters));
        rows.and_then(|rows| rows.iter().map(read).collect()).map_err(|source| self.failed(what, source))
    }

    /// Every row in turn, some at a time, inside a transaction. Between two lots the connection is free for other work.
    pub(super) fn each<T>(
        &self,
        what: &'static str,
        sql: &str,
        parameters: Parameters<'_>,
        read: impl Fn(&Row) -> Result<T, tokio_postgres::Error>,
        mut work: impl FnMut(T) -> Result<(), DestinationError>,
    ) -> Result<(), DestinationError> {
        self.run(what, &format!("DECLARE in_turn NO SCROLL CURSOR FOR {sql}"), parameters)?;
        loop {
            let lot = self.rows(what, &format!("FETCH {LOT} FROM in_turn"), &[], &read)?;
            let is_last = lot.len() < LOT;
            lot.into_iter().try_for_each(&mut work)?;
            if is_last {
                break;
            }
        }
        self.batch(what, "CLOSE in_turn")
    }

    /// Copies rows in the binary form into a table.
    pub(super) fn copy(&self, what: &'static str, sql: &str, rows: Bytes) -> Result<(), DestinationError> {
        let copy = async {
            let mut sink = pin!(self.client.copy_in::<_, Bytes>(sql).await?);
            sink.send(rows).await?;
            sink.finish().await
        };
        self.runtime.block_on(copy).map(drop).map_err(|source| self.failed(what, source))
    }

    fn failed(&self, what: &'static str, source: tokio_postgres::Error) -> DestinationError {
        match source.code() {
            // An index takes texts of some 2,700 bytes; only keys of accounts, users, fields and metrics stand in one.
            Some(code) if *code == SqlState::PROGRAM_LIMIT_EXCEEDED => {
                DestinationError::KeyTooLong { source: source.into() }
            }
            Some(code) if *code == SqlState::NUMERIC_VALUE_OUT_OF_RANGE => DestinationError::Overflow,
            _ => DestinationError::Postgres { what, server: self.server.to_string(), source: source.into() },
        }
    }
}

/// Whether the transaction was given up in favour of another's and may simply be tried again.
pub(super) fn is_conflict(error: &DestinationError) -> bool {
    let DestinationError::Postgres { source, .. } = error else { return false };
    let conflicts =
        [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED, SqlState::LOCK_NOT_AVAILABLE];
    source.code().is_some_and(|code| conflicts.contains(code))
}

/// Whether the connection broke, so that a question may be asked again on another.
pub(super) fn is_disconnected(error: &DestinationError) -> bool {
    let DestinationError::Postgres { source, .. } = error else { return false };
    match source.code() {
        Some(code) => [SqlState::ADMIN_SHUTDOWN, SqlState::CRASH_SHUTDOWN].contains(code),
        // Without a word from the server it is the connection that failed.
        None => {
            source.is_closed() || std::error::Error::source(&**source).is_some_and(|cause| cause.is::<std::io::Error>())
        }
    }
}
