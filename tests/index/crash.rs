//! A store that fails at write N, for every N: the transaction is rolled back and everything is as before; and should a
//! torn state be kept after all, it says so itself, and no search meets an error.

#![allow(clippy::unwrap_used, clippy::panic)]

use crate::table_in_memory::{Random, Table, found, indexed, listed, opened, request, scope, scorer, search};
use fafcas::error::{Error, Result};
use fafcas::index::{MemoryStore, Opened, Store, check_blocks, open_uncached};
use fafcas::parts::{Metric, Rules};

/// Fails from a certain write on.
struct Failing {
    inner: MemoryStore,
    writes_left: usize,
}

impl Failing {
    fn allow(&mut self) -> Result<()> {
        let full = Error::Sqlite { code: 13, message: "database or disk is full".into() };
        self.writes_left = self.writes_left.checked_sub(1).ok_or(full)?;
        Ok(())
    }
}

impl Store for Failing {
    fn read<T>(&mut self, id: i64, with: impl FnOnce(&[u8]) -> Result<T>) -> Result<Option<T>> {
        self.inner.read(id, with)
    }

    fn write(&mut self, id: i64, blob: &[u8]) -> Result<()> {
        self.allow()?;
        self.inner.write(id, blob)
    }

    fn delete(&mut self, id: i64) -> Result<()> {
        self.allow()?;
        self.inner.delete(id)
    }

    fn ids(&mut self) -> Result<Vec<i64>> {
        self.inner.ids()
    }
}

const DIMENSIONS: usize = 1200;

/// Several blocks, before and after.
fn tables() -> (Table, Table, Vec<i64>) {
    let mut random = Random(11);
    let before = Table::of((0..1000).map(|_| random.vector(DIMENSIONS)));
    let mut after = before.clone();
    let mut changed = Vec::new();
    for rowid in (1..1600).step_by(3) {
        match rowid % 2 {
            0 => drop(after.rows.remove(&rowid)),
            _ => after.set(rowid, &random.vector(DIMENSIONS)),
        }
        changed.push(rowid);
    }
    (before, after, changed)
}

/// Runs `work` with 0 writes allowed, then 1, and so on until it ends well; gives how many writes it takes.
fn each_failure(
    start: &MemoryStore,
    before: &mut Table,
    after: &mut Table,
    work: impl Fn(&mut Failing) -> Result<()>,
) -> usize {
    let shared = scope();
    for writes in 0.. {
        let mut failing = Failing { inner: start.clone(), writes_left: writes };
        if work(&mut failing).is_ok() {
            assert_answers(&mut failing.inner, after, scope());
            check_blocks(&mut failing.inner).unwrap();
            return writes;
        }
        assert_answers(&mut start.clone(), before, shared);
        assert_torn_is_found(failing.inner, before, after);
    }
    unreachable!("there are not so many writes")
}

fn assert_answers(store: &mut MemoryStore, table: &mut Table, scope: u64) {
    let rules = Rules::default();
    let scorer = scorer(Metric::Dot, &Random(5).vector(DIMENSIONS));
    let index = opened(store, scope).unwrap();
    let (outcome, _) = search(&index, store, table, &request(&scorer, 5, &rules));
    assert_eq!(found(outcome), table.scan(&scorer, 5, &rules));
}

/// A state between two others is complete as one of them, or says that it is unfinished, so that searches scan.
fn assert_torn_is_found(mut torn: MemoryStore, before: &mut Table, after: &Table) {
    match open_uncached(&mut torn) {
        Ok(Opened::Index(_)) => assert_answers(&mut torn.clone(), before, scope()),
        Ok(Opened::Unfinished) => {}
        Ok(_) => panic!("a torn index has no header"),
        Err(error) => panic!("a search of a torn index fails: {error}"),
    }
    let Ok(index) = check_blocks(&mut torn) else { return };
    let blocks = index.by_rowid(&mut torn).unwrap();
    let coded = blocks.coded(&mut torn, i64::MIN, usize::MAX / 2).unwrap().rowids;
    let belongs = |table: &Table| blocks.check_rows(&mut torn.clone(), &mut table.clone(), &coded, &mut |_, _| Ok(()));
    assert!(belongs(before).is_ok() || belongs(after).is_ok(), "a torn state passes as whole");
}

#[test]
fn while_merging() {
    let (mut before, mut after, changed) = tables();
    let (store, index) = indexed(&before, 1);
    assert!(index.header.blocks >= 4);
    let table = after.clone();
    let writes = each_failure(&store, &mut before, &mut after, |store| {
        index.merge(store, listed(&changed), &mut table.clone(), 2, &mut |_, _| Ok(())).map(drop)
    });
    assert!(writes > 8, "{writes} writes");
}

#[test]
fn while_building_over_an_older_index() {
    let (mut before, mut after, _) = tables();
    after.rows.retain(|rowid, _| *rowid > 700);
    let (store, _) = indexed(&before, 1);
    let table = after.clone();
    let writes = each_failure(&store, &mut before, &mut after, |store| table.build(store, scope(), 2).map(drop));
    assert!(writes > 8, "{writes} writes");
}

#[test]
fn while_building_the_first() {
    let (table, ..) = tables();
    for writes in 0.. {
        let mut failing = Failing { inner: MemoryStore::default(), writes_left: writes };
        if table.build(&mut failing, scope(), 2).is_ok() {
            return assert_answers(&mut failing.inner, &mut table.clone(), scope());
        }
        assert!(check_blocks(&mut failing.inner).is_err(), "half an index passes as one, {writes} writes");
    }
}
