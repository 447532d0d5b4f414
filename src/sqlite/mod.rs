//! The only place that sees SQLite, as five floors. Each uses only those below it; `tests/layers.rs` keeps it so.
//! Raw pointers stay in `host`; the rest is plain Rust.

pub mod functions;
pub mod host;
pub mod search;
pub mod storage;
pub mod tables;
