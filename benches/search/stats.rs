//! What counting costs: everything that `vec_stats` notes of a search, against the search.

use super::data::{Data, database, median, time};
use fafcas::stats::{self, Path};
use rusqlite::{Connection, params};
use std::hint::black_box;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

const TIMES: usize = 1_000_000;

pub fn run(data: &Data) {
    let note = noting();
    println!("noting a search {note:.0} ns");
    for rows in [10, 1000, data.rows()] {
        let db = database("stats");
        db.execute_batch("PRAGMA journal_mode = OFF; CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB); BEGIN").unwrap();
        for row in 0..rows {
            db.prepare_cached("INSERT INTO t VALUES (?1, ?2)")
                .unwrap()
                .execute(params![row as i64, data.blob(row)])
                .unwrap();
        }
        db.execute_batch("COMMIT; CREATE VIRTUAL TABLE t_vec USING vec_index(t, v); DELETE FROM vec_stats").unwrap();
        let runs = 200;
        let times = (0..runs).map(|_| time(|| search(&db, &data.query())).1).collect();
        let search = median(times);
        let counted: i64 =
            db.query_row("SELECT searches FROM vec_stats WHERE source = 'main.t'", [], |row| row.get(0)).unwrap();
        assert_eq!(counted, runs);
        let share = note / (search.as_secs_f64() * 1e9);
        println!("{rows:>8} rows: a search {:.1} us, of which noting it {:.3} %", micros(search), share * 100.0);
    }
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn search(db: &Connection, query: &[u8]) {
    let mut statement = db.prepare_cached("SELECT rowid FROM vec_topk('t', 'v', ?1, 10)").unwrap();
    let rows = statement.query_map([query], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(rows.count(), 10);
}

/// Nanoseconds for what a search by index notes, the counts of the cache among it.
fn noting() -> f64 {
    let entry = stats::entry("bench", "v");
    let ((), took) = time(|| {
        for number in 0..TIMES {
            entry.rows.fetch_add(black_box(1), Relaxed);
            entry.bad.fetch_add(black_box(0), Relaxed);
            entry.candidates.fetch_add(black_box(60), Relaxed);
            entry.rescored.fetch_add(black_box(20), Relaxed);
            entry.pending.store(black_box(0), Relaxed);
            let cache = fafcas::index::cache_counts();
            entry.cache_bytes.store(cache.bytes as u64, Relaxed);
            entry.cache_hits.store(cache.hits, Relaxed);
            entry.cache_evictions.store(cache.evictions, Relaxed);
            entry.searched(Path::Index, Duration::from_nanos(black_box(number as u64)));
        }
    });
    assert_eq!(entry.times.count(), TIMES as u64);
    took.as_secs_f64() * 1e9 / TIMES as f64
}
