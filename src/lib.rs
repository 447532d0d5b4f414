//! fafcas: semantic search for any SQLite database, in plain SQL.

pub mod error;
pub mod kernels;
