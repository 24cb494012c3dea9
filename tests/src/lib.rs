//! Test support.

pub mod daemon;
pub mod demo;
pub mod servers;
