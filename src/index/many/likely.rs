//! Sweeps over the 1-bit codes of all rows for many queries, with bounds that hold but for a small chance.
//!
//! Rows that 1-bit codes cannot rule out get a closer look by their 4-bit codes at once, which raises the
//! bar for the next.

use super::sweep::{BatchCandidate, BatchSweep, Method, Piece, Seeker, Shortlist};
use crate::codec::Group;
use crate::codec::likely::{Common, GroupTerms, LikelyQuery};
use crate::index::open::Index;
use crate::index::proposer::Proposal;
use crate::kernels::codes::GROUP;
use crate::kernels::{self, F32Le};
use crate::metric::Scorer;

/// Queries that the kernel gets at a time, as many as it takes together.
const TILE: usize = 4;
/// Like that of one query's sweep; of the errors after a closer look, which are so small that a second sweep costs more than
/// a lower bar.
const GUESS: f32 = 0.5;

/// The method.
pub struct Likely {
    common: Common,
    /// The seekers' tables, one after the other, each of so many.
    tables: Vec<[u8; 16]>,
    each: usize,
}

/// What is known of each group of a piece.
pub type Scratch = Vec<GroupTerms>;

impl Method for Likely {
    type Query = LikelyQuery;
    type Scratch = Scratch;

    fn new(index: &Index, first: &Scorer) -> Self {
        let each = 2 * index.header.dimensions.div_ceil(8);
        Self { common: Common::new(index.space(), first.metric()), tables: Vec::new(), each }
    }

    fn query(&self, index: &Index, query: &[F32Le]) -> Option<LikelyQuery> {
        self.common.query(index.space(), query)
    }

    fn key(query: &LikelyQuery, score: f64) -> f32 {
        query.key(score)
    }

    fn prepare(&mut self, seekers: &[Seeker<LikelyQuery>]) {
        self.tables = seekers.iter().flat_map(|seeker| seeker.query.tables()).copied().collect();
        seekers.iter().for_each(|seeker| self.common.add(&seeker.query));
    }

    fn scratch(&self) -> Scratch {
        Vec::new()
    }

    fn look(sweep: &BatchSweep<Self>, scratch: &mut Scratch, piece: &Piece<'_>, found: &mut [Shortlist]) {
        let groups: Vec<Group<'_>> = {
            let groups = piece.pair.0.groups();
            groups.skip(piece.groups.start).take(piece.groups.len()).collect()
        };
        scratch.resize_with(groups.len(), GroupTerms::default);
        for (known, group) in scratch.iter_mut().zip(&groups) {
            sweep.method.common.know(known, group.factors);
        }
        let sifter = Sifter { sweep, piece, groups: &groups, known: scratch };
        for (first, found) in (0..).step_by(TILE).zip(found.chunks_mut(TILE)) {
            sifter.sift(first, found);
        }
    }
}

/// A piece, and what is known of it.
struct Sifter<'a> {
    sweep: &'a BatchSweep<Likely>,
    piece: &'a Piece<'a>,
    groups: &'a [Group<'a>],
    known: &'a [GroupTerms],
}

impl Sifter<'_> {
    /// Finds for a few queries, from this one on, the rows that 1-bit codes cannot rule out.
    fn sift(&self, first_query: usize, found: &mut [Shortlist]) {
        let (method, seekers) = (&self.sweep.method, &self.sweep.seekers);
        let tables = &method.tables[first_query * method.each..][..found.len() * method.each];
        let mut sums = [[[0; GROUP]; 2]; TILE];
        let sums = &mut sums[..found.len()];
        for (first, pair) in (0..).step_by(2).zip(self.groups.chunks(2)) {
            let codes = [0, pair.len() - 1].map(|at| pair[at].codes);
            (kernels::table().codes.tile_u1)(tables, codes, sums);
            for ((number, sums), found) in (first_query..).zip(&*sums).zip(&mut *found) {
                for (group, sums) in (first..first + pair.len()).zip(sums) {
                    let mut reaching = seekers[number].query.reach(sums, &self.known[group], found.bar);
                    while reaching != 0 {
                        self.look(number, group, reaching.trailing_zeros() as usize, found);
                        reaching &= reaching - 1;
                    }
                }
            }
        }
    }

    /// Looks more closely at a row.
    fn look(&self, number: usize, group: usize, at: usize, found: &mut Shortlist) {
        let seeker = &self.sweep.seekers[number];
        let (codes, fine, _) = self.piece.pair;
        let slot = (self.piece.groups.start + group) * GROUP + at;
        let (own, code) = fine.slot(slot);
        found.looked += 1;
        let looked = seeker.query.look(&self.sweep.method.common, &self.known[group], at, code, own);
        let Some((estimate, error)) = looked else { return };
        let upper = estimate + error;
        if upper < found.bar || estimate - error > seeker.aim.ceiling {
            return;
        }
        let Some(rowid) = self.sweep.row(self.piece.pair, slot, seeker) else { return };
        let guess = seeker.aim.guess(estimate, estimate - GUESS * error);
        let proposal = Proposal { rowid, fingerprint: codes.fingerprint(slot) };
        self.sweep.take(number, found, BatchCandidate { upper, proposal }, guess);
    }
}
