//! Whatever happens to the rows, an index with what is pending over it answers like a scan of the rows as they are.

#![allow(clippy::unwrap_used)]

use crate::table_in_memory::{Random, Table, found, indexed, listed, opened, request, scope, scorer, search};

use fafcas::index::{
    ChangedRows, Index, MemoryStore, Outcome, Overlay, Reason, Request, RowSlot, Stats, Stretch, VectorBatch,
    check_blocks,
};
use fafcas::parts::{Metric, Rules, fingerprint};
use std::collections::BTreeSet;
use std::sync::Arc;

const DIMENSIONS: usize = 24;

/// A table, its index, and the rows that changed since.
struct World {
    random: Random,
    table: Table,
    store: MemoryStore,
    index: Index,
    pending: BTreeSet<i64>,
    overlay: Overlay,
}

impl World {
    fn new(seed: u64, rows: usize) -> Self {
        let mut random = Random(seed);
        let table = Table::of((0..rows).map(|_| random.vector(DIMENSIONS)));
        let (store, index) = indexed(&table, random.next());
        let overlay = Overlay::new(index.space().clone());
        Self { random, table, store, index, pending: BTreeSet::new(), overlay }
    }

    /// Inserts, changes or deletes a row.
    fn change(&mut self) {
        let rowid = self.random.below(400) as i64;
        match self.random.below(5) {
            0 | 1 => drop(self.table.rows.remove(&rowid)),
            2 if self.table.rows.contains_key(&1) => self.table.set(rowid, &self.random.clone().vector(DIMENSIONS)),
            _ => self.table.set(rowid, &self.random.vector(DIMENSIONS)),
        }
        self.pending.insert(rowid);
        let mut batch = VectorBatch::default();
        match self.table.rows.get(&rowid) {
            Some(vector) => batch.push(rowid, vector),
            None => self.overlay.change(VectorBatch::default(), &[rowid], 1).unwrap(),
        }
        self.overlay.change(batch, &[], 1).unwrap();
    }

    fn merge(&mut self) {
        let changed: Vec<i64> = self.pending.iter().copied().collect();
        if self.index.wants_rebuild(changed.len() as u64) {
            self.index = self.table.build(&mut self.store, scope(), self.random.next()).unwrap();
        } else {
            let slots = (self.random.below(2) == 0).then(|| self.slots(&changed));
            let rows = ChangedRows { slots: slots.as_deref(), ..listed(&changed) };
            let (store, table) = (&mut self.store, &mut self.table);
            self.index = self.index.merge(store, rows, table, 2, &mut |_, _| Ok(())).unwrap();
        }
        self.pending.clear();
        self.overlay = Overlay::new(self.index.space().clone());
        check_blocks(&mut self.store).unwrap();
        let blocks = self.index.by_rowid(&mut self.store).unwrap();
        let (mut coded, mut first) = (Vec::new(), Some(i64::MIN));
        while let Some(from) = first {
            let part = blocks.coded(&mut self.store, from, 1 + self.table.rows.len() / 3).unwrap();
            blocks.check_rows(&mut self.store, &mut self.table, &part.rowids, &mut |_, _| Ok(())).unwrap();
            coded.extend(part.rowids);
            first = part.last.checked_add(1);
        }
        assert!(coded.iter().eq(self.table.rows.keys()), "all rows, each once, in order");
    }

    /// Where these rows are, as the comparison of other rows finds it on the way.
    fn slots(&mut self, changed: &[i64]) -> Vec<RowSlot> {
        let first = self.random.below(400) as i64 - 50;
        let last = first + self.random.below(300) as i64;
        let rows = self.table.rows.range(first..=last);
        let rows = rows.map(|(rowid, vector)| (*rowid, Some(fingerprint(vector)))).collect();
        let (stretch, mut slots) = (Stretch { first, last, rows }, Vec::new());
        let differing = self.index.differing(&mut self.store, &stretch, changed, &mut slots).unwrap();
        let is_expected = |rowid: i64| (first..=last).contains(&rowid) && self.pending.contains(&rowid);
        assert!(differing.iter().all(|difference| is_expected(difference.rowid())));
        slots
    }

    fn assert_answers(&mut self, seed: u64) {
        let metric = [Metric::Dot, Metric::Cosine, Metric::L2][self.random.below(3)];
        let scorer = scorer(metric, &self.random.vector(DIMENSIONS));
        let (limit, rules) = (1 + self.random.below(30), Rules::default());
        let request = Request { overlay: Some(&self.overlay), ..request(&scorer, limit, &rules) };
        let (outcome, stats) = search(&self.index, &mut self.store, &mut self.table, &request);
        assert_eq!(found(outcome), self.table.scan(&scorer, limit, &rules), "seed {seed}");
        assert_eq!(stats.ghosts, 0, "codes are left of rows that are gone");
    }
}

#[test]
fn after_any_changes_and_merges() {
    for seed in 0..40 {
        let mut world = World::new(seed, [0, 1, 30, 300][seed as usize % 4]);
        for step in 0..120 {
            world.change();
            if step % 7 == 0 && world.index.header.dimensions > 0 {
                world.assert_answers(seed);
            }
            if world.random.below(25) == 0 {
                world.merge();
            }
        }
        world.merge();
        if world.index.header.dimensions > 0 {
            world.assert_answers(seed);
        }
    }
}

/// Updates and deletions leave no holes that grow: the same number of rows keeps to the same number of blocks.
#[test]
fn slots_are_used_again() {
    let mut world = World::new(1, 300);
    let bytes = |world: &World| world.store.blobs.values().map(Vec::len).sum::<usize>();
    let before = bytes(&world);
    for _ in 0..20 {
        for rowid in 1..=300 {
            world.table.rows.remove(&rowid);
            world.pending.insert(rowid);
        }
        world.index =
            world.index.merge(&mut world.store, listed(&[1, 2, 3]), &mut world.table, 1, &mut |_, _| Ok(())).unwrap();
        for rowid in 1..=300 {
            world.table.set(rowid, &world.random.vector(DIMENSIONS));
        }
        world.index = world
            .index
            .merge(&mut world.store, listed(&(1..=300).collect::<Vec<_>>()), &mut world.table, 2, &mut |_, _| Ok(()))
            .unwrap();
    }
    assert_eq!(bytes(&world), before);
}

/// Of a deleted row nothing is left in the file.
#[test]
fn deleted_rows_leave_nothing_behind() {
    let mut world = World::new(2, 200);
    let empty = Table::default();
    let rowids: Vec<i64> = world.table.rows.keys().copied().collect();
    world.index =
        world.index.merge(&mut world.store, listed(&rowids), &mut empty.clone(), 1, &mut |_, _| Ok(())).unwrap();
    assert_eq!(world.index.header.rows, 0);
    check_blocks(&mut world.store).unwrap();
    let fine = &world.store.blobs[&3];
    assert!(fine[64..].iter().all(|byte| *byte == 0));
}

#[test]
fn an_index_made_on_nothing_is_built_again_when_rows_come() {
    let mut world = World::new(3, 0);
    assert_eq!(world.index.header.dimensions, 0);
    assert!(!world.index.wants_rebuild(0) && world.index.wants_rebuild(1));
    for round in 0..400 {
        world.table.set(round, &world.random.vector(DIMENSIONS));
        world.pending.insert(round);
        if round % 10 == 0 {
            world.merge();
        }
    }
    world.merge();
    let Table { rows, .. } = &world.table;
    assert!(world.index.header.centred_at * 4 > rows.len() as u64, "the centre is of few rows");
    world.assert_answers(3);
}

#[test]
fn rows_of_another_length_are_remembered_as_strays() {
    let mut world = World::new(4, 50);
    world.table.set(7, &[1.0]);
    world.table.set(99, &[]);
    world.index =
        world.index.merge(&mut world.store, listed(&[99, 7]), &mut world.table, 1, &mut |_, _| Ok(())).unwrap();
    assert_eq!(world.index.directory().strays, [7, 99]);
    assert_eq!((world.index.header.strays, world.index.header.rows), (2, 49));
    let again = opened(&mut world.store, scope()).unwrap();
    assert_eq!(again.directory().strays, [7, 99]);
    world.table.set(7, &world.random.vector(DIMENSIONS));
    world.table.rows.remove(&99);
    world.index =
        world.index.merge(&mut world.store, listed(&[99, 7]), &mut world.table, 1, &mut |_, _| Ok(())).unwrap();
    assert_eq!((world.index.header.strays, world.index.header.rows), (0, 50));
    let built = world.table.build(&mut world.store, scope(), 1).unwrap();
    assert_eq!((built.header.strays, built.header.rows), (0, 50));
}

/// Rows that were deleted without anybody telling the index are passed over, however many there are.
#[test]
fn ghosts_do_not_push_rows_out() {
    let mut world = World::new(5, 2000);
    let (rules, query) = (Rules::default(), world.random.vector(DIMENSIONS));
    let scorer = scorer(Metric::L2, &query);
    for place in world.table.scan(&scorer, 1500, &rules) {
        world.table.rows.remove(&place.row);
    }
    let request = request(&scorer, 10, &rules);
    let (outcome, stats) = search(&world.index, &mut world.store, &mut world.table, &request);
    assert_eq!(found(outcome), world.table.scan(&scorer, 10, &rules));
    assert!(stats.ghosts >= 1500 && stats.sweeps < 10, "{stats:?}");
}

#[test]
fn an_index_that_does_not_belong_to_the_rows_says_so() {
    let mut world = World::new(6, 300);
    let rules = Rules::default();
    let scorer = scorer(Metric::Dot, &world.random.vector(DIMENSIONS));
    let best = world.table.scan(&scorer, 1, &rules)[0].row;
    let request = request(&scorer, 3, &rules);

    let kept = world.table.clone();
    world.table.set(best, &world.random.vector(DIMENSIONS));
    let (outcome, _) = search(&world.index, &mut world.store, &mut world.table, &request);
    assert!(matches!(outcome, Outcome::Stale(Reason::Changed(row)) if row == best));

    world.table = Table { renumbers: true, ..kept };
    world.table.rows.remove(&best);
    let (outcome, _) = search(&world.index, &mut world.store, &mut world.table, &request);
    assert!(matches!(outcome, Outcome::Stale(Reason::Missing(row)) if row == best));
}

#[test]
fn a_row_that_cannot_be_scored_is_an_error_or_skipped_as_in_a_scan() {
    let mut world = World::new(7, 0);
    let mut vectors: Vec<Vec<f32>> = (0..200).map(|_| world.random.vector(DIMENSIONS)).collect();
    vectors[50][3] = f32::NAN;
    let mut table = Table::of(vectors);
    let (mut store, index) = indexed(&table, 1);
    for metric in [Metric::Dot, Metric::Cosine, Metric::L2] {
        let scorer = scorer(metric, &world.random.vector(DIMENSIONS));
        let strict = Rules::default();
        let mut stats = Stats::default();
        let refused = index.search(&mut store, &request(&scorer, 5, &strict), &mut table, &mut stats);
        let message = refused.err().unwrap().to_string();
        assert_eq!(message, "row 51: expected finite numbers, not NaN at [3]");

        let lenient = Rules { skip_bad: true, ..Rules::default() };
        let (outcome, stats) = search(&index, &mut store, &mut table, &request(&scorer, 5, &lenient));
        assert_eq!((found(outcome).len(), stats.bad), (5, 1));
    }
}

#[test]
fn only_accepted_rows_take_part() {
    let mut world = World::new(8, 1500);
    let rules = Rules::default();
    for modulus in [1, 2, 10, 100, 1000] {
        let scorer = scorer(Metric::Cosine, &world.random.vector(DIMENSIONS));
        let accept: fafcas::index::Accept = Arc::new(move |rowid| rowid % modulus == 0);
        let request = Request { accept: Some(accept), ..request(&scorer, 12, &rules) };
        let (outcome, _) = search(&world.index, &mut world.store, &mut world.table, &request);
        let mut expected = world.table.scan(&scorer, usize::MAX, &rules);
        expected.retain(|place| place.row % modulus == 0);
        expected.truncate(12);
        assert_eq!(found(outcome), expected, "one in {modulus}");
    }
}

#[test]
fn a_merge_stops_where_its_progress_says_so() {
    let mut world = World::new(9, 100);
    let stop = fafcas::error::Error::Mistake("interrupted".into());
    let changed: Vec<i64> = (1..=100).collect();
    let before = world.store.blobs.clone();
    let mut stopping = |done, total| {
        assert_eq!(total, 100);
        if done == 60 { Err(stop.clone()) } else { Ok(()) }
    };
    let merged = world.index.merge(&mut world.store, listed(&changed), &mut world.table, 1, &mut stopping);
    assert_eq!(merged.err(), Some(stop));
    assert_eq!(world.store.blobs, before, "nothing was written before all rows were read");
}
