//! `vec_topk_many` against as many searches one by one, on both paths, and exact searches against scans.

use crate::data::{Data, database, median, ratio, time};
use rusqlite::{Connection, params};
use std::time::Duration;

const QUERIES: usize = 1000;
/// How many of the slow searches one by one are timed; the rest would take as long each.
const SOME: usize = 50;

type Rows = Vec<(i64, i64, u64)>;

pub fn run(data: &Data) {
    let db = made(data);
    let threads: i64 = db.query_row("SELECT json_extract(fafcas_info(), '$.threads')", [], |row| row.get(0)).unwrap();
    println!("{QUERIES} queries, k = 10, {threads} threads");
    for (path, options) in [("scan", r#"{"index": false}"#), ("index", "{}"), ("exact", r#"{"exact": true}"#)] {
        many(&db, path, options);
    }
    itself(&db);
    for threads in [1, 2] {
        db.query_row("SELECT fafcas_config('threads', ?1)", [threads], |_| Ok(())).unwrap();
        exact(&db, threads);
    }
}

/// Half of the queries are held out, half are rows of the table.
fn made(data: &Data) -> Connection {
    let db = database("many");
    db.execute_batch(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB); CREATE TABLE q(id INTEGER PRIMARY KEY, v BLOB); BEGIN",
    )
    .unwrap();
    for row in 0..data.rows() {
        db.execute("INSERT INTO t VALUES (?1, ?2)", params![row as i64 + 1, data.blob(row)]).unwrap();
    }
    for number in 0..QUERIES {
        let is_held_out = number < data.queries();
        let blob = if is_held_out { data.query() } else { data.blob(number * 53 % data.rows()) };
        db.execute("INSERT INTO q VALUES (?1, ?2)", params![number as i64 + 1, blob]).unwrap();
    }
    db.execute_batch("COMMIT; CREATE VIRTUAL TABLE i USING vec_index(t, v)").unwrap();
    db
}

fn ask(db: &Connection, sql: &str, parameters: impl rusqlite::Params) -> Rows {
    let mut statement = db.prepare_cached(sql).unwrap();
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get::<_, f64>(2)?.to_bits()));
    statement.query_map(parameters, row).unwrap().map(Result::unwrap).collect()
}

fn together(db: &Connection, options: &str) -> Rows {
    let sql = "SELECT query_rowid, rowid, score FROM vec_topk_many('t', 'v', 'q', 'v', 10, ?1)";
    ask(db, sql, [options])
}

fn one(db: &Connection, query: usize, options: &str) -> Rows {
    let vector: Vec<u8> = db.query_row("SELECT v FROM q WHERE id = ?1", [query as i64], |row| row.get(0)).unwrap();
    ask(db, "SELECT ?1, rowid, score FROM vec_topk('t', 'v', ?2, 10, ?3)", params![query as i64, vector, options])
}

fn many(db: &Connection, path: &str, options: &str) {
    let all = together(db, options);
    let scanned = together(db, r#"{"index": false}"#);
    let missed = scanned.iter().filter(|row| !all.contains(row)).count();
    assert!(missed * 1000 <= if path == "index" { scanned.len() } else { 0 }, "{path}: {missed} rows missed");
    let (some, asked) = if path == "scan" { (SOME, 3) } else { (QUERIES, 5) };
    let (mut alone, mut batch) = (Vec::new(), Vec::new());
    for _ in 0..asked {
        let (rows, took) = time(|| (1..=some).flat_map(|query| one(db, query, options)).collect::<Rows>());
        let differing = rows.iter().filter(|row| !all.contains(row)).count();
        assert!(differing * 1000 <= rows.len(), "{path}: {differing} rows differ");
        alone.push(took * QUERIES as u32 / some as u32);
        batch.push(time(|| together(db, options)).1);
    }
    let (alone, batch) = (median(alone), median(batch));
    println!("{path:5}: one by one {alone:.1?}, together {batch:.1?}: {:.1} times the throughput", ratio(alone, batch));
}

/// Edges from every row of the table to the ten nearest others.
fn itself(db: &Connection) {
    let sql = "SELECT count(*) FROM vec_topk_many('t', 'v', 't', 'v', 10, '{\"exclude_self\": true}')";
    let (edges, took) = time(|| db.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap());
    println!("the table with itself: {edges} edges in {took:.2?}");
}

fn exact(db: &Connection, threads: i64) {
    let timed = |options: &str, queries: usize| -> Duration {
        median((1..=queries).map(|query| time(|| one(db, query, options)).1).collect())
    };
    for query in 1..=20 {
        assert_eq!(one(db, query, r#"{"exact": true}"#), one(db, query, r#"{"index": false}"#), "not the scan's rows");
    }
    let (exact, scan, default) =
        (timed(r#"{"exact": true}"#, QUERIES), timed(r#"{"index": false}"#, SOME), timed("{}", QUERIES));
    println!(
        "one search, {threads} threads: exact {exact:.2?}, scan {scan:.2?} ({:.1} times as long), not exact {default:.2?}",
        ratio(scan, exact)
    );
}
