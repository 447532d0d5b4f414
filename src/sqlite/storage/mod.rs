//! The index's own tables: the blocks, the log of changes, and the triggers that write it.

pub mod shelf;
pub mod triggers;
