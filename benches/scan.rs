//! `vec_topk` as a scan against the floor of that path: a bare step loop over the same rows that computes nothing.
//!
//!     cargo bench --bench scan -- [ROWS]        100,000 unless told
//!
//! Files lie in the target folder and are made anew when missing. Warm: every figure is the median of runs after one that
//! is not counted. The two loops take turns, so that what else the machine does falls on both.

#![allow(unsafe_code)]

use fafcas::parts::splitmix64;
use rusqlite::{Connection, ffi, params};
use std::ffi::CString;
use std::path::PathBuf;
use std::time::Instant;

const DIMENSIONS: usize = 384;
const RUNS: usize = 7;
const TABLES: [(&str, &str); 2] = [
    ("narrow", "CREATE TABLE t(id INTEGER PRIMARY KEY, embedding BLOB)"),
    ("wide", "CREATE TABLE t(id TEXT PRIMARY KEY, title TEXT, body TEXT, embedding BLOB)"),
];

fn main() {
    let rows = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(100_000);
    fafcas::register_auto_extension().unwrap();
    println!("{rows} rows x {DIMENSIONS} f32, default cache, ns per row, median of {RUNS}");
    println!("{:<8} {:>6} {:>11} {:>10} {:>6}", "table", "page", "step loop", "vec_topk", "ratio");
    for (name, schema) in TABLES {
        for page_size in [4096, 16384] {
            measure(name, schema, page_size, rows);
        }
    }
}

fn measure(name: &str, schema: &str, page_size: u32, rows: usize) {
    let host = Connection::open(file(name, schema, page_size, rows)).unwrap();
    let query = random_unit(1);
    assert_eq!(search(&host, &query), oracle(&host, &query));
    let (mut floor, mut topk) = (Vec::new(), Vec::new());
    for _ in 0..=RUNS {
        floor.push(timed(rows, || assert_eq!(step_loop(&host), rows)));
        topk.push(timed(rows, || assert_eq!(search(&host, &query).len(), 10)));
    }
    let (floor, topk) = (median(&mut floor[1..]), median(&mut topk[1..]));
    println!("{name:<8} {page_size:>6} {floor:>11.0} {topk:>10.0} {:>6.3}", topk / floor);
}

fn timed(rows: usize, body: impl FnOnce()) -> f64 {
    let start = Instant::now();
    body();
    start.elapsed().as_nanos() as f64 / rows as f64
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// The floor: the rows are stepped over in C and not looked at.
fn step_loop(host: &Connection) -> usize {
    let sql = CString::new("SELECT rowid, embedding FROM t").unwrap();
    let mut statement = std::ptr::null_mut();
    let mut rows = 0;
    // SAFETY: the handle is open, the text terminated, and the statement finalised where it was made.
    unsafe {
        ffi::sqlite3_prepare_v2(host.handle(), sql.as_ptr(), -1, &mut statement, std::ptr::null_mut());
        while ffi::sqlite3_step(statement) == ffi::SQLITE_ROW {
            rows += 1;
        }
        ffi::sqlite3_finalize(statement);
    }
    rows
}

fn search(host: &Connection, query: &[u8]) -> Vec<i64> {
    let sql = "SELECT rowid FROM vec_topk('t', 'embedding', ?1, 10) ORDER BY score DESC";
    ids(host, sql, query)
}

fn oracle(host: &Connection, query: &[u8]) -> Vec<i64> {
    let sql = "SELECT rowid FROM t WHERE embedding IS NOT NULL ORDER BY vec_dot(embedding, ?1) DESC, rowid LIMIT 10";
    ids(host, sql, query)
}

fn ids(host: &Connection, sql: &str, query: &[u8]) -> Vec<i64> {
    let mut statement = host.prepare_cached(sql).unwrap();
    statement.query_map([query], |row| row.get(0)).unwrap().map(|id| id.unwrap()).collect()
}

/// The database, made when it is not there yet.
fn file(name: &str, schema: &str, page_size: u32, rows: usize) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("scan-{name}-{page_size}-{rows}.db"));
    if path.exists() {
        return path;
    }
    let unfinished = path.with_extension("new");
    let _ = std::fs::remove_file(&unfinished);
    let mut host = Connection::open(&unfinished).unwrap();
    host.execute_batch(&format!("PRAGMA page_size = {page_size}; PRAGMA journal_mode = OFF; {schema}")).unwrap();
    let transaction = host.transaction().unwrap();
    for row in 0..rows {
        let vector = random_unit(row as u64 + 2);
        if name == "narrow" {
            transaction.prepare_cached("INSERT INTO t VALUES (NULL, ?1)").unwrap().execute([vector]).unwrap();
        } else {
            let body = "some words of a note that goes on for a while ".repeat(34 + row % 21);
            let values = params![format!("note-{row:07}"), format!("Note {row}"), body, vector];
            transaction.prepare_cached("INSERT INTO t VALUES (?1, ?2, ?3, ?4)").unwrap().execute(values).unwrap();
        }
    }
    transaction.commit().unwrap();
    drop(host);
    std::fs::rename(&unfinished, &path).unwrap();
    path
}

/// A unit vector that depends on the seed alone.
fn random_unit(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let numbers: Vec<f32> = (0..DIMENSIONS).map(|_| splitmix64(&mut state) as i64 as f32 / i64::MAX as f32).collect();
    let norm = numbers.iter().map(|x| x * x).sum::<f32>().sqrt();
    numbers.iter().flat_map(|x| (x / norm).to_le_bytes()).collect()
}
