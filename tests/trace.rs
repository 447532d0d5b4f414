//! `vec_trace`: which searches it keeps, and that what it tells of each adds up. One test, as settings and the list are the
//! process's.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use rusqlite::Connection;
use support::{Random, blob};

const ROWS: i64 = 3000;

fn number(db: &Connection, sql: &str) -> i64 {
    db.query_row(sql, [], |row| row.get(0)).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// Whether this holds for the search that was traced last.
fn last(db: &Connection, condition: &str) {
    let sql = format!("SELECT {condition} FROM vec_trace ORDER BY rowid DESC LIMIT 1");
    assert_eq!(number(db, &sql), 1, "{condition}: {:?}", everything(db));
}

fn everything(db: &Connection) -> Vec<String> {
    let sql = "SELECT json_array(function, source, column_name, path, k, rows, total_ms, planning_ms, opening_ms, sweeping_ms,
               fetching_ms, embedding_ms, candidates, rescored, cache_misses, error) FROM vec_trace";
    db.prepare(sql).unwrap().query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

fn set(db: &Connection, key: &str, value: i64) {
    db.query_row("SELECT fafcas_config(?1, ?2)", (key, value), |row| row.get::<_, i64>(0)).unwrap();
}

fn database() -> Connection {
    fafcas::register_auto_extension().unwrap();
    let db = Connection::open_in_memory().unwrap();
    let mut random = Random(5);
    db.execute_batch("CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB); CREATE TABLE few(id INTEGER PRIMARY KEY, v)")
        .unwrap();
    for row in 1..=ROWS {
        let vector: Vec<f32> = (0..32).map(|_| random.real() as f32 - 0.5).collect();
        db.execute("INSERT INTO t VALUES (?1, ?2)", (row, blob(&vector))).unwrap();
    }
    db.execute_batch("INSERT INTO few SELECT * FROM t LIMIT 20; CREATE VIRTUAL TABLE i USING vec_index(t, v)").unwrap();
    db
}

const BY_INDEX: &str = "SELECT count(*) FROM vec_topk('t', 'v', (SELECT v FROM t WHERE id = 7), 5)";

#[test]
fn the_last_searches_are_told_with_their_stages() {
    let db = database();
    number(&db, BY_INDEX);
    assert_eq!(number(&db, "SELECT count(*) FROM vec_trace"), 0, "nothing is traced until it is asked for");

    set(&db, "trace", 6);
    number(&db, BY_INDEX.replace("= 7", "= 8").as_str());
    last(&db, "function = 'vec_topk' AND source = 't' AND column_name = 'v' AND path = 'index' AND k = 5 AND rows = 5");
    last(&db, "error IS NULL AND candidates >= rescored AND rescored >= 5 AND embedding_ms = 0");
    last(&db, "planning_ms > 0 AND opening_ms > 0 AND sweeping_ms > 0 AND fetching_ms > 0");
    // Stages do not overlap, so their sum is not above the whole.
    last(&db, "planning_ms + opening_ms + sweeping_ms + fetching_ms <= total_ms + 1e-6");
    last(&db, "abs(began - unixepoch('now')) < 600");

    // What is not in memory is read once.
    db.execute_batch("INSERT INTO i(i) VALUES ('rebuild')").unwrap();
    number(&db, BY_INDEX.replace("= 7", "= 9").as_str());
    last(&db, "cache_misses > 0");
    number(&db, BY_INDEX.replace("= 7", "= 10").as_str());
    last(&db, "cache_misses = 0");

    number(&db, "SELECT count(*) FROM vec_topk('few', 'v', (SELECT v FROM t WHERE id = 7))");
    last(&db, "path = 'scan' AND k IS NULL OR k >= 20");
    last(&db, "rows = 20 AND candidates = 0 AND sweeping_ms > 0 AND fetching_ms = 0");
    number(&db, "SELECT count(*) FROM vec_topk_many('few', 'v', 'few', 'v', 3)");
    last(&db, "function = 'vec_topk_many' AND rows = 60 AND k = 3 AND path = 'scan'");
    number(&db, "SELECT count(*) FROM vec_mmr('few', 'v', (SELECT v FROM t WHERE id = 7), 4, 0.5)");
    last(&db, "function = 'vec_mmr' AND rows = 4 AND k = 4");
    number(&db, "SELECT count(*) FROM vec_map('few', 'v')");
    last(&db, "function = 'vec_map' AND rows = 20 AND k IS NULL AND path = 'scan' AND sweeping_ms > 0");
    db.execute_batch("CREATE VIRTUAL TABLE words USING fts5(text); INSERT INTO words(rowid, text) VALUES (3, 'blue'), (5, 'blue sky')")
        .unwrap();
    number(&db, "SELECT count(*) FROM vec_hybrid('few', 'v', 'words', (SELECT v FROM t WHERE id = 7), 'sky', 6)");
    last(&db, "function = 'vec_hybrid' AND rows = 6 AND k = 6 AND path = 'scan' AND total_ms >= sweeping_ms");
    number(&db, "SELECT count(*) FROM vec_hybrid('few', 'v', 'words', NULL, 'blue', 6)");
    last(&db, "function = 'vec_hybrid' AND source = 'few' AND rows = 2 AND k = 6 AND path IS NULL AND total_ms > 0");
    assert_eq!(number(&db, "SELECT count(*) FROM vec_trace"), 6, "the oldest made room");

    failures_and_slow_searches_alone(&db);

    let slow = include_str!("../sql/queries/slow.sql");
    let told = db.query_row(slow.trim_end().trim_end_matches(';'), [], |row| {
        Ok([row.get::<_, String>("source")?, row.get("stage")?, row.get("advice")?])
    });
    let [source, stage, advice] = told.unwrap();
    assert_eq!((&*source, &*stage), ("texts", "sweeping"));
    assert!(advice.starts_with("every row was read: make an index"), "{advice}");

    assert_eq!(db.execute("DELETE FROM vec_trace", []).unwrap(), 1);
    let refused = db.execute("INSERT INTO vec_trace(function) VALUES ('mine')", []).unwrap_err().to_string();
    assert!(refused.contains("expected DELETE, the only change there is to what was traced"), "{refused}");
    number(&db, BY_INDEX);
    set(&db, "trace", 0);
    number(&db, BY_INDEX);
    assert_eq!(number(&db, "SELECT count(*) FROM vec_trace"), 0);
    set(&db, "trace", 6);
    assert_eq!(number(&db, "SELECT count(*) FROM vec_trace"), 0);
}

/// A search that fails says why. With `slow_ms`, those that were fast are left out.
fn failures_and_slow_searches_alone(db: &Connection) {
    set(db, "slow_ms", 1_000_000);
    db.execute_batch("DELETE FROM vec_trace").unwrap();
    number(db, BY_INDEX);
    assert_eq!(number(db, "SELECT count(*) FROM vec_trace"), 0);
    for (sql, condition) in [
        (
            "SELECT count(*) FROM vec_topk('few', 'v', '[1,2]', 5)",
            "source = 'few' AND rows IS NULL AND error LIKE '%32 dimensions%'",
        ),
        ("SELECT count(*) FROM vec_topk('nowhere', 'v', '[1,2]', 5)", "source IS NULL AND error LIKE '%nowhere%'"),
        (
            "SELECT count(*) FROM vec_topk('few', 'v', '[1,2]', -5)",
            "function = 'vec_topk' AND error LIKE 'expected k as%'",
        ),
    ] {
        db.query_row(sql, [], |_| Ok(())).unwrap_err();
        last(db, condition);
    }
    assert_eq!(number(db, "SELECT count(*) FROM vec_trace"), 3);
    // 20,000 texts are not parsed in a millisecond.
    set(db, "slow_ms", 1);
    db.execute_batch(
        "CREATE TABLE texts(id INTEGER PRIMARY KEY, v); INSERT INTO texts WITH RECURSIVE n(i) AS
         (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) SELECT i, '[' || i || ',1]' FROM n; DELETE FROM vec_trace",
    )
    .unwrap();
    number(db, "SELECT count(*) FROM vec_topk('texts', 'v', '[1,2]', 5)");
    last(db, "source = 'texts' AND total_ms > 1");
    set(db, "slow_ms", 0);
}
