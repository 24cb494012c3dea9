//! Components: compile, cache, instantiate, call, limit. The only user of wasmtime; it knows no formats, S3 or destinations.
