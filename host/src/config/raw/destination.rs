//! `[destinations.NAME]`.

use super::tables;

tables! {
    /// Where records go. Without any such table there is one destination, `main`: a SQLite store in the state directory.
    /// A destination needs exactly one of the tables `sqlite` and `files`.
    struct RawDestination {
        /// The only tenant whose integrations may use this destination. The default is any; tenants are kept apart in
        /// any case.
        ///
        /// ```toml
        /// tenant = "acme"
        /// ```
        tenant: String,
        /// SQLite stores.
        sqlite: RawSqlite,
        /// Files of records.
        files: RawFiles,
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

    /// NDJSON files of account and usage records, one directory for each object taken.
    struct RawFiles {
        /// Their directory. A relative path begins at the state directory. Required.
        ///
        /// ```toml
        /// path = "records"
        /// ```
        path: String,
    }
}
