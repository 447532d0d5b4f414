//! One pass over all codes: which rows could be among the best.

use super::block::Codes;
use crate::codec::{Interval, Query};
use crate::error::{Error, Result};
use crate::kernels::codes::{Bounds, Factors, GROUP};
use crate::pool::{self, Job};
use crate::reserve::{self, Reserve};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Says whether a row takes part.
pub type Accept = Arc<dyn Fn(i64) -> bool + Send + Sync>;

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
pub type Numbered = (u32, Arc<Codes>);

/// What a sweep looks for, in keys.
#[derive(Clone)]
pub struct Aim {
    /// Rows that certainly lie below this do not matter.
    pub floor: f32,
    /// Rows that certainly lie above this do not matter.
    pub ceiling: f32,
    /// How many rows are wanted: the bar rises to where that many are guessed to be. `None` keeps it at the floor.
    pub reach: Option<usize>,
    /// Which rows take part; all, without it.
    pub accept: Option<Accept>,
}

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
pub struct Swept {
    pub candidates: Vec<Candidate>,
    pub bar: f32,
    /// Codes that were looked at.
    pub codes: u64,
    /// Blocks that were not kept in memory.
    pub passing: u64,
    /// What ended it before it was through: no memory for more candidates.
    failed: Option<Error>,
}

/// A sweep by one thread.
pub struct Sweeper<'a> {
    query: &'a Query,
    aim: &'a Aim,
    /// The lowest guesses on top, at most as many as wanted.
    guesses: BinaryHeap<Reverse<Ordered>>,
    bounds: Bounds,
    /// Candidates that were left when it was last asked which still matter.
    kept: usize,
    swept: Swept,
}

impl<'a> Sweeper<'a> {
    /// Begins a sweep.
    pub fn new(query: &'a Query, aim: &'a Aim) -> Self {
        let swept = Swept { bar: aim.floor, ..Swept::default() };
        Self { query, aim, guesses: BinaryHeap::new(), bounds: Bounds::default(), kept: 0, swept }
    }

    /// Goes on with another aim, on blocks in which other rows take part.
    pub fn with_aim(self, aim: &'a Aim) -> Self {
        Self { aim, ..self }
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
        let factors = [factors.scale[i].get(), factors.error[i].get(), factors.offset[i].get()];
        let candidate = Candidate { upper: interval.upper, block: number, slot: slot as u32, factors };
        if let Err(error) = self.take(candidate, estimate, error) {
            // Nothing is above this bar, so that no more is taken.
            self.swept.bar = f32::INFINITY;
            self.swept.failed = Some(error);
        }
    }

    fn take(&mut self, candidate: Candidate, estimate: f32, error: f32) -> Result<()> {
        self.guess(estimate, error)?;
        reserve::push(&mut self.swept.candidates, candidate)
    }

    fn accepts(&self, codes: &Codes, slot: usize) -> bool {
        self.aim.accept.as_ref().is_none_or(|accept| accept(codes.rowid(slot)))
    }

    /// Raises the bar if enough rows seem to be above it.
    fn guess(&mut self, estimate: f32, error: f32) -> Result<()> {
        let Some(reach) = self.aim.reach else { return Ok(()) };
        let guess = estimate - GUESS * error;
        // A row that is above the ceiling as likely as not is none of those wanted.
        if guess.is_finite() && estimate <= self.aim.ceiling { self.offer(reach, guess) } else { Ok(()) }
    }

    fn offer(&mut self, reach: usize, guess: f32) -> Result<()> {
        if self.guesses.len() < reach {
            self.guesses.reserve_room(1)?;
            self.guesses.push(Reverse(Ordered(guess)));
        } else if let Some(mut lowest) = self.guesses.peek_mut()
            && guess > lowest.0.0
        {
            *lowest = Reverse(Ordered(guess));
        }
        if self.guesses.len() == reach
            && let Some(Reverse(Ordered(lowest))) = self.guesses.peek()
        {
            self.swept.bar = self.swept.bar.max(*lowest);
        }
        Ok(())
    }

    /// Takes over what another thread found.
    fn join(&mut self, other: Finding) -> Result<()> {
        if let Some(error) = other.swept.failed {
            return Err(error);
        }
        if let Some(reach) = self.aim.reach {
            other.guesses.into_iter().try_for_each(|Reverse(Ordered(guess))| self.offer(reach, guess))?;
        }
        self.swept.bar = self.swept.bar.max(other.swept.bar);
        self.swept.codes += other.swept.codes;
        self.swept.candidates.reserve_room(other.swept.candidates.len())?;
        self.swept.candidates.extend(other.swept.candidates);
        Ok(())
    }

    fn into_finding(self) -> Finding {
        Finding { guesses: self.guesses, swept: self.swept }
    }

    /// What was found.
    pub fn finish(mut self) -> Result<Swept> {
        self.swept.forget();
        match self.swept.failed.take() {
            Some(error) => Err(error),
            None => Ok(self.swept),
        }
    }
}

impl Swept {
    fn forget(&mut self) {
        let bar = self.bar;
        self.candidates.retain(|candidate| candidate.upper >= bar);
    }
}

/// A finite number with its order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ordered(pub f32);

impl Eq for Ordered {}

impl Ord for Ordered {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// Sweeps blocks in memory on several threads, and adds what they find to `sweeper`.
pub fn sweep(
    sweeper: &mut Sweeper<'_>,
    query: &Arc<Query>,
    aim: &Aim,
    blocks: Arc<Vec<Numbered>>,
    threads: usize,
) -> Result<()> {
    let threads = threads.min(blocks.len() / BLOCKS_WORTH_A_THREAD).max(1);
    let job = Arc::new(Sweeping {
        query: query.clone(),
        aim: Aim { floor: sweeper.swept.bar, ..aim.clone() },
        blocks,
        next: AtomicUsize::new(0),
        bar: AtomicU32::new(0),
        found: Mutex::default(),
    });
    pool::run(job.clone(), threads)?;
    let found = std::mem::take(&mut *job.found.lock().unwrap_or_else(PoisonError::into_inner));
    found.into_iter().try_for_each(|finding| sweeper.join(finding))
}

struct Finding {
    guesses: BinaryHeap<Reverse<Ordered>>,
    swept: Swept,
}

struct Sweeping {
    query: Arc<Query>,
    aim: Aim,
    blocks: Arc<Vec<Numbered>>,
    next: AtomicUsize,
    /// The highest bar of all threads, as [`rank`] has it.
    bar: AtomicU32,
    found: Mutex<Vec<Finding>>,
}

impl Job for Sweeping {
    fn work(&self) {
        let mut sweeper = Sweeper::new(&self.query, &self.aim);
        loop {
            let start = self.next.fetch_add(PIECE, Ordering::Relaxed);
            let Some(piece) = self.blocks.get(start..) else { break };
            if piece.is_empty() {
                break;
            }
            for (number, codes) in piece.iter().take(PIECE) {
                sweeper.block(*number, codes);
            }
            let others = self.bar.fetch_max(rank(sweeper.swept.bar), Ordering::Relaxed);
            sweeper.swept.bar = sweeper.swept.bar.max(unrank(others));
        }
        self.found.lock().unwrap_or_else(PoisonError::into_inner).push(sweeper.into_finding());
    }
}

/// A whole number with the order of the float; 0 for none.
pub(super) fn rank(x: f32) -> u32 {
    let bits = x.to_bits();
    if x.is_sign_negative() { !bits } else { bits | 0x8000_0000 }
}

pub(super) fn unrank(rank: u32) -> f32 {
    match rank {
        0 => f32::NEG_INFINITY,
        _ if rank & 0x8000_0000 == 0 => f32::from_bits(!rank),
        _ => f32::from_bits(rank & 0x7FFF_FFFF),
    }
}
