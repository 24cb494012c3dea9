//! One file per subcommand; it talks to the modules below and knows no SDK, redb or wasmtime.
