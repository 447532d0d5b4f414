//! The best rows by an index: a sweep over all codes, then true scores of what it could not rule out.

use super::open::{Index, Resident};
use super::overlay::Overlay;
use super::request::{Outcome, Request, Rows, Span, Stats};
use super::rerank::{Blocks, Ended, Reranker};
use super::store::Store;
use super::sweep::{Aim, Numbered, Sweeper, Swept, sweep};
use crate::codec::Query;
use crate::error::Result;
use crate::topk::TopK;
use std::sync::Arc;

impl Index {
    /// The best rows. The query has the index's dimensions.
    ///
    /// One in about 30,000 may be missed, by the chance that [`crate::codec::SIGMAS`] leaves; no score is ever wrong.
    pub fn search<S: Store, R: Rows>(
        &self,
        store: &mut S,
        request: &Request<'_>,
        rows: &mut R,
        stats: &mut Stats,
    ) -> Result<Outcome> {
        let Some(query) = Query::new(self.space(), request.scorer.metric(), request.scorer.query()) else {
            return Ok(Outcome::Unfit);
        };
        if request.limit == 0 {
            return Ok(Outcome::Found(Vec::new()));
        }
        let query = Arc::new(query);
        let metric = request.scorer.metric();
        let span = Span::new(metric, request.rules, request.floor, |score| query.key(score));
        let Span { floor, ceiling } = span;
        let mut aim = Aim { floor, ceiling, reach: Some(request.reach()), accept: request.accept.clone() };
        loop {
            stats.sweeps += 1;
            let mut blocks = Blocks::new(self, request.overlay);
            let swept = self.sweep(store, &query, &aim, request, &mut blocks)?;
            stats.codes += swept.codes;
            stats.candidates += swept.candidates.len() as u64;
            stats.passing += swept.passing;
            let best = TopK::new(request.limit);
            let mut reranker = Reranker { query: &query, request, rows, ceiling, floor, best, stats };
            match reranker.run(swept.candidates, &mut blocks, store)? {
                Ended::Done => {}
                Ended::Stale(reason) => return Ok(Outcome::Stale(reason)),
                Ended::GivenUp => return Ok(Outcome::GivenUp),
            }
            let reached = reranker.bar();
            // Whatever is not among the candidates is below the sweep's bar.
            if reached >= swept.bar || swept.bar <= aim.floor {
                let hits = reranker.best.into_sorted();
                return Ok(Outcome::Found(hits.into_iter().map(|hit| hit.place).collect()));
            }
            aim = wider(aim, reached, reranker.best.last().is_some());
        }
    }

    fn sweep<S: Store>(
        &self,
        store: &mut S,
        query: &Arc<Query>,
        aim: &Aim,
        request: &Request<'_>,
        blocks: &mut Blocks<'_>,
    ) -> Result<Swept> {
        let below = hiding(aim, request.overlay);
        let mut sweeper = Sweeper::new(query, aim);
        for (number, codes) in request.overlay.iter().flat_map(|overlay| overlay.blocks()) {
            sweeper.block(number, codes);
        }
        let mut sweeper = sweeper.with_aim(&below);
        let mut resident: Vec<Numbered> = Vec::with_capacity(self.directory().blocks.len());
        self.each_codes(store, |number, codes| {
            match codes {
                Resident::Kept(codes) => resident.push((number, codes)),
                Resident::Passing(codes) => {
                    sweeper.block(number, &codes);
                    for candidate in sweeper.of_block(number) {
                        let slot = codes.slot(candidate.slot as usize);
                        blocks.passing.extend(slot.map(|slot| ((number, candidate.slot), slot)));
                    }
                    blocks.forget_passing(sweeper.candidates());
                    sweeper.passed();
                }
            }
            Ok(())
        })?;
        resident.sort_by_key(|(number, _)| *number);
        blocks.resident = Arc::new(resident);
        sweep(&mut sweeper, query, &below, blocks.resident.clone(), request.threads)?;
        Ok(sweeper.finish())
    }
}

/// The same for codes in the index, where rows that changed do not take part.
fn hiding(aim: &Aim, overlay: Option<&Overlay>) -> Aim {
    let Some(overlay) = overlay.filter(|overlay| !overlay.is_empty()) else { return aim.clone() };
    let (accept, hidden) = (aim.accept.clone(), overlay.hidden());
    let both = move |rowid| !hidden(rowid) && accept.as_ref().is_none_or(|accept| accept(rowid));
    Aim { accept: Some(Arc::new(both)), ..aim.clone() }
}

/// What to look for after a sweep whose bar was too high: everything down to the last hit, or four times as many rows
/// where there were not enough.
fn wider(aim: Aim, reached: f32, enough: bool) -> Aim {
    if enough {
        Aim { floor: reached, reach: None, ..aim }
    } else {
        Aim { reach: aim.reach.map(|reach| reach.saturating_mul(4)), ..aim }
    }
}
