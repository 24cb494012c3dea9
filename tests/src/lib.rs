//! Test support.

pub mod daemon;
pub mod servers;
