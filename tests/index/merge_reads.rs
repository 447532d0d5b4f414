//! What a merge reads and writes: the blocks that can have a changed row, and no others.

#![allow(clippy::unwrap_used)]

use crate::table_in_memory::{Random, Table, found, indexed, listed, opened, request, scope, scorer, search};
use fafcas::error::Result;
use fafcas::index::{Index, MemoryStore, Store, check_blocks};
use fafcas::parts::{Metric, Rules};
use std::collections::BTreeSet;

const DIMENSIONS: usize = 1200;
const RANGES: i64 = -1;

/// Notes which BLOBs are read and written.
#[derive(Default)]
struct Noting {
    inner: MemoryStore,
    read: BTreeSet<i64>,
    reads: usize,
    written: BTreeSet<i64>,
}

impl Store for Noting {
    fn read<T>(&mut self, id: i64, with: impl FnOnce(&[u8]) -> Result<T>) -> Result<Option<T>> {
        self.read.insert(id);
        self.reads += 1;
        self.inner.read(id, with)
    }

    fn write(&mut self, id: i64, blob: &[u8]) -> Result<()> {
        self.written.insert(id);
        self.inner.write(id, blob)
    }

    fn delete(&mut self, id: i64) -> Result<()> {
        self.inner.delete(id)
    }

    fn ids(&mut self) -> Result<Vec<i64>> {
        self.inner.ids()
    }
}

fn blocks(ids: &BTreeSet<i64>) -> usize {
    ids.iter().filter(|id| **id > 1).map(|id| id / 2).collect::<BTreeSet<_>>().len()
}

struct World {
    random: Random,
    table: Table,
    store: Noting,
    index: Index,
}

impl World {
    /// Rowids are a hundred apart, so that there is room between them.
    fn new(rows: i64) -> Self {
        let mut random = Random(18);
        let mut table = Table::default();
        (1..=rows).for_each(|row| table.set(100 * row, &random.vector(DIMENSIONS)));
        let (inner, index) = indexed(&table, 1);
        Self { random, table, store: Noting { inner, ..Noting::default() }, index }
    }

    fn set(&mut self, rowid: i64) {
        let vector = self.random.vector(DIMENSIONS);
        self.table.set(rowid, &vector);
    }

    /// How many blocks it reads and writes.
    fn merge(&mut self, changed: &[i64]) -> (usize, usize) {
        (self.store.read, self.store.written) = Default::default();
        let merged = self.index.merge(&mut self.store, listed(changed), &mut self.table, 2, &mut |_, _| Ok(()));
        self.index = merged.unwrap();
        (blocks(&self.store.read), blocks(&self.store.written))
    }

    fn check(&mut self) {
        let index = check_blocks(&mut self.store.inner).unwrap();
        assert_eq!(index.header.rows as usize, self.table.rows.len());
        let rules = Rules::default();
        let scorer = scorer(Metric::Cosine, &self.random.vector(DIMENSIONS));
        let opened = opened(&mut self.store.inner, scope()).unwrap();
        let (outcome, stats) = search(&opened, &mut self.store.inner, &mut self.table, &request(&scorer, 9, &rules));
        assert_eq!(found(outcome), self.table.scan(&scorer, 9, &rules));
        assert_eq!(stats.ghosts, 0);
    }

    fn slots(&self) -> u64 {
        self.index.directory().blocks.iter().map(|entry| u64::from(entry.slots)).sum()
    }
}

#[test]
fn one_row_costs_one_block() {
    let mut world = World::new(3000);
    assert!(world.index.header.blocks >= 10);
    for rowid in [100, 150_000, 300_000] {
        world.set(rowid);
        assert_eq!(world.merge(&[rowid]), (1, 1), "changed");
        world.table.rows.remove(&rowid);
        assert_eq!(world.merge(&[rowid]), (1, 1), "deleted");
        world.set(rowid + 50);
        assert!(world.merge(&[rowid + 50]).1 <= 2, "new among the others");
    }
    let (read, written) = world.merge(&[-7, 149_999, 1 << 50]);
    assert!(read <= 1 && written == 0, "rows that there are not: one of them may have been");
    world.check();
}

/// A check goes through all rows in parts, each of a few blocks. It once read all blocks for each part.
#[test]
fn all_rows_in_many_parts_cost_each_block_a_few_times() {
    let mut world = World::new(3000);
    let blocks = world.index.by_rowid(&mut world.store).unwrap();
    let (mut parts, mut rows, mut first) = (0, 0, Some(i64::MIN));
    world.store.reads = 0;
    while let Some(from) = first {
        let part = blocks.coded(&mut world.store, from, 150).unwrap();
        assert!(part.rowids.len() <= 150 && part.rowids.iter().all(|rowid| (from..=part.last).contains(rowid)));
        blocks.check_rows(&mut world.store, &mut world.table, &part.rowids, &mut |_, _| Ok(())).unwrap();
        (parts, rows) = (parts + 1, rows + part.rowids.len());
        first = part.last.checked_add(1);
    }
    assert_eq!((parts, rows), (3000 / 150, 3000));
    // 1-bit codes for the list of rows, then both BLOBs; and those of a block at either end once more.
    let most = 3 * (world.index.header.blocks as usize + 2 * parts);
    assert!(world.store.reads <= most, "{} reads, {most} at most", world.store.reads);
}

#[test]
fn rows_behind_all_others_fill_one_block_after_the_other() {
    let mut world = World::new(500);
    for round in 0..40 {
        let new: Vec<i64> = (0..30).map(|i| 1_000_000 + 30 * round + i).collect();
        new.iter().for_each(|rowid| world.set(*rowid));
        let (read, written) = world.merge(&new);
        assert!(read == 1 && written <= 2, "round {round}: {read} read, {written} written");
    }
    world.check();
    let slots = world.index.header.block_slots as u64;
    assert!(world.slots() <= world.index.header.rows + slots, "the blocks are full");
}

/// For a long time, at random: the ranges stay apart, and the slots are not many more than the rows.
#[test]
fn any_history_leaves_one_block_for_each_row() {
    let mut world = World::new(900);
    let mut random = Random(81);
    for round in 0..120 {
        let mut changed = Vec::new();
        for _ in 0..1 + random.below(120) {
            let rowid = random.below(90_000) as i64 - 200;
            match random.below(3) {
                0 if round % 30 > 15 => world.set(rowid),
                1 if round % 30 <= 15 => world.set(rowid),
                2 => world.set(rowid),
                _ => drop(world.table.rows.remove(&rowid)),
            }
            changed.push(rowid);
            // Rows that are there are changed and deleted too.
            let some = world.table.rows.range(rowid..).next().map(|(rowid, _)| *rowid);
            if let Some(rowid) = some.filter(|_| random.below(2) == 0) {
                if round % 30 > 15 {
                    world.set(rowid)
                } else {
                    drop(world.table.rows.remove(&rowid))
                }
                changed.push(rowid);
            }
        }
        world.merge(&changed);
        let rowid = *world.table.rows.keys().nth(random.below(world.table.rows.len())).unwrap();
        assert_eq!(world.merge(&[rowid]), (1, 1), "round {round}");
        let (rows, blocks) = (world.index.header.rows, u64::from(world.index.header.blocks));
        assert!(3 * world.slots() <= 4 * (rows + 64 * blocks) + 300, "{} slots, {rows} rows", world.slots());
        if round % 10 == 0 {
            world.check();
        }
    }
    world.check();
}

/// Blocks that lost all their rows take the next ones.
#[test]
fn empty_blocks_are_used_again() {
    let mut world = World::new(2000);
    let blocks = world.index.header.blocks;
    let mut next = 1_000_000;
    for _ in 0..5 {
        let oldest: Vec<i64> = world.table.rows.keys().copied().take(1000).collect();
        oldest.iter().for_each(|rowid| drop(world.table.rows.remove(rowid)));
        world.merge(&oldest);
        let new: Vec<i64> = (next..next + 1000).collect();
        next += 1000;
        new.iter().for_each(|rowid| world.set(*rowid));
        world.merge(&new);
        assert!(world.index.header.blocks <= blocks + 1, "{} blocks, {blocks} before", world.index.header.blocks);
    }
    world.check();
}

/// An older version writes no ranges, and leaves those of others as they are.
#[test]
fn an_index_without_ranges_gets_them_at_its_next_merge() {
    for stale in [false, true] {
        let mut world = World::new(1500);
        let before = world.store.inner.blobs.remove(&RANGES).unwrap();
        if stale {
            world.set(100);
            world.merge(&[100]);
            world.store.inner.blobs.insert(RANGES, before);
        }
        world.check();
        world.set(200);
        let (read, written) = world.merge(&[200]);
        assert_eq!((read, written), (world.index.header.blocks as usize, 1), "all are read once, stale {stale}");
        world.set(200);
        assert_eq!(world.merge(&[200]), (1, 1), "stale {stale}");
        world.check();
    }
}

/// Rows in an index of an older version may be in any block. They are found where they are.
#[test]
fn ranges_that_overlap_are_right_too() {
    let mut random = Random(7);
    let rowids: Vec<i64> = (0..1200).map(|i| (i * 7919) % 1200 * 10).collect();
    let mut table = Table::default();
    rowids.iter().for_each(|rowid| table.set(*rowid, &random.vector(DIMENSIONS)));
    let mut inner = MemoryStore::default();
    let mut mean = fafcas::index::Mean::default();
    table.rows.values().for_each(|vector| mean.add(vector));
    let mut builder = fafcas::index::Builder::new(&mut inner, scope(), &mean, 3, 2);
    rowids.iter().for_each(|rowid| builder.push(*rowid, &table.rows[rowid]).unwrap());
    let index = builder.finish().unwrap();
    let mut world = World { random, table, store: Noting { inner, ..Noting::default() }, index };
    for round in 0..40 {
        let changed: Vec<i64> = (0..60).map(|i| (round * 997 + i * 31) % 12_500 - 100).collect();
        for rowid in &changed {
            if rowid % 3 == 0 { drop(world.table.rows.remove(rowid)) } else { world.set(*rowid) }
        }
        world.merge(&changed);
        world.check();
    }
}
