//! Bytes that follow a request's line.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The most bytes that may follow a request: twice what a component has by default.
pub const LARGEST_ATTACHMENT: u64 = 64 << 20;

/// Bytes that follow a request's line, which says how many they are.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    length: u64,
    #[serde(skip)]
    bytes: Vec<u8>,
}

impl Attachment {
    /// These bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self { length: bytes.len() as u64, bytes }
    }

    /// The bytes, once they have come.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many they are.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Puts the bytes there that came; says whether they are all.
    pub(super) fn fill(&mut self, bytes: Vec<u8>) -> bool {
        self.bytes = bytes;
        self.bytes.len() as u64 == self.length
    }
}

impl fmt::Debug for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.length)
    }
}
