//! The form in which records are written.

use serde::{Deserialize, Serialize};

/// What the files are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Lines of JSON.
    #[default]
    Ndjson,
    /// Typed columns.
    Parquet,
}

impl Format {
    /// What is usual: lines for whoever looks at them, and columns small.
    pub fn usual_compression(self) -> Compression {
        match self {
            Self::Ndjson => Compression::None,
            Self::Parquet => Compression::Zstd,
        }
    }
}

/// How they are made smaller: a file of lines as a whole, Parquet page by page. Always at the fastest level, since the
/// files of a busy bucket are written far more often than read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// DEFLATE, which everything reads.
    Gzip,
    /// Zstandard, smaller and faster.
    Zstd,
}

/// The format and how it is compressed. The default is plain lines of JSON.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Form {
    /// What the files are.
    pub format: Format,
    /// How they are made smaller.
    pub compression: Compression,
}
