//! A new index from rows as they come.

use super::block::Block;
use super::encode::{Batch, Encoded, encode};
use super::format::{DIRECTORY, Directory, Entry, HEADER, Header, Token, block_slots};
use super::open::Index;
use super::store::Store;
use crate::codec::Space;
use crate::error::Result;
use crate::kernels::F32Le;
use std::sync::Arc;

/// Bytes of vectors that are collected before all threads encode them.
const BATCH_BYTES: usize = 4 << 20;

/// The mean of vectors, all of the first one's length.
#[derive(Debug, Clone, Default)]
pub struct Mean {
    sums: Vec<f64>,
    rows: u64,
}

impl Mean {
    /// Takes a vector in. One of another length, or with something in it that is no number, does not count.
    pub fn add(&mut self, vector: &[F32Le]) {
        if self.rows == 0 {
            self.sums = vec![0.0; vector.len()];
        }
        if vector.len() != self.sums.len() || vector.iter().any(|x| !x.get().is_finite()) {
            return;
        }
        self.rows += 1;
        for (sum, x) in self.sums.iter_mut().zip(vector) {
            *sum += f64::from(x.get());
        }
    }

    /// How many vectors it is of.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    fn centre(&self) -> Vec<f32> {
        self.sums.iter().map(|sum| (sum / self.rows.max(1) as f64) as f32).collect()
    }
}

/// Writes an index block by block. It replaces what the store held when it is finished, and not before its last write;
/// until then the caller's transaction must not be committed.
pub struct Builder<'a, S> {
    store: &'a mut S,
    scope: u64,
    threads: usize,
    space: Arc<Space>,
    header: Header,
    batch: Batch,
    /// Encoded rows that do not fill a block yet.
    rows: Vec<Encoded>,
    blocks: Vec<Entry>,
    strays: Vec<i64>,
}

impl<'a, S: Store> Builder<'a, S> {
    /// An index whose codes are relative to a mean of vectors of its dimensions: of all rows, best. `seed` may be any
    /// number; [`super::random`] gives one.
    pub fn new(store: &'a mut S, scope: u64, mean: &Mean, seed: u64, threads: usize) -> Self {
        let dimensions = mean.sums.len();
        let header = Header {
            generation: Token::fresh(),
            dimensions,
            block_slots: block_slots(dimensions),
            seed,
            centred_at: mean.rows,
            rows: 0,
            strays: 0,
            blocks: 0,
        };
        let space = Arc::new(Space::new(mean.centre(), header.seed));
        let (batch, rows, blocks, strays) = Default::default();
        Self { store, scope, threads, space, header, batch, rows, blocks, strays }
    }

    /// Adds a row, each row once. One whose vector has other dimensions is noted as a stray.
    pub fn push(&mut self, rowid: i64, vector: &[F32Le]) -> Result<()> {
        if vector.len() != self.header.dimensions || vector.is_empty() {
            self.strays.push(rowid);
            return Ok(());
        }
        self.batch.push(rowid, vector);
        if self.batch.bytes() >= BATCH_BYTES { self.encode_batch() } else { Ok(()) }
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

    fn write_block(&mut self, rows: &[Encoded]) -> Result<()> {
        let mut block = Block::empty(self.header.dimensions, rows.len());
        rows.iter().enumerate().for_each(|(slot, row)| block.put(slot, row));
        let number = self.blocks.len() as u32 + 1;
        self.blocks.push(block.write(self.store, number)?);
        self.header.rows += rows.len() as u64;
        Ok(())
    }

    /// Writes what is left and removes what was there before.
    pub fn finish(mut self) -> Result<Index> {
        self.encode_batch()?;
        let rows = std::mem::take(&mut self.rows);
        if !rows.is_empty() {
            self.write_block(&rows)?;
        }
        self.strays.sort_unstable();
        self.strays.dedup();
        let directory = Directory { centre: self.space.centre().to_vec(), blocks: self.blocks, strays: self.strays };
        write_top(self.store, &mut self.header, &directory)?;
        let last = 2 * i64::from(self.header.blocks) + 1;
        for id in self.store.ids()?.into_iter().filter(|&id| id < HEADER || id > last) {
            self.store.delete(id)?;
        }
        Ok(Index::new(self.scope, self.header, directory, self.space))
    }
}

/// Writes directory and header, the header last, as a new generation.
pub(super) fn write_top<S: Store>(store: &mut S, header: &mut Header, directory: &Directory) -> Result<()> {
    header.generation = Token::fresh();
    header.blocks = directory.blocks.len() as u32;
    header.rows = directory.blocks.iter().map(|entry| u64::from(entry.rows)).sum();
    header.strays = directory.strays.len() as u64;
    store.write(DIRECTORY, &directory.encode(header.generation))?;
    store.write(HEADER, &header.encode())
}
