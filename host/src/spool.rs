//! The local copy of an object: its size, checksum and ETag are verified before anything reads it. It knows no formats.
