//! `[destinations.NAME]`.

use super::{RawSecret, RawText, tables};
use crate::destination::files::{Compression, Format};
use crate::destination::postgres::Tls;

tables! {
    /// Where records go. Without any such table there is one destination, `main`: a SQLite store in the state directory.
    /// A destination needs exactly one of the tables `sqlite`, `postgres`, `files` and `webhook`.
    struct RawDestination {
        /// The only tenant whose integrations may use this destination. The default is any; tenants are kept apart in
        /// any case.
        ///
        /// ```toml
        /// tenant = "acme"
        /// ```
        tenant: String,
        /// For `webhook` and `files`: the destination that keeps the accounts (`sqlite` or `postgres`) whose ids
        /// the records get, as `account_id` (`_account_id` in Parquet). Identifiers are matched there as `matching` says, and rows without an account
        /// are left out; no account is created by that. The default is none: records get their identifiers alone.
        ///
        /// ```text
        /// resolve = "main"
        /// ```
        resolve: String,
        /// SQLite stores.
        sqlite: RawSqlite,
        /// A PostgreSQL store.
        postgres: RawPostgres,
        /// Files of records.
        files: RawFiles,
        /// A webhook that records are posted to.
        webhook: RawWebhook,
    }

    /// SQLite stores, one file a tenant: accounts, usage, ingestions and rejects.
    struct RawSqlite {
        /// Their directory. A relative path begins at the state directory. The default is `store` there.
        ///
        /// ```toml
        /// path = "store"
        /// ```
        path: String,
    }

    /// A PostgreSQL store, all tenants in one schema: accounts, usage, ingestions and rejects. PostgreSQL 14 or newer. It
    /// is made, and brought to a newer version's schema, by `gristmill destination migrate NAME`. Needs either `host` or
    /// `url`.
    struct RawPostgres {
        /// The server's name or address, or the directory of its Unix socket. Required, unless `url` says it.
        ///
        /// ```toml
        /// host = "db.example.com"
        /// ```
        host: String,
        /// The server's port. The default is 5432.
        ///
        /// ```toml
        /// port = 5432
        /// ```
        port: i64,
        /// The database. The default is `gristmill`.
        ///
        /// ```toml
        /// database = "gristmill"
        /// ```
        database: String,
        /// The role. The default is `gristmill`.
        ///
        /// ```toml
        /// user = "gristmill"
        /// ```
        user: String,
        /// A reference to the role's password. The default is none, for servers that ask for none.
        ///
        /// ```toml
        /// password = { credential = "postgres-password" }
        /// ```
        password: RawSecret,
        /// A reference to a connection URL, `postgresql://USER:PASSWORD@HOST:PORT/DATABASE`, in the place of `host`, `port`,
        /// `database`, `user` and `password`.
        ///
        /// ```text
        /// url = { credential = "postgres-url" }
        /// ```
        url: RawSecret,
        /// Whether the connection is encrypted: `verify-full`, with a certificate for the host's name from a trusted
        /// authority; `require`, with whoever answers; `off`. A Unix socket never is. The default is `verify-full`.
        ///
        /// ```toml
        /// tls = "verify-full"
        /// ```
        tls: Tls,
        /// A file of the authorities that vouch for the server, in PEM. The default are those of the system.
        ///
        /// ```toml
        /// ca_file = "/etc/gristmill/postgres-ca.pem"
        /// ```
        ca_file: String,
        /// The schema that everything stands in. The default is `gristmill`.
        ///
        /// ```toml
        /// schema = "gristmill"
        /// ```
        schema: String,
        /// How long opening a connection may take. The default is `10s`.
        ///
        /// ```toml
        /// connect_timeout = "10s"
        /// ```
        connect_timeout: String,
        /// At most so many connections at once; each file at work holds one. The default is 5.
        ///
        /// ```toml
        /// connections = 5
        /// ```
        connections: i64,
    }

    /// Files of account and usage records, one directory for each object taken.
    struct RawFiles {
        /// Their directory. A relative path begins at the state directory. Required.
        ///
        /// ```toml
        /// path = "records"
        /// ```
        path: String,
        /// What the files are: `ndjson`, lines of JSON; `parquet`, typed columns. What is there stays as it is until its
        /// object is replayed. The default is `ndjson`.
        ///
        /// ```toml
        /// format = "ndjson"
        /// ```
        format: Format,
        /// How the files are compressed: `none`, `gzip` or `zstd`. Lines as a whole, so that their names end in `.gz` or
        /// `.zst`; Parquet page by page, as its readers expect it. The default is `none` for lines, `zstd` for Parquet.
        ///
        /// ```toml
        /// compression = "none"
        /// ```
        compression: Compression,
    }
    /// A webhook that is sent account and usage records, in batches of JSON. It gets each batch at least once, under an id
    /// that stays the same: docs/destinations.md says what its receiver does.
    struct RawWebhook {
        /// Its address, or a reference to it. Required. It begins with `https://`, or with `http://` for this machine.
        ///
        /// ```toml
        /// url = "https://records.example.com/gristmill"
        /// ```
        url: RawText,
        /// A reference to the secret that each batch is signed with. Required. The header
        /// `gristmill-signature: t=SECONDS,v1=HEX` holds the HMAC-SHA256 of `SECONDS.BODY`.
        ///
        /// ```toml
        /// secret = { credential = "records-secret" }
        /// ```
        secret: RawSecret,
        /// How long it may take to answer. The default is `30s`, and `5m` the longest.
        ///
        /// ```toml
        /// timeout = "30s"
        /// ```
        timeout: String,
        /// At most so many records in a batch. The default is 500.
        ///
        /// ```toml
        /// batch_records = 500
        /// ```
        batch_records: i64,
        /// How large a batch may grow, unless a single record is larger. The default is `1MiB`.
        ///
        /// ```toml
        /// batch_size = "1MiB"
        /// ```
        batch_size: String,
    }
}
