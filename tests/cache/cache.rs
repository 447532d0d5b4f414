//! An index is read once and stays in memory, within the budget; what does not fit is read as it is needed, and the
//! answers are the same.

#![allow(clippy::unwrap_used)]

use crate::table_in_memory::{Random, Table, found, indexed, opened, request, scope, scorer, search};
use fafcas::config::CACHE_BYTES;
use fafcas::error::Result;
use fafcas::index::{MemoryStore, Store, cache_counts};
use fafcas::parts::{Metric, Rules};
use std::collections::BTreeMap;

const DIMENSIONS: usize = 600;

/// Counts how often each BLOB is read.
struct Counting {
    inner: MemoryStore,
    reads: BTreeMap<i64, usize>,
}

impl Store for Counting {
    fn read<T>(&mut self, id: i64, with: impl FnOnce(&[u8]) -> Result<T>) -> Result<Option<T>> {
        *self.reads.entry(id).or_default() += 1;
        self.inner.read(id, with)
    }

    fn write(&mut self, id: i64, blob: &[u8]) -> Result<()> {
        self.inner.write(id, blob)
    }

    fn delete(&mut self, id: i64) -> Result<()> {
        self.inner.delete(id)
    }

    fn ids(&mut self) -> Result<Vec<i64>> {
        self.inner.ids()
    }
}

/// Runs some searches in a new scope, as on a database just opened, and gives the reads of the first and of the last.
fn reads(store: &MemoryStore, table: &mut Table) -> [BTreeMap<i64, usize>; 2] {
    let mut store = Counting { inner: store.clone(), reads: BTreeMap::new() };
    let (scope, rules, mut random) = (scope(), Rules::default(), Random(8));
    let mut reads = [(); 2].map(|()| BTreeMap::new());
    for query in 0..5 {
        let scorer = scorer(Metric::Cosine, &random.vector(DIMENSIONS));
        let index = opened(&mut store, scope).unwrap();
        let (outcome, stats) = search(&index, &mut store, table, &request(&scorer, 10, &rules));
        assert_eq!(found(outcome), table.scan(&scorer, 10, &rules));
        let read = store.reads.keys().filter(|id| **id > 1 && *id % 2 == 0).count() as u64;
        assert!(query == 0 || stats.passing == read, "{stats:?}: what is read again is not held either");
        reads[usize::from(query > 0)] = std::mem::take(&mut store.reads);
    }
    reads
}

#[test]
fn blocks_are_read_once_as_far_as_they_fit() {
    let _alone = crate::alone();
    let mut random = Random(7);
    let mut table = Table::of((0..4000).map(|_| random.vector(DIMENSIONS)));
    let (store, index) = indexed(&table, 1);
    let blocks = i64::from(index.header.blocks);
    assert!(blocks >= 6);
    let codes: usize = store.blobs.iter().filter(|(id, _)| **id > 1 && **id % 2 == 0).map(|(_, blob)| blob.len()).sum();

    let [first, later] = reads(&store, &mut table);
    assert!((0..=2 * blocks).filter(|id| *id < 2 || id % 2 == 0).all(|id| first[&id] == 1), "{first:?}");
    assert!(first.values().all(|&times| times == 1), "{first:?}");
    assert_eq!(later.into_keys().collect::<Vec<_>>(), [0], "the header alone");

    // The codes above, and half as many: the fine codes above make room.
    let before = cache_counts().bytes;
    CACHE_BYTES.set((codes + codes / 2 + (64 << 10)) as u64).unwrap();
    let [first, later] = reads(&store, &mut table);
    let streamed: Vec<i64> = later.into_keys().filter(|id| *id > 1).collect();
    assert!(first.values().all(|&times| times == 1));
    assert!(!streamed.is_empty() && streamed.len() < blocks as usize, "a fixed part stays: {streamed:?}");
    assert!(cache_counts().bytes <= codes + codes / 2 + (64 << 10) && cache_counts().bytes < before);

    CACHE_BYTES.set(0).unwrap();
    let [first, later] = reads(&store, &mut table);
    assert_eq!(first, later, "everything is read each time, and once");
    assert!(later.values().all(|&times| times == 1) && later.len() as i64 == 2 + blocks);
    assert!(cache_counts().bytes < before);
}
