//! One pass over all 1-bit codes: which rows could be among the best.

use super::bar::{Aim, Guesses, SharedBar};
use super::block::Codes;
use super::request::Accept;
use crate::codec::{Interval, Query};
use crate::error::{Error, Result};
use crate::kernels::codes::{Bounds, Factors, GROUP};
use crate::lock::lock;
use crate::resources::pool::{self, Job};
use crate::resources::reserve::{self, Reserve};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Blocks that a thread takes at a time.
const PIECE: usize = 4;
/// A thread that gets fewer blocks than this costs more than it saves.
const BLOCKS_WORTH_A_THREAD: usize = 16;
/// So many candidates are kept without asking which of them are below the bar by now.
const FEW: usize = 1024;

/// The bar is the k-th greatest `estimate - GUESS * error`.
///
/// With 1 the k-th best row would certainly be above the bar, but far more rows would be candidates. With a quarter, a second
/// sweep is still rare.
const GUESS: f32 = 0.25;

/// The codes of a block, with its number.
pub type NumberedCodes = (u32, Arc<Codes>);

/// A slot whose row could be among the best.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// The key of the row is not above this, except with the small chance that bounds leave.
    pub upper: f32,
    /// The number of the block.
    pub block: u32,
    /// The slot in the block.
    pub slot: u32,
    /// Scale, error and offset of the 1-bit code. They are in the cache of the CPU now, and would have to be loaded from memory
    /// later.
    pub factors: [f32; 3],
}

/// What a sweep found. Every row that takes part and is not among the candidates has a key below the bar.
#[derive(Debug, Default)]
pub struct SweepResult {
    pub candidates: Vec<Candidate>,
    pub bar: f32,
    /// How many codes were looked at.
    pub codes: u64,
    /// How many blocks had no room in the cache.
    pub passing: u64,
    /// Why it ended too early: there was no memory for more candidates.
    failed: Option<Error>,
}

/// The sweep of one thread.
pub struct Sweeper<'a> {
    query: &'a Query,
    aim: Aim,
    /// Which rows take part; without it, all.
    accept: Option<&'a Accept>,
    /// `None` if the bar stays at the floor.
    guesses: Option<Guesses>,
    bounds: Bounds,
    /// How many candidates were left when those below the bar were last dropped.
    kept: usize,
    swept: SweepResult,
}

impl<'a> Sweeper<'a> {
    /// No blocks yet.
    pub fn new(query: &'a Query, aim: Aim, accept: Option<&'a Accept>) -> Self {
        let swept = SweepResult { bar: aim.floor, ..SweepResult::default() };
        let guesses = aim.reach.map(Guesses::new);
        Self { query, aim, accept, guesses, bounds: Bounds::default(), kept: 0, swept }
    }

    /// Goes on with blocks in which other rows take part.
    pub fn accepting(self, accept: Option<&'a Accept>) -> Self {
        Self { accept, ..self }
    }

    /// Notes that the cache had no room for the last block.
    pub fn passed(&mut self) {
        self.swept.passing += 1;
    }

    /// All candidates so far.
    pub fn candidates(&self) -> &[Candidate] {
        &self.swept.candidates
    }

    /// The candidates in the block that was looked at last.
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
            self.swept.drop_low();
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
        let factors = [factors.scale[i].get(), factors.error[i].get(), factors.offset[i].get()];
        let candidate = Candidate { upper: interval.upper, block: number, slot: slot as u32, factors };
        if let Err(error) = self.take(candidate, estimate, error) {
            // Nothing is above this bar, so no more candidates are taken.
            self.swept.bar = f32::INFINITY;
            self.swept.failed = Some(error);
        }
    }

    fn take(&mut self, candidate: Candidate, estimate: f32, error: f32) -> Result<()> {
        self.guess(estimate, error)?;
        reserve::push(&mut self.swept.candidates, candidate)
    }

    fn accepts(&self, codes: &Codes, slot: usize) -> bool {
        self.accept.is_none_or(|accept| accept(codes.rowid(slot)))
    }

    /// Raises the bar if enough rows seem to be above a higher one.
    fn guess(&mut self, estimate: f32, error: f32) -> Result<()> {
        match self.aim.guess(estimate, estimate - GUESS * error) {
            Some(guess) => self.offer(guess),
            None => Ok(()),
        }
    }

    fn offer(&mut self, guess: f32) -> Result<()> {
        if let Some(bar) = self.guesses.as_mut().map_or(Ok(None), |guesses| guesses.offer(guess))? {
            self.swept.bar = self.swept.bar.max(bar);
        }
        Ok(())
    }

    /// Adds what another thread found.
    fn join(&mut self, other: ThreadResult) -> Result<()> {
        if let Some(error) = other.swept.failed {
            return Err(error);
        }
        other.guesses.into_iter().flat_map(Guesses::into_values).try_for_each(|guess| self.offer(guess))?;
        self.swept.bar = self.swept.bar.max(other.swept.bar);
        self.swept.codes += other.swept.codes;
        self.swept.candidates.reserve_room(other.swept.candidates.len())?;
        self.swept.candidates.extend(other.swept.candidates);
        Ok(())
    }

    /// What was found.
    pub fn finish(mut self) -> Result<SweepResult> {
        self.swept.drop_low();
        match self.swept.failed.take() {
            Some(error) => Err(error),
            None => Ok(self.swept),
        }
    }
}

impl SweepResult {
    /// Drops the candidates below the bar.
    fn drop_low(&mut self) {
        let bar = self.bar;
        self.candidates.retain(|candidate| candidate.upper >= bar);
    }
}

/// Sweeps blocks in memory with several threads, and adds what they find to `sweeper`.
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
    let results = std::mem::take(&mut *lock(&job.results));
    results.into_iter().try_for_each(|result| sweeper.join(result))
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
    /// The highest bar of all threads.
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
        lock(&self.results).push(result);
    }
}
