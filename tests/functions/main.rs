//! The SQL functions against naive loops and scans, as the library linked into this program answers them.
//!
//! What vec_stats counts is counted for the whole process, by the name of the table: a test that reads it has a table whose
//! name no other test here uses.

mod audit;
mod bm25;
mod exact;
mod filters;
mod finalised;
mod fresh;
mod health;
mod hostile;
mod hybrid;
mod interrupt;
mod joins;
mod limits;
mod many;
mod map;
mod merge_steps;
mod mmr;
mod result_codes;
mod rollback;
mod stopped;
#[path = "../support/mod.rs"]
mod support;
mod types;
mod types_indexed;
