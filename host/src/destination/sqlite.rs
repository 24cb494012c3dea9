//! Accounts and usage in SQLite, one file a tenant.
