//! Approximate search over a store of blocks: codes rule out nearly every row, the rows themselves decide.
//!
//! Knows nothing of SQLite: blocks come from a [`Store`], rows and their vectors from the caller. `sql/index.sql` is the
//! format. The order of reading: `format` and `store`, then `build` and `merge`, then `sweep`, `rerank` and `search`.

mod answers;
pub mod batch;
mod block;
mod build;
mod check;
mod compare;
mod encode;
mod exact;
mod format;
mod likely;
mod merge;
mod open;
mod overlay;
mod part;
mod rerank;
mod search;
mod store;
mod sweep;

pub use build::{Builder, Mean};
pub use check::check_blocks;
pub use compare::{Difference, Stretch};
pub use encode::Batch;
pub use format::{Directory, FORMAT, Header, Token, random};
pub use merge::Progress;
pub use open::{Index, Opened, cache_counts, forget, open, open_uncached, set_aside};
pub use overlay::Overlay;
pub use part::Part;
pub use search::{Outcome, Reason, Request, Row, Rows, Stats, Trial};
pub use store::{Memory, Store};
pub use sweep::Accept;
