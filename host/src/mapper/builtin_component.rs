//! The built-in mapper, as `build.rs` made it: a component like any other.

/// The component's bytes, of the world `gristmill:mapper/mapper@0.1.0`.
pub(crate) static COMPONENT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/builtin.component.wasm"));
