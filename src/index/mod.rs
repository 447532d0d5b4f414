//! Approximate search over a store of blocks: codes rule out nearly every row, the rows themselves decide.
//!
//! Knows nothing of SQLite: blocks come from a [`Store`], rows and their vectors from the caller. `sql/index.sql` is the
//! format. The order of reading: `format` and `store`, then `build` and `merge`, then `sweep`, `rerank` and `search`.

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
mod repeats;
mod request;
mod rerank;
mod rowid_part;
mod search;
mod store;
mod sweep;
mod verify;

pub use build::{Builder, Mean, fix_seed, seed};
pub use check::check_blocks;
pub use compare::{Difference, Stretch};
pub use encode::VectorBatch;
pub use format::{Directory, FORMAT, Header, Token};
pub use memory::set_aside;
pub use merge::OnProgress;
pub use open::{Index, Opened, open, open_uncached};
pub use overlay::Overlay;
pub use request::{Accept, FetchedRow, Outcome, Reason, Request, RowSource, Stats, Trial};
pub use rowid_part::RowidPart;
pub use store::{MemoryStore, Store};

use crate::resources::cache::CacheCounts;

/// What the memory of this process holds of all indexes, and how it fared.
pub fn cache_counts() -> CacheCounts {
    memory::counts()
}

/// Gives up what is in memory of an index that is no more.
pub fn forget(scope: u64) {
    memory::CACHE.get().remove(|key| key.scope == scope);
    repeats::forget(scope);
}
