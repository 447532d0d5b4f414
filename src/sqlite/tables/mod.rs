//! The user's tables: their names, columns and rows, as a search reads them.

pub mod catalogue;
pub mod conditions;
pub mod identifier;
pub mod reentry;
pub mod scan;
pub mod source;
