//! Test support.

<<<<<<< HEAD
pub mod demo;
=======
pub mod daemon;
>>>>>>> e2e
pub mod servers;
