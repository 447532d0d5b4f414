//! Searches. Each has a first one that is not counted: it opens the index and fills what is kept in memory. No query is
//! asked twice, as memory would answer it.

use super::{counted, expect_path, numbers};
use rusqlite::{Connection, params};

/// The vectors of so many queries, after those that warm up.
fn queries(db: &Connection, count: usize) -> Vec<Vec<u8>> {
    let mut statement = db.prepare("SELECT v FROM q WHERE id > 1 ORDER BY id LIMIT ?1").unwrap();
    let rows = statement.query_map([count as i64], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

fn first(db: &Connection) -> Vec<u8> {
    db.query_row("SELECT v FROM q WHERE id = 1", [], |row| row.get(0)).unwrap()
}

/// One prepared statement, run for each query, which gives so many rows.
fn search(db: &Connection, sql: &str, count: usize, rows: usize) {
    let (first, queries) = (first(db), queries(db, count));
    let mut statement = db.prepare(sql).unwrap();
    assert_eq!(numbers(&mut statement, [&first]).len(), rows, "{sql}");
    let found = counted(|| queries.iter().map(|query| numbers(&mut statement, [query]).len()).sum::<usize>());
    assert_eq!(found, count * rows, "{sql}");
}

pub fn scan(db: &Connection) {
    search(db, r#"SELECT rowid FROM vec_topk('t', 'v', ?1, 10, '{"index": false}')"#, 2, 10);
    expect_path(db, "t", "scan");
}

pub fn index_one(db: &Connection) {
    search(db, "SELECT rowid FROM vec_topk('t', 'v', ?1, 10)", 40, 10);
    expect_path(db, "t", "index");
}

pub fn index_exact(db: &Connection) {
    search(db, r#"SELECT rowid FROM vec_topk('t', 'v', ?1, 10, '{"exact": true}')"#, 20, 10);
    expect_path(db, "t", "index");
}

pub fn index_cosine(db: &Connection) {
    search(db, r#"SELECT rowid FROM vec_topk('t', 'v', ?1, 10, '{"metric": "cosine"}')"#, 20, 10);
    expect_path(db, "t", "index");
}

/// The first search of a process, which opens the index and reads all of it.
pub fn index_first(db: &Connection) {
    let query = first(db);
    let mut statement = db.prepare("SELECT rowid FROM vec_topk('t', 'v', ?1, 10)").unwrap();
    assert_eq!(counted(|| numbers(&mut statement, [&query]).len()), 10);
    expect_path(db, "t", "index");
}

/// By vectors and by words, of which a few hundred rows have one.
pub fn hybrid(db: &Connection) {
    db.execute_batch(
        "CREATE VIRTUAL TABLE words USING fts5(text);
         INSERT INTO words(rowid, text) SELECT id, 'word' || number % 97 || ' word' || number % 89 || ' ' || key FROM meta;",
    )
    .unwrap();
    let sql = r#"SELECT rowid FROM vec_hybrid('t', 'v', 'words', ?1, 'word7 or word11', 10, '{"spread": 0.1}')"#;
    search(db, sql, 10, 10);
    expect_path(db, "t", "index");
}

/// Without k, read as far as the reader wants.
pub fn stream(db: &Connection) {
    search(db, "SELECT rowid FROM vec_topk('t', 'v', ?1) LIMIT 200", 10, 200);
    expect_path(db, "t", "index");
}

pub fn filter_range(db: &Connection) {
    let sql = "SELECT rowid FROM vec_topk('t', 'v', ?1) WHERE rowid BETWEEN 3000 AND 12999 LIMIT 10";
    search(db, sql, 20, 10);
    expect_path(db, "t", "index");
}

pub fn filter_list(db: &Connection) {
    let list = "SELECT id FROM meta WHERE number < 2000";
    let sql = format!("SELECT rowid FROM vec_topk('t', 'v', ?1) WHERE rowid IN ({list}) ORDER BY score DESC LIMIT 10");
    search(db, &sql, 10, 10);
    expect_path(db, "t", "index");
}

/// Keys that are texts, so that rowids have to be looked up.
pub fn filter_keys(db: &Connection) {
    let list = "SELECT key FROM meta WHERE number < 2000";
    let sql = format!("SELECT rowid FROM vec_topk('k', 'v', ?1) WHERE id IN ({list}) ORDER BY score DESC LIMIT 10");
    search(db, &sql, 10, 10);
    expect_path(db, "k", "index");
}

/// A condition that SQLite keeps for itself.
pub fn filter_join(db: &Connection) {
    let sql = "SELECT t.rowid FROM vec_topk('t', 'v', ?1) AS t JOIN meta ON meta.id = t.rowid
               WHERE meta.number % 10 = 3 ORDER BY t.score DESC LIMIT 10";
    search(db, sql, 10, 10);
    expect_path(db, "t", "index");
}

/// What it takes SQLite and the planner to make a statement of a text.
pub fn plan(db: &Connection) {
    let sql = "SELECT t.rowid FROM vec_topk('t', 'v', ?1) AS t JOIN meta ON meta.id = t.rowid
               WHERE t.rowid IN (SELECT id FROM meta WHERE number < 7) AND t.score > 0.1 ORDER BY t.rank LIMIT 10";
    db.prepare(sql).unwrap();
    counted(|| (0..100).for_each(|_| drop(db.prepare(sql).unwrap())));
}

fn many(db: &Connection, queries: usize, options: &str) {
    let sql = "SELECT rowid FROM vec_topk_many('t', 'v', ?1, 'v', 10, ?2)";
    db.execute_batch("CREATE VIEW one AS SELECT id, v FROM q WHERE id = 1").unwrap();
    db.execute_batch(&format!("CREATE VIEW rest AS SELECT id, v FROM q WHERE id BETWEEN 2 AND {}", queries + 1))
        .unwrap();
    let mut statement = db.prepare(sql).unwrap();
    assert_eq!(numbers(&mut statement, params!["one", options]).len(), 10);
    let found = counted(|| numbers(&mut statement, params!["rest", options]).len());
    assert_eq!(found, queries * 10);
}

pub fn scan_many(db: &Connection) {
    many(db, 16, r#"{"index": false}"#);
    expect_path(db, "t", "scan");
}

pub fn index_many(db: &Connection) {
    many(db, 150, "{}");
    expect_path(db, "t", "index");
}
