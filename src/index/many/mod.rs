//! Many queries in one pass over the codes, or one query that must not miss a row.
//!
//! Every query uses the codes of a few groups of rows while they are in the cache of the CPU. Rows that cannot reach the
//! *bar*, where the k-th best row is guessed to be, are left out. All others are fetched in the order of their rowids, each
//! once for all queries that want it. If the k-th true score turns out to be below the bar, the query sweeps again down to
//! that score. A sweep has one of two methods: `exact` or `likely`.

mod exact;
mod likely;
mod request;
mod sweep;
mod verify;

pub use request::{BatchOutcome, BatchQuery, BatchRequest};

use crate::error::Result;
use crate::index::bar::Aim;
use crate::index::open::Index;
use crate::index::request::{RowSource, Stats};
use crate::index::store::Store;
use exact::Exact;
use likely::Likely;
use sweep::{BatchSweep, Method, Seeker};
use verify::BatchState;

/// With several threads, so many queries sweep together. With fewer, what is known of a group would be computed more often.
const PORTION: usize = 256;
/// And so many with one thread: each may put off some rows, which takes memory.
const PORTION_ALONE: usize = 1024;

impl Index {
    /// The best rows for each query. With `is_exact` they are those of a scan; otherwise one row in about 30,000 may be missed.
    pub fn search_many<S: Store, R: RowSource>(
        &self,
        store: &mut S,
        request: &BatchRequest<'_>,
        rows: &mut R,
        stats: &mut Stats,
    ) -> Result<BatchOutcome> {
        if request.is_exact {
            self.search_many_by::<Exact, S, R>(store, request, rows, stats)
        } else {
            self.search_many_by::<Likely, S, R>(store, request, rows, stats)
        }
    }

    fn search_many_by<M: Method, S: Store, R: RowSource>(
        &self,
        store: &mut S,
        request: &BatchRequest<'_>,
        rows: &mut R,
        stats: &mut Stats,
    ) -> Result<BatchOutcome> {
        let places = vec![(request.limit == 0).then(Vec::new); request.queries.len()];
        let mut state = BatchState { places, left: Vec::new() };
        let Some(first) = request.queries.first().filter(|_| request.limit > 0) else {
            return Ok(BatchOutcome::Found(state.places));
        };
        let method = M::new(self, first.scorer);
        let mut unread = 0..request.queries.len();
        let portion = if request.threads > 1 { PORTION } else { PORTION_ALONE };
        let mut next = |left: &mut Vec<Seeker<M::MethodQuery>>| {
            let queries = unread.by_ref().filter_map(|at| self.seeker(&method, request, at));
            let seekers: Vec<_> = queries.take(portion).collect();
            if seekers.is_empty() { left.split_off(left.len().saturating_sub(portion)) } else { seekers }
        };
        let (mut seekers, mut swept) = (next(&mut state.left), None);
        loop {
            // Other threads sweep for some queries while this one fetches rows for the queries before.
            let running = BatchSweep::begin(M::new(self, first.scorer), seekers, self, store, request, stats)?;
            if let Some(swept) = swept.take()
                && let Some(reason) = state.take(swept, request, rows, self.header.rows, stats)?
            {
                return Ok(BatchOutcome::Stale(reason));
            }
            seekers = next(&mut state.left);
            swept = running.map(|running| running.finish(stats)).transpose()?;
            if swept.is_none() && seekers.is_empty() {
                return Ok(BatchOutcome::Found(state.places));
            }
        }
    }

    /// A query in the form that the method needs. `None` if codes cannot bound its scores.
    fn seeker<M: Method>(
        &self,
        method: &M,
        request: &BatchRequest<'_>,
        number: usize,
    ) -> Option<Seeker<M::MethodQuery>> {
        let BatchQuery { scorer, floor, without } = *request.queries.get(number)?;
        let query = method.query(self, scorer.query())?;
        let key = |score| M::key(&query, score);
        let aim = Aim::new(scorer.metric(), request.rules, floor, request.limit, key);
        Some(Seeker { query, number, aim, without })
    }
}
