//! Searches that are interrupted, at every point where SQLite lets a program do so: the next one on the same connection gives
//! its rows as if nothing had happened. So does one after statements were taken from it.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use crate::support::{Random, blob};
use rusqlite::types::Value;
use rusqlite::{Connection, ErrorCode, params_from_iter};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const DIMENSIONS: usize = 8;
const ROWS: i64 = 16;

/// What is asked, by what it goes through. `?1` is the query.
const SEARCHES: [(&str, &str); 25] = [
    ("scan", "SELECT id, rowid, score FROM vec_topk('t', 'v', ?1, 5, '{\"index\": false}')"),
    ("index", "SELECT id, rowid, score FROM vec_topk('t', 'v', ?1, 5, '{\"index\": \"i\"}')"),
    ("exact", "SELECT id, rowid, score FROM vec_topk('t', 'v', ?1, 5, '{\"index\": \"i\", \"exact\": true}')"),
    ("stream by scan", "SELECT id, rank FROM vec_topk('t', 'v', ?1) ORDER BY rank"),
    ("stream by index", "SELECT id, rank FROM vec_topk('t', 'v', ?1, NULL, '{\"index\": \"i\"}') ORDER BY rank"),
    ("look-up", "SELECT score FROM vec_topk('t', 'v', ?1) WHERE id = 'k3'"),
    ("keys", "SELECT id, score FROM vec_topk('t', 'v', ?1) WHERE id IN ('k1', 'k3', 'k5', 'k9')"),
    (
        "keys by index",
        "SELECT id, score FROM vec_topk('t', 'v', ?1, NULL, '{\"index\": \"i\"}') WHERE id IN ('k1', 'k3', 'k5', 'k9')",
    ),
    ("range of keys", "SELECT id FROM vec_topk('t', 'v', ?1, NULL, '{\"index\": \"i\"}') WHERE id > 'k2' LIMIT 3"),
    ("rowids", "SELECT id FROM vec_topk('t', 'v', ?1) WHERE rowid IN (SELECT id FROM u WHERE id < 9)"),
    ("range of rowids", "SELECT id FROM vec_topk('t', 'v', ?1, NULL, '{\"index\": \"i\"}') WHERE rowid < 9"),
    ("inner loop", "SELECT t.id, score FROM t CROSS JOIN vec_topk('t', 'v', ?1) AS m ON m.rowid = t.rowid"),
    ("federated", "SELECT source, id FROM vec_topk('t, u', 'v', ?1, 7)"),
    ("without rowid", "SELECT id, score FROM vec_topk('w', 'v', ?1, 5)"),
    ("view", "SELECT id, score FROM vec_topk('x', 'v', ?1, 5)"),
    (
        "many by scan",
        "SELECT query_id, id FROM vec_topk_many('t', 'v', 'u', 'v', 2, '{\"index\": false}') WHERE ?1 > 0",
    ),
    (
        "many by index",
        "SELECT query_id, id FROM vec_topk_many('t', 'v', 'u', 'v', 2, '{\"index\": \"i\"}') WHERE ?1 > 0",
    ),
    ("diverse", "SELECT id, score FROM vec_mmr('t', 'v', ?1, 3, 0.5)"),
    ("map", "SELECT id FROM vec_map('w', 'v') WHERE ?1 > 0"),
    ("health", "SELECT rule, ok FROM fafcas_health('t', 'v') WHERE ?1 > 0"),
    ("audit", "SELECT measure FROM fafcas_audit('t', 'v', 1) WHERE ?1 > 0"),
    (
        "words and vectors",
        "SELECT id, score FROM vec_hybrid('t', 'v', 'words', ?1, (SELECT group_concat(body, ' ') FROM words), 5, '{\"fuzzy\": \"pieces\"}')",
    ),
    (
        "misspelt words",
        "SELECT id, score FROM vec_hybrid('t', 'v', 'words', ?1, 'nomber tne', NULL, '{\"fuzzy\": \"pieces\"}')",
    ),
    (
        "share",
        "SELECT bm25_share(words), bm25_bound(words) FROM words WHERE words MATCH 'number OR one OR k9' AND ?1 > 0",
    ),
    ("properties", "SELECT property, value FROM i WHERE ?1 > 0"),
];

type Row = Vec<Value>;

/// A table with an index that some rows have changed since, and others with other keys.
fn database() -> (Connection, Vec<u8>) {
    fafcas::register_auto_extension().unwrap();
    let db = Connection::open_in_memory().unwrap();
    db.execute_batch(
        "CREATE TABLE t(id TEXT PRIMARY KEY, v BLOB); CREATE TABLE u(id INTEGER PRIMARY KEY, v BLOB);
         CREATE TABLE w(id TEXT PRIMARY KEY, v BLOB) WITHOUT ROWID; CREATE VIEW x AS SELECT id, v FROM w;
         CREATE VIRTUAL TABLE words USING fts5(body); CREATE VIRTUAL TABLE pieces USING fts5(body, tokenize = 'trigram')",
    )
    .unwrap();
    let mut random = Random(12);
    let mut vector = || blob(&(0..DIMENSIONS).map(|_| random.real() as f32).collect::<Vec<_>>());
    let mut fill = |rows: std::ops::Range<i64>| {
        for row in rows {
            db.execute("INSERT INTO t VALUES ('k' || ?1, ?2)", (row, vector())).unwrap();
            db.execute("INSERT INTO w VALUES ('k' || ?1, ?2)", (row, vector())).unwrap();
            db.execute("INSERT INTO u VALUES (?1, ?2)", (row, vector())).unwrap();
            for table in ["words", "pieces"] {
                let insert = format!("INSERT INTO {table}(rowid, body) VALUES (?1 + 1, 'number k' || ?1)");
                db.execute(&insert, [row]).unwrap();
            }
        }
    };
    fill(0..ROWS - 3);
    db.execute_batch("CREATE VIRTUAL TABLE i USING vec_index(t, v)").unwrap();
    fill(ROWS - 3..ROWS);
    let query = vector();
    (db, query)
}

fn ask(db: &Connection, sql: &str, query: &[u8]) -> rusqlite::Result<Vec<Row>> {
    let mut statement = db.prepare(sql)?;
    let columns = statement.column_count();
    let mut rows = statement.query(params_from_iter([query]))?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push((0..columns).map(|at| row.get(at)).collect::<rusqlite::Result<Row>>()?);
    }
    Ok(all)
}

/// Has SQLite ask before every step of its machine whether to go on; it goes on for so many.
fn stop_after(db: &mut Connection, steps: u64) -> Arc<AtomicU64> {
    let taken = Arc::new(AtomicU64::new(0));
    let count = taken.clone();
    db.progress_handler(1, Some(move || count.fetch_add(1, Ordering::Relaxed) >= steps)).unwrap();
    taken
}

/// Asks as often as the search has steps, each time with one step more before it is stopped.
fn stop_everywhere(db: &mut Connection, name: &str, sql: &str, query: &[u8]) {
    let good = ask(db, sql, query).unwrap();
    assert!(!good.is_empty(), "{name} finds nothing");
    for steps in 0.. {
        let taken = stop_after(db, steps);
        let stopped = ask(db, sql, query);
        let was_stopped = taken.load(Ordering::Relaxed) > steps;
        db.progress_handler(1, None::<fn() -> bool>).unwrap();
        match &stopped {
            Err(error) => {
                assert_eq!(error.sqlite_error_code(), Some(ErrorCode::OperationInterrupted), "{name}: {error}");
                assert!(error.to_string().ends_with("interrupted"), "{name}: {error}");
            }
            Ok(rows) => assert_eq!(*rows, good, "{name}, stopped after {steps}"),
        }
        assert_eq!(
            ask(db, sql, query).map_err(|error| error.to_string()),
            Ok(good.clone()),
            "{name} after {steps} steps"
        );
        if !was_stopped {
            println!("{name}: {steps} steps");
            return;
        }
    }
}

/// Issue 12, 1.
#[test]
fn a_search_that_was_stopped_anywhere_leaves_nothing_behind() {
    let (mut db, query) = database();
    for (name, sql) in SEARCHES {
        stop_everywhere(&mut db, name, sql, &query);
    }
}

/// CREATE looks for its table, and for what an index of the same name has left. SQLite is told to stop once, and would go on: so
/// what takes the end of a statement for an answer gives another error, or an index.
#[test]
fn a_build_that_was_stopped_anywhere_was_interrupted() {
    // The second is as after a restore that knew nothing of virtual tables.
    let leftovers = "CREATE VIRTUAL TABLE i USING vec_index(t, v); PRAGMA writable_schema = ON;
                     DELETE FROM sqlite_schema WHERE name = 'i'; PRAGMA writable_schema = RESET";
    for before in ["", leftovers] {
        fafcas::register_auto_extension().unwrap();
        let mut db = Connection::open_in_memory().unwrap();
        let table = "CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t(v) VALUES ('[1,0]'), ('[0,1]')";
        db.execute_batch(table).unwrap();
        db.execute_batch(before).unwrap();
        for steps in 0.. {
            let taken = Arc::new(AtomicU64::new(0));
            let count = taken.clone();
            db.progress_handler(1, Some(move || count.fetch_add(1, Ordering::Relaxed) == steps)).unwrap();
            let made = db.execute_batch("CREATE VIRTUAL TABLE i USING vec_index(t, v)");
            db.progress_handler(1, None::<fn() -> bool>).unwrap();
            if taken.load(Ordering::Relaxed) <= steps {
                made.unwrap();
                break;
            }
            let error = made.expect_err("an index in spite of the interrupt");
            assert_eq!(error.sqlite_error_code(), Some(ErrorCode::OperationInterrupted), "{before}, {steps}: {error}");
            // SQLite itself looks once more after it has committed.
            if db.table_exists(None, "i").unwrap() {
                db.execute_batch("DROP TABLE i").unwrap();
                db.execute_batch(before).unwrap();
            }
        }
        db.execute_batch("INSERT INTO i(i) VALUES ('check')").unwrap();
    }
}
