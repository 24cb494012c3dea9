//! The `gristmill` binary: arguments to exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    // A worker is this binary, too; it must limit itself before anything else runs.
    if let Some(ended) = gristmill::worker::child_entry(std::env::args_os()) {
        return ended;
    }
    gristmill::cli::main()
}
