//! The tables of an index: its blocks, the list of changed rows, and the triggers that write the list. Also the rows of the
//! user's table, as the index reads them.

pub mod changes;
pub mod shelf;
pub mod signs;
pub mod table_rows;
pub mod triggers;
pub mod trust;
