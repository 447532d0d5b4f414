//! True scores of what a sweep of many queries found, each row fetched once for all queries that want it.

use super::request::Request;
use super::sweep::{Found, Method, Seeker, Sweep};
use crate::codec::fingerprint;
use crate::error::Result;
use crate::index::request::{Reason, Row, Rows, Stats};
use crate::kernels::F32Le;
use crate::topk::{Hit, Place, TopK};
use std::sync::Arc;

/// The best rows of each query so far, and the queries that have to sweep again.
pub struct Answered<Q> {
    pub places: Vec<Option<Vec<Place>>>,
    pub left: Vec<Seeker<Q>>,
}

impl<Q: Clone> Answered<Q> {
    /// Takes in what a sweep found.
    pub fn take<M: Method<Query = Q>, R: Rows>(
        &mut self,
        (sweep, found): (Arc<Sweep<M>>, Vec<Found>),
        request: &Request<'_>,
        rows: &mut R,
        rows_in_all: u64,
        stats: &mut Stats,
    ) -> Result<Option<Reason>> {
        let mut verifier = Verifier::new(request, &sweep.seekers);
        if let Some(reason) = verifier.run(&found, rows, rows_in_all, stats)? {
            return Ok(Some(reason));
        }
        for ((seeker, found), best) in sweep.seekers.iter().zip(&found).zip(verifier.best) {
            let key = |last: Place| M::key(&seeker.query, last.score).max(seeker.floor);
            let reached = best.last().map_or(seeker.floor, key);
            if reached >= found.bar || found.bar <= seeker.floor {
                let places = best.into_sorted().into_iter().map(|hit| hit.place);
                self.places[seeker.number] = Some(places.collect());
            } else {
                self.left.push(seeker.wider(reached, best.last().is_some()));
            }
        }
        Ok(None)
    }
}

/// True scores of all candidates.
struct Verifier<'a, Q> {
    request: &'a Request<'a>,
    seekers: &'a [Seeker<Q>],
    best: Vec<TopK<()>>,
}

impl<'a, Q> Verifier<'a, Q> {
    fn new(request: &'a Request<'a>, seekers: &'a [Seeker<Q>]) -> Self {
        Self { request, seekers, best: seekers.iter().map(|_| TopK::new(request.limit)).collect() }
    }

    fn run<R: Rows>(
        &mut self,
        found: &[Found],
        rows: &mut R,
        rows_in_all: u64,
        stats: &mut Stats,
    ) -> Result<Option<Reason>> {
        let mut asked: Vec<(i64, u32, u32)> = Vec::new();
        for (number, found) in (0..).zip(found) {
            asked.extend(found.candidates.iter().map(|candidate| (candidate.rowid, candidate.fingerprint, number)));
        }
        asked.sort_unstable();
        let groups: Vec<&[(i64, u32, u32)]> = asked.chunk_by(|a, b| a.0 == b.0).collect();
        let rowids: Vec<i64> = groups.iter().map(|group| group[0].0).collect();
        stats.fetched += asked.len() as u64;
        let mut reason = None;
        let mut refused = None;
        rows.fetch_all(&rowids, rows_in_all, &mut |at, row| {
            let group = groups[at];
            match row {
                Row::Gone => stats.ghosts += 1,
                Row::Doubtful => reason = Some(Reason::Missing(group[0].0)),
                Row::Vector(vector) => {
                    let own = fingerprint(&vector);
                    if group.iter().any(|asked| asked.1 != own) {
                        reason = Some(Reason::Changed(group[0].0));
                        return Ok(false);
                    }
                    for (rowid, _, number) in group {
                        if let Err(error) = self.score(*number as usize, *rowid, &vector, stats) {
                            refused = Some((*rowid, error));
                            return Ok(false);
                        }
                    }
                }
            }
            Ok(reason.is_none())
        })?;
        match refused {
            Some((rowid, error)) => Err(error.within(rows.describe(rowid))),
            None => Ok(reason),
        }
    }

    fn score(&mut self, number: usize, rowid: i64, vector: &[F32Le], stats: &mut Stats) -> Result<()> {
        let request = self.request;
        let scorer = request.queries[self.seekers[number].number].scorer;
        match scorer.score(vector) {
            Ok(score) => {
                let place = Place { score, source: request.source, row: rowid };
                let best = &mut self.best[number];
                if best.wants(&place) && request.rules.admit(scorer.metric(), &place) {
                    best.offer(Hit { place, note: () });
                }
                Ok(())
            }
            Err(_) if request.rules.skip_bad => {
                stats.bad += 1;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}
