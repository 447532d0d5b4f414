//! What a process has once: threads, memory, settings and counters.

pub mod cache;
pub mod config;
pub mod machine;
pub mod per_process;
pub mod pool;
#[cfg_attr(target_family = "wasm", path = "progress_left_out.rs")]
pub mod progress;
pub mod reserve;
pub mod stats;
pub mod trace;
