//! The library loaded from its file, beside connections of the same process that do not know it.
//!
//! Nothing here registers the linked library: each connection would then have it. What vec_stats counts is counted for the
//! whole process, by the name of the table: a test that reads it has a table whose name no other test here uses.

mod index_build;
mod index_life;
mod index_random;
#[path = "../support/mod.rs"]
mod support;
mod threads;
