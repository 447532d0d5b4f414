//! The user's tables and views: their names and columns, and the statements that read their rows.

pub mod catalogue;
pub mod conditions;
pub mod identifier;
pub mod reentry;
pub mod scan;
pub mod source;
