//! One pass over all codes: which rows could be among the best.

use super::bar::{Aim, Guesses, SharedBar};
use super::block::Codes;
use super::request::Accept;
use crate::codec::{Interval, Query};
use crate::error::Result;
use crate::kernels::codes::{Bounds, Factors, GROUP};
use crate::resources::pool::{self, Job};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Blocks that a thread takes at a time.
const PIECE: usize = 4;
/// With less than this many blocks for each, more threads cost more than they save.
const BLOCKS_WORTH_A_THREAD: usize = 16;
/// Candidates that are kept without asking whether they still matter.
const FEW: usize = 1024;

/// Where the k-th best row is guessed: that many rows have estimates of at least this share of their error above the bar.
/// With half of it a rescan is rare, and far fewer rows pass than with all of it, which would be certain.
const GUESS: f32 = 0.25;

/// Codes with the number of their block.
pub type NumberedCodes = (u32, Arc<Codes>);

/// A row that could be among the best.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// Its key is hardly above this.
    pub upper: f32,
    /// The number of the block.
    pub block: u32,
    /// The slot in it.
    pub slot: u32,
    /// Scale, error and offset of the 1-bit code, which are at hand now and would have to come from memory later.
    pub factors: [f32; 3],
}

/// What a sweep found: every row that takes part and is not among the candidates lies below the bar.
#[derive(Debug, Default)]
pub struct SweepResult {
    pub candidates: Vec<Candidate>,
    pub bar: f32,
    /// Codes that were looked at.
    pub codes: u64,
    /// Blocks that were not kept in memory.
    pub passing: u64,
}

/// A sweep by one thread.
pub struct Sweeper<'a> {
    query: &'a Query,
    aim: Aim,
    /// Which rows take part; all, without it.
    accept: Option<&'a Accept>,
    /// `None` where the bar stays at the floor.
    guesses: Option<Guesses>,
    bounds: Bounds,
    /// Candidates that were left when it was last asked which still matter.
    kept: usize,
    swept: SweepResult,
}

impl<'a> Sweeper<'a> {
    /// Begins a sweep.
    pub fn new(query: &'a Query, aim: Aim, accept: Option<&'a Accept>) -> Self {
        let swept = SweepResult { bar: aim.floor, ..SweepResult::default() };
        let guesses = aim.reach.map(Guesses::new);
        Self { query, aim, accept, guesses, bounds: Bounds::default(), kept: 0, swept }
    }

    /// Goes on with blocks in which other rows take part.
    pub fn accepting(self, accept: Option<&'a Accept>) -> Self {
        Self { accept, ..self }
    }

    /// Notes that the last block is not kept in memory.
    pub fn passed(&mut self) {
        self.swept.passing += 1;
    }

    /// All candidates so far.
    pub fn candidates(&self) -> &[Candidate] {
        &self.swept.candidates
    }

    /// The candidates of the block that was looked at last.
    pub fn of_block(&self, number: u32) -> impl Iterator<Item = &Candidate> {
        self.swept.candidates.iter().rev().take_while(move |candidate| candidate.block == number)
    }

    /// Looks at all codes of a block.
    pub fn block(&mut self, number: u32, codes: &Codes) {
        for (at, group) in codes.groups().enumerate() {
            let mut reaching = self.query.estimate(group, self.swept.bar, &mut self.bounds);
            while reaching != 0 {
                let i = reaching.trailing_zeros() as usize;
                self.vector(number, at * GROUP + i, codes, group.factors);
                reaching &= reaching - 1;
            }
        }
        if self.swept.candidates.len() > FEW + 2 * self.kept {
            self.swept.forget();
            self.kept = self.swept.candidates.len();
        }
        self.swept.codes += codes.slots() as u64;
    }

    #[inline]
    fn vector(&mut self, number: u32, slot: usize, codes: &Codes, factors: &Factors) {
        let i = slot % GROUP;
        let (estimate, error) = (self.bounds.estimate[i], self.bounds.error[i]);
        let interval = Interval::around(estimate, error);
        if interval.upper < self.swept.bar || interval.lower > self.aim.ceiling || !self.accepts(codes, slot) {
            return;
        }
        self.guess(estimate, error);
        let factors = [factors.scale[i].get(), factors.error[i].get(), factors.offset[i].get()];
        self.swept.candidates.push(Candidate { upper: interval.upper, block: number, slot: slot as u32, factors });
    }

    fn accepts(&self, codes: &Codes, slot: usize) -> bool {
        self.accept.is_none_or(|accept| accept(codes.rowid(slot)))
    }

    /// Raises the bar if enough rows seem to be above it.
    fn guess(&mut self, estimate: f32, error: f32) {
        if let Some(guess) = self.aim.guess(estimate, estimate - GUESS * error) {
            self.offer(guess);
        }
    }

    fn offer(&mut self, guess: f32) {
        if let Some(bar) = self.guesses.as_mut().and_then(|guesses| guesses.offer(guess)) {
            self.swept.bar = self.swept.bar.max(bar);
        }
    }

    /// Takes over what another thread found.
    fn join(&mut self, other: ThreadResult) {
        other.guesses.into_iter().flat_map(Guesses::into_values).for_each(|guess| self.offer(guess));
        self.swept.bar = self.swept.bar.max(other.swept.bar);
        self.swept.codes += other.swept.codes;
        self.swept.candidates.extend(other.swept.candidates);
    }

    /// What was found.
    pub fn finish(mut self) -> SweepResult {
        self.swept.forget();
        self.swept
    }
}

impl SweepResult {
    fn forget(&mut self) {
        let bar = self.bar;
        self.candidates.retain(|candidate| candidate.upper >= bar);
    }
}

/// Sweeps blocks in memory on several threads, and adds what they find to `sweeper`.
pub fn sweep(
    sweeper: &mut Sweeper<'_>,
    query: &Arc<Query>,
    blocks: Arc<Vec<NumberedCodes>>,
    threads: usize,
) -> Result<()> {
    let threads = threads.min(blocks.len() / BLOCKS_WORTH_A_THREAD).max(1);
    let aim = Aim { floor: sweeper.swept.bar, ..sweeper.aim };
    let job = Arc::new(SweepJob {
        query: query.clone(),
        aim,
        accept: sweeper.accept.cloned(),
        blocks,
        next: AtomicUsize::new(0),
        bar: SharedBar::new(aim.floor),
        results: Mutex::default(),
    });
    pool::run(job.clone(), threads)?;
    let results = std::mem::take(&mut *job.results.lock().unwrap_or_else(PoisonError::into_inner));
    results.into_iter().for_each(|result| sweeper.join(result));
    Ok(())
}

struct ThreadResult {
    guesses: Option<Guesses>,
    swept: SweepResult,
}

struct SweepJob {
    query: Arc<Query>,
    aim: Aim,
    accept: Option<Accept>,
    blocks: Arc<Vec<NumberedCodes>>,
    next: AtomicUsize,
    /// The highest of all threads.
    bar: SharedBar,
    results: Mutex<Vec<ThreadResult>>,
}

impl Job for SweepJob {
    fn work(&self) {
        let mut sweeper = Sweeper::new(&self.query, self.aim, self.accept.as_ref());
        loop {
            let start = self.next.fetch_add(PIECE, Ordering::Relaxed);
            let Some(piece) = self.blocks.get(start..) else { break };
            if piece.is_empty() {
                break;
            }
            for (number, codes) in piece.iter().take(PIECE) {
                sweeper.block(*number, codes);
            }
            sweeper.swept.bar = self.bar.raise(sweeper.swept.bar);
        }
        let result = ThreadResult { guesses: sweeper.guesses, swept: sweeper.swept };
        self.results.lock().unwrap_or_else(PoisonError::into_inner).push(result);
    }
}
