//! The only place that sees SQLite. Raw pointers stay in `api`, `args`, `connection`, `door` and `vtab`; the rest is plain Rust.

#![allow(unsafe_code)]

pub mod api;
pub mod args;
pub mod chunk;
pub mod connection;
pub mod door;
pub mod embed_rows;
pub mod embedding;
pub mod estimates;
pub mod fafcas_health;
pub mod fafcas_models;
pub mod functions;
pub mod identifier;
pub mod index_reader;
pub mod kept;
pub mod list;
pub mod planner;
pub mod running;
pub mod search;
pub mod shelf;
pub mod source;
pub mod triggers;
pub mod vec_index;
pub mod vec_map;
pub mod vec_mmr;
pub mod vec_stats;
pub mod vec_topk;
pub mod vec_topk_many;
// The layer is whole: what no table of ours asks of it so far, its own tests do.
#[allow(dead_code)]
pub mod vtab;

#[path = "../../sys/src/lib.rs"]
pub mod ffi;

#[cfg(test)]
mod layer_tests;
