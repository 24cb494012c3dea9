//! The built-in mapper.
