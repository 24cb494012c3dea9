//! TOML text to a checked [`Config`]. It knows no network, no redb and no wasmtime.
