//! Rows in memory and the right answers about them, for the tests of the index.

#![allow(clippy::unwrap_used, dead_code)]

use fafcas::error::Result;
use fafcas::index::{
    Builder, ChangedRows, FetchedRow, Index, Mean, MemoryStore, Opened, Outcome, Request, RowSource, Stats, Store, open,
};
use fafcas::kernels::F32Le;
use fafcas::parts::{Metric, Place, Rules, Scorer, splitmix64};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Numbers that look random, the same in every run.
#[derive(Clone)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        splitmix64(&mut self.0)
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// Nearly Gaussian, of deviation 1.
    pub fn normal(&mut self) -> f32 {
        let uniform = |bits: u64| (bits & 0xFFFF) as f32 / 65_536.0;
        let bits = self.next();
        let sum: f32 = (0..4).map(|i| uniform(bits >> (16 * i))).sum();
        (sum - 2.0) * 3f32.sqrt()
    }

    pub fn vector(&mut self, dimensions: usize) -> Vec<f32> {
        (0..dimensions).map(|_| self.normal()).collect()
    }
}

/// What the user's table holds.
#[derive(Clone, Default)]
pub struct Table {
    pub rows: BTreeMap<i64, Vec<F32Le>>,
    /// Whether rowids may change without notice, so that a missing row makes the index doubtful.
    pub renumbers: bool,
    pub fetched: u64,
}

impl Table {
    pub fn of(vectors: impl IntoIterator<Item = Vec<f32>>) -> Self {
        let rows = (1..).zip(vectors.into_iter().map(|vector| f32le(&vector))).collect();
        Self { rows, ..Self::default() }
    }

    pub fn set(&mut self, rowid: i64, vector: &[f32]) {
        self.rows.insert(rowid, f32le(vector));
    }

    pub fn build<S: Store>(&self, store: &mut S, scope: u64, seed: u64) -> Result<Index> {
        let mut mean = Mean::default();
        self.rows.values().for_each(|vector| mean.add(vector));
        let mut builder = Builder::new(store, scope, &mean, seed, 2);
        for (rowid, vector) in &self.rows {
            builder.push(*rowid, vector)?;
        }
        builder.finish()
    }

    /// The right answer.
    pub fn scan(&self, scorer: &Scorer, limit: usize, rules: &Rules) -> Vec<Place> {
        let place = |(rowid, vector): (&i64, &Vec<F32Le>)| {
            let score = scorer.score(vector).unwrap();
            Place { score, source: 0, row: *rowid }
        };
        let mut places: Vec<Place> =
            self.rows.iter().map(place).filter(|place| rules.admit(scorer.metric(), place)).collect();
        places.sort();
        places.truncate(limit);
        places
    }
}

impl RowSource for Table {
    fn fetch(&mut self, rowid: i64) -> Result<FetchedRow<'_>> {
        self.fetched += 1;
        Ok(match self.rows.get(&rowid) {
            Some(vector) => FetchedRow::Vector(Cow::Borrowed(vector)),
            None if self.renumbers => FetchedRow::Doubtful,
            None => FetchedRow::Gone,
        })
    }

    fn describe(&self, rowid: i64) -> String {
        format!("row {rowid}")
    }
}

pub fn f32le(vector: &[f32]) -> Vec<F32Le> {
    vector.iter().map(|&x| x.into()).collect()
}

pub fn scorer(metric: Metric, query: &[f32]) -> Scorer {
    Scorer::new(metric, f32le(query)).unwrap()
}

/// A scope of its own for every test, as every database has.
pub fn scope() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

pub fn opened<S: Store>(store: &mut S, scope: u64) -> Result<Index> {
    match open(store, scope, &Arc::default())? {
        Opened::Index(index) => Ok(index),
        _ => unreachable!("the test has made an index"),
    }
}

pub fn request<'a>(scorer: &'a Scorer, limit: usize, rules: &'a Rules) -> Request<'a> {
    Request {
        scorer,
        limit,
        rules,
        source: 0,
        floor: None,
        accept: None,
        trial: None,
        overlay: None,
        tail: None,
        threads: 2,
    }
}

pub fn search<S: Store>(index: &Index, store: &mut S, table: &mut Table, request: &Request<'_>) -> (Outcome, Stats) {
    let mut stats = Stats::default();
    let outcome = index.search(store, request, table, &mut stats).unwrap();
    (outcome, stats)
}

pub fn found(outcome: Outcome) -> Vec<Place> {
    match outcome {
        Outcome::Found(places) => places,
        Outcome::GivenUp => unreachable!("there is all the patience"),
        Outcome::Unfit => unreachable!("the query is an ordinary one"),
        Outcome::Stale(reason) => unreachable!("the index belongs to the rows: {reason:?}"),
    }
}

/// A table with an index in memory.
pub fn indexed(table: &Table, seed: u64) -> (MemoryStore, Index) {
    let mut store = MemoryStore::default();
    let index = table.build(&mut store, scope(), seed).unwrap();
    (store, index)
}

/// Rows to merge, of whose slots nothing is known.
pub fn listed(rowids: &[i64]) -> ChangedRows<'_> {
    ChangedRows { rowids, slots: None }
}
