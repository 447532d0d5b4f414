//! What it costs to count: all that one search counts, done by itself, beside whole searches; and what it costs to read the
//! counts while others search.

use super::data::{Data, median, path, ratio, table, time};
use fafcas::config::SLOW_MS;
use fafcas::parts::{Entry, SearchPath, entry};
use rusqlite::Connection;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

const FEW: usize = 10;
const COUNTED: u32 = 1_000_000;
const SEARCHES: usize = 2000;
/// Searches by two threads go on for so long, a few times without and with a reader.
const ROUND: Duration = Duration::from_secs(2);
const ROUNDS: usize = 5;
const READ_EVERY: Duration = Duration::from_millis(10);

const SMALLEST: &str = "SELECT rowid FROM vec_topk('few', 'v', ?1, 1)";
const INDEXED: &str = "SELECT rowid FROM vec_topk('t', 'v', ?1, 10)";
const READ: &str = "SELECT * FROM vec_stats";

pub fn run(data: &Data) {
    let db = made(data);
    let smallest = searches(&db, data, SMALLEST, 1);
    let indexed = searches(&db, data, INDEXED, 10);
    let hits: u64 = db
        .query_row("SELECT cache_hits / searches FROM vec_stats WHERE source = 'main.t'", [], |row| {
            row.get::<_, i64>(0)
        })
        .unwrap() as u64;
    counting(&[("k = 1 of 10 rows", smallest, 0), ("k = 10 by index", indexed, hits)]);
    reading(&db, data, indexed);
}

fn made(data: &Data) -> Connection {
    let db = table("stats", data);
    db.execute("CREATE TABLE few(id INTEGER PRIMARY KEY, v BLOB)", []).unwrap();
    db.execute("INSERT INTO few SELECT * FROM t WHERE id <= ?1", [FEW as i64]).unwrap();
    db.execute_batch("CREATE VIRTUAL TABLE i USING vec_index(t, v)").unwrap();
    db
}

fn search(db: &Connection, sql: &str, query: &[u8]) -> usize {
    db.prepare_cached(sql).unwrap().query_map([query], |row| row.get::<_, i64>(0)).unwrap().map(Result::unwrap).count()
}

/// How long one takes. The statistics are those of these searches alone.
fn searches(db: &Connection, data: &Data, sql: &str, rows: usize) -> Duration {
    (0..100).for_each(|_| assert_eq!(search(db, sql, &data.query()), rows));
    db.execute_batch("DELETE FROM vec_stats").unwrap();
    let one = |_| {
        let query = data.query();
        time(|| search(db, sql, &query)).1
    };
    median((0..SEARCHES).map(one).collect())
}

/// All that a search does to be counted, and nothing else: what `sqlite::search` and what it calls do, put together. Hits
/// of many blocks are added at once where they can be; here each is.
fn count(entry: &Entry, hits: u64) {
    black_box((entry.is_forgotten(), SLOW_MS.get()));
    let start = Instant::now();
    for _ in 0..hits {
        entry.memory.hits.fetch_add(1, Relaxed);
    }
    for counter in [&entry.rows, &entry.candidates, &entry.rescored, &entry.repeated, &entry.bad] {
        counter.fetch_add(1, Relaxed);
    }
    entry.pending.store(0, Relaxed);
    entry.searched(SearchPath::Index, start.elapsed());
}

fn counting(beside: &[(&str, Duration, u64)]) {
    for threads in [1, 2] {
        for &(name, search, hits) in beside {
            let entry = entry(&format!("counted by {threads}"), name);
            let all = || (0..COUNTED).for_each(|_| count(&entry, hits));
            let (_, took) = time(|| thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(all)))));
            assert_eq!(entry.times.count(), u64::from(COUNTED * threads));
            println!(
                "{threads} threads at once: counting {:.0} ns, with {hits} hits; {name} {search:.1?}: {:.2} %",
                took.as_nanos() as f64 / f64::from(COUNTED),
                100.0 * ratio(took / COUNTED, search)
            );
        }
    }
}

/// Two threads search by index; a third reads what was counted a hundred times a second.
fn reading(db: &Connection, data: &Data, search: Duration) {
    db.query_row("SELECT fafcas_config('threads', 1)", [], |_| Ok(())).unwrap();
    let alone = median((0..SEARCHES).map(|_| read(db)).collect());
    let (mut shares, mut amid) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let without = two_threads(data, false).0;
        let (with, times) = two_threads(data, true);
        shares.push(with as f64 / without as f64);
        amid.extend(times);
    }
    shares.sort_by(f64::total_cmp);
    println!(
        "reading vec_stats: {alone:.1?}, {:.2} of a search by index; while two threads search {:.1?}; they do {:.3} of what they do unread ({:.3} to {:.3})",
        ratio(alone, search),
        median(amid),
        shares[ROUNDS / 2],
        shares[0],
        shares[ROUNDS - 1]
    );
}

fn read(db: &Connection) -> Duration {
    let (rows, took) = time(|| {
        let mut statement = db.prepare_cached(READ).unwrap();
        statement
            .query_map([], |row| row.get::<_, i64>(2))
            .unwrap()
            .filter(|count| *count.as_ref().unwrap() > 0)
            .count()
    });
    assert!(rows > 0);
    took
}

/// How many searches two threads do, and how long reading took meanwhile.
fn two_threads(data: &Data, is_read: bool) -> (u64, Vec<Duration>) {
    let (is_over, done) = (AtomicBool::new(false), AtomicU64::new(0));
    let times = thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let db = Connection::open(path("stats")).unwrap();
                while !is_over.load(Relaxed) {
                    assert_eq!(search(&db, INDEXED, &data.query()), 10);
                    done.fetch_add(1, Relaxed);
                }
            });
        }
        let db = Connection::open(path("stats")).unwrap();
        let (start, mut times) = (Instant::now(), Vec::new());
        while start.elapsed() < ROUND {
            thread::sleep(READ_EVERY);
            if is_read && done.load(Relaxed) > 0 {
                times.push(read(&db));
            }
        }
        is_over.store(true, Relaxed);
        times
    });
    (done.load(Relaxed), times)
}
