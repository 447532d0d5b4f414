//! The index's own tables: the blocks, the log of changes, and the triggers that write it; and the rows of the table it is of.

pub mod changes;
pub mod shelf;
pub mod signs;
pub mod table_rows;
pub mod triggers;
pub mod trust;
