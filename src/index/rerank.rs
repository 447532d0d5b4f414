//! From candidates to true scores: whatever could be best next is looked at more closely, until nothing unknown can be.
//!
//! Each candidate is known by its 1-bit code at first, then by its 4-bit code, then by its vector. Taking the one with the
//! greatest upper bound each time looks at no more rows than have to be looked at.

use super::block::{Fine, Slot};
use super::open::Index;
use super::overlay::Overlay;
use super::search::{Reason, Request, Row, Rows, Stats};
use super::store::Store;
use super::sweep::{Candidate, Numbered};
use crate::codec::{Query, fingerprint};
use crate::error::Result;
use crate::reserve::Reserve;
use crate::topk::{Hit, Place, TopK};
use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::sync::Arc;

/// Blocks of fine codes that one search reads. More of them would make a first search slow; rows whose fine codes are not
/// in memory are fetched instead.
const FINE_READS: usize = 64;

/// Rows of passing blocks that are kept without asking whether they are still candidates.
const FEW_PASSING: usize = 4096;

/// How many looks ahead fine codes are brought in.
const AHEAD: usize = 4;

/// The blocks of a search, for a closer look at some of their slots.
pub struct Blocks<'a> {
    index: &'a Index,
    overlay: Option<&'a Overlay>,
    /// Those in memory, by number.
    pub resident: Arc<Vec<Numbered>>,
    /// Candidates from blocks that were not kept in memory.
    pub passing: HashMap<(u32, u32), Slot>,
    /// By number, once it has been asked for: a block's fine codes, or that they are not to be had.
    fine: Vec<Option<Option<Arc<Fine>>>>,
    reads: usize,
}

impl<'a> Blocks<'a> {
    pub fn new(index: &'a Index, overlay: Option<&'a Overlay>) -> Self {
        let (resident, passing) = Default::default();
        let fine = vec![None; index.directory().blocks.len() + 1];
        Self { index, overlay, resident, passing, fine, reads: 0 }
    }

    /// Forgets what is known of rows that are candidates no more, once it is most of what is known.
    pub fn forget_passing(&mut self, candidates: &[Candidate]) {
        if self.passing.len() > FEW_PASSING + 2 * candidates.len() {
            let still: HashSet<(u32, u32)> = candidates.iter().map(|known| (known.block, known.slot)).collect();
            self.passing.retain(|place, _| still.contains(place));
        }
    }

    fn slot(&self, candidate: &Candidate) -> Option<Slot> {
        let Candidate { block, slot, .. } = *candidate;
        if let Some((codes, _)) = self.overlay.and_then(|overlay| overlay.block(block)) {
            return codes.slot(slot as usize);
        }
        match self.resident.binary_search_by_key(&block, |(number, _)| *number) {
            Ok(at) => self.resident[at].1.slot(slot as usize),
            Err(_) => self.passing.get(&(block, slot)).copied(),
        }
    }

    fn fine<S: Store>(&mut self, store: &mut S, block: u32) -> Result<Option<Arc<Fine>>> {
        if let Some((_, fine)) = self.overlay.and_then(|overlay| overlay.block(block)) {
            return Ok(Some(fine.clone()));
        }
        if let Some(Some(known)) = self.fine.get(block as usize) {
            return Ok(known.clone());
        }
        let mut fine = self.index.cached_fine(block);
        if fine.is_none() && self.reads < FINE_READS {
            self.reads += 1;
            fine = self.index.load_fine(store, block)?;
        }
        if let Some(place) = self.fine.get_mut(block as usize) {
            *place = Some(fine.clone());
        }
        Ok(fine)
    }

    /// Starts to bring in the fine code of a candidate that is soon to be looked at: memory is slower than arithmetic.
    fn fetch_ahead(&self, candidate: &Candidate) {
        if let Some(Some(Some(fine))) = self.fine.get(candidate.block as usize) {
            fine.fetch_ahead(candidate.slot as usize);
        }
    }
}

/// Candidates by their upper bounds, the greatest first; put in order a piece at a time, as most are never asked for.
struct Falling<'a> {
    rest: &'a mut [Candidate],
    /// So many of the rest are in order.
    sorted: usize,
}

impl Falling<'_> {
    const PIECE: usize = 512;

    fn first(&mut self) -> Option<Candidate> {
        if self.sorted == 0 && !self.rest.is_empty() {
            let by_upper = |a: &Candidate, b: &Candidate| b.upper.total_cmp(&a.upper);
            self.sorted = self.rest.len().min(Self::PIECE);
            if self.sorted < self.rest.len() {
                self.rest.select_nth_unstable_by(self.sorted, by_upper);
            }
            let (piece, _) = self.rest.split_at_mut(self.sorted);
            piece.sort_unstable_by(by_upper);
        }
        self.rest.first().copied()
    }

    fn next(&mut self) {
        if let [_, rest @ ..] = std::mem::take(&mut self.rest) {
            self.rest = rest;
            self.sorted = self.sorted.saturating_sub(1);
        }
    }

    /// One that is likely to be asked for soon.
    fn later(&self) -> Option<&Candidate> {
        self.rest.get(AHEAD)
    }
}

/// A candidate whose 4-bit code has been looked at.
struct Ranked {
    upper: f32,
    candidate: Candidate,
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        self.upper.total_cmp(&other.upper)
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ranked {}

/// How the candidates came to an end.
pub enum Ended {
    /// Nothing unknown can be among the best.
    Done,
    /// The index cannot be trusted.
    Stale(Reason),
    /// Too many rows were fetched.
    GivenUp,
}

/// The best of the candidates.
pub struct Reranker<'a, R> {
    pub query: &'a Query,
    pub request: &'a Request<'a>,
    pub rows: &'a mut R,
    /// Rows whose keys are certainly above this do not matter.
    pub ceiling: f32,
    /// Rows whose keys are certainly below this do not matter.
    pub floor: f32,
    pub best: TopK<()>,
    pub stats: &'a mut Stats,
}

impl<R: Rows> Reranker<'_, R> {
    /// Takes the candidates in.
    pub fn run<S: Store>(
        &mut self,
        mut candidates: Vec<Candidate>,
        blocks: &mut Blocks<'_>,
        store: &mut S,
    ) -> Result<Ended> {
        let mut rough = Falling { rest: &mut candidates, sorted: 0 };
        let mut known: BinaryHeap<Ranked> = BinaryHeap::new();
        loop {
            let bar = self.bar();
            let best_known = known.peek().map_or(f32::NEG_INFINITY, |ranked| ranked.upper);
            let candidate = match rough.first() {
                Some(next) if next.upper > best_known && next.upper >= bar => {
                    rough.next();
                    rough.later().inspect(|later| blocks.fetch_ahead(later));
                    if let Some(fine) = blocks.fine(store, next.block)? {
                        known.reserve_room(1)?;
                        known.extend(self.look(next, &fine));
                        continue;
                    }
                    next
                }
                _ => match known.pop() {
                    Some(next) if next.upper >= bar => next.candidate,
                    _ => return Ok(Ended::Done),
                },
            };
            let Some(row) = blocks.slot(&candidate) else { continue };
            if let Some(reason) = self.verify(&row)? {
                return Ok(Ended::Stale(reason));
            }
            if self.stats.fetched >= self.request.patience() {
                return Ok(Ended::GivenUp);
            }
        }
    }

    /// What is certainly below this is not among the best.
    pub fn bar(&self) -> f32 {
        self.best.last().map_or(self.floor, |last| self.query.key(last.score).max(self.floor))
    }

    fn look(&mut self, candidate: Candidate, fine: &Fine) -> Option<Ranked> {
        self.stats.looked += 1;
        let (factors, code) = fine.slot(candidate.slot as usize);
        let interval = self.query.look(code, factors, candidate.factors);
        let matters = interval.lower <= self.ceiling && interval.upper >= self.bar();
        matters.then_some(Ranked { upper: interval.upper, candidate })
    }

    fn verify(&mut self, row: &Slot) -> Result<Option<Reason>> {
        self.stats.fetched += 1;
        let request = self.request;
        let score = match self.rows.fetch(row.rowid)? {
            Row::Gone => {
                self.stats.ghosts += 1;
                return Ok(None);
            }
            Row::Doubtful => return Ok(Some(Reason::Missing(row.rowid))),
            Row::Vector(vector) if fingerprint(&vector) != row.fingerprint => {
                return Ok(Some(Reason::Changed(row.rowid)));
            }
            Row::Vector(vector) => request.scorer.score(&vector),
        };
        match score {
            Ok(score) => {
                let place = Place { score, source: request.source, row: row.rowid };
                let counts = self.best.wants(&place) && request.rules.admit(request.scorer.metric(), &place);
                if counts && self.rows.takes_part()? {
                    self.best.offer(Hit { place, note: () })?;
                }
                Ok(None)
            }
            Err(_) if !self.rows.takes_part()? => Ok(None),
            Err(_) if request.rules.skip_bad => {
                self.stats.bad += 1;
                Ok(None)
            }
            Err(error) => Err(error.within(self.rows.describe(row.rowid))),
        }
    }
}
