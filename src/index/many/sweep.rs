//! One pass of many queries over all codes, on several threads: which rows could be among the best of each query.

use super::request::BatchRequest;
use crate::error::{Error, Result};
use crate::index::bar::{Aim, SharedGuesses};
use crate::index::block::{Codes, Fine};
use crate::index::format::HEADER;
use crate::index::open::Index;
use crate::index::overlay::Overlay;
use crate::index::request::{Accept, Stats};
use crate::index::store::Store;
use crate::kernels::F32Le;
use crate::kernels::codes::GROUP;
use crate::lock::lock;
use crate::metric::Scorer;
use crate::resources::pool::{self, Job, Started};
use crate::resources::reserve::{self, Reserve};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// After so many pairs of a query and a row, the sweep asks whether the search was interrupted.
const PAIRS_AT_A_TIME: usize = 1 << 28;
/// Blocks that the cache has no room for are collected up to so many bytes, then swept and dropped.
const PASSING_AT_A_TIME: usize = 16 << 20;
/// A thread that gets fewer pairs than this costs more than it saves.
const PAIRS_WORTH_A_THREAD: usize = 1 << 14;
/// Groups that a thread takes at a time. Both kinds of their codes fit into the second-level cache of a core.
const GROUPS_AT_A_TIME: usize = 16;
/// A query keeps so many candidates without asking which of them are below the bar by now.
const FEW: usize = 256;

/// A way to rule out rows by their codes.
pub trait Method: Send + Sync + Sized + 'static {
    /// A query in the form that the method needs.
    type MethodQuery: Clone + Send + Sync;
    /// Working memory of one thread.
    type Memory;

    /// For queries of the metric of `first`.
    fn new(index: &Index, first: &Scorer) -> Self;
    /// Prepares a query. `None` if codes cannot bound its scores.
    fn query(&self, index: &Index, query: &[F32Le]) -> Option<Self::MethodQuery>;
    /// The key of a score, rounded down.
    fn key(query: &Self::MethodQuery, score: f64) -> f32;
    /// Prepares what all threads need of the queries of a sweep.
    fn prepare(&mut self, seekers: &[Seeker<Self::MethodQuery>]);
    /// Memory for one more thread.
    fn memory(&self) -> Self::Memory;
    /// Looks at the rows of a piece for every query, and adds candidates to the list of each.
    fn look(sweep: &BatchSweep<Self>, memory: &mut Self::Memory, piece: &Piece<'_>, lists: &mut [Shortlist]);
    /// After the last piece of these blocks, looks at the rows that were put off.
    fn finish(_: &BatchSweep<Self>, _: &mut Self::Memory, _: &[BlockCodes], _: &mut [Shortlist]) {}
}

/// A query that has no answer yet, and what it looks for.
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
    /// Its key is not above this, except with the small chance that the method leaves.
    pub upper: f32,
    pub fingerprint: u32,
    pub rowid: i64,
}

/// The candidates for one query. Every row that takes part and is not among them has a key below the bar.
#[derive(Default)]
pub struct Shortlist {
    pub candidates: Vec<BatchCandidate>,
    pub bar: f32,
    /// How many 4-bit codes were looked at one by one.
    pub looked: u64,
    /// How many candidates were left when those below the bar were last dropped.
    kept: usize,
    /// Why it ended too early: there was no memory for more candidates.
    failed: Option<Error>,
}

impl Shortlist {
    /// Adds the list of another thread.
    fn join(&mut self, other: Self) -> Result<()> {
        if let Some(error) = other.failed {
            return Err(error);
        }
        self.bar = self.bar.max(other.bar);
        self.looked += other.looked;
        self.candidates.reserve_room(other.candidates.len())?;
        self.candidates.extend(other.candidates);
        Ok(())
    }

    /// Drops the candidates below the bar.
    #[allow(clippy::neg_cmp_op_on_partial_ord, reason = "a candidate whose limit is NaN stays")]
    fn drop_low(&mut self) {
        let bar = self.bar;
        self.candidates.retain(|candidate| !(candidate.upper < bar));
        self.kept = self.candidates.len();
    }
}

/// One pass of all seekers over all codes.
pub struct BatchSweep<M: Method> {
    pub method: M,
    pub seekers: Vec<Seeker<M::MethodQuery>>,
    /// Rows whose codes in the index are old, because they changed since.
    hidden: Option<Accept>,
    /// One for each seeker.
    guesses: Vec<SharedGuesses>,
}

/// Both kinds of codes of a block.
pub struct BlockCodes {
    pub codes: Arc<Codes>,
    pub fine: Arc<Fine>,
    /// The rows of the block changed since the index was written. So these codes are new, and those of the same rows in
    /// other blocks are old.
    pub is_changed: bool,
}

/// Some groups of a block.
pub struct Piece<'a> {
    /// The place of its block.
    pub number: usize,
    pub block: &'a BlockCodes,
    pub groups: Range<usize>,
}

impl<M: Method> BatchSweep<M> {
    fn new(mut method: M, seekers: Vec<Seeker<M::MethodQuery>>, request: &BatchRequest<'_>) -> Arc<Self> {
        let hidden = request
            .overlay
            .filter(|overlay| !overlay.is_empty())
            .map(|overlay| -> Accept { Arc::new(overlay.hidden()) });
        method.prepare(&seekers);
        let guesses = seekers.iter().map(|seeker| SharedGuesses::new(&seeker.aim)).collect();
        Arc::new(Self { method, seekers, hidden, guesses })
    }

    /// Adds a candidate to the list of a query. Its guess raises the bar if enough rows seem to be above it.
    pub fn take(&self, number: usize, list: &mut Shortlist, candidate: BatchCandidate, guess: Option<f32>) {
        if let Err(error) = self.try_to_take(number, list, candidate, guess) {
            // Nothing is above this bar, so no more candidates are taken.
            list.bar = f32::INFINITY;
            list.failed = Some(error);
        }
    }

    fn try_to_take(
        &self,
        number: usize,
        list: &mut Shortlist,
        candidate: BatchCandidate,
        guess: Option<f32>,
    ) -> Result<()> {
        if let Some(guess) = guess.filter(|guess| *guess > list.bar) {
            list.bar = list.bar.max(self.guesses[number].offer(guess)?);
        }
        reserve::push(&mut list.candidates, candidate)
    }

    /// The row of a slot, if it takes part in the search of this query.
    pub fn row(&self, block: &BlockCodes, slot: usize, seeker: &Seeker<M::MethodQuery>) -> Option<i64> {
        let rowid = block.codes.rowid(slot);
        let is_hidden = !block.is_changed && self.hidden.as_ref().is_some_and(|hidden| hidden(rowid));
        (!is_hidden && seeker.without != Some(rowid)).then_some(rowid)
    }

    /// Sweeps all blocks but the last few; with those, other threads begin. `None` if there are no seekers.
    pub fn begin<S: Store>(
        method: M,
        seekers: Vec<Seeker<M::MethodQuery>>,
        index: &Index,
        store: &mut S,
        request: &BatchRequest<'_>,
        stats: &mut Stats,
    ) -> Result<Option<RunningSweep<M>>> {
        if seekers.is_empty() {
            return Ok(None);
        }
        stats.sweeps += 1;
        let mut lists: Vec<Shortlist> =
            seekers.iter().map(|seeker| Shortlist { bar: seeker.aim.floor, ..Shortlist::default() }).collect();
        let sweep = Self::new(method, seekers, request);
        let changed = request.overlay.into_iter().flat_map(Overlay::pairs);
        let changed = changed.map(|(codes, fine)| BlockCodes { codes, fine, is_changed: true });
        let mut blocks: Vec<BlockCodes> = changed.collect();
        let (mut slots, mut passing) = (0, 0);
        index.begin();
        for (block, entry) in index.blocks() {
            let (codes, fine, stays) = index.both(store, block, entry)?;
            slots += codes.slots();
            if !stays {
                stats.passing += 1;
                passing += codes.size() + Fine::size_of(index.header.dimensions, codes.slots());
            }
            blocks.push(BlockCodes { codes, fine, is_changed: false });
            if passing > PASSING_AT_A_TIME || slots * sweep.seekers.len() > PAIRS_AT_A_TIME {
                lists = sweep.start(std::mem::take(&mut blocks), request.threads, lists, stats).join()?;
                // A read of the store notices that the search was interrupted.
                store.read(HEADER, |_| Ok(()))?;
                (slots, passing) = (0, 0);
            }
        }
        Ok(Some(sweep.start(blocks, request.threads, lists, stats)))
    }

    fn start(
        self: &Arc<Self>,
        blocks: Vec<BlockCodes>,
        threads: usize,
        lists: Vec<Shortlist>,
        stats: &mut Stats,
    ) -> RunningSweep<M> {
        let slots: usize = blocks.iter().map(|block| block.codes.slots()).sum();
        stats.codes += (slots * self.seekers.len()) as u64;
        let worth = slots * self.seekers.len() / PAIRS_WORTH_A_THREAD;
        let starts = |(number, block): (usize, &BlockCodes)| {
            let starts = (0..block.codes.slots() / GROUP).step_by(GROUPS_AT_A_TIME);
            starts.map(move |start| (number, start)).collect::<Vec<_>>()
        };
        let pieces = blocks.iter().enumerate().flat_map(starts).collect();
        let next = AtomicUsize::new(0);
        let job = Arc::new(BatchJob { sweep: self.clone(), blocks, pieces, next, lists: Mutex::default() });
        let started = pool::start(job.clone(), threads.min(worth.max(1)));
        RunningSweep { lists, job, started }
    }

    /// Raises the bars to where other threads have them.
    fn raise(&self, lists: &mut [Shortlist]) {
        for (list, guesses) in lists.iter_mut().zip(&self.guesses) {
            list.bar = list.bar.max(guesses.bar());
        }
    }

    fn look(&self, memory: &mut M::Memory, piece: &Piece<'_>, lists: &mut [Shortlist]) {
        self.raise(lists);
        M::look(self, memory, piece, lists);
        for list in lists {
            if list.candidates.len() > FEW + 2 * list.kept {
                list.drop_low();
            }
        }
    }
}

/// A sweep that other threads may be working on.
pub struct RunningSweep<M: Method> {
    /// From the blocks that are done.
    lists: Vec<Shortlist>,
    job: Arc<BatchJob<M>>,
    started: Started,
}

impl<M: Method> RunningSweep<M> {
    fn join(self) -> Result<Vec<Shortlist>> {
        self.started.finish()?;
        let (mut lists, mut parts) = (self.lists, lock(&self.job.lists));
        for part in parts.drain(..) {
            lists.iter_mut().zip(part).try_for_each(|(list, part)| list.join(part))?;
        }
        Ok(lists)
    }

    /// Waits for the end of the sweep.
    pub fn finish(self, stats: &mut Stats) -> Result<(Arc<BatchSweep<M>>, Vec<Shortlist>)> {
        let sweep = self.job.sweep.clone();
        let mut lists = self.join()?;
        for list in &mut lists {
            list.drop_low();
            stats.candidates += list.candidates.len() as u64;
            stats.looked += list.looked;
        }
        Ok((sweep, lists))
    }
}

struct BatchJob<M: Method> {
    sweep: Arc<BatchSweep<M>>,
    blocks: Vec<BlockCodes>,
    /// The place of a block, and the first group in it.
    pieces: Vec<(usize, usize)>,
    next: AtomicUsize,
    /// What each thread has when it is done.
    lists: Mutex<Vec<Vec<Shortlist>>>,
}

impl<M: Method> Job for BatchJob<M> {
    fn work(&self) {
        let sweep = &*self.sweep;
        let new = |_| Shortlist { bar: f32::NEG_INFINITY, ..Shortlist::default() };
        let mut lists: Vec<Shortlist> = sweep.seekers.iter().map(new).collect();
        let mut memory = sweep.method.memory();
        while let Some((number, start)) = self.pieces.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            let block = &self.blocks[*number];
            let groups = *start..(start + GROUPS_AT_A_TIME).min(block.codes.slots() / GROUP);
            sweep.look(&mut memory, &Piece { number: *number, block, groups }, &mut lists);
        }
        sweep.raise(&mut lists);
        M::finish(sweep, &mut memory, &self.blocks, &mut lists);
        lock(&self.lists).push(lists);
    }
}
