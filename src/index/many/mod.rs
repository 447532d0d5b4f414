//! Many queries in one pass over the codes, or one query that must not miss a row.
//!
//! The codes of a few groups of rows are met by every query while they are near. Rows that cannot reach the *bar*, where the
//! k-th best row is guessed to be, are left out. All others are fetched, each once for all queries that want it, in
//! the order of their rowids. Where the k-th true score turns out to be below the bar, the query sweeps again down to that
//! score. What a sweep looks at is the `Method`'s: `exact` or `likely`.

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

/// Queries that sweep together where several threads do; with fewer, what is known of a group is worked out more often.
const PORTION: usize = 256;

impl Index {
    /// The best rows for each query. With `is_exact` they are those of a scan; otherwise one in about 30,000 may be missed.
    pub fn search_many<S: Store, R: RowSource>(
        &self,
        store: &mut S,
        request: &BatchRequest<'_>,
        rows: &mut R,
        stats: &mut Stats,
    ) -> Result<BatchOutcome> {
        if request.is_exact {
            self.search_by::<Exact, S, R>(store, request, rows, stats)
        } else {
            self.search_by::<Likely, S, R>(store, request, rows, stats)
        }
    }

    fn search_by<M: Method, S: Store, R: RowSource>(
        &self,
        store: &mut S,
        request: &BatchRequest<'_>,
        rows: &mut R,
        stats: &mut Stats,
    ) -> Result<BatchOutcome> {
        let places = vec![(request.limit == 0).then(Vec::new); request.queries.len()];
        let mut answered = BatchState { places, left: Vec::new() };
        let Some(first) = request.queries.first().filter(|_| request.limit > 0) else {
            return Ok(BatchOutcome::Found(answered.places));
        };
        let method = M::new(self, first.scorer);
        let mut unread = 0..request.queries.len();
        let portion = if request.threads > 1 { PORTION } else { usize::MAX };
        let mut next = |left: &mut Vec<Seeker<M::Query>>| {
            let queries = unread.by_ref().filter_map(|at| self.seeker(&method, request, at));
            let seekers: Vec<_> = queries.take(portion).collect();
            if seekers.is_empty() { left.split_off(left.len().saturating_sub(portion)) } else { seekers }
        };
        let (mut seekers, mut swept) = (next(&mut answered.left), None);
        loop {
            // Others sweep for some queries while this thread fetches rows for those before.
            let begun = BatchSweep::begin(M::new(self, first.scorer), seekers, self, store, request, stats)?;
            if let Some(swept) = swept.take()
                && let Some(reason) = answered.take(swept, request, rows, self.header.rows, stats)?
            {
                return Ok(BatchOutcome::Stale(reason));
            }
            seekers = next(&mut answered.left);
            swept = begun.map(|begun| begun.finish(stats)).transpose()?;
            if swept.is_none() && seekers.is_empty() {
                return Ok(BatchOutcome::Found(answered.places));
            }
        }
    }

    fn seeker<M: Method>(&self, method: &M, request: &BatchRequest<'_>, number: usize) -> Option<Seeker<M::Query>> {
        let wanted = request.queries.get(number)?;
        let query = method.query(self, wanted.scorer.query())?;
        let (metric, key) = (wanted.scorer.metric(), |score| M::key(&query, score));
        let aim = Aim::new(metric, request.rules, wanted.floor, request.limit, key);
        Some(Seeker { query, number, aim, without: wanted.without })
    }
}
