//! Codes of rows that changed since the index was last written. They are kept in memory only.

use super::block::{Block, Codes, Fine};
use super::encode::{VectorBatch, encode};
use crate::codec::Space;
use crate::error::Result;
use std::collections::HashMap;
use std::sync::Arc;

/// Rows in a block of changed rows. They are few, because a change copies the whole block while a search holds it.
const SLOTS: usize = 512;

/// Bytes for finding a row.
const ROW: usize = 40;

/// What a row has become.
#[derive(Clone, Copy)]
enum ChangedRow {
    /// Its codes are at this place, counted over the slots of all blocks.
    At(usize),
    /// It has no vector any more.
    NoVector,
}

/// Rows that changed. It is used instead of what the index says about them.
///
/// To clone it is cheap. Later changes to one clone do not change the other.
#[derive(Clone)]
pub struct Overlay {
    space: Arc<Space>,
    blocks: Vec<(Arc<Codes>, Arc<Fine>)>,
    rows: Arc<HashMap<i64, ChangedRow>>,
    used: usize,
    free: Vec<usize>,
}

impl Overlay {
    /// No rows yet. The space is that of the index. Another index needs another overlay.
    pub fn new(space: Arc<Space>) -> Self {
        Self { space, blocks: Vec::new(), rows: Arc::default(), used: 0, free: Vec::new() }
    }

    /// How many rows it has.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether it has this row.
    pub fn contains(&self, rowid: i64) -> bool {
        self.rows.contains_key(&rowid)
    }

    /// Bytes of memory, about.
    pub fn bytes(&self) -> usize {
        self.rows.len() * self.row_bytes()
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
            Arc::make_mut(&mut self.rows).insert(row.rowid, ChangedRow::At(place));
        }
        Ok(())
    }

    /// Whether its codes are of this space.
    pub fn is_of(&self, space: &Arc<Space>) -> bool {
        Arc::ptr_eq(&self.space, space) || *self.space == **space
    }

    /// Leaves only these rows in it.
    pub fn retain(&mut self, stays: impl Fn(i64) -> bool) {
        let gone: Vec<i64> = self.rows.keys().copied().filter(|rowid| !stays(*rowid)).collect();
        gone.iter().for_each(|rowid| self.remove(*rowid));
        let rows = Arc::make_mut(&mut self.rows);
        for rowid in gone {
            rows.remove(&rowid);
        }
    }

    fn remove(&mut self, rowid: i64) {
        if let Some(ChangedRow::At(place)) = Arc::make_mut(&mut self.rows).insert(rowid, ChangedRow::NoVector) {
            let (codes, fine) = &mut self.blocks[place / SLOTS];
            Arc::make_mut(codes).vacate(place % SLOTS);
            Arc::make_mut(fine).vacate(place % SLOTS);
            self.free.push(place);
        }
    }

    /// Says for which rows the codes of the index are old.
    pub(super) fn hidden(&self) -> impl Fn(i64) -> bool + Send + Sync + use<> {
        let rows = self.rows.clone();
        move |rowid| rows.contains_key(&rowid)
    }

    /// Its codes, under numbers that no block of an index has.
    pub(super) fn blocks(&self) -> impl Iterator<Item = (u32, &Arc<Codes>)> {
        (0..).map(|at: u32| u32::MAX - at).zip(self.blocks.iter().map(|(codes, _)| codes))
    }

    /// Both kinds of its codes.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (Arc<Codes>, Arc<Fine>)> {
        self.blocks.iter().cloned()
    }

    /// The block that has such a number.
    pub(super) fn block(&self, number: u32) -> Option<&(Arc<Codes>, Arc<Fine>)> {
        self.blocks.get((u32::MAX - number) as usize)
    }
}
