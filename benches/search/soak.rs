//! Connections that search side by side while one inserts, changes and merges: no error, no wrong row, and as many
//! searches in all by 64 threads as by two.

use super::data::{Data, database, path};
use rusqlite::{Connection, params};
use std::iter::zip;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

const ROWS: usize = 20_000;
/// One search in so many is compared with a scan of the same snapshot.
const COMPARED: usize = 200;

pub fn run(data: &Data) {
    let seconds = std::env::var("FAFCAS_SOAK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    let rows = ROWS.min(data.rows() / 2);
    let few = [1, 2].map(|threads| throughput(data, rows, threads, Duration::from_secs(seconds / 4 + 1)));
    let many = throughput(data, rows, 64, Duration::from_secs(seconds));
    let best = few.into_iter().fold(0.0, f64::max);
    println!(
        "searches a second: 1 thread {:.0}, 2 threads {:.0}, 64 threads {many:.0}: {:.2} of the best",
        few[0],
        few[1],
        many / best
    );
}

/// Searches a second by so many threads, beside a writer.
fn throughput(data: &Data, rows: usize, threads: usize, length: Duration) -> f64 {
    prepare(data, rows);
    let (stop, done, compared, missed) =
        (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let begin = Instant::now();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| write(data, rows, &stop));
        let searchers: Vec<_> = (0..threads)
            .map(|thread| {
                let (stop, done, compared, missed) = (&stop, &done, &compared, &missed);
                scope.spawn(move || {
                    let db = open();
                    for number in 0.. {
                        if stop.load(Relaxed) {
                            break;
                        }
                        let query = data.query();
                        if number % COMPARED == thread % COMPARED {
                            missed.fetch_add(compare(&db, data, &query), Relaxed);
                            compared.fetch_add(1, Relaxed);
                        } else {
                            search(&db, &query);
                            done.fetch_add(1, Relaxed);
                        }
                    }
                })
            })
            .collect();
        std::thread::sleep(length);
        stop.store(true, Relaxed);
        searchers.into_iter().for_each(|searcher| searcher.join().unwrap());
        let writes = writer.join().unwrap();
        let (compared, missed) = (compared.load(Relaxed), missed.load(Relaxed));
        println!(
            "{threads} threads: {} searches, {compared} compared, {missed} rows missed; {writes} rows written",
            done.load(Relaxed)
        );
        assert!(missed <= 1 + compared / 1000, "too many rows missed");
    });
    done.load(Relaxed) as f64 / begin.elapsed().as_secs_f64()
}

fn prepare(data: &Data, rows: usize) {
    let db = database("soak");
    db.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; CREATE TABLE t(id INTEGER PRIMARY KEY, row INTEGER, v BLOB); BEGIN").unwrap();
    for row in 0..rows {
        db.prepare_cached("INSERT INTO t(row, v) VALUES (?, ?)")
            .unwrap()
            .execute(params![row as i64, data.blob(row)])
            .unwrap();
    }
    db.execute_batch("COMMIT; CREATE VIRTUAL TABLE t_vec USING vec_index(t, v)").unwrap();
}

fn open() -> Connection {
    let db = Connection::open(path("soak")).unwrap();
    db.busy_timeout(Duration::from_secs(30)).unwrap();
    db
}

/// Inserts, changes and deletes rows one transaction at a time, and merges now and then. Paced, so that what it takes
/// from the searches is the same beside few of them and many.
fn write(data: &Data, rows: usize, stop: &AtomicBool) -> usize {
    let db = open();
    db.execute_batch("PRAGMA synchronous = OFF").unwrap();
    let mut written = 0;
    while !stop.load(Relaxed) {
        let row = (rows + written) % data.rows();
        match written % 4 {
            0 => db.execute("DELETE FROM t WHERE id = ?1", [written as i64 % rows as i64]),
            1 => db.execute(
                "UPDATE t SET row = ?2, v = ?3 WHERE id = ?1",
                params![written as i64 % rows as i64, row as i64, data.blob(row)],
            ),
            _ => db.execute("INSERT INTO t(row, v) VALUES (?, ?)", params![row as i64, data.blob(row)]),
        }
        .unwrap();
        written += 1;
        if written % 500 == 0 {
            db.execute("INSERT INTO t_vec(t_vec) VALUES ('merge')", []).unwrap();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    written
}

type Hits = Vec<(i64, f64)>;

fn ask(db: &Connection, query: &[u8], options: &str) -> Hits {
    let sql = format!("SELECT rowid, score FROM vec_topk('t', 'v', ?1, 10, '{{{options}}}')");
    let mut statement = db.prepare_cached(&sql).unwrap();
    let rows = statement.query_map([query], |row| Ok((row.get(0)?, row.get(1)?)));
    rows.unwrap().collect::<Result<_, _>>().unwrap()
}

fn search(db: &Connection, query: &[u8]) {
    let hits = ask(db, query, "");
    assert!(hits.len() == 10 && hits.is_sorted_by(|a, b| a.1 >= b.1));
}

/// In one snapshot: every row has the score that its vector has, and how many of the scan's are missing.
fn compare(db: &Connection, data: &Data, query: &[u8]) -> usize {
    db.execute_batch("BEGIN").unwrap();
    let (hits, scan) = (ask(db, query, ""), ask(db, query, r#""index":false"#));
    for (rowid, score) in &hits {
        let sql = "SELECT row, vec_dot(v, ?2) FROM t WHERE id = ?1";
        let (row, dot): (i64, f64) =
            db.query_row(sql, params![rowid, query], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        assert!((dot - score).abs() < 1e-6, "row {rowid} scores {dot}, not {score}");
        let numbers = query.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
        let own: f64 = zip(data.row(row as usize), numbers).map(|(a, b)| f64::from(*a) * f64::from(b)).sum();
        assert!((own - score).abs() < 1e-5, "row {rowid} has another vector");
    }
    db.execute_batch("COMMIT").unwrap();
    scan.iter().filter(|hit| !hits.contains(hit)).count()
}
