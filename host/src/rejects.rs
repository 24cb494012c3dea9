//! The reject file. It does not know who rejected.
