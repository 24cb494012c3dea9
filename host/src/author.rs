//! The author's side of a mapper: a project is begun, built, examined, and tried on a sample, by the same host and under the
//! same limits as in the daemon.
//!
//! It knows no connection, no ledger and no state directory: what it needs it is given, and what it writes goes into the
//! author's project alone.

mod build;
mod diff;
mod golden;
mod language;
mod project;
mod rehearsal;
mod replay;

pub use build::{BuildError, build};
pub use diff::{Difference, difference};
pub use golden::Records;
pub use language::{Language, Makes};
pub use project::{Project, ProjectError, ProjectName, ProjectNameError, begin};
pub use rehearsal::{Rehearsal, RehearsalError, Rehearsed, Sample, SampleIssue};
pub use replay::{Failing, ReplayError, Replayed, Replaying, replay};
