//! What SQL calls: a file or folder for each table function or module, with its name, and the scalar functions.

pub mod bm25;
pub mod chunk;
pub mod embed_rows;
pub mod embedding;
pub mod fafcas_audit;
pub mod fafcas_health;
pub mod fafcas_models;
pub mod fafcas_selftest;
pub mod scalars;
pub mod vec_each;
pub mod vec_hybrid;
pub mod vec_index;
pub mod vec_map;
pub mod vec_mmr;
pub mod vec_stats;
pub mod vec_topk;
pub mod vec_topk_many;
pub mod vec_trace;
pub mod vectors;
