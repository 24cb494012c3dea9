//! What a guest returns: `cargo fuzz run --fuzz-dir tests/fuzz -s none lift`.
#![no_main]

use std::process::{ExitCode, exit};
use std::sync::LazyLock;

use gristmill::worker::{Launcher, child_entry};
use gristmill_fuzz::{Counted, Lift};

#[global_allocator]
static ALLOCATOR: Counted = Counted;

static LIFT: LazyLock<Lift> = LazyLock::new(|| Lift::new(Launcher::this_binary()));

libfuzzer_sys::fuzz_target!(
    init: {
        // The guest is compiled by a worker process, and that is this program again.
        if let Some(ended) = child_entry(std::env::args_os()) {
            exit(i32::from(ended != ExitCode::SUCCESS));
        }
        LazyLock::force(&LIFT);
    },
    |input: &[u8]| {
        LIFT.run(input);
    }
);
