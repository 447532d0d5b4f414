//! Sweeps over the 4-bit codes of all rows, with limits that are certain: nothing rests on chance.
//!
//! A group of 64 codes is laid out for the kernel once and met by every query while it is in the nearest cache.

use super::sweep::{BatchCandidate, BatchSweep, Method, Piece, Seeker, Shortlist};
use crate::codec::exact::{ExactQuery, Margins};
use crate::index::open::Index;
use crate::index::proposer::Proposal;
use crate::kernels::codes::{GROUP, LimitTerms};
use crate::kernels::{self, F32Le};
use crate::metric::Scorer;

/// Queries that the kernel gets at a time: a few rounds of as many as it takes together.
const TILE: usize = 20;

/// The method.
pub struct Exact {
    margins: Margins,
    /// The seekers' steps, one after the other, each of so many words.
    steps: Vec<[[i8; 4]; 2]>,
    words: usize,
    /// A guess lies so much of an error below the estimate: one deviation of what is likely.
    guess: f32,
}

/// What one thread works with.
pub struct Scratch {
    words: Vec<[u32; GROUP]>,
    known: LimitTerms,
    upper: [f32; GROUP],
}

impl Method for Exact {
    type Query = ExactQuery;
    type Scratch = Scratch;

    fn new(index: &Index, first: &Scorer) -> Self {
        let dimensions = index.header.dimensions;
        Self {
            margins: Margins::new(index.space(), first.metric()),
            steps: Vec::new(),
            words: dimensions.div_ceil(8),
            guess: 1.0 / (dimensions.max(2) as f32 - 1.0).sqrt(),
        }
    }

    fn query(&self, index: &Index, query: &[F32Le]) -> Option<ExactQuery> {
        ExactQuery::new(index.space(), &self.margins, query)
    }

    fn key(query: &ExactQuery, score: f64) -> f32 {
        query.key(score)
    }

    fn prepare(&mut self, seekers: &[Seeker<ExactQuery>]) {
        self.steps = seekers.iter().flat_map(|seeker| seeker.query.steps()).copied().collect();
    }

    fn scratch(&self) -> Scratch {
        Scratch { words: vec![[0; GROUP]; self.words], known: LimitTerms::default(), upper: [0.0; GROUP] }
    }

    fn look(sweep: &BatchSweep<Self>, scratch: &mut Scratch, piece: &Piece<'_>, found: &mut [Shortlist]) {
        for group in piece.groups.clone() {
            scratch.lay(&sweep.method, piece, group);
            scratch.group(sweep, piece, group, found);
        }
    }
}

impl Scratch {
    /// Lays the codes of a group out for the kernel, and notes what is known of its rows.
    fn lay(&mut self, method: &Exact, piece: &Piece<'_>, group: usize) {
        let factors = piece.pair.0.group_factors(group);
        for at in 0..GROUP {
            let (own, code) = piece.pair.1.slot(group * GROUP + at);
            method.margins.know(&mut self.known, at, factors, own);
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

    fn group(&mut self, sweep: &BatchSweep<Exact>, piece: &Piece<'_>, group: usize, found: &mut [Shortlist]) {
        let method = &sweep.method;
        let mut sums = [[0; GROUP]; TILE];
        let tiles = method.steps.chunks(TILE * method.words.max(1));
        for (first, steps) in (0..).step_by(TILE).zip(tiles) {
            let sums = &mut sums[..steps.len() / method.words.max(1)];
            (kernels::table().codes.tile_u4)(&self.words, steps, sums);
            for (number, sums) in (first..).zip(sums) {
                let (query, found) = (&sweep.seekers[number].query, &mut found[number]);
                let mut left = query.within(sums, &self.known, found.bar, &mut self.upper);
                while left != 0 {
                    self.row(sweep, piece, group, left.trailing_zeros() as usize, number, found);
                    left &= left - 1;
                }
            }
        }
    }

    fn row(
        &self,
        sweep: &BatchSweep<Exact>,
        piece: &Piece<'_>,
        group: usize,
        at: usize,
        number: usize,
        found: &mut Shortlist,
    ) {
        let (seeker, slot, upper) = (&sweep.seekers[number], group * GROUP + at, self.upper[at]);
        let lower = upper - seeker.query.width(&self.known, at);
        if upper < found.bar || lower > seeker.aim.ceiling {
            return;
        }
        let Some(rowid) = sweep.row(piece.pair, slot, seeker) else { return };
        let error = seeker.query.error(&self.known, at);
        let guess = seeker.aim.guess(upper - error, upper - error * (1.0 + sweep.method.guess));
        let proposal = Proposal { rowid, fingerprint: piece.pair.0.fingerprint(slot) };
        sweep.take(number, found, BatchCandidate { upper, proposal }, guess);
    }
}
