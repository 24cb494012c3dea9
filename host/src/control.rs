//! The local socket that the command line speaks to. It knows neither wasmtime nor SDKs.
