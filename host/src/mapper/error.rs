//! Why a mapper gave nothing, or was not taken.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::object::ComponentDigest;

/// Why a mapper gave nothing, or was not taken. Texts that come from a component are capped, and their control
/// characters escaped.
#[derive(Debug, thiserror::Error)]
pub enum MapperError {
    /// The mapper itself fails the file, as the contract provides.
    #[error("{0}")]
    Fault(Fault),
    /// The component ran into a trap.
    #[error("the mapper trapped: {what}")]
    Trap {
        /// The trap, and the function it happened in where its name is known.
        what: String,
    },
    /// The component took too long.
    #[error("the mapper took more than {limit:?} of {span}")]
    Deadline {
        /// What it had.
        limit: Duration,
        /// Of which time.
        span: Span,
    },
    /// The component wanted more linear memory than it may have.
    #[error("the mapper wanted more than {limit} bytes of memory")]
    Memory {
        /// Bytes, all its memories together.
        limit: usize,
    },
    /// The component wanted more table elements or tables than it may have.
    #[error("the mapper wanted more than {limit} {what}")]
    Tables {
        /// How many, all its tables together.
        limit: usize,
        /// Elements or tables.
        what: &'static str,
    },
    /// The component consists of more instances or memories than it may have.
    #[error("the mapper consists of more than {limit} {what}")]
    Instances {
        /// How many.
        limit: usize,
        /// Instances or memories.
        what: &'static str,
    },
    /// The component holds more handles than it may have.
    #[error("the mapper holds more than {limit} handles")]
    Handles {
        /// How many.
        limit: usize,
    },
    /// The component returned, or wrote at once, more than its input warrants.
    #[error("the mapper returned more than {limit} bytes at once")]
    OutputTooLarge {
        /// Bytes.
        limit: usize,
    },
    /// What the component returned is not what the contract says.
    #[error("the mapper returned what it must not: {what}")]
    BadOutput {
        /// Where, and what is wrong there.
        what: String,
    },
    /// The component imports what no mapper gets.
    #[error("a mapper must not import `{name}`")]
    ForbiddenImport {
        /// The import.
        name: String,
    },
    /// The component is no mapper.
    #[error("the component is no mapper: {what}")]
    WrongWorld {
        /// What is missing, or differs from the contract.
        what: String,
    },
    /// The mapper was built for a version of the contract that this program does not know.
    #[error("the mapper was built for version `{found}` of the contract, this version knows `{known}`")]
    UnknownVersion {
        /// What it was built for.
        found: String,
        /// What is known.
        known: &'static str,
    },
    /// The file is not a WebAssembly component.
    #[error("not a WebAssembly component: {what}")]
    NotAComponent {
        /// What it is instead.
        what: String,
    },
    /// The file is larger than a component may be.
    #[error("the component is larger than {limit} bytes")]
    TooLarge {
        /// Bytes.
        limit: u64,
    },
    /// The file is not the one that the configuration pins.
    #[error("the component has SHA-256 `{found}`, pinned is `{pinned}`")]
    DigestMismatch {
        /// What the configuration says.
        pinned: ComponentDigest,
        /// What the file has.
        found: ComponentDigest,
    },
    /// The configuration asks for a signature, and this is none that counts.
    #[error("the component's signature `{}` does not count: {reason}", path.display())]
    Unsigned {
        /// The signature's file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The component could not be compiled within its limits. The same bytes are not tried again.
    #[error("cannot compile the component: {reason}")]
    Compile {
        /// Why not.
        reason: String,
    },
    /// The mapper has no such transform.
    #[error("the mapper has no {transform}")]
    NoTransform {
        /// Field mapping or product usage.
        transform: &'static str,
    },
    /// The caller did not keep to the order of calls, or passed a batch that does not fit the open table.
    #[error("cannot hand rows to the mapper: {what}")]
    Input {
        /// What does not fit.
        what: &'static str,
    },
    /// The worker that compiles could not do its work, for a reason that says nothing of the component.
    #[error("cannot compile the component")]
    Worker(#[source] crate::worker::WorkerError),
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
    /// The engine itself failed.
    #[error("cannot {what}")]
    Engine {
        /// The step.
        what: &'static str,
        /// The engine's own words.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Whose mistake an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The file's: the mapper says that it cannot be mapped.
    File,
    /// The mapper's.
    Mapper,
    /// The configuration's.
    Configuration,
    /// This program's, or the machine's: the same file may pass later.
    Ours,
}

/// Which time a deadline counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// Processor time of one batch.
    BatchProcessor,
    /// Processor time of one file.
    FileProcessor,
    /// Time by the clock of one batch: the backstop for a thread that gets no processor.
    BatchClock,
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BatchProcessor => "processor time for one batch",
            Self::FileProcessor => "processor time for one file",
            Self::BatchClock => "time for one batch",
        })
    }
}

/// What a mapper finds wrong with a whole file, or with its settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// A stable code of letters, digits, `-` and `_`, at most 64 bytes.
    pub code: String,
    /// A sentence without a full stop.
    pub message: String,
    /// The table-wide row at fault, where the mapper names one; whether there is such a row was not checked.
    pub row: Option<u32>,
    /// The header index at fault, where the mapper names one; whether there is such a column was not checked.
    pub column: Option<u32>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (`{}`)", self.message, self.code)
    }
}

impl MapperError {
    /// Whose mistake it is.
    pub fn blame(&self) -> Blame {
        match self {
            Self::Fault(_) => Blame::File,
            Self::Trap { .. }
            | Self::Deadline { .. }
            | Self::Memory { .. }
            | Self::Tables { .. }
            | Self::Instances { .. }
            | Self::Handles { .. }
            | Self::OutputTooLarge { .. }
            | Self::BadOutput { .. }
            | Self::ForbiddenImport { .. }
            | Self::WrongWorld { .. }
            | Self::UnknownVersion { .. }
            | Self::NotAComponent { .. }
            | Self::TooLarge { .. }
            | Self::Compile { .. } => Blame::Mapper,
            Self::DigestMismatch { .. } | Self::Unsigned { .. } | Self::NoTransform { .. } => Blame::Configuration,
            Self::Input { .. } | Self::Worker(_) | Self::Io { .. } | Self::Engine { .. } => Blame::Ours,
        }
    }

    /// Whether the component is to blame, so that the same file with the same mapper fails again.
    pub fn is_mappers_fault(&self) -> bool {
        self.blame() == Blame::Mapper
    }

    /// A stable code: the mapper's own for a [`Fault`], else one that starts with `mapper-`.
    pub fn code(&self) -> &str {
        match self {
            Self::Fault(fault) => &fault.code,
            Self::Trap { .. } => "mapper-trap",
            Self::Deadline { .. } => "mapper-deadline",
            Self::Memory { .. } => "mapper-memory",
            Self::Tables { .. } => "mapper-tables",
            Self::Instances { .. } => "mapper-instances",
            Self::Handles { .. } => "mapper-handles",
            Self::OutputTooLarge { .. } => "mapper-output-too-large",
            Self::BadOutput { .. } => "mapper-bad-output",
            Self::ForbiddenImport { .. } => "mapper-forbidden-import",
            Self::WrongWorld { .. } => "mapper-wrong-world",
            Self::UnknownVersion { .. } => "mapper-unknown-version",
            Self::NotAComponent { .. } => "mapper-not-a-component",
            Self::TooLarge { .. } => "mapper-too-large",
            Self::DigestMismatch { .. } => "mapper-digest-mismatch",
            Self::Unsigned { .. } => "mapper-unsigned",
            Self::Compile { .. } => "mapper-compile",
            Self::NoTransform { .. } => "mapper-no-transform",
            Self::Input { .. } => "mapper-input",
            Self::Worker(_) => "mapper-worker",
            Self::Io { .. } => "mapper-io",
            Self::Engine { .. } => "mapper-engine",
        }
    }
}

/// What a component returned that it must not have; the text may name where.
#[derive(Debug)]
pub(super) struct Bad(pub(super) String);

impl Bad {
    /// The same, said of a part of something larger.
    pub(super) fn of(self, part: impl fmt::Display) -> Self {
        Self(format!("{part}: {}", self.0))
    }
}

impl From<Bad> for MapperError {
    fn from(Bad(what): Bad) -> Self {
        Self::BadOutput { what }
    }
}
