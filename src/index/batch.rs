//! Many queries in one pass over the codes, or one query that must not miss a row.
//!
//! The codes of a few groups of rows are met by every query while they are near. Rows that cannot reach the *bar*, where the
//! k-th best row is guessed to be, are left out. All others are fetched, each once for all queries that want it, in
//! the order of their rowids. Where the k-th true score turns out to be below the bar, the query sweeps again down to that
//! score. What a sweep looks at is the `Method`'s: `exact` or `likely`.

use super::block::{Codes, Fine};
use super::exact::Exact;
use super::format::HEADER;
use super::likely::Likely;
use super::open::Index;
use super::overlay::Overlay;
use super::search::{Reason, Row, Rows, Span, Stats};
use super::store::Store;
use super::sweep::{Accept, Ordered, rank, unrank};
use crate::codec::fingerprint;
use crate::error::{Error, Result};
use crate::kernels::F32Le;
use crate::kernels::codes::GROUP;
use crate::metric::Scorer;
use crate::pool::{self, Job, Started};
use crate::reserve::{self, Reserve};
use crate::scan::Rules;
use crate::topk::{Hit, Place, TopK};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Pairs of a query and a row between two looks at whether the search was interrupted.
const PAIRS_AT_A_TIME: usize = 1 << 28;
/// Bytes of blocks that do not stay in memory, until they are swept and dropped.
const PASSING_AT_A_TIME: usize = 16 << 20;
/// With less work than so many pairs for each, more threads cost more than they save.
const PAIRS_WORTH_A_THREAD: usize = 1 << 14;
/// Queries that sweep together where several threads do; with fewer, what is known of a group is worked out more often.
const PORTION: usize = 256;
/// Groups that a thread takes at a time: both kinds of their codes stay in the second cache.
const GROUPS_AT_A_TIME: usize = 16;
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
    /// No row may be missed.
    pub is_exact: bool,
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

/// What rules rows out by their codes.
pub(super) trait Method: Send + Sync + Sized + 'static {
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
    fn look(sweep: &Sweep<Self>, scratch: &mut Self::Scratch, piece: &Piece<'_>, found: &mut [Found]);
}

impl Index {
    /// The best rows for each query. With `is_exact` they are those of a scan; otherwise one in about 30,000 may be missed.
    pub fn search_many<S: Store, R: Rows>(
        &self,
        store: &mut S,
        request: &Request<'_>,
        rows: &mut R,
        stats: &mut Stats,
    ) -> Result<Answers> {
        if request.is_exact {
            self.search_by::<Exact, S, R>(store, request, rows, stats)
        } else {
            self.search_by::<Likely, S, R>(store, request, rows, stats)
        }
    }

    fn search_by<M: Method, S: Store, R: Rows>(
        &self,
        store: &mut S,
        request: &Request<'_>,
        rows: &mut R,
        stats: &mut Stats,
    ) -> Result<Answers> {
        let places = vec![(request.limit == 0).then(Vec::new); request.queries.len()];
        let mut answered = Answered { places, left: Vec::new() };
        let Some(first) = request.queries.first().filter(|_| request.limit > 0) else {
            return Ok(Answers::Found(answered.places));
        };
        let method = M::new(self, first.scorer);
        let mut unread = 0..request.queries.len();
        let portion = if request.threads > 1 { PORTION } else { usize::MAX };
        let mut next = |left: &mut Vec<Seeker<M::Query>>| {
            let queries = unread.by_ref().filter_map(|at| self.seeker(&method, request, at));
            let seekers: Vec<_> = queries.take(portion).collect();
            if seekers.is_empty() { left.split_off(left.len().saturating_sub(portion)) } else { seekers }
        };
        let (mut seekers, mut swept) = (next(&mut answered.left), None);
        loop {
            // Others sweep for some queries while this thread fetches rows for those before.
            let begun = Sweep::begin(M::new(self, first.scorer), seekers, self, store, request, stats)?;
            if let Some(swept) = swept.take()
                && let Some(reason) = answered.take(swept, request, rows, self.header.rows, stats)?
            {
                return Ok(Answers::Stale(reason));
            }
            seekers = next(&mut answered.left);
            swept = begun.map(|begun| begun.finish(stats)).transpose()?;
            if swept.is_none() && seekers.is_empty() {
                return Ok(Answers::Found(answered.places));
            }
        }
    }

    fn seeker<M: Method>(&self, method: &M, request: &Request<'_>, number: usize) -> Option<Seeker<M::Query>> {
        let wanted = request.queries.get(number)?;
        let query = method.query(self, wanted.scorer.query())?;
        let span = Span::new(wanted.scorer.metric(), request.rules, wanted.floor, |score| M::key(&query, score));
        let Span { floor, ceiling } = span;
        Some(Seeker { query, number, floor, ceiling, reach: Some(request.limit), without: wanted.without })
    }
}

/// The best rows of each query so far, and the queries that have to sweep again.
struct Answered<Q> {
    places: Vec<Option<Vec<Place>>>,
    left: Vec<Seeker<Q>>,
}

impl<Q: Clone> Answered<Q> {
    fn take<M: Method<Query = Q>, R: Rows>(
        &mut self,
        (sweep, found): (Arc<Sweep<M>>, Vec<Found>),
        request: &Request<'_>,
        rows: &mut R,
        rows_in_all: u64,
        stats: &mut Stats,
    ) -> Result<Option<Reason>> {
        let mut verifier = Verifier::new(request, &sweep.seekers);
        if let Some(reason) = verifier.run(&found, rows, rows_in_all, stats)? {
            return Ok(Some(reason));
        }
        for ((seeker, found), best) in sweep.seekers.iter().zip(&found).zip(verifier.best) {
            let key = |last: Place| M::key(&seeker.query, last.score).max(seeker.floor);
            let reached = best.last().map_or(seeker.floor, key);
            if reached >= found.bar || found.bar <= seeker.floor {
                let places = best.into_sorted().into_iter().map(|hit| hit.place);
                self.places[seeker.number] = Some(reserve::collect(places)?);
            } else {
                self.left.push(seeker.wider(reached, best.last().is_some()));
            }
        }
        Ok(None)
    }
}

/// A query that is not answered yet, and what it looks for, in keys.
#[derive(Clone)]
pub(super) struct Seeker<Q> {
    pub query: Q,
    /// Its place among the queries.
    number: usize,
    pub floor: f32,
    pub ceiling: f32,
    /// How many rows are wanted: the bar rises to where that many are guessed to be. `None` keeps it at the floor.
    pub reach: Option<usize>,
    without: Option<i64>,
}

impl<Q: Clone> Seeker<Q> {
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
pub(super) struct Candidate {
    pub upper: f32,
    pub fingerprint: u32,
    pub rowid: i64,
}

/// What was found for a query: every row that takes part and is not among the candidates has a key below the bar.
#[derive(Default)]
pub(super) struct Found {
    pub candidates: Vec<Candidate>,
    pub bar: f32,
    /// 4-bit codes that were looked at one by one.
    pub looked: u64,
    /// Candidates that were left when it was last asked which still matter.
    kept: usize,
    /// What ended it before it was through: no memory for more candidates.
    failed: Option<Error>,
}

impl Found {
    /// Takes over what another thread found.
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

    #[allow(clippy::neg_cmp_op_on_partial_ord, reason = "a limit that is no number stays")]
    fn forget(&mut self) {
        let bar = self.bar;
        self.candidates.retain(|candidate| !(candidate.upper < bar));
        self.kept = self.candidates.len();
    }
}

/// One pass of all seekers over all codes.
pub(super) struct Sweep<M: Method> {
    pub method: M,
    pub seekers: Vec<Seeker<M::Query>>,
    hidden: Option<Accept>,
    /// Of each seeker. Threads share them, or each would have to find out for itself where the bar is.
    guesses: Vec<Guesses>,
}

/// Where the best rows of a query are guessed to be.
struct Guesses {
    /// The lowest on top, at most as many as wanted.
    highest: Mutex<BinaryHeap<Reverse<Ordered>>>,
    /// The bar, as [`rank`] has it.
    bar: AtomicU32,
}

impl Guesses {
    fn bar(&self) -> f32 {
        unrank(self.bar.load(Ordering::Relaxed))
    }

    fn offer(&self, reach: usize, guess: f32) -> Result<()> {
        let mut highest = self.highest.lock().unwrap_or_else(PoisonError::into_inner);
        if highest.len() < reach {
            highest.reserve_room(1)?;
            highest.push(Reverse(Ordered(guess)));
        } else if let Some(mut lowest) = highest.peek_mut()
            && guess > lowest.0.0
        {
            *lowest = Reverse(Ordered(guess));
        }
        if highest.len() == reach
            && let Some(Reverse(Ordered(lowest))) = highest.peek()
        {
            self.bar.fetch_max(rank(*lowest), Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Both kinds of codes of a block, and whether it is one of changed rows, which hide others and not themselves.
pub(super) type Pair = (Arc<Codes>, Arc<Fine>, bool);

/// Some groups of a block.
pub(super) struct Piece<'a> {
    pub pair: &'a Pair,
    pub groups: Range<usize>,
}

impl<M: Method> Sweep<M> {
    fn new(mut method: M, seekers: Vec<Seeker<M::Query>>, request: &Request<'_>) -> Arc<Self> {
        let hidden = request
            .overlay
            .filter(|overlay| !overlay.is_empty())
            .map(|overlay| -> Accept { Arc::new(overlay.hidden()) });
        method.prepare(&seekers);
        let guesses =
            |seeker: &Seeker<_>| Guesses { highest: Mutex::default(), bar: AtomicU32::new(rank(seeker.floor)) };
        let guesses = seekers.iter().map(guesses).collect();
        Arc::new(Self { method, seekers, hidden, guesses })
    }

    /// Takes a row with its guess among the candidates of a query, and raises the bar if enough rows seem to be above it.
    pub fn take(&self, number: usize, found: &mut Found, candidate: Candidate, guess: Option<f32>) {
        if let Err(error) = self.try_to_take(number, found, candidate, guess) {
            // Nothing is above this bar, so that no more is taken.
            found.bar = f32::INFINITY;
            found.failed = Some(error);
        }
    }

    fn try_to_take(&self, number: usize, found: &mut Found, candidate: Candidate, guess: Option<f32>) -> Result<()> {
        let (seeker, guesses) = (&self.seekers[number], &self.guesses[number]);
        if let Some((reach, guess)) = seeker.reach.zip(guess.filter(|guess| guess.is_finite() && *guess > found.bar)) {
            guesses.offer(reach, guess)?;
            found.bar = found.bar.max(guesses.bar());
        }
        reserve::push(&mut found.candidates, candidate)
    }

    /// The row of a slot, if it takes part in a search.
    pub fn row(&self, (codes, _, is_changed): &Pair, slot: usize, seeker: &Seeker<M::Query>) -> Option<i64> {
        let rowid = codes.rowid(slot);
        let is_hidden = !is_changed && self.hidden.as_ref().is_some_and(|hidden| hidden(rowid));
        (!is_hidden && seeker.without != Some(rowid)).then_some(rowid)
    }

    /// Sweeps all blocks but the last few, and has others begin with those. `None` without seekers.
    fn begin<S: Store>(
        method: M,
        seekers: Vec<Seeker<M::Query>>,
        index: &Index,
        store: &mut S,
        request: &Request<'_>,
        stats: &mut Stats,
    ) -> Result<Option<Begun<M>>> {
        if seekers.is_empty() {
            return Ok(None);
        }
        stats.sweeps += 1;
        let mut found: Vec<Found> =
            seekers.iter().map(|seeker| Found { bar: seeker.floor, ..Found::default() }).collect();
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

    fn start(self: &Arc<Self>, pairs: Vec<Pair>, threads: usize, found: Vec<Found>, stats: &mut Stats) -> Begun<M> {
        let slots: usize = pairs.iter().map(|(codes, ..)| codes.slots()).sum();
        stats.codes += (slots * self.seekers.len()) as u64;
        let worth = slots * self.seekers.len() / PAIRS_WORTH_A_THREAD;
        let starts = |(pair, (codes, ..)): (usize, &Pair)| {
            let starts = (0..codes.slots() / GROUP).step_by(GROUPS_AT_A_TIME);
            starts.map(move |start| (pair, start)).collect::<Vec<_>>()
        };
        let pieces = pairs.iter().enumerate().flat_map(starts).collect();
        let next = AtomicUsize::new(0);
        let job = Arc::new(Sweeping { sweep: self.clone(), pairs, pieces, next, found: Mutex::default() });
        let started = pool::start(job.clone(), threads.min(worth.max(1)));
        Begun { found, job, started }
    }

    fn look(&self, scratch: &mut M::Scratch, piece: &Piece<'_>, found: &mut [Found]) {
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
struct Begun<M: Method> {
    /// In blocks before.
    found: Vec<Found>,
    job: Arc<Sweeping<M>>,
    started: Started,
}

impl<M: Method> Begun<M> {
    fn join(self) -> Result<Vec<Found>> {
        self.started.finish()?;
        let (mut found, mut parts) = (self.found, self.job.found.lock().unwrap_or_else(PoisonError::into_inner));
        for part in parts.drain(..) {
            found.iter_mut().zip(part).try_for_each(|(found, part)| found.join(part))?;
        }
        Ok(found)
    }

    fn finish(self, stats: &mut Stats) -> Result<(Arc<Sweep<M>>, Vec<Found>)> {
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

struct Sweeping<M: Method> {
    sweep: Arc<Sweep<M>>,
    pairs: Vec<Pair>,
    /// A pair's place, and the first group in it.
    pieces: Vec<(usize, usize)>,
    next: AtomicUsize,
    found: Mutex<Vec<Vec<Found>>>,
}

impl<M: Method> Job for Sweeping<M> {
    fn work(&self) {
        let sweep = &*self.sweep;
        let new = |_| Found { bar: f32::NEG_INFINITY, ..Found::default() };
        let mut found: Vec<Found> = sweep.seekers.iter().map(new).collect();
        let mut scratch = sweep.method.scratch();
        while let Some((pair, start)) = self.pieces.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            let pair = &self.pairs[*pair];
            let groups = *start..(start + GROUPS_AT_A_TIME).min(pair.0.slots() / GROUP);
            sweep.look(&mut scratch, &Piece { pair, groups }, &mut found);
        }
        self.found.lock().unwrap_or_else(PoisonError::into_inner).push(found);
    }
}

/// True scores of all candidates.
struct Verifier<'a, Q> {
    request: &'a Request<'a>,
    seekers: &'a [Seeker<Q>],
    best: Vec<TopK<()>>,
}

impl<'a, Q> Verifier<'a, Q> {
    fn new(request: &'a Request<'a>, seekers: &'a [Seeker<Q>]) -> Self {
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
        asked.reserve_room(found.iter().map(|found| found.candidates.len()).sum())?;
        for (number, found) in (0..).zip(found) {
            asked.extend(found.candidates.iter().map(|candidate| (candidate.rowid, candidate.fingerprint, number)));
        }
        asked.sort_unstable();
        let mut groups: Vec<&[(i64, u32, u32)]> = Vec::new();
        asked.chunk_by(|a, b| a.0 == b.0).try_for_each(|group| reserve::push(&mut groups, group))?;
        let rowids = reserve::collect(groups.iter().map(|group| group[0].0))?;
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
                    best.offer(Hit { place, note: () })?;
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
