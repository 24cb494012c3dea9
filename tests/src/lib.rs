//! Test support.

pub mod daemon;
pub mod demo;
pub mod guests;
pub mod process;
pub mod servers;
pub mod services;
