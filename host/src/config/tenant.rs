//! What the files of one tenant may take together.

use serde::Serialize;

use super::ByteSize;
use crate::object::Share;

/// What the files of one tenant may take together, beside what each of them may take.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Tenant {
    /// Files in work at once; at least 1.
    pub files_at_once: usize,
    /// The memory limits of all instances of custom mappers in work, added up. One file in work may have more.
    pub mapper_memory: ByteSize,
    /// The part of the processors that may go into more than what files warrant by their size.
    pub processor_share: Share,
}
