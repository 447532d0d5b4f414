//! What was asked, and the cheapest way to answer it. Pure code: it knows neither SQLite nor files.

pub mod cost;
pub mod options;
pub mod plan;
pub mod rowset;
