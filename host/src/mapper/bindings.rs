//! The contract as Rust types, generated from the WIT: what goes in borrows from Arrow's buffers, what comes out is
//! owned and not yet trusted.
#![allow(dead_code, missing_docs, clippy::all, reason = "generated")]

wasmtime::component::bindgen!({
    path: "../wit/0.1.0",
    world: "mapper",
    ownership: Borrowing { duplicate_if_necessary: true },
});

pub(super) use self::gristmill::mapper::{columns, log, types};
pub(super) use exports::gristmill::mapper::{field_mapping, product_usage};
