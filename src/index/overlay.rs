//! Codes of rows that changed since the index was last written, in memory alone.

use super::block::{Block, Codes, Fine};
use super::encode::{VectorBatch, encode};
use crate::codec::Space;
use crate::error::Result;
use std::collections::HashMap;
use std::sync::Arc;

/// Rows in a block here: few, as a change copies the block while a search holds it.
const SLOTS: usize = 512;

/// Bytes that finding a row takes.
const ROW: usize = 40;

/// Rows that changed, which stand in for what the index says of them.
///
/// Cloning it is cheap, and later changes to one clone do not touch the other.
#[derive(Clone)]
pub struct Overlay {
    space: Arc<Space>,
    blocks: Vec<(Arc<Codes>, Arc<Fine>)>,
    /// Where each row is, `None` for one that has no vector any more.
    places: Arc<HashMap<i64, Option<usize>>>,
    used: usize,
    free: Vec<usize>,
}

impl Overlay {
    /// No rows yet. The space is the index's; with another index one begins anew.
    pub fn new(space: Arc<Space>) -> Self {
        Self { space, blocks: Vec::new(), places: Arc::default(), used: 0, free: Vec::new() }
    }

    /// How many rows it stands in for.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Whether it stands in for this row.
    pub fn contains(&self, rowid: i64) -> bool {
        self.places.contains_key(&rowid)
    }

    /// Bytes of memory, about.
    pub fn bytes(&self) -> usize {
        self.places.len() * self.row_bytes()
    }

    /// Bytes of memory that a row takes, about.
    pub fn row_bytes(&self) -> usize {
        let block = Codes::size_of(self.space.dimensions(), SLOTS) + Fine::size_of(self.space.dimensions(), SLOTS);
        block / SLOTS + ROW
    }

    /// Takes rows that changed: those with vectors of the space's dimensions, and those without.
    pub fn change(&mut self, with: VectorBatch, without: &[i64], threads: usize) -> Result<()> {
        let rows = encode(&self.space, with, threads)?;
        without.iter().for_each(|rowid| self.remove(*rowid));
        for row in rows {
            self.remove(row.rowid);
            let place = self.free.pop().unwrap_or(self.used);
            self.used = self.used.max(place + 1);
            if place / SLOTS == self.blocks.len() {
                let Block { codes, fine, .. } = Block::empty(self.space.dimensions(), SLOTS);
                self.blocks.push((Arc::new(codes), Arc::new(fine)));
            }
            let (codes, fine) = &mut self.blocks[place / SLOTS];
            Arc::make_mut(codes).put(place % SLOTS, row.rowid, row.fingerprint, &row.coarse);
            Arc::make_mut(fine).put(place % SLOTS, &row.fine);
            Arc::make_mut(&mut self.places).insert(row.rowid, Some(place));
        }
        Ok(())
    }

    fn remove(&mut self, rowid: i64) {
        if let Some(Some(place)) = Arc::make_mut(&mut self.places).insert(rowid, None) {
            let (codes, fine) = &mut self.blocks[place / SLOTS];
            Arc::make_mut(codes).vacate(place % SLOTS);
            Arc::make_mut(fine).vacate(place % SLOTS);
            self.free.push(place);
        }
    }

    /// The rows that the index must not be asked about.
    pub(super) fn hidden(&self) -> impl Fn(i64) -> bool + Send + Sync + use<> {
        let places = self.places.clone();
        move |rowid| places.contains_key(&rowid)
    }

    /// Its codes under numbers that no block of an index has.
    pub(super) fn blocks(&self) -> impl Iterator<Item = (u32, &Arc<Codes>)> {
        (0..).map(|at: u32| u32::MAX - at).zip(self.blocks.iter().map(|(codes, _)| codes))
    }

    /// Both kinds of its codes.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (Arc<Codes>, Arc<Fine>)> {
        self.blocks.iter().cloned()
    }

    /// The block of such a number.
    pub(super) fn block(&self, number: u32) -> Option<&(Arc<Codes>, Arc<Fine>)> {
        self.blocks.get((u32::MAX - number) as usize)
    }
}
