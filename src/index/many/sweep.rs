//! One pass of many queries over all codes, on all threads.

use super::request::BatchRequest;
use crate::error::Result;
use crate::index::bar::{Aim, SharedGuesses};
use crate::index::block::{Codes, Fine};
use crate::index::format::HEADER;
use crate::index::open::Index;
use crate::index::overlay::Overlay;
use crate::index::proposer::Proposal;
use crate::index::request::{Accept, Stats};
use crate::index::store::Store;
use crate::kernels::F32Le;
use crate::kernels::codes::GROUP;
use crate::metric::Scorer;
use crate::resources::pool::{self, Job, Started};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Pairs of a query and a row between two looks at whether the search was interrupted.
const PAIRS_AT_A_TIME: usize = 1 << 28;
/// Bytes of blocks that do not stay in memory, until they are swept and dropped.
const PASSING_AT_A_TIME: usize = 16 << 20;
/// With less work than so many pairs for each, more threads cost more than they save.
const PAIRS_WORTH_A_THREAD: usize = 1 << 14;
/// Groups that a thread takes at a time: both kinds of their codes stay in the second cache.
const GROUPS_AT_A_TIME: usize = 16;
/// Candidates that a query keeps without asking whether they still matter.
const FEW: usize = 256;

/// What rules rows out by their codes.
pub trait Method: Send + Sync + Sized + 'static {
    /// A query that is ready for it.
    type Query: Clone + Send + Sync;
    /// Memory of one thread.
    type Scratch;

    fn new(index: &Index, first: &Scorer) -> Self;
    /// `None` for a query that codes are of no use to.
    fn query(&self, index: &Index, query: &[F32Le]) -> Option<Self::Query>;
    /// The key of a score, rounded down.
    fn key(query: &Self::Query, score: f64) -> f32;
    /// Takes in what all threads need of the queries of a sweep.
    fn prepare(&mut self, seekers: &[Seeker<Self::Query>]);
    fn scratch(&self) -> Self::Scratch;
    /// Adds what the rows of a piece are to each query to what was found for it.
    fn look(sweep: &BatchSweep<Self>, scratch: &mut Self::Scratch, piece: &Piece<'_>, found: &mut [Shortlist]);
}

/// A query that is not answered yet, and what it looks for.
#[derive(Clone)]
pub struct Seeker<Q> {
    pub query: Q,
    /// Its place among the queries.
    pub number: usize,
    pub aim: Aim,
    /// A row that does not take part.
    pub without: Option<i64>,
}

/// A row that could be among the best of a query.
#[derive(Debug, Clone, Copy)]
pub struct BatchCandidate {
    pub upper: f32,
    pub proposal: Proposal,
}

/// What was found for a query: every row that takes part and is not among the candidates has a key below the bar.
#[derive(Default)]
pub struct Shortlist {
    pub candidates: Vec<BatchCandidate>,
    pub bar: f32,
    /// 4-bit codes that were looked at one by one.
    pub looked: u64,
    /// Candidates that were left when it was last asked which still matter.
    kept: usize,
}

impl Shortlist {
    /// Takes over what another thread found.
    fn join(&mut self, other: Self) {
        self.bar = self.bar.max(other.bar);
        self.looked += other.looked;
        self.candidates.extend(other.candidates);
    }

    #[allow(clippy::neg_cmp_op_on_partial_ord, reason = "a limit that is no number stays")]
    fn forget(&mut self) {
        let bar = self.bar;
        self.candidates.retain(|candidate| !(candidate.upper < bar));
        self.kept = self.candidates.len();
    }
}

/// One pass of all seekers over all codes.
pub struct BatchSweep<M: Method> {
    pub method: M,
    pub seekers: Vec<Seeker<M::Query>>,
    hidden: Option<Accept>,
    /// Of each seeker.
    guesses: Vec<SharedGuesses>,
}

/// Both kinds of codes of a block, and whether it is one of changed rows, which hide others and not themselves.
pub type Pair = (Arc<Codes>, Arc<Fine>, bool);

/// Some groups of a block.
pub struct Piece<'a> {
    pub pair: &'a Pair,
    pub groups: Range<usize>,
}

impl<M: Method> BatchSweep<M> {
    fn new(mut method: M, seekers: Vec<Seeker<M::Query>>, request: &BatchRequest<'_>) -> Arc<Self> {
        let hidden = request
            .overlay
            .filter(|overlay| !overlay.is_empty())
            .map(|overlay| -> Accept { Arc::new(overlay.hidden()) });
        method.prepare(&seekers);
        let guesses = seekers.iter().map(|seeker| SharedGuesses::new(&seeker.aim)).collect();
        Arc::new(Self { method, seekers, hidden, guesses })
    }

    /// Takes a row with its guess among the candidates of a query, and raises the bar if enough rows seem to be above it.
    pub fn take(&self, number: usize, found: &mut Shortlist, candidate: BatchCandidate, guess: Option<f32>) {
        if let Some(guess) = guess.filter(|guess| *guess > found.bar) {
            found.bar = found.bar.max(self.guesses[number].offer(guess));
        }
        found.candidates.push(candidate);
    }

    /// The row of a slot, if it takes part in a search.
    pub fn row(&self, (codes, _, is_changed): &Pair, slot: usize, seeker: &Seeker<M::Query>) -> Option<i64> {
        let rowid = codes.rowid(slot);
        let is_hidden = !is_changed && self.hidden.as_ref().is_some_and(|hidden| hidden(rowid));
        (!is_hidden && seeker.without != Some(rowid)).then_some(rowid)
    }

    /// Sweeps all blocks but the last few, and has others begin with those. `None` without seekers.
    pub fn begin<S: Store>(
        method: M,
        seekers: Vec<Seeker<M::Query>>,
        index: &Index,
        store: &mut S,
        request: &BatchRequest<'_>,
        stats: &mut Stats,
    ) -> Result<Option<RunningSweep<M>>> {
        if seekers.is_empty() {
            return Ok(None);
        }
        stats.sweeps += 1;
        let mut found: Vec<Shortlist> =
            seekers.iter().map(|seeker| Shortlist { bar: seeker.aim.floor, ..Shortlist::default() }).collect();
        let sweep = Self::new(method, seekers, request);
        let changed = request.overlay.into_iter().flat_map(Overlay::pairs);
        let mut pairs: Vec<Pair> = changed.map(|(codes, fine)| (codes, fine, true)).collect();
        let (mut slots, mut passing) = (0, 0);
        index.begin();
        for (block, entry) in index.blocks() {
            let (codes, fine, stays) = index.both(store, block, entry)?;
            slots += codes.slots();
            if !stays {
                stats.passing += 1;
                passing += codes.size() + Fine::size_of(index.header.dimensions, codes.slots());
            }
            pairs.push((codes, fine, false));
            if passing > PASSING_AT_A_TIME || slots * sweep.seekers.len() > PAIRS_AT_A_TIME {
                found = sweep.start(std::mem::take(&mut pairs), request.threads, found, stats).join()?;
                // Reading is what notices that the search was interrupted.
                store.read(HEADER, |_| Ok(()))?;
                (slots, passing) = (0, 0);
            }
        }
        Ok(Some(sweep.start(pairs, request.threads, found, stats)))
    }

    fn start(
        self: &Arc<Self>,
        pairs: Vec<Pair>,
        threads: usize,
        found: Vec<Shortlist>,
        stats: &mut Stats,
    ) -> RunningSweep<M> {
        let slots: usize = pairs.iter().map(|(codes, ..)| codes.slots()).sum();
        stats.codes += (slots * self.seekers.len()) as u64;
        let worth = slots * self.seekers.len() / PAIRS_WORTH_A_THREAD;
        let starts = |(pair, (codes, ..)): (usize, &Pair)| {
            let starts = (0..codes.slots() / GROUP).step_by(GROUPS_AT_A_TIME);
            starts.map(move |start| (pair, start)).collect::<Vec<_>>()
        };
        let pieces = pairs.iter().enumerate().flat_map(starts).collect();
        let next = AtomicUsize::new(0);
        let job = Arc::new(BatchJob { sweep: self.clone(), pairs, pieces, next, found: Mutex::default() });
        let started = pool::start(job.clone(), threads.min(worth.max(1)));
        RunningSweep { found, job, started }
    }

    fn look(&self, scratch: &mut M::Scratch, piece: &Piece<'_>, found: &mut [Shortlist]) {
        for (found, guesses) in found.iter_mut().zip(&self.guesses) {
            found.bar = found.bar.max(guesses.bar());
        }
        M::look(self, scratch, piece, found);
        for found in found {
            if found.candidates.len() > FEW + 2 * found.kept {
                found.forget();
            }
        }
    }
}

/// A sweep that others may be working on.
pub struct RunningSweep<M: Method> {
    /// In blocks before.
    found: Vec<Shortlist>,
    job: Arc<BatchJob<M>>,
    started: Started,
}

impl<M: Method> RunningSweep<M> {
    fn join(self) -> Result<Vec<Shortlist>> {
        self.started.finish()?;
        let (mut found, mut parts) = (self.found, self.job.found.lock().unwrap_or_else(PoisonError::into_inner));
        for part in parts.drain(..) {
            found.iter_mut().zip(part).for_each(|(found, part)| found.join(part));
        }
        Ok(found)
    }

    pub fn finish(self, stats: &mut Stats) -> Result<(Arc<BatchSweep<M>>, Vec<Shortlist>)> {
        let sweep = self.job.sweep.clone();
        let mut found = self.join()?;
        for found in &mut found {
            found.forget();
            stats.candidates += found.candidates.len() as u64;
            stats.looked += found.looked;
        }
        Ok((sweep, found))
    }
}

struct BatchJob<M: Method> {
    sweep: Arc<BatchSweep<M>>,
    pairs: Vec<Pair>,
    /// A pair's place, and the first group in it.
    pieces: Vec<(usize, usize)>,
    next: AtomicUsize,
    found: Mutex<Vec<Vec<Shortlist>>>,
}

impl<M: Method> Job for BatchJob<M> {
    fn work(&self) {
        let sweep = &*self.sweep;
        let new = |_| Shortlist { bar: f32::NEG_INFINITY, ..Shortlist::default() };
        let mut found: Vec<Shortlist> = sweep.seekers.iter().map(new).collect();
        let mut scratch = sweep.method.scratch();
        while let Some((pair, start)) = self.pieces.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            let pair = &self.pairs[*pair];
            let groups = *start..(start + GROUPS_AT_A_TIME).min(pair.0.slots() / GROUP);
            sweep.look(&mut scratch, &Piece { pair, groups }, &mut found);
        }
        self.found.lock().unwrap_or_else(PoisonError::into_inner).push(found);
    }
}
