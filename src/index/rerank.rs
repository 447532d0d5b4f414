//! The candidates of a sweep in the order in which they are proposed.
//!
//! The next is always the candidate with the greatest upper bound. At first the bound is that of its 1-bit code. When its turn
//! comes, its 4-bit code is looked at, which gives a smaller bound in most cases. When its turn comes again, it is proposed, and
//! its vector gives the true score. In this order no row is fetched that could have been ruled out.

use super::bar::Aim;
use super::block::{CodedRow, Fine};
use super::open::Index;
use super::overlay::Overlay;
use super::proposer::{Proposal, Proposals};
use super::request::Stats;
use super::store::Store;
use super::sweep::{Candidate, NumberedCodes, SweepResult};
use crate::codec::Query;
use crate::error::Result;
use crate::resources::reserve::Reserve;
use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::sync::Arc;

/// How many blocks of fine codes one search may read. To read a block takes as long as to fetch some ten rows, and saves that
/// only in later searches. Rows whose fine codes are not in memory are fetched instead. With 64, each of the first 20 searches in
/// 1M rows took three times as long as later ones, and the first 70 in 4M.
const FINE_READS: usize = 16;
/// A block that has so many candidates is read in any case: that takes less time than to fetch them.
const WORTH_A_READ: u32 = 16;

/// What is known about rows of passing blocks is kept for so many rows without asking which are still candidates.
const FEW_PASSING: usize = 4096;

/// Fine codes are loaded into the cache of the CPU so many looks before they are used.
const AHEAD: usize = 4;

/// What a search knows about the fine codes of a block.
#[derive(Clone)]
enum KnownFine {
    /// It has not asked for them yet.
    NotAsked,
    /// They cannot be used: they are not in memory, and it may not read more blocks, or the cache has no room.
    OutOfReach,
    /// They are in memory.
    Here(Arc<Fine>),
}

/// The blocks of a search, to look at some of their slots once more.
pub struct Blocks<'a> {
    index: &'a Index,
    overlay: Option<&'a Overlay>,
    /// Those in memory, in the order of their numbers.
    pub resident: Arc<Vec<NumberedCodes>>,
    /// Candidates from blocks that did not stay in memory, by block and slot.
    pub passing: HashMap<(u32, u32), CodedRow>,
    /// By the number of the block.
    fine: Vec<KnownFine>,
    reads: usize,
    /// How many candidates each block has, by its number. Empty if they are too few for it to matter.
    counts: Vec<u32>,
}

impl<'a> Blocks<'a> {
    pub fn new(index: &'a Index, overlay: Option<&'a Overlay>) -> Self {
        let (resident, passing) = Default::default();
        let fine = vec![KnownFine::NotAsked; index.directory().blocks.len() + 1];
        Self { index, overlay, resident, passing, fine, reads: 0, counts: Vec::new() }
    }

    /// Counts the candidates of each block.
    fn count(&mut self, candidates: &[Candidate]) {
        if candidates.len() < FINE_READS * WORTH_A_READ as usize {
            return;
        }
        self.counts = vec![0; self.fine.len()];
        for candidate in candidates {
            self.counts.get_mut(candidate.block as usize).into_iter().for_each(|count| *count += 1);
        }
    }

    /// Drops what is known about rows that are no longer candidates, once that is most of it.
    pub fn forget_passing(&mut self, candidates: &[Candidate]) {
        if self.passing.len() > FEW_PASSING + 2 * candidates.len() {
            let still: HashSet<(u32, u32)> = candidates.iter().map(|known| (known.block, known.slot)).collect();
            self.passing.retain(|place, _| still.contains(place));
        }
    }

    fn slot(&self, candidate: &Candidate) -> Option<CodedRow> {
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
        match self.fine.get(block as usize) {
            Some(KnownFine::Here(fine)) => return Ok(Some(fine.clone())),
            Some(KnownFine::OutOfReach) => return Ok(None),
            Some(KnownFine::NotAsked) | None => {}
        }
        let mut fine = self.index.cached_fine(block);
        let is_worth_it = || self.counts.get(block as usize).is_some_and(|count| *count >= WORTH_A_READ);
        if fine.is_none() && (self.reads < FINE_READS || is_worth_it()) {
            self.reads += 1;
            fine = self.index.load_fine(store, block)?;
        }
        if let Some(place) = self.fine.get_mut(block as usize) {
            *place = fine.clone().map_or(KnownFine::OutOfReach, KnownFine::Here);
        }
        Ok(fine)
    }

    /// Starts to load the fine code of a candidate that will be looked at soon. Memory is slower than arithmetic.
    fn fetch_ahead(&self, candidate: &Candidate) {
        if let Some(KnownFine::Here(fine)) = self.fine.get(candidate.block as usize) {
            fine.fetch_ahead(candidate.slot as usize);
        }
    }
}

/// Candidates by their upper bounds, the greatest first. They are sorted piece by piece, because most are never asked for.
struct DescendingCandidates {
    candidates: Vec<Candidate>,
    /// The first that is still to come.
    next: usize,
    /// Those before this place are sorted.
    sorted: usize,
}

impl DescendingCandidates {
    const PIECE: usize = 512;

    fn new(candidates: Vec<Candidate>) -> Self {
        Self { candidates, next: 0, sorted: 0 }
    }

    fn first(&mut self) -> Option<Candidate> {
        if self.next == self.sorted {
            self.sort_piece();
        }
        self.candidates.get(self.next).copied()
    }

    fn sort_piece(&mut self) {
        let by_upper = |a: &Candidate, b: &Candidate| b.upper.total_cmp(&a.upper);
        let rest = self.candidates.get_mut(self.next..).unwrap_or_default();
        let length = rest.len().min(Self::PIECE);
        if length < rest.len() {
            rest.select_nth_unstable_by(length, by_upper);
        }
        let (piece, _) = rest.split_at_mut(length);
        piece.sort_unstable_by(by_upper);
        self.sorted = self.next + length;
    }

    /// Goes on to the next.
    fn advance(&mut self) {
        self.next += 1;
    }

    /// A candidate that will probably come soon.
    fn later(&self) -> Option<&Candidate> {
        self.candidates.get(self.next + AHEAD)
    }
}

/// A candidate whose 4-bit code was looked at.
struct RankedCandidate {
    upper: f32,
    candidate: Candidate,
}

impl Ord for RankedCandidate {
    fn cmp(&self, other: &Self) -> Ordering {
        self.upper.total_cmp(&other.upper)
    }
}

impl PartialOrd for RankedCandidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for RankedCandidate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for RankedCandidate {}

/// The candidates of a sweep, as they are proposed.
pub struct Ranking<'a, S> {
    query: &'a Query,
    ceiling: f32,
    bar: f32,
    rough: DescendingCandidates,
    /// Those whose 4-bit codes were looked at.
    known: BinaryHeap<RankedCandidate>,
    blocks: Blocks<'a>,
    store: &'a mut S,
}

impl<'a, S: Store> Ranking<'a, S> {
    /// Begins with what a sweep found.
    pub fn new(query: &'a Query, aim: &Aim, swept: SweepResult, mut blocks: Blocks<'a>, store: &'a mut S) -> Self {
        blocks.count(&swept.candidates);
        let (ceiling, bar, rough) = (aim.ceiling, swept.bar, DescendingCandidates::new(swept.candidates));
        Self { query, ceiling, bar, rough, known: BinaryHeap::new(), blocks, store }
    }

    /// The next candidate to propose.
    fn candidate(&mut self, least: f32, stats: &mut Stats) -> Result<Option<Candidate>> {
        loop {
            let best_known = self.known.peek().map_or(f32::NEG_INFINITY, |ranked| ranked.upper);
            let next = match self.rough.first() {
                Some(next) if next.upper > best_known && next.upper >= least => next,
                _ => return Ok(self.known.pop().filter(|next| next.upper >= least).map(|next| next.candidate)),
            };
            self.rough.advance();
            self.rough.later().inspect(|later| self.blocks.fetch_ahead(later));
            let Some(fine) = self.blocks.fine(self.store, next.block)? else { return Ok(Some(next)) };
            stats.looked += 1;
            self.known.reserve_room(1)?;
            self.known.extend(self.look(next, &fine, least));
        }
    }

    /// The candidate by its 4-bit code, if it still matters.
    fn look(&self, candidate: Candidate, fine: &Fine, least: f32) -> Option<RankedCandidate> {
        let (factors, code) = fine.slot(candidate.slot as usize);
        let interval = self.query.look(code, factors, candidate.factors);
        let matters = interval.lower <= self.ceiling && interval.upper >= least;
        matters.then_some(RankedCandidate { upper: interval.upper, candidate })
    }
}

impl<S: Store> Proposals for Ranking<'_, S> {
    fn key(&self, score: f64) -> f32 {
        self.query.key(score)
    }

    fn bar(&self) -> f32 {
        self.bar
    }

    fn next(&mut self, least: f32, stats: &mut Stats) -> Result<Option<Proposal>> {
        while let Some(candidate) = self.candidate(least, stats)? {
            if let Some(CodedRow { rowid, fingerprint, .. }) = self.blocks.slot(&candidate) {
                return Ok(Some(Proposal { rowid, fingerprint }));
            }
        }
        Ok(None)
    }
}
