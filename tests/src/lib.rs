//! Test support.

pub mod process;
pub mod servers;
