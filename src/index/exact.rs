//! Searches by the 4-bit codes of all rows, with limits that are certain: one query that must not miss a row, or many queries
//! in one pass.
//!
//! A group of 64 codes is laid out for the kernel once and met by every query while it is in the nearest cache. Rows whose
//! limit is below the *bar*, where the k-th best row is guessed to be, are left out. All others are fetched, each once for
//! all queries that want it, in the order of their rowids. Where the k-th true score turns out to be below the bar,
//! the query sweeps again down to that score. So nothing rests on chance.

use super::block::{Codes, Fine};
use super::format::HEADER;
use super::open::Index;
use super::overlay::Overlay;
use super::search::{Reason, Row, Rows, Span, Stats};
use super::store::Store;
use super::sweep::{Accept, Ordered, rank, unrank};
use crate::codec::certain::{Margins, Query};
use crate::codec::fingerprint;
use crate::error::Result;
use crate::kernels::codes::{GROUP, Known};
use crate::kernels::{self, F32Le};
use crate::metric::Scorer;
use crate::pool::{self, Job};
use crate::scan::Rules;
use crate::topk::{Hit, Place, TopK};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Pairs of a query and a row between two looks at whether the search was interrupted.
const PAIRS_AT_A_TIME: usize = 1 << 28;
/// Bytes of blocks that do not stay in memory, until they are swept and dropped.
const PASSING_AT_A_TIME: usize = 16 << 20;
/// With less work than so many pairs for each, more threads cost more than they save.
const PAIRS_WORTH_A_THREAD: usize = 1 << 14;
/// Queries that the kernel gets at a time: a few rounds of as many as it takes together.
const TILE: usize = 20;
/// Candidates that a query keeps without asking whether they still matter.
const FEW: usize = 256;

/// What is searched for.
pub struct Request<'a> {
    /// The queries, all of the index's dimensions and one metric.
    pub queries: &'a [Wanted<'a>],
    /// How many rows for each.
    pub limit: usize,
    /// Which rows count.
    pub rules: &'a Rules,
    /// The source's number, for places.
    pub source: u32,
    /// Rows that changed since the index was written.
    pub overlay: Option<&'a Overlay>,
    /// How many threads may work on it.
    pub threads: usize,
}

/// One of the queries.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    /// The query.
    pub scorer: &'a Scorer,
    /// Where rows found elsewhere are already enough: the last of these.
    pub floor: Option<Place>,
    /// A row that does not take part.
    pub without: Option<i64>,
}

/// How a search ended.
pub enum Answers {
    /// The best rows of each query, best first; `None` where codes are of no use to it, and a scan is.
    Found(Vec<Option<Vec<Place>>>),
    /// The index does not belong to the rows any more; a scan answers.
    Stale(Reason),
}

impl Index {
    /// The best rows for each query, exactly those of a scan.
    pub fn search_exactly<S: Store, R: Rows>(
        &self,
        store: &mut S,
        request: &Request<'_>,
        rows: &mut R,
        stats: &mut Stats,
    ) -> Result<Answers> {
        let mut answers: Vec<Option<Vec<Place>>> = vec![None; request.queries.len()];
        if request.limit == 0 {
            answers.fill(Some(Vec::new()));
        }
        let Some(first) = request.queries.first().filter(|_| request.limit > 0) else {
            return Ok(Answers::Found(answers));
        };
        let margins = Margins::new(self.space(), first.scorer.metric());
        let mut seekers = self.seekers(&margins, request);
        while !seekers.is_empty() {
            stats.sweeps += 1;
            let sweep = Sweep::new(margins, seekers, self.header.dimensions, request);
            let found = sweep.run(self, store, request, stats)?;
            let mut verifier = Verifier::new(request, &sweep.seekers);
            if let Some(reason) = verifier.run(&found, rows, self.header.rows, stats)? {
                return Ok(Answers::Stale(reason));
            }
            let mut left = Vec::new();
            for ((seeker, found), best) in sweep.seekers.iter().zip(&found).zip(verifier.best) {
                let reached = best.last().map_or(seeker.floor, |last| seeker.query.key(last.score).max(seeker.floor));
                if reached >= found.bar || found.bar <= seeker.floor {
                    let places = best.into_sorted().into_iter().map(|hit| hit.place);
                    answers[seeker.number] = Some(places.collect());
                } else {
                    left.push(seeker.wider(reached, best.last().is_some()));
                }
            }
            seekers = left;
        }
        Ok(Answers::Found(answers))
    }

    fn seekers(&self, margins: &Margins, request: &Request<'_>) -> Vec<Seeker> {
        let seeker = |(number, wanted): (usize, &Wanted<'_>)| {
            let query = Query::new(self.space(), margins, wanted.scorer.query())?;
            let span = Span::new(wanted.scorer.metric(), request.rules, wanted.floor, |score| query.key(score));
            let Span { floor, ceiling } = span;
            Some(Seeker { query, number, floor, ceiling, reach: Some(request.limit), without: wanted.without })
        };
        request.queries.iter().enumerate().filter_map(seeker).collect()
    }
}

/// A query that is not answered yet, and what it looks for, in keys.
#[derive(Clone)]
struct Seeker {
    query: Query,
    /// Its place among the queries.
    number: usize,
    floor: f32,
    ceiling: f32,
    /// How many rows are wanted: the bar rises to where that many are guessed to be. `None` keeps it at the floor.
    reach: Option<usize>,
    without: Option<i64>,
}

impl Seeker {
    /// What to look for after a sweep whose bar was too high: everything down to the last hit, or four times as many rows
    /// where there were not enough.
    fn wider(&self, reached: f32, enough: bool) -> Self {
        match self.reach {
            Some(reach) if !enough => Self { reach: Some(reach.saturating_mul(4)), ..self.clone() },
            _ => Self { floor: reached, reach: None, ..self.clone() },
        }
    }
}

/// A row that could be among the best of a query.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    upper: f32,
    fingerprint: u32,
    rowid: i64,
}

/// What was found for a query: every row that takes part and is not among the candidates has a key below the bar.
#[derive(Default)]
struct Found {
    candidates: Vec<Candidate>,
    /// The lowest guesses on top, at most as many as wanted.
    guesses: BinaryHeap<Reverse<Ordered>>,
    bar: f32,
    /// Candidates that were left when it was last asked which still matter.
    kept: usize,
}

impl Found {
    fn offer(&mut self, reach: usize, guess: f32) {
        if self.guesses.len() < reach {
            self.guesses.push(Reverse(Ordered(guess)));
        } else if let Some(mut lowest) = self.guesses.peek_mut()
            && guess > lowest.0.0
        {
            *lowest = Reverse(Ordered(guess));
        }
        if self.guesses.len() == reach
            && let Some(Reverse(Ordered(lowest))) = self.guesses.peek()
        {
            self.bar = self.bar.max(*lowest);
        }
    }

    /// Takes over what another thread found.
    fn join(&mut self, other: Self, reach: Option<usize>) {
        self.bar = self.bar.max(other.bar);
        if let Some(reach) = reach {
            other.guesses.into_iter().for_each(|Reverse(Ordered(guess))| self.offer(reach, guess));
        }
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
struct Sweep {
    margins: Margins,
    seekers: Vec<Seeker>,
    /// The seekers' steps, one after the other, each of so many words.
    steps: Vec<[[i8; 4]; 2]>,
    words: usize,
    /// A guess lies so much of an error below the estimate: one deviation of what is likely.
    guess: f32,
    hidden: Option<Accept>,
    /// The highest bar of all threads for each seeker, as [`rank`] has it.
    bars: Vec<AtomicU32>,
}

/// Both kinds of codes of a block, and whether it is one of changed rows, which hide others and not themselves.
type Pair = (Arc<Codes>, Arc<Fine>, bool);

impl Sweep {
    fn new(margins: Margins, seekers: Vec<Seeker>, dimensions: usize, request: &Request<'_>) -> Arc<Self> {
        let hidden = request
            .overlay
            .filter(|overlay| !overlay.is_empty())
            .map(|overlay| -> Accept { Arc::new(overlay.hidden()) });
        Arc::new(Self {
            margins,
            steps: seekers.iter().flat_map(|seeker| seeker.query.steps()).copied().collect(),
            words: dimensions.div_ceil(8),
            guess: 1.0 / (dimensions.max(2) as f32 - 1.0).sqrt(),
            hidden,
            bars: seekers.iter().map(|seeker| AtomicU32::new(rank(seeker.floor))).collect(),
            seekers,
        })
    }

    fn run<S: Store>(
        self: &Arc<Self>,
        index: &Index,
        store: &mut S,
        request: &Request<'_>,
        stats: &mut Stats,
    ) -> Result<Vec<Found>> {
        let mut found: Vec<Found> =
            self.seekers.iter().map(|seeker| Found { bar: seeker.floor, ..Found::default() }).collect();
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
            if passing > PASSING_AT_A_TIME || slots * self.seekers.len() > PAIRS_AT_A_TIME {
                self.sweep(std::mem::take(&mut pairs), request.threads, &mut found, stats)?;
                // Reading is what notices that the search was interrupted.
                store.read(HEADER, |_| Ok(()))?;
                (slots, passing) = (0, 0);
            }
        }
        self.sweep(pairs, request.threads, &mut found, stats)?;
        for found in &mut found {
            found.forget();
            stats.candidates += found.candidates.len() as u64;
        }
        Ok(found)
    }

    fn sweep(self: &Arc<Self>, pairs: Vec<Pair>, threads: usize, found: &mut [Found], stats: &mut Stats) -> Result<()> {
        let slots: usize = pairs.iter().map(|(codes, ..)| codes.slots()).sum();
        stats.codes += (slots * self.seekers.len()) as u64;
        let worth = slots * self.seekers.len() / PAIRS_WORTH_A_THREAD;
        let job = Arc::new(Sweeping { sweep: self.clone(), pairs, next: AtomicUsize::new(0), found: Mutex::default() });
        pool::run(job.clone(), threads.min(worth.max(1)))?;
        let parts = std::mem::take(&mut *job.found.lock().unwrap_or_else(PoisonError::into_inner));
        for part in parts {
            for ((found, part), seeker) in found.iter_mut().zip(part).zip(&self.seekers) {
                found.join(part, seeker.reach);
            }
        }
        Ok(())
    }
}

struct Sweeping {
    sweep: Arc<Sweep>,
    pairs: Vec<Pair>,
    next: AtomicUsize,
    found: Mutex<Vec<Vec<Found>>>,
}

impl Job for Sweeping {
    fn work(&self) {
        let mut worker = Worker::new(&self.sweep);
        while let Some(pair) = self.pairs.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            worker.block(pair);
        }
        self.found.lock().unwrap_or_else(PoisonError::into_inner).push(worker.found);
    }
}

/// What one thread sweeps with.
struct Worker<'a> {
    sweep: &'a Sweep,
    found: Vec<Found>,
    words: Vec<[u32; GROUP]>,
    known: Known,
    upper: [f32; GROUP],
}

impl<'a> Worker<'a> {
    fn new(sweep: &'a Sweep) -> Self {
        let found = sweep.seekers.iter().map(|_| Found { bar: f32::NEG_INFINITY, ..Found::default() }).collect();
        Self { sweep, found, words: vec![[0; GROUP]; sweep.words], known: Known::default(), upper: [0.0; GROUP] }
    }

    fn block(&mut self, pair: &Pair) {
        for (found, bar) in self.found.iter_mut().zip(&self.sweep.bars) {
            found.bar = found.bar.max(unrank(bar.load(Ordering::Relaxed)));
        }
        for group in 0..pair.0.slots() / GROUP {
            self.lay(pair, group);
            self.group(pair, group);
        }
        for (found, bar) in self.found.iter_mut().zip(&self.sweep.bars) {
            bar.fetch_max(rank(found.bar), Ordering::Relaxed);
            if found.candidates.len() > FEW + 2 * found.kept {
                found.forget();
            }
        }
    }

    /// Lays the codes of a group out for the kernel, and notes what is known of its rows.
    fn lay(&mut self, (codes, fine, _): &Pair, group: usize) {
        let factors = codes.group_factors(group);
        for at in 0..GROUP {
            let (own, code) = fine.slot(group * GROUP + at);
            self.sweep.margins.know(&mut self.known, at, factors, own);
            let (words, rest) = code.as_chunks::<4>();
            for (word, bytes) in self.words.iter_mut().zip(words) {
                word[at] = u32::from_le_bytes(*bytes);
            }
            if !rest.is_empty()
                && let Some(word) = self.words.last_mut()
            {
                word[at] = rest.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
            }
        }
    }

    fn group(&mut self, pair: &Pair, group: usize) {
        let mut sums = [[0; GROUP]; TILE];
        let tiles = self.sweep.steps.chunks(TILE * self.sweep.words.max(1));
        for (first, steps) in (0..).step_by(TILE).zip(tiles) {
            let sums = &mut sums[..steps.len() / self.sweep.words.max(1)];
            (kernels::table().codes.tile_u4)(&self.words, steps, sums);
            for (number, sums) in (first..).zip(sums) {
                let seeker = &self.sweep.seekers[number];
                let mut left = seeker.query.within(sums, &self.known, self.found[number].bar, &mut self.upper);
                while left != 0 {
                    let at = left.trailing_zeros() as usize;
                    self.row(pair, group * GROUP + at, number, seeker);
                    left &= left - 1;
                }
            }
        }
    }

    fn row(&mut self, (codes, _, is_changed): &Pair, slot: usize, number: usize, seeker: &Seeker) {
        let (at, found) = (slot % GROUP, &mut self.found[number]);
        let upper = self.upper[at];
        let rowid = codes.rowid(slot);
        let is_hidden = !is_changed && self.sweep.hidden.as_ref().is_some_and(|hidden| hidden(rowid));
        let lower = upper - seeker.query.width(&self.known, at);
        if upper < found.bar || lower > seeker.ceiling || seeker.without == Some(rowid) || is_hidden {
            return;
        }
        let error = seeker.query.error(&self.known, at);
        let guess = upper - error * (1.0 + self.sweep.guess);
        // A row that is above the ceiling as likely as not is none of those wanted.
        if let Some(reach) = seeker.reach
            && guess.is_finite()
            && upper - error <= seeker.ceiling
        {
            found.offer(reach, guess);
        }
        found.candidates.push(Candidate { upper, fingerprint: codes.fingerprint(slot), rowid });
    }
}

/// True scores of all candidates.
struct Verifier<'a> {
    request: &'a Request<'a>,
    seekers: &'a [Seeker],
    best: Vec<TopK<()>>,
}

impl<'a> Verifier<'a> {
    fn new(request: &'a Request<'a>, seekers: &'a [Seeker]) -> Self {
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
