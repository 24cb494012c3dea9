//! Test support.

pub mod servers;
