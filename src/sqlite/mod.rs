//! The only place that sees SQLite. Raw pointers stay in `api`, `args`, `connection`, `door` and `vtab`; the rest is plain Rust.

#![allow(unsafe_code)]

pub mod api;
pub mod args;
pub mod connection;
pub mod door;
pub mod functions;
pub mod identifier;
pub mod search;
pub mod source;
pub mod vec_topk;
pub mod vtab;

#[path = "../../sys/src/lib.rs"]
pub mod ffi;

#[cfg(test)]
mod layer_tests;
