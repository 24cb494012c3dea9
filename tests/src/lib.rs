//! Test support.

pub mod demo;
pub mod servers;
