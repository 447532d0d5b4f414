//! Text to vector, from Rust and from SQL. `embed_runtime.rs` and `embed_absent.rs` beside the rooms have what needs a process
//! of its own.

mod embed;
mod embed_sql;
mod prompts;
#[path = "../support/mod.rs"]
mod support;
