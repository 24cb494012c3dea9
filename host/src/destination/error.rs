//! Why records could not be stored, whose fault it is, and what a person can do about it.

use std::time::Duration;

use super::postgres::TlsError;
use crate::object::{DedupKey, IntegrationName, Site};
use crate::secrets::SecretError;

/// Why records could not be stored.
#[derive(Debug, thiserror::Error)]
pub enum DestinationError {
    /// Every record was unmatched, so the file was not merged (R7).
    #[error("none of its {rows} rows matched an account")]
    NoAccountMatched {
        /// Rows.
        rows: u64,
    },
    /// More rows matched no account than the integration allows (R11).
    #[error("{unmatched} of {read} rows matched no account, and {limit}; the first is `{first}`")]
    TooManyUnmatched {
        /// How many.
        unmatched: u64,
        /// Of how many.
        read: u64,
        /// The limit.
        limit: String,
        /// The identifier of the first.
        first: String,
    },
    /// Some rows matched none, or no one, and the integration wants all to.
    #[error("{rows} {} matched {what}; the first is `{first}`", if *rows == 1 { "row" } else { "rows" })]
    NotMatched {
        /// How many.
        rows: u64,
        /// What they matched instead of one account.
        what: &'static str,
        /// The identifier of the first.
        first: String,
    },
    /// Mended rows of an object that was not merged here, or was taken back.
    #[error("nothing was taken of `{origin}`, where its mended rows come from")]
    OriginNotTaken {
        /// That object.
        origin: DedupKey,
    },
    /// A row that is said to be mended was not refused: a replay took it, or nobody ever refused it.
    #[error("`{row}` is not among the rows that were refused")]
    NotRefused {
        /// The row, as its reject file names it.
        row: String,
    },
    /// A row was mended before in company, and this file does not bring the others.
    #[error("`{row}` was mended by `{by}` together with rows that this file does not have")]
    MendedInCompany {
        /// The row, as its reject file names it.
        row: String,
        /// The key of the file that mended it.
        by: String,
    },
    /// Rows of an object were mended while it was taken again.
    #[error("rows of the object were mended while it was taken again")]
    MendedMeanwhile,
    /// A field is already stored with another type.
    #[error("field `{field}` is stored as {stored}, the mapper brings {brought}")]
    FieldType {
        /// The field's key.
        field: String,
        /// The stored type.
        stored: String,
        /// The type that came.
        brought: String,
    },
    /// A list of users brings something that users do not have.
    #[error("users have an id, an address and a name, and the mapping brings {brought}")]
    NotOfUsers {
        /// What it is.
        brought: String,
    },
    /// It keeps records, not accounts.
    #[error("this destination cannot be asked for its accounts or users")]
    CannotTell,
    /// Usage values of one record do not add up within 64 bits.
    #[error("the usage values of one period add up to more than 64 bits hold")]
    Overflow,
    /// SQLite refused.
    #[error("cannot {what} in `{path}`")]
    Sqlite {
        /// The step.
        what: &'static str,
        /// The store's file.
        path: String,
        /// SQLite's own words.
        #[source]
        source: rusqlite::Error,
    },
    /// The file system refused.
    #[error("cannot {what} `{path}`")]
    Io {
        /// The step.
        what: &'static str,
        /// The file or directory.
        path: String,
        /// The system's own words.
        #[source]
        source: std::io::Error,
    },
    /// There is no connection to PostgreSQL: nobody answers, or it does not let us in.
    #[error("cannot connect to PostgreSQL at `{server}`")]
    Connect {
        /// The server and the database.
        server: String,
        /// What was said, or went wrong.
        #[source]
        source: Box<tokio_postgres::Error>,
    },
    /// PostgreSQL refused, or the connection to it broke.
    #[error("cannot {what} in PostgreSQL at `{server}`")]
    Postgres {
        /// The step.
        what: &'static str,
        /// The server and the database.
        server: String,
        /// The server's own words.
        #[source]
        source: Box<tokio_postgres::Error>,
    },
    /// PostgreSQL does not answer.
    #[error("no answer from PostgreSQL at `{server}` within {timeout:?}")]
    NoAnswer {
        /// The server and the database.
        server: String,
        /// How long was waited.
        timeout: Duration,
    },
    /// An identifier, user, field, product or metric has a name that no index can hold.
    #[error("an identifier or a name is longer than the store can look up")]
    KeyTooLong {
        /// The server's own words.
        #[source]
        source: Box<tokio_postgres::Error>,
    },
    /// A secret could not be read.
    #[error("cannot read the destination's secret")]
    Secret(#[from] SecretError),
    /// The secret is no connection URL. It is not repeated.
    #[error("the secret is not a PostgreSQL connection URL with a host")]
    PostgresUrl,
    /// Connections cannot be encrypted.
    #[error("cannot encrypt connections")]
    Tls(#[from] TlsError),
    /// Threads for the connections could not be started.
    #[error("cannot start a thread for connections")]
    Runtime(#[source] std::io::Error),
    /// The receiver of a webhook did not take a batch, and may take it yet.
    #[error("batch {batch} was not taken: {reason}")]
    BatchNotTaken {
        /// Its number, from 1.
        batch: u32,
        /// What the receiver said, or that it said nothing.
        reason: String,
    },
    /// The receiver of a webhook refused a batch for good.
    #[error("batch {batch} was refused with {status} (`{excerpt}`); it is kept in `{kept}`")]
    BatchRefused {
        /// Its number, from 1.
        batch: u32,
        /// The status.
        status: u16,
        /// The beginning of the answer, without secrets.
        excerpt: String,
        /// Where the batch is kept.
        kept: String,
    },
    /// The receiver of a webhook wants to be left alone for longer than a merge waits.
    #[error("the receiver wants nothing for another {} seconds", pause.as_secs())]
    ReceiverPauses {
        /// For how long.
        pause: Duration,
    },
    /// The address of a webhook stands in a secret, and may not be posted to. It is not repeated.
    #[error("the secret is not an address that may be posted to")]
    ReceiverAddress,
    /// A stop was asked for; the rest is for the next start.
    #[error("stopped before everything was sent")]
    Stopped,
    /// Something of ours does not stand in the store as we wrote it.
    #[error("the store holds `{value}` where a {what} is expected")]
    Damaged {
        /// What is expected.
        what: &'static str,
        /// What stands there.
        value: String,
    },
    /// An integration cannot take over what another one of its name has.
    #[error("there are records of `{from}`, and of `{to}` as well")]
    BothNames {
        /// The former name.
        from: IntegrationName,
        /// The name now.
        to: IntegrationName,
    },
    /// An object cannot take the place of another one.
    #[error("there are records of objects in {to} that have the keys of others in {from}")]
    BothPlaces {
        /// Where the objects were.
        from: Box<Site>,
        /// Where they are.
        to: Box<Site>,
    },
    /// The database cannot hold every character.
    #[error("the database at `{server}` has the encoding {encoding}, not UTF8")]
    Encoding {
        /// The server and the database.
        server: String,
        /// Its encoding.
        encoding: String,
    },
    /// The schema holds somebody else's tables.
    #[error("the schema `{schema}` at `{server}` holds other tables")]
    Occupied {
        /// The schema.
        schema: String,
        /// The server and the database.
        server: String,
    },
    /// The store was made by an older version, or not at all.
    #[error("`{path}` has schema version {found}, this version needs {known}")]
    Unmigrated {
        /// The store.
        path: String,
        /// What stands there; 0 for nothing.
        found: i64,
        /// What is needed.
        known: i64,
    },
    /// The store was written by a newer version.
    #[error("`{path}` has schema version {found}, this version reads up to {known}")]
    Schema {
        /// The store's file.
        path: String,
        /// What stands there.
        found: i64,
        /// What is known.
        known: i64,
    },
}

impl DestinationError {
    /// Whether what the file and its mapping bring is to blame: no repetition helps, but another mapping may.
    pub fn is_files_fault(&self) -> bool {
        matches!(
            self,
            Self::FieldType { .. }
                | Self::Overflow
                | Self::KeyTooLong { .. }
                | Self::NotRefused { .. }
                | Self::NotOfUsers { .. }
                | Self::MendedInCompany { .. }
                | Self::BatchRefused { .. }
        )
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unmigrated { .. } => Some("run `gristmill destination migrate NAME` with the destination's name"),
            Self::Occupied { .. } => Some("name another `schema`; it is made by the migration"),
            Self::Encoding { .. } => Some("make the database with `ENCODING 'UTF8'`"),
            Self::BothNames { .. } => {
                Some("give the integration a name that none had before, in this destination either")
            }
            Self::BothPlaces { .. } => Some(
                "the integration had files there at an earlier time; nothing is taken until the records of the one or the \
                 other are taken out of the store",
            ),
            Self::PostgresUrl => Some(
                "postgresql://USER:PASSWORD@HOST:PORT/DATABASE is expected, without `sslmode`: `tls` and `ca_file` say that",
            ),
            Self::KeyTooLong { .. } => {
                Some("PostgreSQL's indexes hold some 2,700 bytes; see that the right columns are mapped")
            }
            Self::NoAccountMatched { .. } => Some(
                "see that the identifier's column and `match` are right, let another file bring the accounts first, or set \
                 `on_no_match = \"create\"` under `matching`",
            ),
            Self::TooManyUnmatched { .. } => Some(
                "see `gristmill test` for the rows; load the accounts and use `gristmill replay` with `--unmatched`, or mend the \
                 identifiers",
            ),
            Self::NotMatched { .. } => {
                Some("see `gristmill test` for the rows, or let `skip` leave such rows out under `matching`")
            }
            Self::FieldType { .. } => Some("give the field the stored type, or another key"),
            Self::NotOfUsers { .. } => Some(
                "name an integration with one identifier, which has `match = \"id\"`, and the fields `email` and `name`",
            ),
            Self::Schema { .. } => Some("run the version that wrote the store, or a newer one"),
            Self::OriginNotTaken { .. } => {
                Some("replay that object first; this file is tried again by itself for a day")
            }
            Self::NotRefused { .. } => Some(
                "take such rows out of the file; the newest reject file of the object has those that are left to mend",
            ),
            Self::MendedInCompany { .. } => {
                Some("upload either rows that nobody mended yet, or all of that file's rows again")
            }
            Self::BatchRefused { .. } => Some(
                "see what the receiver has against it, and mend that or the mapping; `gristmill replay` sends the whole file \
                 again",
            ),
            Self::BatchNotTaken { .. } => Some("it goes on with this batch by itself; see that the receiver is well"),
            Self::ReceiverAddress => {
                Some("an address that begins with `https://` is expected, or with `http://` for this machine")
            }
            Self::CannotTell
            | Self::ReceiverPauses { .. }
            | Self::Stopped
            | Self::MendedMeanwhile
            | Self::Overflow
            | Self::Sqlite { .. }
            | Self::Connect { .. }
            | Self::Postgres { .. }
            | Self::NoAnswer { .. }
            | Self::Secret(_)
            | Self::Tls(_)
            | Self::Runtime(_)
            | Self::Damaged { .. }
            | Self::Io { .. } => None,
        }
    }
}
