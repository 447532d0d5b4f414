//! fafcas: semantic search for any SQLite database, in plain SQL.

pub mod embed;
pub mod error;
pub mod progress;
