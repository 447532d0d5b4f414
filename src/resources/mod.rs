//! What a process has once: threads, memory, settings and counters.

pub mod cache;
pub mod config;
pub mod per_process;
pub mod pool;
pub mod progress;
pub mod reserve;
pub mod stats;
pub mod trace;
