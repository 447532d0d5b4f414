//! The database of the workloads: the same in every run and on every machine.

use rusqlite::{Connection, params};
use std::path::Path;

/// Every index gets this one, as the work of a search depends on it.
const SEED: u64 = 7;

pub const FILE: &str = "base.db";
pub const DIMENSIONS: usize = 384;
/// Rows of the table `t`. Those of `k` and `s` are some of them.
pub const ROWS: usize = 20_000;
const KEYED: usize = 10_000;
pub const SMALL: usize = 4_000;
pub const QUERIES: usize = 200;
pub const FRESH: usize = 1_000;
const CENTRES: usize = 500;

/// `t` with the index `i`, `k` with text keys and the index `j`, `s` to build one on, queries `q`, rows `fresh` to be
/// inserted, and `meta` with what filters ask for.
pub fn prepare() {
    let path = Path::new(FILE);
    let _ = std::fs::remove_file(path);
    fafcas::index::fix_seed(SEED);
    fafcas::register_auto_extension().unwrap();
    let db = Connection::open(path).unwrap();
    db.execute_batch(
        "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN;
         CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB);
         CREATE TABLE s(id INTEGER PRIMARY KEY, v BLOB);
         CREATE TABLE k(id TEXT PRIMARY KEY, v BLOB);
         CREATE TABLE q(id INTEGER PRIMARY KEY, v BLOB);
         CREATE TABLE fresh(id INTEGER PRIMARY KEY, v BLOB);
         CREATE TABLE meta(id INTEGER PRIMARY KEY, key TEXT, number INTEGER);",
    )
    .unwrap();
    let mut vectors = Vectors::new();
    fill(&db, "t", ROWS, &mut vectors);
    fill(&db, "q", QUERIES, &mut vectors);
    fill(&db, "fresh", FRESH, &mut vectors);
    db.execute("INSERT INTO s SELECT id, v FROM t WHERE id <= ?1", [SMALL as i64]).unwrap();
    for row in 1..=ROWS {
        let (number, key) = (row * 6007 % ROWS, format!("key-{:07}", row * 7919 % 1_000_003));
        db.execute("INSERT INTO meta VALUES (?1, ?2, ?3)", params![row as i64, key, number as i64]).unwrap();
    }
    let keyed = "INSERT INTO k SELECT meta.key, t.v FROM t JOIN meta USING (id) WHERE id <= ?1 ORDER BY id";
    db.execute(keyed, [KEYED as i64]).unwrap();
    db.execute_batch(
        "CREATE INDEX by_number ON meta(number, key);
         COMMIT;
         CREATE VIRTUAL TABLE i USING vec_index(t, v);
         CREATE VIRTUAL TABLE j USING vec_index(k, v);
         ANALYZE;",
    )
    .unwrap();
    db.close().unwrap();
}

fn fill(db: &Connection, table: &str, rows: usize, vectors: &mut Vectors) {
    let mut insert = db.prepare(&format!("INSERT INTO {table} VALUES (?1, ?2)")).unwrap();
    for row in 1..=rows {
        let blob: Vec<u8> = vectors.next().iter().flat_map(|x| x.to_le_bytes()).collect();
        insert.execute(params![row as i64, blob]).unwrap();
    }
}

/// Loose clusters with a spectrum that falls off, at unit length. Without a function whose last bit may differ elsewhere.
struct Vectors {
    state: u64,
    centres: Vec<f32>,
}

impl Vectors {
    fn new() -> Self {
        let mut vectors = Self { state: 7, centres: Vec::new() };
        vectors.centres = (0..CENTRES * DIMENSIONS).map(|at| vectors.normal(at % DIMENSIONS)).collect();
        vectors
    }

    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.state >> 33
    }

    fn normal(&mut self, at: usize) -> f32 {
        let sum: f32 = (0..4).map(|_| self.random() as f32 / (1u64 << 30) as f32 - 1.0).sum();
        sum / (1.0 + at as f32).sqrt().sqrt()
    }

    fn next(&mut self) -> Vec<f32> {
        let centre = self.random() as usize % CENTRES * DIMENSIONS;
        let row: Vec<f32> = (0..DIMENSIONS).map(|at| self.centres[centre + at] + self.normal(at)).collect();
        let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        row.iter().map(|x| x / norm).collect()
    }
}
