//! Sweeps over the 1-bit codes of all rows for many queries. Bounds hold except with a small chance.
//!
//! Where 1-bit codes cannot rule out a row, its 4-bit code is looked at straight away. That raises the bar for the rows
//! after it.

use super::sweep::{BatchCandidate, BatchSweep, Method, Piece, Seeker, Shortlist};
use crate::codec::Group;
use crate::codec::likely::{Common, GroupTerms, LikelyQuery};
use crate::index::open::Index;
use crate::kernels::codes::GROUP;
use crate::kernels::{self, F32Le};
use crate::metric::Scorer;

/// Queries that the kernel gets in one call: as many as it takes together.
const TILE: usize = 4;
/// A guess is the estimate less this share of its error. The share is greater than in `index/sweep.rs`, because the errors of
/// 4-bit codes are small: a lower bar costs little, and a second sweep costs more.
const GUESS: f32 = 0.5;

/// The method.
pub struct Likely {
    common: Common,
    /// The tables of all seekers, one after the other. Each has so many.
    tables: Vec<[u8; 16]>,
    each: usize,
}

/// What is known of each group of a piece.
pub type LikelyMemory = Vec<GroupTerms>;

impl Method for Likely {
    type MethodQuery = LikelyQuery;
    type Memory = LikelyMemory;

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

    fn memory(&self) -> LikelyMemory {
        Vec::new()
    }

    fn look(sweep: &BatchSweep<Self>, memory: &mut LikelyMemory, piece: &Piece<'_>, lists: &mut [Shortlist]) {
        let groups: Vec<Group<'_>> = {
            let groups = piece.block.codes.groups();
            groups.skip(piece.groups.start).take(piece.groups.len()).collect()
        };
        memory.resize_with(groups.len(), GroupTerms::default);
        for (known, group) in memory.iter_mut().zip(&groups) {
            sweep.method.common.know(known, group.factors);
        }
        let sifter = Sifter { sweep, piece, groups: &groups, known: memory };
        for (first, lists) in (0..).step_by(TILE).zip(lists.chunks_mut(TILE)) {
            sifter.sift(first, lists);
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
    /// Finds the rows that 1-bit codes cannot rule out, for a few queries from this one on.
    fn sift(&self, first_query: usize, lists: &mut [Shortlist]) {
        let (method, seekers) = (&self.sweep.method, &self.sweep.seekers);
        let tables = &method.tables[first_query * method.each..][..lists.len() * method.each];
        let mut sums = [[[0; GROUP]; 2]; TILE];
        let sums = &mut sums[..lists.len()];
        for (first, pair) in (0..).step_by(2).zip(self.groups.chunks(2)) {
            let codes = [0, pair.len() - 1].map(|at| pair[at].codes);
            (kernels::table().codes.tile_u1)(tables, codes, sums);
            for ((number, sums), list) in (first_query..).zip(&*sums).zip(&mut *lists) {
                for (group, sums) in (first..first + pair.len()).zip(sums) {
                    let mut reaching = seekers[number].query.reach(sums, &self.known[group], list.bar);
                    while reaching != 0 {
                        self.look(number, group, reaching.trailing_zeros() as usize, list);
                        reaching &= reaching - 1;
                    }
                }
            }
        }
    }

    /// Looks more closely at a row.
    fn look(&self, number: usize, group: usize, at: usize, list: &mut Shortlist) {
        let seeker = &self.sweep.seekers[number];
        let block = self.piece.block;
        let slot = (self.piece.groups.start + group) * GROUP + at;
        let (own, code) = block.fine.slot(slot);
        list.looked += 1;
        let looked = seeker.query.look(&self.sweep.method.common, &self.known[group], at, code, own);
        let Some((estimate, error)) = looked else { return };
        let upper = estimate + error;
        if upper < list.bar || estimate - error > seeker.aim.ceiling {
            return;
        }
        let Some(rowid) = self.sweep.row(block, slot, seeker) else { return };
        let guess = seeker.aim.guess(estimate, estimate - GUESS * error);
        let fingerprint = block.codes.fingerprint(slot);
        self.sweep.take(number, list, BatchCandidate { upper, fingerprint, rowid }, guess);
    }
}
