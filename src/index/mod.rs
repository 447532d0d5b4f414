//! Approximate search in an index of codes. Codes rule out nearly every row, and the vectors of the others decide.
//!
//! This room knows nothing of SQLite: blocks of codes come from a [`Store`], rows and their vectors from the caller, a
//! [`RowSource`]. `sql/index.sql` has the format.
//!
//! Where to begin reading: `format` and `store`, then `build` and `merge`. A search is told by `request` (its words), `bar`
//! (what it looks for), `sweep`, `rerank` and `all_codes` (which rows are proposed), `verify` (their true scores) and `search`
//! (the loop). [`many`] does the same for many queries at once. `proposer` is the seam for another way to propose rows.

mod all_codes;
mod bar;
mod block;
mod build;
mod check;
mod compare;
mod encode;
mod format;
pub mod many;
mod memory;
mod merge;
mod open;
mod overlay;
mod proposer;
mod ranges;
mod repeats;
mod request;
mod rerank;
mod search;
mod store;
mod sweep;
mod verify;

pub use build::{Builder, Mean, fix_seed, seed};
pub use check::{BlocksByRowid, CodedRows, ROWS_IN_MEMORY, check_blocks, unfinished};
pub use compare::{Difference, RowSlot, Stretch};
pub use encode::VectorBatch;
pub use format::{Directory, FORMAT, Header, Token};
pub use memory::set_aside;
pub use merge::{ChangedRows, OnProgress};
pub use open::{Index, Opened, elements, open, open_uncached};
pub use overlay::Overlay;
pub use repeats::settle;
pub use request::{Accept, FetchedRow, Outcome, Reason, Request, RowSource, Stats, Trial};
pub use store::{MemoryStore, Store};

use crate::resources::cache::CacheCounts;

/// How many bytes this process keeps in memory for all indexes, and how often they were useful.
pub fn cache_counts() -> CacheCounts {
    memory::counts()
}

/// Drops what is in memory for an index that was removed.
pub fn forget(scope: u64) {
    memory::CACHE.get().remove(|key| key.scope == scope);
    repeats::forget(scope);
}
