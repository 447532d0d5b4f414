//! The index: what it finds, what changes do to it, and what becomes of it when it is damaged or cannot be written.
//!
//! The tests see it from Rust, by rows in memory, or from SQL, by the library that is linked into this program. What needs
//! the library loaded from a file is in `tests/loaded`; what needs a process of its own is beside the rooms.

mod corrupt;
mod crash;
mod index_model;
mod merge_reads;
mod recall;
mod repeats;
mod soak;
#[path = "../support/mod.rs"]
mod support;
mod table_in_memory;
