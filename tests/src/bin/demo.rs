//! `make demo`: the whole job on real files, on this machine alone. See `gristmill_tests::demo`.

use std::process::ExitCode;

fn main() -> ExitCode {
    gristmill_tests::demo::main()
}
