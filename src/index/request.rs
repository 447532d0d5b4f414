//! The vocabulary of a search: what is asked, of which rows, what came of it, and what it took.

use super::overlay::Overlay;
use crate::error::Result;
use crate::metric::Scorer;
use crate::scan::Rules;
use crate::topk::Place;
use crate::vector::Vector;
use std::sync::Arc;

/// Says whether a row takes part.
pub type Accept = Arc<dyn Fn(i64) -> bool + Send + Sync>;

/// The rows themselves.
pub trait RowSource {
    /// Fetches a row as the caller's transaction sees it.
    fn fetch(&mut self, rowid: i64) -> Result<FetchedRow<'_>>;
    /// Names a row for messages.
    fn describe(&self, rowid: i64) -> String;
    /// Whether the row that was fetched last takes part in the search.
    fn takes_part(&mut self) -> Result<bool> {
        Ok(true)
    }
    /// Fetches the rows of these rowids, which are in ascending order, and shows each to `with` together with its place in the
    /// list. It stops when `with` gives false. `rows` is about how many rows there are in all.
    fn fetch_all(
        &mut self,
        rowids: &[i64],
        _rows: u64,
        with: &mut dyn FnMut(usize, FetchedRow<'_>) -> Result<bool>,
    ) -> Result<()> {
        for (at, rowid) in rowids.iter().enumerate() {
            if !with(at, self.fetch(*rowid)?)? {
                break;
            }
        }
        Ok(())
    }
}

/// What came of fetching a row.
pub enum FetchedRow<'a> {
    /// The row has this vector.
    Vector(Vector<'a>),
    /// There is no such row, or it has no vector. That is nothing unusual.
    Gone,
    /// There is no such row, and there should be one: rows may have been renumbered.
    Doubtful,
}

/// What is searched for.
pub struct Request<'a> {
    /// The query.
    pub scorer: &'a Scorer,
    /// How many rows.
    pub limit: usize,
    /// Which rows count.
    pub rules: &'a Rules,
    /// The number of the source, for places.
    pub source: u32,
    /// The last of the rows that were found elsewhere, if they are as many as wanted.
    pub floor: Option<Place>,
    /// Which rows take part; without it, all. It is asked only about rows that could be among the best.
    pub accept: Option<Accept>,
    /// Set if each fetched row is asked whether it takes part, see [`RowSource::takes_part`].
    pub trial: Option<Trial>,
    /// Rows that changed since the index was written.
    pub overlay: Option<&'a Overlay>,
    /// The state of the overlay: the place and the token of the last change in it. Without it, an answer is not kept.
    pub tail: Option<(i64, i64)>,
    /// How many threads may work on it.
    pub threads: usize,
}

/// What to expect of a search in which each fetched row is asked whether it takes part.
#[derive(Debug, Clone, Copy)]
pub struct Trial {
    /// How many rows it takes to find as many as are wanted. This is a guess. A wrong one costs time and nothing else.
    pub reach: usize,
    /// After so many fetched rows the search gives up.
    pub patience: u64,
}

/// What a search did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// 1-bit codes that were looked at.
    pub codes: u64,
    /// Rows that these codes could not rule out.
    pub candidates: u64,
    /// 4-bit codes that were looked at.
    pub looked: u64,
    /// Rows that were fetched. With many queries, a row counts for each query that wanted it.
    pub fetched: u64,
    /// Rows that were to be fetched and did not exist.
    pub ghosts: u64,
    /// Rows that could not be scored and were skipped.
    pub bad: u64,
    /// Sweeps over all codes. There is a second one if the bar of the first was too high.
    pub sweeps: u64,
    /// Blocks that were read and had no room in the cache.
    pub passing: u64,
    /// The answer came from memory, because the same was asked before.
    pub repeated: bool,
}

/// How a search ended.
pub enum Outcome {
    /// The best rows, best first.
    Found(Vec<Place>),
    /// Codes cannot bound the scores of this query. A scan answers.
    Unfit,
    /// More rows were fetched than [`Trial::patience`] allows.
    GivenUp,
    /// The index does not belong to the rows any more. A scan answers.
    Stale(Reason),
}

/// Why an index does not belong to the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// There is no row of this rowid.
    Missing(i64),
    /// The row of this rowid has another vector.
    Changed(i64),
}

impl Request<'_> {
    /// How many rows it takes to find as many as are wanted.
    pub(super) fn reach(&self) -> usize {
        self.trial.map_or(self.limit, |trial| trial.reach.max(self.limit))
    }

    /// How many rows may be fetched.
    pub(super) fn patience(&self) -> u64 {
        self.trial.map_or(u64::MAX, |trial| trial.patience)
    }
}
