//! The flow, second screen: one object.
