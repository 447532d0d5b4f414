//! The vocabulary of a search for many queries: what is asked, and what came of it.

use crate::index::overlay::Overlay;
use crate::index::request::Reason;
use crate::metric::Scorer;
use crate::scan::Rules;
use crate::topk::Place;

/// What is searched for.
pub struct BatchRequest<'a> {
    /// The queries, all of the index's dimensions and one metric.
    pub queries: &'a [BatchQuery<'a>],
    /// How many rows for each.
    pub limit: usize,
    /// Which rows count.
    pub rules: &'a Rules,
    /// The source's number, for places.
    pub source: u32,
    /// Rows that changed since the index was written.
    pub overlay: Option<&'a Overlay>,
    /// No row may be missed.
    pub is_exact: bool,
    /// How many threads may work on it.
    pub threads: usize,
}

/// One of the queries.
#[derive(Clone, Copy)]
pub struct BatchQuery<'a> {
    /// The query.
    pub scorer: &'a Scorer,
    /// Where rows found elsewhere are already enough: the last of these.
    pub floor: Option<Place>,
    /// A row that does not take part.
    pub without: Option<i64>,
}

/// How a search ended.
pub enum BatchOutcome {
    /// The best rows of each query, best first; `None` where codes are of no use to it, and a scan is.
    Found(Vec<Option<Vec<Place>>>),
    /// The index does not belong to the rows any more; a scan answers.
    Stale(Reason),
}
