//! What all searches of a process share in memory, within one budget: each test sets it, so they run one after another.
//!
//! Nothing here registers the linked library: each connection would then have it.

mod budget;
mod cache;
mod index_pending;
mod many_passing;
#[path = "../support/mod.rs"]
mod support;
#[path = "../index/table_in_memory.rs"]
mod table_in_memory;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Held by a test for as long as it runs.
fn alone() -> MutexGuard<'static, ()> {
    static RUNNING: Mutex<()> = Mutex::new(());
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}
