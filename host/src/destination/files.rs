//! Records as NDJSON, one directory an identity.
