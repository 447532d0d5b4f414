//! Sweeps over the 1-bit codes of all rows for many queries, with bounds that hold but for a small chance.
//!
//! Rows that 1-bit codes cannot rule out get a closer look by their 4-bit codes at once, which raises the
//! bar for the next.

use super::batch::{Candidate, Found, Method, Piece, Seeker, Sweep};
use super::open::Index;
use crate::codec::Group;
use crate::codec::likely::{Common, Known, Query};
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
pub type Scratch = Vec<Known>;

impl Method for Likely {
    type Query = Query;
    type Scratch = Scratch;

    fn new(index: &Index, first: &Scorer) -> Self {
        let each = 2 * index.header.dimensions.div_ceil(8);
        Self { common: Common::new(index.space(), first.metric()), tables: Vec::new(), each }
    }

    fn query(&self, index: &Index, query: &[F32Le]) -> Option<Query> {
        self.common.query(index.space(), query)
    }

    fn key(query: &Query, score: f64) -> f32 {
        query.key(score)
    }

    fn prepare(&mut self, seekers: &[Seeker<Query>]) {
        self.tables = seekers.iter().flat_map(|seeker| seeker.query.tables()).copied().collect();
        seekers.iter().for_each(|seeker| self.common.add(&seeker.query));
    }

    fn scratch(&self) -> Scratch {
        Vec::new()
    }

    fn look(sweep: &Sweep<Self>, scratch: &mut Scratch, piece: &Piece<'_>, found: &mut [Found]) {
        let groups: Vec<Group<'_>> = {
            let groups = piece.pair.0.groups();
            groups.skip(piece.groups.start).take(piece.groups.len()).collect()
        };
        scratch.resize_with(groups.len(), Known::default);
        for (known, group) in scratch.iter_mut().zip(&groups) {
            sweep.method.common.know(known, group.factors);
        }
        let tiles = sweep.seekers.chunks(TILE).zip(found.chunks_mut(TILE));
        for (tables, (seekers, found)) in sweep.method.tables.chunks(TILE * sweep.method.each).zip(tiles) {
            Tile { sweep, seekers, piece, known: scratch }.sift(tables, &groups, found);
        }
    }
}

/// A few queries, and a piece.
struct Tile<'a> {
    sweep: &'a Sweep<Likely>,
    seekers: &'a [Seeker<Query>],
    piece: &'a Piece<'a>,
    known: &'a [Known],
}

impl Tile<'_> {
    /// Finds the rows that 1-bit codes cannot rule out.
    fn sift(&self, tables: &[[u8; 16]], groups: &[Group<'_>], found: &mut [Found]) {
        let mut sums = [[[0; GROUP]; 2]; TILE];
        let sums = &mut sums[..self.seekers.len()];
        for (first, pair) in (0..).step_by(2).zip(groups.chunks(2)) {
            let codes = [0, pair.len() - 1].map(|at| pair[at].codes);
            (kernels::table().codes.tile_u1)(tables, codes, sums);
            for ((sums, seeker), found) in sums.iter().zip(self.seekers).zip(&mut *found) {
                for (group, sums) in (first..first + pair.len()).zip(sums) {
                    let mut reaching = seeker.query.reach(sums, &self.known[group], found.bar);
                    while reaching != 0 {
                        let at = reaching.trailing_zeros() as usize;
                        self.look(seeker, group, at, found);
                        reaching &= reaching - 1;
                    }
                }
            }
        }
    }

    /// Looks more closely at a row.
    fn look(&self, seeker: &Seeker<Query>, group: usize, at: usize, found: &mut Found) {
        let (codes, fine, _) = self.piece.pair;
        let slot = (self.piece.groups.start + group) * GROUP + at;
        let (own, code) = fine.slot(slot);
        found.looked += 1;
        let looked = seeker.query.look(&self.sweep.method.common, &self.known[group], at, code, own);
        let Some((estimate, error)) = looked else { return };
        let upper = estimate + error;
        if upper < found.bar || estimate - error > seeker.ceiling {
            return;
        }
        let Some(rowid) = self.sweep.row(self.piece.pair, slot, seeker) else { return };
        let guess = estimate - GUESS * error;
        // A row that is above the ceiling as likely as not is none of those wanted.
        if let Some(reach) = seeker.reach
            && guess.is_finite()
            && estimate <= seeker.ceiling
        {
            found.offer(reach, guess);
        }
        found.candidates.push(Candidate { upper, fingerprint: codes.fingerprint(slot), rowid });
    }
}
