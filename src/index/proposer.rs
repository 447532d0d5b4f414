//! The seam between the code that proposes rows and the code that verifies them.
//!
//! Today rows are proposed by a sweep over all codes: `all_codes` for one query, `many` for many. Another way to propose rows is
//! one more file that implements these traits, and `search` chooses between them.

use super::bar::Aim;
use super::request::Stats;
use crate::error::Result;

/// A row that could be among the best.
#[derive(Debug, Clone, Copy)]
pub struct Proposal {
    /// The row.
    pub rowid: i64,
    /// Of the vector that was encoded. If the row has another vector now, the index does not belong to the rows any more.
    pub fingerprint: u32,
}

/// Proposes rows for one query.
pub trait Proposer {
    /// What it proposes.
    type Proposals<'a>: Proposals
    where
        Self: 'a;

    /// Looks for rows, and counts in `stats` what it does.
    fn propose(&mut self, aim: &Aim, stats: &mut Stats) -> Result<Self::Proposals<'_>>;
}

/// The rows that could be among the best of one query. Keys stand for scores: a larger score has a larger key.
pub trait Proposals {
    /// The key of a score, rounded down.
    fn key(&self, score: f64) -> f32;

    /// Every row that takes part and is not proposed has a key below this.
    fn bar(&self) -> f32;

    /// The next row. Rows whose keys are certainly below `least` may be left out. `None` if there are no more.
    fn next(&mut self, least: f32, stats: &mut Stats) -> Result<Option<Proposal>>;
}
