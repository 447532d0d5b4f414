//! Sweeps over the 1-bit codes of all rows for many queries. Bounds hold except with a small chance.
//!
//! Where 1-bit codes cannot rule out a row, its 4-bit code is looked at: straight away if the row seems to be above the bar, as
//! that raises the bar for the rows after it, and else at the end, when the bar is high and rules out most of these rows.

use super::sweep::{BatchCandidate, BatchSweep, BlockCodes, Method, Piece, Seeker, Shortlist};
use crate::codec::Group;
use crate::codec::likely::{Common, GroupTerms, LikelyQuery, RowTerms};
use crate::index::open::Index;
use crate::kernels::codes::GROUP;
use crate::kernels::{self, F32Le};
use crate::metric::Scorer;
use crate::resources::reserve::Reserve;

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

/// A query puts off so many rows at most, which take 18 KB. The rest are looked at straight away.
const MOST: usize = 512;
/// Of these, so many with the greatest bounds are looked at first. To sort all of them took longer than the sums.
const FIRST: usize = 32;
/// Their 4-bit codes are fetched from memory so many rows ahead.
const AHEAD: usize = 4;

/// The working memory of one thread.
pub struct LikelyMemory {
    /// What is known of each group of a piece.
    known: Vec<GroupTerms>,
    /// For each query, the rows that are put off.
    put_off: Vec<PutOff>,
}

/// A row that its 1-bit code does not rule out.
struct Reached {
    bound: f32,
    /// The place of its block.
    block: u32,
    slot: u32,
    known: RowTerms,
}

/// The rows of one query that are put off.
#[derive(Default)]
struct PutOff {
    rows: Vec<Reached>,
    /// If there was no room, so many rows are not put off before it is tried to make some.
    wait: usize,
}

impl PutOff {
    /// Whether there is room for one more. Rows below the bar make room.
    fn has_room(&mut self, bar: f32) -> bool {
        if self.rows.len() < MOST {
            return self.rows.reserve_room(1).is_ok();
        }
        match self.wait.checked_sub(1) {
            Some(rest) => self.wait = rest,
            None => {
                self.drop_low(bar);
                self.wait = MOST;
            }
        }
        self.rows.len() < MOST
    }

    #[allow(clippy::neg_cmp_op_on_partial_ord, reason = "a row whose bound is NaN stays")]
    fn drop_low(&mut self, bar: f32) {
        self.rows.retain(|row| !(row.bound < bar));
    }
}

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
        let queries = self.tables.len() / self.each.max(1);
        let put_off = (0..queries).map(|_| PutOff::default()).collect();
        LikelyMemory { known: Vec::new(), put_off }
    }

    fn look(sweep: &BatchSweep<Self>, memory: &mut LikelyMemory, piece: &Piece<'_>, lists: &mut [Shortlist]) {
        let groups: Vec<Group<'_>> = {
            let groups = piece.block.codes.groups();
            groups.skip(piece.groups.start).take(piece.groups.len()).collect()
        };
        let LikelyMemory { known, put_off } = memory;
        known.resize_with(groups.len(), GroupTerms::default);
        for (known, group) in known.iter_mut().zip(&groups) {
            sweep.method.common.know(known, group.factors);
        }
        let sifter = Sifter { sweep, piece, groups: &groups, known };
        for ((first, lists), put_off) in (0..).step_by(TILE).zip(lists.chunks_mut(TILE)).zip(put_off.chunks_mut(TILE)) {
            sifter.sift(first, lists, put_off);
        }
    }

    fn finish(sweep: &BatchSweep<Self>, memory: &mut LikelyMemory, blocks: &[BlockCodes], lists: &mut [Shortlist]) {
        for ((number, list), put_off) in (0..).zip(lists).zip(&mut memory.put_off) {
            put_off.drop_low(list.bar);
            let rows = &mut put_off.rows;
            if rows.len() > FIRST {
                rows.select_nth_unstable_by(FIRST, |a, b| b.bound.total_cmp(&a.bound));
            }
            for (at, row) in rows.iter().enumerate() {
                if let Some(later) = rows.get(at + AHEAD) {
                    blocks[later.block as usize].fine.fetch_ahead(later.slot as usize);
                }
                look(sweep, &blocks[row.block as usize], number, row, list);
            }
            rows.clear();
        }
    }
}

/// Looks at the 4-bit code of a row, unless the bar has come to rule it out.
fn look(sweep: &BatchSweep<Likely>, block: &BlockCodes, number: usize, row: &Reached, list: &mut Shortlist) {
    if row.bound < list.bar {
        return;
    }
    let (seeker, slot) = (&sweep.seekers[number], row.slot as usize);
    let (own, code) = block.fine.slot(slot);
    list.looked += 1;
    let Some((estimate, error)) = seeker.query.look(&sweep.method.common, &row.known, code, own) else { return };
    let upper = estimate + error;
    if upper < list.bar || estimate - error > seeker.aim.ceiling {
        return;
    }
    let Some(rowid) = sweep.row(block, slot, seeker) else { return };
    let guess = seeker.aim.guess(estimate, estimate - GUESS * error);
    let fingerprint = block.codes.fingerprint(slot);
    sweep.take(number, list, BatchCandidate { upper, fingerprint, rowid }, guess);
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
    fn sift(&self, first_query: usize, lists: &mut [Shortlist], put_off: &mut [PutOff]) {
        let method = &self.sweep.method;
        let tables = &method.tables[first_query * method.each..][..lists.len() * method.each];
        let mut sums = [[[0; GROUP]; 2]; TILE];
        let sums = &mut sums[..lists.len()];
        for (first, pair) in (0..).step_by(2).zip(self.groups.chunks(2)) {
            let codes = [0, pair.len() - 1].map(|at| pair[at].codes);
            (kernels::table().codes.tile_u1)(tables, codes, sums);
            for (number, ((sums, list), put_off)) in
                (first_query..).zip(sums.iter().zip(&mut *lists).zip(&mut *put_off))
            {
                for (group, sums) in (first..first + pair.len()).zip(sums) {
                    self.reach(number, group, sums, list, put_off);
                }
            }
        }
    }

    /// Looks at the rows of a group that a query reaches, or puts them off.
    fn reach(&self, number: usize, group: usize, sums: &[u32; GROUP], list: &mut Shortlist, put_off: &mut PutOff) {
        let (query, known) = (&self.sweep.seekers[number].query, &self.known[group]);
        let mut reaching = query.reach(sums, known, list.bar);
        while reaching != 0 {
            let at = reaching.trailing_zeros() as usize;
            reaching &= reaching - 1;
            let row = Reached {
                bound: query.bound(known, at, sums[at]),
                block: self.piece.number as u32,
                slot: ((self.piece.groups.start + group) * GROUP + at) as u32,
                known: known.row(at),
            };
            if query.estimate(&row.known, row.bound) < list.bar && put_off.has_room(list.bar) {
                put_off.rows.push(row);
            } else {
                look(self.sweep, self.piece.block, number, &row, list);
            }
        }
    }
}
