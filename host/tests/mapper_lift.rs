//! The seeds of the fuzz target `lift`, and what fuzzing found, taken once more without a fuzzer.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::Path;

use gristmill::worker::Launcher;

#[path = "../../tests/fuzz/src/lib.rs"]
mod lift;

#[global_allocator]
static ALLOCATOR: lift::Counted = lift::Counted;

/// What one seed comes to.
fn run(lift: &lift::Lift, seed: &Path) -> usize {
    println!("{}", seed.display());
    lift.run(&fs::read(seed).unwrap())
}

/// I6
#[test]
fn what_was_fuzzed_keeps_its_promises() {
    let lift = lift::Lift::new(Launcher::at(env!("CARGO_BIN_EXE_gristmill")));
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus/lift");
    for seed in fs::read_dir(&corpus).unwrap() {
        run(&lift, &seed.unwrap().path());
    }
    // These are right from end to end: the layout, two batches and the end of the table.
    for whole in ["accounts-plain", "accounts-raw", "usage-plain", "usage-raw"] {
        assert_eq!(run(&lift, &corpus.join(whole)), 4, "{whole}");
    }
    assert_eq!(run(&lift, &corpus.join("faults")), 1);
}
