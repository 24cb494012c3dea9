//! The flow, first screen: one pass.
