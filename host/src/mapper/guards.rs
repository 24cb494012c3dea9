//! Which guards are on while guests run: all of them, in everything that the program does. A benchmark leaves some out, to
//! say what each costs; no configuration and no command can.
//!
//! What takes no time is not here, for there is nothing to measure: pages that nobody may touch around memories and
//! stacks, imports, digests, seals, and the cap on log lines for a mapper that writes none.

use serde::{Deserialize, Serialize};

/// A guard that costs time for every batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// Loops and functions ask whether their time is up, and a thread sees to it that they learn it.
    Deadlines,
    /// Memories and tables are counted as they grow.
    Growth,
    /// What a call returns is counted as it is copied out.
    Output,
}

/// The guards that are on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guards {
    deadlines: bool,
    growth: bool,
    output: bool,
}

impl Guards {
    /// Every guard there is.
    pub const ALL: Self = Self { deadlines: true, growth: true, output: true };

    /// The same without one of them.
    pub fn without(self, guard: Guard) -> Self {
        match guard {
            Guard::Deadlines => Self { deadlines: false, ..self },
            Guard::Growth => Self { growth: false, ..self },
            Guard::Output => Self { output: false, ..self },
        }
    }

    /// Whether a guard is on.
    pub(super) fn has(self, guard: Guard) -> bool {
        match guard {
            Guard::Deadlines => self.deadlines,
            Guard::Growth => self.growth,
            Guard::Output => self.output,
        }
    }
}
