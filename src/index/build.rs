//! A new index from rows as they come.

use super::block::Block;
use super::encode::{RowCodes, VectorBatch, encode};
use super::format::{BlockEntry, DIRECTORY, Directory, HEADER, Header, RANGES, Token, block_slots, random};
use super::open::Index;
use super::ranges::{self, RowidRange};
use super::store::Store;
use crate::codec::Space;
use crate::error::Result;
use crate::kernels::{self, F32Le};
use crate::vector::ElementType;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

static FIXED_SEED: OnceLock<u64> = OnceLock::new();

/// The seed for a new index: random, unless [`fix_seed`] has been called.
pub fn seed() -> u64 {
    FIXED_SEED.get().copied().unwrap_or_else(random)
}

/// Gives every index that this process makes from now on the same seed; the first call counts. For measurements alone: how
/// many rows a search looks at depends on the seed, by up to 8 % in `benches/instructions`.
#[doc(hidden)]
pub fn fix_seed(seed: u64) {
    FIXED_SEED.get_or_init(|| seed);
}

/// The mean of vectors that all have the dimensions of the first, without the vectors that are far longer than most.
///
/// A code describes the difference between a vector and the mean. A single vector of length 1e12 among ordinary ones would move
/// the mean so far away that rounding loses the differences between the others. Any point can be the centre, and bounds hold
/// for vectors of any length. So to leave some out costs nothing, except that their own codes are less exact.
#[derive(Debug, Clone, Default)]
pub struct Mean {
    dimensions: usize,
    rows: u64,
    /// By the class of the vectors' lengths, see [`class`].
    classes: BTreeMap<i32, LengthClass>,
}

#[derive(Debug, Clone, Default)]
struct LengthClass {
    sums: Vec<f64>,
    rows: u64,
}

/// Lengths of one class differ by a factor of less than 16; unit vectors are in the middle of theirs.
fn class(square: f64) -> i32 {
    const NIL: i32 = i32::MIN;
    if square > 0.0 { ((square.log2() + 4.0) / 8.0).floor() as i32 } else { NIL }
}

impl Mean {
    /// Takes a vector in. One of another length, or with something in it that is no number, does not count.
    pub fn add(&mut self, vector: &[F32Le]) {
        if self.rows == 0 {
            self.dimensions = vector.len();
        }
        let Some(square) = square(vector).filter(|_| vector.len() == self.dimensions) else { return };
        self.rows += 1;
        let class = self.classes.entry(class(square)).or_default();
        class.rows += 1;
        class.sums.resize(vector.len(), 0.0);
        for (sum, x) in class.sums.iter_mut().zip(vector) {
            *sum += f64::from(x.get());
        }
    }

    /// How many vectors were taken in.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    fn centre(&self) -> Vec<f32> {
        let longest = self.longest();
        let (mut sums, mut rows) = (vec![0.0; self.dimensions], 0);
        for (_, class) in self.classes.range(..=longest) {
            rows += class.rows;
            sums.iter_mut().zip(&class.sums).for_each(|(sum, x)| *sum += x);
        }
        sums.into_iter().map(|sum: f64| (sum / rows.max(1) as f64) as f32).collect()
    }

    /// The class of the longest vectors that count: the one above that of the median.
    fn longest(&self) -> i32 {
        let of_any_length = || self.classes.range(class(0.0) + 1..);
        let half = of_any_length().map(|(_, class)| class.rows).sum::<u64>() / 2;
        let mut before = 0;
        let median = of_any_length().find(|(_, class)| {
            before += class.rows;
            before > half
        });
        median.map_or(i32::MAX, |(class, _)| class + 1)
    }
}

/// The square of a vector's length; `None` where something in it is no number.
fn square(vector: &[F32Le]) -> Option<f64> {
    let square = (kernels::table().dot_f32)(vector, vector);
    if square.is_normal() {
        return Some(square.into());
    }
    let square: f64 = vector.iter().map(|x| f64::from(x.get()).powi(2)).sum();
    square.is_finite().then_some(square)
}

/// Writes an index block by block. Until the last write the header says that the index is unfinished.
pub struct Builder<'a, S> {
    store: &'a mut S,
    scope: u64,
    threads: usize,
    space: Arc<Space>,
    header: Header,
    batch: VectorBatch,
    /// Encoded rows that are too few for a block so far.
    rows: Vec<RowCodes>,
    blocks: Vec<BlockEntry>,
    ranges: Vec<RowidRange>,
    strays: Vec<i64>,
    /// Whether the header says that blocks are being written.
    is_begun: bool,
}

impl<'a, S: Store> Builder<'a, S> {
    /// An index whose codes are relative to a mean of vectors of its dimensions. The mean of all rows is best. `seed` may be any
    /// number; [`seed`] gives one.
    pub fn new(store: &'a mut S, scope: u64, mean: &Mean, seed: u64, threads: usize) -> Self {
        let dimensions = mean.dimensions;
        let header = Header {
            generation: Token::fresh(),
            element: ElementType::F32,
            dimensions,
            block_slots: block_slots(dimensions),
            seed,
            centred_at: mean.rows,
            rows: 0,
            strays: 0,
            blocks: 0,
        };
        let space = Arc::new(Space::new(mean.centre(), header.seed));
        let (batch, rows, blocks, ranges, strays) = Default::default();
        Self { store, scope, threads, space, header, batch, rows, blocks, ranges, strays, is_begun: false }
    }

    /// Says what the elements of the rows are, if not f32. Codes are made of the same numbers in f32.
    pub fn of_elements(mut self, element: ElementType) -> Self {
        self.header.element = element;
        self
    }

    /// Adds a row. Each row is added once. If its vector has other dimensions, the row is noted as a stray.
    pub fn push(&mut self, rowid: i64, vector: &[F32Le]) -> Result<()> {
        if vector.len() != self.header.dimensions || vector.is_empty() {
            self.strays.push(rowid);
            return Ok(());
        }
        self.batch.push(rowid, vector);
        if self.batch.is_full() { self.encode_batch() } else { Ok(()) }
    }

    /// How many rows were added.
    pub fn rows(&self) -> u64 {
        self.header.rows + (self.rows.len() + self.batch.len() + self.strays.len()) as u64
    }

    fn encode_batch(&mut self) -> Result<()> {
        let batch = std::mem::take(&mut self.batch);
        self.rows.extend(encode(&self.space, batch, self.threads)?);
        while self.rows.len() >= self.header.block_slots {
            let rest = self.rows.split_off(self.header.block_slots);
            let full = std::mem::replace(&mut self.rows, rest);
            self.write_block(&full)?;
        }
        Ok(())
    }

    fn write_block(&mut self, rows: &[RowCodes]) -> Result<()> {
        begin(self.store, &self.header, &mut self.is_begun)?;
        let mut block = Block::empty(self.header.dimensions, rows.len());
        rows.iter().enumerate().for_each(|(slot, row)| block.put(slot, row));
        let number = self.blocks.len() as u32 + 1;
        self.blocks.push(block.write(self.store, number)?);
        self.ranges.push(RowidRange::of(rows.iter().map(|row| row.rowid)));
        self.header.rows += rows.len() as u64;
        Ok(())
    }

    /// Writes what is left, and removes what was there before.
    pub fn finish(mut self) -> Result<Index> {
        self.encode_batch()?;
        begin(self.store, &self.header, &mut self.is_begun)?;
        let rows = std::mem::take(&mut self.rows);
        if !rows.is_empty() {
            self.write_block(&rows)?;
        }
        self.strays.sort_unstable();
        self.strays.dedup();
        let directory = Directory { centre: self.space.centre().to_vec(), blocks: self.blocks, strays: self.strays };
        let last = 2 * directory.blocks.len() as i64 + 1;
        for id in self.store.ids()?.into_iter().filter(|&id| id < RANGES || id > last) {
            self.store.delete(id)?;
        }
        write_top(self.store, &mut self.header, &directory, &self.ranges)?;
        Ok(Index::new(self.scope, self.header, directory, self.space))
    }
}

/// Comes before all that is written: from here until [`write_top`], the header says that the index is unfinished.
pub(super) fn begin<S: Store>(store: &mut S, header: &Header, is_begun: &mut bool) -> Result<()> {
    if !*is_begun {
        store.write(HEADER, &header.encode_unfinished())?;
        *is_begun = true;
    }
    Ok(())
}

/// Writes the ranges, the directory and then the header, as a new generation.
pub(super) fn write_top<S: Store>(
    store: &mut S,
    header: &mut Header,
    directory: &Directory,
    ranges: &[RowidRange],
) -> Result<()> {
    header.generation = Token::fresh();
    header.blocks = directory.blocks.len() as u32;
    header.rows = directory.blocks.iter().map(|entry| u64::from(entry.rows)).sum();
    header.strays = directory.strays.len() as u64;
    store.write(RANGES, &ranges::encode(ranges, header.generation))?;
    store.write(DIRECTORY, &directory.encode(header.generation))?;
    store.write(HEADER, &header.encode())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean(vectors: &[[f32; 2]]) -> Mean {
        let mut mean = Mean::default();
        vectors.iter().for_each(|vector| mean.add(&vector.map(F32Le::from)));
        mean
    }

    #[test]
    fn the_centre_is_the_mean() {
        let mean = mean(&[[1.0, 0.0], [0.0, 2.0], [0.0, 0.0], [3.0, f32::NAN]]);
        assert_eq!((mean.centre(), mean.rows()), (vec![1.0 / 3.0, 2.0 / 3.0], 3));
        assert_eq!(Mean::default().centre(), [0.0; 0]);
        assert_eq!(self::mean(&[[0.0, 0.0]]).centre(), [0.0, 0.0]);
    }

    /// Issue 12, item 9: one vector of 1e12 drew the centre away from all the others.
    #[test]
    fn a_vector_far_longer_than_most_does_not_move_the_centre() {
        for far in [1e4, 1e12, 1e30, f32::MAX] {
            let mean = mean(&[[1.0, 0.5], [-far, far], [1.0, -0.5], [0.0, 0.0]]);
            assert_eq!(mean.centre(), [2.0 / 3.0, 0.0], "{far}");
            assert_eq!(mean.rows(), 4);
        }
    }
}
