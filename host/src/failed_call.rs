//! Calls on which a mapper failed, saved as files so that they can be made again.
//!
//! A [`FailedCall`] is what a mapper was handed when it failed. [`FailedCalls`] saves those that the configuration wants;
//! [`read`] reads one, [`saved`] lists them. It knows no wasmtime, destination or ledger.
//!
//! # Files
//!
//! `failed-calls/MAPPER/TIME-INTEGRATION.arrow` in the state directory: an Arrow IPC file, with the rows as its columns
//! under the names of the header, and everything else as JSON in the metadata of its schema.
//!
//! # Invariants
//!
//! - No credential is in a file: it has what the mapper itself got, and a mapper gets none (I5).
//! - A mapper's files are never more, nor larger together, than the configuration allows; the oldest go first.
//! - Directories and files are the daemon's user's alone (0700, 0600), and a file is whole or not there.

use std::fmt;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::batch::Batch;
use crate::config::ByteSize;
use crate::mapper::{Limits, Source};
use crate::object::{ComponentDigest, TenantName};

mod file;
mod store;

pub use file::read;
pub use store::{FailedCalls, SavedCall, SavedCalls, directory_of, saved, saved_of};

/// What a mapper was handed when it failed.
#[derive(Clone)]
pub struct FailedCall {
    /// Everything but the rows.
    pub head: CallHead,
    /// The rows, where the call had any. Of the columns those that were decoded are here: what a mapper of the file wanted.
    pub batch: Option<Batch>,
}

/// A failed call without its rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallHead {
    /// The version of the contract that the component was spoken to in.
    pub contract: String,
    /// Which transform it was at work for.
    pub transform: TransformKind,
    /// Which call it failed in.
    pub step: Step,
    /// The mapper's name in the configuration.
    pub mapper: String,
    /// SHA-256 of its component.
    pub sha256: ComponentDigest,
    /// Whose file it was.
    pub tenant: TenantName,
    /// What the mapper might use.
    pub limits: Limits,
    /// Bytes of the file, from which its processor time follows.
    pub file_bytes: u64,
    /// The object, as the mapper knew it.
    pub source: Source,
    /// The table, from 0.
    pub table: u32,
    /// The table's header.
    pub header: Vec<String>,
    /// The mapper's settings, as JSON.
    pub settings: String,
    /// How it failed.
    pub failure: CallFailure,
}

/// How a mapper failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallFailure {
    /// A stable code.
    pub code: String,
    /// What it did.
    pub message: String,
    /// Where, when it was one row's doing: `at line 12`.
    pub place: Option<String>,
}

/// The transforms that a mapper may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum TransformKind {
    FieldMapping,
    ProductUsage,
}

/// The calls of a mapper at work on a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Its initialisers.
    Start,
    /// A table begins.
    Open,
    /// Some rows.
    MapBatch,
    /// A table ends.
    Finish,
}

impl fmt::Debug for FailedCall {
    /// Rows are for their owner alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CallHead { mapper, step, failure, .. } = &self.head;
        f.debug_struct("FailedCall")
            .field("mapper", mapper)
            .field("step", step)
            .field("code", &failure.code)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Step {
    /// As the contract names it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "start",
            Self::Open => "open",
            Self::MapBatch => "map-batch",
            Self::Finish => "finish",
        })
    }
}

/// Why a failed call could not be saved or read.
#[derive(Debug, thiserror::Error)]
pub enum FailedCallError {
    /// The file system refused.
    #[error("cannot {what} `{}`", path.display())]
    Io {
        /// The step.
        what: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's own words.
        #[source]
        source: std::io::Error,
    },
    /// It alone is larger than all of the mapper's may be together.
    #[error("its {size} bytes are more than `save_failed_size` allows ({limit})")]
    TooLarge {
        /// Bytes.
        size: u64,
        /// The limit.
        limit: ByteSize,
    },
    /// It could not be written as a file.
    #[error("the call has no form as a file: {0}")]
    Form(String),
    /// The file is none of ours, or damaged.
    #[error("`{}` is not a saved call: {reason}", path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// When a call was saved, and by which version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saving {
    /// When.
    pub at: Timestamp,
    /// The version of this program.
    pub version: String,
}

#[cfg(test)]
pub(crate) mod tests {
    use arrow_array::StringArray;
    use arrow_buffer::BooleanBuffer;

    use super::*;
    use crate::batch::{Cells, Issues};

    /// A call of a mapper with this many rows, from a mended reject file.
    pub(crate) fn call(mapper: &str, rows: usize) -> FailedCall {
        let column = |text: &str| StringArray::from_iter_values((0..rows).map(|row| format!("{text}{row}")));
        let typed = BooleanBuffer::from_iter((0..rows).map(|row| row % 2 == 0));
        let batch = Batch {
            first_row: 100,
            lines: (0..rows as u64).map(|row| row + 102).collect(),
            columns: vec![
                Some(Cells { text: column("id"), typed: None }),
                None,
                Some(Cells { text: column(""), typed: Some(typed) }),
                Some(Cells { text: column("origin"), typed: None }),
            ],
            issues: Issues::none(),
        };
        let source = Source {
            integration: "daily".into(),
            connection: "main".into(),
            bucket: "exports".into(),
            key: "daily/a.csv".into(),
            etag: "abc".into(),
            size: 10,
            last_modified: 1_750_000_000_000_000,
            sheet: None,
            timezone: "UTC".into(),
            today: 20_254,
        };
        let head = CallHead {
            contract: "0.1.0".into(),
            transform: TransformKind::FieldMapping,
            step: Step::MapBatch,
            mapper: mapper.into(),
            sha256: ComponentDigest::from_bytes([7; 32]),
            tenant: "default".parse().unwrap(),
            limits: Limits::default(),
            file_bytes: 10,
            source,
            table: 0,
            header: ["Account ID", "Name", "ARR"].map(str::to_owned).to_vec(),
            settings: "{}".into(),
            failure: CallFailure { code: "mapper-trap".into(), message: "it trapped".into(), place: None },
        };
        FailedCall { head, batch: Some(batch) }
    }

    #[test]
    fn rows_and_settings_do_not_show_in_debug_output() {
        let mut call = call("acme", 3);
        call.head.settings = "{\"canary\":1}".into();
        let shown = format!("{call:?}");
        assert!(!shown.contains("id0") && !shown.contains("canary"), "{shown}");
    }
}
