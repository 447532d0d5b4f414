//! The seam between what proposes rows and what verifies them.
//!
//! A sweep over all codes is what proposes rows today. Whatever else is to do so implements the traits here in a file of its
//! own, and `search` chooses it.

use super::bar::Aim;
use super::request::Stats;
use crate::error::Result;

/// A row that could be among the best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Proposal {
    /// The row.
    pub rowid: i64,
    /// Of the vector that was looked at. Where the row has another one, the index does not belong to the rows any more.
    pub fingerprint: u32,
}

/// What proposes rows for one query. Its keys stand for scores: a larger score has a larger key.
pub trait Proposer {
    /// What it proposes.
    type Proposals<'a>: Proposals
    where
        Self: 'a;

    /// Looks for rows. It counts in `stats` what it does.
    fn propose(&mut self, aim: &Aim, stats: &mut Stats) -> Result<Self::Proposals<'_>>;
}

/// The rows that could be among the best of one query.
pub trait Proposals {
    /// The key of a score, rounded down.
    fn key(&self, score: f64) -> f32;

    /// Every row that takes part and is not among them has a key below this.
    fn bar(&self) -> f32;

    /// The next of them. Those whose keys are certainly below `least` do not matter any more; `None` where no others are
    /// left.
    fn next(&mut self, least: f32, stats: &mut Stats) -> Result<Option<Proposal>>;
}
