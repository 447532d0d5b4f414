//! The only place that sees SQLite. Raw pointers stay in `host`; the rest is plain Rust.

pub mod chunk;
pub mod embed_rows;
pub mod embedding;
pub mod fafcas_health;
pub mod fafcas_models;
pub mod functions;
pub mod host;
pub mod search;
pub mod storage;
pub mod tables;
pub mod vec_index;
pub mod vec_map;
pub mod vec_mmr;
pub mod vec_stats;
pub mod vec_topk;
pub mod vec_topk_many;
