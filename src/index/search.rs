//! The best rows by an index: a sweep over all codes, then true scores of what it could not rule out.

use super::open::{Index, Resident};
use super::overlay::Overlay;
use super::rerank::{Blocks, Ended, Reranker};
use super::store::Store;
use super::sweep::{Accept, Aim, Numbered, Sweeper, Swept, sweep};
use crate::codec::Query;
use crate::error::Result;
use crate::metric::{Metric, Scorer};
use crate::reserve::{self, Reserve};
use crate::scan::Rules;
use crate::topk::{Place, TopK};
use crate::vector::Vector;
use std::sync::Arc;

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
    fn reach(&self) -> usize {
        self.trial.map_or(self.limit, |trial| trial.reach.max(self.limit))
    }

    /// How many rows may be fetched.
    pub(super) fn patience(&self) -> u64 {
        self.trial.map_or(u64::MAX, |trial| trial.patience)
    }
}

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
        let mut aim = Aim { reach: Some(request.reach()), accept: request.accept.clone(), ..span.aim() };
        loop {
            stats.sweeps += 1;
            let mut blocks = Blocks::new(self, request.overlay);
            let swept = self.sweep(store, &query, &aim, request, &mut blocks)?;
            stats.codes += swept.codes;
            stats.candidates += swept.candidates.len() as u64;
            stats.passing += swept.passing;
            let (floor, best) = (span.floor, TopK::new(request.limit));
            let mut reranker = Reranker { query: &query, request, rows, ceiling: span.ceiling, floor, best, stats };
            match reranker.run(swept.candidates, &mut blocks, store)? {
                Ended::Done => {}
                Ended::Stale(reason) => return Ok(Outcome::Stale(reason)),
                Ended::GivenUp => return Ok(Outcome::GivenUp),
            }
            let reached = reranker.bar();
            // Whatever is not among the candidates is below the sweep's bar.
            if reached >= swept.bar || swept.bar <= aim.floor {
                let hits = reranker.best.into_sorted();
                return Ok(Outcome::Found(reserve::collect(hits.into_iter().map(|hit| hit.place))?));
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
                        blocks.passing.reserve_room(1)?;
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
        sweeper.finish()
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

/// Between which keys rows matter.
pub(super) struct Span {
    pub floor: f32,
    pub ceiling: f32,
}

impl Span {
    pub fn new(metric: Metric, rules: &Rules, floor: Option<Place>, key: impl Fn(f64) -> f32) -> Self {
        // Both turn a score into the distance and back.
        let opposite = |distance: f64| match metric {
            Metric::Dot | Metric::Cosine => 1.0 - distance,
            Metric::L2 | Metric::L1 => -distance,
        };
        let least = [
            rules.score.min.map(|(score, _)| score),
            rules.distance.max.map(|(distance, _)| opposite(distance)),
            floor.map(|floor| floor.score),
        ];
        let most = [
            rules.score.max.map(|(score, _)| score),
            rules.distance.min.map(|(distance, _)| opposite(distance)),
            rules.after.map(|after| after.score),
        ];
        let keys = |scores: [Option<f64>; 3]| scores.into_iter().flatten().map(&key);
        Self {
            floor: keys(least).fold(f32::NEG_INFINITY, f32::max),
            ceiling: keys(most).map(f32::next_up).fold(f32::INFINITY, f32::min),
        }
    }

    fn aim(&self) -> Aim {
        Aim { floor: self.floor, ceiling: self.ceiling, reach: None, accept: None }
    }
}
