//! Many connections search while one inserts, changes, deletes and merges: no error, and no row that is not so in the
//! searcher's own snapshot. `benches/search/soak.rs` is the same for a minute, with the clock.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use crate::support::{Random, blob, scratch};
use rusqlite::{Connection, Params, params};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

const SEARCHERS: u64 = 16;
const SEARCHES: usize = 60;
const WRITES: usize = 600;
const ROWS: i64 = 3000;
const DIMENSIONS: usize = 32;
/// One in 30,000 may be missed; about 10,000 are asked for.
const MISSES: usize = 4;

#[test]
fn searches_beside_a_writer_see_their_own_snapshot() {
    fafcas::register_auto_extension().unwrap();
    let path = scratch("soak").join("test.db");
    let writer = open(&path);
    writer.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).unwrap();
    writer
        .execute_batch("PRAGMA synchronous = OFF; CREATE TABLE soaked(id INTEGER PRIMARY KEY, v BLOB); BEGIN")
        .unwrap();
    let mut random = Random(3);
    (0..ROWS).for_each(|_| insert(&writer, &mut random));
    writer.execute_batch("COMMIT; CREATE VIRTUAL TABLE soaked_vec USING vec_index(soaked, v)").unwrap();

    let missed = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for seed in 0..SEARCHERS {
            let (path, missed) = (&path, &missed);
            scope.spawn(move || {
                let (connection, mut random) = (open(path), Random(100 + seed));
                for _ in 0..SEARCHES {
                    missed.fetch_add(search(&connection, &mut random), Relaxed);
                }
            });
        }
        scope.spawn(move || (0..WRITES).for_each(|number| write(&writer, &mut random, number)));
    });
    let by_index: bool = open(&path)
        .query_row("SELECT candidates > 0 FROM vec_stats WHERE source = 'main.soaked'", [], |row| row.get(0))
        .unwrap();
    assert!(by_index);
    let missed = missed.into_inner();
    println!("{missed} rows missed");
    assert!(missed <= MISSES, "{missed} rows missed");
}

fn open(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection.busy_timeout(Duration::from_secs(60)).unwrap();
    connection
}

fn vector(random: &mut Random) -> Vec<u8> {
    blob(&(0..DIMENSIONS).map(|_| random.real() as f32).collect::<Vec<_>>())
}

fn insert(connection: &Connection, random: &mut Random) {
    execute(connection, "INSERT INTO soaked(v) VALUES (?1)", [vector(random)]);
}

fn execute(connection: &Connection, sql: &str, values: impl Params) {
    connection.prepare_cached(sql).unwrap().execute(values).unwrap();
}

fn write(connection: &Connection, random: &mut Random, number: usize) {
    let row = random.below(ROWS as usize) as i64;
    match number % 5 {
        0 => execute(connection, "DELETE FROM soaked WHERE id = ?1", [row]),
        1 => execute(connection, "UPDATE soaked SET v = ?2 WHERE id = ?1", params![row, vector(random)]),
        2 if number % 50 == 2 => execute(connection, "INSERT INTO soaked_vec(soaked_vec) VALUES ('merge')", []),
        _ => insert(connection, random),
    }
}

/// Half of the searches are one that all threads ask. Gives how many rows of the same snapshot's scan are missing.
fn search(connection: &Connection, random: &mut Random) -> usize {
    let query = if random.once_in(2) { vector(&mut Random(7)) } else { vector(random) };
    connection.execute_batch("BEGIN").unwrap();
    let ask = |options: &str| -> Vec<(i64, f64)> {
        let sql = format!("SELECT rowid, score FROM vec_topk('soaked', 'v', ?1, 10, '{options}')");
        let mut statement = connection.prepare_cached(&sql).unwrap();
        let rows = statement.query_map([&query], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    };
    let (hits, scan, again) = (ask("{}"), ask(r#"{"index":false}"#), ask("{}"));
    for (rowid, score) in hits.iter().filter(|hit| !scan.contains(hit)) {
        let sql = "SELECT vec_dot(v, ?2) FROM soaked WHERE id = ?1";
        let own: f64 = connection.query_row(sql, params![rowid, query], |row| row.get(0)).unwrap();
        assert_eq!(*score, own, "row {rowid} has another vector");
    }
    connection.execute_batch("COMMIT").unwrap();
    assert_eq!(hits, again, "one snapshot, two answers");
    assert_eq!(hits.len(), scan.len());
    scan.iter().filter(|hit| !hits.contains(hit)).count()
}
