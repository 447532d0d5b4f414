//! The vocabulary of a search: what is asked, of which rows, what came of it, and what it took.

use super::overlay::Overlay;
use crate::error::Result;
use crate::metric::{Metric, Scorer};
use crate::scan::Rules;
use crate::topk::Place;
use crate::vector::Vector;
use std::sync::Arc;

/// Says whether a row takes part.
pub type Accept = Arc<dyn Fn(i64) -> bool + Send + Sync>;

/// The rows themselves.
pub trait Rows {
    /// A row as the caller's transaction sees it.
    fn fetch(&mut self, rowid: i64) -> Result<Row<'_>>;
    /// Names a row for messages.
    fn describe(&self, rowid: i64) -> String;
    /// Whether the row that was fetched last takes part.
    fn takes_part(&mut self) -> Result<bool> {
        Ok(true)
    }
    /// Shows the rows of these rowids, which ascend, with their places in the list, until `with` has enough. `rows` is how
    /// many there are altogether, about.
    fn fetch_all(
        &mut self,
        rowids: &[i64],
        _rows: u64,
        with: &mut dyn FnMut(usize, Row<'_>) -> Result<bool>,
    ) -> Result<()> {
        for (at, rowid) in rowids.iter().enumerate() {
            if !with(at, self.fetch(*rowid)?)? {
                break;
            }
        }
        Ok(())
    }
}

/// A row that was looked for.
pub enum Row<'a> {
    /// It has this vector.
    Vector(Vector<'a>),
    /// It is not there, or has no vector, and that is nothing unusual.
    Gone,
    /// It is not as it should be: rows may have been renumbered.
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
    /// The source's number, for places.
    pub source: u32,
    /// Where rows found elsewhere are already enough: the last of these.
    pub floor: Option<Place>,
    /// Which rows take part; all, without it. It is asked about few rows only.
    pub accept: Option<Accept>,
    /// Where rows are asked one by one whether they take part, see [`Rows::takes_part`].
    pub trial: Option<Trial>,
    /// Rows that changed since the index was written.
    pub overlay: Option<&'a Overlay>,
    /// Names the state of the overlay: the place and token of the last change in it. Without it an answer is not kept.
    pub tail: Option<(i64, i64)>,
    /// How many threads may work on it.
    pub threads: usize,
}

/// What to expect where not all rows take part.
#[derive(Debug, Clone, Copy)]
pub struct Trial {
    /// How many rows it takes to find as many as are wanted. A guess: a wrong one costs time alone.
    pub reach: usize,
    /// With so many rows fetched the search is given up.
    pub patience: u64,
}

/// What a search did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// 1-bit codes that were looked at.
    pub codes: u64,
    /// Rows that these could not rule out.
    pub candidates: u64,
    /// 4-bit codes that were looked at.
    pub looked: u64,
    /// Rows that were fetched, for each query that asked for them.
    pub fetched: u64,
    /// Fetched rows that were not there.
    pub ghosts: u64,
    /// Rows that could not be scored and were skipped.
    pub bad: u64,
    /// Sweeps: more than one when the first set its bar too high.
    pub sweeps: u64,
    /// Blocks that were read, and did not fit in memory.
    pub passing: u64,
    /// The same had been asked before.
    pub repeated: bool,
}

/// How a search ended.
pub enum Outcome {
    /// The best rows, best first.
    Found(Vec<Place>),
    /// Codes are of no use to this query; a scan is.
    Unfit,
    /// More rows were fetched than there was patience for.
    GivenUp,
    /// The index does not belong to the rows any more; a scan answers.
    Stale(Reason),
}

/// Why an index does not belong to the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// This row is missing.
    Missing(i64),
    /// This row has another vector.
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

/// Between which keys rows matter.
pub(super) struct Span {
    pub floor: f32,
    pub ceiling: f32,
}

impl Span {
    pub fn new(metric: Metric, rules: &Rules, floor: Option<Place>, key: impl Fn(f64) -> f32) -> Self {
        let least = [
            rules.score.min.map(|(score, _)| score),
            rules.distance.max.map(|(distance, _)| metric.score(distance)),
            floor.map(|floor| floor.score),
        ];
        let most = [
            rules.score.max.map(|(score, _)| score),
            rules.distance.min.map(|(distance, _)| metric.score(distance)),
            rules.after.map(|after| after.score),
        ];
        let keys = |scores: [Option<f64>; 3]| scores.into_iter().flatten().map(&key);
        Self {
            floor: keys(least).fold(f32::NEG_INFINITY, f32::max),
            ceiling: keys(most).map(f32::next_up).fold(f32::INFINITY, f32::min),
        }
    }
}
